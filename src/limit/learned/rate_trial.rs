//! The trial of a lower rate, which tells a limit from a server that fails by itself. Pure.

use super::EndedAttempt;

/// So many refusals are to be expected in a trial if they come by chance …
const EXPECTED: f64 = 12.0;
/// … and a trial has at least so many outcomes …
const TRIAL_LEAST: f64 = 24.0;
/// … and at most so many …
const TRIAL_MOST: f64 = 200.0;
/// … of which this part of the refusals that are expected shows chance.
const PART: f64 = 0.33;

/// Where the rate may be above a limit, a share that is lower than before shows no chance if the logarithm of the ratio of
/// the likelihoods, that of two shares to that of one, is at least this …
const LOWER: f64 = 4.0;
/// … this is enough where the refusals come in even rows, …
const LOWER_IN_ROWS: f64 = 1.0;
/// … the trial goes on if it is at least this …
const PERHAPS_LOWER: f64 = 2.0;
/// … for at most so many outcomes.
const PERHAPS_MOST: f64 = 48.0;

/// A server seldom fails so large a share by itself …
const MOST_REFUSED: f64 = 0.7;
/// … if that is so many standard deviations above half of them.
const DEVIATIONS_ABOVE_HALF: f64 = 2.8;

/// So many outcomes before a trial do not count in the comparison with it if nothing was accepted in the run before it.
const TRIGGERING: f64 = 6.0;

/// A limit refuses fewer than this many of the attempts at a rate just below the one that it refused.
const BY_CHANCE: u32 = 3;

/// The order of so many departures is looked at.
const ORDERED: u64 = 128;
/// It shows whether a limit refuses them from so many distances on …
const DISTANCES: f64 = 5.0;
/// … or fewer, once the trial is over.
const DISTANCES_LEAST: f64 = 3.0;
/// It is looked at where no more than this many are in flight.
const FEW_IN_FLIGHT: usize = 2;
/// A limit leaves this part of the variance that chance brings about, and a little more, since a distance is a whole number.
const EVEN_PART: f64 = 0.07;
const EVEN_LEAST: f64 = 0.12;
/// The distances between the first refusals of each row have at most this variance where a window is exceeded. By chance it
/// is 4 or more: a row of each kind has a geometric distribution.
const EVEN_ROWS: f64 = 0.26;
/// If two or more of these distances have a higher variance than this, more of them will not be even either.
const UNEVEN_ROWS: f64 = 1.0;

/// A lower rate is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateTrial {
    /// The rate at its beginning.
    pub(super) rate: f64,
    /// Departures before this one do not count.
    pub(super) from: u64,
    /// What was refused before it.
    pub(super) before: ShareBefore,
    /// Counted departures that were accepted …
    pub(super) accepted: u32,
    /// … and that were refused.
    pub(super) strained: u32,
    /// Where the rate comes from, and whether it may grow.
    pub(super) state: TrialState,
    /// Which of the first departures that count were accepted, a bit each …
    pub(super) accepted_bits: u128,
    /// … and which were refused.
    pub(super) refused_bits: u128,
    /// The most that were in flight with one that was refused.
    pub(super) refused_level: usize,
}

/// What was refused before a trial.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShareBefore {
    /// The share …
    pub(super) share: f64,
    /// … of so many outcomes.
    pub(super) outcomes: f64,
}

/// Where the rate of a trial comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TrialState {
    /// It is a guess, or what was accepted in a short time.
    Guess,
    /// A guess that is higher than what was accepted before, because little was sent then. Once something is refused at it,
    /// it does not grow: a limit may refuse most of it.
    Raised,
    /// What was accepted at a raised one, at which most was refused.
    MuchLower,
    /// It is well below a rate that was accepted for long.
    Lowered,
    /// The lowered rate grew until it was refused; a rate just below that is tried and does not grow.
    Held,
}

/// Why many were refused in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalCause {
    /// The server fails by itself.
    Chance,
    /// The rate is over a limit.
    Limit,
}

