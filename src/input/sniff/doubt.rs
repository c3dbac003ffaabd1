//! Why no reading of the first rows is taken, and the options that choose one.

use crate::input::csv_format::Quoting;
use crate::input::message_text::escaped;
use crate::input::sniff::Candidate;
use crate::model::option::{DELIMITER, ESCAPE, KEY, QUOTE};
use crate::model::shell_word;

/// Names of columns that are shown of a reading.
const NAMES_SHOWN: usize = 4;
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

    /// The same, where so many lines stand above the sample.
    pub(super) fn below(self, above: usize) -> Self {
        match self {
            Self::LinesAbove { lines, header, column } => {
                Self::LinesAbove { lines: lines + above, header, column }
            }
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
    match quoting.escape {
        Some(escape) => ReadingChoice {
            options: format!("{ESCAPE} {}", as_option(escape)),
            meaning: "a backslash stands before a quote inside a quoted cell".into(),
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
