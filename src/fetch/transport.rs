//! The only place that speaks HTTP: one attempt in, one answer or one fault out.
//!
//! Two ways lead out. The straight one (`direct`) carries what goes to the template's origin; all else (proxies,
//! other origins) goes through reqwest. What is read and how it is judged is the same for both.
//!
//! reqwest's own redirects, retries, decompression and timeouts are switched off: each of them would
//! send or wait behind the back of the gate, or keep half an answer. What they did is done, counted
//! and tested in this room.

mod connect;
mod direct;
mod exchange;
mod http1;
mod http2;
mod observed_io;
#[cfg(test)]
mod pipe;
mod send_error;
mod trust;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{Certificate, Client, ClientBuilder, Proxy};
use secrecy::{ExposeSecret, SecretString};
use tower::util::MapResponseLayer;

use super::body_budget::{BodyBudget, BodyClaim};
use super::pausable_timeout::PausableTimeout;
use crate::model::{Cause, Fault, Request, Size, large_buffer};

use connect::{Connect, TcpConnector};
use direct::DirectClient;
use exchange::{Exchange, is_ended_by_close};
use http2::{STREAM_WINDOW, connection_window};
use send_error::{SendStage, reqwest_error, text};

/// Streams that one HTTP/2 connection is trusted to carry.
///
/// A server may allow fewer streams than `--concurrency` asks for, and reqwest queues the rest without a
/// word, nor does it say what is allowed. RFC 9113 §6.5.2 recommends that servers allow at least 100; servers seen in the
/// wild allow as few as 10. With eight a connection, every one of those reaches what was asked.
const STREAMS_PER_CONNECTION: usize = 8;

/// Most connections that are opened to spread HTTP/2 streams; past it, each carries more.
const MAX_SPREAD: usize = 64;

/// How a proxy may be spoken to.
pub const PROXY_SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Space set aside for a body before its length is believed.
const FIRST_CAPACITY: u64 = 64 * 1024;

/// How answers are asked for.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// Of one attempt, to the last byte of the body.
    pub timeout: Duration,
    /// Of establishing a connection.
    pub connect_timeout: Duration,
    /// PEM certificates to trust beside the system's.
    pub ca_cert: Option<Vec<u8>>,
    /// A proxy for everything, in place of the standard variables.
    pub proxy: Option<SecretString>,
    /// Accept any certificate.
    pub insecure: bool,
    /// Most bytes of a body, compressed or decoded.
    pub max_body: Size,
    /// Attempts in flight at most.
    pub concurrency: usize,
    /// Headers that go with every request that stays at the template's origin.
    pub headers: HeaderMap,
    /// The template's `scheme://host:port`.
    pub origin: String,
    /// Whether the template's scheme is https.
    pub tls: bool,
    /// Whom TLS trusts, if that was read already.
    pub trust: Trust,
    /// Called whenever a connection stands, its handshakes done.
    pub on_connected: OnConnected,
    /// Bytes of answers that wait for the disk.
    pub backlog: Arc<AtomicUsize>,
}

/// Hears of every connection that stands.
#[derive(Clone)]
pub struct OnConnected(pub Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for OnConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnConnected")
    }
}

/// Whom TLS trusts: the system's authorities and those of `--ca-cert`. To read them takes longer than many a
/// request, so that it is done once and handed on.
#[derive(Debug, Clone, Default)]
pub struct Trust(Option<Arc<rustls::ClientConfig>>);

/// What a server sent, as it sent it: content codings still on.
#[derive(Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, encoded as `Content-Encoding` says.
    pub body: Bytes,
    /// Only the end of the connection says where the body ends.
    pub may_be_cut: bool,
}

/// An attempt that brought no answer.
#[derive(Debug)]
pub struct SendError {
    /// Why.
    pub fault: Fault,
    /// The connection ended before the first byte of an answer: a kept-alive connection that the
    /// server had closed looks like this.
    pub safe_to_resend: bool,
}

/// Which connection a request may leave on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Any that was kept alive, or a new one.
    Allowed,
    /// A new one: kept ones are suspected of being closed at their other end.
    Never,
}

