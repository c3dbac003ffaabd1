//! The census on plain values, without connections.

use super::*;

const MS: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_secs(30);

/// So many connections, begun one after the other; each is then open.
fn begin(census: &mut Census, count: usize, now: Instant) -> Vec<Begun> {
    let mut all = Vec::new();
    for _ in 0..count {
        let begun = census.begin(now).unwrap();
        census.advance(&begun, Stage::Opening, Stage::Unanswered, now);
        all.push(begun);
    }
    all
}

fn answer(census: &mut Census, all: &[Begun], now: Instant) {
    for begun in all {
        census.advance(begun, Stage::Unanswered, Stage::Answered, now);
    }
}

#[test]
fn silence_is_patience_and_answers_beside() {
    let (mut census, now) = (Census::new(TIMEOUT), Instant::now());
    let all = begin(&mut census, 8, now);
    assert!(!census.are_others_answered(&all[7]));
    answer(&mut census, &all[..4], now);
    for _ in 0..ANSWERS_BESIDE {
        census.answered_again(100 * MS);
    }
    assert!(census.are_others_answered(&all[7]));
    // Four usual answers, for one of several; a later one was answered before the first.
    assert_eq!(census.patience(&all[7]), 400 * MS);
    assert_eq!(census.patience_left(&all[7], now + 300 * MS), 100 * MS);
    assert_eq!(census.patience(&all[0]), 3000 * MS);
    assert!(census.served().is_none() && census.has_room());
    for _ in 0..EVIDENCE {
        census.found_silent(now + 400 * MS);
    }
    assert_eq!((census.served(), census.has_room()), (Some(4), false));
}

#[test]
fn no_patience_is_longer_than_half_of_the_timeout() {
    let (mut census, now) = (Census::new(500 * MS), Instant::now());
    let all = begin(&mut census, 1, now);
    assert_eq!(census.patience(&all[0]), 250 * MS);
}

#[test]
fn refusals_before_the_first_answer_count_once_there_is_one() {
    let (mut census, now) = (Census::new(TIMEOUT), Instant::now());
    let all = begin(&mut census, 10, now);
    for _ in 0..6 {
        census.end(Stage::Unanswered);
        census.found_refused(now);
    }
    assert!(
        census.served().is_none() && census.begin(now).is_none(),
        "they wait for what becomes of the others"
    );
    answer(&mut census, &all[..1], now);
    assert_eq!((census.served(), census.has_room()), (Some(4), false));
}

#[test]
fn refusals_without_an_answer_are_forgotten_with_the_last_connection() {
    let (mut census, now) = (Census::new(TIMEOUT), Instant::now());
    begin(&mut census, 5, now);
    for left in (0..5).rev() {
        census.end(Stage::Unanswered);
        if left > 0 {
            census.found_refused(now);
        }
    }
    let all = begin(&mut census, 5, now);
    answer(&mut census, &all, now);
    assert!(census.served().is_none() && census.has_room());
}

#[test]
fn one_more_is_tried_ever_more_seldom_while_that_fails_and_ever_more_while_it_works() {
    let (mut census, mut now) = (Census::new(TIMEOUT), Instant::now());
    let all = begin(&mut census, 5, now);
    answer(&mut census, &all[..4], now);
    census.end(Stage::Unanswered);
    census.found_refused(now);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        now += (1000 * wait - 1) * MS;
        assert!(census.begin(now).is_none(), "{wait}");
        now += MS;
        assert!(census.begin(now).is_some(), "{wait}");
        assert!(census.begin(now).is_none(), "one at a time");
        census.end(Stage::Opening);
        census.found_refused(now);
        assert_eq!(census.counts, [0, 0, 4]);
    }
    assert_eq!(census.served(), Some(4));
    now += LAST_TRIAL;
    for (most, step) in [(5, 1), (7, 2), (11, 4)] {
        let more = begin(&mut census, step, now);
        answer(&mut census, &more, now);
        assert_eq!((census.open(), census.served()), (most, None));
    }
}

#[test]
fn the_number_falls_by_steps() {
    let (mut census, now) = (Census::new(TIMEOUT), Instant::now());
    let all = begin(&mut census, 17, now);
    answer(&mut census, &all[..16], now);
    census.found_silent(now);
    // The server has closed most of those that were answered, and they are being opened again.
    for _ in 0..12 {
        census.end(Stage::Answered);
    }
    census.found_silent(now);
    assert_eq!(census.limit.as_ref().map(|limit| limit.most), Some(12));
}
