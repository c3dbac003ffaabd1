//! A server that is handed its connections as they are, for what no [`Reply`](super::Reply) can do.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use super::reply::echo_body;

/// A running server. Each connection has a thread, which ends with it.
pub struct RawServer {
    addr: SocketAddr,
    log: Arc<Mutex<Log>>,
}

/// How often each SKU was requested.
type Log = HashMap<String, usize>;

impl RawServer {
    /// Calls for each connection.
    pub fn start(talk: impl Fn(Socket) -> Option<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (addr, log) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Log::new())));
        let (talk, book) = (Arc::new(talk), Arc::clone(&log));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (talk, log) = (Arc::clone(&talk), Arc::clone(&book));
                let socket = Socket { stream: stream.unwrap(), log, unread: Vec::new() };
                thread::spawn(move || talk(socket));
            }
        });
        Self { addr, log }
    }

    /// Calls for each request, with its SKU and attempt, for as long as the function returns something.
    pub fn answering(
        answer: impl Fn(&mut Socket, &RawRequest) -> Option<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |mut socket| {
            loop {
                let request = socket.request()?;
                answer(&mut socket, &request)?;
            }
        })
    }

    /// `http://127.0.0.1:PORT` with this after it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Requests so far.
    pub fn count(&self) -> usize {
        self.log().values().sum()
    }

    /// Requests for one SKU.
    pub fn count_for(&self, sku: &str) -> usize {
        self.log().get(sku).copied().unwrap_or(0)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

/// A request.
pub struct RawRequest {
    pub sku: String,
    /// Which attempt at this SKU it is, from 1.
    pub attempt: usize,
}

/// One connection. What fails on it gives nothing.
pub struct Socket {
    stream: TcpStream,
    log: Arc<Mutex<Log>>,
    unread: Vec<u8>,
}

impl Socket {
    /// Reads the head of the next request, and the part of its body that arrives with it.
    pub fn head(&mut self) -> Option<RawRequest> {
        let end = loop {
            match memchr::memmem::find(&self.unread, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.read()?,
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let target = str::from_utf8(&head).unwrap().split(' ').nth(1).unwrap();
        let sku = target.rsplit('/').next().unwrap().to_owned();
        let mut log = self.log.lock().unwrap();
        let attempt = log.entry(sku.clone()).or_default();
        *attempt += 1;
        Some(RawRequest { attempt: *attempt, sku })
    }

    /// Reads a request without a body.
    pub fn request(&mut self) -> Option<RawRequest> {
        let request = self.head()?;
        assert!(self.unread.is_empty(), "more than one request at a time");
        Some(request)
    }

    fn read(&mut self) -> Option<()> {
        let mut part = [0; 8192];
        let part = match self.stream.read(&mut part) {
            Ok(n @ 1..) => &part[..n],
            _ => return None,
        };
        self.unread.extend_from_slice(part);
        Some(())
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> Option<()> {
        self.stream.write_all(bytes.as_ref()).ok()
    }

    /// A good answer, which follows from the SKU alone.
    pub fn echo(&mut self, request: &RawRequest) -> Option<()> {
        self.say(whole(&request.sku))
    }

    /// Says no more, but goes on reading.
    pub fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads until the client leaves.
    pub fn drain(&mut self) -> Option<()> {
        loop {
            self.read()?;
            self.unread.clear();
        }
    }
}

/// A good answer, as bytes.
pub fn whole(sku: &str) -> String {
    let body = echo_body(sku);
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
