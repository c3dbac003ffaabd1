//! How a job ended.

use std::time::{Instant, SystemTime};

use bytes::Bytes;

use crate::model::fault::{AnswerMeaning, ProxyProblem};
use crate::model::{Cause, Fault, Fingerprint, Job, Key, PackItem, Request, Seq};

/// A key and the outcome of its job, with what output and journal need.
#[derive(Debug)]
pub struct Entry {
    /// The number of the row in the input.
    pub seq: Seq,
    /// The physical line (from 1) where the row begins.
    pub line: u64,
    /// The key.
    pub key: Key,
    /// Identifies this request of this key across runs.
    pub fingerprint: Fingerprint,
    /// Attempts, without free resends.
    pub attempts: u32,
    /// When the last of them was sent, before its redirects; `None` without an attempt.
    pub sent: Option<Instant>,
    /// The outcome.
    pub outcome: Outcome,
    /// The row as in the input, for the failure file.
    pub record: csv::ByteRecord,
    /// The redacted address of the request, if the job failed.
    pub address: Option<Box<str>>,
    /// The request itself, if it was answered 403: where that turns out to be a limit, it is sent again.
    pub request: Option<Box<Request>>,
    /// Another key of the same pack counts the request.
    pub is_companion: bool,
}

impl Entry {
    /// The job that this entry ended, to be sent again; the entry where it has no request.
    ///
    /// # Errors
    /// The entry itself.
    pub(crate) fn into_job(self) -> Result<Job, Box<Self>> {
        let Self { seq, line, key, fingerprint, record, request: Some(request), .. } = self else {
            return Err(Box::new(self));
        };
        Ok(Job { seq, line, key, fingerprint, request: *request, record })
    }

    /// The key, to be asked for again in a pack; its attempts so far cost it nothing.
    pub(crate) fn into_item(self) -> PackItem {
        let Self { seq, line, key, fingerprint, record, .. } = self;
        PackItem { seq, line, key, fingerprint, record, attempts: 0, retries: 0 }
    }
}

/// How a job ended. `K` is what is kept of a good answer.
#[derive(Debug)]
pub enum Outcome<K = Answer> {
    /// The API answered, and the answer is kept.
    Fetched(K),
    /// The job ended without an answer to keep.
    Failed(Fault),
    /// The job did not end in this run; the next run continues it.
    Deferred(Deferral),
}

impl Outcome {
    /// The status, if the job failed because the server rejects the credentials: 401 or 403, 407 of a proxy, or any
    /// status that came with what `--refused-if` names.
    #[must_use]
    pub fn refused(&self) -> Option<u16> {
        match self {
            Self::Failed(Fault { cause: Cause::Status(status @ (401 | 403 | 407)), .. }) => Some(*status),
            Self::Failed(Fault { cause: Cause::Proxy(ProxyProblem::Credentials), .. }) => Some(407),
            Self::Failed(Fault {
                cause: Cause::Meaning(AnswerMeaning::CredentialsRefused), status, ..
            }) => *status,
            _ => None,
        }
    }

    /// Whether the job failed for a 403 that nothing explains, which may be a limit.
    #[must_use]
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Failed(Fault { cause: Cause::Status(403), .. }))
    }

    /// Whether the server answered the request itself, which proves that the credentials are valid. A server
    /// that fails, limits or redirects (to a login page, perhaps) may not have checked them, nor may one whose body says
    /// that something is wrong.
    #[must_use]
    pub fn shows_good_credentials(&self) -> bool {
        let status = match self {
            Self::Fetched(answer) => Some(answer.status),
            Self::Failed(Fault { cause: Cause::Meaning(_), .. }) | Self::Deferred(_) => None,
            Self::Failed(fault) => fault.status,
        };
        matches!(status, Some(200..300 | 304 | 400..500))
            && !matches!(status, Some(401 | 403 | 407 | 408 | 425 | 429))
    }
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of the response.
    pub status: u16,
    /// When the answer was complete.
    pub at: SystemTime,
    /// What goes into the output.
    pub content: Content,
    /// Validators for the conditional request of a later run.
    pub validators: Validators,
    /// The hash of the body before `--select`; `None` if nothing was selected.
    pub raw: Option<BodyHash>,
    /// What the body says, safe to show, if it looks like an error and something was selected from it.
    pub error: Option<Box<str>>,
}

