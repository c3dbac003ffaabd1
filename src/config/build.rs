//! From words to [`Settings`]: every word is given its meaning here, once, wherever it came from.

use std::ffi::OsString;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::Method;

use crate::config::Purpose;
use crate::config::error::ConfigError;
use crate::config::layers::{Layers, Origin, utf8, wrong};
use crate::config::redacted;
use crate::config::settings::{
    Demo, Header, Input, InputPath, Output, Pace, ReportFile, Request, Response, Retry, Run, Secret,
    Settings, Target,
};
use crate::config::values::{self, or_none};
use crate::input::InputSettings;

/// What the command line alone says.
pub(super) struct Call<'a> {
    /// INPUT.
    pub input: OsString,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `-q`.
    pub quiet: bool,
    /// The folder that relative paths count from.
    pub cwd: &'a Path,
    /// What the settings are for.
    pub purpose: Purpose,
}

/// Gives every word its meaning. Whether the settings go together is looked at afterwards.
pub(super) fn settings(layers: &Layers, call: &Call<'_>) -> Result<Settings, ConfigError> {
    let input = input(layers, &call.input)?;
    let demo = demo(layers)?;
    if demo.is_none() && layers.text("url")?.is_none() {
        let output_missing = call.purpose == Purpose::Fetch && layers.path("output")?.is_none();
        let reading = InputSettings {
            key: input.key,
            delimiter: input.delimiter,
            headers: !input.no_headers,
            ..InputSettings::default()
        };
        let command = if call.purpose == Purpose::Tune { "skufetch tune" } else { "skufetch" };
        let bare = !layers.any_option();
        return Err(ConfigError::MissingUrl { input: input.path, reading, output_missing, bare, command });
    }
    Ok(Settings {
        input,
        request: request(layers, call.cwd)?,
        pace: pace(layers)?,
        retry: retry(layers)?,
        response: response(layers)?,
        output: output(layers, call.purpose)?,
        run: run(layers, call)?,
        demo,
        warnings: Vec::new(),
        redacted: redacted::settings(layers, demo.is_some()),
        origins: layers.origins(),
    })
}

fn input(layers: &Layers, path: &OsString) -> Result<Input, ConfigError> {
    let path = match path.to_str() {
        Some("") => {
            return Err(ConfigError::CommandLine {
                message: "INPUT is empty".into(),
                hint: Some("name a CSV file, or - for standard input".into()),
            });
        }
        Some("-") => InputPath::Stdin,
        _ => InputPath::File(path.into()),
    };
    Ok(Input {
        path,
        key: layers.text("key")?.map(str::to_owned),
        delimiter: layers.parse("delimiter", values::delimiter)?,
        no_headers: layers.flag("no-headers")?,
        limit: layers.parse("limit", values::limit)?,
    })
}

fn request(layers: &Layers, cwd: &Path) -> Result<Request, ConfigError> {
    let body = body(layers, cwd)?;
    let usual = if body.is_some() { Method::POST } else { Method::GET };
    let method = layers.text("method")?.map(values::method).transpose();
    Ok(Request {
        url: secret(layers, "url")?,
        method: method.map_err(|why| value("method", layers, why))?.unwrap_or(usual),
        headers: headers(layers)?,
        body,
        body_escape: layers
            .text("body-escape")?
            .is_some()
            .then(|| choice(layers, "body-escape"))
            .transpose()?,
        timeout: layers.parse("timeout", values::timeout)?,
        connect_timeout: layers.parse("connect-timeout", values::timeout)?,
        follow: choice(layers, "follow")?,
        ca_cert: layers.path("ca-cert")?,
        proxy: secret(layers, "proxy")?,
        insecure: layers.flag("insecure")?,
    })
}

fn headers(layers: &Layers) -> Result<Vec<Header>, ConfigError> {
    let header = |word| {
        let (name, value) = values::header(utf8(word)?).map_err(|why| wrong(word, why))?;
        Ok(Header { name, value: Secret::new(value), origin: word.origin.clone() })
    };
    layers.words("header").iter().map(header).collect()
}

/// The body, or the file it names. The file's name counts from the current folder, wherever the
/// setting stands: a path means the same in all three places.
fn body(layers: &Layers, cwd: &Path) -> Result<Option<Secret>, ConfigError> {
    let Some(text) = layers.text("body")? else { return Ok(None) };
    let Some(name) = text.strip_prefix('@') else { return Ok(Some(Secret::new(text))) };
    if matches!(name, "" | "-") {
        return Err(value("body", layers, "write @FILE with the name of a file".into()));
    }
    let read = fs::read(cwd.join(name)).map_err(|error| error.to_string());
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not valid UTF-8".into()));
    text.map(|text| Some(Secret::new(text)))
        .map_err(|why| value("body", layers, format!("the file {name} cannot be read: {why}")))
}

