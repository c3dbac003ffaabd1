//! The thread that writes and syncs the journal, so that a slow disk never holds up the network.
//!
//! Full buffers come in, empty ones go back. Syncs are done in groups: what a crash can take is what
//! came since the last one. A write or sync that failed is final: nothing more is written, and the
//! error is returned by the next call of the engine's side. A failed sync is not tried again, because
//! the kernel may have dropped the pages and would then report success.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::collect::error::{CollectError, FileOperation};

/// From a write to the sync that makes it safe. With the engine's tick and the sync's own time, work
/// at risk stays under a second.
const SYNC_AFTER: Duration = Duration::from_millis(500);
/// Empty buffers kept for reuse, and the largest that is kept.
const SPARE: usize = 4;
const SPARE_BYTES: usize = 1 << 20;

/// The engine's side of the writer thread.
pub(crate) struct JournalWriter {
    shared: Arc<WriterShared>,
    thread: Option<JoinHandle<Option<File>>>,
}

struct WriterShared {
    queue: Mutex<WriteQueue>,
    /// Something was queued, or the thread is to end.
    work: Condvar,
    /// Bytes queued and not yet written.
    pending: Arc<AtomicUsize>,
    /// All before this offset is safe on disk.
    synced: AtomicU64,
}

#[derive(Default)]
struct WriteQueue {
    full: VecDeque<Vec<u8>>,
    spare: Vec<Vec<u8>>,
    ended: bool,
    failed: Option<(FileOperation, io::Error)>,
}

impl WriterShared {
    fn queue(&self) -> MutexGuard<'_, WriteQueue> {
        // The lock is never held across anything that can panic half way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JournalWriter {
    /// Starts the thread. `file` is positioned at `offset`, its end; `sync` is false for a file that no later
    /// run will read.
    pub(crate) fn start(file: File, offset: u64, sync: bool) -> io::Result<Self> {
        let shared = Arc::new(WriterShared {
            queue: Mutex::default(),
            work: Condvar::new(),
            pending: Arc::default(),
            synced: AtomicU64::new(0),
        });
        let thread_body = WriterThread { shared: Arc::clone(&shared), file, offset, sync };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || thread_body.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues a full buffer and leaves an empty one in its place. Never blocks on the disk.
    pub(crate) fn hand_over(&self, buffer: &mut Vec<u8>) {
        let mut queue = self.shared.queue();
        if queue.failed.is_some() {
            buffer.clear();
            return;
        }
        let empty = queue.spare.pop().unwrap_or_default();
        self.shared.pending.fetch_add(buffer.len(), Ordering::Relaxed);
        queue.full.push_back(std::mem::replace(buffer, empty));
        drop(queue);
        self.shared.work.notify_one();
    }

    /// Bytes queued and not yet written.
    pub(crate) fn pending(&self) -> usize {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// The same, to be read by other parts of the program.
    pub(crate) fn pending_bytes(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.shared.pending)
    }

    /// All before this offset is safe on disk.
    pub(crate) fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Relaxed)
    }

    /// The error that ended the writing, if one did.
    pub(crate) fn check(&self, path: &Path) -> Result<(), CollectError> {
        match &self.shared.queue().failed {
            None => Ok(()),
            Some((doing, error)) => Err(CollectError::io(*doing, path)(copy_of(error))),
        }
    }

    /// The same, for what has no path.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.shared.queue().failed.as_ref().map(|(_, error)| copy_of(error))
    }

    /// Writes what is queued, syncs, ends the thread; returns the file.
    pub(crate) fn finish(&mut self, path: &Path) -> Result<File, CollectError> {
        self.shared.queue().ended = true;
        self.shared.work.notify_one();
        let file = self.thread.take().and_then(|thread| thread.join().ok()).flatten();
        self.check(path)?;
        file.ok_or_else(|| {
            CollectError::io(FileOperation::Write, path)(io::Error::other("the writer's thread is gone"))
        })
    }

    /// Whether [`JournalWriter::finish`] was called.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_none()
    }
}

