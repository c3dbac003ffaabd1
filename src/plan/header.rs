//! The headers of the user: those that are the same for every job, and those that contain a column.
//!
//! All lines of one name are treated alike: a constant `X-Tag: a` beside `X-Tag: {region}` is sent with every
//! job, in the given order, so that it is not lost when both kinds are merged.

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::input::Columns;
use crate::plan::body_charset::other_in_content_type;
use crate::plan::body_escape::BodyEscape;
use crate::plan::cells::Cells;
use crate::plan::credential_name::names_credential;
use crate::plan::error::{CharsetSource, HeaderFault, PlanError, TemplateKind, VariableFault};
use crate::plan::message_text::quoted;
use crate::plan::rejection::Rejection;
use crate::plan::template::{
    BoundPart, EnvLookup, ParsedPart, TemplatePart, TemplatePiece, bind, columns_of, insert_secrets,
    parse_strict, printable,
};
use crate::plan::token_place::TokenPlace;

/// Set by the connection (RFC 9110, sections 6.6, 7.6, 7.8 and 10.1; RFC 9112, section 6): a wrong one breaks
/// the framing. Credentials for a proxy belong to `--proxy`, as only the proxy may see them.
const OWNED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names that users give, in the order of their use.
const WELL_KNOWN: [&str; 8] = [
    "Authorization",
    "Accept",
    "Accept-Language",
    "Content-Type",
    "Cookie",
    "Referer",
    "User-Agent",
    "If-Modified-Since",
];

/// Schemes of `Authorization` that a credential follows.
const SCHEMES: [&str; 6] = ["Bearer", "Basic", "Token", "ApiKey", "Digest", "Negotiate"];

/// The default type of a body.
const JSON: &str = "application/json";

/// What `Accept-Encoding` may contain: the codings that can be decoded.
const CODINGS: [&str; 5] = ["br", "deflate", "gzip", "identity", "zstd"];

/// The headers of the user, parsed. Shows no values.
#[derive(Debug)]
pub(super) struct HeaderTemplates {
    constant: HeaderMap,
    /// Those with a column, and those of the same names, sorted by name.
    varying: Vec<(HeaderName, Vec<ParsedPart>)>,
    /// Names and values, as written, of all lines that may change an answer, sorted by name.
    written: Vec<(HeaderName, String)>,
    /// The value of each `Content-Type` line, if it is literal text.
    content_types: Vec<Option<String>>,
    /// The error for a `Content-Type` that declares another charset than UTF-8.
    other_charset: Option<PlanError>,
}

impl HeaderTemplates {
    /// Parses `Name: value` lines. A body without a type is JSON.
    /// Lines that hold the mark of a token are part of each job, as those with a column are: the token changes.
    pub(super) fn parse(
        lines: &[String],
        (has_body, token): (bool, Option<&TokenPlace>),
        env: &EnvLookup<'_>,
    ) -> Result<Self, PlanError> {
        let mut read = Vec::with_capacity(lines.len());
        let mut content_types = Vec::new();
        let mut other_charset = None;
        for (index, line) in lines.iter().enumerate() {
            let at = |fault| PlanError::Header { line: index + 1, fault };
            let (name, value) = line.split_once(':').ok_or_else(|| at(HeaderFault::NoColon))?;
            let name = header_name(name).map_err(at)?;
            let place = TemplateKind::Header(name.as_str().into());
            // The space around a value is not part of it (RFC 9110, section 5.5).
            let value = value.trim_matches([' ', '\t']);
            let pieces = parse_strict(value, env, &place)?;
            if let Some(variable) = unexpanded(value).filter(|_| names_credential(name.as_str())) {
                let fault = VariableFault::Unexpanded;
                return Err(PlanError::Variable { place, name: variable.into(), fault });
            }
            if let Some(scheme) = lone_scheme(value).filter(|_| name == AUTHORIZATION) {
                return Err(at(HeaderFault::NoCredential(scheme)));
            }
            if name == HOST && pieces.iter().any(|piece| matches!(piece, TemplatePiece::Column(_))) {
                return Err(at(HeaderFault::ColumnInHost));
            }
            if name == CONTENT_TYPE {
                other_charset = other_charset.or_else(|| other_charset_of(&pieces));
                content_types.push(match pieces.as_slice() {
                    [] => Some(String::new()),
                    [TemplatePiece::Text(text)] => Some(text.clone()),
                    _ => None,
                });
            }
            let parts = insert_secrets(pieces, |out, variable, value| {
                out.push_str(printable(variable, value, &place)?);
                Ok(())
            })?;
            if name == ACCEPT_ENCODING && !asks_for_known_codings(&parts) {
                return Err(at(HeaderFault::Coding));
            }
            read.push((name, parts, index));
        }
        Ok(Self { content_types, other_charset, ..Self::sort(read, lines, (has_body, token))? })
    }

