//! From [`Settings`] to what the modules take.

use std::sync::Arc;
use std::time::Duration;

use super::command_error::{self, CommandError};
use crate::collect::{JobIdentity, Provenance, Recovered};
use crate::config::Settings;
use crate::config::options::{CA_CERT, FRESH, MAX_AGE, NO_HEADERS, PRUNE};
use crate::config::settings::Header;
use crate::fetch::{OnConnected, ResponseSettings, Select, TransportSettings};
use crate::input::Columns;
use crate::limit::Concurrency;
use crate::model::{Mask, display_safe};
use crate::plan::{BoundTemplate, RequestSettings, RequestTemplate};
use crate::report::ReportSettings;
use crate::report::format::{self, counted};

/// Characters of a name in a warning.
const NAME_SHOWN: usize = 40;

/// A list without a header line would lose its first SKU to one.
pub(super) fn headless(settings: &Settings, columns: &Columns) -> Option<String> {
    let [name] = columns.names.as_slice() else { return None };
    let (digits, letters) = (
        name.chars().filter(char::is_ascii_digit).count(),
        name.chars().filter(|c| c.is_alphabetic()).count(),
    );
    let is_like_a_sku = digits >= 3 && digits > letters;
    (columns.headers && settings.input.key.is_none() && is_like_a_sku).then(|| {
        format!(
            "the first line, `{}`, was taken for the header and is not asked for; if it is a SKU, say {NO_HEADERS}",
            display_safe(name, NAME_SHOWN)
        )
    })
}

/// Warnings about the answers in the journal of an interrupted run: how many are older than `--max-age`, how many
/// have a status that this run does not keep, and how old the oldest of the others is.
pub(super) fn about_the_journal(settings: &Settings, recovered: &Recovered) -> Vec<String> {
    const OLD: Duration = Duration::from_hours(24);
    let Recovered { expired, unwanted, oldest, .. } = *recovered;
    let mut notes = Vec::new();
    let again = |answers: u64, why: &str| {
        let answers = counted(answers, "answer", "answers");
        format!("the journal of the interrupted run has {answers} {why}: asked for again")
    };
    if let (1.., Some(age)) = (expired, settings.output.max_age) {
        notes.push(again(expired, &format!("older than {MAX_AGE} {}", humantime::format_duration(age))));
    }
    if unwanted > 0 {
        notes.push(again(unwanted, "with a status that this run does not keep"));
    }
    if let Some(age) = oldest.filter(|oldest| *oldest > OLD) {
        notes.push(format!(
            "the oldest answer in the journal of the interrupted run is {} old; {MAX_AGE} 20h requests older ones \
             again, {FRESH} all",
            format::age(age)
        ));
    }
    notes
}

/// With a failure file as input, `--prune` would take out every SKU that had not failed.
///
/// # Errors
/// `--prune` is given and the input is a failure file.
pub(super) fn check_prune(settings: &Settings, is_failure_file: bool) -> Result<(), CommandError> {
    if !(is_failure_file && settings.output.prune) {
        return Ok(());
    }
    let why = format!(
        "{} is a failure file: every SKU that did not fail would be taken out of the output",
        settings.input_path
    );
    Err(CommandError::of_setting(settings, &PRUNE, &why).with_hint(format!("leave {PRUNE} out")))
}

pub(super) fn request(settings: &Settings, url: &str) -> RequestSettings {
    let line = |header: &Header| format!("{}: {}", header.name, header.value.reveal());
    RequestSettings {
        url: url.to_owned(),
        identity_url: None,
        method: Some(settings.request.method.clone()),
        headers: settings.request.headers.iter().map(line).collect(),
        body: settings.request.body.as_ref().map(|body| body.reveal().to_owned()),
        body_escape: settings.request.body_escape,
        proxy: settings.request.proxy.as_ref().map(|proxy| proxy.reveal().to_owned()),
    }
}

pub(super) fn response(settings: &Settings, select: Select, mask: Mask) -> ResponseSettings {
    ResponseSettings {
        select,
        body_as: settings.response.body_as,
        null_on: settings.output.null_on.clone(),
        retry_on: settings.output.retry_on.clone(),
        max_body: settings.response.max_body,
        mask,
    }
}

pub(super) fn report(settings: &Settings, terminal: crate::report::Terminal) -> ReportSettings {
    ReportSettings {
        progress: settings.run.progress,
        log_format: settings.run.log_format,
        verbose: settings.run.verbose,
        quiet: settings.run.quiet,
        terminal,
    }
}

/// Reads the certificate file. `on_connected` is called for each connection that is established.
pub(super) fn transport(
    settings: &Settings,
    template: &RequestTemplate,
    on_connected: Arc<dyn Fn() + Send + Sync>,
) -> Result<TransportSettings, CommandError> {
    let ca_cert = match &settings.request.ca_cert {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            CommandError::of_setting(settings, &CA_CERT, &format!("cannot read {}: {error}", path.display()))
        })?),
    };
    Ok(TransportSettings {
        timeout: settings.request.timeout,
        connect_timeout: settings.request.connect_timeout,
        ca_cert,
        proxy: template.proxy().cloned(),
        insecure: settings.request.insecure,
        max_body: settings.response.max_body,
        concurrency: ceiling(settings.pace.concurrency),
        headers: template.constant_headers().clone(),
        origin: template.origin().to_owned(),
        tls: template.origin().starts_with("https:"),
        on_connected: OnConnected(on_connected),
    })
}

/// The most attempts that may ever be in flight.
pub(super) fn ceiling(concurrency: Concurrency) -> usize {
    concurrency.ceiling().get()
}

pub(super) fn select(settings: &Settings) -> Result<Select, CommandError> {
    Select::compile(&settings.response.select).map_err(|error| command_error::of_select(&error, settings))
}

/// What makes a journal belong to this job: everything that decides what an answer looks like in it.
pub(super) fn identity(settings: &Settings, request: &BoundTemplate) -> JobIdentity {
    let plan = request.identity();
    let mask = request.mask();
    let response = &settings.response;
    let mut digest_input = plan.digest.to_le_bytes().to_vec();
    for part in [response.select.as_str(), &response.body_as.to_string(), &settings.output.shape.to_string()]
    {
        digest_input.extend((part.len() as u64).to_le_bytes());
        digest_input.extend(part.as_bytes());
    }
    let description = serde_json::json!({
        "request": mask.apply(&plan.shown),
        "key": settings.input.key,
        "select": mask.apply(&response.select),
        "body_as": response.body_as.to_string(),
        "shape": settings.output.shape.to_string(),
    });
    let provenance = Provenance {
        request: format!("{:032x}", plan.digest),
        select: mask.apply(&response.select).into_owned(),
        body_as: response.body_as.to_string(),
    };
    JobIdentity { digest_input, description, provenance }
}
