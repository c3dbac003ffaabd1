//! The figures of each rung, and when a rung is complete.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::Instant;

use super::climb_sink::{JobEnd, RequestEnd};
use crate::limit::Gate;
use crate::limit::climb::{Bounds, ClimbEnd, Course, Measure, Rung, is_troubled};
use crate::model::LimitChangeReason;

/// The rungs so far, and the one that is measured.
pub(super) struct RungMeasurements {
    bounds: Bounds,
    sample: u64,
    deadline: Instant,
    pub(super) rungs: Vec<Rung>,
    pub(super) rung: Rung,
    times: u32,
    measure: Measure,
    latencies: Vec<Duration>,
    /// When the rung began, and when what is counted did.
    since: Instant,
    from: Option<Instant>,
    /// Ends since the rung began, and those of them that are counted.
    ended: u64,
    counted: u64,
    /// The time that was measured the first time.
    before: Duration,
    last: Instant,
}

impl RungMeasurements {
    pub(super) fn new(bounds: Bounds, sample: u64, deadline: Instant, gate: &Gate) -> Self {
        let now = Instant::now();
        let mut measurements = Self {
            bounds,
            sample,
            deadline,
            rungs: Vec::new(),
            rung: Rung::default(),
            times: 1,
            measure: bounds.measure(1, sample, deadline.saturating_duration_since(now)),
            latencies: Vec::new(),
            since: now,
            from: None,
            ended: 0,
            counted: 0,
            before: Duration::ZERO,
            last: now,
        };
        measurements.begin(1, gate, now);
        measurements
    }

    /// From now on so many workers.
    fn begin(&mut self, workers: usize, gate: &Gate, now: Instant) {
        self.rung = Rung { workers, ..Rung::default() };
        self.latencies.clear();
        self.before = Duration::ZERO;
        self.times = 1;
        gate.resize(NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN), LimitChangeReason::NextRung);
        self.ended = 0;
        self.from = None;
        self.plan(now);
    }

    fn plan(&mut self, now: Instant) {
        let time = self.deadline.saturating_duration_since(now);
        self.measure = self.bounds.measure(self.rung.workers, self.sample, time);
        self.since = now;
        self.counted = 0;
    }

    /// Takes note of an end. Says why the climb is over, if it is.
    pub(super) fn count(
        &mut self,
        JobEnd { ended_as, held, pages, reached, .. }: &JobEnd,
        gate: &Gate,
        on_rung: &mut dyn FnMut(&Rung),
    ) -> Option<ClimbEnd> {
        let now = Instant::now();
        let (&ended_as, &held, &reached) = (ended_as, held, reached);
        let of_pages = pages.len() as u64;
        self.rung.errors += held;
        self.rung.requests += held + of_pages;
        if self.from.is_some() {
            self.rung.answers += of_pages;
            self.latencies.extend(pages);
        }
        if matches!(ended_as, RequestEnd::Nothing) {
            return None;
        }
        self.sample = self.sample.saturating_sub(1);
        self.ended += 1;
        self.rung.requests += 1;
        if self.from.is_some() {
            self.counted += 1;
            self.last = now;
        }
        match ended_as {
            RequestEnd::Answer(latency) if self.from.is_some() => {
                self.rung.answers += 1;
                self.latencies.push(latency);
            }
            RequestEnd::Error => self.rung.errors += 1,
            RequestEnd::Answer(_) | RequestEnd::Unwanted | RequestEnd::Nothing => {}
        }
        if self.from.is_none() && self.measure.is_early(self.ended) && !self.measure.is_early(self.ended + 1)
        {
            self.from = Some(now);
            self.last = now;
        }
        // Whether there is an API at all is the fetcher's to judge.
        if reached && is_troubled(&self.rung, &self.rungs) {
            return Some(ClimbEnd::Errors);
        }
        let span = self.from.map_or(Duration::ZERO, |from| now - from);
        if !self.measure.is_complete(self.counted, span, now - self.since) {
            return None;
        }
        self.complete(now, gate, on_rung)
    }

    fn complete(&mut self, now: Instant, gate: &Gate, on_rung: &mut dyn FnMut(&Rung)) -> Option<ClimbEnd> {
        self.settle();
        let course = {
            self.rungs.push(self.rung);
            let course = self.bounds.course(&self.rungs, self.times);
            self.rungs.pop();
            course
        };
        match course {
            Course::Again => {
                self.times += 1;
                self.before = self.rung.span;
                // Nothing changed, so nothing comes too early.
                self.from = Some(now);
                self.plan(now);
                None
            }
            Course::Climb(workers) => {
                self.keep(on_rung);
                self.begin(workers, gate, now);
                None
            }
            Course::Done(end) => Some(end),
        }
    }

    /// The figures of what was measured up to now.
    fn settle(&mut self) {
        self.rung.span = self.before + self.from.map_or(Duration::ZERO, |from| self.last - from);
        self.latencies.sort_unstable();
        self.rung.p50 = percentile(&self.latencies, 50);
        self.rung.p95 = percentile(&self.latencies, 95);
    }

    fn keep(&mut self, on_rung: &mut dyn FnMut(&Rung)) {
        on_rung(&self.rung);
        self.rungs.push(self.rung);
    }

    /// What was measured elsewhere, if the number is another one.
    pub(super) fn add(&mut self, rung: Rung, on_rung: &mut dyn FnMut(&Rung)) {
        if self.rungs.iter().all(|known| known.workers != rung.workers) {
            self.rung = rung;
            self.keep(on_rung);
        }
    }

    /// The climb is over; what is measured of the last rung counts if it is enough to say something.
    pub(super) fn finish(&mut self, end: ClimbEnd, on_rung: &mut dyn FnMut(&Rung)) {
        self.settle();
        self.rung.paused = matches!(end, ClimbEnd::Paused(_));
        if self.rung.is_measured() || self.rung.errors > 0 {
            self.keep(on_rung);
        }
    }
}

/// The smallest of sorted times that so many of a hundred do not exceed.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times: Vec<_> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(10));
        assert_eq!(percentile(&times, 95), Duration::from_millis(19));
        assert_eq!(percentile(&times[..1], 95), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
