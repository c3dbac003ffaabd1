//! The one retry loop: a job in, an entry out.
//!
//! Every attempt, be it the first, a retry or a redirect, passes the gate, and nothing below this loop sends a second
//! time. A job that waits out its back-off holds no permit.

mod feedback;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::backoff::backoff;
use super::classify::{Classification, Classifier, Offload};
use super::health::{Advice, Health};
use super::redirect::{self, Follow};
use super::shutdown::Shutdown;
use super::transport::{RawAnswer, Reuse, SendError, Transport};
use crate::limit::{Gate, Permit};
use crate::model::job::redacted_url;
use crate::model::{
    Cause, Deferral, Entry, Event, Fault, Job, Outcome, PauseReason, Reporter, Request, Seq, display_safe,
};

/// Characters that are shown of why a redirect was refused: it may name an address of any length.
const REFUSAL_CHARS: usize = 300;

/// How often a job is tried again, and where redirects may lead.
#[derive(Debug, Clone)]
pub struct RetrySettings {
    /// Retries after the first attempt.
    pub retries: u32,
    /// Which redirects are followed.
    pub follow: Follow,
}

/// Takes jobs to their outcome. Shared by all jobs of a run.
pub(crate) struct Fetcher<T> {
    transport: T,
    gate: Arc<Gate>,
    retry: RetrySettings,
    answers: Offload,
    reporter: Arc<dyn Reporter>,
    shutdown: Arc<Shutdown>,
    health: Health,
    initial_connects: Arc<Semaphore>,
    rng: Mutex<fastrand::Rng>,
    accepted: OnceLock<Job>,
}

/// What the fetcher shares with the rest of the run.
pub(crate) struct Companions {
    /// Every attempt passes it.
    pub gate: Arc<Gate>,
    /// Receives the events.
    pub reporter: Arc<dyn Reporter>,
    /// Ends the run early.
    pub shutdown: Arc<Shutdown>,
    /// Bounds the attempts until the first connection is open, which closes it.
    pub initial_connects: Arc<Semaphore>,
}

/// The run stopped before the attempt was over.
struct Stopped;

/// What one attempt, redirects included, came to.
enum SendOutcome {
    Answer(RawAnswer),
    RedirectRefused(Fault),
    Failed(SendError),
}

/// The attempts of one job so far.
#[derive(Default)]
struct Tries {
    /// Requests that were sent, those of redirects included and free resends excluded.
    attempts: u32,
    retries: u32,
    /// When the last attempt started.
    sent: Option<std::time::Instant>,
    /// Whether the free resend was used: a job has one.
    was_resent: bool,
}

/// What follows an attempt that a retry may mend.
enum AfterFault {
    /// Another attempt after this wait.
    Retry(Duration),
    /// The retries are used up.
    Fail,
    /// The run ends.
    Defer(Deferral),
}

impl<T: Transport> Fetcher<T> {
    /// For jobs whose attempts pass this gate.
    pub(crate) fn new(
        transport: T,
        retry: RetrySettings,
        classifier: Classifier,
        companions: Companions,
    ) -> Self {
        let Companions { gate, reporter, shutdown, initial_connects } = companions;
        let health = Health::new(gate.view().limit);
        let rng = Mutex::new(fastrand::Rng::new());
        let answers = Offload::new(classifier);
        let accepted = OnceLock::new();
        Self { transport, gate, retry, answers, reporter, shutdown, health, initial_connects, rng, accepted }
    }

    /// How often an attempt is made again at most.
    pub(crate) fn retries(&self) -> u32 {
        self.retry.retries
    }

    /// The first job whose answer showed that the credentials were good, if there was one.
    pub(crate) fn accepted(&self) -> Option<&Job> {
        self.accepted.get()
    }

    /// Sends until the job has an outcome, or until the run stops.
    pub(crate) async fn fetch(&self, job: Job) -> Entry {
        let mut tries = Tries::default();
        let outcome = self.outcome(&job, &mut tries).await;
        if self.accepted.get().is_none() && outcome.shows_good_credentials() {
            // Another job may have been first.
            let _ = self.accepted.set(job.clone());
        }
        let Tries { attempts, sent, .. } = tries;
        let Job { seq, line, key, fingerprint, record, request } = job;
        let failed = matches!(outcome, Outcome::Failed(_));
        let address =
            failed.then(|| self.answers.classifier().mask.apply(&redacted_url(&request.url)).into());
        Entry { seq, line, key, fingerprint, attempts, sent, outcome, record, address }
    }

