//! What is sent again before it is known whether refusals concern the credentials.

use super::{EntrySink, SendAgain};
use crate::engine::store::EntryStore;
use crate::model::{Entry, Job, Outcome, StopReason};

impl<S: EntryStore> EntrySink<'_, S> {
    pub(super) fn release_to_send_again(&mut self) -> Vec<SendAgain> {
        let held: Vec<Entry> = self.breaker.release().collect();
        held.into_iter().filter_map(|entry| self.again(entry)).collect()
    }

    /// What is to be sent again for an entry; one that has no request stands as it is.
    fn again(&mut self, entry: Entry) -> Option<SendAgain> {
        if self.packs_keys {
            return Some(SendAgain::Item(entry.into_item()));
        }
        match entry.into_job() {
            Ok(job) => Some(SendAgain::Job(job)),
            Err(entry) => {
                self.settle(&entry);
                None
            }
        }
    }

    pub(super) fn may_request_again(&self, job: &Job) -> bool {
        self.recheck.may_act_twice || job.request.method.is_idempotent()
    }

    /// Nothing else is to come. Where refusals are still held, fewer than end a run by themselves, one job that had
    /// its answer before is requested again, once: it shows whether they are the SKUs' own. `accepted` is such a job of
    /// this run. Where none ever had one, the credentials are refused. Where none may be sent twice, the refusals are
    /// taken for the SKUs' own.
    pub(in crate::engine) fn recheck_job(&mut self, accepted: Option<&Job>) -> Option<Job> {
        if self.recheck.is_last || self.shutdown.is_triggered() {
            return None;
        }
        let (status, answers) = self.breaker.pending()?;
        let Some(job) = accepted.cloned().or_else(|| self.recheck.earlier.take()) else {
            self.shutdown.trigger(StopReason::Refused { status, answers, said: self.breaker.said() });
            return None;
        };
        self.recheck.is_last = true;
        if !self.may_request_again(&job) {
            self.breaker.release().for_each(|entry| self.settle(&entry));
            return None;
        }
        self.recheck.under_way = Some(job.seq);
        Some(job)
    }

    /// What the repeated request shows about the refusals that are held. The entry of its row stands as it was.
    pub(super) fn settle_refusals(&mut self, entry: Entry) {
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
            self.shutdown.trigger(StopReason::Refused { status, answers: skus, said: self.breaker.said() });
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
            Some(status) => StopReason::RefusedAtEnd { status, skus, asked_again, said: self.breaker.said() },
            None => StopReason::RefusalsUnsettled { status, skus, asked_again, why },
        });
    }
}
