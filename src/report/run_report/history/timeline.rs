//! What happened when, in bounded memory: a fixed number of slices of time, which double in length when
//! the list is full.
//!
//! A slice ends at the first tick after its time, and begins where the one before it ended: what is counted
//! between two ticks lies between these two, so that a rate is right although no event is dated by a clock
//! of its own.

use std::time::Duration;

use super::latency_buckets::LatencyBuckets;
use crate::report::engine_status::EngineStatus;

/// As many as a chart can show. Even, so that they can be merged by twos.
const MOST: usize = 240;
/// Two ticks of the engine: a run of 24 s fits without merging.
const SHORTEST: Duration = Duration::from_millis(100);

/// What happened in one slice of a run's time.
#[derive(Debug, Clone)]
pub(crate) struct TimeSlice {
    /// Its beginning, from that of the run.
    pub(crate) from: Duration,
    /// Its end.
    pub(crate) to: Duration,
    /// Answers with any status.
    pub(crate) answers: u64,
    /// Rows that got an answer to keep, or had one already.
    pub(crate) fetched: u64,
    /// Rows that failed.
    pub(crate) failed: u64,
    /// Rows that were over, in whatever way.
    pub(crate) done: u64,
    /// Attempts that failed and were followed by another one.
    pub(crate) retries: u64,
    /// Attempts that were refused for a limit.
    pub(crate) refused: u64,
    /// Decoded bytes of bodies.
    pub(crate) bytes: u64,
    /// The most attempts that were seen in flight.
    pub(crate) most_in_flight: usize,
    /// How many might have been, at the end of the slice.
    pub(crate) limit: usize,
    /// Time in which the pool was paused.
    pub(crate) paused: Duration,
    busy: Duration,
    latency: LatencyBuckets,
}

/// The slices of a run.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    slices: Vec<TimeSlice>,
    length: Duration,
    sampled_at: Duration,
}

impl TimeSlice {
    fn at(from: Duration) -> Self {
        Self {
            from,
            to: from,
            answers: 0,
            fetched: 0,
            failed: 0,
            done: 0,
            retries: 0,
            refused: 0,
            bytes: 0,
            most_in_flight: 0,
            limit: 0,
            paused: Duration::ZERO,
            busy: Duration::ZERO,
            latency: LatencyBuckets::default(),
        }
    }

    /// Its length.
    #[must_use]
    pub(crate) fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    /// Attempts in flight on average.
    #[must_use]
    pub(crate) fn in_flight(&self) -> f64 {
        self.busy.as_secs_f64() / self.length().as_secs_f64().max(1e-9)
    }

    /// So many, as a rate a second.
    #[must_use]
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.length().as_secs_f64().max(1e-9)
    }

    /// The latency that this share of the answers did not take longer than, to an eighth or better.
    #[must_use]
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        self.latency.quantile(share)
    }

    pub(crate) fn answered(&mut self, micros: u64, bytes: u64) {
        self.answers += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.latency.record(micros);
    }

    /// Takes in the slice that follows.
    pub(crate) fn merge(&mut self, next: &Self) {
        self.to = next.to;
        self.answers += next.answers;
        self.fetched += next.fetched;
        self.failed += next.failed;
        self.done += next.done;
        self.retries += next.retries;
        self.refused += next.refused;
        self.bytes = self.bytes.saturating_add(next.bytes);
        self.most_in_flight = self.most_in_flight.max(next.most_in_flight);
        self.limit = if next.limit > 0 { next.limit } else { self.limit };
        self.paused += next.paused;
        self.busy += next.busy;
        self.latency.merge(&next.latency);
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self { slices: vec![TimeSlice::at(Duration::ZERO)], length: SHORTEST, sampled_at: Duration::ZERO }
    }
}

impl Timeline {
    /// The slice of now.
    pub(crate) fn now(&mut self) -> &mut TimeSlice {
        if self.slices.is_empty() {
            self.slices.push(TimeSlice::at(self.sampled_at));
        }
        let last = self.slices.len() - 1;
        &mut self.slices[last]
    }

