//! Checks documents that are compact already, 512 bytes at a time.
//!
//! Each class of bytes is a set of bits, one for each byte, and the grammar is a few operations on such sets, which
//! take the same time for many tokens as for few: "no comma is followed by a comma" is `comma & next_byte(comma) == 0`.
//! Only brackets, literals, escapes and unusual numbers are read one at a time.
//!
//! The answer is yes or no, and no can also mean that this check cannot tell. What is wrong and where, and what can be kept
//! of a document with white space, is found in `check`, which reads one token after another.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined is not compiled for the registers that the processor is found to have"
)]

use fearless_simd::{Level, Simd, prelude::*};

use self::bits::{Bits, WORDS, is_any, lowest, next_byte, parity, run_ends};
use self::bracket_stack::BracketStack;
use self::classes::Classes;
use super::token::{is_utf8, scalar};

mod bits;
mod bracket_stack;
mod classes;

/// The bytes of a block.
const BLOCK: usize = 64 * WORDS;

/// From this length on, in bytes, it takes less time than reading one token after another: with registers of 512 bits,
/// and of 256. With narrower ones it never does.
const LEAST_512: usize = 512;
const LEAST_256: usize = 8 * 1024;

/// Whether `input` is a JSON array or object without white space, and without a byte-order mark. No may also mean that it
/// would take another check to tell.
pub(super) fn is_compact(input: &[u8]) -> bool {
    let level = Level::new();
    if let Some(simd) = level.as_avx512() {
        input.len() >= LEAST_512 && seems_compact(input) && is_compact_by(simd, input)
    } else if let Some(simd) = level.as_avx2() {
        input.len() >= LEAST_256 && seems_compact(input) && is_compact_by(simd, input)
    } else {
        false
    }
}

#[inline]
fn is_compact_by<S: Simd>(simd: S, input: &[u8]) -> bool {
    simd.vectorize(
        #[inline(always)]
        || BlockCheck::new(simd, input).check(),
    )
}

/// Whether no white space follows the first comma or colon, as it does where a document has white space at all.
fn seems_compact(input: &[u8]) -> bool {
    let first = memchr::memchr2(b':', b',', &input[..input.len().min(64)]);
    first.is_none_or(|at| input.get(at + 1).is_some_and(|byte| *byte > b' '))
}

/// A document, as far as it is read.
struct BlockCheck<'a, S: Simd> {
    simd: S,
    input: &'a [u8],
    /// Where the next block begins.
    at: usize,
    classes: Classes,
    /// The last block: whether it ended within a string, and had no other byte.
    in_string: bool,
    is_all_string: bool,
    /// The end of the last escape.
    escape_end: usize,
    last: Before<S>,
    brackets: BracketStack,
    numbers: Numbers<S>,
    /// Runs without a bracket, a comma or a colon, which began after a `{` and after a comma, and go on in the next block.
    brace_run: u64,
    comma_run: u64,
}

/// What the last block had of numbers.
struct Numbers<S: Simd> {
    /// Zeros that begin a number, and decimal points.
    zero: Bits<S>,
    point: Bits<S>,
    /// Runs of digits that go on in the next block.
    whole_run: u64,
    decimal_run: u64,
}

/// The tokens of a block.
struct Tokens<S: Simd> {
    quote: Bits<S>,
    end_quote: Bits<S>,
    open: Bits<S>,
    open_brace: Bits<S>,
    close: Bits<S>,
    comma: Bits<S>,
    colon: Bits<S>,
    /// All bytes of numbers and words, and those that are nothing else.
    scalar: Bits<S>,
}

/// Such tokens in the place before each byte of a block; of the last block, in the place itself.
struct Before<S: Simd> {
    end_quote: Bits<S>,
    open: Bits<S>,
    open_brace: Bits<S>,
    comma: Bits<S>,
    colon: Bits<S>,
    scalar: Bits<S>,
}

impl<S: Simd> Tokens<S> {
    /// Those before each byte. `last` is of the block before, and is replaced.
    #[inline(always)]
    fn before(&self, last: &mut Before<S>) -> Before<S> {
        Before {
            end_quote: next_byte(self.end_quote, &mut last.end_quote),
            open: next_byte(self.open, &mut last.open),
            open_brace: next_byte(self.open_brace, &mut last.open_brace),
            comma: next_byte(self.comma, &mut last.comma),
            colon: next_byte(self.colon, &mut last.colon),
            scalar: next_byte(self.scalar, &mut last.scalar),
        }
    }
}

