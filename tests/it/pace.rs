//! How many requests are in flight, and how many may leave in a time: seen by the server.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::output_kit::plain;
use crate::requests::run_with_url;
use crate::support::{Reply, Run, ScriptedServer, WorkDir};

/// The server's descriptors are the test's own.
fn raise_descriptor_limit() {
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
fn never_more_are_in_flight_than_the_limit_and_as_many_where_there_is_work() {
    for (concurrency, count, wait) in [(1_usize, 20, 5), (7, 60, 20), (300, 900, 200)] {
        let dir = skus(count);
        let server = ScriptedServer::start(move |seen| {
            // The first ones wait longer, until all are there.
            let left = concurrency.saturating_sub(seen.in_flight) as u64;
            Reply::echo(seen).wait(Duration::from_millis(wait + left))
        });
        run_with_url(&dir, &server.url("/p/{sku}"), ["-c", &concurrency.to_string()]).finish().expect_code(0);
        assert_eq!((server.count(), server.max_in_flight()), (count, concurrency));
    }
}

#[test]
fn retries_redirects_and_lost_connections_count_among_those_in_flight() {
    let dir = skus(80);
    let server = ScriptedServer::start(move |seen| {
        // The first ones are there together before one of them is lost.
        let wait = Duration::from_millis(if seen.number < 5 { 200 } else { 10 });
        match (seen.number % 9, seen.path()) {
            (0, _) => Reply::hang_up().wait(wait),
            (1, _) => Reply::status(500).wait(wait),
            (2, _) => Reply::json("{\"a\":").until_close().wait(wait),
            (3 | 4, path) if path.starts_with("/p/") => {
                Reply::redirect(302, &path.replace("/p/", "/q/")).wait(wait)
            }
            _ => Reply::echo(seen).wait(wait),
        }
    });
    let ended =
        run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "5", "--retries", "9"]).finish().expect_code(0);
    assert_eq!(server.max_in_flight(), 5, "{}", ended.stderr);
}

#[test]
fn two_thousand_in_flight_from_a_soft_limit_of_64_open_files() {
    raise_descriptor_limit();
    let dir = skus(2000);
    let server = ScriptedServer::start(|seen| {
        // Answered once all are there: the bound is reached, or the test hangs.
        let left = 2000 - seen.in_flight as u64;
        Reply::echo(seen).wait(Duration::from_millis(300 + left))
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "2000"])
        .after_shell("ulimit -S -n 64")
        .finish()
        .expect_code(0);
    assert_eq!(server.count(), 2000, "{}", ended.stderr);
    assert!(server.max_in_flight() > 1000, "{} in flight", server.max_in_flight());
}

#[test]
fn a_hard_limit_that_is_too_low_is_an_error_before_any_request_with_a_hint() {
    let dir = skus(5);
    let server = ScriptedServer::echo();
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "2000"])
        .after_shell("ulimit -n 256")
        .finish()
        .expect_code(2);
    for word in ["2000", "256", "ulimit -Hn", "--concurrency 208"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    assert_eq!(server.connections(), 0);
    run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "208"])
        .after_shell("ulimit -n 256")
        .finish()
        .expect_code(0);
    // Where not even one fits, no number is proposed.
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "1"]).after_shell("ulimit -n 40").finish();
    let ended = ended.expect_code(2);
    assert!(ended.stderr.contains("ulimit -Hn") && !ended.stderr.contains("or use"), "{}", ended.stderr);
}

#[test]
fn where_the_hard_limit_is_low_auto_has_a_lower_ceiling_and_says_so() {
    let dir = skus(200);
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(20)));
    let ended =
        run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "auto"]).after_shell("ulimit -n 64").finish();
    let ended = ended.expect_code(0);
    assert!(ended.stderr.contains("warning: the system allows 64 open files"), "{}", ended.stderr);
    let peak = server.max_in_flight();
    assert!((9..=16).contains(&peak), "{peak} in flight");
    let tuned = Run::new(&dir).args(["tune", "products.csv", "-u", &server.url("/p/{sku}")]);
    let tuned = tuned.after_shell("ulimit -n 64").finish().expect_code(0);
    assert!(tuned.stderr.contains("goes up to 16, not 64"), "{}", tuned.stderr);
}

#[test]
fn descriptors_suffice_for_both_ends_of_a_demo_and_for_other_origins() {
    raise_descriptor_limit();
    let dir = skus(900);
    let demo = ["products.csv", "-o", "out.json", "--demo", "--demo-failures", "0%", "--null-on", "404"];
    let fetch = Run::new(&dir).args(demo).args(["-c", "300"]).after_shell("ulimit -Sn 400");
    fetch.finish().expect_code(0);
    let other_origin = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(20)));
    let there = other_origin.url("/p");
    let origin = ScriptedServer::start(move |seen| Reply::redirect(302, &format!("{there}/{}", seen.sku)));
    let args = ["-c", "200", "--follow", "any", "--fresh"];
    run_with_url(&dir, &origin.url("/p/{sku}"), args).after_shell("ulimit -Sn 260").finish().expect_code(0);
    // No more connections are open to both origins than requests are in flight.
    run_with_url(&dir, &origin.url("/p/{sku}"), args).after_shell("ulimit -n 260").finish().expect_code(0);
    let ended = run_with_url(&dir, &origin.url("/p/{sku}"), args)
        .after_shell("ulimit -n 160")
        .finish()
        .expect_code(2);
    assert!(ended.stderr.contains("--concurrency 112"), "{}", ended.stderr);
}

#[test]
fn a_concurrency_or_rate_that_is_none_is_refused_before_any_request() {
    let dir = skus(1);
    let server = ScriptedServer::echo();
    for args in [["-c", "0"], ["-c", "auto:0"], ["-c", "-1"], ["-r", "0/s"], ["-r", "5"], ["--burst", "0"]] {
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(2);
    }
    assert_eq!(server.connections(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_table_of_open_files_does_not_grow_in_the_midst_of_a_run() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let server = ScriptedServer::start(|_| Reply::silence());
    let run = plain(&dir, &server, "out.json").args(["-c", "2000"]).spawn();
    server.wait_for(1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
    // More than it could have got from the process that the tests run in.
    assert!(size.trim().parse::<u32>().unwrap() >= 2000, "{size}");
}
