//! Writes on a thread of its own, so that whoever makes the bytes does not wait for the system's copy or for a sync.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Chunks that wait to be written at most: of 64 KiB as many as are made while the thread syncs 16 MiB, some 15 ms.
const WAITING: usize = 128;

/// Passes what is written to a thread, which writes it to `W`. Dropped, it waits for the thread, which writes no more: `W`
/// is dropped then, too.
pub(crate) struct BackgroundWriter<W> {
    /// None once the thread is told to end.
    chunks: Option<SyncSender<Vec<u8>>>,
    /// Chunks that were written, to be filled again.
    spare: Receiver<Vec<u8>>,
    /// What waits is not written any more.
    is_dropped: Arc<AtomicBool>,
    /// None once it was joined.
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> BackgroundWriter<W> {
    /// Starts the thread, called `name`.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(name: &str, mut target: W) -> io::Result<Self> {
        let (chunks, coming) = sync_channel::<Vec<u8>>(WAITING);
        let (written, spare) = channel();
        let is_dropped = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&is_dropped);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            for mut chunk in coming {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                target.write_all(&chunk)?;
                chunk.clear();
                // Whoever fills chunks may have ended.
                let _ = written.send(chunk);
            }
            Ok(target)
        })?;
        Ok(Self { chunks: Some(chunks), spare, is_dropped, thread: Some(thread) })
    }
}

impl<W> BackgroundWriter<W> {
    /// Waits until all is written.
    ///
    /// # Errors
    /// Something could not be written.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end()
    }

    fn end(&mut self) -> io::Result<W> {
        self.chunks = None;
        let ended = || io::Error::other("the thread that writes has ended");
        self.thread.take().ok_or_else(ended)?.join().map_err(|_| ended())?
    }
}

impl<W> Write for BackgroundWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut chunk = self.spare.try_recv().unwrap_or_default();
        chunk.extend_from_slice(bytes);
        match self.chunks.as_ref().map(|chunks| chunks.send(chunk)) {
            Some(Ok(())) => Ok(bytes.len()),
            // The thread ends early only with an error.
            Some(Err(_)) | None => Err(match self.end() {
                Err(error) => error,
                Ok(_) => io::ErrorKind::BrokenPipe.into(),
            }),
        }
    }

    /// Does nothing: [`BackgroundWriter::finish`] waits for all of it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W> Drop for BackgroundWriter<W> {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
        drop(self.end());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn all_is_written_in_order() {
        let mut writer = BackgroundWriter::start("test", Vec::new()).unwrap();
        let chunks: Vec<Vec<u8>> = (0..100_u8).map(|n| vec![n; usize::from(n) * 100]).collect();
        for chunk in &chunks {
            writer.write_all(chunk).unwrap();
        }
        assert!(writer.finish().unwrap() == chunks.concat());
    }

    /// Takes so many bytes, and reports when it is dropped.
    struct Full(usize, Arc<AtomicBool>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Drop for Full {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_error_is_reported_by_a_later_write_or_at_the_end() {
        let dropped = Arc::default();
        let mut writer = BackgroundWriter::start("test", Full(10, Arc::clone(&dropped))).unwrap();
        let error = std::iter::repeat_with(|| writer.write(b"four")).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(dropped.load(Ordering::Relaxed));
        assert!(writer.write(b"more").is_err() && writer.finish().is_err());
        let mut writer = BackgroundWriter::start("test", Full(3, Arc::default())).unwrap();
        // The thread may have seen it or not.
        let _ = writer.write(b"four");
        assert!(writer.finish().is_err());
    }

    /// Counts writes, and waits twice at the first one.
    struct Slow(Arc<Barrier>, Arc<AtomicUsize>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1.fetch_add(1, Ordering::Relaxed) == 0 {
                self.0.wait();
                self.0.wait();
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn dropped_it_writes_nothing_more_and_what_it_wrote_to_is_gone() {
        let (barrier, written) = (Arc::new(Barrier::new(2)), Arc::default());
        let target = Slow(Arc::clone(&barrier), Arc::clone(&written));
        let mut writer = BackgroundWriter::start("test", target).unwrap();
        for _ in 0..WAITING {
            writer.write_all(b"x").unwrap();
        }
        barrier.wait();
        let is_dropped = Arc::clone(&writer.is_dropped);
        let dropping = std::thread::Builder::new().spawn(move || drop(writer)).unwrap();
        while !is_dropped.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        barrier.wait();
        dropping.join().unwrap();
        assert_eq!(written.load(Ordering::Relaxed), 1, "only the write that had begun");
        assert_eq!(Arc::strong_count(&written), 1, "the target is dropped");
    }
}
