//! What a server says, as messages show it: the beginning of a body, without tags, secrets and control characters.

use http::HeaderMap;

use super::{charset, markup};
use crate::model::{Mask, display_safe};

/// Characters that are shown.
pub(super) const SHOWN: usize = 200;
/// Bytes of a body that are read: more than is shown, as a secret may be longer than the text that replaces it.
const READ: usize = SHOWN * 64;
/// Bytes that are read of a page, whose text may begin after a long style.
const READ_OF_A_PAGE: usize = 64 << 10;

/// The beginning of a body.
pub(super) struct Words {
    /// Its text; empty where it has none.
    pub(super) text: String,
    /// What it is, if it is a document with tags.
    pub(super) document: Option<&'static str>,
}

/// The beginning of what a server says in a body of these header fields.
pub(super) fn words(headers: &HeaderMap, body: &[u8], mask: &Mask) -> Words {
    let decoded = |most: usize| charset::for_people(headers, &body[..body.len().min(most)]);
    let mut text = decoded(READ);
    let is_markup = markup::is_markup(&text);
    if is_markup && body.len() > READ {
        text = decoded(READ_OF_A_PAGE);
    }
    let is_cut = body.len() > if is_markup { READ_OF_A_PAGE } else { READ };
    let masked = |text: &str| {
        let masked = if is_cut { mask.apply_to_beginning(text) } else { mask.apply(text) };
        masked.into_owned()
    };
    // Taking tags away may cut a secret that is written out, and may join one that tags stood in.
    let raw = masked(text.trim());
    let read = if is_markup { markup::text_of(&raw) } else { markup::folded(&raw) };
    // A page without a text shows at least what it is.
    let read = if read.is_empty() { markup::folded(&raw) } else { read };
    Words { text: display_safe(&masked(&read), SHOWN), document: markup::kind(&raw) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str, secret: &str) -> String {
        words(&HeaderMap::new(), body.as_bytes(), &Mask::new(vec![secret.into()])).text
    }

    #[test]
    fn tags_are_taken_away_before_the_text_is_cut() {
        let style = "a { color: red } ".repeat(1000);
        let page = format!("<!doctype html><html><head><style>{style}</style></head><body><h1>Over quota");
        assert_eq!(shown(&page, "x-canary"), "Over quota");
        assert_eq!(
            shown(&format!("{}{}", "<p>word ".repeat(20_000), "x"), "x-canary").chars().count(),
            SHOWN
        );
        assert_eq!(shown("{\n  \"error\": \"gone\"\n}\n", "x-canary"), "{ \"error\": \"gone\" }");
        assert_eq!(shown("<html></html>", "x-canary"), "<html></html>");
        assert_eq!(shown("<p>\x1b[2J&#27;[2J</p>", "x-canary"), "\\u{1b}[2J\\u{1b}[2J");
        assert_eq!(shown("", "x-canary"), "");
    }

    #[test]
    fn no_secret_is_made_by_taking_tags_away_nor_left_in_parts() {
        for (page, secret) in [
            ("<p>got can<wbr>ary&#45;1</p>", "canary-1"),
            ("<p>got can<b>ary-1</p>", "can<b>ary-1"),
            ("<p>got can&lt;b&gt;ary-1</p>", "can<b>ary-1"),
            ("<p title='canary-1'>got canary-1", "canary-1"),
            ("<p>got can\n ary</p>", "can ary"),
        ] {
            assert_eq!(shown(page, secret), "got (redacted)", "{page}");
        }
    }
}
