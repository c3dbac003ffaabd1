//! Where entries are judged, written and reported.

mod send_again;

use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, RowOf403, Ruling};
use super::conditional::make_conditional;
use super::recheck::Recheck;
use super::store::EntryStore;
use super::{HAND_OVER_WITHIN, MAX_BACKLOG};
use crate::collect::{CollectError, RefusedRow};
use crate::fetch::{Fetcher, SameErrors, Shutdown, Transport};
use crate::model::{
    Cause, Content, Deferral, Entry, Event, Fault, Job, Outcome, PackItem, Reporter, StopReason,
};
use crate::plan::{Planned, RejectedRow, Rejection};
use crate::report::Report;

/// What is sent again.
#[allow(clippy::large_enum_variant, reason = "there are few of them")]
pub(super) enum SendAgain {
    /// This job, at once.
    Job(Job),
    /// This key, in a pack.
    Item(PackItem),
}

/// Judges entries, writes and reports them.
pub(super) struct EntrySink<'a, S> {
    pub(super) store: &'a mut S,
    report: &'a Report,
    shutdown: &'a Shutdown,
    breaker: Breaker,
    same_errors: SameErrors,
    recheck: Recheck,
    packs_keys: bool,
    /// A validator is one of the whole answer for a key.
    has_validators: bool,
    /// Rows without a key.
    pub(super) keyless: u64,
    /// Rows that were rejected for having fewer cells than the header.
    pub(super) short_rows: u64,
    /// The disk's error that ended the run.
    pub(super) disk: Option<CollectError>,
    handed_over_at: Instant,
    /// The record of the row that was settled last.
    pub(super) spent: Option<csv::ByteRecord>,
}

impl<'a, S: EntryStore> EntrySink<'a, S> {
    /// Nothing has come yet. What is requested again goes through this fetcher.
    pub(super) fn new<T: Transport>(
        store: &'a mut S,
        report: &'a Report,
        shutdown: &'a Shutdown,
        fetcher: &Fetcher<T>,
    ) -> Self {
        let may_act_twice = fetcher.retries() > 0;
        Self {
            store,
            report,
            shutdown,
            breaker: Breaker::new(),
            same_errors: fetcher.same_errors(),
            packs_keys: fetcher.packs_keys(),
            has_validators: !fetcher.packs_keys() && !fetcher.follows_pages(),
            recheck: Recheck::new(may_act_twice),
            keyless: 0,
            short_rows: 0,
            disk: None,
            handed_over_at: Instant::now(),
            spent: None,
        }
    }

    /// A planned row that is no job, and ends here.
    pub(super) fn pass(&mut self, planned: &Planned) {
        match planned {
            Planned::Repeat { seq, line, first, differs, key, record } => {
                let written = self.store.repeated(*seq, key, *first);
                self.note(written);
                if !differs {
                    let added = self.store.add_row(*seq, Some(key), record);
                    self.note(added);
                }
                self.report.on(&Event::RowRepeated { line: *line, differs: *differs });
            }
            Planned::Skipped { seq, .. } => {
                let written = self.store.skipped(*seq);
                self.note(written);
                self.report.on(&Event::RowSkipped);
            }
            Planned::Rejected(refused) => self.refuse(refused),
            // It is opened.
            Planned::Job(_) => {}
        }
    }

    /// Whether a planned job is to be requested. It is left where it is, since a job is large; one that has its answer
    /// already is passed to [`EntrySink::keep_earlier`].
    pub(super) fn needs_request(&mut self, job: &mut Job, max_age: Option<Duration>) -> bool {
        self.store.opened(job);
        let added = self.store.add_row(job.seq, None, &job.record);
        self.note(added);
        if self.store.adopt(job.seq, job.fingerprint) {
            self.recovered(job);
            return false;
        }
        if let Some(known) = self.store.previous_value(&job.key, job.fingerprint) {
            if known.is_young(max_age, self.store.began()) && self.keep(job) {
                return false;
            }
            // The validators of one key say nothing about a pack, and those of a page nothing about the others.
            if self.has_validators {
                make_conditional(job, &known);
            }
        }
        true
    }

