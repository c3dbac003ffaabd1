//! Text as a JSON string.

use super::{BYTE_ORDER_MARK, JsonError, JsonErrorKind, scan};

/// Appends `text` to `out` as a JSON string, including quotes. Quotes, backslashes and control characters
/// below U+0020 are escaped, in their short form if there is one.
pub(crate) fn escape_into(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut from = 0;
    loop {
        let stop = scan::plain_end(bytes, from);
        out.extend_from_slice(&bytes[from..stop]);
        let Some(&special) = bytes.get(stop) else { break };
        let short = match special {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0C => b'f',
            quoted => quoted,
        };
        if short < b' ' {
            let [high, low] = [short >> 4, short & 0xF].map(|digit| HEX[usize::from(digit)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        from = stop + 1;
    }
    out.push(b'"');
}

/// Appends a body of text to `out` as one JSON string. One byte-order mark is dropped; an empty body
/// is the empty string.
///
/// # Errors
/// A body that is not UTF-8, with the offset of its first invalid byte. So is a character cut at the end:
/// text has no end mark, so it cannot be distinguished from Latin-1.
pub(crate) fn text_value(body: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let start = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let text = std::str::from_utf8(&body[start..])
        .map_err(|error| JsonErrorKind::NotUtf8.at(start + error.valid_up_to()))?;
    escape_into(text, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::compact;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        escape_into(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_what_json_demands_is_escaped() {
        assert_eq!(escaped(""), r#""""#);
        assert_eq!(escaped("a\"b\\c/d"), r#""a\"b\\c/d""#);
        assert_eq!(escaped("\n\r\t\u{8}\u{c}"), r#""\n\r\t\b\f""#);
        assert_eq!(escaped("\0\u{1b}\u{1f}"), r#""\u0000\u001b\u001f""#);
        assert_eq!(escaped("\u{7f}é\u{2028}\u{2029}😀"), "\"\u{7f}é\u{2028}\u{2029}😀\"");
    }

    #[test]
    fn a_text_body_becomes_one_string_without_its_byte_order_mark() {
        let mut out = b"x".to_vec();
        text_value("\u{feff}a\u{feff}\nb".as_bytes(), &mut out).unwrap();
        text_value(b"", &mut out).unwrap();
        assert_eq!(out, "x\"a\u{feff}\\nb\"\"\"".as_bytes());
    }

    #[test]
    fn a_text_body_that_is_not_utf8_is_refused_with_its_place() {
        let mut out = b"kept".to_vec();
        for (body, offset) in [(&b"caf\xe9"[..], 3), (b"\xef\xbb\xbfa\xff", 4), (b"\xff\xfea\0", 0)] {
            let error = text_value(body, &mut out).unwrap_err();
            assert_eq!(error, JsonErrorKind::NotUtf8.at(offset));
        }
        assert_eq!(out, b"kept");
    }

    proptest! {
        #[test]
        fn a_string_reads_back_as_the_text_it_was_made_of(text in any::<String>()) {
            let json = escaped(&text);
            prop_assert_eq!(&json, &serde_json::to_string(&text).unwrap());
            prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
            let mut out = Vec::new();
            prop_assert_eq!(compact(json.as_bytes(), &mut out), Ok(()));
            prop_assert_eq!(out, json.into_bytes());
        }
    }
}
