//! The summary as it is printed. Long texts are snapshots; `.cargo/config.toml` says how to accept new ones.

use std::time::Duration;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::model::{Event, Exit, Fault, Reporter};
use crate::report::test_report::{
    FETCHED, answered, example_summary, from_cron, report_example_run, report_failure, report_to_memory,
    status_at,
};
use crate::report::{ApiLimits, BlockedTime, ConcurrencyUsed, ErrorMessage, Facts, Tail, verdict};

#[test]
fn the_summary_has_its_counts_causes_verdict_and_files() {
    let (report, stderr) = report_to_memory(from_cron());
    report.started(Some(6_000));
    report_example_run(&report);
    report.tick(&status_at(6.2));
    report.finish(&example_summary());
    assert_snapshot!("summary", stderr.whole_lines());
}

#[test]
fn a_stopped_run_names_its_journal_and_its_reason() {
    let (report, stderr) = report_to_memory(from_cron());
    report.on(&answered(200, 98));
    report.on(&FETCHED);
    report.on(&Event::RowRepeated { line: 4, differs: false });
    report.on(&Event::JobDeferred);
    report.finish(&RunSummary {
        counts: Counts { rows: 3, fetched: 1, repeats: 1, deferred: 1, ..Counts::default() },
        written: Vec::new(),
        verdict: verdict(&Facts { attempts: 1, answered: 1, ..empty_facts() }),
        limits: ApiLimits::default(),
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

fn empty_facts() -> Facts {
    Facts {
        elapsed: Duration::from_secs(1),
        concurrency: ConcurrencyUsed::Fixed(1),
        busy: Duration::ZERO,
        waits: BlockedTime::default(),
        rate: None,
        is_rate_shared: false,
        processor: Duration::ZERO,
        attempts: 0,
        answered: 0,
        errors: 0,
        limits: ApiLimits::default(),
        cheap: 0,
        stepped_back: None,
        least: Duration::ZERO,
        p50: Duration::ZERO,
        p95: Duration::ZERO,
        tail: Tail::default(),
    }
}

#[test]
fn the_summary_counts_recovered_unchanged_and_differing_rows() {
    let (report, stderr) = report_to_memory(from_cron());
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
            ..Counts::default()
        },
        verdict: verdict(&empty_facts()),
        exit: Exit::Complete,
        elapsed: Duration::from_millis(40),
        ..example_summary()
    });
    assert_snapshot!("recovered_unchanged_and_differing_rows", stderr.whole_lines());
}

#[test]
fn many_causes_are_cut_to_the_most_frequent() {
    let (report, stderr) = report_to_memory(from_cron());
    for status in 400..420u16 {
        for line in 0..=u64::from(420 - status) {
            report_failure(&report, line, "1", &Fault::of_status(status, "no"));
        }
    }
    report.finish(&RunSummary {
        counts: Counts { rows: 230, failed: 230, ..Counts::default() },
        exit: Exit::Unavailable,
        ..example_summary()
    });
    assert_snapshot!("many_causes", stderr.whole_lines());
}

#[test]
fn an_input_without_rows_prints_only_the_error() {
    let (report, stderr) = report_to_memory(from_cron());
    report.finish(&RunSummary {
        counts: Counts::default(),
        written: Vec::new(),
        exit: Exit::Data,
        error: Some(ErrorMessage { message: "products.csv has no data row".into(), hint: None }),
        published: false,
        ..example_summary()
    });
    assert_eq!(stderr.text(), "error: products.csv has no data row\n");
}

proptest! {
    #[test]
    fn the_numbers_of_the_summary_add_up_to_the_rows(
        (fetched, unchanged, failed) in (0u64..3_000, 0u64..3_000, 0u64..3_000),
        (repeats, deferred, bad) in (0u64..3_000, prop_oneof![Just(0), 1u64..3_000], 0u64..3_000),
        skipped in 0u64..3_000,
    ) {
        let bad_rows = bad.min(failed);
        let rows = fetched + unchanged + failed + skipped + repeats + deferred;
        let rest = Counts { skipped, repeats, deferred, bad_rows, ..Counts::default() };
        let counts = Counts { rows, fetched, unchanged, failed, ..rest };
        let (report, stderr) = report_to_memory(from_cron());
        report.finish(&RunSummary { counts, ..example_summary() });
        let text = stderr.text().replace([',', '('], "");
        let headline = text.lines().next().unwrap();
        let number = |word: &str| {
            let words: Vec<&str> = headline.split(' ').collect();
            let place = words.iter().position(|shown| shown.starts_with(word));
            place.map_or(0, |place| words[place - 1].parse::<u64>().unwrap())
        };
        let printed = number("fetched") + number("unchanged") + number("failed") + number("deferred");
        prop_assert_eq!(printed + number("skipped") + number("repeat"), rows);
        if deferred == 0 {
            prop_assert_eq!(printed, number("SKU") + bad_rows);
            prop_assert!(number("row") == rows || number("SKU") == rows);
        } else {
            prop_assert_eq!(number("row"), rows);
        }
    }
}
