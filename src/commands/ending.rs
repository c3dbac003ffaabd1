//! The end of a run: publishes the output or leaves the journal, and reports which, why, and what to do.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use super::command_error::CommandError;
use super::run_report_writer::RunReportWriter;
use super::{standard_output, unpublished};
use crate::collect::{
    ChangeCounts, CollectError, Collector, Failures, OutputSettings, Preflight, Publish, PublishDecision,
    PublishOutcome, Target,
};
use crate::config::Settings;
use crate::engine::input_thread::InputSummary;
use crate::engine::signals::{self, CommitGuard, Signals};
use crate::engine::{DRAIN, RowCounts, RunEnd, Sampled};
use crate::fetch::Shutdown;
use crate::input::{Columns, InputPath};
use crate::limit::{self, Gate};
use crate::model::{Cause, Event, Exit, Fault, Key, Mask, Reporter, StopReason, display_safe, signal_name};
use crate::report::{
    self, Amount, Changes, ErrorMessage, Facts, NotInInput, Report, RunSummary, WrittenFile, verdict,
};

/// Characters of a SKU in a message.
const KEY_CHARS: usize = 60;

/// What the end of a run is judged from.
pub struct Close<'a> {
    pub report_writer: Option<&'a RunReportWriter>,
    pub settings: Arc<Settings>,
    pub output: OutputSettings,
    pub place: Preflight,
    pub columns: Arc<Columns>,
    pub shutdown: Arc<Shutdown>,
    pub total: Option<u64>,
    /// The input is still what was surveyed. Otherwise a failure file that is the input may hold more rows.
    pub input_unchanged: bool,
    pub ended: RunEnd,
    pub started: Instant,
    /// Answers in the journal of an interrupted run.
    pub journalled: u64,
    /// The input is a failure file, or cut by `--limit`: most SKUs of the output are not in it.
    pub is_partial: bool,
}

/// What to do with what was collected.
enum RunOutcome {
    Publish,
    Unpublished(CommandError),
}

/// What the files came to.
struct FilesOutcome {
    /// What became of a complete output.
    published: Option<PublishOutcome>,
    failures: Failures,
    warnings: Vec<String>,
    /// The output was replaced.
    is_published: bool,
    journal_kept: bool,
}

