//! Errors of a whole input: what, where, why, and what to do about it.
//!
//! Damage to a single row is no error but data of that row: [`Damage`](crate::input::Damage).

use std::io;

use crate::input::hints;
use crate::input::key_remedy::KeyRemedy;
use crate::input::location::{InputLocation, Packing};
#[cfg(feature = "cloud")]
use crate::input::settings::InputPath;
use crate::input::sniff::ReadingChoice;
use crate::input::text_encoding::TextEncoding;
use crate::model::option::{ENCODING, KEY, NO_HEADERS, QUOTE, SKIP_LINES};
use crate::model::{Exit, count, counted};

/// The second reading differs from the first. Travels inside an [`io::Error`] to where that becomes an
/// [`InputError`].
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the file changed while it was read")]
pub(super) struct Changed {
    /// Data rows in the survey.
    pub(super) before: u64,
    /// Data rows now, if they can be counted.
    pub(super) now: Option<u64>,
}

/// Why an input cannot be used as a whole.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// There is no such file.
    #[error("{at}: there is no such file")]
    NotFound {
        /// The file.
        at: InputLocation,
    },
    /// The operating system cannot read it.
    #[error("{at}: cannot be read: {source}")]
    Unreadable {
        /// The line that was being read.
        at: InputLocation,
        /// The system's reason.
        source: io::Error,
    },
    /// Its gzip or zstd data ends early or is wrong.
    #[error("{at}: the {packing} data is {how}")]
    Packing {
        /// The line that was being read.
        at: InputLocation,
        /// How it is packed.
        packing: Packing,
        /// `cut short`, or `damaged` with the decoder's reason.
        how: Box<str>,
    },
    /// The second reading differs from the first.
    #[error("{} changed while it was read ({})", at.input, rows_of_both(*before, *now))]
    Changed {
        /// The file.
        at: InputLocation,
        /// Data rows that the first reading found.
        before: u64,
        /// Data rows now, if they can be counted.
        now: Option<u64>,
    },
    /// The object was replaced or removed before the run had read and answered all of it.
    #[error("{} was {} while the run went on, which asked for the rows of the old one", at.input, if *removed { "removed" } else { "replaced" })]
    ObjectReplaced {
        /// The object.
        at: InputLocation,
        /// There is none now.
        removed: bool,
    },
    /// It is another kind of file.
    #[error("{at}: this is {what}, not a CSV file")]
    NotCsv {
        /// The file.
        at: InputLocation,
        /// The kind.
        what: &'static str,
        /// What to do with such a file.
        remedy: &'static str,
    },
    /// It is text in an encoding of two or four bytes a character.
    #[error("{at}: the text is {encoding}, not UTF-8")]
    Encoding {
        /// The file.
        at: InputLocation,
        /// The encoding, for people.
        encoding: &'static str,
        /// The name of the encoding in iconv.
        iconv: &'static str,
    },
    /// It seems to be UTF-16 whose characters are not all Latin ones, or ISO-2022-JP, whose bytes are ASCII.
    #[error("{at}: the text is not UTF-8, and seems to be {likely}")]
    LikelyEncoding {
        /// The file.
        at: InputLocation,
        /// The encoding.
        likely: &'static str,
    },
    /// Its byte-order mark is of another encoding than the given one.
    #[error("{at}: the text is {marked} by its byte-order mark, and {ENCODING} is {given}")]
    OtherEncoding {
        /// The file.
        at: InputLocation,
        /// The given encoding.
        given: &'static str,
        /// The encoding of the mark.
        marked: &'static str,
    },
    /// Too much of it is text of an encoding that nothing names.
    #[error("{at}: the text is not UTF-8{}", match rows {
        Some((bad, rows)) => format!(" in {} of {} rows", count(*bad), count(*rows)),
        None => String::new(),
    })]
    EightBit {
        /// The line of the first such text.
        at: InputLocation,
        /// Rows with such text, and all rows; none if the header has it.
        rows: Option<(u64, u64)>,
        /// The two likeliest encodings, each with a cell as it would be read.
        likeliest: Box<[(TextEncoding, String); 2]>,
    },
    /// The first rows have several readings.
    #[error("{at}: the first rows can be read in {} ways", choices.len())]
    SeveralReadings {
        /// The input.
        at: InputLocation,
        /// The readings.
        choices: Vec<ReadingChoice>,
    },
    /// The header seems to stand further below.
    #[error("{at}: this does not look like the header, which seems to be line {}: {header}", skipped + 1)]
    LinesAboveHeader {
        /// The first line that is read.
        at: InputLocation,
        /// The lines to skip.
        skipped: u64,
        /// The names in the header below.
        header: String,
        /// The first line as the name of the only column.
        column: Option<ReadingChoice>,
    },
    /// Every line is one quoted cell.
    #[error("{at}: every line is one quoted cell that has a whole row in it, separated by `{delimiter}`")]
    QuotedTwice {
        /// The first line.
        at: InputLocation,
        /// What separates the cells inside.
        delimiter: char,
    },
    /// The cells are separated by a character that is no ASCII character.
    #[error("{at}: the cells seem to be separated by `{}`, which cannot be the delimiter", delimiter.escape_debug())]
    WideDelimiter {
        /// The first line.
        at: InputLocation,
        /// The character.
        delimiter: char,
    },
    /// Each row has a cell more than the header.
    #[error("{at}: the header has {}, and each of the first rows has {}", counted(columns.len() as u64 - 1, "cell", "cells"), columns.len())]
    RowNames {
        /// The first line that is read.
        at: InputLocation,
        /// The lines above the first row.
        skipped: u64,
        /// The cells of the first row, to be shown.
        columns: Vec<String>,
        /// The place of the key column in the header, from 0.
        key: Option<usize>,
    },
    /// Spaces put the cells below each other.
    #[error("{at}: the cells seem to be separated by spaces, several of them, so that columns line up")]
    FixedWidth {
        /// The first line.
        at: InputLocation,
        /// The first line as the name of the only column, a word of a shell.
        name: String,
    },
    /// A column name is not valid in its encoding.
    #[error("{at}: the name of column {column} is not valid {encoding}")]
    HeaderNotUtf8 {
        /// The header's line.
        at: InputLocation,
        /// The column's place, from 1.
        column: usize,
        /// The encoding.
        encoding: &'static str,
    },
    /// It is empty.
    #[error("{at}: there is no header: the input is empty")]
    NoHeader {
        /// The input.
        at: InputLocation,
    },
    /// There is no data row.
    #[error("{at}: there is no data row")]
    NoRow {
        /// The input.
        at: InputLocation,
        /// Whether it has a header.
        headers: bool,
    },
    /// A quote opens a cell and never closes, or closes in another cell.
    #[error("{at}: the quote that opens a cell here {}", match until {
        None => "never closes".to_owned(),
        Some(line) => format!("runs on into line {line}, where text follows its closing quote"),
    })]
    OpenQuote {
        /// Where the quote opens.
        at: InputLocation,
        /// Where a quote of another cell seems to close it.
        until: Option<u64>,
    },
    /// One record is larger than the limit.
    #[error("{at}: the record that begins here is larger than {} MiB", super::record_scanner::RECORD_CAP >> 20)]
    RecordTooLarge {
        /// Where it begins.
        at: InputLocation,
        /// Where a quote opened that was still open at the end.
        quote: Option<u64>,
    },
    /// There are more data rows than can be counted.
    #[error("{at}: more than {} data rows", u32::MAX)]
    TooManyRows {
        /// The first row too many.
        at: InputLocation,
    },
    /// The given delimiter cannot be one.
    #[error("{at}: {delimiter:?} cannot be the delimiter")]
    Delimiter {
        /// The input.
        at: InputLocation,
        /// The byte.
        delimiter: char,
    },
    /// No column has the name of the wanted key.
    #[error("{at}: no column is called `{wanted}`; there are: {columns}")]
    NoSuchKey {
        /// The header's line.
        at: InputLocation,
        /// The name.
        wanted: Box<str>,
        /// The names of the columns.
        columns: Box<str>,
        /// What probably helps.
        remedy: KeyRemedy,
    },
    /// The wanted key is the number of a column that is not there.
    #[error("{at}: there is no column {wanted}; the input has {}", counted(*.columns as u64, "column", "columns"))]
    NoSuchColumn {
        /// The header's line.
        at: InputLocation,
        /// The number, as in `#3`.
        wanted: Box<str>,
        /// How many columns there are.
        columns: usize,
    },
    /// Several columns could be the key.
    #[error("{at}: several columns could be the key: {columns}")]
    SeveralKeys {
        /// The header's line.
        at: InputLocation,
        /// Their names, with their places.
        columns: Box<str>,
        /// Each as a word of a shell that names it alone.
        choices: Vec<Box<str>>,
    },
    /// No column is called `sku`, and there are several.
    #[error("{at}: no column is called `sku`, and none is named as the key; there are: {columns}")]
    NoKey {
        /// The header's line.
        at: InputLocation,
        /// The names of the columns.
        columns: Box<str>,
        /// What probably helps.
        remedy: KeyRemedy,
    },
}

