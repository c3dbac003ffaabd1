//! Which template of a request is meant.

use std::fmt;

/// Which template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateKind {
    /// `--url`.
    Url,
    /// A `--header` of this name.
    Header(String),
    /// `--body`.
    Body,
    /// `--proxy`.
    Proxy,
    /// `--rate-store`.
    RateStore,
    /// `--item`.
    Item,
    /// `--token-url`.
    TokenUrl,
    /// `--client-id`.
    ClientId,
    /// `--client-secret`.
    ClientSecret,
    /// `--scope`.
    Scope,
    /// A `--token-field` of this name.
    TokenField(String),
}

impl TemplateKind {
    /// Whether it is a part of the request for a token.
    pub(super) fn is_of_token(&self) -> bool {
        matches!(
            self,
            Self::TokenUrl | Self::ClientId | Self::ClientSecret | Self::Scope | Self::TokenField(_)
        )
    }
}

impl fmt::Display for TemplateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the URL template"),
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Body => f.write_str("the body template"),
            Self::Proxy => f.write_str("the address of the proxy"),
            Self::RateStore => f.write_str("the address of the rate store"),
            Self::Item => f.write_str("the template of the item"),
            Self::TokenUrl => f.write_str("the address of the token endpoint"),
            Self::ClientId => f.write_str("the client id"),
            Self::ClientSecret => f.write_str("the client secret"),
            Self::Scope => f.write_str("the scope"),
            Self::TokenField(name) => write!(f, "the token field {name}"),
        }
    }
}
