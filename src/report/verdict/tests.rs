//! The verdict of each kind of run.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limit::LearnedLimit;
use crate::model::QuotaSize;
use crate::model::{LimitChangeReason, Rate};

/// The run of the contract's example: 6,041 attempts in 6.3 s with 64 in flight.
fn full_run() -> Facts {
    Facts {
        elapsed: Duration::from_millis(6_300),
        concurrency: ConcurrencyUsed::Auto { max: 64, settled: 64 },
        busy: Duration::from_secs(390),
        waits: BlockedTime { slot: Duration::from_secs(6), ..BlockedTime::default() },
        rate: None,
        is_rate_shared: false,
        processor: Duration::from_secs(1),
        attempts: 6_041,
        answered: 6_041,
        errors: 0,
        limits: ApiLimits::default(),
        cheap: 0,
        stepped_back: None,
        least: Duration::from_millis(60),
        p50: Duration::from_millis(98),
        p95: Duration::from_millis(131),
        tail: Tail { retries: 4, timeout: Duration::from_secs(30), ..Tail::default() },
    }
}

/// So many refused attempts, from which nothing was learnt.
fn refused(refused: u64) -> ApiLimits {
    ApiLimits { refused, ..ApiLimits::default() }
}

/// A learnt rate.
fn learned(per_second: f64) -> ApiLimits {
    ApiLimits { learned: Some(LearnedLimit::Rate(per_second)), ..refused(31) }
}

fn check(facts: &Facts, limit: LimitedBy, text: &str) {
    assert_eq!(verdict(facts), RunVerdict { limit, text: text.into() });
}

#[test]
fn full_slots_propose_more_workers() {
    check(
        &full_run(),
        LimitedBy::Concurrency,
        "the API's latency at 64 in flight; more workers would help, try --concurrency auto:256",
    );
    check(
        &Facts { concurrency: ConcurrencyUsed::Fixed(1), busy: Duration::from_secs(6), ..full_run() },
        LimitedBy::Concurrency,
        "the API's latency at 1 in flight; more workers would help, try --concurrency auto:16",
    );
    check(
        &Facts { concurrency: ConcurrencyUsed::Fixed(5_000), busy: Duration::from_mins(500), ..full_run() },
        LimitedBy::Concurrency,
        "the API's latency at 5,000 in flight; that is as many as one machine should hold",
    );
}

#[test]
fn a_met_rate_is_the_limit_and_is_raised_with_the_workers_it_needs() {
    let paced = Facts {
        rate: Some("200/s".parse().unwrap()),
        elapsed: Duration::from_secs(30),
        attempts: 6_000,
        busy: Duration::from_mins(10),
        ..full_run()
    };
    check(&paced, LimitedBy::Rate, "--rate 200/s; raise it if the API allows, try --rate 400/s");
    check(
        &Facts { is_rate_shared: true, ..paced },
        LimitedBy::Rate,
        "the rate of all processes together (--rate 200/s, --rate-store); raise it for all of them if the API allows",
    );
    check(
        &Facts { concurrency: ConcurrencyUsed::Fixed(25), ..paced },
        LimitedBy::Rate,
        "--rate 200/s; raise it if the API allows, try --rate 400/s --concurrency auto:100",
    );
    let slow = Facts { rate: Some("18/m".parse().unwrap()), attempts: 9, ..paced };
    check(&slow, LimitedBy::Rate, "--rate 18/m; raise it if the API allows, try --rate 36/m");
}

#[test]
fn pauses_without_a_learnt_limit_name_no_rate_but_one_below_what_was_asked() {
    let asked = BlockedTime { asked: Duration::from_secs(12), ..BlockedTime::default() };
    let paused = Facts { elapsed: Duration::from_secs(40), waits: asked, limits: refused(3), ..full_run() };
    check(&paused, LimitedBy::Pauses, "the pauses that the API required (12.0 s of 40.0 s)");
    check(
        &Facts { rate: Some("400/s".parse().unwrap()), ..paused },
        LimitedBy::Pauses,
        "the pauses that the API required (12.0 s of 40.0 s); a lower rate may need none, try --rate 360/s",
    );
    let backoff = BlockedTime { backoff: Duration::from_secs(12), ..BlockedTime::default() };
    check(
        &Facts { waits: backoff, ..paused },
        LimitedBy::Pauses,
        "the pauses after refusals (12.0 s of 40.0 s)",
    );
}

