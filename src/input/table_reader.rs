//! Reads the records of a table that this program wrote, or that a spreadsheet wrote of it: RFC 4180, in UTF-8, with any
//! delimiter.

use std::io::{self, Read};

use csv::ByteRecord;

/// Where a record of a table begins and ends, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TablePlace {
    /// Its first byte.
    pub(crate) start: u64,
    /// After its line end.
    pub(crate) end: u64,
}

/// Reads records with their places.
pub(crate) struct TableReader<R> {
    records: csv::Reader<R>,
    /// Bytes before the first record: a byte-order mark.
    mark: u64,
}

const MARK: &[u8] = b"\xef\xbb\xbf";

impl<R: Read> TableReader<io::Chain<io::Cursor<Vec<u8>>, R>> {
    /// Begins at the beginning of a table, whose byte-order mark is skipped.
    ///
    /// # Errors
    /// Those of the reader.
    pub(crate) fn new(mut text: R, delimiter: u8) -> io::Result<Self> {
        let mut head = Vec::with_capacity(MARK.len());
        text.by_ref().take(MARK.len() as u64).read_to_end(&mut head)?;
        let mark = if head == MARK { std::mem::take(&mut head).len() as u64 } else { 0 };
        let records = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(io::Cursor::new(head).chain(text));
        Ok(Self { records, mark })
    }
}

impl<R: Read> TableReader<R> {
    /// Reads the next record. `None` at the end.
    ///
    /// # Errors
    /// Those of the reader.
    pub(crate) fn next(&mut self, record: &mut ByteRecord) -> io::Result<Option<TablePlace>> {
        if !self.records.read_byte_record(record).map_err(io::Error::from)? {
            return Ok(None);
        }
        let start = record.position().map_or(0, csv::Position::byte);
        Ok(Some(TablePlace { start: self.mark + start, end: self.place() }))
    }

    /// Bytes that were read.
    pub(crate) fn place(&self) -> u64 {
        self.mark + self.records.position().byte()
    }
}

/// The cells of the one record in a piece of a table.
#[must_use]
pub(crate) fn record_in(piece: &[u8], delimiter: u8) -> Option<ByteRecord> {
    let mut records = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(piece.len().clamp(64, 64 << 10))
        .from_reader(piece);
    let mut record = ByteRecord::new();
    records.read_byte_record(&mut record).ok()?.then_some(record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::input::{LineEnd, push_cell};

    #[test]
    fn a_mark_is_no_part_of_the_first_cell() {
        let text = "\u{feff}a,b\n1,2\n";
        let mut reader = TableReader::new(text.as_bytes(), b',').unwrap();
        let mut record = ByteRecord::new();
        assert_eq!(reader.next(&mut record).unwrap(), Some(TablePlace { start: 3, end: 7 }));
        assert_eq!(record, ByteRecord::from(vec!["a", "b"]));
        assert_eq!(reader.next(&mut record).unwrap(), Some(TablePlace { start: 7, end: 11 }));
        assert_eq!(reader.next(&mut record).unwrap(), None);
    }

    proptest! {
        #[test]
        fn each_record_is_at_its_place(
            rows in proptest::collection::vec(proptest::collection::vec("[\",;\r\n' a\u{e9}]{0,6}", 2..4), 1..8),
            delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
            crlf: bool,
        ) {
            let line_end = if crlf { LineEnd::CrLf } else { LineEnd::Lf };
            let mut text = Vec::new();
            for row in &rows {
                for (index, cell) in row.iter().enumerate() {
                    if index > 0 {
                        text.push(delimiter);
                    }
                    push_cell(&mut text, cell.as_bytes(), delimiter);
                }
                text.extend_from_slice(line_end.bytes());
            }
            let mut reader = TableReader::new(&text[..], delimiter).unwrap();
            let mut record = ByteRecord::new();
            for row in &rows {
                let place = reader.next(&mut record).unwrap().unwrap();
                prop_assert_eq!(&record, &ByteRecord::from(row.clone()));
                let piece = &text[usize::try_from(place.start).unwrap()..usize::try_from(place.end).unwrap()];
                prop_assert_eq!(record_in(piece, delimiter), Some(record.clone()));
            }
            prop_assert_eq!(reader.next(&mut record).unwrap(), None);
        }
    }
}
