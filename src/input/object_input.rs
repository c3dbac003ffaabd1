//! An input in an object store. Its bytes are copied to a file without a name before the first of them is read, so that
//! all that reads an input reads a file.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use crate::model::ObjectAddress;

/// An input in an object store, and its copy once there is one.
#[derive(Debug, Clone)]
pub struct ObjectInput {
    address: ObjectAddress,
    copy: Arc<OnceLock<Arc<File>>>,
}

impl ObjectInput {
    /// An object that is not copied yet.
    #[must_use]
    pub fn new(address: ObjectAddress) -> Self {
        Self { address, copy: Arc::default() }
    }

    /// Which object it is.
    #[must_use]
    pub fn address(&self) -> &ObjectAddress {
        &self.address
    }

    #[cfg(feature = "cloud")]
    /// From here on it is read from this file, which holds all of its bytes, and so are its clones. The first file counts.
    pub(crate) fn set_copy(&self, file: File) {
        let _ = self.copy.set(Arc::new(file));
    }

    /// The copy, if there is one.
    pub(super) fn copy(&self) -> Option<&Arc<File>> {
        self.copy.get()
    }
}

/// Two of them are the same if they name one object.
impl PartialEq for ObjectInput {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for ObjectInput {}
