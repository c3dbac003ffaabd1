//! The only place that replaces a file, so that every reader finds the old one or the new one, whole.
//!
//! A temporary file in the target's folder is created exclusively, written, synced and renamed; then
//! the folder is synced, or the rename itself could be lost with the power. A sync that failed is not
//! tried again on that descriptor: the kernel has dropped the pages and would report success.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Gid, Uid, fchown};
use rustix::process::{getegid, geteuid};
use tempfile::{Builder, NamedTempFile};

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::background_writer::BackgroundWriter;
use crate::collect::files::names::folder_of;
use crate::collect::files::stage::ObjectStage;

/// Random characters in a temporary name: 62^12 is beyond any collision.
const RANDOM: usize = 12;
const ENDING: &str = ".tmp";
/// Large enough that writing costs few system calls. The chunks of an output are as large: they are not copied again.
const BUFFER: usize = 64 * 1024;
/// Bytes written between two syncs, where it is synced while it is written.
pub(crate) const SYNC_EVERY: u64 = 16 << 20;
/// The mode of a new file, before the umask.
const NEW_FILE: u32 = 0o666;
const PRIVATE: u32 = 0o600;

/// An empty file without a name, in the folder for temporary files.
///
/// # Errors
/// It cannot be made.
pub(crate) fn unnamed_file() -> io::Result<File> {
    tempfile::tempfile()
}

/// A file on its way to replace another. Dropped without [`Replacement::commit`], it leaves nothing.
pub(crate) struct Replacement {
    target: PathBuf,
    /// Mode and owner are those of what it replaces.
    inherits: bool,
    /// The permissions to end with, where they are not those the file was created with.
    mode: Option<u32>,
    /// What the file's object is replaced through, where it stands for one.
    stage: Option<ObjectStage>,
    written: u64,
    /// Bytes since the last sync, where it is synced while it is written.
    unsynced: Option<u64>,
    writer: BufWriter<NamedTempFile>,
}

/// What ends as a [`Replacement`].
pub(crate) trait IntoReplacement: Write {
    /// Waits until all is written.
    ///
    /// # Errors
    /// Something could not be written.
    fn into_replacement(self) -> io::Result<Replacement>;
}

impl IntoReplacement for Replacement {
    fn into_replacement(self) -> io::Result<Replacement> {
        Ok(self)
    }
}

impl IntoReplacement for BackgroundWriter<Replacement> {
    fn into_replacement(self) -> io::Result<Replacement> {
        self.finish()
    }
}

impl Replacement {
    /// Begins to replace `target`, which keeps its mode and, where the system lets us, its owner. A
    /// new file gets what the umask leaves. The file is never wider than it will be in the end: until it has the
    /// group that the mode is meant for, its owner alone may read it.
    pub(crate) fn create(target: &Path) -> Result<Self, CollectError> {
        match fs::symlink_metadata(target) {
            Ok(old) => {
                let mode = old.mode() & 0o777;
                let is_ours = old.uid() == geteuid().as_raw() && old.gid() == getegid().as_raw();
                let create = if is_ours { mode } else { mode & PRIVATE };
                let replacement = Self::with_mode(target, create, (true, Some(mode)))?;
                give_to(replacement.writer.get_ref().as_file(), &old);
                Ok(replacement)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Self::with_mode(target, NEW_FILE, (true, None))
            }
            Err(error) => Err(CollectError::io(FileOperation::Create, target)(error)),
        }
    }

    /// Begins to replace `target` with a file that only its owner may read.
    pub(crate) fn create_private(target: &Path) -> Result<Self, CollectError> {
        Self::with_mode(target, PRIVATE, (false, None))
    }

    /// Replaces the object that the file stands for as well, if it does.
    pub(crate) fn in_stage(self, stage: Option<&ObjectStage>) -> Self {
        Self { stage: stage.cloned(), ..self }
    }

    /// Syncs what was written every few megabytes, so that little is left for the end.
    pub(crate) fn synced_while_written(self) -> Self {
        Self { unsynced: Some(0), ..self }
    }

