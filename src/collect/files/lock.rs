//! One run at a time on one output.
//!
//! The kernel's lock on a file beside the output: it goes with its process, however that ends, and
//! the file stays, because unlinking it would let two runs hold two files of one name. The output
//! itself cannot carry the lock: a rename replaces it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::collect::error::CollectError;
use crate::collect::files::no_follow::NO_FOLLOW;
use crate::collect::files::paths::Paths;

/// How often a waiting run tries again: soon enough for a person, cheap enough for an hour.
const POLL: Duration = Duration::from_millis(100);
/// More than a lock file of ours ever holds.
const MAX_NOTE: u64 = 4096;

/// The right to write one output; given up when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

#[derive(Serialize, Deserialize)]
struct LockNote {
    pid: u32,
    since: String,
}

impl Lock {
    /// Takes the lock beside the output, waiting at most `wait` for another run. Blocks the thread.
    ///
    /// # Errors
    /// Another run holds it, or the lock file cannot be made.
    pub(crate) fn acquire(paths: &Paths, wait: Duration) -> Result<Self, CollectError> {
        let path = &paths.lock;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NO_FOLLOW)
            .open(path)
            .map_err(CollectError::create(path))?;
        #[expect(clippy::disallowed_methods, reason = "before the event loop begins")]
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let left = wait.saturating_sub(began.elapsed());
                    if left.is_zero() {
                        return Err(CollectError::Locked { path: path.clone(), holder: holder(&mut file) });
                    }
                    thread::sleep(POLL.min(left));
                }
                Err(TryLockError::Error(error)) => return Err(not_locked(paths, error)),
            }
        }
        sign(&mut file).map_err(CollectError::create(path))?;
        Ok(Self { file })
    }
}

/// Who holds the lock beside the output now, as text. Leaves no trace; the lock is shared for an instant.
///
/// # Errors
/// The file system has no locks.
pub(crate) fn lock_holder(paths: &Paths) -> Result<Option<String>, CollectError> {
    let Ok(mut file) = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(&paths.lock) else {
        return Ok(None);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
        Err(TryLockError::Error(error)) => Err(not_locked(paths, error)),
    }
}

fn not_locked(paths: &Paths, error: io::Error) -> CollectError {
    match Errno::from_io_error(&error) {
        Some(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {
            CollectError::NoLocks { path: paths.lock.clone(), source: error }
        }
        _ => CollectError::create(&paths.lock)(error),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A stale note would name the wrong process in the instant before the next holder signs.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    let since = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let note = LockNote { pid: std::process::id(), since };
    let mut text = serde_json::to_vec(&note)?;
    text.push(b'\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(MAX_NOTE).read_to_string(&mut text));
    match read.ok().and_then(|_| serde_json::from_str::<LockNote>(&text).ok()) {
        Some(note) if note.since.bytes().all(|b| b.is_ascii_graphic()) => {
            format!("by process {} since {}", note.pid, note.since)
        }
        _ => "by a process that has not signed it".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::collect::files::preflight::preflight;
    use crate::collect::settings::{OutputSettings, Target};

    fn paths(dir: &tempfile::TempDir) -> Paths {
        let target = Target::File(dir.path().join("out.json"));
        preflight(&OutputSettings { target, ..OutputSettings::default() }).unwrap().paths.unwrap()
    }

    #[test]
    fn a_second_run_reports_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(&dir);
        let first = Lock::acquire(&paths, Duration::ZERO).unwrap();
        let error = Lock::acquire(&paths, Duration::ZERO).unwrap_err();
        assert_eq!(error.exit().code(), 75);
        let text = error.to_string();
        assert!(text.contains(&format!("process {} since 20", std::process::id())), "{text}");
        drop(first);
        assert!(paths.lock.exists(), "it is never unlinked");
        assert_eq!(fs::metadata(&paths.lock).unwrap().mode() & 0o777, 0o600);
        Lock::acquire(&paths, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_waiting_run_gets_the_lock_when_it_is_freed() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(&dir);
        let first = Lock::acquire(&paths, Duration::ZERO).unwrap();
        assert!(Lock::acquire(&paths, Duration::from_millis(1)).is_err());
        let freed = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(first);
        });
        Lock::acquire(&paths, Duration::from_mins(10)).unwrap();
        freed.join().unwrap();
    }

    #[test]
    fn a_lock_file_with_anything_in_it_is_still_a_lock() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(&dir);
        fs::write(&paths.lock, "\u{1b}[2J not a note").unwrap();
        let first = Lock::acquire(&paths, Duration::ZERO).unwrap();
        fs::write(&paths.lock, "{\"pid\":1,\"since\":\"\u{1b}[2J\"}").unwrap();
        let text = Lock::acquire(&paths, Duration::ZERO).unwrap_err().to_string();
        assert!(text.contains("not signed") && !text.contains('\u{1b}'), "{text}");
        drop(first);
    }
}
