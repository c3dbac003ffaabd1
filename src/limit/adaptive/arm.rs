//! One arm of a comparison: what was seen while about the same number was in flight.

use std::time::Duration;

use super::AttemptSample;

/// A refusal counts like this many answers lost: politeness as a number. With it, 3 % refused are as
/// bad as 17 % fewer answers.
const REFUSAL: i32 = 6;
/// What was measured at one level.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arm {
    /// The first departure that counts.
    pub(super) from: u64,
    pub(super) good: u64,
    pub(super) bad: u64,
    latency: f64,
    level: f64,
}

impl Arm {
    /// An empty measurement of what leaves from this departure on.
    pub(super) fn new(from: u64) -> Self {
        Self { from, ..Self::default() }
    }

    /// How many ended.
    pub(super) fn count(&self) -> u64 {
        self.good + self.bad
    }

    /// Takes in a good answer.
    pub(super) fn add(&mut self, sample: &AttemptSample, latency: Duration) {
        self.good += 1;
        self.latency += latency.as_secs_f64();
        self.level += sample.limit as f64;
    }

    /// Mean latency of the good answers, in seconds; none: a wait without end.
    pub(super) fn wait(&self) -> f64 {
        if self.good == 0 { f64::INFINITY } else { (self.latency / self.good as f64).max(1e-9) }
    }

    /// How many were in flight, on average.
    pub(super) fn level(&self) -> f64 {
        if self.good == 0 { 0.0 } else { self.level / self.good as f64 }
    }

    /// The share that was refused.
    pub(super) fn refused(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { self.bad as f64 / self.count() as f64 }
    }

    /// Answers a second by Little's law, less what the refusals cost; one may be chance.
    pub(super) fn worth(&self) -> f64 {
        let refused = self.bad.saturating_sub(1) as f64 / self.count().max(1) as f64;
        self.level() / self.wait() * (1.0 - refused).powi(REFUSAL)
    }

    /// Takes in another measurement of the same level.
    pub(super) fn merge(&mut self, other: &Self) {
        self.good += other.good;
        self.bad += other.bad;
        self.latency += other.latency;
        self.level += other.level;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::LoadSignal;
    use super::*;

    #[test]
    fn twice_the_level_at_the_same_latency_is_worth_twice_as_much_and_refusals_take_from_it() {
        let arm = |level: usize, millis: u64, bad: u64| {
            let latency = Duration::from_millis(millis);
            let signal = LoadSignal::Good { latency };
            let sample = AttemptSample {
                signal,
                level,
                limit: level,
                full: true,
                ramp: usize::MAX,
                number: 0,
                departures: 0,
                paused: false,
            };
            let mut arm = Arm::new(0);
            (0..97).for_each(|_| arm.add(&sample, latency));
            arm.bad = bad;
            arm
        };
        let one = arm(10, 100, 0);
        assert!((arm(20, 100, 0).worth() / one.worth() - 2.0).abs() < 1e-9);
        assert!((arm(20, 200, 0).worth() / one.worth() - 1.0).abs() < 1e-9);
        assert!((0.80..0.85).contains(&(arm(10, 100, 4).worth() / one.worth())));
        assert!((1.0 - arm(10, 100, 1).worth() / one.worth()).abs() < 1e-9);
        assert!(Arm::new(0).worth() < 1e-12);
    }
}
