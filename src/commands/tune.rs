//! `skufetch tune INPUT`: measures on a sample which concurrency gives the best throughput.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::api::Api;
use super::checks::{bind, parse};
use super::command_error::{self, CommandError};
use super::ending;
use super::http_stack::{self, HttpStack};
use super::run_report_writer::what_is_asked;
use super::session::EventLoop;
use super::{objects, rate_store, standard_output, terminal, warnings, wiring};
use crate::collect::Document;
use crate::config::options::{
    CONCURRENCY, HEADER, HTTP, LIMIT, MAX_RETRY_AFTER, MAX_TIME, PROXY, Setting, URL,
};
use crate::config::{Environment, Origin, Settings, Tune};
use crate::engine::RatedRun;
use crate::engine::climb::{Climb, Climbed, Meter};
use crate::engine::input_thread::{self, InputThread};
use crate::input::{self, InputSettings, Rows};
use crate::limit::climb::{Bounds, ClimbEnd, Rung};
use crate::model::{Event, Exit, Reporter, StopReason};
use crate::plan::Planner;
use crate::report::format::counted;
use crate::report::tune::{self, AnswerDoubt, TuneResult};
use crate::report::{ProgressMode, Report, ReportFile, ReportSettings};

/// Defaults of `--limit` and `--max-time`. Values of the environment and the config file do not count: they are meant
/// for the fetch.
const SAMPLE: u64 = 2_000;
const TIME: Duration = Duration::from_mins(1);
/// After a refusal, unless `--max-time` says otherwise: a window of a minute shows after two.
const SEARCH_TIME: Duration = Duration::from_secs(150);

/// Measures, prints the results, and returns how the program ends.
///
/// # Errors
/// Why no concurrency can be recommended.
pub(super) fn tune(asked: Tune, env: &Environment) -> Result<Exit, CommandError> {
    #[expect(clippy::disallowed_methods, reason = "the start of the command")]
    let started = Instant::now();
    let Tune { mut settings, report: report_file, command } = asked;
    standard_output::check()?;
    let asked_time = prepare(&mut settings, env)?;
    let messages = ReportSettings { terminal: terminal::standard_error(env), ..settings.messages };
    let report = Arc::new(Report::new(messages, Box::new(io::stderr())));
    let api = Api::start(&settings)?;
    let ceiling = settings.pace.concurrency.ceiling().get();
    let document = report_file.as_ref().map(|_| place_of_report(&settings)).transpose()?.flatten();

    let deadline = started + settings.run.max_time.unwrap_or(TIME);
    let sample = TuneSample::open(&settings, deadline)?;
    let template = parse(api.request(), &settings, env)?;
    let planner = Planner::new(bind(&template, sample.rows.columns(), &settings)?, [0; 16])
        .with_empty_key(settings.input.empty_key);
    let headless = warnings::headless(&settings, sample.rows.columns());
    let meter = Arc::new(Meter::new(Arc::clone(&report), settings.response.pages.is_some()));
    let reporter = Arc::clone(&meter) as Arc<dyn Reporter>;
    let stack = HttpStack::new(&settings, &template, (env, wiring::filters(&settings)?))?;
    let proxy = stack.shown_proxy(&settings, planner.request());
    http_stack::name_proxy(&report, proxy.as_deref());
    let stack = stack.fetch_path(&settings, planner.request(), reporter)?;
    for warning in settings.warnings.iter().chain(planner.request().start_warnings()).chain(&headless) {
        report.on(&Event::Warned { message: warning });
    }
    let mut event_loop = EventLoop::start()?;
    let rate_store = rate_store::prepare(&settings, planner.request())?;
    let rate_store = rate_store::connect(rate_store, &settings, &mut event_loop)?;
    report.started(sample.total);
    let TuneSample { rows, most, whole_input, .. } = sample;
    let input_thread = InputThread::start(rows, planner)
        .map_err(|error| command_error::of_start("the input thread", &error))?;
    let climb = Climb {
        fetcher: &stack.fetcher,
        gate: &stack.gate,
        meter: &meter,
        report: &report,
        shutdown: &stack.shutdown,
        signals: &mut event_loop.signals,
        trouble: &settings.output.retry_on,
        bounds: Bounds { ceiling, rate: settings.pace.rate },
        sample: most,
        started: started.into(),
        deadline: deadline.into(),
        search_deadline: (started + asked_time.unwrap_or(SEARCH_TIME)).into(),
    };
    let mut table = Printout { quiet: settings.messages.quiet, begun: false, trouble: None };
    let mut on_rung = |rung: &Rung| table.measured(&report, rung);
    let work = climb.run(input_thread, &mut on_rung);
    let rated = RatedRun { gate: &stack.gate, reporter: &*report, shutdown: &stack.shutdown };
    let work = rate_store::beside(rate_store, rated, work);
    let climbed = event_loop.runtime.block_on(work);

    let tuned = TuneResult {
        rungs: climbed.rungs.clone(),
        end: climbed.end,
        sustained: climbed.sustained,
        may_be_burst: climbed.may_be_burst,
        ceiling,
        rate: settings.pace.rate,
        requests: climbed.requests,
        answers: climbed.answers,
        elapsed: started.elapsed(),
        sample: most,
        whole_input,
        causes: report.stats().causes,
        sound: matches!(stack.shutdown.reason(), None | Some(StopReason::Signal(_))),
        input: settings.input_path.to_string(),
        request: what_is_asked(&settings),
        command: command.text,
        hides: command.hides,
    };
    report.tuned(&tuned);
    table.conclude(&tuned);
    if let (Some(document), Some(ReportFile { kind, .. })) = (document, report_file) {
        document.write(tune::document(&tuned, kind, SystemTime::now()).as_bytes())?;
    }
    let (reason, proxy) = (stack.shutdown.reason(), proxy.as_deref());
    let stop = EarlyStop { reason, proxy, one_row: &command.one_row };
    judge(&settings, climbed, &stop, &tuned)?;
    table.result()
}

