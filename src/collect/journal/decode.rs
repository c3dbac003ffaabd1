//! The lines of the journal, taken apart: the parts are slices of the line, so that what is published is
//! copied and never made anew.

use std::time::SystemTime;

use serde::Deserialize;

use crate::collect::files::checksum::{PREFIX, hex};
use crate::collect::files::cursor::Cursor;
use crate::collect::files::cursor::NULL;
use crate::model::{BodyHash, Fingerprint};

/// A line, taken apart; the parts are slices of it.
#[derive(Debug, PartialEq)]
pub(crate) enum JournalRecord<'a> {
    /// An answer.
    Fetched(FetchedRecord<'a>),
    /// A job without an answer, or a refused row.
    Failed(FailedRecord<'a>),
    /// The old value was left alone; the key, as a JSON string.
    Kept(&'a [u8]),
    /// All before this offset is safe on disk.
    Synced(u64),
}

/// The parts of an answer's line, each as it is written there.
#[derive(Debug, PartialEq)]
pub(crate) struct FetchedRecord<'a> {
    /// Hex digits, without quotes.
    pub(crate) fingerprint: &'a [u8],
    pub(crate) status: &'a [u8],
    /// A JSON string.
    pub(crate) at: &'a [u8],
    pub(crate) attempts: &'a [u8],
    /// `,"etag":"…","modified":"…"`, either or none of them.
    pub(crate) validators: &'a [u8],
    /// The hash of the body before `--select`, if something was selected.
    pub(crate) raw: Option<BodyHash>,
    /// A JSON string.
    pub(crate) key: &'a [u8],
    pub(crate) body: &'a [u8],
    /// `KEY:BODY` in one piece.
    pub(crate) member: &'a [u8],
}

/// The parts of a failed line, each as it is written there.
#[derive(Debug, PartialEq)]
pub(crate) struct FailedRecord<'a> {
    /// No request left for the row.
    pub(crate) refused: bool,
    pub(crate) status: &'a [u8],
    pub(crate) at: &'a [u8],
    pub(crate) attempts: &'a [u8],
    /// A JSON string.
    pub(crate) error: &'a [u8],
    /// A JSON string; without one, the row has no key.
    pub(crate) key: Option<&'a [u8]>,
    /// A JSON array.
    pub(crate) row: &'a [u8],
}

impl<'a> JournalRecord<'a> {
    /// Takes a line apart (without its line end) whose checksum held.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        Self::parse_members(line.get(PREFIX..)?)
    }

    /// The same of what follows the checksum.
    pub(crate) fn parse_members(members: &'a [u8]) -> Option<Self> {
        let mut text = Cursor(members.strip_suffix(b"}")?);
        if text.take(b"\"fetched\":") {
            return text.fetched().map(Self::Fetched);
        }
        if text.take(b"\"failed\":") {
            return text.failed().map(Self::Failed);
        }
        if text.take(b"\"kept\":") {
            text.string()?;
            text.expect(b",\"key\":")?;
            return text.string().map(Self::Kept);
        }
        text.expect(b"\"synced\":")?;
        std::str::from_utf8(text.0).ok()?.parse().ok().map(Self::Synced)
    }
}

/// The fingerprint of an answer, its time and its status, from the beginning of its line; `None` for any other line.
pub(crate) fn fetched_start(start: &[u8]) -> Option<(Fingerprint, SystemTime, u16)> {
    let mut text = Cursor(start.get(PREFIX..)?);
    text.expect(b"\"fetched\":")?;
    let fingerprint = hex(text.string()?.get(1..33)?).map(Fingerprint)?;
    text.expect(b",\"status\":")?;
    let status = std::str::from_utf8(text.word()?).ok()?.parse().ok()?;
    let at = text.at()?;
    let at = std::str::from_utf8(at.get(1..at.len() - 1)?).ok()?;
    Some((fingerprint, humantime::parse_rfc3339(at).ok()?, status))
}

