//! What the rows of a CSV output are made of: the cells of the input's row, then a cell for each column that was asked
//! for, then what the shape adds.

use std::fmt;
use std::sync::Arc;

use csv::ByteRecord;

use crate::collect::files::cursor::NULL;
use crate::collect::table::cell::{as_text, cell_of};
use crate::collect::table::column_list::TableColumn;
use crate::input::{LineEnd, push_cell};
use crate::json::escape_into;
use crate::model::{Cause, Fault};

/// The columns that the record shape adds, in this order. It is another one than in a failure file, which is known by
/// its columns.
pub(crate) const RECORD_COLUMNS: [&str; 4] = ["_status", "_fetched_at", "_attempts", "_error"];

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Makes values of a body, one for each column.
pub trait ColumnValues: fmt::Debug + Send + Sync {
    /// What each column has for a body: compact JSON, or nothing.
    ///
    /// # Errors
    /// The place of the first column that has none, and why.
    fn values(&self, body: &[u8]) -> Result<Vec<Option<Vec<u8>>>, (usize, String)>;
}

/// The user's part of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableSettings {
    /// `--columns`; none: one column with the whole body.
    pub columns: Vec<TableColumn>,
    /// `--csv-bom`: the file begins with a byte-order mark, whatever the input does.
    pub mark: bool,
}

/// What the rows of a table are made of, known once the input's header is read.
#[derive(Debug, Clone)]
pub struct TableLayout {
    /// The names of the input's columns.
    pub input: Vec<String>,
    /// Which of them keys the output.
    pub key: usize,
    /// The names of the columns that were asked for.
    pub columns: Vec<String>,
    /// Status, time, attempts and error follow.
    pub has_record: bool,
    /// Between cells.
    pub delimiter: u8,
    /// After rows.
    pub line_end: LineEnd,
    /// The file begins with a byte-order mark.
    pub has_mark: bool,
    /// The input has only some rows of a larger table: a failure file, or one that is cut by a limit.
    pub is_partial: bool,
    /// Makes the values of a body.
    pub values: Arc<dyn ColumnValues>,
}

/// The same columns, made by the same filters.
impl PartialEq for TableLayout {
    fn eq(&self, other: &Self) -> bool {
        self.header().eq(other.header()) && Arc::ptr_eq(&self.values, &other.values)
    }
}

impl TableLayout {
    /// The names of all columns.
    pub(crate) fn header(&self) -> impl Iterator<Item = &str> {
        let record: &[&str] = if self.has_record { &RECORD_COLUMNS } else { &[] };
        let names = self.input.iter().chain(&self.columns).map(String::as_str);
        names.chain(record.iter().copied())
    }

    /// How many columns there are.
    pub(crate) fn width(&self) -> usize {
        self.input.len() + self.columns.len() + if self.has_record { RECORD_COLUMNS.len() } else { 0 }
    }

    /// The cells that the columns have for a body. Those of `null` are empty: no filter is asked.
    ///
    /// # Errors
    /// The fault of the SKU: a column has no value that is a cell.
    pub(crate) fn cells(&self, body: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        if body == NULL {
            return Ok(vec![Vec::new(); self.columns.len()]);
        }
        let fault = |(column, why): (usize, String)| {
            let name = self.columns.get(column).map_or("", String::as_str);
            Fault::new(Cause::Column, format!("column `{name}`: {why}"))
        };
        let values = self.values.values(body).map_err(fault)?;
        let cell = |(column, value): (usize, Option<Vec<u8>>)| {
            value.map_or(Ok(Vec::new()), |value| cell_of(&value)).map_err(|why| fault((column, why.into())))
        };
        values.into_iter().enumerate().map(cell).collect()
    }

    /// The cells of the columns as one JSON value, by which answers are compared: an object of texts, or `null` where no
    /// column has anything.
    pub(crate) fn body_of<C: AsRef<[u8]>>(&self, cells: &[C]) -> Vec<u8> {
        if cells.iter().all(|cell| cell.as_ref().is_empty()) {
            return NULL.to_vec();
        }
        let mut body = vec![b'{'];
        for (name, cell) in self.columns.iter().zip(cells) {
            if body.len() > 1 {
                body.push(b',');
            }
            escape_into(name, &mut body);
            body.push(b':');
            escape_into(&as_text(cell.as_ref()), &mut body);
        }
        body.push(b'}');
        body
    }

    /// The cells of a row of this layout that the columns have.
    pub(crate) fn cells_in<'a>(&self, row: &'a ByteRecord) -> Vec<&'a [u8]> {
        row.iter().skip(self.input.len()).take(self.columns.len()).collect()
    }

    /// The body of a row of this layout; none where it is that of a failure.
    pub(crate) fn body_in(&self, row: &ByteRecord) -> Option<Vec<u8>> {
        let error = if self.has_record { self.width() - 1 } else { usize::MAX };
        let is_failure = row.get(error).is_some_and(|error| !error.is_empty());
        (!is_failure).then(|| self.body_of(&self.cells_in(row)))
    }

    /// Appends the mark and the header.
    pub(crate) fn push_header(&self, out: &mut Vec<u8>) {
        if self.has_mark {
            out.extend_from_slice(MARK);
        }
        self.push_row(out, self.header().map(str::as_bytes));
    }

    /// Appends a row. Cells that are missing at its end are empty.
    pub(crate) fn push_row<'a>(&self, out: &mut Vec<u8>, cells: impl IntoIterator<Item = &'a [u8]>) {
        let padded = cells.into_iter().chain(std::iter::repeat(&b""[..])).take(self.width());
        for (index, cell) in padded.enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            match std::str::from_utf8(cell) {
                Ok(_) => push_cell(out, cell, self.delimiter),
                Err(_) => push_cell(out, as_text(cell).as_bytes(), self.delimiter),
            }
        }
        out.extend_from_slice(self.line_end.bytes());
    }

    /// The cells of a row of the input as wide as its header.
    pub(crate) fn own_cells<'a>(&self, row: &'a ByteRecord) -> impl Iterator<Item = &'a [u8]> {
        row.iter().chain(std::iter::repeat(&b""[..])).take(self.input.len())
    }
}
