//! A body's bytes to UTF-8, by the character encoding that the server declares or marks.
//!
//! A byte-order mark wins over the `charset` of `Content-Type`, which wins over UTF-8. Names and tables are those of
//! the WHATWG Encoding Standard, as browsers have them: what is declared as ISO-8859-1 is read as windows-1252, which
//! differs only where ISO-8859-1 has control characters that nobody uses. US-ASCII is the exception: a byte over 0x7F
//! under that name belongs to some other encoding, and nothing shows to which.
//!
//! What is not valid in its encoding is an error and never U+FFFD: in the output, a replaced character looks like a
//! correct one. Only in messages about a body are such characters replaced.

use std::borrow::Cow;

use bytes::Bytes;
use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::BodyAs;
use crate::model::option::MAX_BODY;
use crate::model::{Cause, Fault, Mask, Size, display_safe, large_buffer};

/// Names of US-ASCII, which the standard lists as names of windows-1252.
const ASCII: [&str; 3] = ["ansi_x3.4-1968", "ascii", "us-ascii"];

/// Characters of a declared name that are shown.
const NAME_CHARS: usize = 40;

/// Bytes of UTF-8 that are decoded at a time.
const PART: usize = 64 << 10;

/// What `Content-Type` says about the character encoding.
#[derive(Debug, PartialEq)]
enum Declared {
    /// Nothing.
    Nothing,
    /// This one. The name distinguishes US-ASCII from windows-1252, and UTF-16 from UTF-16LE.
    Charset { encoding: &'static Encoding, name: String },
    /// A name that the standard does not have.
    Unknown(String),
    /// Two that differ.
    Contradiction(String, String),
}

/// How a body becomes text.
#[derive(Clone, Copy)]
pub(super) struct TextSettings<'a> {
    pub(super) body_as: BodyAs,
    /// Most bytes of the text.
    pub(super) cap: Size,
    pub(super) mask: &'a Mask,
}

/// What is wrong with a body's character encoding.
#[derive(Debug, PartialEq, thiserror::Error)]
enum CharsetError {
    #[error("the answer's Content-Type declares charset `{0}`, which is not known")]
    Unknown(String),
    #[error("the answer's Content-Type declares charset `{0}` and charset `{1}`")]
    Contradiction(String, String),
    #[error("the body is UTF-32, which is not supported")]
    Utf32,
}

/// The body in UTF-8; none if it is UTF-8 as it is, with its mark, which is not validated.
///
/// # Errors
/// A charset that is not known, two that differ, a body that is not valid in its encoding, or one of more than `cap`
/// bytes in UTF-8. Of JSON that breaks off in the midst of a character: a body that was cut.
pub(super) fn to_utf8(
    headers: &HeaderMap,
    body: &Bytes,
    settings: TextSettings<'_>,
) -> Result<Option<Bytes>, Fault> {
    let TextSettings { body_as, cap, mask } = settings;
    if is_plainly_utf8(headers, body) {
        return Ok(None);
    }
    let declared = declared(headers);
    let (encoding, start) = match encoding(&declared, body, body_as) {
        Ok((encoding, _)) if encoding == UTF_8 => return Ok(None),
        Ok(found) => found,
        Err(error) => {
            let why = display_safe(&mask.apply(&without_secrets(&error, headers, mask)), 4 * NAME_CHARS);
            return Err(Fault::new(Cause::Body, why));
        }
    };
    let (name, is_ascii) = match &declared {
        Declared::Charset { name, .. } if start == 0 => (name.as_str(), ASCII.contains(&name.as_str())),
        _ => (encoding.name(), false),
    };
    let invalid = |at: usize| {
        let name = display_safe(name, NAME_CHARS);
        Fault::new(Cause::Body, format!("the body is not valid {name}, at byte {at}"))
    };
    if is_ascii {
        return match body.iter().position(|byte| !byte.is_ascii()) {
            None => Ok(None),
            Some(at) => Err(invalid(at)),
        };
    }
    match decode(encoding, &body[start..], cap) {
        Ok(text) => Ok(Some(text.into())),
        Err(DecodeError::TooLarge) => {
            let detail = format!("the decoded body is larger than {MAX_BODY} {cap}");
            Err(Fault::new(Cause::TooLarge, detail))
        }
        // As with JSON that ends too early, only the position at the end shows that the body was cut.
        Err(DecodeError::Invalid { at, at_the_end: true }) if body_as == BodyAs::Json => {
            Err(Fault { cause: Cause::Cut, ..invalid(start + at) })
        }
        Err(DecodeError::Invalid { at, .. }) => Err(invalid(start + at)),
    }
}

