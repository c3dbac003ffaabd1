//! The number of connections that the server serves at a time, as it is learnt: it falls with connections that are
//! refused or silent, and one more is tried from time to time.

use std::time::Duration;

use tokio::time::Instant;

/// After this long one connection more than the known number is opened; after each failure twice as long, at most …
pub(super) const FIRST_TRIAL: Duration = Duration::from_secs(1);
/// … this long.
pub(super) const LAST_TRIAL: Duration = Duration::from_mins(1);
/// Connections that were refused or silent before the number is reported.
pub(super) const EVIDENCE: u32 = 3;

/// The number of connections that the server serves at a time.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    pub(super) most: usize,
    pub(super) evidence: u32,
    next_trial: Instant,
    interval: Duration,
    /// How many more the next trial allows.
    step: usize,
    is_in_trial: bool,
    newest_trial: Option<ConnectionTrial>,
}

/// One connection more than the known number, or several.
#[derive(Debug)]
struct ConnectionTrial {
    begun: Instant,
    most_before: usize,
    evidence_before: u32,
}

impl ConnectionLimit {
    pub(super) fn new(served: usize, evidence: u32, now: Instant) -> Self {
        Self {
            most: served.max(1),
            evidence,
            next_trial: now + FIRST_TRIAL,
            interval: FIRST_TRIAL,
            step: 1,
            is_in_trial: false,
            newest_trial: None,
        }
    }

    pub(super) fn is_in_trial(&self) -> bool {
        self.is_in_trial
    }

    /// Whether a trial is under way, or was begun less than this long ago.
    pub(super) fn is_trial_recent(&self, within: Duration, now: Instant) -> bool {
        let is_recent =
            |trial: &ConnectionTrial| now.saturating_duration_since(trial.begun) < within || self.is_in_trial;
        self.newest_trial.as_ref().is_some_and(is_recent)
    }

    /// The number, once it is certain.
    pub(super) fn certain(&self) -> Option<usize> {
        (self.evidence >= EVIDENCE).then_some(self.most)
    }

    /// The same; the first trial that seems to be served takes nothing from it, since a new connection may have taken the
    /// place of a kept one.
    pub(super) fn certain_before_trial(&self) -> Option<usize> {
        let before = self.newest_trial.as_ref().filter(|trial| trial.evidence_before >= EVIDENCE);
        self.certain().or_else(|| before.map(|trial| trial.most_before))
    }

    /// Allows one more, or several, where that is due.
    pub(super) fn begin_trial(&mut self, now: Instant) -> Option<()> {
        if now < self.next_trial {
            return None;
        }
        let (most_before, evidence_before) = (self.most, self.evidence);
        self.newest_trial = Some(ConnectionTrial { begun: now, most_before, evidence_before });
        self.most += self.step;
        self.next_trial = now + self.interval;
        self.is_in_trial = true;
        Some(())
    }

    /// More are served than was thought.
    pub(super) fn end_trial_served(&mut self, now: Instant) {
        self.is_in_trial = false;
        self.evidence = 0;
        self.step *= 2;
        self.interval = FIRST_TRIAL;
        self.next_trial = now;
    }

    /// The newest trial failed, though it seemed to be served where it is over.
    pub(super) fn take_trial_back(&mut self, now: Instant) {
        if let Some(trial) = self.newest_trial.take() {
            self.most = trial.most_before;
            self.evidence = self.evidence.max(trial.evidence_before);
            self.interval = (self.interval * 2).min(LAST_TRIAL);
        }
        self.is_in_trial = false;
        self.step = 1;
        self.next_trial = now + self.interval;
    }

    /// So many are served, as a connection shows that was answered before and is refused now.
    pub(super) fn crowd_out_to(&mut self, served: usize, now: Instant) {
        self.most = self.most.min(served.max(1));
        self.evidence = self.evidence.saturating_add(1);
        self.next_trial = self.next_trial.max(now + self.interval);
    }

    /// So many are served, as connections show that were refused or silent.
    pub(super) fn lower_to(&mut self, served: usize, evidence: u32, now: Instant) {
        if self.is_in_trial {
            self.take_trial_back(now);
        }
        self.step = 1;
        self.next_trial = now + self.interval;
        self.evidence = self.evidence.saturating_add(evidence);
        let served = served.max(1);
        if served < self.most {
            // Connections that the server has just closed are not back yet: the number falls by steps.
            self.most = served.max(self.most - self.most.div_ceil(4));
        }
    }
}
