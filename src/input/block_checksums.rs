//! Compares the second reading of a file with the first one, block by block.
//!
//! A file is read twice: once by the survey, before the first request, and once by the run. An export job
//! that truncates and rewrites it meanwhile would mix the rows of two files, or split a key. So the first
//! reading keeps a checksum of each block of raw bytes (compressed bytes if the input is compressed), and the
//! second one returns a block only if all of it is the same. Both read one descriptor, so a file that is
//! replaced by a rename is still read in its old version.
//!
//! The checksum is CRC-32, which is cheap compared with the parsing. It misses one in four billion changes to
//! a single block. Four bytes stand for 64 KiB: 10 GB of CSV need 640 KiB.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::positioned_reader::PositionedReader;

/// The length of a block: what a reader requests at once, so that a block is checked in the buffer of the
/// reader.
const BLOCK: usize = super::source::CHUNK;

/// The checksums of a file, up to where it was read.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockChecksums {
    checksums: Vec<u32>,
    /// Bytes read; the last block may be shorter than the others.
    pub(super) length: u64,
    /// The end of the file was reached.
    pub(super) complete: bool,
}

impl BlockChecksums {
    /// The length of a block; 0 behind the last one.
    fn length_of(&self, index: usize) -> usize {
        let begin = index as u64 * BLOCK as u64;
        usize::try_from(self.length.saturating_sub(begin)).unwrap_or(usize::MAX).min(BLOCK)
    }

    /// Whether the last block still has its checksum.
    pub(super) fn last_is_unchanged(&self, file: &File) -> bool {
        let Some(index) = self.checksums.len().checked_sub(1) else { return true };
        let mut bytes = vec![0; self.length_of(index)];
        file.read_exact_at(&mut bytes, index as u64 * BLOCK as u64).is_ok()
            && crc32fast::hash(&bytes) == self.checksums[index]
    }
}

/// The first reading: computes the checksums.
pub(super) struct ChecksummingReader {
    bytes: PositionedReader,
    record: SharedChecksums,
}

/// The checksums of a [`ChecksummingReader`], available after it is dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedChecksums(Arc<Mutex<ChecksumsInProgress>>);

#[derive(Debug, Default)]
struct ChecksumsInProgress {
    blocks: BlockChecksums,
    /// Bytes in the incomplete block, and their checksum.
    filled: usize,
    hasher: crc32fast::Hasher,
}

impl ChecksummingReader {
    /// Reads a file from its start.
    pub(super) fn new(file: Arc<File>) -> (Self, SharedChecksums) {
        let record = SharedChecksums::default();
        (Self { bytes: PositionedReader::new(file), record: record.clone() }, record)
    }
}

impl SharedChecksums {
    /// The checksums so far.
    pub(super) fn blocks(&self) -> BlockChecksums {
        let unfinished = self.lock();
        let mut blocks = unfinished.blocks.clone();
        if unfinished.filled > 0 {
            blocks.checksums.push(unfinished.hasher.clone().finalize());
        }
        blocks
    }

    fn lock(&self) -> MutexGuard<'_, ChecksumsInProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChecksumsInProgress {
    fn take(&mut self, mut bytes: &[u8]) {
        self.blocks.complete = bytes.is_empty();
        while !bytes.is_empty() {
            let (these, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.hasher.update(these);
            self.blocks.length += these.len() as u64;
            self.filled += these.len();
            if self.filled == BLOCK {
                self.filled = 0;
                self.blocks.checksums.push(std::mem::take(&mut self.hasher).finalize());
            }
            bytes = rest;
        }
    }
}

impl Read for ChecksummingReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(out)?;
        if !out.is_empty() {
            self.record.lock().take(&out[..read]);
        }
        Ok(read)
    }
}

/// The second reading: returns unchanged blocks only, and ends where the first reading ended.
pub(super) struct VerifyingReader {
    file: Arc<File>,
    blocks: Arc<BlockChecksums>,
    next: usize,
    /// A verified block of which a part was returned.
    buffer: Vec<u8>,
    at: usize,
    /// Whether the last row of the first reading has its end. Called before its bytes are returned.
    last_row_is_whole: Box<dyn Fn() -> bool + Send>,
    /// Makes the error for bytes that differ from the first reading.
    changed: Box<dyn Fn() -> io::Error + Send>,
}

impl VerifyingReader {
    pub(super) fn new(
        file: Arc<File>,
        blocks: Arc<BlockChecksums>,
        last_row_is_whole: impl Fn() -> bool + Send + 'static,
        changed: impl Fn() -> io::Error + Send + 'static,
    ) -> Self {
        let last_row_is_whole = Box::new(last_row_is_whole);
        let changed = Box::new(changed);
        Self { file, blocks, next: 0, buffer: Vec::new(), at: 0, last_row_is_whole, changed }
    }

    /// Reads the next block into `out`, which has its length.
    fn fill(&mut self, out: &mut [u8]) -> io::Result<()> {
        let begin = self.next as u64 * BLOCK as u64;
        let whole = match self.file.read_exact_at(out, begin) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => false,
            read => read.map(|()| true)?,
        };
        let last = self.next + 1 == self.blocks.checksums.len();
        let same = whole && crc32fast::hash(out) == self.blocks.checksums[self.next];
        if !same || (last && !(self.last_row_is_whole)()) {
            return Err((self.changed)());
        }
        self.next += 1;
        Ok(())
    }
}

impl Read for VerifyingReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            let length = self.blocks.length_of(self.next);
            if length == 0 {
                Ok(0)
            } else if out.len() >= length {
                self.fill(&mut out[..length]).map(|()| length)
            } else {
                let mut buffer = std::mem::take(&mut self.buffer);
                buffer.resize(length, 0);
                self.at = length;
                let filled = self.fill(&mut buffer);
                self.buffer = buffer;
                filled?;
                self.at = 0;
                self.read(out)
            }
        } else {
            let read = (&self.buffer[self.at..]).read(out)?;
            self.at += read;
            Ok(read)
        }
    }
}
