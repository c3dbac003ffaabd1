//! `kill -9` at any moment, and two runs on one output.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::output_kit::{counts, echoed, fetch, messages, skus};
use crate::support::{Reply, Run, ScriptedServer, Seen, WorkDir};

/// Kills one run of 5,000 SKUs at so many random moments, against a server with faults that takes this
/// long for an answer.
fn killed_again_and_again(kills: u64, latency: Duration) {
    let dir = WorkDir::new();
    let skus = skus(5000);
    dir.write_skus(&skus);
    let answered: &'static AtomicU64 = Box::leak(Box::default());
    let server = ScriptedServer::start(move |seen| {
        let echo = Reply::echo(seen).wait(latency);
        match (seen.attempt, crc32fast::hash(seen.sku.as_bytes()) % 100) {
            (1, 0) => Reply::status(503),
            (1, 1) => echo.cut(7),
            (1, 2) => Reply::reset(),
            _ => {
                answered.fetch_add(1, Ordering::Relaxed);
                echo
            }
        }
    });
    let mut chance = fastrand::Rng::with_seed(kills);
    let step = 4900 / kills;
    let (mut killed, mut deaths) = (0, Vec::new());
    for kill in 0..kills {
        let mut run = fetch(&dir, &server).args(["-c", "6"]).spawn();
        // So spread that the last one still falls into the run.
        let moment = kill * step + chance.u64(1..step);
        run.wait_until(|| answered.load(Ordering::Relaxed) >= moment);
        // Not at the moment when a request has arrived, which is when an answer was read.
        thread::sleep(latency.mul_f64(2.0 * chance.f64()));
        run.kill();
        deaths.push(Instant::now());
        killed += u64::from(run.wait().signal == Some(9));
        assert!(!dir.has("out.json"), "nothing is published before all is there");
    }
    assert_eq!(killed, kills);
    let ended = fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(counts(&ended), [5000, 5000, 0, 0, 0, 0]);
    assert_eq!(crc32fast::hash(&dir.bytes("out.json")), crc32fast::hash(echoed(&skus).as_bytes()));
    // Asked for again though the answer had been sent to its last byte.
    server.wait_until(|server| server.in_flight() == 0);
    let mut whole = std::collections::HashMap::<String, Vec<[Instant; 2]>>::new();
    for seen in server.requests() {
        let first_fault = seen.attempt == 1 && crc32fast::hash(seen.sku.as_bytes()) % 100 < 3;
        if let Some(at) = seen.answered().filter(|_| !first_fault) {
            whole.entry(seen.sku.clone()).or_default().push([seen.at, at]);
        }
    }
    let mut oldest = Duration::ZERO;
    for answers in whole.values() {
        for pair in answers.windows(2) {
            let ([_, lost], [again, _]) = (pair[0], pair[1]);
            let death = deaths.iter().rev().find(|death| **death <= again);
            oldest = oldest.max(death.expect("only a kill loses an answer").saturating_duration_since(lost));
        }
    }
    let twice = whole.values().filter(|answers| answers.len() > 1).count();
    println!("{twice} asked for twice after {kills} kills; the oldest lost answer was {oldest:?} old");
    assert!(oldest < Duration::from_secs(1), "at most the last second's work is lost, not {oldest:?}");
    assert!(twice * 50 < 5000, "{twice} of 5,000 were asked for again after {kills} kills");
}

#[test]
fn eight_kills_at_random_moments_end_in_the_same_bytes_with_few_requested_twice() {
    killed_again_and_again(8, Duration::from_millis(2));
}

#[test]
#[ignore = "takes half a minute: run it with --ignored"]
fn fifty_kills_at_random_moments_end_in_the_same_bytes_with_fewer_than_2_percent_requested_twice() {
    killed_again_and_again(50, Duration::from_millis(20));
}

