//! One HTTP/1.1 connection, and one request on it; and an answer, of either HTTP.
//!
//! hyper gives a connection in two halves that talk to each other: one takes requests, the other moves
//! bytes. The usual arrangement runs the second in a task of its own, which wakes for every event and
//! hands it on. Here both are polled by the future that waits for the answer, so that a response which
//! came in one packet costs one wake-up and no task.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};

use super::SendError;
use super::http2::StreamPermit;
use super::observed_io::{BUFFER, Io, ObservedIo, ReadObserver};
use super::send_error::{Stage, connection_error, reset};

/// Longer than this no connection is kept idle: many servers close sooner, and middle boxes forget.
const LONGEST_REST: Duration = Duration::from_secs(90);

/// What is heard of a connection.
#[derive(Default)]
struct Http1Activity {
    /// How often something was read. Only who polls the connection writes it.
    read: AtomicUsize,
    /// Whether the server took no more of a request.
    refused: AtomicBool,
}

impl ReadObserver for Arc<Http1Activity> {
    fn on_read(&self) {
        self.read.store(self.read.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// A server may answer before it has read a whole request, and close: the answer counts.
    fn on_write_refused(&self) -> bool {
        self.refused.store(true, Ordering::Relaxed);
        true
    }
}

/// A connection that carries one request at a time. It goes from hand to hand, and is large: always boxed.
pub(super) struct Http1Connection {
    requests: SendRequest<Full<Bytes>>,
    /// None once the connection is over.
    bytes: Option<Connection<ObservedIo<Arc<Http1Activity>>, Full<Bytes>>>,
    activity: Arc<Http1Activity>,
    has_answered: bool,
}

impl Http1Connection {
    pub(super) async fn over(io: Io) -> hyper::Result<Box<Self>> {
        let activity = Arc::new(Http1Activity::default());
        let observed = ObservedIo { io, observer: Arc::clone(&activity) };
        let (requests, bytes) = Builder::new().max_buf_size(BUFFER).handshake(observed).await?;
        Ok(Box::new(Self { requests, bytes: Some(bytes), activity, has_answered: false }))
    }

    /// Moves what can be moved. The half that moves bytes tells its errors to the half that waits, if it
    /// waits; dropped, it tells it that nothing more comes.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.bytes.as_mut().is_some_and(|bytes| Pin::new(bytes).poll(cx).is_ready()) {
            self.bytes = None;
        }
    }

    /// Whether another request may leave on it.
    fn is_free(&self) -> bool {
        self.bytes.is_some() && self.requests.is_ready() && !self.has_refused()
    }

    fn has_refused(&self) -> bool {
        self.activity.refused.load(Ordering::Relaxed)
    }

    fn read(&self) -> usize {
        self.activity.read.load(Ordering::Relaxed)
    }

    /// What it was at when a request failed, before which it had read so often. The end is read too; what comes
    /// before it began to be an answer.
    fn stage(&self, read: usize) -> Stage {
        match self.read().wrapping_sub(read) {
            _ if !self.has_answered => Stage::FirstHead,
            0 | 1 => Stage::RestedHead,
            _ => Stage::Head,
        }
    }

    /// Sends, and waits for the head of the answer.
    pub(super) async fn send(
        mut self: Box<Self>,
        request: http::Request<Full<Bytes>>,
        idle: &IdlePool,
    ) -> Result<Exchange<'_>, SendError> {
        let read = self.read();
        let mut head = pin!(self.requests.send_request(request));
        let response = std::future::poll_fn(|cx| {
            self.drive(cx);
            head.as_mut().poll(cx)
        })
        .await
        .map_err(|error| connection_error(&error, self.stage(read)))?;
        self.has_answered = true;
        let (head, body) = response.into_parts();
        Ok(Exchange { head, body, connection: Some(self), permit: None, idle })
    }
}

