//! The main job on the shipped catalogue, against the built-in API: what a newcomer sees first.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use skufetch::testing::demo::{Catalogue, DemoSettings};

use crate::support::{Run, WorkDir};

fn products() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/products.csv").display().to_string()
}

/// The last JSON line on standard error: the summary.
fn summary(stderr: &str) -> Value {
    let finished = stderr.lines().rev().find(|line| line.contains("\"finished\"")).expect(stderr);
    serde_json::from_str(finished).unwrap()
}

#[test]
fn the_newcomers_command_fetches_the_catalogue() {
    let dir = WorkDir::new();
    let run = ["-o", "out.json", "--demo", "--demo-latency", "1ms"];
    let ended = Run::new(&dir).args([products().as_str()]).args(run).finish().expect_code(0);
    assert!(ended.stderr.contains("5,994 SKUs (6,000 rows) in "), "{}", ended.stderr);
    assert!(ended.stderr.contains("5,994 fetched, 6 repeats · "), "{}", ended.stderr);
    assert!(ended.stderr.contains("limited by: "));
    let merged: serde_json::Map<String, Value> = serde_json::from_str(&dir.read("out.json")).unwrap();
    assert_eq!(merged.len(), 5_994);
    assert!(merged.iter().all(|(key, body)| body["sku"] == key.as_str()));
    assert!(!dir.has("out.failed.csv") && !dir.has("out.json.journal"));
}

#[test]
fn products_are_missing_if_that_is_asked_for() {
    let dir = WorkDir::new();
    let run = ["-o", "out.json", "--demo", "--demo-latency", "1ms", "--demo-missing", "0.1%"];
    let ended = Run::new(&dir).args([products().as_str()]).args(run).finish().expect_code(1);
    assert!(ended.stderr.contains("5,985 fetched, 9 failed (9 not found), 6 repeats · "), "{}", ended.stderr);
    assert_eq!(dir.read("out.failed.csv").lines().count(), 10);
}

#[test]
fn the_summary_agrees_with_the_apis_own_count() {
    let dir = WorkDir::new();
    let api = Catalogue::start(&DemoSettings {
        latency: Duration::ZERO,
        failures: 0.02,
        missing: 0.001,
        rate: None,
    })
    .unwrap();
    let url = api.url_template();
    let ended = Run::new(&dir)
        .args([products().as_str(), "-u", &url, "-o", "out.json", "--log-format", "json"])
        .finish()
        .expect_code(1);
    let (reported, served) = (summary(&ended.stderr), api.counts());
    assert_eq!(reported["attempts"], served.requests);
    // Several SKUs at a time that get a 503 are taken for refused.
    let again = reported["retries"].as_u64().unwrap() + reported["refused"].as_u64().unwrap();
    assert_eq!(again, served.unavailable);
    assert_eq!(reported["fetched"], served.ok);
    assert_eq!(reported["failed"], served.not_found);
    assert_eq!(reported["rows"], 6_000);
}

#[test]
fn a_second_night_transfers_only_what_changed() {
    let dir = WorkDir::new();
    let args = [products(), "-o".into(), "out.json".into(), "--demo".into(), "--demo-latency=1ms".into()];
    Run::new(&dir).args(&args).finish().expect_code(0);
    let first = dir.bytes("out.json");
    let again = Run::new(&dir).args(&args).finish().expect_code(0);
    assert!(again.stderr.contains("5,994 unchanged"), "{}", again.stderr);
    assert_eq!(dir.bytes("out.json"), first);
}

#[test]
fn an_interrupted_demo_is_resumed() {
    let dir = WorkDir::new();
    let args = [products(), "-o".into(), "out.json".into(), "--demo".into(), "--demo-latency=20ms".into()];
    let mut run = Run::new(&dir).args(&args).spawn();
    run.wait_until(|| dir.has("out.json.journal") && dir.bytes("out.json.journal").len() > 200_000);
    run.signal(Signal::INT);
    assert_eq!(run.wait().code, Some(130));
    let resumed = Run::new(&dir).args(&args).finish().expect_code(0);
    assert!(resumed.stderr.contains("from the journal"), "{}", resumed.stderr);
    assert!(!resumed.stderr.contains("set aside"), "{}", resumed.stderr);
}
