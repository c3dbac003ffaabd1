//! Which events become lines, when they are printed again, and that no foreign text acts on a terminal.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::model::{Exit, Fault, Key, LimitChangeReason, PauseReason, Reporter, StopReason};
use crate::report::test_report::{
    RETRY_AFTER, example_summary, from_cron, json_lines, on_terminal, report_example_run, report_to_memory,
    status_at,
};
use crate::report::{Amount, ErrorMessage, RunSummary, WrittenFile};

#[test]
fn a_quiet_run_prints_nothing_unless_it_fails() {
    let quiet = ReportSettings { quiet: true, verbose: 2, ..on_terminal() };
    let (good, nothing) = report_to_memory(quiet);
    good.started(Some(1));
    good.on(&Event::Warned { message: "odd" });
    good.on(&Event::Stopping { reason: &StopReason::OutOfTime, drain: None });
    good.on(&Event::PoolPaused { wait: Duration::from_mins(1), reason: RETRY_AFTER });
    good.line(Level::Warning, "odd");
    good.tick(&status_at(100.0));
    good.finish(&RunSummary { exit: Exit::Complete, ..example_summary() });
    assert_eq!(nothing.text(), "");

    let (bad, lines) = report_to_memory(quiet);
    report_example_run(&bad);
    bad.finish(&example_summary());
    assert_snapshot!("quiet_summary", lines.whole_lines());
}

#[test]
fn a_warning_is_printed_once_and_those_past_the_limit_are_counted() {
    let (report, stderr) = report_to_memory(from_cron());
    for number in 0..150 {
        report.on(&Event::Warned { message: &format!("thing {number}") });
        report.on(&Event::Warned { message: "thing 0" });
    }
    report.finish(&example_summary());
    let text = stderr.text();
    assert_eq!(text.matches("warning: thing 0\n").count(), 1);
    assert_eq!(text.matches("warning: thing").count(), 100);
    assert!(text.contains("warning: 50 further warnings were not shown; -v shows all\n"), "{text}");
}

#[test]
fn the_first_pause_is_logged_at_once_and_later_ones_once_a_minute() {
    let (report, stderr) = report_to_memory(from_cron());
    let pause =
        |millis, reason| report.on(&Event::PoolPaused { wait: Duration::from_millis(millis), reason });
    pause(300, RETRY_AFTER);
    report.tick(&status_at(1.0));
    pause(1_000, RETRY_AFTER);
    for second in 2..180u32 {
        report.tick(&status_at(f64::from(second)));
        (0..64).for_each(|_| pause(6_000, RETRY_AFTER));
    }
    let text = stderr.text();
    let pauses: Vec<&str> = text.lines().filter(|line| line.starts_with("paused")).collect();
    assert_eq!(pauses.len(), 3, "{text}");
    assert_eq!(pauses[0], "paused 1 s: 429 with Retry-After", "no count of what was never told");
    assert!(pauses[1].starts_with("paused 6 s: 429 with Retry-After (3 pauses so far, "), "{text}");
    // Much longer than what was printed: that is printed at any time.
    pause(300_000, PauseReason::Refused { status: 503, has_retry_after: true });
    pause(300_100, PauseReason::Refused { status: 503, has_retry_after: true });
    let text = stderr.text();
    assert_eq!(text.matches("paused 5 min: 503 with Retry-After").count(), 1, "{text}");
}

#[test]
fn verbose_prints_failures_limits_and_grouped_retries() {
    let (report, stderr) = report_to_memory(ReportSettings { verbose: 1, ..from_cron() });
    report.started(None);
    report_example_run(&report);
    report.on(&Event::LimitChanged { limit: 32, reason: LimitChangeReason::ThroughputGrows });
    report.on(&Event::PoolPaused { wait: Duration::from_secs(1), reason: PauseReason::Outage });
    report.on(&Event::PoolResumed);
    report.tick(&status_at(10.0));
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
fn twice_verbose_prints_every_retry() {
    let (report, stderr) = report_to_memory(ReportSettings { verbose: 2, ..from_cron() });
    report_example_run(&report);
    report.tick(&status_at(10.0));
    let text = stderr.text();
    assert_eq!(text.matches(" in 500 ms: line 9, SKU 9: HTTP 503 Service Unavailable").count(), 41, "{text}");
    assert!(!text.contains("41 retries: "), "{text}");
}

#[test]
fn a_line_end_in_a_warning_starts_no_line() {
    let (report, stderr) = report_to_memory(from_cron());
    report.on(&Event::Warned { message: "odd\nerror: the API is gone" });
    report.line(Level::Info, "a\r\nb");
    assert_eq!(stderr.text(), "warning: odd\\u{a}error: the API is gone\na\\u{d}\\u{a}b\n");
}

/// Characters that act on a terminal, or that hide and reorder the text around them.
fn acts_on_terminal(c: char) -> bool {
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
    fn no_foreign_text_acts_on_a_terminal(
        (sku, detail, url, why) in (hostile(), hostile(), hostile(), hostile()),
        as_json: bool,
    ) {
        let (report, stderr) = report_to_memory(ReportSettings { verbose: 2, ..if as_json { json_lines() } else { from_cron() } });
        let key = Key::parse(format!("k{sku}").as_bytes()).unwrap();
        let fault = Fault::of_status(500, detail.clone());
        let wait = Duration::from_secs(9);
        report.on(&Event::AttemptRetried { key: &key, line: 2, fault: &fault, attempt: 1, wait, is_refusal: false });
        report.on(&Event::JobFailed { key: Some(&key), line: 2, fault: &fault, attempts: 2, url: Some(&url), is_companion: false });
        report.on(&Event::Warned { message: &detail });
        let written = vec![WrittenFile { path: url, amount: Amount::Rows(1) }];
        let error = Some(ErrorMessage { message: detail, hint: Some(why) });
        report.finish(&RunSummary { written, error, ..example_summary() });
        let text = stderr.text();
        prop_assert!(!text.contains(acts_on_terminal), "{:?}", text);
        if as_json {
            stderr.objects();
        }
    }
}