/// The offset of a marker, from its whole line; `None` for any other line.
pub(crate) fn synced_offset(line: &[u8]) -> Option<u64> {
    if !line.get(PREFIX..)?.starts_with(b"\"synced\":") {
        return None;
    }
    match JournalRecord::parse(line)? {
        JournalRecord::Synced(offset) => Some(offset),
        _ => None,
    }
}

impl<'a> Cursor<'a> {
    /// The hash of a body, a string of hex digits.
    fn hash(&mut self) -> Option<BodyHash> {
        let digits = self.string()?;
        let hash = hex(digits.get(1..digits.len() - 1)?)?;
        u32::try_from(hash).ok().map(BodyHash)
    }

    fn at(&mut self) -> Option<&'a [u8]> {
        self.expect(b",\"at\":")?;
        self.string()
    }

    fn fetched(mut self) -> Option<FetchedRecord<'a>> {
        let fingerprint = self.string()?;
        self.expect(b",\"status\":")?;
        let status = self.word()?;
        let at = self.at()?;
        self.expect(b",\"attempts\":")?;
        let attempts = self.word()?;
        let whole = self.0;
        self.validator(b",\"etag\":")?;
        self.validator(b",\"modified\":")?;
        let validators = &whole[..whole.len() - self.0.len()];
        let raw = if self.take(b",\"raw\":") { Some(self.hash()?) } else { None };
        self.expect(b",\"answer\":{")?;
        let member = self.0.strip_suffix(b"}")?;
        let key = self.string()?;
        let body = member[key.len()..].strip_prefix(b":")?;
        let fingerprint = fingerprint.get(1..33)?;
        Some(FetchedRecord { fingerprint, status, at, attempts, validators, raw, key, body, member })
    }

    fn failed(mut self) -> Option<FailedRecord<'a>> {
        let refused = self.nullable()? == NULL;
        self.expect(b",\"status\":")?;
        let status = self.word()?;
        let at = self.at()?;
        self.expect(b",\"attempts\":")?;
        let attempts = self.word()?;
        self.expect(b",\"error\":")?;
        let error = self.string()?;
        self.expect(b",\"line\":")?;
        self.word()?;
        self.expect(b",\"key\":")?;
        let key = Some(self.nullable()?).filter(|key| *key != NULL);
        self.expect(b",\"row\":")?;
        Some(FailedRecord { refused, status, at, attempts, error, key, row: self.0 })
    }
}

/// Reads the row of a failed line back, into a record that is used again. False where it does not read.
pub(crate) fn read_row(json: &[u8], row: &mut csv::ByteRecord) -> bool {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum RowCell {
        Text(String),
        Bytes { hex: String },
    }
    let Ok(cells) = serde_json::from_slice::<Vec<RowCell>>(json) else { return false };
    row.clear();
    cells.iter().all(|cell| match cell {
        RowCell::Text(text) => {
            row.push_field(text.as_bytes());
            true
        }
        RowCell::Bytes { hex } => match bytes_of(hex) {
            Some(bytes) => {
                row.push_field(&bytes);
                true
            }
            None => false,
        },
    })
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| hex(pair).filter(|_| pair.len() == 2).and_then(|byte| u8::try_from(byte).ok())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collect::files::checksum::named_checksum;

    #[test]
    fn a_row_that_does_not_read_is_none() {
        let mut row = csv::ByteRecord::new();
        for wrong in ["", "{}", "[1]", "[{\"hex\":\"f\"}]", "[{\"hex\":\"fg\"}]", "[{\"hix\":\"ff\"}]"] {
            assert!(!read_row(wrong.as_bytes(), &mut row), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn taking_apart_never_panics(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (JournalRecord::parse(&line), fetched_start(&line), named_checksum(&line));
            let mut framed = b"{\"crc\":\"00000000\",\"fetched\":\"".to_vec();
            framed.extend(&line);
            framed.push(b'}');
            let _ = (JournalRecord::parse(&framed), fetched_start(&framed));
        }
    }
}
