//! `--report FILE.json`: one object. What the line `finished` of `--log-format json` tells has the same names
//! here; the rest is added around it. `docs/report.md` has the schema.

use serde_json::{Value, json};

use super::{Account, Setting};
use crate::report::chronicle::{Pause, Slice, Slow};
use crate::report::ending::{self, millis};
use crate::report::json_lines::{self, moment, rounded, seconds};
use crate::report::tally::{Latency, TallySnapshot};

/// Steps of the histogram to each doubling of the latency.
const STEPS: f64 = 4.0;

pub(super) fn document(account: &Account<'_>) -> String {
    let Account { subject, ending, tally, chronicle, .. } = account;
    let mut document = json!({
        "schema": "skufetch.run",
        "version": 1,
        "program": env!("CARGO_PKG_VERSION"),
        "began": moment(subject.began),
        "ended": moment(account.ended),
        "input": subject.input,
        "output": subject.output,
        "request": subject.request,
        "headline": account.headline,
        "error": ending.error.as_ref().map(|error| &error.message),
        "hint": ending.error.as_ref().and_then(|error| error.hint.as_ref()),
    });
    let more = json!({
        "retried": tally.retried.iter()
            .map(|(cause, count)| json!({"cause": cause.label(), "count": count}))
            .collect::<Vec<_>>(),
        "latency": tally.latency.map(|latency| latency_fields(latency, tally)),
        "slowest": chronicle.slowest().iter().map(slow).collect::<Vec<_>>(),
        "paused": chronicle.pauses().iter().map(pause).collect::<Vec<_>>(),
        "timeline": chronicle.slices().iter().map(slice).collect::<Vec<_>>(),
        "settings": settings(&subject.settings),
    });
    if let Value::Object(document) = &mut document {
        for part in [ending::fields(ending, tally), more] {
            document.extend(part.as_object().cloned().unwrap_or_default());
        }
    }
    json_lines::document(&document)
}

fn latency_fields(latency: Latency, tally: &TallySnapshot) -> Value {
    let mut from = 0.0;
    let mut histogram = Vec::new();
    for step in tally.histogram.iter_log(1, 2f64.powf(1.0 / STEPS)) {
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

fn slow(slow: &Slow) -> Value {
    json!({
        "key": slow.key,
        "line": slow.line,
        "status": slow.status,
        "latency_ms": millis(slow.latency),
        "at_s": seconds(slow.at),
    })
}

fn pause(pause: &Pause) -> Value {
    json!({"at_s": seconds(pause.at), "until_s": seconds(pause.until), "why": pause.why})
}

fn slice(slice: &Slice) -> Value {
    let quantile = |share| slice.quantile(share).map(millis);
    json!({
        "from_s": seconds(slice.from),
        "to_s": seconds(slice.to),
        "answers": slice.answers,
        "done": slice.done,
        "fetched": slice.fetched,
        "failed": slice.failed,
        "retries": slice.retries,
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

fn settings(settings: &[Setting]) -> Value {
    let mut tables = serde_json::Map::new();
    for Setting { table, name, value, set_by } in settings {
        let table = tables.entry(*table).or_insert_with(|| json!({}));
        table[*name] = json!({"value": value, "set_by": set_by});
    }
    Value::Object(tables)
}
