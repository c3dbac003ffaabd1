//! Where each row's record stands in the journal: 8 bytes a row, and 32 more for each answer that an
//! interrupted run left. Bodies stay on disk.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::{Fingerprint, Seq};

/// Rows in one piece of the index: half a megabyte, so that growing copies nothing.
const PIECE: usize = 1 << 16;

/// Stands for a row that has no record and needs none.
const PASSED: u64 = u64::MAX;

/// Offsets of records, by the rows' place in the input. Offset 0 is the journal's header, so it also
/// says "none yet".
#[derive(Debug, Default)]
pub(super) struct Places {
    pieces: Vec<Option<Box<[u64]>>>,
}

impl Places {
    /// The row's record stands at `offset`.
    pub(super) fn set(&mut self, seq: Seq, offset: u64) {
        let (piece, place) = split(seq);
        if piece >= self.pieces.len() {
            self.pieces.resize_with(piece + 1, || None);
        }
        self.pieces[piece].get_or_insert_with(|| vec![0; PIECE].into())[place] = offset;
    }

    /// The row has no record and needs none.
    pub(super) fn pass(&mut self, seq: Seq) {
        self.set(seq, PASSED);
    }

    /// Offsets in the order of the rows, rows without a record left out.
    pub(super) fn offsets(&self) -> impl Iterator<Item = u64> {
        let all = self.pieces.iter().flatten().flat_map(|piece| piece.iter().copied());
        all.filter(|&offset| offset != 0 && offset != PASSED)
    }

    /// From the row `next` on, the offsets of all rows up to the first that has no record yet, or whose record
    /// begins at `end` or beyond it; that row is the new `next`.
    pub(super) fn certain(&self, next: &mut usize, end: u64) -> Vec<u64> {
        let mut found = Vec::new();
        while let Some(Some(piece)) = self.pieces.get(*next / PIECE) {
            for &offset in &piece[*next % PIECE..] {
                match offset {
                    PASSED => {}
                    0 => return found,
                    _ if offset >= end => return found,
                    _ => found.push(offset),
                }
                *next += 1;
            }
        }
        found
    }
}

fn split(seq: Seq) -> (usize, usize) {
    let seq = seq.0 as usize;
    (seq / PIECE, seq % PIECE)
}

/// The answers that an interrupted run left, by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Sorted by fingerprint once [`Answers::seal`] was called.
    found: Vec<JournalledAnswer>,
}

/// An answer in a journal, in 32 bytes.
#[derive(Debug, Clone, Copy)]
struct JournalledAnswer {
    fingerprint: [u32; 4],
    /// 0 once the answer was taken.
    offset: [u32; 2],
    /// When the answer came, in seconds since 1970.
    at: u32,
    /// The status of the answer.
    status: u16,
}

impl JournalledAnswer {
    fn offset(&self) -> u64 {
        u64::from(self.offset[0]) << 32 | u64::from(self.offset[1])
    }

    fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.at.into())
    }
}

impl Answers {
    /// An answer was found at `offset`, with its time and status.
    pub(super) fn add(&mut self, fingerprint: Fingerprint, (at, status): (SystemTime, u16), offset: u64) {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let at = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.found.push(JournalledAnswer {
            fingerprint: words(fingerprint),
            offset: halves(offset),
            at,
            status,
        });
    }

    /// All are found: of several with one fingerprint, the last one in the journal counts.
    pub(super) fn seal(&mut self) {
        self.found.sort_unstable_by_key(|found| (found.fingerprint, found.offset));
        self.found.dedup_by(|later, kept| {
            let same = later.fingerprint == kept.fingerprint;
            if same {
                *kept = *later;
            }
            same
        });
        self.found.shrink_to_fit();
    }

    /// Forgets the answers that came before `limit`, and says how many they were.
    pub(super) fn expire(&mut self, limit: SystemTime) -> u64 {
        let before = self.found.len();
        self.found.retain(|found| found.at() >= limit);
        (before - self.found.len()) as u64
    }

    /// Forgets the answers whose status is not wanted, and says how many they were.
    pub(super) fn retain_statuses(&mut self, is_kept: impl Fn(u16) -> bool) -> u64 {
        let before = self.found.len();
        self.found.retain(|found| is_kept(found.status));
        (before - self.found.len()) as u64
    }

    /// When the oldest of the answers came.
    pub(super) fn oldest(&self) -> Option<SystemTime> {
        self.found.iter().map(JournalledAnswer::at).min()
    }

