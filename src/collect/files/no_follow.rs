//! Opening a file without following a symbolic link in its place, so that nobody who may write to the folder can make a
//! run read or truncate another file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// A symbolic link in a file's place is not followed.
pub(crate) const NO_FOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// Opens a file, unless a symbolic link has its name.
pub(crate) fn open_unlinked(path: &Path, write: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(write).custom_flags(NO_FOLLOW).open(path)
}
