//! `--report FILE`: written at every end but a usage error, in one piece, with numbers that agree.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::output_kit::{mode, plain, skus};
use crate::support::{
    Ended, Reply, Run, Script, ScriptedServer, WorkDir, closed_pipe, closed_port, sealed_file,
};

/// The report of a run, in which every data row is in exactly one of the numbers.
#[track_caller]
fn read(dir: &WorkDir, ended: &Ended) -> Value {
    let report: Value = serde_json::from_str(&dir.read("r.json")).unwrap();
    assert_eq!((&report["schema"], &report["version"]), (&"skufetch.run".into(), &1.into()));
    let sum: u64 = ["fetched", "unchanged", "failed", "repeats", "deferred"]
        .iter()
        .map(|name| report[*name].as_u64().unwrap())
        .sum();
    assert_eq!(report["rows"], sum, "{report}");
    assert_eq!(report["exit"].as_i64(), ended.code.map(i64::from), "{report}");
    report
}

/// Runs with a report and gives it.
#[track_caller]
fn json_report(dir: &WorkDir, run: Run<'_>, code: i32) -> Value {
    let ended = run.args(["--report", "r.json"]).finish().expect_code(code);
    read(dir, &ended)
}

/// Runs once for each kind of report, in a folder with these SKUs, and gives the three.
#[track_caller]
fn three(skus: &[String], args: &[&str], code: i32) -> (Value, String, String) {
    let dir = WorkDir::new();
    dir.write_skus(skus);
    let run = || Run::new(&dir).args(["products.csv", "-o", "out.json", "--fresh"]).args(args);
    let report = json_report(&dir, run(), code);
    run().args(["--report", "r.html"]).finish().expect_code(code);
    run().args(["--report", "r.prom"]).finish().expect_code(code);
    let (page, metrics) = (dir.read("r.html"), dir.read("r.prom"));
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
    let exit = metrics.lines().find(|line| line.starts_with("skufetch_run_exit_code{")).unwrap();
    assert!(exit.ends_with(&format!("}} {code}")), "{exit}");
    (report, page, metrics)
}

#[test]
fn a_complete_run_has_a_report_of_each_kind() {
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(20)));
    let address = server.url("/p/{sku}");
    let url = format!("{address}?fields=all&q={{sku}}");
    let (report, page, metrics) = three(&skus(120), &["-u", &url, "-c", "8"], 0);
    assert_eq!((&report["fetched"], &report["attempts"]), (&120.into(), &120.into()));
    assert_eq!((&report["published"], &report["error"]), (&true.into(), &Value::Null));
    assert_eq!(report["wrote"][0]["path"], "out.json");
    assert_eq!(report["request"], format!("GET {address}?fields=...&q={{sku}}"));
    assert_eq!(report["settings"]["pace"]["concurrency"]["value"], "8");
    let sum = |list: &Value, name: &str| -> u64 {
        list.as_array().unwrap().iter().map(|item| item[name].as_u64().unwrap()).sum()
    };
    assert_eq!(sum(&report["latency"]["histogram"], "count"), 120);
    assert_eq!((sum(&report["timeline"], "answers"), sum(&report["timeline"], "fetched")), (120, 120));
    assert_eq!(report["slowest"].as_array().unwrap().len(), 10);
    assert!(report["slowest"][0]["latency_ms"].as_f64().unwrap() >= 20.0, "{report}");
    assert!(report["timeline"].as_array().unwrap().iter().any(|slice| slice["most_in_flight"] == 8));
    assert!(page.contains("?fields=...&amp;q={sku}") && !page.contains("fields=all"), "{page}");
    assert!(page.contains(">complete<") && page.contains("aria-label=\"Throughput over time\""), "{page}");
    assert!(metrics.contains("outcome=\"fetched\"} 120\n"), "{metrics}");
    assert!(metrics.contains("/out.json\"} 1\n"), "the output in full: {metrics}");
}

#[test]
fn the_summary_names_the_report_and_a_run_without_one_leaves_none() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let ended = plain(&dir, &server, "out.json").args(["--report", "r.html"]).finish().expect_code(0);
    assert!(ended.stderr.lines().last().unwrap().contains(") and r.html ("), "{}", ended.stderr);
    fs::remove_file(dir.path("r.html")).unwrap();
    plain(&dir, &server, "out.json").finish().expect_code(0);
    assert_eq!(dir.names(), ["out.json", "out.json.lock", "out.json.state", "products.csv"]);
    // From the environment and from the config file as well.
    plain(&dir, &server, "out.json").env("SKUFETCH_REPORT", "e.prom").finish().expect_code(0);
    dir.write("config.toml", "[run]\nreport = \"f.json\"\n");
    plain(&dir, &server, "out.json").args(["-q"]).finish().expect_code(0);
    assert!(dir.has("e.prom") && dir.has("f.json"));
}

