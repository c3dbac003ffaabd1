//! The client for the template's origin, directly or through an HTTP proxy: over connections of our own.
//!
//! reqwest serves any number of origins through layers for redirects, retries, proxies and pools. Here each of them is
//! switched off or decided in advance, yet each costs processor time for every request. One origin needs none of them:
//! what all requests share is made once, an HTTP/1.1 connection comes from a stack of idle ones, and an HTTP/2
//! connection is shared. docs/performance.md has the measurements.

mod opening;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Uri, Version};
use http_body_util::Full;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use secrecy::ExposeSecret;
use url::Position;

use super::census::ServedConnections;
use super::connect::{Connect, HttpProxy, TcpConnector};
use super::exchange::Exchange;
use super::http1::{Http1Connection, Http1Pool};
use super::http2::{Http2Pool, StreamPermit};
use super::observed_io::ConnectionIo;
use super::send_error::no_connection;
use super::{OnConnected, Reuse, SendError, TransportSettings};
use crate::model::Request;

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
    /// Whether HTTP/1.1 requests name the whole address, and not only path and query: to a proxy.
    pub(super) sends_whole_addresses: bool,
    pub(super) on_connected: OnConnected,
    /// Of one connection: TCP, TLS and, over HTTP/2, the server's first SETTINGS.
    pub(super) connect_timeout: Duration,
    /// Of one attempt.
    pub(super) timeout: Duration,
    /// Receives the number of connections that the server serves at a time.
    pub(super) served: ServedConnections,
}

/// Sends requests to one origin.
pub(super) struct DirectClient<C: Connect> {
    connector: C,
    settings: OriginSettings,
    /// The version of the newest connection.
    speaks_http2: AtomicBool,
    http1: Http1Pool<C::Io>,
    http2: Http2Pool<C::Io>,
}

impl DirectClient<TcpConnector> {
    /// The client, unless a proxy is used that is no HTTP proxy, or the origin needs TLS and there is no configuration
    /// for it.
    pub(super) fn for_template(
        settings: &TransportSettings,
        trust: Option<&Arc<rustls::ClientConfig>>,
        mut headers: HeaderMap,
        served: &ServedConnections,
    ) -> Option<Self> {
        let origin: Uri = settings.origin.parse().ok()?;
        if settings.tls && trust.is_none() {
            return None;
        }
        let proxy = match proxy_for(settings, &origin) {
            // An address that cannot be read must not lead past the proxy.
            None if settings.proxy.is_some() => return None,
            None => None,
            Some(intercept) => Some(http_proxy(&intercept)?),
        };
        let sends_whole_addresses = proxy.is_some() && !settings.tls;
        if sends_whole_addresses
            && let Some(credentials) = proxy.as_ref().and_then(|proxy| proxy.credentials.clone())
            && !headers.contains_key(PROXY_AUTHORIZATION)
        {
            headers.insert(PROXY_AUTHORIZATION, credentials);
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, HeaderValue::from_str(origin.authority()?.as_str()).ok()?);
        }
        let timeouts = &settings.connection;
        let connector = TcpConnector::new(origin.clone(), trust, proxy, timeouts.connect_timeout);
        let origin = OriginSettings {
            origin,
            headers,
            sends_whole_addresses,
            on_connected: settings.on_connected.clone(),
            connect_timeout: timeouts.connect_timeout,
            timeout: timeouts.timeout,
            served: served.clone(),
        };
        Some(Self::new(connector, origin))
    }
}

/// The proxy for the origin, if there is one: that of `--proxy`, or that of the standard variables.
fn proxy_for(settings: &TransportSettings, origin: &Uri) -> Option<Intercept> {
    let matcher = match &settings.proxy {
        Some(proxy) => Matcher::builder().all(proxy.expose_secret()).build(),
        None => Matcher::from_system(),
    };
    matcher.intercept(origin)
}

/// None where it is another kind of proxy.
fn http_proxy(intercept: &Intercept) -> Option<HttpProxy> {
    let is_http = intercept.uri().scheme() == Some(&Scheme::HTTP);
    let credentials = intercept.basic_auth().cloned();
    is_http.then(|| HttpProxy { address: intercept.uri().clone(), credentials })
}

impl<C: Connect> DirectClient<C> {
    pub(super) fn new(connector: C, settings: OriginSettings) -> Self {
        let http1 = Http1Pool::new(settings.timeout, settings.served.clone());
        Self { connector, settings, speaks_http2: AtomicBool::new(false), http1, http2: Http2Pool::new() }
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
        let is_new_wanted = matches!(reuse, Reuse::Never);
        let slot = match reuse {
            Reuse::Allowed => self.take_pooled().await,
            Reuse::Never => None,
            Reuse::On(kept) => self.take_reserved(kept).await,
        };
        match slot {
            Some(Slot::Http1(mut connection)) => {
                let head = pin!(connection.send(self.http1_request(request)?));
                let answer = connection.receive_head(head).await?;
                Ok(Exchange::over_http1(answer, connection, &self.http1))
            }
            Some(Slot::Http2(mut permit)) => {
                let head = pin!(permit.send(self.http2_request(request)?));
                let answer = permit.receive_head(head).await?;
                Ok(Exchange::over_http2(answer, permit))
            }
            // Boxed: it is rare, and every attempt's future would be as large as its own.
            None => Box::pin(self.send_on_new(request, is_new_wanted)).await,
        }
    }

    /// The servers behind one name may speak different versions, so both pools are tried.
    async fn take_pooled(&self) -> Option<Slot<C::Io>> {
        match self.http2.acquire() {
            Some(permit) => Some(Slot::Http2(permit)),
            None => self.http1.take().await.map(Slot::Http1),
        }
    }

    fn http1_request(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, SendError> {
        let mut outgoing = self.with_headers(request);
        let target = self.target(request)?;
        *outgoing.uri_mut() = if self.settings.sends_whole_addresses {
            let mut uri = self.settings.origin.clone().into_parts();
            uri.path_and_query = Some(target);
            Uri::from_parts(uri)
                .map_err(|error| no_connection(Some(&error), self.settings.connect_timeout))?
        } else {
            target.into()
        };
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
