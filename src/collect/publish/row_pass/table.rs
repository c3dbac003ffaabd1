//! The pass over the records of a table: each row of the input whose SKU has an answer gets a row of its own, also where
//! several rows have one SKU.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use csv::ByteRecord;

use super::{RowPass, read_old, text_of};
use crate::collect::error::CollectError;
use crate::collect::journal::decode::{FailedRecord, FetchedRecord, JournalRecord};
use crate::collect::journal::reader::JournalReader;
use crate::collect::journal::row_offsets::RowOffsets;
use crate::collect::previous::key_hash::KeyHash;
use crate::collect::previous::old_output::OldOutput;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::publish::output_writer::OutputWriter;
use crate::collect::settings::{OutputSettings, Shape};
use crate::collect::table::cell::cell_of;
use crate::collect::table::layout::TableLayout;
use crate::collect::table::row_spool::{RowSpool, SpooledRow, SpooledRows};
use crate::json::escape_into;
use crate::model::Seq;

/// What a table needs beside the journal.
pub(crate) struct TablePass {
    layout: Arc<TableLayout>,
    /// The rows of the input; none of parts, whose lines have them.
    rows: Option<SpooledRows>,
    /// The row that is written; none where its cells are not those of the header.
    row: Option<ByteRecord>,
    /// Where the record of that row is; nowhere of parts.
    place: u64,
    /// The records of keys that later rows repeat, or of which the old table has more rows than were written.
    records: HashMap<KeyHash, u64>,
}

/// The cells of an answer.
pub(super) struct MadeCells {
    cells: Vec<Vec<u8>>,
    /// The same as one JSON value.
    pub(super) body: Vec<u8>,
}

impl TablePass {
    /// None where the output is no table.
    ///
    /// # Errors
    /// The rows cannot be read back.
    pub(crate) fn of(
        settings: &OutputSettings,
        spool: Option<RowSpool>,
    ) -> Result<Option<Self>, CollectError> {
        let (Some(layout), Some(spool)) = (&settings.layout, spool) else { return Ok(None) };
        let (layout, rows) = (Arc::clone(layout), Some(spool.finish()?));
        Ok(Some(Self { layout, rows, row: None, place: 0, records: HashMap::new() }))
    }

    /// The same of parts.
    pub(crate) fn of_parts(settings: &OutputSettings) -> Option<Self> {
        let layout = Arc::clone(settings.layout.as_ref()?);
        Some(Self { layout, rows: None, row: None, place: 0, records: HashMap::new() })
    }

    /// The cells of the row that is written next.
    pub(super) fn begin(&mut self, row: ByteRecord) {
        self.row = Some(row);
    }

    /// The key of the row that is written next has a line, and the old table may have more rows of it.
    pub(super) fn note_key(&mut self, previous: &PreviousRun) {
        let Some(row) = self.row.as_ref().filter(|_| self.layout.is_partial) else { return };
        let hash = self.hash_of(row, previous);
        if previous.old.as_ref().is_some_and(|old| old.repeats(&hash)) {
            self.records.insert(hash, self.place);
        }
    }

    /// A failed row, as the journal has it.
    pub(super) fn set_row(&mut self, row: &ByteRecord) {
        self.row = (row.len() <= self.layout.input.len()).then(|| row.clone());
    }

    pub(super) fn forget_row(&mut self) {
        self.row = None;
    }

    /// The cells that the columns have for an answer.
    pub(super) fn make(&self, record: &FetchedRecord<'_>) -> Result<MadeCells, CollectError> {
        let cells = self
            .layout
            .cells(record.body)
            .map_err(|fault| CollectError::Column { key: text_of(record.key), why: fault.to_string() })?;
        let body = self.layout.body_of(&cells);
        Ok(MadeCells { cells, body })
    }

    pub(super) fn write_fetched<W: Write>(
        &self,
        output: &mut OutputWriter<W>,
        record: &FetchedRecord<'_>,
        made: &MadeCells,
    ) -> io::Result<()> {
        output.count(record, &made.body);
        let row = self.row.as_ref().ok_or_else(|| io::Error::other("the row of an answer is not there"))?;
        self.write_answer(output, row, record, made)
    }

    /// The same of a row that repeats another, whose SKU is counted already.
    pub(super) fn write_repeat<W: Write>(
        &self,
        output: &mut OutputWriter<W>,
        record: &FetchedRecord<'_>,
        made: &MadeCells,
    ) -> io::Result<()> {
        self.row.as_ref().map_or(Ok(()), |row| self.write_answer(output, row, record, made))
    }

