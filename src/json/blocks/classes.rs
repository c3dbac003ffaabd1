//! What the bytes of a block are, each alone.

use fearless_simd::{Simd, mask8x64, prelude::*, u8x64};

use super::BLOCK;
use super::bits::{WORDS, lowest};
use crate::json::token::escape;

/// For each class of bytes one bit for each byte of a block. What is in strings is not distinguished yet.
#[derive(Default)]
pub(super) struct Classes {
    /// `"`, less those that are escaped.
    pub(super) quote: [u64; WORDS],
    /// `{` and `[`
    pub(super) open: [u64; WORDS],
    /// `{`
    pub(super) open_brace: [u64; WORDS],
    /// `}` and `]`
    pub(super) close: [u64; WORDS],
    pub(super) comma: [u64; WORDS],
    pub(super) colon: [u64; WORDS],
    /// `0` to `9`
    pub(super) digit: [u64; WORDS],
    pub(super) zero: [u64; WORDS],
    pub(super) point: [u64; WORDS],
    /// Whether a byte until now was not ASCII.
    pub(super) has_non_ascii: bool,
    has_backslash: bool,
}

impl Classes {
    /// Reads a block; false if it has a control character, which neither a string nor compact JSON has.
    #[inline(always)]
    pub(super) fn read<S: Simd>(&mut self, simd: S, block: &[u8; BLOCK]) -> bool {
        let (mut least, mut most) = (u8x64::splat(simd, u8::MAX), u8x64::splat(simd, 0));
        let mut backslash = mask8x64::splat(simd, false);
        for (word, bytes) in block.chunks_exact(64).enumerate() {
            let bytes = u8x64::from_slice(simd, bytes);
            least = least.min(bytes);
            most = most.max(bytes);
            backslash |= bytes.simd_eq(b'\\');
            self.quote[word] = bytes.simd_eq(b'"').to_bitmask();
            // In ASCII `[` is `{` without this bit, and `]` is `}`. Of the other bytes none becomes one of them.
            let bracket = bytes | 0x20;
            self.open[word] = bracket.simd_eq(b'{').to_bitmask();
            self.close[word] = bracket.simd_eq(b'}').to_bitmask();
            self.open_brace[word] = bytes.simd_eq(b'{').to_bitmask();
            self.comma[word] = bytes.simd_eq(b',').to_bitmask();
            self.colon[word] = bytes.simd_eq(b':').to_bitmask();
            self.digit[word] = (bytes - b'0').simd_le(9).to_bitmask();
            self.zero[word] = bytes.simd_eq(b'0').to_bitmask();
            self.point[word] = bytes.simd_eq(b'.').to_bitmask();
        }
        self.has_non_ascii |= most.simd_gt(0x7f).any_true();
        self.has_backslash = backslash.any_true();
        !least.simd_lt(b' ').any_true()
    }

    /// Reads a block within a string; false if the string ends there, or has an escape or a control character.
    #[inline(always)]
    pub(super) fn read_text<S: Simd>(&mut self, simd: S, block: &[u8; BLOCK]) -> bool {
        let mut most = u8x64::splat(simd, 0);
        let mut special = mask8x64::splat(simd, false);
        for bytes in block.chunks_exact(64) {
            let bytes = u8x64::from_slice(simd, bytes);
            most = most.max(bytes);
            special |= bytes.simd_eq(b'\\') | bytes.simd_eq(b'"') | bytes.simd_lt(b' ');
        }
        self.has_non_ascii |= most.simd_gt(0x7f).any_true();
        !special.any_true()
    }

    /// Drops the quotes that are escaped, in the block of `input` that begins at `start`; false if an escape is wrong.
    /// `escape_end` is the end of the last escape, which may be in this block or in the next one.
    #[inline(always)]
    pub(super) fn drop_escaped_quotes(&mut self, input: &[u8], start: usize, escape_end: &mut usize) -> bool {
        if !self.has_backslash && *escape_end <= start {
            return true;
        }
        self.drop_quotes_of_escapes(input, start, escape_end)
    }

    /// Apart, so that the registers need not be saved where there is no escape.
    #[inline(never)]
    fn drop_quotes_of_escapes(&mut self, input: &[u8], start: usize, escape_end: &mut usize) -> bool {
        // An escape that began in the block before.
        self.quote[0] &= !lowest(escape_end.saturating_sub(start));
        let mut at = start.max(*escape_end);
        let end = input.len().min(start + BLOCK);
        while let Some(place) = input.get(at..end).and_then(|rest| memchr::memchr(b'\\', rest)) {
            let escaped = at + place + 1 - start;
            match escape(input, at + place) {
                Ok(end) => *escape_end = end,
                Err(_) => return false,
            }
            // The first byte after the backslash alone can be a quote.
            if let Some(quotes) = self.quote.get_mut(escaped / 64) {
                *quotes &= !(1 << (escaped % 64));
            }
            at = *escape_end;
        }
        true
    }
}
