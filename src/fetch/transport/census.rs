//! How many HTTP/1.1 connections the server serves at a time, learnt from what happens to them.
//!
//! A server may have fewer workers than there are connections, each of which holds its worker between requests too
//! (prefork and threaded servers, one-process servers): a new connection then waits in the listen backlog, without a
//! sign, while the others are answered. Or it refuses or closes what is over its limit. Both show the same number: the
//! connections that are answered. No more are opened, but for one more now and then, in case the number has grown.
//!
//! A silent new connection and a slow answer look the same. What tells them apart: servers accept in the order of
//! arrival, so a connection is not silent for being new once a later one was answered. Where a server closes each
//! connection after its answer, that is the only sign: the packets of the earlier one were dropped, because the listen
//! backlog was full.
//! No IO, no lock, no clock: the pool calls it under its own lock.

mod patience;
mod served;

use std::time::Duration;

use tokio::time::Instant;

pub(super) use patience::KeptTrial;
use patience::{AFTER_TRIAL, MANY};
pub(crate) use served::ServedConnections;

/// After this long one connection more than the known number is opened; after each failure twice as long, at most …
const FIRST_TRIAL: Duration = Duration::from_secs(1);
/// … this long.
const LAST_TRIAL: Duration = Duration::from_mins(1);
/// Connections that were refused or silent before the number is reported.
const EVIDENCE: u32 = 3;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being opened.
    Opening,
    /// It is open and has given no answer.
    Unanswered,
    /// It has given an answer.
    Answered,
}

/// What is noted when a connection is begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    number: u64,
    at: Instant,
    /// When it was open; until then the same as `at`.
    opened: Instant,
    kept_answers: u64,
    first_answers: u64,
    /// Whether it is one more than the known number, and whether that was known.
    is_trial: bool,
    is_known_served: bool,
}

impl Begun {
    /// It is open.
    pub(super) fn set_opened(&mut self, now: Instant) {
        self.opened = now;
    }

    /// What opening it took.
    fn opening(&self) -> Duration {
        self.opened.saturating_duration_since(self.at)
    }

    /// Since it was begun.
    pub(super) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// The connections of one origin, counted.
#[derive(Debug)]
pub(super) struct Census {
    /// Connections are opened over TLS or through a tunnel.
    has_handshakes: bool,
    counts: [usize; 3],
    /// Connections that were ever begun.
    begun: u64,
    /// The highest number of a connection that has given an answer.
    newest_answered: u64,
    /// Connections that have given no answer, by their numbers.
    pending: Vec<u64>,
    /// Most connections that had given an answer at a time.
    proven: usize,
    /// First answers of connections.
    first_answers: u64,
    /// Connections that ended after an answer.
    closed_answered: u64,
    /// Answers over connections that had given one before.
    kept_answers: u64,
    /// What such an answer usually takes, and the longest that one took.
    usual: Duration,
    slowest_kept: Duration,
    /// The longest that opening a connection took, and the longest from then to its first answer, until a number of
    /// connections is known: then it may have waited for others.
    slowest_opening: Duration,
    slowest_first: Duration,
    /// When a kept connection gave an answer.
    newest_kept: Option<Instant>,
    /// When a kept connection was tried in place of a silent new one. None once any has given an answer since; until
    /// when that answer counts.
    tried_kept: Option<Instant>,
    trial_counts_until: Option<Instant>,
    /// No silence is waited out for longer.
    patience_most: Duration,
    /// Connections that were refused or closed before any had given an answer.
    undecided: u32,
    limit: Option<Limit>,
}

/// The number of connections that the server serves at a time.
#[derive(Debug)]
struct Limit {
    most: usize,
    evidence: u32,
    /// Connections that had been begun when the number was last lowered.
    lowered_after: u64,
    next_trial: Instant,
    interval: Duration,
    /// How many more the next trial allows.
    step: usize,
    is_in_trial: bool,
}

impl Census {
    /// No connection, and nothing known. `timeout` is that of an attempt. `has_handshakes`: connections are opened over TLS
    /// or through a tunnel, so that a program has to answer, and not its system alone. Many at once are slow.
    pub(super) fn new(timeout: Duration, has_handshakes: bool) -> Self {
        Self {
            has_handshakes,
            counts: [0; 3],
            begun: 0,
            newest_answered: 0,
            pending: Vec::new(),
            proven: 0,
            first_answers: 0,
            closed_answered: 0,
            kept_answers: 0,
            usual: Duration::ZERO,
            slowest_kept: Duration::ZERO,
            slowest_opening: Duration::ZERO,
            slowest_first: Duration::ZERO,
            newest_kept: None,
            tried_kept: None,
            trial_counts_until: None,
            patience_most: timeout / 2,
            undecided: 0,
            limit: None,
        }
    }