    /// The same for those that were older than `max_age` when the run began.
    pub(super) fn expire_by(&mut self, max_age: Option<Duration>, began: SystemTime) -> u64 {
        max_age.and_then(|age| began.checked_sub(age)).map_or(0, |limit| self.expire(limit))
    }

    /// How many there are, used up or not.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// The offset of the answer to this request and its time in whole seconds, the first time it is asked for.
    pub(super) fn take(&mut self, fingerprint: Fingerprint) -> Option<(u64, SystemTime)> {
        let at = self.found.binary_search_by_key(&words(fingerprint), |found| found.fingerprint).ok()?;
        let found = &mut self.found[at];
        let taken = (found.offset(), found.at());
        found.offset = [0, 0];
        (taken.0 != 0).then_some(taken)
    }
}

/// The fingerprint in pieces that pack, the most significant first.
#[allow(clippy::cast_possible_truncation, reason = "each takes its own 32 bits")]
fn words(Fingerprint(value): Fingerprint) -> [u32; 4] {
    [(value >> 96) as u32, (value >> 64) as u32, (value >> 32) as u32, value as u32]
}

/// High and low 32 bits.
#[allow(clippy::cast_possible_truncation, reason = "each takes its own 32 bits")]
fn halves(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_come_in_the_order_of_the_rows() {
        let mut places = Places::default();
        let far = u32::try_from(PIECE).unwrap() * 3 + 5;
        for (seq, offset) in [(far, 10), (0, 30), (7, 20), (65_536, 40)] {
            places.set(Seq(seq), offset);
        }
        assert_eq!(places.offsets().collect::<Vec<_>>(), [30, 20, 40, 10]);
        places.set(Seq(7), 50);
        assert_eq!(places.offsets().collect::<Vec<_>>(), [30, 50, 40, 10]);
    }

    #[test]
    fn what_is_certain_ends_at_the_first_row_without_a_record_that_is_written() {
        let mut places = Places::default();
        let mut next = 0;
        assert_eq!(places.certain(&mut next, 100), [0; 0]);
        let last = u32::try_from(PIECE).unwrap() - 1;
        (0..=last).for_each(|seq| places.pass(Seq(seq)));
        for (seq, offset) in [(0, 10), (1, 40), (3, 20), (last, 90), (last + 1, 30), (last + 3, 50)] {
            places.set(Seq(seq), offset);
        }
        assert_eq!((places.certain(&mut next, 40), next), (vec![10], 1));
        assert_eq!((places.certain(&mut next, 41), next), (vec![40, 20], last as usize));
        assert_eq!((places.certain(&mut next, 100), next), (vec![90, 30], last as usize + 2));
        places.pass(Seq(last + 2));
        assert_eq!((places.certain(&mut next, 100), next), (vec![50], last as usize + 4));
        assert_eq!(places.offsets().collect::<Vec<_>>(), [10, 40, 20, 90, 30, 50]);
    }

    fn second(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(number)
    }

    #[test]
    fn the_last_answer_of_a_request_counts_and_only_once() {
        let mut answers = Answers::default();
        let (a, b) = (Fingerprint(1 << 64 | 5), Fingerprint(5));
        for (fingerprint, offset) in [(a, 10), (b, 20), (a, 30), (a, 25)] {
            answers.add(fingerprint, (second(offset), 200), offset);
        }
        answers.seal();
        assert_eq!(answers.len(), 2);
        assert_eq!((answers.take(a), answers.take(a)), (Some((30, second(30))), None));
        assert_eq!((answers.take(b), answers.take(Fingerprint(9))), (Some((20, second(20))), None));
    }

    #[test]
    fn an_answer_that_is_too_old_is_forgotten_and_so_is_no_younger_one_of_its_request() {
        let mut answers = Answers::default();
        let (a, b) = (Fingerprint(1 << 100 | 5), Fingerprint(5));
        for (fingerprint, at, offset) in [(a, 1000, 10), (b, 1000, 1 << 40), (a, 3000, 30)] {
            answers.add(fingerprint, (second(at), 200), offset);
        }
        answers.seal();
        assert_eq!(answers.expire(second(2000)), 1);
        assert_eq!((answers.take(a), answers.take(b)), (Some((30, second(3000))), None));
    }

    #[test]
    fn the_index_costs_at_most_64_bytes_a_sku() {
        assert!(size_of::<u64>() + size_of::<JournalledAnswer>() <= 64);
    }
}
