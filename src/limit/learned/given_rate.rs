//! Refusals at the rate that `--rate` gives.

use tokio::time::Instant;

use super::rate::LearnedRate;
use super::{EndedAttempt, LearnedLimits, RECENT};

/// So many of the newest 32 outcomes may be refusals.
const SELDOM: u32 = 3;

impl LearnedLimits {
    /// Whether a refusal needs no pause, because `--rate` held the attempt back: it is as fast as the user says that the
    /// limit is, so that what comes a little too soon is refused now and then. If that is not seldom, a lower rate is
    /// learnt. `alone`: the most refusals among the newest outcomes that may have come alone.
    pub(super) fn is_bearable_at_given_rate(
        &mut self,
        ended: &EndedAttempt,
        alone: u32,
        now: Instant,
    ) -> bool {
        let Some(given) = ended.given_rate.filter(|_| self.is_idle()) else { return false };
        if self.recent.count_ones() <= SELDOM {
            return true;
        }
        let came_alone = self.newest(RECENT) <= alone;
        if came_alone {
            self.rate = Some(LearnedRate::new(given, false, now));
        }
        came_alone
    }
}
