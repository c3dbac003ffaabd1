//! The client for everything that the direct one does not carry: SOCKS and HTTPS proxies, other origins, user-info in the address, and
//! certificates that are not verified. It is reqwest.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Certificate, Client, ClientBuilder, Proxy};
use secrecy::ExposeSecret;
use tower::util::MapResponseLayer;

use super::exchange::is_ended_by_close;
use super::headers::{program_headers, repeated_headers, same_origin_headers};
use super::http2::{STREAM_WINDOW, connection_window};
use super::send_error::{SendStage, is_tls_end, reqwest_error, text};
use super::{OnConnected, Reuse, SendError, TransportError, TransportSettings, trust};
use crate::model::{Cause, Fault, Request};

/// Streams that one HTTP/2 connection is expected to carry.
///
/// A server may allow fewer streams than `--concurrency` asks for; reqwest queues the rest, and does not report what is
/// allowed. RFC 9113, section 6.5.2, recommends that servers allow at least 100; servers that allow 10 are seen. With
/// eight a connection, all of them reach the concurrency.
const STREAMS_PER_CONNECTION: usize = 8;

/// Most clients that spread HTTP/2 streams; past it, each carries more.
const MAX_CLIENTS: usize = 64;

/// The schemes of a proxy's address.
pub(crate) const PROXY_SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Whether a proxy's address has one of the [`PROXY_SCHEMES`], or none. With any other scheme reqwest would connect
/// directly, without an error.
#[must_use]
pub(crate) fn is_proxy_scheme(address: &str) -> bool {
    address
        .split_once("://")
        .is_none_or(|(scheme, _)| PROXY_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)))
}

/// Whether reqwest uses this value of a standard variable as a proxy. It ignores any other without an error.
#[must_use]
pub(crate) fn is_proxy_of_environment(value: &str) -> bool {
    let any_url = Uri::from_static("http://api.example.com");
    Matcher::builder().http(value).build().intercept(&any_url).is_some()
}

/// Sends requests through reqwest. Clients are built when they are first needed.
pub(super) struct GeneralClient {
    settings: Arc<TransportSettings>,
    trust: Option<Arc<rustls::ClientConfig>>,
    /// The user's headers with several values, which a client's default headers cannot hold.
    repeated: HeaderMap,
    same_origin: Vec<CountedClient>,
    cross_origin: OnceLock<Client>,
    /// Clients that keep no connection: for the same origin, and for others.
    unpooled: [OnceLock<Client>; 2],
    /// Connections that reqwest opened.
    opened: Arc<AtomicUsize>,
}

/// One client, and so one HTTP/2 connection, with the number of attempts on it.
struct CountedClient {
    client: OnceLock<Client>,
    in_flight: AtomicUsize,
}

/// Counts an attempt on a client until it is dropped.
pub(super) struct InFlightGuard<'a>(&'a CountedClient);

impl<'a> InFlightGuard<'a> {
    fn new(client: &'a CountedClient) -> Self {
        client.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(client)
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer whose body is being read.
pub(super) struct GeneralExchange<'a> {
    pub(super) response: reqwest::Response,
    _in_flight: Option<InFlightGuard<'a>>,
}

impl GeneralExchange<'_> {
    /// The next piece of the body, or none at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        match self.response.chunk().await {
            // As over plain HTTP: the body shows whether it is whole.
            Err(error) if is_tls_end(&error) && self.is_ended_by_close() => Ok(None),
            next => next.map_err(|error| reqwest_error(error, SendStage::Body, None)),
        }
    }

    /// Whether only the end of the connection shows where the body ends.
    pub(super) fn is_ended_by_close(&self) -> bool {
        is_ended_by_close(self.response.version(), self.response.status(), self.response.headers())
    }
}

impl GeneralClient {
    pub(super) fn new(settings: Arc<TransportSettings>, trust: Option<Arc<rustls::ClientConfig>>) -> Self {
        let clients = if settings.tls {
            settings.concurrency.div_ceil(STREAMS_PER_CONNECTION).clamp(1, MAX_CLIENTS)
        } else {
            1
        };
        let counted = || CountedClient { client: OnceLock::new(), in_flight: AtomicUsize::new(0) };
        Self {
            repeated: repeated_headers(&settings.headers),
            settings,
            trust,
            same_origin: (0..clients).map(|_| counted()).collect(),
            cross_origin: OnceLock::new(),
            unpooled: Default::default(),
            opened: Arc::default(),
        }
    }

    /// Builds the first client.
    ///
    /// # Errors
    /// An unreadable certificate, a proxy address that is none, no certificate authorities.
    pub(super) fn check(&self) -> Result<(), TransportError> {
        self.client_of(&self.same_origin[0]).map(drop)
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// No connection, or one that failed before the head was complete.
    pub(super) async fn send(
        &self,
        request: &Request,
        reuse: Reuse,
    ) -> Result<GeneralExchange<'_>, SendError> {
        let (client, in_flight) = match reuse {
            Reuse::Never => (self.unpooled_client(request.cross_origin), None),
            Reuse::Allowed | Reuse::On(_) if request.cross_origin => (self.cross_origin_client(), None),
            Reuse::Allowed | Reuse::On(_) => {
                let counted = self.least_loaded();
                (self.client_of(counted), Some(InFlightGuard::new(counted)))
            }
        };
        // One like it was built before: only the system can have run out of something since.
        let client =
            client.map_err(|error| SendError::counted(Fault::new(Cause::Connect, error.to_string())))?;
        let response = self.execute(&client, request).await?;
        Ok(GeneralExchange { response, _in_flight: in_flight })
    }

