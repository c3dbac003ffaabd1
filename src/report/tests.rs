//! The module as the engine sees it: events and ticks in, bytes on standard error out.
//!
//! Long texts are snapshots; `.cargo/config.toml` says how to accept new ones.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::model::{Cause, Event, Exit, Fault, Key, LimitChangeReason, PauseReason, Reporter, StopReason};

const RETRY_AFTER: PauseReason = PauseReason::Refused { status: 429, has_retry_after: true };

#[derive(Clone, Default)]
struct Stderr(Arc<Mutex<Vec<u8>>>);

impl Stderr {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The text, which ends with a line end: a snapshot does not hold that.
    fn whole_lines(&self) -> String {
        let text = self.text();
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text:?}");
        text
    }

    /// The lines as JSON objects, and so a check that each of them is one.
    fn objects(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a terminal of that width shows after all these bytes.
    fn terminal(&self, width: u16) -> String {
        let mut terminal = vt100::Parser::new(24, width, 0);
        // A terminal's line discipline turns a line end into a line end and a carriage return.
        terminal.process(self.text().replace('\n', "\r\n").as_bytes());
        terminal.screen().contents()
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cron() -> ReportSettings {
    ReportSettings {
        progress: ProgressMode::Auto,
        log_format: LogFormat::Text,
        verbose: 0,
        quiet: false,
        terminal: Terminal::absent(),
    }
}

fn by_hand() -> ReportSettings {
    ReportSettings { terminal: Terminal { interactive: true, width: || 80, colour: false }, ..cron() }
}

fn json() -> ReportSettings {
    ReportSettings { log_format: LogFormat::Json, ..cron() }
}

fn report(settings: ReportSettings) -> (Report, Stderr) {
    let stderr = Stderr::default();
    (Report::new(settings, Box::new(stderr.clone())), stderr)
}

fn at(seconds: f64) -> EngineStatus {
    EngineStatus { elapsed: Duration::from_secs_f64(seconds), in_flight: 64, limit: 64, paused: None }
}

fn answered(status: u16, millis: u64) -> Event<'static> {
    static KEY: std::sync::LazyLock<Key> = std::sync::LazyLock::new(|| Key::parse(b"0042").unwrap());
    let latency = Duration::from_millis(millis);
    Event::AttemptAnswered { key: &KEY, line: 17, status, latency, bytes: 1_200 }
}

const FETCHED: Event<'static> = Event::JobFetched { attempts: 1, unchanged: false };

fn fail(report: &Report, line: u64, sku: &str, fault: &Fault) {
    let key = Key::parse(sku.as_bytes()).unwrap();
    let url = format!("http://api.example.com/products/{sku}");
    report.on(&Event::JobFailed { key: Some(&key), line, fault, attempts: 1, url: Some(&url) });
}

fn missing() -> Fault {
    Fault::of_status(404, "")
}

fn late() -> Fault {
    Fault::new(Cause::Timeout, "no answer within 30 s")
}

/// The run of the contract: 6,000 SKUs, six of them failed, 41 retries.
fn play_the_contract(report: &Report) {
    let key = Key::parse(b"9").unwrap();
    let busy = Fault::of_status(503, "");
    for number in 0..5_994u64 {
        report.on(&answered(200, if number % 10 == 0 { 131 } else { 98 }));
        report.on(&FETCHED);
    }
    for attempt in 0..41 {
        report.on(&answered(503, 1));
        let wait = Duration::from_millis(500);
        report.on(&Event::AttemptRetried { key: &key, line: 9, fault: &busy, attempt, wait });
    }
    for (line, sku) in [(40, "0100"), (17, "0042"), (900, "0900"), (901, "0901")] {
        report.on(&answered(404, 98));
        fail(report, line, sku, &missing());
    }
    fail(report, 55, "0055", &late());
    fail(report, 56, "0056", &late());
}

fn contract() -> RunSummary {
    let facts = Facts {
        elapsed: Duration::from_millis(6_300),
        concurrency: ConcurrencyUsed::Auto { max: 64, settled: 64 },
        busy: Duration::from_secs(390),
        waits: BlockedTime::default(),
        rate: None,
        processor: Duration::from_secs(1),
        attempts: 6_041,
        answered: 6_041,
        refused: 41,
        cheap: 0,
        stepped_back: None,
        least: Duration::from_millis(60),
        p50: Duration::from_millis(98),
        p95: Duration::from_millis(131),
        tail: Tail::default(),
    };
    let written = |path: &str, amount| WrittenFile { path: path.into(), amount };
    RunSummary {
        elapsed: facts.elapsed,
        counts: Counts { rows: 6_000, fetched: 5_994, failed: 6, ..Counts::default() },
        written: vec![
            written("out.json", Amount::Bytes(7_300_000)),
            written("out.failed.csv", Amount::Rows(6)),
        ],
        verdict: verdict(&facts),
        exit: Exit::SomeFailed,
        error: None,
        published: true,
        journal_kept: false,
        oldest: None,
        changes: None,
        not_in_input: None,
    }
}

#[test]
fn the_summary_has_the_shape_of_the_contract() {
    let (report, stderr) = report(cron());
    report.started(Some(6_000));
    play_the_contract(&report);
    report.tick(&at(6.2));
    report.finish(&contract());
    assert_snapshot!("summary", stderr.whole_lines());
}

const HEADING: &str = concat!(
    "2026-09-21T14:13:20Z skufetch ",
    env!("CARGO_PKG_VERSION"),
    ": products.csv (6,000 rows) to out.json\n"
);

fn log_header() -> LogHeader {
    let began = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_999);
    LogHeader { began, input: "products.csv".into(), output: "out.json".into() }
}

