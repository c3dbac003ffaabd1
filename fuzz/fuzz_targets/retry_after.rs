//! `Retry-After` of any bytes is seconds, decimal seconds or a date relative to the answer's own `Date`, a number too
//! long, or nothing. A clock can represent every wait.
#![no_main]

use std::time::{Duration, Instant, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use skufetch::testing::fetch::retry_after;
use skufetch::testing::model::RetryAfter;

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    now: u32,
    first: &'a [u8],
    date: Option<&'a [u8]>,
    second: Option<&'a [u8]>,
}

fuzz_target!(|case: Case<'_>| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(case.now) * 2);
    let mut headers = HeaderMap::new();
    let Ok(first) = HeaderValue::from_bytes(case.first) else { return };
    headers.append(RETRY_AFTER, first);
    for (name, value) in [(RETRY_AFTER, case.second), (DATE, case.date)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
            headers.append(name, value);
        }
    }
    let read = retry_after(&headers, now);
    let date = headers.get(DATE).map(HeaderValue::as_bytes);
    assert_eq!(read, expected(case.first.trim_ascii(), date, now), "of two fields the first counts");
    if let Some(RetryAfter::Wait(wait)) = read {
        assert!(wait <= Duration::from_secs(100_000_000_000_000));
        assert!(Instant::now().checked_add(wait).is_some() && now.checked_add(wait).is_some());
    }
});

/// The contract in other words: digits one by one.
fn expected(value: &[u8], date: Option<&[u8]>, now: SystemTime) -> Option<RetryAfter> {
    let points = value.iter().filter(|&&byte| byte == b'.').count();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || points > 1 || digits + points != value.len() {
        let until = http_date(value)?;
        let wait = until.duration_since(date.and_then(http_date).unwrap_or(now));
        return Some(RetryAfter::Wait(wait.unwrap_or(Duration::ZERO)));
    }
    let point = value.iter().position(|&byte| byte == b'.').unwrap_or(value.len());
    let mut seconds: u64 = 0;
    for digit in &value[..point] {
        seconds = seconds.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    if seconds >= 100_000_000_000_000 {
        return Some(RetryAfter::TooLong);
    }
    let mut nanos = 0;
    let mut unit = 100_000_000;
    let mut finer = false;
    for digit in value.get(point + 1..).unwrap_or_default() {
        nanos += u64::from(digit - b'0') * unit;
        finer |= unit == 0 && *digit != b'0';
        unit /= 10;
    }
    Some(RetryAfter::Wait(Duration::from_secs(seconds) + Duration::from_nanos(nanos + u64::from(finer))))
}

fn http_date(bytes: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(bytes).ok()?.trim_ascii()).ok()
}
