//! `--report FILE.html`: the run for people, on the page of [`page`].

use std::fmt::Write as _;

use crate::model::{Exit, display_safe};
use crate::report::failure_text::{place_and_reason, shared_character};
use crate::report::format::{self, count};
use crate::report::machine_format::moment;
use crate::report::run_report::chart::Hue;
use crate::report::run_report::charts;
use crate::report::run_report::data::{ReportData, SettingOrigin, ShownSetting};
use crate::report::run_report::history::{PauseSpan, SlowAnswer};
use crate::report::run_report::page::{card, columns, legend, names, page, pairs, prose, table, text, tile};
use crate::report::run_stats::CauseGroup;
use crate::report::summary::run_summary::{Amount, RunSummary, WrittenFile, per_second};

/// Causes and statuses that get a row.
const ROWS: usize = 20;
/// Characters of a SKU in a table. One may have 256, and the JSON report has all of them.
const SKU_CHARS: usize = 32;

pub(crate) fn document(data: &ReportData<'_>) -> String {
    let mut body = head(data);
    body.push_str(&tiles(data));
    body.push_str(&shares(data));
    body.push_str(&failures(data));
    body.push_str(&warnings(data));
    let mut charts = charts::charts(data);
    let mut cards = charts.split_off(charts.len() / 2 * 2);
    body.push_str(&pairs(&charts));
    for part in [statuses, retried, slowest, pauses, files] {
        cards.push(part(data));
    }
    body.push_str(&columns(&cards));
    body.push_str(&settings(data));
    let _ = writeln!(
        body,
        "<footer class=\"soft\">skufetch {} · {} to {}</footer>",
        env!("CARGO_PKG_VERSION"),
        moment(data.subject.began),
        moment(data.ended)
    );
    page(&format!("{} · skufetch", data.subject.output.given()), &body)
}

fn head(data: &ReportData<'_>) -> String {
    let ReportData { subject, summary, headline, .. } = data;
    let (class, badge) = badge(summary);
    let mut head = format!(
        "<header>\n<p class=\"kicker\">{} · from {} · {}</p>\n<h1>{} <span class=\"badge {class}\">{badge}</span></h1>\n",
        text(&date(data)),
        text(&subject.input),
        text(&subject.request),
        text(subject.output.title()),
    );
    if !is_over_before_it_began(data) {
        let verdict = prose(&summary.verdict.text);
        let _ = writeln!(head, "<p class=\"headline\">{}</p>", prose(headline));
        let _ = writeln!(head, "<p class=\"verdict\"><b>limited by</b> {verdict}</p>");
        if let Some(limits) = summary.limits.text() {
            let _ = writeln!(head, "<p class=\"verdict\"><b>the API's limit</b> {}</p>", prose(&limits));
        }
    }
    if let Some(error) = &summary.error {
        let hint = error.hint.as_ref().map(|hint| format!("\n{}", safe_lines(hint))).unwrap_or_default();
        let _ = writeln!(head, "<p class=\"error\"><b>error</b> {}{hint}</p>", safe_lines(&error.message));
    }
    head + "</header>\n"
}

/// There is nothing to sum up, but why.
fn is_over_before_it_began(data: &ReportData<'_>) -> bool {
    data.summary.counts.rows == 0 && data.summary.error.is_some()
}

/// Line by line, since some errors show the place they refer to on lines of their own.
fn safe_lines(sentence: &str) -> String {
    sentence.lines().map(prose).collect::<Vec<_>>().join("\n")
}

fn date(data: &ReportData<'_>) -> String {
    let moment = moment(data.ended);
    let day_and_minute = moment.get(..16).map(|part| part.replace('T', " "));
    day_and_minute.map_or(moment, |part| format!("{part} UTC"))
}

/// How it ended, as a short label.
fn badge(summary: &RunSummary) -> (&'static str, String) {
    let code = summary.exit.code();
    match summary.exit {
        Exit::Complete => ("good", "complete".into()),
        Exit::SomeFailed => ("warn", "published, some failed".into()),
        _ if summary.published => ("warn", format!("published, exit {code}")),
        _ => ("bad", format!("nothing published, exit {code}")),
    }
}