#[test]
fn in_a_log_the_run_is_named_before_anything_else_and_once() {
    let (log, stderr) = report(ReportSettings { verbose: 2, ..cron() });
    let log = log.with_log_header(log_header(), true);
    log.started(Some(6_000));
    assert_eq!(stderr.text(), HEADING, "before there is anything else");
    log.on(&Event::Warned { message: "odd" });
    log.finish(&RunSummary { exit: Exit::Complete, ..contract() });
    assert!(stderr.text().starts_with(&format!("{HEADING}warning: odd\n")), "{}", stderr.text());
    assert_eq!(stderr.text().matches("skufetch").count(), 1);

    let (log, stderr) = report(cron());
    log.with_log_header(log_header(), true)
        .fail(&ErrorMessage { message: "no".into(), hint: Some("try".into()) });
    let first = HEADING.replace(" (6,000 rows)", "");
    assert_eq!(stderr.text(), format!("{first}error: no\n  hint: try\n"));
}

#[test]
fn a_quiet_run_is_named_only_where_it_says_something() {
    let quiet = ReportSettings { quiet: true, ..cron() };
    for exit in [Exit::Complete, Exit::SomeFailed] {
        let (log, stderr) = report(quiet);
        let log = log.with_log_header(log_header(), true);
        log.started(Some(6_000));
        log.on(&Event::Warned { message: "odd" });
        assert_eq!(stderr.text(), "");
        play_the_contract(&log);
        log.finish(&RunSummary { exit, ..contract() });
        if exit == Exit::Complete {
            assert_eq!(stderr.text(), "");
        } else {
            let text = stderr.whole_lines();
            assert_snapshot!("quiet_summary", text.strip_prefix(HEADING).unwrap());
        }
    }
}

