//! `skufetch tune`: the climb on the real binary, against servers that have a knee, refuse, or are not
//! there.

use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use rustix::process::Signal;

use crate::support::rate_law::one_of_several;
use crate::support::{Capacity, Reply, Run, Script, ScriptedServer, Seen, WorkDir, closed_port};

const WORK: Duration = Duration::from_millis(10);

fn skus(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("S{n}"))
}

/// `tune products.csv --url …` on a folder with so many SKUs.
fn tune<'a>(dir: &'a WorkDir, server: &ScriptedServer, count: usize) -> Run<'a> {
    dir.write_skus(skus(count));
    Run::new(dir).args(["tune", "products.csv", "--url", &server.url("/p/{sku}")])
}

fn report(dir: &WorkDir) -> Value {
    serde_json::from_str(&dir.read("tune.json")).unwrap()
}

/// The workers of each step.
fn climbed(report: &Value) -> Vec<u64> {
    report["steps"].as_array().unwrap().iter().map(|step| step["workers"].as_u64().unwrap()).collect()
}

#[test]
fn tune_climbs_to_the_knee_of_a_server_and_names_the_command_to_paste() {
    let capacity = Capacity::new(4);
    let server = ScriptedServer::start(move |seen| Reply::echo(seen).wait(WORK).through(&capacity));
    let dir = WorkDir::new();
    let ended = tune(&dir, &server, 500).args(["--report", "tune.json"]).finish().expect_code(0);
    let report = report(&dir);
    let best = report["best"]["workers"].as_u64().unwrap();
    // Twice the capacity if this machine was busy with something else while 4 were measured.
    assert!(best == 4 || best == 8, "{}", ended.stdout());
    assert_eq!(report["stopped_by"], "knee", "{}", ended.stdout());
    assert!(climbed(&report).starts_with(&[1, 2, 4]) && *climbed(&report).last().unwrap() <= 16);
    let out = ended.stdout();
    assert!(out.starts_with(" workers  requests   answers/s       p50       p95  errors\n"), "{out}");
    assert!(out.contains("█") && out.contains("more workers bring nothing"), "{out}");
    let command = format!(
        "skufetch products.csv --url '{}' --output out.json --concurrency {best}",
        server.url("/p/{sku}")
    );
    assert!(out.contains(&format!("\nto use it:\n  {command}\n")), "{out}");
    assert_eq!(report["command"], command.as_str());
    assert_eq!(ended.stderr, "");
    let pasted =
        Run::new(&dir).after_shell("true").under(["sh", "-c", &command.replace("skufetch", "\"$0\"")]);
    pasted.finish().expect_code(0);
    assert!(dir.has("out.json"));
}

#[test]
fn tune_requests_no_sku_twice_and_leaves_no_file() {
    let server = ScriptedServer::start(|seen| {
        // One in twenty fails, and is not retried.
        if seen.number % 20 == 7 { Reply::status(500) } else { Reply::echo(seen).wait(WORK) }
    });
    let dir = WorkDir::new();
    dir.write_skus((0..400).map(|n| format!("S{}", n % 300)));
    let run = Run::new(&dir).args(["tune", "products.csv", "-u", &server.url("/p/{sku}"), "-o", "out.json"]);
    run.args(["--merge", "-c", "auto:8"]).finish().expect_code(0);
    let requested = server.requests();
    let different: HashSet<_> = requested.iter().map(|seen| seen.sku.clone()).collect();
    assert_eq!(different.len(), requested.len());
    assert_eq!(dir.names(), ["products.csv"]);
}

#[test]
fn tune_never_has_more_in_flight_than_the_step_says_nor_than_the_ceiling() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(WORK));
    let dir = WorkDir::new();
    tune(&dir, &server, 200).args(["-c", "7", "--report", "tune.json"]).finish().expect_code(0);
    let report = report(&dir);
    assert_eq!(climbed(&report), [1, 2, 4, 7]);
    assert!(server.max_in_flight() <= 7);
    let firsts: Vec<_> = server.requests().iter().take(16).map(|seen| seen.in_flight).collect();
    assert_eq!(firsts, [1; 16]);
    assert_eq!((&report["stopped_by"], &report["best"]["workers"]), (&json!("ceiling"), &json!(7)));
    assert_eq!(report["why"], "that is the ceiling; more may pay, try --concurrency auto:28");
}

