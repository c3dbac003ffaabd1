//! The sentences of a verdict: what limited the run, and a number to type.

use std::time::Duration;

use crate::limit::LearnedLimit;
use crate::model::option::{CONCURRENCY, RATE, RATE_STORE, RETRIES, TIMEOUT};
use crate::model::{LimitChangeReason, Rate};
use crate::report::format;
use crate::report::verdict::api_limits::{connections_text, in_flight_text, limit_text, per_second};
use crate::report::verdict::facts::{ConcurrencyUsed, Facts, MOST_WORKERS, RATE_SHARE, Tail};
use crate::report::verdict::typed_rate::typed_rate;

/// Where half of the answers take so many times as long as the fastest (which had to connect first), they
/// may have waited in a queue.
const QUEUED: u32 = 2;
/// No shorter timeout is proposed: a connection that waits for a busy server is no lost answer.
const LEAST_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer that takes so many times as long as nearly all others will hardly arrive.
const TIMES_USUAL: u32 = 4;

pub(crate) fn too_short(facts: &Facts) -> String {
    let requests = format::counted(facts.attempts, "request", "requests");
    format!("too short a run to say ({requests} in {})", format::duration(facts.elapsed))
}

/// `the last 3 SKUs: retried until 12.0 s after the rest; more workers would not help, …`
pub(crate) fn tail(facts: &Facts) -> String {
    let Tail { span, idle, skus, retries, timeout, has_pages } = facts.tail;
    let last =
        if skus == 1 { "the last SKU".into() } else { format!("the last {} SKUs", format::count(skus)) };
    let after = format::duration(span.min(facts.elapsed));
    let workers = "more workers would not help";
    if retries > 0 && idle.saturating_mul(2) >= span {
        return format!(
            "{last}: retried until {after} after the rest; {workers}, fewer retries give up sooner: try {RETRIES} {}",
            retries / 2
        );
    }
    if has_pages {
        let whose = if skus == 1 { "its" } else { "their" };
        return format!("{last}: {whose} pages took {after} after the rest; {}", in_turn());
    }
    // An attempt that is given up is made again, so a bound far over the usual costs little.
    let enough = facts.p95.saturating_mul(TIMES_USUAL).max(LEAST_TIMEOUT).as_millis().div_ceil(1_000);
    let is_shorter = enough < timeout.min(span).as_millis().div_ceil(1_000);
    let try_this = if retries > 0 && is_shorter {
        format!(", a shorter timeout retries sooner: try {TIMEOUT} {enough}s")
    } else {
        String::new()
    };
    format!("{last}: answered {after} after the rest; {workers}{try_this}")
}

/// What is said of pages.
fn in_turn() -> &'static str {
    "the pages of a SKU come in turn: larger pages would be fewer, more workers would not help"
}

pub(crate) fn drain(facts: &Facts) -> String {
    let drain = facts.waits.drain.min(facts.elapsed);
    let seconds = format::duration(drain);
    let is_long = drain >= facts.p95.max(facts.p50).saturating_mul(TIMES_USUAL);
    if is_long && facts.tail.has_pages {
        return format!(
            "the last SKUs: for {seconds} of {} only their further pages were left; {}",
            format::duration(facts.elapsed),
            in_turn()
        );
    }
    if is_long {
        return format!(
            "the last SKUs: for {seconds} of {} only retries and late answers were left; more workers would not help",
            format::duration(facts.elapsed)
        );
    }
    format!(
        "the API's latency ({}): for {seconds} of {} every SKU that was left was under way; more workers would not help",
        format::latency(facts.p50),
        format::duration(facts.elapsed)
    )
}

/// The pauses that refusals led to. Nothing was learnt from them, so no rate is named that was not asked for.
pub(crate) fn pauses(facts: &Facts) -> String {
    let whose = if facts.waits.asked >= facts.waits.backoff {
        "the pauses that the API required"
    } else {
        "the pauses after refusals"
    };
    let lower = facts.rate.map_or_else(String::new, |rate| {
        format!("; a lower rate may need none, try {RATE} {}", typed_rate(rate.per_second() * RATE_SHARE))
    });
    format!(
        "{whose} ({} of {}){lower}",
        format::duration(facts.refusal_pauses().min(facts.elapsed)),
        format::duration(facts.elapsed),
    )
}

pub(crate) fn learned(limit: LearnedLimit) -> String {
    let rate = typed_rate(per_second(limit));
    format!(
        "the API's limit ({}); more workers would not help, {RATE} {rate} keeps to it from the start",
        limit_text(limit)
    )
}

pub(crate) fn cap(in_flight: usize) -> String {
    format!(
        "the API's limit ({}); more workers would not help, {CONCURRENCY} {in_flight} keeps to it from the start",
        in_flight_text(in_flight)
    )
}

pub(crate) fn quota(facts: &Facts) -> String {
    let size = facts.limits.announced.and_then(|quota| Some(quota.limit / quota.window?.as_secs_f64()));
    let spread = size.filter(|rate| rate.is_finite() && *rate > 0.0).map_or_else(String::new, |per_second| {
        format!("; more workers would not help, {RATE} {} spreads it evenly", typed_rate(per_second))
    });
    format!(
        "the quota that the API announces (the run waited for its reset {} of {}){spread}",
        format::duration(facts.waits.quota.min(facts.elapsed)),
        format::duration(facts.elapsed)
    )
}

pub(crate) fn connections(served: usize) -> String {
    format!("{}; more workers would not help", connections_text(served))
}

pub(crate) fn errors(facts: &Facts) -> String {
    format!(
        "the server: {} of {} answers were errors; more workers would not help",
        format::count(facts.errors),
        format::count(facts.answered)
    )
}

