//! `--rate` and `--burst`: never too many in any window, and yet the whole rate.
//!
//! The bucket itself is governor's, with room for exactly `burst`. What it cannot know is that timers
//! wake late: tokio's tick in milliseconds, so that a pacer which books each departure when it
//! really happens loses half a tick every time (a fifth of the rate at 1,000/s). So a departure that
//! had to wait is booked at the instant when it was *due*, if that was no more than [`CREDIT`] ago,
//! and those behind it inherit what is left of the delay. An idle time earns nothing: whoever comes
//! then is booked at its real instant.
//!
//! Why the promise holds: booked instants obey `n ≤ rate × T + burst` in every window (that is
//! governor's bucket), and each real instant is at most [`CREDIT`] after its booked one. So the
//! departures of a window of T seconds were booked in one of T + 10 ms.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, Quota, RateLimiter};
use tokio::time::Instant;

use super::clock::{Moment, SetClock};
use crate::model::Rate;

/// How far back a late departure may be booked: the 10 ms of the promise
/// `rate × (T + 10 ms) + burst`.
const CREDIT: u64 = 10_000_000;

/// The part of `--rate` that is kept. A limiter counts arrivals, which come closer together than departures now and then:
/// at exactly its rate one attempt in ten was refused, at this part none.
const PART: f64 = 0.993;

/// Each refusal lengthens the distance by this part of it …
const LONGER: f64 = 0.015;
/// … all of them together by no more than this.
const LONGER_MOST: f64 = 0.03;
/// Each departure shortens it again, by so much that one refusal in 200 departures keeps it as it is.
const SHORTER: f64 = LONGER / 200.0;

/// The 10 ms of the promise.
pub(super) const CREDIT_TIME: Duration = Duration::from_nanos(CREDIT);

/// The part of `--rate` that is not used.
pub(super) const MARGIN: f64 = 1.0 - PART;

/// The time from one token to the next, in the books.
pub(crate) fn kept_interval(rate: Rate) -> Duration {
    rate.interval().div_f64(PART).max(Duration::from_nanos(1))
}

/// The longest time that a bucket may take to fill. governor counts in 64-bit nanoseconds; a burst
/// that would overflow them is cut, which never makes the pace faster than asked.
const FILL_MAX: Duration = Duration::from_hours(24 * 365 * 100);

/// Decides when the next attempt may leave, one caller at a time.
#[derive(Debug)]
pub(super) struct Pacer {
    bucket: RateLimiter<NotKeyed, InMemoryState, SetClock, NoOpMiddleware<Moment>>,
    clock: SetClock,
    start: Instant,
    per_second: f64,
    /// The time from one departure to the next, in the books.
    interval: u64,
    /// The same at the rate that was asked for, for a burst of 1.
    asked_distance: Option<Duration>,
    /// By which part the distance is longer, because of refusals.
    longer: f64,
    /// The shortest time between two departures, once they keep it.
    distance: Option<u64>,
    /// The newest booked instant; bookings never go back.
    booked: u64,
    /// The real instant of the newest departure.
    left: Option<u64>,
    /// How far the newest booking lies before its departure.
    owed: u64,
    /// The instant at which a waiter is to try again.
    promised: Option<u64>,
    /// An attempt takes as many tokens as it asks for keys.
    counts_keys: bool,
    /// The tokens of the newest departure.
    cost: u32,
}

