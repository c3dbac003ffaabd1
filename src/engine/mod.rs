//! The loop: planned rows in, entries out, until the input ends or the run stops.
//!
//! All jobs live in one [`FuturesUnordered`] inside one task: opening a job costs no spawn and no
//! channel, and a job that waits out its back-off keeps its place in the window but no slot at the
//! gate. Nothing in the loop awaits but the loop itself, so no attempt is left unpolled.

pub mod breaker;
pub mod climb;
pub mod feed;
pub mod signals;

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::HeaderValue;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use crate::collect::{self, CollectError, Journal, Known};
use crate::fetch::{Fetcher, Stop, StopReason, Transport};
use crate::limit::{Change, Gate, View};
use crate::model::{Cause, Content, Deferral, Entry, Event, Fault, Job, Outcome, Reporter};
use crate::plan::{Planned, Refused};
use crate::report::{Live, Report};

use breaker::{Breaker, Ruling};
use feed::{Fed, Feed};
use signals::Signals;

/// Jobs open for each attempt that may be in flight: enough to keep the wire busy while others wait
/// out their back-off, few enough to bound memory.
const WINDOW_FACTOR: usize = 4;
/// Answers that wait for the disk, in bytes; past it no job is opened.
const MAX_BACKLOG: usize = 16 << 20;
/// How often progress is drawn.
const TICK: Duration = Duration::from_millis(50);
/// How long an answer may stay in the process, where `kill -9` takes it: short beside a request, and
/// long enough that a fast run hands on many at once.
const HAND_ON: Duration = Duration::from_millis(2);
/// How long attempts in flight may still take once the run stops.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Row counts; `fetched + unchanged + failed + repeats + deferred` are all rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows with an answer, `recovered` among them.
    pub fetched: u64,
    /// Rows whose answer came from the journal of an interrupted run.
    pub recovered: u64,
    /// Rows whose old value stays: not modified, or younger than `--max-age`.
    pub unchanged: u64,
    /// Rows that failed or could not be asked for.
    pub failed: u64,
    /// Rows that repeat a key.
    pub repeats: u64,
    /// Rows that the next run goes on with.
    pub deferred: u64,
}

/// What the loop works with.
pub struct Engine<'a, T> {
    /// Takes jobs to their outcome.
    pub fetcher: &'a Fetcher<T>,
    /// The one door.
    pub gate: &'a Gate,
    /// Where answers go.
    pub journal: &'a mut Journal,
    /// Who is told.
    pub report: &'a Report,
    /// Ends the run early.
    pub stop: &'a Stop,
    /// What asks for an early end from outside.
    pub signals: &'a mut Signals,
    /// When the run began.
    pub started: Instant,
    /// When no more work may start (`--max-time`).
    pub deadline: Option<Instant>,
    /// Values younger than this are left alone.
    pub max_age: Option<Duration>,
}

/// How the loop ended.
pub struct Ended {
    /// Row counts; rows that were never read are not in them.
    pub counts: Counts,
    /// What the input told, unless the reader hangs in a read.
    pub fed: Option<Fed>,
    /// 401 or 403, if every answer of the run was that.
    pub all_refused: Option<u16>,
    /// The disk's error, if it ended the run.
    pub disk: Option<CollectError>,
    /// The second signal came: leave at once.
    pub at_once: bool,
    /// What held the run back.
    pub sampled: Sampled,
}

/// What held the next attempt back, in wall time, looked at once a tick; and how busy the wire was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sampled {
    /// The sum over attempts of their time in flight.
    pub busy: Duration,
    /// Every slot was taken.
    pub slot: Duration,
    /// No rate token was left.
    pub rate: Duration,
    /// The pool was paused.
    pub pauses: Duration,
    /// There was room, but no row.
    pub input: Duration,
    /// Why the automatic limit was lowered last, if it ever was.
    pub stepped_back: Option<&'static str>,
}

