//! Where the records of an input begin, what separates their cells and how these are quoted.

use crate::input::csv_format::{CsvFormat, GivenChar, LineEnd, Quoting, may_delimit};
use crate::input::encoding_of::{decoded, drop_marks, escaped_encoding};
use crate::input::error::InputError;
use crate::input::settings::InputSettings;
use crate::input::sniff::{AskedColumns, Doubt, GivenQuoting, Question, ROWS, Reading, Sample, sniff};
use crate::input::source::InputSource;
use crate::input::{failure_header, not_csv};

/// The bytes of the first rows that decide how they are read, and the lines.
const SAMPLE: usize = 256 << 10;
const LINES: usize = 2 * ROWS;

/// The bytes of a first line that are looked at. A longer header is read all the same.
const FIRST_LINE: usize = 1 << 20;

/// Where the records begin, and the form of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) format: CsvFormat,
    /// The physical line of the first byte that is not consumed.
    pub(super) line: u64,
    /// Nothing says whether a quote may be escaped: neither the user nor a backslash before a quote in the first rows.
    pub(super) may_escape: bool,
}

/// Reads the first rows, and skips byte-order marks, a `sep=` line and the lines that are to be skipped. A failure file
/// is read by its own form.
pub(super) fn read_dialect(
    source: InputSource,
    settings: &InputSettings,
) -> Result<(InputSource, Dialect), InputError> {
    if let Some(byte) =
        settings.delimiter.filter(|&byte| !may_delimit(byte) || settings.quote == GivenChar::Char(byte))
    {
        return Err(InputError::Delimiter { at: source.location().clone(), delimiter: char::from(byte) });
    }
    let (mut source, encoding, has_mark) = decoded(source, settings.encoding)?;
    not_csv::refuse(&mut source)?;
    let dialect = |sample: Sample<'_>, reading: Reading, line| {
        let Reading { delimiter, quoting } = reading;
        let line_end = line_end_of(sample, reading);
        let format = CsvFormat { delimiter, quoting, encoding, has_mark, line_end };
        Dialect { format, line, may_escape: false }
    };
    let mut question = Question {
        delimiter: settings.delimiter,
        quoting: GivenQuoting { quote: settings.quote, escape: settings.escape },
        asked: AskedColumns {
            key: settings.key.as_deref(),
            columns: &settings.columns,
            headers: settings.headers,
        },
    };
    let sample = gather(&mut source, &question);
    let is_unmarked_utf8 = settings.encoding.is_none() && encoding.is_utf8() && !has_mark;
    if let Some(likely) = escaped_encoding(sample.bytes).filter(|_| is_unmarked_utf8) {
        return Err(InputError::LikelyEncoding { at: source.location().clone(), likely });
    }
    if let Some(reading) = failure_header::reading(sample) {
        let dialect = dialect(sample, reading, 1);
        return Ok((source, dialect));
    }
    let (mut line, mut after_cr) = (1, false);
    if let Some((named, end)) = sep_line(source.seen()) {
        question.delimiter = settings.delimiter.or(Some(named));
        after_cr = source.seen().get(end) == Some(&b'\r');
        line = 2;
        source.skip(source.seen().len().min(end + 1));
        drop_marks(&mut source)?;
    }
    while line <= settings.skip_lines && skip_line(&mut source, &mut after_cr)? {
        line += 1;
    }
    end_line(&mut source, &mut after_cr)?;
    let sample = gather(&mut source, &question);
    let found = sniff(sample, &question);
    let may_escape = settings.escape == GivenChar::ByRows
        && found.as_ref().is_ok_and(|&reading| shows_no_escape(sample, reading));
    let dialect = found.map(|reading| Dialect { may_escape, ..dialect(sample, reading, line) });
    match dialect {
        Ok(dialect) => Ok((source, dialect)),
        Err(doubt) => Err(refusal(&source, doubt, line)),
    }
}

/// The reading of the file's own header, where it is a failure file.
pub(super) fn is_failure_file(source: InputSource) -> Result<bool, InputError> {
    let (mut source, ..) = decoded(source, None)?;
    let settings = InputSettings::default();
    let asked = AskedColumns { key: None, columns: &settings.columns, headers: true };
    let question = Question { delimiter: None, quoting: GivenQuoting::default(), asked };
    Ok(failure_header::reading(gather(&mut source, &question)).is_some())
}

