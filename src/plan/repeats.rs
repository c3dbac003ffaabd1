//! The keys that have a job. There may be 100,000,000 of them, so only a hash of each is kept: 16 bytes a key, 20 where
//! two requests for one key can differ.
//!
//! The table is a linear hash table (Litwin, 1980): each time it has [`LOAD`] more keys it splits one bucket, so that it
//! grows without being copied, and its buckets stay equally full. A bucket is a chain of blocks.
//!
//! A key is represented by 82 bits of a keyed hash: 72 are stored, and ten choose one of the first buckets. Two
//! different keys of n collide with a probability of n²/2 ÷ 2⁸²: 10⁻¹¹ for ten million, 10⁻⁹ for a hundred million,
//! far less than a memory fault. The salt is random, so a CSV cannot be made to collide. For whether two requests differ
//! 32 bits are enough.

use crate::model::Seq;

/// Keys in a block. A block is the unit in which a bucket grows; on average half a block of each bucket is unused.
const BLOCK: usize = 16;
/// Bits of a hash that are not stored, since they choose one of the buckets that a table begins with.
const FIRST_BITS: u32 = 10;
/// Keys a bucket has on average.
const LOAD: usize = 96;
/// Blocks in a chunk: some 50 KiB. The blocks are never moved, as a vector that doubles would need twice the memory.
const CHUNK: usize = 256;
/// Stands for "no block".
const NONE: u32 = u32::MAX;

/// The first row of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FirstRow {
    /// Its place in the input.
    pub(super) seq: Seq,
    /// A part of its request's fingerprint; 0 where requests for one key cannot differ.
    pub(super) request: u32,
}

/// What represents a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HashedKey {
    low: u32,
    high: u32,
    rest: u8,
    /// The first bucket: ten bits.
    first: u32,
}

impl HashedKey {
    #[allow(clippy::cast_possible_truncation, reason = "these bits are meant")]
    fn new(hash: u128) -> Self {
        let first = (hash >> 72) as u32 & ((1 << FIRST_BITS) - 1);
        Self { low: hash as u32, high: (hash >> 32) as u32, rest: (hash >> 64) as u8, first }
    }

    /// The bits that choose a bucket, as many as the table has buckets for: what is not stored, then what is.
    fn place(self) -> u64 {
        u64::from(self.first) | u64::from(self.high) << FIRST_BITS
    }
}

/// Some keys of a bucket: an array for each part, so that one part of all keys is compared at a time.
#[derive(Clone, Copy)]
struct KeyBlock {
    low: [u32; BLOCK],
    high: [u32; BLOCK],
    rest: [u8; BLOCK],
    seq: [Seq; BLOCK],
    /// Keys in it. All blocks of a chain but the first are full.
    len: u32,
    next: u32,
}

impl KeyBlock {
    const EMPTY: Self = Self {
        low: [0; BLOCK],
        high: [0; BLOCK],
        rest: [0; BLOCK],
        seq: [Seq(0); BLOCK],
        len: 0,
        next: NONE,
    };

    fn find(&self, key: HashedKey) -> Option<usize> {
        // Without a branch in it, sixteen are compared with few instructions.
        let found = self.low.iter().fold(0, |found, &low| found | u32::from(low == key.low));
        if found == 0 {
            return None;
        }
        let is_it =
            |&at: &usize| (self.low[at], self.high[at], self.rest[at]) == (key.low, key.high, key.rest);
        (0..self.len as usize).find(is_it)
    }
}

/// The keys that have a job.
pub(super) struct Repeats {
    /// The first block of each bucket.
    buckets: Vec<u32>,
    chunks: Vec<Vec<KeyBlock>>,
    /// The requests of the keys in `chunks`, at the same places; none where they cannot differ.
    requests: Option<Vec<Vec<[u32; BLOCK]>>>,
    /// The first of the blocks that are not used, which are a chain as well.
    free: u32,
    len: usize,
}

impl Repeats {
    /// `can_differ`: two requests for one key may be different.
    pub(super) fn new(can_differ: bool) -> Self {
        Self {
            buckets: vec![NONE; 1 << FIRST_BITS],
            chunks: Vec::new(),
            requests: can_differ.then(Vec::new),
            free: NONE,
            len: 0,
        }
    }

    /// The first row of the key with this hash.
    pub(super) fn find(&self, key: u128) -> Option<FirstRow> {
        let key = HashedKey::new(key);
        let mut index = self.buckets[self.bucket(key.place())];
        while index != NONE {
            let block = self.block(index);
            if let Some(at) = block.find(key) {
                return Some(FirstRow { seq: block.seq[at], request: self.request(index, at) });
            }
            index = block.next;
        }
        None
    }

    /// Adds a key that is not there yet.
    pub(super) fn insert(&mut self, key: u128, first: FirstRow) {
        self.add(HashedKey::new(key), first);
        self.len += 1;
        if self.len > self.buckets.len() * LOAD {
            self.split();
        }
    }

    /// Which bucket has a key with this place.
    fn bucket(&self, place: u64) -> usize {
        let buckets = self.buckets.len() as u64;
        let round = 1 << buckets.ilog2();
        let bucket = place & (2 * round - 1);
        let bucket = if bucket < buckets { bucket } else { place & (round - 1) };
        usize::try_from(bucket).unwrap_or_default()
    }

    fn add(&mut self, key: HashedKey, first: FirstRow) {
        let bucket = self.bucket(key.place());
        let head = self.buckets[bucket];
        let index = if head == NONE || self.block(head).len as usize == BLOCK {
            let Some(index) = self.unused_block() else { return };
            *self.block_mut(index) = KeyBlock { next: head, ..KeyBlock::EMPTY };
            self.buckets[bucket] = index;
            index
        } else {
            head
        };
        let block = self.block_mut(index);
        let at = block.len as usize;
        (block.low[at], block.high[at], block.rest[at], block.seq[at]) =
            (key.low, key.high, key.rest, first.seq);
        block.len += 1;
        if let Some(requests) = &mut self.requests {
            let (chunk, place) = split(index);
            requests[chunk][place][at] = first.request;
        }
    }

