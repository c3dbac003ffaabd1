//! What an answer means beside its status: `--refused-if`, `--null-if`, `--retry-if` and `--fail-if`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::requests::run_with_url;
use crate::support::{Ended, Reply, Run, Script, ScriptedServer, Seen, WorkDir};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

fn number(seen: &Seen) -> usize {
    seen.sku.parse().unwrap()
}

fn fetch(dir: &WorkDir, server: &ScriptedServer, args: &[&str]) -> Ended {
    run_with_url(dir, &server.url("/p/{sku}"), ["-c", "1"].iter().chain(args)).finish()
}

/// The lines of the output, by SKU.
fn line(dir: &WorkDir, sku: &str) -> Option<String> {
    let out = dir.read("out.json");
    let found = out.lines().find_map(|line| line.strip_prefix(&format!("\"{sku}\":")));
    found.map(|body| body.trim_end_matches(',').to_owned())
}

#[test]
fn what_decides_about_an_answer() {
    /// What is answered, the options, and what becomes of it.
    type Case = (u16, &'static str, &'static [&'static str], Result<&'static str, &'static str>);
    // The status and body of an answer, the options, and the line or the reason.
    let table: &[Case] = &[
        (200, r#"{"status":"NOT_FOUND"}"#, &["--null-if", ".status == \"NOT_FOUND\""], Ok("null")),
        (
            200,
            r#"{"errors":[{"message":"No such part"}]}"#,
            &["--fail-if", ".errors[0].message"],
            Err("No such part"),
        ),
        (200, r#"{"errors":[]}"#, &["--fail-if", ".errors[0].message"], Ok(r#"{"errors":[]}"#)),
        (200, r#"{"a":1}"#, &["--fail-if", ".a"], Err("{ a :1}")),
        (
            200,
            r#"{"sku":"0012"}"#,
            &["--fail-if", "if .sku != $key then \"the body is of \\(.sku)\" else false end"],
            Err("the body is of 0012"),
        ),
        (200, "{}", &["--fail-if", "$row.ean != .ean"], Err("{}")),
        (
            200,
            r#"{"ean":"4006381333931"}"#,
            &["--fail-if", "$row.ean != .ean"],
            Ok(r#"{"ean":"4006381333931"}"#),
        ),
        (
            200,
            r#"{"a":1.10}"#,
            &["--select", "{a, cost: $row.cost, of: $key}"],
            Ok(r#"{"a":1.10,"cost":"2.50","of":"12"}"#),
        ),
        (200, r#"{"a":1}"#, &["--fail-if", "$headers[\"x-note\"] == \"stale, old\""], Err("{ a :1}")),
        (200, r#"{"a":1}"#, &["--fail-if", "$headers[\"X-Note\"]"], Ok(r#"{"a":1}"#)),
        // In order: null, fail, then the selection.
        (200, r#"{"a":1}"#, &["--null-if", ".a", "--fail-if", ".a"], Ok("null")),
        (200, r#"{"a":1}"#, &["--null-if", ".b", "--fail-if", ".a", "--select", ".a"], Err("{ a :1}")),
        (200, r#"{"a":1}"#, &["--null-if", ".b", "--fail-if", ".b", "--select", ".a"], Ok("1")),
        // Errors are for the status, but for --refused-if and --retry-if.
        (404, r#"{"a":1}"#, &["--null-if", "true", "--fail-if", "true"], Err("HTTP 404 Not Found: { a :1}")),
        (404, r#"{"a":1}"#, &["--null-on", "404", "--fail-if", "true"], Ok("null")),
        // What fails, and what is no JSON, says no.
        (
            200,
            r#"["a"]"#,
            &["--fail-if", ".a", "--null-if", "error", "--retry-if", "error(1)", "--refused-if", ".[0].b"],
            Ok(r#"["a"]"#),
        ),
        (200, "ERR 7", &["--body-as", "text", "--fail-if", "startswith(\"ERR\")"], Err(",ERR 7,")),
        (200, "fine", &["--body-as", "text", "--fail-if", "startswith(\"ERR\")"], Ok("\"fine\"")),
    ];
    thread::scope(|scope| {
        for (status, body, args, expected) in table {
            scope.spawn(move || {
                let dir = WorkDir::new();
                dir.write("products.csv", "sku,ean,cost\n12,4006381333931,2.50\n");
                let server = ScriptedServer::start(move |_| {
                    Reply::json(*body).with_status(*status).header("X-Note", "stale").header("X-Note", "old")
                });
                let args: Vec<_> = args.iter().copied().chain(["--min-success", "0"]).collect();
                let ended = fetch(&dir, &server, &args);
                assert_eq!(server.count(), 1, "{args:?}");
                match expected {
                    Ok(expected) => {
                        ended.expect_code(0);
                        assert_eq!(line(&dir, "12").as_deref(), Some(*expected), "{args:?}");
                    }
                    Err(reason) => {
                        let ended = ended.expect_code(1);
                        let failed = dir.read("out.failed.csv");
                        assert!(
                            failed.contains(*reason) && failed.contains(&format!(",{status},1")),
                            "{args:?} {failed}"
                        );
                        assert_eq!(line(&dir, "12"), None, "{}", ended.stderr);
                    }
                }
            });
        }
    });
}

#[test]
fn true_is_a_retry_at_the_cost_of_the_sku() {
    let busy = || Reply::json(r#"{"busy":true}"#);
    let script = Script::new()
        .for_sku("1", [busy(), busy(), Reply::json("1")])
        .for_sku("2", [busy()])
        .for_sku("3", [busy().with_status(409), Reply::json("3")]);
    let server = ScriptedServer::script(script);
    let dir = skus(5);
    let args = ["--retry-if", ".busy", "--retries", "2", "--shape", "record"];
    let ended = fetch(&dir, &server, &args).expect_code(1);
    assert!(ended.stderr.contains("4 fetched, 1 failed (1 not ready (--retry-if))"), "{}", ended.stderr);
    assert!(ended.stderr.contains("5 retries"), "{}", ended.stderr);
    let records = ["1", "2", "3"].map(|sku| line(&dir, sku).unwrap());
    assert!(records[0].contains("\"attempts\":3,\"body\":1"), "{records:?}");
    assert!(records[1].contains("\"attempts\":3,\"error\":\"not ready (--retry-if): "), "{records:?}");
    assert!(records[2].contains("\"attempts\":2,\"body\":3"), "{records:?}");
}

#[test]
fn a_number_pauses_all_requests_and_costs_the_sku_nothing() {
    // Keepa's form: the wait stands in the body alone, in milliseconds, and the status is 429 or 200.
    for status in [200, 429] {
        let full = Reply::json(r#"{"refillIn":700}"#).with_status(status);
        let script = Script::new().for_sku("4", [full, Reply::json("4")]);
        let server = ScriptedServer::script(script);
        let dir = skus(12);
        let args = ["--retry-if", ".refillIn | values / 1000", "--retries", "0", "--shape", "record", "-v"];
        let url = server.url("/p/{sku}");
        let ended = run_with_url(&dir, &url, ["-c", "3"].iter().chain(&args)).finish().expect_code(0);
        assert!(line(&dir, "4").unwrap().contains("\"attempts\":1,\"body\":4"), "{}", dir.read("out.json"));
        let refused = server.requests_for("4")[0].answered().unwrap();
        let early = server
            .requests_between(refused + Duration::from_millis(50), refused + Duration::from_millis(690));
        assert!(early.is_empty(), "{} requests in the pause", early.len());
        assert_eq!(server.count(), 13);
        let reason = if status == 200 { "the answer says so (--retry-if)" } else { "429 with Retry-After" };
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    }
}

#[test]
fn a_wait_that_is_too_long_ends_the_run_for_later() {
    for seconds in ["301", "1e300", "infinite"] {
        let server = ScriptedServer::start(|seen| match number(seen) {
            3 => Reply::json(r#"{"full":true}"#),
            _ => Reply::echo(seen),
        });
        let dir = skus(6);
        let filter = format!("if .full then {seconds} else false end");
        let ended = fetch(&dir, &server, &["--retry-if", &filter]).expect_code(75);
        assert!(ended.stderr.contains("the server requires a wait of"), "{}", ended.stderr);
        assert!(ended.stderr.contains("3 fetched, 3 deferred"), "{}", ended.stderr);
        assert!(!dir.has("out.json") && dir.has("out.json.journal"));
    }
}

const BAD_TOKEN: &str = r#"{"error":"invalid token","sent":"canary-123"}"#;
const REFUSED: [&str; 2] = ["--refused-if", ".error == \"invalid token\""];

#[test]
fn refused_credentials_end_the_run_as_401_does() {
    for status in [200, 400, 403, 500] {
        let server = ScriptedServer::start(move |_| Reply::json(BAD_TOKEN).with_status(status));
        let dir = skus(40);
        let args = [&REFUSED[..], &["-H", "X-Token: canary-123"]].concat();
        let ended = fetch(&dir, &server, &args).expect_code(77);
        assert_eq!(server.count(), 5, "{}", ended.stderr);
        let message = match status {
            403 => "the API refuses the credentials: 5 answers in a row were 403: {".to_owned(),
            _ => format!("5 answers in a row were {status} with what --refused-if names: {{"),
        };
        assert!(ended.stderr.contains(&message), "{}", ended.stderr);
        assert!(ended.stderr.contains("(redacted)") && !ended.stderr.contains("canary"), "{}", ended.stderr);
        assert!(ended.stderr.contains("40 deferred") && !dir.has("out.failed.csv"), "{}", ended.stderr);
    }
}

#[test]
fn later_twenty_refusals_in_a_row_end_the_run_and_one_alone_fails_its_sku() {
    let server = ScriptedServer::start(|seen| match number(seen) {
        7 | 30.. => Reply::json(BAD_TOKEN),
        _ => Reply::echo(seen),
    });
    let dir = skus(100);
    let ended = fetch(&dir, &server, &REFUSED).expect_code(77);
    assert_eq!(server.count(), 50, "{}", ended.stderr);
    assert!(ended.stderr.contains("29 fetched, 1 failed"), "{}", ended.stderr);
    assert!(ended.stderr.contains("(1 refused (--refused-if))"), "{}", ended.stderr);
}

#[test]
fn an_answer_of_a_journal_counts_only_where_it_was_judged_alike() {
    let server = ScriptedServer::start(|seen| match number(seen) {
        9 => Reply::silence(),
        n => Reply::json(format!("{{\"n\":{n},\"error\":{}}}", n == 4)),
    });
    let dir = skus(10);
    let mut asked = 0;
    // Starts a run, ends it while the last SKU is not answered, and gives how many it asked for.
    let mut interrupted = |args: &[&str]| {
        let run = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "1"].iter().chain(args)).spawn();
        asked += 1;
        server.wait_until(|server| server.requests_for("9").len() >= asked);
        // What came is on disk a moment later.
        server.wait_until(|_| dir.read("out.json.journal").matches("\"fetched\":").count() == 9);
        let before = server.count();
        run.signal(Signal::KILL);
        run.wait();
        before
    };
    assert_eq!(interrupted(&[]), 10);
    assert_eq!(interrupted(&[]), 11, "all answers are taken up");
    let mut count = 11;
    for option in ["--fail-if", "--null-if", "--retry-if", "--refused-if"] {
        let args = [option, "false"];
        count += 10;
        assert_eq!(interrupted(&args), count, "{option}: another job");
        count += 1;
        assert_eq!(interrupted(&args), count, "{option}: the same job");
    }
}

#[test]
fn a_cell_that_a_filter_uses_makes_another_answer() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    let csv = |cost: &str, note: &str| format!("sku,cost,note\na,{cost},{note}\nb,2,{note}\n");
    let args = ["--select", "{sku, cost: $row.cost}", "--merge", "--max-age", "1h"];
    for (cost, note, count) in [("1", "x", 2), ("1", "y", 2), ("3", "y", 3)] {
        dir.write("products.csv", csv(cost, note));
        fetch(&dir, &server, &args).expect_code(0);
        assert_eq!(server.count(), count, "{cost} {note}");
        assert_eq!(line(&dir, "a").unwrap(), format!("{{\"sku\":\"a\",\"cost\":\"{cost}\"}}"));
    }
}

#[test]
fn a_filter_that_cannot_be_used_is_named_with_its_place() {
    let server = ScriptedServer::echo();
    let table: &[(&[&str], &str, i32, &str)] = &[
        (&["--fail-if", ".a |"], "", 2, "--fail-if: the jq filter cannot be read: expected term, at its end"),
        (
            &["--null-if", ".a == $sku"],
            "",
            2,
            "`$sku`, at character 7; there are $status, $headers, $key, $row",
        ),
        (&["--select", "{$status}"], "", 2, "`$status`, at character 2; there are $key, $row"),
        (&["--refused-if", "$.error"], "", 2, "did you mean --refused-if .error?"),
        (&["--retry-if", ""], "", 2, "--retry-if: "),
        (&[], "fail-if = '.a | foo'", 78, "config.toml:2:"),
        (
            &["--fail-if", "$row.coast"],
            "",
            65,
            "--fail-if uses the column `coast` of $row, and products.csv has none",
        ),
        (&["--select", "$row.coast"], "", 65, "did you mean $row[\"cost\"]?"),
        (&["--select", "{c: ($row.coast? // 1)}"], "", 0, ""),
    ];
    for (args, config, code, message) in table {
        for dry_run in [false, true] {
            let dir = WorkDir::new();
            dir.write("products.csv", "sku,cost\n1,2\n");
            if !config.is_empty() {
                dir.write("config.toml", format!("[response]\n{config}\n"));
            }
            let args: Vec<_> = args.iter().copied().chain(dry_run.then_some("--dry-run")).collect();
            let ended = fetch(&dir, &server, &args).expect_code(*code);
            assert!(ended.stderr.contains(message), "{args:?}: {}", ended.stderr);
            let is_of_variable = message.contains("there are $");
            assert!(!is_of_variable || !ended.stderr.contains("hint:"), "{args:?}: {}", ended.stderr);
        }
    }
    let dir = skus(1);
    let run = Run::new(&dir).args(["tune", "products.csv", "-u", &server.url("/{sku}")]);
    let ended = run.env("SKUFETCH_FAIL_IF", ".a |").finish().expect_code(2);
    assert!(ended.stderr.contains("SKUFETCH_FAIL_IF: the jq filter"), "{}", ended.stderr);
}

#[test]
fn one_error_for_twenty_skus_is_warned_about_while_it_happens() {
    let stalls = |body: &'static str, after: usize| {
        ScriptedServer::start(move |seen| match number(seen) {
            n if n >= after => Reply::silence(),
            n if n < 3 => Reply::echo(seen),
            _ => Reply::json(body),
        })
    };
    for select in [".", ".price"] {
        let server = stalls(r#"{"error":"invalid token","sent":"canary-123"}"#, 23);
        let dir = skus(60);
        let args = ["-c", "1", "-H", "X-Token: canary-123", "--select", select];
        let mut run = run_with_url(&dir, &server.url("/p/{sku}"), args).spawn();
        run.wait_for_stderr("20 SKUs in a row have the same answer, which looks like an error");
        run.signal(Signal::KILL);
        let stderr = run.wait().stderr;
        assert!(stderr.contains("--fail-if .error") && stderr.contains("invalid token"), "{stderr}");
        assert!(!stderr.contains("canary"), "{stderr}");
    }
    for (body, count) in [
        (r#"{"error":null,"sku":"x","price":1}"#, 60),
        (r#"{"message":"in stock","items":[1]}"#, 60),
        (r#"{"error":"x"}"#, 22),
    ] {
        let server = stalls(body, usize::MAX);
        let dir = skus(count);
        let ended = fetch(&dir, &server, &["--guard", "off"]).expect_code(0);
        assert!(!ended.stderr.contains("in a row"), "{body}: {}", ended.stderr);
    }
    // Once.
    let server = stalls(r#"{"error":"x"}"#, usize::MAX);
    let ended = fetch(&skus(200), &server, &["--guard", "off"]);
    assert_eq!(ended.stderr.matches("SKUs in a row have the same answer").count(), 1, "{}", ended.stderr);
}

#[test]
fn a_plan_names_the_filters() {
    let server = ScriptedServer::echo();
    let dir = skus(1);
    let args = ["--dry-run", "--fail-if", ".errors[0].message", "--refused-if", ".e", "--select", ".a"];
    let ended = fetch(&dir, &server, &args).expect_code(0);
    let plan = "answers   --refused-if .e\n          --fail-if .errors[0].message\n          --select .a\n";
    assert!(ended.stdout().contains(plan), "{}", ended.stdout());
    assert_eq!(server.count(), 0);
    assert!(!fetch(&dir, &server, &["--dry-run"]).stdout().contains("answers   "));
}

#[test]
fn what_a_condition_catches_is_no_good_answer_for_tune() {
    let tune = |args: &[&str]| {
        let dir = skus(300);
        let server = ScriptedServer::start(|seen| match number(seen) % 4 {
            0 => Reply::echo(seen),
            _ => Reply::json(r#"{"error":"overloaded"}"#),
        });
        Run::new(&dir).args(["tune", "products.csv", "-u", &server.url("/p/{sku}")]).args(args).finish()
    };
    let ended = tune(&["--fail-if", ".error"]).expect_code(69);
    assert!(ended.stderr.contains("no number can be named"), "{}", ended.stderr);
    let ended = tune(&["--refused-if", ".error"]);
    assert_ne!(ended.code, Some(0), "{}", ended.stdout());
}

#[test]
fn an_api_that_says_with_200_that_it_is_down_is_down() {
    for (args, answers) in [(["--retry-if", ".error"], 200), (["--fail-if", ".error"], 503)] {
        // With --fail-if every second SKU gets 503, and what comes in between is no sign that the API works.
        let server = ScriptedServer::start(move |seen| match number(seen) % 2 {
            0 => Reply::json(r#"{"error":"backend down"}"#),
            _ => Reply::json(r#"{"error":"backend down"}"#).with_status(answers),
        });
        let dir = skus(200);
        let url = server.url("/p/{sku}");
        let args = [&args[..], &["-c", "8", "--wait-for-api", "1s"]].concat();
        let ended = run_with_url(&dir, &url, args).finish().expect_code(69);
        assert!(ended.stderr.contains("the API kept failing for 1s (--wait-for-api)"), "{}", ended.stderr);
        assert!(ended.stderr.contains("deferred"), "{}", ended.stderr);
    }
}

#[test]
fn more_nulls_than_before_are_held_back() {
    let dir = skus(40);
    let args = ["--null-if", ".gone"];
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    let server = ScriptedServer::start(move |seen| match number(seen) {
        5.. if down.load(Ordering::Relaxed) => Reply::json(r#"{"gone":true}"#),
        _ => Reply::echo(seen),
    });
    fetch(&dir, &server, &args).expect_code(0);
    let old = dir.read("out.json");
    is_down.store(true, Ordering::Relaxed);
    let ended = fetch(&dir, &server, &args).expect_code(76);
    assert!(ended.stderr.contains("null"), "{}", ended.stderr);
    assert_eq!(dir.read("out.json"), old);
}

#[test]
fn a_reason_is_without_secrets_wherever_it_stands() {
    let server = ScriptedServer::start(|seen| match number(seen) {
        0 => Reply::json(format!(r#"{{"error":"token canary-123 {}"}}"#, "is not for this part ".repeat(50))),
        _ => Reply::echo(seen),
    });
    let dir = skus(4);
    let args =
        ["--fail-if", ".error", "-H", "X-Token: canary-123", "--shape", "record", "--report", "r.json"];
    let ended = fetch(&dir, &server, &args).expect_code(1);
    assert_eq!(dir.holding("canary"), [""; 0]);
    assert!(ended.stderr.contains("token (redacted) is not for this part"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    let record = line(&dir, "0").unwrap();
    assert!(record.contains("\"error\":\"token (redacted) is not"), "{record}");
    assert!(
        record.len() < 400 && dir.read("out.failed.csv").contains("token (redacted) is not for"),
        "{record}"
    );
}
