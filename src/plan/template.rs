//! Template text to pieces: what stands, which column goes where, which secret goes where.
//!
//! `${NAME}` is read by one function, with the same rules in every setting. Braces are read in two ways:
//! strictly (URL, headers), where every brace must mean something, so that a typing error is found before the
//! first request; and loosely (body), where the braces of JSON, GraphQL and the like stand. A proxy's address
//! has no columns, and so no braces that mean anything.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::input::{ColumnLookupError, Columns};
use crate::plan::error::{PlanError, SyntaxFault, TemplateKind, VariableFault};
use crate::plan::message_text::quoted;

/// Gives the value of an environment variable.
pub type EnvLookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What the names in a template may lead to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) columns: &'a Columns,
    pub(super) env: &'a EnvLookup<'a>,
}

/// A stretch of a template as it was written.
#[derive(Debug)]
pub(super) enum TemplatePiece {
    Text(String),
    Column { index: usize, name: String },
    Secret { name: String, value: SecretString },
}

/// A stretch of a template ready to be rendered: secrets are expanded into the text around them.
pub(super) enum TemplatePart {
    Text(Box<str>),
    Column(usize),
}

/// Shows no text: it may hold a secret.
impl fmt::Debug for TemplatePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(redacted)"),
            Self::Column(index) => write!(f, "Column({index})"),
        }
    }
}

impl Scope<'_> {
    /// Reads a template in which every brace must mean something.
    pub(super) fn parse_strictly(
        self,
        text: &str,
        place: &TemplateKind,
    ) -> Result<Vec<TemplatePiece>, PlanError> {
        let syntax = |fault| PlanError::Syntax { place: place.clone(), fault };
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
                let (piece, after) = reference(here, (self.env, place))?;
                push(&mut pieces, piece);
                after
            } else if let Some(after) = here.strip_prefix("{{") {
                push_text(&mut pieces, "{");
                after
            } else if let Some(after) = here.strip_prefix("}}") {
                push_text(&mut pieces, "}");
                after
            } else if let Some(after) = here.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or_else(|| syntax(SyntaxFault::Unclosed))?;
                pieces.push(self.column(name, place)?);
                after
            } else {
                return Err(syntax(SyntaxFault::LoneClose));
            };
        }
        push_text(&mut pieces, rest);
        Ok(pieces)
    }

    /// Reads a template in which braces stand as they are, doubled or not, but for two forms: `{name}` is the
    /// column, and `{{name}}` the text `{name}`, each where there is a column of this name. Read from left to
    /// right, the first form that fits counts.
    pub(super) fn parse_loosely(
        self,
        text: &str,
        place: &TemplateKind,
    ) -> Result<Vec<TemplatePiece>, PlanError> {
        // A name is never longer than the longest column's: a body of braces alone stays linear.
        let longest = self.columns.names.iter().map(String::len).max().unwrap_or(0).max("sku".len());
        // A CSV may have a column without a name, and `{}` is JSON's empty object.
        let is_column =
            |name: &str| !name.is_empty() && self.columns.find(name) != Err(ColumnLookupError::Unknown);
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '$']) {
            push_text(&mut pieces, &rest[..at]);
            let here = &rest[at..];
            if here.starts_with('$') {
                let (piece, after) = reference(here, (self.env, place))?;
                push(&mut pieces, piece);
                rest = after;
                continue;
            }
            let doubled = here.strip_prefix("{{").and_then(|after| braced(after, longest));
            if let Some((name, after)) = doubled
                && is_column(name)
                && let Some(after) = after.strip_prefix('}')
            {
                push_text(&mut pieces, &here[1..name.len() + 3]);
                rest = after;
                continue;
            }
            if let Some((name, after)) = here.strip_prefix('{').and_then(|after| braced(after, longest))
                && is_column(name)
            {
                pieces.push(self.column(name, place)?);
                rest = after;
                continue;
            }
            push_text(&mut pieces, "{");
            rest = &here[1..];
        }
        push_text(&mut pieces, rest);
        Ok(pieces)
    }

    fn column(self, name: &str, place: &TemplateKind) -> Result<TemplatePiece, PlanError> {
        match self.columns.find(name) {
            Ok(index) => Ok(TemplatePiece::Column { index, name: name.into() }),
            Err(ColumnLookupError::Unknown) => {
                Err(PlanError::unknown_column(place.clone(), name, self.columns))
            }
            Err(ColumnLookupError::Ambiguous) => {
                Err(PlanError::AmbiguousColumn { place: place.clone(), name: quoted(name) })
            }
        }
    }
}

