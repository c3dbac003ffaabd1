//! The one switch that ends a run early, and why it was triggered.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::Key;

/// Why a run ends before its input does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// A signal asked for it.
    Signal(u8),
    /// `--max-time` is over.
    OutOfTime,
    /// None of the first attempts got a connection.
    Unreachable(String),
    /// The server's certificate does not verify.
    Certificate(String),
    /// The API kept failing through every pause it was given.
    Failing(String),
    /// The API refuses the credentials.
    Refused {
        /// 401 or 403.
        status: u16,
        /// How many answers in a row said so.
        answers: usize,
    },
    /// The credentials expired near the end: of the last SKUs all were refused, and so was one, asked again, that came
    /// before.
    RefusedAtEnd {
        /// 401 or 403.
        status: u16,
        /// How many SKUs were refused.
        skus: usize,
        /// The SKU that was asked again.
        asked_again: Key,
    },
    /// Of the last SKUs all were refused, and the one that was asked again did not tell whether that was for the
    /// credentials.
    RefusalsUnsettled {
        /// 401 or 403.
        status: u16,
        /// How many SKUs were refused.
        skus: usize,
        /// The SKU that was asked again.
        asked_again: Key,
        /// What came of that.
        why: String,
    },
    /// The server asked for more quiet than `--max-retry-after` allows.
    AskedToWait(Option<Duration>),
    /// The disk failed.
    Disk,
    /// The program that read standard output has ended.
    StdoutClosed,
}

/// Triggered once; the first reason counts.
#[derive(Debug, Default)]
pub struct Shutdown {
    reason: OnceLock<StopReason>,
    triggered: Notify,
}

impl Shutdown {
    /// Ends the run: no new attempt leaves, waiting jobs are deferred, attempts in flight are drained.
    pub fn trigger(&self, reason: StopReason) {
        if self.reason.set(reason).is_ok() {
            self.triggered.notify_waiters();
        }
    }

    /// Why the run ends, once it does.
    pub fn reason(&self) -> Option<&StopReason> {
        self.reason.get()
    }

    /// Whether the run ends.
    pub fn is_triggered(&self) -> bool {
        self.reason.get().is_some()
    }

    /// Waits until the run ends.
    pub async fn triggered(&self) {
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
    async fn the_first_reason_counts_and_everybody_hears_it() {
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
