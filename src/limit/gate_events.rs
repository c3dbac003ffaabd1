//! What happened at the gate: pauses, their ends and changed limits, kept until they are taken.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::learned::LearnedLimit;
use crate::model::{LimitChangeReason, PauseReason};

/// How many events are kept when nobody takes them; the oldest go first.
const EVENTS_MAX: usize = 256;
/// A pause that grows is reported again only if it grew by this much: each of 32 answers in flight may ask for a
/// pause, a few milliseconds after the other.
const REPORT_AGAIN: Duration = Duration::from_secs(1);

/// The state of the gate at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GateView {
    /// Attempts in flight.
    pub in_flight: usize,
    /// How many may be in flight now: what `--concurrency` or the controller says, or less while
    /// the pool grows after a pause.
    pub limit: usize,
    /// Attempts that wait at the gate.
    pub waiting: usize,
    /// While the pool is paused or its probe under way: the instant before which no attempt leaves.
    pub paused_until: Option<Instant>,
    /// Why it is paused, if it is.
    pub pause_reason: Option<PauseReason>,
    /// Departures keep a distance: what is left of a quota is spread over the time up to its reset, or the pool
    /// was paused before.
    pub slowed: bool,
    /// The limit that was learnt from refusals, if there is one.
    pub learned: Option<LearnedLimit>,
    /// Where that is a rate: the lowest one that explains what was accepted until the newest refusal, if that shows one.
    pub lowest_rate: Option<f64>,
}

/// Something at the gate changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateEvent {
    /// No attempt leaves before `until`; then one probe does.
    Paused {
        /// The instant.
        until: Instant,
        /// Why.
        reason: PauseReason,
    },
    /// The probe was answered well; the pool grows back to its limit.
    Resumed,
    /// The number of attempts that may be in flight changed.
    LimitChanged {
        /// The new limit.
        limit: usize,
        /// Why.
        reason: LimitChangeReason,
    },
}

/// Keeps what changed until it is taken.
#[derive(Debug, Default)]
pub(super) struct GateEvents {
    /// The end of the running pause, as the newest event has it.
    reported_until: Option<Instant>,
    events: VecDeque<GateEvent>,
}

impl GateEvents {
    /// The pool is paused until then.
    pub(super) fn paused(&mut self, until: Instant, reason: PauseReason) {
        if let Some(GateEvent::Paused { until: last_until, reason: last_reason }) = self.events.back_mut() {
            (*last_until, *last_reason) = (until, reason);
        } else if self.reported_until.is_none_or(|reported| until >= reported + REPORT_AGAIN) {
            self.push(GateEvent::Paused { until, reason });
        } else {
            return;
        }
        self.reported_until = Some(until);
    }

    /// The pool is open again.
    pub(super) fn resumed(&mut self) {
        self.reported_until = None;
        self.push(GateEvent::Resumed);
    }

    /// Another limit.
    pub(super) fn limited(&mut self, limit: usize, reason: LimitChangeReason) {
        self.push(GateEvent::LimitChanged { limit, reason });
    }

    /// What changed since the last call.
    pub(super) fn take_events(&mut self) -> Vec<GateEvent> {
        self.events.drain(..).collect()
    }

    fn push(&mut self, change: GateEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: PauseReason = PauseReason::Refused { status: 429, has_retry_after: false };
    const GROWS: LimitChangeReason = LimitChangeReason::ThroughputGrows;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_pause_that_grows_by_a_little_is_reported_once() {
        let now = Instant::now();
        let mut events = GateEvents::default();
        events.paused(now + second(2), REFUSED);
        events.paused(now + second(3), REFUSED);
        assert_eq!(events.take_events(), [GateEvent::Paused { until: now + second(3), reason: REFUSED }]);
        events.paused(now + second(3) + Duration::from_millis(5), REFUSED);
        assert!(events.take_events().is_empty());
        events.paused(now + second(9), PauseReason::Outage);
        assert_eq!(events.take_events().len(), 1);
        events.resumed();
        assert_eq!(events.take_events(), [GateEvent::Resumed]);
    }

    #[test]
    fn events_that_nobody_takes_are_bounded() {
        let mut events = GateEvents::default();
        (0..10_000).for_each(|limit| events.limited(limit, GROWS));
        let events = events.take_events();
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(events.last(), Some(&GateEvent::LimitChanged { limit: 9_999, reason: GROWS }));
    }
}
