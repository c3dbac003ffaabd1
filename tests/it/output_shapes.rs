//! Every format and shape, read by those who will read it: Python's parser and `serde_json`.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::output_kit::{counts, fetch, fetch_to, keys, skus, without_times};
use crate::support::reply::echo_body;
use crate::support::{Reply, Script, ScriptedServer, WorkDir};

/// What Python reads from an output, written as one JSON object again.
fn by_python(dir: &WorkDir, name: &str) -> Value {
    let script = "
import json, sys
text = open(sys.argv[1], encoding='utf-8', newline='').read()
if sys.argv[1].endswith('l'):
    assert text == '' or text.endswith('\\n')
    rows = [json.loads(line) for line in text.split('\\n')[:-1]]
    print(json.dumps({row.pop('key'): row for row in rows}))
else:
    print(json.dumps(json.loads(text)))
";
    let out = Command::new("python3").args(["-c", script, name]).current_dir(dir.root()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// An answer, a `null` by `--null-on`, a failure with an answer, one without, a refused row.
fn mixed() -> (WorkDir, ScriptedServer) {
    let dir = WorkDir::new();
    dir.write_skus(["ok", "ü \"", "gone", "missing", "lost", ".."]);
    let server = ScriptedServer::script(
        Script::new()
            .for_sku("gone", [Reply::status(410)])
            .for_sku("missing", [Reply::status(404)])
            .for_sku("lost", [Reply::hang_up()]),
    );
    (dir, server)
}

#[test]
fn every_format_and_shape_is_what_it_says_to_python_and_serde_json() {
    for (format, shape) in [("json", "body"), ("json", "record"), ("jsonl", "body"), ("jsonl", "record")] {
        let (dir, server) = mixed();
        let name = format!("out.{format}");
        let ended = fetch_to(&dir, &server, &name)
            .args(["--format", format, "--shape", shape, "--null-on", "410", "--retries", "0"])
            .finish()
            .expect_code(1);
        assert_eq!(counts(&ended), [6, 3, 0, 3, 0, 0], "{format} {shape}");
        let found = by_python(&dir, &name);
        let text = dir.read(&name);
        assert!(text.ends_with('\n') && text.contains("ü \\\""), "non-ASCII raw: {text}");
        if format == "json" {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), found);
        } else {
            assert!(text.lines().all(|line| line.starts_with("{\"key\":\"")), "{text}");
        }
        let body = |key: &str| match (format, shape) {
            ("json", "body") => &found[key],
            _ => &found[key]["body"],
        };
        let echoed = |sku: &str| serde_json::from_str::<Value>(&echo_body(sku)).unwrap();
        assert_eq!(body("ok"), &echoed("ok"));
        assert_eq!(body("ü \""), &echoed("ü \""));
        assert_eq!(body("gone"), &Value::Null);
        let names: Vec<_> = found.as_object().unwrap().keys().cloned().collect();
        if shape == "body" {
            assert_eq!(names.len(), 3, "a failed SKU has no line: {names:?}");
            continue;
        }
        assert_eq!(names.len(), 6, "in the record shape it has one: {names:?}");
        assert_eq!((&found["ok"]["status"], &found["ok"]["attempts"]), (&json!(200), &json!(1)));
        assert_eq!(found["gone"]["status"], 410);
        for (key, status) in [("missing", json!(404)), ("lost", Value::Null), ("..", Value::Null)] {
            let record = &found[key];
            assert_eq!(record["status"], status, "{key}");
            assert!(record["error"].is_string() && record.get("body").is_none(), "{record}");
        }
        assert_eq!(found[".."]["attempts"], 0);
        for record in found.as_object().unwrap().values() {
            let at = record["fetched_at"].as_str().unwrap();
            assert!(at.ends_with('Z') && humantime::parse_rfc3339(at).is_ok(), "{at}");
        }
        let first = text.lines().find(|line| line.contains("\"ok\"")).unwrap();
        let members = ["\"status\":200", "\"fetched_at\":\"", "\"attempts\":1", "\"body\":{"];
        let places: Vec<_> = members.iter().map(|member| first.find(member).unwrap()).collect();
        assert!(places.is_sorted(), "{first}");
    }
}

