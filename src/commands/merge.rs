//! `skufetch merge`: the parts of a sharded job become its output.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::command_error::CommandError;
use super::ending::{FinishedMerge, conclude_merge, of_merge};
use super::output_lock::OutputLock;
use super::run_report_writer::RunReportWriter;
use super::session::{self, EventLoop, Session};
use super::table::TableInput;
use super::{failure_file, objects, table, terminal};
use crate::collect::{
    self, CollectError, Format, Lock, MergeSource, ObjectStage, OutputSettings, PartKind, PartMerge,
    Preflight, Target, parse_columns,
};
use crate::config::options::{COLUMNS, FORMAT, OUTPUT, RUN_ID, SHAPE, Setting};
use crate::config::{Environment, Origin, Settings};
use crate::engine::signals::{self, CommitGuard};
use crate::input::Columns;
use crate::limit::descriptors;
use crate::model::{Exit, Mask, RowCounts, signal_name};
use crate::plan::{RowWarnings, fingerprint_of};
use crate::report::{ErrorMessage, LogHeader, Report, ReportSettings};

/// Parts that may be open at once where the system allows it.
const MOST_FILES: usize = 100_000;

/// Puts the parts together and returns how the program ends. All messages have been printed by then.
pub(super) fn merge(settings: Settings, env: &Arc<Environment>) -> Exit {
    #[expect(clippy::disallowed_methods, reason = "the start of the command")]
    let (started, began) = (Instant::now(), SystemTime::now());
    // Where the system allows fewer, the error of the first part too many says so.
    let _ = descriptors::make_room(MOST_FILES, 1);
    let mut settings = settings;
    let objects = objects::prepare(&mut settings, env);
    let messages = ReportSettings { terminal: terminal::standard_error(env), ..settings.messages };
    let heading = LogHeader {
        began,
        input: settings.input_path.to_string(),
        output: settings.output.shown_target().to_string(),
    };
    let report =
        Report::new(messages, Box::new(io::stderr())).with_log_header(heading, !terminal::is_interactive());
    let report = Arc::new(report);
    let exit = objects.and_then(|objects| {
        let (settings, env) = (Arc::new(settings), Arc::clone(env));
        let session = Arc::new(Session { settings, env, report: Arc::clone(&report), started, objects });
        session::begin(&session, |report_writer, event_loop| run(&session, report_writer, event_loop))
    });
    exit.unwrap_or_else(|CommandError { message, hint, exit }| {
        report.fail(&ErrorMessage { message, hint });
        exit
    })
}

fn run(
    session: &Arc<Session>,
    report_writer: Option<&RunReportWriter>,
    event_loop: &mut EventLoop,
) -> Result<Exit, CommandError> {
    let prepare = {
        let session = Arc::clone(session);
        move |_: &CommitGuard| PreparedMerge::new(&session)
    };
    // Waiting for another run takes time; a signal is handled meanwhile.
    let prepared = match signals::unless_signalled(event_loop.parts(), Duration::ZERO, prepare) {
        (Some(prepared), None) => prepared?,
        (_, number) => {
            let number = number.unwrap_or(0);
            let message = format!("stopped by {} before anything was written", signal_name(number));
            return Err(CommandError::new(Exit::Signal(number), message));
        }
    };
    let PreparedMerge { settings, output, place, lock, merge, columns, counts, is_partial, notes } = prepared;
    let report = &session.report;
    report.started(Some(counts.rows));
    session.warn(&notes);
    let finished = FinishedMerge {
        report,
        report_writer,
        settings: &settings,
        merge,
        output,
        place,
        columns,
        counts,
        is_partial,
        started: session.started,
        lock,
    };
    let (runtime, signals) = event_loop.parts();
    Ok(conclude_merge(finished, runtime, signals))
}

/// All that is there before anything is written.
struct PreparedMerge {
    /// With the format, the shape and the columns of the parts.
    settings: Settings,
    output: OutputSettings,
    place: Preflight,
    lock: OutputLock,
    merge: PartMerge,
    columns: Arc<Columns>,
    counts: RowCounts,
    is_partial: bool,
    notes: Vec<String>,
}

