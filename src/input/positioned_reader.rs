//! Reads a file from its start by offsets, independent of other readers of the same descriptor. Standard
//! input too, if it is a file.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Reads a file from its start, independent of other readers of the same descriptor.
#[derive(Debug)]
pub(super) struct PositionedReader {
    file: Arc<File>,
    at: u64,
}

impl PositionedReader {
    pub(super) fn new(file: Arc<File>) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for PositionedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(out, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Copies standard input, a pipe, into an empty file, which is standard input from then on.
///
/// # Errors
/// It cannot be read, or the file not be written.
pub(crate) fn keep_stdin(mut file: File) -> io::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut file)?;
    file.rewind()?;
    Ok(rustix::stdio::dup2_stdin(&file)?)
}

/// The file that standard input is (`skufetch - < products.csv`), if it is a regular file and nothing was
/// read of it yet. Reading by offsets does not move its position, so it can be opened here again.
pub(super) fn unread_stdin() -> Option<File> {
    let mut file = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let is_file = file.metadata().is_ok_and(|found| found.is_file());
    (is_file && file.stream_position().is_ok_and(|at| at == 0)).then_some(file)
}