/// Publishes or leaves, prints the summary, and says how the program ends.
pub fn conclude(
    close: Close<'_>,
    journal: Collector,
    (runtime, signals): (&Runtime, &mut Signals),
    (report, gate): (&Report, &Gate),
) -> Exit {
    let Close {
        settings,
        report_writer,
        output,
        place,
        columns,
        shutdown,
        total,
        mut ended,
        started,
        journalled,
        is_partial,
        input_unchanged,
    } = close;
    let unclaimed = journalled.saturating_sub(ended.counts.recovered);
    let mut counts = with_unread(ended.counts, ended.input_summary.as_ref(), total);
    let worked = started.elapsed();
    let outcome =
        match outcome(&settings, &mut ended, &shutdown, (&counts, failed_for(Cause::Status(404), report))) {
            RunOutcome::Publish if is_partial && unclaimed > 0 => {
                RunOutcome::Unpublished(unfinished_run(unclaimed, &settings))
            }
            outcome => outcome,
        };
    let mask =
        ended.input_summary.as_ref().map(|summary| summary.planner.template().mask()).unwrap_or_default();
    if let Some(input_summary) = &ended.input_summary {
        for warning in input_summary.planner.warnings() {
            report.on(&Event::Warned { message: &warning.to_string() });
        }
    }
    let facts = facts(&settings, worked, &ended.sampled, (gate, report));
    let blanks = ended.input_summary.as_ref().map_or(0, |summary| summary.blanks);
    let oldest = journal.oldest_adopted().map(|at| journal.began().duration_since(at).unwrap_or_default());
    let told = |counts: &RowCounts,
                (exit, error),
                (written, published): (Vec<WrittenFile>, bool),
                kept: bool| RunSummary {
        elapsed: started.elapsed(),
        counts: for_people(counts, blanks, report),
        written,
        verdict: verdict(&facts),
        exit,
        error,
        published,
        journal_kept: kept && matches!(settings.output.path, Target::File(_)),
        oldest,
        changes: None,
        not_in_input: None,
    };
    if ended.at_once {
        // Asked twice: what the journal has is what it has.
        report.abandon();
        drop(journal);
        let mut ending = told(&counts, judged(outcome, &counts), (Vec::new(), false), true);
        let exit = ending.exit;
        if let Some(report_writer) = report_writer {
            report_writer.close(report, &mut ending, (runtime, signals), Duration::ZERO);
        }
        return exit;
    }

    let job = FinalFiles {
        output,
        place,
        columns,
        input_summary: ended.input_summary,
        input: match &settings.input.path {
            InputPath::File(path) => Some(path.clone()),
            InputPath::Stdin => None,
        },
        input_done: counts.deferred == 0 && settings.input.limit.is_none() && input_unchanged,
        publish: matches!(outcome, RunOutcome::Publish),
    };
    let grace = grace(&shutdown, &settings);
    let files = signals::unless_signalled((runtime, signals), grace, move |guard| job.write(journal, guard));
    let (files, outcome) = FilesOutcome::of(files, outcome, (&settings, &mask));
    let unclaimed = Some(unclaimed).filter(|count| files.is_published && *count > 0).map(unclaimed_answers);
    for warning in files.warnings.iter().chain(&unclaimed) {
        report.on(&Event::Warned { message: warning });
    }
    // Rows that were refused, and whose key another row then got an answer for.
    counts.failed -= files.failures.repeats.min(counts.failed);
    counts.repeats += files.failures.repeats;
    report.refused_were_repeats(files.failures.repeats);

    let judged = judged(outcome, &counts);
    let mut ending = told(&counts, judged, (written(&files), files.is_published), files.journal_kept);
    if let Some(published) = &files.published {
        ending.changes = published.changes.as_ref().map(|(counts, _)| changes(*counts));
        let not_in_input =
            Some(published.not_in_input).filter(|count| *count > 0 && files.is_published && !is_partial);
        ending.not_in_input = not_in_input.map(|count| NotInInput { count, pruned: published.pruned });
    }
    if let Some(report_writer) = report_writer {
        report_writer.close(report, &mut ending, (runtime, signals), grace);
    }
    report.finish(&ending);
    ending.exit
}

/// How the program ends, and why it does not end well.
fn judged(outcome: RunOutcome, counts: &RowCounts) -> (Exit, Option<ErrorMessage>) {
    match outcome {
        RunOutcome::Unpublished(failure) => {
            (failure.exit, Some(ErrorMessage { message: failure.message, hint: failure.hint }))
        }
        RunOutcome::Publish if counts.failed > 0 => (Exit::SomeFailed, None),
        RunOutcome::Publish => (Exit::Complete, None),
    }
}

/// How long a signal waits for what is being written: a replaced file is an instant away from old or
/// new, standard output may be a pipe that nobody reads. A run that was signalled before waits no more.
fn grace(shutdown: &Shutdown, settings: &Settings) -> Duration {
    match (shutdown.reason(), &settings.output.path) {
        (Some(StopReason::Signal(_)), _) | (_, Target::Stdout) => Duration::ZERO,
        _ => DRAIN,
    }
}

/// What is written at the end, on a thread of its own: a signal must not wait for a slow disk.
struct FinalFiles {
    output: OutputSettings,
    place: Preflight,
    columns: Arc<Columns>,
    input_summary: Option<InputSummary>,
    input: Option<std::path::PathBuf>,
    input_done: bool,
    publish: bool,
}

