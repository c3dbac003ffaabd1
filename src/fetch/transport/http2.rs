//! HTTP/2 connections of our own, each shared by as many requests as its server allows, and their pool.
//!
//! A server may allow few streams on a connection (RFC 9113, section 6.5.2, recommends at least 100; 10 and 16 are
//! seen). A library queues the requests over that number without reporting it. Here requests are counted, and one that
//! finds every connection full opens another. The server may change the number at any time: a request that was passed
//! to a connection and gets no stream there is recalled, and sent on another connection.
//!
//! A connection on which a request waited its whole time, while nothing else was read, gets no more requests. PING
//! frames would detect such a server sooner; they cost a timer a connection and a lock a frame, and would end the
//! requests of a server that is only slow.

mod first_answer;
mod pool;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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

use super::SendError;
use super::observed_io::{ConnectionIo, ObservedIo, PlacedIo, READ_BUFFER, ReadObserver};
use super::resend::{Progress, Resend};
use super::send_error::{SendStage, connection_error};

pub(super) use pool::Http2Pool;

/// The number of streams that a connection assumes before the server's first SETTINGS. No server can send this number,
/// so its presence shows that none has arrived.
const NO_SETTINGS_YET: usize = usize::MAX - 1;
/// How long the server's first SETTINGS are waited for. They come with the end of the handshake, but one stream too
/// many is refused, and some servers end the connection for it. RFC 9113, section 3.4, allows a client not to wait: a
/// server that sends none within this time gets streams without them.
const SETTINGS_WAIT: Duration = Duration::from_secs(2);
/// Most streams on one connection, however many are allowed: a lost packet delays all of them.
const MAX_STREAMS: usize = 100;
/// Bytes that one stream may hold unread. A body that waits for the budget leaves them unread, and they count
/// against the connection's window too. That window is therefore the sum of all streams' windows; a smaller one
/// would let the streams that wait stop the one that reads on.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;
/// The largest window there is (RFC 9113, section 6.9.1).
const MAX_WINDOW: u32 = i32::MAX as u32;
/// The largest head of an answer, as over HTTP/1.1.
#[allow(clippy::cast_possible_truncation, reason = "it is 64 KiB")]
const MAX_HEAD: u32 = READ_BUFFER as u32;

/// The window of a connection that carries so many streams, in bytes.
pub(super) fn connection_window(streams: usize) -> u32 {
    let streams = u32::try_from(streams).unwrap_or(MAX_WINDOW).max(4);
    STREAM_WINDOW.saturating_mul(streams).min(MAX_WINDOW)
}

/// The half of a connection that takes requests to their streams. hyper reads and writes in a task of the
/// connection's own.
type Dispatcher<S> = Connection<BoxedIo<S>, Full<Bytes>, BoxingExecutor>;

/// Boxed, as hyper's tasks would have its size otherwise ([`BoxingExecutor`]).
type BoxedIo<S> = Box<ObservedIo<S, Arc<Http2State<S>>>>;

/// Spawns hyper's tasks, boxed. hyper spawns one for each request, of the same type as the one that reads and writes the
/// connection, and so of its size. The runtime moves what it spawns six times, and once more at its end.
#[derive(Clone, Copy)]
struct BoxingExecutor;

impl<F> Executor<F> for BoxingExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        TokioExecutor::new().execute(Box::pin(future));
    }
}

/// State that a connection shares with its permits, its task and its IO.
struct Http2State<S: ConnectionIo> {
    in_flight: AtomicUsize,
    opened: Instant,
    /// When it carried no request any more, in milliseconds since it was opened.
    idle_from: AtomicU64,
    /// Requests that were ever passed to it.
    passed: AtomicUsize,
    /// Reads that returned.
    reads: AtomicUsize,
    /// Woken by every read.
    read_waker: AtomicWaker,
    has_answered: AtomicBool,
    /// Answers over all connections of the pool.
    answers: Arc<AtomicUsize>,
    /// Whether requests were recalled from it.
    has_recalled: AtomicBool,
    /// Whether a request waited its whole time on it while nothing was read.
    is_silent: AtomicBool,
    is_closed_for_another: AtomicBool,
    /// None once no more requests are accepted.
    dispatcher: Mutex<Option<Dispatcher<S>>>,
}

