//! Refusals that are still held at the end of a run: one SKU that was answered before shows what they mean.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::requests::run_with_url;
use crate::support::{Ended, Reply, Run, ScriptedServer, Seen, WorkDir};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir.write("out.json", "the old one");
    dir
}

fn number(seen: &Seen) -> usize {
    seen.sku.parse().unwrap()
}

/// Asserts that nothing was published, nothing failed, and the same command goes on.
fn assert_deferred(dir: &WorkDir, ended: &Ended, deferred: &str) {
    assert!(ended.stderr.contains(deferred), "{}", ended.stderr);
    assert!(!ended.stderr.contains(" failed"), "{}", ended.stderr);
    assert_eq!(dir.read("out.json"), "the old one");
    assert!(dir.has("out.json.journal") && !dir.has("out.failed.csv"));
}

/// Answers all but the last SKUs; this function answers the one that is requested again.
fn refusing_from(first: usize, again: impl Fn() -> Reply + Send + Sync + 'static) -> ScriptedServer {
    ScriptedServer::start(move |seen| match (number(seen), seen.attempt) {
        (n, _) if n >= first => Reply::status(401),
        (_, 2..) => again(),
        _ => Reply::echo(seen),
    })
}

#[test]
fn a_token_that_expires_before_the_last_skus_loses_none_of_them() {
    for (concurrency, status) in [("1", 401), ("8", 403)] {
        let dir = skus(600);
        let server = ScriptedServer::start(move |seen| match seen.header("authorization") {
            Some("Bearer old") if seen.number >= 585 => Reply::status(status),
            _ => Reply::echo(seen),
        });
        let run = |token: &str| {
            let header = format!("Authorization: Bearer {token}");
            run_with_url(&dir, &server.url("/p/{sku}"), ["-c", concurrency, "-H", &header]).finish()
        };
        let ended = run("old").expect_code(77);
        assert_deferred(&dir, &ended, "585 fetched, 15 deferred");
        let message = format!("the last 15 SKUs were refused ({status}), and so was SKU `");
        assert!(ended.stderr.contains(&message), "{}", ended.stderr);
        assert!(ended.stderr.contains("the same command resumes from the journal"), "{}", ended.stderr);
        assert_eq!(server.count(), 601, "one request asks again");
        let ended = run("new").expect_code(0);
        assert_eq!(server.count(), 616, "{}", ended.stderr);
        assert_eq!(dir.read("out.json").lines().count(), 602);
    }
}

#[test]
fn skus_that_are_forbidden_themselves_at_the_end_fail_as_anywhere() {
    let dir = skus(30);
    let server = refusing_from(27, || Reply::json("\"another answer\""));
    let args = ["-c", "4", "--shape", "record"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("27 fetched, 3 failed (3 not authorised (401))"), "{}", ended.stderr);
    assert_eq!(server.count(), 31);
    // The second request changes nothing of its SKU's entry.
    let out = dir.read("out.json");
    assert_eq!(out.matches("\"attempts\":1,\"body\":{\"sku\":").count(), 27, "{out}");
    assert!(!out.contains("another answer"), "{out}");
    assert_eq!(dir.read("out.failed.csv").lines().count(), 4);
}

#[test]
fn a_404_shows_good_credentials_too() {
    let dir = skus(10);
    let server = ScriptedServer::start(|seen| match number(seen) {
        8.. => Reply::status(403),
        _ => Reply::status(404),
    });
    let args = ["-c", "1", "--min-success", "0"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("10 failed"), "{}", ended.stderr);
    assert_eq!(server.count(), 11);
}

