//! The bytes of a connection, observed: what hyper does not report is counted where it is read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What a connection runs over.
pub(super) type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Most bytes of an answer that a connection reads ahead, and so the largest head of one. hyper would let the
/// buffer of a connection that once read a large body grow to 400 KiB and keep it.
pub(super) const BUFFER: usize = 64 << 10;

/// Observes what is read from a connection.
pub(super) trait ReadObserver: Unpin {
    /// Something was read, if only the end.
    fn on_read(&self);

    /// The other end takes nothing more. Whether to go on as if it did: an answer may lie there to be read.
    fn on_write_refused(&self) -> bool;
}

/// A connection whose reads and refused writes are reported to an observer.
pub(super) struct ObservedIo<E> {
    pub(super) io: Io,
    pub(super) observer: E,
}

impl<E: ReadObserver> ObservedIo<E> {
    fn endure<T>(&self, written: Poll<io::Result<T>>, enough: T) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Err(error)) if is_refusal(error) && self.observer.on_write_refused() => {
                Poll::Ready(Ok(enough))
            }
            _ => written,
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl<E: ReadObserver> Read for ObservedIo<E> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.observer.on_read();
        }
        read
    }
}

impl<E: ReadObserver> Write for ObservedIo<E> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.endure(written, buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.endure(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.endure(written, bufs.iter().map(|buf| buf.len()).sum())
    }
}