/// Looks ahead as far as the first rows are to decide; less far where more would have to be waited for and those that
/// are there leave no doubt. How many bytes a read returned does not count.
fn gather<'s>(source: &'s mut InputSource, question: &Question<'_>) -> Sample<'s> {
    let (mut counted, mut lines) = (0, 0);
    let is_whole = loop {
        let seen = source.seen();
        for end in memchr::memchr2_iter(b'\n', b'\r', &seen[counted..]) {
            lines += 1;
            if lines > LINES {
                let to = (counted + end + 1).min(SAMPLE);
                return Sample { bytes: &source.seen()[..to], is_whole: false };
            }
        }
        counted = seen.len();
        if lines > 0 && counted >= SAMPLE {
            let first_line = memchr::memchr2(b'\n', b'\r', seen).map_or(0, |end| end + 1);
            return Sample { bytes: &source.seen()[..SAMPLE.max(first_line)], is_whole: false };
        }
        if counted >= FIRST_LINE {
            return Sample { bytes: &source.seen()[..FIRST_LINE], is_whole: true };
        }
        if lines > 0 && source.would_wait() && is_clear(Sample { bytes: seen, is_whole: false }, question) {
            break false;
        }
        if source.has_failed() || !source.look_ahead() {
            break !source.has_failed() || lines == 0;
        }
    };
    Sample { bytes: source.seen(), is_whole }
}

/// Whether these rows have one reading; there must be one below the header.
fn is_clear(sample: Sample<'_>, question: &Question<'_>) -> bool {
    let rows = if question.asked.headers { 2 } else { 1 };
    let reading = failure_header::reading(sample).map_or_else(|| sniff(sample, question), Ok);
    reading.is_ok_and(|found| sample.split(found.delimiter, found.quoting).records.len() >= rows)
}

/// Whether cells are quoted, and no quote of the first rows has a backslash before it.
fn shows_no_escape(sample: Sample<'_>, reading: Reading) -> bool {
    let Quoting { quote: Some(quote), escape: None } = reading.quoting else { return false };
    let records = sample.split(reading.delimiter, reading.quoting).records;
    let end = records.last().map_or(0, |last| last.place.end);
    memchr::memmem::find(&sample.bytes[..end], &[b'\\', quote]).is_none()
}

/// What ends the first record.
fn line_end_of(sample: Sample<'_>, reading: Reading) -> LineEnd {
    let records = sample.split(reading.delimiter, reading.quoting).records;
    records.first().map_or(LineEnd::Lf, |first| LineEnd::of(&sample.bytes[first.place.clone()]))
}

/// Skips the second half of a CRLF.
fn end_line(source: &mut InputSource, after_cr: &mut bool) -> Result<(), InputError> {
    if std::mem::take(after_cr) {
        while source.seen().is_empty() && source.see_more()? {}
        source.skip(usize::from(source.seen().first() == Some(&b'\n')));
    }
    Ok(())
}

/// Skips a physical line; false if there is none.
fn skip_line(source: &mut InputSource, after_cr: &mut bool) -> Result<bool, InputError> {
    end_line(source, after_cr)?;
    loop {
        if let Some(end) = memchr::memchr2(b'\r', b'\n', source.seen()) {
            *after_cr = source.seen()[end] == b'\r';
            source.skip(end + 1);
            return Ok(true);
        }
        // A line without an end is given up in parts: it may be long.
        let seen = source.seen().len();
        if seen >= FIRST_LINE {
            source.skip(seen);
        }
        if !source.see_more()? {
            let rest = source.seen().len();
            source.skip(rest);
            return Ok(rest > 0);
        }
    }
}

/// The delimiter that a first line `sep=;` names (a convention of Excel; some programs quote it), and where
/// that line ends.
fn sep_line(seen: &[u8]) -> Option<(u8, usize)> {
    let end = memchr::memchr2(b'\r', b'\n', seen).unwrap_or(seen.len());
    let line = &seen[..end];
    let line = line.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(line);
    // A spreadsheet that saved the file again added empty cells.
    let line = match line {
        [_, _, _, b'=', delimiter, rest @ ..] if rest.iter().all(|byte| byte == delimiter) => &line[..5],
        _ => line,
    };
    match line {
        [name @ .., b'=', delimiter] if name.eq_ignore_ascii_case(b"sep") && may_delimit(*delimiter) => {
            Some((*delimiter, end))
        }
        _ => None,
    }
}

