//! From the journal to the output, in the order of the rows.
//!
//! One pass streams every record, checked once more, to where it belongs: the output, the state file,
//! the failure file. Then they are put in place in an order that loses nothing at any instant: first
//! the output; then the failure file, because it may be the input, whose answered rows may vanish only
//! when their answers stand in the output; the journal goes last, when all else is safe.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::collect::error::CollectError;
use crate::collect::files::atomic::{Replacement, remove, sync_folder};
use crate::collect::files::checksum::Checksum;
use crate::collect::files::cursor::string_end;
use crate::collect::files::paths::Paths;
use crate::collect::files::preflight::Preflight;
use crate::collect::identity::JobIdentity;
use crate::collect::journal::appender::ClosedJournal;
use crate::collect::journal::decode::{FailedRecord, FetchedRecord, JournalRecord, read_row};
use crate::collect::journal::publish_record::{ChangeCounts, PublishRecord, publishing};
use crate::collect::journal::reader::{RecordReader, damaged};
use crate::collect::previous::baseline::{Baseline, has_skus};
use crate::collect::previous::key_hash::KeyHash;
use crate::collect::previous::old_output::OldOutput;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::previous::profile::{Measured, Profile, Profiler};
use crate::collect::previous::stored::take_apart;
use crate::collect::publish::changes::ChangeFile;
use crate::collect::publish::draft::{Draft, DraftHandle, DraftPlan};
use crate::collect::publish::example::example;
use crate::collect::publish::failure_file::{FailedRows, Failures};
use crate::collect::publish::guard::{
    Degradation, MIN_AFFECTED_SKUS, degradations, share_degradations, suspicious_shares,
};
use crate::collect::publish::output_writer::{OutputWriter, WrittenOutput};
use crate::collect::publish::state_writer::StateWriter;
use crate::collect::settings::{Format, OutputSettings, Shape};
use crate::input::Columns;
use crate::json::escape_into;
use crate::model::Key;

/// A journal that is written and synced: ready to be published, or left for the next run.
pub struct Finished {
    pub(crate) journal: ClosedJournal,
    pub(crate) identity: JobIdentity,
    /// A row failed or was refused.
    pub(crate) has_failures: bool,
    pub(crate) answers: AnswerCounts,
    pub(crate) published_before: Option<PublishRecord>,
    pub(crate) previous: PreviousRun,
    pub(crate) drafting: Option<DraftHandle>,
}

/// Answers that were appended to a journal.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AnswerCounts {
    pub(crate) all: u64,
    /// Of these, those whose body is `null`.
    pub(crate) nulls: u64,
}

/// What publishing needs to know beside the settings.
pub struct Publish<'a> {
    /// The files of the run.
    pub place: &'a Preflight,
    /// The input's columns, for the failure file.
    pub columns: &'a Columns,
    /// Whether a row of the run got a job for this key: a refused row of that key is then a repeat.
    pub is_planned: &'a dyn Fn(&Key) -> bool,
    /// The input, if it is a file.
    pub input: Option<&'a Path>,
    /// Every row of the input was ended by this run: none deferred, none beyond a limit. Otherwise a
    /// failure file that is the input stays as it is, or rows would be lost.
    pub input_done: bool,
    /// The work is no longer wanted: asked at every record.
    pub is_stopped: &'a dyn Fn() -> bool,
    /// Asked once, when the new output is safe on disk and nothing is replaced yet.
    pub may_replace: &'a dyn Fn() -> bool,
    /// Takes the output if that is the target.
    pub stdout: &'a mut dyn Write,
}

/// What became of a complete output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishDecision {
    /// It is in its place.
    Published,
    /// It is much worse than the one that is there, and stands beside it.
    HeldBack(Vec<Degradation>),
    /// It has nothing but nulls, and was not kept.
    NothingButNulls,
}

