//! A value as it was written, and the place where it was written: an error found later can name that place.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::model::Exit;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The option of this name, without its dashes.
    Option(&'static str),
    /// The environment variable of this name.
    Environment(String),
    /// The config file.
    File {
        /// The key.
        name: &'static str,
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
    },
}

impl Origin {
    /// How the program ends when a value from here turns out to be wrong.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::File { .. } => Exit::Config,
            Self::Default | Self::Option(_) | Self::Environment(_) => Exit::Usage,
        }
    }

    /// Whether it was set for this run, by an option or a variable. What the config file sets may be there
    /// for other runs.
    pub(super) fn is_of_this_run(&self) -> bool {
        matches!(self, Self::Option(_) | Self::Environment(_))
    }
}

/// As an error names it: `--rate`, `SKUFETCH_RATE`, `config.toml:4:8: rate`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Option(name) => write!(f, "--{name}"),
            Self::Environment(variable) => f.write_str(variable),
            Self::File { name, path, line, column } => {
                write!(f, "{}:{line}:{column}: {name}", path.display())
            }
        }
    }
}

/// One value as it was written. Has no `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Word {
    pub text: OsString,
    pub origin: Origin,
}

/// A value that a setting cannot have.
#[derive(Debug)]
pub(super) struct WrongValue {
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for WrongValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.why)
    }
}
