//! Quantities, written alike on the command line, in the environment and in the config file.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// An invalid quantity: what was expected, with an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(String);

/// `5/s`, `600/m`, `1000/h`: a number of attempts a second, a minute or an hour. `20 keys/m`: of keys. Never zero.
///
/// ```
/// let rate: skufetch::testing::model::Rate = "300/m".parse().unwrap();
/// assert_eq!(rate.interval().as_millis(), 200);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    unit: char,
    counts_keys: bool,
}

impl Rate {
    /// Whether keys are counted: an attempt counts as many as it asks for.
    #[must_use]
    pub fn counts_keys(self) -> bool {
        self.counts_keys
    }

    /// The time from one attempt, or key, to the next, rounded up to nanoseconds: never faster than the rate.
    #[must_use]
    pub fn interval(self) -> Duration {
        let nanos = self.period().as_nanos().div_ceil(u128::from(self.count.get()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Attempts, or keys, a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.count.get()) / self.period().as_secs_f64()
    }

    fn period(self) -> Duration {
        Duration::from_secs(match self.unit {
            's' => 1,
            'm' => 60,
            _ => 3600,
        })
    }
}

/// What is behind the number of a rate of keys.
const KEYS: &str = " keys";

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = if self.counts_keys { KEYS } else { "" };
        write!(f, "{}{keys}/{}", self.count, self.unit)
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError(format!("`{text}` is not a rate: write 200/s, 600/m or 5000/h"));
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let unit = match unit {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            _ => return Err(wrong()),
        };
        let (count, counts_keys) = match count.strip_suffix(KEYS.trim_start()) {
            Some(count) => (count.trim_end(), true),
            None => (count, false),
        };
        let count = digits(count).and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new);
        Ok(Self { count: count.ok_or_else(wrong)?, unit, counts_keys })
    }
}

/// A number of bytes: `10MiB`, `64KiB`, `1GiB`, `500kB`, `1000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError(format!("`{text}` is not a size: write 10MiB, 500kB or a number of bytes"));
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let factor: u64 = match &text[end..] {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" | "K" => 1 << 10,
            "MiB" | "M" => 1 << 20,
            "GiB" | "G" => 1 << 30,
            _ => return Err(wrong()),
        };
        digits(&text[..end]).and_then(|n| n.checked_mul(factor)).map(Size).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1 << 30 && n % (1 << 30) == 0 => write!(f, "{}GiB", n >> 30),
            n if n >= 1 << 20 && n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n >= 1 << 10 && n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}"),
        }
    }
}

/// A set of HTTP statuses, written `408,425,500,502-504`.
///
/// ```
/// let statuses: skufetch::testing::model::StatusSet = "408,500-504".parse().unwrap();
/// assert!(statuses.contains(503) && !statuses.contains(404));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSet {
    text: String,
    ranges: Vec<(u16, u16)>,
}

impl StatusSet {
    /// Whether the set contains this status.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.ranges.iter().any(|&(low, high)| (low..=high).contains(&status))
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The lowest status of the set.
    #[must_use]
    pub fn lowest(&self) -> Option<u16> {
        self.ranges.iter().map(|&(low, _)| low).min()
    }

    /// A status that both sets contain.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<u16> {
        let ends = self.ranges.iter().chain(&other.ranges).map(|&(low, _)| low);
        ends.filter(|&status| self.contains(status) && other.contains(status)).min()
    }
}

impl FromStr for StatusSet {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = |part: &str| {
            UnitError(format!(
                "`{part}` is not a status or a range of them: write 404 or 500-504, with commas between"
            ))
        };
        let code =
            |part: &str| digits(part).and_then(|n| u16::try_from(n).ok()).filter(|n| (100..=599).contains(n));
        let mut ranges = Vec::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            match (code(low.trim()), code(high.trim())) {
                (Some(low), Some(high)) if low <= high => ranges.push((low, high)),
                _ => return Err(wrong(part)),
            }
        }
        Ok(Self { text: text.trim().to_owned(), ranges })
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Digits only (`u64::from_str` would accept a leading `+`).
#[must_use]
pub(crate) fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_a_count_and_a_unit() {
        let rate: Rate = "200/s".parse().unwrap();
        assert_eq!(rate.interval(), Duration::from_millis(5));
        for (text, shown, counts_keys) in
            [("20 keys/m", "20 keys/m", true), ("20keys/s", "20 keys/s", true), ("20/m", "20/m", false)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.to_string().as_str(), rate.counts_keys()), (shown, counts_keys));
        }
        assert_eq!("600/m".parse::<Rate>().unwrap().interval(), Duration::from_millis(100));
        assert_eq!("3/h".parse::<Rate>().unwrap().interval(), Duration::from_mins(20));
        assert_eq!("3/s".parse::<Rate>().unwrap().interval(), Duration::from_nanos(333_333_334));
        for wrong in ["", "5", "0/s", "+5/s", "-5/s", "5/d", "5/s/s", "1.5/s", "99999999999/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!("10MiB".parse::<Size>().unwrap(), Size(10 << 20));
        assert_eq!("500kB".parse::<Size>().unwrap(), Size(500_000));
        assert_eq!("7".parse::<Size>().unwrap(), Size(7));
        assert_eq!(Size(10 << 20).to_string(), "10MiB");
        for wrong in ["", "MiB", "-1", "+1", "1.5MiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn status_sets_take_codes_and_ranges() {
        let set: StatusSet = "408,425, 502-504".parse().unwrap();
        assert!(set.contains(408) && set.contains(503) && !set.contains(505) && !set.contains(500));
        assert!("".parse::<StatusSet>().unwrap().is_empty());
        assert_eq!((set.lowest(), StatusSet::default().lowest()), (Some(408), None));
        for (other, common) in
            [("500-599", Some(502)), ("503", Some(503)), ("400-599", Some(408)), ("505", None), ("", None)]
        {
            assert_eq!(set.common(&other.parse().unwrap()), common, "{other}");
            assert_eq!(other.parse::<StatusSet>().unwrap().common(&set), common, "{other}");
        }
        for wrong in ["4o4", "504-502", "99", "600", "404,", "-404", "1-2-3"] {
            assert!(wrong.parse::<StatusSet>().is_err(), "{wrong}");
        }
    }
}
