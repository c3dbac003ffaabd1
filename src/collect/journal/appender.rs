//! Appends records to a journal.
//!
//! Records go into a buffer, and full buffers go to the writer thread. The offset of each record is known at once, and
//! memory holds one a row. Markers that say what is synced are appended here too, with the next record, and not
//! by the thread: otherwise offsets would depend on its pace.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::salt::random_salt;
use crate::collect::journal::encode::RecordEncoder;
use crate::collect::journal::row_offsets::RowOffsets;
use crate::collect::journal::writer::JournalWriter;
use crate::model::{Seq, large_buffer};

/// A buffer this full goes to the writer thread: so large that a write costs nothing beside its bytes.
const FULL: usize = 128 * 1024;

/// A journal that records are appended to. For standard output it is an unnamed temporary file that no later run reads.
pub(crate) struct Appender {
    /// Of an unnamed file, its folder.
    path: PathBuf,
    encoder: RecordEncoder,
    salt: [u8; 16],
    buffer: Vec<u8>,
    /// The offset in the file of the buffer's first byte.
    start: u64,
    /// The last marker says that all before this offset is synced.
    marked: u64,
    /// A later run may read it.
    resumable: bool,
    offsets: RowOffsets,
    writer: JournalWriter,
}

/// A journal to append to.
pub(crate) struct JournalFile {
    /// Of an unnamed file, its folder.
    pub(crate) path: PathBuf,
    /// Positioned at its end.
    pub(crate) file: File,
    pub(crate) salt: [u8; 16],
    /// Its length in bytes.
    pub(crate) end: u64,
}

/// A journal that is written and synced.
pub(crate) struct ClosedJournal {
    /// Of an unnamed file, its folder.
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) salt: [u8; 16],
    pub(crate) offsets: RowOffsets,
}

impl Appender {
    /// Appends to a journal that a later run may read.
    ///
    /// # Errors
    /// A thread could not be started.
    pub(crate) fn resume(journal: JournalFile) -> Result<Self, CollectError> {
        Self::start(journal, true)
    }

    /// Appends to an unnamed temporary file.
    ///
    /// # Errors
    /// The file cannot be made, or a thread could not be started.
    pub(crate) fn unnamed() -> Result<Self, CollectError> {
        let folder = tempfile::env::temp_dir();
        let create = || {
            let mut file = tempfile::tempfile()?;
            // Offset 0 means "no record".
            file.write_all(b"\n").map(|()| file)
        };
        let file = create()
            .map_err(|error| CollectError::io(FileOperation::Create, &folder)(error).of_temporary(&folder))?;
        Self::start(JournalFile { path: folder, file, salt: random_salt(), end: 1 }, false)
    }

    fn start(journal: JournalFile, resumable: bool) -> Result<Self, CollectError> {
        let JournalFile { path, file, salt, end } = journal;
        let no_thread = |source| CollectError::Thread { what: "the thread that writes the journal", source };
        Ok(Self {
            path,
            encoder: RecordEncoder::new(salt),
            salt,
            buffer: Vec::with_capacity(2 * FULL),
            start: end,
            marked: end,
            resumable,
            offsets: RowOffsets::default(),
            writer: JournalWriter::start(file, end, resumable).map_err(no_thread)?,
        })
    }

    /// The journal's path; of an unnamed file, its folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The salt of its checksums and fingerprints.
    pub(crate) fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// The offsets of the rows' records.
    pub(crate) fn offsets(&self) -> &RowOffsets {
        &self.offsets
    }

    /// The offsets of the rows' records, to be changed: a row has no record, or one that an earlier run wrote.
    pub(crate) fn offsets_mut(&mut self) -> &mut RowOffsets {
        &mut self.offsets
    }

    /// Makes room for a record with a body of this size.
    pub(crate) fn reserve(&mut self, body: usize) {
        large_buffer::grow(&mut self.buffer, body);
    }

