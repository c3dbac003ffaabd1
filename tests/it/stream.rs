//! `--stream`: one line for each row of the input, as soon as the row is decided.

use std::fs::File;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::run::Ended;
use crate::support::{Reply, Run, ScriptedServer, WorkDir, closed_port};

const STREAM: [&str; 5] = ["-o", "-", "--format", "jsonl", "--stream"];

fn stream<'a>(dir: &'a WorkDir, server: &ScriptedServer, input: &str) -> Run<'a> {
    Run::new(dir).args([input, "-u", &server.url("/{sku}")]).args(STREAM)
}

fn skus(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("S{n:05}"))
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect()
}

/// The lines in the order of the rows: each row of these has one.
#[track_caller]
fn lines(ended: &Ended, rows: usize) -> Vec<Value> {
    let mut lines = parsed(ended.stdout());
    lines.sort_by_key(|line| line["seq"].as_u64());
    let found: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(found, (0..rows as u64).collect::<Vec<_>>(), "{}", ended.stderr);
    lines
}

fn count(lines: &[Value], member: &str) -> usize {
    lines.iter().filter(|line| line.get(member).is_some()).count()
}

#[test]
fn each_row_has_a_line_that_says_what_became_of_it() {
    let (dir, server) = (
        WorkDir::new(),
        ScriptedServer::start(|seen| match seen.path() {
            "/gone" => Reply::status(404),
            _ => Reply::bytes("{\"id\": 9007199254740993, \"p\": 1.10}"),
        }),
    );
    dir.write("in.csv", "sku,name\nA,x\ngone,x\nA,x\n,x\nshort\n\"q\"\"é\",x\n");
    let ended = stream(&dir, &server, "in.csv").args(["--failed", "f.csv"]).finish().expect_code(0);
    let lines = lines(&ended, 6);
    assert!(ended.stdout().contains("\"body\":{\"id\":9007199254740993,\"p\":1.10}}"), "{}", ended.stdout());
    assert_eq!(
        (&lines[0]["key"], &lines[0]["status"], &lines[0]["attempts"]),
        (&"A".into(), &200.into(), &1.into())
    );
    assert!(lines[0]["fetched_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(lines[1]["status"], 404);
    assert!(lines[1]["error"].as_str().unwrap().contains("404") && lines[1].get("body").is_none());
    assert_eq!((&lines[2]["key"], &lines[2]["same_as"]), (&"A".into(), &0.into()));
    for bad in &lines[3..5] {
        assert!(bad["error"].is_string() && bad["status"].is_null() && bad["attempts"] == 0, "{bad}");
    }
    assert_eq!(lines[5]["key"], "q\"é");
    assert_eq!(server.count(), 3);
    assert_eq!(dir.read("f.csv").lines().count(), 4, "the failed rows are in their file as well");
    assert_eq!(dir.names(), ["f.csv", "in.csv"]);
    assert!(!ended.stderr.contains("nothing published"), "{}", ended.stderr);
    let ended = stream(&dir, &server, "in.csv").args(["--empty-key", "skip"]).finish().expect_code(0);
    assert_eq!(parsed(ended.stdout()).iter().find(|line| line["seq"] == 3).unwrap()["skipped"], true);
}

#[test]
fn a_line_is_written_before_the_next_row_has_arrived() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let out = File::create(dir.path("lines")).unwrap();
    let mut run = stream(&dir, &server, "-").open_stdin().stdout(out).spawn();
    run.feed("sku\n");
    for (at, key) in ["A", "B", "A", "C"].iter().enumerate() {
        run.feed(format!("{key}\n"));
        run.wait_until(|| dir.read("lines").lines().count() == at + 1);
    }
    run.close_stdin();
    run.wait().expect_code(0);
    assert_eq!(count(&parsed(&dir.read("lines")), "body"), 3);
}

#[test]
fn rows_that_come_one_by_one_and_soon_are_not_waited_for() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let mut run = stream(&dir, &server, "-").open_stdin().spawn();
    run.feed("sku\n");
    let mut fed = 0;
    while server.count() == 0 && fed < 1_000 {
        run.feed(format!("S{fed}\n"));
        fed += 1;
        std::thread::sleep(Duration::from_millis(30));
    }
    // The first rows are 200; they would take 6 s.
    assert!(fed < 150, "{fed} rows before the first request");
    run.close_stdin();
    let ended = run.wait().expect_code(0);
    assert_eq!(count(&lines(&ended, fed), "body"), fed);
    let plan = stream(&dir, &server, "-").args(["--dry-run"]).stdin("sku\nA\n").finish().expect_code(0);
    assert!(plan.stdout().contains("a line for each row as soon as it is decided"), "{}", plan.stdout());
}

