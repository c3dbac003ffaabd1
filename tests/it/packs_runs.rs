//! Runs with packs: what is promised of SKUs holds however they are packed.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::packs::{product, skus};
use crate::requests::run_with_url;
use crate::support::{Reply, ScriptedServer, Seen, WorkDir};

fn asked(seen: &Seen) -> Vec<String> {
    let ids = seen.query_value("ids").unwrap_or_default();
    String::from_utf8(ids).unwrap().split(',').map(str::to_owned).collect()
}

fn answer(seen: &Seen) -> Reply {
    let products: Vec<String> = asked(seen).iter().map(|sku| product(sku)).collect();
    Reply::json(format!("[{}]", products.join(",")))
}

const KEY: [&str; 2] = ["--bulk-key", ".sku"];

#[test]
fn a_killed_run_goes_on_with_packs_of_another_size_and_asks_for_nothing_twice() {
    let server = ScriptedServer::start(|seen| answer(seen).wait(Duration::from_millis(30)));
    let dir = skus(300);
    let url = server.url("/p?ids={items}");
    let mut run = run_with_url(&dir, &url, ["-c", "2", "--bulk", "10"].iter().chain(&KEY)).spawn();
    server.wait_for(12);
    run.kill();
    drop(run);
    let had = dir.read("out.json.journal").matches("\"answer\"").count();
    assert!(had >= 60, "{had}");
    let before = server.count();
    run_with_url(&dir, &url, ["--bulk", "50"].iter().chain(&KEY)).finish().expect_code(0);
    let later: Vec<String> =
        server.requests().split_off(before).iter().flat_map(|seen| asked(seen)).collect();
    assert_eq!(later.len(), 300 - had);
    let lines: Vec<String> = (0..300).map(|n| format!("\"A{n}\":{}", product(&format!("A{n}")))).collect();
    assert_eq!(dir.read("out.json"), format!("{{\n{}\n}}\n", lines.join(",\n")));
}

#[test]
fn a_signal_leaves_packs_that_were_not_sent_to_the_next_run() {
    let server = ScriptedServer::start(|seen| answer(seen).wait(Duration::from_millis(50)));
    let dir = skus(500);
    let url = server.url("/p?ids={items}");
    let args = ["-c", "1", "--bulk", "10"];
    let mut run = run_with_url(&dir, &url, args.iter().chain(&KEY)).spawn();
    server.wait_for(5);
    run.wait_until_it_hears(Signal::TERM);
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    run_with_url(&dir, &url, ["--bulk", "100"].iter().chain(&KEY)).finish().expect_code(0);
    assert_eq!(dir.read("out.json").lines().count(), 502);
}

#[test]
fn the_failure_file_comes_back_in_packs_and_merges_and_young_values_are_left_alone() {
    let server = ScriptedServer::start(|seen| {
        let some: Vec<String> =
            asked(seen).into_iter().filter(|sku| seen.number > 2 || sku.ends_with('1')).collect();
        let products: Vec<String> = some.iter().map(|sku| product(sku)).collect();
        Reply::json(format!("[{}]", products.join(",")))
    });
    let dir = skus(30);
    let url = server.url("/p?ids={items}");
    let bulk = ["--bulk", "10", "--min-success", "0"];
    run_with_url(&dir, &url, bulk.iter().chain(&KEY)).finish().expect_code(1);
    assert_eq!(dir.read("out.failed.csv").lines().count(), 28);
    let again = ["out.failed.csv", "-o", "out.json", "--merge", "--url", &url];
    crate::support::Run::new(&dir).args(again.iter().chain(&bulk).chain(&KEY)).finish().expect_code(0);
    assert_eq!(server.count(), 6);
    assert_eq!(dir.read("out.json").lines().count(), 32);
    let young = ["--merge", "--max-age", "1h"];
    run_with_url(&dir, &url, bulk.iter().chain(&KEY).chain(&young)).finish().expect_code(0);
    assert_eq!(server.count(), 6, "every value is young");
}

#[test]
fn a_rate_of_keys_counts_the_skus_of_each_request() {
    let server = ScriptedServer::start(answer);
    let dir = skus(40);
    let args = ["--bulk", "10", "--rate", "20 keys/s"];
    let started = Instant::now();
    run_with_url(&dir, &server.url("/p?ids={items}"), args.iter().chain(&KEY)).finish().expect_code(0);
    // Ten at once, and thirty at twenty a second.
    assert!(started.elapsed() >= Duration::from_millis(1_400), "{:?}", started.elapsed());
    assert_eq!(server.count(), 4);
}

