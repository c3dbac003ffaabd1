//! What a scripted server does with a request: a good answer, by default.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Seen;
use super::encode;

/// What to do with one request. Begins with a constructor; each method then changes one thing.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) kind: Kind,
    pub(super) wait: Duration,
    pub(super) capacity: Option<Capacity>,
    pub(super) informational: (u16, usize),
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) repeats: u64,
    pub(super) framing: Framing,
    pub(super) pause: Duration,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Head and body.
    Answer,
    /// The body is all that is sent, without a head of ours.
    Raw,
    /// Nothing, ever.
    Silence,
    /// Over HTTP/2: the stream is refused, unlooked at.
    Refused,
    /// 200, then whatever either side of the tunnel says.
    Tunnel(SocketAddr),
}

/// How the end of the body is made known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Framing {
    Length,
    /// A length that may be wrong.
    SaidLength(u64),
    Chunked,
    /// By the end of the connection.
    ToClose,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Keep,
    /// Closed after the answer, which says so.
    Close,
    /// Closed when it was idle for this long; the answer says nothing of it.
    Idle(Duration),
    /// Closed when the next request begins to arrive, which is not looked at.
    Next,
    /// Closed after so many bytes of the body.
    Cut(u64),
    /// Reset (RST) after so many bytes of the body.
    Reset(u64),
}

