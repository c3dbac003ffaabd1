//! How a job ended.

use std::time::SystemTime;

use crate::model::{Fault, Fingerprint, Key, Seq};

/// A key and how its job ended, with what the output and the journal say about it.
#[derive(Debug)]
pub struct Entry {
    /// The row's place in the input.
    pub seq: Seq,
    /// The physical line (from 1) where the row begins.
    pub line: u64,
    /// The key.
    pub key: Key,
    /// Identifies this request of this key across runs.
    pub fingerprint: Fingerprint,
    /// Requests that left for it, free resends apart.
    pub attempts: u32,
    /// The outcome.
    pub outcome: Outcome,
    /// The row as it stood in the input, for the failure file.
    pub record: csv::ByteRecord,
    /// The address that was asked, as it may be shown; only where the job failed.
    pub address: Option<Box<str>>,
}

/// How a job ended.
#[derive(Debug)]
pub enum Outcome {
    /// The API answered and the answer is kept.
    Fetched(Answer),
    /// The job is over without an answer to keep.
    Failed(Fault),
    /// The job was not ended by this run; the next one goes on with it.
    Deferred(Deferral),
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status the server sent.
    pub status: u16,
    /// When the answer was complete.
    pub at: SystemTime,
    /// What goes into the output.
    pub content: Content,
    /// What a later run can ask "has it changed?" with.
    pub validators: Validators,
    /// The body before `--select`; `None` where nothing was selected from a body.
    pub raw: Option<BodyHash>,
}

/// Tells bodies apart for statistics: the CRC-32 of one. Two bodies may share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHash(pub u32);

impl BodyHash {
    /// The hash of this body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(crc32fast::hash(body))
    }
}

/// What an answer puts into the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Checked, compact JSON on one line: copied as it is from here on.
    Json(Vec<u8>),
    /// 304: the value in the old output still holds.
    Unchanged,
}

/// `ETag` and `Last-Modified` of an answer, as the server wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag` field.
    pub etag: Option<Box<str>>,
    /// The `Last-Modified` field.
    pub last_modified: Option<Box<str>>,
}

/// Why a job was left for a later run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deferral {
    /// The run was stopped (signal, deadline, outage, refused credentials) before the job ended.
    Stopped,
    /// The server asked for a longer quiet than `--max-retry-after` allows.
    AskedToWait,
}
