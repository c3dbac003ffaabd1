//! A whole run as one file, in the format of `--report`.

use std::time::SystemTime;

use crate::report::reporter::Report;
use crate::report::run_report::data::{ReportData, ReportFormat, RunDescription};
use crate::report::run_report::{html, json, prom};
use crate::report::summary::run_summary::RunSummary;
use crate::report::summary::text::headline;

impl Report {
    /// The whole run as one file. `before` is what that file held until now: the textfile keeps the time of
    /// the last success from it.
    #[must_use]
    pub(crate) fn document(
        &self,
        kind: ReportFormat,
        subject: &RunDescription,
        summary: &RunSummary,
        before: Option<&str>,
    ) -> String {
        let stats = self.stats();
        let history = self.history();
        let headline = headline(summary, &stats);
        let data = ReportData { subject, summary, stats, history, headline, ended: SystemTime::now() };
        match kind {
            ReportFormat::Json => json::document(&data),
            ReportFormat::Html => html::document(&data),
            ReportFormat::Prom => prom::document(&data, before),
        }
    }
}