impl PreparedMerge {
    /// # Errors
    /// An output that cannot be written, a lock that another run holds, parts that do not belong together, or options
    /// that are not those of the shards.
    fn new(session: &Session) -> Result<Self, CommandError> {
        let mut settings = Settings::clone(&session.settings);
        let place = collect::preflight(&settings.output)?;
        let (Target::File(target), Some(paths), Some(run)) =
            (settings.output.target.clone(), &place.paths, settings.run.run_id.clone())
        else {
            return Err(CommandError::new(
                Exit::Usage,
                format!("a merge needs {OUTPUT} FILE and {RUN_ID} NAME"),
            ));
        };
        let mut lock = None;
        if let Some(objects) = &session.objects {
            lock = objects::begin(objects, &settings.output, &place)?.map(OutputLock::of_object);
            objects::fetch_parts(objects, &settings)?;
        }
        let lock = match lock {
            Some(lock) => lock,
            None => OutputLock::of_file(Lock::acquire(paths, settings.output.lock_wait)?),
        };
        collect::try_publishing(&place)?;
        let source = MergeSource::open(&target, &run, fingerprint_of).map_err(|error| match error {
            CollectError::Parts(fault) => of_merge(CollectError::Parts(fault.known_as(ObjectStage::shown(
                settings.output.stage.as_ref(),
                &collect::parts_folder(&target, &run),
            )))),
            other => of_merge(other),
        })?;
        let first = source.first();
        of_parts(&mut settings, &first.kind)?;
        let columns = first.input.to_columns().map(Arc::new).ok_or_else(unknown_version)?;
        let is_partial = first.input.is_partial();
        let filters = table::filters(&settings)?;
        let input = TableInput { columns: &columns, is_partial };
        settings.output.layout = table::layout_of(&settings, filters.as_ref(), input, Mask::default())?;
        if first.input.is_failure_file {
            let names = (&*paths.output.given, &*paths.output.real);
            failure_file::refuse_few_rows(&settings, &settings.output, names)?;
        }
        let (counts, mut warnings, mut notes) = (source.counts(), RowWarnings::default(), Vec::new());
        for trailer in source.trailers() {
            // What another version of the program wrote is no reason to fail.
            warnings.add(&serde_json::from_value(trailer.warnings.clone()).unwrap_or_default());
        }
        let output = OutputSettings { sends_requests: false, ..settings.output.clone() };
        let merge = source.prepare(&output, (&place, paths), &mut notes)?;
        notes.extend(warnings.sentences());
        Ok(Self { settings, output, place, lock, merge, columns, counts, is_partial, notes })
    }
}

/// Takes format, shape and columns from the parts, unless they were given and are others.
fn of_parts(settings: &mut Settings, kind: &PartKind) -> Result<(), CommandError> {
    let (format, shape) = kind.format().zip(kind.shape()).ok_or_else(unknown_version)?;
    let refused = |settings: &Settings, setting: &Setting, of_parts: &str| {
        let why = format!("the shards were given {setting} {of_parts}");
        Err(CommandError::of_setting(settings, setting, &why).with_hint("leave it out, or give the same"))
    };
    let is_given = |setting: &Setting| *settings.origin(setting) != Origin::Default;
    if is_given(&SHAPE) && settings.output.shape != shape {
        return refused(settings, &SHAPE, &kind.shape);
    }
    // JSON and JSON lines are made of the same parts.
    let is_table = settings.output.format == Format::Csv;
    if is_given(&FORMAT) && is_table != (format == Format::Csv) {
        return refused(settings, &FORMAT, &kind.format);
    }
    if !is_given(&FORMAT) {
        settings.output.format = format;
    }
    settings.output.shape = shape;
    let Some(columns) = &kind.columns else { return Ok(()) };
    if *settings.origin(&COLUMNS) != Origin::Default
        && settings.output.columns_as_written().as_ref() != Some(columns)
    {
        return refused(settings, &COLUMNS, columns);
    }
    settings.output.table.columns = parse_columns(columns).map_err(|_| unknown_version())?;
    settings.output.table.mark |= kind.mark;
    Ok(())
}

fn unknown_version() -> CommandError {
    CommandError::new(Exit::Data, "the parts were made by another version of this program")
        .with_hint("merge them with the version that made them, or run the shards again")
}
