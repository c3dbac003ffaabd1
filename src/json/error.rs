//! Why a body is rejected, and at which byte.

/// Why a body is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Its offset in bytes, including a byte-order mark.
    pub offset: usize,
}

/// The kinds of errors in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// No token: the body is empty, or white space only.
    #[error("not JSON: an empty body, a value was expected")]
    Empty,
    /// Valid so far, but incomplete: such a body was probably cut in transit.
    #[error("not JSON: it ends too early")]
    UnexpectedEnd,
    /// Bytes that are not UTF-8.
    #[error("not JSON: invalid UTF-8")]
    NotUtf8,
    /// Arrays and objects nested over [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("JSON nested more than {} levels deep", super::MAX_DEPTH)]
    TooDeep,
    /// A `\u` escape of a lone surrogate.
    #[error("JSON with half a surrogate pair")]
    LoneSurrogate,
    /// Something after the value.
    #[error("not JSON: something follows the value")]
    Trailing,
    /// No value where one is required.
    #[error("not JSON: expected a value")]
    ExpectedValue,
    /// No name of a member where one is required.
    #[error("not JSON: expected a name in double quotes")]
    ExpectedName,
    /// No name or `}` where one is required.
    #[error("not JSON: expected a name in double quotes or `}}`")]
    ExpectedNameOrEnd,
    /// No `:` after a name.
    #[error("not JSON: expected `:`")]
    ExpectedColon,
    /// No `,` or `]` after an element.
    #[error("not JSON: expected `,` or `]`")]
    ExpectedCommaOrBracket,
    /// No `,` or `}` after a member.
    #[error("not JSON: expected `,` or `}}`")]
    ExpectedCommaOrBrace,
    /// No digit where a number requires one.
    #[error("not JSON: expected a digit")]
    ExpectedDigit,
    /// A number such as `01`.
    #[error("not JSON: a number with a leading zero")]
    LeadingZero,
    /// A raw control character inside a string.
    #[error("not JSON: a control character inside a string")]
    Control,
    /// An escape that JSON does not have.
    #[error("not JSON: an unknown escape inside a string")]
    BadEscape,
}

impl JsonErrorKind {
    /// This kind, at this offset.
    pub(super) fn at(self, offset: usize) -> JsonError {
        JsonError { kind: self, offset }
    }
}
