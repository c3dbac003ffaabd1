//! Every way a CSV may be written is read as the person meant it: which rows are requested, under which
//! keys, from which line.

use std::io::Write;

use serde_json::Value;

use crate::support::{Ended, Reply, Run, Script, ScriptedServer, WorkDir, encode};

/// The content of a file in `fixtures/csv`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/csv/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The keys of an output, in order.
pub fn keys(output: &str) -> Vec<String> {
    let line = |line: &str| {
        let (key, _) = line.split_once("\":").expect(line);
        serde_json::from_str(&format!("{key}\"")).unwrap()
    };
    output.lines().filter(|line| line.starts_with('"')).map(line).collect()
}

/// Fetches the rows of a file, and returns how the run ended and its keys.
#[track_caller]
fn fetch(content: impl AsRef<[u8]>, args: &[&str]) -> (Ended, Vec<String>) {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("products.csv", content);
    let url = server.url("/{sku}");
    let base = ["products.csv", "-o", "out.json", "--min-success", "0", "-u", &url];
    let ended = Run::new(&dir).args(base).args(args).finish();
    let keys = if dir.has("out.json") { keys(&dir.read("out.json")) } else { Vec::new() };
    // Both sorted: answers arrive in any order.
    let mut requested: Vec<_> = server.requests().iter().map(|seen| seen.sku.clone()).collect();
    let mut kept = keys.clone();
    requested.sort();
    kept.sort();
    assert_eq!(requested, kept, "{}", ended.stderr);
    (ended, keys)
}

#[track_caller]
fn all(content: impl AsRef<[u8]>, args: &[&str]) -> Vec<String> {
    let (ended, keys) = fetch(content, args);
    ended.expect_code(0);
    keys
}

#[test]
fn every_shape_of_csv_is_read_as_it_was_meant() {
    let expected: [(&str, &[&str]); 9] = [
        ("quoted.csv", &["A-001", "B 02", "C\"3", "D-004"]),
        ("crlf-bom.csv", &["0007", "0008"]),
        ("semicolon.csv", &["00123", "00124"]),
        ("tabs.tsv", &["0001", "0002"]),
        ("pipes.csv", &["P-1", "P-2"]),
        ("sep-line.csv", &["S-1"]),
        ("mixed-line-ends.csv", &["E-1", "E-2", "E-3"]),
        ("single-column.csv", &["4711", "0815", "0042"]),
        ("repeats.csv", &["A-1", "B-2", "a-1"]),
    ];
    for (name, keys) in expected {
        assert_eq!(all(fixture(name), &[]), keys, "{name}");
    }
    assert_eq!(all(fixture("no-header.csv"), &["--no-headers", "-k", "1"]), ["4711", "0815"]);
}

#[test]
fn gzip_and_zstd_are_recognised_by_content_and_not_by_name() {
    let plain = all(fixture("quoted.csv"), &[]);
    for name in ["quoted.csv.gz", "quoted.csv.zst", "quoted-two-members.csv.gz"] {
        // Under the name products.csv.
        assert_eq!(all(fixture(name), &[]), plain, "{name}");
    }
    // And a plain one is plain whatever it is called.
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("plain.csv.gz", fixture("quoted.csv"));
    let args = ["plain.csv.gz", "-o", "out.json", "-u", &server.url("/{sku}")];
    Run::new(&dir).args(args).finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), plain);
}

#[test]
fn compressed_input_is_read_from_a_pipe_too() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    let args = ["-", "-o", "-", "-u", &server.url("/{sku}")];
    for name in ["quoted.csv.gz", "quoted.csv.zst"] {
        let ended = Run::new(&dir).args(args).stdin(fixture(name)).finish().expect_code(0);
        assert_eq!(keys(ended.stdout()), ["A-001", "B 02", "C\"3", "D-004"], "{name}");
    }
}

#[test]
fn a_named_pipe_is_read_once_while_it_is_written() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    let url = server.url("/{sku}");
    let run = Run::new(&dir).args(["pipe", "-o", "out.json", "-u", &url]);
    let run = run.after_shell("mkfifo pipe; printf 'sku\\nA\\nB\\n' > pipe &");
    run.finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["A", "B"]);
}

