//! `tune`: one rung after the other on fresh SKUs, every answer thrown away.
//!
//! The jobs are fetched as in any run, through the same gate and with the same switch that ends it, but
//! without retries: what fails here is an observation. A rung begins to count when as many requests
//! have ended as it has workers, which is when those of the rung before are gone; it is never counted
//! while the sample runs dry.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, Ruling};
use super::input_thread::{InputSummary, InputThread};
use super::open_jobs::{NextStep, OpenJobs};
use super::signals::Signals;
use super::{DRAIN, TICK, has_room, sleep_until};
use crate::fetch::{Fetcher, Shutdown, Transport};
use crate::limit::climb::{Bounds, ClimbEnd, Course, Measure, Rung, is_troubled};
use crate::limit::{Gate, GateEvent};
use crate::model::{
    Cause, Entry, Event, Fault, LimitChangeReason, LoadClass, Outcome, Reporter, StatusSet, StopReason,
};
use crate::plan::Planned;
use crate::report::{EngineStatus, Report};

/// Passes events on, and remembers how the attempt that ended last was answered.
pub struct Meter {
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
    pub fn new(report: Arc<Report>) -> Self {
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
pub struct Climb<'a, T> {
    /// Takes jobs to their outcome, without retries.
    pub fetcher: &'a Fetcher<T>,
    /// The one door; its limit is this climb's to set.
    pub gate: &'a Gate,
    /// Hears the fetcher.
    pub meter: &'a Meter,
    /// Who is told.
    pub report: &'a Report,
    /// Ends the climb early.
    pub shutdown: &'a Shutdown,
    /// What asks for an early end from outside.
    pub signals: &'a mut Signals,
    /// Statuses that are trouble (`--retry-on`).
    pub trouble: &'a StatusSet,
    /// How far.
    pub bounds: Bounds,
    /// Rows of the sample at most.
    pub sample: u64,
    /// When it began.
    pub started: Instant,
    /// When no more work may start.
    pub deadline: Instant,
}

/// What a climb came to.
pub struct Climbed {
    /// Every rung that was measured.
    pub rungs: Vec<Rung>,
    /// Why it ended.
    pub end: ClimbEnd,
    /// Requests that ended.
    pub requests: u64,
    /// Of those, answered at all, be it with an error.
    pub answered: u64,
    /// Of those, answers that would fail their SKU (a 404, a body that is no JSON) and are no errors here:
    /// they say nothing of the load.
    pub failed_answers: u64,
    /// The last thing that went wrong, as it may be shown.
    pub last_fault: Option<Fault>,
    /// Rows that were no fresh SKU: repeats, and rows that may not be asked for.
    pub skipped: u64,
    /// 401 or 403, if every answer was that.
    pub all_refused: Option<u16>,
    /// What the input told, unless the reader hangs in a read.
    pub input_summary: Option<InputSummary>,
}

impl<T: Transport> Climb<'_, T> {
    /// Climbs until enough is known, and lets what is in flight end.
    pub async fn run(self, input: InputThread, on_rung: &mut dyn FnMut(&Rung)) -> Climbed {
        let Climb {
            fetcher,
            gate,
            meter,
            report,
            shutdown,
            signals,
            trouble,
            bounds,
            sample,
            started,
            deadline,
        } = self;
        let mut open = OpenJobs::new(input);
        let mut ladder = Ladder::new(bounds, sample, deadline, gate);
        let mut sink = ClimbSink {
            report,
            shutdown,
            trouble,
            breaker: Breaker::new(),
            meter,
            ended: RequestTotals::default(),
        };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drained_by = None;
        let mut skipped = 0;
        let mut end = None;
        // Once it has ended, those that still wait at the gate are not let out any more.
        while drained_by.is_none() || !open.jobs.is_empty() && gate.view().in_flight > 0 {
            let workers = ladder.rung.workers;
            let climbing = drained_by.is_none();
            let next = std::future::poll_fn(|cx| open.poll(cx, || climbing && has_room(gate), workers));
            let mut over = tokio::select! {
                biased;
                signal = signals.next() => {
                    shutdown.trigger(StopReason::Signal(signal));
                    if climbing {
                        ladder.finish(ClimbEnd::Stopped, on_rung);
                    }
                    break;
                }
                () = shutdown.triggered() => break,
                () = sleep_until(drained_by), if drained_by.is_some() => break,
                () = sleep_until(Some(deadline)), if climbing => Some(ClimbEnd::Time),
                _ = tick.tick() => report_gate(gate, report, started),
                step = next => match step {
                    NextStep::Over => Some(ClimbEnd::Sample),
                    NextStep::Opened(Planned::Job(job)) => {
                        open.jobs.push(fetcher.fetch(job));
                        None
                    }
                    NextStep::Opened(_) => {
                        skipped += 1;
                        None
                    }
                    NextStep::Done(entry) => {
                        let job_end = sink.receive(entry);
                        if climbing { ladder.note(job_end, gate, on_rung) } else { None }
                    }
                },
            };
            if climbing && over.is_none() && open.has_no_rows_left() {
                over = Some(ClimbEnd::Sample);
            }
            if let (true, Some(why)) = (climbing, over) {
                end = Some(why);
                ladder.finish(why, on_rung);
                open.drop_unopened();
                drained_by = Some(Instant::now() + DRAIN);
            }
        }
        let all_refused = sink.breaker.all_refused();
        for entry in sink.breaker.release() {
            report_entry(report, &entry);
        }
        open.drop_unopened();
        drop(open.jobs);
        Climbed {
            rungs: ladder.rungs,
            end: end.unwrap_or(ClimbEnd::Stopped),
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

/// Draws, and tells what changed at the gate. A pause ends the climb.
fn report_gate(gate: &Gate, report: &Report, started: Instant) -> Option<ClimbEnd> {
    let mut paused = None;
    for change in gate.take_events() {
        match change {
            GateEvent::Paused { until, reason } => {
                let wait = until.saturating_duration_since(Instant::now());
                report.on(&Event::PoolPaused { wait, reason });
                paused = Some(ClimbEnd::Paused(reason));
            }
            GateEvent::Resumed => report.on(&Event::PoolResumed),
            GateEvent::LimitChanged { limit, reason } => report.on(&Event::LimitChanged { limit, reason }),
        }
    }
    let view = gate.view();
    let (in_flight, limit) = (view.in_flight, view.limit);
    report.tick(&EngineStatus { elapsed: started.elapsed(), in_flight, limit, paused: None });
    paused
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

/// What is told of one end.
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
    failed_answers: u64,
    last_fault: Option<Fault>,
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
        match self.breaker.judge(entry, || Instant::now().into_std()) {
            Ruling::Pass(entries) => entries.iter().for_each(|entry| report_entry(self.report, entry)),
            Ruling::Trip { status, answers } => {
                self.shutdown.trigger(StopReason::Refused { status, answers });
            }
        }
        JobEnd { ended_as, held, reached: self.ended.answered > 0 }
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

/// An entry is final: it is counted and told, and gone.
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

/// The rungs so far, and the one that is measured.
struct Ladder {
    bounds: Bounds,
    sample: u64,
    deadline: Instant,
    rungs: Vec<Rung>,
    rung: Rung,
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

impl Ladder {
    fn new(bounds: Bounds, sample: u64, deadline: Instant, gate: &Gate) -> Self {
        let now = Instant::now();
        let mut ladder = Self {
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
        ladder.begin(1, gate, now);
        ladder
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
    fn note(
        &mut self,
        JobEnd { ended_as, held, reached }: JobEnd,
        gate: &Gate,
        on_rung: &mut dyn FnMut(&Rung),
    ) -> Option<ClimbEnd> {
        let now = Instant::now();
        self.rung.errors += held;
        self.rung.requests += held;
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
            RequestEnd::Answer(_) | RequestEnd::Nothing => {}
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

    /// The climb is over; what is measured of the last rung counts if it is enough to say something.
    fn finish(&mut self, end: ClimbEnd, on_rung: &mut dyn FnMut(&Rung)) {
        self.settle();
        self.rung.paused = matches!(end, ClimbEnd::Paused(_));
        if self.rung.is_measured() || self.rung.errors > 0 {
            self.keep(on_rung);
        }
    }
}

/// The smallest of sorted times that so many of a hundred do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
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
