//! What a job has gone through so far.

use tokio::time::Instant;

use super::super::transport::ResendBudget;
use super::next_attempt::RefusalsOfJob;
use super::tokens::TokensOfJob;
use crate::model::Fault;

/// The attempts of one job so far.
#[derive(Default)]
pub(super) struct Tries {
    /// Requests that were sent, those of redirects included; free resends, and attempts that cost the SKU nothing,
    /// are excluded.
    pub(super) attempts: u32,
    /// Requests that cost the SKU nothing because the load explains their failures.
    pub(super) strained: u32,
    /// How often the job failed, in a way that another attempt may mend.
    pub(super) failures: u32,
    pub(super) first_failed: Option<Instant>,
    pub(super) last_failed: Option<Instant>,
    pub(super) refusals: RefusalsOfJob,
    /// When the last attempt started.
    pub(super) sent: Option<std::time::Instant>,
    /// When its newest request left, a free resend counted, which may have waited at the gate.
    pub(super) left: Option<Instant>,
    /// Its free resends.
    pub(super) resends: ResendBudget,
    /// The job failed, unless the API is down; with its attempts.
    pub(super) pending: Option<(Fault, u32)>,
    /// Before the job is sent again, a SKU that came before is the probe.
    pub(super) asks_known: bool,
    pub(super) tokens: TokensOfJob,
}

impl Tries {
    /// When the newest request left; `started` if none was sent.
    pub(super) fn left(&self, started: Instant) -> Instant {
        self.left.unwrap_or(started)
    }
}
