//! A quota is a count that occurs in the fields and a wait that a clock can represent, or nothing. The local clock has
//! no effect where the answer has a `Date`, and the gate is never wider afterwards.
#![no_main]

use std::time::{Duration, SystemTime};

use http::header::DATE;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use skufetch::testing::fetch::{Credence, quota};

const NAMES: [&str; 22] = [
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-rate-limit-limit",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "x-ratelimit-remain",
    "x-next-replenish-time",
    "x-rate-limit-requests-left",
    "x-rate-limit-time-reset-ms",
    "x-rate-limit-requests-quota",
    "x-rate-limit-time-window-ms",
    "x-ratelimit-remaining-minute",
    "x-contentful-ratelimit-second-remaining",
    "x-shopify-shop-api-call-limit",
    "x-amzn-ratelimit-limit",
    "date",
];

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    now: u32,
    is_refusal: bool,
    fields: Vec<(u8, &'a [u8])>,
}

fuzz_target!(|case: Case<'_>| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(case.now) * 2);
    let mut headers = HeaderMap::new();
    for (name, value) in &case.fields {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            let name = NAMES[usize::from(*name) % NAMES.len()];
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let credence = if case.is_refusal { Credence::Refusal } else { Credence::Usual };
    let read = quota(&headers, now, credence);
    if headers.get(DATE).is_some_and(|date| is_date(date.as_bytes())) {
        assert_eq!(
            read,
            quota(&headers, now + Duration::from_secs(1 << 33), credence),
            "our clock has no part in it"
        );
    }
    let Some(read) = read else { return };
    let sane =
        |time: Duration| time <= Duration::from_secs(100_000_000_000_000) && now.checked_add(time).is_some();
    assert!(sane(read.reset), "{read:?}");
    // Of a bucket it is the difference of two numbers.
    let is_read = read.remaining == u64::MAX || read.is_bucket || stands_in(&headers, read.remaining);
    assert!(is_read, "{read:?} of {headers:?}");
    assert!(read.limit.is_none_or(f64::is_finite) && read.window != Some(Duration::ZERO), "{read:?}");
    assert!(tokio::time::Instant::now().checked_add(read.reset).is_some(), "a clock holds it: {read:?}");
});

fn is_date(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| httpdate::parse_http_date(text.trim_ascii()).is_ok())
}

/// Whether a whole number in some field is this count.
fn stands_in(headers: &HeaderMap, count: u64) -> bool {
    let wanted = count.to_string();
    headers.values().any(|value| {
        let numbers = value.as_bytes().split(|byte| !byte.is_ascii_digit());
        numbers
            .map(|digits| String::from_utf8_lossy(digits).trim_start_matches('0').to_owned())
            .any(|number| number == wanted || (count == 0 && number.is_empty()))
    })
}
