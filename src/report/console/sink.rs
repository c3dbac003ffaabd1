//! Standard error: whole pieces are written, and a failure to write is ignored.
//!
//! Whoever closes the pipe (`2>&1 | head`) has seen enough; that is no reason to stop fetching, so
//! write errors are ignored.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where everything goes. A drawing is collected and leaves in one write, so that no half bar is ever seen.
pub(crate) struct Sink {
    inner: Mutex<Inner>,
}

struct Inner {
    out: Box<dyn Write + Send>,
    pending: Vec<u8>,
}

impl Sink {
    pub(crate) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { inner: Mutex::new(Inner { out, pending: Vec::new() }) }
    }

    /// Keeps text for the next [`Sink::flush`].
    pub(crate) fn push(&self, text: &str) {
        self.lock().pending.extend_from_slice(text.as_bytes());
    }

    /// Writes what was kept.
    pub(crate) fn flush(&self) {
        let mut inner = self.lock();
        let Inner { out, pending } = &mut *inner;
        let _ = out.write_all(pending).and_then(|()| out.flush());
        pending.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_crash_and_keeps_nothing() {
        let sink = Sink::new(Box::new(Closed));
        for _ in 0..3 {
            sink.push("line\n");
            sink.flush();
        }
        assert!(sink.lock().pending.is_empty());
    }
}
