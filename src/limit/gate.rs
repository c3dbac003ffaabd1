//! The gate: slot, turn, pause, rate token, then the attempt leaves at once.
//!
//! One lock around plain state, held for a few instructions and never across an await. Only the head of the queue is
//! ever awake: an attempt that leaves, ends or gives up wakes at most one other, so that the cost of an admission does
//! not grow with the number of waiters. Wakers are woken and dropped outside of the lock, since either may run code
//! that takes the lock.

mod state;
mod store_side;

use std::future::poll_fn;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use state::GateState;

use super::PaceSettings;
use super::exact_timer::ExactTimer;
use super::gate_events::{GateEvent, GateView};
use super::load_signal::LoadSignal;
use super::pool::Departure;
use super::queue::{Ticket, WaiterKind};
use crate::model::{LimitChangeReason, PauseReason};

/// The gate. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<GateShared>,
}

#[derive(Debug)]
struct GateShared {
    state: Mutex<GateState>,
    /// Wakes the rate keeper, which makes the calls of the rate store.
    keeper_wakeup: Arc<Notify>,
    /// None: tokio's timer is exact enough.
    timer: Option<ExactTimer>,
    max_retry_after: Duration,
}

impl Gate {
    /// A gate with all slots free and the bucket full.
    #[must_use]
    pub fn new(settings: &PaceSettings) -> Self {
        Self::with_timer(settings, None)
    }

    /// The same with departures that keep their distance to some tens of microseconds, and not to two milliseconds. Its
    /// time is the system's: not for a runtime whose time is paused.
    #[must_use]
    pub(crate) fn exact(settings: &PaceSettings) -> Self {
        Self::with_timer(settings, Some(ExactTimer::default()))
    }

    fn with_timer(settings: &PaceSettings, timer: Option<ExactTimer>) -> Self {
        let state = GateState::new(settings);
        Self {
            shared: Arc::new(GateShared {
                keeper_wakeup: Arc::clone(&state.keeper_wakeup),
                state: Mutex::new(state),
                timer,
                max_retry_after: settings.max_retry_after,
            }),
        }
    }

    /// As [`Self::admit_for`], for one key.
    #[cfg(test)]
    pub(crate) async fn admit(&self) -> Permit {
        self.admit_for(NonZeroU32::MIN).await
    }

    /// Waits until an attempt that asks for so many keys may leave; it must then leave at once.
    ///
    /// First come, first served. The future may be dropped at any time: no slot, no turn and no rate
    /// token is lost. While it is kept it must be polled when woken, since all behind it may wait for it.
    pub(crate) async fn admit_for(&self, keys: NonZeroU32) -> Permit {
        let at_once = self.shared.lock().leave_at_once();
        let departure = match at_once {
            Some(departure) => departure,
            None => self.turn(WaiterKind::Newcomer, keys).wait().await,
        };
        Permit { shared: Arc::clone(&self.shared), departure, keys, finished: false }
    }

    /// As [`Self::admit_for`], for an attempt that was refused: it goes before all that have not been sent yet.
    pub(crate) async fn admit_refused(&self, keys: NonZeroU32) -> Permit {
        let departure = self.turn(WaiterKind::Refused, keys).wait().await;
        Permit { shared: Arc::clone(&self.shared), departure, keys, finished: false }
    }

    fn turn(&self, kind: WaiterKind, keys: NonZeroU32) -> Turn<'_> {
        Turn { shared: &self.shared, ticket: None, kind, keys, holder: None }
    }

    /// For how long refusals have come without one accepted attempt; zero where the newest answer was accepted.
    #[must_use]
    pub(crate) fn refused_for(&self) -> Duration {
        self.shared.lock().pool.learned.refused_for(Instant::now())
    }

    /// No attempt leaves before `until`; then one probe does, and the rest after its good answer. The later of two
    /// instants wins. Returns whether this one moved the end later.
    pub(crate) fn pause(&self, until: Instant, reason: PauseReason) -> bool {
        let (moved, after) = self.shared.lock().pause(until, reason);
        after.run();
        moved
    }

    /// Whether one of the first `count` attempts of the run has not ended. `count`: at most 32.
    #[must_use]
    pub(crate) fn is_one_in_flight_of_first(&self, count: u32) -> bool {
        self.shared.lock().pool.slots.is_one_in_flight_of_first(count)
    }

    /// The longest wait that a server may ask for.
    #[must_use]
    pub(crate) fn max_retry_after(&self) -> Duration {
        self.shared.max_retry_after
    }

    /// Whether a pause of this length is waited out; a longer one defers the run.
    #[must_use]
    pub(crate) fn accepts_pause(&self, wait: Duration) -> bool {
        wait <= self.shared.max_retry_after
    }

    /// The state of the gate now.
    #[must_use]
    pub fn view(&self) -> GateView {
        let state = self.shared.lock();
        let pool = &state.pool;
        let paused = pool.pause.paused();
        GateView {
            in_flight: pool.slots.in_flight(),
            limit: pool.pause.ramp().unwrap_or(usize::MAX).min(pool.slots.limit()),
            waiting: state.queue.len(),
            paused_until: paused.map(|(until, _)| until),
            pause_reason: paused.map(|(_, reason)| reason),
            slowed: pool.is_slowed(),
            learned: pool.learned.limit(),
            lowest_rate: pool.learned.lowest_rate(),
        }
    }

    /// From now on so many may be in flight. For a gate whose concurrency is a number, as `tune` needs: where it is
    /// `auto`, the controller overrides this.
    pub(crate) fn resize(&self, limit: NonZeroUsize, reason: LimitChangeReason) {
        let after = self.shared.lock().resize(limit.get(), reason);
        after.run();
    }

    /// What changed since the last call, oldest first; the newest 256 are kept.
    #[must_use]
    pub(crate) fn take_events(&self) -> Vec<GateEvent> {
        self.shared.lock().pool.events.take_events()
    }
}

