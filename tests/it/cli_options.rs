//! Every option has its effect, seen from outside: at the server, in the files, in the exit code. What
//! each does in its finer points is proven where that matter is at home.

use std::time::{Duration, Instant};

use crate::support::reply::echo_body;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Ended, FullListener, Reply, Run, Script, ScriptedServer, WorkDir};

/// Not worth waiting for, yet long enough to be seen.
const MOMENT: Duration = Duration::from_millis(30);

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((1..=count).map(|n| format!("S{n}")));
    dir
}

/// `skufetch products.csv -o out.json --url …/{sku}` and these.
#[track_caller]
fn fetch(dir: &WorkDir, server: &ScriptedServer, args: &[&str]) -> Ended {
    let url = server.url("/{sku}");
    Run::new(dir).args(["products.csv", "-o", "out.json", "--url", &url]).args(args).finish()
}

/// What was requested, in the order of the SKUs.
fn requested_skus(server: &ScriptedServer) -> Vec<String> {
    let mut skus: Vec<_> = server.requests().iter().map(|seen| seen.sku.clone()).collect();
    skus.sort();
    skus
}

/// The text of the files in which every option is tried.
const TRIED: &[&str] = &[
    include_str!("cli_options.rs"),
    include_str!("cli_logs.rs"),
    include_str!("config.rs"),
    include_str!("report.rs"),
    include_str!("dry_run.rs"),
    include_str!("guard.rs"),
    include_str!("meanings.rs"),
    include_str!("objects.rs"),
    include_str!("changes.rs"),
    include_str!("csv_output.rs"),
    include_str!("packs.rs"),
    include_str!("pages.rs"),
    include_str!("cookies.rs"),
    include_str!("request_bodies.rs"),
    include_str!("rate_store.rs"),
    include_str!("retries_stops.rs"),
    include_str!("stream.rs"),
    include_str!("shards_merge.rs"),
    include_str!("tokens.rs"),
];

#[test]
fn no_option_of_the_help_is_left_untried() {
    let help = Run::new(&WorkDir::new()).args(["--help"]).finish().expect_code(0);
    let options: Vec<&str> = help
        .stdout()
        .lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("      --"))
        .filter_map(|line| line.split_once("--"))
        .map(|(_, name)| name.split([' ', '.']).next().unwrap())
        .collect();
    assert!(options.len() > 40, "{options:?}");
    for option in options {
        let tried = format!("\"--{option}");
        assert!(
            TRIED.iter().any(|text| text.contains(&tried)) || ["help", "version"].contains(&option),
            "{option}"
        );
    }
}

#[test]
fn quote_escape_encoding_and_skip_lines_say_how_the_csv_is_read() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    for (csv, option, value, sku) in [
        (&b"sku,name\n'A,1',x\n"[..], "--quote", "'", "A,1"),
        (b"sku,name\n\"B,x\n", "--quote", "none", "\"B"),
        (b"sku,name\n\"C^\"1\",x\n", "--escape", "^", "C\"1"),
        (b"sku,name\ncaf\xe9,x\n", "--encoding", "windows-1252", "café"),
        (b"sku of today\nsku,name\nE,x\n", "--skip-lines", "1", "E"),
    ] {
        dir.write("products.csv", csv);
        fetch(&dir, &server, &[option, value, "--guard", "off"]).expect_code(0);
        assert!(
            requested_skus(&server).contains(&sku.to_owned()),
            "{option} {value}: {:?}",
            requested_skus(&server)
        );
    }
}

#[test]
fn key_chooses_the_column_that_keys_the_output() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,ean\nA,1\nB,2\n");
    for option in ["--key", "-k"] {
        fetch(&dir, &server, &[option, "ean", "--fresh"]).expect_code(0);
        // {sku} is the column of that name, whichever is the key.
        let [a, b] = ["A", "B"].map(echo_body);
        assert_eq!(dir.read("out.json"), format!("{{\n\"1\":{a},\n\"2\":{b}\n}}\n"));
    }
}

#[test]
fn delimiter_overrides_what_the_header_line_suggests() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    dir.write("products.csv", "sku;a,b,c,d\nA,1;x\n");
    for option in ["--delimiter", "-d"] {
        fetch(&dir, &server, &[option, ";"]).expect_code(0);
        assert!(dir.read("out.json").starts_with("{\n\"A,1\":"), "{}", dir.read("out.json"));
    }
    dir.write("products.csv", "sku\tname\nA\tx\n");
    fetch(&dir, &server, &["-d", "tab"]).expect_code(0);
}

