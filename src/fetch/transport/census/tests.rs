//! The census on plain values, without connections.

use super::patience::*;
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

fn most(census: &Census) -> Option<usize> {
    census.limit.as_ref().map(|limit| limit.most)
}

#[test]
fn silence_is_patience_and_answers_beside() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 12, now);
    assert!(!census.are_others_answered(&all[11], now));
    answer(&mut census, &all[..4], now);
    for _ in 0..ANSWERS_BESIDE {
        census.answered_again(200 * MS, now);
    }
    assert!(census.are_others_answered(&all[11], now + 800 * MS));
    assert!(!census.are_others_answered(&all[11], now + 801 * MS), "nothing is answered any more");
    // Four usual answers, for one of many; a later one was answered before the first.
    assert_eq!(census.patience(&all[11], Stage::Unanswered), 800 * MS);
    assert_eq!(census.patience_left((&all[11], Stage::Unanswered), now + 600 * MS), 200 * MS);
    assert_eq!(census.patience(&all[0], Stage::Unanswered), census.usual * 30);
    assert!(census.served().is_none() && census.has_room());
    for _ in 0..EVIDENCE {
        census.found_silent(&all[11], now + 400 * MS);
    }
    assert_eq!((census.served(), census.has_room()), (Some(4), false));
}

#[test]
fn the_fewer_are_silent_the_longer_is_the_patience_and_the_slowest_answer_so_far_is_no_silence() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 20, now);
    let patience = |census: &Census| census.patience(&all[19], Stage::Unanswered);
    answer(&mut census, &all[..12], now + 50 * MS);
    census.answered_again(10 * MS, now);
    assert_eq!(patience(&census), 500 * MS);
    answer(&mut census, &all[12..13], now + 50 * MS);
    assert_eq!(patience(&census), 1000 * MS);
    answer(&mut census, &all[13..18], now + 50 * MS);
    assert_eq!(patience(&census), 2000 * MS);
    census.answered_again(1500 * MS, now);
    assert_eq!(patience(&census), census.usual * 16);
    assert!(census.usual * 16 > 3000 * MS);
    answer(&mut census, &all[18..19], now + 4000 * MS);
    assert_eq!(patience(&census), 2 * SLOWEST_MOST);
    census.answered_again(20_000 * MS, now);
    assert_eq!(patience(&census), TIMEOUT / 2);
}

#[test]
fn no_patience_is_longer_than_half_of_the_timeout() {
    let (mut census, now) = (Census::new(500 * MS, false), Instant::now());
    let all = begin(&mut census, 1, now);
    assert_eq!(census.patience(&all[0], Stage::Unanswered), 250 * MS);
}

#[test]
fn refusals_before_the_first_answer_count_once_there_is_one() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 10, now);
    for refused in &all[4..] {
        census.end(refused, Stage::Unanswered);
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
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 5, now);
    for refused in &all {
        census.end(refused, Stage::Unanswered);
        if census.open() > 0 {
            census.found_refused(now);
        }
    }
    let all = begin(&mut census, 5, now);
    answer(&mut census, &all, now);
    assert!(census.served().is_none() && census.has_room());
}

#[test]
fn one_more_is_tried_ever_more_seldom_while_that_fails_and_ever_more_while_it_works() {
    let (mut census, mut now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 5, now);
    answer(&mut census, &all[..4], now);
    census.end(&all[4], Stage::Unanswered);
    census.found_refused(now);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        now += (1000 * wait - 1) * MS;
        assert!(census.begin(now).is_none(), "{wait}");
        now += MS;
        let trial = census.begin(now).unwrap();
        assert!(census.begin(now).is_none(), "one at a time");
        census.end(&trial, Stage::Opening);
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
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 18, now);
    answer(&mut census, &all[..16], now);
    census.answered_again(MS, now);
    census.end(&all[16], Stage::Unanswered);
    census.found_refused(now);
    assert_eq!(most(&census), Some(17));
    // The server has closed most of those that were answered, and they are being opened again.
    for closed in &all[..12] {
        census.end(closed, Stage::Answered);
    }
    census.end(&all[17], Stage::Unanswered);
    census.found_refused(now);
    assert_eq!(most(&census), Some(12));
}

