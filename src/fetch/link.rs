//! `Link` fields (RFC 8288): which address a page names as the next one.

use http::HeaderMap;
use http::header::LINK;
use percent_encoding::percent_encode_byte;

/// The relation of the page after this one.
const NEXT: &str = "next";

/// What a page's `Link` fields say about the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NextLink {
    /// There is none.
    None,
    /// This address, as it is written, perhaps relative.
    Address(String),
    /// A field that may name one breaks the rules, as this part of it shows.
    Unreadable(String),
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    target: String,
    /// The first `rel`: further ones are ignored, as the standard has it.
    rel: Option<String>,
    /// The link is about this resource, not about the one that was asked for.
    anchor: Option<String>,
}

/// The first link to the next page. `is_page`: whether an address, perhaps relative, is that of the page itself: a link
/// may be about another one.
pub(super) fn next_link(headers: &HeaderMap, is_page: impl Fn(&str) -> bool) -> NextLink {
    for field in headers.get_all(LINK) {
        let text = text_of(field.as_bytes());
        let mut links = Links { rest: &text };
        for link in links.by_ref() {
            let is_next = link.rel.is_some_and(|rel| has_relation(&rel, NEXT));
            if is_next && link.anchor.is_none_or(|anchor| is_page(&anchor)) {
                return NextLink::Address(link.target);
            }
        }
        // What cannot be read may be the link: taken for the end, it would leave pages out in silence.
        if links.rest.to_ascii_lowercase().contains(NEXT) {
            return NextLink::Unreadable(links.rest.to_owned());
        }
    }
    NextLink::None
}

/// Whether an answer names a next page.
pub(super) fn names_next(headers: &HeaderMap) -> bool {
    headers.contains_key(LINK) && matches!(next_link(headers, |_| false), NextLink::Address(_))
}

/// Relations are separated by white space, and case does not count.
fn has_relation(rel: &str, relation: &str) -> bool {
    // Some servers put it in single quotes, which the standard does not know.
    rel.trim_matches('\'').split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(relation))
}

/// A field as text. Bytes that are not ASCII become what a URL has in their place.
fn text_of(field: &[u8]) -> String {
    let mut text = String::with_capacity(field.len());
    for &byte in field {
        if byte.is_ascii() {
            text.push(char::from(byte));
        } else {
            text.push_str(percent_encode_byte(byte));
        }
    }
    text
}

/// The links of a field, by the algorithm of RFC 8288, appendix B.2. It ends where one cannot be read: `rest` is then not
/// empty.
struct Links<'a> {
    rest: &'a str,
}

impl Iterator for Links<'_> {
    type Item = Link;

    fn next(&mut self) -> Option<Link> {
        // Elements of a list may be empty.
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
        let (target, mut rest) = self.rest.strip_prefix('<')?.split_once('>')?;
        let mut link = Link { target: target.trim().to_owned(), rel: None, anchor: None };
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            let Some(after) = rest.strip_prefix(';') else { break };
            let (name, value, after) = parameter(after.trim_start_matches([' ', '\t']));
            rest = after;
            let place = match name.to_ascii_lowercase().as_str() {
                "rel" => &mut link.rel,
                "anchor" => &mut link.anchor,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        if !rest.is_empty() && !rest.starts_with(',') {
            // Something stands between the link and its end.
            return None;
        }
        self.rest = rest;
        Some(link)
    }
}

/// A parameter at the beginning of a text: its name, its value, and what follows.
fn parameter(text: &str) -> (&str, String, &str) {
    let (name, rest) = text.split_at(text.find(['=', ';', ',']).unwrap_or(text.len()));
    let name = name.trim_end_matches([' ', '\t']);
    let Some(rest) = rest.strip_prefix('=') else { return (name, String::new(), rest) };
    let rest = rest.trim_start_matches([' ', '\t']);
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, rest) = unquoted(quoted);
        return (name, value, rest);
    }
    let (value, rest) = rest.split_at(rest.find([';', ',']).unwrap_or(rest.len()));
    (name, value.trim_end_matches([' ', '\t']).to_owned(), rest)
}

