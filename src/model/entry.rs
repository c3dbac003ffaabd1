//! How a job ended.

use std::time::{Instant, SystemTime};

use crate::model::{Cause, Fault, Fingerprint, Key, Seq};

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
    /// When the last of them left, before its redirects; none where none left.
    pub sent: Option<Instant>,
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

impl Outcome {
    /// The status, if the job failed because the server refuses the credentials: 401 or 403.
    #[must_use]
    pub fn refused(&self) -> Option<u16> {
        match self {
            Self::Failed(Fault { cause: Cause::Status(status @ (401 | 403)), .. }) => Some(*status),
            _ => None,
        }
    }

    /// Whether the server answered the request itself, which it does for good credentials only. A server that
    /// fails, limits, or leads elsewhere (to a page to log in, perhaps) may not have looked at them.
    #[must_use]
    pub fn shows_good_credentials(&self) -> bool {
        let status = match self {
            Self::Fetched(answer) => Some(answer.status),
            Self::Failed(fault) => fault.status,
            Self::Deferred(_) => None,
        };
        matches!(status, Some(200..300 | 304 | 400..500))
            && !matches!(status, Some(401 | 403 | 407 | 408 | 425 | 429))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_the_request_itself_shows_good_credentials() {
        let failed = |status| Outcome::Failed(Fault::new(Cause::Status(status), "HTTP").with_status(status));
        let fetched = |status| {
            let (content, validators) = (Content::Unchanged, Validators::default());
            Outcome::Fetched(Answer { status, at: SystemTime::UNIX_EPOCH, content, validators, raw: None })
        };
        for status in [200, 204, 304, 400, 404, 410, 422, 451] {
            assert!(failed(status).shows_good_credentials() && fetched(status).shows_good_credentials());
        }
        // Stored as null they show no more.
        for status in [301, 302, 401, 403, 407, 408, 425, 429, 500, 502, 503, 599] {
            assert!(!failed(status).shows_good_credentials() && !fetched(status).shows_good_credentials());
        }
        assert!(!Outcome::Failed(Fault::new(Cause::Timeout, "x")).shows_good_credentials());
        assert!(!Outcome::Deferred(Deferral::Stopped).shows_good_credentials());
        assert_eq!((failed(401).refused(), failed(403).refused()), (Some(401), Some(403)));
        assert_eq!((failed(404).refused(), fetched(403).refused()), (None, None));
    }
}
