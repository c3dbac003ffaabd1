//! Limits that the server does not announce, learnt from what it accepts and refuses. Pure: the time is a parameter.
//!
//! The time between one recovery and the next is a cycle: attempts are accepted, then some are refused, the pool pauses,
//! and a probe is accepted. What the refusals show depends on how the cycle went:
//!
//! - **A cap on the number in flight**: what was refused left while more were in flight than with any that was
//!   accepted. The pool goes on with fewer in flight; if the next refusal comes at a number that was accepted, or if a probe
//!   is refused, which was alone, it is no cap.
//! - **A window** (so many in a period): the server stayed closed for long (by what it asks for, or because probes were
//!   refused), after it had accepted many at once. The pool sends as many again at once, then waits for the end of the
//!   period. If the server refuses before half of them, it was no window.
//! - **A rate** otherwise: as many a second as were accepted in the cycle, pauses included, or what a bucket would
//!   explain (`bucket`). From then on attempts leave at even distances, and one that is refused alone takes 5 % off and
//!   pauses nothing.

mod bucket;
mod cycle;
mod ended_attempt;
mod failure_allowance;
mod given_rate;
mod growth;
mod newest_outcomes;
mod probes;
mod rate;
mod rate_trial;
mod recovery;
mod strain;
mod strain_span;
mod strained;
mod window;

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

pub(super) use ended_attempt::EndedAttempt;
pub(super) use strain::StrainVerdict;

use bucket::BucketEstimate;
use cycle::{Cycle, OutagePauses, Refusals};
use probes::{Closing, FIRST_PAUSE, SECOND_PROBE, next_probe};
use rate::LearnedRate;
use strain::Strain;
use window::{LearnedWindow, WindowAdvice};

/// A single refusal is judged by so many of the newest outcomes.
const RECENT: u32 = 8;
/// A refusal is taken to have come alone if no more than this many of the newest outcomes are refusals.
const ALONE: u32 = 2;
/// Answers that may be refusals are taken for such only if so many of the newest outcomes are.
const SEVERAL: u32 = 6;
/// What a refusal leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reaction {
    /// Pause until then.
    pub(super) pause_until: Option<Instant>,
    /// No more than this many in flight.
    pub(super) in_flight: Option<usize>,
}

/// When an attempt may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LearnedAdvice {
    /// Now.
    Leave,
    /// At this instant.
    At(Instant),
    /// Once nothing is in flight.
    LeaveAlone,
    /// The window is used up: after a pause until then, with a probe.
    WindowUsed(Instant),
}

/// A limit that was learnt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LearnedLimit {
    /// So many attempts a second.
    Rate(f64),
    /// So many in a period, however fast they come.
    Window {
        /// How many.
        capacity: u64,
        /// The period.
        period: Duration,
    },
}

/// The limits that were learnt.
#[derive(Debug, Default)]
pub(super) struct LearnedLimits {
    rate: Option<LearnedRate>,
    /// The rate that was given up because the server seemed to fail by itself.
    shelved_rate: Option<LearnedRate>,
    window: Option<LearnedWindow>,
    cycle: Cycle,
    /// When the first of the cycles before this one began that ended without a refusal, and how many were accepted in them.
    unrefused: Option<(Instant, u64)>,
    /// Whether refusals have ended a cycle before.
    was_refused_before: bool,
    /// The most that were in flight with an accepted attempt of an earlier cycle.
    accepted_level: usize,
    /// The lowest number in flight that was taken for a cap.
    cap: Option<usize>,
    /// Many more were in flight with an attempt that was accepted.
    is_cap_denied: bool,
    /// Probes that were refused since the last accepted attempt.
    refused_probes: u32,
    /// The newest outcomes, a bit each; 1 is a refusal.
    recent: u32,
    windows_denied: u32,
    /// The newest long time in which the server refused everything without saying for how long.
    ban: Option<Closing>,
    bucket: BucketEstimate,
    /// The newest rate that it showed.
    lowest_rate: Option<f64>,
    /// When the first of the refusals came that no accepted attempt has followed.
    refused_since: Option<Instant>,
    strain: Strain,
    /// An outage that pauses the pool.
    outage: Option<OutagePauses>,
    /// Since when everything fails, by answers that a server may give that fails by itself.
    failing_since: Option<Instant>,
    /// How many were accepted until everything failed for long, the last time.
    accepted_until_closed: Option<u64>,
}

impl LearnedLimits {
    /// Whether nothing holds attempts back.
    pub(super) fn is_idle(&self) -> bool {
        self.rate.is_none() && self.window.is_none()
    }

    /// Whether a number in flight is taken for a cap, until a refusal shows otherwise.
    pub(super) fn may_be_cap(&self) -> bool {
        self.cycle.refusals.is_some_and(|refusals| refusals.may_be_cap)
    }

