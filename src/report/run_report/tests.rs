//! The three documents of one run, read back: they agree, they are well formed, and nothing foreign acts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::Value;

use super::chart::Hue;
use super::read_page::read_page;
use super::*;
use crate::limit::LearnedLimit;
use crate::model::QuotaSize;
use crate::model::{Cause, Event, Exit, Fault, Key, PauseReason, Reporter};
use crate::report::verdict::LimitedBy;
use crate::report::{
    Amount, ApiLimits, Changes, Counts, EngineStatus, ErrorMessage, LogFormat, ProgressMode, Report,
    ReportSettings, RunSummary, RunVerdict, Terminal, WrittenFile,
};

const RETRY_AFTER: PauseReason = PauseReason::Refused { status: 429, has_retry_after: true };

fn report() -> Report {
    let settings = ReportSettings {
        progress: ProgressMode::None,
        log_format: LogFormat::Text,
        verbose: 0,
        quiet: true,
        terminal: Terminal::absent(),
    };
    Report::new(settings, Box::new(std::io::sink())).with_history()
}

fn at(millis: u64, paused: bool) -> EngineStatus {
    let paused = paused.then_some((Duration::from_secs(1), RETRY_AFTER));
    EngineStatus { elapsed: Duration::from_millis(millis), in_flight: 8, limit: 16, paused, learned: None }
}

fn subject() -> RunDescription {
    let setting = |name, value: Option<&str>| ShownSetting {
        table: "pace",
        name,
        value: value.map(str::to_owned),
        set_by: SettingOrigin::Option,
    };
    RunDescription {
        input: "products.csv".into(),
        output: ShownOutput::File { given: "out.json".into(), absolute: "/srv/out.json".into() },
        request: "GET http://api.example.com/p/{sku}".into(),
        settings: vec![setting("rate", Some("5/s")), setting("burst", None)],
        began: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
    }
}

fn summary(counts: Counts) -> RunSummary {
    let written = |path: &str, amount| WrittenFile { path: path.into(), amount };
    RunSummary {
        elapsed: Duration::from_secs(3),
        counts,
        written: vec![written("out.json", Amount::Bytes(7_300)), written("out.failed.csv", Amount::Rows(1))],
        verdict: RunVerdict { limit: LimitedBy::Concurrency, text: "the API's latency".into() },
        limits: ApiLimits {
            in_flight: Some(10),
            learned: Some(LearnedLimit::Window { capacity: 100, period: Duration::from_mins(1) }),
            refused: 2,
            announced: Some(QuotaSize { limit: 100.0, window: None }),
            connections: Some(20),
        },
        exit: Exit::SomeFailed,
        error: None,
        published: true,
        journal_kept: false,
        oldest: None,
        changes: Some(Changes { added: 1, removed: 2, changed: 3, failed: 4 }),
        not_in_input: None,
    }
}

/// 1,000 SKUs in three seconds, one in a hundred retried, two failed, one repeated, in the middle a pause.
fn play(report: &Report) -> RunSummary {
    let busy = Fault::of_status(503, "");
    let missing = Fault::of_status(404, "");
    for number in 0..1_000u64 {
        let key = Key::parse(format!("S{number}").as_bytes()).unwrap();
        let line = number + 2;
        let answered = |status, millis| Event::AttemptAnswered {
            key: &key,
            line,
            status,
            latency: Duration::from_millis(millis),
            bytes: 100,
        };
        if number % 400 == 3 && number < 800 {
            let fault = Fault::new(Cause::Status(429), "HTTP 429").with_status(429);
            let (wait, is_refusal) = (Duration::ZERO, true);
            report.on(&answered(429, 5));
            report.on(&Event::AttemptRetried {
                key: &key,
                line,
                fault: &fault,
                attempt: 1,
                wait,
                is_refusal,
            });
        }
        if number % 100 == 0 {
            report.on(&answered(503, 5));
            let wait = Duration::from_millis(10);
            report.on(&Event::AttemptRetried {
                key: &key,
                line,
                fault: &busy,
                attempt: 1,
                wait,
                is_refusal: false,
            });
        }
        let fails = number % 500 == 7;
        report.on(&answered(if fails { 404 } else { 200 }, 20 + number % 30));
        report.on(&if fails {
            let url = Some("http://api.example.com/p/S7");
            Event::JobFailed { key: Some(&key), line, fault: &missing, attempts: 1, url, is_companion: false }
        } else {
            Event::JobFetched { attempts: 1, unchanged: false }
        });
        if number == 500 {
            report.on(&Event::PoolPaused { wait: Duration::from_secs(1), reason: RETRY_AFTER });
        }
        report.tick(&at(3 * (number + 1), (500..600).contains(&number)));
    }
    report.on(&Event::RowRepeated { line: 1_002, differs: false });
    summary(Counts { rows: 1_001, fetched: 998, failed: 2, repeats: 1, ..Counts::default() })
}

