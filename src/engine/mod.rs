//! The loop: planned rows in, entries out, until the input ends or the run stops.
//!
//! All jobs live in one `FuturesUnordered` inside one task: opening a job costs no spawn and no
//! channel, and a job that waits out its back-off keeps its place in the window but no slot at the
//! gate. Nothing in the loop awaits but the loop itself, so no attempt is left unpolled.

pub mod breaker;
pub mod climb;
mod entry_sink;
pub mod input_thread;
mod open_jobs;
pub mod signals;
pub mod stdout_peer;
pub mod threads;

use std::task::Poll;
use std::time::{Duration, Instant};

use crate::collect::{CollectError, Collector};
use crate::fetch::{Fetcher, Shutdown, Transport};
use crate::limit::Gate;
use crate::model::{LimitChangeReason, StopReason};
use crate::report::Report;

use entry_sink::EntrySink;
use input_thread::{InputSummary, InputThread};
use open_jobs::{NextStep, OpenJobs, Supply};
use signals::Signals;
use stdout_peer::StdoutPeer;

/// Jobs open for each attempt that may be in flight: enough to keep the wire busy while others wait
/// out their back-off, few enough to bound memory.
const WINDOW_FACTOR: usize = 4;
/// Answers that wait for the disk, in bytes; past it no job is opened.
const MAX_BACKLOG: usize = 16 << 20;
/// How often progress is drawn.
const TICK: Duration = Duration::from_millis(50);
/// Steps that are taken in one go while there are any: looking at signals and clocks costs as much as a step.
const TOGETHER: usize = 64;
/// How long an answer may stay in the process, where `kill -9` takes it: short beside a request, and
/// long enough that a fast run hands on many at once.
const HAND_ON: Duration = Duration::from_millis(2);
/// How long attempts in flight may still take once the run stops.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Row counts; `fetched + unchanged + failed + repeats + deferred` are all rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows with an answer, `recovered` among them.
    pub fetched: u64,
    /// Rows whose answer came from the journal of an interrupted run.
    pub recovered: u64,
    /// Rows whose old value stays: not modified, or younger than `--max-age`.
    pub unchanged: u64,
    /// Rows that failed or could not be asked for.
    pub failed: u64,
    /// Of these, rows without a key.
    pub keyless: u64,
    /// Rows that repeat a key.
    pub repeats: u64,
    /// Rows that the next run goes on with.
    pub deferred: u64,
}

impl RowCounts {
    /// All of them.
    pub(crate) fn rows(&self) -> u64 {
        self.fetched + self.unchanged + self.failed + self.repeats + self.deferred
    }
}

/// What the loop works with.
pub struct Engine<'a, T> {
    /// Takes jobs to their outcome.
    pub fetcher: &'a Fetcher<T>,
    /// The one door.
    pub gate: &'a Gate,
    /// Where answers go.
    pub journal: &'a mut Collector,
    /// Who is told.
    pub report: &'a Report,
    /// Ends the run early.
    pub shutdown: &'a Shutdown,
    /// What asks for an early end from outside.
    pub signals: &'a mut Signals,
    /// Who waits for the answers on standard output.
    pub reader: StdoutPeer,
    /// When the run began.
    pub started: Instant,
    /// When no more work may start (`--max-time`).
    pub deadline: Option<Instant>,
    /// Values younger than this are left alone.
    pub max_age: Option<Duration>,
}

/// How the loop ended.
pub struct RunEnd {
    /// Row counts; rows that were never read are not in them.
    pub counts: RowCounts,
    /// What the input told, unless the reader hangs in a read.
    pub input_summary: Option<InputSummary>,
    /// The disk's error, if it ended the run.
    pub disk: Option<CollectError>,
    /// The second signal came: leave at once.
    pub at_once: bool,
    /// What held the run back.
    pub sampled: Sampled,
}

