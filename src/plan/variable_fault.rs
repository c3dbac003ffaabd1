//! Errors of an environment variable in a template, and what to do about them.

use crate::model::option::{BODY_ESCAPE, TOKEN_COMMAND, TOKEN_URL};
use crate::plan::template_kind::TemplateKind;
use crate::plan::token_place::TOKEN;

/// What to do about a body that is sent as JSON because no `Content-Type` was given, and is not JSON.
pub(super) fn untyped_hint() -> String {
    format!(
        "for a form add -H 'Content-Type: application/x-www-form-urlencoded'; else give its own Content-Type, or \
         say by {BODY_ESCAPE} how values are inserted"
    )
}

/// Errors of an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VariableFault {
    /// It is not set.
    #[error("is not set")]
    Unset,
    /// It has no character.
    #[error("is empty")]
    Empty,
    /// It has white space, and nothing else.
    #[error("holds nothing but white space")]
    Blank,
    /// It holds a tab, a line end or the like.
    #[error("holds a control character, perhaps a line end")]
    Control,
    /// It is outside the strings of a JSON body, where only a number, `true` or `false` is accepted.
    #[error("is outside quotes, and is not a JSON number, true or false")]
    NotAScalar {
        /// The body is sent as JSON only because no `Content-Type` was given, and is not JSON.
        is_untyped: bool,
    },
    /// It contains a character that XML cannot contain.
    #[error("holds a character that XML cannot carry")]
    NotInXml,
    /// It stands there as `$NAME`, which only a shell expands.
    #[error("is written without braces and would be sent as it is")]
    Unexpanded,
}

impl VariableFault {
    /// What to do about it; `name` is the variable's.
    pub(super) fn hint(self, name: &str, place: &TemplateKind) -> String {
        match self {
            // There are no columns.
            Self::Unset if place.is_of_token() => {
                format!("set {name} in the environment of the program (export {name}=...)")
            }
            Self::NotAScalar { is_untyped: true } => format!(
                "no Content-Type was given, so the body is sent as application/json, and it is not JSON: {}",
                untyped_hint()
            ),
            Self::NotAScalar { .. } => {
                format!("write it in quotes, as in \"${{{name}}}\", or add {BODY_ESCAPE} none")
            }
            Self::Unexpanded => format!(
                "write ${{{name}}}, in single quotes: the program reads the variable itself; a `$` that is meant \
                 literally can come from a variable"
            ),
            Self::Unset if name == TOKEN => format!(
                "set {name} in the environment of the program, or have a token fetched, with {TOKEN_COMMAND} or {TOKEN_URL}"
            ),
            Self::Unset if is_like_a_variable(name) => format!(
                "set {name} in the environment of the program (export {name}=...); a column is written without the \
                 $: {{{name}}}"
            ),
            Self::Unset => format!(
                "for the column write {{{name}}}, without the $; for a variable set {name} in the environment of the \
                 program"
            ),
            _ => format!("set {name} in the environment of the program"),
        }
    }
}

/// Variables are written in capitals, columns seldom.
fn is_like_a_variable(name: &str) -> bool {
    !name.contains(|c: char| c.is_ascii_lowercase()) && name.len() > 3
}
