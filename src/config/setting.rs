//! What a setting is: [`Setting`] describes it as text, for the help, the environment, the config file and
//! reports; [`Handle`] adds the type of its value and how that is read.
//!
//! Only [`Handle::read`] parses the value, so that an invalid value gives the same error in all three places.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::str::FromStr;

use crate::config::origin::{Origin, Word, WrongValue};
use crate::config::values;

/// A table of the config file, and a heading of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// What is read.
    Input,
    /// What is sent to the API.
    Request,
    /// How fast.
    Pace,
    /// What is tried again.
    Retry,
    /// What is kept of an answer.
    Response,
    /// What is written.
    Output,
    /// This run.
    Run,
}

impl Table {
    /// The name in the config file, without brackets.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Request => "request",
            Self::Pace => "pace",
            Self::Retry => "retry",
            Self::Response => "response",
            Self::Output => "output",
            Self::Run => "run",
        }
    }

    /// The heading in `--help`.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Input => "Input",
            Self::Request => "Request",
            Self::Pace => "Pace",
            Self::Retry => "Retry",
            Self::Response => "Response",
            Self::Output => "Output",
            Self::Run => "Run",
        }
    }
}

/// What a setting takes. The text is the value's name in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is on or off.
    Flag,
    /// One word; the config file may also write it as a number.
    Word(&'static str),
    /// One text: in the config file always a string.
    Text(&'static str),
    /// Any number of texts: in the config file an array of strings.
    List(&'static str),
}

/// Which part of a value may be secret and is never printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Nothing.
    Open,
    /// User-info and query values of an address.
    Address,
    /// The user-info of a proxy.
    Proxy,
    /// What follows the name of a header.
    Header,
    /// What follows the name of a form field.
    Field,
    /// All of it, unless it is `@FILE`.
    Body,
    /// All of it.
    Whole,
}

/// What `skufetch tune` does with a setting of the fetch.
#[derive(Debug, Clone, Copy)]
pub(super) enum InTune {
    /// The same as a fetch.
    Same,
    /// Nothing: it is accepted and not listed.
    Ignored,
    /// Something else, with a help of its own.
    Other {
        /// One line for `-h`.
        help: &'static str,
        /// What `--help` says in place of that line. Empty: the same line.
        long: &'static str,
        /// What `--help` says after that.
        more: &'static str,
    },
}

/// One setting, under the same name on the command line, in the environment and in the config file.
///
/// `Display` writes it as an option: `--rate`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The long option, without its dashes, and the key in the config file.
    pub name: &'static str,
    /// The table of the config file that the key stands in.
    pub table: Table,
    /// The short option.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// The default as a user would write it. Empty: there is no default, and an empty string in the config file is the
    /// same as leaving the key out.
    pub default: &'static str,
    /// One line for `-h`.
    pub help: &'static str,
    /// What `--help` says after that line.
    pub more: &'static str,
    /// The values that a shell can complete; for most settings there are none.
    pub(super) completions: &'static [&'static str],
    pub(super) secrecy: Secrecy,
    pub(super) in_tune: InTune,
    /// Whether a `+` before a number has a meaning. TOML would read it as a sign and drop it.
    pub(super) plus_counts: bool,
}

impl Setting {
    /// `option` is the long option as it is typed: `--rate`.
    pub(super) const fn new(table: Table, option: &'static str, takes: Takes, help: &'static str) -> Self {
        // `tune` writes no output.
        let in_tune = if matches!(table, Table::Output) { InTune::Ignored } else { InTune::Same };
        Self {
            name: without_dashes(option),
            table,
            short: None,
            takes,
            default: "",
            help,
            more: "",
            completions: &[],
            secrecy: Secrecy::Open,
            in_tune,
            plus_counts: false,
        }
    }

    pub(super) const fn flag(table: Table, option: &'static str, help: &'static str) -> Self {
        Self::new(table, option, Takes::Flag, help).default("false")
    }

    pub(super) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(super) const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    pub(super) const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    pub(super) const fn completions(mut self, words: &'static [&'static str]) -> Self {
        self.completions = words;
        self
    }

    pub(super) const fn secrecy(mut self, secrecy: Secrecy) -> Self {
        self.secrecy = secrecy;
        self
    }

    pub(super) const fn in_tune(mut self, in_tune: InTune) -> Self {
        self.in_tune = in_tune;
        self
    }

    pub(super) const fn plus_counts(mut self) -> Self {
        self.plus_counts = true;
        self
    }

    /// The environment variable: `max-age` is `SKUFETCH_MAX_AGE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.name)
    }
}

/// Two settings are the same if they have one name.
impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Setting {}