impl<S: ConnectionIo> Http2State<S> {
    fn new(answers: Arc<AtomicUsize>) -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            opened: Instant::now(),
            idle_from: AtomicU64::new(0),
            passed: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            read_waker: AtomicWaker::new(),
            has_answered: AtomicBool::new(false),
            answers,
            has_recalled: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            is_closed_for_another: AtomicBool::new(false),
            dispatcher: Mutex::new(None),
        }
    }

    fn dispatcher(&self) -> MutexGuard<'_, Option<Dispatcher<S>>> {
        self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes requests to their streams. `placed` of those that were passed have been through here before.
    fn poll_dispatch(&self, cx: &mut Context<'_>, placed: &mut usize) -> Poll<()> {
        let mut slot = self.dispatcher();
        let Some(dispatcher) = &mut *slot else { return Poll::Ready(()) };
        let passed = self.passed.load(Ordering::Relaxed);
        if passed != *placed {
            if self.in_flight.load(Ordering::Relaxed) > dispatcher.current_max_send_streams() {
                // The server lowered the number meanwhile. Without a dispatcher each of these requests fails as unsent.
                self.has_recalled.store(true, Ordering::Relaxed);
                *slot = None;
                return Poll::Ready(());
            }
            *placed = passed;
        }
        let ended = Pin::new(dispatcher).poll(cx);
        if ended.is_ready() {
            // The requests on it receive its error.
            *slot = None;
        }
        ended.map(drop)
    }
}

impl<S: ConnectionIo> ReadObserver for Arc<Http2State<S>> {
    fn on_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_waker.wake();
    }

    /// The answers of many requests come over it.
    fn awaits_rest(&self) -> bool {
        false
    }

    /// HTTP/2 cannot continue without writing.
    fn on_write_refused(&self) -> bool {
        false
    }

    fn is_closed_for_another(&self) -> bool {
        self.is_closed_for_another.load(Ordering::Relaxed)
    }
}

/// One connection. Dropped, it accepts no more requests; those that have a stream keep it.
pub(super) struct Http2Connection<S: ConnectionIo> {
    requests: SendRequest<Full<Bytes>>,
    state: Arc<Http2State<S>>,
    task: AbortHandle,
    since: Instant,
    /// Whether it ended before the server allowed a stream.
    is_over: bool,
}

impl<S: ConnectionIo> Drop for Http2Connection<S> {
    fn drop(&mut self) {
        *self.state.dispatcher() = None;
        self.task.abort();
    }
}

impl<S: ConnectionIo> Http2Connection<S> {
    /// Starts HTTP/2 on a new connection, and waits until the server allows a stream; none where it allows no stream
    /// until then.
    pub(super) async fn handshake(
        io: PlacedIo<S>,
        until: Instant,
        pool: &Http2Pool<S>,
    ) -> hyper::Result<Option<Self>> {
        let state = Arc::new(Http2State::new(Arc::clone(&pool.answers)));
        let (requests, mut dispatcher) = Builder::new(BoxingExecutor)
            .initial_max_send_streams(NO_SETTINGS_YET)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window(MAX_STREAMS))
            .max_header_list_size(MAX_HEAD)
            .handshake(Box::new(ObservedIo::new(io, Arc::clone(&state))))
            .await?;
        let allowed = stream_allowed(&mut dispatcher, &state.read_waker, until);
        let is_over = match tokio::time::timeout_at(until, allowed).await {
            Err(_) => return Ok(None),
            Ok(allowed) => !allowed?,
        };
        *state.dispatcher() = Some(dispatcher);
        let (polled, mut placed) = (Arc::clone(&state), 0);
        let (polling, task) = abortable(poll_fn(move |cx| polled.poll_dispatch(cx, &mut placed)));
        TokioExecutor::new().execute(async {
            let _ = polling.await;
        });
        Ok(Some(Self { requests, state, task, since: Instant::now(), is_over }))
    }

    /// Whether it ended before the server allowed a stream.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the server allows one more stream than are in use, by the last number that was read.
    fn has_free_stream(&self) -> bool {
        let in_flight = self.state.in_flight.load(Ordering::Relaxed);
        let allows = |all: &Dispatcher<S>| in_flight < all.current_max_send_streams();
        in_flight < MAX_STREAMS && self.state.dispatcher().as_ref().is_some_and(allows)
    }

    fn is_retired(&self) -> bool {
        self.requests.is_closed() || self.state.is_silent.load(Ordering::Relaxed)
    }

    fn is_available(&self) -> bool {
        !self.is_retired() && self.has_free_stream()
    }

    fn is_used(&self) -> bool {
        self.state.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Since when it carries no request.
    fn idle_since(&self) -> Option<Instant> {
        let idle_from = Duration::from_millis(self.state.idle_from.load(Ordering::Relaxed));
        (!self.is_used()).then(|| self.state.opened + idle_from)
    }

    fn permit(&self) -> StreamPermit<S> {
        self.state.in_flight.fetch_add(1, Ordering::Relaxed);
        StreamPermit {
            requests: self.requests.clone(),
            state: Arc::clone(&self.state),
            reads_before: None,
            was_silent: false,
        }
    }
}

