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
use super::classify::{Classifier, Offload};
use super::health::{Advice, Health};
use super::redirect::{self, Follow};
use super::shutdown::Shutdown;
use super::transport::{RawAnswer, ResendBudget, Reuse, SendError, Transport};
use crate::limit::{Gate, LoadSignal, Permit};
use crate::model::job::redacted_url;
use crate::model::{
    Answer, Cause, Deferral, Entry, Event, Fault, Job, Outcome, PauseReason, Reporter, Request, Seq,
    StopReason, display_safe,
};

/// Characters that are shown of why a redirect was refused: it may name an address of any length.
const REFUSAL_CHARS: usize = 300;
/// The run ends after refusals for this long without one good answer, or twice the longest wait that a server may ask
/// for.
const REFUSED_FOR_AT_MOST: Duration = Duration::from_mins(10);
/// A SKU that is refused so often, with good answers to others before each time, is refused for itself.
const PASSED_OVER_AT_MOST: u32 = 100;
/// After so many refused probes a job lets another one be the probe: it may be refused for itself.
const PROBES_IN_A_ROW: u32 = 3;

/// How often a job is tried again, and where redirects may lead.
#[derive(Debug, Clone)]
pub struct RetrySettings {
    /// Retries after the first attempt.
    pub retries: u32,
    /// Which redirects are followed.
    pub follow: Follow,
    /// What becomes of a SKU whose attempt was refused: it is sent again, as often as it takes, or it has failed
    /// (`tune`, for which a refusal is an observation).
    pub sends_refused_again: bool,
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
    refusals: RefusalsOfJob,
    /// When the last attempt started.
    sent: Option<std::time::Instant>,
    /// Its free resends.
    resends: ResendBudget,
}

/// The refusals of one job so far.
#[derive(Default)]
struct RefusalsOfJob {
    /// When the newest one came.
    newest: Option<Instant>,
    /// How many came to this job as the probe of a pause, since it let another job go first.
    as_probe: u32,
    /// How many came though another job had a good answer since the one before.
    passed_over: u32,
}

/// Where a job waits at the gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum QueueEnd {
    /// Before all that were not sent yet.
    Front,
    /// Behind them.
    #[default]
    Back,
}

/// What an attempt came to, as far as its job is concerned.
enum Judged {
    /// The job has its answer.
    Keep(Answer),
    /// The job has failed.
    GiveUp(Fault),
    /// A fault that another attempt may mend.
    Retry(Fault),
    /// The server said "slow down": the SKU has nothing to do with it.
    Refused(Fault),
}

/// What follows an attempt that brought no answer to keep.
enum NextAttempt {
    /// Another attempt after this wait.
    After(Duration, QueueEnd),
    /// The retries are used up.
    Fail,
    /// The run ends.
    Defer(Deferral),
}

