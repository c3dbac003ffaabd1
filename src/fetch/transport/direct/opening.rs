//! A request that finds no connection: it opens one, waits for one where the server serves no more, or moves to
//! another where its own is silent or refused.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::super::census::Stage;
use super::super::connect::{Connect, HttpVersion};
use super::super::exchange::Exchange;
use super::super::http1::{
    ConnectionGuard, ConnectionWaiter, Handover, Http1Connection, Movable, Opening, ReservedConnection,
    Substitute,
};
use super::super::http2::Http2Connection;
use super::super::observed_io::{ConnectionIo, PlacedIo};
use super::super::open_connections::ConnectionPlace;
use super::super::resend::{FreeConnection, KeptConnection, Resend};
use super::super::send_error::{
    SendStage, closed_unsent, connection_error, connection_timeout, no_connection, no_http2, no_stream,
};
use super::super::{Reuse, SendError};
use super::{DirectClient, NewConnection, Slot};
use crate::model::fault::ProxyProblem;
use crate::model::{Cause, Fault, Request};

/// A deadline that the clock cannot represent is set this far ahead.
const FAR: Duration = Duration::from_hours(24 * 365);
/// How long a new connection is watched, before a request that may act twice is sent on it: twice what opening it took.
const SETTLING_LEAST: Duration = Duration::from_millis(10);
const SETTLING_MOST: Duration = Duration::from_millis(250);
/// How long other requests wait for the first connection to show the version of HTTP.
const FIRST_CONNECTION: Duration = Duration::from_secs(3);

impl<C: Connect> DirectClient<C> {
    /// A connection that was reserved for a request, if the server has not closed it since; else any other.
    pub(super) async fn take_reserved(&self, kept: KeptConnection) -> Option<Slot<C::Io>> {
        if let Ok(reserved) = kept.0.downcast::<ReservedConnection<C::Io>>()
            && let Some(mut connection) = reserved.into_inner()
            && connection.is_still_free().await
        {
            return Some(Slot::Http1(connection));
        }
        self.take_pooled()
    }