/// Waits until the server allows a stream, or has sent no SETTINGS for so long that a stream is opened without them.
/// False where the connection has ended: the request that is sent on it receives the error.
async fn stream_allowed<S: ConnectionIo>(
    dispatcher: &mut Dispatcher<S>,
    read_waker: &AtomicWaker,
    until: Instant,
) -> hyper::Result<bool> {
    let wait = SETTINGS_WAIT.min(until.saturating_duration_since(Instant::now()) / 2);
    let mut over = pin!(tokio::time::sleep(wait));
    poll_fn(|cx| {
        read_waker.register(cx.waker());
        if let Poll::Ready(ended) = Pin::new(&mut *dispatcher).poll(cx) {
            return Poll::Ready(ended.map(|()| false));
        }
        match dispatcher.current_max_send_streams() {
            NO_SETTINGS_YET => over.as_mut().poll(cx).map(|()| Ok(true)),
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(true)),
        }
    })
    .await
}

/// A request's right to one stream of a connection, returned when dropped.
pub(super) struct StreamPermit<S: ConnectionIo> {
    requests: SendRequest<Full<Bytes>>,
    state: Arc<Http2State<S>>,
    /// While it waits for the server: the connection's reads when the wait began.
    reads_before: Option<usize>,
    was_silent: bool,
}

impl<S: ConnectionIo> Drop for StreamPermit<S> {
    fn drop(&mut self) {
        if self.state.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            let age = self.state.opened.elapsed().as_millis();
            self.state.idle_from.store(u64::try_from(age).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        if self.reads_before.is_some_and(|reads| reads == self.state.reads.load(Ordering::Relaxed)) {
            // The attempt's timeout dropped it while it waited. (The end of the run does so too, and then this has no
            // effect.)
            self.state.is_silent.store(true, Ordering::Relaxed);
        }
    }
}

impl<S: ConnectionIo> StreamPermit<S> {
    /// Passes a request to the connection, and gives the future of the head of its answer, for
    /// [`StreamPermit::receive_head`].
    pub(super) fn send(
        &mut self,
        request: http::Request<Full<Bytes>>,
    ) -> impl Future<Output = hyper::Result<http::Response<Incoming>>> + use<S> {
        self.state.passed.fetch_add(1, Ordering::Relaxed);
        self.begin_wait();
        self.requests.send_request(request)
    }

    /// Waits for the head of the answer.
    pub(super) async fn receive_head(
        &mut self,
        head: Pin<&mut impl Future<Output = hyper::Result<http::Response<Incoming>>>>,
    ) -> Result<http::Response<Incoming>, SendError> {
        let answer = head.await;
        // The end of the stream counts as one read.
        let reads = self.state.reads.load(Ordering::Relaxed).wrapping_sub(self.reads_before.unwrap_or(0));
        self.was_silent = reads <= 1;
        self.end_wait();
        if answer.is_ok() {
            self.state.has_answered.store(true, Ordering::Relaxed);
            self.state.answers.fetch_add(1, Ordering::Relaxed);
        }
        answer.map_err(|error| {
            let mut error = connection_error(&error, self.stage());
            if let Resend::Unprocessed(progress) = &mut error.resend {
                *progress = Progress(self.state.answers.load(Ordering::Relaxed));
            }
            error
        })
    }

    /// A wait for the server begins.
    pub(super) fn begin_wait(&mut self) {
        self.reads_before = Some(self.state.reads.load(Ordering::Relaxed));
    }

    /// The wait is over.
    pub(super) fn end_wait(&mut self) {
        self.reads_before = None;
    }

    /// The stage at which the request failed.
    fn stage(&self) -> SendStage {
        let has_answered = self.state.has_answered.load(Ordering::Relaxed);
        if self.was_silent && has_answered {
            SendStage::IdleHead
        } else if has_answered || self.state.has_recalled.load(Ordering::Relaxed) {
            SendStage::Head
        } else if self.state.answers.load(Ordering::Relaxed) > 0 {
            SendStage::NewStream
        } else {
            SendStage::FirstHead
        }
    }
}

#[cfg(test)]
mod tests;
