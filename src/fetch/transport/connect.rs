//! How a connection to the template's origin is opened.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::observed_io::ConnectionIo;

/// TCP keep-alive as reqwest sets it: a peer that is gone is noticed within a minute.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Which HTTP a new connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpVersion {
    Http1,
    Http2,
}

/// Why no connection was opened.
pub(super) type ConnectError = Box<dyn Error + Send + Sync>;

/// Opens connections to one origin. The pools are generic over it, so that tests run them over pipes in memory.
pub(super) trait Connect: Send + Sync {
    /// What the connections run over.
    type Io: ConnectionIo;

    /// Opens one, its TLS handshake done. The caller bounds the time.
    fn connect(&self) -> impl Future<Output = Result<(Self::Io, HttpVersion), ConnectError>> + Send;
}

/// Connects over TCP, and over TLS where there is a configuration for it.
pub(super) struct TcpConnector {
    origin: Uri,
    tcp: HttpConnector,
    tls: Option<HttpsConnector<HttpConnector>>,
}

impl TcpConnector {
    pub(super) fn new(
        origin: Uri,
        tls: Option<&Arc<rustls::ClientConfig>>,
        connect_timeout: Duration,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        tcp.set_connect_timeout(Some(connect_timeout));
        let tls = tls.map(|config| HttpsConnector::from((tcp.clone(), Arc::clone(config))));
        Self { origin, tcp, tls }
    }
}

impl Connect for TcpConnector {
    type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

    async fn connect(&self) -> Result<(Self::Io, HttpVersion), ConnectError> {
        let origin = self.origin.clone();
        let io = match &self.tls {
            Some(tls) => tls.clone().oneshot(origin).await?,
            None => MaybeHttpsStream::Http(self.tcp.clone().oneshot(origin).await?),
        };
        let is_http2 = io.connected().is_negotiated_h2();
        Ok((io, if is_http2 { HttpVersion::Http2 } else { HttpVersion::Http1 }))
    }
}
