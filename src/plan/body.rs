//! The body template: each value is escaped as the type of the body requires.

use std::ops::Range;

use bytes::Bytes;
use secrecy::ExposeSecret;

use crate::input::Columns;
use crate::plan::body_braces::{BodyPiece, find_columns, parse_body};
use crate::plan::body_charset::other_in_xml;
use crate::plan::body_escape::BodyEscape;
use crate::plan::body_number::{bare_values, is_bare_scalar, is_json};
use crate::plan::cells::Cells;
use crate::plan::error::{BulkFault, CharsetSource, PlanError, TemplateKind, VariableFault};
use crate::plan::fields;
use crate::plan::message_text::quoted;
use crate::plan::pack_template::{BulkSettings, ItemSpan};
use crate::plan::rejection::Rejection;
use crate::plan::template::{
    BoundPart, EnvLookup, ITEMS, TemplatePart, TemplatePiece, bind, columns_of, insert_secrets,
};
use crate::plan::token_place::TokenPlace;

/// A parsed body template: variables are read, columns are not known yet. Shows no text: it may contain
/// secrets.
#[derive(Debug)]
pub(super) struct BodyTemplate {
    pieces: Vec<BodyPiece>,
    /// The item of a pack, and what separates two of them.
    item: Option<(Vec<BodyPiece>, Box<str>)>,
    /// How values are inserted, where that is known.
    escape: Result<BodyEscape, PlanError>,
    /// The body is taken for JSON since the user gave neither a type nor an escape.
    is_default: bool,
}

impl BodyTemplate {
    /// Parses a template. If no way to escape values is known, it may contain none. `is_default`: the body is taken for
    /// JSON since the user gave neither a type nor an escape.
    pub(super) fn parse(
        text: &str,
        escape: Result<BodyEscape, PlanError>,
        is_default: bool,
        env: &EnvLookup<'_>,
    ) -> Result<Self, PlanError> {
        // The last line end of a file would become a part of the last value.
        let text =
            if matches!(escape, Ok(BodyEscape::Form)) { text.trim_end_matches(['\r', '\n']) } else { text };
        Ok(Self { pieces: parse_body(text, env)?, item: None, escape, is_default })
    }

    /// Whether this mark of a token stands in it.
    pub(super) fn has_token(&self, token: &TokenPlace) -> bool {
        let is_it = |piece: &BodyPiece| matches!(piece, BodyPiece::Secret { value, .. } if value.expose_secret() == token.mark());
        self.pieces.iter().chain(self.item.iter().flat_map(|(item, _)| item)).any(is_it)
    }

    /// The same for packs of keys.
    pub(super) fn for_packs(self, bulk: &BulkSettings, env: &EnvLookup<'_>) -> Result<Self, PlanError> {
        let item = (parse_body(&bulk.item, env)?, bulk.separator.as_str().into());
        Ok(Self { item: Some(item), ..self })
    }

    /// Finds the columns in the input, and checks that each value can be escaped at its position.
    ///
    /// # Errors
    /// No escape is known; the body declares another charset than UTF-8; no escape preserves a value at its
    /// position.
    pub(super) fn bind(&self, columns: &Columns) -> Result<BoundBody, PlanError> {
        let segments = self.segments(columns)?;
        let pieces = segments.with_two_items();
        let is_constant = pieces.iter().all(|piece| matches!(piece, TemplatePiece::Text(_)));
        let escape = match &self.escape {
            Err(_) if is_constant => BodyEscape::None,
            other => other.clone()?,
        };
        if !is_constant {
            check_xml_charset(&pieces)?;
        }
        if escape == BodyEscape::Xml && has_value_in_cdata(&pieces) {
            return Err(PlanError::ValueInCdata);
        }
        let mut is_untyped = false;
        let bare_pieces = if escape == BodyEscape::Json {
            let bare = bare_values(&pieces)?;
            is_untyped = self.is_default && !is_json(&pieces, &bare);
            check_bare_secrets(&pieces, &bare, is_untyped)?;
            bare
        } else {
            vec![false; pieces.len()]
        };
        let is_column = |piece: &TemplatePiece| matches!(piece, TemplatePiece::Column(_));
        let bare_columns: Vec<bool> = pieces
            .iter()
            .zip(bare_pieces)
            .filter(|(piece, _)| is_column(piece))
            .map(|(_, bare)| bare)
            .collect();
        let mut bare_columns = bare_columns.into_iter();
        let BodySegments { before, item, after } = segments;
        let mut bound = BoundBody {
            parts: Vec::new(),
            is_bare: Vec::new(),
            items: None,
            escape,
            has_placeholder: !is_constant,
            is_untyped,
        };
        bound.append(before, columns, &mut bare_columns)?;
        if let Some((item, separator)) = item {
            let start = bound.parts.len();
            let of_item = item.iter().filter(|piece| is_column(piece)).count();
            bound.append(item, columns, &mut bare_columns)?;
            bound.items = Some(ItemSpan { item: start..bound.parts.len(), separator });
            // Those of the second item.
            bare_columns.by_ref().take(of_item).for_each(drop);
        }
        bound.append(after, columns, &mut bare_columns)?;
        Ok(bound)
    }

