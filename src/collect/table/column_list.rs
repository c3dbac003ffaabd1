//! `--columns`: `name=.name, price=.price.amount`, a jq filter for each column.
//!
//! A name ends at the first `=`; one that holds a comma or a `=` stands in double quotes, as a JSON string. A filter ends
//! at a comma that is in no bracket, no string and no comment. So a comma of jq itself, which would give a column several
//! values, needs brackets around it.

use crate::model::display_safe;

/// Characters of a part that a message shows.
const SHOWN: usize = 60;

/// A column that the user named, with its filter, not yet compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name in the header.
    pub name: String,
    /// Makes its cell of a body.
    pub filter: String,
}

/// Why a text is no list of columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ColumnListError {
    #[error("it names no column: write 'name=.name, price=.price.amount'")]
    Empty,
    #[error(
        "`{part}` has no name before it: write {meant}; a comma inside a filter needs ( ) around the filter"
    )]
    NoName { part: String, meant: String },
    #[error("the column `{name}` has no filter: write {name}=.{name}")]
    NoFilter { name: String },
    #[error("{0} is no name in double quotes: inside them, \\\" is a quote, and = follows them")]
    Quoting(String),
    #[error("the name of a column is empty, or has a line end or another control character in it")]
    Name,
    #[error("there are two columns `{0}`: give each a name of its own")]
    Twice(String),
}

/// The columns of a list, in its order.
pub(crate) fn parse_columns(text: &str) -> Result<Vec<TableColumn>, ColumnListError> {
    let mut columns: Vec<TableColumn> = Vec::new();
    let mut rest = next_column(text);
    while !rest.is_empty() {
        let (name, after) = name(rest)?;
        let end = filter_end(after);
        let filter = after[..end].trim().to_owned();
        if filter.is_empty() {
            return Err(ColumnListError::NoFilter { name: display_safe(&name, SHOWN) });
        }
        if columns.iter().any(|column| column.name == name) {
            return Err(ColumnListError::Twice(display_safe(&name, SHOWN)));
        }
        columns.push(TableColumn { name, filter });
        rest = next_column(&after[end..]);
    }
    if columns.is_empty() { Err(ColumnListError::Empty) } else { Ok(columns) }
}

/// The text from its next column on: commas that are too many, and comments between columns, harm nothing.
fn next_column(text: &str) -> &str {
    let rest = text.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    match rest.strip_prefix('#') {
        Some(comment) => next_column(comment.split_once('\n').map_or("", |(_, rest)| rest)),
        None => rest,
    }
}

/// The name that a text begins with, and what follows its `=`.
fn name(text: &str) -> Result<(String, &str), ColumnListError> {
    let (name, filter) = if text.starts_with('"') {
        let bad = || ColumnListError::Quoting(display_safe(text, SHOWN));
        let mut names = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let name = names.next().and_then(Result::ok).ok_or_else(bad)?;
        let after = text[names.byte_offset()..].trim_start();
        (name, after.strip_prefix('=').ok_or_else(bad)?)
    } else {
        let part = &text[..filter_end(text)];
        match part.find('=').map(|at| text.split_at(at)) {
            Some((name, filter)) if !filter.starts_with("==") => (name.trim().to_owned(), &filter[1..]),
            _ => {
                let part = part.trim();
                return Err(ColumnListError::NoName { part: display_safe(part, SHOWN), meant: meant(part) });
            }
        }
    };
    if name.is_empty() || name.contains(char::is_control) {
        return Err(ColumnListError::Name);
    }
    Ok((name, filter))
}

/// What was probably meant by a filter without a name: `.price.amount` is `amount=.price.amount`.
fn meant(part: &str) -> String {
    let is_path = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let path = part.trim_start_matches('.');
    match path.rsplit('.').next().filter(|name| !name.is_empty() && is_path(path)) {
        Some(name) => format!("{name}=.{path}"),
        None => "name=FILTER".into(),
    }
}

