//! `tune`: one number of workers (a rung) after the other on fresh SKUs; every answer is thrown away.
//!
//! The jobs are fetched as in any run, through the same gate and with the same shutdown, but without retries: a
//! failure here is an observation. A rung begins to count when as many requests have ended as it has workers, since
//! none of the rung before is in flight then; it does not count once the sample is used up.

mod rung_measurements;
mod sustained_rate;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use rung_measurements::RungMeasurements;
use sustained_rate::SustainedRate;

use super::breaker::{Breaker, Ruling};
use super::input_thread::{InputSummary, InputThread};
use super::open_jobs::{NextStep, OpenJobs};
use super::signals::Signals;
use super::{DRAIN, TICK, has_room, sleep_until};
use crate::fetch::{Fetcher, Shutdown, Transport};
use crate::limit::climb::{Bounds, ClimbEnd, Rung};
use crate::limit::{Gate, GateEvent, LearnedLimit};
use crate::model::{
    Cause, Entry, Event, Fault, LoadClass, Outcome, PauseReason, Reporter, StatusSet, StopReason,
};
use crate::plan::Planned;
use crate::report::{AcceptedAndRefused, EngineStatus, Report};

/// Passes events on, and remembers how the attempt that ended last was answered.
pub(crate) struct Meter {
    report: Arc<Report>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    latency: Option<Duration>,
    /// Attempts that an outage held back, to be asked again: each ended, badly.
    held: u64,
}

impl Meter {
    /// Passes events on to this report.
    #[must_use]
    pub(crate) fn new(report: Arc<Report>) -> Self {
        Self { report, last: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Meter {
    fn on(&self, event: &Event<'_>) {
        match *event {
            Event::AttemptAnswered { latency, .. } => self.lock().latency = Some(latency),
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
    /// When no more work may start.
    pub(crate) deadline: Instant,
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
    /// Of those, answers that would fail their SKU (a 404, a body that is no JSON) and are no errors here:
    /// they say nothing about the load.
    pub(crate) failed_answers: u64,
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
        let mut measurements = RungMeasurements::new(bounds, sample, deadline, gate);
        let (breaker, ended) = (Breaker::new(), RequestTotals::default());
        let mut sink = ClimbSink { report, shutdown, trouble, breaker, meter, ended };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drained_by = None;
        let mut skipped = 0;
        let mut end = None;
        let mut watch = GateWatch { gate, report, started, search: None };
        // Once the climb has ended, jobs that still wait at the gate do not leave.
        while drained_by.is_none() || !open.jobs.is_empty() && gate.view().in_flight > 0 {
            let workers = measurements.rung.workers;
            let climbing = drained_by.is_none();
            let next = std::future::poll_fn(|cx| open.poll(cx, || climbing && has_room(gate), workers));
            let mut over = tokio::select! {
                biased;
                signal = signals.next() => {
                    shutdown.trigger(StopReason::Signal(signal));
                    if climbing && watch.search.is_none() {
                        measurements.finish(ClimbEnd::Stopped, on_rung);
                    }
                    break;
                }
                () = shutdown.triggered() => break,
                () = sleep_until(drained_by), if drained_by.is_some() => break,
                () = sleep_until(Some(deadline)), if climbing => Some(ClimbEnd::Time),
                _ = tick.tick() => {
                    let ended = watch.tick(&mut measurements, sink.ended.counts(), on_rung);
                    ended.filter(|_| climbing)
                }
                step = next => match step {
                    NextStep::Over => Some(ClimbEnd::Sample),
                    NextStep::Opened(planned) => {
                        match planned {
                            Planned::Job(job) => open.jobs.push(fetcher.fetch(job)),
                            _ => skipped += 1,
                        }
                        None
                    }
                    NextStep::Done(entry) => {
                        let job_end = sink.receive(entry);
                        let is_measured = climbing && watch.search.is_none();
                        let over = if is_measured { measurements.count(job_end, gate, on_rung) } else { None };
                        over.filter(|end| *end != ClimbEnd::Errors || !watch.is_paused())
                    }
                },
            };
            if climbing && over.is_none() && open.has_no_rows_left() {
                over = Some(ClimbEnd::Sample);
            }
            if let (true, Some(why)) = (climbing, over) {
                end = Some(why);
                if watch.search.is_none() {
                    measurements.finish(why, on_rung);
                }
                open.drop_unopened();
                drained_by = Some(Instant::now() + DRAIN);
            }
        }
        let (sustained, may_be_burst) = watch.found(sink.ended.accepted);
        let all_refused = sink.release();
        open.drop_unopened();
        drop(open.jobs);
        Climbed {
            rungs: measurements.rungs,
            end: end.unwrap_or(ClimbEnd::Stopped),
            sustained,
            may_be_burst,
            requests: sink.ended.requests,
            answered: sink.ended.answered,
            failed_answers: sink.ended.failed_answers,
            last_fault: sink.ended.last_fault,
            skipped,
            all_refused,
            input_summary: open.input.finish(true),
        }
    }
}

/// Draws progress, reports what changed at the gate, and searches for the rate that lasts once the API refused.
struct GateWatch<'a> {
    gate: &'a Gate,
    report: &'a Report,
    started: Instant,
    search: Option<SustainedRate>,
}

impl GateWatch<'_> {
    /// Says why the climb is over, if it is.
    fn tick(
        &mut self,
        measurements: &mut RungMeasurements,
        ended: AcceptedAndRefused,
        on_rung: &mut dyn FnMut(&Rung),
    ) -> Option<ClimbEnd> {
        let (paused, now) = (self.report_gate(), Instant::now());
        if let Some(search) = &mut self.search {
            return search.sample(&self.gate.view(), ended, now);
        }
        let reason = paused?;
        let end = ClimbEnd::Paused(reason);
        if !matches!(reason, PauseReason::Refused { .. }) || ended.accepted == 0 {
            return Some(end);
        }
        measurements.finish(end, on_rung);
        self.search = Some(SustainedRate::new(reason, now));
        None
    }

    /// Errors that paused the pool are refusals: the next tick begins the search.
    fn is_paused(&self) -> bool {
        matches!(self.gate.view().pause_reason, Some(PauseReason::Refused { .. }))
    }

    /// The limit that was learnt, and whether what was measured may be a burst, since the API refused and none was.
    fn found(&self, accepted: u64) -> (Option<LearnedLimit>, bool) {
        let sustained = self.search.as_ref().and_then(SustainedRate::limit);
        let is_unsettled = match &self.search {
            Some(search) => !search.is_unrefused(Instant::now()),
            None => self.is_paused(),
        };
        (sustained, sustained.is_none() && is_unsettled && accepted > 0)
    }

    /// Returns why the pool was paused, if it was.
    fn report_gate(&self) -> Option<PauseReason> {
        let (gate, report) = (self.gate, self.report);
        let mut paused = None;
        for change in gate.take_events() {
            match change {
                GateEvent::Paused { until, reason } => {
                    let wait = until.saturating_duration_since(Instant::now());
                    report.on(&Event::PoolPaused { wait, reason });
                    paused = Some(reason);
                }
                GateEvent::Resumed => report.on(&Event::PoolResumed),
                GateEvent::LimitChanged { limit, reason } => {
                    report.on(&Event::LimitChanged { limit, reason });
                }
            }
        }
        let view = gate.view();
        let (in_flight, limit) = (view.in_flight, view.limit);
        let elapsed = self.started.elapsed();
        report.tick(&EngineStatus { elapsed, in_flight, limit, paused: None, learned: view.learned });
        paused
    }
}

/// How one request ended.
#[derive(Debug, Clone, Copy)]
enum RequestEnd {
    /// Answered, as far as the server's pace is concerned.
    Answer(Duration),
    /// Refused for overload, failed, or without an answer.
    Error,
    /// Given up.
    Nothing,
}

/// One job that ended.
struct JobEnd {
    ended_as: RequestEnd,
    /// Attempts before it that an outage held back.
    held: u64,
    /// The API has answered at least once.
    reached: bool,
}

/// All ends.
#[derive(Default)]
struct RequestTotals {
    requests: u64,
    answered: u64,
    /// Answers that were no errors.
    accepted: u64,
    failed_answers: u64,
    last_fault: Option<Fault>,
}

impl RequestTotals {
    fn counts(&self) -> AcceptedAndRefused {
        AcceptedAndRefused { accepted: self.accepted, refused: self.requests - self.accepted }
    }
}

/// Where entries are judged.
struct ClimbSink<'a> {
    report: &'a Report,
    shutdown: &'a Shutdown,
    trouble: &'a StatusSet,
    breaker: Breaker,
    meter: &'a Meter,
    ended: RequestTotals,
}

impl ClimbSink<'_> {
    fn receive(&mut self, entry: Entry) -> JobEnd {
        let (latency, held) = {
            let mut last = self.meter.lock();
            (last.latency.take(), std::mem::take(&mut last.held))
        };
        let ended_as = self.read(&entry, latency);
        self.ended.requests += held + u64::from(!matches!(ended_as, RequestEnd::Nothing));
        self.ended.answered += u64::from(latency.is_some());
        self.ended.accepted += u64::from(matches!(ended_as, RequestEnd::Answer(_)));
        match self.breaker.judge(entry, || Instant::now().into_std()) {
            Ruling::Pass(entries) => entries.iter().for_each(|entry| report_entry(self.report, entry)),
            Ruling::Trip { status, answers, said } => {
                self.shutdown.trigger(StopReason::Refused { status, answers, said });
            }
        }
        JobEnd { ended_as, held, reached: self.ended.answered > 0 }
    }

