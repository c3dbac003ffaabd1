//! HTTP/2 connections, each shared by as many requests as its server allows.
//!
//! A server may allow few streams on a connection (RFC 9113, 6.5.2, recommends at least 100; 10 and 16 are
//! seen), and what is over the number waits in a queue that nobody sees. So each request is counted here, and one
//! that finds all connections full opens another. The server may change the number at any time: what was handed to
//! a connection and finds no stream there is called back, and leaves on another one.
//!
//! A connection on which a request waited in vain, and nothing else was heard meanwhile, is left to those that are
//! on it already. PING frames would find such a server sooner; they cost a timer and a lock for every frame, and
//! would end the requests of one that is only slow.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{AbortHandle, abortable};
use futures_util::task::AtomicWaker;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use super::Reuse;
use super::observed_io::{BUFFER, Io, ObservedIo, ReadObserver};
use super::send_error::Stage;

/// What a connection is told to take for the number of streams before its server has said one. No server can say
/// this number, which is how it is known that none has.
const UNTOLD: usize = usize::MAX - 1;
/// How long the server's first word is waited for: it is sent with the end of the handshake, but one stream too many
/// is refused, and some servers end the connection for it. A server must say it, yet need not be waited for
/// (RFC 9113, 3.4): one that says nothing gets streams without it.
const FIRST_WORD_WITHIN: Duration = Duration::from_secs(2);
/// Most streams on one connection, however many are allowed: one packet that is lost holds up all of them.
const MOST: usize = 100;
/// Bytes that one stream may hold unread. A body that waits for room leaves them unread, and they count
/// against the whole connection: its window is therefore that of all streams together, or those that wait
/// would keep the one that reads on from getting anything.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;
/// The largest window there is (RFC 9113, 6.9.1).
const MAX_WINDOW: u32 = i32::MAX as u32;
/// The largest head of an answer, as over HTTP/1.1.
#[allow(clippy::cast_possible_truncation, reason = "it is 64 KiB")]
const LARGEST_HEAD: u32 = BUFFER as u32;

/// The window of a connection that carries so many streams.
pub(super) fn connection_window(streams: usize) -> u32 {
    let streams = u32::try_from(streams).unwrap_or(MAX_WINDOW).max(4);
    STREAM_WINDOW.saturating_mul(streams).min(MAX_WINDOW)
}

/// Bytes are moved by a task of the connection's own, since many requests share it; this half takes requests.
type Requests = Connection<ObservedIo<Arc<Http2State>>, Full<Bytes>, TokioExecutor>;

/// What all who have to do with one connection know of it.
#[derive(Default)]
struct Http2State {
    in_flight: AtomicUsize,
    /// Requests that were ever handed to it.
    handed: AtomicUsize,
    /// How often something was read from it.
    reads: AtomicUsize,
    /// Woken by what is read.
    read_waker: AtomicWaker,
    has_answered: AtomicBool,
    /// Whether requests were called back from it.
    called_back: AtomicBool,
    /// Whether a request waited on it in vain.
    silent: AtomicBool,
    /// None once no more are taken.
    requests: Mutex<Option<Requests>>,
}

impl Http2State {
    fn requests(&self) -> MutexGuard<'_, Option<Requests>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes requests to their streams. `placed` of those that were handed over have one.
    fn poll(&self, cx: &mut Context<'_>, placed: &mut usize) -> Poll<()> {
        let mut taking = self.requests();
        let Some(requests) = &mut *taking else { return Poll::Ready(()) };
        let handed = self.handed.load(Ordering::Relaxed);
        if handed != *placed {
            if self.in_flight.load(Ordering::Relaxed) > requests.current_max_send_streams() {
                // The server lowered it in between. Without its other half each of them fails as not sent.
                self.called_back.store(true, Ordering::Relaxed);
                *taking = None;
                return Poll::Ready(());
            }
            *placed = handed;
        }
        let over = Pin::new(requests).poll(cx);
        if over.is_ready() {
            // Its error is that of the requests on it.
            *taking = None;
        }
        over.map(drop)
    }
}

impl ReadObserver for Arc<Http2State> {
    fn on_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_waker.wake();
    }

    /// Without writing, HTTP/2 does not go on.
    fn on_write_refused(&self) -> bool {
        false
    }
}

/// One connection. Dropped, it takes no more requests; those that have a stream on it stay.
pub(super) struct Http2Connection {
    requests: SendRequest<Full<Bytes>>,
    shared: Arc<Http2State>,
    task: AbortHandle,
    since: Instant,
}

impl Drop for Http2Connection {
    fn drop(&mut self) {
        *self.shared.requests() = None;
        self.task.abort();
    }
}