#[test]
fn a_sku_is_text_zeros_case_and_inner_spaces_stay() {
    let csv = "sku\n007\n7\nab\nAB\na b\n1e5\n+5\n0x1F\nnull\n\"\"\"q\"\"\"\né\n";
    let requested = ["007", "7", "ab", "AB", "a b", "1e5", "+5", "0x1F", "null", "\"q\"", "é"];
    assert_eq!(all(csv, &[]), requested);
}

#[test]
fn a_sku_that_a_spreadsheet_mangled_is_requested_as_written_and_warned_about_once() {
    let (ended, keys) = fetch(fixture("mangled.csv"), &[]);
    let ended = ended.expect_code(0);
    assert_eq!(keys, ["1.23E+12", " 0042 ", "42", "00043", "12\u{a0}34", "M-6"]);
    for what in ["1.23E+12", " 0042 "] {
        assert_eq!(ended.stderr.matches(what).count(), 1, "{}", ended.stderr);
    }
    assert!(ended.stderr.contains("warning: "), "{}", ended.stderr);
}

#[test]
fn repeats_are_requested_once_and_those_that_would_differ_are_named_by_line() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("products.csv", fixture("repeats.csv"));
    let url = server.url("/{region}/{sku}");
    let args = ["products.csv", "-o", "out.json", "-u", &url];
    let ended = Run::new(&dir).args(args).finish().expect_code(0);
    assert_eq!(server.requests_for("A-1").len(), 1);
    assert_eq!(server.requests_for("A-1")[0].path(), "/eu/A-1", "the first row counts");
    assert!(ended.stderr.contains(": 3 fetched, 2 repeats"), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 repeat would have been another request"), "{}", ended.stderr);
    assert!(ended.stderr.contains("which counts: line 5"), "{}", ended.stderr);
}

#[test]
fn a_wide_choice_of_key_columns_is_refused_and_the_choice_obeyed() {
    let csv = "SKU,Sku,ean\nA,B,1\n";
    let (ended, _) = fetch(csv, &[]);
    let stderr = ended.expect_code(65).stderr;
    assert!(stderr.contains("`SKU` (column 1), `Sku` (column 2)"), "{stderr}");
    assert_eq!(all("SKU,name\nA,x\n", &[]), ["A"], "in any case");
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("products.csv", csv);
    let args = ["products.csv", "-o", "out.json", "-k", "SKU", "-u", &server.url("/{SKU}")];
    Run::new(&dir).args(args).finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["A"]);
}

#[test]
fn the_columns_of_a_failure_file_are_taken_off_and_a_guarded_cell_is_itself_again() {
    let csv = "sku,name,_error,_status,_attempts\n'=1+2,x,not found,404,1\n'+49,'-y,timed out,,5\n";
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("out.failed.csv", csv);
    let url = server.url("/{sku}?n={name}");
    let args = ["out.failed.csv", "-o", "out.json", "-u", &url];
    Run::new(&dir).args(args).finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["=1+2", "+49"]);
    assert_eq!(server.requests_for("+49")[0].query_value("n").unwrap(), b"-y");
}

#[test]
fn a_long_value_far_from_the_start_and_a_wide_header_are_read() {
    let wide: Vec<String> = (0..2000).map(|n| format!("c{n}")).collect();
    let row: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    let csv = format!("{},sku\n{},LAST\n", wide.join(","), row.join(","));
    assert_eq!(all(csv, &[]), ["LAST"]);
    let long = format!("sku,note\nA,\"{}\"\nB,x\n", "long \"\" text\n".repeat(200_000));
    assert_eq!(all(long, &[]), ["A", "B"], "2.6 MB in one cell");
}

/// Reads the summary's numbers from the JSON line at the end.
pub fn finished(stderr: &str) -> Value {
    let lines = stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    lines.into_iter().find(|line| line["event"] == "finished").expect(stderr)
}

