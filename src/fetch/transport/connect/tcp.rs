//! TCP to a host, over whichever of its addresses answers first.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, Ready, ready};
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::ConnectError;
use super::addresses::{Addresses, ChosenAddress};

/// TCP keep-alive as reqwest sets it: a peer that is gone is noticed within a minute.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Opens one connection.
#[derive(Clone)]
pub(super) struct Tcp {
    pub(super) addresses: Addresses,
    /// Where that connection goes.
    pub(super) chosen: ChosenAddress,
    pub(super) timeout: Duration,
}

impl Tcp {
    async fn open(self, to: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let host = to.host().ok_or_else(|| io::Error::other("the address has no host"))?;
        let default_port = if to.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let found = self.addresses.find(host, to.port_u16().unwrap_or(default_port)).await?;
        let connect = |address| connector(address, self.timeout).oneshot(to.clone());
        let Some(opened) = self.addresses.first_to_answer(found, connect).await else {
            return Err(io::Error::other(format!("{host} has no address")).into());
        };
        let (stream, address) = opened?;
        self.chosen.choose(address.ip());
        Ok(stream)
    }
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().open(to))
    }
}

/// A resolver whose answer is known.
#[derive(Clone)]
struct OneAddress(SocketAddr);

impl Service<Name> for OneAddress {
    type Response = std::iter::Once<SocketAddr>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(std::iter::once(self.0)))
    }
}

fn connector(address: SocketAddr, timeout: Duration) -> HttpConnector<OneAddress> {
    let mut tcp = HttpConnector::new_with_resolver(OneAddress(address));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    tcp.set_connect_timeout(Some(timeout));
    tcp
}
