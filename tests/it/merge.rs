//! Refresh: `--merge` starts from the output that is there, and requests only what it must.

use std::process::Command;

use serde_json::Value;

use crate::output_kit::{
    counts, echoed, fetch, fetch_to, finished, keys, members, messages, plain, skus, without_times,
};
use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir};

#[test]
fn the_rows_of_the_input_are_first_and_then_what_only_the_old_output_has_in_its_order() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("out.json", "{\"z\":1.10,\"b\":\"old\",\"y\":[9007199254740993],\"a\":2}");
    dir.write_skus(["c", "b", "a"]);
    let ended = fetch(&dir, &server).args(["--merge"]).finish().expect_code(0);
    let text = dir.read("out.json");
    assert_eq!(keys(&text), ["c", "b", "a", "z", "y"]);
    assert!(text.ends_with("\"z\":1.10,\n\"y\":[9007199254740993]\n}\n"), "{text}");
    assert_eq!(counts(&ended), [3, 3, 0, 0, 0, 0]);
}

#[test]
fn without_merge_what_only_the_old_output_has_is_removed() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("out.json", "not even JSON");
    dir.write_skus(["a"]);
    fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(dir.read("out.json"), echoed(["a"]));
}

#[test]
fn a_failed_sku_keeps_its_old_line_in_either_shape() {
    for (shape, old) in [
        ("body", "{\"a\":\"old\",\"b\":\"old\"}"),
        (
            "record",
            "{\"a\":{\"status\":200,\"fetched_at\":\"2020-01-01T00:00:00Z\",\"attempts\":1,\"body\":\"old\"},\
                     \"b\":{\"status\":200,\"fetched_at\":\"2020-01-01T00:00:00Z\",\"attempts\":1,\"body\":\"old\"}}",
        ),
    ] {
        let dir = WorkDir::new();
        dir.write("out.json", old);
        dir.write_skus(["c", "a", "b", "d"]);
        let server = ScriptedServer::script(
            Script::new().for_sku("a", [Reply::status(404)]).for_sku("c", [Reply::status(404)]),
        );
        let ended = fetch(&dir, &server).args(["--merge", "--shape", shape]).finish().expect_code(1);
        assert_eq!(counts(&ended), [4, 2, 0, 2, 0, 0]);
        let text = dir.read("out.json");
        let found = members(&text);
        let a = found.iter().find(|(key, _)| key == "a").unwrap();
        let before: Value = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&a.1).unwrap(), before["a"], "{shape}");
        let order: &[&str] = if shape == "record" { &["c", "a", "b", "d"] } else { &["a", "b", "d"] };
        assert_eq!(keys(&text), order);
        assert!(dir.read("out.failed.csv").contains("\na,"));
    }
}

#[test]
fn an_old_output_that_another_program_wrote_prettily_is_as_good() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let python = "import json; json.dump({'ü':{'n':[1,2.50]},'b':None}, open('out.json','w'), indent=2)";
    assert!(Command::new("python3").args(["-c", python]).current_dir(dir.root()).status().unwrap().success());
    assert!(dir.read("out.json").lines().count() > 5);
    dir.write_skus(["a"]);
    fetch(&dir, &server).args(["--merge"]).finish().expect_code(0);
    let text = dir.read("out.json");
    assert_eq!(text.lines().count(), 5, "a line a SKU: {text}");
    assert_eq!(keys(&text), ["a", "ü", "b"]);
    assert!(text.contains(":{\"n\":[1,2.5]},\n"), "{text}");
}

#[test]
fn an_old_output_that_cannot_be_read_is_65_before_any_request() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["a"]);
    for old in ["", "[1]", "{\"a\":1", "{\"a\":1}x", "{\"a\":1,}", "nonsense", "{\"a\":{\"b\":NaN}}"] {
        dir.write("out.json", old);
        let ended = fetch(&dir, &server).args(["--merge"]).finish().expect_code(65);
        assert!(messages(&ended).contains("out.json"), "{}", ended.stderr);
        assert_eq!(dir.read("out.json"), old);
    }
    dir.write("out.jsonl", "{\"key\":\"a\",\"body\":1}\n{\"key\":2}\n");
    fetch_to(&dir, &server, "out.jsonl").args(["--merge", "--format", "jsonl"]).finish().expect_code(65);
    assert_eq!(server.count(), 0);
}

