//! The progress of a run at one moment: bar, plain line and JSON line are made of the same numbers.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limit::LearnedLimit;
use crate::model::PauseReason;
use crate::report::engine_status::EngineStatus;
use crate::report::format;
use crate::report::run_stats::RunCounters;
use crate::report::verdict::{per_second, typed_rate};

/// The rate shown is that of the last ten seconds: long enough to be steady, short enough to be now.
const SAMPLES: usize = 11;
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// The progress of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProgressSnapshot {
    pub(crate) elapsed: Duration,
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
    pub(crate) rate: f64,
    pub(crate) in_flight: usize,
    pub(crate) limit: usize,
    pub(crate) retries: u64,
    pub(crate) failed: u64,
    pub(crate) paused: Option<(Duration, PauseReason)>,
    pub(crate) learned: Option<LearnedLimit>,
    pub(crate) left: Option<Duration>,
}

/// The rate of jobs that cost a request, over the last ten seconds.
#[derive(Debug, Default)]
pub(crate) struct RecentRate {
    samples: VecDeque<(Duration, u64)>,
}

impl RecentRate {
    /// Records the number of jobs so far, and returns how many a second that makes.
    pub(crate) fn sample(&mut self, elapsed: Duration, requested: u64) -> f64 {
        if self.samples.is_empty() {
            self.samples.push_back((Duration::ZERO, 0));
        }
        let newest = self.samples.back().map_or(Duration::ZERO, |(at, _)| *at);
        if elapsed.saturating_sub(newest) >= SAMPLE_EVERY {
            self.samples.push_back((elapsed, requested));
        }
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        let (since, before) = self.samples.front().copied().unwrap_or_default();
        let time = elapsed.saturating_sub(since).as_secs_f64();
        if time > 0.0 { requested.saturating_sub(before) as f64 / time } else { 0.0 }
    }
}

impl ProgressSnapshot {
    pub(crate) fn new(status: &EngineStatus, counters: &RunCounters, total: Option<u64>, rate: f64) -> Self {
        let pause = status.paused.map_or(Duration::ZERO, |(left, _)| left);
        let to_go = total.map(|total| total.saturating_sub(counters.done()) as f64);
        // The last ten seconds predict nothing if they held a pause, and a server that demanded one will do so
        // again: then the whole run so far is the measure, with the rest of this pause.
        let pace = if counters.pauses > 0 || status.paused.is_some() {
            counters.requested as f64
                / status.elapsed.saturating_add(pause).as_secs_f64().max(f64::MIN_POSITIVE)
        } else {
            rate
        };
        let left = to_go
            .filter(|_| pace > 0.0)
            .and_then(|to_go| Duration::try_from_secs_f64(to_go / pace).ok())
            .map(|work| work.saturating_add(pause));
        Self {
            elapsed: status.elapsed,
            done: counters.done(),
            total,
            rate,
            in_flight: status.in_flight,
            limit: status.limit,
            retries: counters.retries,
            failed: counters.failed,
            paused: status.paused,
            learned: status.learned,
            left,
        }
    }

    /// `952/s`, or the pause in its place: after it a probe is sent.
    pub(crate) fn pace(&self) -> String {
        match &self.paused {
            Some((Duration::ZERO, why)) => format!("probing: {why}"),
            Some((left, why)) => format!("paused {}: {why}", format::time_left(*left)),
            None => format::per_second(self.rate),
        }
    }

    /// The same without the pause's reason.
    pub(crate) fn pace_in_brief(&self) -> String {
        match &self.paused {
            Some((Duration::ZERO, _)) => "probing".into(),
            Some((left, _)) => format!("paused {}", format::time_left(*left)),
            None => format::per_second(self.rate),
        }
    }

    /// `20/s learnt`: the limit that holds the pool back, where it does.
    pub(crate) fn learnt(&self) -> Option<String> {
        self.learned.map(|learned| format!("{} learnt", typed_rate(per_second(learned))))
    }

    pub(crate) fn flying(&self) -> String {
        format!("{} in flight", format::count(self.in_flight as u64))
    }

    pub(crate) fn retried(&self) -> Option<String> {
        (self.retries > 0).then(|| format::counted(self.retries, "retry", "retries"))
    }

    pub(crate) fn failures(&self) -> Option<String> {
        (self.failed > 0).then(|| format!("{} failed", format::count(self.failed)))
    }

    pub(crate) fn time_left(&self) -> Option<String> {
        self.left.map(|left| format!("{} left", format::time_left(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: PauseReason = PauseReason::Refused { status: 429, has_retry_after: false };

    #[test]
    fn the_rate_is_that_of_the_last_ten_seconds() {
        let mut pace = RecentRate::default();
        assert_eq!(format::per_second(pace.sample(Duration::ZERO, 0)), "0/s");
        for second in 1..=20u64 {
            pace.sample(Duration::from_secs(second), second * 100);
        }
        assert_eq!(format::per_second(pace.sample(Duration::from_secs(20), 2_000)), "100/s");
        for second in 21..=31u64 {
            pace.sample(Duration::from_secs(second), 2_000);
        }
        assert_eq!(format::per_second(pace.sample(Duration::from_secs(31), 2_000)), "0/s");
    }

    #[test]
    fn the_time_left_is_the_rest_at_the_present_rate() {
        let status = EngineStatus {
            elapsed: Duration::from_secs(9),
            in_flight: 1,
            limit: 2,
            paused: None,
            learned: None,
        };
        let counters = RunCounters { fetched: 90, requested: 90, ..RunCounters::default() };
        let left = |rate| ProgressSnapshot::new(&status, &counters, Some(100), rate).left;
        assert_eq!(left(10.0), Some(Duration::from_secs(1)));
        assert_eq!(left(0.0), None);
        assert_eq!(left(f64::MIN_POSITIVE), None);
        assert_eq!(ProgressSnapshot::new(&status, &counters, None, 10.0).left, None);
    }

    #[test]
    fn the_time_left_counts_this_pause_in_and_those_that_may_follow() {
        let at = |elapsed, pause: u64| EngineStatus {
            elapsed: Duration::from_secs(elapsed),
            in_flight: 0,
            limit: 2,
            paused: Some((Duration::from_secs(pause), REFUSED)),
            learned: None,
        };
        let counters = RunCounters { fetched: 100, requested: 100, pauses: 1, ..RunCounters::default() };
        let left = |status: &EngineStatus, rate| {
            ProgressSnapshot::new(status, &counters, Some(300), rate).left.unwrap().as_secs()
        };
        // 100 in the first second, then a pause up to the 60th: two minutes more at that pace, whatever the
        // last ten seconds were like.
        for (elapsed, pause, rate) in [(1, 59, 100.0), (9, 51, 0.1), (40, 20, 0.0), (60, 0, 0.0)] {
            assert_eq!(left(&at(elapsed, pause), rate), pause + 120);
        }
        // Between two pauses it goes on counting.
        assert_eq!(left(&EngineStatus { paused: None, ..at(60, 0) }, 10.0), 120);
        let nothing = RunCounters { requested: 0, ..counters.clone() };
        assert_eq!(ProgressSnapshot::new(&at(1, 59), &nothing, Some(300), 0.0).left, None);
    }

    #[test]
    fn after_a_pause_its_probe_is_shown() {
        let status = EngineStatus {
            elapsed: Duration::from_secs(9),
            in_flight: 1,
            limit: 2,
            paused: Some((Duration::ZERO, REFUSED)),
            learned: None,
        };
        let snapshot = ProgressSnapshot::new(&status, &RunCounters::default(), None, 0.0);
        assert_eq!(snapshot.pace(), "probing: 429");
    }
}
