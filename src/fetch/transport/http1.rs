//! HTTP/1.1 connections of our own, and the pool of idle ones.
//!
//! hyper gives a connection as two halves: `SendRequest` takes requests, `Connection` reads and writes. Usually a task
//! runs the second half; it wakes for every event and passes the result on. Here the future that waits for the answer
//! polls both halves, so that an answer in one packet costs one wake-up and no task.

mod pool;
mod reserved;
mod substitute;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use tokio::time::Instant;

use super::SendError;
use super::census::Begun;
use super::observed_io::{ConnectionIo, ObservedIo, PlacedIo, READ_BUFFER, ReadObserver};
use super::send_error::{SendStage, connection_error};

pub(super) use pool::{ConnectionGuard, ConnectionWaiter, Handover, Http1Pool, Opening};
pub(super) use reserved::ReservedConnection;
pub(super) use substitute::{Movable, Substitute};

/// A connection that was idle for longer is not used again: many servers close sooner, and middleboxes drop their
/// state.
const MAX_IDLE: Duration = Duration::from_secs(90);

/// What was seen on a connection's IO.
#[derive(Default)]
struct Http1Activity {
    /// Reads that returned. Only the poller of the connection writes it.
    reads: AtomicUsize,
    /// Whether a read found nothing since the connection is being polled: hyper reads once more before it waits.
    has_nothing_to_read: AtomicBool,
    /// Whether the server refused a part of a request.
    has_refused: AtomicBool,
    is_closed_for_another: AtomicBool,
    /// Whether the next read that finds nothing acknowledges at once what was read before.
    awaits_rest: AtomicBool,
}

