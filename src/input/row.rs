//! What this module returns: rows, and the columns that they share.

use std::borrow::Cow;

use csv::ByteRecord;

use crate::input::csv_format::CsvFormat;
use crate::input::key_column;
use crate::input::message_text::escaped;
use crate::model::Seq;
use crate::model::option::QUOTE;

/// One CSV record with its line.
#[derive(Debug)]
pub struct Row {
    /// Its number among the data rows, from 0.
    pub seq: Seq,
    /// The physical line (from 1) where it begins.
    pub line: u64,
    /// Its cells as in the input, without the failure columns of an earlier run.
    pub record: ByteRecord,
    /// It has fewer cells than there are columns; those that it lacks count as empty.
    pub is_padded: bool,
    /// The damage of this row, if any. Then it is not requested.
    pub damage: Option<Damage>,
    /// A sign that its cells may be quoted in another way.
    pub quoting_doubt: Option<QuotingDoubt>,
}

/// A sign in a whole row that its file may be quoted in another way than it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotingDoubt {
    /// Each line of a quoted cell has as many cells as the header: these may be rows, and the quotes no quoting.
    RowsInCell {
        /// The line where the row begins.
        first: u64,
        /// The line where it ends.
        last: u64,
    },
    /// A backslash stands before a quote in a quoted cell, as no row did among the first ones: it may be an escape.
    BackslashBeforeQuote {
        /// The line where the row begins.
        line: u64,
    },
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
    /// It has the names of the header.
    #[error("it is the header once more: were files joined?")]
    RepeatedHeader,
    /// Text follows the closing quote of a cell.
    #[error("text follows the closing quote of a cell; if no cell is quoted, say {QUOTE} none")]
    TextAfterQuote,
    /// A cell is not valid in its encoding.
    #[error("column {} is not valid {encoding}", escaped(.column))]
    NotText {
        /// The name of the first such column.
        column: String,
        /// The encoding.
        encoding: &'static str,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnLookupError {
    /// No column has this name.
    Unknown,
    /// Several columns have it: their indices.
    Ambiguous(Vec<usize>),
    /// It is the number of a column that is not there.
    NoSuchNumber,
}

impl Columns {
    /// The index of the column with exactly this name; else the third of `#3`; else of `sku` the key column. So it is,
    /// too, where the key is one of several columns that are called `sku`.
    ///
    /// # Errors
    /// No column, or several, have that name.
    pub fn find(&self, name: &str) -> Result<usize, ColumnLookupError> {
        let mut found = (0..self.names.len()).filter(|&index| self.names[index] == name);
        match (found.next(), found.next()) {
            (Some(index), None) => Ok(index),
            (Some(first), Some(second)) => {
                let all: Vec<usize> = [first, second].into_iter().chain(found).collect();
                let is_the_key = name == "sku" && all.contains(&self.key);
                if is_the_key { Ok(self.key) } else { Err(ColumnLookupError::Ambiguous(all)) }
            }
            (None, _) => match key_column::numbered(name, self.names.len()) {
                Some(index) => index.map_err(|key_column::NoSuchNumber| ColumnLookupError::NoSuchNumber),
                None if name == "sku" => Ok(self.key),
                None => Err(ColumnLookupError::Unknown),
            },
        }
    }

    /// The column that is probably meant by a name that no column has.
    pub(crate) fn nearest(&self, name: &str) -> Option<usize> {
        let meant = key_column::nearest(&self.names, name);
        let is_the_key = || key_column::plain(name) == "sku";
        meant.or_else(|| is_the_key().then_some(self.key))
    }

    /// The placeholder of a column in a template: by its name where it can be typed as it is shown, inside quotes of a
    /// shell too, else by its number.
    pub(crate) fn placeholder(&self, index: usize) -> String {
        let name = &self.names[index];
        let can_be_typed = escaped(name) == *name
            && name.trim() == name
            && !name.is_empty()
            && !name.contains(['{', '}', '$', '\'', '"', '`', '\\', '!', '#']);
        let is_alone = self.find(name) == Ok(index);
        if can_be_typed && is_alone {
            return format!("{{{name}}}");
        }
        format!("{{{}}}", key_column::number_of(&self.names, index))
    }

    /// The name of the key column.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.names[self.key]
    }

    /// What tells the key column from all others: its name, or its number where several have that name.
    pub(crate) fn key_identity(&self) -> Cow<'_, str> {
        let name = self.key_name();
        match self.names.iter().filter(|other| *other == name).count() {
            1 => Cow::Borrowed(name),
            _ => Cow::Owned(key_column::number_of(&self.names, self.key)),
        }
    }
}
