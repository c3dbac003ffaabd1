//! The limit on open files, raised to what the sockets need.

use std::num::NonZeroUsize;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Open files that are no sockets of attempts: some 30 (output, journal, lock, input, state, those of the runtime),
/// and connections that are being closed.
const BESIDES: u64 = 48;

/// The system allows fewer open files than the attempts in flight need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} requests in flight need {needed} open files, and the system allows {allowed}")]
pub(crate) struct TooFewDescriptors {
    /// Attempts in flight.
    pub(crate) wanted: usize,
    /// Sockets of each.
    pub(crate) each: usize,
    /// Open files that they need.
    pub(crate) needed: u64,
    /// The hard limit.
    pub(crate) allowed: u64,
}

impl TooFewDescriptors {
    /// The number of attempts in flight for which the limit is enough, if there is one.
    #[must_use]
    pub(crate) fn room(self) -> Option<NonZeroUsize> {
        let sockets = usize::try_from(self.allowed.saturating_sub(BESIDES)).unwrap_or(usize::MAX);
        NonZeroUsize::new(sockets / self.each.max(1))
    }
}

/// Raises the soft limit on open files (`RLIMIT_NOFILE`) to what this many attempts in flight need, with so many
/// sockets each, and enlarges the process's table of open files. Call it while there is one thread.
///
/// # Errors
/// The hard limit is lower; the soft one was then raised as far as it goes.
pub(crate) fn make_room(in_flight: usize, each: usize) -> Result<(), TooFewDescriptors> {
    let needed = (in_flight as u64).saturating_mul(each as u64).saturating_add(BESIDES);
    let limit = getrlimit(Resource::Nofile);
    // No limit is written as none.
    if limit.current.is_none_or(|current| current >= needed) {
        set_aside(needed);
        return Ok(());
    }
    let mut raised = limit;
    raised.current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    match now {
        Some(allowed) if allowed < needed => {
            Err(TooFewDescriptors { wanted: in_flight, each, needed, allowed })
        }
        _ => {
            set_aside(needed);
            Ok(())
        }
    }
}

/// Enlarges the table of open files to this size. Linux doubles it as files are opened. In a process with threads the
/// opener then waits until no processor reads the old table: some 10 ms, in which nothing is sent (`expand_fdtable` in
/// the kernel's fs/file.c). With one thread there is no wait.
fn set_aside(files: u64) {
    // Without standard error the table grows as usual.
    if let Ok(last) = i32::try_from(files.saturating_sub(1)) {
        let _ = fcntl_dupfd_cloexec(std::io::stderr(), last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_be_allowed_says_so_with_the_numbers() {
        let most = 1 << 40;
        match make_room(most, 1) {
            Ok(()) => assert_eq!(getrlimit(Resource::Nofile).maximum, None),
            Err(error) => {
                assert_eq!(error.wanted, most);
                assert!(error.room().is_none_or(|room| room.get() < most));
                assert!(error.to_string().contains(&error.allowed.to_string()));
            }
        }
    }

    #[test]
    fn what_is_proposed_is_what_there_is_room_for_and_never_nothing() {
        let room = |allowed, each| {
            TooFewDescriptors { wanted: 900, each, needed: 948, allowed }.room().map(NonZeroUsize::get)
        };
        assert_eq!(room(BESIDES + 100, 1), Some(100));
        assert_eq!(room(BESIDES + 101, 2), Some(50));
        assert_eq!((room(BESIDES + 1, 2), room(BESIDES, 1), room(3, 1)), (None, None, None));
    }
}
