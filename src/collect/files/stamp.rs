//! The size and checksum of a file, by which a state file or a journal identifies the file that it belongs to.

use std::fs::File;
use std::io::{self, Read};

/// Read at a time.
const BLOCK: usize = 256 * 1024;

/// The size and checksum of an output, by which a state file identifies the one it belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

/// The size and checksum of a file, whatever is in it.
pub(crate) fn stamp_of(file: &File) -> io::Result<Stamp> {
    let mut reader = StampReader::new(file);
    let mut block = vec![0; BLOCK];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(reader.stamp()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Passes a file through and takes its stamp.
pub(crate) struct StampReader<'a> {
    file: &'a File,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl<'a> StampReader<'a> {
    pub(crate) fn new(file: &'a File) -> Self {
        Self { file, hasher: crc32fast::Hasher::new(), bytes: 0 }
    }

    /// The stamp of what was read so far.
    pub(crate) fn stamp(self) -> Stamp {
        Stamp { bytes: self.bytes, crc: self.hasher.finalize() }
    }
}

impl Read for StampReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}
