//! A connection's IO whose reads and refused writes are reported to an observer.
//!
//! hyper does not report whether anything was read from a connection. Two decisions need it: whether a request that
//! failed may be sent again without counting an attempt, and whether a connection still delivers anything.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Executor, Read, ReadBufCursor, Write};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::open_connections::ConnectionPlace;

/// Most bytes of an answer that a connection reads ahead, and so the largest head. Without a limit hyper grows the
/// buffer of a connection that once read a large body to 400 KiB, and keeps it.
pub(super) const READ_BUFFER: usize = 64 << 10;

/// What a connection can run over: a TCP or TLS stream, or a pipe in memory.
pub(super) trait ConnectionIo: Read + Write + Unpin + Send + 'static {
    /// Acknowledges at once what was received, where the system can. It delays this by up to 40 ms otherwise.
    fn acknowledge(&self);
}

/// Receives what happens on a connection's IO.
pub(super) trait ReadObserver: Unpin + Send + 'static {
    /// A read returned: bytes, the end of the stream, or an error.
    fn on_read(&self);

    /// A read found nothing, and its task is woken when something comes.
    fn on_nothing_to_read(&self) {}

    /// Whether a read found nothing in this poll of the connection. Nothing can have come since as far as the runtime
    /// knows, so that it is not asked again.
    fn has_nothing_to_read(&self) -> bool {
        false
    }

    /// Whether the rest of an answer is waited for, of which a part was read.
    fn awaits_rest(&self) -> bool;

    /// The peer accepts no more bytes. Returns whether to report the write as done: an answer may already have
    /// arrived and is still to be read.
    fn on_write_refused(&self) -> bool;

    /// Whether the connection, when it is dropped, is closed in favour of another one: its place is given back once the
    /// peer has closed it too, so that no peer or proxy ever has more of them open.
    fn is_closed_for_another(&self) -> bool;
}

/// The IO of one connection, with the place that it takes among those that may be open.
pub(super) struct PlacedIo<S> {
    pub(super) io: S,
    pub(super) place: ConnectionPlace,
}

/// How long the peer has to close a connection that is closed in favour of another one.
const LONGEST_CLOSE: Duration = Duration::from_millis(250);

/// Over TLS a peer says that it closes the connection before it does so.
const AFTER_END: Duration = Duration::from_millis(5);

/// IO with its observer.
pub(super) struct ObservedIo<S: ConnectionIo, O: ReadObserver> {
    /// None once it is dropped.
    placed: Option<PlacedIo<S>>,
    observer: O,
}

impl<S: ConnectionIo, O: ReadObserver> ObservedIo<S, O> {
    pub(super) fn new(placed: PlacedIo<S>, observer: O) -> Self {
        Self { placed: Some(placed), observer }
    }

    fn io(&mut self) -> io::Result<Pin<&mut S>> {
        let placed = self.placed.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(&mut placed.io))
    }
}

impl<S: ConnectionIo, O: ReadObserver> Drop for ObservedIo<S, O> {
    fn drop(&mut self) {
        if self.observer.is_closed_for_another()
            && let Some(placed) = self.placed.take()
        {
            TokioExecutor::new().execute(close(placed));
        }
    }
}

/// Closes a connection, and waits until the peer has closed it.
async fn close<S: ConnectionIo>(placed: PlacedIo<S>) {
    let PlacedIo { io, place } = placed;
    let mut io = TokioIo::new(io);
    let closing = async {
        // HTTP/2 has done it already.
        let _ = io.shutdown().await;
        let mut rest = [0; 256];
        while io.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LONGEST_CLOSE, closing).await;
    tokio::time::sleep(AFTER_END).await;
    drop(io);
    drop(place);
}

impl<S: ConnectionIo, O: ReadObserver> ObservedIo<S, O> {
    /// Turns a refused write into one of the whole length, if the observer wants that.
    fn tolerate_refusal<T>(&self, written: Poll<io::Result<T>>, whole: T) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Err(error)) if is_refusal(error) && self.observer.on_write_refused() => {
                Poll::Ready(Ok(whole))
            }
            _ => written,
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl<S: ConnectionIo, O: ReadObserver> Read for ObservedIo<S, O> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.observer.has_nothing_to_read() {
            return Poll::Pending;
        }
        let read = self.io()?.poll_read(cx, buf);
        if read.is_ready() {
            self.observer.on_read();
            return read;
        }
        self.observer.on_nothing_to_read();
        if self.observer.awaits_rest()
            && let Some(placed) = &self.placed
        {
            placed.io.acknowledge();
        }
        read
    }
}

impl<S: ConnectionIo, O: ReadObserver> Write for ObservedIo<S, O> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.io()?.poll_write(cx, buf);
        self.tolerate_refusal(written, buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.io()?.poll_flush(cx);
        self.tolerate_refusal(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.placed.as_ref().is_some_and(|placed| placed.io.is_write_vectored())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.io()?.poll_write_vectored(cx, bufs);
        self.tolerate_refusal(written, bufs.iter().map(|buf| buf.len()).sum())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Waker;

    use hyper::rt::ReadBuf;

    use super::super::open_connections::OpenConnections;
    use super::*;

    /// IO on which nothing comes, and how often it was asked.
    #[derive(Default)]
    struct SilentIo(Arc<AtomicUsize>);

    impl Read for SilentIo {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Poll::Pending
        }
    }

    impl Write for SilentIo {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl ConnectionIo for SilentIo {
        fn acknowledge(&self) {}
    }

    /// Notes that nothing was read.
    #[derive(Default)]
    struct EmptyRead(Arc<AtomicBool>);

    impl ReadObserver for EmptyRead {
        fn on_read(&self) {}

        fn on_nothing_to_read(&self) {
            self.0.store(true, Ordering::Relaxed);
        }

        fn has_nothing_to_read(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }

        fn awaits_rest(&self) -> bool {
            false
        }

        fn on_write_refused(&self) -> bool {
            false
        }

        fn is_closed_for_another(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn what_was_found_empty_is_asked_again_once_the_observer_says_so() {
        let (reads, is_empty) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let place = OpenConnections::new(1).of_origin(Vec::new()).take().await;
        let placed = PlacedIo { io: SilentIo(Arc::clone(&reads)), place };
        let mut io = ObservedIo::new(placed, EmptyRead(Arc::clone(&is_empty)));
        let mut cx = Context::from_waker(Waker::noop());
        for polls in 1..=3 {
            for _ in 0..4 {
                let mut buf = [0; 8];
                let mut buf = ReadBuf::new(&mut buf);
                assert!(Pin::new(&mut io).poll_read(&mut cx, buf.unfilled()).is_pending());
                assert_eq!(reads.load(Ordering::Relaxed), polls);
            }
            is_empty.store(false, Ordering::Relaxed);
        }
    }
}
