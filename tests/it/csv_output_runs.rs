//! CSV outputs from run to run: merged, compared, held back, killed, on a full disk.

use std::time::Duration;

use rustix::process::Signal;

use crate::faults::full_disk::SmallDisk;
use crate::output_kit::{counts, fetch_to, messages, plain, skus};
use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir};

/// `skufetch INPUT -o out.csv --columns v=.v`, its messages as JSON lines.
fn run_of<'a>(dir: &'a WorkDir, server: &ScriptedServer, input: &str, args: &[&str]) -> Run<'a> {
    let run = Run::new(dir).args([input, "-o", "out.csv", "--columns", "v=.v", "--log-format", "json"]);
    run.args(["--url", &server.url("/p/{sku}")]).args(args)
}

/// An API whose value of each SKU is the number of the request.
fn counter() -> ScriptedServer {
    ScriptedServer::start(|seen| Reply::json(format!("{{\"v\":\"{}{}\"}}", seen.sku, seen.attempt)))
}

#[test]
fn the_failed_rows_are_asked_for_again_and_join_the_table() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku;n\r\na;1\r\nb;=x\r\nc;3\r\n");
    let server = ScriptedServer::script(
        Script::new()
            .for_sku("b", [Reply::status(404), Reply::json("{\"v\":2}")])
            .otherwise(|_| Reply::json("{\"v\":1}")),
    );
    run_of(&dir, &server, "products.csv", &[]).finish().expect_code(1);
    assert!(dir.read("out.failed.csv").ends_with(";404;1\n"), "its lines end in LF");
    let refused = run_of(&dir, &server, "out.failed.csv", &[]).finish().expect_code(2);
    assert!(messages(&refused).contains("without --merge they would replace the 2 SKUs in out.csv"));
    run_of(&dir, &server, "out.failed.csv", &["--merge"]).finish().expect_code(0);
    assert_eq!(dir.read("out.csv"), "sku;n;v\r\nb;=x;2\r\na;1;1\r\nc;3;1\r\n");
    assert!(!dir.has("out.failed.csv"));
}

#[test]
fn a_merge_keeps_old_values_beside_the_cells_of_the_input() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\nd,new\nb,new\na,new\n");
    dir.write("out.csv", "sku,n,v\nz,old,Z\na,old,A\nb,old,B\ny,\"o,ld\",\n");
    let server = ScriptedServer::script(
        Script::new().for_sku("a", [Reply::status(404)]).otherwise(|_| Reply::json("{\"v\":1}")),
    );
    let ended = run_of(&dir, &server, "products.csv", &["--merge"]).finish().expect_code(1);
    assert_eq!(counts(&ended), [3, 2, 0, 1, 0, 0]);
    assert_eq!(dir.read("out.csv"), "sku,n,v\nd,new,1\nb,new,1\na,new,A\nz,old,Z\ny,\"o,ld\",\n");
    run_of(&dir, &server, "products.csv", &["--merge", "--prune"]).finish().expect_code(1);
    assert_eq!(dir.read("out.csv"), "sku,n,v\nd,new,1\nb,new,1\na,new,A\n");
}

#[test]
fn a_header_may_have_a_line_end_in_quotes() {
    let (dir, server) = (WorkDir::new(), counter());
    dir.write("products.csv", "sku,\"n\nm\"\r\na,1\r\nb,2\r\n");
    run_of(&dir, &server, "products.csv", &[]).finish().expect_code(0);
    let args = ["--merge", "--limit", "1"];
    run_of(&dir, &server, "products.csv", &args).finish().expect_code(0);
    assert_eq!(dir.read("out.csv"), "sku,\"n\nm\",v\r\na,1,a2\r\nb,2,b1\r\n");
}

#[test]
fn a_table_that_a_spreadsheet_saved_with_another_delimiter_is_merged_with() {
    let (dir, server) = (WorkDir::new(), counter());
    dir.write("products.csv", "sku,n\na,1\n");
    dir.write("out.csv", "\u{feff}sku;n;v\r\nz;\"1,5\";\"x;y\"\r\na;1;old\r\n");
    run_of(&dir, &server, "products.csv", &["--merge"]).finish().expect_code(0);
    assert_eq!(dir.read("out.csv"), "sku,n,v\na,1,a1\nz,\"1,5\",x;y\n");
}

