//! The end of a run: publishes the output or leaves the journal, and reports which, why, and what to do.

mod decide;
mod files;
mod merged;
mod message;
mod run_facts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::command_error::CommandError;
use super::run_report_writer::RunReportWriter;
use super::warnings::END_MARK;
use super::{shard, unpublished};
use crate::collect::{ChangeCounts, Collector, OutputSettings, PartFacts, Preflight, Target};
use crate::config::Settings;
use crate::engine::signals::{self, CommitGuard, Signals};
use crate::engine::{DRAIN, RunEnd};
use crate::fetch::Shutdown;
use crate::input::{Columns, InputPath};
use crate::limit::Gate;
use crate::model::QuotaSize;
use crate::model::{Cause, Event, Reporter, StopReason};
use crate::model::{Exit, Mask};
use crate::report::{
    ApiLimits, Changes, Counts, ErrorMessage, InputCounts, NotInInput, Report, RunSummary, format, verdict,
};

use decide::{Happened, Obstacle, after_streaming, before_publishing, exit};
use files::{FilesOutcome, FinalFiles};
use message::Context;
use run_facts::{Measured, facts};

pub(super) use merged::{FinishedMerge, conclude_merge, of_merge};
pub(super) use message::{before_any_request, check_address, check_proxy, interrupted_run, no_sku, stopped};

/// A run whose work has ended.
pub(super) struct FinishedRun<'a> {
    pub(super) report: &'a Report,
    pub(super) gate: &'a Gate,
    /// How large a quota is, as the newest fields said.
    pub(super) announced: Option<QuotaSize>,
    /// Connections that the server serves at a time, where that was learnt.
    pub(super) connections: Option<usize>,
    /// The proxy in use, and what named it.
    pub(super) proxy: Option<String>,
    pub(super) report_writer: Option<&'a RunReportWriter>,
    pub(super) settings: &'a Settings,
    pub(super) collector: Collector,
    pub(super) output: OutputSettings,
    pub(super) place: Preflight,
    pub(super) columns: Arc<Columns>,
    pub(super) shutdown: Arc<Shutdown>,
    /// Data rows of the input, where they were counted beforehand.
    pub(super) total: Option<u64>,
    /// The input is still what was surveyed. Otherwise a failure file that is the input may hold more rows.
    pub(super) input_unchanged: bool,
    pub(super) end: RunEnd,
    pub(super) started: Instant,
    /// Answers in the journal of an interrupted run.
    pub(super) journalled: u64,
    /// The input is a failure file, or cut by `--limit`: most SKUs of the output are not in it.
    pub(super) is_partial: bool,
    /// It is a failure file.
    pub(super) is_failure_file: bool,
}

/// Publishes or leaves the journal, prints the summary, and returns how the program ends.
pub(super) fn conclude(mut run: FinishedRun<'_>, runtime: &Runtime, signals: &mut Signals) -> Exit {
    let (report, settings, report_writer) = (run.report, run.settings, run.report_writer);
    run.warn_of_odd_rows();
    run.count_rows_left();
    let mut summary = run.summary();
    let context = Context {
        settings,
        origin: run.origin(),
        mask: run.mask(),
        proxy: run.proxy.clone(),
        fetched: summary.counts.fetched,
    };
    let (happened, is_part) = (run.happened(summary.counts), settings.output.part.is_some());
    let is_streamed = run.collector.is_streamed();
    let outcome = if is_streamed {
        after_streaming(happened)
    } else {
        before_publishing(happened, settings.run.min_success)
    };
    let accepts_failures = is_part || is_streamed;
    if run.end.at_once {
        // The second signal came: what the journal has is what it has.
        report.abandon();
        drop(run.collector);
        finish(&mut summary, (outcome, accepts_failures), |obstacle| context.error(obstacle, None));
        if let Some(report_writer) = report_writer {
            report_writer.close(&mut summary, (runtime, signals), Duration::ZERO);
        }
        return summary.exit;
    }
    let (unclaimed, is_partial) = (run.unclaimed(summary.counts), run.is_partial);
    let (grace, started) = (run.grace(), run.started);
    let signalled = match run.shutdown.reason() {
        Some(StopReason::Signal(number)) => Some(*number),
        _ => None,
    };
    let input_counts = run.input_counts();
    let (job, collector) = run.final_files(outcome.is_ok() && !is_streamed, summary.counts.deferred);
    let write = move |guard: &CommitGuard| job.write(collector, guard);
    // What is left of a stream waits for a reader that may have stopped reading.
    let (result, signal) = match signalled.filter(|_| is_streamed) {
        Some(number) => (signals::after_signal((runtime, signals), DRAIN, write), Some(number)),
        None => signals::unless_signalled((runtime, signals), grace, write),
    };
    let (files, outcome) = FilesOutcome::of(result, signal, outcome);
    warn_of_files(&files, unclaimed, (report, &context));
    report.refused_were_repeats(files.failures.repeats);
    summary.counts = Counts::of(&report.stats(), input_counts);
    summary.elapsed = started.elapsed();
    summary.written = files.written();
    summary.published = files.is_published || is_streamed;
    summary.journal_kept = files.journal_kept && matches!(settings.output.target, Target::File(_));
    if let Some(published) = &files.published {
        summary.changes = published.changes.as_ref().map(|(counts, _)| changes(*counts));
        summary.not_in_input = Some(published.not_in_input)
            .filter(|count| *count > 0 && files.is_published && !is_partial)
            .map(|count| NotInInput { count, pruned: published.pruned });
    }
    finish(&mut summary, (outcome, accepts_failures), |obstacle| {
        context.error(obstacle, files.published.as_ref())
    });
    if let Some(report_writer) = report_writer {
        report_writer.close(&mut summary, (runtime, signals), grace);
    }
    report.finish(&summary);
    summary.exit
}

