//! The plan as a page. A line is at most 80 columns, so that it reads the same on a terminal, in a mail and in
//! a ticket; only addresses are not wrapped, so that they can be copied.

use std::path::PathBuf;
use std::time::Duration;

use crate::limit::Concurrency;
use crate::model::display_safe;
use crate::model::option::{FAILED, LOCK_WAIT, MAX_AGE, MAX_TIME, RATE};
use crate::report::dry_run::plan::{DryRun, LineNumbers, PlannedFiles, PlannedRows, SampleRequest};
use crate::report::format::{self, count, counted};
use crate::report::row_remedies::row_remedies;

/// Columns of a line.
const WIDTH: usize = 80;
/// Columns of the words that lines begin with.
const LABEL: usize = 10;
/// Groups of bad rows that are shown.
const GROUPS_SHOWN: usize = 12;
/// Characters of foreign text.
const TEXT_CHARS: usize = 400;
/// Characters of an address: longer ones are no longer read.
const URL_CHARS: usize = 2_000;
/// What an answer may take, for an example where nothing is known.
const EXAMPLE_LATENCY: Duration = Duration::from_millis(100);
/// An answer that takes longer is no longer usual.
const USUAL_LATENCY: Duration = Duration::from_secs(2);

/// The whole plan for people. With `brief`, only what is wrong with the rows.
#[must_use]
pub(crate) fn text(plan: &DryRun, brief: bool) -> String {
    let mut out = Page::default();
    if brief {
        rejects(&mut out, &plan.rows);
        remedies(&mut out, &plan.rows);
        return out.0;
    }
    out.0.push_str("dry run: no request was sent, and no file was written\n\n");
    rows(&mut out, &plan.rows);
    rejects(&mut out, &plan.rows);
    odd(&mut out, &plan.rows);
    earlier(&mut out, plan);
    requests(&mut out, plan);
    filters(&mut out, &plan.filters);
    pace(&mut out, plan);
    time(&mut out, plan);
    files(&mut out, &plan.files);
    remedies(&mut out, &plan.rows);
    out.0.push('\n');
    out.0.push_str(&verdict(plan));
    out.0.push('\n');
    out.0
}

/// Labelled lines of at most [`WIDTH`] columns.
#[derive(Default)]
struct Page(String);

