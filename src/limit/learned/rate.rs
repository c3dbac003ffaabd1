//! A rate that was learnt from refusals: departures keep an even distance, which grows shorter until the next refusal.

use std::time::Duration;

use tokio::time::Instant;

use super::EndedAttempt;
use super::growth::{CUT, GrowingRate, Growth, LONG_PAUSE, RISEN, SHORT_PAUSE};

/// A learnt rate is set this much below what was accepted.
const BELOW: f64 = 0.97;
/// The same after a long pause: another one is to be avoided.
const BELOW_LONG_PAUSE: f64 = 0.93;
/// What is estimated of the limit is a lower bound; the limit is at most so many times as high.
const ESTIMATE_ABOVE: f64 = 1.04;
/// The least part of a rate that had been accepted for a while, where the server may fail by itself.
const FLOOR: f64 = 0.35;
/// The lowest rate: one attempt in a minute, as often as a probe.
const LEAST: f64 = 1.0 / 60.0;
/// The rate to begin with where none was accepted.
const UNKNOWN: f64 = 1.0;
/// From this part on it touches the rate that was refused last.
const TOUCHES: f64 = 0.97;
/// What is left of the rate where it is tried whether a much lower one is refused less.
const LOWERED: f64 = 0.7;
/// What is left of a rate that was refused during the trial of a lower one.
const HELD: f64 = 0.9;
/// A refusal after so many accepted attempts may be chance.
const BY_CHANCE: u32 = 40;
/// The same, where the answer may be that of a server that fails by itself.
const BY_CHANCE_UNCLEAR: u32 = 6;
/// Where a share of the answers fails at rates that the server had accepted, a refusal near the limit is one of these if
/// so few of them are to be expected since the one before. Two in a row, or several, show the limit.
const EXPECTED_BY_CHANCE: f64 = 0.2;
/// No larger share is taken for chance.
const CHANCE_MOST: f64 = 0.04;
/// The weight of one outcome in that share.
const CHANCE_WEIGHT: f64 = 1.0 / 128.0;
/// So many refusals among the newest 64 outcomes are more than that share brings about.
const MORE_THAN_CHANCE: u32 = 5;
/// A pause is small if it is at most this part of the cycle.
const SMALL_PAUSE: f64 = 0.2;
/// After it the rate that was refused is taken to be this part of what it was …
const AFTER_LONG_PAUSE: f64 = 0.85;
/// … and the pool goes on with this part of that.
const BEGINS_AT: f64 = 0.7;
/// The pause where the server asks for none, in seconds.
const FIRST_PAUSE: f64 = 0.5;
/// A refusal that comes alone is followed by no pause unless the server asks for one: so much is lost on average, or an
/// attempt where that is more.
const UNASKED: f64 = 0.2;
/// Rates that differ by less than this part are about the same.
const SAME: f64 = 0.07;
/// Where the distance is shorter than this, departures that are late by a timer's tick are caught up on: timers tick in
/// milliseconds. A longer distance is always kept, because a limiter without a burst refuses what comes too soon.
const CATCHES_UP_BELOW: Duration = Duration::from_millis(2);
/// So much is caught up on.
const CREDIT: Duration = Duration::from_millis(3);

/// The rate, and when the next attempt may leave.
#[derive(Debug)]
pub(super) struct LearnedRate {
    per_second: f64,
    /// The rate that was refused last.
    refused_at: Option<f64>,
    /// How often in a row it was about the one that was refused before.
    confirmed: u32,
    /// Nothing was refused at this rate or a higher one since it was set, which was a guess.
    is_guess: bool,
    /// How often it was refused.
    refusals: u32,
    next: Instant,
    grown: Instant,
    /// Departures before this one left at a rate that was corrected already.
    corrected_until: u64,
    /// The pause that the newest refusal cost, in seconds.
    pause: f64,
    /// The pause that a refusal which comes alone is going to cost, in seconds.
    next_pause: f64,
    /// This part of what refusals showed is kept to, so that another long pause is avoided; otherwise 1.
    kept: f64,
    /// It never falls below this.
    floor: f64,
    /// How many were accepted since the newest refusal.
    accepted: u32,
    /// The share that is refused at rates that had been accepted.
    chance: f64,
    /// The newest outcomes since the rate was corrected, a bit each; 1 is a refusal.
    newest: u64,
    /// Since when the rate is above the one that was refused last.
    risen: Option<Instant>,
    /// Where the two newest spans began in which accepted attempts are counted.
    spans: [Span; 2],
}

