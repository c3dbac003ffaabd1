//! Reads and plans rows on a thread of its own: reading blocks, and the network loop must not.

use std::thread;
use std::time::{Duration, Instant};

use csv::ByteRecord;
use tokio::sync::mpsc;

use crate::input::{InputContent, InputError, InputPath, InputSettings, Rows, SharedRow};
use crate::plan::{Packer, Planned, Planner};

/// Rows in a batch: waking the loop for every row would cost more than the row.
const BATCH: usize = 256;
/// The most batches that wait for the loop.
const DEPTH: usize = 4;

/// How long the thread may take to end once the loop has left early.
const ABANDON_AFTER: Duration = Duration::from_millis(200);

/// Opens the input and reads its header, until this instant at most, since a pipe may never give a byte. Returns
/// nothing if the time is over; the thread is then abandoned.
///
/// # Errors
/// The input cannot be opened, or its header not be used.
#[expect(clippy::disallowed_methods, reason = "before the event loop begins")]
pub(crate) fn open_until(
    path: &InputPath,
    settings: &InputSettings,
    until: Option<Instant>,
) -> Result<Option<Rows>, InputError> {
    let Some(until) = until.filter(|_| !path.can_be_read_twice()) else {
        return Rows::open(path, settings).map(Some);
    };
    let (sender, opened) = std::sync::mpsc::channel();
    let (of, how) = (path.clone(), settings.clone());
    let thread = thread::Builder::new().name("input".into()).spawn(move || {
        // The caller may have stopped waiting.
        let _ = sender.send(Rows::open(&of, &how));
    });
    if thread.is_err() {
        return Rows::open(path, settings).map(Some);
    }
    opened.recv_timeout(until.saturating_duration_since(Instant::now())).ok().transpose()
}

/// The planned rows as they come, and the thread that makes them.
pub(crate) struct InputThread {
    /// Batches, in the input's order; closed at its end.
    pub(crate) batches: mpsc::Receiver<Vec<Planned>>,
    /// Packs the keys; none: each has a request of its own.
    pub(super) packer: Option<Packer>,
    /// Records of rows that are done with, for the next batch that goes back.
    spent: Vec<ByteRecord>,
    give_back: std::sync::mpsc::Sender<Spent>,
    thread: thread::JoinHandle<InputSummary>,
}

/// Memory that goes back to the input thread to be used again. To allocate it on one thread and free it on another costs
/// as much as reading the rows.
#[derive(Default)]
struct Spent {
    /// A batch that is empty.
    batch: Vec<Planned>,
    records: Vec<ByteRecord>,
}

/// What is known when the input is at its end, or was left early.
pub(crate) struct InputSummary {
    /// Holds every key that was planned, and warnings about rows.
    pub(crate) planner: Planner,
    /// Data rows read; where several processes share the input, those of this one.
    pub(crate) rows: u64,
    /// What all rows are that were read, where several processes share the input.
    pub(crate) content: Option<InputContent>,
    /// Lines without a character, or of empty cells alone.
    pub(crate) blanks: u64,
    /// The input ended in a Ctrl-Z, which is no row.
    pub(crate) ended_in_a_mark: bool,
    /// The end was reached, of the input or of what `--limit` takes of it. Otherwise there may be more rows.
    pub(crate) at_end: bool,
    /// Why the input broke off, if it did.
    pub(crate) broken: Option<InputError>,
}

impl InputThread {
    /// Starts to read and plan.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn start(rows: Rows, planner: Planner) -> std::io::Result<Self> {
        let (sender, batches) = mpsc::channel(DEPTH);
        let (give_back, come_back) = std::sync::mpsc::channel();
        let packer = Packer::of(planner.request());
        let thread = thread::Builder::new()
            .name("input".into())
            .spawn(move || read_and_plan(rows, planner, (&sender, &come_back)))?;
        Ok(Self { batches, packer, spent: Vec::new(), give_back, thread })
    }

    /// A row is done with; this was its record.
    pub(super) fn spend(&mut self, record: ByteRecord) {
        if self.spent.len() < BATCH {
            self.spent.push(record);
        }
    }

    /// Gives a batch back that is empty, and the records of rows that are done with.
    pub(super) fn give_back(&mut self, batch: Vec<Planned>) {
        let records = std::mem::take(&mut self.spent);
        // At the end of the input nobody takes them.
        let _ = self.give_back.send(Spent { batch, records });
    }

    /// Batches that come through a channel, and a thread that ends with this summary.
    #[cfg(test)]
    pub(super) fn scripted(
        batches: mpsc::Receiver<Vec<Planned>>,
        summary: impl FnOnce() -> InputSummary + Send + 'static,
    ) -> Self {
        let thread = thread::Builder::new().spawn(summary).expect("the system grants a thread");
        Self { batches, packer: None, spent: Vec::new(), give_back: std::sync::mpsc::channel().0, thread }
    }

    /// What was read in all. When the loop left early, a thread that hangs in a read (a silent pipe) is abandoned:
    /// the end of the run needs nothing from it.
    #[expect(clippy::disallowed_methods, reason = "the thread is waited for in real time")]
    pub(crate) fn finish(mut self, left_early: bool) -> Option<InputSummary> {
        self.batches.close();
        while self.batches.try_recv().is_ok() {}
        if left_early {
            let deadline = Instant::now() + ABANDON_AFTER;
            while !self.thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            if !self.thread.is_finished() {
                return None;
            }
        }
        self.thread.join().ok()
    }
}

/// An empty batch, which was used before if one came back.
fn next_batch(rows: &mut Rows, come_back: &std::sync::mpsc::Receiver<Spent>) -> Vec<Planned> {
    let Spent { mut batch, records } = come_back.try_recv().unwrap_or_default();
    rows.reuse(records);
    batch.reserve(BATCH);
    batch
}

fn read_and_plan(
    mut rows: Rows,
    mut planner: Planner,
    (sender, come_back): (&mpsc::Sender<Vec<Planned>>, &std::sync::mpsc::Receiver<Spent>),
) -> InputSummary {
    let mut read = 0;
    let mut batch = Vec::with_capacity(BATCH);
    let mut at_end = false;
    let broken = loop {
        match rows.next_of_all() {
            Ok(Some(row)) => {
                if let SharedRow::Own(row) = row {
                    read += 1;
                    batch.push(planner.plan(row));
                }
                // A slow pipe: rows that were read must not wait for rows that were not.
                if (batch.len() == BATCH || !(batch.is_empty() || rows.more_buffered()))
                    && sender
                        .blocking_send(std::mem::replace(&mut batch, next_batch(&mut rows, come_back)))
                        .is_err()
                {
                    break None;
                }
            }
            Ok(None) => {
                at_end = true;
                break None;
            }
            Err(error) => break Some(error),
        }
    };
    if !batch.is_empty() {
        // The loop may have left early.
        let _ = sender.blocking_send(batch);
    }
    let (blanks, ended_in_a_mark) = (rows.blanks(), rows.ended_in_a_mark());
    InputSummary { planner, rows: read, content: rows.content(), blanks, ended_in_a_mark, at_end, broken }
}
