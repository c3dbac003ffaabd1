//! Standard output, checked before the first request: an answer that cannot be written need not be requested.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, fsync, stat};
use rustix::io::Errno;

use super::command_error::CommandError;
use crate::config::options::OUTPUT;
use crate::engine::stdout_peer::StdoutPeer;
use crate::model::Exit;

/// Whether a text can be written to standard output, as far as this can be found out without writing one.
///
/// # Errors
/// It was opened for reading only, or its device takes nothing.
pub(super) fn check() -> Result<(), CommandError> {
    look().map(drop).map_err(|error| cannot_write(&error))
}

/// The same for the output of a run. Nobody asks an API in order to lose the answers, so that a reader that is
/// gone and a standard output that was closed are errors here.
///
/// # Errors
/// What is written would be lost.
pub(super) fn check_for_data() -> Result<(), CommandError> {
    let hint = format!("name a file with {OUTPUT}, or give it to a program that reads to the end");
    let is_device = look().map_err(|error| cannot_write(&error).with_hint(hint.as_str()))?;
    if StdoutPeer::of_standard_output().is_gone() {
        return Err(cannot_write(&Errno::PIPE.into()).with_hint(hint));
    }
    if is_device && is_null_in_place_of_nothing() {
        return Err(CommandError::new(Exit::Io, "standard output is closed: the answers would be lost")
            .with_hint(format!("name a file with {OUTPUT}; to throw them away, write >/dev/null")));
    }
    Ok(())
}

/// Whether it is a device; an error if nothing can be written to it.
fn look() -> io::Result<bool> {
    let out = io::stdout();
    let flags = fcntl_getfl(&out)?;
    // The standard library takes the error of a descriptor that is not open for writing for a success.
    // It does the same with a descriptor that was opened with O_PATH, which only Linux has.
    #[cfg(target_os = "linux")]
    let only_names = flags.contains(OFlags::PATH);
    #[cfg(not(target_os = "linux"))]
    let only_names = false;
    if flags & OFlags::RWMODE == OFlags::RDONLY || only_names {
        return Err(io::Error::other("it is not open for writing"));
    }
    let is_device = FileType::from_raw_mode(fstat(&out)?.st_mode) == FileType::CharacterDevice;
    if is_device {
        // No bytes: /dev/full refuses even these, and no device is changed by them.
        rustix::io::write(&out, &[])?;
    }
    Ok(is_device)
}

/// Whether standard output was closed when the program was started. The standard library then opens /dev/null in
/// its place before `main`, for reading and writing. A shell's `>/dev/null` is open for writing only; other programs
/// that start this one may open it for both, so this is no reason to refuse more than the output of a run.
fn is_null_in_place_of_nothing() -> bool {
    let out = io::stdout();
    let (Ok(flags), Ok(found), Ok(null)) = (fcntl_getfl(&out), fstat(&out), stat("/dev/null")) else {
        return false;
    };
    flags & OFlags::RWMODE == OFlags::RDWR && found.st_rdev == null.st_rdev
}

/// Standard output as a file, for a thread of its own.
///
/// # Errors
/// The system has no descriptor left.
pub(super) fn file() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// Writes a text.
///
/// # Errors
/// Standard output does not take it. A program that no longer reads has read enough: that is none.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    check()?;
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_write(&error)),
        _ => Ok(()),
    }
}

/// Syncs standard output where it is a file: on a network or under a quota, what it seemed to accept may be refused
/// only then.
///
/// # Errors
/// The file does not hold what was written.
pub(super) fn sync() -> io::Result<()> {
    let out = io::stdout();
    if FileType::from_raw_mode(fstat(&out)?.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    match fsync(&out) {
        // File systems that cannot sync have nothing more to say.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::ROFS) => Ok(()),
        done => done.map_err(io::Error::from),
    }
}

fn cannot_write(error: &io::Error) -> CommandError {
    CommandError::new(Exit::Io, format!("cannot write to standard output: {error}"))
}
