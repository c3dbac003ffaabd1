//! `skufetch merge`: the parts of a run become what one process would have left.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::output_kit::{counts, echoed, events, fetch, fetch_to, finished, messages, skus, without_times};
use crate::support::page::{self, PageFolder};
use crate::support::{Ended, Reply, Run, Script, ScriptedServer, WorkDir};

/// The part of a shard.
pub fn part(run: &str, index: u32, count: u32) -> String {
    format!("out.json.parts/{run}/{index:05}-of-{count:05}.jsonl")
}

/// One shard of `out.json`.
pub fn shard<'a>(
    dir: &'a WorkDir,
    server: &ScriptedServer,
    (index, count): (u32, u32),
    run: &str,
) -> Run<'a> {
    fetch(dir, server).args(["--shard", &format!("{index}/{count}"), "--run-id", run])
}

/// `skufetch merge -o out.json --run-id RUN`, its messages as JSON lines.
pub fn merge<'a>(dir: &'a WorkDir, run: &str) -> Run<'a> {
    merge_to(dir, "out.json", run)
}

fn merge_to<'a>(dir: &'a WorkDir, output: &str, run: &str) -> Run<'a> {
    Run::new(dir).args(["merge", "-o", output, "--run-id", run, "--log-format", "json"])
}

/// All shards of `output`, several at once.
fn shards(dir: &WorkDir, server: &ScriptedServer, output: &str, (count, args): (u32, &[&str])) {
    let all: Vec<u32> = (0..count).collect();
    for some in all.chunks(6) {
        let run = |index: &u32| {
            let shard = format!("{index}/{count}");
            fetch_to(dir, server, output).args(["--shard", &shard, "--run-id", "r"]).args(args).spawn()
        };
        for running in some.iter().map(run).collect::<Vec<_>>() {
            running.wait().expect_code(0);
        }
    }
}

/// 2,000 rows with repeats 400 apart, some of which would ask for something else, bad rows, and SKUs that look odd.
fn catalogue() -> String {
    let mut text = String::from("sku,region,note\n");
    for row in 0..2000 {
        let key = match row % 400 {
            17 => "1.5E+12".to_owned(),
            18 => " spaced ".to_owned(),
            number => format!("S{number:04}"),
        };
        let region = if row == 850 || row == 1700 { "us" } else { "eu" };
        match row {
            333 => writeln!(text, "{key},{region},x,too,many").unwrap(),
            777 => writeln!(text, ",{region},no key").unwrap(),
            // The first row of its key cannot be asked for, and a later one can.
            5 => writeln!(text, "{key},bad\u{1}region,x").unwrap(),
            // No row of this key can.
            900 | 1300 => writeln!(text, "NEVER,bad\u{1}region,{row}").unwrap(),
            _ => writeln!(text, "{key},{region},note {row}").unwrap(),
        }
    }
    text
}

fn api() -> ScriptedServer {
    ScriptedServer::script(Script::new().for_sku("S0042", [Reply::status(404)]))
}

