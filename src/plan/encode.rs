//! Percent-encoding of values: all but RFC 3986's unreserved characters, so that no value can end a segment,
//! start a query or name another host.

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

/// Whether a path segment, as written in a URL, is `.` or `..`. Each dot may also be written `%2e` (WHATWG
/// URL, "single-dot" and "double-dot path segment").
pub(super) fn is_dots(segment: &str) -> bool {
    let mut rest = segment;
    let mut dots = 0;
    while !rest.is_empty() {
        let encoded = rest.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("%2e"));
        rest = match rest.strip_prefix('.') {
            Some(after) => after,
            None if encoded => &rest[3..],
            None => return false,
        };
        dots += 1;
        if dots > 2 {
            return false;
        }
    }
    dots > 0
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
    fn dot_segments_are_found_in_every_spelling() {
        for dots in [".", "..", "%2e", "%2E", ".%2e", "%2E.", "%2e%2E"] {
            assert!(is_dots(dots), "{dots}");
        }
        for other in ["", "...", "%2e%2e%2e", ".a", "a.", "%2", "%2f", "é", "%é"] {
            assert!(!is_dots(other), "{other}");
        }
    }
}
