//! The memory that pages take while a job waits for its next one.
//!
//! `--max-body` bounds all pages of one job, and hundreds of jobs may be open. So where the pages that all jobs hold are
//! many, no job asks for another one, but for a single job, which goes on to its end: jobs that each hold a part and wait
//! for more would wait for each other. What is under way at that moment still comes. Where that is too much, a job lets
//! its pages go, and asks for them anew when it is the only one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// Bytes of pages from which on no other is asked for.
const MANY: usize = 8 << 20;
/// Bytes from which on a job lets its own go.
const TOO_MANY: usize = 32 << 20;
/// Bytes of answers that may wait for the disk before pages wait too.
const MAX_BACKLOG: usize = 4 << 20;
/// How often the first job that waits looks again.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// The budget of a run.
#[derive(Debug)]
pub(super) struct PageBudget {
    held: AtomicUsize,
    /// Bytes of answers that wait for the disk.
    backlog: Arc<AtomicUsize>,
    /// The one job that need not wait.
    alone: Semaphore,
    /// One of those that wait looks, and the others queue for it.
    turn: Mutex<()>,
}

impl PageBudget {
    /// Nothing is held. `backlog` holds the bytes of answers that wait for the disk.
    pub(super) fn new(backlog: Arc<AtomicUsize>) -> Self {
        Self { held: AtomicUsize::new(0), backlog, alone: Semaphore::new(1), turn: Mutex::new(()) }
    }

    /// For one job, which holds nothing yet.
    pub(super) fn claim(&self) -> PageClaim<'_> {
        PageClaim { budget: self, bytes: 0, alone: None }
    }

    fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) > MANY || self.backlog.load(Ordering::Relaxed) > MAX_BACKLOG
    }
}

/// What one job holds; given back when dropped.
#[derive(Debug)]
pub(super) struct PageClaim<'a> {
    budget: &'a PageBudget,
    bytes: usize,
    alone: Option<SemaphorePermit<'a>>,
}

impl PageClaim<'_> {
    /// Takes note of how much the job holds.
    pub(super) fn hold(&mut self, bytes: usize) {
        self.budget.held.fetch_add(bytes, Ordering::Relaxed);
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// Whether the job should let its pages go: all jobs hold too much, and it is not the one that goes on to its end.
    pub(super) fn is_too_much(&self) -> bool {
        self.alone.is_none() && self.budget.held.load(Ordering::Relaxed) > TOO_MANY
    }

    /// Waits until the job may ask for a page.
    pub(super) async fn wait(&mut self) {
        if self.alone.is_some() || !self.budget.is_full() {
            return;
        }
        let budget = self.budget;
        let _turn = budget.turn.lock().await;
        while budget.is_full() {
            if let Ok(alone) = budget.alone.try_acquire() {
                self.alone = Some(alone);
                return;
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// Waits to be the one job that goes on to its end.
    pub(super) async fn wait_alone(&mut self) {
        if self.alone.is_none() {
            // The semaphore is never closed.
            self.alone = self.budget.alone.acquire().await.ok();
        }
    }
}

impl Drop for PageClaim<'_> {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn while_much_is_held_one_job_goes_on_and_the_others_wait() {
        let budget = PageBudget::new(Arc::default());
        let (mut first, mut second, mut third) = (budget.claim(), budget.claim(), budget.claim());
        first.wait().await;
        first.hold(7 * MIB);
        second.wait().await;
        second.hold(2 * MIB);
        second.wait().await;
        assert!(first.wait().now_or_never().is_none() && third.wait().now_or_never().is_none());
        // The one that goes on does not wait again, however much it holds.
        second.hold(60 * MIB);
        second.wait().await;
        assert!(!second.is_too_much() && first.is_too_much());
        drop(second);
        first.wait().await;
        assert!(!first.is_too_much());
        first.hold(9 * MIB);
        first.wait().await;
        assert!(third.wait().now_or_never().is_none());
        drop(first);
        third.wait().await;
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_that_all_hold_a_part_all_end() {
        let budget = PageBudget::new(Arc::default());
        let most = AtomicUsize::new(0);
        let job = |_| async {
            let mut claim = budget.claim();
            'anew: loop {
                for page in 1..=10 {
                    claim.wait().await;
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    claim.hold(page * MIB);
                    most.fetch_max(budget.held.load(Ordering::Relaxed), Ordering::Relaxed);
                    if claim.is_too_much() {
                        claim.hold(0);
                        claim.wait_alone().await;
                        continue 'anew;
                    }
                }
                return;
            }
        };
        let all = futures_util::future::join_all((0..64).map(job));
        tokio::time::timeout(Duration::from_mins(10), all).await.expect("no job waits for ever");
        let most = most.load(Ordering::Relaxed);
        assert!((MANY..=TOO_MANY + 20 * MIB).contains(&most), "{most}");
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn pages_wait_for_the_disk() {
        let backlog = Arc::new(AtomicUsize::new(MAX_BACKLOG + 1));
        let budget = PageBudget::new(Arc::clone(&backlog));
        let (mut first, mut second) = (budget.claim(), budget.claim());
        first.wait().await;
        assert!(second.wait().now_or_never().is_none());
        backlog.store(0, Ordering::Relaxed);
        second.wait().await;
    }
}
