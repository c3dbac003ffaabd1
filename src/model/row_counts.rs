//! What became of the rows of one process, in a form that the counts of several processes can be added in.

use serde::{Deserialize, Serialize};

use crate::model::{Cause, Fault};

/// Line numbers of differing repeats that are kept.
const LINES_KEPT: usize = 8;

/// How many jobs failed for one cause, and the one of them that is first in the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CauseGroup {
    /// The cause.
    pub(crate) cause: Cause,
    /// Jobs that failed for it.
    pub(crate) count: u64,
    /// The first of them by line.
    pub(crate) example: FailureExample,
}

/// A failed job, cut to a length that may be kept. Its texts are foreign: escape them where they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailureExample {
    /// The row's physical line.
    pub(crate) line: u64,
    /// The key, if the row has one.
    pub(crate) key: Option<String>,
    /// The address, as it may be shown.
    pub(crate) url: Option<String>,
    /// What went wrong.
    pub(crate) fault: Fault,
}

impl CauseGroup {
    /// Adds the jobs of another group that failed for the same cause.
    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        if other.example.line < self.example.line {
            self.example = other.example.clone();
        }
    }
}

/// What became of the data rows that one process had: `fetched + failed + skipped + repeats = rows`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowCounts {
    /// The rows.
    pub(crate) rows: u64,
    /// SKUs with an answer.
    pub(crate) fetched: u64,
    /// SKUs without one, and bad rows.
    pub(crate) failed: u64,
    /// Rows without a key that were skipped.
    pub(crate) skipped: u64,
    /// Rows that repeat a key.
    pub(crate) repeats: u64,
    /// Repeats whose request would have differed from the first row's.
    pub(crate) differing: u64,
    /// The first lines of those.
    pub(crate) differing_lines: Vec<u64>,
    /// Of `failed`: rows without a key.
    pub(crate) keyless: u64,
    /// Of `failed`: rows with fewer cells than the header.
    pub(crate) short_rows: u64,
    /// Lines that are no rows, of the whole input.
    pub(crate) blanks: u64,
    /// The failed ones by cause.
    pub(crate) causes: Vec<CauseGroup>,
}

impl RowCounts {
    /// Adds the rows of another process that read the same input.
    pub(crate) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.fetched += other.fetched;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.repeats += other.repeats;
        self.differing += other.differing;
        self.keyless += other.keyless;
        self.short_rows += other.short_rows;
        self.blanks = self.blanks.max(other.blanks);
        self.differing_lines.extend(&other.differing_lines);
        self.differing_lines.sort_unstable();
        self.differing_lines.truncate(LINES_KEPT);
        for group in &other.causes {
            match self.causes.iter_mut().find(|known| known.cause == group.cause) {
                Some(known) => known.add(group),
                None => self.causes.push(group.clone()),
            }
        }
    }

    /// Of the refused rows, so many turned out to repeat a key that another row got a job for.
    pub(crate) fn refused_were_repeats(&mut self, rows: u64) {
        self.failed = self.failed.saturating_sub(rows);
        self.repeats += rows;
        if let Some(refused) = self.causes.iter_mut().find(|group| group.cause == Cause::Row) {
            refused.count = refused.count.saturating_sub(rows);
        }
        self.causes.retain(|group| group.count > 0);
    }

    /// Rows that failed for this cause.
    #[must_use]
    pub(crate) fn failed_for(&self, cause: Cause) -> u64 {
        self.causes.iter().find(|group| group.cause == cause).map_or(0, |group| group.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(cause: Cause, count: u64, line: u64) -> CauseGroup {
        let example = FailureExample { line, key: None, url: None, fault: Fault::new(cause, "x") };
        CauseGroup { cause, count, example }
    }

    fn counts(failed: &[(Cause, u64, u64)], differing_lines: &[u64]) -> RowCounts {
        let causes: Vec<_> = failed.iter().map(|&(cause, count, line)| group(cause, count, line)).collect();
        let failed = causes.iter().map(|group| group.count).sum();
        let differing = differing_lines.len() as u64;
        let rows = failed + differing;
        let repeats = differing;
        RowCounts {
            rows,
            failed,
            repeats,
            differing,
            differing_lines: differing_lines.into(),
            causes,
            blanks: 3,
            ..RowCounts::default()
        }
    }

    #[test]
    fn counts_add_up_and_the_first_example_stays() {
        let mut all = counts(&[(Cause::Status(404), 2, 9), (Cause::Row, 1, 5)], &[7, 30]);
        all.add(&counts(&[(Cause::Status(404), 3, 4), (Cause::Timeout, 1, 2)], &[8, 9]));
        assert_eq!((all.rows, all.failed, all.differing, all.blanks), (11, 7, 4, 3));
        assert_eq!(all.differing_lines, [7, 8, 9, 30]);
        assert_eq!([Cause::Status(404), Cause::Row].map(|cause| all.failed_for(cause)), [5, 1]);
        assert_eq!(all.causes[0].example.line, 4);
        all.refused_were_repeats(1);
        assert_eq!((all.failed, all.repeats, all.failed_for(Cause::Row)), (6, 5, 0));
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<RowCounts>(&text).unwrap(), all);
    }
}
