//! How a run ends: a pure function of what happened.
//!
//! A run is published only where every row of its input was decided. What else prevents publishing is considered
//! first, because it names the cause: a run that was stopped has undecided rows as well.

use crate::collect::{CollectError, PublishDecision};
use crate::config::choices::Percent;
use crate::input::InputError;
use crate::model::{Exit, StopReason};

use crate::report::Counts;

/// What happened up to the end of the work, as far as the end of the run depends on it.
#[derive(Debug, Default)]
pub(super) struct Happened {
    /// What became of the rows; those that were not read are deferred.
    pub(super) counts: Counts,
    /// SKUs that were answered with 404.
    pub(super) not_found: u64,
    /// SKUs of whose answer no row of a table can be made.
    pub(super) without_cell: u64,
    /// Rejected rows whose SKU another row has.
    pub(super) superseded: u64,
    /// Rejected rows without a SKU.
    pub(super) keyless: u64,
    /// Answers in the journal of an interrupted run that no row needs.
    pub(super) unclaimed: u64,
    /// The input is a part of a larger one: a failure file, or cut by `--limit`.
    pub(super) is_partial: bool,
    /// What is published is a part of the output: whether that is worth to be published is judged by the merge.
    pub(super) is_part: bool,
    /// The input was read to its end, or as far as `--limit` allows.
    pub(super) at_end: bool,
    /// The journal could not be written.
    pub(super) journal_error: Option<CollectError>,
    /// The input could not be read to its end.
    pub(super) input_error: Option<InputError>,
    /// Why the run stopped early.
    pub(super) stopped: Option<StopReason>,
}

/// Why nothing is published.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The journal or a file of the output cannot be written, or the old output is not usable.
    Files(CollectError),
    /// The run stopped early, or a signal came before the output was replaced.
    Stopped(StopReason),
    /// A streamed run stopped early: what has no line with an answer has one that defers it.
    StoppedStream(StopReason),
    /// The input cannot be read to its end.
    Input(InputError),
    /// The input has no data row.
    NoRow,
    /// No row has a SKU.
    NoSku {
        /// The rows.
        rows: u64,
    },
    /// Fewer SKUs were fetched than `--min-success` demands.
    TooFew {
        /// SKUs with a value.
        fetched: u64,
        /// Distinct SKUs.
        skus: u64,
        /// SKUs that were answered with 404.
        not_found: u64,
        /// SKUs of whose answer no row of a table can be made.
        without_cell: u64,
    },
    /// Rows are undecided, or none is known to be the last.
    Unfinished {
        /// Rows that are known to be left.
        deferred: u64,
    },
    /// The input is a part of another one, whose run was interrupted: to publish would remove that run's journal with
    /// these answers in it.
    InterruptedRun {
        /// Answers that no row of this input needs.
        answers: u64,
    },
    /// Every value is null.
    NothingButNulls,
    /// The guard held the output back.
    HeldBack,
}

/// Whether the output is published, as far as that is known before it is written.
pub(super) fn before_publishing(happened: Happened, min_success: Percent) -> Result<(), Obstacle> {
    let Happened { counts, not_found, without_cell, at_end, unclaimed: answers, is_part, .. } = happened;
    let is_decided = counts.deferred == 0 && at_end;
    if let Some(error) = happened.journal_error {
        return Err(Obstacle::Files(error));
    }
    match happened.stopped {
        None => {}
        // Nothing was left when the time was over.
        Some(StopReason::OutOfTime) if is_decided => {}
        Some(reason) => return Err(Obstacle::Stopped(reason)),
    }
    if let Some(error) = happened.input_error {
        return Err(Obstacle::Input(error));
    }
    let fetched = counts.fetched + counts.unchanged;
    let attempted = fetched + counts.failed;
    if !is_part && is_decided && counts.rows > 0 && counts.rows == counts.skipped + happened.keyless {
        return Err(Obstacle::NoSku { rows: counts.rows });
    }
    if !is_part && attempted + counts.repeats + counts.skipped == 0 {
        return Err(Obstacle::NoRow);
    }
    let skus = attempted - (happened.superseded + happened.keyless).min(counts.failed);
    if !is_part && !min_success.reached_by(fetched, skus) {
        return Err(Obstacle::TooFew { fetched, skus, not_found, without_cell });
    }
    if !is_decided {
        return Err(Obstacle::Unfinished { deferred: counts.deferred });
    }
    if happened.is_partial && answers > 0 {
        return Err(Obstacle::InterruptedRun { answers });
    }
    Ok(())
}

