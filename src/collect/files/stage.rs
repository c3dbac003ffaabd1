//! Files of this machine that stand for objects in a store.
//!
//! All of a run's files are written, compared and checked here, as files. Where one of them stands for an object, its
//! bytes are transferred before it is renamed, and become visible in one step in between: a reader of the object finds the
//! old one or the new one, whole, and a run that ends at any instant is resumed from files of this machine.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::collect::error::CollectError;
#[cfg(feature = "cloud")]
use crate::collect::files::salt::{random_salt, salt_to_hex};

/// What connects files to objects. A double of it needs no store.
pub(crate) trait ObjectCopies: Send + Sync {
    /// The address of the object that a file stands for; none for any other file.
    fn address(&self, file: &Path) -> Option<String>;

    /// Transfers `content`, which will be `file`. Nothing of it is visible before [`PendingUpload::complete`].
    ///
    /// # Errors
    /// The store refuses it or does not answer; [`CollectError::Stopped`] once `is_stopped`.
    fn upload(
        &self,
        file: &Path,
        content: &File,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Box<dyn PendingUpload>, CollectError>;

    /// Removes the object of a file. One that is not there counts as removed.
    ///
    /// # Errors
    /// The store refuses it or does not answer.
    fn remove(&self, file: &Path) -> Result<(), CollectError>;

    /// Whether the object is still the one that the file was copied from.
    ///
    /// # Errors
    /// The store does not tell.
    fn is_unchanged(&self, file: &Path) -> Result<bool, CollectError>;
}

/// Bytes that are in the store and not visible yet. Dropped, they are given up.
pub(crate) trait PendingUpload {
    /// Makes them the object, in one step.
    ///
    /// # Errors
    /// This run may no longer write the output, or the store refuses it or does not answer.
    fn complete(&mut self) -> Result<(), CollectError>;

    /// The file with the same bytes is in its place.
    fn settle(self: Box<Self>);
}

/// The files that stand for objects, and what connects them.
#[derive(Clone)]
pub struct ObjectStage(Arc<dyn ObjectCopies>);

impl ObjectStage {
    #[cfg(any(test, feature = "cloud"))]
    pub(crate) fn new(copies: Arc<dyn ObjectCopies>) -> Self {
        Self(copies)
    }

    /// A file as a person knows it: by the address of its object, if it stands for one.
    pub(crate) fn shown(stage: Option<&Self>, file: &Path) -> PathBuf {
        stage.and_then(|stage| stage.0.address(file)).map_or_else(|| file.into(), PathBuf::from)
    }

    /// Begins to replace the object of a file, if the file stands for one.
    pub(crate) fn upload(
        &self,
        file: &Path,
        content: &File,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Box<dyn PendingUpload>>, CollectError> {
        self.of(file).map(|copies| copies.upload(file, content, is_stopped)).transpose()
    }

    /// Removes the object of a file, if the file stands for one.
    pub(crate) fn remove(stage: Option<&Self>, file: &Path) -> Result<(), CollectError> {
        stage.and_then(|stage| stage.of(file)).map_or(Ok(()), |copies| copies.remove(file))
    }

    /// Whether the object is still the one that the file was copied from; a file that stands for none is.
    pub(crate) fn is_unchanged(stage: Option<&Self>, file: &Path) -> Result<bool, CollectError> {
        stage.and_then(|stage| stage.of(file)).map_or(Ok(true), |copies| copies.is_unchanged(file))
    }

    fn of(&self, file: &Path) -> Option<&dyn ObjectCopies> {
        self.0.address(file).is_some().then_some(&*self.0)
    }
}

impl fmt::Debug for ObjectStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectStage")
    }
}

/// Two of them are the same if they are one.
impl PartialEq for ObjectStage {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ObjectStage {}

/// Makes a folder for such files, for this user alone, with all above it.
///
/// # Errors
/// It cannot be made.
#[cfg(feature = "cloud")]
pub(crate) fn make_stage_folder(folder: &Path) -> Result<(), CollectError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(CollectError::create(folder))
}

/// Characters that no other run has.
#[cfg(feature = "cloud")]
pub(crate) fn random_mark() -> String {
    salt_to_hex(random_salt())
}

