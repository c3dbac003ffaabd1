//! The number of connections that a server serves at a time, as it is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of connections that the server serves at a time, for whoever reports it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServedConnections(Arc<AtomicUsize>);

impl ServedConnections {
    /// The number, where one was learnt: more were refused, or stayed silent.
    #[must_use]
    pub(crate) fn get(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|served| *served > 0)
    }

    pub(in super::super) fn set(&self, served: Option<usize>) {
        self.0.store(served.unwrap_or(0), Ordering::Relaxed);
    }
}
