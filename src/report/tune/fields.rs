//! What `tune` found, for programs: fields of its log records and of its JSON document.

use serde_json::{Value, json};

use crate::limit::climb::Rung;
use crate::report::machine_format::{millis, rounded, seconds};
use crate::report::run_stats::CauseGroup;
use crate::report::summary::fields::limit_fields;
use crate::report::tune::text::why;
use crate::report::tune::tune_result::TuneResult;

pub(crate) fn fields(tuned: &TuneResult) -> Value {
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
        "failed_answers": tuned.answers.failed,
        "null_answers": tuned.answers.nulls,
        "good_answers": tuned.answers.good,
        "same_body": tuned.answers.same_body,
        "stopped_by": tuned.end.name(),
        "why": why(tuned),
        "best": best.map(|best| json!({
            "workers": best.workers,
            "per_s": rounded(best.per_second(), 10.0),
            "p95_ms": millis(best.p95),
        })),
        "sustained": tuned.sustained.map(limit_fields),
        "command": tuned.paste(),
        "causes": tuned.causes.iter().map(cause).collect::<Vec<_>>(),
    })
}

pub(crate) fn rung_fields(rung: &Rung) -> Value {
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
