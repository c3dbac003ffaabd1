//! HTTP over sockets: chooses the client for a request, bounds its time, and reads its answer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Uri;
use http::uri::InvalidUri;

use super::body::{BodyReader, UnreadAnswer};
use super::census::ServedConnections;
use super::connect::TcpConnector;
use super::direct::{DirectClient, DirectState, Route};
use super::headers::same_origin_headers;
use super::open_connections::OpenConnections;
use super::other_origins::OtherOrigins;
use super::pausable_timeout::{PausableTimeout, Timers};
use super::proxy::Proxy;
use super::send_error::no_client_certificate;
use super::trust::{self, Accepted, NoClientCertificate};
use super::{HttpChoice, RawAnswer, Reuse, SendError, Transport, TransportError, TransportSettings};
use crate::model::fault::ProxyProblem;
use crate::model::option::TIMEOUT;
use crate::model::{Cause, Fault, Request};

/// HTTP over sockets.
pub(crate) struct Http {
    settings: Arc<TransportSettings>,
    direct: DirectClient<TcpConnector>,
    others: OtherOrigins,
    bodies: BodyReader,
    timers: Timers,
    /// Whether any connection was ever opened, to the proxy where there is one.
    has_connected: Arc<AtomicBool>,
    served: ServedConnections,
    client_certificate: Arc<NoClientCertificate>,
    has_answered: AtomicBool,
    proxy: Option<Arc<Proxy>>,
}

impl Http {
    /// Sets up the clients; no connection is opened.
    ///
    /// # Errors
    /// An unreadable certificate, a proxy address that is none, no certificate authorities.
    pub(crate) fn new(settings: TransportSettings) -> Result<Self, TransportError> {
        let certificates = settings.ca_cert_pem.as_deref().map(trust::certificates).transpose()?;
        let accepted = if settings.connection.insecure {
            Accepted::Any
        } else {
            Accepted::Verified(certificates.unwrap_or_default())
        };
        let client_certificate = Arc::new(NoClientCertificate::default());
        let tls =
            |accepted, http| trust::config(accepted, http, Arc::clone(&client_certificate)).map(Arc::new);
        let origin: Uri =
            settings.origin.parse().map_err(|error: InvalidUri| TransportError::Origin(error.to_string()))?;
        let proxy = settings.proxies.proxy_for(&origin).cloned();
        let proxy_tls = match &proxy {
            Some(proxy) if proxy.speaks_tls() => Some(tls(accepted.clone(), HttpChoice::Http1)?),
            _ => None,
        };
        let trust = if settings.tls { Some(tls(accepted.clone(), settings.connection.http)?) } else { None };
        let open = OpenConnections::new(settings.concurrency);
        let shared = DirectState::new(Arc::clone(&open));
        let (served, has_connected) = (shared.served.clone(), Arc::clone(&shared.has_connected));
        let route = Route {
            origin,
            headers: same_origin_headers(&settings.headers),
            http: settings.connection.http,
            on_connected: settings.on_connected.clone(),
            proxy: proxy.clone(),
            tls: trust,
            proxy_tls,
        };
        let direct = DirectClient::for_origin(&settings.connection, route, shared)?;
        let settings = Arc::new(settings);
        let others = OtherOrigins::new(&settings, accepted, &open);
        let bodies = BodyReader::new(settings.max_body, Arc::default());
        let has_answered = AtomicBool::new(false);
        Ok(Self {
            settings,
            direct,
            others,
            bodies,
            timers: Timers::default(),
            has_connected,
            served,
            client_certificate,
            has_answered,
            proxy,
        })
    }

    /// The proxy for the template's origin, if there is one.
    #[must_use]
    pub(crate) fn proxy(&self) -> Option<&Arc<Proxy>> {
        self.proxy.as_ref()
    }

    /// With a counter of the bytes of answers that wait for the disk: while they are many, no large body is read.
    #[must_use]
    pub(crate) fn with_pending_bytes(mut self, pending_bytes: Arc<AtomicUsize>) -> Self {
        self.bodies = BodyReader::new(self.settings.max_body, pending_bytes);
        self
    }

    /// The number of connections that the server serves at a time, as it is learnt.
    #[must_use]
    pub(crate) fn served_connections(&self) -> ServedConnections {
        self.served.clone()
    }

    /// With TLS 1.3 a server refuses a missing client certificate after the handshake, and may end the connection
    /// before its alert is read.
    fn explained(&self, error: SendError) -> SendError {
        let is_lost = matches!(error.fault.cause, Cause::Connect | Cause::Lost);
        if is_lost && self.client_certificate.was_asked() && !self.has_answered.load(Ordering::Relaxed) {
            return no_client_certificate();
        }
        error
    }

    async fn attempt(
        &self,
        request: &Request,
        reuse: Reuse,
        timeout: &PausableTimeout,
    ) -> Result<RawAnswer, SendError> {
        if !request.cross_origin {
            let exchange = self.direct.send(request, reuse).await.map_err(|error| self.explained(error))?;
            if !self.has_answered.load(Ordering::Relaxed) {
                self.has_answered.store(true, Ordering::Relaxed);
            }
            let mut answer = UnreadAnswer::Direct(exchange);
            return self.bodies.read(&mut answer, &request.method, timeout).await;
        }
        // Boxed: otherwise the usual attempt's future would be as large as this one.
        Box::pin(async {
            let client = self.others.client(&request.url)?;
            let mut answer = match &client {
                Some(client) => UnreadAnswer::Direct(client.send(request, reuse).await?),
                None => UnreadAnswer::General(self.others.send_by_general(request).await?),
            };
            self.bodies.read(&mut answer, &request.method, timeout).await
        })
        .await
    }
}

impl Transport for Http {
    fn begin_turn(&self) {
        self.direct.begin_turn();
    }

    async fn send(&self, request: &Request, reuse: Reuse) -> Result<RawAnswer, SendError> {
        let timeout = PausableTimeout::new(self.settings.connection.timeout);
        let attempt = pin!(self.attempt(request, reuse, &timeout));
        timeout.bound(attempt, &self.timers).await.unwrap_or_else(|| {
            let limit = humantime::format_duration(self.settings.connection.timeout);
            // --timeout may be shorter than --connect-timeout.
            let unproven = self.direct.unproven_proxy().filter(|_| !request.cross_origin);
            if let Some(proxy) = unproven {
                let detail = format!("no answer arrived through the proxy {proxy} within {TIMEOUT} {limit}");
                let cause = Cause::Proxy(ProxyProblem::NoConnection);
                return Err(SendError::counted(Fault::new(cause, detail)));
            }
            let fault = match &self.proxy {
                _ if self.has_connected.load(Ordering::Relaxed) => {
                    Fault::new(Cause::Timeout, format!("no complete answer within {TIMEOUT} {limit}"))
                }
                Some(proxy) => {
                    let detail = format!("no connection through the proxy {proxy} within {TIMEOUT} {limit}");
                    Fault::new(Cause::Proxy(ProxyProblem::NoConnection), detail)
                }
                None => Fault::new(Cause::Connect, format!("no connection within {TIMEOUT} {limit}")),
            };
            Err(SendError::counted(fault))
        })
    }
}
