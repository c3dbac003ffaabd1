//! What a CSV file looks like: the character between cells, the quoting and the encoding.

use std::fmt;

use crate::input::text_encoding::TextEncoding;

/// The form of a CSV file. A failure file has the form of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvFormat {
    /// Between cells.
    pub delimiter: u8,
    /// How cells are quoted.
    pub quoting: Quoting,
    /// The encoding of the text.
    pub encoding: TextEncoding,
    /// Whether the file begins with a byte-order mark.
    pub has_mark: bool,
    /// What ends its header.
    pub line_end: LineEnd,
}

/// What ends a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LineEnd {
    /// As on Unix.
    #[default]
    Lf,
    /// As in RFC 4180 and on Windows.
    CrLf,
}

impl LineEnd {
    /// What ends this record, which has its line end.
    pub(crate) fn of(record: &[u8]) -> Self {
        if record.ends_with(b"\r\n") { Self::CrLf } else { Self::Lf }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
        }
    }
}

/// How a cell may hold a delimiter, a quote or a line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoting {
    /// The character around a cell. `None`: no cell is quoted, and a quote is a character like any other.
    pub quote: Option<u8>,
    /// The character before a quote inside a quoted cell. A quote may be doubled in any case.
    pub escape: Option<u8>,
}

/// A quote or an escape as the user gives it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GivenChar {
    /// Not given: the first rows decide.
    #[default]
    ByRows,
    /// There is none.
    Absent,
    /// This one.
    Char(u8),
}

/// Whether a byte can be a delimiter: an ASCII character other than a quote, a line end or NUL.
#[must_use]
pub fn may_delimit(byte: u8) -> bool {
    byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0)
}

impl Quoting {
    /// As RFC 4180 has it.
    pub(crate) const DOUBLED: Self = Self { quote: Some(b'"'), escape: None };
    /// As `MySQL` writes it.
    pub(crate) const BACKSLASH: Self = Self { quote: Some(b'"'), escape: Some(b'\\') };
    /// No cell is quoted.
    pub(crate) const NONE: Self = Self { quote: None, escape: None };
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quoting: Quoting::DOUBLED,
            encoding: TextEncoding::UTF_8,
            has_mark: false,
            line_end: LineEnd::Lf,
        }
    }
}

/// `cells are separated by ;`, and what is unusual.
impl fmt::Display for CsvFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cells are separated by {}", Named(self.delimiter))?;
        match self.quoting {
            Quoting { quote: None, .. } => write!(f, " and not quoted")?,
            Quoting { quote: Some(quote), escape } => {
                if quote != b'"' {
                    write!(f, " and quoted by {}", Named(quote))?;
                }
                if let Some(escape) = escape {
                    write!(f, " and a quote in a cell is written {}{}", Named(escape), Named(quote))?;
                }
            }
        }
        if !self.encoding.is_utf8() {
            write!(f, " ({})", self.encoding.name())?;
        }
        Ok(())
    }
}

/// A character in a sentence.
struct Named(u8);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => f.write_str("tabs"),
            b' ' => f.write_str("spaces"),
            byte if byte.is_ascii_graphic() => write!(f, "{}", char::from(byte)),
            byte => write!(f, "\\x{byte:02x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_described_in_a_few_words() {
        let usual = CsvFormat::default();
        for (format, text) in [
            (usual, "cells are separated by ,"),
            (CsvFormat { delimiter: b';', ..usual }, "cells are separated by ;"),
            (
                CsvFormat { delimiter: b'\t', quoting: Quoting::NONE, ..usual },
                "cells are separated by tabs and not quoted",
            ),
            (
                CsvFormat { delimiter: 1, quoting: Quoting::BACKSLASH, ..usual },
                "cells are separated by \\x01 and a quote in a cell is written \\\"",
            ),
            (
                CsvFormat {
                    quoting: Quoting { quote: Some(b'\''), escape: None },
                    encoding: TextEncoding::UTF_16LE,
                    ..usual
                },
                "cells are separated by , and quoted by ' (UTF-16LE)",
            ),
        ] {
            assert_eq!(format.to_string(), text);
        }
    }
}
