//! The pass over the lines of parts, in the order of the rows: what a line has goes where the journal's record would.

use std::io::Write;

use super::{RowPass, text_of};
use crate::collect::error::CollectError;
use crate::collect::journal::decode::{FailedRecord, FetchedRecord, read_row};
use crate::collect::journal::encode::fingerprint_digits;
use crate::collect::parts::line::{PartLine, cells_of};
use crate::collect::parts::set::PartSet;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::settings::Shape;
use crate::model::Fingerprint;

/// Makes a fingerprint of a salt, a key and the cells that a request uses.
pub(crate) type FingerprintOf = fn([u8; 16], &[&[u8]]) -> Fingerprint;

/// How the fingerprints of parts are made anew, so that all are of one salt.
pub(crate) struct NewFingerprints {
    pub(crate) salt: [u8; 16],
    pub(crate) of: FingerprintOf,
    /// The columns that the request uses.
    pub(crate) used: Vec<usize>,
    /// The place of the key among the columns.
    pub(crate) key: usize,
    /// Lines have whole rows.
    pub(crate) has_rows: bool,
}

impl NewFingerprints {
    /// The digits of a fingerprint; none where a line has no cells though the request uses some.
    fn digits(&self, key: &str, cells: Option<&csv::ByteRecord>) -> Option<[u8; 32]> {
        let mut fields = vec![key.as_bytes()];
        for (place, &column) in self.used.iter().enumerate() {
            let place = if self.has_rows { column } else { place };
            match cells {
                Some(cells) => fields.push(cells.get(place).unwrap_or_default()),
                None if column == self.key => fields.push(key.as_bytes()),
                None => return None,
            }
        }
        Some(fingerprint_digits((self.of)(self.salt, &fields)))
    }
}

/// What became of one line.
enum Passed {
    Done,
    /// It does not read back.
    Damaged,
    /// It repeats the key of the line that begins here, and has these cells.
    Repeats(csv::ByteRecord, u64),
}

impl<W: Write> RowPass<'_, W> {
    /// Passes the lines of all parts on.
    ///
    /// # Errors
    /// A part is not what was written, a file cannot be written, or the work is no longer wanted.
    pub(crate) fn run_parts(
        &mut self,
        parts: &mut PartSet,
        (fingerprints, mut previous): (&NewFingerprints, PreviousRun),
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), CollectError> {
        self.is_of_parts = true;
        let mut first = Vec::new();
        while parts.advance()? {
            if is_stopped() {
                return Err(CollectError::Stopped);
            }
            let passed = match parts.line()? {
                PartLine::Answer(cells, record) => {
                    self.answer(cells, &record, (fingerprints, &mut previous))?
                }
                PartLine::Failure(is_again, record) => self.failure(is_again, &record, &mut previous)?,
                PartLine::Repeat(cells, place) => match cells_of(cells) {
                    Some(cells) => Passed::Repeats(cells, place),
                    None => Passed::Damaged,
                },
            };
            let is_good = match passed {
                Passed::Done => true,
                Passed::Damaged => false,
                Passed::Repeats(cells, place) => {
                    parts.first_line(place, &mut first)?;
                    self.repeat_of_part(cells, &first)?
                }
            };
            if !is_good {
                return Err(parts.damaged());
            }
        }
        if self.table.is_some() { self.left_rows(None, &mut previous) } else { self.leftovers(&mut previous) }
    }

    fn answer(
        &mut self,
        cells: Option<&[u8]>,
        record: &FetchedRecord<'_>,
        (fingerprints, previous): (&NewFingerprints, &mut PreviousRun),
    ) -> Result<Passed, CollectError> {
        let cells = match cells.map(cells_of) {
            Some(None) => return Ok(Passed::Damaged),
            Some(cells) => cells,
            None => None,
        };
        let digits = match self.state {
            Some(Ok(_)) => match fingerprints.digits(&text_of(record.key), cells.as_ref()) {
                Some(digits) => Some(digits),
                None => return Ok(Passed::Damaged),
            },
            // Only the state file has them.
            _ => None,
        };
        if let Some(table) = &mut self.table {
            let Some(cells) = cells else { return Ok(Passed::Damaged) };
            table.begin(cells);
            table.note_key(previous);
        }
        let record = FetchedRecord { fingerprint: digits.as_ref().map_or(&[], |digits| digits), ..*record };
        self.fetched(&record, previous).map(|()| Passed::Done)
    }

    fn failure(
        &mut self,
        is_again: bool,
        record: &FailedRecord<'_>,
        previous: &mut PreviousRun,
    ) -> Result<Passed, CollectError> {
        let mut row = std::mem::take(&mut self.row);
        if !read_row(record.row, &mut row) {
            return Ok(Passed::Damaged);
        }
        let passed =
            if is_again { self.rows.file.add(&row, record) } else { self.failed(record, &row, previous) };
        self.row = row;
        passed.map(|()| Passed::Done)
    }

    /// A row of a table that repeats another gets what that one got. False where the line does not read back.
    fn repeat_of_part(&mut self, cells: csv::ByteRecord, first: &[u8]) -> Result<bool, CollectError> {
        let Some(line) = PartLine::parse(first) else { return Ok(false) };
        let Some(table) = &mut self.table else { return Ok(false) };
        table.begin(cells);
        let (Some(table), Some(output)) = (&self.table, &mut self.output) else { return Ok(true) };
        let result = match &line {
            PartLine::Answer(_, record) => {
                let made = table.make(record)?;
                table.write_repeat(output, record, &made)
            }
            PartLine::Failure(_, record) if output.shape() == Shape::Record => {
                table.write_failed(output, record)
            }
            PartLine::Failure(..) => Ok(()),
            PartLine::Repeat(..) => return Ok(false),
        };
        self.written(result).map(|()| true)
    }
}