#[test]
fn a_learnt_limit_that_held_the_run_back_is_the_limit_and_not_the_pauses() {
    let waits = BlockedTime {
        learned: Duration::from_secs(25),
        backoff: Duration::from_secs(4),
        ..BlockedTime::default()
    };
    let paced = Facts {
        elapsed: Duration::from_secs(30),
        attempts: 630,
        answered: 630,
        waits,
        limits: learned(19.9),
        ..full_run()
    };
    let text = "the API's limit (20/s); more workers would not help, --rate 20/s keeps to it from the start";
    check(&paced, LimitedBy::Limit, text);
    // Whatever number was too high.
    check(&Facts { rate: Some("40/s".parse().unwrap()), ..paced }, LimitedBy::Limit, text);
    let waits = BlockedTime { asked: Duration::from_secs(29), ..BlockedTime::default() };
    let window = LearnedLimit::Window { capacity: 100, period: Duration::from_mins(1) };
    check(
        &Facts { waits, limits: ApiLimits { learned: Some(window), ..refused(1) }, ..paced },
        LimitedBy::Limit,
        "the API's limit (100/m (100 in 60 s)); more workers would not help, --rate 100/m keeps to it from the start",
    );
}

#[test]
fn a_cap_that_was_learnt_is_the_limit_and_is_named_as_a_concurrency() {
    let limits = ApiLimits { in_flight: Some(10), ..refused(6) };
    let text = "the API's limit (10 requests in flight); more workers would not help, --concurrency 10 keeps to it from the start";
    let settled = ConcurrencyUsed::Auto { max: 64, settled: 10 };
    let capped = Facts { limits, concurrency: settled, ..full_run() };
    check(&capped, LimitedBy::Limit, text);
    check(&Facts { concurrency: ConcurrencyUsed::Fixed(64), ..capped }, LimitedBy::Limit, text);
    let backoff = BlockedTime { backoff: Duration::from_secs(2), ..BlockedTime::default() };
    check(&Facts { waits: backoff, ..capped }, LimitedBy::Limit, text);
    // No more may be in flight anyway.
    let fixed = verdict(&Facts { concurrency: ConcurrencyUsed::Fixed(10), ..capped });
    assert!(!fixed.text.contains("--concurrency 10"), "{}", fixed.text);
}

#[test]
fn a_rate_that_is_the_learnt_limit_is_not_to_be_raised() {
    let paced = Facts {
        rate: Some("20/s".parse().unwrap()),
        elapsed: Duration::from_secs(30),
        attempts: 595,
        answered: 595,
        limits: learned(19.4),
        ..full_run()
    };
    check(&paced, LimitedBy::Rate, "--rate 20/s, which is the API's limit, too; do not raise it");
    let unannounced = Facts { limits: ApiLimits::default(), ..paced };
    check(
        &Facts { errors: 4, ..unannounced },
        LimitedBy::Rate,
        "--rate 20/s, and 4 of 595 requests were answered with an error such as 503; if that is the API's limit, \
         do not raise it, else try --rate 40/s",
    );
    let few =
        verdict(&Facts { errors: 4, attempts: 6_000, elapsed: Duration::from_mins(5), ..unannounced }).text;
    assert!(few.contains("raise it if the API allows"), "{few}");
    let unrefused = verdict(&unannounced).text;
    assert!(unrefused.contains("raise it if the API allows, try --rate 40/s"), "{unrefused}");
}

#[test]
fn a_quota_is_named_with_the_rate_that_spreads_it() {
    let waits = BlockedTime { quota: Duration::from_secs(20), ..BlockedTime::default() };
    let announced = |window| ApiLimits { announced: Some(QuotaSize { limit: 100.0, window }), ..refused(0) };
    let limits = announced(Some(Duration::from_secs(30)));
    let facts = Facts { elapsed: Duration::from_secs(40), waits, limits, ..full_run() };
    let text = "the quota that the API announces (the run waited for its reset 20.0 s of 40.0 s)";
    let spread = "; more workers would not help, --rate 200/m spreads it evenly";
    check(&facts, LimitedBy::Quota, &format!("{text}{spread}"));
    check(&Facts { limits: announced(None), ..facts }, LimitedBy::Quota, text);
}