    /// Appends the record of a row to the buffer.
    pub(crate) fn append(&mut self, seq: Seq, encode: impl FnOnce(&mut RecordEncoder, &mut Vec<u8>)) {
        let synced = self.writer.synced();
        if self.resumable && synced > self.marked {
            self.marked = synced;
            self.encoder.synced(&mut self.buffer, synced);
        }
        self.offsets.set(seq, self.start + self.buffer.len() as u64);
        encode(&mut self.encoder, &mut self.buffer);
    }

    /// Whether the buffer should go to the writer thread now.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= FULL
    }

    /// Hands the buffer to the writer thread, without waiting for it.
    ///
    /// # Errors
    /// Something appended before could not be written.
    pub(crate) fn flush(&mut self) -> Result<(), CollectError> {
        self.hand_over();
        self.writer.check(&self.path).map_err(|error| self.named(error))
    }

    /// An error of an unnamed journal names its folder.
    fn named(&self, error: CollectError) -> CollectError {
        if self.resumable { error } else { error.of_temporary(&self.path) }
    }

    fn hand_over(&mut self) {
        if !self.buffer.is_empty() {
            self.start += self.buffer.len() as u64;
            self.writer.hand_over(&mut self.buffer);
        }
    }

    /// Where the written part of the file ends.
    pub(crate) fn written(&self) -> u64 {
        self.start - self.writer.pending() as u64
    }

    /// Bytes appended and not yet written.
    pub(crate) fn backlog(&self) -> usize {
        self.buffer.len() + self.writer.pending()
    }

    /// Bytes handed to the writer thread and not yet written, to be read by other parts of the program.
    pub(crate) fn pending_bytes(&self) -> Arc<AtomicUsize> {
        self.writer.pending_bytes()
    }

    /// Writes and syncs all that was appended, and marks it as synced. Blocks.
    ///
    /// # Errors
    /// Something could not be written or synced.
    pub(crate) fn close(mut self) -> Result<ClosedJournal, CollectError> {
        let began = self.marked;
        self.hand_over();
        let finished = self.writer.finish(&self.path);
        let mut file = finished.map_err(|error| self.named(error))?;
        if self.resumable && self.start > began {
            let mut marker = Vec::new();
            self.encoder.synced(&mut marker, self.start);
            file.write_all(&marker)
                .and_then(|()| file.sync_data())
                .map_err(CollectError::io(FileOperation::Sync, &self.path))?;
        }
        let (path, offsets) = (std::mem::take(&mut self.path), std::mem::take(&mut self.offsets));
        Ok(ClosedJournal { path, file, salt: self.salt, offsets })
    }
}

/// A journal that is dropped without being closed is still written to its end.
impl Drop for Appender {
    fn drop(&mut self) {
        if !self.writer.is_finished() {
            self.hand_over();
            let _ = self.writer.finish(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::journal::decode::JournalRecord;
    use crate::collect::journal::reader::JournalReader;
    use crate::collect::test_run::{fingerprint, key};

    #[test]
    fn what_was_synced_is_marked_with_the_next_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
        file.write_all(b"\n").unwrap();
        let mut journal =
            Appender::resume(JournalFile { path: path.clone(), file, salt: [0; 16], end: 1 }).unwrap();
        let append = |journal: &mut Appender, seq| {
            journal.append(Seq(seq), |encoder, out| encoder.kept(out, fingerprint("A"), &key("A")));
        };
        append(&mut journal, 0);
        journal.flush().unwrap();
        while journal.writer.synced() == 0 {
            std::thread::yield_now();
        }
        append(&mut journal, 1);
        append(&mut journal, 2);
        let closed = journal.close().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().matches("\"synced\"").count(), 2);
        let mut reader = JournalReader::new(path, closed.file, closed.salt);
        let kept = |offset| matches!(reader.read(offset).unwrap(), JournalRecord::Kept(b"\"A\""));
        assert_eq!(closed.offsets.offsets().map(kept).collect::<Vec<_>>(), [true; 3]);
    }
}