    /// Executes, and observes whether that opens the connection: the poll during which the count of opened
    /// connections rises belongs to the request that gets the connection, or to one of several over HTTP/2.
    async fn execute(&self, client: &Client, request: &Request) -> Result<reqwest::Response, SendError> {
        let mut stage = SendStage::IdleHead;
        let mut execution = pin!(async { client.execute(self.outgoing(client, request)?).await });
        let response = poll_fn(|cx| {
            let before = self.opened.load(Ordering::Relaxed);
            let polled = execution.as_mut().poll(cx);
            if self.opened.load(Ordering::Relaxed) != before {
                stage = SendStage::FirstHead;
            }
            polled
        })
        .await;
        response.map_err(|error| reqwest_error(error, stage, Some(self.settings.connection.connect_timeout)))
    }

    /// The request with the headers of its row. User-info in the address becomes Basic authorisation, unless the
    /// user gave another.
    fn outgoing(&self, client: &Client, request: &Request) -> reqwest::Result<reqwest::Request> {
        let (method, url) = (request.method.clone(), request.url.clone());
        let has_user_info = !url.username().is_empty() || url.password().is_some();
        let mut outgoing = if has_user_info {
            let mut outgoing = client.request(method, url).build()?;
            if self.settings.headers.contains_key(AUTHORIZATION)
                || request.headers.contains_key(AUTHORIZATION)
            {
                outgoing.headers_mut().remove(AUTHORIZATION);
            }
            outgoing.headers_mut().extend(request.headers.clone());
            outgoing
        } else {
            let mut outgoing = reqwest::Request::new(method, url);
            *outgoing.headers_mut() = request.headers.clone();
            outgoing
        };
        if !request.cross_origin {
            for (name, value) in &self.repeated {
                outgoing.headers_mut().append(name, value.clone());
            }
        }
        if let Some(body) = &request.body {
            *outgoing.body_mut() = Some(body.clone().into());
        }
        Ok(outgoing)
    }

    /// The client for the next attempt: the first that is not full, so that few attempts share few connections; the
    /// emptiest when all are full.
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
            self.build(&same_origin_headers(&self.settings), self.settings.concurrency, true)
        })
    }

    /// The client for other origins: it carries no header that the user gave.
    fn cross_origin_client(&self) -> Result<Client, TransportError> {
        get_or_build(&self.cross_origin, || self.build(&program_headers(), self.settings.concurrency, false))
    }

    /// A client that opens a connection for every request.
    fn unpooled_client(&self, cross_origin: bool) -> Result<Client, TransportError> {
        let headers = || if cross_origin { program_headers() } else { same_origin_headers(&self.settings) };
        get_or_build(&self.unpooled[usize::from(cross_origin)], || self.build(&headers(), 0, !cross_origin))
    }

    /// A client that sends these headers and keeps so many idle connections. `reports` says whether its connections
    /// are reported: only those to the template's origin are.
    fn build(&self, headers: &HeaderMap, idle: usize, reports: bool) -> Result<Client, TransportError> {
        let builder = || {
            let builder = builder(&self.settings)?.connector_layer(self.counter(reports));
            Ok::<_, TransportError>(builder.pool_max_idle_per_host(idle).default_headers(headers.clone()))
        };
        let tls = |error| TransportError::Tls(text(error));
        if let Some(trust) = &self.trust {
            return builder()?.tls_backend_preconfigured(trust.as_ref().clone()).build().map_err(tls);
        }
        match builder()?.build() {
            Ok(client) => Ok(client),
            Err(error) if self.settings.tls => Err(tls(error)),
            // No certificate authorities on this machine: plain HTTP needs none.
            Err(_) => builder()?.tls_backend_preconfigured(trust::no_authority()?).build().map_err(tls),
        }
    }

    /// Counts a client's new connections, and reports them.
    fn counter<C>(&self, reports: bool) -> MapResponseLayer<impl Fn(C) -> C + Clone + Send + Sync + 'static> {
        let (opened, OnConnected(report)) = (Arc::clone(&self.opened), self.settings.on_connected.clone());
        MapResponseLayer::new(move |connection| {
            opened.fetch_add(1, Ordering::Relaxed);
            if reports {
                report();
            }
            connection
        })
    }
}

fn builder(settings: &TransportSettings) -> Result<ClientBuilder, TransportError> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(settings.connection.connect_timeout)
        .tcp_nodelay(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(connection_window(settings.concurrency))
        .tls_danger_accept_invalid_certs(settings.connection.insecure);
    if let Some(pem) = &settings.ca_cert_pem {
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

/// The client in this cell, built where there is none yet.
fn get_or_build(
    cell: &OnceLock<Client>,
    build: impl FnOnce() -> Result<Client, TransportError>,
) -> Result<Client, TransportError> {
    match cell.get() {
        Some(client) => Ok(client.clone()),
        None => build().map(|client| cell.get_or_init(|| client).clone()),
    }
}
