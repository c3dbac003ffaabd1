//! Text from a CSV or a setting, escaped and shortened for messages.

/// The most characters shown of a value: enough to find it in the file, and short enough for one line.
const SHOWN: usize = 48;

/// The text in backticks, with everything that is not plainly visible escaped, cut after [`SHOWN`]
/// characters.
pub(super) fn quoted(text: &str) -> String {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    let more = if end < text.len() { "…" } else { "" };
    format!("`{}{more}`", escaped(&text[..end]))
}

/// The whole text, with everything that is not plainly visible escaped.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // `escape_debug` would escape these, which are harmless.
            '"' | '\'' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(quoted("a\t\x1b[31m\u{202e}\u{9b}é\"'"), "`a\\t\\u{1b}[31m\\u{202e}\\u{9b}é\"'`");
    }

    #[test]
    fn a_long_value_is_cut() {
        let shown = quoted(&"x".repeat(1000));
        assert_eq!(shown, format!("`{}…`", "x".repeat(48)));
        assert_eq!(quoted(&"x".repeat(48)), format!("`{}`", "x".repeat(48)));
    }
}
