//! Finds, eight bytes at a time, where plain text inside a string ends.
//!
//! Most bytes of a JSON document are in strings and need no inspection of their own. A register holds eight
//! of them, and a few operations decide whether any is special ("SIMD within a register"; the zero-byte test
//! is in Warren, *Hacker's Delight*, 2nd ed., section 6-1).

/// The byte 1 in each place of a word.
const ONES: u64 = u64::from_le_bytes([1; 8]);
/// The highest bit of each byte of a word.
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// The end of plain text in a string, or of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlainEnd {
    /// Its offset.
    pub(super) at: usize,
    /// True if a byte over 0x7F may precede it; never false if one does.
    pub(super) non_ascii: bool,
}

/// The first `"`, `\` or control character (below 0x20) from `from` on.
#[inline]
pub(super) fn plain_end(bytes: &[u8], from: usize) -> PlainEnd {
    let mut at = from;
    let mut seen = 0;
    while let Some([first, second]) = words(bytes, at) {
        seen |= first | second;
        let specials = [specials(first), specials(second)];
        if specials != [0, 0] {
            let (marks, base) = if specials[0] == 0 { (specials[1], 8) } else { (specials[0], 0) };
            at += base + marks.trailing_zeros() as usize / 8;
            return PlainEnd { at, non_ascii: seen & HIGH != 0 };
        }
        at += 16;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte < b' ' || byte == b'"' || byte == b'\\' {
            break;
        }
        seen |= u64::from(byte);
        at += 1;
    }
    PlainEnd { at, non_ascii: seen & HIGH != 0 }
}

/// The next two words, if there are that many bytes.
#[inline]
fn words(bytes: &[u8], at: usize) -> Option<[u64; 2]> {
    let (halves, []) = bytes.get(at..)?.first_chunk::<16>()?.as_chunks::<8>() else { return None };
    let [first, second] = halves else { return None };
    Some([u64::from_le_bytes(*first), u64::from_le_bytes(*second)])
}

/// The first byte from `from` on that is not a space.
#[inline]
pub(super) fn spaces_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let others = u64::from_le_bytes(*chunk) ^ (ONES * 0x20);
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

/// The high bit of each special byte. A borrow may also mark bytes above a special one, so only the lowest
/// mark is valid; bytes over 0x7F are never marked first.
#[inline]
fn specials(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * 0x22)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * 0x5C)).wrapping_sub(ONES);
    (control | quote | backslash) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_at_every_place_of_a_word_is_distinguished() {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                let mut bytes = vec![b'a'; 20];
                bytes[place] = byte;
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                let stop = plain_end(&bytes, 0);
                assert_eq!(stop.at, if special { place } else { 20 }, "{byte:#x} at {place}");
                assert_eq!(stop.non_ascii, byte > 0x7F);
            }
        }
    }

    proptest! {
        #[test]
        fn the_stop_is_where_a_plain_loop_stops(bytes: Vec<u8>, from in 0_usize..40) {
            let plain = |b: &u8| *b >= 0x20 && *b != b'"' && *b != b'\\';
            let rest = bytes.get(from..).unwrap_or_default();
            let length = rest.iter().take_while(|b| plain(b)).count();
            let stop = plain_end(&bytes, from);
            prop_assert_eq!(stop.at, from + length);
            prop_assert!(stop.non_ascii || rest[..length].is_ascii());
        }

        #[test]
        fn spaces_end_where_a_plain_loop_ends_them(before in 0_usize..20, rest: Vec<u8>, from in 0_usize..24) {
            let bytes = [vec![b' '; before], rest].concat();
            let length = bytes.get(from..).unwrap_or_default().iter().take_while(|b| **b == b' ').count();
            prop_assert_eq!(spaces_end(&bytes, from), from + length);
        }
    }
}
