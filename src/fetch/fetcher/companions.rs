//! What the fetcher shares with the rest of the run.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::fetch::shutdown::Shutdown;
use crate::limit::Gate;
use crate::model::Reporter;

/// What the fetcher shares with the rest of the run.
pub(crate) struct Companions {
    /// Every attempt passes it.
    pub gate: Arc<Gate>,
    /// Receives the events.
    pub reporter: Arc<dyn Reporter>,
    /// Ends the run early.
    pub shutdown: Arc<Shutdown>,
    /// Bounds the attempts until the first connection is open, which closes it.
    pub initial_connects: Arc<Semaphore>,
}
