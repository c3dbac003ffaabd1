//! What `tune` found, for people: the table, the plot, the number to use and why.

use std::fmt::Write as _;
use std::time::Duration;

use crate::limit::climb::{ClimbEnd, Rung};
use crate::model::PauseReason;
use crate::model::option::{CONCURRENCY, LIMIT, MAX_TIME, RATE};
use crate::report::format::{self, count, counted};
use crate::report::tune::tune_result::{AnswerDoubt, Proposal, TuneResult, TunedAnswers};
use crate::report::verdict::limit_text;

/// Characters of a full bar: two of them with their numbers fit 80 columns.
const BAR: usize = 22;
/// Eighths of a character cell.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// More than this is no longer a sample.
const LARGEST_SAMPLE: u64 = 100_000;

/// Before any was measured, one worker asks.
const NO_RUNG: Rung = Rung {
    workers: 1,
    requests: 0,
    answers: 0,
    errors: 0,
    span: Duration::ZERO,
    p50: Duration::ZERO,
    p95: Duration::ZERO,
    paused: false,
};

/// The head of the table.
#[must_use]
pub(crate) fn table_header() -> String {
    format!(
        "{:>8}{:>10}{:>12}{:>10}{:>10}{:>8}\n",
        "workers", "requests", "answers/s", "p50", "p95", "errors"
    )
}

/// One row of the table.
#[must_use]
pub(crate) fn row(rung: &Rung) -> String {
    let measured = rung.is_measured();
    let time = |time| if measured { format::latency(time) } else { "-".into() };
    format!(
        "{:>8}{:>10}{:>12}{:>10}{:>10}{:>8}{}\n",
        count(rung.workers as u64),
        count(rung.requests),
        if measured { rate(rung) } else { "-".into() },
        time(rung.p50),
        time(rung.p95),
        count(rung.errors),
        if rung.paused { "  paused" } else { "" },
    )
}

/// What follows the table: plot, number, reason, command.
#[must_use]
pub(crate) fn conclusion(tuned: &TuneResult) -> String {
    let mut text = plot(&tuned.rungs);
    let Some(command) = tuned.paste() else { return text };
    // Writing to a String cannot fail.
    let _ = match (tuned.proposal(), tuned.best()) {
        (Some(Proposal::Workers(_)), Some(best)) => writeln!(
            text,
            "best: {}, {}/s, p95 {}",
            counted(best.workers as u64, "worker", "workers"),
            rate(best),
            format::latency(best.p95)
        ),
        _ => writeln!(text, "best: {}", tuned.sustained.map(limit_text).unwrap_or_default()),
    };
    let _ = writeln!(text, "      {}", why(tuned));
    for note in notes(tuned) {
        let _ = writeln!(text, "      {note}");
    }
    let _ = write!(text, "\nto use it:\n  {command}\n");
    if tuned.hides {
        text.push_str("(... replaces what is not shown here)\n");
    }
    text
}

/// Why the climb went no further, and what to do about that.
#[must_use]
pub(crate) fn why(tuned: &TuneResult) -> String {
    if let Some(doubt) = tuned.answers.doubt() {
        return doubt_text(doubt, tuned);
    }
    let is_refused = |rung: &&Rung| rung.errors > 0 || rung.paused;
    let last = match tuned.rungs.iter().rev().find(is_refused).or(tuned.rungs.last()) {
        Some(refused) if matches!(tuned.end, ClimbEnd::Errors | ClimbEnd::Paused(_)) => refused,
        Some(_) => tuned.rungs.last().unwrap_or(&NO_RUNG),
        None if tuned.sustained.is_some() || tuned.may_be_burst => &NO_RUNG,
        None => return "nothing was measured".into(),
    };
    let at = counted(last.workers as u64, "worker", "workers");
    match tuned.end {
        ClimbEnd::Paused(PauseReason::Quota) if tuned.sustained.is_some() => {
            format!("the quota was used up at {at}; this is what it allows for long")
        }
        _ if tuned.sustained.is_some() => {
            format!("the API refused at {at}; this is what it accepts for long")
        }
        _ if tuned.may_be_burst => {
            format!("the API refused at {at}, and what it accepts for long did not show")
        }
        ClimbEnd::Knee => format!("more workers bring nothing: {at} gave {}/s", rate(last)),
        ClimbEnd::Errors => format!(
            "errors began at {at}: {} of {} requests{}",
            count(last.errors),
            count(last.requests),
            causes(tuned)
        ),
        ClimbEnd::Paused(reason) => format!("the pool was paused at {at} ({reason})"),
        ClimbEnd::Rate => {
            let rate = tuned.rate.map_or_else(String::new, |rate| format!(" {rate}"));
            format!("{RATE}{rate} is reached; more workers would only wait for it")
        }
        ClimbEnd::Ceiling if tuned.best().is_some_and(|best| best.workers == tuned.ceiling) => format!(
            "that is the ceiling; more may pay, try {CONCURRENCY} auto:{}",
            tuned.ceiling.saturating_mul(4).min(4_096).max(tuned.ceiling)
        ),
        ClimbEnd::Ceiling => format!("up to {at} nothing brought much more"),
        ClimbEnd::Sample if tuned.whole_input => format!("the input has no more SKUs to measure {at} with"),
        ClimbEnd::Sample => format!(
            "the sample was used up at {at}; {LIMIT} {} goes further",
            tuned.sample.saturating_mul(5).min(LARGEST_SAMPLE).max(tuned.sample)
        ),
        ClimbEnd::Time => format!("the time was over at {at}; a longer {MAX_TIME} goes further"),
        ClimbEnd::Stopped => format!("stopped at {at}"),
    }
}

