//! Where the ends of requests are judged: whether each is an answer of the server's at its pace, an error, or neither.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::breaker::{Breaker, Ruling};
use super::super::open_jobs::NextStep;
use super::super::pack_queue::{PackQueue, PackSettled, entry_of_first, is_cut};
use super::Meter;
use crate::fetch::{ItemEnd, PackEnd, Shutdown};
use crate::model::{
    Answer, BodyHash, Cause, Content, Deferral, Entry, Event, Fault, LoadClass, Outcome, Reporter, StatusSet,
    StopReason,
};
use crate::report::tune::TunedAnswers;
use crate::report::{AcceptedAndRefused, Report};

/// What `null` looks like in an answer.
const NULL: &[u8] = b"null";
/// So many different bodies are told apart.
const DIFFERENT_BODIES: usize = 4_096;

/// How one request ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum RequestEnd {
    /// Answered, as far as the server's pace is concerned.
    Answer(Duration),
    /// Refused for overload, failed, or without an answer.
    Error,
    /// Answered, but a filter says that the answer fails its SKU: neither a sign of speed nor of load.
    Unwanted,
    /// Given up.
    Nothing,
}

/// One job that ended.
pub(super) struct JobEnd {
    pub(super) ended_as: RequestEnd,
    /// Attempts before it that an outage held back.
    pub(super) held: u64,
    /// The answers before it that were pages and ended no job.
    pub(super) pages: Vec<Duration>,
    /// The API has answered at least once.
    pub(super) reached: bool,
    /// All ends so far, this one included.
    pub(super) so_far: AcceptedAndRefused,
}

/// All ends.
#[derive(Default)]
pub(super) struct RequestTotals {
    pub(super) requests: u64,
    pub(super) answered: u64,
    /// Answers that were no errors.
    pub(super) accepted: u64,
    pub(super) failed_answers: u64,
    pub(super) last_fault: Option<Fault>,
    nulls: u64,
    good: u64,
    bodies: HashMap<u32, u64>,
}

impl RequestTotals {
    /// All that were no good answers count as refused.
    pub(super) fn counts(&self) -> AcceptedAndRefused {
        AcceptedAndRefused { accepted: self.accepted, refused: self.requests.saturating_sub(self.accepted) }
    }

    /// What the answers were worth.
    pub(super) fn answers(&self) -> TunedAnswers {
        TunedAnswers {
            good: self.good,
            nulls: self.nulls,
            failed: self.failed_answers,
            same_body: self.bodies.values().copied().max().unwrap_or(0),
        }
    }

    /// Takes note of an answer that a fetch would keep.
    fn keep(&mut self, answer: &Answer) {
        let Content::Json(body) = &answer.content else { return };
        if body == NULL {
            self.nulls += 1;
            return;
        }
        self.good += 1;
        let BodyHash(hash) = answer.raw.unwrap_or_else(|| BodyHash::of(body));
        if self.bodies.len() < DIFFERENT_BODIES || self.bodies.contains_key(&hash) {
            *self.bodies.entry(hash).or_default() += 1;
        }
    }
}

/// Where entries are judged.
pub(super) struct ClimbSink<'a> {
    pub(super) report: &'a Report,
    pub(super) shutdown: &'a Shutdown,
    pub(super) trouble: &'a StatusSet,
    pub(super) breaker: Breaker,
    pub(super) meter: &'a Meter,
    pub(super) ended: RequestTotals,
}

