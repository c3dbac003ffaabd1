//! Journals that were set aside: `out.json.journal.1`, `.2` and so on.
//!
//! A run that finds the journal of another job in place renames it to a number; the next run of the journal's own job
//! resumes it. A journal that no run is to resume (`--fresh` gave it up, a newer one of its job took its place, or it is
//! damaged) is made read-only and kept for inspection.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::sync_folder;
use crate::collect::files::names::{folder_of, with_ending};
use crate::collect::files::no_follow::open_unlinked;
use crate::collect::journal::header::read_header;

/// Journals kept aside at most. Beyond that, read-only ones are removed first, then the oldest.
const MAX_SET_ASIDE: usize = 9;
const READ_ONLY: u32 = 0o400;
const OWNER_MAY_WRITE: u32 = 0o200;

/// A journal that was set aside.
#[derive(Debug)]
pub(crate) struct SetAsideJournal {
    pub(crate) path: PathBuf,
    /// When its last answer came.
    written: SystemTime,
    /// No run resumes it.
    retired: bool,
}

/// The plain files with the name of a journal that was set aside, newest first.
fn all(journal: &Path) -> Vec<SetAsideJournal> {
    let Some(name) = journal.file_name() else { return Vec::new() };
    let number = |entry: &fs::DirEntry| -> Option<u32> {
        let found = entry.file_name();
        let rest = found.as_encoded_bytes().strip_prefix(name.as_encoded_bytes())?.strip_prefix(b".")?;
        let digits = std::str::from_utf8(rest).ok()?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let one = |entry: fs::DirEntry| {
        let path = with_ending(journal, &format!(".{}", number(&entry)?));
        let found = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let retired = found.mode() & OWNER_MAY_WRITE == 0;
        Some(SetAsideJournal { path, written: found.modified().unwrap_or(SystemTime::UNIX_EPOCH), retired })
    };
    let entries = fs::read_dir(folder_of(journal)).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.filter_map(one).collect();
    found.sort_by(|a, b| b.written.cmp(&a.written).then_with(|| a.path.cmp(&b.path)));
    found
}

/// Those that a run of this job may resume, newest first.
pub(crate) fn of_job(journal: &Path, job: &str) -> Vec<SetAsideJournal> {
    let mut found = all(journal);
    found.retain(|aside| !aside.retired && job_of(&aside.path).is_some_and(|its| its == job));
    found
}

fn job_of(path: &Path) -> Option<String> {
    let file = open_unlinked(path, false).ok()?;
    read_header(&file).ok().flatten().map(|header| header.job)
}

/// Renames a journal to the first free number; never over another file. To make room, any may be removed but the one
/// that is `wanted`.
pub(crate) fn set_aside(
    journal: &Path,
    wanted: Option<&Path>,
    notes: &mut Vec<String>,
) -> Result<PathBuf, CollectError> {
    make_room(journal, wanted, notes)?;
    for number in 1u32.. {
        let aside = with_ending(journal, &format!(".{number}"));
        if matches!(fs::symlink_metadata(&aside), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            #[expect(clippy::disallowed_methods, reason = "an old journal, synced when it was written")]
            fs::rename(journal, &aside).map_err(CollectError::io(FileOperation::SetAside, journal))?;
            sync_folder(journal)?;
            return Ok(aside);
        }
    }
    Err(CollectError::place(journal, "no name is free to set it aside"))
}

/// Removes the oldest journals where there are too many, first those that no run resumes. Files that are no
/// journals of this program do not count, and stay.
fn make_room(journal: &Path, wanted: Option<&Path>, notes: &mut Vec<String>) -> Result<(), CollectError> {
    let mut journals = all(journal);
    if journals.len() < MAX_SET_ASIDE {
        return Ok(());
    }
    journals.retain(|aside| Some(aside.path.as_path()) != wanted && job_of(&aside.path).is_some());
    journals.sort_by_key(|aside| aside.retired);
    for aside in journals.iter().skip(MAX_SET_ASIDE - 1) {
        fs::remove_file(&aside.path).map_err(CollectError::io(FileOperation::Remove, &aside.path))?;
        notes.push(format!(
            "{} was removed: at most {MAX_SET_ASIDE} journals are kept aside",
            aside.path.display()
        ));
    }
    Ok(())
}

/// Marks a journal that no run is to resume any more.
pub(crate) fn retire(aside: &Path, notes: &mut Vec<String>) {
    let set = fs::set_permissions(aside, Permissions::from_mode(READ_ONLY));
    let is_set = || fs::metadata(aside).is_ok_and(|found| found.mode() & OWNER_MAY_WRITE == 0);
    if set.is_err() || !is_set() {
        notes.push(format!(
            "{} could not be made read-only: remove it, or a later run resumes from it",
            aside.display()
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;
    use crate::collect::inspect::Recovered;
    use crate::collect::test_run::{TestRun, failed, fetched};

    /// An interrupted run of a job: these answers, and what was found before them.
    fn interrupted(run: &mut TestRun, job: &'static str, answers: u32) -> Recovered {
        run.job = job;
        let (mut journal, recovered) = run.open();
        for seq in 0..answers {
            journal.append(&fetched(seq, &format!("K{seq}"), job)).unwrap();
        }
        recovered
    }

    fn journals(run: &TestRun) -> Vec<String> {
        let mut names = run.names();
        names.retain(|name| name.starts_with("out.json.journal"));
        names
    }

    #[test]
    fn a_run_of_another_job_in_between_costs_no_answer() {
        let mut run = TestRun::new();
        interrupted(&mut run, "one", 3);
        assert!(interrupted(&mut run, "two", 1).notes[0].contains("set aside as"));
        let recovered = interrupted(&mut run, "one", 0);
        assert_eq!(recovered.answers, 3);
        assert!(
            recovered.notes[1].contains("out.json.journal.1 belongs to this job; its answers are used"),
            "{:?}",
            recovered.notes
        );
        let (journal, _) = run.open();
        run.publish(journal.close().unwrap());
        assert_eq!(journals(&run), ["out.json.journal.2"], "what was gone on with is gone");
        assert_eq!(interrupted(&mut run, "two", 0).answers, 1);
        assert_eq!(journals(&run), ["out.json.journal"]);
    }

    #[test]
    fn jobs_that_take_turns_keep_their_answers_and_use_two_numbers() {
        let mut run = TestRun::new();
        interrupted(&mut run, "one", 1);
        interrupted(&mut run, "two", 2);
        for _ in 0..5 {
            assert_eq!(interrupted(&mut run, "one", 0).answers, 1);
            assert_eq!(interrupted(&mut run, "two", 0).answers, 2);
            assert_eq!(journals(&run).len(), 2);
        }
        assert!(!journals(&run).contains(&"out.json.journal.3".into()));
    }

    #[test]
    fn a_journal_without_an_answer_is_replaced() {
        let mut run = TestRun::new();
        interrupted(&mut run, "one", 0);
        assert_eq!(interrupted(&mut run, "two", 0), Recovered::default());
        let (mut journal, _) = run.open();
        journal.append(&failed(0, "A", 404)).unwrap();
        drop(journal);
        assert_eq!(interrupted(&mut run, "three", 1), Recovered::default());
        assert_eq!(journals(&run), ["out.json.journal"]);
        run.settings.fresh = true;
        interrupted(&mut run, "three", 0);
        assert_eq!(interrupted(&mut run, "three", 0), Recovered::default());
        assert_eq!(journals(&run), ["out.json.journal", "out.json.journal.1"]);
    }

    #[test]
    fn what_fresh_gave_up_is_never_used_again() {
        let mut run = TestRun::new();
        interrupted(&mut run, "one", 3);
        interrupted(&mut run, "two", 1);
        run.settings.fresh = true;
        assert_eq!(interrupted(&mut run, "one", 1).answers, 0);
        run.settings.fresh = false;
        let (journal, recovered) = run.open();
        assert_eq!(recovered.answers, 1, "of the fresh run");
        run.publish(journal.close().unwrap());
        assert_eq!(interrupted(&mut run, "one", 0), Recovered::default());
        let mode = fs::metadata(run.path("out.json.journal.1")).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o400);
    }

    #[test]
    fn of_several_journals_of_a_job_the_newest_counts_and_no_older_one_ever_again() {
        let mut run = TestRun::new();
        for (number, answers, age) in [(1, 3, 20), (2, 1, 10), (3, 2, 30)] {
            interrupted(&mut run, "one", answers);
            let aside = run.path(&format!("out.json.journal.{number}"));
            fs::rename(run.path("out.json.journal"), &aside).unwrap();
            let written = SystemTime::now() - Duration::from_secs(age);
            File::options().write(true).open(&aside).unwrap().set_modified(written).unwrap();
            let hidden = aside.with_file_name(format!("hidden.{number}"));
            fs::rename(&aside, hidden).unwrap();
        }
        for number in 1..=3 {
            let hidden = run.path(&format!("hidden.{number}"));
            fs::rename(hidden, run.path(&format!("out.json.journal.{number}"))).unwrap();
        }
        let (journal, recovered) = run.open();
        assert_eq!(recovered.answers, 1, "{:?}", recovered.notes);
        run.publish(journal.close().unwrap());
        assert_eq!(run.open().1, Recovered::default());
        assert_eq!(journals(&run).len(), 3);
    }

    #[test]
    fn a_damaged_journal_that_was_set_aside_is_named_once_and_ends_no_run() {
        let mut run = TestRun::new();
        run.job = "one";
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        journal.append(&fetched(1, "B", "2")).unwrap();
        journal.close().unwrap();
        interrupted(&mut run, "two", 1);
        let damaged = run.text("out.json.journal.1").replace("\"A\":1", "\"A\":7");
        fs::write(run.path("out.json.journal.1"), &damaged).unwrap();
        let recovered = interrupted(&mut run, "one", 1);
        assert_eq!(recovered.answers, 0);
        assert!(recovered.notes.iter().any(|note| note.contains("journal.1 is damaged")), "{recovered:?}");
        assert_eq!(run.text("out.json.journal.1"), damaged, "untouched");
        let (journal, _) = run.open();
        run.publish(journal.close().unwrap());
        assert_eq!(interrupted(&mut run, "one", 0), Recovered::default());
    }

    #[test]
    fn a_torn_tail_and_foreign_files_are_accepted_among_those_set_aside() {
        let mut run = TestRun::new();
        interrupted(&mut run, "one", 2);
        let text = run.text("out.json.journal");
        fs::rename(run.path("out.json.journal"), run.path("out.json.journal.7")).unwrap();
        fs::write(run.path("out.json.journal.7"), &text[..text.len() - 3]).unwrap();
        fs::write(run.path("out.json.journal.1"), "dear diary\n").unwrap();
        fs::write(run.path("out.json.journal.old"), &text).unwrap();
        fs::create_dir(run.path("out.json.journal.2")).unwrap();
        std::os::unix::fs::symlink("out.json.journal.old", run.path("out.json.journal.3")).unwrap();
        let recovered = interrupted(&mut run, "one", 0);
        assert_eq!(recovered.answers, 1);
        assert!(recovered.notes[1].contains("they are dropped"), "{recovered:?}");
        assert!(!run.path("out.json.journal.7").exists() && run.path("out.json.journal.old").exists());
    }

    #[test]
    fn no_more_than_nine_are_kept_and_the_wanted_one_and_files_of_others_among_them() {
        const JOBS: [&str; 14] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"];
        let mut run = TestRun::new();
        fs::write(run.path("out.json.journal.4"), "dear diary\n").unwrap();
        let old = SystemTime::now() - Duration::from_hours(1);
        for (age, job) in (1..).zip(JOBS) {
            interrupted(&mut run, job, 1);
            let journal = File::options().write(true).open(run.path("out.json.journal")).unwrap();
            journal.set_modified(old + Duration::from_secs(age)).unwrap();
        }
        assert_eq!(journals(&run).len(), 1 + 9 + 1);
        assert_eq!(run.text("out.json.journal.4"), "dear diary\n");
        // The oldest that is left: room is made beside it.
        let recovered = interrupted(&mut run, "e", 0);
        assert_eq!(recovered.answers, 1, "{recovered:?}");
        assert_eq!(interrupted(&mut run, "a", 0).answers, 0, "the oldest went first");
    }
}