/// What held the next attempt back, in wall time, sampled once a tick; and how many attempts were in flight.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sampled {
    /// The sum over attempts of their time in flight.
    pub busy: Duration,
    /// Every slot was taken.
    pub slot: Duration,
    /// No rate token was left.
    pub rate: Duration,
    /// The pool was paused, or slowed by what the server says of a quota.
    pub pauses: Duration,
    /// Of that, because the API kept failing.
    pub outage: Duration,
    /// There was room, but no row yet.
    pub input: Duration,
    /// There was room, and no row was left.
    pub drain: Duration,
    /// Of that, while a quarter of the slots could have carried what was open.
    pub tail: Duration,
    /// Of that, with nothing in flight.
    pub tail_idle: Duration,
    /// Jobs open half a second after that began.
    pub tail_jobs: usize,
    /// Why the automatic limit was lowered last, if it ever was.
    pub stepped_back: Option<LimitChangeReason>,
}

impl<T: Transport> Engine<'_, T> {
    /// Runs to the end of the input or to an early stop, drained.
    pub async fn run(self, input: InputThread) -> RunEnd {
        let Engine { fetcher, gate, journal, report, shutdown, signals, reader, started, deadline, max_age } =
            self;
        let limit = gate.view().limit;
        let mut sink = EntrySink { reader, limit, ..EntrySink::new(journal, report, shutdown, started) };
        sink.recheck.may_act_twice = fetcher.retries() > 0;
        let mut open = OpenJobs::new(input);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let hand_on = tokio::time::sleep(HAND_ON);
        tokio::pin!(hand_on);
        let (mut handing_on, mut at_once) = (false, false);
        let mut drained_by: Option<tokio::time::Instant> = None;
        'run: loop {
            if shutdown.is_triggered() && drained_by.is_none() {
                drained_by = Some(tokio::time::Instant::now() + DRAIN);
                sink.counts.deferred += open.drop_unopened();
            }
            if !handing_on && sink.journal.backlog() > 0 {
                handing_on = true;
                hand_on.as_mut().reset(tokio::time::Instant::now() + HAND_ON);
            }
            let window = gate.view().limit.saturating_mul(WINDOW_FACTOR);
            let open_more = sink.may_open() && drained_by.is_none();
            let next = std::future::poll_fn(|cx| {
                let step = open.poll(cx, || open_more && has_room(gate), window);
                if step.is_pending() {
                    sink.hand_on_if_due();
                }
                step
            });
            tokio::select! {
                biased;
                signal = signals.next() => {
                    if shutdown.is_triggered() {
                        at_once = true;
                        break;
                    }
                    sink.stop(StopReason::Signal(signal), Some(DRAIN));
                }
                () = sleep_until(deadline), if drained_by.is_none() => {
                    sink.stop(StopReason::OutOfTime, Some(DRAIN));
                }
                () = sleep_until(drained_by.map(tokio::time::Instant::into_std)), if drained_by.is_some() => break,
                () = &mut hand_on, if handing_on => {
                    handing_on = false;
                    sink.hand_on();
                }
                _ = tick.tick() => sink.tick(gate, open.supply()),
                mut step = next => {
                    let mut together = 0;
                    loop {
                        match step {
                            NextStep::Done(entry) => open.jobs.extend(sink.receive(entry).map(|job| fetcher.fetch(job))),
                            NextStep::Opened(planned) => {
                                if let Some(job) = sink.open(planned, max_age) {
                                    open.jobs.push(fetcher.fetch(job));
                                }
                            }
                            NextStep::Over => match sink.ask_again(fetcher.accepted()) {
                                Some(job) => open.jobs.push(fetcher.fetch(job)),
                                None => break 'run,
                            },
                        }
                        together += 1;
                        if together == TOGETHER || shutdown.is_triggered() {
                            break;
                        }
                        let open_more = sink.may_open() && drained_by.is_none();
                        let room = || open_more && has_room(gate);
                        match std::future::poll_fn(|cx| Poll::Ready(open.poll(cx, room, window))).await {
                            Poll::Ready(ready) => step = ready,
                            Poll::Pending => break,
                        }
                    }
                    if together == TOGETHER {
                        // While there is always a row to open, sockets would never be polled.
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        sink.release(open.jobs.len() as u64, open.drop_unopened());
        sink.tick(gate, Supply::Rows);
        drop(open.jobs);
        let input_summary = open.input.finish(shutdown.is_triggered());
        RunEnd { counts: sink.counts, input_summary, disk: sink.disk, at_once, sampled: sink.sampled }
    }
}

fn has_room(gate: &Gate) -> bool {
    let view = gate.view();
    view.in_flight + view.waiting < view.limit
}

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
