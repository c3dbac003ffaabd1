//! The counts of a run, in bounded memory: what the progress, the summary and the reports are made from.
//!
//! Everything here is a counter, one histogram, or one example a cause. What grows with the number of rows
//! is only the numbers' size. [`RunStats::count`] runs once or twice for every SKU, so it neither formats nor
//! allocates, but for the first example of a cause.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::model::{Cause, Event, Fault, Key, LoadClass, RowCounts};
pub(crate) use crate::model::{CauseGroup, FailureExample};
use crate::report::key_characters::{AnsweredKeys, FailedKeys, SharedCharacter};

/// Latencies are kept in microseconds from 1 µs to 1 hour with three digits; longer ones count as 1 hour.
/// The bounds are given outright because a histogram made without them clamps all it is given to 2.
const LONGEST_LATENCY: u64 = 3_600_000_000;
/// `http` accepts statuses of three digits.
const STATUSES: usize = 1_000;
/// Characters of foreign text that an example keeps: enough to recognise it, never a body.
const EXAMPLE_CHARS: usize = 300;
/// Line numbers of differing repeats that are kept.
const LINES_KEPT: usize = 8;
/// Warnings that are kept, and characters of each.
const WARNINGS_KEPT: usize = 50;
const WARNING_CHARS: usize = 1_000;

/// Counts events.
#[derive(Debug)]
pub(crate) struct RunStats {
    now: Duration,
    statuses: Box<[u64]>,
    latency: Histogram<u64>,
    causes: BTreeMap<Cause, CauseGroup>,
    retried: BTreeMap<Cause, u64>,
    refused: BTreeMap<Cause, u64>,
    answered_keys: AnsweredKeys,
    /// By status.
    failed_keys: BTreeMap<u16, FailedKeys>,
    pause_ends: Option<Duration>,
    warnings: Vec<String>,
    counters: RunCounters,
}

/// The plain counters of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunCounters {
    /// Attempts that had an answer.
    pub(crate) answered: u64,
    /// Attempts that ended without a status: no connection, timeout, connection lost.
    pub(crate) unanswered: u64,
    /// Attempts that failed and were followed by another one, those that were refused apart.
    pub(crate) retries: u64,
    /// Attempts that the server refused for a limit, and whose SKU was asked for again at no cost to its retries.
    pub(crate) refused: u64,
    /// Decoded bytes of bodies.
    pub(crate) bytes: u64,
    /// Jobs fetched by this run, `unchanged` apart.
    pub(crate) fetched: u64,
    /// Jobs whose old value still holds.
    pub(crate) unchanged: u64,
    /// Jobs failed, rows that could not be requested among them.
    pub(crate) failed: u64,
    /// Jobs answered by the journal of an earlier run.
    pub(crate) recovered: u64,
    /// Of `failed`: jobs answered by that journal, of whose answer no row of a table can be made.
    pub(crate) recovered_failed: u64,
    /// Jobs left for a later run.
    pub(crate) deferred: u64,
    /// Rows without a key that were skipped.
    pub(crate) skipped: u64,
    /// Rows that repeat a key.
    pub(crate) repeats: u64,
    /// Repeats whose request would have differed from the first row's.
    pub(crate) differing: u64,
    /// The first lines of those, at most eight.
    pub(crate) differing_lines: Vec<u64>,
    /// Jobs that ended after at least one request.
    pub(crate) requested: u64,
    /// Times that the pool paused; an extension of a pause is no new one.
    pub(crate) pauses: u64,
    /// How long those pauses were meant to be, in all.
    pub(crate) paused: Duration,
}

/// Latencies of the attempts that were answered, waits at the gate apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LatencySummary {
    /// Half of the answers took at most this long.
    pub(crate) p50: Duration,
    /// Nine of ten.
    pub(crate) p90: Duration,
    /// 95 of 100.
    pub(crate) p95: Duration,
    /// 99 of 100.
    pub(crate) p99: Duration,
    /// The slowest.
    pub(crate) max: Duration,
}

