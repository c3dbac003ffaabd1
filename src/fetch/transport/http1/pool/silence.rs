//! What becomes of a request whose new connection stays silent.

use std::time::Duration;

use tokio::time::Instant;

use super::super::super::census::{Begun, KeptTrial, Stage};
use super::super::super::observed_io::ConnectionIo;
use super::super::substitute::{Movable, Substitute};
use super::{ConnectionWaiter, Handover, Http1Pool, Shared, Wanted, lock};

enum AfterSilence<S: ConnectionIo> {
    Moves(ConnectionWaiter<S>),
    MovesToNew,
    /// For this long at least.
    Stays(Duration),
    /// The same; another connection is worth less than its answer: an idle one …
    StaysInPlaceOfIdle(Duration),
    /// … or the next one that is returned, where any was answered since.
    StaysInPlaceOfAnother(Duration),
}

/// A request that waits on a silent new connection, for which another one is closed: its worker may serve the new one.
struct SilentRequest<'a, S: ConnectionIo>(&'a Shared<S>);

impl<'a, S: ConnectionIo> SilentRequest<'a, S> {
    fn new(pool: &'a Shared<S>) -> Self {
        lock(pool).silent += 1;
        Self(pool)
    }

    /// Closes an idle connection, or, if there is none, the next one that is returned.
    fn close_another(&self) {
        let mut state = lock(self.0);
        let idle = state.idle.pop();
        if idle.is_none() {
            state.surplus = (state.surplus + 1).min(state.silent);
        }
        // Its end takes the lock.
        drop(state);
        drop(idle);
    }
}

/// Closes the connection that has been idle longest, if it has been for at least `idle_for`: no request needs it, and its
/// place at the server may be what a silent one waits for.
fn close_unused<S: ConnectionIo>(pool: &Shared<S>, idle_for: Duration) {
    let mut state = lock(pool);
    let is_unused = state.idle.first().is_some_and(|(_, since)| since.elapsed() >= idle_for);
    let unused = is_unused.then(|| state.idle.remove(0));
    // Its end takes the lock.
    drop(state);
    drop(unused);
}

impl<S: ConnectionIo> Drop for SilentRequest<'_, S> {
    fn drop(&mut self) {
        let mut state = lock(self.0);
        state.silent -= 1;
        state.surplus = state.surplus.min(state.silent);
    }
}

impl<S: ConnectionIo> Http1Pool<S> {
    /// Waits until a new connection has been silent for too long, and gives an idle connection in place of it: the
    /// next one, where the request may move. Where it may not, an idle one is closed each time, and meanwhile those that
    /// stay unused. Where the server keeps none, the request may move to another new one.
    pub(in super::super::super) async fn replacement(
        &self,
        (begun, stage): (Begun, Stage),
        may_move: Movable,
    ) -> Substitute<S> {
        let waiter = {
            let look = self.lock().census.first_look();
            let (mut wait, mut silent) = (look, None);
            loop {
                tokio::time::sleep(wait.min(look)).await;
                if wait > look {
                    close_unused(&self.shared, look);
                    wait -= look;
                    continue;
                }
                wait = match self.after_silence((&begun, stage), may_move) {
                    AfterSilence::Moves(waiter) => break waiter,
                    AfterSilence::MovesToNew => return Substitute::New,
                    AfterSilence::Stays(longer) => longer,
                    AfterSilence::StaysInPlaceOfIdle(longer) => {
                        let idle = self.lock().idle.pop();
                        // Its end takes the lock.
                        drop(idle);
                        longer
                    }
                    AfterSilence::StaysInPlaceOfAnother(longer) => {
                        silent.get_or_insert_with(|| SilentRequest::new(&self.shared)).close_another();
                        longer
                    }
                };
            }
        };
        match waiter.handover().await {
            Handover::Connection(connection) => Substitute::Kept(connection),
            // Only connections are handed to it: its own is all that is left.
            Handover::Room | Handover::NoneLeft => std::future::pending().await,
        }
    }

    /// What follows from the silence of a new connection.
    fn after_silence(&self, (begun, stage): (&Begun, Stage), may_move: Movable) -> AfterSilence<S> {
        let now = Instant::now();
        let mut pool = self.lock();
        let left = pool.census.patience_left((begun, stage), now);
        let is_over = left.is_zero();
        if !is_over && !pool.census.is_trial_due(begun, now) {
            return AfterSilence::Stays(left.min(pool.census.first_look()));
        }
        let round = pool.census.patience(begun, stage);
        if is_over && pool.census.are_others_answered(begun, now) {
            pool.census.found_silent(begun, now);
            pool.served.set(pool.census.served());
            if !pool.census.are_kept() {
                return if may_move == Movable::Anywhere {
                    AfterSilence::MovesToNew
                } else {
                    AfterSilence::Stays(round)
                };
            }
            if may_move != Movable::Nowhere {
                return AfterSilence::Moves(self.waiter(&mut pool, Wanted::Connection));
            }
        }
        if may_move != Movable::Nowhere && !pool.idle.is_empty() {
            match pool.census.try_kept(begun, now) {
                KeptTrial::Begun => return AfterSilence::Moves(self.waiter(&mut pool, Wanted::Connection)),
                KeptTrial::Underway => return AfterSilence::Stays(pool.census.first_look()),
                KeptTrial::Useless => {}
            }
        }
        if !is_over {
            return AfterSilence::Stays(left.min(pool.census.first_look()));
        }
        if pool.census.is_any_answered(begun) {
            AfterSilence::StaysInPlaceOfAnother(round)
        } else {
            AfterSilence::StaysInPlaceOfIdle(round)
        }
    }
}
