//! The trial of a lower rate, which tells a limit from a server that fails by itself. Pure.

/// So many refusals are to be expected in a trial if they come by chance …
const EXPECTED: f64 = 12.0;
/// … and a trial has at least so many outcomes …
const TRIAL_LEAST: f64 = 24.0;
/// … of which this part of the refusals that are expected shows chance.
const PART: f64 = 0.33;

/// A lower rate is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateTrial {
    /// The rate at its beginning.
    pub(super) rate: f64,
    /// Departures before this one do not count.
    pub(super) from: u64,
    /// The share that was refused before it.
    pub(super) share_before: f64,
    /// Counted departures that were accepted …
    pub(super) accepted: u32,
    /// … and that were refused.
    pub(super) strained: u32,
    /// Where the rate comes from, and whether it may grow.
    pub(super) state: TrialState,
}

/// Where the rate of a trial comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TrialState {
    /// It is a guess, or what was accepted in a short time.
    Guess,
    /// It is well below a rate that was accepted for long.
    Lowered,
    /// The lowered rate grew until it was refused; a rate just below that is tried and does not grow.
    Held,
}

impl RateTrial {
    /// The rate was refused and lowered, from this departure on.
    pub(super) fn hold(&mut self, from: u64) {
        *self = Self { from, accepted: 0, strained: 0, state: TrialState::Held, ..*self };
    }

    fn least(&self) -> f64 {
        (EXPECTED / self.share_before).max(TRIAL_LEAST)
    }

    /// Whether as many are refused as before, as far as the trial has come.
    pub(super) fn shows_chance(&self) -> bool {
        f64::from(self.strained) >= PART * self.share_before * self.least()
    }

    /// Whether a departure is one of those that are counted. Refusals come sooner than good answers, so that what counts
    /// is the order in which they left.
    pub(super) fn counts(&self, number: u64) -> bool {
        number >= self.from && ((number - self.from) as f64) < self.least()
    }

    /// Whether enough outcomes have come, or the departures that count are long past.
    pub(super) fn is_over(&self, number: u64) -> bool {
        let is_past = number >= self.from && (number - self.from) as f64 > self.least() * 2.0;
        is_past || f64::from(self.accepted + self.strained) >= self.least()
    }
}