/// What a small file beside such a file holds, if there is one.
#[cfg(feature = "cloud")]
pub(crate) fn read_note(path: &Path) -> Option<String> {
    use std::io::Read as _;
    const LARGEST: u64 = 64 << 10;
    let mut text = String::new();
    File::open(path).ok()?.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The names in a folder that stand for objects, as far as it can be read.
#[cfg(feature = "cloud")]
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};
    use std::sync::Mutex;

    use super::*;
    use crate::collect::files::atomic::Replacement;
    use crate::model::Exit;

    /// Objects in memory, for the files of one folder.
    #[derive(Default)]
    struct Memory {
        folder: PathBuf,
        object: Arc<Mutex<String>>,
        events: Arc<Mutex<Vec<&'static str>>>,
        refuses: bool,
    }

    struct MemoryUpload {
        text: String,
        object: Arc<Mutex<String>>,
        events: Arc<Mutex<Vec<&'static str>>>,
        refuses: bool,
    }

    impl ObjectCopies for Memory {
        fn address(&self, file: &Path) -> Option<String> {
            let name = file.strip_prefix(&self.folder).ok()?;
            Some(format!("s3://b/{}", name.display()))
        }

        fn upload(
            &self,
            _: &Path,
            mut content: &File,
            is_stopped: &dyn Fn() -> bool,
        ) -> Result<Box<dyn PendingUpload>, CollectError> {
            if is_stopped() {
                return Err(CollectError::Stopped);
            }
            let mut text = String::new();
            content.rewind().and_then(|()| content.read_to_string(&mut text)).unwrap();
            self.events.lock().unwrap().push("transferred");
            let (object, events) = (Arc::clone(&self.object), Arc::clone(&self.events));
            Ok(Box::new(MemoryUpload { text, object, events, refuses: self.refuses }))
        }

        fn remove(&self, _: &Path) -> Result<(), CollectError> {
            self.object.lock().unwrap().clear();
            Ok(())
        }

        fn is_unchanged(&self, _: &Path) -> Result<bool, CollectError> {
            Ok(true)
        }
    }

    impl PendingUpload for MemoryUpload {
        fn complete(&mut self) -> Result<(), CollectError> {
            if self.refuses {
                return Err(CollectError::Object { message: "no".into(), hint: None, exit: Exit::TryAgain });
            }
            self.events.lock().unwrap().push("visible");
            self.object.lock().unwrap().clone_from(&self.text);
            Ok(())
        }

        fn settle(self: Box<Self>) {
            self.events.lock().unwrap().push("settled");
        }
    }

    fn begin(dir: &Path, memory: Memory) -> (Replacement, PathBuf) {
        let file = dir.join("out.json");
        std::fs::write(&file, "old").unwrap();
        let stage = ObjectStage::new(Arc::new(Memory { folder: dir.into(), ..memory }));
        let mut new = Replacement::create(&file).unwrap().in_stage(Some(&stage));
        new.write_all(b"new").unwrap();
        (new, file)
    }

    #[test]
    fn an_object_is_replaced_before_its_file_and_after_its_bytes_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let (object, events): (Arc<Mutex<String>>, Arc<Mutex<Vec<_>>>) = Default::default();
        let memory = Memory { object: Arc::clone(&object), events: Arc::clone(&events), ..Memory::default() };
        let (new, file) = begin(dir.path(), memory);
        let may = || {
            assert_eq!((&**object.lock().unwrap(), &*std::fs::read_to_string(&file).unwrap()), ("", "old"));
            true
        };
        new.put_if(&|| false, &may).unwrap();
        assert_eq!((&**object.lock().unwrap(), &*std::fs::read_to_string(&file).unwrap()), ("new", "new"));
        assert_eq!(*events.lock().unwrap(), ["transferred", "visible", "settled"]);
    }

    #[test]
    fn what_does_not_become_visible_leaves_object_and_file_as_they_were() {
        type Case = (bool, bool, bool, u8, &'static [&'static str]);
        let cases: [Case; 3] = [
            (true, true, false, 75, &[]),
            (false, false, false, 75, &["transferred"]),
            (false, true, true, 75, &["transferred"]),
        ];
        for (stopped, may, refuses, exit, happened) in cases {
            let dir = tempfile::tempdir().unwrap();
            let events: Arc<Mutex<Vec<_>>> = Arc::default();
            let (new, file) =
                begin(dir.path(), Memory { events: Arc::clone(&events), refuses, ..Memory::default() });
            let error = new.put_if(&|| stopped, &|| may).unwrap_err();
            assert_eq!(error.exit().code(), exit, "{error}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
            assert_eq!(*events.lock().unwrap(), happened);
        }
    }
}
