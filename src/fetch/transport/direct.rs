//! The straight way to the API, where no proxy stands between: on connections of our own.
//!
//! reqwest serves any number of origins with layers for redirects, retries, proxies and pools; each of them is
//! off or decided beforehand here, and yet costs every request its share. One origin needs none: what is the
//! same for all requests is made once, a connection of HTTP/1.1 is taken from a stack and laid back, and one of
//! HTTP/2 is shared. docs/performance.md has what that is worth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Uri, Version};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::Instant;
use tower::ServiceExt;
use url::Position;

use super::http1::{Exchange, Http1Connection, IdlePool};
use super::http2::{Http2Connection, Http2Pool, StreamPermit};
use super::observed_io::Io;
use super::send_error::{Stage, connection_error, no_connection, no_stream};
use super::{OnConnected, Reuse, SendError, TransportSettings};
use crate::model::Request;

/// How the system watches connections, as reqwest has it: a peer that is gone is noticed within a minute.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A limit that lies beyond what the clock can say lies this far ahead.
const FAR: Duration = Duration::from_hours(24 * 365);

/// A connection that a request may leave on.
enum OpenConnection {
    Http1(Box<Http1Connection>),
    Http2(StreamPermit),
}

/// The way to the template's origin.
pub(super) struct Direct {
    origin: Uri,
    /// What goes with every request.
    headers: HeaderMap,
    tcp: HttpConnector,
    tls: Option<HttpsConnector<HttpConnector>>,
    /// What the newest connection speaks.
    speaks_http2: AtomicBool,
    idle: IdlePool,
    http2: Http2Pool,
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
            speaks_http2: AtomicBool::new(false),
            idle: IdlePool::none(),
            http2: Http2Pool::default(),
            on_connected: settings.on_connected.clone(),
            connect_timeout: settings.connect_timeout,
        })
    }

    /// Whether a request can take this way: it stays at the origin, and its address names no user, whom
    /// reqwest knows to put into a header.
    pub(super) fn serves(request: &Request) -> bool {
        let has_user_info = !request.url.username().is_empty() || request.url.password().is_some();
        !request.cross_origin && !has_user_info
    }

    /// Sends, and waits for the head of the answer.
    pub(super) async fn send(&self, request: &Request, reuse: Reuse) -> Result<Exchange<'_>, SendError> {
        // Opening is boxed, because it is seldom done and would make every attempt's future as large as itself.
        let open = match self.existing(reuse).await {
            Some(open) => open,
            None => Box::pin(self.open(reuse)).await?,
        };
        match open {
            OpenConnection::Http1(connection) => connection.send(self.outgoing(request)?, &self.idle).await,
            OpenConnection::Http2(permit) => {
                Exchange::on(permit, self.outgoing_http2(request)?, &self.idle).await
            }
        }
    }

    async fn existing(&self, reuse: Reuse) -> Option<OpenConnection> {
        match reuse {
            Reuse::Never => None,
            Reuse::Allowed => self.acquire().await,
        }
    }

    /// The servers behind one name need not agree on what they speak: whatever stands is used.
    async fn acquire(&self) -> Option<OpenConnection> {
        match self.http2.acquire() {
            Some(permit) => Some(OpenConnection::Http2(permit)),
            None => self.idle.take().await.map(OpenConnection::Http1),
        }
    }

    async fn open(&self, reuse: Reuse) -> Result<OpenConnection, SendError> {
        if !self.speaks_http2.load(Ordering::Relaxed) {
            return self.connect(reuse).await;
        }
        let asked = Instant::now();
        let _turn = self.http2.opening.lock().await;
        let open = match reuse {
            Reuse::Allowed => self.acquire().await,
            // Of all that one connection lost, the first opens another, and the rest follow it there.
            Reuse::Never => self.http2.acquire_newer(asked).map(OpenConnection::Http2),
        };
        match open {
            Some(open) => Ok(open),
            None => self.connect(reuse).await,
        }
    }

    async fn connect(&self, reuse: Reuse) -> Result<OpenConnection, SendError> {
        let limit = self.connect_timeout;
        let now = Instant::now();
        let until = now.checked_add(limit).unwrap_or(now + FAR);
        let connecting = tokio::time::timeout_at(until, self.socket()).await;
        let io = connecting
            .map_err(|_| no_connection(None, limit))?
            .map_err(|error| no_connection(Some(error.as_ref()), limit))?;
        let is_http2 = io.connected().is_negotiated_h2();
        self.speaks_http2.store(is_http2, Ordering::Relaxed);
        let open = if is_http2 {
            let connection = Http2Connection::over(io, until).await;
            let connection = connection.map_err(|error| connection_error(&error, Stage::FirstHead))?;
            OpenConnection::Http2(self.http2.add(connection.ok_or_else(|| no_stream(limit))?, reuse))
        } else {
            let connection = Http1Connection::over(io).await;
            OpenConnection::Http1(connection.map_err(|error| connection_error(&error, Stage::FirstHead))?)
        };
        (self.on_connected.0)();
        Ok(open)
    }

    async fn socket(&self) -> Result<Io, Box<dyn std::error::Error + Send + Sync>> {
        let origin = self.origin.clone();
        match &self.tls {
            Some(tls) => tls.clone().oneshot(origin).await,
            None => Ok(MaybeHttpsStream::Http(self.tcp.clone().oneshot(origin).await?)),
        }
    }

    /// The request in the form of HTTP/1.1.
    fn outgoing(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, SendError> {
        let mut outgoing = self.with_headers(request);
        *outgoing.uri_mut() = self.target(request)?.into();
        Ok(outgoing)
    }

    /// In the form of HTTP/2 the host stands in the address. A `Host` that the user gave takes its place.
    fn outgoing_http2(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, SendError> {
        let mut outgoing = self.with_headers(request);
        let mut uri = self.origin.clone().into_parts();
        if let Some(host) = outgoing.headers_mut().remove(HOST)
            && let Ok(authority) = Authority::try_from(host.as_bytes())
        {
            uri.authority = Some(authority);
        }
        uri.path_and_query = Some(self.target(request)?);
        *outgoing.uri_mut() =
            Uri::from_parts(uri).map_err(|error| no_connection(Some(&error), self.connect_timeout))?;
        *outgoing.version_mut() = Version::HTTP_2;
        Ok(outgoing)
    }

    fn target(&self, request: &Request) -> Result<PathAndQuery, SendError> {
        let target = &request.url[Position::BeforePath..Position::AfterQuery];
        PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(target.as_bytes()))
            .map_err(|error| no_connection(Some(&error), self.connect_timeout))
    }

    /// A row's header takes the place of a constant one.
    fn with_headers(&self, request: &Request) -> http::Request<Full<Bytes>> {
        let body = Full::new(request.body.clone().unwrap_or_default());
        let mut outgoing = http::Request::new(body);
        *outgoing.method_mut() = request.method.clone();
        let mut headers = self.headers.clone();
        if !request.headers.is_empty() {
            for name in request.headers.keys() {
                headers.remove(name);
            }
            headers.extend(request.headers.clone());
        }
        *outgoing.headers_mut() = headers;
        outgoing
    }
}
