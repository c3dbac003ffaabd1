//! What was measured during a run, for the verdict on what limited it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::config::Settings;
use crate::engine::WaitTimes;
use crate::limit;
use crate::model::LoadClass;
use crate::report::{ApiLimits, ConcurrencyUsed, Facts, StatsSnapshot, Tail};

/// What the verdict depends on besides the settings.
#[derive(Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) elapsed: Duration,
    /// The limit at which an automatic concurrency ended.
    pub(super) settled: usize,
    pub(super) waits: &'a WaitTimes,
    pub(super) stats: &'a StatsSnapshot,
    pub(super) limits: ApiLimits,
}

/// The facts of a run.
pub(super) fn facts(settings: &Settings, measured: Measured<'_>) -> Facts {
    let Measured { elapsed, settled, waits, stats, limits } = measured;
    Facts {
        elapsed,
        concurrency: match settings.pace.concurrency {
            limit::Concurrency::Fixed(number) => ConcurrencyUsed::Fixed(number.get()),
            limit::Concurrency::Auto { max } => ConcurrencyUsed::Auto { max: max.get(), settled },
        },
        busy: waits.busy,
        waits: waits.blocked,
        rate: settings.pace.rate,
        is_rate_shared: settings.pace.is_shared,
        processor: processor_time(),
        attempts: stats.counters.attempts(),
        answered: stats.counters.answered,
        errors: errors(stats),
        limits,
        cheap: stats.answers(|class| class == LoadClass::Cheap),
        stepped_back: waits.stepped_back,
        least: Duration::from_micros(stats.histogram.min()),
        p50: stats.latency.map_or(Duration::ZERO, |latency| latency.p50),
        p95: stats.latency.map_or(Duration::ZERO, |latency| latency.p95),
        tail: Tail {
            span: waits.tail,
            idle: waits.tail_idle,
            skus: waits.tail_jobs as u64,
            retries: settings.retry.retries,
            timeout: settings.connection.timeout,
            has_pages: settings.response.pages.is_some(),
        },
    }
}

/// Answers that were errors of the server, without those that were refused for a limit.
fn errors(stats: &StatsSnapshot) -> u64 {
    let all = stats.answers(|class| !matches!(class, LoadClass::Served | LoadClass::Cheap));
    all.saturating_sub(stats.counters.refused)
}

/// Of this thread, which is the one that the loop ran on.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
