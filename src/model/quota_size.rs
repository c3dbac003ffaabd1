//! How large a quota is that a server announces.

use std::time::Duration;

/// How large a quota is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct QuotaSize {
    /// So many requests …
    pub(crate) limit: f64,
    /// … in this time, where it is said.
    pub(crate) window: Option<Duration>,
}
