//! One pass over the journal's records, in the order of the rows: each is checked once more and goes where it belongs,
//! to the output, the state file, the changes and the failure file.

mod merged;
mod table;

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::cursor::string_end;
use crate::collect::journal::appender::ClosedJournal;
use crate::collect::journal::decode::{FailedRecord, FetchedRecord, JournalRecord, read_row};
use crate::collect::journal::reader::JournalReader;
use crate::collect::previous::key_hash::KeyHash;
use crate::collect::previous::old_output::OldOutput;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::previous::profile::Profiler;
use crate::collect::previous::stored::take_apart;
use crate::collect::publish::changes::ChangeFile;
use crate::collect::publish::draft::DraftedRows;
use crate::collect::publish::failure_file::FailedRows;
use crate::collect::publish::output_writer::{OutputWriter, WrittenOutput};
use crate::collect::publish::state_writer::StateWriter;
use crate::collect::settings::{Format, OutputSettings, Shape};
use crate::json::escape_into;
use crate::model::Key;
use crate::model::option::PRUNE;

pub(crate) use merged::{FingerprintOf, NewFingerprints};
pub(crate) use table::TablePass;

/// One pass over the records, and where they go. Without an output it only counts and names what failed.
pub(crate) struct RowPass<'a, W: Write> {
    output: Option<OutputWriter<W>>,
    pub(crate) state: Option<Result<StateWriter, String>>,
    pub(crate) changes: Option<ChangeFile<'a>>,
    pub(crate) rows: FailedRows<'a>,
    /// The output's name; standard output has none.
    given: Option<&'a Path>,
    settings: &'a OutputSettings,
    /// Keys of refused rows that have a line. Of parts, those of damaged rows alone: their lines tell of all others.
    refused: HashSet<KeyHash>,
    is_of_parts: bool,
    line: Vec<u8>,
    /// The row of the failure that was read last, whose buffers are used again.
    row: csv::ByteRecord,
    /// Old values that the new output has, too.
    pub(crate) kept: u64,
    /// Old values that no row of the input has.
    pub(crate) not_in_input: u64,
    /// Damaged rows whose SKU is not known: it may be any of those that no other row has.
    unknown_rows: u64,
    /// With `--merge`: the answers of this run.
    pub(crate) fetched: Profiler,
    /// Of a table, the rows of the input.
    pub(crate) table: Option<TablePass>,
}