/// The distances between departures.
#[derive(Debug, Clone, Copy)]
struct Distances {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Distances {
    /// Those between the ones of `bits`, each from one to the next.
    fn between(bits: u128) -> Self {
        let places = (0..ORDERED).filter(|place| bits >> place & 1 == 1);
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (place, next) in places.clone().zip(places.skip(1)) {
            let distance = (next - place) as f64;
            (count, sum, squares) = (count + 1.0, sum + distance, squares + distance * distance);
        }
        let mean = sum / f64::max(count, 1.0);
        Self { count, mean, variance: squares / f64::max(count, 1.0) - mean * mean }
    }
}

impl RateTrial {
    /// A trial of this rate, from the departure `from` on.
    pub(super) fn new(rate: f64, from: u64, before: ShareBefore, state: TrialState) -> Self {
        Self {
            rate,
            from,
            before,
            accepted: 0,
            strained: 0,
            state,
            accepted_bits: 0,
            refused_bits: 0,
            refused_level: 0,
        }
    }

    /// Nothing had been accepted in the run before the trial: so many had to fail for there to be one.
    pub(super) fn count_fewer_before(&mut self) {
        self.before.outcomes = (self.before.outcomes - TRIGGERING).max(0.0);
    }

    /// The rate was refused and lowered, from this departure on.
    pub(super) fn hold(&mut self, from: u64) {
        *self = Self::new(self.rate, from, self.before, TrialState::Held);
    }

    /// Takes note of an outcome.
    pub(super) fn note(&mut self, ended: &EndedAttempt, is_strained: bool) {
        if !self.counts(ended.number) {
            return;
        }
        let place = ended.number.checked_sub(self.from).filter(|place| *place < ORDERED);
        let bit = place.map_or(0, |place| 1 << place);
        if is_strained {
            self.strained += 1;
            self.refused_bits |= bit;
            self.refused_level = self.refused_level.max(ended.level);
        } else {
            self.accepted += 1;
            self.accepted_bits |= bit;
        }
    }

    /// Whether refusals come as evenly as where a limit is exceeded: of attempts at even distances it refuses each second
    /// one, or each third, or accepts each third. By chance the distance from one to the next has a geometric
    /// distribution. `None`: there are too few.
    fn are_even(&self, distances: f64) -> Option<bool> {
        // A cap on the number in flight refuses evenly, too, where all answers take equally long.
        if self.refused_level > FEW_IN_FLIGHT {
            return Some(false);
        }
        let (accepted, refused) = (self.accepted_bits, self.refused_bits);
        let seldom = if refused.count_ones() <= accepted.count_ones() { refused } else { accepted };
        let of_seldom = Distances::between(seldom);
        if of_seldom.count < distances {
            return None;
        }
        let mean = of_seldom.mean;
        let is_even = of_seldom.variance <= mean * (mean - 1.0) * EVEN_PART + EVEN_LEAST;
        if is_even || !self.is_raised() {
            return Some(is_even);
        }
        // A window accepts several, then refuses several, again and again.
        let of_rows = Distances::between(refused & accepted << 1);
        if of_rows.count >= 2.0 && of_rows.variance > UNEVEN_ROWS {
            return Some(false);
        }
        let are_even = of_rows.variance <= EVEN_ROWS && self.lower_by() >= LOWER_IN_ROWS;
        (of_rows.count >= distances).then_some(are_even)
    }

    /// Whether the rate may be above a limit.
    pub(super) fn is_raised(&self) -> bool {
        matches!(self.state, TrialState::Raised | TrialState::MuchLower)
    }

    /// Whether it may be so far above a limit that most is refused at it, as before it.
    pub(super) fn may_be_far_above(&self) -> bool {
        let ShareBefore { share, outcomes } = self.before;
        let deviations = (share - 0.5) * 2.0 * outcomes.sqrt();
        let were_most = share >= MOST_REFUSED && deviations >= DEVIATIONS_ABOVE_HALF;
        self.state == TrialState::Raised && were_most && self.accepted > 0
    }

