//! Advice about system limits that an operation met.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// The limit that an error names, and how to raise it; `None` for any other error.
#[must_use]
pub(crate) fn advice(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::StorageFull => return Some("the disk is full: make room"),
        ErrorKind::QuotaExceeded => return Some("the disk quota is used up: make room, or have it raised"),
        ErrorKind::FileTooLarge => {
            return Some(
                "the limit on the size of a file is reached: raise it (ulimit -f, or LimitFSIZE= of the systemd unit)",
            );
        }
        ErrorKind::ReadOnlyFilesystem => {
            return Some("the file system is mounted read-only: choose a folder on another one");
        }
        _ => {}
    }
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(
            "the limit on open files is reached: raise it (ulimit -n, or LimitNOFILE= of the systemd unit)",
        ),
        Errno::NFILE => Some("the whole system has too many files open (fs.file-max)"),
        _ => None,
    }
}

/// Advice if the system starts no thread.
pub(crate) const NO_THREAD: &str = "the limit on processes and threads, or on memory, is reached: raise it (ulimit -u or -v, \
     TasksMax= or MemoryMax= of the systemd unit, --pids-limit of the container)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_distinguished_and_other_errors_are_none() {
        for (errno, word) in [
            (Errno::NOSPC, "full"),
            (Errno::DQUOT, "quota"),
            (Errno::FBIG, "ulimit -f"),
            (Errno::ROFS, "read-only"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "fs.file-max"),
        ] {
            assert!(advice(&errno.into()).is_some_and(|text| text.contains(word)), "{errno:?}");
        }
        assert_eq!(advice(&Errno::ACCESS.into()), None);
        assert_eq!(advice(&io::Error::other("x")), None);
    }
}