#[test]
fn no_headers_makes_the_first_line_a_row_and_numbers_the_columns() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    dir.write("products.csv", "4711,eu\n0815,us\n");
    let url = server.url("/{2}/{1}");
    let args = ["products.csv", "-o", "out.json", "--no-headers", "-k", "1", "-u", &url];
    Run::new(&dir).args(args).finish().expect_code(0);
    assert_eq!(requested_skus(&server), ["0815", "4711"]);
    assert!(server.requests().iter().any(|seen| seen.path() == "/us/0815"));
}

#[test]
fn empty_key_and_short_rows_say_what_becomes_of_such_rows() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("products.csv", "sku,name\n,x\nA,y\nB\n");
    let ended = fetch(&dir, &server, &["--empty-key", "skip", "--short-rows", "pad"]).expect_code(0);
    assert!(ended.stderr.contains(": 2 fetched, 1 skipped"), "{}", ended.stderr);
    let ended = fetch(&dir, &server, &["--empty-key", "fail", "--short-rows", "fail"]).expect_code(1);
    assert!(ended.stderr.contains(": 1 fetched, 2 failed"), "{}", ended.stderr);
}

#[test]
fn limit_stops_after_so_many_data_rows() {
    let (server, dir) = (ScriptedServer::echo(), skus(9));
    let ended = fetch(&dir, &server, &["--limit", "2"]).expect_code(0);
    assert_eq!(requested_skus(&server), ["S1", "S2"]);
    assert!(ended.stderr_after_header().starts_with("2 SKUs in "), "{}", ended.stderr);
}

#[test]
fn method_header_and_body_are_those_that_were_given() {
    let (server, dir) = (ScriptedServer::echo(), skus(1));
    dir.write("body.json", "{\"of\":\"{sku}\"}");
    let run = |args: &[&str]| {
        let url = server.url("/{sku}");
        let run = Run::new(&dir).args(["products.csv", "-o", "-", "-u", &url]).args(args);
        run.env("TOKEN", "t0p").finish().expect_code(0);
        server.requests().last().unwrap().clone()
    };
    let seen = run(&["--header", "X-Sku: <{sku}>", "-H", "Authorization: Bearer ${TOKEN}"]);
    assert_eq!((seen.method.as_str(), seen.header("x-sku")), ("GET", Some("<S1>")));
    assert_eq!(seen.header("authorization"), Some("Bearer t0p"));
    let seen = run(&["--body", "[\"{sku}\"]"]);
    assert_eq!((seen.method.as_str(), seen.body.as_slice()), ("POST", &b"[\"S1\"]"[..]));
    let seen = run(&["--method", "PUT", "--body", "@body.json"]);
    assert_eq!((seen.method.as_str(), seen.body.as_slice()), ("PUT", &b"{\"of\":\"S1\"}"[..]));
    assert_eq!(run(&["-X", "delete"]).method, "DELETE");
}

#[test]
fn timeout_ends_an_attempt_that_takes_too_long() {
    let (server, dir) = (ScriptedServer::start(|_| Reply::silence()), skus(1));
    let ended = fetch(&dir, &server, &["--timeout", "50ms", "--retries", "0"]).expect_code(69);
    assert!(ended.stderr.contains("1 timed out"), "{}", ended.stderr);
}

#[test]
fn connect_timeout_ends_an_attempt_that_finds_no_connection() {
    let (port, dir) = (FullListener::new(), skus(1));
    let url = format!("http://{}/{{sku}}", port.addr());
    let args = ["products.csv", "-o", "o.json", "-u", &url, "--connect-timeout", "50ms", "--retries", "0"];
    let ended = Run::new(&dir).args(args).finish().expect_code(69);
    assert!(ended.stderr.contains("no connection within --connect-timeout 50ms"), "{}", ended.stderr);
}

#[test]
fn follow_says_how_far_a_redirect_may_lead() {
    let other = ScriptedServer::echo();
    let away = other.url("/away/");
    let server = ScriptedServer::start(move |seen| match seen.path() {
        "/S1" => Reply::redirect(302, "/new/S1"),
        "/S2" => Reply::redirect(302, &format!("{away}S2")),
        _ => Reply::echo(seen),
    });
    for (policy, fetched) in [("none", 0), ("same-origin", 1), ("any", 2)] {
        let dir = skus(2);
        let ended = fetch(&dir, &server, &["--follow", policy, "--min-success", "0"]);
        assert_eq!(ended.code, Some(i32::from(fetched < 2)), "{policy}: {}", ended.stderr);
        assert_eq!(dir.read("out.json").matches("\"sku\":").count(), fetched, "{policy}");
    }
    assert_eq!(requested_skus(&other), ["S2"]);
}