    /// The template, and apart from it the item of a pack.
    fn segments(&self, columns: &Columns) -> Result<BodySegments, PlanError> {
        let Some((item, separator)) = &self.item else {
            let before = find_columns(&self.pieces, columns, None);
            return Ok(BodySegments { before, item: None, after: Vec::new() });
        };
        let mut before = find_columns(&self.pieces, columns, Some(ITEMS));
        let is_items = |piece: &TemplatePiece| matches!(piece, TemplatePiece::Column(name) if name == ITEMS);
        let Some(at) = before.iter().position(is_items) else {
            return Ok(BodySegments { before, item: None, after: Vec::new() });
        };
        let after = before.split_off(at + 1);
        before.pop();
        if after.iter().any(is_items) {
            return Err(PlanError::Bulk(BulkFault::Twice));
        }
        let item = Some((find_columns(item, columns, None), separator.clone()));
        Ok(BodySegments { before, item, after })
    }
}

/// A body template around the item of a pack; all of it is before the item where there is none.
struct BodySegments {
    before: Vec<TemplatePiece>,
    item: Option<(Vec<TemplatePiece>, Box<str>)>,
    after: Vec<TemplatePiece>,
}

impl BodySegments {
    /// The body of a pack of two: it shows where in the body each value of each item stands.
    fn with_two_items(&self) -> Vec<TemplatePiece> {
        let mut pieces = self.before.clone();
        if let Some((item, separator)) = &self.item {
            pieces.extend(item.iter().cloned());
            pieces.push(TemplatePiece::Text(separator.to_string()));
            pieces.extend(item.iter().cloned());
        }
        pieces.extend(self.after.iter().cloned());
        pieces
    }
}

/// A body template whose columns are known. Shows no text: it may contain secrets.
#[derive(Debug)]
pub(super) struct BoundBody {
    parts: Vec<BoundPart>,
    /// For each part, whether it is a value outside the strings of a JSON body.
    is_bare: Vec<bool>,
    /// Where the keys of a pack stand, if they do.
    items: Option<ItemSpan>,
    escape: BodyEscape,
    has_placeholder: bool,
    is_untyped: bool,
}

impl BoundBody {
    /// Appends a part of the template. `bare_columns`: for each of its columns, whether it is outside of strings.
    fn append(
        &mut self,
        pieces: Vec<TemplatePiece>,
        columns: &Columns,
        bare_columns: &mut impl Iterator<Item = bool>,
    ) -> Result<(), PlanError> {
        let parts = insert_secrets(pieces, |out, name, value| {
            self.escape.push(out, value.expose_secret()).map_err(|_| PlanError::Variable {
                place: TemplateKind::Body,
                name: name.into(),
                fault: VariableFault::NotInXml,
            })
        })?;
        for part in bind(&parts, columns, &TemplateKind::Body)? {
            let is_column = matches!(part, TemplatePart::Column(_));
            self.is_bare.push(is_column && bare_columns.next().unwrap_or_default());
            self.parts.push(part);
        }
        Ok(())
    }

    /// Whether the keys of a pack stand in it.
    pub(super) fn has_items(&self) -> bool {
        self.items.is_some()
    }

    /// The columns that are no part of an item.
    pub(super) fn columns_beside_items(&self) -> impl Iterator<Item = usize> {
        let beside =
            self.items.as_ref().map_or([0..self.parts.len(), 0..0], |items| items.beside(self.parts.len()));
        beside.into_iter().flat_map(|range| columns_of(&self.parts[range]))
    }