impl<T: Transport> Engine<'_, T> {
    /// Runs to the end of the input or to an early stop, drained.
    pub async fn run(self, input: Feed) -> Ended {
        let Engine { fetcher, gate, journal, report, stop, signals, started, deadline, max_age } = self;
        let mut desk = Desk {
            journal,
            report,
            stop,
            breaker: Breaker::new(),
            counts: Counts::default(),
            disk: None,
            started,
            looked: started,
            handed_on: started,
            limit: gate.view().limit,
            sampled: Sampled::default(),
        };
        let mut floor = Floor::new(input);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let hand_on = tokio::time::sleep(HAND_ON);
        tokio::pin!(hand_on);
        let mut handing_on = false;
        let mut drained_by: Option<tokio::time::Instant> = None;
        let mut at_once = false;
        loop {
            if stop.is_thrown() && drained_by.is_none() {
                drained_by = Some(tokio::time::Instant::now() + DRAIN);
                desk.counts.deferred += floor.drop_unopened();
            }
            if !handing_on && desk.journal.backlog() > 0 {
                handing_on = true;
                hand_on.as_mut().reset(tokio::time::Instant::now() + HAND_ON);
            }
            let window = gate.view().limit.saturating_mul(WINDOW_FACTOR);
            let open_more = desk.journal.backlog() < MAX_BACKLOG && drained_by.is_none();
            let next = std::future::poll_fn(|cx| {
                let step = floor.poll(cx, || open_more && has_room(gate), window);
                if step.is_pending() {
                    desk.hand_on_if_due();
                }
                step
            });
            tokio::select! {
                biased;
                signal = signals.next() => {
                    if stop.is_thrown() {
                        at_once = true;
                        break;
                    }
                    desk.say_stopping(&format!("{}: no new requests; waiting up to 10 s for those in flight", signals::name(signal)));
                    stop.throw(StopReason::Signal(signal));
                }
                () = sleep_until(deadline), if drained_by.is_none() => {
                    desk.say_stopping("--max-time is over: no new requests; waiting up to 10 s for those in flight");
                    stop.throw(StopReason::OutOfTime);
                }
                () = sleep_until(drained_by.map(tokio::time::Instant::into_std)), if drained_by.is_some() => break,
                () = &mut hand_on, if handing_on => {
                    handing_on = false;
                    desk.hand_on();
                }
                _ = tick.tick() => desk.tick(gate, floor.is_hungry()),
                step = next => match step {
                    Step::Done(entry) => desk.receive(entry),
                    Step::Opened(planned) => {
                        if let Some(job) = desk.open(planned, max_age) {
                            floor.jobs.push(fetcher.fetch(job));
                        }
                    }
                    Step::Over => break,
                },
            }
        }
        desk.counts.deferred += floor.jobs.len() as u64 + floor.drop_unopened();
        let all_refused = desk.release();
        desk.tick(gate, false);
        drop(floor.jobs);
        let fed = floor.feed.finish(stop.is_thrown());
        Ended { counts: desk.counts, fed, all_refused, disk: desk.disk, at_once, sampled: desk.sampled }
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

/// What the loop does next.
enum Step {
    Done(Entry),
    Opened(Planned),
    Over,
}

/// The jobs that are open, and the rows that come next.
struct Floor<F> {
    jobs: FuturesUnordered<F>,
    planned: VecDeque<Planned>,
    feed: Feed,
    input_over: bool,
    hungry: bool,
}

impl<F: Future<Output = Entry>> Floor<F> {
    fn new(feed: Feed) -> Self {
        let planned = VecDeque::new();
        Self { jobs: FuturesUnordered::new(), planned, feed, input_over: false, hungry: false }
    }

    /// There was room when the loop last looked, but no row.
    fn is_hungry(&self) -> bool {
        self.hungry
    }

    /// Jobs first: what they end or put aside makes the room that the next row needs.
    fn poll(&mut self, cx: &mut Context<'_>, room: impl Fn() -> bool, window: usize) -> Poll<Step> {
        if let Poll::Ready(Some(entry)) = self.jobs.poll_next_unpin(cx) {
            return Poll::Ready(Step::Done(entry));
        }
        if self.jobs.len() < window && room() {
            if let Poll::Ready(planned) = self.poll_planned(cx) {
                if let Some(planned) = planned {
                    return Poll::Ready(Step::Opened(planned));
                }
            } else {
                self.hungry = true;
            }
        }
        if self.input_over && self.planned.is_empty() && self.jobs.is_empty() {
            return Poll::Ready(Step::Over);
        }
        Poll::Pending
    }

    fn poll_planned(&mut self, cx: &mut Context<'_>) -> Poll<Option<Planned>> {
        loop {
            if let Some(planned) = self.planned.pop_front() {
                return Poll::Ready(Some(planned));
            }
            if self.input_over {
                return Poll::Ready(None);
            }
            let Poll::Ready(batch) = self.feed.batches.poll_recv(cx) else { return Poll::Pending };
            self.hungry = false;
            match batch {
                Some(batch) => self.planned.extend(batch),
                None => self.input_over = true,
            }
        }
    }

    /// Rows that were read and will not be opened by this run; those that need no request are not
    /// looked at either: the next run reads them again.
    fn drop_unopened(&mut self) -> u64 {
        self.input_over = true;
        self.feed.batches.close();
        let mut dropped = self.planned.len() as u64;
        self.planned.clear();
        while let Ok(batch) = self.feed.batches.try_recv() {
            dropped += batch.len() as u64;
        }
        dropped
    }
}

/// Where entries are judged, counted, written and told.
struct Desk<'a> {
    journal: &'a mut Journal,
    report: &'a Report,
    stop: &'a Stop,
    breaker: Breaker,
    counts: Counts,
    disk: Option<CollectError>,
    started: Instant,
    looked: Instant,
    handed_on: Instant,
    limit: usize,
    sampled: Sampled,
}

