//! `skufetch INPUT -o OUTPUT`: the main job.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::command_error::{self, CommandError};
use super::ending::{self, FinishedRun, conclude};
use super::run_report_writer::RunReportWriter;
use super::{descriptor_limit, failure_file, standard_output, terminal, unpublished, wiring};
use crate::collect::{self, Collector, Lock, OutputSettings, Preflight, Recovered, Target};
use crate::config::{Environment, Settings};
use crate::engine::input_thread::{self, InputThread};
use crate::engine::signals::{self, CommitGuard, Signals};
use crate::engine::stdout_peer::StdoutPeer;
use crate::engine::{Engine, RunEnd};
use crate::fetch::{Companions, Fetcher, Http, Shutdown, Trust};
use crate::input::{self, Columns, InputChange, Rows, SurveyedFile};
use crate::limit::Gate;
use crate::model::{Event, Exit, Reporter, StopReason};
use crate::plan::{BoundTemplate, Planner, RequestSettings, RequestTemplate};
use crate::report::{self, ErrorMessage, LogHeader, Report};

/// Attempts that may look for the first connection at once. Ten prove an API unreachable, so hardly
/// more than these ever knock on a dead port.
const INITIAL_CONNECTS: usize = 10;

/// Runs the main job and says how the program ends. What there is to say has then been printed.
pub fn fetch(mut settings: Settings, env: &Arc<Environment>) -> Exit {
    let (started, began) = (Instant::now(), SystemTime::now());
    let shown = wiring::report(&settings, terminal::standard_error(env));
    let heading = LogHeader {
        began,
        input: settings.input.path.to_string(),
        output: match &settings.output.path {
            Target::File(path) => path.display().to_string(),
            Target::Stdout => "standard output".into(),
        },
    };
    let report =
        Report::new(shown, Box::new(io::stderr())).with_log_header(heading, !terminal::is_interactive());
    let report = Arc::new(if settings.run.report.is_some() { report.with_history() } else { report });
    descriptor_limit::raise(&mut settings)
        .and_then(|()| begin(&Arc::new(settings), env, &report, started))
        .unwrap_or_else(|CommandError { message, hint, exit }| {
            report.fail(&ErrorMessage { message, hint });
            exit
        })
}

/// # Errors
/// What ends a run before its first request; nothing has been printed about it.
fn begin(
    settings: &Arc<Settings>,
    env: &Arc<Environment>,
    report: &Arc<Report>,
    started: Instant,
) -> Result<Exit, CommandError> {
    let report_writer = RunReportWriter::open(settings, started)?;
    let (runtime, mut signals) = wiring::network_loop()?;
    let exit = run((settings, env), (report, report_writer.as_ref()), (&runtime, &mut signals), started);
    if let (Err(failure), Some(report_writer)) = (&exit, &report_writer) {
        report_writer.close_early(report, failure, (&runtime, &mut signals));
    }
    // What was left behind must not hold up the end.
    runtime.shutdown_background();
    exit
}

fn run(
    (settings, env): (&Arc<Settings>, &Arc<Environment>),
    (report, report_writer): (&Arc<Report>, Option<&RunReportWriter>),
    (runtime, signals): (&Runtime, &mut Signals),
    started: Instant,
) -> Result<Exit, CommandError> {
    let deadline = settings.pace.max_time.and_then(|time| started.checked_add(time));
    let api = Arc::new(Api::of(settings)?);
    let prepared = {
        let (settings, env, api) = (Arc::clone(settings), Arc::clone(env), Arc::clone(&api));
        move |_: &CommitGuard| Prepared::new(&settings, &env, &api, deadline)
    };
    // A large file is surveyed, another run is waited for, a pipe is silent: a signal must not be.
    let prepared = match signals::unless_signalled((runtime, signals), Duration::ZERO, prepared) {
        (Some(prepared), None) => prepared?,
        (_, number) => return Err(ending::before_any_request(number.unwrap_or(0))),
    };
    let Prepared { preconditions, rows, planner, mut journal, recovered } = prepared;
    let is_partial = rows.has_failure_columns() || settings.input.limit.is_some();
    let total = preconditions.rows();
    if let Some(rows) = total.filter(|rows| is_partial && recovered.answers > *rows) {
        return Err(ending::interrupted_run(recovered.answers - rows, settings));
    }
    report.started(total);
    let headless = wiring::headless(settings, &preconditions.columns);
    let journal_notes =
        wiring::about_the_journal(settings, (recovered.expired, recovered.unwanted), recovered.oldest);
    let short = planner.template().short_secrets().iter();
    let found = short.chain(&recovered.notes).chain(&headless).chain(&journal_notes);
    for warning in settings.warnings.iter().chain(found) {
        report.on(&Event::Warned { message: warning });
    }

    let reporter = Arc::clone(report) as Arc<dyn Reporter>;
    let stack = HttpStack::build(
        settings,
        planner.template(),
        (reporter, journal.pending_bytes(), preconditions.trust.clone()),
    )?;
    let input_thread = InputThread::start(rows, planner)
        .map_err(|error| command_error::of_start("the input thread", &error))?;
    let reader = match settings.output.path {
        Target::Stdout => StdoutPeer::of_standard_output(),
        Target::File(_) => StdoutPeer::none(),
    };
    let engine = Engine {
        fetcher: &stack.fetcher,
        gate: &stack.gate,
        store: &mut journal,
        report,
        shutdown: &stack.shutdown,
        signals,
        reader,
        started: started.into(),
        deadline: deadline.map(Into::into),
        max_age: settings.run.max_age,
    };
    let mut ended = runtime.block_on(engine.run(input_thread));

    let Preconditions { output, place, columns, surveyed, lock, .. } = preconditions;
    let HttpStack { gate, shutdown, fetcher } = stack;
    let input_unchanged = check_input_changed(surveyed, &mut ended, (report, &shutdown), (runtime, signals));
    // Nothing more is asked: a thousand connections are closed beside what is left to do.
    signals::drop_beside(runtime, fetcher);
    let finished = FinishedRun {
        report,
        gate: &gate,
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
        started,
        journalled: recovered.answers,
        is_partial,
    };
    let exit = conclude(finished, runtime, signals);
    drop(lock);
    Ok(exit)
}

