//! Names the columns, and recognises the failure file of an earlier run.

use csv::ByteRecord;

use crate::input::csv_format::CsvFormat;
use crate::input::error::InputError;
use crate::input::key_column;
use crate::input::likely_encodings::{likeliest, telling};
use crate::input::location::InputLocation;
use crate::input::text_encoding::TextEncoding;

/// The columns that a failure file adds after those of the input.
pub(crate) const FAILURE_COLUMNS: [&str; 3] = ["_error", "_status", "_attempts"];

/// Whether a header is that of a failure file.
pub(super) fn is_failure_header(header: &ByteRecord) -> bool {
    let own = header.len().saturating_sub(FAILURE_COLUMNS.len());
    own > 0 && header.iter().skip(own).eq(FAILURE_COLUMNS.map(str::as_bytes))
}

/// Whether a header contains the columns of a failure file anywhere, in their order. That is a failure file
/// which a spreadsheet or a person has edited.
pub(super) fn has_failure_columns(header: &ByteRecord) -> bool {
    let cells: Vec<&[u8]> = header.iter().map(<[u8]>::trim_ascii).collect();
    cells
        .windows(FAILURE_COLUMNS.len())
        .any(|three| three.iter().copied().eq(FAILURE_COLUMNS.map(str::as_bytes)))
}

/// A cell of a failure file without the apostrophe that keeps spreadsheets from executing it. One is removed
/// if apostrophes are followed by `=`, `+`, `-` or `@`, since one was added to every such cell.
///
/// In a file whose cells are not quoted, a cell that begins with a quote has one too.
pub(super) fn unguarded(cell: &[u8], is_unquoted: bool) -> &[u8] {
    match cell {
        [b'\'', rest @ ..] => match rest.iter().find(|&&byte| byte != b'\'') {
            Some(b'=' | b'+' | b'-' | b'@') => rest,
            Some(b'"') if is_unquoted => rest,
            _ => cell,
        },
        _ => cell,
    }
}

/// The names in a header, without those that a failure file adds. `below` gives some of the next records, whose text
/// also says which encoding it is.
pub(super) fn names(
    header: &ByteRecord,
    at: &InputLocation,
    format: &CsvFormat,
    below: impl FnOnce() -> Vec<(u64, ByteRecord)>,
) -> Result<Vec<String>, InputError> {
    let failures = is_failure_header(header);
    let own = header.len() - if failures { FAILURE_COLUMNS.len() } else { 0 };
    let mut names = Vec::with_capacity(own);
    for (index, cell) in header.iter().take(own).enumerate() {
        let cell = if failures { unguarded(cell, format.quoting.quote.is_none()) } else { cell };
        let Ok(name) = std::str::from_utf8(cell) else {
            let at = at.clone();
            return Err(if cell.contains(&0) {
                InputError::Encoding { at, encoding: "UTF-16 or binary data", iconv: "UTF-16LE" }
            } else if format.encoding.is_utf8() {
                let below = below();
                let all = header.iter().chain(below.iter().flat_map(|(_, record)| record.iter()));
                let cells: Vec<_> =
                    all.filter(|cell| std::str::from_utf8(cell).is_err()).map(<[u8]>::to_vec).collect();
                InputError::EightBit { at, rows: None, likeliest: likely_readings(&cells).into() }
            } else {
                InputError::HeaderNotUtf8 { at, column: index + 1, encoding: format.encoding.name() }
            });
        };
        names.push(name.to_owned());
    }
    Ok(names)
}

/// The two likeliest encodings of some cells that are not UTF-8, each with a cell as it would be read.
pub(super) fn likely_readings(cells: &[Vec<u8>]) -> [(TextEncoding, String); 2] {
    let two = likeliest(cells);
    let cell = telling(cells, two);
    two.map(|encoding| (encoding, key_column::cut(&encoding.decode(cell).unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_failure_file_is_recognised_by_its_last_three_columns() {
        let is = |cells: &[&str]| is_failure_header(&ByteRecord::from(cells));
        assert!(is(&["sku", "_error", "_status", "_attempts"]));
        assert!(!is(&["_error", "_status", "_attempts"]));
        assert!(!is(&["sku", "_error", "_status"]));
        assert!(!is(&["sku", "_error", "_status", "_attempts", "x"]));
        let header = ByteRecord::from(vec!["'=sku", "'x", "_error", "_status", "_attempts"]);
        assert_eq!(
            names(&header, &InputLocation::named(""), &CsvFormat::default(), Vec::new).unwrap(),
            ["=sku", "'x"]
        );
    }

    #[test]
    fn a_name_that_is_not_utf8_is_an_error_that_shows_it_in_two_encodings() {
        let at = InputLocation::named("p.csv").line(1);
        let utf8 = CsvFormat::default();
        let utf16 = CsvFormat { encoding: TextEncoding::UTF_16LE, ..utf8 };
        let error =
            names(&ByteRecord::from(vec![&b"sku"[..], b"Gr\xf6sse"]), &at, &utf8, Vec::new).unwrap_err();
        assert_eq!(error.to_string(), "p.csv, line 1: the text is not UTF-8");
        assert!(error.hint().unwrap().contains("--encoding windows-1252   reads `Grösse`"), "{error:?}");
        let error = names(&ByteRecord::from(vec![&b"a\xf9\xbf"[..]]), &at, &utf16, Vec::new).unwrap_err();
        assert_eq!(error.to_string(), "p.csv, line 1: the name of column 1 is not valid UTF-16LE");
        let error = names(&ByteRecord::from(vec![&b"\xfes\0"[..]]), &at, &utf8, Vec::new).unwrap_err();
        assert!(matches!(error, InputError::Encoding { .. }));
    }

    proptest! {
        #[test]
        fn the_guard_is_taken_off_exactly_as_it_was_put_on(cell in "['=+@a-]{0,6}") {
            let first = cell.trim_start_matches('\'').chars().next();
            let guard = if matches!(first, Some('=' | '+' | '-' | '@')) { "'" } else { "" };
            let guarded = format!("{guard}{cell}");
            prop_assert_eq!(unguarded(guarded.as_bytes(), false), cell.as_bytes());
        }
    }
}
