//! Removes secrets from messages.
//!
//! A redacted URL has no query and no user-info, but its path may contain a variable (`/bot${TOKEN}/…`), and
//! a server or a proxy may repeat what it received. It seldom repeats it unchanged: it is percent-encoded in
//! a URL, escaped in JSON, and written with entities in HTML. So a secret is searched character by character,
//! each in any of these spellings.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

/// The replacement of a secret.
const REDACTED: &str = "(redacted)";

/// A secret with fewer characters is masked only as a word of its own: within words it would garble every
/// message.
pub(crate) const SHORTEST_INSIDE_WORDS: usize = 4;

/// This many characters at the end of a shortened text count as the beginning of a secret.
const SHORTEST_BEGINNING: usize = 3;

/// The longest way to write one character: `%F0%9F%98%80`, `\ud83d\ude00`.
const LONGEST_SPELLING: usize = 12;

/// The secrets of a run, to remove them from text. Cheap to clone, and cheap if there are none.
#[derive(Clone, Default)]
pub struct Mask(Option<Arc<SecretTexts>>);

struct SecretTexts {
    texts: Vec<SecretString>,
    /// The bytes that some secret may begin with, in any spelling.
    begins: [bool; 256],
}

/// Shows no secret.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} secrets)", self.0.as_ref().map_or(0, |secrets| secrets.texts.len()))
    }
}

impl Mask {
    /// Creates a mask of these secrets; empty ones are ignored.
    #[must_use]
    pub fn new(mut texts: Vec<SecretString>) -> Self {
        texts.retain(|text| !text.expose_secret().is_empty());
        if texts.is_empty() {
            return Self(None);
        }
        let mut begins = [false; 256];
        for text in &texts {
            for byte in text.expose_secret().bytes().take(1).chain(*b"%\\&") {
                begins[usize::from(byte)] = true;
            }
            if text.expose_secret().starts_with(' ') {
                begins[usize::from(b'+')] = true;
            }
        }
        Self(Some(Arc::new(SecretTexts { texts, begins })))
    }

    /// The text with `(redacted)` in place of every secret.
    #[must_use]
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replace(text, false)
    }

    /// The same for the beginning of a longer text, which may end within a secret: three or more characters
    /// that may be the first part of one are replaced.
    #[must_use]
    pub fn apply_to_beginning<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replace(text, true)
    }

    /// Whether the text contains a secret.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|secrets| !secrets.places(text, false).is_empty())
    }

    fn replace<'a>(&self, text: &'a str, is_cut: bool) -> Cow<'a, str> {
        let places = self.0.as_ref().map_or_else(Vec::new, |secrets| secrets.places(text, is_cut));
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut shown = 0;
        for (start, end) in places {
            out.push_str(&text[shown..start]);
            out.push_str(REDACTED);
            shown = end;
        }
        out.push_str(&text[shown..]);
        Cow::Owned(out)
    }
}

impl SecretTexts {
    /// The positions of secrets, from left to right. Overlapping ones are joined: masking one must not leave
    /// a part of the other.
    fn places(&self, text: &str, is_cut: bool) -> Vec<(usize, usize)> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        for (start, byte) in text.bytes().enumerate() {
            if !self.begins[usize::from(byte)] || !text.is_char_boundary(start) {
                continue;
            }
            let ends =
                self.texts.iter().filter_map(|secret| end(secret.expose_secret(), text, start, is_cut));
            let Some(end) = ends.max() else { continue };
            match places.last_mut() {
                Some((_, last)) if start < *last => *last = end.max(*last),
                _ => places.push((start, end)),
            }
        }
        places
    }
}

