//! What this module returns: rows, and the columns that they share.

use csv::ByteRecord;

use crate::input::csv_format::CsvFormat;
use crate::input::message_text::escaped;
use crate::model::Seq;

/// One CSV record with its line.
#[derive(Debug)]
pub struct Row {
    /// Its number among the data rows, from 0.
    pub seq: Seq,
    /// The physical line (from 1) where it begins.
    pub line: u64,
    /// Its cells as in the input, without the failure columns of an earlier run.
    pub record: ByteRecord,
    /// The damage of this row, if any. Then it is not requested.
    pub damage: Option<Damage>,
}

/// What is wrong with a single row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The row has more or fewer cells than the header.
    #[error("{found} field{} where the header has {expected}", if *found == 1 { "" } else { "s" })]
    FieldCount {
        /// Cells in the row.
        found: usize,
        /// Cells in the header.
        expected: usize,
    },
    /// A cell is not valid UTF-8.
    #[error(
        "column {} is not valid UTF-8 (is it Latin-1? iconv -f WINDOWS-1252 -t UTF-8 converts it)",
        escaped(.column)
    )]
    NotUtf8 {
        /// The name of the first such column.
        column: String,
    },
}

/// The columns of an input, and the format of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Names, in order; `1`, `2`, `3` … without a header.
    pub names: Vec<String>,
    /// The index of the key column.
    pub key: usize,
    /// The form of the file.
    pub format: CsvFormat,
    /// Whether the input has a header line.
    pub headers: bool,
}

/// Why a name identifies no single column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnLookupError {
    /// No column has this name.
    Unknown,
    /// Several columns have it.
    Ambiguous,
}

impl Columns {
    /// The index of the column with exactly this name. `sku` is the key column if no column has that name.
    ///
    /// # Errors
    /// No column, or several, have that name.
    pub fn find(&self, name: &str) -> Result<usize, ColumnLookupError> {
        let mut found = self.names.iter().enumerate().filter(|(_, n)| *n == name).map(|(i, _)| i);
        match (found.next(), found.next()) {
            (Some(index), None) => Ok(index),
            (Some(_), Some(_)) => Err(ColumnLookupError::Ambiguous),
            (None, _) if name == "sku" => Ok(self.key),
            (None, _) => Err(ColumnLookupError::Unknown),
        }
    }

    /// The name of the key column.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.names[self.key]
    }
}
