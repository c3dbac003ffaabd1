//! The files that are written at the end of a run.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::decide::{Obstacle, after_writing};
use crate::collect::{
    CollectError, Collector, Failures, OutputSettings, PartFacts, Preflight, PublishContext, PublishOutcome,
};
use crate::commands::standard_output;
use crate::engine::input_thread::InputSummary;
use crate::engine::signals::CommitGuard;
use crate::input::Columns;
use crate::model::{Key, StopReason};
use crate::report::{Amount, WrittenFile};

/// What is written at the end, on a thread of its own: a signal must not wait for a slow disk.
pub(super) struct FinalFiles {
    pub(super) output: OutputSettings,
    pub(super) place: Preflight,
    pub(super) columns: Arc<Columns>,
    pub(super) input_summary: Option<InputSummary>,
    /// The input, where it is a file.
    pub(super) input: Option<PathBuf>,
    /// Every row of the input was decided.
    pub(super) input_done: bool,
    /// The output is published; otherwise the failure file alone is written.
    pub(super) publish: bool,
    /// What is published is a part of the output, which ends with these facts.
    pub(super) part: Option<PartFacts>,
}

/// What the files came to.
pub(super) struct FilesOutcome {
    /// What became of a complete output.
    pub(super) published: Option<PublishOutcome>,
    pub(super) failures: Failures,
    pub(super) warnings: Vec<String>,
    /// The output was replaced.
    pub(super) is_published: bool,
    pub(super) journal_kept: bool,
}

impl FinalFiles {
    /// Writes them, unless the guard is stopped before the output is replaced.
    ///
    /// # Errors
    /// A file cannot be written, or the guard was stopped.
    pub(super) fn write(
        self,
        collector: Collector,
        guard: &CommitGuard,
    ) -> Result<FilesOutcome, CollectError> {
        let finished = collector.close()?;
        let is_planned =
            |key: &Key| self.input_summary.as_ref().is_some_and(|summary| summary.planner.was_planned(key));
        let mut stdout = io::stdout();
        let mut context = PublishContext {
            place: &self.place,
            columns: &self.columns,
            is_planned: &is_planned,
            input: self.input.as_deref(),
            input_done: self.input_done,
            is_stopped: &|| guard.is_stopped(),
            may_replace: &|| guard.commit(),
            stdout: &mut stdout,
        };
        if self.publish {
            let published = match self.part {
                Some(facts) => finished.publish_part(&self.output, &context, facts)?,
                None => finished.publish(&self.output, &mut context)?,
            };
            if self.place.paths.is_none() {
                standard_output::sync().map_err(CollectError::Stdout)?;
            }
            return Ok(FilesOutcome::of_published(published));
        }
        let left = finished.leave(&context)?;
        Ok(FilesOutcome { failures: left.failures, warnings: left.warnings, ..FilesOutcome::nothing(false) })
    }
}

impl FilesOutcome {
    /// Of a complete output that was written.
    pub(super) fn of_published(mut published: PublishOutcome) -> Self {
        Self {
            failures: std::mem::take(&mut published.failures),
            warnings: std::mem::take(&mut published.warnings),
            is_published: after_writing(&published.decision).is_ok(),
            published: Some(published),
            journal_kept: false,
        }
    }

    pub(super) fn nothing(is_published: bool) -> Self {
        Self {
            published: None,
            failures: Failures::default(),
            warnings: Vec::new(),
            is_published,
            journal_kept: !is_published,
        }
    }

    /// What came of the files, and what prevents publishing now: a signal may have come meanwhile. `before` is what
    /// prevented it before.
    pub(super) fn of(
        result: Option<Result<Self, CollectError>>,
        signal: Option<u8>,
        before: Result<(), Obstacle>,
    ) -> (Self, Result<(), Obstacle>) {
        match result {
            None | Some(Err(CollectError::Stopped)) => {
                let stopped = Obstacle::Stopped(StopReason::Signal(signal.unwrap_or(0)));
                (Self::nothing(false), Err(stopped))
            }
            Some(Err(error)) => (Self::nothing(error.is_after_publishing()), Err(Obstacle::Files(error))),
            Some(Ok(files)) => {
                let outcome = match &files.published {
                    Some(published) => before.and_then(|()| after_writing(&published.decision)),
                    None => before,
                };
                (files, outcome)
            }
        }
    }

    /// Every file that was written, with how much is in it.
    pub(super) fn written(&self) -> Vec<WrittenFile> {
        let written =
            |path: &std::path::Path, amount| WrittenFile { path: path.display().to_string(), amount };
        let output = self
            .published
            .as_ref()
            .and_then(|published| Some(written(published.path.as_deref()?, Amount::Bytes(published.bytes))));
        let failures =
            self.failures.path.as_deref().map(|path| written(path, Amount::Rows(self.failures.rows)));
        let changes = self.published.as_ref().and_then(|published| published.changes.as_ref());
        let changes = changes.map(|(counts, path)| {
            let lines = counts.added + counts.removed + counts.changed + counts.failed;
            written(path, Amount::Lines(lines))
        });
        output.into_iter().chain(failures).chain(changes).collect()
    }
}
