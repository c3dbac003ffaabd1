//! The right of one run to write an output: a lock on this machine and, where the output is an object, one beside that.

use super::objects::HeldObject;
use crate::collect::Lock;

/// Both, given up when dropped.
pub(super) struct OutputLock {
    /// Given up first: whoever has the other may take it over.
    _object: Option<HeldObject>,
    _local: Lock,
}

impl OutputLock {
    /// Of an output on this machine.
    pub(super) fn of_file(local: Lock) -> Self {
        Self { _object: None, _local: local }
    }

    /// Of an output in a store.
    pub(super) fn of_object((local, object): (Lock, HeldObject)) -> Self {
        Self { _object: Some(object), _local: local }
    }
}
