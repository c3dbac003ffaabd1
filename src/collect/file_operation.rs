//! What was being done to a file when the system refused it.

use std::fmt;

/// What was being done to a file when the system refused it. Exits and hints depend on it; its text is a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOperation {
    /// Creating it, or the temporary file that is to replace it.
    Create,
    /// Opening it.
    Open,
    /// Reading it.
    Read,
    /// Reading the old output.
    ReadOld,
    /// Reading a value of the old output that this journal is to have.
    ReadOldFor,
    /// Writing the text of a compressed old output into a file without a name.
    Unpack,
    /// Writing it.
    Write,
    /// Setting its mode.
    SetMode,
    /// Syncing it.
    Sync,
    /// Syncing this folder.
    SyncFolder,
    /// Renaming a new file over it.
    Replace,
    /// Removing it.
    Remove,
    /// Removing a temporary file beside it.
    RemoveBeside,
    /// Renaming a journal to the name of one that was set aside.
    SetAside,
    /// Opening the journal of an interrupted run for more records.
    Resume,
}

impl fmt::Display for FileOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Read => "read",
            Self::ReadOld => "read the old",
            Self::ReadOldFor => "read the old output for",
            Self::Unpack => "unpack",
            Self::Write => "write",
            Self::SetMode => "set the mode of",
            Self::Sync => "sync",
            Self::SyncFolder => "sync the folder",
            Self::Replace => "replace",
            Self::Remove => "remove",
            Self::RemoveBeside => "remove a file beside",
            Self::SetAside => "set aside",
            Self::Resume => "go on with",
        })
    }
}
