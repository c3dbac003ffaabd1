//! The summary for people: what became of the rows, why some failed, what limited the run, what was written.

use std::time::Duration;

use crate::model::Exit;
use crate::model::display_safe;
use crate::model::option::{FAILED, PRUNE};
use crate::report::console::error_text::{Label, error_text, hint_text, labelled};
use crate::report::error_message::ErrorMessage;
use crate::report::failure_text::{place_and_reason, shared_character};
use crate::report::format;
use crate::report::row_remedies::row_remedies;
use crate::report::run_stats::{CauseGroup, StatsSnapshot};
use crate::report::summary::run_summary::{Amount, Changes, Counts, NotInInput, RunSummary, per_second};
use crate::report::wrapped::wrapped;

/// Causes named in the first line; the lines below it name more.
const CAUSES_IN_HEADLINE: usize = 4;
/// Causes that get a line with an example.
const CAUSES_SHOWN: usize = 8;
const PATH_CHARS: usize = 300;

/// How much of the summary is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextStyle {
    pub(crate) quiet: bool,
    pub(crate) colour: bool,
    /// Columns of the terminal; 0 where lines are not broken.
    pub(crate) width: usize,
}

/// The summary for people; empty where nothing is wanted.
pub(crate) fn text(summary: &RunSummary, stats: &StatsSnapshot, dress: TextStyle) -> String {
    let failed = summary.exit != Exit::Complete;
    if dress.quiet && !failed {
        return String::new();
    }
    // An input without a row, or one that could not be read: there is nothing to sum up.
    let over_before_it_began = summary.counts.rows == 0 && summary.error.is_some();
    let mut text = if over_before_it_began { String::new() } else { body(summary, stats, dress) };
    let Some(ErrorMessage { message, hint }) = &summary.error else { return wrapped(&text, dress.width) };
    text.push_str(&error_text(message, None, dress.colour));
    // A hint is not broken: it may hold a command to be pasted.
    let hint = hint.as_deref().map(|hint| hint_text(hint, dress.colour));
    wrapped(&text, dress.width) + &hint.unwrap_or_default()
}

fn body(summary: &RunSummary, stats: &StatsSnapshot, dress: TextStyle) -> String {
    let mut lines = vec![headline(summary, stats)];
    lines.extend(failure_lines(stats));
    if !dress.quiet {
        lines.extend(differing(stats).map(|text| labelled(Label::Warning, &text, dress.colour)));
        if has_pace(summary) && !summary.verdict.text.is_empty() {
            lines.push(format!("limited by: {}", display_safe(&summary.verdict.text, PATH_CHARS)));
        }
        lines.extend(summary.limits.text().map(|limits| format!("the API's limit: {limits}")));
    }
    lines.extend(left_behind(summary));
    lines.join("\n") + "\n"
}

/// The speed is shown, unless the run broke off because the API was unreachable, refused the credentials or the disk
/// failed: the error explains that.
fn has_pace(summary: &RunSummary) -> bool {
    let stopped_for_trouble =
        summary.error.is_some() && !matches!(summary.exit, Exit::TryAgain | Exit::Signal(_));
    !stopped_for_trouble || summary.counts.deferred == 0
}