impl Http2Connection {
    /// Begins to speak, and waits until the server allows a stream; gives nothing where it allows none until then.
    pub(super) async fn over(io: Io, until: Instant) -> hyper::Result<Option<Self>> {
        let shared = Arc::new(Http2State::default());
        let (requests, mut taking) = Builder::new(TokioExecutor::new())
            .initial_max_send_streams(UNTOLD)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window(MOST))
            .max_header_list_size(LARGEST_HEAD)
            .handshake(ObservedIo { io, observer: Arc::clone(&shared) })
            .await?;
        match tokio::time::timeout_at(until, allowed(&mut taking, &shared.read_waker, until)).await {
            Err(_) => return Ok(None),
            Ok(allowed) => allowed?,
        }
        *shared.requests() = Some(taking);
        let (polled, mut placed) = (Arc::clone(&shared), 0);
        let (polling, task) = abortable(poll_fn(move |cx| polled.poll(cx, &mut placed)));
        TokioExecutor::new().execute(async {
            let _ = polling.await;
        });
        Ok(Some(Self { requests, shared, task, since: Instant::now() }))
    }

    /// Whether the server allows one more than are on it. As it last said: it may have changed its mind.
    fn has_room(&self) -> bool {
        let in_flight = self.shared.in_flight.load(Ordering::Relaxed);
        in_flight < MOST
            && self.shared.requests().as_ref().is_some_and(|all| in_flight < all.current_max_send_streams())
    }

    fn is_left(&self) -> bool {
        self.requests.is_closed() || self.shared.silent.load(Ordering::Relaxed)
    }

    fn takes_more(&self) -> bool {
        !self.is_left() && self.has_room()
    }

    fn is_used(&self) -> bool {
        self.shared.in_flight.load(Ordering::Relaxed) > 0
    }

    fn permit(&self) -> StreamPermit {
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        StreamPermit {
            requests: self.requests.clone(),
            shared: Arc::clone(&self.shared),
            reads_before: None,
            was_silent: false,
        }
    }
}

/// Waits until the server allows a stream, or has said nothing for so long that it is asked without.
async fn allowed(requests: &mut Requests, read_waker: &AtomicWaker, until: Instant) -> hyper::Result<()> {
    let timeout = FIRST_WORD_WITHIN.min(until.saturating_duration_since(Instant::now()) / 2);
    let mut over = pin!(tokio::time::sleep(timeout));
    poll_fn(|cx| {
        read_waker.register(cx.waker());
        // Over before it began: who is to send on it will be told.
        if let Poll::Ready(ended) = Pin::new(&mut *requests).poll(cx) {
            return Poll::Ready(ended);
        }
        match requests.current_max_send_streams() {
            UNTOLD => over.as_mut().poll(cx).map(Ok),
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    })
    .await
}

/// A request's place on a connection, given back when dropped.
pub(super) struct StreamPermit {
    requests: SendRequest<Full<Bytes>>,
    shared: Arc<Http2State>,
    /// While it waits for the server: what had been heard from it when that began.
    reads_before: Option<usize>,
    was_silent: bool,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.reads_before.is_some_and(|reads| reads == self.shared.reads.load(Ordering::Relaxed)) {
            // Its time is over. (Or the run's, and then it does not matter.)
            self.shared.silent.store(true, Ordering::Relaxed);
        }
    }
}

impl StreamPermit {
    /// Sends, and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: http::Request<Full<Bytes>>,
    ) -> hyper::Result<http::Response<Incoming>> {
        self.shared.handed.fetch_add(1, Ordering::Relaxed);
        self.begin_wait();
        let answer = self.requests.send_request(request).await;
        // The end of a connection is read too.
        let read = self.shared.reads.load(Ordering::Relaxed).wrapping_sub(self.reads_before.unwrap_or(0));
        self.was_silent = read <= 1;
        self.end_wait();
        if answer.is_ok() {
            self.shared.has_answered.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// A wait for the server begins.
    pub(super) fn begin_wait(&mut self) {
        self.reads_before = Some(self.shared.reads.load(Ordering::Relaxed));
    }

    /// The wait is over.
    pub(super) fn end_wait(&mut self) {
        self.reads_before = None;
    }

    /// What the connection was at when the request failed.
    pub(super) fn stage(&self) -> Stage {
        let is_told = |told: &AtomicBool| told.load(Ordering::Relaxed);
        if self.was_silent && is_told(&self.shared.has_answered) {
            Stage::RestedHead
        } else if is_told(&self.shared.has_answered) || is_told(&self.shared.called_back) {
            Stage::Head
        } else {
            Stage::FirstHead
        }
    }
}

/// The connections that stand, and the turn to open one more.
#[derive(Default)]
pub(super) struct Http2Pool {
    standing: Mutex<Vec<Http2Connection>>,
    /// Who waits finds the new connection's streams, and seldom needs one more. Where connecting fails, each
    /// waits no longer than `--timeout`.
    pub(super) opening: tokio::sync::Mutex<()>,
}

impl Http2Pool {
    /// A place on the first connection that has one.
    pub(super) fn acquire(&self) -> Option<StreamPermit> {
        self.lock().iter().find(|connection| connection.takes_more()).map(Http2Connection::permit)
    }

    /// A place on a connection that was opened after this instant.
    pub(super) fn acquire_newer(&self, instant: Instant) -> Option<StreamPermit> {
        self.lock()
            .iter()
            .find(|connection| connection.since > instant && connection.takes_more())
            .map(Http2Connection::permit)
    }

    /// A place on a new connection. One that carries nothing and takes nothing (its server allows no stream any
    /// more, or it is suspected of being closed) is let go: there could be ever more of them.
    pub(super) fn add(&self, connection: Http2Connection, reuse: Reuse) -> StreamPermit {
        let permit = connection.permit();
        let mut standing = self.lock();
        standing.retain(|connection| {
            let is_needed = reuse == Reuse::Allowed && connection.has_room();
            !connection.is_left() && (connection.is_used() || is_needed)
        });
        standing.push(connection);
        permit
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Http2Connection>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