pub(crate) fn outage(facts: &Facts, waited: Duration) -> String {
    format!(
        "the server: it kept failing, and the run waited for it ({} of {}); at another time it may be faster",
        format::duration(waited.min(facts.elapsed)),
        format::duration(facts.elapsed)
    )
}

/// So many a second in words that can be typed, of what this rate counts.
fn of_the_same(rate: Rate, per_second: f64) -> String {
    let typed = typed_rate(per_second);
    if rate.counts_keys() { format!("'{}'", typed.replacen('/', " keys/", 1)) } else { typed }
}

pub(crate) fn reached_rate(facts: &Facts, rate: Rate) -> String {
    let requested = rate.per_second();
    if facts.is_rate_shared {
        return format!(
            "the rate of all processes together ({RATE} {rate}, {RATE_STORE}); raise it for all of them if the API allows"
        );
    }
    if facts.limits.learned.is_some() && facts.learned_limit().is_none() {
        return format!("{RATE} {rate}, which is the API's limit, too; do not raise it");
    }
    if facts.is_refused() {
        return format!(
            "{RATE} {rate}, and even so {}; do not raise it, {RATE} {} may need no pauses",
            refused(facts),
            of_the_same(rate, requested * RATE_SHARE)
        );
    }
    // Little's law: what so many slots carry at this latency.
    let carried = facts.ceiling() as f64 / facts.p50.as_secs_f64().max(1e-6);
    let twice = of_the_same(rate, requested * 2.0);
    let workers = if carried < requested * 2.0 && facts.ceiling() < MOST_WORKERS {
        format!(" {}", facts.more_workers())
    } else {
        String::new()
    };
    if facts.has_errors() {
        return format!(
            "{RATE} {rate}, and {} of {} requests were answered with an error such as 503; if that is the API's limit, \
             do not raise it, else try {RATE} {twice}{workers}",
            format::count(facts.errors),
            format::count(facts.attempts)
        );
    }
    format!("{RATE} {rate}; raise it if the API allows, try {RATE} {twice}{workers}")
}

pub(crate) fn input(facts: &Facts) -> String {
    format!(
        "the input: rows came more slowly than they were answered ({} in flight on average); \
         a file in place of the pipe would be faster, more workers would not",
        in_flight(facts)
    )
}

/// `12 of 6,041 requests were refused`
fn refused(facts: &Facts) -> String {
    let requests = format::counted(facts.attempts, "request", "requests");
    format!("{} of {requests} were refused", format::count(facts.limits.refused))
}

pub(crate) fn refusals(facts: &Facts) -> String {
    let try_this = match facts.concurrency {
        ConcurrencyUsed::Fixed(limit) if limit > 1 => format!(", try {CONCURRENCY} auto:{limit}"),
        _ => String::new(),
    };
    format!("the server: {}; more workers would not help{try_this}", refused(facts))
}

pub(crate) fn knee(facts: &Facts, settled: usize) -> String {
    let why = match facts.stepped_back {
        Some(reason) if reason.is_refusal() => "it refused some past",
        Some(LimitChangeReason::LatencyRises) => "it slowed down past",
        _ => "its throughput stopped growing at",
    };
    let at =
        format!("the server: {why} {} in flight; more workers would not help", format::count(settled as u64));
    // A number that refusals led to may be lower than the best.
    match facts.stepped_back {
        Some(reason) if reason.is_refusal() => at,
        _ => format!("{at}, {CONCURRENCY} {settled} does as well"),
    }
}

pub(crate) fn workers(facts: &Facts) -> String {
    let limit = facts.limit();
    let at = format!("the API's latency at {} in flight", format::count(limit as u64));
    if facts.ceiling() >= MOST_WORKERS {
        return format!("{at}; that is as many as one machine should hold");
    }
    if facts.is_cheap() {
        return format!(
            "{at}; {} of {} answers were 404 or the like, from which auto learns nothing: more workers may help, try {}",
            format::count(facts.cheap),
            format::count(facts.answered),
            facts.more_workers()
        );
    }
    // An automatic number was measured; a fixed one may lie on either side of the knee.
    let is_fixed = matches!(facts.concurrency, ConcurrencyUsed::Fixed(2..));
    if is_fixed && !facts.least.is_zero() && facts.p50 >= facts.least.saturating_mul(QUEUED) {
        let [p50, least] = [facts.p50, facts.least].map(format::latency);
        return format!(
            "{at} ({p50}, the fastest {least}: they may queue there); auto finds whether more or fewer pay, try {}",
            facts.more_workers()
        );
    }
    format!("{at}; more workers would help, try {}", facts.more_workers())
}

pub(crate) fn machine(facts: &Facts) -> String {
    format!(
        "this machine: on average {} of {} were in flight; more workers would not help, {CONCURRENCY} {} does as well",
        in_flight(facts),
        format::count(facts.limit() as u64),
        format::whole(facts.in_flight().ceil()).max(1)
    )
}

pub(crate) fn working(facts: &Facts) -> String {
    let try_this = match facts.concurrency {
        ConcurrencyUsed::Fixed(limit) if limit > 1 => {
            format!("fewer may do as well, try {CONCURRENCY} auto:{limit}")
        }
        ConcurrencyUsed::Fixed(_) => format!("nor would a higher {RATE}"),
        ConcurrencyUsed::Auto { settled, .. } => format!("{CONCURRENCY} {settled} does as well"),
    };
    format!(
        "this machine: the processor was at work {} % of the time; more workers would not help, {try_this}",
        format::whole(100.0 * facts.share(facts.processor)).min(100)
    )
}

fn in_flight(facts: &Facts) -> String {
    match facts.in_flight() {
        few if few < 9.95 => format!("{few:.1}"),
        many => format::count(format::whole(many)),
    }
}
