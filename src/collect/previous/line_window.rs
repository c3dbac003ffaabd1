//! Reads a text by its lines where they have a bounded length, and by its bytes otherwise.

use std::io::{self, BufRead, Read};

use memchr::memchr;

use crate::model::large_buffer;

/// Read at a time.
const BLOCK: usize = 256 * 1024;
/// A longer line is not held as a whole: another tool may have written everything as one line, and memory is bounded.
const MAX_LINE: usize = 2 << 20;

/// A text that is read forward, of which the current line can be seen as a whole.
pub(crate) struct LineWindow<R> {
    input: R,
    buffer: Vec<u8>,
    /// What was read and not consumed is from here …
    start: usize,
    /// … to here in the buffer.
    end: usize,
    /// Up to here in the buffer there is no line end.
    searched: usize,
    /// Bytes to be consumed before a line end is searched for again: a line was too long.
    long: usize,
    is_at_end: bool,
}

impl<R: Read> LineWindow<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, end: 0, searched: 0, long: 0, is_at_end: false }
    }

    /// What is left of the current line, without its line end. `None` at the end of the text, and in a line that has
    /// more than [`MAX_LINE`] bytes.
    ///
    /// # Errors
    /// The text cannot be read.
    pub(crate) fn line(&mut self) -> io::Result<Option<&[u8]>> {
        if self.long > 0 {
            return Ok(None);
        }
        loop {
            let from = self.searched.max(self.start);
            let found = memchr(b'\n', &self.buffer[from..self.end]).map(|at| from + at);
            self.searched = found.unwrap_or(self.end);
            if found.is_some() || self.is_at_end {
                let line = &self.buffer[self.start..self.searched];
                return Ok((found.is_some() || !line.is_empty()).then_some(line));
            }
            if self.end - self.start > MAX_LINE {
                self.long = self.end - self.start;
                return Ok(None);
            }
            self.read_more()?;
        }
    }

    /// Reads one block more, after what is not consumed yet.
    fn read_more(&mut self) -> io::Result<()> {
        if self.buffer.len() - self.end < BLOCK && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.searched = self.searched.saturating_sub(self.start);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < BLOCK {
            // Twice as much: what is held is moved a few times, not once a block.
            let length = (2 * self.end).max(2 * BLOCK);
            large_buffer::grow(&mut self.buffer, length - self.end);
            self.buffer.resize(length, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.is_at_end = count == 0;
                    self.end += count;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: Read> Read for LineWindow<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for LineWindow<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end && !self.is_at_end {
            self.read_more()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.long = self.long.saturating_sub(count);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes a read.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(out.len());
            self.0.read(&mut out[..count])
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_left_to_the_bytes_and_the_next_one_is_seen() {
        let long = vec![b'x'; 2 * MAX_LINE];
        let text = [&b"a\n"[..], &long, b"\nb"].concat();
        let mut window = LineWindow::new(&text[..]);
        assert_eq!(window.line().unwrap(), Some(&b"a"[..]));
        window.consume(2);
        assert_eq!(window.line().unwrap(), None);
        let mut left = long.len();
        while left > 0 {
            let count = window.fill_buf().unwrap().len().min(left).min(1000);
            window.consume(count);
            left -= count;
            let line = window.line().unwrap();
            assert!(line.is_none_or(|line| line.len() == left), "{left} left");
        }
        window.consume(1);
        assert_eq!(window.line().unwrap(), Some(&b"b"[..]));
        window.consume(1);
        assert_eq!(window.line().unwrap(), None);
    }

    proptest! {
        #[test]
        fn lines_and_bytes_are_those_of_the_text(
            text in "[ab\n]{0,60}", step in 1_usize..9, taken in prop::collection::vec(0_usize..9, 0..40),
        ) {
            let mut window = LineWindow::new(Dripping(text.as_bytes(), step));
            let mut rest = text.as_bytes();
            for count in taken {
                let line = rest.split(|byte| *byte == b'\n').next().filter(|_| !rest.is_empty());
                prop_assert_eq!(window.line().unwrap(), line);
                let held = window.fill_buf().unwrap();
                prop_assert!(rest.starts_with(held) && held.is_empty() == rest.is_empty());
                let count = count.min(held.len());
                window.consume(count);
                rest = &rest[count..];
            }
        }
    }
}
