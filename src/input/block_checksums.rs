//! Holds the second reading of a file to what the first one found, block by block.
//!
//! A file is read twice: it is surveyed before the first request, and then fetched from. An export job that
//! truncates and rewrites it meanwhile would mix the rows of two files, or cut a key in two. So the first
//! reading keeps a checksum of each block of raw bytes, compressed ones where the input is compressed, and the
//! second one hands a block on only when the whole of it is found to be the same. Both read one descriptor, so
//! that a file that is replaced by a rename is read on as it was.
//!
//! The checksum is CRC-32, which costs next to nothing beside the parsing; of changes in one block alone it
//! misses one in four billion. A block's four bytes stand for 64 KiB: 10 GB of CSV take 640 KiB.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::positioned_reader::PositionedReader;

/// Bytes of a block: what a reader asks for at once, so that it is checked where it is read.
const BLOCK: usize = super::source::CHUNK;

/// What the bytes of a file were as far as it was read.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockChecksums {
    checksums: Vec<u32>,
    /// All bytes that were read; the last block may be a short one.
    pub(super) length: u64,
    /// The end of the file was reached.
    pub(super) complete: bool,
}

impl BlockChecksums {
    /// How long a block is; 0 behind the last one.
    fn length_of(&self, index: usize) -> usize {
        let begin = index as u64 * BLOCK as u64;
        usize::try_from(self.length.saturating_sub(begin)).unwrap_or(usize::MAX).min(BLOCK)
    }

    /// Whether the bytes of the last block are still what they were.
    pub(super) fn last_is_unchanged(&self, file: &File) -> bool {
        let Some(index) = self.checksums.len().checked_sub(1) else { return true };
        let mut bytes = vec![0; self.length_of(index)];
        file.read_exact_at(&mut bytes, index as u64 * BLOCK as u64).is_ok()
            && crc32fast::hash(&bytes) == self.checksums[index]
    }
}

/// The first reading: takes down what it reads.
pub(super) struct ChecksummingReader {
    bytes: PositionedReader,
    record: SharedChecksums,
}

/// What a [`ChecksummingReader`] takes down, to be asked for when it is gone.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedChecksums(Arc<Mutex<ChecksumsInProgress>>);

#[derive(Debug, Default)]
struct ChecksumsInProgress {
    blocks: BlockChecksums,
    /// Bytes of the block that is not full yet, and their checksum.
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
    /// What was read so far.
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

/// The second reading: hands on what is as it was, and nothing else. It ends where the first one ended.
pub(super) struct VerifyingReader {
    file: Arc<File>,
    blocks: Arc<BlockChecksums>,
    next: usize,
    /// A verified block that was asked for piece by piece.
    buffer: Vec<u8>,
    at: usize,
    /// Whether the last row that was read the first time has its end; asked before its bytes are handed on.
    last_row_is_whole: Box<dyn Fn() -> bool + Send>,
    /// Makes the error for bytes that are no longer those of the first reading.
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
