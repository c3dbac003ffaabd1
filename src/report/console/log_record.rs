//! An event as it is logged: its level, its stable name, a sentence for people and fields for programs.
//!
//! Sentences hold foreign text only through `display_safe`; fields hold it as it is, and the JSON writer
//! escapes it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::display_safe;
use crate::model::{Cause, Event, PauseReason, StopReason};
use crate::report::console::progress_snapshot::ProgressSnapshot;
use crate::report::failure_text::{example_fields, place_and_reason};
use crate::report::format;
use crate::report::machine_format::{rounded, seconds};
use crate::report::run_stats::{FailureExample, RunCounters, example};
use crate::report::verdict::per_second;

/// Characters of a whole sentence that a line shows.
const SENTENCE_CHARS: usize = 2_000;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Only with every detail.
    Debug,
    /// Worth knowing.
    Info,
    /// Something to check.
    Warning,
    /// Why the run failed.
    Error,
}

/// What a record is about. Its name is a part of the schema of JSON lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// An attempt failed and is retried.
    AttemptRetried,
    AttemptRefused,
    /// Retries since the last such record.
    AttemptsRetried,
    /// The error of the run.
    Failed,
    /// The summary.
    Finished,
    /// A job failed.
    JobFailed,
    /// The limit of attempts in flight changed.
    LimitChanged,
    /// A note.
    Noted,
    /// The plan of a dry run.
    Planned,
    /// The pool paused.
    PoolPaused,
    /// The pool goes on.
    PoolResumed,
    /// The progress.
    Progressed,
    /// The requests go through a proxy.
    ProxyChosen,
    /// A rung of `tune` was measured.
    RungMeasured,
    /// The run began.
    Started,
    /// The run stops early.
    Stopping,
    /// A token for the requests was received.
    TokenReceived,
    /// What `tune` found.
    Tuned,
    /// A warning.
    Warned,
}

impl RecordKind {
    /// The stable name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AttemptRetried => "attempt_retried",
            Self::AttemptRefused => "attempt_refused",
            Self::AttemptsRetried => "attempts_retried",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::JobFailed => "job_failed",
            Self::LimitChanged => "limit_changed",
            Self::Noted => "noted",
            Self::Planned => "planned",
            Self::PoolPaused => "pool_paused",
            Self::PoolResumed => "pool_resumed",
            Self::Progressed => "progressed",
            Self::ProxyChosen => "proxy_chosen",
            Self::RungMeasured => "rung_measured",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::TokenReceived => "token_received",
            Self::Tuned => "tuned",
            Self::Warned => "warned",
        }
    }
}

/// One line to be written as text or as JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogRecord {
    pub(crate) level: Level,
    pub(crate) kind: RecordKind,
    pub(crate) message: String,
    pub(crate) fields: Value,
}

impl LogRecord {
    pub(crate) fn new(level: Level, kind: RecordKind, message: String, fields: Value) -> Self {
        Self { level, kind, message, fields }
    }

    /// A sentence from elsewhere, made safe. It stays on one line: a line end inside could forge another line.
    pub(crate) fn sentence(level: Level, kind: RecordKind, text: &str) -> Self {
        Self::new(level, kind, display_safe(text, SENTENCE_CHARS), json!({}))
    }
}

/// The record of one event; none where events are only counted. Earlier pauses are mentioned only where one of
/// them was `reported_before`.
pub(crate) fn of(event: &Event<'_>, counters: &RunCounters, reported_before: bool) -> Option<LogRecord> {
    Some(match *event {
        Event::AttemptRetried { key, line, fault, is_refusal: true, .. } => {
            refused(&example(Some(key), line, fault, None))
        }
        Event::AttemptRetried { key, line, fault, attempt, wait, .. } => {
            retried(&example(Some(key), line, fault, None), attempt, wait)
        }
        Event::JobFailed { key, line, fault, attempts, url, .. } => {
            failed(&example(key, line, fault, url), attempts)
        }
        Event::PoolPaused { wait, reason } => paused(wait, reason, (counters, reported_before)),
        Event::PoolResumed => {
            LogRecord::new(Level::Info, RecordKind::PoolResumed, "resumed".into(), json!({}))
        }
        Event::LimitChanged { limit, reason } => {
            let text = format!("concurrency {}: {reason}", format::count(limit as u64));
            LogRecord::new(
                Level::Info,
                RecordKind::LimitChanged,
                text,
                json!({"limit": limit, "why": reason.to_string()}),
            )
        }
        Event::ProxyChosen { proxy } => LogRecord::new(
            Level::Info,
            RecordKind::ProxyChosen,
            format!("proxy: {}", display_safe(proxy, SENTENCE_CHARS)),
            json!({"proxy": proxy}),
        ),
        Event::TokenReceived { life } => token_received(life),
        Event::Noted { message } => LogRecord::sentence(Level::Info, RecordKind::Noted, message),
        Event::Warned { message } => LogRecord::sentence(Level::Warning, RecordKind::Warned, message),
        Event::Stopping { reason, drain } => stopping(reason, drain),
        Event::AttemptAnswered { .. }
        | Event::JobFetched { .. }
        | Event::JobRecovered
        | Event::JobDeferred
        | Event::RowRepeated { .. }
        | Event::RowSkipped => return None,
    })
}