impl ClimbSink<'_> {
    pub(super) fn receive(&mut self, entry: Entry) -> JobEnd {
        let (latency, held, mut pages) = {
            let mut last = self.meter.lock();
            (last.latency.take(), std::mem::take(&mut last.held), std::mem::take(&mut last.pages))
        };
        if latency.is_some() && pages.last() == latency.as_ref() {
            // Its own answer.
            pages.pop();
        }
        let of_pages = pages.len() as u64;
        self.ended.requests += of_pages;
        self.ended.answered += of_pages;
        self.ended.accepted += of_pages;
        let ended_as = self.read(&entry, latency);
        self.ended.requests += held + u64::from(!matches!(ended_as, RequestEnd::Nothing));
        self.ended.answered += u64::from(latency.is_some());
        self.ended.accepted += u64::from(matches!(ended_as, RequestEnd::Answer(_) | RequestEnd::Unwanted));
        match self.breaker.judge(entry, || Instant::now().into_std()) {
            Ruling::Pass(entries) => entries.iter().for_each(|entry| report_entry(self.report, entry)),
            Ruling::Trip { status, answers, said } => {
                self.shutdown.trigger(StopReason::Refused { status, answers, said });
            }
        }
        JobEnd { ended_as, held, pages, reached: self.ended.answered > 0, so_far: self.ended.counts() }
    }

    /// A request has ended, that of a job with this entry; none where this is no end.
    pub(super) fn receive_end(
        &mut self,
        step: NextStep,
        entry: Option<Entry>,
        packs: Option<&mut PackQueue>,
    ) -> Option<JobEnd> {
        match (step, packs) {
            (NextStep::Done, _) => entry.map(|entry| self.receive(entry)),
            (NextStep::PackDone(end), Some(packs)) => Some(self.receive_pack(*end, packs)),
            _ => None,
        }
    }

    /// The request of a pack has ended: one observation, whatever became of its keys.
    fn receive_pack(&mut self, end: PackEnd, packs: &mut PackQueue) -> JobEnd {
        if is_cut(&end) {
            return self.receive_cut(end, packs);
        }
        let observed = observed(&end);
        let (seq, job_end) = (observed.seq, self.receive(observed));
        let (PackSettled::Each(entries) | PackSettled::Together(entries)) = packs.settle(end) else {
            return job_end;
        };
        entries.iter().filter(|entry| entry.seq != seq).for_each(|entry| report_entry(self.report, entry));
        job_end
    }

    /// A pack is asked for again in parts: the server answered, and none of its keys has an outcome.
    fn receive_cut(&mut self, end: PackEnd, packs: &mut PackQueue) -> JobEnd {
        let (latency, held) = {
            let mut last = self.meter.lock();
            (last.latency.take(), std::mem::take(&mut last.held))
        };
        self.ended.requests += held + 1;
        self.ended.answered += u64::from(latency.is_some());
        self.ended.accepted += u64::from(latency.is_some());
        packs.settle(end);
        let ended_as = latency.map_or(RequestEnd::Nothing, RequestEnd::Answer);
        let (pages, reached) = (Vec::new(), self.ended.answered > 0);
        JobEnd { ended_as, held, pages, reached, so_far: self.ended.counts() }
    }

    /// Reports what the breaker holds, and returns the refusing status, if every answer was a refusal.
    pub(super) fn release(&mut self) -> Option<u16> {
        let all_refused = self.breaker.all_refused();
        for entry in self.breaker.release() {
            report_entry(self.report, &entry);
        }
        all_refused
    }

    fn read(&mut self, entry: &Entry, latency: Option<Duration>) -> RequestEnd {
        let fault = match &entry.outcome {
            Outcome::Deferred(_) => return RequestEnd::Nothing,
            Outcome::Fetched(answer) => {
                self.ended.keep(answer);
                return latency.map_or(RequestEnd::Nothing, RequestEnd::Answer);
            }
            Outcome::Failed(fault) => fault,
        };
        self.ended.last_fault = Some(fault.clone());
        let trouble = match fault.cause {
            Cause::Status(status) if self.trouble.contains(status) => true,
            cause => !matches!(LoadClass::of_cause(cause), LoadClass::Served | LoadClass::Cheap),
        };
        let answer = latency.filter(|_| !trouble);
        self.ended.failed_answers += u64::from(answer.is_some());
        match (answer, fault.cause) {
            (Some(_), Cause::Meaning(_)) => RequestEnd::Unwanted,
            (Some(latency), _) => RequestEnd::Answer(latency),
            (None, _) => RequestEnd::Error,
        }
    }
}

/// What the request of a pack showed, as the entry of its first key: the first good answer, else the first failure.
fn observed(end: &PackEnd) -> Entry {
    let outcome = match &end.outcome {
        Outcome::Failed(fault) => Outcome::Failed(fault.clone()),
        Outcome::Deferred(deferral) => Outcome::Deferred(deferral.clone()),
        Outcome::Fetched(answer) => {
            let ended = || {
                answer.items.iter().filter_map(|item| match item {
                    ItemEnd::Ended(outcome) => Some(outcome),
                    ItemEnd::Again { .. } => None,
                })
            };
            let good = ended().find(|outcome| matches!(outcome, Outcome::Fetched(_)));
            match good.or_else(|| ended().next()) {
                Some(Outcome::Fetched(answer)) => Outcome::Fetched(answer.clone()),
                Some(Outcome::Failed(fault)) => Outcome::Failed(fault.clone()),
                Some(Outcome::Deferred(_)) | None => Outcome::Deferred(Deferral::Stopped),
            }
        }
    };
    entry_of_first(end, outcome)
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
            is_companion: entry.is_companion,
        }),
        Outcome::Deferred(_) => report.on(&Event::JobDeferred),
    }
}