impl InputError {
    #[cfg(feature = "cloud")]
    /// The object of this input is not the one that was read.
    pub(crate) fn object_replaced(path: &InputPath, removed: bool) -> Self {
        Self::ObjectReplaced { at: InputLocation::of(path), removed }
    }

    #[cfg(feature = "cloud")]
    /// There is no such object.
    pub(crate) fn no_object(path: &InputPath) -> Self {
        Self::NotFound { at: InputLocation::of(path) }
    }

    /// The exit of the program.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotFound { .. } => Exit::NoInput,
            Self::Delimiter { .. } => Exit::Usage,
            _ => Exit::Data,
        }
    }

    /// What to do about it, one sentence.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "check the path; `-` reads standard input".into(),
            Self::Unreadable { source, .. } => return hints::unreadable(source),
            Self::Packing { .. } => "was it copied completely? get it again, or unpack it to see".into(),
            Self::Changed { .. } => {
                "was it written to meanwhile? write another file and rename it over this one \
                (mv), so that a run reads the old file or the new one and never a mix of both"
                    .into()
            }
            Self::ObjectReplaced { removed: true, .. } => {
                "put it there again, then run the same command again; it resumes from the journal".into()
            }
            Self::ObjectReplaced { .. } => {
                "run the same command again: it reads the new object, and what was answered is \
                 not asked again where the row is the same"
                    .into()
            }
            Self::NotCsv { remedy, .. } => (*remedy).into(),
            Self::Encoding { at, iconv, .. } => at.conversion_hint(iconv),
            Self::LikelyEncoding { likely, .. } => {
                format!("if it is, say {ENCODING} {}", likely.to_lowercase())
            }
            Self::OtherEncoding { .. } => format!("leave {ENCODING} out"),
            Self::EightBit { at, likeliest, .. } => hints::encodings(at, likeliest),
            Self::HeaderNotUtf8 { .. } => format!("is it another encoding? say {ENCODING} and its name"),
            Self::SeveralReadings { choices, .. } => hints::choices(choices),
            Self::LinesAboveHeader { skipped, column, .. } => {
                let below = format!("if it is, add {SKIP_LINES} {skipped}");
                column.as_ref().map_or_else(
                    || below.clone(),
                    |column| {
                        format!("{below}\nif the first line names the only column, add {}", column.options)
                    },
                )
            }
            Self::QuotedTwice { at, .. } => hints::unquoting(at),
            Self::WideDelimiter { delimiter, at } => hints::replacing(*delimiter, at),
            Self::RowNames { skipped, columns, key, .. } => hints::by_number(*skipped, columns, *key),
            Self::FixedWidth { at, name } => hints::separating(at, name),
            Self::NoRow { headers: true, .. } => {
                format!(
                    "there is only a header: was the export finished? without a header line, say {NO_HEADERS}"
                )
            }
            Self::NoHeader { .. } | Self::NoRow { headers: false, .. } => "was the export finished?".into(),
            Self::OpenQuote { .. } => {
                format!(
                    "close the quote on that line; a quote inside a quoted cell is written twice: \"\"; if no cell is \
                     quoted, say {QUOTE} none"
                )
            }
            Self::RecordTooLarge { quote: Some(line), .. } => {
                format!("a quote opens on line {line}: does it ever close?")
            }
            Self::RecordTooLarge { quote: None, .. } => "does the file have line ends?".into(),
            Self::TooManyRows { .. } => "split the input".into(),
            Self::Delimiter { .. } => "take one ASCII character that is no quote and no line end".into(),
            Self::NoSuchKey { remedy: KeyRemedy::Column(word), .. } => format!("did you mean {KEY} {word}?"),
            Self::NoSuchColumn { columns: 1, .. } => "the only column is #1".into(),
            Self::NoSuchColumn { columns, .. } => format!("the columns are #1 to #{columns}"),
            Self::SeveralKeys { choices, .. } => {
                let choices: Vec<String> = choices.iter().map(|word| format!("{KEY} {word}")).collect();
                format!("say which: {}", choices.join(" or "))
            }
            Self::NoSuchKey { remedy, .. } | Self::NoKey { remedy, .. } => remedy.hint(),
        })
    }
}

/// `6,000 rows at first, 5,000 now`.
fn rows_of_both(before: u64, now: Option<u64>) -> String {
    let first = counted(before, "row", "rows");
    match now {
        Some(0) => format!("{first} at first, none now"),
        Some(now) if now == before => format!("{first} at first, as many now, with other content"),
        Some(now) => format!("{first} at first, {} now", count(now)),
        None => format!("{first} at first; it cannot be read now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_quote_is_named_by_where_it_opens() {
        let at = InputLocation::named("p.csv").line(7);
        let error = InputError::OpenQuote { at: at.clone(), until: None };
        assert_eq!(error.to_string(), "p.csv, line 7: the quote that opens a cell here never closes");
        let error = InputError::OpenQuote { at, until: Some(9) };
        assert!(error.to_string().contains("line 9"));
        assert_eq!(error.exit(), Exit::Data);
    }
}
