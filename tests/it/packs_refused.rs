//! Packs that the server refuses: for a SKU in them, for their size, or as a whole.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use crate::packs::{product, skus};
use crate::requests::run_with_url;
use crate::support::{Ended, Reply, ScriptedServer, Seen, WorkDir};

fn asked(seen: &Seen) -> Vec<String> {
    let ids = seen.query_value("ids").unwrap();
    String::from_utf8(ids).unwrap().split(',').map(str::to_owned).collect()
}

fn list(skus: &[String]) -> Reply {
    let products: Vec<String> = skus.iter().map(|sku| product(sku)).collect();
    Reply::json(format!("[{}]", products.join(",")))
}

/// Refuses a pack with one of these SKUs, with this status.
fn refusing(status: u16, poison: &'static [&'static str]) -> ScriptedServer {
    ScriptedServer::start(move |seen| {
        let skus = asked(seen);
        if skus.iter().any(|sku| poison.contains(&sku.as_str())) {
            Reply::status(status)
        } else {
            list(&skus)
        }
    })
}

fn fetch(dir: &WorkDir, server: &ScriptedServer, args: &[&str]) -> Ended {
    let url = server.url("/p?ids={items}");
    run_with_url(dir, &url, ["--bulk-key", ".sku"].iter().chain(args)).finish()
}

/// The SKUs of the failure file.
fn failed(dir: &WorkDir) -> BTreeSet<String> {
    let rows = dir.read("out.failed.csv");
    rows.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned()).collect()
}

#[test]
fn three_refused_skus_of_a_hundred_are_found_at_the_promised_cost() {
    thread::scope(|scope| {
        for status in [400, 404, 410, 422] {
            scope.spawn(move || {
                let server = refusing(status, &["A0", "A50", "A99"]);
                let dir = skus(100);
                let ended = fetch(&dir, &server, &["--bulk", "100"]).expect_code(1);
                assert_eq!(failed(&dir), ["A0", "A50", "A99"].map(str::to_owned).into());
                assert!(ended.stderr.contains(&format!("{status} from")), "{}", ended.stderr);
                assert!(server.count() <= 1 + 2 * 3 * 7, "{} requests", server.count());
                assert_eq!(dir.read("out.json").lines().count(), 99);
            });
        }
    });
}

#[test]
fn a_404_that_is_stored_as_null_is_null_for_its_sku_alone() {
    let (server, dir) = (refusing(404, &["A3"]), skus(10));
    fetch(&dir, &server, &["--bulk", "10", "--null-on", "404"]).expect_code(0);
    let out = dir.read("out.json");
    assert!(out.contains("\"A3\":null") && out.matches("null").count() == 1, "{out}");
}

#[test]
fn a_size_that_the_server_does_not_take_is_lowered_for_the_run() {
    thread::scope(|scope| {
        for status in [400, 413, 414] {
            scope.spawn(move || {
                let server = ScriptedServer::start(move |seen| {
                    let skus = asked(seen);
                    if skus.len() > 30 { Reply::status(status) } else { list(&skus) }
                });
                let dir = skus(400);
                fetch(&dir, &server, &["-c", "1", "--bulk", "100"]).expect_code(0);
                assert_eq!(dir.read("out.json").lines().count(), 402);
                let requests = server.requests();
                let refused = requests.iter().filter(|seen| asked(seen).len() > 30).count();
                assert!(refused <= 12, "{status}: {refused} of {} were too large", requests.len());
                assert!(requests.iter().skip(20).all(|seen| asked(seen).len() <= 30), "{status}");
            });
        }
    });
}

#[test]
fn an_answer_over_the_largest_body_is_asked_for_in_smaller_packs() {
    let server = ScriptedServer::start(|seen| list(&asked(seen)));
    let dir = skus(64);
    // A product has about 80 bytes.
    fetch(&dir, &server, &["--bulk", "64", "--max-body", "1500"]).expect_code(0);
    assert_eq!(dir.read("out.json").lines().count(), 66);
    assert!(server.count() < 12, "{}", server.count());
}

