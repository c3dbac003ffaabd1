//! Numbers, times and sizes as people read them.
//!
//! Every quantity is rounded before its unit is chosen, so that no `1000 ms` or `60.0 s` is ever printed.

use std::time::Duration;

pub(crate) use crate::model::{count, counted};

/// A time that a user waited: `340 ms`, `6.3 s`, `2 min 5 s`, `27 h 46 min`.
#[must_use]
pub(crate) fn duration(time: Duration) -> String {
    let millis = rounded(time.as_micros(), 1_000);
    let tenths = rounded(time.as_millis(), 100);
    let seconds = rounded(time.as_millis(), 1_000);
    let minutes = rounded(time.as_millis(), 60_000);
    match () {
        () if millis < 1_000 => format!("{millis} ms"),
        () if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        () if seconds < 3_600 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        () if seconds < 3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        () if minutes.is_multiple_of(60) => format!("{} h", count(clamped(minutes / 60))),
        () => format!("{} h {} min", count(clamped(minutes / 60)), minutes % 60),
    }
}

/// How old something is: as [`duration`], from two days on in whole days, `18 days`.
#[must_use]
pub(crate) fn age(time: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    match time.as_secs() / DAY {
        0 | 1 => duration(Duration::from_secs(time.as_secs())),
        days => format!("{} days", count(days)),
    }
}

/// A time still to go, in whole seconds, rounded up so that it reaches 0 only when it is over: `4 s`.
#[must_use]
pub(crate) fn time_left(time: Duration) -> String {
    match time.as_millis().div_ceil(1_000) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => duration(Duration::from_secs(clamped(seconds))),
    }
}

/// The time of one answer: `850 µs`, `3.4 ms`, `98 ms`, `1.3 s`.
#[must_use]
pub(crate) fn latency(time: Duration) -> String {
    let tenths = rounded(time.as_micros(), 100);
    match () {
        () if time.as_micros() < 1_000 => format!("{} µs", time.as_micros()),
        () if tenths < 100 => format!("{}.{} ms", tenths / 10, tenths % 10),
        () => duration(time),
    }
}

/// Bytes in decimal units: `812 bytes`, `7.3 MB`, `734 MB`.
#[must_use]
pub(crate) fn size(bytes: u64) -> String {
    const LARGEST: (&str, u128) = ("PB", 1_000_000_000_000_000);
    const UNITS: [(&str, u128); 4] =
        [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000)];
    if bytes < 1_000 {
        return counted(bytes, "byte", "bytes");
    }
    let bytes = u128::from(bytes);
    let (name, unit) = UNITS.into_iter().find(|&(_, unit)| rounded(bytes, unit) < 1_000).unwrap_or(LARGEST);
    match rounded(bytes * 10, unit) {
        tenths @ 0..1_000 => format!("{}.{} {name}", tenths / 10, tenths % 10),
        _ => format!("{} {name}", count(clamped(rounded(bytes, unit)))),
    }
}

/// Things a second: `952/s`, `4.2/s`; slow ones by the minute or the hour: `12/min`.
#[must_use]
pub(crate) fn per_second(rate: f64) -> String {
    let rate = if rate.is_finite() && rate > 0.0 { rate } else { return "0/s".into() };
    let [minute, hour] = [rate * 60.0, rate * 3_600.0];
    match () {
        () if rate >= 9.95 => format!("{}/s", count(whole(rate))),
        () if rate >= 0.95 => format!("{rate:.1}/s"),
        () if minute >= 9.95 => format!("{}/min", count(whole(minute))),
        () if minute >= 0.95 => format!("{minute:.1}/min"),
        () => format!("{hour:.1}/h"),
    }
}

/// A share of a whole: `7.7 %`. Nothing that is there is 0 %, and nothing that lacks a part 100 %.
#[must_use]
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match part as f64 * 100.0 / whole.max(1) as f64 {
        _ if part == whole && part > 0 => "100 %".into(),
        _ if part == 0 => "0 %".into(),
        share if share < 0.05 => "under 0.1 %".into(),
        share if share > 99.94 => "over 99.9 %".into(),
        share => format!("{share:.1} %"),
    }
}