    /// Goes to another name in the same folder in the end, with the mode and owner of what it was begun for.
    pub(crate) fn redirect(&mut self, target: &Path) {
        self.target = target.into();
        self.inherits = false;
    }

    /// Where it is until then.
    pub(crate) fn path(&self) -> &Path {
        self.writer.get_ref().path()
    }

    /// What was written so far, less the last quarter of a megabyte.
    pub(crate) fn file(&self) -> &File {
        self.writer.get_ref().as_file()
    }

    fn with_mode(
        target: &Path,
        create: u32,
        (inherits, mode): (bool, Option<u32>),
    ) -> Result<Self, CollectError> {
        let file = Builder::new()
            .prefix(&prefix(target))
            .suffix(ENDING)
            .rand_bytes(RANDOM)
            .permissions(Permissions::from_mode(create))
            .tempfile_in(folder_of(target))
            .map_err(CollectError::io(FileOperation::Create, target))?;
        let writer = BufWriter::with_capacity(BUFFER, file);
        Ok(Self { target: target.into(), inherits, mode, stage: None, written: 0, unsynced: None, writer })
    }

    /// Puts the file in the target's place, durably. Returns its bytes.
    pub(crate) fn commit(self) -> Result<u64, CollectError> {
        let (target, written) = (self.target.clone(), self.written);
        self.put_if(&|| false, &|| true)?;
        sync_folder(&target)?;
        Ok(written)
    }

    /// The part of [`Replacement::commit`] up to the rename, if `may` still allows it when all else is
    /// done: then the new file is in place, but a power cut may still bring back the old one. The object that the file
    /// stands for is replaced right before, since readers see that one; a transfer of its bytes ends when `is_stopped`.
    #[expect(clippy::disallowed_methods, reason = "the one rename that publishes")]
    pub(crate) fn put_if(
        mut self,
        is_stopped: &dyn Fn() -> bool,
        may: &dyn Fn() -> bool,
    ) -> Result<(), CollectError> {
        let (target, stage) = (self.target.clone(), self.stage.take());
        let file = self.settle()?;
        let upload =
            stage.map(|stage| stage.upload(&target, file.as_file(), is_stopped)).transpose()?.flatten();
        if !may() {
            return Err(CollectError::Stopped);
        }
        let upload = upload.map(|mut upload| upload.complete().map(|()| upload)).transpose()?;
        file.persist(&target)
            .map_err(|error| CollectError::io(FileOperation::Replace, &target)(error.error))?;
        if let Some(upload) = upload {
            upload.settle();
        }
        Ok(())
    }

    /// Gives the file its owner and mode, and syncs it: all that comes before the rename.
    fn settle(self) -> Result<NamedTempFile, CollectError> {
        let target = self.target;
        let failed = |doing| CollectError::io(doing, &target);
        let file =
            self.writer.into_inner().map_err(|error| failed(FileOperation::Write)(error.into_error()))?;
        let mut mode = self.mode;
        if self.inherits
            && let Ok(old) = fs::symlink_metadata(&target)
            && old.is_file()
        {
            // They may have been changed since the file was begun, which can be hours ago.
            give_to(file.as_file(), &old);
            mode = Some(old.mode() & 0o777);
        }
        if let Some(mode) = mode {
            // Shares that give all files one mode refuse every change of it, even to the same.
            let is_so = file.as_file().metadata().is_ok_and(|new| new.mode() & 0o777 == mode);
            if !is_so {
                let mode = Permissions::from_mode(mode);
                file.as_file().set_permissions(mode).map_err(failed(FileOperation::SetMode))?;
            }
        }
        file.as_file().sync_all().map_err(failed(FileOperation::Sync))?;
        Ok(file)
    }
}

