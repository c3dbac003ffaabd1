//! The options of table `pace`.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::joined::joined;
use crate::config::setting::{Handle, InTune, Setting, Table, Takes};
use crate::config::values::{self, or_none};
use crate::limit::Concurrency;
use crate::model::Rate;
use crate::model::option;

pub(crate) static SETTINGS: &[&Setting] =
    &[&CONCURRENCY.setting, &RATE.setting, &BURST.setting, &MAX_TIME.setting];

pub(crate) static CONCURRENCY: Handle<Concurrency> = Handle {
    setting: Setting::new(
        Table::Pace,
        option::CONCURRENCY,
        Takes::Word("N|auto:MAX"),
        "Requests in flight at most",
    )
    .short('c')
    .default("auto")
    .more("auto finds the number that pays, up to MAX (auto alone: 64).")
    .in_tune(InTune::Other {
        help: "Climb to N or MAX workers at most [default: auto]",
        long: "Climb to N, auto (64) or auto:MAX workers at most [default: auto]",
        more: "",
    }),
    read: |given| given.choice(),
};

pub(crate) static RATE: Handle<Option<Rate>> = Handle {
    setting: Setting::new(Table::Pace, option::RATE, Takes::Word("N/s"), "At most N/s, N/m or N/h")
        .short('r')
        .default("none")
        .more(joined!(
            "Requests a second, a minute or an hour. Every attempt counts, retries and redirects too. With ",
            option::BULK,
            " '20 keys/m' counts SKUs in place of requests.",
        )),
    read: |given| given.parse(or_none(values::rate)),
};

/// In attempts.
pub(crate) static BURST: Handle<NonZeroU32> = Handle {
    setting: Setting::new(Table::Pace, option::BURST, Takes::Word("N"), "At once after a quiet time")
        .default("1"),
    read: |given| given.parse(values::non_zero),
};

/// From the start.
pub(crate) static MAX_TIME: Handle<Option<Duration>> = Handle {
    setting: Setting::new(Table::Pace, option::MAX_TIME, Takes::Word("TIME"), "Stop within this time")
        .default("none")
        .more(
            "Counts from the start. No work is started that would end later, what is in flight is \
             drained, and the journal is kept: the same command resumes from there.",
        )
        .in_tune(InTune::Other {
            help: "Stop within this time [default: 1m]",
            long: "",
            more: "The best of what was measured by then is named.",
        }),
    read: |given| given.parse(or_none(values::timeout)),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency() {
        assert_eq!(CONCURRENCY.of(&[]), Ok(Concurrency::default()));
        assert_eq!(CONCURRENCY.of(&["16"]), Ok("16".parse().unwrap()));
        assert_eq!(CONCURRENCY.of(&["auto:256"]).unwrap().ceiling().get(), 256);
        assert!(!CONCURRENCY.refuses("0").is_empty());
    }

    #[test]
    fn rate() {
        assert_eq!(RATE.of(&[]), Ok(None));
        assert_eq!(RATE.of(&["600/m"]), Ok(Some("600/m".parse().unwrap())));
        assert_eq!(RATE.refuses("5"), "`5` is not a rate: write 200/s, 600/m or 5000/h");
    }

    #[test]
    fn burst() {
        assert_eq!(BURST.of(&[]), Ok(NonZeroU32::MIN));
        assert!(BURST.refuses("4294967296").contains("is not a whole number from 1"));
    }

    #[test]
    fn max_time() {
        assert_eq!(MAX_TIME.of(&[]), Ok(None));
        assert_eq!(MAX_TIME.of(&["8m"]), Ok(Some(Duration::from_mins(8))));
        assert!(MAX_TIME.refuses("0s").contains("leaves no time"));
    }
}
