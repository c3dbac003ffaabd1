//! Which files a run touches, and whether they can be written: found out before the first request.
//!
//! Journal and state lie beside the name that the user gave. The output itself may be a symbolic
//! link: the link stays, and what it leads to is replaced, with the temporary file in *that* folder,
//! because a rename does not cross file systems. The lock lies there too: two names of one output are
//! one output.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::process::geteuid;

use super::atomic::{Replacement, probe_replacing};
use super::{CollectError, OutputSettings, Target};

const NO_FILE: &str = "that is a device, a pipe or a socket; for standard output write -";

/// Links followed at most; the kernel's own bound (`MAXSYMLINKS` in Linux).
const MAX_LINKS: usize = 40;

/// In a folder with this bit (`/tmp`) files are their owners' alone to rename and remove.
const STICKY: u32 = 0o1000;

const JOURNAL: &str = ".journal";
const LOCK: &str = ".lock";
const STATE: &str = ".state";

/// A file to replace: the name it was given, and what that leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTarget {
    /// As the user wrote it.
    pub given: PathBuf,
    /// With symbolic links of the last component followed.
    pub real: PathBuf,
}

/// The output file and what lies beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The output.
    pub output: FileTarget,
    /// Answers as they came.
    pub journal: PathBuf,
    /// Held while a run writes this output.
    pub lock: PathBuf,
    /// Ages and validators of what the output holds.
    pub state: PathBuf,
    /// Where an output goes that the guard holds back: beside the file that it was to replace.
    pub held: PathBuf,
}

/// The files of a run, each checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// The output and its siblings; `None` for standard output.
    pub paths: Option<Paths>,
    /// The failure file, if one is to be written.
    pub failed: Option<FileTarget>,
    /// Where the differences from the old output go.
    pub changes: Option<FileTarget>,
}

/// Finds and checks the files of a run. Leaves nothing behind.
///
/// # Errors
/// A folder that is not there or cannot be written to, a folder or a device in a file's place, or
/// two files under one name.
pub fn preflight(settings: &OutputSettings) -> Result<Preflight, CollectError> {
    // A trial is the only test that holds for root, quotas and read-only mounts alike.
    checked(settings, |target| {
        Replacement::create(target).map(drop).map_err(CollectError::before_first_request)
    })
}

/// The same without a trace, for a run that shall write nothing: the folders are asked, not tried.
///
/// # Errors
/// As [`preflight`], less what only a trial finds (a quota, a full disk).
pub fn preflight_without_trace(settings: &OutputSettings) -> Result<Preflight, CollectError> {
    checked(settings, |target| {
        rustix::fs::access(folder_of(target), Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| CollectError::create(target)(error.into()))
    })
}

fn checked(
    settings: &OutputSettings,
    may_write: impl Fn(&Path) -> Result<(), CollectError>,
) -> Result<Preflight, CollectError> {
    let paths = match &settings.target {
        Target::File(given) => Some(Paths::of(given)?),
        Target::Stdout => None,
    };
    let failed = match (&settings.failed, &paths) {
        (Some(given), _) => Some(FileTarget::of(given)?),
        (None, Some(paths)) => Some(FileTarget::of(&failed_beside(&paths.output.given))?),
        (None, None) => None,
    };
    let changes = settings.changes.as_deref().map(FileTarget::of).transpose()?;
    let mut taken: Vec<&Path> = Vec::new();
    if let Some(Paths { output, journal, lock, state, held }) = &paths {
        taken.extend([&output.given, &output.real, journal, lock, state, held].map(PathBuf::as_path));
    }
    for other in failed.iter().chain(&changes) {
        if taken.iter().any(|path| same_name(path, &other.real) || same_name(path, &other.given)) {
            return Err(CollectError::place(&other.given, "the run writes another file under that name"));
        }
        taken.extend([other.given.as_path(), other.real.as_path()]);
    }
    let targets = paths.iter().map(|paths| &paths.output).chain(&failed).chain(&changes);
    let mut probed: Vec<&Path> = Vec::new();
    for target in targets {
        let folder = folder_of(&target.real);
        if !probed.contains(&folder) {
            may_write(&target.real)?;
            probed.push(folder);
        }
    }
    Ok(Preflight { paths, failed, changes })
}

