//! The addresses of a host, and a connection to the first of them that answers.
//!
//! Of several addresses one may hang or refuse. They are tried one after the other, by both families in turn, the next
//! one when the one before has failed or has not answered for a while (RFC 8305). One that failed is tried last from
//! then on, so that no later connection waits for it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

/// An address that has not answered for so long is tried beside the next one: the delay that RFC 8305, section 5,
/// recommends.
const HEAD_START: Duration = Duration::from_millis(250);

type Resolve = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Finds the addresses of hosts, and remembers which of them failed. Clones share that.
#[derive(Clone)]
pub(super) struct Addresses {
    resolve: Arc<Resolve>,
    /// The newest failure comes last.
    failed: Arc<Mutex<Vec<IpAddr>>>,
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Addresses {
    /// Those that the system finds.
    pub(super) fn of_system() -> Self {
        Self::found_by(|host, port| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        })
    }

    pub(super) fn found_by(
        resolve: impl Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self { resolve: Arc::new(resolve), failed: Arc::default() }
    }

    /// The addresses of a host as it stands in a URL, in the order in which they are tried.
    pub(super) async fn find(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found = (self.resolve)(host.to_owned(), port).await?;
        Ok(ordered(&found, &self.failed()))
    }

    fn failed(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No connection of use came of this address.
    fn note_failed(&self, address: IpAddr) {
        let mut failed = self.failed();
        failed.retain(|other| *other != address);
        failed.push(address);
    }

    fn note_worked(&self, address: IpAddr) {
        self.failed().retain(|other| *other != address);
    }

    /// Connects to the first of these addresses that answers.
    ///
    /// # Errors
    /// That of the last address, where all failed.
    pub(super) async fn first_to_answer<T, E, F>(
        &self,
        addresses: Vec<SocketAddr>,
        connect: impl Fn(SocketAddr) -> F,
    ) -> Option<Result<(T, SocketAddr), E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let begin = |address| {
            let connecting = connect(address);
            async move { (address, connecting.await) }
        };
        let mut left = addresses.into_iter();
        let mut pending = Vec::new();
        let mut attempts = FuturesUnordered::new();
        let mut last_error = None;
        loop {
            if let Some(next) = left.next() {
                pending.push(next);
                attempts.push(begin(next));
            }
            let until = Instant::now() + HEAD_START;
            let ended = if left.len() == 0 {
                attempts.next().await
            } else {
                match tokio::time::timeout_at(until, attempts.next()).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                }
            };
            let (address, outcome) = match ended {
                Some(ended) => ended,
                None if left.len() == 0 => return last_error.map(Err),
                None => continue,
            };
            let at = pending.iter().position(|other| *other == address).unwrap_or(0);
            match outcome {
                Ok(connection) => {
                    // Those that were begun before are slower.
                    pending.drain(..at).for_each(|slow| self.note_failed(slow.ip()));
                    return Some(Ok((connection, address)));
                }
                Err(error) => {
                    pending.retain(|other| *other != address);
                    self.note_failed(address.ip());
                    last_error = Some(error);
                }
            }
        }
    }
}

/// The address that one new connection goes to. Where nothing comes of it, be it that TLS fails or that the time is over,
/// the address has failed.
#[derive(Clone, Debug)]
pub(super) struct ChosenAddress(Arc<ChosenState>);

#[derive(Debug)]
struct ChosenState {
    addresses: Addresses,
    address: OnceLock<IpAddr>,
    has_worked: OnceLock<()>,
}

impl ChosenAddress {
    pub(super) fn none_yet(addresses: &Addresses) -> Self {
        let (addresses, address, has_worked) = (addresses.clone(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(ChosenState { addresses, address, has_worked }))
    }

    /// The system has opened a connection to it.
    pub(super) fn choose(&self, address: IpAddr) {
        let _ = self.0.address.set(address);
    }

    /// The connection is of use.
    pub(super) fn worked(&self) {
        if let Some(address) = self.0.address.get() {
            self.0.addresses.note_worked(*address);
        }
        let _ = self.0.has_worked.set(());
    }
}

impl Drop for ChosenState {
    fn drop(&mut self) {
        if let Some(address) = self.address.get().filter(|_| self.has_worked.get().is_none()) {
            self.addresses.note_failed(*address);
        }
    }
}

/// In the order of the system, but by both families in turn, and those that failed last.
fn ordered(found: &[SocketAddr], failed: &[IpAddr]) -> Vec<SocketAddr> {
    let first_family = found.first().is_some_and(SocketAddr::is_ipv6);
    let of_family =
        |is_first: bool| found.iter().filter(move |a| (a.is_ipv6() == first_family) == is_first).copied();
    let (mut first, mut second) = (of_family(true), of_family(false));
    let mut in_turn: Vec<SocketAddr> = Vec::with_capacity(found.len());
    loop {
        let (a, b) = (first.next(), second.next());
        if a.is_none() && b.is_none() {
            break;
        }
        in_turn.extend(a.into_iter().chain(b));
    }
    in_turn
        .sort_by_key(|address| failed.iter().position(|other| *other == address.ip()).map_or(0, |at| at + 1));
    in_turn
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn all<const N: usize>(texts: [&str; N]) -> Vec<SocketAddr> {
        texts.map(|text| text.parse().unwrap()).to_vec()
    }

    fn addresses(found: &[SocketAddr]) -> Addresses {
        let found = found.to_vec();
        Addresses::found_by(move |_, _| {
            let found = found.clone();
            Box::pin(async move { Ok(found) })
        })
    }

    /// How the system behaves: an address hangs, refuses, has no route, or is connected to after a while.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Peer {
        Hangs,
        Refuses,
        Answers(Duration),
    }

