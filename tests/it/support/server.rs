//! A server that does with each request as its script says, and remembers all of it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use skufetch::testing::demo::Server;

use super::log::{Log, Seen};
use super::tls::{Identity, Protocol};
use super::{Reply, Script, http1_bytes, tls};

/// A test that waits longer for a request hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// A running server; closed when dropped.
pub struct ScriptedServer {
    server: Server,
    scheme: &'static str,
    log: Arc<Log>,
}

impl ScriptedServer {
    /// Answers every request with [`Reply::echo`].
    pub fn echo() -> Self {
        Self::start(Reply::echo)
    }

    /// Answers by a script.
    pub fn script(script: Script) -> Self {
        Self::start(move |seen| script.reply(seen))
    }

    /// Answers by a function, which is called when a request has been read, one call at a time.
    pub fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), handler)
    }

    /// The same at a given address, such as that of a server that is gone.
    pub fn start_at(at: SocketAddr, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let (log, handler) = (Arc::new(Log::default()), Arc::new(handler));
        let book = Arc::clone(&log);
        wait_until_free(at);
        let server = Server::listen_at(at, move |stream| {
            let handler = Arc::clone(&handler);
            http1_bytes::converse(stream, Arc::clone(&log), move |seen| handler(seen))
        });
        Self { server: server.unwrap(), scheme: "http", log: book }
    }

    /// Answers over TLS.
    pub fn start_tls(
        identity: &Identity,
        protocol: Protocol,
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (log, handler) = (Arc::new(Log::default()), Arc::new(handler));
        let book = Arc::clone(&log);
        let acceptor = identity.acceptor(protocol);
        let server = Server::listen(move |stream| {
            let handler = Arc::clone(&handler);
            let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
            tls::converse(stream, acceptor, log, protocol, move |seen| handler(seen))
        });
        Self { server: server.unwrap(), scheme: "https", log: book }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// `http://127.0.0.1:PORT` with this after it, such as `/products/{sku}`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.addr())
    }

    /// All requests so far, as they arrived.
    pub fn requests(&self) -> Vec<Arc<Seen>> {
        self.log.book().seen.clone()
    }

    /// How many requests arrived so far.
    pub fn count(&self) -> usize {
        self.log.book().seen.len()
    }

    /// The requests for one SKU.
    pub fn requests_for(&self, sku: &str) -> Vec<Arc<Seen>> {
        let mut seen = self.requests();
        seen.retain(|seen| seen.sku == sku);
        seen
    }

    /// The requests that arrived after the first instant and before the second.
    pub fn requests_between(&self, from: Instant, to: Instant) -> Vec<Arc<Seen>> {
        let mut seen = self.requests();
        seen.retain(|seen| seen.at > from && seen.at < to);
        seen
    }

    /// The most requests that arrived in any window of this length.
    pub fn busiest(&self, window: Duration) -> usize {
        self.log.book().busiest(window)
    }

    /// Requests in flight now: read, and not yet answered to the last byte. A client may have read
    /// that byte a moment before this is known: wait for it to be 0.
    pub fn in_flight(&self) -> usize {
        self.log.book().in_flight
    }

    /// The most requests that were in flight at once. A request that the client gave up counts until
    /// the client has closed its connection.
    pub fn max_in_flight(&self) -> usize {
        self.log.book().most_in_flight
    }

    /// Requests whose client left before the answer was written.
    pub fn abandoned(&self) -> usize {
        self.log.book().abandoned
    }

    /// Connections that were turned away by [`Reply::close_on_next`].
    pub fn turned_away(&self) -> usize {
        self.log.book().turned_away
    }

    /// TLS handshakes that failed, such as those of clients that refuse the certificate.
    pub fn failed_handshakes(&self) -> usize {
        self.log.book().failed_handshakes
    }

    /// How many connections were opened so far (over TLS: whose handshake was done).
    pub fn connections(&self) -> usize {
        self.log.book().connections
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.log.book().open()
    }

    /// Counts from now on how many are open at once, which slows the server down.
    pub fn watch_connections(&self) {
        self.log.book().most_open = Some(0);
    }

    /// The most connections that were open at once while they were watched, without those that the client had closed.
    pub fn max_connections(&self) -> usize {
        self.log.book().most_open.expect("watch_connections")
    }

    /// All bytes received (over TLS: deciphered; over HTTP/2: none) and belong to no request that
    /// was understood and answered. With the heads and bodies of the requests they are all bytes.
    pub fn stray(&self) -> Vec<u8> {
        self.log.book().stray.clone()
    }

    /// Waits until so many requests have arrived.
    #[track_caller]
    pub fn wait_for(&self, requests: usize) {
        self.wait_until(|server| server.count() >= requests);
    }

    /// Waits until something holds; panics if that takes senselessly long.
    #[track_caller]
    pub fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < LIMIT, "still waiting, after {} requests", self.count());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// An address without a listener: connections to it are refused.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The address of a listener that never accepts: connections to it are neither made nor
/// refused, until the client's own time is up.
pub struct FullListener {
    addr: SocketAddr,
    _listener: tokio::net::TcpListener,
    _runtime: tokio::runtime::Runtime,
    _waiting: Vec<TcpStream>,
}

impl FullListener {
    /// Listens, and fills its own queue.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = {
            let _inside = runtime.enter();
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            socket.listen(0).unwrap()
        };
        let addr = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        // The kernel tries a second time after a second: less than that is one try.
        while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(200)) {
            waiting.push(stream);
        }
        Self { addr, _listener: listener, _runtime: runtime, _waiting: waiting }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Waits, for a while, until an address is free: a connection of another test may have got the port of a server that
/// is gone.
fn wait_until_free(at: SocketAddr) {
    for _ in 0..400 {
        match TcpListener::bind(at) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => thread::sleep(Duration::from_millis(50)),
            _ => return,
        }
    }
}
