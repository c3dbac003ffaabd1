//! What decides when an attempt leaves, without the queue and its wakers: slots, pause, quota, learnt limits and rate.
//!
//! The time is a parameter, so that the worlds of `worlds.rs` simulate the same code that runs behind the gate.

mod departure;
mod number;
mod shared;
mod strained;

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::adaptive::Adaptive;
use super::gate_events::GateEvents;
use super::learned::{EndedAttempt, LearnedAdvice, LearnedLimits, Reaction};
use super::load_signal::LoadSignal;
use super::pause::{Admission, PoolPause};
use super::quota::AnnouncedQuota;
use super::rate_source::RateSource;
use super::shared_rate::RateWait;
use super::slots::Slots;
use super::spread::Spread;
use super::{Concurrency, PaceSettings};
use crate::model::{LimitChangeReason, PauseReason};

pub(super) use departure::{Departure, TurnStep};

/// How often the probe of a pause, when it is sent again, looks for a grant of the rate store.
const GRANT_OF_PROBE: Duration = Duration::from_millis(5);

/// The state of the pool.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) slots: Slots,
    pub(super) pause: PoolPause,
    quota: AnnouncedQuota,
    pub(super) learned: LearnedLimits,
    pub(super) events: GateEvents,
    spread: Spread,
    rate: Option<RateSource>,
    /// None as long as the number is fixed and the server refused nothing for it.
    adaptive: Option<Adaptive>,
    ceiling: usize,
    /// The number in flight is given, and not searched for.
    is_fixed: bool,
    /// The limit before a refusal was taken for a cap.
    uncapped: Option<usize>,
    /// The limit when the newest attempt was accepted, while refusals follow.
    limit_accepted: Option<usize>,
    /// The limit before it was lowered for an outage, until the pause for that is over.
    before_outage: Option<usize>,
    /// The head of the queue waits, or waited last, for the learnt rate.
    waits_for_rate: bool,
    /// The same for `--rate`.
    waits_for_given: bool,
    start: Instant,
    /// How many were accepted since the newest pause.
    accepted: usize,
}

impl Pool {
    /// All slots free, the bucket full.
    pub(super) fn new(settings: &PaceSettings, now: Instant) -> Self {
        let ceiling = settings.concurrency.ceiling().get();
        let adaptive = match settings.concurrency {
            Concurrency::Fixed(_) => None,
            Concurrency::Auto { .. } => Some(Adaptive::new(ceiling)),
        };
        let is_fixed = adaptive.is_none();
        Self {
            slots: Slots::new(adaptive.as_ref().map_or(ceiling, Adaptive::limit)),
            pause: PoolPause::default(),
            quota: AnnouncedQuota::default(),
            learned: LearnedLimits::default(),
            events: GateEvents::default(),
            spread: Spread::default(),
            rate: RateSource::new(settings, now),
            adaptive,
            ceiling,
            is_fixed,
            uncapped: None,
            limit_accepted: None,
            before_outage: None,
            waits_for_rate: false,
            waits_for_given: false,
            start: now,
            accepted: 0,
        }
    }

    /// The fast path: no pause, no rate, a free slot. Does not read the clock.
    pub(super) fn leave_at_once(&mut self) -> Option<Departure> {
        let open = self.pause.is_over() && !self.is_slowed() && self.rate.is_none();
        (open && self.slots.has_room()).then(|| {
            self.learned.left(Instant::now);
            self.take_slot(None)
        })
    }

    /// Whether departures keep a distance, because of a quota, a learnt limit or an earlier pause.
    pub(super) fn is_slowed(&self) -> bool {
        !(self.quota.is_idle() && self.spread.is_idle() && self.learned.is_idle())
    }

    /// Whether one more may be in flight.
    pub(super) fn has_room(&self) -> bool {
        // At the end of a pause for an outage room is made where there is none.
        (self.slots.has_room() || self.before_outage.is_some()) && self.pause.has_room()
    }

    fn take_slot(&mut self, probed: Option<Instant>) -> Departure {
        let number = self.slots.departures();
        self.slots.take();
        self.pause.left(probed.is_some());
        let (level, limit) = (self.slots.in_flight(), self.slots.limit());
        let was_paced = std::mem::take(&mut self.waits_for_rate);
        let was_kept = std::mem::take(&mut self.waits_for_given);
        let probe = probed.is_some();
        Departure { epoch: self.pause.epoch(), probe, probed, level, limit, number, was_paced, was_kept }
    }

    /// Whether all others wait for the answer of this holder of a slot.
    pub(super) fn is_the_probe(&self, holder: Option<Departure>) -> bool {
        holder.is_some_and(|it| it.probe && it.epoch == self.pause.epoch()) && self.pause.is_probing()
    }