impl Reply {
    /// 200 with these bytes and no `Content-Type`.
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: Kind::Answer,
            wait: Duration::ZERO,
            capacity: None,
            informational: (100, 0),
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            repeats: 1,
            framing: Framing::Length,
            pause: Duration::ZERO,
            drip: None,
            end: End::Keep,
        }
    }

    /// 200 with this text, which may be JSON, as `application/json`.
    pub fn json(body: impl Into<String>) -> Self {
        Self::bytes(body.into()).header("Content-Type", "application/json")
    }

    /// 200 with `{"sku":…,"n":…}`, which follows from the SKU alone: an answer that was given to
    /// another is seen, and the same one is sent at every attempt.
    pub fn echo(seen: &Seen) -> Self {
        Self::json(echo_body(&seen.sku))
    }

    /// This status with a small JSON body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::json(format!("{{\"status\":{status}}}")) }
    }

    /// 429 or 503 and the like, with this `Retry-After`.
    pub fn retry_after(status: u16, value: &str) -> Self {
        Self::status(status).header("Retry-After", value)
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self { status, ..Self::bytes("") }.header("Location", location)
    }

    /// These bytes and nothing else, whatever they are; the connection is closed after them.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { kind: Kind::Raw, end: End::Close, framing: Framing::ToClose, ..Self::bytes(bytes) }
    }

    /// No answer; the connection stays open until the client leaves it.
    pub fn silence() -> Self {
        Self { kind: Kind::Silence, ..Self::bytes("") }
    }

    /// No answer; the connection is closed.
    pub fn hang_up() -> Self {
        Self::raw("")
    }

    /// No answer; the connection is reset.
    pub fn reset() -> Self {
        Self { end: End::Reset(0), ..Self::raw("") }
    }

    /// Over HTTP/2, no answer: the stream is reset with the promise that nothing was done. Otherwise it hangs up.
    pub fn refused() -> Self {
        Self { kind: Kind::Refused, ..Self::raw("") }
    }

    /// As an HTTP proxy answers `CONNECT`: 200, and from then on a pipe to that address.
    pub fn tunnel(to: SocketAddr) -> Self {
        Self { kind: Kind::Tunnel(to), ..Self::bytes("") }
    }

    /// Waits before the head.
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The wait is work: only so many can be at it at once, the others queue.
    pub fn through(self, capacity: &Capacity) -> Self {
        Self { capacity: Some(capacity.clone()), ..self }
    }

    /// Sends so many informational answers (such as 100 or 103) before the head.
    pub fn informational(self, status: u16, times: usize) -> Self {
        Self { informational: (status, times), ..self }
    }

    /// Sends this status.
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Adds a header field, beside others of its name.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends the body so many times over, without holding it all.
    pub fn repeated(self, repeats: u64) -> Self {
        Self { repeats, ..self }
    }

    /// Sends the body over and over, in chunks, until the client leaves.
    pub fn endless(self) -> Self {
        Self { repeats: u64::MAX, framing: Framing::Chunked, ..self }
    }

    /// Sends the body in chunks.
    pub fn chunked(self) -> Self {
        Self { framing: Framing::Chunked, ..self }
    }

    /// Sends the body without saying how long it is, and closes.
    pub fn until_close(self) -> Self {
        Self { framing: Framing::ToClose, end: End::Close, ..self }
    }

    /// Says that the body has this length, whatever it has.
    pub fn said_length(self, length: u64) -> Self {
        Self { framing: Framing::SaidLength(length), ..self }
    }

    /// Waits between head and body.
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Sends the body so many bytes at a time, with this wait after each.
    pub fn drip(self, bytes: usize, every: Duration) -> Self {
        Self { drip: Some((bytes, every)), ..self }
    }

    /// Closes after so many bytes of a body that says it is longer.
    pub fn cut(self, bytes: u64) -> Self {
        Self { end: End::Cut(bytes), ..self }
    }

    /// Resets after so many bytes of the body.
    pub fn reset_after(self, bytes: u64) -> Self {
        Self { end: End::Reset(bytes), ..self }
    }

    /// Closes after the answer, with `Connection: close`.
    pub fn close(self) -> Self {
        Self { end: End::Close, ..self }
    }

    /// Closes once the connection was idle for this long, without a word.
    pub fn idle_close(self, after: Duration) -> Self {
        Self { end: End::Idle(after), ..self }
    }

    /// Closes as soon as the next request begins to arrive on the connection: the client finds out
    /// after it has sent it. That request is not among those that were seen.
    pub fn close_on_next(self) -> Self {
        Self { end: End::Next, ..self }
    }

    /// Compresses the body, and says so.
    pub fn gzip(self) -> Self {
        self.encoded("gzip", encode::gzip)
    }

    /// Compresses the body, and says so.
    pub fn deflate(self) -> Self {
        self.encoded("deflate", encode::deflate)
    }

    /// Compresses the body, and says so.
    pub fn brotli(self) -> Self {
        self.encoded("br", encode::brotli)
    }

    /// Compresses the body, and says so.
    pub fn zstd(self) -> Self {
        self.encoded("zstd", encode::zstd)
    }

    /// Passes the body through an encoder, and says that it has this encoding.
    pub fn encoded(mut self, name: &str, encode: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        self.body = encode(&self.body);
        self.header("Content-Encoding", name)
    }

    /// Whether the body is left out, as HTTP has it for these.
    pub(super) fn is_bodiless(&self, method: &str) -> bool {
        method == "HEAD" || matches!(self.status, 100..200 | 204 | 304)
    }

    /// The head of an HTTP/1.1 answer.
    pub(super) fn head(&self, method: &str) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).into_bytes();
        let mut field = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        for (name, value) in &self.headers {
            field(name, value);
        }
        if !self.is_bodiless(method) {
            match self.framing {
                Framing::Length => {
                    let length = self.body.len() as u64 * self.repeats;
                    field("Content-Length", length.to_string().as_bytes());
                }
                Framing::SaidLength(length) => field("Content-Length", length.to_string().as_bytes()),
                Framing::Chunked => field("Transfer-Encoding", b"chunked"),
                Framing::ToClose => {}
            }
        }
        if self.end == End::Close {
            field("Connection", b"close");
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// The body of [`Reply::echo`].
pub fn echo_body(sku: &str) -> String {
    let key = serde_json::to_string(sku).unwrap();
    format!("{{\"sku\":{key},\"n\":{}}}", crc32fast::hash(sku.as_bytes()))
}

/// How many requests can be worked on at once; shared by its clones.
#[derive(Clone, Debug)]
pub struct Capacity(pub(super) Arc<Semaphore>);

impl Capacity {
    /// So many.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unnamed")
}