#[test]
fn on_a_terminal_no_run_is_named_and_in_json_lines_each() {
    let (by_hand, stderr) = report(by_hand());
    let by_hand = by_hand.with_log_header(log_header(), false);
    by_hand.started(Some(6_000));
    by_hand.fail(&ErrorMessage { message: "no".into(), hint: None });
    assert_eq!(stderr.text(), "error: no\n");

    let (log, stderr) = report(json());
    let named = LogHeader { input: "a\n\u{202e}b.csv".into(), ..log_header() };
    log.with_log_header(named, false).started(Some(6_000));
    let [first] = &stderr.objects()[..] else { panic!("{}", stderr.text()) };
    assert_eq!(fields_of(first), documented("started"));
    assert_eq!((&first["began"], &first["total"]), (&"2026-09-21T14:13:20.999Z".into(), &6_000.into()));
    assert_eq!((&first["input"], &first["output"]), (&"a\n\u{202e}b.csv".into(), &"out.json".into()));
}

#[test]
fn a_quiet_run_prints_nothing_unless_it_fails() {
    let quiet = ReportSettings { quiet: true, verbose: 2, ..by_hand() };
    let (good, nothing) = report(quiet);
    good.started(Some(1));
    good.on(&Event::Warned { message: "odd" });
    good.on(&Event::Stopping { reason: &StopReason::OutOfTime, drain: None });
    good.on(&Event::PoolPaused { wait: Duration::from_mins(1), reason: RETRY_AFTER });
    good.line(Level::Warning, "odd");
    good.tick(&at(100.0));
    good.finish(&RunSummary { exit: Exit::Complete, ..contract() });
    assert_eq!(nothing.text(), "");

    let (bad, lines) = report(quiet);
    play_the_contract(&bad);
    bad.finish(&contract());
    assert_snapshot!("quiet_summary", lines.whole_lines());
}

#[test]
fn a_stopped_run_says_what_was_kept_and_why_it_stopped() {
    let (report, stderr) = report(cron());
    report.on(&answered(200, 98));
    report.on(&FETCHED);
    report.on(&Event::RowRepeated { line: 4, differs: false });
    report.on(&Event::JobDeferred);
    report.finish(&RunSummary {
        counts: Counts { rows: 3, fetched: 1, repeats: 1, deferred: 1, ..Counts::default() },
        written: Vec::new(),
        verdict: verdict(&Facts { attempts: 1, answered: 1, ..short() }),
        exit: Exit::TryAgain,
        error: Some(ErrorMessage {
            message: "out of time (--max-time 1s)".into(),
            hint: Some("run it again".into()),
        }),
        published: false,
        journal_kept: true,
        oldest: None,
        changes: None,
        not_in_input: None,
        elapsed: Duration::from_secs(1),
    });
    assert_snapshot!("stopped_run", stderr.whole_lines());
}

fn short() -> Facts {
    Facts {
        elapsed: Duration::from_secs(1),
        concurrency: ConcurrencyUsed::Fixed(1),
        busy: Duration::ZERO,
        waits: BlockedTime::default(),
        rate: None,
        processor: Duration::ZERO,
        attempts: 0,
        answered: 0,
        refused: 0,
        cheap: 0,
        stepped_back: None,
        least: Duration::ZERO,
        p50: Duration::ZERO,
        p95: Duration::ZERO,
        tail: Tail::default(),
    }
}

#[test]
fn the_summary_tells_recovered_unchanged_and_differing_rows() {
    let (report, stderr) = report(cron());
    for line in 1..=10 {
        report.on(&Event::RowRepeated { line, differs: line != 5 });
    }
    report.finish(&RunSummary {
        counts: Counts {
            rows: 22,
            fetched: 9,
            unchanged: 3,
            repeats: 10,
            recovered: 9,
            blanks: 2,
            bad_rows: 0,
            failed: 0,
            deferred: 0,
        },
        verdict: verdict(&short()),
        exit: Exit::Complete,
        elapsed: Duration::from_millis(40),
        ..contract()
    });
    assert_snapshot!("recovered_unchanged_and_differing_rows", stderr.whole_lines());
}

#[test]
fn many_causes_are_cut_to_the_most_frequent() {
    let (report, stderr) = report(cron());
    for status in 400..420u16 {
        for line in 0..=u64::from(420 - status) {
            fail(&report, line, "1", &Fault::of_status(status, "no"));
        }
    }
    report.finish(&RunSummary {
        counts: Counts { rows: 230, failed: 230, ..Counts::default() },
        exit: Exit::Unavailable,
        ..contract()
    });
    assert_snapshot!("many_causes", stderr.whole_lines());
}