/// What a decision was made by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The old output, if there was one to compare with.
    pub old: Option<Baseline>,
    /// The new one.
    pub new: Profile,
    /// Of its nulls, those that stand for a status of `--null-on`.
    pub nulls_for_status: u64,
    /// A key that shows the first degradation, and its new body where it has one.
    pub example: Option<(String, Option<String>)>,
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishOutcome {
    /// Whether the output was replaced.
    pub decision: PublishDecision,
    /// What that was decided by.
    pub evidence: Evidence,
    /// Signs that a first output, which has nothing to be compared with, may be wrong.
    pub suspicious_shares: Vec<Degradation>,
    /// With `--merge`: what this run fetched, which may be a small part of the output.
    pub fetched: Profile,
    /// What of it is much worse than the old output was.
    pub fetched_degradations: Vec<Degradation>,
    /// The output as the user named it, or where it is held back; `None` for standard output and for what was not
    /// kept.
    pub path: Option<PathBuf>,
    /// The file that an output which is held back was to replace.
    pub replaces: Option<PathBuf>,
    /// Its size.
    pub bytes: u64,
    /// Its lines of SKUs.
    pub lines: u64,
    /// What failed.
    pub failures: Failures,
    /// The differences from the old output, and where they were written.
    pub changes: Option<(ChangeCounts, PathBuf)>,
    /// Values of the old output that no row asked for, with `--merge`.
    pub not_in_input: u64,
    /// They were taken out by `--prune`.
    pub pruned: bool,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
}

/// What was left where nothing was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// What failed.
    pub failures: Failures,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
}

impl Finished {
    /// Puts the output in place, then the state, then the failure file; then the journal goes. An output that is
    /// much worse than the one that is there is put beside it instead.
    ///
    /// # Errors
    /// A journal that does not read back, or disk trouble. Up to the instant of the rename the old
    /// output stands; what fails after it is [`CollectError::Unsettled`].
    pub fn publish(
        self,
        settings: &OutputSettings,
        context: &mut Publish<'_>,
    ) -> Result<PublishOutcome, CollectError> {
        match &context.place.paths {
            Some(paths) => self.publish_file(settings, context, paths),
            None => self.publish_stdout(settings, context),
        }
    }

    fn publish_file(
        mut self,
        settings: &OutputSettings,
        context: &Publish<'_>,
        paths: &Paths,
    ) -> Result<PublishOutcome, CollectError> {
        let (journal, given) = (self.journal.path.clone(), &paths.output.given);
        let starts_from_old = settings.merge || context.place.changes.is_some();
        if starts_from_old && !self.previous.is_still_there(&paths.output.real) {
            return Err(CollectError::OldChanged { path: given.clone() });
        }
        let baseline = self.previous.current_baseline(&paths.output.real, settings.format);
        let baseline_error = self.previous.baseline_error.take();
        let draft = match self.drafting.take().and_then(DraftHandle::finish) {
            Some(draft) => draft,
            None => Draft::begin(&DraftPlan::of(settings, paths, self.journal.salt, &self.identity))?,
        };
        let mut pass = Pass::new(FailedRows::of(context), Some(draft.output), Some(given), settings);
        pass.state = Some(draft.state);
        let changes = context.place.changes.as_ref();
        pass.changes =
            changes.map(|target| ChangeFile::create(target, self.published_before.as_ref())).transpose()?;
        let mut journal_file = self.journal.file.try_clone().map_err(CollectError::io("open", &journal))?;
        let checksum = Checksum::new(self.journal.salt);
        self.stream(&mut pass, (&draft.failed, draft.records), context.is_stopped)?;
        let WrittenOutput { stamp, lines, measured, target } = pass.finish_output()?;
        let result = GuardResult::of(settings, paths, (baseline, measured, pass.kept));
        let fetched = pass.fetched.finish().profile;
        let fetched_degradations = fetched_degradations(settings, baseline, fetched);
        let (unpruned, pruned) = (pass.unpruned(), pass.prunes());
        let Pass { mut rows, state, changes, not_in_input, .. } = pass;
        let GuardResult { decision, mut evidence, suspicious_shares } = result;
        let degradation = match &decision {
            PublishDecision::NothingButNulls => Some(Degradation::Nulls),
            PublishDecision::HeldBack(degradations) => degradations.first().copied(),
            PublishDecision::Published => suspicious_shares.first().copied(),
        };
        evidence.example = degradation
            .and_then(|degradation| example(paths, settings.format, (target.path(), degradation, &measured)));
        let mut published = PublishOutcome {
            decision,
            evidence,
            suspicious_shares,
            fetched,
            fetched_degradations,
            path: Some(given.clone()),
            replaces: None,
            bytes: stamp.bytes,
            lines,
            failures: Failures::default(),
            changes: None,
            not_in_input,
            pruned,
            warnings: Vec::new(),
        };
        let is_replaced = published.decision == PublishDecision::Published;
        if let Some(changes) = changes.as_ref().filter(|_| is_replaced) {
            let written = publishing(checksum, &changes.publishing(stamp))
                .and_then(|line| journal_file.write_all(&line))
                .and_then(|()| journal_file.sync_data());
            written.map_err(CollectError::io("write", &journal))?;
        }
        match published.decision {
            PublishDecision::Published => published.changes = put(target, changes, context)?,
            PublishDecision::HeldBack(_) => {
                let mut target = target;
                target.redirect(&paths.held);
                published.path = Some(paths.held.clone());
                published.replaces = Some(paths.output.real.clone());
                published.changes = put(target, changes, context)?;
            }
            PublishDecision::NothingButNulls => {
                published.path = None;
                drop((target, changes));
            }
        }
        if !is_replaced {
            // The journal goes, so nothing but the input still has the rows whose answers were not published.
            rows.keep_input();
        }
        let follow = || {
            sync_folder(&paths.output.real)?;
            let saved = match state {
                Some(state) if is_replaced => {
                    state.and_then(|state| state.commit(stamp, published.evidence.new))
                }
                _ => Ok(()),
            };
            let settled = rows.settle(is_replaced)?;
            if is_replaced {
                remove(&paths.held)?;
            }
            let unsynced = remove_journal(&journal, is_replaced)?;
            Ok((saved, settled, unsynced))
        };
        let (saved, (failures, warnings), unsynced) = follow()
            .map_err(|error: CollectError| if is_replaced { error.after_publishing(given) } else { error })?;
        (published.failures, published.warnings) = (failures, warnings);
        published.warnings.extend(unsynced);
        published.warnings.extend(unpruned.into_iter().chain(baseline_error).filter(|_| is_replaced));
        if let Err(why) = saved {
            published.warnings.push(format!("{} was not written: {why}", paths.state.display()));
        }
        Ok(published)
    }