    /// How the values of a body of this `Content-Type` are escaped. JSON by default.
    pub(super) fn body_escape(&self) -> Result<BodyEscape, PlanError> {
        let Some(first) = self.content_types.first() else { return Ok(BodyEscape::Json) };
        let of = |content_type: &Option<String>| BodyEscape::of_content_type(content_type.as_deref()?);
        let escape =
            of(first).filter(|escape| self.content_types.iter().all(|other| of(other) == Some(*escape)));
        escape.ok_or_else(|| PlanError::BodyEscape {
            content_type: if self.content_types.len() == 1 { first.as_deref().map(quoted) } else { None },
        })
    }

    /// Whether the user gave a `Content-Type`.
    pub(super) fn has_content_type(&self) -> bool {
        !self.content_types.is_empty()
    }

    /// Fails if a `Content-Type` declares another charset than UTF-8, in which every body is sent.
    pub(super) fn check_charset(&self) -> Result<(), PlanError> {
        self.other_charset.clone().map_or(Ok(()), Err)
    }

    /// Separates constant headers from those with columns.
    fn sort(
        read: Vec<(HeaderName, Vec<ParsedPart>, usize)>,
        lines: &[String],
        (has_body, token): (bool, Option<&TokenPlace>),
    ) -> Result<Self, PlanError> {
        let of = |differs: &dyn Fn(&ParsedPart) -> bool| -> Vec<HeaderName> {
            let names = read.iter().filter(|(_, parts, _)| parts.iter().any(differs));
            names.map(|(name, ..)| name.clone()).collect()
        };
        let with_column = of(&|part| matches!(part, TemplatePart::Column(_)));
        let with_token = of(&|part| {
            token.is_some_and(|token| matches!(part, TemplatePart::Text(text) if text.contains(token.mark())))
        });
        let mut headers = Self {
            constant: HeaderMap::new(),
            varying: Vec::new(),
            written: Vec::new(),
            content_types: Vec::new(),
            other_charset: None,
        };
        let typed = read.iter().any(|(name, ..)| name == CONTENT_TYPE);
        for (name, parts, index) in read {
            let has_column = with_column.contains(&name);
            let is_varying = has_column || with_token.contains(&name);
            if has_column || may_change_the_answer(&name) {
                let value = lines[index].split_once(':').map_or("", |(_, value)| value);
                headers.written.push((name.clone(), value.trim_matches([' ', '\t']).to_owned()));
            }
            if is_varying {
                headers.varying.push((name, parts));
            } else {
                let at = |fault| PlanError::Header { line: index + 1, fault };
                let value = constant_value(&parts).ok_or_else(|| at(HeaderFault::Value))?;
                headers.constant.try_append(name, value).map_err(|_| at(HeaderFault::TooMany))?;
            }
        }
        if has_body && !typed {
            headers.constant.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            headers.written.push((CONTENT_TYPE, JSON.into()));
        }
        // Servers ignore the order of names (RFC 9110, section 5.3), but not that of lines of one name: the
        // sort is stable. So a job stays the same job if its headers are reordered.
        headers.written.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        headers.varying.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        Ok(headers)
    }

    /// Headers that are the same for every job.
    pub(super) fn constant(&self) -> &HeaderMap {
        &self.constant
    }

