//! What `tune` found: the table, the plot, the number to use, and the same as a document.
//!
//! The plot is two columns of bars, one row a rung. Plot libraries for terminals (textplots and its
//! like) draw lines over a continuous axis with one scale: here the axis is doublings, a handful of
//! them, and throughput and latency have a scale each, so a bar beside its number says more.
//!
//! # The document of `--report FILE.json`
//!
//! One object. `schema` is `skufetch.tune`, `version` is 1: fields may be added, those there keep their
//! name and meaning. Times are seconds (`_s`) or milliseconds (`_ms`), rates a second (`per_s`).
//!
//! | field | meaning |
//! |---|---|
//! | `schema`, `version`, `program`, `time` | as above; the program's version; when it ended (RFC 3339) |
//! | `input`, `request` | what was read, what was asked, without secrets |
//! | `ceiling`, `rate` | the most workers that were allowed, `--rate` or null |
//! | `elapsed_s`, `requests` | of the whole climb |
//! | `requests_of_no_step` | of those, ended after the last step, or in one too short to tell of |
//! | `failed_answers` | answers that would fail their SKU, such as 404, and are no errors: they say nothing of the load |
//! | `stopped_by` | `knee`, `errors`, `paused`, `rate`, `ceiling`, `sample`, `time` or `stopped` |
//! | `why` | the same as a sentence |
//! | `best` | `workers`, `per_s`, `p95_ms` of the rung that is named; null if none can be |
//! | `command` | what to type; null without `best` |
//! | `steps` | one for each rung: `workers`, `requests`, `answers`, `errors`, `span_s`, `per_s`, `p50_ms`, `p95_ms`, `paused` |
//! | `causes` | of errors and of failed answers: `cause`, `count` |

mod html;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::limit::climb::{ClimbEnd, Rung, best};
use crate::model::Rate;
use crate::report::document::ReportFormat;
use crate::report::format::{self, count, counted};
use crate::report::json_lines::{self, rounded, seconds};
use crate::report::log_record::{Level, LogRecord};
use crate::report::run_stats::CauseGroup;
use crate::report::settings::LogFormat;
use crate::report::summary::millis;
use crate::report::verdict::typed_rate;
use crate::report::{Report, lock};

/// Characters of a full bar: two of them with their numbers fit 80 columns.
const BAR: usize = 22;
/// Eighths of a character cell.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// More than this is no longer a sample.
const LARGEST_SAMPLE: u64 = 100_000;

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
    fn of_no_rung(&self) -> u64 {
        self.requests.saturating_sub(self.rungs.iter().map(|rung| rung.requests).sum())
    }

    fn paste(&self, best: &Rung) -> String {
        format!("{} --concurrency {}", self.command, best.workers)
    }
}

/// The head of the table.
#[must_use]
pub fn table_header() -> String {
    format!(
        "{:>8}{:>10}{:>12}{:>10}{:>10}{:>8}\n",
        "workers", "requests", "answers/s", "p50", "p95", "errors"
    )
}

/// One row of the table.
#[must_use]
pub fn row(rung: &Rung) -> String {
    let measured = rung.is_measured();
    let time = |time| if measured { format::latency(time) } else { "-".into() };
    format!(
        "{:>8}{:>10}{:>12}{:>10}{:>10}{:>8}{}\n",
        count(rung.workers as u64),
        count(rung.requests),
        if measured { rate(rung) } else { "-".into() },
        time(rung.p50),
        time(rung.p95),
        count(rung.errors),
        if rung.paused { "  paused" } else { "" },
    )
}

/// What follows the table: plot, number, reason, command.
#[must_use]
pub fn conclusion(tuned: &TuneResult) -> String {
    let mut text = plot(&tuned.rungs);
    if let Some(best) = tuned.best() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "best: {}, {}/s, p95 {}",
            counted(best.workers as u64, "worker", "workers"),
            rate(best),
            format::latency(best.p95)
        );
        let _ = writeln!(text, "      {}", why(tuned));
        for note in notes(tuned) {
            let _ = writeln!(text, "      {note}");
        }
        let _ = write!(text, "\nto use it:\n  {}\n", tuned.paste(best));
        if tuned.hides {
            text.push_str("(... stands for what is not shown here)\n");
        }
    }
    text
}

