//! What limited a run, and what to change.

mod decide;
mod facts;
mod text;

pub(crate) use decide::{LimitedBy, RunVerdict, verdict};
pub(crate) use facts::{BlockedTime, ConcurrencyUsed, Facts, Tail};
pub(crate) use text::typed_rate;

#[cfg(test)]
mod tests;
