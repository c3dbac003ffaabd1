//! Whether a program still reads standard output, where a run will write its answers.

use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat};
use rustix::time::Timespec;

const NO_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The program at the other end of standard output, if that is a pipe or a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StdoutPeer {
    is_watched: bool,
}

impl StdoutPeer {
    /// None: the answers go to a file.
    #[must_use]
    pub(crate) fn none() -> Self {
        Self { is_watched: false }
    }

    /// The program that reads standard output.
    #[must_use]
    pub(crate) fn of_standard_output() -> Self {
        let kind = fstat(io::stdout()).map(|found| FileType::from_raw_mode(found.st_mode));
        Self { is_watched: matches!(kind, Ok(FileType::Fifo | FileType::Socket)) }
    }

    /// Whether the reader has closed its end, so that nothing that is written can arrive.
    #[must_use]
    pub(crate) fn is_gone(self) -> bool {
        let out = io::stdout();
        let mut fds = [PollFd::new(&out, PollFlags::OUT)];
        self.is_watched
            && poll(&mut fds, Some(&NO_WAIT)).is_ok()
            && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }
}
