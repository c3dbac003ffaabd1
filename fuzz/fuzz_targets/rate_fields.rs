//! A quota is a count that occurs in the fields and a wait that a clock can represent, or nothing. The local clock has
//! no effect where the answer has a `Date`, and the gate is never wider afterwards.
#![no_main]

use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use http::header::DATE;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use skufetch::testing::fetch::quota;
use skufetch::testing::limit::{Concurrency, Gate, PaceSettings};

const NAMES: [&str; 12] = [
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
    "date",
];

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    now: u32,
    fields: Vec<(u8, &'a [u8])>,
}

fuzz_target!(|case: Case<'_>| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(case.now) * 2);
    let mut headers = HeaderMap::new();
    for (name, value) in case.fields {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            let name = NAMES[usize::from(name) % NAMES.len()];
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let read = quota(&headers, now);
    if headers.get(DATE).is_some_and(|date| is_date(date.as_bytes())) {
        assert_eq!(read, quota(&headers, now + Duration::from_secs(1 << 33)), "our clock has no part in it");
    }
    let Some(read) = read else { return };
    let sane =
        |time: Duration| time <= Duration::from_secs(100_000_000_000_000) && now.checked_add(time).is_some();
    assert!(sane(read.reset), "{read:?}");
    assert!(read.remaining == u64::MAX || stands_in(&headers, read.remaining), "{read:?} of {headers:?}");
    let reset = tokio::time::Instant::now().checked_add(read.reset).expect("a clock holds it");

    let concurrency = Concurrency::Fixed(NonZeroUsize::MIN.saturating_add(7));
    let settings = PaceSettings { concurrency, max_retry_after: Duration::MAX, ..PaceSettings::default() };
    let gate = Gate::new(&settings);
    let before = gate.view().limit;
    gate.report_quota(read.remaining, reset);
    let after = gate.view();
    assert!(after.limit <= before);
    assert!(read.remaining > 0 || read.reset < Duration::from_secs(1) || after.paused_until.is_some());
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