impl<'a, S: Simd> BlockCheck<'a, S> {
    #[inline(always)]
    fn new(simd: S, input: &'a [u8]) -> Self {
        let none = Bits::splat(simd, 0);
        // Before the document stands what can stand before a value.
        let mut colon = [0; WORDS];
        colon[WORDS - 1] = 1 << 63;
        let colon = Bits::from_slice(simd, &colon);
        Self {
            simd,
            input,
            at: 0,
            classes: Classes::default(),
            in_string: false,
            is_all_string: false,
            escape_end: 0,
            last: Before { end_quote: none, open: none, open_brace: none, comma: none, colon, scalar: none },
            brackets: BracketStack::default(),
            numbers: Numbers { zero: none, point: none, whole_run: 0, decimal_run: 0 },
            brace_run: 0,
            comma_run: 0,
        }
    }

    /// Reads all of it; true if it is good.
    #[inline(always)]
    fn check(mut self) -> bool {
        if !matches!(self.input.first(), Some(b'{' | b'[')) {
            return false;
        }
        let all = Bits::splat(self.simd, u64::MAX);
        let (blocks, rest) = self.input.as_chunks();
        for block in blocks {
            if !self.block(block, all) {
                return false;
            }
        }
        if !rest.is_empty() {
            let mut block = [b' '; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            let valid: [u64; WORDS] =
                std::array::from_fn(|word| lowest(rest.len().saturating_sub(64 * word)));
            if !self.block(&block, Bits::from_slice(self.simd, &valid)) {
                return false;
            }
        }
        self.brackets.is_closed(self.input.len()) && (!self.classes.has_non_ascii || is_utf8(self.input))
    }

    /// Reads the next block, of which the bits of `valid` are in the document. False if it has an error, or what only the
    /// other check can tell.
    #[inline(always)]
    fn block(&mut self, block: &[u8; BLOCK], valid: Bits<S>) -> bool {
        let start = self.at;
        self.at += BLOCK;
        if self.is_all_string && self.classes.read_text(self.simd, block) {
            return true;
        }
        if !self.classes.read(self.simd, block)
            || !self.classes.drop_escaped_quotes(self.input, start, &mut self.escape_end)
        {
            return false;
        }
        let quotes = Bits::from_slice(self.simd, &self.classes.quote);
        self.is_all_string = self.in_string && !is_any(quotes);
        if self.is_all_string {
            return true;
        }
        let string = parity(quotes, &mut self.in_string);
        let tokens = self.tokens(quotes, string, valid);
        let before = tokens.before(&mut self.last);
        let places = tokens.open | tokens.close | tokens.comma | tokens.colon;
        let after_comma = run_ends(before.comma, !places, &mut self.comma_run);
        let after_brace = run_ends(before.open_brace, !places, &mut self.brace_run);
        let mut wrong = order(&tokens, &before, [after_comma, after_brace]);
        let in_object = self.nesting(tokens.open | tokens.close, block, start);
        wrong |= in_object & (after_comma & (tokens.comma | tokens.close) | tokens.open & before.comma);
        wrong |= tokens.colon & !in_object;
        let (unusual, wrong_number) = self.numbers(&tokens, &before);
        wrong |= wrong_number;
        self.brackets.is_good() && !is_any(wrong) && self.read_unusual(unusual, start)
    }

    #[inline(always)]
    fn tokens(&self, quotes: Bits<S>, string: Bits<S>, valid: Bits<S>) -> Tokens<S> {
        let outside = valid & !(string | quotes);
        let within = |words| Bits::from_slice(self.simd, words) & outside;
        let (open, close) = (within(&self.classes.open), within(&self.classes.close));
        let (comma, colon) = (within(&self.classes.comma), within(&self.classes.colon));
        Tokens {
            quote: quotes & string,
            end_quote: quotes & !string,
            open,
            open_brace: within(&self.classes.open_brace),
            close,
            comma,
            colon,
            scalar: outside & !(open | close | comma | colon),
        }
    }

    /// Follows the brackets of a block that begins at `start`. Gives the bytes before which the innermost that is open is an
    /// object.
    #[inline(always)]
    fn nesting(&mut self, brackets: Bits<S>, block: &[u8; BLOCK], start: usize) -> Bits<S> {
        // A copy, which the compiler keeps in registers.
        let mut stack = self.brackets;
        let mut is_object = stack.innermost == 1;
        let mut words = [0; WORDS];
        brackets.store_slice(&mut words);
        let mut changes = [0; WORDS];
        for (word, (mut brackets, changes)) in words.into_iter().zip(&mut changes).enumerate() {
            while brackets != 0 {
                let bit = brackets.trailing_zeros();
                let place = 64 * word + bit as usize;
                *changes |= stack.bracket(block[place % BLOCK], start + place) << bit;
                brackets &= brackets - 1;
            }
        }
        self.brackets = stack;
        let changes = Bits::from_slice(self.simd, &changes);
        parity(changes, &mut is_object) ^ changes
    }

    /// Checks the usual numbers of a block, which are digits, with a decimal point or without. Gives the places from which on
    /// numbers and words are to be read, and those that are wrong.
    #[inline(always)]
    fn numbers(&mut self, tokens: &Tokens<S>, before: &Before<S>) -> (Bits<S>, Bits<S>) {
        let load = |words| Bits::from_slice(self.simd, words);
        let (digit, zero) = (load(&self.classes.digit), load(&self.classes.zero));
        let numbers = &mut self.numbers;
        let start = tokens.scalar & !before.scalar;
        let first = start & digit;
        let after_zero = next_byte(first & zero, &mut numbers.zero);
        let whole_end = run_ends(first & !zero, digit, &mut numbers.whole_run) | after_zero;
        let point = whole_end & load(&self.classes.point);
        let after_point = next_byte(point, &mut numbers.point);
        let decimal_end = run_ends(after_point & digit, digit, &mut numbers.decimal_run);
        // A number that begins with a digit has its end here, or a point without a digit. Where its bytes go on after that
        // end, and where it begins otherwise, it is read.
        let end = whole_end & !point | decimal_end;
        let unusual = start & !digit | end & tokens.scalar;
        (unusual, after_point & !digit)
    }

    /// Reads numbers and words from `places` on, in the block that begins at `start`.
    #[inline(always)]
    fn read_unusual(&self, places: Bits<S>, start: usize) -> bool {
        if !is_any(places) {
            return true;
        }
        let mut words = [0; WORDS];
        places.store_slice(&mut words);
        for (mut places, start) in words.into_iter().zip((start..).step_by(64)) {
            while places != 0 {
                let at = start + places.trailing_zeros() as usize;
                let first = scalar_start(self.input, at);
                let end = scalar(self.input, first, self.input[first]);
                if !end.is_ok_and(|end| matches!(self.input.get(end), Some(b',' | b']' | b'}'))) {
                    return false;
                }
                places &= places - 1;
            }
        }
        true
    }
}

/// The first byte of the number or word that the byte at `at` is in.
fn scalar_start(input: &[u8], at: usize) -> usize {
    let before = input[..at].iter().rposition(|byte| matches!(byte, b',' | b':' | b'['));
    before.map_or(0, |before| before + 1)
}

/// Tokens that cannot stand where they are, whatever is open there. `after_comma` and `after_brace`: the next bracket,
/// comma or colon after each comma, and after each `{`.
#[inline(always)]
fn order<S: Simd>(
    tokens: &Tokens<S>,
    before: &Before<S>,
    [after_comma, after_brace]: [Bits<S>; 2],
) -> Bits<S> {
    let Tokens { quote, open, close, comma, colon, scalar, .. } = *tokens;
    let no_string = scalar & !before.scalar | open;
    let between_values = before.comma | before.colon;
    (quote | no_string) & !(before.open | between_values)
        | no_string & before.open_brace
        | (close | comma) & between_values
        | comma & before.open
        // A name is a string, and is the first after `{`, or after a comma.
        | colon & !(before.end_quote & (after_brace | after_comma))
        // The name after a `{` has a colon.
        | after_brace & (comma | close & !before.open_brace)
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
pub(super) mod tests;