impl FinalFiles {
    fn write(self, journal: Collector, guard: &CommitGuard) -> Result<FilesOutcome, CollectError> {
        let finished = journal.close()?;
        let is_planned =
            |key: &Key| self.input_summary.as_ref().is_some_and(|summary| summary.planner.was_planned(key));
        let mut stdout = io::stdout();
        let mut context = Publish {
            place: &self.place,
            columns: &self.columns,
            is_planned: &is_planned,
            input: self.input.as_deref().map(Path::new),
            input_done: self.input_done,
            is_stopped: &|| guard.is_stopped(),
            may_replace: &|| guard.commit(),
            stdout: &mut stdout,
        };
        if self.publish {
            let mut published = finished.publish(&self.output, &mut context)?;
            if self.place.paths.is_none() {
                standard_output::sync().map_err(CollectError::Stdout)?;
            }
            let failures = std::mem::take(&mut published.failures);
            let warnings = std::mem::take(&mut published.warnings);
            let is_published = published.decision == PublishDecision::Published;
            return Ok(FilesOutcome {
                published: Some(published),
                failures,
                warnings,
                is_published,
                journal_kept: false,
            });
        }
        let left = finished.leave(&context)?;
        Ok(FilesOutcome { failures: left.failures, warnings: left.warnings, ..FilesOutcome::nothing(false) })
    }
}

impl FilesOutcome {
    fn nothing(is_published: bool) -> Self {
        Self {
            published: None,
            failures: Failures::default(),
            warnings: Vec::new(),
            is_published,
            journal_kept: !is_published,
        }
    }

    /// What came of the files, and how the run ends with that; a signal may have come meanwhile.
    fn of(
        (result, number): (Option<Result<Self, CollectError>>, Option<u8>),
        outcome: RunOutcome,
        (settings, mask): (&Settings, &Mask),
    ) -> (Self, RunOutcome) {
        let mut files = match result {
            None | Some(Err(CollectError::Stopped)) => {
                return (
                    Self::nothing(false),
                    RunOutcome::Unpublished(by_signal(number.unwrap_or(0), settings)),
                );
            }
            Some(Err(error)) => {
                return (Self::nothing(error.is_after_publishing()), RunOutcome::Unpublished(error.into()));
            }
            Some(Ok(files)) => files,
        };
        let Some(published) = &files.published else { return (files, outcome) };
        let outcome =
            unpublished::failure(published, settings, mask).map_or(outcome, RunOutcome::Unpublished);
        files.warnings.extend(unpublished::warnings(published, settings, mask));
        (files, outcome)
    }
}

/// Rows that were never planned are deferred too: no row is lost in silence.
fn with_unread(mut counts: RowCounts, input_summary: Option<&InputSummary>, total: Option<u64>) -> RowCounts {
    let accounted = counts.fetched + counts.unchanged + counts.failed + counts.repeats + counts.deferred;
    let known = total.unwrap_or(0).max(input_summary.map_or(0, |summary| summary.rows));
    counts.deferred += known.saturating_sub(accounted);
    counts
}

/// A run is published only where every row of its input was decided: what else speaks against it is asked first,
/// and names the exit.
fn outcome(
    settings: &Settings,
    ended: &mut RunEnd,
    shutdown: &Shutdown,
    (counts, missing): (&RowCounts, u64),
) -> RunOutcome {
    let at_end = ended.input_summary.as_ref().is_some_and(|summary| summary.at_end);
    match outcome_of_the_decided(settings, ended, shutdown, (counts, missing)) {
        RunOutcome::Publish if counts.deferred > 0 || !at_end => {
            RunOutcome::Unpublished(unfinished(counts.deferred, settings))
        }
        outcome => outcome,
    }
}

