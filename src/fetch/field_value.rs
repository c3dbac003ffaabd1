//! Numbers and dates in response fields, which are untrusted: read exactly, or not at all. No float is involved, and no
//! value overflows clock arithmetic.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;

/// Numbers with more digits than this before the point have no meaning: as seconds they are millions of years, and as an
/// instant they are past milliseconds since 1970.
const MOST_DIGITS: usize = 14;

/// A number that is not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// As a count of seconds.
    Seconds(Duration),
    /// Too many digits to mean anything.
    TooLong,
}

/// Digits with at most one point among them: `2`, `2.5`, `2.`, `.5`. A fraction finer than a nanosecond is rounded up,
/// so that the wait is never too short.
pub(super) fn number(text: &str) -> Option<Number> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > MOST_DIGITS {
        return Some(Number::TooLong);
    }
    // Both have few digits now, so only the empty text does not parse.
    let seconds = whole.parse().unwrap_or(0);
    let (nanos, finer) = fraction.split_at(fraction.len().min(9));
    let nanos = format!("{nanos:0<9}").parse().unwrap_or(0);
    let finer = u64::from(finer.bytes().any(|b| b != b'0'));
    Some(Number::Seconds(Duration::new(seconds, nanos) + Duration::from_nanos(finer)))
}

/// When the server answered, by its own `Date`, or `now` where there is none that can be read. A server's instants are
/// on its own clock: relative to its own date they are right, however wrong the clock is.
pub(super) fn answered_at(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    headers.get(DATE).and_then(|value| http_date(value.as_bytes())).unwrap_or(now)
}

/// Any of the three forms of an HTTP date (RFC 9110 section 5.6.7).
pub(super) fn http_date(bytes: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(bytes).ok()?.trim_ascii()).ok()
}
