//! The client's quota as servers report it, before they refuse a request.
//!
//! Several families of fields report it: the current IETF draft (draft-ietf-httpapi-ratelimit-headers-10: `RateLimit`
//! and `RateLimit-Policy`, lists of structured fields), its older forms (`RateLimit: limit=…,
//! remaining=…, reset=…`, and the three fields `RateLimit-Limit`, `-Remaining`, `-Reset`), the
//! `X-RateLimit-*` and `X-Rate-Limit-*` that came before, those of `BigCommerce` and Contentful, Kong's with the window in
//! the name, Shopify's level of a bucket, and Amazon's rate. The first that can be read counts. What
//! cannot be read, or cannot be, is ignored: these fields only ever slow the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

use crate::model::QuotaSize;

use super::field_value::{Number, answered_at, http_date, number};

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportedQuota {
    /// Requests that may still be sent before the reset; the largest number where that is not said.
    pub remaining: u64,
    /// How long until the quota is full again, from when the server answered. Decades where the number was too long to
    /// have a meaning.
    pub reset: Duration,
    /// The whole quota, where it is said.
    pub limit: Option<f64>,
    /// The time that the whole quota is for, where it is said.
    pub window: Option<Duration>,
    /// It does not come back at the reset, but all the time: as much as the limit in a window.
    pub is_bucket: bool,
    /// The reset was said; otherwise it is a window away at most.
    pub is_reset_said: bool,
}

/// The size of the quota that the newest fields said, for whoever reports it.
#[derive(Debug, Clone, Default)]
pub(super) struct NewestQuotaSize(Arc<[AtomicU64; 2]>);

impl NewestQuotaSize {
    /// Takes note of a quota whose size is said.
    pub(super) fn note(&self, quota: &ReportedQuota) {
        let Some(limit) = quota.limit.filter(|limit| limit.is_finite() && *limit > 0.0) else { return };
        let [of_limit, of_window] = &*self.0;
        of_limit.store(limit.to_bits(), Ordering::Relaxed);
        let millis = quota.window.map_or(0, |window| u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        of_window.store(millis, Ordering::Relaxed);
    }

    /// The newest one, if there was one.
    pub(super) fn get(&self) -> Option<QuotaSize> {
        let [of_limit, of_window] = &*self.0;
        let limit = Some(f64::from_bits(of_limit.load(Ordering::Relaxed))).filter(|limit| *limit > 0.0)?;
        let millis = Some(of_window.load(Ordering::Relaxed)).filter(|millis| *millis > 0);
        Some(QuotaSize { limit, window: millis.map(Duration::from_millis) })
    }
}

/// What an answer is, as far as its fields are to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credence {
    /// It refuses the request: the server means what its fields say.
    Refusal,
    /// Any other: a reset that is more than a day away counts only where a window says the same.
    Usual,
}

/// A reset further away is unlikely to be one.
const DAY: Duration = Duration::from_hours(24);
/// Shopify's buckets, of whatever size, empty in this time.
const SHOPIFY_WINDOW: Duration = Duration::from_secs(20);

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The names of one family of separate fields.
struct FieldFamily {
    remaining: &'static str,
    /// Empty: it has none, and the window counts.
    reset: &'static str,
    limit: &'static str,
    window: FamilyWindow,
}

