//! How a connection to the template's origin is opened, directly or through a proxy.

mod addresses;
mod http_tunnel;
mod proxy_error;
mod proxy_hop;
mod socks;
mod tcp;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::Connection as _;
use tower::ServiceExt;

use super::HttpChoice;
use super::observed_io::ConnectionIo;
use addresses::{Addresses, ChosenAddress};
use proxy_hop::{Hop, HopStream};
use tcp::Tcp;

pub(super) use proxy_error::ProxyError;
pub(super) use proxy_hop::ProxyHop;

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
    proxy: Option<Arc<ProxyHop>>,
    tls: Option<Arc<rustls::ClientConfig>>,
    http: HttpChoice,
    connect_timeout: Duration,
    /// Of the origin, or of the proxy.
    addresses: Addresses,
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

impl ConnectionIo for MaybeHttpsStream<HopStream> {
    fn acknowledge(&self) {
        let hop = match self {
            Self::Http(hop) => hop,
            Self::Https(tls) => tls.inner().get_ref().0.inner(),
        };
        let tcp = match hop {
            HopStream::Http(tcp) => tcp.inner(),
            HopStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
        };
        // It saves time, and is no fault where it fails.
        #[cfg(target_os = "linux")]
        let _ = tcp.set_quickack(true);
        #[cfg(not(target_os = "linux"))]
        let _ = tcp;
    }
}

impl TcpConnector {
    pub(super) fn new(settings: ConnectorSettings) -> Self {
        let ConnectorSettings { origin, tls, proxy, http, connect_timeout } = settings;
        let (proxy, addresses) = (proxy.map(Arc::new), Addresses::of_system());
        Self { origin, proxy, tls, http, connect_timeout, addresses }
    }
}

impl Connect for TcpConnector {
    type Io = MaybeHttpsStream<HopStream>;

    async fn connect(&self) -> Result<(Self::Io, HttpVersion), ConnectError> {
        let origin = self.origin.clone();
        let (addresses, chosen) = (self.addresses.clone(), ChosenAddress::none_yet(&self.addresses));
        let tcp = Tcp { addresses, chosen: chosen.clone(), timeout: self.connect_timeout };
        let hop = Hop { tcp, proxy: self.proxy.clone() };
        let io = match &self.tls {
            Some(tls) => HttpsConnector::from((hop, Arc::clone(tls))).oneshot(origin).await?,
            None => MaybeHttpsStream::Http(hop.oneshot(origin).await?),
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
        chosen.worked();
        Ok((io, if is_http2 { HttpVersion::Http2 } else { HttpVersion::Http1 }))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::super::trust::{self, Accepted};
    use super::*;

    #[tokio::test]
    async fn an_address_that_accepts_and_says_nothing_is_tried_last_from_then_on() {
        // All of 127.0.0.0/8 is this machine.
        let silent = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let both = ["127.0.0.2", "127.0.0.1"].map(|ip| format!("{ip}:{port}").parse().unwrap());
        let tls = trust::config(Accepted::Any, HttpChoice::Http1, Arc::default()).unwrap();
        let mut connector = TcpConnector::new(ConnectorSettings {
            origin: "https://api.test".parse().unwrap(),
            tls: Some(Arc::new(tls)),
            proxy: None,
            http: HttpChoice::Http1,
            connect_timeout: Duration::from_secs(10),
        });
        connector.addresses = Addresses::found_by(move |_, _| Box::pin(async move { Ok(both.to_vec()) }));
        let found = async || connector.addresses.find("api.test", 443).await.unwrap();
        assert_eq!(found().await, both);
        let given_up = tokio::time::timeout(Duration::from_millis(100), connector.connect()).await;
        assert!(given_up.is_err());
        assert_eq!(found().await, [both[1], both[0]]);
        // Nothing listens there: the other one is tried, and now that one failed first.
        let given_up = tokio::time::timeout(Duration::from_millis(100), connector.connect()).await;
        assert!(given_up.is_err());
        assert_eq!(found().await, [both[1], both[0]]);
    }
}