impl Page {
    /// A sentence behind a label, which is empty where the last label goes on. Continued lines are
    /// indented a little further, so that each sentence is seen to begin.
    fn log(&mut self, label: &str, text: &str) {
        let text = display_safe(text, TEXT_CHARS * 4);
        let mut line = format!("{label:LABEL$}");
        let mut columns = LABEL;
        let mut begun = false;
        for word in text.split(' ') {
            let wide = word.chars().count();
            if begun && columns + 1 + wide > WIDTH {
                self.0.push_str(line.trim_end());
                self.0.push('\n');
                line = " ".repeat(LABEL + 2);
                columns = LABEL + 2;
            } else if begun {
                line.push(' ');
                columns += 1;
            }
            line.push_str(word);
            columns += wide;
            begun = true;
        }
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    /// A line that is not to be broken.
    fn whole(&mut self, text: &str) {
        self.0.push_str(&" ".repeat(LABEL));
        self.0.push_str(text);
        self.0.push('\n');
    }
}

fn rows(out: &mut Page, rows: &PlannedRows) {
    let key = display_safe(&rows.key, TEXT_CHARS);
    out.log("input", &format!("{}, SKUs in column `{key}`; {}", rows.input, rows.format));
    let mut parts = vec![counted(rows.skus, "SKU", "SKUs")];
    if rows.skipped > 0 {
        parts.push(format!("{} skipped", count(rows.skipped)));
    }
    if rows.repeats > 0 {
        parts.push(counted(rows.repeats, "repeat", "repeats"));
    }
    if rows.rejected > 0 {
        parts.push(counted(rows.rejected, "bad row", "bad rows"));
    }
    let blanks = if rows.blanks > 0 {
        format!(" · {}", counted(rows.blanks, "blank line", "blank lines"))
    } else {
        String::new()
    };
    out.log("rows", &format!("{}: {}{blanks}", count(rows.rows), parts.join(", ")));
    if rows.differing.count > 0 {
        let repeats = counted(rows.differing.count, "repeat", "repeats");
        out.log(
            "",
            &format!(
                "{repeats} would be another request than the SKU's first row, which counts: {}",
                rows.differing.named()
            ),
        );
    }
}

fn rejects(out: &mut Page, rows: &PlannedRows) {
    let mut label = "bad rows";
    for reject in rows.rejects.iter().take(GROUPS_SHOWN) {
        let (many, example) = (counted(reject.lines.count, "row", "rows"), &reject.example);
        let text = match reject.lines.first[..] {
            [only] if reject.lines.count == 1 => format!("{many}, line {only}: {example}"),
            [first, ref others @ ..] => {
                let others = LineNumbers { count: reject.lines.count - 1, first: others.to_vec() };
                format!("{many}, the first in line {first}: {example}; the others: {}", others.named())
            }
            [] => continue,
        };
        out.log(label, &text);
        label = "";
    }
    let more = rows.rejects.len().saturating_sub(GROUPS_SHOWN) as u64;
    if more > 0 {
        out.log("", &format!("and for {}", counted(more, "other reason", "other reasons")));
    }
    let refused: u64 = rows.rejects.iter().map(|reject| reject.lines.count).sum();
    if refused > rows.rejected {
        let rows = counted(refused - rows.rejected, "of them is a repeat", "of them are repeats");
        out.log("", &format!("{rows}: another row has the SKU and can be requested"));
    }
}

/// In the last lines, as in those of a run.
fn remedies(out: &mut Page, rows: &PlannedRows) {
    for remedy in row_remedies(rows.keyless, rows.short_rows) {
        out.log("", &remedy);
    }
}

fn odd(out: &mut Page, rows: &PlannedRows) {
    let mut label = "odd";
    for sentence in &rows.odd {
        out.log(label, sentence);
        label = "";
    }
}

fn earlier(out: &mut Page, plan: &DryRun) {
    let earlier = &plan.earlier;
    let mut sentences = Vec::new();
    if earlier.recovered > 0 {
        let skus = counted(earlier.recovered, "SKU has its answer", "SKUs have their answers");
        sentences.push(format!("{skus} in the journal of an interrupted run: not requested again"));
    }
    if let (1.., Some(age)) = (earlier.young, plan.pace.max_age) {
        let skus = counted(earlier.young, "SKU is", "SKUs are");
        sentences
            .push(format!("{skus} younger than {MAX_AGE} {}: left alone", humantime::format_duration(age)));
    }
    if earlier.conditional > 0 {
        let skus = counted(earlier.conditional, "SKU", "SKUs");
        sentences
            .push(format!("{skus} are requested with a condition: if they did not change, no body is sent"));
    }
    let mut label = "saved";
    for sentence in &sentences {
        out.log(label, sentence);
        label = "";
    }
    for (place, note) in earlier.notes.iter().enumerate() {
        out.log(if place == 0 { "note" } else { "" }, note);
    }
    if let Some(writer) = &earlier.writer {
        let text = format!(
            "another run is writing this output: its lock is held {writer}; a run that began now would wait for \
             {LOCK_WAIT}, or exit 75"
        );
        out.log("busy", &text);
    }
}

fn requests(out: &mut Page, plan: &DryRun) {
    let requests = &plan.requests;
    let skus = plan.skus_to_request();
    let packed = match requests.packs {
        Some(_) => format!(" for {}", counted(skus, "SKU", "SKUs")),
        None => String::new(),
    };
    let first = if plan.rows.skus > 0 { ", for example" } else { "" };
    let requested = match requests.most_pages {
        Some(_) => counted(plan.requested(), "first page", "first pages"),
        None => count(plan.requested()),
    };
    out.log("requests", &format!("{requested}{packed} with {}{first}", requests.method));
    for sample in &requests.first {
        out.whole(&sampled(sample, ""));
    }
    if let Some(sample) = &requests.random {
        out.whole(&sampled(sample, " (picked at random)"));
    }
    if let Some(most) = requests.most_pages {
        let most = counted(most.into(), "page", "pages");
        out.log(
            "pages",
            &format!("up to {most} a SKU, each a request: how many there are only the answers say"),
        );
    }
    out.log("headers", &requests.headers.join(", "));
    if let Some(token) = &requests.token {
        out.log("token", &format!("from {token}; none was fetched"));
    }
    if let Some(proxy) = &requests.proxy {
        out.log("proxy", proxy);
    }
    let Some(bodies) = &requests.bodies else { return };
    let kind = if bodies.json { " of JSON" } else { "" };
    let size = if bodies.least == bodies.most {
        counted(bodies.most, "byte", "bytes")
    } else {
        format!("{} to {}", count(bodies.least), counted(bodies.most, "byte", "bytes"))
    };
    out.log("body", &format!("{size}{kind} each"));
    if bodies.broken.count > 0 {
        let rows = counted(bodies.broken.count, "row makes a body", "rows make bodies");
        out.log("", &format!("{rows} that no JSON parser takes: {}", bodies.broken.named()));
    }
}

fn sampled(sample: &SampleRequest, why: &str) -> String {
    let more = match sample.more {
        0 => String::new(),
        more => format!(" and {}", counted(more, "SKU more", "SKUs more")),
    };
    format!("line {:<7} {}{more}{why}", sample.line, display_safe(&sample.url, URL_CHARS))
}

fn filters(out: &mut Page, filters: &[String]) {
    let mut label = "answers";
    for filter in filters {
        out.log(label, filter);
        label = "";
    }
}

fn pace(out: &mut Page, plan: &DryRun) {
    let pace = &plan.pace;
    let most = count(pace.concurrency.ceiling().get() as u64);
    let flying = match pace.concurrency {
        Concurrency::Fixed(_) => format!("{most} in flight at most"),
        Concurrency::Auto { .. } => format!("as many in flight as pay, {most} at most"),
    };
    let rate = match pace.rate {
        Some(rate) => format!("at most {rate}, {} at once after a quiet time", count(pace.burst.into())),
        None => format!("no {RATE}"),
    };
    out.log("pace", &format!("{flying}; {rate}"));
    if let Some(store) = &pace.rate_store {
        out.log("", &format!("that is the rate of all processes at {store}"));
    }
    let retries = match pace.retries {
        0 => "no retries".into(),
        retries => {
            let unit = if plan.requests.most_pages.is_some() { "page" } else { "SKU" };
            let on = if pace.retry_on.is_empty() { "no status" } else { &pace.retry_on };
            let twice = if plan.requests.may_act_twice {
                format!("; a retried {} may act twice", plan.requests.method)
            } else {
                String::new()
            };
            format!(
                "up to {} a {unit}, on {on} and lost connections{twice}",
                counted(retries.into(), "retry", "retries")
            )
        }
    };
    out.log("", &retries);
}

fn time(out: &mut Page, plan: &DryRun) {
    let pace = &plan.pace;
    if plan.requested() == 0 {
        return;
    }
    let most = pace.concurrency.ceiling().get() as f64;
    let text = if let (Some(least), Some(rate)) = (plan.least(), pace.rate) {
        // Little's law: what so many slots carry.
        let latency = Duration::try_from_secs_f64(most / rate.per_second()).unwrap_or(Duration::MAX);
        let bound = format!(", as long as an answer takes less than {}", format::latency(latency));
        let bound = if latency < USUAL_LATENCY { &bound } else { "" };
        let alone = if pace.rate_store.is_some() { ", if no other process shares it" } else { "" };
        format!("{} at {rate}{alone}, retries apart{bound}", about(least))
    } else {
        let waves = (plan.requested() as f64 / most).ceil();
        let example = Duration::try_from_secs_f64(waves * EXAMPLE_LATENCY.as_secs_f64());
        format!(
            "by the API's latency: {} if an answer takes {} and {} in flight pay; skufetch tune measures it",
            about(example.unwrap_or(Duration::MAX)),
            format::latency(EXAMPLE_LATENCY),
            count(pace.concurrency.ceiling().get() as u64),
        )
    };
    let apart = if plan.requests.most_pages.is_some() { "; that is for the first pages alone" } else { "" };
    out.log("time", &format!("{text}{apart}"));
    if let (Some(least), Some(limit)) = (plan.least(), pace.max_time)
        && least > limit
    {
        let limit = humantime::format_duration(limit);
        out.log("", &format!("that is longer than {MAX_TIME} {limit}: the rest would be deferred, exit 75"));
    }
}

fn about(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        "less than 1 s".into()
    } else {
        format!("about {}", format::time_left(time))
    }
}

