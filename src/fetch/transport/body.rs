//! Reading an answer's body, whichever client received its head: bounded by `--max-body` and by the budget that all
//! bodies share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::body_budget::{BodyBudget, BodyClaim};
use super::connect::{Connect, TcpConnector};
use super::exchange::Exchange;
use super::general::GeneralExchange;
use super::pausable_timeout::PausableTimeout;
use super::{RawAnswer, SendError};
use crate::model::option::MAX_BODY;
use crate::model::{Cause, Fault, Size, large_buffer};

/// Bytes reserved for a body before the announced length is trusted. They are address space until something is written
/// there. A body that is longer is copied when its buffer grows.
const FIRST_CAPACITY: u64 = 256 * 1024;

/// An answer whose body has not been read.
pub(super) enum UnreadAnswer<'a> {
    Direct(Exchange<'a, <TcpConnector as Connect>::Io>),
    General(GeneralExchange),
}

impl UnreadAnswer<'_> {
    fn status(&self) -> StatusCode {
        match self {
            Self::Direct(exchange) => exchange.head.status,
            Self::General(exchange) => exchange.response.status(),
        }
    }

    fn headers(&mut self) -> &mut HeaderMap {
        match self {
            Self::Direct(exchange) => &mut exchange.head.headers,
            Self::General(exchange) => exchange.response.headers_mut(),
        }
    }

    /// The length of the body, if it is known in advance. In an answer to HEAD it may be the length that GET would have.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Direct(exchange) => exchange.length,
            Self::General(exchange) => exchange.response.content_length(),
        }
    }

    fn is_ended_by_close(&self) -> bool {
        match self {
            Self::Direct(exchange) => exchange.is_ended_by_close(),
            Self::General(exchange) => exchange.is_ended_by_close(),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        let next = match self {
            Self::Direct(exchange) => exchange.chunk().await,
            Self::General(exchange) => exchange.chunk().await,
        };
        next.map_err(|mut error| {
            error.fault.status = Some(self.status().as_u16());
            error
        })
    }
}

/// Reads bodies.
pub(super) struct BodyReader {
    max_body: Size,
    budget: BodyBudget,
}

impl BodyReader {
    /// Reads bodies of up to `max_body` bytes each; `backlog` is the number of bytes of answers that are not yet
    /// written to disk.
    pub(super) fn new(max_body: Size, backlog: Arc<AtomicUsize>) -> Self {
        Self { max_body, budget: BodyBudget::new(backlog) }
    }

    /// Reads to the end of the body. Waiting for the budget does not count against the timeout.
    ///
    /// # Errors
    /// A body that ends early, or a successful answer whose body is too large. Of any other answer a body that is
    /// too large is left out.
    pub(super) async fn read(
        &self,
        answer: &mut UnreadAnswer<'_>,
        method: &Method,
        timeout: &PausableTimeout,
    ) -> Result<RawAnswer, SendError> {
        let status = answer.status();
        let cap = self.max_body.0;
        let announced = if *method == Method::HEAD { None } else { answer.length() };
        if announced.is_some_and(|length| length > cap) && status.is_success() {
            return Err(self.too_large(status));
        }
        let mut claim = BodyClaim::new(&self.budget, announced);
        // A body that is announced as large waits before any of it is read.
        claim.cover(0, timeout).await;
        let mut body = answer.chunk().await?.unwrap_or_default();
        claim.cover(body.len(), timeout).await;
        if let Some(second) = answer.chunk().await? {
            let mut whole =
                Vec::with_capacity(usize::try_from(announced.unwrap_or(0).min(FIRST_CAPACITY)).unwrap_or(0));
            whole.extend_from_slice(&body);
            whole.extend_from_slice(&second);
            while whole.len() as u64 <= cap {
                claim.cover(whole.len(), timeout).await;
                let Some(chunk) = answer.chunk().await? else { break };
                large_buffer::grow(&mut whole, chunk.len());
                whole.extend_from_slice(&chunk);
            }
            body = whole.into();
        }
        let may_be_cut = announced.is_none() && *method != Method::HEAD && answer.is_ended_by_close();
        if body.len() as u64 > cap {
            if status.is_success() {
                return Err(self.too_large(status));
            }
            body.clear();
        }
        let headers = std::mem::take(answer.headers());
        Ok(RawAnswer { status: status.as_u16(), headers, body, may_be_cut, redirected_to: None })
    }

    fn too_large(&self, status: StatusCode) -> SendError {
        let detail = format!("the body is larger than {MAX_BODY} {}", self.max_body);
        SendError::counted(Fault::new(Cause::TooLarge, detail).with_status(status.as_u16()))
    }
}