/// Does with files of its own what publishing will do, and leaves nothing behind. For the holder of the lock: another
/// run would clear such files away.
///
/// # Errors
/// What the file system refuses.
pub fn probe_publishing(place: &Preflight) -> Result<(), CollectError> {
    let outputs = place.paths.iter().map(|paths| &paths.output);
    let targets = outputs.chain(&place.failed).chain(&place.changes);
    let mut tried: Vec<(&Path, Option<u32>)> = Vec::new();
    for FileTarget { real, .. } in targets {
        // Another mode to keep is another trial.
        let trial = (folder_of(real), fs::symlink_metadata(real).ok().map(|old| old.mode()));
        if !tried.contains(&trial) {
            probe_replacing(real).map_err(CollectError::before_first_request)?;
            tried.push(trial);
        }
    }
    Ok(())
}

/// Where the journal, the lock and the state of an output lie, if it is no symbolic link.
#[must_use]
pub fn siblings(output: &Path) -> [PathBuf; 3] {
    [JOURNAL, LOCK, STATE].map(|ending| with_ending(output, ending))
}

impl Paths {
    fn of(given: &Path) -> Result<Self, CollectError> {
        let output = FileTarget::of(given)?;
        let paths = Self {
            journal: with_ending(given, JOURNAL),
            lock: with_ending(&output.real, LOCK),
            state: with_ending(given, STATE),
            held: held_beside(&output.real),
            output,
        };
        for sibling in [&paths.journal, &paths.lock, &paths.state, &paths.held] {
            match fs::symlink_metadata(sibling) {
                Ok(found) if !found.is_file() => {
                    return Err(CollectError::place(
                        sibling,
                        "something that is not a plain file has its name",
                    ));
                }
                Ok(_) if sibling == &paths.held && with_ending(sibling, LOCK).exists() => {
                    return Err(CollectError::place(
                        sibling,
                        "it is the output of another job, and an output that is held back would take its place",
                    ));
                }
                // The lock alone is neither replaced nor removed.
                Ok(_) if sibling == &paths.lock => {}
                Ok(found) => check_replaceable(sibling, sibling, &found)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(CollectError::create(sibling)(error)),
            }
        }
        Ok(paths)
    }
}

impl FileTarget {
    pub(super) fn of(given: &Path) -> Result<Self, CollectError> {
        let name = given.as_os_str().as_encoded_bytes();
        if given.file_name().is_none() || name.ends_with(b"/") || name.ends_with(b"/.") {
            return Err(CollectError::place(given, "that is a folder's name; name a file"));
        }
        // The links in /proc/self/fd lead to pipes under names that are no paths.
        if fs::metadata(given).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(CollectError::place(given, NO_FILE));
        }
        let mut real = given.to_path_buf();
        for _ in 0..MAX_LINKS {
            let found = match fs::symlink_metadata(&real) {
                Ok(found) => found,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    check_folder(given, &real)?;
                    return Ok(Self { given: given.into(), real });
                }
                Err(error) => return Err(CollectError::create(given)(error)),
            };
            if found.is_symlink() {
                let next = fs::read_link(&real).map_err(CollectError::create(given))?;
                real = folder_of(&real).join(next);
            } else if found.is_file() {
                check_replaceable(given, &real, &found)?;
                return Ok(Self { given: given.into(), real });
            } else if found.is_dir() {
                return Err(CollectError::place(given, "a folder has that name"));
            } else {
                return Err(CollectError::place(given, NO_FILE));
            }
        }
        Err(CollectError::place(given, "its symbolic links lead in a circle"))
    }
}

