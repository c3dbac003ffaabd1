//! HTTP/2 connections, each shared by as many requests as its server allows.
//!
//! A server may allow few streams on a connection (RFC 9113, 6.5.2, recommends at least 100; 10 and 16 are
//! seen), and what is over the number waits in a queue that nobody sees. So each request is counted here, and one
//! that finds all connections full opens another.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;

use super::Line;
use super::wire::Io;

/// Requests that are given to a connection before its server has said how many it allows. The stream itself is
/// opened only then: one stream too many is refused, and some servers end the connection for it.
const UNTOLD: usize = 1;
/// Most streams on one connection, however many are allowed: one packet that is lost holds up all of them.
const MOST: usize = 100;
/// Bytes that one stream may hold unread. A body that waits for room leaves them unread, and they count
/// against the whole connection: its window is therefore that of all streams together, or those that wait
/// would keep the one that reads on from getting anything.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;
/// The largest window there is (RFC 9113, 6.9.1).
const MAX_WINDOW: u32 = i32::MAX as u32;

/// The window of a connection that carries so many streams.
pub(super) fn connection_window(streams: usize) -> u32 {
    let streams = u32::try_from(streams).unwrap_or(MAX_WINDOW).max(4);
    STREAM_WINDOW.saturating_mul(streams).min(MAX_WINDOW)
}

/// One connection.
pub(super) struct Trunk {
    requests: SendRequest<Full<Bytes>>,
    in_flight: Arc<AtomicUsize>,
    /// Streams that the server allows, as it last said; none before it has.
    allowed: watch::Receiver<Option<usize>>,
    since: Instant,
}

/// A request's place on a connection, given back when dropped.
pub(super) struct Seat {
    pub(super) requests: SendRequest<Full<Bytes>>,
    in_flight: Arc<AtomicUsize>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Trunk {
    /// Begins to speak. The bytes are moved by a task of the connection's own: many requests share it.
    pub(super) async fn over(io: Io) -> hyper::Result<Self> {
        let (requests, mut bytes) = Builder::new(TokioExecutor::new())
            .initial_max_send_streams(0)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window(MOST))
            .handshake(io)
            .await?;
        let (told, allowed) = watch::channel(None);
        TokioExecutor::new().execute(std::future::poll_fn(move |cx| {
            let over = Pin::new(&mut bytes).poll(cx);
            // Woken when the first stream can be opened, and by every later request.
            let now = bytes.current_max_send_streams();
            told.send_if_modified(|before| (before.is_some() || now > 0) && before.replace(now) != Some(now));
            // Its error is that of the requests on it.
            over.map(drop)
        }));
        Ok(Self { requests, in_flight: Arc::default(), allowed, since: Instant::now() })
    }

    fn has_room(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) < self.allowed.borrow().unwrap_or(UNTOLD).min(MOST)
    }

    fn takes_more(&self) -> bool {
        !self.requests.is_closed() && self.has_room()
    }

    fn is_used(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0
    }

    fn seat(&self) -> Seat {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Seat { requests: self.requests.clone(), in_flight: Arc::clone(&self.in_flight) }
    }
}

/// The connections that stand, and the turn to open one more.
#[derive(Default)]
pub(super) struct Trunks {
    standing: Mutex<Vec<Trunk>>,
    /// Who waits finds the new connection's streams, and seldom needs one more. Where connecting fails, each
    /// waits no longer than `--timeout`.
    pub(super) opening: tokio::sync::Mutex<()>,
}

impl Trunks {
    /// A place on the first connection that has one.
    pub(super) fn seat(&self) -> Option<Seat> {
        self.lock().iter().find(|trunk| trunk.takes_more()).map(Trunk::seat)
    }

    /// A place on a connection that was opened after this instant.
    pub(super) fn seat_since(&self, instant: Instant) -> Option<Seat> {
        self.lock().iter().find(|trunk| trunk.since > instant && trunk.takes_more()).map(Trunk::seat)
    }

    /// Waits until the server of the newest connection has said how many streams it allows: there may be room.
    pub(super) async fn told(&self) {
        let newest = self.lock().last().map(|trunk| trunk.allowed.clone());
        if let Some(mut allowed) = newest {
            // An error is the end of that connection.
            let _ = allowed.wait_for(Option::is_some).await;
        }
    }

    /// A place on a new connection. One that carries nothing and takes nothing (its server allows no stream any
    /// more, or it is suspected of being closed) is let go: there could be ever more of them.
    pub(super) fn add(&self, trunk: Trunk, line: Line) -> Seat {
        let seat = trunk.seat();
        let mut standing = self.lock();
        standing.retain(|trunk| {
            let is_needed = line == Line::Any && trunk.has_room();
            !trunk.requests.is_closed() && (trunk.is_used() || is_needed)
        });
        standing.push(trunk);
        seat
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Trunk>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
