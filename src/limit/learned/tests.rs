//! What refusals teach in each kind of cycle. The worlds test whole runs; these test one decision each.

use super::probes::CLOCK_MARGIN;
use super::*;

/// A server and its pool, in milliseconds from the beginning.
struct Scenario {
    learned: LearnedLimits,
    start: Instant,
    number: u64,
}

impl Scenario {
    fn new() -> Self {
        let start = Instant::now();
        let mut learned = LearnedLimits::default();
        learned.left(|| start);
        Self { learned, start, number: 0 }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn ended(&mut self, level: usize) -> EndedAttempt {
        self.number += 1;
        EndedAttempt {
            level,
            number: self.number,
            departures: self.number + 1,
            was_paced: !self.learned.is_idle(),
            given_rate: None,
            is_probe: false,
            is_old: false,
            is_unclear: false,
        }
    }

    /// So many are accepted, each with this many in flight.
    fn accept(&mut self, count: usize, level: usize, millis: u64) {
        let now = self.at(millis);
        for _ in 0..count {
            let ended = self.ended(level);
            self.learned.left(|| now);
            self.learned.accepted(&ended, || now);
        }
    }

    fn refuse(&mut self, level: usize, asked: Option<u64>, millis: u64) -> Reaction {
        let (ended, now) = (self.ended(level), self.at(millis));
        self.learned.refused(&ended, asked.map(Duration::from_millis), now, whole_minute())
    }

    /// An answer that may be a refusal, or a failure of the server.
    fn fail(&mut self, level: usize, is_probe: bool, millis: u64) -> Reaction {
        let failed = EndedAttempt { is_unclear: true, is_probe, ..self.ended(level) };
        let now = self.at(millis);
        self.learned.refused(&failed, None, now, whole_minute())
    }

    /// The same, where it is not clear yet which.
    fn strain(&mut self, millis: u64) -> StrainVerdict {
        let failed = EndedAttempt { is_unclear: true, was_paced: true, ..self.ended(1) };
        let now = self.at(millis);
        self.learned.strained(&failed, (false, Duration::from_millis(30)), now)
    }

    fn refuse_probe(&mut self, millis: u64) -> u64 {
        let ended = EndedAttempt { is_probe: true, ..self.ended(1) };
        let now = self.at(millis);
        let clock = whole_minute() + Duration::from_millis(millis);
        let until = self.learned.refused(&ended, None, now, clock).pause_until.unwrap();
        u64::try_from((until - self.start).as_millis()).unwrap()
    }

    fn recover(&mut self, millis: u64) -> bool {
        let ended = EndedAttempt { is_probe: true, ..self.ended(1) };
        let now = self.at(millis);
        self.learned.accepted(&ended, || now);
        self.learned.recovered(now, self.number, (now, whole_minute() + Duration::from_secs(20)))
    }

    /// Everything fails, by answers that may be refusals, for so long that it is taken for an outage.
    fn close(&mut self, from: u64, until: u64) {
        let _ = self.strain(from);
        for millis in [from + 5_000, until - 500] {
            let now = self.at(millis);
            self.learned.pause_for_outage(now);
        }
        self.recover(until);
    }

    /// 49 are accepted at once, and everything is refused for 20.35 s.
    fn ban(&mut self, from: u64) {
        self.accept(49, 8, from);
        self.refuse(9, None, from);
        for millis in [500, 1_250, 2_600, 5_150, 10_250] {
            self.refuse_probe(from + millis);
        }
        self.recover(from + 20_350);
    }

    fn rate(&self) -> f64 {
        self.learned.rate.as_ref().map(LearnedRate::per_second).unwrap()
    }
}

/// A whole minute of the clock.
fn whole_minute() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

#[test]
fn more_in_flight_than_was_ever_accepted_is_taken_for_a_cap_and_nothing_else_is_learnt() {
    let mut scenario = Scenario::new();
    scenario.accept(40, 10, 500);
    let reaction = scenario.refuse(11, None, 500);
    assert_eq!(reaction, Reaction { pause_until: Some(scenario.at(1_000)), in_flight: Some(10) });
    assert!(!scenario.recover(1_000));
    assert_eq!(scenario.learned.limit(), None);
    assert!(scenario.learned.is_idle());
}

#[test]
fn a_refusal_at_a_number_that_was_accepted_shows_a_rate() {
    let mut scenario = Scenario::new();
    scenario.accept(40, 10, 500);
    scenario.refuse(11, None, 500);
    scenario.recover(1_000);
    scenario.accept(99, 10, 9_500);
    let reaction = scenario.refuse(10, None, 9_500);
    assert_eq!(reaction.in_flight, None);
    assert!(scenario.recover(10_000), "what was taken for a cap is none");
    // 100 in 9 s, less a little.
    assert!((10.0..11.2).contains(&scenario.rate()), "{}", scenario.rate());
}

#[test]
fn where_all_were_refused_until_a_probe_was_accepted_the_rate_begins_at_one_a_second() {
    let mut scenario = Scenario::new();
    for _ in 0..300 {
        scenario.refuse(300, None, 20_000);
    }
    scenario.refuse_probe(20_500);
    scenario.recover(21_000);
    assert!((0.9..=1.0).contains(&scenario.rate()), "{}", scenario.rate());
}

#[test]
fn a_refused_probe_shows_that_it_is_no_cap() {
    let mut scenario = Scenario::new();
    scenario.accept(4, 3, 100);
    scenario.refuse(4, None, 100);
    assert_eq!(scenario.refuse_probe(600), 1_250);
    assert!(scenario.recover(1_250));
    assert!(scenario.learned.rate.is_some());
}

#[test]
fn probes_come_where_a_window_of_a_usual_length_would_be_over() {
    let mut scenario = Scenario::new();
    scenario.accept(50, 8, 100);
    scenario.refuse(9, None, 100);
    let mut at = vec![600];
    while *at.last().unwrap() < 200_000 {
        let next = scenario.refuse_probe(*at.last().unwrap());
        at.push(next);
    }
    assert_eq!(at, [600, 1_250, 2_600, 5_150, 10_250, 20_350, 30_450, 60_300, 120_300, 180_300, 240_300]);
    assert_eq!(scenario.learned.refused_for(scenario.at(180_000)), Duration::from_millis(179_900));
}

#[test]
fn a_probe_comes_with_the_whole_minute_of_the_clock() {
    let before = whole_minute() + Duration::from_secs(52);
    let now = Instant::now();
    let next = next_probe(now, Duration::from_millis(20_350), 6, before);
    assert_eq!(next - now, Duration::from_secs(8) + CLOCK_MARGIN);
    let next = next_probe(now, Duration::from_millis(10_250), 5, before);
    assert_eq!(
        next - now,
        Duration::from_millis(10_100),
        "a window of ten seconds that a refusal began anew is over"
    );
    let next = next_probe(now, Duration::from_millis(2_600), 3, before);
    assert_eq!(next - now, Duration::from_millis(2_550), "short windows come first");
}

#[test]
fn a_server_that_stays_closed_after_many_at_once_has_a_window() {
    let mut scenario = Scenario::new();
    scenario.accept(50, 8, 100);
    scenario.refuse(9, None, 100);
    for millis in [600, 1_250, 2_600, 5_150] {
        scenario.refuse_probe(millis);
    }
    assert!(scenario.recover(10_250));
    let window = LearnedLimit::Window { capacity: 50, period: Duration::from_secs(10) };
    assert_eq!(scenario.learned.limit(), Some(window));
    scenario.accept(49, 8, 10_400);
    let end = scenario.at(20_300);
    assert_eq!(scenario.learned.advice(scenario.at(10_400)), LearnedAdvice::WindowUsed(end));
}

#[test]
fn less_than_half_of_a_window_shows_that_there_is_none() {
    let mut scenario = Scenario::new();
    scenario.accept(40, 8, 100);
    scenario.refuse(9, Some(2_000), 100);
    scenario.recover(2_100);
    assert!(scenario.learned.window.is_some());
    scenario.accept(3, 8, 2_200);
    scenario.refuse(8, Some(2_000), 2_200);
    scenario.recover(4_200);
    assert!(scenario.learned.window.is_none());
    // 4 in 2.1 s.
    assert!((1.7..2.0).contains(&scenario.rate()), "{}", scenario.rate());
}

#[test]
fn a_window_of_which_more_were_accepted_in_its_middle_was_a_ban_and_none_is_learnt_again() {
    let mut scenario = Scenario::new();
    scenario.ban(100);
    for began in [20_450, 30_800] {
        assert!(scenario.learned.window.is_some());
        scenario.accept(48, 8, began + 100);
        scenario.recover(began + 10_350);
    }
    // In the middle of the third one.
    scenario.accept(48, 8, 41_200);
    scenario.accept(8, 1, 46_400);
    assert!(scenario.learned.window.is_none());
    let rate = scenario.rate();
    assert!(rate > 9.0, "57 in 5.2 s, and not 49 in 10: {rate}");
    scenario.ban(46_500);
    assert!(scenario.learned.window.is_none(), "a ban");
    assert!(scenario.rate() > 49.0 / 20.0, "{}", scenario.rate());
}

#[test]
fn a_ban_that_comes_again_is_waited_for_as_long_as_the_last_one() {
    let mut scenario = Scenario::new();
    scenario.ban(100);
    assert!(scenario.learned.window.is_some());
    scenario.accept(8, 1, 20_500);
    scenario.learned.replace_window(scenario.at(20_500));
    scenario.accept(49, 8, 30_000);
    (0..3).for_each(|_| _ = scenario.refuse(9, None, 30_000));
    // It may be counted from the newest refusal, and otherwise from the first one.
    assert_eq!(scenario.refuse_probe(30_500), 30_500 + 10_100);
    assert_eq!(scenario.refuse_probe(40_600), 30_000 + 20_350);
    assert!(scenario.refuse_probe(50_350) > 50_350 + 2_000, "longer than the last one");
    scenario.recover(80_800);
    scenario.accept(49, 8, 90_000);
    (0..3).for_each(|_| _ = scenario.refuse(9, None, 90_000));
    assert!(scenario.refuse_probe(90_500) < 90_500 + 5_000, "too long to be waited for again");
}

#[test]
fn where_the_server_says_the_wait_one_is_tried_after_a_quarter_of_the_window() {
    let mut scenario = Scenario::new();
    scenario.accept(30, 8, 100);
    scenario.refuse(9, Some(10_000), 100);
    scenario.recover(10_100);
    scenario.accept(29, 8, 10_200);
    let LearnedAdvice::At(instant) = scenario.learned.advice(scenario.at(10_200)) else { panic!("no try") };
    assert!((scenario.at(12_500)..scenario.at(13_000)).contains(&instant));
    // A bucket has earned some by then: it is no window.
    scenario.accept(1, 1, 12_800);
    assert!(scenario.learned.window.is_none() && scenario.rate() > 5.0);
}

#[test]
fn a_refusal_that_comes_alone_lowers_the_rate_and_pauses_nothing() {
    let mut scenario = Scenario::new();
    scenario.accept(40, 10, 500);
    scenario.refuse(11, None, 500);
    scenario.recover(1_000);
    scenario.accept(99, 10, 9_500);
    scenario.refuse(10, None, 9_500);
    scenario.recover(10_000);
    scenario.accept(10, 2, 11_000);
    let before = scenario.rate();
    assert_eq!(scenario.refuse(2, None, 11_000), Reaction::default());
    assert!(scenario.rate() < before);
    // The second and third in a row pause the pool.
    scenario.refuse(2, None, 11_100);
    assert!(scenario.refuse(2, None, 11_200).pause_until.is_some());
}

#[test]
fn one_refusal_among_many_that_left_after_it_teaches_nothing() {
    let mut scenario = Scenario::new();
    scenario.accept(60, 32, 500);
    scenario.refuse(32, Some(1_000), 500);
    for _ in 0..10 {
        let ended = EndedAttempt { is_old: true, ..scenario.ended(32) };
        scenario.learned.accepted(&ended, || unreachable!("nothing is learnt yet"));
    }
    assert!(!scenario.recover(1_500));
    assert!(scenario.learned.is_idle());
}

#[test]
fn refusals_that_were_under_way_only_make_the_pause_longer() {
    let mut scenario = Scenario::new();
    scenario.accept(40, 10, 500);
    scenario.refuse(11, Some(1_000), 500);
    let old = EndedAttempt { is_old: true, ..scenario.ended(10) };
    let now = scenario.at(600);
    let reaction = scenario.learned.refused(&old, Some(Duration::from_secs(3)), now, whole_minute());
    assert_eq!(reaction, Reaction { pause_until: Some(scenario.at(3_600)), in_flight: None });
    assert_eq!(scenario.learned.refused(&old, None, now, whole_minute()), Reaction::default());
}

#[test]
fn at_the_given_rate_a_refusal_now_and_then_changes_nothing_and_many_lower_it() {
    let mut run = Scenario::new();
    let refuse = |run: &mut Scenario, millis: u64| {
        let (ended, now) = (EndedAttempt { given_rate: Some(19.86), ..run.ended(2) }, run.at(millis));
        run.learned.refused(&ended, None, now, whole_minute())
    };
    for round in 0..20 {
        run.accept(12, 2, round * 700);
        assert_eq!(refuse(&mut run, round * 700 + 650), Reaction::default());
        assert!(run.learned.is_idle(), "{round}");
    }
    for round in 0..6 {
        run.accept(4, 2, 14_000 + round * 250);
        assert_eq!(refuse(&mut run, 14_000 + round * 250 + 200), Reaction::default());
    }
    assert!((15.0..19.5).contains(&run.rate()), "{}", run.rate());
    // All is refused: the server means it.
    let mut run = Scenario::new();
    run.accept(12, 2, 0);
    let paused = (0..8).filter(|n| refuse(&mut run, 700 + n * 50).pause_until.is_some()).count();
    assert!(paused >= 3, "{paused}");
}

#[test]
fn a_number_far_below_one_that_was_accepted_is_no_cap() {
    let mut scenario = Scenario::new();
    scenario.accept(10, 10, 30);
    assert!(scenario.refuse(11, Some(1_000), 30).in_flight.is_some());
    scenario.recover(1_060);
    scenario.accept(9, 6, 1_100);
    assert_eq!(scenario.refuse(8, Some(1_000), 1_100).in_flight, None);
    assert!(scenario.recover(2_100), "a rate");
}

#[test]
fn where_a_refusal_costs_a_pause_the_rate_is_what_a_bucket_explains() {
    // 20/s with a burst of 10, and a second of pause.
    let mut scenario = Scenario::new();
    scenario.accept(10, 8, 30);
    scenario.refuse(8, Some(1_000), 30);
    scenario.recover(1_060);
    scenario.accept(9, 6, 1_100);
    scenario.refuse(6, Some(1_000), 1_100);
    scenario.recover(2_120);
    // Sent faster than it is filled, until it is empty: ten from the pause, and 20 a second.
    for step in 1..=40 {
        scenario.accept(if step % 5 == 0 { 3 } else { 2 }, 5, 2_120 + step * 100);
    }
    scenario.refuse(5, Some(1_000), 6_120);
    let lowest = scenario.learned.lowest_rate();
    assert!(lowest.is_some_and(|lowest| (19.0..=20.2).contains(&lowest)), "{lowest:?}");
    scenario.recover(7_150);
    assert!(scenario.rate() <= lowest.unwrap());
}

#[test]
fn a_server_that_failed_by_chance_until_a_late_probe_is_not_asked_once_in_ten_seconds() {
    let mut scenario = Scenario::new();
    let _ = scenario.fail(8, false, 0);
    scenario.accept(2, 8, 10);
    scenario.refuse_probe(500);
    scenario.recover(30_000);
    assert!((3.8..=4.0).contains(&scenario.rate()), "{}", scenario.rate());
}

#[test]
fn where_a_server_failed_until_a_probe_was_accepted_the_rate_begins_at_four_a_second() {
    let mut scenario = Scenario::new();
    for _ in 0..300 {
        let _ = scenario.fail(300, false, 20_000);
    }
    let _ = scenario.fail(1, true, 20_500);
    scenario.recover(21_000);
    assert!((3.8..=4.0).contains(&scenario.rate()), "{}", scenario.rate());
}

#[test]
fn a_probe_that_fails_is_followed_by_a_second_one_where_the_server_may_fail_by_itself() {
    let mut scenario = Scenario::new();
    for (at, next) in [(500, 600), (600, 1_250), (1_250, 1_350), (1_350, 2_600), (2_600, 2_700)] {
        let until = scenario.fail(1, true, at).pause_until;
        assert_eq!(until, Some(scenario.at(next)), "after {at}");
    }
}

/// A rate of 20/s is lowered, and refused once more, so that one just below it is tried.
fn with_held_rate() -> Scenario {
    let mut scenario = Scenario::new();
    let now = scenario.at(0);
    scenario.learned.rate = Some(LearnedRate::new(20.0, false, now));
    scenario.learned.strain.try_lowered(14.0, 1, now);
    assert_eq!(scenario.strain(0), StrainVerdict::TriesBelow);
    scenario
}

#[test]
fn a_held_rate_of_which_a_few_failed_grows_fast_from_then_on() {
    for (failed, is_proven) in [(2, true), (3, false)] {
        let mut scenario = with_held_rate();
        for millis in 1..=failed {
            assert_eq!(scenario.strain(millis), StrainVerdict::Chance);
            scenario.accept(5, 1, millis);
        }
        scenario.accept(200, 1, 1_000);
        let rate = scenario.learned.rate.as_ref().unwrap();
        assert_eq!((scenario.learned.strain.is_trying(), rate.is_proven()), (false, is_proven));
    }
}

#[test]
fn a_rate_that_is_taken_up_again_beside_failures_by_chance_grows_fast() {
    let mut scenario = with_held_rate();
    let found = [1, 0, 4, 0, 0, 2, 1, 0, 3, 0].into_iter().any(|accepted| {
        scenario.accept(accepted, 1, 1);
        scenario.strain(1) == StrainVerdict::FoundChance
    });
    assert!(found && scenario.learned.rate.is_none());
    let refused = (0..64).any(|_| scenario.strain(100) == StrainVerdict::Refused);
    let rate = scenario.learned.rate.as_ref().unwrap();
    assert!(refused && !rate.is_proven() && rate.per_second() > 15.0, "{rate:?}");
}

#[test]
fn quotas_that_paused_the_pool_do_not_hide_how_many_a_longer_limit_accepted() {
    // 10 a second by the fields, and 100 in 20 s.
    let mut scenario = Scenario::new();
    scenario.accept(10, 8, 100);
    for second in 1..10 {
        scenario.recover(second * 1_000);
        scenario.accept(9, 8, second * 1_000 + 100);
    }
    scenario.refuse(8, Some(10_000), 9_900);
    scenario.recover(20_000);
    scenario.accept(9, 8, 20_100);
    scenario.refuse(8, Some(1_000), 20_900);
    scenario.recover(22_000);
    assert!(scenario.learned.window.is_none());
    assert!((4.0..=10.0).contains(&scenario.rate()), "{}", scenario.rate());
}

#[test]
fn a_probe_that_meets_the_whole_minute_by_chance_shows_no_window_of_a_minute() {
    let mut scenario = Scenario::new();
    scenario.accept(30, 8, 100);
    scenario.refuse(9, None, 100);
    for millis in [600, 1_250, 2_600, 5_150, 10_250] {
        scenario.refuse_probe(millis);
    }
    let (now, minute) = (scenario.at(20_350), whole_minute() + Duration::from_millis(100));
    let ended = EndedAttempt { is_probe: true, ..scenario.ended(1) };
    scenario.learned.accepted(&ended, || now);
    scenario.learned.recovered(now, scenario.number, (now, minute));
    let Some(LearnedLimit::Window { period, .. }) = scenario.learned.limit() else { panic!("no window") };
    assert!(period <= Duration::from_secs(20), "{period:?}");
}

#[test]
fn where_as_many_are_accepted_each_time_until_everything_fails_there_is_a_window() {
    for (again, is_window) in [(100, true), (103, true), (60, false)] {
        let mut scenario = Scenario::new();
        scenario.accept(100, 10, 100);
        scenario.close(200, 10_100);
        assert!(scenario.learned.is_idle(), "once shows nothing");
        // The probe is the first one.
        scenario.accept(again - 1, 10, 10_200);
        let verdicts: Vec<_> = (0..4).map(|_| scenario.strain(10_210)).collect();
        assert_eq!(verdicts.contains(&StrainVerdict::Refused), is_window, "{again}: {verdicts:?}");
        scenario.close(10_300, 20_200);
        let (capacity, period) = (again as u64, Duration::from_secs(10));
        let window = Some(LearnedLimit::Window { capacity, period });
        assert_eq!(scenario.learned.limit() == window, is_window, "{:?}", scenario.learned.limit());
    }
}

#[test]
fn what_is_refused_while_the_pool_waits_for_the_end_of_the_window_shows_that_it_holds_less() {
    let mut scenario = Scenario::new();
    scenario.accept(100, 10, 100);
    scenario.refuse(11, None, 100);
    for millis in [1_250, 2_600, 5_150] {
        scenario.refuse_probe(millis);
    }
    scenario.recover(10_250);
    let capacity = |scenario: &Scenario| match scenario.learned.limit() {
        Some(LearnedLimit::Window { capacity, .. }) => capacity,
        other => panic!("{other:?}"),
    };
    assert_eq!(capacity(&scenario), 100);
    scenario.accept(79, 10, 10_300);
    for _ in 0..20 {
        let now = scenario.at(10_310);
        let ended = EndedAttempt { is_old: true, ..scenario.ended(30) };
        scenario.learned.left(|| now);
        assert_eq!(scenario.learned.refused(&ended, None, now, whole_minute()), Reaction::default());
    }
    scenario.recover(20_400);
    assert_eq!(capacity(&scenario), 80);
}
