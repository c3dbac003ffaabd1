//! After the first refusal of a climb: what the API accepts for long, as the gate learns it. What was measured before
//! may be a burst.

use std::time::Duration;

use tokio::time::Instant;

use super::super::limit_estimate::LimitEstimate;
use crate::limit::climb::ClimbEnd;
use crate::limit::{GateView, LearnedLimit};
use crate::model::PauseReason;
use crate::report::AcceptedAndRefused;

/// A learnt rate is near the limit after this long.
const RATE_SETTLES: Duration = Duration::from_secs(25);
/// If nothing is refused for this long, though no rate was learnt, the refusals were for the number in flight.
const UNREFUSED: Duration = Duration::from_secs(5);

/// The search for the rate that lasts.
pub(super) struct SustainedRate {
    reason: PauseReason,
    estimate: LimitEstimate,
    sampled_at: Instant,
    paused_at: Instant,
    learned_at: Option<Instant>,
}

impl SustainedRate {
    /// The pool was paused for this reason.
    pub(super) fn new(reason: PauseReason, now: Instant) -> Self {
        Self { reason, estimate: LimitEstimate::default(), sampled_at: now, paused_at: now, learned_at: None }
    }

    /// Takes note of the gate's state. Says why the climb is over, once enough is known.
    pub(super) fn sample(
        &mut self,
        view: &GateView,
        ended: AcceptedAndRefused,
        now: Instant,
    ) -> Option<ClimbEnd> {
        self.estimate.sample(view, now.saturating_duration_since(self.sampled_at), ended);
        self.sampled_at = now;
        if view.paused_until.is_some() {
            self.paused_at = now;
        }
        let is_over = match view.learned {
            None => {
                self.learned_at = None;
                now.saturating_duration_since(self.paused_at) >= UNREFUSED
            }
            Some(LearnedLimit::Window { .. }) => true,
            Some(LearnedLimit::Rate(_)) => {
                now.saturating_duration_since(*self.learned_at.get_or_insert(now)) >= RATE_SETTLES
            }
        };
        is_over.then_some(ClimbEnd::Paused(self.reason))
    }

    /// What is known of it.
    pub(super) fn limit(&self) -> Option<LearnedLimit> {
        self.estimate.limit()
    }

    /// Whether nothing was refused for long enough, so that what was measured below is no burst.
    pub(super) fn is_unrefused(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.paused_at) >= UNREFUSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: PauseReason = PauseReason::Refused { status: 429, has_retry_after: false };

    fn view(learned: Option<LearnedLimit>) -> GateView {
        GateView {
            in_flight: 1,
            limit: 8,
            waiting: 5,
            paused_until: None,
            pause_reason: None,
            slowed: true,
            learned,
        }
    }

    /// When the search is over, in seconds.
    fn over_after(view: &GateView) -> Option<u64> {
        let start = Instant::now();
        let mut search = SustainedRate::new(REASON, start);
        (1..60).find(|second| {
            let now = start + Duration::from_secs(*second);
            search.sample(view, AcceptedAndRefused { accepted: second * 20, refused: 1 }, now)
                == Some(ClimbEnd::Paused(REASON))
        })
    }

    #[test]
    fn a_window_is_known_at_once_a_rate_after_a_while_and_a_pause_is_waited_out() {
        let period = Duration::from_secs(10);
        let window = LearnedLimit::Window { capacity: 50, period };
        assert_eq!(over_after(&view(Some(window))), Some(1));
        assert_eq!(over_after(&view(Some(LearnedLimit::Rate(20.0)))), Some(26));
        assert_eq!(over_after(&view(None)), Some(5));
        let paused = GateView { paused_until: Some(Instant::now()), ..view(None) };
        assert_eq!(over_after(&paused), None);
    }
}
