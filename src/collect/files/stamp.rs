//! The size and checksum of a file, by which a state file or a journal identifies the file that it belongs to.

use std::fs::File;
use std::io::{self, Read, Write};

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

/// Passes on what is written and takes its stamp.
pub(crate) struct StampWriter<W> {
    out: W,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl<W: Write> StampWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, hasher: crc32fast::Hasher::new(), bytes: 0 }
    }

    /// What it is written to.
    pub(crate) fn target(&self) -> &W {
        &self.out
    }

    /// Bytes that were written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The stamp of what was written.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { bytes: self.bytes, crc: self.hasher.clone().finalize() }
    }

    /// What it was written to.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> Write for StampWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
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