    /// A job that had its answer from an earlier run.
    pub(super) fn keep_earlier(&mut self, job: Job) {
        self.recheck.earlier = Some(job);
    }

    /// A planned row of a run that has stopped.
    pub(super) fn defer(&mut self, planned: Planned) {
        let Planned::Job(job) = planned else {
            self.pass(&planned);
            return;
        };
        let written = self.store.deferred(&job);
        self.note(written);
        self.report.on(&Event::JobDeferred);
    }

    /// The job has its answer from an interrupted run, which may have no row in a table of this run.
    fn recovered(&mut self, job: &Job) {
        match self.store.fail_adopted(job) {
            Ok(Some(fault)) => self.report.on(&Event::JobFailed {
                key: Some(&job.key),
                line: job.line,
                fault: &fault,
                attempts: 0,
                url: None,
                is_companion: false,
            }),
            Ok(None) => self.report.on(&Event::JobRecovered),
            Err(error) => self.note(Err(error)),
        }
    }

    /// Leaves the old value alone, if there is one.
    fn keep(&mut self, job: &Job) -> bool {
        match self.store.keep(job.seq, job.fingerprint, &job.key) {
            Ok(false) => return false,
            Ok(true) => {
                self.report.on(&Event::JobFetched { attempts: 0, unchanged: true });
            }
            Err(error) => self.note(Err(error)),
        }
        true
    }

    fn refuse(&mut self, refused: &RejectedRow) {
        let why = refused.why.to_string();
        let RejectedRow { seq, line, key, record, .. } = refused;
        let appended = self.store.append_refused(&RefusedRow {
            seq: *seq,
            line: *line,
            key: key.as_ref(),
            why: &why,
            record,
        });
        self.note(appended);
        self.keyless += u64::from(matches!(refused.why, Rejection::EmptyKey { .. }));
        self.short_rows += u64::from(refused.why.is_of_a_short_row());
        let fault = Fault::new(Cause::Row, why);
        self.report.on(&Event::JobFailed {
            key: key.as_ref(),
            line: *line,
            fault: &fault,
            attempts: 0,
            url: None,
            is_companion: false,
        });
    }

    /// Settles an entry that is final as it stands, as nearly all are, and leaves it where it is. Any other is to be
    /// received.
    pub(super) fn settles(&mut self, entry: &mut Entry) -> bool {
        if self.recheck.under_way == Some(entry.seq) || !self.breaker.lets_pass(entry) {
            return false;
        }
        self.settle(entry);
        self.spent = Some(std::mem::take(&mut entry.record));
        true
    }

    /// A job has ended. Returns jobs to request again. A row of 403 with good answers before or beside it may be a limit,
    /// where `may_be_limit` says so: what was held is sent again, and the fetcher waits. And where the first answers of a
    /// run are refusals, a SKU that an earlier run had its answer for shows whether they are these SKUs' own. Without it,
    /// SKUs that are forbidden would end every run that goes on from a journal, though a run from the start is not ended by
    /// them.
    pub(super) fn receive(
        &mut self,
        mut entry: Entry,
        may_be_limit: impl Fn(RowOf403) -> bool,
    ) -> Vec<SendAgain> {
        if self.settles(&mut entry) {
            return Vec::new();
        }
        self.receive_pack(entry, Vec::new(), may_be_limit)
    }

