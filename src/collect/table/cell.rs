//! A value of an answer as the cell of a table.

use crate::collect::files::cursor::NULL;

/// The cell of a value, which is compact JSON: the text of a string, the digits of a number as they stand, nothing for
/// `null`, and of an array or an object its JSON.
///
/// # Errors
/// Why there is none.
pub(crate) fn cell_of(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    match value {
        NULL => Ok(Vec::new()),
        [b'"', ..] => {
            let text: String = serde_json::from_slice(value).map_err(|_| "its text cannot be read")?;
            if text.contains('\0') {
                return Err("its text has a NUL (U+0000) in it, which programs that read CSV refuse");
            }
            Ok(guarded_text(text))
        }
        _ => Ok(value.to_vec()),
    }
}

/// A text that no spreadsheet runs as a formula: one that begins with `=`, `+`, `-` or `@` gets an apostrophe before it,
/// unless it is a number. One that looks guarded already gets one more, so that taking one off gives the text again.
fn guarded_text(text: String) -> Vec<u8> {
    let begins = text.trim_start_matches('\'').starts_with(['=', '+', '-', '@']);
    if begins && !is_number(&text) { format!("'{text}").into_bytes() } else { text.into_bytes() }
}

/// `-1.10`, `+5`, `-2e3`: what a spreadsheet reads as a number, and nothing more.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.parse::<f64>().is_ok()
}

/// A cell of the input as UTF-8: bytes that are no text in it become U+FFFD. Only rows that fail or repeat another have
/// such cells.
pub(crate) fn as_text(cell: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(value: &str) -> String {
        String::from_utf8(cell_of(value.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_value_becomes_what_a_person_would_write() {
        for (value, expected) in [
            ("null", ""),
            ("\"\"", ""),
            ("true", "true"),
            ("1.10", "1.10"),
            ("9007199254740993", "9007199254740993"),
            ("1e400", "1e400"),
            ("-5", "-5"),
            ("\"a \\\"b\\\"\\n\\u00e9\"", "a \"b\"\né"),
            ("[1.10,\"x\"]", "[1.10,\"x\"]"),
            ("{\"a\":null}", "{\"a\":null}"),
        ] {
            assert_eq!(cell(value), expected, "{value}");
        }
    }

    #[test]
    fn a_text_is_no_formula_and_a_number_stays_one() {
        for (value, expected) in [
            ("\"=1+1\"", "'=1+1"),
            ("\"@SUM(A1)\"", "'@SUM(A1)"),
            ("\"+49 170 1\"", "'+49 170 1"),
            ("\"-5 °C\"", "'-5 °C"),
            ("\"-1.10\"", "-1.10"),
            ("\"+5\"", "+5"),
            ("\"-2e3\"", "-2e3"),
            ("\"-1+cmd\"", "'-1+cmd"),
            ("\"-1-1\"", "'-1-1"),
            ("\"-inf\"", "'-inf"),
            ("\"'=x\"", "''=x"),
            ("\"'x\"", "'x"),
            ("\"-\"", "'-"),
        ] {
            assert_eq!(cell(value), expected, "{value}");
        }
    }

    #[test]
    fn a_text_with_a_nul_is_no_cell() {
        assert!(cell_of(b"\"a\\u0000\"").unwrap_err().contains("NUL"));
    }
}
