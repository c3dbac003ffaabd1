//! The settings of the request, as the user wrote them.

use std::fmt;

use http::Method;

use crate::plan::body_escape::BodyEscape;
use crate::plan::pack_template::BulkSettings;
use crate::plan::token_request::TokenTemplate;

/// The settings of the request, as text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestSettings {
    /// The URL template.
    pub url: String,
    /// The URL template for the identity of the job, if it differs from `url`: the address of the built-in
    /// API changes with every run.
    pub identity_url: Option<String>,
    /// The method. By default GET, or POST with a body.
    pub method: Option<Method>,
    /// `Name: value` lines; a value is a template.
    pub headers: Vec<String>,
    /// The body template itself, not the name of a file.
    pub body: Option<String>,
    /// How keys are packed into one request; none: each key has a request of its own.
    pub bulk: Option<BulkSettings>,
    /// How values are inserted into the body. By default as its `Content-Type` requires.
    pub body_escape: Option<BodyEscape>,
    /// What is fetched for `${TOKEN}`; none: it is a variable like any other.
    pub token: Option<TokenTemplate>,
    /// The address of a proxy, a template in which only `${NAME}` has a meaning.
    pub proxy: Option<String>,
    /// The address of the store that keeps a shared rate, the same kind of template.
    pub rate_store: Option<String>,
}

impl RequestSettings {
    /// The method of every request.
    #[must_use]
    pub fn method(&self) -> Method {
        let default = if self.body.is_some() { Method::POST } else { Method::GET };
        self.method.clone().unwrap_or(default)
    }
}

/// Shows only what is certainly not secret.
impl fmt::Debug for RequestSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSettings").field("method", &self.method).finish_non_exhaustive()
    }
}