/// Sends one request and reads one answer.
pub trait Transport: Send + Sync {
    /// Makes one attempt, bounded by the timeout.
    fn send(
        &self,
        request: &Request,
        reuse: Reuse,
    ) -> impl Future<Output = Result<RawAnswer, SendError>> + Send;
}

/// Why the HTTP client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The PEM file holds no certificate that can be read.
    #[error("{0}")]
    CaCert(String),
    /// The proxy's address is not one.
    #[error("not a proxy address: {0}")]
    Proxy(String),
    /// The TLS library found no certificate authorities, or refuses for another reason.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// HTTP over sockets.
pub struct Http {
    settings: TransportSettings,
    /// None where a proxy stands between, and where certificates are not to be verified.
    direct: Option<DirectClient<TcpConnector>>,
    /// Shared by all clients: reading the system's authorities takes longer than many a request.
    trust: Option<Arc<rustls::ClientConfig>>,
    /// Constant headers with several values: a client's default headers carry one value a name.
    repeated: HeaderMap,
    same_origin: Vec<CountedClient>,
    cross_origin: OnceLock<Client>,
    /// Clients that keep no connection: for the same origin, and for others.
    unpooled: [OnceLock<Client>; 2],
    /// Whether any connection ever stood.
    connected: Arc<AtomicBool>,
    /// Connections that reqwest opened.
    opened: Arc<AtomicUsize>,
    budget: BodyBudget,
}

/// One client, and so one HTTP/2 connection, with the attempts on it.
struct CountedClient {
    client: OnceLock<Client>,
    in_flight: AtomicUsize,
}

/// An answer whose body is being read.
enum UnreadAnswer<'a> {
    Direct(Exchange<'a, <TcpConnector as Connect>::Io>),
    Reqwest(reqwest::Response),
}

impl UnreadAnswer<'_> {
    fn status(&self) -> StatusCode {
        match self {
            Self::Direct(exchange) => exchange.head.status,
            Self::Reqwest(response) => response.status(),
        }
    }

    fn headers(&mut self) -> &mut HeaderMap {
        match self {
            Self::Direct(exchange) => &mut exchange.head.headers,
            Self::Reqwest(response) => response.headers_mut(),
        }
    }

    fn is_ended_by_close(&self) -> bool {
        match self {
            Self::Direct(exchange) => {
                let head = &exchange.head;
                is_ended_by_close(head.version, head.status, &head.headers)
            }
            Self::Reqwest(response) => {
                is_ended_by_close(response.version(), response.status(), response.headers())
            }
        }
    }

    async fn chunk(&mut self, settings: &TransportSettings) -> Result<Option<Bytes>, SendError> {
        let next = match self {
            Self::Direct(exchange) => exchange.chunk().await,
            Self::Reqwest(response) => {
                response.chunk().await.map_err(|error| reqwest_error(error, SendStage::Body, settings))
            }
        };
        next.map_err(|mut error| {
            error.fault.status = Some(self.status().as_u16());
            error
        })
    }
}

impl Http {
    /// Sets up the ways out; no connection is made.
    ///
    /// # Errors
    /// An unreadable certificate, a proxy address that is none, no certificate authorities.
    pub fn new(mut settings: TransportSettings) -> Result<Self, TransportError> {
        let connected = Arc::new(AtomicBool::new(false));
        let (OnConnected(on_connected), stands) = (settings.on_connected.clone(), Arc::clone(&connected));
        settings.on_connected = OnConnected(Arc::new(move || {
            stands.store(true, Ordering::Relaxed);
            on_connected();
        }));
        let certificates = settings.ca_cert.as_deref().map(trust::certificates).transpose()?;
        let trust = match settings.trust.0.take() {
            _ if !settings.tls || settings.insecure => None,
            Some(read) => Some(read),
            None => Some(Arc::new(trust::verified(certificates.unwrap_or_default())?)),
        };
        let repeated = repeated_headers(&settings.headers);
        let mut headers = same_origin_headers(&settings);
        headers.extend(repeated.clone());
        let direct = DirectClient::for_template(&settings, trust.as_ref(), headers);
        let clients = if settings.tls {
            settings.concurrency.div_ceil(STREAMS_PER_CONNECTION).clamp(1, MAX_SPREAD)
        } else {
            1
        };
        let same_origin: Vec<CountedClient> = (0..clients)
            .map(|_| CountedClient { client: OnceLock::new(), in_flight: AtomicUsize::new(0) })
            .collect();
        let budget = BodyBudget::new(Arc::clone(&settings.backlog));
        let http = Self {
            settings,
            direct,
            trust,
            repeated,
            same_origin,
            cross_origin: OnceLock::new(),
            unpooled: Default::default(),
            connected,
            opened: Arc::default(),
            budget,
        };
        if http.direct.is_none() {
            // What is wrong with the settings is to be known now.
            http.client_of(&http.same_origin[0])?;
        }
        Ok(http)
    }

