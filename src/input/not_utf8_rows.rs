//! Rows that are not UTF-8: a few are damaged, many are text of another encoding.

/// Cells that are kept to guess the encoding, and their length.
const CELLS_KEPT: usize = 200;
const CELL_KEPT: usize = 1 << 10;

/// Rows that are not UTF-8, to find out whether the file is text of another encoding.
#[derive(Debug, Default)]
pub(super) struct NotUtf8Rows {
    pub(super) rows: u64,
    /// Rows with characters beyond ASCII that are valid UTF-8.
    pub(super) others: u64,
    /// The line of the first.
    pub(super) first: u64,
    /// The first cells.
    pub(super) cells: Vec<Vec<u8>>,
}

impl NotUtf8Rows {
    /// One more, whose cell is none.
    pub(super) fn note(&mut self, line: u64, cell: &[u8]) {
        if self.rows == 0 {
            self.first = line;
        }
        self.rows += 1;
        if self.cells.len() < CELLS_KEPT && cell.len() < CELL_KEPT {
            self.cells.push(cell.to_vec());
        }
    }
}
