//! `--dry-run`: the plan, with the exit of a run, no request, and no trace.

use std::fs;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::output_kit::{events, fetch, plain, skus};
use crate::support::{Ended, Reply, Run, ScriptedServer, WorkDir, closed_pipe};

/// Names, bytes and times of everything in the folder, and the folder's own time.
fn everything(dir: &WorkDir) -> Vec<(String, Vec<u8>, SystemTime)> {
    let time = |path: &std::path::Path| path.metadata().unwrap().modified().unwrap();
    let mut all: Vec<_> = dir
        .names()
        .into_iter()
        .map(|name| (name.clone(), dir.bytes(&name), time(&dir.path(&name))))
        .collect();
    all.push((".".into(), Vec::new(), time(dir.root())));
    all
}

/// Runs, and holds that there was neither a request nor a trace.
#[track_caller]
fn planned(dir: &WorkDir, server: &ScriptedServer, run: Run<'_>, code: i32) -> Ended {
    let (before, requested) = (everything(dir), server.count());
    let ended = run.args(["--dry-run"]).finish().expect_code(code);
    assert_eq!(server.count(), requested, "a request was sent");
    assert!(everything(dir) == before, "a trace was left: {:?}", dir.names());
    ended
}

#[track_caller]
fn says(ended: &Ended, texts: &[&str]) {
    // Long sentences are broken into lines.
    let text = ended.stdout().split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in texts {
        assert!(text.contains(wanted), "no `{wanted}` in:\n{}", ended.stdout());
    }
}

const ODD: &str = "sku,name,qty\n0042,a,1\n1.23E+12,b,2\n x,c,3\n,d,4\n..,e,5\nA,f,6,7\nA,f,6\nA,g,7\nA,f,6\n\
                   \"a\tb\",h,8\n\n\nC\u{a0},j,9\n,k,1\n";

#[test]
fn the_plan_counts_rows_repeats_blanks_and_rejects_with_their_lines() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", ODD);
    let url = server.url("/p/{sku}/{name}");
    let run = Run::new(&dir).args(["products.csv", "-o", "out.json", "-u", &url]);
    let ended = planned(&dir, &server, run, 1);
    assert_eq!(ended.stderr, "");
    says(
        &ended,
        &[
            "products.csv, SKUs in column `sku`",
            "12: 5 SKUs, 2 repeats, 5 bad rows · 2 blank lines",
            "1 repeat would be another request than the SKU's first row, which counts: line 9",
            "2 rows, the first in line 5: column `sku`, the key, is empty; the others: line 15",
            "1 row, line 6: column `sku` makes a path segment `.` or `..`",
            "1 row, line 11: column `sku` holds a control character (U+0009): `a\\tb`",
            "1 row, line 7: the row is damaged: 4 fields where the header has 3",
            "1 SKU looks like a number that a spreadsheet shortened: `1.23E+12` (line 3)",
            "1 SKU has space around it: ` x` (line 4)",
            "1 SKU holds a non-breaking or invisible space",
            "requests 5 with GET, for example",
            "/p/0042/a line 3",
            "/p/%20x/c",
            "(picked at random)",
            "headers accept, accept-encoding, user-agent",
            "writes out.json, a new file out.failed.csv, if rows fail",
            "5 rows would fail without a request: exit 1",
        ],
    );
    for line in ended.stdout().lines().filter(|line| !line.contains("http://")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // A run agrees.
    let run = fetch(&dir, &server).args(["--min-success", "0"]).finish().expect_code(1);
    let summary = crate::output_kit::finished(&run);
    assert_eq!((&summary["rows"], &summary["failed"]), (&12.into(), &5.into()), "{summary}");
    assert_eq!((&summary["fetched"], &summary["repeats"]), (&5.into(), &2.into()), "{summary}");
}

#[test]
fn a_plan_without_rejects_exits_0_and_says_so() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json"), 0);
    says(&ended, &["3: 3 SKUs", "every row can be requested or is a repeat"]);
    assert!(!ended.stdout().contains("by chance"), "three are all there are: {}", ended.stdout());
}