#[test]
fn an_outage_asked_for_no_pause_and_no_rate_mends_it() {
    let waits = BlockedTime {
        asked: Duration::from_secs(5),
        outage: Duration::from_secs(15),
        ..BlockedTime::default()
    };
    check(
        &Facts { elapsed: Duration::from_secs(40), waits, ..full_run() },
        LimitedBy::Server,
        "the server: it kept failing, and the run waited for it (15.0 s of 40.0 s); at another time it may be faster",
    );
    // A server that fails is answered by the pool's own pauses, too; a limit may be told the same way.
    let failing = BlockedTime { failing: Duration::from_secs(20), ..BlockedTime::default() };
    let failing =
        Facts { elapsed: Duration::from_secs(40), waits: failing, limits: refused(7), ..full_run() };
    assert!(verdict(&failing).text.starts_with("the server: it kept failing"));
    let limited = Facts { limits: learned(20.0), ..failing };
    assert_eq!(verdict(&limited).limit, LimitedBy::Limit);
    // A short one beside long pauses that were asked for.
    let waits = BlockedTime { outage: Duration::from_secs(5), asked: Duration::from_secs(15), ..waits };
    let facts = Facts { elapsed: Duration::from_secs(40), waits, ..full_run() };
    assert_eq!(verdict(&facts).limit, LimitedBy::Pauses);
}

#[test]
fn connections_that_the_server_serves_are_named_with_their_number() {
    let limits = ApiLimits { connections: Some(20), ..refused(900) };
    let text = "the server serves 20 connections at a time; more workers would not help";
    check(&Facts { limits, ..full_run() }, LimitedBy::Connections, text);
    check(&Facts { limits, ..with_tail() }, LimitedBy::Connections, text);
    let few = Facts { limits, concurrency: ConcurrencyUsed::Fixed(10), ..full_run() };
    assert_ne!(verdict(&few).limit, LimitedBy::Connections, "no more were asked for");
}

#[test]
fn errors_of_the_server_are_no_reason_for_more_workers() {
    check(
        &Facts { errors: 3_800, attempts: 4_000, answered: 4_000, ..full_run() },
        LimitedBy::Server,
        "the server: 3,800 of 4,000 answers were errors; more workers would not help",
    );
}

#[test]
fn a_server_past_its_knee_proposes_no_more_workers() {
    let settled = ConcurrencyUsed::Auto { max: 64, settled: 23 };
    let knee = Facts { concurrency: settled, busy: Duration::from_secs(140), ..full_run() };
    check(
        &knee,
        LimitedBy::Server,
        "the server: its throughput stopped growing at 23 in flight; more workers would not help, --concurrency 23 does as well",
    );
    check(
        &Facts { stepped_back: Some(LimitChangeReason::LatencyRises), ..knee },
        LimitedBy::Server,
        "the server: it slowed down past 23 in flight; more workers would not help, --concurrency 23 does as well",
    );
    check(
        &Facts { concurrency: ConcurrencyUsed::Fixed(64), limits: refused(412), ..full_run() },
        LimitedBy::Server,
        "the server: 412 of 6,041 requests were refused; more workers would not help, try --concurrency auto:64",
    );
    check(
        &Facts { limits: refused(412), ..full_run() },
        LimitedBy::Server,
        "the server: 412 of 6,041 requests were refused; more workers would not help",
    );
}

#[test]
fn a_controller_that_steps_back_names_the_reason() {
    let settled = ConcurrencyUsed::Auto { max: 64, settled: 23 };
    let knee = Facts { concurrency: settled, busy: Duration::from_secs(140), ..full_run() };
    for (reason, says) in [
        (LimitChangeReason::RefusedAbove, "it refused some past"),
        (LimitChangeReason::SomeRefused, "it refused some past"),
        (LimitChangeReason::LatencyRises, "it slowed down past"),
        (LimitChangeReason::NoGain, "its throughput stopped growing at"),
    ] {
        let text = verdict(&Facts { stepped_back: Some(reason), ..knee }).text;
        assert!(text.starts_with(&format!("the server: {says} 23 in flight")), "{text}");
        assert_eq!(text.contains("--concurrency"), !reason.is_refusal(), "{text}");
    }
}

