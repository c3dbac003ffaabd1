//! The state under the gate's lock, and every step that is taken under it. Each returns what to do once the lock is
//! released.

use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::PaceSettings;
use super::super::load_signal::LoadSignal;
use super::super::pool::{Departure, Pool, TurnStep};
use super::super::queue::{Ticket, WaitQueue, WaiterKind};
use super::super::rate_store::{StoreAnswer, StoreCall};
use super::super::shared_rate::{RateStep, SharedRate};
use super::{Turn, TurnWait};
use crate::model::{LimitChangeReason, PauseReason};

#[derive(Debug)]
pub(super) struct GateState {
    pub(super) pool: Pool,
    pub(super) queue: WaitQueue,
    /// Wakes the rate keeper, which makes the calls of the rate store.
    pub(super) keeper_wakeup: Arc<Notify>,
    /// One instant by both clocks. Windows of the system's clock are placed by it: a step of that clock during the run
    /// moves no window, and a test that pauses time pauses both.
    began: (Instant, SystemTime),
}

/// What is left to do after the lock is released.
#[derive(Default)]
pub(super) struct AfterUnlock {
    pub(super) wake: Option<Waker>,
    pub(super) drop: Option<Waker>,
    wakeup: Option<Arc<Notify>>,
}

impl AfterUnlock {
    /// Drops and wakes.
    pub(super) fn run(self) {
        drop(self.drop);
        if let Some(wakeup) = self.wakeup {
            wakeup.notify_one();
        }
        if let Some(waker) = self.wake {
            waker.wake();
        }
    }
}

impl GateState {
    /// All slots free, the bucket full.
    pub(super) fn new(settings: &PaceSettings) -> Self {
        let began = (Instant::now(), SystemTime::now());
        Self {
            pool: Pool::new(settings, began.0),
            queue: WaitQueue::default(),
            keeper_wakeup: Arc::default(),
            began,
        }
    }

    /// The fast path: no waiter, no pause, no rate, a free slot.
    pub(super) fn leave_at_once(&mut self) -> Option<Departure> {
        if self.queue.head().is_none() { self.pool.leave_at_once() } else { None }
    }

    /// One poll of a waiter; `Ready` with what to do outside of the lock.
    pub(super) fn turn(
        &mut self,
        turn: &mut Turn<'_>,
        waker: &Waker,
    ) -> (Poll<Result<Departure, TurnWait>>, AfterUnlock) {
        let now = Instant::now();
        if turn.ticket.is_none() && !self.pool.is_the_probe(turn.holder) {
            turn.ticket = Some(self.queue.join(turn.kind));
        }
        let mut after = AfterUnlock::default();
        // The probe is not in the queue: those in it wait for the probe.
        if turn.ticket.as_ref().is_some_and(|ticket| !self.queue.is_head(ticket)) {
            after.drop = turn.ticket.as_ref().and_then(|ticket| self.queue.park(ticket, waker));
            return (Poll::Pending, after);
        }
        let poll = match self.pool.step(turn.holder, turn.keys, now) {
            TurnStep::Park => {
                after.drop = turn.ticket.as_ref().and_then(|ticket| self.queue.park(ticket, waker));
                Poll::Pending
            }
            TurnStep::Sleep(until) => {
                after.drop = turn.ticket.as_ref().and_then(|ticket| self.queue.unpark(ticket));
                Poll::Ready(Err(TurnWait { until, is_exact: false }))
            }
            TurnStep::SleepExactly(until) => {
                after.drop = turn.ticket.as_ref().and_then(|ticket| self.queue.unpark(ticket));
                Poll::Ready(Err(TurnWait { until, is_exact: true }))
            }
            TurnStep::Go(departure) => {
                after.drop = turn.ticket.take().and_then(|ticket| self.queue.leave(&ticket));
                after.wake = self.nudge();
                Poll::Ready(Ok(departure))
            }
        };
        after.wakeup = self.wakeup();
        (poll, after)
    }

    /// What is notified, if the rate keeper has to look again.
    fn wakeup(&mut self) -> Option<Arc<Notify>> {
        let is_due = self.pool.shared_rate().is_some_and(SharedRate::take_wakeup);
        is_due.then(|| Arc::clone(&self.keeper_wakeup))
    }

    /// What the rate keeper does next; none: the rate is not shared.
    pub(super) fn rate_step(&mut self) -> Option<RateStep> {
        let waiting = (self.queue.len(), self.queue.holders());
        self.pool.rate_step(Instant::now(), waiting)
    }

    /// An answer of the store to a call that was sent at `sent`. Returns what to do outside of the lock.
    pub(super) fn rate_answered(
        &mut self,
        call: &StoreCall,
        answer: &StoreAnswer,
        sent: Instant,
    ) -> AfterUnlock {
        self.pool.rate_answered(call, answer, (sent, Instant::now()));
        let wake = self.nudge();
        self.after(wake)
    }

    /// The store is gone.
    pub(super) fn rate_lost(&mut self) {
        if let Some(shared) = self.pool.shared_rate() {
            shared.lost();
        }
    }

    /// No attempt leaves before `until`. Returns whether that moved the end of the pause later, and what to do outside
    /// of the lock: the head may wait for a probe that is none any more.
    pub(super) fn pause(&mut self, until: Instant, reason: PauseReason) -> (bool, AfterUnlock) {
        let moved = self.pool.pause(Instant::now(), until, reason);
        let wake = if moved { self.nudge() } else { None };
        (moved, self.after(wake))
    }

    /// Another limit. Returns what to do outside of the lock.
    pub(super) fn resize(&mut self, limit: usize, reason: LimitChangeReason) -> AfterUnlock {
        self.pool.resize(limit, reason);
        let wake = self.nudge();
        self.after(wake)
    }

    /// The waker of the head, if there is anything for it to do; the caller wakes it unlocked.
    pub(super) fn nudge(&mut self) -> Option<Waker> {
        let kind = self.queue.head()?;
        let needs_slot = kind != WaiterKind::SlotHolder;
        let is_blocked = self.pool.pause.is_probing() || (needs_slot && !self.pool.has_room());
        if is_blocked { None } else { self.queue.wake_head() }
    }

    fn after(&mut self, wake: Option<Waker>) -> AfterUnlock {
        AfterUnlock { wake, drop: None, wakeup: self.wakeup() }
    }

    /// One attempt less in flight. Returns what to do outside of the lock.
    pub(super) fn end(&mut self, departure: Departure, signal: Option<LoadSignal>) -> AfterUnlock {
        let (instant, clock) = self.began;
        self.pool.end(departure, signal, Instant::now, || clock + instant.elapsed());
        let wake = self.nudge();
        self.after(wake)
    }

    /// A waiter gives up its place. Returns what to do outside of the lock.
    pub(super) fn give_up(&mut self, ticket: &Ticket) -> AfterUnlock {
        let drop = self.queue.leave(ticket);
        if self.queue.head().is_none() {
            self.pool.forget_rate();
        }
        let wake = self.nudge();
        AfterUnlock { drop, ..self.after(wake) }
    }
}
