//! What a pause of the pool leads to.

use std::time::Duration;

use super::{Adaptive, AttemptSample, Mode, PATIENCE_CAPPED, PATIENCE_PAUSED};
use crate::model::LimitChangeReason;

impl Adaptive {
    /// A refusal that paused the pool: each costs everybody a pause, so one is enough to step back.
    pub(super) fn refused_all(
        &mut self,
        sample: &AttemptSample,
        now: impl FnOnce() -> Duration,
    ) -> Option<LimitChangeReason> {
        if sample.number < self.answered_until {
            return None;
        }
        self.answered_until = sample.departures;
        self.failed_at = self.limit;
        // What was refused in the start left in a bunch, which says little of what the spread pool may do.
        let starts = matches!(self.mode, Mode::Start);
        self.limit = self.part(if starts { 0.7 } else { 0.9 });
        self.proven = self.limit;
        self.step = if starts { None } else { Some(1) };
        // To grow again takes some rounds; what that costs is to be little beside the time between two tries.
        #[expect(clippy::disallowed_methods, reason = "a measured latency, at most 64 times")]
        let growth = Duration::from_secs_f64(self.lowest.unwrap_or(0.0) * f64::from(self.limit.ilog2()));
        self.rest(now(), true, PATIENCE_PAUSED.max(growth * 10));
        self.enter(Mode::Hold, sample.departures);
        Some(LimitChangeReason::RefusedAndPaused)
    }

    /// The pool was paused because an attempt was refused with more than `limit` in flight, while none that was accepted
    /// had so many beside it.
    pub(in crate::limit) fn cap(&mut self, limit: usize, departures: u64, now: Duration) {
        self.answered_until = departures;
        self.limit = limit.clamp(1, self.max);
        self.failed_at = self.limit;
        self.proven = self.limit;
        self.step = Some(1);
        self.rest(now, true, PATIENCE_CAPPED);
        self.enter(Mode::Hold, departures);
    }

    /// The pool is paused for an outage of which too many in flight may be the cause. From this lower limit it grows fast.
    pub(in crate::limit) fn lower_for_outage(&mut self, limit: usize, departures: u64, now: Duration) {
        self.cap(limit, departures, now);
        self.step = None;
    }

    /// The number was lowered for what had nothing to do with it, to less than this: it may grow to this again at once.
    pub(in crate::limit) fn raise(&mut self, limit: usize, departures: u64, now: Duration) {
        let proven = self.limit;
        self.cap(limit, departures, now);
        self.proven = proven;
    }
}
