//! Signals that ask the run to stop.

use std::io;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that are listened to, by number and name.
const HEARD: [(i32, &str); 3] = [(2, "SIGINT"), (15, "SIGTERM"), (1, "SIGHUP")];

/// A stream of stop requests.
#[derive(Debug)]
pub struct Signals {
    streams: Vec<(u8, Signal)>,
}

impl Signals {
    /// Begins to listen. A signal that was ignored when the program started (`nohup`, a background
    /// job of a plain shell) stays ignored.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored_at_start();
        let mut streams = Vec::new();
        for (number, _) in HEARD {
            if ignored & (1 << (number - 1)) == 0 {
                streams.push((u8::try_from(number).unwrap_or(0), signal(SignalKind::from_raw(number))?));
            }
        }
        Ok(Self { streams })
    }

    /// The number of the next signal that asks to stop.
    pub async fn next(&mut self) -> u8 {
        std::future::poll_fn(|cx| {
            for (number, stream) in &mut self.streams {
                if let std::task::Poll::Ready(Some(())) = stream.poll_recv(cx) {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Does blocking work on a thread of its own, or gives the number of the signal that came first; the
/// work is then left behind and must be such that the process may end at any point of it.
///
/// # Errors
/// A signal asked to stop before the work was done.
///
/// # Panics
/// When the work does.
pub fn unless_signalled<T: Send + 'static>(
    runtime: &Runtime,
    signals: &mut Signals,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, u8> {
    runtime.block_on(async {
        tokio::select! {
            biased;
            done = tokio::task::spawn_blocking(work) => match done {
                Ok(value) => Ok(value),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            number = signals.next() => Err(number),
        }
    })
}

/// The name of a signal that is listened to.
#[must_use]
pub fn name(number: u8) -> &'static str {
    HEARD.iter().find(|(n, _)| *n == i32::from(number)).map_or("signal", |(_, name)| name)
}

/// The set of ignored signals, bit `n - 1` for signal `n`; empty where the system does not tell.
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
