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
    /// `--item`.
    Item,
}

impl fmt::Display for TemplateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the URL template"),
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Body => f.write_str("the body template"),
            Self::Proxy => f.write_str("the address of the proxy"),
            Self::Item => f.write_str("the template of the item"),
        }
    }
}
