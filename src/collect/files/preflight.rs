//! Whether a run can write its files, found out before the first request.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::collect::error::CollectError;
use crate::collect::files::atomic::{Replacement, try_replacing};
use crate::collect::files::names::{failed_beside, folder_of, same_name};
use crate::collect::files::paths::{FileTarget, Paths};
use crate::collect::settings::{OutputSettings, Target};

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

/// The same without a trace, for a run that writes nothing: permissions are queried instead of tried.
///
/// # Errors
/// As [`preflight`], less what only a trial finds (a quota, a full disk).
pub(crate) fn preflight_without_trace(settings: &OutputSettings) -> Result<Preflight, CollectError> {
    if let (Some(_), Target::File(path)) = (&settings.part, &settings.target)
        && !folder_of(path).exists()
    {
        // The first shard makes the folder of the parts: nothing of an earlier run lies there.
        return Ok(Preflight { paths: None, failed: None, changes: None });
    }
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
    let is_part = settings.part.is_some();
    let failed = match (&settings.failed, &paths) {
        // A part has its failures in itself.
        _ if is_part => None,
        (Some(given), _) => Some(FileTarget::of(given)?),
        (None, Some(paths)) => Some(FileTarget::of(&failed_beside(&paths.output.given))?),
        (None, None) => None,
    };
    let changes = settings.changes.as_deref().filter(|_| !is_part).map(FileTarget::of).transpose()?;
    let mut taken: Vec<&Path> = Vec::new();
    if let Some(Paths { output, journal, lock, state, held }) = &paths {
        taken.extend([&output.given, &output.real, journal, lock, state, held].map(PathBuf::as_path));
    }
    for other in failed.iter().chain(&changes) {
        let is_set_aside = |path: &PathBuf| paths.as_ref().is_some_and(|own| is_numbered(&own.journal, path));
        if taken.iter().any(|path| same_name(path, &other.real) || same_name(path, &other.given))
            || [&other.real, &other.given].into_iter().any(is_set_aside)
        {
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
    let known = |target: FileTarget| target.in_stage(settings.stage.as_ref());
    let paths = paths.map(|paths| Paths { output: known(paths.output), ..paths });
    Ok(Preflight { paths, failed: failed.map(known), changes: changes.map(known) })
}

/// Does with files of its own what publishing will do, and leaves nothing behind. For the holder of the lock: another
/// run would clear such files away.
///
/// # Errors
/// What the file system refuses.
pub(crate) fn try_publishing(place: &Preflight) -> Result<(), CollectError> {
    let outputs = place.paths.iter().map(|paths| &paths.output);
    let targets = outputs.chain(&place.failed).chain(&place.changes);
    let mut tried: Vec<(&Path, Option<u32>)> = Vec::new();
    for FileTarget { real, .. } in targets {
        // Another mode to keep is another trial.
        let trial = (folder_of(real), fs::symlink_metadata(real).ok().map(|old| old.mode()));
        if !tried.contains(&trial) {
            try_replacing(real).map_err(CollectError::before_first_request)?;
            tried.push(trial);
        }
    }
    Ok(())
}

/// Whether this is the name of a journal that was set aside: `out.json.journal.1`.
fn is_numbered(journal: &Path, other: &Path) -> bool {
    let number =
        other.extension().is_some_and(|ending| ending.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    number && same_name(journal, &other.with_extension(""))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::collect::files::names::held_beside;

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
        for (output, held, failed) in [
            ("out.json.gz", "out.held.json.gz", "out.failed.csv"),
            ("a.b.csv.ZST", "a.b.held.csv.ZST", "a.b.failed.csv"),
            ("out.gz", "out.held.gz", "out.failed.csv"),
            (".gz", ".gz.held", ".gz.failed.csv"),
        ] {
            assert_eq!(held_beside(Path::new(output)), Path::new(held));
            assert_eq!(failed_beside(Path::new(output)), Path::new(failed));
        }
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
