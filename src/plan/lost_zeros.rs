//! SKUs of digits that are shorter than the others: a spreadsheet that reads `0042` as a number writes `42`.
//!
//! This needs the whole input, so a dry run checks it, and a run does not. It is no proof, so the message is
//! a question.

use std::fmt;

use crate::model::Key;
use crate::plan::message_text::quoted;

/// Longer numbers are no article numbers (a GTIN has 14 digits, an SSCC 18).
const LONGEST: usize = 20;
/// The most digits that a spreadsheet may have removed. A key that lacks more is of another kind (an EAN-8
/// among EAN-13s).
const MOST_LOST: usize = 4;
/// The usual length must be that of most keys, and of more than a few.
const USUAL_SHARE: f64 = 0.6;
const FEWEST_USUAL: u64 = 10;
/// Consecutive numbers have one digit less in every tenth key, so a shorter key means something only among
/// long ones.
const LONG: usize = 8;
/// A larger share of short keys is a kind of its own.
const SHORT_SHARE: f64 = 0.25;

/// Counts keys of digits by their length.
#[derive(Debug, Default)]
pub(crate) struct KeyLengths([LengthCounts; LONGEST + 1]);

#[derive(Debug, Default)]
struct LengthCounts {
    keys: u64,
    /// Of those, the ones that begin with a zero.
    zero_led: u64,
    /// The first that is not, and its line.
    first: Option<(Box<str>, u64)>,
}

/// Keys that may have lost leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostZeros {
    /// How many.
    pub keys: u64,
    /// Digits that the others have.
    pub usual: usize,
    /// How many others there are.
    pub others: u64,
    /// The first of the short ones, quoted.
    pub example: String,
    /// Its physical line.
    pub line: u64,
}

impl fmt::Display for LostZeros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, usual, others, example, line } = self;
        let (what, first) = match keys {
            1 => ("1 SKU is".to_owned(), "it is"),
            _ => (format!("{keys} SKUs are"), "the first is"),
        };
        write!(
            f,
            "{what} shorter than {others} others, which have {usual} digits: has a spreadsheet taken leading zeros \
             away? {first} {example} (line {line})"
        )
    }
}

impl KeyLengths {
    /// Counts a key.
    pub(crate) fn note(&mut self, key: &Key, line: u64) {
        let text = key.as_str();
        let Some(length) = self.0.get_mut(text.len()) else { return };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return;
        }
        length.keys += 1;
        if text.starts_with('0') {
            length.zero_led += 1;
        } else if length.first.is_none() {
            length.first = Some((text.into(), line));
        }
    }

    /// The result for all keys.
    #[must_use]
    pub(crate) fn lost_zeros(&self) -> Option<LostZeros> {
        let all: u64 = self.0.iter().map(|length| length.keys).sum();
        let (usual, most) = self.0.iter().enumerate().max_by_key(|(_, length)| length.keys)?;
        if most.keys < FEWEST_USUAL || (most.keys as f64) < USUAL_SHARE * all as f64 {
            return None;
        }
        let short = &self.0[usual.saturating_sub(MOST_LOST)..usual];
        let keys = short.iter().map(|length| length.keys - length.zero_led).sum();
        let (example, line) =
            short.iter().filter_map(|length| length.first.as_ref()).min_by_key(|(_, line)| *line)?;
        // Either other keys of this file have leading zeros, or the numbers are long and of one length.
        let padded = most.zero_led > 0;
        let one_length = usual >= LONG
            && self.0[usual + 1..].iter().all(|length| length.keys == 0)
            && keys as f64 <= SHORT_SHARE * most.keys as f64;
        (padded || one_length).then(|| LostZeros {
            keys,
            usual,
            others: most.keys,
            example: quoted(example),
            line: *line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keys: impl IntoIterator<Item = String>) -> Option<LostZeros> {
        let mut lengths = KeyLengths::default();
        for (line, key) in (2..).zip(keys) {
            lengths.note(&Key::parse(key.as_bytes()).unwrap(), line);
        }
        lengths.lost_zeros()
    }

    #[test]
    fn short_keys_among_padded_ones_have_lost_their_zeros() {
        let padded = (0..100).map(|n| format!("{:06}", n * 7_919 + 31));
        let lost = found(padded.clone().chain(["42".into(), "4711".into()])).unwrap();
        assert_eq!((lost.keys, lost.usual, lost.others, lost.line), (2, 6, 100, 102));
        assert_eq!(
            lost.to_string(),
            "2 SKUs are shorter than 100 others, which have 6 digits: has a spreadsheet taken leading zeros \
             away? the first is `42` (line 102)"
        );
        assert_eq!(found(padded), None);
    }

    #[test]
    fn long_numbers_of_one_length_have_lost_zeros_where_some_are_shorter() {
        let eans = |n: u64| (0..n).map(|n| (4_006_381_333_900 + n).to_string());
        assert_eq!(found(eans(50).chain(["400638133390".into()])).unwrap().keys, 1);
        assert_eq!(found(eans(50).chain(["96385074".into()])), None, "an EAN-8 is a kind of its own");
        assert_eq!(found(eans(9).chain(["400638133390".into()])), None, "too few to tell");
    }

    #[test]
    fn numbers_that_count_up_and_names_have_lost_nothing() {
        assert_eq!(found((1..=6_000).map(|n| n.to_string())), None);
        assert_eq!(found((0..100).map(|n| format!("A{n}"))), None);
        assert_eq!(found([]), None);
        assert_eq!(found(["9".repeat(400)]), None);
    }
}
