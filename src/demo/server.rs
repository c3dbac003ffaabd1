//! A server on loopback, on a thread and a runtime of its own, which ends when it is dropped.
//!
//! It has its own thread because it replaces a remote machine: its waiting must not delay the program,
//! nor the other way round. One thread and one event loop answer far more requests than the program sends.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// The request that a handler gets.
pub(crate) type ServerRequest = http::Request<Incoming>;

/// The response of a handler.
pub(crate) type ServerResponse = http::Response<Full<Bytes>>;

/// Connections that may wait to be accepted: the limit of Linux (`net.core.somaxconn`), so that some thousand
/// clients that connect at once need no second attempt after a second.
const BACKLOG: u32 = 4096;

/// The pause after a failed accept, which is mostly caused by a temporary lack of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// A running server. Dropping it closes the listener and all connections, and joins the thread.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers HTTP/1.1 requests (with keep-alive) with `handler`, on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port, no descriptor or no thread is available.
    pub fn start<H, F>(handler: H) -> io::Result<Self>
    where
        H: Fn(ServerRequest) -> F + Send + Sync + 'static,
        F: Future<Output = ServerResponse> + 'static,
    {
        let handler = Arc::new(handler);
        Self::listen(move |stream| {
            let handler = Arc::clone(&handler);
            async move {
                let service = service_fn(|request| {
                    let answer = handler(request);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                // A client that disconnects is no error of the server.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        })
    }

    /// Passes every connection to `converse`, on a free port of 127.0.0.1. A connection closes when the
    /// future drops it.
    ///
    /// # Errors
    /// No port, no descriptor or no thread to be had.
    pub fn listen<C, F>(converse: C) -> io::Result<Self>
    where
        C: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        Self::listen_at((Ipv4Addr::LOCALHOST, 0).into(), converse)
    }

    /// The same at a given address, such as that of an earlier server.
    ///
    /// # Errors
    /// The address is in use; no descriptor or no thread is available.
    pub fn listen_at<C, F>(at: SocketAddr, converse: C) -> io::Result<Self>
    where
        C: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (opened, opening) = mpsc::channel();
        // The runtime is created and dropped on the new thread: the caller may be inside another one, in
        // which a runtime can neither block nor be dropped.
        let thread = thread::Builder::new().name("demo-server".into()).spawn(move || {
            let started = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let listening = started.and_then(|runtime| {
                let listener = {
                    let _inside = runtime.enter();
                    bind(at)?
                };
                Ok((listener.local_addr()?, listener, runtime))
            });
            match listening {
                Ok((addr, listener, runtime)) => {
                    // Fails only if `listen_at` no longer waits for the result.
                    let _ = opened.send(Ok(addr));
                    serve(&runtime, &listener, &converse, stopped);
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        })?;
        let addr = opening.recv().map_err(io::Error::other)??;
        Ok(Self { addr, stop: Some(stop), thread: Some(thread) })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in a handler ends its connection only, and was printed to standard error.
            let _ = thread.join();
        }
    }
}

fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of an earlier server may still be in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// Serves until `stopped`, then closes everything.
fn serve<C, F>(runtime: &Runtime, listener: &TcpListener, converse: &C, stopped: oneshot::Receiver<()>)
where
    C: Fn(TcpStream) -> F,
    F: Future<Output = ()> + 'static,
{
    LocalSet::new().block_on(runtime, async {
        tokio::select! {
            () = accept(listener, converse) => {}
            _ = stopped => {}
        }
    });
}

async fn accept<C, F>(listener: &TcpListener, converse: &C)
where
    C: Fn(TcpStream) -> F,
    F: Future<Output = ()> + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it, an answer that is written in two pieces waits for the delayed acknowledgement
                // of the client (40 ms). It fails only if the connection is closed already.
                let _ = stream.set_nodelay(true);
                #[expect(clippy::disallowed_methods, reason = "a server: one task a connection")]
                tokio::task::spawn_local(converse(stream));
            }
            Err(_) => tokio::time::sleep(ACCEPT_REST).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn echo() -> Server {
        Server::start(|request| async move {
            http::Response::new(Full::new(Bytes::from(request.uri().path().to_owned())))
        })
        .unwrap()
    }

    fn get(stream: &mut TcpStream, path: &str) -> String {
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(path.as_bytes()) {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed after {seen:?}");
            seen.push(byte[0]);
        }
        String::from_utf8(seen).unwrap()
    }

    #[test]
    fn a_connection_is_kept_for_the_next_request() {
        let server = echo();
        assert_eq!(server.url(), format!("http://127.0.0.1:{}", server.addr().port()));
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        assert!(get(&mut stream, "/one").starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(get(&mut stream, "/two").starts_with("HTTP/1.1 200 OK\r\n"));
    }

    #[test]
    fn dropping_the_server_closes_its_connections_and_its_port() {
        let server = echo();
        let addr = server.addr();
        let mut idle = TcpStream::connect(addr).unwrap();
        get(&mut idle, "/one");
        drop(server);
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0, "the idle connection is closed");
        assert!(TcpStream::connect(addr).is_err(), "nobody listens any more");
    }

    #[test]
    fn a_server_can_listen_again_at_its_address() {
        let server = echo();
        let addr = server.addr();
        let mut stream = TcpStream::connect(addr).unwrap();
        get(&mut stream, "/one");
        drop(server);
        let server = Server::listen_at(addr, |_| async {}).unwrap();
        assert_eq!(server.addr(), addr);
        assert!(TcpStream::connect(addr).is_ok());
    }

    #[test]
    fn an_address_that_is_taken_is_an_error() {
        let server = echo();
        let error = Server::listen_at(server.addr(), |_| async {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_server_starts_and_ends_inside_a_runtime() {
        drop(echo());
    }

    #[test]
    fn a_handler_that_never_answers_does_not_hold_up_the_end() {
        let server = Server::start(|_| std::future::pending()).unwrap();
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        drop(server);
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
}