/// Puts the exit and the error into the summary.
fn finish(
    summary: &mut RunSummary,
    (outcome, accepts_failures): (Result<(), Obstacle>, bool),
    error: impl FnOnce(Obstacle) -> CommandError,
) {
    // A part is complete even if SKUs failed: the merge reports that. In a stream the row of a failed SKU has its line.
    let failed = if accepts_failures { 0 } else { summary.counts.failed };
    summary.exit = exit(outcome.as_ref().err(), failed);
    summary.error = outcome.err().map(|obstacle| {
        let CommandError { message, hint, .. } = error(obstacle);
        ErrorMessage { message, hint }
    });
}

impl FinishedRun<'_> {
    /// What the planner noticed about keys that look odd.
    fn warn_of_odd_rows(&self) {
        let Some(input) = &self.end.input_summary else { return };
        let end_mark = input.ended_in_a_mark.then(|| END_MARK.to_owned());
        for warning in input.planner.warnings().iter().chain(&end_mark) {
            self.report.on(&Event::Warned { message: warning });
        }
    }

    fn input_counts(&self) -> InputCounts {
        InputCounts {
            keyless: self.end.keyless,
            short_rows: self.end.short_rows,
            blanks: self.end.input_summary.as_ref().map_or(0, |summary| summary.blanks),
        }
    }

    /// Rows that were never planned are deferred too, so that every row is counted.
    fn count_rows_left(&self) {
        let (counted, read) = (self.report.stats().counters.done(), self.end.input_summary.as_ref());
        let known = self.total.unwrap_or(0).max(read.map_or(0, |summary| summary.rows));
        // Where the reader hangs, the rows that the loop had are all that is known.
        let known = known.max(self.end.rows);
        self.report.rows_left(known.saturating_sub(counted));
    }

    /// ` at ORIGIN`; empty where the reader did not come back with it.
    fn origin(&self) -> String {
        let input = self.end.input_summary.as_ref();
        input.map_or_else(String::new, |summary| format!(" at {}", summary.planner.template().origin()))
    }

    fn mask(&self) -> Mask {
        self.end.input_summary.as_ref().map(|summary| summary.planner.request().mask()).unwrap_or_default()
    }

    /// What is known before any file is written.
    fn summary(&self) -> RunSummary {
        let (worked, stats) = (self.started.elapsed(), self.report.stats());
        let limits = ApiLimits {
            learned: self.end.waits.learned,
            in_flight: self.end.waits.cap,
            refused: stats.counters.refused,
            announced: self.announced,
            connections: self.connections,
        };
        let measured = Measured {
            elapsed: worked,
            settled: self.gate.view().limit,
            waits: &self.end.waits,
            stats: &stats,
            limits,
        };
        let facts = facts(self.settings, measured);
        let began = self.collector.began();
        let age = |at| began.duration_since(at).unwrap_or_default();
        RunSummary {
            elapsed: worked,
            counts: Counts::of(&stats, self.input_counts()),
            written: Vec::new(),
            verdict: verdict(&facts),
            limits,
            exit: Exit::Complete,
            error: None,
            published: false,
            journal_kept: matches!(self.settings.output.target, Target::File(_)),
            oldest: self.collector.oldest_adopted().map(age),
            changes: None,
            not_in_input: None,
        }
    }

    /// Answers in the journal of an interrupted run that no row needs.
    fn unclaimed(&self, counts: Counts) -> u64 {
        self.journalled.saturating_sub(counts.recovered + self.report.stats().counters.recovered_failed)
    }

    /// Takes the errors out of the run.
    fn happened(&mut self, counts: Counts) -> Happened {
        let (stats, unclaimed) = (self.report.stats(), self.unclaimed(counts));
        let input = self.end.input_summary.as_mut();
        Happened {
            counts,
            not_found: stats.failed_for(Cause::Status(404)),
            without_cell: stats.failed_for(Cause::Column),
            superseded: input.as_ref().map_or(0, |summary| summary.planner.superseded()),
            keyless: self.end.keyless,
            unclaimed,
            is_partial: self.is_partial,
            is_part: self.output.part.is_some(),
            at_end: input.as_ref().is_some_and(|summary| summary.at_end),
            journal_error: self.end.disk.take(),
            input_error: input.and_then(|summary| summary.broken.take()),
            stopped: self.shutdown.reason().cloned(),
        }
    }

    /// How long a signal waits for what is being written: a replaced file is an instant away from old or
    /// new, standard output may be a pipe that nobody reads. A run that was signalled before waits no more.
    fn grace(&self) -> Duration {
        match (self.shutdown.reason(), &self.settings.output.target) {
            (Some(StopReason::Signal(_)), _) | (_, Target::Stdout) => Duration::ZERO,
            _ => DRAIN,
        }
    }

    /// What the last line of a part says; none where the output is whole.
    fn part_facts(&self) -> Option<PartFacts> {
        let input = self.end.input_summary.as_ref().filter(|_| self.output.part.is_some())?;
        let columns = (&*self.columns, self.is_failure_file);
        let stats = self.report.stats();
        Some(PartFacts {
            input: shard::input_form(self.settings, columns, input.content.clone()?),
            counts: Counts::of(&stats, self.input_counts()).to_rows(&stats),
            warnings: serde_json::to_value(input.planner.row_warnings()).unwrap_or_default(),
        })
    }

    fn final_files(self, publish: bool, deferred: u64) -> (FinalFiles, Collector) {
        let failed = self.place.failed.as_ref();
        let files = FinalFiles {
            part: self.part_facts(),
            output: self.output,
            columns: self.columns,
            input_summary: self.end.input_summary,
            input: match &self.settings.input_path {
                InputPath::File(path) => Some(path.clone()),
                InputPath::Stdin => None,
                // A failure file in a store may be the input: then the file that stands for it is the one that stays.
                InputPath::Object(object) => failed
                    .filter(|failed| failed.given.as_os_str() == object.address().to_string().as_str())
                    .map(|failed| failed.real.clone()),
            },
            input_done: deferred == 0 && self.settings.input.limit.is_none() && self.input_unchanged,
            publish,
            place: self.place,
        };
        (files, self.collector)
    }
}

/// Warns of what should be checked in the files. `unclaimed` answers of a journal were needed by no row.
fn warn_of_files(files: &FilesOutcome, unclaimed: u64, (report, context): (&Report, &Context<'_>)) {
    let unclaimed = (files.is_published && unclaimed > 0).then(|| unclaimed_answers(unclaimed));
    let published = files.published.as_ref();
    let of_output =
        published.map(|published| unpublished::warnings(published, context.settings, &context.mask));
    for warning in files.warnings.iter().chain(of_output.iter().flatten()).chain(&unclaimed) {
        report.on(&Event::Warned { message: warning });
    }
}

fn unclaimed_answers(count: u64) -> String {
    let answers = format::counted(count, "answer", "answers");
    let were = if count == 1 { "it was" } else { "they were" };
    format!(
        "the journal of an interrupted run had {answers} that no row of this input needs; {were} removed with it"
    )
}

fn changes(counts: ChangeCounts) -> Changes {
    let ChangeCounts { added, removed, changed, failed } = counts;
    Changes { added, removed, changed, failed }
}

#[cfg(test)]
mod tests;
