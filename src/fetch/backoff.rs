//! How long one job waits before a retry: a pure function; the caller sleeps.

use std::time::Duration;

/// The bound of the longest draw.
const CAP: Duration = Duration::from_secs(30);
/// The bound of the first draw.
const BASE: Duration = Duration::from_millis(500);

/// Full jitter: `rand(0, min(30 s, 0.5 s × 2^n))`, where `n` is 0 for the first retry.
///
/// The jitter is drawn after the cap is applied, so that jobs that failed together stay spread however often they fail.
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog,
/// 2015 ("full jitter").
#[must_use]
pub(super) fn backoff(n: u32, rng: &mut fastrand::Rng) -> Duration {
    bound(n).mul_f64(rng.f64())
}

/// The wait before the last retry: `rand(bound / 2, bound)`, with the bound of [`backoff`]. Several short draws in a row
/// would otherwise use up all retries within one peak of the load.
#[must_use]
pub(super) fn last_backoff(n: u32, rng: &mut fastrand::Rng) -> Duration {
    bound(n).mul_f64(0.5 + rng.f64() / 2.0)
}

fn bound(n: u32) -> Duration {
    2u32.checked_pow(n).and_then(|factor| BASE.checked_mul(factor)).map_or(CAP, |wait| wait.min(CAP))
}

/// The step of the back-off after so many failures of one SKU for the load; none: it is sent again at once. A SKU that
/// fails again may be bad: others go first. One that fails often waits longer, so that it is not given up while the
/// limit is still being found.
pub(super) fn strained_step(failures: u32) -> Option<u32> {
    match failures {
        0 | 1 => None,
        2 => Some(0),
        3..=8 => Some(1),
        9..=12 => Some(2),
        13..=16 => Some(3),
        _ => Some(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_never_overflows() {
        let bounds: Vec<u64> = (0..8).map(|n| u64::try_from(bound(n).as_millis()).unwrap()).collect();
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(bound(u32::MAX), CAP);
    }

    #[test]
    fn draws_fill_the_whole_range_also_at_the_cap() {
        let mut rng = fastrand::Rng::with_seed(7);
        for n in [0, 3, 20] {
            let draws: Vec<Duration> = (0..2000).map(|_| backoff(n, &mut rng)).collect();
            assert!(draws.iter().all(|wait| *wait <= bound(n)));
            assert!(draws.iter().any(|wait| *wait < bound(n) / 20));
            assert!(draws.iter().any(|wait| *wait > bound(n) / 20 * 19));
            let last: Vec<Duration> = (0..2000).map(|_| last_backoff(n, &mut rng)).collect();
            assert!(last.iter().all(|wait| (bound(n) / 2..=bound(n)).contains(wait)));
            assert!(last.iter().any(|wait| *wait < bound(n) / 40 * 21));
            assert!(last.iter().any(|wait| *wait > bound(n) / 40 * 39));
        }
    }
}