    /// Whom TLS trusts, for another way to the same API.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust(self.trust.clone())
    }

    /// The client for the next attempt: the first that is not full, so that few attempts share few
    /// connections; the emptiest when all are.
    fn least_loaded(&self) -> &CountedClient {
        let full = self.settings.concurrency.div_ceil(self.same_origin.len());
        self.same_origin
            .iter()
            .find(|client| client.in_flight.load(Ordering::Relaxed) < full)
            .or_else(|| self.same_origin.iter().min_by_key(|client| client.in_flight.load(Ordering::Relaxed)))
            .unwrap_or(&self.same_origin[0])
    }

    fn client_of(&self, counted: &CountedClient) -> Result<Client, TransportError> {
        get_or_build(&counted.client, || {
            self.client(&same_origin_headers(&self.settings), self.settings.concurrency, true)
        })
    }

    /// The client for other origins: it carries no header that the user gave.
    fn cross_origin_client(&self) -> Result<Client, TransportError> {
        get_or_build(&self.cross_origin, || self.client(&program_headers(), self.settings.concurrency, false))
    }

    /// A client whose every request makes a connection of its own.
    fn unpooled_client(&self, cross_origin: bool) -> Result<Client, TransportError> {
        let headers = || if cross_origin { program_headers() } else { same_origin_headers(&self.settings) };
        get_or_build(&self.unpooled[usize::from(cross_origin)], || self.client(&headers(), 0, !cross_origin))
    }

    /// Counts a client's new connections, and tells of them.
    fn listener<C>(
        &self,
        counts_as_connected: bool,
    ) -> MapResponseLayer<impl Fn(C) -> C + Clone + Send + Sync + 'static> {
        let (opened, on_connected) = (Arc::clone(&self.opened), self.settings.on_connected.clone());
        MapResponseLayer::new(move |connection| {
            opened.fetch_add(1, Ordering::Relaxed);
            if counts_as_connected {
                (on_connected.0)();
            }
            connection
        })
    }

    /// A client that sends these headers, keeps so many idle connections, and tells of new ones.
    fn client(
        &self,
        headers: &HeaderMap,
        idle: usize,
        counts_as_connected: bool,
    ) -> Result<Client, TransportError> {
        let builder = || {
            let builder = builder(&self.settings)?.connector_layer(self.listener(counts_as_connected));
            Ok::<_, TransportError>(builder.pool_max_idle_per_host(idle).default_headers(headers.clone()))
        };
        if let Some(trust) = &self.trust {
            let built = builder()?.tls_backend_preconfigured(trust.as_ref().clone()).build();
            return built.map_err(|error| TransportError::Tls(text(error)));
        }
        match builder()?.build() {
            Ok(client) => Ok(client),
            Err(error) if self.settings.tls => Err(TransportError::Tls(text(error))),
            // No certificate authorities on this machine: plain HTTP needs none.
            Err(_) => builder()?
                .tls_backend_preconfigured(trust::nobody()?)
                .build()
                .map_err(|error| TransportError::Tls(text(error))),
        }
    }

    /// The request line with the headers of the row; user-info in the address becomes Basic
    /// authorisation, unless the user gave another.
    fn outgoing(&self, client: &Client, request: &Request) -> Result<reqwest::Request, reqwest::Error> {
        let (method, url) = (request.method.clone(), request.url.clone());
        let has_user_info = !url.username().is_empty() || url.password().is_some();
        if !has_user_info {
            let mut outgoing = reqwest::Request::new(method, url);
            if !request.headers.is_empty() {
                *outgoing.headers_mut() = request.headers.clone();
            }
            return Ok(outgoing);
        }
        let mut outgoing = client.request(method, url).build()?;
        if self.settings.headers.contains_key(AUTHORIZATION) || request.headers.contains_key(AUTHORIZATION) {
            outgoing.headers_mut().remove(AUTHORIZATION);
        }
        outgoing.headers_mut().extend(request.headers.clone());
        Ok(outgoing)
    }

    async fn attempt(
        &self,
        request: &Request,
        reuse: Reuse,
        timeout: &PausableTimeout,
    ) -> Result<RawAnswer, SendError> {
        if let Some(direct) = self.direct.as_ref().filter(|_| DirectClient::<TcpConnector>::serves(request)) {
            let exchange = direct.send(request, reuse).await?;
            return self.read(UnreadAnswer::Direct(exchange), request, timeout).await;
        }
        // Boxed, so that the straight way need not carry the other one along.
        Box::pin(self.through_reqwest(request, reuse, timeout)).await
    }

    async fn through_reqwest(
        &self,
        request: &Request,
        reuse: Reuse,
        timeout: &PausableTimeout,
    ) -> Result<RawAnswer, SendError> {
        let (client, _in_flight) = match reuse {
            Reuse::Never => (self.unpooled_client(request.cross_origin), None),
            Reuse::Allowed if request.cross_origin => (self.cross_origin_client(), None),
            Reuse::Allowed => {
                let place = self.least_loaded();
                (self.client_of(place), Some(InFlightGuard::take(place)))
            }
        };
        // One like it was built before: only the system can have run out of something since.
        let client = client.map_err(|error| SendError {
            fault: Fault::new(Cause::Connect, error.to_string()),
            safe_to_resend: false,
        })?;
        let response = self.execute_noting(&client, request).await?;
        self.read(UnreadAnswer::Reqwest(response), request, timeout).await
    }

    /// Executes, and notes whether that opens the connection. Of several requests that wait for one, the first to be
    /// polled when it stands gets it, or all do over HTTP/2.
    async fn execute_noting(
        &self,
        client: &Client,
        request: &Request,
    ) -> Result<reqwest::Response, SendError> {
        let mut stage = SendStage::IdleHead;
        let mut execution = pin!(self.execute(client, request));
        let response = poll_fn(|cx| {
            let before = self.opened.load(Ordering::Relaxed);
            let polled = execution.as_mut().poll(cx);
            if self.opened.load(Ordering::Relaxed) != before {
                stage = SendStage::FirstHead;
            }
            polled
        })
        .await;
        response.map_err(|error| reqwest_error(error, stage, &self.settings))
    }

    async fn execute(&self, client: &Client, request: &Request) -> reqwest::Result<reqwest::Response> {
        let mut outgoing = self.outgoing(client, request)?;
        if !request.cross_origin {
            for (name, value) in &self.repeated {
                outgoing.headers_mut().append(name, value.clone());
            }
        }
        if let Some(body) = &request.body {
            *outgoing.body_mut() = Some(body.clone().into());
        }
        client.execute(outgoing).await
    }

    async fn read(
        &self,
        mut answer: UnreadAnswer<'_>,
        request: &Request,
        timeout: &PausableTimeout,
    ) -> Result<RawAnswer, SendError> {
        let settings = &self.settings;
        let status = answer.status();
        let cap = settings.max_body.0;
        // To HEAD it is the length that an answer to GET would have, and nothing follows.
        let announced = match request.method {
            Method::HEAD => None,
            _ => answer.headers().get(CONTENT_LENGTH).and_then(length),
        };
        let too_large = || SendError {
            fault: Fault::new(Cause::TooLarge, format!("the body is larger than --max-body {}", Size(cap)))
                .with_status(status.as_u16()),
            safe_to_resend: false,
        };
        if announced.is_some_and(|n| n > cap) && status.is_success() {
            return Err(too_large());
        }
        let mut claim = BodyClaim::on(&self.budget, announced);
        // What is announced as large waits before a byte of it is read.
        claim.cover(0, timeout).await;
        let mut body = answer.chunk(settings).await?.unwrap_or_default();
        claim.cover(body.len(), timeout).await;
        if let Some(second) = answer.chunk(settings).await? {
            let mut whole =
                Vec::with_capacity(usize::try_from(announced.unwrap_or(0).min(FIRST_CAPACITY)).unwrap_or(0));
            whole.extend_from_slice(&body);
            whole.extend_from_slice(&second);
            while whole.len() as u64 <= cap {
                claim.cover(whole.len(), timeout).await;
                let Some(chunk) = answer.chunk(settings).await? else { break };
                large_buffer::grow(&mut whole, chunk.len());
                whole.extend_from_slice(&chunk);
            }
            body = whole.into();
        }
        let may_be_cut = announced.is_none() && request.method != Method::HEAD && answer.is_ended_by_close();
        if body.len() as u64 > cap {
            if status.is_success() {
                return Err(too_large());
            }
            body.clear();
        }
        let headers = std::mem::take(answer.headers());
        Ok(RawAnswer { status: status.as_u16(), headers, body, may_be_cut })
    }
}

