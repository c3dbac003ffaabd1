//! What the fetcher says of an attempt, and what it is told to do.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Fault, Seq, StopReason};

/// An attempt that failed in a way that another one may mend.
#[derive(Debug, Clone, Copy)]
pub(in crate::fetch) struct FailedAttempt<'a> {
    /// Its SKU.
    pub(in crate::fetch) seq: Seq,
    /// Why.
    pub(in crate::fetch) fault: &'a Fault,
    /// When it was sent.
    pub(in crate::fetch) left: Instant,
    /// Its number among all attempts of the run, from 1.
    pub(in crate::fetch) number: u64,
    /// Its SKU was never sent before.
    pub(in crate::fetch) is_first: bool,
    /// It was the probe of a pause.
    pub(in crate::fetch) is_probe: bool,
    /// How often its SKU has failed, this attempt counted.
    pub(in crate::fetch) failures: u32,
    /// When its SKU failed for the first time.
    pub(in crate::fetch) first_failed: Instant,
    /// When its SKU failed the time before.
    pub(in crate::fetch) failed_before: Option<Instant>,
    /// No retry is left.
    pub(in crate::fetch) is_last: bool,
    /// The chance that the load explains the earlier failures of its SKU, from 0 to 1.
    pub(in crate::fetch) by_load: f64,
}

/// What a failed attempt should lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fetch) enum Advice {
    /// The job may be tried again, if it has retries left.
    Retry,
    /// The load was too much, and the job is sent again at no cost.
    Strained,
    /// The load may have been too much, but nothing came since the job failed before: it is sent again at no cost, later.
    MayBeStrained {
        /// Others came a moment ago and fail now as well: it is taken for a refusal, and not for a failure of the SKU.
        is_refused: bool,
    },
    /// The API may be out: send again after the pool's pause. It costs the job no retry.
    Hold {
        /// The pause of the pool, if this attempt begins it.
        pause: Option<OutagePause>,
    },
    /// The run ends.
    Stop(StopReason),
}

/// A pause of the pool in what may be an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fetch) struct OutagePause {
    /// How long.
    pub(in crate::fetch) length: Duration,
    /// The probe after it should be a SKU that came before.
    pub(in crate::fetch) asks_known: bool,
}

/// Which SKU an answer was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fetch) enum AnsweredFor {
    /// One that was never sent before.
    FirstAttempt,
    /// One that was sent before.
    Retry,
    /// One that had its answer, and was sent as the probe.
    Known,
    /// One that failed with a 403, which shows nothing of whether 403 is for a limit.
    Forbidden,
}
