//! The files of this machine that stand for objects.
//!
//! Beside each lies a note that says which state of the object it is: `out.json.object`. A file is copied from the store
//! only where the object is another one than its note says. The note is written after the file, so that a crash in between
//! costs a copy and never hides a change.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::faults::{at_start, while_publishing};
use crate::collect::{self, CollectError, ObjectCopies, Paths, PendingUpload, Preflight, Replacement};
use crate::commands::command_error::CommandError;
use crate::model::{ObjectAddress, RunId};
use crate::object_storage::{
    FoundObject, ObjectLock, ObjectStores, StoreError, StoreErrorKind, TransferHooks, Upload,
};

const NOTE: &str = ".object";

/// A folder of this machine, and the folder of objects that it stands for.
pub(super) struct StageFolder {
    pub(super) local: PathBuf,
    /// With an empty name.
    pub(super) address: ObjectAddress,
}

/// The files of a run that stand for objects.
pub(super) struct Copies {
    pub(super) stores: Arc<ObjectStores>,
    folders: Vec<StageFolder>,
    /// It is written whether or not this run may write the output.
    report: Option<PathBuf>,
    pub(super) host: String,
    /// The lock of the output, and its file.
    lock: Mutex<Option<(Arc<ObjectLock>, PathBuf)>>,
    input: Mutex<Option<FoundObject>>,
}

/// Which state of an object a file is.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct CopyNote {
    version: String,
    size: u64,
}

impl CopyNote {
    fn of(found: &FoundObject) -> Self {
        Self { version: found.version.text(), size: found.size }
    }

    fn read(file: &Path) -> Option<Self> {
        serde_json::from_str(&collect::read_note(&note_path(file))?).ok()
    }

    fn write(&self, file: &Path) -> Result<(), CollectError> {
        write_note(&note_path(file), &serde_json::to_string(self).unwrap_or_default())
    }
}

fn note_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(NOTE);
    name.into()
}

/// Replaces a small file.
pub(super) fn write_note(path: &Path, text: &str) -> Result<(), CollectError> {
    let mut file = Replacement::create_private(path)?;
    file.write_all(text.as_bytes()).map_err(CollectError::create(path))?;
    file.commit().map(drop)
}

impl Copies {
    pub(super) fn new(
        stores: Arc<ObjectStores>,
        folders: Vec<StageFolder>,
        (report, host): (Option<PathBuf>, String),
    ) -> Self {
        Self { stores, folders, report, host, lock: Mutex::default(), input: Mutex::default() }
    }

    /// The object that the input was when it was copied.
    pub(super) fn input(&self) -> Option<FoundObject> {
        locked(&self.input).clone()
    }

    pub(super) fn set_input(&self, found: FoundObject) {
        *locked(&self.input) = Some(found);
    }

    /// From here on, nothing becomes visible without this lock.
    pub(super) fn hold(&self, lock: ObjectLock, output: &Path) {
        *locked(&self.lock) = Some((Arc::new(lock), output.into()));
    }

    pub(super) fn release(&self) {
        let lock = locked(&self.lock).take();
        drop(lock);
    }