/// Where the report of this command goes.
///
/// # Errors
/// It cannot be written there.
fn place_of_report(settings: &Settings) -> Result<Option<Document>, CommandError> {
    let document = settings.run.report.as_ref().map(|report| Document::at(&report.path)).transpose()?;
    Ok(document.map(|document| document.in_stage(settings.output.stage.as_ref())))
}

/// Adapts the settings of the fetch: no retries, and no progress lines where the rows of the table appear on a terminal
/// as they are measured. Returns `--max-time`, if this command has it.
///
/// # Errors
/// An input in an object store that cannot be read.
fn prepare(settings: &mut Settings, env: &Environment) -> Result<Option<Duration>, CommandError> {
    if let Some(objects) = objects::prepare(settings, env)? {
        objects::fetch_input(&objects, &settings.input_path)?;
    }

    let of_this_command = |setting: &Setting| matches!(settings.origin(setting), Origin::Option(_));
    let limit = settings.input.limit.filter(|_| of_this_command(&LIMIT));
    let max_time = settings.run.max_time.filter(|_| of_this_command(&MAX_TIME));
    settings.input.limit = Some(limit.unwrap_or(SAMPLE));
    settings.run.max_time = Some(max_time.unwrap_or(TIME));
    settings.pace.concurrency = crate::limit::Concurrency::Fixed(settings.pace.concurrency.ceiling());
    settings.retry.retries = 0;
    if settings.messages.progress != ProgressMode::Plain && terminal::standard_output_is_read() {
        settings.messages.progress = ProgressMode::None;
    }
    Ok(max_time)
}

/// The rows to request.
struct TuneSample {
    rows: Rows,
    most: u64,
    /// Their number, if it is known.
    total: Option<u64>,
    whole_input: bool,
}

impl TuneSample {
    fn open(settings: &Settings, deadline: Instant) -> Result<Self, CommandError> {
        wiring::filters(settings)?;
        let path = &settings.input_path;
        let most = settings.input.limit.unwrap_or(SAMPLE);
        let read = &settings.input;
        if !path.can_be_read_twice() {
            let rows = input_thread::open_until(path, read, Some(deadline))?
                .ok_or_else(command_error::of_silence)?;
            return Ok(Self { rows, most, total: None, whole_input: false });
        }
        // One row more than the sample shows whether the input is longer.
        let one_more = InputSettings { limit: Some(most.saturating_add(1)), ..read.clone() };
        let surveyed = input::survey(path, &one_more)?;
        let found = surveyed.found.rows;
        let total = found.min(most);
        Ok(Self { rows: surveyed.rows(read)?, most: total, total: Some(total), whole_input: found <= most })
    }
}

/// Standard output, written row by row. A closed pipe is no error.
struct Printout {
    quiet: bool,
    begun: bool,
    trouble: Option<io::Error>,
}

impl Printout {
    fn measured(&mut self, report: &Report, rung: &Rung) {
        report.rung_measured(rung);
        self.row(&tune::row(rung));
    }

    fn result(self) -> Result<Exit, CommandError> {
        self.trouble.map_or(Ok(Exit::Complete), |error| {
            Err(CommandError::new(Exit::Io, format!("cannot write to standard output: {error}")))
        })
    }

    fn row(&mut self, row: &str) {
        if self.quiet {
            return;
        }
        if !self.begun {
            self.begun = true;
            self.write(&tune::table_header());
        }
        self.write(row);
    }

    fn conclude(&mut self, tuned: &TuneResult) {
        match tuned.proposal() {
            Some(best) if self.quiet => self.write(&format!("{best}\n")),
            Some(_) => self.write(&tune::conclusion(tuned)),
            None => {}
        }
    }

