//! The document of `tune --report`.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::report::json_writer;
use crate::report::machine_format::moment;
use crate::report::run_report::ReportFormat;
use crate::report::tune::fields::{fields, rung_fields};
use crate::report::tune::html;
use crate::report::tune::tune_result::TuneResult;

/// The document of `--report`, with its line end. There is none for Prometheus.
#[must_use]
pub(crate) fn document(tuned: &TuneResult, kind: ReportFormat, now: SystemTime) -> String {
    match kind {
        ReportFormat::Html => html::document(tuned, now),
        ReportFormat::Json | ReportFormat::Prom => json_document(tuned, now),
    }
}

/// The schema is in the documentation of this module.
fn json_document(tuned: &TuneResult, now: SystemTime) -> String {
    let mut document = fields(tuned);
    let more = json!({
        "time": moment(now),
        "steps": tuned.rungs.iter().map(rung_fields).collect::<Vec<_>>(),
    });
    if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
        document.extend(more);
    }
    json_writer::indented(&document)
}
