//! The decision of the planner about a row.

use csv::ByteRecord;

use crate::model::{Job, Key, Seq};
use crate::plan::rejection::Rejection;

/// The decision about a row.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every row is a job; a box would cost each an allocation"
)]
pub enum Planned {
    /// It makes a request.
    Job(Job),
    /// Its key has a job already.
    Repeat {
        /// The row's place in the input.
        seq: Seq,
        /// The row's physical line.
        line: u64,
        /// The place of the row that has the job.
        first: Seq,
        /// Its request would differ from the one of that row.
        differs: bool,
        /// Its key.
        key: Key,
        /// The row as in the input.
        record: ByteRecord,
    },
    /// It has no key, and such rows are skipped.
    Skipped {
        /// The row's place in the input.
        seq: Seq,
        /// The row's physical line.
        line: u64,
    },
    /// It makes no request.
    Rejected(RejectedRow),
}

/// A row that makes no request. A later row may still get a job for its key: see
/// `Planner::was_planned`.
#[derive(Debug)]
pub struct RejectedRow {
    /// The row's place in the input.
    pub seq: Seq,
    /// The row's physical line.
    pub line: u64,
    /// Its key, if the row has as many cells as the header and the key can be read.
    pub key: Option<Key>,
    /// Why.
    pub why: Rejection,
    /// The row as in the input.
    pub record: ByteRecord,
}
