//! Reads the members of JSON objects without a tree and without recursion: for an old output, which may be larger than
//! memory, and which another tool may have reformatted.
//!
//! This only finds where keys and values begin and end; whether a value is JSON is checked by
//! [`crate::json::compact`], value by value.

use std::io::{self, BufRead, Read};

use memchr::memchr2;

use crate::collect::previous::line_window::LineWindow;
use crate::json::compact;

/// A value beyond this is no answer, but a file whose first bracket was never closed.
const MAX_VALUE: usize = 1 << 30;

/// Why a text is not an object of members.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Syntax(&'static str),
    #[error("its columns are {found}, and this run writes {wanted}")]
    Columns { found: String, wanted: String },
    #[error("a row has {found} cells, and the header {wanted}")]
    Width { found: usize, wanted: usize },
}

/// A JSON text, read forward, with its place.
pub(crate) struct JsonText<R> {
    input: R,
    /// Bytes taken so far.
    pub(crate) at: u64,
}

impl<R: BufRead> JsonText<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, at: 0 }
    }

    fn peek(&mut self) -> Result<Option<u8>, Malformed> {
        loop {
            match self.input.fill_buf() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn skip(&mut self) {
        self.input.consume(1);
        self.at += 1;
    }

    /// Skips white space; returns the byte after it.
    pub(crate) fn gap(&mut self) -> Result<Option<u8>, Malformed> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.skip(),
                other => return Ok(other),
            }
        }
    }

    /// Skips a byte-order mark, which has a meaning only at the start.
    pub(crate) fn byte_order_mark(&mut self) -> Result<(), Malformed> {
        if self.peek()? == Some(0xef) {
            self.skip();
            for expected in [0xbb, 0xbf] {
                self.expect(expected, "not JSON: a stray byte at the start")?;
            }
        }
        Ok(())
    }

    pub(crate) fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), Malformed> {
        if self.peek()? != Some(byte) {
            return Err(Malformed::Syntax(otherwise));
        }
        self.skip();
        Ok(())
    }

    /// After a member (or the opening brace if `first`): true if another follows, false at the end.
    pub(crate) fn more(&mut self, first: bool) -> Result<bool, Malformed> {
        match (self.gap()?, first) {
            (Some(b'}'), _) => {
                self.skip();
                Ok(false)
            }
            (Some(b','), false) => {
                self.skip();
                self.gap()?;
                Ok(true)
            }
            (Some(_), true) => Ok(true),
            (Some(_), false) => Err(Malformed::Syntax("not JSON: expected `,` or `}`")),
            (None, _) => Err(Malformed::Syntax("it ends too early")),
        }
    }

    /// The key of a member and the colon: appends the key as it is written.
    pub(crate) fn key(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        if self.gap()? != Some(b'"') {
            return Err(Malformed::Syntax("not JSON: expected a name in double quotes"));
        }
        self.string(out)?;
        self.gap()?;
        self.expect(b':', "not JSON: expected `:`")
    }

    /// Appends the string that begins here as it is written.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.push(b'"');
        self.skip();
        let mut escaped = false;
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Err(Malformed::Syntax("it ends too early"));
            }
            let (taken, closed) = if escaped {
                escaped = false;
                (1, false)
            } else {
                match memchr2(b'"', b'\\', buffer) {
                    None => (buffer.len(), false),
                    Some(at) => {
                        escaped = buffer[at] == b'\\';
                        (at + 1, !escaped)
                    }
                }
            };
            out.extend_from_slice(&buffer[..taken]);
            self.input.consume(taken);
            self.at += taken as u64;
            if closed {
                return Ok(());
            }
            bounded(out)?;
        }
    }

    /// Appends the value that begins here as it is written.
    pub(crate) fn value(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self.gap()? {
            Some(b'"') => self.string(out),
            Some(b'{' | b'[') => self.nested(out),
            _ => self.plain(out),
        }
    }

    /// Appends the array or object that begins here.
    fn nested(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut open = OpenBrackets::default();
        loop {
            if self.peek()?.is_none() {
                return Err(Malformed::Syntax("it ends too early"));
            }
            let buffer = self.input.fill_buf()?;
            let end = open.end(buffer);
            let taken = end.unwrap_or(buffer.len());
            out.extend_from_slice(&buffer[..taken]);
            self.input.consume(taken);
            self.at += taken as u64;
            if end.is_some() {
                return Ok(());
            }
            bounded(out)?;
        }
    }

    /// Appends a number or a word: all up to what may follow it, or to the end of the text.
    fn plain(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        while let Some(byte) = self.peek()?
            && !matches!(byte, b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r')
        {
            out.push(byte);
            self.skip();
            bounded(out)?;
        }
        Ok(())
    }
}

