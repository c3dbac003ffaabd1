//! Reads a part from its first line to its last, and checks it meanwhile: nothing of it is certain before its end.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::collect::files::stamp::Stamp;
use crate::collect::parts::line::{PartLine, seq_of};
use crate::collect::parts::trailer::PartTrailer;
use crate::model::Seq;

/// The end of a file that is read first, to find its last line.
const TAIL: u64 = 16 * 1024;

/// No last line is longer: it has the names of the columns, and a few examples.
const MOST_OF_TRAILER: u64 = 64 << 20;
/// Bytes of a line up to the number of its row.
const LONGEST_BEGINNING: u64 = 24;
/// The buffer of a longer line is not used again.
const LARGE: usize = 1 << 20;

/// Why a part cannot be read.
#[derive(Debug)]
pub(crate) enum PartReadError {
    /// It is not what was written.
    Damaged,
    /// The system's error.
    Io(io::Error),
}

impl From<io::Error> for PartReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A part that is read line by line.
pub(crate) struct PartReader {
    path: PathBuf,
    file: Arc<File>,
    input: BufReader<Arc<File>>,
    trailer: Box<PartTrailer>,
    /// The line that was read last, without its line end, or its beginning.
    line: Vec<u8>,
    is_loaded: bool,
    read: u64,
    hasher: crc32fast::Hasher,
    next: u32,
}

impl PartReader {
    /// Opens a part and reads its last line. `buffer`: bytes that are read at a time.
    ///
    /// # Errors
    /// There is none, or it has no such line.
    pub(crate) fn open(path: &Path, buffer: usize) -> Result<Self, PartReadError> {
        // A pipe would keep whoever opens it waiting.
        if !fs::metadata(path)?.is_file() {
            return Err(PartReadError::Damaged);
        }
        let file = Arc::new(File::open(path)?);
        let trailer = Box::new(trailer(&file)?);
        Ok(Self {
            path: path.into(),
            input: BufReader::with_capacity(buffer, Arc::clone(&file)),
            file,
            trailer,
            line: Vec::new(),
            is_loaded: true,
            read: 0,
            hasher: crc32fast::Hasher::new(),
            next: 0,
        })
    }

    /// Its last line.
    pub(crate) fn trailer(&self) -> &PartTrailer {
        &self.trailer
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on to the next line. Only the beginning of a line is read that the buffer does not hold as a whole. Returns the
    /// place of its row, or nothing at the end of a part that is as it was written.
    ///
    /// # Errors
    /// It is not, or cannot be read.
    pub(crate) fn advance(&mut self) -> Result<Option<Seq>, PartReadError> {
        self.load()?;
        if self.line.capacity() > LARGE {
            self.line = Vec::new();
        }
        self.line.clear();
        if self.read == self.trailer.records.bytes {
            let stamp = Stamp { bytes: self.read, crc: self.hasher.clone().finalize() };
            return if stamp == self.trailer.records { Ok(None) } else { Err(PartReadError::Damaged) };
        }
        self.is_loaded = self.read_buffered_line()?;
        if !self.is_loaded {
            self.read_until(b',', LONGEST_BEGINNING)?;
        }
        let seq = seq_of(&self.line).filter(|seq| seq.0 >= self.next).ok_or(PartReadError::Damaged)?;
        self.next = seq.0.checked_add(1).ok_or(PartReadError::Damaged)?;
        Ok(Some(seq))
    }

    /// Reads the rest of the line, where it was not read.
    ///
    /// # Errors
    /// It has no end, or cannot be read.
    pub(crate) fn load(&mut self) -> Result<(), PartReadError> {
        if !self.is_loaded {
            self.read_until(b'\n', u64::MAX)?;
            if self.line.pop() != Some(b'\n') {
                return Err(PartReadError::Damaged);
            }
            self.is_loaded = true;
        }
        Ok(())
    }

    /// Reads a line that the buffer has whole, and else nothing.
    fn read_buffered_line(&mut self) -> Result<bool, PartReadError> {
        let left = usize::try_from(self.trailer.records.bytes - self.read).unwrap_or(usize::MAX);
        let buffer = self.input.fill_buf()?;
        let Some(end) = memchr::memchr(b'\n', &buffer[..buffer.len().min(left)]) else { return Ok(false) };
        self.hasher.update(&buffer[..=end]);
        self.line.extend_from_slice(&buffer[..end]);
        self.input.consume(end + 1);
        self.read += end as u64 + 1;
        Ok(true)
    }

    /// Appends to the line, up to this byte, or so many bytes.
    fn read_until(&mut self, end: u8, most: u64) -> Result<(), PartReadError> {
        let (held, left) = (self.line.len(), self.trailer.records.bytes - self.read);
        let count = self.input.by_ref().take(left.min(most)).read_until(end, &mut self.line)?;
        self.read += count as u64;
        self.hasher.update(&self.line[held..]);
        Ok(())
    }

    /// The line, which was loaded.
    ///
    /// # Errors
    /// It does not read back.
    pub(crate) fn line(&self) -> Result<PartLine<'_>, PartReadError> {
        PartLine::parse(&self.line).ok_or(PartReadError::Damaged)
    }

