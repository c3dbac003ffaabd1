//! The client for one origin, directly or through a proxy: over connections of our own.
//!
//! reqwest serves any number of origins through layers for redirects, retries, proxies and pools. Here each of them is
//! switched off or decided in advance, yet each costs processor time for every request. One origin needs none of them:
//! what all requests share is made once, an HTTP/1.1 connection comes from a stack of idle ones, and an HTTP/2
//! connection is shared. docs/performance.md has the measurements.

mod opening;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, PROXY_AUTHORIZATION};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::census::ServedConnections;
use super::connect::{Connect, ConnectorSettings, ProxyHop, TcpConnector};
use super::exchange::Exchange;
use super::http1::{Http1Connection, Http1Pool};
use super::http2::{Http2Pool, StreamPermit};
use super::observed_io::ConnectionIo;
use super::open_connections::{ConnectionPlaces, OpenConnections};
use super::proxy::{Proxy, answer_text, own_answer};
use super::resend::Resend;
use super::send_error::no_connection;
use super::{ConnectionSettings, HttpChoice, OnConnected, Reuse, SendError, TransportError};
use crate::model::fault::ProxyProblem;
use crate::model::{Cause, Fault, Request, RequestUrl};

/// Something that one request can be sent on.
enum Slot<S: ConnectionIo> {
    Http1(Box<Http1Connection<S>>),
    Http2(StreamPermit<S>),
}

/// Room for header fields, which most answers do not exceed. hyper reads the fields of an answer into the map that the
/// request had, and the clone of a map has the size of its index: without this room it would grow for each answer.
const ANSWER_FIELDS: usize = 24;

/// What a request without a connection wants.
#[derive(Clone, Copy)]
struct NewConnection {
    /// A new one, though others are idle.
    is_required: bool,
    /// One that is silent is not given up for another new one.
    is_patient: bool,
}

/// What all requests to the origin share.
pub(super) struct OriginSettings {
    /// Scheme, host and port.
    pub(super) origin: Uri,
    /// The headers of every request, `Host` among them.
    pub(super) headers: HeaderMap,
    /// The proxy on the way.
    pub(super) proxy: Option<Arc<Proxy>>,
    /// The same, where HTTP/1.1 requests name the whole address to it, and not only path and query.
    pub(super) whole_address_proxy: Option<Arc<Proxy>>,
    /// Whether HTTP/2 is offered.
    pub(super) may_speak_http2: bool,
    /// Whether nothing else is.
    pub(super) requires_http2: bool,
    pub(super) on_connected: OnConnected,
    /// Of one connection: TCP, TLS and, over HTTP/2, the server's first SETTINGS.
    pub(super) connect_timeout: Duration,
    /// Of one attempt.
    pub(super) timeout: Duration,
    pub(super) state: DirectState,
}

impl OriginSettings {
    /// Whether connections are opened over TLS or through a tunnel, and not by TCP alone.
    fn has_handshakes(&self) -> bool {
        let is_tls = self.origin.scheme_str() == Some("https");
        let is_tunnel = |proxy: &Arc<Proxy>| self.whole_address_proxy.is_none() || proxy.speaks_tls();
        is_tls || self.proxy.as_ref().is_some_and(is_tunnel)
    }
}

/// Sends requests to one origin.
pub(super) struct DirectClient<C: Connect> {
    connector: C,
    settings: OriginSettings,
    /// The version of the newest connection, and whether there was one.
    speaks_http2: AtomicBool,
    is_version_known: AtomicBool,
    /// Whether a proxy has passed a request on.
    has_passed_on: AtomicBool,
    places: ConnectionPlaces,
    http1: Http1Pool<C::Io>,
    http2: Http2Pool<C::Io>,
    http2_base: Http2Base,
}

/// What all requests over HTTP/2 share. It carries the host in `:authority`: a `Host` that the user gave takes its place.
struct Http2Base {
    origin: Uri,
    headers: HeaderMap,
}

impl Http2Base {
    fn new(origin: &Uri, headers: &HeaderMap) -> Self {
        let mut headers = headers.clone();
        let host = headers.remove(HOST);
        let origin = host.and_then(|host| with_authority(origin, &host)).unwrap_or_else(|| origin.clone());
        Self { origin, headers }
    }
}

/// The address with this host, if it is one.
fn with_authority(uri: &Uri, host: &HeaderValue) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    Uri::from_parts(parts).ok()
}

/// What the client shares with others, and with whoever asks how the run goes.
pub(super) struct DirectState {
    /// The open connections of all clients.
    pub(super) open: Arc<OpenConnections>,
    /// The number of connections that the server serves at a time.
    pub(super) served: ServedConnections,
    /// Whether any connection was opened: to the proxy, where there is one.
    pub(super) has_connected: Arc<AtomicBool>,
}

