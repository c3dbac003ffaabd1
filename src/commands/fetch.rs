//! `skufetch INPUT -o OUTPUT`: the main job.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::api::Api;
use super::checks::{InputChecks, OutputChecks, bind};
use super::command_error::{self, CommandError};
use super::ending::{self, FinishedRun, conclude};
use super::http_stack::{self, FetchPath};
use super::output_lock::OutputLock;
use super::run_report_writer::RunReportWriter;
use super::session::{self, EventLoop, Session};
use super::shard::WantedPart;
use super::{
    descriptor_limit, failure_file, objects, rate_store, shard, standard_output, table, terminal,
    unpublished, warnings, wiring,
};
use crate::collect::{self, CollectError, Collector, Lock, PartTrailer, Recovered, Target};
use crate::config::{Environment, Settings};
use crate::engine::input_thread::{self, InputThread};
use crate::engine::signals::{self, CommitGuard};
use crate::engine::stdout_peer::StdoutPeer;
use crate::engine::{DRAIN, Engine, RatedRun, RunEnd};
use crate::fetch::Shutdown;
use crate::input::{self, Columns, InputChange, InputError, Rows, SurveyedFile};
use crate::model::{Event, Exit, Reporter, StopReason};
use crate::plan::Planner;
use crate::report::{self, Counts, ErrorMessage, Level, LogHeader, Report, ReportSettings, RunSummary};

/// Runs the main job and returns how the program ends. All messages have been printed by then.
pub(super) fn fetch(mut settings: Settings, env: &Arc<Environment>) -> Exit {
    #[expect(clippy::disallowed_methods, reason = "the start of the command")]
    let (started, began) = (Instant::now(), SystemTime::now());
    let messages = ReportSettings { terminal: terminal::standard_error(env), ..settings.messages };
    let objects = objects::prepare(&mut settings, env);
    let heading = LogHeader {
        began,
        input: settings.input_path.to_string(),
        output: match &shard::output(&settings).shown_target() {
            Target::File(path) => path.display().to_string(),
            Target::Stdout => "standard output".into(),
        },
    };
    let report =
        Report::new(messages, Box::new(io::stderr())).with_log_header(heading, !terminal::is_interactive());
    let report = Arc::new(if settings.run.report.is_some() { report.with_history() } else { report });
    descriptor_limit::raise(&mut settings)
        .and(objects)
        .and_then(|objects| {
            let (settings, env, report) = (Arc::new(settings), Arc::clone(env), Arc::clone(&report));
            let session = Arc::new(Session { settings, env, report, started, objects });
            session::begin(&session, |report_writer, event_loop| run(&session, report_writer, event_loop))
        })
        .unwrap_or_else(|CommandError { message, hint, exit }| {
            report.fail(&ErrorMessage { message, hint });
            exit
        })
}

fn run(
    session: &Arc<Session>,
    report_writer: Option<&RunReportWriter>,
    event_loop: &mut EventLoop,
) -> Result<Exit, CommandError> {
    let Session { settings, report, started, .. } = &**session;
    let api = Arc::new(Api::start(settings)?);
    let prepared = match prepare(session, &api, event_loop)? {
        Preparation::Run(prepared) => *prepared,
        Preparation::NoRow => return Ok(nothing_to_do(session, report_writer, event_loop)),
        Preparation::Complete { part, .. } => {
            return Ok(shard::already_complete(session, &part, report_writer, event_loop));
        }
    };
    let Prepared { checked, surveyed, lock, rows, planner, mut journal, recovered } = prepared;
    let total = surveyed.as_ref().map(|surveyed| surveyed.found.rows);
    let is_failure_file = rows.has_failure_columns();
    let is_partial = is_failure_file || settings.input.limit.is_some();
    if let Some(rows) = total.filter(|rows| is_partial && recovered.answers > *rows) {
        return Err(ending::interrupted_run(recovered.answers - rows, settings));
    }
    let columns = Arc::clone(rows.columns());
    report.started(total);
    show_form(session, &columns);
    let of_request = planner.request().start_warnings().iter();
    let headless = warnings::headless(settings, &columns);
    let of_journal = warnings::about_the_journal(settings, &recovered);
    session.warn(of_request.chain(&recovered.notes).chain(&headless).chain(&of_journal));

    let InputChecks { output, place, stack, rate_store, .. } = checked;
    let rate_store = rate_store::connect(rate_store, settings, event_loop)?;
    let proxy = stack.shown_proxy(settings, planner.request());
    http_stack::name_proxy(report, proxy.as_deref());
    let stack = stack.with_pending_bytes(journal.pending_bytes());
    let FetchPath { gate, shutdown, served, fetcher } =
        stack.fetch_path(settings, planner.request(), Arc::clone(report) as Arc<dyn Reporter>)?;
    let input_thread = InputThread::start(rows, planner)
        .map_err(|error| command_error::of_start("the input thread", &error))?;
    let engine = Engine {
        fetcher: &fetcher,
        gate: &gate,
        store: &mut journal,
        report,
        shutdown: &shutdown,
        signals: &mut event_loop.signals,
        reader: reader_of(&output.target),
        started: (*started).into(),
        deadline: session.deadline().map(Into::into),
        max_age: settings.output.max_age,
    };
    let rated = RatedRun { gate: &gate, reporter: &**report, shutdown: &shutdown };
    let work = rate_store::beside(rate_store, rated, engine.run(input_thread));
    let mut ended = event_loop.runtime.block_on(work);

    let InputCheck { is_unchanged: input_unchanged, warning } =
        check_input(ReadInput { session, surveyed }, &mut ended, &shutdown, event_loop);
    if let Some(message) = &warning {
        report.on(&Event::Warned { message });
    }
    let (announced, connections) = (fetcher.newest_quota(), served.get());
    // No more requests: connections are closed on another thread, beside the remaining work.
    signals::drop_beside(&event_loop.runtime, fetcher);
    let finished = FinishedRun {
        report,
        gate: &gate,
        announced,
        connections,
        proxy,
        report_writer,
        settings,
        collector: journal,
        output,
        place,
        columns,
        shutdown,
        total,
        input_unchanged,
        end: ended,
        started: *started,
        journalled: recovered.answers,
        is_partial,
        is_failure_file,
    };
    let (runtime, signals) = event_loop.parts();
    let exit = conclude(finished, runtime, signals);
    drop(lock);
    Ok(exit)
}