#[test]
fn rows_that_failed_are_listed_by_cause_with_an_example() {
    let script = Script::new()
        .for_sku("S0003", [Reply::status(404)])
        .for_sku("S0004", [Reply::status(404)])
        .for_sku("S0005", [Reply::status(503), Reply::json("1")]);
    let server = ScriptedServer::script(script);
    let mut rows = skus(40);
    rows.extend(["..".to_owned(), "S0000".to_owned()]);
    let (report, page, metrics) = three(&rows, &["-u", &server.url("/p/{sku}")], 1);
    assert_eq!(
        (&report["fetched"], &report["failed"], &report["repeats"]),
        (&38.into(), &3.into(), &1.into())
    );
    assert_eq!(
        (&report["causes"][0]["cause"], &report["causes"][0]["count"]),
        (&"not found".into(), &2.into())
    );
    assert_eq!(report["causes"][0]["first"]["key"], "S0003");
    assert_eq!(report["wrote"][1]["path"], "out.failed.csv");
    assert!(
        page.contains("published, some failed") && page.contains("line 5, SKU S0003: 404 from"),
        "{page}"
    );
    assert!(metrics.contains("cause=\"not found\"} 2\n") && metrics.contains("outcome=\"failed\"} 3\n"));
}

#[test]
fn an_api_that_is_not_there_or_refuses_leaves_its_report() {
    let url = format!("http://{}/{{sku}}", closed_port());
    let (report, page, metrics) = three(&skus(40), &["-u", &url], 69);
    assert_eq!((&report["deferred"], &report["published"]), (&40.into(), &false.into()));
    assert!(report["error"].as_str().unwrap().contains("unreachable"), "{report}");
    assert!(page.contains("nothing published, exit 69") && page.contains("unreachable"), "{page}");
    assert!(!metrics.contains("last_success"), "there was none: {metrics}");

    let server = ScriptedServer::start(|_| Reply::status(401));
    let (report, page, _) = three(&skus(40), &["-u", &server.url("/{sku}")], 77);
    assert_eq!((&report["rows"], &report["deferred"]), (&40.into(), &40.into()));
    assert!(page.contains("nothing published, exit 77"), "{page}");

    let server = ScriptedServer::start(|_| Reply::status(404));
    let (report, ..) = three(&skus(40), &["-u", &server.url("/{sku}")], 69);
    assert!(report["error"].as_str().unwrap().contains("--min-success"), "{report}");
    let server = ScriptedServer::start(|_| Reply::retry_after(429, "9999"));
    let (report, ..) = three(&skus(40), &["-u", &server.url("/{sku}")], 75);
    assert!(report["hint"].as_str().unwrap().contains("resumes from the journal"), "{report}");
}

#[test]
fn a_run_that_ends_before_its_first_request_leaves_its_report() {
    let server = ScriptedServer::echo();
    let dir = WorkDir::new();
    dir.write_skus(skus(3));
    dir.write("open.csv", "sku\n1\n\"2\n");
    dir.write("empty.csv", "sku\n");
    fs::create_dir(dir.path("folder")).unwrap();
    let ask =
        |input: &str, output: &str| Run::new(&dir).args([input, "-o", output, "-u", &server.url("/{sku}")]);
    for (input, output, code, says) in [
        ("open.csv", "a.json", 65, "line 3"),
        ("empty.csv", "a.json", 65, "no data row"),
        ("none.csv", "a.json", 66, "none.csv"),
        ("products.csv", "none/a.json", 73, "none"),
        ("products.csv", "folder", 73, "folder"),
    ] {
        let _ = fs::remove_file(dir.path("r.json"));
        let report = json_report(&dir, ask(input, output), code);
        assert!(report["error"].as_str().unwrap().contains(says), "{report}");
        assert_eq!((&report["rows"], &report["limited_by"]), (&0.into(), &"nothing".into()));
    }
    assert_eq!(server.count(), 0);
    dir.write("old.json", "not an object");
    json_report(&dir, ask("products.csv", "old.json").args(["--merge"]), 65);
}