    /// What the head of the queue (or a probe that is sent again), which asks for so many keys, has to do.
    pub(super) fn step(&mut self, holder: Option<Departure>, keys: NonZeroU32, now: Instant) -> TurnStep {
        if self.before_outage.is_some() && self.pause.admission(now) == Admission::Probe {
            self.leave_room_beside_old(now);
        }
        if holder.is_none() && !self.has_room() {
            self.forget_rate();
            (self.waits_for_rate, self.waits_for_given) = (false, false);
            return TurnStep::Park;
        }
        let probe = match self.pause.admission(now) {
            Admission::Free => false,
            Admission::Probe => true,
            Admission::AfterProbe if self.is_the_probe(holder) => true,
            Admission::AfterProbe => {
                self.forget_rate();
                return TurnStep::Park;
            }
            Admission::At(until) => {
                self.forget_rate();
                return TurnStep::Sleep(until);
            }
        };
        if !probe && let Some(step) = self.wait_for_learned(holder, now) {
            self.forget_rate();
            return step;
        }
        if let Some(Err(wait)) = self.rate.as_mut().map(|rate| rate.depart(now, keys)) {
            self.waits_for_given = true;
            return match wait {
                RateWait::Until(until) if self.keeps_distance() => TurnStep::SleepExactly(until),
                RateWait::Until(until) => TurnStep::Sleep(until),
                // The probe is in no queue, where it could be woken.
                RateWait::ForGrant if self.is_the_probe(holder) => TurnStep::Sleep(now + GRANT_OF_PROBE),
                RateWait::ForGrant => TurnStep::Park,
            };
        }
        self.spread.left(now, self.slots.limit());
        self.learned.left(|| now);
        let probed = probe.then_some(now);
        TurnStep::Go(match holder {
            None => self.take_slot(probed),
            Some(old) => {
                self.pause.left_again(old.epoch, probe);
                Departure { epoch: self.pause.epoch(), probe, probed, ..old }
            }
        })
    }

    /// What the quota, the spread and the learnt limits say; none: it may leave.
    fn wait_for_learned(&mut self, holder: Option<Departure>, now: Instant) -> Option<TurnStep> {
        let spread = if self.learned.is_idle() { self.spread.may_depart(now) } else { Ok(()) };
        if let Err(until) = spread {
            return Some(TurnStep::Sleep(until));
        }
        if let Some(step) = self.wait_for_quota(holder, now) {
            return Some(step);
        }
        match self.learned.advice(now) {
            LearnedAdvice::Leave => None,
            LearnedAdvice::At(until) => {
                self.waits_for_rate = true;
                let is_exact = self.learned.keeps_distance();
                Some(if is_exact { TurnStep::SleepExactly(until) } else { TurnStep::Sleep(until) })
            }
            LearnedAdvice::LeaveAlone if !self.may_wait_for_others(holder) => None,
            LearnedAdvice::LeaveAlone => Some(TurnStep::Park),
            LearnedAdvice::WindowUsed(until) => {
                self.pause(now, until, PauseReason::WindowUsed);
                Some(TurnStep::Sleep(until))
            }
        }
    }

    /// Whether attempts are in flight that end by themselves. Those that hold a slot and wait to be sent again come before
    /// all others: if they waited for one another, none would end.
    fn may_wait_for_others(&self, holder: Option<Departure>) -> bool {
        holder.is_none() && self.slots.in_flight() > 0
    }

    /// What the announced quota says; none: it may leave.
    fn wait_for_quota(&mut self, holder: Option<Departure>, now: Instant) -> Option<TurnStep> {
        // Where `--rate` is given, it is to fit a window of a second; whole seconds are too coarse for that.
        let is_kept_by_rate = self.rate.is_some() && self.quota.is_reset_near(now);
        if is_kept_by_rate || !self.quota.is_used_up(now, self.slots.departures()) {
            return None;
        }
        if self.may_wait_for_others(holder) {
            // Their answers may say that more remain: answers overtake each other.
            return Some(TurnStep::Park);
        }
        let until = self.quota.wait(now)?;
        self.pause(now, until, PauseReason::Quota);
        Some(TurnStep::Sleep(until))
    }

    fn keeps_distance(&self) -> bool {
        self.rate.as_ref().is_some_and(RateSource::keeps_distance)
    }

    fn keep_distance(&mut self) {
        self.rate.iter_mut().for_each(RateSource::keep_distance);
    }

    /// An attempt whose instant has passed while it waits for something else is not late.
    pub(super) fn forget_rate(&mut self) {
        self.rate.iter_mut().for_each(RateSource::forget);
    }

