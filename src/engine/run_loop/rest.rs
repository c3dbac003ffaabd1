//! What a streamed run does with the rows that it did not come to.

use std::time::Duration;

use super::super::store::EntryStore;
use super::super::{HAND_OVER_WITHIN, MAX_BACKLOG};
use super::RunLoop;
use crate::fetch::Transport;
use crate::model::{Entry, Event, Job, Reporter, StopReason};

/// How long a stopped run waits for the next row of a pipe that it has to account for.
const REST_WITHIN: Duration = Duration::from_secs(10);
/// Rows from one look at whether standard output is still read to the next.
const CHECKED_AFTER: u64 = 256;

impl<T, S, N, F> RunLoop<'_, T, S, N, F>
where
    T: Transport,
    S: EntryStore,
    N: Fn(Job) -> F,
    F: Future<Output = Entry>,
{
    /// Whether each row of the input has its line in what is written, though the run has stopped. Nobody waits for it
    /// after a signal, and nobody reads it where it cannot be written.
    pub(super) fn accounts_for_the_rest(&self) -> bool {
        let reason = self.shutdown.reason();
        let is_unread =
            matches!(reason, Some(StopReason::Signal(_) | StopReason::StdoutClosed | StopReason::Disk));
        self.sink.store.is_streamed() && !is_unread
    }

    /// Rows that the run did not come to are deferred one by one, as far as the input gives them.
    pub(super) async fn account_for_the_rest(&mut self) {
        if !self.shutdown.is_triggered() || self.at_once {
            return;
        }
        if let (true, Some(reason)) = (self.accounts_for_the_rest(), self.shutdown.reason()) {
            let message =
                format!("{reason}: no more requests; the rest of the input is deferred, row by row");
            self.report.on(&Event::Warned { message: &message });
        }
        let mut deferred = 0_u64;
        while self.accounts_for_the_rest() {
            let (open, sink) = (&mut self.open, &mut self.sink);
            let has_room = sink.store.backlog() < MAX_BACKLOG;
            tokio::select! {
                biased;
                _ = self.signals.next() => return,
                next = tokio::time::timeout(REST_WITHIN, open.next_unopened()), if has_room => match next {
                    Ok(Some(planned)) => {
                        sink.defer(planned);
                        deferred += 1;
                    }
                    Ok(None) | Err(_) => return,
                },
                () = tokio::time::sleep(HAND_OVER_WITHIN), if !has_room => {}
            }
            sink.hand_over_if_due();
            if (deferred.is_multiple_of(CHECKED_AFTER) || !has_room) && self.monitor.is_reader_gone() {
                return;
            }
        }
    }
}
