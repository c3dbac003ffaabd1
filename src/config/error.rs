//! Errors of the settings. Each says what is wrong, where, why and what to do. None holds the value of a header, an
//! address, a body or a proxy.

use std::io;
use std::path::PathBuf;

use crate::config::options::{CONFIG, DEMO, OUTPUT, URL};
use crate::config::origin::{Origin, WrongValue};
use crate::input::{InputPath, InputSettings};
use crate::model::Exit;

/// Why there are no [`Settings`](crate::config::Settings).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nothing was asked for at all. The text is the short help; it needs no `error:` before it.
    #[error("{help}")]
    NothingAsked {
        /// The short help.
        help: String,
    },
    /// The command line cannot be read: an unknown option, a missing value, no INPUT.
    #[error("{message}")]
    CommandLine {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// There is neither an address nor `--demo`.
    #[error("no address: {URL} is missing")]
    MissingUrl {
        /// The input, whose columns can complete the suggestion.
        input: InputPath,
        /// How it is to be read, as far as that is known.
        reading: Box<InputSettings>,
        /// `--output` is missing as well.
        output_missing: bool,
        /// INPUT is all that was typed.
        bare: bool,
        /// The words that the command begins with.
        command: &'static str,
    },
    /// There is no output.
    #[error("no place for the answers: {OUTPUT} is missing")]
    MissingOutput {
        /// The address has a query, whose `&` ends the command where the shell reads it.
        has_query: bool,
    },
    /// A setting has a value that it cannot have.
    #[error("{origin}: {why}")]
    Value {
        /// Where the value came from.
        origin: Origin,
        /// What is wrong with it.
        why: String,
    },
    /// Settings that do not go together.
    #[error("{origin}: {why}")]
    Contradiction {
        /// The setting to change first.
        origin: Origin,
        /// What does not go together.
        why: String,
        /// What to do.
        hint: String,
        /// How the program ends: by the place where the contradiction can be mended.
        exit: Exit,
    },
    /// The config file cannot be read.
    #[error("the config file {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// The config file is not TOML, or holds what it may not.
    #[error("{}:{line}:{column}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// What is wrong.
        why: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl From<WrongValue> for ConfigError {
    fn from(WrongValue { origin, why }: WrongValue) -> Self {
        Self::Value { origin, why }
    }
}

impl ConfigError {
    /// How the program ends: 78 for what is wrong in the config file, else 2.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NothingAsked { .. }
            | Self::CommandLine { .. }
            | Self::MissingUrl { .. }
            | Self::MissingOutput { .. } => Exit::Usage,
            Self::Value { origin, .. } => origin.exit(),
            Self::Contradiction { exit, .. } => *exit,
            Self::Unreadable { .. } | Self::File { .. } => Exit::Config,
        }
    }

    /// What to do about it, if the message itself does not say so.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::MissingUrl { output_missing, .. } => Some(format!(
                "give the address, such as {URL} 'https://api.example.com/products/{{sku}}'{}{}",
                if *output_missing { "\nand where to write, such as -o out.json" } else { "" },
                if cfg!(feature = "demo") {
                    format!("\nor try it out without an API: {DEMO}")
                } else {
                    String::new()
                },
            )),
            Self::MissingOutput { has_query } => Some(format!(
                "say where to write, such as -o out.json, or -o - for standard output{}",
                if *has_query {
                    "; if it was said, the shell ended the command at a `&` of the address: put the address in single quotes"
                } else {
                    ""
                }
            )),
            // The usual case of a service: the file is root's, and the run is not.
            Self::Unreadable { why, .. } if why.kind() == io::ErrorKind::PermissionDenied => {
                Some("give the user that this runs as the right to read it".into())
            }
            Self::Unreadable { .. } => Some(format!("--{CONFIG} FILE names another one")),
            Self::Contradiction { hint, .. } => Some(hint.clone()),
            Self::File { hint, .. } | Self::CommandLine { hint, .. } => hint.clone(),
            Self::NothingAsked { .. } | Self::Value { .. } => None,
        }
    }
}