/// What is told of the rows, in the summary and in warnings.
fn told(ended: &Ended) -> (Vec<Value>, BTreeSet<String>) {
    let summary = finished(ended);
    let names = [
        "rows",
        "skus",
        "fetched",
        "failed",
        "skipped",
        "repeats",
        "bad_rows",
        "keyless",
        "short_rows",
        "blanks",
        "differing_repeats",
        "differing_lines",
    ];
    let numbers = names.iter().map(|name| summary[*name].clone()).collect();
    let warned = events(ended).into_iter().filter(|event| event["event"] == "warned");
    (numbers, warned.map(|event| event["message"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn any_number_of_shards_leaves_the_bytes_of_one_process() {
    let alone = WorkDir::new();
    alone.write("products.csv", catalogue());
    let server = api();
    let args = |server: &ScriptedServer| {
        ["products.csv", "-o", "out.json", "--log-format", "json", "--url"]
            .map(String::from)
            .into_iter()
            .chain([server.url("/{region}/{sku}")])
            .collect::<Vec<_>>()
    };
    let one = Run::new(&alone).args(args(&server)).finish().expect_code(1);
    let keys = server.count();
    assert_eq!(keys, 400, "each key once");
    for count in [1, 7, 64] {
        let dir = WorkDir::new();
        dir.write("products.csv", catalogue());
        dir.write("out.json", "{\n\"old\":1\n}\n");
        let server = api();
        for _ in 0..2 {
            let all: Vec<u32> = (0..count).collect();
            for some in all.chunks(6) {
                let spawn = |index: &u32| {
                    let shard = ["--shard".into(), format!("{index}/{count}"), "--run-id".into(), "r".into()];
                    Run::new(&dir).args(args(&server)).args(shard).spawn()
                };
                for running in some.iter().map(spawn).collect::<Vec<_>>() {
                    running.wait().expect_code(0);
                }
            }
            assert_eq!(server.count(), keys, "{count} shards, run once and again");
        }
        for _ in 0..2 {
            let ended = merge(&dir, "r").finish().expect_code(1);
            assert!(dir.bytes("out.json") == alone.bytes("out.json"), "{count} shards");
            assert_eq!(dir.read("out.failed.csv"), alone.read("out.failed.csv"), "{count} shards");
            assert_eq!(told(&ended), told(&one), "{count} shards");
        }
        assert_eq!(server.count(), keys);
    }
}

#[test]
fn every_shape_and_format_is_as_one_process_writes_it_compressed_or_not() {
    let mut text = String::from("sku,region,note\n");
    for row in 0..120 {
        writeln!(text, "S{:02},{},\"n {row}, \u{e9}\"", row % 40, ["eu", "us"][row / 60]).unwrap();
    }
    text.push_str("S05,eu\n,x,y\n");
    let json: &[&str] = &[];
    let table: &[&str] = &["--columns", "x=.sku, y=.n"];
    let cases: [(&str, &[&str]); 9] = [
        ("out.json", json),
        ("out.jsonl", json),
        ("out.json", &["--shape", "record"]),
        ("out.jsonl", &["--shape", "record"]),
        ("out.json.gz", json),
        ("out.jsonl.zst", json),
        ("out.csv", table),
        ("out.csv.gz", table),
        ("out.csv", &["--columns", "x=.sku", "--shape", "record", "--csv-bom"]),
    ];
    for (output, args) in cases {
        let (alone, dir) = (WorkDir::new(), WorkDir::new());
        let server = ScriptedServer::script(Script::new().for_sku("S07", [Reply::status(404)]));
        for dir in [&alone, &dir] {
            dir.write("products.csv", &text);
        }
        fetch_to(&alone, &server, output).args(args).finish().expect_code(1);
        shards(&dir, &server, output, (3, args));
        let ended = merge_to(&dir, output, "r").finish().expect_code(1);
        let [of_one, of_parts] = [&alone, &dir].map(|dir| dir.bytes(output));
        if args.contains(&"record") {
            let [one, parts] = [of_one, of_parts].map(|bytes| timeless(&String::from_utf8(bytes).unwrap()));
            assert_eq!(one, parts, "{output} {args:?}");
        } else {
            assert!(of_one == of_parts, "{output} {args:?}: {}", ended.stderr);
        }
        assert_eq!(dir.read("out.failed.csv"), alone.read("out.failed.csv"), "{output} {args:?}");
    }
}

/// The text without the times in it.
fn timeless(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('T') {
        let stamp = at.checked_sub(10).and_then(|from| rest.get(from..at + 14)).unwrap_or_default();
        let is_time = humantime::parse_rfc3339(stamp).is_ok();
        out.push_str(&rest[..if is_time { at - 10 } else { at + 1 }]);
        rest = &rest[if is_time { at + 14 } else { at + 1 }..];
    }
    out + rest
}

#[test]
fn changes_and_ages_are_those_of_one_process_and_stay_when_a_merge_is_made_again() {
    let (alone, dir) = (WorkDir::new(), WorkDir::new());
    let old = "{\n\"S0003\":1,\n\"S0001\":{\"sku\":\"S0001\"},\n\"gone\":2,\n\"S0009\":[3],\n\"bad\":4\n}\n";
    let server = ScriptedServer::script(Script::new().for_sku("S0009", [Reply::status(404)]));
    for dir in [&alone, &dir] {
        dir.write("products.csv", format!("sku,region\n{},eu\nbad\n", skus(30).join(",eu\n")));
        dir.write("out.json", old);
    }
    let changed = ["--changes", "changes.jsonl"];
    fetch(&alone, &server).args(changed).finish().expect_code(1);
    shards(&dir, &server, "out.json", (4, &[]));
    for _ in 0..2 {
        let ended = merge(&dir, "r").args(changed).finish().expect_code(1);
        assert_eq!(dir.read("changes.jsonl"), alone.read("changes.jsonl"), "{}", ended.stderr);
        assert!(dir.bytes("out.json") == alone.bytes("out.json"));
    }
    // The state: what is young is not asked for again.
    let asked = server.count();
    let again = fetch(&dir, &server).args(["--merge", "--max-age", "1h"]).finish().expect_code(1);
    assert_eq!(counts(&again), [31, 0, 29, 2, 0, 0]);
    assert_eq!(server.count(), asked + 1, "but for the one that failed");
}

#[test]
fn ages_hold_where_the_request_uses_more_than_the_key() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", "sku,region,note\na,eu,1\nb,us,2\nc,eu,3\n");
    for output in ["out.json", "out.csv"] {
        let url = server.url("/{region}/{sku}");
        let run = |args: &[&str]| {
            let run = Run::new(&dir).args(["products.csv", "-o", output, "--url", &url]);
            run.args(args).finish().expect_code(0);
        };
        for index in ["0/2", "1/2"] {
            run(&["--shard", index, "--run-id", "r"]);
        }
        merge_to(&dir, output, "r").finish().expect_code(0);
        let asked = server.count();
        run(&["--merge", "--max-age", "1h"]);
        assert_eq!(server.count(), asked, "{output}");
    }
}

#[test]
fn whatever_is_wrong_with_a_part_is_65_names_the_shard_and_leaves_the_old_output() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(60));
    let all = |run: &str, args: &[&str]| {
        for index in 0..3 {
            shard(&dir, &server, (index, 3), run).args(args).finish().expect_code(0);
        }
    };
    all("r", &[]);
    merge(&dir, "r").finish().expect_code(0);
    let good = dir.bytes("out.json");
    assert_eq!(dir.read("out.json"), echoed(skus(60)));
    let files = ["out.json", "out.json.state"].map(|name| dir.bytes(name));
    let refused = |says: &str| {
        let ended = merge(&dir, "r").finish().expect_code(65);
        assert!(messages(&ended).contains(says), "{says}: {}", ended.stderr);
        assert!(["out.json", "out.json.state"].map(|name| dir.bytes(name)) == files, "{says}");
        assert!(!dir.names().iter().any(|name| name.contains(".tmp")), "{:?}", dir.names());
    };
    let whole = dir.bytes(&part("r", 1, 3));
    // A part is missing.
    fs::remove_file(dir.path(&part("r", 1, 3))).unwrap();
    refused("1 is missing (1)");
    assert!(messages(&merge(&dir, "r").finish()).contains("--shard 1/3 --run-id r"));
    // A byte of one is flipped, anywhere.
    let last = whole.len() - 1;
    let begin = whole[..last].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    let mut places: Vec<usize> = (0..whole.len()).step_by(whole.len() / 23).collect();
    places.extend([0, 7, 10, begin - 1, begin, begin + 12, begin + 40, last - 1, last]);
    for place in places {
        for bit in [1, 0x20] {
            let mut bytes = whole.clone();
            bytes[place] ^= bit;
            dir.write(&part("r", 1, 3), bytes);
            refused("1 is damaged (1)");
        }
    }
    // It is cut, or goes on.
    for cut in [0, 1, whole.len() / 2, begin, last] {
        dir.write(&part("r", 1, 3), &whole[..cut]);
        refused("1 is damaged (1)");
    }
    dir.write(&part("r", 1, 3), [&whole[..], b"\n"].concat());
    refused("1 is damaged (1)");
    // Two are damaged: both are named, though the first alone ends the merge.
    dir.write(&part("r", 1, 3), &whole[..begin - 1]);
    let other = dir.bytes(&part("r", 2, 3));
    let mut flipped = other.clone();
    flipped[begin / 2] ^= 1;
    dir.write(&part("r", 2, 3), flipped);
    refused("(1");
    dir.write(&part("r", 1, 3), [&whole[..50], b"X", &whole[51..]].concat());
    refused("2 are damaged (1-2)");
    dir.write(&part("r", 2, 3), other);
    // It is the part of another shard, or of another run.
    dir.write(&part("r", 1, 3), dir.bytes(&part("r", 0, 3)));
    refused("1 is the part of another shard or run (1)");
    all("other", &[]);
    dir.write(&part("r", 1, 3), dir.bytes(&part("other", 1, 3)));
    refused("1 is the part of another shard or run (1)");
    // Two inputs, two jobs, two numbers of shards are mixed.
    dir.write(&part("r", 1, 3), &whole);
    dir.write_skus(skus(61));
    shard(&dir, &server, (2, 3), "r").finish().expect_code(0);
    refused("1 is of another input (2)");
    shard(&dir, &server, (2, 3), "r").args(["--null-if", "false"]).finish().expect_code(0);
    refused("1 is of another job (2)");
    shard(&dir, &server, (0, 5), "r").finish().expect_code(0);
    refused("of jobs with 5 and 3 shards");
    let ended = merge(&dir, "r").finish().expect_code(65);
    assert!(ended.stderr.contains("r/*-of-00005.jsonl"), "the set that lacks the most: {}", ended.stderr);
    // A run that is not there names those that are.
    let ended = merge(&dir, "r3").finish().expect_code(65);
    assert!(messages(&ended).contains("parts of other, r"), "{}", ended.stderr);
    assert!(dir.bytes("out.json") == good);
    assert!(dir.bytes("out.json.state") == files[1]);
}

#[test]
fn the_guard_and_the_least_share_are_judged_by_the_merge() {
    let dir = WorkDir::new();
    let lines: Vec<String> = skus(40).iter().map(|sku| format!("\"{sku}\":1")).collect();
    let old = format!("{{\n{}\n}}\n", lines.join(",\n"));
    let few =
        ScriptedServer::start(
            |seen| {
                if seen.sku.ends_with('7') { Reply::echo(seen) } else { Reply::status(404) }
            },
        );
    dir.write("out.json", &old);
    dir.write_skus(skus(40));
    shards(&dir, &few, "out.json", (3, &["--guard", "10"]));
    let ended = merge(&dir, "r").finish().expect_code(69);
    assert!(messages(&ended).contains("only 4 of 40 SKUs"), "{}", ended.stderr);
    assert_eq!(dir.read("out.failed.csv").lines().count(), 37, "the failure file is written all the same");
    let ended = merge(&dir, "r").args(["--min-success", "5"]).finish().expect_code(76);
    assert!(messages(&ended).contains("4 SKUs in place of 40"), "{}", ended.stderr);
    assert_eq!(dir.read("out.json"), old);
    assert!(dir.has("out.held.json"));
    merge(&dir, "r").args(["--min-success", "5", "--guard", "off"]).finish().expect_code(1);
    assert!(dir.read("out.json").contains("S0017") && !dir.has("out.held.json"));
    // Nothing but nulls.
    let nulls = ScriptedServer::start(|_| Reply::json("null"));
    for index in 0..2 {
        shard(&dir, &nulls, (index, 2), "nulls").finish().expect_code(0);
    }
    assert!(messages(&merge(&dir, "nulls").finish().expect_code(69)).contains("all 40 SKUs are null"));
}

#[test]
fn what_a_merge_cannot_have_is_a_usage_error() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(5));
    shards(&dir, &server, "out.json", (1, &[]));
    let table: [(&[&str], &str); 10] = [
        (&["-o", "out.json"], "--run-id is missing"),
        (&["--run-id", "r"], "--output is missing"),
        (&["-o", "-", "--run-id", "r"], "standard output"),
        (&["-o", "out.json", "--run-id", "r", "--merge"], "whole output"),
        (&["-o", "out.json", "--run-id", "r", "--shard", "0/1"], "leave it out"),
        (&["products.csv", "-o", "out.json", "--run-id", "r"], "merge takes no INPUT"),
        (&["-o", "out.json", "--run-id", "r", "--shape", "record"], "given --shape body"),
        (&["-o", "out.json", "--run-id", "r", "--format", "csv"], "given --format json"),
        (&["-o", "out.json", "--run-id", "r", "--dry-run"], "no plan to show"),
        (&["-o", "out.json", "--run-id", "r", "--rrun"], "there is no option --rrun"),
    ];
    for (args, says) in table {
        let ended = Run::new(&dir).args(["merge"]).args(args).finish().expect_code(2);
        assert!(ended.stderr.contains(says), "{args:?}: {}", ended.stderr);
    }
    assert!(!dir.has("out.json"));
    // The options of the shards may be given as well.
    let same = ["--url", &server.url("/p/{sku}"), "-c", "4", "--rate", "5/s", "--format", "jsonl"];
    merge(&dir, "r").args(same).finish().expect_code(0);
    assert!(dir.read("out.json").starts_with("{\"key\":"));
    let help = Run::new(&dir).args(["merge", "--help"]).finish().expect_code(0);
    assert!(help.stdout().contains("--run-id") && !help.stdout().contains("--concurrency"));
}