fn files(out: &mut Page, files: &PlannedFiles) {
    let shown = |path: &PathBuf| display_safe(&path.display().to_string(), TEXT_CHARS);
    let output = match (&files.output, files.old_bytes) {
        (None, _) if files.stream => "standard output: a line for each row as soon as it is decided".into(),
        (None, _) => "standard output, when it is complete".into(),
        (Some(path), Some(bytes)) if files.merge => {
            format!("{}, starting from the {} that are there", shown(path), format::size(bytes))
        }
        (Some(path), Some(bytes)) => {
            format!("{}, in place of the {} that are there", shown(path), format::size(bytes))
        }
        (Some(path), None) => format!("{}, a new file", shown(path)),
    };
    out.log("writes", &output);
    if files.merge && files.prune {
        out.log("", "SKUs that the input no longer has are taken out");
    }
    if let Some(path) = &files.changes {
        out.log("", &format!("{}, what changed against the output that is there", shown(path)));
    }
    match &files.failed {
        Some(path) => out.log("", &format!("{}, if rows fail", shown(path))),
        None => out.log("", &format!("failed rows to no file; {FAILED} FILE names one")),
    }
    if !files.beside.is_empty() {
        let beside: Vec<String> = files.beside.iter().map(shown).collect();
        out.log("", &format!("beside it {}", format::listed(&beside)));
    }
}

