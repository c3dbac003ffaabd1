//! What the gate asks of a store that keeps one rate for many processes. Who talks to it is above: this is only the
//! question, the answer and the trait between.
//!
//! All times of an answer are durations by the store's clock, so that the clocks of the machines need not agree.

use std::num::NonZeroU32;
use std::time::Duration;

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreCall {
    /// The attempts that could leave now, but for the rate; none: the call reads the state alone.
    pub(crate) want: u32,
    /// The rate tokens that each of them takes.
    pub(crate) cost: NonZeroU32,
    /// No attempt of any process leaves for so long from now on.
    pub(crate) pause: Option<Duration>,
}

impl StoreCall {
    /// Reads the state, and takes nothing.
    pub(crate) const READ: Self = Self { want: 0, cost: NonZeroU32::MIN, pause: None };
}

/// What the store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreAnswer {
    /// The store's time when it answered, since any instant that stays the same until it forgets.
    pub(crate) at: Duration,
    /// So many attempts may leave.
    pub(crate) granted: u32,
    /// The first of them after this time, by the store's clock.
    pub(crate) wait: Duration,
    /// From one to the next.
    pub(crate) interval: Duration,
    /// By so much the later ones may be earlier than that, though none is earlier than the first: what is left of the
    /// burst.
    pub(crate) slack: Duration,
    /// No attempt leaves for so long.
    pub(crate) pause: Duration,
    /// Processes that called in the last seconds, this one counted.
    pub(crate) active: u32,
    /// They name different rates or bursts; the lower holds.
    pub(crate) differs: bool,
    /// The store knows nothing of what it granted before: it was emptied or replaced.
    pub(crate) forgot: bool,
}

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct StoreFault {
    /// Of which kind.
    pub(crate) kind: StoreFaultKind,
    /// In words that may be shown.
    pub(crate) text: String,
}

/// What has to be done about a fault of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFaultKind {
    /// The connection was closed: the next call opens another one.
    Closed,
    /// It is not reached, does not answer in time, or is not ready.
    Unavailable,
    /// It refuses the name or the password, or what they may do.
    Refused,
    /// What is configured cannot work, whoever tries it.
    Unusable,
}

/// Keeps the rate. One call is under way at a time.
pub(crate) trait RateStore {
    /// Makes one call, and connects before it where there is no connection. Bounds its own time.
    ///
    /// # Errors
    /// There is no answer; nothing may leave by this call.
    fn call(&mut self, call: &StoreCall) -> impl Future<Output = Result<StoreAnswer, StoreFault>>;
}