/// The text up to the closing quote, and what follows it. Without one it takes all.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (LINK, HeaderValue::from_bytes(field.as_bytes()).unwrap())).collect()
    }

    fn next(fields: &[&str]) -> NextLink {
        next_link(&headers(fields), |anchor| anchor == "/self")
    }

    #[test]
    fn the_next_page_is_found_in_every_form() {
        for field in [
            r#"</2>; rel="next""#,
            "</2>; rel=next",
            "</2>;rel=next",
            r#"</2>; REL="NeXT""#,
            r#"</2>; rel="prev next last""#,
            "</2>; rel=\"prev\tnext\"",
            r#"< /2 > ; title="a, <b>; rel=\"prev\"" ; rel = "next""#,
            r#"</1>; rel="prev", </2>; rel="next", </9>; rel="last""#,
            "</a,b;c>; rel=prev, , </2>;x;rel=next",
            r#"</2>; rel="n\ext""#,
            r#"</2>; rel=next; rel="prev""#,
            "</2>; rel=next, </3>; rel=next",
            r#"</9>; rel="next"; anchor="/other", </2>; rel="next"; anchor="/self""#,
            r#",, </2>; rel="next","#,
        ] {
            assert_eq!(next(&[field]), NextLink::Address("/2".into()), "{field}");
        }
        let two = [r#"</1>; rel="prev""#, r#"</2>; rel="next""#];
        assert_eq!(next(&two), NextLink::Address("/2".into()));
        assert_eq!(next(&["<>; rel=next"]), NextLink::Address(String::new()));
        assert_eq!(next(&["</é?a=1,2>; rel=next"]), NextLink::Address("/%C3%A9?a=1,2".into()));
        assert!(names_next(&headers(&["</2>; rel=next"])));
    }

    #[test]
    fn other_relations_are_not_the_next_page() {
        for field in [
            "",
            "</2>",
            "</2>; rel=prev",
            r#"</2>; rel="nextish""#,
            "</2>; rel=prev; rel=next",
            r#"</2>; title="rel=next""#,
            r#"</2>; title=next; rel="prev""#,
            r#"</2>; rel="next"; anchor="/other""#,
            "</2>; x-rel=next",
            "<//[>; rel=prev, garbage",
        ] {
            assert_eq!(next(&[field]), NextLink::None, "{field}");
            assert!(!names_next(&headers(&[field])));
        }
        assert_eq!(next(&[]), NextLink::None);
    }

    #[test]
    fn what_may_be_the_next_page_and_cannot_be_read_is_told() {
        for (field, shown) in [
            ("</2; rel=\"next\"", "</2; rel=\"next\""),
            ("https://a.test/2; rel=next", "https://a.test/2; rel=next"),
            ("</1>; rel=prev, /2; rel=next", "/2; rel=next"),
            ("</2> rel=\"next\"", "</2> rel=\"next\""),
            ("</2>; rel=\"next\" </3>", "</2>; rel=\"next\" </3>"),
        ] {
            assert_eq!(next(&[field]), NextLink::Unreadable(shown.into()), "{field}");
        }
    }

    /// A link as a server may write it, and whether it is the next page.
    fn link() -> impl Strategy<Value = (String, String, bool)> {
        let target = "[a-zA-Z0-9/?&=,;.:%_~ -]{0,20}".prop_map(|text| text.trim().to_owned());
        let text = "[ -~]{0,12}".prop_map(|text| {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("; title=\"{escaped}\"")
        });
        let rel = prop_oneof![
            Just(("; rel=next", true)),
            Just((" ; Rel = \"next\"", true)),
            Just(("; rel=\"last NEXT\"", true)),
            Just((";rel=prev", false)),
            Just(("; rel=\"prev nexts\"", false)),
            Just(("", false)),
        ];
        let flag = prop_oneof![Just(""), Just("; x"), Just("; hreflang=de"), Just("; x=\"\"")];
        (target, text, rel, flag).prop_map(|(target, title, (rel, is_next), flag)| {
            (format!("<{target}>{title}{rel}{flag}"), target, is_next)
        })
    }

    proptest! {
        #[test]
        fn the_first_next_page_of_any_links_is_found(
            links in prop::collection::vec(link(), 0..6), split in 0_usize..6,
        ) {
            let written: Vec<String> = links.iter().map(|(text, ..)| text.clone()).collect();
            let (first, second) = written.split_at(split.min(written.len()));
            let fields = [first.join(", "), second.join(" ,")];
            let expected = links.iter().find(|(_, _, is_next)| *is_next);
            let expected = expected.map_or(NextLink::None, |(_, target, _)| NextLink::Address(target.clone()));
            prop_assert_eq!(next(&[&fields[0], &fields[1]]), expected, "{:?}", fields);
        }

        #[test]
        fn no_field_makes_it_panic(field in prop::collection::vec(any::<u8>(), 0..60), dense in "[<>;,=\" \\\\nextrl]{0,40}") {
            for bytes in [field.as_slice(), dense.as_bytes()] {
                if let Ok(value) = HeaderValue::from_bytes(bytes) {
                    let _ = next_link(&HeaderMap::from_iter([(LINK, value)]), |_| true);
                }
            }
        }
    }
}
