//! `tune`: how far to climb, how much to measure at each rung, and which rung to recommend. Pure: a function of what was
//! measured.
//!
//! One rung is one number of workers. The next has twice as many, as long as throughput grows by a fair part of what was
//! added. Latency is noisy, so a rung without growth is measured twice before it counts. That costs the server less than
//! a rung with twice as many.

use std::time::Duration;

use crate::model::{PauseReason, Rate};

/// Throughput must grow by the added workers to this power: by 15 % where they are doubled. Halfway
/// between a server that still scales and one that is full lies a factor of 1.4; noise of a tenth
/// either way does not reach from one to the other.
const ELASTICITY: f64 = 0.2;
/// Of the rungs within a tenth of the fastest the lowest is recommended: the difference is queueing and noise.
const NEARLY: f64 = 0.9;
/// This share of errors is trouble …
const TROUBLE: f64 = 0.05;
/// … if it is also so many times what lower rungs saw: what fails anyway says nothing of the load …
const TIMES_BEFORE: f64 = 3.0;
/// … and at least so many, of so many ends: less may be chance.
const ERRORS: u64 = 3;
const ENDS: u64 = 10;
/// A rate is the limit when this part of it was reached.
const RATE_REACHED: f64 = 0.9;
/// Each worker's answers that are measured at least, and answers in all: with 16 the mean of a
/// latency that varies by half is known to an eighth.
const ROUNDS: u64 = 2;
const ANSWERS: u64 = 16;
/// A rung that has its least answers goes on for this long if there is enough sample left.
const WHILE: Duration = Duration::from_secs(1);
/// A rung whose time is over counts if it has at least so many answers.
const FEWEST: u64 = 2;

/// What was measured with one number of workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rung {
    /// Requests in flight at most.
    pub(crate) workers: usize,
    /// Requests that ended, those that came too early to count and the errors among them.
    pub(crate) requests: u64,
    /// Answers in the measured time.
    pub(crate) answers: u64,
    /// Requests refused for overload, failed or without an answer, whenever they ended.
    pub(crate) errors: u64,
    /// The measured time.
    pub(crate) span: Duration,
    /// Half of the answers took at most this long.
    pub(crate) p50: Duration,
    /// 95 of 100.
    pub(crate) p95: Duration,
    /// The server, or its trouble, paused the pool meanwhile: the figures are not its speed.
    pub(crate) paused: bool,
}

impl Rung {
    /// Answers a second.
    #[must_use]
    pub(crate) fn per_second(&self) -> f64 {
        let span = self.span.as_secs_f64();
        if span > 0.0 { self.answers as f64 / span } else { 0.0 }
    }

    fn failing(&self) -> f64 {
        self.errors as f64 / self.requests.max(1) as f64
    }

    /// Whether there is anything to compare.
    #[must_use]
    pub(crate) fn is_measured(&self) -> bool {
        self.answers >= FEWEST.max(self.workers as u64 / 2) && !self.span.is_zero()
    }
}

/// What to do after a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Measure the same number of workers once more.
    Again,
    /// Go on with so many.
    Climb(usize),
    /// Enough is known.
    Done(ClimbEnd),
}

/// Why a climb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClimbEnd {
    /// More workers no longer brought more answers.
    Knee,
    /// Errors began.
    Errors,
    /// The pool was paused, for this reason.
    Paused(PauseReason),
    /// `--rate` was reached.
    Rate,
    /// The ceiling was reached.
    Ceiling,
    /// No SKU was left that had not been asked for.
    Sample,
    /// The time was over.
    Time,
    /// The run was stopped.
    Stopped,
}

impl ClimbEnd {
    /// A stable word for logs and reports.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Knee => "knee",
            Self::Errors => "errors",
            Self::Paused(_) => "paused",
            Self::Rate => "rate",
            Self::Ceiling => "ceiling",
            Self::Sample => "sample",
            Self::Time => "time",
            Self::Stopped => "stopped",
        }
    }
}

/// The bounds of a climb.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// No more workers than this.
    pub(crate) ceiling: usize,
    /// `--rate`.
    pub(crate) rate: Option<Rate>,
}

impl Bounds {
    /// What to do after the last of these rungs, which was measured `times`.
    #[must_use]
    pub(crate) fn course(&self, rungs: &[Rung], times: u32) -> Course {
        let Some((last, before)) = rungs.split_last() else { return Course::Climb(1) };
        if is_troubled(last, before) {
            return Course::Done(ClimbEnd::Errors);
        }
        if self.rate.is_some_and(|rate| last.per_second() >= RATE_REACHED * rate.per_second()) {
            return Course::Done(ClimbEnd::Rate);
        }
        if let Some(best) = fastest(before) {
            let added = last.workers as f64 / best.workers as f64;
            if last.per_second() < best.per_second() * added.powf(ELASTICITY) {
                return if times < 2 { Course::Again } else { Course::Done(ClimbEnd::Knee) };
            }
        }
        if last.workers >= self.ceiling {
            return Course::Done(ClimbEnd::Ceiling);
        }
        Course::Climb(last.workers.saturating_mul(2).min(self.ceiling))
    }

