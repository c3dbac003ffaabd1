//! Names the columns, and recognises the failure file of an earlier run.

use csv::ByteRecord;

use crate::input::error::InputError;
use crate::input::location::InputLocation;

/// The columns that a failure file adds after those of the input.
pub(super) const FAILURE_COLUMNS: [&str; 3] = ["_error", "_status", "_attempts"];

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
pub(super) fn unguarded(cell: &[u8]) -> &[u8] {
    match cell {
        [b'\'', rest @ ..] => match rest.iter().find(|&&byte| byte != b'\'') {
            Some(b'=' | b'+' | b'-' | b'@') => rest,
            _ => cell,
        },
        _ => cell,
    }
}

/// The names in a header, without those that a failure file adds.
pub(super) fn names(header: &ByteRecord, at: &InputLocation) -> Result<Vec<String>, InputError> {
    let failures = is_failure_header(header);
    let own = header.len() - if failures { FAILURE_COLUMNS.len() } else { 0 };
    let name = |(index, cell): (usize, &[u8])| {
        let cell = if failures { unguarded(cell) } else { cell };
        String::from_utf8(cell.to_vec()).map_err(|_| {
            let at = at.clone();
            if cell.contains(&0) {
                return InputError::Encoding { at, encoding: "UTF-16 or binary data", iconv: "UTF-16LE" };
            }
            InputError::HeaderNotUtf8 { at, column: index + 1 }
        })
    };
    header.iter().take(own).enumerate().map(name).collect()
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
        assert_eq!(names(&header, &InputLocation::named("")).unwrap(), ["=sku", "'x"]);
    }

    #[test]
    fn a_name_that_is_not_utf8_is_an_error_with_its_place() {
        let at = InputLocation::named("p.csv").line(1);
        let error = names(&ByteRecord::from(vec![&b"sku"[..], b"Gr\xf6sse"]), &at).unwrap_err();
        assert_eq!(error.to_string(), "p.csv, line 1: the name of column 2 is not valid UTF-8");
        assert!(error.hint().unwrap().contains("iconv -f WINDOWS-1252 -t UTF-8 p.csv > p.utf8.csv"));
        let error = names(&ByteRecord::from(vec![&b"\xfes\0"[..]]), &at).unwrap_err();
        assert!(matches!(error, InputError::Encoding { .. }));
    }

    proptest! {
        #[test]
        fn the_guard_is_taken_off_exactly_as_it_was_put_on(cell in "['=+@a-]{0,6}") {
            let first = cell.trim_start_matches('\'').chars().next();
            let guard = if matches!(first, Some('=' | '+' | '-' | '@')) { "'" } else { "" };
            let guarded = format!("{guard}{cell}");
            prop_assert_eq!(unguarded(guarded.as_bytes()), cell.as_bytes());
        }
    }
}