/// The name of an option: `rate` of `--rate`.
pub(super) const fn without_dashes(option: &'static str) -> &'static str {
    let (dashes, name) = option.split_at(2);
    assert!(matches!(dashes.as_bytes(), b"--"), "an option begins with two dashes");
    name
}

/// What the name of every variable begins with.
pub(super) const VARIABLE_PREFIX: &str = "SKUFETCH_";

/// A setting with the type of its value.
pub(crate) struct Handle<T: 'static> {
    /// What it is.
    pub setting: Setting,
    /// Reads the value from what was written, or from the default.
    pub(super) read: fn(&Given<'_>) -> Result<T, WrongValue>,
}

impl<T> Deref for Handle<T> {
    type Target = Setting;

    fn deref(&self) -> &Setting {
        &self.setting
    }
}

impl<T> fmt::Display for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setting.fmt(f)
    }
}

/// What was written for one setting, in the strongest place that names it.
pub(super) struct Given<'a> {
    pub setting: &'a Setting,
    /// More than one only for a list; none: nobody set it.
    pub words: &'a [Word],
}

impl<'a> Given<'a> {
    fn word(&self) -> Option<&'a Word> {
        self.words.first()
    }

    /// Where it came from.
    pub(super) fn origin(&self) -> Origin {
        self.word().map_or(Origin::Default, |word| word.origin.clone())
    }

    /// The error for a wrong value.
    pub(super) fn wrong(&self, why: impl Into<String>) -> WrongValue {
        WrongValue { origin: self.origin(), why: why.into() }
    }

    /// The word, unless it is empty: that is nearly always a shell variable that was not set.
    fn filled(&self) -> Result<Option<&'a OsStr>, WrongValue> {
        let text = self.word().map(|word| word.text.as_os_str());
        if text.is_some_and(OsStr::is_empty) { Err(self.wrong("the value is empty")) } else { Ok(text) }
    }

    /// The setting as text, if it was set.
    pub(super) fn text(&self) -> Result<Option<&'a str>, WrongValue> {
        self.filled()?.map(|text| self.utf8(text)).transpose()
    }

    fn utf8(&self, text: &'a OsStr) -> Result<&'a str, WrongValue> {
        text.to_str().ok_or_else(|| self.wrong(NOT_UTF8))
    }

    /// The setting, or its default, as `parse` reads it.
    pub(super) fn parse<T, E: ToString>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, WrongValue> {
        let text = match self.word() {
            Some(word) => self.utf8(&word.text)?,
            None => self.setting.default,
        };
        parse(text).map_err(|why| self.wrong(why.to_string()))
    }

    /// The setting as `parse` reads it, if it was set.
    pub(super) fn parse_if_set<T, E: ToString>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, WrongValue> {
        self.text()?.map(|text| parse(text).map_err(|why| self.wrong(why.to_string()))).transpose()
    }

    /// The setting, or its default, as the type itself reads it.
    pub(super) fn choice<T: FromStr<Err: ToString>>(&self) -> Result<T, WrongValue> {
        self.parse(str::parse)
    }

    /// Whether the setting is on.
    pub(super) fn flag(&self) -> Result<bool, WrongValue> {
        self.parse(values::truth)
    }

    /// The setting as a path, if it was set. A path need not be UTF-8.
    pub(super) fn path(&self) -> Result<Option<PathBuf>, WrongValue> {
        Ok(self.filled()?.map(PathBuf::from))
    }

    /// All texts of a list.
    pub(super) fn list<T>(
        &self,
        parse: impl Fn(&str, &Origin) -> Result<T, String>,
    ) -> Result<Vec<T>, WrongValue> {
        let one = |word: &Word| {
            let text = word.text.to_str().ok_or_else(|| NOT_UTF8.to_owned());
            text.and_then(|text| parse(text, &word.origin))
                .map_err(|why| WrongValue { origin: word.origin.clone(), why })
        };
        self.words.iter().map(one).collect()
    }
}

/// The error for a value that is not UTF-8.
pub(super) const NOT_UTF8: &str = "the value is not valid UTF-8";

#[cfg(test)]
impl<T> Handle<T> {
    /// What these words mean; without one, the default.
    pub(super) fn of(&self, words: &[&str]) -> Result<T, String> {
        let word = |text: &&str| Word { text: text.into(), origin: Origin::Option(self.name) };
        let words: Vec<Word> = words.iter().map(word).collect();
        (self.read)(&Given { setting: &self.setting, words: &words }).map_err(|error| error.to_string())
    }

    /// Why this word is refused; the error names the option first.
    pub(super) fn refuses(&self, word: &str) -> String {
        let Err(message) = self.of(&[word]) else { panic!("{self} takes {word:?}") };
        let why = message.strip_prefix(&format!("{self}: ")).unwrap_or_else(|| panic!("{message}"));
        why.to_owned()
    }
}
