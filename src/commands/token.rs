//! The token that is fetched for the requests, built from the settings.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::command_error::CommandError;
use crate::collect::Document;
use crate::config::Settings;
use crate::config::token::TokenOptions;
use crate::fetch::{RefreshTokenStore, TokenEndpoint, TokenSettings, TokenSource};
use crate::plan::BoundTemplate;

/// A file that keeps a refresh token.
struct RefreshTokenFile(Document);

impl RefreshTokenStore for RefreshTokenFile {
    fn read(&self) -> Option<SecretString> {
        let text = self.0.before()?;
        Some(text.trim()).filter(|token| !token.is_empty()).map(Into::into)
    }

    fn write(&self, token: &SecretString) -> Result<(), String> {
        let line = format!("{}\n", token.expose_secret());
        self.0.write(line.as_bytes()).map(drop).map_err(|error| error.to_string())
    }
}

/// How a token is fetched; none: none is.
///
/// # Errors
/// The file of refresh tokens cannot be written.
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
