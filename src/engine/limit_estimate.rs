//! The API's limit, as far as a run shows it: what the gate learnt, corrected by what was accepted.
//!
//! The gate's rate is what it aims at: timers send less, and refusals and growth move it about. What was accepted from a
//! refusal on is nearer the limit. When a bucket refuses, it holds nothing; so what it accepts from then on is at most
//! its rate, however large its burst is. The best such span is the nearest. Windows accept a whole window too much in a
//! span, so that the span has to be long beside them.

mod marks;

use std::collections::VecDeque;
use std::time::Duration;

use crate::limit::{GateView, LearnedLimit};
use crate::model::LimitChangeReason;
use crate::report::{AcceptedAndRefused, round_rate};
use marks::{Mark, Marks, SHORT_PAUSE};

/// Slices of a second that count.
const SLICES: usize = 30;
const SLICE: Duration = Duration::from_secs(1);
/// So many slices on end show the highest rate that was accepted for a while.
const PEAK_SLICES: usize = 5;
/// In this many of the newest slices the limit is no higher than what was aimed at.
const NEWEST_SLICES: usize = 15;
/// A number of requests in flight that was held in so many slices is no trial.
const HELD_SLICES: usize = 3;
/// If more than this part is refused with no more in flight than the cap, it is none.
const REFUSED_AT_CAP: f64 = 0.03;
/// A limit that is measured is taken for a round number that is lower by at most this part …
const ROUNDED_DOWN: f64 = 0.03;
/// … or higher by at most this part.
const ROUNDED_UP: f64 = 0.026;

/// What happened in a slice of the time in which a limit held the pool back.
#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    time: Duration,
    paused: Duration,
    accepted: u64,
    refused: u64,
    /// The learnt rate, summed over the time; none was learnt in `unlearned` of it.
    learned: f64,
    unlearned: Duration,
    /// The number that might be in flight last.
    limit: usize,
}

/// The limit, from samples.
#[derive(Debug, Default)]
pub(super) struct LimitEstimate {
    learned: Option<LearnedLimit>,
    slices: VecDeque<Slice>,
    marks: Marks,
    /// The newest instant at which something was held back.
    newest: Mark,
    since_start: Duration,
    accepted: u64,
    refused: u64,
    /// The time in short pauses, and how long the present one is.
    paused: Duration,
    pause: Duration,
    /// The rate as it was estimated last: once a slice.
    rate: Option<f64>,
    /// The lowest rate that explains what was accepted until the newest refusal, as the gate found it.
    lowest: Option<f64>,
    /// The number that might be in flight after it was lowered for a refusal last.
    refused_back_to: Option<usize>,
}

impl LimitEstimate {
    /// Takes note of how many may be in flight. A higher number that was only tried is not reported, so that one that is
    /// lowered for a refusal need not be lower than the one before it.
    pub(super) fn limit_changed(&mut self, limit: usize, reason: LimitChangeReason) {
        if reason.is_refusal() {
            self.refused_back_to = Some(limit);
        }
    }

    /// Takes note of the time since the last sample.
    pub(super) fn sample(&mut self, view: &GateView, span: Duration, ended: AcceptedAndRefused) {
        let AcceptedAndRefused { accepted, refused } = ended;
        self.since_start += span;
        let newly_accepted = accepted.saturating_sub(std::mem::replace(&mut self.accepted, accepted));
        let newly_refused = refused.saturating_sub(std::mem::replace(&mut self.refused, refused));
        (self.learned, self.lowest) = (view.learned, view.lowest_rate);
        let is_paused = view.paused_until.is_some();
        self.pause_lasts(if is_paused { Some(span) } else { None });
        let now = Mark { at: self.since_start, accepted, paused: self.paused };
        match view.learned {
            Some(LearnedLimit::Rate(_)) if newly_refused > 0 => self.marks.push(now),
            Some(LearnedLimit::Rate(_)) => {}
            // What comes before a rate holds the pool back is a burst in part.
            _ => self.marks.clear(),
        }
        // Where the number in flight is the limit and small, a job that waits is hardly ever seen.
        let is_full = view.learned.is_none() && view.in_flight >= view.limit;
        if !is_paused && view.waiting == 0 && !is_full {
            return;
        }
        self.newest = now;
        if self.slices.back().is_none_or(|slice| slice.time >= SLICE) {
            if self.slices.len() == SLICES {
                self.slices.pop_front();
            }
            self.rate = self.estimated();
            self.slices.push_back(Slice::default());
        }
        let Some(slice) = self.slices.back_mut() else { return };
        slice.time += span;
        slice.paused += if is_paused { span } else { Duration::ZERO };
        slice.accepted += newly_accepted;
        slice.refused += newly_refused;
        if !is_paused {
            slice.limit = view.limit;
        }
        match view.learned {
            Some(LearnedLimit::Rate(rate)) => slice.learned += rate * span.as_secs_f64(),
            _ => slice.unlearned += span,
        }
    }

