//! What follows an attempt that brought no answer to keep: where and when its job is sent again, or how it ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::super::backoff::{backoff, last_backoff, strained_step};
use super::super::health::{Advice, AnsweredFor, FailedAttempt};
use super::super::token::RenewalWait;
use super::super::transport::Transport;
use super::requested::{QueueEnd, Requested};
use super::{Fetcher, Judged, Stopped, Tries};
use crate::limit::{LoadSignal, Permit};
use crate::model::{Cause, Deferral, Event, Fault, Job, PauseReason, Seq, StopReason};

/// The run ends after refusals for this long without one good answer, or twice the longest wait that a server may ask
/// for.
const REFUSED_FOR_AT_MOST: Duration = Duration::from_mins(10);
/// A SKU that is refused so often, with good answers to others before each time, is refused for itself.
const PASSED_OVER_AT_MOST: u32 = 100;
/// A SKU that fails so often while others come may be bad.
const FAILS_ALONE: u32 = 3;
/// A SKU that gets a 403 so often, with good answers to others before each time, is forbidden itself.
const FORBIDDEN_ALONE: u32 = 3;
/// After so many refused probes a job lets another one be the probe: it may be refused for itself.
const PROBES_IN_A_ROW: u32 = 3;

/// How often one job failed so far, in a way that another attempt may mend.
#[derive(Default)]
pub(super) struct FailuresOfJob {
    count: u32,
    pub(super) first: Option<Instant>,
    newest: Option<Instant>,
    /// The chance that the load explains them all, from 0 to 1.
    by_load: Option<f64>,
}

/// The refusals of one job so far.
#[derive(Default)]
pub(super) struct RefusalsOfJob {
    /// When the newest one came.
    newest: Option<Instant>,
    /// How many came to this job as the probe of a pause, since it let another job go first.
    as_probe: u32,
    /// How many came though another job had a good answer since the one before.
    passed_over: u32,
    /// When its newest 403 came that nothing explains.
    forbidden: Option<Instant>,
    /// How many of those came though another job had a good answer since the one before.
    forbidden_alone: u32,
}

/// What follows an attempt that brought no answer to keep.
pub(super) enum NextAttempt {
    /// Another attempt after this wait.
    After(Duration, QueueEnd),
    /// Another attempt at no cost, once there is a newer token.
    WithNewToken(RenewalWait),
    /// The retries are used up.
    Fail,
    /// The run ends.
    Defer(Deferral),
}

/// What was before an attempt.
pub(super) struct BeforeAttempt {
    /// The job's attempts.
    pub(super) attempts: u32,
    /// The number that the attempt got, among all of the run.
    pub(super) number: u64,
}

/// An attempt that was sent.
pub(super) struct SentAttempt<'a> {
    pub(super) seq: Seq,
    pub(super) left: Instant,
    pub(super) is_first: bool,
    /// It was the probe of a pause.
    pub(super) is_probe: bool,
    pub(super) before: &'a BeforeAttempt,
}

impl<'a> SentAttempt<'a> {
    /// One that was not the first of its SKU.
    pub(super) fn again(seq: Seq, left: Instant, permit: &Permit, before: &'a BeforeAttempt) -> Self {
        Self { seq, left, is_first: false, is_probe: permit.is_probe(), before }
    }
}

/// An attempt that brought no answer to keep.
pub(super) struct AttemptEnd {
    pub(super) fault: Fault,
    /// What the gate learnt from it.
    pub(super) signal: LoadSignal,
    /// The number of the attempt, from 1.
    pub(super) attempt: u32,
}

/// What a final answer means.
pub(super) enum GivenUp {
    /// The job has failed.
    Final,
    /// The job has failed, by the user's word; the answer is a refusal all the same, with this wait.
    Limited(Result<Duration, Deferral>),
    /// It is taken for a refusal.
    Refused,
    /// The token was refused: the job is sent again with a newer one, at no cost.
    TokenRefused(RenewalWait),
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
    /// What follows a refusal: the job waits at the gate, which pauses the pool or lowers its pace.
    pub(super) fn after_refusal(
        &self,
        fault: &Fault,
        tries: &mut Tries,
        (before, was_probe): (&BeforeAttempt, bool),
    ) -> NextAttempt {
        if let Err(deferral) = self.wait_asked_by(fault) {
            return NextAttempt::Defer(deferral);
        }
        if self.is_refused_for_too_long() {
            let status = fault.status.unwrap_or_default();
            self.shutdown.trigger(StopReason::OnlyRefused { status, lasted: self.gate.refused_for() });
            return NextAttempt::Defer(Deferral::Stopped);
        }
        self.health.record_refused();
        if !self.retry.sends_refused_again || self.is_refused_alone(&mut tries.refusals) {
            return NextAttempt::Fail;
        }
        tries.attempts = before.attempts;
        NextAttempt::After(Duration::ZERO, tries.refusals.queue_end(was_probe))
    }

