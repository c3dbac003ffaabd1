//! The measured facts that a verdict is derived from.

use std::time::Duration;

use crate::limit::LearnedLimit;
use crate::model::option::CONCURRENCY;
use crate::model::{LimitChangeReason, Rate};
use crate::report::verdict::api_limits::{self, ApiLimits};

/// What was measured during a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Wall time of the run.
    pub(crate) elapsed: Duration,
    /// `--concurrency`, and how far an automatic one went.
    pub(crate) concurrency: ConcurrencyUsed,
    /// The sum over all attempts of their time in flight: over `elapsed`, how many were in flight on average.
    pub(crate) busy: Duration,
    /// What held the next attempt back.
    pub(crate) waits: BlockedTime,
    /// `--rate`.
    pub(crate) rate: Option<Rate>,
    /// It is that of many processes.
    pub(crate) is_rate_shared: bool,
    /// Processor time of the thread that does all the work of the network.
    pub(crate) processor: Duration,
    /// Attempts that were sent.
    pub(crate) attempts: u64,
    /// Of those, answered at all.
    pub(crate) answered: u64,
    /// Of those, answered with an error of the server (5xx and the like), the refused ones apart.
    pub(crate) errors: u64,
    /// What is known of the API's limits.
    pub(crate) limits: ApiLimits,
    /// Of those, refused at no cost to the server, such as 404: an automatic limit learns nothing from them.
    pub(crate) cheap: u64,
    /// Why an automatic limit was lowered last, if it ever was.
    pub(crate) stepped_back: Option<LimitChangeReason>,
    /// Latency of the fastest answer.
    pub(crate) least: Duration,
    /// Median latency of an answer.
    pub(crate) p50: Duration,
    /// 95 of 100 answers took at most this long.
    pub(crate) p95: Duration,
    /// The end of the run, when hardly anything was left.
    pub(crate) tail: Tail,
}

/// The end of a run: no row was left to begin, and no more SKUs were open than a quarter of the slots can carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// How long that was.
    pub(crate) span: Duration,
    /// Of that, with nothing in flight: what was left waited out its back-off.
    pub(crate) idle: Duration,
    /// SKUs that were still open half a second after it began.
    pub(crate) skus: u64,
    /// `--retries`.
    pub(crate) retries: u32,
    /// `--timeout`.
    pub(crate) timeout: Duration,
    /// A SKU may have several pages, which are requested one after the other.
    pub(crate) has_pages: bool,
}

/// How many attempts might be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConcurrencyUsed {
    /// `--concurrency N`.
    Fixed(usize),
    /// `--concurrency auto:MAX`.
    Auto {
        /// The ceiling.
        max: usize,
        /// The limit it had settled at when the work ended.
        settled: usize,
    },
}

/// **Wall time** (not summed over waiters) during which the next attempt could not leave, by what held it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BlockedTime {
    /// Every slot was taken.
    pub(crate) slot: Duration,
    /// No rate token was left.
    pub(crate) rate: Duration,
    /// A learnt rate or window held it back.
    pub(crate) learned: Duration,
    /// The pool was paused for as long as the API asked.
    pub(crate) asked: Duration,
    /// The pool was paused after a refusal that asked for nothing.
    pub(crate) backoff: Duration,
    /// The pool was paused after a 500, 502, 503 or 504 that asked for nothing: a limit, or an outage.
    pub(crate) failing: Duration,
    /// The pool was paused until the reset of a quota.
    pub(crate) quota: Duration,
    /// The pool was paused because the API kept failing.
    pub(crate) outage: Duration,
    /// A slot was free, but there was no job.
    pub(crate) input: Duration,
    /// A slot was free, and no row was left to begin.
    pub(crate) drain: Duration,
}

/// A single one among forty is chance.
const FEWEST_REFUSED: u64 = 4;
/// One in two hundred is more than a server refuses by chance.
const SOME_REFUSED: f64 = 0.005;
/// So many errors of the server, and one in so many requests, may be its limit.
const FEWEST_ERRORS: u64 = 3;
const SOME_ERRORS: u64 = 300;
/// Nothing over this is proposed: beyond it file descriptors and ports decide.
pub(crate) const MOST_WORKERS: usize = 4096;
/// A pacer that is the limit delivers 99 %; the start and the last answers' latency cost a short run more.
pub(crate) const RATE_SHARE: f64 = 0.9;
/// A limit that is higher than this part of `--rate` is the same, as far as that can be measured.
const SAME_RATE: f64 = 0.95;
/// A quarter of a run is worth a change of settings …
const TAIL_SHARE: f64 = 0.25;
/// … if it is noticeable …
const TAIL_LEAST: Duration = Duration::from_secs(1);
/// … and it is not the usual time of an answer.
const TAIL_ANSWERS: u32 = 2;

