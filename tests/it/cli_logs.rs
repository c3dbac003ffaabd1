//! What is said while a run goes on, and to whom: `-q`, `-v`, `--progress`, `--log-format`, closed pipes.

use std::fs::File;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Ended, Reply, Run, Script, ScriptedServer, WorkDir, closed_pipe, closed_port};

/// Five rows of every kind: two fetched, one not found, one damaged, one refused.
const MIXED: &str = "sku,name\nA,a\nB,b\nGONE,c\nX\n..,dots\n";

fn mixed() -> (ScriptedServer, WorkDir) {
    let dir = WorkDir::new();
    dir.write("products.csv", MIXED);
    (ScriptedServer::script(Script::new().for_sku("GONE", [Reply::status(404)])), dir)
}

fn fetch<'a>(dir: &'a WorkDir, server: &ScriptedServer, args: &[&str]) -> Run<'a> {
    let url = server.url("/{sku}");
    Run::new(dir).args(["products.csv", "-o", "out.json", "-u", &url, "--min-success", "0"]).args(args)
}

/// Every line as JSON.
#[track_caller]
fn parsed(ended: &Ended) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<Value> = ended.stderr.lines().map(parse).collect();
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        humantime::parse_rfc3339(time).unwrap();
        assert!(line["level"].is_string() && line["event"].is_string() && line["message"].is_string());
    }
    lines
}

#[test]
fn from_cron_with_everything_well_which_run_it_is_and_the_summary_are_printed() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write_skus(["A", "B"]);
    let ended = fetch(&dir, &server, &[]).finish().expect_code(0);
    let first = ended.stderr.lines().next().unwrap();
    let program = concat!(" skufetch ", env!("CARGO_PKG_VERSION"), ": products.csv (2 rows) to out.json");
    assert!(first.ends_with(program), "{first}");
    let lines: Vec<&str> = ended.stderr_after_header().lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.stderr);
    assert!(lines[0].starts_with("2 SKUs in ") && lines[0].contains(": 2 fetched · "), "{}", lines[0]);
    assert!(lines[1].starts_with("limited by: "), "{}", lines[1]);
    assert!(lines[2].starts_with("wrote out.json ("), "{}", lines[2]);
    assert_eq!(ended.stdout(), "");
}

