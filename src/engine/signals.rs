//! Signals that ask the run to stop.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{SelectAll, Stream, StreamExt};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinError;

/// The signals that stop a run: SIGINT, SIGTERM, SIGHUP.
const WATCHED: [u8; 3] = [2, 15, 1];

/// A stream of signals that stop a run.
#[derive(Debug)]
pub(crate) struct Signals(SignalSource);

#[derive(Debug)]
enum SignalSource {
    /// The process's own signals. The loop asks for them all the time, and one that has not come is not looked at again.
    Process(SelectAll<NumberedSignal>),
    #[cfg(test)]
    Channel(tokio::sync::mpsc::UnboundedReceiver<u8>),
}

/// One of the process's signals, as a stream of its number.
#[derive(Debug)]
struct NumberedSignal {
    number: u8,
    signal: Signal,
}

impl Stream for NumberedSignal {
    type Item = u8;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u8>> {
        let came = self.signal.poll_recv(cx);
        came.map(|came| came.map(|()| self.number))
    }
}

impl Signals {
    /// Begins to listen. A signal that was ignored when the program started (`nohup`, a background
    /// job of a plain shell) stays ignored.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub(crate) fn listen() -> io::Result<Self> {
        let ignored = ignored_at_start();
        let mut streams = SelectAll::new();
        for number in WATCHED {
            if ignored & (1 << (number - 1)) == 0 {
                streams.push(NumberedSignal { number, signal: signal(SignalKind::from_raw(number.into()))? });
            }
        }
        Ok(Self(SignalSource::Process(streams)))
    }

    /// The numbers that come through a channel, in place of the process's signals.
    #[cfg(test)]
    pub(super) fn from_channel(numbers: tokio::sync::mpsc::UnboundedReceiver<u8>) -> Self {
        Self(SignalSource::Channel(numbers))
    }

    /// The number of the next signal that asks to stop.
    pub(crate) async fn next(&mut self) -> u8 {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<u8> {
        match &mut self.0 {
            SignalSource::Process(signals) => match signals.poll_next_unpin(cx) {
                Poll::Ready(Some(number)) => Poll::Ready(number),
                // Where all of them are ignored there is none to wait for.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            },
            #[cfg(test)]
            SignalSource::Channel(numbers) => match numbers.poll_recv(cx) {
                Poll::Ready(Some(number)) => Poll::Ready(number),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            },
        }
    }
}

/// Makes a write beyond `ulimit -f` fail with `EFBIG` instead of ending the process by `SIGXFSZ`.
pub(crate) fn handle_sigxfsz() {
    // Where the system refuses a handler, its default stays.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
}

/// Decides once between a signal and the commit of blocking work: whichever comes first wins, so that what is
/// reported is what happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitGuard(Arc<AtomicU8>);

const OPEN: u8 = 0;
const STOPPED: u8 = 1;
const COMMITTED: u8 = 2;

impl CommitGuard {
    /// Whether the work is no longer wanted.
    #[must_use]
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire) == STOPPED
    }

    /// From here on the work is completed, whatever signal comes; false if a signal came first.
    #[must_use]
    pub(crate) fn commit(&self) -> bool {
        self.turn(COMMITTED)
    }

    fn stop(&self) {
        let _ = self.turn(STOPPED);
    }

    fn turn(&self, state: u8) -> bool {
        self.0.compare_exchange(OPEN, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Does blocking work on a thread of its own. A signal stops its commit guard; the work then has `grace`
/// to end, and is abandoned when that is over or another signal comes: it must be such that the process may
/// end at any point of it. Returns its result, if it ended, and the signal.
///
/// # Panics
/// When the work does.
pub(crate) fn unless_signalled<T: Send + 'static>(
    (runtime, signals): (&Runtime, &mut Signals),
    grace: Duration,
    work: impl FnOnce(&CommitGuard) -> T + Send + 'static,
) -> (Option<T>, Option<u8>) {
    let guard = CommitGuard::default();
    let given = guard.clone();
    let whole = |done: Result<T, JoinError>| match done {
        Ok(value) => Some(value),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    runtime.block_on(async {
        #[expect(clippy::disallowed_methods, reason = "engine::threads started the thread")]
        let mut work = tokio::task::spawn_blocking(move || work(&given));
        let number = tokio::select! {
            biased;
            done = &mut work => return (whole(done), None),
            number = signals.next() => number,
        };
        guard.stop();
        let done = tokio::select! {
            biased;
            done = &mut work => whole(done),
            _ = signals.next() => None,
            () = tokio::time::sleep(grace) => None,
        };
        (done, Some(number))
    })
}

/// Does the last blocking work of a run that a signal has stopped: it has so long, and is abandoned then, or when another
/// signal comes. Returns its result, if it ended.
///
/// # Panics
/// When the work does.
pub(crate) fn after_signal<T: Send + 'static>(
    (runtime, signals): (&Runtime, &mut Signals),
    limit: Duration,
    work: impl FnOnce(&CommitGuard) -> T + Send + 'static,
) -> Option<T> {
    runtime.block_on(async {
        #[expect(clippy::disallowed_methods, reason = "engine::threads started the thread")]
        let mut work = tokio::task::spawn_blocking(move || work(&CommitGuard::default()));
        tokio::select! {
            biased;
            done = &mut work => match done {
                Ok(value) => Some(value),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            _ = signals.next() => None,
            () = tokio::time::sleep(limit) => None,
        }
    })
}

/// Drops a value on a thread of its own.
#[expect(clippy::disallowed_methods, reason = "engine::threads started the thread")]
pub(crate) fn drop_beside(runtime: &Runtime, value: impl Send + 'static) {
    runtime.spawn_blocking(move || drop(value));
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