/// Ends a stream whose input has no row.
fn nothing_to_do(
    Session { report, started, .. }: &Session,
    report_writer: Option<&RunReportWriter>,
    event_loop: &mut EventLoop,
) -> Exit {
    let mut summary = RunSummary::without_requests(Counts::default(), started.elapsed());
    if let Some(report_writer) = report_writer {
        report_writer.close(&mut summary, event_loop.parts(), DRAIN);
    }
    report.finish(&summary);
    summary.exit
}

/// How the input is read, for `-v`.
fn show_form(Session { settings, report, .. }: &Session, columns: &Columns) {
    if settings.messages.verbose > 0 {
        report.line(Level::Info, &format!("{}: {}", settings.input_path, columns.format));
    }
}

/// Surveying a large file, waiting for another run or for a pipe takes time; a signal is handled meanwhile.
fn prepare(
    session: &Arc<Session>,
    api: &Arc<Api>,
    event_loop: &mut EventLoop,
) -> Result<Preparation, CommandError> {
    let (session, api) = (Arc::clone(session), Arc::clone(api));
    let prepare = move |_: &CommitGuard| Preparation::new(&session, &api);
    match signals::unless_signalled(event_loop.parts(), Duration::ZERO, prepare) {
        (Some(prepared), None) => prepared,
        (_, number) => Err(ending::before_any_request(number.unwrap_or(0))),
    }
}

/// The program that reads standard output, where that is the output.
fn reader_of(target: &Target) -> StdoutPeer {
    match target {
        Target::Stdout => StdoutPeer::of_standard_output(),
        Target::File(_) => StdoutPeer::none(),
    }
}

/// The input of a run that has read it.
struct ReadInput<'a> {
    session: &'a Arc<Session>,
    /// None where it cannot be read twice.
    surveyed: Option<SurveyedFile>,
}

/// What became of the input while the run went on.
#[derive(Default)]
struct InputCheck {
    is_unchanged: bool,
    warning: Option<String>,
}

/// Compares the input with what was surveyed. A last row that was written on meanwhile ends the run: it was asked
/// for by half a key.
fn check_input(
    ReadInput { session, surveyed }: ReadInput<'_>,
    ended: &mut RunEnd,
    shutdown: &Shutdown,
    event_loop: &mut EventLoop,
) -> InputCheck {
    let Some(surveyed) = surveyed else { return InputCheck { is_unchanged: true, warning: None } };
    let input = surveyed.name();
    // Nothing is published, so changes of the input do not matter to this run.
    if matches!(shutdown.reason(), Some(StopReason::Signal(_))) || ended.at_once {
        return InputCheck::default();
    }
    let session = Arc::clone(session);
    let compare = move |_: &CommitGuard| {
        let object = session
            .objects
            .as_ref()
            .map(|objects| objects::check_input(objects, &session.settings.input_path));
        object.transpose().and_then(|_| surveyed.changes_since_survey())
    };
    let change = match signals::unless_signalled(event_loop.parts(), Duration::ZERO, compare) {
        (Some(Ok(change)), _) => change,
        (Some(Err(error)), _) => {
            if let Some(input_summary) = &mut ended.input_summary {
                input_summary.broken.get_or_insert(error);
            }
            return InputCheck::default();
        }
        (None, number) => {
            shutdown.trigger(StopReason::Signal(number.unwrap_or(0)));
            return InputCheck::default();
        }
    };
    let is_broken = ended.input_summary.as_ref().is_none_or(|summary| summary.broken.is_some());
    let warning = if is_broken { None } else { input_change_message(&input, change) };
    InputCheck { is_unchanged: change == InputChange::Unchanged, warning }
}

