//! Untrusted text made safe for display, and numbers formatted.
//!
//! Text of a server or a CSV may contain characters that control a terminal (colours, titles, cursor moves),
//! reorder the text around them, or are invisible. They are displayed escaped, `\u{1b}`, so that a message
//! cannot mislead or control the terminal.

/// Untrusted text for display: characters that control, reorder or hide are written as `\u{…}`. The result
/// has at most `max_chars` characters, the last one `…` if some were left out (never a part of an escape).
/// Backslashes are not escaped: the result is to be read, not parsed.
#[must_use]
pub(crate) fn display_safe(text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    let mut room = max_chars;
    // Where to cut if the text is too long: the last position with room for the `…`.
    let mut cut = 0;
    for c in text.chars() {
        if room > 0 {
            cut = shown.len();
        }
        let width = if acts(c) { c.escape_unicode().len() } else { 1 };
        if width > room {
            shown.truncate(cut);
            if max_chars > 0 {
                shown.push('…');
            }
            break;
        }
        room -= width;
        if width == 1 {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// Characters that are escaped.
pub(super) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, combining grapheme joiner, Arabic letter mark.
            '\u{AD}' | '\u{34F}' | '\u{61C}'
            // Invisible fillers and vowels; the Mongolian separators.
            | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{3164}' | '\u{FFA0}'
            // Zero-width space, joiners, direction marks; line and paragraph separators, embeddings and
            // overrides; word joiner, invisible operators, isolates and deprecated format characters.
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            // Byte-order mark, interlinear annotations, and tags that can hide text.
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// `1234567` as `1,234,567`.
#[must_use]
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with its noun: `1 retry`, `41 retries`.
#[must_use]
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_and_not_sent() {
        let table = [
            ("plain é 重 😀 \\n", "plain é 重 😀 \\n"),
            ("\x1b[31mred\x07", r"\u{1b}[31mred\u{7}"),
            ("a\r\n\tb\0", r"a\u{d}\u{a}\u{9}b\u{0}"),
            ("\u{9b}2J\u{7f}\u{85}", r"\u{9b}2J\u{7f}\u{85}"),
            ("\u{202e}gpj.exe\u{202c}", r"\u{202e}gpj.exe\u{202c}"),
            ("\u{2066}x\u{2069}\u{61c}", r"\u{2066}x\u{2069}\u{61c}"),
            ("a\u{200b}b\u{feff}c\u{ad}", r"a\u{200b}b\u{feff}c\u{ad}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("\u{e0041}", r"\u{e0041}"),
        ];
        for (text, shown) in table {
            assert_eq!(display_safe(text, 100), shown);
        }
    }

    #[test]
    fn long_text_ends_in_an_ellipsis_within_its_limit() {
        assert_eq!(display_safe("abcdef", 6), "abcdef");
        assert_eq!(display_safe("abcdefg", 6), "abcde…");
        assert_eq!(display_safe("ééé", 2), "é…");
        assert_eq!(display_safe("a\x1bb", 7), r"a\u{1b}…".replace(r"\u{1b}", ""), "no half escape");
        assert_eq!(display_safe("a\x1b", 7), r"a\u{1b}");
        assert_eq!(display_safe("ab", 1), "…");
        assert_eq!(display_safe("a", 1), "a");
        assert_eq!(display_safe("a", 0), "");
        assert_eq!(display_safe("", 0), "");
    }

    proptest! {
        #[test]
        fn no_shown_text_acts_on_a_terminal_or_exceeds_its_limit(text in any::<String>(), max in 0_usize..40) {
            let shown = display_safe(&text, max);
            prop_assert!(!shown.chars().any(acts));
            prop_assert!(shown.chars().count() <= max);
        }

        #[test]
        fn text_that_fits_and_is_harmless_stays(text in "[ -~é重]{0,30}") {
            prop_assert_eq!(display_safe(&text, 30), text);
        }
    }
}
