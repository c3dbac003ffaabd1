//! The names of the files that lie beside an output, and the folders of files.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const JOURNAL: &str = ".journal";
pub(crate) const LOCK: &str = ".lock";
pub(crate) const STATE: &str = ".state";

/// Where the journal, the lock and the state of an output lie, if it is no symbolic link.
#[must_use]
pub(crate) fn siblings(output: &Path) -> [PathBuf; 3] {
    [JOURNAL, LOCK, STATE].map(|ending| with_ending(output, ending))
}

/// The folder that a file lies in; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}

/// `out.json` and `.lock` give `out.json.lock`.
pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// `out.json` gives `out.failed.csv`.
pub(crate) fn failed_beside(output: &Path) -> PathBuf {
    let mut name = output.file_stem().unwrap_or_default().to_os_string();
    name.push(".failed.csv");
    output.with_file_name(name)
}

/// Where an output goes that is held back: `out.json` gives `out.held.json`. Of a symbolic link, the file that it leads
/// to decides.
#[must_use]
pub(crate) fn held_beside(output: &Path) -> PathBuf {
    let mut name = output.file_stem().unwrap_or_default().to_os_string();
    name.push(".held");
    if let Some(extension) = output.extension() {
        name.push(".");
        name.push(extension);
    }
    output.with_file_name(name)
}

/// Whether two names are one file, as far as their folders tell (the files may not be there yet).
pub(crate) fn same_name(a: &Path, b: &Path) -> bool {
    let folder = |path: &Path| fs::canonicalize(folder_of(path));
    a == b || (a.file_name() == b.file_name() && matches!((folder(a), folder(b)), (Ok(a), Ok(b)) if a == b))
}
