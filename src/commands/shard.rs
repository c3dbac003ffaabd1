//! One shard of a job: it writes a part in place of the output, and has nothing to do where that part is complete.

use std::path::PathBuf;

use super::command_error::CommandError;
use super::run_report_writer::RunReportWriter;
use super::session::{EventLoop, Session};
use crate::collect::{
    self, Compression, FoundPart, InputForm, JobIdentity, ObjectStage, OutputSettings, PartKind, PartTrailer,
    Preflight, Target,
};
use crate::config::Settings;
use crate::config::options::FRESH;
use crate::engine::DRAIN;
use crate::input::{self, Columns, InputContent, InputPath, Rows};
use crate::model::Exit;
use crate::report::{Counts, InputCounts, Level, RunSummary, format};

/// What is written: of a shard its part, and what concerns the whole output is left to the merge.
pub(super) fn output(settings: &Settings) -> OutputSettings {
    let output = settings.output.clone();
    match part_path(settings) {
        None => output,
        Some(path) => OutputSettings {
            target: Target::File(path),
            compression: Compression::Plain,
            changes: None,
            guard: None,
            failed: None,
            ..output
        },
    }
}

/// The file of the part; none where the output is whole.
pub(super) fn part_path(settings: &Settings) -> Option<PathBuf> {
    match (&settings.output.part, &settings.output.target) {
        (Some(part), Target::File(output)) => Some(collect::part_path(output, &part.run, part.shard)),
        _ => None,
    }
}

/// What a dry run says of a part that is there.
pub(super) fn part_that_is_there(settings: &Settings) -> Option<String> {
    let path = part_path(settings).filter(|path| path.exists() && !settings.output.fresh)?;
    let path = ObjectStage::shown(settings.output.stage.as_ref(), &path);
    Some(format!(
        "{} is there: if it is complete, and of this job and this input, no request is sent",
        path.display()
    ))
}

/// Makes the folder of the part. And where a part is there, and the input is a pipe, keeps that in a file without a name:
/// all of it must be known before the first request, to find out whether the part is one of this input.
///
/// # Errors
/// The folder or the file cannot be made, or standard input not be read.
pub(super) fn make_place(settings: &Settings) -> Result<(), CommandError> {
    let (Some(part), Target::File(output), Some(path)) =
        (&settings.output.part, &settings.output.target, part_path(settings))
    else {
        return Ok(());
    };
    collect::make_parts_folder(output, &part.run)?;
    let is_pipe = settings.input_path == InputPath::Stdin && !settings.input_path.can_be_read_twice();
    if is_pipe && path.exists() && !settings.output.fresh {
        collect::unnamed_file().and_then(input::keep_stdin).map_err(|error| {
            CommandError::new(Exit::Io, format!("cannot keep standard input in a temporary file: {error}"))
        })?;
    }
    Ok(())
}

/// The input as the last line of a part names it.
pub(super) fn input_form(
    settings: &Settings,
    (columns, is_failure_file): (&Columns, bool),
    content: InputContent,
) -> InputForm {
    let mut form = InputForm::of(columns, content);
    form.is_failure_file = is_failure_file;
    form.is_limited = settings.input.limit.is_some();
    form
}

/// The part that a shard would make.
pub(super) struct WantedPart<'a> {
    pub(super) output: &'a OutputSettings,
    pub(super) identity: &'a JobIdentity,
    pub(super) rows: &'a Rows,
    /// What all rows of the input are, where that is known.
    pub(super) content: Option<&'a InputContent>,
}

/// The part that is there, if it is complete and is the one that is wanted. What else is there is replaced, with a note.
///
/// # Errors
/// It cannot be read.
pub(super) fn complete_part(
    settings: &Settings,
    place: &Preflight,
    wanted: &WantedPart<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Box<PartTrailer>>, CommandError> {
    let WantedPart { output, identity, rows, content } = wanted;
    let (Some(part), Some(paths)) = (&output.part, &place.paths) else { return Ok(None) };
    let job = identity.recorded();
    let compare = |found: &PartTrailer| {
        if (&found.run, found.shard) != (&part.run, part.shard) {
            return Some("it is the part of another shard or run");
        }
        if found.job.digest != job.digest || !found.kind.is_like(&PartKind::of(output, &job)) {
            return Some("it is of another job");
        }
        let now = content.map(|content| {
            input_form(settings, (rows.columns(), rows.has_failure_columns()), InputContent::clone(content))
        });
        (now.as_ref() != Some(&found.input)).then_some("it is of another input")
    };
    let path = &paths.output.real;
    match FoundPart::at(path, compare)? {
        FoundPart::Complete(trailer) if !output.fresh => {
            collect::remove_own_journal(paths, &job.digest)?;
            Ok(Some(trailer))
        }
        FoundPart::Other(why) => {
            notes.push(format!("{} will be replaced: {why}", paths.output.given.display()));
            Ok(None)
        }
        FoundPart::None | FoundPart::Complete(_) => Ok(None),
    }
}

/// Says that there is nothing to do, sums up what the part has, and returns how the program ends.
pub(super) fn already_complete(
    session: &Session,
    part: &PartTrailer,
    report_writer: Option<&RunReportWriter>,
    event_loop: &mut EventLoop,
) -> Exit {
    let mut summary = summary_of(session, part);
    if let Some(report_writer) = report_writer {
        report_writer.close(&mut summary, event_loop.parts(), DRAIN);
    }
    session.report.finish(&summary);
    summary.exit
}

fn summary_of(session: &Session, trailer: &PartTrailer) -> RunSummary {
    let Session { settings, report, started, .. } = session;
    report.add_parts(&trailer.counts);
    let path = part_path(settings).unwrap_or_default();
    let path = ObjectStage::shown(settings.output.stage.as_ref(), &path);
    report.line(
        Level::Info,
        &format!(
            "shard {} is complete already ({}, {}): no request is sent; {FRESH} asks again",
            trailer.shard,
            path.display(),
            format::counted(trailer.counts.rows, "row", "rows"),
        ),
    );
    let stats = report.stats();
    RunSummary::without_requests(Counts::of(&stats, InputCounts::of_rows(&trailer.counts)), started.elapsed())
}
