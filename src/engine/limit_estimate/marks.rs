//! Instants at which the server refused, with what it had accepted until then.

use std::collections::VecDeque;
use std::time::Duration;

/// A refusal counts only so long after the one before that is kept …
const APART: Duration = Duration::from_secs(1);
/// … and so many are kept, …
const MOST: usize = 64;
/// … none for longer than this, …
const KEPT: Duration = Duration::from_mins(1);
/// … unless fewer than so many were accepted since: a slow limit shows in minutes.
const KEPT_ACCEPTED: u64 = 60;
/// With fewer accepted than this a span says nothing, as one more or less is much.
const FEWEST: u64 = 20;
/// Spans of the first length that there is are compared: in longer ones a window weighs less.
const SPANS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(4)];

/// How much was accepted when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Since the start.
    pub(super) at: Duration,
    pub(super) accepted: u64,
    /// The time in pauses that were no longer than `SHORT_PAUSE`.
    pub(super) paused: Duration,
}

/// A pause that is longer is a part of the limit: a window, or a bucket that was filled.
pub(super) const SHORT_PAUSE: Duration = Duration::from_secs(2);

/// The newest refusals.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<Mark>);

impl Marks {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes note of a refusal.
    pub(super) fn push(&mut self, mark: Mark) {
        if self.0.back().is_some_and(|newest| mark.at < newest.at + APART) {
            return;
        }
        let is_old = |old: &Mark| old.at + KEPT < mark.at && old.accepted + KEPT_ACCEPTED < mark.accepted;
        while self.0.len() == MOST || self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        self.0.push_back(mark);
    }

    /// The highest rate that was accepted from a refusal on, up to another one or to `newest`.
    pub(super) fn best(&self, newest: Mark) -> Option<f64> {
        SPANS.into_iter().find_map(|least| {
            let ends = || self.0.iter().chain([&newest]);
            let rates =
                self.0.iter().flat_map(|begin| ends().filter_map(move |end| rate(*begin, *end, least)));
            rates.reduce(f64::max)
        })
    }
}

/// What was accepted a second between two instants that are far enough apart. In a short pause a bucket with a burst is
/// filled, one without is not, and a window may begin: a quarter of its time counts.
fn rate(begin: Mark, end: Mark, least: Duration) -> Option<f64> {
    let (span, accepted) = (end.at.checked_sub(begin.at)?, end.accepted.saturating_sub(begin.accepted));
    let counted = span.saturating_sub(end.paused.saturating_sub(begin.paused) * 3 / 4);
    (counted >= least && accepted >= FEWEST).then(|| accepted as f64 / counted.as_secs_f64())
}
