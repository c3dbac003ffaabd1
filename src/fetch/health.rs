//! Whether to go on: retries as a bounded share of all requests, and outages distinguished from single bad SKUs and
//! from load that is too much.
//!
//! Retries add load in an outage, when the API can bear less. They are therefore paid from a budget, a share of all
//! requests. (A share, as in Finagle's retry budget, and not AWS's fixed bucket: a nightly run may have 6,000 or
//! 10,000,000 SKUs.) When the budget is spent, or when many SKUs have failed without one good answer, the pool pauses
//! and sends one probe; the pauses grow, and after the last one the run stops. A job that fails during an outage has
//! not failed: it is sent again after the pause, or deferred. Where only few SKUs fail, the probe is one that came
//! before: it shows whether the API is down or these SKUs are bad.

mod advice;

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::advice::{Advice, AnsweredFor, FailedAttempt, OutagePause};
use super::first_attempts::{EarlierFailures, FirstAttempts};
use crate::model::{Cause, Fault, Seq, StopReason};

/// Retries may be at most this share of all requests, in percent.
const RETRY_SHARE: u64 = 20;
/// Retries that are always allowed, so that a short run can retry at all.
const RETRY_FLOOR: u64 = 50;
/// Retries granted after a pause whose probe was answered well.
const RETRY_GRANT: u64 = 10;
/// The pauses of an outage, one probe after each.
pub(crate) const OUTAGE_PAUSES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(20)];
/// Before them, where the server answers with 500, 502, 503 or 504: a limiter may say so, and lets a request through
/// soon.
const LIMIT_PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];
/// The pauses where `--wait-for-api` is given; the last one is repeated.
const WAITING_PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// The first attempts of a run that all found no connection end it.
const UNREACHABLE_AFTER: u64 = 10;
/// An outage is at least this many failed attempts in a row over the whole pool …
const OUTAGE_ATTEMPTS: usize = 10;
/// … and this many are enough, however large the concurrency is …
const OUTAGE_ATTEMPTS_MOST: usize = 50;
/// … of this many different SKUs.
const OUTAGE_JOBS: usize = 3;
/// So many SKUs that fail where others came a moment ago may be refused.
const SEVERAL_JOBS: usize = 8;
/// So many SKUs do not all fail for themselves: the API is down, whatever a cache answers for one that came before.
const MANY_JOBS: usize = 20;
/// An API that answered well so recently is there: a connection that it refuses is one too many.
const SERVING: Duration = Duration::from_secs(5);
/// A 403 that comes so soon after a refusal may be another one.
const AFTER_REFUSAL: Duration = Duration::from_mins(1);
/// Nothing but 403 for so long: the credentials are refused. Longer than a minute's quota and a firewall's usual ban.
const FORBIDDEN_FOR_AT_MOST: Duration = Duration::from_secs(65);
/// The first answers of a run whose header cannot be read end it, if all are such.
const UNREADABLE_AFTER: u64 = 10;

/// How the attempts of a run went so far.
#[derive(Debug)]
pub(super) struct Health {
    state: Mutex<HealthState>,
    outage_attempts: usize,
    wait_for_api: Duration,
    started: Instant,
}

#[derive(Debug, Default)]
struct HealthState {
    /// Attempts that were sent.
    begun: u64,
    attempts: u64,
    retries: u64,
    granted: u64,
    connected: bool,
    unconnected: u64,
    firsts: FirstAttempts,
    streak: usize,
    streak_jobs: Vec<Seq>,
    /// How many of them there were when so many attempts had failed that it may be an outage.
    jobs_at_first: Option<usize>,
    level: usize,
    /// When the attempt left whose good answer is the newest one, by that instant.
    newest_good: Option<Instant>,
    /// When the newest good answer came.
    last_good: Option<Instant>,
    /// The newest good answer that ended an outage was for a SKU that came before, and no other came since.
    is_vouched: bool,
    last_refused: Option<Instant>,
    /// A row of 403 was taken for a limit.
    is_403_a_limit: bool,
    /// The first 403 that was taken for a refusal since the newest good answer.
    forbidden_since: Option<Instant>,
    /// Answers in a row, from the first of the run, whose header could not be read.
    unreadable: u64,
    /// When the newest pause of an outage began, until a good answer to an attempt that was sent after it.
    held_at: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Health {
    /// For at most this many attempts in flight. An API that is not there is waited for as long as `wait_for_api`.
    #[must_use]
    pub(super) fn new(concurrency: usize, wait_for_api: Duration) -> Self {
        let outage_attempts = (concurrency / 2).clamp(OUTAGE_ATTEMPTS, OUTAGE_ATTEMPTS_MOST);
        Self { state: Mutex::default(), outage_attempts, wait_for_api, started: Instant::now() }
    }

    /// An attempt is about to be sent. Returns its number, from 1.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.begun += 1;
        state.begun
    }

