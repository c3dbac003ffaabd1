//! Whether to go on: retries as a bounded share of all requests, and outages distinguished from single bad SKUs.
//!
//! Retries add load in an outage, when the API can bear less. They are therefore paid from a budget, a share of all
//! requests. (A share, as in Finagle's retry budget, and not AWS's fixed bucket: a nightly run may have 6,000 or
//! 10,000,000 SKUs.) When the budget is spent, or when the whole pool has failed for a while without one good answer,
//! the pool pauses and sends one probe; the pauses grow, and after the last one the run stops. A job that fails during
//! an outage has not failed: it is sent again after the pause, or deferred.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

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
/// The first attempts of a run that all found no connection end it.
const UNREACHABLE_AFTER: u64 = 10;
/// An outage is at least this many failed attempts in a row over the whole pool …
const OUTAGE_ATTEMPTS: usize = 10;
/// … and this many are enough, however large the concurrency is …
const OUTAGE_ATTEMPTS_MOST: usize = 50;
/// … among which this many different SKUs were tried for the first time: at the end of a run only the retries of a few
/// bad SKUs are left, and that is no outage.
const OUTAGE_JOBS: usize = 3;

/// What a failed attempt should lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Advice {
    /// The job may be tried again, if it has retries left.
    Retry,
    /// The API is out: send again after the pool's pause. It costs the job no retry.
    Hold {
        /// How long the pool is to pause, if this attempt began the pause.
        pause: Option<Duration>,
    },
    /// The run ends.
    Stop(StopReason),
}

/// How the attempts of a run went so far.
#[derive(Debug)]
pub(super) struct Health {
    state: Mutex<HealthState>,
    outage_attempts: usize,
}

