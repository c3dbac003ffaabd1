//! The URL template: checked and normalised once, then filled by appending.
//!
//! `url_structure` gives the literal text in its final form: the URL parser leaves it as it is with a letter in place of
//! each value. From then on a URL is text + encoded value + text. Values consist of unreserved characters and escapes
//! only, none of which the parser changes, and no text ends in a part of an escape. So no value can change the origin,
//! the number of segments or another value. What depends on more than one character are the segments `.` and `..`, for
//! which every rendered path is searched. Rows are therefore not parsed: debug builds, tests and the fuzz target
//! `sku_to_url` compare each URL with what the parser makes of it.

use std::fmt;
use std::ops::Range;

use secrecy::SecretString;
use url::{Position, Url};

use crate::input::Columns;
use crate::model::RequestUrl;
use crate::plan::cells::Cells;
use crate::plan::encode::{LONGEST_VALUE, dots_between_slashes, percent_encode};
use crate::plan::error::{PlanError, TemplateKind, UrlFault};
use crate::plan::fields;
use crate::plan::message_text::quoted;
use crate::plan::pack_template::{BulkSettings, ItemSpan, splice_items, split_items};
use crate::plan::path_suspicion::PathPart;
use crate::plan::rejection::Rejection;
use crate::plan::shown_query::ShownQuery;
use crate::plan::template::{
    BoundPart, EnvLookup, ParsedPart, TemplatePart, bind, columns_of, insert_secrets, parse_strict, printable,
};
use crate::plan::token_place::TokenPlace;
use crate::plan::url_structure::{LONGEST_URL, check_placeholders, normalise, sample};
use crate::plan::user_info::split_credentials;

/// A parsed URL template: checked and normalised, columns not known yet. Shows no text: it may contain
/// secrets.
pub(super) struct UrlTemplate {
    parts: Vec<ParsedPart>,
    /// Where the keys of a pack stand, if they do.
    items: Option<ItemSpan>,
    origin: UrlOrigin,
    /// The template as written, without query, fragment and user-info.
    shown: String,
}

/// What precedes the path. It is the same for all rows.
#[derive(Clone)]
struct UrlOrigin {
    base: Url,
    /// The offset of the path, in bytes. No column precedes it.
    path: usize,
}

impl fmt::Debug for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlTemplate({})", self.shown)
    }
}

impl UrlTemplate {
    /// Parses, checks and normalises a template.
    pub(super) fn parse(
        text: &str,
        bulk: Option<&BulkSettings>,
        env: &EnvLookup<'_>,
    ) -> Result<Self, PlanError> {
        let pieces = split_credentials(parse_strict(text.trim(), env, &TemplateKind::Url)?);
        let (pieces, shown) = check_placeholders(pieces).map_err(PlanError::Url)?;
        let mut written = text.to_owned();
        let pieces = match bulk {
            None => pieces,
            Some(bulk) => {
                written.extend([bulk.item.as_str(), bulk.separator.as_str()]);
                let item = || parse_strict(&bulk.item, env, &TemplateKind::Item);
                let spliced = splice_items(pieces, item, &bulk.separator)?;
                check_placeholders(spliced).map_err(PlanError::Url)?.0
            }
        };
        let pieces = normalise(pieces, &written).map_err(PlanError::Url)?;
        let parts = insert_secrets(pieces, encode_secret)?;
        if bulk.is_some() {
            sample(&parts).map_err(PlanError::Url)?;
        }
        let (parts, items) = split_items(parts);
        let sample = sample(&parts).map_err(PlanError::Url)?;
        // Those of the template itself; then all that are found in a rendered URL are made by a value.
        let path = sample[..Position::BeforePath].len();
        if dots_in_path(sample.as_str(), path).is_some() {
            return Err(PlanError::Url(UrlFault::Dots));
        }
        let mut base = sample.clone();
        base.set_path("");
        base.set_query(None);
        base.set_fragment(None);
        let origin = UrlOrigin { base, path };
        Ok(Self { parts, items, origin, shown })
    }

    /// Finds the columns in the input.
    pub(super) fn bind(&self, columns: &Columns) -> Result<BoundUrl, PlanError> {
        let parts = bind(&self.parts, columns, &TemplateKind::Url)?;
        Ok(BoundUrl { parts, items: self.items.clone(), origin: self.origin.clone() })
    }

