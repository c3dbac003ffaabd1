//! The time limit of one attempt, without the time that it waits for this program.
//!
//! A large body waits for the body budget, and for our own disk. The server does not cause that, so it must not end the
//! attempt: the limit is paused meanwhile.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// While the limit is paused, the deadline is this far ahead.
const FAR: Duration = Duration::from_hours(24 * 365);

/// A time limit that can be paused.
#[derive(Debug)]
pub(super) struct PausableTimeout {
    deadline: Mutex<Instant>,
}

impl PausableTimeout {
    /// Ends this long from now.
    pub(super) fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self { deadline: Mutex::new(now.checked_add(limit).unwrap_or(now + FAR)) }
    }

    fn deadline(&self) -> Instant {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_deadline(&self, deadline: Instant) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    /// Runs an attempt; gives nothing where the time is over first. The attempt is pinned by the caller because an
    /// `async fn` would hold it twice, as its argument and as the pinned value.
    pub(super) async fn bound<T>(&self, mut attempt: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut over = pin!(sleep_until(self.deadline()));
        poll_fn(|cx| {
            if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            let deadline = self.deadline();
            if over.deadline() != deadline {
                over.as_mut().reset(deadline);
            }
            // An attempt that always finds more to read uses up the task's budget, without which no timer would ever
            // fire.
            let over = pin!(unconstrained(over.as_mut()));
            over.poll(cx).map(|()| None)
        })
        .await
    }

    /// Waits, as a part of the attempt, while the limit is paused.
    pub(super) async fn pause<T>(&self, wait: impl Future<Output = T>) -> T {
        let (began, deadline) = (Instant::now(), self.deadline());
        self.set_deadline(began + FAR);
        let waited = wait.await;
        self.set_deadline(deadline + began.elapsed());
        waited
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_in_a_pause_does_not_count_and_the_rest_does() {
        let second = Duration::from_secs(1);
        let timeout = PausableTimeout::new(second * 3);
        let took = async |work: Duration, pause: Duration| {
            sleep(work).await;
            timeout.pause(sleep(pause)).await;
            sleep(work).await;
        };
        assert!(timeout.bound(pin!(took(second, second * 60))).await.is_some());
        let timeout = PausableTimeout::new(second * 3);
        let began = Instant::now();
        let attempt = pin!(async {
            timeout.pause(sleep(second * 60)).await;
            sleep(second * 4).await;
        });
        assert!(timeout.bound(attempt).await.is_none());
        assert_eq!(began.elapsed().as_secs(), 63);
    }
}
