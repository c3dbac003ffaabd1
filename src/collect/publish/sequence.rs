//! The order in which the files of a complete run are put in place, so that a crash at any instant loses nothing.
//!
//! Each step may rely on what the steps before it made durable:
//!
//! 1. The journal records what is about to be published, where changes are written. A run that is killed between the
//!    renames and the end of the journal is resumed; it would take the new output for the old one, compare it with
//!    itself, and lose the changes.
//! 2. The changes, with a sync of their folder. They can only be computed while the old output stands. A power cut after
//!    this step leaves the old output and the journal, and the changes are written again.
//! 3. The output: its object, where the file stands for one, then the file. This is the instant of publishing: before it,
//!    every error leaves the old output and the journal; after it, an error is [`CollectError::Unsettled`].
//! 4. A sync of the output's folder. Before it, a power cut may undo the rename, and then the journal and the input are
//!    still needed.
//! 5. The state file. It names the output that it belongs to by size and checksum: until it is replaced, the old one fits
//!    no output and is ignored. It saves only time, so that its failure is a warning.
//! 6. The failure file. It may be the input: its rows may be replaced only when their answers stand durably in the output.
//! 7. An output that an earlier run held back is removed: the new one was accepted in its place.
//! 8. The journal is removed last: all of the steps above can be done again from it.

use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::{Replacement, remove, sync_folder};
use crate::collect::files::checksum::Checksum;
use crate::collect::files::paths::Paths;
use crate::collect::files::stage::ObjectStage;
use crate::collect::files::stamp::Stamp;
use crate::collect::journal::publish_record::{ChangeCounts, publishing};
use crate::collect::previous::profile::Profile;
use crate::collect::publish::changes::{ChangeFile, WrittenChanges};
use crate::collect::publish::context::PublishContext;
use crate::collect::publish::decision::PublishDecision;
use crate::collect::publish::failure_file::{FailedRows, Failures};
use crate::collect::publish::state_writer::StateWriter;

/// The files of a complete run, all written and none in place.
pub(crate) struct PublishFiles<'a> {
    /// None of a merge without changes: there is nothing to record.
    pub(crate) journal: Option<JournalEnd>,
    pub(crate) output: Replacement,
    /// The output's size and checksum.
    pub(crate) stamp: Stamp,
    pub(crate) changes: Option<ChangeFile<'a>>,
    pub(crate) state: Option<Result<StateWriter, String>>,
    /// What the output holds.
    pub(crate) profile: Profile,
    pub(crate) rows: FailedRows<'a>,
}

/// The end of the journal, where one more record can be appended.
pub(crate) struct JournalEnd {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) checksum: Checksum,
    /// It has no answers, and is not removed: the parts of a run, which have them, stay as well.
    pub(crate) is_kept: bool,
}

/// What was put in place.
pub(crate) struct PlacedFiles {
    /// The output as the user named it, or where it is held back; `None` where it was not kept.
    pub(crate) path: Option<PathBuf>,
    /// The file that an output which is held back was to replace.
    pub(crate) replaces: Option<PathBuf>,
    pub(crate) changes: Option<(ChangeCounts, PathBuf)>,
    pub(crate) failures: Failures,
    /// Warnings for the user, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// The state file could not be written.
    pub(crate) state_warning: Option<String>,
}

impl PublishFiles<'_> {
    /// Puts the files in place as was decided.
    ///
    /// # Errors
    /// [`CollectError::Stopped`] if nothing may be replaced any more; disk trouble, which is
    /// [`CollectError::Unsettled`] once the output is replaced.
    pub(crate) fn put_in_place(
        mut self,
        decision: &PublishDecision,
        paths: &Paths,
        context: &PublishContext<'_>,
    ) -> Result<PlacedFiles, CollectError> {
        let is_published = *decision == PublishDecision::Published;
        let changes = self.changes.take().map(ChangeFile::finish).transpose()?;
        if let (Some(changes), Some(journal)) = (changes.as_ref().filter(|_| is_published), &mut self.journal)
        {
            journal.announce(changes, self.stamp)?;
        }
        let given = &paths.output.given;
        let (changes, path, replaces) = match decision {
            PublishDecision::Published => {
                (put_output(self.output, changes, context)?, Some(given.clone()), None)
            }
            PublishDecision::HeldBack(_) => {
                self.output.redirect(&paths.held);
                let replaced = ObjectStage::shown(paths.output.stage(), &paths.output.real);
                let changes = put_output(self.output, changes, context)?;
                (changes, Some(ObjectStage::shown(paths.output.stage(), &paths.held)), Some(replaced))
            }
            PublishDecision::NothingButNulls => {
                drop((self.output, changes));
                (None, None, None)
            }
        };
        let rest = Remaining {
            journal: self.journal.filter(|journal| !journal.is_kept).map(|journal| journal.path),
            state: self.state.filter(|_| is_published),
            output: (self.stamp, self.profile),
            rows: self.rows,
            is_published,
        };
        let (failures, warnings, state_warning) = rest
            .put_in_place(paths)
            .map_err(|error| if is_published { error.after_publishing(given) } else { error })?;
        Ok(PlacedFiles { path, replaces, changes, failures, warnings, state_warning })
    }
}