impl<R: Read> JsonText<LineWindow<R>> {
    /// What is left of the current line, without its line end; `None` at the end of the text, or where it is too long.
    pub(crate) fn line(&mut self) -> Result<Option<&[u8]>, Malformed> {
        Ok(self.input.line()?)
    }

    /// Skips so many bytes of what was seen.
    pub(crate) fn skip_seen(&mut self, count: usize) {
        self.input.consume(count);
        self.at += count as u64;
    }
}

/// How far an array or object was read, from its first bracket on.
#[derive(Default)]
struct OpenBrackets {
    depth: u64,
    is_in_string: bool,
    /// The byte before was the backslash of an escape.
    is_escaped: bool,
}

impl OpenBrackets {
    /// The end of the array or object, if it ends in these bytes, which follow those of the last call.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.is_escaped {
                self.is_escaped = false;
            } else if self.is_in_string {
                at += memchr2(b'"', b'\\', &bytes[at..])?;
                self.is_escaped = bytes[at] == b'\\';
                self.is_in_string = self.is_escaped;
            } else {
                match bytes[at] {
                    b'"' => self.is_in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
                if self.depth == 0 {
                    return Some(at + 1);
                }
            }
            at += 1;
        }
        None
    }
}

fn bounded(out: &[u8]) -> Result<(), Malformed> {
    if out.len() > MAX_VALUE {
        return Err(Malformed::Syntax("a value has no end"));
    }
    Ok(())
}

/// The members of one object that is in memory: key and value of each, as they are written.
pub(crate) fn members(object: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> Result<(), Malformed> {
    let mut text = JsonText::new(object);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    text.gap()?;
    text.expect(b'{', "not JSON: expected `{`")?;
    let mut first = true;
    while text.more(first)? {
        first = false;
        key.clear();
        value.clear();
        text.key(&mut key)?;
        text.value(&mut value)?;
        each(&key, &value);
    }
    match text.gap()? {
        None => Ok(()),
        Some(_) => Err(Malformed::Syntax("not JSON: something follows the value")),
    }
}

/// Checks an old value and appends it without the white space between its tokens. The members of an
/// object are checked one by one, because a record holds a body that may be as deep as any.
pub(crate) fn compact_value(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    if raw.first() != Some(&b'{') {
        return compact(raw, out).map_err(|_| Malformed::Syntax("a value is not JSON"));
    }
    out.push(b'{');
    let start = out.len();
    let mut all_good = true;
    members(raw, |key, value| {
        if out.len() > start {
            out.push(b',');
        }
        all_good &= compact(key, out).is_ok();
        out.push(b':');
        all_good &= compact(value, out).is_ok();
    })?;
    out.push(b'}');
    if all_good { Ok(()) } else { Err(Malformed::Syntax("a value is not JSON")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compacted(raw: &str) -> Result<String, String> {
        let mut out = Vec::new();
        compact_value(raw.as_bytes(), &mut out).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_value_that_another_tool_laid_out_is_compacted_again() {
        let raw = "{ \"a\" : [ 1.10 , \"x \\\" y\" ] ,\n\t\"b\" : { } , \"a\" : null }";
        assert_eq!(compacted(raw).unwrap(), r#"{"a":[1.10,"x \" y"],"b":{},"a":null}"#);
        assert_eq!(compacted("9007199254740993").unwrap(), "9007199254740993");
        assert_eq!(compacted("{}").unwrap(), "{}");
    }

    #[test]
    fn a_record_may_hold_a_body_of_full_depth_and_nothing_deeper() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(compacted(&format!("{{\"body\":{}}}", deep(100))).is_ok());
        assert!(compacted(&format!("{{\"body\":{}}}", deep(101))).is_err());
        assert!(compacted(&deep(101)).is_err());
    }

    #[test]
    fn what_is_not_json_is_no_value() {
        let wrong = [
            "",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1}x",
            "{a:1}",
            "nul",
            "[1",
            "\"a",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":[1}]}",
            "{\"a\":01}",
            "{\"\u{1}\":1}",
            "1 2",
            "{\"a\":1 2}",
        ];
        for raw in wrong {
            assert!(compacted(raw).is_err(), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn walking_any_bytes_never_panics_and_what_passes_is_json(raw in "[\\[\\]{}\",:\\\\ a1u0]{0,40}") {
            if let Ok(out) = compacted(&raw) {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&out).is_ok(), "{}", out);
            }
        }
    }
}
