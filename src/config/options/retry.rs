//! The options of table `retry`.

use std::time::Duration;

use crate::config::setting::{Handle, InTune, Setting, Table, Takes};
use crate::config::values;
use crate::model::StatusSet;
use crate::model::option;

pub(crate) static SETTINGS: &[&Setting] =
    &[&RETRIES.setting, &RETRY_ON.setting, &MAX_RETRY_AFTER.setting, &QUOTA_FIELDS.setting];

/// After the first attempt.
pub(crate) static RETRIES: Handle<u32> = Handle {
    setting: Setting::new(Table::Retry, option::RETRIES, Takes::Word("N"), "Retries after the first attempt")
        .default("4")
        .in_tune(InTune::Ignored),
    read: |given| given.parse(values::retries),
};

pub(crate) static RETRY_ON: Handle<StatusSet> = Handle {
    setting: Setting::new(Table::Retry, option::RETRY_ON, Takes::Word("CODES"), "Statuses to retry")
        .default("408,420,425,429,500,502-504,508,509,520-524,529")
        .more(
            "Ranges are allowed; none means no status. A leading + adds to the default: +202. This also works in \
             the environment and the config file. 2xx and 3xx may be named, for example 202 for an answer that is \
             not ready. Connection faults, timeouts and cut bodies are always retried.",
        )
        .plus_counts()
        .in_tune(InTune::Other {
            help: "Statuses that are errors\n[default: 408,420,425,429,500,502-504,508,509,\n520-524,529]",
            long: "",
            more: "Nothing is retried.",
        }),
    read: |given| given.parse(|text| values::statuses_or_more(text, given.setting.default)),
};

pub(crate) static MAX_RETRY_AFTER: Handle<Duration> = Handle {
    setting: Setting::new(
        Table::Retry,
        option::MAX_RETRY_AFTER,
        Takes::Word("TIME"),
        "Longest wait a server may require",
    )
    .default("5m")
    .more(
        "A server that asks for longer in Retry-After defers the run: what is \
             left is fetched by the next one.",
    ),
    read: |given| given.parse(values::duration),
};

/// Whether they are read.
pub(crate) static QUOTA_FIELDS: Handle<bool> = Handle {
    setting: Setting::new(
        Table::Retry,
        option::QUOTA_FIELDS,
        Takes::Word("MODE"),
        "RateLimit fields: auto or off",
    )
    .default("auto")
    .more(
        "RateLimit, X-RateLimit-* and their relatives report what is left of a quota. Where they are wrong, off \
         ignores them.",
    )
    .completions(&["auto", "off"]),
    read: |given| {
        given.parse(|word| match word {
            "auto" => Ok(true),
            "off" => Ok(false),
            _ => Err(format!("{} is not one of auto or off", values::quoted(word))),
        })
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries() {
        assert_eq!((RETRIES.of(&[]), RETRIES.of(&["0"])), (Ok(4), Ok(0)));
        assert!(RETRIES.refuses("1001").contains("from 0 to 1000"));
    }

    #[test]
    fn retry_on() {
        let default = RETRY_ON.of(&[]).unwrap();
        assert!(default.contains(503) && !default.contains(501) && !default.contains(202));
        let more = RETRY_ON.of(&["+202"]).unwrap();
        assert!(more.contains(202) && more.contains(503));
        assert!(RETRY_ON.of(&["none"]).unwrap().is_empty());
        assert!(RETRY_ON.refuses("+none").contains("adds nothing"));
        let InTune::Other { help, .. } = RETRY_ON.in_tune else { panic!("tune says something else") };
        assert!(help.replace(",\n", ",").contains(RETRY_ON.default));
    }

    #[test]
    fn quota_fields() {
        assert_eq!(QUOTA_FIELDS.of(&[]), Ok(true));
        assert_eq!(QUOTA_FIELDS.of(&["off"]), Ok(false));
        assert!(QUOTA_FIELDS.refuses("on").contains("auto or off"));
    }

    #[test]
    fn max_retry_after() {
        assert_eq!(MAX_RETRY_AFTER.of(&[]), Ok(Duration::from_mins(5)));
        assert_eq!(MAX_RETRY_AFTER.of(&["0s"]), Ok(Duration::ZERO));
        assert!(MAX_RETRY_AFTER.refuses("5M").contains("is not a duration"));
    }
}
