//! The API's limit, as far as a run shows it: what the gate learnt, corrected by what was accepted.
//!
//! The gate's rate is what it aims at: timers send less, and refusals and growth move it about. What was accepted in the
//! newest half minute in which the rate held the pool back is nearer the limit.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limit::{GateView, LearnedLimit};

/// Slices of a second that count.
const SLICES: usize = 30;
/// What was accepted in so many slices on end is compared.
const SPAN_SLICES: usize = 10;
const SLICE: Duration = Duration::from_secs(1);
/// With less time than this, what was accepted says nothing yet.
const LEAST: Duration = Duration::from_secs(3);
/// In a pause that is longer a bucket is filled: what follows it is more than the limit, without the pause.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// What happened in a slice of the time in which a learnt rate held the pool back.
#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    /// Its time, pauses included.
    time: Duration,
    paused: Duration,
    /// The longest that a pause had lasted.
    pause: Duration,
    accepted: u64,
    /// The learnt rate, summed over the time.
    learned: f64,
}

/// The limit, from samples.
#[derive(Debug, Default)]
pub(super) struct LimitEstimate {
    learned: Option<LearnedLimit>,
    slices: VecDeque<Slice>,
    accepted: u64,
    pause: Duration,
}

impl LimitEstimate {
    /// Takes note of the time since the last sample. `accepted`: attempts of the whole run that were not refused.
    pub(super) fn sample(&mut self, view: &GateView, span: Duration, accepted: u64) {
        let newly_accepted = accepted.saturating_sub(std::mem::replace(&mut self.accepted, accepted));
        self.learned = view.learned;
        let Some(LearnedLimit::Rate(rate)) = view.learned else {
            self.slices.clear();
            return;
        };
        let is_paused = view.paused_until.is_some();
        self.pause = if is_paused { self.pause + span } else { Duration::ZERO };
        if !is_paused && view.waiting == 0 {
            return;
        }
        if self.slices.back().is_none_or(|slice| slice.time >= SLICE) {
            if self.slices.len() == SLICES {
                self.slices.pop_front();
            }
            self.slices.push_back(Slice::default());
        }
        let Some(slice) = self.slices.back_mut() else { return };
        slice.time += span;
        slice.paused += if is_paused { span } else { Duration::ZERO };
        slice.pause = slice.pause.max(self.pause);
        slice.accepted += newly_accepted;
        slice.learned += rate * span.as_secs_f64();
    }

    /// The limit; none where none was learnt.
    pub(super) fn limit(&self) -> Option<LearnedLimit> {
        Some(match self.learned? {
            LearnedLimit::Rate(rate) => LearnedLimit::Rate(self.rate().unwrap_or(rate)),
            window @ LearnedLimit::Window { .. } => window,
        })
    }

    fn rate(&self) -> Option<f64> {
        let slices: Vec<Slice> = self.slices.iter().copied().collect();
        let all = sum(&slices);
        if all.open() < LEAST || all.accepted == 0 {
            return None;
        }
        if all.pause > LONG_PAUSE {
            return Some(all.rate(all.time));
        }
        // While the rate grows, the best span is nearest the limit.
        slices
            .windows(SPAN_SLICES.min(slices.len()))
            .map(sum)
            .map(|span| span.rate(span.open()))
            .reduce(f64::max)
    }
}

impl Slice {
    fn open(&self) -> Duration {
        self.time.saturating_sub(self.paused)
    }

    /// What was accepted a second, but no more than was aimed at.
    fn rate(&self, time: Duration) -> f64 {
        let accepted = self.accepted as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE);
        accepted.min(self.learned / self.time.as_secs_f64().max(f64::MIN_POSITIVE))
    }
}

fn sum(slices: &[Slice]) -> Slice {
    slices.iter().fold(Slice::default(), |sum, slice| Slice {
        time: sum.time + slice.time,
        paused: sum.paused + slice.paused,
        pause: sum.pause.max(slice.pause),
        accepted: sum.accepted + slice.accepted,
        learned: sum.learned + slice.learned,
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const SPAN: Duration = Duration::from_millis(50);

    fn view(learned: LearnedLimit) -> GateView {
        GateView {
            in_flight: 1,
            limit: 8,
            waiting: 5,
            paused_until: None,
            pause_reason: None,
            slowed: true,
            learned: Some(learned),
        }
    }

    /// A run with so many accepted in each sample; where `is_paused`, none is.
    fn estimated(learned: f64, per_sample: u64, samples: u32, is_paused: impl Fn(u32) -> bool) -> f64 {
        let (mut estimate, mut accepted) = (LimitEstimate::default(), 0);
        for sample in 0..samples {
            let mut view = view(LearnedLimit::Rate(learned));
            if is_paused(sample) {
                view.paused_until = Some(Instant::now());
            } else {
                accepted += per_sample;
            }
            estimate.sample(&view, SPAN, accepted);
        }
        match estimate.limit() {
            Some(LearnedLimit::Rate(rate)) => rate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_accepted_counts_where_it_is_less_than_was_aimed_at() {
        let never = |_| false;
        // 10 in 50 ms are 200 a second.
        assert!((estimated(267.0, 10, 800, never) - 200.0).abs() < 1.0);
        assert!((estimated(190.0, 10, 800, never) - 190.0).abs() < 1.0);
        assert!((estimated(267.0, 10, 10, never) - 267.0).abs() < 1.0, "too early to say");
    }

    #[test]
    fn a_long_pause_counts_and_a_short_one_does_not() {
        // A tenth of each ten seconds, in one piece; and the same in pieces of half a second.
        let long = estimated(500.0, 10, 800, |sample| sample % 400 < 80);
        assert!((150.0..=175.0).contains(&long), "{long}");
        let short = estimated(500.0, 10, 800, |sample| sample % 100 < 10);
        assert!((short - 200.0).abs() < 3.0, "{short}");
    }

    #[test]
    fn time_in_which_nothing_waited_for_the_rate_does_not_count() {
        let mut estimate = LimitEstimate::default();
        let mut accepted = 0;
        for sample in 0..800u32 {
            let idle = sample >= 200;
            let waiting = if idle { 0 } else { 5 };
            accepted += if idle { 0 } else { 10 };
            estimate.sample(&GateView { waiting, ..view(LearnedLimit::Rate(300.0)) }, SPAN, accepted);
        }
        let Some(LearnedLimit::Rate(rate)) = estimate.limit() else { panic!("none") };
        assert!((rate - 200.0).abs() < 1.0, "{rate}");
    }

    #[test]
    fn a_window_is_that_of_the_gate_and_goes_with_it() {
        let mut estimate = LimitEstimate::default();
        let window = LearnedLimit::Window { capacity: 50, period: Duration::from_secs(10) };
        estimate.sample(&view(window), SPAN, 1);
        assert_eq!(estimate.limit(), Some(window));
        estimate.sample(&GateView { learned: None, ..view(window) }, SPAN, 1);
        assert_eq!(estimate.limit(), None);
    }
}