fn tiles(data: &ReportData<'_>) -> String {
    let ReportData { summary, stats, .. } = data;
    let counts = &summary.counts;
    if is_over_before_it_began(data) {
        return String::new();
    }
    let mut tiles = String::from("<div class=\"tiles\">\n<div>\n");
    for (number, name, always) in [
        (counts.rows, "rows", true),
        (counts.fetched, "fetched", true),
        (counts.recovered, "of them from the journal", false),
        (counts.unchanged, "unchanged", false),
        (counts.failed, "failed", true),
        (counts.skipped, "skipped", false),
        (counts.repeats, "repeats", false),
        (counts.deferred, "deferred", false),
        (stats.counters.attempts(), "requests", true),
        (stats.counters.retries, "retries", false),
        (stats.counters.refused, "refused", false),
        (stats.counters.pauses, "pauses", false),
    ] {
        if always || number > 0 {
            tiles.push_str(&tile(&count(number), name));
        }
    }
    tiles.push_str("</div>\n<div>\n");
    if stats.counters.requested > 0 && !summary.elapsed.is_zero() {
        tiles.push_str(&tile(&format::per_second(per_second(summary, stats)), "SKUs"));
    }
    tiles.push_str(&tile(&format::duration(summary.elapsed), "in all"));
    if let Some(latency) = stats.latency {
        for (time, name) in
            [(latency.p50, "p50"), (latency.p95, "p95"), (latency.p99, "p99"), (latency.max, "slowest")]
        {
            tiles.push_str(&tile(&format::latency(time), name));
        }
        tiles.push_str(&tile(&format::size(stats.counters.bytes), "of bodies"));
    }
    tiles + "</div>\n</div>\n"
}

/// What became of the rows, as parts of one bar.
fn shares(data: &ReportData<'_>) -> String {
    let counts = &data.summary.counts;
    if counts.rows == 0 {
        return String::new();
    }
    let (mut bar, mut keys) = (String::new(), Vec::new());
    for (number, hue, name) in [
        (counts.fetched, Hue::Fourth, "fetched"),
        (counts.unchanged, Hue::First, "unchanged"),
        (counts.failed, Hue::Third, "failed"),
        (counts.skipped, Hue::Shade, "skipped"),
        (counts.repeats, Hue::Second, "repeats"),
        (counts.deferred, Hue::Shade, "deferred"),
    ] {
        if number > 0 {
            let percent = number as f64 * 100.0 / counts.rows as f64;
            let _ = write!(bar, "<span class=\"{}\" style=\"width:{percent:.3}%\"></span>", hue.name());
            keys.push((hue, format!("{name} {}", format::percent(number, counts.rows))));
        }
    }
    format!("<div class=\"share\">{bar}</div>\n{}", legend(&keys))
}

fn failures(data: &ReportData<'_>) -> String {
    let causes = &data.stats.causes;
    let row = |group: &CauseGroup| {
        let mut place = place_and_reason(&group.example);
        if let Some(shared) = data.stats.shared_character(group.cause) {
            place = format!("{place} ({})", shared_character(group, shared));
        }
        vec![count(group.count), group.cause.label_for(group.count), place]
    };
    let mut rows: Vec<_> = causes.iter().take(ROWS).map(row).collect();
    let others: u64 = causes.iter().skip(ROWS).map(|group| group.count).sum();
    if others > 0 {
        rows.push(vec![count(others), "other causes".into(), String::new()]);
    }
    if let Some(file) = data.summary.written.iter().find(|written| matches!(written.amount, Amount::Rows(_)))
    {
        rows.push(vec![String::new(), String::new(), format!("All of them: {}", file.path)]);
    }
    if causes.is_empty() {
        return String::new();
    }
    card("Failed rows", &table(&["#rows", "cause", "~the first of them"], &rows))
}

fn warnings(data: &ReportData<'_>) -> String {
    let warnings = &data.stats.warnings;
    let rows: Vec<_> = warnings.iter().map(|warning| vec![warning.clone()]).collect();
    if rows.is_empty() { String::new() } else { card("Warnings", &table(&["~each once"], &rows)) }
}