    /// Whether refusals came for too long without one good answer.
    fn is_refused_for_too_long(&self) -> bool {
        self.gate.refused_for() >= REFUSED_FOR_AT_MOST.max(2 * self.gate.max_retry_after())
    }

    /// Takes note of a refusal. Whether others had good answers all the while, so that it is this SKU which is refused
    /// and not the client.
    fn is_refused_alone(&self, refusals: &mut RefusalsOfJob) -> bool {
        refusals.passed_over += u32::from(self.have_others_come(refusals.newest));
        refusals.newest = Some(Instant::now());
        refusals.passed_over >= PASSED_OVER_AT_MOST
    }

    /// Whether a good answer came to an attempt that left after this instant.
    pub(super) fn have_others_come(&self, since: Option<Instant>) -> bool {
        since.is_some_and(|since| self.health.has_answered_since(since))
    }

    /// What a final answer means. A 403 that nothing explains is a limit at times: it is sent again where the server
    /// refused a moment ago, until others came several times and it did not.
    pub(super) fn after_give_up(&self, fault: &Fault, tries: &mut Tries, signal: LoadSignal) -> GivenUp {
        if matches!(signal, LoadSignal::Refused { .. }) {
            return GivenUp::Limited(self.wait_asked_by(fault));
        }
        if let Some(renewal) = self.refused_token(fault, tries) {
            return GivenUp::TokenRefused(renewal);
        }
        let may_be_a_limit = fault.cause == Cause::Status(403)
            && self.retry.sends_refused_again
            && self.health.may_403_be_a_limit();
        if !may_be_a_limit {
            return GivenUp::Final;
        }
        let others_came = self.have_others_come(tries.refusals.forbidden);
        tries.refusals.forbidden_alone += u32::from(others_came);
        if tries.refusals.forbidden_alone >= FORBIDDEN_ALONE {
            return GivenUp::Final;
        }
        self.health.record_403();
        tries.refusals.forbidden = Some(Instant::now());
        GivenUp::Refused
    }

    /// Records a final answer that fails its job. Be it a 404, the API works; but one that says itself that something is
    /// wrong, as the user's filter reads it, is no sign of that.
    pub(super) fn record_given_up(&self, fault: &Fault, left: Instant, answered_for: AnsweredFor) {
        match fault.cause {
            Cause::Meaning(_) => self.health.record_not_ready(),
            Cause::Status(403) => self.health.answered(left, AnsweredFor::Forbidden),
            _ => self.health.answered(left, answered_for),
        }
    }