    fn publish_stdout(
        self,
        settings: &OutputSettings,
        context: &mut Publish<'_>,
    ) -> Result<PublishOutcome, CollectError> {
        let (rows, is_stopped, folder) =
            (FailedRows::of(context), context.is_stopped, self.journal.path.clone());
        let AnswerCounts { all, nulls } = self.answers;
        let new = Profile { skus: all, nulls, ..Profile::default() };
        let mut published = PublishOutcome {
            decision: PublishDecision::NothingButNulls,
            evidence: Evidence { new, ..Evidence::default() },
            suspicious_shares: Vec::new(),
            fetched: Profile::default(),
            fetched_degradations: Vec::new(),
            path: None,
            replaces: None,
            bytes: 0,
            lines: 0,
            failures: Failures::default(),
            changes: None,
            not_in_input: 0,
            pruned: false,
            warnings: Vec::new(),
        };
        if is_nothing_but_nulls(settings, new) {
            let Left { failures, warnings } = self.leave(context)?;
            return Ok(PublishOutcome { failures, warnings, ..published });
        }
        let output = OutputWriter::new(&mut *context.stdout, settings.format, settings.shape);
        let mut pass = Pass::new(rows, Some(output), None, settings);
        self.stream(&mut pass, (&[], 0), is_stopped).map_err(|error| error.of_temporary(&folder))?;
        let WrittenOutput { stamp, lines, measured, .. } = pass.finish_output()?;
        (published.failures, published.warnings) = pass.rows.settle(true)?;
        (published.decision, published.bytes, published.lines) =
            (PublishDecision::Published, stamp.bytes, lines);
        published.evidence.new = measured.profile;
        published.suspicious_shares =
            settings.guard.map_or_else(Vec::new, |percent| suspicious_shares(measured.profile, percent));
        Ok(published)
    }

    /// Publishes nothing: the journal stays for the next run, and the failure file is written if
    /// anything failed.
    ///
    /// # Errors
    /// A journal that does not read back, or disk trouble.
    pub fn leave(mut self, context: &Publish<'_>) -> Result<Left, CollectError> {
        self.drafting = None;
        // Without an output, no old value is looked at either.
        let settings = OutputSettings::default();
        let mut pass = Pass::<io::Sink>::new(FailedRows::of(context), None, None, &settings);
        if self.has_failures {
            self.stream(&mut pass, (&[], 0), context.is_stopped)?;
        }
        let (failures, warnings) = pass.rows.settle(false)?;
        Ok(Left { failures, warnings })
    }

