//! What answers of 503 show: on a new connection that it is refused, on a kept one that another is one too many, or
//! nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::{Census, Stage};

/// An answer of 503 on a kept connection, so soon after a new one was refused, may have the same reason.
const CROWDED: Duration = Duration::from_secs(1);
/// So many answers of 503 on kept connections, while no new one is open, show that the number of connections is not the
/// reason.
const DOUBTS: u32 = 3;

impl Census {
    /// Whether an answer of 503 on a new connection is taken for its refusal.
    pub(in super::super) fn may_answers_refuse(&self) -> bool {
        self.doubts < DOUBTS
    }

    /// A new connection was answered with 503, and closed for it.
    pub(in super::super) fn found_refused_by_answer(&mut self, now: Instant) {
        if !self.is_crowded(now) {
            self.crowded_out = 0;
        }
        let open = self.count(Stage::Unanswered) + self.count(Stage::Answered);
        let served = open + self.crowded_out;
        let is_decided = self.has_answered() || self.crowded_out > 0;
        match &mut self.limit {
            Some(limit) if is_decided => {
                self.newest_refused = Some(now);
                if limit.is_trial_recent(CROWDED, now) {
                    limit.take_trial_back(now);
                }
                // At once: those that are open are answered, or are refused in their turn.
                limit.crowd_out_to(served, now);
            }
            _ => self.count_refused(served, now),
        }
    }

    /// Whether a connection was refused a moment ago, or one too many is being tried.
    fn is_crowded(&self, now: Instant) -> bool {
        self.newest_refused.is_some_and(|at| now.saturating_duration_since(at) < CROWDED)
            || self.limit.as_ref().is_some_and(|limit| limit.is_trial_recent(CROWDED, now))
    }

    /// A kept connection was answered with 503, or a proxy refused a request on it. Whether one connection too many
    /// explains it: then this one is to be closed. The server may have closed it already, as all that it has.
    pub(in super::super) fn is_crowded_out(&mut self, is_closed: bool, now: Instant) -> bool {
        if !self.is_crowded(now) {
            return false;
        }
        self.newest_refused = Some(now);
        self.crowded_out += usize::from(is_closed);
        let left = self.open().saturating_sub(1);
        if let Some(limit) = &mut self.limit {
            if limit.is_trial_recent(CROWDED, now) {
                limit.take_trial_back(now);
            }
            if !is_closed {
                limit.crowd_out_to(left, now);
            }
        }
        true
    }

    /// A kept connection was answered with 503, and no connection too many explains it.
    pub(in super::super) fn doubt_answers(&mut self) {
        self.doubts = self.doubts.saturating_add(1);
        if !self.may_answers_refuse() && self.is_only_by_answers {
            self.limit = None;
        }
    }
}
