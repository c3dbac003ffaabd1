//! The settings of the retry loop.

use std::time::Duration;

use super::super::redirect::Follow;

/// How often a job is tried again, and where redirects may lead.
#[derive(Debug, Clone)]
pub struct RetrySettings {
    /// Retries after the first attempt.
    pub retries: u32,
    /// Which redirects are followed.
    pub follow: Follow,
    /// What becomes of a SKU whose attempt was refused: it is sent again, as often as it takes, or it has failed
    /// (`tune`, for which a refusal is an observation).
    pub sends_refused_again: bool,
    /// Quota fields are read (`--quota-fields`).
    pub reads_quota_fields: bool,
    /// The cookies that answers set are sent with later requests.
    pub keeps_cookies: bool,
    /// How long an API that cannot be reached or keeps failing is waited for; zero: as long as the pauses of an outage
    /// take.
    pub wait_for_api: Duration,
}
