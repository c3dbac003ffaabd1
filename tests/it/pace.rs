//! How many requests are in flight, and how many may leave in a time: seen by the server.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::requests::asking;
use crate::support::{Reply, ScriptedServer, WorkDir};

/// The server's descriptors are the test's own.
fn room_for_sockets() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

#[test]
fn never_more_are_in_flight_than_asked_for_and_as_many_where_there_is_work() {
    for (concurrency, count, wait) in [(1, 20, 5), (7, 60, 20), (300, 900, 200)] {
        let dir = skus(count);
        let wait = Duration::from_millis(wait);
        let server = ScriptedServer::start(move |seen| Reply::echo(seen).wait(wait));
        asking(&dir, &server.url("/p/{sku}"), ["-c", &concurrency.to_string()]).finish().expect_code(0);
        assert_eq!((server.count(), server.max_in_flight()), (count, concurrency));
    }
}

#[test]
fn retries_redirects_and_lost_connections_count_among_those_in_flight() {
    let dir = skus(80);
    let wait = Duration::from_millis(10);
    let server = ScriptedServer::start(move |seen| match (seen.number % 9, seen.path()) {
        (0, _) => Reply::hang_up().wait(wait),
        (1, _) => Reply::status(500).wait(wait),
        (2, _) => Reply::json("{\"a\":").until_close().wait(wait),
        (3 | 4, path) if path.starts_with("/p/") => {
            Reply::redirect(302, &path.replace("/p/", "/q/")).wait(wait)
        }
        _ => Reply::echo(seen).wait(wait),
    });
    let ended = asking(&dir, &server.url("/p/{sku}"), ["-c", "5", "--retries", "9"]).finish().expect_code(0);
    assert_eq!(server.max_in_flight(), 5, "{}", ended.stderr);
}

#[test]
fn two_thousand_in_flight_from_a_soft_limit_of_64_open_files() {
    room_for_sockets();
    let dir = skus(2000);
    let server = ScriptedServer::start(|seen| {
        // Answered once all are there: the bound is reached, or the test hangs.
        let left = 2000 - seen.in_flight as u64;
        Reply::echo(seen).wait(Duration::from_millis(300 + left))
    });
    let ended = asking(&dir, &server.url("/p/{sku}"), ["-c", "2000"])
        .after_shell("ulimit -S -n 64")
        .finish()
        .expect_code(0);
    assert_eq!(server.count(), 2000, "{}", ended.stderr);
    assert!(server.max_in_flight() > 1000, "{} in flight", server.max_in_flight());
}

#[test]
fn a_hard_limit_that_is_too_low_is_told_before_any_request_with_what_to_do() {
    let dir = skus(5);
    let server = ScriptedServer::echo();
    let ended = asking(&dir, &server.url("/p/{sku}"), ["-c", "2000"])
        .after_shell("ulimit -n 256")
        .finish()
        .expect_code(2);
    for word in ["2000", "256", "ulimit -Hn", "--concurrency 192"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert_eq!(server.connections(), 0);
    asking(&dir, &server.url("/p/{sku}"), ["-c", "192"]).after_shell("ulimit -n 256").finish().expect_code(0);
}

#[test]
fn a_concurrency_or_rate_that_is_none_is_refused_before_any_request() {
    let dir = skus(1);
    let server = ScriptedServer::echo();
    for args in [["-c", "0"], ["-c", "auto:0"], ["-c", "-1"], ["-r", "0/s"], ["-r", "5"], ["--burst", "0"]] {
        asking(&dir, &server.url("/p/{sku}"), args).finish().expect_code(2);
    }
    assert_eq!(server.connections(), 0);
}
