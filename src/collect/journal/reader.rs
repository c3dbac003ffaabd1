//! Reads the journal's records by their offsets, and checks them once more.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::checksum::Checksum;
use crate::collect::files::pages::Pages;
use crate::collect::journal::decode::JournalRecord;

/// A journal, read record by record.
pub(crate) struct JournalReader {
    path: PathBuf,
    pages: Pages,
    checksum: Checksum,
}

impl JournalReader {
    /// The journal called `path` is read through `file`.
    pub(crate) fn new(path: PathBuf, file: File, salt: [u8; 16]) -> Self {
        Self { path, pages: Pages::new(file), checksum: Checksum::new(salt) }
    }

    /// The record that begins at `offset`, where one was written.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub(crate) fn read(&mut self, offset: u64) -> Result<JournalRecord<'_>, CollectError> {
        Ok(self.read_line(offset)?.1)
    }

    /// The same, with the line that it is parsed from, without its line end.
    ///
    /// # Errors
    /// As [`JournalReader::read`].
    pub(crate) fn read_line(&mut self, offset: u64) -> Result<(&[u8], JournalRecord<'_>), CollectError> {
        let line = self.pages.line(offset).map_err(CollectError::io(FileOperation::Read, &self.path))?;
        let line =
            line.ok_or_else(|| damaged(&self.path, offset, "a record that was written is not there"))?;
        if !self.checksum.holds(line) {
            return Err(damaged(&self.path, offset, "a record does not hold its checksum"));
        }
        match JournalRecord::parse(line) {
            Some(record) => Ok((line, record)),
            None => Err(damaged(&self.path, offset, "a record does not read back")),
        }
    }
}

impl JournalReader {
    /// The error of a record that is not what was written.
    pub(crate) fn damaged(&self, offset: u64, why: &str) -> CollectError {
        damaged(&self.path, offset, why)
    }

    /// What lies before `end` is hardly read again: the system need not keep it in memory.
    #[cfg(target_os = "linux")]
    pub(crate) fn forget(&self, end: u64) {
        use rustix::fs::{Advice, fadvise};

        if let Some(length) = std::num::NonZeroU64::new(end) {
            // Advice is no promise.
            let _ = fadvise(self.pages.file(), 0, Some(length), Advice::DontNeed);
        }
    }

    /// Other systems decide that by themselves.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn forget(&self, _: u64) {}
}

/// The record that begins at `offset` is not what was written.
fn damaged(path: &Path, offset: u64, why: &str) -> CollectError {
    CollectError::Damaged { path: path.into(), offset, why: why.into() }
}