impl Pacer {
    /// A pacer whose bucket is full at `start`.
    pub(super) fn new(rate: Rate, burst: NonZeroU32, start: Instant) -> Self {
        let interval = kept_interval(rate);
        let cells = u32::try_from(FILL_MAX.as_nanos() / interval.as_nanos()).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(burst.get().min(cells)).unwrap_or(NonZeroU32::MIN);
        // `with_period` is `None` only for a period of zero.
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let clock = SetClock::default();
        Self {
            bucket: RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone()),
            clock,
            start,
            per_second: rate.per_second() * PART,
            interval: nanos(interval),
            asked_distance: (burst.get() == 1).then(|| rate.interval()),
            longer: 0.0,
            distance: None,
            booked: 0,
            left: None,
            owed: 0,
            promised: None,
            counts_keys: rate.counts_keys(),
            cost: 1,
        }
    }

    /// Departures a second, each as large as the newest.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second / f64::from(self.cost)
    }

    /// A departure was refused. A limiter without a burst refuses what comes too soon after another request: from now on
    /// what was lost by late timers is caught up on by the margin below the rate alone. Its clock may tick in milliseconds,
    /// so that a little more distance is needed, the more is refused.
    pub(super) fn keep_distance(&mut self) {
        let longer = self.distance.map_or(0.0, |_| self.longer + LONGER);
        self.lengthen_to(longer);
    }

    fn lengthen_to(&mut self, longer: f64) {
        self.longer = longer.clamp(0.0, LONGER_MOST);
        self.distance = self.asked_distance.map(|distance| nanos(distance.mul_f64(1.0 + self.longer)));
    }

    /// Whether that is so.
    pub(super) fn keeps_distance(&self) -> bool {
        self.distance.is_some()
    }

    /// Whether an attempt for so many keys may depart at `now`. On `Ok` the departure is booked and must happen at once.
    ///
    /// # Errors
    /// The instant to try again at.
    pub(super) fn depart(&mut self, now: Instant, keys: NonZeroU32) -> Result<(), Instant> {
        let cost = if self.counts_keys { keys } else { NonZeroU32::MIN };
        let now = u64::try_from((now - self.start).as_nanos()).unwrap_or(u64::MAX);
        if let Some((left, distance)) = self.left.zip(self.distance)
            && now < left.saturating_add(distance)
        {
            let due = left.saturating_add(distance);
            // What it is late by in the books is not forgotten.
            self.promised.get_or_insert(due.min(self.booked.saturating_add(self.interval)));
            return Err(self.start + Duration::from_nanos(due));
        }
        let owed = match self.promised {
            Some(promised) if promised <= now => now - promised,
            _ if self.left.is_some_and(|left| now - left.min(now) <= CREDIT) => self.owed,
            _ => 0,
        };
        let base = (now - owed.min(CREDIT).min(now)).max(self.booked);
        match self.book(base, cost).or_else(|due| if due <= now { self.book(due, cost) } else { Err(due) }) {
            Ok(booked) => {
                self.cost = cost.get();
                if self.longer > 0.0 {
                    self.lengthen_to(self.longer - SHORTER);
                }
                self.promised = None;
                self.booked = booked;
                self.left = Some(now);
                self.owed = now.saturating_sub(booked);
                Ok(())
            }
            Err(due) => {
                self.promised = Some(due);
                Err(self.start + Duration::from_nanos(due))
            }
        }
    }

    /// No attempt waits for the rate any more: what was promised is not owed.
    pub(super) fn forget(&mut self) {
        self.promised = None;
    }

    fn book(&self, moment: u64, cost: NonZeroU32) -> Result<u64, u64> {
        self.clock.set(Moment(moment));
        match self.bucket.check_n(cost) {
            Ok(Ok(())) => Ok(moment),
            Ok(Err(not)) => Err(not.earliest_possible().0),
            // More than the bucket ever holds: it leaves when the bucket is full.
            Err(InsufficientCapacity(most)) => {
                let most = NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN);
                if most < cost { self.book(moment, most) } else { Ok(moment) }
            }
        }
    }
}

