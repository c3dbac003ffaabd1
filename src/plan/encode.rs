//! Percent-encoding of values: all but RFC 3986's unreserved characters, so that no value can end a segment,
//! start a query or name another host. And the dots that a server may resolve in spite of it.

use std::ops::Range;

/// The longest value in a URL, in bytes of UTF-8 before encoding.
pub(super) const LONGEST_VALUE: usize = 256;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// RFC 3986, section 2.3.
const fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Appends the value encoded. The error is the first control character (Unicode Cc) in it; `out` then ends in
/// a part of the value.
pub(super) fn percent_encode(out: &mut String, value: &str) -> Result<(), char> {
    let mut rest = value;
    loop {
        // All unreserved characters are ASCII, so the run ends at a character boundary.
        let run = rest.bytes().position(|b| !unreserved(b)).unwrap_or(rest.len());
        out.push_str(&rest[..run]);
        rest = &rest[run..];
        let Some(c) = rest.chars().next() else { return Ok(()) };
        if c.is_control() {
            return Err(c);
        }
        for &byte in &rest.as_bytes()[..c.len_utf8()] {
            push_escape(out, byte);
        }
        rest = &rest[c.len_utf8()..];
    }
}

/// Appends the value encoded, including control characters, which a body may contain. A space is `%20`, which
/// a form decodes like `+`, and which has no other meaning elsewhere.
pub(super) fn percent_encode_all(out: &mut String, value: &str) {
    for byte in value.bytes() {
        if unreserved(byte) {
            out.push(char::from(byte));
        } else {
            push_escape(out, byte);
        }
    }
}

fn push_escape(out: &mut String, byte: u8) {
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// The first `.` or `..` of a path as written in a URL: where it stands, in bytes. What surrounds it is a slash, a
/// backslash, the beginning or the end, each of them and each dot perhaps percent-encoded: so the dots are found that
/// a server resolves before it decodes (RFC 3986, section 5.2.4), and those that it resolves after it.
pub(super) fn dots_between_slashes(path: &str) -> Option<Range<usize>> {
    let bytes = path.as_bytes();
    // Most paths end here: a dot is written as itself or as an escape.
    memchr::memchr2(b'.', b'%', bytes)?;
    // Of the piece that is being read: where it begins, and its dots if it has nothing else.
    let (mut start, mut dots) = (0, Some(0));
    let mut at = 0;
    while at < bytes.len() {
        let (byte, width) = match escaped_byte(&bytes[at..]) {
            Some(byte) => (byte, 3),
            None => (bytes[at], 1),
        };
        match byte {
            b'/' | b'\\' if matches!(dots, Some(1 | 2)) => return Some(start..at),
            b'/' | b'\\' => (start, dots) = (at + width, Some(0)),
            b'.' => dots = dots.map(|dots: usize| dots + 1),
            _ => dots = None,
        }
        at += width;
    }
    matches!(dots, Some(1 | 2)).then_some(start..at)
}

/// The byte of the `%XX` that a text begins with.
fn escaped_byte(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &str) -> Result<String, char> {
        let mut out = String::new();
        percent_encode(&mut out, value).map(|()| out)
    }

    #[test]
    fn everything_but_unreserved_characters_is_encoded() {
        assert_eq!(encoded("AZaz09-._~").unwrap(), "AZaz09-._~");
        assert_eq!(encoded("A/B é?#%+ ").unwrap(), "A%2FB%20%C3%A9%3F%23%25%2B%20");
        assert_eq!(encoded("日").unwrap(), "%E6%97%A5");
    }

    #[test]
    fn control_characters_are_found() {
        for c in ['\0', '\t', '\n', '\r', '\x7f', '\u{80}', '\u{9f}'] {
            assert_eq!(encoded(&format!("a{c}b")), Err(c));
        }
        assert!(encoded("\u{a0}\u{2028}").is_ok(), "no control characters by Unicode's word (Zs, Zl)");
    }

    #[test]
    fn dots_are_found_in_every_spelling_and_between_every_kind_of_slash() {
        for dots in [".", "..", "%2e", "%2E", ".%2e", "%2E.", "%2e%2E"] {
            assert_eq!(dots_between_slashes(dots), Some(0..dots.len()), "{dots}");
            for slash in ["/", "%2F", "%2f", "\\", "%5C", "%5c"] {
                let found = |text: &str| text.find(dots).map(|at| at..at + dots.len());
                for text in
                    [format!("a{slash}{dots}"), format!("{dots}{slash}a"), format!("é{slash}{dots}/b")]
                {
                    assert_eq!(dots_between_slashes(&text), found(&text), "{text}");
                }
            }
        }
        for other in
            ["", "...", "%2e%2e%2e", ".a", "a.", "%2", "%2f", "é", "%é", "a/b", "//", "a%2F..b", "..%252F"]
        {
            assert_eq!(dots_between_slashes(other), None, "{other}");
        }
    }
}
