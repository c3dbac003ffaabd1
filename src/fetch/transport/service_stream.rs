//! A connection to another server than the API: bytes, over TLS or not, with the same trust and never through a proxy.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect::{Connect as _, ConnectorSettings, TcpConnector};
use super::send_error::no_connection;
use super::trust::{self, Accepted, NoClientCertificate};
use super::{ConnectionSettings, HttpChoice, TransportError};

/// Opens connections to another server than the API.
pub(crate) struct ServiceConnector {
    tls: Arc<rustls::ClientConfig>,
    connect_timeout: Duration,
}

impl ServiceConnector {
    /// TLS trusts what it trusts for the API: `--ca-cert`, whose content is given, and `--insecure` count here too.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub(crate) fn new(
        settings: &ConnectionSettings,
        ca_cert_pem: Option<&[u8]>,
    ) -> Result<Self, TransportError> {
        let certificates = ca_cert_pem.map(trust::certificates).transpose()?.unwrap_or_default();
        let accepted = if settings.insecure { Accepted::Any } else { Accepted::Verified(certificates) };
        let mut tls = trust::config(accepted, HttpChoice::Http1, Arc::new(NoClientCertificate::default()))?;
        // No HTTP is spoken.
        tls.alpn_protocols.clear();
        Ok(Self { tls: Arc::new(tls), connect_timeout: settings.connect_timeout })
    }

    /// Opens one, its TLS handshake done.
    ///
    /// # Errors
    /// Why there is none, in words that may be shown.
    pub(crate) async fn connect(
        &self,
        (host, port): (&str, u16),
        tls: bool,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>, String> {
        let scheme = if tls { "https" } else { "http" };
        let origin: Result<Uri, _> = format!("{scheme}://{host}:{port}").parse();
        let connector = TcpConnector::new(ConnectorSettings {
            origin: origin.map_err(|error| error.to_string())?,
            tls: tls.then(|| Arc::clone(&self.tls)),
            proxy: None,
            http: HttpChoice::Http1,
            connect_timeout: self.connect_timeout,
        });
        let opened = connector.connect().await;
        let (stream, _) = opened
            .map_err(|error| no_connection(Some(error.as_ref()), self.connect_timeout).fault.to_string())?;
        Ok(TokioIo::new(stream))
    }
}
