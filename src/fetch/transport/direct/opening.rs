//! A request that finds no connection: it opens one, waits for one where the server serves no more, or moves to
//! another where its own is silent or refused.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::super::connect::{Connect, HttpVersion};
use super::super::exchange::Exchange;
use super::super::http1::{ConnectionGuard, ConnectionWaiter, Handover, Http1Connection, Opening};
use super::super::http2::Http2Connection;
use super::super::observed_io::ConnectionIo;
use super::super::resend::{FreeConnection, KeptConnection, Resend};
use super::super::send_error::{SendStage, connection_error, no_connection, no_stream};
use super::super::{Reuse, SendError};
use super::{DirectClient, Slot};
use crate::model::{Cause, Fault, Request};

/// A deadline that the clock cannot represent is set this far ahead.
const FAR: Duration = Duration::from_hours(24 * 365);

impl<C: Connect> DirectClient<C> {
    /// A connection that was reserved for a request, if the server has not closed it since; else any other.
    pub(super) async fn take_reserved(&self, kept: KeptConnection) -> Option<Slot<C::Io>> {
        if let Ok(mut connection) = kept.0.downcast::<Http1Connection<C::Io>>()
            && connection.is_still_free().await
        {
            return Some(Slot::Http1(connection));
        }
        self.take_pooled().await
    }

    /// Sends a request for which there is no connection.
    pub(super) async fn send_on_new(
        &self,
        request: &Request,
        is_new_wanted: bool,
    ) -> Result<Exchange<'_, C::Io>, SendError> {
        match self.open(is_new_wanted).await? {
            Slot::Http2(mut permit) => {
                let head = pin!(permit.send(self.http2_request(request)?));
                let answer = permit.receive_head(head).await?;
                Ok(Exchange::over_http2(answer, permit))
            }
            Slot::Http1(connection) if connection.is_new() => self.send_first(connection, request).await,
            Slot::Http1(connection) => self.send_over_http1(connection, request).await,
        }
    }

    async fn send_over_http1(
        &self,
        mut connection: Box<Http1Connection<C::Io>>,
        request: &Request,
    ) -> Result<Exchange<'_, C::Io>, SendError> {
        let head = pin!(connection.send(self.http1_request(request)?));
        let answer = connection.receive_head(head).await?;
        Ok(Exchange::over_http1(answer, connection, &self.http1))
    }

    async fn open(&self, is_new_wanted: bool) -> Result<Slot<C::Io>, SendError> {
        if !self.speaks_http2.load(Ordering::Relaxed) {
            return self.begin(is_new_wanted).await;
        }
        let asked = Instant::now();
        let _opening = self.http2.opening.lock().await;
        let slot = if is_new_wanted {
            // Of the requests that one connection lost, the first opens another, and the rest use that one.
            self.http2.acquire_newer(asked).map(Slot::Http2)
        } else {
            self.take_pooled().await
        };
        match slot {
            Some(slot) => Ok(slot),
            None => self.begin(is_new_wanted).await,
        }
    }

    async fn begin(&self, is_new_wanted: bool) -> Result<Slot<C::Io>, SendError> {
        let guard = match self.http1.open() {
            Opening::Begin(guard) => guard,
            Opening::Wait(waiter) => {
                let error = SendError::counted(Fault::new(Cause::Connect, "no connection is left"));
                return Err(when_free(waiter, error, Resend::Waiting));
            }
        };
        let begun = guard.begun();
        tokio::select! {
            biased;
            connected = self.connect(guard, is_new_wanted) => {
                connected.map_err(|error| match error.resend {
                    // Nothing was sent.
                    Resend::NewClosed => self.beside_others(error, Resend::Waiting),
                    _ => error,
                })
            }
            kept = self.http1.replacement(begun, true) => Err(moved(kept)),
        }
    }

    /// The first request on a new connection.
    async fn send_first(
        &self,
        connection: Box<Http1Connection<C::Io>>,
        request: &Request,
    ) -> Result<Exchange<'_, C::Io>, SendError> {
        let may_move = matches!(request.method, Method::GET | Method::HEAD);
        let begun = connection.begun();
        tokio::select! {
            biased;
            sent = self.send_over_http1(connection, request) => {
                sent.map_err(|error| match error.resend {
                    Resend::NewClosed if may_move => self.beside_others(error, Resend::Refused),
                    Resend::NewClosed => {
                        // The server may have acted. The number is learnt all the same.
                        drop(self.http1.refused());
                        error
                    }
                    _ => error,
                })
            }
            kept = self.http1.replacement(begun, may_move) => Err(moved(kept)),
        }
    }

    /// A new connection was refused or closed. Beside others it is no fault: the request waits for one of them.
    fn beside_others(&self, error: SendError, resend: fn(FreeConnection) -> Resend) -> SendError {
        match self.http1.refused() {
            Some(waiter) => when_free(waiter, error, resend),
            None => error,
        }
    }

    async fn connect(
        &self,
        mut guard: ConnectionGuard<C::Io>,
        is_new_wanted: bool,
    ) -> Result<Slot<C::Io>, SendError> {
        let limit = self.settings.connect_timeout;
        let now = Instant::now();
        let until = now.checked_add(limit).unwrap_or(now + FAR);
        let connected = tokio::time::timeout_at(until, self.connector.connect()).await;
        let (io, version) = connected
            .map_err(|_| no_connection(None, limit))?
            .map_err(|error| no_connection(Some(error.as_ref()), limit))?;
        self.speaks_http2.store(version == HttpVersion::Http2, Ordering::Relaxed);
        let failed = |error: hyper::Error| connection_error(&error, SendStage::FirstHead);
        let slot = match version {
            HttpVersion::Http1 => {
                guard.opened();
                Slot::Http1(Http1Connection::handshake(io, guard).await.map_err(failed)?)
            }
            HttpVersion::Http2 => {
                let connection = Http2Connection::handshake(io, until, &self.http2).await.map_err(failed)?;
                let permit = self.http2.add(connection.ok_or_else(|| no_stream(limit))?, is_new_wanted);
                self.http1.release();
                Slot::Http2(permit)
            }
        };
        (self.settings.on_connected.0)();
        Ok(slot)
    }
}

/// The request moves to this connection.
fn moved<S: ConnectionIo>(connection: Box<Http1Connection<S>>) -> SendError {
    let fault = Fault::new(Cause::Lost, "a new connection stayed silent while others were answered");
    let reserved = Ok(Reuse::On(KeptConnection(connection)));
    SendError { fault, resend: Resend::Waiting(FreeConnection(Box::pin(async { reserved }))) }
}

/// The request waits for a connection; where none is left, it ends with this error.
fn when_free<S: ConnectionIo>(
    waiter: ConnectionWaiter<S>,
    error: SendError,
    resend: fn(FreeConnection) -> Resend,
) -> SendError {
    let fault = error.fault.clone();
    let free = async move {
        match waiter.handover().await {
            Handover::Connection(connection) => Ok(Reuse::On(KeptConnection(connection))),
            Handover::Room => Ok(Reuse::Allowed),
            Handover::NoneLeft => Err(error),
        }
    };
    SendError { fault, resend: resend(FreeConnection(Box::pin(free))) }
}
