//! What a token bucket refills by in a second, as far as what it accepted shows. Pure.
//!
//! A refusal shows that the bucket is empty at that instant. Before it, so many were accepted: what the bucket held at the
//! beginning of a span, and what it gained since. With `n` accepted in `t` seconds after a pause of `p` seconds,
//! `n = min(b, r p) + r t`, where `r` is the rate and `b` the size of the bucket. The first span of a run began with a full
//! bucket, so that `b = n1 - r t1` for it. Together that gives `r`, however large the bucket is. A bucket that was full for
//! a while has lost what it would have gained, so that the result is a lower bound.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A span with fewer accepted attempts shows no rate …
const ACCEPTED: f64 = 10.0;
/// … nor does one that is shorter than this, in seconds.
const SECONDS: f64 = 0.8;
/// From one mark in a span to the next it is at least so long.
const STEP: Duration = Duration::from_millis(500);
/// So many marks are kept; then each second one is dropped.
const MARKS: usize = 64;
/// If a rate below this part of what a window of a second would hold is refused, there is no such window.
const SECOND_DENIED: f64 = 0.98;
/// A window of a second holds at most this many times the rate that was refused.
const SECOND_ABOVE: f64 = 1.02;
/// So many refusals are kept from which on everything that was accepted had to be gained first.
const EMPTIED: usize = 4;
/// From one of them on so many have to be accepted …
const SINCE_EMPTIED: f64 = 20.0;
/// … in so long a time, in seconds: in a shorter one a window may have begun twice.
const SECONDS_SINCE_EMPTIED: f64 = 3.0;
/// In a span most of what was accepted must have been gained in it, not held at its beginning.
const HELD_MOST: f64 = 0.7;

/// The time since the bucket was empty or full.
#[derive(Debug, Clone)]
struct BucketSpan {
    began: Instant,
    /// The time before it, in seconds, in which the bucket gained without an attempt; none: it was full.
    pause: Option<f64>,
    accepted: f64,
    /// Instants at least [`STEP`] apart, and how many had been accepted by then.
    marks: VecDeque<(Instant, f64)>,
}

impl BucketSpan {
    fn new(began: Instant, pause: Option<f64>, accepted: f64) -> Self {
        Self { began, pause, accepted, marks: VecDeque::new() }
    }

    fn mark(&mut self, now: Instant) {
        let newest = self.marks.back().map_or(self.began, |(at, _)| *at);
        if now.saturating_duration_since(newest) < STEP {
            return;
        }
        if self.marks.len() == MARKS {
            let mut is_kept = false;
            self.marks.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        self.marks.push_back((now, self.accepted));
    }
}

/// The first span of the run: so many were accepted in so many seconds.
#[derive(Debug, Clone, Copy)]
struct FirstSpan {
    accepted: f64,
    seconds: f64,
}

/// A refusal: the bucket was empty.
#[derive(Debug, Clone, Copy)]
struct Emptied {
    at: Instant,
    /// How many had been accepted in the run.
    accepted: f64,
}

/// The estimate.
#[derive(Debug, Default)]
pub(super) struct BucketEstimate {
    /// How many were accepted in the run.
    accepted: f64,
    /// The newest refusals that counted.
    emptied: VecDeque<Emptied>,
    first: Option<FirstSpan>,
    span: Option<BucketSpan>,
    /// A window of a second was assumed, and its rate was refused.
    is_second_denied: bool,
    /// A window of a second was assumed.
    assumes_second: bool,
}

impl BucketEstimate {
    /// The run begins to send.
    pub(super) fn begin(&mut self, now: Instant) {
        self.span.get_or_insert_with(|| BucketSpan::new(now, None, 0.0));
    }

    /// An attempt was accepted.
    pub(super) fn accepted(&mut self, now: impl Fn() -> Instant) {
        self.accepted += 1.0;
        if let Some(span) = &mut self.span {
            span.accepted += 1.0;
            // Before the first refusal nothing is estimated.
            if self.first.is_some() {
                span.mark(now());
            }
        }
    }

    /// An attempt was refused, at `refused`, and the next one that was accepted left at `began`. None: the pool paused for
    /// another reason.
    pub(super) fn resume(&mut self, refused: Option<Instant>, began: Instant) {
        let pause = refused.map(|refused| began.saturating_duration_since(refused).as_secs_f64());
        if let Some((span, refused)) = self.span.as_ref().zip(refused)
            && self.first.is_none()
        {
            let seconds = refused.saturating_duration_since(span.began).as_secs_f64();
            // The one that was accepted after the refusal is the first of the new span.
            self.first = Some(FirstSpan { accepted: (span.accepted - 1.0).max(0.0), seconds });
        }
        self.span = Some(BucketSpan::new(began, pause, 1.0));
        // The one that was accepted after it is counted already.
        if let Some(at) = refused {
            self.note_emptied(at, self.accepted - 1.0);
        }
    }

