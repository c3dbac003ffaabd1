//! Removes secrets from messages.
//!
//! A redacted URL has no query and no user-info, but its path may contain a variable (`/bot${TOKEN}/…`), and
//! a server or a proxy may repeat what it received. It seldom repeats it unchanged: it is percent-encoded in
//! a URL, escaped in JSON, and written with entities in HTML; in JSON within JSON or within HTML, two of these
//! in turn. So a secret is searched character by character, each in any of these spellings.

mod spelling;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};

use spelling::{INTRODUCERS, Spelled};

/// The replacement of a secret.
const REDACTED: &str = "(redacted)";

/// A secret with fewer characters is masked only as a word of its own: within words it would garble every
/// message.
pub(crate) const SHORTEST_INSIDE_WORDS: usize = 4;

/// This many characters at the end of a shortened text count as the beginning of a secret.
const SHORTEST_BEGINNING: usize = 3;

/// Of the secrets of one kind that arrive during the run, so many of the newest are remembered. A token outlives its
/// successor by minutes, and each of them costs every masked text a comparison.
const NEWEST_ARRIVED: usize = 64;

/// A kind of secrets that arrive during the run. Each has room of its own, so that many cookies displace no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArrivingSecret {
    /// A token for the API, or for its endpoint.
    Token,
    /// The value of a cookie that an answer set.
    Cookie,
}

/// Those that arrived, by their kind.
type ArrivedSecrets = [RwLock<Arc<SecretTexts>>; 2];

/// The secrets of a run, to remove them from text. Cheap to clone, and cheap if there are none.
#[derive(Clone, Default)]
pub struct Mask {
    /// Those that are known at the start.
    known: Option<Arc<SecretTexts>>,
    /// Those that arrive during the run, shared by all clones; none where none can arrive.
    arrived: Option<Arc<ArrivedSecrets>>,
}

#[derive(Default)]
struct SecretTexts {
    texts: Vec<SecretString>,
    begins: FirstBytes,
}

/// The bytes that some secret may begin with, in any spelling.
struct FirstBytes([bool; 256]);

impl Default for FirstBytes {
    fn default() -> Self {
        Self([false; 256])
    }
}

/// Shows no secret.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.as_ref().map_or(0, |secrets| secrets.texts.len());
        let arrived: usize = self.newest().map(|secrets| secrets.texts.len()).sum();
        write!(f, "Mask({} secrets)", known + arrived)
    }
}

impl Mask {
    /// Creates a mask of these secrets; empty ones are ignored.
    #[must_use]
    pub fn new(texts: Vec<SecretString>) -> Self {
        Self { known: SecretTexts::of(texts).map(Arc::new), arrived: None }
    }

    /// The same, to which [`Self::add`] adds secrets.
    #[must_use]
    pub(crate) fn growing(self) -> Self {
        Self { arrived: Some(self.arrived.unwrap_or_default()), ..self }
    }

    /// Adds a secret that arrived during the run, in every clone of this mask. The oldest of many such secrets are
    /// forgotten. Does nothing to a mask that does not grow.
    pub(crate) fn add(&self, kind: ArrivingSecret, secret: &SecretString) {
        let Some(arrived) = &self.arrived else { return };
        let mut arrived = arrived[kind as usize].write().unwrap_or_else(PoisonError::into_inner);
        if arrived.texts.iter().any(|known| known.expose_secret() == secret.expose_secret()) {
            return;
        }
        let first = (arrived.texts.len() + 1).saturating_sub(NEWEST_ARRIVED);
        let texts = arrived.texts.iter().skip(first).chain([secret]).cloned().collect();
        if let Some(texts) = SecretTexts::of(texts) {
            *arrived = Arc::new(texts);
        }
    }

    /// Those that have arrived until now, of each kind of which any have.
    fn newest(&self) -> impl Iterator<Item = Arc<SecretTexts>> {
        let kinds = self.arrived.iter().flat_map(|arrived| arrived.iter());
        kinds.filter_map(|kind| {
            let secrets = kind.read().unwrap_or_else(PoisonError::into_inner);
            (!secrets.texts.is_empty()).then(|| Arc::clone(&secrets))
        })
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
        !self.places(text, false).is_empty()
    }

    fn replace<'a>(&self, text: &'a str, is_cut: bool) -> Cow<'a, str> {
        let places = self.places(text, is_cut);
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

    /// The positions of secrets, from left to right, which do not overlap.
    fn places(&self, text: &str, is_cut: bool) -> Vec<(usize, usize)> {
        let mut places = self.known.as_ref().map_or_else(Vec::new, |secrets| secrets.places(text, is_cut));
        if self.arrived.is_none() {
            return places;
        }
        places.extend(self.newest().flat_map(|secrets| secrets.places(text, is_cut)));
        places.sort_unstable();
        places.dedup_by(|next, last| {
            let overlaps = next.0 < last.1;
            if overlaps {
                last.1 = last.1.max(next.1);
            }
            overlaps
        });
        places
    }
}

