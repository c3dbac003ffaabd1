//! How long a new connection may be silent before its request moves, and whether others are answered meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use super::{Begun, Census, Stage};

/// A new connection that is silent for less than this, and for so many usual answers, is never given up; these are for
/// one that is tried beyond the known number, …
const PATIENCE: Duration = Duration::from_millis(250);
const USUAL_ANSWERS: u32 = 4;
/// … and these for one of [`MANY`] that are silent, and none was begun later that was answered. So many slow answers at
/// once are no coincidence.
pub(super) const PATIENCE_MANY: Duration = Duration::from_millis(500);
pub(super) const MANY: usize = 8;
/// The same for one of several, …
const PATIENCE_SEVERAL: Duration = Duration::from_secs(1);
const USUAL_ANSWERS_SEVERAL: u32 = 8;
const SEVERAL: usize = 3;
/// … for the only one, or one of two, or where a connection needs a handshake, …
const PATIENCE_ALONE: Duration = Duration::from_secs(2);
const USUAL_ANSWERS_ALONE: u32 = 16;
/// … and where a later one was answered: its packets may have been lost (a full backlog drops them, and the system
/// sends them again after 1, 3 and 7 seconds).
const PATIENCE_OUT_OF_ORDER: Duration = Duration::from_secs(3);
const USUAL_ANSWERS_OUT_OF_ORDER: u32 = 30;
/// No silence is too long that is shorter than so many times the slowest answer so far.
const SLOWEST_ANSWERS: u32 = 2;
/// Of an answer no more than this counts: one that took longer may have been a connection whose packets were dropped.
pub(super) const SLOWEST_MOST: Duration = Duration::from_millis(2_500);
/// Where connections are not kept: the least patience with one of many, and that with a connection that is being opened,
/// for which no answer can be slow; and how many later ones have to have been answered.
const PATIENCE_UNKEPT: Duration = Duration::from_secs(1);
const PATIENCE_UNKEPT_OPENING: Duration = Duration::from_millis(250);
const ANSWERED_LATER: u64 = 8;
/// So long after a kept connection was tried and gave an answer, others move too: each looks within half of it.
pub(super) const AFTER_TRIAL: Duration = Duration::from_millis(500);
/// Answers over kept connections, since a new one was begun, that show that the server answers.
pub(super) const ANSWERS_BESIDE: u64 = 3;

impl Census {
    /// How long a new connection may be silent at this stage.
    pub(in super::super) fn patience(&self, begun: &Begun, stage: Stage) -> Duration {
        let are_unkept = self.are_unkept();
        // While it is being opened no answer can be slow.
        let (first, slowest) = match stage {
            Stage::Opening => (self.slowest_opening, self.slowest_opening),
            _ => (self.slowest_first, self.slowest_first.max(self.slowest_kept)),
        };
        let is_overtaken = self.newest_answered > begun.number;
        let (least, answers, slowest) = match stage {
            Stage::Opening if are_unkept && !self.has_handshakes => {
                (PATIENCE_UNKEPT_OPENING, USUAL_ANSWERS, Duration::ZERO)
            }
            // Its packets were dropped.
            Stage::Opening if is_overtaken => {
                (PATIENCE_OUT_OF_ORDER, USUAL_ANSWERS_OUT_OF_ORDER, Duration::ZERO)
            }
            _ if are_unkept && self.near(begun) >= MANY => {
                (PATIENCE_UNKEPT, USUAL_ANSWERS_OUT_OF_ORDER, slowest)
            }
            _ if are_unkept || is_overtaken => (PATIENCE_OUT_OF_ORDER, USUAL_ANSWERS_OUT_OF_ORDER, slowest),
            _ => match self.pending.len() - self.skipped() {
                _ if begun.is_trial => (PATIENCE, USUAL_ANSWERS, first),
                // The other side ends its part of a handshake after this one. Many at once are slow, and to begin them
                // again makes them slower.
                _ if self.has_handshakes => (PATIENCE_ALONE, USUAL_ANSWERS_ALONE, slowest),
                MANY.. if !begun.is_known_served => (PATIENCE_MANY, USUAL_ANSWERS, first),
                SEVERAL.. if !begun.is_known_served => (PATIENCE_SEVERAL, USUAL_ANSWERS_SEVERAL, slowest),
                _ => (PATIENCE_ALONE, USUAL_ANSWERS_ALONE, slowest),
            },
        };
        let slowest = begun.opening() + slowest.min(SLOWEST_MOST) * SLOWEST_ANSWERS;
        (self.usual * answers).max(slowest).max(least).min(self.patience_most)
    }