    /// Passes every record to where it belongs, in the order of the rows; of those that were `drafted`, only the
    /// failed ones, which stand at these places, are left.
    fn stream<W: Write>(
        self,
        pass: &mut Pass<'_, W>,
        (failed, drafted): (&[u64], usize),
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), CollectError> {
        let Self { journal: ClosedJournal { path, file, salt, offsets }, mut previous, .. } = self;
        let mut row = csv::ByteRecord::new();
        let mut records = RecordReader::new(path.clone(), file, salt);
        for offset in failed.iter().copied().chain(offsets.offsets().skip(drafted)) {
            if is_stopped() {
                return Err(CollectError::Stopped);
            }
            match records.read(offset)? {
                JournalRecord::Fetched(record) => pass.fetched(&record, &mut previous)?,
                JournalRecord::Failed(record) => {
                    if !read_row(record.row, &mut row) {
                        return Err(damaged(&path, offset, "a row does not read back"));
                    }
                    pass.failed(&record, &row, &mut previous)?;
                }
                JournalRecord::Kept(key) => {
                    if !pass.old(&previous.hasher.hash(&text_of(key)), &mut previous)? {
                        return Err(damaged(&path, offset, "a value that was to be kept is not there"));
                    }
                }
                JournalRecord::Synced(_) => {
                    return Err(damaged(&path, offset, "a record does not read back"));
                }
            }
        }
        pass.leftovers(&mut previous)
    }
}

/// Removes the journal. Where nothing was published, what a folder that cannot be synced means is only a warning: a
/// power cut may bring the journal back.
fn remove_journal(journal: &Path, is_published: bool) -> Result<Option<String>, CollectError> {
    match remove(journal) {
        Err(error) if !is_published && !journal.exists() => Ok(Some(error.to_string())),
        removed => removed.map(|()| None),
    }
}

/// Puts a complete output in its place, and the changes that lead to it. The changes go first: a power cut between
/// the two leaves them to be written again, and never lost.
fn put(
    output: Replacement,
    changes: Option<ChangeFile<'_>>,
    context: &Publish<'_>,
) -> Result<Option<(ChangeCounts, PathBuf)>, CollectError> {
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
        let result = changes.take().map(ChangeFile::commit).transpose();
        let is_good = result.is_ok();
        committed.set(Some(result));
        is_good
    };
    let replaced = output.put_if(&may_replace);
    let counts = committed.take().transpose()?.flatten();
    replaced?;
    Ok(counts.zip(path))
}

/// What is done with a complete output.
struct GuardResult {
    decision: PublishDecision,
    evidence: Evidence,
    suspicious_shares: Vec<Degradation>,
}

impl GuardResult {
    /// `kept` values of the new output were copied from the old one.
    fn of(
        settings: &OutputSettings,
        paths: &Paths,
        (old, measured, kept): (Option<Baseline>, Measured, u64),
    ) -> Self {
        let mut new = measured.profile;
        if let Some(raw) = old.filter(|old| old.shares_comparable).and_then(|old| old.profile.commonest_raw) {
            // What the kept values were selected from is not known any more: it counts as it did.
            if kept > 0 {
                new.commonest_raw = new.commonest_raw.max(Some(raw.min(kept)));
            }
        }
        let nulls_for_status = measured.nulls_for_status;
        let evidence = Evidence { old, new, nulls_for_status, example: None };
        let old_skus = old.map(|old| old.profile.skus);
        let (decision, suspicious_shares) = if is_nothing_but_nulls(settings, new) {
            (PublishDecision::NothingButNulls, Vec::new())
        } else if new.skus == 0
            && old_skus.map_or_else(|| has_skus(&paths.output.real, settings.format), |skus| skus > 0)
        {
            (PublishDecision::HeldBack(vec![Degradation::Empty]), Vec::new())
        } else {
            match (settings.guard, old) {
                (Some(percent), Some(old)) if old.profile.skus > 0 => match degradations(old, new, percent) {
                    found if found.is_empty() && old.shares_comparable => {
                        (PublishDecision::Published, Vec::new())
                    }
                    // Nothing tells what the shares should be: as with a first output.
                    found if found.is_empty() => {
                        (PublishDecision::Published, suspicious_shares(new, percent))
                    }
                    found => (PublishDecision::HeldBack(found), Vec::new()),
                },
                (Some(percent), _) => (PublishDecision::Published, suspicious_shares(new, percent)),
                (None, _) => (PublishDecision::Published, Vec::new()),
            }
        };
        Self { decision, evidence, suspicious_shares }
    }
}

/// What of the answers of a run with `--merge` is much worse than the old output was. It is no reason to hold back an
/// output that has many other values, but many small runs would replace all of them.
fn fetched_degradations(
    settings: &OutputSettings,
    old: Option<Baseline>,
    fetched: Profile,
) -> Vec<Degradation> {
    match (settings.guard, old.filter(|old| old.shares_comparable && old.profile.skus > 0)) {
        (Some(percent), Some(old)) if settings.merge => share_degradations(old.profile, fetched, percent),
        _ => Vec::new(),
    }
}

