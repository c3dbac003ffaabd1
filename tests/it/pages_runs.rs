//! Whole runs with pages: interrupted, limited, refused, repeated.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::pages::{fetch, line, linked, page_of, skus, values};
use crate::requests::run_with_url;
use crate::support::{Reply, ScriptedServer, Seen, WorkDir};

const LINK: [&str; 4] = ["--next", "link", "--join", ".[]"];

fn run<'d>(dir: &'d WorkDir, server: &ScriptedServer, args: &[&str]) -> crate::support::Run<'d> {
    run_with_url(dir, &server.url("/p/{sku}"), LINK.iter().chain(args))
}

/// How often each page was requested.
fn counts(server: &ScriptedServer) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for seen in server.requests() {
        *counts.entry(seen.target.clone()).or_default() += 1;
    }
    counts
}

#[test]
fn a_kill_between_two_pages_asks_for_the_pages_of_that_sku_anew_and_of_no_other() {
    let dir = skus(20);
    let hangs: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(true)));
    let server = ScriptedServer::start(move |seen| {
        if hangs.load(Ordering::Relaxed) && seen.sku == "A12" && page_of(seen) == 2 {
            return Reply::silence();
        }
        linked(seen)
    });
    let mut first = run(&dir, &server, &["-c", "1"]).spawn();
    first.wait_until(|| server.requests().iter().any(|seen| seen.target == "/p/A12?page=2"));
    std::thread::sleep(Duration::from_millis(300));
    first.kill();
    assert_eq!(first.wait().signal, Some(9));
    assert!(!dir.has("out.json"));
    hangs.store(false, Ordering::Relaxed);
    run(&dir, &server, &[]).finish().expect_code(0);
    for n in 0..20 {
        let sku = format!("A{n}");
        let pages: Vec<String> = (1..=3).map(|page| values(&sku, page)).collect();
        assert_eq!(line(&dir, &sku), Some(format!("[{}]", pages.join(","))));
    }
    let again: Vec<(String, usize)> = counts(&server).into_iter().filter(|(_, count)| *count > 1).collect();
    assert_eq!(again, [("/p/A12".to_owned(), 2), ("/p/A12?page=2".to_owned(), 2)]);
}

#[test]
fn a_signal_lets_the_page_in_flight_end_and_asks_for_no_other() {
    let dir = skus(4);
    let server = ScriptedServer::start(|seen| linked(seen).wait(Duration::from_millis(500)));
    let mut ongoing = run(&dir, &server, &["-c", "2"]).spawn();
    server.wait_for(2);
    ongoing.wait_until_it_hears(Signal::TERM);
    ongoing.signal(Signal::TERM);
    let ended = ongoing.wait().expect_code(143);
    assert!(ended.stderr.contains("4 deferred"), "{}", ended.stderr);
    assert!(server.count() <= 4, "{}", server.count());
    assert!(!dir.has("out.json"));
    run(&dir, &server, &["-c", "4"]).finish().expect_code(0);
}

#[test]
fn pages_count_for_the_rate_and_for_those_in_flight() {
    let dir = skus(10);
    let server = ScriptedServer::start(|seen| linked(seen).wait(Duration::from_millis(20)));
    let ended = run(&dir, &server, &["-c", "3", "--rate", "20/s"]).finish().expect_code(0);
    let requests = server.requests();
    assert_eq!(requests.len(), 30);
    let span: Duration = requests[29].at - requests[0].at;
    assert!(span >= Duration::from_secs_f64(29.0 / 20.0 - 0.03), "{span:?}");
    assert!(server.max_in_flight() <= 3);
    assert!(ended.stderr.contains("limited by: --rate 20/s"), "{}", ended.stderr);
}

