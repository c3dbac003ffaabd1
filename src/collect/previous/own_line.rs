//! Takes a SKU's line apart that is laid out as skufetch writes it: by its fixed beginning and one check of its body.
//!
//! What another tool laid out, and what an odd key or value makes ambiguous, is left to the general reader
//! ([`crate::collect::previous::members`]), which reads each byte several times. Both give the same for what both take.

use std::borrow::Cow;

use crate::collect::files::cursor::{Cursor, NULL};
use crate::collect::previous::stored_sku::Stored;
use crate::collect::settings::{Format, Shape};
use crate::json::compacted;

/// The key and the value of `"KEY":VALUE` in the JSON format, or of the object of a line in the other one. `None` where
/// it is not laid out as skufetch writes it, or its key has escapes.
pub(crate) fn own_line(text: &[u8], format: Format) -> Option<(&str, Stored<'_>)> {
    let mut rest = Cursor(text);
    if format == Format::Jsonl {
        rest.expect(KEY)?;
    }
    let key = serde_json::from_slice(rest.string()?).ok()?;
    let stored = match format {
        Format::Json => {
            rest.expect(b":")?;
            own_value(rest.0, format)?
        }
        Format::Jsonl => own_value(text, format)?,
        Format::Csv => return None,
    };
    Some((key, stored))
}

/// The start of a line of JSON Lines.
const KEY: &[u8] = b"{\"key\":";

/// The value of a SKU: what follows the key in the JSON format, or the object of a line in the other one. `None` where
/// it is not laid out as skufetch writes it.
pub(crate) fn own_value(value: &[u8], format: Format) -> Option<Stored<'_>> {
    let mut rest = Cursor(value);
    match format {
        Format::Json if rest.take(b"{\"status\":") => record(rest),
        Format::Json => plain(value),
        Format::Jsonl => {
            rest.expect(KEY)?;
            rest.string().filter(|key| is_compact(key))?;
            rest.expect(b",")?;
            if rest.take(BODY) {
                return plain(rest.0.strip_suffix(b"}")?);
            }
            rest.expect(b"\"status\":")?;
            record(rest)
        }
        Format::Csv => None,
    }
}

/// The name of the last member.
const BODY: &[u8] = b"\"body\":";

/// A value without a record.
fn plain(body: &[u8]) -> Option<Stored<'_>> {
    is_compact(body).then_some(Stored { shape: Shape::Body, status: None, body: Some(Cow::Borrowed(body)) })
}

/// A record, from its status on.
fn record(mut rest: Cursor<'_>) -> Option<Stored<'_>> {
    let status = rest.word().filter(|status| *status == NULL || is_compact(status))?;
    rest.expect(b",\"fetched_at\":")?;
    rest.nullable().filter(|at| is_compact(at))?;
    rest.expect(b",\"attempts\":")?;
    rest.word().filter(|attempts| is_compact(attempts))?;
    rest.expect(b",")?;
    let has_body = rest.take(BODY);
    if !has_body {
        rest.expect(b"\"error\":")?;
    }
    let last = rest.0.strip_suffix(b"}").filter(|last| is_compact(last))?;
    let status = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok());
    Some(Stored { shape: Shape::Record, status, body: has_body.then_some(Cow::Borrowed(last)) })
}