    async fn outcome(&self, job: &Job, tries: &mut Tries) -> Outcome {
        loop {
            let Some((permit, _initial_connect)) = self.admit().await else {
                return Outcome::Deferred(Deferral::Stopped);
            };
            let started = Instant::now();
            tries.sent = Some(started.into_std());
            let (ended, permit) = self.attempt(job, permit, tries).await;
            let Ok(ended) = ended else { return Outcome::Deferred(Deferral::Stopped) };
            let (classified, signal) = self.judge(ended, started.elapsed(), job).await;
            let fault = match classified.masked(&self.answers.classifier().mask) {
                Classification::Keep(answer) => {
                    permit.finish(signal);
                    self.health.answered(started);
                    return Outcome::Fetched(answer);
                }
                Classification::GiveUp(fault) => {
                    // A status that is not retried may still ask the pool to wait.
                    let asked = self.pause_for(&fault, self.draw(tries.retries));
                    permit.finish(signal);
                    self.health.answered(started);
                    return match asked {
                        Ok(_) => Outcome::Failed(fault),
                        Err(deferral) => Outcome::Deferred(deferral),
                    };
                }
                Classification::Retry(fault) => fault,
            };
            let next = self.after_fault(&fault, tries, job.seq, started);
            // The pool was paused before the permit is returned: no other request is sent in between.
            permit.finish(signal);
            let wait = match next {
                AfterFault::Retry(wait) => wait,
                AfterFault::Fail => return Outcome::Failed(fault),
                AfterFault::Defer(deferral) => return Outcome::Deferred(deferral),
            };
            let (key, line, attempt) = (&job.key, job.line, tries.attempts);
            self.reporter.on(&Event::AttemptRetried { key, line, fault: &fault, attempt, wait });
            tokio::select! {
                biased;
                () = self.shutdown.triggered() => return Outcome::Deferred(Deferral::Stopped),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Records a fault, pauses the pool where the answer requests that, and decides what follows.
    fn after_fault(&self, fault: &Fault, tries: &mut Tries, seq: Seq, started: Instant) -> AfterFault {
        // A status below 400 is retried only where --retry-on names it: the API works, the answer is not ready yet.
        let is_unready = matches!(fault.cause, Cause::Status(..400));
        let first = (tries.retries == 0).then_some(seq);
        let advice = if is_unready {
            self.health.record_not_ready();
            Advice::Retry
        } else {
            self.health.failed(first, fault, started)
        };
        let is_last = advice == Advice::Retry && tries.retries == self.retry.retries;
        let draw = self.draw(tries.retries);
        let asked = if is_unready { self.wait_asked_by(fault) } else { self.pause_for(fault, draw) };
        if let Advice::Hold { pause: Some(pause) } = advice {
            self.gate.pause(Instant::now() + pause, PauseReason::Outage);
        }
        match (asked, advice) {
            (Err(deferral), _) => AfterFault::Defer(deferral),
            (_, Advice::Stop(reason)) => {
                self.shutdown.trigger(reason);
                AfterFault::Defer(Deferral::Stopped)
            }
            _ if is_last => AfterFault::Fail,
            (Ok(asked), Advice::Hold { .. }) => AfterFault::Retry(asked),
            (Ok(asked), Advice::Retry) => {
                if !is_unready {
                    self.health.retried();
                }
                tries.retries += 1;
                AfterFault::Retry(asked.saturating_add(draw))
            }
        }
    }

    /// A permit to send, or nothing once the run stops.
    ///
    /// Until one connection is open, few attempts try to open one, so that a dead port does not get all of them. This
    /// bound comes before the gate, because a request that has passed the gate must be sent at once.
    async fn admit(&self) -> Option<(Permit, Option<SemaphorePermit<'_>>)> {
        if self.shutdown.is_triggered() {
            return None;
        }
        let admit = async {
            let initial_connect = if self.initial_connects.is_closed() {
                None
            } else {
                self.initial_connects.acquire().await.ok()
            };
            (self.gate.admit().await, initial_connect)
        };
        tokio::select! {
            biased;
            admitted = admit => Some(admitted),
            () = self.shutdown.triggered() => None,
        }
    }

    /// Sends, and follows redirects; every hop passes the gate. Gives nothing when the run stops between two hops.
    async fn attempt(
        &self,
        job: &Job,
        mut permit: Permit,
        tries: &mut Tries,
    ) -> (Result<SendOutcome, Stopped>, Permit) {
        let mut redirected: Option<Request> = None;
        let mut status = 0;
        for _ in 0..=redirect::MAX_REDIRECTS {
            if self.shutdown.is_triggered() {
                return (Err(Stopped), permit);
            }
            let request = redirected.as_ref().unwrap_or(&job.request);
            tries.attempts += 1;
            let sent = Instant::now();
            let mut result = self.transport.send(request, Reuse::Allowed).await;
            let is_free = matches!(&result, Err(error) if error.safe_to_resend);
            if is_free && !tries.was_resent && !self.shutdown.is_triggered() {
                // The server may have closed the other kept-alive connections too.
                tries.was_resent = true;
                if self.readmit(&mut permit).await.is_err() {
                    return (Err(Stopped), permit);
                }
                result = self.transport.send(request, Reuse::Never).await;
            }
            let answer = match result {
                Err(error) => return (Ok(SendOutcome::Failed(error)), permit),
                Ok(answer) => answer,
            };
            let Classifier { settings, mask, .. } = self.answers.classifier();
            let is_named =
                || settings.null_on.contains(answer.status) || settings.retry_on.contains(answer.status);
            if !redirect::is_redirect(answer.status) || is_named() {
                return (Ok(SendOutcome::Answer(answer)), permit);
            }
            status = answer.status;
            self.report_answer(job, status, sent.elapsed(), 0);
            match redirect::follow(request, answer.status, &answer.headers, self.retry.follow) {
                Ok(next) => redirected = Some(next),
                Err(mut fault) => {
                    fault.detail = display_safe(&mask.apply(&fault.detail), REFUSAL_CHARS).into();
                    return (Ok(SendOutcome::RedirectRefused(fault)), permit);
                }
            }
            if self.readmit(&mut permit).await.is_err() {
                return (Err(Stopped), permit);
            }
        }
        let detail = format!("more than {} redirects", redirect::MAX_REDIRECTS);
        let fault = Fault::new(Cause::Redirect, detail).with_status(status);
        (Ok(SendOutcome::RedirectRefused(fault)), permit)
    }

    /// Passes the gate again. While it waits the job is not in flight: when the run stops it ends at once, and sends
    /// nothing more.
    async fn readmit(&self, permit: &mut Permit) -> Result<(), Stopped> {
        tokio::select! {
            biased;
            () = self.shutdown.triggered() => Err(Stopped),
            () = permit.resend() => Ok(()),
        }
    }

    fn draw(&self, retries: u32) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        backoff(retries, &mut rng)
    }
}

#[cfg(test)]
mod tests;
