//! The first records of an input under one reading, split as the csv crate splits them, with what speaks for or
//! against that reading.

use std::ops::Range;

use crate::input::csv_format::Quoting;

/// Data rows that are looked at.
pub(in crate::input) const ROWS: usize = 200;

/// The first bytes of an input, decoded, without its marks.
#[derive(Debug, Clone, Copy)]
pub(in crate::input) struct Sample<'a> {
    pub(in crate::input) bytes: &'a [u8],
    /// These are all bytes of the input.
    pub(in crate::input) is_whole: bool,
}

/// One record of a sample.
#[expect(clippy::struct_excessive_bools, reason = "facts about one record that do not depend on each other")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::input) struct SampleRecord {
    /// Physical lines above it in the sample.
    pub(in crate::input) line: usize,
    pub(in crate::input) cells: Vec<Vec<u8>>,
    /// Its place in the sample, with its line end.
    pub(in crate::input) place: Range<usize>,
    /// A cell begins with a quote.
    pub(in crate::input) is_quoted: bool,
    /// A quoted cell has a line end.
    pub(in crate::input) spans_lines: bool,
    /// Text follows a closing quote.
    pub(in crate::input) is_stray: bool,
    /// A quote is text of a cell without quotes.
    pub(in crate::input) has_bare_quote: bool,
    /// A quote inside a quoted cell is doubled.
    pub(in crate::input) has_doubled_quote: bool,
    /// An escape stands before something else than a quote or an escape.
    pub(in crate::input) has_lone_escape: bool,
}

/// The records of a sample.
#[derive(Debug, Default)]
pub(in crate::input) struct SampleRecords {
    /// The complete ones: at most the header and [`ROWS`] rows.
    pub(in crate::input) records: Vec<SampleRecord>,
    /// The record at the end of the sample has a quote that is still open.
    pub(in crate::input) open: Option<SampleRecord>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    CellStart,
    Bare,
    Quoted,
    Escaped,
    QuoteSeen,
    AfterQuote,
}

struct Splitter {
    delimiter: u8,
    quoting: Quoting,
    state: State,
    line: usize,
    record: SampleRecord,
    cell: Vec<u8>,
    found: SampleRecords,
}

impl<'a> Sample<'a> {
    /// The rest of the sample after so many physical lines; `None` if it has no more lines than these.
    pub(in crate::input) fn after_lines(self, lines: usize) -> Option<Sample<'a>> {
        let mut rest = self.bytes;
        for _ in 0..lines {
            rest = &rest[line_length(rest)..];
            if rest.is_empty() {
                return None;
            }
        }
        Some(Sample { bytes: rest, ..self })
    }

    /// The physical lines, without their ends.
    pub(in crate::input) fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        lines(self.bytes)
    }

    /// The first records of the sample under a reading.
    pub(in crate::input) fn split(self, delimiter: u8, quoting: Quoting) -> SampleRecords {
        let mut splitter = Splitter {
            delimiter,
            quoting,
            state: State::Between,
            line: 0,
            record: SampleRecord::default(),
            cell: Vec::new(),
            found: SampleRecords::default(),
        };
        for (at, &byte) in self.bytes.iter().enumerate() {
            if splitter.found.records.len() > ROWS {
                return splitter.found;
            }
            let after_cr = at > 0 && self.bytes[at - 1] == b'\r';
            if byte == b'\r' || (byte == b'\n' && !after_cr) {
                splitter.line += 1;
            }
            splitter.take(at, byte, after_cr);
        }
        splitter.finish(self)
    }
}