impl<'a, W: Write> RowPass<'a, W> {
    pub(crate) fn new(
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
            is_of_parts: false,
            line,
            row: csv::ByteRecord::new(),
            kept: 0,
            not_in_input: 0,
            unknown_rows: 0,
            fetched: Profiler::default(),
            table: None,
        }
    }

    /// Passes every record on, in the order of the rows. Of the rows that are `drafted`, only the failed ones are left.
    ///
    /// # Errors
    /// A record does not read back, a file cannot be written, or the work is no longer wanted.
    pub(crate) fn run(
        &mut self,
        journal: ClosedJournal,
        mut previous: PreviousRun,
        drafted: &DraftedRows,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), CollectError> {
        let ClosedJournal { path, file, salt, offsets } = journal;
        let mut records = JournalReader::new(path, file, salt);
        if self.table.is_some() {
            return self.run_table(&offsets, &mut records, &mut previous, is_stopped);
        }
        for offset in drafted.failed.iter().copied().chain(offsets.offsets().skip(drafted.records)) {
            if is_stopped() {
                return Err(CollectError::Stopped);
            }
            self.pass_on(&mut records, offset, &mut previous)?;
        }
        self.leftovers(&mut previous)
    }

    /// Passes the record at this place on.
    fn pass_on(
        &mut self,
        records: &mut JournalReader,
        offset: u64,
        previous: &mut PreviousRun,
    ) -> Result<(), CollectError> {
        match records.read(offset)? {
            JournalRecord::Fetched(record) => return self.fetched(&record, previous),
            JournalRecord::Failed(record) => {
                let mut row = std::mem::take(&mut self.row);
                if read_row(record.row, &mut row) {
                    let passed = self.failed(&record, &row, previous);
                    self.row = row;
                    return passed;
                }
            }
            JournalRecord::Kept(key) => {
                if self.keep_old(&previous.hasher.hash(&text_of(key)), previous)? {
                    return Ok(());
                }
                return Err(records.damaged(offset, "a value that was to be kept is not there"));
            }
            JournalRecord::Synced(_) => {}
        }
        Err(records.damaged(offset, "a record does not read back"))
    }

    fn written<T>(&self, result: io::Result<T>) -> Result<T, CollectError> {
        result.map_err(|error| match self.given {
            Some(path) => CollectError::io(FileOperation::Write, path)(error),
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
        let made = self.table.as_ref().map(|table| table.make(record)).transpose()?;
        let stored = made.as_ref().map_or(record.body, |made| &made.body);
        if let Some(old) = previous.old.as_mut().filter(|_| self.settings.merge || self.changes.is_some()) {
            let hash = previous.hasher.hash(&text_of(record.key));
            old.supersede(&hash);
            if let Some(changes) = &mut self.changes {
                let body = old.stored(&hash).map_err(read_old(self.given))?.and_then(|stored| stored.body);
                changes.fetched(record.key, body.as_deref(), stored)?;
            }
        } else if let Some(changes) = &mut self.changes {
            changes.fetched(record.key, None, stored)?;
        }
        if self.settings.merge {
            self.fetched.body(stored);
        }
        let result = match (&mut self.output, &self.table, &made) {
            (Some(output), Some(table), Some(made)) => table.write_fetched(output, record, made),
            (Some(output), ..) => output.fetched(record),
            (None, ..) => Ok(()),
        };
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
        if let Some(table) = &mut self.table {
            table.set_row(row);
        }
        if record.refused && key.as_deref().is_some_and(|key| self.rows.is_repeat(key)) {
            return Ok(());
        }
        if let Some(table) = &mut self.table {
            table.note_key(previous);
        }
        self.rows.file.add(row, record)?;
        let (Some(raw), Some(key)) = (record.key, key) else { return self.damaged(row, previous) };
        let hash = previous.hasher.hash(&key);
        if record.refused && self.is_in_any_file(previous) && self.has_line(hash) {
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
                return self.keep_old(&hash, previous).map(drop);
            }
            old.supersede(&hash);
        }
        let Some(output) = self.output.as_mut().filter(|output| output.shape() == Shape::Record) else {
            return Ok(());
        };
        let result = match &self.table {
            Some(table) => table.write_failed(output, record),
            None => output.failed(raw, record),
        };
        self.written(result)
    }

    /// Whether an earlier refused row of this key has a line; this one has one now.
    fn has_line(&mut self, hash: KeyHash) -> bool {
        if self.is_of_parts { self.refused.contains(&hash) } else { !self.refused.insert(hash) }
    }

    /// A damaged row has no key that could be requested, but it still counts as one of the SKU in its key
    /// cell: that SKU is not gone from the input.
    fn damaged(&mut self, row: &csv::ByteRecord, previous: &mut PreviousRun) -> Result<(), CollectError> {
        let Some(old) = previous.old.as_mut().filter(|_| self.output.is_some()) else { return Ok(()) };
        if let Some(table) = &mut self.table {
            // Its cells are none of the header's.
            table.forget_row();
        }
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
            return self.keep_old(&hash, previous).map(drop);
        }
        old.supersede(&hash);
        Ok(())
    }

    /// Whether SKUs that no row has are taken out: not while a damaged row may hold one of them.
    pub(crate) fn prunes(&self) -> bool {
        self.settings.prune && self.unknown_rows == 0
    }

    /// Why nothing was pruned though `--prune` was given.
    pub(crate) fn unpruned(&self) -> Option<String> {
        (self.settings.prune && !self.prunes() && self.not_in_input > 0).then(|| {
            format!(
                "{PRUNE} took nothing out: the SKUs of some damaged rows are not known, and may be among those that \
                 no other row has"
            )
        })
    }

    /// Whether a failed SKU is more than a row of the failure file.
    fn is_in_any_file(&self, previous: &PreviousRun) -> bool {
        let has_line = self.output.as_ref().is_some_and(|output| output.shape() == Shape::Record);
        has_line || self.changes.is_some() || (self.settings.merge && previous.old.is_some())
    }

    /// The old value stays, if there is one that has no line yet.
    fn keep_old(&mut self, hash: &KeyHash, previous: &mut PreviousRun) -> Result<bool, CollectError> {
        if self.output.is_none() {
            return Ok(true);
        }
        if self.table.is_some() {
            return self.keep_old_row(hash, previous);
        }
        let Some(old) = &mut previous.old else { return Ok(false) };
        self.line.clear();
        if !old.take(hash, &mut self.line).map_err(read_old(self.given))? {
            return Ok(false);
        }
        self.write_old(hash, previous).map(|()| true)
    }

    /// `self.line`, an old one, goes into the output.
    fn write_old(&mut self, hash: &KeyHash, previous: &mut PreviousRun) -> Result<(), CollectError> {
        let Some(output) = self.output.as_mut() else { return Ok(()) };
        if let Some(Ok(state)) = &mut self.state {
            state.kept(previous.state.as_mut(), hash);
        }
        let value = match output.format() {
            Format::Json => string_end(&self.line).and_then(|end| self.line.get(end + 1..)),
            Format::Jsonl | Format::Csv => Some(&self.line[..]),
        };
        let body = value.and_then(|value| take_apart(value, output.format()).ok()?.body);
        self.kept += u64::from(body.is_some());
        let result = output.old(&self.line, body.as_deref());
        self.written(result)
    }

    /// What only the old output has comes last, in its order; or it is removed, and recorded in the changes.
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
                self.write_old(&hash, previous)?;
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
    pub(crate) fn finish_output(&mut self) -> Result<WrittenOutput<W>, CollectError> {
        let output = self.output.take().expect("a pass that is finished has an output");
        let result = output.finish();
        self.written(result)
    }
}

fn read_old(given: Option<&Path>) -> impl FnOnce(io::Error) -> CollectError {
    CollectError::io(FileOperation::ReadOld, given.unwrap_or(Path::new("output")))
}

/// The text of a JSON string whose checksum held: it was written from a text.
fn text_of(raw: &[u8]) -> String {
    serde_json::from_slice(raw).unwrap_or_default()
}
