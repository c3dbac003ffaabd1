//! The loop: planned rows in, entries out, until the input ends or the run stops.
//!
//! All jobs live in the slots of one task (`job_slots`): opening a job costs no spawn and no
//! channel, and a job that waits out its back-off keeps its place in the window but no slot at the
//! gate. Nothing in the loop awaits but the loop itself, so no attempt is left unpolled.
//!
//! Time is tokio's, signals may come from a channel and entries go to an [`store::EntryStore`], so that the tests run
//! the loop under a paused clock.

pub(crate) mod breaker;
pub(crate) mod climb;
mod conditional;
mod entry_sink;
pub(crate) mod input_thread;
mod job_slots;
mod limit_estimate;
mod monitor;
mod open_jobs;
mod pack_queue;
mod pack_splits;
mod rate_keeper;
mod recheck;
mod run_loop;
pub(crate) mod signals;
pub(crate) mod stdout_peer;
mod store;
pub(crate) mod threads;
mod wait_times;

use std::time::Duration;

use tokio::time::Instant;

use crate::collect::CollectError;
use crate::fetch::{Fetcher, Shutdown, Transport};
use crate::limit::Gate;
use crate::report::Report;

use input_thread::{InputSummary, InputThread};
pub(crate) use rate_keeper::{NamedStore, RateKeeper, RatedRun};
use run_loop::RunLoop;
use signals::Signals;
use stdout_peer::StdoutPeer;
use store::EntryStore;
pub(crate) use wait_times::WaitTimes;

/// Open jobs for each attempt that may be in flight: enough to keep connections busy while others wait out their
/// back-off, few enough to bound memory.
const WINDOW_FACTOR: usize = 4;
/// Answers that wait for the disk, in bytes; past it no job is opened.
const MAX_BACKLOG: usize = 16 << 20;
/// How often progress is drawn.
const TICK: Duration = Duration::from_millis(50);
/// How long an answer may stay in the process, where `kill -9` takes it: short beside a request, and long enough that
/// a fast run hands over many at once.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(2);
/// How long attempts in flight may still take once the run stops.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// What the loop works with.
pub(crate) struct Engine<'a, T, S> {
    /// Takes jobs to their outcome.
    pub(crate) fetcher: &'a Fetcher<T>,
    /// Says when an attempt may leave.
    pub(crate) gate: &'a Gate,
    /// Where entries go.
    pub(crate) store: &'a mut S,
    /// Receives every event.
    pub(crate) report: &'a Report,
    /// Ends the run early.
    pub(crate) shutdown: &'a Shutdown,
    /// Signals that end the run early.
    pub(crate) signals: &'a mut Signals,
    /// The program that reads the answers on standard output.
    pub(crate) reader: StdoutPeer,
    /// When the run began.
    pub(crate) started: Instant,
    /// When no more work may start (`--max-time`).
    pub(crate) deadline: Option<Instant>,
    /// Values younger than this are left alone.
    pub(crate) max_age: Option<Duration>,
}

/// How the loop ended.
pub(crate) struct RunEnd {
    /// Rows that came from the input thread; what became of each is in the report's counts, or it is left for the
    /// next run.
    pub(crate) rows: u64,
    /// Of these, rows without a key that failed for it.
    pub(crate) keyless: u64,
    /// Of these, rows that failed for having fewer cells than the header.
    pub(crate) short_rows: u64,
    /// What the input thread found, unless it hangs in a read.
    pub(crate) input_summary: Option<InputSummary>,
    /// The disk's error, if it ended the run.
    pub(crate) disk: Option<CollectError>,
    /// The second signal came: leave at once.
    pub(crate) at_once: bool,
    /// What held the run back.
    pub(crate) waits: WaitTimes,
}

impl<T: Transport, S: EntryStore> Engine<'_, T, S> {
    /// Runs to the end of the input or to an early stop, drained.
    pub(crate) async fn run(self, input: InputThread) -> RunEnd {
        let fetcher = self.fetcher;
        RunLoop::new(self, input, |job| fetcher.fetch(job)).run().await
    }
}

/// Whether one more attempt could be in flight.
fn has_room(gate: &Gate) -> bool {
    let view = gate.view();
    view.in_flight + view.waiting < view.limit
}

/// Never ends without an instant.
async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
