//! The gate's promises, on a paused clock.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::num::{NonZeroU32, NonZeroUsize};
use std::rc::Rc;
use std::time::SystemTime;

use proptest::prelude::*;
use tokio::task::{JoinSet, LocalSet, yield_now};
use tokio::time::{sleep, timeout};

use super::super::Concurrency;
use super::super::pool::{Pool, TurnStep};
use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn fixed(most: usize) -> PaceSettings {
    PaceSettings { concurrency: Concurrency::Fixed(NonZeroUsize::new(most).unwrap()), ..Default::default() }
}

fn rated(most: usize, rate: &str, burst: u32) -> PaceSettings {
    PaceSettings { rate: Some(rate.parse().unwrap()), burst: NonZeroU32::new(burst).unwrap(), ..fixed(most) }
}

const RETRY_AFTER: PauseReason = PauseReason::Refused { status: 429, has_retry_after: true };
const GOOD: LoadSignal = LoadSignal::Good { latency: Duration::from_millis(5) };
const REFUSED: LoadSignal = LoadSignal::Refused { status: 429, asked: None, latency: Duration::ZERO };
const OVERLOAD: LoadSignal = LoadSignal::Overload { latency: Duration::from_millis(5) };

/// Lets every task that can run do so, without moving the clock.
async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

/// Polls once.
async fn pending<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())).await
}

