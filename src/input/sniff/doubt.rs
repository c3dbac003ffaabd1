//! Why no reading of the first rows is taken, and the options that choose one.

use crate::input::csv_format::Quoting;
use crate::input::message_text::escaped;
use crate::input::sniff::Candidate;
use crate::model::option::{DELIMITER, ESCAPE, KEY, NO_HEADERS, QUOTE};
use crate::model::shell_word;

/// Names of columns that are shown of a reading.
const NAMES_SHOWN: usize = 4;
/// Columns of an input without a header that are offered.
const COLUMNS_SHOWN: usize = 6;
/// Characters of a name that are shown.
const NAME_CHARS: usize = 30;

/// Why no reading is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::input) enum Doubt {
    /// Several readings count.
    Several(Vec<ReadingChoice>),
    /// The header seems to stand below so many lines.
    LinesAbove {
        lines: usize,
        /// The names in that header.
        header: String,
        /// The first line, if it can be the name of the only column.
        column: Option<ReadingChoice>,
    },
    /// Every line is one quoted cell that holds the cells of a row, separated by this.
    QuotedTwice { delimiter: u8 },
    /// The cells are separated by a character of several bytes.
    WideDelimiter { delimiter: char },
    /// Several spaces separate the cells, so that columns line up.
    FixedWidth {
        /// The first line as the name of the only column, a word of a shell.
        name: String,
    },
    /// The table is drawn with lines.
    Drawn,
    /// Each row has a cell more than the header, as where R writes the names of rows.
    RowNames {
        /// Lines down to the first row.
        lines: usize,
        /// The cells of the first row, to be shown.
        columns: Vec<String>,
        /// The place of the key column in the header, from 0.
        key: Option<usize>,
    },
}

/// A reading, and the options that choose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingChoice {
    /// To be pasted.
    pub(in crate::input) options: String,
    /// What it makes of the input.
    pub(in crate::input) meaning: String,
}

impl Doubt {
    pub(super) fn delimiters(several: &[&&Candidate]) -> Self {
        Self::Several(several.iter().map(|candidate| by_delimiter(candidate)).collect())
    }

    pub(super) fn quotings(delimiter: u8, several: &[Quoting]) -> Self {
        let choice = |quoting: &Quoting| by_quoting(delimiter, *quoting, several);
        Self::Several(several.iter().map(choice).collect())
    }

    /// The cells are separated by this, which is not tried by itself; or the file has one column.
    pub(super) fn unusual_delimiter(candidate: &Candidate, column: &[u8]) -> Self {
        Self::Several(vec![by_delimiter(candidate), one_column(column)])
    }

    pub(super) fn fixed_width(first_line: &[u8]) -> Self {
        Self::FixedWidth { name: shell_word(&String::from_utf8_lossy(first_line)) }
    }

    /// The only cell of the first line is like those below it: it is a name or a value.
    pub(super) fn name_or_value(first: &[u8]) -> Self {
        let no_header = ReadingChoice {
            options: NO_HEADERS.to_string(),
            meaning: format!("the first line is a row like the others: {}", names(&[first.to_vec()])),
        };
        let header = ReadingChoice { meaning: "it is the name of the column".into(), ..one_column(first) };
        Self::Several(vec![no_header, header])
    }

    /// The input has no header, and nothing says which column is the key. `unused` separates no cells.
    pub(super) fn columns(only: &Candidate, unused: u8, line: &[u8]) -> Self {
        let column = |(index, cell): (usize, &Vec<u8>)| ReadingChoice {
            options: format!("{KEY} {}", index + 1),
            meaning: format!("the SKU is {}", names(std::slice::from_ref(cell))),
        };
        let one = ReadingChoice {
            options: format!("{DELIMITER} {}", as_option(unused)),
            meaning: format!("one column: {}", names(&[line.to_vec()])),
        };
        Self::Several(only.first.iter().enumerate().take(COLUMNS_SHOWN).map(column).chain([one]).collect())
    }

