//! The law of [`compact`](super::compact), byte by byte: what it keeps of a document, and which documents it refuses,
//! why and where. Slow, and without any of its shortcuts; tests and the fuzz target `body` compare both.

use super::JsonErrorKind as Kind;
use super::{BYTE_ORDER_MARK, JsonError, MAX_DEPTH};

/// What is kept of a document, or its first error.
pub(super) fn compacted(input: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut document = Document { input, at: 0, kept: Vec::new() };
    if input.starts_with(BYTE_ORDER_MARK) {
        document.at = BYTE_ORDER_MARK.len();
    }
    document.gap();
    if document.at == input.len() {
        return Err(document.fault(Kind::Empty));
    }
    if BYTE_ORDER_MARK.starts_with(input) {
        return Err(document.fault(Kind::UnexpectedEnd));
    }
    document.value(0)?;
    document.gap();
    if document.at < input.len() {
        return Err(document.wrong(Kind::Trailing));
    }
    Ok(document.kept)
}

struct Document<'a> {
    input: &'a [u8],
    at: usize,
    kept: Vec<u8>,
}

impl Document<'_> {
    fn fault(&self, kind: Kind) -> JsonError {
        JsonError { kind, offset: self.at }
    }

    /// The error for a wrong byte; for bytes that are not UTF-8, the error that says so.
    fn wrong(&self, kind: Kind) -> JsonError {
        let head = &self.input[self.at..self.input.len().min(self.at + 4)];
        let is_character = match std::str::from_utf8(head) {
            Ok(_) => true,
            Err(error) => error.valid_up_to() > 0 || error.error_len().is_none(),
        };
        self.fault(if is_character { kind } else { Kind::NotUtf8 })
    }

    fn peek(&self) -> Result<u8, JsonError> {
        self.input.get(self.at).copied().ok_or_else(|| self.fault(Kind::UnexpectedEnd))
    }

    /// Keeps so many bytes.
    fn keep(&mut self, count: usize) {
        self.kept.extend_from_slice(&self.input[self.at..self.at + count]);
        self.at += count;
    }

    fn gap(&mut self) {
        while matches!(self.input.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn keep_and_gap(&mut self) {
        self.keep(1);
        self.gap();
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' | b'[' if depth == MAX_DEPTH => Err(self.fault(Kind::TooDeep)),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => Err(self.wrong(Kind::ExpectedValue)),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.keep_and_gap();
        let mut missing = Kind::ExpectedNameOrEnd;
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                b'}' if missing == Kind::ExpectedNameOrEnd => break,
                _ => return Err(self.wrong(missing)),
            }
            missing = Kind::ExpectedName;
            self.gap();
            if self.peek()? != b':' {
                return Err(self.wrong(Kind::ExpectedColon));
            }
            self.keep_and_gap();
            self.value(depth + 1)?;
            self.gap();
            match self.peek()? {
                b',' => self.keep_and_gap(),
                b'}' => break,
                _ => return Err(self.wrong(Kind::ExpectedCommaOrBrace)),
            }
        }
        self.keep(1);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.keep_and_gap();
        if self.peek()? != b']' {
            loop {
                self.value(depth + 1)?;
                self.gap();
                match self.peek()? {
                    b',' => self.keep_and_gap(),
                    b']' => break,
                    _ => return Err(self.wrong(Kind::ExpectedCommaOrBracket)),
                }
            }
        }
        self.keep(1);
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        let rest = &self.input[self.at..];
        if rest.starts_with(word) {
            self.keep(word.len());
            return Ok(());
        }
        if word.starts_with(rest) {
            self.at = self.input.len();
            return Err(self.fault(Kind::UnexpectedEnd));
        }
        Err(self.fault(Kind::ExpectedValue))
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek()? == b'-' {
            self.keep(1);
        }
        if self.input[self.at..].starts_with(b"0") {
            if self.input.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
                return Err(self.fault(Kind::LeadingZero));
            }
            self.keep(1);
        } else {
            self.digits()?;
        }
        if self.input.get(self.at) == Some(&b'.') {
            self.keep(1);
            self.digits()?;
        }
        if matches!(self.input.get(self.at), Some(b'e' | b'E')) {
            self.keep(1);
            if matches!(self.input.get(self.at), Some(b'+' | b'-')) {
                self.keep(1);
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.wrong(Kind::ExpectedDigit));
        }
        while self.input.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.keep(1);
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.keep(1);
        let start = self.at;
        loop {
            let fault = match self.input.get(self.at) {
                Some(b'"') => {
                    self.text_from(start)?;
                    self.keep(1);
                    return Ok(());
                }
                Some(b'\\') => match self.escape() {
                    Ok(length) => {
                        self.keep(length);
                        continue;
                    }
                    Err(fault) => fault,
                },
                Some(..b' ') => self.fault(Kind::Control),
                Some(_) => {
                    self.keep(1);
                    continue;
                }
                None => self.fault(Kind::UnexpectedEnd),
            };
            self.text_from(start)?;
            return Err(fault);
        }
    }

    /// Checks that what was read of a string is UTF-8. A character that the document's end cuts is no error of it.
    fn text_from(&self, start: usize) -> Result<(), JsonError> {
        match std::str::from_utf8(&self.input[start..self.at]) {
            Err(error) if error.error_len().is_some() || self.at < self.input.len() => {
                Err(JsonError { kind: Kind::NotUtf8, offset: start + error.valid_up_to() })
            }
            _ => Ok(()),
        }
    }

    /// The length of the escape that begins here; a surrogate pair is one.
    fn escape(&self) -> Result<usize, JsonError> {
        let byte = |place: usize| {
            let offset = self.at + place;
            self.input.get(offset).copied().ok_or(JsonError { kind: Kind::UnexpectedEnd, offset })
        };
        let unit = |place: usize| {
            (place..place + 4).try_fold(0, |unit, place| {
                let digit = char::from(byte(place)?).to_digit(16);
                let offset = self.at + place;
                Ok(unit << 4 | digit.ok_or(JsonError { kind: Kind::BadEscape, offset })?)
            })
        };
        match byte(1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(2),
            b'u' => match unit(2)? {
                0xD800..=0xDBFF if byte(6)? == b'\\' && byte(7)? == b'u' => match unit(8)? {
                    0xDC00..=0xDFFF => Ok(12),
                    _ => Err(self.fault(Kind::LoneSurrogate)),
                },
                0xD800..=0xDFFF => Err(self.fault(Kind::LoneSurrogate)),
                _ => Ok(6),
            },
            _ => Err(self.fault(Kind::BadEscape)),
        }
    }
}
