//! The budget that all bodies being read share, whatever servers send.
//!
//! `--max-body` bounds one body, and thousands may be in flight. A body that is longer than usual therefore claims a
//! part of the budget before it is read on, and waits where none is free: its connection fills up, and the server
//! waits too. Bodies that each hold a part and need more would wait for each other, so one at a time may read to its
//! end beyond the bound. Answers that are not yet written to disk take memory too: while there are many, no body
//! claims more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::pausable_timeout::PausableTimeout;

/// Bytes of a body that claim nothing: most bodies are far smaller. hyper doubles its buffers as it reads (8, 16,
/// 32 KiB and so on), so a connection that is stopped here holds about four times as much.
const FREE: usize = 48 << 10;
/// Bytes of one unit of the budget.
const UNIT: usize = 64 << 10;
/// Units that a body without an announced length claims at once. It is a large number, so that few connections read
/// on, and only theirs have large buffers (up to 800 KiB each in hyper).
const STEP: u32 = 16;
/// Units that all bodies may hold together: 8 MiB. With their buffers, those of 64 connections that are stopped, and
/// one body beyond the bound in two forms, all at the default `--max-body`, a run stays under 100 MiB.
const UNITS: usize = 128;
/// Bytes of answers that may wait for the disk before bodies wait too.
const MAX_BACKLOG: usize = 4 << 20;
/// How often a body that waits for the disk checks again.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// The budget of a run.
#[derive(Debug)]
pub(super) struct BodyBudget {
    units: Semaphore,
    beyond: Semaphore,
    backlog: Arc<AtomicUsize>,
}

impl BodyBudget {
    /// All of it free. `backlog` holds the bytes of answers that wait for the disk.
    pub(super) fn new(backlog: Arc<AtomicUsize>) -> Self {
        Self { units: Semaphore::new(UNITS), beyond: Semaphore::new(1), backlog }
    }

    fn waits_for_disk(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) > MAX_BACKLOG
    }
}

/// One body's part of the budget, returned when dropped.
#[derive(Debug)]
pub(super) struct BodyClaim<'a> {
    budget: &'a BodyBudget,
    units: Option<SemaphorePermit<'a>>,
    beyond: Option<SemaphorePermit<'a>>,
    /// Bytes that the body may reach.
    covered: usize,
    announced: usize,
    /// Bytes that are claimed in any case.
    least: usize,
}

impl<'a> BodyClaim<'a> {
    /// Nothing yet, for a body of which so many bytes are announced.
    pub(super) fn new(budget: &'a BodyBudget, announced: Option<u64>) -> Self {
        let announced = announced.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let least = announced.map_or(0, |bytes| bytes.min(FREE + 1));
        Self {
            budget,
            units: None,
            beyond: None,
            covered: FREE,
            announced: announced.unwrap_or(usize::MAX),
            least,
        }
    }

    /// Waits until the budget covers a body of this size; the timeout is paused meanwhile. A body that is announced as
    /// large waits at its start.
    pub(super) async fn cover(&mut self, size: usize, timeout: &PausableTimeout) {
        let size = size.max(self.least);
        if size > self.covered && self.beyond.is_none() {
            // Boxed: it is rare, and every attempt's future would be as large as its own.
            Box::pin(self.claim(size, timeout)).await;
        }
    }

    async fn claim(&mut self, size: usize, timeout: &PausableTimeout) {
        while size > self.covered && self.beyond.is_none() {
            if self.budget.waits_for_disk() {
                timeout.pause(self.wait()).await;
            } else if let Ok(units) = self.budget.units.try_acquire_many(self.next()) {
                self.add(units);
            } else {
                timeout.pause(self.wait()).await;
            }
        }
    }

    /// Units to claim next: no more than the body can need.
    fn next(&self) -> u32 {
        let left = self.announced.saturating_sub(self.covered).div_ceil(UNIT);
        u32::try_from(left).map_or(STEP, |left| left.clamp(1, STEP))
    }

