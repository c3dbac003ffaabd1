//! A server that keeps its time: every answer leaves so long after its request came, and every arrival is
//! noted.
//!
//! `clockwork [--delay MILLISECONDS] [--body BYTES] [--apart yes|no] [--log FILE]` listens on a free port of
//! loopback, prints `HOST:PORT`, and serves plain HTTP/1.1 GETs until its standard input ends, so that it cannot
//! outlive whoever started it. The log then has a line for each event, in nanoseconds of `CLOCK_MONOTONIC`: `accept
//! TIME` and `request TIME`. With `--apart yes` head and body are written apart and without `TCP_NODELAY`, as many
//! servers do: the system then holds the body back until the head is acknowledged.
//!
//! One thread and epoll. All delays are equal, so answers are due in the order of their requests and a
//! queue is the whole timer; epoll waits to the nanosecond, where an async runtime's timers tick in
//! milliseconds and would be late by a percent of 100 ms.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use memchr::memmem::Finder;
use rustix::event::{Timespec, epoll};
use rustix::time::{ClockId, clock_gettime};

const LISTENER: u64 = 0;
const PARENT: u64 = 1;
const FIRST_CONNECTION: u64 = 2;

/// What is done of one kind before the others have their turn: a request that is read late is answered late, and
/// that would be laid to the client's charge.
const AT_A_TIME: usize = 16;

fn main() {
    let asked = Asked::read();
    let mut server = Server::new(&asked).expect("a listener on loopback");
    println!("{}", server.listener.local_addr().expect("an address"));
    server.run().expect("epoll works");
    if let Some(file) = asked.log {
        std::fs::write(file, server.log).expect("the log can be written");
    }
}

struct Asked {
    delay: u64,
    body: usize,
    is_apart: bool,
    log: Option<String>,
}

impl Asked {
    fn read() -> Self {
        let mut asked = Self { delay: 0, body: 1200, is_apart: false, log: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            let value = arguments.next().expect("every option has a value");
            match option.as_str() {
                "--delay" => asked.delay = value.parse::<u64>().expect("milliseconds") * 1_000_000,
                "--body" => asked.body = value.parse().expect("bytes"),
                "--apart" => asked.is_apart = value == "yes",
                "--log" => asked.log = Some(value),
                _ => panic!(
                    "usage: clockwork [--delay MILLISECONDS] [--body BYTES] [--apart yes|no] [--log FILE]"
                ),
            }
        }
        asked
    }
}

struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    connections: HashMap<u64, Connection>,
    next: u64,
    /// Answers that are owed: when, and to which connection.
    due: VecDeque<(u64, u64)>,
    delay: u64,
    /// What is written at once, in order.
    answer: Vec<Vec<u8>>,
    is_apart: bool,
    end_of_head: Finder<'static>,
    log: String,
}

struct Connection {
    stream: TcpStream,
    /// What came of a request whose end has not come.
    begun: Vec<u8>,
}

impl Server {
    fn new(asked: &Asked) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        rustix::net::listen(&listener, 4096)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        epoll::add(&epoll, io::stdin(), epoll::EventData::new_u64(PARENT), epoll::EventFlags::IN)?;
        let (head, body) = answer(asked.body);
        Ok(Self {
            listener,
            epoll,
            connections: HashMap::new(),
            next: FIRST_CONNECTION,
            due: VecDeque::new(),
            delay: asked.delay,
            answer: if asked.is_apart { vec![head, body] } else { vec![[head, body].concat()] },
            is_apart: asked.is_apart,
            end_of_head: Finder::new(b"\r\n\r\n"),
            log: String::new(),
        })
    }

    /// Serves until standard input ends.
    fn run(&mut self) -> io::Result<()> {
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); AT_A_TIME];
        loop {
            let wait = self.due.front().map(|(at, _)| timespec(at.saturating_sub(now())));
            let (events, _) = match epoll::wait(&self.epoll, &mut space, wait.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            for event in events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    PARENT => {
                        if io::stdin().read(&mut [0; 64])? == 0 {
                            return Ok(());
                        }
                    }
                    connection => self.read(connection),
                }
            }
            for _ in 0..AT_A_TIME {
                let Some((_, connection)) = self.due.pop_front_if(|(at, _)| *at <= now()) else { break };
                self.write(connection);
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..AT_A_TIME {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.note("accept");
            stream.set_nonblocking(true)?;
            stream.set_nodelay(!self.is_apart)?;
            let data = epoll::EventData::new_u64(self.next);
            epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
            self.connections.insert(self.next, Connection { stream, begun: Vec::new() });
            self.next += 1;
        }
        Ok(())
    }

    /// Takes what a connection sent; each end of a head is a request.
    fn read(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut space = [0; 4096];
        let came = match connection.stream.read(&mut space) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(0) | Err(_) => {
                self.connections.remove(&id);
                return;
            }
            Ok(came) => came,
        };
        connection.begun.extend_from_slice(&space[..came]);
        let mut requests = 0;
        while let Some(end) = self.end_of_head.find(&connection.begun) {
            connection.begun.drain(..end + 4);
            requests += 1;
        }
        for _ in 0..requests {
            self.note("request");
            self.due.push_back((now() + self.delay, id));
        }
    }

    /// Sends an answer. It is small and the client has read the one before, so that it fits into the
    /// socket's buffer; a connection that does not take it whole is closed.
    fn write(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for part in &self.answer {
            match connection.stream.write(part) {
                Ok(length) if length == part.len() => {}
                taken => {
                    eprintln!("an answer was not taken whole: {taken:?}");
                    self.connections.remove(&id);
                    return;
                }
            }
        }
    }

    fn note(&mut self, event: &str) {
        let _ = writeln!(self.log, "{event} {}", now());
    }
}

/// Nanoseconds of the monotonic clock.
#[allow(clippy::cast_sign_loss, reason = "the monotonic clock counts from the boot")]
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[allow(clippy::cast_possible_wrap, reason = "a delay, not a date")]
fn timespec(nanoseconds: u64) -> Timespec {
    Timespec { tv_sec: (nanoseconds / 1_000_000_000) as i64, tv_nsec: (nanoseconds % 1_000_000_000) as i64 }
}

fn answer(body: usize) -> (Vec<u8>, Vec<u8>) {
    let (open, close) = (r#"{"price":12.50,"text":""#, r#""}"#);
    let filling = "x".repeat(body.saturating_sub(open.len() + close.len()));
    let body = if filling.is_empty() { r#"{"p":1}"#.to_owned() } else { format!("{open}{filling}{close}") };
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    (head.into_bytes(), body.into_bytes())
}
