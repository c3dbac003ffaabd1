//! What a report is made of, and where it goes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::report::run_report::history::RunHistory;
use crate::report::run_stats::StatsSnapshot;
use crate::report::summary::run_summary::RunSummary;

/// What a document is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    /// Programs: one JSON object.
    Json,
    /// People: one page that needs nothing else.
    Html,
    /// The textfile collector of Prometheus' `node_exporter`.
    Prom,
}

impl ReportFormat {
    /// By the ending of the file's name; none if it is none of the three.
    #[must_use]
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "json" => Some(Self::Json),
            "html" => Some(Self::Html),
            "prom" => Some(Self::Prom),
            _ => None,
        }
    }
}

/// `--report`: where a document goes, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// The file, as the user gave it.
    pub path: PathBuf,
    /// By its ending.
    pub kind: ReportFormat,
}

/// A setting as it may be shown: without a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// The table it stands in.
    pub(crate) table: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value; none where it was not set and its default has no name.
    pub(crate) value: Option<String>,
    /// Who set it: `option`, `environment`, `file` or `default`.
    pub(crate) set_by: &'static str,
}

/// Shows no value: a secret may stand where none is expected.
impl fmt::Debug for ShownSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.set_by)
    }
}

/// What a run was asked for.
#[derive(Debug, Clone)]
pub(crate) struct RunDescription {
    /// What was read.
    pub(crate) input: String,
    /// Where the answers were to go; `-` for standard output.
    pub(crate) output: String,
    /// The same, so that it means one file on this machine.
    pub(crate) output_in_full: String,
    /// Method and address, as they may be shown.
    pub(crate) request: String,
    /// Every setting.
    pub(crate) settings: Vec<ShownSetting>,
    /// When the run began.
    pub(crate) began: SystemTime,
}

/// What the documents of a run are made of.
pub(crate) struct ReportData<'a> {
    pub(crate) subject: &'a RunDescription,
    pub(crate) summary: &'a RunSummary,
    pub(crate) stats: StatsSnapshot,
    pub(crate) history: RunHistory,
    pub(crate) headline: String,
    pub(crate) ended: SystemTime,
}
