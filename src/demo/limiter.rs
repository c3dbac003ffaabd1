//! The rate limit of the catalogue API.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Rate;

/// Requests that may be saved up, at least: a client that keeps the rate on average, and catches up after a
/// late timer, is not limited.
const BURST: u32 = 5;

/// The shortest time to save up, for high rates: the delay of a packet on a busy machine.
const SLACK: Duration = Duration::from_millis(100);

/// A token bucket, represented by the instant at which it will be full again (GCRA).
#[derive(Debug)]
pub(crate) struct Limiter {
    interval: Duration,
    tolerance: Duration,
    full_at: Mutex<Option<Instant>>,
}

impl Limiter {
    /// Full at first.
    pub(crate) fn new(rate: Rate) -> Self {
        let interval = rate.interval();
        Self { interval, tolerance: SLACK.max(interval * BURST), full_at: Mutex::new(None) }
    }

    /// Takes a token, or gives the time until there is one.
    pub(crate) fn refuse(&self, now: Instant) -> Option<Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full_at.map_or(now, |at| at.max(now)) + self.interval;
        let wait = (next - now).checked_sub(self.tolerance).filter(|wait| !wait.is_zero());
        if wait.is_none() {
            *full_at = Some(next);
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_at_the_rate_is_never_refused_and_one_at_twice_the_rate_is_half_the_time() {
        let limiter = Limiter::new("200/s".parse().unwrap());
        for _ in 0..2000 {
            assert_eq!(limiter.refuse(Instant::now()), None);
            tokio::time::advance(Duration::from_millis(5)).await;
        }
        let mut refused = 0;
        for _ in 0..2000 {
            refused += u32::from(limiter.refuse(Instant::now()).is_some());
            tokio::time::advance(Duration::from_micros(2500)).await;
        }
        assert!((970..=1000).contains(&refused), "{refused}");
    }
}
