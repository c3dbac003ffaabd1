//! What ends a run in this room: what was tried, where, and why it failed.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Exit;

/// An error of the output, the journal, the lock or the old output.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The place cannot hold the file; found before the first request.
    #[error("cannot write {}: {why}", path.display())]
    Place {
        /// The file that was to be written.
        path: PathBuf,
        /// Why it cannot be.
        why: String,
    },
    /// Creating a file failed; found before the first request.
    #[error("cannot create {}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Disk trouble while working.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The journal is damaged where it was already safe on disk: no crash explains that.
    #[error("{} is damaged at byte {offset}: {why}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the first bad record begins.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// Another run holds the lock.
    #[error("another run is writing this output: {} is held {holder}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, in words.
        holder: String,
    },
    /// The old output cannot be read, and `--merge` or `--changes` needs it.
    #[error("cannot read the old {}: {why} (byte {offset})", path.display())]
    OldOutput {
        /// The old output.
        path: PathBuf,
        /// Where reading it failed.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// The old output was made in another way than this run's values would be.
    #[error("cannot merge with {}: {why}", path.display())]
    OtherKind {
        /// The old output.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// The input has so few rows that the new output could only be held back.
    #[error("held back: {} has {old} SKUs, and the input has {rows} rows", path.display())]
    TooFewRows {
        /// The old output.
        path: PathBuf,
        /// Its SKUs.
        old: u64,
        /// Rows of the input, at most `--limit`.
        rows: u64,
    },
    /// The caller took back its leave before anything was replaced.
    #[error("stopped before the output was replaced")]
    Stopped,
    /// The new output is in its place, but what was to follow failed.
    #[error("{} is in its place, but {source}", path.display())]
    Unsettled {
        /// The output.
        path: PathBuf,
        /// What failed then.
        source: Box<CollectError>,
    },
    /// Standard output did not take the result.
    #[error("cannot write to standard output: {0}")]
    Stdout(#[source] io::Error),
}

impl CollectError {
    /// How the program ends for this.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Place { .. } | Self::Create { .. } => Exit::CannotCreate,
            Self::Io { .. } | Self::Damaged { .. } | Self::Unsettled { .. } | Self::Stdout(_) => Exit::Io,
            Self::Locked { .. } | Self::Stopped => Exit::TryAgain,
            Self::OldOutput { .. } | Self::OtherKind { .. } => Exit::Data,
            Self::TooFewRows { .. } => Exit::HeldBack,
        }
    }

    /// Whether the new output was published all the same.
    pub fn is_after_publishing(&self) -> bool {
        matches!(self, Self::Unsettled { .. })
    }

    /// What the user can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let full = |source: &io::Error| source.kind() == io::ErrorKind::StorageFull;
        Some(match self {
            Self::Place { .. } => "name another place with --output, --failed or --report".into(),
            Self::Create { source, .. } if full(source) => "the disk is full: make room".into(),
            Self::Create { .. } => "check that the folder is there and that you may write to it".into(),
            Self::Io { source, .. } if full(source) => {
                "the disk is full: make room, then run the same command again; it goes on from the journal".into()
            }
            Self::Io { .. } => {
                "check the disk, then run the same command again; it goes on from the journal".into()
            }
            Self::Damaged { .. } => {
                "restore the journal from a copy, or start over with --fresh (it is then set aside, not deleted)"
                    .into()
            }
            Self::Locked { .. } => "wait for it, or give --lock-wait 10m".into(),
            Self::OldOutput { .. } => {
                "mend or move the old output, check --format, or leave out --merge and --changes".into()
            }
            Self::OtherKind { .. } => {
                "give the options that the old output was made with, write to another file, or leave out --merge"
                    .into()
            }
            Self::TooFewRows { .. } => "if that is right, run once with --guard off".into(),
            Self::Unsettled { .. } => {
                "the new output is whole; check the disk, then run the same command again".into()
            }
            Self::Stdout(_) | Self::Stopped => return None,
        })
    }

    pub(super) fn place(path: &Path, why: impl Into<String>) -> Self {
        Self::Place { path: path.into(), why: why.into() }
    }

    /// For `map_err`: a create that failed.
    pub(super) fn create(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Create { path: path.into(), source }
    }

    /// For `map_err`: the same trouble, found before the first request.
    pub(super) fn beforehand(self) -> Self {
        match self {
            Self::Io { path, source, .. } => Self::Create { path, source },
            other => other,
        }
    }

    /// The same trouble, met when the new output already stood.
    pub(super) fn after_publishing(self, output: &Path) -> Self {
        Self::Unsettled { path: output.into(), source: Box::new(self) }
    }

    /// For `map_err`: work on a file that failed.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_exit_code_and_says_where() {
        let path = PathBuf::from("out.json");
        let io = || io::Error::from(io::ErrorKind::StorageFull);
        let cases = [
            (CollectError::place(&path, "it is a folder"), 73),
            (CollectError::create(&path)(io()), 73),
            (CollectError::io("sync", &path)(io()), 74),
            (CollectError::Damaged { path: path.clone(), offset: 7, why: "bad".into() }, 74),
            (CollectError::io("sync", &path)(io()).after_publishing(&path), 74),
            (CollectError::Locked { path: path.clone(), holder: "by process 1".into() }, 75),
            (CollectError::OldOutput { path: path.clone(), offset: 0, why: "not JSON".into() }, 65),
            (CollectError::OtherKind { path: path.clone(), why: "other --select".into() }, 65),
            (CollectError::TooFewRows { path: path.clone(), old: 6000, rows: 3 }, 76),
        ];
        for (error, code) in cases {
            assert_eq!(error.exit().code(), code, "{error}");
            assert!(error.to_string().contains("out.json"), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
        let error = CollectError::Damaged { path, offset: 7, why: "bad".into() };
        assert!(error.hint().unwrap().contains("--fresh"));
    }
}