    /// Sends a request for which there is no connection.
    pub(super) async fn send_on_new(
        &self,
        request: &Request,
        wanted: NewConnection,
    ) -> Result<Exchange<'_, C::Io>, SendError> {
        match self.open(wanted).await? {
            Slot::Http2(mut permit) => {
                let head = pin!(permit.send(self.http2_request(request)?));
                let answer = permit.receive_head(head).await;
                let answer = answer.map_err(|error| self.http2.before_the_first_answer(error))?;
                Ok(Exchange::over_http2(answer, permit))
            }
            Slot::Http1(connection) if connection.is_new() => {
                self.send_first(connection, request, wanted).await
            }
            Slot::Http1(connection) => self.send_over_http1(connection, request).await,
        }
    }

    async fn send_over_http1(
        &self,
        mut connection: Box<Http1Connection<C::Io>>,
        request: &Request,
    ) -> Result<Exchange<'_, C::Io>, SendError> {
        let head = pin!(connection.send(self.http1_request(request)?));
        let answer = connection.receive_head(head).await.map_err(|error| self.lost_by_proxy(error))?;
        let resend = if connection.is_new() { Resend::NewClosed } else { Resend::Counted };
        self.check_passed_on(&answer, resend)?;
        connection.answered();
        Ok(Exchange::over_http1(answer, connection, &self.http1))
    }

    async fn open(&self, wanted: NewConnection) -> Result<Slot<C::Io>, SendError> {
        let mut first = None;
        if self.settings.may_speak_http2 && !self.is_version_known.load(Ordering::Relaxed) {
            // One connection may carry all requests: the first one shows it, unless it takes long or comes to nothing.
            match self.http2.opening.try_lock() {
                Ok(guard) => first = Some(guard),
                Err(_) => drop(tokio::time::timeout(FIRST_CONNECTION, self.http2.opening.lock()).await),
            }
        }
        if first.is_some() || !self.speaks_http2.load(Ordering::Relaxed) {
            return self.begin(wanted).await;
        }
        let asked = Instant::now();
        let _opening = self.http2.opening.lock().await;
        let slot = if wanted.is_required {
            // Of the requests that one connection lost, the first opens another, and the rest use that one.
            self.http2.acquire_newer(asked).map(Slot::Http2)
        } else {
            self.take_pooled()
        };
        match slot {
            Some(slot) => Ok(slot),
            None => self.begin(wanted).await,
        }
    }

    async fn begin(&self, wanted: NewConnection) -> Result<Slot<C::Io>, SendError> {
        let place = match self.places.try_take() {
            Some(place) => place,
            None if wanted.is_required => self.places.take().await,
            // It is as well to wait for a connection of its own.
            None => tokio::select! {
                biased;
                returned = self.http1.returned() => return Ok(Slot::Http1(returned)),
                place = self.places.take() => place,
            },
        };
        let guard = match self.http1.open() {
            Opening::Begin(guard) => guard,
            Opening::Wait(waiter) => {
                let error = SendError::counted(Fault::new(Cause::Connect, "no connection is left"));
                return Err(when_free(waiter, error, Resend::Waiting));
            }
        };
        let begun = guard.begun();
        let movable = if wanted.is_patient { Movable::ToKept } else { Movable::Anywhere };
        tokio::select! {
            biased;
            connected = self.connect((guard, place), wanted.is_required) => {
                connected.map_err(|error| match error.resend {
                    // Nothing was sent.
                    Resend::NewClosed | Resend::NewUnsent => self.beside_others(error, Resend::Waiting),
                    _ => error,
                })
            }
            // While it is being opened nothing was sent, and no answer can be slow.
            other = self.http1.replacement((begun, Stage::Opening), movable) => Err(moved(other)),
        }
    }

    /// The first request on a new connection.
    async fn send_first(
        &self,
        mut connection: Box<Http1Connection<C::Io>>,
        request: &Request,
        wanted: NewConnection,
    ) -> Result<Exchange<'_, C::Io>, SendError> {
        let may_act_twice = !matches!(request.method, Method::GET | Method::HEAD);
        let begun = connection.begun();
        if may_act_twice && self.http1.is_unproven() {
            // A server that has too many closes it now, and has read nothing then.
            let settling = (begun.age() * 2).clamp(SETTLING_LEAST, SETTLING_MOST);
            if tokio::time::timeout(settling, connection.closed()).await.is_ok() {
                drop(connection);
                return Err(self.beside_others(closed_unsent(), Resend::Waiting));
            }
        }
        let movable = match (may_act_twice, wanted.is_patient) {
            (true, _) => Movable::Nowhere,
            (false, true) => Movable::ToKept,
            (false, false) => Movable::Anywhere,
        };
        tokio::select! {
            biased;
            sent = self.send_over_http1(connection, request) => {
                sent.map_err(|error| match error.resend {
                    Resend::NewUnsent => self.beside_others(error, Resend::Waiting),
                    // It says that it passed nothing on.
                    Resend::NewClosed if is_refused_by_proxy(&error) => self.beside_others(error, Resend::Waiting),
                    Resend::NewClosed if !may_act_twice || is_answered_by_proxy(&error) => {
                        self.beside_others(error, Resend::Refused)
                    }
                    Resend::NewClosed => {
                        // The server may have acted. The number is learnt all the same.
                        drop(self.http1.refused());
                        error
                    }
                    _ => error,
                })
            }
            other = self.http1.replacement((begun, Stage::Unanswered), movable) => Err(moved(other)),
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
        (mut guard, place): (ConnectionGuard<C::Io>, ConnectionPlace),
        is_new_wanted: bool,
    ) -> Result<Slot<C::Io>, SendError> {
        let limit = self.settings.connect_timeout;
        let now = Instant::now();
        let until = now.checked_add(limit).unwrap_or(now + FAR);
        let connected = tokio::time::timeout_at(until, self.connector.connect()).await;
        let (io, version) = connected
            .map_err(|_| connection_timeout(self.settings.proxy.as_deref(), limit))?
            .map_err(|error| no_connection(Some(error.as_ref()), limit))?;
        let io = PlacedIo { io, place };
        self.speaks_http2.store(version == HttpVersion::Http2, Ordering::Relaxed);
        self.is_version_known.store(true, Ordering::Relaxed);
        self.settings.state.has_connected.store(true, Ordering::Relaxed);
        let failed = |error: hyper::Error| connection_error(&error, SendStage::FirstHead);
        let slot = match version {
            HttpVersion::Http1 => {
                guard.opened();
                Slot::Http1(Http1Connection::handshake(io, guard).await.map_err(failed)?)
            }
            HttpVersion::Http2 => {
                let connection = Http2Connection::handshake(io, until, &self.http2).await;
                let is_over = connection
                    .as_ref()
                    .map_or(true, |open| open.as_ref().is_some_and(Http2Connection::is_over));
                if is_over && self.settings.requires_http2 && !self.http2.has_answered() {
                    return Err(no_http2());
                }
                let connection = connection.map_err(failed)?;
                let permit = self.http2.add(connection.ok_or_else(|| no_stream(limit))?, is_new_wanted);
                self.http1.release();
                Slot::Http2(permit)
            }
        };
        // A connection to a proxy shows nothing of the API.
        if self.settings.whole_address_proxy.is_none() {
            (self.settings.on_connected.0)();
        }
        Ok(slot)
    }
}

fn reserved<S: ConnectionIo>(connection: Box<Http1Connection<S>>) -> KeptConnection {
    KeptConnection(Box::new(ReservedConnection::new(connection)))
}

/// The request moves to another connection.
fn moved<S: ConnectionIo>(to: Substitute<S>) -> SendError {
    let fault = Fault::new(Cause::Lost, "a new connection stayed silent while others were answered");
    let resend = match to {
        Substitute::Kept(connection) => {
            let kept = Ok(Reuse::On(reserved(connection)));
            Resend::Waiting(FreeConnection(Box::pin(async { kept })))
        }
        Substitute::New => Resend::Silent,
    };
    SendError { fault, resend }
}

/// The proxy passed nothing on, and answered itself.
fn is_answered_by_proxy(error: &SendError) -> bool {
    matches!(error.fault.cause, Cause::Proxy(ProxyProblem::Answered(_)))
}

/// The proxy answered itself that it passes nothing on: a limit of connections, or a rule.
fn is_refused_by_proxy(error: &SendError) -> bool {
    error.fault.cause == Cause::Proxy(ProxyProblem::Answered(403))
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
            Handover::Connection(connection) => Ok(Reuse::On(reserved(connection))),
            Handover::Room => Ok(Reuse::Allowed),
            Handover::NoneLeft => Err(error),
        }
    };
    SendError { fault, resend: resend(FreeConnection(Box::pin(free))) }
}
