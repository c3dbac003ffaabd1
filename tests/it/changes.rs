//! `--changes`: what differs from the file that is replaced, a JSON line for each SKU, in the output's order.

use serde_json::{Value, json};

use crate::output_kit::{fetch, finished, plain};
use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir};

fn of(body: &str) -> [Reply; 1] {
    [Reply::json(body)]
}

#[test]
fn each_sku_that_differs_has_a_line_in_the_order_of_the_output() {
    let dir = WorkDir::new();
    dir.write_skus(["gone2", "same", "number", "fails", "gone1", "was\"é"]);
    let night_one = ScriptedServer::script(
        Script::new()
            .for_sku("same", of("{\"a\": [1.10, \"x\"]}"))
            .for_sku("number", of("1.10"))
            .for_sku("fails", of("3"))
            .for_sku("gone1", of("4"))
            .for_sku("gone2", of("null"))
            .for_sku("was\"é", of("\"old\"")),
    );
    let changes = ["--changes", "changes.jsonl"];
    fetch(&dir, &night_one).args(changes).finish().expect_code(0);
    assert_eq!(dir.read("changes.jsonl").lines().count(), 6, "all are new");
    let ended = fetch(&dir, &night_one).args(changes).finish().expect_code(0);
    assert_eq!(dir.read("changes.jsonl"), "", "nothing changed: an empty file");
    assert_eq!(finished(&ended)["changes"], json!({"added": 0, "changed": 0, "removed": 0, "failed": 0}));

    dir.write_skus(["new", "was\"é", "fails", "never", "number", "same"]);
    let night_two = ScriptedServer::script(
        Script::new()
            .for_sku("same", of("{\"a\":[1.10,\"x\"]}"))
            .for_sku("number", of("1.1"))
            .for_sku("fails", [Reply::status(404)])
            .for_sku("never", [Reply::status(404)])
            .for_sku("new", of("{}"))
            .for_sku("was\"é", of("\"new\"")),
    );
    let ended = plain(&dir, &night_two, "out.json").args(changes).finish().expect_code(1);
    assert_eq!(
        dir.read("changes.jsonl"),
        "{\"key\":\"new\",\"change\":\"added\",\"new\":{}}\n\
         {\"key\":\"was\\\"é\",\"change\":\"changed\",\"old\":\"old\",\"new\":\"new\"}\n\
         {\"key\":\"fails\",\"change\":\"failed\",\"old\":3}\n\
         {\"key\":\"never\",\"change\":\"failed\"}\n\
         {\"key\":\"number\",\"change\":\"changed\",\"old\":1.10,\"new\":1.1}\n\
         {\"key\":\"gone2\",\"change\":\"removed\",\"old\":null}\n\
         {\"key\":\"gone1\",\"change\":\"removed\",\"old\":4}\n"
    );
    let says = "changes: 1 added, 2 changed, 2 removed, 2 failed";
    assert!(
        ended.stderr.contains(says) && ended.stderr.contains("changes.jsonl (7 lines)"),
        "{}",
        ended.stderr
    );
}

