//! Where `--rate` is kept: in this process, or in a store for many.

use std::num::NonZeroU32;

use tokio::time::Instant;

use super::PaceSettings;
use super::pacer::Pacer;
use super::shared_rate::{RateWait, SharedRate};
use crate::model::PauseReason;

/// What lets attempts leave by the rate.
#[derive(Debug)]
pub(super) enum RateSource {
    /// This process has the whole rate.
    Own(Pacer),
    /// It is shared with other processes.
    Shared(SharedRate),
}

impl RateSource {
    /// None: there is no rate.
    pub(super) fn new(settings: &PaceSettings, now: Instant) -> Option<Self> {
        let rate = settings.rate?;
        Some(if settings.is_shared {
            Self::Shared(SharedRate::new(rate, now))
        } else {
            Self::Own(Pacer::new(rate, settings.burst, now))
        })
    }

    /// What is shared, if it is.
    pub(super) fn shared(&mut self) -> Option<&mut SharedRate> {
        match self {
            Self::Own(_) => None,
            Self::Shared(shared) => Some(shared),
        }
    }

    /// Departures a second of this process, each as large as the newest.
    pub(super) fn per_second(&self) -> f64 {
        match self {
            Self::Own(pacer) => pacer.per_second(),
            Self::Shared(shared) => shared.per_second(),
        }
    }

    /// A departure was refused.
    pub(super) fn keep_distance(&mut self) {
        match self {
            Self::Own(pacer) => pacer.keep_distance(),
            // What the other processes send comes between.
            Self::Shared(_) => {}
        }
    }

    /// Whether no departure follows another one sooner than at the rate.
    pub(super) fn keeps_distance(&self) -> bool {
        matches!(self, Self::Own(pacer) if pacer.keeps_distance())
    }

    /// Whether an attempt for so many keys may depart at `now`. On `Ok` it must.
    ///
    /// # Errors
    /// What it has to wait for.
    pub(super) fn depart(&mut self, now: Instant, keys: NonZeroU32) -> Result<(), RateWait> {
        match self {
            Self::Own(pacer) => pacer.depart(now, keys).map_err(RateWait::Until),
            Self::Shared(shared) => shared.depart(now, keys),
        }
    }

    /// No attempt waits for the rate alone any more.
    pub(super) fn forget(&mut self) {
        match self {
            Self::Own(pacer) => pacer.forget(),
            Self::Shared(shared) => shared.forget(),
        }
    }

    /// The pool pauses: the other processes are told where the API asked for it.
    pub(super) fn paused(&mut self, until: Instant, reason: PauseReason) {
        if let Self::Shared(shared) = self
            && reason.is_for_all()
        {
            shared.write_pause(until);
        }
    }
}
