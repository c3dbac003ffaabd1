//! What `null` is stored for.

use crate::model::StatusSet;

/// What `null` is stored for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NullOn {
    /// Answers of these statuses.
    pub statuses: StatusSet,
    /// Keys that the answer to their pack leaves out.
    pub missing: bool,
}

impl From<StatusSet> for NullOn {
    fn from(statuses: StatusSet) -> Self {
        Self { statuses, missing: false }
    }
}

impl NullOn {
    /// The word for [`Self::missing`].
    pub(crate) const MISSING: &str = "missing";
}
