//! A failure file as INPUT: it has a few rows of a larger list, so what a run makes of it alone must not take the
//! place of an output that holds them all.

use std::path::Path;

use super::command_error::CommandError;
use super::wiring;
use crate::collect::{self, Preflight};
use crate::config::Settings;
use crate::input::{self, InputPath, InputSettings, Rows};
use crate::model::{Exit, counted};
use crate::report::format;

/// Endings of what a run leaves beside its output; numbers may follow that of a journal that was set aside.
const LEFT_BEHIND: [&str; 4] = [".failed.csv", ".journal", ".lock", ".state"];

/// Refuses a failure file over an output that has SKUs, unless `--merge` keeps them.
///
/// # Errors
/// What would be lost, and what to type.
pub(super) fn refuse_to_replace(
    settings: &Settings,
    place: &Preflight,
    rows: &Rows,
) -> Result<(), CommandError> {
    let Some(paths) = place.paths.as_ref().filter(|_| rows.has_failure_columns() && !settings.output.merge)
    else {
        return Ok(());
    };
    let output = paths.output.given.display();
    let bytes = paths.output.real.metadata().map_or(0, |old| old.len());
    let lost = match collect::skus_in(&paths.output.real, settings.output.format) {
        _ if bytes == 0 => return Ok(()),
        Some(0) => return Ok(()),
        Some(skus) => format!("the {} in {output}", counted(skus, "SKU", "SKUs")),
        None => format!("{output} ({})", format::size(bytes)),
    };
    let input = &settings.input.path;
    let rows = rows_in(input, &wiring::input(settings))
        .map_or_else(String::new, |rows| format!(" ({})", counted(rows, "row", "rows")));
    let message =
        format!("{input} has only rows that failed{rows}; without --merge they would replace {lost}");
    Err(CommandError::new(Exit::Usage, message).with_hint(
        "add --merge: every other SKU then keeps its value; or name another --output for these rows alone",
    ))
}

/// How many rows it has, where counting them takes none away.
fn rows_in(path: &InputPath, settings: &InputSettings) -> Option<u64> {
    let all = InputSettings { limit: None, ..settings.clone() };
    path.can_be_read_twice().then(|| input::survey(path, &all).ok()).flatten().map(|file| file.found.rows)
}

/// Whether a file is one that runs leave beside their output. None of them is what was meant by the name of an
/// input that is not there.
pub(super) fn is_left_behind(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_held =
        path.file_stem().is_some_and(|stem| stem.to_string_lossy().to_lowercase().ends_with(".held"));
    LEFT_BEHIND.iter().any(|ending| name.ends_with(ending) || bare.ends_with(ending))
        || is_held
        // `--failed` may have given it any name.
        || input::is_failure_file(&InputPath::File(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_leaves_is_known_by_its_name_or_by_its_header() {
        let dir = tempfile::tempdir().unwrap();
        let is = |name: &str| is_left_behind(&dir.path().join(name));
        for name in [
            "out.failed.csv",
            "OUT.FAILED.CSV",
            "out.json.journal",
            "out.json.journal.1",
            "out.json.journal.12",
            "out.json.lock",
            "out.json.state",
            "out.held.json",
            "out.held.jsonl",
        ] {
            assert!(is(name), "{name}");
        }
        for name in ["products.csv", "failed.csv", "state.csv", "journal", "held.json", "a.journals.csv"] {
            assert!(!is(name), "{name}");
        }
        std::fs::write(dir.path().join("again.csv"), "no;name;_error;_status;_attempts\nA;B;late;;5\n")
            .unwrap();
        assert!(is("again.csv"));
    }
}