    /// Adds short pauses up. A pause that turns out to be long is taken off again.
    fn pause_lasts(&mut self, span: Option<Duration>) {
        let Some(span) = span else {
            self.pause = Duration::ZERO;
            return;
        };
        let was_short = self.pause <= SHORT_PAUSE;
        self.pause += span;
        if self.pause <= SHORT_PAUSE {
            self.paused += span;
        } else if was_short {
            self.paused = (self.paused + span).saturating_sub(self.pause);
        }
    }

    /// The limit; none where none was learnt.
    pub(super) fn limit(&self) -> Option<LearnedLimit> {
        Some(match self.learned? {
            LearnedLimit::Rate(rate) => LearnedLimit::Rate(self.rate.unwrap_or(rate)),
            window @ LearnedLimit::Window { .. } => window,
        })
    }

    /// How many may be in flight, where refusals showed that, and no rate or window.
    pub(super) fn in_flight(&self) -> Option<usize> {
        let lowered = self.refused_back_to?;
        let near = lowered + lowered / 3 + 1;
        if self.learned.is_some() || self.refused == 0 {
            return None;
        }
        let held = |limit: usize| self.slices.iter().filter(move |slice| slice.limit == limit);
        let is_held = |limit: &usize| held(*limit).count() >= HELD_SLICES;
        let limits = self.slices.iter().map(|slice| slice.limit).filter(|limit| *limit > 0);
        let cap = limits.filter(is_held).max_by_key(|limit| (held(*limit).count(), *limit))?;
        // If it is the cap, hardly anything is refused there.
        let (accepted, refused) = held(cap)
            .fold((0, 0), |(accepted, refused), slice| (accepted + slice.accepted, refused + slice.refused));
        (cap <= near && refused as f64 <= REFUSED_AT_CAP * accepted as f64).then_some(cap)
    }

    fn estimated(&self) -> Option<f64> {
        let slices: Vec<Slice> =
            self.slices.iter().copied().filter(|slice| slice.unlearned.is_zero()).collect();
        let newest = &slices[slices.len().saturating_sub(NEWEST_SLICES)..];
        let aimed_at = newest.iter().map(Slice::aimed_at).reduce(f64::max)?;
        // A bucket whose refusals are followed by a ban shows less in the marks, which count the time of long pauses.
        let measured = [self.marks.best(self.newest), self.lowest];
        let rate = measured.into_iter().flatten().reduce(f64::max)?.min(aimed_at);
        let peak = newest.windows(PEAK_SLICES.min(newest.len().max(1))).map(sum).map(|span| span.rate());
        let peak = peak.reduce(f64::max).unwrap_or(rate);
        let highest = (rate * (1.0 + ROUNDED_UP)).min(peak.max(rate));
        Some(round_rate(rate, rate * (1.0 - ROUNDED_DOWN)..=highest).unwrap_or(rate))
    }
}

impl Slice {
    /// The learnt rate.
    fn aimed_at(&self) -> f64 {
        self.learned / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// What was accepted a second while nothing was paused, but no more than was aimed at.
    fn rate(&self) -> f64 {
        let open = self.time.saturating_sub(self.paused).as_secs_f64();
        (self.accepted as f64 / open.max(f64::MIN_POSITIVE)).min(self.aimed_at())
    }
}

fn sum(slices: &[Slice]) -> Slice {
    slices.iter().fold(Slice::default(), |sum, slice| Slice {
        time: sum.time + slice.time,
        paused: sum.paused + slice.paused,
        accepted: sum.accepted + slice.accepted,
        refused: sum.refused + slice.refused,
        learned: sum.learned + slice.learned,
        unlearned: sum.unlearned + slice.unlearned,
        limit: slice.limit,
    })
}

#[cfg(test)]
mod tests;
