//! The bar as text, and as a terminal shows it.

use std::sync::atomic::{AtomicU16, Ordering};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::limit::LearnedLimit;
use crate::model::{Event, Reporter};
use crate::report::test_report::{
    FETCHED, RETRY_AFTER, example_summary, on_terminal, report_to_memory, status_at,
};
use crate::report::{EngineStatus, Level, ReportSettings, Terminal};

fn snapshot() -> ProgressSnapshot {
    ProgressSnapshot {
        elapsed: Duration::from_secs(3),
        done: 3_000,
        total: Some(6_000),
        rate: 952.0,
        in_flight: 64,
        limit: 64,
        retries: 41,
        failed: 6,
        paused: None,
        learned: None,
        left: Some(Duration::from_secs(4)),
    }
}

#[test]
fn a_line_of_eighty_columns_holds_everything() {
    let text = line(&snapshot(), 80, false);
    assert_eq!(text, "█████░░░░░ 3,000/6,000 · 952/s · 64 in flight · 41 retries · 6 failed · 4 s left");
    assert_eq!(text.chars().count(), 80);
}

#[test]
fn a_narrow_terminal_leaves_out_the_least_important_parts_first() {
    assert_eq!(line(&snapshot(), 60, false), "███████░░░░░░░░ 3,000/6,000 · 952/s · 6 failed · 4 s left");
    assert_eq!(line(&snapshot(), 40, false), "██████████░░░░░░░░░░ 3,000/6,000 · 952/s");
    assert_eq!(line(&snapshot(), 20, false), "3,000/6,000 · 952/s");
    let unknown = ProgressSnapshot { total: None, left: None, ..snapshot() };
    assert_eq!(line(&unknown, 80, false), "3,000 rows · 952/s · 64 in flight · 41 retries · 6 failed");
}

#[test]
fn a_learnt_limit_stands_beside_the_rate_where_there_is_room() {
    let learned = Some(LearnedLimit::Rate(20.0));
    let slow = ProgressSnapshot { learned, rate: 19.2, in_flight: 1, retries: 0, failed: 0, ..snapshot() };
    let at = |width| line(&slow, width, false);
    assert_eq!(at(80), "██████████░░░░░░░░░░ 3,000/6,000 · 19/s · 20/s learnt · 1 in flight · 4 s left");
    assert_eq!(at(60), "███████░░░░░░░░ 3,000/6,000 · 19/s · 20/s learnt · 4 s left");
    assert_eq!(at(40), "█████░░░░░ 3,000/6,000 · 19/s · 4 s left");
    let period = Duration::from_mins(1);
    let window = Some(LearnedLimit::Window { capacity: 100, period });
    let text = line(&ProgressSnapshot { learned: window, ..slow }, 80, false);
    assert!(text.contains(" · 100/m learnt · "), "{text}");
}

#[test]
fn a_pause_that_does_not_fit_loses_its_reason_and_not_its_end() {
    let paused = Some((Duration::from_secs(12), RETRY_AFTER));
    let paused = ProgressSnapshot { paused, in_flight: 0, ..snapshot() };
    let at = |width| line(&paused, width, false);
    assert_eq!(
        at(100),
        "███████░░░░░░░░ 3,000/6,000 · paused 12 s: 429 with Retry-After · 0 in flight · 6 failed · 4 s left"
    );
    assert_eq!(at(60), "█████░░░░░ 3,000/6,000 · paused 12 s: 429 with Retry-After");
    assert_eq!(at(45), "3,000/6,000 · paused 12 s · 6 failed");
    assert_eq!(at(26), "3,000/6,000 · paused 12 s");
    assert_eq!(at(20), "3,000 · paused 12 s");
}

#[test]
fn a_wide_terminal_gets_no_endless_track() {
    let text = line(&snapshot(), 200, false);
    assert_eq!(text.matches(['█', '░']).count(), LONGEST_TRACK);
    assert_eq!(text.matches('█').count(), LONGEST_TRACK / 2);
}

#[test]
fn no_line_is_wider_than_its_terminal_unless_two_parts_are() {
    let paused = Some((Duration::from_secs(12), RETRY_AFTER));
    for snapshot in [snapshot(), ProgressSnapshot { paused, ..snapshot() }] {
        for width in 20..250 {
            assert!(line(&snapshot, width, false).chars().count() <= width);
        }
    }
}

#[test]
fn colour_is_the_callers_choice() {
    assert!(!line(&snapshot(), 80, false).contains('\x1b'));
    assert!(line(&snapshot(), 80, true).starts_with("\x1b[36m█████░░░░░\x1b[0m "));
}

#[test]
fn more_done_than_expected_fills_the_track_and_no_more() {
    assert_eq!(track(7, 5, 4, false), "████");
    assert_eq!(track(0, 0, 4, false), "████");
    assert_eq!(track(5_999, 6_000, 4, false), "███░");
}