fn token_received(life: Option<Duration>) -> LogRecord {
    let text = match life {
        Some(life) => format!("token received, good for {}", format::time_left(life)),
        None => "token received".into(),
    };
    LogRecord::new(Level::Info, RecordKind::TokenReceived, text, json!({"life_s": life.map(seconds)}))
}

fn retried(example: &FailureExample, attempt: u32, wait: Duration) -> LogRecord {
    let retry = format::count(attempt.into());
    let text = format!("retry {retry} in {}: {}", format::duration(wait), place_and_reason(example));
    let mut fields = example_fields(example);
    fields["attempt"] = attempt.into();
    fields["wait_s"] = seconds(wait).into();
    LogRecord::new(Level::Debug, RecordKind::AttemptRetried, text, fields)
}

/// The SKU is requested again as soon as the pool allows it.
fn refused(example: &FailureExample) -> LogRecord {
    let text = format!("refused: {}", place_and_reason(example));
    LogRecord::new(Level::Debug, RecordKind::AttemptRefused, text, example_fields(example))
}

fn failed(example: &FailureExample, attempts: u32) -> LogRecord {
    let mut fields = example_fields(example);
    fields["attempts"] = attempts.into();
    LogRecord::new(
        Level::Warning,
        RecordKind::JobFailed,
        format!("failed: {}", place_and_reason(example)),
        fields,
    )
}

fn stopping(reason: &StopReason, drain: Option<Duration>) -> LogRecord {
    let said = reason.said();
    let mut why = format!("{reason}: no new requests");
    if let Some(drain) = drain {
        why = format!("{why}; waiting up to {} for those in flight", format::time_left(drain));
    }
    let fields = json!({"why": why, "said": said});
    LogRecord::new(Level::Warning, RecordKind::Stopping, format!("stopping: {why}"), fields)
}

fn paused(
    wait: Duration,
    reason: PauseReason,
    (counters, reported_before): (&RunCounters, bool),
) -> LogRecord {
    let mut text = format!("paused {}: {reason}", format::time_left(wait));
    if reported_before && counters.pauses > 1 {
        let pauses = format::count(counters.pauses);
        text = format!("{text} ({pauses} pauses so far, {} in all)", format::duration(counters.paused));
    }
    let fields = json!({"wait_s": seconds(wait), "why": reason.to_string(), "pauses": counters.pauses});
    LogRecord::new(Level::Info, RecordKind::PoolPaused, text, fields)
}

/// Retries since the last such line: `41 retries: 30 HTTP 503, 11 timed out`.
pub(crate) fn retries(new: &BTreeMap<Cause, u64>) -> LogRecord {
    let total: u64 = new.values().sum();
    let causes: Vec<String> =
        new.iter().map(|(cause, count)| format!("{} {}", format::count(*count), cause.label())).collect();
    let text = format!("{}: {}", format::counted(total, "retry", "retries"), causes.join(", "));
    let by_cause: serde_json::Map<String, Value> =
        new.iter().map(|(cause, count)| (cause.label(), Value::from(*count))).collect();
    LogRecord::new(
        Level::Info,
        RecordKind::AttemptsRetried,
        text,
        json!({"retries": total, "causes": by_cause}),
    )
}

/// The progress, where there is no bar.
pub(crate) fn progressed(snapshot: &ProgressSnapshot, text: String) -> LogRecord {
    let paused = snapshot.paused.as_ref();
    let fields = json!({
        "elapsed_s": seconds(snapshot.elapsed),
        "done": snapshot.done,
        "total": snapshot.total,
        "per_s": rounded(snapshot.rate, 10.0),
        "in_flight": snapshot.in_flight,
        "limit": snapshot.limit,
        "retries": snapshot.retries,
        "failed": snapshot.failed,
        "learned_per_s": snapshot.learned.map(|learned| rounded(per_second(learned), 1e4)),
        "pause_left_s": paused.map(|(left, _)| seconds(*left)),
        "pause_why": paused.map(|(_, reason)| reason.to_string()),
        "left_s": snapshot.left.map(seconds),
    });
    LogRecord::new(Level::Info, RecordKind::Progressed, text, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_pause_says_how_many_there_were() {
        let event = Event::PoolPaused {
            wait: Duration::from_secs(12),
            reason: PauseReason::Refused { status: 429, has_retry_after: true },
        };
        let first = RunCounters { pauses: 1, paused: Duration::from_secs(12), ..RunCounters::default() };
        assert_eq!(of(&event, &first, false).unwrap().message, "paused 12 s: 429 with Retry-After");
        let third = RunCounters { pauses: 3, paused: Duration::from_secs(200), ..RunCounters::default() };
        assert_eq!(
            of(&event, &third, true).unwrap().message,
            "paused 12 s: 429 with Retry-After (3 pauses so far, 3 min 20 s in all)"
        );
        // Those before were too short to be printed.
        assert_eq!(of(&event, &third, false).unwrap().message, "paused 12 s: 429 with Retry-After");
    }

    #[test]
    fn retries_are_grouped_by_cause() {
        let new = BTreeMap::from([(Cause::Status(503), 30), (Cause::Timeout, 11)]);
        let record = retries(&new);
        assert_eq!(record.message, "41 retries: 30 HTTP 503, 11 timed out");
        assert_eq!(record.fields, json!({"retries": 41, "causes": {"HTTP 503": 30, "timed out": 11}}));
    }
}
