//! Finds, sixteen bytes at a time, where plain text inside a string ends.
//!
//! Most bytes of a JSON document are in strings and need no inspection of their own. One comparison of a vector
//! register inspects sixteen of them, and a second one makes the result a number.

use fearless_simd::{Level, dispatch, prelude::*, u8x16};

/// Eight spaces.
const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
/// The bytes of a vector register.
pub(super) const WIDTH: usize = 16;

/// The first `"`, `\` or control character (below 0x20) from `from` on, or the end of the bytes.
#[inline]
pub(super) fn plain_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(next) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        if let Some(place) = first_special(next) {
            return at + place;
        }
        at += WIDTH;
    }
    // Less than a register is left: the last one that the bytes fill is compared, without what it has of those before.
    if at < bytes.len()
        && let Some(last) = bytes.last_chunk()
    {
        let before = WIDTH - (bytes.len() - at);
        let mask = specials(last) >> before;
        return if mask == 0 { bytes.len() } else { at + mask.trailing_zeros() as usize };
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, ..b' ' | b'"' | b'\\')) {
        at += 1;
    }
    at
}

/// The place of the first `"`, `\` or control character.
#[inline]
pub(super) fn first_special(bytes: &[u8; WIDTH]) -> Option<usize> {
    let mask = specials(bytes);
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

/// Ones in the place of each `"`, `\` and control character.
#[inline]
fn specials(bytes: &[u8; WIDTH]) -> u64 {
    // What every processor of the target has is known when the program is compiled, so nothing is chosen here.
    dispatch!(Level::baseline(), simd => {
        let bytes = u8x16::from_slice(simd, bytes);
        let control = bytes.min(b' ' - 1).simd_eq(bytes);
        (control | bytes.simd_eq(b'"') | bytes.simd_eq(b'\\')).to_bitmask()
    })
}

/// The first byte from `from` on that is not a space.
#[inline]
pub(super) fn spaces_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let others = u64::from_le_bytes(*chunk) ^ SPACES;
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at) == Some(&b' ') {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_at_every_place_of_a_register_is_distinguished() {
        for byte in 0..=255_u8 {
            for place in 0..40 {
                let mut bytes = vec![b'a'; 40];
                bytes[place] = byte;
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(plain_end(&bytes, 0), if special { place } else { 40 }, "{byte:#x} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_stop_is_where_a_plain_loop_stops(bytes: Vec<u8>, from in 0_usize..40) {
            let plain = |b: &u8| *b >= 0x20 && *b != b'"' && *b != b'\\';
            let rest = bytes.get(from..).unwrap_or_default();
            let length = rest.iter().take_while(|b| plain(b)).count();
            prop_assert_eq!(plain_end(&bytes, from), from + length);
        }

        #[test]
        fn spaces_end_where_a_plain_loop_ends_them(before in 0_usize..20, rest: Vec<u8>, from in 0_usize..24) {
            let bytes = [vec![b' '; before], rest].concat();
            let length = bytes.get(from..).unwrap_or_default().iter().take_while(|b| **b == b' ').count();
            prop_assert_eq!(spaces_end(&bytes, from), from + length);
        }
    }
}
