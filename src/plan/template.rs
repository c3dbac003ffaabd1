//! Parses templates into literal text, columns and secrets.
//!
//! A template is read in two steps. Parsing needs no input: it checks the syntax and reads the environment
//! variables. Binding finds each column of the input by its name. Only then can a row be rendered.
//!
//! `${NAME}` follows the same rules in every setting. In the URL and in headers every brace must have a
//! meaning, so that a typing error is found before the first request. In a body, braces of JSON or GraphQL
//! are literal (see `body_braces`). The address of a proxy has no columns, and its braces have no meaning.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::input::{ColumnLookupError, Columns};
use crate::plan::error::{BulkFault, PlanError, SyntaxFault, TemplateKind, VariableFault};
use crate::plan::message_text::quoted;

/// Gives the value of an environment variable.
pub(crate) type EnvLookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The placeholder of a pack's keys.
pub(crate) const ITEMS: &str = "items";

/// A piece of a template as written.
#[derive(Debug, Clone)]
pub(super) enum TemplatePiece {
    Text(String),
    /// A column, by its name.
    Column(String),
    /// An environment variable.
    Secret {
        name: String,
        value: SecretString,
    },
}

/// What begins with a `$`.
pub(super) enum Reference {
    /// Literal text.
    Text(String),
    /// An environment variable.
    Variable { name: String, value: SecretString },
}

/// A piece of a template whose secrets are inserted into the text around them. `C` identifies a column.
pub(super) enum TemplatePart<C> {
    Text(Box<str>),
    Column(C),
}

/// A part of a parsed template: columns have their names.
pub(super) type ParsedPart = TemplatePart<Box<str>>;

/// A part of a template that is bound to an input: columns have their indices, and a row can be rendered.
pub(super) type BoundPart = TemplatePart<usize>;

/// Shows no text: it may contain a secret.
impl<C: fmt::Debug> fmt::Debug for TemplatePart<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(redacted)"),
            Self::Column(column) => write!(f, "Column({column:?})"),
        }
    }
}

/// Parses a template in which every brace must have a meaning.
pub(super) fn parse_strict(
    text: &str,
    env: &EnvLookup<'_>,
    kind: &TemplateKind,
) -> Result<Vec<TemplatePiece>, PlanError> {
    let syntax = |fault| PlanError::Syntax { place: kind.clone(), fault };
    if text.chars().any(char::is_control) {
        return Err(syntax(SyntaxFault::Control));
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}', '$']) {
        push_text(&mut pieces, &rest[..at]);
        let here = &rest[at..];
        rest = if let Some(after) = here.strip_prefix("${{") {
            push_text(&mut pieces, "${");
            after
        } else if here.starts_with('$') {
            let (reference, after) = parse_reference(here, env, kind)?;
            push_reference(&mut pieces, reference);
            after
        } else if let Some(after) = here.strip_prefix("{{") {
            push_text(&mut pieces, "{");
            after
        } else if let Some(after) = here.strip_prefix("}}") {
            push_text(&mut pieces, "}");
            after
        } else if let Some(after) = here.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| syntax(SyntaxFault::Unclosed))?;
            pieces.push(TemplatePiece::Column(name.into()));
            after
        } else {
            return Err(syntax(SyntaxFault::LoneClose));
        };
    }
    push_text(&mut pieces, rest);
    Ok(pieces)
}

/// The columns that a template names; none if it cannot be parsed, which is reported elsewhere.
pub(crate) fn column_names(text: &str) -> impl Iterator<Item = String> {
    let pieces = parse_strict(text.trim(), &|_| Some("x".into()), &TemplateKind::Url).unwrap_or_default();
    pieces.into_iter().filter_map(|piece| match piece {
        TemplatePiece::Column(name) => Some(name),
        TemplatePiece::Text(_) | TemplatePiece::Secret { .. } => None,
    })
}

/// Parses text in which only `${NAME}` has a meaning.
pub(super) fn parse_variables(
    text: &str,
    env: &EnvLookup<'_>,
    kind: &TemplateKind,
) -> Result<Vec<TemplatePiece>, PlanError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        push_text(&mut pieces, &rest[..at]);
        let (reference, after) = parse_reference(&rest[at..], env, kind)?;
        push_reference(&mut pieces, reference);
        rest = after;
    }
    push_text(&mut pieces, rest);
    Ok(pieces)
}

