//! The URL of a request.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use url::{ParseError, Position, Url};

/// The URL of a request, encoded. Most requests need no more of it than its text and where its path begins: the parser
/// reads it where more is asked for, by dereferencing.
#[derive(Clone)]
pub struct RequestUrl {
    /// As the parser writes it, without a fragment.
    text: Box<str>,
    /// The offset of the path.
    path: usize,
    parsed: OnceLock<Box<Url>>,
}

impl RequestUrl {
    /// A URL whose text the parser would give back unchanged, without a fragment. `path` is the offset of its path.
    pub(crate) fn of_normal_text(text: &str, path: usize) -> Self {
        let url = Self { text: text.into(), path, parsed: OnceLock::new() };
        debug_assert!(url.is_normal(), "the parser changes it");
        url
    }

    /// Whether the parser gives the text back unchanged, and finds the path in the same place.
    pub(crate) fn is_normal(&self) -> bool {
        Url::parse(&self.text).is_ok_and(|url| {
            url.as_str() == &*self.text
                && url[..Position::BeforePath].len() == self.path
                && url.fragment().is_none()
        })
    }

    /// The URL, encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        &self.text[self.path..]
    }

    /// Whether it has a user name or a password.
    pub(crate) fn has_user_info(&self) -> bool {
        self.text[..self.path].contains('@')
    }
}

impl Deref for RequestUrl {
    type Target = Url;

    fn deref(&self) -> &Url {
        let parse = || Box::new(Url::parse(&self.text).expect("it is what the parser writes"));
        self.parsed.get_or_init(parse)
    }
}

impl From<Url> for RequestUrl {
    fn from(mut url: Url) -> Self {
        url.set_fragment(None);
        let path = url[..Position::BeforePath].len();
        Self { text: url.as_str().into(), path, parsed: OnceLock::from(Box::new(url)) }
    }
}

impl std::str::FromStr for RequestUrl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Url::parse(text).map(Self::from)
    }
}

impl PartialEq for RequestUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RequestUrl {}

/// Shows neither query nor user-info: each may contain a secret.
impl fmt::Debug for RequestUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted_url(self))
    }
}

/// A URL for messages: without its query, fragment and user-info.
#[must_use]
pub(crate) fn redacted_url(url: &Url) -> String {
    let mut clean = url.clone();
    clean.set_query(None);
    clean.set_fragment(None);
    // Both fail only for URLs without a host, which have no user-info either.
    let _ = clean.set_username("");
    let _ = clean.set_password(None);
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_the_parser_gives_back() {
        let text = "https://u:p@h.example:8080/a%20b/1?q=x%2Fy";
        let url = RequestUrl::of_normal_text(text, "https://u:p@h.example:8080".len());
        assert_eq!((url.as_str(), url.target()), (text, "/a%20b/1?q=x%2Fy"));
        assert!(url.has_user_info());
        assert_eq!((url.as_str(), url.host_str(), url.username()), (text, Some("h.example"), "u"));
        assert_eq!(url, text.parse().unwrap());
    }

    #[test]
    fn a_fragment_is_no_part_of_a_request() {
        let url: RequestUrl = "http://H/./a@b?c@d#e".parse().unwrap();
        assert_eq!((url.as_str(), url.target()), ("http://h/a@b?c@d", "/a@b?c@d"));
        assert!(!url.has_user_info());
        assert_eq!(url.fragment(), None);
    }

    #[test]
    fn a_text_that_the_parser_changes_is_recognised() {
        for (text, path) in [
            ("http://h/a/../b", 8),
            ("http://h", 8),
            ("http://h/a b", 8),
            ("http://h/a#b", 8),
            ("http://h/a", 7),
            ("h", 0),
        ] {
            let url = RequestUrl { text: text.into(), path, parsed: OnceLock::new() };
            assert!(!url.is_normal(), "{text}");
        }
    }

    #[test]
    fn neither_query_nor_user_info_is_shown() {
        let url: RequestUrl = "https://canary:canary@h/p/1?token=canary".parse().unwrap();
        assert_eq!(format!("{url:?}"), "https://h/p/1");
    }
}
