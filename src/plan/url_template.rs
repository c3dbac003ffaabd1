//! The URL template: checked and normalised once, then filled by appending.
//!
//! The parser of URLs sees the template before the first row, with a harmless word in every
//! placeholder; what comes back is cut at those words, so that literal text is in its final form. From
//! then on a URL is text + encoded value + text, and the parser's result must be that text byte for byte.
//! That, with values that hold unreserved characters and escapes alone, is why no value can change
//! the origin, the number of segments or another value.

use std::fmt;

use http::Uri;
use secrecy::SecretString;
use url::{Position, Url};

use crate::plan::encode::{LONGEST_VALUE, is_dots, percent_encode};
use crate::plan::error::{PlanError, TemplateKind, UrlFault};
use crate::plan::message_text::{escaped, quoted};
use crate::plan::rejection::{Cells, Rejection};
use crate::plan::template::{Scope, TemplatePart, TemplatePiece, columns_of, expand, printable};
use crate::plan::user_info::split_credentials;

/// The longest request target: `http::Uri` takes no more (its `MAX_LEN`), and the transport needs one.
const LONGEST_URL: usize = (u16::MAX - 1) as usize;

/// A URL template bound to its columns. Shows no text, as it may hold secrets.
pub(super) struct UrlTemplate {
    parts: Vec<TemplatePart>,
    /// What stands before the path, which is the same for all rows.
    base: Url,
    /// Where the path begins, in bytes; no column stands before it.
    path: usize,
    /// `scheme://host:port`.
    origin: String,
    /// The template as written, without query, fragment and user-info.
    shown: String,
}

impl fmt::Debug for UrlTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlTemplate({})", self.shown)
    }
}

/// Where in a URL a piece of the template stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UrlPart {
    Authority,
    Path,
    Query,
    Fragment,
}

impl UrlTemplate {
    /// Reads, checks and normalises a template.
    pub(super) fn parse(text: &str, scope: Scope<'_>) -> Result<Self, PlanError> {
        let pieces = split_credentials(scope.parse_strictly(text.trim(), &TemplateKind::Url)?);
        let (pieces, shown) = survey(pieces).map_err(PlanError::Url)?;
        let pieces = normalise(pieces, text).map_err(PlanError::Url)?;
        let parts = expand(pieces, encode_secret)?;
        let sample = sample(&parts).map_err(PlanError::Url)?;
        let mut base = sample.clone();
        base.set_path("");
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self {
            base,
            path: sample[..Position::BeforePath].len(),
            origin: sample.origin().ascii_serialization(),
            parts,
            shown,
        })
    }

    /// `scheme://host:port`, the port only where it is not the scheme's own.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// What stands before the path, with the user-info.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The template as written, without query, fragment and user-info; escaped.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The columns in the order of their use.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        columns_of(&self.parts)
    }

    /// The URL for one row. `scratch` is only there to be used again.
    pub(super) fn render(&self, cells: Cells<'_>, scratch: &mut String) -> Result<Url, Rejection> {
        scratch.clear();
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => scratch.push_str(text),
                TemplatePart::Column(column) => push_value(scratch, *column, cells)?,
            }
        }
        if scratch.len() > LONGEST_URL {
            return Err(Rejection::UrlTooLong { bytes: scratch.len() });
        }
        let path = &scratch[self.path..];
        let path = &path[..path.find('?').unwrap_or(path.len())];
        if let Some(segment) = path.split('/').position(is_dots) {
            return Err(self.dots(segment, cells));
        }
        self.read(scratch).filter(|url| url.as_str() == scratch).ok_or(Rejection::UrlChanged)
    }

    /// The parser's reading of a finished URL. What stands before the path was read once, with the template:
    /// no value can stand there.
    fn read(&self, text: &str) -> Option<Url> {
        let rest = &text[self.path..];
        if rest.contains('#') {
            return Url::parse(text).ok();
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_query(query);
        Some(url)
    }

    /// The query of this row's URL as it may be shown, with its `?`: what columns alone make of it stands,
    /// all else is `...`, since a value that is written out may be a secret. Nothing where there is none.
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

    /// What stands beside the columns in the values of the query, with the names of their parameters; as it is sent.
    pub(super) fn query_texts(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        let (mut is_query, mut is_value) = (false, false);
        let mut name = String::new();
        for part in &self.parts {
            let TemplatePart::Text(text) = part else { continue };
            let text = if is_query { text } else { text.split_once('?').map_or("", |(_, query)| query) };
            is_query |= matches!(part, TemplatePart::Text(text) if text.contains('?'));
            for (index, pair) in text.split('&').enumerate() {
                if index > 0 {
                    name.clear();
                    is_value = false;
                }
                let value = match pair.split_once('=') {
                    _ if is_value => pair,
                    None => {
                        name.push_str(pair);
                        continue;
                    }
                    Some((more, value)) => {
                        name.push_str(more);
                        is_value = true;
                        value
                    }
                };
                found.push((name.clone(), value));
            }
        }
        found
    }

    /// A refusal that names the first column of this segment, counted as `split('/')` counts.
    fn dots(&self, segment: usize, cells: Cells<'_>) -> Rejection {
        let mut slashes = 0;
        // The text before the path holds the two slashes after the scheme.
        let wanted = segment + 2;
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => slashes += text.matches('/').count(),
                TemplatePart::Column(column) if slashes == wanted => {
                    let value = quoted(&String::from_utf8_lossy(cells.bytes(*column)));
                    return Rejection::Dots { column: cells.name(*column), value };
                }
                TemplatePart::Column(_) => {}
            }
        }
        Rejection::UrlChanged
    }
}

