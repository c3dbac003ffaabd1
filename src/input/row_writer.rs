//! Writes rows in the form of the file that they were read from.

use std::io::{self, Read, Write};

use crate::input::csv_format::{CsvFormat, Quoting};
use crate::input::header::FAILURE_COLUMNS;
use crate::input::text_encoding::{DecodingReader, TextEncoding, Unmappable};

/// Writes rows in a form. Reading them in that form gives the same cells.
///
/// A cell of a form without quoting must hold neither the delimiter nor a line end: no such cell is read in that form.
pub(crate) struct RowWriter<W> {
    inner: W,
    format: CsvFormat,
    /// The row in UTF-8, and in the encoding of the file.
    text: Vec<u8>,
    encoded: Vec<u8>,
}

impl<W: Write> RowWriter<W> {
    /// Begins a file, with a byte-order mark if the form has one.
    ///
    /// # Errors
    /// Those of the writer.
    pub(crate) fn new(mut inner: W, format: CsvFormat) -> io::Result<Self> {
        if format.has_mark {
            inner.write_all(format.encoding.mark())?;
        }
        Ok(Self { inner, format, text: Vec::new(), encoded: Vec::new() })
    }

    /// Writes a row. `note` is a text for people that follows its cells, in which a character that the encoding does
    /// not have becomes a question mark.
    ///
    /// # Errors
    /// Those of the writer. [`Unmappable`] inside: a cell has a character that the encoding does not have; nothing is
    /// written then.
    pub(crate) fn write<C: AsRef<[u8]>>(
        &mut self,
        cells: impl IntoIterator<Item = C>,
        (note, last): (&str, [&[u8]; 2]),
    ) -> io::Result<Result<(), Unmappable>> {
        self.text.clear();
        for cell in cells {
            write_cell(&mut self.text, cell.as_ref(), self.format);
            self.text.push(self.format.delimiter);
        }
        self.encoded.clear();
        if self.format.encoding.encode(&self.text, &mut self.encoded).is_err() {
            return Ok(Err(Unmappable));
        }
        self.text.clear();
        if note == FAILURE_COLUMNS[0] {
            write_plain_cell(&mut self.text, note.as_bytes(), self.format);
        } else {
            self.format.encoding.encode_lossy(&self.plain(note), &mut self.encoded);
        }
        for cell in last {
            self.text.push(self.format.delimiter);
            write_plain_cell(&mut self.text, cell, self.format);
        }
        self.text.push(b'\n');
        // Digits and names in ASCII: every encoding has them.
        let _ = self.format.encoding.encode(&self.text, &mut self.encoded);
        self.inner.write_all(&self.encoded).map(Ok)
    }

    /// A text without what could end its cell in any reading.
    fn plain(&self, note: &str) -> String {
        let CsvFormat { delimiter, quoting: Quoting { quote, .. }, .. } = self.format;
        let ends_a_cell = |c: char| {
            u8::try_from(c).is_ok_and(|byte| {
                byte == delimiter || Some(byte) == quote || matches!(byte, b'"' | b'\r' | b'\n')
            })
        };
        note.replace(ends_a_cell, if delimiter == b' ' { "_" } else { " " })
    }

    /// The writer.
    pub(crate) fn into_inner(self) -> W {
        self.inner
    }

    /// Copies rows that were written in another encoding.
    ///
    /// # Errors
    /// Those of both.
    pub(crate) fn copy(&mut self, rows: impl Read, encoding: TextEncoding) -> io::Result<()> {
        io::copy(&mut DecodingReader::new(rows, encoding), &mut self.inner).map(drop)
    }
}

/// The last name of a failure file's header, which shows the quoting where it is not the usual one.
pub(crate) fn last_name(name: &str, quoting: Quoting) -> Vec<u8> {
    match quoting {
        Quoting { quote: Some(quote), escape } if quoting != Quoting::DOUBLED => {
            [&[quote][..], escape.as_slice(), name.as_bytes(), &[quote]].concat()
        }
        _ => name.as_bytes().to_vec(),
    }
}