#[test]
fn an_outage_leaves_the_lines_of_what_came_and_defers_the_rest_with_75() {
    let server = ScriptedServer::start(|seen| match seen.number {
        0..2_000 => Reply::echo(seen),
        _ => Reply::status(500),
    });
    let dir = WorkDir::new();
    dir.write_skus(skus(2_400));
    let args = ["--wait-for-api", "1s", "-c", "16"];
    let ended = stream(&dir, &server, "products.csv").args(args).finish().expect_code(75);
    let found = lines(&ended, 2_400);
    assert_eq!((count(&found, "body"), count(&found, "deferred")), (2_000, 400), "{}", ended.stderr);
    assert!(ended.stderr.contains("400 deferred"), "{}", ended.stderr);
    // The same from a pipe, whose rows cannot be counted beforehand.
    let server = ScriptedServer::start(|seen| match seen.number {
        0..100 => Reply::echo(seen),
        _ => Reply::status(500),
    });
    let rows: String = std::iter::once("sku\n".to_owned()).chain(skus(5_000).map(|sku| sku + "\n")).collect();
    let ended = stream(&dir, &server, "-").args(args).stdin(rows).finish().expect_code(75);
    let found = lines(&ended, 5_000);
    assert_eq!((count(&found, "body"), count(&found, "deferred")), (100, 4_900), "{}", ended.stderr);
}

#[test]
fn time_that_is_over_defers_what_is_left() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(200)));
    let dir = WorkDir::new();
    dir.write_skus(skus(500));
    let args = ["--max-time", "1s", "-c", "4"];
    let ended = stream(&dir, &server, "products.csv").args(args).finish().expect_code(75);
    let found = lines(&ended, 500);
    assert!(count(&found, "body") >= 4 && count(&found, "deferred") > 300, "{}", ended.stderr);
}

#[test]
fn refused_credentials_and_a_dead_port_keep_their_exit_and_defer_every_row() {
    let dir = WorkDir::new();
    dir.write_skus(skus(50));
    let server = ScriptedServer::start(|_| Reply::status(401));
    let ended = stream(&dir, &server, "products.csv").finish().expect_code(77);
    assert_eq!(count(&lines(&ended, 50), "deferred"), 50);
    let url = format!("http://{}/{{sku}}", closed_port());
    let ended = Run::new(&dir).args(["products.csv", "-u", &url]).args(STREAM).finish().expect_code(69);
    assert_eq!(count(&lines(&ended, 50), "deferred"), 50);
}

#[test]
fn a_reader_that_hangs_up_ends_the_run_with_74_and_few_more_requests() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(5)));
    let dir = WorkDir::new();
    dir.write_skus(skus(5_000));
    let script = "exec 3>&1; { \"$0\" \"$@\"; echo $? >code; } | head -n 20 >&3; exit \"$(cat code)\"";
    let ended = stream(&dir, &server, "products.csv")
        .args(["-c", "8"])
        .under(["sh", "-c", script])
        .finish()
        .expect_code(74);
    assert_eq!(ended.stdout().lines().count(), 20);
    assert!(server.count() < 2_500, "{} requests for a reader that is gone", server.count());
}

