//! The side of the gate that faces the store of a shared rate.

use tokio::time::Instant;

use super::super::rate_store::{StoreAnswer, StoreCall};
use super::super::shared_rate::RateStep;
use super::Gate;

impl Gate {
    /// What the rate keeper does next. None: the rate is not shared.
    #[must_use]
    pub(crate) fn rate_step(&self) -> Option<RateStep> {
        self.shared.lock().rate_step()
    }

    /// Waits until there may be something to ask before the instant that [`Self::rate_step`] named.
    pub(crate) async fn rate_wanted(&self) {
        self.shared.keeper_wakeup.notified().await;
    }

    /// Takes note of an answer of the store to a call that was sent at `sent`: attempts may leave by it.
    pub(crate) fn rate_answered(&self, call: &StoreCall, answer: &StoreAnswer, sent: Instant) {
        let after = self.shared.lock().rate_answered(call, answer, sent);
        after.run();
    }

    /// The store is gone: until it answers again, no attempt leaves.
    pub(crate) fn rate_lost(&self) {
        self.shared.lock().rate_lost();
    }
}
