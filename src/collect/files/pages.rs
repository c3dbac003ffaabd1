//! Reads at places that are nearly in order.
//!
//! Answers come nearly in the order of the rows, so most records are near the one before. A large window covers them.
//! A record far away (it was retried, or stems from an earlier run) is read by itself, so that the window is kept. When
//! far places keep coming, the window follows them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::model::large_buffer;

/// The window: hundreds of records a system call.
const WINDOW: usize = 1 << 20;
/// How much of the window stays behind a place: rows swap places within the pool's size.
const BEHIND: u64 = (WINDOW / 4) as u64;
/// A read of its own: a page or two, one record in most cases.
const SINGLE: usize = 8 * 1024;
/// After so many far places in a row the window follows.
const FAR_READS: u32 = 8;

/// A file, read through a window.
#[derive(Debug)]
pub(crate) struct Pages {
    file: File,
    window: PageWindow,
    single: PageWindow,
    far: u32,
}

#[derive(Debug)]
struct PageWindow {
    /// What was read is at its beginning; the rest is from an earlier read. It is kept because a buffer that was cut
    /// short would be zeroed again for the next read.
    buffer: Vec<u8>,
    /// Bytes that were read.
    held: usize,
    start: u64,
    /// Bytes that one read asks the system for.
    step: usize,
}

impl PageWindow {
    fn new(step: usize) -> Self {
        Self { buffer: Vec::new(), held: 0, start: 0, step }
    }

    /// Where what was read ends in the file.
    fn end(&self) -> u64 {
        self.start + self.held as u64
    }

    fn covers(&self, offset: u64) -> bool {
        (self.start..self.end()).contains(&offset)
    }

    fn from(&self, offset: u64) -> &[u8] {
        let bytes = &self.buffer[..self.held];
        usize::try_from(offset - self.start).ok().and_then(|at| bytes.get(at..)).unwrap_or_default()
    }

    /// Gives the memory back that a large record took.
    fn drop_large(&mut self) {
        if self.buffer.capacity() > 2 * WINDOW {
            self.buffer = Vec::new();
            self.held = 0;
        }
    }

    /// Reads from `start` on, until `end` finds the end of what begins at `offset`. `None` where the file ends first.
    fn read(
        &mut self,
        file: &File,
        (start, offset): (u64, u64),
        end: impl Fn(&[u8]) -> Option<usize>,
    ) -> io::Result<Option<&[u8]>> {
        self.drop_large();
        self.fill(file, start, self.step)?;
        let found = loop {
            if let Some(found) = end(self.from(offset)) {
                break found;
            }
            let held = self.held;
            // Half as much again: a large record is searched a few times, not once a block.
            let more = (held / 2).max(self.step);
            let missing = (held + more).saturating_sub(self.buffer.len());
            large_buffer::grow(&mut self.buffer, missing);
            self.extend(file, more)?;
            if self.held == held {
                return Ok(None);
            }
        };
        Ok(Some(&self.from(offset)[..found]))
    }

    /// Reads `length` bytes at `start`, fewer at the end of the file.
    fn fill(&mut self, file: &File, start: u64, length: usize) -> io::Result<()> {
        self.start = start;
        self.held = 0;
        self.extend(file, length)
    }

    fn extend(&mut self, file: &File, length: usize) -> io::Result<()> {
        let end = self.held + length;
        if end > self.buffer.len() {
            self.buffer.resize(end, 0);
        }
        while self.held < end {
            match file.read_at(&mut self.buffer[self.held..end], self.start + self.held as u64) {
                Ok(0) => break,
                Ok(count) => self.held += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.held = 0;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Pages {
    pub(crate) fn new(file: File) -> Self {
        Self { file, window: PageWindow::new(WINDOW), single: PageWindow::new(SINGLE), far: 0 }
    }

    /// What is read.
    #[cfg(target_os = "linux")]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The line at `offset` without its line end; `None` where the file ends first.
    pub(crate) fn line(&mut self, offset: u64) -> io::Result<Option<&[u8]>> {
        self.find(offset, |bytes| memchr::memchr(b'\n', bytes))
    }

    /// The `length` bytes at `offset`; `None` where the file ends first.
    pub(crate) fn slice(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        self.find(offset, |bytes| (bytes.len() >= length).then_some(length))
    }

    fn find(&mut self, offset: u64, end: impl Fn(&[u8]) -> Option<usize>) -> io::Result<Option<&[u8]>> {
        if self.window.covers(offset) && end(self.window.from(offset)).is_some() {
            self.far = 0;
        } else {
            let window_end = self.window.end();
            let next = (window_end.saturating_sub(BEHIND)..window_end + BEHIND).contains(&offset);
            if !next && self.far < FAR_READS {
                self.far += 1;
                // Of records as large as that, one in memory is enough.
                self.window.drop_large();
                return self.single.read(&self.file, (offset, offset), end);
            }
            self.far = 0;
            self.single.drop_large();
            let start = offset.saturating_sub(BEHIND);
            return self.window.read(&self.file, (start, offset), end);
        }
        let bytes = self.window.from(offset);
        Ok(end(bytes).map(|end| &bytes[..end]))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn file_of(bytes: &[u8]) -> Pages {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Pages::new(file)
    }

    #[test]
    fn what_the_file_does_not_hold_is_not_made_up() {
        let mut pages = file_of(b"one\ntwo");
        assert_eq!(pages.line(0).unwrap(), Some(&b"one"[..]));
        assert_eq!(pages.line(4).unwrap(), None);
        assert_eq!(pages.slice(4, 3).unwrap(), Some(&b"two"[..]));
        assert_eq!(pages.slice(4, 4).unwrap(), None);
        assert_eq!(pages.slice(99, 1).unwrap(), None);
        assert_eq!(pages.line(u64::from(u32::MAX)).unwrap(), None);
    }

    #[test]
    fn a_line_may_be_larger_than_the_window() {
        let long = vec![b'x'; 3 * WINDOW + 7];
        let mut bytes = b"a\n".to_vec();
        bytes.extend_from_slice(&long);
        bytes.extend_from_slice(b"\nb\n");
        let mut pages = file_of(&bytes);
        assert_eq!(pages.line(2).unwrap(), Some(&long[..]));
        assert_eq!(pages.line(0).unwrap(), Some(&b"a"[..]));
        assert_eq!(pages.line(long.len() as u64 + 3).unwrap(), Some(&b"b"[..]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_order_of_reads_gives_the_same_lines(
            lengths in proptest::collection::vec(0usize..40_000, 1..120), order in any::<u64>(),
        ) {
            let mut bytes = Vec::new();
            let mut lines = Vec::new();
            for (index, length) in lengths.iter().enumerate() {
                lines.push((bytes.len(), *length));
                bytes.resize(bytes.len() + length, b'a' + u8::try_from(index % 26).unwrap());
                bytes.push(b'\n');
            }
            let mut pages = file_of(&bytes);
            let sorted = lines.clone();
            fastrand::Rng::with_seed(order).shuffle(&mut lines);
            for (at, length) in lines.into_iter().chain(sorted) {
                let expected = &bytes[at..at + length];
                prop_assert_eq!(pages.line(at as u64).unwrap(), Some(expected));
                prop_assert_eq!(pages.slice(at as u64, length + 1).unwrap(), Some(&bytes[at..=at + length]));
            }
        }
    }
}
