//! Returns the rows of an input one by one, each with its line and its damage.

use std::io::Read;
use std::str::from_utf8;
use std::sync::Arc;

use csv::ByteRecord;

use crate::input::dialect::{self, read_dialect};
use crate::input::error::InputError;
use crate::input::header;
use crate::input::key_column::KeySearch;
use crate::input::location::InputLocation;
use crate::input::not_utf8_rows::NotUtf8Rows;
use crate::input::record_reader::CsvRecordReader;
use crate::input::record_scanner::RecordSpan;
use crate::input::row::{Columns, Damage, QuotingDoubt, Row};
use crate::input::row_form::{RowFit, RowForm};
use crate::input::row_share::{InputContent, RowShare, SharedRow, SkippedRow};
use crate::input::settings::{InputPath, InputSettings, ShortRows};
use crate::input::sniff::line_length;
use crate::input::source::InputSource;
use crate::model::Seq;

/// The buffer of a record over this many bytes is not reused.
const BUFFER_KEPT: u64 = 1 << 20;

/// Bytes of a record that is used again; a larger one would keep its memory for the small ones that follow.
const SMALL: usize = 256;

/// The lines that are searched for a header below the first line.
const HEADER_WITHIN: u64 = 20;

/// One row in so many may be no UTF-8; more are text of another encoding.
const NOT_UTF8_SHARE: u64 = 50;

/// The cell more of a row that has text after a closing quote.
const TEXT_AFTER_QUOTE: &[u8] = b"text after a closing quote";

/// The rows of an input, read on demand.
///
/// A failure file of an earlier run is recognised by its header. Its three columns and the apostrophes before
/// its cells are removed, also if `headers` is off: it has a header in any case.
pub struct Rows {
    records: CsvRecordReader,
    columns: Arc<Columns>,
    form: RowForm,
    /// How the record that was read last fits it.
    fit: RowFit,
    /// Records of empty cells alone so far.
    empty: u64,
    is_failure_file: bool,
    has_failure_columns: bool,
    /// A backslash before a quote may be an escape.
    may_escape: bool,
    /// Rows that are not UTF-8.
    not_utf8: NotUtf8Rows,
    /// The record that was read last.
    record: ByteRecord,
    /// Records of rows that are done with.
    spare: Vec<ByteRecord>,
    /// That record is the first row: it was read to count the columns, and is not returned yet.
    held: Option<RecordSpan>,
    next: u64,
    limit: u64,
    /// None where all rows are returned.
    share: Option<RowShare>,
}

impl Rows {
    /// Opens an input and reads its header.
    ///
    /// # Errors
    /// No such input, one that cannot be read or is not CSV, no header, no key column.
    pub fn open(path: &InputPath, settings: &InputSettings) -> Result<Self, InputError> {
        Self::new(InputSource::open(path)?, settings)
    }

    /// Reads bytes from any reader. `name` is its name in messages.
    ///
    /// # Errors
    /// As [`Rows::open`].
    pub fn from_reader(
        reader: Box<dyn Read + Send>,
        name: &str,
        settings: &InputSettings,
    ) -> Result<Self, InputError> {
        Self::new(InputSource::new(reader, InputLocation::named(name))?, settings)
    }

    pub(super) fn new(source: InputSource, settings: &InputSettings) -> Result<Self, InputError> {
        let (source, dialect) = read_dialect(source, settings)?;
        let mut records = CsvRecordReader::new(source, &dialect);
        let (mut record, mut empty) = (ByteRecord::new(), 0);
        let mut first = records.read(&mut record)?;
        while first.is_some() && record.as_slice().is_empty() {
            empty += 1;
            first = records.read(&mut record)?;
        }
        let Some(first) = first else {
            let at = records.location().clone();
            let nothing = if settings.headers {
                InputError::NoHeader { at }
            } else {
                InputError::NoRow { at, headers: false }
            };
            return Err(nothing);
        };
        let at = records.location().line(first.line);
        let is_failure_file = header::is_failure_header(&record);
        let has_failure_columns = header::has_failure_columns(&record);
        let headers = settings.headers || is_failure_file;
        let names = if headers {
            header::names(&record, &at, &dialect.format, || next_records(&mut records))?
        } else {
            (1..=record.len()).map(|place| place.to_string()).collect()
        };
        let search = KeySearch { names: &names, wanted: settings.key.as_deref(), headers };
        let key = search.choose(&at, || next_records(&mut records))?;
        let form = RowForm::new(&names, key, headers)
            .with_failure_columns(is_failure_file)
            .padding(settings.short_rows == ShortRows::Pad);
        Ok(Self {
            fit: form.fit(&record),
            form,
            empty,
            records,
            columns: Arc::new(Columns { names, key, format: dialect.format, headers }),
            not_utf8: NotUtf8Rows::default(),
            is_failure_file,
            has_failure_columns,
            may_escape: dialect.may_escape,
            record,
            spare: Vec::new(),
            held: (!headers).then_some(first),
            next: 0,
            limit: settings.limit.unwrap_or(u64::MAX),
            share: settings.shard.map(RowShare::of),
        })
    }

    /// The columns.
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// Whether it is the failure file of an earlier run, or was made from one. Then it has only some rows of
    /// a larger list.
    #[must_use]
    pub(crate) fn has_failure_columns(&self) -> bool {
        self.has_failure_columns
    }

    /// Lines without a character, or of empty cells alone, so far.
    pub fn blanks(&self) -> u64 {
        self.records.blanks() + self.empty
    }

    /// Whether the input ended in a Ctrl-Z, the end-of-file mark of DOS, which is no row.
    pub(crate) fn ended_in_a_mark(&self) -> bool {
        self.records.ended_in_a_mark()
    }

