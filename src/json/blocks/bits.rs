//! Operations on 512 bits, one for each byte of a block: the bit of its first byte is the lowest of the first word.

use fearless_simd::{Simd, mask64x8, prelude::*, u64x8};

/// One bit for each byte of a block.
pub(super) type Bits<S> = u64x8<S>;

/// Words of 64 bits.
pub(super) const WORDS: usize = 8;

/// The lowest `count` bits of a word; all of them if there are not as many.
#[inline(always)]
pub(super) fn lowest(count: usize) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

#[inline(always)]
pub(super) fn is_any<S: Simd>(bits: Bits<S>) -> bool {
    !bits.simd_eq(0).all_true()
}

/// Each bit in the place of the next byte. The first place gets the last bit of the block before, `last`, which
/// becomes this block.
#[inline(always)]
pub(super) fn next_byte<S: Simd>(bits: Bits<S>, last: &mut Bits<S>) -> Bits<S> {
    let word_before = last.slide::<{ WORDS - 1 }>(bits);
    *last = bits;
    bits << 1 | word_before >> 63
}

/// For each of `starts` the first place, from it on, where `run` has no bit. A run that reaches the end of the block
/// goes on in the next one: `carry` is 1 until then.
///
/// An addition does it: a bit that is added to the first of a run of ones is carried past the last.
#[inline(always)]
pub(super) fn run_ends<S: Simd>(starts: Bits<S>, run: Bits<S>, carry: &mut u64) -> Bits<S> {
    let sum = starts + run;
    // The carries from word to word, which may run on through words that are all ones, are one more addition.
    let from_below = sum.simd_lt(run).to_bitmask() << 1 | *carry;
    let full = sum.simd_eq(u64::MAX).to_bitmask();
    let carried = (from_below + full) ^ full;
    *carry = carried >> WORDS;
    let carried = mask64x8::from_bitmask(run.simd, carried & 0xff);
    let one = carried.select(Bits::splat(run.simd, 1), Bits::splat(run.simd, 0));
    (sum + one) & !run
}

/// In each place, whether the number of bits up to it, and in it, is odd. `is_odd` counts for the blocks before, and is
/// then that of the whole block.
#[inline(always)]
pub(super) fn parity<S: Simd>(bits: Bits<S>, is_odd: &mut bool) -> Bits<S> {
    let mut within = bits;
    within = within ^ within << 1;
    within = within ^ within << 2;
    within = within ^ within << 4;
    within = within ^ within << 8;
    within = within ^ within << 16;
    within = within ^ within << 32;
    // The same for whole words: a bit for what is before the first one, and one for each word.
    let mut before = (within >> 63).simd_eq(1).to_bitmask() << 1 | u64::from(*is_odd);
    before ^= before << 1;
    before ^= before << 2;
    before ^= before << 4;
    before ^= before << 8;
    *is_odd = before >> WORDS & 1 == 1;
    let flipped = mask64x8::from_bitmask(bits.simd, before & 0xff);
    within ^ flipped.select(Bits::splat(bits.simd, u64::MAX), Bits::splat(bits.simd, 0))
}
