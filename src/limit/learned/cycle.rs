//! The time from one recovery to the next, and the refusals in it.

use tokio::time::Instant;

use super::EndedAttempt;

/// The server refuses, or refused until the probe that was accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusals {
    pub(super) at: Instant,
    /// Which departure was refused.
    pub(super) number: u64,
    /// How many were refused, probes left out.
    pub(super) refused: u32,
    /// How many were accepted that left after the one that was refused, before the pause.
    pub(super) accepted_after: u32,
    /// The server asks for this end of the pause.
    pub(super) asked_until: Option<Instant>,
    /// When the newest refused probe left.
    pub(super) closed_until: Option<Instant>,
    /// Only a lower number in flight follows, as long as nothing contradicts it.
    pub(super) may_be_cap: bool,
    /// The rate was corrected already.
    pub(super) is_corrected: bool,
    /// The server may have failed by itself.
    pub(super) is_unclear: bool,
    /// What was accepted until then shows of the limit.
    pub(super) estimate: Option<f64>,
}

impl Refusals {
    pub(super) fn at(at: Instant, ended: &EndedAttempt) -> Self {
        Self {
            at,
            number: ended.number,
            refused: u32::from(!ended.is_probe),
            accepted_after: 0,
            asked_until: None,
            closed_until: None,
            may_be_cap: false,
            is_corrected: false,
            is_unclear: ended.is_unclear,
            estimate: None,
        }
    }

    /// Whether a limiter would have refused others as well, so that this refusal had another reason.
    pub(super) fn is_by_chance(&self) -> bool {
        self.closed_until.is_none() && self.accepted_after >= (self.refused * 4).max(6)
    }
}

/// The pauses of an outage.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutagePauses {
    /// When the first one began …
    pub(super) began: Instant,
    /// … and the newest one.
    pub(super) newest: Instant,
}

/// From one recovery to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cycle {
    pub(super) began: Option<Instant>,
    /// The departures from this one on belong to it.
    pub(super) first: u64,
    pub(super) accepted: u64,
    /// The most that were in flight with an attempt that was accepted.
    pub(super) accepted_level: usize,
    pub(super) refusals: Option<Refusals>,
}