#[test]
fn where_all_others_are_recovered_or_young_one_of_those_is_requested_again() {
    for (is_expired, code) in [(true, 77), (false, 1)] {
        let dir = skus(40);
        let server = ScriptedServer::start(|seen| match number(seen) {
            37.. => Reply::status(503),
            _ => Reply::echo(seen),
        });
        let addr = server.addr();
        let url = server.url("/p/{sku}");
        // It ends while the last SKUs wait for their retry.
        let run = run_with_url(&dir, &url, ["-c", "1", "--retries", "50"]).spawn();
        server.wait_for(42);
        run.signal(Signal::TERM);
        run.wait().expect_code(128 + 15);
        drop(server);
        let server = ScriptedServer::start_at(addr, move |seen| match number(seen) {
            n if n < 37 && !is_expired => Reply::echo(seen),
            _ => Reply::status(401),
        });
        let ended = run_with_url(&dir, &url, ["-c", "1"]).finish().expect_code(code);
        assert_eq!(server.count(), 4, "{}", ended.stderr);
        if is_expired {
            assert_deferred(&dir, &ended, "3 deferred");
        }
    }
    // The old values of a merge are as good.
    let dir = skus(40);
    let expired = std::sync::Arc::new(AtomicBool::new(false));
    let is_expired = std::sync::Arc::clone(&expired);
    let server = ScriptedServer::start(move |seen| {
        if is_expired.load(Ordering::SeqCst) { Reply::status(401) } else { Reply::echo(seen) }
    });
    let url = server.url("/p/{sku}");
    run_with_url(&dir, &url, [""; 0]).finish().expect_code(0);
    let published = dir.read("out.json");
    dir.write_skus((0..43).map(|n| n.to_string()));
    expired.store(true, Ordering::SeqCst);
    let ended = run_with_url(&dir, &url, ["--merge", "--max-age", "1h"]).finish().expect_code(77);
    assert!(ended.stderr.contains("3 deferred"), "{}", ended.stderr);
    assert_eq!((server.count(), dir.read("out.json")), (44, published));
}

#[test]
fn where_no_sku_ever_came_the_credentials_are_refused_however_few_there_are() {
    for count in [1, 3] {
        let dir = skus(count);
        let server = ScriptedServer::start(|_| Reply::status(401));
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), [""; 0]).finish().expect_code(77);
        assert_deferred(&dir, &ended, &format!("{count} deferred"));
        assert_eq!(server.count(), count);
    }
}

#[test]
fn an_unclear_answer_defers_the_refused_skus_with_a_message() {
    let faults: [fn() -> Reply; 3] = [
        Reply::hang_up,
        || Reply::status(502),
        // To a page to log in, perhaps.
        || Reply::redirect(302, "http://other.test/login"),
    ];
    for again in faults {
        let dir = skus(30);
        let server = refusing_from(27, again);
        let args = ["-c", "4", "--retries", "0"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(75);
        assert_deferred(&dir, &ended, "27 fetched, 3 deferred");
        assert!(
            ended.stderr.contains("was requested again to check the credentials, without a clear result"),
            "{}",
            ended.stderr
        );
        // A connection that was closed while it rested is free, as for any request, and so is one new one.
        assert!((31..=33).contains(&server.count()), "{}", server.count());
    }
}

#[test]
fn the_repeated_request_is_retried_like_any_other() {
    let dir = skus(30);
    let server = ScriptedServer::start(|seen| match (number(seen), seen.attempt) {
        (27.., _) => Reply::status(401),
        (_, 2) => Reply::status(502),
        _ => Reply::echo(seen),
    });
    run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "4"]).finish().expect_code(1);
    assert_eq!(server.count(), 32);
}