#[test]
fn records_are_the_same_after_an_interruption_but_for_times_and_attempts() {
    let skus = skus(40);
    let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "S0007" => Reply::status(404),
        _ => Reply::echo(seen).wait(Duration::from_millis(15)),
    });
    let (whole, broken) = (WorkDir::new(), WorkDir::new());
    for dir in [&whole, &broken] {
        dir.write_skus(&skus);
    }
    fetch(&whole, &server).args(["--shape", "record"]).finish().expect_code(1);
    let mut run = fetch(&broken, &server).args(["--shape", "record", "-c", "2"]).spawn();
    server.wait_for(60);
    run.kill();
    run.wait();
    fetch(&broken, &server).args(["--shape", "record", "-c", "9"]).finish().expect_code(1);
    let [whole, broken] = [whole, broken].map(|dir| dir.read("out.json"));
    assert_eq!(keys(&whole), skus);
    assert_eq!(keys(&broken), skus);
    assert_eq!(without_times(&whole), without_times(&broken));
}

#[test]
fn whatever_was_answered_the_output_parses_in_serde_json_python_jq_and_node() {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let bodies: [&[u8]; 16] = [
        b"9007199254740993",
        b"-0.0e-5",
        b"123456789012345678901234567890",
        b"{\"a\":1,\"a\":2,\"\":{}}",
        "\"é\\ud83d\\ude00\\u0000\u{2028}\u{2029}\u{feff}\u{ffff}\"".as_bytes(),
        b"\xef\xbb\xbf[ ]",
        b"\"</script><!--\\/\"",
        b"{\"__proto__\":null}",
        deep.as_bytes(),
        // From here on none may be kept.
        b"NaN",
        b"\"\\ud800\"",
        b"\"\xed\xa0\x80\"",
        b"[1,]",
        b"\"\x01\"",
        b"\xff",
        b"1\0",
    ];
    let dir = WorkDir::new();
    dir.write_skus((0..bodies.len()).map(|n| n.to_string()));
    let bodies = bodies.map(<[u8]>::to_vec);
    let server =
        ScriptedServer::start(move |seen| Reply::bytes(bodies[seen.sku.parse::<usize>().unwrap()].clone()));
    let ended = fetch(&dir, &server).args(["--min-success", "0", "--retries", "0"]).finish().expect_code(1);
    assert_eq!(counts(&ended), [16, 9, 0, 7, 0, 0]);
    let wanted = 9;
    assert_eq!(
        serde_json::from_str::<Value>(&dir.read("out.json")).unwrap().as_object().unwrap().len(),
        wanted
    );
    let node = "console.log(Object.keys(JSON.parse(require('fs').readFileSync('out.json'))).length)";
    let python = "import json; print(len(json.load(open('out.json', encoding='utf-8'))))";
    for (reader, args) in
        [("python3", ["-c", python]), ("node", ["-e", node]), ("jq", ["length", "out.json"])]
    {
        let Ok(out) = Command::new(reader).args(args).current_dir(dir.root()).output() else {
            println!("skipped: there is no {reader}");
            continue;
        };
        let printed = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        assert_eq!(printed, wanted.to_string(), "{reader}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_text_body_becomes_one_json_string() {
    let dir = WorkDir::new();
    dir.write_skus(["a", "empty"]);
    let server = ScriptedServer::script(
        Script::new()
            .for_sku("a", [Reply::bytes("line 1\r\n\"2\"\t\u{1}ü\u{2028}")])
            .for_sku("empty", [Reply::bytes("")]),
    );
    fetch(&dir, &server).args(["--body-as", "text"]).finish().expect_code(0);
    let found = by_python(&dir, "out.json");
    assert_eq!(found, json!({"a": "line 1\r\n\"2\"\t\u{1}ü\u{2028}", "empty": ""}));
    let ended = fetch_to(&dir, &server, "json.json").args(["--min-success", "0"]).finish().expect_code(1);
    assert_eq!(counts(&ended)[3], 2, "an empty answer fails, except as text");
}

#[test]
fn a_key_of_any_characters_reads_back_as_it_stood() {
    let odd = ["a\\b", "a\"b", "a/b", "ü", "😀", "\u{2028}", "0042", " lead", "a,b", "{}", "__proto__"];
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(|_| Reply::json("1")));
    dir.write_skus(odd);
    fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), odd);
    let mut names: Vec<_> = by_python(&dir, "out.json").as_object().unwrap().keys().cloned().collect();
    names.sort();
    let mut wanted = odd.map(str::to_owned);
    wanted.sort();
    assert_eq!(names, wanted);
}