/// The error's text without secrets in the names. They are masked before the fields are parsed: parsing removes quotes
/// and ends at `;`, and could leave a part of a secret that the mask does not contain.
fn without_secrets(error: &CharsetError, headers: &HeaderMap, mask: &Mask) -> String {
    if *error == CharsetError::Utf32 {
        return error.to_string();
    }
    let error = match declared_by(headers, |value| mask.apply(value).into_owned()) {
        Declared::Unknown(name) => CharsetError::Unknown(name),
        Declared::Contradiction(one, other) => CharsetError::Contradiction(one, other),
        // The unknown name was a secret and nothing else.
        Declared::Nothing | Declared::Charset { .. } => CharsetError::Unknown("(redacted)".into()),
    };
    error.to_string()
}

/// The beginning of a body as text for a message; what does not decode is replaced.
pub(super) fn for_people<'a>(headers: &HeaderMap, head: &'a [u8]) -> Cow<'a, str> {
    match encoding(&declared(headers), head, BodyAs::Json) {
        Ok((encoding, start)) => encoding.decode_without_bom_handling(&head[start..]).0,
        Err(_) => String::from_utf8_lossy(head),
    }
}

/// Whether nothing marks or declares anything but UTF-8. This is the usual case, and a few bytes decide it.
fn is_plainly_utf8(headers: &HeaderMap, body: &[u8]) -> bool {
    // JSON never begins so, and text hardly ever, but for UTF-16, with or without its mark.
    let is_marked = matches!(body, [0 | 0xFE | 0xFF, ..] | [_, 0, ..]);
    // An answer has few fields: iterating over them costs less than a lookup.
    let mut fields = headers.iter().filter(|(name, _)| **name == CONTENT_TYPE).map(|(_, value)| value);
    let (first, second) = (fields.next(), fields.next());
    // Where the text after the first `=` is all of `utf-8`, there is no other parameter.
    let declares_nothing = first.is_none_or(|value| {
        let bytes = value.as_bytes();
        memchr::memchr(b'=', bytes).is_none_or(|at| bytes[at + 1..].eq_ignore_ascii_case(b"utf-8"))
    });
    !is_marked && declares_nothing && second.is_none()
}

/// The body's encoding, and the length of its mark. A mark of UTF-8 counts as part of the body.
fn encoding(
    declared: &Declared,
    body: &[u8],
    body_as: BodyAs,
) -> Result<(&'static Encoding, usize), CharsetError> {
    match body {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Err(CharsetError::Utf32),
        _ => {}
    }
    match Encoding::for_bom(body) {
        Some((encoding, _)) if encoding == UTF_8 => return Ok((UTF_8, 0)),
        Some(marked) => return Ok(marked),
        None => {}
    }
    match declared {
        Declared::Unknown(name) => Err(CharsetError::Unknown(name.clone())),
        Declared::Contradiction(one, other) => Err(CharsetError::Contradiction(one.clone(), other.clone())),
        Declared::Charset { encoding, name } => {
            // The name leaves the byte order open. The standard assumes little-endian; JSON begins with an ASCII
            // character, which shows the order.
            let is_swapped = name == "utf-16" && body_as == BodyAs::Json && body.first() == Some(&0);
            Ok((if is_swapped { UTF_16BE } else { encoding }, 0))
        }
        Declared::Nothing if body_as == BodyAs::Json => Ok((by_zeros(body)?, 0)),
        Declared::Nothing => Ok((UTF_8, 0)),
    }
}

