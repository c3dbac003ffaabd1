//! What to read, and how.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::input::csv_format::GivenChar;
use crate::input::message_text::escaped;
use crate::input::object_input::ObjectInput;
use crate::input::positioned_reader;
use crate::input::text_encoding::TextEncoding;
use crate::model::Shard;

/// How the input is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// The column whose value is the key in the output. Without it the column `sku` in any case, else the
    /// only one.
    pub key: Option<String>,
    /// The columns that the request uses, by name: a reading of the input that has them counts more than another.
    pub columns: Vec<String>,
    /// The delimiter, one that [`may_delimit`](crate::input::may_delimit). Without it the one that the first rows
    /// show.
    pub delimiter: Option<u8>,
    /// The character around a cell.
    pub quote: GivenChar,
    /// The character before a quote inside a quoted cell.
    pub escape: GivenChar,
    /// The encoding. Without it UTF-8 or, by its mark or its pattern, UTF-16.
    pub encoding: Option<TextEncoding>,
    /// Physical lines above the header.
    pub skip_lines: u64,
    /// Whether the first line names the columns.
    pub headers: bool,
    /// Stop after this many data rows.
    pub limit: Option<u64>,
    /// The share of the rows that are returned; none: all. The limit is one of the whole input.
    pub shard: Option<Shard>,
    /// What becomes of a row without a key.
    pub empty_key: EmptyKey,
    /// What becomes of a row with too few cells.
    pub short_rows: ShortRows,
}

/// What becomes of a row whose key is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EmptyKey {
    /// It fails.
    #[default]
    Fail,
    /// It is counted, and not requested.
    Skip,
}

impl FromStr for EmptyKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            _ => Err(format!("`{text}` is not what becomes of a row: fail or skip")),
        }
    }
}

impl fmt::Display for EmptyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "fail",
            Self::Skip => "skip",
        })
    }
}

/// What becomes of a row with fewer cells than the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShortRows {
    /// It fails.
    #[default]
    Fail,
    /// The cells that it lacks count as empty.
    Pad,
}

impl FromStr for ShortRows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "pad" => Ok(Self::Pad),
            _ => Err(format!("`{text}` is not what becomes of a row: fail or pad")),
        }
    }
}

impl fmt::Display for ShortRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "fail",
            Self::Pad => "pad",
        })
    }
}

impl Default for InputSettings {
    fn default() -> Self {
        Self {
            key: None,
            columns: Vec::new(),
            delimiter: None,
            quote: GivenChar::ByRows,
            escape: GivenChar::ByRows,
            encoding: None,
            skip_lines: 0,
            headers: true,
            limit: None,
            shard: None,
            empty_key: EmptyKey::Fail,
            short_rows: ShortRows::Fail,
        }
    }
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputPath {
    /// A file, or a named pipe.
    File(PathBuf),
    /// Standard input, written `-`.
    Stdin,
    /// An object in an object store.
    Object(ObjectInput),
}

impl InputPath {
    /// Whether its bytes can be read twice: it is a regular file, or standard input is one of which nothing was read
    /// yet. A survey of anything else would consume its rows.
    #[must_use]
    pub fn can_be_read_twice(&self) -> bool {
        match self {
            Self::File(path) => path.metadata().is_ok_and(|meta| meta.is_file()),
            Self::Stdin => positioned_reader::unread_stdin().is_some(),
            Self::Object(_) => true,
        }
    }
}

impl From<PathBuf> for InputPath {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path) }
    }
}

impl From<&str> for InputPath {
    fn from(text: &str) -> Self {
        PathBuf::from(text).into()
    }
}

impl FromStr for InputPath {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl fmt::Display for InputPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(&escaped(&path.to_string_lossy())),
            Self::Stdin => f.write_str("standard input"),
            Self::Object(object) => object.address().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_standard_input_and_all_else_a_file() {
        assert_eq!(InputPath::from("-"), InputPath::Stdin);
        assert_eq!("./-".parse::<InputPath>().unwrap(), InputPath::File("./-".into()));
        assert_eq!(InputPath::from("-").to_string(), "standard input");
        assert_eq!(InputPath::from("a\u{1b}[2Jb.csv").to_string(), "a\\u{1b}[2Jb.csv");
    }

    #[test]
    fn only_a_regular_file_can_be_read_twice() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(InputPath::File(file.path().into()).can_be_read_twice());
        assert!(!InputPath::from("/dev/null").can_be_read_twice());
    }
}