    /// Waits for the next units, or to be the one body beyond the bound.
    async fn wait(&mut self) {
        while self.budget.waits_for_disk() {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        // Both semaphores are never closed.
        tokio::select! {
            biased;
            Ok(units) = self.budget.units.acquire_many(self.next()) => self.add(units),
            Ok(beyond) = self.budget.beyond.acquire() => self.beyond = Some(beyond),
            else => {}
        }
    }

    fn add(&mut self, more: SemaphorePermit<'a>) {
        self.covered += more.num_permits() * UNIT;
        match &mut self.units {
            Some(units) => units.merge(more),
            none => *none = Some(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::super::pausable_timeout::Timers;
    use super::*;

    fn timeout() -> PausableTimeout {
        PausableTimeout::new(Duration::from_secs(1))
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_claim_nothing_and_a_claim_is_given_back() {
        let (budget, timeout) = (BodyBudget::new(Arc::default()), timeout());
        let mut small = BodyClaim::new(&budget, None);
        small.cover(FREE, &timeout).await;
        assert_eq!(budget.units.available_permits(), UNITS);
        let mut large = BodyClaim::new(&budget, None);
        large.cover(FREE + 3 * (1 << 20), &timeout).await;
        assert_eq!(budget.units.available_permits(), UNITS - 3 * STEP as usize);
        drop(large);
        assert_eq!(budget.units.available_permits(), UNITS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_announced_is_claimed_at_the_start_and_no_more_than_that() {
        let (budget, timeout) = (BodyBudget::new(Arc::default()), timeout());
        let mut known = BodyClaim::new(&budget, Some(100 << 10));
        known.cover(1, &timeout).await;
        assert_eq!(budget.units.available_permits(), UNITS - 1);
        let mut small = BodyClaim::new(&budget, Some(FREE as u64));
        small.cover(FREE, &timeout).await;
        assert_eq!(budget.units.available_permits(), UNITS - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn many_large_bodies_all_end_and_never_hold_more_than_the_bound_and_one() {
        const STEP: usize = 1 << 20;
        const BODY: usize = 10 * STEP;
        let (budget, held, most) =
            (BodyBudget::new(Arc::default()), AtomicUsize::new(0), AtomicUsize::new(0));
        let body = |_| async {
            let (mut claim, timeout) = (BodyClaim::new(&budget, None), timeout());
            for size in (0..=BODY).step_by(STEP / 2) {
                claim.cover(size, &timeout).await;
                let now = held.fetch_add(STEP / 2, Ordering::Relaxed) + STEP / 2;
                most.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            held.fetch_sub(BODY + STEP / 2, Ordering::Relaxed);
        };
        let all = futures_util::future::join_all((0..64).map(body));
        tokio::time::timeout(Duration::from_mins(10), all).await.expect("no body waits for ever");
        let bound = UNITS * UNIT + BODY + 64 * (FREE + STEP);
        assert!(most.load(Ordering::Relaxed) <= bound, "{most:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn while_many_answers_wait_for_the_disk_no_body_claims_more_and_none_runs_out_of_time() {
        let backlog = Arc::new(AtomicUsize::new(MAX_BACKLOG + 1));
        let (budget, timeout) = (BodyBudget::new(Arc::clone(&backlog)), timeout());
        let mut claim = BodyClaim::new(&budget, None);
        let disk = async {
            tokio::time::sleep(Duration::from_mins(2)).await;
            assert_eq!((budget.units.available_permits(), budget.beyond.available_permits()), (UNITS, 1));
            backlog.store(MAX_BACKLOG, Ordering::Relaxed);
        };
        let covered = pin!(claim.cover(FREE + 1, &timeout));
        let timers = Timers::default();
        let covered = timeout.bound(covered, &timers);
        assert!(tokio::join!(covered, disk).0.is_some(), "the wait was for us");
        assert_eq!(budget.units.available_permits(), UNITS - STEP as usize);
    }
}
