//! What came of attempts since a departure, and since a rate is learnt. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// A rate was lowered if this part of it is left at most.
pub(super) const LOWERED: f64 = 0.85;
/// What is left of a span when it is over.
const FADES: f64 = 0.75;
/// So many refusals at a learnt rate …
const DOUBTFUL_LONG: u32 = 16;
/// … which are this share of the outcomes …
const TOO_MANY_LONG: f64 = 0.045;
/// … in so long a time are more than its growth brings about, if the rate was lowered meanwhile.
const LONG: Duration = Duration::from_secs(10);

/// What came of the attempts from one departure on. Older outcomes may count less.
#[derive(Debug, Clone, Copy)]
pub(super) struct StrainSpan {
    pub(super) began: Instant,
    /// Departures before this one had left before.
    pub(super) from: u64,
    /// Seconds before it began.
    pub(super) earlier: f64,
    pub(super) accepted: f64,
    pub(super) strained: f64,
    pub(super) unexplained: f64,
    /// The most that were in flight with an accepted attempt.
    pub(super) highest: u32,
    /// The learnt rate at its beginning.
    pub(super) rate: Option<f64>,
}

impl StrainSpan {
    pub(super) fn new(began: Instant, from: u64, rate: Option<f64>) -> Self {
        Self { began, from, earlier: 0.0, accepted: 0.0, strained: 0.0, unexplained: 0.0, highest: 0, rate }
    }

    pub(super) fn outcomes(&self) -> f64 {
        self.accepted + self.strained
    }

    pub(super) fn share(&self) -> f64 {
        self.strained / self.outcomes().max(1.0)
    }

    pub(super) fn seconds(&self, now: Instant) -> f64 {
        self.earlier + now.saturating_duration_since(self.began).as_secs_f64()
    }

    /// With what was before it.
    pub(super) fn after(&self, before: Option<Self>) -> Self {
        let Some(before) = before else { return *self };
        Self {
            earlier: self.earlier + before.earlier,
            accepted: self.accepted + before.accepted,
            strained: self.strained + before.strained,
            unexplained: self.unexplained + before.unexplained,
            highest: self.highest.max(before.highest),
            ..*self
        }
    }

    /// What is left of it once it is over.
    pub(super) fn faded(&self, now: Instant) -> Self {
        Self {
            earlier: self.seconds(now) * FADES,
            accepted: self.accepted * FADES,
            strained: self.strained * FADES,
            unexplained: self.unexplained * FADES,
            ..*self
        }
    }
}

/// What came of the attempts since the first one that was strained at a learnt rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacedRun {
    pub(super) began: Instant,
    /// The highest rate since.
    pub(super) highest: f64,
    pub(super) accepted: u32,
    pub(super) strained: u32,
}

impl PacedRun {
    /// Whether a fair part was strained all the time, though the rate was lowered.
    pub(super) fn is_strained_at(&self, rate: f64, now: Instant) -> bool {
        let share = f64::from(self.strained) / (f64::from(self.accepted) + f64::from(self.strained));
        now.saturating_duration_since(self.began) >= LONG
            && self.strained >= DOUBTFUL_LONG
            && share >= TOO_MANY_LONG
            && rate <= self.highest * LOWERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_fails_for_long_though_the_rate_was_lowered_is_more_than_a_limit_refuses() {
        let now = Instant::now();
        let later = now + LONG;
        let run = PacedRun { began: now, highest: 30.0, accepted: 180, strained: 20 };
        assert!(run.is_strained_at(25.0, later));
        assert!(
            !run.is_strained_at(25.0, later.checked_sub(Duration::from_millis(1)).unwrap()),
            "not for long"
        );
        assert!(!run.is_strained_at(26.0, later), "it was hardly lowered");
        assert!(PacedRun { accepted: 350, ..run }.is_strained_at(25.0, later), "one in twenty");
        assert!(!PacedRun { accepted: 500, ..run }.is_strained_at(25.0, later), "seldom");
        assert!(!PacedRun { accepted: 18, strained: 2, ..run }.is_strained_at(25.0, later), "two");
    }
}