    /// `scheme://host:port`, the port only where it is not the scheme's own.
    pub(super) fn origin(&self) -> String {
        self.origin.base.origin().ascii_serialization()
    }

    /// What precedes the path, with the user-info.
    pub(super) fn base(&self) -> &Url {
        &self.origin.base
    }

    /// The template as written, without query, fragment and user-info; escaped.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether this mark of a token stands in it.
    pub(super) fn has_token(&self, token: &TokenPlace) -> bool {
        self.parts.iter().any(|part| matches!(part, TemplatePart::Text(text) if text.contains(token.mark())))
    }

    /// The literal text in the values of the query, with the names of their parameters; as it is sent.
    pub(super) fn query_texts(&self) -> Vec<(String, &str)> {
        let mut is_query = false;
        let texts = self.parts.iter().filter_map(|part| {
            let TemplatePart::Text(text) = part else { return None };
            if is_query {
                return Some(&**text);
            }
            let (_, query) = text.split_once('?')?;
            is_query = true;
            Some(query)
        });
        fields::of_form(texts)
    }
}

/// A URL template whose columns are known.
pub(super) struct BoundUrl {
    parts: Vec<BoundPart>,
    items: Option<ItemSpan>,
    origin: UrlOrigin,
}

impl BoundUrl {
    /// The columns in the order of their use.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        columns_of(&self.parts)
    }

    /// Those that are no part of an item.
    pub(super) fn columns_beside_items(&self) -> impl Iterator<Item = usize> {
        let beside =
            self.items.as_ref().map_or([0..self.parts.len(), 0..0], |items| items.beside(self.parts.len()));
        beside.into_iter().flat_map(|range| columns_of(&self.parts[range]))
    }

    /// Whether the keys of a pack stand in it.
    pub(super) fn has_items(&self) -> bool {
        self.items.is_some()
    }

    /// What one more item adds to the URL of a pack, in bytes; none where none stands in it. `scratch` is a buffer for
    /// reuse.
    pub(super) fn item_length(&self, cells: Cells<'_>, scratch: &mut String) -> usize {
        let Some(items) = &self.items else { return 0 };
        scratch.clear();
        // The values of the row were encoded before.
        let _ = push_parts(scratch, &self.parts[items.item.clone()], cells);
        items.separator.len() + scratch.len()
    }

    /// The URL for the rows of a pack, at least one, each of which was rendered before.
    pub(super) fn render_pack<'a>(
        &self,
        mut rows: impl Iterator<Item = Cells<'a>>,
    ) -> Result<RequestUrl, Rejection> {
        let mut out = String::new();
        let Some(first) = rows.next() else { return Err(Rejection::UrlChanged) };
        let span = self.items.clone().unwrap_or_else(|| ItemSpan::nothing(self.parts.len()));
        push_parts(&mut out, &self.parts[..span.item.start], first)?;
        push_parts(&mut out, &self.parts[span.item.clone()], first)?;
        for cells in rows.take_while(|_| self.items.is_some()) {
            out.push_str(&span.separator);
            push_parts(&mut out, &self.parts[span.item.clone()], cells)?;
        }
        push_parts(&mut out, &self.parts[span.item.end..], first)?;
        if out.len() > LONGEST_URL {
            return Err(Rejection::UrlTooLong { bytes: out.len() });
        }
        if dots_in_path(&out, self.origin.path).is_some() {
            return Err(Rejection::UrlChanged);
        }
        Ok(RequestUrl::of_normal_text(&out, self.origin.path))
    }

    /// The URL for one row. `scratch` is a buffer for reuse.
    pub(super) fn render(&self, cells: Cells<'_>, scratch: &mut String) -> Result<RequestUrl, Rejection> {
        scratch.clear();
        push_parts(scratch, &self.parts, cells)?;
        if scratch.len() > LONGEST_URL {
            return Err(Rejection::UrlTooLong { bytes: scratch.len() });
        }
        if let Some(dots) = dots_in_path(scratch, self.origin.path) {
            return Err(self.dots(&dots, cells));
        }
        Ok(RequestUrl::of_normal_text(scratch, self.origin.path))
    }

    /// The cells of one row that are in the URL.
    pub(super) fn cells<'a>(&'a self, cells: Cells<'a>) -> impl Iterator<Item = &'a [u8]> {
        self.parts.iter().filter_map(move |part| match part {
            TemplatePart::Text(_) => None,
            TemplatePart::Column(column) => Some(cells.bytes(*column)),
        })
    }

    /// The path of one row: literal text as it is sent, and the cells of the columns.
    pub(super) fn path<'a>(&'a self, cells: Cells<'a>) -> impl Iterator<Item = PathPart<'a>> + Clone {
        let has_query = |part: &BoundPart| matches!(part, TemplatePart::Text(text) if text.contains('?'));
        let query = self.parts.iter().position(has_query).unwrap_or(self.parts.len());
        // The text with the `?` begins in the path.
        let parts = self.parts.iter().take(query + 1).enumerate();
        parts.map(move |(place, part)| match part {
            TemplatePart::Text(text) => {
                let text = if place == 0 { &text[self.origin.path..] } else { text };
                (None, text.split('?').next().unwrap_or_default().as_bytes())
            }
            TemplatePart::Column(column) => (Some(*column), cells.bytes(*column)),
        })
    }

    /// The query of this row as a dry run shows it, with its `?`. It shows what columns make, and `...` for
    /// all else, which may be a secret. Empty if there is none.
    pub(super) fn shown_query(&self, cells: Cells<'_>) -> String {
        let mut query: Option<ShownQuery> = None;
        for part in &self.parts {
            match (part, &mut query) {
                (TemplatePart::Text(text), None) => {
                    if let Some((_, text)) = text.split_once('?') {
                        query.insert(ShownQuery::default()).text(text);
                    }
                }
                (TemplatePart::Text(text), Some(query)) => query.text(text),
                (TemplatePart::Column(column), Some(query)) => query.value(cells.bytes(*column)),
                (TemplatePart::Column(_), None) => {}
            }
        }
        query.map_or_else(String::new, ShownQuery::finish)
    }

    /// The query of a pack, as [`Self::shown_query`] shows that of a row.
    pub(super) fn shown_pack_query<'a>(&self, rows: impl Iterator<Item = Cells<'a>> + Clone) -> String {
        let mut query: Option<ShownQuery> = None;
        let Some(first) = rows.clone().next() else { return String::new() };
        let span = self.items.clone().unwrap_or_else(|| ItemSpan::nothing(self.parts.len()));
        let mut show = |parts: &[BoundPart], cells: Cells<'_>, is_item: bool| {
            for part in parts {
                match (part, &mut query) {
                    (TemplatePart::Text(text), None) => {
                        if let Some((_, text)) = text.split_once('?') {
                            query.insert(ShownQuery::default()).text(text);
                        }
                    }
                    (TemplatePart::Text(text), Some(query)) if is_item => query.text_of_items(text),
                    (TemplatePart::Text(text), Some(query)) => query.text(text),
                    (TemplatePart::Column(column), Some(query)) => query.value(cells.bytes(*column)),
                    (TemplatePart::Column(_), None) => {}
                }
            }
        };
        show(&self.parts[..span.item.start], first, false);
        let separator = [TemplatePart::Text(span.separator.clone())];
        for (place, cells) in rows.enumerate() {
            if place > 0 {
                show(&separator, cells, true);
            }
            show(&self.parts[span.item.clone()], cells, true);
        }
        show(&self.parts[span.item.end..], first, false);
        query.map_or_else(String::new, ShownQuery::finish)
    }

    /// The rejection that names the column to which these dots of the rendered URL belong, or beside whose slash they
    /// stand.
    fn dots(&self, dots: &Range<usize>, cells: Cells<'_>) -> Rejection {
        let mut rendered = String::new();
        let mut beside = None;
        for part in &self.parts {
            let start = rendered.len();
            match part {
                TemplatePart::Text(text) => rendered.push_str(text),
                TemplatePart::Column(column) => {
                    // All values of this row were encoded before.
                    let _ = push_value(&mut rendered, *column, cells);
                    let end = rendered.len();
                    if start < dots.end && dots.start < end {
                        return cells.dots(*column);
                    }
                    if start == dots.end || dots.start == end {
                        beside = beside.or(Some(*column));
                    }
                }
            }
        }
        beside.map_or(Rejection::UrlChanged, |column| cells.dots(column))
    }
}