#[test]
fn a_second_run_on_the_same_output_leaves_its_report() {
    let dir = WorkDir::new();
    dir.write_skus(skus(3));
    let server = ScriptedServer::start(|_| Reply::silence());
    let mut first = plain(&dir, &server, "out.json").args(["--timeout", "20s"]).spawn();
    first.wait_until(|| server.count() > 0);
    let report = json_report(&dir, plain(&dir, &server, "out.json"), 75);
    assert!(report["error"].as_str().unwrap().contains("another run"), "{report}");
    first.kill();
}

#[test]
fn damage_far_down_a_stream_and_a_closed_standard_output_leave_their_report() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let mut stream = String::from("sku\n");
    stream.extend((0..50).map(|n| format!("{n}\n")));
    stream.push_str("\"never closed\n1\n");
    let run = Run::new(&dir).args(["-", "-o", "y.json", "-u", &server.url("/{sku}")]).stdin(stream);
    let report = json_report(&dir, run, 65);
    assert_eq!((&report["fetched"], &report["input"]), (&50.into(), &"standard input".into()));
    dir.write_skus(skus(5));
    for (to, fetched) in [(sealed_file(), 5), (closed_pipe(), 0)] {
        let report = json_report(&dir, plain(&dir, &server, "-").stdout(to), 74);
        assert_eq!((&report["fetched"], &report["published"]), (&fetched.into(), &false.into()));
    }
}

#[test]
fn standard_output_carries_data_only() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(5));
    let without = plain(&dir, &server, "-").finish().expect_code(0);
    let ended = plain(&dir, &server, "-").args(["--report", "r.json"]).finish().expect_code(0);
    assert_eq!(ended.stdout(), without.stdout());
    let report = read(&dir, &ended);
    assert_eq!((&report["output"], &report["published"]), (&"-".into(), &true.into()));
}

#[test]
fn a_signal_leaves_a_report_and_so_does_a_second_one() {
    for signals in [1, 2] {
        let dir = WorkDir::new();
        dir.write_skus(skus(200));
        let stuck = Arc::new(AtomicBool::new(true));
        let is_stuck = Arc::clone(&stuck);
        let server = ScriptedServer::start(move |seen| match seen.number {
            _ if seen.number < 20 || !is_stuck.load(Ordering::Relaxed) => Reply::echo(seen),
            // The first signal waits for these; the second does not.
            _ if signals == 2 => Reply::silence(),
            _ => Reply::echo(seen).wait(Duration::from_millis(100)),
        });
        let mut run = plain(&dir, &server, "out.json").args(["-c", "4", "--report", "r.json"]).spawn();
        run.wait_until(|| server.count() > 22);
        run.signal(Signal::INT);
        if signals == 2 {
            run.wait_for_stderr("SIGINT");
            run.signal(Signal::INT);
        }
        let ended = run.wait().expect_code(130);
        let report = read(&dir, &ended);
        assert_eq!((&report["rows"], &report["published"]), (&200.into(), &false.into()));
        assert!(report["fetched"].as_u64().unwrap() >= 20 && report["deferred"].as_u64().unwrap() > 100);
        assert!(report["error"].as_str().unwrap().contains("SIGINT"), "{report}");
        // The next run goes on, and its report counts what it took from the journal.
        stuck.store(false, Ordering::Relaxed);
        let report = json_report(&dir, plain(&dir, &server, "out.json"), 0);
        assert!(report["recovered"].as_u64().unwrap() >= 20 && report["fetched"] == 200, "{report}");
    }
}

#[test]
fn a_signal_before_the_first_request_leaves_a_report_too() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(|_| Reply::silence()));
    dir.write_skus(skus(3));
    let _first = plain(&dir, &server, "out.json").spawn();
    server.wait_for(3);
    let mut waiting =
        plain(&dir, &server, "out.json").args(["--lock-wait", "1h", "--report", "r.json"]).spawn();
    waiting.wait_until_it_hears(Signal::INT);
    waiting.signal(Signal::INT);
    let report = read(&dir, &waiting.wait().expect_code(130));
    assert_eq!(report["error"], "stopped by SIGINT before the first request");
    assert_eq!((&report["published"], &report["journal_kept"]), (&false.into(), &true.into()));

    // A pipe that never says a word.
    let args = ["-", "-o", "piped.json", "--url", &server.url("/p/{sku}"), "--report", "r.json"];
    let mut silent = Run::new(&dir).args(args).open_stdin().spawn();
    silent.wait_until_it_hears(Signal::TERM);
    silent.signal(Signal::TERM);
    silent.wait_for_stderr("stopped by SIGTERM");
    let report = read(&dir, &silent.wait().expect_code(143));
    assert_eq!(report["error"], "stopped by SIGTERM before the first request");
    assert_eq!(server.count(), 3, "no request was sent");
    assert!(!dir.has("piped.json.journal"));
}

