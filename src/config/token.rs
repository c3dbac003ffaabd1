//! The settings of a token that is fetched: built from their options, and checked against each other.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::config::error::ConfigError;
use crate::config::layers::Layers;
use crate::config::options::{
    CLIENT_ID, CLIENT_SECRET, NULL_ON, REFUSED_IF, RETRY_ON, SCOPE, Setting, TOKEN_COMMAND, TOKEN_FIELD,
    TOKEN_FILE, TOKEN_GRANT, TOKEN_ON, TOKEN_URL,
};
use crate::config::origin::Origin;
use crate::config::refuse::refuse;
use crate::fetch::TokenGrant;
use crate::model::StatusSet;
use crate::plan::{TokenPlace, TokenRequestTemplate, TokenTemplate};

/// How a token is had, beside what the request says of it.
#[derive(Clone)]
pub struct TokenOptions {
    /// The command that prints it; none: it comes from an endpoint.
    pub(crate) command: Option<SecretString>,
    /// The grant of the endpoint.
    pub(crate) grant: TokenGrant,
    /// Where a refresh token is kept.
    pub(crate) file: Option<PathBuf>,
    /// Statuses by which the API refuses a token.
    pub(crate) refused_on: StatusSet,
}

/// Shows no command: it may hold a secret.
impl fmt::Debug for TokenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, grant, file, refused_on } = self;
        write!(f, "TokenOptions({}, {grant}, {file:?}, {refused_on})", command.is_some())
    }
}

/// None: no token is fetched.
pub(super) fn options(layers: &Layers) -> Result<Option<TokenOptions>, ConfigError> {
    let command = layers.get(&TOKEN_COMMAND)?;
    if command.is_none() && layers.get(&TOKEN_URL)?.is_none() {
        return Ok(None);
    }
    Ok(Some(TokenOptions {
        command: command.map(Into::into),
        grant: layers.get(&TOKEN_GRANT)?,
        file: layers.get(&TOKEN_FILE)?,
        refused_on: layers.get(&TOKEN_ON)?,
    }))
}

/// What the request says of a token.
pub(super) fn template(layers: &Layers) -> Result<Option<TokenTemplate>, ConfigError> {
    let url = layers.get(&TOKEN_URL)?;
    if url.is_none() && layers.get(&TOKEN_COMMAND)?.is_none() {
        return Ok(None);
    }
    let request = match url {
        None => None,
        Some(url) => Some(TokenRequestTemplate {
            url,
            client_id: layers.get(&CLIENT_ID)?,
            client_secret: layers.get(&CLIENT_SECRET)?,
            scope: layers.get(&SCOPE)?,
            fields: layers.get(&TOKEN_FIELD)?,
        }),
    };
    let command = layers.get(&TOKEN_COMMAND)?;
    Ok(Some(TokenTemplate { place: TokenPlace::random(), request, command }))
}

/// Refuses settings of a token that contradict each other, or that say nothing. The config file may hold them for runs
/// that fetch a token.
pub(super) fn check(options: Option<&TokenOptions>, layers: &Layers) -> Result<(), ConfigError> {
    let is_set = |setting: &Setting| layers.origin(setting).is_of_this_run();
    let of_endpoint: [&Setting; 6] =
        [&TOKEN_GRANT, &CLIENT_ID, &CLIENT_SECRET, &SCOPE, &TOKEN_FIELD, &TOKEN_FILE];
    let has_url = layers.origin(&TOKEN_URL) != Origin::Default;
    if let Some(setting) = of_endpoint.into_iter().find(|setting| is_set(setting) && !has_url) {
        return Err(refuse(
            layers,
            [setting, &TOKEN_URL],
            format!("it means nothing without {TOKEN_URL}: no token is fetched from an endpoint"),
            &format!("add {TOKEN_URL} with the address of the token endpoint, or leave it out"),
        ));
    }
    let Some(options) = options else {
        if is_set(&TOKEN_ON) {
            return Err(refuse(
                layers,
                [&TOKEN_ON, &TOKEN_ON],
                "no token is fetched, so that there is none to renew".into(),
                &format!("add {TOKEN_COMMAND} or {TOKEN_URL}, or leave it out"),
            ));
        }
        return Ok(());
    };
    if options.command.is_some() && has_url {
        return Err(refuse(
            layers,
            [&TOKEN_COMMAND, &TOKEN_URL],
            format!("a token has one source, and {TOKEN_URL} is a second one"),
            "leave one of the two out",
        ));
    }
    endpoint(options, layers)?;
    statuses(options, layers)
}

fn endpoint(options: &TokenOptions, layers: &Layers) -> Result<(), ConfigError> {
    if options.command.is_some() {
        return Ok(());
    }
    if layers.get(&CLIENT_SECRET)?.is_some() && layers.get(&CLIENT_ID)?.is_none() {
        return Err(refuse(
            layers,
            [&CLIENT_SECRET, &CLIENT_ID],
            "a secret says nothing without the id of its client".into(),
            &format!("add {CLIENT_ID}"),
        ));
    }
    let fields = layers.get(&TOKEN_FIELD)?;
    let has =
        |name: &str| fields.iter().any(|field| field.split_once('=').is_some_and(|(given, _)| given == name));
    if options.file.is_some() && options.grant != TokenGrant::RefreshToken {
        return Err(refuse(
            layers,
            [&TOKEN_FILE, &TOKEN_GRANT],
            format!("it keeps refresh tokens, and {TOKEN_GRANT} is {}", options.grant),
            &format!("add {TOKEN_GRANT} refresh_token, or leave it out"),
        ));
    }
    let needed: &[&str] = match options.grant {
        _ if has("grant_type") => &[],
        TokenGrant::ClientCredentials => &[],
        TokenGrant::RefreshToken if options.file.is_some() => &[],
        TokenGrant::RefreshToken => &["refresh_token"],
        TokenGrant::Password => &["username", "password"],
    };
    let Some(missing) = needed.iter().find(|name| !has(name)) else { return Ok(()) };
    Err(refuse(
        layers,
        [&TOKEN_GRANT, &TOKEN_FIELD],
        format!("the grant {} needs the field {missing}", options.grant),
        &format!("add {TOKEN_FIELD} '{missing}=${{{}}}'", missing.to_uppercase()),
    ))
}

/// A status that renews the token can be neither stored as `null` nor retried with the old one.
fn statuses(options: &TokenOptions, layers: &Layers) -> Result<(), ConfigError> {
    let nulls = layers.get(&NULL_ON)?.statuses;
    let retried = layers.get(&RETRY_ON)?;
    let others: [(&Setting, &str, StatusSet); 2] =
        [(&NULL_ON, "be stored as null", nulls), (&RETRY_ON, "be retried as well", retried)];
    if let Some(low @ ..300) = options.refused_on.lowest() {
        return Err(refuse(
            layers,
            [&TOKEN_ON, &TOKEN_ON],
            format!("{low} is a good answer, and refuses no token"),
            &format!("a filter on the body tells a refusal that comes with it: {REFUSED_IF}"),
        ));
    }
    for (setting, what, set) in others {
        if let Some(both) = set.common(&options.refused_on) {
            let named = if layers.origin(setting) == Origin::Default { &TOKEN_ON.setting } else { setting };
            return Err(refuse(
                layers,
                [named, &TOKEN_ON],
                format!("status {both} refuses the token, which is then renewed: it cannot {what}"),
                &format!("leave {both} out"),
            ));
        }
    }
    Ok(())
}
