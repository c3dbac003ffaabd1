//! A journal to write to: a new one, or the one that an interrupted run left.
//!
//! What lies in the journal's place and is not this job's is renamed where it holds answers, and never used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::sync_folder;
use crate::collect::files::checksum::{Checksum, push_checked};
use crate::collect::files::no_follow::open_unlinked;
use crate::collect::journal::header::JournalHeader;
use crate::collect::journal::recover::{Examined, JournalScan, examine, holds_no_answer};
use crate::collect::journal::set_aside::{SetAsideJournal, of_job, retire, set_aside};

/// Makes a journal with nothing but its header, durably.
pub(crate) fn create(
    path: &Path,
    header: &JournalHeader,
    salt: [u8; 16],
) -> Result<OpenedJournal, CollectError> {
    let failed = || CollectError::create(path);
    let mut text = Vec::new();
    push_checked(&mut text, Checksum::HEADER, header).map_err(|error| failed()(error.into()))?;
    let mut file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(failed())?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed())?;
    sync_folder(path)?;
    Ok((file, salt, JournalScan::nothing(text.len() as u64)))
}

/// A journal to append to: the file, positioned at its end, its salt, and what was found in it.
pub(crate) type OpenedJournal = (File, [u8; 16], JournalScan);

/// What an earlier run left where the journal belongs, and beside it.
pub(crate) struct FoundJournals {
    pub(crate) in_place: InPlace,
    /// The journal of this job that was set aside and that the run resumes, if the one in place is not of this job.
    pub(crate) aside: Option<(PathBuf, OwnJournal)>,
    /// Journals of this job that were set aside and do not read back, and what is wrong with each.
    pub(crate) unreadable: Vec<(PathBuf, CollectError)>,
    /// Older ones of this job, which no run is to resume any more.
    pub(crate) outdated: Vec<PathBuf>,
}

/// What lies in the journal's place.
pub(crate) enum InPlace {
    /// Nothing, or a file without an answer.
    Nothing { is_there: bool },
    /// A file to set aside, and why.
    Foreign(String),
    /// A journal to resume.
    Ours(OwnJournal),
}

/// A journal of this job.
pub(crate) struct OwnJournal {
    file: File,
    pub(crate) salt: [u8; 16],
    pub(crate) scan: JournalScan,
}

/// Reads the journal and those that were set aside, changing nothing.
pub(crate) fn find_journals(
    path: &Path,
    header: &JournalHeader,
    fresh: bool,
    write: bool,
) -> Result<FoundJournals, CollectError> {
    let in_place = match open_unlinked(path, write) {
        Ok(file) => in_place(file, path, header, fresh)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => InPlace::Nothing { is_there: false },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(CollectError::io(FileOperation::Open, path)(error).before_first_request());
        }
        Err(error) => return Err(CollectError::io(FileOperation::Open, path)(error)),
    };
    let mut found = FoundJournals { in_place, aside: None, unreadable: Vec::new(), outdated: Vec::new() };
    let none_is_wanted = fresh || matches!(found.in_place, InPlace::Ours(_));
    for SetAsideJournal { path: aside, .. } in of_job(path, &header.job) {
        if none_is_wanted || found.aside.is_some() {
            found.outdated.push(aside);
            continue;
        }
        let Ok(file) = open_unlinked(&aside, write) else { continue };
        match examine(&file, &aside, header) {
            Ok(Examined::Ours { salt, scan }) => found.aside = Some((aside, OwnJournal { file, salt, scan })),
            Ok(Examined::Unfinished | Examined::Foreign(_)) => {}
            Err(error) => found.unreadable.push((aside, error)),
        }
    }
    Ok(found)
}

fn in_place(file: File, path: &Path, header: &JournalHeader, fresh: bool) -> Result<InPlace, CollectError> {
    let remains =
        if fresh { Examined::Foreign("--fresh was given".into()) } else { examine(&file, path, header)? };
    Ok(match remains {
        Examined::Unfinished => InPlace::Nothing { is_there: true },
        Examined::Foreign(_) if holds_no_answer(&file) => InPlace::Nothing { is_there: true },
        Examined::Foreign(why) => InPlace::Foreign(why),
        Examined::Ours { salt, scan } => InPlace::Ours(OwnJournal { file, salt, scan }),
    })
}

/// Opens the journal of this job that is there, or was set aside. What is in its place and is another's is set aside.
pub(crate) fn resume(
    path: &Path,
    header: &JournalHeader,
    fresh: bool,
    notes: &mut Vec<String>,
) -> Result<Option<OpenedJournal>, CollectError> {
    let FoundJournals { in_place, aside, unreadable, outdated } = find_journals(path, header, fresh, true)?;
    let ours = match in_place {
        InPlace::Ours(ours) => Some(ours),
        InPlace::Nothing { is_there } => {
            if is_there {
                fs::remove_file(path).map_err(CollectError::io(FileOperation::Remove, path))?;
            }
            None
        }
        InPlace::Foreign(why) => {
            let wanted = aside.as_ref().map(|(aside, _)| aside.as_path());
            let number = set_aside(path, wanted, notes)?;
            notes.push(format!("{} was set aside as {}: {why}", path.display(), number.display()));
            if fresh {
                retire(&number, notes);
            }
            None
        }
    };
    for (aside, why) in &unreadable {
        notes.push(format!("{why}: it stays set aside"));
        if matches!(why, CollectError::Damaged { .. }) {
            retire(aside, notes);
        }
    }
    for aside in &outdated {
        retire(aside, notes);
    }
    let ours = match aside {
        Some((aside, found)) => {
            #[expect(clippy::disallowed_methods, reason = "an old journal, synced when it was written")]
            fs::rename(&aside, path).map_err(CollectError::io(FileOperation::Resume, &aside))?;
            sync_folder(path)?;
            notes.push(format!("{} belongs to this job; its answers are used", aside.display()));
            Some(found)
        }
        None => ours,
    };
    let Some(OwnJournal { mut file, salt, scan }) = ours else { return Ok(None) };
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
        .map_err(CollectError::io(FileOperation::Resume, path))?;
    Ok(Some((file, salt, scan)))
}