#[test]
fn of_records_the_bodies_are_compared_in_both_formats_and_a_failure_had_no_body() {
    for format in ["json", "jsonl"] {
        let dir = WorkDir::new();
        dir.write_skus(["a", "b", "c", "d"]);
        let first = ScriptedServer::script(Script::new().for_sku("b", [Reply::status(404)]));
        let args = ["--shape", "record", "--format", format, "--changes", "changes.jsonl"];
        fetch(&dir, &first).args(args).finish().expect_code(1);
        dir.write_skus(["a", "b", "c"]);
        let second = ScriptedServer::script(
            Script::new().for_sku("c", of("[]")).for_sku("b", of("1")).for_sku("a", [Reply::status(404)]),
        );
        fetch(&dir, &second).args(args).finish().expect_code(1);
        let lines: Vec<Value> =
            dir.read("changes.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let reported: Vec<_> = lines
            .iter()
            .map(|line| (line["key"].as_str().unwrap(), line["change"].as_str().unwrap()))
            .collect();
        assert_eq!(
            reported,
            [("a", "failed"), ("b", "added"), ("c", "changed"), ("d", "removed")],
            "{format}"
        );
        assert_eq!((&lines[2]["old"]["sku"], &lines[2]["new"]), (&json!("c"), &json!([])));
    }
}

#[test]
fn with_merge_what_is_kept_is_no_change_and_what_is_pruned_is_removed() {
    let dir = WorkDir::new();
    dir.write("out.json", "{\"x\":1,\"a\":2,\"f\":3}");
    dir.write_skus(["a", "f", "n"]);
    let server = ScriptedServer::script(
        Script::new().for_sku("a", of("5")).for_sku("f", [Reply::status(404)]).for_sku("n", of("6")),
    );
    let args = ["--merge", "--changes", "changes.jsonl"];
    let ended = plain(&dir, &server, "out.json").args(args).finish().expect_code(1);
    let expected = "{\"key\":\"a\",\"change\":\"changed\",\"old\":2,\"new\":5}\n\
                    {\"key\":\"f\",\"change\":\"failed\",\"old\":3}\n\
                    {\"key\":\"n\",\"change\":\"added\",\"new\":6}\n";
    assert_eq!(dir.read("changes.jsonl"), expected);
    assert!(
        ended.stderr.contains("1 SKU of the old output is no longer in the input: kept"),
        "{}",
        ended.stderr
    );
    let ended = plain(&dir, &server, "out.json").args(args).args(["--prune"]).finish().expect_code(1);
    let expected = "{\"key\":\"f\",\"change\":\"failed\",\"old\":3}\n\
                    {\"key\":\"x\",\"change\":\"removed\",\"old\":1}\n";
    assert_eq!(dir.read("changes.jsonl"), expected);
    assert_eq!(dir.read("out.json"), "{\n\"a\":5,\n\"f\":3,\n\"n\":6\n}\n");
    assert!(ended.stderr.contains("taken out by --prune"), "{}", ended.stderr);
}

#[test]
fn a_run_that_publishes_nothing_leaves_the_changes_of_the_last_and_a_held_one_writes_its_own() {
    let dir = WorkDir::new();
    dir.write_skus((0..12).map(|n| n.to_string()));
    let changes = ["--changes", "changes.jsonl"];
    let server = ScriptedServer::start(|seen| match seen.attempt {
        1 => Reply::echo(seen),
        2 => Reply::status(404),
        _ => Reply::json("{}"),
    });
    fetch(&dir, &server).args(changes).finish().expect_code(0);
    let before = dir.read("changes.jsonl");
    fetch(&dir, &server).args(changes).finish().expect_code(69);
    assert_eq!(dir.read("changes.jsonl"), before);
    fetch(&dir, &server).args(changes).finish().expect_code(76);
    let held = dir.read("changes.jsonl");
    assert_eq!(held.matches("\"change\":\"changed\"").count(), 12, "{held}");
}

#[test]
fn the_file_of_changes_is_none_that_the_run_reads_or_writes() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["a"]);
    for (name, code) in [
        ("products.csv", 2),
        ("-", 2),
        ("out.json", 2),
        ("out.json.journal", 2),
        ("out.failed.csv", 2),
        ("out.held.json", 2),
        ("absent/changes.jsonl", 73),
    ] {
        fetch(&dir, &server).args(["--changes", name]).finish().expect_code(code);
    }
    plain(&dir, &server, "-").args(["--changes", "changes.jsonl"]).finish().expect_code(2);
    dir.write("out.json", "not JSON");
    fetch(&dir, &server).args(["--changes", "changes.jsonl"]).finish().expect_code(65);
    assert_eq!((server.count(), dir.read("out.json").as_str()), (0, "not JSON"));
    let args = ["products.csv", "-o", "out.json", "--report", "c.json", "--changes", "c.json", "--demo"];
    Run::new(&dir).args(args).finish().expect_code(2);
}

#[test]
fn the_counts_are_in_the_report_and_the_metrics() {
    let dir = WorkDir::new();
    dir.write_skus(["a", "b"]);
    let server = ScriptedServer::echo();
    for report in ["r.json", "r.prom"] {
        let args = ["--changes", "changes.jsonl", "--report", report];
        fetch(&dir, &server).args(args).finish().expect_code(0);
    }
    let report: Value = serde_json::from_str(&dir.read("r.json")).unwrap();
    assert_eq!(report["changes"]["added"], 2);
    let metrics = dir.read("r.prom");
    assert!(
        metrics.contains("change=\"changed\"} 0") && metrics.contains("change=\"added\"} 0"),
        "{metrics}"
    );
}
