//! Files that a run leaves beside its output.

use std::path::Path;

use crate::collect;
use crate::input::{self, InputPath};

/// Endings of what a run leaves beside its output; numbers may follow that of a journal that was set aside.
const LEFT_BEHIND: [&str; 4] = [".failed.csv", ".journal", ".lock", ".state"];

/// Whether a file is one that runs leave beside their output. None of them is what was meant by the name of an
/// input that is not there.
pub(super) fn is_left_behind(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    LEFT_BEHIND.iter().any(|ending| name.ends_with(ending) || bare.ends_with(ending))
        || collect::is_held_name(path)
        // `--failed` may have given it any name.
        || input::is_failure_file(&InputPath::File(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_run_are_recognised_by_name_or_by_header() {
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
            "out.held.json.gz",
            "out.held.CSV.ZST",
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
