//! The texts, tables and charts of a climb.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::*;
use crate::limit::climb::{ClimbEnd, Rung};
use crate::model::Fault;
use crate::model::{Cause, PauseReason};
use crate::report::run_report::{ReportFormat, read_page};
use crate::report::run_stats::{CauseGroup, FailureExample};

fn rung(workers: usize, per_second: u64, p95: u64) -> Rung {
    Rung {
        workers,
        requests: 120,
        answers: 100,
        span: Duration::from_secs(100) / u32::try_from(per_second).unwrap(),
        p50: Duration::from_millis(50),
        p95: Duration::from_millis(p95),
        ..Rung::default()
    }
}

fn tuned() -> TuneResult {
    TuneResult {
        rungs: vec![rung(1, 20, 51), rung(2, 40, 52), rung(4, 80, 53), rung(8, 160, 58), rung(16, 164, 110)],
        end: ClimbEnd::Knee,
        sustained: None,
        may_be_burst: false,
        ceiling: 64,
        rate: None,
        requests: 600,
        answers: TunedAnswers::default(),
        elapsed: Duration::from_millis(6_200),
        sample: 2_000,
        whole_input: false,
        causes: Vec::new(),
        sound: true,
        input: "products.csv".into(),
        request: "GET http://a/{sku}".into(),
        command: "skufetch products.csv --url 'http://a/{sku}' --output out.json".into(),
        hides: false,
    }
}

#[test]
fn the_table_the_plot_and_the_command_are_as_agreed() {
    let tuned = tuned();
    let table: String = tuned.rungs.iter().map(row).collect();
    let text = format!("{}{table}{}", table_header(), conclusion(&tuned));
    insta::assert_snapshot!("table_plot_and_command", text);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn what_the_table_leaves_out_is_below_it_and_in_both_documents() {
    let example = FailureExample { line: 2, key: None, url: None, fault: Fault::of_status(404, "") };
    let causes = vec![CauseGroup { cause: Cause::Status(404), count: 31, example }];
    let tuned = TuneResult {
        requests: 672,
        answers: TunedAnswers { good: 600, failed: 31, ..TunedAnswers::default() },
        causes,
        ..tuned()
    };
    let text = conclusion(&tuned);
    let notes = "\n      besides the errors, 31 answers failed the SKU alone (31 not found in all)\n      \
                 672 requests in all: 72 ended after the last line of the table\n\nto use it:";
    assert!(text.contains(notes), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let page = document(&tuned, ReportFormat::Html, SystemTime::UNIX_EPOCH);
    assert!(
        page.contains("besides the errors, 31 answers failed the SKU alone")
            && page.contains("72 ended after"),
        "{page}"
    );
    let parsed: Value =
        serde_json::from_str(&document(&tuned, ReportFormat::Json, SystemTime::UNIX_EPOCH)).unwrap();
    assert_eq!((&parsed["failed_answers"], &parsed["requests_of_no_step"]), (&31.into(), &72.into()));
}

#[test]
fn every_end_says_what_to_do() {
    let with = |end: ClimbEnd| TuneResult { end, ..tuned() };
    for (tuned, says) in [
        (with(ClimbEnd::Knee), "more workers bring nothing: 16 workers gave 164/s"),
        (with(ClimbEnd::Errors), "errors began at 16 workers: 0 of 120 requests (7 HTTP 503 in all)"),
        (
            with(ClimbEnd::Paused(PauseReason::Refused { status: 429, has_retry_after: true })),
            "the pool was paused at 16 workers (429 with Retry-After)",
        ),
        (
            TuneResult { rate: Some("170/s".parse().unwrap()), ..with(ClimbEnd::Rate) },
            "--rate 170/s is reached; more workers would only wait for it",
        ),
        (
            TuneResult { ceiling: 8, ..with(ClimbEnd::Ceiling) },
            "that is the ceiling; more may pay, try --concurrency auto:32",
        ),
        (with(ClimbEnd::Ceiling), "up to 16 workers nothing brought much more"),
        (with(ClimbEnd::Sample), "the sample was used up at 16 workers; --limit 10000 goes further"),
        (
            TuneResult { whole_input: true, ..with(ClimbEnd::Sample) },
            "the input has no more SKUs to measure 16 workers with",
        ),
        (with(ClimbEnd::Time), "the time was over at 16 workers; a longer --max-time goes further"),
    ] {
        let example = FailureExample { line: 2, key: None, url: None, fault: Fault::of_status(503, "") };
        let causes = vec![CauseGroup { cause: Cause::Status(503), count: 7, example }];
        assert_eq!(why(&TuneResult { causes, ..tuned }), says);
    }
}

#[test]
fn the_document_has_its_schema_and_null_where_nothing_was_measured() {
    let mut tuned = tuned();
    tuned.rungs.push(Rung { workers: 32, requests: 3, errors: 3, paused: true, ..Rung::default() });
    let text = document(&tuned, ReportFormat::Json, SystemTime::UNIX_EPOCH);
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&read["schema"], &read["version"]), (&json!("skufetch.tune"), &json!(1)));
    assert_eq!(read["time"], "1970-01-01T00:00:00.000Z");
    assert_eq!(read["best"], json!({"workers": 8, "per_s": 160.0, "p95_ms": 58.0}));
    assert_eq!(read["steps"][3]["per_s"], 160.0);
    assert_eq!(read["steps"][5]["per_s"], Value::Null);
    assert_eq!(read["steps"][5]["paused"], true);
    assert!(read["command"].as_str().unwrap().ends_with("--concurrency 8"));
    let none = TuneResult { rungs: Vec::new(), ..tuned };
    let read: Value =
        serde_json::from_str(&document(&none, ReportFormat::Json, SystemTime::UNIX_EPOCH)).unwrap();
    assert_eq!((&read["best"], &read["command"]), (&Value::Null, &Value::Null));
}

#[test]
fn the_page_has_the_curve_and_the_command_and_no_foreign_text_acts_in_it() {
    let now = SystemTime::UNIX_EPOCH;
    let page = document(&tuned(), ReportFormat::Html, now);
    let text = read_page(&page);
    assert!(text.contains("Best: 8 workers") && text.contains("more workers bring nothing"), "{text}");
    assert!(text.contains("--output out.json --concurrency 8"), "{text}");
    assert_eq!(page.matches("<svg").count(), 2);
    for workers in ["1", "2", "4", "8", "16"] {
        assert!(page.contains(&format!("\n{workers}\n</text>")), "{workers} stands on the axis");
    }
    let nothing = TuneResult {
        rungs: Vec::new(),
        input: "<script>\u{202e}".into(),
        command: "'\"&".into(),
        request: "</p>".into(),
        ..tuned()
    };
    let page = document(&nothing, ReportFormat::Html, now);
    assert!(read_page(&page).contains("<script>\\u{202e}") && page.matches("<svg").count() == 0);
    read_page(&document(&TuneResult { rungs: vec![rung(1, 20, 51)], ..nothing }, ReportFormat::Html, now));
}