    /// A connection was opened.
    pub(super) fn record_connected(&self) {
        self.lock().connected = true;
    }

    /// An attempt that was sent at this instant was answered by an API that works, be it with a 404.
    pub(super) fn answered(&self, left: Instant, answered_for: AnsweredFor) {
        let mut state = self.lock();
        state.attempts += 1;
        state.connected = true;
        state.newest_good = state.newest_good.max(Some(left));
        state.last_good = Some(Instant::now());
        state.forbidden_since = state.forbidden_since.filter(|_| answered_for == AnsweredFor::Forbidden);
        if answered_for == AnsweredFor::FirstAttempt {
            state.firsts.record(true);
        }
        if state.held_at.is_some_and(|held| left < held) {
            // It was sent before the outage was noticed, and is no sign of its end.
            return;
        }
        state.is_vouched = answered_for == AnsweredFor::Known;
        state.held_at = None;
        state.streak = 0;
        state.streak_jobs.clear();
        state.jobs_at_first = None;
        if state.level > 0 && !state.is_over_share() {
            state.level = 0;
            state.granted = 0;
        }
    }

    /// Whether an attempt that was sent after this instant was answered by an API that works.
    #[must_use]
    pub(super) fn has_answered_since(&self, since: Instant) -> bool {
        self.lock().has_answered_since(since)
    }

    /// Whether the API answered well a moment ago.
    #[must_use]
    pub(super) fn is_serving(&self) -> bool {
        let state = self.lock();
        state.held_at.is_none() && state.has_come_lately()
    }

    /// An attempt was refused, or answered with a status below 400 that `--retry-on` names. The API works, so this
    /// neither begins an outage nor is paid from the budget; but it brought no value, so it ends no outage either.
    pub(super) fn record_not_ready(&self) {
        let mut state = self.lock();
        state.attempts += 1;
        state.connected = true;
    }

    /// An attempt was refused.
    pub(super) fn record_refused(&self) {
        self.record_not_ready();
        self.lock().last_refused = Some(Instant::now());
    }

    /// From now on a 403 that nothing explains is taken for a refusal first. False where it was so before, or where no
    /// SKU came yet.
    pub(super) fn take_403_for_a_limit(&self) -> bool {
        let mut state = self.lock();
        state.last_good.is_some() && !std::mem::replace(&mut state.is_403_a_limit, true)
    }

    /// Whether a 403 that nothing explains may be a refusal: SKUs came before, and the server limits.
    #[must_use]
    pub(super) fn may_403_be_a_limit(&self) -> bool {
        let state = self.lock();
        let is_recent = state.last_refused.is_some_and(|at| at.elapsed() < AFTER_REFUSAL);
        let is_over = state.forbidden_since.is_some_and(|at| at.elapsed() >= FORBIDDEN_FOR_AT_MOST);
        state.last_good.is_some() && (state.is_403_a_limit || is_recent) && !is_over
    }

    /// A 403 was taken for a refusal.
    pub(super) fn record_403(&self) {
        self.lock().forbidden_since.get_or_insert_with(Instant::now);
    }

