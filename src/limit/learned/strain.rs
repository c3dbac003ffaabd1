//! What 500, 502, 503 and 504 without a wait mean: a cap on the number in flight, a rate, or a server that fails by
//! itself. Pure.
//!
//! - A **cap** refuses what leaves while more are in flight than with what is accepted. The number in flight explains it.
//! - A **rate** refuses at numbers in flight that are accepted as well, and it stops where the pool goes a little slower
//!   than what was accepted.
//! - **Chance** does not: as large a share fails at the lower rate. It is no reason to go slower, so that such answers
//!   count no more until much more of them come.
//!
//! The lower rate is therefore tried once, for as many attempts as it takes to tell the two apart. Where a rate was
//! accepted for long before, the lower one grows until it is refused, and then stays just below.
//!
//! A server can have both a limit and failures by chance. The share that fails is measured in such a trial, just below
//! what was refused. Beside a learnt rate, so many failures are then no refusals.

use std::time::Duration;

use tokio::time::Instant;

use super::EndedAttempt;
use super::failure_allowance::FailureAllowance;
use super::newest_outcomes::{KEPT, NewestOutcomes};
use super::rate_trial::{RateTrial, RefusalCause, ShareBefore, TrialState};
use super::strain_span::{LOWERED, PacedRun, StrainSpan};

/// A refusal at this part of the highest number in flight that was accepted counts whole …
const LOWER: f64 = 0.85;
/// … one above it counts less: where the number is one too high, a few are refused and most are accepted.
const AT_TOP: f64 = 0.4;
/// What is alone is never refused for the number.
const ALONE: f64 = 2.0;
/// A rate is tried after so many refusals that the number does not explain …
const UNEXPLAINED: f64 = 6.0;
/// … and this share of all outcomes, if in all …
const UNEXPLAINED_SHARE: f64 = 0.02;
/// … this share is refused …
const SHARE: f64 = 0.022;
/// … in this time, in seconds: less would show the burst of a bucket.
const SPAN: f64 = 0.4;
/// The number in flight is lowered first, for so long, in seconds.
const LASTS: f64 = 2.0;
/// After so long, in seconds, it does not help, whatever it explains …
const LASTS_LONG: f64 = 5.0;
/// … if so many are refused still.
const LASTING: f64 = 12.0;
/// Below this part of that share the server is taken not to be strained.
const FORGETS: f64 = 0.6;
/// A span that is longer than this, in seconds, and has so many outcomes, is followed by a new one.
const SPAN_MOST: f64 = 1.0;
const SPAN_OUTCOMES: f64 = 48.0;
/// Where chance or a limit on the rate fails this share, the newest outcomes that are kept are never all accepted …
const OFTEN: f64 = 0.1;
/// … nor is anything accepted without a failure for so many times as long as an answer takes.
const ROUNDS: u32 = 5;
/// So many that were accepted show a rate …
const ACCEPTED: f64 = 6.0;
/// … where fewer in flight would not help, unless more than this share is refused.
const MOST: f64 = 0.8;
/// So many show that some are accepted.
const SOME: f64 = 2.0;
/// The rate that is tried is this part of what was accepted.
const BELOW: f64 = 0.95;
/// In a trial the rate grows to this many times what it was: what is refused at a much higher one shows no chance.
const GROWN: f64 = 1.6;
/// While a rate is learnt, so many refusals …
const DOUBTFUL: f64 = 5.0;
/// … which are this share of the outcomes, are more than its growth brings about, if the rate was lowered meanwhile.
const TOO_MANY: f64 = 0.12;
/// The weight of an outcome in the share that fails by chance.
const WEIGHT: f64 = 1.0 / 256.0;
/// By chance the number of failures among the newest outcomes does not exceed its mean by so many standard deviations.
const DEVIATIONS: f64 = 4.5;
/// A lower share is not kept in mind.
const CHANCE_LEAST: f64 = 0.02;
/// If more than chance explains fails within this time, a limit was taken for chance …
const SOON: Duration = Duration::from_secs(30);
/// … so that nothing is tried for so long, and for twice as long each time …
const DENIED: Duration = Duration::from_mins(1);
/// … up to so often.
const DENIED_DOUBLINGS: u32 = 6;

/// What a strained answer leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::limit) enum StrainVerdict {
    /// Nothing: the server fails now and then.
    Chance,
    /// It is a matter of the number in flight.
    ForNumber,
    /// It is a refusal.
    Refused,
    /// A rate is tried.
    TriesRate,
    /// The rate that is tried was refused: a trial of one just below it follows.
    TriesBelow,
    /// Most was refused at the rate that was tried, and before it: one that is this part of it is tried.
    TriesMuchLower {
        /// What was accepted in the trial.
        part: f64,
    },
    /// The rate that was tried did not help: the server fails by itself.
    FoundChance,
    /// Much more fail than by chance soon after it was found: there is a limit after all.
    MoreThanChance,
}