#[test]
fn a_merge_waits_for_the_output_and_reports_like_a_run() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(20));
    shards(&dir, &server, "out.json", (2, &[]));
    let slow = ScriptedServer::start(|_| Reply::silence());
    let mut other = fetch(&dir, &slow).spawn();
    other.wait_until(|| slow.count() > 0);
    let ended = merge(&dir, "r").finish().expect_code(75);
    assert!(messages(&ended).contains("another run is writing this output"), "{}", ended.stderr);
    other.kill();
    other.wait();
    let ended = merge(&dir, "r").args(["--report", "r.json", "--lock-wait", "10s"]).finish().expect_code(0);
    assert_eq!(counts(&ended), [20, 20, 0, 0, 0, 0]);
    let report: Value = serde_json::from_str(&dir.read("r.json")).unwrap();
    assert_eq!(report["exit"], 0, "{report}");
    let quiet =
        Run::new(&dir).args(["merge", "-o", "out.json", "--run-id", "r", "-q"]).finish().expect_code(0);
    assert_eq!((quiet.stderr.as_str(), quiet.stdout()), ("", ""));
}

#[test]
fn a_failure_file_in_shards_does_not_replace_a_whole_output() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", "sku,_error,_status,_attempts\nS0001,late,,5\n");
    shards(&dir, &server, "out.json", (1, &[]));
    dir.write("out.json", echoed(skus(30)));
    let ended = merge(&dir, "r").finish().expect_code(2);
    assert!(messages(&ended).contains("would replace the 30 SKUs"), "{}", ended.stderr);
    shard(&dir, &server, (0, 1), "r2").finish().expect_code(2);
    assert_eq!(dir.read("out.json"), echoed(skus(30)));
}

