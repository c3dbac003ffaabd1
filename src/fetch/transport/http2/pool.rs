//! The HTTP/2 connections of one origin.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;

use super::super::observed_io::ConnectionIo;
use super::super::open_connections::IdleConnections;
use super::{Http2Connection, StreamPermit};

/// The open connections, and the lock that lets one request at a time open another.
pub(in super::super) struct Http2Pool<S: ConnectionIo> {
    pub(super) connections: Arc<Mutex<Vec<Http2Connection<S>>>>,
    /// Whoever waits for it usually finds a stream on the new connection. Where connecting fails, each waits no
    /// longer than `--timeout`.
    pub(in super::super) opening: tokio::sync::Mutex<()>,
    /// Answers over all its connections.
    pub(super) answers: Arc<AtomicUsize>,
}

impl<S: ConnectionIo> Http2Pool<S> {
    /// An empty pool.
    pub(in super::super) fn new() -> Self {
        Self { connections: Arc::default(), opening: tokio::sync::Mutex::default(), answers: Arc::default() }
    }

    /// Whether any connection has answered.
    pub(in super::super) fn has_answered(&self) -> bool {
        self.answers.load(Ordering::Relaxed) > 0
    }

    /// A permit on the first connection that has a free stream.
    pub(in super::super) fn acquire(&self) -> Option<StreamPermit<S>> {
        self.lock().iter().find(|connection| connection.is_available()).map(Http2Connection::permit)
    }

    /// A permit on a connection that was opened after this instant.
    pub(in super::super) fn acquire_newer(&self, instant: Instant) -> Option<StreamPermit<S>> {
        let is_newer =
            |connection: &&Http2Connection<S>| connection.since > instant && connection.is_available();
        self.lock().iter().find(is_newer).map(Http2Connection::permit)
    }

    /// Adds a new connection, and gives a permit on it. A connection without requests that accepts none (its server
    /// allows no stream any more, or it is suspected of being closed) is dropped, or their number would grow.
    pub(in super::super) fn add(
        &self,
        connection: Http2Connection<S>,
        others_are_suspect: bool,
    ) -> StreamPermit<S> {
        let permit = connection.permit();
        let mut connections = self.lock();
        connections.retain(|connection| {
            let is_needed = !others_are_suspect && connection.has_free_stream();
            // One that closes may still bring the first answer of all.
            let is_open = !connection.is_retired() || !self.has_answered();
            connection.is_used() && is_open || is_needed && !connection.is_retired()
        });
        connections.push(connection);
        permit
    }

    /// Its idle connections.
    pub(in super::super) fn idle(&self) -> Weak<dyn IdleConnections> {
        let connections: Arc<dyn IdleConnections> = Arc::clone(&self.connections) as _;
        Arc::downgrade(&connections)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Http2Connection<S>>> {
        lock(&self.connections)
    }
}

impl<S: ConnectionIo> IdleConnections for Mutex<Vec<Http2Connection<S>>> {
    fn oldest_idle(&self) -> Option<Instant> {
        lock(self).iter().filter_map(Http2Connection::idle_since).min()
    }

    fn close_oldest_idle(&self) {
        let mut connections = lock(self);
        let idle = connections.iter().enumerate().filter(|(_, connection)| !connection.is_used());
        let oldest = idle.min_by_key(|(_, connection)| connection.idle_since()).map(|(at, _)| at);
        let closed = oldest.map(|at| connections.remove(at));
        drop(connections);
        if let Some(closed) = closed {
            closed.state.is_closed_for_another.store(true, Ordering::Relaxed);
        }
    }
}

pub(super) fn lock<S: ConnectionIo>(
    connections: &Mutex<Vec<Http2Connection<S>>>,
) -> MutexGuard<'_, Vec<Http2Connection<S>>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}
