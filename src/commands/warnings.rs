//! Warnings before the first request that depend on several modules.

use std::time::Duration;

use crate::collect::Recovered;
use crate::config::Settings;
use crate::config::options::{FRESH, MAX_AGE, NO_HEADERS};
use crate::input::{Columns, may_be_a_key};
use crate::model::display_safe;
use crate::report::format::{self, counted};

/// Characters of a name in a warning.
const NAME_SHOWN: usize = 40;

/// The warning about an input that ends in a Ctrl-Z.
pub(super) const END_MARK: &str =
    "the input ends with a Ctrl-Z, by which DOS marks the end of a text; it is no row";

/// A warning if the header looks like a SKU: the input probably has no header line, and its first SKU would be lost.
pub(super) fn headless(settings: &Settings, columns: &Columns) -> Option<String> {
    let (name, others) = columns.names.split_first()?;
    let is_like_a_sku = name.contains(|c: char| c.is_ascii_digit()) && !may_be_a_key(name);
    let is_alone = others.iter().all(String::is_empty);
    (columns.headers && settings.input.key.is_none() && is_alone && is_like_a_sku).then(|| {
        format!(
            "the first line, `{}`, was read as the header and is not requested; if it is a SKU, add {NO_HEADERS}",
            display_safe(name, NAME_SHOWN)
        )
    })
}

/// Warnings about the answers in the journal of an interrupted run: how many are older than `--max-age`, how many
/// have a status that this run does not keep, and how old the oldest of the others is.
pub(super) fn about_the_journal(settings: &Settings, recovered: &Recovered) -> Vec<String> {
    const OLD: Duration = Duration::from_hours(24);
    let Recovered { expired, unwanted, oldest, .. } = *recovered;
    let mut notes = Vec::new();
    let again = |answers: u64, why: &str| {
        let answers = counted(answers, "answer", "answers");
        format!("the journal of the interrupted run has {answers} {why}: requested again")
    };
    if let (1.., Some(age)) = (expired, settings.output.max_age) {
        notes.push(again(expired, &format!("older than {MAX_AGE} {}", humantime::format_duration(age))));
    }
    if unwanted > 0 {
        notes.push(again(unwanted, "with a status that this run does not keep"));
    }
    if let Some(age) = oldest.filter(|oldest| *oldest > OLD) {
        notes.push(format!(
            "the oldest answer in the journal of the interrupted run is {} old; {MAX_AGE} 20h requests older ones \
             again, {FRESH} all",
            format::age(age)
        ));
    }
    notes
}
