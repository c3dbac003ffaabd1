//! `tune`: one number of workers (a rung) after the other on fresh SKUs; every answer is thrown away.
//!
//! The jobs are fetched as in any run, through the same gate and with the same shutdown, but without retries: a
//! failure here is an observation. A rung begins to count when as many requests have ended as it has workers, since
//! none of the rung before is in flight then; it does not count once the sample is used up.

mod climb_sink;
mod gate_watch;
mod quota_cycle;
mod rung_measurements;
mod sustained_rate;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use climb_sink::{ClimbSink, RequestTotals};
use gate_watch::GateWatch;
use rung_measurements::RungMeasurements;
use sustained_rate::SearchTimes;

use super::breaker::Breaker;
use super::input_thread::{InputSummary, InputThread};
use super::open_jobs::{NextStep, OpenJobs};
use super::pack_queue::PackQueue;
use super::signals::Signals;
use super::{DRAIN, TICK, has_room, sleep_until};
use crate::fetch::{Fetcher, Shutdown, Transport};
use crate::limit::climb::{Bounds, ClimbEnd, Rung};
use crate::limit::{Gate, LearnedLimit};
use crate::model::{Event, Fault, Reporter, StatusSet, StopReason};
use crate::plan::Planned;
use crate::report::Report;
use crate::report::tune::TunedAnswers;

/// Passes events on, and remembers how the attempt that ended last was answered.
pub(crate) struct Meter {
    report: Arc<Report>,
    last: Mutex<Last>,
    /// One job may have several answers.
    counts_pages: bool,
}

#[derive(Default)]
struct Last {
    latency: Option<Duration>,
    /// Of the good answers since the last job that ended, where one may have several.
    pages: Vec<Duration>,
    /// Attempts that an outage held back, to be asked again: each ended, badly.
    held: u64,
}