/// Whether each row has its line with what became of it, where the lines were written as the rows were decided.
pub(super) fn after_streaming(happened: Happened) -> Result<(), Obstacle> {
    let is_decided = happened.counts.deferred == 0 && happened.at_end;
    if let Some(error) = happened.journal_error {
        return Err(Obstacle::Files(error));
    }
    match happened.stopped {
        None => {}
        Some(StopReason::OutOfTime) if is_decided => {}
        Some(reason) => return Err(Obstacle::StoppedStream(reason)),
    }
    match happened.input_error {
        None => {}
        // Each of no rows has its line.
        Some(InputError::NoRow { .. }) => return Ok(()),
        Some(error) => return Err(Obstacle::Input(error)),
    }
    if is_decided { Ok(()) } else { Err(Obstacle::Unfinished { deferred: happened.counts.deferred }) }
}

/// Whether a complete output that was written was published, too.
pub(super) fn after_writing(decision: &PublishDecision) -> Result<(), Obstacle> {
    match decision {
        PublishDecision::Published => Ok(()),
        PublishDecision::NothingButNulls => Err(Obstacle::NothingButNulls),
        PublishDecision::HeldBack(_) => Err(Obstacle::HeldBack),
    }
}

/// The exit of a run with so many failed rows.
pub(super) fn exit(obstacle: Option<&Obstacle>, failed: u64) -> Exit {
    match obstacle {
        Some(obstacle) => obstacle.exit(),
        None if failed > 0 => Exit::SomeFailed,
        None => Exit::Complete,
    }
}

impl Obstacle {
    /// How the program ends for it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            // In a stream the rows that have their lines are done, whatever the API does now.
            Self::StoppedStream(StopReason::Failing(_))
            | Self::Unfinished { .. }
            | Self::InterruptedRun { .. } => Exit::TryAgain,
            Self::Files(error) => error.exit(),
            Self::Input(error) => error.exit(),
            Self::Stopped(reason) | Self::StoppedStream(reason) => exit_of_stop(reason),
            Self::NoRow | Self::NoSku { .. } => Exit::Data,
            Self::TooFew { .. } | Self::NothingButNulls => Exit::Unavailable,
            Self::HeldBack => Exit::HeldBack,
        }
    }
}

/// How the program ends after it stopped for this reason.
pub(super) fn exit_of_stop(reason: &StopReason) -> Exit {
    match reason {
        StopReason::Signal(number) => Exit::Signal(*number),
        StopReason::OutOfTime
        | StopReason::RefusalsUnsettled { .. }
        | StopReason::AskedToWait(_)
        | StopReason::RateStore { .. }
        | StopReason::OnlyRefused { .. } => Exit::TryAgain,
        StopReason::Unreachable(_)
        | StopReason::ProxyFailed(_)
        | StopReason::NoHttp2
        | StopReason::Certificate(..)
        | StopReason::Unreadable(_)
        | StopReason::EveryKeyRefused { .. }
        | StopReason::Failing(_) => Exit::Unavailable,
        StopReason::NoToken(failure) => failure.exit(),
        StopReason::Refused { .. } | StopReason::RefusedAtEnd { .. } => Exit::NoPermission,
        StopReason::Disk | StopReason::StdoutClosed => Exit::Io,
    }
}
