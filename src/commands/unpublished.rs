//! Messages about an output that was held back, and about one that may be wrong.

use std::path::Path;

use super::command_error::CommandError;
use crate::collect::Degradation;
use crate::collect::{CollectError, Evidence, Format, Profile, PublishDecision, PublishOutcome};
use crate::config::Settings;
use crate::config::options::{
    BODY_AS, COLUMNS, FAIL_IF, GUARD, LIMIT, MERGE, MIN_SUCCESS, NULL_IF, SELECT, URL,
};
use crate::model::{Exit, Mask, display_safe, shell_word};
use crate::report::format::{count, counted};

/// Characters of a key, and of a body, in an example.
const KEY_CHARS: usize = 60;
const BODY_CHARS: usize = 120;

/// Why a complete output was not published; `None` where it was. An example may repeat what the API sent, so it is
/// shown through the mask.
pub(super) fn failure(published: &PublishOutcome, settings: &Settings, mask: &Mask) -> Option<CommandError> {
    let example = example(&published.evidence, mask);
    match &published.decision {
        PublishDecision::Published => None,
        PublishDecision::NothingButNulls => Some(nothing_but_nulls(&published.evidence, &example, settings)),
        PublishDecision::HeldBack(degradations) => {
            Some(held_back(degradations, published, &example, settings))
        }
    }
}

/// What should be checked though the output was published, one sentence each.
pub(super) fn warnings(published: &PublishOutcome, settings: &Settings, mask: &Mask) -> Vec<String> {
    let evidence = &published.evidence;
    let mut warnings: Vec<String> = Vec::new();
    let is_compared = evidence.old.is_none_or(|old| old.shares_comparable);
    if !is_compared && published.decision != PublishDecision::NothingButNulls {
        warnings.push(format!(
            "{} was made with another request, {}, {BODY_AS} or condition such as {FAIL_IF}: only its number of SKUs \
             was compared with the new output",
            settings.output.target,
            if settings.output.format == Format::Csv { format!("{SELECT}, {COLUMNS}") } else { SELECT.to_string() },
        ));
    }
    for (place, degradation) in published.suspicious_shares.iter().enumerate() {
        let example = if place == 0 { example(evidence, mask) } else { String::new() };
        warnings.push(format!("{}{example}: check that this is correct", share(*degradation, evidence.new)));
    }
    for degradation in &published.fetched_degradations {
        let share = share(*degradation, published.fetched);
        warnings.push(format!("of what this run fetched, {share}: check that this is correct"));
    }
    warnings
}

/// An error of the output's files, with the names that the user gave.
pub(super) fn of_collect(error: CollectError, settings: &Settings) -> CommandError {
    let CollectError::TooFewRows { path, old, rows } = &error else { return error.into() };
    let path = path.display();
    let limited = settings.input.limit.is_some_and(|limit| limit == *rows);
    let found = if limited {
        format!("{LIMIT} allows only {}", counted(*rows, "row", "rows"))
    } else {
        format!("{} has {}", settings.input_path, counted(*rows, "row", "rows"))
    };
    let message = format!("held back before the first request: {path} has {} SKUs, but {found}", count(*old));
    let keep = if settings.output.merge { String::new() } else { format!("{MERGE} keeps the other SKUs; ") };
    CommandError::new(error.exit(), message)
        .with_hint(format!("{keep}if so few rows are correct, run once with {GUARD} off"))
}

fn held_back(
    degradations: &[Degradation],
    published: &PublishOutcome,
    example: &str,
    settings: &Settings,
) -> CommandError {
    let evidence = &published.evidence;
    let mut clauses: Vec<String> = Vec::new();
    for (place, degradation) in degradations.iter().enumerate() {
        clauses.push(clause(*degradation, evidence) + if place == 0 { example } else { "" });
    }
    let message = format!("held back, {} stays as it is: {}", settings.output.target, clauses.join("; "));
    let hint = match (&published.path, &published.replaces) {
        (Some(held), Some(output)) => {
            let [from, to] = [held, output].map(|path| path_word(path));
            match degradations {
                [Degradation::Empty] => format!("to start over, remove the old file: rm {to}"),
                _ => format!("check {from}; to accept it: mv {from} {to}; or run once with {GUARD} off"),
            }
        }
        _ => format!("run once with {GUARD} off"),
    };
    CommandError::new(Exit::HeldBack, message).with_hint(hint)
}