impl DirectState {
    /// Of a client beside those that share these connections.
    pub(super) fn new(open: Arc<OpenConnections>) -> Self {
        Self { open, served: ServedConnections::default(), has_connected: Arc::default() }
    }
}

/// The way to the origin, and what is sent there.
pub(super) struct Route {
    pub(super) origin: Uri,
    /// The headers of every request.
    pub(super) headers: HeaderMap,
    /// The versions of HTTP.
    pub(super) http: HttpChoice,
    /// Called for every connection whose handshakes are done.
    pub(super) on_connected: OnConnected,
    pub(super) proxy: Option<Arc<Proxy>>,
    /// For an origin over TLS.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    /// For a proxy over TLS.
    pub(super) proxy_tls: Option<Arc<rustls::ClientConfig>>,
}

impl DirectClient<TcpConnector> {
    /// The client for an origin.
    ///
    /// # Errors
    /// The origin has no host.
    pub(super) fn for_origin(
        timeouts: &ConnectionSettings,
        route: Route,
        state: DirectState,
    ) -> Result<Self, TransportError> {
        let Route { origin, mut headers, http, on_connected, proxy, tls, proxy_tls } = route;
        let takes_whole = |proxy: &&Arc<Proxy>| proxy.takes_whole_addresses();
        let is_plain = tls.is_none() && http != HttpChoice::Http2;
        let whole_address_proxy = proxy.as_ref().filter(takes_whole).filter(|_| is_plain).cloned();
        if let Some(credentials) = whole_address_proxy.as_ref().and_then(|proxy| proxy.basic_auth())
            && !headers.contains_key(PROXY_AUTHORIZATION)
        {
            headers.insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        if !headers.contains_key(HOST) {
            let host = origin.authority().map_or("", Authority::as_str);
            let host =
                HeaderValue::from_str(host).map_err(|error| TransportError::Origin(error.to_string()))?;
            headers.insert(HOST, host);
        }
        let is_tls = tls.is_some();
        let is_tunnelled = whole_address_proxy.is_none();
        let connector = TcpConnector::new(ConnectorSettings {
            origin: origin.clone(),
            proxy: proxy.clone().map(|proxy| ProxyHop { proxy, tls: proxy_tls, is_tunnelled }),
            http,
            connect_timeout: timeouts.connect_timeout,
            tls,
        });
        let origin = OriginSettings {
            may_speak_http2: http == HttpChoice::Http2 || is_tls && http == HttpChoice::Auto,
            requires_http2: http == HttpChoice::Http2,
            origin,
            headers,
            proxy,
            whole_address_proxy,
            on_connected,
            connect_timeout: timeouts.connect_timeout,
            timeout: timeouts.timeout,
            state,
        };
        Ok(Self::new(connector, origin))
    }
}

impl<C: Connect> DirectClient<C> {
    pub(super) fn new(connector: C, mut settings: OriginSettings) -> Self {
        let http1 =
            Http1Pool::new(settings.timeout, settings.has_handshakes(), settings.state.served.clone());
        let http2 = Http2Pool::new();
        let http2_base = Http2Base::new(&settings.origin, &settings.headers);
        settings.headers.reserve(ANSWER_FIELDS);
        let places = settings.state.open.of_origin(vec![http1.idle(), http2.idle()]);
        Self {
            connector,
            settings,
            speaks_http2: AtomicBool::new(false),
            is_version_known: AtomicBool::new(false),
            has_passed_on: AtomicBool::new(false),
            places,
            http1,
            http2,
            http2_base,
        }
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
        let wanted = NewConnection {
            is_required: matches!(reuse, Reuse::Never),
            is_patient: matches!(reuse, Reuse::AllowedPatiently),
        };
        let slot = match reuse {
            Reuse::Allowed | Reuse::AllowedPatiently => self.take_pooled(),
            Reuse::Never => None,
            Reuse::On(kept) => self.take_reserved(kept).await,
        };
        match slot {
            Some(Slot::Http1(mut connection)) => {
                let head = pin!(connection.send(self.http1_request(request)?));
                let answer =
                    connection.receive_head(head).await.map_err(|error| self.lost_by_proxy(error))?;
                self.check_passed_on(&answer, Resend::Counted)?;
                Ok(Exchange::over_http1(answer, connection, &self.http1))
            }
            Some(Slot::Http2(mut permit)) => {
                let head = pin!(permit.send(self.http2_request(request)?));
                let answer = permit.receive_head(head).await;
                let answer = answer.map_err(|error| self.http2.before_the_first_answer(error))?;
                Ok(Exchange::over_http2(answer, permit))
            }
            // Boxed: it is rare, and every attempt's future would be as large as its own.
            None => Box::pin(self.send_on_new(request, wanted)).await,
        }
    }

