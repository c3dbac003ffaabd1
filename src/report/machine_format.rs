//! Numbers and times as programs read them: in JSON, and in the first line of a log.

use std::time::{Duration, SystemTime};

/// A time as RFC 3339 writes it, in UTC, with milliseconds.
pub(crate) fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(datable(time)).to_string()
}

/// The same to the second.
pub(crate) fn second(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(datable(time)).to_string()
}

/// Seconds with three decimals: what a log's reader expects, and no more digits than were measured.
pub(crate) fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64(), 1e3)
}

/// Rounded to one part of `parts`.
pub(crate) fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

/// RFC 3339 ends with the year 9999; humantime panics after that, and before 1970.
fn datable(now: SystemTime) -> SystemTime {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    now.clamp(SystemTime::UNIX_EPOCH, last)
}

/// Milliseconds with three decimals.
pub(crate) fn millis(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3, 1e3)
}
