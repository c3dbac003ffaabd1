//! Whether a silent connection is one too many, as the answers on others show.

use std::time::Duration;

use tokio::time::Instant;

use super::{ANSWERED_LATER, ANSWERS_BESIDE, Begun, Census, PATIENCE, Stage, USUAL_ANSWERS};

impl Census {
    /// Whether others have been answered since a new connection was begun: over kept connections, until now, or over
    /// later ones. While a server answers nothing at all, no connection is silent for being new.
    pub(in super::super) fn are_others_answered(&self, begun: &Begun, now: Instant) -> bool {
        if !self.are_kept() {
            let later = self.first_answers - begun.first_answers;
            return self.newest_answered > begun.number && later >= ANSWERED_LATER;
        }
        let lately = (self.usual * USUAL_ANSWERS).max(PATIENCE / 2);
        let since = self.newest_kept.map_or(Duration::MAX, |newest| now.saturating_duration_since(newest));
        since <= lately
            && self.count(Stage::Answered) > 0
            && self.kept_answers >= begun.kept_answers + ANSWERS_BESIDE
    }

    /// Whether any other was answered since a new connection was begun.
    pub(in super::super) fn is_any_answered(&self, begun: &Begun) -> bool {
        self.first_answers > begun.first_answers || self.kept_answers > begun.kept_answers
    }

    /// A new connection is silent for too long while others are answered.
    pub(in super::super) fn found_silent(&mut self, now: Instant) {
        self.is_only_by_answers = false;
        // Answered ones may have been closed since, in favour of the silent ones: those that were answered at a time count.
        let served = if self.are_kept() { self.proven } else { self.open() - self.skipped() };
        self.learn(served, 1, now);
    }
}