    /// Connections that are open or being opened.
    pub(super) fn open(&self) -> usize {
        self.counts.iter().sum()
    }

    fn count(&self, stage: Stage) -> usize {
        self.counts[stage as usize]
    }

    /// Whether fewer connections are open than the server serves. While some were refused and none has answered yet,
    /// nothing is known.
    pub(super) fn has_room(&self) -> bool {
        self.undecided == 0 && self.limit.as_ref().is_none_or(|limit| self.open() < limit.most)
    }

    /// The number of connections that the server serves at a time, once it is certain.
    pub(super) fn served(&self) -> Option<usize> {
        self.limit.as_ref().filter(|limit| limit.evidence >= EVIDENCE).map(|limit| limit.most)
    }

    /// Begins a connection, unless as many are open as the server serves and no trial is due.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Begun> {
        let is_trial = !self.has_room();
        if is_trial {
            let limit = self.limit.as_mut().filter(|limit| now >= limit.next_trial)?;
            limit.most += limit.step;
            limit.next_trial = now + limit.interval;
            limit.is_in_trial = true;
        }
        self.begun += 1;
        self.counts[Stage::Opening as usize] += 1;
        self.pending.push(self.begun);
        let is_known_served = !is_trial && self.limit.is_some();
        Some(Begun {
            number: self.begun,
            at: now,
            opened: now,
            kept_answers: self.kept_answers,
            first_answers: self.first_answers,
            is_trial,
            is_known_served,
        })
    }

    /// A connection went from one stage to the next.
    pub(super) fn advance(&mut self, begun: &Begun, from: Stage, to: Stage, now: Instant) {
        self.counts[from as usize] -= 1;
        self.counts[to as usize] += 1;
        if to != Stage::Answered {
            return;
        }
        self.newest_answered = self.newest_answered.max(begun.number);
        self.forget_pending(begun);
        self.first_answers += 1;
        self.proven = self.proven.max(self.count(Stage::Answered));
        let took = now.saturating_duration_since(begun.at);
        if self.limit.is_none() {
            self.slowest_opening = self.slowest_opening.max(begun.opening());
            self.slowest_first = self.slowest_first.max(now.saturating_duration_since(begun.opened));
        }
        if !self.are_kept() {
            // One that was stuck says nothing of the usual.
            self.note_usual(if self.usual.is_zero() { took } else { took.min(self.usual * 4) });
        }
        if self.undecided > 0 {
            let evidence = std::mem::take(&mut self.undecided);
            self.learn(self.count(Stage::Unanswered) + self.count(Stage::Answered), evidence, now);
        }
        let answered = self.count(Stage::Answered);
        let is_served = !self.are_kept() && begun.is_trial && self.skipped() == 0;
        let has_more = |limit: &&mut Limit| limit.is_in_trial && (answered >= limit.most || is_served);
        if let Some(limit) = self.limit.as_mut().filter(has_more) {
            // More are served than was thought.
            limit.is_in_trial = false;
            limit.evidence = 0;
            limit.step *= 2;
            limit.interval = FIRST_TRIAL;
            limit.next_trial = now;
        }
    }

    /// A connection ended. What was learnt from a few is forgotten with the last one: the server may be another then.
    pub(super) fn end(&mut self, begun: &Begun, stage: Stage) {
        self.counts[stage as usize] -= 1;
        self.closed_answered += u64::from(stage == Stage::Answered);
        self.forget_pending(begun);
        if self.open() == 0 {
            self.undecided = 0;
            self.proven = 0;
            if self.served().is_none() {
                self.limit = None;
            }
        }
    }

