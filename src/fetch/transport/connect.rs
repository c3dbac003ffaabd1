//! How a connection to the template's origin is opened, directly or through an HTTP proxy.

mod addresses;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector, HttpInfo};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::observed_io::ConnectionIo;
use addresses::PreferWorking;

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

/// An HTTP proxy.
#[derive(Debug, Clone)]
pub(super) struct HttpProxy {
    pub(super) address: Uri,
    /// The value of `Proxy-Authorization`.
    pub(super) credentials: Option<HeaderValue>,
}

type Tcp = HttpConnector<PreferWorking>;

/// What stands between this program and the origin.
enum Opener {
    /// TCP to the origin, or to a proxy to which whole addresses are sent.
    Plain(Tcp, Uri),
    Tls(HttpsConnector<Tcp>),
    TunnelledTls(HttpsConnector<Tunnel<Tcp>>),
}

/// Connects over TCP, and over TLS where there is a configuration for it.
pub(super) struct TcpConnector {
    origin: Uri,
    opener: Opener,
    addresses: PreferWorking,
}

impl TcpConnector {
    pub(super) fn new(
        origin: Uri,
        tls: Option<&Arc<rustls::ClientConfig>>,
        proxy: Option<HttpProxy>,
        connect_timeout: Duration,
    ) -> Self {
        let addresses = PreferWorking::new();
        let mut tcp = HttpConnector::new_with_resolver(addresses.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        tcp.set_connect_timeout(Some(connect_timeout));
        let opener = match (tls.cloned(), proxy) {
            (None, None) => Opener::Plain(tcp, origin.clone()),
            (None, Some(proxy)) => Opener::Plain(tcp, proxy.address),
            (Some(config), None) => Opener::Tls(HttpsConnector::from((tcp, config))),
            (Some(config), Some(proxy)) => {
                let mut tunnel = Tunnel::new(proxy.address, tcp);
                if let Some(credentials) = proxy.credentials {
                    tunnel = tunnel.with_auth(credentials);
                }
                Opener::TunnelledTls(HttpsConnector::from((tunnel, config)))
            }
        };
        Self { origin, opener, addresses }
    }
}

impl Connect for TcpConnector {
    type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

    async fn connect(&self) -> Result<(Self::Io, HttpVersion), ConnectError> {
        let origin = self.origin.clone();
        let io = match &self.opener {
            Opener::Plain(tcp, to) => MaybeHttpsStream::Http(tcp.clone().oneshot(to.clone()).await?),
            Opener::Tls(tls) => tls.clone().oneshot(origin).await?,
            Opener::TunnelledTls(tls) => tls.clone().oneshot(origin).await?,
        };
        let connected = io.connected();
        let is_http2 = connected.is_negotiated_h2();
        let mut extensions = http::Extensions::new();
        connected.get_extras(&mut extensions);
        if let Some(info) = extensions.get::<HttpInfo>() {
            self.addresses.worked(info.remote_addr().ip());
        }
        Ok((io, if is_http2 { HttpVersion::Http2 } else { HttpVersion::Http1 }))
    }
}