#[test]
fn ca_cert_trusts_an_authority_and_insecure_trusts_anyone() {
    let authority = Authority::new();
    let dir = skus(1);
    dir.write("ca.pem", authority.pem());
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, Reply::echo);
    let ended = fetch(&dir, &server, &[]).expect_code(69);
    assert!(ended.stderr.contains("--ca-cert"), "{}", ended.stderr);
    assert_eq!(server.count(), 0);
    fetch(&dir, &server, &["--ca-cert", "ca.pem"]).expect_code(0);
    fetch(&dir, &server, &["--insecure"]).expect_code(0);
}

#[test]
fn with_proxy_every_request_is_sent_to_the_proxy() {
    let (proxy, dir) = (ScriptedServer::echo(), skus(1));
    let args = ["products.csv", "-o", "o.json", "-u", "http://shop.invalid/{sku}", "--proxy", &proxy.url("")];
    Run::new(&dir).args(args).finish().expect_code(0);
    assert_eq!(proxy.requests()[0].target, "http://shop.invalid/S1");
}

#[test]
fn concurrency_bounds_what_is_in_flight() {
    for (value, most) in [("3", 3), ("auto:2", 2)] {
        let (server, dir) = (ScriptedServer::start(|seen| Reply::echo(seen).wait(MOMENT)), skus(12));
        fetch(&dir, &server, &["--concurrency", value]).expect_code(0);
        assert_eq!(server.max_in_flight(), most, "{value}");
    }
    let (server, dir) = (ScriptedServer::start(|seen| Reply::echo(seen).wait(MOMENT)), skus(12));
    fetch(&dir, &server, &["-c", "12"]).expect_code(0);
    assert_eq!(server.max_in_flight(), 12);
}

#[test]
fn rate_is_kept_from_the_first_request_on() {
    let (server, dir) = (ScriptedServer::echo(), skus(8));
    for option in ["--rate", "-r"] {
        let ended = fetch(&dir, &server, &[option, "40/s", "--fresh"]).expect_code(0);
        assert!(ended.took >= Duration::from_millis(170), "seven waits of 25 ms: {:?}", ended.took);
    }
}

#[test]
fn burst_lets_so_many_leave_at_once() {
    let (server, dir) = (ScriptedServer::echo(), skus(5));
    // One a minute: without the burst this would take four.
    fetch(&dir, &server, &["--rate", "1/m", "--burst", "5"]).expect_code(0);
    assert_eq!(server.count(), 5);
}

#[test]
fn max_time_stops_the_run_and_keeps_the_journal() {
    let (server, dir) = (ScriptedServer::start(|seen| Reply::echo(seen).wait(MOMENT)), skus(200));
    let ended = fetch(&dir, &server, &["--max-time", "400ms", "-c", "1"]).expect_code(75);
    assert!(ended.stderr.contains("--max-time was over"), "{}", ended.stderr);
    assert!(server.count() < 200 && dir.has("out.json.journal") && !dir.has("out.json"));
}

#[test]
fn retries_bounds_the_attempts_after_the_first() {
    for (value, attempts) in [("0", 1), ("2", 3)] {
        let (server, dir) = (ScriptedServer::start(|_| Reply::status(503)), skus(1));
        fetch(&dir, &server, &["--retries", value]).expect_code(69);
        assert_eq!(server.count(), attempts);
    }
}

#[test]
fn retry_on_says_which_statuses_are_tried_again() {
    let script = || {
        Script::new()
            .for_sku("S1", [Reply::status(418), Reply::json("1")])
            .for_sku("S2", [Reply::status(503), Reply::json("2")])
    };
    for (value, fetched) in [("418", "{\n\"S1\":1\n}\n"), ("400-499,503", "{\n\"S1\":1,\n\"S2\":2\n}\n")] {
        let (server, dir) = (ScriptedServer::script(script()), skus(2));
        fetch(&dir, &server, &["--retry-on", value]);
        assert_eq!(dir.read("out.json"), fetched, "{value}");
    }
    let (server, dir) = (ScriptedServer::script(script()), skus(2));
    fetch(&dir, &server, &["--retry-on", "none", "--min-success", "0"]).expect_code(1);
    assert_eq!((server.count(), dir.read("out.json").as_str()), (2, "{\n}\n"));
}

