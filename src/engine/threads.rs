//! Checks before the first request that the system grants the threads that a run needs.

use std::io;
use std::panic::{self, AssertUnwindSafe};

use rustix::io::Errno;
use tokio::runtime::Runtime;

/// Starts the first blocking thread. Tokio panics if the system refuses the first one and copes without further ones.
/// The panic message is suppressed meanwhile, so call this before other threads work.
///
/// # Errors
/// The system refuses a thread.
#[expect(clippy::disallowed_methods, reason = "this is the trial")]
pub(crate) fn start(runtime: &Runtime) -> io::Result<()> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let started = panic::catch_unwind(AssertUnwindSafe(|| drop(runtime.spawn_blocking(|| ()))));
    panic::set_hook(hook);
    started.map_err(|_| Errno::AGAIN.into())
}
