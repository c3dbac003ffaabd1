//! What is said of an output that was held back, and of one that looks wrong.

use super::failure::Failure;
use super::in_shell;
use crate::collect::guard::Sign;
use crate::collect::{CollectError, Decision, Evidence, Published};
use crate::config::Settings;
use crate::config::settings::Target;
use crate::model::{Exit, display_safe};
use crate::report::format::{count, counted};

/// Characters of a key, and of a body, in an example.
const KEY_CHARS: usize = 60;
const BODY_CHARS: usize = 120;

/// Why a complete output was not published; `None` where it was.
pub(super) fn failure(published: &Published, settings: &Settings) -> Option<Failure> {
    match &published.decision {
        Decision::Published => None,
        Decision::NothingButNulls => Some(nothing_but_nulls(&published.evidence, settings)),
        Decision::HeldBack(signs) => Some(held_back(signs, published, settings)),
    }
}

/// What a person should look at though the output was published, one sentence each.
pub(super) fn warnings(published: &Published, settings: &Settings) -> Vec<String> {
    let evidence = &published.evidence;
    let mut warnings: Vec<String> = Vec::new();
    let is_compared = evidence.old.is_none_or(|old| old.comparable);
    if !is_compared && published.decision != Decision::NothingButNulls {
        warnings.push(format!(
            "{} was made with another request, --select or --body-as: only its number of SKUs was compared with the \
             new output",
            settings.output.path
        ));
    }
    for (place, sign) in published.first_signs.iter().enumerate() {
        let example = if place == 0 { example(evidence) } else { String::new() };
        warnings.push(format!("{}{example}: check that this is correct", share(*sign, evidence)));
    }
    warnings
}

/// An error of the output's files, told with the names that the person used.
pub(super) fn of_collect(error: CollectError, settings: &Settings) -> Failure {
    let CollectError::TooFewRows { path, old, rows } = &error else { return error.into() };
    let path = path.display();
    let limited = settings.input.limit.is_some_and(|limit| limit.get() == *rows);
    let found = if limited {
        format!("--limit allows only {}", counted(*rows, "row", "rows"))
    } else {
        format!("{} has {}", settings.input.path, counted(*rows, "row", "rows"))
    };
    let message = format!("held back before the first request: {path} has {} SKUs, but {found}", count(*old));
    let keep = if settings.output.merge { "" } else { "--merge keeps the other SKUs; " };
    Failure::new(error.exit(), message)
        .with_hint(format!("{keep}if so few rows are correct, run once with --guard off"))
}

fn held_back(signs: &[Sign], published: &Published, settings: &Settings) -> Failure {
    let evidence = &published.evidence;
    let mut clauses: Vec<String> = Vec::new();
    for (place, sign) in signs.iter().enumerate() {
        let example = if place == 0 { example(evidence) } else { String::new() };
        clauses.push(clause(*sign, evidence) + &example);
    }
    let message = format!("held back, {} stays as it is: {}", settings.output.path, clauses.join("; "));
    let hint = match (&published.path, &settings.output.path) {
        (Some(held), Target::File(output)) => {
            let [from, to] = [held, output].map(|path| in_shell(&path.display().to_string()));
            match signs {
                [Sign::Empty] => format!("to start over, remove the old file: rm {to}"),
                _ => format!("check {from}; to accept it: mv {from} {to}; or run once with --guard off"),
            }
        }
        _ => "run once with --guard off".to_owned(),
    };
    Failure::new(Exit::HeldBack, message).with_hint(hint)
}

/// What got worse, with the figures of both outputs.
fn clause(sign: Sign, evidence: &Evidence) -> String {
    let old = evidence.old.map(|old| old.profile);
    let before = |part: u64| {
        let all = old.map_or(0, |old| old.skus);
        format!("previously for {} of {}", count(part), count(all))
    };
    let of_old = |part: fn(&crate::collect::Profile) -> u64| before(old.as_ref().map_or(0, part));
    match sign {
        Sign::Empty => match old {
            Some(old) => format!("the new one has no SKU, in place of {}", count(old.skus)),
            None => "the new one has no SKU".to_owned(),
        },
        Sign::Fewer => format!(
            "{} in place of {}",
            counted(evidence.new.skus, "SKU", "SKUs"),
            count(old.map_or(0, |old| old.skus))
        ),
        Sign::Nulls => format!("{}, {}", share(sign, evidence), of_old(|old| old.nulls)),
        Sign::SameBody => format!("{}, {}", share(sign, evidence), of_old(|old| old.commonest)),
        Sign::SameRawBody => {
            format!("{}, {}", share(sign, evidence), of_old(|old| old.commonest_raw.unwrap_or(0)))
        }
    }
}

/// How many SKUs of the new output show the sign.
fn share(sign: Sign, evidence: &Evidence) -> String {
    let new = evidence.new;
    let all = counted(new.skus, "SKU", "SKUs");
    match sign {
        Sign::Nulls => format!("null for {} of {all}", count(new.nulls)),
        Sign::SameBody => format!("the same value for {} of {all}", count(new.commonest)),
        Sign::SameRawBody => {
            format!("the same answer before --select for {} of {all}", count(new.commonest_raw.unwrap_or(0)))
        }
        Sign::Empty | Sign::Fewer => all,
    }
}

/// ` (for example SKU 0042: {"error":"…"})`.
fn example(evidence: &Evidence) -> String {
    let Some((key, body)) = &evidence.example else { return String::new() };
    let key = display_safe(key, KEY_CHARS);
    match body.as_deref() {
        Some("null") => format!(" (for example SKU {key})"),
        Some(body) => format!(" (for example SKU {key}: {})", display_safe(body, BODY_CHARS)),
        None => format!(" (for example SKU {key} is gone)"),
    }
}

fn nothing_but_nulls(evidence: &Evidence, settings: &Settings) -> Failure {
    let nulls = evidence.new.nulls;
    let all = format!("all {} came as null{}", counted(nulls, "SKU", "SKUs"), example(evidence));
    let is_selected = settings.response.select.trim() != "." && evidence.nulls_for_status <= nulls / 2;
    let (message, check) = if is_selected {
        (all, "does --select name a field that the answers have?")
    } else {
        (format!("the API knows none of them: {all}"), "is the path in --url right?")
    };
    Failure::new(Exit::Unavailable, message)
        .with_hint(format!("{check} Nothing was kept; --min-success 0 publishes null values too"))
}
