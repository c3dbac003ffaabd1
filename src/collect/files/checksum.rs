//! The checksum that every line of a journal or a state file begins with.
//!
//! A line is a JSON object whose first member, of fixed width, covers the rest of the line. The checksum
//! is seeded with the salt of the journal: a line of any other journal never holds it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How every line begins.
pub(crate) const CRC_START: &[u8] = b"{\"crc\":\"";
const CRC_END: &[u8] = b"\",";
const CRC_DIGITS: usize = 8;
/// Bytes before the part that the checksum covers.
pub(crate) const PREFIX: usize = CRC_START.len() + CRC_DIGITS + CRC_END.len();

/// Computes and checks the checksums of one journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checksum(u32);

impl Checksum {
    /// Of the journal with this salt.
    pub(crate) fn new(salt: [u8; 16]) -> Self {
        Self(crc32fast::hash(&salt))
    }

    /// Of header lines, which come before there is a salt.
    pub(crate) const HEADER: Self = Self(0);

    pub(crate) fn hasher(self) -> crc32fast::Hasher {
        crc32fast::Hasher::new_with_initial(self.0)
    }

    fn of(self, covered: &[u8]) -> u32 {
        let mut hasher = self.hasher();
        hasher.update(covered);
        hasher.finalize()
    }

    /// Whether a line (without its line end) holds the checksum that it names.
    pub(crate) fn holds(self, line: &[u8]) -> bool {
        line.len() > PREFIX && named_checksum(line) == Some(self.of(&line[PREFIX..]))
    }

    /// Appends one line: `write` adds the members after the checksum and the closing brace.
    pub(crate) fn line(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(CRC_START);
        out.extend_from_slice(&[b'0'; CRC_DIGITS]);
        out.extend_from_slice(CRC_END);
        write(out);
        let crc = self.of(&out[start + PREFIX..]);
        out[start + CRC_START.len()..][..CRC_DIGITS].copy_from_slice(&hex_digits(crc));
        out.push(b'\n');
    }
}

/// The checksum that a line names, if it begins as a line must.
pub(crate) fn named_checksum(line: &[u8]) -> Option<u32> {
    let rest = line.strip_prefix(CRC_START)?;
    let (digits, rest) = rest.split_at_checked(CRC_DIGITS)?;
    rest.strip_prefix(CRC_END)?;
    hex(digits).and_then(|crc| u32::try_from(crc).ok())
}

/// The lower-case hex digits of a number, all eight made at once.
pub(crate) fn hex_digits(number: u32) -> [u8; CRC_DIGITS] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Each half byte goes to a byte of its own, the highest to the first.
    let mut halves = u64::from(number.swap_bytes());
    halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    halves = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    halves = (halves >> 4 | halves << 8) & (0x0f * ONES);
    let letters = (halves + 6 * ONES) >> 4 & ONES;
    (halves + u64::from(b'0') * ONES + u64::from(b'a' - b'9' - 1) * letters).to_le_bytes()
}

/// Lower-case hex digits and nothing else: one value has one spelling.
pub(crate) fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// Appends any members, which `value` serialises to, as one checked line.
pub(crate) fn push_checked(
    out: &mut Vec<u8>,
    checksum: Checksum,
    value: &impl Serialize,
) -> serde_json::Result<()> {
    let text = serde_json::to_vec(value)?;
    // The checksum takes the place of the object's opening brace.
    checksum.line(out, |out| out.extend_from_slice(&text[1..]));
    Ok(())
}

/// Reads such a line back (without its line end): `None` where the checksum or the members do not hold.
pub(crate) fn parse_checked<T: DeserializeOwned>(checksum: Checksum, line: &[u8]) -> Option<T> {
    if !checksum.holds(line) {
        return None;
    }
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collect::files::salt::{salt_from_hex, salt_to_hex};

    #[test]
    fn a_line_of_another_journal_does_not_hold() {
        let (one, other) = (Checksum::new([1; 16]), Checksum::new([2; 16]));
        let mut out = Vec::new();
        one.line(&mut out, |out| out.extend_from_slice(b"\"a\":1}"));
        let line = out.strip_suffix(b"\n").unwrap();
        assert!(one.holds(line) && !other.holds(line));
        assert_eq!(parse_checked::<serde_json::Value>(one, line).unwrap()["a"], 1);
        assert!(parse_checked::<serde_json::Value>(other, line).is_none());
    }

    proptest! {
        #[test]
        fn hex_digits_are_those_of_the_standard_library(number: u32) {
            prop_assert_eq!(hex_digits(number).to_vec(), format!("{number:08x}").into_bytes());
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(hex(b"0aF"), None);
        assert_eq!((hex(b"0af"), hex(b"+1")), (Some(0xaf), None));
        let salt = [0xfe; 16];
        assert_eq!(salt_from_hex(&salt_to_hex(salt)), Some(salt));
        assert_eq!((salt_from_hex("fe"), salt_from_hex(&"g".repeat(32))), (None, None));
    }
}
