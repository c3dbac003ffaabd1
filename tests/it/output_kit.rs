//! What the tests of the output share: the common command, and readers of what it left.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::reply::echo_body;
use crate::support::{Ended, Run, ScriptedServer, WorkDir};

/// `skufetch products.csv -o out.json` against this server, its messages as JSON lines.
pub fn fetch<'a>(dir: &'a WorkDir, server: &ScriptedServer) -> Run<'a> {
    fetch_to(dir, server, "out.json")
}

/// The same to another output.
pub fn fetch_to<'a>(dir: &'a WorkDir, server: &ScriptedServer, output: &str) -> Run<'a> {
    plain(dir, server, output).args(["--log-format", "json"])
}

/// The same with messages for people.
pub fn plain<'a>(dir: &'a WorkDir, server: &ScriptedServer, output: &str) -> Run<'a> {
    Run::new(dir).args(["products.csv", "-o", output, "--url", &server.url("/p/{sku}")])
}

/// `S0000`, `S0001`, …
pub fn skus(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("S{n:04}")).collect()
}

/// The output of echoed answers to these, in this order.
pub fn echoed<S: AsRef<str>>(skus: impl IntoIterator<Item = S>) -> String {
    let line = |sku: S| format!("\"{}\":{}", sku.as_ref(), echo_body(sku.as_ref()));
    let lines: Vec<_> = skus.into_iter().map(line).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// The events that a run logged as JSON lines.
#[track_caller]
pub fn events(ended: &Ended) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    ended.stderr.lines().map(parse).collect()
}

/// The summary of a run, in which every data row is in exactly one of the numbers.
#[track_caller]
pub fn finished(ended: &Ended) -> Value {
    let events = events(ended);
    let mut found = events.into_iter().filter(|event| event["event"] == "finished");
    let summary = found.next().unwrap_or_else(|| panic!("no summary: {}", ended.stderr));
    assert!(found.next().is_none(), "two summaries: {}", ended.stderr);
    let sum: u64 = ["fetched", "unchanged", "failed", "repeats", "deferred"]
        .iter()
        .map(|name| summary[*name].as_u64().unwrap())
        .sum();
    assert_eq!(Some(sum), summary["rows"].as_u64(), "rows were lost: {summary}");
    assert_eq!(summary["exit"].as_i64(), ended.code.map(i64::from), "{summary}");
    summary
}

/// `[rows, fetched, unchanged, failed, repeats, deferred]` of the summary.
#[track_caller]
pub fn counts(ended: &Ended) -> [u64; 6] {
    let summary = finished(ended);
    ["rows", "fetched", "unchanged", "failed", "repeats", "deferred"]
        .map(|name| summary[name].as_u64().unwrap())
}

/// What was said, all in one text.
#[track_caller]
pub fn messages(ended: &Ended) -> String {
    let events = events(ended);
    let words = events.iter().flat_map(|event| [&event["message"], &event["hint"]]);
    words.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

/// The keys and values of an output, in its order; it is also checked as a whole.
#[track_caller]
pub fn members(text: &str) -> Vec<(String, String)> {
    serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let inner = text.strip_prefix("{\n").and_then(|text| text.strip_suffix("}\n")).expect("braces");
    let member = |line: &str| {
        let mut words = serde_json::Deserializer::from_str(line).into_iter::<String>();
        let key = words.next().unwrap().unwrap();
        let value = line[words.byte_offset()..].strip_prefix(':').unwrap();
        (key, value.strip_suffix(',').unwrap_or(value).to_owned())
    };
    inner.lines().map(member).collect()
}

/// The keys of an output, in its order.
#[track_caller]
pub fn keys(text: &str) -> Vec<String> {
    members(text).into_iter().map(|(key, _)| key).collect()
}

/// The permissions of a file.
#[track_caller]
pub fn mode(dir: &WorkDir, name: &str) -> u32 {
    fs::metadata(dir.path(name)).unwrap().permissions().mode() & 0o7777
}

/// The bytes of an output whose times and attempts do not count.
pub fn without_times(text: &str) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    for record in value.as_object_mut().unwrap().values_mut() {
        let record = record.as_object_mut().unwrap();
        assert!(record.remove("fetched_at").is_some() && record.remove("attempts").is_some());
    }
    value.to_string()
}