#[test]
fn a_controller_just_under_its_ceiling_is_at_its_ceiling_unless_it_was_refused_there() {
    let under = |stepped_back, refused| Facts {
        concurrency: ConcurrencyUsed::Auto { max: 64, settled: 62 },
        stepped_back,
        limits: self::refused(refused),
        ..full_run()
    };
    for facts in [
        under(None, 0),
        under(Some(LimitChangeReason::LatencyRises), 0),
        // One in a hundred of the demo's requests fails, a third of those with 503.
        under(Some(LimitChangeReason::RefusedAbove), 20),
    ] {
        check(
            &facts,
            LimitedBy::Concurrency,
            "the API's latency at 62 in flight; more workers would help, try --concurrency auto:256",
        );
    }
    assert_eq!(verdict(&under(Some(LimitChangeReason::RefusedAbove), 60)).limit, LimitedBy::Server);
}

#[test]
fn who_was_refused_gets_no_more_workers_and_no_higher_rate() {
    let some = Facts { concurrency: ConcurrencyUsed::Fixed(10), limits: refused(40), ..full_run() };
    check(
        &some,
        LimitedBy::Server,
        "the server: 40 of 6,041 requests were refused; more workers would not help, try --concurrency auto:10",
    );
    check(
        &Facts { rate: Some("950/s".parse().unwrap()), ..some },
        LimitedBy::Rate,
        "--rate 950/s, and even so 40 of 6,041 requests were refused; \
         do not raise it, --rate 855/s may need no pauses",
    );
    let learnt = Facts { limits: learned(2_000.0), ..some };
    assert_eq!(verdict(&learnt).limit, LimitedBy::Limit, "however short it held the run back");
}

#[test]
fn a_fixed_number_past_the_knee_does_not_propose_more() {
    let queued = Facts {
        concurrency: ConcurrencyUsed::Fixed(40),
        p50: Duration::from_millis(204),
        least: Duration::from_millis(51),
        ..full_run()
    };
    check(
        &queued,
        LimitedBy::Concurrency,
        "the API's latency at 40 in flight (204 ms, the fastest 51 ms: they may queue there); \
         auto finds whether more or fewer pay, try --concurrency auto:160",
    );
    let auto = Facts { concurrency: ConcurrencyUsed::Auto { max: 64, settled: 64 }, ..queued };
    assert!(verdict(&auto).text.contains("more workers would help"), "it measured that");
}

#[test]
fn a_controller_that_learned_nothing_from_404_is_no_knee() {
    let lost = Facts {
        concurrency: ConcurrencyUsed::Auto { max: 64, settled: 8 },
        busy: Duration::from_secs(50),
        attempts: 400,
        answered: 400,
        cheap: 396,
        ..full_run()
    };
    check(
        &lost,
        LimitedBy::Concurrency,
        "the API's latency at 8 in flight; 396 of 400 answers were 404 or the like, from which auto learns \
         nothing: more workers may help, try --concurrency 32",
    );
    let followed = Facts { concurrency: ConcurrencyUsed::Fixed(32), busy: Duration::from_secs(200), ..lost };
    assert!(verdict(&followed).text.ends_with("try --concurrency 128"), "auto would go back to 8");
    assert_eq!(verdict(&Facts { cheap: 200, ..lost }).limit, LimitedBy::Server);
    let stepped = Facts { stepped_back: Some(LimitChangeReason::LatencyRises), ..lost };
    assert_eq!(verdict(&stepped).limit, LimitedBy::Server, "it measured that");
}

#[test]
fn short_retries_at_the_end_are_not_reported_as_latency() {
    let retried = Facts {
        elapsed: Duration::from_millis(1_400),
        attempts: 6_043,
        answered: 6_043,
        busy: Duration::from_secs(5),
        waits: BlockedTime { drain: Duration::from_millis(1_200), ..BlockedTime::default() },
        p50: Duration::from_micros(835),
        p95: Duration::from_micros(1_300),
        ..full_run()
    };
    check(
        &retried,
        LimitedBy::Tail,
        "the last SKUs: for 1.2 s of 1.4 s only retries and late answers were left; more workers would not help",
    );
}

#[test]
fn the_pages_of_the_last_skus_are_not_taken_for_retries() {
    let tail = Tail { has_pages: true, ..full_run().tail };
    let paged = Facts {
        elapsed: Duration::from_millis(1_200),
        attempts: 250,
        answered: 250,
        busy: Duration::from_secs(5),
        waits: BlockedTime { drain: Duration::from_millis(1_100), ..BlockedTime::default() },
        p50: Duration::from_millis(21),
        p95: Duration::from_millis(24),
        tail,
        ..full_run()
    };
    check(
        &paged,
        LimitedBy::Tail,
        "the last SKUs: for 1.1 s of 1.2 s only their further pages were left; the pages of a SKU come in turn: larger \
         pages would be fewer, more workers would not help",
    );
    let tail = Tail { span: Duration::from_secs(8), skus: 3, ..tail };
    let late = Facts { elapsed: Duration::from_secs(10), tail, ..paged };
    check(
        &late,
        LimitedBy::Tail,
        "the last 3 SKUs: their pages took 8.0 s after the rest; the pages of a SKU come in turn: larger pages would be \
         fewer, more workers would not help",
    );
}

