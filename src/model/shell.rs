//! Words for a POSIX shell.

use std::fmt::Write as _;

use crate::model::display::acts;

/// The text as one word of a POSIX shell, which can be copied from a message as it is shown. Characters that act on a
/// terminal, or look like others, are written as octal numbers for `printf`: `"$(printf 'a\011b')"`, since `$'a\tb'`
/// is no POSIX. Line ends at the end of the text are lost.
#[must_use]
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._/-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let is_shown = |c: char| !acts(c) && (c == ' ' || !c.is_whitespace());
    if text.contains('\'') && text.chars().all(|c| is_shown(c) && !"\"$`\\!".contains(c)) {
        return format!("\"{text}\"");
    }
    if text.chars().all(is_shown) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut format = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        match c {
            // It would begin an option of `printf`.
            '-' if at == 0 => format.push_str(r"\055"),
            '%' => format.push_str("%%"),
            '\\' => format.push_str(r"\\"),
            '\'' => format.push_str(r"\047"),
            _ if is_shown(c) => format.push(c),
            _ => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                let _ = write!(format, "\\{byte:03o}");
            }),
        }
    }
    format!("\"$(printf '{format}')\"")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_is_quoted_only_where_it_must_be() {
        for (text, word) in [
            ("sku", "sku"),
            ("Größe", "Größe"),
            ("Variant SKU", "'Variant SKU'"),
            ("it's", r#""it's""#),
            ("it's 5$", r"'it'\''s 5$'"),
            ("#3", "'#3'"),
            ("", "''"),
            ("\tRéf 5%", r#""$(printf '\011Réf 5%%')""#),
            ("a\u{a0}b", r#""$(printf 'a\302\240b')""#),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn a_shell_reads_the_text_back(text in "[a'\"\\\\$`!#%~* \t\r\n\u{1b}\u{a0}\u{200b}é重&;|<>(){}\\[\\]-]{0,12}") {
            let script = format!("printf %s {}", shell_word(&text));
            let out = Command::new("sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(out.stdout).unwrap(), text.trim_end_matches('\n'), "{}", script);
        }
    }
}
