//! What a run would do: the numbers and files that `--dry-run` shows.

use std::path::PathBuf;
use std::time::Duration;

use crate::limit::Concurrency;
use crate::model::{Exit, Rate};
use crate::report::format::{self, count};

/// Some lines of the input: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineNumbers {
    /// How many there are.
    pub count: u64,
    /// The first of them, in order.
    pub first: Vec<u64>,
}

impl LineNumbers {
    /// Lines that are kept; more are a number.
    const KEPT: usize = 8;

    /// One more.
    pub fn add(&mut self, line: u64) {
        self.count += 1;
        if self.first.len() < Self::KEPT {
            self.first.push(line);
        }
    }

    /// `line 7`, `lines 7, 9 and 12`, `lines 7, 9 and 1,200 more`.
    pub(crate) fn named(&self) -> String {
        let mut parts: Vec<String> = self.first.iter().map(u64::to_string).collect();
        let more = self.count.saturating_sub(parts.len() as u64);
        if more > 0 {
            parts.push(format!("{} more", count(more)));
        }
        format!("{} {}", if self.count == 1 { "line" } else { "lines" }, format::listed(&parts))
    }
}

/// Rows that would be refused for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// What they have in common.
    pub reason: String,
    /// The sentence about the first of them.
    pub example: String,
    /// Where they stand.
    pub lines: LineNumbers,
}

/// What the rows came to. `skus + repeats + rejected = rows`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedRows {
    /// What was read, as it is called in messages.
    pub input: String,
    /// The column whose value is the SKU.
    pub key: String,
    /// Data rows.
    pub rows: u64,
    /// Distinct SKUs that can be asked for.
    pub skus: u64,
    /// Rows that repeat one of them.
    pub repeats: u64,
    /// Rows that would fail without a request.
    pub rejected: u64,
    /// Lines without a character; they are no rows.
    pub blanks: u64,
    /// Repeats whose request would have differed.
    pub differing: LineNumbers,
    /// Refused rows by reason, in the order of the first of each; those whose SKU another row has, too.
    pub rejects: Vec<Reject>,
    /// Sentences about SKUs that look odd.
    pub odd: Vec<String>,
}

/// A request as it would leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRequest {
    /// The row's physical line.
    pub line: u64,
    /// The address as a plan may show it.
    pub url: String,
}

/// Bodies of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bodies {
    /// Bytes of the smallest.
    pub least: u64,
    /// Bytes of the largest.
    pub most: u64,
    /// They are sent as JSON.
    pub json: bool,
    /// Rows whose body is sent as JSON and is none.
    pub broken: LineNumbers,
}

/// What would be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedRequests {
    /// The method.
    pub method: String,
    /// A retried request may act twice.
    pub may_act_twice: bool,
    /// The first ones.
    pub first: Vec<SampleRequest>,
    /// One of the others, by chance.
    pub random: Option<SampleRequest>,
    /// Names of all headers.
    pub headers: Vec<String>,
    /// Bodies, if there are any.
    pub bodies: Option<Bodies>,
}

/// What earlier runs left for this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EarlierAnswers {
    /// SKUs whose answer is in the journal of an interrupted run.
    pub recovered: u64,
    /// SKUs whose value is younger than `--max-age`.
    pub young: u64,
    /// SKUs of which the API is asked only whether they changed.
    pub conditional: u64,
    /// What a person should know, one sentence each.
    pub notes: Vec<String>,
    /// Who is writing this output now, in words.
    pub writer: Option<String>,
}

/// How fast.
#[derive(Debug, Clone)]
pub struct PlannedPace {
    /// `--concurrency`.
    pub concurrency: Concurrency,
    /// `--rate`.
    pub rate: Option<Rate>,
    /// `--burst`.
    pub burst: u32,
    /// `--retries`.
    pub retries: u32,
    /// `--retry-on`, as it is written.
    pub retry_on: String,
    /// `--max-time`.
    pub max_time: Option<Duration>,
    /// `--max-age`.
    pub max_age: Option<Duration>,
}

/// Files that would be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedFiles {
    /// The output; none: standard output.
    pub output: Option<PathBuf>,
    /// Bytes of the output that is there and would be replaced.
    pub old_bytes: Option<u64>,
    /// `--merge`: its values are started from.
    pub merge: bool,
    /// `--prune`: less those that the input no longer has.
    pub prune: bool,
    /// Where the differences from the output that is there would go.
    pub changes: Option<PathBuf>,
    /// Where failed rows would go.
    pub failed: Option<PathBuf>,
    /// What stands beside the output while a run works, or after it.
    pub beside: Vec<PathBuf>,
}

/// What a run would do.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// The rows.
    pub rows: PlannedRows,
    /// The requests.
    pub requests: PlannedRequests,
    /// What need not be asked.
    pub earlier: EarlierAnswers,
    /// The pace.
    pub pace: PlannedPace,
    /// The files.
    pub files: PlannedFiles,
}

impl DryRun {
    /// How the program ends: 1 where rows would be refused.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.rows.rejected > 0 { Exit::SomeFailed } else { Exit::Complete }
    }

    /// Requests that would be sent at least.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.rows.skus.saturating_sub(self.earlier.recovered + self.earlier.young)
    }

    /// The time that the rate alone takes.
    pub(crate) fn least(&self) -> Option<Duration> {
        let paced = self.asked().saturating_sub(u64::from(self.pace.burst));
        Duration::try_from_secs_f64(paced as f64 / self.pace.rate?.per_second()).ok()
    }
}