/// As if the rows that were decided were all.
fn outcome_of_the_decided(
    settings: &Settings,
    ended: &mut RunEnd,
    shutdown: &Shutdown,
    (counts, missing): (&RowCounts, u64),
) -> RunOutcome {
    if let Some(error) = ended.disk.take() {
        return RunOutcome::Unpublished(error.into());
    }
    match shutdown.reason() {
        None => {}
        // Nothing was left when the time was over.
        Some(StopReason::OutOfTime)
            if counts.deferred == 0 && ended.input_summary.as_ref().is_some_and(|summary| summary.at_end) => {
        }
        Some(StopReason::Unreachable(why)) => {
            let origin = ended
                .input_summary
                .as_ref()
                .map(|summary| format!(" at {}", summary.planner.template().origin()));
            return RunOutcome::Unpublished(unreachable(&origin.unwrap_or_default(), why, settings));
        }
        Some(reason) => return RunOutcome::Unpublished(stopped(reason, settings)),
    }
    if let Some(error) = ended.input_summary.as_mut().and_then(|summary| summary.broken.take()) {
        return RunOutcome::Unpublished(error.into());
    }
    let fetched = counts.fetched + counts.unchanged;
    let skus = fetched + counts.failed;
    if skus + counts.repeats == 0 {
        let message = format!("{}: no data row", settings.input.path);
        return RunOutcome::Unpublished(
            CommandError::new(Exit::Data, message).with_hint("there is a header, but nothing to ask for"),
        );
    }
    let superseded = ended.input_summary.as_ref().map_or(0, |summary| summary.planner.superseded());
    let distinct = skus - (superseded + counts.keyless).min(counts.failed);
    if !settings.output.min_success.reached_by(fetched, distinct) {
        return RunOutcome::Unpublished(too_few((fetched, distinct, missing), settings));
    }
    RunOutcome::Publish
}

pub(super) fn stopped(reason: &StopReason, settings: &Settings) -> CommandError {
    let again = again(settings);
    match reason {
        StopReason::Signal(number) => by_signal(*number, settings),
        StopReason::OutOfTime => {
            CommandError::new(Exit::TryAgain, "--max-time was over before the input was").with_hint(again)
        }
        StopReason::Unreachable(why) => unreachable("", why, settings),
        StopReason::Certificate(why) => CommandError::new(Exit::Unavailable, why.clone())
            .with_hint("if the API has an authority of its own, name its certificate with --ca-cert FILE"),
        StopReason::Failing(fault) => CommandError::new(
            Exit::Unavailable,
            format!("the API kept failing through pauses of 5, 10 and 20 s: {fault}"),
        )
        .with_hint(after_outage(fault, again)),
        StopReason::Refused { status, answers } => refused(*status, *answers, settings),
        StopReason::RefusedAtEnd { status, skus, asked_again } => {
            let all = refused_at_end(*status, *skus);
            let sku = quoted(asked_again);
            let message = format!(
                "the API refuses the credentials: {all}, and so was SKU {sku}, which had an answer before"
            );
            CommandError::new(Exit::NoPermission, message).with_hint(check_credentials(settings))
        }
        StopReason::RefusalsUnsettled { status, skus, asked_again, why } => {
            let all = refused_at_end(*status, *skus);
            let sku = quoted(asked_again);
            let message = format!(
                "{all}; SKU {sku} was requested again to check the credentials, without a clear result: {why}"
            );
            CommandError::new(Exit::TryAgain, message).with_hint(again)
        }
        StopReason::AskedToWait(wait) => {
            let wait = wait.map_or_else(|| "very long".to_owned(), report::format::time_left);
            let limit = humantime::format_duration(settings.retry.max_retry_after);
            CommandError::new(
                Exit::TryAgain,
                format!("the server asks for a quiet of {wait}; --max-retry-after is {limit}"),
            )
            .with_hint(again)
        }
        StopReason::Disk => CommandError::new(Exit::Io, "the journal cannot be written"),
        StopReason::StdoutClosed => {
            CommandError::new(Exit::Io, "no program reads standard output any more: the answers are lost")
                .with_hint("name a file with --output, or keep the reader running to the end")
        }
    }
}

/// Whatever it was that left rows undecided.
fn unfinished(deferred: u64, settings: &Settings) -> CommandError {
    let what = match deferred {
        0 => "the input was not read to its end".to_owned(),
        rows => format!("{} left", report::format::counted(rows, "row was", "rows were")),
    };
    CommandError::new(Exit::TryAgain, format!("nothing was published: {what}")).with_hint(again(settings))
}

/// What to look at where the API is not there.
pub(super) const LOOK_AT: &str = "check the host and port in --url, the network, and --proxy";

