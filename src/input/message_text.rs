//! Text from the input or the command line, made safe for messages.

/// Escapes what is not printable.
pub(super) fn escaped(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => clean.push(c),
            _ => clean.extend(c.escape_debug()),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_reaches_the_terminal_unescaped() {
        assert_eq!(escaped("a\u{1b}[31m\u{202e}é\"'\\\n"), "a\\u{1b}[31m\\u{202e}é\"'\\\\n");
    }
}
