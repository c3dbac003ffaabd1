//! HTTP: one attempt in, one answer or one error out. Nothing else in the crate speaks it.
//!
//! Two kinds of clients send. A direct one carries what goes to the template's origin, through a proxy too, and to each of
//! the first other origins that redirects lead to; the general one (reqwest) carries what goes to further ones. How a
//! body is read and how an error is judged is the same for both.
//!
//! reqwest's own redirects, retries, decompression and timeouts are switched off: each of them would send or wait
//! without passing the gate, or keep half an answer. What they did is done, counted and tested in `fetch`.

mod body;
mod body_budget;
mod census;
mod client;
mod connect;
mod direct;
mod exchange;
mod general;
mod headers;
mod http1;
mod http2;
mod observed_io;
mod open_connections;
mod other_origins;
mod pausable_timeout;
#[cfg(test)]
mod pipe;
mod proxy;
mod resend;
mod send_error;
mod service_stream;
#[cfg(feature = "cloud")]
mod store_client;
mod trust;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Fault, Request, Size};
use bytes::Bytes;
use http::HeaderMap;
use url::Url;

pub(crate) use census::ServedConnections;
pub(crate) use client::Http;
pub(crate) use proxy::{
    PROXY_SCHEMES, Proxy, ProxyRules, ProxySource, is_proxy_of_environment, is_proxy_scheme,
};
pub(crate) use resend::{Resend, ResendBudget, Reuse};
pub(crate) use service_stream::ServiceConnector;
#[cfg(feature = "cloud")]
pub(crate) use store_client::store_client;

/// What the user chose for connections and attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Limit of one attempt, to the last byte of the body; at least a millisecond.
    pub timeout: Duration,
    /// Limit of opening one connection, TLS included; at least a millisecond.
    pub connect_timeout: Duration,
    /// A file of PEM certificates to trust beside the system's.
    pub ca_cert: Option<PathBuf>,
    /// Accept any certificate.
    pub insecure: bool,
    /// The versions of HTTP.
    pub http: HttpChoice,
}

/// Which versions of HTTP are spoken with the template's origin (`--http`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpChoice {
    /// HTTP/2 where the TLS handshake agrees on it, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone; without TLS by prior knowledge (RFC 9113, section 3.3).
    Http2,
}

impl FromStr for HttpChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "1.1" => Ok(Self::Http1),
            "2" => Ok(Self::Http2),
            _ => Err(format!("`{text}` is not a version of HTTP: 1.1, 2 or auto")),
        }
    }
}

impl fmt::Display for HttpChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Http1 => "1.1",
            Self::Http2 => "2",
        })
    }
}

/// How requests are sent and answers are read.
#[derive(Debug, Clone)]
pub(crate) struct TransportSettings {
    /// What the user chose.
    pub connection: ConnectionSettings,
    /// What the file of certificates holds.
    pub ca_cert_pem: Option<Vec<u8>>,
    /// The proxies.
    pub proxies: ProxyRules,
    /// Most bytes of a body, compressed or decoded.
    pub max_body: Size,
    /// Attempts in flight at most.
    pub concurrency: usize,
    /// Headers of every request that stays at the template's origin.
    pub headers: HeaderMap,
    /// The template's `scheme://host:port`.
    pub origin: String,
    /// Whether the template's scheme is https.
    pub tls: bool,
    /// Called for every connection whose handshakes are done.
    pub on_connected: OnConnected,
}

/// A callback for every new connection to the template's origin.
#[derive(Clone)]
pub(crate) struct OnConnected(pub Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for OnConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnConnected")
    }
}

/// What a server sent, its content codings not yet removed.
#[derive(Debug, Default)]
pub(crate) struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, encoded as `Content-Encoding` says.
    pub body: Bytes,
    /// Whether only the end of the connection marked the end of the body.
    pub may_be_cut: bool,
    /// The address that gave it, where redirects led to another one than was requested.
    pub redirected_to: Option<Box<Url>>,
}

/// Why an attempt brought no answer.
#[derive(Debug)]
pub(crate) struct SendError {
    /// What went wrong.
    pub fault: Fault,
    /// Whether sending it again costs the SKU no attempt.
    pub resend: Resend,
}

impl SendError {
    /// An error that counts as an attempt.
    fn counted(fault: Fault) -> Self {
        Self { fault, resend: Resend::Counted }
    }
}

/// Sends one request and reads one answer.
pub(crate) trait Transport: Send + Sync {
    /// Makes one attempt, bounded by the timeout.
    ///
    /// # Errors
    /// Any attempt that brought no whole answer.
    fn send(
        &self,
        request: &Request,
        reuse: Reuse,
    ) -> impl Future<Output = Result<RawAnswer, SendError>> + Send;

    /// Sockets may have changed since the attempts were polled last, and will not until the next call. Where it is never
    /// called, they may always have.
    fn begin_turn(&self) {}
}

/// Why the HTTP client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The PEM file holds no certificate that can be read.
    #[error("{0}")]
    CaCert(String),
    /// The address of the API cannot be read.
    #[error("not an address: {0}")]
    Origin(String),
    /// The proxy's address is not one.
    #[error("not a proxy address: {0}")]
    Proxy(String),
    /// The TLS library found no certificate authorities, or refuses for another reason.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}