#[test]
fn a_token_that_ends_between_two_pages_ends_the_run_and_the_next_one_goes_on() {
    let dir = skus(60);
    let server = ScriptedServer::start(|seen| {
        // The token is good for 40 requests.
        if seen.header("authorization") == Some("Bearer 1") && seen.number >= 40 {
            return Reply::json(r#"{"error":"expired"}"#).with_status(401);
        }
        linked(seen)
    });
    let with = |token: &str| ["-c", "2", "-H", &format!("Authorization: Bearer {token}")].map(str::to_owned);
    let args = with("1");
    let ended = run(&dir, &server, &args.each_ref().map(String::as_str)).finish().expect_code(77);
    assert!(ended.stderr.contains("401") && !dir.has("out.json"), "{}", ended.stderr);
    assert!(server.count() < 90, "{}", server.count());
    let args = with("2");
    run(&dir, &server, &args.each_ref().map(String::as_str)).finish().expect_code(0);
    assert_eq!(dir.read("out.json").lines().count(), 62);
}

#[test]
fn a_page_is_never_asked_for_on_condition() {
    let dir = skus(3);
    let server = ScriptedServer::start(|seen| {
        assert!(seen.header("if-none-match").is_none() && seen.header("if-modified-since").is_none());
        linked(seen).header("ETag", "\"first page\"").header("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT")
    });
    for _ in 0..2 {
        run(&dir, &server, &[]).finish().expect_code(0);
    }
    let dry = run(&dir, &server, &["--dry-run"]).finish().expect_code(0);
    assert!(!dry.stdout().contains("changed"), "{}", dry.stdout());
    // Without pages an earlier run kept validators: they are of another job.
    assert_eq!(server.count(), 18);
    fetch(&dir, &server, &[]).expect_code(0);
    run(&dir, &server, &["--merge"]).finish();
}

#[test]
fn a_journal_of_other_pages_belongs_to_another_job() {
    let dir = skus(4);
    let fails: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(true)));
    let server = ScriptedServer::start(move |seen| {
        if fails.load(Ordering::Relaxed) && seen.sku == "A3" { Reply::status(404) } else { linked(seen) }
    });
    // Nothing is published: the journal stays.
    run(&dir, &server, &["--min-success", "90", "-c", "1"]).finish().expect_code(69);
    let before = server.count();
    fails.store(false, Ordering::Relaxed);
    // How many pages there may be is no part of what is asked for.
    run(&dir, &server, &["--pages", "7", "--limit", "3", "--min-success", "90"]).finish().expect_code(0);
    assert_eq!(server.count(), before);
    run(&dir, &server, &["--min-success", "90"]).finish().expect_code(0);
    let args = ["--next", "link", "--join", ".", "--guard", "off"];
    fetch(&dir, &server, &args).expect_code(0);
    assert_eq!(server.count(), before + 12 + 12);
}

