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
    if !headers.keys().any(may_tell_quota) {
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

/// Whether a field of this name may be one of those that quotas are read from.
pub(super) fn may_tell_quota(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("ratelimit")
        || name.starts_with("x-rate")
        || name.starts_with("x-contentful-ratelimit")
        || name == "x-shopify-shop-api-call-limit"
        || name == "x-amzn-ratelimit-limit"
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
mod tests;