    /// Divides the next bucket of the round by one bit more.
    fn split(&mut self) {
        let new = self.buckets.len();
        let old = new - (1 << new.ilog2());
        let mut index = std::mem::replace(&mut self.buckets[old], NONE);
        self.buckets.push(NONE);
        let first_bits = u32::try_from(old).unwrap_or_default() & ((1 << FIRST_BITS) - 1);
        while index != NONE {
            let block = *self.block(index);
            let requests: [u32; BLOCK] = std::array::from_fn(|at| self.request(index, at));
            self.block_mut(index).next = self.free;
            self.free = index;
            for (at, request) in requests.into_iter().enumerate().take(block.len as usize) {
                let key = HashedKey {
                    low: block.low[at],
                    high: block.high[at],
                    rest: block.rest[at],
                    first: first_bits,
                };
                self.add(key, FirstRow { seq: block.seq[at], request });
            }
            index = block.next;
        }
    }

    /// A block that is not used; none where all indices are.
    fn unused_block(&mut self) -> Option<u32> {
        if self.free != NONE {
            let index = self.free;
            self.free = self.block(index).next;
            return Some(index);
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
            if let Some(requests) = &mut self.requests {
                requests.push(vec![[0; BLOCK]; CHUNK]);
            }
        }
        let chunks = self.chunks.len();
        let last = self.chunks.last_mut()?;
        last.push(KeyBlock::EMPTY);
        // Row numbers have 32 bits, so there are never more rows than indices.
        u32::try_from((chunks - 1) * CHUNK + last.len() - 1).ok()
    }

    fn block(&self, index: u32) -> &KeyBlock {
        let (chunk, at) = split(index);
        &self.chunks[chunk][at]
    }

    fn block_mut(&mut self, index: u32) -> &mut KeyBlock {
        let (chunk, at) = split(index);
        &mut self.chunks[chunk][at]
    }

    fn request(&self, index: u32, at: usize) -> u32 {
        let (chunk, place) = split(index);
        self.requests.as_ref().map_or(0, |requests| requests[chunk][place][at])
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let blocks = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<KeyBlock>());
        let requests =
            self.requests.iter().flatten().map(|chunk| chunk.capacity() * BLOCK * size_of::<u32>());
        blocks.chain(requests).sum::<usize>() + self.buckets.capacity() * size_of::<u32>()
    }
}

/// The chunk of a block, and its place in there.
fn split(index: u32) -> (usize, usize) {
    (index as usize / CHUNK, index as usize % CHUNK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::fingerprint::FieldHasher;

    fn key(n: u32) -> u128 {
        FieldHasher::new([7; 16]).with(&n.to_le_bytes()).finish()
    }

    fn first(n: u32) -> FirstRow {
        FirstRow { seq: Seq(n), request: !n }
    }

    #[test]
    fn a_key_is_found_with_its_first_row_and_no_other_is() {
        let mut repeats = Repeats::new(true);
        // More than the first buckets are made for, so that many are split, some of them twice.
        for n in 0..200_000 {
            assert_eq!(repeats.find(key(n)), None);
            repeats.insert(key(n), first(n));
        }
        assert_eq!((repeats.len, repeats.buckets.len()), (200_000, 200_000_usize.div_ceil(LOAD)));
        for n in 0..200_000 {
            assert_eq!(repeats.find(key(n)), Some(first(n)));
        }
        for n in 200_000..210_000 {
            assert_eq!(repeats.find(key(n)), None);
        }
    }

    #[test]
    fn where_requests_cannot_differ_none_is_kept() {
        let mut repeats = Repeats::new(false);
        repeats.insert(key(1), first(1));
        assert_eq!(repeats.find(key(1)), Some(FirstRow { seq: Seq(1), request: 0 }));
    }

    #[test]
    fn every_bit_of_a_hash_counts() {
        let mut repeats = Repeats::new(true);
        for bit in 0..82 {
            repeats.insert(1 << bit, first(bit));
        }
        assert_eq!(repeats.find(0), None);
        for bit in 0..82 {
            assert_eq!(repeats.find(1 << bit), Some(first(bit)));
            assert_eq!(repeats.find(1 << bit | 1 << ((bit + 1) % 82)), None);
        }
    }

    #[test]
    fn a_key_costs_16_bytes_and_20_where_requests_can_differ() {
        for (can_differ, most) in [(false, 16.0), (true, 20.0)] {
            let mut repeats = Repeats::new(can_differ);
            for n in 0..1_500_000 {
                repeats.insert(key(n), first(n));
                // Over a round of splits, in which the buckets are unequally full.
                if n > 500_000 && n % 100_000 == 0 {
                    #[allow(clippy::cast_precision_loss, reason = "a few percent are asked for")]
                    let each = repeats.bytes() as f64 / f64::from(n);
                    assert!(each <= most, "{each} bytes a key for {n}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_row_of_any_hash_is_found(hashes in proptest::collection::hash_set(0u128..1 << 82, 0..900)) {
            let mut repeats = Repeats::new(true);
            for (n, &hash) in (0..).zip(&hashes) {
                prop_assert_eq!(repeats.find(hash), None);
                repeats.insert(hash, first(n));
            }
            for (n, &hash) in (0..).zip(&hashes) {
                prop_assert_eq!(repeats.find(hash), Some(first(n)));
            }
        }
    }
}
