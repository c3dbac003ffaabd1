//! HTTP over sockets: chooses the client for a request, bounds its time, and reads its answer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::body::{BodyReader, UnreadAnswer};
use super::census::ServedConnections;
use super::connect::TcpConnector;
use super::direct::DirectClient;
use super::general::GeneralClient;
use super::headers::{repeated_headers, same_origin_headers};
use super::pausable_timeout::PausableTimeout;
use super::send_error::no_client_certificate;
use super::trust::{self, NoClientCertificate};
use super::{OnConnected, RawAnswer, Reuse, SendError, Transport, TransportError, TransportSettings};
use crate::model::option::TIMEOUT;
use crate::model::{Cause, Fault, Request};

/// HTTP over sockets.
pub(crate) struct Http {
    settings: Arc<TransportSettings>,
    /// None where a proxy is used that is no HTTP proxy, and where certificates are not verified.
    direct: Option<DirectClient<TcpConnector>>,
    general: GeneralClient,
    bodies: BodyReader,
    /// Whether any connection was ever opened.
    has_connected: Arc<AtomicBool>,
    served: ServedConnections,
    client_certificate: Arc<NoClientCertificate>,
    has_answered: AtomicBool,
}

impl Http {
    /// Sets up the clients; no connection is opened.
    ///
    /// # Errors
    /// An unreadable certificate, a proxy address that is none, no certificate authorities.
    pub(crate) fn new(mut settings: TransportSettings) -> Result<Self, TransportError> {
        let has_connected = Arc::new(AtomicBool::new(false));
        let (OnConnected(report), flag) = (settings.on_connected.clone(), Arc::clone(&has_connected));
        settings.on_connected = OnConnected(Arc::new(move || {
            flag.store(true, Ordering::Relaxed);
            report();
        }));
        let certificates = settings.ca_cert_pem.as_deref().map(trust::certificates).transpose()?;
        let client_certificate = Arc::new(NoClientCertificate::default());
        let trust = if settings.tls && !settings.connection.insecure {
            Some(Arc::new(trust::verified(
                certificates.unwrap_or_default(),
                Arc::clone(&client_certificate),
            )?))
        } else {
            None
        };
        let mut headers = same_origin_headers(&settings);
        headers.extend(repeated_headers(&settings.headers));
        let served = ServedConnections::default();
        let direct = DirectClient::for_template(&settings, trust.as_ref(), headers, &served);
        let settings = Arc::new(settings);
        let general = GeneralClient::new(Arc::clone(&settings), trust);
        if direct.is_none() || settings.proxy.is_some() {
            // What is wrong with the settings is reported now, and not at the first request.
            general.check()?;
        }
        let bodies = BodyReader::new(settings.max_body, Arc::default());
        Ok(Self {
            settings,
            direct,
            general,
            bodies,
            has_connected,
            served,
            client_certificate,
            has_answered: AtomicBool::new(false),
        })
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
        if let Some(direct) = &self.direct
            && DirectClient::<TcpConnector>::serves(request)
        {
            let exchange = direct.send(request, reuse).await.map_err(|error| self.explained(error))?;
            if !self.has_answered.load(Ordering::Relaxed) {
                self.has_answered.store(true, Ordering::Relaxed);
            }
            let mut answer = UnreadAnswer::Direct(exchange);
            return self.bodies.read(&mut answer, &request.method, timeout).await;
        }
        // Boxed: otherwise the usual attempt's future would be as large as this one.
        Box::pin(async {
            let mut answer = UnreadAnswer::General(self.general.send(request, reuse).await?);
            self.bodies.read(&mut answer, &request.method, timeout).await
        })
        .await
    }
}

impl Transport for Http {
    async fn send(&self, request: &Request, reuse: Reuse) -> Result<RawAnswer, SendError> {
        let timeout = PausableTimeout::new(self.settings.connection.timeout);
        let attempt = pin!(self.attempt(request, reuse, &timeout));
        timeout.bound(attempt).await.unwrap_or_else(|| {
            let limit = humantime::format_duration(self.settings.connection.timeout);
            let fault = if self.has_connected.load(Ordering::Relaxed) {
                Fault::new(Cause::Timeout, format!("no complete answer within {TIMEOUT} {limit}"))
            } else {
                // --timeout may be shorter than --connect-timeout.
                Fault::new(Cause::Connect, format!("no connection within {TIMEOUT} {limit}"))
            };
            Err(SendError::counted(fault))
        })
    }
}
