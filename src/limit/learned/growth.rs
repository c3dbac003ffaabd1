//! How fast a learnt rate grows. Pure.

use std::time::Duration;

/// What is left of the rate after a refusal that came alone.
pub(super) const CUT: f64 = 0.95;
/// A pause that is longer than this, in seconds, must not come often.
pub(super) const LONG_PAUSE: f64 = 5.0;
/// A pause in seconds that was not asked for, and is no longer than this, has met an open server with its first probe.
pub(super) const SHORT_PAUSE: f64 = 0.75;
/// A rate this many times the one that was refused last shows that the limit has risen.
pub(super) const RISEN: f64 = 1.05;
/// Below this part of the rate that was refused last it grows faster.
const NEAR: f64 = 0.93;
/// Below this part it is far from it.
const FAR: f64 = 0.5;
/// Of the time between two refusals at most this part may be lost to the pause that a refusal costs, once the limit is
/// known: it was refused three times in a row at about the same rate. Before that, of a pause that is not short, twice as
/// much, and at first four times.
const PAUSE_SHARE: f64 = 0.05;

/// How fast the rate grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Growth {
    /// By this part of itself in a second …
    pub(super) per_second: f64,
    /// … and at most by this part for each accepted attempt, so that slow rates are refused no larger share.
    pub(super) per_attempt: f64,
    /// … and at least by this part, so that a fast rate bears that one in a hundred is refused: timers are late by a
    /// millisecond, and a limiter without a burst refuses what follows too soon.
    pub(super) least: f64,
}

/// Nothing is known but that the rate is too low.
const DOUBLING: Growth = Growth { per_second: 0.7, per_attempt: 0.2, least: 0.0 };
/// It is far below what was accepted before.
const RETURNING: Growth = Growth { per_second: 0.2, per_attempt: 0.1, least: 0.0 };
/// After the first refusals.
const FAST: Growth = Growth { per_second: 0.15, per_attempt: 0.012, least: 0.0 };
const MEDIUM: Growth = Growth { per_second: 0.05, per_attempt: 0.005, least: 0.0 };
/// After several: a percent a second.
const SLOW: Growth = Growth { per_second: 0.012, per_attempt: 0.001_5, least: 0.000_5 };

/// A slow rate that the limit has risen above grows by this part in a second …
const RISEN_SLOW: f64 = 0.1;
/// … and at most by this part for each accepted attempt.
const RISEN_ATTEMPT: f64 = 0.05;

/// After the first refusals it grows no slower than a slow rate otherwise does, if they cost no longer pause than this, in
/// seconds.
const UNSURE_PAUSE: f64 = 6.0;

/// However long a pause, it grows by this part in a second.
const SLOWEST: f64 = 0.001;

/// What is known of the rate that grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct GrowingRate {
    /// It, in departures a second.
    pub(super) per_second: f64,
    /// The rate that was refused last.
    pub(super) refused_at: Option<f64>,
    /// Nothing was refused at this rate or a higher one since it was set, which was a guess.
    pub(super) is_guess: bool,
    /// How often it was refused …
    pub(super) refusals: u32,
    /// … and how often in a row at about the rate of the time before.
    pub(super) confirmed: u32,
    /// The pause that a refusal which comes alone is going to cost, in seconds.
    pub(super) next_pause: f64,
    /// For how long it has been above the rate that was refused last.
    pub(super) risen_for: Duration,
}

impl Growth {
    /// How fast it grows.
    pub(super) fn of(rate: &GrowingRate) -> Self {
        if rate.is_guess {
            return DOUBLING;
        }
        let part = rate.refused_at.map_or(1.0, |refused| rate.per_second / refused);
        if part < FAR {
            return RETURNING;
        }
        if part < NEAR {
            return MEDIUM;
        }
        // It grows back what a refusal takes off within so many pauses; without bounds where there was none.
        let times = if rate.next_pause > SHORT_PAUSE { 4 >> rate.confirmed.min(2) } else { 1 };
        let share = PAUSE_SHARE * f64::from(times);
        let after_pause = ((1.0 - CUT) * share / rate.next_pause).max(SLOWEST);
        if part > RISEN {
            // As long as nothing is refused, twice as fast every two seconds, or every two pauses. What the first refusals
            // show may be far too low: the pool paused for most of the time.
            let doublings = rate.risen_for.as_secs_f64() / 2.0 / rate.next_pause.max(1.0);
            let is_unsure = rate.refusals <= 2 && rate.next_pause <= UNSURE_PAUSE;
            let least = if is_unsure { SLOW.per_second } else { 0.0 };
            let faster = after_pause.min(MEDIUM.per_second).max(least) * doublings.min(10.0).exp2();
            // The bound for an attempt is not to hold a slow rate far below a limit that has risen.
            let slow = (RISEN_SLOW / rate.per_second).min(RISEN_ATTEMPT);
            let per_attempt = if doublings >= 2.0 { FAST.per_attempt.max(slow) } else { FAST.per_attempt };
            return Growth { per_second: faster.min(DOUBLING.per_second), per_attempt, ..FAST };
        }
        let mut growth = match rate.refusals {
            ..=2 => FAST,
            3..=5 => MEDIUM,
            _ => SLOW,
        };
        if rate.next_pause > 0.0 && (rate.refusals > 2 || rate.next_pause > LONG_PAUSE) {
            growth = Growth { per_second: growth.per_second.min(after_pause), least: 0.0, ..growth };
        }
        growth
    }
}
