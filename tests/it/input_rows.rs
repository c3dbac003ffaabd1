//! Rows without a key, rows that are too short or too long, rows that are none: what becomes of each, and how it is
//! counted and said.

use std::fmt::Write as _;

use serde_json::Value;

use crate::input::{finished, keys, outcome_counts};
use crate::support::{Ended, Reply, Run, Script, ScriptedServer, WorkDir};

fn run(server: &ScriptedServer, dir: &WorkDir, args: &[&str]) -> Ended {
    let url = server.url("/{sku}");
    Run::new(dir).args(["p.csv", "-o", "out.json", "-u", &url]).args(args).finish()
}

/// An export of a shop: 70 products with a SKU, 446 variations without.
fn export() -> String {
    let mut csv = String::from("ID,Type,SKU,Name\n");
    for n in 0..516 {
        let sku = if n % 516 < 70 { format!("W-{n}") } else { String::new() };
        writeln!(csv, "{n},variation,{sku},x").unwrap();
    }
    csv
}

#[test]
fn an_export_with_few_skus_is_published_and_the_last_lines_name_the_option() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("p.csv", export());
    let ended = run(&server, &dir, &[]).expect_code(1);
    assert_eq!(keys(&dir.read("out.json")).len(), 70);
    let last: Vec<&str> = ended.stderr.lines().rev().take(3).collect();
    let expected = "446 rows have no SKU: --empty-key skip leaves such rows out";
    assert!(last.contains(&expected), "{}", ended.stderr);
    let plan = run(&server, &dir, &["--dry-run"]).expect_code(1);
    assert!(plan.stdout().contains(expected), "{}", plan.stdout());
    let ended = run(&server, &dir, &["-q"]).expect_code(1);
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn skipped_rows_are_counted_and_cost_neither_a_request_nor_a_failure() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("p.csv", export() + ",,,\nTotal,,,516\nTotal,,,\u{e9}\n,,W-0,again\n");
    let skip = ["--empty-key", "skip"];
    let args = [&skip[..], &["--report", "r.json", "--log-format", "json"]].concat();
    let ended = run(&server, &dir, &args).expect_code(0);
    assert_eq!(server.count(), 70);
    assert!(!dir.has("out.failed.csv"));
    let record = finished(&ended.stderr);
    assert_eq!(outcome_counts(&record), [70, 0, 0, 1, 0]);
    assert_eq!((&record["skipped"], &record["blanks"]), (&448.into(), &1.into()));
    let report: Value = serde_json::from_str(&dir.read("r.json")).unwrap();
    assert_eq!((&report["skipped"], &report["skus"]), (&448.into(), &70.into()));
    let plan = run(&server, &dir, &[&skip[..], &["--dry-run"]].concat()).expect_code(0);
    assert!(plan.stdout().contains("519: 70 SKUs, 448 skipped, 1 repeat"), "{}", plan.stdout());
    for ending in ["prom", "html"] {
        let report = format!("r.{ending}");
        let ended = run(&server, &dir, &[&skip[..], &["--report", &report]].concat()).expect_code(0);
        assert!(ended.stderr.contains(", 448 skipped, 1 repeat"), "{}", ended.stderr);
        assert!(dir.read(&report).contains("skipped"), "{ending}");
    }
    assert!(dir.read("r.prom").contains("outcome=\"skipped\"} 448"), "{}", dir.read("r.prom"));
}

