//! When may an attempt leave?
//!
//! [`Gate`] is the one door to the network: every attempt (first, retry, redirect, probe) passes
//! [`Gate::admit`], which gives a [`Permit`]. On the way it waits, in this order, for a slot and its
//! turn (first come, first served), for the end of a pause of the pool, and for the rate; a rate
//! token that was taken before the slot would go stale and leave in a burst.
//!
//! ```text
//!   gate ── glue: one lock around all below, wakes the head of the line and nobody else
//!    ├─ slots     how many are in flight, how many may be
//!    ├─ queue     the line in front of it
//!    ├─ pause     the pause as an instant, its probe, the growth after it
//!    ├─ quota     the gap that is kept when the server says that little is left
//!    ├─ pacer     the rate: governor's bucket, read on a clock that forgives late timers
//!    ├─ adaptive  `auto`: the decision how many may be in flight, a pure function of what was seen
//!    └─ gate_events  what changed
//! ```
//!
//! [`climb`] stands apart: `tune` raises a fixed limit rung by rung, and this says how far.
//!
//! Time is tokio's alone, so that a paused clock moves all of it. All parts but the gate are plain
//! state machines that are told the time.

mod adaptive;
pub mod climb;
mod clock;
mod concurrency;
pub mod descriptors;
mod gate;
mod gate_events;
mod pacer;
mod pause;
mod queue;
mod quota;
mod slots;
mod spread;

use std::num::NonZeroU32;
use std::time::Duration;

pub use concurrency::{Concurrency, ConcurrencyError};
pub use gate::{Gate, LoadSignal, Permit};
pub use gate_events::{GateEvent, GateView};

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
    /// The longest pause that is waited out; a server that asks for more defers the run (see
    /// [`Gate::accepts_pause`]).
    pub max_retry_after: Duration,
}

impl Default for PaceSettings {
    fn default() -> Self {
        Self {
            concurrency: Concurrency::default(),
            rate: None,
            burst: NonZeroU32::MIN,
            max_retry_after: Duration::from_mins(5),
        }
    }
}