/// Why the answers are taken for none of the API's.
fn doubt_text(doubt: AnswerDoubt, tuned: &TuneResult) -> String {
    let TunedAnswers { good, nulls, failed, same_body } = tuned.answers;
    let answers = good + nulls + failed;
    match doubt {
        AnswerDoubt::MostFail => format!(
            "{} of {} would fail their SKU{}",
            count(failed),
            counted(answers, "answer", "answers"),
            causes(tuned)
        ),
        AnswerDoubt::OnlyNulls => format!("{}, and nothing but null", counted(nulls, "answer", "answers")),
        AnswerDoubt::SameBody => {
            format!("{} of {} have the same body", count(same_body), counted(good, "answer", "answers"))
        }
    }
}

/// What the table leaves out.
pub(crate) fn notes(tuned: &TuneResult) -> Vec<String> {
    let mut notes = Vec::new();
    if tuned.answers.failed > 0 {
        let answers = counted(tuned.answers.failed, "answer", "answers");
        notes.push(format!("besides the errors, {answers} failed the SKU alone{}", causes(tuned)));
    }
    let others = tuned.of_no_rung();
    if others > 0 {
        let requests = counted(tuned.requests, "request", "requests");
        notes.push(format!("{requests} in all: {} ended after the last line of the table", count(others)));
    }
    notes
}

fn causes(tuned: &TuneResult) -> String {
    let parts: Vec<_> = tuned
        .causes
        .iter()
        .map(|group| format!("{} {}", count(group.count), group.cause.label_for(group.count)))
        .collect();
    if parts.is_empty() { String::new() } else { format!(" ({} in all)", format::listed(&parts)) }
}

/// Answers a second, three digits where they matter.
pub(crate) fn rate(rung: &Rung) -> String {
    match rung.per_second() {
        few if few < 99.95 => format!("{few:.1}"),
        many => count(format::whole(many)),
    }
}

/// A row of two bars for each rung.
fn plot(rungs: &[Rung]) -> String {
    let measured: Vec<_> = rungs.iter().filter(|rung| rung.is_measured()).collect();
    if measured.len() < 2 {
        return "\n".into();
    }
    let most = measured.iter().map(|rung| rung.per_second()).fold(0.0, f64::max);
    let longest = measured.iter().map(|rung| rung.p95.as_secs_f64()).fold(0.0, f64::max);
    let mut text = format!("\n{:>8}  {:<33} {}\n", "workers", "answers/s", "p95");
    for rung in measured {
        let _ = writeln!(
            text,
            "{:>8}  {} {:<9}  {} {}",
            count(rung.workers as u64),
            bar(rung.per_second() / most),
            rate(rung),
            bar(rung.p95.as_secs_f64() / longest.max(f64::MIN_POSITIVE)),
            format::latency(rung.p95)
        );
    }
    text.push('\n');
    text
}

/// A bar of this part of its full length, padded to it.
fn bar(part: f64) -> String {
    let eighths = usize::try_from(format::whole(part.clamp(0.0, 1.0) * (BAR * 8) as f64)).unwrap_or(0);
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    let shown = eighths.div_ceil(8);
    bar + &" ".repeat(BAR - shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_never_exceeds_its_width() {
        for (part, width) in [(0.0, 22), (0.501, 22), (1.0, 22), (7.0, 22), (f64::NAN, 22), (-1.0, 22)] {
            assert_eq!(bar(part).chars().count(), width, "{part}");
        }
        assert!(bar(0.5).starts_with("███████████ ") && bar(1.0).ends_with('█'));
    }
}
