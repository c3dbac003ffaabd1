//! Options, environment and config file become one [`Settings`].
//!
//! The three places are read as text into layers (`cli`, `environment`, `file`), driven by one
//! list of options ([`options`]); the layers are laid over each other (`layers`: option, then
//! environment, then file, then default); every word is given its meaning once (`options`, `values`, `build`);
//! and what does not go together is refused (`checks`). Each setting remembers where it came from, so
//! that an error found further down can still name the place and end with the right code.
//!
//! Nothing else in the program reads the environment, and nothing here prints.

mod build;
mod call;
mod checks;
pub(crate) mod choices;
mod cli;
mod command_line;
mod environment;
mod error;
mod file;
mod foreign_names;
mod joined;
mod layers;
pub mod options;
mod origin;
mod redacted;
mod setting;
pub(crate) mod settings;
mod values;

use std::ffi::OsString;
use std::path::Path;

pub(crate) use command_line::TypedCommand;
pub use environment::Environment;
pub(crate) use error::ConfigError;
pub(crate) use origin::Origin;
pub(crate) use settings::Settings;

use crate::report::ReportFormat;
use call::{Call, Purpose};
use layers::Layers;
use settings::{LogFormat, ReportFile};

/// What the person asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Invocation {
    /// Fetch.
    Fetch(Box<Settings>),
    /// Find the concurrency that pays.
    Tune(Box<Tune>),
    /// A text for standard output (help or version), complete with its line end; then exit 0.
    Text(String),
}

/// What `skufetch tune` was asked for.
#[derive(Debug)]
pub struct Tune {
    /// The settings of the fetch that it measures for.
    pub settings: Settings,
    /// `--report`: never for Prometheus. What the environment and the config file say of it is meant for
    /// the fetch.
    pub report: Option<ReportFile>,
    /// That fetch as it can be typed, its concurrency apart; shows no secret.
    pub command: TypedCommand,
}

/// Reads what the person asked for. The first of `args` is the program's name; relative paths count
/// from `cwd`.
///
/// # Errors
/// Whatever is wrong in any of the three places; see `ConfigError`.
pub fn load(
    args: impl Iterator<Item = OsString>,
    env: &Environment,
    cwd: &Path,
) -> Result<Invocation, ConfigError> {
    match cli::parse(args)? {
        cli::Asked::Text(text) => Ok(Invocation::Text(text)),
        cli::Asked::Fetch(line) => {
            Ok(Invocation::Fetch(Box::new(settings(line, env, (cwd, Purpose::Fetch))?.0)))
        }
        cli::Asked::Tune(line) => {
            let typed = line.clone();
            let (settings, layers) = settings(line, env, (cwd, Purpose::Tune))?;
            let has_output = layers.origin(&options::OUTPUT) != Origin::Default;
            let command = command_line::command(&typed, has_output);
            let report = report_of_tune(&settings)?;
            Ok(Invocation::Tune(Box::new(Tune { settings, report, command })))
        }
    }
}

/// A measurement is read when it is over: there is nothing in it for a monitoring system.
fn report_of_tune(settings: &Settings) -> Result<Option<ReportFile>, ConfigError> {
    let origin = settings.origin(&options::REPORT).clone();
    let report = settings.run.report.clone().filter(|_| matches!(origin, Origin::Option(_)));
    if report.as_ref().is_some_and(|report| report.kind == ReportFormat::Prom) {
        let why = "tune writes no report for Prometheus: name a file that ends in .json or .html".into();
        return Err(ConfigError::Value { origin, why });
    }
    Ok(report)
}

/// The command that was probably meant by a word that names no file.
#[must_use]
pub(crate) fn nearest_command(word: &str) -> Option<String> {
    cli::nearest_command(word)
}

fn settings(
    line: cli::CommandLine,
    env: &Environment,
    (cwd, purpose): (&Path, Purpose),
) -> Result<(Settings, Layers), ConfigError> {
    let layers = Layers::merge([line.layer, env.layer()?, file::layer(line.config, env, cwd)?]);
    let call = Call { input: line.input, verbose: line.verbose, quiet: line.quiet, cwd, purpose };
    let mut settings = build::settings(&layers, &call)?;
    checks::check(&settings, &layers, &call)?;
    settings.warnings = env.misspelt();
    if settings.request.proxy.is_none() && settings.demo.is_none() {
        settings.warnings.extend(env.unused_proxies());
    }
    Ok((settings, layers))
}

/// How an error of [`load`] is to be printed. The same three places are read, as far as they can be:
/// what is wrong in one of them must not make a line that the log's reader cannot parse.
#[must_use]
pub(crate) fn log_format(args: &[OsString], env: &Environment, cwd: &Path) -> LogFormat {
    let setting = &options::LOG_FORMAT;
    let word = cli::typed(args, setting.name).or_else(|| env.setting(setting)).or_else(|| {
        let config = cli::typed(args, options::CONFIG).map(Into::into);
        file::peek(config, env, cwd, setting)
    });
    word.and_then(|word| word.to_str()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