#[test]
fn max_retry_after_defers_the_run_when_the_server_demands_a_longer_wait() {
    let (server, dir) = (ScriptedServer::start(|_| Reply::retry_after(429, "7")), skus(1));
    let ended = fetch(&dir, &server, &["--max-retry-after", "6s"]).expect_code(75);
    assert!(ended.stderr.contains("requires a wait of 7 s; --max-retry-after is 6s"), "{}", ended.stderr);
}

#[test]
fn select_body_as_null_on_and_max_body_decide_what_is_kept_of_an_answer() {
    let script = Script::new()
        .for_sku("S1", [Reply::json("{\"a\": {\"b\": 1.10}}")])
        .for_sku("S2", [Reply::status(404)])
        .for_sku("S3", [Reply::json("{\"a\": {\"b\": [\"a long body that is over the cap\"]}}")]);
    let (server, dir) = (ScriptedServer::script(script), skus(3));
    let kept = |args: &[&str]| {
        fetch(&dir, &server, args);
        dir.read("out.json")
    };
    let long = "\"a long body that is over the cap\"";
    assert_eq!(kept(&["--select", ".a.b"]), format!("{{\n\"S1\":1.10,\n\"S3\":[{long}]\n}}\n"));
    assert_eq!(
        kept(&["--null-on", "404,410", "--max-body", "30B"]),
        "{\n\"S1\":{\"a\":{\"b\":1.10}},\n\"S2\":null\n}\n"
    );
    assert!(kept(&["--body-as", "text"]).starts_with("{\n\"S1\":\"{\\\"a\\\": {\\\"b\\\": 1.10}}\",\n"));
}

#[test]
fn format_and_shape_and_output_decide_what_is_written_and_where() {
    let (server, dir) = (ScriptedServer::start(|_| Reply::json("1")), skus(2));
    fetch(&dir, &server, &["--format", "jsonl"]).expect_code(0);
    assert_eq!(dir.read("out.json"), "{\"key\":\"S1\",\"body\":1}\n{\"key\":\"S2\",\"body\":1}\n");
    fetch(&dir, &server, &["--shape", "record"]).expect_code(0);
    let record = dir.read("out.json");
    assert!(record.starts_with("{\n\"S1\":{\"status\":200,\"fetched_at\":\"20"), "{record}");
    assert!(record.ends_with("\"attempts\":1,\"body\":1}\n}\n"), "{record}");
    let url = server.url("/{sku}");
    let ended = Run::new(&dir).args(["products.csv", "--output", "-", "--url", &url]).finish().expect_code(0);
    assert_eq!(ended.stdout(), "{\n\"S1\":1,\n\"S2\":1\n}\n");
}

#[test]
fn merge_keeps_what_this_run_did_not_fetch_and_max_age_leaves_alone_what_is_young() {
    let (server, dir) = (ScriptedServer::start(|_| Reply::json("2")), skus(1));
    dir.write("out.json", "{\n\"OLD\":1,\n\"S1\":1\n}\n");
    fetch(&dir, &server, &["--merge"]).expect_code(0);
    assert_eq!(dir.read("out.json"), "{\n\"S1\":2,\n\"OLD\":1\n}\n");
    fetch(&dir, &server, &["--merge", "--max-age", "1h"]).expect_code(0);
    assert_eq!(server.count(), 1, "it is young");
    fetch(&dir, &server, &["--merge", "--max-age", "0s"]).expect_code(0);
    assert_eq!(server.count(), 2);
}

#[test]
fn failed_names_the_file_of_failed_rows_and_min_success_the_least_share_of_successes() {
    let script = || Script::new().for_sku("S1", [Reply::status(404)]);
    let (server, dir) = (ScriptedServer::script(script()), skus(3));
    fetch(&dir, &server, &["--failed", "bad.csv"]).expect_code(1);
    assert!(dir.read("bad.csv").starts_with("sku,_error,_status,_attempts\nS1,"));
    assert!(!dir.has("out.failed.csv"));
    let before = dir.bytes("out.json");
    let ended = fetch(&dir, &server, &["--min-success", "70%"]).expect_code(69);
    assert!(
        ended.stderr.contains("only 2 of 3 SKUs were fetched, less than --min-success 70%"),
        "{}",
        ended.stderr
    );
    assert_eq!(dir.bytes("out.json"), before);
}