#[test]
fn from_cron_a_short_run_prints_its_summary_alone_and_a_long_one_a_line_every_ten_seconds() {
    let (report, stderr) = report(cron());
    report.started(Some(6_000));
    for tenth in 0..100 {
        report.tick(&at(f64::from(tenth) / 10.0));
    }
    assert_eq!(stderr.text(), "");
    report.on(&FETCHED);
    for tenth in 100..=305 {
        report.tick(&at(f64::from(tenth) / 10.0));
    }
    let text = stderr.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("10 s: 1 of 6,000 (0 %) · 6.0/min · 64 in flight · "), "{text}");
    assert!(lines[2].starts_with("30 s: "), "{text}");
}

#[test]
fn with_progress_none_a_long_run_prints_nothing_before_its_summary() {
    let (report, stderr) = report(ReportSettings { progress: ProgressMode::None, ..by_hand() });
    report.tick(&at(5.0));
    report.tick(&at(50.0));
    assert_eq!(stderr.text(), "");
}

#[test]
fn the_bar_stands_on_one_line_and_steps_aside_for_warnings() {
    let (report, stderr) = report(by_hand());
    report.started(Some(6_000));
    report.tick(&at(0.1));
    for _ in 0..3_000 {
        report.on(&FETCHED);
    }
    report.tick(&at(3.0));
    report.on(&Event::Warned { message: "SKU 1.23E+12 looks like a spreadsheet's rounding" });
    report.on(&Event::Warned { message: "SKU 1.23E+12 looks like a spreadsheet's rounding" });
    report.on(&Event::PoolPaused { wait: Duration::from_secs(12), reason: RETRY_AFTER });
    let paused = Some((Duration::from_millis(11_200), RETRY_AFTER));
    report.tick(&EngineStatus { in_flight: 0, paused, ..at(3.8) });
    let shown = stderr.terminal(80);
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert_snapshot!("bar_below_lines", lines.join("\n"));
}

#[test]
fn a_bar_moves_with_every_tick_though_some_come_a_hair_early() {
    let (report, stderr) = report(by_hand());
    report.started(Some(6_000));
    for (micros, drawn) in [(50_900, 1), (100_100, 2), (150_800, 3), (160_000, 3), (200_050, 4)] {
        report.on(&FETCHED);
        report.tick(&EngineStatus { elapsed: Duration::from_micros(micros), ..at(0.0) });
        assert_eq!(stderr.text().matches("/6,000").count(), drawn, "at {micros} µs");
    }
}

/// What a terminal that wraps what is on it shows once it is narrower, and where its cursor then is.
fn narrowed(wide: &vt100::Parser, width: u16) -> vt100::Parser {
    let (row, column) = wide.screen().cursor_position();
    let (mut bytes, mut shift) = (String::new(), 0);
    for (place, line) in wide.screen().contents().lines().enumerate() {
        let line = line.trim_end();
        bytes.push_str(if place > 0 { "\r\n" } else { "" });
        bytes.push_str(line);
        let more = u16::try_from(line.chars().count().saturating_sub(1)).unwrap() / width;
        shift += if place < row.into() { more } else { 0 };
    }
    let row = row + shift + column / width;
    let mut narrow = vt100::Parser::new(24, width, 0);
    narrow.process(format!("{bytes}\x1b[{};{}H", row + 1, column % width + 1).as_bytes());
    narrow
}