    fn write_answer<W: Write>(
        &self,
        output: &mut OutputWriter<W>,
        row: &ByteRecord,
        record: &FetchedRecord<'_>,
        made: &MadeCells,
    ) -> io::Result<()> {
        let at = cell_of(record.at).unwrap_or_default();
        let more = [record.status, &at, record.attempts];
        let made = made.cells.iter().map(Vec::as_slice);
        output.row(self.layout.own_cells(row).chain(made).chain(more))
    }

    /// A failure, which has a row only as a record.
    pub(super) fn write_failed<W: Write>(
        &self,
        output: &mut OutputWriter<W>,
        record: &FailedRecord<'_>,
    ) -> io::Result<()> {
        let Some(row) = &self.row else { return Ok(()) };
        let [status, at, error] =
            [record.status, record.at, record.error].map(|value| cell_of(value).unwrap_or_default());
        let made = self.layout.columns.iter().map(|_| &b""[..]);
        let more = [&status[..], &at, record.attempts, &error];
        output.row(self.layout.own_cells(row).chain(made).chain(more))
    }

    /// A row with the values that the old table has.
    fn write_kept<W: Write>(
        &self,
        output: &mut OutputWriter<W>,
        row: Option<&ByteRecord>,
        old: &ByteRecord,
    ) -> io::Result<()> {
        match row {
            Some(row) => {
                output.row(self.layout.own_cells(row).chain(old.iter().skip(self.layout.input.len())))
            }
            None => output.row(old.iter()),
        }
    }

    fn hash_of(&self, row: &ByteRecord, previous: &PreviousRun) -> KeyHash {
        let key = row.get(self.layout.key).unwrap_or_default();
        previous.hasher.hash(&String::from_utf8_lossy(key))
    }
}