    /// No attempt leaves before `until`. Returns whether that moved the end of the pause later.
    pub(super) fn pause(&mut self, now: Instant, until: Instant, reason: PauseReason) -> bool {
        let was_open = !self.pause.is_paused();
        let moved = self.pause.pause(now, until, reason);
        if moved {
            if reason == PauseReason::Outage {
                self.learned.pause_for_outage(now);
                if was_open {
                    self.lower_for_outage(now);
                }
            }
            self.accepted = 0;
            self.spread.begin();
            self.events.paused(until, reason);
            self.rate.iter_mut().for_each(|rate| rate.paused(until, reason));
        }
        moved
    }

    /// The server accepts `remaining` more until `reset`, as the answer to this departure says.
    pub(super) fn report(&mut self, now: Instant, departure: &Departure, remaining: u64, reset: Instant) {
        self.quota.report(now, departure.number, remaining, reset);
    }

    /// Another limit.
    pub(super) fn resize(&mut self, limit: usize, reason: LimitChangeReason) {
        self.slots.resize(limit);
        self.events.limited(limit, reason);
    }

    /// One attempt less in flight. `now` and `clock` are called only where they count.
    pub(super) fn end(
        &mut self,
        departure: Departure,
        signal: Option<LoadSignal>,
        now: impl Fn() -> Instant,
        clock: impl Fn() -> SystemTime,
    ) {
        self.slots.release(departure.number);
        let good = signal.map(LoadSignal::is_accepted);
        let is_old = departure.epoch != self.pause.epoch();
        let Some(signal) = signal else { return self.end_without_signal(departure, (now(), clock())) };
        let ended = EndedAttempt {
            level: departure.level,
            number: departure.number,
            departures: self.slots.departures(),
            was_paced: departure.was_paced,
            given_rate: self.rate.as_ref().filter(|_| departure.was_kept).map(RateSource::per_second),
            is_probe: departure.probe,
            is_old,
            is_unclear: matches!(signal, LoadSignal::Strained { .. }),
        };
        if signal.may_be_too_soon() && departure.was_kept {
            self.keep_distance();
        }
        if signal.is_accepted() {
            self.accepted += usize::from(!is_old);
            self.limit_accepted = self.limit_accepted.filter(|_| departure.probe);
        } else {
            self.limit_accepted.get_or_insert(self.slots.limit());
        }
        let mut is_for_number = true;
        match signal {
            LoadSignal::Good { latency } => {
                self.spread.answered(latency);
                self.learned.accepted(&ended, &now);
            }
            LoadSignal::Cheap => self.learned.accepted(&ended, &now),
            LoadSignal::Refused { status, asked, .. } => {
                let now = now();
                if departure.probe {
                    self.quota.refused();
                }
                let reaction = self.learned.refused(&ended, asked, now, clock());
                self.react(reaction, PauseReason::Refused { status, has_retry_after: asked.is_some() }, now);
            }
            LoadSignal::Strained { status, latency } => {
                // Chance fails what a good answer would have taken a slot for.
                self.spread.answered(latency);
                is_for_number = self.end_strained(&ended, status, (now(), clock()));
            }
            LoadSignal::Forbidden | LoadSignal::Overload { .. } | LoadSignal::Lone503 | LoadSignal::Fault => {
            }
        }
        if departure.probe {
            self.end_probe(departure, good, (now(), clock()));
        }
        if is_for_number && self.is_for_adaptive(departure, signal) {
            self.adapt(departure, signal, &now);
        }
        self.pause.ended(departure.epoch, good, self.slots.limit());
    }

    fn end_without_signal(&mut self, departure: Departure, times: (Instant, SystemTime)) {
        if departure.probe {
            self.end_probe(departure, None, times);
        }
        self.pause.ended(departure.epoch, None, self.slots.limit());
    }

    fn react(&mut self, reaction: Reaction, reason: PauseReason, now: Instant) {
        if let Some(until) = reaction.pause_until {
            self.pause(now, until, reason);
        }
        if let Some(limit) = reaction.in_flight {
            self.uncapped.get_or_insert(self.slots.limit());
            self.set_limit(limit, LimitChangeReason::RefusedAndPaused, now);
        }
    }

    fn end_probe(&mut self, departure: Departure, good: Option<bool>, (now, clock): (Instant, SystemTime)) {
        let before = self.pause.epoch();
        if self.pause.probed(departure.epoch, good, now) {
            let is_cap = self.learned.may_be_cap();
            let is_no_cap = self.learned.recovered(
                departure.probed.unwrap_or(now),
                self.slots.departures(),
                (now, clock),
            );
            let accepted = self.limit_accepted.take().filter(|_| !is_cap);
            if let Some(limit) = self.uncapped.take_if(|_| is_no_cap).or(accepted)
                && limit > self.slots.limit()
            {
                self.set_limit(limit, LimitChangeReason::NotForNumber, now);
            }
            self.events.resumed();
        } else if let Some((until, reason)) = self.pause.paused().filter(|_| self.pause.epoch() != before) {
            self.events.paused(until, reason);
        }
    }
}