    /// The share that fails.
    pub(super) fn share_refused(&self) -> f64 {
        f64::from(self.strained) / self.outcomes().max(1.0)
    }

    /// The share that fails, less two failures: a trial may end with one, and a share that is too high lets the rate exceed
    /// a limit for the rest of the run.
    pub(super) fn share(&self) -> f64 {
        let outcomes = self.accepted + self.strained;
        f64::from(self.strained.saturating_sub(2)) / f64::from(outcomes.saturating_sub(1).max(1))
    }

    fn least(&self) -> f64 {
        (EXPECTED / self.before.share).clamp(TRIAL_LEAST, TRIAL_MOST)
    }

    fn outcomes(&self) -> f64 {
        f64::from(self.accepted + self.strained)
    }

    /// The logarithm of the ratio of two likelihoods: that the share in the trial differs from the one before, and that both
    /// are the same. Negative where it is no lower than before.
    fn lower_by(&self) -> f64 {
        let (refused, outcomes) = (f64::from(self.strained), self.outcomes());
        let ShareBefore { share: share_before, outcomes: before } = self.before;
        let refused_before = share_before * before;
        let entropy = |count: f64, of: f64| if count > 0.0 { count * (count / of).ln() } else { 0.0 };
        let likelihood = |refused: f64, of: f64| entropy(refused, of) + entropy(of - refused, of);
        let apart = likelihood(refused, outcomes) + likelihood(refused_before, before);
        let ratio = apart - likelihood(refused + refused_before, outcomes + before);
        if refused < share_before * outcomes { ratio } else { -ratio }
    }

    /// Whether as many are refused as before, as far as the trial has come.
    fn are_many_refused(&self) -> bool {
        self.strained >= BY_CHANCE && f64::from(self.strained) >= PART * self.before.share * self.least()
    }

    /// What it shows once many were refused, after the outcome of this departure. `None`: nothing yet.
    pub(super) fn cause(&self, number: u64) -> Option<RefusalCause> {
        if !self.are_many_refused() {
            return None;
        }
        let are_even = match self.are_even(DISTANCES) {
            None if !self.is_over(number) => return None,
            None => self.are_even(DISTANCES_LEAST) == Some(true),
            Some(are_even) => are_even,
        };
        if !are_even && self.is_raised() {
            let lower = self.lower_by();
            if lower >= LOWER {
                return Some(RefusalCause::Limit);
            }
            if lower >= PERHAPS_LOWER && self.outcomes() < PERHAPS_MOST {
                return None;
            }
        }
        Some(if are_even { RefusalCause::Limit } else { RefusalCause::Chance })
    }

    /// The share that failed at a rate that a limit does not refuse; `None`: hardly any.
    pub(super) fn share_by_chance(&self) -> Option<f64> {
        (self.state == TrialState::Held && self.strained >= BY_CHANCE).then(|| self.share())
    }

    /// Whether a departure is one of those that are counted. Refusals come sooner than good answers, so that what counts
    /// is the order in which they left.
    pub(super) fn counts(&self, number: u64) -> bool {
        let most = if self.is_raised() { PERHAPS_MOST } else { self.least() };
        number >= self.from && ((number - self.from) as f64) < most
    }

    /// Whether the departures that count are long past.
    fn is_past(&self, number: u64) -> bool {
        number >= self.from && (number - self.from) as f64 > self.least() * 2.0
    }

    /// Whether enough outcomes have come, or none will.
    fn is_over(&self, number: u64) -> bool {
        self.is_past(number) || f64::from(self.accepted + self.strained) >= self.least()
    }

    /// Whether it is over without a cause after this departure was accepted. Where many were refused, the next refusal
    /// shows one, if it comes soon.
    pub(super) fn ends_with(&self, number: u64) -> bool {
        self.is_past(number) || (self.is_over(number) && !self.are_many_refused())
    }
}