fn json_of(report: &Report, summary: &RunSummary) -> Value {
    serde_json::from_str(&report.document(ReportFormat::Json, &subject(), summary, None)).unwrap()
}

#[test]
fn endings_decide_and_others_are_none() {
    for (name, kind) in [
        ("a.json", Some(ReportFormat::Json)),
        ("/x/a.html", Some(ReportFormat::Html)),
        ("a.b.prom", Some(ReportFormat::Prom)),
        ("a.JSON", None),
        (".json", None),
        ("json", None),
        ("a.htm", None),
        ("a.json.gz", None),
    ] {
        assert_eq!(ReportFormat::of(&PathBuf::from(name)), kind, "{name}");
    }
}

#[test]
fn the_json_has_the_summary_under_its_names_and_its_sums_agree() {
    let report = report();
    let summary = play(&report);
    let read = json_of(&report, &summary);
    assert_eq!((&read["schema"], &read["version"]), (&"skufetch.run".into(), &1.into()));
    assert_eq!((&read["rows"], &read["exit"]), (&1_001.into(), &1.into()));
    assert_eq!(read["began"], "2026-09-21T14:13:20.000Z");
    let sum = |name: &str| -> u64 {
        read["timeline"].as_array().unwrap().iter().map(|slice| slice[name].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("answers"), sum("fetched"), sum("failed"), sum("retries")), (1_012, 998, 2, 10));
    assert_eq!((sum("done"), sum("bytes")), (1_001, read["bytes"].as_u64().unwrap()));
    let counted = |list: &Value| -> u64 {
        list.as_array().unwrap().iter().map(|item| item["count"].as_u64().unwrap()).sum()
    };
    assert_eq!(counted(&read["latency"]["histogram"]), 1_012);
    for step in read["latency"]["histogram"].as_array().unwrap() {
        assert!(step["from_ms"].as_f64() < step["to_ms"].as_f64(), "{step}");
    }
    assert_eq!(counted(&read["causes"]), 2);
    assert_eq!(counted(&read["retried"]), read["retries"].as_u64().unwrap());
    assert_eq!((counted(&read["refused_by"]), &read["refused"]), (2, &2.into()));
    let limit = serde_json::json!({"rate": "100/m", "per_s": 1.6667, "capacity": 100, "period_s": 60.0});
    assert_eq!((&read["learned_limit"], &read["served_connections"]), (&limit, &20.into()));
    assert_eq!(read["quota"], serde_json::json!({"limit": 100.0, "window_s": null}));
    let statuses = read["statuses"].as_object().unwrap();
    assert_eq!(statuses.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 1_012);
    assert_eq!(read["slowest"].as_array().unwrap().len(), 10);
    assert_eq!(read["slowest"][0]["latency_ms"], 49.0);
    assert_eq!(read["paused"][0]["why"], "429 with Retry-After");
    let paused: f64 =
        read["timeline"].as_array().unwrap().iter().map(|s| s["paused_s"].as_f64().unwrap()).sum();
    assert!((paused - 0.3).abs() < 0.01, "{paused}");
    assert_eq!(read["settings"]["pace"]["rate"], serde_json::json!({"value": "5/s", "set_by": "option"}));
    assert_eq!(read["settings"]["pace"]["burst"]["value"], Value::Null);
}

