//! The form of a failure file, by its header. The three names at its end are known, so that what stands between them
//! separates the cells for certain. The quoting is shown by the last name where it is not the usual one.

use crate::input::csv_format::{Quoting, may_delimit};
use crate::input::header::FAILURE_COLUMNS;
use crate::input::sniff::{Reading, Sample};

/// Lines that a header may have: a name may hold line ends.
const HEADER_LINES: usize = 64;

/// The reading of a failure file; `None` if the input is none.
pub(super) fn reading(sample: Sample<'_>) -> Option<Reading> {
    let mut lines = sample.lines().take(HEADER_LINES);
    let (delimiter, shown) = lines.find_map(suffix)?;
    let begins = |quoting: &Quoting| {
        let records = sample.split(delimiter, *quoting).records;
        records.first().is_some_and(|header| {
            header.cells.len() > FAILURE_COLUMNS.len()
                && header
                    .cells
                    .iter()
                    .rev()
                    .zip(FAILURE_COLUMNS.iter().rev())
                    .all(|(cell, name)| cell == name.as_bytes())
        })
    };
    let quoting = shown.unwrap_or_else(|| unshown(sample, delimiter));
    begins(&quoting).then_some(Reading { delimiter, quoting })
}

/// What separates the names at the end of a line, and the quoting that the last one shows.
fn suffix(line: &[u8]) -> Option<(u8, Option<Quoting>)> {
    let mut rest = line;
    let mut delimiter = None;
    let mut shown = None;
    for name in FAILURE_COLUMNS.iter().rev() {
        let (before, quoting) = without_name(rest, name.as_bytes())?;
        let (&separator, before) = before.split_last()?;
        if !may_delimit(separator) || delimiter.is_some_and(|other| other != separator) {
            return None;
        }
        (delimiter, rest) = (Some(separator), before);
        shown = shown.or(quoting);
    }
    delimiter.map(|delimiter| (delimiter, shown))
}

/// What stands before a name at the end of a line: the name alone, in quotes, or in quotes with an escape.
fn without_name<'a>(line: &'a [u8], name: &[u8]) -> Option<(&'a [u8], Option<Quoting>)> {
    if let Some(before) = line.strip_suffix(name) {
        return Some((before, None));
    }
    let (&quote, inner) = line.split_last()?;
    let before = inner.strip_suffix(name).filter(|_| quote.is_ascii_punctuation())?;
    let quoting = |escape| Some(Quoting { quote: Some(quote), escape });
    match before {
        [before @ .., last] if *last == quote => Some((before, quoting(None))),
        [before @ .., first, escape] if *first == quote => Some((before, quoting(Some(*escape)))),
        _ => None,
    }
}

/// The quoting of a failure file that does not show it: the usual one, or none, which this program writes so that both
/// are the same. Another program may have made the file.
fn unshown(sample: Sample<'_>, delimiter: u8) -> Quoting {
    let doubled = sample.split(delimiter, Quoting::DOUBLED);
    let any = |is: fn(&crate::input::sniff::SampleRecord) -> bool| doubled.records.iter().any(is);
    let is_stray = any(|record| record.is_stray);
    let is_split = any(|record| record.spans_lines) || doubled.open.is_some();
    if !is_stray && !is_split && !any(|record| record.has_bare_quote) {
        return Quoting::DOUBLED;
    }
    let escaped = sample.split(delimiter, Quoting::BACKSLASH);
    let is_escaped = escaped.open.is_none()
        && escaped.records != doubled.records
        && !escaped.records.iter().any(|record| record.is_stray || record.has_bare_quote);
    if is_stray && is_escaped {
        return Quoting::BACKSLASH;
    }
    let last = usize::from(!sample.is_whole);
    let lines: Vec<&[u8]> = sample.lines().skip(1).filter(|line| !line.is_empty()).collect();
    let every_line_is_a_row =
        lines[..lines.len().saturating_sub(last)].iter().all(|line| ends_in_a_failure(line, delimiter));
    if every_line_is_a_row { Quoting::NONE } else { Quoting::DOUBLED }
}

/// Whether a line ends in a status and a number of attempts.
fn ends_in_a_failure(line: &[u8], delimiter: u8) -> bool {
    let mut cells = line.rsplit(|&byte| byte == delimiter);
    let (attempts, status) = (cells.next().unwrap_or_default(), cells.next());
    let digits = |cell: &[u8]| cell.iter().all(u8::is_ascii_digit);
    !attempts.is_empty()
        && digits(attempts)
        && status.is_some_and(|status| digits(status) && matches!(status.len(), 0 | 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<(char, Quoting)> {
        reading(Sample { bytes, is_whole: true }).map(|found| (char::from(found.delimiter), found.quoting))
    }

    #[test]
    fn the_last_three_names_give_the_delimiter_for_certain() {
        for delimiter in [',', ';', '\t', '|', '^', '~', ':', '#', ' ', '\u{1}', 'x'] {
            let header = ["a,b;c", "_error", "_status", "_attempts"].join(&delimiter.to_string());
            let own = if header.starts_with("a,b;c,") || header.starts_with("a,b;c;") {
                &header[4..]
            } else {
                &header
            };
            assert_eq!(read(own.as_bytes()), Some((delimiter, Quoting::DOUBLED)), "{own}");
        }
        for none in [
            "",
            "_error,_status,_attempts",
            "sku,_error,_status;_attempts",
            "sku,_error,_attempts,_status",
            "sku,_error,_status,_attempts,",
            "sku\"_error\"_status\"_attempts",
        ] {
            assert_eq!(read(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_name_with_line_ends_is_a_part_of_the_header() {
        assert_eq!(read(b"\"s\n,ku\",_error,_status,_attempts\nA,x,,1\n"), Some((',', Quoting::DOUBLED)));
        assert_eq!(read(b"sku,name\nA,b\nc,_error,_status,_attempts\n"), None, "a row, not the header");
    }

    #[test]
    fn the_quoting_is_shown_by_the_last_name() {
        for (last, quoting) in [
            ("\"_attempts\"", Quoting::DOUBLED),
            ("\"\\_attempts\"", Quoting::BACKSLASH),
            ("'_attempts'", Quoting { quote: Some(b'\''), escape: None }),
            ("'#_attempts'", Quoting { quote: Some(b'\''), escape: Some(b'#') }),
        ] {
            let header = format!("sku;_error;_status;{last}\n");
            assert_eq!(read(header.as_bytes()), Some((';', quoting)), "{header}");
        }
    }

    #[test]
    fn a_file_of_another_program_is_read_by_its_rows() {
        let header = "sku\tname\t_error\t_status\t_attempts\n";
        for (rows, quoting) in [
            ("A\t\"x\tlate\t\t5\nC\tz\"\tgone\t404\t1\n", Quoting::NONE),
            ("A\t5\" x\tlate\t\t5\n", Quoting::NONE),
            ("A\t\"x\ny\"\tlate\t\t5\n", Quoting::DOUBLED),
            ("A\t\"x\\\"y\"\tlate\t\t5\n", Quoting::BACKSLASH),
            ("A\t\"x\"\tlate\t\t5\n", Quoting::DOUBLED),
        ] {
            assert_eq!(read(format!("{header}{rows}").as_bytes()), Some(('\t', quoting)), "{rows}");
        }
    }
}