/// Whether no SKU has a value: then most likely the address is wrong. A person who says `--min-success 0` wants
/// whatever there is.
fn is_nothing_but_nulls(settings: &OutputSettings, new: Profile) -> bool {
    new.skus >= MIN_AFFECTED_SKUS && new.nulls == new.skus && settings.min_success > 0.0
}

/// Where the records of one pass go.
struct Pass<'a, W> {
    output: Option<OutputWriter<W>>,
    state: Option<Result<StateWriter, String>>,
    changes: Option<ChangeFile<'a>>,
    rows: FailedRows<'a>,
    /// The output's name; standard output has none.
    given: Option<&'a Path>,
    settings: &'a OutputSettings,
    /// Keys of refused rows that have a line.
    refused: HashSet<KeyHash>,
    line: Vec<u8>,
    /// Old values that the new output has, too.
    kept: u64,
    /// Old values that no row asked for.
    not_in_input: u64,
    /// Damaged rows whose SKU is not known: it may be any of those that no row asked for.
    unknown_rows: u64,
    /// With `--merge`: the answers of this run.
    fetched: Profiler,
}

impl<'a, W: Write> Pass<'a, W> {
    fn new(
        rows: FailedRows<'a>,
        output: Option<OutputWriter<W>>,
        given: Option<&'a Path>,
        settings: &'a OutputSettings,
    ) -> Self {
        let (refused, line) = (HashSet::new(), Vec::new());
        Self {
            output,
            state: None,
            changes: None,
            rows,
            given,
            settings,
            refused,
            line,
            kept: 0,
            not_in_input: 0,
            unknown_rows: 0,
            fetched: Profiler::default(),
        }
    }

    fn written<T>(&self, result: io::Result<T>) -> Result<T, CollectError> {
        result.map_err(|error| match self.given {
            Some(path) => CollectError::io("write", path)(error),
            None => CollectError::Stdout(error),
        })
    }

    fn fetched(
        &mut self,
        record: &FetchedRecord<'_>,
        previous: &mut PreviousRun,
    ) -> Result<(), CollectError> {
        if let Some(Ok(state)) = &mut self.state {
            state.fetched(record);
        }
        if let Some(old) = previous.old.as_mut().filter(|_| self.settings.merge || self.changes.is_some()) {
            let hash = previous.hasher.hash(&text_of(record.key));
            old.supersede(&hash);
            if let Some(changes) = &mut self.changes {
                let body = old.stored(&hash).map_err(read_old(self.given))?.and_then(|stored| stored.body);
                changes.fetched(record.key, body.as_deref(), record.body)?;
            }
        } else if let Some(changes) = &mut self.changes {
            changes.fetched(record.key, None, record.body)?;
        }
        if self.settings.merge {
            self.fetched.body(record.body);
        }
        let result = self.output.as_mut().map_or(Ok(()), |output| output.fetched(record));
        self.written(result)
    }

    /// A failed SKU keeps its old line; without one, it has a line only as a record. Of several refused
    /// rows with one key the first counts.
    fn failed(
        &mut self,
        record: &FailedRecord<'_>,
        row: &csv::ByteRecord,
        previous: &mut PreviousRun,
    ) -> Result<(), CollectError> {
        let key = record.key.map(text_of);
        if record.refused && key.as_deref().is_some_and(|key| self.rows.is_repeat(key)) {
            return Ok(());
        }
        self.rows.file.add(row, record)?;
        let (Some(raw), Some(key)) = (record.key, key) else { return self.damaged(row, previous) };
        let hash = previous.hasher.hash(&key);
        if record.refused && self.has_a_say(previous) && !self.refused.insert(hash) {
            return Ok(());
        }
        if let Some(changes) = &mut self.changes {
            let stored = match &mut previous.old {
                Some(old) => old.stored(&hash).map_err(read_old(self.given))?,
                None => None,
            };
            changes.failed(raw, stored.and_then(|stored| stored.body).as_deref())?;
        }
        if let Some(old) = &mut previous.old {
            if self.settings.merge && old.holds(&hash) {
                return self.old(&hash, previous).map(drop);
            }
            old.supersede(&hash);
        }
        let Some(output) = self.output.as_mut().filter(|output| output.shape() == Shape::Record) else {
            return Ok(());
        };
        let result = output.failed(raw, record);
        self.written(result)
    }

