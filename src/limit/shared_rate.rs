//! The rate of many processes, as one of them sees it: when to ask the store, and which attempt may leave by what it
//! granted. Without IO and without a clock.
//!
//! A grant is one departure at one instant. It may be used from then on for as long as the promise
//! `rate × (T + 10 ms) + burst` allows, and lapses afterwards.
//!
//! Why the promise holds for all processes together: the instants that the store has granted obey the rate. This process
//! knows the store's clock only within bounds (`store_clock`). A grant therefore begins at the latest instant that can be
//! meant, and ends by the earliest.
//!
//! A grant is used only while the newest answer of the store is fresh. So a pause that any process writes holds for all
//! within [`FRESH`], and nothing leaves any more soon after the store is gone.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::pacer::{CREDIT_TIME, MARGIN, kept_interval};
use super::rate_store::{StoreAnswer, StoreCall};
use super::store_clock::{StoreClock, StoreReading};
use crate::model::Rate;

/// How old the store's newest answer may be when an attempt leaves, counted from the sending of its call. Below the
/// 100 ms within which a pause holds for all, by the time that writing it takes.
const FRESH: Duration = Duration::from_millis(90);
/// Where the store is far away, an answer has to last until the next one is here, and a little longer.
const FRESH_BESIDE_ROUND_TRIPS: Duration = Duration::from_millis(30);
/// More is asked for so long before the last grant begins, two round trips apart: longer than the event loop is busy
/// with something else, and short enough that many attempts are granted by one call.
const AHEAD: Duration = Duration::from_millis(5);
/// While grants are held, calls keep this distance for every process that calls, …
const DISTANCE: Duration = Duration::from_millis(1);
/// … up to this number of them.
const DISTANCE_FOR_AT_MOST: u32 = 8;
/// A process without a waiting attempt calls this often all the same: it learns of pauses, and is counted as one that
/// is there.
const READ_EVERY: Duration = Duration::from_secs(1);

/// One attempt may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grant {
    from: Instant,
    until: Instant,
    cost: NonZeroU32,
}

/// What the rate keeper does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateStep {
    /// It makes this call.
    Call(StoreCall),
    /// It asks again at this instant, or when it is woken.
    Wait(Instant),
}

/// Why an attempt cannot leave yet for the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RateWait {
    /// It tries again then.
    Until(Instant),
    /// It waits for an answer of the store.
    ForGrant,
}

/// Whether the rate keeper has to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wakeup {
    /// It looks again by itself.
    NotNeeded,
    /// There was nothing to ask for: the next attempt that waits wakes it.
    WhenWanted,
    /// It has to look again now.
    Due,
}

/// The grants, and what was asked.
#[derive(Debug)]
pub(super) struct SharedRate {
    grants: VecDeque<Grant>,
    /// The tokens that the attempt takes which has its turn, and waits for the rate alone.
    wanted: Option<NonZeroU32>,
    counts_keys: bool,
    /// When the newest call that was answered was sent; before the first one, the start.
    asked_at: Instant,
    /// Whether the store answered since the start, or since it was gone.
    is_connected: bool,
    clock: StoreClock,
    active: u32,
    /// From one departure of all processes to the next.
    interval: Duration,
    /// A pause that the store does not know yet.
    unwritten: Option<Instant>,
    wakeup: Wakeup,
}

