//! A character that the failed SKUs of one status have in common, and none of those that came: servers refuse, decode
//! or cut some escapes in a path by default, and say so with a status that looks like a missing product.

use std::fmt;

/// Characters that are percent-encoded in a URL, those first that servers most often treat in a way of their own.
const ENCODED: [char; 29] = [
    '/', '\\', '%', ';', '+', ' ', '?', '#', '&', '=', ':', '@', ',', '"', '\'', '<', '>', '|', '*', '[',
    ']', '{', '}', '(', ')', '!', '$', '^', '`',
];
/// The bit for every character outside of ASCII.
const NOT_ASCII: u32 = 1 << ENCODED.len();

/// Of these, one failed SKU shows enough; of others that may be chance.
const TELLING: usize = 3;

/// Which of these characters a key has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CharacterSet(u32);

impl CharacterSet {
    fn of(key: &str) -> Self {
        let bit = |byte: u8| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => 0,
            0x80.. => NOT_ASCII,
            _ => ENCODED.iter().position(|c| *c == char::from(byte)).map_or(0, |place| 1 << place),
        };
        Self(key.bytes().fold(0, |set, byte| set | bit(byte)))
    }
}

/// The characters of the keys that the API had an answer for.
#[derive(Debug, Default)]
pub(crate) struct AnsweredKeys {
    any: CharacterSet,
    has_some: bool,
}

impl AnsweredKeys {
    /// Adds a key whose answer was good.
    pub(crate) fn add(&mut self, key: &str) {
        self.any.0 |= CharacterSet::of(key).0;
        self.has_some = true;
    }
}

/// The characters that all failed keys of one cause have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedKeys {
    all: CharacterSet,
    keys: u64,
}

impl Default for FailedKeys {
    fn default() -> Self {
        Self { all: CharacterSet(u32::MAX), keys: 0 }
    }
}

impl FailedKeys {
    /// Adds a key that failed.
    pub(crate) fn add(&mut self, key: &str) {
        self.all.0 &= CharacterSet::of(key).0;
        self.keys += 1;
    }

    /// The character that all of these have and none of the others, if other keys came at all.
    pub(crate) fn shared(&self, answered: &AnsweredKeys) -> Option<SharedCharacter> {
        let only = self.all.0 & !answered.any.0;
        let place = only.trailing_zeros() as usize;
        let is_shown = answered.has_some && (self.keys > 1 || self.keys == 1 && place < TELLING);
        match ENCODED.get(place) {
            _ if !is_shown || only == 0 => None,
            Some(character) => Some(SharedCharacter::Ascii(*character)),
            None => Some(SharedCharacter::NotAscii),
        }
    }
}

/// What all failed SKUs of a status have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedCharacter {
    /// This character.
    Ascii(char),
    /// Some character outside of ASCII.
    NotAscii,
}

impl fmt::Display for SharedCharacter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ascii(' ') => f.write_str("a space"),
            Self::Ascii('`') => f.write_str("a backtick"),
            Self::Ascii(character) => write!(f, "a `{character}`"),
            Self::NotAscii => f.write_str("a character outside of ASCII"),
        }
    }
}

impl SharedCharacter {
    /// For machines: the character, or `non-ASCII`.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Ascii(character) => character.into(),
            Self::NotAscii => "non-ASCII".into(),
        }
    }

    /// How it is sent, if that is one escape.
    fn escape(self) -> Option<String> {
        match self {
            Self::Ascii(character) => Some(format!("%{:02X}", u32::from(character))),
            Self::NotAscii => None,
        }
    }

    /// What to look into, where the path of such an address is known or not.
    pub(crate) fn advice(self, url: Option<&str>) -> String {
        let Some(escape) = self.escape() else {
            return "it is sent in UTF-8, percent-encoded: does the API expect another encoding?".into();
        };
        let is_in_path = url.is_some_and(|url| url.contains(&escape));
        let known = match self {
            Self::Ascii('/') => {
                "Apache refuses it with 404 unless AllowEncodedSlashes is NoDecode, Tomcat with 400 unless \
                 encodedSolidusHandling is passthrough, Jetty with 400 unless its UriCompliance allows \
                 AMBIGUOUS_PATH_SEPARATOR"
            }
            Self::Ascii('\\') => "Tomcat and Spring Security refuse it by default",
            Self::Ascii('%') => {
                "Spring Security refuses it by default, and what decodes twice reads another SKU"
            }
            Self::Ascii(';') => "Spring Security refuses it by default, and some servers cut the path there",
            Self::Ascii('+') => "what decodes twice reads a space",
            Self::Ascii('?' | '#') => "what decodes it too early ends the path there",
            Self::Ascii(' ') => "some APIs use another character in its place",
            _ => "does the server decode it?",
        };
        if is_in_path {
            format!("it is sent as {escape} in the path: {known}; or does the API take the SKU in the query?")
        } else {
            format!("it is sent as {escape}: does the API decode it?")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(failed: &[&str], answered: &[&str]) -> Option<SharedCharacter> {
        let (mut failed_keys, mut answered_keys) = (FailedKeys::default(), AnsweredKeys::default());
        for key in failed {
            failed_keys.add(key);
        }
        for key in answered {
            answered_keys.add(key);
        }
        failed_keys.shared(&answered_keys)
    }

    #[test]
    fn a_character_is_named_where_all_failed_skus_have_it_and_no_other_has() {
        let ascii = |character| Some(SharedCharacter::Ascii(character));
        for (failed, answered, expected) in [
            (&["A/1", "B/2"][..], &["A", "B-1"][..], ascii('/')),
            (&["A/1"], &["A"], ascii('/')),
            (&["a b/c", "/ "], &["x"], ascii('/')),
            (&["a b/c", " "], &["x"], ascii(' ')),
            (&["a+b", "+c"], &["x"], ascii('+')),
            (&["é", "日 本"], &["x"], Some(SharedCharacter::NotAscii)),
            (&["a b"], &["x"], None),
            (&["A/1", "B/2"], &[], None),
            (&["A/1", "B/2"], &["C/3", "D"], None),
            (&["A/1", "B"], &["C"], None),
            (&["A-1", "B-2"], &["C"], None),
            (&[], &["C"], None),
        ] {
            assert_eq!(shared(failed, answered), expected, "{failed:?} {answered:?}");
        }
    }

    #[test]
    fn advice_about_a_path_is_given_where_the_character_is_in_the_path() {
        let slash = SharedCharacter::Ascii('/');
        assert!(slash.advice(Some("http://h/p/A%2F1")).contains("AllowEncodedSlashes"));
        assert_eq!(slash.advice(Some("http://h/p")), "it is sent as %2F: does the API decode it?");
        assert_eq!(SharedCharacter::Ascii(' ').advice(None), "it is sent as %20: does the API decode it?");
        assert!(SharedCharacter::NotAscii.advice(None).contains("UTF-8"));
    }
}
