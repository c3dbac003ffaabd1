//! Ends a run early, for one reason.

use std::sync::OnceLock;

use tokio::sync::Notify;

use crate::model::StopReason;

/// The early end of a run. It is triggered once; the first reason counts.
#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    reason: OnceLock<StopReason>,
    triggered: Notify,
}

impl Shutdown {
    /// Ends the run: no new attempt is sent, waiting jobs are deferred, attempts in flight are drained.
    pub(crate) fn trigger(&self, reason: StopReason) {
        if self.reason.set(reason).is_ok() {
            self.triggered.notify_waiters();
        }
    }

    /// Why the run ends, once it was triggered.
    pub(crate) fn reason(&self) -> Option<&StopReason> {
        self.reason.get()
    }

    /// Whether it was triggered.
    pub(crate) fn is_triggered(&self) -> bool {
        self.reason.get().is_some()
    }

    /// Waits until it is triggered.
    pub(crate) async fn triggered(&self) {
        let triggered = self.triggered.notified();
        if !self.is_triggered() {
            triggered.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts_and_every_waiter_wakes() {
        let shutdown = Shutdown::default();
        let waiting = async { tokio::join!(shutdown.triggered(), shutdown.triggered()) };
        let triggering = async {
            tokio::task::yield_now().await;
            shutdown.trigger(StopReason::OutOfTime);
            shutdown.trigger(StopReason::Signal(15));
        };
        tokio::join!(waiting, triggering);
        shutdown.triggered().await;
        assert_eq!(shutdown.reason(), Some(&StopReason::OutOfTime));
    }
}
