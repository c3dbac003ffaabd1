//! What goes wrong with a proxy before it leads to the origin.

use std::error::Error;
use std::fmt;

use super::super::proxy::Proxy;
use super::ConnectError;
use crate::model::fault::ProxyProblem;

/// Why a proxy gave no connection to the origin. `Display` names the proxy.
#[derive(Debug)]
pub(in super::super) struct ProxyError {
    pub(in super::super) problem: ProxyProblem,
    text: String,
    source: Option<ConnectError>,
}

impl ProxyError {
    /// The proxy reported it, or broke the rules of its protocol.
    pub(super) fn new(problem: ProxyProblem, text: String) -> Self {
        Self { problem, text, source: None }
    }

    /// The connection to the proxy was lost.
    pub(super) fn lost(proxy: &Proxy, error: std::io::Error) -> Self {
        let text = format!("the proxy {proxy} ended the connection before it led to the server");
        Self { problem: ProxyProblem::NoConnection, text, source: Some(error.into()) }
    }

    /// No connection to the proxy was opened.
    pub(super) fn unreachable(proxy: &Proxy, source: ConnectError) -> Self {
        let text = format!("the proxy {proxy} cannot be reached");
        Self { problem: ProxyProblem::NoConnection, text, source: Some(source) }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for ProxyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}
