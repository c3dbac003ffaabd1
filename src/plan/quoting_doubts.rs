//! Rows whose cells may be quoted in another way than they are read. Where a quote is no quoting, a cell holds rows
//! that nobody requests; where a backslash is an escape, a cell is read with it.

use serde::{Deserialize, Serialize};

use crate::input::QuotingDoubt;
use crate::model::counted;
use crate::model::option::{ESCAPE, QUOTE};

/// Places that are named.
const NAMED: usize = 5;

/// The rows so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuotingDoubts {
    rows_in_cells: Places,
    backslashes: Places,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Places {
    rows: u64,
    /// The first of them, each with the line where it begins.
    named: Vec<(u64, String)>,
}

impl QuotingDoubts {
    /// One more.
    pub(super) fn add(&mut self, doubt: QuotingDoubt) {
        match doubt {
            QuotingDoubt::RowsInCell { first, last } => {
                self.rows_in_cells.add(first, || format!("lines {first} to {last}"));
            }
            QuotingDoubt::BackslashBeforeQuote { line } => {
                self.backslashes.add(line, || format!("line {line}"));
            }
        }
    }

    /// Adds other rows of the same input.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.rows_in_cells.add_all(&other.rows_in_cells);
        self.backslashes.add_all(&other.backslashes);
    }

    /// A sentence for each kind.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let rows = self.rows_in_cells.warning(|row, places| {
            format!(
                "{row} a quoted cell of several lines, each with as many cells as the header ({places}): are these \
                 rows of their own? if no cell is quoted, say {QUOTE} none"
            )
        });
        let backslashes = self.backslashes.warning(|row, places| {
            format!(
                "{row} a quoted cell with a backslash before a quote ({places}): is the quote escaped? say \
                 {ESCAPE} '\\', or {ESCAPE} none if it is not"
            )
        });
        rows.into_iter().chain(backslashes)
    }
}

impl Places {
    fn add(&mut self, line: u64, place: impl FnOnce() -> String) {
        self.rows += 1;
        if self.named.len() < NAMED {
            self.named.push((line, place()));
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.rows += other.rows;
        self.named.extend(other.named.iter().cloned());
        self.named.sort();
        self.named.truncate(NAMED);
    }

    fn warning(&self, sentence: impl FnOnce(String, String) -> String) -> Option<String> {
        let more = if self.rows > self.named.len() as u64 { ", …" } else { "" };
        let row = counted(self.rows, "row has", "rows have");
        let named: Vec<&str> = self.named.iter().map(|(_, place)| place.as_str()).collect();
        (self.rows > 0).then(|| sentence(row, named.join(", ") + more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_and_the_first_are_named_by_their_lines() {
        let mut doubts = QuotingDoubts::default();
        assert_eq!(doubts.warnings().count(), 0);
        doubts.add(QuotingDoubt::RowsInCell { first: 2, last: 4 });
        assert_eq!(
            doubts.warnings().collect::<Vec<_>>(),
            [
                "1 row has a quoted cell of several lines, each with as many cells as the header (lines 2 to 4): are \
                 these rows of their own? if no cell is quoted, say --quote none"
            ]
        );
        (0..7).for_each(|n| doubts.add(QuotingDoubt::RowsInCell { first: n, last: n + 1 }));
        doubts.add(QuotingDoubt::BackslashBeforeQuote { line: 300 });
        let told: Vec<_> = doubts.warnings().collect();
        assert!(told[0].starts_with("8 rows have a quoted cell"), "{told:?}");
        assert!(told[0].contains("lines 3 to 4, …)"), "{told:?}");
        assert!(told[1].contains("(line 300): is the quote escaped? say --escape '\\',"), "{told:?}");
    }
}