#[test]
fn silence_teaches_no_fewer_than_were_answered_at_a_time() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 17, now);
    answer(&mut census, &all[..4], now);
    census.answered_again(MS, now);
    // Idle ones are closed in favour of the silent ones.
    for closed in &all[..3] {
        census.end(closed, Stage::Answered);
    }
    for silent in &all[4..] {
        census.found_silent(silent, now);
        census.end(silent, Stage::Unanswered);
    }
    assert_eq!(most(&census), Some(4));
}

#[test]
fn before_the_first_answer_several_silent_ones_are_given_up_no_later_than_after_it() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 17, now);
    assert_eq!(census.patience(&all[16], Stage::Unanswered), PATIENCE_MANY);
    answer(&mut census, &all[..4], now);
    census.answered_again(MS, now);
    assert_eq!(census.patience(&all[16], Stage::Unanswered), PATIENCE_MANY);
}

#[test]
fn of_a_server_that_keeps_no_connection_those_that_later_ones_passed_are_silent() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 40, now);
    let is_silent = |census: &Census, begun: &Begun| census.are_others_answered(begun, now);
    // 20 were dropped; the server answers the others, one after the other, and closes them.
    for begun in &all[20..20 + 8] {
        assert!(!is_silent(&census, &all[0]));
        answer(&mut census, std::slice::from_ref(begun), now + 10 * MS);
        census.end(begun, Stage::Answered);
    }
    assert!(is_silent(&census, &all[19]) && !is_silent(&census, &all[28]));
    assert_eq!(census.patience(&all[0], Stage::Opening), 250 * MS);
    assert_eq!(census.patience(&all[0], Stage::Unanswered), 1000 * MS);
    for dropped in &all[..20] {
        census.found_silent(dropped, now + 250 * MS);
        census.end(dropped, Stage::Unanswered);
    }
    assert_eq!((census.served(), census.open()), (Some(12), 12));
}

#[test]
fn many_that_were_begun_at_once_and_are_silent_lower_the_number_once() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 40, now);
    // 24 were dropped; the server answers the others, one after the other, and closes them.
    for begun in &all[24..36] {
        answer(&mut census, std::slice::from_ref(begun), now + 10 * MS);
        census.end(begun, Stage::Answered);
    }
    census.found_silent(&all[0], now + 1000 * MS);
    assert_eq!(most(&census), Some(4));
    // Those that are given up are no longer open, and others were begun and passed them over.
    for dropped in &all[..22] {
        census.end(dropped, Stage::Unanswered);
    }
    census.limit.as_mut().unwrap().most = 9;
    let more = begin(&mut census, 3, now + 1000 * MS);
    answer(&mut census, &more[2..], now + 1010 * MS);
    census.found_silent(&all[22], now + 1020 * MS);
    assert_eq!(most(&census), Some(9), "it was begun when 40 were open");
    census.found_silent(&more[0], now + 2000 * MS);
    assert_eq!(most(&census), Some(6));
    census.found_silent(&more[1], now + 2000 * MS);
    assert_eq!(most(&census), Some(6), "so was the number then");
}