    /// A connection that had answered before gave another answer.
    pub(super) fn answered_again(&mut self, took: Duration, now: Instant) {
        self.kept_answers += 1;
        self.newest_kept = Some(now);
        if self.tried_kept.take().is_some() {
            self.trial_counts_until = Some(now + AFTER_TRIAL);
        }
        self.slowest_kept = self.slowest_kept.max(took);
        self.note_usual(took);
    }

    fn note_usual(&mut self, took: Duration) {
        self.usual = if self.usual.is_zero() { took } else { (self.usual * 7 + took) / 8 };
    }

    fn forget_pending(&mut self, begun: &Begun) {
        if let Ok(at) = self.pending.binary_search(&begun.number) {
            self.pending.remove(at);
        }
    }

    /// Connections without an answer that were begun before one that was answered.
    fn skipped(&self) -> usize {
        self.pending.partition_point(|number| *number < self.newest_answered)
    }

    /// Connections without an answer that were begun shortly before or after this one, itself included. Packets are
    /// dropped in a row; slow answers are scattered.
    fn near(&self, begun: &Begun) -> usize {
        let distance = MANY as u64;
        let before = self.pending.partition_point(|number| number + distance < begun.number);
        self.pending.partition_point(|number| *number <= begun.number + distance) - before
    }

    /// Whether the server keeps connections after an answer.
    pub(super) fn are_kept(&self) -> bool {
        self.kept_answers > 0
    }

    /// Whether the server closes connections after their first answers. While none was closed and none gave a second
    /// answer, neither is known: many handshakes at once can keep a server busy for long.
    fn are_unkept(&self) -> bool {
        !self.are_kept() && self.closed_answered > 0
    }

    /// Whether more connections are open than were ever answered at a time, so that the server may close a new one. Of
    /// a server that keeps none nothing can be said.
    pub(super) fn is_unproven(&self) -> bool {
        self.open() > self.proven && (self.are_kept() || self.first_answers == 0)
    }

    /// Whether any other was answered since a new connection was begun.
    pub(super) fn is_any_answered(&self, begun: &Begun) -> bool {
        self.first_answers > begun.first_answers || self.kept_answers > begun.kept_answers
    }

    /// A new connection is silent for too long while others are answered.
    pub(super) fn found_silent(&mut self, begun: &Begun, now: Instant) {
        // Answered ones may have been closed since, in favour of the silent ones: those that were answered at a time count.
        let served = if self.are_kept() {
            self.proven
        } else if let Some(limit) = self.limit.as_ref().filter(|limit| begun.number <= limit.lowered_after) {
            // It was begun when more were open: it says nothing of the number that may be open now.
            limit.most
        } else {
            self.open() - self.skipped()
        };
        self.learn(served, 1, now);
    }

    /// A new connection was refused, or closed without an answer. It is no longer counted.
    pub(super) fn found_refused(&mut self, now: Instant) {
        if self.count(Stage::Answered) == 0 {
            self.undecided += 1;
        } else {
            self.learn(self.count(Stage::Unanswered) + self.count(Stage::Answered), 1, now);
        }
    }

    fn learn(&mut self, served: usize, evidence: u32, now: Instant) {
        let served = served.max(1);
        let Some(limit) = &mut self.limit else {
            let (next_trial, interval) = (now + FIRST_TRIAL, FIRST_TRIAL);
            let lowered_after = self.begun;
            let (most, step, is_in_trial) = (served, 1, false);
            self.limit =
                Some(Limit { most, evidence, lowered_after, next_trial, interval, step, is_in_trial });
            return;
        };
        if limit.is_in_trial {
            limit.is_in_trial = false;
            limit.most = limit.most.saturating_sub(limit.step).max(1);
            limit.interval = (limit.interval * 2).min(LAST_TRIAL);
        }
        limit.step = 1;
        limit.evidence = limit.evidence.saturating_add(evidence);
        limit.next_trial = now + limit.interval;
        if served < limit.most {
            // Connections that the server has just closed are not back yet: the number falls by steps.
            limit.most = served.max(limit.most - limit.most.div_ceil(4));
            limit.lowered_after = self.begun;
        }
    }
}

#[cfg(test)]
mod tests;