/// `6,000 SKUs in 6.3 s: 5,994 fetched, 6 failed (4 not found, 2 timed out) · 952/s · p50 98 ms, p95 131 ms · 41 retries`
pub(crate) fn headline(summary: &RunSummary, stats: &StatsSnapshot) -> String {
    let RunSummary { counts, elapsed, .. } = summary;
    let rows = format::counted(counts.rows, "row", "rows");
    let all = match counts.skus() {
        Some(skus) if skus == counts.rows => format::counted(skus, "SKU", "SKUs"),
        Some(skus) => format!("{} ({rows})", format::counted(skus, "SKU", "SKUs")),
        None => rows,
    };
    let mut parts = vec![format!(
        "{all} in {}: {}",
        format::duration(*elapsed),
        becoming(counts, summary.oldest, &stats.causes)
    )];
    let has_pace = has_pace(summary);
    if has_pace && stats.counters.requested > 0 && !elapsed.is_zero() {
        parts.push(format::per_second(per_second(summary, stats)));
    }
    if let Some(latency) = stats.latency.filter(|_| has_pace) {
        let [p50, p95] = [latency.p50, latency.p95].map(format::latency);
        parts.push(format!("p50 {p50}, p95 {p95}"));
    }
    if stats.counters.retries > 0 {
        parts.push(format::counted(stats.counters.retries, "retry", "retries"));
    }
    if stats.counters.refused > 0 {
        parts.push(format!("{} refused", format::count(stats.counters.refused)));
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
    if counts.skipped > 0 {
        parts.push(format!("{} skipped", format::count(counts.skipped)));
    }
    if counts.deferred > 0 {
        parts.push(format!("{} deferred", format::count(counts.deferred)));
    }
    if counts.repeats > 0 {
        parts.push(format::counted(counts.repeats, "repeat", "repeats"));
    }
    parts.join(", ")
}

/// How old the oldest answer of a journal is, once that is worth mentioning.
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
fn failure_lines(stats: &StatsSnapshot) -> Vec<String> {
    let causes = &stats.causes;
    let mut lines: Vec<String> = causes
        .iter()
        .take(CAUSES_SHOWN)
        .flat_map(|group| {
            let first = if group.count > 1 { "first at " } else { "" };
            let place = place_and_reason(&group.example);
            let (count, cause) = (format::count(group.count), group.cause.label_for(group.count));
            let shared = stats.shared_character(group.cause);
            let shared = shared.map(|shared| format!("    {}", shared_character(group, shared)));
            std::iter::once(format!("  {count} {cause}: {first}{place}")).chain(shared)
        })
        .collect();
    let others: u64 = causes.iter().skip(CAUSES_SHOWN).map(|group| group.count).sum();
    if others > 0 {
        let kinds = format::counted((causes.len() - CAUSES_SHOWN) as u64, "other cause", "other causes");
        lines.push(format!("  {} of {kinds}", format::count(others)));
    }
    lines
}

/// The first row of a repeated SKU counts, so a repeat with a different request is worth a warning.
fn differing(stats: &StatsSnapshot) -> Option<String> {
    let counters = &stats.counters;
    let mut lines: Vec<String> = counters.differing_lines.iter().map(u64::to_string).collect();
    let unnamed = counters.differing.saturating_sub(lines.len() as u64);
    if unnamed > 0 {
        lines.push(format!("{} more", format::count(unnamed)));
    }
    let repeats = format::counted(counters.differing, "repeat", "repeats");
    let place = if counters.differing == 1 { "line" } else { "lines" };
    (counters.differing > 0).then(|| {
        format!(
            "{repeats} would have been another request than the SKU's first row, which counts: {place} {}",
            format::listed(&lines)
        )
    })
}

/// `written out.json (7.3 MB) and out.failed.csv (6 rows)`, or what there is instead of an output.
fn left_behind(summary: &RunSummary) -> Vec<String> {
    let mut lines = row_remedies(summary.counts.keyless, summary.counts.short_rows);
    if !summary.published {
        let kept = if summary.journal_kept { "; journal kept" } else { "" };
        lines.push(format!("nothing published{kept}"));
    }
    if let Some(Changes { added, removed, changed, failed }) = summary.changes {
        let [added, removed, changed, failed] = [added, removed, changed, failed].map(format::count);
        lines.push(format!("changes: {added} added, {changed} changed, {removed} removed, {failed} failed"));
    }
    if let Some(NotInInput { count, pruned }) = summary.not_in_input {
        let skus = format::counted(count, "SKU of the old output is", "SKUs of the old output are");
        let fate =
            if pruned { format!("taken out by {PRUNE}") } else { format!("kept ({PRUNE} takes them out)") };
        lines.push(format!("{skus} no longer in the input: {fate}"));
    }
    let written: Vec<String> = summary
        .written
        .iter()
        .map(|written| {
            let amount = match written.amount {
                Amount::Bytes(bytes) => format::size(bytes),
                Amount::Rows(rows) => format::counted(rows, "row", "rows"),
                Amount::Lines(lines) => format::counted(lines, "line", "lines"),
            };
            format!("{} ({amount})", display_safe(&written.path, PATH_CHARS))
        })
        .collect();
    if !written.is_empty() {
        lines.push(format!("wrote {}", format::listed(&written)));
    }
    let is_kept = summary.written.iter().any(|written| matches!(written.amount, Amount::Rows(_)));
    // A part has its failed rows in itself, and ends well.
    if summary.published && summary.exit != Exit::Complete && summary.counts.failed > 0 && !is_kept {
        lines.push(format!("the failed rows are in no file; {FAILED} FILE keeps them"));
    }
    lines
}
