//! What is known of one value of the old output.

use std::time::{Duration, SystemTime};

use crate::model::Validators;

/// What is known of a value in the old output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousValue {
    /// When the answer came that it stems from, or the last one that confirmed it.
    pub at: SystemTime,
    /// What to ask "has it changed?" with; either, both or none.
    pub validators: Validators,
}

impl PreviousValue {
    /// Whether the value was younger than `max_age` when the run began at `start`. Without a limit nothing is.
    #[must_use]
    pub fn is_young(&self, max_age: Option<Duration>, start: SystemTime) -> bool {
        // A time in the future (a clock set back) counts as just now.
        max_age.is_some_and(|limit| start.duration_since(self.at).unwrap_or_default() < limit)
    }
}
