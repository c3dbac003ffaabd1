//! Whether a file that exists can be replaced, as far as the system tells without a trial: mount points, attributes,
//! folders with the sticky bit.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

use crate::collect::error::CollectError;
use crate::collect::files::names::folder_of;

/// In a folder with this bit (`/tmp`) files are their owners' alone to rename and remove.
const STICKY: u32 = 0o1000;

/// Whether another file may be renamed over this one, as far as that can be told without doing it. What a new file
/// in its folder may do, a trial finds.
pub(crate) fn check_replaceable(given: &Path, real: &Path, found: &fs::Metadata) -> Result<(), CollectError> {
    let folder = fs::metadata(folder_of(real)).map_err(CollectError::create(given))?;
    let told = FileAttributes::of(real);
    if told.is_mount_point.unwrap_or_else(|| is_in_the_mount_table(real)) {
        return Err(CollectError::MountPoint { path: given.into() });
    }
    if let Some(name) = told.forbids {
        let why =
            format!("it has the attribute {name}, so it cannot be replaced; chattr -{name} takes it off");
        return Err(CollectError::place(given, why));
    }
    let me = geteuid();
    let is_mine = |metadata: &fs::Metadata| metadata.uid() == me.as_raw();
    if folder.mode() & STICKY != 0 && !me.is_root() && !is_mine(found) && !is_mine(&folder) {
        return Err(CollectError::place(
            given,
            "it belongs to another user, and in its folder (which has the sticky bit) only that user may replace it",
        ));
    }
    Ok(())
}

/// What the system tells of a file; on systems other than Linux nothing, so that only the rename shows it.
#[derive(Default)]
struct FileAttributes {
    is_mount_point: Option<bool>,
    /// The letter of the attribute that forbids to replace the file.
    forbids: Option<&'static str>,
}

impl FileAttributes {
    #[cfg(target_os = "linux")]
    fn of(path: &Path) -> Self {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

        let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
        let Ok(found) = found else { return Self::default() };
        let has = |wanted: StatxAttributes| {
            found.stx_attributes_mask.contains(wanted).then(|| found.stx_attributes.contains(wanted))
        };
        let forbidding = [(StatxAttributes::IMMUTABLE, "i"), (StatxAttributes::APPEND, "a")];
        let forbids = forbidding.into_iter().find(|(attribute, _)| has(*attribute) == Some(true));
        Self { is_mount_point: has(StatxAttributes::MOUNT_ROOT), forbids: forbids.map(|(_, name)| name) }
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_: &Path) -> Self {
        Self::default()
    }
}

/// The same from the list of mounts, for kernels before 5.8. (Devices cannot be compared: in an overlay, a file may be
/// on another one than its folder.)
fn is_in_the_mount_table(path: &Path) -> bool {
    let (Ok(folder), Some(name)) = (fs::canonicalize(folder_of(path)), path.file_name()) else {
        return false;
    };
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    is_mount_point(folder.join(name).as_os_str().as_encoded_bytes(), &table)
}

/// Whether a line of the table has this path in its fifth field, where space, tab, line end and backslash stand in
/// octal digits.
fn is_mount_point(path: &[u8], table: &[u8]) -> bool {
    let mut field = Vec::with_capacity(path.len());
    for &byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => field.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => field.push(byte),
        }
    }
    table.split(|&byte| byte == b'\n').any(|line| line.split(|&byte| byte == b' ').nth(4) == Some(&field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_found_in_the_mount_table_whatever_its_name() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/a rw\n\
            36 22 8:1 /x /data/out.json rw - ext4 /dev/a rw\n\
            37 22 8:1 /y /a\\040b\\134c rw,/data/in.csv - ext4 /dev/a rw\n";
        for (path, is) in [
            (&b"/data/out.json"[..], true),
            (b"/a b\\c", true),
            (b"/data", false),
            (b"/data/out.json2", false),
            (b"/data/in.csv", false),
        ] {
            assert_eq!(is_mount_point(path, table), is, "{}", path.escape_ascii());
        }
        assert!(is_in_the_mount_table(Path::new("/proc")) && !is_in_the_mount_table(Path::new("/proc/self")));
    }
}