/// Says what became of the input while the run went on; true if it is as it was surveyed. A last row that was
/// written on meanwhile ends the run: it was asked for by half a key.
fn check_input_changed(
    surveyed: Option<SurveyedFile>,
    ended: &mut RunEnd,
    (report, shutdown): (&Report, &Shutdown),
    ears: (&Runtime, &mut Signals),
) -> bool {
    let Some(surveyed) = surveyed else { return true };
    let input = surveyed.name();
    // Nothing is published: what the input has become is the next run's concern.
    if matches!(shutdown.reason(), Some(StopReason::Signal(_))) || ended.at_once {
        return false;
    }
    let look = move |_: &CommitGuard| surveyed.changes_since_survey();
    let change = match signals::unless_signalled(ears, Duration::ZERO, look) {
        (Some(Ok(change)), _) => change,
        (Some(Err(error)), _) => {
            if let Some(input_summary) = &mut ended.input_summary {
                input_summary.broken.get_or_insert(error);
            }
            return false;
        }
        (None, number) => {
            shutdown.trigger(StopReason::Signal(number.unwrap_or(0)));
            return false;
        }
    };
    let is_broken = ended.input_summary.as_ref().is_none_or(|summary| summary.broken.is_some());
    if !is_broken && let Some(word) = input_change_message(&input, change) {
        report.on(&Event::Warned { message: &word });
    }
    change == InputChange::Unchanged
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

/// All that is there before the first request.
struct Prepared {
    preconditions: Preconditions,
    rows: Rows,
    planner: Planner,
    journal: Collector,
    recovered: Recovered,
}

impl Prepared {
    fn new(
        settings: &Settings,
        env: &Environment,
        api: &Api,
        deadline: Option<Instant>,
    ) -> Result<Self, CommandError> {
        let (preconditions, rows, request) = Preconditions::check(settings, env, api, deadline)?;
        let (journal, recovered) = Collector::open(
            &preconditions.output,
            &preconditions.place,
            &preconditions.identity,
            preconditions.rows(),
        )
        .map_err(|error| unpublished::of_collect(error, settings))?;
        let planner = Planner::new(request, journal.salt());
        Ok(Self { preconditions, rows, planner, journal, recovered })
    }
}

/// The API to ask: the user's, or the built-in one for as long as this lives.
pub(super) struct Api {
    pub(super) url: String,
    /// The same for every run of the job: the built-in API's port is not.
    identity: String,
    #[cfg(feature = "demo")]
    _catalogue: Option<crate::demo::Catalogue>,
}

impl Api {
    #[cfg(feature = "demo")]
    pub(super) fn of(settings: &Settings) -> Result<Self, CommandError> {
        use crate::demo::{Catalogue, DemoSettings};
        let Some(demo) = settings.demo else {
            return Ok(Self { url: url_of(settings), identity: url_of(settings), _catalogue: None });
        };
        let wanted = DemoSettings { latency: demo.latency, failures: demo.failures.share(), rate: demo.rate };
        let catalogue =
            Catalogue::start(&wanted).map_err(|error| command_error::of_start("the built-in API", &error))?;
        let identity = Self::lasting_url(settings);
        Ok(Self { url: catalogue.url_template(), identity, _catalogue: Some(catalogue) })
    }

    /// The address as it is the same for every run of the job.
    #[cfg(feature = "demo")]
    pub(super) fn lasting_url(settings: &Settings) -> String {
        if settings.demo.is_some() { "http://demo.invalid/products/{sku}".into() } else { url_of(settings) }
    }

    /// The address as it is the same for every run of the job.
    #[cfg(not(feature = "demo"))]
    pub(super) fn lasting_url(settings: &Settings) -> String {
        url_of(settings)
    }

    #[cfg(not(feature = "demo"))]
    #[allow(clippy::unnecessary_wraps, reason = "the same face as with the feature")]
    pub(super) fn of(settings: &Settings) -> Result<Self, CommandError> {
        Ok(Self { url: url_of(settings), identity: url_of(settings) })
    }
}

fn url_of(settings: &Settings) -> String {
    settings.request.url.as_ref().map(|url| url.reveal().to_owned()).unwrap_or_default()
}

/// What is found out, checked and locked before anything is written or asked.
struct Preconditions {
    output: OutputSettings,
    place: Preflight,
    columns: Arc<Columns>,
    identity: collect::JobIdentity,
    trust: Trust,
    /// None where the input cannot be read twice.
    surveyed: Option<SurveyedFile>,
    lock: Option<Lock>,
}

impl Preconditions {
    fn check(
        settings: &Settings,
        env: &Environment,
        api: &Api,
        deadline: Option<Instant>,
    ) -> Result<(Self, Rows, BoundTemplate), CommandError> {
        let output = wiring::output(settings);
        let identity_url = Some(api.identity.clone());
        let request = RequestSettings { identity_url, ..wiring::request(settings, &api.url) };
        let input_settings = wiring::input(settings);
        let path = &settings.input.path;
        wiring::select(settings)?;
        let place = collect::preflight(&output)?;
        if output.target == Target::Stdout {
            standard_output::check_for_data()?;
        }
        let first_look = input_thread::open_until(path, &input_settings, deadline)?
            .ok_or_else(command_error::of_silence)?;
        failure_file::refuse_to_replace(settings, &place, &first_look)?;
        let template = parse(&request, settings, env)?;
        bind(&template, first_look.columns(), settings)?;
        // What is wrong with certificates or the proxy is found before a file is made.
        let unheard: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
        let idle = (unheard, Arc::default(), Trust::default());
        let idle = Http::new(wiring::transport(settings, &template, idle)?);
        let trust = idle.map_err(|error| command_error::of_transport(&error, settings))?.trust();
        let lock = place.paths.as_ref().map(|paths| Lock::acquire(paths, output.lock_wait)).transpose()?;
        collect::probe_publishing(&place)?;
        let (rows, surveyed) = if path.can_be_read_twice() {
            let surveyed = input::survey(path, &input_settings)?;
            (surveyed.rows(&input_settings)?, Some(surveyed))
        } else {
            (first_look, None)
        };
        wiring::check_prune(settings, rows.has_failure_columns())?;
        // Another run may have published meanwhile.
        failure_file::refuse_to_replace(settings, &place, &rows)?;
        let columns = Arc::clone(rows.columns());
        // The columns of the survey: while this run waited for another one, another file may have got the name.
        let request = bind(&template, &columns, settings)?;
        let identity = wiring::identity(settings, &request);
        Ok((Self { output, place, columns, identity, trust, surveyed, lock }, rows, request))
    }

    /// Data rows of the input, where they could be counted beforehand.
    fn rows(&self) -> Option<u64> {
        self.surveyed.as_ref().map(|surveyed| surveyed.found.rows)
    }
}

/// Parses the request. Once a run: what is bound to columns is made of it.
pub(super) fn parse(
    request: &RequestSettings,
    settings: &Settings,
    env: &Environment,
) -> Result<Arc<RequestTemplate>, CommandError> {
    RequestTemplate::parse(request, &|name| env.get(name))
        .map(Arc::new)
        .map_err(|error| command_error::of_plan(&error, settings))
}

/// Finds the columns of the request in the input.
pub(super) fn bind(
    template: &Arc<RequestTemplate>,
    columns: &Columns,
    settings: &Settings,
) -> Result<BoundTemplate, CommandError> {
    template.bind(columns).map_err(|error| command_error::of_plan(&error, settings))
}

/// The way to the API: the gate, the fetcher, and the switch that ends the run.
pub(super) struct HttpStack {
    pub(super) gate: Arc<Gate>,
    pub(super) shutdown: Arc<Shutdown>,
    pub(super) fetcher: Fetcher<Http>,
}

impl HttpStack {
    /// `reporter` hears the fetcher; `backlog` is what waits for the disk.
    pub(super) fn build(
        settings: &Settings,
        template: &RequestTemplate,
        (reporter, backlog, trust): (Arc<dyn Reporter>, Arc<AtomicUsize>, Trust),
    ) -> Result<Self, CommandError> {
        let shutdown = Arc::new(Shutdown::default());
        let gate = Arc::new(Gate::new(&wiring::pace(settings)));
        let initial_connects = Arc::new(Semaphore::new(INITIAL_CONNECTS));
        let found = Arc::clone(&initial_connects);
        let on_connected = Arc::new(move || found.close());
        let transport = wiring::transport(settings, template, (on_connected, backlog, trust))?;
        let transport =
            Http::new(transport).map_err(|error| command_error::of_transport(&error, settings))?;
        let companions = Companions {
            gate: Arc::clone(&gate),
            reporter,
            shutdown: Arc::clone(&shutdown),
            initial_connects,
        };
        let response = wiring::response(settings, wiring::select(settings)?, template.mask());
        let fetcher = Fetcher::new(transport, wiring::retry(settings), response, companions);
        Ok(Self { gate, shutdown, fetcher })
    }
}
