//! Offsets of records as their differences, for rows whose answers have come.

/// Offsets from one mark to the next: so many are decoded at most to find one.
const MARK_EVERY: usize = 128;

/// Offsets that differ little from the one before. The highest of all numbers stands for "no record", and 0 for
/// "none yet".
#[derive(Debug)]
pub(super) struct PackedOffsets {
    /// Each offset as a variable-length number (LEB128, 7 bits a byte): the difference from the last offset before it, with
    /// its sign in the lowest bit, plus 2. 0 and 1 stand for the two numbers that are no offsets.
    bytes: Box<[u8]>,
    marks: Box<[PackMark]>,
    len: usize,
}

/// Where decoding can begin.
#[derive(Debug, Clone, Copy, Default)]
struct PackMark {
    /// The next number's place in the bytes.
    at: u32,
    /// The last offset before it.
    last: u64,
}

impl PackedOffsets {
    /// Of at most 2¹⁶ offsets.
    pub(super) fn of(offsets: &[u64]) -> Self {
        let mut bytes = Vec::with_capacity(3 * offsets.len());
        let mut marks = Vec::with_capacity(offsets.len() / MARK_EVERY + 1);
        let mut last = 0;
        for (index, &offset) in offsets.iter().enumerate() {
            if index % MARK_EVERY == 0 {
                marks.push(PackMark { at: u32::try_from(bytes.len()).unwrap_or_default(), last });
            }
            let number = match offset {
                0 => 0,
                u64::MAX => 1,
                offset => {
                    let difference = i128::from(offset) - i128::from(last);
                    last = offset;
                    (difference.unsigned_abs() << 1 | u128::from(difference < 0)) + 2
                }
            };
            push_number(&mut bytes, number);
        }
        Self { bytes: bytes.into(), marks: marks.into(), len: offsets.len() }
    }

    /// The offsets from this one on.
    pub(super) fn from(&self, at: usize) -> impl Iterator<Item = u64> {
        let mark = self.marks.get(at / MARK_EVERY).copied().unwrap_or_default();
        let bytes = self.bytes.get(mark.at as usize..).unwrap_or_default();
        let decoder = OffsetDecoder { bytes, last: mark.last };
        decoder.take(self.len.saturating_sub(at / MARK_EVERY * MARK_EVERY)).skip(at % MARK_EVERY)
    }
}

struct OffsetDecoder<'a> {
    bytes: &'a [u8],
    last: u64,
}

impl Iterator for OffsetDecoder<'_> {
    type Item = u64;

    #[allow(clippy::cast_possible_truncation, reason = "a difference of two offsets has 64 bits")]
    fn next(&mut self) -> Option<u64> {
        Some(match take_number(&mut self.bytes)? {
            0 => 0,
            1 => u64::MAX,
            number => {
                let difference = ((number - 2) >> 1) as u64;
                let is_less = (number - 2) & 1 == 1;
                self.last = if is_less {
                    self.last.wrapping_sub(difference)
                } else {
                    self.last.wrapping_add(difference)
                };
                self.last
            }
        })
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the low 7 bits are meant")]
fn push_number(bytes: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u128> {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u128::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offsets_of_answers_that_came_nearly_in_order_take_2_to_3_bytes() {
        let mut random = fastrand::Rng::with_seed(5);
        for (record, most) in [(150, 2.2), (1_400, 3.0)] {
            let mut order: Vec<u64> = (0..1 << 16).collect();
            // Answers come within 64 others.
            order.chunks_mut(64).for_each(|few| random.shuffle(few));
            let offsets: Vec<u64> = order.iter().map(|place| (1 << 33) + place * record).collect();
            let packed = PackedOffsets::of(&offsets);
            let bytes = packed.bytes.len() + size_of_val(&*packed.marks);
            #[allow(clippy::cast_precision_loss, reason = "a tenth of a byte is asked for")]
            let each = bytes as f64 / offsets.len() as f64;
            assert!(each <= most, "{each} bytes for records of {record}");
        }
    }

    proptest! {
        #[test]
        fn every_offset_reads_back_from_every_place(
            offsets in proptest::collection::vec(prop_oneof![
                Just(0), Just(u64::MAX), Just(u64::MAX - 1), 1u64..20_000, any::<u64>(),
            ], 0..700),
        ) {
            let packed = PackedOffsets::of(&offsets);
            prop_assert_eq!(packed.from(0).collect::<Vec<_>>(), offsets.clone());
            for at in 0..offsets.len() + 200 {
                prop_assert_eq!(packed.from(at).next(), offsets.get(at).copied());
            }
        }
    }
}