    fn note_emptied(&mut self, at: Instant, accepted: f64) {
        // One that was refused alone is noted at once, and once more where the server asks for a pause.
        if self.emptied.back().is_some_and(|newest| newest.at == at) {
            return;
        }
        if self.emptied.len() == EMPTIED {
            self.emptied.pop_front();
        }
        self.emptied.push_back(Emptied { at, accepted });
    }

    /// The highest rate that was accepted from one of the newest refusals until `now`, pauses included: the bucket refills
    /// by no less.
    pub(super) fn gained(&self, now: Instant) -> Option<f64> {
        let rates = self.emptied.iter().filter_map(|emptied| {
            let seconds = now.saturating_duration_since(emptied.at).as_secs_f64();
            let accepted = self.accepted - emptied.accepted;
            (seconds >= SECONDS_SINCE_EMPTIED && accepted >= SINCE_EMPTIED).then(|| accepted / seconds)
        });
        rates.reduce(f64::max)
    }

    /// One was refused alone, and nothing paused.
    pub(super) fn emptied(&mut self, now: Instant) {
        if self.first.is_some() {
            self.span = Some(BucketSpan::new(now, Some(0.0), 0.0));
            self.note_emptied(now, self.accepted);
        }
    }

    /// The rate of a window of a second that holds as many as the bucket seems to. It is assumed if it lies between the
    /// estimate and the rate that was refused, and if the server asks for a pause of a second at most, until that rate is
    /// refused as well.
    pub(super) fn rate_of_second(
        &mut self,
        estimate: f64,
        refused: f64,
        asked: Option<Duration>,
    ) -> Option<f64> {
        asked.filter(|asked| *asked <= Duration::from_secs(1))?;
        let size = self.first.map(|first| first.accepted - estimate * first.seconds)?;
        self.is_second_denied |= self.assumes_second && refused < size * SECOND_DENIED;
        let is_between = (estimate..refused * SECOND_ABOVE).contains(&size);
        self.assumes_second |= is_between;
        (is_between && !self.is_second_denied).then_some(size)
    }

