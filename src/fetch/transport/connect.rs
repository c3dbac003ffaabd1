//! How a connection to the template's origin is opened, directly or through a proxy.

mod addresses;
mod http_tunnel;
mod proxy_error;
mod proxy_hop;
mod socks;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector, HttpInfo};
use tower::ServiceExt;

use super::HttpChoice;
use super::observed_io::ConnectionIo;
use addresses::PreferWorking;
use proxy_hop::{Hop, HopStream};

pub(super) use proxy_error::ProxyError;
pub(super) use proxy_hop::ProxyHop;

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

type Tcp = HttpConnector<PreferWorking>;

/// What connections to the template's origin are made with.
pub(super) struct ConnectorSettings {
    pub(super) origin: Uri,
    /// For an origin over TLS.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) proxy: Option<ProxyHop>,
    pub(super) http: HttpChoice,
    pub(super) connect_timeout: Duration,
}

/// Connects over TCP or through a proxy, and over TLS where there is a configuration for it.
pub(super) struct TcpConnector {
    origin: Uri,
    hop: Hop,
    tls: Option<HttpsConnector<Hop>>,
    http: HttpChoice,
    addresses: PreferWorking,
}

/// The server speaks HTTP/1.1, and `--http` requires HTTP/2.
#[derive(Debug)]
pub(super) struct NoHttp2;

impl fmt::Display for NoHttp2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server does not offer HTTP/2")
    }
}

impl Error for NoHttp2 {}

impl TcpConnector {
    pub(super) fn new(settings: ConnectorSettings) -> Self {
        let ConnectorSettings { origin, tls, proxy, http, connect_timeout } = settings;
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
        let hop = Hop { tcp, proxy: proxy.map(Arc::new) };
        let tls = tls.map(|config| HttpsConnector::from((hop.clone(), config)));
        Self { origin, hop, tls, http, addresses }
    }
}

impl Connect for TcpConnector {
    type Io = MaybeHttpsStream<HopStream>;

    async fn connect(&self) -> Result<(Self::Io, HttpVersion), ConnectError> {
        let origin = self.origin.clone();
        let io = match &self.tls {
            Some(tls) => tls.clone().oneshot(origin).await?,
            None => MaybeHttpsStream::Http(self.hop.clone().oneshot(origin).await?),
        };
        let connected = io.connected();
        let is_http2 = match self.tls {
            Some(_) => connected.is_negotiated_h2(),
            // Without TLS nothing is negotiated.
            None => self.http == HttpChoice::Http2,
        };
        if self.http == HttpChoice::Http2 && !is_http2 {
            return Err(NoHttp2.into());
        }
        let mut extensions = http::Extensions::new();
        connected.get_extras(&mut extensions);
        if let Some(info) = extensions.get::<HttpInfo>() {
            self.addresses.worked(info.remote_addr().ip());
        }
        Ok((io, if is_http2 { HttpVersion::Http2 } else { HttpVersion::Http1 }))
    }
}