/// Whether all of the text is one JSON value without white space between its tokens.
fn is_compact(text: &[u8]) -> bool {
    matches!(compacted(text), Ok(Cow::Borrowed(value)) if value.len() == text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collect::previous::members::{Malformed, compact_value};
    use crate::collect::previous::old_output::{key_of_line, member};
    use crate::collect::previous::stored::take_apart_any;

    /// As the general reader takes it: the key, the compact text, and what is stored.
    fn general(text: &[u8], format: Format) -> Result<(String, Stored<'static>), Malformed> {
        let mut compact = Vec::new();
        let key = if format == Format::Json {
            let (key, value) = member(text)?;
            compact_value(&value, &mut compact)?;
            key
        } else {
            compact_value(text, &mut compact)?;
            key_of_line(&compact)?
        };
        let Stored { shape, status, body } = take_apart_any(&compact, format)?;
        Ok((key, Stored { shape, status, body: body.map(|body| Cow::Owned(body.into_owned())) }))
    }

    fn body(text: &str, format: Format) -> Option<String> {
        let (_, stored) = own_line(text.as_bytes(), format)?;
        stored.body.map(|body| String::from_utf8(body.into_owned()).unwrap())
    }

    #[test]
    fn each_layout_of_ours_is_taken() {
        let record = |last: &str| {
            format!("\"status\":404,\"fetched_at\":\"2026-11-30T00:00:00Z\",\"attempts\":3,{last}")
        };
        let (answer, failure) = (record("\"body\":[1.10,\"}\"]"), record("\"error\":\"no \\\"x\\\"\""));
        for (text, format, shape, expected) in [
            ("\"A\":{\"a\":[1.10]}".to_owned(), Format::Json, Shape::Body, Some("{\"a\":[1.10]}")),
            ("\"Ä :\":null".to_owned(), Format::Json, Shape::Body, Some("null")),
            (format!("\"A\":{{{answer}}}"), Format::Json, Shape::Record, Some("[1.10,\"}\"]")),
            (format!("\"A\":{{{failure}}}"), Format::Json, Shape::Record, None),
            ("{\"key\":\"A\",\"body\":\"x\"}".to_owned(), Format::Jsonl, Shape::Body, Some("\"x\"")),
            (format!("{{\"key\":\"A\",{answer}}}"), Format::Jsonl, Shape::Record, Some("[1.10,\"}\"]")),
            (format!("{{\"key\":\"A\",{failure}}}"), Format::Jsonl, Shape::Record, None),
        ] {
            let (key, stored) = own_line(text.as_bytes(), format).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(stored.body.as_deref(), expected.map(str::as_bytes), "{text}");
            assert_eq!((stored.shape, stored.status), (shape, (shape == Shape::Record).then_some(404)));
            assert_eq!(general(text.as_bytes(), format).unwrap(), (key.to_owned(), stored));
        }
    }

    #[test]
    fn what_is_laid_out_in_another_way_is_left_to_the_general_reader() {
        for text in [
            "\"A\": 1",
            "\"A\":1 ",
            "\"A\":[1, 2]",
            "\"\\u0041\":1",
            "\"A\":1,\"B\":2",
            "\"A\":",
            "\"A\":{\"status\":200,\"body\":1}",
            "\"A\":{\"status\":200,\"fetched_at\":\"\",\"attempts\":1,\"body\":1,\"body\":2}",
            "\"A\":{\"status\":02,\"fetched_at\":\"\",\"attempts\":1,\"body\":1}",
            "\"A\":{\"status\":200,\"fetched_at\":\"\",\"attempts\":,\"body\":1}",
            "\"A\":{\"status\":200,\"fetched_at\":\"\u{1}\",\"attempts\":1,\"body\":1}",
            "\"A\":{\"status\":200,\"fetched_at\":\"\\x\",\"attempts\":1,\"body\":1}",
        ] {
            assert_eq!(body(text, Format::Json), None, "{text}");
        }
        for text in [
            "{\"key\":\"A\",\"body\":1,\"body\":2}",
            "{\"body\":1,\"key\":\"A\"}",
            "{\"key\":\"A\",\"body\":1}{\"key\":\"B\",\"body\":1}",
            "{\"key\":\"A\"}",
            "{\"key\":1,\"body\":1}",
        ] {
            assert_eq!(body(text, Format::Jsonl), None, "{text}");
        }
    }

    /// Pieces of lines, right and wrong ones.
    const PIECES: &[&str] = &[
        "{\"key\":",
        "\"K\"",
        ":",
        "{\"status\":",
        ",\"status\":",
        "200",
        "null",
        ",\"fetched_at\":",
        "\"\"",
        ",\"attempts\":",
        "1",
        ",\"body\":",
        ",\"error\":",
        "[1]",
        "{\"a\":\"}\"}",
        "}",
        "{",
        "]",
        ",",
        " ",
        "01",
        "\"\\u0041\"",
        "\"\u{1}\"",
        "x",
        "\"",
    ];
    /// The pieces of whole lines.
    const LINES: [(Format, &[usize]); 6] = [
        (Format::Json, &[1, 2, 14]),
        (Format::Json, &[1, 2, 3, 5, 7, 8, 9, 10, 11, 13, 15]),
        (Format::Json, &[1, 2, 3, 6, 7, 8, 9, 10, 12, 8, 15]),
        (Format::Jsonl, &[0, 1, 11, 14, 15]),
        (Format::Jsonl, &[0, 1, 4, 5, 7, 8, 9, 10, 11, 13, 15]),
        (Format::Jsonl, &[0, 1, 4, 5, 7, 8, 9, 10, 12, 8, 15]),
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_is_taken_is_what_the_general_reader_takes(
            line in prop::sample::select(&LINES[..]), edits in prop::collection::vec((0_usize..12, 0_usize..3, 0..PIECES.len()), 0..3),
        ) {
            let (format, pieces) = line;
            let mut pieces = pieces.to_vec();
            for (at, kind, piece) in edits {
                let at = at % pieces.len();
                match kind {
                    0 => pieces[at] = piece,
                    1 => pieces.insert(at, piece),
                    _ => drop((pieces.len() > 1).then(|| pieces.remove(at))),
                }
            }
            let text: String = pieces.iter().map(|&piece| PIECES[piece]).collect();
            if let Some((key, stored)) = own_line(text.as_bytes(), format) {
                let (general_key, general) = general(text.as_bytes(), format).unwrap();
                prop_assert_eq!((general_key.as_str(), &general), (key, &stored), "{}", text);
                let mut compact = Vec::new();
                let value = if format == Format::Json { &text[text.find(':').unwrap() + 1..] } else { &text };
                prop_assert!(compact_value(value.as_bytes(), &mut compact).is_ok());
                prop_assert_eq!(&compact, value.as_bytes());
            }
        }
    }
}
