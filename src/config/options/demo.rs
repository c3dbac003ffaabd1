//! The options of the built-in API. They stand in table `run`.

use std::time::Duration;

use crate::config::choices::Percent;
use crate::config::joined::joined;
use crate::config::setting::{Handle, Setting, Table, Takes};
use crate::config::values::{self, or_none};
use crate::model::Rate;
use crate::model::option;

/// Those that mean something only with [`DEMO`].
pub(crate) static OF_THE_DEMO: &[&Setting] =
    &[&DEMO_LATENCY.setting, &DEMO_FAILURES.setting, &DEMO_MISSING.setting, &DEMO_RATE.setting];

pub(crate) static DEMO: Handle<bool> = Handle {
    setting: Setting::flag(
        Table::Run,
        option::DEMO,
        joined!("Fetch from the built-in catalogue API, not ", option::URL),
    ),
    read: |given| given.flag(),
};

pub(crate) static DEMO_LATENCY: Handle<Duration> = Handle {
    setting: Setting::new(
        Table::Run,
        option::DEMO_LATENCY,
        Takes::Word("TIME"),
        "Demo: the time an answer takes",
    )
    .default("50ms"),
    read: |given| given.parse(values::duration),
};

pub(crate) static DEMO_FAILURES: Handle<Percent> = Handle {
    setting: Setting::new(
        Table::Run,
        option::DEMO_FAILURES,
        Takes::Word("N%"),
        "Demo: the share of requests that fail",
    )
    .default("1%"),
    read: |given| given.choice(),
};

pub(crate) static DEMO_MISSING: Handle<Percent> = Handle {
    setting: Setting::new(
        Table::Run,
        option::DEMO_MISSING,
        Takes::Word("N%"),
        "Demo: the share of SKUs that get 404",
    )
    .default("0%"),
    read: |given| given.choice(),
};

pub(crate) static DEMO_RATE: Handle<Option<Rate>> = Handle {
    setting: Setting::new(Table::Run, option::DEMO_RATE, Takes::Word("N/s"), "Demo: over this rate, 429")
        .default("none"),
    read: |given| given.parse(or_none(values::rate)),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demo() {
        assert_eq!((DEMO.of(&[]), DEMO.of(&["true"])), (Ok(false), Ok(true)));
    }

    #[test]
    fn demo_latency() {
        assert_eq!(DEMO_LATENCY.of(&[]), Ok(Duration::from_millis(50)));
        assert_eq!(DEMO_LATENCY.of(&["0s"]), Ok(Duration::ZERO));
        assert!(DEMO_LATENCY.refuses("5").contains("is not a duration"));
    }

    #[test]
    fn demo_failures() {
        assert_eq!(DEMO_FAILURES.of(&[]).unwrap().to_string(), "1%");
        assert!(DEMO_FAILURES.refuses("off").contains("is not a percentage"));
    }

    #[test]
    fn demo_missing() {
        assert_eq!(DEMO_MISSING.of(&[]).unwrap().to_string(), "0%");
        assert_eq!(DEMO_MISSING.of(&["0.1%"]).unwrap().to_string(), "0.1%");
        assert!(DEMO_MISSING.refuses("few").contains("is not a percentage"));
    }

    #[test]
    fn demo_rate() {
        assert_eq!(DEMO_RATE.of(&[]), Ok(None));
        assert_eq!(DEMO_RATE.of(&["600/m"]), Ok(Some("600/m".parse().unwrap())));
        assert!(DEMO_RATE.refuses("5").contains("is not a rate"));
    }
}