#[test]
fn no_row_of_a_repeated_sku_is_lost_by_a_merge() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\na,1\nb,2\na,3\nc,4\na,5\n");
    let server = ScriptedServer::script(
        Script::new()
            .for_sku(
                "a",
                [1, 2, 3]
                    .map(|n| if n == 2 { Reply::status(404) } else { Reply::json(format!("{{\"v\":{n}}}")) }),
            )
            .otherwise(|_| Reply::json("{\"v\":\"x\"}")),
    );
    run_of(&dir, &server, "products.csv", &[]).finish().expect_code(0);
    let rows = |a: &str| format!("sku,n,v\na,1,{a}\nb,2,x\na,3,{a}\nc,4,x\na,5,{a}\n");
    assert_eq!(dir.read("out.csv"), rows("1"));
    // It fails, and keeps its value in all of its rows.
    run_of(&dir, &server, "products.csv", &["--merge"]).finish().expect_code(1);
    assert_eq!(dir.read("out.csv"), rows("1"));
    // The failure file has its first row. The others are kept, with the new value.
    assert_eq!(dir.read("out.failed.csv").lines().count(), 2);
    run_of(&dir, &server, "out.failed.csv", &["--merge"]).finish().expect_code(0);
    assert_eq!(dir.read("out.csv"), "sku,n,v\na,1,3\nb,2,x\na,3,3\nc,4,x\na,5,3\n");
    // A row that the whole input no longer has goes.
    dir.write("products.csv", "sku,n\na,1\na,5\n");
    run_of(&dir, &server, "products.csv", &["--merge", "--max-age", "1h"]).finish().expect_code(0);
    assert_eq!(dir.read("out.csv"), "sku,n,v\na,1,3\na,5,3\nb,2,x\nc,4,x\n");
}

#[test]
fn young_values_are_left_alone_and_nothing_asks_whether_they_changed() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\na,1\nb,2\n");
    let server =
        ScriptedServer::start(|seen| Reply::json("{\"v\":1}").header("ETag", format!("\"{}\"", seen.sku)));
    run_of(&dir, &server, "products.csv", &[]).finish().expect_code(0);
    let args = ["--merge", "--max-age", "1h"];
    let ended = run_of(&dir, &server, "products.csv", &args).finish().expect_code(0);
    assert_eq!((server.count(), counts(&ended)), (2, [2, 0, 2, 0, 0, 0]));
    for args in [&[][..], &["--merge"]] {
        run_of(&dir, &server, "products.csv", args).finish().expect_code(0);
    }
    assert_eq!(server.count(), 6);
    assert!(server.requests().iter().all(|seen| seen.header_values("if-none-match").is_empty()));
    assert_eq!(dir.read("out.csv"), "sku,n,v\na,1,1\nb,2,1\n");
}

#[test]
fn a_table_of_other_columns_or_rows_is_never_mixed_with() {
    let (dir, server) = (WorkDir::new(), counter());
    dir.write("products.csv", "sku,n\na,1\n");
    run_of(&dir, &server, "products.csv", &[]).finish().expect_code(0);
    let before = dir.read("out.csv");
    let asked = server.count();
    let refused = |columns: &str, says: &str| {
        let run = fetch_to(&dir, &server, "out.csv").args(["--columns", columns, "--merge"]);
        let ended = run.finish().expect_code(65);
        assert!(messages(&ended).contains(says), "{}", ended.stderr);
        assert_eq!((server.count(), dir.read("out.csv")), (asked, before.clone()));
    };
    refused("w=.v", "its columns are sku, n, v, and this run writes sku, n, w");
    refused("v=.v.w?", "its values were made with --columns v=.v, and this run has --columns v=.v.w?");
    dir.write("products.csv", "sku,n,more\na,1,\n");
    refused("v=.v", "its columns are sku, n, v, and this run writes sku, n, more, v");
    dir.write("products.csv", "sku,n\na,1\n");
    dir.write("out.csv", "sku,n,v\na,1,2,3\n");
    let ended = run_of(&dir, &server, "products.csv", &["--merge"]).finish().expect_code(65);
    assert!(messages(&ended).contains("a row has 4 cells, and the header 3"), "{}", ended.stderr);
    // Without --merge it is in nobody's way.
    run_of(&dir, &server, "products.csv", &[]).finish().expect_code(0);
    dir.write("out.csv", "");
    let ended = run_of(&dir, &server, "products.csv", &["--merge"]).finish().expect_code(65);
    assert!(messages(&ended).contains("it is empty"), "{}", ended.stderr);
}

