//! An answer over a connection of our own, of either HTTP version: its head is there, its body is being read.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, StatusCode, Version};
use hyper::body::{Body, Incoming};

use super::SendError;
use super::http1::{Http1Connection, Http1Pool};
use super::http2::StreamPermit;
use super::observed_io::ConnectionIo;
use super::send_error::{SendStage, connection_error, is_tls_end, reset_before_end};

/// An answer whose body is being read. Dropped before the end of the body, it closes the HTTP/1.1 connection, or
/// resets the HTTP/2 stream.
pub(super) struct Exchange<'a, S: ConnectionIo> {
    pub(super) head: Parts,
    /// The length of the body, if it is known in advance.
    pub(super) length: Option<u64>,
    body: Incoming,
    carrier: Carrier<'a, S>,
}

/// What carries the answer.
enum Carrier<'a, S: ConnectionIo> {
    /// None once the body has been read.
    Http1(Option<Box<Http1Connection<S>>>, &'a Http1Pool<S>),
    /// Held to the end of the body: the stream is open until then.
    Http2(StreamPermit<S>),
}

impl<'a, S: ConnectionIo> Exchange<'a, S> {
    /// An answer over HTTP/1.1. The connection returns to the pool after the body.
    pub(super) fn over_http1(
        answer: http::Response<Incoming>,
        connection: Box<Http1Connection<S>>,
        pool: &'a Http1Pool<S>,
    ) -> Self {
        let (head, body) = answer.into_parts();
        let length = body.size_hint().exact();
        Self { head, length, body, carrier: Carrier::Http1(Some(connection), pool) }
    }

    /// An answer over HTTP/2.
    pub(super) fn over_http2(answer: http::Response<Incoming>, permit: StreamPermit<S>) -> Self {
        let (head, body) = answer.into_parts();
        let length = body.size_hint().exact();
        Self { head, length, body, carrier: Carrier::Http2(permit) }
    }

    /// The next piece of the body, or none at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        if let Carrier::Http2(permit) = &mut self.carrier {
            permit.begin_wait();
        }
        let next = poll_fn(|cx| {
            let polled = self.poll_chunk(cx);
            let Some(connection) = self.http1().filter(|_| polled.is_pending()) else { return polled };
            // hyper reads only after the body was polled, which says that more is wanted.
            connection.poll_io(cx);
            let polled = self.poll_chunk(cx);
            let Some(connection) = self.http1().filter(|_| polled.is_pending()) else { return polled };
            connection.poll_rest(cx);
            self.poll_chunk(cx)
        })
        .await;
        if let Carrier::Http2(permit) = &mut self.carrier {
            permit.end_wait();
        }
        let is_ended = |error: &hyper::Error| is_tls_end(error) && self.is_ended_by_close();
        if next.as_ref().is_err_and(is_ended) {
            // As over plain HTTP: the body shows whether it is whole.
            return Ok(None);
        }
        match next.map_err(|error| connection_error(&error, SendStage::Body))? {
            None if self.may_be_cut_by_reset() => Err(reset_before_end()),
            None => {
                self.reuse_connection().await;
                Ok(None)
            }
            chunk => Ok(chunk),
        }
    }

    fn http1(&mut self) -> Option<&mut Http1Connection<S>> {
        match &mut self.carrier {
            Carrier::Http1(connection, _) => connection.as_deref_mut(),
            Carrier::Http2(_) => None,
        }
    }

    /// The system reports a reset once. If the write of the request received it, a body that ends with the
    /// connection seems to end normally.
    fn may_be_cut_by_reset(&self) -> bool {
        matches!(&self.carrier, Carrier::Http1(Some(connection), _) if connection.has_refused())
            && self.is_ended_by_close()
    }

    /// Whether only the end of the connection shows where the body ends.
    pub(super) fn is_ended_by_close(&self) -> bool {
        let Parts { version, status, headers, .. } = &self.head;
        is_ended_by_close(*version, *status, headers)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<Option<Bytes>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers hold nothing that is used.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
            }
        }
    }

    async fn reuse_connection(&mut self) {
        let Carrier::Http1(connection, pool) = &mut self.carrier else { return };
        // hyper takes a length from Content-Length only where there is no Transfer-Encoding.
        let has_certain_end = self.length.is_some_and(|length| length > 0);
        let may_be_reused = |_: &_| has_certain_end || !has_ambiguous_end(&self.head);
        if let Some(connection) = connection.take().filter(may_be_reused) {
            pool.put(connection).await;
        }
        let is_closed = |headers: &HeaderMap| {
            headers.get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
        };
        if self.head.status == StatusCode::SERVICE_UNAVAILABLE && is_closed(&self.head.headers) {
            pool.close_idle();
        }
    }
}

/// Whether only the end of the connection shows where the body ends.
pub(super) fn is_ended_by_close(version: Version, status: StatusCode, headers: &HeaderMap) -> bool {
    version < Version::HTTP_2
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(TRANSFER_ENCODING)
}

/// Whether bytes that follow this answer may still belong to it: it has both Content-Length and Transfer-Encoding, or
/// one of them though it has no body (RFC 9112, section 6.3). The answer counts; its connection is not used again.
fn has_ambiguous_end(head: &Parts) -> bool {
    let is_empty = head.status == StatusCode::NO_CONTENT;
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return is_empty || head.headers.contains_key(CONTENT_LENGTH);
    }
    is_empty && head.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}