/// Puts a query together for people, pair by pair.
#[derive(Default)]
struct ShownQuery {
    shown: String,
    name: String,
    /// What stands after the `=`, once there is one.
    value: Option<String>,
    /// Literal text stands where only a column's value may be shown.
    hides: bool,
}

impl ShownQuery {
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match (c, &self.value) {
                ('&', _) => self.end_pair(),
                ('=', None) => {
                    self.value = Some(String::new());
                    self.hides = false;
                }
                (_, None) => {
                    self.name.push(c);
                    self.hides = true;
                }
                // The end of a secret in base64 looks like a name without a value.
                ('=', Some(value)) if value.is_empty() => {}
                (_, Some(_)) => self.hides = true,
            }
        }
    }

    fn value(&mut self, value: &[u8]) {
        // What cannot be encoded makes no request: there is nothing to be shown then.
        let _ =
            percent_encode(self.value.as_mut().unwrap_or(&mut self.name), &String::from_utf8_lossy(value));
    }

    fn end_pair(&mut self) {
        const HIDDEN: &str = "...";
        let pair = std::mem::take(self);
        self.shown = pair.shown;
        self.shown.push(if self.shown.is_empty() { '?' } else { '&' });
        match (pair.value, pair.hides) {
            (Some(value), false) if value.is_empty() => self.shown.push_str(HIDDEN),
            (Some(_), true) => self.shown.extend([&pair.name, "=", HIDDEN]),
            (Some(value), false) => self.shown.extend([&pair.name, "=", &value]),
            (None, true) => self.shown.push_str(HIDDEN),
            (None, false) => self.shown.push_str(&pair.name),
        }
    }

    fn finish(mut self) -> String {
        self.end_pair();
        self.shown
    }
}