/// What is put in place when the output is.
struct Remaining<'a> {
    journal: Option<PathBuf>,
    state: Option<Result<StateWriter, String>>,
    output: (Stamp, Profile),
    rows: FailedRows<'a>,
    is_published: bool,
}

impl Remaining<'_> {
    /// Steps 4 to 8. Where nothing was published, the journal goes as well: its answers would give the same output again.
    fn put_in_place(
        mut self,
        paths: &Paths,
    ) -> Result<(Failures, Vec<String>, Option<String>), CollectError> {
        if !self.is_published {
            // Without the journal, only the input still has the rows whose answers were not published.
            self.rows.keep_input();
        }
        sync_folder(&paths.output.real)?;
        let (stamp, profile) = self.output;
        let saved = self.state.map_or(Ok(()), |state| state.and_then(|state| state.commit(stamp, profile)));
        let (failures, mut warnings) = self.rows.put_in_place(self.is_published)?;
        if self.is_published {
            remove(&paths.held)?;
            ObjectStage::remove(paths.output.stage(), &paths.held)?;
        }
        if let Some(journal) = &self.journal {
            warnings.extend(remove_journal(journal, self.is_published)?);
        }
        let state_warning =
            saved.err().map(|why| format!("{} was not written: {why}", paths.state.display()));
        Ok((failures, warnings, state_warning))
    }
}

impl JournalEnd {
    /// Records durably that this output and the changes that lead to it are about to be put in place.
    fn announce(&mut self, changes: &WrittenChanges, output: Stamp) -> Result<(), CollectError> {
        publishing(self.checksum, &changes.publishing(output))
            .and_then(|line| self.file.write_all(&line))
            .and_then(|()| self.file.sync_data())
            .map_err(CollectError::io(FileOperation::Write, &self.path))
    }
}

/// Steps 2 and 3. Whether a signal came first is decided when the output is synced and before anything is renamed.
fn put_output(
    output: Replacement,
    changes: Option<WrittenChanges>,
    context: &PublishContext<'_>,
) -> Result<Option<(ChangeCounts, PathBuf)>, CollectError> {
    // The rename replaces what the link led to when the run began: no reader of the name would see it.
    if let Some(paths) = context.place.paths.as_ref().filter(|paths| !paths.output.is_where_it_was()) {
        return Err(CollectError::Moved { path: paths.output.given.clone() });
    }
    let path = context.place.changes.as_ref().map(|target| target.given.clone());
    let changes = Cell::new(changes);
    let committed = Cell::new(None);
    let may_replace = || {
        if !(context.may_replace)() {
            return false;
        }
        let result = changes.take().map(WrittenChanges::commit).transpose();
        let is_good = result.is_ok();
        committed.set(Some(result));
        is_good
    };
    let replaced = output.put_if(context.is_stopped, &may_replace);
    let counts = committed.take().transpose()?.flatten();
    replaced?;
    Ok(counts.zip(path))
}

/// Removes the journal. Where nothing was published, a folder that cannot be synced is only a warning: a power cut may
/// bring the journal back.
fn remove_journal(journal: &Path, is_published: bool) -> Result<Option<String>, CollectError> {
    match remove(journal) {
        Err(error) if !is_published && !journal.exists() => Ok(Some(error.to_string())),
        removed => removed.map(|()| None),
    }
}