/// Distinguishes bodies for statistics. Two bodies may share a hash, and an adversary can make them share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHash(pub u32);

impl BodyHash {
    /// The hash of a body: sums of its words and sums of these sums, as in Fletcher's checksum, in four lanes
    /// that the compiler vectorises. It costs half as much as a CRC-32, which matters since every answer is
    /// hashed.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "halves are meant")]
    pub fn of(body: &[u8]) -> Self {
        /// Odd, with its bits well mixed: the golden ratio in 64 bits.
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let (mut sums, mut sums_of_sums) = ([0_u64; 4], [0_u64; 4]);
        let mut add = |block: &[u8; 32]| {
            let (words, _) = block.as_chunks::<8>();
            for lane in 0..4 {
                sums[lane] = sums[lane].wrapping_add(u64::from_le_bytes(words[lane]));
                sums_of_sums[lane] = sums_of_sums[lane].wrapping_add(sums[lane]);
            }
        };
        let (blocks, rest) = body.as_chunks::<32>();
        blocks.iter().for_each(&mut add);
        let mut last = [0; 32];
        last[..rest.len()].copy_from_slice(rest);
        add(&last);
        // Both halves of the product: otherwise a difference in the highest bits would stay there.
        let mix = |hash: u64, word: &u64| {
            let product = u128::from(hash ^ word) * u128::from(MIX);
            (product as u64) ^ (product >> 64) as u64
        };
        let hash = sums.iter().chain(&sums_of_sums).fold(body.len() as u64, mix);
        Self((hash >> 32) as u32)
    }
}

/// The part of an answer that goes into the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Checked, compact JSON on one line, copied unchanged from here on.
    Json(Bytes),
    /// 304: the value in the old output is still valid.
    Unchanged,
}

/// `ETag` and `Last-Modified` of an answer, as the server sent them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag` field.
    pub etag: Option<Box<str>>,
    /// The `Last-Modified` field.
    pub last_modified: Option<Box<str>>,
}

/// Why a job is left to a later run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deferral {
    /// The run was stopped (signal, deadline, outage, refused credentials) before the job ended.
    Stopped,
    /// The server asked to wait longer than `--max-retry-after` allows.
    AskedToWait,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_differ_in_a_byte_its_place_or_their_length_have_other_hashes() {
        let mut hashes = std::collections::HashSet::new();
        let mut bodies: Vec<Vec<u8>> = (0..100).map(|length| vec![0; length]).collect();
        for at in 0..100 {
            for byte in [1, b'x', 0xff] {
                let mut body = vec![b'a'; 100];
                body[at] = byte;
                bodies.push(body);
            }
            let mut swapped: Vec<u8> = (0..100).collect();
            swapped.swap(at, 99 - at);
            bodies.push(swapped);
        }
        bodies.sort();
        bodies.dedup();
        for body in &bodies {
            assert!(hashes.insert(BodyHash::of(body).0), "{body:?}");
        }
        assert_eq!(BodyHash::of(b"{\"a\":1}"), BodyHash::of(b"{\"a\":1}"));
    }

    #[test]
    fn only_an_answer_to_the_request_itself_shows_good_credentials() {
        let failed = |status| Outcome::Failed(Fault::of_status(status, ""));
        let fetched = |status| {
            let (content, validators) = (Content::Unchanged, Validators::default());
            let at = SystemTime::UNIX_EPOCH;
            Outcome::Fetched(Answer { status, at, content, validators, raw: None, error: None })
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
        assert_eq!(failed(407).refused(), Some(407));
        assert_eq!((failed(404).refused(), fetched(403).refused()), (None, None));
    }
}
