//! Every option, by table, in the order of `--help`. Each is described once, in the file of its table: name,
//! table, value, default, help and how its value is read. The command line, the environment, the config file
//! and reports are all driven from this list, so that none of them can have a setting the others do not.

#[cfg_attr(not(feature = "demo"), allow(dead_code, reason = "a build without the built-in API lists none"))]
mod demo;
mod input;
mod output;
mod pace;
mod request;
mod response;
mod retry;
mod run;
mod token;

pub(crate) use demo::*;
pub(crate) use input::{
    DELIMITER, EMPTY_KEY, ENCODING, ESCAPE, KEY, LIMIT, NO_HEADERS, QUOTE, SHORT_ROWS, SKIP_LINES,
};
pub(crate) use output::{
    CHANGES, COLUMNS, CSV_BOM, FAILED, FORMAT, GUARD, MERGE, MIN_SUCCESS, OUTPUT, PRUNE, SHAPE, STREAM,
};
pub(crate) use pace::{BURST, CONCURRENCY, MAX_TIME, RATE};
pub(crate) use request::{
    BODY, BODY_ESCAPE, BULK, CA_CERT, CONNECT_TIMEOUT, COOKIES, FOLLOW, HEADER, HTTP, HeaderLine, INSECURE,
    ITEM, JOIN, METHOD, NEXT, PAGES, PROXY, SEPARATOR, TIMEOUT, URL,
};
pub(crate) use response::{
    BODY_AS, BULK_ITEMS, BULK_KEY, FAIL_IF, MAX_BODY, NULL_IF, NULL_ON, REFUSED_IF, RETRY_IF, SELECT,
};
pub(crate) use retry::{MAX_RETRY_AFTER, QUOTA_FIELDS, RETRIES, RETRY_ON};
pub(crate) use run::{
    DRY_RUN, FRESH, JOURNAL_DIR, LOCK_WAIT, LOG_FORMAT, MAX_AGE, PROGRESS, RATE_STORE, REPORT, RUN_ID, SHARD,
    WAIT_FOR_API,
};
pub(crate) use token::{
    CLIENT_ID, CLIENT_SECRET, SCOPE, TOKEN_COMMAND, TOKEN_FIELD, TOKEN_FILE, TOKEN_GRANT, TOKEN_ON, TOKEN_URL,
};

use crate::config::setting::without_dashes;
pub use crate::config::setting::{Setting, Table, Takes};
use crate::model::option;

/// Every setting, by table.
pub static SETTINGS: &[(Table, &[&Setting])] = &[
    (Table::Input, input::SETTINGS),
    (Table::Request, request::SETTINGS),
    (Table::Pace, pace::SETTINGS),
    (Table::Retry, retry::SETTINGS),
    (Table::Response, response::SETTINGS),
    (Table::Output, output::SETTINGS),
    (Table::Run, OF_THE_RUN),
];

static OF_THE_RUN: &[&Setting] = &[
    &FRESH.setting,
    &MAX_AGE.setting,
    &WAIT_FOR_API.setting,
    &SHARD.setting,
    &RUN_ID.setting,
    &RATE_STORE.setting,
    &LOCK_WAIT.setting,
    &JOURNAL_DIR.setting,
    &DRY_RUN.setting,
    &PROGRESS.setting,
    &REPORT.setting,
    &LOG_FORMAT.setting,
    #[cfg(feature = "demo")]
    &DEMO.setting,
    #[cfg(feature = "demo")]
    &DEMO_LATENCY.setting,
    #[cfg(feature = "demo")]
    &DEMO_FAILURES.setting,
    #[cfg(feature = "demo")]
    &DEMO_MISSING.setting,
    #[cfg(feature = "demo")]
    &DEMO_RATE.setting,
];

// Options of the command line that are no settings: neither the config file nor the environment has them.
pub(super) const CONFIG: &str = without_dashes(option::CONFIG);
pub(super) const VERBOSE: &str = without_dashes(option::VERBOSE);
pub(super) const QUIET: &str = without_dashes(option::QUIET);
pub(super) const HELP: &str = without_dashes(option::HELP);
pub(super) const VERSION: &str = without_dashes(option::VERSION);

/// All of them.
pub(super) const NOT_SETTINGS: &[&str] = &[CONFIG, VERBOSE, QUIET, HELP, VERSION];

/// Every setting, in the order of `--help`.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().flat_map(|(_, settings)| settings.iter().copied())
}

/// Whether a word is the address of an API and no file's name.
#[must_use]
pub(super) fn is_address(word: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| word.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme)))
}

/// The setting with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

/// The table with this name.
pub(super) fn table(name: &str) -> Option<Table> {
    SETTINGS.iter().map(|(table, _)| *table).find(|table| table.name() == name)
}

/// The candidate that was probably meant: at most a third of its letters differ, as in cargo's
/// suggestions; `_` counts as `-`.
#[must_use]
pub fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.replace('_', "-").to_lowercase();
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_settings_share_a_name_or_a_letter() {
        let mut names: Vec<_> = all().map(|s| s.name).collect();
        let mut letters: Vec<_> = all().filter_map(|s| s.short).chain(['h', 'V', 'v', 'q']).collect();
        let before = (names.len(), letters.len());
        names.sort_unstable();
        names.dedup();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!((names.len(), letters.len()), before);
        assert!(names.iter().all(|name| !NOT_SETTINGS.contains(name)));
    }

    #[test]
    fn each_setting_is_listed_under_its_own_table() {
        for (table, settings) in SETTINGS {
            assert!(settings.iter().all(|setting| setting.table == *table), "{}", table.name());
        }
    }

    #[test]
    fn an_option_that_a_help_text_names_exists() {
        for setting in all() {
            let texts = [setting.help, setting.more].join(" ");
            for (at, _) in texts.match_indices("--") {
                let name: String =
                    texts[at + 2..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                assert!(find(&name).is_some() || cfg!(not(feature = "demo")), "{setting}: --{name}");
            }
        }
    }

    #[test]
    fn the_nearest_name_forgives_a_misspelling_and_an_underscore_but_does_not_guess() {
        let names = || all().map(|s| s.name);
        assert_eq!(nearest("raet", names()), Some("rate"));
        assert_eq!(nearest("max_retry_after", names()), Some("max-retry-after"));
        assert_eq!(nearest("Concurency", names()), Some("concurrency"));
        assert_eq!(nearest("elephant", names()), None);
    }
}