#[test]
fn tune_sends_at_most_2000_requests_by_default() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    tune(&dir, &server, 3_000).args(["-c", "auto:256"]).finish().expect_code(0);
    assert!(server.count() <= 2_000, "{}", server.count());
    let few = ScriptedServer::echo();
    let ended = tune(&dir, &few, 3_000).args(["--limit", "50"]).finish().expect_code(0);
    assert!(few.count() <= 50, "{}", few.count());
    assert!(ended.stdout().contains("--limit 250 goes further"), "{}", ended.stdout());
    // What the config file says is meant for the fetch.
    dir.write("config.toml", "[input]\nlimit = 5\n[pace]\nmax-time = \"1ms\"\n");
    tune(&dir, &ScriptedServer::echo(), 300).finish().expect_code(0);
}

#[test]
fn tune_stops_within_its_time_and_names_the_best_so_far() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(100)));
    let dir = WorkDir::new();
    let ended = tune(&dir, &server, 2_000)
        .args(["--max-time", "1500ms", "--report", "tune.json"])
        .finish()
        .expect_code(0);
    assert_eq!(report(&dir)["stopped_by"], "time", "{}", ended.stdout());
    assert!(server.count() < 2_000);
    let slow = ScriptedServer::start(|_| Reply::silence());
    let ended = tune(&dir, &slow, 20).args(["--max-time", "300ms", "--timeout", "400ms"]).finish();
    assert!(ended.expect_code(75).stderr.contains("before anything was measured"));
}

#[test]
fn tune_stops_where_errors_begin_and_names_a_number_below() {
    let server = ScriptedServer::start(|seen| {
        if seen.in_flight > 4 { Reply::status(500) } else { Reply::echo(seen).wait(4 * WORK) }
    });
    let dir = WorkDir::new();
    let ended = tune(&dir, &server, 500).args(["--report", "tune.json"]).finish().expect_code(0);
    let report = report(&dir);
    assert_eq!((&report["stopped_by"], climbed(&report)), (&json!("errors"), vec![1, 2, 4, 8]));
    assert!(report["best"]["workers"].as_u64().unwrap() <= 4);
    assert!(ended.stdout().contains("errors began at 8 workers: "), "{}", ended.stdout());
    assert!(ended.stdout().contains("HTTP 500"), "{}", ended.stdout());
}

#[test]
fn tune_names_a_number_below_the_one_for_which_the_api_paused_it() {
    // Two at a time are refused only where the server runs late, and then there is a rate that lasts.
    one_of_several(|_| {
        let server = capped(2, &|| Reply::retry_after(429, "1"));
        let dir = WorkDir::new();
        let args = ["--limit", "3000", "--report", "tune.json"];
        let ended = tune(&dir, &server, 3_000).args(args).finish().expect_code(0);
        let report = report(&dir);
        if report["sustained"] != Value::Null {
            return Some(report["sustained"].to_string());
        }
        assert_eq!((&report["stopped_by"], climbed(&report)), (&json!("paused"), vec![1, 2, 4]));
        assert!(report["best"]["workers"].as_u64().unwrap() <= 2);
        assert!(ended.stdout().contains("paused at 4 workers (429 with Retry-After)"), "{}", ended.stdout());
        assert!(!ended.stdout().contains("--rate"), "{}", ended.stdout());
        None
    });
}

/// A server that refuses what comes while it works at so many. It takes a little less time than its answers do, so that an
/// answer is never there before its place is free.
fn capped(most: usize, refusal: &'static (dyn Fn() -> Reply + Sync)) -> ScriptedServer {
    let begun = Mutex::new(Vec::<Instant>::new());
    ScriptedServer::start(move |seen| {
        let mut begun = begun.lock().unwrap();
        begun.retain(|at| at.elapsed() < 3 * WORK);
        if begun.len() >= most {
            return refusal();
        }
        begun.push(Instant::now());
        Reply::echo(seen).wait(4 * WORK)
    })
}