/// The end of this secret, if it begins here.
fn end(secret: &str, text: &str, start: usize, is_cut: bool) -> Option<usize> {
    // Nearly always it does not, so this must be cheap.
    let mut is_begun = is_cut && text.len() - start < LONGEST_SPELLING;
    spellings(secret.chars().next()?, &text[start..], |_| is_begun = true);
    if !is_begun {
        return None;
    }
    // One character may be read in two ways (`%25` is `%` and two digits, or `%`), so all positions reached
    // so far are kept.
    let mut reached = vec![start];
    let mut next = Vec::new();
    for (index, c) in secret.chars().enumerate() {
        for &at in &reached {
            let rest = &text[at..];
            let is_over =
                rest.is_empty() || rest.len() < LONGEST_SPELLING && rest.starts_with(['%', '\\', '&']);
            if is_cut && is_over && index >= SHORTEST_BEGINNING {
                return Some(text.len());
            }
            spellings(c, rest, |length| next.push(at + length));
        }
        next.sort_unstable();
        next.dedup();
        std::mem::swap(&mut reached, &mut next);
        next.clear();
        if reached.is_empty() {
            return None;
        }
    }
    let end = reached.pop()?;
    let is_short = secret.chars().nth(SHORTEST_INSIDE_WORDS - 1).is_none();
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let inside = text[..start].ends_with(in_word) || text[end..].starts_with(in_word);
    (!is_short || !inside).then_some(end)
}

/// The length of each spelling of this character at the beginning of the text.
fn spellings(c: char, text: &str, mut found: impl FnMut(usize)) {
    if text.starts_with(c) {
        found(c.len_utf8());
    }
    match text.as_bytes().first() {
        Some(b'+') if c == ' ' => found(1),
        Some(b'%') => {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).as_bytes();
            let escapes = text.as_bytes().chunks_exact(3).take(bytes.len());
            let is_same = |(byte, escape): (&u8, &[u8])| {
                escape[0] == b'%' && hex(&escape[1..]) == Some(u32::from(*byte))
            };
            if escapes.len() == bytes.len() && bytes.iter().zip(escapes).all(is_same) {
                found(3 * bytes.len());
            }
        }
        Some(b'\\') => found_escape(c, &text[1..], |length| found(1 + length)),
        Some(b'&') => {
            if let Some((name, _)) =
                text[1..].split_once(';').filter(|(name, _)| name.len() < LONGEST_SPELLING)
                && entity(name) == Some(u32::from(c))
            {
                found(name.len() + 2);
            }
        }
        _ => {}
    }
}

/// An escape as JSON has it, after its backslash.
fn found_escape(c: char, text: &str, mut found: impl FnMut(usize)) {
    let letter = match c {
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        other => other,
    };
    // No escape of a letter or a digit is that character itself.
    if text.starts_with(letter) && (letter != c || c.is_ascii_punctuation()) {
        found(1);
    }
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units);
    let mut rest = text;
    let mut length = 0;
    for (index, unit) in units.iter().enumerate() {
        let digits = if index == 0 { rest.strip_prefix('u') } else { rest.strip_prefix("\\u") };
        let Some(digits) =
            digits.filter(|digits| digits.as_bytes().get(..4).and_then(hex) == Some((*unit).into()))
        else {
            return;
        };
        length += rest.len() - digits.len() + 4;
        rest = &digits[4..];
    }
    found(length);
}

/// The character of an entity, without its `&` and `;`.
fn entity(name: &str) -> Option<u32> {
    match name {
        "amp" => Some('&'.into()),
        "lt" => Some('<'.into()),
        "gt" => Some('>'.into()),
        "quot" => Some('"'.into()),
        "apos" => Some('\''.into()),
        _ => match name.strip_prefix('#')?.strip_prefix(['x', 'X']) {
            Some(digits) => hex(digits.as_bytes()),
            None => name[1..].parse().ok(),
        },
    }
}

