//! Checks and compacts a document in one pass over its bytes. Tokens are read in `token`, and what is between
//! white space is copied in `copier`.
//!
//! Open arrays and objects are bits of one integer, so nesting costs no memory and no stack.

use std::borrow::Cow;
use std::ops::Range;

use super::JsonErrorKind as Kind;
use super::copier::{Copier, blank_end};
use super::token::{Strings, foreign, peek, scalar};
use super::{BYTE_ORDER_MARK, JsonError, MAX_DEPTH};

/// Checks that `input` is one JSON text (RFC 8259), and appends it to `out` without the white space between
/// its tokens. All else is copied byte for byte: digits, the order of names, repeated names, escapes. One
/// byte-order mark at the start is dropped.
///
/// ```
/// let mut out = Vec::new();
/// skufetch::testing::json::compact(b"{ \"a\": [1, 2] }", &mut out).unwrap();
/// assert_eq!(out, br#"{"a":[1,2]}"#);
/// ```
///
/// # Errors
/// The first error, with its offset; `out` is then unchanged. Stricter than the grammar in three points:
/// nesting is at most [`MAX_DEPTH`], surrogates come in pairs, and strings are valid UTF-8.
pub fn compact(input: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let began = out.len();
    match document(input, out) {
        Ok(whole) => out.extend_from_slice(&input[whole.unwrap_or_default()]),
        Err(error) => {
            out.truncate(began);
            return Err(error);
        }
    }
    Ok(())
}

/// The same, where a document that is compact already is the part of the input that it is.
///
/// # Errors
/// As of [`compact`].
pub(crate) fn compacted(input: &[u8]) -> Result<Cow<'_, [u8]>, JsonError> {
    let mut out = Vec::new();
    Ok(match document(input, &mut out)? {
        Some(whole) => Cow::Borrowed(&input[whole]),
        None => Cow::Owned(out),
    })
}

/// Gives the place of the document in the input if it is compact; copies it otherwise.
fn document(input: &[u8], out: &mut Vec<u8>) -> Result<Option<Range<usize>>, JsonError> {
    let start = if input.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let strings = Strings::new(input);
    let mut copy = Copier::new(out, start);
    let mut nesting = Nesting::default();
    let mut at = copy.drop_gap(input, start);
    if at == input.len() {
        return Err(Kind::Empty.at(at));
    }
    if BYTE_ORDER_MARK.starts_with(input) {
        return Err(Kind::UnexpectedEnd.at(at));
    }
    let mut byte = peek(input, at)?;
    // Whether a member's name must come next.
    let mut naming = false;
    loop {
        if byte == b'"' {
            at = strings.end(at + 1)?;
            if naming {
                (at, byte) = copy.next(input, at)?;
                if byte != b':' {
                    return Err(foreign(input, at, Kind::ExpectedColon));
                }
                (at, byte) = copy.next(input, at + 1)?;
                naming = false;
                continue;
            }
        } else if naming {
            return Err(foreign(input, at, Kind::ExpectedName));
        } else if byte == b'{' {
            nesting.open(true, at)?;
            (at, byte) = copy.next(input, at + 1)?;
            match byte {
                b'"' => {
                    naming = true;
                    continue;
                }
                b'}' => at = nesting.close(at),
                _ => return Err(foreign(input, at, Kind::ExpectedNameOrEnd)),
            }
        } else if byte == b'[' {
            nesting.open(false, at)?;
            (at, byte) = copy.next(input, at + 1)?;
            match byte {
                b']' => at = nesting.close(at),
                _ => continue,
            }
        } else {
            at = scalar(input, at, byte)?;
        }
        (at, byte) = after_value(&mut copy, input, &mut nesting, at)?;
        if nesting.is_closed() {
            return Ok(copy.finish(input, at));
        }
        naming = nesting.in_object();
    }
}

/// Closes the arrays and objects that end with the value that ends at `at`. Gives the next name or value, its offset
/// and first byte; or, if everything is closed, the end of the document.
#[inline]
fn after_value(
    copy: &mut Copier<'_>,
    input: &[u8],
    nesting: &mut Nesting,
    mut at: usize,
) -> Result<(usize, u8), JsonError> {
    while !nesting.is_closed() {
        let byte;
        (at, byte) = copy.next(input, at)?;
        match (byte, nesting.in_object()) {
            (b',', _) => return copy.next(input, at + 1),
            (b'}', true) | (b']', false) => at = nesting.close(at),
            (_, true) => return Err(foreign(input, at, Kind::ExpectedCommaOrBrace)),
            (_, false) => return Err(foreign(input, at, Kind::ExpectedCommaOrBracket)),
        }
    }
    // What follows is not copied, and so its end is not that of the document.
    let end = blank_end(input, at);
    if end == input.len() { Ok((at, 0)) } else { Err(foreign(input, end, Kind::Trailing)) }
}

/// The kinds of the open arrays and objects, innermost in the lowest bit (1: object), below one more bit that is set.
struct Nesting(u128);

// Every level needs its bit.
const _: () = assert!(MAX_DEPTH < u128::BITS as usize);

impl Default for Nesting {
    fn default() -> Self {
        Self(1)
    }
}

impl Nesting {
    #[inline]
    fn open(&mut self, object: bool, at: usize) -> Result<(), JsonError> {
        if self.0 >> MAX_DEPTH != 0 {
            return Err(Kind::TooDeep.at(at));
        }
        self.0 = self.0 << 1 | u128::from(object);
        Ok(())
    }

    /// Closes the innermost with the bracket at `at`. Gives the offset after it.
    #[inline]
    fn close(&mut self, at: usize) -> usize {
        self.0 >>= 1;
        at + 1
    }

    #[inline]
    fn in_object(&self) -> bool {
        self.0 & 1 == 1
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.0 == 1
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