/// Why the climb went no further, and what to do about that.
#[must_use]
pub fn why(tuned: &TuneResult) -> String {
    let Some(last) = tuned.rungs.last() else { return "nothing was measured".into() };
    let at = counted(last.workers as u64, "worker", "workers");
    let borne = tuned.best().map_or(0.0, Rung::per_second);
    match tuned.end {
        ClimbEnd::Knee => format!("more workers bring nothing: {at} gave {}/s", rate(last)),
        ClimbEnd::Errors => format!(
            "errors began at {at}: {} of {} requests{}",
            count(last.errors),
            count(last.requests),
            causes(tuned)
        ),
        ClimbEnd::Paused(reason) if borne <= 0.0 => format!("the pool was paused at {at} ({reason})"),
        ClimbEnd::Paused(reason) => {
            format!("the pool was paused at {at} ({reason}); --rate {} may need no pauses", typed_rate(borne))
        }
        ClimbEnd::Rate => {
            let rate = tuned.rate.map_or_else(String::new, |rate| format!(" {rate}"));
            format!("--rate{rate} is reached; more workers would only wait for it")
        }
        ClimbEnd::Ceiling if tuned.best().is_some_and(|best| best.workers == tuned.ceiling) => format!(
            "that is the ceiling; more may pay, try --concurrency auto:{}",
            tuned.ceiling.saturating_mul(4).min(4_096).max(tuned.ceiling)
        ),
        ClimbEnd::Ceiling => format!("up to {at} nothing brought much more"),
        ClimbEnd::Sample if tuned.whole_input => format!("the input has no more SKUs to measure {at} with"),
        ClimbEnd::Sample => format!(
            "the sample was used up at {at}; --limit {} goes further",
            tuned.sample.saturating_mul(5).min(LARGEST_SAMPLE).max(tuned.sample)
        ),
        ClimbEnd::Time => format!("the time was over at {at}; a longer --max-time goes further"),
        ClimbEnd::Stopped => format!("stopped at {at}"),
    }
}

/// What the table leaves out, so that nobody has to wonder.
fn notes(tuned: &TuneResult) -> Vec<String> {
    let mut notes = Vec::new();
    if tuned.failed_answers > 0 {
        let answers = counted(tuned.failed_answers, "answer", "answers");
        notes.push(format!("besides the errors, {answers} failed the SKU alone{}", causes(tuned)));
    }
    let others = tuned.of_no_rung();
    if others > 0 {
        let requests = counted(tuned.requests, "request", "requests");
        notes.push(format!("{requests} in all: {} ended after the last line of the table", count(others)));
    }
    notes
}

fn causes(tuned: &TuneResult) -> String {
    let parts: Vec<_> =
        tuned.causes.iter().map(|group| format!("{} {}", count(group.count), group.cause.label())).collect();
    if parts.is_empty() { String::new() } else { format!(" ({} in all)", format::listed(&parts)) }
}

/// Answers a second, three digits where they matter.
fn rate(rung: &Rung) -> String {
    match rung.per_second() {
        few if few < 99.95 => format!("{few:.1}"),
        many => count(format::whole(many)),
    }
}

/// A row of two bars for each rung.
fn plot(rungs: &[Rung]) -> String {
    let measured: Vec<_> = rungs.iter().filter(|rung| rung.is_measured()).collect();
    if measured.len() < 2 {
        return "\n".into();
    }
    let most = measured.iter().map(|rung| rung.per_second()).fold(0.0, f64::max);
    let longest = measured.iter().map(|rung| rung.p95.as_secs_f64()).fold(0.0, f64::max);
    let mut text = format!("\n{:>8}  {:<33} {}\n", "workers", "answers/s", "p95");
    for rung in measured {
        let _ = writeln!(
            text,
            "{:>8}  {} {:<9}  {} {}",
            count(rung.workers as u64),
            bar(rung.per_second() / most),
            rate(rung),
            bar(rung.p95.as_secs_f64() / longest.max(f64::MIN_POSITIVE)),
            format::latency(rung.p95)
        );
    }
    text.push('\n');
    text
}

