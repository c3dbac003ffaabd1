//! One [`Settings`] for the whole program. Every field is already valid. What a module takes, the module defines
//! (`InputSettings`, `RequestSettings`, `ConnectionSettings`, …), and that struct stands here; [`RunOptions`] is for
//! the commands alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use crate::collect::{OutputSettings, Target};
pub(crate) use crate::config::choices::Percent;
use crate::config::origin::Origin;
use crate::config::setting::Setting;
use crate::config::token::TokenOptions;
use crate::demo::DemoSettings;
pub(crate) use crate::fetch::{BodyAs, ConnectionSettings, ResponseSettings, RetrySettings};
pub(crate) use crate::input::{InputPath, InputSettings};
pub(crate) use crate::limit::PaceSettings;
use crate::model::RunId;
pub(crate) use crate::plan::RequestSettings;
use crate::report::ShownSetting;
pub(crate) use crate::report::{LogFormat, ReportFile, ReportSettings};

/// The settings of a run. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// INPUT itself.
    pub input_path: InputPath,
    /// How it is read.
    pub input: InputSettings,
    /// What is sent to the API. With the built-in API, its address without the port of this run.
    pub request: RequestSettings,
    /// How a token for it is fetched, if one is.
    pub token: Option<TokenOptions>,
    /// How it is sent.
    pub connection: ConnectionSettings,
    /// How fast, and how long a pause may be.
    pub pace: PaceSettings,
    /// What the fetcher sends again.
    pub retry: RetrySettings,
    /// What is kept of an answer.
    pub response: ResponseSettings,
    /// What is written, and what of earlier runs is kept.
    pub output: OutputSettings,
    /// How this run goes.
    pub run: RunOptions,
    /// What is printed on standard error. The command adds its terminal; here there is none.
    pub messages: ReportSettings,
    /// The built-in API, if it is what this run fetches from.
    pub demo: Option<DemoSettings>,
    /// Warnings to print before the run.
    pub warnings: Vec<String>,
    /// Every setting as a report may show it.
    pub redacted: Vec<ShownSetting>,
    /// Where each setting that was set came from.
    pub(super) origins: BTreeMap<&'static str, Origin>,
    /// Where each header of the request came from.
    pub(super) header_origins: Vec<Origin>,
}

impl Settings {
    /// Where this setting came from: to name the place of an error that shows only later, and to choose
    /// its exit code by [`Origin::exit`].
    #[must_use]
    pub fn origin(&self, setting: &Setting) -> &Origin {
        self.origins.get(setting.name).unwrap_or(&Origin::Default)
    }

    /// Where a header of the request came from, by its number from 1. None: there is no such header.
    #[must_use]
    pub(crate) fn header_origin(&self, number: usize) -> Option<&Origin> {
        self.header_origins.get(number.checked_sub(1)?)
    }
}

/// This run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// `--max-time`, from the start.
    pub max_time: Option<Duration>,
    /// `--min-success`: with fewer fetched, nothing is published.
    pub min_success: Percent,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--report`.
    pub report: Option<ReportFile>,
    /// `--run-id`.
    pub run_id: Option<RunId>,
    /// `--journal-dir`, or the folder that the environment names for such files.
    pub journal_dir: Option<PathBuf>,
}
