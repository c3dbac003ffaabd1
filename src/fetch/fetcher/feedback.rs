//! What an attempt reports: events to the reporter, load and quota to the gate, and waits that are too long to the
//! shutdown.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use tokio::time::Instant;

use super::super::classify::Classification;
use super::super::rate_fields;
use super::super::retry_after::retry_after;
use super::super::transport::Transport;
use super::{Fetcher, SendOutcome};
use crate::limit::LoadSignal;
use crate::model::fault::RetryAfter;
use crate::model::{Cause, Deferral, Event, Fault, Job, LoadClass, PauseReason, StopReason};

impl<T: Transport> Fetcher<T> {
    /// Classifies what an attempt came to, reports it, and says what the gate should learn from it.
    pub(super) async fn judge(
        &self,
        ended: SendOutcome,
        latency: Duration,
        job: &Job,
    ) -> (Classification, LoadSignal) {
        let answer = match ended {
            SendOutcome::Answer(answer) => answer,
            SendOutcome::RedirectRefused(fault) => {
                return (Classification::GiveUp(fault), LoadSignal::Cheap);
            }
            SendOutcome::Failed(error) => return self.judge_send_error(error.fault, latency, job),
        };
        let status = answer.status;
        let now = SystemTime::now();
        let asked = retry_after(&answer.headers, now);
        self.obey_quota(&answer.headers, now);
        self.report_answer(job, status, latency, answer.body.len() as u64);
        let signal = match LoadClass::of_status(status) {
            LoadClass::Served => LoadSignal::Good { latency },
            LoadClass::Limited | LoadClass::Overloaded => LoadSignal::Overload { latency },
            LoadClass::Cheap => LoadSignal::Cheap,
            LoadClass::Broken => LoadSignal::Fault,
        };
        let is_conditional = job.request.headers.contains_key(IF_NONE_MATCH)
            || job.request.headers.contains_key(IF_MODIFIED_SINCE);
        match self.answers.classify(answer, is_conditional).await {
            Classification::Retry(mut fault) => {
                fault.retry_after = asked;
                // "Not ready yet" says nothing about capacity, however fast it came.
                let signal =
                    if matches!(fault.cause, Cause::Status(..400)) { LoadSignal::Cheap } else { signal };
                (Classification::Retry(fault), signal)
            }
            Classification::GiveUp(mut fault) => {
                fault.retry_after = asked;
                (Classification::GiveUp(fault), signal)
            }
            kept @ Classification::Keep(_) => (kept, signal),
        }
    }

    fn judge_send_error(&self, fault: Fault, latency: Duration, job: &Job) -> (Classification, LoadSignal) {
        if let Some(status) = fault.status {
            // The head came, and the server counts the request.
            self.report_answer(job, status, latency, 0);
        }
        // Without a whole answer nothing shows that the server did its work.
        let is_too_much = LoadClass::of_cause(fault.cause).is_too_much();
        let signal = if is_too_much { LoadSignal::Overload { latency } } else { LoadSignal::Fault };
        match fault.cause {
            Cause::Certificate => {
                let detail = self.answers.classifier().mask.apply(&fault.detail).into_owned();
                self.shutdown.trigger(StopReason::Certificate(detail));
                (Classification::Retry(fault), signal)
            }
            Cause::TooLarge => (Classification::GiveUp(fault), signal),
            _ => (Classification::Retry(fault), signal),
        }
    }

    /// Slows down before the server has to answer 429. A quota that is used up for longer than the gate waits ends the
    /// run.
    fn obey_quota(&self, headers: &HeaderMap, now: SystemTime) {
        let Some(quota) = rate_fields::quota(headers, now) else { return };
        if quota.remaining == 0 && !self.gate.accepts_pause(quota.reset) {
            self.shutdown.trigger(StopReason::AskedToWait(Some(quota.reset)));
        } else if let Some(reset) = Instant::now().checked_add(quota.reset) {
            self.gate.report_quota(quota.remaining, reset);
        }
    }

    pub(super) fn report_answer(&self, job: &Job, status: u16, latency: Duration, bytes: u64) {
        let (key, line) = (&job.key, job.line);
        self.reporter.on(&Event::AttemptAnswered { key, line, status, latency, bytes });
    }

    /// How long the server wants this SKU to wait. A longer wait than the gate accepts ends the run.
    pub(super) fn wait_asked_by(&self, fault: &Fault) -> Result<Duration, Deferral> {
        let too_long = match fault.retry_after {
            None => return Ok(Duration::ZERO),
            Some(RetryAfter::Wait(wait)) if self.gate.accepts_pause(wait) => return Ok(wait),
            Some(RetryAfter::Wait(wait)) => Some(wait),
            Some(RetryAfter::TooLong) => None,
        };
        self.shutdown.trigger(StopReason::AskedToWait(too_long));
        Err(Deferral::AskedToWait)
    }

    /// Pauses the pool where the server has too much to do, and says how long it wants this SKU to wait.
    pub(super) fn pause_for(&self, fault: &Fault, draw: Duration) -> Result<Duration, Deferral> {
        let class_of = |status| (status, LoadClass::of_status(status));
        let Some((status, class)) = fault.status.map(class_of).filter(|(_, class)| class.is_too_much())
        else {
            return Ok(Duration::ZERO);
        };
        let wait = self.wait_asked_by(fault)?;
        let has_retry_after = fault.retry_after.is_some();
        let pause = if class == LoadClass::Limited && !has_retry_after {
            Some(draw)
        } else {
            Some(wait).filter(|wait| !wait.is_zero())
        };
        if let Some(pause) = pause {
            self.gate.pause(Instant::now() + pause, PauseReason::Refused { status, has_retry_after });
        }
        Ok(wait)
    }
}