/// JSON begins with an ASCII character and holds no U+0000, so the position of its first zero bytes shows its encoding
/// (RFC 4627, section 3). In UTF-8 there are none. Fewer than four bytes show too little: a digit and a zero byte are
/// more likely a body that is one byte too long.
fn by_zeros(body: &[u8]) -> Result<&'static Encoding, CharsetError> {
    match body {
        [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => Err(CharsetError::Utf32),
        [0, 0, ..] => Ok(UTF_8),
        [0, _, _, _, ..] => Ok(UTF_16BE),
        [_, 0, _, _, ..] => Ok(UTF_16LE),
        _ => Ok(UTF_8),
    }
}

/// What all `Content-Type` fields declare together. A proxy may have joined several with commas.
fn declared(headers: &HeaderMap) -> Declared {
    declared_by(headers, str::to_owned)
}

/// The same for fields that `prepare` has changed.
fn declared_by(headers: &HeaderMap, prepare: impl Fn(&str) -> String) -> Declared {
    let mut found: Option<(&'static Encoding, String)> = None;
    for value in headers.get_all(CONTENT_TYPE) {
        let value = prepare(&String::from_utf8_lossy(value.as_bytes()));
        for name in charsets(&value) {
            let Some(encoding) = Encoding::for_label_no_replacement(name.as_bytes()) else {
                return Declared::Unknown(name);
            };
            match &found {
                None => found = Some((encoding, name.to_ascii_lowercase())),
                Some((first, _)) if *first == encoding => {}
                Some((_, first)) => return Declared::Contradiction(first.clone(), name),
            }
        }
    }
    found.map_or(Declared::Nothing, |(encoding, name)| Declared::Charset { encoding, name })
}

/// The values of all parameters named `charset`, without empty ones, which declare nothing. A value may be quoted, also
/// in single quotes, which HTTP does not define.
fn charsets(value: &str) -> Vec<String> {
    let mut names = Vec::new();
    for parameter in parameters(value) {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let value = value.trim().trim_matches('\'').trim().to_owned();
        if name.trim().eq_ignore_ascii_case("charset") && !value.is_empty() {
            names.push(value);
        }
    }
    names
}

/// The parts of a field between `;` and `,` outside of double quotes, without the quotes.
fn parameters(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '"' => {
                is_quoted = !is_quoted;
                continue;
            }
            '\\' if is_quoted => chars.next().unwrap_or('\\'),
            ';' | ',' if !is_quoted => {
                parts.push(String::new());
                continue;
            }
            other => other,
        };
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

/// Why bytes do not become text.
enum DecodeError {
    /// The text would be longer than it may be.
    TooLarge,
    /// The bytes at this offset are not valid. `at_the_end`: the body ends with them.
    Invalid { at: usize, at_the_end: bool },
}

/// Decodes the whole body, to at most `cap` bytes.
fn decode(encoding: &'static Encoding, body: &[u8], cap: Size) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut out = Vec::new();
    let mut read = 0;
    loop {
        let length = out.len();
        large_buffer::grow(&mut out, PART);
        out.resize(length + PART, 0);
        let (result, used, written) =
            decoder.decode_to_utf8_without_replacement(&body[read..], &mut out[length..], true);
        read += used;
        out.truncate(length + written);
        if out.len() as u64 > cap.0 {
            return Err(DecodeError::TooLarge);
        }
        match result {
            DecoderResult::InputEmpty => return Ok(out),
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bytes, after) => {
                let at = read.saturating_sub(usize::from(bytes) + usize::from(after));
                return Err(DecodeError::Invalid { at, at_the_end: read == body.len() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAP: Size = Size(1 << 20);

    fn typed(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(CONTENT_TYPE, field.parse().unwrap());
        }
        headers
    }

    fn utf8(fields: &[&str], body: &[u8], body_as: BodyAs) -> Result<String, Fault> {
        let body = Bytes::copy_from_slice(body);
        let settings = TextSettings { body_as, cap: CAP, mask: &Mask::default() };
        let decoded = to_utf8(&typed(fields), &body, settings)?.unwrap_or(body);
        Ok(String::from_utf8_lossy(&decoded).into_owned())
    }

    fn json(field: &str, body: &[u8]) -> Result<String, Fault> {
        utf8(&[field], body, BodyAs::Json)
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_declared_charset_is_decoded_however_it_is_written() {
        for field in [
            "application/json; charset=iso-8859-1",
            "application/json;charset=ISO-8859-1",
            "application/json; charset=\"latin1\"",
            "application/json; charset='latin1'",
            "application/json; CharSet = windows-1252 ; v=1",
            "application/json; v=\"a;charset=utf-8,b\"; charset=cp1252",
            "application/json; charset=\"iso\\-8859-1\"",
            "text/html, application/json; charset=iso-8859-1",
            "; charset=l1",
            "charset=l1",
        ] {
            // As UTF-8 it would be one other character.
            assert_eq!(json(field, b"\"\xc3\xa9\"").unwrap(), "\"Ã©\"", "{field}");
        }
        assert_eq!(json("a/b; charset=gb2312", b"\"\xd6\xd0\xb9\xfa\"").unwrap(), "\"中国\"");
        assert_eq!(
            json("a/b; charset=shift_jis", b"\"\x83\x5c\"").unwrap(),
            "\"ソ\"",
            "its second byte is a \\"
        );
        assert_eq!(json("a/b; charset=koi8-r", b"\"\xcd\xc9\xd2\"").unwrap(), "\"мир\"");
        assert_eq!(json("a/b; charset=iso-2022-jp", b"\"\x1b$B\x46\x7c\x1b(B\"").unwrap(), "\"日\"");
    }

    #[test]
    fn utf8_declared_or_not_is_left_to_its_reader() {
        for field in [
            "application/json",
            "application/json; charset=utf-8",
            "application/json; charset=UTF8",
            "application/json; charset=\"\"",
            "application/json; charset=",
            "application/json; charset",
            "application/json; charset=utf-8; charset=\"UTF-8\"",
            "application/json; xcharset=latin1; note=\"charset=latin1\"",
        ] {
            let body = Bytes::from_static("\"é\"".as_bytes());
            let decoded = to_utf8(
                &typed(&[field]),
                &body,
                TextSettings { body_as: BodyAs::Json, cap: CAP, mask: &Mask::default() },
            )
            .unwrap();
            assert_eq!(decoded, None, "{field}");
        }
        assert_eq!(utf8(&[], b"\xff", BodyAs::Text).unwrap(), "\u{fffd}");
    }

    #[test]
    fn a_secret_that_is_repeated_as_a_charset_is_masked_before_the_field_is_read() {
        for secret in ["CanAry-Key", "Can;aRy", "'CanAry'", "a,CANARY", "Can\"Ary", "x charset"] {
            let mask = Mask::new(vec![secret.into()]);
            for field in [
                format!("a/b; charset={secret}"),
                format!("a/b; charset=\"{}\"", secret.replace('"', "\\\"")),
                format!("a/b; charset=latin1; charset={secret}"),
            ] {
                let body = Bytes::from_static(b"\"\xe9\"");
                let Err(fault) = to_utf8(
                    &typed(&[&field]),
                    &body,
                    TextSettings { body_as: BodyAs::Json, cap: CAP, mask: &mask },
                ) else {
                    continue;
                };
                let said = fault.detail.to_lowercase();
                assert!(!said.contains("can") && !said.contains("ary"), "{field}: {said}");
                assert!(said.contains("(redacted)") || said.contains("latin1"), "{field}: {said}");
            }
        }
        let fault = json("a/b; charset=Klingon-8", b"1").unwrap_err();
        assert!(fault.detail.contains("`Klingon-8`"), "as it was sent: {fault}");
    }

    #[test]
    fn a_byte_order_mark_wins_over_what_is_declared() {
        for field in ["a/b", "a/b; charset=iso-8859-1", "a/b; charset=utf-16be", "a/b; charset=klingon"] {
            for body_as in [BodyAs::Json, BodyAs::Text] {
                let little = utf16("\u{feff}\"é\"", u16::to_le_bytes);
                let big = utf16("\u{feff}\"é\"", u16::to_be_bytes);
                assert_eq!(utf8(&[field], &little, body_as).unwrap(), "\"é\"", "{field}");
                assert_eq!(utf8(&[field], &big, body_as).unwrap(), "\"é\"", "{field}");
                assert_eq!(
                    utf8(&[field], "\u{feff}\"é\"".as_bytes(), body_as).unwrap(),
                    "\u{feff}\"é\"",
                    "{field}"
                );
            }
        }
    }

    #[test]
    fn json_in_utf16_is_recognised_by_its_zero_bytes_where_nothing_is_declared() {
        for text in ["{\"é\":1}", "12", "\"中\"", "\"\u{3000}\""] {
            for field in ["application/json", "a/b; charset=utf-16"] {
                assert_eq!(json(field, &utf16(text, u16::to_le_bytes)).unwrap(), text, "{field}");
                assert_eq!(json(field, &utf16(text, u16::to_be_bytes)).unwrap(), text, "{field}");
            }
        }
        for short in [&b"1\0"[..], b"\x001", b"\0", b"[\0]"] {
            assert_eq!(json("application/json", short).unwrap().as_bytes(), short, "too short to tell");
        }
        let little = utf16("\"é\"", u16::to_le_bytes);
        assert_eq!(
            utf8(&["a/b"], &little, BodyAs::Text).unwrap().as_bytes()[..2],
            *b"\"\0",
            "text is not guessed"
        );
        assert_eq!(
            json("a/b; charset=utf-8", &little).unwrap().as_bytes()[..2],
            *b"\"\0",
            "declared otherwise"
        );
    }

    #[test]
    fn what_cannot_be_decoded_is_reported_by_name() {
        for (fields, body, why) in [
            (&["a/b; charset=Klingon"][..], &b"1"[..], "declares charset `Klingon`, which is not known"),
            (&["a/b; charset=binary"], b"1", "declares charset `binary`, which is not known"),
            (&["a/b; charset=utf-32"], b"1", "declares charset `utf-32`, which is not known"),
            (&["a/b; charset=hz-gb-2312"], b"1", "declares charset `hz-gb-2312`, which is not known"),
            (
                &["a/b; charset=utf-8", "a/b; charset=latin1"],
                b"1",
                "declares charset `utf-8` and charset `latin1`",
            ),
            (&["a/b; charset=koi8-r; charset=gbk"], b"1", "declares charset `koi8-r` and charset `gbk`"),
            (&["a/b; charset=us-ascii"], b"\"\xc3\xa9\"", "not valid us-ascii, at byte 1"),
            (&["a/b; charset=shift_jis"], b"\"a\xa0b\"", "not valid shift_jis, at byte 2"),
            (&["a/b; charset=gbk"], b"\"\xff\"  ", "not valid gbk, at byte 1"),
            (&["a/b; charset=utf-16le"], b"\"\0\0\xd8\"\0", "not valid utf-16le, at byte 2"),
            (&[], b"\xff\xfe\0\0\"\0\0\0", "UTF-32"),
            (&[], b"\0\0\xfe\xff\0\0\0\"", "UTF-32"),
            (&[], b"\0\0\0\"", "UTF-32"),
            (&[], b"\"\0\0\0", "UTF-32"),
        ] {
            let fault = utf8(fields, body, BodyAs::Json).unwrap_err();
            assert_eq!(fault.cause, Cause::Body, "{fault}");
            assert!(fault.detail.contains(why), "{fault}");
        }
        assert_eq!(utf8(&["a/b", "a/b; charset=latin1"], b"\xe9", BodyAs::Text).unwrap(), "é");
        assert_eq!(json("a/b; charset=ascii", b"[1]").unwrap(), "[1]");
    }

    #[test]
    fn json_that_breaks_off_inside_a_character_was_cut_and_text_is_not_valid() {
        for (field, body) in [("a/b; charset=gbk", &b"\"\xd6"[..]), ("a/b; charset=utf-16be", b"\0\"\x4e")] {
            assert_eq!(json(field, body).unwrap_err().cause, Cause::Cut);
            assert_eq!(utf8(&[field], body, BodyAs::Text).unwrap_err().cause, Cause::Body);
        }
    }

    #[test]
    fn the_cap_holds_for_the_decoded_body() {
        let headers = typed(&["a/b; charset=windows-1252"]);
        let body = Bytes::from(vec![0x80; 100_000]);
        for (cap, fits) in [(300_000, true), (299_999, false), (100_000, false)] {
            let decoded = to_utf8(
                &headers,
                &body,
                TextSettings { body_as: BodyAs::Text, cap: Size(cap), mask: &Mask::default() },
            );
            match decoded {
                Ok(text) => assert!(fits && text.unwrap() == "€".repeat(100_000)),
                Err(fault) => assert!(!fits && fault.cause == Cause::TooLarge, "{fault}"),
            }
        }
    }

    #[test]
    fn a_name_is_shown_without_secrets_and_control_characters() {
        let headers = typed(&["a/b; charset=\"Canary-123\tx\""]);
        let mask = Mask::new(vec!["canary-123".into()]);
        let fault =
            to_utf8(&headers, &"1".into(), TextSettings { body_as: BodyAs::Json, cap: CAP, mask: &mask })
                .unwrap_err();
        assert!(!fault.detail.contains("canary") && !fault.detail.contains('\t'), "{fault}");
    }

    proptest! {
        #[test]
        fn text_is_decoded_from_every_encoding_that_can_hold_it(
            label in prop::sample::select(vec![
                "windows-1252", "gb18030", "big5", "euc-kr", "shift_jis", "euc-jp", "koi8-u", "iso-8859-15",
            ]),
            text in "[a-z\\\\\"é中日ソ한ж€]{0,40}",
        ) {
            let encoding = Encoding::for_label(label.as_bytes()).unwrap();
            let can_hold = |char: &char| !encoding.encode(char.encode_utf8(&mut [0; 4])).2;
            let text: String = text.chars().filter(can_hold).collect();
            let (bytes, ..) = encoding.encode(&text);
            let field = format!("text/plain; charset={label}");
            prop_assert_eq!(utf8(&[&field], &bytes, BodyAs::Text).unwrap(), text);
        }

        #[test]
        fn no_header_and_no_body_panics_and_the_result_is_utf8_unless_passed_on(
            field in "[a-z/;,=\" '\\\\0-9-]{0,30}|a/b; ?charset=[\"']?[a-z0-9-]{0,12}",
            body in proptest::collection::vec(any::<u8>(), 0..60),
            is_json: bool,
        ) {
            let body_as = if is_json { BodyAs::Json } else { BodyAs::Text };
            let headers = typed(&[&field]);
            let body = Bytes::from(body);
            let decoded = to_utf8(&headers, &body, TextSettings { body_as, cap: CAP, mask: &Mask::default() });
            if let Ok(Some(text)) = decoded {
                prop_assert!(std::str::from_utf8(&text).is_ok());
            }
            for_people(&headers, &body);
        }
    }
}