/// Does all that replacing `target` takes, in the same order, with files of its own in the same folder: what a
/// file system refuses is found before the first request. Leaves nothing behind.
#[expect(clippy::disallowed_methods, reason = "a trial of that rename, with files of its own")]
pub(crate) fn try_replacing(target: &Path) -> Result<(), CollectError> {
    let mut new = Replacement::create(target)?;
    // One byte: a full disk may still have space for a name.
    new.write_all(b"\n")
        .and_then(|()| new.flush())
        .map_err(CollectError::io(FileOperation::Create, target))?;
    let new = new.settle()?;
    let old = Replacement::create_private(target)?.settle()?.into_temp_path();
    new.persist(&old).map_err(|error| CollectError::io(FileOperation::Replace, target)(error.error))?;
    sync_folder(target)?;
    fs::remove_file(&old).map_err(CollectError::io(FileOperation::RemoveBeside, target))
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unsynced.is_some_and(|unsynced| unsynced >= SYNC_EVERY) {
            self.writer.flush()?;
            self.file().sync_data()?;
            self.unsynced = Some(0);
        }
        let count = self.writer.write(bytes)?;
        self.written += count as u64;
        self.unsynced = self.unsynced.map(|unsynced| unsynced + count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The owner is kept where possible: root may give a file away, others may at most choose the group.
fn give_to(file: &File, old: &fs::Metadata) {
    if file.metadata().is_ok_and(|new| (new.uid(), new.gid()) == (old.uid(), old.gid())) {
        return;
    }
    let (owner, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
    if fchown(file, Some(owner), Some(group)).is_err() {
        let _ = fchown(file, None, Some(group));
    }
}

fn prefix(target: &Path) -> std::ffi::OsString {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

/// Makes a create, rename or remove in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), CollectError> {
    let folder = folder_of(path);
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems do not sync folders: there is nothing more to be had.
        Err(error) if !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(CollectError::io(FileOperation::SyncFolder, folder)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a file for good. One that is not there counts as removed.
pub(crate) fn remove(path: &Path) -> Result<(), CollectError> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CollectError::io(FileOperation::Remove, path)(error)),
    }
}

/// Removes what killed runs left of replacing `target`: plain files whose names this module makes.
/// Only for the holder of the lock. One that cannot be removed stays: it harms nothing.
pub(crate) fn clear_leftovers(target: &Path) {
    clear(target, |_| true);
}

/// The same for a file that has no lock: only what has not been written to for an hour, since another run may
/// be replacing the same file now, which takes it an instant.
pub(crate) fn clear_old_leftovers(target: &Path) {
    const OLD: Duration = Duration::from_hours(1);
    clear(target, |found| found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= OLD)));
}