#[test]
fn nothing_of_a_bar_stays_when_the_window_shrinks_and_no_line_above_it_goes() {
    static WIDTH: AtomicU16 = AtomicU16::new(200);
    let terminal = Terminal { width: || WIDTH.load(Ordering::Relaxed), ..by_hand().terminal };
    let (report, stderr) = report(ReportSettings { terminal, ..by_hand() });
    report.started(Some(6_000));
    report.line(Level::Info, "a line above");
    let mut screen = vt100::Parser::new(24, 200, 0);
    let mut seen = 0;
    for (second, width) in [200u16, 100, 80, 60, 40, 20].into_iter().enumerate() {
        WIDTH.store(width, Ordering::Relaxed);
        if second > 0 {
            screen = narrowed(&screen, width);
        }
        report.on(&FETCHED);
        report.tick(&at(1.0 + second as f64));
        let text = stderr.text();
        screen.process(text[seen..].replace('\n', "\r\n").as_bytes());
        seen = text.len();
        let shown = screen.screen().contents();
        assert_eq!(shown.lines().count(), 2, "at {width}:\n{shown}");
        assert!(shown.starts_with("a line above\n") && shown.contains("/6,000"), "at {width}:\n{shown}");
    }
}

#[test]
fn a_bar_is_cut_where_the_window_is_narrower_than_is_known() {
    let (report, stderr) = report(by_hand());
    report.started(Some(6_000));
    report.tick(&at(1.0));
    let text = stderr.text();
    let (before, rest) = text.split_once("\x1b[?7l").unwrap();
    assert!(!before.contains("6,000"), "{text:?}");
    let (line, after) = rest.split_once("\x1b[?7h").unwrap();
    assert!(line.contains("/6,000") && !line.contains(['\n', '\x1b']), "{text:?}");
    assert_eq!(after, "\r", "{text:?}");
}

#[test]
fn the_bar_is_gone_when_the_summary_is_printed() {
    for width in [80u16, 200, 30] {
        let terminal = Terminal {
            width: match width {
                80 => || 80,
                200 => || 200,
                _ => || 30,
            },
            ..by_hand().terminal
        };
        let (report, stderr) = report(ReportSettings { terminal, ..by_hand() });
        report.started(Some(6_000));
        for tenth in 0..30 {
            report.tick(&at(f64::from(tenth) / 10.0));
            report.on(&FETCHED);
        }
        report.line(Level::Info, "a line that is longer than thirty columns are wide, and wraps");
        report.tick(&at(3.0));
        report.finish(&contract());
        report.tick(&at(99.0));
        let shown = stderr.terminal(width);
        assert!(!shown.contains('█') && !shown.contains('░'), "{shown}");
        assert!(shown.replace('\n', "").starts_with("a line that is longer"), "{shown}");
        assert_eq!(shown.matches("SKUs in 6.3 s").count(), 1, "{shown}");
    }
}

#[test]
fn a_bar_dropped_without_a_summary_leaves_a_clean_line() {
    let (report, stderr) = report(by_hand());
    report.started(Some(10));
    report.tick(&at(0.1));
    drop(report);
    assert_eq!(stderr.terminal(80).trim(), "");
}

#[test]
fn a_warning_is_printed_once_and_a_flood_of_them_is_counted() {
    let (report, stderr) = report(cron());
    for number in 0..150 {
        report.on(&Event::Warned { message: &format!("thing {number}") });
        report.on(&Event::Warned { message: "thing 0" });
    }
    report.finish(&contract());
    let text = stderr.text();
    assert_eq!(text.matches("warning: thing 0\n").count(), 1);
    assert_eq!(text.matches("warning: thing").count(), 100);
    assert!(text.contains("warning: 50 further warnings were not shown; -v shows all\n"), "{text}");
}