fn unreachable(origin: &str, why: &str, settings: &Settings) -> CommandError {
    CommandError::new(Exit::Unavailable, format!("the API is unreachable{origin}: {why}"))
        .with_hint(format!("{LOOK_AT}; then {}", again(settings)))
}

/// A signal that came while the input was looked at, or another run waited for.
pub(super) fn before_any_request(number: u8) -> CommandError {
    let message = format!("stopped by {} before the first request", signal_name(number));
    CommandError::new(Exit::Signal(number), message)
}

fn by_signal(number: u8, settings: &Settings) -> CommandError {
    CommandError::new(Exit::Signal(number), format!("stopped by {}", signal_name(number)))
        .with_hint(again(settings))
}

/// Standard output has no journal to go on from.
fn again(settings: &Settings) -> &'static str {
    match settings.output.path {
        Target::File(_) => "the same command goes on from the journal",
        Target::Stdout => "the same command starts over",
    }
}

/// SKUs that fail for good look like an outage once their retries are a fifth of all requests, and no later
/// run gets past them.
fn after_outage(fault: &Fault, again: &str) -> String {
    match fault.cause {
        Cause::Status(status) => {
            format!(
                "{again}; if it is some SKUs alone that are always answered so, leave {status} out of \
                 --retry-on, and they fail by themselves"
            )
        }
        _ => again.to_owned(),
    }
}

fn refused(status: u16, answers: usize, settings: &Settings) -> CommandError {
    let times = if answers == 1 {
        "the only answer was".to_owned()
    } else {
        format!("{answers} answers in a row were")
    };
    CommandError::new(Exit::NoPermission, format!("the API refuses the credentials: {times} {status}"))
        .with_hint(check_credentials(settings))
}

fn check_credentials(settings: &Settings) -> String {
    format!("check --header and the variables in it; then {}", again(settings))
}

fn refused_at_end(status: u16, skus: usize) -> String {
    match skus {
        1 => format!("the last SKU was refused ({status})"),
        _ => format!("the last {skus} SKUs were refused ({status})"),
    }
}

/// A SKU in a message.
fn quoted(key: &Key) -> String {
    format!("`{}`", display_safe(key.as_str(), KEY_CHARS))
}

/// `missing`: those that were answered with 404.
fn too_few((fetched, skus, missing): (u64, u64, u64), settings: &Settings) -> CommandError {
    let limit = settings.output.min_success;
    let hint = if fetched == 0 && missing.saturating_mul(2) > skus {
        "most were answered with 404: is the path in --url right? if such SKUs are \
         simply gone, --null-on 404 stores null for them"
    } else {
        "the failures are above; the same command asks for them again; --merge --min-success 0 publishes whatever \
         came and keeps the old values of the others"
    };
    CommandError::new(
        Exit::Unavailable,
        format!("only {fetched} of {skus} SKUs came, less than --min-success {limit}"),
    )
    .with_hint(hint)
}

fn facts(
    settings: &Settings,
    elapsed: Duration,
    sampled: &Sampled,
    (gate, report): (&Gate, &Report),
) -> Facts {
    let stats = report.stats();
    let concurrency = match settings.pace.concurrency {
        limit::Concurrency::Fixed(number) => report::ConcurrencyUsed::Fixed(number.get()),
        limit::Concurrency::Auto { max } => {
            report::ConcurrencyUsed::Auto { max: max.get(), settled: gate.view().limit }
        }
    };
    Facts {
        elapsed,
        concurrency,
        busy: sampled.busy,
        waits: report::BlockedTime {
            slot: sampled.slot,
            rate: sampled.rate,
            pauses: sampled.pauses,
            outage: sampled.outage,
            input: sampled.input,
            drain: sampled.drain,
        },
        rate: settings.pace.rate,
        processor: processor_time(),
        attempts: stats.counters.attempts(),
        answered: stats.counters.answered,
        refused: stats.answers(429) + stats.answers(503),
        cheap: stats.cheap(),
        stepped_back: sampled.stepped_back,
        least: Duration::from_micros(stats.histogram.min()),
        p50: stats.latency.map_or(Duration::ZERO, |latency| latency.p50),
        p95: stats.latency.map_or(Duration::ZERO, |latency| latency.p95),
        tail: report::Tail {
            span: sampled.tail,
            idle: sampled.tail_idle,
            skus: sampled.tail_jobs as u64,
            retries: settings.retry.retries,
            timeout: settings.request.timeout,
        },
    }
}