    /// Records a fault, pauses the pool where the API may be down, and decides what follows. Whether the load explains
    /// the fault.
    pub(super) fn after_fault(
        &self,
        fault: &Fault,
        tries: &mut Tries,
        sent: &SentAttempt<'_>,
    ) -> (NextAttempt, bool) {
        tries.failures.count += 1;
        tries.pending = None;
        let is_last = tries.failures.count > self.retry.retries;
        let draw = self.draw(backoff, tries.failures.count - 1);
        // A status below 400 is retried only where --retry-on names it: the API works, the answer is not ready yet.
        if matches!(fault.cause, Cause::Status(..400)) {
            self.health.record_not_ready();
            let next = match self.wait_asked_by(fault) {
                Err(deferral) => NextAttempt::Defer(deferral),
                Ok(_) if is_last => NextAttempt::Fail,
                Ok(asked) => NextAttempt::After(asked.saturating_add(draw), QueueEnd::Back),
            };
            return (next, false);
        }
        let now = Instant::now();
        let first_failed = *tries.failures.first.get_or_insert(now);
        let failed_before = tries.failures.newest.replace(now);
        let by_load = tries.failures.by_load.unwrap_or(1.0);
        self.record_connected();
        let advice = self.health.failed(FailedAttempt {
            seq: sent.seq,
            fault,
            left: sent.left,
            number: sent.before.number,
            is_first: sent.is_first,
            is_probe: sent.is_probe,
            failures: tries.failures.count,
            first_failed,
            failed_before,
            is_last: is_last && self.retry.sends_refused_again,
            by_load,
        });
        if !matches!(advice, Advice::Hold { .. }) {
            tries.failures.by_load = Some(by_load * self.health.share_by_load());
        }
        let next = match advice {
            Advice::Stop(reason) => {
                self.shutdown.trigger(reason);
                NextAttempt::Defer(Deferral::Stopped)
            }
            Advice::Hold { pause } => {
                if let Some(pause) = pause {
                    self.gate.pause(Instant::now() + pause.length, PauseReason::Outage);
                    tries.asks_known = pause.asks_known;
                }
                let has_failed = is_last && !self.health.is_by_load(fault.cause, by_load);
                tries.pending = has_failed.then(|| (fault.clone(), tries.attempts + tries.strained));
                tries.failures.count -= 1;
                tries.attempts = sent.before.attempts;
                let end = if tries.asks_known { QueueEnd::Front } else { QueueEnd::Back };
                NextAttempt::After(Duration::ZERO, end)
            }
            // `tune` observes, and learns from them once it searches for a limit.
            Advice::Strained | Advice::MayBeStrained { .. } if !self.retry.sends_refused_again => {
                return (NextAttempt::Fail, self.learns_from_failures.load(Ordering::Relaxed));
            }
            Advice::MayBeStrained { is_refused } => {
                tries.strained += tries.attempts - sent.before.attempts;
                tries.attempts = sent.before.attempts;
                tries.failures.count -= u32::from(is_refused);
                return (NextAttempt::After(draw, QueueEnd::Back), is_refused);
            }
            Advice::Strained => {
                tries.strained += tries.attempts - sent.before.attempts;
                tries.attempts = sent.before.attempts;
                let wait = strained_step(tries.failures.count)
                    .map_or(Duration::ZERO, |step| self.draw(backoff, step));
                return (NextAttempt::After(wait, QueueEnd::Front), true);
            }
            Advice::Retry if is_last => {
                tries.attempts += tries.strained;
                NextAttempt::Fail
            }
            Advice::Retry => {
                self.health.retried();
                let is_last_next = tries.failures.count == self.retry.retries;
                let wait =
                    if is_last_next { self.draw(last_backoff, tries.failures.count - 1) } else { draw };
                NextAttempt::After(wait, QueueEnd::Back)
            }
        };
        (next, false)
    }

    /// Takes note of it if a connection was opened.
    fn record_connected(&self) {
        if self.initial_connects.is_closed() {
            self.health.record_connected();
        }
    }

    /// What a fault says about the load. Connections that are refused beside others that stand are too many.
    pub(super) fn load_of_fault(
        &self,
        fault: &Fault,
        signal: LoadSignal,
        (is_strained, tries): (bool, &Tries),
    ) -> LoadSignal {
        let latency = Duration::ZERO;
        // A SKU that fails again and again while others come says nothing about the load: the API answers.
        let is_alone = tries.failures.count >= FAILS_ALONE && self.have_others_come(tries.failures.first);
        match fault.cause {
            Cause::Status(500 | 502..=504) if is_alone && !is_strained => LoadSignal::Cheap,
            Cause::Status(status @ (500 | 502..=504)) if is_strained => {
                LoadSignal::Strained { status, latency }
            }
            Cause::Status(503) if signal == LoadSignal::Fault => LoadSignal::Lone503,
            Cause::Lost if is_strained => LoadSignal::Overload { latency },
            Cause::Connect | Cause::Proxy(_) if is_strained || self.health.is_serving() => {
                LoadSignal::Overload { latency }
            }
            _ => signal,
        }
    }

    /// Whether a job that had its answer may be sent once more.
    pub(super) fn may_send_again(&self, known: &Job) -> bool {
        self.retry.retries > 0 || known.request.method.is_idempotent()
    }

