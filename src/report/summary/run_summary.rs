//! How a run ended: what the summary is made of.

use std::time::Duration;

use crate::model::{Cause, Exit, RowCounts};
use crate::report::error_message::ErrorMessage;
use crate::report::run_stats::StatsSnapshot;
use crate::report::verdict::{ApiLimits, RunVerdict};

/// How a run ended.
#[derive(Debug, Clone)]
pub(crate) struct RunSummary {
    /// Wall time.
    pub(crate) elapsed: Duration,
    /// What became of the rows.
    pub(crate) counts: Counts,
    /// The files that were written.
    pub(crate) written: Vec<WrittenFile>,
    /// What limited the run.
    pub(crate) verdict: RunVerdict,
    /// What is known of the API's limits.
    pub(crate) limits: ApiLimits,
    /// How the program will exit.
    pub(crate) exit: Exit,
    /// Why the run did not end well, if it did not.
    pub(crate) error: Option<ErrorMessage>,
    /// The output was replaced.
    pub(crate) published: bool,
    /// A journal was left for the next run to go on from.
    pub(crate) journal_kept: bool,
    /// How old the oldest answer of an interrupted run's journal was when this run began.
    pub(crate) oldest: Option<Duration>,
    /// How the new output differs from the one that it replaces, with `--changes`.
    pub(crate) changes: Option<Changes>,
    /// SKUs of the old output that are no longer in the input.
    pub(crate) not_in_input: Option<NotInInput>,
}

impl RunSummary {
    /// A run that ended well without a request.
    pub(crate) fn without_requests(counts: Counts, elapsed: Duration) -> Self {
        Self {
            elapsed,
            counts,
            written: Vec::new(),
            verdict: RunVerdict::default(),
            limits: ApiLimits::default(),
            exit: Exit::Complete,
            error: None,
            published: true,
            journal_kept: false,
            oldest: None,
            changes: None,
            not_in_input: None,
        }
    }
}

/// SKUs that differ from the old output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// New ones.
    pub(crate) added: u64,
    /// Ones that are gone.
    pub(crate) removed: u64,
    /// Ones with another body.
    pub(crate) changed: u64,
    /// Ones that failed.
    pub(crate) failed: u64,
}

/// SKUs of the old output that no row of the input has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotInInput {
    /// How many.
    pub(crate) count: u64,
    /// They were taken out, and not kept.
    pub(crate) pruned: bool,
}

/// What became of the rows. `fetched + unchanged + failed + skipped + repeats + deferred = rows`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Data rows of the input.
    pub(crate) rows: u64,
    /// Answers kept, those from the journal among them.
    pub(crate) fetched: u64,
    /// SKUs whose old value still holds.
    pub(crate) unchanged: u64,
    /// SKUs without an answer to keep, and bad rows.
    pub(crate) failed: u64,
    /// Rows without a SKU that were skipped.
    pub(crate) skipped: u64,
    /// Rows that repeat a SKU.
    pub(crate) repeats: u64,
    /// Rows left for a later run.
    pub(crate) deferred: u64,
    /// Of `fetched`: answered by the journal of an interrupted run.
    pub(crate) recovered: u64,
    /// Of `failed`: rows that could not be requested, and whose SKU no other row has.
    pub(crate) bad_rows: u64,
    /// Of `bad_rows`: rows without a SKU.
    pub(crate) keyless: u64,
    /// Of `bad_rows`: rows with fewer cells than the header.
    pub(crate) short_rows: u64,
    /// Lines without a character, or of empty cells alone; they are no rows.
    pub(crate) blanks: u64,
}

/// What is counted where the input is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InputCounts {
    /// See [`Counts::keyless`].
    pub(crate) keyless: u64,
    /// See [`Counts::short_rows`].
    pub(crate) short_rows: u64,
    /// See [`Counts::blanks`].
    pub(crate) blanks: u64,
}

impl InputCounts {
    /// Of the rows of all parts.
    #[must_use]
    pub(crate) fn of_rows(rows: &RowCounts) -> Self {
        Self { keyless: rows.keyless, short_rows: rows.short_rows, blanks: rows.blanks }
    }
}

impl Counts {
    /// The counts of a run's events, and those of the reader of the input.
    #[must_use]
    pub(crate) fn of(stats: &StatsSnapshot, input: InputCounts) -> Self {
        let counters = &stats.counters;
        Self {
            rows: counters.done(),
            fetched: counters.fetched + counters.recovered,
            unchanged: counters.unchanged,
            failed: counters.failed,
            skipped: counters.skipped,
            repeats: counters.repeats,
            deferred: counters.deferred,
            recovered: counters.recovered,
            bad_rows: stats.failed_for(Cause::Row),
            keyless: input.keyless,
            short_rows: input.short_rows,
            blanks: input.blanks,
        }
    }

    /// The same in the form of a part, with the failures by cause.
    #[must_use]
    pub(crate) fn to_rows(self, stats: &StatsSnapshot) -> RowCounts {
        RowCounts {
            rows: self.rows,
            fetched: self.fetched + self.unchanged,
            failed: self.failed,
            skipped: self.skipped,
            repeats: self.repeats,
            differing: stats.counters.differing,
            differing_lines: stats.counters.differing_lines.clone(),
            keyless: self.keyless,
            short_rows: self.short_rows,
            blanks: self.blanks,
            causes: stats.causes.clone(),
        }
    }

    /// Distinct SKUs that can be requested, as a plan counts them. Not known where a run stopped early: what
    /// is deferred are rows that were not read yet, repeats and bad ones among them.
    #[must_use]
    pub(crate) fn skus(&self) -> Option<u64> {
        let requested = self.fetched + self.unchanged + self.failed.saturating_sub(self.bad_rows);
        (self.deferred == 0).then_some(requested)
    }
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenFile {
    /// Its path, as the user gave it.
    pub(crate) path: String,
    /// How much is in it.
    pub(crate) amount: Amount,
}

/// How much a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Bytes.
    Bytes(u64),
    /// Data rows.
    Rows(u64),
    /// Lines.
    Lines(u64),
}

/// SKUs that cost a request, a second: what the journal had says nothing about the API.
pub(crate) fn per_second(summary: &RunSummary, stats: &StatsSnapshot) -> f64 {
    stats.counters.requested as f64 / summary.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
}