/// Parses what begins with `$`, and gives what follows it: the variable of `${NAME}`; of `${{text}}` the text
/// `${text}`; or the `$` itself.
///
/// # Errors
/// Any other `${`. A variable that is not set, empty or white space alone: a request without its secret is never
/// intended.
pub(super) fn parse_reference<'t>(
    text: &'t str,
    env: &EnvLookup<'_>,
    kind: &TemplateKind,
) -> Result<(Reference, &'t str), PlanError> {
    let Some(after) = text.strip_prefix("${") else { return Ok((Reference::Text("$".into()), &text[1..])) };
    if let Some((literal, after)) = after.strip_prefix('{').and_then(|after| after.split_once("}}"))
        && !literal.contains(['{', '}'])
    {
        return Ok((Reference::Text(format!("${{{literal}}}")), after));
    }
    let Some((name, after)) = variable_name(after) else {
        return Err(PlanError::Syntax { place: kind.clone(), fault: SyntaxFault::BadVariable });
    };
    let fault = match env(name) {
        Some(value) if value.is_empty() => VariableFault::Empty,
        Some(value) if value.trim().is_empty() => VariableFault::Blank,
        Some(value) => return Ok((Reference::Variable { name: name.into(), value: value.into() }, after)),
        None => VariableFault::Unset,
    };
    Err(PlanError::Variable { place: kind.clone(), name: name.into(), fault })
}

/// Inserts secrets into the text around them, each through `insert`, which may reject it.
pub(super) fn insert_secrets<E>(
    pieces: Vec<TemplatePiece>,
    mut insert: impl FnMut(&mut String, &str, &SecretString) -> Result<(), E>,
) -> Result<Vec<ParsedPart>, E> {
    let mut parts = Vec::new();
    let mut text = String::new();
    for piece in pieces {
        match piece {
            TemplatePiece::Text(more) => text.push_str(&more),
            TemplatePiece::Secret { name, value } => insert(&mut text, &name, &value)?,
            TemplatePiece::Column(name) => {
                if !text.is_empty() {
                    parts.push(TemplatePart::Text(std::mem::take(&mut text).into()));
                }
                parts.push(TemplatePart::Column(name.into()));
            }
        }
    }
    if !text.is_empty() {
        parts.push(TemplatePart::Text(text.into()));
    }
    Ok(parts)
}

/// Finds the columns of a parsed template in the input.
///
/// # Errors
/// A name that no column has, or several have.
pub(super) fn bind(
    parts: &[ParsedPart],
    columns: &Columns,
    kind: &TemplateKind,
) -> Result<Vec<BoundPart>, PlanError> {
    let find = |name: &str| {
        columns.find(name).map_err(|error| match error {
            ColumnLookupError::Unknown if name == ITEMS => PlanError::Bulk(match kind {
                TemplateKind::Header(_) => BulkFault::InHeader(kind.clone()),
                _ => BulkFault::NoBulk(kind.clone()),
            }),
            ColumnLookupError::Unknown => PlanError::unknown_column(kind.clone(), name, columns),
            ColumnLookupError::Ambiguous(places) => {
                PlanError::ambiguous_column(kind.clone(), (name, &places), columns)
            }
            ColumnLookupError::NoSuchNumber => PlanError::NoSuchColumn {
                place: kind.clone(),
                number: quoted(name),
                columns: columns.names.len(),
            },
        })
    };
    let bind = |part: &ParsedPart| match part {
        TemplatePart::Text(text) => Ok(TemplatePart::Text(text.clone())),
        TemplatePart::Column(name) => find(name).map(TemplatePart::Column),
    };
    parts.iter().map(bind).collect()
}

/// The columns of a bound template in the order of their use.
pub(super) fn columns_of(parts: &[BoundPart]) -> impl Iterator<Item = usize> {
    parts.iter().filter_map(|part| match part {
        TemplatePart::Column(index) => Some(*index),
        TemplatePart::Text(_) => None,
    })
}

/// The text of a secret, for a place where control characters are not allowed.
pub(super) fn printable<'a>(
    name: &str,
    value: &'a SecretString,
    kind: &TemplateKind,
) -> Result<&'a str, PlanError> {
    let value = value.expose_secret();
    if value.chars().any(char::is_control) {
        let fault = VariableFault::Control;
        return Err(PlanError::Variable { place: kind.clone(), name: name.into(), fault });
    }
    Ok(value)
}

fn push_reference(pieces: &mut Vec<TemplatePiece>, reference: Reference) {
    match reference {
        Reference::Text(text) => push_text(pieces, &text),
        Reference::Variable { name, value } => pieces.push(TemplatePiece::Secret { name, value }),
    }
}

/// Appends text, joined with the text before it.
pub(super) fn push_text(pieces: &mut Vec<TemplatePiece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(TemplatePiece::Text(before)) => before.push_str(text),
        _ => pieces.push(TemplatePiece::Text(text.into())),
    }
}

