//! What a server has seen: every request with its bytes and its instant, and how many at once.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

/// One request, as it was when its head and body had been read.
#[derive(Debug)]
pub struct Seen {
    /// Its place among all requests, from 0.
    pub number: usize,
    /// The connection it arrived on, from 0.
    pub connection: usize,
    /// Its place on that connection, from 0.
    pub on_connection: usize,
    /// Requests in flight when it arrived, itself among them.
    pub in_flight: usize,
    /// How many requests for this SKU there were, itself among them.
    pub attempt: usize,
    /// When its head and body were complete.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// The target as it was in the request line (or in `:path`).
    pub target: String,
    /// The last segment of the target's path, decoded. It is the SKU, where that is in
    /// the path.
    pub sku: String,
    /// Names as they were sent, and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The bytes of the head, with the empty line that ends it; empty for HTTP/2.
    pub head: Vec<u8>,
    /// The bytes of the body.
    pub body: Vec<u8>,
    answered: OnceLock<Instant>,
}

impl Seen {
    /// The first header of this name (in any case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).first().copied()
    }

    /// All headers of this name (in any case).
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        named.map(|(_, value)| str::from_utf8(value).expect("a header in UTF-8")).collect()
    }

    /// The path of the target, still encoded.
    pub fn path(&self) -> &str {
        path_and_query(&self.target).0
    }

    /// The query of the target, still encoded.
    pub fn query(&self) -> Option<&str> {
        path_and_query(&self.target).1
    }

    /// The decoded value of this name in the query, with `+` unchanged.
    pub fn query_value(&self, name: &str) -> Option<Vec<u8>> {
        let pairs = self.query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(given, _)| percent_decode(given) == name.as_bytes())
            .map(|(_, v)| percent_decode(v))
            .next()
    }

    /// The decoded segments of the path.
    pub fn segments(&self) -> Vec<Vec<u8>> {
        self.path().split('/').skip(1).map(percent_decode).collect()
    }

    /// When the last byte of the answer was written; `None` while it is not. A client may have read
    /// it a moment before this is known: wait until nothing is in flight.
    pub fn answered(&self) -> Option<Instant> {
        self.answered.get().copied()
    }
}

/// What of a request is its own.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
}

/// The book that a server keeps.
#[derive(Default)]
pub(super) struct Log(Mutex<Book>);

/// All that was seen.
#[derive(Default)]
pub(super) struct Book {
    pub(super) seen: Vec<Arc<Seen>>,
    pub(super) stray: Vec<u8>,
    pub(super) turned_away: usize,
    pub(super) abandoned: usize,
    pub(super) failed_handshakes: usize,
    pub(super) connections: usize,
    /// The client's address of each open connection.
    open: HashSet<SocketAddr>,
    /// While they are watched.
    pub(super) most_open: Option<usize>,
    pub(super) in_flight: usize,
    pub(super) most_in_flight: usize,
    attempts: HashMap<String, usize>,
}

impl Log {
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    /// Takes note of a connection; dropped, it is closed.
    pub(super) fn connect(self: &Arc<Self>, stream: &TcpStream) -> Connection {
        let client = stream.peer_addr().expect("the address of a client");
        let mut book = self.book();
        let number = book.connections;
        book.connections += 1;
        book.open.insert(client);
        if let Some(most) = book.most_open
            && book.open.len() > most
        {
            // The client may have closed others before it opened this one, and this server not have read that yet.
            let open = established(&book.open, stream).unwrap_or(book.open.len());
            book.most_open = Some(most.max(open));
        }
        Connection { log: Arc::clone(self), number, client }
    }

    /// Takes note of a request; the second value is dropped when it is no longer in flight.
    pub(super) fn arrive(self: &Arc<Self>, parts: Parts, at: (usize, usize)) -> (Arc<Seen>, InFlight) {
        let mut book = self.book();
        book.in_flight += 1;
        book.most_in_flight = book.most_in_flight.max(book.in_flight);
        let last = path_and_query(&parts.target).0.rsplit('/').next().unwrap_or_default();
        let sku = String::from_utf8_lossy(&percent_decode(last)).into_owned();
        let attempt = book.attempts.entry(sku.clone()).or_default();
        *attempt += 1;
        let seen = Arc::new(Seen {
            attempt: *attempt,
            number: book.seen.len(),
            connection: at.0,
            on_connection: at.1,
            in_flight: book.in_flight,
            at: Instant::now(),
            method: parts.method,
            target: parts.target,
            sku,
            headers: parts.headers,
            head: parts.head,
            body: parts.body,
            answered: OnceLock::new(),
        });
        book.seen.push(Arc::clone(&seen));
        (Arc::clone(&seen), InFlight { log: Arc::clone(self), seen })
    }
}

/// How many of these clients have not closed their connections to this server, if the system tells.
fn established(clients: &HashSet<SocketAddr>, stream: &TcpStream) -> Option<usize> {
    const ESTABLISHED: &str = "01";
    let server = stream.local_addr().ok()?.port();
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let open: HashSet<u16> = table
        .lines()
        .filter_map(|line| match line.split_whitespace().skip(1).take(3).collect::<Vec<_>>()[..] {
            [local, remote, ESTABLISHED] if port(local)? == server => port(remote),
            _ => None,
        })
        .collect();
    Some(clients.iter().filter(|client| open.contains(&client.port())).count())
}

impl Book {
    /// Connections that are open now.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// The most requests that arrived in any window of this length.
    pub(super) fn busiest(&self, window: Duration) -> usize {
        let (mut first, mut most) = (0, 0);
        for (n, seen) in self.seen.iter().enumerate() {
            while seen.at - self.seen[first].at > window {
                first += 1;
            }
            most = most.max(n + 1 - first);
        }
        most
    }
}

/// An open connection.
pub(super) struct Connection {
    log: Arc<Log>,
    pub(super) number: usize,
    client: SocketAddr,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.log.book().open.remove(&self.client);
    }
}

/// A request in flight. One that was not [`answered`](Self::answered) counts as abandoned.
pub(super) struct InFlight {
    log: Arc<Log>,
    seen: Arc<Seen>,
}

impl InFlight {
    /// The last byte of the answer is written.
    pub(super) fn answered(self) {
        let _ = self.seen.answered.set(Instant::now());
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut book = self.log.book();
        book.in_flight -= 1;
        book.abandoned += usize::from(self.seen.answered().is_none());
    }
}

/// Splits a target, in whichever form (`/path?query`, `http://host/path?query`, `host:port`).
fn path_and_query(target: &str) -> (&str, Option<&str>) {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => &rest[rest.find(['/', '?']).unwrap_or(rest.len())..],
        _ => target,
    };
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// The bytes of a percent-encoded text; a `%` without two digits is literal.
pub fn percent_decode(text: &str) -> Vec<u8> {
    let digit =
        |byte: Option<&u8>| char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (mut rest, mut out) = (text.as_bytes(), Vec::new());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                rest = &after[2..];
            }
            _ => out.push(first),
        }
    }
    out
}
