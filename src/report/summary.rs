//! The last words of a run: what came of it, why some failed, what limited it, and what was written.

use std::time::Duration;

use crate::model::Exit;
use crate::model::display_safe;
use crate::report::complaint::{complaint_text, labelled};
use crate::report::ending::{Amount, Changes, Counts, Ending, NotInInput, per_second};
use crate::report::format;
use crate::report::said;
use crate::report::tally::{CauseGroup, TallySnapshot};

/// Causes named in the first line; the lines below it name more.
const CAUSES_IN_HEADLINE: usize = 4;
/// Causes that get a line with an example.
const CAUSES_SHOWN: usize = 8;
const PATH_CHARS: usize = 300;

/// How much of the summary is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dress {
    pub(super) quiet: bool,
    pub(super) colour: bool,
}

/// The summary for people; empty where nothing is wanted.
pub(super) fn text(ending: &Ending, tally: &TallySnapshot, dress: Dress) -> String {
    let failed = ending.exit != Exit::Complete;
    if dress.quiet && !failed {
        return String::new();
    }
    // An input without a row, or one that could not be read: there is nothing to sum up.
    let over_before_it_began = ending.counts.rows == 0 && ending.error.is_some();
    let mut text = if over_before_it_began { String::new() } else { body(ending, tally, dress) };
    if let Some(complaint) = &ending.error {
        text.push_str(&complaint_text(&complaint.message, complaint.hint.as_deref(), dress.colour));
    }
    text
}

fn body(ending: &Ending, tally: &TallySnapshot, dress: Dress) -> String {
    let mut lines = vec![headline(ending, tally)];
    lines.extend(failure_lines(&tally.causes));
    if !dress.quiet {
        lines.extend(differing(tally).map(|text| labelled("warning", &text, dress.colour)));
        if has_pace(ending) {
            lines.push(format!("limited by: {}", display_safe(&ending.verdict.text, PATH_CHARS)));
        }
    }
    lines.extend(left_behind(ending));
    lines.join("\n") + "\n"
}

/// How fast it went is of interest: not where the run broke off because the API was not there, or let nobody
/// in, or the disk failed, which the error says.
fn has_pace(ending: &Ending) -> bool {
    let stopped_for_trouble =
        ending.error.is_some() && !matches!(ending.exit, Exit::TryAgain | Exit::Signal(_));
    !stopped_for_trouble || ending.counts.deferred == 0
}

/// `6,000 SKUs in 6.3 s: 5,994 fetched, 6 failed (4 not found, 2 timed out) · 952/s · p50 98 ms, p95 131 ms · 41 retries`
pub(super) fn headline(ending: &Ending, tally: &TallySnapshot) -> String {
    let Ending { counts, elapsed, .. } = ending;
    let rows = format::counted(counts.rows, "row", "rows");
    let all = match counts.skus() {
        Some(skus) if skus == counts.rows => format::counted(skus, "SKU", "SKUs"),
        Some(skus) => format!("{} ({rows})", format::counted(skus, "SKU", "SKUs")),
        None => rows,
    };
    let mut parts = vec![format!(
        "{all} in {}: {}",
        format::duration(*elapsed),
        becoming(counts, ending.oldest, &tally.causes)
    )];
    let has_pace = has_pace(ending);
    if has_pace && tally.sums.asked > 0 && !elapsed.is_zero() {
        parts.push(format::per_second(per_second(ending, tally)));
    }
    if let Some(latency) = tally.latency.filter(|_| has_pace) {
        let [p50, p95] = [latency.p50, latency.p95].map(format::latency);
        parts.push(format!("p50 {p50}, p95 {p95}"));
    }
    if tally.sums.retries > 0 {
        parts.push(format::counted(tally.sums.retries, "retry", "retries"));
    }
    if counts.blanks > 0 {
        parts.push(format::counted(counts.blanks, "blank line", "blank lines"));
    }
    parts.join(" · ")
}

/// Every row is in exactly one of the numbers, so that they add up to the data rows.
fn becoming(counts: &Counts, oldest: Option<Duration>, causes: &[CauseGroup]) -> String {
    let mut fetched = format!("{} fetched", format::count(counts.fetched));
    if counts.recovered > 0 {
        fetched = format!("{fetched} ({} from the journal{})", format::count(counts.recovered), aged(oldest));
    }
    let mut parts = vec![fetched];
    if counts.unchanged > 0 {
        parts.push(format!("{} unchanged", format::count(counts.unchanged)));
    }
    if counts.failed > 0 {
        let causes = cause_counts(causes);
        let causes = if causes.is_empty() { causes } else { format!(" ({causes})") };
        parts.push(format!("{} failed{causes}", format::count(counts.failed)));
    }
    if counts.deferred > 0 {
        parts.push(format!("{} deferred", format::count(counts.deferred)));
    }
    if counts.repeats > 0 {
        parts.push(format::counted(counts.repeats, "repeat", "repeats"));
    }
    parts.join(", ")
}