/// An `io::Error` is reported more than once, but cannot be cloned.
fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

struct WriterThread {
    shared: Arc<WriterShared>,
    file: File,
    /// Bytes in the file.
    offset: u64,
    sync: bool,
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which waits in real time")]
impl WriterThread {
    fn run(mut self) -> Option<File> {
        let mut due: Option<Instant> = None;
        loop {
            let (work, ended) = self.wait(due);
            for mut buffer in work {
                if let Err(error) = self.file.write_all(&buffer) {
                    // What was written before is good: it is synced once, whatever comes of that.
                    let _ = self.file.sync_data();
                    return self.fail(FileOperation::Write, error);
                }
                self.offset += buffer.len() as u64;
                self.shared.pending.fetch_sub(buffer.len(), Ordering::Relaxed);
                due = due.or_else(|| Some(Instant::now() + SYNC_AFTER));
                if buffer.capacity() <= SPARE_BYTES {
                    buffer.clear();
                    let mut queue = self.shared.queue();
                    if queue.spare.len() < SPARE {
                        queue.spare.push(buffer);
                    }
                }
            }
            if due.is_some_and(|due| ended || due <= Instant::now()) {
                due = None;
                if let Err(error) = if self.sync { self.file.sync_data() } else { Ok(()) } {
                    return self.fail(FileOperation::Sync, error);
                }
                self.shared.synced.store(self.offset, Ordering::Relaxed);
            }
            if ended {
                return Some(self.file);
            }
        }
    }

    /// Waits for buffers, the end, or the time of the next sync.
    fn wait(&self, due: Option<Instant>) -> (VecDeque<Vec<u8>>, bool) {
        let mut queue = self.shared.queue();
        while queue.full.is_empty() && !queue.ended {
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            queue = match wait {
                Some(Duration::ZERO) => break,
                Some(wait) => {
                    self.shared.work.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
        (std::mem::take(&mut queue.full), queue.ended)
    }

    fn fail(self, doing: FileOperation, error: io::Error) -> Option<File> {
        let mut queue = self.shared.queue();
        queue.failed = Some((doing, error));
        queue.full.clear();
        // Nothing may wait for a disk that has failed.
        self.shared.pending.store(0, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn what_is_handed_over_is_in_the_file_in_that_order() {
        let file = tempfile::tempfile().unwrap();
        let mut writer = JournalWriter::start(file, 0, true).unwrap();
        let mut expected = Vec::new();
        let mut buffer = Vec::new();
        for number in 0..500 {
            buffer.extend_from_slice(format!("{number}\n").as_bytes());
            expected.extend_from_slice(&buffer);
            writer.hand_over(&mut buffer);
            assert!(buffer.is_empty());
        }
        let mut file = writer.finish(Path::new("x")).unwrap();
        assert_eq!((writer.pending(), writer.synced()), (0, expected.len() as u64));
        let mut found = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut found).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_idle_writer_syncs_by_itself() {
        let mut writer = JournalWriter::start(tempfile::tempfile().unwrap(), 0, true).unwrap();
        writer.hand_over(&mut b"some work".to_vec());
        while writer.synced() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(writer.synced(), 9);
        writer.finish(Path::new("x")).unwrap();
    }

    #[test]
    fn a_full_disk_is_reported_and_not_waited_for() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut writer = JournalWriter::start(full, 0, true).unwrap();
        let mut buffer = vec![0; 100];
        writer.hand_over(&mut buffer);
        while writer.pending() > 0 {
            std::thread::yield_now();
        }
        let error = writer.check(Path::new("out.json.journal")).unwrap_err();
        assert_eq!(error.exit().code(), 74);
        assert!(error.hint().unwrap().contains("disk is full"), "{error}");
        buffer.resize(100, 0);
        writer.hand_over(&mut buffer);
        assert_eq!((buffer.len(), writer.pending()), (0, 0));
        assert!(writer.finish(Path::new("x")).is_err());
    }
}