#[test]
fn pauses_fill_no_log_and_the_first_is_told_when_it_begins() {
    let (report, stderr) = report(cron());
    let pause =
        |millis, reason| report.on(&Event::PoolPaused { wait: Duration::from_millis(millis), reason });
    pause(300, RETRY_AFTER);
    report.tick(&at(1.0));
    pause(1_000, RETRY_AFTER);
    for second in 2..180u32 {
        report.tick(&at(f64::from(second)));
        (0..64).for_each(|_| pause(6_000, RETRY_AFTER));
    }
    let text = stderr.text();
    let pauses: Vec<&str> = text.lines().filter(|line| line.starts_with("paused")).collect();
    assert_eq!(pauses.len(), 3, "{text}");
    assert_eq!(pauses[0], "paused 1 s: 429 with Retry-After", "no count of what was never told");
    assert!(pauses[1].starts_with("paused 6 s: 429 with Retry-After (3 pauses so far, "), "{text}");
    // Much longer than what was told: that is news at any time.
    pause(300_000, PauseReason::Refused { status: 503, has_retry_after: true });
    pause(300_100, PauseReason::Refused { status: 503, has_retry_after: true });
    let text = stderr.text();
    assert_eq!(text.matches("paused 5 min: 503 with Retry-After").count(), 1, "{text}");
}

#[test]
fn verbose_tells_failures_limits_and_grouped_retries() {
    let (report, stderr) = report(ReportSettings { verbose: 1, ..cron() });
    report.started(None);
    play_the_contract(&report);
    report.on(&Event::LimitChanged { limit: 32, reason: LimitChangeReason::ThroughputGrows });
    report.on(&Event::PoolPaused { wait: Duration::from_secs(1), reason: PauseReason::Outage });
    report.on(&Event::PoolResumed);
    report.tick(&at(10.0));
    let text = stderr.text();
    for line in [
        "started: rows as they come",
        "failed: line 17, SKU 0042: 404 from http://api.example.com/products/0042: Not Found",
        "concurrency 32: throughput grows",
        "paused 1 s: the API keeps failing",
        "resumed",
        "41 retries: 41 HTTP 503",
    ] {
        assert_eq!(text.lines().filter(|shown| *shown == line).count(), 1, "{line}\n{text}");
    }
    assert!(!text.contains("retry 1 in"));
}

#[test]
fn twice_verbose_tells_every_retry() {
    let (report, stderr) = report(ReportSettings { verbose: 2, ..cron() });
    play_the_contract(&report);
    report.tick(&at(10.0));
    let text = stderr.text();
    assert_eq!(text.matches(" in 500 ms: line 9, SKU 9: HTTP 503 Service Unavailable").count(), 41, "{text}");
    assert!(!text.contains("41 retries: "), "{text}");
}

/// The fields that `docs/messages.md` names for an event, those inside other fields apart.
fn documented(event: &str) -> std::collections::BTreeSet<String> {
    let page = include_str!("../../docs/messages.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| `{event}`")));
    let row = row.unwrap_or_else(|| panic!("{event} is not documented"));
    let (_, fields) = row[2..].split_once('|').unwrap();
    let mut depth = 0u32;
    let outer: String = fields
        .chars()
        .filter(|c| {
            depth += u32::from(matches!(c, '[' | '{'));
            let outside = depth == 0;
            depth -= u32::from(matches!(c, ']' | '}'));
            outside
        })
        .collect();
    outer.split('`').skip(1).step_by(2).map(String::from).collect()
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn fields_of(object: &Value) -> std::collections::BTreeSet<String> {
    let everywhere = ["time", "level", "event", "message"];
    let names = object.as_object().unwrap().keys();
    names.filter(|name| !everywhere.contains(&name.as_str())).cloned().collect()
}