#[test]
fn where_many_are_silent_and_no_kept_one_is_in_use_one_is_tried_and_the_others_follow_its_answer() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 30, now);
    let silent = &all[5];
    answer(&mut census, &all[20..], now + 10 * MS);
    census.answered_again(2000 * MS, now + 20 * MS);
    assert_eq!(census.try_kept(silent, now + 30 * MS), KeptTrial::Useless, "too few were answered beside it");
    for _ in 0..100 {
        census.answered_again(10 * MS, now + 20 * MS);
    }
    let late = now + 1000 * MS;
    assert!(!census.are_others_answered(silent, late));
    assert!(census.is_trial_due(silent, late) && !census.is_trial_due(silent, late - MS));
    assert!(!census.is_trial_due(&all[29], late), "it was not passed over");
    // Twice the slowest answer so far.
    let left = |census: &Census, at| census.patience_left((silent, Stage::Unanswered), at);
    assert_eq!(left(&census, late), 3000 * MS);
    assert_eq!(census.try_kept(silent, late), KeptTrial::Begun);
    assert_eq!(census.try_kept(&all[6], late), KeptTrial::Underway);
    assert_eq!(left(&census, late), 3000 * MS, "it is not answered yet");
    census.answered_again(10 * MS, late + 10 * MS);
    let follows = late + 10 * MS + AFTER_TRIAL;
    assert!(census.are_others_answered(silent, follows) && left(&census, follows).is_zero());
    assert!(!census.are_others_answered(silent, follows + MS));
    assert_eq!(census.try_kept(&all[6], follows + MS), KeptTrial::Begun);
    // One that is not answered is no hint, and the next is tried much later.
    assert_eq!(census.try_kept(&all[6], follows + TIMEOUT / 2), KeptTrial::Underway);
    assert_eq!(census.try_kept(&all[6], follows + TIMEOUT / 2 + MS), KeptTrial::Begun);
}

#[test]
fn few_slow_answers_are_not_tried_elsewhere_before_they_are_too_slow() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 30, now);
    answer(&mut census, &all[7..], now + 10 * MS);
    for _ in 0..100 {
        census.answered_again(10 * MS, now + 20 * MS);
    }
    assert!(!census.is_trial_due(&all[0], now + 10_000 * MS));
}

#[test]
fn connections_past_those_that_were_answered_at_a_time_are_unproven() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 3, now);
    assert!(census.is_unproven());
    answer(&mut census, &all, now);
    assert!(!census.is_unproven());
    begin(&mut census, 1, now);
    assert!(!census.is_unproven(), "nothing shows yet that connections are kept");
    census.answered_again(MS, now);
    assert!(census.is_unproven());
}

#[test]
fn while_none_was_kept_and_none_closed_a_slow_handshake_is_no_silence() {
    let (mut census, now) = (Census::new(TIMEOUT, false), Instant::now());
    let all = begin(&mut census, 32, now);
    answer(&mut census, &all[12..], now + 300 * MS);
    assert!(!census.are_others_answered(&all[0], now + 300 * MS));
    assert!(census.patience(&all[0], Stage::Opening) >= 3000 * MS);
    // The server closes one after its answer.
    census.end(&all[12], Stage::Answered);
    assert!(census.are_others_answered(&all[0], now + 300 * MS));
    assert_eq!(census.patience(&all[0], Stage::Opening), census.usual * 4);
}

#[test]
fn a_connection_that_needs_a_handshake_may_be_silent_for_longer() {
    let now = Instant::now();
    for (has_handshakes, kept, unkept) in [(false, 500 * MS, 250 * MS), (true, 2000 * MS, 1000 * MS)] {
        let mut census = Census::new(TIMEOUT, has_handshakes);
        let all = begin(&mut census, 32, now);
        answer(&mut census, &all[..12], now + 10 * MS);
        census.answered_again(10 * MS, now);
        assert_eq!(census.patience(&all[31], Stage::Opening), kept);
        assert_eq!(census.patience(&all[31], Stage::Unanswered), kept);
        let mut census = Census::new(TIMEOUT, has_handshakes);
        let all = begin(&mut census, 32, now);
        answer(&mut census, &all[..12], now + 10 * MS);
        census.end(&all[0], Stage::Answered);
        assert_eq!(census.patience(&all[31], Stage::Opening), unkept);
    }
}