/// A copy of the counts at one moment.
#[derive(Debug, Clone)]
pub(crate) struct StatsSnapshot {
    /// The counters.
    pub(crate) counters: RunCounters,
    /// None before the first answer.
    pub(crate) latency: Option<LatencySummary>,
    /// The latencies themselves, in microseconds, for reports that draw them.
    pub(crate) histogram: Histogram<u64>,
    /// Answers by status, rising.
    pub(crate) statuses: Vec<(u16, u64)>,
    /// Failed jobs by cause, the most frequent first.
    pub(crate) causes: Vec<CauseGroup>,
    /// Retried attempts by cause, the most frequent first.
    pub(crate) retried: Vec<(Cause, u64)>,
    /// Refused attempts by cause, the most frequent first.
    pub(crate) refused: Vec<(Cause, u64)>,
    /// The first warnings, each a sentence.
    pub(crate) warnings: Vec<String>,
    /// Statuses whose failed SKUs all have a character that no SKU that came has.
    pub(crate) shared_characters: BTreeMap<u16, SharedCharacter>,
}

impl RunCounters {
    /// Attempts that were sent, answered or not: those reported as `AttemptAnswered` (every attempt whose head arrived
    /// must be) and those that ended in a fault without a status.
    #[must_use]
    pub(crate) fn attempts(&self) -> u64 {
        self.answered + self.unanswered
    }

    /// Data rows that are over, in whatever way.
    #[must_use]
    pub(crate) fn done(&self) -> u64 {
        let fetched = self.fetched + self.unchanged + self.recovered;
        fetched + self.failed + self.skipped + self.repeats + self.deferred
    }
}

impl StatsSnapshot {
    /// Answers whose status has such a load class.
    #[must_use]
    pub(crate) fn answers(&self, is_counted: impl Fn(LoadClass) -> bool) -> u64 {
        let counted = self.statuses.iter().filter(|(status, _)| is_counted(LoadClass::of_status(*status)));
        counted.map(|(_, count)| count).sum()
    }

    /// What all failed SKUs of this cause have and no other has.
    #[must_use]
    pub(crate) fn shared_character(&self, cause: Cause) -> Option<SharedCharacter> {
        let Cause::Status(status) = cause else { return None };
        self.shared_characters.get(&status).copied()
    }

    /// Rows that failed for this cause.
    #[must_use]
    pub(crate) fn failed_for(&self, cause: Cause) -> u64 {
        self.causes.iter().find(|group| group.cause == cause).map_or(0, |group| group.count)
    }
}

impl Default for RunStats {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LONGEST_LATENCY, 3);
        Self {
            now: Duration::ZERO,
            statuses: vec![0; STATUSES].into(),
            latency: latency.expect("constant bounds that the histogram's documentation allows"),
            causes: BTreeMap::new(),
            retried: BTreeMap::new(),
            refused: BTreeMap::new(),
            answered_keys: AnsweredKeys::default(),
            failed_keys: BTreeMap::new(),
            pause_ends: None,
            warnings: Vec::new(),
            counters: RunCounters::default(),
        }
    }
}

impl RunStats {
    /// Tells the time since the run began; events are dated by the last call.
    pub(crate) fn at(&mut self, elapsed: Duration) {
        self.now = elapsed;
    }