/// Whether another file may be renamed over this one, as far as that can be told without doing it. What a new file
/// in its folder may do, a trial finds.
fn check_replaceable(given: &Path, real: &Path, found: &fs::Metadata) -> Result<(), CollectError> {
    let folder = fs::metadata(folder_of(real)).map_err(CollectError::create(given))?;
    let attributes = statx(CWD, real, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()).ok();
    let has = |wanted: StatxAttributes| {
        let known = attributes.filter(|found| found.stx_attributes_mask.contains(wanted));
        known.map(|found| found.stx_attributes.contains(wanted))
    };
    if has(StatxAttributes::MOUNT_ROOT).unwrap_or_else(|| is_in_the_mount_table(real)) {
        return Err(CollectError::MountPoint { path: given.into() });
    }
    for (attribute, name) in [(StatxAttributes::IMMUTABLE, "i"), (StatxAttributes::APPEND, "a")] {
        if has(attribute) == Some(true) {
            let why =
                format!("it has the attribute {name}, so it cannot be replaced; chattr -{name} takes it off");
            return Err(CollectError::place(given, why));
        }
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

fn check_folder(given: &Path, real: &Path) -> Result<(), CollectError> {
    let folder = folder_of(real);
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(CollectError::place(given, format!("{} is not a folder", folder.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(CollectError::place(given, format!("there is no folder {}", folder.display())))
        }
        Err(error) => Err(CollectError::create(given)(error)),
    }
}

/// The folder that a file lies in; `.` for a bare name.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}

/// `out.json` and `.lock` give `out.json.lock`.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// `out.json` gives `out.failed.csv`.
fn failed_beside(output: &Path) -> PathBuf {
    let mut name = output.file_stem().unwrap_or_default().to_os_string();
    name.push(".failed.csv");
    output.with_file_name(name)
}

/// Where an output goes that is held back: `out.json` gives `out.held.json`. Of a symbolic link, the file that it leads
/// to decides.
#[must_use]
pub fn held_beside(output: &Path) -> PathBuf {
    let mut name = output.file_stem().unwrap_or_default().to_os_string();
    name.push(".held");
    if let Some(extension) = output.extension() {
        name.push(".");
        name.push(extension);
    }
    output.with_file_name(name)
}

/// Whether two names are one file, as far as their folders tell (the files may not be there yet).
pub(super) fn same_name(a: &Path, b: &Path) -> bool {
    let folder = |path: &Path| fs::canonicalize(folder_of(path));
    a == b || (a.file_name() == b.file_name() && matches!((folder(a), folder(b)), (Ok(a), Ok(b)) if a == b))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn settings(output: &Path) -> OutputSettings {
        OutputSettings { target: Target::File(output.into()), ..OutputSettings::default() }
    }

    fn why(settings: &OutputSettings) -> String {
        let error = preflight(settings).unwrap_err();
        assert_eq!(error.exit().code(), 73, "{error}");
        error.to_string()
    }

    #[test]
    fn siblings_lie_beside_the_output() {
        let dir = tempfile::tempdir().unwrap();
        let place = preflight(&settings(&dir.path().join("out.json"))).unwrap();
        let paths = place.paths.unwrap();
        assert_eq!(paths.journal, dir.path().join("out.json.journal"));
        assert_eq!(paths.lock, dir.path().join("out.json.lock"));
        assert_eq!(paths.state, dir.path().join("out.json.state"));
        assert_eq!(paths.held, dir.path().join("out.held.json"));
        for (output, held) in [("out", "out.held"), ("a.b.jsonl", "a.b.held.jsonl"), (".x", ".x.held")] {
            assert_eq!(held_beside(Path::new(output)), Path::new(held));
        }
        assert_eq!(place.failed.unwrap().given, dir.path().join("out.failed.csv"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_stays_where_it_is_and_its_end_is_the_target() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("deep")).unwrap();
        symlink("deep/real.json", dir.path().join("link.json")).unwrap();
        let place = preflight(&settings(&dir.path().join("link.json"))).unwrap().paths.unwrap();
        assert_eq!(place.output.real, dir.path().join("deep/real.json"));
        assert_eq!(place.journal, dir.path().join("link.json.journal"));
        assert_eq!(place.lock, dir.path().join("deep/real.json.lock"));
        symlink("circle.json", dir.path().join("circle.json")).unwrap();
        assert!(why(&settings(&dir.path().join("circle.json"))).contains("circle"));
    }

    #[test]
    fn a_place_that_cannot_hold_the_output_is_found_beforehand() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        fs::create_dir(dir.path().join("journalled.json.journal")).unwrap();
        assert!(why(&settings(dir.path())).contains("folder"));
        assert!(why(&settings(&dir.path().join("absent/out.json"))).contains("there is no folder"));
        assert!(why(&settings(&dir.path().join("file/out.json"))).contains("file"));
        assert!(why(&settings(&dir.path().join("out/"))).contains("folder"));
        assert!(why(&settings(Path::new("/dev/null"))).contains("device"));
        assert!(why(&settings(&dir.path().join("journalled.json"))).contains("not a plain file"));
        let long = "x".repeat(300);
        assert!(why(&settings(&dir.path().join(long))).contains("cannot"));
    }

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

    #[test]
    fn two_files_under_one_name_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("out.json");
        for name in ["out.json", "./out.json", "out.json.journal", "out.json.state", "out.held.json"] {
            let failed = OutputSettings { failed: Some(dir.path().join(name)), ..settings(&output) };
            assert!(why(&failed).contains("another file"), "{name}");
            let changes = OutputSettings { changes: Some(dir.path().join(name)), ..settings(&output) };
            assert!(why(&changes).contains("another file"), "{name}");
        }
        let changes = Some(dir.path().join("out.failed.csv"));
        assert!(why(&OutputSettings { changes, ..settings(&output) }).contains("another file"));
    }
}