/// A span in which accepted attempts are counted.
#[derive(Debug, Clone, Copy)]
struct Span {
    began: Instant,
    accepted: u32,
}

/// A span is at least this long …
const SPAN_LEAST: Duration = Duration::from_secs(1);
/// … and has at least so many accepted attempts.
const SPAN_ACCEPTED: u32 = 10;

impl LearnedRate {
    /// A rate of which this many attempts a second were accepted. `is_guess`: the time was mostly spent in a pause, so
    /// that the limit may be much higher.
    pub(super) fn new(accepted_per_second: f64, is_guess: bool, now: Instant) -> Self {
        let per_second = (accepted_per_second * BELOW).max(LEAST);
        Self {
            per_second,
            refused_at: (!is_guess).then_some(accepted_per_second),
            confirmed: 0,
            is_guess,
            refusals: u32::from(!is_guess),
            next: now + Duration::try_from_secs_f64(1.0 / per_second).unwrap_or_default(),
            grown: now,
            corrected_until: 0,
            pause: 0.0,
            next_pause: 0.0,
            kept: 1.0,
            floor: LEAST,
            accepted: 0,
            chance: 0.0,
            newest: 0,
            risen: None,
            spans: [Span { began: now, accepted: 0 }; 2],
        }
    }

    /// All were refused until a probe was accepted.
    pub(super) fn unknown(now: Instant) -> Self {
        Self::new(UNKNOWN, true, now)
    }

    /// It was learnt from answers that a server may give that fails by itself, after so many a second had been accepted
    /// for a while: no matter how many fail, it does not fall far below that.
    pub(super) fn hold_above(&mut self, accepted_per_second: f64) {
        self.floor = (accepted_per_second * FLOOR).max(LEAST);
        self.per_second = self.per_second.max(self.floor);
    }

    /// Departures a second.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// The limit in departures a second, as far as refusals showed it.
    pub(super) fn limit(&self) -> f64 {
        self.per_second / self.kept
    }

    /// Whether the server has refused it at least once, so that it is near the limit.
    pub(super) fn is_proven(&self) -> bool {
        !self.is_guess
    }

    /// Whether an attempt may depart at `now`.
    ///
    /// # Errors
    /// The instant to try again at.
    pub(super) fn may_depart(&self, now: Instant) -> Result<(), Instant> {
        if self.next > now { Err(self.next) } else { Ok(()) }
    }

    /// Whether departures that are late are not caught up on.
    pub(super) fn keeps_distance(&self) -> bool {
        self.gap() >= CATCHES_UP_BELOW
    }

    /// Takes note of a departure.
    pub(super) fn left(&mut self, now: Instant) {
        let gap = self.gap();
        let credit = if self.keeps_distance() { Duration::ZERO } else { CREDIT };
        self.next = self.next.max(now.checked_sub(credit).unwrap_or(now)) + gap;
    }

    fn gap(&self) -> Duration {
        // At most a minute, by the lowest rate.
        Duration::try_from_secs_f64(1.0 / self.per_second).unwrap_or(Duration::MAX)
    }

    /// Takes note of an accepted attempt. The rate grows only where it is what holds the pool back.
    pub(super) fn accepted(&mut self, now: Instant, was_held_back: bool) {
        let since = now.saturating_duration_since(self.grown).as_secs_f64().min(60.0);
        self.grown = now;
        self.accepted = self.accepted.saturating_add(1);
        self.newest <<= 1;
        if self.chance > 0.0 && self.is_below() {
            self.chance -= self.chance * CHANCE_WEIGHT;
        }
        let [newest, before] = &mut self.spans;
        newest.accepted += 1;
        if newest.accepted > SPAN_ACCEPTED && now.saturating_duration_since(newest.began) > SPAN_LEAST {
            *before = *newest;
            *newest = Span { began: now, accepted: 0 };
        }
        if was_held_back {
            if self.refused_at.is_some_and(|refused| self.per_second > refused * RISEN) {
                self.risen.get_or_insert(now);
            } else {
                self.risen = None;
            }
            let growth = Growth::of(&GrowingRate {
                per_second: self.per_second,
                refused_at: self.refused_at,
                is_guess: self.is_guess,
                refusals: self.refusals,
                confirmed: self.confirmed,
                next_pause: self.next_pause,
                risen_for: now.saturating_duration_since(self.risen.unwrap_or(now)),
            });
            let by = (growth.per_second * since).max(growth.least).min(growth.per_attempt);
            self.per_second *= 1.0 + by;
        }
    }