#[test]
fn a_column_more_is_a_change_of_every_row_and_no_error() {
    let (dir, server) = (WorkDir::new(), counter());
    dir.write("products.csv", "sku,n\na,1\nb,2\n");
    dir.write("out.csv", "sku;n;w\na;1;x\nz;3;y\n");
    run_of(&dir, &server, "products.csv", &["--changes", "c.jsonl"]).finish().expect_code(0);
    assert_eq!(
        dir.read("c.jsonl"),
        "{\"key\":\"a\",\"change\":\"changed\",\"old\":{\"w\":\"x\"},\"new\":{\"v\":\"a1\"}}\n\
         {\"key\":\"b\",\"change\":\"added\",\"new\":{\"v\":\"b1\"}}\n\
         {\"key\":\"z\",\"change\":\"removed\",\"old\":{\"w\":\"y\"}}\n"
    );
}

#[test]
fn changes_are_those_of_the_cells() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\na,1\nb,2\nb,2b\nc,3\nd,4\n");
    dir.write("out.csv", "sku,n,v\na,old,1.1\nb,old,same\nb,old,same\nd,4,x\nz,old,\nz,old2,\ny,,q\ny,,q\n");
    let server = ScriptedServer::script(
        Script::new()
            .for_sku("a", [Reply::json("{\"v\":1.10}")])
            .for_sku("b", [Reply::json("{\"v\":\"same\"}")])
            .for_sku("d", [Reply::status(404)])
            .otherwise(|_| Reply::json("{}")),
    );
    run_of(&dir, &server, "products.csv", &["--changes", "c.jsonl"]).finish().expect_code(1);
    assert_eq!(
        dir.read("c.jsonl"),
        "{\"key\":\"a\",\"change\":\"changed\",\"old\":{\"v\":\"1.1\"},\"new\":{\"v\":\"1.10\"}}\n\
         {\"key\":\"c\",\"change\":\"added\",\"new\":null}\n\
         {\"key\":\"d\",\"change\":\"failed\",\"old\":{\"v\":\"x\"}}\n\
         {\"key\":\"z\",\"change\":\"removed\",\"old\":null}\n\
         {\"key\":\"y\",\"change\":\"removed\",\"old\":{\"v\":\"q\"}}\n"
    );
}

#[test]
fn the_guard_judges_the_cells() {
    for state in [true, false] {
        let dir = WorkDir::new();
        dir.write_skus(skus(40));
        let server = ScriptedServer::start(|seen| match seen.attempt {
            1 => Reply::json(format!("{{\"v\":\"{}\"}}", seen.sku)),
            // The field has another name now: bodies are as different as ever, and every cell is empty.
            2 => Reply::json(format!("{{\"value\":\"{}\"}}", seen.sku)),
            _ => Reply::json(format!("{{\"v\":\"same\",\"x\":\"{}\"}}", seen.sku)),
        });
        run_of(&dir, &server, "products.csv", &[]).finish().expect_code(0);
        let before = dir.read("out.csv");
        if !state {
            std::fs::remove_file(dir.path("out.csv.state")).unwrap();
        }
        let ended = run_of(&dir, &server, "products.csv", &[]).finish().expect_code(69);
        assert!(
            messages(&ended).contains("does --columns name fields that the answers have?"),
            "{}",
            ended.stderr
        );
        let ended = run_of(&dir, &server, "products.csv", &[]).finish().expect_code(76);
        assert!(messages(&ended).contains("the same value for 40 of 40 SKUs"), "{}", ended.stderr);
        assert!(messages(&ended).contains("mv out.held.csv out.csv"), "{}", ended.stderr);
        assert!(dir.read("out.held.csv").starts_with("sku,v\nS0000,same\n"));
        dir.write_skus(skus(10));
        let ended = run_of(&dir, &server, "products.csv", &[]).finish().expect_code(76);
        assert!(messages(&ended).contains("out.csv has 40 SKUs"), "{}", ended.stderr);
        assert_eq!(dir.read("out.csv"), before);
    }
}

#[test]
fn nothing_but_empty_cells_is_no_answer_on_standard_output_either() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(|_| Reply::json("{}")));
    dir.write_skus(skus(10));
    let run = Run::new(&dir).args(["products.csv", "-o", "-", "--format", "csv", "--columns", "v=.v"]);
    let ended = run.args(["--url", &server.url("/p/{sku}")]).finish().expect_code(69);
    assert_eq!(ended.stdout(), "");
}

