//! A rate as it is typed, in the unit that fits.

use std::ops::RangeInclusive;

use crate::report::format;

/// How many seconds each unit has, the shortest first.
const UNITS: [(f64, char); 3] = [(1.0, 's'), (60.0, 'm'), (3_600.0, 'h')];
/// Up to which numbers limits are configured in each.
const USUAL: [f64; 3] = [f64::MAX, 6_000.0, 1_000.0];
/// Digits that are seldom the number of a limit: a measured 9.3/s is rather most of 10/s than a little over 9/s.
const SELDOM: [f64; 2] = [7.0, 9.0];
/// From so many a minute on, a limit is rather configured by the second, or in thousands.
const THOUSANDS_FROM: f64 = 600.0;
/// `--rate` is kept a little below its number, so that one that is this much too high is refused nothing.
const ROUNDED_UP: f64 = 0.007;
/// What is lost by rounding down.
const ROUNDED_DOWN: f64 = 0.012;
/// Two digits are easier to read than three.
const DIGITS: [u32; 2] = [2, 3];

/// A rate that can be typed: `20/s`, `100/m`, `50/h`. The unit is the shortest in which two or three digits are true to
/// about a percent; one in which they are exact goes first.
#[must_use]
pub(crate) fn typed_rate(per_second: f64) -> String {
    let per_second = if per_second.is_finite() { per_second } else { 1.0 };
    let numbers = UNITS.map(|(seconds, unit)| (per_second * seconds, unit));
    let exact = numbers.iter().find_map(|(number, unit)| {
        let round = to_digits(*number, f64::round, 3);
        let is_exact = *number >= 0.5 && (number - round).abs() <= number * 1e-6;
        is_exact.then(|| typed(round, *unit))
    });
    let near = || numbers.iter().find_map(|(number, unit)| Some(typed(rounded(*number)?, *unit)));
    exact.or_else(near).unwrap_or_else(|| typed(numbers[2].0.floor(), 'h'))
}

/// The rate in this range that is a round number in one of the units, as limits are configured: a digit and zeros
/// (`20/s`, `100/m`; not `7/s` and `9/s`), or two digits of which the second is 5 (`15/s`, `250/m`); from `600/m` on only
/// thousands. That of the shortest unit, the nearest to `per_second`.
#[must_use]
pub(crate) fn round_rate(per_second: f64, range: RangeInclusive<f64>) -> Option<f64> {
    UNITS.into_iter().zip(USUAL).find_map(|((seconds, unit), usual)| {
        let number = per_second * seconds;
        if !(0.9..=usual * 1.02).contains(&number) {
            return None;
        }
        let digit = 10f64.powf(number.log10().floor());
        let step = match unit {
            'm' if number >= THOUSANDS_FROM => 1_000.0,
            _ if digit >= 10.0 => digit / 2.0,
            _ => 1.0,
        };
        let candidates = [(number / step).floor() * step, (number / step).ceil() * step];
        let is_usual = |round: &f64| *round >= 1.0 && !SELDOM.contains(round);
        let is_near = |round: &f64| is_usual(round) && range.contains(&(round / seconds));
        let off = |round: &f64| (round - number).abs();
        let nearest = candidates.into_iter().filter(is_near).min_by(|a, b| off(a).total_cmp(&off(b)));
        nearest.map(|round| round / seconds)
    })
}

fn typed(number: f64, unit: char) -> String {
    format!("{}/{unit}", format::whole(number).clamp(1, u64::from(u32::MAX)))
}

/// A number of two or three digits that is near enough, if there is one.
fn rounded(number: f64) -> Option<f64> {
    let is_near = |rounded: &f64| {
        let off = (rounded - number) / number;
        *rounded >= 1.0 && (-ROUNDED_DOWN..=ROUNDED_UP).contains(&off)
    };
    DIGITS.iter().find_map(|digits| {
        [f64::round, f64::floor].into_iter().map(|round| to_digits(number, round, *digits)).find(is_near)
    })
}

/// A whole number with so many digits, the rest zeros.
fn to_digits(number: f64, round: fn(f64) -> f64, digits: u32) -> f64 {
    let step = 10f64.powf((number.log10().floor() + 1.0 - f64::from(digits)).max(0.0));
    round(number / step) * step
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Rate;

    #[test]
    fn a_rate_is_typed_in_the_unit_that_fits() {
        for (rate, text) in [
            (20.0, "20/s"),
            (19.9, "20/s"),
            (19.4, "1160/m"),
            (952.4, "950/s"),
            (200.3, "200/s"),
            (187.6, "188/s"),
            (2.0, "2/s"),
            (1.96, "118/m"),
            (100.0 / 60.0, "100/m"),
            (50.0 / 3_600.0, "50/h"),
            (5_000.0 / 3_600.0, "5000/h"),
            (1.0, "1/s"),
            (0.5, "30/m"),
            (0.3, "18/m"),
            (0.001, "3/h"),
            (0.0, "1/h"),
            (-1.0, "1/h"),
            (f64::INFINITY, "1/s"),
            (f64::NAN, "1/s"),
            (1e30, "4294967295/s"),
        ] {
            assert_eq!(typed_rate(rate), text, "{rate}");
            assert!(typed_rate(rate).parse::<Rate>().is_ok());
        }
    }

    #[test]
    fn a_round_number_is_one_that_limits_are_configured_with() {
        for (measured, round) in [
            (19.5, Some("20/s")),
            (20.5, Some("20/s")),
            (1.99, Some("2/s")),
            (14.9, Some("15/s")),
            (198.0, Some("200/s")),
            (2.46, Some("150/m")),
            (1.65, Some("100/m")),
            (0.49, Some("30/m")),
            (0.0137, Some("50/h")),
            (37.0, None),
            (13.7, None),
            (33.4, Some("2000/m")),
            (9.2, Some("550/m")),
            (7.1, None),
            (0.117, None),
            (8.1, Some("8/s")),
            (70.5, Some("70/s")),
            (187.6, None),
            (0.0001, None),
        ] {
            let found = round_rate(measured, measured * 0.97..=measured * 1.026);
            assert_eq!(found.map(typed_rate).as_deref(), round, "{measured}");
        }
        assert_eq!(round_rate(19.5, 19.0..=19.9), None);
    }

    proptest! {
        #[test]
        fn a_round_number_is_within_its_range_and_is_typed_as_it_is(rate in 0.01f64..1e5) {
            if let Some(round) = round_rate(rate, rate * 0.97..=rate * 1.026) {
                prop_assert!((rate * 0.969..=rate * 1.027).contains(&round));
                let typed = typed_rate(round).parse::<Rate>().unwrap().per_second();
                prop_assert!((typed / round - 1.0).abs() < 1e-6, "{}", typed_rate(round));
            }
        }

        #[test]
        fn what_is_typed_is_the_rate_to_about_a_percent(rate in 0.03f64..1e6) {
            let typed = typed_rate(rate).parse::<Rate>().unwrap().per_second();
            prop_assert!((typed / rate - 1.0).abs() < 0.0125, "{rate} {}", typed_rate(rate));
        }
    }
}