#[test]
fn gate_and_permit_may_travel_between_threads() {
    fn check<T: Send + Sync>(_: &T) {}
    fn check_send<T: Send>(_: &T) {}
    let gate = Gate::new(&fixed(1));
    check(&gate);
    check_send(&gate.admit());
    let permit = gate.shared.lock().leave_at_once().map(|departure| Permit {
        keys: NonZeroU32::MIN,
        shared: Arc::clone(&gate.shared),
        departure,
        finished: false,
    });
    check(&permit);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_raised_lets_those_in_line_leave_and_keeps_the_rate() {
    let gate = Gate::new(&rated(1, "10/s", 1));
    let held = gate.admit().await;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let gate = gate.clone();
        tasks.spawn(async move { gate.admit().await });
    }
    sleep(ms(1_000)).await;
    assert_eq!((gate.view().in_flight, gate.view().waiting), (1, 4));
    let raised = Instant::now();
    gate.resize(NonZeroUsize::new(4).unwrap(), LimitChangeReason::NextRung);
    let permits: Vec<_> = [tasks.join_next().await, tasks.join_next().await, tasks.join_next().await].into();
    // The first leaves at once, on the token that was saved; each of the others waits for its own.
    assert!(raised.elapsed() >= ms(190), "{:?}", raised.elapsed());
    assert_eq!((gate.view().in_flight, gate.view().waiting), (4, 1));
    assert_eq!(
        gate.take_events(),
        [GateEvent::LimitChanged { limit: 4, reason: LimitChangeReason::NextRung }]
    );
    drop((held, permits));
    assert!(tasks.join_next().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_comes_first_leaves_first() {
    let gate = Gate::new(&fixed(3));
    let order = Rc::new(RefCell::new(Vec::new()));
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut tasks = JoinSet::new();
            for id in 0..200_u64 {
                let (gate, order) = (gate.clone(), Rc::clone(&order));
                tasks.spawn_local(async move {
                    let permit = gate.admit().await;
                    order.borrow_mut().push(id);
                    sleep(ms(id * 7 % 11)).await;
                    permit.finish(GOOD);
                });
            }
            tasks.join_all().await;
        })
        .await;
    assert!(order.borrow().is_sorted());
    assert_eq!(order.borrow().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_overtake_one_that_was_woken_but_has_not_run() {
    let gate = Gate::new(&fixed(1));
    let first = gate.admit().await;
    let mut second = Box::pin(gate.admit());
    assert!(pending(&mut second).await);
    drop(first);
    let mut third = Box::pin(gate.admit());
    assert!(pending(&mut third).await);
    let second = second.await;
    assert!(pending(&mut third).await);
    drop(second);
    third.await.finish(GOOD);
    assert_eq!(gate.view().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn giving_up_at_any_point_loses_no_slot_and_no_turn() {
    let gate = Gate::new(&rated(1, "100/s", 1));
    let held = gate.admit().await;
    let mut parked = Box::pin(gate.admit());
    let mut behind = Box::pin(gate.admit());
    assert!(pending(&mut parked).await && pending(&mut behind).await);
    // Woken for the slot, but dropped before it runs.
    drop(held);
    drop(parked);
    assert!(pending(&mut behind).await, "it sleeps on the rate now");
    let mut last = Box::pin(gate.admit());
    assert!(pending(&mut last).await);
    // Dropped while it sleeps on the rate.
    drop(behind);
    let permit = timeout(ms(30), last).await.expect("the next one takes the turn");
    gate.pause(Instant::now() + ms(500), RETRY_AFTER);
    drop(permit);
    let mut paused = Box::pin(gate.admit());
    assert!(pending(&mut paused).await);
    let mut next = Box::pin(gate.admit());
    assert!(pending(&mut next).await);
    // Dropped during the pause.
    drop(paused);
    let probe = timeout(ms(600), next).await.expect("the next one becomes the probe");
    assert!(probe.is_probe());
    // Dropped while it waits for the probe; then the probe itself is dropped.
    let mut waits = Box::pin(gate.admit());
    assert!(pending(&mut waits).await);
    drop(waits);
    let mut next = Box::pin(gate.admit());
    assert!(pending(&mut next).await);
    drop(probe);
    assert!(timeout(ms(50), next).await.expect("another probe").is_probe());
    let view = gate.view();
    assert_eq!((view.in_flight, view.waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_leaves_during_a_pause_then_one_probe_then_growth() {
    let gate = Gate::new(&fixed(32));
    let left = Rc::new(RefCell::new(Vec::new()));
    let start = Instant::now();
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut tasks = JoinSet::new();
            for id in 0..400 {
                let (gate, left) = (gate.clone(), Rc::clone(&left));
                tasks.spawn_local(async move {
                    let permit = gate.admit().await;
                    left.borrow_mut().push((start.elapsed().as_millis(), permit.is_probe()));
                    sleep(ms(100)).await;
                    if id == 7 {
                        assert!(gate.pause(Instant::now() + ms(2_000), RETRY_AFTER));
                        permit.finish(OVERLOAD);
                    } else {
                        permit.finish(LoadSignal::Good { latency: ms(100) });
                    }
                });
            }
            tasks.join_all().await;
        })
        .await;
    let left = left.borrow();
    let at = |from: u128, to: u128| left.iter().filter(|(at, _)| (from..to).contains(at)).count();
    let before = at(0, 101);
    assert!((32..=40).contains(&before), "{before}");
    assert_eq!(at(101, 2_100), 0, "a request left during the pause");
    assert_eq!(left.iter().filter(|(_, probe)| *probe).count(), 1);
    let rounds: Vec<_> = (0..6).map(|n| at(2_100 + 100 * n, 2_200 + 100 * n)).collect();
    assert_eq!(rounds[..3], [1, 4, 16]);
    assert!(rounds[3..].iter().all(|left| (29..=34).contains(left)), "{rounds:?}");
    // 32 in 100 ms, 1.2 times as dense at most, and two ticks of a timer.
    let densest = (2_100..2_700).map(|from| at(from, from + 10)).max();
    assert!(densest <= Some(5), "{densest:?}");
    let changes = gate.take_events();
    assert!(matches!(changes[..], [GateEvent::Paused { reason: RETRY_AFTER, .. }, GateEvent::Resumed]));
    assert_eq!(gate.shared.lock().pool.slots.peak(), 32);
}

#[tokio::test(start_paused = true)]
async fn answers_under_way_make_a_pause_longer_but_never_lift_it() {
    let gate = Gate::new(&fixed(4));
    let start = Instant::now();
    let (a, b, c) = (gate.admit().await, gate.admit().await, gate.admit().await);
    assert!(gate.pause(start + ms(1_000), RETRY_AFTER));
    assert!(!gate.pause(start + ms(400), RETRY_AFTER));
    a.finish(GOOD);
    let mut waits = Box::pin(gate.admit());
    assert!(pending(&mut waits).await);
    sleep(ms(900)).await;
    assert!(gate.pause(start + ms(1_500), RETRY_AFTER));
    b.finish(GOOD);
    let probe = waits.await;
    assert_eq!(start.elapsed(), ms(1_500));
    // An old answer that says "wait" while the probe is under way.
    assert!(gate.pause(start + ms(4_000), RETRY_AFTER));
    c.finish(GOOD);
    probe.finish(GOOD);
    let probe = gate.admit().await;
    assert_eq!(start.elapsed(), ms(4_000));
    assert!(probe.is_probe());
    probe.finish(LoadSignal::Cheap);
    assert!(!gate.admit().await.is_probe());
    assert!(matches!(gate.take_events()[..], [GateEvent::Paused { .. }, GateEvent::Resumed]));
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_a_probe_sees_the_pause_that_replaces_it() {
    let gate = Gate::new(&fixed(8));
    let start = Instant::now();
    let old = gate.admit().await;
    gate.pause(start + ms(100), RETRY_AFTER);
    let probe = gate.admit().await;
    let waits = tokio::spawn({
        let gate = gate.clone();
        async move { gate.admit().await }
    });
    settle().await;
    gate.pause(start + ms(700), RETRY_AFTER);
    let next = timeout(ms(5_000), waits).await.expect("it waits for a probe that is none any more").unwrap();
    assert_eq!(start.elapsed(), ms(700));
    assert!(next.is_probe());
    drop((old, probe, next));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused_is_followed_by_a_pause_of_its_own() {
    let gate = Gate::new(&fixed(8));
    let start = Instant::now();
    gate.pause(start + ms(100), RETRY_AFTER);
    let mut at = Vec::new();
    for signal in [OVERLOAD, LoadSignal::Fault, OVERLOAD, GOOD] {
        let probe = gate.admit().await;
        assert!(probe.is_probe());
        at.push(start.elapsed().as_millis());
        probe.finish(signal);
    }
    assert_eq!(at, [100, 1_100, 3_100, 7_100]);
    assert_eq!(gate.view().paused_until, None);
}

#[test]
fn what_keeps_its_distance_is_waited_for_exactly_and_the_rest_with_the_ticks_of_a_timer() {
    let exactly = |settings: &PaceSettings, ends: &[LoadSignal]| {
        let (mut now, one) = (Instant::now(), NonZeroU32::MIN);
        let mut pool = Pool::new(settings, now);
        let mut was_exact = false;
        for signal in ends.iter().copied().cycle().take(20) {
            let departure = loop {
                match pool.step(None, one, now) {
                    TurnStep::Go(departure) => break departure,
                    TurnStep::Sleep(until) => (now, was_exact) = (until, false),
                    TurnStep::SleepExactly(until) => (now, was_exact) = (until, true),
                    TurnStep::Park => unreachable!("nothing is in flight"),
                }
            };
            pool.end(departure, Some(signal), || now, || SystemTime::UNIX_EPOCH);
        }
        was_exact
    };
    let given = rated(4, "100/s", 1);
    assert!(!exactly(&given, &[GOOD]), "late timers are caught up on");
    assert!(!exactly(&rated(4, "100/s", 5), &[GOOD, GOOD, GOOD, LoadSignal::Lone503]), "a burst is allowed");
    assert!(exactly(&given, &[GOOD, GOOD, GOOD, LoadSignal::Lone503]));
    assert!(exactly(&fixed(4), &[REFUSED, GOOD, GOOD]), "at the rate that was learnt");
}

#[test]
fn an_outage_before_many_came_lowers_the_number_in_flight_and_one_after_that_does_not() {
    let take = |pool: &mut Pool, now| match pool.step(None, NonZeroU32::MIN, now) {
        TurnStep::Go(departure) => departure,
        step => panic!("{step:?}"),
    };
    let of_300 = [(300, 0, 8), (300, 10, 10), (300, 599, 150), (300, 600, 300)];
    // So few are not too many.
    let of_few = [(12, 0, 8), (8, 0, 8), (2, 0, 2)];
    for (most, accepted, limit) in of_300.into_iter().chain(of_few) {
        let now = Instant::now();
        let mut pool = Pool::new(&fixed(most), now);
        let end = |pool: &mut Pool, departure, signal| {
            pool.end(departure, Some(signal), || now, || SystemTime::UNIX_EPOCH);
        };
        for _ in 0..accepted {
            let departure = take(&mut pool, now);
            end(&mut pool, departure, GOOD);
        }
        let crowd: Vec<_> = (0..most).map(|_| take(&mut pool, now)).collect();
        let until = now + ms(500);
        pool.pause(now, until, PauseReason::Outage);
        for departure in crowd {
            end(&mut pool, departure, LoadSignal::Lone503);
        }
        assert_eq!(pool.slots.limit(), limit, "{accepted} of {most}");
        let probe = take(&mut pool, until);
        pool.end(probe, Some(GOOD), || until, || SystemTime::UNIX_EPOCH);
        assert_eq!(pool.slots.limit(), limit, "{accepted} of {most}, after the probe");
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_in_an_outage_takes_no_place_of_the_lower_number() {
    let gate = Gate::new(&fixed(64));
    let mut hanging = Vec::new();
    for _ in 0..20 {
        hanging.push(gate.admit().await);
    }
    assert!(gate.pause(Instant::now() + ms(5000), PauseReason::Outage));
    let start = Instant::now();
    let probe = timeout(ms(6000), gate.admit()).await.expect("the probe has room");
    assert_eq!((start.elapsed(), gate.view().limit), (ms(5000), 28));
    probe.finish(GOOD);
    for _ in 0..8 {
        timeout(ms(1000), gate.admit()).await.expect("so have those after it").finish(GOOD);
    }
    drop(hanging);
}

#[tokio::test(start_paused = true)]
async fn a_resend_keeps_its_slot_takes_a_rate_token_and_waits_out_a_pause() {
    let gate = Gate::new(&rated(1, "10/s", 1));
    let start = Instant::now();
    let mut permit = gate.admit().await;
    let mut behind = Box::pin(gate.admit());
    assert!(pending(&mut behind).await);
    permit.resend().await;
    // 10/s, a little below it, in the ticks of a timer.
    assert_eq!(start.elapsed(), ms(101));
    assert_eq!(gate.view().in_flight, 1);
    gate.pause(start + ms(1_000), RETRY_AFTER);
    let mut given_up = Box::pin(permit.resend());
    assert!(pending(&mut given_up).await);
    drop(given_up);
    permit.resend().await;
    assert_eq!(start.elapsed(), ms(1_000));
    assert!(permit.is_probe());
    // The probe itself may be sent again, though everybody waits for it.
    permit.resend().await;
    assert_eq!(start.elapsed(), ms(1_101));
    assert!(permit.is_probe());
    permit.finish(GOOD);
    behind.await.finish(GOOD);
    assert_eq!(start.elapsed(), ms(1_202));
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_sent_again_although_other_holders_wait_for_it() {
    let gate = Gate::new(&fixed(4));
    let mut old = gate.admit().await;
    gate.pause(Instant::now() + ms(100), RETRY_AFTER);
    let mut probe = gate.admit().await;
    let mut other = Box::pin(old.resend());
    assert!(pending(&mut other).await);
    timeout(ms(1), probe.resend()).await.expect("the probe stands in no line");
    probe.finish(GOOD);
    timeout(ms(1), other).await.expect("the pool is open");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiters_reach_the_rate_and_only_the_head_is_ever_polled() {
    let gate = Gate::new(&rated(64, "5000/s", 1));
    let polls = Rc::new(Cell::new(0_u64));
    let left = Rc::new(RefCell::new(Vec::new()));
    let start = Instant::now();
    let local = LocalSet::new();
    local
        .run_until(async {
            let mut tasks = JoinSet::new();
            for _ in 0..1_000 {
                let (gate, left, polls) = (gate.clone(), Rc::clone(&left), Rc::clone(&polls));
                tasks.spawn_local(async move {
                    for _ in 0..25 {
                        let mut admit = Box::pin(gate.admit());
                        let permit = poll_fn(|context| {
                            polls.set(polls.get() + 1);
                            admit.as_mut().poll(context)
                        })
                        .await;
                        left.borrow_mut().push(start.elapsed());
                        sleep(ms(3)).await;
                        permit.finish(GOOD);
                    }
                });
            }
            tasks.join_all().await;
        })
        .await;
    let left = left.borrow();
    let seconds = left.last().unwrap().as_secs_f64();
    assert!(left.len() as f64 / seconds >= 4_950.0, "{} in {seconds} s", left.len());
    assert!(polls.get() < 25_000 * 4, "{} polls", polls.get());
    for (index, at) in left.iter().enumerate() {
        let most = 5_000.0 * (at.as_secs_f64() + 0.010) + 1.0;
        assert!((index + 1) as f64 <= most, "departure {index} at {at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_gave_up_waiting_for_the_rate_leaves_no_credit_behind() {
    let gate = Gate::new(&rated(64, "1000/s", 1));
    gate.admit().await.finish(GOOD);
    let mut gives_up = Box::pin(gate.admit());
    assert!(pending(&mut gives_up).await);
    drop(gives_up);
    sleep(ms(500)).await;
    gate.admit().await.finish(GOOD);
    assert!(pending(&mut Box::pin(gate.admit())).await);
}

#[tokio::test(start_paused = true)]
async fn a_pause_earns_no_more_than_the_burst() {
    let gate = Gate::new(&rated(64, "1000/s", 3));
    let start = Instant::now();
    let left = Rc::new(RefCell::new(Vec::new()));
    let local = LocalSet::new();
    local
        .run_until(async {
            for _ in 0..3 {
                gate.admit().await.finish(GOOD);
            }
            // The head sleeps on the rate when the pause comes.
            let sleeps = tokio::task::spawn_local({
                let gate = gate.clone();
                async move { gate.admit().await.finish(GOOD) }
            });
            settle().await;
            gate.pause(start + ms(5_000), RETRY_AFTER);
            let mut tasks = JoinSet::new();
            for _ in 0..400 {
                let (gate, left) = (gate.clone(), Rc::clone(&left));
                tasks.spawn_local(async move {
                    let permit = gate.admit().await;
                    left.borrow_mut().push(start.elapsed());
                    permit.finish(LoadSignal::Cheap);
                });
            }
            tasks.join_all().await;
            sleeps.await.unwrap();
        })
        .await;
    let left = left.borrow();
    assert!(left[0] >= ms(5_000));
    let soon = left.iter().filter(|at| **at < ms(5_001)).count();
    assert!(soon <= 3, "{soon} left at once");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_runs_out_slows_the_pool_before_it_is_refused() {
    let gate = Gate::new(&fixed(8));
    let start = Instant::now();
    let (mut window, mut taken, mut refused) = (0, 0_u64, 0);
    for _ in 0..250 {
        let permit = gate.admit().await;
        sleep(ms(10)).await;
        // The server: 100 in each window of 4 s.
        let now = start.elapsed().as_millis() / 4_000;
        if now != window {
            (window, taken) = (now, 0);
        }
        taken += 1;
        refused += u32::from(taken > 100);
        let reset = start + ms(4_000 * (u64::try_from(window).unwrap() + 1));
        permit.report_quota(100_u64.saturating_sub(taken), reset);
        permit.finish(GOOD);
    }
    assert_eq!(refused, 0);
    assert!(start.elapsed() < ms(10_000), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_reset_too_late_is_not_waited_for() {
    let gate = Gate::new(&fixed(8));
    let permit = gate.admit().await;
    permit.report_quota(0, Instant::now() + Duration::from_hours(1));
    timeout(ms(1), gate.admit()).await.expect("no pause").finish(GOOD);
    assert!(gate.accepts_pause(Duration::from_mins(5)) && !gate.accepts_pause(Duration::from_mins(6)));
    permit.finish(GOOD);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_sent_again_do_not_wait_for_one_another_where_a_quota_is_used_up() {
    let gate = Gate::new(&fixed(8));
    let start = Instant::now();
    let (mut one, mut other) = (gate.admit().await, gate.admit().await);
    other.report_quota(0, start + ms(5_000));
    // Both were redirected: each holds its slot until it is answered.
    timeout(ms(60_000), one.resend()).await.expect("the only ones in flight are those that wait");
    assert_eq!(start.elapsed(), ms(5_000));
    one.finish(GOOD);
    timeout(ms(60_000), other.resend()).await.expect("after the probe");
    other.finish(GOOD);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_sent_again_beyond_a_learnt_window_does_not_wait_for_itself() {
    let gate = Gate::new(&fixed(4));
    let refused = |asked| LoadSignal::Refused { status: 429, asked, latency: ms(5) };
    for _ in 0..6 {
        gate.admit().await.finish(GOOD);
    }
    // A window of six in ten seconds, of which one more is tried in the third.
    gate.admit().await.finish(refused(Some(ms(10_000))));
    for _ in 0..40 {
        let mut permit = timeout(ms(60_000), gate.admit()).await.expect("a turn");
        sleep(ms(20)).await;
        timeout(ms(60_000), permit.resend()).await.expect("its own slot is all that is taken");
        permit.finish(GOOD);
    }
}

fn auto(max: usize) -> PaceSettings {
    PaceSettings {
        concurrency: Concurrency::Auto { max: NonZeroUsize::new(max).unwrap() },
        ..Default::default()
    }
}

/// Asks `jobs` times of a server that works on `capacity` at a time, 50 ms each, with 300 in line at
/// the gate. Returns the time it took.
async fn fetch_all(gate: &Gate, jobs: usize, capacity: usize) -> Duration {
    let start = Instant::now();
    let server = Rc::new(tokio::sync::Semaphore::new(capacity));
    let left = Rc::new(Cell::new(jobs));
    LocalSet::new()
        .run_until(async {
            let mut tasks = JoinSet::new();
            for _ in 0..300 {
                let (gate, server, left) = (gate.clone(), Rc::clone(&server), Rc::clone(&left));
                tasks.spawn_local(async move {
                    while left.get() > 0 {
                        left.set(left.get() - 1);
                        let permit = gate.admit().await;
                        let sent = Instant::now();
                        let worked_on = server.acquire().await.unwrap();
                        sleep(ms(50)).await;
                        drop(worked_on);
                        permit.finish(LoadSignal::Good { latency: sent.elapsed() });
                    }
                });
            }
            tasks.join_all().await;
        })
        .await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn auto_finds_what_the_server_can_do_within_its_ceiling() {
    for (capacity, max) in [(5, 256), (20, 256), (100, 256), (1_000, 64), (3, 2)] {
        let gate = Gate::new(&auto(max));
        let took = fetch_all(&gate, 6_000, capacity).await.as_secs_f64();
        let best = 6_000.0 * 0.050 / capacity.min(max) as f64;
        assert!(took < best * 1.10, "capacity {capacity}: {took} s, best {best} s");
        assert!(gate.shared.lock().pool.slots.peak() <= max);
        let settled = gate.view().limit;
        assert!(settled <= capacity * 5, "capacity {capacity}: settled at {settled}");
        assert!(
            max < 8
                || gate.take_events().iter().any(|change| matches!(change, GateEvent::LimitChanged { .. }))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_below_what_the_pool_could_do_leaves_auto_where_it_is() {
    let gate = Gate::new(&PaceSettings { rate: Some("60/s".parse().unwrap()), ..auto(64) });
    let took = fetch_all(&gate, 1_200, 1_000).await.as_secs_f64();
    assert!((19.9..20.2).contains(&took), "{took}");
    assert_eq!(gate.view().limit, 8);
    assert!(gate.take_events().is_empty());
}

/// What one of a crowd does.
#[derive(Debug, Clone)]
struct Plan {
    come: u64,
    patience: Option<u64>,
    hold: u64,
    end: u8,
}

fn plan() -> impl Strategy<Value = Plan> {
    (0_u64..200, prop::option::weighted(0.3, 0_u64..300), 0_u64..60, 0_u8..12)
        .prop_map(|(come, patience, hold, end)| Plan { come, patience, hold, end })
}

/// What the crowd checks at each departure.
struct Watch {
    gate: Gate,
    most: usize,
    in_flight: Cell<usize>,
    until: Cell<Instant>,
    probe: Cell<bool>,
    left: RefCell<Vec<Instant>>,
}

impl Watch {
    fn left(&self, permit: &Permit) {
        self.in_flight.set(self.in_flight.get() + 1);
        assert!(self.in_flight.get() <= self.most, "over the bound");
        assert!(Instant::now() >= self.until.get(), "left during the pause");
        assert!(!self.probe.get(), "left beside the probe");
        self.probe.set(permit.is_probe());
        self.left.borrow_mut().push(Instant::now());
    }

    fn pause(&self, wait: u64) {
        let until = Instant::now() + ms(wait);
        if self.gate.pause(until, RETRY_AFTER) {
            assert!(until > self.until.get());
            self.until.set(until);
            self.probe.set(false);
        }
    }

    async fn follow(&self, plan: Plan) {
        sleep(ms(plan.come)).await;
        let admit = self.gate.admit();
        let permit = match plan.patience {
            Some(patience) => match timeout(ms(patience), admit).await {
                Ok(permit) => permit,
                Err(_) => return,
            },
            None => admit.await,
        };
        self.left(&permit);
        sleep(ms(plan.hold)).await;
        self.in_flight.set(self.in_flight.get() - 1);
        let own = permit.is_probe() && self.probe.get();
        if plan.end == 0 {
            self.pause(plan.hold * 5);
        }
        if own {
            self.probe.set(false);
        }
        match plan.end {
            0 | 1 => permit.finish(OVERLOAD),
            2 => drop(permit),
            3 => permit.finish(LoadSignal::Fault),
            4 => permit.finish(LoadSignal::Cheap),
            _ => permit.finish(GOOD),
        }
        if let Some(until) = self.gate.view().paused_until {
            self.until.set(until.max(self.until.get()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_a_crowd_does_the_gate_keeps_its_promises(
        most in 1_usize..6,
        rate in prop::option::of((20_u32..2_000, 1_u32..4)),
        plans in prop::collection::vec(plan(), 1..80),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let settings = match rate {
            Some((rate, burst)) => rated(most, &format!("{rate}/s"), burst),
            None => fixed(most),
        };
        LocalSet::new().block_on(&runtime, async {
            let gate = Gate::new(&settings);
            let watch = Rc::new(Watch {
                gate: gate.clone(),
                most,
                in_flight: Cell::new(0),
                until: Cell::new(Instant::now()),
                probe: Cell::new(false),
                left: RefCell::default(),
            });
            let mut tasks = JoinSet::new();
            for plan in plans {
                let watch = Rc::clone(&watch);
                tasks.spawn_local(async move { watch.follow(plan).await });
            }
            timeout(Duration::from_hours(1), tasks.join_all()).await.expect("somebody was forgotten");
            settle().await;
            let view = gate.view();
            assert_eq!((view.in_flight, view.waiting), (0, 0));
            if let Some((rate, burst)) = rate {
                let left = watch.left.borrow();
                for (i, from) in left.iter().enumerate() {
                    for (j, to) in left.iter().enumerate().skip(i) {
                        let most = f64::from(rate) * ((*to - *from).as_secs_f64() + 0.010) + f64::from(burst);
                        assert!((j - i + 1) as f64 <= most + 1e-6, "{} in {:?}", j - i + 1, *to - *from);
                    }
                }
            }
        });
    }
}