    /// The body for the rows of a pack, at least one, each of which was rendered before.
    pub(super) fn render_pack<'a>(
        &self,
        mut rows: impl Iterator<Item = Cells<'a>>,
    ) -> Result<Bytes, Rejection> {
        let mut out = String::new();
        let Some(first) = rows.next() else { return Ok(Bytes::new()) };
        let span = self.items.clone().unwrap_or_else(|| ItemSpan::nothing(self.parts.len()));
        self.push_parts(&mut out, 0..span.item.end, first)?;
        for cells in rows.take_while(|_| self.items.is_some()) {
            out.push_str(&span.separator);
            self.push_parts(&mut out, span.item.clone(), cells)?;
        }
        self.push_parts(&mut out, span.item.end..self.parts.len(), first)?;
        Ok(out.into())
    }

    fn push_parts(&self, out: &mut String, range: Range<usize>, cells: Cells<'_>) -> Result<(), Rejection> {
        for (part, is_bare) in self.parts[range.clone()].iter().zip(&self.is_bare[range]) {
            match part {
                TemplatePart::Text(text) => out.push_str(text),
                TemplatePart::Column(column) if *is_bare && !is_bare_scalar(cells.text(*column)?) => {
                    return Err(cells.not_a_scalar(*column, self.is_untyped));
                }
                TemplatePart::Column(column) => self
                    .escape
                    .push(out, cells.text(*column)?)
                    .map_err(|character| cells.not_in_xml(*column, character))?,
            }
        }
        Ok(())
    }

    /// How values are inserted.
    pub(super) fn escape(&self) -> BodyEscape {
        self.escape
    }

    /// Whether it contains a column or a variable.
    pub(super) fn has_placeholder(&self) -> bool {
        self.has_placeholder
    }

    /// Whether it is sent as JSON only since the user gave no type, and is not JSON.
    pub(super) fn is_untyped(&self) -> bool {
        self.is_untyped
    }

    /// What stands beside the columns in the fields of a JSON body, with their names; as it is sent.
    pub(super) fn json_texts(&self) -> Vec<(String, String)> {
        if matches!(self.escape, BodyEscape::Json | BodyEscape::None) {
            fields::of_json(&self.parts)
        } else {
            Vec::new()
        }
    }

    /// What stands beside the columns in the fields of a form, with their names; as it is sent. So are those of
    /// a body that is not declared as a form but may be one.
    pub(super) fn form_texts(&self) -> Vec<(String, &str)> {
        let may_be_form = match self.escape {
            BodyEscape::Form | BodyEscape::None => true,
            BodyEscape::Json => self.is_untyped,
            BodyEscape::Xml => false,
        };
        let texts = self.parts.iter().filter(|_| may_be_form).filter_map(|part| match part {
            TemplatePart::Text(text) => Some(&**text),
            TemplatePart::Column(_) => None,
        });
        fields::of_form(texts)
    }

    /// The columns in the order of their use.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        columns_of(&self.parts)
    }

    /// The body for one row.
    pub(super) fn render(&self, cells: Cells<'_>) -> Result<Bytes, Rejection> {
        let mut out = String::with_capacity(self.room(cells));
        self.push_parts(&mut out, 0..self.parts.len(), cells)?;
        Ok(out.into())
    }

    /// The length if nothing needs an escape.
    fn room(&self, cells: Cells<'_>) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                TemplatePart::Text(text) => text.len(),
                TemplatePart::Column(column) => cells.bytes(*column).len(),
            })
            .sum()
    }
}

/// The text before the first placeholder may not declare another charset than the one that values are sent in.
fn check_xml_charset(pieces: &[TemplatePiece]) -> Result<(), PlanError> {
    let Some(TemplatePiece::Text(text)) = pieces.first() else { return Ok(()) };
    let Some(charset) = other_in_xml(text) else { return Ok(()) };
    let charset = Some(quoted(charset)).filter(|_| !charset.is_empty());
    Err(PlanError::BodyCharset { place: CharsetSource::XmlDeclaration, charset })
}

/// A variable outside of the strings of a JSON body must be a number, `true` or `false`.
fn check_bare_secrets(pieces: &[TemplatePiece], is_bare: &[bool], is_untyped: bool) -> Result<(), PlanError> {
    pieces.iter().zip(is_bare).try_for_each(|(piece, is_bare)| match piece {
        TemplatePiece::Secret { name, value } if *is_bare && !is_bare_scalar(value.expose_secret()) => {
            let fault = VariableFault::NotAScalar { is_untyped };
            Err(PlanError::Variable { place: TemplateKind::Body, name: name.clone(), fault })
        }
        _ => Ok(()),
    })
}