    /// Reports what the breaker holds, and returns the refusing status, if every answer was a refusal.
    fn release(&mut self) -> Option<u16> {
        let all_refused = self.breaker.all_refused();
        for entry in self.breaker.release() {
            report_entry(self.report, &entry);
        }
        all_refused
    }

    fn read(&mut self, entry: &Entry, latency: Option<Duration>) -> RequestEnd {
        let fault = match &entry.outcome {
            Outcome::Deferred(_) => return RequestEnd::Nothing,
            Outcome::Fetched(_) => return latency.map_or(RequestEnd::Nothing, RequestEnd::Answer),
            Outcome::Failed(fault) => fault,
        };
        self.ended.last_fault = Some(fault.clone());
        let trouble = match fault.cause {
            Cause::Status(status) if self.trouble.contains(status) => true,
            cause => !matches!(LoadClass::of_cause(cause), LoadClass::Served | LoadClass::Cheap),
        };
        let answer = latency.filter(|_| !trouble);
        self.ended.failed_answers += u64::from(answer.is_some());
        answer.map_or(RequestEnd::Error, RequestEnd::Answer)
    }
}

/// An entry is final: it is reported and dropped.
fn report_entry(report: &Report, entry: &Entry) {
    match &entry.outcome {
        Outcome::Fetched(_) => report.on(&Event::JobFetched { attempts: entry.attempts, unchanged: false }),
        Outcome::Failed(fault) => report.on(&Event::JobFailed {
            key: Some(&entry.key),
            line: entry.line,
            fault,
            attempts: entry.attempts,
            url: entry.address.as_deref(),
        }),
        Outcome::Deferred(_) => report.on(&Event::JobDeferred),
    }
}
