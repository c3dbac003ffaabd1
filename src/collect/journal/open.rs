//! The journals of earlier runs, read without a change; then a journal to write to: a new one, or the one that an
//! interrupted run left.
//!
//! What lies in the journal's place and is not this job's is renamed where it holds answers, and never used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::{remove, sync_folder};
use crate::collect::files::checksum::{Checksum, push_checked};
use crate::collect::files::no_follow::open_unlinked;
use crate::collect::files::paths::Paths;
use crate::collect::journal::header::{JournalHeader, read_header};
use crate::collect::journal::recover::{Examined, JournalScan, examine, holds_no_answer};
use crate::collect::journal::set_aside::{SetAsideJournal, of_job, retire, set_aside};
use crate::model::option::FRESH;

/// Makes a journal with nothing but its header, durably.
pub(crate) fn create(
    path: &Path,
    header: &JournalHeader,
    salt: [u8; 16],
) -> Result<OwnJournal, CollectError> {
    let failed = || CollectError::create(path);
    let mut text = Vec::new();
    push_checked(&mut text, Checksum::HEADER, header).map_err(|error| failed()(error.into()))?;
    let mut file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(failed())?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed())?;
    sync_folder(path)?;
    let scan = JournalScan::nothing(text.len() as u64);
    Ok(OwnJournal { path: path.into(), file, salt, scan })
}

/// What earlier runs left where the journal belongs, and beside it.
///
/// The files stay open: what [`FoundJournals::resume`] appends to is what was read, even if another program gave the
/// name to another file meanwhile. The lock keeps only runs of this program away.
#[derive(Debug)]
pub(crate) struct FoundJournals {
    /// Where the journal belongs.
    path: PathBuf,
    in_place: InPlace,
    /// The journal of this job that the run resumes: the one in place, or else one that was set aside.
    pub(crate) own: Option<OwnJournal>,
    /// Journals of this job that were set aside and do not read back, and what is wrong with each.
    unreadable: Vec<(PathBuf, CollectError)>,
    /// Older ones of this job, which no run is to resume any more.
    outdated: Vec<PathBuf>,
    /// The journal in place is given up, whatever it holds.
    fresh: bool,
}

/// What lies in the journal's place.
#[derive(Debug)]
enum InPlace {
    Nothing,
    /// A file without an answer.
    Empty,
    /// A file to set aside, and why.
    Foreign(String),
    /// A journal to resume.
    Own,
}

/// A journal of this job.
#[derive(Debug)]
pub(crate) struct OwnJournal {
    /// Where it was found.
    path: PathBuf,
    pub(crate) file: File,
    pub(crate) salt: [u8; 16],
    pub(crate) scan: JournalScan,
}

/// Removes the journal, if it is one of this job, whose answers stand elsewhere.
///
/// # Errors
/// It cannot be removed.
pub(crate) fn remove_own_journal(paths: &Paths, job: &str) -> Result<(), CollectError> {
    let path = &paths.journal;
    let header = open_unlinked(path, false).ok().and_then(|file| read_header(&file).ok().flatten());
    if header.is_some_and(|header| header.job == job) { remove(path) } else { Ok(()) }
}

/// Reads the journal and those that were set aside, changing nothing. They are opened for writing, too: one that a run
/// could not append to is none that it could resume. With `fresh`, none is to be resumed.
pub(crate) fn find_journals(
    path: &Path,
    header: &JournalHeader,
    fresh: bool,
) -> Result<FoundJournals, CollectError> {
    let (in_place, own) = match open_unlinked(path, true) {
        Ok(file) => in_place(file, path, header, fresh)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => (InPlace::Nothing, None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(CollectError::io(FileOperation::Open, path)(error).before_first_request());
        }
        Err(error) => return Err(CollectError::io(FileOperation::Open, path)(error)),
    };
    let (unreadable, outdated) = (Vec::new(), Vec::new());
    let mut found = FoundJournals { path: path.into(), in_place, own, unreadable, outdated, fresh };
    for SetAsideJournal { path: aside, .. } in of_job(path, &header.job) {
        if fresh || found.own.is_some() {
            found.outdated.push(aside);
            continue;
        }
        let Ok(file) = open_unlinked(&aside, true) else { continue };
        match examine(&file, &aside, header) {
            Ok(Examined::Ours { salt, scan }) => {
                found.own = Some(OwnJournal { path: aside, file, salt, scan });
            }
            Ok(Examined::Unfinished | Examined::Foreign(_)) => {}
            Err(error) => found.unreadable.push((aside, error)),
        }
    }
    Ok(found)
}

