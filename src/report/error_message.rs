//! What ends a run before its time, as people read it.

/// What went wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorMessage {
    /// What, where and why.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}