    /// Takes note of a refusal that came alone: the rate is a little too high, if it is near the one that was refused
    /// before; otherwise a server that fails now and then is no reason to go slower.
    ///
    /// `estimate`: what the accepted attempts show of the limit. Returns whether the rate was lowered.
    pub(super) fn refused_once(&mut self, now: Instant, ended: &EndedAttempt, estimate: Option<f64>) -> bool {
        if ended.number < self.corrected_until {
            return false;
        }
        let accepted = std::mem::take(&mut self.accepted);
        self.newest = self.newest << 1 | 1;
        let is_below = self.is_below();
        let by_chance = if ended.is_unclear { BY_CHANCE_UNCLEAR } else { BY_CHANCE };
        let are_more = ended.is_unclear && self.newest.count_ones() >= MORE_THAN_CHANCE;
        if are_more {
            self.chance = 0.0;
            self.per_second *= 1.0 - f64::from(self.newest.count_ones()) / f64::from(u64::BITS);
        }
        if !are_more && is_below && accepted >= by_chance {
            if ended.is_unclear {
                self.chance += (1.0 - self.chance) * CHANCE_WEIGHT;
            }
            return false;
        }
        let is_expected = self.chance.min(CHANCE_MOST) * f64::from(accepted) >= EXPECTED_BY_CHANCE;
        if ended.is_unclear && is_expected {
            return false;
        }
        self.correct(if self.is_guess { 1.0 / 1.3 } else { CUT }, now, ended);
        if let Some(estimate) = estimate {
            self.hold_to(estimate);
        }
        true
    }

    /// The rate was refused, and what was accepted until then shows a limit that is lower than it: the server accepted more
    /// for a while from what it had saved.
    fn hold_to(&mut self, estimate: f64) {
        let refused_at = self.refused_at.map_or(estimate, |refused| refused.min(estimate * ESTIMATE_ABOVE));
        self.set_refused_at(refused_at);
        self.per_second = self.per_second.min(estimate).max(self.floor);
    }

    /// It was refused, and the pool paused. `estimate`: what the accepted attempts show of the limit.
    pub(super) fn set(&mut self, estimate: f64, now: Instant) {
        self.refusals += 1;
        self.set_refused_at(self.per_second.min(estimate * ESTIMATE_ABOVE));
        self.is_guess = false;
        let is_long = self.pause > LONG_PAUSE;
        self.kept = if is_long { BELOW_LONG_PAUSE } else { 1.0 };
        let part = if is_long { BELOW_LONG_PAUSE } else { BELOW };
        self.per_second = (self.per_second.min(estimate) * part).max(self.floor);
        self.resume(now);
    }

    fn set_refused_at(&mut self, rate: f64) {
        let rate = rate.max(LEAST);
        let is_same = self.refused_at.is_some_and(|before| (rate - before).abs() < before * SAME);
        self.confirmed = if is_same { self.confirmed.saturating_add(1) } else { 0 };
        self.refused_at = Some(rate);
    }

    /// It was refused: this part of it is left.
    fn correct(&mut self, factor: f64, now: Instant, ended: &EndedAttempt) {
        self.corrected_until = ended.departures;
        self.newest = 0;
        self.refusals += 1;
        self.set_refused_at(self.per_second);
        self.is_guess = false;
        (self.pause, self.next_pause, self.kept) = (0.0, 0.0, 1.0);
        self.per_second = (self.per_second * factor).max(self.floor);
        self.grown = now;
        self.next = self.next.max(now + self.gap());
    }

    /// It was refused during the trial of a lower rate. If it met a limit, hardly anything is refused just below it.
    pub(super) fn hold_below(&mut self, now: Instant, ended: &EndedAttempt) {
        self.correct(HELD, now, ended);
    }

    /// Whether it is lower than what the server refused last.
    fn is_below(&self) -> bool {
        self.refused_at.is_some_and(|refused| self.per_second < refused * TOUCHES)
    }