#[test]
fn a_dry_run_can_be_set_in_the_config_file_and_the_environment() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let run = plain(&dir, &server, "out.json").env("SKUFETCH_DRY_RUN", "1").finish().expect_code(0);
    says(&run, &["dry run: no request was sent"]);
    dir.write("config.toml", "[run]\ndry-run = true\n");
    let run = plain(&dir, &server, "out.json").finish().expect_code(0);
    says(&run, &["dry run: no request was sent"]);
    assert_eq!((server.count(), dir.has("out.json")), (0, false));
    // Nor does a measurement surprise anyone who said so.
    let tune = |dir| Run::new(dir).args(["tune", "products.csv", "-u", &server.url("/p/{sku}")]);
    let ended = tune(&dir).finish().expect_code(78);
    assert!(ended.stderr.contains("dry-run: tune sends requests"), "{}", ended.stderr);
    fs::remove_file(dir.path("config.toml")).unwrap();
    tune(&dir).args(["--dry-run"]).finish().expect_code(2);
    assert_eq!(server.count(), 0);
}

/// What was said, without the line that says which run it was.
#[track_caller]
fn error(ended: &Ended) -> &str {
    let at = ended.stderr.find("error: ").unwrap_or_else(|| panic!("no error: {}", ended.stderr));
    &ended.stderr[at..]
}

#[test]
fn what_would_end_a_run_ends_its_plan_with_the_same_exit() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    dir.write("open.csv", "sku\n\"A\n");
    dir.write("bare.csv", "sku\n");
    dir.write("config.toml.bad", "[pace]\nrate = \"x\"\n");
    dir.write("old.json", "no JSON");
    let url = server.url("/p/{sku}");
    for (args, code) in [
        (vec!["nosuch.csv", "-o", "out.json", "-u", &url], 66),
        (vec!["open.csv", "-o", "out.json", "-u", &url], 65),
        (vec!["bare.csv", "-o", "out.json", "-u", &url], 65),
        (vec!["products.csv", "-o", "out.json", "-u", "http://h/{nosuch}"], 65),
        (vec!["products.csv", "-o", "old.json", "--merge", "-u", &url], 65),
        (vec!["products.csv", "-o", "no/such/out.json", "-u", &url], 73),
        (vec!["products.csv", "-o", "out.json", "-u", &url, "--config", "config.toml.bad"], 78),
        (vec!["products.csv", "-o", "out.json", "-u", &url, "--ca-cert", "nosuch.pem"], 2),
        (vec!["products.csv", "-o", "out.json", "-u", &url, "--select", ".["], 2),
        (vec!["products.csv", "-o", "out.json"], 2),
    ] {
        let real = Run::new(&dir).args(&args).finish().expect_code(code);
        for left in ["out.json.lock", "old.json.lock"] {
            let _ = fs::remove_file(dir.path(left));
        }
        let plan = planned(&dir, &server, Run::new(&dir).args(&args), code);
        assert_eq!((error(&plan), plan.stdout()), (error(&real), ""), "{args:?}");
    }
}

#[test]
fn a_folder_that_takes_no_file_is_found_without_trying() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    fs::create_dir(dir.path("shut")).unwrap();
    fs::set_permissions(dir.path("shut"), fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write anywhere, unless it goes without that capability.
    let lowered: &[&str] = if rustix::process::geteuid().is_root() {
        &["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    } else {
        &[]
    };
    for extra in [&[][..], &["--dry-run"]] {
        let run = plain(&dir, &server, "shut/out.json").args(extra).under(lowered);
        let ended = run.finish().expect_code(73);
        assert!(ended.stderr.contains("cannot create shut/out.json: Permission denied"), "{}", ended.stderr);
    }
}

#[test]
fn streams_compressed_inputs_and_limits_are_planned_like_files() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let url = server.url("/p/{sku}");
    let stdin = Run::new(&dir).args(["-", "-o", "-", "-u", &url]).stdin("sku\nA\nB\nB\n");
    let ended = planned(&dir, &server, stdin, 0);
    says(&ended, &["standard input, SKUs", "3: 2 SKUs, 1 repeat", "writes standard output, when it is"]);
    says(&ended, &["failed rows to no file; --failed FILE names one"]);
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/csv/quoted.csv.gz");
    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/csv/quoted.csv");
    let plan = |input| planned(&dir, &server, Run::new(&dir).args([input, "-o", "-", "-u", &url]), 0);
    let rows = |ended: &Ended| {
        ended.stdout().lines().find(|line| line.starts_with("rows ")).map(String::from).unwrap()
    };
    assert_eq!(rows(&plan(fixture)), rows(&plan(unpacked)));
    dir.write_skus(skus(9));
    let run = Run::new(&dir).args(["products.csv", "-o", "-", "-u", &url, "--limit", "4"]);
    says(&planned(&dir, &server, run, 0), &["4: 4 SKUs"]);
}

