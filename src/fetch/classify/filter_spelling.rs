//! Filters in other notations: a bare name, `JSONPath`, a JSON pointer. Their jq is suggested, if it can be compiled.

use super::select::Select;

/// The jq filter that was probably meant by a text that is none.
#[must_use]
pub(crate) fn filter_meant(text: &str) -> Option<String> {
    let text = text.trim();
    // Quotes that a shell without single quotes leaves.
    let bare = text.trim_matches(['\'', '"']).trim();
    let guesses = [
        json_path(bare),
        json_pointer(bare),
        slashes(bare),
        list(bare),
        member(bare),
        Some(bare.to_owned()),
        closed(bare),
    ];
    guesses.into_iter().flatten().find(|guess| guess != text && Select::compile(guess).is_ok())
}

/// `$.price`, `$['a b']`, `$.items[*].id`, `$..price`.
fn json_path(text: &str) -> Option<String> {
    let path = text.strip_prefix('$').filter(|path| path.is_empty() || path.starts_with(['.', '[']))?;
    let path = path.replace("[*]", "[]").replace(".*", "[]").replace("['", "[\"").replace("']", "\"]");
    if let Some(anywhere) = path.strip_prefix("..") {
        return Some(format!("[.. | .{anywhere}? // empty]"));
    }
    member(&path).or_else(|| Some(if path.starts_with('.') { path } else { format!(".{path}") }))
}

/// `/items/0/id`
fn json_pointer(text: &str) -> Option<String> {
    let path = text.strip_prefix('/')?;
    let part = |part: &str| {
        let part = part.replace("~1", "/").replace("~0", "~");
        let is_index = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_index { format!("[{part}]") } else { field(&part) }
    };
    let filter: String = path.split('/').map(part).collect();
    Some(if filter.starts_with('[') { format!(".{filter}") } else { filter })
}

/// `items/0/id`
fn slashes(text: &str) -> Option<String> {
    text.contains('/').then(|| json_pointer(&format!("/{text}"))).flatten()
}

/// `{name, price`: the brackets that are open at the end are closed.
fn closed(text: &str) -> Option<String> {
    let mut open = Vec::new();
    let mut in_string = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                chars.next();
            }
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' => open.push('}'),
            '[' => open.push(']'),
            '(' => open.push(')'),
            '}' | ']' | ')' if open.pop() != Some(c) => return None,
            _ => {}
        }
    }
    let closing: String = open.into_iter().rev().collect();
    (!in_string && !closing.is_empty()).then(|| format!("{text}{closing}"))
}

/// `name,price` or `name, price`
fn list(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(',').map(|part| part.trim().trim_start_matches('.')).collect();
    let is_list = parts.len() > 1 && parts.iter().all(|part| is_name(part));
    is_list.then(|| format!("{{{}}}", parts.join(", ")))
}

/// `price`, `offer.price`, `.net-price`, `items[0].id`
fn member(text: &str) -> Option<String> {
    let parts = text.strip_prefix('.').unwrap_or(text).split('.').map(|part| {
        let (name, index) = part.split_at(part.find('[').unwrap_or(part.len()));
        let is_field = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_- ".contains(c));
        is_field.then(|| field(name) + index)
    });
    parts.collect::<Option<String>>()
}

fn field(name: &str) -> String {
    if is_name(name) { format!(".{name}") } else { format!(".{}", serde_json::Value::from(name)) }
}

/// Whether jq reads it as the name of a field after a dot.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(all(test, feature = "jq"))]
mod tests {
    use super::*;

    #[test]
    fn other_notations_have_their_jq() {
        for (text, expected) in [
            ("name", Some(".name")),
            ("offer.price", Some(".offer.price")),
            ("items[0].id", Some(".items[0].id")),
            (".net-price", Some(".\"net-price\"")),
            ("net price", Some(".\"net price\"")),
            ("data/items", Some(".data.items")),
            ("items/0/id", Some(".items[0].id")),
            ("{name, price", Some("{name, price}")),
            ("[.items[] | {id", Some("[.items[] | {id}]")),
            ("[.a)", None),
            (".\"a[", None),
            ("name,price", Some("{name, price}")),
            ("$.price", Some(".price")),
            ("$", Some(".")),
            ("$.items[*].id", Some(".items[].id")),
            ("$['a b'].c", Some(".[\"a b\"].c")),
            ("$..price", Some("[.. | .price? // empty]")),
            ("/items/0/id", Some(".items[0].id")),
            ("'.price'", Some(".price")),
            ("{", Some("{}")),
            (".a |", None),
        ] {
            assert_eq!(filter_meant(text).as_deref(), expected, "{text}");
        }
    }
}
