//! The HTTP/1.1 connections of one origin: those that are idle, the number of all, and the requests that wait for one.
//!
//! A request usually takes an idle connection, or opens one. Where the server serves only so many at a time (see
//! [`Census`]), it waits for the next one that is returned. A request on a new connection that stays silent moves to a
//! kept one; where that could make the server act twice, an idle connection is closed instead, so that the server
//! accepts the silent one.

mod silence;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::census::{Begun, Census, ServedConnections, Stage};
use super::super::observed_io::ConnectionIo;
use super::super::open_connections::IdleConnections;
use super::{Http1Connection, MAX_IDLE};

pub(super) type Shared<S> = Mutex<PoolState<S>>;

/// What a waiting request receives.
pub(in super::super) enum Handover<S: ConnectionIo> {
    /// A connection that is free.
    Connection(Box<Http1Connection<S>>),
    /// Fewer are open than are served: another may be opened.
    Room,
    /// No connection is left.
    NoneLeft,
}

/// What a waiting request can use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A connection. Its own, which is silent, may still be answered.
    Connection,
    /// A connection, or room for one.
    Any,
    /// The same, but its new connection was refused: it ends when no other is left.
    AnyOther,
}

struct WaitingRequest<S: ConnectionIo> {
    wanted: Wanted,
    sender: oneshot::Sender<Handover<S>>,
}

pub(super) struct PoolState<S: ConnectionIo> {
    idle: Vec<(Box<Http1Connection<S>>, Instant)>,
    /// So many of the newest idle ones were polled in this turn. None where nobody says when one begins.
    just_polled: Option<usize>,
    waiting: VecDeque<WaitingRequest<S>>,
    census: Census,
    /// Requests that wait on silent new connections.
    silent: usize,
    /// Connections to close in place of keeping them, at most one for each of these requests.
    surplus: usize,
    served: ServedConnections,
}

impl<S: ConnectionIo> PoolState<S> {
    /// Keeps a connection for the next request.
    fn keep(&mut self, mut connection: Box<Http1Connection<S>>, now: Instant) {
        let is_just_polled = std::mem::take(&mut connection.is_just_polled);
        self.just_polled = self.just_polled.map(|newest| if is_just_polled { newest + 1 } else { 0 });
        self.idle.push((connection, now));
    }

    /// The connection that was kept last, since when, and whether it was polled in this turn.
    fn take_newest(&mut self) -> Option<(Box<Http1Connection<S>>, Instant, bool)> {
        let (connection, since) = self.idle.pop()?;
        let is_just_polled = self.just_polled.is_some_and(|newest| newest > 0);
        self.just_polled = self.just_polled.map(|newest| newest.saturating_sub(1));
        Some((connection, since, is_just_polled))
    }

    /// All idle connections.
    fn take_idle(&mut self) -> Vec<(Box<Http1Connection<S>>, Instant)> {
        self.just_polled = self.just_polled.map(|_| 0);
        std::mem::take(&mut self.idle)
    }

    fn wait(&mut self, wanted: Wanted) -> oneshot::Receiver<Handover<S>> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.push_back(WaitingRequest { wanted, sender });
        receiver
    }

    /// Lets one waiting request open a connection, if there is room for one.
    fn use_room(&mut self) {
        while self.census.has_room() {
            let Some(at) = self.waiting.iter().position(|entry| entry.wanted != Wanted::Connection) else {
                return;
            };
            let entry = self.waiting.remove(at);
            // It holds no connection, whose end would take this lock.
            if entry.is_some_and(|entry| entry.sender.send(Handover::Room).is_ok()) {
                return;
            }
        }
    }

    fn after_end(&mut self, begun: &Begun, stage: Stage) {
        self.census.end(begun, stage);
        if self.census.open() == 0 {
            self.surplus = 0;
            if self.census.served().is_none() {
                for entry in std::mem::take(&mut self.waiting) {
                    let _ = match entry.wanted {
                        Wanted::AnyOther => entry.sender.send(Handover::NoneLeft),
                        _ => entry.sender.send(Handover::Room),
                    };
                }
                return;
            }
        }
        self.use_room();
    }
}

impl<S: ConnectionIo> IdleConnections for Shared<S> {
    fn oldest_idle(&self) -> Option<Instant> {
        lock(self).idle.first().map(|(_, since)| *since)
    }

