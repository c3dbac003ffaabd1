//! The number in flight: what changes it.

use tokio::time::Instant;

use super::super::LoadSignal;
use super::super::adaptive::{Adaptive, AttemptSample, START};
use super::{Departure, Pool};
use crate::model::LimitChangeReason;

impl Pool {
    /// An outage pauses the pool. Too many in flight may be its cause, where fewer than twice the limit were accepted since
    /// the pause before. So few as a run begins with are not: a limit on the rate refuses these, too.
    pub(super) fn lower_for_outage(&mut self, now: Instant) {
        let limit = self.slots.limit();
        let lower = (limit / 2).clamp(START, self.accepted.max(START));
        if self.accepted < limit * 2 && lower < limit {
            self.limit_accepted = None;
            self.before_outage.get_or_insert(limit);
            self.set_limit(lower, LimitChangeReason::FewCame, now);
        }
    }

    /// The pause is over. What is still in flight since before it may hang until its timeout: it takes no place of the
    /// lower number, or neither the probe nor what follows it could leave.
    pub(super) fn leave_room_beside_old(&mut self, now: Instant) {
        let Some(before) = self.before_outage.take() else { return };
        let limit = (self.slots.in_flight() + START).min(before);
        if self.slots.in_flight() > 0 && limit > self.slots.limit() {
            self.set_limit(limit, LimitChangeReason::FewCame, now);
        }
    }

    pub(super) fn set_limit(&mut self, limit: usize, reason: LimitChangeReason, now: Instant) {
        let (departures, ceiling) = (self.slots.departures(), self.ceiling);
        let adaptive = self.adaptive.get_or_insert_with(|| Adaptive::held_at(limit, ceiling));
        let now = now.saturating_duration_since(self.start);
        match reason {
            _ if limit > self.slots.limit() => adaptive.raise(limit, departures, now),
            LimitChangeReason::FewCame => adaptive.lower_for_outage(limit, departures, now),
            _ => adaptive.cap(limit, departures, now),
        }
        self.resize(limit, reason);
    }

    /// Whether the number in flight explains how this attempt ended: refusals that a learnt rate explains say nothing
    /// about it, nor do those for which the pool is paused.
    pub(super) fn is_for_adaptive(&self, departure: Departure, signal: LoadSignal) -> bool {
        match signal {
            LoadSignal::Refused { .. } => false,
            LoadSignal::Strained { .. } => self.learned.is_idle() && !self.pause.is_paused(),
            _ => !departure.was_paced,
        }
    }

    /// Passes the end of an attempt to the controller, and applies its decision.
    pub(super) fn adapt(&mut self, departure: Departure, signal: LoadSignal, now: &impl Fn() -> Instant) {
        let Some(adaptive) = &mut self.adaptive else { return };
        let sample = AttemptSample {
            signal,
            level: departure.level,
            limit: departure.limit,
            full: self.slots.was_full_since(departure.number),
            ramp: self.pause.ramp().unwrap_or(usize::MAX),
            number: departure.number,
            departures: self.slots.departures(),
            paused: departure.epoch != self.pause.epoch(),
        };
        let start = self.start;
        if let Some(decision) = adaptive.observe(&sample, || now().saturating_duration_since(start)) {
            self.slots.resize(decision.limit);
            if let Some(reason) = decision.reason {
                self.events.limited(decision.limit, reason);
            }
        }
    }
}