#[test]
fn what_a_journal_has_is_not_requested_again() {
    let (dir, server) =
        (WorkDir::new(), ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(20))));
    dir.write_skus(skus(300));
    let run = plain(&dir, &server, "out.json").args(["-c", "4"]).spawn();
    server.wait_for(60);
    // While it works, the plan says so and disturbs nothing.
    let beside = plain(&dir, &server, "out.json").args(["--dry-run"]).finish().expect_code(0);
    says(&beside, &["busy another run is writing this output: its lock is held by process"]);
    run.signal(Signal::INT);
    run.wait();
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json"), 0);
    let line = ended.stdout().lines().find(|line| line.starts_with("saved "));
    let line = line.unwrap_or_else(|| panic!("{}", ended.stdout()));
    let saved: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(line.contains("SKUs have their answers") && (50..300).contains(&saved), "{line}");
    says(&ended, &[&format!("requests {} with GET", 300 - saved)]);
    // Of another job, or not wanted: it would be set aside, and is not touched.
    let fresh = planned(&dir, &server, plain(&dir, &server, "out.json").args(["--fresh"]), 0);
    says(&fresh, &["requests 300 with GET", "note out.json.journal would be set aside: --fresh was given"]);
    let other = planned(&dir, &server, plain(&dir, &server, "out.json").args(["--select", ".a"]), 0);
    says(&other, &["requests 300 with GET", "(other select)"]);
    // And the run that follows does as was said.
    let before = server.count() as u64;
    fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(server.count() as u64 - before, 300 - saved);
}

#[test]
fn young_values_and_conditional_requests_are_counted() {
    let dir = WorkDir::new();
    let server = ScriptedServer::start(|seen| Reply::echo(seen).header("ETag", "\"1\""));
    dir.write_skus(skus(5));
    plain(&dir, &server, "out.json").finish().expect_code(0);
    dir.write_skus(skus(8));
    let again = planned(&dir, &server, plain(&dir, &server, "out.json"), 0);
    says(&again, &["5 SKUs are requested with a condition", "requests 8 with GET", "if-none-match"]);
    says(&again, &["out.json, in place of the "]);
    let merge = ["--merge", "--max-age", "1h"];
    let young = planned(&dir, &server, plain(&dir, &server, "out.json").args(merge), 0);
    says(&young, &["5 SKUs are younger than --max-age 1h: left alone", "requests 3 with GET"]);
    says(&young, &["out.json, starting from the "]);
}

#[test]
fn the_pace_is_printed_with_the_time_it_takes() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(601));
    let rate = ["-r", "10/s", "-c", "5", "--retries", "2", "--retry-on", "503", "--max-time", "30s"];
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json").args(rate), 0);
    says(&ended, &["5 in flight at most; at most 10/s, 1 at once", "up to 2 retries a SKU, on 503"]);
    says(
        &ended,
        &[
            "about 1 min at 10/s",
            "less than 500 ms",
            "longer than --max-time 30s: the rest would be deferred",
        ],
    );
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json").args(["--retries", "0"]), 0);
    says(&ended, &["as many in flight as pay, 64 at most; no --rate no retries"]);
    says(&ended, &["by the API's latency: about 1 s if an answer takes 100 ms and 64 in flight pay"]);
}

#[test]
fn bodies_are_weighed_and_broken_json_is_found() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", "sku,qty\nA,1\nB,007\nC,20\n");
    let body = ["--body", "{\"q\":{qty},\"s\":\"{sku}\"}"];
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json").args(body), 1);
    says(&ended, &["requests 2 with POST", "body 15 to 16 bytes of JSON each", "content-type"]);
    says(&ended, &["column `qty` is outside quotes in the body, and is not a JSON number, true or false"]);
    let body = ["--body", "{\"q\":0{qty},\"s\":\"{sku}\"}"];
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json").args(body), 1);
    says(
        &ended,
        &["2 rows make bodies that no JSON parser takes: lines 2 and 4", "a retried POST may act twice"],
    );
}

