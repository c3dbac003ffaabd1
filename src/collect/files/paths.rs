//! The files that a run touches.
//!
//! Journal and state lie beside the name that the user gave. The output itself may be a symbolic link: the link stays,
//! and what it leads to is replaced, with the temporary file in *that* folder, because a rename does not cross file
//! systems. The lock lies there too: two names of one output are one output.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::collect::error::CollectError;
use crate::collect::files::names::{JOURNAL, LOCK, STATE, folder_of, held_beside, with_ending};
use crate::collect::files::replaceable::check_replaceable;
use crate::collect::files::stage::ObjectStage;

const NO_FILE: &str = "that is a device, a pipe or a socket; for standard output write -";

/// Links followed at most; the kernel's own bound (`MAXSYMLINKS` in Linux).
const MAX_LINKS: usize = 40;

/// A file to replace: the name it was given, and what that leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTarget {
    /// As the user wrote it, such as `s3://bucket/out.json`.
    pub given: PathBuf,
    /// With symbolic links of the last component followed.
    pub real: PathBuf,
    /// Device and number of its folder.
    folder: Option<(u64, u64)>,
    /// What connects the file to the object that it stands for, if it stands for one: `given` is then the address.
    stage: Option<ObjectStage>,
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

impl Paths {
    pub(crate) fn of(given: &Path) -> Result<Self, CollectError> {
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
    pub(crate) fn of(given: &Path) -> Result<Self, CollectError> {
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
                    return Ok(Self::found(given, real));
                }
                Err(error) => return Err(CollectError::create(given)(error)),
            };
            if found.is_symlink() {
                let next = fs::read_link(&real).map_err(CollectError::create(given))?;
                real = folder_of(&real).join(next);
            } else if found.is_file() {
                check_replaceable(given, &real, &found)?;
                return Ok(Self::found(given, real));
            } else if found.is_dir() {
                return Err(CollectError::place(given, "a folder has that name"));
            } else {
                return Err(CollectError::place(given, NO_FILE));
            }
        }
        Err(CollectError::place(given, "its symbolic links lead in a circle"))
    }

    fn found(given: &Path, real: PathBuf) -> Self {
        let folder = fs::metadata(folder_of(&real)).ok().map(|folder| (folder.dev(), folder.ino()));
        Self { given: given.into(), real, folder, stage: None }
    }

    /// Known by the address of its object, if it stands for one.
    pub(crate) fn in_stage(self, stage: Option<&ObjectStage>) -> Self {
        let given = ObjectStage::shown(stage, &self.real);
        if given == self.real { self } else { Self { given, stage: stage.cloned(), ..self } }
    }

    /// What connects it to its object, if it stands for one.
    pub(crate) fn stage(&self) -> Option<&ObjectStage> {
        self.stage.as_ref()
    }

    /// Whether the given name still leads to the same place. A symbolic link of it may have been changed since.
    pub(crate) fn is_where_it_was(&self) -> bool {
        self.stage.is_some() || Self::of(&self.given).is_ok_and(|now| now == *self)
    }
}

fn check_folder(given: &Path, real: &Path) -> Result<(), CollectError> {
    let folder = folder_of(real);
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(CollectError::place(given, format!("{} is not a folder", folder.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(CollectError::NoFolder { path: given.into(), folder: folder.into() })
        }
        Err(error) => Err(CollectError::create(given)(error)),
    }
}
