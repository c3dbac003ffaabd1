//! A failure file as INPUT: it has a few rows of a larger list, so what a run makes of it alone must not take the
//! place of an output that holds them all.

use std::path::Path;

use super::command_error::CommandError;
use crate::collect::{self, OutputSettings, Preflight, Target};
use crate::config::Settings;
use crate::config::options::{MERGE, OUTPUT, PRUNE};
use crate::input::{self, InputPath, InputSettings, Rows};
use crate::model::{Exit, counted};
use crate::report::format;

/// Refuses a failure file over an output that has SKUs, unless `--merge` keeps them.
///
/// # Errors
/// What would be lost, and what to type.
pub(super) fn refuse_to_replace(
    settings: &Settings,
    (output_settings, place): (&OutputSettings, &Preflight),
    rows: &Rows,
) -> Result<(), CommandError> {
    if !rows.has_failure_columns() || settings.output.merge {
        return Ok(());
    }
    match (&settings.output.part, &place.paths, &settings.output.target) {
        // What a part becomes is a whole output.
        (Some(_), _, Target::File(output)) => refuse_few_rows(settings, output_settings, (output, output)),
        (None, Some(paths), _) => {
            refuse_few_rows(settings, output_settings, (&paths.output.given, &paths.output.real))
        }
        _ => Ok(()),
    }
}

/// Refuses the rows of a failure file, as they are, over an output that has SKUs.
///
/// # Errors
/// As [`refuse_to_replace`].
pub(super) fn refuse_few_rows(
    settings: &Settings,
    output_settings: &OutputSettings,
    (given, real): (&Path, &Path),
) -> Result<(), CommandError> {
    let output = given.display();
    let bytes = real.metadata().map_or(0, |old| old.len());
    let lost = match collect::skus_in(real, output_settings) {
        _ if bytes == 0 => return Ok(()),
        Some(0) => return Ok(()),
        Some(skus) => format!("the {} in {output}", counted(skus, "SKU", "SKUs")),
        None => format!("{output} ({})", format::size(bytes)),
    };
    let input = &settings.input_path;
    let rows = rows_in(input, &settings.input)
        .map_or_else(String::new, |rows| format!(" ({})", counted(rows, "row", "rows")));
    let message =
        format!("{input} has only rows that failed{rows}; without {MERGE} they would replace {lost}");
    Err(CommandError::new(Exit::Usage, message).with_hint(format!(
        "add {MERGE}: every other SKU then keeps its value; or name another {OUTPUT} for these rows alone"
    )))
}

/// With a failure file as input, `--prune` would take out every SKU that had not failed.
///
/// # Errors
/// `--prune` is given and the input is a failure file.
pub(super) fn check_prune(settings: &Settings, is_failure_file: bool) -> Result<(), CommandError> {
    if !(is_failure_file && settings.output.prune) {
        return Ok(());
    }
    let why = format!(
        "{} is a failure file: every SKU that did not fail would be taken out of the output",
        settings.input_path
    );
    Err(CommandError::of_setting(settings, &PRUNE, &why).with_hint(format!("leave {PRUNE} out")))
}

/// How many rows it has, where counting them takes none away.
fn rows_in(path: &InputPath, settings: &InputSettings) -> Option<u64> {
    let all = InputSettings { limit: None, shard: None, ..settings.clone() };
    path.can_be_read_twice().then(|| input::survey(path, &all).ok()).flatten().map(|file| file.found.rows)
}
