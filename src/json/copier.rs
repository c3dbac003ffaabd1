//! Copies a document without the white space between its tokens, in runs as long as possible.

use std::ops::Range;

use super::token::peek;
use super::{JsonError, scan};
use crate::model::large_buffer;

/// Copies what is between two gaps of white space, and nothing before the first gap: a document that is
/// already compact is not copied.
///
/// At the first gap the whole input is copied, and from then on each run is moved down over the copy. So
/// there is always room to write a short run as one block that may be longer than the run.
pub(super) struct Copier<'a> {
    out: &'a mut Vec<u8>,
    /// The start of the run of the input that is not copied yet.
    from: usize,
    /// Where it goes, after the first gap.
    to: Option<usize>,
}

/// Most runs between two gaps of indented JSON are no longer than this.
const BLOCK: usize = 64;

// Every method takes the same input. As a field of what is behind a reference it would be read from memory each time.
impl<'a> Copier<'a> {
    /// Copies an input from `start` on to the end of `out`.
    pub(super) fn new(out: &'a mut Vec<u8>, start: usize) -> Self {
        Self { out, from: start, to: None }
    }

    /// The first byte from `at` on that is not white space, which is dropped, and its offset; an error if there is
    /// none.
    #[inline]
    pub(super) fn next(&mut self, input: &[u8], at: usize) -> Result<(usize, u8), JsonError> {
        match input.get(at) {
            Some(&byte) if byte > b' ' => Ok((at, byte)),
            _ => {
                let at = self.drop_gap(input, at);
                Ok((at, peek(input, at)?))
            }
        }
    }

    /// Drops the white space at `at`, if any. Gives the offset of what follows it.
    #[inline(never)]
    pub(super) fn drop_gap(&mut self, input: &[u8], at: usize) -> usize {
        let next = blank_end(input, at);
        if next > at {
            if !self.copy_short_run(input, at) {
                self.copy_run(input, at);
            }
            self.from = next;
        }
        next
    }

    /// Copies the run that ends at `end`, if it is short and not the first one.
    #[inline]
    fn copy_short_run(&mut self, input: &[u8], end: usize) -> bool {
        let length = end - self.from;
        let Some(to) = self.to else { return false };
        let source = input.get(self.from..).and_then(<[u8]>::first_chunk::<BLOCK>);
        let place = self.out.get_mut(to..).and_then(<[u8]>::first_chunk_mut::<BLOCK>);
        let (Some(source), Some(place)) = (source, place) else { return false };
        if length > BLOCK {
            return false;
        }
        *place = *source;
        self.to = Some(to + length);
        true
    }

    /// Copies the run that ends at `end`. Apart: with it, the function for gaps would save all registers each time.
    #[cold]
    #[inline(never)]
    fn copy_run(&mut self, input: &[u8], end: usize) {
        let length = end - self.from;
        let to = if let Some(to) = self.to {
            self.out[to..to + length].copy_from_slice(&input[self.from..end]);
            to
        } else {
            let to = self.out.len();
            large_buffer::grow(self.out, input.len() - self.from);
            self.out.extend_from_slice(&input[self.from..]);
            to
        };
        self.to = Some(to + length);
    }

    /// Copies the last run, which ends at `end`. If it is the only one, gives its place instead.
    pub(super) fn finish(mut self, input: &[u8], end: usize) -> Option<Range<usize>> {
        if self.to.is_none() {
            return Some(self.from..end);
        }
        self.copy_run(input, end);
        self.out.truncate(self.to.unwrap_or_default());
        None
    }
}

/// The offset of the first byte from `at` on that is not white space.
#[inline]
pub(super) fn blank_end(input: &[u8], mut at: usize) -> usize {
    while input.get(at).copied().is_some_and(is_blank) {
        at += 1;
        if input.get(at) == Some(&b' ') {
            at = scan::spaces_end(input, at + 1);
        }
    }
    at
}

/// The end of the last byte that is not white space, or 0.
#[cfg(target_arch = "x86_64")]
pub(super) fn text_end(input: &[u8]) -> usize {
    input.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1)
}

/// The white space of JSON.
#[inline]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}
