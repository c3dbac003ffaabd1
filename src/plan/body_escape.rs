//! Escapes a value for a body, so that the server decodes exactly that value.

use std::fmt;
use std::str::FromStr;

use crate::json;
use crate::plan::encode::percent_encode_all;

/// How values are inserted into the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEscape {
    /// As the content of a JSON string (RFC 8259, section 7).
    Json,
    /// Percent-encoded, as in `application/x-www-form-urlencoded`.
    Form,
    /// With character references, as the content of an XML element or of an attribute.
    Xml,
    /// As they are.
    None,
}

impl FromStr for BodyEscape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "form" => Ok(Self::Form),
            "xml" => Ok(Self::Xml),
            "none" => Ok(Self::None),
            _ => Err(format!("`{text}` is not a way to escape values: json, form, xml or none")),
        }
    }
}

impl fmt::Display for BodyEscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Form => "form",
            Self::Xml => "xml",
            Self::None => "none",
        })
    }
}

impl BodyEscape {
    /// The escape of a media type, if it is a known one. Case, spaces and parameters are ignored.
    pub(super) fn of_content_type(value: &str) -> Option<Self> {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (_, subtype) = essence.split_once('/')?;
        match essence.as_str() {
            "application/json" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/xml" | "text/xml" => Some(Self::Xml),
            "text/plain" => Some(Self::None),
            _ if subtype.ends_with("+json") => Some(Self::Json),
            _ if subtype.ends_with("+xml") => Some(Self::Xml),
            _ => None,
        }
    }

    /// Appends the value. The error is a character that cannot be written; `out` then ends in a part of the
    /// value.
    pub(super) fn push(self, out: &mut String, value: &str) -> Result<(), char> {
        match self {
            Self::Json => push_json(out, value),
            Self::Form => percent_encode_all(out, value),
            Self::Xml => return push_xml(out, value),
            Self::None => out.push_str(value),
        }
        Ok(())
    }
}

fn push_json(out: &mut String, value: &str) {
    let mut quoted = Vec::with_capacity(value.len() + 2);
    json::escape_into(value, &mut quoted);
    out.push_str(&String::from_utf8_lossy(&quoted[1..quoted.len() - 1]));
}

/// XML 1.0, sections 2.2 and 2.11 and 3.3.3: parsers change line ends everywhere and white space in
/// attributes, unless they are written as references; and no reference stands for most control characters.
fn push_xml(out: &mut String, value: &str) -> Result<(), char> {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => return Err(c),
            _ => out.push(c),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_says_how_to_escape_whatever_its_case_spaces_and_parameters() {
        use BodyEscape::{Form, Json, None as AsItIs, Xml};
        for (value, expected) in [
            ("application/json", Some(Json)),
            ("Application/JSON ; charset=utf-8", Some(Json)),
            ("application/vnd.api+json", Some(Json)),
            ("application/x-www-form-urlencoded", Some(Form)),
            ("  APPLICATION/X-WWW-FORM-URLENCODED;charset=UTF-8", Some(Form)),
            ("text/xml", Some(Xml)),
            ("application/xml;charset=utf-8", Some(Xml)),
            ("application/soap+xml; action=\"a;b\"", Some(Xml)),
            ("text/plain", Some(AsItIs)),
            ("Text/Plain; format=flowed", Some(AsItIs)),
            ("multipart/form-data; boundary=application/json", None),
            ("text/csv", None),
            ("application/x-ndjson", None),
            ("application/graphql", None),
            ("application/octet-stream;application/json", None),
            ("json", None),
            ("+json", None),
            ("", None),
        ] {
            assert_eq!(BodyEscape::of_content_type(value), expected, "{value}");
        }
    }

    #[test]
    fn each_name_reads_back_as_it_is_shown() {
        for escape in [BodyEscape::Json, BodyEscape::Form, BodyEscape::Xml, BodyEscape::None] {
            assert_eq!(escape.to_string().parse(), Ok(escape));
        }
        for wrong in ["", "JSON", "html", "json "] {
            assert!(wrong.parse::<BodyEscape>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_way_writes_what_its_readers_need() {
        let written = |escape: BodyEscape, value| {
            let mut out = String::new();
            escape.push(&mut out, value).map(|()| out)
        };
        let value = "a&b=c d+é<\"'>\t\n%";
        assert_eq!(written(BodyEscape::Json, value).unwrap(), "a&b=c d+é<\\\"'>\\t\\n%");
        assert_eq!(written(BodyEscape::Form, value).unwrap(), "a%26b%3Dc%20d%2B%C3%A9%3C%22%27%3E%09%0A%25");
        assert_eq!(written(BodyEscape::Xml, value).unwrap(), "a&amp;b=c d+é&lt;&quot;&#39;&gt;&#9;&#10;%");
        assert_eq!(written(BodyEscape::None, value).unwrap(), value);
    }

    #[test]
    fn exactly_what_xml_cannot_carry_is_refused() {
        for c in ['\0', '\u{1}', '\u{8}', '\u{b}', '\u{1f}', '\u{fffe}', '\u{ffff}'] {
            assert_eq!(BodyEscape::Xml.push(&mut String::new(), &format!("a{c}")), Err(c));
        }
        for c in ['\t', '\n', '\r', ' ', '\u{7f}', '\u{85}', '\u{d7ff}', '\u{e000}', '\u{fffd}', '😀'] {
            assert_eq!(BodyEscape::Xml.push(&mut String::new(), &format!("a{c}")), Ok(()), "{c:?}");
        }
    }
}
