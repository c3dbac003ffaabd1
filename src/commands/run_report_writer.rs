//! `--report FILE`: checked before anything else is done, and written at every end of the run that is no
//! usage error.
//!
//! `report/` makes the content and `collect/` replaces the file; here one is passed to the other.

use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;

use super::command_error::CommandError;
use crate::collect::{Document, ObjectStage, Target, siblings};
use crate::config::Settings;
use crate::config::options::URL;
use crate::engine::DRAIN;
use crate::engine::signals::{CommitGuard, Signals, unless_signalled};
use crate::model::{Exit, ObjectAddress, display_safe, signal_name};
use crate::report::{
    Amount, ApiLimits, Counts, ErrorMessage, Level, Report, ReportFile, ReportFormat, RunDescription,
    RunSummary, RunVerdict, ShownOutput, WrittenFile,
};

/// Characters of a path.
const PATH_CHARS: usize = 300;

/// A report that was asked for, and whose place can be written to.
pub(super) struct RunReportWriter {
    file: ReportFile,
    /// As the user named it.
    shown: PathBuf,
    document: Document,
    subject: RunDescription,
    /// Where an earlier run may have left one.
    journal: Option<PathBuf>,
    started: Instant,
    report: Arc<Report>,
}

impl RunReportWriter {
    /// The report of `--report`, if it was given.
    ///
    /// # Errors
    /// It cannot be written there.
    pub(super) fn open(
        settings: &Settings,
        started: Instant,
        report: &Arc<Report>,
    ) -> Result<Option<Self>, CommandError> {
        let Some(file) = settings.run.report.clone() else { return Ok(None) };
        let stage = settings.output.stage.as_ref();
        let document = Document::at(&file.path)?.in_stage(stage);
        let shown = ObjectStage::shown(stage, &file.path);
        let journal = match &settings.output.target {
            Target::File(output) => siblings(output).into_iter().next(),
            Target::Stdout => None,
        };
        let (subject, report) = (subject(settings), Arc::clone(report));
        Ok(Some(Self { file, shown, document, subject, journal, started, report }))
    }

    /// Writes it for a run that ended before its first request. A failure to do so is printed: it is the
    /// smaller trouble.
    pub(super) fn close_early(&self, failure: &CommandError, signals: (&Runtime, &mut Signals)) {
        if matches!(failure.exit, Exit::Usage | Exit::Config) {
            return;
        }
        let error = ErrorMessage { message: failure.message.clone(), hint: failure.hint.clone() };
        let summary = RunSummary {
            elapsed: self.started.elapsed(),
            counts: Counts::default(),
            written: Vec::new(),
            verdict: RunVerdict::without_requests(),
            limits: ApiLimits::default(),
            exit: failure.exit,
            error: Some(error),
            published: false,
            journal_kept: self.journal.as_ref().is_some_and(|journal| journal.exists()),
            oldest: None,
            changes: None,
            not_in_input: None,
        };
        let grace = if matches!(failure.exit, Exit::Signal(_)) { Duration::ZERO } else { DRAIN };
        if let Err(error) = self.write(&summary, signals, grace) {
            self.report.line(Level::Error, &error);
        }
    }

    /// Writes it, and adds it to the files of the summary. Where it cannot be written, a run that ended well ends
    /// as disk trouble, though what it published stays. A signal abandons the writing after `grace`.
    pub(super) fn close(&self, summary: &mut RunSummary, signals: (&Runtime, &mut Signals), grace: Duration) {
        let message = match self.write(summary, signals, grace) {
            Ok(bytes) => {
                let path = self.shown.display().to_string();
                summary.written.push(WrittenFile { path, amount: Amount::Bytes(bytes) });
                return;
            }
            Err(message) => message,
        };
        if summary.exit == Exit::Complete {
            summary.exit = Exit::Io;
        }
        if summary.error.is_some() {
            self.report.line(Level::Error, &message);
        } else {
            summary.error = Some(ErrorMessage { message, hint: None });
        }
    }

    /// The bytes written, or an error message.
    fn write(
        &self,
        summary: &RunSummary,
        signals: (&Runtime, &mut Signals),
        grace: Duration,
    ) -> Result<u64, String> {
        let (document, content) = (self.document.clone(), self.content(summary));
        let write = move |_: &CommitGuard| document.write(content.as_bytes());
        match unless_signalled(signals, grace, write) {
            (Some(Ok(bytes)), _) => Ok(bytes),
            (Some(Err(error)), _) => Err(self.error(&error.to_string())),
            (None, number) => Err(self.error(&format!("stopped by {}", signal_name(number.unwrap_or(0))))),
        }
    }

    fn content(&self, summary: &RunSummary) -> String {
        let before = if self.file.kind == ReportFormat::Prom { self.document.before() } else { None };
        self.report.document(self.file.kind, &self.subject, summary, before.as_deref())
    }

    fn error(&self, why: &str) -> String {
        let path = display_safe(&self.shown.to_string_lossy(), PATH_CHARS);
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
    format!("{} {address}", settings.request.method())
}

fn subject(settings: &Settings) -> RunDescription {
    let of = |path: &Path| path.to_string_lossy().into_owned();
    let output = match &settings.output.shown_target() {
        Target::Stdout => ShownOutput::Stdout,
        // An address is absolute.
        Target::File(path) if ObjectAddress::is_meant_by(path) => {
            ShownOutput::File { given: of(path), absolute: of(path) }
        }
        Target::File(path) => {
            let absolute = absolute(path).map_or_else(|_| of(path), |path| of(&path));
            ShownOutput::File { given: of(path), absolute }
        }
    };
    RunDescription {
        input: settings.input_path.to_string(),
        output,
        request: what_is_asked(settings),
        settings: settings.redacted.clone(),
        began: SystemTime::now(),
    }
}