    /// A row that is damaged has no key that could be asked for, but it still counts as one of the SKU in its key
    /// cell: that SKU is not gone from the input.
    fn damaged(&mut self, row: &csv::ByteRecord, previous: &mut PreviousRun) -> Result<(), CollectError> {
        let Some(old) = previous.old.as_mut().filter(|_| self.output.is_some()) else { return Ok(()) };
        if self.rows.file.has_no_key(row) {
            return Ok(());
        }
        let key = row.get(self.rows.file.key_column()).and_then(|cell| Key::parse(cell).ok());
        let hash = key.as_ref().map(|key| previous.hasher.hash(key.as_str()));
        let (Some(key), Some(hash)) = (key, hash.filter(|hash| old.holds(hash))) else {
            self.unknown_rows += 1;
            return Ok(());
        };
        if (self.rows.is_planned)(&key) || !self.refused.insert(hash) {
            return Ok(());
        }
        if let Some(changes) = &mut self.changes {
            let body = old.stored(&hash).map_err(read_old(self.given))?.and_then(|stored| stored.body);
            let mut raw = Vec::new();
            escape_into(key.as_str(), &mut raw);
            changes.failed(&raw, body.as_deref())?;
        }
        if self.settings.merge {
            return self.old(&hash, previous).map(drop);
        }
        old.supersede(&hash);
        Ok(())
    }

    /// Whether SKUs that no row asked for are taken out: not while one of them may stand in a damaged row.
    fn prunes(&self) -> bool {
        self.settings.prune && self.unknown_rows == 0
    }

    /// Why nothing was pruned, where that was asked for.
    fn unpruned(&self) -> Option<String> {
        (self.settings.prune && !self.prunes() && self.not_in_input > 0).then(|| {
            "--prune took nothing out: the SKUs of some damaged rows are not known, and may be among those that no \
             other row has"
                .to_owned()
        })
    }

    /// Whether a failed SKU is more than a row of the failure file.
    fn has_a_say(&self, previous: &PreviousRun) -> bool {
        let has_line = self.output.as_ref().is_some_and(|output| output.shape() == Shape::Record);
        has_line || self.changes.is_some() || (self.settings.merge && previous.old.is_some())
    }

    /// The old value stays, if there is one that has no line yet.
    fn old(&mut self, hash: &KeyHash, previous: &mut PreviousRun) -> Result<bool, CollectError> {
        if self.output.is_none() {
            return Ok(true);
        }
        let Some(old) = &mut previous.old else { return Ok(false) };
        self.line.clear();
        if !old.take(hash, &mut self.line).map_err(read_old(self.given))? {
            return Ok(false);
        }
        self.keep(hash, previous).map(|()| true)
    }

    /// `self.line`, an old one, goes into the output.
    fn keep(&mut self, hash: &KeyHash, previous: &mut PreviousRun) -> Result<(), CollectError> {
        let Some(output) = self.output.as_mut() else { return Ok(()) };
        if let Some(Ok(state)) = &mut self.state {
            state.kept(previous.state.as_mut(), hash);
        }
        let value = match output.format() {
            Format::Json => string_end(&self.line).and_then(|end| self.line.get(end + 1..)),
            Format::Jsonl => Some(&self.line[..]),
        };
        let body = value.and_then(|value| take_apart(value, output.format()).ok()?.body);
        self.kept += u64::from(body.is_some());
        let result = output.old(&self.line, body.as_deref());
        self.written(result)
    }