/// Reads text in which only `${NAME}` means anything.
pub(super) fn parse_variables(
    text: &str,
    env: &EnvLookup<'_>,
    place: &TemplateKind,
) -> Result<Vec<TemplatePiece>, PlanError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        push_text(&mut pieces, &rest[..at]);
        let (piece, after) = reference(&rest[at..], (env, place))?;
        push(&mut pieces, piece);
        rest = after;
    }
    push_text(&mut pieces, rest);
    Ok(pieces)
}

/// What a `$` begins, and what follows it: the variable of `${NAME}`; of `${{text}}` the text `${text}`; or the
/// `$` itself. A `${` that is none of these is an error, and so is a variable that is not set or empty: a
/// request without its secret is never meant.
fn reference<'t>(
    here: &'t str,
    (env, place): (&EnvLookup<'_>, &TemplateKind),
) -> Result<(TemplatePiece, &'t str), PlanError> {
    let Some(after) = here.strip_prefix("${") else {
        return Ok((TemplatePiece::Text("$".into()), &here[1..]));
    };
    if let Some((text, after)) = after.strip_prefix('{').and_then(|after| after.split_once("}}"))
        && !text.contains(['{', '}'])
    {
        return Ok((TemplatePiece::Text(format!("${{{text}}}")), after));
    }
    let Some((name, after)) = variable_name(after) else {
        return Err(PlanError::Syntax { place: place.clone(), fault: SyntaxFault::BadVariable });
    };
    let fault = match env(name) {
        Some(value) if value.is_empty() => VariableFault::Empty,
        Some(value) => return Ok((TemplatePiece::Secret { name: name.into(), value: value.into() }, after)),
        None => VariableFault::Unset,
    };
    Err(PlanError::Variable { place: place.clone(), name: name.into(), fault })
}

/// Expands secrets into the text around them, each through `insert`, which may refuse one.
pub(super) fn expand<E>(
    pieces: Vec<TemplatePiece>,
    mut insert: impl FnMut(&mut String, &str, &SecretString) -> Result<(), E>,
) -> Result<Vec<TemplatePart>, E> {
    let mut parts = Vec::new();
    let mut text = String::new();
    for piece in pieces {
        match piece {
            TemplatePiece::Text(more) => text.push_str(&more),
            TemplatePiece::Secret { name, value } => insert(&mut text, &name, &value)?,
            TemplatePiece::Column { index, .. } => {
                if !text.is_empty() {
                    parts.push(TemplatePart::Text(std::mem::take(&mut text).into()));
                }
                parts.push(TemplatePart::Column(index));
            }
        }
    }
    if !text.is_empty() {
        parts.push(TemplatePart::Text(text.into()));
    }
    Ok(parts)
}

/// The columns of a template in the order of their use.
pub(super) fn columns_of(parts: &[TemplatePart]) -> impl Iterator<Item = usize> {
    parts.iter().filter_map(|part| match part {
        TemplatePart::Column(index) => Some(*index),
        TemplatePart::Text(_) => None,
    })
}

/// A secret that is to stand where no control character may.
pub(super) fn printable<'a>(
    name: &str,
    value: &'a SecretString,
    place: &TemplateKind,
) -> Result<&'a str, PlanError> {
    let value = value.expose_secret();
    if value.chars().any(char::is_control) {
        let fault = VariableFault::Control;
        return Err(PlanError::Variable { place: place.clone(), name: name.into(), fault });
    }
    Ok(value)
}

fn push(pieces: &mut Vec<TemplatePiece>, piece: TemplatePiece) {
    match piece {
        TemplatePiece::Text(text) => push_text(pieces, &text),
        other => pieces.push(other),
    }
}

fn push_text(pieces: &mut Vec<TemplatePiece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(TemplatePiece::Text(before)) => before.push_str(text),
        _ => pieces.push(TemplatePiece::Text(text.into())),
    }
}

/// The text up to `}`, if that comes within `longest` bytes, and what follows it.
fn braced(text: &str, longest: usize) -> Option<(&str, &str)> {
    let end = text.bytes().take(longest + 1).position(|b| b == b'}')?;
    Some((&text[..end], &text[end + 1..]))
}