    /// The output of a run, where it is an object.
    pub(super) fn output_of<'a>(&self, place: &'a Preflight) -> Option<(&'a Paths, ObjectAddress)> {
        let paths = place.paths.as_ref()?;
        Some((paths, self.object(&paths.output.real)?))
    }

    /// The object that a file stands for.
    fn object(&self, file: &Path) -> Option<ObjectAddress> {
        self.folders.iter().find_map(|folder| {
            let name = file.strip_prefix(&folder.local).ok()?.to_str()?;
            Some(folder.address.beside(name))
        })
    }

    /// Makes a file what its object is now, if the file stands for one.
    pub(super) fn copy(&self, file: &Path) -> Result<(), StoreError> {
        let Some(address) = self.object(file) else { return Ok(()) };
        if let Some(found) = self.stores.look(&address)? {
            return self.copy_found(file, (&address, &found));
        }
        let of_file =
            |error: CollectError| StoreError::new(StoreErrorKind::File, &address, error.to_string());
        collect::remove(file).and_then(|()| collect::remove(&note_path(file))).map_err(of_file)
    }

    fn copy_found(
        &self,
        file: &Path,
        (address, found): (&ObjectAddress, &FoundObject),
    ) -> Result<(), StoreError> {
        let note = CopyNote::of(found);
        let is_whole = || file.metadata().is_ok_and(|copy| copy.len() == found.size);
        if !note.version.is_empty() && CopyNote::read(file).as_ref() == Some(&note) && is_whole() {
            return Ok(());
        }
        let of_file = |error: CollectError| StoreError::new(StoreErrorKind::File, address, error.to_string());
        let mut copy = Replacement::create_private(file).map_err(of_file)?;
        self.stores.copy_to(address, found, &mut copy)?;
        copy.commit().map_err(of_file)?;
        note.write(file).map_err(of_file)
    }

    /// Makes the folder of the parts of a run what it is in the store.
    pub(super) fn copy_parts(&self, output: &Path, run: &RunId) -> Result<(), CommandError> {
        let (runs, folder) = (collect::runs_folder(output), collect::parts_folder(output, run));
        let (Some(all), Some(_)) = (self.object(&runs), self.object(&folder)) else { return Ok(()) };
        let mut found = self.stores.list(&all).map_err(|error| at_start(&error))?;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let mut parts = Vec::new();
        for (name, object) in &found {
            let Some((of_run, part)) = name.split_once('/') else { continue };
            if collect::is_part_name(part) && of_run.parse::<RunId>().is_ok() {
                // The folder of another run is made for its name alone: an error lists the runs that have parts.
                collect::make_stage_folder(&runs.join(of_run))?;
                if of_run == run.as_str() {
                    parts.push(part);
                    let file = folder.join(part);
                    let Some(address) = self.object(&file) else { continue };
                    self.copy_found(&file, (&address, object)).map_err(|error| at_start(&error))?;
                }
            }
        }
        let is_gone = |name: &String| collect::is_part_name(name) && !parts.contains(&name.as_str());
        for name in collect::names_in(&folder).into_iter().filter(is_gone) {
            collect::remove(&folder.join(name))?;
        }
        Ok(())
    }

    /// The lock that a file needs, and whether it is the output's own.
    fn lock_for(&self, file: &Path) -> Option<(Arc<ObjectLock>, bool)> {
        let lock = locked(&self.lock);
        let (lock, output) = lock.as_ref().filter(|_| self.report.as_deref() != Some(file))?;
        Some((Arc::clone(lock), output == file))
    }
}

impl ObjectCopies for Copies {
    fn address(&self, file: &Path) -> Option<String> {
        self.object(file).map(|address| address.to_string())
    }

    fn upload(
        &self,
        file: &Path,
        content: &File,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Box<dyn PendingUpload>, CollectError> {
        let address = self.object(file).expect("the caller has asked for its address");
        let lock = self.lock_for(file);
        let opened = |id: &str| lock.as_ref().map_or(Ok(()), |(lock, _)| lock.note_upload(&address, id));
        let upload =
            Upload::begin(&self.stores, &address, content, &TransferHooks { opened: &opened, is_stopped });
        let upload = upload.map_err(|error| while_publishing(&error))?;
        Ok(Box::new(LockedUpload { upload, lock, file: file.into(), note: None }))
    }

    fn remove(&self, file: &Path) -> Result<(), CollectError> {
        let address = self.object(file).expect("the caller has asked for its address");
        let lock = self.lock_for(file);
        lock.map_or(Ok(()), |(lock, _)| lock.confirm())
            .and_then(|()| self.stores.remove(&address))
            .map_err(|error| while_publishing(&error))?;
        collect::remove(&note_path(file))
    }

    fn is_unchanged(&self, file: &Path) -> Result<bool, CollectError> {
        let address = self.object(file).expect("the caller has asked for its address");
        let now = self.stores.look(&address).map_err(|error| while_publishing(&error))?;
        Ok(now.as_ref().map(CopyNote::of) == CopyNote::read(file))
    }
}

/// An upload that becomes visible only while this run holds the lock.
struct LockedUpload {
    upload: Upload,
    lock: Option<(Arc<ObjectLock>, bool)>,
    file: PathBuf,
    /// What the object is, once the upload is complete.
    note: Option<CopyNote>,
}

impl PendingUpload for LockedUpload {
    fn complete(&mut self) -> Result<(), CollectError> {
        let complete = |upload: &mut Upload| {
            if let Some((lock, _)) = &self.lock {
                lock.confirm()?;
            }
            upload.complete()
        };
        let version = complete(&mut self.upload).map_err(|error| while_publishing(&error))?;
        let size = self.upload.size();
        if let Some((lock, true)) = &self.lock {
            // The object is published whether or not this is noted.
            let _ = lock.note_published(self.upload.address(), (&version, size));
        }
        self.note = Some(CopyNote { version: version.text(), size });
        Ok(())
    }

    fn settle(self: Box<Self>) {
        if let Some(note) = &self.note {
            // Without it, the next run copies what this file has.
            let _ = note.write(&self.file);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