impl Transport for Http {
    async fn send(&self, request: &Request, reuse: Reuse) -> Result<RawAnswer, SendError> {
        let timeout = PausableTimeout::of(self.settings.timeout);
        let attempt = self.attempt(request, reuse, &timeout);
        timeout.bound(attempt).await.unwrap_or_else(|| {
            let limit = humantime::format_duration(self.settings.timeout);
            let fault = if self.connected.load(Ordering::Relaxed) {
                Fault::new(Cause::Timeout, format!("no complete answer within --timeout {limit}"))
            } else {
                // --timeout may be the shorter one of the two.
                Fault::new(Cause::Connect, format!("no connection within --timeout {limit}"))
            };
            Err(SendError { fault, safe_to_resend: false })
        })
    }
}

/// Counts an attempt on a client while it is in flight.
struct InFlightGuard<'a>(&'a CountedClient);

impl<'a> InFlightGuard<'a> {
    fn take(client: &'a CountedClient) -> Self {
        client.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(client)
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn builder(settings: &TransportSettings) -> Result<ClientBuilder, TransportError> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .tcp_nodelay(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(connection_window(settings.concurrency))
        .tls_danger_accept_invalid_certs(settings.insecure);
    if let Some(pem) = &settings.ca_cert {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|e| TransportError::CaCert(text(e)))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(proxy) = &settings.proxy {
        if !is_proxy_scheme(proxy.expose_secret()) {
            let schemes = PROXY_SCHEMES.join(", ");
            return Err(TransportError::Proxy(format!("its scheme is none of {schemes}")));
        }
        let proxy = Proxy::all(proxy.expose_secret()).map_err(|e| TransportError::Proxy(text(e)))?;
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

/// Past a proxy of any other scheme reqwest would go directly, without a word.
#[must_use]
pub fn is_proxy_scheme(address: &str) -> bool {
    address
        .split_once("://")
        .is_none_or(|(scheme, _)| PROXY_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)))
}

/// The client that is kept there, made where there is none yet.
fn get_or_build(
    place: &OnceLock<Client>,
    make: impl FnOnce() -> Result<Client, TransportError>,
) -> Result<Client, TransportError> {
    match place.get() {
        Some(client) => Ok(client.clone()),
        None => make().map(|client| place.get_or_init(|| client).clone()),
    }
}

fn program_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let agent = concat!("skufetch/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(super::decode::ACCEPTED));
    headers
}

/// The program's headers, replaced by the user's where the name is the same.
fn same_origin_headers(settings: &TransportSettings) -> HeaderMap {
    let mut headers = program_headers();
    for name in settings.headers.keys() {
        headers.remove(name);
    }
    for name in settings.headers.keys() {
        let mut values = settings.headers.get_all(name).iter();
        if let (Some(value), None) = (values.next(), values.next()) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

fn repeated_headers(headers: &HeaderMap) -> HeaderMap {
    let is_repeated = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_some();
    headers.iter().filter(|(name, _)| is_repeated(name)).map(|(n, v)| (n.clone(), v.clone())).fold(
        HeaderMap::new(),
        |mut repeated, (name, value)| {
            repeated.append(name, value);
            repeated
        },
    )
}

fn length(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok().and_then(crate::model::units::digits)
}
