//! Copies a document without the white space between its tokens, in runs as long as possible.

use super::scan;

/// Copies what is between two gaps of white space, and nothing before the first gap: a document that is
/// already compact is copied once, as a whole.
///
/// At the first gap the whole input is copied, and from then on each run is moved down over the copy. So
/// there is always room to write a short run as one block that may be longer than the run.
pub(super) struct Copier<'a> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
    /// The start of the run that is not copied yet.
    from: usize,
    /// Where it goes, after the first gap.
    to: Option<usize>,
}

/// Most runs between two gaps of indented JSON are no longer than this.
const BLOCK: usize = 64;

impl<'a> Copier<'a> {
    /// Copies `input` from `start` on to the end of `out`.
    pub(super) fn new(input: &'a [u8], out: &'a mut Vec<u8>, start: usize) -> Self {
        Self { input, out, from: start, to: None }
    }

    /// The input.
    #[inline]
    pub(super) fn input(&self) -> &'a [u8] {
        self.input
    }

    /// Drops the white space at `at`, if any. Gives the offset of what follows it.
    #[inline]
    pub(super) fn gap(&mut self, at: usize) -> usize {
        match self.input.get(at) {
            Some(&byte) if byte <= b' ' => self.drop_gap(at),
            _ => at,
        }
    }

    fn drop_gap(&mut self, at: usize) -> usize {
        let next = blank_end(self.input, at);
        if next > at {
            let to = self.copy_run(at);
            self.to = Some(to);
            self.from = next;
        }
        next
    }

    /// Copies the run that ends at `end`. Gives where the next one goes.
    fn copy_run(&mut self, end: usize) -> usize {
        let length = end - self.from;
        let Some(to) = self.to else {
            let to = self.out.len() + length;
            self.out.extend_from_slice(&self.input[self.from..]);
            return to;
        };
        let source = self.input.get(self.from..self.from + BLOCK);
        match (source, self.out.get_mut(to..to + BLOCK)) {
            (Some(source), Some(place)) if length <= BLOCK => place.copy_from_slice(source),
            _ => self.out[to..to + length].copy_from_slice(&self.input[self.from..end]),
        }
        to + length
    }

    /// Copies the last run, which ends at `end`.
    pub(super) fn finish(mut self, end: usize) {
        if self.to.is_none() {
            self.out.extend_from_slice(&self.input[self.from..end]);
        } else {
            let length = self.copy_run(end);
            self.out.truncate(length);
        }
    }
}

/// The offset of the first byte from `at` on that is not white space.
#[inline]
fn blank_end(input: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = input.get(at) {
        at += 1;
        if input.get(at) == Some(&b' ') {
            at = scan::spaces_end(input, at + 1);
        }
    }
    at
}
