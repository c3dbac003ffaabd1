//! The client's quota as servers report it, before they refuse a request.
//!
//! Four families of fields report it: the current IETF draft (draft-ietf-httpapi-ratelimit-headers-10: `RateLimit`
//! and `RateLimit-Policy`, lists of structured fields), its older forms (`RateLimit: limit=…,
//! remaining=…, reset=…`, and the three fields `RateLimit-Limit`, `-Remaining`, `-Reset`), and the
//! `X-RateLimit-*` and `X-Rate-Limit-*` that came before. The first that can be read counts. What
//! cannot be read is ignored: these fields only ever slow the pool.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

use super::field_value::{Number, answered_at, http_date, number};

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedQuota {
    /// Requests that may still be sent before the reset.
    pub remaining: u64,
    /// How long until the quota is full again, from when the server answered. Decades where the number was too long to
    /// have a meaning.
    pub reset: Duration,
}

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The names of remaining and reset in the families of separate fields.
static PAIRS: [[HeaderName; 2]; 3] = [
    [HeaderName::from_static("ratelimit-remaining"), HeaderName::from_static("ratelimit-reset")],
    [HeaderName::from_static("x-ratelimit-remaining"), HeaderName::from_static("x-ratelimit-reset")],
    [HeaderName::from_static("x-rate-limit-remaining"), HeaderName::from_static("x-rate-limit-reset")],
];

/// Reads the quota of an answer; of several, the one that allows least per second. Instants are relative to the answer's
/// `Date`, or to `now` where that cannot be read.
#[must_use]
pub fn quota(headers: &HeaderMap, now: SystemTime) -> Option<ReportedQuota> {
    // Most answers have none of the fields, and checking each name costs less than looking up all of them.
    if !headers
        .keys()
        .any(|name| name.as_str().starts_with("ratelimit") || name.as_str().starts_with("x-rate"))
    {
        return None;
    }
    structured(headers, now).or_else(|| PAIRS.iter().find_map(|names| pair(headers, names, now)))
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
        // Without a `t` the quota is full again within a window at the latest.
        let reset = match parameter(parameters, "t") {
            Some(text) => reset(text, headers, now)?,
            None => policy.and_then(|policy| policy.window)?,
        };
        Some(ReportedQuota { remaining, reset })
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
    Some(ReportedQuota { remaining, reset: reset(value("reset")?, headers, now)? })
}

/// Separate fields, one number each.
fn pair(headers: &HeaderMap, names: &[HeaderName; 2], now: SystemTime) -> Option<ReportedQuota> {
    let [remaining, until] = names.each_ref().map(|name| headers.get(name)?.to_str().ok());
    let remaining = count(first_of_list(remaining?))?;
    let until = until?.trim();
    let reset = reset(first_of_list(until), headers, now).or_else(|| {
        let until = http_date(until.as_bytes())?;
        Some(until.duration_since(answered_at(headers, now)).unwrap_or_default())
    })?;
    Some(ReportedQuota { remaining, reset })
}

/// What counts of one member of `RateLimit-Policy`: `"default";q=100;w=10`, or `100;w=10` in older versions.
struct QuotaPolicy<'a> {
    name: &'a str,
    window: Option<Duration>,
    /// False for quotas counted in something else, such as bytes.
    of_requests: bool,
}

fn policy(member: &str) -> QuotaPolicy<'_> {
    let (name, parameters) = item(member);
    QuotaPolicy {
        name,
        window: parameter(parameters, "w").and_then(number).and_then(|window| match window {
            Number::Seconds(window) => Some(window),
            Number::TooLong => None,
        }),
        of_requests: parameter(parameters, "qu").is_none_or(|unit| unit == "requests"),
    }
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

/// The time until a reset. It is written as seconds from now, or as an instant in seconds or milliseconds since 1970;
/// the size shows which: no quota lasts for 30 years (10⁹ s), and 10¹¹ is the year 5138 in seconds, but 1973 in
/// milliseconds.
fn reset(text: &str, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let instant = match number(text.trim())? {
        Number::TooLong => return Some(Duration::from_secs(100_000_000_000)),
        Number::Seconds(value) if value.as_secs() < 1_000_000_000 => return Some(value),
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

    fn read(fields: &[(&str, &str)]) -> Option<ReportedQuota> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        quota(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is compared with what was read")]
    fn left(remaining: u64, reset: u64) -> Option<ReportedQuota> {
        Some(ReportedQuota { remaining, reset: Duration::from_secs(reset) })
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
            let quota = read(&fields).unwrap();
            assert_eq!((quota.remaining, quota.reset), (59, Duration::from_millis(2_500)));
        }
    }

    #[test]
    fn a_reset_is_told_apart_by_its_size() {
        let until = |reset: &str, date: Option<&str>| {
            let mut fields = vec![("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", reset)];
            fields.extend(date.map(|date| ("Date", date)));
            read(&fields).map(|quota| quota.reset.as_millis())
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
            fields in proptest::collection::vec((0_usize..13, "[ -~\u{80}-\u{ff}]{0,40}"), 0..8),
        ) {
            harmless(&fields)?;
        }

        #[test]
        fn nearly_right_fields_do_no_harm(
            fields in proptest::collection::vec(
                (0_usize..13, r#"(["a;,\\ ]{0,3}[;,]?(r|t|q|w|limit|remaining|reset|qu)?=?[0-9]{0,22}\.?[0-9]{0,12}){0,4}"#),
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
                prop_assert_eq!(quota(&headers, time(ours)), left(5, wait));
            }
        }

        #[test]
        fn a_count_is_the_digits_before_the_point_in_every_family(
            family in 0_usize..5, left in "[0-9]{1,20}([.][0-9]{0,12})?", reset in 0_u64..1_000_000_000,
        ) {
            let fields = match family {
                0 => vec![("ratelimit", format!("\"a\";r={left};t={reset}"))],
                1 => vec![("ratelimit", format!("limit=9, remaining={left}, reset={reset}"))],
                _ => {
                    let [remaining, until] = &PAIRS[family - 2];
                    vec![(remaining.as_str(), left.clone()), (until.as_str(), reset.to_string())]
                }
            };
            let whole = left.split('.').next().unwrap().trim_start_matches('0');
            let expected = if whole.len() > 14 { u64::MAX } else { whole.parse().unwrap_or(0) };
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let found = read(&fields).map(|quota| (quota.remaining, quota.reset.as_secs()));
            prop_assert_eq!(found, Some((expected, reset)));
        }
    }

    fn harmless(fields: &[(usize, String)]) -> Result<(), TestCaseError> {
        let names = PAIRS.iter().flatten().chain([&RATELIMIT, &RATELIMIT_POLICY]);
        let names: Vec<&str> = names
            .map(HeaderName::as_str)
            .chain(["ratelimit-limit", "x-ratelimit-limit", "x-rate-limit-limit", "date", "retry-after"])
            .collect();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (names[*name], value.as_str())).collect();
        if let Some(quota) = read(&fields) {
            prop_assert!(std::time::Instant::now().checked_add(quota.reset).is_some());
        }
        Ok(())
    }
}
