//! The jobs that are open, and the rows that come next.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::feed::Feed;
use crate::model::Entry;
use crate::plan::Planned;

/// What the loop does next.
pub(super) enum Step {
    Done(Entry),
    Opened(Planned),
    Over,
}

/// What there is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// Rows, as far as anybody asked.
    Rows,
    /// There was room when the loop last looked, but no row.
    Hungry,
    /// No row is left; so many jobs are open.
    Over(usize),
}

/// The jobs that are open, and the rows that come next.
pub(super) struct Floor<F> {
    pub(super) jobs: FuturesUnordered<F>,
    planned: VecDeque<Planned>,
    pub(super) feed: Feed,
    input_over: bool,
    hungry: bool,
}

impl<F: Future<Output = Entry>> Floor<F> {
    pub(super) fn new(feed: Feed) -> Self {
        let planned = VecDeque::new();
        Self { jobs: FuturesUnordered::new(), planned, feed, input_over: false, hungry: false }
    }

    pub(super) fn supply(&self) -> Supply {
        match () {
            () if self.is_bare() => Supply::Over(self.jobs.len()),
            () if self.hungry => Supply::Hungry,
            () => Supply::Rows,
        }
    }

    /// No row is left to open.
    pub(super) fn is_bare(&self) -> bool {
        self.input_over && self.planned.is_empty()
    }

    /// Jobs first: what they end or put aside makes the room that the next row needs.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        room: impl Fn() -> bool,
        window: usize,
    ) -> Poll<Step> {
        if let Poll::Ready(Some(entry)) = self.jobs.poll_next_unpin(cx) {
            return Poll::Ready(Step::Done(entry));
        }
        if self.jobs.len() < window && room() {
            if let Poll::Ready(planned) = self.poll_planned(cx) {
                if let Some(planned) = planned {
                    return Poll::Ready(Step::Opened(planned));
                }
            } else {
                self.hungry = true;
            }
        }
        if self.is_bare() && self.jobs.is_empty() {
            return Poll::Ready(Step::Over);
        }
        Poll::Pending
    }

    fn poll_planned(&mut self, cx: &mut Context<'_>) -> Poll<Option<Planned>> {
        loop {
            if let Some(planned) = self.planned.pop_front() {
                return Poll::Ready(Some(planned));
            }
            if self.input_over {
                return Poll::Ready(None);
            }
            let Poll::Ready(batch) = self.feed.batches.poll_recv(cx) else { return Poll::Pending };
            self.hungry = false;
            match batch {
                Some(batch) => self.planned.extend(batch),
                None => self.input_over = true,
            }
        }
    }

    /// Rows that were read and will not be opened by this run; those that need no request are not
    /// looked at either: the next run reads them again.
    pub(super) fn drop_unopened(&mut self) -> u64 {
        self.input_over = true;
        self.feed.batches.close();
        let mut dropped = self.planned.len() as u64;
        self.planned.clear();
        while let Ok(batch) = self.feed.batches.try_recv() {
            dropped += batch.len() as u64;
        }
        dropped
    }
}