impl Facts {
    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Whether the server failed so often that this may be its limit: one without a burst answers 503 now and then to
    /// what comes a little too soon.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors >= FEWEST_ERRORS && self.errors.saturating_mul(SOME_ERRORS) >= self.attempts
    }

    pub(crate) fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.seconds()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.attempts as f64 / self.seconds()
    }

    /// How many were in flight on average, its tail apart: nothing could have been in flight there.
    pub(crate) fn in_flight(&self) -> f64 {
        let worked = self.elapsed.saturating_sub(self.tail.span).as_secs_f64();
        self.busy.as_secs_f64() / worked.max(f64::MIN_POSITIVE)
    }

    /// The run went on for the sake of a few SKUs.
    pub(crate) fn has_tail(&self) -> bool {
        let Tail { span, skus, .. } = self.tail;
        let late = span >= TAIL_LEAST.max(self.p50.saturating_mul(TAIL_ANSWERS));
        skus > 0 && late && self.share(span) >= TAIL_SHARE
    }

    /// The pauses that follow refusals.
    pub(crate) fn refusal_pauses(&self) -> Duration {
        self.waits.asked + self.waits.backoff
    }

    /// The API refused more often than by chance.
    pub(crate) fn is_refused(&self) -> bool {
        let refused = self.limits.refused;
        refused >= FEWEST_REFUSED && refused as f64 >= SOME_REFUSED * self.attempts as f64
    }

    /// The learnt limit, unless `--rate` is lower.
    pub(crate) fn learned_limit(&self) -> Option<LearnedLimit> {
        let rate = self.rate.map_or(f64::INFINITY, Rate::per_second);
        self.limits.learned.filter(|learned| api_limits::per_second(*learned) < rate * SAME_RATE)
    }

    /// How many may be in flight, where more were refused.
    pub(crate) fn cap(&self) -> Option<usize> {
        self.limits.in_flight.filter(|cap| *cap < self.ceiling() && self.is_refused_for_number())
    }

    /// Refusals of a cap cost little, so that they are few.
    fn is_refused_for_number(&self) -> bool {
        self.limits.refused >= FEWEST_REFUSED || self.errors >= FEWEST_REFUSED
    }

    pub(crate) fn limit(&self) -> usize {
        match self.concurrency {
            ConcurrencyUsed::Fixed(limit) => limit,
            ConcurrencyUsed::Auto { settled, .. } => settled,
        }
    }

    /// The controller settled where more did not pay. A little below the ceiling is no such place: it
    /// is a step of the controller's, up or down, that the end of the run cut short, or a single try;
    /// unless what it met there were refusals.
    pub(crate) fn is_below_its_ceiling(&self) -> bool {
        let ConcurrencyUsed::Auto { max, settled } = self.concurrency else { return false };
        if self.is_cheap() && self.stepped_back.is_none() {
            return false;
        }
        let refused = self.stepped_back.is_some_and(LimitChangeReason::is_refusal) && self.is_refused();
        settled < max && (refused || settled.saturating_mul(8) < max.saturating_mul(7))
    }

    pub(crate) fn ceiling(&self) -> usize {
        match self.concurrency {
            ConcurrencyUsed::Fixed(limit) => limit,
            ConcurrencyUsed::Auto { max, .. } => max,
        }
    }

    /// Most answers cost the server nothing, so that an automatic limit stayed where it was.
    pub(crate) fn is_cheap(&self) -> bool {
        self.cheap.saturating_mul(2) > self.answered
    }

    /// Four times the workers: two doublings, and `auto` stops sooner where that does not pay. It would not
    /// begin where it learns nothing.
    pub(crate) fn more_workers(&self) -> String {
        if self.is_cheap() {
            return format!("{CONCURRENCY} {}", self.limit().saturating_mul(4).clamp(16, MOST_WORKERS));
        }
        format!("{CONCURRENCY} auto:{}", self.ceiling().saturating_mul(4).clamp(16, MOST_WORKERS))
    }
}
