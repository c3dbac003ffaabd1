//! One [`Settings`] for the whole program. Every field is already valid. Where a module defines what it takes
//! (`InputSettings`, `PaceSettings`, `RetrySettings`, `OutputSettings`), that is what stands here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Method};
use secrecy::{ExposeSecret, SecretString};

pub(crate) use crate::collect::{OutputSettings, Target};
pub(crate) use crate::config::choices::Percent;
use crate::config::origin::Origin;
use crate::config::setting::Setting;
pub(crate) use crate::fetch::{BodyAs, RetrySettings};
pub(crate) use crate::input::{InputPath, InputSettings};
pub(crate) use crate::limit::PaceSettings;
use crate::model::{Rate, Size};
pub(crate) use crate::plan::BodyEscape;
use crate::report::ShownSetting;
pub(crate) use crate::report::{LogFormat, ProgressMode, ReportFile};

/// What this run shall do. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// INPUT itself.
    pub input_path: InputPath,
    /// How it is read.
    pub input: InputSettings,
    /// What is sent to the API.
    pub request: RequestOptions,
    /// How fast, and how long a pause may be.
    pub pace: PaceSettings,
    /// What the fetcher sends again.
    pub retry: RetrySettings,
    /// What is kept of an answer.
    pub response: Response,
    /// What is written, and what of earlier runs is kept. Also holds the statuses of `--retry-on` and `--null-on`.
    pub output: OutputSettings,
    /// How this run goes.
    pub run: RunOptions,
    /// The built-in API, if it is what this run fetches from.
    pub demo: Option<Demo>,
    /// Sentences that the person should read before the run.
    pub warnings: Vec<String>,
    /// Every setting as a report may show it.
    pub redacted: Vec<ShownSetting>,
    /// Where each setting that was set came from.
    pub(super) origins: BTreeMap<&'static str, Origin>,
}

impl Settings {
    /// Where this setting came from: to name the place of an error that shows only later, and to choose
    /// its exit code by [`Origin::exit`].
    #[must_use]
    pub fn origin(&self, setting: &Setting) -> &Origin {
        self.origins.get(setting.name).unwrap_or(&Origin::Default)
    }
}

/// What leaves for the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestOptions {
    /// `--url`, not yet parsed. `None` if and only if [`Settings::demo`] is there.
    pub url: Option<Secret>,
    /// `--method`, or GET, or POST with a body.
    pub method: Method,
    /// `--header`, in the order given.
    pub headers: Vec<Header>,
    /// `--body`, read from its file if it was one, not yet parsed.
    pub body: Option<Secret>,
    /// `--body-escape`; `None`: by the `Content-Type`.
    pub body_escape: Option<BodyEscape>,
    /// `--timeout`, of one attempt; at least a millisecond.
    pub timeout: Duration,
    /// `--connect-timeout`; at least a millisecond.
    pub connect_timeout: Duration,
    /// `--ca-cert`.
    pub ca_cert: Option<PathBuf>,
    /// `--proxy`, not yet parsed; may hold `${ENV_VAR}`.
    pub proxy: Option<Secret>,
    /// `--insecure`.
    pub insecure: bool,
}

/// A header of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name, in lower case.
    pub name: HeaderName,
    /// The value, with its `{column}` and `${ENV_VAR}` still in it.
    pub value: Secret,
    /// Where it came from.
    pub origin: Origin,
}

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `--select`, not yet compiled; `.` keeps the body as it is.
    pub select: String,
    /// `--body-as`.
    pub body_as: BodyAs,
    /// `--max-body`, decoded; never 0.
    pub max_body: Size,
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
    /// `--progress`.
    pub progress: ProgressMode,
    /// `--report`.
    pub report: Option<ReportFile>,
    /// `--log-format`.
    pub log_format: LogFormat,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `-q`; never together with `-v`.
    pub quiet: bool,
}

/// The built-in catalogue API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demo {
    /// `--demo-latency`: how long an answer takes.
    pub latency: Duration,
    /// `--demo-failures`: the share of requests that fail.
    pub failures: Percent,
    /// `--demo-rate`: over it, 429.
    pub rate: Option<Rate>,
}

/// Text that may hold a secret: it is shown only to what sends it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself. It may go into a request, and into nothing that people read.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(redacted)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl Eq for Secret {}
