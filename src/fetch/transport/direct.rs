//! The client for the template's origin where no proxy is used: over connections of our own.
//!
//! reqwest serves any number of origins through layers for redirects, retries, proxies and pools. Here each of them is
//! switched off or decided in advance, yet each costs processor time for every request. One origin needs none of them:
//! what all requests share is made once, an HTTP/1.1 connection comes from a stack of idle ones, and an HTTP/2
//! connection is shared. docs/performance.md has the measurements.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Uri, Version};
use http_body_util::Full;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::Instant;
use url::Position;

use super::connect::{Connect, HttpVersion, TcpConnector};
use super::exchange::Exchange;
use super::http1::{Http1Connection, IdlePool};
use super::http2::{Http2Connection, Http2Pool, StreamPermit};
use super::observed_io::ConnectionIo;
use super::send_error::{SendStage, connection_error, no_connection, no_stream};
use super::{OnConnected, Reuse, SendError, TransportSettings};
use crate::model::Request;

/// A deadline that the clock cannot represent is set this far ahead.
const FAR: Duration = Duration::from_hours(24 * 365);

/// Something that one request can be sent on.
enum Slot<S: ConnectionIo> {
    Http1(Box<Http1Connection<S>>),
    Http2(StreamPermit<S>),
}

/// What all requests to the origin share.
pub(super) struct OriginSettings {
    /// Scheme, host and port.
    pub(super) origin: Uri,
    /// The headers of every request, `Host` among them.
    pub(super) headers: HeaderMap,
    pub(super) on_connected: OnConnected,
    /// Of one connection: TCP, TLS and, over HTTP/2, the server's first SETTINGS.
    pub(super) connect_timeout: Duration,
}

/// Sends requests to one origin.
pub(super) struct DirectClient<C: Connect> {
    connector: C,
    settings: OriginSettings,
    /// The version of the newest connection.
    speaks_http2: AtomicBool,
    idle: IdlePool<C::Io>,
    http2: Http2Pool<C::Io>,
}

impl DirectClient<TcpConnector> {
    /// The client, unless a proxy is used, or the origin needs TLS and there is no configuration for it.
    pub(super) fn for_template(
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
        let connect_timeout = settings.connection.connect_timeout;
        let connector = TcpConnector::new(origin.clone(), trust, connect_timeout);
        let on_connected = settings.on_connected.clone();
        Some(Self::new(connector, OriginSettings { origin, headers, on_connected, connect_timeout }))
    }
}

impl<C: Connect> DirectClient<C> {
    pub(super) fn new(connector: C, settings: OriginSettings) -> Self {
        let speaks_http2 = AtomicBool::new(false);
        Self { connector, settings, speaks_http2, idle: IdlePool::new(), http2: Http2Pool::new() }
    }

    /// Whether this client can send a request: to the origin, and without user-info in the address, which reqwest
    /// turns into a header.
    pub(super) fn serves(request: &Request) -> bool {
        let has_user_info = !request.url.username().is_empty() || request.url.password().is_some();
        !request.cross_origin && !has_user_info
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// No connection, or one that failed before the head was complete.
    pub(super) async fn send(
        &self,
        request: &Request,
        reuse: Reuse,
    ) -> Result<Exchange<'_, C::Io>, SendError> {
        // Opening is boxed: it is rare, and every attempt's future would be as large as its own.
        let slot = match self.existing(reuse).await {
            Some(slot) => slot,
            None => Box::pin(self.open(reuse)).await?,
        };
        match slot {
            Slot::Http1(mut connection) => {
                let head = pin!(connection.send(self.http1_request(request)?));
                let answer = connection.receive_head(head).await?;
                Ok(Exchange::over_http1(answer, connection, &self.idle))
            }
            Slot::Http2(mut permit) => {
                let head = pin!(permit.send(self.http2_request(request)?));
                let answer = permit.receive_head(head).await?;
                Ok(Exchange::over_http2(answer, permit))
            }
        }
    }

