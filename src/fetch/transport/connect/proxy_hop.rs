//! The way to the origin: TCP, or a connection through a proxy.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::super::proxy::{Proxy, ProxyProtocol};
use super::proxy_error::ProxyError;
use super::tcp::Tcp;
use super::{ConnectError, http_tunnel, socks};

/// TCP, or TLS to a proxy.
pub(super) type HopStream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A proxy as a connection goes through it.
pub(in super::super) struct ProxyHop {
    pub(in super::super) proxy: Arc<Proxy>,
    /// For a proxy that speaks TLS.
    pub(in super::super) tls: Option<Arc<rustls::ClientConfig>>,
    /// Whether a tunnel to the origin is opened; else the proxy takes whole addresses.
    pub(in super::super) is_tunnelled: bool,
}

impl ProxyHop {
    /// A connection to `origin`, or to the proxy.
    async fn open(&self, tcp: Tcp, origin: &Uri) -> Result<HopStream, ConnectError> {
        let proxy = &self.proxy;
        let address = proxy.uri().clone();
        let reached = match &self.tls {
            Some(config) => HttpsConnector::from((tcp, Arc::clone(config))).oneshot(address).await,
            None => tcp.oneshot(address).await.map(MaybeHttpsStream::Http),
        };
        let stream = reached.map_err(|error| ProxyError::unreachable(proxy, error))?;
        if !self.is_tunnelled {
            return Ok(stream);
        }
        let mut stream = TokioIo::new(stream);
        let host = origin.host().unwrap_or_default();
        let default_port = if origin.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let target = (host, origin.port_u16().unwrap_or(default_port));
        match proxy.protocol() {
            ProxyProtocol::Http | ProxyProtocol::Https => {
                http_tunnel::open(&mut stream, proxy, target).await?;
            }
            ProxyProtocol::Socks4 { .. } | ProxyProtocol::Socks5 { .. } => {
                socks::connect(&mut stream, proxy, target).await?;
            }
        }
        Ok(stream.into_inner())
    }
}

/// Opens connections to the origin, directly or through a proxy.
#[derive(Clone)]
pub(super) struct Hop {
    pub(super) tcp: Tcp,
    pub(super) proxy: Option<Arc<ProxyHop>>,
}

impl Service<Uri> for Hop {
    type Response = HopStream;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<HopStream, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, origin: Uri) -> Self::Future {
        let Self { tcp, proxy } = self.clone();
        Box::pin(async move {
            match proxy {
                Some(hop) => hop.open(tcp, &origin).await,
                None => Ok(MaybeHttpsStream::Http(tcp.oneshot(origin).await?)),
            }
        })
    }
}