/// How old the oldest answer of a journal is, once that is worth a word.
fn aged(oldest: Option<Duration>) -> String {
    const WORTH_A_WORD: Duration = Duration::from_mins(1);
    oldest
        .filter(|age| *age >= WORTH_A_WORD)
        .map_or_else(String::new, |age| format!(", the oldest {} old", format::age(age)))
}

fn cause_counts(causes: &[CauseGroup]) -> String {
    let named =
        |group: &CauseGroup| format!("{} {}", format::count(group.count), group.cause.label_for(group.count));
    let shown = if causes.len() == CAUSES_IN_HEADLINE + 1 { causes.len() } else { CAUSES_IN_HEADLINE };
    let mut parts: Vec<String> = causes.iter().take(shown).map(named).collect();
    let others: u64 = causes.iter().skip(shown).map(|group| group.count).sum();
    if others > 0 {
        parts.push(format::counted(others, "other", "others"));
    }
    parts.join(", ")
}

/// `  4 not found: first at line 17, SKU 0042: 404 from http://…/products/0042`
fn failure_lines(causes: &[CauseGroup]) -> Vec<String> {
    let mut lines: Vec<String> = causes
        .iter()
        .take(CAUSES_SHOWN)
        .map(|group| {
            let first = if group.count > 1 { "first at " } else { "" };
            let place = said::place_and_reason(&group.example, group.cause);
            format!("  {} {}: {first}{place}", format::count(group.count), group.cause.label_for(group.count))
        })
        .collect();
    let others: u64 = causes.iter().skip(CAUSES_SHOWN).map(|group| group.count).sum();
    if others > 0 {
        let kinds = format::counted((causes.len() - CAUSES_SHOWN) as u64, "other cause", "other causes");
        lines.push(format!("  {} of {kinds}", format::count(others)));
    }
    lines
}

/// The first row of a repeated SKU counts, so a repeat that would have asked for something else is news.
fn differing(tally: &TallySnapshot) -> Option<String> {
    let sums = &tally.sums;
    let mut lines: Vec<String> = sums.differing_lines.iter().map(u64::to_string).collect();
    let unnamed = sums.differing.saturating_sub(lines.len() as u64);
    if unnamed > 0 {
        lines.push(format!("{} more", format::count(unnamed)));
    }
    let repeats = format::counted(sums.differing, "repeat", "repeats");
    let place = if sums.differing == 1 { "line" } else { "lines" };
    (sums.differing > 0).then(|| {
        format!(
            "{repeats} would have asked for something else than the SKU's first row, which counts: {place} {}",
            format::listed(&lines)
        )
    })
}

/// `wrote out.json (7.3 MB) and out.failed.csv (6 rows)`, or what stands instead of an output.
fn left_behind(ending: &Ending) -> Vec<String> {
    let mut lines = Vec::new();
    if !ending.published {
        let kept = if ending.journal_kept { "; journal kept" } else { "" };
        lines.push(format!("nothing published{kept}"));
    }
    if let Some(Changes { added, removed, changed, failed }) = ending.changes {
        let [added, removed, changed, failed] = [added, removed, changed, failed].map(format::count);
        lines.push(format!("changes: {added} added, {changed} changed, {removed} removed, {failed} failed"));
    }
    if let Some(NotInInput { count, pruned }) = ending.not_in_input {
        let skus = format::counted(count, "SKU of the old output is", "SKUs of the old output are");
        let fate = if pruned { "taken out by --prune" } else { "kept (--prune takes them out)" };
        lines.push(format!("{skus} no longer in the input: {fate}"));
    }
    let wrote: Vec<String> = ending
        .wrote
        .iter()
        .map(|wrote| {
            let amount = match wrote.amount {
                Amount::Bytes(bytes) => format::size(bytes),
                Amount::Rows(rows) => format::counted(rows, "row", "rows"),
                Amount::Lines(lines) => format::counted(lines, "line", "lines"),
            };
            format!("{} ({amount})", display_safe(&wrote.path, PATH_CHARS))
        })
        .collect();
    if !wrote.is_empty() {
        lines.push(format!("wrote {}", format::listed(&wrote)));
    }
    let is_kept = ending.wrote.iter().any(|wrote| matches!(wrote.amount, Amount::Rows(_)));
    if ending.published && ending.counts.failed > 0 && !is_kept {
        lines.push("the failed rows are in no file; --failed FILE keeps them".into());
    }
    lines
}
