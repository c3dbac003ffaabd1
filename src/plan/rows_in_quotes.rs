//! Rows with a quoted cell of several lines, each of which could be a row of its own: where a quote is no quoting, such
//! a cell holds rows that nobody requests.

use std::fmt;

use crate::model::counted;
use crate::model::option::QUOTE;

/// Places that are named.
const NAMED: usize = 5;

/// The rows so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RowsInQuotes {
    rows: u64,
    /// The first and the last line of the first of them.
    places: Vec<(u64, u64)>,
}

impl RowsInQuotes {
    /// One more.
    pub(super) fn add(&mut self, lines: (u64, u64)) {
        self.rows += 1;
        if self.places.len() < NAMED {
            self.places.push(lines);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

impl fmt::Display for RowsInQuotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> =
            self.places.iter().map(|(from, to)| format!("lines {from} to {to}")).collect();
        let more = if self.rows > places.len() as u64 { ", …" } else { "" };
        write!(
            f,
            "{} a quoted cell of several lines, each with as many cells as the header ({}{more}): are these rows of \
             their own? if no cell is quoted, say {QUOTE} none",
            counted(self.rows, "row has", "rows have"),
            places.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_and_the_first_are_named_by_their_lines() {
        let mut rows = RowsInQuotes::default();
        assert!(rows.is_empty());
        rows.add((2, 4));
        assert_eq!(
            rows.to_string(),
            "1 row has a quoted cell of several lines, each with as many cells as the header (lines 2 to 4): are these \
             rows of their own? if no cell is quoted, say --quote none"
        );
        (0..7).for_each(|n| rows.add((n, n + 1)));
        assert!(rows.to_string().starts_with("8 rows have a quoted cell"));
        assert!(rows.to_string().contains("lines 3 to 4, …)"), "{rows}");
    }
}
