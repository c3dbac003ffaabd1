//! The token that is fetched for the requests, built from the settings.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::command_error::CommandError;
use crate::collect::Document;
use crate::config::Settings;
use crate::config::options::{TOKEN_FIELD, TOKEN_FILE};
use crate::config::token::TokenOptions;
use crate::fetch::{RefreshTokenStore, TokenEndpoint, TokenSettings, TokenSource};
use crate::plan::{BoundTemplate, TokenRequestParts};

/// A file that keeps a refresh token.
struct RefreshTokenFile(Document);

impl RefreshTokenStore for RefreshTokenFile {
    fn read(&self) -> Option<SecretString> {
        let text = self.0.before()?;
        let token = text.trim_start_matches('\u{feff}').trim();
        Some(token).filter(|token| !token.is_empty()).map(Into::into)
    }

    fn write(&self, token: &SecretString) -> Result<(), String> {
        let line = format!("{}\n", token.expose_secret());
        self.0.write(line.as_bytes()).map(drop).map_err(|error| error.to_string())
    }
}

/// Bytes of the longest refresh token that is kept in a file.
const LONGEST_TOKEN: usize = 16 << 10;

/// Refuses a file that has something else than a token, which would be overwritten and sent to the endpoint; and one that
/// is not there, where there is no other refresh token either.
///
/// # Errors
/// Such a file.
fn check_token_file(
    settings: &Settings,
    file: &Document,
    parts: &TokenRequestParts,
) -> Result<(), CommandError> {
    let text = file.before().unwrap_or_default();
    let token = text.trim_start_matches('\u{feff}').trim();
    let is_token = token.len() <= LONGEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_token {
        let message = "the file has something else than a refresh token, which is one line without spaces";
        return Err(CommandError::of_setting(settings, &TOKEN_FILE, message)
            .with_hint("name a file of its own: it is overwritten with each new token"));
    }
    if token.is_empty() && !parts.fields.iter().any(|(name, _)| name == "refresh_token") {
        let message = "the file has no refresh token yet";
        return Err(CommandError::of_setting(settings, &TOKEN_FILE, message).with_hint(format!(
            "write the first one into it, or add {TOKEN_FIELD} 'refresh_token=${{REFRESH_TOKEN}}'"
        )));
    }
    Ok(())
}

/// How a token is fetched; none: none is.
///
/// # Errors
/// The file of refresh tokens cannot be written, or has none.
pub(super) fn settings(
    settings: &Settings,
    request: &BoundTemplate,
) -> Result<Option<TokenSettings>, CommandError> {
    let (Some(options), Some(in_request)) = (&settings.token, request.token_in_request()) else {
        return Ok(None);
    };
    let TokenOptions { command, grant, file, refused_on } = options;
    let source = match (command, request.template().token_request()) {
        (Some(command), _) => TokenSource::Command(command.clone()),
        (None, Some(parts)) => {
            let file = file.as_deref().map(Document::private_at).transpose()?;
            if let Some(file) = &file {
                check_token_file(settings, file, parts)?;
            }
            TokenSource::Endpoint(TokenEndpoint {
                url: parts.url.clone(),
                client: parts.client.clone(),
                grant: *grant,
                fields: parts.fields.clone(),
                refresh_tokens: file
                    .map(|file| Arc::new(RefreshTokenFile(file)) as Arc<dyn RefreshTokenStore>),
            })
        }
        (None, None) => return Ok(None),
    };
    let writer = Box::new(move |request: &_, token: &_| in_request.write(request, token));
    Ok(Some(TokenSettings { source, refused_on: refused_on.clone(), writer }))
}