#[test]
fn the_same_answers_give_the_same_bytes_at_any_concurrency_and_after_kills() {
    let server = ScriptedServer::start(|seen| {
        let wait = Duration::from_millis(u64::from(crc32fast::hash(seen.sku.as_bytes()) % 5));
        if seen.sku.ends_with('7') {
            Reply::status(404)
        } else {
            Reply::json(format!("{{\"v\":\"{}\"}}", seen.sku)).wait(wait)
        }
    });
    let mut all = Vec::new();
    for (concurrency, kills) in [("1", 0), ("64", 0), ("16", 3)] {
        let dir = WorkDir::new();
        let rows: Vec<String> = (0..1500).map(|n| format!("S{:04},row {n}", n % 1100)).collect();
        dir.write("products.csv", format!("sku,n\n{}\n", rows.join("\n")));
        let begun = server.count();
        for kill in 1..=kills {
            let mut run = run_of(&dir, &server, "products.csv", &["-c", concurrency]).spawn();
            run.wait_until(|| server.count() > begun + 200 * kill);
            run.kill();
            assert_eq!(run.wait().signal, Some(Signal::KILL.as_raw()));
            assert!(!dir.has("out.csv"));
        }
        let ended = run_of(&dir, &server, "products.csv", &["-c", concurrency]).finish().expect_code(1);
        assert_eq!(counts(&ended), [1500, 990, 0, 110, 400, 0]);
        all.push((dir.bytes("out.csv"), dir.bytes("out.failed.csv")));
        let left = ["out.csv", "out.csv.lock", "out.csv.state", "out.failed.csv", "products.csv"];
        assert_eq!(dir.names(), left);
    }
    assert!(all[0] == all[1] && all[0] == all[2]);
}

#[test]
fn rows_of_a_pipe_come_back_too() {
    let (dir, server) = (WorkDir::new(), counter());
    let run = Run::new(&dir).args(["-", "-o", "-", "--format", "csv", "--columns", "v=.v"]);
    let ended =
        run.args(["--url", &server.url("/p/{sku}")]).stdin("sku,n\na,1\nb,2\na,3\n").finish().expect_code(0);
    assert_eq!(ended.stdout(), "sku,n,v\na,1,a1\nb,2,b1\na,3,a1\n");
}

#[test]
fn packs_make_the_same_table() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\na,1\nb,2\nc,3\na,4\n");
    let server = ScriptedServer::start(|_| {
        Reply::json("{\"a\":{\"v\":1.10},\"b\":{\"v\":\"x\"},\"c\":{\"v\":[1,{}]}}")
    });
    let run = Run::new(&dir).args(["products.csv", "-o", "out.csv", "--columns", "v=.v", "--bulk", "10"]);
    run.args(["--url", &server.url("/p?ids={items}")]).finish().expect_code(0);
    assert_eq!(server.count(), 1);
    assert_eq!(dir.read("out.csv"), "sku,n,v\na,1,1.10\nb,2,x\nc,3,\"[1,{}]\"\na,4,1.10\n");
}

#[test]
fn a_disk_that_fills_up_leaves_the_old_table_and_the_run_resumes() {
    let Some(disk) = SmallDisk::mount(16 << 10) else { return };
    let dir = WorkDir::new_in(&disk.at);
    dir.write_skus(skus(60));
    dir.write("out.csv", "sku,v\nS0000,old\n");
    let server = ScriptedServer::start(|seen| {
        Reply::json(format!("{{\"v\":\"{}{}\"}}", seen.sku, "x".repeat(20_000)))
    });
    disk.fill(1700);
    // The bodies fit once, in the journal, and not twice.
    let run = || plain(&dir, &server, "out.csv").args(["--columns", "v=.v", "--guard", "off"]);
    let ended = run().finish().expect_code(74);
    assert!(ended.stderr.contains("the disk is full: make room"), "{}", ended.stderr);
    assert_eq!(dir.read("out.csv"), "sku,v\nS0000,old\n");
    let asked = server.count();
    disk.free();
    run().finish().expect_code(0);
    assert_eq!((server.count(), dir.read("out.csv").lines().count()), (asked, 61));
}

#[test]
fn a_disk_without_room_for_the_rows_ends_the_run_and_the_next_goes_on() {
    let Some(disk) = SmallDisk::mount(16 << 10) else { return };
    let dir = WorkDir::new_in(&disk.at);
    let rows: Vec<String> = skus(40).iter().map(|sku| format!("{sku},{}", "x".repeat(50_000))).collect();
    dir.write("products.csv", format!("sku,n\n{}\n", rows.join("\n")));
    let server = counter();
    disk.fill(1000);
    let ended = run_of(&dir, &server, "products.csv", &[]).finish().expect_code(74);
    let said = messages(&ended);
    // The rows, or the answers beside them.
    assert!(said.contains("the disk is full: make room"), "{}", ended.stderr);
    assert!(!dir.has("out.csv"));
    disk.free();
    run_of(&dir, &server, "products.csv", &[]).finish().expect_code(0);
    assert_eq!(dir.read("out.csv").lines().count(), 41);
}

