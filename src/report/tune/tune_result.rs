//! What `tune` measured, and the number that follows from it.

use std::time::Duration;

use crate::limit::climb::{ClimbEnd, Rung, best};
use crate::model::Rate;
use crate::model::option::CONCURRENCY;
use crate::report::run_stats::CauseGroup;

/// The result of a climb.
#[derive(Debug, Clone)]
pub(crate) struct TuneResult {
    /// Every rung.
    pub(crate) rungs: Vec<Rung>,
    /// Why there are no more.
    pub(crate) end: ClimbEnd,
    /// The most workers that were allowed.
    pub(crate) ceiling: usize,
    /// `--rate`.
    pub(crate) rate: Option<Rate>,
    /// Requests of the whole climb.
    pub(crate) requests: u64,
    /// Answers that would fail their SKU, such as 404, and are no errors here.
    pub(crate) failed_answers: u64,
    /// Its time.
    pub(crate) elapsed: Duration,
    /// Rows of the sample at most.
    pub(crate) sample: u64,
    /// The input has no rows beyond the sample.
    pub(crate) whole_input: bool,
    /// Failures by cause.
    pub(crate) causes: Vec<CauseGroup>,
    /// A number can be named: the API answered to the end and accepted the credentials.
    pub(crate) sound: bool,
    /// INPUT.
    pub(crate) input: String,
    /// What was requested, without secrets.
    pub(crate) request: String,
    /// The command to paste, but for its concurrency.
    pub(crate) command: String,
    /// Something in it is not shown.
    pub(crate) hides: bool,
}

impl TuneResult {
    /// The rung to name.
    #[must_use]
    pub(crate) fn best(&self) -> Option<&Rung> {
        best(&self.rungs).filter(|_| self.sound)
    }

    /// Requests that are counted in no rung.
    pub(crate) fn of_no_rung(&self) -> u64 {
        self.requests.saturating_sub(self.rungs.iter().map(|rung| rung.requests).sum())
    }

    pub(crate) fn paste(&self, best: &Rung) -> String {
        format!("{} {CONCURRENCY} {}", self.command, best.workers)
    }
}