#[test]
fn the_bar_is_one_line_below_the_warnings() {
    let (report, stderr) = report_to_memory(on_terminal());
    report.started(Some(6_000));
    report.tick(&status_at(0.1));
    for _ in 0..3_000 {
        report.on(&FETCHED);
    }
    report.tick(&status_at(3.0));
    report.on(&Event::Warned { message: "SKU 1.23E+12 looks like a spreadsheet's rounding" });
    report.on(&Event::Warned { message: "SKU 1.23E+12 looks like a spreadsheet's rounding" });
    report.on(&Event::PoolPaused { wait: Duration::from_secs(12), reason: RETRY_AFTER });
    let paused = Some((Duration::from_millis(11_200), RETRY_AFTER));
    report.tick(&EngineStatus { in_flight: 0, paused, ..status_at(3.8) });
    let shown = stderr.terminal(80);
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert_snapshot!("bar_below_lines", lines.join("\n"));
}

#[test]
fn a_bar_is_drawn_at_every_tick_though_some_are_slightly_early() {
    let (report, stderr) = report_to_memory(on_terminal());
    report.started(Some(6_000));
    for (micros, drawn) in [(50_900, 1), (100_100, 2), (150_800, 3), (160_000, 3), (200_050, 4)] {
        report.on(&FETCHED);
        report.tick(&EngineStatus { elapsed: Duration::from_micros(micros), ..status_at(0.0) });
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
fn a_shrinking_window_leaves_no_part_of_a_bar_and_keeps_the_lines_above() {
    static WIDTH: AtomicU16 = AtomicU16::new(200);
    let terminal = Terminal { width: || WIDTH.load(Ordering::Relaxed), ..on_terminal().terminal };
    let (report, stderr) = report_to_memory(ReportSettings { terminal, ..on_terminal() });
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
        report.tick(&status_at(1.0 + second as f64));
        let text = stderr.text();
        screen.process(text[seen..].replace('\n', "\r\n").as_bytes());
        seen = text.len();
        let shown = screen.screen().contents();
        assert_eq!(shown.lines().count(), 2, "at {width}:\n{shown}");
        assert!(shown.starts_with("a line above\n") && shown.contains("/6,000"), "at {width}:\n{shown}");
    }
}

#[test]
fn a_bar_is_cut_in_a_window_narrower_than_reported() {
    let (report, stderr) = report_to_memory(on_terminal());
    report.started(Some(6_000));
    report.tick(&status_at(1.0));
    let text = stderr.text();
    let (before, rest) = text.split_once("\x1b[?7l").unwrap();
    assert!(!before.contains("6,000"), "{text:?}");
    let (line, after) = rest.split_once("\x1b[?7h").unwrap();
    assert!(line.contains("/6,000") && !line.contains(['\n', '\x1b']), "{text:?}");
    assert_eq!(after, "\r", "{text:?}");
}

#[test]
fn the_bar_is_removed_before_the_summary() {
    for width in [80u16, 200, 30] {
        let terminal = Terminal {
            width: match width {
                80 => || 80,
                200 => || 200,
                _ => || 30,
            },
            ..on_terminal().terminal
        };
        let (report, stderr) = report_to_memory(ReportSettings { terminal, ..on_terminal() });
        report.started(Some(6_000));
        for tenth in 0..30 {
            report.tick(&status_at(f64::from(tenth) / 10.0));
            report.on(&FETCHED);
        }
        report.line(Level::Info, "a line that is longer than thirty columns are wide, and wraps");
        report.tick(&status_at(3.0));
        report.finish(&example_summary());
        report.tick(&status_at(99.0));
        let shown = stderr.terminal(width);
        assert!(!shown.contains('█') && !shown.contains('░'), "{shown}");
        assert!(shown.replace('\n', "").starts_with("a line that is longer"), "{shown}");
        assert_eq!(shown.matches("SKUs in 6.3 s").count(), 1, "{shown}");
    }
}

#[test]
fn a_bar_dropped_without_a_summary_leaves_a_clean_line() {
    let (report, stderr) = report_to_memory(on_terminal());
    report.started(Some(10));
    report.tick(&status_at(0.1));
    drop(report);
    assert_eq!(stderr.terminal(80).trim(), "");
}

#[test]
fn an_abandoned_run_leaves_no_bar() {
    let (report, stderr) = report_to_memory(on_terminal());
    report.started(Some(5));
    report.tick(&status_at(0.1));
    assert!(stderr.terminal(80).contains("0/5"));
    report.abandon();
    report.tick(&status_at(0.9));
    assert_eq!(stderr.terminal(80).trim(), "");
}

proptest! {
    #[test]
    fn a_bar_is_drawn_at_any_width(width in 0u16..300, done in 0u64..100) {
        // Widths are returned by a function without state, so this one reads the case's width from a thread-local.
        thread_local!(static WIDTH: std::cell::Cell<u16> = const { std::cell::Cell::new(0) });
        WIDTH.set(width);
        let terminal = Terminal { interactive: true, width: || WIDTH.get(), colour: true };
        let (report, stderr) = report_to_memory(ReportSettings { terminal, ..on_terminal() });
        report.started(Some(50));
        for _ in 0..done {
            report.on(&FETCHED);
        }
        report.tick(&status_at(1.0));
        report.tick(&EngineStatus { paused: Some((Duration::from_secs(3), RETRY_AFTER)), ..status_at(2.0) });
        report.line(Level::Warning, "beside it");
        report.finish(&example_summary());
        let printed = stderr.text().contains("warning:\x1b[0m beside it\n");
        prop_assert!(printed);
    }
}
