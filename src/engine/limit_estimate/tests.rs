//! Limits of known kinds, and the number that a run names for each.

use tokio::time::Instant;

use super::*;

const SPAN: Duration = Duration::from_millis(50);

fn view(learned: Option<LearnedLimit>) -> GateView {
    GateView {
        in_flight: 1,
        limit: 8,
        waiting: 5,
        paused_until: None,
        pause_reason: None,
        slowed: true,
        learned,
        lowest_rate: None,
    }
}

/// A limiter that is asked at a rate which grows by 2 % a second and falls by 5 % with each refusal, as the gate does it.
struct Paced {
    estimate: LimitEstimate,
    ended: AcceptedAndRefused,
    aimed_at: f64,
    asked: f64,
    at: f64,
}

impl Paced {
    fn new(aimed_at: f64) -> Self {
        let ended = AcceptedAndRefused::default();
        Self { estimate: LimitEstimate::default(), ended, aimed_at, asked: 0.0, at: 0.0 }
    }

    /// `accepts`: whether one is accepted at this second.
    fn run(&mut self, seconds: u32, mut accepts: impl FnMut(f64) -> bool) {
        for _ in 0..seconds * 20 {
            self.at += SPAN.as_secs_f64();
            self.asked += self.aimed_at * SPAN.as_secs_f64();
            while self.asked >= 1.0 {
                self.asked -= 1.0;
                if accepts(self.at) {
                    self.ended.accepted += 1;
                } else {
                    self.ended.refused += 1;
                    self.aimed_at *= 0.95;
                }
            }
            self.aimed_at *= 1.0 + 0.02 * SPAN.as_secs_f64();
            self.estimate.sample(&view(Some(LearnedLimit::Rate(self.aimed_at))), SPAN, self.ended);
        }
    }

    fn rate(&self) -> f64 {
        match self.estimate.limit() {
            Some(LearnedLimit::Rate(rate)) => rate,
            other => panic!("{other:?}"),
        }
    }
}

/// So many a second, and `burst` at once. The first refusal of a run emptied it, and a pause of half a second followed.
fn bucket(per_second: f64, burst: f64) -> impl FnMut(f64) -> bool {
    let (mut level, mut last) = (f64::min(burst, per_second / 2.0), 0.0);
    move |at| {
        level = f64::min(level + (at - last) * per_second, burst);
        last = at;
        let accepted = level >= 1.0 - 1e-9;
        level -= f64::from(u8::from(accepted));
        accepted
    }
}

#[test]
fn a_bucket_is_named_by_its_rate_whatever_its_burst() {
    for (per_second, burst) in
        [(20.0, 1.0), (20.0, 20.0), (20.0, 100.0), (200.0, 40.0), (5.0, 10.0), (37.0, 5.0)]
    {
        for seconds in [30, 60, 150] {
            let mut paced = Paced::new(per_second * 0.9);
            paced.run(seconds, bucket(per_second, burst));
            let named = paced.rate() / per_second;
            assert!(
                (0.95..=1.001).contains(&named) || paced.ended.refused == 0,
                "{per_second} {burst} {named}"
            );
        }
    }
}

#[test]
fn a_round_number_close_by_is_named_where_it_was_accepted() {
    // 19.6 a second, and 20 for some seconds before each refusal.
    let mut estimate = LimitEstimate::default();
    for sample in 1..=800u64 {
        let ended =
            AcceptedAndRefused { accepted: sample * 49 / 50 + sample % 400 / 20, refused: sample / 100 };
        let aimed_at = if sample % 400 > 200 { 20.4 } else { 19.4 };
        estimate.sample(&view(Some(LearnedLimit::Rate(aimed_at))), SPAN, ended);
    }
    assert_eq!(estimate.limit(), Some(LearnedLimit::Rate(20.0)));
    // Never aimed at, so not accepted.
    let mut estimate = LimitEstimate::default();
    for sample in 1..=800 {
        let ended = AcceptedAndRefused { accepted: sample * 39 / 40, refused: sample / 100 };
        estimate.sample(&view(Some(LearnedLimit::Rate(19.5))), SPAN, ended);
    }
    let Some(LearnedLimit::Rate(rate)) = estimate.limit() else { panic!("none") };
    assert!((19.0..=19.5).contains(&rate), "{rate}");
}

#[test]
fn a_limit_that_fell_is_named_as_it_is_now() {
    let mut paced = Paced::new(38.0);
    paced.run(30, bucket(40.0, 5.0));
    paced.run(30, bucket(10.0, 1.0));
    assert!((9.0..=11.5).contains(&paced.rate()), "{}", paced.rate());
}