impl Splitter {
    fn take(&mut self, at: usize, byte: u8, after_cr: bool) {
        if self.state == State::Between {
            match byte {
                b'\r' => return,
                // The second half of a line end belongs to the record before it.
                b'\n' => {
                    if let Some(last) = self.found.records.last_mut()
                        && after_cr
                        && last.place.end == at
                    {
                        last.place.end += 1;
                    }
                    return;
                }
                _ => {
                    self.record = SampleRecord { line: self.line, place: at..at, ..SampleRecord::default() };
                    self.state = State::CellStart;
                }
            }
        }
        let quote = self.quoting.quote;
        match self.state {
            State::Between => {}
            State::CellStart if quote == Some(byte) => {
                self.record.is_quoted = true;
                self.state = State::Quoted;
            }
            State::CellStart | State::Bare => self.bare(at, byte),
            State::Quoted if quote == Some(byte) => self.state = State::QuoteSeen,
            State::Quoted if self.quoting.escape == Some(byte) => self.state = State::Escaped,
            State::Quoted => self.quoted(byte),
            State::Escaped => {
                self.record.has_lone_escape |= quote != Some(byte) && self.quoting.escape != Some(byte);
                self.quoted(byte);
                self.state = State::Quoted;
            }
            State::QuoteSeen if quote == Some(byte) => {
                self.record.has_doubled_quote = true;
                self.quoted(byte);
                self.state = State::Quoted;
            }
            State::QuoteSeen | State::AfterQuote => {
                let is_end = byte == self.delimiter || matches!(byte, b'\r' | b'\n');
                self.record.is_stray |= !is_end && !matches!(byte, b' ' | b'\t');
                self.state = State::AfterQuote;
                self.bare(at, byte);
            }
        }
    }

    fn quoted(&mut self, byte: u8) {
        self.record.spans_lines |= matches!(byte, b'\r' | b'\n');
        self.cell.push(byte);
    }

    fn bare(&mut self, at: usize, byte: u8) {
        match byte {
            b'\r' | b'\n' => self.end_record(at + 1),
            _ if byte == self.delimiter => {
                self.end_cell();
                self.state = State::CellStart;
            }
            _ => {
                self.record.has_bare_quote |= byte == b'"' || self.quoting.quote == Some(byte);
                self.cell.push(byte);
                if self.state == State::CellStart {
                    self.state = State::Bare;
                }
            }
        }
    }

    fn end_cell(&mut self) {
        self.record.cells.push(std::mem::take(&mut self.cell));
    }

    fn end_record(&mut self, end: usize) {
        self.end_cell();
        self.record.place.end = end;
        self.found.records.push(std::mem::take(&mut self.record));
        self.state = State::Between;
    }

    fn finish(mut self, sample: Sample<'_>) -> SampleRecords {
        let end = sample.bytes.len();
        match self.state {
            State::Between => {}
            State::Quoted | State::Escaped => {
                self.end_cell();
                self.record.place.end = end;
                self.found.open = Some(self.record);
            }
            _ if sample.is_whole => self.end_record(end),
            _ => {}
        }
        self.found
    }
}

/// The physical lines of a text, without their ends.
pub(super) fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let (line, rest) = text.split_at(line_length(text));
        text = rest;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// The length of the first physical line, with its end.
pub(in crate::input) fn line_length(text: &[u8]) -> usize {
    match memchr::memchr2(b'\r', b'\n', text) {
        None => text.len(),
        Some(end) if text[end] == b'\r' && text.get(end + 1) == Some(&b'\n') => end + 2,
        Some(end) => end + 1,
    }
}

impl SampleRecord {
    /// Whether all cells are empty: such a row is none.
    pub(in crate::input) fn is_blank(&self) -> bool {
        self.cells.iter().all(Vec::is_empty)
    }

    /// Whether it has as many cells as the header. An empty cell more at the end is accepted.
    pub(in crate::input) fn is_as_wide_as(&self, width: usize) -> bool {
        self.cells.len() == width
            || (self.cells.len() == width + 1 && self.cells.last().is_some_and(Vec::is_empty))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::input::record_scanner::{RecordScanner, RecordSpan};

    fn by_csv(bytes: &[u8], delimiter: u8, quoting: Quoting) -> Vec<Vec<Vec<u8>>> {
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter).escape(quoting.escape);
        match quoting.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        let records = builder.from_reader(bytes).into_byte_records();
        records.map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect()
    }