#[test]
fn no_more_is_named_than_a_cap_in_flight_allows() {
    type Case = (usize, &'static (dyn Fn() -> Reply + Sync), &'static str, &'static str);
    let cases: [Case; 5] = [
        (4, &|| Reply::status(500), "errors", "errors began at 8 workers: "),
        (3, &|| Reply::retry_after(429, "1"), "paused", "paused at 4 workers (429 with Retry-After)"),
        (6, &|| Reply::status(503), "errors", "errors began at 8 workers: "),
        (3, &|| Reply::status(508), "paused", "paused at 4 workers (508)"),
        (6, &|| Reply::status(429), "paused", "paused at 8 workers (429)"),
    ];
    thread::scope(|scope| {
        for (most, refusal, end, says) in cases {
            scope.spawn(move || {
                let (server, dir) = (capped(most, refusal), WorkDir::new());
                let run = tune(&dir, &server, 3_000).args(["--limit", "3000", "--report", "tune.json"]);
                let ended = run.finish().expect_code(0);
                let report = report(&dir);
                if report["sustained"].is_object() {
                    // A pool that is refused may learn the rate that the cap comes to.
                    let per_second = report["sustained"]["per_s"].as_f64().unwrap();
                    assert!(
                        per_second <= 1.1 * most as f64 / (3.0 * WORK.as_secs_f64()),
                        "{}",
                        ended.stdout()
                    );
                    return;
                }
                assert_eq!(report["stopped_by"], end, "{}", ended.stdout());
                assert!(ended.stdout().contains(says), "{}", ended.stdout());
                let best = report["best"]["workers"].as_u64().unwrap();
                // A place is taken for three quarters of an answer at most.
                assert!(best <= most as u64 * 3 / 2 && best * 2 >= most as u64, "{most}: {}", ended.stdout());
                assert!(!ended.stdout().contains("--rate"), "{}", ended.stdout());
            });
        }
    });
}

/// A bucket: so many at once, then so many a second.
fn bucket(burst: f64, per_second: f64, status: u16) -> ScriptedServer {
    let state = Mutex::new((burst, Instant::now()));
    ScriptedServer::start(move |seen| {
        let mut state = state.lock().unwrap();
        let (level, at) = *state;
        let level = (level + at.elapsed().as_secs_f64() * per_second).min(burst);
        let is_accepted = level >= 1.0;
        *state = (if is_accepted { level - 1.0 } else { level }, Instant::now());
        if is_accepted { Reply::echo(seen).wait(WORK) } else { Reply::status(status) }
    })
}

/// So many in each period, told by quota fields without their period.
fn quota(most: u64, period: Duration) -> ScriptedServer {
    let state = Mutex::new((0, None::<Instant>));
    ScriptedServer::start(move |seen| {
        let mut state = state.lock().unwrap();
        let began = state.1.filter(|began| began.elapsed() < period);
        let (count, began) = began.map_or_else(|| (0, Instant::now()), |began| (state.0, began));
        *state = (count + 1, Some(began));
        let left = most.saturating_sub(count + 1);
        let reset = period.saturating_sub(began.elapsed()).as_secs_f64().ceil();
        let reply = if count < most { Reply::echo(seen).wait(WORK) } else { Reply::status(429) };
        reply
            .header("X-RateLimit-Limit", most.to_string())
            .header("X-RateLimit-Remaining", left.to_string())
            .header("X-RateLimit-Reset", format!("{reset}"))
    })
}

#[test]
fn tune_names_the_rate_that_lasts_and_not_the_burst() {
    let cases: [(fn() -> ScriptedServer, _, _); 3] = [
        (|| bucket(100.0, 40.0, 429), "12s", 28.0..=44.0),
        (|| bucket(40.0, 30.0, 503), "25s", 12.0..=36.0),
        (|| quota(50, Duration::from_secs(5)), "9s", 7.0..=10.5),
    ];
    thread::scope(|scope| {
        for (server, time, expected) in cases {
            scope.spawn(move || {
                let (server, dir) = (server(), WorkDir::new());
                let run = tune(&dir, &server, 2_000).args(["--max-time", time, "--report", "tune.json"]);
                let ended = run.finish().expect_code(0);
                let report = report(&dir);
                let per_second = report["sustained"]["per_s"].as_f64().unwrap();
                assert!(expected.contains(&per_second), "{expected:?} {}", ended.stdout());
                let rate = report["sustained"]["rate"].as_str().unwrap();
                let command = report["command"].as_str().unwrap();
                assert!(command.ends_with(&format!(" --rate {rate}")), "{report}");
                assert!(ended.stdout().contains(&format!("\nbest: {rate}")), "{}", ended.stdout());
                assert!(ended.stdout().contains(" for long"), "{}", ended.stdout());
            });
        }
    });
}

#[test]
fn tune_names_nothing_where_the_answers_are_not_those_of_the_api() {
    type Case = (fn(&Seen) -> Reply, &'static [&'static str], &'static str);
    let cases: [Case; 6] = [
        (|_| Reply::status(404).wait(WORK), &[], "would fail their SKU"),
        (
            |_| Reply::bytes("<html>Sign in</html>").header("Content-Type", "text/html").wait(WORK),
            &[],
            "would fail",
        ),
        (|_| Reply::bytes("<html>Sign in</html>").wait(WORK), &["--body-as", "text"], "have the same body"),
        (|_| Reply::json("{\"error\":\"sign in\"}").wait(WORK), &[], "have the same body"),
        (|_| Reply::status(404).wait(WORK), &["--null-on", "404"], "nothing but null"),
        // Throttled with 200, after a burst.
        (
            |seen| {
                if seen.number < 40 { Reply::echo(seen) } else { Reply::json("{\"error\":\"slow down\"}") }
                    .wait(WORK)
            },
            &[],
            "have the same body",
        ),
    ];
    thread::scope(|scope| {
        for (answer, options, says) in cases {
            scope.spawn(move || {
                let (server, dir) = (ScriptedServer::start(answer), WorkDir::new());
                let args = [&["-c", "auto:4"], options].concat();
                let ended = tune(&dir, &server, 400).args(args.clone()).finish().expect_code(69);
                assert!(ended.stderr.contains("no number can be named: "), "{}", ended.stderr);
                assert!(ended.stderr.contains(says), "{}", ended.stderr);
                assert!(!ended.stdout().contains("best"), "{}", ended.stdout());
                let quiet = tune(&dir, &server, 400).args(args).args(["-q"]).finish().expect_code(69);
                assert_eq!(quiet.stdout(), "");
            });
        }
    });
}

#[test]
fn tune_names_nothing_if_the_sample_is_over_before_the_limit_shows() {
    let server = bucket(100.0, 0.1, 429);
    let dir = WorkDir::new();
    let ended = tune(&dir, &server, 104).finish().expect_code(75);
    assert!(ended.stderr.contains("what it accepts for long did not show"), "{}", ended.stderr);
    assert!(!ended.stdout().contains("best"), "{}", ended.stdout());
}

#[test]
fn tune_sends_nothing_more_once_it_has_ended_and_proposes_no_rate_without_an_answer() {
    let server = ScriptedServer::start(|_| Reply::retry_after(429, "1"));
    let dir = WorkDir::new();
    let ended = tune(&dir, &server, 500).finish().expect_code(69);
    assert!(ended.stderr.contains("the pool was paused at 1 worker"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("--rate"), "{}", ended.stderr);
    assert_eq!(server.count(), 1, "the pause ended it");
}

#[test]
fn tune_keeps_to_the_rate_and_says_that_it_is_the_limit() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(WORK));
    let dir = WorkDir::new();
    let run = tune(&dir, &server, 300).args(["--rate", "100/s", "--report", "tune.json"]);
    run.finish().expect_code(0);
    let report = report(&dir);
    assert_eq!((&report["stopped_by"], &report["rate"]), (&json!("rate"), &json!("100/s")));
    // 100/s × (1 s + 10 ms) + burst, and a little for the way to the server.
    assert!(server.busiest(Duration::from_secs(1)) <= 104);
}

