//! The token that `${TOKEN}` stands for: fetched before the first request, and renewed when it is old or refused.
//!
//! `held` decides when a token is replaced, without IO and clock; `keeper` does what it says, once for all jobs. A token
//! comes from a `command` or from an `endpoint`, and `reply` reads what either gives.

mod ask;
mod command;
mod endpoint;
mod held;
mod keeper;
mod reply;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;
use url::Url;

use crate::model::{Request, StatusSet};

pub(super) use ask::TokenRun;
pub(super) use held::{RefusalsOfToken, RenewalWait, UsedToken};
pub(super) use keeper::{ReadyToken, TokenKeeper};

/// How a token is had, and what shows that it is refused.
pub(crate) struct TokenSettings {
    /// Where it comes from.
    pub(crate) source: TokenSource,
    /// Statuses by which the API refuses a token.
    pub(crate) refused_on: StatusSet,
    /// Writes it into a request.
    pub(crate) writer: TokenWriter,
}

/// Where a token comes from.
pub(crate) enum TokenSource {
    /// The standard output of a command, run by `sh -c`.
    Command(SecretString),
    /// An OAuth 2 token endpoint (RFC 6749).
    Endpoint(TokenEndpoint),
}

impl TokenSource {
    /// Whether each request for a token may use up a refresh token.
    fn exchanges_refresh_tokens(&self) -> bool {
        matches!(self, Self::Endpoint(endpoint) if endpoint.grant == TokenGrant::RefreshToken)
    }
}

/// An OAuth 2 token endpoint and what is sent to it.
pub(crate) struct TokenEndpoint {
    /// Its address.
    pub(crate) url: Url,
    /// Client id and secret.
    pub(crate) client: Option<(SecretString, SecretString)>,
    /// How the client proves that it may have a token.
    pub(crate) grant: TokenGrant,
    /// Further fields of the form: their names and values.
    pub(crate) fields: Vec<(String, SecretString)>,
    /// Where the newest refresh token is kept from run to run.
    pub(crate) refresh_tokens: Option<Arc<dyn RefreshTokenStore>>,
}

/// A place that keeps one refresh token.
pub(crate) trait RefreshTokenStore: Send + Sync {
    /// The token that is there, if there is one.
    fn read(&self) -> Option<SecretString>;

    /// Replaces it.
    ///
    /// # Errors
    /// Why it cannot be kept, for a message.
    fn write(&self, token: &SecretString) -> Result<(), String>;
}

/// Puts a token into a request.
pub(crate) type TokenWriter = Box<dyn Fn(&Request, &SecretString) -> Result<Request, String> + Send + Sync>;

/// The grant of a token endpoint (RFC 6749, section 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TokenGrant {
    /// The credentials of the client itself.
    #[default]
    ClientCredentials,
    /// A refresh token.
    RefreshToken,
    /// The name and password of a user.
    Password,
}

impl FromStr for TokenGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "client_credentials" => Ok(Self::ClientCredentials),
            "refresh_token" => Ok(Self::RefreshToken),
            "password" => Ok(Self::Password),
            _ => Err(format!("`{text}` is not a grant: client_credentials, refresh_token or password")),
        }
    }
}

impl fmt::Display for TokenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
            Self::Password => "password",
        })
    }
}
