//! Quantities that only the settings use. Parsing and `Display` are inverse.

use std::fmt;
use std::str::FromStr;

use crate::config::values::{ValueError, quoted};
use crate::model::shard::MOST_SHARDS;
use crate::model::units::digits;

/// A share from `0%` to `100%`, to a thousandth of a percent; the sign may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// The share, from 0 to 1.
    #[must_use]
    pub fn share(self) -> f64 {
        f64::from(self.0) / 100_000.0
    }

    /// Whether `part` of `whole` is at least this share, computed without rounding.
    #[must_use]
    pub fn reached_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 100_000 >= u128::from(whole) * u128::from(self.0)
    }
}

impl FromStr for Percent {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let thousandths = digits(whole).filter(|whole| *whole <= 100).and_then(|whole| {
            let padded = Some(fraction).filter(|f| f.len() <= 3).and_then(|f| digits(&format!("{f:0<3}")))?;
            u32::try_from(whole * 1_000 + padded).ok().filter(|n| !fraction.is_empty() && *n <= 100_000)
        });
        thousandths.map(Self).ok_or_else(|| {
            ValueError(format!("{} is not a percentage from 0 to 100: write 50% or 99.5%", quoted(text)))
        })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000, self.0 % 1_000);
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{fraction:03}").trim_end_matches('0'))
    }
}

/// `--guard`: a share, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guard(pub Option<Percent>);

impl FromStr for Guard {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "off" => Ok(Self(None)),
            _ => text
                .parse()
                .map(|percent| Self(Some(percent)))
                .map_err(|ValueError(why)| ValueError(format!("{why}, or off"))),
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(percent) => percent.fmt(f),
            None => f.write_str("off"),
        }
    }
}

/// `--shard`: the number of a shard, or `auto` where the scheduler tells it, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardChoice {
    /// From 0; none for `auto`.
    pub(crate) index: Option<u32>,
    pub(crate) count: u32,
}

impl FromStr for ShardChoice {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = |text: &str| digits(text).and_then(|number| u32::try_from(number).ok());
        let wrong = || {
            ValueError(format!(
                "{} is no shard: write 3/16, or auto/16 where the scheduler tells the number, with at most {MOST_SHARDS} \
                 shards",
                quoted(text)
            ))
        };
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let count = number(count).filter(|count| (1..=MOST_SHARDS).contains(count)).ok_or_else(wrong)?;
        if index == "auto" {
            return Ok(Self { index: None, count });
        }
        let index = number(index).ok_or_else(wrong)?;
        if index >= count {
            return Err(ValueError(format!(
                "{} is no shard: they are counted from 0, and the last one is {}/{count}",
                quoted(text),
                count - 1
            )));
        }
        Ok(Self { index: Some(index), count })
    }
}

impl fmt::Display for ShardChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{index}/{}", self.count),
            None => write!(f, "auto/{}", self.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_percentage_is_exact_and_its_sign_is_optional() {
        assert_eq!("50".parse::<Percent>().unwrap(), "50%".parse().unwrap());
        assert_eq!("99.95%".parse::<Percent>().unwrap().to_string(), "99.95%");
        assert!((("1%".parse::<Percent>().unwrap()).share() - 0.01).abs() < f64::EPSILON);
        let half: Percent = "50".parse().unwrap();
        assert!(half.reached_by(1, 2) && !half.reached_by(4_999, 10_000));
        assert!("0".parse::<Percent>().unwrap().reached_by(0, 9));
        assert!("100".parse::<Percent>().unwrap().reached_by(9, 9));
        for wrong in ["", "%", "101", "100.001", "-1", "+1", "5.", ".5", "1.2345", "50%%", "NaN", "1e1"] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_guard_is_a_percentage_or_off() {
        for text in ["off", "50%", "0%", "12.5%"] {
            assert_eq!(text.parse::<Guard>().unwrap().to_string(), text);
        }
        let wrong = "none".parse::<Guard>().unwrap_err().to_string();
        assert!(wrong.contains("or off"), "{wrong}");
    }

    #[test]
    fn a_shard_reads_back_as_it_was_shown() {
        for text in ["0/1", "3/16", "auto/16", "99998/99999"] {
            assert_eq!(text.parse::<ShardChoice>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn a_percentage_reads_back_as_it_was_shown(thousandths in 0..=100_000u32) {
            let percent = Percent(thousandths);
            prop_assert_eq!(percent.to_string().parse(), Ok(percent));
        }

        #[test]
        fn no_text_panics_a_percentage(text in ".{0,40}") {
            let _ = text.parse::<Percent>();
        }
    }
}
