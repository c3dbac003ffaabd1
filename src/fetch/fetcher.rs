//! The one retry loop: a job in, an entry out.
//!
//! Every attempt, be it the first, a retry or a redirect, passes the gate, and nothing below this loop sends a second
//! time. A job that waits out its back-off holds no permit.

mod attempt;
mod companions;
mod feedback;
mod forbidden;
mod next_attempt;
mod page_budget;
mod pages;
mod requested;
mod retry_settings;
mod tokens;

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub(crate) use companions::Companions;
pub(crate) use requested::{ItemEnd, PackEnd, UnpackedAnswer};
use requested::{PagesEnd, QueueEnd, Requested};
pub(crate) use retry_settings::RetrySettings;
use tokens::TokensOfJob;

use page_budget::PageBudget;

use next_attempt::{
    AttemptEnd, BeforeAttempt, FailuresOfJob, GivenUp, NextAttempt, RefusalsOfJob, SentAttempt,
};

use super::classify::{Classifier, Offload, SameErrors};
use super::cookies::CookieJar;
use super::health::{AnsweredFor, Health};
use super::rate_fields::NewestQuotaSize;
use super::shutdown::Shutdown;
use super::token::TokenKeeper;
use super::transport::{RawAnswer, ResendBudget, SendError, Transport};
use crate::limit::{Gate, LoadSignal, Permit};
use crate::model::request_url::redacted_url;
use crate::model::{Deferral, Entry, Fault, Job, Outcome, Reporter};

/// Characters that are shown of why a redirect was refused: it may name an address of any length.
const REFUSAL_CHARS: usize = 300;

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
    quota: NewestQuotaSize,
    /// Where nothing is sent again: failures that may be refusals tell the gate so.
    learns_from_failures: AtomicBool,
    /// Keys are asked for in packs.
    packs_keys: bool,
    /// Gives the token of each request, where one is fetched.
    tokens: Option<TokenKeeper>,
    page_budget: PageBudget,
    /// None: cookies are not kept.
    cookies: Option<CookieJar>,
    /// Good answers that name a next page, where none is asked for.
    unfollowed: AtomicU64,
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
    /// Requests that were sent, those of redirects included; free resends, and attempts that cost the SKU nothing,
    /// are excluded.
    attempts: u32,
    /// Requests that cost the SKU nothing because the load explains their failures.
    strained: u32,
    failures: FailuresOfJob,
    refusals: RefusalsOfJob,
    /// When the last attempt started.
    sent: Option<std::time::Instant>,
    /// When its newest request left, a free resend counted, which may have waited at the gate.
    left: Option<Instant>,
    /// Its free resends.
    resends: ResendBudget,
    /// The job failed, unless the API is down; with its attempts.
    pending: Option<(Fault, u32)>,
    /// Before the job is sent again, a SKU that came before is the probe.
    asks_known: bool,
    tokens: TokensOfJob,
}

impl Tries {
    /// When the newest request left; `started` if none was sent.
    fn left(&self, started: Instant) -> Instant {
        self.left.unwrap_or(started)
    }
}

