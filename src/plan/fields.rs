//! The fields of a query, a form or a JSON body: what is written out in their values, with their names.

use crate::plan::template::{BoundPart, TemplatePart};

/// The fields of `name=value&name=value`; a column may stand between two of these texts.
pub(super) fn of_form<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<(String, &'t str)> {
    let mut found = Vec::new();
    let mut is_value = false;
    let mut name = String::new();
    for text in texts {
        for (index, pair) in text.split('&').enumerate() {
            if index > 0 {
                name.clear();
                is_value = false;
            }
            let value = match pair.split_once('=') {
                _ if is_value => pair,
                None => {
                    name.push_str(pair);
                    continue;
                }
                Some((more, value)) => {
                    name.push_str(more);
                    is_value = true;
                    value
                }
            };
            found.push((name.clone(), value));
        }
    }
    found
}

/// The fields of JSON, as they are written: names and values may hold escapes. The elements of an array have its name.
pub(super) fn of_json(parts: &[BoundPart]) -> Vec<(String, String)> {
    let mut fields = JsonFields::default();
    for part in parts {
        match part {
            TemplatePart::Text(text) => text.chars().for_each(|c| fields.character(c)),
            TemplatePart::Column(_) => fields.end_text(),
        }
    }
    fields.end_value();
    fields.found
}

/// Reads JSON from left to right. Text that is not JSON gives any fields, and no error.
#[derive(Default)]
struct JsonFields {
    found: Vec<(String, String)>,
    /// The name that counts here.
    name: String,
    /// What is written out of the string, number or word that was read last: a column ends one text.
    texts: Vec<String>,
    text: String,
    is_inside: bool,
    is_escaped: bool,
}

impl JsonFields {
    fn character(&mut self, c: char) {
        match c {
            '"' if self.is_inside && !self.is_escaped => {
                self.is_inside = false;
                self.end_text();
            }
            _ if self.is_inside => {
                self.is_escaped = c == '\\' && !self.is_escaped;
                self.text.push(c);
            }
            '"' => {
                self.end_value();
                self.is_inside = true;
            }
            ':' => {
                self.end_text();
                self.name = self.texts.drain(..).collect();
            }
            ',' | '{' | '}' | '[' | ']' => self.end_value(),
            _ if c.is_whitespace() => self.end_text(),
            _ => self.text.push(c),
        }
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.texts.push(std::mem::take(&mut self.text));
        }
    }

    fn end_value(&mut self) {
        self.end_text();
        let name = &self.name;
        self.found.extend(self.texts.drain(..).map(|text| (name.clone(), text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{}` stands for a column.
    fn of(template: &str) -> Vec<(String, String)> {
        let mut parts = Vec::new();
        for (index, text) in template.split("{}").enumerate() {
            if index > 0 {
                parts.push(TemplatePart::Column(0));
            }
            parts.push(TemplatePart::Text(text.into()));
        }
        of_json(&parts)
    }

    #[test]
    fn values_of_json_are_found_with_their_names() {
        for (template, expected) in [
            (r#"{"a":"b","c":{"d":"e f"},"g":7}"#, &[("a", "b"), ("d", "e f"), ("g", "7")][..]),
            (r#"{ "a" : [ "b" , "c" , 1.5 ] }"#, &[("a", "b"), ("a", "c"), ("a", "1.5")]),
            (r#"{"a":"b{}c","{}d":"e"}"#, &[("a", "b"), ("a", "c"), ("d", "e")]),
            (r#"{"a\"b":"c\\","d":"e"}"#, &[(r#"a\"b"#, r"c\\"), ("d", "e")]),
            (r#"{"a":{},"b":-{},"c":true}"#, &[("b", "-"), ("c", "true")]),
            (r#""a""#, &[("", "a")]),
            (r#"{"a":"b"#, &[("a", "b")]),
            ("", &[]),
        ] {
            let found = of(template);
            let found: Vec<_> = found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            assert_eq!(found, expected, "{template}");
        }
    }

    #[test]
    fn values_of_a_form_are_found_with_their_names() {
        let found = of_form(["a=b&c=", "d=e&f", "g=h&&=i"].into_iter());
        let found: Vec<_> = found.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        assert_eq!(found, [("a", "b"), ("c", ""), ("c", "d=e"), ("fg", "h"), ("", "i")]);
    }
}