#[test]
fn statuses_that_say_nothing_about_a_sku_never_halve_a_pack() {
    for (status, code, requests) in [(500, 69, 5), (401, 77, 1), (403, 77, 1)] {
        let server = ScriptedServer::start(move |_| Reply::status(status));
        let dir = skus(10);
        fetch(&dir, &server, &["--bulk", "10", "--retries", "1"]).expect_code(code);
        assert!(server.count() <= requests, "{status}: {}", server.count());
        assert!(server.requests().iter().all(|seen| asked(seen).len() == 10), "{status}");
    }
}

#[test]
fn a_request_that_is_wrong_for_every_sku_ends_the_run() {
    let server = ScriptedServer::start(|_| Reply::json(r#"{"error":"unknown field ids"}"#).with_status(400));
    let dir = skus(200);
    let ended = fetch(&dir, &server, &["--bulk", "50"]).expect_code(69);
    assert!(
        ended.stderr.contains("the API refuses every SKU: 20 SKUs were requested alone, 20 refused"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("unknown field ids"), "{}", ended.stderr);
    assert!(server.count() < 150, "{}", server.count());
    assert!(!dir.has("out.json"));
}

#[test]
fn refused_credentials_of_a_pack_are_one_answer_and_expired_ones_lose_nothing() {
    // Good answers for three packs, then 401 for good.
    let server =
        ScriptedServer::start(|seen| if seen.number < 3 { list(&asked(seen)) } else { Reply::status(401) });
    let dir = skus(400);
    let ended = fetch(&dir, &server, &["-c", "1", "--bulk", "10"]).expect_code(77);
    assert!(ended.stderr.contains("the API refuses the credentials"), "{}", ended.stderr);
    assert!((10..=30).contains(&server.count()), "{}", server.count());
    assert!(!dir.has("out.failed.csv"), "no SKU failed for it");
    assert_eq!(dir.read("out.json.journal").matches("\"answer\"").count(), 30, "what came is kept");
}

#[test]
fn limits_and_faults_treat_a_pack_as_one_attempt_of_each_of_its_skus() {
    let server = ScriptedServer::start(|seen| match seen.number {
        0 => Reply::retry_after(429, "1"),
        1 => Reply::status(503),
        2 => list(&asked(seen)).cut(40),
        _ => list(&asked(seen)),
    });
    let dir = skus(10);
    let ended = fetch(&dir, &server, &["--bulk", "10"]).expect_code(0);
    assert_eq!(server.count(), 4, "{}", ended.stderr);
    assert!(ended.took >= Duration::from_secs(1));
    assert!(server.requests().iter().all(|seen| asked(seen).len() == 10));
}

#[test]
fn whatever_is_stored_as_null_may_be_one_sku_of_its_pack_and_packs_stay_as_large_as_they_were() {
    thread::scope(|scope| {
        for status in [403, 404, 409, 451, 500] {
            scope.spawn(move || {
                let server = refusing(status, &["A0", "A100"]);
                let dir = skus(400);
                let codes = status.to_string();
                fetch(&dir, &server, &["-c", "2", "--bulk", "40", "--null-on", &codes]).expect_code(0);
                assert_eq!(dir.read("out.json").matches(":null").count(), 2, "{status}");
                assert!(server.count() <= 10 + 2 * 2 * 6, "{status}: {} requests", server.count());
            });
        }
    });
}

#[test]
fn an_item_that_spoils_the_whole_answer_fails_alone() {
    // Half of a surrogate pair is no JSON.
    let server = ScriptedServer::start(|seen| {
        let products: Vec<String> = asked(seen)
            .iter()
            .map(|sku| if sku == "A3" { r#"{"sku":"A3","name":"\ud800"}"#.to_owned() } else { product(sku) })
            .collect();
        Reply::json(format!("[{}]", products.join(",")))
    });
    let dir = skus(40);
    fetch(&dir, &server, &["--bulk", "40"]).expect_code(1);
    assert_eq!(failed(&dir), ["A3"].map(str::to_owned).into());
    // And so does one for which the whole is an error.
    let server = ScriptedServer::start(|seen| {
        let skus = asked(seen);
        if skus.iter().any(|sku| sku == "A7") { Reply::json(r#"{"error":"bad id"}"#) } else { list(&skus) }
    });
    fetch(&dir, &server, &["--bulk", "40", "--fail-if", ".error", "--fresh"]).expect_code(1);
    assert_eq!(failed(&dir), ["A7"].map(str::to_owned).into());
}
