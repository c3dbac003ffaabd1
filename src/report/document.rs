//! The documents of `--report`: a whole run as one file, for programs, for Prometheus, or for a browser.
//!
//! All three are made of one account of it, so that they cannot tell different stories; what the summary tells
//! has the same names there. `docs/report.md` describes them for their readers.

pub(super) mod chart;
mod html;
mod json;
pub(super) mod over_time;
pub(super) mod page;
mod prom;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::report::chronicle::Chronicle;
use crate::report::ending::Ending;
use crate::report::tally::TallySnapshot;
use crate::report::{Report, lock, summary};

/// What a document is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Programs: one JSON object.
    Json,
    /// People: one page that needs nothing else.
    Html,
    /// The textfile collector of Prometheus' `node_exporter`.
    Prom,
}

impl Kind {
    /// By the ending of the file's name; none if it is none of the three.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
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
    /// The file, as the person gave it.
    pub path: PathBuf,
    /// By its ending.
    pub kind: Kind,
}

/// A setting as it may be shown: without a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The table it stands in.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its value; none where it was not set and there is no word for its default.
    pub value: Option<String>,
    /// Who set it: `option`, `environment`, `file` or `default`.
    pub set_by: &'static str,
}

/// Shows no value: a secret may stand where none is looked for.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.set_by)
    }
}

/// What a run was asked for.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What was read.
    pub input: String,
    /// Where the answers were to go; `-` for standard output.
    pub output: String,
    /// The same, so that it means one file on this machine.
    pub output_in_full: String,
    /// Method and address, as they may be shown.
    pub request: String,
    /// Every setting.
    pub settings: Vec<Setting>,
    /// When the run began.
    pub began: SystemTime,
}

/// A run as its documents tell it.
struct Account<'a> {
    subject: &'a Subject,
    ending: &'a Ending,
    tally: TallySnapshot,
    chronicle: Chronicle,
    headline: String,
    ended: SystemTime,
}

impl Report {
    /// The whole run as one file. `before` is what that file held until now: the textfile keeps the time of
    /// the last success from it.
    #[must_use]
    pub fn document(&self, kind: Kind, subject: &Subject, ending: &Ending, before: Option<&str>) -> String {
        let tally = self.tally();
        let chronicle = lock(&self.tally).chronicle().cloned().unwrap_or_default();
        let headline = summary::headline(ending, &tally);
        let account = Account { subject, ending, tally, chronicle, headline, ended: SystemTime::now() };
        match kind {
            Kind::Json => json::document(&account),
            Kind::Html => html::document(&account),
            Kind::Prom => prom::document(&account, before),
        }
    }
}

#[cfg(test)]
mod reading;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use reading::read_page;
