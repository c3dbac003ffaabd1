//! What a run would do: the numbers and files that `--dry-run` shows.

use std::path::PathBuf;
use std::time::Duration;

use crate::limit::Concurrency;
use crate::model::{Exit, Rate};
use crate::report::format::{self, count};

/// Some lines of the input: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LineNumbers {
    /// How many there are.
    pub(crate) count: u64,
    /// The first of them, in order.
    pub(crate) first: Vec<u64>,
}

impl LineNumbers {
    /// Lines that are kept; more are a number.
    const KEPT: usize = 8;

    /// One more.
    pub(crate) fn add(&mut self, line: u64) {
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
pub(crate) struct Reject {
    /// What they have in common.
    pub(crate) reason: String,
    /// The sentence about the first of them.
    pub(crate) example: String,
    /// Their lines.
    pub(crate) lines: LineNumbers,
}

/// The counts of the rows: `skus + skipped + repeats + rejected = rows`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlannedRows {
    /// What was read, as it is called in messages.
    pub(crate) input: String,
    /// The column whose value is the SKU.
    pub(crate) key: String,
    /// The form of the file, in words.
    pub(crate) format: String,
    /// Data rows.
    pub(crate) rows: u64,
    /// Distinct SKUs that can be requested.
    pub(crate) skus: u64,
    /// Rows that repeat one of them.
    pub(crate) repeats: u64,
    /// Rows that would fail without a request.
    pub(crate) rejected: u64,
    /// Rows without a SKU that are skipped.
    pub(crate) skipped: u64,
    /// Of `rejected`: rows without a SKU.
    pub(crate) keyless: u64,
    /// Of `rejected`: rows with fewer cells than the header.
    pub(crate) short_rows: u64,
    /// Lines without a character, or of empty cells alone; they are no rows.
    pub(crate) blanks: u64,
    /// Repeats whose request would have differed.
    pub(crate) differing: LineNumbers,
    /// Refused rows by reason, in the order of the first of each; those whose SKU another row has, too.
    pub(crate) rejects: Vec<Reject>,
    /// Sentences about SKUs that look odd.
    pub(crate) odd: Vec<String>,
}

/// A request as it would leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SampleRequest {
    /// The row's physical line.
    pub(crate) line: u64,
    /// The address as a plan may show it.
    pub(crate) url: String,
    /// SKUs of the request that the address leaves out.
    pub(crate) more: u64,
}

/// Bodies of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bodies {
    /// Bytes of the smallest.
    pub(crate) least: u64,
    /// Bytes of the largest.
    pub(crate) most: u64,
    /// They are sent as JSON.
    pub(crate) json: bool,
    /// Rows whose body is sent as JSON and is none.
    pub(crate) broken: LineNumbers,
}

/// What would be requested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlannedRequests {
    /// The method.
    pub(crate) method: String,
    /// A retried request may act twice.
    pub(crate) may_act_twice: bool,
    /// The first ones.
    pub(crate) first: Vec<SampleRequest>,
    /// One of the others, by chance.
    pub(crate) random: Option<SampleRequest>,
    /// Names of all headers.
    pub(crate) headers: Vec<String>,
    /// The proxy, and what names it, if there is one.
    pub(crate) proxy: Option<String>,
    /// Where a token comes from, if one is fetched.
    pub(crate) token: Option<String>,
    /// Bodies, if there are any.
    pub(crate) bodies: Option<Bodies>,
    /// The number of requests, if SKUs are packed.
    pub(crate) packs: Option<u64>,
    /// The most pages of a SKU, where all are asked for.
    pub(crate) most_pages: Option<u32>,
}

/// What earlier runs left for this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EarlierAnswers {
    /// SKUs whose answer is in the journal of an interrupted run.
    pub(crate) recovered: u64,
    /// SKUs whose value is younger than `--max-age`.
    pub(crate) young: u64,
    /// SKUs with a conditional request.
    pub(crate) conditional: u64,
    /// Notes for the user, one sentence each.
    pub(crate) notes: Vec<String>,
    /// Who is writing this output now, as a sentence.
    pub(crate) writer: Option<String>,
}

/// How fast.
#[derive(Debug, Clone)]
pub(crate) struct PlannedPace {
    /// `--concurrency`.
    pub(crate) concurrency: Concurrency,
    /// `--rate`.
    pub(crate) rate: Option<Rate>,
    /// `--burst`.
    pub(crate) burst: u32,
    /// The store that keeps the rate of many processes, if one does.
    pub(crate) rate_store: Option<String>,
    /// `--retries`.
    pub(crate) retries: u32,
    /// `--retry-on`, as it is written.
    pub(crate) retry_on: String,
    /// `--max-time`.
    pub(crate) max_time: Option<Duration>,
    /// `--max-age`.
    pub(crate) max_age: Option<Duration>,
}

/// Files that would be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlannedFiles {
    /// The output; none: standard output.
    pub(crate) output: Option<PathBuf>,
    /// Standard output gets a line for each row at once.
    pub(crate) stream: bool,
    /// Bytes of the output that is there and would be replaced.
    pub(crate) old_bytes: Option<u64>,
    /// `--merge`: its values are started from.
    pub(crate) merge: bool,
    /// `--prune`: less those that the input no longer has.
    pub(crate) prune: bool,
    /// Where the differences from the output that is there would go.
    pub(crate) changes: Option<PathBuf>,
    /// Where failed rows would go.
    pub(crate) failed: Option<PathBuf>,
    /// The files beside the output during a run, or after it.
    pub(crate) beside: Vec<PathBuf>,
}

/// What a run would do.
#[derive(Debug, Clone)]
pub(crate) struct DryRun {
    /// The rows.
    pub(crate) rows: PlannedRows,
    /// The requests.
    pub(crate) requests: PlannedRequests,
    /// The filters on answers, each with its option, in the order in which they are applied.
    pub(crate) filters: Vec<String>,
    /// What need not be requested.
    pub(crate) earlier: EarlierAnswers,
    /// The pace.
    pub(crate) pace: PlannedPace,
    /// The files.
    pub(crate) files: PlannedFiles,
}

impl DryRun {
    /// How the program ends: 1 where rows would be refused.
    #[must_use]
    pub(crate) fn exit(&self) -> Exit {
        if self.rows.rejected > 0 { Exit::SomeFailed } else { Exit::Complete }
    }

    /// Requests that would be sent at least.
    #[must_use]
    pub(crate) fn requested(&self) -> u64 {
        self.requests.packs.unwrap_or_else(|| self.skus_to_request())
    }

    /// SKUs that are requested.
    #[must_use]
    pub(crate) fn skus_to_request(&self) -> u64 {
        self.rows.skus.saturating_sub(self.earlier.recovered + self.earlier.young)
    }

    /// The time that the rate alone takes.
    pub(crate) fn least(&self) -> Option<Duration> {
        let rate = self.pace.rate?;
        let all = if rate.counts_keys() { self.skus_to_request() } else { self.requested() };
        let paced = all.saturating_sub(u64::from(self.pace.burst));
        Duration::try_from_secs_f64(paced as f64 / rate.per_second()).ok()
    }
}
