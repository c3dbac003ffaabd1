//! What the guard compares a new output with: the profile of the old one, from the state file or measured.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::collect::files::stamp::stamp_of;
use crate::collect::identity::RecordedJob;
use crate::collect::previous::profile::Profile;
use crate::collect::previous::state::StateFile;
use crate::collect::previous::stored::{first_sku, measure};
use crate::collect::settings::OutputSettings;

/// What the guard compares a new output with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// What it holds.
    pub profile: Profile,
    /// It was made by the same request, selection and body form, as far as is known: only then are its shares a
    /// measure for the new ones.
    pub shares_comparable: bool,
}

/// A file as it is at one moment: another one in its place, or with other bytes, is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    pub(crate) bytes: u64,
    written: (i64, i64),
}

impl FileId {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let written = (found.mtime(), found.mtime_nsec());
        Some(Self { device: found.dev(), inode: found.ino(), bytes: found.len(), written })
    }
}

/// What a new output is to be compared with. `found` is the state file, if it belongs to the old output.
pub(crate) fn baseline(found: Option<&StateFile>, measured: Option<Profile>, job: &RecordedJob) -> Baseline {
    let profile = found.and_then(|found| found.profile).or(measured).unwrap_or_default();
    let layout = found.and_then(|found| found.layout.as_ref());
    Baseline { profile, shares_comparable: layout.is_none_or(|layout| layout.provenance == job.provenance) }
}

/// The profile of the old output: from the state file if it was taken of this very file, else measured.
///
/// # Errors
/// Why there is none.
pub(crate) fn compare_with(
    settings: &OutputSettings,
    (path, found): (&Path, Option<&StateFile>),
    job: &RecordedJob,
) -> Result<Option<Baseline>, String> {
    if let Some(found) = found.filter(|found| found.profile.is_some())
        && fs::metadata(path).is_ok_and(|old| old.len() == found.output.bytes)
        && File::open(path).and_then(|file| stamp_of(&file)).is_ok_and(|stamp| stamp == found.output)
    {
        return Ok(Some(baseline(Some(found), None, job)));
    }
    let measured = measure_any(path, settings)?;
    Ok(measured.map(|profile| Baseline { profile, shares_comparable: true }))
}

/// Measures an output of any format. `None` if there is no file, or nothing in it.
pub(crate) fn measure_any(path: &Path, settings: &OutputSettings) -> Result<Option<Profile>, String> {
    let open = || match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let Some(file) = open()? else { return Ok(None) };
    if file.metadata().is_ok_and(|found| found.len() == 0) {
        return Ok(None);
    }
    let mut why = None;
    for form in settings.forms() {
        let Some(file) = open()? else { return Ok(None) };
        match measure(&file, form) {
            Ok(measured) => return Ok(Some(measured.profile)),
            Err(error) => {
                why.get_or_insert_with(|| error.to_string());
            }
        }
    }
    Err(why.unwrap_or_default())
}

/// How many SKUs an output of any format holds. `None` where it is not there, or is no output.
#[must_use]
pub(crate) fn skus_in(path: &Path, settings: &OutputSettings) -> Option<u64> {
    measure_any(path, settings).ok().flatten().map(|profile| profile.skus)
}

/// Whether the output that is there has any SKU.
pub(crate) fn has_skus(path: &Path, settings: &OutputSettings) -> bool {
    let has = |form| File::open(path).is_ok_and(|file| first_sku(&file, form, |_, _| true).is_some());
    settings.forms().any(has)
}
