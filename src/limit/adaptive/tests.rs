//! What the controller never does, whatever it sees.

use proptest::prelude::*;

use super::*;

fn sample(signal: LoadSignal, level: usize) -> AttemptSample {
    AttemptSample {
        signal,
        level,
        limit: level,
        full: true,
        ramp: usize::MAX,
        number: u64::MAX,
        departures: 0,
        paused: false,
    }
}

const GOOD: LoadSignal = LoadSignal::Good { latency: Duration::from_millis(50) };

#[test]
fn answers_that_cost_nothing_and_faults_say_nothing() {
    let mut adaptive = Adaptive::new(64);
    for signal in [LoadSignal::Cheap, LoadSignal::Fault] {
        for _ in 0..10_000 {
            assert_eq!(adaptive.observe(&sample(signal, 8), || unreachable!()), None);
        }
    }
}

#[test]
fn a_rate_below_the_limit_leaves_it_where_it_is() {
    let mut adaptive = Adaptive::new(64);
    for number in 0..10_000 {
        let ended = AttemptSample { full: false, number, departures: number + 1, ..sample(GOOD, 2) };
        assert_eq!(adaptive.observe(&ended, || unreachable!()), None);
    }
}

#[test]
fn the_start_reaches_the_ceiling_in_three_rounds() {
    let mut adaptive = Adaptive::new(64);
    let mut departures = 0;
    for _ in 0..3 {
        let level = adaptive.limit();
        for _ in 0..level {
            departures += 1;
            let ended = AttemptSample { number: departures, departures, ..sample(GOOD, level) };
            let _ = adaptive.observe(&ended, || Duration::from_secs(1));
        }
    }
    assert_eq!(adaptive.limit(), 64);
}

#[test]
fn what_is_refused_while_the_pool_grows_after_a_pause_halves_what_was_reached() {
    let refused = LoadSignal::Overload { latency: Duration::from_millis(5) };
    for (ramp, limit) in [(usize::MAX, 150), (60, 30), (20, 20)] {
        let mut adaptive = Adaptive::held_at(49, 300);
        adaptive.raise(300, 0, Duration::ZERO);
        let mut adaptive = Adaptive { proven: 10, ..adaptive };
        for level in 21..24 {
            let ended = AttemptSample { ramp, ..sample(refused, level) };
            let _ = adaptive.observe(&ended, || Duration::from_secs(1));
        }
        assert_eq!(adaptive.limit(), limit, "{ramp}");
    }
}

#[test]
fn a_number_that_is_raised_again_is_not_proven() {
    let refused = LoadSignal::Overload { latency: Duration::from_millis(5) };
    let mut adaptive = Adaptive::held_at(10, 64);
    adaptive.raise(64, 0, Duration::ZERO);
    assert_eq!(adaptive.limit(), 64);
    for _ in 0..3 {
        let _ = adaptive.observe(&sample(refused, 40), || Duration::from_secs(1));
    }
    assert_eq!(adaptive.limit(), 39, "two refusals may be chance");
}

#[test]
fn a_number_that_an_outage_lowered_grows_by_half_and_one_that_a_cap_lowered_by_one() {
    for (is_outage, grown) in [(true, 30), (false, 21)] {
        let mut adaptive = Adaptive::held_at(300, 300);
        if is_outage {
            adaptive.lower_for_outage(20, 0, Duration::ZERO);
        } else {
            adaptive.cap(20, 0, Duration::ZERO);
        }
        let mut most = 20;
        for departures in 1..70 {
            let ended = AttemptSample { number: departures, departures, ..sample(GOOD, adaptive.limit()) };
            let _ = adaptive.observe(&ended, || Duration::from_secs(20));
            most = most.max(adaptive.limit());
        }
        assert_eq!(most, grown, "{is_outage}");
    }
}

#[test]
fn one_pause_is_one_step_back_however_many_were_refused_in_it() {
    let mut adaptive = Adaptive::new(64);
    let refused = LoadSignal::Overload { latency: Duration::from_millis(5) };
    let steps = (0..8).filter(|number| {
        let ended = AttemptSample { number: *number, departures: 8, paused: true, ..sample(refused, 8) };
        adaptive.observe(&ended, || Duration::from_secs(1)).is_some()
    });
    assert_eq!(steps.count(), 1);
    assert_eq!(adaptive.limit(), 5);
}

proptest! {
    #[test]
    fn it_never_says_less_than_one_or_more_than_the_ceiling(
        max in 1_usize..300,
        steps in prop::collection::vec((0_u8..10, 1_usize..400, 0_u64..3_000, any::<bool>(), any::<bool>()), 0..3_000),
    ) {
        let mut adaptive = Adaptive::new(max);
        let mut now = 0;
        for (number, (kind, level, millis, full, paused)) in steps.into_iter().enumerate() {
            let latency = Duration::from_millis(if kind == 5 { 0 } else { millis });
            let signal = match kind {
                0 => LoadSignal::Overload { latency },
                1 => LoadSignal::Cheap,
                2 => LoadSignal::Fault,
                _ => LoadSignal::Good { latency },
            };
            now += millis;
            let number = number as u64;
            let ended = AttemptSample { signal, level, limit: level, full, ramp: if paused { level } else { usize::MAX }, number, departures: number + 1, paused: paused && kind == 0 };
            let decision = adaptive.observe(&ended, || Duration::from_millis(now));
            prop_assert!((1..=max).contains(&adaptive.limit()));
            if let Some(decision) = decision {
                prop_assert_eq!(decision.limit, adaptive.limit());
            }
        }
    }
}