fn in_place(
    file: File,
    path: &Path,
    header: &JournalHeader,
    fresh: bool,
) -> Result<(InPlace, Option<OwnJournal>), CollectError> {
    let remains =
        if fresh { Examined::Foreign(format!("{FRESH} was given")) } else { examine(&file, path, header)? };
    Ok(match remains {
        Examined::Unfinished => (InPlace::Empty, None),
        Examined::Foreign(_) if holds_no_answer(&file) => (InPlace::Empty, None),
        Examined::Foreign(why) => (InPlace::Foreign(why), None),
        Examined::Ours { salt, scan } => {
            (InPlace::Own, Some(OwnJournal { path: path.into(), file, salt, scan }))
        }
    })
}

impl FoundJournals {
    /// What [`FoundJournals::resume`] would report, for a run that only plans.
    pub(crate) fn planned_changes(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.unreadable.iter().map(|(_, why)| format!("{why}: it would stay set aside")).collect();
        if let InPlace::Foreign(why) = &self.in_place {
            notes.push(format!("{} would be set aside: {why}", self.path.display()));
        }
        let Some(OwnJournal { path, scan, .. }) = &self.own else { return notes };
        if *path != self.path {
            notes.push(format!("{} belongs to this job; its answers would be used", path.display()));
        }
        if scan.torn > 0 {
            notes.push(format!(
                "the last {} bytes of {} are not whole: they would be dropped",
                scan.torn,
                path.display()
            ));
        }
        notes
    }

    /// Makes room in the journal's place and puts the journal of this job there, positioned at its end. What is in the
    /// place and is another's is set aside. `None` if there is no journal to resume.
    pub(crate) fn resume(self, notes: &mut Vec<String>) -> Result<Option<OwnJournal>, CollectError> {
        self.clear_place(notes)?;
        let Self { path, own, unreadable, outdated, .. } = self;
        for (aside, why) in &unreadable {
            notes.push(format!("{why}: it stays set aside"));
            if matches!(why, CollectError::Damaged { .. }) {
                retire(aside, notes);
            }
        }
        for aside in &outdated {
            retire(aside, notes);
        }
        let Some(mut own) = own else { return Ok(None) };
        if own.path != path {
            #[expect(clippy::disallowed_methods, reason = "an old journal, synced when it was written")]
            fs::rename(&own.path, &path).map_err(CollectError::io(FileOperation::Resume, &own.path))?;
            sync_folder(&path)?;
            notes.push(format!("{} belongs to this job; its answers are used", own.path.display()));
            own.path.clone_from(&path);
        }
        let OwnJournal { file, scan, .. } = &mut own;
        if scan.torn > 0 {
            notes.push(format!(
                "the last {} bytes of {} were not yet safe on disk when the earlier run ended: they are dropped",
                scan.torn,
                path.display()
            ));
        }
        // Synced now, so that the first marker is true of all that was recovered, too.
        file.set_len(scan.end)
            .and_then(|()| file.sync_all())
            .and_then(|()| file.seek(SeekFrom::Start(scan.end)))
            .map_err(CollectError::io(FileOperation::Resume, &path))?;
        Ok(Some(own))
    }

    /// Removes or sets aside what lies in the journal's place and is not to be resumed.
    fn clear_place(&self, notes: &mut Vec<String>) -> Result<(), CollectError> {
        let path = &self.path;
        match &self.in_place {
            InPlace::Nothing | InPlace::Own => {}
            InPlace::Empty => {
                fs::remove_file(path).map_err(CollectError::io(FileOperation::Remove, path))?;
            }
            InPlace::Foreign(why) => {
                let wanted = self.own.as_ref().map(|own| own.path.as_path());
                let number = set_aside(path, wanted, notes)?;
                notes.push(format!("{} was set aside as {}: {why}", path.display(), number.display()));
                if self.fresh {
                    retire(&number, notes);
                }
            }
        }
        Ok(())
    }
}