fn input_change_message(input: &str, change: InputChange) -> Option<String> {
    Some(match change {
        InputChange::Unchanged => return None,
        InputChange::Appended(bytes) => {
            let size = report::format::size(bytes);
            format!("{input} grew by {size} during the run; the next run will read the new rows")
        }
        InputChange::Rewritten => {
            format!("{input} was modified after it was read; the next run will read the new content")
        }
        InputChange::Replaced => format!(
            "{input} was replaced during the run, which used the old file; the next run will read the new one"
        ),
        InputChange::Removed => format!("{input} was removed during the run, which read it to its end"),
    })
}

/// What comes before the first request, if there is one.
enum Preparation {
    Run(Box<Prepared>),
    /// A stream has nothing to do.
    NoRow,
    /// The part of this shard is there already.
    Complete {
        part: Box<PartTrailer>,
        /// Held until the end is printed.
        _lock: Option<OutputLock>,
    },
}

/// All that is there before the first request.
struct Prepared {
    checked: InputChecks,
    /// None where the input cannot be read twice.
    surveyed: Option<SurveyedFile>,
    lock: Option<OutputLock>,
    rows: Rows,
    planner: Planner,
    journal: Collector,
    recovered: Recovered,
}

impl Preparation {
    /// What a dry run checks as well, then the lock, the input as a whole, and the journal.
    ///
    /// # Errors
    /// What ends the run before its first request.
    fn new(session: &Session, api: &Api) -> Result<Self, CommandError> {
        let settings = &session.settings;
        shard::make_place(settings)?;
        let checks = OutputChecks::new(session, collect::preflight)?;
        if checks.output.target == Target::Stdout {
            standard_output::check_for_data()?;
        }
        let (path, reading) = (&settings.input_path, &settings.input);
        let mut lock = None;
        if let Some(objects) = &session.objects {
            objects::fetch_input(objects, path)?;
            lock = objects::begin(objects, &checks.output, &checks.place)?.map(OutputLock::of_object);
        }
        let first_look = match input_thread::open_until(path, reading, session.deadline()) {
            // A share of a larger job may have no row.
            Err(InputError::NoHeader { .. } | InputError::NoRow { .. }) if settings.output.stream => {
                return Ok(Self::NoRow);
            }
            opened => opened?.ok_or_else(command_error::of_silence)?,
        };
        let mut checked = checks.with_input(session, api, &first_look)?;
        let InputChecks { output, place, request, columns, .. } = &mut checked;
        if let Some(paths) = place.paths.as_ref().filter(|_| lock.is_none()) {
            lock = Some(OutputLock::of_file(Lock::acquire(paths, output.lock_wait)?));
        }
        collect::try_publishing(place)?;
        let (rows, surveyed) = if path.can_be_read_twice() {
            let surveyed = match input::survey(path, reading) {
                Err(InputError::NoRow { .. }) if output.stream => return Ok(Self::NoRow),
                surveyed => surveyed?,
            };
            (surveyed.rows(reading)?, Some(surveyed))
        } else {
            (first_look, None)
        };
        failure_file::check_prune(settings, rows.has_failure_columns())?;
        // The columns of the survey: while this run waited for another one, another file may have got the name.
        output.layout = table::layout(settings, columns.as_ref(), &rows, request.mask())?;
        // Another run may have published meanwhile.
        failure_file::refuse_to_replace(settings, (output, place), &rows)?;
        let request = bind(request.template(), rows.columns(), settings)?;
        let identity = wiring::identity(settings, &request);
        if let Some(part) = &mut output.part {
            (part.used, part.key) = (request.used().to_vec(), rows.columns().key);
        }
        let content = surveyed.as_ref().and_then(|surveyed| surveyed.content.as_ref());
        let wanted = WantedPart { output, identity: &identity, rows: &rows, content };
        let mut notes = Vec::new();
        if let Some(part) = shard::complete_part(settings, place, &wanted, &mut notes)? {
            return Ok(Self::Complete { part, _lock: lock });
        }
        let total = surveyed.as_ref().map(|surveyed| surveyed.found.rows);
        let (mut journal, mut recovered) = Collector::open(output, place, &identity, total)
            .map_err(|error| unpublished::of_collect(error, settings))?;
        if output.stream {
            let file = standard_output::file().map_err(CollectError::Stdout)?;
            journal.stream_to(file)?;
        }
        let planner = Planner::new(request, journal.salt()).with_empty_key(settings.input.empty_key);
        recovered.notes.extend(notes);
        Ok(Self::Run(Box::new(Prepared { checked, surveyed, lock, rows, planner, journal, recovered })))
    }
}
