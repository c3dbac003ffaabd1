//! The one retry loop: a job in, an entry out.
//!
//! Every attempt, be it the first, a retry or a redirect, leaves through the gate, and nothing below
//! this loop sends a second time. A job that waits out its back-off holds no place in flight.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::backoff::backoff;
use super::classify::{Classification, Offload, ResponseSettings};
use super::health::{Advice, Health};
use super::rate_fields;
use super::redirect::{self, Follow};
use super::retry_after::retry_after;
use super::shutdown::Shutdown;
use super::transport::{RawAnswer, Reuse, SendError, Transport};
use crate::limit::{Gate, LoadSignal, Permit};
use crate::model::fault::RetryAfter;
use crate::model::job::redacted_url;
use crate::model::{
    Cause, Deferral, Entry, Event, Fault, Job, Outcome, PauseReason, Reporter, Request, StopReason,
    display_safe,
};

/// How much is shown of why a redirect was refused; it may name an address of any length.
const REFUSAL_CHARS: usize = 300;

/// How often and how long a job is tried again.
#[derive(Debug, Clone)]
pub struct RetrySettings {
    /// Retries after the first attempt.
    pub retries: u32,
    /// A server that asks for longer defers the run.
    pub max_retry_after: Duration,
    /// Which redirects are followed.
    pub follow: Follow,
}

/// Takes jobs to their outcome. Shared by all jobs of a run.
pub struct Fetcher<T> {
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

/// What the fetcher works with, beside its transport.
pub struct Companions {
    /// The one door to the network.
    pub gate: Arc<Gate>,
    /// Who is told what happened.
    pub reporter: Arc<dyn Reporter>,
    /// Ends the run early.
    pub shutdown: Arc<Shutdown>,
    /// Closed by the transport's first connection; until then it bounds how many attempts look for one.
    pub initial_connects: Arc<Semaphore>,
}

/// The run stopped before the attempt was over.
struct Stopped;

/// What one attempt, redirects included, came to.
enum SendOutcome {
    Answer(RawAnswer),
    Refused(Fault),
    SendError(SendError),
}

impl<T: Transport> Fetcher<T> {
    /// For jobs whose attempts leave through this gate.
    pub fn new(
        transport: T,
        retry: RetrySettings,
        response: ResponseSettings,
        companions: Companions,
    ) -> Self {
        let Companions { gate, reporter, shutdown, initial_connects } = companions;
        let health = Health::new(gate.view().limit);
        let rng = Mutex::new(fastrand::Rng::new());
        let answers = Offload::new(response);
        let accepted = OnceLock::new();
        Self { transport, gate, retry, answers, reporter, shutdown, health, initial_connects, rng, accepted }
    }

    /// How often an attempt is made again at most.
    pub fn retries(&self) -> u32 {
        self.retry.retries
    }

    /// The first job whose answer showed that the credentials were good, if there was one.
    pub fn accepted(&self) -> Option<&Job> {
        self.accepted.get()
    }

    /// Asks until the job has an outcome, or until the run stops.
    pub async fn fetch(&self, job: Job) -> Entry {
        let (mut attempts, mut sent) = (0, None);
        let outcome = self.outcome(&job, (&mut attempts, &mut sent)).await;
        if self.accepted.get().is_none() && outcome.shows_good_credentials() {
            // Another one may have come first.
            let _ = self.accepted.set(job.clone());
        }
        let Job { seq, line, key, fingerprint, record, request } = job;
        let failed = matches!(outcome, Outcome::Failed(_));
        let address = failed.then(|| self.answers.settings().mask.apply(&redacted_url(&request.url)).into());
        Entry { seq, line, key, fingerprint, attempts, sent, outcome, record, address }
    }