impl<W: Write> RowPass<'_, W> {
    /// As [`RowPass::run`], for a table.
    pub(super) fn run_table(
        &mut self,
        offsets: &RowOffsets,
        records: &mut JournalReader,
        previous: &mut PreviousRun,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), CollectError> {
        for (seq, offset) in offsets.rows() {
            if is_stopped() {
                return Err(CollectError::Stopped);
            }
            self.begin_row(seq, offset, records, previous)?;
            self.pass_on(records, offset, previous)?;
        }
        self.repeats_before(Seq(u32::MAX), records, previous)?;
        self.left_rows(Some(records), previous)
    }

    /// Writes the rows before this one that repeat others, and takes its cells.
    fn begin_row(
        &mut self,
        seq: Seq,
        offset: u64,
        records: &mut JournalReader,
        previous: &mut PreviousRun,
    ) -> Result<(), CollectError> {
        let own = self.repeats_before(seq, records, previous)?;
        let Some(table) = &mut self.table else { return Ok(()) };
        table.row = own.map(|row| row.cells);
        table.place = offset;
        if let Some(row) = &table.row {
            let hash = table.hash_of(row, previous);
            let is_needed = table.rows.as_ref().is_some_and(|rows| rows.repeated.contains(&hash))
                || (table.layout.is_partial && previous.old.as_ref().is_some_and(|old| old.repeats(&hash)));
            if is_needed {
                table.records.insert(hash, offset);
            }
        }
        Ok(())
    }

    /// Writes the rows up to this one that repeat others; returns this one, if it is there.
    fn repeats_before(
        &mut self,
        seq: Seq,
        records: &mut JournalReader,
        previous: &mut PreviousRun,
    ) -> Result<Option<SpooledRow>, CollectError> {
        while let Some(rows) = self.table.as_mut().and_then(|table| table.rows.as_mut()) {
            match rows.take_up_to(seq)? {
                Some(row) if row.is_repeat => self.repeat(&row, records, previous)?,
                // It has no record.
                Some(row) if row.seq < seq => {}
                other => return Ok(other),
            }
        }
        Ok(None)
    }

    /// A row that repeats another gets what that one got.
    fn repeat(
        &mut self,
        row: &SpooledRow,
        records: &mut JournalReader,
        previous: &mut PreviousRun,
    ) -> Result<(), CollectError> {
        let Some(table) = &mut self.table else { return Ok(()) };
        let hash = table.hash_of(&row.cells, previous);
        let Some(&offset) = table.records.get(&hash) else { return Ok(()) };
        table.row = Some(row.cells.clone());
        if let Some(old) = previous.old.as_mut().filter(|_| self.settings.merge) {
            old.supersede(&hash);
        }
        let (Some(table), Some(output)) = (&self.table, &mut self.output) else { return Ok(()) };
        let result = match records.read(offset)? {
            JournalRecord::Fetched(record) => {
                let made = table.make(&record)?;
                table.write_answer(output, &row.cells, &record, &made)
            }
            record => match old_row(self.settings, previous, &hash).map_err(read_old(self.given))? {
                Some(old) => table.write_kept(output, Some(&row.cells), &old),
                None => match record {
                    JournalRecord::Failed(record) if output.shape() == Shape::Record => {
                        table.write_failed(output, &record)
                    }
                    _ => Ok(()),
                },
            },
        };
        self.written(result)
    }

    /// The row gets the values that the old table has for its SKU; false if there are none.
    pub(super) fn keep_old_row(
        &mut self,
        hash: &KeyHash,
        previous: &mut PreviousRun,
    ) -> Result<bool, CollectError> {
        let Some(old) = &mut previous.old else { return Ok(false) };
        let Some(row) = old.row(hash).map_err(read_old(self.given))? else { return Ok(false) };
        old.supersede(hash);
        self.write_old_row(hash, &row, previous).map(|()| true)
    }

    /// Counts an old SKU, and writes it with the cells of the row, if there is one.
    fn write_old_row(
        &mut self,
        hash: &KeyHash,
        old: &ByteRecord,
        previous: &mut PreviousRun,
    ) -> Result<(), CollectError> {
        let (Some(table), Some(output)) = (&self.table, &mut self.output) else { return Ok(()) };
        if let Some(Ok(state)) = &mut self.state {
            state.kept(previous.state.as_mut(), hash);
        }
        let body = table.layout.body_in(old);
        output.count_old(body.as_deref());
        self.kept += u64::from(body.is_some());
        let result = table.write_kept(output, table.row.as_ref(), old);
        self.written(result)
    }

    /// The rows that only the old table has come last, in its order; or they are removed, and recorded in the changes.
    pub(super) fn left_rows(
        &mut self,
        mut records: Option<&mut JournalReader>,
        previous: &mut PreviousRun,
    ) -> Result<(), CollectError> {
        if self.output.is_none() || !(self.settings.merge || self.changes.is_some()) {
            return Ok(());
        }
        let is_kept = self.settings.merge && !self.prunes();
        let left = previous.old.as_ref().map_or_else(Vec::new, OldOutput::leftovers);
        let mut seen = HashSet::new();
        for index in left {
            let Some(old) = &mut previous.old else { break };
            let (hash, row) = old.leftover_row(index).map_err(read_old(self.given))?;
            let body = old.body_in(&row);
            let written = self.table.as_ref().and_then(|table| table.records.get(&hash).copied());
            let is_first = written.is_none() && seen.insert(hash);
            self.not_in_input += u64::from(is_first && self.settings.merge);
            if let (true, Some(records)) = (is_kept, records.as_deref_mut()) {
                self.left_row(&LeftRow { hash, row: &row, is_first, written }, records, previous)?;
            } else if let (true, Some(changes), Some(table)) = (is_first, &mut self.changes, &self.table)
                && let Some(body) = body
            {
                self.line.clear();
                let key = row.get(table.layout.key).unwrap_or_default();
                escape_into(&String::from_utf8_lossy(key), &mut self.line);
                changes.removed(&self.line, &body)?;
            }
        }
        Ok(())
    }

    /// A row that only the old table has. Where this run has a new value for its SKU, the row gets it.
    fn left_row(
        &mut self,
        left: &LeftRow<'_>,
        records: &mut JournalReader,
        previous: &mut PreviousRun,
    ) -> Result<(), CollectError> {
        if left.is_first {
            if let Some(table) = &mut self.table {
                table.forget_row();
            }
            return self.write_old_row(&left.hash, left.row, previous);
        }
        let (Some(table), Some(output)) = (&self.table, &mut self.output) else { return Ok(()) };
        let record = left.written.map(|offset| records.read(offset)).transpose()?;
        let result = match record {
            Some(JournalRecord::Fetched(record)) => {
                let own: ByteRecord = table.layout.own_cells(left.row).collect();
                let made = table.make(&record)?;
                table.write_answer(output, &own, &record, &made)
            }
            _ => table.write_kept(output, None, left.row),
        };
        self.written(result)
    }
}

/// A row that only the old table has.
struct LeftRow<'a> {
    hash: KeyHash,
    row: &'a ByteRecord,
    /// No row before it has its key, in either table.
    is_first: bool,
    /// The record of this run for its key.
    written: Option<u64>,
}

/// The row that the old table has, where old values are kept.
fn old_row(
    settings: &OutputSettings,
    previous: &mut PreviousRun,
    hash: &KeyHash,
) -> io::Result<Option<ByteRecord>> {
    match &mut previous.old {
        Some(old) if settings.merge => old.row(hash),
        _ => Ok(None),
    }
}
