//! Options, environment and config file become one [`Settings`].
//!
//! `cli`, `environment` and `file` read one layer of text each, driven by one list of options ([`options`]). `layers`
//! merges them: an option beats the environment, which beats the file, which beats the default. `options`, `values` and
//! `build` parse each value once and build the structs that the modules define. `checks` refuses settings that
//! contradict each other. The origin of each setting is kept, so that an error that a lower module finds can name the
//! place and have its exit code.
//!
//! Only this module reads the environment. It prints nothing.

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
mod objects;
pub mod options;
mod origin;
mod output_name;
mod redacted;
mod refuse;
mod setting;
pub(crate) mod settings;
mod shard;
mod stream;
pub(crate) mod token;
mod values;

use std::ffi::OsString;
use std::path::Path;

pub(crate) use command_line::TypedCommand;
pub use environment::Environment;
pub(crate) use error::ConfigError;
pub(crate) use origin::Origin;
pub(crate) use settings::Settings;

use crate::collect::{self, Target};
use crate::input::InputPath;
use crate::plan::TOKEN;
use crate::report::ReportFormat;
use call::{Call, Purpose};
use layers::Layers;
use settings::{LogFormat, ReportFile};

/// What the user asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Invocation {
    /// Fetch.
    Fetch(Box<Settings>),
    /// Measure which concurrency gives the best throughput.
    Tune(Box<Tune>),
    /// Put the parts of a sharded job together.
    Merge(Box<Settings>),
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

/// Reads what the user asked for. The first of `args` is the program's name; relative paths count
/// from `cwd`.
///
/// # Errors
/// An invalid setting in any of the three places; see `ConfigError`.
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
        cli::Asked::Merge(line) => {
            Ok(Invocation::Merge(Box::new(settings(line, env, (cwd, Purpose::Merge))?.0)))
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

/// The report file of `tune`. A measurement is no state that a monitoring system could watch, so Prometheus is refused.
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
    objects::settle(&mut settings, &layers, env)?;
    shard::settle(&mut settings, &layers, (env, purpose))?;
    if let (Purpose::Merge, Target::File(output), Some(run)) =
        (purpose, &settings.output.target, &settings.run.run_id)
    {
        settings.input_path = InputPath::File(collect::parts_folder(output, run));
    }
    checks::check(&settings, &layers, &call)?;
    settings.warnings = env.misspelt();
    if settings.request.proxy.is_none() && settings.demo.is_none() {
        settings.warnings.extend(env.unused_proxies());
    }
    if settings.token.is_some() && env.get(TOKEN).is_some() {
        let warning =
            format!("the environment variable {TOKEN} is not used: a token is fetched for ${{{TOKEN}}}");
        settings.warnings.push(warning);
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
