//! When may an attempt leave?
//!
//! Every attempt (first, retry, redirect, probe) passes `Gate::admit`, which returns a `Permit`. It waits, in this order,
//! for a slot and its turn (first come, first served), for the end of a pause of the pool, and for the rate: rate
//! tokens that were taken before the slot would be spent in a burst.
//!
//! ```text
//!   gate ── one lock around all below; wakes the head of the queue and no other
//!    ├─ exact_timer  waits where a departure keeps its distance
//!    ├─ queue     attempts that wait, first come, first served
//!    └─ pool      all below, without wakers and without a clock
//!        ├─ slots     how many are in flight, how many may be
//!        ├─ pause     the pause as an instant, its probe, the growth after it
//!        ├─ quota     the quota that the server announces
//!        ├─ learned   the limits that it does not announce: a rate, or a window
//!        ├─ rate_source  `--rate`: by `pacer`, governor's bucket, read on a clock that corrects for late timers; or by
//!        │                `shared_rate`, what a store grants that keeps the rate of many processes
//!        ├─ adaptive  `auto`: how many may be in flight, a pure function of how attempts ended
//!        └─ gate_events  what changed
//! ```
//!
//! `climb` is for `tune`, which raises a fixed limit rung by rung: it decides how far.
//!
//! Time is tokio's alone, so that tests can pause it; only a gate that is asked to has a timer of its own. All parts but the gate are state machines without a clock: the
//! time is a parameter.

mod adaptive;
pub(crate) mod climb;
mod clock;
mod concurrency;
pub(crate) mod descriptors;
mod exact_timer;
mod gate;
mod gate_events;
mod learned;
mod load_signal;
#[cfg(test)]
mod memory_store;
mod pacer;
mod pause;
mod pool;
mod queue;
mod quota;
mod rate_source;
mod rate_store;
mod shared_rate;
mod slots;
mod spread;
mod store_clock;
#[cfg(test)]
mod worlds;

use std::num::NonZeroU32;
use std::time::Duration;

pub use concurrency::Concurrency;
pub use gate::Gate;
pub(crate) use gate::Permit;
pub(crate) use gate_events::{GateEvent, GateView};
pub(crate) use learned::LearnedLimit;
pub(crate) use load_signal::LoadSignal;
#[cfg(test)]
pub(crate) use memory_store::{MemoryClient, MemoryRedis};
pub(crate) use pacer::kept_interval;
pub(crate) use rate_store::{RateStore, StoreAnswer, StoreCall, StoreFault, StoreFaultKind};
pub(crate) use shared_rate::RateStep;

use crate::model::Rate;

/// The pace of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaceSettings {
    /// How many attempts may be in flight.
    pub concurrency: Concurrency,
    /// How many attempts may leave in a time; none: as many as can.
    pub rate: Option<Rate>,
    /// How many of them may leave at once after an idle time.
    pub burst: NonZeroU32,
    /// The rate is one of many processes, kept by a store.
    pub is_shared: bool,
    /// The longest wait that a server may ask for; a longer one defers the run.
    pub max_retry_after: Duration,
}

impl Default for PaceSettings {
    fn default() -> Self {
        Self {
            concurrency: Concurrency::default(),
            rate: None,
            burst: NonZeroU32::MIN,
            is_shared: false,
            max_retry_after: Duration::from_mins(5),
        }
    }
}
