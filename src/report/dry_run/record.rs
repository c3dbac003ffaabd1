//! The plan of a dry run as a log record for programs.

use serde_json::{Value, json};

use crate::report::console::log_record::{Level, LogRecord, RecordKind};
use crate::report::dry_run::plan::{DryRun, LineNumbers};
use crate::report::dry_run::text;
use crate::report::machine_format::seconds;
use crate::report::reporter::Report;

impl Report {
    /// Logs the plan where the log is JSON lines. As text it goes to standard output instead.
    pub(crate) fn dry_run_planned(&self, plan: &DryRun) {
        let level = if plan.rows.rejected > 0 { Level::Warning } else { Level::Info };
        self.log_if_json(|| LogRecord::new(level, RecordKind::Planned, text::verdict(plan), fields(plan)));
    }
}

fn fields(plan: &DryRun) -> Value {
    let rows = &plan.rows;
    let rejects: Vec<Value> = rows
        .rejects
        .iter()
        .map(|reject| {
            let LineNumbers { count, first } = &reject.lines;
            json!({"reason": reject.reason, "count": count, "lines": first, "first": reject.example})
        })
        .collect();
    json!({
        "form": rows.format,
        "rows": rows.rows,
        "skus": rows.skus,
        "skipped": rows.skipped,
        "repeats": rows.repeats,
        "bad_rows": rows.rejected,
        "keyless": rows.keyless,
        "short_rows": rows.short_rows,
        "blanks": rows.blanks,
        "differing_repeats": rows.differing.count,
        "differing_lines": rows.differing.first,
        "rejects": rejects,
        "odd": rows.odd,
        "requests": plan.requested(),
        "token": plan.requests.token,
        "most_pages": plan.requests.most_pages,
        "proxy": plan.requests.proxy,
        "rate_store": plan.pace.rate_store,
        "filters": plan.filters,
        "recovered": plan.earlier.recovered,
        "young": plan.earlier.young,
        "conditional": plan.earlier.conditional,
        "least_s": plan.least().map(seconds),
        "exit": plan.exit().code(),
    })
}