    async fn outcome(
        &self,
        job: &Job,
        (attempts, sent): (&mut u32, &mut Option<std::time::Instant>),
    ) -> Outcome {
        let mut retries = 0;
        let mut resent = false;
        loop {
            let Some((permit, _initial_connect)) = self.admit().await else {
                return Outcome::Deferred(Deferral::Stopped);
            };
            let started = Instant::now();
            *sent = Some(started.into_std());
            let (ended, permit) = self.attempt(job, permit, &mut resent, attempts).await;
            let Ok(ended) = ended else { return Outcome::Deferred(Deferral::Stopped) };
            let (verdict, signal) = self.judge(ended, started.elapsed(), job).await;
            let fault = match verdict.masked(&self.answers.settings().mask) {
                Classification::Keep(answer) => {
                    permit.finish(signal);
                    self.health.answered(started);
                    return Outcome::Fetched(answer);
                }
                Classification::GiveUp(fault) => {
                    // A status that is not retried may still ask the pool for quiet.
                    let asked = self.pause_for(&fault, self.draw(retries));
                    permit.finish(signal);
                    self.health.answered(started);
                    return match asked {
                        Ok(_) => Outcome::Failed(fault),
                        Err(deferral) => Outcome::Deferred(deferral),
                    };
                }
                Classification::Retry(fault) => fault,
            };
            // A status below 400 is retried only where --retry-on names it: the API works, the answer is not ready yet.
            let is_unready = matches!(fault.cause, Cause::Status(..400));
            let first = (retries == 0).then_some(job.seq);
            let advice = if is_unready {
                self.health.record_not_ready();
                Advice::Retry
            } else {
                self.health.failed(first, &fault, started)
            };
            let last = advice == Advice::Retry && retries == self.retry.retries;
            let draw = self.draw(retries);
            // The pool pauses before this attempt's place is free: nobody slips out in between.
            let asked = if is_unready { self.wait_asked_by(&fault) } else { self.pause_for(&fault, draw) };
            if let Advice::Hold { pause: Some(pause) } = advice {
                self.gate.pause(Instant::now() + pause, PauseReason::Outage);
            }
            permit.finish(signal);
            let wait = match (asked, advice) {
                (Err(deferral), _) => return Outcome::Deferred(deferral),
                (_, Advice::Stop(reason)) => {
                    self.shutdown.trigger(reason);
                    continue;
                }
                _ if last => return Outcome::Failed(fault),
                (Ok(asked), Advice::Hold { .. }) => asked,
                (Ok(asked), Advice::Retry) => {
                    if !is_unready {
                        self.health.retried();
                    }
                    retries += 1;
                    asked.saturating_add(draw)
                }
            };
            let told = Event::AttemptRetried {
                key: &job.key,
                line: job.line,
                fault: &fault,
                attempt: *attempts,
                wait,
            };
            self.reporter.on(&told);
            tokio::select! {
                biased;
                () = self.shutdown.triggered() => return Outcome::Deferred(Deferral::Stopped),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// A place in flight, or nothing once the run stops.
    ///
    /// Until one connection stands, few attempts look for one: a dead port is not hammered. That
    /// comes before the gate, because who has passed the gate must send at once.
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

    /// Sends, and follows redirects; every hop takes a turn at the gate. Gives nothing when the run
    /// stops between two hops.
    async fn attempt(
        &self,
        job: &Job,
        mut permit: Permit,
        resent: &mut bool,
        attempts: &mut u32,
    ) -> (Result<SendOutcome, Stopped>, Permit) {
        let mut elsewhere: Option<Request> = None;
        let mut status = 0;
        for _ in 0..=redirect::MAX_REDIRECTS {
            if self.shutdown.is_triggered() {
                return (Err(Stopped), permit);
            }
            let request = elsewhere.as_ref().unwrap_or(&job.request);
            *attempts += 1;
            let sent = Instant::now();
            let mut result = self.transport.send(request, Reuse::Allowed).await;
            if !*resent
                && matches!(&result, Err(send_error) if send_error.safe_to_resend)
                && !self.shutdown.is_triggered()
            {
                // The server had closed the kept-alive connection: free for the SKU, once. It may have
                // closed the other kept ones as well.
                *resent = true;
                if self.again(&mut permit).await.is_err() {
                    return (Err(Stopped), permit);
                }
                result = self.transport.send(request, Reuse::Never).await;
            }
            let answer = match result {
                Err(send_error) => return (Ok(SendOutcome::SendError(send_error)), permit),
                Ok(answer) => answer,
            };
            let settings = self.answers.settings();
            let named =
                || settings.null_on.contains(answer.status) || settings.retry_on.contains(answer.status);
            if !redirect::is_redirect(answer.status) || named() {
                return (Ok(SendOutcome::Answer(answer)), permit);
            }
            status = answer.status;
            self.answered(job, status, sent.elapsed(), 0);
            match redirect::follow(request, answer.status, &answer.headers, self.retry.follow) {
                Ok(next) => elsewhere = Some(next),
                Err(mut fault) => {
                    fault.detail = display_safe(&settings.mask.apply(&fault.detail), REFUSAL_CHARS).into();
                    return (Ok(SendOutcome::Refused(fault)), permit);
                }
            }
            if self.again(&mut permit).await.is_err() {
                return (Err(Stopped), permit);
            }
        }
        let detail = format!("more than {} redirects", redirect::MAX_REDIRECTS);
        (Ok(SendOutcome::Refused(Fault::new(Cause::Redirect, detail).with_status(status))), permit)
    }

    /// Waits for another turn at the gate. Who waits is not in flight: when the run stops it leaves at once, and
    /// sends nothing more.
    async fn again(&self, permit: &mut Permit) -> Result<(), Stopped> {
        tokio::select! {
            biased;
            () = self.shutdown.triggered() => Err(Stopped),
            () = permit.resend() => Ok(()),
        }
    }

    /// Judges what came, tells the reporter, and says what the gate should learn from it.
    async fn judge(&self, ended: SendOutcome, latency: Duration, job: &Job) -> (Classification, LoadSignal) {
        let answer = match ended {
            SendOutcome::Answer(answer) => answer,
            SendOutcome::Refused(fault) => return (Classification::GiveUp(fault), LoadSignal::Cheap),
            SendOutcome::SendError(send_error) => {
                return self.judge_send_error(send_error.fault, latency, job);
            }
        };
        let status = answer.status;
        let now = SystemTime::now();
        let asked = retry_after(&answer.headers, now);
        self.mind_quota(&answer.headers, now);
        self.answered(job, status, latency, answer.body.len() as u64);
        let signal = match status {
            200..=399 => LoadSignal::Good { latency },
            429 | 503 => LoadSignal::Overload { latency },
            400..=499 => LoadSignal::Cheap,
            _ => LoadSignal::Fault,
        };
        let conditional = job.request.headers.contains_key(IF_NONE_MATCH)
            || job.request.headers.contains_key(IF_MODIFIED_SINCE);
        match self.answers.classify(answer, conditional).await {
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

    /// Slows down before the server has to say 429; a quota that is used up for too long defers the run.
    fn mind_quota(&self, headers: &HeaderMap, now: SystemTime) {
        let Some(quota) = rate_fields::quota(headers, now) else { return };
        if quota.remaining == 0 && !self.gate.accepts_pause(quota.reset) {
            self.shutdown.trigger(StopReason::AskedToWait(Some(quota.reset)));
        } else if let Some(reset) = Instant::now().checked_add(quota.reset) {
            self.gate.report_quota(quota.remaining, reset);
        }
    }

    fn answered(&self, job: &Job, status: u16, latency: Duration, bytes: u64) {
        let (key, line) = (&job.key, job.line);
        self.reporter.on(&Event::AttemptAnswered { key, line, status, latency, bytes });
    }

    fn judge_send_error(&self, fault: Fault, latency: Duration, job: &Job) -> (Classification, LoadSignal) {
        if let Some(status) = fault.status {
            // The head came, and the server counts it.
            self.answered(job, status, latency, 0);
        }
        let signal =
            if fault.cause == Cause::Timeout { LoadSignal::Overload { latency } } else { LoadSignal::Fault };
        match fault.cause {
            Cause::Certificate => {
                let detail = self.answers.settings().mask.apply(&fault.detail).into_owned();
                self.shutdown.trigger(StopReason::Certificate(detail));
                (Classification::Retry(fault), signal)
            }
            Cause::TooLarge => (Classification::GiveUp(fault), signal),
            _ => (Classification::Retry(fault), signal),
        }
    }

    /// How long the server wants this SKU to wait. A longer wait than `--max-retry-after` ends the run.
    fn wait_asked_by(&self, fault: &Fault) -> Result<Duration, Deferral> {
        let too_long = match fault.retry_after {
            None => return Ok(Duration::ZERO),
            Some(RetryAfter::Wait(wait)) if wait <= self.retry.max_retry_after => return Ok(wait),
            Some(RetryAfter::Wait(wait)) => Some(wait),
            Some(RetryAfter::TooLong) => None,
        };
        self.shutdown.trigger(StopReason::AskedToWait(too_long));
        Err(Deferral::AskedToWait)
    }

    /// Pauses the pool as the answer asks, and says how long the server wants quiet.
    fn pause_for(&self, fault: &Fault, draw: Duration) -> Result<Duration, Deferral> {
        if !matches!(fault.status, Some(429 | 503)) {
            return Ok(Duration::ZERO);
        }
        let wait = self.wait_asked_by(fault)?;
        let pause = match fault.status {
            Some(429) if fault.retry_after.is_none() => Some((429, draw)),
            Some(status) if !wait.is_zero() => Some((status, wait)),
            _ => None,
        };
        if let Some((status, pause)) = pause {
            let reason = PauseReason::Refused { status, has_retry_after: fault.retry_after.is_some() };
            self.gate.pause(Instant::now() + pause, reason);
        }
        Ok(wait)
    }

    fn draw(&self, retries: u32) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        backoff(retries, &mut rng)
    }
}

#[cfg(test)]
mod tests;