#[test]
fn a_stop_while_a_sku_is_requested_again_defers_the_refused_skus() {
    let dir = skus(30);
    let server = refusing_from(27, Reply::silence);
    let args = ["-c", "4", "--retries", "0", "--timeout", "2s"];
    let run = run_with_url(&dir, &server.url("/p/{sku}"), args).spawn();
    server.wait_for(31);
    run.signal(Signal::TERM);
    let ended = run.wait().expect_code(128 + 15);
    assert_deferred(&dir, &ended, "27 fetched, 3 deferred");

    let (dir, server) = (skus(30), refusing_from(27, Reply::silence));
    let args = ["-c", "4", "--max-time", "1s", "--retries", "0", "--timeout", "2s"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(75);
    assert_deferred(&dir, &ended, "3 deferred");
}

#[test]
fn an_answer_that_is_already_under_way_when_the_run_stops_still_settles() {
    let dir = skus(30);
    let server = refusing_from(27, || Reply::json("1").wait(Duration::from_millis(500)));
    let args = ["-c", "4", "--shape", "record"];
    let run = run_with_url(&dir, &server.url("/p/{sku}"), args).spawn();
    server.wait_for(31);
    run.signal(Signal::TERM);
    let ended = run.wait().expect_code(128 + 15);
    assert!(ended.stderr.contains("27 fetched, 3 failed"), "{}", ended.stderr);
}

#[test]
fn a_good_answer_that_left_before_a_refusal_came_does_not_make_it_a_failure() {
    // SKU 3 is refused while SKU 4 is under way, and no request leaves after that.
    let dir = skus(60);
    let server = ScriptedServer::start(|seen| match number(seen) {
        0..=2 => Reply::echo(seen),
        3 => Reply::status(401).wait(Duration::from_millis(500)),
        4 => Reply::echo(seen).wait(Duration::from_secs(1)),
        _ => Reply::status(401),
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "2"]).finish().expect_code(77);
    assert_deferred(&dir, &ended, "deferred");
}

#[test]
fn a_few_forbidden_skus_among_many_at_high_concurrency_end_no_run() {
    let dir = skus(900);
    let server = ScriptedServer::start(|seen| match number(seen) {
        n if n > 100 && n % 6 == 0 => Reply::status(403),
        _ => Reply::echo(seen).wait(Duration::from_millis(5)),
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "64"]).finish().expect_code(1);
    assert!(ended.stderr.contains("767 fetched, 133 failed"), "{}", ended.stderr);
    assert!(server.count() <= 901, "{}", server.count());
}

#[test]
fn statuses_that_are_stored_as_null_are_not_requested_again() {
    let dir = skus(30);
    let server = refusing_from(27, || Reply::status(500));
    Run::new(&dir)
        .args(["products.csv", "-o", "out.json", "-u", &server.url("/p/{sku}"), "--null-on", "401"])
        .finish()
        .expect_code(0);
    assert_eq!(server.count(), 30);
}

#[test]
fn forbidden_skus_do_not_end_every_resumed_run() {
    for (is_expired, code) in [(false, 1), (true, 77)] {
        let dir = skus(40);
        let answers = |seen: &Seen| match number(seen) {
            30.. => Reply::status(403),
            _ => Reply::echo(seen),
        };
        let server = ScriptedServer::start(move |seen| answers(seen).wait(Duration::from_millis(20)));
        let (addr, url) = (server.addr(), server.url("/p/{sku}"));
        let run = run_with_url(&dir, &url, ["-c", "1"]).spawn();
        server.wait_for(33);
        run.signal(Signal::TERM);
        run.wait().expect_code(128 + 15);
        drop(server);
        let server =
            ScriptedServer::start_at(
                addr,
                move |seen| if is_expired { Reply::status(403) } else { answers(seen) },
            );
        let ended = run_with_url(&dir, &url, ["-c", "1"]).finish().expect_code(code);
        if is_expired {
            assert_deferred(&dir, &ended, "10 deferred");
            assert_eq!(server.count(), 6, "the first five, and one that came before");
        } else {
            assert!(ended.stderr.contains("10 failed (10 forbidden)"), "{}", ended.stderr);
            assert_eq!(dir.read("out.json").lines().count(), 32);
            // Ten rows, and one that was answered before: after the first five, and at the end.
            assert_eq!(server.count(), 12);
        }
    }
}

#[test]
fn young_values_of_a_merge_distinguish_forbidden_skus_from_refused_credentials_as_well() {
    let dir = skus(20);
    std::fs::remove_file(dir.path("out.json")).unwrap();
    let server = ScriptedServer::start(|seen| match number(seen) {
        20.. => Reply::status(403),
        _ => Reply::echo(seen),
    });
    let url = server.url("/p/{sku}");
    run_with_url(&dir, &url, ["-q"]).finish().expect_code(0);
    dir.write_skus((0..30).map(|n| n.to_string()));
    let ended = run_with_url(&dir, &url, ["--merge", "--max-age", "1h"]).finish().expect_code(1);
    assert!(ended.stderr.contains("10 failed"), "{}", ended.stderr);
}

#[test]
fn a_request_that_is_not_idempotent_is_never_sent_again() {
    for (retries, requests) in [("0", 10), ("1", 11)] {
        let dir = skus(10);
        let server = ScriptedServer::start(|seen| match number(seen) {
            8.. => Reply::status(403),
            _ => Reply::echo(seen),
        });
        let args = ["-c", "1", "--retries", retries, "-X", "POST"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
        assert!(ended.stderr.contains("2 failed (2 forbidden)"), "{}", ended.stderr);
        assert_eq!(server.count(), requests, "{}", ended.stderr);
    }
}