    /// Counts one event.
    pub(crate) fn count(&mut self, event: &Event<'_>) {
        let counters = &mut self.counters;
        match *event {
            Event::AttemptAnswered { key, status, latency, bytes, .. } => {
                if matches!(status, 200..300 | 304) {
                    self.answered_keys.add(key.as_str());
                }
                counters.answered += 1;
                counters.bytes = counters.bytes.saturating_add(bytes);
                if let Some(count) = self.statuses.get_mut(usize::from(status)) {
                    *count += 1;
                }
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.latency.saturating_record(micros.max(1));
            }
            Event::JobFetched { attempts, unchanged } => {
                *(if unchanged { &mut counters.unchanged } else { &mut counters.fetched }) += 1;
                counters.requested += u64::from(attempts > 0);
            }
            Event::JobRecovered => counters.recovered += 1,
            Event::JobDeferred => counters.deferred += 1,
            Event::AttemptRetried { fault, is_refusal, .. } => {
                let (all, by_cause) = if is_refusal {
                    (&mut counters.refused, &mut self.refused)
                } else {
                    (&mut counters.retries, &mut self.retried)
                };
                *all += 1;
                *by_cause.entry(fault.cause).or_default() += 1;
                counters.unanswered += u64::from(fault.status.is_none());
            }
            Event::JobFailed { key, line, fault, attempts, url, is_companion } => {
                counters.failed += 1;
                counters.requested += u64::from(attempts > 0);
                counters.recovered_failed += u64::from(attempts == 0 && fault.cause == Cause::Column);
                let is_sent = attempts > 0 && !is_companion;
                counters.unanswered += u64::from(is_sent && fault.status.is_none());
                if let (Cause::Status(status), Some(key)) = (fault.cause, key) {
                    self.failed_keys.entry(status).or_default().add(key.as_str());
                }
                self.group(fault, line, || example(key, line, fault, url));
            }
            Event::RowRepeated { line, differs } => {
                counters.repeats += 1;
                counters.differing += u64::from(differs);
                if differs && counters.differing_lines.len() < LINES_KEPT {
                    counters.differing_lines.push(line);
                }
            }
            Event::RowSkipped => counters.skipped += 1,
            Event::PoolPaused { wait, .. } => self.pause(wait),
            Event::PoolResumed => self.pause_ends = None,
            Event::Warned { message } if self.warnings.len() < WARNINGS_KEPT => {
                self.warnings.push(message.chars().take(WARNING_CHARS).collect());
            }
            Event::LimitChanged { .. }
            | Event::ProxyChosen { .. }
            | Event::TokenReceived { .. }
            | Event::Noted { .. }
            | Event::Warned { .. }
            | Event::Stopping { .. } => {}
        }
    }

    /// Refused rows turned out to repeat a key that a later row got a job for.
    pub(crate) fn refused_were_repeats(&mut self, rows: u64) {
        let Some(group) = self.causes.get_mut(&Cause::Row) else { return };
        let rows = rows.min(group.count);
        group.count -= rows;
        self.counters.failed -= rows;
        self.counters.repeats += rows;
        if group.count == 0 {
            self.causes.remove(&Cause::Row);
        }
    }

    /// Adds what became of the rows of a whole job, as its parts tell.
    pub(crate) fn add_parts(&mut self, rows: &RowCounts) {
        let counters = &mut self.counters;
        counters.fetched += rows.fetched;
        counters.failed += rows.failed;
        counters.skipped += rows.skipped;
        counters.repeats += rows.repeats;
        counters.differing += rows.differing;
        counters.differing_lines.extend(rows.differing_lines.iter().take(LINES_KEPT));
        for group in &rows.causes {
            let known = self.causes.entry(group.cause).or_insert_with(|| group.clone());
            if known != group {
                known.add(group);
            }
        }
    }

    /// Rows that were not read, or whose job did not end: the next run goes on with them.
    pub(crate) fn rows_left(&mut self, rows: u64) {
        self.counters.deferred += rows;
    }

    fn group(&mut self, fault: &Fault, line: u64, example: impl Fn() -> FailureExample) {
        let group = self.causes.entry(fault.cause).or_insert_with(|| CauseGroup {
            cause: fault.cause,
            count: 0,
            example: example(),
        });
        group.count += 1;
        // Answers arrive in any order; the example is the first by line, whatever that order was.
        if line < group.example.line {
            group.example = example();
        }
    }

    /// Several answers to one burst demand a pause each, a moment apart: those move the end of one pause.
    fn pause(&mut self, wait: Duration) {
        let end = self.now.saturating_add(wait);
        let from = match self.pause_ends {
            Some(running) if running > self.now => running,
            _ => {
                self.counters.pauses += 1;
                self.now
            }
        };
        self.counters.paused = self.counters.paused.saturating_add(end.saturating_sub(from));
        self.pause_ends = Some(end.max(from));
    }

    /// The counters so far.
    #[must_use]
    pub(crate) fn counters(&self) -> &RunCounters {
        &self.counters
    }

    /// Retried attempts by cause, so far.
    #[must_use]
    pub(crate) fn retried(&self) -> &BTreeMap<Cause, u64> {
        &self.retried
    }

