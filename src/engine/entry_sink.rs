//! Where entries are judged, counted, written and told.

use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use super::breaker::{Breaker, Ruling};
use super::open_jobs::Supply;
use super::stdout_peer::StdoutPeer;
use super::{HAND_ON, MAX_BACKLOG, RowCounts, Sampled};
use crate::collect::{self, CollectError, Collector, PreviousValue};
use crate::fetch::Shutdown;
use crate::limit::{Gate, GateEvent, GateView};
use crate::model::{
    Cause, Content, Deferral, Entry, Event, Fault, Job, Outcome, PauseReason, Reporter, Seq, StopReason,
};
use crate::plan::{Planned, RejectedRow, Rejection};
use crate::report::{EngineStatus, Report};

/// What is still open so long after a tail began is what it is about.
const LATE: Duration = Duration::from_millis(500);

/// Where entries are judged, counted, written and told.
pub(super) struct EntrySink<'a> {
    pub(super) journal: &'a mut Collector,
    pub(super) report: &'a Report,
    pub(super) shutdown: &'a Shutdown,
    pub(super) reader: StdoutPeer,
    pub(super) breaker: Breaker,
    pub(super) recheck: Recheck,
    pub(super) counts: RowCounts,
    pub(super) disk: Option<CollectError>,
    pub(super) started: Instant,
    pub(super) sampled_at: Instant,
    pub(super) handed_on: Instant,
    pub(super) limit: usize,
    pub(super) sampled: Sampled,
}

/// One job that is asked again, where it is open whether refusals were for the credentials.
#[derive(Default)]
pub(super) struct Recheck {
    /// The latest job that had its answer from an earlier run.
    earlier: Option<Job>,
    /// The row of the job that is under way again.
    under_way: Option<Seq>,
    /// It was asked at the end of the run, and is not asked another time.
    is_last: bool,
    /// A request that changes something may be sent twice.
    pub(super) may_act_twice: bool,
}

impl<'a> EntrySink<'a> {
    /// For a run that began at `started`: nothing has come yet.
    pub(super) fn new(
        journal: &'a mut Collector,
        report: &'a Report,
        shutdown: &'a Shutdown,
        started: Instant,
    ) -> Self {
        Self {
            journal,
            report,
            shutdown,
            reader: StdoutPeer::none(),
            breaker: Breaker::new(),
            recheck: Recheck::default(),
            counts: RowCounts::default(),
            disk: None,
            started,
            sampled_at: started,
            handed_on: started,
            limit: 0,
            sampled: Sampled::default(),
        }
    }
}