#[test]
fn every_name_is_described_in_the_docs() {
    let docs = include_str!("../../../docs/report.md");
    let report = report();
    let summary = play(&report);
    let read = json_of(&report, &summary);
    let slice = &read["timeline"][0];
    for object in [&read, slice, &read["latency"], &read["latency"]["histogram"][0], &read["slowest"][0]] {
        for name in object.as_object().unwrap().keys() {
            assert!(docs.contains(&format!("`{name}`")), "{name}");
        }
    }
    let metrics = report.document(ReportFormat::Prom, &subject(), &summary, None);
    let names: Vec<_> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(names.len() == 25, "{names:?}");
    for line in names {
        let (name, _) = line.split_once(' ').unwrap();
        assert!(docs.contains(&format!("`{name}`")), "{name}");
    }
    let described = docs.split('`').filter(|word| word.starts_with("skufetch_")).collect::<Vec<_>>();
    for name in described {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} is described and not there");
    }
}

#[test]
fn every_name_of_the_finished_line_is_in_the_json() {
    let report = report();
    let summary = play(&report);
    let read = json_of(&report, &summary);
    let fields = crate::report::summary::fields::fields(&summary, &report.stats());
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&read[name], value, "{name}");
    }
}

/// Every sample by name and labels. Panics where the text is not that of the format.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let (mut helped, mut typed) = (Vec::new(), Vec::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, sentence) = help.split_once(' ').unwrap();
            assert!(sentence.ends_with('.') && !helped.contains(&name), "{line}");
            helped.push(name);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(matches!(kind, "gauge" | "summary") && helped.last() == Some(&name), "{line}");
            typed.push(name);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap();
            let metric = typed.last().unwrap();
            assert!(
                name == *metric
                    || [format!("{metric}_sum"), format!("{metric}_count")].contains(&name.to_owned())
            );
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            check_labels(labels.strip_suffix('}').unwrap());
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    samples
}

/// `name="value",…`, in whose values only `\\`, `\"` and `\n` begin with a backslash.
fn check_labels(labels: &str) {
    let mut rest = labels;
    loop {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()), "{labels}");
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next() {
                Some((at, '"')) => break at,
                Some((_, '\\')) => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n'))), "{labels}"),
                Some((_, c)) => assert!(!c.is_control(), "{labels}"),
                None => panic!("{labels}"),
            }
        };
        match after[end + 1..].strip_prefix(',') {
            Some(more) => rest = more,
            None => break assert_eq!(&after[end + 1..], ""),
        }
    }
}

#[test]
fn the_metrics_are_of_the_format_and_their_sums_agree() {
    let report = report();
    let summary = play(&report);
    let text = report.document(ReportFormat::Prom, &subject(), &summary, None);
    let samples = samples(&text);
    let of = |series: &str| samples[&format!("skufetch_{series}")];
    let output = "output=\"/srv/out.json\"";
    let rows: f64 =
        samples.iter().filter(|(name, _)| name.starts_with("skufetch_run_rows{")).map(|(_, n)| n).sum();
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}\n{text}");
    near(rows, 1_001.0);
    near(of(&format!("run_rows{{{output},outcome=\"fetched\"}}")), 998.0);
    near(of(&format!("run_failed_rows{{{output},cause=\"not found\"}}")), 2.0);
    near(of(&format!("run_answers{{{output},status=\"503\"}}")), 10.0);
    near(of(&format!("run_retries{{{output},cause=\"HTTP 503\"}}")), 10.0);
    near(of(&format!("run_exit_code{{{output}}}")), 1.0);
    near(of(&format!("run_output_bytes{{{output}}}")), 7_300.0);
    near(of(&format!("run_start_timestamp_seconds{{{output}}}")), 1_790_000_000.0);
    near(of(&format!("run_latency_seconds_count{{{output}}}")), 1_012.0);
    assert!((of(&format!("run_latency_seconds{{{output},quantile=\"1\"}}")) - 0.049).abs() < 1e-4);
}

#[test]
fn the_last_success_outlives_a_failed_run_and_a_file_of_others() {
    let report = report();
    let good = play(&report);
    let name = "skufetch_last_success_timestamp_seconds{output=\"/srv/out.json\"}";
    let first = report.document(ReportFormat::Prom, &subject(), &good, None);
    let success = samples(&first)[name];
    assert!(success > 1_700_000_000.0);
    let bad = RunSummary { published: false, exit: Exit::Unavailable, ..good };
    let second = report.document(ReportFormat::Prom, &subject(), &bad, Some(&first));
    assert!((samples(&second)[name] - success).abs() < 1e-3);
    let third = report.document(ReportFormat::Prom, &subject(), &bad, Some(&second));
    assert!((samples(&third)[name] - success).abs() < 1e-3);
    for before in
        ["", "nonsense", &format!("{name} NaN"), &format!("{name} x\n"), &second.replace("/srv", "/x")]
    {
        let text = report.document(ReportFormat::Prom, &subject(), &bad, Some(before));
        assert!(!samples(&text).contains_key(name), "{before}");
    }
}

