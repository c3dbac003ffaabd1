//! Connections in memory for tests: a client over pipes, each with a scripted peer at its other end.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

use super::census::ServedConnections;
use super::connect::{Connect, ConnectError, HttpVersion};
use super::direct::{DirectClient, DirectState, OriginSettings};
use super::observed_io::ConnectionIo;
use super::open_connections::OpenConnections;
use super::resend::{Resend, ResendBudget, Reuse};
use super::{OnConnected, SendError};
use crate::model::{Cause, Request};

/// Bytes that a pipe holds in each direction before a write waits.
const CAPACITY: usize = 16 << 10;

/// How long the tests' client waits for a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the tests' client may take for an attempt, by its settings.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that the tests' client may have open.
const MOST: usize = 1000;

/// The client's end of a pipe.
pub(super) struct Pipe {
    stream: DuplexStream,
    broken: Broken,
    acknowledged: Arc<AtomicUsize>,
}

/// The error that a client reads in place of the end of the stream.
type Broken = Arc<Mutex<Option<io::ErrorKind>>>;

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let has_ended = matches!(read, Poll::Ready(Ok(()))) && buf.filled().len() == before;
        // As the system does, a reset is reported once.
        match self.broken.lock().unwrap().take_if(|_| has_ended) {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => read,
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if matches!(written, Poll::Ready(Err(_))) {
            *self.broken.lock().unwrap() = None;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The server's end of a pipe. Dropped, it closes the connection.
pub(super) struct Peer {
    pub(super) stream: DuplexStream,
    broken: Broken,
    acknowledged: Arc<AtomicUsize>,
}

impl Peer {
    /// Reads so many bytes, or gives nothing where the client has left.
    pub(super) async fn read(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await.ok().map(|_| bytes)
    }

    /// Writes, or gives nothing where the client has left.
    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Option<()> {
        self.stream.write_all(bytes.as_ref()).await.ok()
    }

    /// How often the client acknowledged at once what it had received.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends the connection by a reset.
    pub(super) fn reset(self) {
        *self.broken.lock().unwrap() = Some(io::ErrorKind::ConnectionReset);
    }

    /// Ends the connection as TLS without `close_notify` does.
    pub(super) fn end_without_notice(self) {
        *self.broken.lock().unwrap() = Some(io::ErrorKind::UnexpectedEof);
    }

    /// Reads and writes nothing until the client leaves.
    pub(super) async fn keep_open(mut self) {
        while self.read(1).await.is_some() {}
    }
}

type PeerTask = Box<dyn Fn(usize, Peer) -> BoxFuture<'static, Option<()>> + Send + Sync>;

/// Opens pipes, each with a peer task of its own.
struct PipeConnector {
    version: HttpVersion,
    opened: Arc<AtomicUsize>,
    peer: PeerTask,
}

impl ConnectionIo for TokioIo<Pipe> {
    fn acknowledge(&self) {
        self.inner().acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

impl Connect for PipeConnector {
    type Io = TokioIo<Pipe>;

    async fn connect(&self) -> Result<(Self::Io, HttpVersion), ConnectError> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let (ours, theirs) = duplex(CAPACITY);
        let broken = Broken::default();
        let acknowledged = Arc::default();
        let peer =
            Peer { stream: theirs, broken: Arc::clone(&broken), acknowledged: Arc::clone(&acknowledged) };
        tokio::spawn((self.peer)(number, peer));
        Ok((TokioIo::new(Pipe { stream: ours, broken, acknowledged }), self.version))
    }
}

/// A client over pipes. It counts the connections that it opened, and those that were reported as usable.
pub(super) struct PipeClient {
    client: DirectClient<PipeConnector>,
    opened: Arc<AtomicUsize>,
    connected: Arc<AtomicUsize>,
    served: ServedConnections,
}

impl PipeClient {
    /// A client whose connections, numbered from 1, end at these peers.
    pub(super) fn new<F>(
        version: HttpVersion,
        peer: impl Fn(usize, Peer) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<()>> + Send + 'static,
    {
        let (opened, connected) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counter, served) = (Arc::clone(&connected), ServedConnections::default());
        let settings = OriginSettings {
            origin: "http://api.test".parse().unwrap(),
            headers: HeaderMap::from_iter([(http::header::HOST, "api.test".parse().unwrap())]),
            proxy: None,
            whole_address_proxy: None,
            may_speak_http2: false,
            requires_http2: false,
            on_connected: OnConnected(Arc::new(move || {
                counter.fetch_add(1, Ordering::Relaxed);
            })),
            connect_timeout: CONNECT_TIMEOUT,
            timeout: TIMEOUT,
            state: DirectState { served: served.clone(), ..DirectState::new(OpenConnections::new(MOST)) },
        };
        let peer: PeerTask = Box::new(move |number, end| Box::pin(peer(number, end)));
        let connector = PipeConnector { version, opened: Arc::clone(&opened), peer };
        Self { client: DirectClient::new(connector, settings), opened, connected, served }
    }

    /// Connections that were opened.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// Connections that were reported as usable.
    pub(super) fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// The number of connections that the server serves at a time, where it was learnt.
    pub(super) fn served(&self) -> Option<usize> {
        self.served.get()
    }

    /// Sends a GET, again for as long as that costs no attempt.
    pub(super) async fn get_resending(&self) -> Result<Received, SendError> {
        self.resending(&request(Method::GET, None)).await
    }

    /// Sends a POST, again for as long as that costs no attempt.
    pub(super) async fn post_resending(&self) -> Result<Received, SendError> {
        self.resending(&request(Method::POST, Some("1".into()))).await
    }

    async fn resending(&self, request: &Request) -> Result<Received, SendError> {
        let (mut budget, mut reuse) = (ResendBudget::default(), Reuse::Allowed);
        loop {
            match self.fetch(request, reuse).await {
                Err(error) => reuse = budget.next(error).await?,
                received => return received,
            }
        }
    }

    /// Sockets may have changed.
    pub(super) fn begin_turn(&self) {
        self.client.begin_turn();
    }

    /// Sends a GET and reads the answer to its end.
    pub(super) async fn get(&self, reuse: Reuse) -> Result<Received, SendError> {
        self.fetch(&request(Method::GET, None), reuse).await
    }

    /// Sends a POST with a body of this length, and reads the answer to its end.
    pub(super) async fn post(&self, length: usize) -> Result<Received, SendError> {
        self.fetch(&request(Method::POST, Some(vec![b'1'; length].into())), Reuse::Allowed).await
    }

    async fn fetch(&self, request: &Request, reuse: Reuse) -> Result<Received, SendError> {
        let mut exchange = self.client.send(request, reuse).await?;
        let mut body = Vec::new();
        while let Some(chunk) = exchange.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(Received { status: exchange.head.status.as_u16(), body: String::from_utf8(body).unwrap() })
    }
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) body: String,
}

/// An answer, or what a failed attempt is taken for: its cause, and whether it may be sent again for free.
pub(super) fn outcome(result: Result<Received, SendError>) -> Result<Received, (Cause, bool)> {
    result.map_err(|error| (error.fault.cause, !matches!(error.resend, Resend::Counted | Resend::NewClosed)))
}

fn request(method: Method, body: Option<Bytes>) -> Request {
    let url = "http://api.test/p/A".parse().unwrap();
    Request { method, url, headers: HeaderMap::new(), body, cross_origin: false }
}

/// Lets all other tasks run until they wait, the clock standing still.
pub(super) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
