//! The state under the gate's lock, and every step that is taken under it. Each returns what to do once the lock is
//! released.

use std::task::{Poll, Waker};

use tokio::time::Instant;

use super::super::adaptive::{Adaptive, AttemptSample};
use super::super::gate_events::GateEvents;
use super::super::pacer::Pacer;
use super::super::pause::{Admission, PoolPause};
use super::super::queue::{Ticket, WaitQueue, WaiterKind};
use super::super::quota::{QuotaAdvice, QuotaSpacing};
use super::super::slots::Slots;
use super::super::spread::Spread;
use super::super::{Concurrency, PaceSettings};
use super::{LoadSignal, Turn};
use crate::model::{LimitChangeReason, PauseReason};

#[derive(Debug)]
pub(super) struct GateState {
    pub(super) slots: Slots,
    pub(super) queue: WaitQueue,
    pub(super) pause: PoolPause,
    pub(super) quota: QuotaSpacing,
    spread: Spread,
    pacer: Option<Pacer>,
    adaptive: Option<Adaptive>,
    pub(super) events: GateEvents,
    start: Instant,
}

/// What a departure is remembered by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    /// The pause it came after.
    epoch: u32,
    /// All others wait for its answer.
    pub(super) probe: bool,
    /// In flight when it left, itself counted.
    level: usize,
    /// How many might have been in flight when it left.
    limit: usize,
    /// Which departure it was.
    number: u64,
}

/// What a waiter has to do next.
enum TurnStep {
    Go(Departure),
    Sleep(Instant),
    Park,
}

/// What is left to do after the lock is released.
#[derive(Default)]
pub(super) struct AfterUnlock {
    pub(super) wake: Option<Waker>,
    pub(super) drop: Option<Waker>,
}

impl AfterUnlock {
    /// Drops and wakes.
    pub(super) fn run(self) {
        drop(self.drop);
        if let Some(waker) = self.wake {
            waker.wake();
        }
    }
}

impl GateState {
    /// All slots free, the bucket full.
    pub(super) fn new(settings: &PaceSettings) -> Self {
        let now = Instant::now();
        let adaptive = match settings.concurrency {
            Concurrency::Fixed(_) => None,
            Concurrency::Auto { max } => Some(Adaptive::new(max.get())),
        };
        let limit = adaptive.as_ref().map_or(settings.concurrency.ceiling().get(), Adaptive::limit);
        Self {
            slots: Slots::new(limit),
            queue: WaitQueue::default(),
            pause: PoolPause::default(),
            quota: QuotaSpacing::default(),
            spread: Spread::default(),
            pacer: settings.rate.map(|rate| Pacer::new(rate, settings.burst, now)),
            adaptive,
            events: GateEvents::default(),
            start: now,
        }
    }

    /// The fast path: no waiter, no pause, no rate, a free slot. Does not read the clock.
    pub(super) fn leave_at_once(&mut self) -> Option<Departure> {
        let open = self.queue.head().is_none() && self.pause.is_over() && !self.is_slowed();
        (open && self.pacer.is_none() && self.slots.has_room()).then(|| self.take_slot(false))
    }

    /// Whether departures keep a distance, because of a quota or of an earlier pause.
    pub(super) fn is_slowed(&self) -> bool {
        !(self.quota.is_idle() && self.spread.is_idle())
    }

    fn has_room(&self) -> bool {
        self.slots.has_room() && self.pause.has_room()
    }

    fn take_slot(&mut self, probe: bool) -> Departure {
        let number = self.slots.departures();
        self.slots.take();
        self.pause.left(probe);
        let (level, limit) = (self.slots.in_flight(), self.slots.limit());
        Departure { epoch: self.pause.epoch(), probe, level, limit, number }
    }

    /// Whether all others wait for the answer of this holder of a slot.
    fn is_the_probe(&self, holder: Option<Departure>) -> bool {
        holder.is_some_and(|it| it.probe && it.epoch == self.pause.epoch()) && self.pause.is_probing()
    }

    /// One poll of a waiter; `Ready` with what to do outside of the lock.
    pub(super) fn turn(
        &mut self,
        turn: &mut Turn<'_>,
        waker: &Waker,
    ) -> (Poll<Result<Departure, Instant>>, AfterUnlock) {
        let now = Instant::now();
        if turn.ticket.is_none() && !self.is_the_probe(turn.holder) {
            turn.ticket = Some(self.queue.join(turn.kind));
        }
        let mut after = AfterUnlock::default();
        // The probe is not in the queue: those in it wait for the probe.
        if turn.ticket.as_ref().is_some_and(|ticket| !self.queue.is_head(ticket)) {
            after.drop = turn.ticket.as_ref().and_then(|ticket| self.queue.park(ticket, waker));
            return (Poll::Pending, after);
        }
        let poll = match self.step(turn.holder, now) {
            TurnStep::Park => {
                after.drop = turn.ticket.as_ref().and_then(|ticket| self.queue.park(ticket, waker));
                Poll::Pending
            }
            TurnStep::Sleep(until) => {
                after.drop = turn.ticket.as_ref().and_then(|ticket| self.queue.unpark(ticket));
                Poll::Ready(Err(until))
            }
            TurnStep::Go(departure) => {
                after.drop = turn.ticket.take().and_then(|ticket| self.queue.leave(&ticket));
                after.wake = self.nudge();
                Poll::Ready(Ok(departure))
            }
        };
        (poll, after)
    }