    /// Whether the time of the first departure is still to be noted.
    pub(super) fn is_unused(&self) -> bool {
        self.cycle.began.is_none()
    }

    /// For how long refusals have come without an accepted attempt.
    pub(super) fn refused_for(&self, now: Instant) -> Duration {
        self.refused_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The limit that holds the pool back, if there is one.
    pub(super) fn limit(&self) -> Option<LearnedLimit> {
        match (&self.window, &self.rate) {
            (Some(window), _) => {
                Some(LearnedLimit::Window { capacity: window.capacity(), period: window.configured_period() })
            }
            (None, Some(rate)) if rate.is_proven() => Some(LearnedLimit::Rate(rate.limit())),
            _ => None,
        }
    }

    /// The lowest rate that explains what was accepted until the newest refusal, where a rate is learnt.
    pub(super) fn lowest_rate(&self) -> Option<f64> {
        self.lowest_rate.filter(|_| self.window.is_none() && self.rate.is_some())
    }

    /// Whether departures that are late at the learnt rate are not caught up on.
    pub(super) fn keeps_distance(&self) -> bool {
        self.rate.as_ref().is_some_and(LearnedRate::keeps_distance)
    }

    /// When an attempt that has its turn may leave.
    pub(super) fn advice(&self, now: Instant) -> LearnedAdvice {
        if let Some(Err(until)) = self.rate.as_ref().map(|rate| rate.may_depart(now)) {
            return LearnedAdvice::At(until);
        }
        match self.window.as_ref().map_or(WindowAdvice::Leave, |window| window.advice(now)) {
            WindowAdvice::Leave => LearnedAdvice::Leave,
            WindowAdvice::LeaveAlone => LearnedAdvice::LeaveAlone,
            WindowAdvice::TryAt(instant) => LearnedAdvice::At(instant),
            // The period may have passed while nothing was to be sent.
            WindowAdvice::UsedUntil(end) => {
                LearnedAdvice::WindowUsed(end.max(now + Duration::from_millis(1)))
            }
        }
    }

    /// An outage pauses the pool, or goes on to do so after a probe.
    pub(super) fn pause_for_outage(&mut self, now: Instant) {
        self.outage.get_or_insert(OutagePauses { began: now, newest: now }).newest = now;
    }

    /// Takes note of a departure; `now` is called only where it counts.
    pub(super) fn left(&mut self, now: impl FnOnce() -> Instant) {
        if self.is_idle() && !self.is_unused() {
            return;
        }
        let now = now();
        self.cycle.began.get_or_insert(now);
        self.bucket.begin(now);
        if let Some(rate) = &mut self.rate {
            rate.left(now);
        }
        if let Some(window) = &mut self.window {
            window.left();
        }
    }

    /// Takes note of an attempt that the server accepted, whatever it answered.
    pub(super) fn accepted(&mut self, ended: &EndedAttempt, now: impl Fn() -> Instant) {
        self.note(false);
        self.refused_since = None;
        if !ended.is_probe {
            self.failing_since = None;
        }
        self.cycle.accepted += 1;
        self.bucket.accepted(&now);
        self.cycle.accepted_level = self.cycle.accepted_level.max(ended.level);
        if let Some(refusals) = &mut self.cycle.refusals {
            refusals.accepted_after += u32::from(ended.number > refusals.number && !ended.is_probe);
        }
        if self.strain.accepted(ended)
            && let Some(rate) = &mut self.rate
        {
            *rate = LearnedRate::new(rate.per_second(), true, now());
        }
        if self.is_idle() || ended.is_old {
            return;
        }
        if let Some(rate) = &mut self.rate {
            rate.accepted(now(), ended.was_paced && !self.strain.holds(rate.per_second()));
        }
        // A probe belongs to the window that it opens.
        if !ended.is_probe && self.window.as_mut().is_some_and(|window| !window.accepted(self.cycle.accepted))
        {
            self.replace_window(now());
        }
    }

    /// How many of so many newest outcomes are refusals.
    fn newest(&self, outcomes: u32) -> u32 {
        (self.recent & ((1 << outcomes) - 1)).count_ones()
    }

    fn note(&mut self, is_refusal: bool) {
        self.recent = self.recent << 1 | u32::from(is_refusal);
    }

    /// Takes note of a refusal. `asked`: the wait that the answer asks for.
    pub(super) fn refused(
        &mut self,
        ended: &EndedAttempt,
        asked: Option<Duration>,
        now: Instant,
        clock: SystemTime,
    ) -> Reaction {
        if !ended.is_unclear {
            self.note(true);
        }
        self.refused_since.get_or_insert(now);
        let asked_until = asked.and_then(|wait| now.checked_add(wait));
        if ended.is_probe && !ended.is_old {
            return self.probe_refused(ended, asked_until, (now, clock));
        }
        if ended.is_old {
            if self.window.is_some() && ended.number >= self.cycle.first {
                // The window was taken to hold more than it does: all had left before the first was refused.
                self.cycle.refusals.get_or_insert(Refusals { refused: 0, ..Refusals::at(now, ended) });
            }
            // The pool is paused for others that left with it; it may ask for a longer wait.
            if let Some(refusals) = &mut self.cycle.refusals {
                refusals.asked_until = refusals.asked_until.max(asked_until);
                refusals.refused += 1;
            }
            return Reaction { pause_until: asked_until, in_flight: None };
        }
        let alone = if ended.is_unclear { SEVERAL - 1 } else { ALONE };
        let came_alone = self.newest(RECENT) <= alone && ended.was_paced;
        let estimate = self.estimate(asked, now);
        let mut is_corrected = false;
        if came_alone && let Some(rate) = &mut self.rate {
            // Where a refusal costs a pause, the next one is to be avoided.
            if rate.refused_once(now, ended, estimate.filter(|_| asked_until.is_some())) {
                self.bucket.emptied(now);
            }
            if asked_until.is_none() {
                return Reaction::default();
            }
            is_corrected = true;
        }
        if asked_until.is_none() && self.is_bearable_at_given_rate(ended, alone, now) {
            return Reaction::default();
        }
        self.is_cap_denied |= self.cap.is_some_and(|cap| self.cycle.accepted_level > cap + cap / 4 + 1);
        // The server's count is not quite this one: its answers are under way for a while.
        self.is_cap_denied |=
            ended.level + 2 <= self.accepted_level && ended.level * 5 <= self.accepted_level * 4;
        let is_higher = ended.level > self.cycle.accepted_level && ended.level > 1;
        let may_be_cap = self.is_idle() && is_higher && !self.is_cap_denied;
        if may_be_cap {
            self.cap = Some(self.cap.map_or(ended.level - 1, |cap| cap.min(ended.level - 1)));
        }
        self.cycle.refusals = Some(Refusals {
            at: now,
            asked_until,
            may_be_cap,
            is_corrected,
            estimate,
            ..Refusals::at(now, ended)
        });
        if let Some(window) = &mut self.window {
            window.refused(now);
        }
        let used = self.window.as_ref().filter(|window| window.is_half_used());
        let window_end = used.map(LearnedWindow::end).filter(|end| *end > now);
        let until = asked_until.or(window_end).unwrap_or(now + FIRST_PAUSE);
        Reaction { pause_until: Some(until), in_flight: may_be_cap.then(|| ended.level - 1) }
    }

    /// What the attempts that were accepted until this refusal show of the limit.
    fn estimate(&mut self, asked: Option<Duration>, now: Instant) -> Option<f64> {
        let estimate = self.bucket.rate(now)?;
        let estimate = self.bucket.gained(now).map_or(estimate, |gained| gained.max(estimate));
        let refused = self.rate.as_ref().map(LearnedRate::per_second);
        let of_second = refused.and_then(|refused| self.bucket.rate_of_second(estimate, refused, asked));
        self.lowest_rate = Some(of_second.unwrap_or(estimate));
        self.lowest_rate
    }

    fn probe_refused(
        &mut self,
        ended: &EndedAttempt,
        asked_until: Option<Instant>,
        (now, clock): (Instant, SystemTime),
    ) -> Reaction {
        let began = *self.cycle.began.get_or_insert(now);
        let refusals = self.cycle.refusals.get_or_insert(Refusals::at(now, ended));
        (refusals.closed_until, refusals.asked_until) = (Some(now), asked_until);
        refusals.may_be_cap = false;
        self.refused_probes += 1;
        let window_next = match &mut self.window {
            Some(window) if now >= window.end() => Some(window.lengthen(now)),
            _ => None,
        };
        let as_before =
            self.ban.filter(|_| self.rate.is_some() && self.window.is_none() && !ended.is_unclear);
        let as_before = as_before.and_then(|ban| ban.next_probe(refusals.at, self.refused_probes, now));
        let until = asked_until.or(window_next).or(as_before).unwrap_or_else(|| {
            let since = now.saturating_duration_since(began);
            match (ended.is_unclear, self.refused_probes) {
                // Where a server fails by itself, a single probe shows little.
                (true, refused) if !refused.is_multiple_of(2) => now + SECOND_PROBE,
                (true, refused) => next_probe(now, since, refused / 2, clock),
                (false, refused) => next_probe(now, since, refused, clock),
            }
        });
        Reaction { pause_until: Some(until), in_flight: None }
    }
}

#[cfg(test)]
mod tests;
