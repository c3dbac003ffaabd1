//! Checks and compacts a document in one pass over its bytes. Tokens are read in `token`, and what is between
//! white space is copied in `copier`.
//!
//! The kinds of the open arrays and objects have a table of fixed size, so nesting costs no memory and no stack.

use std::borrow::Cow;
use std::ops::Range;

use super::JsonErrorKind as Kind;
use super::copier::{Copier, blank_end};
use super::token::{Strings, foreign, peek, scalar};
use super::{BYTE_ORDER_MARK, JsonError, MAX_DEPTH};
#[cfg(target_arch = "x86_64")]
use super::{blocks, copier::text_end};

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
    #[cfg(target_arch = "x86_64")]
    {
        let end = text_end(input);
        if input.get(start..end).is_some_and(blocks::is_compact) {
            return Ok(Some(start..end));
        }
    }
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
    'document: loop {
        'value: {
            if byte == b'"' {
                at = strings.end(at + 1)?;
            } else if byte == b'{' {
                nesting.open(true, at)?;
                (at, byte) = copy.next(input, at + 1)?;
                if byte == b'"' {
                    break 'value;
                }
                if byte != b'}' {
                    return Err(foreign(input, at, Kind::ExpectedNameOrEnd));
                }
                at = nesting.close(at);
            } else if byte == b'[' {
                nesting.open(false, at)?;
                (at, byte) = copy.next(input, at + 1)?;
                if byte != b']' {
                    continue 'document;
                }
                at = nesting.close(at);
            } else {
                at = scalar(input, at, byte)?;
            }
            (at, byte) = after_value(&mut copy, input, &mut nesting, at)?;
            if nesting.is_closed() {
                return Ok(copy.finish(input, at));
            }
            if !nesting.in_object {
                continue 'document;
            }
            if byte != b'"' {
                return Err(foreign(input, at, Kind::ExpectedName));
            }
        }
        (at, byte) = name(&mut copy, strings, at)?;
    }
}

/// Reads the name of a member, whose quote is at `at`, and the colon after it. Gives the value's offset and first byte.
#[inline]
fn name(copy: &mut Copier<'_>, strings: Strings<'_>, at: usize) -> Result<(usize, u8), JsonError> {
    let input = strings.input;
    let end = strings.end(at + 1)?;
    let mut colon = end;
    if input.get(colon) != Some(&b':') {
        colon = copy.drop_gap(input, colon);
        if peek(input, colon)? != b':' {
            return Err(foreign(input, colon, Kind::ExpectedColon));
        }
    }
    copy.next(input, colon + 1)
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
        if byte == b',' {
            return copy.next(input, at + 1);
        }
        match (byte, nesting.in_object) {
            (b'}', true) | (b']', false) => at = nesting.close(at),
            (_, true) => return Err(foreign(input, at, Kind::ExpectedCommaOrBrace)),
            (_, false) => return Err(foreign(input, at, Kind::ExpectedCommaOrBracket)),
        }
    }
    // What follows is not copied, and so its end is not that of the document.
    let end = blank_end(input, at);
    if end == input.len() { Ok((at, 0)) } else { Err(foreign(input, end, Kind::Trailing)) }
}

/// The kinds of the open arrays and objects.
struct Nesting {
    /// For each level whether it is in an object, from the document itself on.
    outer: [bool; LEVELS],
    /// How many are open.
    depth: usize,
    /// Whether the innermost is an object.
    in_object: bool,
}

/// A power of two, so that a remainder is a place without a check.
const LEVELS: usize = 128;
const _: () = assert!(MAX_DEPTH <= LEVELS);

impl Default for Nesting {
    fn default() -> Self {
        Self { outer: [false; LEVELS], depth: 0, in_object: false }
    }
}

impl Nesting {
    #[inline]
    fn open(&mut self, object: bool, at: usize) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(Kind::TooDeep.at(at));
        }
        self.outer[self.depth % LEVELS] = self.in_object;
        self.depth += 1;
        self.in_object = object;
        Ok(())
    }

    /// Closes the innermost with the bracket at `at`. Gives the offset after it.
    #[inline]
    fn close(&mut self, at: usize) -> usize {
        self.depth -= 1;
        self.in_object = self.outer[self.depth % LEVELS];
        at + 1
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.depth == 0
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
