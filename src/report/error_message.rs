//! An error that ends a run, as it is printed.

/// What went wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorMessage {
    /// What, where and why.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}
