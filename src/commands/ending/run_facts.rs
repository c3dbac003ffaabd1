//! What was measured during a run, for the verdict on what limited it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::config::Settings;
use crate::engine::Sampled;
use crate::limit;
use crate::model::LoadClass;
use crate::report::{BlockedTime, ConcurrencyUsed, Facts, StatsSnapshot, Tail};

/// The facts of a run of this length. `settled` is the limit at which an automatic concurrency ended.
pub(super) fn facts(
    settings: &Settings,
    (elapsed, settled): (Duration, usize),
    sampled: &Sampled,
    stats: &StatsSnapshot,
) -> Facts {
    Facts {
        elapsed,
        concurrency: match settings.pace.concurrency {
            limit::Concurrency::Fixed(number) => ConcurrencyUsed::Fixed(number.get()),
            limit::Concurrency::Auto { max } => ConcurrencyUsed::Auto { max: max.get(), settled },
        },
        busy: sampled.busy,
        waits: BlockedTime {
            slot: sampled.slot,
            rate: sampled.rate,
            pauses: sampled.pauses,
            outage: sampled.outage,
            input: sampled.input,
            drain: sampled.drain,
        },
        rate: settings.pace.rate,
        processor: processor_time(),
        attempts: stats.counters.attempts(),
        answered: stats.counters.answered,
        refused: stats.answers(LoadClass::is_too_much),
        cheap: stats.answers(|class| class == LoadClass::Cheap),
        stepped_back: sampled.stepped_back,
        least: Duration::from_micros(stats.histogram.min()),
        p50: stats.latency.map_or(Duration::ZERO, |latency| latency.p50),
        p95: stats.latency.map_or(Duration::ZERO, |latency| latency.p95),
        tail: Tail {
            span: sampled.tail,
            idle: sampled.tail_idle,
            skus: sampled.tail_jobs as u64,
            retries: settings.retry.retries,
            timeout: settings.request.timeout,
        },
    }
}

/// Of this thread, which is the one that the loop ran on.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