/// Where the window of a family is said.
enum FamilyWindow {
    /// In the limit field or in `RateLimit-Policy`, if at all.
    Elsewhere,
    /// In a field, in milliseconds, as is the reset.
    Milliseconds(&'static str),
    /// In the names of the fields.
    Fixed(Duration),
}

const fn family(remaining: &'static str, reset: &'static str, limit: &'static str) -> FieldFamily {
    FieldFamily { remaining, reset, limit, window: FamilyWindow::Elsewhere }
}

const fn of_window(remaining: &'static str, limit: &'static str, seconds: u64) -> FieldFamily {
    FieldFamily { remaining, reset: "", limit, window: FamilyWindow::Fixed(Duration::from_secs(seconds)) }
}

/// The families of separate fields; the first that can be read counts.
static FAMILIES: [FieldFamily; 10] = [
    family("ratelimit-remaining", "ratelimit-reset", "ratelimit-limit"),
    family("x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-limit"),
    family("x-rate-limit-remaining", "x-rate-limit-reset", "x-rate-limit-limit"),
    family("x-ratelimit-remain", "x-ratelimit-reset", "x-ratelimit-limit"),
    family("x-rate-limit-remain", "x-rate-limit-reset", "x-rate-limit-limit"),
    family("ratelimit-remain", "ratelimit-reset", "ratelimit-limit"),
    family("x-ratelimit-remaining", "x-next-replenish-time", "x-ratelimit-limit"),
    family("x-rate-limit-remaining", "x-next-replenish-time", "x-rate-limit-limit"),
    family("x-ratelimit-remain", "x-next-replenish-time", "x-ratelimit-limit"),
    FieldFamily {
        remaining: "x-rate-limit-requests-left",
        reset: "x-rate-limit-time-reset-ms",
        limit: "x-rate-limit-requests-quota",
        window: FamilyWindow::Milliseconds("x-rate-limit-time-window-ms"),
    },
];

/// Families with a window in their names. Of several of them the tightest counts.
static WINDOW_FAMILIES: [FieldFamily; 6] = [
    of_window("x-ratelimit-remaining-second", "x-ratelimit-limit-second", 1),
    of_window("x-ratelimit-remaining-minute", "x-ratelimit-limit-minute", 60),
    of_window("x-ratelimit-remaining-hour", "x-ratelimit-limit-hour", 3_600),
    of_window("x-ratelimit-remaining-day", "x-ratelimit-limit-day", 86_400),
    of_window("x-contentful-ratelimit-second-remaining", "x-contentful-ratelimit-second-limit", 1),
    of_window("x-contentful-ratelimit-hour-remaining", "x-contentful-ratelimit-hour-limit", 3_600),
];

/// Reads the quota of an answer; of several, the one that allows least per second. Instants are relative to the answer's
/// `Date`, or to `now` where that cannot be read.
#[must_use]
pub fn quota(headers: &HeaderMap, now: SystemTime, credence: Credence) -> Option<ReportedQuota> {
    // Most answers have none of the fields, and checking each name costs less than looking up all of them.
    let is_told = |name: &str| {
        name.starts_with("ratelimit")
            || name.starts_with("x-rate")
            || name.starts_with("x-contentful-ratelimit")
            || name == "x-shopify-shop-api-call-limit"
            || name == "x-amzn-ratelimit-limit"
    };
    if !headers.keys().any(|name| is_told(name.as_str())) {
        return None;
    }
    let found = structured(headers, now)
        .or_else(|| FAMILIES.iter().find_map(|family| separate(headers, family, now)))
        .or_else(|| {
            WINDOW_FAMILIES.iter().filter_map(|family| separate(headers, family, now)).min_by(tighter)
        })
        .or_else(|| shopify(headers))
        .or_else(|| amazon(headers))?;
    let is_believed = credence == Credence::Refusal
        || found.reset <= DAY
        || found.window.is_some_and(|window| found.reset <= window);
    is_believed.then_some(found)
}

/// The families `RateLimit` with parameters, and `RateLimit` as a dictionary.
fn structured(headers: &HeaderMap, now: SystemTime) -> Option<ReportedQuota> {
    if !headers.contains_key(&RATELIMIT) {
        return None;
    }
    let policies: Vec<QuotaPolicy> = members(headers, &RATELIMIT_POLICY).map(policy).collect();
    let listed = members(headers, &RATELIMIT).filter_map(|member| {
        let (name, parameters) = item(member);
        // A dictionary's member may look like an item; only items have an `r`.
        let remaining = count(parameter(parameters, "r")?)?;
        let policy = policies.iter().find(|policy| policy.name == name);
        if policy.is_some_and(|policy| !policy.of_requests) {
            return None;
        }
        let (limit, window) = policy.map_or((None, None), |policy| (policy.limit, policy.window));
        // Without a `t` the quota is full again within a window at the latest.
        let told = parameter(parameters, "t");
        let reset = match told {
            Some(text) => reset(text, headers, (now, window))?,
            None => window?,
        };
        let is_reset_said = told.is_some();
        Some(ReportedQuota { remaining, reset, limit, window, is_bucket: false, is_reset_said })
    });
    listed.min_by(tighter).or_else(|| dictionary(headers, now))
}

/// `limit=100, remaining=50, reset=30` (the draft's versions up to 07).
fn dictionary(headers: &HeaderMap, now: SystemTime) -> Option<ReportedQuota> {
    let value = |key: &str| {
        let mut values = members(headers, &RATELIMIT).filter_map(|member| member.split_once('='));
        let (_, value) = values.find(|(name, _)| name.trim().eq_ignore_ascii_case(key))?;
        Some(value.trim())
    };
    let remaining = count(value("remaining")?)?;
    let limit = value("limit").and_then(decimal);
    let window = window_of(headers, limit);
    let reset = reset(value("reset")?, headers, (now, window))?;
    Some(ReportedQuota { remaining, reset, limit, window, is_bucket: false, is_reset_said: true })
}

/// Separate fields, one number each.
fn separate(headers: &HeaderMap, family: &FieldFamily, now: SystemTime) -> Option<ReportedQuota> {
    let field = |name: &str| headers.get(name)?.to_str().ok();
    let remaining = count(first_of_list(field(family.remaining)?))?;
    let limit_field = field(family.limit);
    let limit = limit_field.and_then(|text| decimal(first_of_list(text)));
    let millis = |text: &str| match number(text.trim())? {
        Number::Seconds(millis) => Some(millis / 1000),
        Number::TooLong => None,
    };
    let (window, reset) = match family.window {
        FamilyWindow::Fixed(window) => (Some(window), window),
        FamilyWindow::Milliseconds(name) => {
            (field(name).and_then(millis).filter(|window| !window.is_zero()), millis(field(family.reset)?)?)
        }
        FamilyWindow::Elsewhere => {
            let in_limit = limit_field.and_then(|text| window_in(text, limit));
            let window = in_limit.or_else(|| window_of(headers, limit));
            let until = field(family.reset)?.trim();
            let read = reset(first_of_list(until), headers, (now, window)).or_else(|| {
                let until = http_date(until.as_bytes())?;
                Some(until.duration_since(answered_at(headers, now)).unwrap_or_default())
            });
            (window, read?)
        }
    };
    let is_reset_said = !family.reset.is_empty();
    Some(ReportedQuota { remaining, reset, limit, window, is_bucket: false, is_reset_said })
}

/// `39/40`: so much of a bucket is full. It empties all the time, a twentieth a second.
fn shopify(headers: &HeaderMap) -> Option<ReportedQuota> {
    let (used, limit) = headers.get("x-shopify-shop-api-call-limit")?.to_str().ok()?.split_once('/')?;
    let (used, size) = (count(used)?, count(limit)?);
    let limit = decimal(limit).filter(|limit| *limit >= 1.0)?;
    let share = u32::try_from(used.min(size)).ok().zip(u32::try_from(size).ok());
    let reset = share.map(|(used, size)| SHOPIFY_WINDOW * used / size)?;
    Some(ReportedQuota {
        remaining: size.saturating_sub(used),
        reset,
        limit: Some(limit),
        window: Some(SHOPIFY_WINDOW),
        is_bucket: true,
        is_reset_said: false,
    })
}

/// `2.0`: the rate by itself, in requests a second.
fn amazon(headers: &HeaderMap) -> Option<ReportedQuota> {
    let value = headers.get("x-amzn-ratelimit-limit")?.to_str().ok()?;
    Some(ReportedQuota {
        remaining: u64::MAX,
        reset: Duration::ZERO,
        limit: Some(decimal(value).filter(|rate| *rate > 0.0)?),
        window: Some(Duration::from_secs(1)),
        is_bucket: true,
        is_reset_said: false,
    })
}

/// What counts of one member of `RateLimit-Policy`: `"default";q=100;w=10`, or `100;w=10` in older versions.
struct QuotaPolicy<'a> {
    name: &'a str,
    limit: Option<f64>,
    window: Option<Duration>,
    /// False for quotas counted in something else, such as bytes.
    of_requests: bool,
}

