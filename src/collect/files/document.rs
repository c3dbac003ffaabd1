//! A small file that is written whole, such as a report: checked before the first request, replaced in
//! one step.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::{Replacement, clear_old_leftovers, try_replacing};
use crate::collect::files::paths::FileTarget;

/// No file of this kind is larger: more of an old one is not read.
const LARGEST: u64 = 1 << 20;

/// A place that can be written to.
#[derive(Debug, Clone)]
pub(crate) struct Document(FileTarget);

impl Document {
    /// Checks that the file can be written, and removes what killed runs left of it. Creates nothing that stays.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn at(path: &Path) -> Result<Self, CollectError> {
        let target = FileTarget::of(path)?;
        clear_old_leftovers(&target.real);
        try_replacing(&target.real).map_err(CollectError::before_first_request)?;
        Ok(Self(target))
    }

    /// What is there now, if it is text and there is anything.
    #[must_use]
    pub(crate) fn before(&self) -> Option<String> {
        let mut text = String::new();
        File::open(&self.0.real).ok()?.take(LARGEST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Writes it. Returns its bytes.
    ///
    /// # Errors
    /// It cannot be written; what was there before then stays as it was.
    pub(crate) fn write(&self, content: &[u8]) -> Result<u64, CollectError> {
        let mut replacement = Replacement::create(&self.0.real)?;
        replacement.write_all(content).map_err(CollectError::io(FileOperation::Write, &self.0.given))?;
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
}
