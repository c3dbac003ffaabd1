//! `--report FILE`: looked at before anything else is done, and written at every end of the run that is no
//! usage error.
//!
//! `report/` knows what is in the file and `collect/` how a file is replaced; here one is handed to the other.

use std::path::{Path, PathBuf, absolute};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;

use super::command_error::CommandError;
use crate::collect::{Document, Target, siblings};
use crate::config::Settings;
use crate::config::options::URL;
use crate::engine::DRAIN;
use crate::engine::signals::{self, Signals};
use crate::model::{Exit, display_safe, signal_name};
use crate::report::{
    Amount, Counts, ErrorMessage, Level, LimitedBy, Report, ReportFile, ReportFormat, RunDescription,
    RunSummary, RunVerdict, WrittenFile,
};

/// Characters of a path.
const PATH_CHARS: usize = 300;

/// A report that was asked for, and whose place can be written to.
pub(super) struct RunReportWriter {
    file: ReportFile,
    document: Document,
    subject: RunDescription,
    /// Where an earlier run may have left one.
    journal: Option<PathBuf>,
    started: Instant,
}

impl RunReportWriter {
    /// The report that the settings ask for, if they do.
    ///
    /// # Errors
    /// It cannot be written there.
    pub(super) fn open(settings: &Settings, started: Instant) -> Result<Option<Self>, CommandError> {
        let Some(file) = settings.run.report.clone() else { return Ok(None) };
        let document = Document::at(&file.path)?;
        let journal = match &settings.output.path {
            Target::File(output) => siblings(output).into_iter().next(),
            Target::Stdout => None,
        };
        Ok(Some(Self { file, document, subject: subject(settings), journal, started }))
    }

    /// Writes it for a run that ended before its first request. A failure to do so is printed: it is the
    /// smaller trouble.
    pub(super) fn close_early(
        &self,
        report: &Report,
        failure: &CommandError,
        ears: (&Runtime, &mut Signals),
    ) {
        if matches!(failure.exit, Exit::Usage | Exit::Config) {
            return;
        }
        let verdict = RunVerdict { limit: LimitedBy::Nothing, text: "nothing; no request was sent".into() };
        let error = ErrorMessage { message: failure.message.clone(), hint: failure.hint.clone() };
        let ending = RunSummary {
            elapsed: self.started.elapsed(),
            counts: Counts::default(),
            written: Vec::new(),
            verdict,
            exit: failure.exit,
            error: Some(error),
            published: false,
            journal_kept: self.journal.as_ref().is_some_and(|journal| journal.exists()),
            oldest: None,
            changes: None,
            not_in_input: None,
        };
        let grace = if matches!(failure.exit, Exit::Signal(_)) { Duration::ZERO } else { DRAIN };
        if let Err(trouble) = self.write(report, &ending, ears, grace) {
            report.line(Level::Error, &trouble);
        }
    }

    /// Writes it, and tells the ending that it is there, or why it is not: then a run that ended well ends
    /// as disk trouble, though what it published stays. A signal leaves the writing behind after `grace`.
    pub(super) fn close(
        &self,
        report: &Report,
        ending: &mut RunSummary,
        ears: (&Runtime, &mut Signals),
        grace: Duration,
    ) {
        let message = match self.write(report, ending, ears, grace) {
            Ok(bytes) => {
                let path = self.file.path.display().to_string();
                ending.written.push(WrittenFile { path, amount: Amount::Bytes(bytes) });
                return;
            }
            Err(trouble) => trouble,
        };
        if ending.exit == Exit::Complete {
            ending.exit = Exit::Io;
        }
        if ending.error.is_some() {
            report.line(Level::Error, &message);
        } else {
            ending.error = Some(ErrorMessage { message, hint: None });
        }
    }

    /// The bytes written, or what to say.
    fn write(
        &self,
        report: &Report,
        ending: &RunSummary,
        ears: (&Runtime, &mut Signals),
        grace: Duration,
    ) -> Result<u64, String> {
        let (document, content) = (self.document.clone(), self.content(report, ending));
        let write = move |_: &signals::CommitGuard| document.write(content.as_bytes());
        match signals::unless_signalled(ears, grace, write) {
            (Some(Ok(bytes)), _) => Ok(bytes),
            (Some(Err(error)), _) => Err(self.trouble(&error.to_string())),
            (None, number) => Err(self.trouble(&format!("stopped by {}", signal_name(number.unwrap_or(0))))),
        }
    }

    fn content(&self, report: &Report, ending: &RunSummary) -> String {
        let before = if self.file.kind == ReportFormat::Prom { self.document.before() } else { None };
        report.document(self.file.kind, &self.subject, ending, before.as_deref())
    }

    fn trouble(&self, why: &str) -> String {
        let path = display_safe(&self.file.path.to_string_lossy(), PATH_CHARS);
        format!("the report {path} was not written: {why}")
    }
}

/// Method and address, as they may be shown.
pub(super) fn what_is_asked(settings: &Settings) -> String {
    let url = settings.redacted.iter().find(|setting| setting.name == URL.name);
    let address = match url.and_then(|setting| setting.value.as_deref()) {
        Some(address) if settings.demo.is_none() => address,
        _ => "the built-in API",
    };
    format!("{} {address}", settings.request.method)
}

fn subject(settings: &Settings) -> RunDescription {
    let of = |path: &Path| path.to_string_lossy().into_owned();
    let (output, output_in_full) = match &settings.output.path {
        Target::Stdout => ("-".to_owned(), "-".to_owned()),
        Target::File(path) => (of(path), absolute(path).map_or_else(|_| of(path), |path| of(&path))),
    };
    RunDescription {
        input: settings.input.path.to_string(),
        output,
        output_in_full,
        request: what_is_asked(settings),
        settings: settings.redacted.clone(),
        began: SystemTime::now(),
    }
}
