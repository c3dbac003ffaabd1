//! The summary for programs: the fields of the log record `finished` and of the JSON report.

use serde_json::{Value, json};

use crate::limit::LearnedLimit;
use crate::model::QuotaSize;
use crate::report::failure_text::{example_fields, shared_character};
use crate::report::key_characters::SharedCharacter;
use crate::report::machine_format::{millis, rounded, seconds};
use crate::report::run_stats::{CauseGroup, StatsSnapshot};
use crate::report::summary::run_summary::{Amount, Changes, Counts, RunSummary, WrittenFile, per_second};
use crate::report::verdict::{per_second as per_second_of, typed_rate};

/// The fields of the summary.
pub(crate) fn fields(summary: &RunSummary, stats: &StatsSnapshot) -> Value {
    let mut fields = rows(&summary.counts);
    let more = json!({
        "elapsed_s": seconds(summary.elapsed),
        "per_s": rounded(per_second(summary, stats), 10.0),
        "attempts": stats.counters.attempts(),
        "retries": stats.counters.retries,
        "refused": stats.counters.refused,
        "bytes": stats.counters.bytes,
        "pauses": stats.counters.pauses,
        "paused_s": seconds(stats.counters.paused),
        "p50_ms": stats.latency.map(|latency| millis(latency.p50)),
        "p95_ms": stats.latency.map(|latency| millis(latency.p95)),
        "statuses": statuses(stats),
        "causes": stats.causes.iter().map(|group| cause_fields(group, stats)).collect::<Vec<_>>(),
        "warnings": stats.warnings,
        "differing_repeats": stats.counters.differing,
        "differing_lines": stats.counters.differing_lines,
        "limited_by": summary.verdict.limit.name(),
        "advice": summary.verdict.text,
        "learned_limit": summary.limits.learned.map(limit_fields),
        "learned_in_flight": summary.limits.in_flight,
        "quota": summary.limits.announced.map(quota_fields),
        "served_connections": summary.limits.connections,
        "published": summary.published,
        "journal_kept": summary.journal_kept,
        "oldest_answer_s": summary.oldest.map(seconds),
        "changes": summary.changes.map(change_fields),
        "no_longer_in_input": summary.not_in_input.map(|not_in_input| not_in_input.count),
        "pruned": summary.not_in_input.is_some_and(|not_in_input| not_in_input.pruned),
        "wrote": summary.written.iter().map(wrote_fields).collect::<Vec<_>>(),
        "exit": summary.exit.code(),
    });
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    fields
}

/// A limit that was learnt.
pub(crate) fn limit_fields(learned: LearnedLimit) -> Value {
    let window = match learned {
        LearnedLimit::Rate(_) => None,
        LearnedLimit::Window { capacity, period } => Some((capacity, seconds(period))),
    };
    json!({
        "rate": typed_rate(per_second_of(learned)),
        "per_s": rounded(per_second_of(learned), 1e4),
        "capacity": window.map(|(capacity, _)| capacity),
        "period_s": window.map(|(_, period)| period),
    })
}

fn quota_fields(quota: QuotaSize) -> Value {
    json!({"limit": rounded(quota.limit, 1e3), "window_s": quota.window.map(seconds)})
}

fn rows(counts: &Counts) -> Value {
    json!({
        "rows": counts.rows,
        "skus": counts.skus(),
        "fetched": counts.fetched,
        "unchanged": counts.unchanged,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "repeats": counts.repeats,
        "deferred": counts.deferred,
        "recovered": counts.recovered,
        "bad_rows": counts.bad_rows,
        "keyless": counts.keyless,
        "short_rows": counts.short_rows,
        "blanks": counts.blanks,
    })
}

fn statuses(stats: &StatsSnapshot) -> Value {
    stats.statuses.iter().map(|(status, count)| (status.to_string(), Value::from(*count))).collect()
}

fn cause_fields(group: &CauseGroup, stats: &StatsSnapshot) -> Value {
    let shared = stats.shared_character(group.cause);
    json!({
        "shared_character": shared.map(SharedCharacter::name),
        "shared_note": shared.map(|shared| shared_character(group, shared)),
        "cause": group.cause.label(),
        "count": group.count,
        "first": example_fields(&group.example),
    })
}

fn wrote_fields(written: &WrittenFile) -> Value {
    match written.amount {
        Amount::Bytes(bytes) => json!({"path": written.path, "bytes": bytes}),
        Amount::Rows(rows) => json!({"path": written.path, "rows": rows}),
        Amount::Lines(lines) => json!({"path": written.path, "lines": lines}),
    }
}

fn change_fields(changes: Changes) -> Value {
    let Changes { added, removed, changed, failed } = changes;
    json!({"added": added, "removed": removed, "changed": changed, "failed": failed})
}