/// The name of a variable, as POSIX defines it, up to `}`; and what follows it.
fn variable_name(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_'))?;
    let (name, after) = text.split_at(end);
    let after = after.strip_prefix('}')?;
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::CsvFormat;
    use crate::plan::body_braces::{find_columns, parse_body};

    fn columns() -> Columns {
        let names = ["SKU", "region", "a b", "twice", "twice"].map(String::from).to_vec();
        Columns { names, key: 0, format: CsvFormat::default(), headers: true }
    }

    fn env(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("canary".into()),
            "EMPTY" => Some(String::new()),
            "BLANK" => Some(" \t\n\u{a0}".into()),
            _ => None,
        }
    }

    /// Columns as `<index>`, secrets as `<$NAME>`.
    fn written(
        pieces: Vec<TemplatePiece>,
        columns: &Columns,
        kind: &TemplateKind,
    ) -> Result<String, PlanError> {
        let parts = insert_secrets(pieces, |text, name, _| {
            text.extend(["<$", name, ">"]);
            Ok::<_, PlanError>(())
        })?;
        Ok(bind(&parts, columns, kind)?
            .iter()
            .map(|part| match part {
                TemplatePart::Text(text) => text.to_string(),
                TemplatePart::Column(index) => format!("<{index}>"),
            })
            .collect())
    }

    fn strict(text: &str) -> Result<String, PlanError> {
        written(parse_strict(text, &env, &TemplateKind::Url)?, &columns(), &TemplateKind::Url)
    }

    fn body(text: &str) -> Result<String, PlanError> {
        body_with(text, &columns())
    }

    fn body_with(text: &str, columns: &Columns) -> Result<String, PlanError> {
        written(find_columns(&parse_body(text, &env)?, columns, None), columns, &TemplateKind::Body)
    }

    #[test]
    fn a_placeholder_names_a_column_exactly_and_sku_is_the_key_where_no_column_is_called_so() {
        assert_eq!(strict("/{sku}/{SKU}/{region}/{a b}").unwrap(), "/<0>/<0>/<1>/<2>");
        assert_eq!(strict("{Region}").unwrap_err().exit().code(), 65);
        assert_eq!(strict("{}").unwrap_err().exit().code(), 65);
    }

    #[test]
    fn a_column_that_is_there_twice_is_an_error_where_it_is_used() {
        let error = strict("{twice}").unwrap_err();
        assert_eq!(error.exit().code(), 65);
        assert!(error.to_string().contains("twice"));
        assert_eq!(body("{twice}").unwrap_err(), {
            let placeholders = ["{#4}", "{#5}"].map(String::from).to_vec();
            PlanError::AmbiguousColumn { place: TemplateKind::Body, name: "`twice`".into(), placeholders }
        });
    }

    #[test]
    fn a_column_can_be_named_by_its_number_where_none_has_that_name() {
        assert_eq!(strict("{#1}/{#5}/{#05}").unwrap(), "<0>/<4>/<4>");
        assert_eq!(body("{{#5}} {#5} {#x} {#}").unwrap(), "{#5} <4> {#x} {#}");
        for template in ["{#6}", "{#0}", "{#99999999999999999999}"] {
            for error in [strict(template).unwrap_err(), body(template).unwrap_err()] {
                assert_eq!(error.exit().code(), 65);
                assert!(error.to_string().ends_with("; the input has 5 columns"), "{error}");
            }
        }
        let names = ["#2", "x", "#3"].map(String::from).to_vec();
        let columns = Columns { names, key: 0, format: CsvFormat::default(), headers: true };
        assert_eq!(body_with("{#2}{#1}{#3}{#02}", &columns).unwrap(), "<0><0><2><1>");
    }

    #[test]
    fn sku_is_the_key_column_where_it_is_one_of_several_of_that_name() {
        let columns = |names: [&str; 3], key| {
            let names = names.map(String::from).to_vec();
            Columns { names, key, format: CsvFormat::default(), headers: true }
        };
        assert_eq!(body_with("{sku}", &columns(["sku", "name", "sku"], 2)).unwrap(), "<2>");
        let error = body_with("{sku}", &columns(["sku", "name", "sku"], 1)).unwrap_err();
        assert_eq!(error.hint().unwrap(), "say which: {#1} or {#3}");
        assert!(body_with("{ean}", &columns(["ean", "name", "ean"], 2)).is_err());
    }

    #[test]
    fn doubled_braces_are_literal_braces() {
        assert_eq!(strict("{{sku}} {{{sku}}} $ $$ ${{x}}").unwrap(), "{sku} {<0>} $ $$ ${x}");
    }

    #[test]
    fn a_brace_that_means_nothing_is_an_error() {
        let fault = |text| match strict(text).unwrap_err() {
            PlanError::Syntax { fault, .. } => fault,
            other => panic!("{other}"),
        };
        assert_eq!(fault("a{sku"), SyntaxFault::Unclosed);
        assert_eq!(fault("a}b"), SyntaxFault::LoneClose);
        for bad in ["${", "${}", "${1A}", "${A B}", "${TOKEN"] {
            assert_eq!(fault(bad), SyntaxFault::BadVariable, "{bad}");
        }
        assert_eq!(fault("a\nb"), SyntaxFault::Control);
    }

    #[test]
    fn a_variable_that_is_unset_or_empty_is_an_error_that_names_it() {
        assert_eq!(strict("a${TOKEN}b").unwrap(), "a<$TOKEN>b");
        let error = strict("${MISSING}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the URL template uses the environment variable MISSING, which is not set"
        );
        assert_eq!(error.exit().code(), 2);
        assert!(strict("${EMPTY}").unwrap_err().to_string().ends_with("is empty"));
        assert!(body("${MISSING}").is_err());
    }

    #[test]
    fn in_a_body_braces_are_literal_except_for_a_column_and_a_doubled_column() {
        // Template; what it becomes, with <N> for a column.
        for (template, expected) in [
            (r#"{"q":"{sku}","r":{region}}"#, r#"{"q":"<0>","r":<1>}"#),
            (r#"{"a":{"b":"{sku}"}}"#, r#"{"a":{"b":"<0>"}}"#),
            (r#"{"a":{"b":{region}}}"#, r#"{"a":{"b":<1>}}"#),
            ("{p(id:\"{sku}\"){nodes{{sku}}}}", "{p(id:\"<0>\"){nodes{sku}}}"),
            ("{{p(id:{sku}){region}}}", "{{p(id:<0>)<1>}}"),
            ("{{sku}}", "{sku}"),
            ("{{SKU}} {{a b}} {{twice}}", "{SKU} {a b} {twice}"),
            ("{{{sku}}}", "{{sku}}"),
            ("{{{{sku}}}}", "{{{sku}}}"),
            ("{{sku}", "{<0>"),
            ("{sku}}", "<0>}"),
            ("{{sku} }", "{<0> }"),
            ("{{nosuch}} {{}} {} {{ sku }}", "{{nosuch}} {{}} {} {{ sku }}"),
            ("{nosuch} } { {é} {region", "{nosuch} } { {é} {region"),
            ("$ $$ ${{x}} ${{1}} ${TOKEN}", "$ $$ ${x} ${1} <$TOKEN>"),
            ("${{sku}}", "${sku}"),
        ] {
            assert_eq!(body(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn a_column_without_a_name_takes_no_empty_object() {
        let names = ["", "sku"].map(String::from).to_vec();
        let columns = Columns { names, key: 1, format: CsvFormat::default(), headers: true };
        let read = body_with(r#"{"a":{},"b":"{sku}","c":{{}}}"#, &columns);
        assert_eq!(read.unwrap(), r#"{"a":{},"b":"<1>","c":{{}}}"#);
    }

    #[test]
    fn a_reference_has_the_same_rules_everywhere() {
        let of_proxy = |text: &str| {
            written(parse_variables(text, &env, &TemplateKind::Proxy)?, &columns(), &TemplateKind::Proxy)
        };
        for read in [&strict as &dyn Fn(&str) -> _, &body, &of_proxy] {
            assert_eq!(read("a${TOKEN}b$c").unwrap(), "a<$TOKEN>b$c");
            assert_eq!(read("${{TOKEN}} $$ ${TOKEN}").unwrap(), "${TOKEN} $$ <$TOKEN>");
            for bad in ["${", "${}", "${1A}", "${A B}", "${TOKEN", "${A-B}", "${A\n}"] {
                assert_eq!(read(bad).unwrap_err().exit().code(), 2, "{bad}");
            }
            assert!(read("${MISSING}").unwrap_err().to_string().ends_with("MISSING, which is not set"));
            assert!(read("x${EMPTY}").unwrap_err().to_string().ends_with("EMPTY, which is empty"));
            let blank = read("x${BLANK}").unwrap_err().to_string();
            assert!(blank.ends_with("BLANK, which holds nothing but white space"), "{blank}");
        }
    }

    #[test]
    fn a_secret_shows_in_no_debug_form() {
        let pieces = parse_strict("x{sku}${TOKEN}", &env, &TemplateKind::Url).unwrap();
        assert!(!format!("{pieces:?}").contains("canary"));
        let parts = insert_secrets(pieces, |text, _, value| {
            text.push_str(value.expose_secret());
            Ok::<_, ()>(())
        });
        let parts = parts.unwrap();
        assert_eq!(format!("{parts:?}"), "[Text(redacted), Column(\"sku\"), Text(redacted)]");
        let parts = bind(&parts, &columns(), &TemplateKind::Url).unwrap();
        assert_eq!(format!("{parts:?}"), "[Text(redacted), Column(0), Text(redacted)]");
    }
}
