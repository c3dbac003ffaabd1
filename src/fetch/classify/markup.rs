//! The text of an HTML or XML page as a message shows it: without tags, scripts and styles, with the usual entities
//! decoded and white space folded. A server's error page says its cause after hundreds of bytes of head and style.
//!
//! This is no parser of HTML: whatever a page does wrong, the result is some of its text, in one pass over it.

use std::borrow::Cow;

/// Elements whose content is not shown to a reader.
const UNSEEN: [&str; 5] = ["script", "style", "svg", "template", "textarea"];

/// Elements inside a line of text: their tags separate no words.
const INLINE: [&str; 20] = [
    "a", "abbr", "acronym", "b", "bdi", "big", "cite", "code", "em", "font", "i", "kbd", "mark", "q", "s",
    "small", "span", "strong", "u", "wbr",
];

/// Elements with which a page or a part of one begins.
const HTML: [&str; 16] = [
    "html", "head", "body", "title", "meta", "style", "script", "div", "p", "pre", "h1", "h2", "b", "center",
    "table", "form",
];

/// Named entities: those of XML, of punctuation, and of the letters that error pages in Western languages use.
const ENTITIES: [(&str, char); 48] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("ndash", '–'),
    ("mdash", '—'),
    ("hellip", '…'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("sbquo", '‚'),
    ("bdquo", '„'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("lsaquo", '‹'),
    ("rsaquo", '›'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("middot", '·'),
    ("bull", '•'),
    ("deg", '°'),
    ("times", '×'),
    ("rarr", '→'),
    ("larr", '←'),
    ("euro", '€'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("agrave", 'à'),
    ("aacute", 'á'),
    ("egrave", 'è'),
    ("eacute", 'é'),
    ("ecirc", 'ê'),
    ("iacute", 'í'),
    ("oacute", 'ó'),
    ("ntilde", 'ñ'),
    ("ccedil", 'ç'),
];

/// The longest entity, `&#1114111;`, without its `&`.
const LONGEST_ENTITY: usize = 9;

/// Whether a text is probably a page or another document with tags.
pub(super) fn is_markup(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.strip_prefix('<')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || "!?".contains(c)))
}

/// What a document with tags is, for messages.
pub(super) fn kind(text: &str) -> Option<&'static str> {
    match () {
        () if is_html(text) => Some("an HTML page"),
        () if is_markup(text) => Some("an XML document"),
        () => None,
    }
}

/// Whether it is a page for browsers, or a part of one.
fn is_html(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let Some(tag) = text.strip_prefix('<') else { return false };
    let name = &tag[..tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len())];
    starts_with(text, "<!doctype html") || HTML.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The text of a document. What follows its last complete tag or element is left out where that was cut.
pub(super) fn text_of(document: &str) -> String {
    let mut page = PageText::default();
    let mut rest = document;
    while let Some(at) = rest.find('<') {
        page.push(&rest[..at]);
        rest = page.markup(&rest[at..]);
    }
    page.push(rest);
    page.finish()
}

/// White space folded to single spaces.
pub(super) fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text so far.
#[derive(Default)]
struct PageText {
    title: String,
    body: String,
    is_in_title: bool,
}

impl PageText {
    fn push(&mut self, text: &str) {
        let out = if self.is_in_title { &mut self.title } else { &mut self.body };
        out.push_str(&decoded(text));
    }

    /// Reads what begins with `<`, and gives what follows it.
    fn markup<'a>(&mut self, text: &'a str) -> &'a str {
        if let Some(comment) = text.strip_prefix("<!--") {
            return after(comment, "-->");
        }
        if let Some(data) = text.strip_prefix("<![CDATA[") {
            let end = data.find("]]>").unwrap_or(data.len());
            let out = if self.is_in_title { &mut self.title } else { &mut self.body };
            out.push_str(&data[..end]);
            return after(&data[end..], "]]>");
        }
        let is_end = text[1..].starts_with('/');
        let name_at = if is_end { 2 } else { 1 };
        let name = &text[name_at..];
        let name = &name[..name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len())];
        if name.is_empty() && !text[1..].starts_with(['!', '?', '/']) {
            self.push("<");
            return &text[1..];
        }
        let rest = after_tag(&text[name_at..]);
        let is_one = |names: &[&str]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        if !is_end && is_one(&UNSEEN) {
            return after_element(rest, name);
        }
        if is_one(&["title"]) {
            self.is_in_title = !is_end;
        } else if !is_one(&INLINE) {
            self.push(" ");
        }
        rest
    }

    /// The title is shown where the page does not repeat it.
    fn finish(self) -> String {
        let (title, body) = (folded(&self.title), folded(&self.body));
        match (title.is_empty(), body.is_empty()) {
            (true, _) => body,
            (_, true) => title,
            _ if body.to_lowercase().contains(&title.to_lowercase()) => body,
            _ => format!("{title}: {body}"),
        }
    }
}

