//! The names of the files that lie beside an output, and the folders of files.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::collect::files::compression::Compression;

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

/// `out.json` and `out.json.gz` give `out.failed.csv`.
#[must_use]
pub(crate) fn failed_beside(output: &Path) -> PathBuf {
    let (mut name, _) = stem_and_endings(output);
    name.push(".failed.csv");
    output.with_file_name(name)
}

/// Where an output goes that is held back: `out.json` gives `out.held.json`, and `out.json.gz` gives `out.held.json.gz`.
/// Of a symbolic link, the file that it leads to decides.
#[must_use]
pub(crate) fn held_beside(output: &Path) -> PathBuf {
    let (mut name, endings) = stem_and_endings(output);
    name.push(".held");
    name.push(endings);
    output.with_file_name(name)
}

/// Whether a name is one that [`held_beside`] gives.
#[must_use]
pub(crate) fn is_held_name(path: &Path) -> bool {
    stem_and_endings(path).0.to_string_lossy().to_lowercase().ends_with(".held")
}

/// The name of a file without its ending, and the ending with its dot; that of a compressed file is part of it.
fn stem_and_endings(path: &Path) -> (OsString, OsString) {
    let mut endings = OsString::new();
    let mut stem = Path::new(path.file_name().unwrap_or_default());
    let mut take = |stem: &mut &Path| {
        if let (Some(ending), Some(rest)) = (stem.extension(), stem.file_stem()) {
            let mut longer = OsString::from(".");
            longer.push(ending);
            longer.push(&endings);
            endings = longer;
            *stem = Path::new(rest);
        }
    };
    if Compression::of(stem) != Compression::Plain {
        take(&mut stem);
    }
    take(&mut stem);
    (stem.as_os_str().to_owned(), endings)
}

/// Whether two names are one file, as far as their folders tell (the files may not be there yet).
pub(crate) fn same_name(a: &Path, b: &Path) -> bool {
    let folder = |path: &Path| fs::canonicalize(folder_of(path));
    a == b || (a.file_name() == b.file_name() && matches!((folder(a), folder(b)), (Ok(a), Ok(b)) if a == b))
}