    /// Takes records whose rows are done with: the memory of the small ones is used again.
    pub(crate) fn reuse(&mut self, records: Vec<ByteRecord>) {
        self.spare.extend(records.into_iter().filter(|record| record.as_slice().len() <= SMALL));
    }

    /// Whether the next row (or error) needs no further read of the underlying stream, which might block.
    pub(crate) fn more_buffered(&self) -> bool {
        self.next < self.limit && (self.held.is_some() || self.records.has_complete())
    }

    /// Whether the input ended in a row without a line end.
    pub(super) fn ended_in_a_row(&self) -> bool {
        self.records.ended_in_a_record()
    }

    /// The next row. `None` at the end, at the limit, and after an error.
    ///
    /// # Errors
    /// Damage to the whole of the input, or no data row at all.
    pub fn next_row(&mut self) -> Result<Option<Row>, InputError> {
        loop {
            match self.next_of_all()? {
                Some(SharedRow::OfOther) => {}
                Some(SharedRow::Own(row)) => return Ok(Some(row)),
                None => return Ok(None),
            }
        }
    }

    /// The next row of the whole input, whoever's it is.
    ///
    /// # Errors
    /// As [`Rows::next_row`].
    pub(crate) fn next_of_all(&mut self) -> Result<Option<SharedRow>, InputError> {
        let Some((seq, span)) = self.advance()? else { return Ok(None) };
        let damage = self.damage(&span);
        if !self.is_own(seq, &span) {
            return Ok(Some(SharedRow::OfOther));
        }
        let quoting_doubt = self.quoting_doubt(&span);
        let (record, is_padded) = (self.own_record(&span, damage.as_ref()), self.fit.is_padded);
        let row = Row { seq, line: span.line, record, is_padded, damage, quoting_doubt };
        if span.len > BUFFER_KEPT {
            self.record = ByteRecord::new();
        }
        Ok(Some(SharedRow::Own(row)))
    }

    /// Skips the next row of the whole input, and says whether it would be returned, and is damaged. `None` as in
    /// [`Rows::next_row`].
    pub(super) fn skip_row(&mut self) -> Result<Option<SkippedRow>, InputError> {
        Ok(self.advance()?.map(|(seq, span)| {
            let is_damaged = self.damage(&span).is_some();
            SkippedRow { is_own: self.is_own(seq, &span), is_damaged }
        }))
    }

    /// What all rows so far are, where only some are returned.
    pub(crate) fn content(&self) -> Option<InputContent> {
        self.share.as_ref().map(RowShare::content)
    }

    fn is_own(&mut self, seq: Seq, span: &RecordSpan) -> bool {
        let Some(share) = &mut self.share else { return true };
        let is_unquoted = span.has_bare_quote || self.columns.format.quoting.quote.is_none();
        let key = self.record.get(self.columns.key).filter(|_| self.columns.key < self.fit.cells);
        let guarded = self.is_failure_file;
        let key = key.map(|cell| if guarded { header::unguarded(cell, is_unquoted) } else { cell });
        share.take(seq, key, &self.record)
    }

    fn advance(&mut self) -> Result<Option<(Seq, RecordSpan)>, InputError> {
        if self.next >= self.limit {
            return self.at_end();
        }
        let span = loop {
            let Some(span) = self.next_span()? else { return self.at_end() };
            self.fit = self.form.fit(&self.record);
            if !self.form.is_blank(&self.record, &self.fit) {
                break span;
            }
            self.empty += 1;
        };
        let Ok(seq) = u32::try_from(self.next) else {
            return Err(InputError::TooManyRows { at: self.records.location().line(span.line) });
        };
        self.next += 1;
        Ok(Some((Seq(seq), span)))
    }

    fn next_span(&mut self) -> Result<Option<RecordSpan>, InputError> {
        match self.held.take() {
            Some(span) => Ok(Some(span)),
            None => match self.records.read(&mut self.record)? {
                None if self.next == 0 => {
                    let at = self.records.location().clone();
                    Err(InputError::NoRow { at, headers: self.columns.headers })
                }
                span => Ok(span),
            },
        }
    }

    /// Refuses the rows where too many are text of another encoding. A few, or some beside valid text of UTF-8, are
    /// damage of their rows.
    fn at_end<T>(&mut self) -> Result<Option<T>, InputError> {
        let NotUtf8Rows { rows, others, first, cells } = std::mem::take(&mut self.not_utf8);
        // The rows of a failure file are those that failed. A single row among others is the damage of that row.
        let is_single = rows == 1 && self.next > 2;
        if is_single || self.is_failure_file || rows * NOT_UTF8_SHARE <= self.next || rows <= others {
            return Ok(None);
        }
        let at = self.records.location().line(first);
        Err(InputError::EightBit {
            at,
            rows: Some((rows, self.next)),
            likeliest: header::likely_readings(&cells).into(),
        })
    }

    /// A copy of minimal size: the buffer of the parser grows with the largest record.
    fn own_record(&mut self, span: &RecordSpan, damage: Option<&Damage>) -> ByteRecord {
        let cells = self.fit.cells;
        let length = self.record.as_slice().len();
        let spare = if length <= SMALL { self.spare.pop() } else { None };
        let mut own = spare.unwrap_or_else(|| ByteRecord::with_capacity(length, cells));
        own.clear();
        // Where quotes are text in a failure file, its cells are not quoted.
        let is_unquoted = span.has_bare_quote || self.columns.format.quoting.quote.is_none();
        for cell in self.record.iter().take(cells) {
            own.push_field(if self.is_failure_file { header::unguarded(cell, is_unquoted) } else { cell });
        }
        if damage == Some(&Damage::TextAfterQuote) {
            // The quotes are lost. With one cell more, the row fails again when a failure file is the input.
            own.push_field(TEXT_AFTER_QUOTE);
        }
        own
    }

