//! The end of a merge: the parts become the output, which is judged as that of one process.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Runtime;

use super::decide::{Happened, Obstacle, before_publishing};
use super::files::FilesOutcome;
use super::{changes, finish, warn_of_files};
use crate::collect::{CollectError, OutputSettings, PartMerge, Preflight, PublishContext, PublishOutcome};
use crate::commands::command_error::CommandError;
use crate::commands::ending::message::Context;
use crate::commands::output_lock::OutputLock;
use crate::commands::run_report_writer::RunReportWriter;
use crate::config::Settings;
use crate::config::options::{FRESH, MIN_SUCCESS};
use crate::engine::DRAIN;
use crate::engine::signals::{self, CommitGuard, Signals};
use crate::input::Columns;
use crate::model::{Cause, Exit, Mask, RowCounts, system_limit};
use crate::report::{Counts, InputCounts, NotInInput, Report, RunSummary};

/// A merge whose parts belong together.
pub(in crate::commands) struct FinishedMerge<'a> {
    pub(in crate::commands) report: &'a Report,
    pub(in crate::commands) report_writer: Option<&'a RunReportWriter>,
    pub(in crate::commands) settings: &'a Settings,
    pub(in crate::commands) merge: PartMerge,
    pub(in crate::commands) output: OutputSettings,
    pub(in crate::commands) place: Preflight,
    pub(in crate::commands) columns: Arc<Columns>,
    pub(in crate::commands) counts: RowCounts,
    /// The input of the shards had only some rows of a larger one.
    pub(in crate::commands) is_partial: bool,
    pub(in crate::commands) started: Instant,
    pub(in crate::commands) lock: OutputLock,
}

/// Publishes, prints the summary, and returns how the program ends.
pub(in crate::commands) fn conclude_merge(
    merge: FinishedMerge<'_>,
    runtime: &Runtime,
    signals: &mut Signals,
) -> Exit {
    let FinishedMerge { report, report_writer, settings, started, is_partial, .. } = merge;
    report.add_parts(&merge.counts);
    let input_counts = InputCounts::of_rows(&merge.counts);
    let counts = Counts::of(&report.stats(), input_counts);
    let mut summary = RunSummary::without_requests(counts, started.elapsed());
    let happened = Happened {
        counts: summary.counts,
        not_found: merge.counts.failed_for(Cause::Status(404)),
        without_cell: merge.counts.failed_for(Cause::Column),
        keyless: merge.counts.keyless,
        at_end: true,
        ..Happened::default()
    };
    let outcome = before_publishing(happened, settings.run.min_success);
    let files = MergedFiles {
        merge: merge.merge,
        output: merge.output,
        place: merge.place,
        columns: merge.columns,
        publish: outcome.is_ok(),
    };
    let (result, signal) =
        signals::unless_signalled((runtime, signals), DRAIN, move |guard| files.write(guard));
    let (files, outcome) = FilesOutcome::of(result, signal, outcome);
    let fetched = summary.counts.fetched;
    let context = Context { settings, origin: String::new(), mask: Mask::default(), proxy: None, fetched };
    warn_of_files(&files, 0, (report, &context));
    summary.elapsed = started.elapsed();
    summary.written = files.written();
    summary.published = files.is_published;
    if let Some(published) = &files.published {
        summary.changes = published.changes.as_ref().map(|(counts, _)| changes(*counts));
        summary.not_in_input = Some(published.not_in_input)
            .filter(|count| *count > 0 && files.is_published && !is_partial)
            .map(|count| NotInInput { count, pruned: published.pruned });
    }
    finish(&mut summary, (outcome, false), |obstacle| error(obstacle, &context, files.published.as_ref()));
    if let Some(report_writer) = report_writer {
        report_writer.close(&mut summary, (runtime, signals), DRAIN);
    }
    report.finish(&summary);
    drop(merge.lock);
    summary.exit
}

/// What to do about an error of the files: the parts stay, and there is no journal to resume from.
pub(in crate::commands) fn of_merge(error: CollectError) -> CommandError {
    let first = match &error {
        CollectError::Io { source, .. } | CollectError::Rows { source, .. } => {
            system_limit::advice(source).unwrap_or("check the disk and the rights to the files")
        }
        CollectError::Moved { .. } => "put the link back",
        CollectError::OldChanged { .. } => "wait for the other program",
        _ => return error.into(),
    };
    let hint = format!("{first}, then merge again: the parts stay");
    CommandError::from(error).with_hint(hint)
}

fn error(obstacle: Obstacle, context: &Context<'_>, published: Option<&PublishOutcome>) -> CommandError {
    let obstacle = match obstacle {
        Obstacle::Files(error) => return of_merge(error),
        other => other,
    };
    let hint = match &obstacle {
        Obstacle::Stopped(_) => "the parts stay: the same command merges them".into(),
        Obstacle::TooFew { .. } => format!(
            "the failures are listed above: run their shards again with {FRESH}, or publish what was fetched with \
             {MIN_SUCCESS} 0"
        ),
        Obstacle::NoRow | Obstacle::NoSku { .. } => "no row of the input has a SKU".into(),
        _ => return context.error(obstacle, published),
    };
    context.error(obstacle, published).with_hint(hint)
}

/// What is written, on a thread of its own: a signal must not wait for a slow disk.
struct MergedFiles {
    merge: PartMerge,
    output: OutputSettings,
    place: Preflight,
    columns: Arc<Columns>,
    /// The output is published; otherwise the failure file alone is written.
    publish: bool,
}

impl MergedFiles {
    fn write(self, guard: &CommitGuard) -> Result<FilesOutcome, CollectError> {
        let mut nowhere = std::io::sink();
        let context = PublishContext {
            place: &self.place,
            columns: &self.columns,
            // The shards have decided which refused rows are repeats.
            is_planned: &|_| false,
            input: None,
            input_done: true,
            is_stopped: &|| guard.is_stopped(),
            may_replace: &|| guard.commit(),
            stdout: &mut nowhere,
        };
        let paths = self.place.paths.as_ref().expect("the output of a merge is a file");
        if !self.publish {
            let left = self.merge.leave(&context)?;
            return Ok(FilesOutcome {
                failures: left.failures,
                warnings: left.warnings,
                journal_kept: false,
                ..FilesOutcome::nothing(false)
            });
        }
        let mut published = self.merge.publish(&self.output, &context, paths)?;
        // A body may repeat a secret that was sent, and a merge knows none that it could hide.
        if let Some((_, Some(body))) = &mut published.evidence.example {
            *body = "null".into();
        }
        Ok(FilesOutcome::of_published(published))
    }
}
