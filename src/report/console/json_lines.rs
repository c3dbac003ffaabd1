//! `--log-format json`: every line one JSON object. The schema stands in `docs/messages.md`.
//!
//! A log is read in terminals too, so no character is written that could act on one: beyond ASCII
//! only letters and digits stand as they are, everything else is written as `\uXXXX`.

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
    use proptest::prelude::*;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::report::console::log_record::RecordKind;

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
    fn a_clock_gone_mad_is_no_panic() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert!(line(&record(""), far).contains("9999-12-31T23:59:59"));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(line(&record(""), before).contains("1970-01-01T00:00:00"));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_whole_and_without_a_character_that_acts_on_a_terminal(text: String) {
            let line = line(&record(&text), SystemTime::UNIX_EPOCH);
            let parsed: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(parsed["message"].as_str(), Some(text.as_str()));
            let body = line.strip_suffix('\n').unwrap();
            prop_assert!(!body.contains(char::is_control));
        }
    }
}