    fn quoting_doubt(&self, span: &RecordSpan) -> Option<QuotingDoubt> {
        let (line, last) = (span.line, span.line + span.inner_lines);
        if span.inner_lines > 0 && self.are_lines_as_wide_as_rows() {
            return Some(QuotingDoubt::RowsInCell { first: line, last });
        }
        let may_be_escaped = span.has_backslash_before_quote && self.may_escape;
        may_be_escaped.then_some(QuotingDoubt::BackslashBeforeQuote { line })
    }

    /// Whether each line of the record has as many cells as the header, if no cell is quoted.
    fn are_lines_as_wide_as_rows(&self) -> bool {
        let (delimiter, width) = (self.columns.format.delimiter, self.form.width());
        let mut cells_in_line = 0;
        for mut rest in &self.record {
            cells_in_line += 1;
            while memchr::memchr2(b'\r', b'\n', rest).is_some() {
                let (line, after) = rest.split_at(line_length(rest));
                if cells_in_line + memchr::memchr_iter(delimiter, line).count() != width {
                    return false;
                }
                (cells_in_line, rest) = (1, after);
            }
            cells_in_line += memchr::memchr_iter(delimiter, rest).count();
        }
        cells_in_line == width
    }

    fn damage(&mut self, span: &RecordSpan) -> Option<Damage> {
        if self.fit.damage.is_some() {
            return self.fit.damage.clone();
        }
        if self.form.is_header(&self.record, &self.fit) {
            return Some(Damage::RepeatedHeader);
        }
        if span.is_stray {
            return Some(Damage::TextAfterQuote);
        }
        let cells = self.record.as_slice();
        if cells.is_ascii() {
            return None;
        }
        // All at once where they are text: then no delimiter may split a character.
        if let Ok(text) = from_utf8(cells) {
            let mut end = 0;
            let ends_between_characters = |cell: &[u8]| {
                end += cell.len();
                text.is_char_boundary(end)
            };
            if self.record.iter().all(ends_between_characters) {
                self.not_utf8.others += 1;
                return None;
            }
        }
        let Some(bad) = self.record.iter().take(self.fit.cells).position(|cell| from_utf8(cell).is_err())
        else {
            self.not_utf8.others += 1;
            return None;
        };
        let encoding = self.columns.format.encoding;
        if encoding.is_utf8() {
            self.not_utf8.note(span.line, &self.record[bad]);
        }
        Some(Damage::NotText { column: self.columns.names[bad].clone(), encoding: encoding.name() })
    }
}

/// The records of the next lines that were read already, each with its line: a pipe may never give more.
fn next_records(records: &mut CsvRecordReader) -> Vec<(u64, ByteRecord)> {
    let mut found = Vec::new();
    let mut record = ByteRecord::new();
    while records.has_complete() {
        match records.read(&mut record) {
            Ok(Some(span)) if span.line <= HEADER_WITHIN => found.push((span.line, record.clone())),
            _ => break,
        }
    }
    found
}

