//! Scans the bytes that the csv crate parses, and keeps for each record what that crate does not report.
//!
//! The csv crate accepts every input: a quote that never closes includes the rest of the file in its cell,
//! empty lines vanish, and line numbers count line feeds before the blank lines of a record. So the same
//! bytes are scanned here by the same quoting rules (the tests below compare both), with `memchr` from one
//! special byte to the next.
//!
//! A physical line ends at CRLF, LF or a lone CR, inside quotes too: as the csv crate ends records, and as
//! editors number lines.

use std::collections::VecDeque;

use memchr::{memchr3, memchr3_iter};

use crate::input::csv_format::Quoting;

/// The largest record, in bytes. A row names one product and at most contains its request body, so real rows
/// are far smaller. Yet the parser can hold such a record several times while its buffer doubles.
pub(super) const RECORD_CAP: u64 = 16 << 20;

/// Where a record stands, and what its cells do not show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RecordSpan {
    /// The physical line where it begins.
    pub(super) line: u64,
    /// Its length in bytes, including quotes and line end.
    pub(super) len: u64,
    /// Empty lines between the previous record and this one.
    pub(super) blanks: u64,
    /// The lines where a quoted cell opens and closes, if it has several lines and text follows its closing
    /// quote. Then a quote was left open, and the opening quote of a later cell was read as its end: the cell
    /// contains the rows between.
    pub(super) runaway: Option<(u64, u64)>,
    /// Line ends inside its quoted cells.
    pub(super) inner_lines: u64,
    /// Text follows a closing quote on its own line.
    pub(super) is_stray: bool,
    /// A quote is text of a cell without quotes.
    pub(super) has_bare_quote: bool,
    /// A backslash stands before a quote in a quoted cell.
    pub(super) has_backslash_before_quote: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScanState {
    /// Before the first byte of a record.
    Between,
    /// Before the first byte of a cell.
    CellStart,
    /// Inside a cell without quotes, or after the quoted part of one: quotes are text here.
    Bare,
    /// Inside quotes.
    Quoted,
    /// Inside quotes, after the escape.
    Escaped,
    /// After a quote inside quotes: the end of the cell, or half of a doubled quote.
    QuoteSeen,
    /// After the closing quote and white space: some programs pad cells.
    Padding,
}

/// Splits a stream of bytes into records.
#[derive(Debug)]
pub(super) struct RecordScanner {
    delimiter: u8,
    quoting: Quoting,
    state: ScanState,
    line: u64,
    /// The byte before was a carriage return, which counted as a line end.
    after_cr: bool,
    /// The byte before was a backslash inside quotes.
    after_backslash: bool,
    quote_line: u64,
    current: RecordSpan,
    spans: VecDeque<RecordSpan>,
}

impl RecordScanner {
    /// Starts before the first byte of `line`.
    pub(super) fn new(delimiter: u8, quoting: Quoting, line: u64) -> Self {
        let (state, current) = (ScanState::Between, RecordSpan::default());
        Self {
            delimiter,
            quoting,
            state,
            line,
            after_cr: false,
            after_backslash: false,
            quote_line: 0,
            current,
            spans: VecDeque::new(),
        }
    }

    /// The current line.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Takes the next complete record.
    pub(super) fn take(&mut self) -> Option<RecordSpan> {
        self.spans.pop_front()
    }

