//! All parts of a run become one output: the same bytes as one process would have left.
//!
//! The lines of the parts are passed on as the records of a journal are, in the order of the rows, and their checksums
//! are known only at their ends. So everything is written to temporary files first, and nothing is replaced before every
//! part was read to its end. The parts stay: a merge that is made again, after a kill or by mistake, leaves the same
//! output. What a merge with changes is about to put in place is recorded beside the parts, so that one that is made
//! again does not compare the output with itself.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::{Replacement, clear_leftovers};
use crate::collect::files::background_writer::BackgroundWriter;
use crate::collect::files::checksum::Checksum;
use crate::collect::files::no_follow::open_unlinked;
use crate::collect::files::paths::Paths;
use crate::collect::files::preflight::Preflight;
use crate::collect::files::salt::random_salt;
use crate::collect::journal::publish_record::{PublishRecord, publishing_of};
use crate::collect::parts::names::parts_folder;
use crate::collect::parts::set::PartSet;
use crate::collect::parts::trailer::PartTrailer;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::publish::changes::ChangeFile;
use crate::collect::publish::context::PublishContext;
use crate::collect::publish::draft::{Draft, DraftPlan};
use crate::collect::publish::failure_file::FailedRows;
use crate::collect::publish::outcome::{PublishOutcome, UnpublishedOutcome};
use crate::collect::publish::passed_rows::PassedRows;
use crate::collect::publish::row_pass::{FingerprintOf, NewFingerprints, RowPass, TablePass};
use crate::collect::publish::sequence::JournalEnd;
use crate::collect::settings::OutputSettings;
use crate::model::{RowCounts, RunId};

/// The file beside the parts that records what a merge puts in place.
const MERGED: &str = "merged";
/// No line of it is longer.
const MAX_LINE: u64 = 4096;

/// The parts of a run, which belong together.
pub(crate) struct MergeSource {
    parts: PartSet,
    folder: PathBuf,
    fingerprint_of: FingerprintOf,
}

/// A merge that is ready to be published.
pub(crate) struct PartMerge {
    source: MergeSource,
    previous: PreviousRun,
    salt: [u8; 16],
}

impl MergeSource {
    /// Opens the parts of a run of this output. `fingerprint_of` is what jobs are fingerprinted with.
    ///
    /// # Errors
    /// [`CollectError::Parts`] with those that are to be made again.
    pub(crate) fn open(
        output: &Path,
        run: &RunId,
        fingerprint_of: FingerprintOf,
    ) -> Result<Self, CollectError> {
        let (parts, folder) = (PartSet::open(output, run)?, parts_folder(output, run));
        Ok(Self { parts, folder, fingerprint_of })
    }

    /// The last line of the first part: what all have in common.
    pub(crate) fn first(&self) -> &PartTrailer {
        self.parts.first()
    }

    /// All last lines.
    pub(crate) fn trailers(&self) -> impl Iterator<Item = &PartTrailer> {
        self.parts.trailers()
    }

    /// What became of all rows.
    pub(crate) fn counts(&self) -> RowCounts {
        self.parts.counts()
    }

    /// Removes what killed runs left, and reads the old output as far as it counts. The caller holds the lock.
    /// `settings` have the layout of a table. `notes` gets what a person should know.
    ///
    /// # Errors
    /// An old output that `--changes` cannot read.
    pub(crate) fn prepare(
        self,
        settings: &OutputSettings,
        (place, paths): (&Preflight, &Paths),
        notes: &mut Vec<String>,
    ) -> Result<PartMerge, CollectError> {
        for target in [&paths.output].into_iter().chain(&place.failed).chain(&place.changes) {
            clear_leftovers(&target.real);
        }
        clear_leftovers(&paths.state);
        let previous = PreviousRun::load(settings, paths, &self.first().job, notes)?;
        Ok(PartMerge { source: self, previous, salt: random_salt() })
    }
}

