//! Whether the system gives a run its threads, found out before the first request.

use std::io;
use std::panic::{self, AssertUnwindSafe};

use rustix::io::Errno;
use tokio::runtime::Runtime;

/// Starts the first of the threads that blocking work is done on. The runtime panics where the system gives none at
/// all, and makes do with those that it has where it gives no more. What a panic says is kept back meanwhile, so that
/// this belongs before any other thread has work.
///
/// # Errors
/// The system gives no thread.
pub fn start(runtime: &Runtime) -> io::Result<()> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let started = panic::catch_unwind(AssertUnwindSafe(|| drop(runtime.spawn_blocking(|| ()))));
    panic::set_hook(hook);
    started.map_err(|_| Errno::AGAIN.into())
}
