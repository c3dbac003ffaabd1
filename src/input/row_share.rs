//! The rows of one process, where several share an input: each reads all of it, and returns what is its own.

use std::hash::Hasher;
use std::str::from_utf8;

use csv::ByteRecord;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::input::row::Row;
use crate::model::{Seq, Shard};

/// What identifies the rows of an input, however it is compressed and wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputContent {
    /// Data rows, at most the limit.
    pub(crate) rows: u64,
    /// A hash of all of their cells, in hex digits.
    pub(crate) checksum: String,
}

/// A row of an input that several processes share.
#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; a box would cost each row an allocation"
)]
pub(crate) enum SharedRow {
    /// It is this process's own.
    Own(Row),
    /// It is another process's.
    OfOther,
}

/// A row that was not returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct SkippedRow {
    /// It is among those that are returned.
    pub(super) is_own: bool,
    pub(super) is_damaged: bool,
}

/// Decides which rows are returned, and takes the checksum of all.
pub(super) struct RowShare {
    shard: Shard,
    rows: u64,
    hasher: SipHasher13,
}

impl RowShare {
    pub(super) fn of(shard: Shard) -> Self {
        Self { shard, rows: 0, hasher: SipHasher13::new() }
    }

    /// Takes note of the next row. `key` is the cell of its key, as far as there is one. True: it is to be returned.
    pub(super) fn take(&mut self, Seq(seq): Seq, key: Option<&[u8]>, record: &ByteRecord) -> bool {
        self.rows += 1;
        self.hasher.write(&(record.len() as u64).to_le_bytes());
        for cell in record {
            self.hasher.write(&(cell.len() as u64).to_le_bytes());
        }
        self.hasher.write(record.as_slice());
        match key.and_then(|cell| from_utf8(cell).ok()) {
            None | Some("") => self.shard.owns_seq(seq),
            Some(key) => self.shard.owns_key(key),
        }
    }

    /// What all rows so far are.
    pub(super) fn content(&self) -> InputContent {
        let hash = self.hasher.finish128();
        InputContent { rows: self.rows, checksum: format!("{:016x}{:016x}", hash.h1, hash.h2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(rows: &[&[&str]]) -> InputContent {
        let mut share = RowShare::of(Shard { index: 0, count: 1 });
        for (seq, row) in (0..).zip(rows) {
            assert!(share.take(Seq(seq), row.first().map(|cell| cell.as_bytes()), &ByteRecord::from(*row)));
        }
        share.content()
    }

    #[test]
    fn any_difference_of_the_cells_is_one_of_the_content() {
        let all = [
            content(&[]),
            content(&[&["a", "b"]]),
            content(&[&["ab", ""]]),
            content(&[&["ab"]]),
            content(&[&["a"], &["b"]]),
            content(&[&["b"], &["a"]]),
            content(&[&["a", "b"], &["a", "b"]]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{one:?}");
        }
        assert_eq!(content(&[&["a", "b"]]), all[1]);
    }

    #[test]
    fn a_row_without_a_key_belongs_by_its_number_and_any_other_by_its_key() {
        let shards = [0, 1, 2].map(|index| Shard { index, count: 3 });
        let owners = |seq, key: Option<&[u8]>| {
            let takes = |shard| RowShare::of(shard).take(Seq(seq), key, &ByteRecord::new());
            shards.map(takes)
        };
        for (seq, key) in [(0, None), (3, Some(&b""[..])), (6, Some(b"\xff"))] {
            assert_eq!(owners(seq, key), [true, false, false]);
        }
        // 3904355907 % 3 = 0
        assert_eq!(owners(1, Some(b"a")), [true, false, false]);
        assert_eq!(owners(1, None), [false, true, false]);
    }
}