/// Where the filter ends that a text begins with: at the first comma outside brackets, strings and comments.
fn filter_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    // The brackets and quotes that are open.
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (byte, open.last()) {
            (b'\\', Some(b'"')) => {
                // A value inside the string, or a character that means something else without the backslash.
                if bytes.get(at) == Some(&b'(') {
                    open.push(b'(');
                }
                at += 1;
            }
            (b'"', Some(b'"')) | (b')' | b']' | b'}', Some(b'(' | b'[' | b'{')) => {
                open.pop();
            }
            (_, Some(b'"')) => {}
            (b'"' | b'(' | b'[' | b'{', _) => open.push(byte),
            (b'#', _) => at += memchr::memchr(b'\n', &bytes[at..]).unwrap_or(bytes.len() - at),
            (b',', None) => return at - 1,
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn columns(text: &str) -> Vec<(String, String)> {
        let columns = parse_columns(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        columns.into_iter().map(|TableColumn { name, filter }| (name, filter)).collect()
    }

    #[test]
    fn names_and_filters_are_told_apart() {
        for (text, expected) in [
            ("name=.name", &[("name", ".name")][..]),
            (
                " name = .name ,\n net price=.price.amount, ",
                &[("name", ".name"), ("net price", ".price.amount")],
            ),
            ("a=[.b, .c], d=.d", &[("a", "[.b, .c]"), ("d", ".d")]),
            ("a=(.b, .c | tostring), d={x: 1, y: 2}", &[("a", "(.b, .c | tostring)"), ("d", "{x: 1, y: 2}")]),
            (r#"a=.b + ", \"c, " , d=.["e, f"]"#, &[("a", r#".b + ", \"c, ""#), ("d", r#".["e, f"]"#)]),
            (r#"a="x\(.b, ")", [","])y, z", d=1"#, &[("a", r#""x\(.b, ")", [","])y, z""#), ("d", "1")]),
            (r#""a, b=\"c\"" = .x, "ü"=.y"#, &[("a, b=\"c\"", ".x"), ("ü", ".y")]),
            ("a=.b == 1, c=.d != 2", &[("a", ".b == 1"), ("c", ".d != 2")]),
            ("# all\na=.b, # one\n# two, x=1\n c=.c, # end", &[("a", ".b"), ("c", ".c")]),
            ("a=.b # not, this\n + 1, c=.c", &[("a", ".b # not, this\n + 1"), ("c", ".c")]),
            ("Preis (€)=.p, größe=.s", &[("Preis (€)", ".p"), ("größe", ".s")]),
            ("5\" pipe=.x, b=.c", &[("5\" pipe", ".x"), ("b", ".c")]),
            // What does not close is one filter, which jq then refuses.
            ("a=[.b, c=.c", &[("a", "[.b, c=.c")]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(n, f)| ((*n).to_owned(), (*f).to_owned())).collect();
            assert_eq!(columns(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused_with_what_to_type() {
        for (text, says) in [
            ("", "it names no column: write 'name=.name"),
            (" , ", "it names no column"),
            (".name", "`.name` has no name before it: write name=.name;"),
            ("price.amount", "write amount=.price.amount;"),
            ("a=.b, .c", "`.c` has no name before it: write c=.c;"),
            ("a=.b, .c == 1", "`.c == 1` has no name before it: write name=FILTER;"),
            ("a=if . then 1, 2 else 3 end", "`2 else 3 end` has no name before it"),
            ("a=", "the column `a` has no filter: write a=.a"),
            ("a=.b, c= ,d=.e", "the column `c` has no filter"),
            ("a=.b, a=.c", "there are two columns `a`"),
            ("=.b", "the name of a column is empty"),
            ("\"a\nb\"=.b", "\"a\\u{a}b\"=.b is no name in double quotes"),
            ("\"a\\nb\"=.b", "the name of a column is empty, or has a line end"),
            ("\"a=.b", "is no name in double quotes"),
            ("\"a\" .b", "is no name in double quotes"),
        ] {
            let error = parse_columns(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a=\"\\\\(\\[{}\\]),#\n .é]{0,20}") {
            let _ = parse_columns(&text);
        }

        #[test]
        fn a_list_is_taken_apart_as_it_was_put_together(
            parts in proptest::collection::vec((".{1,8}", prop_oneof![
                Just(".a"), Just("[.a, .b]"), Just("{a: .b, c: (.d, .e)}"), Just("\"x, \\(.a, \"]\") \\\" [\""),
                Just(".[\", \"] | map(., 1)"), Just("(.a, .b)"), Just("1 == 2"),
            ]), 1..6),
        ) {
            let mut list = Vec::new();
            let mut expected: Vec<TableColumn> = Vec::new();
            for (index, (name, filter)) in parts.iter().enumerate() {
                let name = format!("{}{index}", name.replace(char::is_control, " "));
                list.push(format!("{} = {filter}", serde_json::to_string(&name).unwrap()));
                expected.push(TableColumn { name, filter: (*filter).to_owned() });
            }
            prop_assert_eq!(parse_columns(&list.join(" , ")), Ok(expected));
        }
    }
}