    /// A much lower rate is tried.
    pub(super) fn lower(&mut self, now: Instant) {
        self.per_second = (self.per_second * LOWERED).max(LEAST);
        self.resume(now);
    }

    /// Whether the pause that the newest refusal cost is small beside the time since the last recovery.
    pub(super) fn is_pause_small(&self, cycle: Duration) -> bool {
        self.pause < cycle.as_secs_f64() * SMALL_PAUSE
    }

    /// Takes note of what a refusal cost. `was_asked`: the server asked for the pause. Where it did not, one that comes
    /// alone costs none, unless the server stays closed for long.
    pub(super) fn paused_for(&mut self, pause: Duration, was_asked: bool) {
        self.pause = pause.as_secs_f64();
        let is_short = !was_asked && self.pause <= SHORT_PAUSE;
        self.next_pause = if is_short { UNASKED.max(1.0 / self.per_second) } else { self.pause };
    }

    /// Many were refused. `accepted` and `cycle`: how many were accepted since the last recovery, and how long ago it is;
    /// if that is long ago, the newest spans count instead. `gained`: a rate that was accepted from an earlier refusal on.
    pub(super) fn relearn(&mut self, accepted: u64, cycle: Duration, gained: Option<f64>, now: Instant) {
        self.refusals += 1;
        let [newest, before] = self.spans;
        let cycle = cycle.as_secs_f64().max(1e-3);
        // What was accepted of late, the pause left out.
        let recent = (before.accepted > 0).then(|| {
            let seconds = now.saturating_duration_since(before.began).as_secs_f64() - self.pause;
            (f64::from(newest.accepted + before.accepted), seconds.max(1e-3))
        });
        let (accepted, seconds) = match recent {
            Some((accepted, seconds)) if self.pause < cycle * SMALL_PAUSE => {
                (accepted, seconds + self.pause.min(FIRST_PAUSE))
            }
            _ => (accepted as f64, cycle),
        };
        // A bucket is filled in the pause, a window or a bucket without a burst is not: the truth lies in between.
        let most =
            recent.map_or(accepted / (cycle - self.pause).max(cycle / 10.0), |(n, seconds)| n / seconds);
        let mut refused_at = self.per_second.min(most);
        let shown = gained.map_or(accepted / seconds, |gained| gained.max(accepted / seconds));
        let mut next = self.per_second.min(shown) * BELOW;
        if self.pause > LONG_PAUSE {
            // Another one is to be avoided. What was accepted came from a bucket in part, which is full again.
            refused_at *= AFTER_LONG_PAUSE;
            next = next.max(refused_at * BEGINS_AT);
        }
        self.set_refused_at(refused_at);
        (self.is_guess, self.kept) = (false, 1.0);
        self.per_second = next.max(self.floor);
        self.resume(now);
    }