    /// What the head of the queue (or a probe that is sent again) has to do.
    fn step(&mut self, holder: Option<Departure>, now: Instant) -> TurnStep {
        if holder.is_none() && !self.has_room() {
            self.forget_rate();
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
        if let Err(until) = self.quota.may_depart(now).and_then(|()| self.spread.may_depart(now)) {
            self.forget_rate();
            return TurnStep::Sleep(until);
        }
        if let Some(Err(until)) = self.pacer.as_mut().map(|pacer| pacer.depart(now)) {
            return TurnStep::Sleep(until);
        }
        self.quota.left(now);
        self.spread.left(now, self.slots.limit());
        TurnStep::Go(match holder {
            None => self.take_slot(probe),
            Some(old) => {
                self.pause.left_again(old.epoch, probe);
                Departure { epoch: self.pause.epoch(), probe, ..old }
            }
        })
    }

    /// An attempt whose instant has passed while it waits for something else is not late.
    fn forget_rate(&mut self) {
        if let Some(pacer) = &mut self.pacer {
            pacer.forget();
        }
    }

    /// No attempt leaves before `until`. Returns whether that moved the end of the pause later, and the waker of the
    /// head, which may wait for a probe that is none any more.
    pub(super) fn pause(&mut self, until: Instant, reason: PauseReason) -> (bool, Option<Waker>) {
        let now = Instant::now();
        let moved = self.pause.pause(now, until, reason);
        if moved {
            self.spread.begin();
            self.events.paused(until, reason);
        }
        (moved, if moved { self.nudge() } else { None })
    }

    /// The server accepts `remaining` more until `reset`; it may not have counted what is in flight.
    pub(super) fn report(&mut self, remaining: u64, reset: Instant) -> Option<Waker> {
        let left = remaining.saturating_sub(self.slots.in_flight() as u64);
        match self.quota.report(Instant::now(), left, reset, self.slots.limit()) {
            QuotaAdvice::Go => None,
            QuotaAdvice::Pause => self.pause(reset, PauseReason::Quota).1,
        }
    }

    /// Another limit. Returns the waker to wake.
    pub(super) fn resize(&mut self, limit: usize, reason: LimitChangeReason) -> Option<Waker> {
        self.slots.resize(limit);
        self.events.limited(limit, reason);
        self.nudge()
    }

    /// The waker of the head, if there is anything for it to do; the caller wakes it unlocked.
    pub(super) fn nudge(&mut self) -> Option<Waker> {
        let kind = self.queue.head()?;
        let is_blocked = self.pause.is_probing() || (kind != WaiterKind::SlotHolder && !self.has_room());
        if is_blocked { None } else { self.queue.wake_head() }
    }

    /// One attempt less in flight. Returns the waker to wake.
    pub(super) fn end(&mut self, departure: Departure, signal: Option<LoadSignal>) -> Option<Waker> {
        self.slots.release();
        let mut head = None;
        if let Some(LoadSignal::Refused { status, asked, .. }) = signal {
            let wait = asked.unwrap_or(std::time::Duration::from_millis(500));
            let reason = PauseReason::Refused { status, has_retry_after: asked.is_some() };
            head = self.pause(Instant::now() + wait, reason).1;
        }
        let good = signal.map(|signal| matches!(signal, LoadSignal::Good { .. } | LoadSignal::Cheap));
        if departure.probe {
            self.end_probe(departure.epoch, good);
        }
        if let Some(LoadSignal::Good { latency }) = signal {
            self.spread.answered(latency);
        }
        if let Some(signal) = signal {
            self.adapt(departure, signal);
        }
        self.pause.ended(departure.epoch, good, self.slots.limit());
        head.or_else(|| self.nudge())
    }

    /// Passes the end of an attempt to the controller, and applies its decision.
    fn adapt(&mut self, departure: Departure, signal: LoadSignal) {
        let Some(adaptive) = &mut self.adaptive else { return };
        let sample = AttemptSample {
            signal,
            level: departure.level,
            limit: departure.limit,
            full: self.slots.was_full_since(departure.number),
            number: departure.number,
            departures: self.slots.departures(),
            paused: departure.epoch != self.pause.epoch(),
        };
        if let Some(decision) = adaptive.observe(&sample, || self.start.elapsed()) {
            self.slots.resize(decision.limit);
            if let Some(reason) = decision.reason {
                self.events.limited(decision.limit, reason);
            }
        }
    }

    fn end_probe(&mut self, epoch: u32, good: Option<bool>) {
        let now = Instant::now();
        let before = self.pause.epoch();
        if self.pause.probed(epoch, good, now) {
            self.events.resumed();
        } else if let Some((until, reason)) = self.pause.paused().filter(|_| self.pause.epoch() != before) {
            self.events.paused(until, reason);
        }
    }

    /// For how long refusals have come without one accepted attempt.
    pub(super) fn refused_for(&self, now: Instant) -> std::time::Duration {
        let _ = (now, self.start);
        std::time::Duration::ZERO
    }

    /// A waiter gives up its place. Returns the wakers to drop and to wake.
    pub(super) fn give_up(&mut self, ticket: &Ticket) -> AfterUnlock {
        let drop = self.queue.leave(ticket);
        if self.queue.head().is_none() {
            self.forget_rate();
        }
        AfterUnlock { drop, wake: self.nudge() }
    }
}
