//! The tokens of JSON. Each function takes the offset where one begins and gives the offset after it.

use super::JsonErrorKind as Kind;
use super::{JsonError, scan};

/// The byte at `at`; an error if the document ends there.
#[inline]
pub(super) fn peek(input: &[u8], at: usize) -> Result<u8, JsonError> {
    input.get(at).copied().ok_or(JsonError { kind: Kind::UnexpectedEnd, offset: at })
}

/// The error for a wrong byte at `at`; for bytes that are not UTF-8, the error that says so.
#[cold]
pub(super) fn foreign(input: &[u8], at: usize, kind: Kind) -> JsonError {
    // The longest character has four bytes.
    let head = &input[at..input.len().min(at + 4)];
    match std::str::from_utf8(head) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_some() => Kind::NotUtf8.at(at),
        _ => kind.at(at),
    }
}

/// A number, `true`, `false` or `null`, which begins with `first`. Gives the offset after it.
#[expect(clippy::inline_always, reason = "it is small, and both callers read many numbers and words")]
#[inline(always)]
pub(super) fn scalar(input: &[u8], at: usize, first: u8) -> Result<usize, JsonError> {
    let whole = match first {
        b'1'..=b'9' => more_digits(input, at + 1),
        b'0' => zero(input, at)?,
        b'-' => match peek(input, at + 1)? {
            b'0' => zero(input, at + 1)?,
            _ => digits(input, at + 1)?,
        },
        b't' => return literal(input, at, b"true"),
        b'f' => return literal(input, at, b"false"),
        b'n' => return literal(input, at, b"null"),
        _ => return Err(foreign(input, at, Kind::ExpectedValue)),
    };
    fraction(input, whole)
}

#[inline]
fn literal(input: &[u8], at: usize, word: &[u8]) -> Result<usize, JsonError> {
    let rest = &input[at..];
    if rest.starts_with(word) {
        Ok(at + word.len())
    } else if word.starts_with(rest) {
        Err(Kind::UnexpectedEnd.at(input.len()))
    } else {
        Err(Kind::ExpectedValue.at(at))
    }
}

/// A whole part that is the zero at `at`.
#[inline]
fn zero(input: &[u8], at: usize) -> Result<usize, JsonError> {
    if input.get(at + 1).is_some_and(u8::is_ascii_digit) {
        return Err(Kind::LeadingZero.at(at));
    }
    Ok(at + 1)
}

/// The rest of a number whose whole part ends at `at`.
#[inline]
fn fraction(input: &[u8], mut at: usize) -> Result<usize, JsonError> {
    let mut next = input.get(at).copied().unwrap_or_default();
    if next == b'.' {
        at = digits(input, at + 1)?;
        next = input.get(at).copied().unwrap_or_default();
    }
    if next | 0x20 == b'e' {
        at += 1;
        at = digits(input, at + usize::from(matches!(input.get(at), Some(b'+' | b'-'))))?;
    }
    Ok(at)
}

/// One digit or more.
#[inline]
fn digits(input: &[u8], start: usize) -> Result<usize, JsonError> {
    let at = more_digits(input, start);
    if at > start {
        return Ok(at);
    }
    peek(input, at)?;
    Err(foreign(input, at, Kind::ExpectedDigit))
}

/// The end of the digits from `at` on.
#[inline]
fn more_digits(input: &[u8], mut at: usize) -> usize {
    while input.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

pub(super) fn is_utf8(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}

/// The strings of a document.
#[derive(Clone, Copy)]
pub(super) struct Strings<'a> {
    pub(super) input: &'a [u8],
    /// Whether all of it is UTF-8.
    is_utf8: bool,
}

impl<'a> Strings<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, is_utf8: is_utf8(input) }
    }

    /// The end of the string whose opening quote is before `start`: the offset after its closing quote.
    #[inline]
    pub(super) fn end(self, start: usize) -> Result<usize, JsonError> {
        let head = self.input.get(start..).and_then(<[u8]>::first_chunk);
        if let Some(head) = head
            && let Some(end) = scan::first_special(head)
            && head[end] == b'"'
            && self.is_utf8
        {
            return Ok(start + end + 1);
        }
        string(self.input, start, self.is_utf8)
    }
}

/// A string of any length, with escapes or without. `is_utf8`: all of the input is.
#[inline(never)]
fn string(input: &[u8], start: usize, is_utf8: bool) -> Result<usize, JsonError> {
    let mut at = scan::plain_end(input, start);
    loop {
        let fault = match input.get(at) {
            Some(b'"') => {
                if !is_utf8 {
                    utf8(input, start, at)?;
                }
                return Ok(at + 1);
            }
            Some(b'\\') => match escape(input, at) {
                Ok(next) => {
                    at = scan::plain_end(input, next);
                    continue;
                }
                Err(fault) => fault,
            },
            Some(_) => Kind::Control.at(at),
            None => Kind::UnexpectedEnd.at(at),
        };
        utf8(input, start, at)?;
        return Err(fault);
    }
}

/// Checks that the bytes of a string up to `end` are UTF-8. A character that is cut by the end of the whole
/// input is left to the caller, who finds that end.
fn utf8(input: &[u8], start: usize, end: usize) -> Result<(), JsonError> {
    match std::str::from_utf8(&input[start..end]) {
        Err(error) if error.error_len().is_some() || end < input.len() => {
            Err(Kind::NotUtf8.at(start + error.valid_up_to()))
        }
        _ => Ok(()),
    }
}

/// An escape whose backslash is at `at`; a surrogate pair counts as one. Gives the offset after it.
#[inline]
pub(super) fn escape(input: &[u8], at: usize) -> Result<usize, JsonError> {
    match peek(input, at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
        b'u' => match code_unit(input, at + 2)? {
            0xD800..=0xDBFF => low_surrogate(input, at),
            0xDC00..=0xDFFF => Err(Kind::LoneSurrogate.at(at)),
            _ => Ok(at + 6),
        },
        _ => Err(Kind::BadEscape.at(at)),
    }
}

/// The second half of a surrogate pair whose first half begins at `first`.
fn low_surrogate(input: &[u8], first: usize) -> Result<usize, JsonError> {
    let second = first + 6;
    if peek(input, second)? == b'\\'
        && peek(input, second + 1)? == b'u'
        && matches!(code_unit(input, second + 2)?, 0xDC00..=0xDFFF)
    {
        Ok(second + 6)
    } else {
        Err(Kind::LoneSurrogate.at(first))
    }
}

/// The four hexadecimal digits of a `\u` escape.
fn code_unit(input: &[u8], start: usize) -> Result<u32, JsonError> {
    let mut unit = 0;
    for at in start..start + 4 {
        let digit = char::from(peek(input, at)?).to_digit(16).ok_or(Kind::BadEscape.at(at))?;
        unit = unit << 4 | digit;
    }
    Ok(unit)
}
