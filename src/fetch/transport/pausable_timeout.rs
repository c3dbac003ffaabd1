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
use tokio::time::{Instant, Sleep, sleep_until};

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
    pub(super) async fn bound<T>(
        &self,
        mut attempt: Pin<&mut impl Future<Output = T>>,
        timers: &Timers,
    ) -> Option<T> {
        let mut over = timers.take(self.deadline());
        let ended = poll_fn(|cx| {
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
        .await;
        timers.put(over);
        ended
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

/// Timers of attempts that have ended. To give a timer that is still set a later deadline costs a third of setting and
/// removing one.
#[derive(Debug, Default)]
pub(super) struct Timers(Mutex<Vec<Pin<Box<Sleep>>>>);

impl Timers {
    fn take(&self, deadline: Instant) -> Pin<Box<Sleep>> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match spare {
            Some(mut timer) => {
                timer.as_mut().reset(deadline);
                timer
            }
            None => Box::pin(sleep_until(deadline)),
        }
    }

    fn put(&self, timer: Pin<Box<Sleep>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(timer);
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
        let timers = Timers::default();
        assert!(timeout.bound(pin!(took(second, second * 60)), &timers).await.is_some());
        let timeout = PausableTimeout::new(second * 3);
        let began = Instant::now();
        let attempt = pin!(async {
            timeout.pause(sleep(second * 60)).await;
            sleep(second * 4).await;
        });
        assert!(timeout.bound(attempt, &timers).await.is_none());
        assert_eq!(began.elapsed().as_secs(), 63);
        assert_eq!(timers.0.lock().unwrap().len(), 1, "it was used twice");
        // One that went off is set again.
        let (timeout, began) = (PausableTimeout::new(second), Instant::now());
        assert!(timeout.bound(pin!(std::future::pending::<()>()), &timers).await.is_none());
        assert_eq!(began.elapsed().as_secs(), 1);
    }
}