    /// Whether a complete record was not taken yet.
    pub(super) fn has_complete(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Blank lines after the last record.
    pub(super) fn trailing_blanks(&self) -> u64 {
        self.current.blanks
    }

    /// Whether a record has begun and is not complete.
    pub(super) fn is_in_a_record(&self) -> bool {
        self.state != ScanState::Between
    }

    /// The record that is not complete yet.
    pub(super) fn unfinished(&self) -> &RecordSpan {
        &self.current
    }

    /// The line where the quote opened that is still open.
    pub(super) fn open_quote(&self) -> Option<u64> {
        matches!(self.state, ScanState::Quoted | ScanState::Escaped).then_some(self.quote_line)
    }

    /// Scans the next bytes.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while at < chunk.len() {
            let used = match self.state {
                ScanState::Between => self.between(chunk[at]),
                ScanState::CellStart => self.cell_start(chunk[at]),
                ScanState::Bare => self.bare(&chunk[at..]),
                ScanState::Quoted if self.quoting.escape.is_some() => self.escapable(&chunk[at..]),
                ScanState::Quoted => self.quoted(&chunk[at..]),
                ScanState::Escaped => self.escaped(chunk[at]),
                ScanState::QuoteSeen | ScanState::Padding => self.quote_seen(chunk[at]),
            };
            at += used;
        }
    }

    /// Ends the input.
    ///
    /// # Errors
    /// The line where a quote opened that is still open.
    pub(super) fn finish(&mut self) -> Result<(), u64> {
        match self.state {
            ScanState::Between => {}
            ScanState::Quoted | ScanState::Escaped => return Err(self.quote_line),
            ScanState::CellStart | ScanState::Bare | ScanState::QuoteSeen | ScanState::Padding => {
                self.complete();
            }
        }
        Ok(())
    }

    /// How many bytes were used: 0 when the byte begins a record.
    fn between(&mut self, byte: u8) -> usize {
        match byte {
            b'\n' if self.after_cr => self.after_cr = false,
            b'\n' | b'\r' => {
                self.current.blanks += 1;
                self.end_line(byte);
            }
            _ => {
                self.after_cr = false;
                self.current.line = self.line;
                self.state = ScanState::CellStart;
                return 0;
            }
        }
        1
    }

    fn cell_start(&mut self, byte: u8) -> usize {
        match byte {
            _ if Some(byte) == self.quoting.quote => self.open(),
            b'\n' | b'\r' => return self.end_record(byte, 1),
            _ if byte == self.delimiter => {}
            _ => {
                self.state = ScanState::Bare;
                return 0;
            }
        }
        self.used(1)
    }

    fn bare(&mut self, rest: &[u8]) -> usize {
        for hit in memchr3_iter(self.quoting.quote.unwrap_or(b'\n'), b'\n', b'\r', rest) {
            if matches!(rest[hit], b'\n' | b'\r') {
                return self.end_record(rest[hit], hit + 1);
            }
            if hit > 0 && rest[hit - 1] == self.delimiter {
                self.open();
                return self.used(hit + 1);
            }
            self.current.has_bare_quote = true;
        }
        if rest.last() == Some(&self.delimiter) {
            self.state = ScanState::CellStart;
        }
        self.used(rest.len())
    }

    fn quoted(&mut self, rest: &[u8]) -> usize {
        let quote = self.quoting.quote.unwrap_or(b'\n');
        let mut from = 0;
        while let Some(found) = memchr3(quote, b'\n', b'\r', &rest[from..]) {
            let hit = from + found;
            from = hit + 1;
            let after_cr = if hit == 0 { self.after_cr } else { rest[hit - 1] == b'\r' };
            match rest[hit] {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => self.inner_line(),
                _ => {
                    let after_backslash =
                        if hit == 0 { self.after_backslash } else { rest[hit - 1] == b'\\' };
                    self.current.has_backslash_before_quote |= after_backslash;
                    // The next cell is quoted too.
                    if let [delimiter, next, ..] = rest[from..]
                        && delimiter == self.delimiter
                        && next == quote
                    {
                        self.open();
                        from += 2;
                        continue;
                    }
                    self.state = ScanState::QuoteSeen;
                    self.after_cr = false;
                    self.after_backslash = false;
                    return self.used(from);
                }
            }
        }
        self.after_cr = rest.last() == Some(&b'\r');
        self.after_backslash = rest.last() == Some(&b'\\');
        self.used(rest.len())
    }

    /// As [`RecordScanner::quoted`], where a quote may be escaped. Byte by byte: such files are rare.
    fn escapable(&mut self, rest: &[u8]) -> usize {
        for (at, &byte) in rest.iter().enumerate() {
            match byte {
                _ if Some(byte) == self.quoting.escape => self.state = ScanState::Escaped,
                _ if Some(byte) == self.quoting.quote => self.state = ScanState::QuoteSeen,
                _ => self.count_inner_line(byte),
            }
            if self.state != ScanState::Quoted {
                self.after_cr = false;
                return self.used(at + 1);
            }
        }
        self.used(rest.len())
    }

    fn escaped(&mut self, byte: u8) -> usize {
        self.count_inner_line(byte);
        self.state = ScanState::Quoted;
        self.used(1)
    }

    fn count_inner_line(&mut self, byte: u8) {
        if byte == b'\r' || (byte == b'\n' && !self.after_cr) {
            self.inner_line();
        }
        self.after_cr = byte == b'\r';
    }

    fn inner_line(&mut self) {
        self.line += 1;
        self.current.inner_lines += 1;
    }

    fn quote_seen(&mut self, byte: u8) -> usize {
        match byte {
            _ if Some(byte) == self.quoting.quote && self.state == ScanState::QuoteSeen => {
                self.state = ScanState::Quoted;
            }
            b'\n' | b'\r' => return self.end_record(byte, 1),
            _ if byte == self.delimiter => self.state = ScanState::CellStart,
            b' ' | b'\t' => self.state = ScanState::Padding,
            _ => {
                if self.line > self.quote_line && self.current.runaway.is_none() {
                    self.current.runaway = Some((self.quote_line, self.line));
                }
                self.current.is_stray = true;
                self.state = ScanState::Bare;
                return 0;
            }
        }
        self.used(1)
    }

    fn open(&mut self) {
        self.state = ScanState::Quoted;
        self.quote_line = self.line;
        self.after_cr = false;
    }

    fn used(&mut self, bytes: usize) -> usize {
        self.current.len += bytes as u64;
        bytes
    }

    fn end_record(&mut self, line_end: u8, bytes: usize) -> usize {
        self.used(bytes);
        self.end_line(line_end);
        self.complete();
        bytes
    }

    fn end_line(&mut self, byte: u8) {
        self.line += 1;
        self.after_cr = byte == b'\r';
    }

    fn complete(&mut self) {
        self.spans.push_back(std::mem::take(&mut self.current));
        self.state = ScanState::Between;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(data: &[u8], chunk: usize) -> (Vec<RecordSpan>, u64, Option<u64>) {
        frame_as(data, chunk, Quoting::DOUBLED)
    }

    fn frame_as(data: &[u8], chunk: usize, quoting: Quoting) -> (Vec<RecordSpan>, u64, Option<u64>) {
        let mut scanner = RecordScanner::new(b',', quoting, 1);
        data.chunks(chunk).for_each(|part| scanner.feed(part));
        let open = scanner.finish().err();
        let spans = std::iter::from_fn(|| scanner.take()).collect();
        (spans, scanner.trailing_blanks(), open)
    }

    fn parser(data: &[u8], quoting: Quoting) -> csv::Reader<&[u8]> {
        let mut builder = csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true).escape(quoting.escape).quoting(quoting.quote.is_some());
        builder.quote(quoting.quote.unwrap_or(b'"')).from_reader(data)
    }

    /// The lines where the csv crate's records begin, from its byte offsets.
    fn lines_by_csv(data: &[u8], quoting: Quoting) -> Vec<u64> {
        let mut reader = parser(data, quoting);
        let mut record = csv::ByteRecord::new();
        let mut lines = Vec::new();
        while reader.read_byte_record(&mut record).unwrap() {
            let mut at = usize::try_from(record.position().unwrap().byte()).unwrap();
            while matches!(data[at], b'\r' | b'\n') {
                at += 1;
            }
            lines.push(1 + line_ends(&data[..at]));
        }
        lines
    }

    fn line_ends(data: &[u8]) -> u64 {
        let text: String = data.iter().map(|&b| char::from(b)).collect();
        text.replace("\r\n", "\n").replace('\r', "\n").matches('\n').count() as u64
    }

    /// Whether the csv crate is inside quotes at the end: then a line end does not end the record.
    fn open_by_csv(data: &[u8], quoting: Quoting) -> bool {
        let mut probe = data.to_vec();
        probe.extend_from_slice(b"\x01\n\x02");
        let last = parser(&probe, quoting).into_byte_records().last().unwrap().unwrap();
        last != vec![b"\x02"]
    }

    fn soup() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop::sample::select(b"\",\n\ra \\'".to_vec());
        prop::collection::vec(byte, 0..60)
    }

    fn quoting() -> impl Strategy<Value = Quoting> {
        let single = Quoting { quote: Some(b'\''), escape: None };
        prop::sample::select(vec![Quoting::DOUBLED, Quoting::BACKSLASH, Quoting::NONE, single])
    }

    proptest! {
        #[test]
        fn records_and_their_lines_are_those_of_the_csv_crate(data in soup(), quoting in quoting()) {
            let (spans, _, open) = frame_as(&data, 7, quoting);
            let mut lines: Vec<u64> = spans.iter().map(|span| span.line).collect();
            let expected = lines_by_csv(&data, quoting);
            prop_assert_eq!(open.is_some(), open_by_csv(&data, quoting));
            if open.is_some() {
                lines.push(*expected.last().unwrap());
            }
            prop_assert_eq!(lines, expected);
        }

        #[test]
        fn the_size_of_the_reads_changes_nothing(data in soup(), size in 1usize..9, quoting in quoting()) {
            prop_assert_eq!(frame_as(&data, size, quoting), frame_as(&data, 1000, quoting));
        }

        #[test]
        fn lines_are_blanks_and_records(data in soup()) {
            let data: Vec<u8> = data.into_iter().filter(|&b| b != b'"').collect();
            let (spans, trailing, _) = frame(&data, 5);
            let blanks = trailing + spans.iter().map(|span| span.blanks).sum::<u64>();
            let last = u64::from(!data.is_empty() && !matches!(data[data.len() - 1], b'\r' | b'\n'));
            prop_assert_eq!(blanks + spans.len() as u64, line_ends(&data) + last);
        }
    }

    #[test]
    fn an_open_quote_is_named_by_where_it_opens() {
        assert_eq!(frame(b"a\nb,\"x\r\ny\n", 100).2, Some(2));
        assert_eq!(frame(b"a\n\"x\"\"\n,\n\n\"\"y\n", 100).2, Some(2));
        assert_eq!(frame(b"a\nb\"x\nc \"d\n", 100).2, None, "a quote inside a bare cell is text");
    }

    #[test]
    fn a_quote_closed_by_the_next_cells_opening_quote_is_a_runaway() {
        let (spans, ..) = frame(b"sku,name\nA5,\"abc\nA6,x\nA7,\"xy\"\nA8,z\n", 100);
        assert_eq!(spans.iter().map(|span| span.runaway).collect::<Vec<_>>(), [None, Some((2, 4)), None]);
        let (spans, ..) = frame(b"A,\"b\nC,\" d\"\n", 1);
        assert_eq!(spans[0].runaway, Some((1, 2)));
        let (spans, ..) = frame(b"A1,\"5\" TV\"\nA2,\"two\nlines\"\nA3,\"two\nlines\" \t,x\n", 100);
        assert!(spans.iter().all(|span| span.runaway.is_none()));
    }

    #[test]
    fn the_length_of_a_record_has_its_quotes_and_its_line_end() {
        let (spans, ..) = frame(b"\n\nab,\"c\n\"\r\nd", 2);
        assert_eq!(spans.iter().map(|span| (span.len, span.blanks)).collect::<Vec<_>>(), [(8, 2), (1, 0)]);
    }
}