#[test]
fn rows_that_come_slowly_are_not_held_for_a_full_pack() {
    let server = ScriptedServer::start(answer);
    let dir = WorkDir::new();
    let url = server.url("/p?ids={items}");
    let args = ["-", "-o", "out.json", "--url", &url, "--bulk", "100"];
    let mut run = crate::support::Run::new(&dir).args(args.iter().chain(&KEY)).open_stdin().spawn();
    run.feed("sku\nA1\nA2\n");
    server.wait_for(1);
    run.feed("A3\n");
    server.wait_for(2);
    run.close_stdin();
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(server.requests().iter().map(|seen| asked(seen).len()).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn tune_measures_packs() {
    let server = ScriptedServer::start(|seen| answer(seen).wait(Duration::from_millis(5)));
    let dir = skus(2_000);
    let url = server.url("/p?ids={items}");
    let args = ["tune", "products.csv", "--url", &url, "--bulk", "20", "-c", "4", "--max-time", "20s"];
    let ended = crate::support::Run::new(&dir).args(args.iter().chain(&KEY)).finish().expect_code(0);
    assert!(ended.stdout().contains("--bulk 20"), "{}", ended.stdout());
    assert!(server.count() <= 100, "{}", server.count());
    assert!(server.requests().iter().all(|seen| asked(seen).len() == 20));
}

/// A job drawn by chance: what the server has of each SKU, and what it takes.
struct Draw {
    skus: usize,
    /// The size of packs before the kill, and after it.
    sizes: [usize; 2],
    /// A larger pack is refused.
    most: usize,
    /// The run is killed after so many requests.
    killed_after: usize,
    /// One request in so many fails for a reason of its own.
    flaky: usize,
}

/// What becomes of a SKU.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Comes,
    /// 404 for the whole pack, and null for the SKU.
    Unknown,
    /// The answer leaves it out, and null is stored.
    LeftOut,
    /// The answer has it twice, and it fails.
    Twice,
}

fn fate(seed: u64, sku: &str) -> Fate {
    match crc32fast::hash(format!("{seed} {sku}").as_bytes()) % 40 {
        0 => Fate::Unknown,
        1 => Fate::LeftOut,
        2 => Fate::Twice,
        _ => Fate::Comes,
    }
}

/// Answers, refuses what is too large or has an unknown SKU, and fails now and then.
fn drawn_answer(seed: u64, draw: &Draw, request: &Seen) -> Reply {
    let skus = asked(request);
    let chance = crc32fast::hash(format!("{seed} {}", request.number).as_bytes()) as usize;
    if draw.flaky > 0 && chance.is_multiple_of(draw.flaky) {
        return Reply::status(503).wait(Duration::from_millis(2));
    }
    if skus.len() > draw.most {
        return Reply::status(if seed.is_multiple_of(2) { 400 } else { 413 });
    }
    if skus.iter().any(|sku| fate(seed, sku) == Fate::Unknown) {
        return Reply::status(404);
    }
    let mut products: Vec<String> = Vec::new();
    for sku in skus.iter().rev() {
        let times = match fate(seed, sku) {
            Fate::LeftOut => 0,
            Fate::Twice => 2,
            Fate::Comes | Fate::Unknown => 1,
        };
        products.extend((0..times).map(|_| product(sku)));
    }
    // Alone it would be the answer to another request.
    if !products.is_empty() {
        products.push(product("FOREIGN"));
    }
    Reply::json(format!("[{}]", products.join(","))).wait(Duration::from_millis(3))
}

#[test]
fn whatever_the_size_the_faults_and_the_kills_the_output_is_that_of_one_request_for_each_sku() {
    std::thread::scope(|scope| {
        for seed in 0..8_u64 {
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                let draw = Draw {
                    skus: rng.usize(40..250),
                    sizes: [rng.usize(1..100), rng.usize(1..100)],
                    most: if rng.bool() { 1_000 } else { rng.usize(1..60) },
                    killed_after: rng.usize(1..8),
                    flaky: rng.usize(0..3) * 7,
                };
                let keys: Vec<String> = (0..draw.skus).map(|n| format!("A{n}")).collect();
                let stored = keys.iter().filter_map(|sku| match fate(seed, sku) {
                    Fate::Comes => Some(format!("\"{sku}\":{}", product(sku))),
                    Fate::Unknown | Fate::LeftOut => Some(format!("\"{sku}\":null")),
                    Fate::Twice => None,
                });
                let expected = format!("{{\n{}\n}}\n", stored.collect::<Vec<_>>().join(",\n"));
                let failed = keys.iter().filter(|sku| fate(seed, sku) == Fate::Twice).count();
                let (sizes, killed_after) = (draw.sizes.map(|size| size.to_string()), draw.killed_after);
                let server = ScriptedServer::start(move |seen| drawn_answer(seed, &draw, seen));
                let dir = skus(keys.len());
                let url = server.url("/p?ids={items}");
                let args = ["--null-on", "404,missing", "-c", "3", "--bulk-key", ".sku", "--bulk"];
                let mut run = run_with_url(&dir, &url, args.iter().chain(&[sizes[0].as_str()])).spawn();
                run.wait_until(|| server.count() >= killed_after);
                run.kill();
                drop(run);
                if !dir.has("out.json") {
                    let code = i32::from(failed > 0);
                    run_with_url(&dir, &url, args.iter().chain(&[sizes[1].as_str()]))
                        .finish()
                        .expect_code(code);
                }
                let out = dir.read("out.json");
                let differs = out.lines().zip(expected.lines()).find(|(line, other)| line != other);
                assert!(out == expected, "seed {seed}: {differs:?}");
                let rows = if failed > 0 { dir.read("out.failed.csv").lines().count() - 1 } else { 0 };
                assert_eq!(rows, failed, "seed {seed}");
            });
        }
    });
}