impl SecretTexts {
    /// None where no text is left: empty ones are ignored.
    fn of(mut texts: Vec<SecretString>) -> Option<Self> {
        texts.retain(|text| !text.expose_secret().is_empty());
        if texts.is_empty() {
            return None;
        }
        let mut begins = FirstBytes::default();
        for text in &texts {
            let text = text.expose_secret();
            // A `+` is the escape of a space alone.
            let escapes = INTRODUCERS.into_iter().filter(|c| *c != b'+' || text.starts_with(' '));
            for byte in text.bytes().take(1).chain(escapes) {
                begins.0[usize::from(byte)] = true;
            }
        }
        Some(Self { texts, begins })
    }

    /// The positions of secrets, from left to right. Overlapping ones are joined: masking one must not leave
    /// a part of the other.
    fn places(&self, text: &str, is_cut: bool) -> Vec<(usize, usize)> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        let mut search = Search::new(text, is_cut);
        for (start, byte) in text.bytes().enumerate() {
            if !self.begins.0[usize::from(byte)] || !text.is_char_boundary(start) {
                continue;
            }
            search.begin(start);
            let ends = self.texts.iter().filter_map(|secret| search.end(secret.expose_secret()));
            let Some(end) = ends.max() else { continue };
            match places.last_mut() {
                Some((_, last)) if start < *last => *last = end.max(*last),
                _ => places.push((start, end)),
            }
        }
        places
    }
}