fn push_value(out: &mut String, column: usize, cells: Cells<'_>) -> Result<(), Rejection> {
    let value = cells.text(column)?;
    if value.is_empty() {
        return Err(Rejection::Empty { column: cells.name(column) });
    }
    // A control character says more about what is wrong than a length does.
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

/// In the path and in the query a secret is a value like any other; in the user-info the same encoding
/// keeps it whole.
fn encode_secret(out: &mut String, name: &str, value: &SecretString) -> Result<(), PlanError> {
    let value = printable(name, value, &TemplateKind::Url)?;
    // Cannot fail: control characters were refused in the line above.
    let _ = percent_encode(out, value);
    Ok(())
}

/// Walks over the template: is every placeholder where it may be? Gives the pieces without the
/// fragment, and what may be shown.
fn survey(pieces: Vec<TemplatePiece>) -> Result<(Vec<TemplatePiece>, String), UrlFault> {
    let scheme = match pieces.first() {
        Some(TemplatePiece::Text(text)) => scheme_length(text).ok_or(UrlFault::Scheme)?,
        Some(TemplatePiece::Column { .. }) => return Err(UrlFault::ColumnInOrigin),
        Some(TemplatePiece::Secret { .. }) => return Err(UrlFault::SecretInOrigin),
        None => return Err(UrlFault::Scheme),
    };
    let mut walk = PlaceholderCheck {
        zone: UrlPart::Authority,
        pending: false,
        host: String::new(),
        path: String::new(),
    };
    let mut kept = Vec::with_capacity(pieces.len());
    let mut prefix = String::new();
    for piece in pieces {
        if let TemplatePiece::Text(text) = &piece {
            let skip = if kept.is_empty() { scheme } else { 0 };
            if kept.is_empty() {
                prefix.push_str(&text[..skip]);
            }
            let end = skip + walk.text(&text[skip..])?;
            kept.push(TemplatePiece::Text(text[..end].into()));
        } else {
            walk.placeholder(&piece)?;
            kept.push(piece);
        }
    }
    walk.leave_authority()?;
    let shown = escaped(&format!("{prefix}{}{}", walk.host, walk.path));
    Ok((kept, shown))
}

/// Where a walk over the template is, and what it saw.
struct PlaceholderCheck {
    zone: UrlPart,
    /// A secret stands in the authority and no `@` has come since: is it user-info or host?
    pending: bool,
    /// The authority after the last `@` so far.
    host: String,
    path: String,
}

impl PlaceholderCheck {
    /// Takes literal text; gives how much of it stands before a fragment.
    fn text(&mut self, text: &str) -> Result<usize, UrlFault> {
        for (at, c) in text.char_indices() {
            if c == '\\' {
                return Err(UrlFault::Backslash);
            }
            let next = match (self.zone, c) {
                (UrlPart::Fragment, _) | (_, '#') => UrlPart::Fragment,
                (UrlPart::Query, _) | (_, '?') => UrlPart::Query,
                (UrlPart::Path, _) | (_, '/') => UrlPart::Path,
                (UrlPart::Authority, _) => UrlPart::Authority,
            };
            if self.zone == UrlPart::Authority && next != UrlPart::Authority {
                self.leave_authority()?;
            }
            let entered = self.zone != UrlPart::Fragment && next == UrlPart::Fragment;
            self.zone = next;
            match next {
                UrlPart::Authority if c == '@' => {
                    self.pending = false;
                    self.host.clear();
                }
                UrlPart::Authority => self.host.push(c),
                UrlPart::Path => self.path.push(c),
                UrlPart::Query | UrlPart::Fragment => {}
            }
            if entered {
                // Nothing after this may be a placeholder, and nothing after this is kept.
                return Ok(at);
            }
        }
        Ok(if self.zone == UrlPart::Fragment { 0 } else { text.len() })
    }

    fn placeholder(&mut self, piece: &TemplatePiece) -> Result<(), UrlFault> {
        match (self.zone, piece) {
            (UrlPart::Fragment, _) => return Err(UrlFault::PlaceholderInFragment),
            (UrlPart::Authority, TemplatePiece::Secret { .. }) => self.pending = true,
            (UrlPart::Authority, _) => return Err(UrlFault::ColumnInOrigin),
            (UrlPart::Path, TemplatePiece::Column { name, .. }) => self.path.extend(["{", name, "}"]),
            (UrlPart::Path, TemplatePiece::Secret { name, .. }) => self.path.extend(["${", name, "}"]),
            (UrlPart::Path | UrlPart::Query, _) => {}
        }
        Ok(())
    }

    fn leave_authority(&self) -> Result<(), UrlFault> {
        if self.zone != UrlPart::Authority {
            return Ok(());
        }
        if self.pending {
            return Err(UrlFault::SecretInOrigin);
        }
        // The parser would take `http:///host/` for `http://host/`.
        if self.host.is_empty() {
            return Err(UrlFault::Parse(url::ParseError::EmptyHost));
        }
        Ok(())
    }
}

/// The length of `http://` or `https://`, in any case.
fn scheme_length(text: &str) -> Option<usize> {
    ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)))
        .map(str::len)
}