#[test]
fn tune_stops_for_refused_credentials_and_for_an_api_that_is_not_there() {
    let dir = WorkDir::new();
    let server = ScriptedServer::start(|_| Reply::status(401));
    let ended = tune(&dir, &server, 100).finish().expect_code(77);
    assert!(
        ended.stderr.contains("refuses the credentials: 5 answers in a row were 401"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("published"), "{}", ended.stderr);
    assert_eq!((server.count(), ended.stdout()), (5, ""));
    for rows in [3, 100] {
        dir.write_skus(skus(rows));
        let url = format!("http://{}/{{sku}}", closed_port());
        let ended = Run::new(&dir).args(["tune", "products.csv", "-u", &url]).finish().expect_code(69);
        assert!(ended.stderr.contains("Connection refused"), "{}", ended.stderr);
    }
    let deferred = ScriptedServer::start(|_| Reply::retry_after(429, "3600"));
    let ended = tune(&dir, &deferred, 100).finish().expect_code(75);
    assert_eq!(deferred.count(), 1);
    assert!(ended.stderr.contains("--max-retry-after"), "{}", ended.stderr);
    let failing = ScriptedServer::start(|_| Reply::status(500));
    let ended = tune(&dir, &failing, 100).finish().expect_code(69);
    assert!(failing.count() <= 12 && ended.stderr.contains("HTTP 500"), "{}", ended.stderr);
}

#[test]
fn a_few_not_found_are_answers_and_no_errors() {
    let server = ScriptedServer::start(|seen| {
        if seen.number % 3 == 2 { Reply::status(404).wait(WORK) } else { Reply::echo(seen).wait(WORK) }
    });
    let dir = WorkDir::new();
    tune(&dir, &server, 400).args(["-c", "auto:4", "--report", "tune.json"]).finish().expect_code(0);
    assert!(report(&dir)["steps"].as_array().unwrap().iter().all(|step| step["errors"] == 0));
}

#[test]
fn tune_says_what_is_wrong_with_the_input() {
    let dir = WorkDir::new();
    let server = ScriptedServer::echo();
    for (csv, says) in [
        ("sku\n", "no data row"),
        ("sku\n..\n", "no SKU in 1 row\n"),
        ("sku\n..\n..\n", "no SKU in 2 rows"),
        ("sku\nA\n", "too few SKUs"),
        ("", ""),
        ("sku\nA\n\"B\n", "line 3"),
    ] {
        dir.write("in.csv", csv);
        let ended = Run::new(&dir).args(["tune", "in.csv", "-u", &server.url("/{sku}")]).finish();
        assert!(ended.expect_code(65).stderr.contains(says), "{csv:?}");
    }
    assert_eq!(server.count(), 1);
    Run::new(&dir).args(["tune", "no.csv", "-u", &server.url("/{sku}")]).finish().expect_code(66);
    let ended = Run::new(&dir).args(["tune", "in.csv"]).finish().expect_code(2);
    assert!(ended.stderr.contains("type: skufetch tune in.csv --url"), "{}", ended.stderr);
}

#[test]
fn tune_reads_standard_input_and_quiet_prints_the_number_alone() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(WORK));
    let dir = WorkDir::new();
    let csv = "sku\n".to_owned() + &skus(300).collect::<Vec<_>>().join("\n");
    let run = Run::new(&dir).args(["tune", "-", "-q", "-c", "2", "-u", &server.url("/{sku}")]).stdin(csv);
    let ended = run.finish().expect_code(0);
    assert!(ended.stdout().trim_end().parse::<u32>().is_ok_and(|n| n <= 2), "{}", ended.stdout());
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_signal_ends_a_climb_with_what_was_measured() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(WORK));
    let dir = WorkDir::new();
    let mut run = tune(&dir, &server, 2_000).args(["--report", "tune.json"]).spawn();
    run.wait_until(|| server.count() > 60);
    run.signal(Signal::INT);
    let ended = run.wait().expect_code(130);
    assert!(ended.stderr.contains("stopped by SIGINT"), "{}", ended.stderr);
    assert!(ended.stdout().contains("best: "), "{}", ended.stdout());
    assert_eq!(report(&dir)["stopped_by"], "stopped");
}

