//! Keys that a spreadsheet or copying probably changed, and paths that servers read in different ways
//! (`path_suspicion`). They are requested as they are, with one warning per kind that has a count and an example.

use std::fmt;

use crate::model::Key;
use crate::plan::message_text::quoted;

/// Why a key, or the path of its URL, is suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// `1.23E+12`: a long number that a spreadsheet displayed in scientific notation. Its digits are lost.
    Exponent,
    /// White space before or after.
    SpaceAround,
    /// A space that is not U+0020 (U+00A0 and the like), or an invisible one.
    OddSpace,
    /// Slashes that follow each other in the path: some servers merge them.
    DoubledSlash,
    /// `%2e%2e` or `..;` in the path: `..` for a server that decodes twice or takes parameters off.
    HiddenDots,
}

/// A warning for all keys of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWarning {
    /// The kind.
    pub kind: Suspicion,
    /// The number of such keys.
    pub count: u64,
    /// The first of them, or the value in its path; escaped and quoted.
    pub example: String,
    /// Its physical line.
    pub line: u64,
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.kind, self.count) {
            (Suspicion::Exponent, 1) => "looks like a number that a spreadsheet shortened",
            (Suspicion::Exponent, _) => "look like numbers that a spreadsheet shortened",
            (Suspicion::SpaceAround, 1) => "has space around it",
            (Suspicion::SpaceAround, _) => "have space around them",
            (Suspicion::OddSpace, 1) => "holds a non-breaking or invisible space",
            (Suspicion::OddSpace, _) => "hold a non-breaking or invisible space",
            (Suspicion::DoubledSlash, 1) => "puts a second slash into the path of its URL",
            (Suspicion::DoubledSlash, _) => "put a second slash into the path of their URL",
            (Suspicion::HiddenDots, 1) => "hides a `.` or `..` in the path of its URL",
            (Suspicion::HiddenDots, _) => "hide a `.` or `..` in the path of their URL",
        };
        let but = match self.kind {
            Suspicion::DoubledSlash => ", but a server that merges slashes answers for another value",
            Suspicion::HiddenDots => {
                ", but a server that decodes twice, or takes off what follows a `;`, answers for another path"
            }
            Suspicion::Exponent | Suspicion::SpaceAround | Suspicion::OddSpace => "",
        };
        let Self { count, example, line, .. } = self;
        match count {
            1 => write!(f, "1 SKU {what}: {example} (line {line}); it is fetched as it stands{but}"),
            _ => write!(
                f,
                "{count} SKUs {what}, the first is {example} (line {line}); they are fetched as they stand{but}"
            ),
        }
    }
}

/// The warnings so far, one per kind.
#[derive(Debug, Default)]
pub(super) struct SuspiciousKeys(Vec<KeyWarning>);

impl SuspiciousKeys {
    /// Checks a key.
    pub(super) fn note(&mut self, key: &Key, line: u64) {
        if let Some(kind) = suspicion(key.as_str()) {
            self.add(kind, line, || quoted(key.as_str()));
        }
    }

    /// Counts one of this kind.
    pub(super) fn add(&mut self, kind: Suspicion, line: u64, example: impl FnOnce() -> String) {
        match self.0.iter_mut().find(|warning| warning.kind == kind) {
            Some(warning) => warning.count += 1,
            None => self.0.push(KeyWarning { kind, count: 1, example: example(), line }),
        }
    }

    /// The warnings, in the order of their first examples.
    pub(super) fn warnings(&self) -> &[KeyWarning] {
        &self.0
    }
}

fn suspicion(key: &str) -> Option<Suspicion> {
    // No-break space, figure space, narrow no-break space, zero-width space, byte-order mark.
    const ODD: [char; 5] = ['\u{a0}', '\u{2007}', '\u{202f}', '\u{200b}', '\u{feff}'];
    if !key.is_ascii() && key.contains(ODD) {
        return Some(Suspicion::OddSpace);
    }
    if key.starts_with(char::is_whitespace) || key.ends_with(char::is_whitespace) {
        return Some(Suspicion::SpaceAround);
    }
    is_exponent(key).then_some(Suspicion::Exponent)
}

/// A digit, perhaps a point (or a comma) and digits, `E`, a sign, two or three digits: how Excel and
/// `LibreOffice` display a number that is too long for its cell. `12E5`, which may well be a SKU, does not
/// match.
fn is_exponent(key: &str) -> bool {
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    let bytes = key.as_bytes();
    let Some(e) = bytes.iter().position(|b| matches!(b, b'E' | b'e')) else { return false };
    let [b'+' | b'-', exponent @ ..] = &bytes[e + 1..] else { return false };
    let mantissa = match &bytes[..e] {
        [first, b'.' | b',', rest @ ..] => first.is_ascii_digit() && !rest.is_empty() && digits(rest),
        [first] => first.is_ascii_digit(),
        _ => false,
    };
    mantissa && (2..=3).contains(&exponent.len()) && digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_does_to_a_sku_is_recognised() {
        for key in ["1.23E+12", "1,23E+12", "4E+09", "9.87654e-07", "1.5E+100"] {
            assert_eq!(suspicion(key), Some(Suspicion::Exponent), "{key}");
        }
        for key in [" a", "a ", "\u{3000}a"] {
            assert_eq!(suspicion(key), Some(Suspicion::SpaceAround), "{key}");
        }
        for key in ["a\u{a0}b", "\u{feff}a", "a\u{202f}"] {
            assert_eq!(suspicion(key), Some(Suspicion::OddSpace), "{key}");
        }
        for key in ["007", "12E5", "1E5", "a b", "E+12", "1.E+12", "12.3E+12", "1.2E+1", "1.2E+12x", "é"] {
            assert_eq!(suspicion(key), None, "{key}");
        }
    }

    #[test]
    fn a_kind_is_reported_once_with_a_count_and_the_first_example() {
        let mut keys = SuspiciousKeys::default();
        for (line, key) in [(2, "1.23E+12"), (3, "ok"), (4, "x\t"), (5, "2.34E+12")] {
            keys.note(&Key::parse(key.as_bytes()).unwrap(), line);
        }
        let told: Vec<String> = keys.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "2 SKUs look like numbers that a spreadsheet shortened, the first is `1.23E+12` (line 2); they are fetched as they stand",
                "1 SKU has space around it: `x\\t` (line 4); it is fetched as it stands",
            ]
        );
    }
}
