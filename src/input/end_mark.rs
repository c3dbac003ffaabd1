//! Takes off the Ctrl-Z at the end of a text file of DOS and CP/M, which is no row.

use std::io::{self, Read};

/// Ctrl-Z, by which such systems mark the end of a text.
const END_MARK: u8 = 0x1a;

/// Holds back each Ctrl-Z, and the line ends that follow it, until it is known whether more follows: only those at the
/// very end are marks.
#[derive(Debug, Default)]
pub(super) struct EndMarkFilter {
    held: Vec<u8>,
    was_found: bool,
}

impl EndMarkFilter {
    /// Reads as `source` does, without the marks at the end.
    ///
    /// # Errors
    /// Those of `source`.
    pub(super) fn read(&mut self, source: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let before = self.held.len();
            // A buffer full of marks is no end: they go on as they are.
            if before > 0 && before >= out.len() {
                out.copy_from_slice(&self.held[..out.len()]);
                self.held.drain(..out.len());
                return Ok(out.len());
            }
            let read = source.read(&mut out[before..])?;
            if read == 0 {
                self.was_found |= before > 0;
                return Ok(0);
            }
            out[..before].copy_from_slice(&self.held);
            let all = &out[..before + read];
            let text = all
                .iter()
                .rposition(|byte| !matches!(byte, &END_MARK | b'\r' | b'\n'))
                .map_or(0, |last| last + 1);
            let kept = memchr::memchr(END_MARK, &all[text..]).map_or(all.len(), |mark| text + mark);
            self.held.clear();
            self.held.extend_from_slice(&all[kept..]);
            if kept > 0 {
                return Ok(kept);
            }
        }
    }

    /// Whether there was a mark at the end, once that is reached.
    pub(super) fn was_found(&self) -> bool {
        self.was_found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives so many bytes at most in each read.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(out.len());
            self.0.read(&mut out[..most])
        }
    }

    proptest! {
        #[test]
        fn only_the_marks_at_the_end_are_taken_off(
            data in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'\n'), Just(END_MARK)], 0..40),
            size in 1usize..6,
        ) {
            let (mut filter, mut source) = (EndMarkFilter::default(), Pieces(&data, size));
            let (mut found, mut buffer) = (Vec::new(), [0; 50]);
            loop {
                let read = filter.read(&mut source, &mut buffer).unwrap();
                if read == 0 {
                    break;
                }
                found.extend_from_slice(&buffer[..read]);
            }
            let text = data.iter().rposition(|&byte| byte == b'a').map_or(0, |last| last + 1);
            let kept = data[text..].iter().position(|&byte| byte == END_MARK).map_or(data.len(), |at| text + at);
            prop_assert_eq!(&found, &data[..kept]);
            prop_assert_eq!(filter.was_found(), kept < data.len());
        }
    }
}