#[test]
fn a_report_of_tune_is_json_or_html_and_its_folder_has_to_be_there_before_the_first_request() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    let ended = tune(&dir, &server, 100).args(["--report", "tune.txt"]).finish().expect_code(2);
    assert!(
        ended.stderr.contains("--report: `tune.txt`") && ended.stderr.contains(".json"),
        "{}",
        ended.stderr
    );
    let ended = tune(&dir, &server, 100).args(["--report", "tune.prom"]).finish().expect_code(2);
    assert!(
        ended.stderr.contains("--report: ") && ended.stderr.contains("tune writes no report for Prometheus"),
        "{}",
        ended.stderr
    );
    tune(&dir, &server, 100).args(["--report", "no/tune.json"]).finish().expect_code(73);
    for file in ["in.json", "out.json"] {
        dir.write("in.json", "sku\n1\n");
        let run = Run::new(&dir).args(["tune", "in.json", "-o", "out.json", "-u", &server.url("/{sku}")]);
        run.args(["--report", file]).finish().expect_code(2);
    }
    assert_eq!(server.count(), 0);
    // What the config file says of a report is meant for the fetch.
    dir.write("config.toml", "[run]\nreport = \"nightly.prom\"\n");
    let ended = tune(&dir, &server, 100).args(["-c", "2"]).finish().expect_code(0);
    assert!(!dir.has("nightly.prom") && !ended.stdout().contains("--report"), "{}", ended.stdout());
}