/// What is known of strained answers.
#[derive(Debug, Default)]
pub(super) struct Strain {
    newest: NewestOutcomes,
    span: Option<StrainSpan>,
    before: Option<StrainSpan>,
    paced: Option<PacedRun>,
    pub(super) trial: Option<RateTrial>,
    /// The share that fails whatever the rate is.
    chance: Option<f64>,
    /// When that was found, and the share that failed in the trial, if it was of a rate that had been accepted for long.
    found: Option<(Instant, f64)>,
    /// How often more failed soon afterwards than was taken for chance.
    denials: u32,
    /// Nothing is tried until then.
    denied_until: Option<Instant>,
    /// How many may fail by chance beside a limit.
    allowance: Option<FailureAllowance>,
    /// Since when a share of the answers is strained that is worth a trial.
    since: Option<Instant>,
    newest_strained: Option<Instant>,
    /// What was strained before the number in flight was lowered was forgotten. To be refused as much once more shows that
    /// the number does not explain it.
    is_forgotten: bool,
    /// Of the departures from this one on, so many were strained.
    cohort: (u64, u32),
}

impl Strain {
    fn keep(&mut self, ended: &EndedAttempt, is_strained: bool) {
        self.newest.keep(ended, is_strained);
        if let Some(allowance) = &mut self.allowance {
            allowance.ended();
        }
        if let Some(chance) = &mut self.chance {
            *chance += (f64::from(u8::from(is_strained)) - *chance) * WEIGHT;
            self.chance = self.chance.filter(|chance| *chance >= CHANCE_LEAST);
        }
    }

    /// Takes note of an accepted attempt. Returns whether a trial has ended that showed both a limit and failures by
    /// chance, so that the rate may be much too low.
    pub(super) fn accepted(&mut self, ended: &EndedAttempt) -> bool {
        self.keep(ended, false);
        if let Some(paced) = &mut self.paced {
            paced.accepted = paced.accepted.saturating_add(1);
        }
        if let Some(span) = self.span.as_mut().filter(|span| ended.number >= span.from) {
            span.accepted += 1.0;
            span.highest = span.highest.max(u32::try_from(ended.level).unwrap_or(u32::MAX));
        }
        if let Some(trial) = &mut self.trial {
            trial.note(ended, false);
            if trial.ends_with(ended.number) {
                let share = trial.share_by_chance();
                self.allowance = share.map(FailureAllowance::new).or(self.allowance);
                self.end_trial();
                return share.is_some();
            }
        }
        false
    }

    /// The pool was paused for so long by an outage, in which nothing could be learnt.
    pub(super) fn skip(&mut self, pause: Duration) {
        let began = self.span.as_mut().map(|span| &mut span.began);
        began.into_iter().chain(&mut self.since).for_each(|began| *began += pause);
    }

