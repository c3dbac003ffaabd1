//! Signals: requests in flight end, the journal is safe, nothing is published, and the exit names the signal.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::output_kit::{counts, echoed, fetch, fetch_to, messages, skus};
use crate::support::{Reply, ScriptedServer, WorkDir};

/// Answers after so many milliseconds.
fn slow(millis: u64) -> ScriptedServer {
    ScriptedServer::start(move |seen| Reply::echo(seen).wait(Duration::from_millis(millis)))
}

fn is_temporary(name: &str) -> bool {
    name.starts_with(".out.json.") && !name.contains("state")
}

#[test]
fn a_signal_drains_what_is_in_flight_keeps_the_journal_and_publishes_nothing() {
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
        let (dir, server) = (WorkDir::new(), slow(150));
        let skus = skus(60);
        dir.write_skus(&skus);
        dir.write("out.json", "old");
        let run = fetch(&dir, &server).args(["-c", "5"]).spawn();
        server.wait_for(12);
        run.signal(signal);
        let ended = run.wait().expect_code(128 + number);
        let requested = server.count();
        assert!(requested <= 20, "no new requests: {requested}");
        assert_eq!(server.abandoned(), 0, "those in flight were waited for");
        assert_eq!(counts(&ended), [60, requested as u64, 0, 0, 0, 60 - requested as u64]);
        assert_eq!(dir.read("out.json"), "old");
        assert!(!dir.has("out.failed.csv"));
        let name = ["", "SIGHUP", "SIGINT"].get(usize::try_from(number).unwrap()).unwrap_or(&"SIGTERM");
        assert!(messages(&ended).contains(&format!("stopped by {name}")), "{}", ended.stderr);
        let again = dir.read("out.json.journal").lines().filter(|line| line.contains("\"fetched\"")).count();
        assert_eq!(again, requested);
        // The same command goes on: nothing that was answered is requested again. The journal belongs to
        // the template, so the second server has to be where the first was.
        let addr = server.addr();
        drop(server);
        let server = ScriptedServer::start_at(addr, Reply::echo);
        let ended = fetch(&dir, &server).finish().expect_code(0);
        assert_eq!(server.count(), 60 - requested);
        assert_eq!(counts(&ended), [60, 60, 0, 0, 0, 0]);
        assert_eq!(dir.read("out.json"), echoed(&skus));
    }
}

#[test]
fn a_drain_ends_after_ten_seconds_and_what_hung_is_deferred() {
    let dir = WorkDir::new();
    dir.write_skus(skus(20));
    let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "S0002" => Reply::silence(),
        _ => Reply::echo(seen).wait(Duration::from_millis(30)),
    });
    let run = fetch(&dir, &server).args(["-c", "1", "--timeout", "10m"]).spawn();
    server.wait_for(3);
    run.signal(Signal::TERM);
    let ended = run.wait().expect_code(143);
    assert!(ended.took >= Duration::from_secs(10), "{:?}", ended.took);
    assert_eq!(counts(&ended), [20, 2, 0, 0, 0, 18]);
}

#[test]
fn a_second_signal_stops_at_once_with_the_journal_safe() {
    let dir = WorkDir::new();
    dir.write_skus(skus(20));
    dir.write("out.json", "old");
    let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "S0005" => Reply::silence(),
        _ => Reply::echo(seen),
    });
    let mut run = fetch(&dir, &server).args(["-c", "1", "--timeout", "10m"]).spawn();
    server.wait_for(6);
    run.signal(Signal::INT);
    run.wait_for_stderr("stopping");
    run.signal(Signal::INT);
    let ended = run.wait().expect_code(130);
    assert!(ended.took < Duration::from_secs(10), "it did not wait for the drain");
    assert_eq!(dir.read("out.json"), "old");
    let journal = dir.read("out.json.journal");
    assert_eq!(journal.lines().filter(|line| line.contains("\"fetched\"")).count(), 5);
}

