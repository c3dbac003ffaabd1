//! Latencies of one slice of time: eight counters for each doubling.
//!
//! A report shows hundreds of slices, so each must be small: a kilobyte, where the run's own histogram has
//! some hundred thousand. A percentile is off by an eighth at most, and mostly by much less.

use std::time::Duration;

/// Below this each microsecond has a counter of its own.
const FINE: u64 = 16;
/// Doublings from there to 2³² µs, more than the hour that a latency is cut to.
const DOUBLINGS: usize = 28;
const PARTS: usize = 8;
#[allow(clippy::cast_possible_truncation, reason = "16")]
const COUNTERS: usize = FINE as usize + DOUBLINGS * PARTS;

/// Counts by latency.
#[derive(Debug, Clone)]
pub(crate) struct LatencyBuckets {
    counts: Box<[u32; COUNTERS]>,
    /// The fastest and the slowest, in microseconds: no percentile lies outside.
    ends: Option<(u64, u64)>,
}

impl Default for LatencyBuckets {
    fn default() -> Self {
        Self { counts: Box::new([0; COUNTERS]), ends: None }
    }
}

impl LatencyBuckets {
    pub(crate) fn record(&mut self, micros: u64) {
        let count = &mut self.counts[place(micros)];
        *count = count.saturating_add(1);
        self.reach(micros, micros);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count = count.saturating_add(*more);
        }
        if let Some((least, most)) = other.ends {
            self.reach(least, most);
        }
    }

    fn reach(&mut self, least: u64, most: u64) {
        let (from, to) = self.ends.unwrap_or((least, most));
        self.ends = Some((from.min(least), to.max(most)));
    }

    /// The latency that this share of the answers did not take longer than; none without an answer. Those of
    /// one counter are taken for spread over it evenly.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let (least, most) = self.ends?;
        let total: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let mut left = total as f64 * share.clamp(0.0, 1.0);
        let end = self.counts.iter().rposition(|count| *count > 0)?;
        for (place, count) in self.counts.iter().enumerate().take(end + 1) {
            let count = f64::from(*count);
            if count > 0.0 && (left <= count || place == end) {
                let (from, to) = bounds(place);
                let part = (left / count).clamp(0.0, 1.0);
                let micros = (from + (to - from) * part).clamp(least as f64, most as f64);
                return Duration::try_from_secs_f64(micros / 1e6).ok();
            }
            left -= count;
        }
        None
    }
}

fn place(micros: u64) -> usize {
    if micros < FINE {
        return usize::try_from(micros).unwrap_or(0);
    }
    let micros = micros.min(u64::from(u32::MAX));
    let doubling = micros.ilog2() - FINE.ilog2();
    let part = (micros >> (doubling + 1)) & (PARTS as u64 - 1);
    usize::try_from(FINE + u64::from(doubling) * PARTS as u64 + part).unwrap_or(COUNTERS - 1)
}

/// What a counter counts: from and to, in microseconds.
fn bounds(place: usize) -> (f64, f64) {
    let place = place as u64;
    if place < FINE {
        return (place as f64, place as f64);
    }
    let (doubling, part) = ((place - FINE) / PARTS as u64, (place - FINE) % PARTS as u64);
    let width = 2u64 << doubling;
    let from = (PARTS as u64 + part) * width;
    (from as f64, (from + width) as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_latency_is_reproduced_within_a_sixteenth(micros in 1u64..3_600_000_000) {
            let mut coarse = LatencyBuckets::default();
            coarse.record(micros);
            let back = coarse.quantile(0.5).unwrap().as_micros() as f64;
            prop_assert!((back - micros as f64).abs() <= micros as f64 / 16.0, "{} as {}", micros, back);
        }
    }

    #[test]
    fn no_quantile_is_above_the_slowest_or_below_the_fastest() {
        let mut coarse = LatencyBuckets::default();
        for micros in [301_500, 302_000, 303_000] {
            coarse.record(micros);
        }
        let mut later = LatencyBuckets::default();
        later.record(306_000);
        coarse.merge(&later);
        for share in [0.0, 0.5, 0.95, 0.99, 1.0] {
            let quantile = coarse.quantile(share).unwrap().as_micros();
            assert!((301_500..=306_000).contains(&quantile), "{share}: {quantile}");
        }
    }

    #[test]
    fn quantiles_rise_and_the_ends_are_in_bounds() {
        let mut coarse = LatencyBuckets::default();
        assert_eq!(coarse.quantile(0.5), None);
        for micros in [0, 1, 15, 16, 1_000, 2_000, u64::MAX] {
            coarse.record(micros);
        }
        let shares = [0.0, 0.1, 0.5, 0.95, 0.99, 1.0].map(|share| coarse.quantile(share).unwrap());
        assert!(shares.is_sorted(), "{shares:?}");
        let half = shares[2].as_micros();
        assert!((16..=18).contains(&half), "{half}");
        let mut both = coarse.clone();
        both.merge(&coarse);
        assert_eq!(both.quantile(0.5), coarse.quantile(0.5));
    }
}