fn policy(member: &str) -> QuotaPolicy<'_> {
    let (name, parameters) = item(member);
    QuotaPolicy {
        name,
        limit: parameter(parameters, "q").or(Some(name)).and_then(decimal),
        window: parameter(parameters, "w").and_then(number).and_then(|window| match window {
            Number::Seconds(window) => Some(window).filter(|window| !window.is_zero()),
            Number::TooLong => None,
        }),
        of_requests: parameter(parameters, "qu").is_none_or(|unit| unit == "requests"),
    }
}

/// The window of the quota with this limit, by `RateLimit-Policy`.
fn window_of(headers: &HeaderMap, limit: Option<f64>) -> Option<Duration> {
    let limit = limit?;
    let mut policies = members(headers, &RATELIMIT_POLICY).map(policy);
    policies.find(|policy| policy.of_requests && policy.limit == Some(limit))?.window
}

/// The window in a limit field: `100, 100;w=60`.
fn window_in(text: &str, limit: Option<f64>) -> Option<Duration> {
    let limit = limit?;
    let mut policies = outside_quotes(text, ',').map(policy);
    policies.find(|policy| policy.limit == Some(limit) && policy.window.is_some())?.window
}

/// Orders quotas by what they allow per second, then by how long they last. One that is reset at once allows anything.
fn tighter(a: &ReportedQuota, b: &ReportedQuota) -> std::cmp::Ordering {
    // 2^60 requests by the longest reset (10^20 ns) fit into 128 bits; nobody has counted so many.
    let product = |quota: &ReportedQuota, other: &ReportedQuota| {
        u128::from(quota.remaining.min(1 << 60)) * other.reset.as_nanos()
    };
    let at_once = |quota: &ReportedQuota| quota.reset.is_zero();
    at_once(a)
        .cmp(&at_once(b))
        .then_with(|| product(a, b).cmp(&product(b, a)))
        .then_with(|| b.reset.cmp(&a.reset))
}

