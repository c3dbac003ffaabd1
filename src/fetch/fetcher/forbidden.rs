//! Whether a row of 403 is a limit.

use std::time::Duration;

use tokio::time::Instant;

use super::super::transport::Transport;
use super::Fetcher;
use crate::model::PauseReason;

/// The first pause after a row of 403 that may be a limit.
const FORBIDDEN_PAUSE: Duration = Duration::from_millis(500);

impl<T: Transport> Fetcher<T> {
    /// The first answers of the run are 403. Whether earlier attempts are still in flight, whose answers show whether that
    /// is a limit: a limiter refuses sooner than the API answers. No other attempt leaves meanwhile.
    pub(crate) fn waits_for_first(&self, count: u32) -> bool {
        let waits = self.retry.sends_refused_again && self.gate.is_one_in_flight_of_first(count);
        if waits {
            self.pause_for_403();
        }
        waits
    }

    /// A row of 403 came after good answers. Whether they are taken for a limit from now on: sent again, they wait
    /// until others come, for about a minute. It is tried once in a run.
    pub(crate) fn takes_403_for_a_limit(&self) -> bool {
        // Where a token is fetched, a row of 403 is more likely to be for the token.
        let may_be = self.retry.sends_refused_again && self.tokens.is_none();
        let takes = may_be && self.health.take_403_for_a_limit();
        if takes {
            // What was held is not sent all at once.
            self.pause_for_403();
        }
        takes
    }

    fn pause_for_403(&self) {
        let reason = PauseReason::Refused { status: 403, has_retry_after: false };
        self.gate.pause(Instant::now() + FORBIDDEN_PAUSE, reason);
    }
}