    async fn existing(&self, reuse: Reuse) -> Option<Slot<C::Io>> {
        match reuse {
            Reuse::Never => None,
            Reuse::Allowed => self.take_pooled().await,
        }
    }

    /// The servers behind one name may speak different versions, so both pools are tried.
    async fn take_pooled(&self) -> Option<Slot<C::Io>> {
        match self.http2.acquire() {
            Some(permit) => Some(Slot::Http2(permit)),
            None => self.idle.take().await.map(Slot::Http1),
        }
    }

    async fn open(&self, reuse: Reuse) -> Result<Slot<C::Io>, SendError> {
        if !self.speaks_http2.load(Ordering::Relaxed) {
            return self.connect(reuse).await;
        }
        let asked = Instant::now();
        let _opening = self.http2.opening.lock().await;
        let slot = match reuse {
            Reuse::Allowed => self.take_pooled().await,
            // Of the requests that one connection lost, the first opens another, and the rest use that one.
            Reuse::Never => self.http2.acquire_newer(asked).map(Slot::Http2),
        };
        match slot {
            Some(slot) => Ok(slot),
            None => self.connect(reuse).await,
        }
    }

    async fn connect(&self, reuse: Reuse) -> Result<Slot<C::Io>, SendError> {
        let limit = self.settings.connect_timeout;
        let now = Instant::now();
        let until = now.checked_add(limit).unwrap_or(now + FAR);
        let connected = tokio::time::timeout_at(until, self.connector.connect()).await;
        let (io, version) = connected
            .map_err(|_| no_connection(None, limit))?
            .map_err(|error| no_connection(Some(error.as_ref()), limit))?;
        self.speaks_http2.store(version == HttpVersion::Http2, Ordering::Relaxed);
        let failed = |error: hyper::Error| connection_error(&error, SendStage::FirstHead);
        let slot = match version {
            HttpVersion::Http1 => Slot::Http1(Http1Connection::handshake(io).await.map_err(failed)?),
            HttpVersion::Http2 => {
                let connection = Http2Connection::handshake(io, until).await.map_err(failed)?;
                Slot::Http2(self.http2.add(connection.ok_or_else(|| no_stream(limit))?, reuse))
            }
        };
        (self.settings.on_connected.0)();
        Ok(slot)
    }

    fn http1_request(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, SendError> {
        let mut outgoing = self.with_headers(request);
        *outgoing.uri_mut() = self.target(request)?.into();
        Ok(outgoing)
    }

    /// HTTP/2 carries the host in `:authority`. A `Host` that the user gave takes its place.
    fn http2_request(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, SendError> {
        let mut outgoing = self.with_headers(request);
        let mut uri = self.settings.origin.clone().into_parts();
        if let Some(host) = outgoing.headers_mut().remove(HOST)
            && let Ok(authority) = Authority::try_from(host.as_bytes())
        {
            uri.authority = Some(authority);
        }
        uri.path_and_query = Some(self.target(request)?);
        *outgoing.uri_mut() = Uri::from_parts(uri)
            .map_err(|error| no_connection(Some(&error), self.settings.connect_timeout))?;
        *outgoing.version_mut() = Version::HTTP_2;
        Ok(outgoing)
    }

    fn target(&self, request: &Request) -> Result<PathAndQuery, SendError> {
        let target = &request.url[Position::BeforePath..Position::AfterQuery];
        PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(target.as_bytes()))
            .map_err(|error| no_connection(Some(&error), self.settings.connect_timeout))
    }

    /// A row's header replaces a constant one of the same name.
    fn with_headers(&self, request: &Request) -> http::Request<Full<Bytes>> {
        let body = Full::new(request.body.clone().unwrap_or_default());
        let mut outgoing = http::Request::new(body);
        *outgoing.method_mut() = request.method.clone();
        let mut headers = self.settings.headers.clone();
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