#[test]
fn merge_without_an_old_output_is_a_plain_run() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["a", "b"]);
    fetch(&dir, &server).args(["--merge"]).finish().expect_code(0);
    assert_eq!(dir.read("out.json"), echoed(["a", "b"]));
}

#[test]
fn skus_that_the_run_does_not_reach_keep_their_value() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("out.json", "{\n\"a\":\"old\",\n\"b\":\"old\",\n\"c\":\"old\"\n}\n");
    dir.write_skus(["a", "b", "c"]);
    fetch(&dir, &server).args(["--merge", "--limit", "1"]).finish().expect_code(0);
    let text = dir.read("out.json");
    assert_eq!(keys(&text), ["a", "b", "c"]);
    assert!(text.ends_with("\"b\":\"old\",\n\"c\":\"old\"\n}\n"), "{text}");
    assert_eq!(server.count(), 1);
}

#[test]
fn merge_works_on_lines_too() {
    let (dir, server) =
        (WorkDir::new(), ScriptedServer::script(Script::new().for_sku("b", [Reply::status(404)])));
    dir.write("out.jsonl", "{\"key\":\"z\",\"body\":1.0}\n{ \"key\" : \"b\", \"body\": [1, 2] }\n");
    dir.write_skus(["a", "b"]);
    fetch_to(&dir, &server, "out.jsonl").args(["--merge", "--format", "jsonl"]).finish().expect_code(1);
    let text = dir.read("out.jsonl");
    let keys: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone()).collect();
    assert_eq!(keys, ["a", "b", "z"]);
    assert!(text.ends_with("{\"key\":\"z\",\"body\":1.0}\n"), "{text}");
}

#[test]
fn max_age_leaves_alone_what_is_younger_in_both_shapes() {
    for shape in ["body", "record"] {
        let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
        dir.write_skus(["a", "b"]);
        let run =
            |more: &[&str]| fetch(&dir, &server).args(["--merge", "--shape", shape]).args(more).finish();
        run(&[]).expect_code(0);
        let before = dir.read("out.json");
        dir.write_skus(["new", "b", "a"]);
        let ended = run(&["--max-age", "1h"]).expect_code(0);
        assert_eq!((counts(&ended), server.count()), ([3, 1, 2, 0, 0, 0], 3));
        let text = dir.read("out.json");
        assert_eq!(keys(&text), ["new", "b", "a"]);
        for (key, value) in members(&before) {
            assert!(text.contains(&format!("\"{key}\":{value}")), "{key} stands as it stood");
        }
        // Their age is still recorded after a run that did not request them; and what is older is requested.
        let ended = run(&["--max-age", "1h"]).expect_code(0);
        assert_eq!((counts(&ended), server.count()), ([3, 0, 3, 0, 0, 0], 3));
        let ended = run(&["--max-age", "1ms"]).expect_code(0);
        assert_eq!((counts(&ended), server.count()), ([3, 3, 0, 0, 0, 0], 6));
    }
}

/// Answers with a validator, and 304 to who has it.
fn validating() -> ScriptedServer {
    ScriptedServer::start(|seen| {
        let etag = format!("\"v-{}\"", seen.sku);
        if seen.header("If-None-Match") == Some(&etag) {
            Reply::bytes("").with_status(304)
        } else {
            Reply::echo(seen).header("ETag", etag).header("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT")
        }
    })
}

#[test]
fn a_second_night_sends_conditional_requests_and_a_304_keeps_the_old_body() {
    for merge in [&["--merge"][..], &[]] {
        let (dir, server) = (WorkDir::new(), validating());
        let skus = skus(20);
        dir.write_skus(&skus);
        let first = fetch(&dir, &server).args(merge).finish().expect_code(0);
        assert_eq!(counts(&first), [20, 20, 0, 0, 0, 0]);
        let before = dir.read("out.json");
        for night in 2..4 {
            let ended = fetch(&dir, &server).args(merge).finish().expect_code(0);
            assert_eq!(counts(&ended), [20, 0, 20, 0, 0, 0], "counted apart, in night {night}");
            assert_eq!(dir.read("out.json"), before);
        }
        assert_eq!(server.count(), 60);
        for seen in &server.requests()[20..] {
            assert_eq!(seen.header("If-None-Match"), Some(&*format!("\"v-{}\"", seen.sku)));
            assert_eq!(seen.header("If-Modified-Since"), Some("Mon, 02 Nov 2026 10:00:00 GMT"));
        }
    }
}

