//! What is kept of an answer: selection, text, null, sizes.

use crate::requests::run_with_url;
use crate::support::{Reply, Script, ScriptedServer, WorkDir};

fn output_for(answer: Reply, args: &[&str]) -> (Option<String>, String) {
    let dir = WorkDir::new();
    dir.write_skus(["A"]);
    let server = ScriptedServer::start(move |_| answer.clone());
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).args(["--min-success", "0"]).finish();
    assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.stderr);
    assert_eq!(server.count(), 1, "asked once: {}", ended.stderr);
    let line =
        dir.read("out.json").lines().nth(1).and_then(|line| line.strip_prefix("\"A\":").map(str::to_owned));
    assert_eq!(ended.code, Some(i32::from(line.is_none())), "{}", ended.stderr);
    (line, ended.stderr)
}

#[test]
fn a_selection_makes_one_value_of_each_body_and_untouched_numbers_keep_their_digits() {
    let body = r#"{"id": 9007199254740993, "price": 1.10, "far": 1e400, "tags": ["a", "b"], "z": 1, "a": 2}"#;
    for (filter, expected) in [
        (".", r#"{"id":9007199254740993,"price":1.10,"far":1e400,"tags":["a","b"],"z":1,"a":2}"#),
        ("{price, id, far}", r#"{"price":1.10,"id":9007199254740993,"far":1e400}"#),
        (".price", "1.10"),
        ("[.tags[]]", r#"["a","b"]"#),
        (".missing", "null"),
        (". | {z, a}", r#"{"z":1,"a":2}"#),
    ] {
        let (line, stderr) = output_for(Reply::json(body), &["--select", filter]);
        assert_eq!(line.as_deref(), Some(expected), "{filter}: {stderr}");
    }
}

#[test]
fn a_selection_of_none_or_several_values_or_an_error_fails_that_sku_alone() {
    let dir = WorkDir::new();
    dir.write_skus(["none", "one", "two", "bad"]);
    let server = ScriptedServer::start(|seen| {
        Reply::json(match seen.sku.as_str() {
            "none" => "[]",
            "one" => "[1]",
            "two" => "[1,2]",
            _ => "{\"a\":1}",
        })
    });
    let filter = "if type == \"object\" then error(\"no list\") else .[] end";
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--select", filter, "--min-success", "0"])
        .finish()
        .expect_code(1);
    assert_eq!(dir.read("out.json"), "{\n\"one\":1\n}\n");
    assert_eq!(server.count(), 4, "not asked again: {}", ended.stderr);
    let failed = dir.read("out.failed.csv");
    assert!(failed.contains("gave no value") && failed.contains("several values"), "{failed}");
}

#[test]
fn a_selection_that_does_not_compile_ends_the_run_before_any_request() {
    let dir = WorkDir::new();
    dir.write_skus(["A"]);
    let server = ScriptedServer::echo();
    for filter in [".[", "nosuch(.)", "{a:}", ""] {
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--select", filter]).finish();
        if filter.is_empty() {
            continue; // an empty value is as if it was not given
        }
        let ended = ended.expect_code(2);
        assert!(ended.stderr.contains("--select"), "{}", ended.stderr);
        assert!(!dir.has("out.json") && server.count() == 0, "{filter}");
    }
    dir.write("config.toml", "[response]\nselect = \".[\"\n");
    run_with_url(&dir, &server.url("/p/{sku}"), [""; 0]).finish().expect_code(78);
}

#[test]
fn a_body_as_text_becomes_a_json_string_and_may_be_empty() {
    for (body, expected) in [
        ("plain \"text\"\t\n", r#""plain \"text\"\t\n""#),
        ("", "\"\""),
        ("{\"a\":1}", r#""{\"a\":1}""#),
        ("é😀", "\"é😀\""),
        ("\u{1}", "\"\\u0001\""),
    ] {
        let (line, stderr) = output_for(Reply::bytes(body), &["--body-as", "text"]);
        assert_eq!(line.as_deref(), Some(expected), "{body}: {stderr}");
    }
    assert_eq!(output_for(Reply::bytes(b"caf\xe9".to_vec()), &["--body-as", "text"]).0, None, "not UTF-8");
}

#[test]
fn an_empty_success_fails_unless_bodies_are_text() {
    for reply in [Reply::bytes(""), Reply::status(204), Reply::bytes("").chunked(), Reply::bytes("").gzip()] {
        assert_eq!(output_for(reply.clone(), &[]).0, None);
        assert_eq!(output_for(reply, &["--body-as", "text"]).0.as_deref(), Some("\"\""));
    }
}

#[test]
fn a_null_on_status_stores_null_counts_as_fetched_and_is_not_selected_from() {
    let dir = WorkDir::new();
    dir.write_skus(["A", "B", "C"]);
    let replies = Script::new()
        .for_sku("A", [Reply::status(404)])
        .for_sku("B", [Reply::status(410).gzip()])
        .for_sku("C", [Reply::json("{\"x\":[5]}")]);
    let server = ScriptedServer::script(replies);
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--null-on", "404,410-411", "--select", ".x[]"])
        .finish();
    let ended = ended.expect_code(0);
    assert_eq!(dir.read("out.json"), "{\n\"A\":null,\n\"B\":null,\n\"C\":5\n}\n");
    assert!(ended.stderr.contains("3 fetched") && !dir.has("out.failed.csv"), "{}", ended.stderr);
    assert_eq!(server.count(), 3);
}

#[test]
fn a_body_over_the_cap_fails_its_sku_and_one_at_the_cap_is_kept() {
    let body = format!("\"{}\"", "x".repeat(1022));
    for (limit, fits) in [("1KiB", true), ("1023B", false)] {
        for reply in [
            Reply::json(&*body),
            Reply::json(&*body).chunked().drip(300, std::time::Duration::from_millis(1)),
            Reply::json(&*body).until_close(),
            Reply::json(&*body).gzip(),
            Reply::json(&*body).brotli(),
            Reply::json(&*body).zstd(),
            Reply::json(&*body).deflate(),
        ] {
            let (line, stderr) = output_for(reply, &["--max-body", limit]);
            assert_eq!(line.is_some(), fits, "{limit}: {stderr}");
            assert!(fits || stderr.contains("--max-body"), "{stderr}");
        }
    }
}