#[test]
fn a_single_refusal_among_few_answers_is_chance() {
    let few = Facts { attempts: 44, answered: 44, limits: refused(1), ..full_run() };
    assert_eq!(verdict(&few).limit, LimitedBy::Concurrency);
    assert_eq!(verdict(&Facts { limits: refused(4), ..few }).limit, LimitedBy::Server);
}

#[test]
fn an_api_that_never_answers_is_the_limit_however_short_the_run() {
    check(
        &Facts { answered: 0, attempts: 9, elapsed: Duration::from_millis(40), ..full_run() },
        LimitedBy::Server,
        "the API: 9 requests were sent and none was answered",
    );
}

#[test]
fn a_fully_used_processor_is_the_limit() {
    let working = Facts { processor: Duration::from_secs(6), ..full_run() };
    check(
        &working,
        LimitedBy::Machine,
        "this machine: the processor was at work 95 % of the time; more workers would not help, \
         --concurrency 64 does as well",
    );
    let fixed = Facts { concurrency: ConcurrencyUsed::Fixed(200), ..working };
    assert!(verdict(&fixed).text.ends_with("fewer may do as well, try --concurrency auto:200"));
}

#[test]
fn a_slow_pipe_limits_by_the_input() {
    let waits = BlockedTime { input: Duration::from_secs(5), ..BlockedTime::default() };
    check(
        &Facts { waits, busy: Duration::from_secs(7), ..full_run() },
        LimitedBy::Input,
        "the input: rows came more slowly than they were answered (1.1 in flight on average); a file in place of the pipe would be faster, more workers would not",
    );
}

#[test]
fn slots_that_stay_empty_point_at_this_machine() {
    check(
        &Facts { busy: Duration::from_secs(70), waits: BlockedTime::default(), ..full_run() },
        LimitedBy::Machine,
        "this machine: on average 11 of 64 were in flight; more workers would not help, --concurrency 12 does as well",
    );
}

#[test]
fn slots_that_were_few_while_they_grew_were_still_full() {
    let growing = Facts { busy: Duration::from_secs(200), ..full_run() };
    assert_eq!(verdict(&growing).limit, LimitedBy::Concurrency);
}

/// Ten seconds, of which the last eight were for three SKUs.
fn with_tail() -> Facts {
    let second = Duration::from_secs(1);
    Facts {
        elapsed: second * 10,
        attempts: 1_000,
        answered: 1_000,
        busy: second * 120,
        waits: BlockedTime { slot: second * 2, drain: second * 8, ..BlockedTime::default() },
        tail: Tail { span: second * 8, idle: second * 7, skus: 3, ..full_run().tail },
        ..full_run()
    }
}

#[test]
fn a_tail_of_retries_is_named_and_not_this_machine() {
    check(
        &with_tail(),
        LimitedBy::Tail,
        "the last 3 SKUs: retried until 8.0 s after the rest; more workers would not help, \
         fewer retries give up sooner: try --retries 2",
    );
    let few = Facts { attempts: 9, answered: 9, ..with_tail() };
    assert_eq!(verdict(&few).limit, LimitedBy::Tail, "it says more than that the run was short");
}

#[test]
fn a_tail_of_slow_answers_proposes_a_timeout_that_is_shorter() {
    let slow = Tail { idle: Duration::ZERO, skus: 1, ..with_tail().tail };
    let text = |tail| verdict(&Facts { tail, ..with_tail() }).text;
    assert_eq!(
        text(slow),
        "the last SKU: answered 8.0 s after the rest; more workers would not help, \
         a shorter timeout retries sooner: try --timeout 5s"
    );
    let plain = "the last SKU: answered 8.0 s after the rest; more workers would not help";
    assert_eq!(text(Tail { timeout: Duration::from_secs(1), ..slow }), plain);
    // Nothing is retried: a shorter one would only fail it.
    assert_eq!(text(Tail { retries: 0, ..slow }), plain);
}