fn statuses(data: &ReportData<'_>) -> String {
    let counters = &data.stats.counters;
    let share = |count: u64| format::percent(count, counters.attempts());
    let mut statuses = data.stats.statuses.clone();
    statuses.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut rows: Vec<_> = statuses
        .iter()
        .take(ROWS)
        .map(|(status, number)| vec![status.to_string(), count(*number), share(*number)])
        .collect();
    if counters.unanswered > 0 {
        rows.push(vec!["no answer".into(), count(counters.unanswered), share(counters.unanswered)]);
    }
    if rows.is_empty() {
        String::new()
    } else {
        card("Answers", &table(&["status", "#requests", "#share"], &rows))
    }
}

fn slowest(data: &ReportData<'_>) -> String {
    let row = |slow: &SlowAnswer| {
        vec![
            format::latency(slow.latency),
            display_safe(&slow.key, SKU_CHARS),
            slow.line.to_string(),
            slow.status.to_string(),
            format::duration(slow.at),
        ]
    };
    let rows: Vec<_> = data.history.slowest().iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    card("Slowest answers", &table(&["#latency", "~SKU", "#line", "#status", "#after"], &rows))
}

fn retried(data: &ReportData<'_>) -> String {
    let row = |(cause, number): &(crate::model::Cause, u64)| vec![count(*number), cause.label()];
    let rows: Vec<_> = data.stats.retried.iter().take(ROWS).map(row).collect();
    if rows.is_empty() { String::new() } else { card("Retries", &table(&["#requests", "~cause"], &rows)) }
}

fn pauses(data: &ReportData<'_>) -> String {
    let counters = &data.stats.counters;
    let row = |pause: &PauseSpan| {
        let length = pause.until.saturating_sub(pause.at);
        vec![format::duration(pause.at), format::duration(length), pause.reason.to_string()]
    };
    let all = data.history.pauses();
    let mut rows: Vec<_> = all.iter().take(ROWS).map(row).collect();
    if counters.pauses > rows.len() as u64 {
        rows.push(vec![
            String::new(),
            format::duration(counters.paused),
            format!("{} in all", count(counters.pauses)),
        ]);
    }
    if rows.is_empty() { String::new() } else { card("Pauses", &table(&["#after", "#for", "~why"], &rows)) }
}

fn files(data: &ReportData<'_>) -> String {
    let row = |written: &WrittenFile| {
        let amount = match written.amount {
            Amount::Bytes(bytes) => format::size(bytes),
            Amount::Rows(rows) => format::counted(rows, "row", "rows"),
            Amount::Lines(lines) => format::counted(lines, "line", "lines"),
        };
        vec![written.path.clone(), amount]
    };
    let mut rows: Vec<_> = data.summary.written.iter().map(row).collect();
    if data.summary.journal_kept {
        rows.push(vec!["the journal".into(), "kept: the same command resumes".into()]);
    }
    if rows.is_empty() { String::new() } else { card("Left behind", &table(&["~file", "#what"], &rows)) }
}

fn settings(data: &ReportData<'_>) -> String {
    let value = |setting: &ShownSetting| setting.value.clone().unwrap_or_else(|| "–".into());
    let (untouched, set): (Vec<&ShownSetting>, Vec<&ShownSetting>) =
        data.subject.settings.iter().partition(|setting| setting.set_by == SettingOrigin::Default);
    let row =
        |setting: &&ShownSetting| vec![setting.name.into(), value(setting), setting.set_by.name().into()];
    let pair = |setting: &&ShownSetting| (setting.name.to_owned(), value(setting));
    let mut settings = String::new();
    if !set.is_empty() {
        let rows: Vec<_> = set.iter().map(row).collect();
        settings.push_str(&card("Settings", &table(&["setting", "~value", "set by"], &rows)));
    }
    if !untouched.is_empty() {
        let pairs: Vec<_> = untouched.iter().map(pair).collect();
        settings.push_str(&card("Settings at their defaults", &names(&pairs)));
    }
    settings
}