    /// Whether a lower rate is being tried.
    pub(super) fn is_trying(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether a rate may not grow, because the trial is for it.
    pub(super) fn holds(&self, rate: f64) -> bool {
        self.trial.is_some_and(|trial| match trial.state {
            TrialState::Held => true,
            TrialState::Raised | TrialState::MuchLower if trial.strained > 0 => true,
            _ => rate >= trial.rate * GROWN,
        })
    }

    /// Forgets what was strained before the number in flight was lowered, if that has helped: many were accepted in a row,
    /// with fewer in flight than with the answer of this level, which is strained again. Neither a rate nor chance explains
    /// that. `usual`: how long an answer takes.
    pub(super) fn forget_if_lowered(&mut self, level: usize, usual: Duration, now: Instant) {
        let is_long =
            self.newest_strained.is_some_and(|at| now.saturating_duration_since(at) >= usual * ROUNDS);
        let was_often =
            self.both().is_some_and(|span| span.strained >= OFTEN * (span.outcomes() - KEPT as f64));
        // Where answers take longer, so does the time before a rate is tried.
        let is_fast = 4.0 * usual.as_secs_f64() <= LASTS;
        if is_fast && !self.is_forgotten && is_long && was_often && self.newest.are_accepted_below(level) {
            self.forget();
            self.is_forgotten = true;
        }
    }

    /// Takes note of a strained answer; `rate` is the one that is learnt. Returns what it means by itself; `None`: that
    /// other rules decide.
    pub(super) fn strained(
        &mut self,
        ended: &EndedAttempt,
        rate: Option<f64>,
        now: Instant,
    ) -> Option<StrainVerdict> {
        self.keep(ended, true);
        self.newest_strained = Some(now);
        if let Some(chance) = self.chance {
            if !self.is_more_than(chance, ended.number) {
                return Some(StrainVerdict::Chance);
            }
            self.chance = None;
            let found = self.found.take();
            self.allowance = found.map(|(_, share)| FailureAllowance::new(share)).or(self.allowance);
            if found.is_some_and(|(at, _)| now.saturating_duration_since(at) <= SOON) {
                let shift = self.denials.min(DENIED_DOUBLINGS);
                self.denied_until = Some(now + DENIED * (1 << shift));
                self.denials += 1;
                self.forget();
                return Some(StrainVerdict::MoreThanChance);
            }
        }
        if let Some(trial) = self.trial.as_mut() {
            if trial.state == TrialState::Lowered && ended.number >= trial.from {
                trial.hold(ended.departures);
                return Some(StrainVerdict::TriesBelow);
            }
            trial.note(ended, true);
            let cause = trial.cause(ended.number);
            if cause == Some(RefusalCause::Limit) {
                self.end_trial();
                return None;
            }
            if cause == Some(RefusalCause::Chance) && trial.may_be_far_above() {
                return Some(StrainVerdict::TriesMuchLower { part: 1.0 - trial.share_refused() });
            }
            if cause == Some(RefusalCause::Chance) {
                // If much more fails once nothing is paced, the rate was above a limit, too.
                let is_raised = trial.is_raised();
                self.chance = Some(if is_raised { trial.share_refused() } else { trial.before.share });
                // A rate that was only guessed is nothing to go back to.
                self.found = (is_raised || trial.state == TrialState::Held).then(|| (now, trial.share()));
                self.cohort = (ended.departures, 0);
                self.end_trial();
                return Some(StrainVerdict::FoundChance);
            }
            return Some(StrainVerdict::Chance);
        }
        if rate.is_some() && self.allowance.as_mut().is_some_and(FailureAllowance::covers) {
            return Some(StrainVerdict::Chance);
        }
        self.since.get_or_insert(now);
        if let Some(rate) = rate {
            let first = PacedRun { began: now, highest: rate, accepted: 0, strained: 0 };
            let paced = self.paced.get_or_insert(first);
            paced.highest = paced.highest.max(rate);
            paced.strained = paced.strained.saturating_add(1);
        }
        let span = *self.span.get_or_insert(StrainSpan::new(now, ended.number, rate));
        if ended.number < span.from {
            return None;
        }
        let is_explained = self.newest.explain(ended.level, span.from);
        let mut span = span;
        span.strained += 1.0;
        let highest = span.highest.max(self.before.map_or(0, |before| before.highest));
        span.unexplained += match is_explained {
            _ if ended.level <= 1 => ALONE,
            true => 0.0,
            false if ended.level as f64 <= f64::from(highest) * LOWER => 1.0,
            false => AT_TOP,
        };
        self.span = Some(span);
        if span.seconds(now) > SPAN_MOST && span.outcomes() >= SPAN_OUTCOMES {
            // The number in flight was lowered meanwhile: what was refused above it does not count.
            let counts = rate.is_some() || self.lasted(now) >= LASTS;
            let both = self.both().filter(|_| counts);
            if self.both().is_some_and(|both| both.share() < SHARE * FORGETS) {
                self.since = None;
            }
            self.before = both.map(|both| StrainSpan { rate: span.rate, ..both.faded(now) });
            self.span = Some(StrainSpan::new(now, ended.departures, rate));
        }
        None
    }

    /// Whether more fail among so many departures than chance brings about.
    fn is_more_than(&mut self, chance: f64, number: u64) -> bool {
        let (from, strained) = &mut self.cohort;
        if number >= *from + KEPT as u64 {
            (*from, *strained) = (number, 0);
        }
        *strained += u32::from(number >= *from);
        let mean = chance * KEPT as f64;
        let most = mean + DEVIATIONS * (mean * (1.0 - chance)).sqrt() + 2.0;
        f64::from(*strained) > most.min(KEPT as f64 - 1.0)
    }

    /// For how long, in seconds, answers have been strained now and then.
    fn lasted(&self, now: Instant) -> f64 {
        self.since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64())
    }

    /// All that counts.
    fn both(&self) -> Option<StrainSpan> {
        self.span.map(|span| span.after(self.before))
    }