/// A count of requests. A fraction of a request is none, so only the digits before the point count.
fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    match number(text)? {
        Number::Seconds(_) => Some(text.split('.').next()?.parse().unwrap_or(0)),
        Number::TooLong => Some(u64::MAX),
    }
}

/// A number that may have decimals.
fn decimal(text: &str) -> Option<f64> {
    match number(text.trim())? {
        Number::Seconds(value) => Some(value.as_secs_f64()),
        Number::TooLong => None,
    }
}

/// The time until a reset. It is written as seconds or milliseconds from now, or as an instant in seconds or
/// milliseconds since 1970; the size shows which: no quota lasts for 30 years (10⁹ s), 10¹¹ is the year 5138 in
/// seconds, but 1973 in milliseconds, and nothing is reset later than after its window.
fn reset(text: &str, headers: &HeaderMap, (now, window): (SystemTime, Option<Duration>)) -> Option<Duration> {
    let instant = match number(text.trim())? {
        Number::TooLong => return Some(Duration::from_secs(100_000_000_000)),
        Number::Seconds(value) if value.as_secs() < 1_000_000_000 => {
            let is_millis = window.is_some_and(|window| value > window * 2 && value / 1000 <= window);
            return Some(if is_millis { value / 1000 } else { value });
        }
        Number::Seconds(value) if value.as_secs() < 100_000_000_000 => value,
        Number::Seconds(value) => Duration::from_millis(value.as_secs()),
    };
    let answered = answered_at(headers, now).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Some(instant.saturating_sub(answered))
}

/// The members of a list or dictionary, all lines of the field taken as one (RFC 9651 section 4.2).
fn members<'a>(headers: &'a HeaderMap, name: &'static HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| outside_quotes(line, ',')).filter(|member| !member.is_empty())
}

/// An item's value (without its quotes) and its parameters.
fn item(member: &str) -> (&str, &str) {
    let value = outside_quotes(member, ';').next().unwrap_or_default();
    let parameters = member.get(member.find(value).unwrap_or(0) + value.len()..).unwrap_or_default();
    let name = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    (name, parameters)
}

/// The value of a parameter, without its quotes.
fn parameter<'a>(parameters: &'a str, key: &str) -> Option<&'a str> {
    let mut pairs = outside_quotes(parameters, ';').filter_map(|parameter| parameter.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == key)?;
    Some(value.trim().trim_matches('"'))
}

/// The text before the first `,` or `;`.
fn first_of_list(text: &str) -> &str {
    text.split([',', ';']).next().unwrap_or_default()
}