/// An answer whose body is being read. Dropped before its end, it closes the connection, or resets the stream.
pub(super) struct Exchange<'a> {
    pub(super) head: Parts,
    body: Incoming,
    connection: Option<Box<Http1Connection>>,
    /// Held to the end of the body: the stream is open until then.
    permit: Option<StreamPermit>,
    idle: &'a IdlePool,
}

impl<'a> Exchange<'a> {
    /// Sends over HTTP/2, and waits for the head of the answer.
    pub(super) async fn on(
        mut permit: StreamPermit,
        request: http::Request<Full<Bytes>>,
        idle: &'a IdlePool,
    ) -> Result<Self, SendError> {
        let answer = permit.send(request).await;
        let answer = answer.map_err(|error| connection_error(&error, permit.stage()))?;
        let (head, body) = answer.into_parts();
        Ok(Self { head, body, connection: None, permit: Some(permit), idle })
    }

    /// The next piece of the body, or none at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        if let Some(permit) = &mut self.permit {
            permit.begin_wait();
        }
        let next = std::future::poll_fn(|cx| match self.poll_chunk(cx) {
            Poll::Pending => {
                // Asking said that more is wanted, and only then is it read.
                if let Some(connection) = &mut self.connection {
                    connection.drive(cx);
                }
                self.poll_chunk(cx)
            }
            ready @ Poll::Ready(_) => ready,
        })
        .await;
        if let Some(permit) = &mut self.permit {
            permit.end_wait();
        }
        match next.map_err(|error| connection_error(&error, Stage::Body))? {
            None if self.has_unsure_end() => Err(reset()),
            None => {
                self.give_back().await;
                Ok(None)
            }
            chunk => Ok(chunk),
        }
    }

    /// The system tells of a reset once. When the request has learnt of it, the body seems to end in peace.
    fn has_unsure_end(&self) -> bool {
        let Parts { version, status, headers, .. } = &self.head;
        self.connection.as_ref().is_some_and(|connection| connection.has_refused())
            && is_ended_by_close(*version, *status, headers)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<Option<Bytes>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers say nothing that is kept.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
            }
        }
    }

    async fn give_back(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|_| !has_ambiguous_end(&self.head)) else {
            return;
        };
        std::future::poll_fn(|cx| {
            if !connection.is_free() {
                connection.drive(cx);
            }
            Poll::Ready(())
        })
        .await;
        self.idle.put(connection);
    }
}

/// Whether only the end of the connection tells where the body ends.
pub(super) fn is_ended_by_close(version: Version, status: StatusCode, headers: &HeaderMap) -> bool {
    version < Version::HTTP_2
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(TRANSFER_ENCODING)
}

/// Whether what follows may be the rest of this answer: it gives two ends, or has no body and yet says where that
/// ends (RFC 9112, 6.3). The answer counts, and no other may come on its connection.
fn has_ambiguous_end(head: &Parts) -> bool {
    let is_empty = head.status == StatusCode::NO_CONTENT;
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return is_empty || head.headers.contains_key(CONTENT_LENGTH);
    }
    is_empty && head.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Connections without a request on them.
pub(super) struct IdlePool {
    idle: Mutex<Vec<(Box<Http1Connection>, Instant)>>,
}

impl IdlePool {
    pub(super) fn none() -> Self {
        Self { idle: Mutex::new(Vec::new()) }
    }

    fn put(&self, connection: Box<Http1Connection>) {
        if connection.is_free() {
            self.lock().push((connection, Instant::now()));
        }
    }

    /// The one that rested least, if its server has not closed it: those that are not needed grow old
    /// together.
    pub(super) async fn take(&self) -> Option<Box<Http1Connection>> {
        std::future::poll_fn(|cx| {
            loop {
                let mut idle = self.lock();
                let Some((mut connection, since)) = idle.pop() else { return Poll::Ready(None) };
                if since.elapsed() > LONGEST_REST {
                    // Those below it rested longer.
                    idle.clear();
                    return Poll::Ready(None);
                }
                drop(idle);
                connection.drive(cx);
                if connection.is_free() {
                    return Poll::Ready(Some(connection));
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Box<Http1Connection>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
