//! A server that speaks HTTP/2 frame by frame, as a test wants it: rightly, wrongly, or not at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skufetch::testing::demo::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::tls::{Identity, Protocol};

/// Kinds of frames (RFC 9113, 6).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

/// Flags of frames. `END_STREAM` of SETTINGS means that it acknowledges.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// SETTINGS that may be named.
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// What every good answer holds.
pub const BODY: &str = "{\"ok\":true}";

/// A running server; closed when dropped.
pub struct FrameServer {
    server: Server,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl FrameServer {
    /// Hands each connection over, with its number from 1, when TLS is agreed and the client has begun to speak.
    pub fn start<F: Future<Output = Option<()>> + 'static>(
        identity: &Identity,
        talk: impl Fn(usize, Frames) -> F + Clone + Send + 'static,
    ) -> Self {
        let acceptor = identity.acceptor(Protocol::Http2 { streams: 1 });
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, requested) = (Arc::clone(&connections), Arc::clone(&requests));
        let server = Server::listen(move |stream| {
            let (acceptor, talk) = (acceptor.clone(), talk.clone());
            let (opened, requests) = (Arc::clone(&opened), Arc::clone(&requested));
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut preface = [0; 24];
                if stream.read_exact(&mut preface).await.is_ok() {
                    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
                    let number = opened.fetch_add(1, Ordering::Relaxed) + 1;
                    // Nothing is the end of a client that left.
                    let _: Option<()> = talk(number, Frames { stream, requests }).await;
                }
            }
        });
        Self { server: server.unwrap(), connections, requests }
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// `https://127.0.0.1:PORT` with this after it.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addr())
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Streams that were opened on all connections.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// One connection. What fails on it gives nothing.
pub struct Frames {
    stream: TlsStream<TcpStream>,
    requests: Arc<AtomicUsize>,
}

impl Frames {
    /// The next frame: kind, flags, stream.
    pub async fn next(&mut self) -> Option<(u8, u8, u32)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        let id = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some((head[3], head[4], id))
    }

    /// The stream of the next request.
    pub async fn request(&mut self) -> Option<u32> {
        loop {
            if let (HEADERS, _, id) = self.next().await? {
                self.requests.fetch_add(1, Ordering::Relaxed);
                return Some(id);
            }
        }
    }

    pub async fn send(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> Option<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(id.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).await.ok()?;
        self.stream.flush().await.ok()
    }

    pub async fn settings(&mut self, all: &[(u16, u32)]) -> Option<()> {
        let each = all.iter().flat_map(|(name, value)| {
            name.to_be_bytes().into_iter().chain(value.to_be_bytes()).collect::<Vec<u8>>()
        });
        let payload: Vec<u8> = each.collect();
        self.send(SETTINGS, 0, 0, &payload).await
    }

    /// A good answer.
    pub async fn answer(&mut self, id: u32) -> Option<()> {
        // 0x88 is `:status: 200` in the static table of HPACK.
        self.send(HEADERS, END_HEADERS, id, &[0x88]).await?;
        self.send(DATA, END_STREAM, id, BODY.as_bytes()).await
    }

    /// The stream, or the connection with it, ends for this reason.
    pub async fn reset(&mut self, id: u32, reason: u32) -> Option<()> {
        self.send(RST_STREAM, 0, id, &reason.to_be_bytes()).await
    }

    pub async fn go_away(&mut self, last: u32, reason: u32) -> Option<()> {
        let payload = [last.to_be_bytes(), reason.to_be_bytes()].concat();
        self.send(GOAWAY, 0, 0, &payload).await
    }

    /// Answers all requests, to the end of the connection.
    pub async fn answer_all(&mut self) -> Option<()> {
        loop {
            let id = self.request().await?;
            self.answer(id).await?;
        }
    }

    /// Reads to the end of the connection, and says nothing.
    pub async fn be_silent(&mut self) -> Option<()> {
        loop {
            self.request().await?;
        }
    }
}