/// The five numbers, which must add up to the rows, with those that are skipped.
#[track_caller]
pub fn outcome_counts(record: &Value) -> [u64; 5] {
    let number = |name: &str| record[name].as_u64().unwrap_or_else(|| panic!("{name} in {record}"));
    let parts = ["fetched", "unchanged", "failed", "repeats", "deferred"].map(number);
    assert_eq!(parts.iter().sum::<u64>() + number("skipped"), number("rows"), "{record}");
    parts
}

/// Rows of every kind: 3 good, 2 repeats, 1 not found, 2 ragged, 1 that is no UTF-8, 2 refused, and blanks.
const ALL_KINDS: &[u8] = b"sku,name\nA,x\n\nB,x\nA,x\nGONE,x\nR\nR,a,b\nL,\xe9\n..,x\n,x\n\nC,x\nB,y\n";

#[test]
fn fetched_unchanged_failed_repeats_and_deferred_add_up_to_the_data_rows() {
    let script = Script::new().for_sku("GONE", [Reply::status(404)]).otherwise(|seen| {
        let is_conditional = seen.header("if-none-match").is_some();
        if is_conditional {
            Reply::bytes("").with_status(304)
        } else {
            Reply::echo(seen).header("ETag", "\"1\"")
        }
    });
    let (server, dir) = (ScriptedServer::script(script), WorkDir::new());
    dir.write("products.csv", ALL_KINDS);
    let url = server.url("/{sku}");
    let run = |args: &[&str]| {
        let base =
            ["products.csv", "-o", "out.json", "-u", &url, "--log-format", "json", "--min-success", "0"];
        finished(&Run::new(&dir).args(base).args(args).finish().stderr)
    };
    let first = run(&[]);
    assert_eq!(outcome_counts(&first), [3, 0, 6, 2, 0]);
    assert_eq!((&first["rows"], &first["blanks"]), (&11.into(), &2.into()));
    // The failure file has the rows that failed, each once.
    let rows =
        csv::ReaderBuilder::new().from_path(dir.path("out.failed.csv")).unwrap().into_byte_records().count();
    assert_eq!(rows, 6);
    let second = run(&["--merge"]);
    assert_eq!(outcome_counts(&second), [0, 3, 6, 2, 0], "304 for what was there");
    assert_eq!(outcome_counts(&run(&["--limit", "5"])), [0, 2, 2, 1, 0]);
}

#[test]
fn rows_that_were_never_reached_are_deferred_and_still_add_up() {
    let (server, dir) = (ScriptedServer::start(|_| Reply::status(403)), WorkDir::new());
    let mut csv = ALL_KINDS.to_vec();
    (0..5000).for_each(|n| writeln!(csv, "X{n},y").unwrap());
    dir.write("products.csv", csv);
    let args =
        ["products.csv", "-o", "out.json", "-u", &server.url("/{sku}"), "--log-format", "json", "-c", "2"];
    let ended = Run::new(&dir).args(args).finish().expect_code(77);
    let record = finished(&ended.stderr);
    let [fetched, _, _, _, deferred] = outcome_counts(&record);
    assert_eq!((fetched, &record["rows"]), (0, &5011.into()));
    assert!(deferred > 4000, "{record}");
}

#[test]
fn a_gzip_bomb_of_rows_streams() {
    // 20 million bytes of rows, of which three are requested.
    let mut csv = b"sku,note\n".to_vec();
    (0..3).for_each(|n| writeln!(csv, "A{n},x").unwrap());
    (0..200_000).for_each(|_| writeln!(csv, "A0,{}", "y".repeat(96)).unwrap());
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("products.csv", encode::gzip(&csv));
    let args = ["products.csv", "-o", "out.json", "-u", &server.url("/{sku}"), "--limit", "50000"];
    let ended = Run::new(&dir).args(args).finish().expect_code(0);
    assert_eq!(server.count(), 3);
    assert!(ended.stderr.contains(": 3 fetched, 49,997 repeats"), "{}", ended.stderr);
    assert!(ended.peak_memory < 60 << 20, "{} bytes resident", ended.peak_memory);
}
