//! What becomes of a request whose connection was refused.

use std::time::Duration;

use tokio::time::Instant;

use super::super::super::observed_io::ConnectionIo;
use super::{ConnectionWaiter, Http1Pool, Wanted};

/// So long a request waits that was answered with 503 while no other connection has been answered otherwise: the server
/// may answer nothing else.
const LONGEST_UNDECIDED: Duration = Duration::from_secs(1);

impl<S: ConnectionIo> Http1Pool<S> {
    /// A new connection was refused, or closed without an answer: a place among those that wait for another, unless
    /// there is none.
    pub(in super::super::super) fn refused(&self) -> Option<ConnectionWaiter<S>> {
        let mut state = self.lock();
        if state.census.open() == 0 {
            return None;
        }
        state.census.found_refused(Instant::now());
        state.served.set(state.census.served());
        Some(self.waiter(&mut state, Wanted::AnyOther))
    }

    /// Whether an answer of 503 on a new connection is taken for its refusal.
    pub(in super::super::super) fn may_answers_refuse(&self) -> bool {
        self.lock().census.may_answers_refuse()
    }

    /// The same for one that was answered with 503, and that was closed for it.
    pub(in super::super::super) fn refused_by_answer(&self) -> Option<ConnectionWaiter<S>> {
        let mut state = self.lock();
        if state.census.open() == 0 {
            return None;
        }
        state.census.found_refused_by_answer(Instant::now());
        state.served.set(state.census.served());
        let longest = (!state.census.has_answered()).then_some(LONGEST_UNDECIDED);
        let mut waiter = self.waiter(&mut state, Wanted::AnyOther);
        waiter.longest = longest;
        Some(waiter)
    }

    /// A kept connection was answered with 503, or a proxy refused a request on it: a place among the requests that wait
    /// for another one, where a connection too many explains it. It is then to be closed.
    pub(in super::super::super) fn crowded_out(&self, is_closed: bool) -> Option<ConnectionWaiter<S>> {
        let mut state = self.lock();
        let is_explained = state.census.is_crowded_out(is_closed, Instant::now());
        state.served.set(state.census.served());
        is_explained.then(|| self.waiter(&mut state, Wanted::Any))
    }

    /// A kept connection was answered with 503, and no connection too many explains it.
    pub(in super::super::super) fn doubt_answers(&self) {
        let mut state = self.lock();
        state.census.doubt_answers();
        state.served.set(state.census.served());
        state.use_room();
    }
}