#[test]
fn windows_of_a_second_are_named_to_a_twentieth() {
    let mut paced = Paced::new(9.0);
    let (mut second, mut count) = (0.0, 0);
    paced.run(60, move |at| {
        if at.floor() > second {
            (second, count) = (at.floor(), 0);
        }
        count += 1;
        count <= 10
    });
    assert!((9.5..=10.5).contains(&paced.rate()), "{}", paced.rate());
}

#[test]
fn what_is_accepted_while_nothing_waits_does_not_lower_the_limit() {
    let mut paced = Paced::new(18.0);
    paced.run(60, bucket(20.0, 20.0));
    let named = paced.rate();
    for _ in 0..600 {
        let idle = GateView { waiting: 0, ..view(Some(LearnedLimit::Rate(20.0))) };
        paced.estimate.sample(&idle, SPAN, paced.ended);
    }
    assert!((paced.rate() - named).abs() < 1e-9);
}

#[test]
fn too_early_to_say_it_is_what_the_gate_learnt() {
    let mut estimate = LimitEstimate::default();
    let ended = AcceptedAndRefused { accepted: 3, refused: 1 };
    estimate.sample(&view(Some(LearnedLimit::Rate(267.0))), SPAN, ended);
    assert_eq!(estimate.limit(), Some(LearnedLimit::Rate(267.0)));
}

#[test]
fn a_window_is_that_of_the_gate_and_goes_with_it() {
    let mut estimate = LimitEstimate::default();
    let window = LearnedLimit::Window { capacity: 50, period: Duration::from_secs(10) };
    estimate.sample(&view(Some(window)), SPAN, AcceptedAndRefused::default());
    assert_eq!(estimate.limit(), Some(window));
    estimate.sample(&view(None), SPAN, AcceptedAndRefused::default());
    assert_eq!(estimate.limit(), None);
}

#[test]
fn the_number_in_flight_is_the_one_that_was_held_longest_once_more_was_refused() {
    let mut estimate = LimitEstimate::default();
    let mut ended = AcceptedAndRefused::default();
    for (limit, samples, refused) in [(16, 20, 3), (9, 200, 0), (10, 20, 1), (9, 120, 0)] {
        for sample in 0..samples {
            ended.accepted += 1;
            ended.refused += if sample == 0 { refused } else { 0 };
            estimate.sample(&GateView { limit, ..view(None) }, SPAN, ended);
        }
    }
    assert_eq!(estimate.in_flight(), None);
    estimate.limit_changed(4, LimitChangeReason::RefusedAbove);
    assert_eq!(estimate.in_flight(), None, "it grew since: something else limits it");
    // It had been 9 before, and more were tried.
    estimate.limit_changed(9, LimitChangeReason::RefusedAndPaused);
    assert_eq!(estimate.in_flight(), Some(9));
    estimate.limit_changed(12, LimitChangeReason::ThroughputGrows);
    assert_eq!(estimate.in_flight(), Some(9));
    let paused =
        GateView { paused_until: Some(Instant::now()), limit: 1, ..view(Some(LearnedLimit::Rate(5.0))) };
    estimate.sample(&paused, SPAN, ended);
    assert_eq!(estimate.in_flight(), None, "it is a rate");
}

#[test]
fn a_small_number_in_flight_is_named_though_no_job_is_seen_to_wait() {
    let mut estimate = LimitEstimate::default();
    let mut ended = AcceptedAndRefused::default();
    estimate.limit_changed(4, LimitChangeReason::RefusedAndPaused);
    for sample in 0..200 {
        ended.accepted += 4;
        ended.refused += u64::from(sample % 50 == 0);
        estimate.sample(&GateView { limit: 4, in_flight: 4, waiting: 0, ..view(None) }, SPAN, ended);
    }
    assert_eq!(estimate.in_flight(), Some(4));
}

#[test]
fn a_bucket_whose_refusals_are_followed_by_a_ban_is_named_by_what_the_gate_found() {
    let (mut estimate, mut ended) = (LimitEstimate::default(), AcceptedAndRefused::default());
    let mut sample = |view: &GateView, accepted, refused| {
        ended.accepted += accepted;
        ended.refused += refused;
        estimate.sample(view, SPAN, ended);
        estimate.limit()
    };
    let open = GateView { lowest_rate: Some(14.7), ..view(Some(LearnedLimit::Rate(15.2))) };
    let banned = GateView { paused_until: Some(Instant::now()), limit: 1, ..open };
    let mut limit = None;
    for _ in 0..3 {
        // 15/s for six seconds, and ten seconds of ban.
        (0..120).for_each(|n| limit = sample(&open, if n % 4 == 0 { 3 } else { 0 }, u64::from(n == 119)));
        (0..200).for_each(|_| limit = sample(&banned, 0, 0));
    }
    assert_eq!(limit, Some(LearnedLimit::Rate(15.0)));
}