/// The first `.` or `..` in the path of a URL, as [`dots_between_slashes`] finds it; `path` is where the path begins.
fn dots_in_path(url: &str, path: usize) -> Option<Range<usize>> {
    let rest = &url[path..];
    let end = memchr::memchr(b'?', rest.as_bytes()).unwrap_or(rest.len());
    let found = dots_between_slashes(&rest[..end])?;
    Some(found.start + path..found.end + path)
}

fn push_parts(out: &mut String, parts: &[BoundPart], cells: Cells<'_>) -> Result<(), Rejection> {
    parts.iter().try_for_each(|part| match part {
        TemplatePart::Text(text) => {
            out.push_str(text);
            Ok(())
        }
        TemplatePart::Column(column) => push_value(out, *column, cells),
    })
}

fn push_value(out: &mut String, column: usize, cells: Cells<'_>) -> Result<(), Rejection> {
    let value = cells.text(column)?;
    if value.is_empty() {
        return Err(Rejection::Empty { column: cells.name(column) });
    }
    // A control character explains more than a length.
    percent_encode(out, value).map_err(|control| cells.control(column, control))?;
    if value.len() > LONGEST_VALUE {
        return Err(Rejection::TooLong {
            column: cells.name(column),
            bytes: value.len(),
            value: quoted(value),
        });
    }
    Ok(())
}

