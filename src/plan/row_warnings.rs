//! What looks odd in the rows: counted while they are planned, in bounded memory, and added up where several processes
//! planned the rows of one input.

use serde::{Deserialize, Serialize};

use crate::plan::quoting_doubts::QuotingDoubts;
use crate::plan::suspicious_keys::{RepeatedHeaders, SuspiciousKeys};

/// What looks odd in some rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowWarnings {
    pub(super) keys: SuspiciousKeys,
    pub(super) headers: RepeatedHeaders,
    pub(super) doubts: QuotingDoubts,
}

impl RowWarnings {
    /// Adds other rows of the same input.
    pub(crate) fn add(&mut self, other: &Self) {
        self.keys.add_all(&other.keys);
        self.headers.add_all(&other.headers);
        self.doubts.add_all(&other.doubts);
    }

    /// Suspicious keys and paths, repeated headers and doubts about quotes, one sentence for each kind.
    #[must_use]
    pub(crate) fn sentences(&self) -> Vec<String> {
        let keys = self.keys.warnings().iter().map(ToString::to_string);
        keys.chain(self.headers.warning()).chain(self.doubts.warnings()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::QuotingDoubt;
    use crate::model::Key;

    /// The warnings about the rows that `is_noted` of a list with something odd in nearly every row.
    fn warnings(is_noted: impl Fn(u64) -> bool) -> RowWarnings {
        let mut found = RowWarnings::default();
        let keys = ["1.23E+12", "ok", " a", "NULL", "2.5E+10", "b ", "1.23E+12", "#N/A"];
        for line in (2..60).filter(|line| is_noted(*line)) {
            let key = Key::parse(keys[usize::try_from(line).unwrap() % keys.len()].as_bytes()).unwrap();
            let kind = found.keys.note_row(&key, line);
            found.keys.note_key(kind.filter(|_| line < 12));
            match line % 5 {
                0 => found.headers.note(line),
                1 => found.doubts.add(QuotingDoubt::RowsInCell { first: line, last: line + 1 }),
                2 => found.doubts.add(QuotingDoubt::BackslashBeforeQuote { line }),
                _ => {}
            }
        }
        found
    }

    #[test]
    fn the_warnings_of_the_parts_are_those_of_the_whole() {
        let whole = warnings(|_| true);
        assert_eq!(whole.sentences().len(), 7, "{:?}", whole.sentences());
        for count in [1, 2, 7, 100] {
            let mut all = RowWarnings::default();
            for index in (0..count).rev() {
                let part = warnings(|line| line.wrapping_mul(7_919) % count == index);
                let text = serde_json::to_string(&part).unwrap();
                all.add(&serde_json::from_str(&text).unwrap());
            }
            assert_eq!(all.sentences(), whole.sentences(), "of {count}");
        }
    }
}
