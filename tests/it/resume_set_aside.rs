//! Journals that were set aside: what they are for, when they are taken up again, and when they are not.

use crate::output_kit::{finished, keys, messages, plain, skus};
use crate::support::{Ended, Reply, Run, ScriptedServer, WorkDir};

/// Ten SKUs, of which the last is never answered: with `--min-success 100` a run leaves its journal.
fn shop() -> (WorkDir, ScriptedServer) {
    let dir = WorkDir::new();
    dir.write_skus(skus(10));
    let last = skus(10).pop().unwrap();
    let answer = move |seen: &crate::support::Seen| {
        if seen.sku == last { Reply::status(404) } else { Reply::echo(seen) }
    };
    (dir, ScriptedServer::start(answer))
}

/// The job with this path in its address; published where nine of ten are enough.
fn run<'a>(dir: &'a WorkDir, server: &ScriptedServer, path: &str, least: &str) -> Run<'a> {
    let url = server.url(&format!("/{path}/{{sku}}"));
    let args = ["products.csv", "-o", "out.json", "-u", &url, "--min-success", least, "--log-format", "json"];
    Run::new(dir).args(args)
}

fn recovered(ended: &Ended) -> u64 {
    finished(ended)["recovered"].as_u64().unwrap()
}

fn journals(dir: &WorkDir) -> Vec<String> {
    let mut names = dir.names();
    names.retain(|name| name.starts_with("out.json.journal"));
    names
}

#[test]
fn one_stray_run_with_another_address_costs_no_answer() {
    let (dir, server) = shop();
    run(&dir, &server, "right", "100").finish().expect_code(69);
    run(&dir, &server, "stray", "100").finish().expect_code(69);
    assert_eq!(journals(&dir), ["out.json.journal", "out.json.journal.1"]);

    let plan = run(&dir, &server, "right", "50").args(["--dry-run"]).finish().expect_code(0);
    for part in [
        "out.json.journal would be set aside",
        "out.json.journal.1 belongs to this job",
        "requests  1 with GET",
    ] {
        assert!(plan.stdout().contains(part), "{part}: {}", plan.stdout());
    }
    assert_eq!(journals(&dir), ["out.json.journal", "out.json.journal.1"], "a plan leaves no trace");

    let ended = run(&dir, &server, "right", "50").finish().expect_code(1);
    assert_eq!((recovered(&ended), server.count()), (9, 21), "the failed one alone is asked for again");
    assert!(messages(&ended).contains("out.json.journal.1 belongs to this job"), "{}", ended.stderr);
    assert_eq!(keys(&dir.read("out.json")), skus(9));
    assert_eq!(journals(&dir), ["out.json.journal.2"], "the stray run's");

    let ended = run(&dir, &server, "stray", "50").finish().expect_code(1);
    assert_eq!((recovered(&ended), server.count()), (9, 22));
    assert_eq!(journals(&dir), [""; 0]);
}

#[test]
fn a_stray_run_without_an_answer_sets_nothing_aside() {
    let (dir, server) = shop();
    run(&dir, &server, "right", "100").finish().expect_code(69);
    let nowhere = "http://127.0.0.1:9/{sku}";
    let stray =
        ["products.csv", "-o", "out.json", "-u", nowhere, "--retries", "0", "--connect-timeout", "1s"];
    Run::new(&dir).args(stray).finish().expect_code(69);
    let ended = run(&dir, &server, "right", "50").finish().expect_code(1);
    assert_eq!((recovered(&ended), server.count()), (9, 11));
    assert_eq!(journals(&dir), [""; 0]);
}

#[test]
fn what_fresh_sets_aside_is_never_resumed() {
    let (dir, server) = shop();
    run(&dir, &server, "right", "100").finish().expect_code(69);
    let ended = run(&dir, &server, "right", "50").args(["--fresh"]).finish().expect_code(1);
    assert_eq!((recovered(&ended), server.count()), (0, 20));
    assert_eq!(journals(&dir), ["out.json.journal.1"]);
    let ended = run(&dir, &server, "right", "50").finish().expect_code(1);
    assert_eq!((recovered(&ended), server.count()), (0, 30), "it was given up");
    assert_eq!(journals(&dir), ["out.json.journal.1"], "and is kept for people");
}

#[test]
fn a_damaged_journal_that_was_set_aside_is_named_and_ends_no_run() {
    let (dir, server) = shop();
    run(&dir, &server, "right", "100").finish().expect_code(69);
    run(&dir, &server, "stray", "100").finish().expect_code(69);
    let mut bytes = dir.bytes("out.json.journal.1");
    let at = memchr::memmem::find(&bytes, b"\"fetched\"").unwrap() + 30;
    bytes[at] ^= 1;
    dir.write("out.json.journal.1", &bytes);
    let ended = run(&dir, &server, "right", "50").finish().expect_code(1);
    assert!(messages(&ended).contains("out.json.journal.1 is damaged"), "{}", ended.stderr);
    assert_eq!((recovered(&ended), server.count()), (0, 30));
    assert_eq!(dir.bytes("out.json.journal.1"), bytes);
    let ended = run(&dir, &server, "right", "50").finish().expect_code(1);
    assert!(!messages(&ended).contains("damaged"), "once is enough: {}", ended.stderr);
}

#[test]
fn the_text_names_the_journal_that_the_run_resumes() {
    let (dir, server) = shop();
    plain(&dir, &server, "out.json").args(["--min-success", "100"]).finish().expect_code(69);
    run(&dir, &server, "stray", "100").finish().expect_code(69);
    let ended = plain(&dir, &server, "out.json").finish().expect_code(1);
    assert!(
        ended.stderr.contains("out.json.journal.1 belongs to this job; its answers are used"),
        "{}",
        ended.stderr
    );
}