#[test]
fn an_input_without_any_sku_publishes_nothing() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("p.csv", "name,sku\nx,\ny,\n");
    for args in [&["--empty-key", "skip"][..], &[], &["--dry-run"], &["--empty-key", "skip", "--dry-run"]] {
        let ended = run(&server, &dir, args).expect_code(65);
        assert!(ended.stderr.contains("2 rows have no SKU"), "{args:?}: {}", ended.stderr);
        assert!(!dir.has("out.json"), "{args:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_run_that_was_stopped_takes_up_its_journal_past_skipped_rows() {
    let script = Script::new().for_sku("B", [Reply::status(500), Reply::bytes("{}")]).otherwise(Reply::echo);
    let (server, dir) = (ScriptedServer::script(script), WorkDir::new());
    dir.write("p.csv", "name,sku\nx,\nx,A\nx,\nx,B\nx,C\nx,D\n");
    let args = ["--empty-key", "skip", "--retries", "0", "--min-success", "100"];
    run(&server, &dir, &args).expect_code(69);
    let ended = run(&server, &dir, &args).expect_code(0);
    assert_eq!(server.requests_for("A").len(), 1, "{}", ended.stderr);
    assert_eq!(keys(&dir.read("out.json")), ["A", "B", "C", "D"], "{}", ended.stderr);
}

#[test]
fn short_rows_fail_and_name_the_option_or_are_padded_and_keep_their_cells() {
    let script = Script::new().for_sku("GONE", [Reply::status(404)]).otherwise(Reply::echo);
    let (server, dir) = (ScriptedServer::script(script), WorkDir::new());
    dir.write("p.csv", "sku,name,qty\nA,x,1\nB\nGONE\nC,y\n,\n\"\",z\n");
    let ended = run(&server, &dir, &["--min-success", "0"]).expect_code(1);
    let expected =
        "4 rows have fewer cells than the header: --short-rows pad takes the missing cells for empty ones";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let plan = run(&server, &dir, &["--dry-run"]).expect_code(1);
    let text = plan.stdout().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(expected), "{}", plan.stdout());

    let args = ["--short-rows", "pad", "--empty-key", "skip", "--min-success", "0"];
    let ended = run(&server, &dir, &args).expect_code(1);
    assert!(ended.stderr.contains("3 fetched, 1 failed (1 not found), 1 skipped"), "{}", ended.stderr);
    assert_eq!(keys(&dir.read("out.json")), ["A", "B", "C"]);
    let failed = dir.read("out.failed.csv");
    assert_eq!(failed.lines().nth(1).unwrap().split(',').next(), Some("GONE"));
    assert_eq!(failed.lines().nth(1).unwrap().split(',').count(), 4, "its one cell, and three: {failed}");
    // The failure file is read in the same way.
    let url = server.url("/{sku}");
    let again = ["out.failed.csv", "-o", "out.json", "--merge", "--min-success", "0", "-u", &url];
    let ended = Run::new(&dir).args(again).args(["--short-rows", "pad"]).finish().expect_code(1);
    assert!(ended.stderr.contains("1 failed (1 not found)"), "{}", ended.stderr);
    // A cell that the address needs is still missing.
    let url = server.url("/{name}/{sku}");
    let args = ["p.csv", "-o", "new.json", "-u", &url, "--short-rows", "pad", "--min-success", "0"];
    let ended = Run::new(&dir).args(args).args(["--empty-key", "skip"]).finish().expect_code(1);
    assert!(ended.stderr.contains("column `name` is empty, and the URL needs it"), "{}", ended.stderr);
}

#[test]
fn empty_cells_at_the_end_are_no_damage_and_others_are() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    for (csv, expected) in [
        ("sku;name\nA;x;\nB;y;\n", &["A", "B"][..]),
        ("sku;name;\nA;x;\nB;y;\n", &["A", "B"]),
        ("sku;name;\nA;x\nB;y\n", &["A", "B"]),
        ("sku;name;;\nA;x\nB;y;;\n", &["A", "B"]),
        ("article,\nA,\nB,\n", &["A", "B"]),
    ] {
        dir.write("p.csv", csv);
        run(&server, &dir, &[]).expect_code(0);
        assert_eq!(keys(&dir.read("out.json")), expected, "{csv:?}");
    }
    dir.write("p.csv", "sku;name\nA;x;\nB;y;z\nC;y\n");
    run(&server, &dir, &["--short-rows", "pad"]).expect_code(1);
    assert_eq!(keys(&dir.read("out.json")), ["A", "C"]);
    assert!(dir.read("out.failed.csv").contains("\nB;y;z;"), "{}", dir.read("out.failed.csv"));
}

#[test]
fn numbers_that_a_spreadsheet_shortened_are_counted_by_rows_and_skus() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    let mut csv = String::from("sku;name\n");
    (0..1_084).for_each(|n| writeln!(csv, "4,{:02}E+12;x", n % 80).unwrap());
    dir.write("p.csv", csv + "sku;name\nB;y\n\u{1a}");
    let expected =
        "the SKUs of 1,084 rows, which make only 80 SKUs, look like numbers that a spreadsheet shortened";
    let plan = run(&server, &dir, &["--dry-run"]).expect_code(1);
    let ended = run(&server, &dir, &["--report", "r.json"]).expect_code(1);
    assert_eq!(server.count(), 81);
    assert_eq!(ended.stderr.matches(expected).count(), 1, "{}", ended.stderr);
    let report: Value = serde_json::from_str(&dir.read("r.json")).unwrap();
    let warnings: Vec<&str> =
        report["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let planned = plan.stdout().split_whitespace().collect::<Vec<_>>().join(" ");
    for what in [expected, "1 row is the header once more (line 1086)", "Ctrl-Z"] {
        assert!(ended.stderr.contains(what), "{what}: {}", ended.stderr);
        assert!(planned.contains(what), "{what}: {}", plan.stdout());
        assert!(warnings.iter().any(|warning| warning.contains(what)), "{what}: {warnings:?}");
    }
}