impl Meter {
    /// Passes events on to this report. `counts_pages`: one job may have several answers, each of which counts.
    #[must_use]
    pub(crate) fn new(report: Arc<Report>, counts_pages: bool) -> Self {
        Self { report, last: Mutex::default(), counts_pages }
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Meter {
    fn on(&self, event: &Event<'_>) {
        match *event {
            Event::AttemptAnswered { latency, status, .. } => {
                let mut last = self.lock();
                last.latency = Some(latency);
                if self.counts_pages && matches!(status, 200..300) {
                    last.pages.push(latency);
                }
            }
            Event::AttemptRetried { .. } => {
                let mut last = self.lock();
                last.latency = None;
                last.held += 1;
            }
            _ => {}
        }
        self.report.on(event);
    }
}

/// What the climb works with.
pub(crate) struct Climb<'a, T> {
    /// Takes jobs to their outcome, without retries.
    pub(crate) fetcher: &'a Fetcher<T>,
    /// Says when an attempt may leave; the climb sets its limit.
    pub(crate) gate: &'a Gate,
    /// Receives the fetcher's events.
    pub(crate) meter: &'a Meter,
    /// Receives every event.
    pub(crate) report: &'a Report,
    /// Ends the climb early.
    pub(crate) shutdown: &'a Shutdown,
    /// Signals that end the climb early.
    pub(crate) signals: &'a mut Signals,
    /// Statuses that are trouble (`--retry-on`).
    pub(crate) trouble: &'a StatusSet,
    /// How far.
    pub(crate) bounds: Bounds,
    /// Rows of the sample at most.
    pub(crate) sample: u64,
    /// When it began.
    pub(crate) started: Instant,
    /// When no more work may start, unless the API refused …
    pub(crate) deadline: Instant,
    /// … and when not even then.
    pub(crate) search_deadline: Instant,
}

/// What a climb came to.
pub(crate) struct Climbed {
    /// Every rung that was measured.
    pub(crate) rungs: Vec<Rung>,
    /// Why it ended.
    pub(crate) end: ClimbEnd,
    /// The limit that was learnt once the API refused.
    pub(crate) sustained: Option<LearnedLimit>,
    /// The API refused, and neither a limit was learnt nor were refusals over: what was measured may be a burst.
    pub(crate) may_be_burst: bool,
    /// Requests that ended.
    pub(crate) requests: u64,
    /// Of those, answered at all, be it with an error.
    pub(crate) answered: u64,
    /// What the answers were worth that were no errors.
    pub(crate) answers: TunedAnswers,
    /// The last fault, as it may be shown.
    pub(crate) last_fault: Option<Fault>,
    /// Rows that were no fresh SKU: repeats, and rows that may not be asked for.
    pub(crate) skipped: u64,
    /// 401 or 403, if every answer was that.
    pub(crate) all_refused: Option<u16>,
    /// What the input thread found, unless it hangs in a read.
    pub(crate) input_summary: Option<InputSummary>,
}

impl<T: Transport> Climb<'_, T> {
    /// Climbs until enough is known, and lets what is in flight end.
    pub(crate) async fn run(self, input: InputThread, on_rung: &mut dyn FnMut(&Rung)) -> Climbed {
        let Climb { fetcher, gate, report, shutdown, signals, started, deadline, .. } = self;
        let (meter, trouble, bounds, sample) = (self.meter, self.trouble, self.bounds, self.sample);
        let mut open = OpenJobs::new(input);
        let mut packs = open.take_packer().map(PackQueue::new);
        let mut measurements = RungMeasurements::new(bounds, sample, deadline, gate);
        let (breaker, ended) = (Breaker::new(), RequestTotals::default());
        let mut sink = ClimbSink { report, shutdown, trouble, breaker, meter, ended };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut drained_by, mut end, mut skipped) = (None, None, 0);
        let times = SearchTimes { started, until: self.search_deadline };
        let learns = || fetcher.learn_from_failures();
        let mut watch = GateWatch::new(gate, report, times, &learns);
        // Once the climb has ended, jobs that still wait at the gate do not leave.
        while drained_by.is_none() || open.count() > 0 && gate.view().in_flight > 0 {
            let (workers, climbing) = (measurements.rung.workers, drained_by.is_none());
            let next = std::future::poll_fn(|cx| open.poll(cx, || climbing && has_room(gate), workers));
            let over = tokio::select! {
                biased;
                signal = signals.next() => {
                    shutdown.trigger(StopReason::Signal(signal));
                    if climbing && !watch.is_searching() {
                        measurements.finish(ClimbEnd::Stopped, on_rung);
                    }
                    break;
                }
                () = shutdown.triggered() => break,
                () = sleep_until(drained_by), if drained_by.is_some() => break,
                () = sleep_until(Some(watch.deadline(deadline))), if climbing => Some(ClimbEnd::Time),
                _ = tick.tick() => {
                    let seen = (sink.ended.counts(), fetcher.newest_quota());
                    if climbing { watch.tick(&mut measurements, seen, on_rung) } else { None }
                }
                step = next => match step {
                    NextStep::Over => Some(ClimbEnd::Sample),
                    NextStep::RowDue => {
                        match (open.take_row(), &mut packs) {
                            (Some(Planned::Job(job)), None) => open.jobs.open(|| fetcher.fetch(job)),
                            (Some(Planned::Job(job)), Some(packs)) => packs.add(job),
                            _ => skipped += 1,
                        }
                        None
                    }
                    ended => sink
                        .receive_end(ended, open.ended.take(), packs.as_mut())
                        .filter(|_| climbing)
                        .and_then(|job_end| watch.ended(&job_end, &mut measurements, on_rung)),
                },
            };
            if let Some(packs) = packs.as_mut().filter(|_| climbing) {
                packs.send(&mut open, fetcher);
            }
            let over = over.or_else(|| open.has_no_rows_left().then_some(ClimbEnd::Sample));
            if let (true, Some(why)) = (climbing, over) {
                end = Some(why);
                if !watch.is_searching() {
                    measurements.finish(why, on_rung);
                }
                open.drop_unopened();
                drained_by = Some(Instant::now() + DRAIN);
            }
        }
        let (sustained, may_be_burst) = watch.found(sink.ended.accepted);
        let all_refused = sink.release();
        open.drop_unopened();
        drop((open.jobs, open.packs));
        Climbed {
            rungs: measurements.rungs,
            end: end.unwrap_or(ClimbEnd::Stopped),
            sustained,
            may_be_burst,
            requests: sink.ended.requests,
            answered: sink.ended.answered,
            answers: sink.ended.answers(),
            last_fault: sink.ended.last_fault,
            skipped,
            all_refused,
            input_summary: open.input.finish(true),
        }
    }
}