#[test]
fn the_page_is_whole_needs_nothing_else_and_shows_what_the_run_was() {
    let report = report();
    let summary = play(&report);
    let page = report.document(ReportFormat::Html, &subject(), &summary, None);
    let text = read_page(&page);
    for part in [
        "out.json",
        "published, some failed",
        "1,000 SKUs (1,001 rows) in 3.0 s: 998 fetched, 2 failed (2 not found), 1 repeat",
        "the API's latency",
        "line 9, SKU S7: 404 from http://api.example.com/p/S7: Not Found",
        "All of them: out.failed.csv",
        "Slowest answers",
        "429 with Retry-After",
        "HTTP 503",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for chart in ["Progress", "Throughput", "Latency", "Concurrency"] {
        assert!(page.contains(&format!("aria-label=\"{chart} over time\"")), "{chart}");
    }
    for shaded in ["Throughput", "Latency", "Concurrency"] {
        let figure = page.split(&format!("<h2>{shaded}</h2>")).nth(1).unwrap();
        assert!(figure.split("<svg").next().unwrap().contains("paused"), "{shaded}: {figure}");
    }
    assert_eq!(page.matches("<svg").count(), 5);
}

#[test]
fn a_tail_of_few_answers_is_one_line_and_only_a_pause_parts_it() {
    let latencies = |pauses: bool| {
        let report = report();
        let key = Key::parse(b"1").unwrap();
        for step in 1..=100u64 {
            let busy = step <= 40 || (step > 60 && step % 7 == 0);
            for _ in 0..(if step <= 40 { 30 } else { u64::from(busy) }) {
                let latency = Duration::from_millis(30);
                report.on(&Event::AttemptAnswered { key: &key, line: 2, status: 200, latency, bytes: 1 });
                report.on(&Event::JobFetched { attempts: 1, unchanged: false });
            }
            report.tick(&at(step * 100, pauses && (41..=60).contains(&step)));
        }
        let counts = Counts { rows: 1_205, fetched: 1_205, ..Counts::default() };
        let page = report.document(ReportFormat::Html, &subject(), &summary(counts), None);
        let chart = page.split("aria-label=\"Latency over time\"").nth(1).unwrap();
        let chart = chart.split("</svg>").next().unwrap();
        assert!(!chart.contains("<circle"), "a scrap: {chart}");
        chart.matches(&format!("stroke=\"{}\"", Hue::First.attribute())).count()
    };
    assert_eq!((latencies(false), latencies(true)), (1, 2));
}

#[test]
fn cards_of_different_height_are_in_columns_and_defaults_apart_from_what_was_set() {
    let report = report();
    let summary = play(&report);
    let setting = |name, set_by| ShownSetting { table: "pace", name, value: Some("5/s".into()), set_by };
    let settings = vec![setting("rate", SettingOrigin::File), setting("max-time", SettingOrigin::Default)];
    let page = report.document(ReportFormat::Html, &RunDescription { settings, ..subject() }, &summary, None);
    let between = |from: &str, to: &str| page.split(from).nth(1).unwrap().split(to).next().unwrap();
    assert_eq!(between("class=\"pairs\"", "class=\"columns\"").matches("<svg").count(), 4);
    assert_eq!(between("class=\"columns\"", "<h2>Settings").matches("</section>").count(), 6, "{page}");
    assert!(between("<h2>Settings</h2>", "</table>").contains("<td>rate</td>"));
    assert!(between("<dl>", "</dl>").contains("<dt>max-time</dt><dd>5/s</dd>"));
}

#[test]
fn a_run_too_short_or_without_a_request_has_a_page_without_empty_charts() {
    let report = report();
    let error = ErrorMessage { message: "no such input: x.csv".into(), hint: Some("name a file".into()) };
    let never = RunSummary {
        written: Vec::new(),
        exit: Exit::NoInput,
        error: Some(error),
        published: false,
        elapsed: Duration::ZERO,
        ..summary(Counts::default())
    };
    let page = report.document(ReportFormat::Html, &subject(), &never, None);
    let text = read_page(&page);
    assert!(
        text.contains("no such input: x.csv\nname a file") && text.contains("nothing published, exit 66")
    );
    assert_eq!(page.matches("<svg").count(), 0);
    samples(&report.document(ReportFormat::Prom, &subject(), &never, None));
    assert_eq!(json_of(&report, &never)["error"], "no such input: x.csv");

    let key = Key::parse(b"1").unwrap();
    let latency = Duration::from_millis(5);
    report.on(&Event::AttemptAnswered { key: &key, line: 2, status: 200, latency, bytes: 1 });
    report.on(&Event::JobFetched { attempts: 1, unchanged: false });
    report.tick(&at(30, false));
    let counts = Counts { rows: 1, fetched: 1, ..Counts::default() };
    let page = report.document(ReportFormat::Html, &subject(), &summary(counts), None);
    read_page(&page);
    assert_eq!(page.matches("<svg").count(), 1, "one answer has a latency, and no course");
}

#[test]
fn a_week_of_ten_million_skus_is_a_page_like_any_other() {
    let report = report();
    let key = Key::parse(b"1").unwrap();
    for step in 1..=20_000u64 {
        let latency = Duration::from_millis(20 + step % 977);
        report.on(&Event::AttemptAnswered { key: &key, line: step, status: 200, latency, bytes: 1 });
        report.on(&Event::JobFetched { attempts: 1, unchanged: false });
        report.tick(&at(step * 30_240, false));
    }
    let counts = Counts { rows: 20_000, fetched: 20_000, ..Counts::default() };
    let summary = RunSummary { elapsed: Duration::from_hours(168), ..summary(counts) };
    let page = report.document(ReportFormat::Html, &subject(), &summary, None);
    read_page(&page);
    assert!(page.len() < 100_000, "{}", page.len());
    assert!(page.contains(" d\n</text>") || page.contains(" d</text>"), "days on the axis");
}

proptest! {
    #[test]
    fn no_foreign_text_breaks_a_document_or_acts_in_it(
        (sku, detail, url) in (hostile(), hostile(), hostile()),
        (path, why, value) in (hostile(), hostile(), hostile()),
    ) {
        let report = report();
        let key = Key::parse(format!("k{sku}").as_bytes()).unwrap();
        let fault = Fault::new(Cause::Body, detail.clone());
        let latency = Duration::from_millis(7);
        report.on(&Event::AttemptAnswered { key: &key, line: 2, status: 200, latency, bytes: 1 });
        report.on(&Event::JobFailed { key: Some(&key), line: 2, fault: &fault, attempts: 1, url: Some(&url), is_companion: false });
        let subject = RunDescription {
            input: path.clone(),
            output: ShownOutput::File { given: path.clone(), absolute: path.clone() },
            request: url.clone(),
            settings: vec![ShownSetting { table: "input", name: "key", value: Some(value), set_by: SettingOrigin::Option }],
            ..subject()
        };
        let summary = RunSummary {
            written: vec![WrittenFile { path, amount: Amount::Rows(1) }],
            verdict: RunVerdict { limit: LimitedBy::Server, text: why.clone() },
            error: Some(ErrorMessage { message: detail, hint: Some(why) }),
            ..summary(Counts { rows: 1, failed: 1, ..Counts::default() })
        };
        let page = report.document(ReportFormat::Html, &subject, &summary, None);
        read_page(&page);
        samples(&report.document(ReportFormat::Prom, &subject, &summary, None));
        let json = report.document(ReportFormat::Json, &subject, &summary, None);
        let read: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read["slowest"][0]["key"].as_str(), Some(key.as_str()));
        for document in [&page, &json] {
            let acting = document.find(acts);
            prop_assert_eq!(acting, None);
        }
    }
}

fn acts(c: char) -> bool {
    c != '\n' && (c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'))
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        proptest::collection::vec(
            prop_oneof![
                Just("<script>alert(1)</script>"),
                Just("\" onload=\"x"),
                Just("]]>"),
                Just("<!--"),
                Just("&amp;"),
                Just("&"),
                Just("'"),
                Just("\\"),
                Just("\n"),
                Just("\u{1b}[2J"),
                Just("\u{202e}"),
                Just("\u{0}"),
                Just("\u{ffff}"),
            ],
            0..6
        )
        .prop_map(|parts| parts.concat()),
    ]
}