    /// An attempt failed in a way that another one may mend.
    pub(super) fn failed(&self, attempt: FailedAttempt<'_>) -> Advice {
        let FailedAttempt { seq, fault, left, .. } = attempt;
        let mut state = self.lock();
        state.attempts += 1;
        if attempt.is_first {
            state.firsts.record(false);
        }
        let now = Instant::now();
        if fault.cause == Cause::Unreadable {
            state.connected = true;
            state.unreadable += 1;
            if state.last_good.is_none() && state.unreadable >= UNREADABLE_AFTER {
                return Advice::Stop(StopReason::Unreadable(fault.detail.to_string()));
            }
            return Advice::Retry;
        }
        let is_unreachable = state.is_unreachable(&attempt);
        if is_unreachable && self.wait_for_api.is_zero() {
            return Advice::Stop(unreachable(fault));
        }
        let is_paused = state.paused_until.is_some_and(|until| now < until);
        if is_paused || state.held_at.is_some_and(|held| left < held) {
            // It was sent before the outage was noticed, and shows nothing new.
            return Advice::Hold { pause: None };
        }
        if is_unreachable || state.held_at.is_some() {
            return self.hold(&mut state, now, fault);
        }
        // Others came after the first failure of this SKU: what it gets is no sign of an outage.
        let is_alone = state.has_answered_since(attempt.first_failed);
        if !is_alone {
            state.streak += 1;
            if state.streak_jobs.len() < MANY_JOBS && !state.streak_jobs.contains(&seq) {
                state.streak_jobs.push(seq);
            }
            if state.streak >= self.outage_attempts && state.jobs_at_first.is_none() {
                state.jobs_at_first = Some(state.streak_jobs.len());
            }
        }
        if state.is_spent()
            || self.is_outage(&state, fault.cause)
            || !is_alone && self.is_in_doubt(&state, &attempt)
        {
            return self.hold(&mut state, now, fault);
        }
        let came_lately = state.may_be_refused(fault.cause);
        let so_far = EarlierFailures { is_last: attempt.is_last, by_load: attempt.by_load, came_lately };
        if !may_be_load(fault.cause) || !state.firsts.explain(attempt.failures, so_far) {
            return Advice::Retry;
        }
        match attempt.failed_before {
            Some(before) if !state.has_answered_since(before) => {
                let are_several = attempt.is_probe || state.streak_jobs.len() >= SEVERAL_JOBS;
                Advice::MayBeStrained { is_refused: came_lately && !is_alone && are_several }
            }
            _ => Advice::Strained,
        }
    }

    /// Whether load explains all failures of a SKU, this one included. `before` is the chance that it explains the earlier
    /// ones, from 0 to 1.
    #[must_use]
    pub(super) fn is_by_load(&self, cause: Cause, before: f64) -> bool {
        may_be_load(cause) && self.lock().firsts.are_by_load(before)
    }

    /// The chance that an attempt fails for the load now, from 0 to 1.
    #[must_use]
    pub(super) fn share_by_load(&self) -> f64 {
        self.lock().firsts.share_by_load()
    }

    /// A retry is about to be made.
    pub(super) fn retried(&self) {
        self.lock().retries += 1;
    }

    /// Many attempts of several SKUs failed, and none came. Before anything has ever connected, only the count of
    /// such attempts decides.
    ///
    /// Lost connections may be load, for which the pool slows down. Then the full number of attempts takes minutes; but
    /// a server under load answers something.
    fn is_outage(&self, state: &HealthState, cause: Cause) -> bool {
        let is_lost = matches!(cause, Cause::Connect | Cause::Proxy(_) | Cause::Lost);
        let is_silent = state.last_good.unwrap_or(self.started).elapsed() >= SERVING;
        let enough = if is_lost && is_silent { OUTAGE_ATTEMPTS } else { self.outage_attempts };
        // A limit that is told so is found by the pool, which pauses and sends probes.
        !state.may_be_refused(cause)
            && state.connected
            && state.streak >= enough
            && state.streak_jobs.len() >= OUTAGE_JOBS
    }

    /// The SKU has no retry left, and nothing shows whether it fails for itself: no other came since it first failed.
    fn is_in_doubt(&self, state: &HealthState, attempt: &FailedAttempt<'_>) -> bool {
        let is_waited_for = !self.wait_for_api.is_zero();
        if state.may_be_refused(attempt.fault.cause) {
            return false;
        }
        let others_fail = state.last_good.is_some() && state.streak_jobs.len() > 1;
        attempt.is_last && (is_waited_for || attempt.failures > 1 && others_fail)
    }