#[test]
fn lost_leading_zeros_are_warned_about() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let mut rows: Vec<String> = (0..50).map(|n| format!("{:06}", n * 7_919)).collect();
    rows.push("4711".into());
    dir.write_skus(rows);
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json"), 0);
    says(&ended, &["1 SKU is shorter than 50 others, which have 6 digits", "`4711` (line 52)"]);
}

#[test]
fn no_secret_is_in_a_plan() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", "sku,lang\nA,de\n");
    let url = server.url("/${T}/{sku}?key=canary2&t=${T}&lang={lang}").replace("://", "://canary3:canary4@");
    let run = Run::new(&dir)
        .args([
            "products.csv",
            "-o",
            "out.json",
            "-u",
            &url,
            "-H",
            "X-Key: canary5 {sku}",
            "--body",
            "\"canary6\"",
        ])
        .env("T", "canary1");
    let ended = planned(&dir, &server, run, 0);
    assert!(!ended.stdout().contains("canary") && ended.stderr.is_empty(), "{}", ended.stdout());
    says(&ended, &["/(redacted)/A?key=...&t=...&lang=de", "authorization", "x-key", "body 9 bytes"]);
}

#[test]
fn the_demo_is_planned_without_being_started() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let run = Run::new(&dir).args(["products.csv", "-o", "out.json", "--demo"]);
    says(&planned(&dir, &server, run, 0), &["requests 3 with GET", "/products/S0000"]);
}

#[test]
fn quiet_prints_only_what_is_wrong_with_the_rows() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json").args(["-q"]), 0);
    assert_eq!((ended.stdout(), ended.stderr.as_str()), ("", ""));
    dir.write_skus(["A", ".."]);
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json").args(["-q"]), 1);
    assert!(ended.stdout().starts_with("bad rows  1 row, line 3: "), "{}", ended.stdout());
    assert!(!ended.stdout().contains("dry run"), "{}", ended.stdout());
}

#[test]
fn logs_get_one_event_and_standard_output_the_same_text() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["A", "A", ".."]);
    let ended = planned(&dir, &server, fetch(&dir, &server).args(["-r", "1/s"]), 1);
    says(&ended, &["dry run: no request was sent", "1 bad row"]);
    let events = events(&ended);
    assert_eq!(events.len(), 1, "{}", ended.stderr);
    let reported = &events[0];
    assert_eq!((&reported["event"], &reported["level"]), (&"planned".into(), &"warning".into()));
    for (name, number) in
        [("rows", 3), ("skus", 1), ("repeats", 1), ("bad_rows", 1), ("requests", 1), ("exit", 1)]
    {
        assert_eq!(reported[name], number, "{name}: {reported}");
    }
    assert_eq!(reported["rejects"][0]["lines"], serde_json::json!([4]));
    assert_eq!(reported["least_s"], 0.0);
    let page = include_str!("../../docs/messages.md");
    let row = page.lines().find(|line| line.starts_with("| `planned`")).unwrap();
    for name in reported.as_object().unwrap().keys() {
        let always = ["time", "level", "event", "message"].contains(&name.as_str());
        assert!(always || row.contains(&format!("`{name}`")), "{name} is not documented");
    }
}

#[test]
fn a_closed_standard_output_is_no_crash() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let run = plain(&dir, &server, "out.json").args(["--dry-run"]).stdout(closed_pipe());
    assert_eq!(run.finish().expect_code(0).stderr, "");
}

#[test]
fn a_plan_of_many_rows_stays_small() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus((0..200_000).map(|n| format!("{n:06}")));
    let ended = planned(&dir, &server, plain(&dir, &server, "out.json"), 0);
    says(&ended, &["200,000: 200,000 SKUs", "requests 200,000 with GET"]);
    // 1,000,000 rows have 150 MiB; a fifth of them, and what the program takes by itself.
    assert!(ended.peak_memory < 45 << 20, "{} bytes resident", ended.peak_memory);
}
