//! The offset of each row's record in the journal. Bodies stay on disk.
//!
//! An offset takes 8 bytes while its neighbours are still to come, and 2 to 3 later: answers come nearly in the order of
//! the rows, so that most offsets differ little from the one before.

use crate::collect::journal::packed_offsets::PackedOffsets;
use crate::model::Seq;

/// Rows in one piece of the index: half a megabyte, so that growing copies nothing.
const PIECE: usize = 1 << 16;

/// Stands for a row that has no record and needs none.
const PASSED: u64 = u64::MAX;

/// Offsets of records, by the rows' place in the input. Offset 0 is the journal's header, so it also
/// says "none yet".
#[derive(Debug, Default)]
pub(crate) struct RowOffsets {
    pieces: Vec<OffsetPiece>,
}

/// The offsets of as many rows as follow each other.
#[derive(Debug, Default)]
enum OffsetPiece {
    /// None of the rows has one.
    #[default]
    Empty,
    Plain(Box<[u64]>),
    /// No more are expected soon.
    Packed(PackedOffsets),
}

impl OffsetPiece {
    /// The place for the offset of a row.
    fn place(&mut self, at: usize) -> &mut u64 {
        let plain = match self {
            Self::Empty => vec![0; PIECE].into(),
            Self::Plain(plain) => return &mut plain[at],
            Self::Packed(packed) => packed.from(0).collect(),
        };
        *self = Self::Plain(plain);
        self.place(at)
    }

    fn get(&self, at: usize) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Plain(plain) => plain[at],
            Self::Packed(packed) => packed.from(at).next().unwrap_or_default(),
        }
    }

    /// The offsets of the rows from `at` on.
    fn from(&self, at: usize) -> impl Iterator<Item = u64> {
        let (plain, packed) = match self {
            Self::Empty => (None, None),
            Self::Plain(plain) => (plain.get(at..), None),
            Self::Packed(packed) => (None, Some(packed.from(at))),
        };
        plain.into_iter().flatten().copied().chain(packed.into_iter().flatten())
    }

    fn pack(&mut self) {
        if let Self::Plain(plain) = self {
            *self = Self::Packed(PackedOffsets::of(plain));
        }
    }
}

impl RowOffsets {
    /// The row's record begins at `offset`.
    pub(crate) fn set(&mut self, seq: Seq, offset: u64) {
        let (piece, place) = split(seq);
        if piece >= self.pieces.len() {
            // The rows of the newest two are still being answered. A row of an older one is late, which unpacks its piece.
            let old = piece.saturating_sub(1).min(self.pieces.len());
            self.pieces[..old].iter_mut().for_each(OffsetPiece::pack);
            self.pieces.resize_with(piece + 1, OffsetPiece::default);
        }
        *self.pieces[piece].place(place) = offset;
    }

    /// Where the row's record begins, if it has one.
    pub(crate) fn get(&self, seq: Seq) -> Option<u64> {
        let (piece, place) = split(seq);
        let offset = self.pieces.get(piece)?.get(place);
        (offset != 0 && offset != PASSED).then_some(offset)
    }

    /// The row has no record and needs none.
    pub(crate) fn pass(&mut self, seq: Seq) {
        self.set(seq, PASSED);
    }

    /// Offsets in the order of the rows, rows without a record left out.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = u64> {
        let all = self.pieces.iter().flat_map(|piece| piece.from(0));
        all.filter(|&offset| offset != 0 && offset != PASSED)
    }

    /// The rows that have a record, in their order, each with the offset of its record.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Seq, u64)> {
        let places = (0u32..).step_by(PIECE).zip(&self.pieces);
        let all = places.flat_map(|(first, piece)| (first..).zip(piece.from(0)));
        all.filter(|&(_, offset)| offset != 0 && offset != PASSED).map(|(seq, offset)| (Seq(seq), offset))
    }

    /// From the row `next` on, the offsets of all rows up to the first that has no record yet, or whose record
    /// begins at `end` or beyond it; that row is the new `next`.
    pub(crate) fn certain(&self, next: &mut usize, end: u64) -> Vec<u64> {
        let mut found = Vec::new();
        while let Some(piece) = self.pieces.get(*next / PIECE) {
            if matches!(piece, OffsetPiece::Empty) {
                return found;
            }
            for offset in piece.from(*next % PIECE) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_in_the_order_of_the_rows() {
        let mut places = RowOffsets::default();
        let far = u32::try_from(PIECE).unwrap() * 3 + 5;
        for (seq, offset) in [(far, 10), (0, 30), (7, 20), (65_536, 40)] {
            places.set(Seq(seq), offset);
        }
        assert_eq!(places.offsets().collect::<Vec<_>>(), [30, 20, 40, 10]);
        let rows: Vec<_> = places.rows().map(|(Seq(seq), offset)| (seq, offset)).collect();
        assert_eq!(rows, [(0, 30), (7, 20), (65_536, 40), (far, 10)]);
        assert_eq!([7, 8, far, u32::MAX].map(|seq| places.get(Seq(seq))), [Some(20), None, Some(10), None]);
        places.set(Seq(7), 50);
        assert_eq!(places.offsets().collect::<Vec<_>>(), [30, 50, 40, 10]);
    }

    #[test]
    fn what_is_certain_ends_at_the_first_row_without_a_record_that_is_written() {
        let mut places = RowOffsets::default();
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

    #[test]
    fn rows_that_are_late_find_their_place_in_a_piece_that_was_packed() {
        let mut places = RowOffsets::default();
        let rows = u32::try_from(PIECE).unwrap() * 4;
        for seq in (0..rows).filter(|seq| seq % 1000 != 7) {
            places.set(Seq(seq), 100 + u64::from(seq));
        }
        let packed = |places: &RowOffsets| {
            places.pieces.iter().map(|piece| matches!(piece, OffsetPiece::Packed(_))).collect::<Vec<_>>()
        };
        assert_eq!(packed(&places), [true, true, false, false]);
        assert_eq!((places.get(Seq(1006)), places.get(Seq(1007))), (Some(1106), None));
        assert_eq!(
            (places.offsets().count(), places.rows().last()),
            (261_881, Some((Seq(262_143), 262_243)))
        );
        let mut next = 0;
        assert_eq!((places.certain(&mut next, 1 << 40).len(), next), (7, 7));
        for seq in (7..rows).step_by(1000) {
            places.set(Seq(seq), 100 + u64::from(seq));
        }
        assert_eq!(packed(&places), [false; 4]);
        places.pass(Seq(rows + 70_000));
        assert_eq!(packed(&places), [true, true, true, true, false, false]);
        assert_eq!(places.certain(&mut next, 1 << 40).len(), rows as usize - 7);
        assert!(places.offsets().eq((100..).take(rows as usize)));
        assert!(places.rows().eq((0..rows).map(|seq| (Seq(seq), 100 + u64::from(seq)))));
    }
}
