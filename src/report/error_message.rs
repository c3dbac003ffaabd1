//! What ends a run before its time, as people read it.

/// What went wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorMessage {
    /// What, where and why.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}
