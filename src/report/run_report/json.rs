//! `--report FILE.json`: one object. The fields of the record `finished` of `--log-format json` have the same names
//! here; the rest is added around it. `docs/report.md` has the schema.

use serde_json::{Value, json};

use crate::report::json_writer;
use crate::report::machine_format::{millis, moment, rounded, seconds};
use crate::report::run_report::data::{ReportData, ShownSetting};
use crate::report::run_report::history::{PauseSpan, SlowAnswer, TimeSlice};
use crate::report::run_stats::{LatencySummary, StatsSnapshot};
use crate::report::summary::fields::fields;

/// Steps of the histogram to each doubling of the latency.
const STEPS: f64 = 4.0;

pub(crate) fn document(data: &ReportData<'_>) -> String {
    let ReportData { subject, summary, stats, history, .. } = data;
    let mut document = json!({
        "schema": "skufetch.run",
        "version": 1,
        "program": env!("CARGO_PKG_VERSION"),
        "began": moment(subject.began),
        "ended": moment(data.ended),
        "input": subject.input,
        "output": subject.output.given(),
        "request": subject.request,
        "headline": data.headline,
        "error": summary.error.as_ref().map(|error| &error.message),
        "hint": summary.error.as_ref().and_then(|error| error.hint.as_ref()),
    });
    let more = json!({
        "retried": stats.retried.iter()
            .map(|(cause, count)| json!({"cause": cause.label(), "count": count}))
            .collect::<Vec<_>>(),
        "refused_by": stats.refused.iter()
            .map(|(cause, count)| json!({"cause": cause.label(), "count": count}))
            .collect::<Vec<_>>(),
        "latency": stats.latency.map(|latency| latency_fields(latency, stats)),
        "slowest": history.slowest().iter().map(slow).collect::<Vec<_>>(),
        "paused": history.pauses().iter().map(pause).collect::<Vec<_>>(),
        "timeline": history.slices().iter().map(slice).collect::<Vec<_>>(),
        "settings": settings(&subject.settings),
    });
    if let Value::Object(document) = &mut document {
        for part in [fields(summary, stats), more] {
            document.extend(part.as_object().cloned().unwrap_or_default());
        }
    }
    json_writer::indented(&document)
}

fn latency_fields(latency: LatencySummary, stats: &StatsSnapshot) -> Value {
    let mut from = 0.0;
    let mut histogram = Vec::new();
    for step in stats.histogram.iter_log(1, 2f64.powf(1.0 / STEPS)) {
        let to = rounded(step.value_iterated_to() as f64 / 1e3, 1e3);
        let count = step.count_since_last_iteration();
        if count > 0 {
            histogram.push(json!({"from_ms": from, "to_ms": to, "count": count}));
        }
        from = to;
    }
    json!({
        "p50_ms": millis(latency.p50),
        "p90_ms": millis(latency.p90),
        "p95_ms": millis(latency.p95),
        "p99_ms": millis(latency.p99),
        "max_ms": millis(latency.max),
        "histogram": histogram,
    })
}

fn slow(slow: &SlowAnswer) -> Value {
    json!({
        "key": slow.key,
        "line": slow.line,
        "status": slow.status,
        "latency_ms": millis(slow.latency),
        "at_s": seconds(slow.at),
    })
}

fn pause(pause: &PauseSpan) -> Value {
    json!({"at_s": seconds(pause.at), "until_s": seconds(pause.until), "why": pause.reason.to_string()})
}

fn slice(slice: &TimeSlice) -> Value {
    let quantile = |share| slice.quantile(share).map(millis);
    json!({
        "from_s": seconds(slice.from),
        "to_s": seconds(slice.to),
        "answers": slice.answers,
        "done": slice.done,
        "fetched": slice.fetched,
        "failed": slice.failed,
        "retries": slice.retries,
        "refused": slice.refused,
        "bytes": slice.bytes,
        "in_flight": rounded(slice.in_flight(), 10.0),
        "most_in_flight": slice.most_in_flight,
        "limit": slice.limit,
        "paused_s": seconds(slice.paused),
        "p50_ms": quantile(0.5),
        "p95_ms": quantile(0.95),
        "p99_ms": quantile(0.99),
    })
}

fn settings(settings: &[ShownSetting]) -> Value {
    let mut tables = serde_json::Map::new();
    for ShownSetting { table, name, value, set_by } in settings {
        let table = tables.entry(*table).or_insert_with(|| json!({}));
        table[*name] = json!({"value": value, "set_by": set_by.name()});
    }
    Value::Object(tables)
}
