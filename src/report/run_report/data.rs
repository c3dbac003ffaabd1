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
    /// Its table in the config file.
    pub(crate) table: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value; none where it was not set and its default has no name.
    pub(crate) value: Option<String>,
    /// Where its value was set.
    pub(crate) set_by: SettingOrigin,
}

/// Where the value of a setting was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingOrigin {
    /// Nowhere.
    Default,
    /// On the command line.
    Option,
    /// In the environment.
    Environment,
    /// In the config file.
    File,
}

impl SettingOrigin {
    /// The stable name in the JSON report.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Option => "option",
            Self::Environment => "environment",
            Self::File => "file",
        }
    }
}

/// Shows no value: a secret may be where none is expected.
impl fmt::Debug for ShownSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.set_by.name())
    }
}

/// What a run was to do.
#[derive(Debug, Clone)]
pub(crate) struct RunDescription {
    /// What was read.
    pub(crate) input: String,
    /// Where the answers were to go.
    pub(crate) output: ShownOutput,
    /// Method and address, as they may be shown.
    pub(crate) request: String,
    /// Every setting.
    pub(crate) settings: Vec<ShownSetting>,
    /// When the run began.
    pub(crate) began: SystemTime,
}

/// Where the answers of a run were to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShownOutput {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// As the user gave it.
        given: String,
        /// Its absolute path.
        absolute: String,
    },
}

impl ShownOutput {
    /// As on the command line: `-` for standard output.
    #[must_use]
    pub(crate) fn given(&self) -> &str {
        match self {
            Self::Stdout => "-",
            Self::File { given, .. } => given,
        }
    }

    /// The path that means one file on this machine: `-` for standard output.
    #[must_use]
    pub(crate) fn absolute(&self) -> &str {
        match self {
            Self::Stdout => "-",
            Self::File { absolute, .. } => absolute,
        }
    }

    /// For people.
    #[must_use]
    pub(crate) fn title(&self) -> &str {
        match self {
            Self::Stdout => "standard output",
            Self::File { given, .. } => given,
        }
    }
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