/// Saturates, as all times in the books.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn burst(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    /// Fails if any window of departures (nanoseconds, sorted) holds more than was promised.
    fn check_windows(left: &[u64], rate: Rate, burst: u32) -> Result<(), TestCaseError> {
        // With `slack[i] = i - rate × t[i]`, the window from i to j is too full exactly if
        // slack[j] - slack[i] + 1 > rate × 10 ms + burst: the lowest slack so far is the worst i.
        let per_nano = rate.per_second() / 1e9;
        let most = per_nano * 1e7 + f64::from(burst);
        let mut lowest = f64::INFINITY;
        for (i, &at) in left.iter().enumerate() {
            let slack = i as f64 - per_nano * at as f64;
            lowest = lowest.min(slack);
            prop_assert!(slack - lowest + 1.0 <= most + 1e-6, "departure {i} at {at} ns of {rate}, {burst}");
        }
        Ok(())
    }

    /// The instants at which a closed crowd leaves, whose head wakes `late(i)` ns after it asked to.
    fn crowd(pacer: &mut Pacer, start: Instant, until: u64, mut late: impl FnMut() -> u64) -> Vec<u64> {
        let mut left = Vec::new();
        let mut now = 0;
        while now < until {
            match pacer.depart(start + Duration::from_nanos(now), NonZeroU32::MIN) {
                Ok(()) => left.push(now),
                Err(due) => now = u64::try_from((due - start).as_nanos()).unwrap() + late(),
            }
        }
        left
    }

    #[test]
    fn exactly_the_burst_leaves_at_once_at_first_and_after_a_quiet_time() {
        for (text, size) in [("1/s", 1), ("50/s", 3), ("5000/s", 1), ("5000/s", 20), ("3/h", 2)] {
            let start = Instant::now();
            let mut pacer = Pacer::new(rate(text), burst(size), start);
            for idle in [0, 1_000_000] {
                let now = start + Duration::from_secs(idle);
                let at_once = (0..1_000).take_while(|_| pacer.depart(now, NonZeroU32::MIN).is_ok()).count();
                assert_eq!(at_once, size as usize, "{text} after {idle} s");
                pacer.forget();
            }
        }
    }

    #[test]
    fn nobody_waiting_earns_no_credit_however_late_the_next_one_comes() {
        let start = Instant::now();
        let mut pacer = Pacer::new(rate("1000/s"), burst(1), start);
        assert!(pacer.depart(start, NonZeroU32::MIN).is_ok());
        assert!(pacer.depart(start, NonZeroU32::MIN).is_err());
        pacer.forget();
        let later = start + Duration::from_millis(500);
        assert!(pacer.depart(later, NonZeroU32::MIN).is_ok());
        assert!(pacer.depart(later, NonZeroU32::MIN).is_err());
    }

    #[test]
    fn what_is_owed_to_a_late_timer_is_gone_after_a_quiet_time() {
        let start = Instant::now();
        let mut pacer = Pacer::new(rate("1000/s"), burst(1), start);
        assert!(pacer.depart(start, NonZeroU32::MIN).is_ok());
        let due = pacer.depart(start, NonZeroU32::MIN).unwrap_err();
        assert!(pacer.depart(due + Duration::from_millis(9), NonZeroU32::MIN).is_ok(), "late");
        let later = due + Duration::from_millis(500);
        assert!(pacer.depart(later, NonZeroU32::MIN).is_ok());
        assert!(pacer.depart(later, NonZeroU32::MIN).is_err());
    }

    #[test]
    fn the_whole_rate_is_reached_although_timers_tick_in_milliseconds() {
        for text in ["1/s", "7/s", "60/m", "99/s", "200/s", "1000/s", "1001/s", "3333/s", "5000/s"] {
            let start = Instant::now();
            let mut pacer = Pacer::new(rate(text), burst(1), start);
            let mut seed = 1_u64;
            let left = crowd(&mut pacer, start, 100_000_000_000, || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                seed >> 44 // up to 1.05 ms
            });
            let reached = left.len() as f64 / (rate(text).per_second() * 100.0);
            assert!(reached >= 0.99, "{text}: {reached}");
        }
    }

    #[test]
    fn one_worker_alone_catches_up_too() {
        // One in flight, answers in 0.9 ms, 1,000/s asked: it arrives after each answer.
        let start = Instant::now();
        let mut pacer = Pacer::new(rate("1000/s"), burst(1), start);
        let (mut now, mut left) = (0_u64, 0_u32);
        while now < 10_000_000_000 {
            match pacer.depart(start + Duration::from_nanos(now), NonZeroU32::MIN) {
                Ok(()) => {
                    left += 1;
                    now += 900_000;
                }
                Err(due) => {
                    let due = u64::try_from((due - start).as_nanos()).unwrap();
                    now = (due + 1).next_multiple_of(1_000_000) + 700_000;
                }
            }
        }
        assert!(left >= 9_900, "{left}");
    }

    #[test]
    fn no_rate_and_burst_overflow() {
        let start = Instant::now();
        for text in ["1/h", "1/s", "4294967295/s"] {
            let mut pacer = Pacer::new(rate(text), NonZeroU32::MAX, start);
            assert!((0..1_000).all(|_| pacer.depart(start, NonZeroU32::MIN).is_ok()), "{text}");
            let mut pacer = Pacer::new(rate(text), burst(1), start);
            assert!(pacer.depart(start + FILL_MAX, NonZeroU32::MIN).is_ok(), "{text}");
        }
    }

    #[test]
    fn after_a_refusal_no_departure_follows_another_sooner_than_at_the_rate_and_the_rate_is_kept() {
        let start = Instant::now();
        let mut pacer = Pacer::new(rate("20/s"), burst(1), start);
        pacer.keep_distance();
        let mut lateness = [0, 300_000, 0, 900_000, 100_000].into_iter().cycle();
        let left = crowd(&mut pacer, start, 60_000_000_000, || lateness.next().unwrap());
        let shortest = left.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(shortest >= 50_000_000, "{shortest}");
        // 99 % of 20/s, in spite of the late timers.
        assert!(left.len() >= 1_188, "{}", left.len());
    }

    #[test]
    fn each_refusal_lengthens_the_distance_a_little_and_it_shrinks_again_without_them() {
        let start = Instant::now();
        let mut pacer = Pacer::new(rate("20/s"), burst(1), start);
        (0..3).for_each(|_| pacer.keep_distance());
        let left = crowd(&mut pacer, start, 200_000_000_000, || 0);
        let gaps: Vec<_> = left.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!((51_400_000..=51_500_000).contains(&gaps[0]), "3 % of 50 ms: {}", gaps[0]);
        assert!(gaps[..300].is_sorted_by(|before, after| before > after), "less with each departure");
        let kept = u64::try_from(kept_interval(rate("20/s")).as_nanos()).unwrap();
        assert!(gaps.last().unwrap().abs_diff(kept) <= 1, "{:?}", gaps.last());
        (0..20).for_each(|_| pacer.keep_distance());
        assert!((pacer.longer - LONGER_MOST).abs() < 1e-9);
    }

    #[test]
    fn a_burst_may_leave_at_once_whatever_was_refused() {
        let start = Instant::now();
        let mut pacer = Pacer::new(rate("20/s"), burst(3), start);
        (0..3).for_each(|_| pacer.keep_distance());
        assert!(!pacer.keeps_distance());
        assert!((0..3).all(|_| pacer.depart(start, NonZeroU32::MIN).is_ok()));
    }

    proptest! {
        #[test]
        fn no_window_is_ever_too_full(
            count in 1_u32..6_000,
            size in 1_u32..8,
            steps in prop::collection::vec((0_u8..10, 0_u64..40_000_000), 1..400),
        ) {
            let rate = rate(&format!("{count}/s"));
            let start = Instant::now();
            let mut pacer = Pacer::new(rate, burst(size), start);
            let mut now = 0_u64;
            let mut left = Vec::new();
            for (kind, nanos) in steps {
                match kind {
                    // An idle time or a pause.
                    0 => { pacer.forget(); now += nanos * 20; }
                    // Nobody asks for a moment, yet nobody gave up.
                    1 => now += nanos / 8,
                    2 => now += nanos / 1_000,
                    // Somebody asks, and comes back more or less late.
                    _ => if let Err(due) = pacer.depart(start + Duration::from_nanos(now), NonZeroU32::MIN) {
                        let due = u64::try_from((due - start).as_nanos()).unwrap();
                        prop_assert!(due > now);
                        now = due + if kind < 5 { nanos } else { nanos / 30 };
                    } else {
                        left.push(now);
                    }
                }
                while pacer.depart(start + Duration::from_nanos(now), NonZeroU32::MIN).is_ok() {
                    left.push(now);
                }
            }
            check_windows(&left, rate, size)?;
        }
    }
}