#[derive(Debug, Default)]
struct HealthState {
    attempts: u64,
    retries: u64,
    granted: u64,
    connected: bool,
    unconnected: u64,
    streak: usize,
    streak_jobs: Vec<Seq>,
    level: usize,
    /// When the attempt left whose good answer is the newest one, by that instant.
    newest_good: Option<Instant>,
    /// When the newest pause of an outage began, until a good answer to an attempt that was sent after it.
    held_at: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Health {
    /// For at most this many attempts in flight.
    #[must_use]
    pub(super) fn new(concurrency: usize) -> Self {
        let outage_attempts = (concurrency / 2).clamp(OUTAGE_ATTEMPTS, OUTAGE_ATTEMPTS_MOST);
        Self { state: Mutex::default(), outage_attempts }
    }

    /// An attempt that was sent at this instant was answered by an API that works, be it with a 404.
    pub(super) fn answered(&self, left: Instant) {
        let mut state = self.lock();
        state.attempts += 1;
        state.connected = true;
        state.newest_good = state.newest_good.max(Some(left));
        if state.held_at.is_some_and(|held| left < held) {
            // It was sent before the outage was noticed, and is no sign of its end.
            return;
        }
        state.held_at = None;
        state.streak = 0;
        state.streak_jobs.clear();
        if state.level > 0 && !state.is_over_share() {
            state.level = 0;
            state.granted = 0;
        }
    }

    /// Whether an attempt that was sent after this instant was answered by an API that works.
    #[must_use]
    pub(super) fn has_answered_since(&self, since: Instant) -> bool {
        self.lock().newest_good.is_some_and(|left| left > since)
    }

    /// An attempt was refused, or answered with a status below 400 that `--retry-on` names. The API works, so this
    /// neither begins an outage nor is paid from the budget; but it brought no value, so it ends no outage either.
    pub(super) fn record_not_ready(&self) {
        let mut state = self.lock();
        state.attempts += 1;
        state.connected = true;
    }

    /// An attempt that was sent at this instant failed in a way that a retry may mend. `first` is its SKU, if it was
    /// the SKU's first attempt.
    pub(super) fn failed(&self, first: Option<Seq>, fault: &Fault, left: Instant) -> Advice {
        let mut state = self.lock();
        state.attempts += 1;
        if fault.cause == Cause::Connect {
            state.unconnected += 1;
            if !state.connected && state.unconnected >= UNREACHABLE_AFTER {
                return Advice::Stop(StopReason::Unreachable(fault.detail.to_string()));
            }
        } else {
            state.connected = true;
        }
        let now = Instant::now();
        let is_paused = state.paused_until.is_some_and(|until| now < until);
        if is_paused || state.held_at.is_some_and(|held| left < held) {
            // It was sent before the outage was noticed, and shows nothing new.
            return Advice::Hold { pause: None };
        }
        if state.held_at.is_some() {
            return state.hold(now, fault);
        }
        state.streak += 1;
        if let Some(seq) = first
            && state.streak_jobs.len() < OUTAGE_JOBS
            && !state.streak_jobs.contains(&seq)
        {
            state.streak_jobs.push(seq);
        }
        let outage = state.streak >= self.outage_attempts && state.streak_jobs.len() >= OUTAGE_JOBS;
        // Before anything has ever connected, only the count of such attempts decides.
        if !(outage && state.connected || state.is_spent()) {
            return Advice::Retry;
        }
        state.hold(now, fault)
    }

    /// A retry is about to be made.
    pub(super) fn retried(&self) {
        self.lock().retries += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HealthState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl HealthState {
    /// Whether more retries were made than the share, whatever was granted since.
    fn is_over_share(&self) -> bool {
        self.retries >= self.share()
    }

    fn is_spent(&self) -> bool {
        self.retries >= self.share() + self.granted
    }

    fn share(&self) -> u64 {
        (self.attempts * RETRY_SHARE / 100).max(RETRY_FLOOR)
    }

    fn hold(&mut self, now: Instant, fault: &Fault) -> Advice {
        let Some(pause) = OUTAGE_PAUSES.get(self.level) else {
            return Advice::Stop(StopReason::Failing(fault.clone()));
        };
        self.level += 1;
        self.held_at = Some(now);
        self.paused_until = Some(now + *pause);
        if self.is_spent() {
            self.granted += RETRY_GRANT;
        }
        Advice::Hold { pause: Some(*pause) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(cause: Cause) -> Fault {
        Fault::new(cause, "boom")
    }

    fn fail(health: &Health, seq: u32) -> Advice {
        health.failed(Some(Seq(seq)), &fault(Cause::Status(500)), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn ten_first_attempts_without_a_connection_end_the_run() {
        let health = Health::new(64);
        for seq in 0..9 {
            assert_eq!(health.failed(Some(Seq(seq)), &fault(Cause::Connect), Instant::now()), Advice::Retry);
        }
        let advice = health.failed(Some(Seq(9)), &fault(Cause::Connect), Instant::now());
        assert_eq!(advice, Advice::Stop(StopReason::Unreachable("boom".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_is_enough_not_to_be_unreachable() {
        let health = Health::new(64);
        health.failed(Some(Seq(0)), &fault(Cause::Lost), Instant::now());
        for seq in 1..20 {
            assert!(!matches!(
                health.failed(Some(Seq(seq)), &fault(Cause::Connect), Instant::now()),
                Advice::Stop(_)
            ));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_bad_sku_is_no_outage() {
        let health = Health::new(1);
        for _ in 0..30 {
            assert_eq!(fail(&health, 7), Advice::Retry);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_retries_of_a_few_bad_skus_at_the_end_of_a_run_are_no_outage() {
        let health = Health::new(8);
        for seq in 0..8 {
            assert_eq!(fail(&health, seq), Advice::Retry);
            health.answered(Instant::now());
        }
        for _ in 0..32 {
            health.retried();
            assert_eq!(health.failed(None, &fault(Cause::Status(500)), Instant::now()), Advice::Retry);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_pauses_5_10_and_20_seconds_and_then_stops() {
        let health = Health::new(8);
        health.answered(Instant::now());
        let mut pauses = Vec::new();
        let stopped = loop {
            match fail(&health, u32::try_from(pauses.len()).unwrap() * 7 % 5) {
                Advice::Retry => {}
                Advice::Hold { pause: Some(pause) } => {
                    pauses.push(pause.as_secs());
                    // Attempts that were in flight when the pause began are held too.
                    assert_eq!(fail(&health, 1), Advice::Hold { pause: None });
                    tokio::time::advance(pause).await;
                }
                Advice::Hold { pause: None } => panic!("held without a pause"),
                Advice::Stop(reason) => break reason,
            }
            if pauses.is_empty() {
                fail(&health, 3);
                fail(&health, 4);
            }
        };
        assert_eq!(pauses, [5, 10, 20]);
        assert_eq!(stopped, StopReason::Failing(fault(Cause::Status(500))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_probe_ends_the_outage() {
        let health = Health::new(1);
        health.answered(Instant::now());
        let trip = |health: &Health| {
            (0..100).find_map(|n| match fail(health, n) {
                Advice::Hold { pause } => pause,
                _ => None,
            })
        };
        assert_eq!(trip(&health), Some(OUTAGE_PAUSES[0]));
        tokio::time::advance(OUTAGE_PAUSES[0]).await;
        health.answered(Instant::now());
        assert_eq!(trip(&health), Some(OUTAGE_PAUSES[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_under_way_does_not_end_the_outage() {
        let health = Health::new(8);
        let early = Instant::now();
        tokio::time::advance(Duration::from_millis(20)).await;
        let held = (0..10).map(|seq| fail(&health, seq)).last();
        assert_eq!(held, Some(Advice::Hold { pause: Some(OUTAGE_PAUSES[0]) }));
        health.answered(early);
        tokio::time::advance(OUTAGE_PAUSES[0]).await;
        assert_eq!(fail(&health, 10), Advice::Hold { pause: Some(OUTAGE_PAUSES[1]) });
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_budget_is_spent_each_pause_has_one_probe() {
        let health = Health::new(8);
        let ask = |seq| fail(&health, seq);
        for seq in 0..50 {
            health.answered(Instant::now());
            assert_eq!(ask(seq), Advice::Retry);
            health.retried();
        }
        for pause in OUTAGE_PAUSES {
            assert_eq!(ask(51), Advice::Hold { pause: Some(pause) });
            tokio::time::advance(pause).await;
        }
        assert!(matches!(ask(52), Advice::Stop(StopReason::Failing(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_was_under_way_is_no_probe_and_is_not_charged() {
        let health = Health::new(8);
        let early = Instant::now();
        tokio::time::advance(Duration::from_millis(20)).await;
        let held = (0..10).map(|seq| fail(&health, seq)).last();
        assert_eq!(held, Some(Advice::Hold { pause: Some(OUTAGE_PAUSES[0]) }));
        tokio::time::advance(OUTAGE_PAUSES[0] * 2).await;
        let late = health.failed(Some(Seq(3)), &fault(Cause::Timeout), early);
        assert_eq!(late, Advice::Hold { pause: None });
        assert_eq!(fail(&health, 11), Advice::Hold { pause: Some(OUTAGE_PAUSES[1]) });
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_bounded_share_of_all_requests_and_then_the_run_stops() {
        let health = Health::new(1);
        let (mut retries, mut requests, mut pauses) = (0u64, 0u64, Vec::new());
        for seq in 0.. {
            requests += 1;
            // Every other SKU fails once and would be fetched by a retry.
            if seq % 2 == 0 {
                health.answered(Instant::now());
                continue;
            }
            match fail(&health, seq) {
                Advice::Retry => {
                    health.retried();
                    retries += 1;
                }
                Advice::Hold { pause } => {
                    pauses.push(pause.unwrap().as_secs());
                    tokio::time::advance(pause.unwrap()).await;
                }
                Advice::Stop(_) => break,
            }
            requests += 1;
            health.answered(Instant::now());
            let share = (requests * RETRY_SHARE / 100).max(RETRY_FLOOR);
            assert!(retries <= share + RETRY_GRANT * pauses.len() as u64, "{retries} of {requests}");
        }
        assert_eq!(pauses, [5, 10, 20]);
    }
}