/// Whether a file is the failure file of an earlier run, whatever the names of its other columns. False for a
/// path that [cannot be read twice](InputPath::can_be_read_twice).
#[must_use]
pub(crate) fn is_failure_file(path: &InputPath) -> bool {
    path.can_be_read_twice() && InputSource::open(path).and_then(dialect::is_failure_file).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Write};

    use proptest::prelude::*;

    use super::*;
    use crate::input::csv_format::GivenChar;
    use crate::input::record_scanner::RECORD_CAP;
    use crate::model::Exit;

    /// Hands out bytes in reads of at most the given sizes, in turn.
    struct Trickle {
        bytes: Cursor<Vec<u8>>,
        sizes: Vec<usize>,
        turn: usize,
    }

    impl Read for Trickle {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let size = self.sizes[self.turn % self.sizes.len()].min(out.len());
            self.turn += 1;
            self.bytes.read(&mut out[..size])
        }
    }

    fn trickle(bytes: &[u8], sizes: &[usize]) -> Box<dyn Read + Send> {
        Box::new(Trickle { bytes: Cursor::new(bytes.to_vec()), sizes: sizes.to_vec(), turn: 0 })
    }

    fn open(bytes: &[u8]) -> Result<Rows, InputError> {
        open_as(bytes, &InputSettings::default())
    }

    fn open_as(bytes: &[u8], settings: &InputSettings) -> Result<Rows, InputError> {
        Rows::from_reader(Box::new(Cursor::new(bytes.to_vec())), "p.csv", settings)
    }

    type Read1 = (u64, Vec<Vec<u8>>, Option<Damage>);

    /// All rows, and the error at their end.
    fn drain(rows: &mut Rows) -> (Vec<Read1>, Option<InputError>) {
        let mut all = Vec::new();
        loop {
            match rows.next_row() {
                Ok(Some(row)) => {
                    assert_eq!(usize::try_from(row.seq.0).unwrap(), all.len());
                    all.push((row.line, row.record.iter().map(<[u8]>::to_vec).collect(), row.damage));
                }
                Ok(None) => return (all, None),
                Err(error) => return (all, Some(error)),
            }
        }
    }

    fn lines(rows: &mut Rows) -> Vec<(u64, String)> {
        let (all, error) = drain(rows);
        assert!(error.is_none(), "{error:?}");
        let text = |cells: Vec<Vec<u8>>| String::from_utf8_lossy(&cells.join(&b"/"[..])).into_owned();
        all.into_iter().map(|(line, cells, _)| (line, text(cells))).collect()
    }

    fn all(bytes: &[u8]) -> Vec<(u64, String)> {
        lines(&mut open(bytes).unwrap())
    }

    fn rows(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
        expected.iter().map(|&(line, text)| (line, text.to_owned())).collect()
    }

    fn error(bytes: &[u8]) -> InputError {
        match open(bytes) {
            Err(error) => error,
            Ok(mut rows) => drain(&mut rows).1.unwrap(),
        }
    }

    #[test]
    fn rows_have_their_physical_lines_whatever_ends_a_line() {
        let expected = rows(&[(2, "A/x"), (3, "B/y\nz"), (6, "C/w")]);
        for end in ["\n", "\r\n", "\r"] {
            let text = ["sku,name", "A,x", "B,\"y\nz\"", "", "C,w", ""].join(end);
            assert_eq!(all(text.as_bytes()), expected, "{end:?}");
        }
        assert_eq!(all(b"sku\nA\r\nB\rC\n\rD"), rows(&[(2, "A"), (3, "B"), (4, "C"), (6, "D")]));
    }

    #[test]
    fn a_byte_order_mark_or_a_sep_line_moves_no_line_number() {
        assert_eq!(all(b"\xef\xbb\xbfsku\nA\n"), rows(&[(2, "A")]));
        let mut rows_ = open(b"\xef\xbb\xbfsep=;\r\nsku;name\r\nA;b,c\r\n").unwrap();
        assert_eq!(rows_.columns().names, ["sku", "name"]);
        assert_eq!(rows_.columns().format.delimiter, b';');
        assert_eq!(lines(&mut rows_), rows(&[(3, "A/b,c")]));
        assert_eq!(rows_.blanks(), 0);
    }

    #[test]
    fn a_line_without_a_character_or_of_empty_cells_is_blank_and_one_with_a_space_is_a_row() {
        let mut input = open(b"\n\r\n,,\nsku,name\n\n ,\n,\n\r\n  \nA,b\n,,,\n\n\n").unwrap();
        assert_eq!(lines(&mut input), rows(&[(6, " /"), (9, "  "), (10, "A/b")]));
        assert_eq!(input.blanks(), 9);
    }

    #[test]
    fn in_one_column_a_blank_line_and_an_empty_quoted_cell_are_blank() {
        let mut input = open(b"sku\n\n\"\"\nA\n\"\"").unwrap();
        assert_eq!(lines(&mut input), rows(&[(4, "A")]));
        assert_eq!(input.blanks(), 3);
    }

    #[test]
    fn a_header_once_more_is_damage_and_a_ctrl_z_at_the_end_no_row() {
        let mut input = open(b"sku,name\nA,x\n\xef\xbb\xbfSKU, name,\nB,y\x1a").unwrap();
        let (found, end) = drain(&mut input);
        assert!(end.is_none() && input.ended_in_a_mark());
        let damage: Vec<_> = found.iter().map(|row| row.2.clone()).collect();
        assert_eq!(damage, [None, Some(Damage::RepeatedHeader), None]);
        assert_eq!(found[2].1, [b"B".to_vec(), b"y".to_vec()]);
        let mut input = open(b"sku\nA\n\x1a\x1a").unwrap();
        assert_eq!(lines(&mut input), rows(&[(2, "A")]));
        let mut input = open(b"sku\nA\n\x1a\nB\n").unwrap();
        assert_eq!(lines(&mut input).len(), 3, "only at the end");
    }

    #[test]
    fn ragged_rows_and_bytes_that_are_no_text_are_handed_on_damaged_and_whole() {
        let (found, end) =
            drain(&mut open(b"sku,name\nA\nB,x,y\nC,\xff\nD,\xc3,\xa9\nE,\xc3\xa9\n").unwrap());
        assert!(end.is_none());
        let damage: Vec<_> = found.iter().map(|row| row.2.clone()).collect();
        let count = |found| Some(Damage::FieldCount { found, expected: 2 });
        let name = Some(Damage::NotText { column: "name".into(), encoding: "UTF-8" });
        assert_eq!(damage, [count(1), count(3), name, count(3), None]);
        assert_eq!(found[2].1, [b"C".to_vec(), b"\xff".to_vec()]);
        let (found, _) = drain(&mut open(b"sku,name\n\xc3,\xa9\n").unwrap());
        assert_eq!(
            found[0].2,
            Some(Damage::NotText { column: "sku".into(), encoding: "UTF-8" }),
            "a character cut in two"
        );
    }

    #[test]
    fn a_nul_in_a_cell_is_a_character_like_any_other() {
        let (found, end) = drain(&mut open(b"sku,name\nA\0,x\n").unwrap());
        assert_eq!((found[0].1[0].as_slice(), &found[0].2, end.is_none()), (&b"A\0"[..], &None, true));
    }

    #[test]
    fn nothing_or_only_a_header_is_an_error() {
        for bytes in [&b""[..], b"\xef\xbb\xbf", b"\n\r\n", b"sep=;\n"] {
            assert!(matches!(error(bytes), InputError::NoHeader { .. }), "{bytes:?}");
        }
        for bytes in [&b"sku"[..], b"sku\n\n\n"] {
            assert!(matches!(error(bytes), InputError::NoRow { headers: true, .. }), "{bytes:?}");
        }
        let bare = InputSettings { headers: false, ..InputSettings::default() };
        let error = open_as(b"", &bare).err().unwrap();
        assert_eq!(error.to_string(), "p.csv: there is no data row");
        assert_eq!(error.exit(), Exit::Data);
    }

    #[test]
    fn without_headers_columns_are_numbered_and_the_first_line_is_a_row() {
        let settings = InputSettings { headers: false, key: Some("2".into()), ..InputSettings::default() };
        let mut input = open_as(b"\nx;A\ny;B\n", &settings).unwrap();
        assert_eq!((input.columns().names.join(","), input.columns().key), ("1,2".into(), 1));
        assert!(input.more_buffered());
        assert_eq!(lines(&mut input), rows(&[(2, "x/A"), (3, "y/B")]));
        assert_eq!(input.blanks(), 1);
    }

    #[test]
    fn the_limit_ends_the_rows_before_what_follows_it() {
        let settings = InputSettings { limit: Some(2), ..InputSettings::default() };
        let mut input = open_as(b"sku\nA\n\nB\n\n\"open", &settings).unwrap();
        assert_eq!(lines(&mut input), rows(&[(2, "A"), (4, "B")]));
        assert_eq!(input.blanks(), 1);
        assert!(!input.more_buffered());
    }

    #[test]
    fn rows_before_an_open_quote_are_read_and_then_its_line_is_reported() {
        let (found, end) = drain(&mut open(b"sku,name\nA,x\nB,\"y\nC,z\nD,w\n").unwrap());
        assert_eq!(found.len(), 1);
        let end = end.unwrap();
        assert_eq!(end.to_string(), "p.csv, line 3: the quote that opens a cell here never closes");
        assert_eq!(end.exit(), Exit::Data);
    }

    #[test]
    fn rows_swallowed_between_two_quotes_are_an_error_too() {
        let (found, end) = drain(&mut open(b"sku,name\nA,x\nB,\"y\nC,z\nD,\"w\"\nE,v\n").unwrap());
        assert_eq!(found.len(), 1);
        assert!(end.unwrap().to_string().starts_with("p.csv, line 3: "));
        let quoted = InputSettings { quote: GivenChar::Char(b'"'), ..InputSettings::default() };
        let (found, end) = drain(&mut open_as(b"sku,name\nA,\"5\" TV\"\nB,x\n", &quoted).unwrap());
        assert_eq!(
            (found[0].2.clone(), &found[1].2, end.is_none()),
            (Some(Damage::TextAfterQuote), &None, true)
        );
        assert_eq!(found[0].1.len(), 3, "so that it fails again when a failure file is the input");
    }

    #[test]
    fn rows_that_may_be_quoted_in_another_way_are_marked() {
        let doubts = |bytes: &[u8], settings: &InputSettings| {
            let mut input = open_as(bytes, settings).unwrap();
            let rows = std::iter::from_fn(|| input.next_row().unwrap());
            rows.filter_map(|row| row.quoting_doubt).collect::<Vec<_>>()
        };
        let usual = InputSettings::default();
        let rows_in_cell = |first, last| QuotingDoubt::RowsInCell { first, last };
        for (text, found) in [
            ("sku,name\nA,\"x\nB,y\"\nC,z\n", vec![rows_in_cell(2, 3)]),
            ("sku,name\nA,\"x\r\nB,y\r\n\"\nC,z\n", vec![]),
            ("sku,name\nA,\"x\n,\"\nC,z\n", vec![rows_in_cell(2, 3)]),
            ("sku,name\n\"A,x\nB\",\"y\"\n", vec![rows_in_cell(2, 3)]),
            ("sku\n\"A\nB\"\n\"C\"\n", vec![rows_in_cell(2, 3)]),
            ("sku,name\nA,\"two\nlines\"\n", vec![]),
        ] {
            assert_eq!(doubts(text.as_bytes(), &usual), found, "{text}");
        }
        // The end of an unquoted row may look like the begin of another cell.
        let unquoted = b"sku\tname\nA\t\"x\n\"\tz\n";
        let quoted = InputSettings { quote: GivenChar::Char(b'"'), ..usual.clone() };
        assert_eq!(doubts(unquoted, &quoted), [rows_in_cell(2, 3)]);

        let plain = "P,x\n".repeat(250);
        let late = format!("sku,name\n{plain}A,\"C:\\dir\\\"\n");
        assert_eq!(doubts(late.as_bytes(), &usual), [QuotingDoubt::BackslashBeforeQuote { line: 252 }]);
        let given = InputSettings { escape: GivenChar::Absent, ..usual.clone() };
        assert_eq!(doubts(late.as_bytes(), &given), []);
        let early = late.replacen("P,x", "P,\"C:\\\"", 1);
        assert_eq!(doubts(early.as_bytes(), &usual), [], "the first rows have decided");
    }

    #[test]
    fn an_endless_record_is_an_error_before_much_of_it_is_read() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                out.fill(b'a');
                if self.0 == 0 {
                    out[..10].copy_from_slice(b"sku\nA\n,,\"a");
                }
                self.0 += out.len() as u64;
                assert!(self.0 < RECORD_CAP + (2 << 20), "read too far");
                Ok(out.len())
            }
        }
        let mut input = Rows::from_reader(Box::new(Endless(0)), "p.csv", &InputSettings::default()).unwrap();
        assert_eq!(input.next_row().unwrap().unwrap().line, 2);
        let error = input.next_row().unwrap_err();
        assert_eq!(error.to_string(), "p.csv, line 3: the record that begins here is larger than 16 MiB");
        assert_eq!(error.hint().unwrap(), "a quote opens on line 3: does it ever close?");
    }

    #[test]
    fn a_record_over_the_cap_is_an_error_however_it_is_read() {
        let cap = usize::try_from(RECORD_CAP).unwrap();
        let mut bytes = b"sku\nA\n".to_vec();
        bytes.resize(6 + cap, b'x');
        let (found, end) = drain(&mut open(&bytes).unwrap());
        assert_eq!((found.len(), end.is_none()), (2, true));
        bytes.push(b'\n');
        let (found, end) = drain(&mut open(&bytes).unwrap());
        assert_eq!(found.len(), 1);
        assert!(matches!(end, Some(InputError::RecordTooLarge { .. })));
    }

    #[test]
    fn a_row_is_its_own_in_memory_that_was_used_before() {
        let mut input = open(b"sku,name\nA,long enough to leave a trace\nB\nC,x\n").unwrap();
        let first = input.next_row().unwrap().unwrap();
        input.reuse(vec![first.record, ByteRecord::from(vec!["x".repeat(SMALL + 1)])]);
        assert_eq!(input.spare.len(), 1, "a large one is not kept");
        let rows = [(); 2].map(|()| input.next_row().unwrap().unwrap());
        assert_eq!(rows.map(|row| row.record), [vec!["B"], vec!["C", "x"]]);
        assert!(input.spare.is_empty());
    }

    #[test]
    fn a_large_row_does_not_make_the_later_ones_large() {
        let mut bytes = b"sku\n".to_vec();
        bytes.resize(3 << 20, b'x');
        bytes.extend_from_slice(b"\nA\n");
        let mut input = open(&bytes).unwrap();
        input.next_row().unwrap().unwrap();
        assert!(input.record.as_slice().is_empty());
        assert_eq!(input.next_row().unwrap().unwrap().record, vec!["A"]);
    }

    #[test]
    fn more_rows_than_can_be_counted_are_an_error() {
        let mut input = open(b"sku\nA\nB\n").unwrap();
        input.next = u64::from(u32::MAX);
        assert_eq!(input.next_row().unwrap().unwrap().seq, Seq(u32::MAX));
        assert_eq!(
            input.next_row().unwrap_err().to_string(),
            "p.csv, line 3: more than 4294967295 data rows"
        );
    }

    #[test]
    fn a_failed_read_ends_the_rows_with_the_systems_reason_and_the_line() {
        struct Broken(bool);
        impl Read for Broken {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::from_raw_os_error(5));
                }
                (&mut *out).write(b"sku\nA\nB")
            }
        }
        let mut input =
            Rows::from_reader(Box::new(Broken(false)), "p.csv", &InputSettings::default()).unwrap();
        let (found, end) = drain(&mut input);
        assert_eq!(found.len(), 1);
        let end = end.unwrap();
        assert!(end.to_string().starts_with("p.csv, line 3: cannot be read: Input/output error"), "{end}");
        assert_eq!(end.exit(), Exit::Data);
        assert!(matches!(input.next_row(), Ok(None)));
    }

    #[test]
    fn more_is_buffered_exactly_while_a_whole_row_is_there() {
        struct Parts(Vec<&'static [u8]>);
        impl Read for Parts {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() { Ok(0) } else { self.0.remove(0).read(out) }
            }
        }
        let parts = Parts(vec![b"sku\nA\nB\n", b"C", b"\r\nD\r", b"E"]);
        let source =
            InputSource::waiting(Box::new(parts), InputLocation::named("p.csv"), Box::new(|| false)).unwrap();
        let mut input = Rows::new(source, &InputSettings::default()).unwrap();
        let mut seen = Vec::new();
        loop {
            let more = input.more_buffered();
            let Some(row) = input.next_row().unwrap() else { break };
            seen.push((row.record[0].to_vec(), more));
        }
        let expected = [("A", true), ("B", true), ("C", false), ("D", true), ("E", false)];
        assert_eq!(seen, expected.map(|(cell, more)| (cell.as_bytes().to_vec(), more)));
    }

    #[test]
    fn a_failure_file_is_an_input_without_its_own_columns_and_guards() {
        let file = b"sku,'=name,_error,_status,_attempts\n\
            A,'=1+1,timed out,,5\nB,''@x,\"not, found\",404,1\nC,'x,e,,0\nD,e,,0\nE,x,y,e,,0\nF,\xff,e,,0\nG\n";
        for headers in [true, false] {
            let mut input = open_as(file, &InputSettings { headers, ..InputSettings::default() }).unwrap();
            assert_eq!(input.columns().names, ["sku", "=name"]);
            assert!(input.columns().headers);
            let (found, end) = drain(&mut input);
            assert!(end.is_none());
            let cells: Vec<_> = found
                .iter()
                .map(|row| String::from_utf8_lossy(&row.1.join(&b"/"[..])).into_owned())
                .collect();
            assert_eq!(cells, ["A/=1+1", "B/'@x", "C/'x", "D", "E/x/y", "F/\u{fffd}", "G"]);
            let count = |found, expected| Some(Damage::FieldCount { found, expected });
            let name = Some(Damage::NotText { column: "=name".into(), encoding: "UTF-8" });
            let damage: Vec<_> = found.into_iter().map(|row| row.2).collect();
            assert_eq!(damage, [None, None, None, count(1, 2), count(3, 2), name, count(1, 5)]);
        }
        assert_eq!(all(b"sku,_error,_attempts,_status\n'=A,1,2,3\n"), rows(&[(2, "'=A/1/2/3")]));
    }

    fn packed(bytes: &[u8]) -> [Vec<u8>; 2] {
        let mut gzip = Vec::new();
        for part in bytes.chunks(bytes.len() / 2 + 1) {
            let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            member.write_all(part).unwrap();
            gzip.extend(member.finish().unwrap());
        }
        let mut frame = zstd::Encoder::new(Vec::new(), 1).unwrap();
        // As the zstd command does.
        frame.include_checksum(true).unwrap();
        frame.write_all(bytes).unwrap();
        [gzip, frame.finish().unwrap()]
    }

    #[test]
    fn compressed_input_is_recognised_by_its_content() {
        let plain = b"\xef\xbb\xbfsku,name\r\nA,x\r\nB,y\r\n";
        for bytes in packed(plain) {
            for sizes in [&[1][..], &[7, 3], &[100_000]] {
                let settings = InputSettings::default();
                let mut input = Rows::from_reader(trickle(&bytes, sizes), "p.csv", &settings).unwrap();
                assert_eq!(lines(&mut input), rows(&[(2, "A/x"), (3, "B/y")]));
            }
        }
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &packed(plain)[1]].concat();
        assert_eq!(all(&skippable), rows(&[(2, "A/x"), (3, "B/y")]));
    }

    #[test]
    fn packed_input_that_is_cut_short_or_damaged_never_ends_quietly() {
        let mut plain = b"sku\n".to_vec();
        for i in 0..20_000_u64 {
            writeln!(plain, "{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap();
        }
        for bytes in packed(&plain) {
            for cut in [bytes.len() / 3, bytes.len() - 1] {
                let error = error(&bytes[..cut]);
                assert!(matches!(error, InputError::Packing { .. }), "{error:?}");
                assert!(error.to_string().contains("data is cut short"), "{error}");
                assert!(error.exit() == Exit::Data && error.hint().is_some());
            }
            let mut wrong = bytes.clone();
            let middle = wrong.len() / 2;
            wrong[middle..middle + 20].fill(0xff);
            let error = error(&wrong);
            assert!(error.to_string().contains("data is"), "{error}");
        }
        let [gzip, _] = packed(b"sku\nA\n");
        let error = error(&[&gzip[..], b"trailing bytes"].concat());
        assert!(matches!(error, InputError::Packing { .. }), "{error:?}");
    }

    #[test]
    fn other_kinds_of_files_are_called_by_their_names() {
        for (bytes, word) in [
            (&b"PK\x03\x04rest"[..], "Excel"),
            (b"\xd0\xcf\x11\xe0", "old Excel"),
            (b"\xfd7zXZ\0", "xz"),
            (b"BZh91AY&SY", "bzip2"),
            (&packed(&packed(b"sku\nA")[1])[0], "packed twice"),
        ] {
            let error = error(bytes);
            assert!(error.to_string().contains(word) && error.hint().is_some(), "{error}");
        }
        for header in ["PK", "BZh", "P", "a", "(", "BZh91AY&S"] {
            assert_eq!(all(format!("{header}\nA").as_bytes()).len(), 1);
        }
    }

    #[test]
    fn utf_16_is_read_packed_or_not_and_in_any_parts() {
        let wide: Vec<u8> =
            "\u{feff}sku;name\r\nA;\u{10348}\nB;x".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let expected = rows(&[(2, "A/\u{10348}"), (3, "B/x")]);
        for bytes in std::iter::once(wide.clone()).chain(packed(&wide)) {
            for sizes in [&[1][..], &[7, 3], &[100_000]] {
                let settings = InputSettings::default();
                let mut input = Rows::from_reader(trickle(&bytes, sizes), "p.csv", &settings).unwrap();
                assert_eq!(lines(&mut input), expected);
            }
        }
    }

    #[test]
    fn too_many_rows_of_another_encoding_are_an_error_that_shows_a_cell_in_the_two_likeliest() {
        let mut csv = b"sku,name\n".to_vec();
        (0..98).for_each(|n| writeln!(csv, "{n},x").unwrap());
        csv.extend_from_slice(b"A,Gr\xf6\xdfe\nB,M\xfcller\n");
        assert!(drain(&mut open(&csv).unwrap()).1.is_none(), "2 of 100");
        csv.extend_from_slice(b"C,Caf\xe9\n");
        let end = drain(&mut open(&csv).unwrap()).1.unwrap();
        assert_eq!(end.to_string(), "p.csv, line 100: the text is not UTF-8 in 3 of 101 rows");
        assert!(end.hint().unwrap().contains("--encoding windows-1252   reads `Größe`"), "{:?}", end.hint());
        let encoding = crate::input::TextEncoding::named("windows-1252");
        let mut read = open_as(&csv, &InputSettings { encoding, ..InputSettings::default() }).unwrap();
        assert_eq!(lines(&mut read).last().unwrap(), &(102, "C/Café".to_owned()));
        // Cut characters of UTF-8 beside whole ones are no other encoding.
        assert!(drain(&mut open("sku,name\nA,\u{e9}\nB,\u{e9}\n".as_bytes()).unwrap()).1.is_none());
        let (found, end) = drain(&mut open(b"sku,name\nA,\xc3\xa9\nB,\xc3\n").unwrap());
        assert!(end.is_none() && found[1].2.is_some());
    }

    #[test]
    fn no_such_file_and_no_csv_file_are_distinguished() {
        let settings = InputSettings::default();
        let error = |path: &str| Rows::open(&path.into(), &settings).err().unwrap();
        assert_eq!(error("/nowhere/p.csv").exit(), Exit::NoInput);
        assert_eq!(error("/nowhere/p.csv").to_string(), "/nowhere/p.csv: there is no such file");
        assert_eq!(error("/").exit(), Exit::Data);
        assert_eq!(error("/").hint().unwrap(), "name the CSV file inside it");
    }

    type Table = Vec<Vec<String>>;

    fn table() -> impl Strategy<Value = Table> {
        let cell = prop_oneof!["[a-c ,;|\t\"\r\n'=]{0,6}", "\\PC{0,5}", "\0?"];
        (1usize..5).prop_flat_map(move |width| {
            prop::collection::vec(prop::collection::vec(cell.clone(), width), 1..12)
        })
    }

    #[derive(Debug, Clone)]
    struct Style {
        delimiter: u8,
        quotes: csv::QuoteStyle,
        end: csv::Terminator,
        bom: bool,
    }

    fn style() -> impl Strategy<Value = Style> {
        use csv::{QuoteStyle as Q, Terminator as T};
        let delimiter = prop::sample::select(vec![b',', b';', b'\t', b'|']);
        let quotes = prop::sample::select(vec![Q::Always, Q::Necessary, Q::NonNumeric]);
        let end = prop::sample::select(vec![T::CRLF, T::Any(b'\n'), T::Any(b'\r')]);
        (delimiter, quotes, end, any::<bool>()).prop_map(|(delimiter, quotes, end, bom)| Style {
            delimiter,
            quotes,
            end,
            bom,
        })
    }

    /// The table as a file, and the line where each of its rows begins.
    fn write(table: &Table, style: &Style) -> (Vec<u8>, Vec<u64>) {
        let mut builder = csv::WriterBuilder::new();
        builder.delimiter(style.delimiter).quote_style(style.quotes).terminator(style.end);
        let mut bytes = if style.bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        let mut lines = Vec::new();
        let header: Vec<String> = (0..table[0].len()).map(|i| format!("c{i}")).collect();
        for record in std::iter::once(&header).chain(table) {
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n").replace('\r', "\n");
            lines.push(1 + text.matches('\n').count() as u64);
            let mut writer = builder.from_writer(Vec::new());
            writer.write_record(record).unwrap();
            bytes.extend(writer.into_inner().unwrap());
        }
        (bytes, lines.split_off(1))
    }

    proptest! {
        #[test]
        fn what_any_csv_writer_wrote_is_read_cell_for_cell_however_it_arrives(
            table in table(),
            style in style(),
            sizes in prop::collection::vec(1usize..9, 1..5),
        ) {
            let (bytes, mut lines) = write(&table, &style);
            // A row of empty cells alone is blank.
            let is_row = |row: &[String]| row.iter().any(|cell| !cell.is_empty());
            prop_assume!(table.iter().any(|row| is_row(row)));
            let mut are_rows = table.iter().map(|row| is_row(row));
            lines.retain(|_| are_rows.next() == Some(true));
            let blanks = table.iter().filter(|row| !is_row(row)).count() as u64;
            let rows: Table = table.iter().filter(|row| is_row(row)).cloned().collect();
            // The header of a single column shows no delimiter.
            let delimiter = (table[0].len() == 1).then_some(style.delimiter);
            let settings = InputSettings { key: Some("c0".into()), delimiter, ..InputSettings::default() };
            // Where quotes, escapes and delimiters leave a doubt, the rows are refused until they are given.
            let (quote, escape) = (GivenChar::Char(b'"'), GivenChar::Absent);
            let settings = match open_as(&bytes, &settings) {
                Ok(_) => settings,
                Err(_) => InputSettings { quote, escape, delimiter: Some(style.delimiter), ..settings },
            };
            let mut whole = open_as(&bytes, &settings).unwrap();
            let (found, end) = drain(&mut whole);
            prop_assert!(end.is_none(), "{end:?}");
            let cells: Vec<Vec<String>> = found
                .iter()
                .map(|row| row.1.iter().map(|cell| String::from_utf8(cell.clone()).unwrap()).collect())
                .collect();
            prop_assert_eq!(&cells, &rows);
            prop_assert_eq!(found.iter().map(|row| row.0).collect::<Vec<_>>(), lines);
            prop_assert!(found.iter().all(|row| row.2.is_none()));
            prop_assert_eq!(whole.blanks(), blanks);

            for sizes in [&sizes[..], &[1]] {
                let mut slow = Rows::from_reader(trickle(&bytes, sizes), "p.csv", &settings).unwrap();
                let (again, end) = drain(&mut slow);
                prop_assert!(end.is_none(), "{end:?}");
                prop_assert_eq!(&again, &found);
            }
        }

        #[test]
        fn any_bytes_are_read_the_same_however_they_arrive_and_nothing_panics(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\",;\r\na=\0".to_vec())], 0..80),
            headers in any::<bool>(),
        ) {
            let settings = InputSettings { key: None, headers, ..InputSettings::default() };
            let all = |reader| match Rows::from_reader(reader, "p.csv", &settings) {
                Err(error) => (Vec::new(), Some(error.to_string()), 0),
                Ok(mut rows) => {
                    let (found, end) = drain(&mut rows);
                    (found, end.map(|error| error.to_string()), rows.blanks())
                }
            };
            prop_assert_eq!(all(trickle(&bytes, &[1])), all(trickle(&bytes, &[100])));
        }

        #[test]
        fn rows_are_the_records_of_the_csv_crate(
            bytes in prop::collection::vec(prop::sample::select(b"\",\r\nab \xff".to_vec()), 0..80),
        ) {
            let key = Some("1".into());
            let (delimiter, quote) = (Some(b','), GivenChar::Char(b'"'));
            let settings = InputSettings { headers: false, key, delimiter, quote, ..InputSettings::default() };
            let Ok(mut rows) = open_as(&bytes, &settings) else { return Ok(()) };
            let (found, None) = drain(&mut rows) else { return Ok(()) };
            let mut csv = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&*bytes);
            let cells = |record: ByteRecord| record.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
            let mut records: Vec<_> = csv.byte_records().map(|record| cells(record.unwrap())).collect();
            records.retain(|cells| cells.iter().any(|cell| !cell.is_empty()));
            let width = records.first().map_or(0, Vec::len);
            for cells in &mut records {
                if cells.len() > width && cells[width..].iter().all(Vec::is_empty) {
                    cells.truncate(width);
                }
            }
            let own = |(_, mut cells, damage): Read1| {
                // A cell that tells of the text after a quote.
                cells.truncate(cells.len() - usize::from(damage == Some(Damage::TextAfterQuote)));
                cells
            };
            prop_assert_eq!(found.into_iter().map(own).collect::<Vec<_>>(), records);
        }
    }
}