    /// Each row has a cell more than the header, which is so many lines above them. `key` is the place of the key
    /// column in the header, from 0.
    pub(super) fn row_names(lines: usize, key: Option<usize>, row: &[Vec<u8>]) -> Self {
        Self::RowNames {
            lines,
            columns: row.iter().map(|cell| names(std::slice::from_ref(cell))).collect(),
            key,
        }
    }

    /// The same, where so many lines stand above the sample.
    pub(super) fn below(self, above: usize) -> Self {
        match self {
            Self::LinesAbove { lines, header, column } => {
                Self::LinesAbove { lines: lines + above, header, column }
            }
            Self::RowNames { lines, columns, key } => Self::RowNames { lines: lines + above, columns, key },
            other => other,
        }
    }

    pub(super) fn lines_above(lines: usize, header: &Candidate, first: &[Vec<u8>]) -> Self {
        let column = if let [only] = first { Some(one_column(only)) } else { None };
        Self::LinesAbove { lines, header: names(&header.first), column }
    }
}

fn by_delimiter(candidate: &Candidate) -> ReadingChoice {
    ReadingChoice {
        options: format!("{DELIMITER} {}", as_option(candidate.delimiter)),
        meaning: format!("{} columns: {}", candidate.first.len(), names(&candidate.first)),
    }
}

fn by_quoting(delimiter: u8, quoting: Quoting, among: &[Quoting]) -> ReadingChoice {
    let Some(quote) = quoting.quote else {
        return ReadingChoice {
            options: format!("{QUOTE} none"),
            meaning: "a quote is a character like any other, and every line is a row".into(),
        };
    };
    let named_by_escape = among.iter().all(|other| other.quote == quoting.quote);
    let has_unquoted = among.iter().any(|other| other.quote.is_none());
    if !named_by_escape && !has_unquoted {
        let meaning = match quote {
            b'"' => "other characters around cells are parts of them".to_owned(),
            _ => format!("the {} around cells are no part of them", char::from(quote)),
        };
        return ReadingChoice { options: format!("{QUOTE} {}", as_option(quote)), meaning };
    }
    match quoting.escape {
        Some(escape) => ReadingChoice {
            options: format!("{ESCAPE} {}", as_option(escape)),
            meaning: "a quoted cell has a backslash before a quote".into(),
        },
        None if named_by_escape => ReadingChoice {
            options: format!("{ESCAPE} none"),
            meaning: "a backslash is a character like any other, and a quote is doubled".into(),
        },
        None => ReadingChoice {
            options: format!("{QUOTE} {}", as_option(quote)),
            meaning: format!(
                "a quoted cell may hold {} and line ends",
                if delimiter == b'\t' { "tabs".into() } else { char::from(delimiter).to_string() }
            ),
        },
    }
}

fn one_column(name: &[u8]) -> ReadingChoice {
    let name = String::from_utf8_lossy(name);
    ReadingChoice { options: format!("{KEY} {}", shell_word(&name)), meaning: "one column".into() }
}

/// A byte as a value of an option, in a shell.
pub(in crate::input) fn as_option(byte: u8) -> String {
    match byte {
        b'\t' => "tab".into(),
        b' '..=b'~' => shell_word(char::from(byte).encode_utf8(&mut [0; 4])),
        _ => format!("'\\x{byte:02x}'"),
    }
}

fn names(cells: &[Vec<u8>]) -> String {
    let name = |cell: &Vec<u8>| {
        let text = escaped(&String::from_utf8_lossy(cell));
        match text.char_indices().nth(NAME_CHARS) {
            Some((end, _)) => format!("`{}…`", &text[..end]),
            None => format!("`{text}`"),
        }
    };
    let shown: Vec<String> = cells.iter().take(NAMES_SHOWN).map(name).collect();
    let more = if cells.len() > NAMES_SHOWN { ", …" } else { "" };
    shown.join(", ") + more
}