    /// The lowest rate that explains what was accepted until the refusal at `now`, if that shows one.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        let (first, span) = self.first.zip(self.span.as_ref())?;
        let seconds = now.saturating_duration_since(span.began).as_secs_f64();
        if span.accepted < ACCEPTED || seconds < SECONDS || seconds <= first.seconds {
            return None;
        }
        let size = |rate: f64| (first.accepted - rate * first.seconds).max(0.0);
        let held = |rate: f64| span.pause.map_or(size(rate), |pause| size(rate).min(rate * pause));
        // Grows with the rate, because the span is longer than the first.
        let (mut low, mut high) = (0.0, span.accepted / seconds);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if held(middle) + middle * seconds < span.accepted {
                low = middle;
            } else {
                high = middle;
            }
        }
        // What was lost by a full bucket is not in the newest part of the span, in which the bucket was emptied.
        let newest = span.marks.iter().filter_map(|(began, accepted)| {
            let seconds = now.saturating_duration_since(*began).as_secs_f64();
            let gained = span.accepted - accepted - size(low);
            (seconds >= SECONDS && span.accepted - accepted >= ACCEPTED).then(|| gained / seconds)
        });
        let highest = newest.fold(low, f64::max);
        (held(low) <= span.accepted * HELD_MOST).then_some(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket of this size that gains so many a second, which is asked so often: the estimate at each refusal, after
    /// which all wait for `pause` seconds.
    fn estimates(size: f64, rate: f64, asked: &[f64], pause: f64) -> Vec<Option<f64>> {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut estimate = BucketEstimate::default();
        estimate.begin(start);
        let (mut level, mut now) = (size, 0.0);
        asked
            .iter()
            .map(|per_second| {
                loop {
                    let gap = 1.0 / per_second;
                    now += gap;
                    level = size.min(level + gap * rate);
                    if level < 1.0 {
                        break;
                    }
                    level -= 1.0;
                    estimate.accepted(|| at(now));
                }
                let found = estimate.rate(at(now));
                level = size.min(level + pause * rate) - 1.0;
                estimate.accepted(|| at(now + pause));
                estimate.resume(Some(at(now)), at(now + pause));
                now += pause;
                found
            })
            .collect()
    }

    #[test]
    fn a_bucket_is_told_from_what_it_gains_whatever_it_holds_and_however_long_it_rests() {
        for (size, rate) in [(1.5, 20.0), (10.0, 20.0), (30.0, 15.0), (100.0, 50.0), (40.0, 2.0)] {
            // With less than two in a pause nothing is accepted after it.
            for pause in [0.5, 1.0, 10.0].into_iter().filter(|pause| rate * pause >= 2.0) {
                let found = estimates(size, rate, &[rate * 20.0, rate * 1.02, rate * 1.03], pause);
                assert_eq!(found[0], None);
                let shown: Vec<f64> = found[1..].iter().copied().flatten().collect();
                let is_near = |found: &f64| (rate * 0.9..rate * 1.03).contains(found);
                assert!(!shown.is_empty() && shown.iter().all(is_near), "{size} {rate} {pause}: {found:?}");
            }
        }
    }

    #[test]
    fn from_a_refusal_on_what_is_accepted_was_gained_pauses_included() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut estimate = BucketEstimate::default();
        estimate.begin(start);
        (0..100).for_each(|_| estimate.accepted(|| start));
        assert_eq!(estimate.gained(at(5.0)), None, "the bucket was full at the start");
        estimate.accepted(|| at(1.0));
        estimate.resume(Some(start), at(1.0));
        (0..18).for_each(|_| estimate.accepted(|| at(2.0)));
        assert_eq!(estimate.gained(at(5.0)), None, "19 are too few");
        estimate.accepted(|| at(2.0));
        assert_eq!(estimate.gained(at(2.9)), None, "too short");
        assert_eq!(estimate.gained(at(4.0)), Some(5.0));
        // A later one shows more, and four of them are kept.
        estimate.emptied(at(6.0));
        let kept = estimate.emptied.len();
        estimate.note_emptied(at(6.0), estimate.accepted);
        assert_eq!(estimate.emptied.len(), kept, "the same refusal");
        (0..32).for_each(|_| estimate.accepted(|| at(9.0)));
        assert_eq!(estimate.gained(at(10.0)), Some(8.0));
        (0..4).for_each(|n| estimate.emptied(at(10.0 + f64::from(n))));
        assert_eq!(estimate.gained(at(20.0)), None);
    }

    #[test]
    fn what_was_held_only_shows_no_rate() {
        let found = estimates(100.0, 5.0, &[1_000.0, 90.0], 60.0);
        assert_eq!(found, [None, None], "100 at once, and 105 in 1.2 s after a long pause");
    }

    #[test]
    fn a_window_of_a_second_is_assumed_where_that_explains_a_refusal_until_its_rate_is_refused() {
        let start = Instant::now();
        let mut estimate = BucketEstimate::default();
        estimate.begin(start);
        (0..11).for_each(|_| estimate.accepted(|| start));
        estimate.resume(Some(start), start + Duration::from_secs(1));
        let second = Some(Duration::from_secs(1));
        assert_eq!(estimate.rate_of_second(5.0, 12.0, Some(Duration::from_secs(2))), None, "a longer window");
        assert_eq!(estimate.rate_of_second(11.0, 12.0, second), None, "more were accepted");
        assert_eq!(estimate.rate_of_second(5.0, 8.0, second), None, "fewer were refused");
        assert_eq!(estimate.rate_of_second(5.0, 12.0, second), Some(10.0));
        assert_eq!(estimate.rate_of_second(5.0, 9.9, second), Some(10.0));
        assert_eq!(estimate.rate_of_second(5.0, 9.7, second), None, "refused at less");
        assert_eq!(estimate.rate_of_second(5.0, 12.0, second), None, "never again");
    }

    #[test]
    fn a_refusal_that_paused_nothing_begins_a_new_span_with_an_empty_bucket() {
        let start = Instant::now();
        let mut estimate = BucketEstimate::default();
        estimate.begin(start);
        (0..31).for_each(|_| estimate.accepted(|| start));
        estimate.resume(Some(start), start + Duration::from_secs(1));
        estimate.emptied(start + Duration::from_secs(2));
        (0..40).for_each(|_| estimate.accepted(|| start));
        let found = estimate.rate(start + Duration::from_secs(6)).unwrap();
        assert!((found - 10.0).abs() < 0.01, "{found}");
    }
}