#[test]
fn a_signal_during_a_pause_or_a_back_off_does_not_wait_for_its_end() {
    let dir = WorkDir::new();
    dir.write_skus(skus(5));
    let server = ScriptedServer::start(|_| Reply::retry_after(429, "120"));
    let run = fetch(&dir, &server).spawn();
    server.wait_for(1);
    thread::sleep(Duration::from_millis(50));
    run.signal(Signal::TERM);
    let ended = run.wait().expect_code(143);
    assert!(ended.took < Duration::from_secs(100));
    assert_eq!(counts(&ended), [5, 0, 0, 0, 0, 5], "deferred, not failed");
}

#[test]
fn a_signal_while_a_silent_pipe_is_read_ends_the_run() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let url = server.url("/p/{sku}");
    let mut run = crate::support::Run::new(&dir)
        .args(["-", "-o", "out.json", "--log-format", "json", "--url", &url])
        .open_stdin()
        .spawn();
    run.feed("sku\n1\n2\n");
    server.wait_for(2);
    server.wait_until(|server| server.in_flight() == 0);
    run.signal(Signal::TERM);
    // The pipe stays open until the run has ended.
    run.wait_for_stderr("finished");
    let ended = run.wait().expect_code(143);
    assert_eq!(counts(&ended)[1], 2);
    assert!(dir.has("out.json.journal") && !dir.has("out.json"));
}

#[test]
fn a_hang_up_that_was_ignored_at_the_start_stays_ignored() {
    let (dir, server) = (WorkDir::new(), slow(40));
    dir.write_skus(skus(20));
    let run = fetch(&dir, &server).args(["-c", "2"]).after_shell("trap '' HUP").spawn();
    server.wait_for(4);
    run.signal(Signal::HUP);
    let ended = run.wait().expect_code(0);
    assert_eq!(counts(&ended), [20, 20, 0, 0, 0, 0]);
    // The others still stop it.
    let run = fetch(&dir, &server).args(["-c", "2"]).after_shell("trap '' HUP").spawn();
    server.wait_for(24);
    run.signal(Signal::HUP);
    run.signal(Signal::TERM);
    run.wait().expect_code(143);
}

#[test]
fn a_signal_during_publishing_leaves_the_old_output_or_the_new_one_and_says_which() {
    let skus = skus(120);
    let body = format!("\"{}\"", "x".repeat(200_000));
    let server = ScriptedServer::start(move |_| Reply::json(body.clone()));
    let mut stopped = 0;
    for moment in 0..4 {
        let dir = WorkDir::new();
        dir.write_skus(&skus);
        dir.write("out.json", "old");
        let asked_before = server.count();
        let run = fetch(&dir, &server).spawn();
        server.wait_for(asked_before + 120);
        server.wait_until(|server| server.in_flight() == 0);
        thread::sleep(Duration::from_millis(moment * 5));
        run.signal(Signal::TERM);
        let ended = run.wait();
        let was_stopped = ended.code == Some(143);
        if was_stopped {
            stopped += 1;
            assert_eq!(dir.bytes("out.json").len(), 3, "it was said that nothing was published");
            assert!(dir.has("out.json.journal"), "it is what the next run goes on from");
        } else {
            let ended = ended.expect_code(0);
            assert_eq!(counts(&ended), [120, 120, 0, 0, 0, 0]);
            assert!(dir.bytes("out.json").len() > 20_000_000);
        }
        let requested = server.count();
        fetch(&dir, &server).finish().expect_code(0);
        assert!(!was_stopped || server.count() == requested, "all was answered before");
        assert!(dir.bytes("out.json").len() > 20_000_000);
        assert!(!dir.names().iter().any(|name| is_temporary(name)), "{:?}", dir.names());
    }
    assert!(stopped > 0, "no signal came before the new output stood");
}

#[test]
fn a_signal_while_standard_output_is_not_read_ends_the_run() {
    let dir = WorkDir::new();
    dir.write_skus(skus(20));
    let body = format!("\"{}\"", "x".repeat(50_000));
    let server = ScriptedServer::start(move |_| Reply::json(body.clone()));
    let (reader, writer) = std::io::pipe().unwrap();
    let run = fetch_to(&dir, &server, "-").stdout(writer).spawn();
    server.wait_for(20);
    server.wait_until(|server| server.in_flight() == 0);
    thread::sleep(Duration::from_millis(200));
    run.signal(Signal::TERM);
    run.wait().expect_code(143);
    drop(reader);
}