    /// What only the old output has comes last, in its order; or it is gone, and the changes say so.
    fn leftovers(&mut self, previous: &mut PreviousRun) -> Result<(), CollectError> {
        let is_kept = self.settings.merge && !self.prunes();
        if self.output.is_none() || !(self.settings.merge || self.changes.is_some()) {
            return Ok(());
        }
        let left = previous.old.as_ref().map_or_else(Vec::new, OldOutput::leftovers);
        self.not_in_input = if self.settings.merge { left.len() as u64 } else { 0 };
        for index in left {
            let Some(old) = &mut previous.old else { break };
            if is_kept {
                self.line.clear();
                let hash = old.leftover(index, &mut self.line).map_err(read_old(self.given))?;
                self.keep(&hash, previous)?;
            } else if let Some(changes) = &mut self.changes {
                let (key, stored) = old.leftover_parts(index).map_err(read_old(self.given))?;
                if let Some(body) = stored.body {
                    self.line.clear();
                    escape_into(&key, &mut self.line);
                    changes.removed(&self.line, &body)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the output.
    fn finish_output(&mut self) -> Result<WrittenOutput<W>, CollectError> {
        let output = self.output.take().expect("a pass that is finished has an output");
        let result = output.finish();
        self.written(result)
    }
}

fn read_old(given: Option<&Path>) -> impl FnOnce(io::Error) -> CollectError {
    CollectError::io("read the old", given.unwrap_or(Path::new("output")))
}

/// The text of a JSON string whose checksum held: it was written from a text.
fn text_of(raw: &[u8]) -> String {
    serde_json::from_slice(raw).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use proptest::prelude::*;

    use super::*;
    use crate::collect::test_run::{TestContext, TestRun, failed, fetched, key, refused};

    fn run(format: Format, shape: Shape) -> String {
        let run = TestRun::with(|settings| (settings.format, settings.shape) = (format, shape));
        let (mut journal, _) = run.open();
        let row = csv::ByteRecord::from(vec!["R", "x"]);
        journal.append(&fetched(3, "B\"é", "[1.10]")).unwrap();
        let (r, b) = (key("R"), key("B\"é"));
        journal.append_refused(&refused(2, Some(&r), &row)).unwrap();
        journal.append_refused(&refused(4, Some(&r), &row)).unwrap();
        journal.append_refused(&refused(5, Some(&b), &row)).unwrap();
        journal.append_refused(&refused(6, None, &row)).unwrap();
        journal.append(&failed(1, "F", 404)).unwrap();
        journal.append(&fetched(0, "A", "null")).unwrap();
        let how = TestContext { planned: "B\"é", ..TestContext::default() };
        let published = run.try_publish(journal.close().unwrap(), &how).unwrap();
        assert_eq!((published.failures.rows, published.failures.repeats), (4, 1));
        assert_eq!(published.lines, if shape == Shape::Body { 2 } else { 4 });
        let text = run.text("out.json");
        assert_eq!(published.bytes, text.len() as u64);
        let now =
            text.split("\"status\":404,\"fetched_at\":\"").nth(1).and_then(|rest| rest.split('"').next());
        now.map_or(text.clone(), |now| {
            text.split(&now[..11])
                .enumerate()
                .map(|(index, part)| if index == 0 { part } else { &part[now.len() - 11..] })
                .collect()
        })
    }

    #[test]
    fn lines_are_laid_out_as_promised_in_every_format_and_shape() {
        assert_eq!(run(Format::Json, Shape::Body), "{\n\"A\":null,\n\"B\\\"é\":[1.10]\n}\n");
        assert_eq!(
            run(Format::Jsonl, Shape::Body),
            "{\"key\":\"A\",\"body\":null}\n{\"key\":\"B\\\"é\",\"body\":[1.10]}\n"
        );
        let (at, why) = ("2023-11-14T22:13:20.000Z", "a control character");
        assert_eq!(
            run(Format::Json, Shape::Record),
            format!(
                "{{\n\"A\":{{\"status\":200,\"fetched_at\":\"{at}\",\"attempts\":1,\"body\":null}},\n\
                 \"F\":{{\"status\":404,\"fetched_at\":\"\",\"attempts\":1,\"error\":\"the API says 404\"}},\n\
                 \"R\":{{\"status\":null,\"fetched_at\":\"\",\"attempts\":0,\"error\":\"{why}\"}},\n\
                 \"B\\\"é\":{{\"status\":200,\"fetched_at\":\"{at}\",\"attempts\":1,\"body\":[1.10]}}\n}}\n"
            )
        );
        assert_eq!(
            run(Format::Jsonl, Shape::Record),
            format!(
                "{{\"key\":\"A\",\"status\":200,\"fetched_at\":\"{at}\",\"attempts\":1,\"body\":null}}\n\
                 {{\"key\":\"F\",\"status\":404,\"fetched_at\":\"\",\"attempts\":1,\"error\":\"the API says 404\"}}\n\
                 {{\"key\":\"R\",\"status\":null,\"fetched_at\":\"\",\"attempts\":0,\"error\":\"{why}\"}}\n\
                 {{\"key\":\"B\\\"é\",\"status\":200,\"fetched_at\":\"{at}\",\"attempts\":1,\"body\":[1.10]}}\n"
            )
        );
    }

    #[test]
    fn no_sku_at_all_is_an_empty_object() {
        let run = TestRun::new();
        assert_eq!(run.publish_entries(&[]).lines, 0);
        assert_eq!(run.text("out.json"), "{\n}\n");
        let run = TestRun::with(|settings| settings.format = Format::Jsonl);
        run.publish_entries(&[]);
        assert_eq!(run.text("out.json"), "");
    }

    #[test]
    fn a_link_in_the_outputs_place_is_kept_and_so_is_the_mode_of_what_it_leads_to() {
        let run = TestRun::new();
        fs::create_dir(run.path("deep")).unwrap();
        fs::write(run.path("deep/real.json"), "{}").unwrap();
        fs::set_permissions(run.path("deep/real.json"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("deep/real.json", run.path("out.json")).unwrap();
        run.publish_entries(&[fetched(0, "A", "1")]);
        assert!(fs::symlink_metadata(run.path("out.json")).unwrap().is_symlink());
        assert_eq!(run.text("deep/real.json"), "{\n\"A\":1\n}\n");
        let mode = fs::metadata(run.path("deep/real.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(run.path("deep")).unwrap().count(), 1);
    }

    #[test]
    fn a_journal_that_changed_under_our_feet_is_not_published() {
        let run = TestRun::new();
        run.publish_entries(&[fetched(0, "A", "\"old\"")]);
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "\"new\"")).unwrap();
        let finished = journal.close().unwrap();
        let text = run.text("out.json.journal").replace("\"new\"", "\"bad\"");
        fs::write(run.path("out.json.journal"), text).unwrap();
        let error = run.try_publish(finished, &TestContext::default()).unwrap_err();
        assert_eq!(error.exit().code(), 74);
        assert_eq!(run.text("out.json"), "{\n\"A\":\"old\"\n}\n");
        assert_eq!(run.names(), ["out.json", "out.json.journal", "out.json.state"]);
    }

    #[test]
    fn what_a_killed_run_left_behind_is_cleared_by_the_next() {
        let run = TestRun::new();
        for name in [".out.json.0123456789ab.tmp", ".out.json.state.0123456789ab.tmp"] {
            fs::write(run.path(name), "half").unwrap();
        }
        fs::write(run.path(".out.failed.csv.0123456789ab.tmp"), "half").unwrap();
        run.publish_entries(&[fetched(0, "A", "1")]);
        assert_eq!(run.names(), ["out.json", "out.json.state"]);
    }

    #[test]
    fn a_hundred_thousand_entries_stream_into_their_places() {
        const COUNT: u32 = 100_000;
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        let body = format!("\"{}\"", "x".repeat(50));
        let mut order: Vec<u32> = (0..COUNT).collect();
        let mut chance = fastrand::Rng::with_seed(1);
        order.chunks_mut(200).for_each(|part| chance.shuffle(part));
        for _ in 0..500 {
            order.swap(chance.usize(0..100_000), chance.usize(0..100_000));
        }
        for seq in order {
            journal.append(&fetched(seq, &format!("K{seq:06}"), &body)).unwrap();
        }
        assert_eq!(run.publish(journal.close().unwrap()).lines, u64::from(COUNT));
        let text = run.text("out.json");
        let keys = text.lines().filter_map(|line| line.get(2..8)).map(|key| key.parse::<u32>().unwrap());
        assert!(keys.eq(0..COUNT));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_same_answers_give_the_same_bytes_in_any_order_and_after_any_interruptions(
            bodies in proptest::collection::vec("\"[a-z]{0,30}\"", 1..40), seed: u64, stops in 0usize..4,
        ) {
            let entry = |seq: usize| {
                let number = u32::try_from(seq).unwrap();
                match number % 5 {
                    4 => failed(number, &format!("K{seq}"), 404),
                    _ => fetched(number, &format!("K{seq}"), &bodies[seq]),
                }
            };
            let straight = TestRun::new();
            straight.publish_entries(&(0..bodies.len()).map(entry).collect::<Vec<_>>());
            let run = TestRun::new();
            let mut order: Vec<usize> = (0..bodies.len()).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut order);
            for part in order.chunks(order.len() / (stops + 1) + 1) {
                let (mut journal, _) = run.open();
                for &seq in part {
                    journal.append(&entry(seq)).unwrap();
                }
            }
            let (mut journal, _) = run.open();
            for seq in order {
                let entry = entry(seq);
                if !journal.adopt(entry.seq, entry.fingerprint) {
                    journal.append(&entry).unwrap();
                }
            }
            run.publish(journal.close().unwrap());
            prop_assert_eq!(run.text("out.json"), straight.text("out.json"));
            let failures = |run: &TestRun| fs::read(run.path("out.failed.csv")).ok();
            prop_assert_eq!(failures(&run), failures(&straight));
        }
    }
}