/// What an attempt came to, as far as its job is concerned.
enum Judged<K> {
    /// The job has its answer.
    Keep(K),
    /// The job has failed.
    GiveUp(Fault),
    /// A fault that another attempt may mend.
    Retry(Fault),
    /// The server said "slow down": the SKU has nothing to do with it.
    Refused(Fault),
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
        let health = Health::new(gate.view().limit, retry.wait_for_api);
        Self {
            transport,
            gate,
            retry,
            answers: Offload::new(classifier),
            reporter,
            shutdown,
            health,
            initial_connects,
            rng: Mutex::new(fastrand::Rng::new()),
            accepted: OnceLock::new(),
            quota: NewestQuotaSize::default(),
            learns_from_failures: AtomicBool::new(false),
            packs_keys: false,
            tokens: None,
            page_budget: PageBudget::new(Arc::default()),
            cookies: None,
            unfollowed: AtomicU64::new(0),
        }
    }

    /// The same, which is given packs only.
    #[must_use]
    pub(crate) fn for_packs(self) -> Self {
        Self { packs_keys: true, ..self }
    }

    /// Whether keys are asked for in packs.
    pub(crate) fn packs_keys(&self) -> bool {
        self.packs_keys
    }

    /// From now on the gate learns from failures that may be refusals, though no attempt is made again.
    pub(crate) fn learn_from_failures(&self) {
        self.learns_from_failures.store(true, Ordering::Relaxed);
    }

    /// How often an attempt is made again at most.
    pub(crate) fn retries(&self) -> u32 {
        self.retry.retries
    }

    /// Watches for one error that is the answer for one SKU after the other.
    pub(crate) fn same_errors(&self) -> SameErrors {
        SameErrors::new(self.answers.classifier().mask.clone())
    }

    /// The first job whose answer showed that the credentials were good, if there was one.
    pub(crate) fn accepted(&self) -> Option<&Job> {
        self.accepted.get()
    }

    /// Sends until the job has an outcome, or until the run stops.
    pub(crate) async fn fetch(&self, job: Job) -> Entry {
        let PagesEnd { outcome, attempts, sent } = match &self.answers.classifier().settings.pages {
            None => {
                let mut tries = Tries::default();
                let outcome = self.outcome(&job, &mut tries).await;
                PagesEnd { outcome, attempts: tries.attempts, sent: tries.sent }
            }
            // Boxed: otherwise the usual job's future would be as large as this one.
            Some(pages) => Box::pin(self.fetch_pages(&job, pages)).await,
        };
        if self.accepted.get().is_none() && outcome.shows_good_credentials() {
            // Another job may have been first.
            let _ = self.accepted.set(job.clone());
        }
        let Job { seq, line, key, fingerprint, record, request } = job;
        let failed = matches!(outcome, Outcome::Failed(_));
        let address =
            failed.then(|| self.answers.classifier().mask.apply(&redacted_url(&request.url)).into());
        let request = outcome.is_forbidden().then(|| Box::new(request));
        Entry {
            seq,
            line,
            key,
            fingerprint,
            attempts,
            sent,
            outcome,
            record,
            address,
            request,
            is_companion: false,
        }
    }

    async fn outcome<R: Requested>(&self, job: &R, tries: &mut Tries) -> Outcome<R::Kept> {
        let mut queue_end = job.queue_end();
        loop {
            let Some((permit, _initial_connect)) = self.admit(queue_end, job.keys()).await else {
                return Outcome::Deferred(Deferral::Stopped);
            };
            if std::mem::take(&mut tries.asks_known)
                && let Some(known) = self.accepted.get().filter(|known| self.may_send_again(known))
            {
                match self.ask_accepted(known, permit).await {
                    Ok(asks_known) => tries.asks_known = asks_known,
                    Err(deferral) => return Outcome::Deferred(deferral),
                }
                continue;
            }
            if let Some((fault, attempts)) =
                tries.pending.take_if(|_| self.have_others_come(tries.failures.first))
            {
                tries.attempts = attempts;
                return Outcome::Failed(fault);
            }
            let before = BeforeAttempt { attempts: tries.attempts, number: self.health.begin() };
            let started = Instant::now();
            let is_first = tries.sent.replace(started.into_std()).is_none();
            let (ended, permit) = self.attempt(job, (permit, started), tries).await;
            let Ok(ended) = ended else { return Outcome::Deferred(Deferral::Stopped) };
            let (judged, signal) =
                self.judge(ended, started.elapsed().saturating_sub(tries.tokens.waited), job, &permit).await;
            let judged = judged.of(job);
            let (fault, next, signal) = match judged {
                Judged::Keep(answer) => {
                    self.accept_token(&tries.tokens, signal);
                    permit.finish(signal);
                    self.health.answered(tries.left(started), answered_for(is_first));
                    return Outcome::Fetched(answer);
                }
                Judged::GiveUp(fault) => match self.after_give_up(&fault, tries, signal) {
                    GivenUp::Refused => {
                        let signal =
                            LoadSignal::Refused { status: 403, asked: None, latency: started.elapsed() };
                        let next = self.after_refusal(&fault, tries, (&before, permit.is_probe()));
                        permit.finish(signal);
                        (fault, next, signal)
                    }
                    GivenUp::TokenRefused(renewal) => {
                        permit.finish(signal);
                        tries.attempts = before.attempts;
                        (fault, NextAttempt::WithNewToken(renewal), signal)
                    }
                    GivenUp::Final => {
                        self.record_given_up(&fault, tries.left(started), answered_for(is_first));
                        permit.finish(signal);
                        return Outcome::Failed(fault);
                    }
                    GivenUp::Limited(asked) => {
                        permit.finish(signal);
                        return asked.map_or_else(Outcome::Deferred, |_| Outcome::Failed(fault));
                    }
                },
                Judged::Refused(fault) => {
                    let next = self.after_refusal(&fault, tries, (&before, permit.is_probe()));
                    permit.finish(signal);
                    (fault, next, signal)
                }
                Judged::Retry(fault) => {
                    let sent = SentAttempt::again(job.seq(), tries.left(started), &permit, &before);
                    let sent = SentAttempt { is_first, ..sent };
                    let (next, is_strained) = self.after_fault(&fault, tries, &sent);
                    // The pool was paused before the permit is returned: no other request is sent in between.
                    let signal = self.load_of_fault(&fault, signal, (is_strained, tries));
                    permit.finish(signal);
                    (fault, next, signal)
                }
            };
            let ended = AttemptEnd { fault, signal, attempt: before.attempts + 1 };
            queue_end = match Box::pin(self.wait_for_next(job, ended, next)).await {
                Ok(queue_end) => queue_end,
                Err(outcome) => return outcome,
            };
        }
    }

    /// Waits for the next attempt of a job. Where the job waits at the gate then; or how it ended.
    async fn wait_for_next<R: Requested>(
        &self,
        job: &R,
        ended: AttemptEnd,
        next: NextAttempt,
    ) -> Result<QueueEnd, Outcome<R::Kept>> {
        let (waited, queue_end) = match next {
            NextAttempt::After(wait, queue_end) => {
                self.report_retry(job, &ended, wait);
                (self.rest(wait).await, queue_end)
            }
            NextAttempt::WithNewToken(renewal) => (self.renew_token(renewal).await, QueueEnd::Front),
            NextAttempt::Fail => return Err(Outcome::Failed(ended.fault)),
            NextAttempt::Defer(deferral) => return Err(Outcome::Deferred(deferral)),
        };
        waited.map(|()| queue_end).map_err(|Stopped| Outcome::Deferred(Deferral::Stopped))
    }

    /// A permit to send, or nothing once the run stops.
    ///
    /// Until one connection is open, few attempts try to open one, so that a dead port does not get all of them. This
    /// bound comes before the gate, because a request that has passed the gate must be sent at once.
    async fn admit(
        &self,
        queue_end: QueueEnd,
        keys: NonZeroU32,
    ) -> Option<(Permit, Option<SemaphorePermit<'_>>)> {
        if self.shutdown.is_triggered() {
            return None;
        }
        // Pinned here: the macro would move it, and it has all that waiting at the gate may need.
        let admit = pin!(async {
            let initial_connect = if self.initial_connects.is_closed() {
                None
            } else {
                self.initial_connects.acquire().await.ok()
            };
            let permit = match queue_end {
                QueueEnd::Front => self.gate.admit_refused(keys).await,
                QueueEnd::Back => self.gate.admit_for(keys).await,
            };
            (permit, initial_connect)
        });
        tokio::select! {
            biased;
            admitted = admit => Some(admitted),
            () = self.shutdown.triggered() => None,
        }
    }

    /// Waits; nothing once the run stops.
    async fn rest(&self, wait: Duration) -> Result<(), Stopped> {
        if wait.is_zero() {
            // The way to the gate checks whether the run stops.
            return Ok(());
        }
        tokio::select! {
            biased;
            () = self.shutdown.triggered() => Err(Stopped),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    fn draw(&self, backoff: fn(u32, &mut fastrand::Rng) -> Duration, retries: u32) -> Duration {
        backoff(retries, &mut self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn answered_for(is_first: bool) -> AnsweredFor {
    if is_first { AnsweredFor::FirstAttempt } else { AnsweredFor::Retry }
}

#[cfg(test)]
mod tests;