    fn write(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.trouble.get_or_insert(error);
        }
    }
}

/// Why it stopped before it was done, if it did, and the proxy that messages name.
struct EarlyStop<'a> {
    reason: Option<&'a StopReason>,
    proxy: Option<&'a str>,
    /// The command that shows one answer.
    one_row: &'a str,
}

/// Succeeds if a concurrency was found.
///
/// # Errors
/// Why none was found.
fn judge(
    settings: &Settings,
    climbed: Climbed,
    &EarlyStop { reason, proxy, one_row }: &EarlyStop<'_>,
    tuned: &TuneResult,
) -> Result<(), CommandError> {
    if let Some(reason) = reason {
        return Err(stopped(reason, settings, proxy));
    }
    if let Some(error) = climbed.input_summary.and_then(|summary| summary.broken) {
        return Err(error.into());
    }
    if let Some(status) = climbed.all_refused.filter(|_| tuned.proposal().is_none()) {
        let answers = usize::try_from(climbed.requests).unwrap_or(1);
        let said = climbed.last_fault.filter(|fault| fault.status == Some(status)).map(|fault| fault.detail);
        let reason = StopReason::Refused { status, answers, said: said.unwrap_or_default() };
        return Err(stopped(&reason, settings, proxy));
    }
    if tuned.proposal().is_some() {
        return Ok(());
    }
    let input = &settings.input_path;
    let detail = climbed.last_fault.map(|fault| fault.to_string()).unwrap_or_default();
    Err(match climbed.end {
        _ if climbed.requests == 0 && climbed.skipped == 0 && climbed.end == ClimbEnd::Sample => {
            CommandError::new(Exit::Data, format!("{input}: no data row"))
        }
        _ if climbed.requests == 0 && climbed.end == ClimbEnd::Sample => {
            let rows = counted(climbed.skipped, "row", "rows");
            CommandError::new(Exit::Data, format!("{input}: no SKU in {rows}"))
        }
        _ if tuned.answers.doubt().is_some() => {
            CommandError::new(Exit::Unavailable, format!("no number can be named: {}", tune::why(tuned)))
                .with_hint(of_doubtful_answers(tuned, one_row))
        }
        end if tuned.may_be_burst && climbed.answered > 0 && end != ClimbEnd::Errors => {
            CommandError::new(Exit::TryAgain, format!("no number can be named: {}", tune::why(tuned)))
                .with_hint(format!(
                    "a longer {MAX_TIME} and a larger {LIMIT} show what the API accepts for long"
                ))
        }
        ClimbEnd::Time => CommandError::new(Exit::TryAgain, "the time was over before anything was measured")
            .with_hint(format!("a longer {MAX_TIME}, or {CONCURRENCY} 1 for a first look")),
        _ if climbed.answered == 0 => {
            CommandError::new(Exit::Unavailable, format!("no request was answered: {detail}"))
                .with_hint(format!("check {URL}, the network, and {PROXY}"))
        }
        ClimbEnd::Paused(_) | ClimbEnd::Errors => {
            CommandError::new(Exit::Unavailable, format!("no number can be named: {}", tune::why(tuned)))
                .with_hint(format!("the last error was: {detail}"))
        }
        _ => CommandError::new(Exit::Data, format!("{input}: too few SKUs to measure anything with"))
            .with_hint("20 fresh SKUs show something, some hundreds are a sample"),
    })
}

/// What to look at where the answers may not be the API's.
fn of_doubtful_answers(tuned: &TuneResult, one_row: &str) -> String {
    match tuned.answers.doubt() {
        Some(AnswerDoubt::SameBody) => {
            format!("is it a login page, or an error with status 200? Look at one: {one_row}")
        }
        _ => format!("is {URL} right? Look at one: {one_row}"),
    }
}

/// The same message as in a fetch, with a hint that does not mention a journal.
fn stopped(reason: &StopReason, settings: &Settings, proxy: Option<&str>) -> CommandError {
    let failure = ending::stopped(reason, settings, proxy);
    let hint = match reason {
        StopReason::Unreachable(_) => Some(ending::check_address()),
        StopReason::Certificate(..) | StopReason::NoToken(_) => failure.hint,
        StopReason::ProxyFailed(_) | StopReason::Refused { status: 407, .. } => {
            Some(ending::check_proxy(proxy))
        }
        StopReason::NoHttp2 => Some(format!("with {HTTP} auto, HTTP/1.1 is used")),
        StopReason::Refused { .. } => Some(format!("check {HEADER} and the variables in it")),
        StopReason::AskedToWait(_) | StopReason::RateStore { .. } => {
            Some(format!("try again later, or raise {MAX_RETRY_AFTER}"))
        }
        _ => None,
    };
    CommandError { hint, ..failure }
}