fn clear(target: &Path, is_dead: impl Fn(&fs::Metadata) -> bool) {
    let prefix = prefix(target);
    let Ok(entries) = fs::read_dir(folder_of(target)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let random = name
            .as_encoded_bytes()
            .strip_prefix(prefix.as_encoded_bytes())
            .and_then(|rest| rest.strip_suffix(ENDING.as_bytes()));
        let ours = random.is_some_and(|r| r.len() == RANDOM && r.iter().all(u8::is_ascii_alphanumeric));
        if ours && entry.metadata().is_ok_and(|found| found.is_file() && is_dead(&found)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(target: &Path, text: &str) -> Result<u64, CollectError> {
        let mut new = Replacement::create(target)?;
        new.write_all(text.as_bytes()).unwrap();
        new.commit()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_is_synced_while_it_is_written_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.json");
        let mut new = Replacement::create(&target).unwrap().synced_while_written();
        let chunks: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; 1 << 20]).collect();
        for chunk in &chunks {
            new.write_all(chunk).unwrap();
        }
        assert_eq!(new.commit().unwrap(), 40 << 20);
        assert!(fs::read(&target).unwrap() == chunks.concat());
    }

    #[test]
    fn the_old_file_remains_until_the_new_one_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.json");
        fs::write(&target, "old").unwrap();
        let mut new = Replacement::create(&target).unwrap();
        new.write_all(b"half").unwrap();
        new.flush().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        drop(new);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(replace(&target, "new!").unwrap(), 4);
        assert_eq!(fs::read(&target).unwrap(), b"new!");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_new_one_obeys_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let (target, plain) = (dir.path().join("out.json"), dir.path().join("plain"));
        File::create(&plain).unwrap();
        replace(&target, "1").unwrap();
        assert_eq!(mode(&target), mode(&plain), "what a plain create gives");
        for wanted in [0o640, 0o600, 0o444, 0o666, 0o604] {
            fs::set_permissions(&target, Permissions::from_mode(wanted)).unwrap();
            replace(&target, "2").unwrap();
            assert_eq!(mode(&target), wanted);
        }
        let private = Replacement::create_private(&dir.path().join("state")).unwrap();
        private.commit().unwrap();
        assert_eq!(mode(&dir.path().join("state")), 0o600);
    }

    #[test]
    fn a_temporary_file_is_never_wider_than_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.json");
        fs::write(&target, "old").unwrap();
        for old in [0o644, 0o640, 0o604, 0o600, 0o444] {
            fs::set_permissions(&target, Permissions::from_mode(old)).unwrap();
            let new = Replacement::create(&target).unwrap();
            let new = new.writer.get_ref().as_file().metadata().unwrap().mode() & 0o777;
            assert_eq!(new & !old, 0, "{new:o} for {old:o}");
        }
        if geteuid().is_root() {
            fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
            std::os::unix::fs::chown(&target, Some(1234), Some(1234)).unwrap();
            let new = Replacement::create(&target).unwrap();
            let new = new.writer.get_ref().as_file().metadata().unwrap();
            assert_eq!((new.mode() & 0o777, new.gid()), (0o600, 1234), "until it has its group");
        }
    }

    #[test]
    fn a_trial_leaves_nothing_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.json");
        try_replacing(&target).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        try_replacing(&target).unwrap();
        assert_eq!((fs::read(&target).unwrap(), mode(&target)), (b"old".to_vec(), 0o640));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = try_replacing(Path::new("/proc/out.json")).unwrap_err();
        assert_eq!(error.before_first_request().exit().code(), 73);
    }

    #[test]
    fn only_our_own_leftovers_are_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.json");
        let ours = dir.path().join(".out.json.abcDEF123456.tmp");
        let others = [
            ".out.json.abc.tmp",
            ".out.json.abcDEF12345-.tmp",
            ".out.json.abcDEF123456.tmp2",
            "out.json.abcDEF123456.tmp",
            ".other.json.abcDEF123456.tmp",
        ];
        fs::write(&ours, "").unwrap();
        for name in others {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join(".out.json.abcDEF12345x.tmp")).unwrap();
        clear_leftovers(&target);
        assert!(!ours.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), others.len() + 1);
    }

    #[test]
    fn without_a_lock_only_what_is_old_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let [old, young] = ["abcDEF123456", "abcDEF123457"]
            .map(|random| dir.path().join(format!(".report.html.{random}.tmp")));
        fs::write(&young, "").unwrap();
        let long_ago = std::time::SystemTime::now() - Duration::from_hours(2);
        File::create(&old).unwrap().set_modified(long_ago).unwrap();
        clear_old_leftovers(&dir.path().join("report.html"));
        assert!(!old.exists() && young.exists());
    }

    #[test]
    fn replacing_in_a_removed_folder_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("gone/out.json");
        fs::create_dir(dir.path().join("gone")).unwrap();
        let new = Replacement::create(&target).unwrap();
        fs::remove_dir_all(dir.path().join("gone")).unwrap();
        let error = new.commit().unwrap_err();
        assert_eq!(error.exit().code(), 74);
        assert!(error.to_string().contains("out.json"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_created_at_the_end_of_a_run_is_a_disk_error() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("gone/out.json");
        let code = |error: CollectError| error.exit().code();
        assert_eq!(Replacement::create(&target).err().map(code), Some(74));
        assert_eq!(
            Replacement::create(&target).map_err(CollectError::before_first_request).err().map(code),
            Some(73)
        );
    }
}
