//! Copies a document less the white space between its tokens, in runs as long as they come.

use super::scan;

/// Copies what stands between two gaps of white space, and nothing before a gap is met: a document
/// that is compact already is copied once, whole.
///
/// At the first gap the whole input is copied, and from then on each run is moved down over what is
/// there. So there is always room to write a short run as one block that may be longer than the run.
pub(super) struct Copier<'a> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
    /// Where the run that is not copied yet begins.
    from: usize,
    /// Where it goes, once a gap was met.
    to: Option<usize>,
}

/// Most runs between two gaps of indented JSON are no longer than this.
const BLOCK: usize = 64;

impl<'a> Copier<'a> {
    /// Copies to the end of `out` what stands in `input` from `start` on.
    pub(super) fn new(input: &'a [u8], out: &'a mut Vec<u8>, start: usize) -> Self {
        Self { input, out, from: start, to: None }
    }

    /// What is copied from.
    #[inline]
    pub(super) fn input(&self) -> &'a [u8] {
        self.input
    }

    /// Drops the white space at `at`, if any, and gives the place of what follows it.
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

    /// Copies the run that ends at `end`; gives where the next one goes.
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

/// The place of the first byte from `at` on that is no white space.
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
