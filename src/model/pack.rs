//! Several keys that one request asks for.

use std::sync::Arc;

use crate::model::{Fingerprint, Job, Key, Request, Seq};

/// One key of a pack, with the row that it was made from.
#[derive(Debug, Clone)]
pub(crate) struct PackItem {
    /// The number of the row in the input.
    pub(crate) seq: Seq,
    /// The physical line (from 1) where the row begins.
    pub(crate) line: u64,
    /// The key.
    pub(crate) key: Key,
    /// Identifies the request of this key across runs: the same as that of a job for the key alone.
    pub(crate) fingerprint: Fingerprint,
    /// The row as in the input, for the failure file and the request.
    pub(crate) record: csv::ByteRecord,
    /// Attempts so far, those of all packs that it was in.
    pub(crate) attempts: u32,
    /// How often its own part of an answer was not ready.
    pub(crate) retries: u32,
}

impl From<Job> for PackItem {
    fn from(job: Job) -> Self {
        let Job { seq, line, key, fingerprint, record, request: _ } = job;
        Self { seq, line, key, fingerprint, record, attempts: 0, retries: 0 }
    }
}

impl PackItem {
    /// The key alone as a job, with this request for it.
    pub(crate) fn to_job(&self, request: Request) -> Job {
        let Self { seq, line, key, fingerprint, record, .. } = self.clone();
        Job { seq, line, key, fingerprint, request, record }
    }
}

/// Keys that are requested together, at least one, and their request.
#[derive(Debug, Clone)]
pub(crate) struct Pack {
    /// The keys, in the order of the request. Shared with the thread that takes a large answer apart.
    pub(crate) items: Arc<Vec<PackItem>>,
    /// The request.
    pub(crate) request: Request,
    /// The search for a key that the server refuses, if the pack is a part of one that was refused.
    pub(crate) search: Option<PackSearch>,
}

/// Identifies the refused pack that a pack was cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PackSearch(pub(crate) u64);

impl Pack {
    /// A pack of one key, with the request of its job.
    pub(crate) fn of_job(job: Job) -> Self {
        let request = job.request.clone();
        Self { items: Arc::new(vec![job.into()]), request, search: None }
    }

    /// The first key, which stands for all where one is named.
    ///
    /// # Panics
    /// A pack without a key, which nothing makes.
    pub(crate) fn first(&self) -> &PackItem {
        &self.items[0]
    }

    /// The keys.
    pub(crate) fn into_items(self) -> Vec<PackItem> {
        Arc::try_unwrap(self.items).unwrap_or_else(|shared| shared.as_ref().clone())
    }
}
