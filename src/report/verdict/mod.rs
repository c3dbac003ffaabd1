//! What limited a run, and what to change.

mod decide;
mod facts;
mod text;

pub use decide::{LimitedBy, RunVerdict, verdict};
pub use facts::{BlockedTime, ConcurrencyUsed, Facts, Tail};
pub(crate) use text::typed_rate;

#[cfg(test)]
mod tests;