    /// The names of all headers, in alphabetical order, each once.
    pub(super) fn names(&self) -> Vec<&str> {
        let varying = self.varying.iter().map(|(name, _)| name.as_str());
        let mut names: Vec<&str> = self.constant.keys().map(HeaderName::as_str).chain(varying).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether this mark of a token stands in one of them.
    pub(super) fn has_token(&self, token: &TokenPlace) -> bool {
        self.varying_texts().any(|(_, text)| text.contains(token.mark()))
    }

    /// Names and values of the lines that may change an answer, sorted by name: those with a column, and the
    /// constant ones without credentials. A value is as written, including `${NAME}`.
    pub(super) fn written(&self) -> &[(HeaderName, String)] {
        &self.written
    }

    /// The literal text beside the columns, with the names of the headers.
    pub(super) fn varying_texts(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.varying.iter().flat_map(|(name, parts)| {
            parts.iter().filter_map(move |part| match part {
                TemplatePart::Text(text) => Some((name, &**text)),
                TemplatePart::Column(_) => None,
            })
        })
    }

    /// A sentence for each name that is probably a misspelling of a well-known one.
    pub(super) fn misspelt(&self) -> Vec<String> {
        let meant = |name: &&str| {
            let nearest =
                WELL_KNOWN.iter().map(|known| (strsim::osa_distance(name, &known.to_lowercase()), *known));
            let (distance, known) = nearest.min_by_key(|(distance, _)| *distance)?;
            // Short names are near to each other by chance.
            (1..=if known.len() < 9 { 1 } else { 2 }).contains(&distance).then_some(known)
        };
        let names = self.names().into_iter();
        let found = names.filter_map(|name| Some((name, meant(&name)?)));
        found
            .map(|(name, meant)| format!("the header {name} is sent under this name; did you mean {meant}?"))
            .collect()
    }

    /// Finds the columns in the input.
    pub(super) fn bind(&self, columns: &Columns) -> Result<BoundHeaders, PlanError> {
        let bound = self.varying.iter().map(|(name, parts)| {
            Ok((name.clone(), bind(parts, columns, &TemplateKind::Header(name.as_str().into()))?))
        });
        Ok(BoundHeaders { varying: bound.collect::<Result<_, _>>()? })
    }
}

/// The headers that differ from row to row, whose columns are known. Shows no values.
#[derive(Debug)]
pub(super) struct BoundHeaders {
    varying: Vec<(HeaderName, Vec<BoundPart>)>,
}

impl BoundHeaders {
    /// The columns in the order of their use, by the names of the headers.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.varying.iter().flat_map(|(_, parts)| columns_of(parts))
    }

    /// The headers with columns, for one row. `scratch` is a buffer for reuse.
    pub(super) fn render(&self, cells: Cells<'_>, scratch: &mut String) -> Result<HeaderMap, Rejection> {
        let mut map = HeaderMap::new();
        for (name, parts) in &self.varying {
            scratch.clear();
            for part in parts {
                match part {
                    TemplatePart::Text(text) => scratch.push_str(text),
                    TemplatePart::Column(column) => {
                        let value = cells.text(*column)?;
                        if let Some(control) = value.chars().find(|c| c.is_control()) {
                            return Err(cells.control(*column, control));
                        }
                        scratch.push_str(value);
                    }
                }
            }
            let unsent = || Rejection::Header { header: name.as_str().into() };
            let mut value = HeaderValue::from_bytes(scratch.as_bytes()).map_err(|_| unsent())?;
            value.set_sensitive(true);
            map.try_append(name.clone(), value).map_err(|_| unsent())?;
        }
        Ok(map)
    }
}

/// The error for the charset of a `Content-Type`. The value of a variable is read, and not shown.
fn other_charset_of(pieces: &[TemplatePiece]) -> Option<PlanError> {
    let is_written_out = !pieces.iter().any(|piece| matches!(piece, TemplatePiece::Secret { .. }));
    let value: String = pieces
        .iter()
        .map(|piece| match piece {
            TemplatePiece::Text(text) => text.clone(),
            TemplatePiece::Secret { value, .. } => value.expose_secret().to_owned(),
            // Its value differs by row, and this is no known charset.
            TemplatePiece::Column(name) => format!("{{{name}}}"),
        })
        .collect();
    let charset = other_in_content_type(&value)?;
    let charset = is_written_out.then(|| quoted(charset));
    Some(PlanError::BodyCharset { place: CharsetSource::ContentType, charset })
}