#[test]
fn records_say_when_they_were_fetched_by_the_shard() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(6));
    shards(&dir, &server, "out.json", (2, &["--shape", "record"]));
    merge(&dir, "r").finish().expect_code(0);
    let first = dir.read("out.json");
    merge(&dir, "r").finish().expect_code(0);
    assert_eq!(dir.read("out.json"), first, "the times are those of the parts");
    assert!(!dir.has("out.json.parts/r/merged"), "without changes there is nothing to record");
    assert!(without_times(&first).contains("\"status\":200"));
}

#[test]
fn packs_of_a_shard_are_filled_from_its_own_rows() {
    let server = ScriptedServer::start(|seen| {
        let asked = seen.query_value("ids").unwrap();
        let ids = String::from_utf8(asked).unwrap();
        let items: Vec<_> = ids.split(',').map(|id| format!("{{\"id\":\"{id}\",\"n\":1.10}}")).collect();
        Reply::json(format!("[{}]", items.join(",")))
    });
    let (alone, dir) = (WorkDir::new(), WorkDir::new());
    let url = server.url("/p?ids={items}");
    let run = |dir: &WorkDir, args: &[&str]| {
        let pack = ["products.csv", "-o", "out.json", "--url", &url, "--bulk", "7", "--bulk-key", ".id"];
        Run::new(dir).args(pack).args(args).finish().expect_code(0);
    };
    for dir in [&alone, &dir] {
        dir.write_skus(skus(60));
    }
    run(&alone, &[]);
    let asked = server.count();
    for index in ["0/3", "1/3", "2/3"] {
        run(&dir, &["--shard", index, "--run-id", "r"]);
    }
    assert!(
        server.count() - asked <= asked + 3,
        "{} packs, and {asked} of one process",
        server.count() - asked
    );
    merge(&dir, "r").finish().expect_code(0);
    assert!(dir.bytes("out.json") == alone.bytes("out.json"));
}

#[test]
fn the_example_of_the_documentation_runs_word_for_word() {
    let folder = PageFolder::new(&[]);
    symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"), folder.dir.path("fixtures")).unwrap();
    let blocks = page::blocks(include_str!("../../docs/scale.md"));
    let example = blocks.iter().find(|block| block.language == "sh").unwrap();
    let ended = folder.run(example.text, &[("SKUFETCH_DEMO_LATENCY", "1ms")]);
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    page::expect_whole_output(&folder.dir, "out.json");
}