pub(crate) fn verdict(plan: &DryRun) -> String {
    match plan.rows.rejected {
        0 if plan.rows.skipped > 0 => "every row can be requested, is a repeat or is skipped".into(),
        0 => "every row can be requested or is a repeat".into(),
        rejected => {
            format!("{} would fail without a request: exit 1", counted(rejected, "row", "rows"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_named_until_they_are_many() {
        let mut lines = LineNumbers::default();
        lines.add(7);
        assert_eq!(lines.named(), "line 7");
        (8..=15).for_each(|line| lines.add(line));
        assert_eq!(lines.named(), "lines 7, 8, 9, 10, 11, 12, 13, 14 and 1 more");
    }

    #[test]
    fn a_long_sentence_continues_indented_on_the_next_line() {
        let mut page = Page::default();
        page.log("odd", &"word ".repeat(20));
        page.log("", "next");
        assert_eq!(
            page.0,
            format!(
                "odd       {}\n            {}\n          next\n",
                ["word"; 14].join(" "),
                ["word"; 6].join(" ")
            )
        );
    }

    proptest! {
        #[test]
        fn words_that_fit_make_lines_that_fit_and_none_is_lost(words in proptest::collection::vec("[a-zé]{1,60}", 0..40)) {
            let mut page = Page::default();
            page.log("label", &words.join(" "));
            prop_assert!(page.0.lines().all(|line| line.chars().count() <= WIDTH));
            let record: Vec<&str> = page.0.split_whitespace().skip(1).collect();
            prop_assert_eq!(record, words);
        }
    }
}
