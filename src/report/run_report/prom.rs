//! `--report FILE.prom`: the run for the textfile collector of Prometheus' `node_exporter`.
//!
//! Every figure is that of the last run, and so a gauge: a counter may fall only where its process began
//! anew, and `rate()` over nightly runs would be nonsense. Hence no `_total`. The time of the last success
//! outlives a failed run: it is read from the file that is replaced. `output` in every sample keeps the
//! files of several jobs on one machine apart, which the collector demands.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::model::display_safe;
use crate::report::run_report::data::ReportData;
use crate::report::summary::run_summary::{Amount, Changes, WrittenFile, per_second};

const SUCCESS: &str = "skufetch_last_success_timestamp_seconds";
/// Characters of a label's value.
const LABEL_CHARS: usize = 1_000;

/// The text so far, and the label that every sample has.
struct Exposition {
    text: String,
    output: String,
}

pub(crate) fn document(data: &ReportData<'_>, before: Option<&str>) -> String {
    let output = format!("output={}", quoted(data.subject.output.absolute()));
    let mut to = Exposition { text: String::new(), output };
    outcome(&mut to, data, before);
    counts(&mut to, data);
    pace(&mut to, data);
    to.text
}

fn outcome(to: &mut Exposition, data: &ReportData<'_>, before: Option<&str>) {
    let summary = data.summary;
    let version = format!("version={}", quoted(env!("CARGO_PKG_VERSION")));
    to.gauge("skufetch_build_info", "The version of the last run's program.", [(version, 1.0)]);
    to.one("skufetch_run_start_timestamp_seconds", "When the last run began.", unix(data.subject.began));
    to.one("skufetch_run_end_timestamp_seconds", "When the last run ended.", unix(data.ended));
    to.one("skufetch_run_duration_seconds", "How long the last run took.", summary.elapsed.as_secs_f64());
    to.one("skufetch_run_exit_code", "How the last run ended.", f64::from(summary.exit.code()));
    let published = f64::from(u8::from(summary.published));
    to.one("skufetch_run_published", "Whether the last run published its output.", published);
    let success = if summary.published {
        Some(unix(data.ended))
    } else {
        before.and_then(|text| last_success(text, &to.output))
    };
    if let Some(success) = success {
        to.one(SUCCESS, "When a run last published its output.", success);
    }
    let written = |written: &WrittenFile| match written.amount {
        Amount::Bytes(bytes) => Some(bytes as f64),
        Amount::Rows(_) | Amount::Lines(_) => None,
    };
    if let Some(bytes) = summary.written.first().and_then(written).filter(|_| summary.published) {
        to.one("skufetch_run_output_bytes", "The size of the output of the last run.", bytes);
    }
    let limit = format!("limit={}", quoted(summary.verdict.limit.name()));
    to.gauge("skufetch_run_limited_by", "What limited the last run.", [(limit, 1.0)]);
}

fn counts(to: &mut Exposition, data: &ReportData<'_>) {
    let (counts, stats) = (&data.summary.counts, &data.stats);
    let outcomes = [
        ("fetched", counts.fetched),
        ("unchanged", counts.unchanged),
        ("failed", counts.failed),
        ("skipped", counts.skipped),
        ("repeats", counts.repeats),
        ("deferred", counts.deferred),
    ];
    let labelled = |name: &str, value: &str, count: u64| (format!("{name}={}", quoted(value)), count as f64);
    to.gauge(
        "skufetch_run_rows",
        "Data rows of the last run, by what became of them: the sum is all of them.",
        outcomes.map(|(outcome, count)| labelled("outcome", outcome, count)),
    );
    to.one(
        "skufetch_run_recovered_rows",
        "Of the fetched rows, those answered by the journal of an interrupted run.",
        counts.recovered as f64,
    );
    to.gauge(
        "skufetch_run_failed_rows",
        "Failed rows of the last run by cause.",
        stats.causes.iter().map(|group| labelled("cause", &group.cause.label(), group.count)),
    );
    if let Some(Changes { added, removed, changed, failed }) = data.summary.changes {
        let changes = [("added", added), ("removed", removed), ("changed", changed), ("failed", failed)];
        to.gauge(
            "skufetch_run_changes",
            "SKUs that differ from the output before the last run.",
            changes.map(|(change, count)| labelled("change", change, count)),
        );
    }
    to.one("skufetch_run_requests", "Requests of the last run.", stats.counters.attempts() as f64);
    to.gauge(
        "skufetch_run_answers",
        "Answers of the last run by status.",
        stats.statuses.iter().map(|(status, count)| labelled("status", &status.to_string(), *count)),
    );
    to.gauge(
        "skufetch_run_retries",
        "Requests of the last run that failed and were tried again, by cause.",
        stats.retried.iter().map(|(cause, count)| labelled("cause", &cause.label(), *count)),
    );
    to.gauge(
        "skufetch_run_refused",
        "Requests of the last run that were refused for a limit and sent again, by cause.",
        stats.refused.iter().map(|(cause, count)| labelled("cause", &cause.label(), *count)),
    );
    to.one("skufetch_run_body_bytes", "Decoded bytes of the answers.", stats.counters.bytes as f64);
}