impl ReadObserver for Arc<Http1Activity> {
    fn on_read(&self) {
        self.reads.store(self.reads.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    fn on_nothing_to_read(&self) {
        self.has_nothing_to_read.store(true, Ordering::Relaxed);
    }

    fn has_nothing_to_read(&self) -> bool {
        self.has_nothing_to_read.load(Ordering::Relaxed)
    }

    fn awaits_rest(&self) -> bool {
        // A load is cheaper, and a connection has one poller.
        self.awaits_rest.load(Ordering::Relaxed) && self.awaits_rest.swap(false, Ordering::Relaxed)
    }

    /// A server may answer before it has read a whole request, and close: that answer counts.
    fn on_write_refused(&self) -> bool {
        self.has_refused.store(true, Ordering::Relaxed);
        true
    }

    fn is_closed_for_another(&self) -> bool {
        self.is_closed_for_another.load(Ordering::Relaxed)
    }
}

/// The half of a connection that reads and writes.
type IoHalf<S> = Connection<ObservedIo<S, Arc<Http1Activity>>, Full<Bytes>>;

/// A connection that carries one request at a time. It is large and moves between owners, and is therefore boxed.
pub(super) struct Http1Connection<S: ConnectionIo> {
    requests: SendRequest<Full<Bytes>>,
    /// None once the connection has ended.
    io: Option<IoHalf<S>>,
    activity: Arc<Http1Activity>,
    /// How many reads there were when it last acknowledged at once.
    acknowledged: usize,
    has_answered: bool,
    /// Whether it was idle before, after an answer.
    is_kept: bool,
    /// It is returned to the pool right after it was polled.
    is_just_polled: bool,
    /// When it was taken from the pool.
    taken: Instant,
    guard: ConnectionGuard<S>,
}

impl<S: ConnectionIo> Http1Connection<S> {
    /// Starts HTTP/1.1 on a new connection; nothing is sent yet.
    pub(super) async fn handshake(io: PlacedIo<S>, guard: ConnectionGuard<S>) -> hyper::Result<Box<Self>> {
        let activity = Arc::new(Http1Activity::default());
        let observed = ObservedIo::new(io, Arc::clone(&activity));
        // A request is one piece of memory, and one record of TLS. The list of pieces that hyper would make of it takes a
        // kilobyte for each request, though most have one piece.
        let (requests, io) =
            Builder::new().max_buf_size(READ_BUFFER).writev(false).handshake(observed).await?;
        let (has_answered, is_kept, taken) = (false, false, Instant::now());
        Ok(Box::new(Self {
            requests,
            io: Some(io),
            activity,
            acknowledged: 0,
            has_answered,
            is_kept,
            is_just_polled: false,
            taken,
            guard,
        }))
    }

    /// Reads and writes what is possible now. hyper passes an error to the future that waits for the answer, if
    /// there is one; dropping the IO half ends that future.
    pub(super) fn poll_io(&mut self, cx: &mut Context<'_>) {
        self.activity.has_nothing_to_read.store(false, Ordering::Relaxed);
        if self.io.as_mut().is_some_and(|io| Pin::new(io).poll(cx).is_ready()) {
            self.io = None;
        }
    }

    /// The same, where only a part of an answer has come. A server whose system holds back a small segment until the one
    /// before is acknowledged (Nagle's algorithm) sends the rest then. hyper owns the IO, and reads again.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) {
        if self.acknowledged != self.reads() {
            self.acknowledged = self.reads();
            self.activity.awaits_rest.store(true, Ordering::Relaxed);
            self.poll_io(cx);
            self.activity.awaits_rest.store(false, Ordering::Relaxed);
        }
    }

    /// Closes it in favour of another connection.
    fn close_for_another(self) {
        self.activity.is_closed_for_another.store(true, Ordering::Relaxed);
    }

    /// Whether it has given no answer.
    pub(super) fn is_new(&self) -> bool {
        !self.has_answered
    }

    pub(super) fn begun(&self) -> Begun {
        self.guard.begun()
    }

    /// Whether the server has not closed it while it was reserved.
    pub(super) async fn is_still_free(&mut self) -> bool {
        poll_fn(|cx| {
            self.poll_io(cx);
            Poll::Ready(self.is_free())
        })
        .await
    }

    /// Waits until the server closes it, though nothing was sent.
    pub(super) async fn closed(&mut self) {
        poll_fn(|cx| {
            self.poll_io(cx);
            if self.io.is_none() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether another request may be sent on it.
    fn is_free(&self) -> bool {
        self.io.is_some() && self.requests.is_ready() && !self.has_refused()
    }

    /// Whether the server refused a part of a request.
    pub(super) fn has_refused(&self) -> bool {
        self.activity.has_refused.load(Ordering::Relaxed)
    }

    fn reads(&self) -> usize {
        self.activity.reads.load(Ordering::Relaxed)
    }

    /// The stage at which a request failed, before which the connection had this many reads. The end of the stream
    /// counts as one; a second one means that an answer had begun.
    fn stage(&self, reads_before: usize) -> SendStage {
        match self.reads().wrapping_sub(reads_before) {
            0 | 1 if !self.has_answered => SendStage::NewHead,
            _ if !self.has_answered => SendStage::FirstHead,
            0 | 1 => SendStage::IdleHead,
            _ => SendStage::Head,
        }
    }

    /// Takes a request, and gives the future of the head of its answer, for [`Http1Connection::receive_head`]. The two
    /// are separate because an `async fn` holds an argument twice, and a request is large.
    pub(super) fn send(
        &mut self,
        request: http::Request<Full<Bytes>>,
    ) -> impl Future<Output = hyper::Result<http::Response<Incoming>>> + use<S> {
        self.requests.send_request(request)
    }

    /// Sends the request that was taken, and waits for the head of its answer. Then [`Http1Connection::answered`] is due.
    pub(super) async fn receive_head(
        &mut self,
        mut head: Pin<&mut impl Future<Output = hyper::Result<http::Response<Incoming>>>>,
    ) -> Result<http::Response<Incoming>, SendError> {
        let reads_before = self.reads();
        let response = poll_fn(|cx| {
            self.poll_io(cx);
            let polled = head.as_mut().poll(cx);
            if polled.is_ready() || self.reads() == reads_before {
                return polled;
            }
            self.poll_rest(cx);
            head.as_mut().poll(cx)
        })
        .await
        .map_err(|error| connection_error(&error, self.stage(reads_before)))?;
        Ok(response)
    }

    /// The answer is the server's: the connection is served.
    pub(super) fn answered(&mut self) {
        if !self.has_answered {
            self.has_answered = true;
            self.guard.answered();
        }
    }
}

#[cfg(test)]
mod tests;
