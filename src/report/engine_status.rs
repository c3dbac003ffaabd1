//! What the engine reports at each tick.

use std::time::Duration;

use crate::limit::LearnedLimit;
use crate::model::PauseReason;

/// The state of the engine at one moment, reported at every tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineStatus {
    /// Time since the run began.
    pub(crate) elapsed: Duration,
    /// Attempts in flight.
    pub(crate) in_flight: usize,
    /// Attempts that may be in flight.
    pub(crate) limit: usize,
    /// What is left of the pool's pause, and why it pauses.
    pub(crate) paused: Option<(Duration, PauseReason)>,
    /// The limit that was learnt, while it holds attempts back.
    pub(crate) learned: Option<LearnedLimit>,
}
