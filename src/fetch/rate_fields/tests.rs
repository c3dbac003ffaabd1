//! The families of quota fields, and what is ignored in them.

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
    let older = [("RateLimit", "limit=100, remaining=7, reset=5"), ("RateLimit-Policy", "10;w=1, 100;w=60")];
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
    let used_up =
        [("X-Contentful-RateLimit-Hour-Remaining", "0"), ("X-Contentful-RateLimit-Second-Remaining", "9")];
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
    assert_eq!(read(&[("X-RateLimit-Remaining", "5"), ("x-next-replenish-time", &replenished)]), left(5, 6));
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
        assert_eq!(read(&[("X-RateLimit-Remaining", wrong), ("X-RateLimit-Reset", "5")]), None, "{wrong}");
        assert_eq!(read(&[("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset", wrong)]), None, "{wrong}");
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
    let fallback = [("RateLimit", "gibberish"), ("X-RateLimit-Remaining", "5"), ("X-RateLimit-Reset", "6")];
    assert_eq!(read(&fallback), left(5, 6));
    let twice = [("X-RateLimit-Remaining", "5"), ("X-RateLimit-Remaining", "9"), ("X-RateLimit-Reset", "6")];
    assert_eq!(read(&twice), left(5, 6), "of two fields the first counts");
}

#[test]
fn a_fraction_of_a_request_is_none_however_near_it_is_to_one() {
    for (text, remaining) in [("0.9", 0), ("0.9999999999", 0), ("7.99999999999", 7), (".5", 0), ("007", 7)] {
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