#[test]
fn fresh_requests_again_what_a_journal_has() {
    for (args, times) in [(&[][..], 1), (&["--fresh"][..], 2)] {
        let script = Script::new().for_sku("S2", [Reply::status(400), Reply::json("2")]);
        let (server, dir) = (ScriptedServer::script(script), skus(2));
        fetch(&dir, &server, &["--min-success", "100%"]).expect_code(69);
        fetch(&dir, &server, args).expect_code(0);
        assert_eq!(server.requests_for("S1").len(), times, "{args:?}");
    }
}

#[test]
fn http_names_the_versions_that_are_spoken() {
    // tests/it/http_versions.rs has the rest.
    for (version, code) in [("auto", 0), ("1.1", 0), ("2", 69)] {
        let (dir, server) = (skus(2), ScriptedServer::echo());
        fetch(&dir, &server, &["--http", version]).expect_code(code);
    }
}

#[test]
fn quota_fields_are_read_or_ignored() {
    for (value, paused) in [("auto", true), ("off", false)] {
        let (dir, began) = (skus(6), Instant::now());
        let server = ScriptedServer::start(|seen| match seen.number {
            2 => Reply::echo(seen).header("X-RateLimit-Remaining", "0").header("X-RateLimit-Reset", "2"),
            _ => Reply::echo(seen),
        });
        fetch(&dir, &server, &["--quota-fields", value, "-c", "1"]).expect_code(0);
        assert_eq!(began.elapsed() >= Duration::from_millis(1900), paused, "{value}: {:?}", began.elapsed());
    }
}

#[test]
fn lock_wait_waits_for_another_run_on_the_same_output() {
    let (server, dir) = (ScriptedServer::start(|seen| Reply::echo(seen).wait(10 * MOMENT)), skus(1));
    let url = server.url("/{sku}");
    let args = ["products.csv", "-o", "out.json", "-u", &url];
    let first = Run::new(&dir).args(args).spawn();
    server.wait_for(1);
    let ended = Run::new(&dir).args(args).finish().expect_code(75);
    assert!(ended.stderr.contains("--lock-wait"), "{}", ended.stderr);
    Run::new(&dir).args(args).args(["--lock-wait", "30s"]).finish().expect_code(0);
    first.wait().expect_code(0);
    assert_eq!(server.count(), 2, "the one that was turned away asked nothing");
}

#[test]
fn demo_serves_an_api_with_the_latency_and_the_failures_of_its_options() {
    let dir = skus(40);
    let common = ["products.csv", "-o", "out.json", "--demo", "--guard", "off"];
    let run = |args: &[&str]| Run::new(&dir).args(common).args(args).finish();
    let quick = ["--demo-latency", "60ms", "--demo-failures", "0%", "-c", "20"];
    let ended = run(&quick).expect_code(0);
    assert!(ended.took >= Duration::from_millis(120), "two turns of 60 ms: {:?}", ended.took);
    assert!(
        ended.stderr_after_header().starts_with("40 SKUs in ") && !ended.stderr.contains("retr"),
        "{}",
        ended.stderr
    );
    assert_eq!(dir.read("out.json").lines().count(), 42);
    let missing = run(&["--demo-latency", "1ms", "--demo-missing", "100%", "--limit", "2"]).expect_code(69);
    assert!(missing.stderr.contains("2 not found"), "{}", missing.stderr);
    // Two: more that fail would be an outage, which is waited for.
    let ended = run(&["--demo-latency", "1ms", "--demo-failures", "100%", "--retries", "0", "--limit", "2"]);
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    let ended = run(&[
        "--demo-latency",
        "1ms",
        "--demo-failures",
        "0%",
        "--demo-rate",
        "10/s",
        "--limit",
        "15",
        "--fresh",
    ]);
    assert!(ended.stderr.contains("refused"), "the limiter's 429 are counted: {}", ended.stderr);
}

#[test]
fn a_demo_is_the_same_job_in_the_next_run_whatever_port_it_has_then() {
    let dir = skus(3);
    let args = ["products.csv", "-o", "out.json", "--demo", "--demo-latency", "1ms", "--demo-failures", "0%"];
    let failing = ["--min-success", "100%", "--limit", "3"];
    dir.write("products.csv", "sku,name\nA,x\nB,y\nC\n");
    Run::new(&dir).args(args).args(failing).finish().expect_code(69);
    let ended = Run::new(&dir).args(args).finish().expect_code(1);
    assert!(ended.stderr.contains("2 fetched (2 from the journal)"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("another job"), "{}", ended.stderr);
}
