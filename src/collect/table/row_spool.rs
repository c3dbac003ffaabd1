//! The rows of the input until they are written: a file without a name, in the order of the input.
//!
//! The journal has answers, which may stem from an earlier run; the cells beside them are those of this run's input. That
//! can be a pipe, or be gone by the end of the run, so each row is kept where it is read.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::previous::key_hash::KeyHash;
use crate::model::Seq;

/// Handed to the file, and read from it, at a time.
const BLOCK: usize = 256 * 1024;

/// Rows on their way to the file.
pub(crate) struct RowSpool {
    file: BufWriter<File>,
    /// Its folder.
    folder: PathBuf,
    /// The keys of rows that repeat another.
    repeated: HashSet<KeyHash>,
}

/// One row of the input.
#[derive(Debug, Default)]
pub(crate) struct SpooledRow {
    /// Its place in the input.
    pub(crate) seq: Seq,
    /// An earlier row has its key.
    pub(crate) is_repeat: bool,
    /// Its cells.
    pub(crate) cells: ByteRecord,
}

/// All rows, read once in their order.
pub(crate) struct SpooledRows {
    file: BufReader<File>,
    folder: PathBuf,
    /// The next one.
    pub(crate) next: Option<SpooledRow>,
    /// The keys of rows that repeat another.
    pub(crate) repeated: HashSet<KeyHash>,
    buffer: Vec<u8>,
}

impl RowSpool {
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn create(folder: &Path) -> Result<Self, CollectError> {
        let file =
            tempfile::tempfile_in(folder).map_err(CollectError::rows(FileOperation::Create, folder))?;
        let file = BufWriter::with_capacity(BLOCK, file);
        Ok(Self { file, folder: folder.into(), repeated: HashSet::new() })
    }

    /// Adds a row, which must follow the earlier ones in the input. `repeats` is its key, if an earlier row has it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn add(
        &mut self,
        seq: Seq,
        repeats: Option<KeyHash>,
        cells: &ByteRecord,
    ) -> Result<(), CollectError> {
        self.repeated.extend(repeats);
        self.write(seq, repeats.is_some(), cells)
            .map_err(CollectError::rows(FileOperation::Write, &self.folder))
    }

    fn write(&mut self, Seq(seq): Seq, is_repeat: bool, cells: &ByteRecord) -> io::Result<()> {
        let size = |bytes: usize| u32::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput);
        self.file.write_all(&seq.to_le_bytes())?;
        self.file.write_all(&[u8::from(is_repeat)])?;
        self.file.write_all(&size(cells.len())?.to_le_bytes())?;
        for cell in cells {
            self.file.write_all(&size(cell.len())?.to_le_bytes())?;
            self.file.write_all(cell)?;
        }
        Ok(())
    }

    /// All rows that were added.
    ///
    /// # Errors
    /// The last ones cannot be written.
    pub(crate) fn finish(self) -> Result<SpooledRows, CollectError> {
        let Self { file, folder, repeated } = self;
        let failed = || CollectError::rows(FileOperation::Write, &folder);
        let mut file = file.into_inner().map_err(|error| failed()(error.into_error()))?;
        file.rewind().map_err(failed())?;
        let file = BufReader::with_capacity(BLOCK, file);
        let mut rows = SpooledRows { file, folder, next: None, repeated, buffer: Vec::new() };
        rows.advance()?;
        Ok(rows)
    }
}

impl SpooledRows {
    /// The next row, if its place is `seq`, or before it.
    ///
    /// # Errors
    /// The one after it cannot be read.
    pub(crate) fn take_up_to(&mut self, seq: Seq) -> Result<Option<SpooledRow>, CollectError> {
        if self.next.as_ref().is_none_or(|row| row.seq > seq) {
            return Ok(None);
        }
        let row = self.next.take();
        self.advance()?;
        Ok(row)
    }

    fn advance(&mut self) -> Result<(), CollectError> {
        let read = self.read();
        self.next = read.map_err(CollectError::rows(FileOperation::Read, &self.folder))?;
        Ok(())
    }

    fn read(&mut self) -> io::Result<Option<SpooledRow>> {
        let mut word = [0; 4];
        if self.file.read(&mut word[..1])? == 0 {
            return Ok(None);
        }
        self.file.read_exact(&mut word[1..])?;
        let seq = Seq(u32::from_le_bytes(word));
        let mut flag = [0];
        self.file.read_exact(&mut flag)?;
        self.file.read_exact(&mut word)?;
        let mut cells = ByteRecord::new();
        for _ in 0..u32::from_le_bytes(word) {
            self.file.read_exact(&mut word)?;
            self.buffer.resize(u32::from_le_bytes(word) as usize, 0);
            self.file.read_exact(&mut self.buffer)?;
            cells.push_field(&self.buffer);
        }
        Ok(Some(SpooledRow { seq, is_repeat: flag != [0], cells }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_read_as_they_were_added(
            rows in proptest::collection::vec((proptest::collection::vec(any::<Vec<u8>>(), 0..4), any::<bool>()), 0..9),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut spool = RowSpool::create(dir.path()).unwrap();
            for (seq, (cells, is_repeat)) in (0u32..).zip(&rows) {
                let repeats = is_repeat.then_some([seq, 0, 0]);
                spool.add(Seq(seq * 2), repeats, &ByteRecord::from(cells.clone())).unwrap();
            }
            let mut found = spool.finish().unwrap();
            prop_assert_eq!(found.repeated.len(), rows.iter().filter(|(_, is_repeat)| *is_repeat).count());
            for (seq, (cells, is_repeat)) in (0u32..).zip(rows) {
                if seq > 0 {
                    prop_assert!(found.take_up_to(Seq(seq * 2 - 1)).unwrap().is_none());
                }
                let row = found.take_up_to(Seq(seq * 2)).unwrap().unwrap();
                prop_assert_eq!((row.seq, row.is_repeat), (Seq(seq * 2), is_repeat));
                prop_assert_eq!(row.cells, ByteRecord::from(cells));
            }
            prop_assert!(found.take_up_to(Seq(u32::MAX)).unwrap().is_none());
        }
    }
}
