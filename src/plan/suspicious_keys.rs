//! Keys that a spreadsheet or copying probably changed, and paths that servers read in different ways
//! (`path_suspicion`). They are requested as they are, with one warning per kind that has a count and an example.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Key, count, counted};
use crate::plan::message_text::quoted;

/// Why a key, or the path of its URL, is suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Suspicion {
    /// `1.23E+12`: a long number that a spreadsheet displayed in scientific notation. Its digits are lost.
    Exponent,
    /// `="00123"`: a formula that gives a text.
    Formula,
    /// `'00123`: how a spreadsheet is told that a number is a text.
    Apostrophe,
    /// `#N/A`, `#REF!`: the result of a formula that failed.
    SheetError,
    /// `\N`, `NULL`: how a database or a program writes that there is no value.
    NullWord,
    /// `"A1"`, `“A1”`: quotes that a program took for a part of the SKU.
    Quoted,
    /// `-`, `---`: how a person writes that there is no value, or a line that is drawn.
    NoLetter,
    /// `A\\B`: a backslash that a database wrote twice.
    Escaped,
    /// `123.0`: a number that a program turned into one with decimals.
    Decimal,
    /// `01-Feb`: what a spreadsheet took for a date.
    Date,
    /// U+FFFD: a character that another program could not read.
    LostCharacter,
    /// White space, and nothing else.
    SpaceAlone,
    /// White space before or after.
    SpaceAround,
    /// A space that is not U+0020 (U+00A0 and the like), or an invisible one.
    OddSpace,
    /// Slashes that follow each other in the path: some servers merge them.
    DoubledSlash,
    /// `%2e%2e` or `..;` in the path: `..` for a server that decodes twice or takes parameters off.
    HiddenDots,
}

impl Suspicion {
    /// What one such SKU does, and several do.
    fn text(self) -> [&'static str; 2] {
        match self {
            Self::Exponent => [
                "looks like a number that a spreadsheet shortened",
                "look like numbers that a spreadsheet shortened",
            ],
            Self::Formula => ["is a formula of a spreadsheet", "are formulas of a spreadsheet"],
            Self::Apostrophe => [
                "begins with the apostrophe by which a spreadsheet marks text",
                "begin with the apostrophe by which a spreadsheet marks text",
            ],
            Self::SheetError => ["is an error of a spreadsheet", "are errors of a spreadsheet"],
            Self::NullWord => ["probably means no value", "probably mean no value"],
            Self::Quoted => ["is in quotes", "are in quotes"],
            Self::NoLetter => ["has no letter and no digit", "have no letter and no digit"],
            Self::Escaped => [
                "holds two backslashes, as databases write one",
                "hold two backslashes, as databases write one",
            ],
            Self::Decimal => [
                "looks like a whole number that a program gave decimals",
                "look like whole numbers that a program gave decimals",
            ],
            Self::Date => [
                "looks like a date that a spreadsheet made of a SKU",
                "look like dates that a spreadsheet made of SKUs",
            ],
            Self::LostCharacter => [
                "holds U+FFFD, which replaces a character that was lost",
                "hold U+FFFD, which replaces a character that was lost",
            ],
            Self::SpaceAlone => ["is white space alone", "are white space alone"],
            Self::SpaceAround => ["has space around it", "have space around them"],
            Self::OddSpace => {
                ["holds a non-breaking or invisible space", "hold a non-breaking or invisible space"]
            }
            Self::DoubledSlash => [
                "puts a second slash into the path of its URL",
                "put a second slash into the path of their URL",
            ],
            Self::HiddenDots => {
                ["hides a `.` or `..` in the path of its URL", "hide a `.` or `..` in the path of their URL"]
            }
        }
    }

    /// Why it may not do to fetch them as they stand.
    fn but(self) -> &'static str {
        match self {
            Self::DoubledSlash => ", but a server that merges slashes answers for another value",
            Self::HiddenDots => {
                ", but a server that decodes twice, or takes off what follows a `;`, answers for another path"
            }
            _ => "",
        }
    }
}

