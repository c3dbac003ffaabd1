//! What `tune` measured, and the number that follows from it.

use std::time::Duration;

use crate::limit::climb::{ClimbEnd, Rung, best};
use crate::model::Rate;
use crate::report::run_stats::CauseGroup;

/// What a climb came to.
#[derive(Debug, Clone)]
pub struct TuneResult {
    /// Every rung.
    pub rungs: Vec<Rung>,
    /// Why there are no more.
    pub end: ClimbEnd,
    /// The most workers that were allowed.
    pub ceiling: usize,
    /// `--rate`.
    pub rate: Option<Rate>,
    /// Requests of the whole climb.
    pub requests: u64,
    /// Answers that would fail their SKU, such as 404, and are no errors here.
    pub failed_answers: u64,
    /// Its time.
    pub elapsed: Duration,
    /// Rows of the sample at most.
    pub sample: u64,
    /// The input has no rows beyond the sample.
    pub whole_input: bool,
    /// Failures by cause.
    pub causes: Vec<CauseGroup>,
    /// A number can be named: the API was there to the end, and let us in.
    pub sound: bool,
    /// INPUT.
    pub input: String,
    /// What was asked, without secrets.
    pub request: String,
    /// The command to paste, but for its concurrency.
    pub command: String,
    /// Something in it is not shown.
    pub hides: bool,
}

impl TuneResult {
    /// The rung to name.
    #[must_use]
    pub fn best(&self) -> Option<&Rung> {
        best(&self.rungs).filter(|_| self.sound)
    }

    /// Requests that no rung tells of.
    pub(crate) fn of_no_rung(&self) -> u64 {
        self.requests.saturating_sub(self.rungs.iter().map(|rung| rung.requests).sum())
    }

    pub(crate) fn paste(&self, best: &Rung) -> String {
        format!("{} --concurrency {}", self.command, best.workers)
    }
}
