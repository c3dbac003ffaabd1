//! `--concurrency auto`: how many may be in flight, decided from how attempts ended. Pure: no clock, no lock, no I/O.
//!
//! By Little's law a saturated pool of `level` attempts with mean latency `w` fetches `level / w` a second. Two levels
//! are compared by `level / w` alone. Answers that cost the server nothing (404) and an input that is too slow do not
//! affect it. Overload lowers the value of a level by more than the answers that are lost.
//!
//! - **Start**: from 8, one more for each good answer, which doubles the number every round. It ends when latency
//!   doubles; Little's law then gives the position of the knee.
//! - **Hold**: the number stays, is measured, and from time to time another is tried:
//! - **Up**, if the limit is reached: kept if throughput grew by a fair part of what was added. The next try then
//!   follows at once, with a step twice as large.
//! - **Down**, if latency is higher than it was or there is overload: kept if hardly any throughput was lost. If latency
//!   rose for another reason, the lower level is worse, and the present latency becomes the new reference.
//! - **Overload above the proven level**: back at once to just below the level that met it, and the next try upward is a
//!   single step. At a proven level the number is reduced only if there is much overload, and permanently only if fewer
//!   in flight meet less: a server that fails at random does not reduce it.
//! - Latency that varies by chance seems to rise again and again. Therefore the try after a failed one downward is
//!   upward; otherwise a start that ended too low would never be corrected.
//!
//! An attempt that left while slots were free is not counted, so that a `--rate` below the limit does not change it.

mod arm;
mod judge;
mod pauses;

use std::time::Duration;

use arm::Arm;

use super::LoadSignal;
use crate::model::LimitChangeReason;

/// The number at the start: a little more than a browser opens to one host.
pub(super) const START: usize = 8;
/// Latency this many times the lowest seen ends the start.
const START_RISE: f64 = 2.0;
/// At this many times the lowest latency fewer are tried.
const RISE: f64 = 1.3;
/// The number is kept this much above the knee, so that the server always has a next request.
const MARGIN: f64 = 1.25;
/// An addition must bring at least this part of itself as throughput.
const ELASTICITY: f64 = 0.3;
/// A reduction may cost at most this part of the throughput.
const LOSS: f64 = 0.03;
/// This share of overload at a proven level lowers the number at once.
const TROUBLE: f64 = 0.10;
/// At this share of overload at a proven level fewer are tried.
const UNEASE: f64 = 0.015;
/// Overload at a level where this part of the good answers is more is not caused by the level.
const CHANCE: f64 = 0.03;
/// The time from one try to the next: doubled after each that failed. The longest is short enough to
/// find a recovery within 10 s.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_secs(4);
/// The longest after a try that paused the pool.
const PATIENCE_PAUSED: Duration = Duration::from_secs(8);
/// The longest after tries that paused the pool each time: a cap seldom changes, and each try costs a pause.
const PATIENCE_CAPPED: Duration = Duration::from_mins(1);
/// Good answers before the next try after one that was refused, likewise doubled: in the end less than
/// 1 % is refused.
const GOOD_BETWEEN: u64 = 16;
const GOOD_BETWEEN_MAX: u64 = 150;

/// How one attempt ended, and what was in flight when it left.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptSample {
    pub(super) signal: LoadSignal,
    /// In flight when it left, itself counted.
    pub(super) level: usize,
    /// How many might have been in flight when it left …
    pub(super) limit: usize,
    /// … and (nearly) all of them were, then or soon after.
    pub(super) full: bool,
    /// How many may be in flight now, while the pool grows after a pause.
    pub(super) ramp: usize,
    /// Which departure it was, from 0.
    pub(super) number: u64,
    /// How many departures there were when it ended.
    pub(super) departures: u64,
    /// The pool was paused since it left.
    pub(super) paused: bool,
}

/// A new limit, and the reason where it is worth an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LimitDecision {
    pub(super) limit: usize,
    pub(super) reason: Option<LimitChangeReason>,
}

/// What another limit is compared with.
#[derive(Debug, Clone, Copy)]
struct Try {
    before: Arm,
    from: usize,
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    Start,
    Hold,
    Up { this: Try, to: usize },
    Down { this: Try },
}

/// When a measurement ended.
#[derive(Debug, Clone, Copy)]
struct ArmEnd {
    departures: u64,
    now: Duration,
}