    /// A copy of everything counted.
    #[must_use]
    pub(crate) fn snapshot(&self) -> StatsSnapshot {
        let mut causes: Vec<CauseGroup> = self.causes.values().cloned().collect();
        // Stable sorts over a map's order: the same counts always print in the same order.
        causes.sort_by_key(|group| std::cmp::Reverse(group.count));
        StatsSnapshot {
            counters: self.counters.clone(),
            latency: latency(&self.latency),
            histogram: self.latency.clone(),
            statuses: (0u16..).zip(self.statuses.iter().copied()).filter(|(_, count)| *count > 0).collect(),
            causes,
            retried: by_count(&self.retried),
            refused: by_count(&self.refused),
            warnings: self.warnings.clone(),
            shared_characters: self
                .failed_keys
                .iter()
                .filter_map(|(status, keys)| Some((*status, keys.shared(&self.answered_keys)?)))
                .collect(),
        }
    }
}

fn by_count(causes: &BTreeMap<Cause, u64>) -> Vec<(Cause, u64)> {
    let mut counts: Vec<(Cause, u64)> = causes.iter().map(|(cause, count)| (*cause, *count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn latency(histogram: &Histogram<u64>) -> Option<LatencySummary> {
    // The histogram answers with the upper end of a bucket, which may lie beyond the slowest value seen.
    let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile).min(histogram.max()));
    (!histogram.is_empty()).then(|| LatencySummary {
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        max: at(1.0),
    })
}

/// A failed job as it may be kept or reported.
pub(crate) fn example(key: Option<&Key>, line: u64, fault: &Fault, url: Option<&str>) -> FailureExample {
    let kept = |text: &str| text.chars().take(EXAMPLE_CHARS).collect::<String>();
    FailureExample {
        line,
        key: key.map(|key| kept(key.as_str())),
        url: url.map(kept),
        fault: Fault { detail: kept(&fault.detail).into(), ..fault.clone() },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::PauseReason;

    fn failed(stats: &mut RunStats, line: u64, fault: &Fault) {
        stats.count(&Event::JobFailed {
            key: None,
            line,
            fault,
            attempts: 1,
            url: None,
            is_companion: false,
        });
    }

    #[test]
    fn a_latency_is_recorded_as_it_was_and_an_endless_one_as_an_hour() {
        let mut stats = RunStats::default();
        assert_eq!(stats.snapshot().latency, None);
        let key = Key::parse(b"7").unwrap();
        let answered =
            |latency| Event::AttemptAnswered { key: &key, line: 2, status: 200, latency, bytes: 10 };
        for millis in [5, 5, 5, 131] {
            stats.count(&answered(Duration::from_millis(millis)));
        }
        let latency = stats.snapshot().latency.unwrap();
        let near = |time: Duration, millis: u64| time.as_millis() == u128::from(millis);
        assert!(near(latency.p50, 5) && near(latency.p95, 131) && near(latency.max, 131), "{latency:?}");
        stats.count(&answered(Duration::MAX));
        stats.count(&answered(Duration::ZERO));
        assert!(stats.snapshot().latency.unwrap().max.as_secs().abs_diff(3_600) < 5);
    }

    #[test]
    fn every_attempt_is_counted_once_with_or_without_an_answer() {
        let mut stats = RunStats::default();
        let key = Key::parse(b"7").unwrap();
        let [refused, busy] = [Fault::new(Cause::Connect, "refused"), Fault::of_status(503, "busy")];
        let retried = |fault, is_refusal| Event::AttemptRetried {
            key: &key,
            line: 2,
            fault,
            attempt: 1,
            wait: Duration::ZERO,
            is_refusal,
        };
        stats.count(&retried(&refused, false));
        let latency = Duration::ZERO;
        stats.count(&Event::AttemptAnswered { key: &key, line: 2, status: 503, latency, bytes: 0 });
        stats.count(&retried(&busy, false));
        stats.count(&retried(&busy, true));
        failed(&mut stats, 2, &refused);
        let row = Fault::new(Cause::Row, "empty");
        stats.count(&Event::JobFailed {
            key: None,
            line: 3,
            fault: &row,
            attempts: 0,
            url: None,
            is_companion: false,
        });
        let snapshot = stats.snapshot();
        assert_eq!(
            (snapshot.counters.attempts(), snapshot.counters.retries, snapshot.counters.requested),
            (3, 2, 1)
        );
        assert_eq!(snapshot.statuses, [(503, 1)]);
        assert_eq!(snapshot.answers(LoadClass::is_too_much), 1);
        assert_eq!(snapshot.answers(|class| class == LoadClass::Cheap), 0);
        assert_eq!(snapshot.retried, [(Cause::Status(503), 1), (Cause::Connect, 1)]);
        assert_eq!((snapshot.counters.refused, snapshot.refused), (1, vec![(Cause::Status(503), 1)]));
    }

    #[test]
    fn a_cause_shows_the_job_that_is_first_in_the_input() {
        let mut stats = RunStats::default();
        for line in [9, 4, 6] {
            failed(&mut stats, line, &Fault::new(Cause::Timeout, format!("at {line}")));
        }
        failed(&mut stats, 1, &Fault::new(Cause::Cut, "short"));
        let causes = stats.snapshot().causes;
        assert_eq!((causes[0].cause, causes[0].count, causes[0].example.line), (Cause::Timeout, 3, 4));
        assert_eq!(&*causes[0].example.fault.detail, "at 4");
        assert_eq!((causes[1].cause, causes[1].count), (Cause::Cut, 1));
    }

    #[test]
    fn an_example_keeps_no_body() {
        let mut stats = RunStats::default();
        failed(&mut stats, 1, &Fault::new(Cause::Body, "ä".repeat(1_000_000)));
        assert_eq!(stats.snapshot().causes[0].example.fault.detail.chars().count(), EXAMPLE_CHARS);
    }

    #[test]
    fn an_extended_pause_is_one_pause() {
        let mut stats = RunStats::default();
        let paused = |stats: &mut RunStats, at: u64, wait: u64| {
            stats.at(Duration::from_secs(at));
            stats.count(&Event::PoolPaused { wait: Duration::from_secs(wait), reason: PauseReason::Quota });
        };
        paused(&mut stats, 10, 5);
        paused(&mut stats, 11, 5);
        paused(&mut stats, 12, 1);
        assert_eq!((stats.counters().pauses, stats.counters().paused), (1, Duration::from_secs(6)));
        paused(&mut stats, 30, 2);
        assert_eq!((stats.counters().pauses, stats.counters().paused), (2, Duration::from_secs(8)));
        stats.count(&Event::PoolPaused { wait: Duration::MAX, reason: PauseReason::Quota });
    }

    #[test]
    fn no_status_of_a_server_is_out_of_bounds() {
        let (mut stats, key) = (RunStats::default(), Key::parse(b"7").unwrap());
        for status in [0, 999, 1_000, u16::MAX] {
            let (latency, bytes) = (Duration::ZERO, u64::MAX);
            stats.count(&Event::AttemptAnswered { key: &key, line: 2, status, latency, bytes });
        }
        assert_eq!(stats.snapshot().statuses, [(0, 1), (999, 1)]);
        assert_eq!(stats.counters().answered, 4);
    }

    proptest! {
        #[test]
        fn every_row_is_counted_exactly_once(kinds in proptest::collection::vec(0u8..7, 0..200)) {
            let mut stats = RunStats::default();
            let fault = Fault::new(Cause::Timeout, "late");
            for (line, kind) in (1u64..).zip(&kinds) {
                stats.count(&match kind {
                    0 => Event::JobFetched { attempts: 1, unchanged: false },
                    1 => Event::JobFetched { attempts: 1, unchanged: true },
                    2 => Event::JobRecovered,
                    3 => Event::JobFailed { key: None, line, fault: &fault, attempts: 1, url: None, is_companion: false },
                    4 => Event::RowRepeated { line, differs: line % 2 == 0 },
                    5 => Event::RowSkipped,
                    _ => Event::JobDeferred,
                });
            }
            prop_assert_eq!(stats.counters().done(), kinds.len() as u64);
            let failed: u64 = stats.snapshot().causes.iter().map(|group| group.count).sum();
            prop_assert_eq!(failed, stats.counters().failed);
        }
    }
}