/// The variable of a value that is `$NAME` or ends in a word of this form, as a shell in single quotes leaves it.
fn unexpanded(value: &str) -> Option<&str> {
    let (_, name) = value.rsplit_once('$')?;
    let word = value.rsplit([' ', '\t', '=', ':']).next()?;
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    (is_name && word.strip_prefix('$') == Some(name)).then_some(name)
}

/// The scheme of a credential that has nothing behind it.
fn lone_scheme(value: &str) -> Option<&'static str> {
    SCHEMES.into_iter().find(|scheme| value.eq_ignore_ascii_case(scheme))
}

fn header_name(text: &str) -> Result<HeaderName, HeaderFault> {
    let name = HeaderName::from_bytes(text.trim().as_bytes()).map_err(|_| HeaderFault::Name)?;
    if OWNED.contains(&name.as_str()) {
        return Err(HeaderFault::Owned(name.as_str().into()));
    }
    Ok(name)
}

/// Whether another constant value of this header may change the answers. A credential identifies the client,
/// not the request: with a new one, earlier answers still hold.
fn may_change_the_answer(name: &HeaderName) -> bool {
    // Names of header fields are in lower case here.
    const IN_CREDENTIALS: [&str; 7] = ["key", "token", "secret", "auth", "sign", "session", "password"];
    *name != COOKIE && *name != USER_AGENT && !IN_CREDENTIALS.iter().any(|word| name.as_str().contains(word))
}

