//! What limited a run, and what to change.

mod api_limits;
mod decide;
mod facts;
mod text;
mod typed_rate;

pub(crate) use api_limits::{ApiLimits, limit_text, per_second};
#[cfg(test)]
pub(crate) use decide::LimitedBy;
pub(crate) use decide::{RunVerdict, verdict};
pub(crate) use facts::{BlockedTime, ConcurrencyUsed, Facts, Tail};
pub(crate) use typed_rate::{round_rate, typed_rate};

#[cfg(test)]
mod tests;
