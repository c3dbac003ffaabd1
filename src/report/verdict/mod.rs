//! What limited a run, and what to change.

mod decide;
mod facts;
mod text;

#[cfg(test)]
pub(crate) use decide::LimitedBy;
pub(crate) use decide::{RunVerdict, verdict};
pub(crate) use facts::{BlockedTime, ConcurrencyUsed, Facts, Tail};
pub(crate) use text::typed_rate;

#[cfg(test)]
mod tests;