/// Of this thread, which is the one that the loop ran on.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

fn for_people(counts: &RowCounts, blanks: u64, report: &Report) -> report::Counts {
    let bad_rows = failed_for(Cause::Row, report);
    report::Counts {
        rows: counts.fetched + counts.unchanged + counts.failed + counts.repeats + counts.deferred,
        fetched: counts.fetched,
        unchanged: counts.unchanged,
        failed: counts.failed,
        repeats: counts.repeats,
        deferred: counts.deferred,
        recovered: counts.recovered,
        bad_rows,
        blanks,
    }
}

/// SKUs that failed for this cause.
fn failed_for(cause: Cause, report: &Report) -> u64 {
    report.stats().causes.iter().find(|group| group.cause == cause).map_or(0, |group| group.count)
}

/// The input is a part of another one, whose run was interrupted: to publish would remove that run's journal with
/// these answers in it.
pub(super) fn unfinished_run(answers: u64, settings: &Settings) -> CommandError {
    let answers = report::format::counted(answers, "answer", "answers");
    let part = match settings.input.limit {
        Some(limit) => format!(
            "the first {} of {}",
            report::format::counted(limit.get(), "row", "rows"),
            settings.input.path
        ),
        None => format!("{}, a failure file,", settings.input.path),
    };
    let message =
        format!("the journal of an interrupted run has {answers} for rows that {part} does not have");
    CommandError::new(Exit::TryAgain, message).with_hint(
        "finish that run first: the same command with its whole input takes up all answers and asks for the failed rows \
         again; or add --fresh to do without them",
    )
}

/// Of a journal, what no row asked for.
fn unclaimed_answers(count: u64) -> String {
    let answers = report::format::counted(count, "answer", "answers");
    let were = if count == 1 { "it was" } else { "they were" };
    format!(
        "the journal of an interrupted run had {answers} that no row of this input needs; {were} removed with it"
    )
}

fn changes(counts: ChangeCounts) -> Changes {
    let ChangeCounts { added, removed, changed, failed } = counts;
    Changes { added, removed, changed, failed }
}