/// Sends the template through the parser of URLs and cuts the result at the placeholders: all text comes
/// out in its final form.
fn normalise(pieces: Vec<TemplatePiece>, written: &str) -> Result<Vec<TemplatePiece>, UrlFault> {
    // A word that the template does not hold, of characters that no normalisation touches.
    let mut stem = String::from("q0x");
    for n in 1.. {
        if !written.contains(&stem) {
            break;
        }
        stem = format!("q{n}x");
    }
    let word = |index: usize| format!("{stem}{index}z");
    let mut text = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            TemplatePiece::Text(literal) => text.push_str(literal),
            _ => text.push_str(&word(index)),
        }
    }
    let url = Url::parse(&text).map_err(UrlFault::Parse)?;
    let mut rest = url.as_str();
    let mut out = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.into_iter().enumerate() {
        if matches!(piece, TemplatePiece::Text(_)) {
            continue;
        }
        let (before, after) = rest.split_once(word(index).as_str()).ok_or(UrlFault::Dots)?;
        if before.contains(&stem) {
            return Err(UrlFault::Dots);
        }
        if ends_in_cut_escape(before) {
            return Err(UrlFault::CutEscape);
        }
        out.push(TemplatePiece::Text(before.into()));
        out.push(piece);
        rest = after;
    }
    if rest.contains(&stem) {
        return Err(UrlFault::Dots);
    }
    out.push(TemplatePiece::Text(rest.into()));
    Ok(out)
}

/// Whether what follows would be read as the rest of a `%XX`.
fn ends_in_cut_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = bytes.len();
    bytes.last() == Some(&b'%') || end >= 2 && bytes[end - 2] == b'%' && bytes[end - 1].is_ascii_hexdigit()
}

/// The template with a letter in every column: must be a URL that the parser leaves as it is (secrets are
/// in it now), and a target that can be sent.
fn sample(parts: &[TemplatePart]) -> Result<Url, UrlFault> {
    let text: String = parts
        .iter()
        .map(|part| match part {
            TemplatePart::Text(text) => text,
            TemplatePart::Column(_) => "x",
        })
        .collect();
    if text.len() > LONGEST_URL {
        return Err(UrlFault::TooLong);
    }
    let url = Url::parse(&text).map_err(UrlFault::Parse)?;
    if url.as_str() != text {
        return Err(UrlFault::Dots);
    }
    if text.parse::<Uri>().is_err() {
        return Err(UrlFault::Target);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use csv::ByteRecord;

    use super::*;
    use crate::input::Columns;

    fn columns() -> Columns {
        let names = ["sku", "b"].map(String::from).to_vec();
        Columns { names, key: 0, delimiter: b',', headers: true }
    }

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "T" => "can&a/ry",
            "UP" => "..",
            "LINE" => "canary\n",
            "HOST" => "example.com",
            "CREDENTIALS" => "us:p:w/",
            _ => return None,
        };
        Some(value.into())
    }

    fn template(text: &str) -> Result<UrlTemplate, PlanError> {
        let columns = columns();
        UrlTemplate::parse(text, Scope { columns: &columns, env: &env })
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
        template(text).unwrap().render(cells, &mut String::new()).map(Into::into)
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
    fn a_column_may_not_stand_in_scheme_user_info_host_or_port() {
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
    fn dot_segments_are_refused_however_they_come_about() {
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
