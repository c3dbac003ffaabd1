//! What the planner makes of a row.

use csv::ByteRecord;

use crate::model::{Job, Key, Seq};
use crate::plan::rejection::Rejection;

/// What became of a row.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every row is a job; a box would cost each an allocation"
)]
pub enum Planned {
    /// It is asked for.
    Job(Job),
    /// Its key has a job already.
    Repeat {
        /// The row's place in the input.
        seq: Seq,
        /// The row's physical line.
        line: u64,
        /// The physical line of the row that has the job (at most `u32::MAX`).
        first_line: u64,
        /// Its request would have differed from that row's.
        differs: bool,
    },
    /// It may not be asked for.
    Rejected(RejectedRow),
}

/// A row that may not be asked for. It does not claim its key: see [`Planner::was_planned`](crate::plan::Planner::was_planned).
#[derive(Debug)]
pub struct RejectedRow {
    /// The row's place in the input.
    pub seq: Seq,
    /// The row's physical line.
    pub line: u64,
    /// Its key, where the row has as many cells as the header and the key can be read.
    pub key: Option<Key>,
    /// Why.
    pub why: Rejection,
    /// The row as it stood in the input.
    pub record: ByteRecord,
}