/// Appends a name or a number, which is quoted already or needs quotes for the delimiter alone.
fn write_plain_cell(out: &mut Vec<u8>, cell: &[u8], format: CsvFormat) {
    match format.quoting.quote {
        Some(quote) if !cell.starts_with(&[quote]) => write_cell(out, cell, format),
        _ => out.extend_from_slice(cell),
    }
}

/// Appends a cell as RFC 4180 has it, quoted where it must be.
pub(crate) fn push_cell(out: &mut Vec<u8>, cell: &[u8], delimiter: u8) {
    write_cell(out, cell, CsvFormat { delimiter, ..CsvFormat::default() });
}

/// Appends a cell, quoted where it must be.
fn write_cell(out: &mut Vec<u8>, cell: &[u8], format: CsvFormat) {
    let Quoting { quote: Some(quote), escape } = format.quoting else {
        out.extend_from_slice(cell);
        return;
    };
    let is_special = |byte: u8| {
        byte == quote || byte == format.delimiter || Some(byte) == escape || matches!(byte, b'\r' | b'\n')
    };
    if !cell.iter().any(|&byte| is_special(byte)) {
        out.extend_from_slice(cell);
        return;
    }
    out.push(quote);
    for &byte in cell {
        if byte == quote || Some(byte) == escape {
            out.push(escape.unwrap_or(quote));
        }
        out.push(byte);
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(rows: &[Vec<Vec<u8>>], format: CsvFormat) -> Vec<u8> {
        let mut writer = RowWriter::new(Vec::new(), format).unwrap();
        for row in rows {
            writer.write(row, ("a, \"b\"\n", [b"404", b"1"])).unwrap().unwrap();
        }
        writer.into_inner()
    }

    #[test]
    fn a_note_is_one_cell_in_every_reading() {
        let format = CsvFormat { delimiter: b';', ..CsvFormat::default() };
        assert_eq!(written(&[vec![b"x;".to_vec()]], format), b"\"x;\";a,  b  ;404;1\n");
    }

    #[test]
    fn a_cell_that_the_encoding_does_not_have_writes_nothing() {
        let encoding = TextEncoding::named("windows-1252").unwrap();
        let mut writer = RowWriter::new(Vec::new(), CsvFormat { encoding, ..CsvFormat::default() }).unwrap();
        assert_eq!(writer.write(["ж"], ("ж", [b"", b"1"])).unwrap(), Err(Unmappable));
        writer.write(["ä"], ("ж", [b"", b"1"])).unwrap().unwrap();
        assert_eq!(writer.into_inner(), b"\xe4,?,,1\n");
    }

    proptest! {
        #[test]
        fn rows_are_read_as_they_were_written(
            rows in prop::collection::vec(prop::collection::vec("[a-c ,;|\\\\\"'\r\n]{0,6}", 1..4), 1..6),
            delimiter in prop::sample::select(b",;\t|".to_vec()),
            quoting in prop::sample::select(vec![
                Quoting::DOUBLED,
                Quoting::BACKSLASH,
                Quoting { quote: Some(b'\''), escape: None },
            ]),
        ) {
            let rows: Vec<Vec<Vec<u8>>> =
                rows.into_iter().map(|row| row.into_iter().map(String::into_bytes).collect()).collect();
            let bytes = written(&rows, CsvFormat { delimiter, quoting, ..CsvFormat::default() });
            let mut builder = csv::ReaderBuilder::new();
            builder.has_headers(false).flexible(true).delimiter(delimiter).escape(quoting.escape);
            let found = builder.quote(quoting.quote.unwrap()).from_reader(&*bytes).into_byte_records();
            for (row, record) in rows.iter().zip(found) {
                let cells: Vec<Vec<u8>> = record.unwrap().iter().map(<[u8]>::to_vec).collect();
                prop_assert_eq!(&cells[..row.len()], &row[..]);
                prop_assert_eq!(cells.len(), row.len() + 3);
            }
        }
    }
}