#[test]
fn an_end_while_the_output_is_drafted_leaves_the_old_one_and_costs_no_answer() {
    let skus = skus(12);
    let body = |seen: &Seen| format!("\"{}{}\"", seen.sku, "x".repeat(500_000));
    for (drafted, signal) in [(1, Signal::KILL), (1_500_000, Signal::KILL), (1_500_000, Signal::INT)] {
        let dir = WorkDir::new();
        // A row that repeats another has no record, and must not hold the draft up.
        dir.write_skus(skus[..1].iter().chain(&skus));
        dir.write("out.json", "old");
        let server =
            ScriptedServer::start(move |seen| Reply::json(body(seen)).wait(Duration::from_millis(150)));
        let mut run = fetch(&dir, &server).args(["-c", "1"]).spawn();
        let is_draft = |name: &String| name.starts_with(".out.json.") && !name.contains("state");
        run.wait_until(|| {
            let size = |name: String| fs::metadata(dir.path(&name)).map_or(0, |found| found.len());
            dir.names().into_iter().filter(is_draft).map(size).sum::<u64>() >= drafted
        });
        assert!(server.count() < 12, "it was drafted at the end alone");
        run.signal(signal);
        run.wait();
        assert_eq!(dir.read("out.json"), "old");
        assert_eq!(dir.names().iter().any(is_draft), signal == Signal::KILL, "{:?}", dir.names());
        let requested = server.count();
        let addr = server.addr();
        drop(server);
        let server = ScriptedServer::start_at(addr, move |seen| Reply::json(body(seen)));
        fetch(&dir, &server).finish().expect_code(0);
        assert!(server.count() + requested <= 14, "{} and {requested} requests", server.count());
        let lines: Vec<String> =
            skus.iter().map(|sku| format!("\"{sku}\":\"{sku}{}\"", "x".repeat(500_000))).collect();
        assert!(dir.read("out.json") == format!("{{\n{}\n}}\n", lines.join(",\n")));
        assert!(!dir.names().iter().any(is_draft), "{:?}", dir.names());
    }
}

#[test]
fn a_second_run_on_the_same_output_exits_75_at_once_and_says_who_holds_it() {
    let dir = WorkDir::new();
    dir.write_skus(skus(6));
    let slow = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "S0003" => Reply::silence(),
        _ => Reply::echo(seen),
    });
    let mut first = fetch(&dir, &slow).args(["--timeout", "10m"]).spawn();
    slow.wait_for(6);
    let other = ScriptedServer::echo();
    let ended = fetch(&dir, &other).finish().expect_code(75);
    let text = messages(&ended);
    assert!(text.contains(&format!("process {}", first.id())), "{text}");
    assert!(text.contains("--lock-wait"), "{text}");
    fetch(&dir, &other).args(["--lock-wait", "150ms"]).finish().expect_code(75);
    assert_eq!(other.count(), 0, "no request was sent");
    // Another output in the same folder is another matter.
    crate::output_kit::fetch_to(&dir, &other, "other.json").finish().expect_code(0);
    // kill -9 of the first frees the lock.
    first.kill();
    first.wait();
    fetch(&dir, &other).finish().expect_code(0);
    assert_eq!(dir.read("out.json"), echoed(skus(6)));
}

#[test]
fn a_run_that_waits_for_the_lock_gets_it_when_it_is_freed() {
    let dir = WorkDir::new();
    dir.write_skus(skus(6));
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(100)));
    let first = fetch(&dir, &server).args(["-c", "1"]).spawn();
    server.wait_for(1);
    let second = fetch(&dir, &server).args(["--lock-wait", "1m"]).spawn();
    thread::sleep(Duration::from_millis(100));
    assert!(server.max_in_flight() <= 1, "the second waits");
    first.wait().expect_code(0);
    let ended = second.wait().expect_code(0);
    assert_eq!(counts(&ended), [6, 6, 0, 0, 0, 0]);
    assert_eq!(server.count(), 12);
}

#[test]
fn a_signal_ends_the_wait_for_the_lock() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let server = ScriptedServer::start(|_| Reply::silence());
    let _first = fetch(&dir, &server).args(["--timeout", "10m"]).spawn();
    server.wait_for(1);
    let mut second = fetch(&dir, &server).args(["--lock-wait", "1h"]).spawn();
    second.wait_until_it_hears(Signal::TERM);
    second.signal(Signal::TERM);
    let ended = second.wait().expect_code(143);
    assert!(ended.stderr.contains("stopped by SIGTERM before the first request"), "{}", ended.stderr);
    assert_eq!(server.count(), 1);
}

#[test]
fn a_link_to_the_output_is_not_a_way_around_its_lock() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    std::os::unix::fs::symlink("out.json", dir.path("link.json")).unwrap();
    let server = ScriptedServer::start(|_| Reply::silence());
    let _first = fetch(&dir, &server).args(["--timeout", "10m"]).spawn();
    server.wait_for(1);
    for name in ["./out.json", "link.json"] {
        let ended = Run::new(&dir)
            .args(["products.csv", "-o", name, "--max-time", "2s", "--url", &server.url("/p/{sku}")])
            .finish()
            .expect_code(75);
        assert!(ended.stderr.contains("another run"), "{name}: {}", ended.stderr);
    }
    assert_eq!(server.count(), 1);
}