impl PartMerge {
    /// Puts the output in place, then the state, then the failure file. An output that is much worse than the old one is
    /// put beside it instead.
    ///
    /// # Errors
    /// A part that is not what was written, or disk trouble. Up to the instant of the rename the old output stays; an
    /// error after it is [`CollectError::Unsettled`].
    pub(crate) fn publish(
        self,
        settings: &OutputSettings,
        context: &PublishContext<'_>,
        paths: &Paths,
    ) -> Result<PublishOutcome, CollectError> {
        let (fingerprints, Self { mut source, mut previous, salt, .. }) = (self.fingerprints(settings), self);
        let given = &paths.output.given;
        if context.place.changes.is_some() && !previous.is_still_there(&paths.output.real) {
            return Err(CollectError::OldChanged { path: given.clone() });
        }
        let old = previous.current_baseline(&paths.output.real, settings);
        let baseline_error = previous.baseline_error.take();
        let plan = DraftPlan::of(settings, paths, salt, &source.first().job);
        let write = |file: Replacement| {
            BackgroundWriter::start("output", file.synced_while_written())
                .map_err(|source| CollectError::Thread { what: "the thread that writes the output", source })
        };
        let (output, state) = Draft::files(&plan, write)?;
        let mut pass = RowPass::new(FailedRows::of(context), Some(output), Some(given), settings);
        pass.state = Some(state);
        pass.table = TablePass::of_parts(settings);
        let record = source.folder.join(MERGED);
        let is_there = |stamp| previous.old.as_ref().is_some_and(|old| old.stamp == stamp);
        let before = published_before(&record).filter(|published| is_there(published.output));
        let changes = context.place.changes.as_ref();
        pass.changes = changes.map(|target| ChangeFile::create(target, before.as_ref())).transpose()?;
        let journal = changes.map(|_| record_at(record)).transpose()?;
        pass.run_parts(&mut source.parts, (&fingerprints, previous), context.is_stopped)?;
        PassedRows { pass, journal, old, baseline_error }.publish(settings, context, paths)
    }

    /// Publishes nothing: the failure file is written if anything failed.
    ///
    /// # Errors
    /// A part that is not what was written, or disk trouble.
    pub(crate) fn leave(mut self, context: &PublishContext<'_>) -> Result<UnpublishedOutcome, CollectError> {
        // Without an output, no old value is read either.
        let settings = OutputSettings::default();
        let fingerprints = self.fingerprints(&settings);
        let mut pass = RowPass::<io::Sink>::new(FailedRows::of(context), None, None, &settings);
        let previous = (&fingerprints, PreviousRun::none());
        pass.run_parts(&mut self.source.parts, previous, context.is_stopped)?;
        let (failures, warnings) = pass.rows.put_in_place(false)?;
        Ok(UnpublishedOutcome { failures, warnings })
    }

    fn fingerprints(&self, settings: &OutputSettings) -> NewFingerprints {
        let first = self.source.first();
        NewFingerprints {
            salt: self.salt,
            of: self.source.fingerprint_of,
            used: first.used.clone(),
            key: first.input.key(),
            has_rows: settings.layout.is_some(),
        }
    }
}

/// Where a merge records what it is about to put in place.
fn record_at(path: PathBuf) -> Result<JournalEnd, CollectError> {
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(CollectError::io(FileOperation::Create, &path))?;
    Ok(JournalEnd { path, file, checksum: Checksum::HEADER, is_kept: true })
}

/// What the last merge of this run put in place, or was about to.
fn published_before(record: &Path) -> Option<PublishRecord> {
    let mut input = BufReader::new(open_unlinked(record, false).ok()?);
    let mut last = None;
    while let Some(line) = next_line(&mut input) {
        last = publishing_of(&line).filter(|_| Checksum::HEADER.holds(&line)).or(last);
    }
    last
}

fn next_line(input: &mut BufReader<File>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).ok()?;
    (line.pop() == Some(b'\n')).then_some(line)
}