    fn hold(&self, state: &mut HealthState, now: Instant, fault: &Fault) -> Advice {
        let Some(length) = self.next_pause(state, now, fault) else {
            return Advice::Stop(if state.connected {
                StopReason::Failing(fault.clone())
            } else {
                unreachable(fault)
            });
        };
        let is_spent = state.is_spent();
        let is_few = state.jobs_at_first.unwrap_or(state.streak_jobs.len()) < MANY_JOBS;
        let asks_known = state.last_good.is_some() && is_few && !state.is_vouched && !is_spent;
        state.level += 1;
        state.held_at = Some(now);
        state.paused_until = Some(now + length);
        if is_spent {
            state.granted += RETRY_GRANT;
        }
        Advice::Hold { pause: Some(OutagePause { length, asks_known }) }
    }

    /// The pause before the next probe; none: the run ends.
    fn next_pause(&self, state: &mut HealthState, now: Instant, fault: &Fault) -> Option<Duration> {
        if self.wait_for_api.is_zero() {
            let may_be_limit = may_be_limit(fault.cause);
            // Retries are used up soon where many at once are over a limit; but then others are answered meanwhile.
            if !may_be_limit || state.is_spent() && !state.has_come_lately() {
                state.level = state.level.max(LIMIT_PAUSES.len());
            }
            return LIMIT_PAUSES.iter().chain(&OUTAGE_PAUSES).nth(state.level).copied();
        }
        let since = state.last_good.unwrap_or(self.started);
        let left = self.wait_for_api.checked_sub(now.saturating_duration_since(since))?;
        let pause = WAITING_PAUSES[state.level.min(WAITING_PAUSES.len() - 1)];
        (!left.is_zero()).then(|| pause.min(left))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Faults that too much load causes.
fn may_be_load(cause: Cause) -> bool {
    may_be_limit(cause) || matches!(cause, Cause::Connect | Cause::Proxy(_) | Cause::Lost)
}

/// Answers by which a limiter may refuse.
fn may_be_limit(cause: Cause) -> bool {
    matches!(cause, Cause::Status(500 | 502..=504))
}

/// None of the first attempts had a connection to the API.
fn unreachable(fault: &Fault) -> StopReason {
    let why = fault.detail.to_string();
    match fault.cause {
        Cause::Proxy(_) => StopReason::ProxyFailed(why),
        _ => StopReason::Unreachable(why),
    }
}

impl HealthState {
    /// Takes note of whether an attempt had a connection. Whether the first ones of the run all had none: what is
    /// still under way among them may yet connect.
    fn is_unreachable(&mut self, attempt: &FailedAttempt<'_>) -> bool {
        if !matches!(attempt.fault.cause, Cause::Connect | Cause::Proxy(_)) {
            self.connected = true;
        } else if attempt.number <= UNREACHABLE_AFTER {
            self.unconnected += 1;
        }
        !self.connected && self.unconnected >= UNREACHABLE_AFTER
    }

    /// Whether a limiter may be what answers so, because others came a moment ago.
    fn may_be_refused(&self, cause: Cause) -> bool {
        may_be_limit(cause) && self.has_come_lately()
    }

    /// Whether a good answer came within the last seconds.
    fn has_come_lately(&self) -> bool {
        self.last_good.is_some_and(|at| at.elapsed() < SERVING)
    }

    fn has_answered_since(&self, since: Instant) -> bool {
        self.newest_good.is_some_and(|left| left > since)
    }

    /// Whether more retries were made than the share, whatever was granted since.
    fn is_over_share(&self) -> bool {
        self.retries >= self.share()
    }

    /// Not where a known SKU has shown that the API is there: what fails then, fails for itself.
    fn is_spent(&self) -> bool {
        !self.is_vouched && self.retries >= self.share() + self.granted
    }

    fn share(&self) -> u64 {
        (self.attempts * RETRY_SHARE / 100).max(RETRY_FLOOR)
    }
}

#[cfg(test)]
mod tests;
