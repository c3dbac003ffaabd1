//! Reads the members of a line of ours, in the order in which they were written; the parts are slices of the line.

use memchr::memchr2;

/// The JSON null.
pub(crate) const NULL: &[u8] = b"null";

/// Reads the members of a line one after the other.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, text: &[u8]) -> bool {
        match self.0.strip_prefix(text) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    pub(crate) fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.take(text).then_some(())
    }

    /// Up to, without, the next comma: for numbers and `null`.
    pub(crate) fn word(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b',', self.0)?;
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(word)
    }

    /// A JSON string with its quotes.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let end = string_end(self.0)?;
        let (string, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(string)
    }

    /// A JSON string with its quotes, or `null`.
    pub(crate) fn nullable(&mut self) -> Option<&'a [u8]> {
        let whole = self.0;
        if self.take(NULL) { whole.get(..NULL.len()) } else { self.string() }
    }

    /// The value of a validator; empty if it is not there.
    pub(crate) fn validator(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        if self.take(name) { self.string() } else { Some(b"") }
    }
}

/// Where the JSON string ends that `text` begins with: after its closing quote.
pub(crate) fn string_end(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_its_first_quote_that_is_not_escaped() {
        assert_eq!(string_end(br#""a\\"b""#), Some(5));
        assert_eq!(string_end(br#""a\"b"c"#), Some(6));
        assert_eq!((string_end(b"a"), string_end(b"\"a"), string_end(b"\"a\\")), (None, None, None));
    }
}
