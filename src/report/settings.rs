//! What the user wants to see, and what standard error can show.
//!
//! The report reads no environment and queries no terminal: whoever builds a [`ReportSettings`] has decided
//! whether there is a terminal, and whether it may be coloured.

use std::fmt;
use std::str::FromStr;

/// `--progress`: how a run under way is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProgressMode {
    /// A bar where the cursor can be moved, else plain lines.
    #[default]
    Auto,
    /// A bar; plain lines where no bar can be drawn (not a terminal, a dumb one, or JSON lines).
    Bar,
    /// One line every 10 s.
    Plain,
    /// Nothing until the summary.
    None,
}

/// `--log-format`: how a line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, the summary too; the schema is in `docs/messages.md`.
    Json,
}

/// A word that is not among those an option takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of {expected}")]
pub struct WordError {
    word: String,
    expected: &'static str,
}

impl fmt::Display for ProgressMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Bar => "bar",
            Self::Plain => "plain",
            Self::None => "none",
        })
    }
}

impl FromStr for ProgressMode {
    type Err = WordError;

    fn from_str(word: &str) -> Result<Self, WordError> {
        [Self::Auto, Self::Bar, Self::Plain, Self::None]
            .into_iter()
            .find(|known| known.to_string() == word)
            .ok_or_else(|| WordError { word: word.into(), expected: "auto, bar, plain or none" })
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = WordError;

    fn from_str(word: &str) -> Result<Self, WordError> {
        [Self::Text, Self::Json]
            .into_iter()
            .find(|known| known.to_string() == word)
            .ok_or_else(|| WordError { word: word.into(), expected: "text or json" })
    }
}

/// What standard error can show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// It is a terminal whose cursor can be moved (`TERM=dumb` is none).
    pub(crate) interactive: bool,
    /// Its columns, read again at every drawing so that the bar follows a resize; 0: unknown.
    pub(crate) width: fn() -> u16,
    /// Colour is allowed.
    pub(crate) colour: bool,
}

impl Terminal {
    /// A file, a pipe, or cron's mail.
    #[must_use]
    pub(crate) fn absent() -> Self {
        Self { interactive: false, width: || 0, colour: false }
    }
}

/// The options that the report depends on.
#[derive(Debug, Clone, Copy)]
pub struct ReportSettings {
    /// `--progress`.
    pub progress: ProgressMode,
    /// `--log-format`.
    pub log_format: LogFormat,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `-q`: print nothing unless the run fails. Wins over `verbose`.
    pub quiet: bool,
    /// What standard error can show.
    pub(crate) terminal: Terminal,
}

impl ReportSettings {
    /// The progress that will be shown: never `Auto`, and no bar where none can be drawn.
    pub(crate) fn shown_progress(&self) -> ProgressMode {
        let drawable = self.terminal.interactive && self.log_format == LogFormat::Text;
        match self.progress {
            _ if self.quiet => ProgressMode::None,
            ProgressMode::Auto | ProgressMode::Bar if drawable => ProgressMode::Bar,
            ProgressMode::Auto | ProgressMode::Bar | ProgressMode::Plain => ProgressMode::Plain,
            ProgressMode::None => ProgressMode::None,
        }
    }

    /// How much detail is printed as it happens.
    pub(crate) fn detail(&self) -> u8 {
        if self.quiet { 0 } else { self.verbose }
    }

    pub(crate) fn colour(&self) -> bool {
        self.terminal.colour && self.log_format == LogFormat::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for progress in [ProgressMode::Auto, ProgressMode::Bar, ProgressMode::Plain, ProgressMode::None] {
            assert_eq!(progress.to_string().parse(), Ok(progress));
        }
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let wrong = "Bar".parse::<ProgressMode>().unwrap_err();
        assert_eq!(wrong.to_string(), "`Bar` is not one of auto, bar, plain or none");
        assert_eq!("yaml".parse::<LogFormat>().unwrap_err().to_string(), "`yaml` is not one of text or json");
    }

    #[test]
    fn a_bar_is_drawn_only_where_the_cursor_moves_and_lines_are_text() {
        let shown = |progress, interactive, log_format, quiet| {
            let terminal = Terminal { interactive, ..Terminal::absent() };
            ReportSettings { progress, log_format, verbose: 0, quiet, terminal }.shown_progress()
        };
        assert_eq!(shown(ProgressMode::Auto, true, LogFormat::Text, false), ProgressMode::Bar);
        assert_eq!(shown(ProgressMode::Auto, false, LogFormat::Text, false), ProgressMode::Plain);
        assert_eq!(shown(ProgressMode::Bar, false, LogFormat::Text, false), ProgressMode::Plain);
        assert_eq!(shown(ProgressMode::Bar, true, LogFormat::Json, false), ProgressMode::Plain);
        assert_eq!(shown(ProgressMode::Plain, true, LogFormat::Text, false), ProgressMode::Plain);
        assert_eq!(shown(ProgressMode::None, true, LogFormat::Text, false), ProgressMode::None);
        assert_eq!(shown(ProgressMode::Bar, true, LogFormat::Text, true), ProgressMode::None);
    }
}
