//! `--log-format json`: every line one JSON object. The schema is in `docs/messages.md`.
//!
//! A log is read in terminals too, so no character is written that could act on one: beyond ASCII
//! only letters and digits are written as they are, everything else is written as `\uXXXX`.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::report::console::log_record::{Level, LogRecord};
use crate::report::json_writer;
use crate::report::machine_format::moment;

#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    level: &'static str,
    event: &'static str,
    message: &'a str,
    #[serde(flatten)]
    fields: &'a Value,
}

/// One line, with its line end.
pub(crate) fn line(record: &LogRecord, now: SystemTime) -> String {
    let line = JsonLine {
        time: moment(now),
        level: name(record.level),
        event: record.kind.name(),
        message: &record.message,
        fields: &record.fields,
    };
    json_writer::compact(&line)
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use insta::assert_snapshot;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::{Event, Exit, LimitChangeReason, Reporter, StopReason};
    use crate::report::console::log_record::RecordKind;
    use crate::report::test_report::{
        FETCHED, RETRY_AFTER, documented, example_summary, fields_of, json_lines, report_example_run,
        report_to_memory, status_at,
    };
    use crate::report::{ErrorMessage, ReportSettings, RunSummary};

    fn record(message: &str) -> LogRecord {
        LogRecord {
            level: Level::Warning,
            kind: RecordKind::Warned,
            message: message.into(),
            fields: json!({"n": 1}),
        }
    }

    #[test]
    fn a_line_has_a_time_a_level_an_event_and_its_fields() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
        assert_eq!(
            line(&record("5 €\u{1b}"), now),
            "{\"time\":\"2026-09-21T14:13:20.123Z\",\"level\":\"warning\",\"event\":\"warned\",\"message\":\"5 \\u20ac\\u001b\",\"n\":1}\n"
        );
    }

    #[test]
    fn a_clock_far_off_is_no_panic() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert!(line(&record(""), far).contains("9999-12-31T23:59:59"));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(line(&record(""), before).contains("1970-01-01T00:00:00"));
    }

    #[test]
    fn every_json_line_is_an_object_with_time_level_event_and_message() {
        let (report, stderr) = report_to_memory(ReportSettings { verbose: 2, ..json_lines() });
        report.started(Some(6_000));
        report_example_run(&report);
        report.on(&Event::Warned { message: "odd" });
        report.on(&Event::Stopping { reason: &StopReason::Signal(2), drain: Some(Duration::from_secs(10)) });
        report.on(&Event::LimitChanged { limit: 3, reason: LimitChangeReason::SomeRefused });
        report.on(&Event::PoolPaused { wait: Duration::from_secs(7), reason: RETRY_AFTER });
        report.on(&Event::PoolResumed);
        report.line(Level::Info, "a note");
        report.tick(&status_at(10.0));
        let error = Some(ErrorMessage { message: "two\nlines".into(), hint: None });
        report.finish(&RunSummary { error, ..example_summary() });
        let objects = stderr.objects();
        for object in &objects {
            for field in ["time", "level", "event", "message"] {
                assert!(object[field].is_string(), "{object}");
            }
        }
        let events: BTreeSet<&str> = objects.iter().map(|object| object["event"].as_str().unwrap()).collect();
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

    fn owned((name, value): (&String, &Value)) -> (String, Value) {
        (name.clone(), value.clone())
    }

    #[test]
    fn json_lines_of_a_complete_run_from_cron_are_the_summary_only() {
        for (settings, lines) in [(json_lines(), 1), (ReportSettings { quiet: true, ..json_lines() }, 0)] {
            let (report, stderr) = report_to_memory(settings);
            report.started(Some(1));
            report.on(&FETCHED);
            report.tick(&status_at(0.1));
            report.finish(&RunSummary { exit: Exit::Complete, ..example_summary() });
            assert_eq!(stderr.objects().len(), lines);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_whole_and_holds_no_character_that_acts_on_a_terminal(text: String) {
            let line = line(&record(&text), SystemTime::UNIX_EPOCH);
            let parsed: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(parsed["message"].as_str(), Some(text.as_str()));
            let body = line.strip_suffix('\n').unwrap();
            prop_assert!(!body.contains(char::is_control));
        }
    }
}