/// The right to be in flight: holds the slot until it is finished or dropped. A dropped permit (an
/// attempt that was given up) says nothing about the server.
#[must_use = "dropping the permit gives the slot back"]
#[derive(Debug)]
pub(crate) struct Permit {
    shared: Arc<GateShared>,
    departure: Departure,
    keys: NonZeroU32,
    finished: bool,
}

impl Permit {
    /// Whether this is the one attempt that leaves after a pause; all others wait for its answer.
    #[must_use]
    pub(crate) fn is_probe(&self) -> bool {
        self.departure.probe
    }

    /// Waits until the same attempt may be sent once more: keeps its slot, takes another rate token,
    /// and waits out a pause. The future may be dropped at any time; the permit stays as it was.
    pub(crate) async fn resend(&mut self) {
        self.departure = Turn {
            shared: &self.shared,
            ticket: None,
            kind: WaiterKind::SlotHolder,
            keys: self.keys,
            holder: Some(self.departure),
        }
        .wait()
        .await;
    }

    /// The answer to this attempt says that the server accepts `remaining` more until `reset`. As many leave; then the
    /// pool pauses. Never makes the pool faster. A reset that is too far away (`max_retry_after`) is not waited for: the
    /// caller defers where it comes with a refusal.
    pub(crate) fn report_quota(&self, remaining: u64, reset: Instant) {
        let now = Instant::now();
        if reset.saturating_duration_since(now) <= self.shared.max_retry_after {
            self.shared.lock().pool.report(now, &self.departure, remaining, reset);
        }
    }

    /// Gives the slot back and says how the attempt ended. For a refusal the gate pauses the pool or lowers its pace.
    pub(crate) fn finish(mut self, signal: LoadSignal) {
        self.finished = true;
        self.shared.end(self.departure, Some(signal));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.end(self.departure, None);
        }
    }
}

impl GateShared {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        // No foreign code runs under the lock; a panic elsewhere must not become a second one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep(&self, wait: TurnWait) {
        match self.timer.as_ref().filter(|_| wait.is_exact) {
            Some(timer) => timer.sleep_until(wait.until).await,
            None => sleep_until(wait.until).await,
        }
    }

    fn end(&self, departure: Departure, signal: Option<LoadSignal>) {
        let after = self.lock().end(departure, signal);
        after.run();
    }
}

/// Until when the head of the queue sleeps.
struct TurnWait {
    until: Instant,
    /// What comes late is not caught up on.
    is_exact: bool,
}

/// An attempt that waits at the gate; dropping it gives up its place.
struct Turn<'a> {
    shared: &'a GateShared,
    ticket: Option<Ticket>,
    kind: WaiterKind,
    /// The keys that it asks for.
    keys: NonZeroU32,
    /// The slot that it holds already, if it only wants to send again.
    holder: Option<Departure>,
}

impl Turn<'_> {
    async fn wait(mut self) -> Departure {
        loop {
            match poll_fn(|context| self.poll(context)).await {
                Ok(departure) => return departure,
                // All conditions are checked again afterwards: they may have changed.
                Err(wait) => self.shared.sleep(wait).await,
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Departure, TurnWait>> {
        let shared = self.shared;
        let (poll, after) = shared.lock().turn(self, context.waker());
        after.run();
        poll
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let after = self.shared.lock().give_up(&ticket);
            after.run();
        }
    }
}

#[cfg(test)]
mod tests;
