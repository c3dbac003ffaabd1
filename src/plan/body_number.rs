//! Placeholders outside the strings of a JSON body: `{"n":[{sku}]}`.
//!
//! No escape preserves a value there: `1,2` would be two numbers, `null` no value, and `007` is not JSON.
//! Only numbers, `true` and `false` are accepted.

use serde::de::IgnoredAny;

use crate::plan::error::{PlanError, SyntaxFault, TemplateKind};
use crate::plan::template::TemplatePiece;

/// For each piece of a JSON body, whether it is a placeholder outside strings.
///
/// # Errors
/// A placeholder follows a backslash that would escape the first character of its value.
pub(super) fn bare_values(pieces: &[TemplatePiece]) -> Result<Vec<bool>, PlanError> {
    let mut scan = StringScan::default();
    pieces
        .iter()
        .map(|piece| match piece {
            TemplatePiece::Text(text) => {
                scan.text(text);
                Ok(false)
            }
            _ if scan.escaped > 0 => {
                Err(PlanError::Syntax { place: TemplateKind::Body, fault: SyntaxFault::InEscape })
            }
            // A value is escaped: it neither ends a string nor begins one.
            _ => Ok(!scan.is_inside),
        })
        .collect()
}

/// Whether these pieces are one or more JSON values, where each placeholder is replaced by a value that may stand there.
pub(super) fn is_json(pieces: &[TemplatePiece], is_bare: &[bool]) -> bool {
    let filled: String = pieces
        .iter()
        .zip(is_bare)
        .map(|(piece, is_bare)| match piece {
            TemplatePiece::Text(text) => text.as_str(),
            _ if *is_bare => "1",
            _ => "a",
        })
        .collect();
    let mut values = serde_json::Deserializer::from_str(&filled).into_iter::<IgnoredAny>().peekable();
    values.peek().is_some() && values.all(|value| value.is_ok())
}

/// Whether the value is `true`, `false`, or a JSON number that parsers can hold: `1e400` is none, nor is `1e-400`, which
/// would be read as 0.
pub(super) fn is_bare_scalar(value: &str) -> bool {
    if matches!(value, "true" | "false") {
        return true;
    }
    value.parse::<serde_json::Number>().is_ok()
        && value.parse::<f64>().is_ok_and(|number| {
            let mantissa = value.split(['e', 'E']).next().unwrap_or_default();
            number.is_finite() && (number.abs() > 0.0 || !mantissa.contains(|c| matches!(c, '1'..='9')))
        })
}

/// Reads literal text of JSON from left to right.
#[derive(Default)]
struct StringScan {
    is_inside: bool,
    /// The number of characters of an escape that are still to come.
    escaped: u8,
}

impl StringScan {
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                'u' if self.escaped == 1 => self.escaped = 4,
                _ if self.escaped > 0 => self.escaped -= 1,
                '"' => self.is_inside = !self.is_inside,
                '\\' if self.is_inside => self.escaped = 1,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{}` stands for a placeholder.
    fn bare(template: &str) -> Result<Vec<bool>, PlanError> {
        let mut pieces = Vec::new();
        for (index, text) in template.split("{}").enumerate() {
            if index > 0 {
                pieces.push(TemplatePiece::Column("sku".into()));
            }
            pieces.push(TemplatePiece::Text(text.into()));
        }
        Ok(bare_values(&pieces)?.into_iter().skip(1).step_by(2).collect())
    }

    #[test]
    fn a_placeholder_is_bare_outside_of_strings() {
        for (template, expected) in [
            (r#"{"n":[{}]}"#, &[true][..]),
            ("{}", &[true]),
            (r#"{"n":"{}","m":{},"{}":1}"#, &[false, true, false]),
            (r#"{"q":"p(sku: \"{}\")","n":{}}"#, &[false, true]),
            (r#"{"q":"C:\\{}","n":{}}"#, &[false, true]),
            (r#"{"q":"\u0022{}","n":{}}"#, &[false, true]),
            (r#"{"q":"\\","n":{}}"#, &[true]),
            ("\\{}", &[true]),
        ] {
            assert_eq!(bare(template).unwrap(), expected, "{template}");
        }
        for template in [r#""\{}""#, r#""\\\{}""#, r#""\u{}""#, r#""\u002{}""#] {
            let fault = PlanError::Syntax { place: TemplateKind::Body, fault: SyntaxFault::InEscape };
            assert_eq!(bare(template), Err(fault), "{template}");
        }
    }

    #[test]
    fn a_number_is_what_json_and_its_readers_take_for_one() {
        for value in [
            "0",
            "-0",
            "7",
            "3017620422003",
            "-1.50",
            "1e5",
            "2E-3",
            "0.0",
            "0e-999",
            "12345678901234567890",
            "true",
            "false",
        ] {
            assert!(is_bare_scalar(value), "{value}");
        }
        for value in [
            "", "-", "+1", "007", "-01", "1,2", "1 ", " 1", "1.", ".5", "1e", "0x1", "null", "NaN", "1e400",
            "-1e400", "1e-400", "1_0", "\u{ff11}", "1]", "inf", "True", "true ", "false,1",
        ] {
            assert!(!is_bare_scalar(value), "{value}");
        }
    }
}
