//! Columns in a body, whose text has braces of its own.
//!
//! `{name}` is the column if the input has one of this name, and `{{name}}` is then the text `{name}`. The same goes
//! for a number, `{#3}`; one that the input does not have is an error. All other braces are literal. So only the header of the input decides which braces are placeholders: variables
//! are read when the body is parsed, columns when it is bound.

use secrecy::SecretString;

use crate::input::{ColumnLookupError, Columns};
use crate::plan::error::{PlanError, TemplateKind};
use crate::plan::template::{EnvLookup, Reference, TemplatePiece, parse_reference, push_text};

/// `#` and the digits of the largest number.
const LONGEST_NUMBER: usize = 21;

/// A piece of a body before the columns are known.
#[derive(Debug)]
pub(super) enum BodyPiece {
    /// Text in which braces may name columns.
    Undecided(String),
    /// Text in which they do not.
    Literal(String),
    /// An environment variable.
    Secret { name: String, value: SecretString },
}

/// Parses the variables of a body.
pub(super) fn parse_body(text: &str, env: &EnvLookup<'_>) -> Result<Vec<BodyPiece>, PlanError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, here) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(BodyPiece::Undecided(before.into()));
        }
        let (reference, after) = parse_reference(here, env, &TemplateKind::Body)?;
        pieces.push(match reference {
            Reference::Text(text) => BodyPiece::Literal(text),
            Reference::Variable { name, value } => BodyPiece::Secret { name, value },
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(BodyPiece::Undecided(rest.into()));
    }
    Ok(pieces)
}

/// Decides which braces name columns. Reads from left to right; the first form that matches counts. `also` is a name that
/// no column has and that counts as one.
pub(super) fn find_columns(
    pieces: &[BodyPiece],
    columns: &Columns,
    also: Option<&str>,
) -> Vec<TemplatePiece> {
    // No name is longer than that of the longest column, or the largest number of one: a body of braces alone takes
    // linear time.
    let longest = columns.names.iter().map(String::len).max().unwrap_or(0).max(LONGEST_NUMBER);
    let known = KnownNames { columns, also, longest };
    let mut found = Vec::new();
    for piece in pieces {
        match piece {
            BodyPiece::Undecided(text) => find_in_text(text, known, &mut found),
            BodyPiece::Literal(text) => push_text(&mut found, text),
            BodyPiece::Secret { name, value } => {
                found.push(TemplatePiece::Secret { name: name.clone(), value: value.clone() });
            }
        }
    }
    found
}

/// What braces may name.
#[derive(Clone, Copy)]
struct KnownNames<'a> {
    columns: &'a Columns,
    also: Option<&'a str>,
    longest: usize,
}

fn find_in_text(
    text: &str,
    KnownNames { columns, also, longest }: KnownNames<'_>,
    found: &mut Vec<TemplatePiece>,
) {
    // A CSV may have a column without a name, and `{}` is JSON's empty object.
    let is_column = |name: &str| {
        also == Some(name) || !name.is_empty() && columns.find(name) != Err(ColumnLookupError::Unknown)
    };
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        push_text(found, &rest[..at]);
        let here = &rest[at..];
        let doubled = here.strip_prefix("{{").and_then(|after| braced(after, longest));
        if let Some((name, after)) = doubled
            && is_column(name)
            && let Some(after) = after.strip_prefix('}')
        {
            push_text(found, &here[1..name.len() + 3]);
            rest = after;
        } else if let Some((name, after)) = braced(&here[1..], longest)
            && is_column(name)
        {
            found.push(TemplatePiece::Column(name.into()));
            rest = after;
        } else {
            push_text(found, "{");
            rest = &here[1..];
        }
    }
    push_text(found, rest);
}

/// The text up to `}`, if it has at most `longest` bytes, and what follows it.
fn braced(text: &str, longest: usize) -> Option<(&str, &str)> {
    let end = text.bytes().take(longest + 1).position(|b| b == b'}')?;
    Some((&text[..end], &text[end + 1..]))
}