/// In path and query a secret is encoded like any value. The same encoding preserves it in the user-info.
fn encode_secret(out: &mut String, name: &str, value: &SecretString) -> Result<(), PlanError> {
    let value = printable(name, value, &TemplateKind::Url)?;
    // Cannot fail: control characters were rejected above.
    let _ = percent_encode(out, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use csv::ByteRecord;

    use super::*;

    fn columns() -> Columns {
        let names = ["sku", "b"].map(String::from).to_vec();
        Columns { names, key: 0, format: crate::input::CsvFormat::default(), headers: true }
    }

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "T" => "can&a/ry",
            "UP" => "..",
            "CLIMBS" => "a/../b",
            "LINE" => "canary\n",
            "HOST" => "example.com",
            "CREDENTIALS" => "us:p:w/",
            _ => return None,
        };
        Some(value.into())
    }

    fn template(text: &str) -> Result<UrlTemplate, PlanError> {
        UrlTemplate::parse(text, None, &env)
    }

    fn fault(text: &str) -> UrlFault {
        match template(text).unwrap_err() {
            PlanError::Url(fault) => fault,
            other => panic!("{text}: {other}"),
        }
    }

    fn render(text: &str, sku: &str, b: &str) -> Result<String, Rejection> {
        let columns = columns();
        let record = ByteRecord::from(vec![sku, b]);
        let cells = Cells { record: &record, names: &columns.names };
        template(text)
            .unwrap()
            .bind(&columns)
            .unwrap()
            .render(cells, &mut String::new())
            .map(|url| url.as_str().into())
    }

    #[test]
    fn a_value_is_encoded_in_path_and_query() {
        let url = "https://api.example.com/p/{sku}.json?q={b}&r={sku}";
        assert_eq!(
            render(url, "A/B é", "1+1='2' ").unwrap(),
            "https://api.example.com/p/A%2FB%20%C3%A9.json?q=1%2B1%3D%272%27%20&r=A%2FB%20%C3%A9"
        );
    }

    #[test]
    fn literal_text_is_normalised_once() {
        assert_eq!(
            render(" HTTPS://Ex.COM:443/ä b/./c/../{sku}#top ", "1", "").unwrap(),
            "https://ex.com/%C3%A4%20b/1"
        );
        assert_eq!(render("http://h?q={sku}", "1", "").unwrap(), "http://h/?q=1");
        assert_eq!(render("http://h/a//{sku}/", "1", "").unwrap(), "http://h/a//1/");
    }

    #[test]
    fn a_column_is_refused_in_scheme_user_info_host_and_port() {
        for text in [
            "{sku}://h/",
            "http{sku}://h/",
            "http://{sku}/",
            "http://{sku}.h/",
            "http://h{sku}/",
            "http://h:{sku}/",
            "http://{sku}@h/",
            "http://u:{sku}@h/",
            "http://h{sku}",
            "http://h:80{sku}/p",
            "http://h{sku}?q",
        ] {
            assert!(matches!(fault(text), UrlFault::ColumnInOrigin | UrlFault::Scheme), "{text}");
        }
    }

    #[test]
    fn a_template_that_cannot_make_urls_is_refused() {
        for (text, wanted) in [
            ("", UrlFault::Scheme),
            ("ftp://h/{sku}", UrlFault::Scheme),
            ("h/{sku}", UrlFault::Scheme),
            ("http:h/{sku}", UrlFault::Scheme),
            ("http:///h/{sku}", UrlFault::Parse(url::ParseError::EmptyHost)),
            ("http://", UrlFault::Parse(url::ParseError::EmptyHost)),
            ("http://u@/{sku}", UrlFault::Parse(url::ParseError::EmptyHost)),
            ("http://h:99999/{sku}", UrlFault::Parse(url::ParseError::InvalidPort)),
            ("http://h/\\{sku}", UrlFault::Backslash),
            ("http://h\\@x/{sku}", UrlFault::Backslash),
            ("http://h/#{sku}", UrlFault::PlaceholderInFragment),
            ("http://h/a#b?{sku}", UrlFault::PlaceholderInFragment),
            ("http://h/#${T}", UrlFault::PlaceholderInFragment),
            ("http://h/a%{sku}", UrlFault::CutEscape),
            ("http://h/a%4{sku}", UrlFault::CutEscape),
            ("http://h/?a=%{sku}", UrlFault::CutEscape),
            ("http://h/{sku}/../x", UrlFault::Dots),
            ("http://h/{sku}/%2E%2e", UrlFault::Dots),
            ("http://h/${UP}/{sku}", UrlFault::Dots),
            ("http://h/a%2F${UP}%5c{sku}", UrlFault::Dots),
            ("http://h/${CLIMBS}/{sku}", UrlFault::Dots),
            ("http://h/..%2F{sku}", UrlFault::Dots),
            ("http://${HOST}/{sku}", UrlFault::SecretInOrigin),
            ("http://u@${HOST}/{sku}", UrlFault::SecretInOrigin),
            ("http://h:${T}", UrlFault::SecretInOrigin),
            ("${HOST}/{sku}", UrlFault::SecretInOrigin),
        ] {
            assert_eq!(fault(text), wanted, "{text}");
        }
        assert_eq!(fault(&format!("http://h/{}{{sku}}", "a".repeat(70_000))), UrlFault::TooLong);
        assert!(template("http://h/a%41{sku}%2").is_ok());
    }

    #[test]
    fn dot_segments_are_refused_whatever_they_are_made_of() {
        let dots = |text, sku, b| match render(text, sku, b) {
            Err(Rejection::Dots { column, .. }) => column,
            other => panic!("{text} {sku} {b}: {other:?}"),
        };
        assert_eq!(dots("http://h/p/{sku}", "..", ""), "`sku`");
        assert_eq!(dots("http://h/p/{sku}/info", ".", ""), "`sku`");
        assert_eq!(dots("http://h/{sku}?q=1", "..", ""), "`sku`");
        assert_eq!(dots("http://h/{sku}/{b}{sku}", ".", "x").as_str(), "`sku`");
        assert_eq!(dots("http://h/x/{b}{sku}", ".", "."), "`b`");
        assert_eq!(dots("http://h/.{sku}", ".", ""), "`sku`");
        assert_eq!(dots("http://h/%2e{sku}/", ".", ""), "`sku`");
        assert_eq!(dots("http://h/{sku}%2E", ".", ""), "`sku`");
        for value in ["../x", "x/..", "a/./b", "a\\..\\b", "a/..\\b", "./", "\\.", "/..", "..\\"] {
            assert_eq!(dots("http://h/p/{sku}", value, ""), "`sku`", "{value}");
            assert_eq!(dots("http://h/p/{b}/{sku}?q={b}", value, "b"), "`sku`", "{value}");
        }
        for (template, sku, b, named) in [
            ("http://h/{b}{sku}", "./x", "a/.", "`b`"),
            ("http://h/{b}{sku}", "..", "a/", "`sku`"),
            ("http://h/{b}{sku}{b}", ".", "/", "`sku`"),
            ("http://h/p/..{sku}", "/x", "", "`sku`"),
            ("http://h/p/{sku}..", "x\\", "", "`sku`"),
            ("http://h/p%2F{sku}", "..", "", "`sku`"),
            ("http://h/p%5C{b}.{sku}", "/x", ".", "`b`"),
            ("http://h/{sku}-{b}", "a", "b/..", "`b`"),
        ] {
            assert_eq!(dots(template, sku, b), named, "{template} {sku} {b}");
        }
        assert_eq!(render("http://h/p-{sku}", "../x", "").unwrap(), "http://h/p-..%2Fx");
        assert_eq!(render("http://h/{sku}", "a/..b/...\\.c", "").unwrap(), "http://h/a%2F..b%2F...%5C.c");
        assert_eq!(render("http://h/p?q={sku}", "a/../b", "").unwrap(), "http://h/p?q=a%2F..%2Fb");
        assert_eq!(render("http://h/{sku}", "..%2fx", "").unwrap(), "http://h/..%252fx");
        assert_eq!(render("http://h/p-{sku}", "..", "").unwrap(), "http://h/p-..");
        assert_eq!(render("http://h/{sku}", "...", "").unwrap(), "http://h/...");
        assert_eq!(render("http://h/p?q={sku}", "..", "").unwrap(), "http://h/p?q=..");
        assert_eq!(render("http://h/p?q=/{sku}/", "..", "").unwrap(), "http://h/p?q=/../");
        assert_eq!(render("http://h/{sku}", "%2e%2e", "").unwrap(), "http://h/%252e%252e");
    }

    #[test]
    fn an_empty_or_controlling_or_long_value_is_refused() {
        let url = "http://h/p-{sku}?q={b}";
        assert!(matches!(render(url, "", "b"), Err(Rejection::Empty { .. })));
        assert!(matches!(render(url, "a", ""), Err(Rejection::Empty { .. })));
        for control in ['\0', '\t', '\r', '\n', '\x7f', '\u{85}'] {
            let value = format!("12{control}34");
            assert!(matches!(render(url, &value, "b"), Err(Rejection::Control { .. })));
            assert!(matches!(render(url, "a", &value), Err(Rejection::Control { .. })));
        }
        assert!(render(url, &"é".repeat(128), "b").is_ok());
        assert!(matches!(
            render(url, &format!("{}a", "é".repeat(128)), "b"),
            Err(Rejection::TooLong { bytes: 257, .. })
        ));
    }

    #[test]
    fn a_url_too_long_to_send_is_refused() {
        let url = format!("http://h/{}", "{sku}".repeat(90));
        assert!(matches!(render(&url, &"/".repeat(256), ""), Err(Rejection::UrlTooLong { bytes: 69_129 })));
    }

    #[test]
    fn one_variable_may_hold_name_and_password() {
        let base = |text| template(text).unwrap().base().to_string();
        assert_eq!(base("https://${CREDENTIALS}@h/{sku}"), "https://us:p%3Aw%2F@h/");
        assert_eq!(base("https://me:${CREDENTIALS}@h/{sku}"), "https://me:us%3Ap%3Aw%2F@h/");
    }

    #[test]
    fn a_secret_is_encoded_and_shown_nowhere() {
        let text = "https://u:${T}@h/${T}/{sku}?k=${T}";
        assert_eq!(render(text, "1", "").unwrap(), "https://u:can%26a%2Fry@h/can%26a%2Fry/1?k=can%26a%2Fry");
        let template = template(text).unwrap();
        assert_eq!(template.shown(), "https://h/${T}/{sku}");
        assert_eq!(template.origin(), "https://h");
        assert!(!format!("{template:?}").contains("can"));
        let error = self::template("http://h/{sku}?k=${LINE}").unwrap_err();
        assert!(
            !error.to_string().contains("canary") && !format!("{error:?}").contains("canary"),
            "{error:?}"
        );
    }

    #[test]
    fn what_is_shown_has_no_query_and_no_user_info() {
        assert_eq!(
            template("https://a:b@c@h:8080/x/{sku}?token=1#y").unwrap().shown(),
            "https://h:8080/x/{sku}"
        );
        assert_eq!(template("https://h?{sku}").unwrap().shown(), "https://h");
        assert_eq!(template("https://h:8080/{sku}").unwrap().origin(), "https://h:8080");
        assert_eq!(template("http://[::1]:8080/{sku}").unwrap().origin(), "http://[::1]:8080");
        assert_eq!(template("http://Bücher.example/{sku}").unwrap().origin(), "http://xn--bcher-kva.example");
    }

    #[test]
    fn a_template_that_holds_the_probing_words_is_cut_in_the_right_places() {
        assert_eq!(
            render("http://q0x1z/q0x1z/{sku}/q1x3z/{b}", "q0x", "q1x").unwrap(),
            "http://q0x1z/q0x1z/q0x/q1x3z/q1x"
        );
    }
}