    /// How long to measure with so many workers, while `left` requests and `time` are left.
    #[must_use]
    pub(crate) fn measure(&self, workers: usize, left: u64, time: Duration) -> Measure {
        let mut to_come = Vec::new();
        let mut next = workers;
        loop {
            to_come.push(next as u64);
            if next >= self.ceiling {
                break;
            }
            next = next.saturating_mul(2).min(self.ceiling);
        }
        let count = workers as u64;
        let least = (ROUNDS * count).max(ANSWERS);
        // As if there were one more like it: a rung that did not grow is measured twice.
        let share = left.saturating_mul(count) / (to_come.iter().sum::<u64>() + count);
        let rungs = u32::try_from(to_come.len()).unwrap_or(u32::MAX);
        Measure { workers: count, least, most: share.max(least), time: time / rungs }
    }
}

/// How long to measure at a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measure {
    workers: u64,
    least: u64,
    most: u64,
    time: Duration,
}

impl Measure {
    /// Whether an end so early belongs to the change of the number of workers: to attempts that left
    /// before it, and to connections that were opened for it.
    #[must_use]
    pub(crate) fn is_early(&self, ended: u64) -> bool {
        ended <= self.workers
    }

    /// Whether a rung is complete for which so many ends were counted. Only whole rounds are: answers
    /// come in bunches, and half a bunch is counted without its time.
    #[must_use]
    pub(crate) fn is_complete(&self, counted: u64, span: Duration, since: Duration) -> bool {
        let enough = counted >= self.least && (span >= WHILE || counted + self.workers >= self.most);
        let late = since >= self.time && counted >= FEWEST.max(self.workers);
        counted.is_multiple_of(self.workers) && (enough || late)
    }
}

/// Whether errors began at this rung.
#[must_use]
pub(crate) fn is_troubled(rung: &Rung, before: &[Rung]) -> bool {
    let (errors, requests) = before.iter().fold((0, 0), |sum, r| (sum.0 + r.errors, sum.1 + r.requests));
    let usual = errors as f64 / requests.max(1) as f64;
    let share = rung.failing();
    rung.errors >= ERRORS && rung.requests >= ENDS && share > TROUBLE && share > TIMES_BEFORE * usual
}

/// The fewest workers that are nearly as fast as any, among rungs without trouble.
#[must_use]
pub(crate) fn best(rungs: &[Rung]) -> Option<&Rung> {
    let top = fastest_sound(rungs)?.per_second();
    sound(rungs).find(|rung| rung.per_second() >= NEARLY * top)
}

fn sound(rungs: &[Rung]) -> impl Iterator<Item = &Rung> {
    let sound = |(at, rung): (usize, &Rung)| {
        let fine = rung.is_measured() && !rung.paused && !is_troubled(rung, &rungs[..at]);
        fine.then_some(at)
    };
    rungs.iter().enumerate().filter_map(sound).map(|at| &rungs[at])
}

fn fastest_sound(rungs: &[Rung]) -> Option<&Rung> {
    sound(rungs).max_by(|a, b| a.per_second().total_cmp(&b.per_second()))
}

