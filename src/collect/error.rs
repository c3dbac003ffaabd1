//! What ends a run in `collect`: the operation, the file, and why it failed.

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use crate::collect::file_operation::FileOperation;
use crate::collect::parts::fault::PartsFault;
use crate::model::option::{
    CHANGES, COLUMNS, FAILED, FORMAT, FRESH, GUARD, LOCK_WAIT, MERGE, OUTPUT, REPORT,
};
use crate::model::{Exit, shell_word, system_limit};

const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

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
    /// There is no such folder; found before the first request.
    #[error("cannot write {}: there is no folder {}", path.display(), folder.display())]
    NoFolder {
        /// The file that was to be written.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// Creating a file failed; found before the first request.
    #[error("cannot create {}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// What publishing will do was refused; found before the first request.
    #[error("cannot {doing} {}: {source}", path.display())]
    PublishTrial {
        /// What was tried.
        doing: FileOperation,
        /// The file that is to be replaced.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file is a mount point of its own: no other file can be renamed over it.
    #[error("cannot write {}: it is a mount point of its own, so it can never be replaced", path.display())]
    MountPoint {
        /// The file.
        path: PathBuf,
    },
    /// The file system has no locks.
    #[error("cannot lock {}: the file system does not support locks (flock): {source}", path.display())]
    NoLocks {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start {what}: {source}")]
    Thread {
        /// What the thread was to do.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The temporary file that holds the answers until they go to standard output.
    #[error("cannot {doing} a temporary file in {}: {source}", folder.display())]
    Temporary {
        /// What was being done.
        doing: FileOperation,
        /// The folder for temporary files.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The temporary file that holds the input's rows until they are written.
    #[error("cannot {doing} a temporary file for the rows in {}: {source}", folder.display())]
    Rows {
        /// What was being done.
        doing: FileOperation,
        /// Its folder.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A column gives no cell now, though it gave one when the answer came.
    #[error("SKU {key}: {why}, though not when its answer arrived")]
    Column {
        /// The SKU.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// An operation on a file failed during the run.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: FileOperation,
        /// The file.
        path: PathBuf,
        /// The system's error.
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
        /// Who holds it, as text.
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
    IncompatibleOutput {
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
    /// Another program has written the old output while the run went on.
    #[error("{} was changed while the run went on, which started from what was in it", path.display())]
    OldChanged {
        /// The old output.
        path: PathBuf,
    },
    /// A symbolic link in the name of the output leads elsewhere than when the run began.
    #[error("{} leads to another file or folder than when the run began", path.display())]
    Moved {
        /// The output, as the user wrote it.
        path: PathBuf,
    },
    /// A signal came before anything was replaced.
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
    /// The parts of a run cannot be put together.
    #[error("{0}")]
    Parts(PartsFault),
    /// An object store refused, did not answer, or has something else than it should.
    #[error("{message}")]
    Object {
        /// What happened, where and why.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// How the program ends.
        exit: Exit,
    },
    /// Standard output did not take the result.
    #[error("cannot write to standard output: {0}")]
    Stdout(#[source] io::Error),
}

impl CollectError {
    /// How the program ends for this.
    pub fn exit(&self) -> Exit {
        match self {
            // A limit on file sizes may be met before the first request or after it: one exit for both.
            Self::Create { source, .. }
            | Self::PublishTrial { source, .. }
            | Self::Temporary { source, .. }
                if source.kind() == io::ErrorKind::FileTooLarge =>
            {
                Exit::Io
            }
            Self::Temporary { doing, .. } | Self::Rows { doing, .. } if *doing != FileOperation::Create => {
                Exit::Io
            }
            Self::Place { .. }
            | Self::NoFolder { .. }
            | Self::Create { .. }
            | Self::PublishTrial { .. }
            | Self::MountPoint { .. }
            | Self::NoLocks { .. }
            | Self::Rows { .. }
            | Self::Temporary { .. } => Exit::CannotCreate,
            Self::Io { .. }
            | Self::Column { .. }
            | Self::Damaged { .. }
            | Self::Unsettled { .. }
            | Self::Thread { .. }
            | Self::Stdout(_) => Exit::Io,
            Self::Locked { .. } | Self::OldChanged { .. } | Self::Moved { .. } | Self::Stopped => {
                Exit::TryAgain
            }
            Self::OldOutput { .. } | Self::IncompatibleOutput { .. } | Self::Parts(_) => Exit::Data,
            Self::TooFewRows { .. } => Exit::HeldBack,
            Self::Object { exit, .. } => *exit,
        }
    }

    /// Whether the new output was published all the same.
    pub fn is_after_publishing(&self) -> bool {
        matches!(self, Self::Unsettled { .. })
    }

    /// What the user can do about it, if anything helps.
    pub fn hint(&self) -> Option<String> {
        let limit = |source| system_limit::advice(source);
        Some(match self {
            Self::Place { .. } => format!("name another place with {OUTPUT}, {FAILED}, {CHANGES} or {REPORT}"),
            Self::NoFolder { folder, .. } => {
                let folder = folder.display().to_string();
                let folder = if folder.starts_with('-') { format!("./{folder}") } else { folder };
                format!("make it: mkdir -p {}", shell_word(&folder))
            }
            Self::MountPoint { path } => format!(
                "mount the folder that contains {} instead of the file itself (docker: -v ./data:/data)",
                path.display()
            ),
            Self::NoLocks { .. } => {
                "write to a local disk and copy from there, or mount the share with locks (NFS: local_lock=flock)"
                    .into()
            }
            Self::Thread { .. } => system_limit::NO_THREAD.into(),
            Self::Temporary { source, .. } => {
                let name = "set TMPDIR to a writable folder with room for all answers";
                limit(source).map_or_else(|| name.into(), |limit| format!("{limit}; or {name}"))
            }
            Self::Create { source, .. } | Self::PublishTrial { source, .. } if limit(source).is_some() => {
                limit(source)?.into()
            }
            Self::Create { .. } => "check that the folder is there and that you may write to it".into(),
            Self::PublishTrial { doing: FileOperation::Sync, source, .. } if source.raw_os_error() == Some(EIO) => {
                "check the disk: it reports an input/output error".into()
            }
            Self::PublishTrial { doing, path, .. } => refused(*doing, path),
            Self::Column { .. } => format!("a filter of {COLUMNS} must not depend on the time"),
            Self::Io { source, .. } | Self::Rows { source, .. } => {
                let first = limit(source).unwrap_or("check the disk");
                format!("{first}, then run the same command again; it resumes from the journal")
            }
            Self::Damaged { .. } => {
                format!(
                    "restore the journal from a copy, or start over with {FRESH} (it is then set aside, not deleted)"
                )
            }
            Self::Locked { .. } => format!("wait for it, or give {LOCK_WAIT} 10m"),
            Self::OldOutput { .. } => {
                format!("repair or move the old output, check {FORMAT}, or leave out {MERGE} and {CHANGES}")
            }
            Self::IncompatibleOutput { .. } => {
                format!(
                    "give the options that the old output was made with, write to another file, or leave out {MERGE}"
                )
            }
            Self::Moved { .. } => {
                format!(
                    "put the link back and run the same command again, which resumes from the journal; or name the \
                     new place with {OUTPUT}"
                )
            }
            Self::OldChanged { .. } => "run the same command again; it resumes from the journal".into(),
            Self::TooFewRows { .. } => format!("if that is right, run once with {GUARD} off"),
            Self::Stdout(source) => return limit(source).map(String::from),
            Self::Unsettled { .. } => {
                "the new output is whole; check the disk, then run the same command again".into()
            }
            Self::Parts(fault) => fault.hint(),
            Self::Object { hint, .. } => return hint.clone(),
            Self::Stopped => return None,
        })
    }

    pub(crate) fn place(path: &Path, why: impl Into<String>) -> Self {
        Self::Place { path: path.into(), why: why.into() }
    }

    /// For `map_err`: a create that failed.
    pub(crate) fn create(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Create { path: path.into(), source }
    }

    /// For `map_err`: the same error, found before the first request.
    pub(crate) fn before_first_request(self) -> Self {
        match self {
            Self::Io { doing, path, source } => Self::PublishTrial { doing, path, source },
            other => other,
        }
    }

    /// The same error of the journal of a run to standard output: a temporary file in this folder, which no later
    /// run reads.
    pub(crate) fn of_temporary(self, folder: &Path) -> Self {
        match self {
            Self::Io { doing, path, source } if path == folder => {
                Self::Temporary { doing, folder: path, source }
            }
            other => other,
        }
    }

    /// The same error, met when the new output was already in place.
    pub(crate) fn after_publishing(self, output: &Path) -> Self {
        Self::Unsettled { path: output.into(), source: Box::new(self) }
    }

    /// For `map_err`: work on the file of the rows in this folder.
    pub(crate) fn rows(doing: FileOperation, folder: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Rows { doing, folder: folder.into(), source }
    }

    /// For `map_err`: work on a file that failed.
    pub(crate) fn io(doing: FileOperation, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }
}

/// What to do where the file system refuses what publishing needs.
fn refused(doing: FileOperation, path: &Path) -> String {
    let another = "choose a folder on another file system";
    match doing {
        FileOperation::SetMode => format!(
            "the file system does not allow mode changes: remove {0}, or give it the mode that new files get there; \
             or {another}",
            path.display()
        ),
        FileOperation::Replace => format!("no file can be renamed over another there: {another}"),
        FileOperation::Sync => format!("the file system does not support fsync: {another}"),
        FileOperation::Open => "it probably belongs to another user, such as root: run as that user, or give the file to the user of \
                 this run"
            .into(),
        _ => "check that the folder is there and that you may read it and write to it".into(),
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
            (CollectError::io(FileOperation::Sync, &path)(io()), 74),
            (CollectError::Damaged { path: path.clone(), offset: 7, why: "bad".into() }, 74),
            (
                CollectError::io(FileOperation::Replace, &path)(io::Error::other("no"))
                    .before_first_request(),
                73,
            ),
            (CollectError::MountPoint { path: path.clone() }, 73),
            (CollectError::NoLocks { path: path.clone(), source: io() }, 73),
            (CollectError::create(&path)(io::ErrorKind::FileTooLarge.into()), 74),
            (CollectError::io(FileOperation::Sync, &path)(io()).after_publishing(&path), 74),
            (CollectError::Locked { path: path.clone(), holder: "by process 1".into() }, 75),
            (CollectError::OldOutput { path: path.clone(), offset: 0, why: "not JSON".into() }, 65),
            (CollectError::IncompatibleOutput { path: path.clone(), why: "other --select".into() }, 65),
            (CollectError::TooFewRows { path: path.clone(), old: 6000, rows: 3 }, 76),
        ];
        for (error, code) in cases {
            assert_eq!(error.exit().code(), code, "{error}");
            assert!(error.to_string().contains("out.json"), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
        let rows = |doing| CollectError::rows(doing, Path::new("folder"))(io());
        let column = CollectError::Column { key: "A".into(), why: "column `x`: no".into() };
        for (error, code, says) in [
            (rows(FileOperation::Create), 73, "cannot create a temporary file for the rows in folder"),
            (rows(FileOperation::Write), 74, "cannot write a temporary file for the rows in folder"),
            (column, 74, "SKU A: column `x`: no, though not when its answer arrived"),
        ] {
            assert_eq!(error.exit().code(), code, "{error}");
            assert!(error.to_string().contains(says) && error.hint().is_some(), "{error}");
        }
        let error = CollectError::Damaged { path, offset: 7, why: "bad".into() };
        assert!(error.hint().unwrap().contains("--fresh"));
    }
}