fn written(files: &FilesOutcome) -> Vec<WrittenFile> {
    let path = |path: &Path| path.display().to_string();
    let output = files.published.as_ref().and_then(|published| {
        Some(WrittenFile { path: path(published.path.as_deref()?), amount: Amount::Bytes(published.bytes) })
    });
    let failures = files
        .failures
        .path
        .as_deref()
        .map(|at| WrittenFile { path: path(at), amount: Amount::Rows(files.failures.rows) });
    let changes =
        files.published.as_ref().and_then(|published| published.changes.as_ref()).map(|(counts, at)| {
            let lines = counts.added + counts.removed + counts.changed + counts.failed;
            WrittenFile { path: path(at), amount: Amount::Lines(lines) }
        });
    output.into_iter().chain(failures).chain(changes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Invocation};
    use crate::input::InputError;
    use crate::plan::{Planner, RequestSettings, RequestTemplate};

    fn settings() -> Settings {
        let args = ["skufetch", "products.csv", "-o", "out.json", "-u", "http://a.example/{sku}"];
        let env: Environment = std::iter::empty::<(&str, &str)>().collect();
        let nowhere = tempfile::tempdir().unwrap();
        match config::load(args.into_iter().map(Into::into), &env, nowhere.path()).unwrap() {
            Invocation::Fetch(settings) => *settings,
            _ => unreachable!("no other command was given"),
        }
    }

    fn input_summary(at_end: bool, broken: Option<InputError>) -> InputSummary {
        let columns = Columns { names: vec!["sku".into()], key: 0, delimiter: b',', headers: true };
        let request = RequestSettings { url: "http://a.example/{sku}".into(), ..RequestSettings::default() };
        let planner = Planner::new(
            Arc::new(RequestTemplate::parse(&request, &|_| None).unwrap()).bind(&columns).unwrap(),
            [0; 16],
        );
        InputSummary { planner, rows: 10, blanks: 0, at_end, broken }
    }

    fn changed() -> InputError {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sku\nA\n").unwrap();
        let path = InputPath::File(file.path().into());
        let surveyed = crate::input::survey(&path, &crate::input::InputSettings::default()).unwrap();
        std::fs::write(file.path(), "sku\nB\n").unwrap();
        surveyed.rows(&crate::input::InputSettings::default()).err().unwrap()
    }

    /// How a run of ten rows ends, of which so many were deferred.
    fn exit(deferred: u64, input_summary: Option<InputSummary>, reason: Option<StopReason>) -> Exit {
        let counts = RowCounts { fetched: 10 - deferred, deferred, ..RowCounts::default() };
        let mut ended =
            RunEnd { counts, input_summary, disk: None, at_once: false, sampled: Sampled::default() };
        let shutdown = Shutdown::default();
        if let Some(reason) = reason {
            shutdown.trigger(reason);
        }
        judged(outcome(&settings(), &mut ended, &shutdown, (&counts, 0)), &counts).0
    }

    #[test]
    fn a_run_with_deferred_rows_is_never_published_whatever_the_cause() {
        let why = || "why".to_owned();
        let key = || Key::parse(b"A").unwrap();
        for (reason, code) in [
            (None, 75),
            (Some(StopReason::OutOfTime), 75),
            (Some(StopReason::AskedToWait(None)), 75),
            (Some(StopReason::Signal(15)), 143),
            (Some(StopReason::Unreachable(why())), 69),
            (Some(StopReason::Certificate(why())), 69),
            (Some(StopReason::Failing(Fault::new(Cause::Status(500), why()))), 69),
            (Some(StopReason::Refused { status: 401, answers: 5 }), 77),
            (Some(StopReason::RefusedAtEnd { status: 401, skus: 5, asked_again: key() }), 77),
            (
                Some(StopReason::RefusalsUnsettled { status: 401, skus: 5, asked_again: key(), why: why() }),
                75,
            ),
            (Some(StopReason::Disk), 74),
        ] {
            for deferred in [1, 9] {
                for input_summary in [Some(input_summary(true, None)), Some(input_summary(false, None)), None]
                {
                    assert_eq!(
                        exit(deferred, input_summary, reason.clone()).code(),
                        code,
                        "{deferred}, {reason:?}"
                    );
                }
            }
        }
        for deferred in [0, 1, 9] {
            assert_eq!(exit(deferred, Some(input_summary(false, Some(changed()))), None).code(), 65);
        }
    }

    #[test]
    fn a_run_is_published_only_when_its_input_was_read_to_its_end() {
        for reason in [None, Some(StopReason::OutOfTime)] {
            assert_eq!(exit(0, Some(input_summary(true, None)), reason.clone()), Exit::Complete);
            // More rows may be there: a pipe that is still open, or a reader that is gone.
            assert_eq!(exit(0, Some(input_summary(false, None)), reason.clone()), Exit::TryAgain);
            assert_eq!(exit(0, None, reason), Exit::TryAgain);
        }
    }

    #[test]
    fn an_outage_that_may_be_some_skus_alone_says_how_to_get_past_them() {
        let again = "the same command goes on from the journal";
        let hint = after_outage(&Fault::new(Cause::Status(500), "HTTP 500 Internal Server Error: {}"), again);
        assert!(hint.starts_with(again) && hint.contains("leave 500 out of --retry-on"), "{hint}");
        assert_eq!(after_outage(&Fault::new(Cause::Timeout, "HTTP 500"), again), again);
    }
}