#[test]
fn a_304_to_a_conditional_request_is_unchanged_whatever_statuses_are_retried_or_stored_as_null() {
    for named in [["--retry-on", "+300-399"], ["--null-on", "304"], ["--null-on", "300-399"]] {
        for merge in [&["--merge"][..], &[]] {
            let (dir, server) = (WorkDir::new(), validating());
            dir.write_skus(skus(5));
            let run = || fetch(&dir, &server).args(named).args(merge).finish().expect_code(0);
            run();
            let before = dir.read("out.json");
            assert_eq!(counts(&run()), [5, 0, 5, 0, 0, 0], "{named:?}");
            assert_eq!((dir.read("out.json"), server.count()), (before, 10), "{named:?}");
        }
    }
}

#[test]
fn losing_the_state_file_loses_only_the_saving() {
    let (dir, server) = (WorkDir::new(), validating());
    let skus = skus(5);
    dir.write_skus(&skus);
    fetch(&dir, &server).finish().expect_code(0);
    let good = dir.bytes("out.json.state");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let cases = [
        None,
        Some(Vec::new()),
        Some(good[..good.len() - 9].to_vec()),
        Some(flipped),
        Some(b"{}\n".to_vec()),
    ];
    for state in cases {
        match state {
            Some(bytes) => drop(dir.write("out.json.state", bytes)),
            None => std::fs::remove_file(dir.path("out.json.state")).unwrap(),
        }
        let ended = fetch(&dir, &server).args(["--merge", "--max-age", "1h"]).finish().expect_code(0);
        assert_eq!(counts(&ended), [5, 5, 0, 0, 0, 0]);
        assert_eq!(dir.read("out.json"), echoed(&skus));
        assert!(server.requests().iter().rev().take(5).all(|seen| seen.header("If-None-Match").is_none()));
    }
}

#[test]
fn a_state_file_of_another_output_is_not_trusted() {
    let (dir, server) = (WorkDir::new(), validating());
    dir.write_skus(["a", "b"]);
    fetch(&dir, &server).finish().expect_code(0);
    // Somebody wrote the output since: its bodies are not those that the validators belong to.
    dir.write("out.json", "{\n\"a\":\"by hand\",\n\"b\":\"by hand\"\n}\n");
    let ended = fetch(&dir, &server).args(["--merge", "--max-age", "1h"]).finish().expect_code(0);
    assert_eq!(counts(&ended), [2, 2, 0, 0, 0, 0]);
    assert_eq!(dir.read("out.json"), echoed(["a", "b"]));
}

#[test]
fn another_template_or_selection_sends_no_conditional_requests() {
    let (dir, server) = (WorkDir::new(), validating());
    dir.write_skus(["a", "b"]);
    fetch(&dir, &server).finish().expect_code(0);
    let ended = fetch(&dir, &server).args(["--select", ".sku"]).finish().expect_code(0);
    assert_eq!(counts(&ended), [2, 2, 0, 0, 0, 0]);
    assert_eq!(members(&dir.read("out.json"))[0].1, "\"a\"");
}

#[test]
fn another_language_or_version_sends_no_conditional_requests_and_uses_nothing_of_the_other() {
    let server = ScriptedServer::start(|seen| {
        let tag = seen.header("Accept-Language").or_else(|| seen.header("Accept")).unwrap();
        // As a server that gives one ETag to the product, whatever the language.
        match seen.header("If-None-Match") {
            Some(_) => Reply::bytes("").with_status(304),
            None => Reply::json(format!("\"{tag}\"")).header("ETag", "\"1\""),
        }
    });
    for (first, second) in
        [("Accept-Language: de", "Accept-Language: fr"), ("Accept: text/v1+json", "accept: text/v2+json")]
    {
        let dir = WorkDir::new();
        dir.write_skus(["a", "b"]);
        for header in [first, second] {
            let args = ["-H", header, "--merge", "--max-age", "1h"];
            let ended = fetch(&dir, &server).args(args).finish().expect_code(0);
            assert_eq!(counts(&ended), [2, 2, 0, 0, 0, 0], "{header}");
            let value = header.split_once(": ").unwrap().1;
            assert_eq!(members(&dir.read("out.json"))[0].1, format!("\"{value}\""));
        }
        let ended = fetch(&dir, &server).args(["-H", second, "--merge"]).finish().expect_code(0);
        assert_eq!(counts(&ended), [2, 0, 2, 0, 0, 0], "the same job again");
    }
}