/// The controller.
#[derive(Debug)]
pub(super) struct Adaptive {
    max: usize,
    limit: usize,
    mode: Mode,
    arm: Arm,
    /// All that was seen since the limit changed last, while it was held.
    held: Arm,
    /// How many ends make the measurement that is going on.
    enough: u64,
    /// The lowest mean latency of an arm, in seconds.
    lowest: Option<f64>,
    /// The highest level that was held for a while with hardly a refusal.
    proven: usize,
    /// The lowest level above it that was refused in this measurement.
    lowest_refused: usize,
    /// Good answers at or above that one.
    good_above: u64,
    /// Departures before this one belong to a pause that was answered already.
    answered_until: u64,
    /// The share that is refused whatever the level is: fewer in flight did not help.
    noise: f64,
    /// The share that was refused where the limit was held last, too little to do anything about.
    borne: f64,
    /// How many more the next try upward adds; `None`: half of the limit.
    step: Option<usize>,
    /// Fewer in flight were tried for their latency, in vain: more are tried next.
    vain: bool,
    /// Tries upward in a row that failed at about the same place …
    failed: u32,
    /// … which is this limit.
    failed_at: usize,
    /// No try before this time and this many good answers.
    rest_until: Duration,
    rest_good: u64,
}

impl Adaptive {
    /// A controller that never says more than `max` (at least 1).
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            limit: START.min(max),
            mode: Mode::Start,
            arm: Arm::default(),
            held: Arm::default(),
            enough: 16,
            lowest: None,
            proven: 1,
            lowest_refused: usize::MAX,
            good_above: 0,
            answered_until: 0,
            noise: 0.0,
            borne: 0.0,
            step: None,
            vain: false,
            failed: 0,
            failed_at: 0,
            rest_until: Duration::ZERO,
            rest_good: 0,
        }
    }

    /// A controller that begins to grow at this limit.
    pub(super) fn starting_at(limit: usize, max: usize) -> Self {
        Self { limit: limit.clamp(1, max), ..Self::new(max) }
    }

    /// A controller that begins at this limit, as where a fixed number was too much for the server.
    pub(super) fn held_at(limit: usize, max: usize) -> Self {
        let mut controller = Self::new(max);
        controller.limit = limit.clamp(1, max);
        controller.enter(Mode::Hold, 0);
        controller
    }

    /// How many may be in flight.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes note of the end of an attempt. `now` counts from the beginning and is seldom asked for.
    pub(super) fn observe(
        &mut self,
        sample: &AttemptSample,
        now: impl FnOnce() -> Duration,
    ) -> Option<LimitDecision> {
        let before = self.limit;
        let reason = match sample.signal {
            LoadSignal::Overload { .. } | LoadSignal::Strained { .. } | LoadSignal::Refused { .. } => {
                self.refused(sample, now)
            }
            LoadSignal::Good { latency } if sample.full => self.answered(sample, latency, now),
            LoadSignal::Good { .. }
            | LoadSignal::Cheap
            | LoadSignal::Forbidden
            | LoadSignal::Lone503
            | LoadSignal::Fault => None,
        };
        (self.limit != before).then_some(LimitDecision { limit: self.limit, reason })
    }

    fn answered(
        &mut self,
        sample: &AttemptSample,
        latency: Duration,
        now: impl FnOnce() -> Duration,
    ) -> Option<LimitChangeReason> {
        self.rest_good = self.rest_good.saturating_sub(1);
        self.good_above += u64::from(sample.level >= self.lowest_refused);
        if sample.number >= self.arm.from {
            self.arm.add(sample, latency);
        }
        match self.mode {
            Mode::Start => self.limit = (self.limit + 1).min(self.max),
            Mode::Up { to, .. } if self.limit < to => {
                self.limit += 1;
                if self.limit == to {
                    self.arm = Arm::new(sample.departures);
                }
                return None;
            }
            _ => {}
        }
        if self.arm.count() < self.enough {
            None
        } else {
            self.judge(ArmEnd { departures: sample.departures, now: now() })
        }
    }

    fn refused(
        &mut self,
        sample: &AttemptSample,
        now: impl FnOnce() -> Duration,
    ) -> Option<LimitChangeReason> {
        if sample.paused {
            return self.refused_all(sample, now);
        }
        if sample.level > self.proven && sample.level <= self.limit {
            self.arm.bad += 1;
            self.lowest_refused = self.lowest_refused.min(sample.level);
            if self.arm.bad as f64 <= self.tolerated() {
                return None;
            }
            // What was reached is at most halved: the first few may have had bad luck.
            self.limit = (self.lowest_refused - 1).max(self.limit.min(sample.ramp) / 2).max(1);
            self.step = Some(1);
            // What else was refused in the same try is no further failure.
            if !matches!(self.mode, Mode::Hold) {
                self.failed_at = self.limit;
                self.rest(now(), true, PATIENCE_MAX);
            }
            self.enter(Mode::Hold, sample.departures);
            return Some(LimitChangeReason::RefusedAbove);
        }
        if sample.number < self.arm.from {
            return None;
        }
        self.arm.bad += 1;
        if self.arm.bad >= 8 && self.arm.refused() > TROUBLE + 2.0 * self.noise {
            let hopeless = self.arm.count() >= 16 && self.arm.refused() > 0.5;
            if hopeless || !matches!(self.mode, Mode::Down { .. }) {
                self.down(0.7, sample.departures);
                return Some(LimitChangeReason::TooManyRefused);
            }
        }
        let growing = matches!(self.mode, Mode::Up { to, .. } if self.limit < to);
        if growing || self.arm.count() < self.enough {
            return None;
        }
        self.judge(ArmEnd { departures: sample.departures, now: now() })
    }

    /// How many refusals on new ground are put down to chance: two, and what the server refuses
    /// anyway, or a small part of those that were answered well though as many were in flight: a cap
    /// lets none of them through.
    fn tolerated(&self) -> f64 {
        2.0 + (3.0 * self.noise.max(self.borne) * self.arm.count() as f64)
            .max(CHANCE * self.good_above as f64)
    }

    /// Where the pool stops to pay, a little above: latency that rose in vain is time in a queue.
    fn knee(&self, arm: &Arm, lowest: f64) -> usize {
        floor((arm.level() * lowest / arm.wait() * MARGIN).ceil()).clamp(1, self.limit)
    }

    fn prove(&mut self, arm: &Arm) {
        if arm.bad < 4 || arm.refused() <= UNEASE + 1.5 * self.noise {
            self.proven = self.proven.max(floor(arm.level()).min(self.limit));
        }
    }

    fn up(&mut self, before: &Arm, departures: u64) {
        self.vain = false;
        let step = self.step.unwrap_or(self.limit / 2).max(1);
        let to = (self.limit + step).min(self.max);
        let this = Try { before: *before, from: self.limit };
        self.enter(Mode::Up { this, to }, departures);
    }

    fn down(&mut self, factor: f64, departures: u64) {
        // A second step down is still compared with where the first began.
        let this = match self.mode {
            Mode::Down { this } => this,
            _ => Try { before: self.arm, from: self.limit },
        };
        self.limit = self.part(factor);
        self.enter(Mode::Down { this }, departures);
    }

    /// A part of the limit, at least 1.
    fn part(&self, factor: f64) -> usize {
        floor(self.limit as f64 * factor).clamp(1, self.max)
    }

    /// No try for a while, longer each time.
    fn rest(&mut self, now: Duration, refused: bool, most: Duration) {
        let times = 1 << self.failed.min(8);
        self.rest_until = now + (PATIENCE * times).min(most);
        self.rest_good = if refused { (GOOD_BETWEEN * u64::from(times)).min(GOOD_BETWEEN_MAX) } else { 0 };
        self.failed = self.failed.saturating_add(1);
    }

    fn enter(&mut self, mode: Mode, departures: u64) {
        if !matches!((self.mode, mode), (Mode::Hold, Mode::Hold)) {
            self.held = Arm::default();
        }
        self.mode = mode;
        self.arm = Arm::new(departures);
        self.lowest_refused = usize::MAX;
        self.good_above = 0;
        // A round or two, and enough to stand out from noise.
        let level = self.limit as u64;
        self.enough = match mode {
            Mode::Start => level.max(16),
            Mode::Up { to, .. } => (2 * to as u64).max(16),
            Mode::Down { .. } => (2 * level).max(48),
            Mode::Hold => (2 * level).max(32),
        };
    }
}

/// The whole part; nothing below zero comes here, and what is too large saturates.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn floor(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests;