/// The first line has the instant at which the run began, what it read and what it wrote.
#[track_caller]
fn is_dated(ended: &Ended, since: SystemTime, what: &str) {
    ended.stderr_after_header();
    let first = ended.stderr.lines().next().unwrap();
    let (date, rest) = first.split_once(' ').unwrap();
    let began = humantime::parse_rfc3339(date).unwrap();
    // It is printed to the second.
    assert!(began + Duration::from_secs(1) > since && began <= SystemTime::now(), "{first}");
    assert_eq!(rest, format!("skufetch {}{what}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn outside_a_terminal_the_first_line_of_every_ending_says_when_and_what_it_was() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write_skus(["A", "B"]);
    dir.write("id.csv", "id,name\n1,x\n");
    dir.write("config.bad.toml", "nonsense = 1\n");
    let (url, closed) = (server.url("/{sku}"), format!("http://{}/{{sku}}", closed_port()));
    let refusing = ScriptedServer::start(|_| Reply::status(401));
    let run = |args: &[&str]| Run::new(&dir).args(args);
    for quiet in [&[][..], &["-q"]] {
        let run = |args: &[&str]| run(args).args(quiet);
        for (args, code, what) in [
            (&["none.csv", "-o", "o.json", "-u", &url][..], 66, ": none.csv to o.json"),
            (&["id.csv", "-o", "o.json", "-u", &url], 65, ": id.csv to o.json"),
            (&["products.csv", "-o", "no/o.json", "-u", &url], 73, ": products.csv to no/o.json"),
            (&["products.csv", "-o", "o.json", "-u", &url, "--select", ".["], 2, ": products.csv to o.json"),
            (
                &["products.csv", "-o", "o.json", "-u", &closed, "--retries", "0"],
                69,
                ": products.csv (2 rows) to o.json",
            ),
            (
                &["products.csv", "-o", "-", "-u", &refusing.url("/{sku}")],
                77,
                ": products.csv (2 rows) to standard output",
            ),
            (
                &["products.csv", "-o", "o.json", "-u", &url, "--report", "no/r.json"],
                73,
                ": products.csv to o.json",
            ),
            (&["products.csv", "-o", "o.json", "-u", &url, "--config", "config.bad.toml"], 78, ""),
            (&["-", "-o", "o.json", "-u", &url], 65, ": standard input to o.json"),
        ] {
            let since = SystemTime::now();
            let ended = run(args).finish().expect_code(code);
            is_dated(&ended, since, what);
            assert!(ended.stderr_after_header().contains("error: "), "{}", ended.stderr);
        }
        // Another run works, and is then stopped.
        let since = SystemTime::now();
        let output = format!("{}.json", quiet.len());
        let mut first = run(&["-", "-o", &output, "-u", &url]).open_stdin().spawn();
        let seen = server.count();
        first.feed("sku\nA\n");
        server.wait_for(seen + 1);
        let ended = run(&["products.csv", "-o", &output, "-u", &url]).finish().expect_code(75);
        is_dated(&ended, since, &format!(": products.csv to {output}"));
        first.signal(Signal::TERM);
        first.wait_for_stderr("SIGTERM");
        is_dated(&first.wait().expect_code(143), since, &format!(": standard input to {output}"));
    }
    // The number of rows in a pipe is not known.
    let since = SystemTime::now();
    let ended = run(&["-", "-o", "-", "-u", &url]).stdin("sku\nA\n").finish().expect_code(0);
    is_dated(&ended, since, ": standard input to standard output");
    // What is no run has no such line.
    for (args, code) in [(&["products.csv", "--raet", "5/s"][..], 2), (&["--version"], 0)] {
        let ended = run(args).finish().expect_code(code);
        assert!(!ended.stderr.contains("skufetch 0."), "{}", ended.stderr);
    }
    let args = ["products.csv", "-o", "o.json", "-u", &url, "--dry-run"];
    assert_eq!(run(&args).finish().expect_code(0).stderr, "");
}

#[test]
fn quiet_prints_nothing_for_a_complete_run_and_otherwise_the_failures() {
    for option in ["--quiet", "-q"] {
        let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
        dir.write_skus(["A", "B"]);
        assert_eq!(fetch(&dir, &server, &[option]).finish().expect_code(0).stderr, "");
        let (server, dir) = mixed();
        let ended = fetch(&dir, &server, &[option]).finish().expect_code(1);
        assert!(ended.stderr.contains("2 bad rows: first at line 5: "), "{}", ended.stderr);
        assert!(ended.stderr.contains("1 not found: line 4, SKU GONE: "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("limited by"), "{}", ended.stderr);
        dir.write("products.csv", "sku\n");
        let ended = fetch(&dir, &server, &[option]).finish().expect_code(65);
        assert!(
            ended.stderr_after_header().starts_with("error: products.csv: there is no data row"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn verbose_names_each_failed_sku_and_twice_verbose_each_retry() {
    let script = || {
        Script::new()
            .for_sku("GONE", [Reply::status(404)])
            .for_sku("A", [Reply::status(500), Reply::json("1")])
    };
    let dir = WorkDir::new();
    dir.write("products.csv", MIXED);
    let stderr_of = |args: &[&str]| {
        let server = ScriptedServer::script(script());
        let _ = std::fs::remove_file(dir.path("out.json.state"));
        fetch(&dir, &server, args).finish().expect_code(1).stderr
    };
    let plain = stderr_of(&[]);
    assert!(!plain.contains("failed: line") && !plain.contains("started"), "{plain}");
    let verbose = stderr_of(&["--verbose"]);
    let before = ": products.csv (5 rows) to out.json\nproducts.csv: cells are separated by ,\nfailed: line ";
    assert!(verbose.contains(before), "{verbose}");
    for line in
        ["failed: line 5: the row is damaged", "failed: line 4, SKU GONE: ", "failed: line 6, SKU ..: "]
    {
        assert!(verbose.contains(line), "{line} is not in {verbose}");
    }
    assert!(!verbose.contains("retry 1 in"), "{verbose}");
    for twice in [&["-v", "-v"][..], &["-vv"]] {
        let all = stderr_of(twice);
        assert!(all.contains("retry 1 in ") && all.contains("SKU A: "), "{all}");
    }
}

#[test]
fn with_json_every_line_parses_the_summary_and_errors_too() {
    let (server, dir) = mixed();
    let ended = fetch(&dir, &server, &["--log-format", "json", "-v", "-v"]).finish().expect_code(1);
    let lines = parsed(&ended);
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events[events.len() - 1]), ("started", "finished"), "{events:?}");
    let first = &lines[0];
    assert_eq!((&first["input"], &first["output"]), (&"products.csv".into(), &"out.json".into()));
    assert_eq!((&first["total"], &first["version"]), (&5.into(), &env!("CARGO_PKG_VERSION").into()));
    humantime::parse_rfc3339(first["began"].as_str().unwrap()).unwrap();
    assert_eq!(events.iter().filter(|event| **event == "job_failed").count(), 3, "{events:?}");
    let last = lines.last().unwrap();
    assert_eq!((&last["rows"], &last["fetched"], &last["failed"]), (&5.into(), &2.into(), &3.into()));
    assert_eq!(last["exit"], 1);
}

#[test]
fn with_json_an_error_before_the_run_is_a_json_line_wherever_the_format_was_set() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,name\nA,x\n");
    let json = |run: Run<'_>, code: i32, what: &str| {
        let lines = parsed(&run.finish().expect_code(code));
        let (error, before) = lines.split_last().unwrap();
        assert_eq!((&error["level"], &error["event"]), (&"error".into(), &"failed".into()));
        assert!(error["message"].as_str().unwrap().contains(what), "{lines:?}");
        // Where the settings could be read, the run is named first.
        assert!(before.len() <= 1 && before.iter().all(|line| line["event"] == "started"), "{lines:?}");
    };
    let run = |args: &[&str]| Run::new(&dir).args(args);
    let there = ["products.csv", "-o", "o.json", "--demo"];
    json(run(&["--log-format", "json", "products.csv"]), 2, "--url is missing");
    json(run(&["--log-format=json", "products.csv", "--raet", "5/s"]), 2, "no option --raet");
    json(run(&["--log-format=json"]), 2, "INPUT is missing");
    json(run(&there).args(["--rate", "5", "--log-format", "json"]), 2, "--rate: ");
    json(run(&there).args(["--log-format", "json", "-k", "nmae"]), 65, "no column is called `nmae`");
    json(run(&["none.csv", "-o", "o.json", "--demo", "--log-format", "json"]), 66, "no such file");
    json(run(&there).args(["--select", ".["]).env("SKUFETCH_LOG_FORMAT", "json"), 2, "--select: ");
    json(run(&[]).env("SKUFETCH_LOG_FORMAT", "json"), 2, "Usage: skufetch");
    dir.write("bad.toml", "[run]\nlog-format = 'json'\nnonsense = 1\n");
    json(run(&there).args(["--config", "bad.toml"]), 78, "bad.toml:3:1: there is no key `nonsense`");
    dir.write("config.toml", "[run]\nlog-format = 'json'\n[pace]\nrate = '5'\n");
    json(run(&there), 78, "config.toml:4:8: rate: ");
    // An option beats the file, also here.
    let ended = run(&there).args(["--log-format", "text"]).finish().expect_code(78);
    assert!(ended.stderr_after_header().starts_with("error: config.toml:4:8: rate: "), "{}", ended.stderr);
}

#[test]
fn with_json_a_run_that_was_stopped_says_so_in_json() {
    let (server, dir) = (ScriptedServer::start(|_| Reply::status(401)), WorkDir::new());
    dir.write_skus((0..40).map(|n| n.to_string()));
    let ended = fetch(&dir, &server, &["--log-format", "json"]).finish().expect_code(77);
    let lines = parsed(&ended);
    let last = &lines[lines.len() - 2..];
    assert_eq!((&last[0]["event"], &last[1]["event"]), (&"finished".into(), &"failed".into()));
    assert_eq!((&last[0]["exit"], &last[0]["published"]), (&77.into(), &false.into()));
    assert!(last[1]["message"].as_str().unwrap().contains("refuses the credentials"), "{lines:?}");
}

#[test]
fn a_run_of_over_ten_seconds_prints_plain_lines_unless_switched_off() {
    let run = |args: &[&str]| {
        let (server, dir) = (ScriptedServer::start(|seen| Reply::echo(seen).wait(MOMENT)), WorkDir::new());
        dir.write_skus((0..12).map(|n| n.to_string()));
        fetch(&dir, &server, &["-c", "1"]).args(args).finish().expect_code(0).stderr
    };
    // Side by side: each takes its eleven seconds.
    std::thread::scope(|scope| {
        let [auto, plain, none] = [&[][..], &["--progress", "plain"], &["--progress", "none"]]
            .map(|args| scope.spawn(move || run(args)));
        for stderr in [auto.join().unwrap(), plain.join().unwrap()] {
            let first = stderr.lines().nth(1).unwrap();
            assert!(first.starts_with("10 s: ") && first.contains(" of 12 ("), "{stderr}");
            assert_eq!(stderr.lines().count(), 5, "{stderr}");
        }
        let stderr = none.join().unwrap();
        assert_eq!(stderr.lines().count(), 4, "{stderr}");
    });
}

/// Twelve of these take over ten seconds.
const MOMENT: Duration = Duration::from_millis(900);

#[test]
fn a_bar_is_not_drawn_where_there_is_no_terminal() {
    let (server, dir) = mixed();
    let ended = fetch(&dir, &server, &["--progress", "bar"]).finish().expect_code(1);
    assert!(!ended.stderr.contains(['\r', '\u{1b}']), "{:?}", ended.stderr);
}

#[test]
fn colour_is_used_only_where_it_is_forced_or_there_is_a_terminal() {
    let dir = WorkDir::new();
    let stderr = |name: &str, value: &str| {
        let args = ["none.csv", "-o", "o.json", "--demo"];
        Run::new(&dir).args(args).env(name, value).finish().expect_code(66).stderr
    };
    assert!(!stderr("TERM", "xterm-256color").contains('\u{1b}'));
    assert!(stderr("CLICOLOR_FORCE", "1").contains("\n\u{1b}[1;31merror:\u{1b}[0m none.csv"));
}

#[test]
fn a_closed_pipe_on_standard_output_is_no_crash() {
    let dir = WorkDir::new();
    for text in ["--help", "-h", "--version"] {
        let ended = Run::new(&dir).args([text]).stdout(closed_pipe()).finish().expect_code(0);
        assert_eq!(ended.stderr, "", "`| head -1` has seen enough");
    }
    let server = ScriptedServer::echo();
    dir.write_skus(["A"]);
    let ended = Run::new(&dir)
        .args(["products.csv", "-o", "-", "-u", &server.url("/{sku}")])
        .stdout(closed_pipe())
        .finish()
        .expect_code(74);
    assert!(ended.stderr.contains("cannot write to standard output: Broken pipe"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[test]
fn a_full_device_as_standard_output_is_a_disk_error() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write_skus(["A"]);
    let args = ["products.csv", "-o", "-", "-u", &server.url("/{sku}")];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = Run::new(&dir).args(args).stdout(full).finish().expect_code(74);
    assert!(ended.stderr.contains("No space left on device"), "{}", ended.stderr);
    let full = File::options().write(true).open("/dev/full").unwrap();
    Run::new(&dir).args(["--help"]).stdout(full).finish().expect_code(74);
}

#[test]
fn a_closed_standard_error_ends_no_run() {
    for args in [&["-vv"][..], &["--log-format", "json", "-vv"], &["--progress", "bar"]] {
        let (server, dir) = mixed();
        fetch(&dir, &server, args).stderr(closed_pipe()).finish().expect_code(1);
        assert!(dir.has("out.json") && dir.has("out.failed.csv"));
        fetch(&dir, &server, args).after_shell("exec 2>&-").finish().expect_code(1);
    }
    let dir = WorkDir::new();
    Run::new(&dir).stderr(closed_pipe()).finish().expect_code(2);
    Run::new(&dir).args(["x.csv", "--nonsense"]).stderr(closed_pipe()).finish().expect_code(2);
}
