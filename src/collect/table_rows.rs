//! The side of a table that the collector needs: the rows as they come, and whether an answer has a row. And the cells
//! that a part needs, so that whoever merges it can make the fingerprints anew.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::cursor::NULL;
use crate::collect::journal::decode::JournalRecord;
use crate::collect::journal::reader::JournalReader;
use crate::collect::settings::{OutputSettings, PartSettings};
use crate::collect::table::layout::TableLayout;
use crate::collect::table::row_spool::RowSpool;
use crate::model::{Fault, Seq};

/// The rows of a table that is to be written.
pub(crate) struct TableRows {
    layout: Arc<TableLayout>,
    pub(crate) spool: RowSpool,
    /// Reads answers of an interrupted run; none where no run is resumed.
    records: Option<JournalReader>,
}

impl TableRows {
    /// None where the output is no table. The rows are kept in this folder.
    ///
    /// # Errors
    /// They cannot be.
    pub(crate) fn of(settings: &OutputSettings, folder: &Path) -> Result<Option<Self>, CollectError> {
        let Some(layout) = settings.layout.as_ref() else { return Ok(None) };
        let spool = RowSpool::create(folder)?;
        Ok(Some(Self { layout: Arc::clone(layout), spool, records: None }))
    }

    /// With the journal, whose answers may be those of other columns.
    ///
    /// # Errors
    /// The system has no more file descriptors.
    pub(crate) fn reading(self, path: &Path, file: &File, salt: [u8; 16]) -> Result<Self, CollectError> {
        let file = file.try_clone().map_err(CollectError::io(FileOperation::Open, path))?;
        Ok(Self { records: Some(JournalReader::new(path.into(), file, salt)), ..self })
    }

    /// Whether an answer gives nothing but empty cells.
    ///
    /// # Errors
    /// It has no row.
    pub(crate) fn is_null(&self, body: &[u8]) -> Result<bool, Fault> {
        self.layout.cells(body).map(|cells| self.layout.body_of(&cells) == NULL)
    }

    /// Why the answer at this place of the journal has no row, if it has none.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn fault_at(&mut self, offset: Option<u64>) -> Result<Option<Fault>, CollectError> {
        let (Some(records), Some(offset)) = (&mut self.records, offset) else { return Ok(None) };
        let JournalRecord::Fetched(record) = records.read(offset)? else { return Ok(None) };
        let status = std::str::from_utf8(record.status).ok().and_then(|status| status.parse().ok());
        let fault = self.layout.cells(record.body).err();
        Ok(fault.map(|fault| match status {
            Some(status) => fault.with_status(status),
            None => fault,
        }))
    }
}

/// The cells of each row that its request uses.
pub(crate) struct UsedCells {
    columns: Vec<usize>,
    pub(crate) spool: RowSpool,
}

impl UsedCells {
    /// None where what is written is no part, or a part that has whole rows, or whose request uses the key alone. The
    /// cells are kept in this folder.
    ///
    /// # Errors
    /// They cannot be.
    pub(crate) fn of(settings: &OutputSettings, folder: &Path) -> Result<Option<Self>, CollectError> {
        let uses_more = |part: &&PartSettings| part.used.iter().any(|&column| column != part.key);
        let part = settings.part.as_ref().filter(|_| settings.layout.is_none()).filter(uses_more);
        let Some(part) = part else { return Ok(None) };
        let (columns, spool) = (part.used.clone(), RowSpool::create(folder)?);
        Ok(Some(Self { columns, spool }))
    }

    /// Keeps those of the next row.
    ///
    /// # Errors
    /// They could not be written.
    pub(crate) fn add(&mut self, seq: Seq, row: &csv::ByteRecord) -> Result<(), CollectError> {
        let cells = self.columns.iter().map(|&column| row.get(column).unwrap_or_default()).collect();
        self.spool.add(seq, None, &cells)
    }
}