/// One text in which secrets are looked for.
struct Search<'a> {
    text: &'a str,
    is_cut: bool,
    spelled: Spelled<'a>,
    start: usize,
    /// What is written at the start, with the ends of it.
    first: Vec<(char, usize)>,
    /// One character may be read in two ways (`%25` is `%` and two digits, or `%`): all places reached so far, and from
    /// there. Kept for their capacity.
    reached: Vec<usize>,
    next: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(text: &'a str, is_cut: bool) -> Self {
        let (first, reached, next) = (Vec::new(), Vec::new(), Vec::new());
        Self { text, is_cut, spelled: Spelled::new(text), start: 0, first, reached, next }
    }

    /// Goes to where a secret may begin.
    fn begin(&mut self, start: usize) {
        self.start = start;
        self.first.clear();
        self.spelled.characters(start, |c, end| self.first.push((c, end)));
    }

    /// Where this secret ends if it begins here. Nearly always it does not, so this must be cheap.
    fn end(&mut self, secret: &str) -> Option<usize> {
        let mut chars = secret.chars();
        let first = chars.next()?;
        self.reached.clear();
        self.reached.extend(self.first.iter().filter(|(c, _)| *c == first).map(|(_, end)| end));
        for (index, c) in chars.enumerate() {
            if self.reached.is_empty() {
                return None;
            }
            self.next.clear();
            for &at in &self.reached {
                let is_over = self.spelled.characters(at, |found, end| {
                    if found == c {
                        self.next.push(end);
                    }
                });
                if self.is_cut && is_over && index + 1 >= SHORTEST_BEGINNING {
                    return Some(self.text.len());
                }
            }
            self.next.sort_unstable();
            self.next.dedup();
            std::mem::swap(&mut self.reached, &mut self.next);
        }
        let end = self.reached.iter().copied().max()?;
        let is_short = secret.chars().nth(SHORTEST_INSIDE_WORDS - 1).is_none();
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let inside = self.text[..self.start].ends_with(in_word) || self.text[end..].starts_with(in_word);
        (!is_short || !inside).then_some(end)
    }
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
    fn a_secret_that_arrives_is_masked_in_every_clone_and_the_oldest_of_many_are_forgotten() {
        let growing = mask(&["canary"]).growing();
        let clone = growing.clone();
        assert_eq!(clone.apply("canary tok-0001"), "(redacted) tok-0001");
        growing.add(ArrivingSecret::Token, &"tok-0001".into());
        growing.add(ArrivingSecret::Token, &"tok-0001".into());
        growing.add(ArrivingSecret::Token, &"".into());
        assert_eq!(clone.apply("canary tok%2D0001"), "(redacted) (redacted)");
        assert_eq!(clone.apply("canarytok-0001nary"), "(redacted)(redacted)nary");
        assert!(clone.finds("tok-0001") && format!("{clone:?}") == "Mask(2 secrets)");
        (2..=NEWEST_ARRIVED + 1)
            .for_each(|n| growing.add(ArrivingSecret::Token, &format!("tok-{n:04}").into()));
        assert_eq!(clone.apply("tok-0001 tok-0002 tok-0065"), "tok-0001 (redacted) (redacted)");
        growing.growing().add(ArrivingSecret::Cookie, &"sid-0001".into());
        assert_eq!(
            clone.apply("sid-0001 tok-0065"),
            "(redacted) (redacted)",
            "each kind has room of its own"
        );
        let fixed = mask(&["canary"]);
        fixed.add(ArrivingSecret::Token, &"tok-0001".into());
        assert_eq!(fixed.apply("tok-0001"), "tok-0001");
    }

    #[test]
    fn what_arrives_and_overlaps_a_known_secret_leaves_nothing_behind() {
        let growing = mask(&["abcdef"]).growing();
        growing.add(ArrivingSecret::Token, &"defghi".into());
        assert_eq!(growing.apply("xabcdefghix abcdef defghi"), "x(redacted)x (redacted) (redacted)");
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
            "p&colon;a&sol;s&commat;&nbsp;&amp;&QUOT;&bsol;&#0233;&lt;&#128512;",
            r#"p\x3aa\x2Fs\x40\ \x26\"\\\xc3\xa9\x3c\u{1F600}"#,
            r"p\u003aa\/s\U00000040 &\x22\\\xe9<\U0001f600",
            "p%u003Aa/s@+%u0026%u0022%u005c%u00e9<%ud83d%ude00",
            // Twice.
            "p%253Aa%252fs%2540%2B%2526%2522%255C%25C3%25A9%3C%25F0%259F%2598%2580",
            r#"p:a\\/s@ &\\\"\\\\\\u00e9\\u003C\\ud83d\\uDE00"#,
            r"p:a\/s@ &amp;\&quot;\\é&lt;😀",
            "p&percnt;3Aa&#37;2Fs%40%20&#x26;&amp;quot;&amp;#92;é%26lt%3B😀",
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

    /// What the encoders of servers and proxies make of a text.
    const ENCODERS: [fn(&str) -> String; 12] = [
        |text| text.into(),
        |text| form(text, false),
        |text| form(text, true),
        |text| bytes(text, "%"),
        |text| json(text),
        |text| json(text).replace('/', "\\/"),
        |text| escaped(text, utf_16),
        |text| escaped(text, |c| bytes(&c.to_string(), "\\x")),
        |text| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#039;"),
        |text| escaped(text, |c| format!("&#{};", u32::from(c))),
        |text| escaped(text, |c| format!("&#x{:X};", u32::from(c))),
        |text| {
            escaped(text, |c| match c {
                '/' => "&sol;".into(),
                '+' => "&plus;".into(),
                '=' => "&equals;".into(),
                ':' => "&colon;".into(),
                '"' => "&quot;".into(),
                '\\' => "&bsol;".into(),
                '%' => "&percnt;".into(),
                '&' => "&amp;".into(),
                other => other.into(),
            })
        },
    ];

    fn escaped(text: &str, escape: impl Fn(char) -> String) -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.into() } else { escape(c) }).collect()
    }

    fn bytes(text: &str, prefix: &str) -> String {
        let escape = |byte| format!("{prefix}{byte:02x}");
        text.bytes().map(escape).collect()
    }

    fn utf_16(c: char) -> String {
        let escape = |unit: &u16| format!("\\u{unit:04X}");
        c.encode_utf16(&mut [0; 2]).iter().map(escape).collect()
    }

    fn form(text: &str, is_space_plus: bool) -> String {
        let byte = |byte: u8| match byte {
            b' ' if is_space_plus => "+".into(),
            b'-' | b'.' | b'_' | b'~' => char::from(byte).into(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).into(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect()
    }

    fn json(text: &str) -> String {
        let quoted = serde_json::to_string(text).unwrap();
        quoted[1..quoted.len() - 1].into()
    }

    proptest! {
        #[test]
        fn a_secret_is_found_after_any_two_encoders(
            secret in prop_oneof!["[a-c0-9%\\\\&+/=:;\"'<é😀 #x-]{4,12}", "\\PC{4,12}", "[ -~\\n\\t]{4,12}"],
            first in prop::sample::select(&ENCODERS[..]), second in prop::sample::select(&ENCODERS[..]),
        ) {
            let written = second(&first(&secret));
            let shown = mask(&[&secret]).apply(&format!("«{written}»")).into_owned();
            prop_assert_eq!(shown, "«(redacted)»", "{:?} as {:?}", secret, written);
            let mut beginning = format!("«{written}");
            beginning.pop();
            let shown = mask(&[&secret]).apply_to_beginning(&beginning).into_owned();
            prop_assert_eq!(shown, "«(redacted)", "{:?} as {:?}", secret, &beginning);
        }

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
