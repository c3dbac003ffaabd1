//! What to say where no key column was found.

use crate::model::option::{KEY, NO_HEADERS, SKIP_LINES};

/// Columns that are offered of an input without a header.
const OFFERED: usize = 6;

/// What probably helps where no key column was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRemedy {
    /// To name this column, which is a word of a shell.
    Column(Box<str>),
    /// To skip so many lines: the header is below them.
    SkipLines(u64),
    /// To say that there is no header: a name in it looks like a value.
    NoHeader {
        /// That name.
        value: Box<str>,
        /// All names.
        cells: Box<[String]>,
    },
    /// To look at the columns.
    Unknown,
}

impl KeyRemedy {
    /// One sentence, with the options to paste.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Column(word) => format!("say which column holds the SKU, for example {KEY} {word}"),
            Self::SkipLines(lines) => {
                format!("the header seems to be on line {}: {SKIP_LINES} {lines}", lines + 1)
            }
            Self::NoHeader { value, cells } => {
                let offer = |(index, cell): (usize, &String)| {
                    format!("\n    {NO_HEADERS} {KEY} {}   {cell}", index + 1)
                };
                let offers: String = cells.iter().enumerate().take(OFFERED).map(offer).collect();
                format!(
                    "is line 1 a header? {value} looks like a value; without a header line, add the one that is the \
                     SKU:{offers}"
                )
            }
            Self::Unknown => format!("say with {KEY} which of them holds the SKU"),
        }
    }
}
