//! The events of the gate: where it stands, what its attempts waited for, and what changed.
//!
//! The summary's last line ("limited by …") is computed from these figures. All of it is kept while
//! somebody waits anyway; an attempt that leaves at once costs no look at the clock.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{LimitChangeReason, PauseReason};

/// How many events are kept when nobody takes them; the oldest go first.
const EVENTS_MAX: usize = 256;
/// A pause that grows is told again only if it grew by this much: of 32 attempts in flight each may
/// be told to wait, each a few milliseconds after the other.
const REPORT_AGAIN: Duration = Duration::from_secs(1);

/// What the head of the line, and so everybody in it, waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// A slot.
    Slot,
    /// The rate.
    Rate,
    /// The end of a pause, or its probe's answer.
    Pause,
}

/// Where the gate stands at this instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateView {
    /// Attempts in flight.
    pub in_flight: usize,
    /// How many may be in flight now: what `--concurrency` or the controller says, or less while
    /// the pool grows after a pause.
    pub limit: usize,
    /// Attempts that wait at the gate.
    pub waiting: usize,
    /// While the pool is paused or its probe under way: the instant before which nobody leaves.
    pub paused_until: Option<Instant>,
    /// Why it is paused, if it is.
    pub pause_reason: Option<PauseReason>,
    /// Departures keep a distance: what is left of a quota is spread over the time up to its reset, or the pool
    /// was paused before.
    pub slowed: bool,
}

/// What was waited for up to now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// Waiting for a slot, summed over attempts.
    pub slot: Duration,
    /// Waiting for the rate, summed over attempts.
    pub rate: Duration,
    /// Waiting for pauses and their probes, summed over attempts.
    pub pause: Duration,
    /// Pauses, counted from the open pool: one that grows or whose probe fails is the same pause.
    pub pauses: u64,
    /// Time from the beginning of each pause to the good answer of its probe.
    pub paused: Duration,
    /// The most attempts that were in flight at once.
    pub peak: usize,
    /// Slots taken: attempts that left, resends apart.
    pub departures: u64,
    /// Departures that took the last free slot: how often the limit was truly reached.
    pub filled: u64,
}

/// Something at the gate changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateEvent {
    /// Nobody leaves before `until`; then one probe does.
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

/// Adds up what is waited for, and keeps the events until they are fetched.
#[derive(Debug)]
pub(super) struct GateEvents {
    reason: Reason,
    since: Instant,
    waits: Waits,
    paused_since: Option<Instant>,
    reported_until: Option<Instant>,
    events: VecDeque<GateEvent>,
}

impl GateEvents {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            reason: Reason::Slot,
            since: now,
            waits: Waits::default(),
            paused_since: None,
            reported_until: None,
            events: VecDeque::new(),
        }
    }

    /// Charges the time since the last call to the reason of that time. Called before the number of
    /// those `waiting` changes.
    pub(super) fn charge(&mut self, now: Instant, waiting: usize) {
        let span = now.saturating_duration_since(self.since);
        self.since = now;
        if waiting > 0 {
            let sum = match self.reason {
                Reason::Slot => &mut self.waits.slot,
                Reason::Rate => &mut self.waits.rate,
                Reason::Pause => &mut self.waits.pause,
            };
            *sum = sum.saturating_add(span.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX)));
        }
    }

    /// From here on the line waits for this. The time before must be charged.
    pub(super) fn blame(&mut self, reason: Reason) {
        self.reason = reason;
    }

    /// What the line waits for.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// The pool is paused until then.
    pub(super) fn paused(&mut self, now: Instant, until: Instant, reason: PauseReason) {
        if self.paused_since.is_none() {
            self.paused_since = Some(now);
            self.waits.pauses += 1;
        }
        if let Some(GateEvent::Paused { until: last_until, reason: last_reason }) = self.events.back_mut() {
            (*last_until, *last_reason) = (until, reason);
        } else if self.reported_until.is_none_or(|told| until >= told + REPORT_AGAIN) {
            self.push(GateEvent::Paused { until, reason });
        } else {
            return;
        }
        self.reported_until = Some(until);
    }

    /// The pool is open again.
    pub(super) fn resumed(&mut self, now: Instant) {
        if let Some(since) = self.paused_since.take() {
            self.waits.paused += now.saturating_duration_since(since);
        }
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

    /// The sums, with what is still going on.
    pub(super) fn waits(&mut self, now: Instant, waiting: usize) -> Waits {
        self.charge(now, waiting);
        let going_on = self.paused_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        Waits { paused: self.waits.paused + going_on, ..self.waits }
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
    fn waiting_is_charged_to_its_reason_once_for_each_that_waits() {
        let now = Instant::now();
        let mut events = GateEvents::new(now);
        events.charge(now + second(1), 0);
        events.blame(Reason::Rate);
        events.charge(now + second(3), 5);
        events.blame(Reason::Pause);
        let waits = events.waits(now + second(4), 2);
        assert_eq!((waits.slot, waits.rate, waits.pause), (second(0), second(10), second(2)));
    }

    #[test]
    fn a_pause_that_grows_by_a_little_is_told_once() {
        let now = Instant::now();
        let mut events = GateEvents::new(now);
        events.paused(now, now + second(2), REFUSED);
        events.paused(now, now + second(3), REFUSED);
        assert_eq!(events.take_events(), [GateEvent::Paused { until: now + second(3), reason: REFUSED }]);
        events.paused(now, now + second(3) + Duration::from_millis(5), REFUSED);
        assert!(events.take_events().is_empty());
        events.paused(now, now + second(9), PauseReason::Outage);
        assert_eq!(events.take_events().len(), 1);
        events.resumed(now + second(10));
        assert_eq!(events.take_events(), [GateEvent::Resumed]);
        let waits = events.waits(now + second(20), 0);
        assert_eq!((waits.pauses, waits.paused), (1, second(10)));
    }

    #[test]
    fn changes_that_nobody_fetches_are_bounded() {
        let mut events = GateEvents::new(Instant::now());
        (0..10_000).for_each(|limit| events.limited(limit, GROWS));
        let events = events.take_events();
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(events.last(), Some(&GateEvent::LimitChanged { limit: 9_999, reason: GROWS }));
    }
}
