//! Outages, single bad SKUs, load and the retry budget, on a paused clock.

use super::*;

fn fault(cause: Cause) -> Fault {
    Fault::new(cause, "boom")
}

fn of(cause: Cause) -> Fault {
    fault(cause)
}

fn new(concurrency: usize) -> Health {
    Health::new(concurrency, Duration::ZERO)
}

/// The first attempt of a SKU failed, with retries left.
fn first_of(seq: u32, fault: &Fault) -> FailedAttempt<'_> {
    let now = Instant::now();
    let number = u64::from(seq) + 1;
    FailedAttempt {
        is_probe: false,
        seq: Seq(seq),
        fault,
        left: now,
        number,
        is_first: true,
        failures: 1,
        first_failed: now,
        failed_before: None,
        is_last: false,
        by_load: 1.0,
    }
}

fn fail(health: &Health, seq: u32) -> Advice {
    health.failed(first_of(seq, &fault(Cause::Lost)))
}

fn come(health: &Health) {
    health.answered(Instant::now(), AnsweredFor::FirstAttempt);
}

fn held(advice: &Advice) -> Option<Duration> {
    match advice {
        Advice::Hold { pause } => pause.map(|pause| pause.length),
        _ => None,
    }
}

/// Lets first attempts fail until the pool is held, and gives the pause.
fn trip(health: &Health) -> OutagePause {
    (0..100)
        .find_map(|seq| match fail(health, seq) {
            Advice::Hold { pause } => pause,
            _ => None,
        })
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn ten_first_attempts_without_a_connection_end_the_run() {
    let (health, refused) = (new(64), of(Cause::Connect));
    for seq in 0..9 {
        assert_eq!(health.failed(first_of(seq, &refused)), Advice::Retry);
    }
    let stop = Advice::Stop(StopReason::Unreachable("boom".into()));
    assert_eq!(health.failed(first_of(9, &refused)), stop);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_under_way_among_the_first_ten_may_connect() {
    let (health, refused) = (new(64), of(Cause::Connect));
    for seq in (0..4).chain(5..30) {
        assert_eq!(health.failed(first_of(seq, &refused)), Advice::Retry, "{seq}");
    }
    health.record_connected();
    assert_eq!(health.failed(FailedAttempt { number: 5, ..first_of(40, &refused) }), Advice::Retry);
}

#[tokio::test(start_paused = true)]
async fn ten_lost_connections_are_an_outage_once_nothing_came_for_some_seconds() {
    let (statuses, attempts) = (of(Cause::Status(502)), u32::try_from(OUTAGE_ATTEMPTS).unwrap());
    for waited in [Duration::ZERO, SERVING] {
        let (health, other) = (new(64), new(64));
        for health in [&health, &other] {
            come(health);
        }
        tokio::time::advance(waited).await;
        let is_held = |advice: &Advice| matches!(advice, Advice::Hold { .. });
        let lost = (0..attempts).map(|seq| fail(&health, seq)).filter(is_held).count();
        assert_eq!(lost, usize::from(!waited.is_zero()), "{waited:?}");
        let answered = (0..attempts).map(|seq| other.failed(first_of(seq, &statuses)));
        assert_eq!(answered.filter(is_held).count(), 0, "answers may be a limit");
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_is_enough_not_to_be_unreachable() {
    let (health, refused) = (new(64), of(Cause::Connect));
    fail(&health, 0);
    for seq in 1..20 {
        assert!(!matches!(health.failed(first_of(seq, &refused)), Advice::Stop(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn ten_first_answers_whose_header_cannot_be_read_end_the_run_and_later_ones_are_no_outage() {
    let (health, garbled) = (new(64), fault(Cause::Unreadable));
    for seq in 0..9 {
        assert_eq!(health.failed(first_of(seq, &garbled)), Advice::Retry);
    }
    assert_eq!(health.failed(first_of(9, &garbled)), Advice::Stop(StopReason::Unreadable("boom".into())));
    let health = new(64);
    come(&health);
    for seq in 0..100 {
        assert_eq!(health.failed(first_of(seq, &garbled)), Advice::Retry);
    }
}

#[tokio::test(start_paused = true)]
async fn a_403_may_be_a_limit_after_refusals_and_after_a_row_of_them_for_about_a_minute() {
    let health = new(8);
    health.record_refused();
    assert!(!health.may_403_be_a_limit() && !health.take_403_for_a_limit(), "no SKU came yet");
    come(&health);
    assert!(health.may_403_be_a_limit());
    tokio::time::advance(AFTER_REFUSAL).await;
    assert!(!health.may_403_be_a_limit());
    assert!(health.take_403_for_a_limit() && health.may_403_be_a_limit());
    health.record_403();
    tokio::time::advance(FORBIDDEN_FOR_AT_MOST).await;
    assert!(!health.may_403_be_a_limit() && !health.take_403_for_a_limit());
    health.answered(Instant::now(), AnsweredFor::Forbidden);
    assert!(!health.may_403_be_a_limit(), "a SKU that failed with a 403 begins no minute anew");
    come(&health);
    assert!(health.may_403_be_a_limit());
}

#[tokio::test(start_paused = true)]
async fn one_bad_sku_is_no_outage() {
    let health = new(1);
    for _ in 0..30 {
        assert_eq!(fail(&health, 7), Advice::Retry);
    }
}

#[tokio::test(start_paused = true)]
async fn skus_that_fail_while_others_come_are_no_outage_at_the_end_either() {
    let health = new(8);
    let failed = fault(Cause::Timeout);
    let attempts: Vec<_> = (0..8).map(|seq| first_of(seq, &failed)).collect();
    for attempt in &attempts {
        assert_eq!(health.failed(*attempt), Advice::Retry);
    }
    tokio::time::advance(Duration::from_millis(1)).await;
    come(&health);
    for failures in 2..=5 {
        for attempt in &attempts {
            let left = Instant::now();
            let again = FailedAttempt { failures, left, is_first: false, is_last: failures == 5, ..*attempt };
            assert_eq!(health.failed(again), Advice::Retry, "{failures}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_skus_at_the_end_are_asked_about_by_one_that_came() {
    let (health, failed) = (new(8), fault(Cause::Timeout));
    come(&health);
    let attempts: Vec<_> = (0..6).map(|seq| first_of(seq, &failed)).collect();
    for attempt in &attempts {
        assert_eq!(health.failed(*attempt), Advice::Retry);
    }
    let last = FailedAttempt { failures: 5, is_first: false, is_last: true, ..attempts[0] };
    let length = OUTAGE_PAUSES[0];
    let pause = Some(OutagePause { length, asks_known: true });
    assert_eq!(health.failed(last), Advice::Hold { pause });
    tokio::time::advance(length).await;
    health.answered(Instant::now(), AnsweredFor::Known);
    assert_eq!(health.failed(FailedAttempt { left: Instant::now(), ..last }), Advice::Retry, "and it fails");
}

#[tokio::test(start_paused = true)]
async fn an_outage_pauses_5_10_and_20_seconds_and_then_stops() {
    for (cause, before) in [(Cause::Lost, vec![]), (Cause::Status(500), vec![500, 1000])] {
        let (health, failed) = (new(8), fault(cause));
        come(&health);
        tokio::time::advance(SERVING).await;
        let mut pauses = Vec::new();
        let stopped = (0..).find_map(|seq| match health.failed(first_of(seq, &failed)) {
            Advice::Hold { pause: Some(pause) } => {
                pauses.push(u64::try_from(pause.length.as_millis()).unwrap());
                // Attempts that were in flight when the pause began are held too.
                assert_eq!(fail(&health, 1), Advice::Hold { pause: None });
                let mut state = health.lock();
                state.paused_until = None;
                state.held_at = Some(Instant::now());
                None
            }
            Advice::Stop(reason) => Some(reason),
            _ => None,
        });
        let expected: Vec<u64> = before.into_iter().chain([5000, 10_000, 20_000]).collect();
        assert_eq!((pauses, stopped), (expected, Some(StopReason::Failing(failed))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_probe_ends_the_outage() {
    let health = new(1);
    come(&health);
    assert_eq!(trip(&health).length, OUTAGE_PAUSES[0]);
    tokio::time::advance(OUTAGE_PAUSES[0]).await;
    come(&health);
    assert_eq!(trip(&health), OutagePause { length: OUTAGE_PAUSES[0], asks_known: true });
}

#[tokio::test(start_paused = true)]
async fn a_sku_that_came_vouches_once_until_another_comes() {
    let health = new(1);
    come(&health);
    assert!(trip(&health).asks_known);
    tokio::time::advance(OUTAGE_PAUSES[0]).await;
    health.answered(Instant::now(), AnsweredFor::Known);
    assert!(!trip(&health).asks_known);
}

#[tokio::test(start_paused = true)]
async fn where_many_skus_fail_none_that_came_vouches() {
    let health = new(64);
    come(&health);
    assert!(!trip(&health).asks_known);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_under_way_does_not_end_the_outage() {
    let health = new(8);
    let early = Instant::now();
    tokio::time::advance(Duration::from_millis(20)).await;
    assert_eq!(trip(&health).length, OUTAGE_PAUSES[0]);
    health.answered(early, AnsweredFor::Retry);
    tokio::time::advance(OUTAGE_PAUSES[0]).await;
    assert_eq!(held(&fail(&health, 10)), Some(OUTAGE_PAUSES[1]));
}

#[tokio::test(start_paused = true)]
async fn once_the_budget_is_spent_each_pause_has_one_probe() {
    // Where another SKU came a moment before, it may be a limit.
    let after = |wait| [&LIMIT_PAUSES[..], &OUTAGE_PAUSES].concat().split_off(wait);
    for (cause, silent, pauses) in [
        (Cause::Status(500), false, after(0)),
        (Cause::Status(500), true, after(2)),
        (Cause::Lost, false, after(2)),
    ] {
        let (health, failed) = (new(8), fault(cause));
        for seq in 0..50 {
            let retry = FailedAttempt { is_first: false, ..first_of(seq, &failed) };
            assert_eq!(health.failed(retry), Advice::Retry);
            health.retried();
            come(&health);
        }
        if silent {
            tokio::time::advance(SERVING).await;
        }
        for pause in pauses {
            assert_eq!(held(&health.failed(first_of(51, &failed))), Some(pause), "{cause:?}");
            tokio::time::advance(pause).await;
        }
        assert!(matches!(health.failed(first_of(52, &failed)), Advice::Stop(StopReason::Failing(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn once_a_known_sku_has_come_a_spent_budget_is_no_outage_until_the_next_good_answer() {
    let (health, failed) = (new(8), fault(Cause::Status(503)));
    come(&health);
    (0..RETRY_FLOOR).for_each(|_| health.retried());
    let again = FailedAttempt { is_first: false, ..first_of(1, &failed) };
    let pause = held(&health.failed(again)).unwrap();
    tokio::time::advance(pause).await;
    let sent = Instant::now();
    health.answered(sent, AnsweredFor::Known);
    (0..RETRY_GRANT).for_each(|_| health.retried());
    let last = FailedAttempt { left: sent, number: 99, is_last: true, failures: 5, ..again };
    assert_eq!(health.failed(last), Advice::Retry, "it has failed");
    come(&health);
    assert!(matches!(health.failed(FailedAttempt { left: Instant::now(), ..last }), Advice::Hold { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_was_under_way_is_no_probe_and_is_not_charged() {
    let (health, late) = (new(8), fault(Cause::Timeout));
    let early = Instant::now();
    tokio::time::advance(Duration::from_millis(20)).await;
    assert_eq!(trip(&health).length, OUTAGE_PAUSES[0]);
    tokio::time::advance(OUTAGE_PAUSES[0] * 2).await;
    let late = FailedAttempt { left: early, ..first_of(3, &late) };
    assert_eq!(health.failed(late), Advice::Hold { pause: None });
    assert_eq!(held(&fail(&health, 11)), Some(OUTAGE_PAUSES[1]));
}

#[tokio::test(start_paused = true)]
async fn an_api_is_waited_for_as_long_as_was_said_with_a_probe_every_5_seconds() {
    for connects in [false, true] {
        let health = Health::new(8, Duration::from_mins(1));
        let failed = fault(if connects { Cause::Lost } else { Cause::Connect });
        let (start, mut seq) = (Instant::now(), 0);
        let stopped = loop {
            seq += 1;
            match health.failed(FailedAttempt { number: u64::from(seq), ..first_of(seq, &failed) }) {
                Advice::Hold { pause: Some(pause) } => {
                    assert!(pause.length <= Duration::from_secs(5));
                    tokio::time::advance(pause.length).await;
                }
                Advice::Stop(reason) => break reason,
                other => assert_eq!(other, Advice::Retry),
            }
        };
        assert_eq!(start.elapsed(), Duration::from_mins(1));
        assert_eq!(matches!(stopped, StopReason::Failing(_)), connects, "{stopped:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_sku_is_waited_for_too() {
    let (health, failed) = (Health::new(8, Duration::from_mins(1)), fault(Cause::Connect));
    let last = FailedAttempt { failures: 5, is_last: true, ..first_of(0, &failed) };
    assert!(held(&health.failed(last)).is_some());
}

#[tokio::test(start_paused = true)]
async fn load_explains_what_several_skus_get_while_others_come() {
    let (health, failed) = (new(64), fault(Cause::Status(503)));
    let mut advised = Vec::new();
    for seq in 0..12 {
        advised.push(health.failed(first_of(seq, &failed)));
        come(&health);
    }
    assert_eq!(advised[..3], [Advice::Retry, Advice::Retry, Advice::Retry]);
    assert!(advised[3..].iter().all(|advice| *advice == Advice::Strained), "{advised:?}");
    let again = FailedAttempt { failed_before: Some(Instant::now()), ..first_of(3, &failed) };
    assert_eq!(health.failed(again), Advice::MayBeStrained { is_refused: false }, "nothing came since");
    let timeout = fault(Cause::Timeout);
    assert_eq!(health.failed(first_of(20, &timeout)), Advice::Retry, "a timeout is charged");
}

#[tokio::test(start_paused = true)]
async fn what_a_limiter_may_answer_is_no_outage_until_nothing_came_for_a_while() {
    for (cause, is_held) in [(Cause::Status(503), false), (Cause::Status(505), true)] {
        let (health, failed) = (new(64), fault(cause));
        come(&health);
        tokio::time::advance(Duration::from_millis(1)).await;
        let now = Instant::now();
        let advised: Vec<_> = (0..200).map(|seq| health.failed(first_of(seq, &failed))).collect();
        assert_eq!(advised.iter().any(|advice| matches!(advice, Advice::Hold { .. })), is_held, "{cause:?}");
        if is_held {
            continue;
        }
        assert_eq!(advised.last(), Some(&Advice::Strained));
        let again = FailedAttempt {
            failures: 9,
            is_first: false,
            failed_before: Some(now),
            is_last: true,
            by_load: 1.0,
            ..first_of(3, &failed)
        };
        assert_eq!(health.failed(again), Advice::MayBeStrained { is_refused: true });
        let alone = FailedAttempt { first_failed: now - Duration::from_secs(1), ..again };
        assert_eq!(health.failed(alone), Advice::MayBeStrained { is_refused: false }, "others came since");
        tokio::time::advance(SERVING).await;
        let pause = Some(OutagePause { length: LIMIT_PAUSES[0], asks_known: false });
        assert_eq!(health.failed(first_of(200, &failed)), Advice::Hold { pause });
    }
}

#[tokio::test(start_paused = true)]
async fn how_many_skus_fail_is_counted_when_it_may_first_be_an_outage() {
    for (at_first, asks_known) in [(12, true), (30, false)] {
        let (health, failed) = (new(64), fault(Cause::Status(503)));
        come(&health);
        // A limiter may be what answers so, so that they go on to fail until nothing came for a while.
        (0..36).for_each(|attempt| _ = health.failed(first_of(attempt % at_first, &failed)));
        (100..128).for_each(|seq| _ = health.failed(first_of(seq, &failed)));
        tokio::time::advance(SERVING).await;
        let pause = Some(OutagePause { length: LIMIT_PAUSES[0], asks_known });
        assert_eq!(health.failed(first_of(200, &failed)), Advice::Hold { pause }, "{at_first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sku_that_failed_beside_many_others_may_fail_once_beside_few() {
    let (health, failed) = (new(64), fault(Cause::Status(503)));
    let first = first_of(0, &failed);
    (0..40).for_each(|seq| drop(health.failed(first_of(seq, &failed))));
    come(&health);
    let by_load = health.share_by_load().powi(4);
    for seq in 40..104 {
        tokio::time::advance(Duration::from_millis(10)).await;
        if seq % 16 == 0 {
            let _ = health.failed(first_of(seq, &failed));
        }
        come(&health);
    }
    let left = Instant::now();
    let fifth = FailedAttempt { failures: 5, left, is_first: false, is_last: true, by_load, ..first };
    assert_eq!(health.failed(fifth), Advice::Strained);
    let beside_few = FailedAttempt { by_load: health.share_by_load().powi(4), ..fifth };
    assert_eq!(health.failed(beside_few), Advice::Retry, "and it fails");
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_bounded_share_of_all_requests_and_then_the_run_stops() {
    let health = new(1);
    let failed = fault(Cause::Timeout);
    let (mut retries, mut requests, mut pauses) = (0u64, 0u64, Vec::new());
    for seq in 0.. {
        requests += 1;
        // Every other SKU fails once and would be fetched by a retry.
        if seq % 2 == 0 {
            come(&health);
            continue;
        }
        match health.failed(first_of(seq, &failed)) {
            Advice::Retry | Advice::Strained | Advice::MayBeStrained { .. } => {
                health.retried();
                retries += 1;
            }
            Advice::Hold { pause } => {
                pauses.push(pause.unwrap().length.as_secs());
                tokio::time::advance(pause.unwrap().length).await;
            }
            Advice::Stop(_) => break,
        }
        requests += 1;
        come(&health);
        let share = (requests * RETRY_SHARE / 100).max(RETRY_FLOOR);
        assert!(retries <= share + RETRY_GRANT * pauses.len() as u64, "{retries} of {requests}");
    }
    assert_eq!(pauses, [5, 10, 20]);
}