    /// Appends the line that begins at this place of the file, without its line end.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) fn read_at(&self, place: u64, line: &mut Vec<u8>) -> Result<(), PartReadError> {
        const STEP: usize = 8 * 1024;
        line.clear();
        loop {
            let held = line.len();
            line.resize(held + STEP, 0);
            let count = self.file.read_at(&mut line[held..], place + held as u64)?;
            line.truncate(held + count);
            if let Some(end) = memchr::memchr(b'\n', &line[held..]) {
                line.truncate(held + end);
                return Ok(());
            }
            if count == 0 {
                return Err(PartReadError::Damaged);
            }
        }
    }

    /// Reads the rest, for its checksum alone.
    ///
    /// # Errors
    /// It is not what was written, or cannot be read.
    pub(crate) fn check_rest(&mut self) -> Result<(), PartReadError> {
        let mut left = self.trailer.records.bytes - self.read;
        while left > 0 {
            let bytes = self.input.fill_buf()?;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if count == 0 {
                return Err(PartReadError::Damaged);
            }
            self.hasher.update(&bytes[..count]);
            self.input.consume(count);
            (self.read, left) = (self.read + count as u64, left - count as u64);
        }
        self.is_loaded = true;
        self.advance().map(drop)
    }
}

/// The last line of a part. It begins where the lines before it end.
fn trailer(file: &File) -> Result<PartTrailer, PartReadError> {
    let length = file.metadata()?.len();
    let mut tail = TAIL;
    while tail <= MOST_OF_TRAILER {
        let start = length.saturating_sub(tail);
        let mut end = vec![0; usize::try_from(length - start).map_err(|_| PartReadError::Damaged)?];
        file.read_exact_at(&mut end, start)?;
        if end.pop() != Some(b'\n') {
            return Err(PartReadError::Damaged);
        }
        let begin = memchr::memrchr(b'\n', &end).map(|at| at + 1);
        if begin.is_none() && start > 0 {
            tail = tail.saturating_mul(8);
            continue;
        }
        let begin = begin.unwrap_or(0);
        let trailer = PartTrailer::parse(&end[begin..]).ok_or(PartReadError::Damaged)?;
        let is_whole = trailer.records.bytes == start + begin as u64;
        return if is_whole { Ok(trailer) } else { Err(PartReadError::Damaged) };
    }
    Err(PartReadError::Damaged)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::collect::files::checksum::PREFIX;
    use crate::collect::journal::encode::RecordEncoder;
    use crate::collect::parts::line::push_seq;
    use crate::collect::parts::trailer::{InputForm, PartFacts};
    use crate::collect::settings::{OutputSettings, PartSettings};
    use crate::collect::test_run::{TestRun, failed};
    use crate::input::InputContent;
    use crate::model::{Outcome, RowCounts, Shard};

    /// A part with the rows 0, 3, 6 and 9.
    fn part(run: &TestRun) -> Vec<u8> {
        let mut bytes = Vec::new();
        for seq in [0, 3, 6, 9] {
            let entry = failed(seq, &format!("K{seq}"), 404);
            let Outcome::Failed(fault) = &entry.outcome else { panic!("it failed") };
            let mut line = Vec::new();
            RecordEncoder::new([0; 16]).failed(&mut line, &entry, fault);
            push_seq(&mut bytes, entry.seq);
            bytes.extend_from_slice(&line[PREFIX..]);
        }
        let records = Stamp { bytes: bytes.len() as u64, crc: crc32fast::hash(&bytes) };
        let shard = Shard { index: 0, count: 3 };
        let part = PartSettings { shard, run: "r".parse().unwrap(), used: vec![0], key: 0 };
        let settings = OutputSettings { part: Some(part), ..OutputSettings::default() };
        let content = InputContent { rows: 12, checksum: "0".repeat(32) };
        let facts = PartFacts {
            input: InputForm::of(&run.columns, content),
            counts: RowCounts::default(),
            warnings: serde_json::Value::Null,
        };
        let trailer = PartTrailer::new(&settings, run.identity().recorded(), facts, records).unwrap();
        trailer.push(&mut bytes).unwrap();
        bytes
    }

    /// The rows of all lines, each of which reads back.
    fn rows(path: &Path) -> Result<Vec<u32>, PartReadError> {
        // A buffer that has no line whole, some of them, and all.
        let all: Vec<_> = [64, 300, 1 << 16].map(|buffer| rows_by(path, buffer)).into();
        let seqs = |rows: &Result<Vec<u32>, PartReadError>| rows.as_ref().ok().cloned();
        assert!(all.iter().all(|rows| seqs(rows) == seqs(&all[0])), "{all:?}");
        all.into_iter().next().unwrap()
    }

    fn rows_by(path: &Path, buffer: usize) -> Result<Vec<u32>, PartReadError> {
        let mut part = PartReader::open(path, buffer)?;
        let mut rows = Vec::new();
        while let Some(Seq(seq)) = part.advance()? {
            part.load()?;
            part.line()?;
            rows.push(seq);
        }
        Ok(rows)
    }

    fn checked(path: &Path) -> Result<(), PartReadError> {
        PartReader::open(path, 64)?.check_rest()
    }

    #[test]
    fn a_part_reads_back_and_no_part_with_a_flipped_bit_or_cut_anywhere_does() {
        let run = TestRun::new();
        let (path, whole) = (run.path("part"), part(&run));
        let put = |bytes: &[u8]| -> PathBuf {
            fs::write(&path, bytes).unwrap();
            path.clone()
        };
        assert_eq!(rows(&put(&whole)).unwrap(), [0, 3, 6, 9]);
        checked(&path).unwrap();
        for place in 0..whole.len() {
            for bit in [1, 8, 0x20] {
                let mut bytes = whole.clone();
                bytes[place] ^= bit;
                put(&bytes);
                let both = (rows(&path).err(), checked(&path).err());
                assert!(
                    matches!(both, (Some(PartReadError::Damaged), Some(PartReadError::Damaged))),
                    "{place}"
                );
            }
            put(&whole[..place]);
            assert!(matches!(rows(&path), Err(PartReadError::Damaged)), "cut at {place}");
        }
    }

    #[test]
    fn a_line_that_was_named_is_read_at_its_place_and_nothing_waits_for_a_pipe() {
        let run = TestRun::new();
        let (path, whole) = (run.path("part"), part(&run));
        fs::write(&path, &whole).unwrap();
        let part = PartReader::open(&path, 64).unwrap();
        let second = memchr::memchr(b'\n', &whole).unwrap() + 1;
        let mut line = b"what was there".to_vec();
        part.read_at(second as u64, &mut line).unwrap();
        assert_eq!(seq_of(&line), Some(Seq(3)));
        assert!(matches!(part.read_at(whole.len() as u64, &mut line), Err(PartReadError::Damaged)));
        assert!(matches!(PartReader::open(run.dir.path(), 64), Err(PartReadError::Damaged)));
        assert!(matches!(PartReader::open(Path::new("/dev/zero"), 64), Err(PartReadError::Damaged)));
    }
}