    /// The same for all keys of a pack that one answer refused.
    pub(super) fn receive_pack(
        &mut self,
        entry: Entry,
        companions: Vec<Entry>,
        may_be_limit: impl Fn(RowOf403) -> bool,
    ) -> Vec<SendAgain> {
        if self.recheck.under_way == Some(entry.seq) {
            self.recheck.under_way = None;
            self.settle_refusals(entry);
            return Vec::new();
        }
        let is_limit = self.breaker.is_first_row_full()
            && self.breaker.holds_only_403()
            && entry.outcome.shows_good_credentials()
            && may_be_limit(RowOf403::AfterGoodAnswers);
        let again = if is_limit { self.release_to_send_again() } else { Vec::new() };
        let (status, answers, said) =
            match self.breaker.judge_pack(entry, companions, || Instant::now().into_std()) {
                Ruling::Pass(entries) => {
                    for entry in entries {
                        self.settle(&entry);
                    }
                    return again;
                }
                Ruling::Trip { .. } if self.recheck.under_way.is_some() || self.shutdown.is_triggered() => {
                    return Vec::new();
                }
                Ruling::Trip { status, answers, said } => (status, answers, said),
            };
        if self.breaker.holds_only_403() {
            if self.breaker.is_first_row() && may_be_limit(RowOf403::First) {
                return Vec::new();
            }
            if !self.breaker.is_first_row() && may_be_limit(RowOf403::AfterGoodAnswers) {
                return self.release_to_send_again();
            }
        }
        let earlier = self.recheck.earlier.clone().filter(|_| self.breaker.is_first_row());
        let Some(job) = earlier.filter(|job| self.may_request_again(job)) else {
            // The reason is in the run's last message; none is needed before it.
            self.shutdown.trigger(StopReason::Refused { status, answers, said });
            return Vec::new();
        };
        self.recheck.under_way = Some(job.seq);
        vec![SendAgain::Job(job)]
    }

    /// Whether jobs may be opened: not while it is open whether the credentials are refused, nor while so much waits
    /// for the disk.
    pub(super) fn may_open(&self) -> bool {
        self.recheck.under_way.is_none() && self.store.backlog() < MAX_BACKLOG
    }

    /// An entry is final: it is written and reported.
    fn settle(&mut self, entry: &Entry) {
        let no_row = match self.store.append(entry) {
            Ok(no_row) => no_row,
            Err(error) => {
                self.note(Err(error));
                None
            }
        };
        let warning = match &entry.outcome {
            Outcome::Fetched(answer) => self.same_errors.note(Some(answer)),
            Outcome::Failed(_) => self.same_errors.note(None),
            Outcome::Deferred(_) => None,
        };
        if let Some(message) = warning {
            self.report.on(&Event::Warned { message: &message });
        }
        match &entry.outcome {
            Outcome::Fetched(_) if no_row.is_some() => self.failed(entry, no_row.as_ref()),
            Outcome::Fetched(answer) => {
                let unchanged = answer.content == Content::Unchanged;
                self.report.on(&Event::JobFetched { attempts: entry.attempts, unchanged });
            }
            Outcome::Failed(fault) => self.failed(entry, Some(fault)),
            Outcome::Deferred(_) => self.report.on(&Event::JobDeferred),
        }
    }

    fn failed(&self, entry: &Entry, fault: Option<&Fault>) {
        let Some(fault) = fault else { return };
        self.report.on(&Event::JobFailed {
            key: Some(&entry.key),
            line: entry.line,
            fault,
            attempts: entry.attempts,
            url: entry.address.as_deref(),
            is_companion: entry.is_companion,
        });
    }

    /// Nothing more comes: what the breaker holds is deferred.
    pub(super) fn release(&mut self) {
        for mut entry in self.breaker.release() {
            entry.outcome = Outcome::Deferred(Deferral::Stopped);
            self.settle(&entry);
        }
    }

    /// Called when there is nothing else to do: entries that came together are handed over together, at most once in
    /// [`HAND_OVER_WITHIN`].
    pub(super) fn hand_over_if_due(&mut self) {
        if self.store.backlog() > 0 && self.handed_over_at.elapsed() >= HAND_OVER_WITHIN {
            self.hand_over();
        }
    }

    /// Hands what was appended to the writer.
    pub(super) fn hand_over(&mut self) {
        self.handed_over_at = Instant::now();
        let flushed = self.store.flush();
        self.note(flushed);
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
}
