//! Room for bodies that are being read: bounded for all of them together, whatever servers send.
//!
//! `--max-body` bounds one body, and there may be thousands in flight. So what is longer than usual
//! claims its room before it is read on, and waits where there is none: the connection then fills up
//! and the server waits too. Bodies that all hold some and all want more would wait for each other;
//! therefore one at a time may read to its end beyond the bound.

use tokio::sync::{Semaphore, SemaphorePermit};

/// A body up to this size claims nothing: most are far smaller.
const FREE: usize = 128 << 10;
/// What is claimed at once: much, so that few connections read on, and only theirs have large buffers
/// (up to 800 KiB each in hyper).
const STEP: usize = 1 << 20;
/// Steps that all bodies may hold together: 12 MiB, which with the one beyond the bound, its decoded
/// form and the buffers of 64 connections stays under 100 MiB at the default `--max-body`.
const STEPS: usize = 12;

/// The room of a run.
#[derive(Debug)]
pub struct Room {
    steps: Semaphore,
    beyond: Semaphore,
}

impl Room {
    /// All of it free.
    pub fn new() -> Self {
        Self { steps: Semaphore::new(STEPS), beyond: Semaphore::new(1) }
    }
}

/// What one body holds of it; given back when dropped.
#[derive(Debug)]
pub struct Claim<'a> {
    room: &'a Room,
    steps: Option<SemaphorePermit<'a>>,
    beyond: Option<SemaphorePermit<'a>>,
    covered: usize,
}

impl<'a> Claim<'a> {
    /// Nothing yet.
    pub fn on(room: &'a Room) -> Self {
        Self { room, steps: None, beyond: None, covered: FREE }
    }

    /// Waits until there is room for a body of this size.
    pub async fn cover(&mut self, size: usize) {
        while size > self.covered && self.beyond.is_none() {
            // Both semaphores are never closed.
            tokio::select! {
                biased;
                Ok(step) = self.room.steps.acquire() => {
                    self.covered += STEP;
                    match &mut self.steps {
                        Some(steps) => steps.merge(step),
                        none => *none = Some(step),
                    }
                }
                Ok(beyond) = self.room.beyond.acquire() => self.beyond = Some(beyond),
                else => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn small_bodies_claim_nothing_and_a_claim_is_given_back() {
        let room = Room::new();
        let mut small = Claim::on(&room);
        small.cover(FREE).await;
        assert_eq!(room.steps.available_permits(), STEPS);
        let mut large = Claim::on(&room);
        large.cover(FREE + 3 * STEP).await;
        assert_eq!(room.steps.available_permits(), STEPS - 3);
        drop(large);
        assert_eq!(room.steps.available_permits(), STEPS);
    }

    #[tokio::test(start_paused = true)]
    async fn many_large_bodies_all_end_and_never_hold_more_than_the_bound_and_one() {
        const BODY: usize = 10 * STEP;
        let (room, held, most) = (Room::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        let body = |_| async {
            let mut claim = Claim::on(&room);
            for size in (0..=BODY).step_by(STEP / 2) {
                claim.cover(size).await;
                let now = held.fetch_add(STEP / 2, Ordering::Relaxed) + STEP / 2;
                most.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            held.fetch_sub(BODY + STEP / 2, Ordering::Relaxed);
        };
        let all = futures_util::future::join_all((0..64).map(body));
        tokio::time::timeout(Duration::from_mins(10), all).await.expect("no body waits for ever");
        let bound = STEPS * STEP + BODY + 64 * (FREE + STEP);
        assert!(most.load(Ordering::Relaxed) <= bound, "{most:?}");
    }
}