    proptest! {
        #[test]
        fn the_records_are_those_of_the_csv_crate(
            bytes in prop::collection::vec(prop::sample::select(b"\",\r\nab \\'\xff".to_vec()), 0..60),
            quoting in prop::sample::select(vec![
                Quoting::DOUBLED,
                Quoting::BACKSLASH,
                Quoting::NONE,
                Quoting { quote: Some(b'\''), escape: None },
            ]),
        ) {
            let found = Sample { bytes: &bytes, is_whole: true }.split(b',', quoting);
            let cells = found.records.iter().chain(&found.open).map(|record| record.cells.clone());
            prop_assert_eq!(cells.collect::<Vec<_>>(), by_csv(&bytes, b',', quoting));
            for two in found.records.windows(2) {
                prop_assert!(two[0].place.end <= two[1].place.start && two[0].line < two[1].line);
            }
        }
    }

    /// What the scanner of all rows finds: the complete records, and the one whose quote is still open.
    fn scanned(bytes: &[u8], quoting: Quoting) -> (Vec<RecordSpan>, Option<RecordSpan>) {
        let mut scanner = RecordScanner::new(b',', quoting, 1);
        scanner.feed(bytes);
        let is_open = scanner.finish().is_err();
        let open = is_open.then(|| *scanner.unfinished());
        (std::iter::from_fn(|| scanner.take()).collect(), open)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_records_and_what_is_said_of_them_are_those_of_the_scanner(
            bytes in prop::collection::vec(prop::sample::select(b"\"\",,\r\na \t\\'".to_vec()), 0..60),
            quoting in prop::sample::select(vec![
                Quoting::DOUBLED,
                Quoting::BACKSLASH,
                Quoting::NONE,
                Quoting { quote: Some(b'\''), escape: None },
            ]),
        ) {
            let found = Sample { bytes: &bytes, is_whole: true }.split(b',', quoting);
            let (spans, open) = scanned(&bytes, quoting);
            let said_here = |record: &SampleRecord| {
                let text = &bytes[record.place.clone()];
                // The scanner counts the second half of a line end to what follows.
                let is_complete = found.open.as_ref() != Some(record);
                let ends_twice = is_complete && text.ends_with(b"\r\n");
                let len = text.len() - usize::from(ends_twice);
                (record.line as u64 + 1, len as u64, record.is_stray, record.spans_lines)
            };
            let said_there =
                |span: &RecordSpan| (span.line, span.len, span.is_stray, span.inner_lines > 0);
            let here: Vec<_> = found.records.iter().chain(&found.open).map(said_here).collect();
            let there: Vec<_> = spans.iter().chain(&open).map(said_there).collect();
            prop_assert_eq!(here, there);
            prop_assert_eq!(found.open.is_some(), open.is_some());
            if quoting.quote == Some(b'"') {
                let bare = found.records.iter().map(|record| record.has_bare_quote);
                prop_assert!(bare.eq(spans.iter().map(|span| span.has_bare_quote)));
            }
        }
    }

    #[test]
    fn a_record_has_its_lines_and_what_speaks_against_the_reading() {
        let bytes = b"\r\na,\"b\nc\"\r\n\"x\" y,z\"\n\"\\n\\\"\"\"\",1\n\"open";
        let found = Sample { bytes, is_whole: true }.split(b',', Quoting::BACKSLASH);
        let lines: Vec<usize> = found.records.iter().map(|record| record.line).collect();
        assert_eq!(lines, [1, 3, 4]);
        assert_eq!(&bytes[found.records[0].place.clone()], b"a,\"b\nc\"\r\n");
        let flags = |record: &SampleRecord| {
            (
                record.spans_lines,
                record.is_stray,
                record.has_bare_quote,
                record.has_doubled_quote,
                record.has_lone_escape,
            )
        };
        assert_eq!(flags(&found.records[0]), (true, false, false, false, false));
        assert_eq!(flags(&found.records[1]), (false, true, true, false, false));
        assert_eq!(flags(&found.records[2]), (false, false, false, true, true));
        assert_eq!(found.open.map(|record| record.line), Some(5));
    }

    #[test]
    fn an_incomplete_record_counts_only_at_the_end_of_the_input() {
        for (is_whole, records) in [(true, 2), (false, 1)] {
            assert_eq!(
                Sample { bytes: b"a\nb", is_whole }.split(b',', Quoting::DOUBLED).records.len(),
                records
            );
        }
    }
}