/// Splits at a separator outside of quoted strings, and trims the parts.
fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let splits = c == separator && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        splits
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::DATE;
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-23, by the tests' local clock.
    const NOW: u64 = 1_795_000_000;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn whole(fields: &[(&str, &str)], credence: Credence) -> Option<ReportedQuota> {
        quota(&headers(fields), SystemTime::UNIX_EPOCH + Duration::from_secs(NOW), credence)
    }

    /// What is left of a quota that is believed, and until when.
    fn read(fields: &[(&str, &str)]) -> Option<(u64, Duration)> {
        whole(fields, Credence::Refusal).map(|quota| (quota.remaining, quota.reset))
    }

    /// What is left, until when in seconds, the limit, and the window in seconds.
    fn all(fields: &[(&str, &str)]) -> Option<(u64, f64, Option<f64>, Option<f64>)> {
        let quota = whole(fields, Credence::Usual)?;
        let window = quota.window.map(|window| window.as_secs_f64());
        Some((quota.remaining, quota.reset.as_secs_f64(), quota.limit, window))
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is compared with what was read")]
    fn left(remaining: u64, reset: u64) -> Option<(u64, Duration)> {
        Some((remaining, Duration::from_secs(reset)))
    }

    #[test]
    fn limit_and_window_are_read_where_they_are_said() {
        let policy = ("RateLimit-Policy", r#""burst";q=10;w=1, "default";q=100;w=60"#);
        assert_eq!(
            all(&[policy, ("RateLimit", r#""default";r=50;t=30"#)]),
            Some((50, 30.0, Some(100.0), Some(60.0)))
        );
        let three =
            [("RateLimit-Limit", "100, 100;w=60"), ("RateLimit-Remaining", "7"), ("RateLimit-Reset", "5")];
        assert_eq!(all(&three), Some((7, 5.0, Some(100.0), Some(60.0))));
        let older =
            [("RateLimit", "limit=100, remaining=7, reset=5"), ("RateLimit-Policy", "10;w=1, 100;w=60")];
        assert_eq!(all(&older), Some((7, 5.0, Some(100.0), Some(60.0))));
        let plain = [("X-RateLimit-Limit", "60"), ("X-RateLimit-Remaining", "7"), ("X-RateLimit-Reset", "5")];
        assert_eq!(all(&plain), Some((7, 5.0, Some(60.0), None)));
    }

    #[test]
    fn the_families_of_vendors_are_read() {
        let big_commerce = [
            ("X-Rate-Limit-Time-Reset-Ms", "13500"),
            ("X-Rate-Limit-Requests-Left", "25"),
            ("X-Rate-Limit-Requests-Quota", "150"),
            ("X-Rate-Limit-Time-Window-Ms", "30000"),
        ];
        assert_eq!(all(&big_commerce), Some((25, 13.5, Some(150.0), Some(30.0))));
        let contentful = [
            ("X-Contentful-RateLimit-Hour-Limit", "36000"),
            ("X-Contentful-RateLimit-Hour-Remaining", "35883"),
            ("X-Contentful-RateLimit-Reset", "0"),
            ("X-Contentful-RateLimit-Second-Limit", "10"),
            ("X-Contentful-RateLimit-Second-Remaining", "9"),
        ];
        assert_eq!(all(&contentful), Some((9, 1.0, Some(10.0), Some(1.0))));
        let used_up = [
            ("X-Contentful-RateLimit-Hour-Remaining", "0"),
            ("X-Contentful-RateLimit-Second-Remaining", "9"),
        ];
        assert_eq!(all(&used_up), Some((0, 3600.0, None, Some(3600.0))));
        let kong = [
            ("X-RateLimit-Limit-Minute", "100"),
            ("X-RateLimit-Remaining-Minute", "99"),
            ("X-RateLimit-Limit-Hour", "100"),
            ("X-RateLimit-Remaining-Hour", "7"),
        ];
        assert_eq!(all(&kong), Some((7, 3600.0, Some(100.0), Some(3600.0))));
        let shopify = whole(&[("X-Shopify-Shop-Api-Call-Limit", "39/40")], Credence::Usual).unwrap();
        assert!(shopify.is_bucket && shopify.reset == Duration::from_millis(19_500));
        assert_eq!((shopify.remaining, shopify.limit, shopify.window), (1, Some(40.0), Some(SHOPIFY_WINDOW)));
        for wrong in ["0/0", "40", "/", "a/40", "1/-1", "99999999999999999999/99999999999999999999"] {
            assert_eq!(all(&[("X-Shopify-Shop-Api-Call-Limit", wrong)]), None, "{wrong}");
        }
        for spelling in ["X-RateLimit-Remain", "X-Rate-Limit-Remain", "RateLimit-Remain"] {
            let reset = format!("{}Reset", spelling.strip_suffix("Remain").unwrap());
            assert_eq!(read(&[(spelling, "5"), (&reset, "6")]), left(5, 6), "{spelling}");
        }
        let replenished = (NOW + 6).to_string();
        assert_eq!(
            read(&[("X-RateLimit-Remaining", "5"), ("x-next-replenish-time", &replenished)]),
            left(5, 6)
        );
    }

    #[test]
    fn a_rate_by_itself_is_read() {
        let of = |value| whole(&[("x-amzn-RateLimit-Limit", value)], Credence::Usual)?.limit;
        assert_eq!((of("2.0"), of("0.0167"), of("10")), (Some(2.0), Some(0.0167), Some(10.0)));
        for wrong in ["", "0", "0.0", "-1", "two", "99999999999999999999"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn milliseconds_beside_a_window_are_not_taken_for_seconds() {
        for (reset, seconds) in [("60000", 60.0), ("59000", 59.0), ("30", 30.0), ("60", 60.0), ("61", 61.0)] {
            let fields =
                [("RateLimit-Limit", "100;w=60"), ("RateLimit-Remaining", "0"), ("RateLimit-Reset", reset)];
            assert_eq!(all(&fields).unwrap().1.to_bits(), f64::to_bits(seconds), "{reset}");
        }
    }

    #[test]
    fn a_reset_over_a_day_away_counts_only_with_a_refusal_or_a_window_that_says_so() {
        let far = [("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset", "600000")];
        assert_eq!((whole(&far, Credence::Usual), read(&far)), (None, left(5, 600_000)));
        let month = [("RateLimit-Policy", r#""m";q=9;w=2592000"#), ("RateLimit", r#""m";r=5;t=600000"#)];
        assert_eq!(all(&month).map(|quota| quota.0), Some(5));
    }

    #[test]
    fn the_current_draft_is_read() {
        assert_eq!(read(&[("RateLimit", r#""default";r=50;t=30"#)]), left(50, 30));
        let policy = ("RateLimit-Policy", r#""burst";q=10;w=1, "default";q=100;w=60;pk=:cHNsZWVw=:"#);
        assert_eq!(read(&[policy, ("RateLimit", r#""default"; r=50; t=30"#)]), left(50, 30));
        assert_eq!(read(&[policy, ("RateLimit", r#""default";r=50"#)]), left(50, 60));
        assert_eq!(read(&[("RateLimit", r#""a,b;r=1;\"";r=2;t=3"#)]), left(2, 3), "a name may hold anything");
        assert_eq!(read(&[("RateLimit", "token;r=5;t=6")]), left(5, 6));
    }

    #[test]
    fn of_several_quotas_the_one_that_allows_least_counts() {
        let day_and_second = r#""day";r=100;t=80000, "second";r=9;t=1"#;
        assert_eq!(read(&[("RateLimit", day_and_second)]), left(100, 80_000));
        assert_eq!(read(&[("RateLimit", r#""a";r=0;t=5, "b";r=0;t=50, "c";r=0;t=0"#)]), left(0, 50));
        let two_lines = [("RateLimit", r#""a";r=9;t=1"#), ("RateLimit", r#""b";r=1;t=9"#)];
        assert_eq!(read(&two_lines), left(1, 9));
    }

    #[test]
    fn counts_and_resets_too_long_to_mean_anything_are_compared_as_well() {
        let (endless, never) = ("9".repeat(50), "9".repeat(60));
        let field = format!(r#""a";r={endless};t=6, "b";r=5;t={never}"#);
        assert_eq!(read(&[("RateLimit", &field)]), left(5, 100_000_000_000));
    }

    #[test]
    fn a_quota_that_counts_no_requests_is_passed_over() {
        let policy =
            ("RateLimit-Policy", r#""bytes";q=65535;qu="content-bytes";w=10, "n";q=9;qu="requests";w=10"#);
        assert_eq!(read(&[policy, ("RateLimit", r#""bytes";r=0;t=5"#)]), None);
        let both = ("RateLimit", r#""bytes";r=0;t=5, "n";r=3;t=5"#);
        assert_eq!(read(&[policy, both]), left(3, 5));
    }

    #[test]
    fn older_drafts_are_read() {
        let dictionary = ("RateLimit", "limit=100, remaining=50, reset=30");
        assert_eq!(read(&[dictionary]), left(50, 30));
        assert_eq!(read(&[dictionary, ("RateLimit-Policy", "10;w=1, 100;w=60")]), left(50, 30));
        assert_eq!(read(&[("RateLimit", "remaining=1,reset=2")]), left(1, 2));
        let three =
            [("RateLimit-Limit", "100, 100;w=60"), ("RateLimit-Remaining", "7"), ("RateLimit-Reset", "5")];
        assert_eq!(read(&three), left(7, 5));
    }

    #[test]
    fn the_x_family_is_read_under_both_spellings() {
        for family in ["X-RateLimit", "X-Rate-Limit", "x-ratelimit"] {
            let [limit, remaining, reset] =
                ["Limit", "Remaining", "Reset"].map(|last| format!("{family}-{last}"));
            let fields = [(&*limit, "60"), (&*remaining, "59.0"), (&*reset, "2.5")];
            assert_eq!(read(&fields), Some((59, Duration::from_millis(2_500))));
        }
    }

    #[test]
    fn a_reset_is_told_apart_by_its_size() {
        let until = |reset: &str, date: Option<&str>| {
            let mut fields = vec![("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", reset)];
            fields.extend(date.map(|date| ("Date", date)));
            read(&fields).map(|(_, reset)| reset.as_millis())
        };
        let table: &[(&str, u128)] = &[
            ("0", 0),
            ("30", 30_000),
            ("86400", 86_400_000),
            ("999999999", 999_999_999_000),
            ("1795000030", 30_000),
            ("1795000030.5", 30_500),
            ("1794999999", 0),
            ("1000000000", 0),
            ("1795000030250", 30_250),
            ("1794999999999", 0),
        ];
        for &(text, millis) in table {
            assert_eq!(until(text, None), Some(millis), "{text}");
        }
        // The server's clock says 1994, or is an hour ahead of ours; its instants are on the same clock.
        assert_eq!(until("784111787", Some("Sun, 06 Nov 1994 08:49:37 GMT")), Some(784_111_787_000));
        let ahead = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 3600));
        assert_eq!(until(&(NOW + 3605).to_string(), Some(&ahead)), Some(5_000));
        assert_eq!(until(&(NOW + 5).to_string(), Some("never")), Some(5_000));
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 9));
        assert_eq!(until(&date, None), Some(9_000));
        assert!(until("99999999999999999999", None) > Some(1_000_000_000_000));
    }

    #[test]
    fn what_cannot_be_read_is_as_if_absent() {
        let table = ["", "-1", "+1", "NaN", "soon", "1e3", "1 2", "\u{e9}", "0x1", "."];
        for wrong in table {
            assert_eq!(
                read(&[("X-RateLimit-Remaining", wrong), ("X-RateLimit-Reset", "5")]),
                None,
                "{wrong}"
            );
            assert_eq!(
                read(&[("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset", wrong)]),
                None,
                "{wrong}"
            );
            assert_eq!(read(&[("RateLimit", &format!("\"a\";r={wrong};t=1"))]), None, "{wrong}");
            assert_eq!(read(&[("RateLimit", &format!("\"a\";r=1;t={wrong}"))]), None, "{wrong}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("X-RateLimit-Remaining", "5")]), None, "no reset");
        assert_eq!(read(&[("RateLimit", r#""a";r=5"#)]), None, "no reset, and no window");
        assert_eq!(
            read(&[("RateLimit-Policy", r#""a";q=5;w=1"#)]),
            None,
            "a policy says nothing of what is left"
        );
        let fallback =
            [("RateLimit", "gibberish"), ("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset", "6")];
        assert_eq!(read(&fallback), left(5, 6));
        let twice =
            [("X-RateLimit-Remaining", "5"), ("X-RateLimit-Remaining", "9"), ("X-RateLimit-Reset", "6")];
        assert_eq!(read(&twice), left(5, 6), "of two fields the first counts");
    }

    #[test]
    fn a_fraction_of_a_request_is_none_however_near_it_is_to_one() {
        for (text, remaining) in
            [("0.9", 0), ("0.9999999999", 0), ("7.99999999999", 7), (".5", 0), ("007", 7)]
        {
            let fields = [("X-RateLimit-Remaining", text), ("X-RateLimit-Reset", "5")];
            assert_eq!(read(&fields), left(remaining, 5), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_field_can_do_harm(
            fields in proptest::collection::vec((0_usize..64, "[ -~\u{80}-\u{ff}]{0,40}"), 0..8),
        ) {
            harmless(&fields)?;
        }

        #[test]
        fn nearly_right_fields_do_no_harm(
            fields in proptest::collection::vec(
                (0_usize..64, r#"(["a;,\\ ]{0,3}[;,]?(r|t|q|w|limit|remaining|reset|qu)?=?[0-9]{0,22}\.?[0-9]{0,12}){0,4}"#),
                0..8,
            ),
        ) {
            harmless(&fields)?;
        }

        #[test]
        fn a_reset_is_told_on_the_servers_clock_whatever_ours_says(
            theirs in 1_000_000_000_u64..90_000_000_000, wait in 0_u64..1_000_000, ours in 0_u64..90_000_000_000,
        ) {
            let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let mut headers = HeaderMap::new();
            headers.insert(DATE, httpdate::fmt_http_date(time(theirs)).parse().unwrap());
            headers.insert("x-ratelimit-remaining", 5.into());
            let until = theirs + wait;
            let dated = httpdate::fmt_http_date(time(until)).parse().unwrap();
            for reset in [dated, HeaderValue::from(until), HeaderValue::from(until * 1000)] {
                headers.insert("x-ratelimit-reset", reset);
                let read = quota(&headers, time(ours), Credence::Refusal);
                prop_assert_eq!(read.map(|quota| (quota.remaining, quota.reset)), left(5, wait));
            }
        }

        #[test]
        fn a_count_is_the_digits_before_the_point_in_every_family(
            family in 0_usize..12, left in "[0-9]{1,20}([.][0-9]{0,12})?", reset in 0_u64..1_000_000_000,
        ) {
            let fields = match family {
                0 => vec![("ratelimit", format!("\"a\";r={left};t={reset}"))],
                1 => vec![("ratelimit", format!("limit=9, remaining={left}, reset={reset}"))],
                _ => {
                    let FieldFamily { remaining, reset: until, .. } = &FAMILIES[family - 2];
                    vec![(*remaining, left.clone()), (*until, reset.to_string())]
                }
            };
            let whole = left.split('.').next().unwrap().trim_start_matches('0');
            let expected = if whole.len() > 14 { u64::MAX } else { whole.parse().unwrap_or(0) };
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let found = read(&fields).map(|(remaining, reset)| (remaining, reset.as_secs()));
            let reset = if family == 11 { reset / 1000 } else { reset };
            prop_assert_eq!(found, Some((expected, reset)));
        }
    }

    fn harmless(fields: &[(usize, String)]) -> Result<(), TestCaseError> {
        let families = FAMILIES.iter().chain(&WINDOW_FAMILIES);
        let names: Vec<&str> = families
            .flat_map(|family| [family.remaining, family.reset, family.limit])
            .chain(["ratelimit", "ratelimit-policy", "x-rate-limit-time-window-ms"])
            .chain(["x-shopify-shop-api-call-limit", "x-amzn-ratelimit-limit", "date", "retry-after"])
            .filter(|name| !name.is_empty())
            .collect();
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (names[*name % names.len()], value.as_str())).collect();
        for credence in [Credence::Refusal, Credence::Usual] {
            if let Some(quota) = whole(&fields, credence) {
                prop_assert!(std::time::Instant::now().checked_add(quota.reset).is_some());
                prop_assert!(quota.limit.is_none_or(f64::is_finite) && quota.window != Some(Duration::ZERO));
            }
        }
        Ok(())
    }
}