fn pace(layers: &Layers) -> Result<Pace, ConfigError> {
    Ok(Pace {
        concurrency: choice(layers, "concurrency")?,
        rate: layers.parse("rate", or_none(values::rate))?,
        burst: layers.parse("burst", values::count::<NonZeroBurst>)?.0,
        max_time: layers.parse("max-time", or_none(values::timeout))?,
    })
}

/// A [`NonZeroU32`] that [`values::count`] can make.
struct NonZeroBurst(NonZeroU32);

impl TryFrom<u64> for NonZeroBurst {
    type Error = ();

    fn try_from(number: u64) -> Result<Self, ()> {
        u32::try_from(number).ok().and_then(NonZeroU32::new).map(Self).ok_or(())
    }
}

fn retry(layers: &Layers) -> Result<Retry, ConfigError> {
    Ok(Retry {
        retries: layers.parse("retries", values::retries)?,
        retry_on: layers.parse("retry-on", values::retry_on)?,
        max_retry_after: layers.parse("max-retry-after", values::duration)?,
    })
}

fn response(layers: &Layers) -> Result<Response, ConfigError> {
    Ok(Response {
        select: layers.parse("select", |text| match text.trim() {
            "" => Err("the filter is empty: write . to keep the body as it is".into()),
            _ => Ok(text.to_owned()),
        })?,
        body_as: choice(layers, "body-as")?,
        null_on: layers.parse("null-on", values::statuses)?,
        max_body: layers.parse("max-body", values::size)?,
    })
}

fn output(layers: &Layers, purpose: Purpose) -> Result<Output, ConfigError> {
    let nowhere =
        || if purpose == Purpose::Tune { Ok(PathBuf::from("-")) } else { Err(ConfigError::MissingOutput) };
    let path = layers.path("output")?.map_or_else(nowhere, Ok)?;
    let named = layers.path("failed")?;
    let changes = layers.path("changes")?;
    for (name, path) in [("output", Some(&path)), ("failed", named.as_ref()), ("changes", changes.as_ref())] {
        if path.is_some_and(|path| ends_in_no_name(path)) {
            return Err(value(name, layers, "this is a folder: write the name of a file".into()));
        }
    }
    if named.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        return Err(value("failed", layers, "failed rows go to a file: standard output carries data".into()));
    }
    if changes.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        return Err(value("changes", layers, "changes go to a file: standard output carries data".into()));
    }
    let (path, failed) = if path.as_os_str() == "-" {
        (Target::Stdout, named)
    } else {
        let failed = named.unwrap_or_else(|| beside(&path));
        (Target::File(path), Some(failed))
    };
    Ok(Output {
        path,
        format: choice(layers, "format")?,
        shape: choice(layers, "shape")?,
        merge: layers.flag("merge")?,
        prune: layers.flag("prune")?,
        changes,
        guard: choice(layers, "guard")?,
        failed,
        min_success: choice(layers, "min-success")?,
    })
}

fn ends_in_no_name(path: &Path) -> bool {
    path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// `out.failed.csv` beside `out.json`.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.file_stem().unwrap_or_default().to_owned();
    name.push(".failed.csv");
    output.with_file_name(name)
}

fn run(layers: &Layers, call: &Call<'_>) -> Result<Run, ConfigError> {
    Ok(Run {
        fresh: layers.flag("fresh")?,
        max_age: layers.parse("max-age", or_none(values::duration))?,
        lock_wait: layers.parse("lock-wait", values::duration)?,
        dry_run: layers.flag("dry-run")?,
        progress: choice(layers, "progress")?,
        report: report(layers)?,
        log_format: choice(layers, "log-format")?,
        verbose: call.verbose,
        quiet: call.quiet,
    })
}

fn report(layers: &Layers) -> Result<Option<ReportFile>, ConfigError> {
    let file = layers.path("report")?.map(values::report_file).transpose();
    file.map_err(|why| value("report", layers, why))
}

#[cfg(feature = "demo")]
fn demo(layers: &Layers) -> Result<Option<Demo>, ConfigError> {
    let demo = Demo {
        latency: layers.parse("demo-latency", values::duration)?,
        failures: choice(layers, "demo-failures")?,
        rate: layers.parse("demo-rate", or_none(values::rate))?,
    };
    Ok(layers.flag("demo")?.then_some(demo))
}

/// A build without the built-in API has no word for it.
#[cfg(not(feature = "demo"))]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as with the feature")]
fn demo(_: &Layers) -> Result<Option<Demo>, ConfigError> {
    Ok(None)
}

fn choice<T: FromStr<Err: ToString>>(layers: &Layers, name: &str) -> Result<T, ConfigError> {
    layers.parse(name, |text| text.parse().map_err(|why: T::Err| why.to_string()))
}

fn secret(layers: &Layers, name: &str) -> Result<Option<Secret>, ConfigError> {
    Ok(layers.text(name)?.map(Secret::new))
}

fn value(name: &str, layers: &Layers, why: String) -> ConfigError {
    let origin: Origin = layers.origin(name);
    ConfigError::Value { origin, why }
}
