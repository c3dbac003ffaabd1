//! The three places that settings come from, laid over each other. Everything is still text here,
//! with the place it came from, so that an error found later can name that place.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::error::ConfigError;
use crate::config::options;
use crate::config::values;
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

/// What one place says: the words of each setting that it names.
pub(super) type Layer = BTreeMap<&'static str, Vec<Word>>;

/// All places laid over each other.
pub(super) struct Layers(Layer);

impl Layers {
    /// Lays the places over each other, the strongest first. A list is replaced whole, never joined.
    pub(super) fn merge(places: impl IntoIterator<Item = Layer>) -> Self {
        let mut merged = Layer::new();
        for (name, words) in places.into_iter().flatten() {
            merged.entry(name).or_insert(words);
        }
        Self(merged)
    }

    /// Where each setting that was set came from.
    pub(super) fn origins(&self) -> BTreeMap<&'static str, Origin> {
        self.0.iter().filter_map(|(name, words)| Some((*name, words.first()?.origin.clone()))).collect()
    }

    /// Where this setting came from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.word(name).map_or(Origin::Default, |word| word.origin.clone())
    }

    /// Whether anything came from the command line.
    pub(super) fn any_option(&self) -> bool {
        self.0.values().flatten().any(|word| matches!(word.origin, Origin::Option(_)))
    }

    /// All words of a list.
    pub(super) fn words(&self, name: &str) -> &[Word] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn word(&self, name: &str) -> Option<&Word> {
        self.words(name).first()
    }

    /// The setting as text, if it was set.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        self.word(name).map(|word| filled(word).and_then(utf8)).transpose()
    }

    /// The setting, or its default, as `parse` reads it.
    pub(super) fn parse<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let default = options::find(name).map_or("", |(_, setting)| setting.default);
        let text = match self.word(name) {
            Some(word) => utf8(word)?,
            None => default,
        };
        parse(text).map_err(|why| ConfigError::Value { origin: self.origin(name), why })
    }

    /// Whether the setting is on.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        self.parse(name, values::truth)
    }

    /// The setting as a path, if it was set. A path need not be UTF-8.
    pub(super) fn path(&self, name: &str) -> Result<Option<PathBuf>, ConfigError> {
        self.word(name).map(|word| filled(word).map(|word| PathBuf::from(&word.text))).transpose()
    }
}

/// The word's text.
pub(super) fn utf8(word: &Word) -> Result<&str, ConfigError> {
    word.text.to_str().ok_or_else(|| wrong(word, "the value is not valid UTF-8"))
}

/// What is wrong with this word.
pub(super) fn wrong(word: &Word, why: impl Into<String>) -> ConfigError {
    ConfigError::Value { origin: word.origin.clone(), why: why.into() }
}

/// The word, unless it is empty: that is nearly always a shell variable that was not set.
fn filled(word: &Word) -> Result<&Word, ConfigError> {
    if word.text.is_empty() { Err(wrong(word, "the value is empty")) } else { Ok(word) }
}
