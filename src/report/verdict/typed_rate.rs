//! A rate as it is typed, in the unit that fits.

use crate::report::format;

/// How many seconds each unit has, the shortest first.
const UNITS: [(f64, char); 3] = [(1.0, 's'), (60.0, 'm'), (3_600.0, 'h')];
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

    proptest! {
        #[test]
        fn what_is_typed_is_the_rate_to_about_a_percent(rate in 0.03f64..1e6) {
            let typed = typed_rate(rate).parse::<Rate>().unwrap().per_second();
            prop_assert!((typed / rate - 1.0).abs() < 0.0125, "{rate} {}", typed_rate(rate));
        }
    }
}
