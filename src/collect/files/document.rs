//! A small file that is written whole, such as a report: checked before the first request, replaced in
//! one step.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::{Replacement, clear_old_leftovers, try_replacing};
use crate::collect::files::paths::FileTarget;
use crate::collect::files::stage::ObjectStage;

/// No file of this kind is larger: more of an old one is not read.
const LARGEST: u64 = 1 << 20;

/// A place that can be written to.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    target: FileTarget,
    /// Its owner alone may read it, whatever the mode of the file was that it replaces.
    is_private: bool,
}

impl Document {
    /// Checks that the file can be written, and removes what killed runs left of it. Creates nothing that stays.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn at(path: &Path) -> Result<Self, CollectError> {
        let target = FileTarget::of(path)?;
        clear_old_leftovers(&target.real);
        try_replacing(&target.real).map_err(CollectError::before_first_request)?;
        Ok(Self { target, is_private: false })
    }

    /// Replaces the object that the file stands for as well, if it does.
    pub(crate) fn in_stage(self, stage: Option<&ObjectStage>) -> Self {
        Self { target: self.target.in_stage(stage), ..self }
    }

    /// The same for a file that its owner alone may read.
    ///
    /// # Errors
    /// As of [`Self::at`].
    pub(crate) fn private_at(path: &Path) -> Result<Self, CollectError> {
        Ok(Self { is_private: true, ..Self::at(path)? })
    }

    /// What is there now, if it is text and there is anything.
    #[must_use]
    pub(crate) fn before(&self) -> Option<String> {
        let mut text = String::new();
        File::open(&self.target.real).ok()?.take(LARGEST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Writes it. Returns its bytes.
    ///
    /// # Errors
    /// It cannot be written; what was there before then stays as it was.
    pub(crate) fn write(&self, content: &[u8]) -> Result<u64, CollectError> {
        let (real, given, stage) = (&self.target.real, &self.target.given, self.target.stage());
        let begin = if self.is_private { Replacement::create_private } else { Replacement::create };
        let mut replacement = begin(real)?.in_stage(stage);
        replacement.write_all(content).map_err(CollectError::io(FileOperation::Write, given))?;
        replacement.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_replaces_the_old_one_and_a_trial_leaves_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("report.json");
        let document = Document::at(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(document.before(), None);
        assert_eq!(document.write(b"old").unwrap(), 3);
        assert_eq!(document.before().as_deref(), Some("old"));
        assert_eq!(document.write(b"new one").unwrap(), 7);
        assert_eq!(std::fs::read(&path).unwrap(), b"new one");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(Document::at(&folder.path().join("no/report.json")).unwrap_err().exit().code(), 73);
        // Where the name can be looked up and no file be made.
        assert_eq!(Document::at(Path::new("/proc/report.json")).unwrap_err().exit().code(), 73);
        assert_eq!(Document::at(folder.path()).unwrap_err().exit().code(), 73);
    }

    #[test]
    fn a_private_document_is_readable_by_its_owner_alone_whatever_was_there() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        Document::private_at(&path).unwrap().write(b"new").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }
}