impl Desk<'_> {
    /// A planned row: a job to fetch, or a row that ends here.
    fn open(&mut self, planned: Planned, max_age: Option<Duration>) -> Option<Job> {
        match planned {
            Planned::Repeat { line, differs, .. } => {
                self.counts.repeats += 1;
                self.report.on(&Event::RowRepeated { line, differs });
                None
            }
            Planned::Refused(refused) => {
                self.refuse(&refused);
                None
            }
            Planned::Job(mut job) => {
                if self.journal.adopt(job.seq, job.fingerprint) {
                    self.counts.fetched += 1;
                    self.counts.recovered += 1;
                    self.report.on(&Event::JobRecovered);
                    return None;
                }
                if let Some(known) = self.journal.known(&job.key, job.fingerprint) {
                    if is_young(&known, max_age) && self.keep(&job) {
                        return None;
                    }
                    make_conditional(&mut job, &known);
                }
                Some(job)
            }
        }
    }

    /// Leaves the old value alone, if there is one.
    fn keep(&mut self, job: &Job) -> bool {
        match self.journal.keep(job.seq, job.fingerprint, &job.key) {
            Ok(false) => return false,
            Ok(true) => {
                self.counts.unchanged += 1;
                self.report.on(&Event::JobFetched { attempts: 0, unchanged: true });
            }
            Err(error) => self.note(Err(error)),
        }
        true
    }

    fn refuse(&mut self, refused: &Refused) {
        let why = refused.why.to_string();
        let Refused { seq, line, key, record, .. } = refused;
        let appended = self.journal.append_refused(&collect::Refused {
            seq: *seq,
            line: *line,
            key: key.as_ref(),
            why: &why,
            record,
        });
        self.note(appended);
        self.counts.failed += 1;
        let fault = Fault::new(Cause::Row, why);
        self.report.on(&Event::JobFailed {
            key: key.as_ref(),
            line: *line,
            fault: &fault,
            attempts: 0,
            url: None,
        });
    }

    /// A job has ended.
    fn receive(&mut self, entry: Entry) {
        match self.breaker.judge(entry) {
            Ruling::Pass(entries) => entries.into_iter().for_each(|entry| self.settle(&entry)),
            Ruling::Trip { status, answers } => {
                if !self.stop.is_thrown() {
                    self.say_stopping(&format!(
                        "the API answered {status} {answers} times in a row: credentials refused"
                    ));
                }
                self.stop.throw(StopReason::Refused { status, answers });
            }
        }
    }

    /// An entry is final: it is written, counted and told.
    fn settle(&mut self, entry: &Entry) {
        let appended = self.journal.append(entry);
        self.note(appended);
        match &entry.outcome {
            Outcome::Fetched(answer) => {
                let unchanged = answer.content == Content::Unchanged;
                if unchanged {
                    self.counts.unchanged += 1;
                } else {
                    self.counts.fetched += 1;
                }
                self.report.on(&Event::JobFetched { attempts: entry.attempts, unchanged });
            }
            Outcome::Failed(fault) => {
                self.counts.failed += 1;
                let (key, line, attempts) = (Some(&entry.key), entry.line, entry.attempts);
                self.report.on(&Event::JobFailed {
                    key,
                    line,
                    fault,
                    attempts,
                    url: entry.address.as_deref(),
                });
            }
            Outcome::Deferred(deferral) => {
                if *deferral == Deferral::AskedToWait {
                    self.say_stopping("the server asks for a longer quiet than --max-retry-after allows");
                }
                self.counts.deferred += 1;
                self.report.on(&Event::JobDeferred);
            }
        }
    }

    /// What the breaker still holds, once nothing more comes.
    fn release(&mut self) -> Option<u16> {
        let (held, all_refused) = self.breaker.release();
        let stopped_for_them = matches!(self.stop.reason(), Some(StopReason::Refused { .. }));
        for mut entry in held {
            if stopped_for_them {
                entry.outcome = Outcome::Deferred(Deferral::Stopped);
            }
            self.settle(&entry);
        }
        all_refused
    }

    /// Nothing else is to be done: what came together goes together, but not more often than needed.
    fn hand_on_if_due(&mut self) {
        if self.journal.backlog() > 0 && self.handed_on.elapsed() >= HAND_ON {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        self.handed_on = Instant::now();
        let flushed = self.journal.flush();
        self.note(flushed);
    }

    fn tick(&mut self, gate: &Gate, hungry: bool) {
        self.hand_on();
        for change in gate.take_changes() {
            self.tell(change);
        }
        let view = gate.view();
        let now = Instant::now();
        self.sample(&view, now.saturating_duration_since(self.looked), hungry);
        self.looked = now;
        let paused = view
            .paused_until
            .map(|until| (until.saturating_duration_since(tokio::time::Instant::now()), view.paused_why));
        let (in_flight, limit) = (view.in_flight, view.limit);
        self.report.tick(&Live { elapsed: self.started.elapsed(), in_flight, limit, paused });
    }

    fn sample(&mut self, view: &View, span: Duration, hungry: bool) {
        let sampled = &mut self.sampled;
        sampled.busy += span.saturating_mul(u32::try_from(view.in_flight).unwrap_or(u32::MAX));
        let held_by = if view.paused_until.is_some() {
            &mut sampled.pauses
        } else if view.in_flight >= view.limit {
            &mut sampled.slot
        } else if view.waiting > 0 {
            &mut sampled.rate
        } else if hungry {
            &mut sampled.input
        } else {
            return;
        };
        *held_by += span;
    }

    fn tell(&mut self, change: Change) {
        match change {
            Change::Paused { until, why } => {
                let wait = until.saturating_duration_since(tokio::time::Instant::now());
                self.report.on(&Event::PoolPaused { wait, why });
            }
            Change::Resumed => self.report.on(&Event::PoolResumed),
            Change::Limit { limit, why } => {
                if limit < self.limit {
                    self.sampled.stepped_back = Some(why);
                }
                self.limit = limit;
                self.report.on(&Event::LimitChanged { limit, why });
            }
        }
    }

    /// A disk error ends the run; what the journal has on disk stays.
    fn note(&mut self, result: Result<(), CollectError>) {
        if let Err(error) = result
            && self.disk.is_none()
        {
            self.stop.throw(StopReason::Disk);
            self.disk = Some(error);
        }
    }

    fn say_stopping(&self, why: &str) {
        if !self.stop.is_thrown() {
            self.report.on(&Event::Stopping { why });
        }
    }
}

fn is_young(known: &Known, max_age: Option<Duration>) -> bool {
    // A time in the future (a clock set back) counts as just now.
    max_age.is_some_and(|limit| SystemTime::now().duration_since(known.at).unwrap_or_default() < limit)
}

fn make_conditional(job: &mut Job, known: &Known) {
    let mut set = |name, value: &Option<Box<str>>| {
        if let Some(value) = value.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            job.request.headers.insert(name, value);
        }
    };
    set(IF_NONE_MATCH, &known.validators.etag);
    set(IF_MODIFIED_SINCE, &known.validators.last_modified);
}