#[test]
fn a_signal_leaves_whole_lines_alone() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(20)));
    let dir = WorkDir::new();
    dir.write_skus(skus(3_000));
    let out = File::create(dir.path("lines")).unwrap();
    let mut run = stream(&dir, &server, "products.csv").args(["-c", "4"]).stdout(out).spawn();
    run.wait_until(|| dir.read("lines").lines().count() > 20);
    run.signal(Signal::TERM);
    run.wait().expect_code(143);
    let text = dir.read("lines");
    let found = parsed(&text);
    assert!(text.ends_with('\n') && found.len() < 3_000);
    assert!(found.iter().all(|line| line.get("body").is_some() || line.get("deferred").is_some()));
}

#[test]
fn a_signal_is_not_held_up_by_a_reader_that_reads_no_more() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(20_000));
    let (_unread, pipe) = std::io::pipe().unwrap();
    let mut run = stream(&dir, &server, "products.csv").stdout(pipe).spawn();
    run.wait_until(|| server.count() > 1_500);
    run.wait_until_it_hears(Signal::TERM);
    run.signal(Signal::TERM);
    run.wait().expect_code(143);
}

#[test]
fn a_full_disk_ends_it_with_74() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(300));
    let full = File::options().write(true).open("/dev/full").unwrap();
    stream(&dir, &server, "products.csv").stdout(full).finish().expect_code(74);
    let full = stream(&dir, &server, "products.csv").under(["sh", "-c", "ulimit -f 4; exec \"$0\" \"$@\""]);
    let out = File::create(dir.path("lines")).unwrap();
    full.stdout(out).finish().expect_code(74);
}

#[test]
fn an_input_without_rows_is_done() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    for (input, args) in [("sku\n", &[][..]), ("", &[]), ("", &["--no-headers"])] {
        let ended = stream(&dir, &server, "-").args(args).stdin(input).finish().expect_code(0);
        assert_eq!(ended.stdout(), "", "{input:?}");
    }
    dir.write("empty.csv", "");
    stream(&dir, &server, "empty.csv").args(["--report", "r.json"]).finish().expect_code(0);
    let report: Value = serde_json::from_str(&dir.read("r.json")).unwrap();
    assert_eq!(report["exit"], 0, "{report}");
    assert_eq!(server.count(), 0);
}

#[test]
fn a_damaged_stream_ends_with_65_after_the_lines_before_the_damage() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let mut run = stream(&dir, &server, "-").open_stdin().spawn();
    run.feed("sku,name\nA,x\nB,x\n");
    run.wait_until(|| server.count() == 2);
    run.feed("C,\"open\nD,x\n");
    run.close_stdin();
    let ended = run.wait().expect_code(65);
    assert_eq!(count(&lines(&ended, 2), "body"), 2);
}

#[test]
fn the_keys_of_packs_have_their_lines() {
    let server = ScriptedServer::start(|seen| {
        let asked = seen.target.rsplit('=').next().unwrap_or_default();
        let items: Vec<_> = asked
            .split(',')
            .filter(|sku| *sku != "S00007")
            .map(|sku| format!("{{\"sku\":\"{sku}\",\"p\":1}}"))
            .collect();
        Reply::json(format!("[{}]", items.join(",")))
    });
    let dir = WorkDir::new();
    dir.write_skus((0..25).map(|n| format!("S{n:05}")));
    let args = ["products.csv", "-u", &server.url("/p?ids={items}"), "--bulk", "10", "--bulk-key", ".sku"];
    let ended = Run::new(&dir).args(args).args(STREAM).finish().expect_code(0);
    let found = lines(&ended, 25);
    assert_eq!((count(&found, "body"), count(&found, "error")), (24, 1), "{}", ended.stdout());
    assert_eq!(server.count(), 3);
}
