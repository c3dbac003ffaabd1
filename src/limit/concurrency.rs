//! `--concurrency`: a number, or `auto` with a ceiling. Written the same way on the command line,
//! in the environment and in the config file.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::model::units::digits;

/// The ceiling of a bare `auto`: what most APIs bear from one client, and what the contract names.
const AUTO_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// The most that can be asked for: no machine has more ports towards one address.
const MOST: usize = 65_536;

/// How many attempts may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// At most this many.
    Fixed(NonZeroUsize),
    /// As many as pay, found while running.
    Auto {
        /// Never more than this.
        max: NonZeroUsize,
    },
}

impl Concurrency {
    /// The number of attempts that are never exceeded.
    #[must_use]
    pub fn ceiling(self) -> NonZeroUsize {
        match self {
            Self::Fixed(most) | Self::Auto { max: most } => most,
        }
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self::Auto { max: AUTO_MAX }
    }
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(most) => write!(f, "{most}"),
            Self::Auto { max } if *max == AUTO_MAX => f.write_str("auto"),
            Self::Auto { max } => write!(f, "auto:{max}"),
        }
    }
}

/// A wrong concurrency: what stands there and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a concurrency: write a number from 1 to {MOST}, auto, or auto:256")]
pub struct ConcurrencyError(String);

impl FromStr for Concurrency {
    type Err = ConcurrencyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |part: &str| {
            let number = digits(part)
                .and_then(|n| usize::try_from(n).ok())
                .filter(|n| *n <= MOST)
                .and_then(NonZeroUsize::new);
            number.ok_or_else(|| ConcurrencyError(text.to_owned()))
        };
        match text.strip_prefix("auto") {
            Some("") => Ok(Self::default()),
            Some(rest) => {
                let max = rest.strip_prefix(':').ok_or_else(|| ConcurrencyError(text.to_owned()))?;
                Ok(Self::Auto { max: number(max)? })
            }
            None => Ok(Self::Fixed(number(text)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concurrency_is_a_number_or_auto_with_a_ceiling() {
        for (text, shown, ceiling) in [
            ("16", "16", 16),
            ("auto", "auto", 64),
            ("auto:64", "auto", 64),
            ("auto:256", "auto:256", 256),
            ("1", "1", 1),
        ] {
            let parsed: Concurrency = text.parse().unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(parsed.ceiling().get(), ceiling);
            assert_eq!(shown.parse::<Concurrency>().unwrap(), parsed);
        }
    }

    #[test]
    fn a_wrong_concurrency_says_what_was_expected() {
        for wrong in [
            "",
            "0",
            "-1",
            "+4",
            "auto:",
            "auto:0",
            "auto16",
            "Auto",
            "1.5",
            " 4",
            "auto:auto",
            "65537",
            "auto:65537",
        ] {
            let error = wrong.parse::<Concurrency>().unwrap_err();
            assert!(error.to_string().contains("auto:256"), "{wrong}");
        }
    }
}