    /// The rate at which attempts were accepted, if refusals which the number in flight does not explain make it
    /// worth to try that. `usual`: how long an answer takes. `are_several`: fewer in flight would not help.
    pub(super) fn rate_to_try(&self, usual: Duration, are_several: bool, now: Instant) -> Option<f64> {
        let span = self.both()?;
        let seconds = span.seconds(now);
        let usual = usual.as_secs_f64();
        let lasted = self.lasted(now);
        let is_lasting = lasted >= LASTS_LONG && span.share() >= SHARE && span.strained >= LASTING;
        let is_unexplained = lasted >= LASTS.max(4.0 * usual)
            && span.unexplained >= UNEXPLAINED.max(span.outcomes() * UNEXPLAINED_SHARE)
            && span.share() >= SHARE;
        let are_enough = are_several && span.share() <= MOST;
        let is_long = seconds >= SPAN.max(2.0 * usual);
        // Where hardly anything is accepted, nothing shows a rate.
        let is_worth = is_long && span.accepted >= ACCEPTED && (is_unexplained || is_lasting || are_enough);
        is_worth.then(|| span.accepted * BELOW / seconds)
    }

    /// Whether so many are refused though the learnt rate was lowered that chance is to be looked for.
    pub(super) fn doubts(&self, rate: f64, now: Instant) -> bool {
        let is_doubtful = self.both().is_some_and(|span| {
            let first = self.before.unwrap_or(span).rate;
            let was_lowered = first.is_some_and(|before| rate <= before * LOWERED);
            span.strained >= DOUBTFUL && span.share() >= TOO_MANY && was_lowered
        });
        let is_long = self.paced.is_some_and(|paced| paced.is_strained_at(rate, now));
        (is_doubtful || is_long) && !self.is_denied(now)
    }

    /// Whether some of what was sent lately is accepted, so that a rate may soon be tried.
    pub(super) fn are_some_accepted(&self) -> bool {
        self.both().is_some_and(|span| span.accepted >= SOME && span.share() <= MOST)
    }

    /// What leaves from this departure on shows whether a lower rate helps.
    pub(super) fn try_rate(&mut self, rate: f64, departures: u64, now: Instant) {
        self.begin_trial(rate, departures, TrialState::Guess, now);
    }

    /// The same for a rate that is higher than what was accepted.
    pub(super) fn try_raised(&mut self, rate: f64, departures: u64, now: Instant) {
        self.begin_trial(rate, departures, TrialState::Raised, now);
    }

    /// The same for what was accepted in the trial before.
    pub(super) fn try_much_lower(&mut self, rate: f64, departures: u64, now: Instant) {
        let before = self.trial.map(|trial| trial.before);
        self.begin_trial(rate, departures, TrialState::MuchLower, now);
        if let Some((trial, before)) = self.trial.as_mut().zip(before) {
            trial.before = before;
        }
    }

    /// The same for a rate that was lowered.
    pub(super) fn try_lowered(&mut self, rate: f64, departures: u64, now: Instant) {
        self.begin_trial(rate, departures, TrialState::Lowered, now);
    }

    fn begin_trial(&mut self, rate: f64, departures: u64, state: TrialState, now: Instant) {
        let of = |span: StrainSpan| ShareBefore { share: span.share(), outcomes: span.outcomes() };
        let span = self.both().map_or(ShareBefore { share: 1.0, outcomes: 0.0 }, of);
        let newest = ShareBefore { share: self.newest.share(), outcomes: KEPT as f64 };
        let before = if newest.share < span.share { newest } else { span };
        let before = ShareBefore { share: before.share.clamp(SHARE, 1.0), ..before };
        let trial = RateTrial::new(rate, departures, before, state);
        self.trial = (!self.is_denied(now)).then_some(trial);
        self.forget();
    }

    fn forget(&mut self) {
        (self.span, self.before, self.since, self.paced) = (None, None, None, None);
    }

    /// A limit was taken for chance not long ago.
    fn is_denied(&self, now: Instant) -> bool {
        self.denied_until.is_some_and(|until| now < until)
    }

