//! The keys that have a job. There may be 10,000,000 of them, so only a hash of each is kept.
//!
//! A key takes 20 bytes here and a bucket of 5 bytes in a table that is between 7/16 and 7/8 full: 26 to 32
//! bytes. The records grow by chunks: a vector that doubles would need twice the memory while it is copied.
//!
//! A key is represented by 96 bits of a keyed hash. Two different keys of n collide with a probability of
//! n²/2 ÷ 2⁹⁶: 6 × 10⁻¹⁶ for ten million, far less than a memory fault. The salt is random, so a CSV cannot
//! be made to collide. For whether two requests differ 32 bits are enough: one warning in four billion is
//! wrong by one.

use hashbrown::HashTable;

use crate::model::Seq;

/// Records in a chunk: 80 KiB, small compared with what a small run uses.
const CHUNK: usize = 4096;

/// The first row of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FirstRow {
    /// Its place in the input.
    pub(super) seq: Seq,
    /// A part of its request's fingerprint.
    pub(super) request: u32,
}

struct KeyRecord {
    // Three words, not a u128: that would be aligned to 16 bytes.
    key: [u32; 3],
    first: FirstRow,
}

/// The keys that have a job.
#[derive(Default)]
pub(super) struct Repeats {
    chunks: Vec<Vec<KeyRecord>>,
    /// Indices of records, by the low 64 bits of the key's hash.
    table: HashTable<u32>,
}

impl Repeats {
    /// The first row of the key with this hash.
    pub(super) fn find(&self, key: u128) -> Option<FirstRow> {
        let words = words(key);
        self.table
            .find(bucket(words), |&index| self.record(index).key == words)
            .map(|&index| self.record(index).first)
    }

    /// Adds a key that is not there yet.
    pub(super) fn insert(&mut self, key: u128, first: FirstRow) {
        // Row numbers have 32 bits, so there are never more rows than indices.
        let Ok(index) = u32::try_from(self.table.len()) else { return };
        let key = words(key);
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(KeyRecord { key, first }),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(KeyRecord { key, first });
                self.chunks.push(chunk);
            }
        }
        let chunks = &self.chunks;
        self.table.insert_unique(bucket(key), index, |&index| bucket(record(chunks, index).key));
    }

    fn record(&self, index: u32) -> &KeyRecord {
        record(&self.chunks, index)
    }
}

fn record(chunks: &[Vec<KeyRecord>], index: u32) -> &KeyRecord {
    let index = index as usize;
    &chunks[index / CHUNK][index % CHUNK]
}

#[allow(clippy::cast_possible_truncation, reason = "the low 96 bits are meant")]
fn words(key: u128) -> [u32; 3] {
    [key as u32, (key >> 32) as u32, (key >> 64) as u32]
}

fn bucket([low, high, _]: [u32; 3]) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fingerprint::FieldHasher;

    fn key(n: u32) -> u128 {
        FieldHasher::new([7; 16]).with(&n.to_le_bytes()).finish()
    }

    #[test]
    fn a_key_is_found_with_its_first_row_and_no_other_is() {
        let mut repeats = Repeats::default();
        for n in 0..10_000 {
            assert_eq!(repeats.find(key(n)), None);
            repeats.insert(key(n), FirstRow { seq: Seq(n), request: !n });
        }
        for n in 0..10_000 {
            assert_eq!(repeats.find(key(n)), Some(FirstRow { seq: Seq(n), request: !n }));
        }
        assert_eq!(repeats.find(key(10_000)), None);
        assert_eq!(repeats.table.len(), 10_000);
    }

    #[test]
    fn keys_that_share_a_bucket_are_distinguished() {
        let mut repeats = Repeats::default();
        repeats.insert(1, FirstRow { seq: Seq(1), request: 0 });
        repeats.insert(1 | 1 << 64, FirstRow { seq: Seq(2), request: 0 });
        assert_eq!(repeats.find(1).unwrap().seq, Seq(1));
        assert_eq!(repeats.find(1 | 1 << 64).unwrap().seq, Seq(2));
        assert_eq!(repeats.find(1 | 2 << 64), None);
    }

    #[test]
    fn a_key_costs_at_most_40_bytes_at_a_million() {
        let mut repeats = Repeats::default();
        // One more than fills a table of 2^20 buckets to 7/8: the emptiest that a big table can be.
        for (keys, most) in [(917_505, 40), (1_000_000, 36)] {
            for n in u32::try_from(repeats.table.len()).unwrap()..keys {
                repeats.insert(key(n), FirstRow { seq: Seq(n), request: n });
            }
            let records: usize = repeats.chunks.iter().map(|c| c.capacity() * size_of::<KeyRecord>()).sum();
            let bytes = records + repeats.table.allocation_size();
            assert!(bytes <= most * repeats.table.len(), "{bytes} bytes for {} keys", repeats.table.len());
        }
    }
}