/// A path as a command takes it: one that begins with a dash is no option.
fn path_word(path: &Path) -> String {
    let text = path.display().to_string();
    shell_word(&if text.starts_with('-') { format!("./{text}") } else { text })
}

/// What got worse, with the figures of both outputs.
fn clause(degradation: Degradation, evidence: &Evidence) -> String {
    let old = evidence.old.map(|old| old.profile);
    let before = |part: u64| {
        let all = old.map_or(0, |old| old.skus);
        format!("previously for {} of {}", count(part), count(all))
    };
    let of_old = |part: fn(&Profile) -> u64| before(old.as_ref().map_or(0, part));
    match degradation {
        Degradation::Empty => match old {
            Some(old) => format!("the new one has no SKU, in place of {}", count(old.skus)),
            None => "the new one has no SKU".to_owned(),
        },
        Degradation::Fewer => format!(
            "{} in place of {}",
            counted(evidence.new.skus, "SKU", "SKUs"),
            count(old.map_or(0, |old| old.skus))
        ),
        Degradation::Nulls => format!("{}, {}", share(degradation, evidence.new), of_old(|old| old.nulls)),
        Degradation::SameBody => {
            format!("{}, {}", share(degradation, evidence.new), of_old(|old| old.commonest))
        }
        Degradation::SameRawBody => {
            format!("{}, {}", share(degradation, evidence.new), of_old(|old| old.commonest_raw.unwrap_or(0)))
        }
    }
}

/// How many SKUs of the new output show the degradation.
fn share(degradation: Degradation, new: Profile) -> String {
    let all = counted(new.skus, "SKU", "SKUs");
    match degradation {
        Degradation::Nulls => format!("null for {} of {all}", count(new.nulls)),
        Degradation::SameBody => format!("the same value for {} of {all}", count(new.commonest)),
        Degradation::SameRawBody => {
            format!("the same answer before {SELECT} for {} of {all}", count(new.commonest_raw.unwrap_or(0)))
        }
        Degradation::Empty | Degradation::Fewer => all,
    }
}

/// ` (for example SKU 0042: {"error":"…"})`.
fn example(evidence: &Evidence, mask: &Mask) -> String {
    let Some((key, body)) = &evidence.example else { return String::new() };
    let key = display_safe(key, KEY_CHARS);
    let body = body.as_deref().map(|body| mask.apply_to_beginning(body));
    match body.as_deref() {
        Some("null") => format!(" (for example SKU {key})"),
        Some(body) => format!(" (for example SKU {key}: {})", display_safe(body, BODY_CHARS)),
        None => format!(" (for example SKU {key} is gone)"),
    }
}

fn nothing_but_nulls(evidence: &Evidence, example: &str, settings: &Settings) -> CommandError {
    let nulls = evidence.new.nulls;
    let all = format!("all {} are null{example}", counted(nulls, "SKU", "SKUs"));
    let is_of_body = evidence.nulls_for_status <= nulls / 2;
    let (message, check) = if is_of_body && settings.response.meaning.null.is_some() {
        let check = format!("is the path in {URL} right, and does {NULL_IF} name unknown SKUs alone?");
        (format!("the API knows none of them: {all}"), check)
    } else if is_of_body && settings.output.format == Format::Csv {
        (all, format!("does {COLUMNS} name fields that the answers have?"))
    } else if is_of_body && settings.response.has_filter() {
        (all, format!("does {SELECT} name a field that the answers have?"))
    } else {
        (format!("the API knows none of them: {all}"), format!("is the path in {URL} right?"))
    };
    // Over a file that has values, the guard holds such an output back as well.
    let guard = if evidence.old.is_some_and(|old| old.profile.nulls < old.profile.skus) {
        format!(" {GUARD} off")
    } else {
        String::new()
    };
    CommandError::new(Exit::Unavailable, message)
        .with_hint(format!("{check} Nothing was kept; {MIN_SUCCESS} 0{guard} publishes null values too"))
}