/// Whether it lists supported codings only.
fn asks_for_known_codings(parts: &[ParsedPart]) -> bool {
    let is_known = |coding: &str| {
        let name = coding.split(';').next().unwrap_or_default().trim();
        CODINGS.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    parts.iter().all(|part| match part {
        TemplatePart::Text(text) => text.split(',').all(is_known),
        TemplatePart::Column(_) => false,
    })
}

/// The value of parts without a column; sensitive, as it may come from a variable or a private file.
fn constant_value(parts: &[ParsedPart]) -> Option<HeaderValue> {
    let text: String = parts
        .iter()
        .filter_map(|part| match part {
            TemplatePart::Text(text) => Some(&**text),
            TemplatePart::Column(_) => None,
        })
        .collect();
    let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
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
        match name {
            "TOKEN" => Some("canary".into()),
            "LINE" => Some("canary\r\nX: 1".into()),
            _ => None,
        }
    }

    fn headers(lines: &[&str], has_body: bool) -> Result<HeaderTemplates, PlanError> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        HeaderTemplates::parse(&lines, (has_body, None), &env)
    }

    fn render(lines: &[&str], sku: &str) -> Result<Vec<(String, Vec<u8>)>, Rejection> {
        let columns = columns();
        let record = ByteRecord::from(vec![sku, "b"]);
        let cells = Cells { record: &record, names: &columns.names };
        let map = headers(lines, false).unwrap().bind(&columns).unwrap().render(cells, &mut String::new())?;
        assert!(map.values().all(HeaderValue::is_sensitive));
        Ok(map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect())
    }

    #[test]
    fn constant_headers_are_sensitive_and_the_same_name_twice_is_sent_twice() {
        let headers = headers(&["X-Key:  ${TOKEN} ", "X-Tag: a", "x-tag: b"], false).unwrap();
        let map = headers.constant();
        assert_eq!(map["x-key"], "canary");
        assert!(map["x-key"].is_sensitive());
        assert_eq!(map.get_all("x-tag").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!format!("{headers:?}").contains("canary"));
    }

    #[test]
    fn a_body_without_a_content_type_is_json() {
        assert_eq!(headers(&[], true).unwrap().constant()["content-type"], "application/json");
        assert_eq!(headers(&["content-type: text/x"], true).unwrap().constant()["content-type"], "text/x");
        assert!(headers(&["Content-Type: {b}"], true).unwrap().constant().is_empty());
        assert!(headers(&[], false).unwrap().constant().is_empty());
    }

    #[test]
    fn lines_of_a_name_that_differs_travel_together_in_order() {
        let lines = ["X-Tag: a", "Y: 1", "X-Tag: r-{b}/{sku}"];
        assert_eq!(
            render(&lines, "é").unwrap(),
            [("x-tag".into(), b"a".to_vec()), ("x-tag".into(), "r-b/é".into())]
        );
        let headers = headers(&lines, false).unwrap();
        assert_eq!(headers.constant().len(), 1);
        assert_eq!(headers.bind(&columns()).unwrap().columns().collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn a_value_that_would_end_the_header_is_refused() {
        for bad in ["a\r\nX: 1", "a\tb", "a\0", "a\x7f", "a\u{85}"] {
            assert!(matches!(render(&["X: {sku}"], bad), Err(Rejection::Control { .. })), "{bad:?}");
        }
        assert_eq!(render(&["X: {sku}"], "").unwrap(), [("x".into(), Vec::new())]);
    }

    #[test]
    fn a_credential_that_a_shell_did_not_or_should_not_expand_is_an_error() {
        for line in ["Authorization: Bearer $API_TOKEN", "X-Api-Key: $KEY1", "Cookie: sid=$SID"] {
            let error = headers(&[line], false).unwrap_err();
            let fault = VariableFault::Unexpanded;
            assert!(
                matches!(&error, PlanError::Variable { fault: found, .. } if *found == fault),
                "{line}: {error}"
            );
            assert!(error.hint().unwrap().starts_with("write ${"), "{error:?}");
        }
        for line in ["Authorization: Bearer ", "authorization: basic", "Authorization:  Token \t"] {
            let error = headers(&[line], false).unwrap_err();
            assert!(
                matches!(error, PlanError::Header { fault: HeaderFault::NoCredential(_), .. }),
                "{line}: {error}"
            );
        }
        for line in
            ["X-Price: $USD", "X-Key: a$B", "X-Key: $b", "X-Key: Bearer", "X-Key: cost$5", "X-Key: ${TOKEN}"]
        {
            assert!(headers(&[line], false).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_misspelt_name_of_a_well_known_header_is_pointed_out() {
        let misspelt = |line: &str| headers(&[line], false).unwrap().misspelt();
        for (name, meant) in [
            ("Authorizaton", "Authorization"),
            ("Autorisation", "Authorization"),
            ("Acept", "Accept"),
            ("Referrer", "Referer"),
            ("Content_Type", "Content-Type"),
            ("useragent", "User-Agent"),
        ] {
            let expected =
                format!("the header {} is sent under this name; did you mean {meant}?", name.to_lowercase());
            assert_eq!(misspelt(&format!("{name}: x")), [expected]);
        }
        for name in
            ["Authorization", "Authentication", "X-Api-Key", "Accept-Encoding", "Except", "X-Accept", "Date"]
        {
            assert_eq!(misspelt(&format!("{name}: gzip")), [] as [String; 0], "{name}");
        }
    }

    #[test]
    fn a_bad_line_is_an_error_that_does_not_show_it() {
        let bad = [
            "canary",
            "can ary: x",
            ": canary",
            "X: canary\nY: 1",
            "X: ${LINE}",
            "Content-Length: canary",
            "Transfer-Encoding: canary",
            "TE: canary",
            "Accept-Encoding: canary",
            "Accept-Encoding: gzip, canary",
            "Accept-Encoding: *",
            "Accept-Encoding: {sku}",
            "Proxy-Authorization: canary",
            "X: {canary",
            "Host: canary{sku}",
        ];
        for line in bad {
            let error = headers(&[line], false).unwrap_err();
            assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("canary"), "{line}: {error}");
            assert_eq!(error.exit().code(), 2, "{line}");
        }
        assert!(headers(&["Host: other.example.com"], false).is_ok());
        assert!(headers(&["Accept-Encoding: GZIP;q=1.0, identity; q=0.5,br"], false).is_ok());
    }
}
