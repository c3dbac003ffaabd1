//! The jobs that are open, and the rows that come next.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use super::input_thread::InputThread;
use super::job_slots::JobSlots;
use crate::fetch::PackEnd;
use crate::model::Entry;
use crate::plan::{Packer, Planned};

/// The request of a pack that is under way.
pub(super) type PackFuture<'a> = LocalBoxFuture<'a, PackEnd>;

/// What the loop does next. It is passed on several times, so that what it is about lies elsewhere.
pub(super) enum NextStep {
    /// A job has ended, with the entry in [`OpenJobs::ended`].
    Done,
    PackDone(Box<PackEnd>),
    /// [`OpenJobs::take_row`] gives the next row, to be opened.
    RowDue,
    Over,
}

/// What there is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// Rows, as far as is known.
    Rows,
    /// A job could have been opened at the last poll, but there was no row.
    Starved,
    /// No row is left; so many jobs are open.
    Exhausted(usize),
}

/// The jobs that are open, and the rows that come next.
pub(super) struct OpenJobs<'a, F> {
    pub(super) jobs: JobSlots<F>,
    pub(super) packs: FuturesUnordered<PackFuture<'a>>,
    /// The entry of the job that ended last, until it is received.
    pub(super) ended: Option<Entry>,
    /// Keys wait to be packed: the run is not over.
    pub(super) holds_keys: bool,
    /// Those of the newest batch.
    planned: VecDeque<Planned>,
    pub(super) input: InputThread,
    /// Rows that came from the input thread.
    pub(super) rows: u64,
    input_end: InputEnd,
    starved: bool,
}

/// Whether rows are still opened.
#[derive(PartialEq, Eq)]
enum InputEnd {
    /// They are, as they come.
    NotYet,
    /// No row is opened any more, and those that are left stay to be accounted for.
    Closing,
    /// There is none.
    Over,
}

impl<F: Future<Output = Entry>> OpenJobs<'_, F> {
    pub(super) fn new(input: InputThread) -> Self {
        Self {
            jobs: JobSlots::default(),
            packs: FuturesUnordered::new(),
            ended: None,
            holds_keys: false,
            planned: VecDeque::new(),
            input,
            rows: 0,
            input_end: InputEnd::NotYet,
            starved: false,
        }
    }

    /// What packs the keys, once; none where each has a request of its own.
    pub(super) fn take_packer(&mut self) -> Option<Packer> {
        self.input.packer.take()
    }

    pub(super) fn supply(&self) -> Supply {
        match () {
            () if self.has_no_rows_left() => Supply::Exhausted(self.count()),
            () if self.starved => Supply::Starved,
            () => Supply::Rows,
        }
    }

    /// Requests that are open.
    pub(super) fn count(&self) -> usize {
        self.jobs.len() + self.packs.len()
    }

    /// No row is left to open.
    pub(super) fn has_no_rows_left(&self) -> bool {
        self.input_end == InputEnd::Over && self.planned.is_empty()
    }

    /// Polls jobs before rows: a job that ends or waits makes room for the next row.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        room: impl Fn() -> bool,
        window: usize,
    ) -> Poll<NextStep> {
        if let Poll::Ready(entry) = self.jobs.poll_next(cx) {
            self.ended = Some(entry);
            return Poll::Ready(NextStep::Done);
        }
        if !self.packs.is_empty()
            && let Poll::Ready(Some(end)) = self.packs.poll_next_unpin(cx)
        {
            return Poll::Ready(NextStep::PackDone(Box::new(end)));
        }
        if self.count() < window && room() {
            match self.poll_rows(cx) {
                Poll::Ready(true) => return Poll::Ready(NextStep::RowDue),
                Poll::Ready(false) => {}
                Poll::Pending => self.starved = true,
            }
        }
        let is_last = self.has_no_rows_left() && !self.holds_keys || self.input_end == InputEnd::Closing;
        if is_last && self.count() == 0 {
            return Poll::Ready(NextStep::Over);
        }
        Poll::Pending
    }

    /// The row that [`NextStep::RowDue`] announced.
    pub(super) fn take_row(&mut self) -> Option<Planned> {
        self.planned.pop_front()
    }

    /// Whether there is a next row.
    fn poll_rows(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if !self.planned.is_empty() {
                return Poll::Ready(true);
            }
            if self.input_end == InputEnd::Over {
                return Poll::Ready(false);
            }
            let Poll::Ready(batch) = self.input.batches.poll_recv(cx) else { return Poll::Pending };
            self.starved = false;
            match batch {
                Some(batch) => {
                    self.rows += batch.len() as u64;
                    let used = std::mem::replace(&mut self.planned, batch.into());
                    self.input.give_back(used.into());
                }
                None => self.input_end = InputEnd::Over,
            }
        }
    }

    /// No row is opened any more, and those that are left stay to be accounted for.
    pub(super) fn close(&mut self) {
        self.input_end = InputEnd::Closing;
    }

    /// The next row that was not opened; none at the end of the input.
    pub(super) async fn next_unopened(&mut self) -> Option<Planned> {
        std::future::poll_fn(|cx| self.poll_rows(cx)).await;
        self.take_row()
    }

    /// Rows that were read will not be opened by this run, also those that need no request: the next run reads them
    /// again.
    pub(super) fn drop_unopened(&mut self) {
        self.input_end = InputEnd::Over;
        self.input.batches.close();
        self.planned.clear();
        while let Ok(batch) = self.input.batches.try_recv() {
            self.rows += batch.len() as u64;
        }
    }
}
