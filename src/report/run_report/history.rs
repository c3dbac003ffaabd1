//! What the documents of `--report` hold beyond the summary: what happened when, the pauses, and the
//! slowest answers. Recorded only with `--report`, in bounded memory (about 250 kB).

mod latency_buckets;
mod slowest;
mod timeline;

use std::time::Duration;

use crate::model::{Event, PauseReason};
use crate::report::engine_status::EngineStatus;

pub(crate) use slowest::SlowAnswer;
pub(crate) use timeline::TimeSlice;
pub(crate) use timeline::merge_pairs;

use slowest::{SlowestAnswers, TimedAnswer};
use timeline::Timeline;

/// Pauses that are listed; the rest is counted.
const PAUSES_KEPT: usize = 100;

/// A pause of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PauseSpan {
    /// When it began, from the beginning of the run.
    pub(crate) at: Duration,
    /// The latest of the ends that were demanded.
    pub(crate) until: Duration,
    /// Why.
    pub(crate) reason: PauseReason,
}

/// What happened when.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunHistory {
    now: Duration,
    timeline: Timeline,
    slowest: SlowestAnswers,
    pauses: Vec<PauseSpan>,
    resumed: bool,
}

impl RunHistory {
    /// Records the engine's status; events are dated by the last tick.
    pub(crate) fn sample(&mut self, status: &EngineStatus) {
        self.now = status.elapsed;
        self.timeline.sample(status);
    }

    /// Takes note of one event. Runs once or twice for every SKU: it neither formats nor, but for the first
    /// ten of the slowest, allocates.
    pub(crate) fn count(&mut self, event: &Event<'_>) {
        match *event {
            Event::AttemptAnswered { key, line, status, latency, bytes } => {
                let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                self.timeline.now().answered(micros, bytes);
                self.slowest.count(key, TimedAnswer { latency, line, status, at: self.now });
            }
            Event::JobFetched { .. } | Event::JobRecovered => {
                let slice = self.timeline.now();
                slice.fetched += 1;
                slice.done += 1;
            }
            Event::JobFailed { .. } => {
                let slice = self.timeline.now();
                slice.failed += 1;
                slice.done += 1;
            }
            Event::RowRepeated { .. } | Event::RowSkipped | Event::JobDeferred => {
                self.timeline.now().done += 1;
            }
            Event::AttemptRetried { is_refusal, .. } => {
                let slice = self.timeline.now();
                *(if is_refusal { &mut slice.refused } else { &mut slice.retries }) += 1;
            }
            Event::PoolPaused { wait, reason } => self.pause(wait, reason),
            Event::PoolResumed => self.resumed = true,
            Event::LimitChanged { .. }
            | Event::ProxyChosen { .. }
            | Event::TokenReceived { .. }
            | Event::Noted { .. }
            | Event::Warned { .. }
            | Event::Stopping { .. } => {}
        }
    }

    fn pause(&mut self, wait: Duration, reason: PauseReason) {
        let until = self.now.saturating_add(wait);
        let goes_on = !std::mem::take(&mut self.resumed);
        let has_room = self.pauses.len() < PAUSES_KEPT;
        match self.pauses.last_mut() {
            Some(running) if goes_on && running.until > self.now => running.until = running.until.max(until),
            _ if has_room => self.pauses.push(PauseSpan { at: self.now, until, reason }),
            _ => {}
        }
    }

    /// What happened in each slice of the run's time, in order and without a gap.
    #[must_use]
    pub(crate) fn slices(&self) -> Vec<TimeSlice> {
        self.timeline.slices()
    }

    /// The slowest answers, one a SKU, the slowest first.
    #[must_use]
    pub(crate) fn slowest(&self) -> &[SlowAnswer] {
        self.slowest.list()
    }

    /// The first hundred pauses.
    #[must_use]
    pub(crate) fn pauses(&self) -> &[PauseSpan] {
        &self.pauses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_listed_once_though_they_grow_and_their_number_is_bounded() {
        let mut history = RunHistory::default();
        let sample = |history: &mut RunHistory, second: u64| {
            let elapsed = Duration::from_secs(second);
            history.sample(&EngineStatus { elapsed, in_flight: 0, limit: 1, paused: None, learned: None });
        };
        let pause =
            |wait: u64| Event::PoolPaused { wait: Duration::from_secs(wait), reason: PauseReason::Quota };
        sample(&mut history, 1);
        history.count(&pause(5));
        sample(&mut history, 2);
        history.count(&pause(9));
        history.count(&Event::PoolResumed);
        history.count(&pause(1));
        let times: Vec<_> =
            history.pauses().iter().map(|pause| (pause.at.as_secs(), pause.until.as_secs())).collect();
        assert_eq!(times, [(1, 11), (2, 3)]);
        for second in 0..1_000 {
            sample(&mut history, 100 + 10 * second);
            history.count(&pause(1));
        }
        assert_eq!(history.pauses().len(), PAUSES_KEPT);
    }
}
