//! Arguments of the modules that are no struct of [`Settings`]: what combines several of them, or is known only when a
//! run begins.

use std::path::PathBuf;
use std::sync::Arc;

use super::command_error::{self, CommandError};
use crate::collect::{JobIdentity, Provenance};
use crate::config::options::{CA_CERT, PROXY};
use crate::config::{Environment, Settings};
use crate::fetch::{
    Filters, NullOn, OnConnected, PageSettings, Proxy, ProxyRules, ProxySource, RowCells, RowUse,
    TransportSettings,
};
use crate::input::Columns;
use crate::model::{Mask, option};
use crate::plan::{BoundTemplate, RequestTemplate};

/// Reads the certificate file. `on_connected` is called for each connection that is established.
///
/// # Errors
/// The file cannot be read.
pub(super) fn transport(
    settings: &Settings,
    template: &RequestTemplate,
    (env, on_connected): (&Environment, Arc<dyn Fn() + Send + Sync>),
) -> Result<TransportSettings, CommandError> {
    let proxies = match template.proxy() {
        Some(address) => {
            ProxyRules::of_setting(address).map_err(|error| command_error::of_transport(&error, settings))?
        }
        // It is on this machine.
        None if settings.demo.is_some() => ProxyRules::default(),
        None => ProxyRules::of_variables(|name| env.get(name)),
    };
    Ok(TransportSettings {
        connection: settings.connection.clone(),
        ca_cert_pem: ca_cert_pem(settings)?,
        proxies,
        max_body: settings.response.max_body,
        concurrency: settings.pace.concurrency.ceiling().get(),
        headers: template.constant_headers().clone(),
        origin: template.origin().to_owned(),
        tls: template.origin().starts_with("https:"),
        on_connected: OnConnected(on_connected),
    })
}

/// Reads the certificate file, if one is named.
///
/// # Errors
/// It cannot be read.
pub(super) fn ca_cert_pem(settings: &Settings) -> Result<Option<Vec<u8>>, CommandError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| {
            CommandError::of_setting(settings, &CA_CERT, &format!("cannot read {}: {error}", path.display()))
        })
    };
    settings.connection.ca_cert.as_ref().map(read).transpose()
}

/// A proxy as messages name it, with what named it: `http://proxy:3128 (HTTPS_PROXY)`.
pub(super) fn shown_proxy(proxy: &Proxy, settings: &Settings, mask: &Mask) -> String {
    let source = match proxy.source() {
        ProxySource::Setting => settings.origin(&PROXY).to_string(),
        ProxySource::Variable(name) => name.into(),
        ProxySource::System => "the system's settings".into(),
    };
    format!("{} ({source})", mask.apply(&proxy.to_string()))
}

/// Compiles the jq filters.
///
/// # Errors
/// Text that is no filter.
pub(super) fn filters(settings: &Settings) -> Result<Filters, CommandError> {
    Filters::compile(&settings.response).map_err(|fault| command_error::of_filter(&fault, settings))
}

/// The places of the columns that the filters use.
///
/// # Errors
/// A filter names a column that the input does not have.
pub(super) fn columns_of_filters(settings: &Settings, columns: &Columns) -> Result<Vec<usize>, CommandError> {
    let mut row = RowUse::Nothing;
    for (option, used) in settings.response.variable_uses() {
        if let Some(name) = used.essential.iter().find(|name| !columns.names.contains(name)) {
            return Err(command_error::of_row_column((option, name), columns, settings));
        }
        row = row.with(used.row);
    }
    Ok(RowCells::of(&row, &columns.names).iter().map(|(_, column)| column).collect())
}

/// What makes a journal belong to this job: everything that decides what an answer looks like in it.
pub(super) fn identity(settings: &Settings, request: &BoundTemplate) -> JobIdentity {
    let plan = request.identity();
    let mask = request.mask();
    let response = &settings.response;
    let mut digest_input = plan.digest.to_le_bytes().to_vec();
    let mut add = |part: &str| {
        digest_input.extend((part.len() as u64).to_le_bytes());
        digest_input.extend(part.as_bytes());
    };
    for part in [response.select.as_str(), &response.body_as.to_string(), &settings.output.shape.to_string()]
    {
        add(part);
    }
    // Each of them decides which answers are kept. The journal has bodies after the selection, so that they cannot be
    // judged again.
    let mut meaning = Vec::new();
    let bulk = response.bulk.given().filter(|_| request.bulk().is_some());
    let missing = response.null_on.missing.then_some((option::NULL_ON, NullOn::MISSING));
    for (option, text) in response.meaning.given().chain(bulk).chain(missing) {
        add(option);
        add(text);
        meaning.push(format!("{option} {}", mask.apply(text)));
    }
    // What the answer of a key is made of.
    let mut pages = Vec::new();
    for (option, text) in response.pages.iter().flat_map(PageSettings::given) {
        add(option);
        add(text);
        pages.push(format!("{option} {}", mask.apply(text)));
    }
    let mut description = serde_json::json!({
        "request": mask.apply(&plan.shown),
        "key": settings.input.key,
        "select": mask.apply(&response.select),
        "body_as": response.body_as.to_string(),
        "shape": settings.output.shape.to_string(),
    });
    if !meaning.is_empty() {
        description["meaning"] = meaning.clone().into();
    }
    if !pages.is_empty() {
        description["pages"] = pages.clone().into();
    }
    let provenance = Provenance {
        request: format!("{:032x}", plan.digest),
        select: mask.apply(&response.select).into_owned(),
        body_as: response.body_as.to_string(),
        meaning: meaning.join(" "),
        pages: pages.join(" "),
        columns: mask.apply(&settings.output.columns_as_written().unwrap_or_default()).into_owned(),
    };
    JobIdentity { digest_input, description, provenance }
}