    /// Samples the engine, and ends the slice if its time is over.
    pub(crate) fn sample(&mut self, status: &EngineStatus) {
        let now = status.elapsed.max(self.sampled_at);
        let span = now.saturating_sub(self.sampled_at);
        self.sampled_at = now;
        let slice = self.now();
        slice.to = now;
        slice.busy += span.saturating_mul(u32::try_from(status.in_flight).unwrap_or(u32::MAX));
        slice.most_in_flight = slice.most_in_flight.max(status.in_flight);
        slice.limit = status.limit;
        if status.paused.is_some() {
            slice.paused += span;
        }
        if slice.length() < self.length {
            return;
        }
        if self.slices.len() == MOST {
            self.slices = merge_pairs(&self.slices);
            self.length *= 2;
        }
        self.slices.push(TimeSlice::at(now));
    }

    /// The slices. The last one is as long as most, so that no rate is made of a moment.
    pub(crate) fn slices(&self) -> Vec<TimeSlice> {
        let mut slices = self.slices.clone();
        if let [.., before, last] = slices.as_mut_slice()
            && last.length() < self.length / 2
        {
            before.merge(last);
            slices.pop();
        }
        slices.retain(|slice| !slice.length().is_zero());
        slices
    }
}

/// Half as many slices, each of two.
pub(crate) fn merge_pairs(slices: &[TimeSlice]) -> Vec<TimeSlice> {
    let both = |pair: &[TimeSlice]| {
        let mut first = pair[0].clone();
        pair[1..].iter().for_each(|next| first.merge(next));
        first
    };
    slices.chunks(2).map(both).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(elapsed: Duration) -> EngineStatus {
        EngineStatus { elapsed, in_flight: 8, limit: 16, paused: None, learned: None }
    }

    #[test]
    fn a_month_takes_no_more_slices_than_a_minute_and_loses_nothing() {
        for step in [Duration::from_millis(50), Duration::from_secs(3), Duration::from_hours(1)] {
            let mut timeline = Timeline::default();
            for sample in 1..=20_000u32 {
                timeline.now().answered(1_000, 10);
                timeline.now().done += 1;
                timeline.sample(&status(step * sample));
            }
            let slices = timeline.slices();
            assert!(slices.len() <= MOST && slices.len() > MOST / 3, "{}", slices.len());
            assert_eq!(slices.iter().map(|slice| slice.answers).sum::<u64>(), 20_000);
            assert_eq!(slices.iter().map(|slice| slice.done).sum::<u64>(), 20_000);
            assert_eq!(slices[0].from, Duration::ZERO);
            assert!(slices.windows(2).all(|pair| pair[0].to == pair[1].from));
            assert_eq!(slices.last().map(|slice| slice.to), Some(step * 20_000));
            // Every step had one answer, so each slice has the same rate, the last one too.
            let rate = 1.0 / step.as_secs_f64();
            for slice in &slices {
                assert!((slice.per_second(slice.answers) / rate - 1.0).abs() < 1e-6);
                assert!((slice.in_flight() - 8.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn the_time_before_the_first_sample_is_a_slice_and_a_run_without_samples_has_none() {
        let mut timeline = Timeline::default();
        assert!(timeline.slices().is_empty());
        timeline.sample(&status(Duration::from_secs(5)));
        timeline.now().answered(5, 5);
        timeline.sample(&status(Duration::from_millis(5_200)));
        let lengths: Vec<u128> = timeline.slices().iter().map(|slice| slice.length().as_millis()).collect();
        assert_eq!(lengths, [5_000, 200]);
    }

    #[test]
    fn paused_time_is_that_between_samples_taken_in_a_pause() {
        let mut timeline = Timeline::default();
        for sample in 1..=10u32 {
            let elapsed = Duration::from_millis(50) * sample;
            let paused = (sample > 5).then_some((Duration::from_secs(1), crate::model::PauseReason::Quota));
            timeline.sample(&EngineStatus { paused, ..status(elapsed) });
        }
        let paused: Duration = timeline.slices().iter().map(|slice| slice.paused).sum();
        assert_eq!(paused, Duration::from_millis(250));
    }

    proptest! {
        #[test]
        fn samples_at_any_times_leave_the_slices_in_order(steps in proptest::collection::vec(0u64..10_000, 0..600)) {
            let mut timeline = Timeline::default();
            let mut at = Duration::ZERO;
            for step in &steps {
                at += Duration::from_millis(*step);
                timeline.now().retries += 1;
                timeline.sample(&status(at));
            }
            let slices = timeline.slices();
            prop_assert!(slices.len() <= MOST);
            prop_assert!(slices.windows(2).all(|pair| pair[0].to == pair[1].from));
            if at > Duration::ZERO {
                prop_assert_eq!(slices.iter().map(|slice| slice.retries).sum::<u64>(), steps.len() as u64);
            }
        }
    }
}