#[test]
fn messages_name_the_page() {
    let dir = skus(2);
    let server = ScriptedServer::start(|seen| match (seen.sku.as_str(), page_of(seen), seen.number) {
        ("A0", 2, _) => Reply::json(r#"{"no":"such page"}"#).with_status(404),
        ("A1", 3, ..6) => Reply::status(500),
        _ => linked(seen),
    });
    let args = ["-c", "1", "-v", "-v", "--progress", "none"];
    let ended = run(&dir, &server, &args).finish().expect_code(1);
    for said in ["page 2: 404 from http://127.0.0.1:", "page 3: HTTP 500 Internal Server Error"] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    let dir = skus(2);
    let ended = run(&dir, &server, &["--log-format", "json", "-v", "-v"]).finish().expect_code(1);
    assert!(ended.stderr.contains("\"detail\":\"page 2: HTTP 404 Not Found"), "{}", ended.stderr);
}

#[test]
fn a_sku_that_was_begun_is_ended_before_others_are_begun() {
    let dir = skus(12);
    let server = ScriptedServer::start(|seen| linked(seen).wait(Duration::from_millis(5)));
    run(&dir, &server, &["-c", "1"]).finish().expect_code(0);
    let sent: Vec<String> = server.requests().iter().map(|seen| seen.target.clone()).collect();
    let pages = ["", "?page=2", "?page=3"];
    let expected: Vec<String> = (0..12).flat_map(|n| pages.map(|page| format!("/p/A{n}{page}"))).collect();
    assert_eq!(sent, expected);
}

#[test]
fn a_dry_run_says_that_each_page_is_a_request() {
    let dir = skus(6);
    let server = ScriptedServer::start(linked);
    let ended = run(&dir, &server, &["--dry-run", "--pages", "7"]).finish().expect_code(0);
    let text = ended.stdout();
    for said in [
        "6 first pages with GET",
        "up to 7 pages a SKU",
        "--next link",
        "--join .[]",
        "up to 4 retries a page",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn tune_counts_the_requests_of_all_pages() {
    let dir = skus(400);
    let server = ScriptedServer::start(|seen| linked(seen).wait(Duration::from_millis(2)));
    let url = server.url("/p/{sku}");
    let ended = crate::support::Run::new(&dir)
        .args(["tune", "products.csv", "--url", &url, "-c", "4", "--limit", "200", "--report", "tune.json"])
        .args(LINK)
        .finish()
        .expect_code(0);
    let report: serde_json::Value = serde_json::from_str(&dir.read("tune.json")).unwrap();
    let requests = report["requests"].as_u64().unwrap_or_else(|| panic!("{report}"));
    assert!(
        requests <= server.count() as u64 && requests * 10 >= server.count() as u64 * 9,
        "{requests} {}\n{}",
        server.count(),
        ended.stdout()
    );
}

#[test]
fn the_output_is_the_same_at_any_concurrency_and_after_any_number_of_kills() {
    let (one, many) = (skus(300), skus(300));
    let faulty = |seen: &Seen| match (seen.attempt, crc32fast::hash(seen.target.as_bytes()) % 20) {
        (1..=3, 0) => Reply::status(503),
        (1..=3, 1) => linked(seen).cut(7),
        _ => linked(seen).wait(Duration::from_millis(1)),
    };
    let server = ScriptedServer::start(linked);
    run(&one, &server, &["-c", "1"]).finish().expect_code(0);
    let server = ScriptedServer::start(faulty);
    let mut chance = fastrand::Rng::with_seed(7);
    for kill in 1..=4 {
        let mut ongoing = run(&many, &server, &["-c", "6"]).spawn();
        let until = server.count() + 100 + chance.usize(..60);
        ongoing.wait_until(|| server.count() >= until);
        ongoing.kill();
        assert_eq!(ongoing.wait().signal, Some(9), "{kill}");
    }
    run(&many, &server, &["-c", "6"]).finish().expect_code(0);
    assert!(one.read("out.json") == many.read("out.json"));
}

/// Memory is bounded however much the pages hold.
#[test]
fn many_large_pages_at_once_all_come_in_bounded_memory() {
    let dir = skus(48);
    let first: Mutex<Option<Instant>> = Mutex::default();
    let server = ScriptedServer::start(move |seen| {
        first.lock().unwrap().get_or_insert_with(Instant::now);
        let reply = Reply::json(format!("\"{}\"", "x".repeat(1 << 20)));
        let page = page_of(seen);
        if page < 4 { reply.header("Link", format!("<?page={}>; rel=next", page + 1)) } else { reply }
    });
    let url = server.url("/p/{sku}");
    let args = ["--next", "link", "-c", "32", "--select", "map(length)"];
    let ended = run_with_url(&dir, &url, args).finish().expect_code(0);
    assert!(ended.peak_memory < 200 << 20, "{} MiB", ended.peak_memory >> 20);
    for n in 0..48 {
        assert_eq!(line(&dir, &format!("A{n}")).as_deref(), Some("[1048576,1048576,1048576,1048576]"));
    }
}
