//! A timer that is exact to some tens of microseconds. tokio's is late by up to two milliseconds, as it counts in whole ones
//! and so does `epoll_wait`. Where each departure has to keep its distance from the one before, that delay is lost every
//! time: of 200 a second, 160 are left.
//!
//! Only Linux has such a timer that a runtime can wait for beside its sockets (timerfd). Elsewhere tokio's is used.

use tokio::time::{Instant, sleep_until};

/// The timer of a gate. Its clock is the system's, so that a runtime whose time is paused must not use it.
#[derive(Debug, Default)]
pub(super) struct ExactTimer {
    #[cfg(target_os = "linux")]
    timer: linux::SharedTimer,
}

impl ExactTimer {
    /// Waits until then, and for no longer than the system takes to wake the thread. The future may be dropped at any time.
    pub(super) async fn sleep_until(&self, until: Instant) {
        #[cfg(target_os = "linux")]
        self.timer.sleep_until(until).await;
        // Where there is no exact timer, or none is left.
        if Instant::now() < until {
            sleep_until(until).await;
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::time::{Instant, sleep_until};

    /// tokio's timer is late by no more than this where the processor is free.
    const TICKS: Duration = Duration::from_millis(2);

    type Timer = AsyncFd<OwnedFd>;

    /// One timer for all, since only one departure at a time is the next. Where its place is taken meanwhile, it still
    /// sleeps, and the new one makes a second timer.
    #[derive(Debug, Default)]
    pub(super) struct SharedTimer {
        /// None: not made yet, or in use.
        idle: Mutex<Option<Timer>>,
    }

    impl SharedTimer {
        /// Returns at that instant, or before it where no timer can be had.
        pub(super) async fn sleep_until(&self, until: Instant) {
            // The timer is taken for the end of a wait only, so that it is free for others during a long one.
            if let Some(early) = until.checked_sub(TICKS).filter(|early| *early > Instant::now()) {
                sleep_until(early).await;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let Ok(timer) = self.take() else { return };
            let borrowed = Borrowed { shared: self, timer: Some(timer) };
            if let Some(timer) = &borrowed.timer {
                // What failed is waited for by tokio's timer.
                let _ = wait(timer, left).await;
            }
        }

        fn take(&self) -> io::Result<Timer> {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
            idle.map_or_else(make, Ok)
        }
    }

    /// A timer that is given back, also if the wait is given up.
    struct Borrowed<'a> {
        shared: &'a SharedTimer,
        timer: Option<Timer>,
    }

    impl Drop for Borrowed<'_> {
        fn drop(&mut self) {
            *self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner) = self.timer.take();
        }
    }

    #[expect(deprecated, reason = "an owned descriptor is always the same one; what replaces this is unsafe")]
    fn make() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        AsyncFd::with_interest(timerfd_create(TimerfdClockId::Monotonic, flags)?, Interest::READABLE)
    }

    async fn wait(timer: &Timer, left: Duration) -> io::Result<()> {
        let never = Timespec::default();
        // What is left is not zero, which would turn it off.
        let Ok(left) = Timespec::try_from(left) else { return Ok(()) };
        let once = Itimerspec { it_interval: never, it_value: left };
        // This also forgets that it went off for a wait that was given up.
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = timer.readable().await?;
            let mut count = [0; 8];
            if let Ok(read) = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?)) {
                return read.map(|_| ());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_is_never_early_not_even_after_a_wait_that_was_given_up() {
        let timer = ExactTimer::default();
        for micros in [1, 300, 1_000, 1_900, 2_100, 5_300] {
            let given_up = Instant::now() + Duration::from_micros(micros / 3);
            {
                let mut wait = pin!(timer.sleep_until(given_up));
                let is_over = poll_fn(|context| Poll::Ready(wait.as_mut().poll(context).is_ready())).await;
                assert!(!is_over || Instant::now() >= given_up);
            }
            let until = Instant::now() + Duration::from_micros(micros);
            timer.sleep_until(until).await;
            assert!(Instant::now() >= until);
        }
    }

    #[tokio::test]
    async fn several_may_wait_at_a_time() {
        let timer = ExactTimer::default();
        let start = Instant::now();
        let wait = async |millis: u64| {
            let until = start + Duration::from_millis(millis);
            timer.sleep_until(until).await;
            assert!(Instant::now() >= until);
        };
        tokio::join!(wait(4), wait(4), wait(1), wait(3), wait(0));
    }

    #[test]
    fn where_the_clock_stands_still_tokios_timer_is_waited_for() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let until = Instant::now() + Duration::from_hours(1);
            ExactTimer::default().sleep_until(until).await;
            assert!(Instant::now() >= until);
        });
    }
}