#[test]
fn the_last_answers_of_any_run_are_no_tail() {
    let limit = |span: u64, skus| {
        let span = Duration::from_millis(span);
        let tail = Tail { span, skus, ..with_tail().tail };
        let waits = BlockedTime { slot: Duration::from_secs(8), drain: span, ..BlockedTime::default() };
        verdict(&Facts { tail, waits, busy: Duration::from_secs(500), ..with_tail() }).limit
    };
    assert_eq!(limit(900, 3), LimitedBy::Concurrency);
    assert_eq!(limit(2_000, 3), LimitedBy::Concurrency);
    assert_eq!(limit(3_000, 3), LimitedBy::Tail);
    assert_eq!(limit(3_000, 0), LimitedBy::Concurrency, "nothing was open any more");
}

#[test]
fn few_skus_that_are_all_under_way_at_once_wait_for_the_api_and_not_for_this_machine() {
    let second = Duration::from_secs(1);
    let few = Facts {
        elapsed: second * 2,
        concurrency: ConcurrencyUsed::Fixed(64),
        attempts: 30,
        answered: 30,
        busy: second * 58,
        waits: BlockedTime { drain: second * 2, ..BlockedTime::default() },
        p50: second * 2,
        ..full_run()
    };
    check(
        &few,
        LimitedBy::Tail,
        "the API's latency (2.0 s): for 2.0 s of 2.0 s every SKU that was left was under way; \
         more workers would not help",
    );
}

#[test]
fn a_short_run_is_not_judged() {
    check(
        &Facts { elapsed: Duration::from_millis(300), ..full_run() },
        LimitedBy::TooShort,
        "too short a run to say (6,041 requests in 300 ms)",
    );
    check(
        &Facts { attempts: 1, ..full_run() },
        LimitedBy::TooShort,
        "too short a run to say (1 request in 6.3 s)",
    );
    check(&Facts { attempts: 0, ..full_run() }, LimitedBy::Nothing, "nothing; no request was sent");
}

proptest! {
    #[test]
    fn every_number_that_is_proposed_can_be_typed(
        (millis, attempts, refused, busy) in (0u64..100_000_000, any::<u32>(), any::<u32>(), any::<u32>()),
        (pauses, rate_wait, input, p50) in (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()),
        (max, settled, fixed, rate) in (1usize..10_000, 1usize..10_000, any::<bool>(), proptest::option::of(1u32..)),
    ) {
        let time = |millis: u32| Duration::from_millis(millis.into());
        let auto = ConcurrencyUsed::Auto { max, settled: settled.min(max) };
        let facts = Facts {
            elapsed: Duration::from_millis(millis),
            concurrency: if fixed { ConcurrencyUsed::Fixed(max) } else { auto },
            busy: time(busy),
            waits: BlockedTime { slot: time(p50), rate: time(rate_wait), learned: time(pauses / 3), asked: time(pauses), backoff: time(pauses / 5), failing: time(pauses / 6), quota: time(pauses / 4), outage: time(pauses / 2), input: time(input), drain: time(input) },
            rate: rate.map(|count| format!("{count}/m").parse().unwrap()),
            is_rate_shared: false,
            processor: time(busy / 2),
            attempts: attempts.into(),
            answered: attempts.into(),
            errors: (attempts / 9).into(),
            limits: ApiLimits {
                in_flight: None,
                refused: refused.min(attempts).into(),
                learned: (busy % 2 == 0).then(|| LearnedLimit::Rate(f64::from(refused) / 1e3)),
                announced: (busy % 3 == 0).then(|| QuotaSize { limit: refused.into(), window: Some(time(p50)) }),
                connections: (busy % 5 == 0).then_some(settled),
            },
            cheap: 0,
            stepped_back: None,
            least: time(p50 / 4),
            p50: time(p50),
            p95: time(p50),
            tail: Tail { span: time(pauses), idle: time(rate_wait), skus: busy.into(), retries: refused % 9, timeout: time(input), has_pages: refused % 2 == 0 },
        };
        let text = verdict(&facts).text;
        prop_assert!(!text.contains("NaN") && !text.contains("inf "), "{}", text);
        if let Some(at) = text.rfind("--rate ") {
            let word = text[at + 7..].split(' ').next().unwrap();
            let word = word.trim_end_matches([')', ',', ';']);
            prop_assert!(word.parse::<Rate>().is_ok(), "{}", text);
        }
    }
}