    /// The server refuses everything, or the limit is another one.
    pub(super) fn end_trial(&mut self) {
        self.trial = None;
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crowd of up to `level` in flight, of which what `refuses` says is strained, at so many a second.
    struct Crowd {
        strain: Strain,
        now: Instant,
        number: u64,
        /// The rate that is learnt.
        rate: Option<f64>,
    }

    impl Crowd {
        fn new() -> Self {
            Self { strain: Strain::default(), now: Instant::now(), number: 0, rate: None }
        }

        /// Sends so many, and gives the verdicts that are more than nothing.
        fn send(
            &mut self,
            (count, per_second): (u64, u32),
            level: impl Fn(u64) -> usize,
            refuses: impl Fn(u64) -> bool,
        ) -> Vec<StrainVerdict> {
            let mut verdicts = Vec::new();
            for _ in 0..count {
                self.number += 1;
                self.now += Duration::from_secs(1) / per_second;
                let ended = EndedAttempt {
                    level: level(self.number),
                    number: self.number,
                    departures: self.number + 1,
                    was_paced: false,
                    given_rate: None,
                    is_probe: false,
                    is_old: false,
                    is_unclear: true,
                };
                if refuses(self.number) {
                    verdicts.extend(self.strain.strained(&ended, self.rate, self.now));
                } else {
                    let _ = self.strain.accepted(&ended);
                }
            }
            verdicts
        }

        fn rate_to_try(&self) -> Option<f64> {
            self.strain.rate_to_try(Duration::from_millis(30), false, self.now)
        }
    }

    #[test]
    fn refusals_that_the_number_in_flight_does_not_explain_lead_to_a_rate() {
        let mut crowd = Crowd::new();
        crowd.send((800, 200), |n| if n % 2 == 0 { 20 } else { 8 }, |n| n % 8 == 1);
        let rate = crowd.rate_to_try().unwrap();
        assert!((155.0..=180.0).contains(&rate), "{rate}");
    }

    #[test]
    fn refusals_above_a_cap_do_not() {
        let mut crowd = Crowd::new();
        // One in thirty tries one more than the cap.
        crowd.send((800, 200), |n| if n % 30 == 0 { 21 } else { 20 }, |n| n % 30 == 0);
        assert_eq!(crowd.rate_to_try(), None);
    }

    #[test]
    fn what_fails_as_often_at_a_lower_rate_fails_by_chance_and_counts_no_more() {
        for (one_in, share) in [(2, 0.5), (4, 0.25), (10, 0.1)] {
            let mut crowd = Crowd::new();
            crowd.send((800, 200), |_| 8, |n| n % one_in == 0);
            crowd.strain.try_rate(100.0, crowd.number + 1, crowd.now);
            let verdicts = crowd.send((200, 100), |_| 8, |n| n % one_in == 0);
            assert!(verdicts.contains(&StrainVerdict::FoundChance), "{share}: {verdicts:?}");
            assert!(crowd.strain.chance.is_some());
            // Now all of it fails.
            let verdicts = crowd.send((128, 100), |_| 8, |_| true);
            assert!(crowd.strain.chance.is_none(), "{share}");
            assert!(verdicts.len() < 128);
        }
    }

    #[test]
    fn what_stops_at_a_lower_rate_is_a_limit() {
        let mut crowd = Crowd::new();
        crowd.send((800, 200), |_| 8, |n| n % 4 == 0);
        crowd.strain.try_rate(100.0, crowd.number + 1, crowd.now);
        let verdicts = crowd.send((100, 100), |_| 8, |n| n % 50 == 0);
        assert!(!verdicts.contains(&StrainVerdict::FoundChance) && !crowd.strain.is_trying());
        assert!(crowd.strain.chance.is_none());
    }

    #[test]
    fn what_is_refused_evenly_with_few_in_flight_is_over_a_limit() {
        // A limit without a burst at 1.6 and at 2.5 times its rate, a cap on the number in flight, and chance.
        for (level, refuses, is_limit) in [
            (1, (|n| n % 5 == 1 || n % 5 == 3) as fn(u64) -> bool, true),
            (1, |n| n % 5 == 0 || n % 5 == 1 || n % 5 == 3, true),
            (3, |n| n % 2 == 0, false),
            (1, |n| fastrand::Rng::with_seed(n).f64() < 0.5, false),
        ] {
            let mut crowd = Crowd::new();
            crowd.send((100, 10), |_| level, refuses);
            crowd.strain.try_rate(4.0, crowd.number + 1, crowd.now);
            let verdicts = crowd.send((60, 4), |_| level, refuses);
            assert_eq!(!verdicts.contains(&StrainVerdict::FoundChance), is_limit, "{verdicts:?}");
            assert!(!crowd.strain.is_trying());
        }
    }

    /// A slow limit that was asked far too fast: nearly all was refused. Then a rate above it is tried, with one in flight,
    /// of which what `refuses` says is refused.
    fn raised(outcomes_before: u64, refuses: impl Fn(u64) -> bool) -> (Crowd, Vec<StrainVerdict>) {
        let mut crowd = Crowd::new();
        crowd.send((outcomes_before, 100), |_| 8, |n| n % 10 != 0);
        crowd.strain.try_raised(4.0, crowd.number + 1, crowd.now);
        let from = crowd.number;
        let verdicts = crowd.send((60, 4), |_| 1, |n| refuses(n - from));
        (crowd, verdicts)
    }

    #[test]
    fn no_rate_is_tried_where_hardly_anything_is_accepted() {
        for (one_in, is_tried) in [(80, false), (8, true)] {
            let mut crowd = Crowd::new();
            crowd.send((240, 40), |_| 1, |n| n % one_in != 0);
            let tried = crowd.strain.rate_to_try(Duration::from_millis(30), false, crowd.now);
            assert_eq!(tried.is_some(), is_tried, "one in {one_in}: {tried:?}");
        }
    }

    #[test]
    fn a_rate_above_a_slow_limit_is_refused_a_smaller_share_than_by_chance() {
        let shuffled = |seed: u64, share: f64| move |n| fastrand::Rng::with_seed(n * 7 + seed).f64() < share;
        for seed in 0..20 {
            let (crowd, verdicts) = raised(64, shuffled(seed, 0.5));
            assert!(
                !verdicts.contains(&StrainVerdict::FoundChance),
                "{seed}: half of it, nine tenths before"
            );
            assert!(!crowd.strain.is_trying());
            let (mut crowd, verdicts) = raised(64, shuffled(seed, 0.9));
            if verdicts.contains(&StrainVerdict::FoundChance) {
                continue;
            }
            // The limit may be much lower. As large a share of what was accepted at that rate is refused, too.
            let part = verdicts.iter().find_map(|verdict| match verdict {
                StrainVerdict::TriesMuchLower { part } => Some(*part),
                _ => None,
            });
            assert!(part.is_some_and(|part| (0.01..0.4).contains(&part)), "{seed}: {part:?}");
            crowd.strain.try_much_lower(1.0, crowd.number + 1, crowd.now);
            let verdicts = crowd.send((60, 1), |_| 1, shuffled(seed, 0.9));
            assert!(verdicts.contains(&StrainVerdict::FoundChance), "{seed}: as much as before");
        }
        let is_much_lower = |verdict: &StrainVerdict| matches!(verdict, StrainVerdict::TriesMuchLower { .. });
        let tried = (0..20).map(|seed| raised(64, shuffled(seed, 0.9)));
        let (mut crowd, _) =
            tried.into_iter().find(|(_, verdicts)| verdicts.iter().any(is_much_lower)).unwrap();
        crowd.strain.try_much_lower(1.0, crowd.number + 1, crowd.now);
        assert!(!crowd.send((60, 1), |_| 1, |n| n % 12 == 0).contains(&StrainVerdict::FoundChance));
        assert!(!crowd.strain.is_trying(), "hardly anything is refused at the lower one");
        // Where few are known, a smaller share may be chance, unless a window refuses the same number each time.
        let (_, verdicts) = raised(10, |n| n % 5 > 1);
        assert!(!verdicts.contains(&StrainVerdict::FoundChance), "three of five, in rows");
        let found =
            (0..20).filter(|seed| raised(10, shuffled(*seed, 0.6)).1.contains(&StrainVerdict::FoundChance));
        assert!(found.count() > 12, "three of five, as it happens");
    }

    #[test]
    fn a_rate_that_is_tried_above_a_limit_does_not_grow_once_it_is_refused() {
        let mut crowd = Crowd::new();
        crowd.send((64, 100), |_| 8, |n| n % 10 != 0);
        crowd.strain.try_raised(4.0, crowd.number + 1, crowd.now);
        assert!(!crowd.strain.holds(4.0) && crowd.strain.holds(4.0 * GROWN));
        let _ = crowd.send((1, 4), |_| 1, |_| true);
        assert!(crowd.strain.holds(4.0));
    }

    #[test]
    fn what_fails_much_more_once_it_is_not_paced_was_a_limit_and_no_chance() {
        let mut crowd = Crowd::new();
        crowd.send((6, 100), |_| 8, |n| n % 3 != 0);
        crowd.strain.try_raised(4.0, crowd.number + 1, crowd.now);
        let is_found = (0..60).any(|_| {
            let verdicts = crowd.send((1, 4), |_| 1, |n| fastrand::Rng::with_seed(n).f64() < 0.5);
            verdicts.contains(&StrainVerdict::FoundChance)
        });
        assert!(is_found, "six are too few to show a lower share");
        let verdicts = crowd.send((64, 200), |_| 8, |n| n % 40 != 0);
        assert!(verdicts.contains(&StrainVerdict::MoreThanChance), "{verdicts:?}");
    }

    #[test]
    fn a_trial_ends_though_what_was_refused_shows_no_cause_if_nothing_more_is_refused() {
        let mut crowd = Crowd::new();
        crowd.send((100, 10), |_| 1, |n| n % 2 == 0);
        crowd.strain.try_rate(4.0, crowd.number + 1, crowd.now);
        let last = crowd.number + 8;
        crowd.send((40, 4), |_| 1, |n| n <= last && n % 2 == 0);
        assert!(crowd.strain.is_trying(), "four are too few");
        crowd.send((20, 4), |_| 1, |_| false);
        assert!(!crowd.strain.is_trying());
    }

    #[test]
    fn a_lowered_rate_that_grew_into_the_limit_is_tried_just_below_and_shows_no_chance() {
        let mut crowd = Crowd::new();
        crowd.send((200, 5), |_| 1, |n| n % 5 == 0);
        crowd.strain.try_lowered(3.5, crowd.number + 1, crowd.now);
        let first = crowd.number + 41;
        let verdicts = crowd.send((41, 5), |_| 1, |n| n == first);
        assert_eq!(verdicts, [StrainVerdict::TriesBelow]);
        assert!(crowd.strain.holds(0.1), "it does not grow any more");
        let verdicts = crowd.send((130, 5), |_| 1, |_| false);
        assert!(verdicts.is_empty() && !crowd.strain.is_trying() && crowd.strain.chance.is_none());
    }

    #[test]
    fn a_limit_that_was_taken_for_chance_is_noticed_and_not_doubted_again_for_a_while() {
        for (seconds, is_soon) in [(1, true), (40, false)] {
            let mut crowd = Crowd::new();
            let fails = |n| fastrand::Rng::with_seed(n).f64() < 0.2;
            crowd.send((200, 5), |_| 1, fails);
            crowd.strain.try_lowered(3.5, crowd.number + 1, crowd.now);
            let verdicts = crowd.send((90, 5), |_| 1, fails);
            assert_eq!(verdicts.first(), Some(&StrainVerdict::TriesBelow));
            assert!(verdicts.contains(&StrainVerdict::FoundChance), "{verdicts:?}");
            crowd.now += Duration::from_secs(seconds);
            let verdicts = crowd.send((128, 200), |_| 8, |n| n % 20 != 0);
            assert_eq!(verdicts.contains(&StrainVerdict::MoreThanChance), is_soon);
            crowd.strain.try_rate(3.0, crowd.number + 1, crowd.now);
            assert_eq!(crowd.strain.is_trying(), !is_soon);
            crowd.strain.try_rate(3.0, crowd.number + 1, crowd.now + DENIED);
            assert!(crowd.strain.is_trying());
        }
    }

    #[test]
    fn beside_a_limit_the_share_that_fails_by_chance_counts_no_more_and_what_is_over_it_does() {
        let mut crowd = Crowd::new();
        let fails = |n| fastrand::Rng::with_seed(n).f64() < 0.1;
        crowd.send((400, 20), |_| 1, fails);
        crowd.strain.try_lowered(14.0, crowd.number + 1, crowd.now);
        let verdicts = crowd.send((220, 14), |_| 1, fails);
        assert!(verdicts.contains(&StrainVerdict::FoundChance), "{verdicts:?}");
        // Without a rate it meets the limit.
        let verdicts = crowd.send((64, 200), |_| 8, |n| n % 4 != 0);
        assert!(verdicts.contains(&StrainVerdict::MoreThanChance), "{verdicts:?}");
        crowd.rate = Some(20.0);
        for (failing, counted) in [(0.05, 0..=3), (0.3, 50..=120)] {
            let mut failed = 0;
            let before = crowd.number;
            let fails = |n| fastrand::Rng::with_seed(n).f64() < failing;
            let verdicts = crowd.send((400, 20), |_| 1, fails);
            failed += (before + 1..=crowd.number).filter(|n| fails(*n)).count();
            assert!(counted.contains(&(failed - verdicts.len())), "{failing}: {failed}, {}", verdicts.len());
        }
    }

    #[test]
    fn a_rate_that_is_held_and_still_refused_a_little_shows_that_share() {
        for (refused, share) in [(2, None), (3, Some(1.0 / 199.0))] {
            let mut crowd = Crowd::new();
            crowd.send((400, 20), |_| 1, |n| n % 20 == 0);
            crowd.strain.try_lowered(14.0, crowd.number + 1, crowd.now);
            crowd.send((1, 14), |_| 1, |_| true);
            let trial = crowd.strain.trial.unwrap();
            assert_eq!(trial.state, TrialState::Held);
            let from = crowd.number;
            crowd.send((200, 14), |_| 1, |n| (n - from).is_multiple_of(20) && n - from <= 20 * refused);
            assert!(!crowd.strain.is_trying());
            assert_eq!(crowd.strain.allowance.map(|it| it.share), share);
        }
    }

    /// A burst of which an eighth is refused, then so many with fewer in flight, then a few more that are refused above them.
    fn lowered(accepted: u64, usual: Duration) -> Crowd {
        let mut crowd = Crowd::new();
        crowd.send((600, 600), |n| if n % 2 == 0 { 60 } else { 30 }, |n| n % 8 == 1 || n == 600);
        crowd.send((accepted, 60), |_| 19, |_| false);
        crowd.strain.forget_if_lowered(20, usual, crowd.now);
        crowd.send((80, 60), |n| if n % 20 == 0 { 20 } else { 19 }, |n| n % 20 == 0);
        crowd
    }

    #[test]
    fn what_was_refused_before_the_number_was_lowered_shows_no_rate() {
        let usual = Duration::from_millis(15);
        let crowd = lowered(64, usual);
        assert_eq!(crowd.strain.rate_to_try(usual, false, crowd.now), None);
        let crowd = lowered(63, usual);
        assert!(
            crowd.strain.rate_to_try(usual, false, crowd.now).is_some(),
            "too few were accepted in a row"
        );
        let mut crowd = lowered(63, usual);
        crowd.strain.is_forgotten = true;
        crowd.send((64, 60), |_| 19, |_| false);
        crowd.strain.forget_if_lowered(20, usual, crowd.now);
        assert!(crowd.strain.rate_to_try(usual, false, crowd.now).is_some(), "once");
        let slow = Duration::from_millis(600);
        let crowd = lowered(64, slow);
        assert!(
            crowd.strain.rate_to_try(slow, false, crowd.now).is_some(),
            "they were accepted in two rounds"
        );
    }

    #[test]
    fn a_pause_for_an_outage_does_not_count() {
        let mut crowd = Crowd::new();
        let refused = |crowd: &mut Crowd, count| {
            crowd.send((count, 200), |n| if n % 2 == 0 { 20 } else { 8 }, |n| n % 8 == 1);
        };
        refused(&mut crowd, 320);
        crowd.now += Duration::from_secs(5);
        crowd.strain.skip(Duration::from_secs(5));
        refused(&mut crowd, 60);
        assert_eq!(crowd.rate_to_try(), None, "less than two seconds");
        refused(&mut crowd, 420);
        let rate = crowd.rate_to_try().unwrap();
        assert!((155.0..=180.0).contains(&rate), "{rate}");
    }

    #[test]
    fn two_of_two_hundred_at_a_rate_that_is_held_are_not_chance() {
        let mut crowd = Crowd::new();
        crowd.send((100, 20), |_| 1, |_| false);
        crowd.strain.try_lowered(14.0, crowd.number + 1, crowd.now);
        crowd.send((1, 14), |_| 1, |_| true);
        let from = crowd.number;
        let verdicts = crowd.send((200, 14), |_| 1, |n| [7, 60].contains(&(n - from)));
        assert!(!verdicts.contains(&StrainVerdict::FoundChance), "{verdicts:?}");
        assert!(!crowd.strain.is_trying() && crowd.strain.allowance.is_none());
    }

    #[test]
    fn a_small_share_that_fails_at_odd_distances_is_found_within_a_hundred_and_twenty_eight() {
        let mut crowd = Crowd::new();
        crowd.send((200, 20), |_| 1, |n| n % 16 == 0);
        crowd.strain.try_lowered(14.0, crowd.number + 1, crowd.now);
        crowd.send((1, 14), |_| 1, |_| true);
        let from = crowd.number;
        let fails = |n| [10, 13, 50, 74, 80, 122].contains(&(n - from));
        let verdicts = crowd.send((125, 14), |_| 1, fails);
        assert!(verdicts.contains(&StrainVerdict::FoundChance), "{verdicts:?}");
    }

    #[test]
    fn a_trial_that_begins_after_a_few_that_failed_in_a_row_expects_the_usual_share() {
        let mut crowd = Crowd::new();
        crowd.send((200, 20), |_| 1, |n| n % 16 == 0);
        crowd.strain.end_trial();
        crowd.send((4, 20), |_| 1, |_| true);
        crowd.strain.try_lowered(14.0, crowd.number + 1, crowd.now);
        let share = crowd.strain.trial.unwrap().before.share;
        assert!((0.1..0.15).contains(&share), "{share}");
    }

    #[test]
    fn a_tenth_that_fails_for_long_though_the_rate_was_lowered_is_doubted() {
        let (mut strain, start) = (Strain::default(), Instant::now());
        let mut doubted = None;
        for number in 0..400_u64 {
            let now = start + Duration::from_millis(40 * number);
            let rate = 30.0 - number as f64 / 40.0;
            let ended = EndedAttempt {
                level: 2,
                number,
                departures: number + 1,
                was_paced: true,
                given_rate: None,
                is_probe: false,
                is_old: false,
                is_unclear: true,
            };
            if number % 10 == 0 {
                let _ = strain.strained(&ended, Some(rate), now);
            } else {
                let _ = strain.accepted(&ended);
            }
            if strain.doubts(rate, now) {
                doubted.get_or_insert(now);
            }
        }
        assert!(doubted.is_some_and(|at| at >= start + Duration::from_secs(10)), "{doubted:?}");
    }
}