/// A warning for all keys of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyWarning {
    kind: Suspicion,
    /// Rows that have such a key.
    rows: u64,
    /// Different keys of them that are requested.
    keys: u64,
    /// The first of them, or the value in its path; escaped and quoted.
    example: String,
    /// Its physical line.
    line: u64,
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, keys, example, line, .. } = self;
        let ([one, many], but) = (self.kind.text(), self.kind.but());
        if *rows == 1 {
            return write!(f, "1 SKU {one}: {example} (line {line}); it is fetched as it is{but}");
        }
        let skus = match keys {
            keys if keys == rows => counted(*rows, "SKU", "SKUs"),
            keys => format!(
                "the SKUs of {} rows, which make only {},",
                count(*rows),
                counted(*keys, "SKU", "SKUs")
            ),
        };
        write!(f, "{skus} {many}, the first is {example} (line {line}); they are fetched as they are{but}")
    }
}

/// The warnings so far, one per kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SuspiciousKeys(Vec<KeyWarning>);

impl SuspiciousKeys {
    /// Checks the key of a row.
    pub(super) fn note_row(&mut self, key: &Key, line: u64) -> Option<Suspicion> {
        let kind = suspicion(key.as_str())?;
        self.of(kind, line, || quoted(key.as_str())).rows += 1;
        Some(kind)
    }

    /// A key of this kind is requested.
    pub(super) fn note_key(&mut self, kind: Option<Suspicion>) {
        if let Some(warning) = kind.and_then(|kind| self.0.iter_mut().find(|warning| warning.kind == kind)) {
            warning.keys += 1;
        }
    }

    /// Counts a requested key of this kind.
    pub(super) fn add(&mut self, kind: Suspicion, line: u64, example: impl FnOnce() -> String) {
        let warning = self.of(kind, line, example);
        warning.rows += 1;
        warning.keys += 1;
    }

