//! Checks and compacts a document in one pass over its bytes. Tokens are read in `token`, and what is between
//! white space is copied in `copier`.
//!
//! Open arrays and objects are bits of one integer, so nesting costs no memory and no stack.

use super::JsonErrorKind as Kind;
use super::copier::Copier;
use super::token::{foreign, peek, scalar, string};
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
    let result = document(input, out);
    if result.is_err() {
        out.truncate(began);
    }
    result
}

fn document(input: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let start = if input.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let mut copy = Copier::new(input, out, start);
    let mut nesting = Nesting::default();
    let mut at = copy.gap(start);
    if at == input.len() {
        return Err(Kind::Empty.at(at));
    }
    if BYTE_ORDER_MARK.starts_with(input) {
        return Err(Kind::UnexpectedEnd.at(at));
    }
    // Whether a member's name must come next.
    let mut naming = false;
    loop {
        match peek(input, at)? {
            b'"' => {
                at = string(input, at + 1)?;
                if naming {
                    at = colon(&mut copy, at)?;
                    naming = false;
                    continue;
                }
            }
            _ if naming => return Err(foreign(input, at, Kind::ExpectedName)),
            b'{' => {
                nesting.open(true, at)?;
                at = copy.gap(at + 1);
                match peek(input, at)? {
                    b'}' => at = nesting.close(at),
                    b'"' => {
                        naming = true;
                        continue;
                    }
                    _ => return Err(foreign(input, at, Kind::ExpectedNameOrEnd)),
                }
            }
            b'[' => {
                nesting.open(false, at)?;
                at = copy.gap(at + 1);
                match peek(input, at)? {
                    b']' => at = nesting.close(at),
                    _ => continue,
                }
            }
            _ => at = scalar(input, at)?,
        }
        at = after_value(&mut copy, &mut nesting, at)?;
        if nesting.depth == 0 {
            copy.finish(at);
            return Ok(());
        }
        naming = nesting.in_object();
    }
}

/// Closes the arrays and objects that end with the value that ends at `at`. Gives the offset of the next name
/// or value or, if everything is closed, of the end of the document.
#[inline]
fn after_value(copy: &mut Copier<'_>, nesting: &mut Nesting, mut at: usize) -> Result<usize, JsonError> {
    let input = copy.input();
    while nesting.depth > 0 {
        at = copy.gap(at);
        match (peek(input, at)?, nesting.in_object()) {
            (b',', _) => return Ok(copy.gap(at + 1)),
            (b'}', true) | (b']', false) => at = nesting.close(at),
            (_, true) => return Err(foreign(input, at, Kind::ExpectedCommaOrBrace)),
            (_, false) => return Err(foreign(input, at, Kind::ExpectedCommaOrBracket)),
        }
    }
    let end = copy.gap(at);
    if end == input.len() { Ok(end) } else { Err(foreign(input, end, Kind::Trailing)) }
}

/// The colon after a name that ends at `at`. Gives the offset of the value.
#[inline]
fn colon(copy: &mut Copier<'_>, at: usize) -> Result<usize, JsonError> {
    let at = copy.gap(at);
    if peek(copy.input(), at)? != b':' {
        return Err(foreign(copy.input(), at, Kind::ExpectedColon));
    }
    Ok(copy.gap(at + 1))
}

/// The kinds of the open arrays and objects, innermost in the lowest bit (1: object).
#[derive(Default)]
struct Nesting {
    kinds: u128,
    depth: usize,
}

// Every level needs its bit.
const _: () = assert!(MAX_DEPTH <= u128::BITS as usize);

impl Nesting {
    #[inline]
    fn open(&mut self, object: bool, at: usize) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(Kind::TooDeep.at(at));
        }
        self.kinds = self.kinds << 1 | u128::from(object);
        self.depth += 1;
        Ok(())
    }

    /// Closes the innermost with the bracket at `at`. Gives the offset after it.
    #[inline]
    fn close(&mut self, at: usize) -> usize {
        self.kinds >>= 1;
        self.depth -= 1;
        at + 1
    }

    #[inline]
    fn in_object(&self) -> bool {
        self.kinds & 1 == 1
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