impl SharedRate {
    /// Without any grant.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            grants: VecDeque::new(),
            wanted: None,
            counts_keys: rate.counts_keys(),
            asked_at: now,
            is_connected: false,
            clock: StoreClock::new(now),
            active: 1,
            interval: kept_interval(rate),
            unwritten: None,
            wakeup: Wakeup::NotNeeded,
        }
    }

    /// The share of this process, in departures a second, each as large as the newest.
    pub(super) fn per_second(&self) -> f64 {
        1.0 / self.interval.as_secs_f64().max(1e-9) / f64::from(self.active)
    }

    /// Whether an attempt for so many keys may depart at `now`. On `Ok` it must.
    ///
    /// # Errors
    /// What it has to wait for.
    pub(super) fn depart(&mut self, now: Instant, keys: NonZeroU32) -> Result<(), RateWait> {
        let cost = if self.counts_keys { keys } else { NonZeroU32::MIN };
        self.drop_lapsed(now);
        // A grant for a smaller pack is of no use to a larger one, which is asked for at the end of the line.
        while self.grants.front().is_some_and(|grant| grant.cost < cost) {
            self.grants.pop_front();
        }
        if self.wanted != Some(cost) || self.wakeup == Wakeup::WhenWanted {
            self.wanted = Some(cost);
            self.wake_keeper();
        }
        match self.grants.front() {
            Some(grant) if now < grant.from => Err(RateWait::Until(grant.from)),
            Some(_) if now <= self.fresh_until() => {
                self.grants.pop_front();
                Ok(())
            }
            _ => Err(RateWait::ForGrant),
        }
    }

    /// No attempt waits for the rate alone any more.
    pub(super) fn forget(&mut self) {
        self.wanted = None;
    }

    /// The store is to be told of this pause.
    pub(super) fn write_pause(&mut self, until: Instant) {
        if self.unwritten.is_none_or(|known| known < until) {
            self.unwritten = Some(until);
            self.wake_keeper();
        }
    }

    /// What is done next, where `waiting` attempts could leave but for the rate.
    pub(super) fn next_step(&mut self, now: Instant, waiting: usize) -> RateStep {
        self.drop_lapsed(now);
        self.wakeup = Wakeup::NotNeeded;
        let cost = self.wanted.unwrap_or(NonZeroU32::MIN);
        let waiting = if self.wanted.is_some() { waiting } else { 0 };
        let missing = waiting.saturating_sub(self.grants.len());
        let want = u32::try_from(missing).unwrap_or(u32::MAX);
        self.unwritten = self.unwritten.filter(|until| *until > now);
        let pause = self.unwritten.map(|until| until - now);
        let call = RateStep::Call(StoreCall { want, cost, pause });
        if pause.is_some() || !self.is_connected {
            return call;
        }
        let mut next = self.asked_at + READ_EVERY;
        let ahead = AHEAD + self.clock.newest() * 2;
        if let (Some(first), Some(last)) = (self.grants.front(), self.grants.back()) {
            let more_at = last.from.checked_sub(ahead).unwrap_or(now);
            let distance = DISTANCE * self.active.min(DISTANCE_FOR_AT_MOST);
            match missing {
                0 => self.wakeup = Wakeup::WhenWanted,
                _ => next = next.min(more_at.max(self.asked_at + distance)),
            }
            if more_at > now {
                next = next.min(more_at);
            }
            // The first one begins: the newest answer has to be fresh then.
            let read_at = first.from.checked_sub(ahead * 2).unwrap_or(now);
            next = next.min(read_at.max(self.asked_at + self.freshness() / 2));
        } else if missing > 0 {
            return call;
        } else {
            self.wakeup = Wakeup::WhenWanted;
        }
        if next <= now { call } else { RateStep::Wait(next) }
    }

    /// Takes note of an answer to a call that was sent at `sent`. Returns until when all processes pause, if they do.
    pub(super) fn answered(
        &mut self,
        call: &StoreCall,
        answer: &StoreAnswer,
        (sent, now): (Instant, Instant),
    ) -> Option<Instant> {
        if answer.forgot {
            self.grants.clear();
            self.clock.forget();
        }
        self.clock.read(StoreReading { sent, arrived: now, store: answer.at });
        self.asked_at = sent;
        self.is_connected = true;
        self.active = answer.active.max(1);
        if answer.granted > 0 {
            self.interval = answer.interval;
        }
        if call.pause.is_some_and(|pause| self.unwritten.is_some_and(|until| until <= sent + pause)) {
            self.unwritten = None;
        }
        let paused_until = (!answer.pause.is_zero()).then(|| self.clock.instants(answer.at + answer.pause).1);
        if let Some(until) = paused_until {
            self.grants.retain(|grant| grant.from >= until);
        }
        // Two departures that the store has granted are further apart than the rate demands, by the margin below it.
        let usable = CREDIT_TIME + answer.interval.mul_f64(MARGIN);
        for number in 0..answer.granted {
            let after = answer.interval.saturating_mul(number).saturating_sub(answer.slack);
            let (earliest, latest) = self.clock.instants(answer.at + answer.wait + after);
            self.grants.push_back(Grant { from: latest, until: earliest + usable, cost: call.cost });
        }
        paused_until
    }

    /// The store is gone: what it granted is of no use any more.
    pub(super) fn lost(&mut self) {
        self.grants.clear();
        self.is_connected = false;
    }

    /// Whether the rate keeper has to look again.
    pub(super) fn take_wakeup(&mut self) -> bool {
        let is_due = self.wakeup == Wakeup::Due;
        if is_due {
            self.wakeup = Wakeup::NotNeeded;
        }
        is_due
    }

    fn wake_keeper(&mut self) {
        self.wakeup = Wakeup::Due;
    }

    fn drop_lapsed(&mut self, now: Instant) {
        while self.grants.front().is_some_and(|grant| grant.until < now || grant.until < grant.from) {
            self.grants.pop_front();
        }
    }

    fn freshness(&self) -> Duration {
        FRESH.max(self.clock.shortest() * 2 + FRESH_BESIDE_ROUND_TRIPS)
    }

    fn fresh_until(&self) -> Instant {
        self.asked_at + self.freshness()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn shared(start: Instant) -> SharedRate {
        SharedRate::new("100 keys/s".parse().unwrap(), start)
    }

    /// So many grants from `wait` on, by a call that was sent at `sent` and answered a millisecond later.
    fn grant(shared: &mut SharedRate, start: Instant, (sent, granted, wait): (u64, u32, u64)) {
        let call = StoreCall { want: granted, cost: ONE, pause: None };
        let answer = StoreAnswer {
            at: ms(sent),
            granted,
            wait: ms(wait),
            interval: ms(10),
            slack: Duration::ZERO,
            pause: Duration::ZERO,
            active: 2,
            differs: false,
            forgot: false,
        };
        assert_eq!(shared.answered(&call, &answer, (start + ms(sent), start + ms(sent + 1))), None);
    }

    fn wants(step: RateStep) -> Option<u32> {
        match step {
            RateStep::Call(call) => Some(call.want),
            RateStep::Wait(_) => None,
        }
    }

    #[test]
    fn a_grant_is_used_from_its_instant_on_and_lapses_10_ms_later() {
        let start = Instant::now();
        let mut rate = shared(start);
        assert_eq!(rate.depart(start, ONE), Err(RateWait::ForGrant));
        grant(&mut rate, start, (0, 3, 20));
        // The script ran at any time between sending and arrival.
        assert_eq!(rate.depart(start + ms(20), ONE), Err(RateWait::Until(start + ms(21))));
        assert_eq!(rate.depart(start + ms(21), ONE), Ok(()));
        assert_eq!(rate.depart(start + ms(21), ONE), Err(RateWait::Until(start + ms(31))));
        // The second has lapsed, the third has not.
        assert_eq!(rate.depart(start + ms(42), ONE), Ok(()));
        assert_eq!(rate.depart(start + ms(42), ONE), Err(RateWait::ForGrant));
    }

    #[test]
    fn no_grant_is_used_while_the_newest_answer_is_old_or_after_the_store_is_gone() {
        let start = Instant::now();
        let mut rate = shared(start);
        grant(&mut rate, start, (0, 1, 100));
        assert_eq!(rate.depart(start + ms(101), ONE), Err(RateWait::ForGrant));
        grant(&mut rate, start, (100, 0, 0));
        assert_eq!(rate.depart(start + ms(101), ONE), Ok(()));
        grant(&mut rate, start, (110, 5, 0));
        rate.lost();
        assert_eq!(rate.depart(start + ms(112), ONE), Err(RateWait::ForGrant));
        assert_eq!(wants(rate.next_step(start + ms(112), 3)), Some(3));
    }

    #[test]
    fn as_many_are_asked_for_as_wait_and_more_only_when_those_held_are_nearly_used() {
        let start = Instant::now();
        let mut rate = shared(start);
        let _ = rate.depart(start, ONE);
        assert_eq!(wants(rate.next_step(start, 4)), Some(4));
        grant(&mut rate, start, (0, 4, 0));
        assert_eq!(wants(rate.next_step(start + ms(2), 4)), None, "as many are held");
        assert_eq!(wants(rate.next_step(start + ms(2), 9)), None, "the last begins in 30 ms");
        assert_eq!(wants(rate.next_step(start + ms(25), 9)), Some(7), "two have lapsed");
    }

    #[test]
    fn a_wakeup_is_taken_once() {
        let start = Instant::now();
        let mut rate = shared(start);
        grant(&mut rate, start, (0, 0, 0));
        assert_eq!(wants(rate.next_step(start, 0)), None);
        assert!(!rate.take_wakeup());
        let _ = rate.depart(start, ONE);
        assert!(rate.take_wakeup() && !rate.take_wakeup());
        let _ = rate.depart(start, ONE);
        assert!(!rate.take_wakeup(), "the keeper has not looked since");
    }

    #[test]
    fn a_grant_for_fewer_keys_is_of_no_use_and_a_larger_one_is() {
        let start = Instant::now();
        let mut rate = shared(start);
        grant(&mut rate, start, (0, 1, 0));
        let two = NonZeroU32::new(2).unwrap();
        assert_eq!(rate.depart(start + ms(1), two), Err(RateWait::ForGrant));
        let RateStep::Call(call) = rate.next_step(start + ms(1), 1) else { panic!("a call") };
        assert_eq!((call.want, call.cost), (1, two));
    }

    #[test]
    fn a_pause_is_written_until_the_store_knows_it() {
        let start = Instant::now();
        let mut rate = shared(start);
        grant(&mut rate, start, (0, 0, 0));
        rate.write_pause(start + ms(500));
        rate.write_pause(start + ms(400));
        let RateStep::Call(call) = rate.next_step(start + ms(100), 0) else { panic!("a call") };
        assert_eq!(call.pause, Some(ms(400)));
        rate.lost();
        let RateStep::Call(again) = rate.next_step(start + ms(200), 0) else { panic!("a call") };
        assert_eq!(again.pause, Some(ms(300)));
        let answer = StoreAnswer {
            at: ms(201),
            granted: 0,
            wait: Duration::ZERO,
            interval: ms(10),
            slack: Duration::ZERO,
            pause: ms(300),
            active: 1,
            differs: false,
            forgot: false,
        };
        let until = rate.answered(&again, &answer, (start + ms(200), start + ms(202)));
        assert!(until.is_some_and(|until| until >= start + ms(500) && until <= start + ms(503)));
        assert_eq!(wants(rate.next_step(start + ms(203), 0)), None);
    }
}