/// A bar of this part of its full length, padded to it.
fn bar(part: f64) -> String {
    let eighths = usize::try_from(format::whole(part.clamp(0.0, 1.0) * (BAR * 8) as f64)).unwrap_or(0);
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    let shown = eighths.div_ceil(8);
    bar + &" ".repeat(BAR - shown)
}

/// The document of `--report`, with its line end. There is none for Prometheus.
#[must_use]
pub fn document(tuned: &TuneResult, kind: ReportFormat, now: SystemTime) -> String {
    match kind {
        ReportFormat::Html => html::document(tuned, now),
        ReportFormat::Json | ReportFormat::Prom => json_document(tuned, now),
    }
}

/// The schema stands at the head of this file.
fn json_document(tuned: &TuneResult, now: SystemTime) -> String {
    let mut document = fields(tuned);
    let more = json!({
        "time": json_lines::moment(now),
        "steps": tuned.rungs.iter().map(rung_fields).collect::<Vec<_>>(),
    });
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    json_lines::document(&document)
}

fn fields(tuned: &TuneResult) -> Value {
    let best = tuned.best();
    let cause = |group: &CauseGroup| json!({"cause": group.cause.label(), "count": group.count});
    json!({
        "schema": "skufetch.tune",
        "version": 1,
        "program": env!("CARGO_PKG_VERSION"),
        "input": tuned.input,
        "request": tuned.request,
        "ceiling": tuned.ceiling,
        "rate": tuned.rate.map(|rate| rate.to_string()),
        "elapsed_s": seconds(tuned.elapsed),
        "requests": tuned.requests,
        "requests_of_no_step": tuned.of_no_rung(),
        "failed_answers": tuned.failed_answers,
        "stopped_by": tuned.end.name(),
        "why": why(tuned),
        "best": best.map(|best| json!({
            "workers": best.workers,
            "per_s": rounded(best.per_second(), 10.0),
            "p95_ms": millis(best.p95),
        })),
        "command": best.map(|best| tuned.paste(best)),
        "causes": tuned.causes.iter().map(cause).collect::<Vec<_>>(),
    })
}

fn rung_fields(rung: &Rung) -> Value {
    let measured = rung.is_measured();
    let if_measured = |number: f64| if measured { Value::from(number) } else { Value::Null };
    json!({
        "workers": rung.workers,
        "requests": rung.requests,
        "answers": rung.answers,
        "errors": rung.errors,
        "span_s": seconds(rung.span),
        "per_s": if_measured(rounded(rung.per_second(), 10.0)),
        "p50_ms": if_measured(millis(rung.p50)),
        "p95_ms": if_measured(millis(rung.p95)),
        "paused": rung.paused,
    })
}

impl Report {
    /// A rung was measured. As text it is a row of the table, on standard output.
    pub fn rung_measured(&self, rung: &Rung) {
        if self.settings.log_format == LogFormat::Json {
            let text = format!("{}: {}/s", counted(rung.workers as u64, "worker", "workers"), rate(rung));
            lock(&self.screen).log(&LogRecord::new(Level::Info, "rung_measured", text, rung_fields(rung)));
        }
    }

    /// The climb is over. Takes the bar away.
    pub fn tuned(&self, tuned: &TuneResult) {
        let mut screen = lock(&self.screen);
        screen.close();
        if self.settings.log_format == LogFormat::Json {
            let best = tuned.best().map_or_else(
                || "no number can be named".into(),
                |best| format!("best: {}", counted(best.workers as u64, "worker", "workers")),
            );
            screen.log(&LogRecord::new(
                Level::Info,
                "tuned",
                format!("{best}; {}", why(tuned)),
                fields(tuned),
            ));
        }
    }
}

#[cfg(test)]
mod tests;