fn pace(to: &mut Exposition, data: &ReportData<'_>) {
    let (summary, stats) = (data.summary, &data.stats);
    let rate = if summary.elapsed.is_zero() { 0.0 } else { per_second(summary, stats) };
    to.one("skufetch_run_skus_per_second", "SKUs requested per second in the last run.", rate);
    to.one("skufetch_run_pauses", "Pauses of the pool.", stats.counters.pauses as f64);
    let paused = stats.counters.paused.as_secs_f64();
    to.one("skufetch_run_paused_seconds", "How long those pauses were to be.", paused);
    let limits = &summary.limits;
    if let Some(per_second) = limits.per_second() {
        to.one("skufetch_run_learned_limit_per_second", "The API's limit, learnt from refusals.", per_second);
    }
    if let Some(in_flight) = limits.in_flight {
        let help = "Requests in flight that the API accepts, learnt from refusals.";
        to.one("skufetch_run_learned_in_flight", help, in_flight as f64);
    }
    if let Some(connections) = limits.connections {
        let help = "Connections that the server serves at a time, where that was learnt.";
        to.one("skufetch_run_served_connections", help, connections as f64);
    }
    let Some(latency) = stats.latency else { return };
    let name = "skufetch_run_latency_seconds";
    to.head(name, "The time of one answer in the last run.", "summary");
    for (quantile, time) in [
        ("0.5", latency.p50),
        ("0.9", latency.p90),
        ("0.95", latency.p95),
        ("0.99", latency.p99),
        ("1", latency.max),
    ] {
        to.sample(name, &format!("quantile=\"{quantile}\""), time.as_secs_f64());
    }
    let count = stats.histogram.len() as f64;
    to.sample(&format!("{name}_sum"), "", stats.histogram.mean() * count / 1e6);
    to.sample(&format!("{name}_count"), "", count);
}

impl Exposition {
    /// A gauge of one sample.
    fn one(&mut self, name: &str, help: &str, value: f64) {
        self.gauge(name, help, [(String::new(), value)]);
    }

    /// A gauge with a sample for each label. Nothing at all where there is none.
    fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        self.head(name, help, "gauge");
        samples.for_each(|(label, value)| self.sample(name, &label, value));
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, label: &str, value: f64) {
        let comma = if label.is_empty() { "" } else { "," };
        let _ = writeln!(self.text, "{name}{{{}{comma}{label}}} {value}", self.output);
    }
}

/// The time of the last success that the file holds for this output, if it is one that this program wrote.
fn last_success(before: &str, output: &str) -> Option<f64> {
    let start = format!("{SUCCESS}{{{output}}} ");
    let value = before.lines().find_map(|line| line.strip_prefix(&start))?;
    value.trim().parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0)
}

/// A label's value, escaped as the text format requires. Characters that act or hide are made visible first.
fn quoted(value: &str) -> String {
    let shown = display_safe(value, LABEL_CHARS);
    format!("\"{}\"", shown.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n"))
}

/// Seconds since 1970, to a millisecond.
fn unix(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    (since.as_secs_f64() * 1e3).round() / 1e3
}
