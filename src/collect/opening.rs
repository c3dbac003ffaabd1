//! A journal to write to: a new one, or the one that an interrupted run left.
//!
//! What lies in the journal's place and is not this job's is renamed, never deleted and never used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::CollectError;
use super::atomic::sync_folder;
use super::checksum::{Checksum, Header, push_header};
use super::paths::with_ending;
use super::recover::{Remains, Scan, examine};

/// A symbolic link in a file's place is not followed.
pub(super) const NO_FOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// 16 bytes that no other journal has.
pub(super) fn chance() -> [u8; 16] {
    // The standard library's hasher is seeded by the system's random numbers.
    let half = || u128::from(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    (half() << 64 | half()).to_be_bytes()
}

/// Makes a journal with nothing but its header, durably.
pub(super) fn create(path: &Path, header: &Header, salt: [u8; 16]) -> Result<Opened, CollectError> {
    let failed = || CollectError::create(path);
    let mut text = Vec::new();
    push_header(&mut text, Checksum::HEADER, header).map_err(|error| failed()(error.into()))?;
    let mut file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(failed())?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed())?;
    sync_folder(path)?;
    Ok((file, salt, Scan::nothing(text.len() as u64)))
}

/// A journal to write to: the file, standing at its end, its salt, and what was found in it.
pub(super) type Opened = (File, [u8; 16], Scan);

/// Opens a journal that is there and is this job's; one that is not is set aside.
pub(super) fn resume(
    path: &Path,
    header: &Header,
    fresh: bool,
    notes: &mut Vec<String>,
) -> Result<Option<Opened>, CollectError> {
    let opened = OpenOptions::new().read(true).write(true).custom_flags(NO_FOLLOW).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CollectError::io("open", path)(error)),
    };
    let remains =
        if fresh { Remains::Foreign("--fresh was given".into()) } else { examine(&file, path, header)? };
    match remains {
        Remains::Unfinished => {
            fs::remove_file(path).map_err(CollectError::io("remove", path))?;
            Ok(None)
        }
        Remains::Foreign(why) => {
            let aside = set_aside(path)?;
            notes.push(format!("{} was set aside as {}: {why}", path.display(), aside.display()));
            Ok(None)
        }
        Remains::Ours { salt, scan } => {
            if scan.torn > 0 {
                notes.push(format!(
                    "the last {} bytes of {} were not yet safe on disk when the earlier run ended: they are dropped",
                    scan.torn,
                    path.display()
                ));
            }
            // Synced now, so that the first marker is true of all that was recovered, too.
            file.set_len(scan.end)
                .and_then(|()| file.sync_all())
                .and_then(|()| file.seek(SeekFrom::Start(scan.end)))
                .map_err(CollectError::io("go on with", path))?;
            Ok(Some((file, salt, scan)))
        }
    }
}

/// Renames a journal to the first free name; never over another file.
fn set_aside(path: &Path) -> Result<PathBuf, CollectError> {
    for number in 1u32.. {
        let aside = with_ending(path, &format!(".{number}"));
        if matches!(fs::symlink_metadata(&aside), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            fs::rename(path, &aside).map_err(CollectError::io("set aside", path))?;
            sync_folder(path)?;
            return Ok(aside);
        }
    }
    Err(CollectError::place(path, "no name is free to set it aside"))
}
