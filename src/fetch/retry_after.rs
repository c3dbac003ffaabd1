//! The wait of `Retry-After` (RFC 9110, section 10.2.3, and what servers send).
//!
//! The field is untrusted: every form is either understood or ignored, and none can panic or give a wait that overflows
//! clock arithmetic.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::field_value::{Number, answered_at, http_date, number};
use crate::model::fault::RetryAfter;

/// Reads the first `Retry-After` of an answer: seconds, decimal seconds (`2.5`, `2.`, `.5`), or an HTTP date in any of
/// its three forms, relative to the answer's own `Date`, or to `now` where that cannot be read. A date in the past is a
/// wait of zero. `None` where there is no field, or anything else in it: a negative number, a word, a list.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<RetryAfter> {
    let value = headers.get(RETRY_AFTER)?.as_bytes().trim_ascii();
    match std::str::from_utf8(value).ok().and_then(number) {
        Some(Number::Seconds(wait)) => Some(RetryAfter::Wait(wait)),
        Some(Number::TooLong) => Some(RetryAfter::TooLong),
        None => {
            let wait = http_date(value)?.duration_since(answered_at(headers, now));
            Some(RetryAfter::Wait(wait.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use http::header::DATE;
    use proptest::prelude::*;

    use super::*;

    const THEIR_NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    /// The local clock of the tests: years from the server's.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn read(values: &[&[u8]], date: Option<&str>) -> Option<RetryAfter> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_bytes(value).unwrap());
        }
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers, now())
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is compared with what was read")]
    fn wait(millis: u64) -> Option<RetryAfter> {
        Some(RetryAfter::Wait(Duration::from_millis(millis)))
    }

    #[test]
    fn seconds_and_decimal_seconds_are_waits() {
        let table: &[(&str, u64)] = &[
            ("2", 2_000),
            ("2.0", 2_000),
            ("2.", 2_000),
            (".5", 500),
            ("0.25", 250),
            ("1.001", 1_001),
            ("  7\t", 7_000),
            ("0", 0),
            ("000", 0),
            ("0.000", 0),
            ("0000000000000000000000000000003", 3_000),
            ("120", 120_000),
            ("999999999999", 999_999_999_999_000),
        ];
        for &(text, millis) in table {
            assert_eq!(read(&[text.as_bytes()], None), wait(millis), "{text}");
        }
    }

    #[test]
    fn a_fraction_is_never_rounded_down() {
        let nanos = |text: &str| match read(&[text.as_bytes()], None) {
            Some(RetryAfter::Wait(wait)) => wait.as_nanos(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(nanos("0.0000000001"), 1);
        assert_eq!(nanos("1.9999999999"), 2_000_000_000);
        assert_eq!(nanos("0.1234567890000"), 123_456_789);
    }

    #[test]
    fn a_number_too_long_is_told_apart_from_a_wait() {
        for text in ["99999999999999999999", "18446744073709551616", "100000000000000", "999999999999999.5"] {
            assert_eq!(read(&[text.as_bytes()], None), Some(RetryAfter::TooLong), "{text}");
        }
        assert_eq!(read(&["9".repeat(5_000).as_bytes()], None), Some(RetryAfter::TooLong));
    }

    #[test]
    fn three_forms_of_dates_are_read_against_the_servers_own() {
        for date in
            ["Sun, 06 Nov 1994 08:49:47 GMT", "Sunday, 06-Nov-94 08:49:47 GMT", "Sun Nov  6 08:49:47 1994"]
        {
            assert_eq!(read(&[date.as_bytes()], Some(THEIR_NOW)), wait(10_000), "{date}");
        }
    }

    #[test]
    fn a_past_date_asks_for_no_wait() {
        assert_eq!(read(&[b"Sun, 06 Nov 1994 08:00:00 GMT"], Some(THEIR_NOW)), wait(0));
        assert_eq!(read(&[THEIR_NOW.as_bytes()], Some(THEIR_NOW)), wait(0));
        assert_eq!(read(&[b"Thu, 01 Jan 1970 00:00:00 GMT"], None), wait(0));
    }

    #[test]
    fn a_server_clock_an_hour_off_changes_nothing() {
        let stamp = |time| httpdate::fmt_http_date(time);
        let hour = Duration::from_hours(1);
        for theirs in [now() - hour, now(), now() + hour] {
            let until = stamp(theirs + Duration::from_secs(3));
            assert_eq!(read(&[until.as_bytes()], Some(&stamp(theirs))), wait(3_000));
        }
    }

    #[test]
    fn without_a_date_that_can_be_read_the_local_clock_counts() {
        let until = httpdate::fmt_http_date(now() + Duration::from_secs(4));
        for date in [None, Some("yesterday"), Some(""), Some("0")] {
            assert_eq!(read(&[until.as_bytes()], date), wait(4_000), "{date:?}");
        }
    }

    #[test]
    fn anything_else_is_as_if_absent() {
        let table: &[&[u8]] = &[
            b"",
            b" ",
            b"-5",
            b"-0",
            b"+5",
            b"NaN",
            b"inf",
            b"Infinity",
            b"soon",
            b"5s",
            b"5 s",
            b"1e3",
            b"0x10",
            b"1,5",
            b"1.2.3",
            b".",
            b"5, 6",
            b"\xff",
            b"\xd9\xa5",
            b"Sun, 06 Nov 1994",
            b"1994-11-06T08:49:37Z",
            b"Sun, 32 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 25:49:37 GMT",
            b"\"5\"",
        ];
        for value in table {
            assert_eq!(read(&[value], None), None, "{:?}", String::from_utf8_lossy(value));
        }
        assert_eq!(read(&[], None), None);
    }

    #[test]
    fn of_two_fields_the_first_counts() {
        assert_eq!(read(&[b"2", b"60"], None), wait(2_000));
        assert_eq!(read(&[b"soon", b"60"], None), None);
    }

    proptest! {
        #[test]
        fn no_field_can_do_harm(value in "[ -~\u{80}-\u{ff}]{0,60}", date in proptest::option::of("[ -~]{0,40}")) {
            if let Some(RetryAfter::Wait(wait)) = read(&[value.as_bytes()], date.as_deref()) {
                prop_assert!(std::time::Instant::now().checked_add(wait).is_some());
            }
        }

        #[test]
        fn number_like_fields_are_read_digit_by_digit_or_refused(
            sign in "|[-+]", whole in "[0-9]{0,25}", fraction in "|[.][0-9]{0,25}|[eE][0-9]{0,25}",
        ) {
            let text = format!("{sign}{whole}{fraction}");
            let decimals = fraction.trim_start_matches('.');
            let digits = whole.len() + decimals.len();
            let expected = if !sign.is_empty() || fraction.contains(['e', 'E']) || digits == 0 {
                None
            } else if whole.parse().unwrap_or(0_u128) >= 100_000_000_000_000 {
                Some(RetryAfter::TooLong)
            } else {
                // In units of the last of 25 decimals, rounded up to nanoseconds.
                let finest: u128 = format!("{decimals:0<25}").parse().unwrap();
                let nanos = u64::try_from(finest.div_ceil(10_u128.pow(16))).unwrap();
                let seconds = whole.parse().unwrap_or(0);
                Some(RetryAfter::Wait(Duration::from_secs(seconds) + Duration::from_nanos(nanos)))
            };
            prop_assert_eq!(read(&[text.as_bytes()], None), expected);
        }

        #[test]
        fn whole_seconds_are_themselves(seconds in 0_u64..1_000_000_000_000) {
            prop_assert_eq!(read(&[seconds.to_string().as_bytes()], None), wait(seconds * 1000));
        }
    }
}