    /// Opens a connection as the connector does; gives the address, and how long it took.
    async fn open(
        known: &Addresses,
        peers: &[(SocketAddr, Peer)],
    ) -> (Result<SocketAddr, &'static str>, Duration) {
        let began = Instant::now();
        let found = known.find("api.test", 80).await.unwrap();
        let peers = peers.to_vec();
        let opened = known
            .first_to_answer(found, |address| {
                let peer = peers.iter().find(|(known, _)| *known == address).unwrap().1;
                async move {
                    match peer {
                        Peer::Hangs => std::future::pending().await,
                        Peer::Refuses => Err("refused"),
                        Peer::Answers(after) => {
                            tokio::time::sleep(after).await;
                            Ok(())
                        }
                    }
                }
            })
            .await;
        (opened.unwrap().map(|((), address)| address), began.elapsed())
    }

    #[test]
    fn both_families_are_tried_in_turn_and_what_failed_last() {
        let found = all(["[2001:db8::1]:80", "[2001:db8::2]:80", "192.0.2.1:80", "192.0.2.2:80"]);
        let [a6, b6, a4, b4] = found[..] else { panic!() };
        for (failed, expected) in [
            (vec![], [a6, a4, b6, b4]),
            (vec![a6.ip()], [a4, b6, b4, a6]),
            (vec![a4.ip(), a6.ip()], [b6, b4, a4, a6]),
            (vec!["203.0.113.9".parse().unwrap()], [a6, a4, b6, b4]),
        ] {
            assert_eq!(ordered(&found, &failed), expected, "{failed:?}");
        }
        assert!(ordered(&[], &[]).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_hangs_or_refuses_delays_the_first_connection_only() {
        let found = all(["[2001:db8::1]:80", "192.0.2.1:80"]);
        let [bad, good] = found[..] else { panic!() };
        let quick = Duration::from_millis(20);
        for (fault, first) in [(Peer::Hangs, HEAD_START + quick), (Peer::Refuses, quick)] {
            let known = addresses(&found);
            let peers = [(bad, fault), (good, Peer::Answers(quick))];
            assert_eq!(open(&known, &peers).await, (Ok(good), first), "{fault:?}");
            for _ in 0..3 {
                assert_eq!(open(&known, &peers).await, (Ok(good), quick), "{fault:?}");
            }
            // It dies, and the other one is back.
            let peers = [(bad, Peer::Answers(quick)), (good, fault)];
            assert_eq!(open(&known, &peers).await, (Ok(bad), first), "{fault:?}");
            assert_eq!(open(&known, &peers).await, (Ok(bad), quick), "{fault:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_that_answers_first_stays_the_first() {
        let found = all(["192.0.2.1:80", "192.0.2.2:80"]);
        let (known, slow) = (addresses(&found), Duration::from_millis(400));
        let peers = [(found[0], Peer::Answers(slow)), (found[1], Peer::Answers(slow))];
        for _ in 0..2 {
            assert_eq!(open(&known, &peers).await, (Ok(found[0]), slow));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_answers_the_error_of_the_last_one_is_told() {
        let found = all(["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"]);
        let peers: Vec<_> = found.iter().map(|address| (*address, Peer::Refuses)).collect();
        assert_eq!(open(&addresses(&found), &peers).await, (Err("refused"), Duration::ZERO));
        let nothing = addresses(&[]).first_to_answer(Vec::new(), |_| async { Err::<(), _>(()) }).await;
        assert!(nothing.is_none());
    }

    #[tokio::test]
    async fn an_address_as_it_stands_is_not_looked_up() {
        let known = Addresses::found_by(|_, _| Box::pin(async { Err(io::Error::other("looked up")) }));
        assert_eq!(known.find("[::1]", 8080).await.unwrap(), all(["[::1]:8080"]));
        assert_eq!(known.find("127.0.0.1", 80).await.unwrap(), all(["127.0.0.1:80"]));
        assert!(known.find("localhost", 80).await.is_err());
    }

    #[test]
    fn an_address_of_which_nothing_comes_has_failed_until_it_works() {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let known = addresses(&[]);
        let chosen = ChosenAddress::none_yet(&known);
        drop(chosen);
        assert!(known.failed().is_empty());
        let chosen = ChosenAddress::none_yet(&known);
        chosen.clone().choose(address);
        drop(chosen);
        assert_eq!(*known.failed(), [address]);
        let chosen = ChosenAddress::none_yet(&known);
        chosen.choose(address);
        chosen.worked();
        drop(chosen);
        assert!(known.failed().is_empty());
    }
}