    /// Passes on what [`Transport::begin_turn`](super::Transport::begin_turn) says.
    pub(super) fn begin_turn(&self) {
        self.http1.begin_turn();
    }

    /// The proxy that takes whole addresses, while it has passed nothing on.
    pub(super) fn unproven_proxy(&self) -> Option<&Proxy> {
        let is_unproven = |_: &&Proxy| !self.has_passed_on.load(Ordering::Relaxed);
        self.settings.whole_address_proxy.as_deref().filter(is_unproven)
    }

    /// A proxy that loses a connection before it has passed any answer on is what is wrong.
    pub(super) fn lost_by_proxy(&self, mut error: SendError) -> SendError {
        if error.fault.cause == Cause::Lost
            && let Some(proxy) = self.unproven_proxy()
        {
            let detail = format!("the proxy {proxy} gave no answer: {}", error.fault.detail);
            error.fault = Fault::new(Cause::Proxy(ProxyProblem::NoConnection), detail);
        }
        error
    }

    /// The servers behind one name may speak different versions, so both pools are tried.
    fn take_pooled(&self) -> Option<Slot<C::Io>> {
        match self.http2.acquire() {
            Some(permit) => Some(Slot::Http2(permit)),
            None => self.http1.take().map(Slot::Http1),
        }
    }

    fn http1_request(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, SendError> {
        let mut outgoing = with_headers(&self.settings.headers, request);
        let target = self.target(request)?;
        *outgoing.uri_mut() = if self.settings.whole_address_proxy.is_some() {
            self.with_target(&self.settings.origin, target)?
        } else {
            target.into()
        };
        Ok(outgoing)
    }

    fn http2_request(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, SendError> {
        let Http2Base { origin, headers } = &self.http2_base;
        let mut outgoing = with_headers(headers, request);
        let row_host = if request.headers.is_empty() { None } else { outgoing.headers_mut().remove(HOST) };
        let row_origin = row_host.and_then(|host| with_authority(origin, &host));
        *outgoing.uri_mut() =
            self.with_target(row_origin.as_ref().unwrap_or(origin), self.target(request)?)?;
        *outgoing.version_mut() = Version::HTTP_2;
        Ok(outgoing)
    }

    fn with_target(&self, origin: &Uri, target: PathAndQuery) -> Result<Uri, SendError> {
        let mut parts = origin.clone().into_parts();
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).map_err(|error| no_connection(Some(&error), self.settings.connect_timeout))
    }

    fn target(&self, request: &Request) -> Result<PathAndQuery, SendError> {
        let target = Bytes::copy_from_slice(request.url.target().as_bytes());
        PathAndQuery::from_maybe_shared(target)
            .map_err(|error| no_connection(Some(&error), self.settings.connect_timeout))
    }

    /// An answer that the proxy gave itself is none of the API: its connection is dropped.
    ///
    /// # Errors
    /// The answer is the proxy's.
    fn check_passed_on(&self, answer: &http::Response<Incoming>, resend: Resend) -> Result<(), SendError> {
        let Some(proxy) = &self.settings.whole_address_proxy else { return Ok(()) };
        let (status, headers) = (answer.status(), answer.headers());
        if let Some(problem) = own_answer(status, headers) {
            let detail = answer_text(proxy, "the request", (status.as_u16(), headers));
            return Err(SendError { fault: Fault::new(Cause::Proxy(problem), detail), resend });
        }
        if !self.has_passed_on.swap(true, Ordering::Relaxed) {
            (self.settings.on_connected.0)();
        }
        Ok(())
    }
}

/// A request with these headers. A row's header replaces a constant one of the same name.
fn with_headers(constant: &HeaderMap, request: &Request) -> http::Request<Full<Bytes>> {
    let body = Full::new(request.body.clone().unwrap_or_default());
    let mut outgoing = http::Request::new(body);
    *outgoing.method_mut() = request.method.clone();
    let mut headers = constant.clone();
    if !request.headers.is_empty() {
        for name in request.headers.keys() {
            headers.remove(name);
        }
        headers.extend(request.headers.clone());
    }
    if let Some(credentials) = basic_authorization(&request.url)
        && !headers.contains_key(AUTHORIZATION)
    {
        headers.insert(AUTHORIZATION, credentials);
    }
    *outgoing.headers_mut() = headers;
    outgoing
}

/// User-info in an address, as Basic authorisation.
fn basic_authorization(url: &RequestUrl) -> Option<HeaderValue> {
    if !url.has_user_info() {
        return None;
    }
    let mut text = percent_decode_str(url.username()).collect::<Vec<u8>>();
    text.push(b':');
    text.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(text))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
