//! What 500, 502, 503 and 504 without a wait lead to.

use std::time::SystemTime;

use tokio::time::Instant;

use super::super::adaptive::{Adaptive, START};
use super::super::learned::{EndedAttempt, StrainVerdict};
use super::Pool;
use crate::model::{LimitChangeReason, PauseReason};

/// Where no more than this may be in flight, answers that may be refusals are taken for such: to try fewer and fewer in
/// flight, one step at a time, would take long.
const FEW: usize = 8;

impl Pool {
    /// 500, 502, 503 or 504. Whether it says something of the number in flight.
    pub(super) fn end_strained(
        &mut self,
        ended: &EndedAttempt,
        status: u16,
        (now, clock): (Instant, SystemTime),
    ) -> bool {
        match self.learned.strained(ended, (self.slots.limit() <= FEW, self.spread.latency()), now) {
            StrainVerdict::Chance | StrainVerdict::TriesBelow | StrainVerdict::MoreThanChance => {}
            // At the rate that was given the number in flight follows from the rate.
            StrainVerdict::ForNumber if ended.given_rate.is_some() && !self.learned.are_many_refused() => {}
            StrainVerdict::ForNumber => {
                let (ceiling, limit) = (self.ceiling, self.slots.limit());
                self.adaptive.get_or_insert_with(|| Adaptive::held_at(limit, ceiling));
                return true;
            }
            StrainVerdict::Refused => {
                let reaction = self.learned.refused(ended, None, now, clock);
                self.react(reaction, PauseReason::Refused { status, has_retry_after: false }, now);
            }
            // The number was lowered for what it does not explain.
            StrainVerdict::TriesRate | StrainVerdict::TriesMuchLower { .. } => {
                let limit = (self.slots.limit() * 3).clamp(START, START.max(self.ceiling));
                self.restart_at(limit.min(self.ceiling));
            }
            StrainVerdict::FoundChance => self.restart_at(self.ceiling.min(START)),
        }
        false
    }

    /// What the controller learnt of the number in flight was none of its business.
    fn restart_at(&mut self, limit: usize) {
        let is_more = limit > self.slots.limit();
        let limit = if self.is_fixed { self.ceiling } else { limit.max(self.slots.limit()) };
        self.adaptive = (!self.is_fixed).then(|| Adaptive::starting_at(limit, self.ceiling));
        self.slots.resize(limit);
        if is_more {
            self.events.limited(limit, LimitChangeReason::NotForNumber);
        }
    }
}
