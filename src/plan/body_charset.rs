//! The charset that a body declares. It is always sent as UTF-8: with another declaration the server would
//! read other characters, and so another key.

/// Names that fit UTF-8; US-ASCII is a subset of it.
const UTF8: [&str; 3] = ["utf-8", "utf8", "us-ascii"];

/// The first other charset that a `Content-Type` declares.
pub(super) fn other_in_content_type(value: &str) -> Option<&str> {
    let mut is_quoted = false;
    let parameters = value.split(|c| {
        is_quoted ^= c == '"';
        c == ';' && !is_quoted
    });
    let values = parameters.skip(1).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim_matches(['"', '\'', ' ', '\t']))
    });
    values.into_iter().find(|value| !value.is_empty() && !is_utf8(value))
}

/// The encoding of the XML declaration at the beginning of this text, if it is another one. The text may end
/// within the declaration, if a placeholder follows.
pub(super) fn other_in_xml(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    let declaration = text.strip_prefix("<?xml").filter(|rest| rest.starts_with(char::is_whitespace))?;
    let declaration = declaration.split_once("?>").map_or(declaration, |(inside, _)| inside);
    let (_, rest) = declaration.split_once("encoding")?;
    let value = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let value = &value[1..];
    let value = value.split_once(quote).map_or(value, |(inside, _)| inside);
    (!is_utf8(value)).then_some(value)
}

fn is_utf8(charset: &str) -> bool {
    UTF8.iter().any(|name| charset.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_charset_of_a_content_type_is_found_however_it_is_written() {
        for (value, expected) in [
            ("application/json", None),
            ("application/json; charset=utf-8", None),
            ("text/xml;charset=\"UTF-8\"", None),
            ("text/plain; CHARSET=Utf8; format=flowed", None),
            ("text/plain; charset=us-ascii", None),
            ("text/plain; charset=", None),
            ("text/plain; charset", None),
            ("text/plain; xcharset=latin1; note=\"a;charset=latin1\"", None),
            ("charset=latin1", None),
            ("application/x-www-form-urlencoded; charset=iso-8859-1", Some("iso-8859-1")),
            ("text/xml;a=1;Charset = 'windows-1252' ", Some("windows-1252")),
            ("text/xml; charset=\"UTF-16\"", Some("UTF-16")),
            ("text/xml; charset=utf-8; charset=gbk", Some("gbk")),
        ] {
            assert_eq!(other_in_content_type(value), expected, "{value}");
        }
    }

    #[test]
    fn another_encoding_of_an_xml_declaration_is_found() {
        for (text, expected) in [
            ("<a encoding='latin1'/>", None),
            ("<?xml version='1.0'?><a encoding='latin1'/>", None),
            ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", None),
            ("<?xml-stylesheet encoding='latin1'?>", None),
            ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>", Some("ISO-8859-1")),
            ("\u{feff} \n<?xml version='1.0' encoding = 'utf-16' standalone='yes'?>", Some("utf-16")),
            ("<?xml version='1.0' encoding='", Some("")),
        ] {
            assert_eq!(other_in_xml(text), expected, "{text}");
        }
    }
}