    /// Sends a SKU that came before, as the probe of a pause. Returns whether it is to be the next probe, too.
    pub(super) async fn ask_known<R: Requested>(&self, known: &R, permit: Permit) -> Result<bool, Deferral> {
        let mut tries = Tries::default();
        let before = BeforeAttempt { attempts: 0, number: self.health.begin() };
        let left = Instant::now();
        let (ended, permit) = self.attempt(known, (permit, left), &mut tries).await;
        let Ok(ended) = ended else { return Err(Deferral::Stopped) };
        let (judged, signal) =
            self.judge(ended, left.elapsed().saturating_sub(tries.tokens.waited), known, &permit).await;
        let (fault, next, signal) = match judged {
            Judged::Keep(_) => {
                self.accept_token(&tries.tokens, signal);
                self.health.answered(tries.left(left), AnsweredFor::Known);
                permit.finish(signal);
                return Ok(false);
            }
            Judged::GiveUp(fault) => {
                let renewal = self.refused_token(&fault, &mut tries);
                if renewal.is_none() {
                    self.record_given_up(&fault, left, AnsweredFor::Known);
                }
                permit.finish(signal);
                let Some(renewal) = renewal else { return Ok(false) };
                (fault, NextAttempt::WithNewToken(renewal), signal)
            }
            Judged::Refused(fault) => {
                let next = self.after_refusal(&fault, &mut tries, (&before, permit.is_probe()));
                permit.finish(signal);
                (fault, next, signal)
            }
            Judged::Retry(fault) => {
                let left = tries.left(left);
                let sent = SentAttempt::again(known.seq(), left, &permit, &before);
                let (next, is_strained) = self.after_fault(&fault, &mut tries, &sent);
                let signal = self.load_of_fault(&fault, signal, (is_strained, &tries));
                permit.finish(signal);
                (fault, next, signal)
            }
        };
        match next {
            NextAttempt::Defer(deferral) => Err(deferral),
            NextAttempt::Fail => Ok(false),
            NextAttempt::After(wait, _) => {
                let is_status = matches!(fault.cause, Cause::Status(_));
                self.report_retry(known, &AttemptEnd { fault, signal, attempt: 1 }, wait);
                Ok(tries.asks_known || is_status && tries.refusals.newest.is_some())
            }
            NextAttempt::WithNewToken(renewal) => {
                self.renew_token(renewal).await.map(|()| true).map_err(|Stopped| Deferral::Stopped)
            }
        }
    }

    /// Reports that an attempt is followed by another one.
    pub(super) fn report_retry<R: Requested>(&self, job: &R, ended: &AttemptEnd, wait: Duration) {
        let (key, line) = (job.key(), job.line());
        let AttemptEnd { fault, signal, attempt } = ended;
        let (attempt, is_refusal) = (*attempt, signal.is_refusal());
        self.reporter.on(&Event::AttemptRetried { key, line, fault, attempt, wait, is_refusal });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fetcher;
    use super::*;

    #[test]
    fn a_sku_that_is_refused_for_the_load_is_not_given_up_within_a_minute_on_average() {
        // 30 attempts at most; half of the longest wait of each step, in seconds.
        let waits = (1..30).filter_map(strained_step).map(|step| 0.5 * f64::from(1_u32 << step) / 2.0);
        assert!(waits.sum::<f64>() >= 60.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_for_the_load_has_not_failed_because_an_outage_begins() {
        let fetcher = fetcher(|_| unreachable!(), 4, "503");
        let fault = Fault::new(Cause::Status(503), "boom");
        let before = BeforeAttempt { attempts: 0, number: 400 };
        let fail = |seq, tries: &mut Tries| {
            let sent = SentAttempt {
                seq: Seq(seq),
                left: Instant::now(),
                is_first: true,
                is_probe: false,
                before: &before,
            };
            fetcher.after_fault(&fault, tries, &sent)
        };
        fetcher.health.answered(Instant::now(), AnsweredFor::FirstAttempt);
        // As long as something came a moment ago, it may be a limit.
        tokio::time::advance(Duration::from_secs(6)).await;
        for seq in 0..20 {
            let _ = fail(seq, &mut Tries::default());
        }
        for (by_load, has_failed) in [(0.5, false), (1e-4, true)] {
            let failures = FailuresOfJob { count: 4, by_load: Some(by_load), ..FailuresOfJob::default() };
            let mut tries = Tries { failures, ..Tries::default() };
            let next = fail(30, &mut tries);
            assert!(matches!(next.0, NextAttempt::After(..)));
            assert_eq!((tries.failures.count, tries.pending.is_some()), (4, has_failed), "{by_load}");
        }
    }
}