#[test]
fn a_filter_that_depends_on_the_time_never_loses_a_row_in_silence() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\na,1\nb,2\n");
    let server = ScriptedServer::script(
        Script::new().for_sku("b", [Reply::json("{}").wait(Duration::from_millis(1500))]).otherwise(|_| {
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
            Reply::json(format!("{{\"t\":{now}}}"))
        }),
    );
    let columns = "v=if .t and now - .t > 1 then error(\"late\") else 1 end";
    let run = |columns| fetch_to(&dir, &server, "out.csv").args(["--columns", columns]);
    let ended = run(columns).finish().expect_code(74);
    let said = messages(&ended);
    assert!(
        said.contains("SKU a: column `v`: the jq filter failed: \"late\", though not when"),
        "{}",
        ended.stderr
    );
    assert!(!dir.has("out.csv") && dir.has("out.csv.journal"));
    run("v=1").finish().expect_code(0);
    assert_eq!((server.count(), dir.read("out.csv")), (2, "sku,n,v\na,1,1\nb,2,1\n".to_owned()));
}

#[test]
fn a_signal_while_answers_come_leaves_the_journal_and_no_table() {
    let dir = WorkDir::new();
    dir.write_skus(skus(400));
    let server = ScriptedServer::start(|seen| {
        Reply::json(format!("{{\"v\":\"{}\"}}", seen.sku)).wait(Duration::from_millis(5))
    });
    let mut run = run_of(&dir, &server, "products.csv", &["-c", "4"]).spawn();
    run.wait_until(|| server.count() > 100);
    run.signal(Signal::TERM);
    run.wait().expect_code(143);
    assert_eq!(dir.names(), ["out.csv.journal", "out.csv.lock", "products.csv"]);
    run_of(&dir, &server, "products.csv", &[]).finish().expect_code(0);
    assert!(server.count() < 420, "{}", server.count());
    assert_eq!(dir.read("out.csv").lines().count(), 401);
}

#[test]
fn a_304_that_the_user_asked_for_has_no_old_body_in_a_table() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\na,1\nb,2\n");
    dir.write("out.csv", "sku,n,v\na,1,old\nb,2,old\n");
    let server = ScriptedServer::script(
        Script::new().for_sku("a", [Reply::status(304)]).otherwise(|_| Reply::json("{\"v\":1}")),
    );
    let args = ["--merge", "-H", "If-None-Match: \"x\""];
    let ended = run_of(&dir, &server, "products.csv", &args).finish().expect_code(1);
    assert!(ended.stderr.contains("304"), "{}", ended.stderr);
    assert_eq!(dir.read("out.csv"), "sku,n,v\na,1,old\nb,2,1\n");
}

#[test]
fn a_row_that_cannot_be_asked_for_is_not_removed_as_well_where_the_old_table_has_two_of_its_sku() {
    let (dir, server) = (WorkDir::new(), counter());
    dir.write("products.csv", "sku,n\na,new\nk\u{1},new\nb,new\n");
    let old = "sku,n,v\na,old,A\nk\u{1},one,K\nk\u{1},two,K\nb,old,B\n";
    let args = ["--limit", "2", "--guard", "off", "--changes", "c.jsonl"];
    dir.write("out.csv", old);
    run_of(&dir, &server, "products.csv", &args).finish().expect_code(1);
    let changes = dir.read("c.jsonl");
    let kinds = changes.lines().map(|line| &line.split("\"change\":\"").nth(1).unwrap()[..6]);
    assert_eq!(kinds.collect::<Vec<_>>(), ["change", "failed", "remove"], "{changes}");
    // Merged, its rows stay as they are.
    dir.write("out.csv", old);
    run_of(&dir, &server, "products.csv", &["--limit", "2", "--merge"]).finish().expect_code(1);
    let merged = dir.read("out.csv");
    assert!(merged.contains("k\u{1},new,K\n") && merged.contains("k\u{1},two,K\n"), "{merged}");
    assert_eq!(merged.lines().count(), 5, "{merged}");
}