/// A finite, positive number rounded to the nearest whole one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates at both ends"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn rounded(number: u128, unit: u128) -> u128 {
    (number + unit / 2) / unit
}

fn clamped(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// `a`, `a and b`, `a, b and c`.
#[must_use]
pub(crate) fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_have_thousands_separators() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(counted(1, "retry", "retries"), "1 retry");
        assert_eq!(counted(0, "retry", "retries"), "0 retries");
    }

    #[test]
    fn durations_choose_their_unit_after_rounding() {
        for (micros, text) in [
            (0, "0 ms"),
            (340_000, "340 ms"),
            (999_499, "999 ms"),
            (999_500, "1.0 s"),
            (6_300_000, "6.3 s"),
            (59_940_000, "59.9 s"),
            (59_960_000, "1 min"),
            (125_000_000, "2 min 5 s"),
            (3_599_400_000, "59 min 59 s"),
            (3_599_600_000, "1 h"),
            (99_960_000_000, "27 h 46 min"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text, "{micros}");
        }
        assert!(duration(Duration::MAX).contains(" h"));
    }

    #[test]
    fn latencies_keep_two_digits_where_they_matter() {
        for (micros, text) in [
            (850, "850 µs"),
            (999, "999 µs"),
            (3_440, "3.4 ms"),
            (9_960, "10 ms"),
            (98_200, "98 ms"),
            (1_310_000, "1.3 s"),
        ] {
            assert_eq!(latency(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_countdown_reaches_zero_only_when_it_is_over() {
        assert_eq!(time_left(Duration::ZERO), "0 s");
        assert_eq!(time_left(Duration::from_millis(1)), "1 s");
        assert_eq!(time_left(Duration::from_secs(12)), "12 s");
        assert_eq!(time_left(Duration::from_millis(59_001)), "1 min");
        assert_eq!(time_left(Duration::from_secs(72)), "1 min 12 s");
    }

    #[test]
    fn sizes_are_decimal() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (7_310_000, "7.3 MB"),
            (99_960, "100 kB"),
            (999_600, "1.0 MB"),
            (734_000_000, "734 MB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!(size(u64::MAX), "18,447 PB");
    }

    #[test]
    fn slow_rates_are_shown_by_the_minute_or_the_hour() {
        for (rate, text) in [
            (952.4, "952/s"),
            (50_000.0, "50,000/s"),
            (9.96, "10/s"),
            (4.21, "4.2/s"),
            (0.2, "12/min"),
            (0.02, "1.2/min"),
            (0.001, "3.6/h"),
            (0.0, "0/s"),
            (f64::NAN, "0/s"),
            (f64::INFINITY, "0/s"),
        ] {
            assert_eq!(per_second(rate), text);
        }
    }

    #[test]
    fn no_share_is_rounded_to_nothing_or_to_all() {
        for (part, whole, text) in [
            (0, 0, "0 %"),
            (0, 7, "0 %"),
            (7, 7, "100 %"),
            (1, 13, "7.7 %"),
            (1, 10_000, "under 0.1 %"),
            (9_999, 10_000, "over 99.9 %"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
    }

    #[test]
    fn lists_end_with_and() {
        let parts: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        assert_eq!(listed(&parts[..0]), "");
        assert_eq!(listed(&parts[..1]), "a");
        assert_eq!(listed(&parts[..2]), "a and b");
        assert_eq!(listed(&parts), "a, b and c");
    }

    proptest! {
        #[test]
        fn a_count_without_its_separators_is_the_number(number: u64) {
            prop_assert_eq!(count(number).replace(',', ""), number.to_string());
        }

        #[test]
        fn no_size_or_time_prints_a_thousand_of_its_unit(number: u64) {
            prop_assert!(!size(number / 2_000).starts_with("1000 "));
            prop_assert!(!duration(Duration::from_micros(number)).contains("60 s"));
            prop_assert!(!latency(Duration::from_micros(number)).starts_with("1000 "));
        }
    }
}