fn refusal(source: &InputSource, doubt: Doubt, line: u64) -> InputError {
    let at = source.location();
    match doubt {
        Doubt::Several(choices) => InputError::SeveralReadings { at: at.clone(), choices },
        Doubt::LinesAbove { lines, header, column } => {
            let skipped = line - 1 + lines as u64;
            InputError::LinesAboveHeader { at: at.line(line), skipped, header, column }
        }
        Doubt::QuotedTwice { delimiter } => {
            InputError::QuotedTwice { at: at.line(line), delimiter: char::from(delimiter) }
        }
        Doubt::WideDelimiter { delimiter } => InputError::WideDelimiter { at: at.line(line), delimiter },
        Doubt::FixedWidth { name } => InputError::FixedWidth { at: at.line(line), name },
        Doubt::RowNames { lines, columns, key } => {
            let skipped = line - 1 + lines as u64;
            InputError::RowNames { at: at.line(line), skipped, columns, key }
        }
        Doubt::Drawn => not_csv::drawn(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::location::InputLocation;
    use crate::input::text_encoding::TextEncoding;

    fn source(bytes: &[u8]) -> InputSource {
        InputSource::new(Box::new(std::io::Cursor::new(bytes.to_vec())), InputLocation::named("p.csv"))
            .unwrap()
    }

    fn dialect(bytes: &[u8]) -> Result<Dialect, InputError> {
        read_dialect(source(bytes), &InputSettings::default()).map(|(_, dialect)| dialect)
    }

    fn delimiter(bytes: &[u8]) -> char {
        char::from(dialect(bytes).unwrap().format.delimiter)
    }

    #[test]
    fn the_delimiter_is_found() {
        assert_eq!(delimiter(b"sku,name\n"), ',');
        assert_eq!(delimiter(b"sku;name, long;price\n1,2,3,4,5"), ';');
        assert_eq!(delimiter(b"\r\n\nsku\tname"), '\t');
        assert_eq!(delimiter(b"sku|name\r\n"), '|');
        assert_eq!(delimiter(b"sku\nA;B;C"), ',', "one column");
        assert_eq!(delimiter(b""), ',');
    }

    #[test]
    fn delimiters_inside_quotes_do_not_count() {
        assert_eq!(delimiter(b"\"sku, the; key;;\",\"a\nb;;;\",c\n"), ',');
        assert_eq!(delimiter(b"sku;\"na,,,me\nx\";price\n"), ';');
        assert_eq!(
            delimiter(b"sku,na|\"me||||\nA1,x\n"),
            ',',
            "a quote that never closes for that delimiter"
        );
    }

    #[test]
    fn a_sep_line_names_the_delimiter_and_is_no_header() {
        for (bytes, delimiter, left) in [
            (&b"sep=;\na,b;c"[..], b';', &b"a,b;c"[..]),
            (b"\xef\xbb\xbfSEP=|\r\na,b", b'|', b"a,b"),
            (b"\"sep=\t\"\ra,b", b'\t', b"a,b"),
            (b"sep=^\na^b", b'^', b"a^b"),
            (b"sep=;;;;\na;b", b';', b"a;b"),
            (b"sep=\x01\na\x01b", 1, b"a\x01b"),
            (b"sep=;", b';', b""),
        ] {
            let (source, found) = read_dialect(source(bytes), &InputSettings::default()).unwrap();
            assert_eq!((found.format.delimiter, found.line), (delimiter, 2));
            assert_eq!(source.seen(), left);
        }
        let comma = InputSettings { delimiter: Some(b','), ..InputSettings::default() };
        assert_eq!(read_dialect(source(b"sep=;\na"), &comma).unwrap().1.format.delimiter, b',');
        for header in [&b"sep=\na"[..], b"sep=ab\n", b"sep=\"\n", b"sep,=;\n", b"x\nsep=;\n"] {
            assert_eq!(dialect(header).unwrap().line, 1);
        }
    }

    #[test]
    fn lines_above_the_header_are_skipped_whatever_ends_them() {
        let settings = |skip_lines| InputSettings { skip_lines, ..InputSettings::default() };
        for (bytes, skip, line, left) in [
            (&b"a \"title\n\nsku;x\nA;y\n"[..], 2, 3, &b"sku;x\nA;y\n"[..]),
            (b"a\r\nb\r\nsku\r\n", 2, 3, b"sku\r\n"),
            (b"a\rb\rsku\r", 2, 3, b"sku\r"),
            (b"sep=;\r\ntitle\r\nsku;x\r\n", 2, 3, b"sku;x\r\n"),
            (b"a\nb", 2, 3, b""),
            (b"a\nb", 9, 3, b""),
        ] {
            let (source, found) = read_dialect(source(bytes), &settings(skip)).unwrap();
            assert_eq!((source.seen(), found.line), (left, line), "{bytes:?}");
        }
    }

    #[test]
    fn every_mark_at_the_start_is_dropped() {
        let (source, found) =
            read_dialect(source(b"\xef\xbb\xbf\xef\xbb\xbfsku"), &InputSettings::default()).unwrap();
        assert!(source.seen() == b"sku" && found.format.has_mark);
    }

    fn wide(text: &str, to: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to).collect()
    }

    #[test]
    fn utf_16_is_read_by_its_mark_or_its_pattern() {
        for (bytes, encoding) in [
            (wide("\u{feff}sku;ж\r\n", u16::to_le_bytes), TextEncoding::UTF_16LE),
            (wide("\u{feff}sku;ж\r\n", u16::to_be_bytes), TextEncoding::UTF_16BE),
            (wide("sku;name\r\n", u16::to_le_bytes), TextEncoding::UTF_16LE),
            (wide("sku;n\n", u16::to_be_bytes), TextEncoding::UTF_16BE),
        ] {
            let found = dialect(&bytes).unwrap().format;
            assert_eq!((found.encoding, found.delimiter), (encoding, b';'));
        }
        assert!(dialect(b"sku\0,name\n").unwrap().format.encoding == TextEncoding::UTF_8);
    }

    #[test]
    fn other_wide_text_is_refused_and_a_mark_beats_the_option() {
        let given = |bytes: &[u8], name: &str| {
            let settings = InputSettings { encoding: TextEncoding::named(name), ..InputSettings::default() };
            read_dialect(source(bytes), &settings).map(|(_, dialect)| dialect.format.encoding)
        };
        let utf32: Vec<u8> = "sku\n".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for bytes in [utf32, b"\xff\xfe\0\0s\0\0\0".to_vec()] {
            assert!(matches!(dialect(&bytes), Err(InputError::Encoding { .. })), "{bytes:?}");
        }
        let russian = wide("Артикул;sku, name\n", u16::to_le_bytes);
        assert!(matches!(dialect(&russian), Err(InputError::LikelyEncoding { likely: "UTF-16LE", .. })));
        let mut japanese = Vec::new();
        TextEncoding::named("iso-2022-jp")
            .unwrap()
            .encode("sku,x\nA,テスト\n".as_bytes(), &mut japanese)
            .unwrap();
        assert!(matches!(dialect(&japanese), Err(InputError::LikelyEncoding { likely: "ISO-2022-JP", .. })));
        assert_eq!(given(&japanese, "iso-2022-jp").unwrap().name(), "ISO-2022-JP");
        assert!(dialect(b"sku,x\nA,\x1b[1m\n").is_ok(), "the colours of a terminal");
        let marked = wide("\u{feff}sku\n", u16::to_be_bytes);
        assert!(matches!(given(&marked, "utf-16le"), Err(InputError::OtherEncoding { .. })));
        assert!(matches!(given(&marked, "windows-1252"), Err(InputError::OtherEncoding { .. })));
        assert_eq!(given(&marked, "utf-16").unwrap(), TextEncoding::UTF_16BE);
        assert_eq!(given(b"\xef\xbb\xbfsku", "windows-1252").unwrap(), TextEncoding::UTF_8);
        assert_eq!(given(b"sku", "windows-1252").unwrap().name(), "windows-1252");
    }

    #[test]
    fn a_quote_or_a_line_end_is_no_delimiter() {
        for byte in [b'"', b'\n', b'\r', 0, 0xc3, b'\''] {
            let settings = InputSettings {
                delimiter: Some(byte),
                quote: GivenChar::Char(b'\''),
                ..InputSettings::default()
            };
            assert!(matches!(read_dialect(source(b"a"), &settings), Err(InputError::Delimiter { .. })));
        }
    }

    #[test]
    fn a_failure_file_is_read_by_its_own_form() {
        let settings = InputSettings {
            delimiter: Some(b';'),
            quote: GivenChar::Absent,
            skip_lines: 1,
            ..InputSettings::default()
        };
        let bytes = b"a;b^sku^_error^_status^_attempts\n1^A;x^late^^5\n";
        let (_, found) = read_dialect(source(bytes), &settings).unwrap();
        assert_eq!((found.format.delimiter, found.line), (b'^', 1));
        assert_eq!(found.format.quoting, Quoting::DOUBLED);
    }

    #[test]
    fn a_pipe_is_read_as_far_as_the_first_rows_decide() {
        struct Parts(Vec<&'static [u8]>);
        impl std::io::Read for Parts {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                assert!(!self.0.is_empty(), "read too far");
                std::io::Read::read(&mut self.0.remove(0), out)
            }
        }
        for (parts, headers, delimiter) in [
            (vec![&b"sku;na"[..], b"me\nA", b";x\n"], true, ';'),
            (vec![b"A1\n"], false, ','),
            // Neither line decides.
            (vec![b"Nr;a, b\n", b"1;2,3\n", b"1;2\n"], true, ';'),
        ] {
            let source =
                InputSource::waiting(Box::new(Parts(parts)), InputLocation::named("-"), Box::new(|| false));
            let settings = InputSettings { headers, ..InputSettings::default() };
            let (_, found) = read_dialect(source.unwrap(), &settings).unwrap();
            assert_eq!(char::from(found.format.delimiter), delimiter);
        }
    }
}
