//! What held the next attempt back, and for how long.

use std::time::Duration;

use super::open_jobs::Supply;
use crate::limit::{GateView, LearnedLimit};
use crate::model::{LimitChangeReason, PauseReason};
use crate::report::BlockedTime;

/// What is still open so long after a tail began is what the tail is about.
const LATE: Duration = Duration::from_millis(500);

/// What held the next attempt back, in wall time, sampled once a tick; and how busy the pool was. The one place where
/// such times are measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WaitTimes {
    /// The sum over attempts of their time in flight.
    pub(crate) busy: Duration,
    /// By what held it.
    pub(crate) blocked: BlockedTime,
    /// Of the time in which no row was left: while a quarter of the slots could have carried what was open.
    pub(crate) tail: Duration,
    /// Of that, with nothing in flight.
    pub(crate) tail_idle: Duration,
    /// Jobs open half a second after that began.
    pub(crate) tail_jobs: usize,
    /// The API's limit, as far as refusals showed it.
    pub(crate) learned: Option<LearnedLimit>,
    /// How many the API accepts in flight, as far as refusals showed it.
    pub(crate) cap: Option<usize>,
    /// Why the automatic limit was lowered last, if it ever was.
    pub(crate) stepped_back: Option<LimitChangeReason>,
}

impl WaitTimes {
    /// Adds the time since the last sample to what held the next attempt back.
    pub(super) fn sample(&mut self, view: &GateView, span: Duration, supply: Supply) {
        self.busy += span.saturating_mul(u32::try_from(view.in_flight).unwrap_or(u32::MAX));
        let held_by = if let Some(reason) = view.pause_reason {
            self.paused_by(reason)
        } else if view.in_flight >= view.limit {
            &mut self.blocked.slot
        } else if view.waiting > 0 && view.slowed && view.learned.is_some() {
            &mut self.blocked.learned
        } else if view.waiting > 0 {
            &mut self.blocked.rate
        } else {
            match supply {
                Supply::Starved => &mut self.blocked.input,
                Supply::Exhausted(jobs) => {
                    self.sample_drain(jobs, span, view);
                    return;
                }
                Supply::Rows => return,
            }
        };
        *held_by += span;
    }

    fn paused_by(&mut self, reason: PauseReason) -> &mut Duration {
        let blocked = &mut self.blocked;
        match reason {
            PauseReason::WindowUsed => &mut blocked.learned,
            PauseReason::Quota => &mut blocked.quota,
            PauseReason::Refused { has_retry_after: true, .. } | PauseReason::Shared => &mut blocked.asked,
            PauseReason::Refused { status: 500 | 502..=504, .. } => &mut blocked.failing,
            PauseReason::Refused { .. } => &mut blocked.backoff,
            PauseReason::Outage | PauseReason::ProbeFailed => &mut blocked.outage,
        }
    }

    /// No row is left, and slots are free. A tail is what a quarter of the slots could carry.
    fn sample_drain(&mut self, jobs: usize, span: Duration, view: &GateView) {
        self.blocked.drain += span;
        if jobs.saturating_mul(4) > view.limit.max(4) {
            return;
        }
        if self.tail < LATE {
            self.tail_jobs = jobs;
        }
        self.tail += span;
        if view.in_flight == 0 {
            self.tail_idle += span;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const SPAN: Duration = Duration::from_millis(50);
    const FAILING: PauseReason = PauseReason::Refused { status: 500, has_retry_after: false };
    const OPEN: GateView = GateView {
        in_flight: 1,
        limit: 8,
        waiting: 0,
        paused_until: None,
        pause_reason: None,
        slowed: false,
        learned: None,
        lowest_rate: None,
    };

    fn sampled(view: &GateView, supply: Supply) -> WaitTimes {
        let mut times = WaitTimes::default();
        times.sample(view, SPAN, supply);
        times
    }

    #[test]
    fn each_span_is_charged_to_the_one_thing_that_held_the_next_attempt_back() {
        type Of = fn(&WaitTimes) -> Duration;
        let paused = |reason| GateView {
            paused_until: Some(Instant::now()),
            pause_reason: Some(reason),
            waiting: 9,
            ..OPEN
        };
        let refused = |has_retry_after| PauseReason::Refused { status: 429, has_retry_after };
        let rate = Some(LearnedLimit::Rate(20.0));
        let table: [(&str, GateView, Supply, Of); 12] = [
            ("quota", paused(PauseReason::Quota), Supply::Rows, |times| times.blocked.quota),
            ("asked", paused(refused(true)), Supply::Rows, |times| times.blocked.asked),
            ("back-off", paused(refused(false)), Supply::Rows, |times| times.blocked.backoff),
            ("failing", paused(FAILING), Supply::Rows, |times| times.blocked.failing),
            ("window", paused(PauseReason::WindowUsed), Supply::Rows, |times| times.blocked.learned),
            ("slots", GateView { in_flight: 8, waiting: 1, ..OPEN }, Supply::Rows, |times| {
                times.blocked.slot
            }),
            ("learnt", GateView { waiting: 1, slowed: true, learned: rate, ..OPEN }, Supply::Rows, |times| {
                times.blocked.learned
            }),
            ("spread", GateView { waiting: 1, slowed: true, ..OPEN }, Supply::Rows, |times| {
                times.blocked.rate
            }),
            ("rate", GateView { waiting: 1, ..OPEN }, Supply::Rows, |times| times.blocked.rate),
            ("input", OPEN, Supply::Starved, |times| times.blocked.input),
            ("drain", GateView { limit: 64, ..OPEN }, Supply::Exhausted(60), |times| times.blocked.drain),
            ("outage", paused(PauseReason::Outage), Supply::Rows, |times| times.blocked.outage),
        ];
        for (name, view, supply, of) in table {
            let times = sampled(&view, supply);
            assert_eq!(of(&times), SPAN, "{name}");
            let all = [
                times.blocked.slot,
                times.blocked.rate,
                times.blocked.learned,
                times.blocked.asked,
                times.blocked.backoff,
                times.blocked.quota,
                times.blocked.failing,
                times.blocked.outage,
                times.blocked.input,
                times.blocked.drain,
            ];
            assert_eq!(all.into_iter().sum::<Duration>(), SPAN, "{name}");
        }
        let free = sampled(&OPEN, Supply::Rows);
        assert_eq!(
            (free.busy, free.blocked.slot + free.blocked.rate + free.blocked.learned + free.blocked.input),
            (SPAN, Duration::ZERO)
        );
    }

    #[test]
    fn a_tail_is_what_a_quarter_of_the_slots_could_carry() {
        let mut times = WaitTimes::default();
        times.sample(&OPEN, SPAN, Supply::Exhausted(3));
        assert_eq!((times.blocked.drain, times.tail), (SPAN, Duration::ZERO));
        for jobs in [2; 20] {
            times.sample(&GateView { in_flight: 0, ..OPEN }, SPAN, Supply::Exhausted(jobs));
        }
        assert_eq!((times.tail, times.tail_idle, times.tail_jobs), (SPAN * 20, SPAN * 20, 2));
        times.sample(&OPEN, SPAN, Supply::Exhausted(1));
        assert_eq!((times.tail_idle, times.tail_jobs), (SPAN * 20, 2), "what was open when it began");
    }
}
