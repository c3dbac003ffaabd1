//! HTTP/1.1 by hand, byte for byte, over TCP or TLS.

use std::future::pending;
use std::io;
use std::sync::Arc;

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, copy_bidirectional, split,
};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::log::{Log, Parts};
use super::reply::{End, Framing, Kind};
use super::{Reply, Seen};

/// No request may be larger: the server's memory is bounded too.
const LARGEST_REQUEST: usize = 16 << 20;

/// What is written at once, at most.
const PIECE: usize = 64 << 10;

/// A connection that can also be reset.
pub(super) trait ResettableStream: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl ResettableStream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl ResettableStream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// One connection, with what was read of it and not yet used.
struct Line<W> {
    reader: ReadHalf<W>,
    writer: WriteHalf<W>,
    unread: Vec<u8>,
}

/// Serves one connection to its end. The log gets every byte received.
pub(super) async fn converse<W: ResettableStream>(
    stream: W,
    log: Arc<Log>,
    handler: impl Fn(&Seen) -> Reply,
) {
    let connection = log.connect(stream.tcp());
    let (reader, writer) = split(stream);
    let mut line = Line { reader, writer, unread: Vec::new() };
    let mut idle = None;
    for nth in 0.. {
        let request = match idle {
            None => line.request().await,
            Some(limit) => timeout(limit, line.request()).await.unwrap_or(None),
        };
        let Some(parts) = request else { break };
        // Whatever the kernel already holds, such as the end of another connection, goes first:
        // then a client that has left one request for another is not counted twice.
        tokio::task::yield_now().await;
        let (seen, in_flight) = log.arrive(parts, (connection.number, nth));
        let reply = handler(&seen);
        let Line { reader, writer, unread } = &mut line;
        let played = tokio::select! {
            played = play(writer, &reply, &seen.method) => played.is_ok(),
            () = left(reader, unread), if !matches!(reply.kind, Kind::Tunnel(_)) => false,
        };
        if !played {
            break;
        }
        in_flight.answered();
        if let Kind::Tunnel(to) = reply.kind {
            line.tunnel(to).await;
            return;
        }
        match reply.end {
            End::Keep => idle = None,
            End::Idle(limit) => idle = Some(limit),
            End::Close => {
                let _ = line.writer.shutdown().await;
                break;
            }
            End::Cut(_) => break,
            End::Next => {
                if !line.unread.is_empty() || line.fill().await {
                    log.book().turned_away += 1;
                }
                break;
            }
            End::Reset(_) => {
                // Gone already: then there is nothing to reset.
                let _ = line.reader.unsplit(line.writer).tcp().set_zero_linger();
                return;
            }
        }
    }
    log.book().stray.append(&mut line.unread);
}

/// Ends when the client closes its side or the connection breaks; what it sends meanwhile is kept.
async fn left<W: ResettableStream>(reader: &mut ReadHalf<W>, unread: &mut Vec<u8>) {
    while unread.len() < LARGEST_REQUEST {
        match reader.read_buf(unread).await {
            Ok(1..) => {}
            _ => return,
        }
    }
}

impl<W: ResettableStream> Line<W> {
    /// Reads some more; false at the end.
    async fn fill(&mut self) -> bool {
        self.unread.len() < LARGEST_REQUEST && matches!(self.reader.read_buf(&mut self.unread).await, Ok(1..))
    }

    /// Reads one request; `None` where none arrives, or none that can be parsed.
    async fn request(&mut self) -> Option<Parts> {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                return None;
            }
        };
        let mut parts = parse(&self.unread[..end])?;
        let length = parts
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Some(0), |(_, value)| str::from_utf8(value).ok()?.parse().ok())?;
        while self.unread.len() - end < length {
            if !self.fill().await {
                return None;
            }
        }
        let rest = self.unread.split_off(end + length);
        parts.body = self.unread.split_off(end);
        parts.head = std::mem::replace(&mut self.unread, rest);
        Some(parts)
    }

    async fn tunnel(self, to: std::net::SocketAddr) {
        let mut near = self.reader.unsplit(self.writer);
        let Ok(mut far) = TcpStream::connect(to).await else { return };
        if far.write_all(&self.unread).await.is_ok() {
            let _ = copy_bidirectional(&mut near, &mut far).await;
        }
    }
}

/// Reads a head, which ends with an empty line. A request with a chunked body is not understood.
fn parse(head: &[u8]) -> Option<Parts> {
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = str::from_utf8(lines.next()?).ok()?;
    let [method, target, "HTTP/1.1"] = first.split(' ').collect::<Vec<_>>()[..] else { return None };
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = str::from_utf8(&line[..colon]).ok()?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
        headers.push((name.to_owned(), line[colon + 1..].trim_ascii().to_vec()));
    }
    Some(Parts { method: method.into(), target: target.into(), headers, ..Parts::default() })
}

/// Waits as a reply has it, in its queue.
pub(super) async fn work(reply: &Reply) {
    let _place = match &reply.capacity {
        Some(capacity) => capacity.0.acquire().await.ok(),
        None => None,
    };
    if !reply.wait.is_zero() {
        sleep(reply.wait).await;
    }
}

/// Sends what the reply has, up to where it ends the connection.
async fn play(writer: &mut (impl AsyncWrite + Unpin), reply: &Reply, method: &str) -> io::Result<()> {
    work(reply).await;
    let (status, times) = reply.informational;
    for _ in 0..times {
        writer.write_all(format!("HTTP/1.1 {status} \r\n\r\n").as_bytes()).await?;
    }
    match reply.kind {
        Kind::Silence => pending().await,
        Kind::Tunnel(_) => writer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?,
        Kind::Raw | Kind::Refused => send_body(writer, reply, Vec::new()).await?,
        Kind::Answer => {
            let mut out = reply.head(method);
            if !reply.pause.is_zero() {
                writer.write_all(&out).await?;
                writer.flush().await?;
                out.clear();
                sleep(reply.pause).await;
            }
            if reply.is_bodiless(method) {
                writer.write_all(&out).await?;
            } else {
                send_body(writer, reply, out).await?;
            }
        }
    }
    writer.flush().await
}

/// Sends `out`, and the body after it.
async fn send_body(
    writer: &mut (impl AsyncWrite + Unpin),
    reply: &Reply,
    mut out: Vec<u8>,
) -> io::Result<()> {
    let mut left = match reply.end {
        End::Cut(bytes) | End::Reset(bytes) => bytes,
        _ => u64::MAX,
    };
    let (size, rest) = reply.drip.map_or((PIECE, None), |(size, rest)| (size, Some(rest)));
    let chunked = reply.framing == Framing::Chunked;
    let (mut repeat, mut first) = (0, true);
    while repeat < reply.repeats && left > 0 && !reply.body.is_empty() {
        for piece in reply.body.chunks(size) {
            if let Some(rest) = rest.filter(|_| !std::mem::take(&mut first)) {
                sleep(rest).await;
            }
            let sent = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            left -= sent as u64;
            if chunked {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            }
            out.extend_from_slice(&piece[..sent]);
            if chunked && sent == piece.len() {
                out.extend_from_slice(b"\r\n");
            }
            if out.len() >= PIECE || rest.is_some() {
                writer.write_all(&out).await?;
                writer.flush().await?;
                out.clear();
            }
            if left == 0 {
                break;
            }
        }
        repeat += 1;
    }
    if chunked && left > 0 {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    writer.write_all(&out).await
}