/// Whether a placeholder is between `<![CDATA[` and `]]>`, where XML parsers decode no escapes.
fn has_value_in_cdata(pieces: &[TemplatePiece]) -> bool {
    let mut is_inside = false;
    pieces.iter().any(|piece| {
        let TemplatePiece::Text(text) = piece else { return is_inside };
        let mut rest = text.as_str();
        while let Some(at) = rest.find(if is_inside { "]]>" } else { "<![CDATA[" }) {
            rest = &rest[at + 3..];
            is_inside = !is_inside;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use csv::ByteRecord;

    use super::*;

    fn columns() -> Columns {
        let names = vec!["sku".to_owned(), "b".to_owned()];
        Columns { names, key: 0, format: crate::input::CsvFormat::default(), headers: true }
    }

    fn parse(text: &str, escape: Result<BodyEscape, PlanError>) -> Result<BoundBody, PlanError> {
        let env = |name: &str| Some(if name == "BELL" { "\u{7}" } else { "to\"k&n" }.to_owned());
        BodyTemplate::parse(text, escape, false, &env)?.bind(&columns())
    }

    fn render(text: &str, escape: BodyEscape, b: &str) -> Result<String, Rejection> {
        let columns = columns();
        let record = ByteRecord::from(vec!["{b}", b]);
        let template = parse(text, Ok(escape)).unwrap();
        assert_eq!(template.columns().collect::<Vec<_>>(), [0, 1]);
        let body = template.render(Cells { record: &record, names: &columns.names })?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn values_are_inserted_escaped_once_and_other_braces_are_literal() {
        let template = r#"{"a":{"q":"{sku}","b":"{b}","t":"${T}"},"x":"{nope}"}"#;
        assert_eq!(
            render(template, BodyEscape::Json, "\"\\\n\u{1}\u{1f}é").unwrap(),
            "{\"a\":{\"q\":\"{b}\",\"b\":\"\\\"\\\\\\n\\u0001\\u001fé\",\"t\":\"to\\\"k&n\"},\"x\":\"{nope}\"}"
        );
    }

    #[test]
    fn columns_and_variables_are_escaped_alike() {
        for (escape, expected) in [
            (BodyEscape::Json, "\"<{b}|a&\\\"+ é|to\\\"k&n>\"\n"),
            (BodyEscape::Form, "\"<%7Bb%7D|a%26%22%2B%20%C3%A9|to%22k%26n>\""),
            (BodyEscape::Xml, "\"<{b}|a&amp;&quot;+ é|to&quot;k&amp;n>\"\n"),
            (BodyEscape::None, "\"<{b}|a&\"+ é|to\"k&n>\"\n"),
        ] {
            assert_eq!(render("\"<{sku}|{b}|${T}>\"\n", escape, "a&\"+ é").unwrap(), expected, "{escape}");
        }
    }

    #[test]
    fn what_xml_cannot_carry_fails_the_row_or_names_the_variable() {
        let why = render("<a>{sku}{b}</a>", BodyEscape::Xml, "x\u{1}").unwrap_err();
        assert!(
            why.to_string().starts_with("column `b` holds a character that XML cannot carry (U+0001)"),
            "{why}"
        );
        let error = parse("<a>${BELL}</a>", Ok(BodyEscape::Xml)).unwrap_err();
        assert!(error.to_string().contains("BELL"), "{error}");
        assert!(parse("\"${BELL}\"", Ok(BodyEscape::Json)).is_ok());
    }

    #[test]
    fn nothing_can_be_escaped_in_cdata() {
        for text in ["<a><![CDATA[{sku}]]></a>", "<![CDATA[]]>{b}<![CDATA[ ${T}", "<![CDATA[<![CDATA[{sku}"] {
            assert_eq!(parse(text, Ok(BodyEscape::Xml)).unwrap_err(), PlanError::ValueInCdata, "{text}");
            assert!(parse(text, Ok(BodyEscape::None)).is_ok());
        }
        for text in ["<![CDATA[x]]>{sku}<![CDATA[y]]>{b}", "<![CDATA[{{sku}}]]>{b}", "{sku}<![CDATA["] {
            assert!(parse(text, Ok(BodyEscape::Xml)).is_ok(), "{text}");
        }
    }

    #[test]
    fn outside_of_the_strings_of_json_a_value_is_a_number_or_a_boolean() {
        let columns = columns();
        let bare = |text: &str, escape, b: &str| {
            let record = ByteRecord::from(vec!["1", b]);
            let body =
                parse(text, Ok(escape)).unwrap().render(Cells { record: &record, names: &columns.names })?;
            Ok::<_, Rejection>(String::from_utf8(body.to_vec()).unwrap())
        };
        let text = r#"{"a":"{sku} \" {b} \\","n":[{b}]}"#;
        assert_eq!(bare(text, BodyEscape::Json, "-2.5").unwrap(), r#"{"a":"1 \" -2.5 \\","n":[-2.5]}"#);
        for wrong in ["1,2", "null", "007", ""] {
            let why = bare(text, BodyEscape::Json, wrong).unwrap_err().to_string();
            let expected = format!(
                "column `b` is outside quotes in the body, and is not a JSON number, true or false: `{wrong}`"
            );
            assert_eq!(why, expected);
            assert!(bare(text, BodyEscape::None, wrong).is_ok());
        }
        let error = parse(r#"{"n":${T},"s":"{sku}"}"#, Ok(BodyEscape::Json)).unwrap_err();
        assert_eq!((error.exit().code(), error.to_string().contains("k&n")), (2, false));
        assert!(
            error
                .to_string()
                .ends_with("variable T, which is outside quotes, and is not a JSON number, true or false")
        );
        assert!(error.hint().unwrap().contains("\"${T}\""));
        assert!(parse(r#""\{sku}""#, Ok(BodyEscape::Json)).is_err());
        assert!(parse(r#""\{sku}""#, Ok(BodyEscape::None)).is_ok());
    }

    #[test]
    fn a_body_of_no_type_that_is_not_json_says_so_where_a_value_cannot_be_inserted() {
        let columns = columns();
        let untyped = |text, is_default| {
            BodyTemplate::parse(text, Ok(BodyEscape::Json), is_default, &|_| Some("canary".into()))?
                .bind(&columns)
        };
        for (text, expected) in [
            ("isbns={sku}", true),
            ("a=\"{sku}\"", true),
            ("", true),
            ("0{sku}", true),
            ("{sku}", false),
            ("\"{sku}\"\n{\"n\":[-{b},{sku}]}\n", false),
            ("{\"t\":\"${T}\"}", false),
        ] {
            assert_eq!(untyped(text, true).unwrap().is_untyped(), expected, "{text}");
            assert!(!untyped(text, false).unwrap().is_untyped(), "{text}");
        }
        let record = ByteRecord::from(vec!["A", "B"]);
        let cells = Cells { record: &record, names: &columns.names };
        let why = untyped("isbns={sku}", true).unwrap().render(cells).unwrap_err();
        assert_eq!(
            why.to_string(),
            "column `sku` is outside quotes in the body, which is sent as application/json as no Content-Type was \
             given, and is not a JSON number, true or false: `A`"
        );
        assert_eq!(format!("{}: `A`", why.reason()), why.to_string());
        let why = untyped("[{sku}]", true).unwrap().render(cells).unwrap_err().to_string();
        assert!(!why.contains("Content-Type"), "{why}");
        let error = untyped("key=${T}&isbns={sku}", true).unwrap_err();
        assert!(error.hint().unwrap().contains("-H 'Content-Type: application/x-www-form-urlencoded'"));
        let error = untyped("[${T},{sku}]", true).unwrap_err();
        assert!(!error.hint().unwrap().contains("Content-Type"));
    }

    #[test]
    fn an_xml_declaration_of_another_encoding_may_have_no_placeholder() {
        let latin = "<?xml version='1.0' encoding='ISO-8859-1'?><a>";
        for text in [format!("{latin}{{sku}}</a>"), format!("{latin}${{T}}</a>")] {
            for escape in [BodyEscape::Xml, BodyEscape::None] {
                let error = parse(&text, Ok(escape)).unwrap_err();
                let said = "its XML declaration declares the charset `ISO-8859-1`";
                assert!(error.to_string().contains(said), "{error}");
            }
        }
        let error = parse("<?xml version='1.0' encoding='{b}'?><a/>", Ok(BodyEscape::Xml)).unwrap_err();
        assert!(error.to_string().ends_with("declares another charset"), "{error}");
        assert!(parse(&format!("{latin}</a>"), Ok(BodyEscape::Xml)).is_ok());
        assert!(parse("<?xml version='1.0' encoding='utf-8'?><a>{sku}</a>", Ok(BodyEscape::Xml)).is_ok());
    }

    #[test]
    fn an_unknown_type_may_have_no_placeholder() {
        let unknown = || Err(PlanError::BodyEscape { content_type: Some("`text/csv`".into()) });
        for text in ["a,{sku}", "${T}"] {
            assert!(matches!(parse(text, unknown()), Err(PlanError::BodyEscape { .. })), "{text}");
        }
        for text in ["", "a,{nope}", "{{sku}} ${{x}}"] {
            assert!(parse(text, unknown()).is_ok(), "{text}");
        }
    }
}
