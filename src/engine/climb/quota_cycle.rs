//! The window of a quota, from the pauses until its resets: what was accepted from one reset to the next.

use std::time::Duration;

use tokio::time::Instant;

use crate::limit::LearnedLimit;
use crate::model::QuotaSize;

/// A quota of which this part was accepted began with the climb.
const FROM_THE_START: f64 = 0.9;
/// Resets are told in whole seconds, and probes are late.
const USUAL: [u64; 12] = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 900, 3_600];
const LATE: f64 = 1.5;
const LATE_PART: f64 = 0.03;

/// What happened since the newest reset.
pub(super) struct QuotaCycle {
    /// When it was, and how many had been accepted by then.
    began: (Instant, u64),
    /// The quota was whole then.
    is_whole: bool,
    /// How many had been accepted when it was used up.
    used_up: Option<u64>,
}

impl QuotaCycle {
    /// Nothing was sent before `started`.
    pub(super) fn new(started: Instant) -> Self {
        Self { began: (started, 0), is_whole: false, used_up: None }
    }

    /// Takes note of whether the pool waits for a reset. Returns the window at a reset, if it was whole, or once the fields
    /// say both its size and its length.
    pub(super) fn sample(
        &mut self,
        is_used_up: bool,
        (accepted, quota): (u64, Option<QuotaSize>),
        now: Instant,
    ) -> Option<LearnedLimit> {
        if !is_used_up {
            let used_up = self.used_up.take()?;
            let (began, before) = std::mem::replace(&mut self.began, (now, used_up));
            let capacity = used_up.saturating_sub(before);
            let was_whole = std::mem::replace(&mut self.is_whole, true);
            let period = usual(now.saturating_duration_since(began));
            return (was_whole && capacity > 0).then_some(LearnedLimit::Window { capacity, period });
        }
        if self.used_up.is_none() {
            let size = quota.map_or(f64::INFINITY, |quota| quota.limit);
            self.is_whole |= (accepted - self.began.1) as f64 >= size * FROM_THE_START;
        }
        self.used_up = Some(accepted);
        let QuotaSize { limit, window } = quota?;
        let capacity = limit.max(0.0).round();
        let period = window.filter(|period| !period.is_zero() && capacity >= 1.0)?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number that is positive"
        )]
        let capacity = capacity as u64;
        Some(LearnedLimit::Window { capacity, period })
    }
}

/// The usual length that is a little shorter, if there is one.
fn usual(measured: Duration) -> Duration {
    let seconds = measured.as_secs_f64();
    let is_near = |usual: &&u64| {
        let off = seconds - **usual as f64;
        (-0.1..=LATE.max(seconds * LATE_PART)).contains(&off) && off <= seconds / 2.0
    };
    USUAL.iter().rev().find(is_near).map_or(measured, |usual| Duration::from_secs(*usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_quota_that_was_whole_at_the_start_is_known_at_its_reset_another_one_cycle_later() {
        let size = Some(QuotaSize { limit: 100.0, window: None });
        let start = Instant::now();
        let minute = |capacity| Some(LearnedLimit::Window { capacity, period: Duration::from_mins(1) });
        let mut whole = QuotaCycle::new(start);
        assert_eq!(whole.sample(false, (60, size), start), None);
        assert_eq!(whole.sample(true, (98, size), start + seconds(4.0)), None);
        assert_eq!(whole.sample(true, (100, size), start + seconds(4.1)), None);
        assert_eq!(whole.sample(false, (100, size), start + seconds(61.0)), minute(100));
        let mut begun = QuotaCycle::new(start);
        assert_eq!(begun.sample(true, (20, size), start + seconds(1.0)), None);
        assert_eq!(begun.sample(false, (20, size), start + seconds(31.0)), None);
        assert_eq!(begun.sample(true, (120, size), start + seconds(35.0)), None);
        assert_eq!(begun.sample(false, (120, size), start + seconds(91.5)), minute(100));
    }

    #[test]
    fn fields_that_say_size_and_length_need_no_reset() {
        let start = Instant::now();
        let size = Some(QuotaSize { limit: 5_000.0, window: Some(Duration::from_hours(1)) });
        let hour = LearnedLimit::Window { capacity: 5_000, period: Duration::from_hours(1) };
        assert_eq!(QuotaCycle::new(start).sample(true, (7, size), start), Some(hour));
    }

    #[test]
    fn a_period_is_called_by_the_number_that_was_configured() {
        for (measured, period) in
            [(60.9, 60.0), (10.4, 10.0), (1.2, 1.0), (3_640.0, 3_600.0), (7.3, 7.3), (45.0, 45.0)]
        {
            assert_eq!(usual(seconds(measured)), seconds(period), "{measured}");
        }
    }
}