#[test]
fn the_page_of_tune_has_the_curve_the_table_and_the_command() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(WORK));
    let dir = WorkDir::new();
    let ended = tune(&dir, &server, 300).args(["-c", "4", "--report", "tune.html"]).finish().expect_code(0);
    let page = dir.read("tune.html");
    assert!(
        page.contains("aria-label=\"Throughput by workers\"")
            && page.contains("aria-label=\"Latency by workers\"")
    );
    let command = ended.stdout().lines().find(|line| line.starts_with("  skufetch products.csv")).unwrap();
    let shown = command.trim().replace('\'', "&#39;");
    let pre = page.split("<pre>").nth(1).unwrap().split("</pre>").next().unwrap();
    assert_eq!(pre.replace("<span class=\"option\">", "").replace("</span>", ""), shown);
    assert_eq!(page.matches("<tr>").count(), 4, "a head and three steps: {page}");
}

#[test]
fn json_lines_report_each_step_on_standard_error() {
    let script = Script::new().otherwise(|seen| Reply::echo(seen).wait(WORK));
    let server = ScriptedServer::script(script);
    let dir = WorkDir::new();
    let ended = tune(&dir, &server, 300).args(["-c", "2", "--log-format", "json"]).finish().expect_code(0);
    let lines: Vec<Value> = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["rung_measured", "rung_measured", "tuned"]);
    assert_eq!((&lines[1]["workers"], &lines[2]["ceiling"]), (&json!(2), &json!(2)));
    assert!(ended.stdout().contains("best: "));
}

#[test]
fn tune_shows_no_secret() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    let url = server.url("/p/{sku}?key=canary&token=${TOKEN}");
    dir.write_skus(skus(60));
    let run = Run::new(&dir)
        .args(["tune", "products.csv", "-u", &url, "-H", "X-Key: canary", "--report", "tune.json", "-vv"])
        .env("TOKEN", "canary");
    let ended = run.finish().expect_code(0);
    assert!(server.requests()[0].target.ends_with("?key=canary&token=canary"));
    assert!(!ended.stdout().contains("canary") && !ended.stderr.contains("canary"), "{}", ended.stdout());
    assert!(dir.holding("canary").is_empty());
    let report: Value = serde_json::from_str(&dir.read("tune.json")).unwrap();
    let address = server.url("/p/{sku}?key=...&token=${TOKEN}");
    assert_eq!(report["request"], format!("GET {address}"));
    assert!(ended.stdout().contains("--header 'X-Key: ...'") && ended.stdout().contains("(... replaces"));
}

#[test]
fn a_closed_standard_output_is_no_crash() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    let run = tune(&dir, &server, 100).stdout(crate::support::closed_pipe());
    assert_eq!(run.finish().expect_code(0).stderr, "");
}
