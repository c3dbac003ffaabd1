//! The addresses of a host, the one that worked before first.
//!
//! Of several addresses one may hang. Each new connection would wait for it anew: for half of `--connect-timeout`, with
//! two of them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// The system's resolver, which puts the address that worked last before the others. Clones share it.
#[derive(Clone)]
pub(super) struct PreferWorking {
    system: GaiResolver,
    working: Arc<Mutex<Option<IpAddr>>>,
}

impl PreferWorking {
    pub(super) fn new() -> Self {
        Self { system: GaiResolver::new(), working: Arc::default() }
    }

    /// A connection to this address was opened.
    pub(super) fn worked(&self, address: IpAddr) {
        *self.working.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }
}

impl Service<Name> for PreferWorking {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.system.call(name);
        let working = *self.working.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(async move { Ok(ordered(found.await?.collect(), working).into_iter()) })
    }
}

fn ordered(mut addresses: Vec<SocketAddr>, working: Option<IpAddr>) -> Vec<SocketAddr> {
    // The order of the others is the system's.
    addresses.sort_by_key(|address| Some(address.ip()) != working);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_worked_is_tried_first_and_the_others_keep_their_order() {
        let all =
            ["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::3]:80"].map(|a| a.parse::<SocketAddr>().unwrap());
        let [first, second, third] = all;
        for (working, expected) in [
            (None, [first, second, third]),
            (Some(second.ip()), [second, first, third]),
            (Some(third.ip()), [third, first, second]),
            (Some("203.0.113.9".parse().unwrap()), [first, second, third]),
        ] {
            assert_eq!(ordered(all.to_vec(), working), expected);
        }
    }
}