#[test]
fn a_report_that_cannot_be_written_is_found_before_the_first_request() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    fs::create_dir(dir.path("folder.json")).unwrap();
    for place in ["none/r.json", "folder.json", "products.csv/r.html", "/proc/r.prom"] {
        let ended = plain(&dir, &server, "out.json").args(["--report", place]).finish().expect_code(73);
        assert!(ended.stderr.contains(place), "{}", ended.stderr);
    }
    assert_eq!(server.count(), 0);
    assert_eq!(dir.names(), ["folder.json", "products.csv"]);
}

#[test]
fn a_report_that_cannot_be_written_at_the_end_costs_nothing_but_the_exit_code() {
    for (status, code) in [(200, 74), (404, 1)] {
        let dir = WorkDir::new();
        dir.write_skus(skus(9));
        fs::create_dir(dir.path("reports")).unwrap();
        let folder = dir.path("reports");
        let server = ScriptedServer::start(move |seen| {
            let _ = fs::remove_dir(&folder);
            if seen.sku == "S0003" { Reply::json("1").with_status(status) } else { Reply::echo(seen) }
        });
        let run = plain(&dir, &server, "out.json").args(["-q", "--report", "reports/r.json"]);
        let ended = run.finish().expect_code(code);
        assert!(
            ended.stderr.contains("error: the report reports/r.json was not written: "),
            "{}",
            ended.stderr
        );
        assert!(dir.read("out.json").contains("S0008") && !dir.has("out.json.journal"));
        assert!(ended.stderr.contains("wrote out.json"), "{}", ended.stderr);
    }
}

