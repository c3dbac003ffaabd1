//! The straight way to the API: HTTP/1.1 on connections of our own, where no proxy stands between.
//!
//! reqwest serves any number of origins with layers for redirects, retries, proxies and pools; each of them is
//! off or decided beforehand here, and yet costs every request its share. One origin needs none: what is the
//! same for all requests is made once, and a connection is taken from a stack and laid back.
//! docs/performance.md has what that is worth. A server that prefers HTTP/2 is left to reqwest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use tower::ServiceExt;
use url::Position;

use super::broken::{Stage, broken_wire, no_connection};
use super::wire::{Exchange, Io, Kept, Wire};
use super::{Broken, Line, OnConnected, TransportSettings};
use crate::model::Request;

/// How the system watches connections, as reqwest has it: a peer that is gone is noticed within a minute.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// The way to the template's origin.
pub(super) struct Direct {
    origin: Uri,
    /// What goes with every request.
    headers: HeaderMap,
    tcp: HttpConnector,
    tls: Option<HttpsConnector<HttpConnector>>,
    prefers_http2: AtomicBool,
    kept: Kept,
    on_connected: OnConnected,
    connect_timeout: Duration,
}

impl Direct {
    /// The way, if there is one: no proxy, and a TLS configuration where the origin wants one.
    pub(super) fn new(
        settings: &TransportSettings,
        trust: Option<&Arc<rustls::ClientConfig>>,
        mut headers: HeaderMap,
    ) -> Option<Self> {
        let origin: Uri = settings.origin.parse().ok()?;
        let is_proxied = settings.proxy.is_some() || Matcher::from_system().intercept(&origin).is_some();
        if is_proxied || settings.tls && trust.is_none() {
            return None;
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, HeaderValue::from_str(origin.authority()?.as_str()).ok()?);
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(PROBE_EVERY));
        tcp.set_keepalive_interval(Some(PROBE_EVERY));
        tcp.set_keepalive_retries(Some(PROBES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        tcp.set_connect_timeout(Some(settings.connect_timeout));
        Some(Self {
            tls: trust.map(|trust| HttpsConnector::from((tcp.clone(), Arc::clone(trust)))),
            tcp,
            origin,
            headers,
            prefers_http2: AtomicBool::new(false),
            kept: Kept::none(),
            on_connected: settings.on_connected.clone(),
            connect_timeout: settings.connect_timeout,
        })
    }

    /// Whether a request can take this way: it stays at the origin, and its address names no user.
    pub(super) fn serves(&self, request: &Request) -> bool {
        let has_user_info = !request.url.username().is_empty() || request.url.password().is_some();
        !request.foreign && !has_user_info && !self.prefers_http2.load(Ordering::Relaxed)
    }

    /// Sends, and waits for the head of the answer; nothing when the server turns out to prefer HTTP/2.
    pub(super) async fn send(&self, request: &Request, line: Line) -> Result<Option<Exchange<'_>>, Broken> {
        let kept = match line {
            Line::Any => self.kept.take().await,
            Line::Fresh => None,
        };
        let wire = match kept {
            Some(wire) => wire,
            // Boxed, because it is seldom taken and would make every attempt's future as large as itself.
            None => match Box::pin(self.connect()).await? {
                Some(wire) => wire,
                None => return Ok(None),
            },
        };
        let outgoing = self.outgoing(request)?;
        wire.send(outgoing, &self.kept).await.map(Some).map_err(|error| broken_wire(&error, Stage::Head))
    }

    async fn connect(&self) -> Result<Option<Box<Wire>>, Broken> {
        let limit = self.connect_timeout;
        let connecting = tokio::time::timeout(limit, self.socket()).await;
        let io = connecting
            .map_err(|_| no_connection(None, limit))?
            .map_err(|error| no_connection(Some(error.as_ref()), limit))?;
        (self.on_connected.0)();
        if io.connected().is_negotiated_h2() {
            self.prefers_http2.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        Wire::over(io).await.map(Some).map_err(|error| broken_wire(&error, Stage::Head))
    }

    async fn socket(&self) -> Result<Io, Box<dyn std::error::Error + Send + Sync>> {
        let origin = self.origin.clone();
        match &self.tls {
            Some(tls) => tls.clone().oneshot(origin).await,
            None => Ok(MaybeHttpsStream::Http(self.tcp.clone().oneshot(origin).await?)),
        }
    }

    /// The request in the form of HTTP/1.1. A row's header takes the place of a constant one.
    fn outgoing(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, Broken> {
        let target = &request.url[Position::BeforePath..Position::AfterQuery];
        let target = Uri::from_maybe_shared(Bytes::copy_from_slice(target.as_bytes()));
        let target = target.map_err(|error| no_connection(Some(&error), self.connect_timeout))?;
        let body = Full::new(request.body.clone().unwrap_or_default());
        let mut outgoing = http::Request::new(body);
        *outgoing.method_mut() = request.method.clone();
        *outgoing.uri_mut() = target;
        let mut headers = self.headers.clone();
        if !request.headers.is_empty() {
            for name in request.headers.keys() {
                headers.remove(name);
            }
            headers.extend(request.headers.clone());
        }
        *outgoing.headers_mut() = headers;
        Ok(outgoing)
    }
}