#[test]
fn a_304_to_an_unconditional_request_fails_its_sku() {
    let (dir, server) = (
        WorkDir::new(),
        ScriptedServer::script(Script::new().for_sku("a", [Reply::bytes("").with_status(304)])),
    );
    dir.write_skus(["a", "b"]);
    let ended = fetch(&dir, &server).finish().expect_code(1);
    assert_eq!(counts(&ended), [2, 1, 0, 1, 0, 0]);
    assert_eq!(keys(&dir.read("out.json")), ["b"]);
}

#[test]
fn unchanged_answers_of_an_interrupted_refresh_are_not_requested_again() {
    let dir = WorkDir::new();
    let server = ScriptedServer::start(|seen| match (seen.header("If-None-Match"), seen.sku.as_str()) {
        (Some(_), "S0009") if seen.attempt < 3 => Reply::status(404),
        (Some(_), _) => Reply::bytes("").with_status(304),
        (None, _) => Reply::echo(seen).header("ETag", "W/\"1\""),
    });
    let skus = skus(10);
    dir.write_skus(&skus);
    fetch(&dir, &server).finish().expect_code(0);
    let before = dir.read("out.json");
    let ended = fetch(&dir, &server).args(["--min-success", "100"]).finish().expect_code(69);
    assert_eq!(counts(&ended), [10, 0, 9, 1, 0, 0]);
    assert_eq!(dir.read("out.json"), before);
    let ended = fetch(&dir, &server).args(["--min-success", "100"]).finish().expect_code(0);
    assert_eq!((server.count(), counts(&ended)), (21, [10, 9, 1, 0, 0, 0]));
    assert_eq!(finished(&ended)["recovered"], 9);
    assert_eq!(dir.read("out.json"), before);
}

#[test]
fn a_304_in_the_record_shape_keeps_the_status_that_the_body_came_with() {
    let (dir, server) = (WorkDir::new(), validating());
    dir.write_skus(["a"]);
    fetch(&dir, &server).args(["--shape", "record"]).finish().expect_code(0);
    let before = dir.read("out.json");
    let ended = fetch(&dir, &server).args(["--shape", "record"]).finish().expect_code(0);
    assert_eq!(counts(&ended), [1, 0, 1, 0, 0, 0]);
    assert_eq!(without_times(&dir.read("out.json")), without_times(&before));
    assert!(before.contains("\"status\":200"));
}

#[test]
fn lines_of_two_kinds_are_never_mixed() {
    let ways: &[&[&str]] = &[
        &[],
        &["--select", ".n"],
        &["--shape", "record"],
        &["--format", "jsonl"],
        &["--body-as", "text"],
        &["--next", "link"],
        &["--next", "link", "--join", ".n"],
    ];
    for before in ways {
        for now in ways {
            let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
            dir.write_skus(["a", "b"]);
            fetch(&dir, &server).args(*before).finish().expect_code(0);
            let (old, requested) = (dir.read("out.json"), server.count());
            dir.write_skus(["a"]);
            if before == now {
                fetch(&dir, &server).args(*now).args(["--merge"]).finish().expect_code(0);
                continue;
            }
            let plan =
                fetch(&dir, &server).args(*now).args(["--merge", "--dry-run"]).finish().expect_code(65);
            let ended = fetch(&dir, &server).args(*now).args(["--merge"]).finish().expect_code(65);
            assert!(messages(&ended).contains("cannot merge with out.json: "), "{}", messages(&ended));
            assert!(messages(&ended).ends_with(&messages(&plan)), "{}", messages(&plan));
            assert_eq!((server.count(), dir.read("out.json")), (requested, old), "{before:?} {now:?}");
            // Without the state file, shape and format are found from the lines themselves.
            std::fs::remove_file(dir.path("out.json.state")).unwrap();
            let is_seen =
                [before, now].iter().any(|way| ["--shape", "--format"].contains(way.first().unwrap_or(&"")));
            let code = if is_seen { 65 } else { 0 };
            fetch(&dir, &server).args(*now).args(["--merge"]).finish().expect_code(code);
        }
    }
}

