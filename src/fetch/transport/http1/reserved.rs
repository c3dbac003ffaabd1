//! A connection that waits for its request.

use tokio::time::Instant;

use super::super::observed_io::ConnectionIo;
use super::Http1Connection;
use super::pool::hand_over;

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
            hand_over(&pool, connection, (None, Instant::now()));
        }
    }
}
