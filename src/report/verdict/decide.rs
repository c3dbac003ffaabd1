//! What limited a run, and what to change: a pure function of measured facts.
//!
//! The causes are tried from the most certain to the least: a pause that the server demanded or a rate that was set
//! explains a run's length even when other things were waited for meanwhile; the number of attempts in flight explains
//! it only when nothing else does.

use std::time::Duration;

use crate::report::format;
use crate::report::verdict::facts::{BlockedTime, ConcurrencyUsed, Facts, RATE_SHARE};
use crate::report::verdict::text as words;

/// What limited a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitedBy {
    /// Nothing was requested.
    Nothing,
    /// The run was over too soon to judge.
    TooShort,
    /// `--rate`.
    Rate,
    /// `--concurrency`.
    Concurrency,
    /// The server slowed down or refused.
    Server,
    /// The limit that was learnt from refusals.
    Limit,
    /// The quota that the API announces.
    Quota,
    /// The pauses that refusals led to, without a limit that was learnt.
    Pauses,
    /// The number of connections that the server serves at a time.
    Connections,
    /// Rows came too slowly.
    Input,
    /// This machine did not keep up with the API.
    Machine,
    /// Few SKUs were left, and took long.
    Tail,
}

impl LimitedBy {
    /// A stable name for logs and reports.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::TooShort => "too_short",
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Server => "server",
            Self::Limit => "limit",
            Self::Quota => "quota",
            Self::Pauses => "pauses",
            Self::Connections => "connections",
            Self::Input => "input",
            Self::Machine => "machine",
            Self::Tail => "tail",
        }
    }
}

/// What limited a run, and a sentence on what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunVerdict {
    /// The limit.
    pub(crate) limit: LimitedBy,
    /// What follows `limited by: `.
    pub(crate) text: String,
}

impl RunVerdict {
    /// Of a run that sent no request.
    #[must_use]
    pub(crate) fn without_requests() -> Self {
        Self { limit: LimitedBy::Nothing, text: "nothing; no request was sent".into() }
    }
}

/// Of a command that is no run: there is nothing to say.
impl Default for RunVerdict {
    fn default() -> Self {
        Self { limit: LimitedBy::Nothing, text: String::new() }
    }
}

/// Below this the start itself (connections, growth) is most of the run.
const SHORTEST: Duration = Duration::from_millis(500);
/// With fewer attempts than this, neither the server nor the slots can be judged.
const FEWEST: u64 = 20;
/// A tenth of the time spent in pauses is more than any tuning would win back.
const PAUSED_SHARE: f64 = 0.1;
/// What took more than half of the time is the limit.
const HALF: f64 = 0.5;
/// With so many errors among the answers the server is in trouble, whatever else holds.
const ERRORS_SHARE: f64 = 0.1;
/// A thread this busy does not wait for the network; the rest is the start and the end.
const WORKING_SHARE: f64 = 0.9;
/// Slots that are full but for ramp-up and the last few answers.
const FULL_SHARE: f64 = 0.75;

/// Says what limited a run and names a number to type.
#[must_use]
pub(crate) fn verdict(facts: &Facts) -> RunVerdict {
    let text = |limit, text: String| RunVerdict { limit, text };
    if facts.attempts == 0 {
        return RunVerdict::without_requests();
    }
    if facts.answered == 0 {
        let requests = format::counted(facts.attempts, "request was", "requests were");
        return text(LimitedBy::Server, format!("the API: {requests} sent and none was answered"));
    }
    if facts.elapsed < SHORTEST {
        return text(LimitedBy::TooShort, words::too_short(facts));
    }
    if let Some(verdict) = by_api(facts) {
        return verdict;
    }
    if let Some(rate) = facts.rate
        && (facts.per_second() >= RATE_SHARE * rate.per_second() || facts.share(facts.waits.rate) >= HALF)
    {
        return text(LimitedBy::Rate, words::reached_rate(facts, rate));
    }
    if facts.share(facts.waits.input) >= HALF {
        return text(LimitedBy::Input, words::input(facts));
    }
    if let Some(connections) = facts.limits.connections.filter(|served| *served < facts.ceiling()) {
        return text(LimitedBy::Connections, words::connections(connections));
    }
    if facts.has_tail() {
        return text(LimitedBy::Tail, words::tail(facts));
    }
    if facts.attempts < FEWEST {
        return text(LimitedBy::TooShort, words::too_short(facts));
    }
    if let Some(learned) = facts.learned_limit() {
        return text(LimitedBy::Limit, words::learned(learned));
    }
    if let Some(cap) = facts.cap() {
        return text(LimitedBy::Limit, words::cap(cap));
    }
    if facts.is_refused() {
        return text(LimitedBy::Server, words::refusals(facts));
    }
    if facts.errors as f64 >= ERRORS_SHARE * facts.answered as f64 {
        return text(LimitedBy::Server, words::errors(facts));
    }
    if facts.share(facts.processor) >= WORKING_SHARE {
        return text(LimitedBy::Machine, words::working(facts));
    }
    if facts.share(facts.waits.drain) >= HALF {
        return text(LimitedBy::Tail, words::drain(facts));
    }
    if facts.in_flight() < FULL_SHARE * facts.limit() as f64 && facts.share(facts.waits.slot) < HALF {
        return text(LimitedBy::Machine, words::machine(facts));
    }
    match facts.concurrency {
        ConcurrencyUsed::Auto { settled, .. } if facts.is_below_its_ceiling() => {
            text(LimitedBy::Server, words::knee(facts, settled))
        }
        _ => text(LimitedBy::Concurrency, words::workers(facts)),
    }
}

/// Where the API made the run wait: an outage, a limit that was learnt, a quota, pauses.
fn by_api(facts: &Facts) -> Option<RunVerdict> {
    let BlockedTime { learned, quota, failing, .. } = facts.waits;
    let limit = facts.learned_limit();
    let is_limited = limit.is_some();
    let pauses = facts.refusal_pauses() + if is_limited { learned + failing } else { Duration::ZERO };
    let outage = facts.waits.outage + if is_limited { Duration::ZERO } else { failing };
    let is_long = |time| facts.share(time) >= PAUSED_SHARE;
    let verdict = |limit, text: String| Some(RunVerdict { limit, text });
    if is_long(outage) && outage >= pauses.max(quota) {
        return verdict(LimitedBy::Server, words::outage(facts, outage));
    }
    if let Some(limit) = limit.filter(|_| is_long(pauses)) {
        return verdict(LimitedBy::Limit, words::learned(limit));
    }
    if is_long(quota) && quota >= pauses {
        return verdict(LimitedBy::Quota, words::quota(facts));
    }
    if is_long(pauses) {
        if let Some(cap) = facts.cap() {
            return verdict(LimitedBy::Limit, words::cap(cap));
        }
        return verdict(LimitedBy::Pauses, words::pauses(facts));
    }
    None
}