impl RefusalsOfJob {
    /// Where the job waits: at the front, but for one that was the probe several times.
    fn queue_end(&mut self, was_probe: bool) -> QueueEnd {
        self.as_probe += u32::from(was_probe);
        if self.as_probe < PROBES_IN_A_ROW {
            return QueueEnd::Front;
        }
        self.as_probe = 0;
        QueueEnd::Back
    }
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
        let mut queue_end = QueueEnd::Back;
        loop {
            let Some((permit, _initial_connect)) = self.admit(queue_end).await else {
                return Outcome::Deferred(Deferral::Stopped);
            };
            let started = Instant::now();
            tries.sent = Some(started.into_std());
            let attempts_before = tries.attempts;
            let (ended, permit) = self.attempt(job, permit, tries).await;
            let Ok(ended) = ended else { return Outcome::Deferred(Deferral::Stopped) };
            let (judged, signal) = self.judge(ended, started.elapsed(), job, &permit).await;
            let (fault, next) = match judged {
                Judged::Keep(answer) => {
                    permit.finish(signal);
                    self.health.answered(started);
                    return Outcome::Fetched(answer);
                }
                Judged::GiveUp(fault) => {
                    // A status that is final by the user's word may be a refusal all the same.
                    let asked = if matches!(signal, LoadSignal::Refused { .. }) {
                        self.wait_asked_by(&fault)
                    } else {
                        self.health.answered(started);
                        Ok(Duration::ZERO)
                    };
                    permit.finish(signal);
                    return asked.map_or_else(Outcome::Deferred, |_| Outcome::Failed(fault));
                }
                Judged::Refused(fault) => {
                    let next = self.after_refusal(&fault, tries, permit.is_probe());
                    if matches!(next, NextAttempt::After(..)) {
                        tries.attempts = attempts_before;
                    }
                    permit.finish(signal);
                    (fault, next)
                }
                Judged::Retry(fault) => {
                    let next = self.after_fault(&fault, tries, job.seq, started);
                    // The pool was paused before the permit is returned: no other request is sent in between.
                    permit.finish(signal);
                    (fault, next)
                }
            };
            let wait = match next {
                NextAttempt::After(wait, end) => {
                    queue_end = end;
                    wait
                }
                NextAttempt::Fail => return Outcome::Failed(fault),
                NextAttempt::Defer(deferral) => return Outcome::Deferred(deferral),
            };
            let (key, line, attempt) = (&job.key, job.line, attempts_before + 1);
            self.reporter.on(&Event::AttemptRetried { key, line, fault: &fault, attempt, wait });
            tokio::select! {
                biased;
                () = self.shutdown.triggered() => return Outcome::Deferred(Deferral::Stopped),
                () = tokio::time::sleep(wait), if !wait.is_zero() => {}
                () = std::future::ready(()), if wait.is_zero() => {}
            }
        }
    }

    /// What follows a refusal: the job waits at the gate, which pauses the pool or lowers its pace.
    fn after_refusal(&self, fault: &Fault, tries: &mut Tries, was_probe: bool) -> NextAttempt {
        if let Err(deferral) = self.wait_asked_by(fault) {
            return NextAttempt::Defer(deferral);
        }
        if self.is_refused_for_too_long() {
            let status = fault.status.unwrap_or_default();
            self.shutdown.trigger(StopReason::OnlyRefused { status, lasted: self.gate.refused_for() });
            return NextAttempt::Defer(Deferral::Stopped);
        }
        self.health.record_not_ready();
        if !self.retry.sends_refused_again || self.is_refused_alone(&mut tries.refusals) {
            return NextAttempt::Fail;
        }
        NextAttempt::After(Duration::ZERO, tries.refusals.queue_end(was_probe))
    }

    /// Whether refusals came for too long without one good answer.
    fn is_refused_for_too_long(&self) -> bool {
        self.gate.refused_for() >= REFUSED_FOR_AT_MOST.max(2 * self.gate.max_retry_after())
    }

    /// Takes note of a refusal. Whether others had good answers all the while, so that it is this SKU which is refused
    /// and not the client.
    fn is_refused_alone(&self, refusals: &mut RefusalsOfJob) -> bool {
        let others_came = refusals.newest.is_some_and(|newest| self.health.has_answered_since(newest));
        refusals.passed_over += u32::from(others_came);
        refusals.newest = Some(Instant::now());
        refusals.passed_over >= PASSED_OVER_AT_MOST
    }

    /// Records a fault, pauses the pool where the API is down, and decides what follows.
    fn after_fault(&self, fault: &Fault, tries: &mut Tries, seq: Seq, started: Instant) -> NextAttempt {
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
        let asked = if is_unready { self.wait_asked_by(fault) } else { Ok(Duration::ZERO) };
        if let Advice::Hold { pause: Some(pause) } = advice {
            self.gate.pause(Instant::now() + pause, PauseReason::Outage);
        }
        match (asked, advice) {
            (Err(deferral), _) => NextAttempt::Defer(deferral),
            (_, Advice::Stop(reason)) => {
                self.shutdown.trigger(reason);
                NextAttempt::Defer(Deferral::Stopped)
            }
            _ if is_last => NextAttempt::Fail,
            (Ok(asked), Advice::Hold { .. }) => NextAttempt::After(asked, QueueEnd::Back),
            (Ok(asked), Advice::Retry) => {
                if !is_unready {
                    self.health.retried();
                }
                tries.retries += 1;
                NextAttempt::After(asked.saturating_add(draw), QueueEnd::Back)
            }
        }
    }

    /// A permit to send, or nothing once the run stops.
    ///
    /// Until one connection is open, few attempts try to open one, so that a dead port does not get all of them. This
    /// bound comes before the gate, because a request that has passed the gate must be sent at once.
    async fn admit(&self, queue_end: QueueEnd) -> Option<(Permit, Option<SemaphorePermit<'_>>)> {
        if self.shutdown.is_triggered() {
            return None;
        }
        let admit = async {
            let initial_connect = if self.initial_connects.is_closed() {
                None
            } else {
                self.initial_connects.acquire().await.ok()
            };
            let permit = match queue_end {
                QueueEnd::Front => self.gate.admit_refused().await,
                QueueEnd::Back => self.gate.admit().await,
            };
            (permit, initial_connect)
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
            let answer = match self.send(request, &mut permit, &mut tries.resends).await {
                Err(Stopped) => return (Err(Stopped), permit),
                Ok(Err(error)) => return (Ok(SendOutcome::Failed(error)), permit),
                Ok(Ok(answer)) => answer,
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

    /// Sends, and sends again what costs no attempt; each time through the gate.
    async fn send(
        &self,
        request: &Request,
        permit: &mut Permit,
        resends: &mut ResendBudget,
    ) -> Result<Result<RawAnswer, SendError>, Stopped> {
        let mut reuse = Reuse::Allowed;
        loop {
            let error = match self.transport.send(request, reuse).await {
                Err(error) if !self.shutdown.is_triggered() => error,
                ended => return Ok(ended),
            };
            let again = tokio::select! {
                biased;
                () = self.shutdown.triggered() => return Err(Stopped),
                again = resends.next(error) => again,
            };
            reuse = match again {
                Ok(reuse) => reuse,
                Err(error) => return Ok(Err(error)),
            };
            self.readmit(permit).await?;
        }
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