#[test]
fn what_the_input_no_longer_has_is_counted_and_pruned_on_request() {
    let (dir, server) =
        (WorkDir::new(), ScriptedServer::script(Script::new().for_sku("f", [Reply::status(404)])));
    dir.write("out.json", "{\"a\":1,\"x\":2,\"f\":3,\"y\":4,\"bad\":5}");
    // A damaged row still counts as in the input: its key can be read.
    dir.write("products.csv", "sku,name\na,1\nf,2\nbad,3,4,5\n");
    let url = server.url("/p/{sku}");
    let args = [
        "products.csv",
        "-o",
        "out.json",
        "--merge",
        "--min-success",
        "0",
        "--log-format",
        "json",
        "--url",
        &url,
    ];
    let ended = Run::new(&dir).args(args).finish().expect_code(1);
    assert_eq!(finished(&ended)["no_longer_in_input"], 2);
    assert_eq!(keys(&dir.read("out.json")), ["a", "f", "bad", "x", "y"]);
    let plan = Run::new(&dir).args(args).args(["--prune", "--dry-run"]).finish();
    assert!(plan.stdout().contains("SKUs that the input no longer has are taken out"), "{}", plan.stdout());
    let ended = Run::new(&dir).args(args).args(["--prune"]).finish().expect_code(1);
    assert_eq!(
        (&finished(&ended)["no_longer_in_input"], &finished(&ended)["pruned"]),
        (&2.into(), &true.into())
    );
    assert_eq!(keys(&dir.read("out.json")), ["a", "f", "bad"]);
    let ended = Run::new(&dir).args(args).args(["--limit", "1"]).finish().expect_code(0);
    assert_eq!(
        finished(&ended)["no_longer_in_input"],
        Value::Null,
        "a limited input says nothing of the others"
    );
    // A failure file has only what failed: pruning would take out all the rest.
    let before = dir.read("out.json");
    dir.write("out.failed.csv", "sku,name,_error,_status,_attempts\nf,2,x,404,1\n");
    let retry = ["out.failed.csv", "-o", "out.json", "--merge", "--min-success", "0", "--url", &url];
    let ended = Run::new(&dir).args(retry).args(["--prune"]).finish().expect_code(2);
    assert!(ended.stderr.contains("is a failure file"), "{}", ended.stderr);
    let ended = Run::new(&dir).args(retry).finish().expect_code(1);
    assert!(!ended.stderr.contains("no longer in the input"), "{}", ended.stderr);
    assert_eq!(members(&dir.read("out.json")).len(), members(&before).len());
}

#[test]
fn pruning_most_of_an_output_is_held_back_as_a_short_export_is() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(40));
    fetch(&dir, &server).finish().expect_code(0);
    let (before, requested) = (dir.read("out.json"), server.count());
    dir.write_skus(skus(10));
    fetch(&dir, &server).args(["--merge", "--prune"]).finish().expect_code(76);
    assert_eq!((dir.read("out.json"), server.count()), (before, requested));
}

#[test]
fn nothing_is_pruned_while_a_damaged_row_may_be_any_sku() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("out.json", "{\"a\":1,\"b\":2,\"gone\":3}");
    let url = server.url("/p/{sku}");
    let args = ["products.csv", "-o", "out.json", "--merge", "--prune", "--min-success", "0", "--url", &url];
    // A comma that moves the cells: `b` is where the name belongs.
    dir.write("products.csv", "name,sku,x\nn,a,1\nn,4,b,1\n");
    let ended = Run::new(&dir).args(args).finish().expect_code(1);
    assert!(ended.stderr.contains("--prune took nothing out"), "{}", ended.stderr);
    assert_eq!(keys(&dir.read("out.json")), ["a", "b", "gone"]);
    // A row without a SKU hides none.
    dir.write("products.csv", "name,sku,x\nn,a,1\ntotal,,1\nn,b,1\n");
    Run::new(&dir).args(args).finish().expect_code(1);
    assert_eq!(keys(&dir.read("out.json")), ["a", "b"]);
}

#[test]
fn lines_of_an_unclear_kind_are_merged_with_a_warning() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let skus = skus(20);
    dir.write_skus(&skus);
    plain(&dir, &server, "out.json").finish().expect_code(0);
    // As after `mv out.held.json out.json`, or an editor.
    dir.write("out.json", dir.read("out.json") + "\n");
    let run =
        |args: &[&str]| plain(&dir, &server, "out.json").args(["--merge"]).args(args).finish().expect_code(0);
    let says = "whether its values were made with this run's --select and --body-as cannot be checked";
    let ended = run(&["--limit", "10", "--select", ".sku"]);
    assert!(ended.stderr.contains(says), "{}", ended.stderr);
    dir.write("out.json", dir.read("out.json") + "\n");
    let ended = run(&["--select", ".sku"]);
    assert!(!ended.stderr.contains(says), "the same selection: {}", ended.stderr);
}