    fn of(&mut self, kind: Suspicion, line: u64, example: impl FnOnce() -> String) -> &mut KeyWarning {
        let at = self.0.iter().position(|warning| warning.kind == kind).unwrap_or_else(|| {
            self.0.push(KeyWarning { kind, rows: 0, keys: 0, example: example(), line });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Adds the keys of other rows of the same input.
    pub(super) fn add_all(&mut self, other: &Self) {
        for warning in &other.0 {
            match self.0.iter_mut().find(|known| known.kind == warning.kind) {
                Some(known) => {
                    known.rows += warning.rows;
                    known.keys += warning.keys;
                    if warning.line < known.line {
                        known.example.clone_from(&warning.example);
                        known.line = warning.line;
                    }
                }
                None => self.0.push(warning.clone()),
            }
        }
        self.0.sort_by_key(|warning| warning.line);
    }

    /// The warnings, in the order of their first examples.
    pub(super) fn warnings(&self) -> &[KeyWarning] {
        &self.0
    }
}

/// Rows that are the header once more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RepeatedHeaders {
    rows: u64,
    first: u64,
}

impl RepeatedHeaders {
    /// One is on this line.
    pub(super) fn note(&mut self, line: u64) {
        if self.rows == 0 {
            self.first = line;
        }
        self.rows += 1;
    }

    /// Adds those among other rows of the same input.
    pub(super) fn add_all(&mut self, other: &Self) {
        if other.rows > 0 && (self.rows == 0 || other.first < self.first) {
            self.first = other.first;
        }
        self.rows += other.rows;
    }

    /// What to say about them.
    pub(super) fn warning(&self) -> Option<String> {
        let Self { rows, first } = self;
        match rows {
            0 => None,
            1 => Some(format!("1 row is the header once more (line {first}): were files joined?")),
            _ => Some(format!(
                "{} rows are the header once more, the first in line {first}: were files joined?",
                count(*rows)
            )),
        }
    }
}

fn suspicion(key: &str) -> Option<Suspicion> {
    // Nearly every key ends here. Each text below but the words has a character that is no letter and no digit.
    if key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return is_null_word(key).then_some(Suspicion::NullWord);
    }
    if !key.is_ascii() {
        // No-break space, figure space, narrow no-break space, zero-width space, word joiner, byte-order mark.
        const ODD: [char; 6] = ['\u{a0}', '\u{2007}', '\u{202f}', '\u{200b}', '\u{2060}', '\u{feff}'];
        if key.chars().all(|c| c.is_whitespace() || ODD.contains(&c)) {
            return Some(Suspicion::SpaceAlone);
        }
        if key.contains(ODD) {
            return Some(Suspicion::OddSpace);
        }
        if key.contains('\u{fffd}') {
            return Some(Suspicion::LostCharacter);
        }
    }
    let trimmed = key.trim();
    if trimmed.len() < key.len() {
        return Some(if trimmed.is_empty() { Suspicion::SpaceAlone } else { Suspicion::SpaceAround });
    }
    match key.as_bytes().first()? {
        b'\'' | b'"' | b'`' | 0xe2 | 0xc2 if is_quoted(key) => Some(Suspicion::Quoted),
        b'=' if key.starts_with("=\"") && key.ends_with('"') => Some(Suspicion::Formula),
        b'\'' => Some(Suspicion::Apostrophe),
        b'#' | b'E' if is_sheet_error(key) => Some(Suspicion::SheetError),
        _ if is_null_word(key) => Some(Suspicion::NullWord),
        b'0'..=b'9' if is_decimal(key) => Some(Suspicion::Decimal),
        _ if key.contains("\\\\") => Some(Suspicion::Escaped),
        _ if is_exponent(key) => Some(Suspicion::Exponent),
        _ if is_date(key) => Some(Suspicion::Date),
        first if first.is_ascii_alphanumeric() => None,
        _ => (!key.contains(char::is_alphanumeric)).then_some(Suspicion::NoLetter),
    }
}

/// Quotes of one kind at both ends.
fn is_quoted(key: &str) -> bool {
    const PAIRS: [(char, char); 8] =
        [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('„', '“'), ('”', '”'), ('‘', '’'), ('«', '»')];
    let ends = |(first, last)| key.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    PAIRS.into_iter().filter_map(ends).any(|inner| !inner.is_empty())
}

/// `4711.0`, as pandas writes whole numbers of a column that has an empty cell.
fn is_decimal(key: &str) -> bool {
    let whole = key.strip_suffix(".0").or_else(|| key.strip_suffix(",0"));
    whole.is_some_and(|whole| whole.len() > 2 && whole.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `01-Feb`, `Feb-01`, `1. Mrz`, as Excel and `LibreOffice` show what they took for a date.
fn is_date(key: &str) -> bool {
    const MONTHS: [&str; 18] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mrz", "mär",
        "mai", "okt", "dez", "sept",
    ];
    if key.len() > 9 {
        return false;
    }
    let Some((first, last)) = key.split_once(['-', '.']) else { return false };
    let is_day = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_month = |text: &str| {
        let text = text.trim_start();
        MONTHS.iter().any(|month| {
            text.get(..month.len()).is_some_and(|start| start.eq_ignore_ascii_case(month))
                && text.len() == month.len()
        })
    };
    (is_day(first) && is_month(last)) || (is_month(first) && is_day(last))
}

/// Error values as Excel and `LibreOffice` show them, in all their languages: `#N/A`, `#REF!`, `#NAME?`, `#¡VALOR!`,
/// `#NV`, `Err:502`; and `####`, which stands for a number that is too wide for its column.
fn is_sheet_error(key: &str) -> bool {
    if let Some(number) = key.strip_prefix("Err:") {
        return number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    }
    let Some(name) = key.strip_prefix('#') else { return false };
    matches!(name, "N/A" | "N/A N/A" | "NV" | "N/D" | "N/B" | "I/T" | "N/DISP" | "Н/Д" | "BRAK")
        || (name.len() > 1 && name.bytes().all(|byte| byte == b'#'))
        || (name.chars().count() > 2 && name.ends_with(['!', '?']))
}

/// How programs write that there is no value.
fn is_null_word(key: &str) -> bool {
    const WORDS: [&str; 14] = [
        "\\N",
        "null",
        "(null)",
        "<null>",
        "[null]",
        "none",
        "nil",
        "nan",
        "n/a",
        "undefined",
        "#null",
        "<na>",
        "(empty)",
        "(blank)",
    ];
    // The longest has nine letters.
    let may_be_one = key.len() <= 9 && !key.starts_with(|c: char| c.is_ascii_digit());
    may_be_one && WORDS.iter().any(|word| key.eq_ignore_ascii_case(word))
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
    fn what_a_program_made_of_a_sku_is_recognised() {
        for (kind, keys) in [
            (Suspicion::Exponent, &["1.23E+12", "4,04E+12", "4E+09", "9.87654e-07", "1.5E+100"][..]),
            (Suspicion::Formula, &["=\"00123\"", "=\"\""]),
            (Suspicion::Apostrophe, &["'00123", "'"]),
            (Suspicion::Quoted, &["\"A1\"", "'A1'", "“A1”", "„A“", "«A1»"]),
            (Suspicion::NoLetter, &["-", "---", "?", "…"]),
            (Suspicion::Escaped, &["A\\\\B"]),
            (Suspicion::Decimal, &["4711.0", "123,0"]),
            (Suspicion::Date, &["01-Feb", "1-Mar", "Sep-03", "1. Mrz", "02.Okt"]),
            (Suspicion::LostCharacter, &["Gr\u{fffd}n"]),
            (
                Suspicion::SheetError,
                &["#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#¡VALOR!", "#NV", "Err:502", "####"],
            ),
            (Suspicion::NullWord, &["\\N", "NULL", "null", "(null)", "NaN", "None", "N/A"]),
            (Suspicion::SpaceAlone, &[" ", "\t ", "\u{a0}", "\u{200b}", "\u{3000} "]),
            (Suspicion::SpaceAround, &[" a", "a ", "\u{3000}a"]),
            (Suspicion::OddSpace, &["a\u{a0}b", "\u{feff}a", "a\u{202f}"]),
        ] {
            for key in keys {
                assert_eq!(suspicion(key), Some(kind), "{key}");
            }
        }
        for key in [
            "007", "12E5", "1E5", "a b", "E+12", "1.E+12", "12.3E+12", "1.2E+1", "1.2E+12x", "é", "=1+2",
            "#1", "#A", "Nullable", "NA", "a'b", "Error", "\\n1", "EAN", "5\"", "1.0", "12.0", "A-1",
            "01-02", "1-Febr", "-1", "é-",
        ] {
            assert_eq!(suspicion(key), None, "{key}");
        }
    }

    #[test]
    fn a_kind_is_reported_once_with_its_rows_its_keys_and_the_first_example() {
        let mut keys = SuspiciousKeys::default();
        let rows =
            [(2, "4,04E+12"), (3, "ok"), (4, "x\t"), (5, "4,04E+12"), (6, "4,05E+12"), (7, "'1"), (8, "'2")];
        for (line, key) in rows {
            let kind = keys.note_row(&Key::parse(key.as_bytes()).unwrap(), line);
            if line != 5 {
                keys.note_key(kind);
            }
        }
        let told: Vec<String> = keys.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "the SKUs of 3 rows, which make only 2 SKUs, look like numbers that a spreadsheet shortened, the first is `4,04E+12` (line 2); they are fetched as they are",
                "1 SKU has space around it: `x\\t` (line 4); it is fetched as it is",
                "2 SKUs begin with the apostrophe by which a spreadsheet marks text, the first is `'1` (line 7); they are fetched as they are",
            ]
        );
    }
}
