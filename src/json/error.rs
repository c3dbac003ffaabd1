//! Why a body is not kept, and where it went wrong.

/// Why bytes are not JSON that may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Where: counted in bytes from 0, a byte-order mark included.
    pub offset: usize,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// No token at all: no byte, or nothing but white space.
    #[error("not JSON: an empty body, a value was expected")]
    Empty,
    /// All good as far as it goes, but more must follow: such a body was probably cut on its way.
    #[error("not JSON: it ends too early")]
    UnexpectedEnd,
    /// Bytes that are not UTF-8.
    #[error("not JSON: invalid UTF-8")]
    NotUtf8,
    /// Arrays and objects nested over [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("JSON nested more than {} levels deep", super::MAX_DEPTH)]
    TooDeep,
    /// A `\u` escape of one half of a surrogate pair without its other half.
    #[error("JSON with half a surrogate pair")]
    LoneSurrogate,
    /// Something after the value.
    #[error("not JSON: something follows the value")]
    Trailing,
    /// No value where one must stand.
    #[error("not JSON: expected a value")]
    ExpectedValue,
    /// No name of an object's member where one must stand.
    #[error("not JSON: expected a name in double quotes")]
    ExpectedName,
    /// No name or `}` where one must stand.
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
    /// No digit where a number needs one.
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
    /// This kind, at this place.
    pub(super) fn at(self, offset: usize) -> JsonError {
        JsonError { kind: self, offset }
    }
}
