//! `Retry-After`: the whole pool pauses, then one probe is sent, then the limit grows.

use std::time::{Duration, Instant};

use crate::requests::run_with_url;
use crate::support::{Reply, ScriptedServer, WorkDir};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

/// Time for what had left before the answer arrived, and for its transfer.
const UNDER_WAY: Duration = Duration::from_millis(150);

#[test]
fn one_429_silences_the_whole_pool_then_one_probe_leaves_then_more() {
    for status in [429, 503] {
        let dir = skus(300);
        let wait = Duration::from_millis(30);
        let server = ScriptedServer::start(move |seen| match seen.number {
            60 => Reply::retry_after(status, "1"),
            _ => Reply::echo(seen).wait(wait),
        });
        run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "32"]).finish().expect_code(0);
        let seen = server.requests();
        let requested: Instant = seen[60].answered().unwrap();
        let until = requested + Duration::from_secs(1);
        assert_eq!(server.requests_between(requested + UNDER_WAY, until).len(), 0, "{status}: quiet");
        let after: Vec<_> = seen.iter().filter(|it| it.at >= until).collect();
        assert_eq!(after[0].in_flight, 1, "one probe");
        let probed = after[0].answered().unwrap();
        assert!(after[1].at + Duration::from_millis(5) >= probed, "nobody before the probe's answer");
        assert!(after[..4].iter().all(|it| it.in_flight <= 4), "growth and no rush");
        assert!(after.iter().any(|it| it.in_flight >= 16), "and back to the whole width");
        assert_eq!(seen.len(), 301);
    }
}

#[test]
fn the_later_of_two_instants_wins_and_no_answer_under_way_lifts_it() {
    let dir = skus(60);
    let server = ScriptedServer::start(move |seen| match seen.number {
        8 => Reply::retry_after(429, "1.2"),
        9 => Reply::retry_after(429, "0.3"),
        10..16 => Reply::echo(seen).wait(Duration::from_millis(400)),
        _ => Reply::echo(seen).wait(Duration::from_millis(20)),
    });
    run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "8"]).finish().expect_code(0);
    let requested = server.requests()[8].answered().unwrap();
    let quiet = server.requests_between(requested + UNDER_WAY, requested + Duration::from_millis(1200));
    assert_eq!(quiet.len(), 0);
}

#[test]
fn a_server_that_demands_too_long_a_wait_defers_the_run_and_the_journal_is_resumed() {
    for value in ["301", "99999999999999999999"] {
        let dir = skus(60);
        dir.write("out.json", "the old one");
        let value = value.to_owned();
        let server = ScriptedServer::start(move |seen| match seen.number {
            30 => Reply::retry_after(429, &value),
            _ => Reply::echo(seen).wait(Duration::from_millis(5)),
        });
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "4"]).finish().expect_code(75);
        assert!(ended.stderr.contains("--max-retry-after"), "{}", ended.stderr);
        assert!(dir.read("out.json") == "the old one" && dir.has("out.json.journal"));
        assert!(!dir.has("out.failed.csv"), "deferred is not failed");
        let requested = server.count();
        assert!(requested <= 34, "{requested}");
        run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "4"]).finish().expect_code(0);
        assert_eq!(server.count(), 61, "only what was not answered is asked for");
    }
}

#[test]
fn max_retry_after_is_the_longest_pause_that_is_waited_out() {
    let server = ScriptedServer::start(|seen| match seen.number {
        0 => Reply::retry_after(429, "0.3"),
        _ => Reply::echo(seen),
    });
    run_with_url(&skus(3), &server.url("/p/{sku}"), ["--max-retry-after", "300ms"]).finish().expect_code(0);
    let server = ScriptedServer::start(|_| Reply::retry_after(503, "0.3"));
    run_with_url(&skus(3), &server.url("/p/{sku}"), ["--max-retry-after", "299ms"]).finish().expect_code(75);
}

#[test]
fn a_retry_after_behind_a_redirect_pauses_the_whole_pool() {
    let dir = skus(120);
    let other_origin = ScriptedServer::start(move |seen| match seen.number {
        30 => Reply::retry_after(429, "1"),
        _ => Reply::echo(seen).wait(Duration::from_millis(20)),
    });
    let there = other_origin.url("/p");
    let origin = ScriptedServer::start(move |seen| Reply::redirect(302, &format!("{there}/{}", seen.sku)));
    run_with_url(&dir, &origin.url("/p/{sku}"), ["-c", "8", "--follow", "any"]).finish().expect_code(0);
    let requested = other_origin.requests()[30].answered().unwrap();
    let until = requested + Duration::from_secs(1);
    for (who, server) in [("origin", &origin), ("other_origin", &other_origin)] {
        assert_eq!(server.requests_between(requested + UNDER_WAY, until).len(), 0, "{who}: quiet");
    }
    assert_eq!((origin.count(), other_origin.count()), (121, 121));
}