impl EntrySink<'_> {
    /// A planned row: a job to fetch, or a row that ends here.
    pub(super) fn open(&mut self, planned: Planned, max_age: Option<Duration>) -> Option<Job> {
        match planned {
            Planned::Repeat { seq, line, differs, .. } => {
                self.journal.pass(seq);
                self.counts.repeats += 1;
                self.report.on(&Event::RowRepeated { line, differs });
                None
            }
            Planned::Rejected(refused) => {
                self.refuse(&refused);
                None
            }
            Planned::Job(mut job) => {
                if self.journal.adopt(job.seq, job.fingerprint) {
                    self.counts.fetched += 1;
                    self.counts.recovered += 1;
                    self.report.on(&Event::JobRecovered);
                    self.recheck.earlier = Some(job);
                    return None;
                }
                if let Some(known) = self.journal.previous_value(&job.key, job.fingerprint) {
                    if known.is_young(max_age, self.journal.began()) && self.keep(&job) {
                        self.recheck.earlier = Some(job);
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

    fn refuse(&mut self, refused: &RejectedRow) {
        let why = refused.why.to_string();
        let RejectedRow { seq, line, key, record, .. } = refused;
        let appended = self.journal.append_refused(&collect::RefusedRow {
            seq: *seq,
            line: *line,
            key: key.as_ref(),
            why: &why,
            record,
        });
        self.note(appended);
        self.counts.failed += 1;
        self.counts.keyless += u64::from(matches!(refused.why, Rejection::EmptyKey { .. }));
        let fault = Fault::new(Cause::Row, why);
        self.report.on(&Event::JobFailed {
            key: key.as_ref(),
            line: *line,
            fault: &fault,
            attempts: 0,
            url: None,
        });
    }

    /// A job has ended. Gives one to ask again: where the first answers of a run are refusals, a SKU that an earlier
    /// run had its answer for tells whether they are these SKUs' own. Without it, SKUs that are forbidden would end
    /// every run that goes on from a journal, though a run from the start is not ended by them.
    pub(super) fn receive(&mut self, entry: Entry) -> Option<Job> {
        if self.recheck.under_way == Some(entry.seq) {
            self.recheck.under_way = None;
            self.settle_refusals(entry);
            return None;
        }
        let (status, answers) = match self.breaker.judge(entry, Instant::now) {
            Ruling::Pass(entries) => {
                for entry in entries {
                    self.settle(&entry);
                }
                return None;
            }
            Ruling::Trip { .. } if self.recheck.under_way.is_some() || self.shutdown.is_triggered() => {
                return None;
            }
            Ruling::Trip { status, answers } => (status, answers),
        };
        let earlier = self.recheck.earlier.clone().filter(|_| self.breaker.is_first_row());
        let Some(job) = earlier.filter(|job| self.may_ask_again(job)) else {
            // Why is the last word of the run, and needs no other before it.
            self.shutdown.trigger(StopReason::Refused { status, answers });
            return None;
        };
        self.recheck.under_way = Some(job.seq);
        Some(job)
    }

    /// Whether jobs may be opened: not while it is open whether the credentials are refused, nor while so much waits
    /// for the disk.
    pub(super) fn may_open(&self) -> bool {
        self.recheck.under_way.is_none() && self.journal.backlog() < MAX_BACKLOG
    }

    fn may_ask_again(&self, job: &Job) -> bool {
        self.recheck.may_act_twice || job.request.method.is_idempotent()
    }

    /// Nothing else is to come. Where refusals are still held, fewer than end a run by themselves, one job that had
    /// its answer before is asked again, once: it tells whether they are the SKUs' own. `accepted` is such a job of
    /// this run. Where none ever had one, the credentials are refused. Where none may be sent twice, the refusals are
    /// taken for the SKUs' own.
    pub(super) fn ask_again(&mut self, accepted: Option<&Job>) -> Option<Job> {
        if self.recheck.is_last || self.shutdown.is_triggered() {
            return None;
        }
        let (status, answers) = self.breaker.pending()?;
        let Some(job) = accepted.cloned().or_else(|| self.recheck.earlier.take()) else {
            self.shutdown.trigger(StopReason::Refused { status, answers });
            return None;
        };
        self.recheck.is_last = true;
        if !self.may_ask_again(&job) {
            self.breaker.release().for_each(|entry| self.settle(&entry));
            return None;
        }
        self.recheck.under_way = Some(job.seq);
        Some(job)
    }

    /// What the job that was asked again says of the refusals that are held. Its own entry stands as it was.
    fn settle_refusals(&mut self, entry: Entry) {
        let Some((status, skus)) = self.breaker.pending() else { return };
        if entry.outcome.shows_good_credentials() {
            let settled: Vec<Entry> = if self.recheck.is_last {
                self.breaker.release().collect()
            } else {
                self.breaker.vouch(entry.sent)
            };
            for entry in &settled {
                self.settle(entry);
            }
            return;
        }
        if !self.recheck.is_last {
            self.shutdown.trigger(StopReason::Refused { status, answers: skus });
            return;
        }
        let refused = entry.outcome.refused();
        let (asked_again, why) = match entry.outcome {
            // The run was stopped for another reason.
            Outcome::Deferred(_) => return,
            Outcome::Failed(fault) => (entry.key, fault.to_string()),
            Outcome::Fetched(answer) => (entry.key, format!("HTTP {}", answer.status)),
        };
        self.shutdown.trigger(match refused {
            Some(status) => StopReason::RefusedAtEnd { status, skus, asked_again },
            None => StopReason::RefusalsUnsettled { status, skus, asked_again, why },
        });
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
            Outcome::Deferred(_) => {
                self.counts.deferred += 1;
                self.report.on(&Event::JobDeferred);
            }
        }
    }

    /// Nothing more comes: jobs that are still open, rows that were not opened, and what the breaker holds are
    /// deferred. For that the run stopped, or before it was settled.
    pub(super) fn release(&mut self, open: u64, unopened: u64) {
        // What was asked again is no row of its own.
        let open = open - u64::from(self.recheck.under_way.is_some()).min(open);
        self.counts.deferred += open + unopened;
        for mut entry in self.breaker.release() {
            entry.outcome = Outcome::Deferred(Deferral::Stopped);
            self.settle(&entry);
        }
    }

    /// Nothing else is to be done: what came together goes together, but not more often than needed.
    pub(super) fn hand_on_if_due(&mut self) {
        if self.journal.backlog() > 0 && self.handed_on.elapsed() >= HAND_ON {
            self.hand_on();
        }
    }

    pub(super) fn hand_on(&mut self) {
        self.handed_on = Instant::now();
        let flushed = self.journal.flush();
        self.note(flushed);
    }

    pub(super) fn tick(&mut self, gate: &Gate, supply: Supply) {
        self.hand_on();
        for change in gate.take_events() {
            self.report_gate_event(change);
        }
        let view = gate.view();
        let now = Instant::now();
        self.sample(&view, now.saturating_duration_since(self.sampled_at), supply);
        self.sampled_at = now;
        let left = |until: tokio::time::Instant| until.saturating_duration_since(tokio::time::Instant::now());
        let paused = view.paused_until.map(left).zip(view.pause_reason);
        let (in_flight, limit) = (view.in_flight, view.limit);
        self.report.tick(&EngineStatus { elapsed: self.started.elapsed(), in_flight, limit, paused });
        self.stop_without_reader();
    }

    fn sample(&mut self, view: &GateView, span: Duration, supply: Supply) {
        let sampled = &mut self.sampled;
        sampled.busy += span.saturating_mul(u32::try_from(view.in_flight).unwrap_or(u32::MAX));
        if view.pause_reason == Some(PauseReason::Outage) {
            sampled.outage += span;
        }
        let held_by = if view.paused_until.is_some() {
            &mut sampled.pauses
        } else if view.in_flight >= view.limit {
            &mut sampled.slot
        } else if view.waiting > 0 && view.slowed {
            &mut sampled.pauses
        } else if view.waiting > 0 {
            &mut sampled.rate
        } else {
            match supply {
                Supply::Starved => &mut sampled.input,
                Supply::Exhausted(jobs) => {
                    sampled.drain(jobs, span, view);
                    return;
                }
                Supply::Rows => return,
            }
        };
        *held_by += span;
    }

    fn report_gate_event(&mut self, change: GateEvent) {
        match change {
            GateEvent::Paused { until, reason } => {
                let wait = until.saturating_duration_since(tokio::time::Instant::now());
                self.report.on(&Event::PoolPaused { wait, reason });
            }
            GateEvent::Resumed => self.report.on(&Event::PoolResumed),
            GateEvent::LimitChanged { limit, reason } => {
                if limit < self.limit {
                    self.sampled.stepped_back = Some(reason);
                }
                self.limit = limit;
                self.report.on(&Event::LimitChanged { limit, reason });
            }
        }
    }

    /// A disk error ends the run; what the journal has on disk stays.
    fn note(&mut self, result: Result<(), CollectError>) {
        if let Err(error) = result
            && self.disk.is_none()
        {
            self.shutdown.trigger(StopReason::Disk);
            self.disk = Some(error);
        }
    }

    /// Answers that nobody will read are not asked for.
    fn stop_without_reader(&self) {
        if self.reader.is_gone() {
            self.stop(StopReason::StdoutClosed, None);
        }
    }

    /// Ends the run early; attempts in flight may take as long as `drain` says.
    pub(super) fn stop(&self, reason: StopReason, drain: Option<Duration>) {
        if !self.shutdown.is_triggered() {
            self.report.on(&Event::Stopping { reason: &reason, drain });
        }
        self.shutdown.trigger(reason);
    }
}

impl Sampled {
    /// No row is left, and slots are free. A tail is what a quarter of them could carry.
    fn drain(&mut self, jobs: usize, span: Duration, view: &GateView) {
        self.drain += span;
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

fn make_conditional(job: &mut Job, known: &PreviousValue) {
    let mut set = |name, value: &Option<Box<str>>| {
        if let Some(value) = value.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            job.request.headers.insert(name, value);
        }
    };
    set(IF_NONE_MATCH, &known.validators.etag);
    set(IF_MODIFIED_SINCE, &known.validators.last_modified);
}