#[test]
fn a_report_replaces_the_old_one_in_one_step_and_keeps_its_mode_and_its_link() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let run = |name: &str| {
        let run = plain(&dir, &server, "out.json").args(["--report", name]);
        run.after_shell("umask 022").finish().expect_code(0);
    };
    run("r.prom");
    assert_eq!(mode(&dir, "r.prom"), 0o644, "a collector of another user can read it");
    fs::set_permissions(dir.path("r.prom"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(dir.path("collector")).unwrap();
    fs::rename(dir.path("r.prom"), dir.path("collector/r.prom")).unwrap();
    symlink("collector/r.prom", dir.path("link.prom")).unwrap();
    run("link.prom");
    assert!(fs::symlink_metadata(dir.path("link.prom")).unwrap().is_symlink());
    assert_eq!(mode(&dir, "collector/r.prom"), 0o640);
    assert_eq!(fs::read_dir(dir.path("collector")).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_failed_run_keeps_the_time_of_the_last_success() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let success = || {
        let text = dir.read("r.prom");
        text.lines().find(|line| line.starts_with("skufetch_last_success")).map(str::to_owned)
    };
    plain(&dir, &server, "out.json").args(["--report", "r.prom"]).finish().expect_code(0);
    let first = success().expect("a time");
    for (input, code) in [("products.csv", 69), ("none.csv", 66)] {
        let url = format!("http://{}/{{sku}}", closed_port());
        let run = Run::new(&dir).args([input, "-o", "out.json", "-u", &url, "--report", "r.prom"]);
        run.finish().expect_code(code);
        assert_eq!(success().as_ref(), Some(&first));
        assert!(dir.read("r.prom").contains(&format!("}} {code}\n")));
    }
}

#[test]
fn a_file_that_the_run_reads_or_writes_is_no_place_for_a_report() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("in.json", "sku\n1\n");
    dir.write("body.json", "{}");
    symlink("in.json", dir.path("link.json")).unwrap();
    symlink("out.json.journal", dir.path("journal.json")).unwrap();
    let names = dir.names();
    for report in
        ["out.json", "./out.json", "in.json", "link.json", "journal.json", "failed.json", "body.json"]
    {
        let run = Run::new(&dir).args(["in.json", "-o", "out.json", "--failed", "failed.json"]);
        let run = run.args(["--body", "@body.json", "-u", &server.url("/{sku}"), "--report", report]);
        let ended = run.finish().expect_code(2);
        assert!(ended.stderr.contains("--report") && ended.stderr.contains("overwrite"), "{}", ended.stderr);
    }
    // With standard output as well; and 78 where it is for the config file to be mended.
    let run = Run::new(&dir).args(["in.json", "-o", "-", "-u", &server.url("/{sku}"), "--report", "in.json"]);
    run.finish().expect_code(2);
    let text = format!("[request]\nurl = \"{}\"\n[output]\noutput = \"out.json\"\n", server.url("/{sku}"));
    let elsewhere = WorkDir::new();
    let config = elsewhere.write("c.toml", format!("{text}[run]\nreport = \"out.json\"\n"));
    let ended = Run::new(&dir).args(["in.json", "--config"]).args([&config]).finish().expect_code(78);
    assert!(ended.stderr.contains("c.toml:6:10: report"), "{}", ended.stderr);
    assert_eq!((server.count(), dir.names()), (0, names));
}

#[test]
fn another_ending_is_a_usage_error_that_names_the_three_and_leaves_no_file() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let says = |ended: Ended, place: &str| {
        for part in [place, "`r.txt`", ".json", ".html", ".prom"] {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
    };
    let run = || plain(&dir, &server, "out.json");
    says(run().args(["--report", "r.txt"]).finish().expect_code(2), "--report");
    says(run().env("SKUFETCH_REPORT", "r.txt").finish().expect_code(2), "SKUFETCH_REPORT");
    dir.write("config.toml", "[run]\nreport = \"r.txt\"\n");
    says(run().finish().expect_code(78), "config.toml:2:10: report");
    fs::remove_file(dir.path("config.toml")).unwrap();
    // A template that is wrong is the command line's fault as well.
    let run = Run::new(&dir).args(["products.csv", "-o", "out.json", "-u", "http://a/{skuu}"]);
    let ended = run.args(["--report", "r.json"]).finish();
    assert!(matches!(ended.code, Some(2 | 65)) && dir.has("r.json") == (ended.code == Some(65)), "{ended:?}");
    assert_eq!(server.count(), 0);
}

#[test]
fn a_sku_that_is_markup_or_acts_on_a_terminal_is_shown_as_what_it_is() {
    let hostile = "<script>alert('1')</script>\u{202e}\"&";
    let server = ScriptedServer::start(|seen| {
        Reply::bytes("seen: <img src=x onerror=alert(1)>\u{1b}[31m")
            .with_status(404)
            .header("X", seen.sku.as_bytes())
    });
    let url = server.url("/p/{sku}");
    let rows = [vec![hostile.to_owned()], skus(2)].concat();
    let (report, page, metrics) = three(&rows, &["-u", &url, "--min-success", "0"], 1);
    assert_eq!(report["slowest"].as_array().unwrap().iter().filter(|slow| slow["key"] == hostile).count(), 1);
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\\u{202e}&quot;&amp;"), "{page}");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "{page}");
    for document in [&page, &metrics] {
        assert!(!document.contains("<script") && !document.contains("<img"), "{document}");
        assert!(!document.contains(['\u{202e}', '\u{1b}']), "{document}");
    }
}

#[test]
fn pauses_are_listed_with_their_reason_and_their_time() {
    let dir = WorkDir::new();
    dir.write_skus(skus(30));
    let script = Script::new().first([Reply::retry_after(429, "1")]);
    let server = ScriptedServer::script(script);
    let report = json_report(&dir, plain(&dir, &server, "out.json"), 0);
    assert_eq!((&report["pauses"], &report["paused"][0]["why"]), (&1.into(), &"429 with Retry-After".into()));
    let length = |pause: &Value| pause["until_s"].as_f64().unwrap() - pause["at_s"].as_f64().unwrap();
    assert!((0.5..2.0).contains(&length(&report["paused"][0])), "{report}");
    let slices = report["timeline"].as_array().unwrap();
    assert!(slices.iter().any(|slice| slice["paused_s"].as_f64().unwrap() > 0.05), "{report}");
    assert_eq!(report["refused_by"], json!([{"cause": "rate limited (429)", "count": 1}]));
    assert_eq!(
        (&report["refused"], &report["retries"], &report["retried"]),
        (&1.into(), &0.into(), &json!([]))
    );
}