fn fastest(rungs: &[Rung]) -> Option<&Rung> {
    rungs.iter().max_by(|a, b| a.per_second().total_cmp(&b.per_second()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// So many answers a second, 100 of them.
    fn rung(workers: usize, per_second: f64) -> Rung {
        Rung {
            workers,
            requests: 100 + workers as u64,
            answers: 100,
            span: Duration::from_secs_f64(100.0 / per_second),
            ..Rung::default()
        }
    }

    fn climb(rates: &[f64]) -> Vec<Rung> {
        rates.iter().enumerate().map(|(n, rate)| rung(1 << n, *rate)).collect()
    }

    fn bounds(ceiling: usize) -> Bounds {
        Bounds { ceiling, rate: None }
    }

    #[test]
    fn it_climbs_while_throughput_grows_and_stops_at_the_knee() {
        use Course::{Again, Climb, Done};
        for (rates, times, course) in [
            (&[][..], 1, Climb(1)),
            (&[20.0], 1, Climb(2)),
            (&[20.0, 40.0], 1, Climb(4)),
            // Noise of a tenth against it, twice.
            (&[22.0, 36.0, 71.0], 1, Climb(8)),
            // A server of capacity 3: two thirds of the doubling came.
            (&[20.0, 40.0, 60.0], 1, Climb(8)),
            (&[20.0, 40.0, 60.0, 60.0], 1, Again),
            (&[20.0, 40.0, 60.0, 60.0], 2, Done(ClimbEnd::Knee)),
            (&[20.0, 40.0, 60.0, 66.0], 2, Done(ClimbEnd::Knee)),
            (&[20.0, 40.0, 60.0, 30.0], 2, Done(ClimbEnd::Knee)),
            (&[20.0, 19.0], 2, Done(ClimbEnd::Knee)),
            (&[20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0], 1, Done(ClimbEnd::Ceiling)),
        ] {
            assert_eq!(bounds(64).course(&climb(rates), times), course, "{rates:?}");
        }
    }

    #[test]
    fn the_last_rung_is_the_ceiling_even_where_it_is_no_doubling() {
        let rungs = climb(&[20.0, 40.0, 80.0]);
        assert_eq!(bounds(5).course(&rungs, 1), Course::Climb(5));
        let mut rungs = rungs;
        rungs.push(rung(5, 99.0));
        assert_eq!(bounds(5).course(&rungs, 1), Course::Done(ClimbEnd::Ceiling));
        assert_eq!(bounds(1).course(&climb(&[20.0]), 1), Course::Done(ClimbEnd::Ceiling));
    }

    #[test]
    fn errors_that_begin_end_it_and_those_that_were_there_all_along_do_not() {
        let with = |errors: u64, rung: Rung| Rung { errors, ..rung };
        let begun = [rung(1, 20.0), with(8, rung(2, 40.0))];
        assert_eq!(bounds(64).course(&begun, 1), Course::Done(ClimbEnd::Errors));
        let chance = [rung(1, 20.0), with(2, rung(2, 40.0))];
        assert_eq!(bounds(64).course(&chance, 1), Course::Climb(4));
        let usual = [with(4, rung(1, 20.0)), with(8, rung(2, 40.0))];
        assert_eq!(bounds(64).course(&usual, 1), Course::Climb(4));
        let first = [with(60, rung(1, 20.0))];
        assert_eq!(bounds(64).course(&first, 1), Course::Done(ClimbEnd::Errors));
    }

    #[test]
    fn a_rate_that_is_reached_ends_it() {
        let paced = Bounds { rate: Some("50/s".parse().unwrap()), ..bounds(64) };
        assert_eq!(paced.course(&climb(&[20.0, 40.0]), 1), Course::Climb(4));
        assert_eq!(paced.course(&climb(&[20.0, 40.0, 49.5]), 1), Course::Done(ClimbEnd::Rate));
    }

    #[test]
    fn the_best_is_the_lowest_that_is_nearly_as_fast_as_any_and_never_one_in_trouble() {
        let named = |rungs: &[Rung]| best(rungs).map(|rung| rung.workers);
        assert_eq!(named(&climb(&[20.0, 40.0, 60.0, 62.0])), Some(4));
        assert_eq!(named(&climb(&[20.0, 40.0, 80.0])), Some(4));
        assert_eq!(named(&climb(&[20.0, 18.0])), Some(1));
        let mut rungs = climb(&[20.0, 40.0, 80.0]);
        rungs[2].errors = 50;
        assert_eq!(named(&rungs), Some(2));
        rungs[1].paused = true;
        assert_eq!(named(&rungs), Some(1));
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[Rung { workers: 1, ..Rung::default() }]), None);
    }

    #[test]
    fn a_rung_takes_its_share_of_the_sample_and_of_the_time_in_whole_rounds() {
        let minute = Duration::from_mins(1);
        let first = bounds(64).measure(1, 2_000, minute);
        assert_eq!(first, Measure { workers: 1, least: 16, most: 16, time: minute / 7 });
        let last = bounds(64).measure(64, 1_000, minute);
        assert_eq!(last, Measure { workers: 64, least: 128, most: 500, time: minute });
        assert!(last.is_early(64) && !last.is_early(65));
        let (short, long) = (Duration::from_millis(300), Duration::from_secs(2));
        assert!(!last.is_complete(128, short, short) && last.is_complete(448, short, short));
        assert!(last.is_complete(128, long, long) && !last.is_complete(130, long, long));
        // A slow API: the rung's time is over before its answers came.
        assert!(!last.is_complete(64, long, long) && last.is_complete(64, minute, minute));
        assert!(!first.is_complete(1, minute, minute) && first.is_complete(2, minute, minute));
    }

    proptest! {
        #[test]
        fn a_climb_ends_and_never_passes_its_ceiling(
            ceiling in 1usize..5_000,
            rates in prop::collection::vec(0.1f64..1e6, 40),
        ) {
            let (mut rungs, mut times) = (Vec::new(), 1);
            for rate in rates {
                match bounds(ceiling).course(&rungs, times) {
                    Course::Climb(workers) => {
                        prop_assert!(workers <= ceiling);
                        prop_assert!(rungs.last().is_none_or(|last: &Rung| last.workers < workers));
                        rungs.push(rung(workers, rate));
                        times = 1;
                    }
                    Course::Again => times += 1,
                    Course::Done(_) => break,
                }
            }
            prop_assert!(matches!(bounds(ceiling).course(&rungs, times), Course::Done(_)));
            prop_assert!(best(&rungs).is_some());
        }
    }
}