    fn close_oldest_idle(&self) {
        let mut state = lock(self);
        let oldest = (!state.idle.is_empty()).then(|| state.idle.remove(0));
        state.just_polled = state.just_polled.map(|newest| newest.min(state.idle.len()));
        // Its end takes the lock.
        drop(state);
        if let Some((connection, _)) = oldest {
            connection.close_for_another();
        }
    }
}

fn lock<S: ConnectionIo>(shared: &Shared<S>) -> MutexGuard<'_, PoolState<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a connection from when it is begun until it ends.
pub(in super::super) struct ConnectionGuard<S: ConnectionIo> {
    pub(super) pool: Weak<Shared<S>>,
    begun: Begun,
    stage: Stage,
}

impl<S: ConnectionIo> ConnectionGuard<S> {
    pub(in super::super) fn begun(&self) -> Begun {
        self.begun
    }

    /// It is open.
    pub(in super::super) fn opened(&mut self) {
        self.begun.set_opened(Instant::now());
        self.advance(Stage::Unanswered);
    }

    /// It has given its first answer.
    pub(super) fn answered(&mut self) {
        self.advance(Stage::Answered);
    }

    fn advance(&mut self, to: Stage) {
        if let Some(pool) = self.pool.upgrade() {
            let mut state = lock(&pool);
            state.census.advance(&self.begun, self.stage, to, Instant::now());
            state.served.set(state.census.served());
            state.use_room();
        }
        self.stage = to;
    }
}

impl<S: ConnectionIo> Drop for ConnectionGuard<S> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            lock(&pool).after_end(&self.begun, self.stage);
        }
    }
}

/// A request that waits for a connection. Dropped, it returns one that it has received.
pub(in super::super) struct ConnectionWaiter<S: ConnectionIo> {
    pool: Weak<Shared<S>>,
    receiver: oneshot::Receiver<Handover<S>>,
}

impl<S: ConnectionIo> ConnectionWaiter<S> {
    /// An idle connection, or what comes first.
    pub(in super::super) async fn handover(mut self) -> Handover<S> {
        if let Some(pool) = self.pool.upgrade()
            && let Some(idle) = take(&pool)
        {
            return Handover::Connection(idle);
        }
        // The pool is gone with the run.
        (&mut self.receiver).await.unwrap_or(Handover::NoneLeft)
    }
}

impl<S: ConnectionIo> Drop for ConnectionWaiter<S> {
    fn drop(&mut self) {
        self.receiver.close();
        match (self.receiver.try_recv(), self.pool.upgrade()) {
            (Ok(Handover::Connection(connection)), Some(pool)) => {
                hand_over(&pool, connection, (None, Instant::now()));
            }
            (Ok(Handover::Room), Some(pool)) => lock(&pool).use_room(),
            _ => {}
        }
    }
}

/// Gives a free connection to the request that waits longest, or keeps it. `took` is what its answer took, if it was
/// kept before that.
pub(super) fn hand_over<S: ConnectionIo>(
    shared: &Shared<S>,
    mut connection: Box<Http1Connection<S>>,
    (took, now): (Option<Duration>, Instant),
) {
    let mut state = lock(shared);
    if let Some(took) = took {
        state.census.answered_again(took, now);
    }
    if state.surplus > 0 {
        state.surplus -= 1;
        // Its end takes the lock.
        drop(state);
        drop(connection);
        return;
    }
    loop {
        let Some(entry) = state.waiting.pop_front() else {
            state.keep(connection, now);
            return;
        };
        drop(state);
        connection.taken = now;
        connection.is_just_polled = false;
        match entry.sender.send(Handover::Connection(connection)) {
            Err(Handover::Connection(back)) => connection = back,
            _ => return,
        }
        state = lock(shared);
    }
}

fn take<S: ConnectionIo>(shared: &Shared<S>) -> Option<Box<Http1Connection<S>>> {
    loop {
        let mut state = lock(shared);
        let (mut connection, since, is_just_polled) = state.take_newest()?;
        // A turn is short.
        let now = if is_just_polled { since } else { Instant::now() };
        if !is_just_polled && now.saturating_duration_since(since) > MAX_IDLE {
            // Those below it were idle for longer. Their end takes the lock.
            let old = state.take_idle();
            drop(state);
            drop(old);
            return None;
        }
        drop(state);
        // In the same turn nothing can have come since. The waker does nothing: that of the job would stay in the connection,
        // and the request that is sent next would wake it, so that the job was polled once more for nothing.
        if !is_just_polled {
            connection.poll_io(&mut Context::from_waker(Waker::noop()));
        }
        if connection.is_free() {
            connection.taken = now;
            return Some(connection);
        }
    }
}