#[test]
fn every_json_line_is_an_object_with_time_level_event_and_message() {
    let (report, stderr) = report(ReportSettings { verbose: 2, ..json() });
    report.started(Some(6_000));
    play_the_contract(&report);
    report.on(&Event::Warned { message: "odd" });
    report.on(&Event::Stopping { reason: &StopReason::Signal(2), drain: Some(Duration::from_secs(10)) });
    report.on(&Event::LimitChanged { limit: 3, reason: LimitChangeReason::SomeRefused });
    report.on(&Event::PoolPaused { wait: Duration::from_secs(7), reason: RETRY_AFTER });
    report.on(&Event::PoolResumed);
    report.line(Level::Info, "a note");
    report.tick(&at(10.0));
    let error = Some(ErrorMessage { message: "two\nlines".into(), hint: None });
    report.finish(&RunSummary { error, ..contract() });
    let objects = stderr.objects();
    for object in &objects {
        for field in ["time", "level", "event", "message"] {
            assert!(object[field].is_string(), "{object}");
        }
    }
    let events: std::collections::BTreeSet<&str> =
        objects.iter().map(|object| object["event"].as_str().unwrap()).collect();
    assert_eq!(
        events.into_iter().collect::<Vec<_>>(),
        [
            "attempt_retried",
            "failed",
            "finished",
            "job_failed",
            "limit_changed",
            "noted",
            "pool_paused",
            "pool_resumed",
            "progressed",
            "started",
            "stopping",
            "warned",
        ]
    );
    for object in &objects {
        assert_eq!(fields_of(object), documented(object["event"].as_str().unwrap()), "{object}");
    }
    let finished = objects.iter().find(|object| object["event"] == "finished").unwrap();
    let timeless = Value::Object(
        finished.as_object().unwrap().iter().filter(|(name, _)| *name != "time").map(owned).collect(),
    );
    assert_snapshot!("finished_record", serde_json::to_string_pretty(&timeless).unwrap());
}

#[test]
fn json_from_cron_with_everything_well_is_the_summary_alone() {
    for (settings, lines) in [(json(), 1), (ReportSettings { quiet: true, ..json() }, 0)] {
        let (report, stderr) = report(settings);
        report.started(Some(1));
        report.on(&FETCHED);
        report.tick(&at(0.1));
        report.finish(&RunSummary { exit: Exit::Complete, ..contract() });
        assert_eq!(stderr.objects().len(), lines);
    }
}

#[test]
fn an_error_says_what_and_what_to_do() {
    assert_eq!(
        error(
            "no column `id` (products.csv, line 1)",
            Some("there are `sku` and `name`"),
            LogFormat::Text,
            false
        ),
        "error: no column `id` (products.csv, line 1)\n  hint: there are `sku` and `name`\n"
    );
    assert_eq!(
        error("no", Some("try"), LogFormat::Text, true),
        "\x1b[1;31merror:\x1b[0m no\n  \x1b[1;36mhint:\x1b[0m try\n"
    );
    let object: Value = serde_json::from_str(&error("no", Some("try"), LogFormat::Json, true)).unwrap();
    assert_eq!((&object["event"], &object["hint"]), (&"failed".into(), &"try".into()));
}

#[test]
fn a_run_without_a_row_ends_with_its_error_alone() {
    let (report, stderr) = report(cron());
    report.finish(&RunSummary {
        counts: Counts::default(),
        written: Vec::new(),
        exit: Exit::Data,
        error: Some(ErrorMessage { message: "products.csv has no data row".into(), hint: None }),
        published: false,
        ..contract()
    });
    assert_eq!(stderr.text(), "error: products.csv has no data row\n");
}

#[test]
fn a_line_end_in_a_warning_forges_no_line() {
    let (report, stderr) = report(cron());
    report.on(&Event::Warned { message: "odd\nerror: the API is gone" });
    report.line(Level::Info, "a\r\nb");
    assert_eq!(stderr.text(), "warning: odd\\u{a}error: the API is gone\na\\u{d}\\u{a}b\n");
}

#[test]
fn a_run_that_is_broken_off_leaves_no_bar() {
    let (report, stderr) = report(by_hand());
    report.started(Some(5));
    report.tick(&at(0.1));
    assert!(stderr.terminal(80).contains("0/5"));
    report.abandon();
    report.tick(&at(0.9));
    assert_eq!(stderr.terminal(80).trim(), "");
}

#[test]
fn a_report_can_be_told_from_several_threads() {
    let (report, _) = report(by_hand());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for tenth in 0..250 {
                    report.on(&FETCHED);
                    report.on(&Event::Warned { message: "again" });
                    report.tick(&at(f64::from(tenth) / 10.0));
                }
            });
        }
    });
    assert_eq!(report.stats().counters.fetched, 1_000);
}

