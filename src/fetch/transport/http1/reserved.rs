//! A connection that waits for its request, and a request that waits for a connection.

use super::super::observed_io::ConnectionIo;
use super::super::resend::{FreeConnection, KeptConnection, Resend};
use super::super::{Reuse, SendError};
use super::Http1Connection;
use super::pool::{ConnectionWaiter, Handover, hand_over};

/// A kept connection that is reserved for one request. Dropped, it goes to the next one.
pub(in super::super) struct ReservedConnection<S: ConnectionIo>(Option<Box<Http1Connection<S>>>);

impl<S: ConnectionIo> ReservedConnection<S> {
    pub(in super::super) fn new(connection: Box<Http1Connection<S>>) -> Self {
        Self(Some(connection))
    }

    pub(in super::super) fn into_inner(mut self) -> Option<Box<Http1Connection<S>>> {
        self.0.take()
    }
}

impl<S: ConnectionIo> Drop for ReservedConnection<S> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take()
            && let Some(pool) = connection.guard.pool.upgrade()
        {
            hand_over(&pool, connection, None);
        }
    }
}

/// Reserves a connection for a request.
pub(in super::super) fn reserved<S: ConnectionIo>(connection: Box<Http1Connection<S>>) -> KeptConnection {
    KeptConnection(Box::new(ReservedConnection::new(connection)))
}

/// The request waits for a connection; where none is left, it ends with this error.
pub(in super::super) fn when_free<S: ConnectionIo>(
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
    SendError::new(fault, resend(FreeConnection(Box::pin(free))))
}
