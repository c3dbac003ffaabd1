//! `--log-format json`: every line one JSON object. The schema stands in `docs/messages.md`.
//!
//! A log is looked at in terminals too, so no character leaves here that could act on one: beyond ASCII
//! only letters and digits stand as they are, everything else is written as `\uXXXX`.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::report::log_record::{Level, LogRecord};

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
pub(super) fn line(record: &LogRecord, now: SystemTime) -> String {
    let line = JsonLine {
        time: moment(now),
        level: name(record.level),
        event: record.event,
        message: &record.message,
        fields: &record.fields,
    };
    written(&line, CompactFormatter)
}

/// A whole document, indented, with its line end.
pub(super) fn document(value: &Value) -> String {
    written(value, PrettyFormatter::new())
}

fn written(value: &impl Serialize, layout: impl Formatter) -> String {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, EscapingFormatter(layout));
    // Strings, numbers and objects of them into memory: there is nothing that could fail.
    let _ = value.serialize(&mut serializer);
    bytes.push(b'\n');
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A time as RFC 3339 writes it, in UTC, with milliseconds.
pub(super) fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(datable(time)).to_string()
}

/// The same to the second.
pub(super) fn second(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(datable(time)).to_string()
}

/// Seconds with three decimals: what a log's reader expects, and no more digits than were measured.
pub(super) fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64(), 1e3)
}

/// Rounded to one part of `parts`.
pub(super) fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

/// RFC 3339 ends with the year 9999; humantime panics after that, and before 1970.
fn datable(now: SystemTime) -> SystemTime {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    now.clamp(SystemTime::UNIX_EPOCH, last)
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

/// Lays out as another formatter does, and writes strings so that none of their characters acts.
struct EscapingFormatter<F>(F);

/// Methods that are the layout's own.
macro_rules! laid_out {
    ($($name:ident ( $($first:ident)? ),)+) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $first: bool)?) -> io::Result<()> {
            self.0.$name(writer $(, $first)?)
        }
    )+};
}

impl<F: Formatter> Formatter for EscapingFormatter<F> {
    laid_out! {
        begin_array(), end_array(), begin_array_value(first), end_array_value(),
        begin_object(), end_object(), begin_object_key(first), end_object_key(),
        begin_object_value(), end_object_value(),
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for c in fragment.chars() {
            if c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric()) {
                CompactFormatter.write_string_fragment(writer, c.encode_utf8(&mut [0; 4]))?;
            } else {
                c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn record(message: &str) -> LogRecord {
        LogRecord { level: Level::Warning, event: "warned", message: message.into(), fields: json!({"n": 1}) }
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
