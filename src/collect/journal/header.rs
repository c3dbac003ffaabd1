//! The first line of a journal: which job it belongs to, and the salt of its records.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use serde::{Deserialize, Serialize};

use crate::collect::files::checksum::{Checksum, parse_checked};
use crate::collect::files::salt::salt_to_hex;
use crate::collect::identity::JobIdentity;

/// A first line beyond this is no header of ours: bodies given by `--body` are a few kilobytes.
pub(crate) const MAX_HEADER: u64 = 64 << 20;

/// The first line of a journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JournalHeader {
    #[serde(rename = "skufetch-journal")]
    pub(crate) version: u32,
    pub(crate) salt: String,
    pub(crate) job: String,
    #[serde(default)]
    pub(crate) description: serde_json::Value,
}

impl JournalHeader {
    /// Of a journal of this job.
    pub(crate) fn new(identity: &JobIdentity, salt: [u8; 16]) -> Self {
        let (job, description) = (identity.digest(), identity.description.clone());
        Self { version: VERSION, salt: salt_to_hex(salt), job, description }
    }
}

/// A file with any other version is not read, but set aside.
pub(crate) const VERSION: u32 = 1;

/// The header of a journal that this program can read; `None` for any other file.
pub(crate) fn read_header(file: &File) -> io::Result<Option<JournalHeader>> {
    Ok(first_line(&mut BufReader::new(file))?.map(|(header, _)| header))
}

/// The first line of a journal of this format, and where it ends.
pub(crate) fn first_line(input: &mut impl BufRead) -> io::Result<Option<(JournalHeader, u64)>> {
    let mut line = Vec::new();
    input.by_ref().take(MAX_HEADER).read_until(b'\n', &mut line)?;
    let length = line.len() as u64;
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    let header = parse_checked::<JournalHeader>(Checksum::HEADER, &line);
    Ok(header.filter(|header| header.version == VERSION).map(|header| (header, length)))
}