/// What a request without an idle connection does.
pub(in super::super) enum Opening<S: ConnectionIo> {
    Begin(ConnectionGuard<S>),
    Wait(ConnectionWaiter<S>),
}

/// The connections of one origin.
pub(in super::super) struct Http1Pool<S: ConnectionIo> {
    shared: Arc<Shared<S>>,
}

impl<S: ConnectionIo> Http1Pool<S> {
    /// An empty pool. `timeout` is that of an attempt; `has_handshakes`: connections are opened over TLS or a tunnel.
    pub(in super::super) fn new(timeout: Duration, has_handshakes: bool, served: ServedConnections) -> Self {
        let (census, waiting) = (Census::new(timeout, has_handshakes), VecDeque::new());
        let (idle, just_polled) = (Vec::new(), None);
        let state = PoolState { idle, just_polled, waiting, census, silent: 0, surplus: 0, served };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// From now on something may have come on any connection.
    pub(in super::super) fn begin_turn(&self) {
        self.lock().just_polled = Some(0);
    }

    /// Takes a connection back after its answer; one that cannot carry another request is closed.
    pub(in super::super) async fn put(&self, mut connection: Box<Http1Connection<S>>) {
        poll_fn(|cx| {
            if !connection.is_free() {
                connection.poll_io(cx);
            }
            Poll::Ready(())
        })
        .await;
        if connection.is_free() {
            let now = Instant::now();
            let took = connection.is_kept.then(|| now.saturating_duration_since(connection.taken));
            connection.is_kept = true;
            connection.is_just_polled = true;
            hand_over(&self.shared, connection, (took, now));
        }
    }

    /// Closes the idle connections: the server refused a request and closed its connection, and may count those that
    /// are open.
    pub(in super::super) fn close_idle(&self) {
        let idle = self.lock().take_idle();
        // Its end takes the lock.
        drop(idle);
    }

    /// Its idle connections.
    pub(in super::super) fn idle(&self) -> Weak<dyn IdleConnections> {
        let shared: Arc<dyn IdleConnections> = Arc::clone(&self.shared) as _;
        Arc::downgrade(&shared)
    }

    /// The connection that was used last, if the server has not closed it. In this order those that are not needed
    /// grow old together.
    pub(in super::super) fn take(&self) -> Option<Box<Http1Connection<S>>> {
        take(&self.shared)
    }

    /// Begins a connection, or waits where as many are open as the server serves.
    pub(in super::super) fn open(&self) -> Opening<S> {
        let mut state = self.lock();
        match state.census.begin(Instant::now()) {
            Some(begun) => {
                state.use_room();
                let pool = Arc::downgrade(&self.shared);
                Opening::Begin(ConnectionGuard { pool, begun, stage: Stage::Opening })
            }
            None => Opening::Wait(self.waiter(&mut state, Wanted::Any)),
        }
    }

    /// A connection that is idle, or the next one that is returned.
    pub(in super::super) async fn returned(&self) -> Box<Http1Connection<S>> {
        let waiter = self.waiter(&mut self.lock(), Wanted::Connection);
        match waiter.handover().await {
            Handover::Connection(connection) => connection,
            // Only connections are handed to it.
            Handover::Room | Handover::NoneLeft => std::future::pending().await,
        }
    }

    fn waiter(&self, state: &mut PoolState<S>, wanted: Wanted) -> ConnectionWaiter<S> {
        ConnectionWaiter { pool: Arc::downgrade(&self.shared), receiver: state.wait(wanted) }
    }

    /// A new connection was refused, or closed without an answer: a place among those that wait for another, unless
    /// there is none.
    pub(in super::super) fn refused(&self) -> Option<ConnectionWaiter<S>> {
        let mut state = self.lock();
        if state.census.open() == 0 {
            return None;
        }
        state.census.found_refused(Instant::now());
        state.served.set(state.census.served());
        Some(self.waiter(&mut state, Wanted::AnyOther))
    }

    /// Whether the server may close the newest connection for being one too many.
    pub(in super::super) fn is_unproven(&self) -> bool {
        self.lock().census.is_unproven()
    }

    /// Requests that wait may be sent in another way: over HTTP/2.
    pub(in super::super) fn release(&self) {
        for entry in std::mem::take(&mut self.lock().waiting) {
            if entry.wanted != Wanted::Connection {
                let _ = entry.sender.send(Handover::Room);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState<S>> {
        lock(&self.shared)
    }
}
