//! What happened, for people: past participles, passed to a [`Reporter`] as they come.

use std::time::Duration;

use crate::model::{Fault, Key, LimitChangeReason, PauseReason, StopReason};

/// Something that happened. Holds borrowed data: a reporter that keeps any of it copies it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'a> {
    /// An attempt was answered, well or badly.
    AttemptAnswered {
        /// The key.
        key: &'a Key,
        /// The row's physical line.
        line: u64,
        /// The status.
        status: u16,
        /// From sending to the last byte of the body, waits at the gate apart.
        latency: Duration,
        /// Bytes of the body, decoded.
        bytes: u64,
    },
    /// An attempt ended in a fault and is tried again.
    AttemptRetried {
        /// The key.
        key: &'a Key,
        /// The row's physical line.
        line: u64,
        /// Why.
        fault: &'a Fault,
        /// The number of the attempt that failed, from 1.
        attempt: u32,
        /// The wait before the next one.
        wait: Duration,
        /// The server limits the client: no retry is used up.
        is_refusal: bool,
    },
    /// A job ended with an answer that is kept.
    JobFetched {
        /// Requests it took.
        attempts: u32,
        /// The API said "not modified", and the old value stays.
        unchanged: bool,
    },
    /// A job was answered by the journal of an earlier, interrupted run.
    JobRecovered,
    /// A job ended without an answer to keep, or its row could not be asked for (`attempts` 0).
    JobFailed {
        /// The key, if the row has one.
        key: Option<&'a Key>,
        /// The row's physical line.
        line: u64,
        /// Why.
        fault: &'a Fault,
        /// Requests it took.
        attempts: u32,
        /// The address that was asked, as it may be shown.
        url: Option<&'a str>,
        /// The last of them is counted with another key of the same pack.
        is_companion: bool,
    },
    /// A job was left for a later run.
    JobDeferred,
    /// A row repeats a key that was planned before.
    RowRepeated {
        /// The row's physical line.
        line: u64,
        /// Its request would have differed from the first row's.
        differs: bool,
    },
    /// A row has no key, and such rows are skipped.
    RowSkipped,
    /// The pool was paused as one.
    PoolPaused {
        /// How long from now.
        wait: Duration,
        /// Why.
        reason: PauseReason,
    },
    /// The pause is over and its probe was answered well.
    PoolResumed,
    /// The number of attempts that may be in flight changed.
    LimitChanged {
        /// The new limit.
        limit: usize,
        /// Why.
        reason: LimitChangeReason,
    },
    /// The requests go through a proxy.
    ProxyChosen {
        /// Its address, and what named it: `http://proxy:3128 (HTTPS_PROXY)`.
        proxy: &'a str,
    },
    /// A token for the requests was received.
    TokenReceived {
        /// How long it is good; none: that was not told.
        life: Option<Duration>,
    },
    /// Something worth a line.
    Noted {
        /// One sentence.
        message: &'a str,
    },
    /// Something to print once.
    Warned {
        /// One sentence.
        message: &'a str,
    },
    /// The run stops early; jobs in flight are drained.
    Stopping {
        /// Why.
        reason: &'a StopReason,
        /// How long attempts in flight may still take, where their answers still matter.
        drain: Option<Duration>,
    },
}

/// Receives every event, synchronously, beside the work; must be quick and must not fail.
pub(crate) trait Reporter: Send + Sync {
    /// Takes note of one event.
    fn on(&self, event: &Event<'_>);
}
