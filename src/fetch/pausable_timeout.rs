//! The time that one attempt may take, less what it spends waiting for us.
//!
//! A large body waits for room, and for our own disk. That is not the server's doing, so it must not end
//! the attempt: the clock stands still meanwhile.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// A clock that stands still is set this far ahead.
const FAR: Duration = Duration::from_hours(24 * 365);

/// When an attempt's time is over.
#[derive(Debug)]
pub struct PausableTimeout(Mutex<Instant>);

impl PausableTimeout {
    /// From now on so long.
    pub fn of(limit: Duration) -> Self {
        let now = Instant::now();
        Self(Mutex::new(now.checked_add(limit).unwrap_or(now + FAR)))
    }

    fn until(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// What the attempt comes to, or nothing where its time is over first.
    pub async fn bound<T>(&self, attempt: impl Future<Output = T>) -> Option<T> {
        let over = sleep_until(self.until());
        tokio::pin!(attempt, over);
        poll_fn(|cx| {
            if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            let until = self.until();
            if over.deadline() != until {
                over.as_mut().reset(until);
            }
            // An attempt that always finds more to read leaves nothing of the task's budget, without which no timer
            // would ever be over.
            let over = pin!(unconstrained(over.as_mut()));
            over.poll(cx).map(|()| None)
        })
        .await
    }

    /// Waits within the attempt while the clock stands still.
    pub async fn pause<T>(&self, wait: impl Future<Output = T>) -> T {
        let (began, until) = (Instant::now(), self.until());
        self.set(began + FAR);
        let waited = wait.await;
        self.set(until + began.elapsed());
        waited
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_stands_still_in_a_pause_and_goes_on_after_it() {
        let second = Duration::from_secs(1);
        let timeout = PausableTimeout::of(second * 3);
        let took = async |work: Duration, pause: Duration| {
            sleep(work).await;
            timeout.pause(sleep(pause)).await;
            sleep(work).await;
        };
        assert!(timeout.bound(took(second, second * 60)).await.is_some());
        let timeout = PausableTimeout::of(second * 3);
        let began = Instant::now();
        let ended = timeout.bound(async {
            timeout.pause(sleep(second * 60)).await;
            sleep(second * 4).await;
        });
        assert!(ended.await.is_none());
        assert_eq!(began.elapsed().as_secs(), 63);
    }
}