/// A number of hexadecimal digits, of either case.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        number.checked_mul(16)?.checked_add(char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        Mask::new(secrets.iter().map(|secret| SecretString::from(*secret)).collect())
    }

    #[test]
    fn secrets_are_taken_out_and_show_in_no_debug_form() {
        let mask = mask(&["cana", "canary", ""]);
        assert_eq!(mask.apply("/bot-canary/x cana"), "/bot-(redacted)/x (redacted)");
        assert!(matches!(mask.apply("nothing"), Cow::Borrowed("nothing")));
        assert!(mask.finds("xcanaryx") && !mask.finds("can"));
        assert_eq!(format!("{mask:?}"), "Mask(2 secrets)");
    }

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let mask = mask(&["p:a/s@ &\"\\é<😀"]);
        for written in [
            "p:a/s@ &\"\\é<😀",
            "p%3Aa%2Fs%40%20%26%22%5C%C3%A9%3C%F0%9F%98%80",
            "p%3aa%2fs%40+%26%22%5c%c3%a9%3c%f0%9f%98%80",
            r#"p:a\/s@ &\"\\\u00e9\u003C\ud83d\uDE00"#,
            "p:a/s@ &amp;&quot;\\&#233;&lt;&#x1F600;",
            "p&#58;a&#x2f;s@ &#38;&#34;&#92;é&#60;😀",
            "%70:a\\/s%40 &amp;\\\"\\\\é<😀",
        ] {
            assert_eq!(mask.apply(&format!("<{written}>")), "<(redacted)>", "{written}");
        }
        for other in ["p:a/s@ &\"é<😀", "p%3Aa%2Fs%40%20%26%22%5C%C3", "p&#5;", "%", "\\u", "&#x;", "&;"] {
            assert_eq!(mask.apply(other), other);
        }
    }

    #[test]
    fn where_two_readings_are_possible_both_are_tried() {
        assert_eq!(mask(&["50%off"]).apply("a 50%25off b 50%off"), "a (redacted) b (redacted)");
        let backslashes = "\\".repeat(40);
        assert_eq!(mask(&[&backslashes]).apply(&"\\".repeat(79)), "(redacted)");
    }

    #[test]
    fn secrets_that_overlap_or_hold_each_other_leave_nothing_behind() {
        let mask = mask(&["abcdef", "defghi", "redacted"]);
        assert_eq!(mask.apply("xabcdefghix"), "x(redacted)x");
        assert_eq!(mask.apply("abcdef redacted"), "(redacted) (redacted)");
    }

    #[test]
    fn a_short_secret_is_hidden_only_as_a_word_of_its_own() {
        let mask = mask(&["a", "pw1"]);
        assert_eq!(
            mask.apply("a table has pw1, not pw12 or xpw1"),
            "(redacted) table has (redacted), not pw12 or xpw1"
        );
        assert_eq!(mask.apply("key=pw1&x"), "key=(redacted)&x");
    }

    #[test]
    fn where_the_text_was_cut_its_end_may_be_half_a_secret() {
        let mask = mask(&["canary-1234"]);
        assert_eq!(mask.apply_to_beginning("you sent canary-1"), "you sent (redacted)");
        assert_eq!(mask.apply_to_beginning("you sent can%61ry%2"), "you sent (redacted)");
        assert_eq!(mask.apply("you sent canary-1"), "you sent canary-1");
        assert_eq!(mask.apply_to_beginning("you sent ca"), "you sent ca");
    }

    proptest! {
        #[test]
        fn nothing_is_left_of_a_secret_in_any_text_and_nothing_else_is_changed(
            secret in "[a-c%\\\\&+é \"]{4,8}", before in "[x-z%\\\\&;#u0-9]{0,8}", after in "[x-z%\\\\&;#u0-9]{0,8}",
            other in "\\PC{0,40}",
        ) {
            let mask = mask(&[&secret]);
            let masked = mask.apply(&format!("{before}{secret}{after}")).into_owned();
            prop_assert!(!masked.contains(&secret) && masked.contains(REDACTED), "{}", masked);
            if !mask.finds(&other) {
                prop_assert_eq!(mask.apply(&other), other.as_str());
            }
            let _ = mask.apply_to_beginning(&other);
        }
    }
}