/// Characters that act on a terminal, or that hide and reorder what stands around them.
fn acts(c: char) -> bool {
    c != '\n'
        && (c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(
            prop_oneof![
                Just('\u{1b}'),
                Just('\r'),
                Just('\n'),
                Just('\u{9b}'),
                Just('\u{202e}'),
                Just('\u{7f}'),
                Just('a')
            ],
            0..12
        )
        .prop_map(String::from_iter),
    ]
}

proptest! {
    #[test]
    fn nothing_foreign_acts_on_a_terminal(
        (sku, detail, url, why) in (hostile(), hostile(), hostile(), hostile()),
        as_json: bool,
    ) {
        let (report, stderr) = report(ReportSettings { verbose: 2, ..if as_json { json() } else { cron() } });
        let key = Key::parse(format!("k{sku}").as_bytes()).unwrap();
        let fault = Fault::of_status(500, detail.clone());
        let wait = Duration::from_secs(9);
        report.on(&Event::AttemptRetried { key: &key, line: 2, fault: &fault, attempt: 1, wait });
        report.on(&Event::JobFailed { key: Some(&key), line: 2, fault: &fault, attempts: 2, url: Some(&url) });
        report.on(&Event::Warned { message: &detail });
        let written = vec![WrittenFile { path: url, amount: Amount::Rows(1) }];
        let error = Some(ErrorMessage { message: detail, hint: Some(why) });
        report.finish(&RunSummary { written, error, ..contract() });
        let text = stderr.text();
        prop_assert!(!text.contains(acts), "{:?}", text);
        if as_json {
            stderr.objects();
        }
    }

    #[test]
    fn a_bar_survives_any_width(width in 0u16..300, done in 0u64..100) {
        // Widths are told by a function without state, so this one reads the case's width from a thread-local.
        thread_local!(static WIDTH: std::cell::Cell<u16> = const { std::cell::Cell::new(0) });
        WIDTH.set(width);
        let terminal = Terminal { interactive: true, width: || WIDTH.get(), colour: true };
        let (report, stderr) = report(ReportSettings { terminal, ..by_hand() });
        report.started(Some(50));
        for _ in 0..done {
            report.on(&FETCHED);
        }
        report.tick(&at(1.0));
        report.tick(&EngineStatus { paused: Some((Duration::from_secs(3), RETRY_AFTER)), ..at(2.0) });
        report.line(Level::Warning, "beside it");
        report.finish(&contract());
        let told = stderr.text().contains("warning:\x1b[0m beside it\n");
        prop_assert!(told);
    }

    #[test]
    fn the_numbers_of_the_summary_add_up_to_the_rows(
        (fetched, unchanged, failed) in (0u64..3_000, 0u64..3_000, 0u64..3_000),
        (repeats, deferred, bad) in (0u64..3_000, prop_oneof![Just(0), 1u64..3_000], 0u64..3_000),
    ) {
        let bad_rows = bad.min(failed);
        let rows = fetched + unchanged + failed + repeats + deferred;
        let counts =
            Counts { rows, fetched, unchanged, failed, repeats, deferred, bad_rows, ..Counts::default() };
        let (report, stderr) = report(cron());
        report.finish(&RunSummary { counts, ..contract() });
        let text = stderr.text().replace([',', '('], "");
        let headline = text.lines().next().unwrap();
        let number = |word: &str| {
            let words: Vec<&str> = headline.split(' ').collect();
            let place = words.iter().position(|shown| shown.starts_with(word));
            place.map_or(0, |place| words[place - 1].parse::<u64>().unwrap())
        };
        let told = number("fetched") + number("unchanged") + number("failed") + number("deferred");
        prop_assert_eq!(told + number("repeat"), rows);
        if deferred == 0 {
            prop_assert_eq!(told, number("SKU") + bad_rows);
            prop_assert!(number("row") == rows || number("SKU") == rows);
        } else {
            prop_assert_eq!(number("row"), rows);
        }
    }
}