    /// A pause is over.
    pub(super) fn resume(&mut self, now: Instant) {
        self.spans = [Span { began: now, accepted: 0 }; 2];
        self.grown = now;
        self.next = now + self.gap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(number: u64, departures: u64) -> EndedAttempt {
        EndedAttempt {
            level: 1,
            number,
            departures,
            was_paced: true,
            given_rate: None,
            is_probe: false,
            is_old: false,
            is_unclear: false,
        }
    }

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn departures_keep_at_least_an_even_distance() {
        let start = Instant::now();
        let mut rate = LearnedRate::new(10.0 / BELOW, false, start);
        assert_eq!(rate.may_depart(start + millis(99)), Err(start + millis(100)));
        rate.left(start + millis(103));
        assert_eq!(rate.may_depart(start + millis(150)), Err(start + millis(203)));
        // An idle time earns nothing.
        rate.left(start + millis(900));
        assert_eq!(rate.may_depart(start + millis(901)), Err(start + millis(1_000)));
    }

    #[test]
    fn distances_shorter_than_a_timers_tick_are_caught_up_on() {
        let start = Instant::now();
        let mut rate = LearnedRate::new(2_000.0 / BELOW, false, start);
        let (mut now, mut left) = (start, 0);
        while now < start + millis(1_000) {
            while rate.may_depart(now) == Ok(()) {
                rate.left(now);
                left += 1;
            }
            now += millis(1);
        }
        assert!((1_950..=2_010).contains(&left), "{left}");
        assert!(!rate.keeps_distance() && LearnedRate::new(400.0, false, start).keeps_distance());
    }

    #[test]
    fn a_guess_grows_fast_until_it_is_refused_and_then_by_ever_smaller_shares() {
        let mut now = Instant::now();
        let mut rate = LearnedRate::new(2.0, true, now);
        let mut grow = |rate: &mut LearnedRate, seconds: u64| {
            for _ in 0..seconds * 20 {
                now += millis(50);
                rate.accepted(now, true);
            }
            now
        };
        grow(&mut rate, 3);
        assert!(rate.per_second() > 12.0, "{}", rate.per_second());
        let mut growths = Vec::new();
        for number in 0..8 {
            // Each is refused at about the rate of the one before.
            let at = grow(&mut rate, 0);
            rate.per_second = 20.0;
            let _ = rate.refused_once(at, &refused(number, number + 1), None);
            let before = rate.per_second();
            grow(&mut rate, 1);
            growths.push(rate.per_second() / before);
        }
        assert!(growths[1] > 1.1 && growths[7] < 1.02, "{growths:?}");
        assert!(growths[1..].is_sorted_by(|a, b| a >= b), "{growths:?}");
    }

    #[test]
    fn above_the_refused_rate_a_slow_one_grows_by_a_tenth_a_second_at_last_and_a_fast_one_twofold() {
        for (refused_at, growth) in [(2.0, 1.08..1.12), (40.0, 1.9..2.1)] {
            let mut now = Instant::now();
            let mut rate = LearnedRate::new(refused_at, false, now);
            rate.per_second = refused_at * 1.06;
            let mut grown = Vec::new();
            for _ in 0..14 {
                let (began, before) = (now, rate.per_second());
                while now < began + millis(1_000) {
                    now += rate.gap();
                    rate.accepted(now, true);
                }
                grown.push(rate.per_second() / before);
            }
            assert!(grown[0] < 1.07 && growth.contains(&grown[13]), "{grown:?}");
        }
    }

    /// By how much a rate of 10/s grows in a second that was refused so often at the same rate, after such a pause.
    fn growth_after(pause: u64, was_asked: bool, refused: u64) -> f64 {
        let mut now = Instant::now();
        let mut rate = LearnedRate::new(20.0, false, now);
        for _ in 0..refused {
            rate.per_second = 10.0;
            rate.paused_for(millis(pause), was_asked);
            rate.set(10.0, now);
        }
        let before = rate.per_second();
        for _ in 0..20 {
            now += millis(50);
            rate.accepted(now, true);
        }
        rate.per_second() / before - 1.0
    }

    #[test]
    fn a_pause_that_a_refusal_costs_slows_growth_down_the_more_the_better_the_limit_is_known() {
        let is = |growth: f64, expected: f64| (growth / expected - 1.0).abs() < 0.05;
        // 5 % are taken off in 20 times a pause of 2 s, in half of that while it was refused once at about this rate.
        assert!(is(growth_after(2_000, true, 4), 0.001_25), "{}", growth_after(2_000, true, 4));
        assert!(is(growth_after(2_000, true, 2), 0.001_25 * 2.0), "{}", growth_after(2_000, true, 2));
        // One that the server did not ask for comes seldom; a long one shows that it stays closed.
        assert!(growth_after(500, false, 4) > 0.009, "{}", growth_after(500, false, 4));
        assert!(is(growth_after(500, true, 4), 0.005), "{}", growth_after(500, true, 4));
        assert!(is(growth_after(2_000, false, 4), 0.001_25), "{}", growth_after(2_000, false, 4));
    }

    #[test]
    fn the_limit_is_what_refusals_showed_where_less_is_kept_to() {
        let now = Instant::now();
        let mut rate = LearnedRate::new(20.0, false, now);
        rate.paused_for(millis(10_000), true);
        rate.set(15.0, now);
        assert!((rate.per_second() - 15.0 * BELOW_LONG_PAUSE).abs() < 1e-9);
        assert!((rate.limit() - 15.0).abs() < 1e-9);
        rate.paused_for(millis(1_000), true);
        rate.set(12.0, now);
        assert!((rate.limit() - rate.per_second()).abs() < 1e-9);
    }

    #[test]
    fn where_many_were_refused_it_does_not_fall_below_what_was_accepted_from_an_earlier_refusal_on() {
        let now = Instant::now();
        for (gained, expected) in [(None, 2.0), (Some(6.0), 6.0), (Some(1.0), 2.0), (Some(30.0), 9.0)] {
            let mut rate = LearnedRate::new(9.0 / BELOW, false, now);
            rate.paused_for(millis(2_000), true);
            rate.relearn(8, Duration::from_secs(4), gained, now);
            assert!((rate.per_second() - expected * BELOW).abs() < 1e-9, "{gained:?} {}", rate.per_second());
        }
    }

    #[test]
    fn a_refusal_far_below_the_rate_that_was_refused_is_taken_for_chance() {
        let mut now = Instant::now();
        let mut rate = LearnedRate::new(100.0 / BELOW, false, now);
        let _ = rate.refused_once(now, &refused(0, 1), None);
        rate.per_second = 80.0;
        for _ in 0..BY_CHANCE {
            now += millis(10);
            rate.accepted(now, false);
        }
        let _ = rate.refused_once(now, &refused(50, 51), None);
        assert!((rate.per_second() - 80.0).abs() < 1e-9);
        let _ = rate.refused_once(now, &refused(51, 52), None);
        assert!(rate.per_second() < 80.0, "the second in a row is none");
    }

    /// Accepts so many and refuses one, so often.
    fn fail(rate: &mut LearnedRate, (accepted, times): (u32, u64), from: u64) {
        let now = Instant::now();
        for number in from..from + times {
            for _ in 0..accepted {
                rate.accepted(now, false);
            }
            let _ = rate.refused_once(
                now,
                &EndedAttempt { is_unclear: true, ..refused(number, number + 1) },
                None,
            );
        }
    }

    #[test]
    fn a_share_that_fails_at_any_rate_does_not_lower_it_near_the_limit_and_a_larger_one_does() {
        let now = Instant::now();
        let mut rate = LearnedRate::new(100.0, false, now);
        rate.per_second = 80.0;
        fail(&mut rate, (30, 10), 0);
        assert!((rate.per_second() - 80.0).abs() < 1e-9 && rate.chance > 0.02);
        // Near the limit as many fail.
        rate.per_second = 99.0;
        fail(&mut rate, (30, 10), 10);
        assert!((rate.per_second() - 99.0).abs() < 1e-9);
        // More than that: five of 64 are the limit, as many below it.
        fail(&mut rate, (11, 5), 20);
        let expected = 99.0 * (1.0 - 5.0 / 64.0) * CUT;
        assert!((rate.per_second() - expected).abs() < 0.1, "{} {expected}", rate.per_second());
        assert!(rate.chance < 0.01, "little of it is by chance");
    }

    #[test]
    fn where_nothing_failed_below_the_limit_one_refusal_near_it_lowers_the_rate() {
        let mut rate = LearnedRate::new(100.0, false, Instant::now());
        rate.per_second = 99.0;
        fail(&mut rate, (60, 1), 0);
        assert!((rate.per_second() - 99.0 * CUT).abs() < 1e-9);
    }

    #[test]
    fn what_left_before_a_refusal_came_lowers_the_rate_no_further() {
        let now = Instant::now();
        let mut rate = LearnedRate::new(100.0, false, now);
        let before = rate.per_second();
        for number in 5..10 {
            let _ = rate.refused_once(now, &refused(number, 10), None);
        }
        assert!((rate.per_second() - before * CUT).abs() < 1e-9);
        let _ = rate.refused_once(now, &refused(10, 11), None);
        assert!(rate.per_second() < before * CUT);
    }

    #[test]
    fn it_does_not_grow_where_something_else_holds_the_pool_back() {
        let now = Instant::now();
        let mut rate = LearnedRate::new(10.0, false, now);
        let before = rate.per_second();
        rate.accepted(now + millis(500), false);
        assert!((rate.per_second() - before).abs() < 1e-9);
    }

    #[test]
    fn it_never_falls_below_one_a_minute() {
        let now = Instant::now();
        let mut rate = LearnedRate::new(0.0, false, now);
        let _ = rate.refused_once(now, &refused(0, 1), None);
        rate.relearn(0, Duration::from_secs(1), None, now);
        assert!((rate.per_second() - LEAST).abs() < 1e-12);
    }
}
