//! Departures that keep their distance, once the pool was paused.
//!
//! Attempts that leave together are answered together where answers take equally long. After a pause the pool would
//! leave in bursts from then on, and a rate limiter refuses bursts even if the mean rate is far below its limit. So the pool is spread over the time that an answer takes, as TCP paces a
//! window over its round trip. Never a reason to go faster.

use std::time::Duration;

use tokio::time::Instant;

/// Departures may be this much faster than answers come: 120 % is what Linux paces a full TCP window with
/// (`tcp_pacing_ca_ratio`), so that the gaps never hold a pool back for good.
const FASTER: f64 = 1.2;
/// The weight of one answer in the mean.
const WEIGHT: f64 = 1.0 / 32.0;
/// A departure that is late by a timer's tick or two is caught up on.
const CREDIT: Duration = Duration::from_millis(2);

/// The distance between departures.
#[derive(Debug, Default)]
pub(super) struct Spread {
    active: bool,
    /// Mean time of good answers, in seconds.
    latency: f64,
    /// When the next one is due.
    next: Option<Instant>,
}

impl Spread {
    /// From now on departures keep their distance.
    pub(super) fn begin(&mut self) {
        self.active = true;
    }

    /// Whether departures keep no distance.
    pub(super) fn is_idle(&self) -> bool {
        !self.active
    }

    /// Takes note of a good answer.
    pub(super) fn answered(&mut self, latency: Duration) {
        let latency = latency.as_secs_f64();
        self.latency += if self.latency == 0.0 { latency } else { (latency - self.latency) * WEIGHT };
    }

    /// The mean time of good answers.
    pub(super) fn latency(&self) -> Duration {
        Duration::try_from_secs_f64(self.latency).unwrap_or_default()
    }

    /// Whether an attempt may depart at `now`.
    ///
    /// # Errors
    /// The instant to try again at.
    pub(super) fn may_depart(&self, now: Instant) -> Result<(), Instant> {
        match self.next.filter(|next| self.active && *next > now) {
            Some(next) => Err(next),
            None => Ok(()),
        }
    }

    /// Takes note of a departure, where this many may be in flight.
    pub(super) fn left(&mut self, now: Instant, limit: usize) {
        if self.active {
            #[expect(clippy::disallowed_methods, reason = "a part of a measured latency")]
            let gap = Duration::from_secs_f64(self.latency / (limit.max(1) as f64 * FASTER));
            let due = self.next.map_or(now, |next| next.max(now.checked_sub(CREDIT).unwrap_or(now)));
            self.next = Some(due + gap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn spread() -> Spread {
        let mut spread = Spread::default();
        (0..100).for_each(|_| spread.answered(millis(120)));
        spread
    }

    #[test]
    fn nobody_keeps_a_distance_before_the_first_pause() {
        let (mut spread, now) = (spread(), Instant::now());
        spread.left(now, 10);
        assert!(spread.is_idle());
        assert_eq!(spread.may_depart(now), Ok(()));
    }

    #[test]
    fn a_full_pool_leaves_within_five_sixths_of_the_time_that_an_answer_takes() {
        let (mut spread, start) = (spread(), Instant::now());
        spread.begin();
        let mut now = start;
        for _ in 0..10 {
            if let Err(due) = spread.may_depart(now) {
                now = due;
            }
            assert_eq!(spread.may_depart(now), Ok(()));
            spread.left(now, 10);
        }
        let took = now - start;
        assert!((millis(89)..=millis(91)).contains(&took), "{took:?}");
    }

    #[test]
    fn late_timers_do_not_slow_it_down_and_a_quiet_time_earns_nothing() {
        let (mut spread, start) = (spread(), Instant::now());
        spread.begin();
        let (mut now, mut left) = (start, 0);
        // Gaps of a tenth of a millisecond, timers that tick in milliseconds.
        while now < start + millis(100) {
            while spread.may_depart(now) == Ok(()) {
                spread.left(now, 1000);
                left += 1;
            }
            now += millis(1);
        }
        assert!((950..=1050).contains(&left), "{left}");
        now += millis(5000);
        let mut at_once = 0;
        while spread.may_depart(now) == Ok(()) {
            spread.left(now, 1000);
            at_once += 1;
        }
        assert!(at_once <= 22, "{at_once}");
    }
}