    /// After this long it is to be looked at whether a silent connection is given up: others may be begun meanwhile.
    pub(in super::super) fn first_look(&self) -> Duration {
        PATIENCE.min(self.patience_most)
    }

    /// How much longer it may be silent.
    pub(in super::super) fn patience_left(&self, (begun, stage): (&Begun, Stage), now: Instant) -> Duration {
        let patience = self.patience(begun, stage);
        let patience = if self.counts_trial(now) && self.is_one_of_many(begun) {
            patience.min(PATIENCE_MANY)
        } else {
            patience
        };
        patience.saturating_sub(now.saturating_duration_since(begun.at))
    }

    /// Whether it is one of many in a row that a server which keeps connections has passed over: their packets were
    /// dropped, or all of these answers are slow.
    fn is_one_of_many(&self, begun: &Begun) -> bool {
        self.are_kept() && self.newest_answered > begun.number && self.near(begun) >= MANY
    }

    /// Whether a kept connection that was tried in place of a silent new one has given an answer lately.
    fn counts_trial(&self, now: Instant) -> bool {
        self.trial_counts_until.is_some_and(|until| now <= until)
    }

    /// Whether a kept connection may be tried in place of this one before it has been silent for too long: one request
    /// that is sent twice shows whether many wait in vain.
    pub(in super::super) fn is_trial_due(&self, begun: &Begun, now: Instant) -> bool {
        let silent = now.saturating_duration_since(begun.at);
        self.is_one_of_many(begun) && silent >= (self.usual * USUAL_ANSWERS_SEVERAL).max(PATIENCE_SEVERAL)
    }

    /// Whether others have been answered since a new connection was begun: over kept connections, until now, or over
    /// later ones. While a server answers nothing at all, no connection is silent for being new.
    pub(in super::super) fn are_others_answered(&self, begun: &Begun, now: Instant) -> bool {
        if !self.are_kept() {
            let later = self.first_answers - begun.first_answers;
            return self.are_unkept() && self.newest_answered > begun.number && later >= ANSWERED_LATER;
        }
        if self.count(Stage::Answered) == 0 || self.kept_answers < begun.kept_answers + ANSWERS_BESIDE {
            return false;
        }
        let lately = (self.usual * USUAL_ANSWERS).max(PATIENCE / 2);
        let since = self.newest_kept.map_or(Duration::MAX, |newest| now.saturating_duration_since(newest));
        since <= lately || self.counts_trial(now)
    }

    /// Whether a kept connection is tried in place of a silent new one, though none is in use: others were answered since
    /// that one was begun, and no request was left for them. One is tried. Once it is answered, others are answered again.
    pub(in super::super) fn try_kept(&mut self, begun: &Begun, now: Instant) -> KeptTrial {
        if self.count(Stage::Answered) == 0 || self.kept_answers < begun.kept_answers + ANSWERS_BESIDE {
            return KeptTrial::Useless;
        }
        if self.tried_kept.is_some_and(|tried| now < tried + self.patience_most) {
            return KeptTrial::Underway;
        }
        self.tried_kept = Some(now);
        KeptTrial::Begun
    }
}

/// Whether a kept connection is tried in place of a silent new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum KeptTrial {
    /// It is, now.
    Begun,
    /// One is tried already.
    Underway,
    /// None was answered since the new one was begun.
    Useless,
}