/// What follows this text; nothing where it is not there.
fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// What follows the `>` of a tag. A value in quotes may contain one.
fn after_tag(text: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '>' => return &text[at + 1..],
            None if matches!(c, '"' | '\'') && before == '=' => quote = Some(c),
            Some(_) | None => {}
        }
        if !c.is_whitespace() {
            before = c;
        }
    }
    ""
}

/// What follows the end tag of an element whose content is not shown.
fn after_element<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        if starts_with(rest, name) {
            return after_tag(rest);
        }
    }
    ""
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// The text with its entities decoded; those that are not known stay as they are.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.bytes().take(LONGEST_ENTITY).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&rest[..end])?, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn entity(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.ok()?).filter(|c| *c != '\0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_is_reduced_to_what_a_reader_sees() {
        for (page, text) in [
            (
                "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<center><h1>404 Not Found</h1></center>\
                 \n<hr><center>nginx/1.26.0</center>\n</body>\n</html>\n",
                "404 Not Found nginx/1.26.0",
            ),
            (
                "<!doctype html><html lang=\"en\"><head><title>HTTP Status 400 – Bad Request</title><style \
                 type=\"text/css\">body {font-family:Tahoma} a>b {color:red}</style></head><body><h1>HTTP Status 400 \
                 – Bad Request</h1><hr class=\"line\" /><p><b>Type</b> Status Report</p><p><b>Message</b> Invalid \
                 URI: &#91;The encoded slash character is not allowed&#93;</p></body></html>",
                "HTTP Status 400 – Bad Request Type Status Report Message Invalid URI: [The encoded slash character \
                 is not allowed]",
            ),
            ("<title>Log in</title><body><p>Your session&nbsp;is over", "Log in: Your session is over"),
            ("<title>Log in</title>", "Log in"),
            ("<p>f&uuml;r<br>dich &amp; &#x6d;ich &unknown; &</p>", "für dich & mich &unknown; &"),
            ("<script>if (a < b) { w('</p>') }</SCRIPT >seen", "seen"),
            ("<!-- <p>not</p> --><p title=\"a > b\" id='>'>s<b>ee</b>n", "seen"),
            (
                "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>No</Message></Error>",
                "AccessDenied No",
            ),
            ("<e><![CDATA[a < b]]></e>", "a < b"),
            ("<p>1 < 2 and 3 <= 4</p>", "1 < 2 and 3 <= 4"),
            ("<p>cut <b", "cut"),
            ("<p>cut <style>a {", "cut"),
            ("<html></html>", ""),
            ("<p>&amp;lt;b&#62;", "&lt;b>"),
        ] {
            assert_eq!(text_of(page), text, "{page}");
        }
    }

    #[test]
    fn a_document_is_known_by_how_it_begins() {
        for page in [
            "<html>",
            "\u{feff} <!DOCTYPE HTML PUBLIC",
            "\n<h1>x",
            "<HEAD>",
            "<title>",
            "<p>",
            "<div class=x>",
        ] {
            assert!(is_markup(page) && is_html(page), "{page}");
        }
        assert_eq!([kind("<?xml?>"), kind("<product>"), kind("<Header>")], [Some("an XML document"); 3]);
        assert_eq!([kind("<html>"), kind("{}")], [Some("an HTML page"), None]);
        for text in ["", "<", "< a", "<1>", "{\"a\":\"<b>\"}", "not <b>found</b>"] {
            assert!(!is_markup(text) && !is_html(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end_and_is_not_longer_for_it(
            pieces in prop::collection::vec(prop_oneof![
                prop::sample::select(&["<", ">", "</", "<!--", "-->", "<script>", "</script", "<title>", "&", ";",
                    "&#x41;", "\"", "'", "=", "<![CDATA[", "]]>", "é", " ", "<p a=\"", "&uuml;"][..]).prop_map(String::from),
                any::<String>(),
            ], 0..20)
        ) {
            let page = pieces.concat();
            let text = text_of(&page);
            prop_assert!(text.chars().count() <= page.chars().count() + 2);
            prop_assert!(!text.contains("  "));
            is_html(&page);
        }
    }
}