/// POSIX's form of a variable's name up to `}`, and what follows it.
fn variable_name(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_'))?;
    let (name, after) = text.split_at(end);
    let after = after.strip_prefix('}')?;
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        let names = ["SKU", "region", "a b", "twice", "twice"].map(String::from).to_vec();
        Columns { names, key: 0, delimiter: b',', headers: true }
    }

    fn env(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("canary".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    /// Columns as `<index>`, secrets as `<$NAME>`.
    fn written(pieces: Result<Vec<TemplatePiece>, PlanError>) -> Result<String, PlanError> {
        Ok(pieces?
            .iter()
            .map(|piece| match piece {
                TemplatePiece::Text(text) => text.clone(),
                TemplatePiece::Column { index, .. } => format!("<{index}>"),
                TemplatePiece::Secret { name, .. } => format!("<${name}>"),
            })
            .collect())
    }

    fn strictly(text: &str) -> Result<String, PlanError> {
        let columns = columns();
        written(Scope { columns: &columns, env: &env }.parse_strictly(text, &TemplateKind::Url))
    }

    fn loosely(text: &str) -> Result<String, PlanError> {
        let columns = columns();
        written(Scope { columns: &columns, env: &env }.parse_loosely(text, &TemplateKind::Body))
    }

    #[test]
    fn a_placeholder_names_a_column_exactly_and_sku_is_the_key_where_no_column_is_called_so() {
        assert_eq!(strictly("/{sku}/{SKU}/{region}/{a b}").unwrap(), "/<0>/<0>/<1>/<2>");
        assert_eq!(strictly("{Region}").unwrap_err().exit().code(), 65);
        assert_eq!(strictly("{}").unwrap_err().exit().code(), 65);
    }

    #[test]
    fn a_column_that_is_there_twice_is_an_error_where_it_is_used() {
        let error = strictly("{twice}").unwrap_err();
        assert_eq!(error.exit().code(), 65);
        assert!(error.to_string().contains("twice"));
        assert_eq!(loosely("{twice}").unwrap_err(), {
            PlanError::AmbiguousColumn { place: TemplateKind::Body, name: "`twice`".into() }
        });
    }

    #[test]
    fn doubled_braces_stand_for_braces() {
        assert_eq!(strictly("{{sku}} {{{sku}}} $ $$ ${{x}}").unwrap(), "{sku} {<0>} $ $$ ${x}");
    }

    #[test]
    fn a_brace_that_means_nothing_is_an_error() {
        let fault = |text| match strictly(text).unwrap_err() {
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
        assert_eq!(strictly("a${TOKEN}b").unwrap(), "a<$TOKEN>b");
        let error = strictly("${MISSING}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the URL template asks for the environment variable MISSING, which is not set"
        );
        assert_eq!(error.exit().code(), 2);
        assert!(strictly("${EMPTY}").unwrap_err().to_string().ends_with("is empty"));
        assert!(loosely("${MISSING}").is_err());
    }

    #[test]
    fn in_a_body_braces_stand_but_for_a_column_and_for_a_doubled_column() {
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
            assert_eq!(loosely(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn a_column_without_a_name_takes_no_empty_object() {
        let names = ["", "sku"].map(String::from).to_vec();
        let columns = Columns { names, key: 1, delimiter: b',', headers: true };
        let scope = Scope { columns: &columns, env: &env };
        let read = written(scope.parse_loosely(r#"{"a":{},"b":"{sku}","c":{{}}}"#, &TemplateKind::Body));
        assert_eq!(read.unwrap(), r#"{"a":{},"b":"<1>","c":{{}}}"#);
    }

    #[test]
    fn a_reference_has_the_same_rules_everywhere() {
        let of_proxy = |text: &str| written(parse_variables(text, &env, &TemplateKind::Proxy));
        for read in [&strictly as &dyn Fn(&str) -> _, &loosely, &of_proxy] {
            assert_eq!(read("a${TOKEN}b$c").unwrap(), "a<$TOKEN>b$c");
            assert_eq!(read("${{TOKEN}} $$ ${TOKEN}").unwrap(), "${TOKEN} $$ <$TOKEN>");
            for bad in ["${", "${}", "${1A}", "${A B}", "${TOKEN", "${A-B}", "${A\n}"] {
                assert_eq!(read(bad).unwrap_err().exit().code(), 2, "{bad}");
            }
            assert!(read("${MISSING}").unwrap_err().to_string().ends_with("MISSING, which is not set"));
            assert!(read("x${EMPTY}").unwrap_err().to_string().ends_with("EMPTY, which is empty"));
        }
    }

    #[test]
    fn a_secret_shows_in_no_debug_form() {
        let columns = columns();
        let scope = Scope { columns: &columns, env: &env };
        let pieces = scope.parse_strictly("x{sku}${TOKEN}", &TemplateKind::Url).unwrap();
        assert!(!format!("{pieces:?}").contains("canary"));
        let parts = expand(pieces, |text, _, value| {
            text.push_str(value.expose_secret());
            Ok::<_, ()>(())
        });
        assert_eq!(format!("{parts:?}"), "Ok([Text(redacted), Column(0), Text(redacted)])");
    }
}
