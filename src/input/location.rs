//! An input and a line in it.

use std::fmt;

use crate::input::message_text::escaped;
use crate::input::settings::InputPath;
use crate::model::shell_word;

/// How an input is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    /// The shell command that decompresses to standard output.
    fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gzip -dc",
            Self::Zstd => "zstd -dc",
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// An input and a line in it, displayed as `products.csv, line 7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputLocation {
    /// The path as it was given, or `standard input`; without control characters.
    pub input: Box<str>,
    /// It is standard input or an object, which have no path.
    pub is_stdin: bool,
    /// The physical line, from 1; `None` for the whole input.
    pub line: Option<u64>,
    /// How it is compressed, if it is.
    pub packing: Option<Packing>,
}

impl InputLocation {
    /// The whole input.
    pub(super) fn of(path: &InputPath) -> Self {
        // A shell reads an object through the store's own tool, whichever that is.
        let is_stdin = matches!(path, InputPath::Stdin | InputPath::Object(_));
        Self { is_stdin, ..Self::named(&path.to_string()) }
    }

    /// The whole of an input that has this name in messages.
    pub(super) fn named(name: &str) -> Self {
        Self { input: escaped(name).into(), is_stdin: false, line: None, packing: None }
    }

    pub(super) fn line(&self, line: u64) -> Self {
        Self { line: Some(line), ..self.clone() }
    }

    /// A shell command that gives this input to `filter`, and what that prints to this program.
    pub(super) fn through(&self, filter: &str) -> String {
        let file = shell_word(&self.input);
        match self.packing {
            _ if self.is_stdin => format!("… | {filter} | skufetch - …"),
            None => format!("{filter} {file} | skufetch - …"),
            Some(packing) => format!("{} {file} | {filter} | skufetch - …", packing.command()),
        }
    }

    /// How to convert this input to UTF-8: a sentence with a shell command.
    pub(super) fn conversion_hint(&self, from: &str) -> String {
        if self.is_stdin {
            return format!("convert it on the way: … | iconv -f {from} -t UTF-8 | skufetch - …");
        }
        let file = shell_word(&self.input);
        let plain = self.input.trim_end_matches(".gz").trim_end_matches(".zst");
        let stem = plain.strip_suffix(".csv").unwrap_or(plain);
        let target = shell_word(&format!("{stem}.utf8.csv"));
        match self.packing {
            None => format!("convert it: iconv -f {from} -t UTF-8 {file} > {target}"),
            Some(packing) => {
                format!("convert it: {} {file} | iconv -f {from} -t UTF-8 > {target}", packing.command())
            }
        }
    }
}

impl fmt::Display for InputLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.input)?;
        self.line.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversion_can_be_pasted_into_a_shell() {
        let at = InputLocation::named("my list.csv");
        assert_eq!(
            at.conversion_hint("UTF-16"),
            "convert it: iconv -f UTF-16 -t UTF-8 'my list.csv' > 'my list.utf8.csv'"
        );
        let at = InputLocation { packing: Some(Packing::Gzip), ..InputLocation::named("p.csv.gz") };
        assert_eq!(
            at.conversion_hint("UTF-16"),
            "convert it: gzip -dc p.csv.gz | iconv -f UTF-16 -t UTF-8 > p.utf8.csv"
        );
        assert!(
            InputLocation::of(&InputPath::Stdin)
                .conversion_hint("UTF-16")
                .contains("| iconv -f UTF-16 -t UTF-8 | skufetch -")
        );
    }
}
