//! Copies of objects in files of this machine.

use std::io::Write;

use super::error::StoreError;
use super::stores::{FoundObject, ObjectStores};
use crate::model::ObjectAddress;

/// Bytes that are asked for in one request: what a broken connection costs, and what memory holds.
const CHUNK: u64 = 8 << 20;

impl ObjectStores {
    /// Copies an object. All bytes are those of one state of it: each request names its `ETag`. A request that breaks off
    /// is repeated; what was written by then is not read again.
    ///
    /// # Errors
    /// [`StoreErrorKind::Changed`](super::StoreErrorKind::Changed) where it was replaced or removed meanwhile; the store
    /// does not answer; `out` fails.
    pub(crate) fn copy_to(
        &self,
        address: &ObjectAddress,
        found: &FoundObject,
        out: &mut dyn Write,
    ) -> Result<(), StoreError> {
        let mut at = 0;
        while at < found.size {
            let end = found.size.min(at + CHUNK);
            let bytes = self.bytes(address, found, at..end)?;
            out.write_all(&bytes).map_err(StoreError::file(address))?;
            at = end;
        }
        out.flush().map_err(StoreError::file(address))
    }
}
