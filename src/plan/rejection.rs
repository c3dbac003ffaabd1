//! Why a row makes no request: data about the row, which never ends the run.

use crate::input::Damage;
use crate::plan::encode::LONGEST_VALUE;
use crate::plan::message_text::escaped;

/// Why a row is rejected: one sentence that names the column and shows the value, escaped and shortened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The row itself is damaged.
    #[error("the row is damaged: {}", escaped(&.0.to_string()))]
    Damaged(Damage),
    /// The cell of the key is empty.
    #[error("column {column}, the key, is empty")]
    EmptyKey {
        /// The column, quoted.
        column: String,
    },
    /// A cell is not text.
    #[error("column {column} is not valid UTF-8")]
    NotUtf8 {
        /// The column, quoted.
        column: String,
    },
    /// A value of the URL is empty.
    #[error("column {column} is empty, and the URL needs it")]
    Empty {
        /// The column, quoted.
        column: String,
    },
    /// A value of the URL or of a header holds a control character.
    #[error("column {column} holds a control character (U+{:04X}): {value}", u32::from(*.control))]
    Control {
        /// The column, quoted.
        column: String,
        /// The first such character.
        control: char,
        /// The value, quoted.
        value: String,
    },
    /// A value of an XML body contains a character that XML 1.0 cannot represent.
    #[error("column {column} holds a character that XML cannot carry (U+{:04X}): {value}", u32::from(*.character))]
    NotInXml {
        /// The column, quoted.
        column: String,
        /// The first such character.
        character: char,
        /// The value, quoted.
        value: String,
    },
    /// A value outside the strings of a JSON body is not a number, `true` or `false`.
    #[error("{}: {value}", self.reason())]
    NotAScalar {
        /// The column, quoted.
        column: String,
        /// The value, quoted.
        value: String,
        /// The body is sent as JSON only because no `Content-Type` was given, and is not JSON.
        is_untyped: bool,
    },
    /// A value of the URL is too long.
    #[error("column {column} has {bytes} bytes, and a value in the URL may have {LONGEST_VALUE}: {value}")]
    TooLong {
        /// The column, quoted.
        column: String,
        /// Its length in UTF-8.
        bytes: usize,
        /// The value, quoted.
        value: String,
    },
    /// The path would have a `.` or `..` between slashes, which no encoding prevents from being resolved.
    #[error("column {column} makes a path segment `.` or `..`, which would ask for something else: {value}")]
    Dots {
        /// The first column that has a part in it, quoted.
        column: String,
        /// Its value, quoted.
        value: String,
    },
    /// All values together make the URL too long to send.
    #[error("the URL would have {bytes} bytes, which is more than can be sent")]
    UrlTooLong {
        /// The length it would have.
        bytes: usize,
    },
    /// The URL parser would change the URL.
    #[error("the URL would not be sent as it was written")]
    UrlChanged,
    /// A header's value cannot be sent.
    #[error("the value of the header {header} cannot be sent")]
    Header {
        /// The header.
        header: String,
    },
}

impl Rejection {
    /// Whether the row has fewer cells than the header.
    #[must_use]
    pub(crate) fn is_of_a_short_row(&self) -> bool {
        matches!(self, Self::Damaged(Damage::FieldCount { found, expected }) if found < expected)
    }

    /// The reason that rows have in common: the sentence without the value of this row.
    #[must_use]
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Damaged(Damage::FieldCount { expected, .. }) => {
                format!("the row is damaged: other than {expected} fields, which the header has")
            }
            Self::Control { column, .. } => format!("column {column} holds a control character"),
            Self::NotInXml { column, .. } => {
                format!("column {column} holds a character that XML cannot carry")
            }
            Self::NotAScalar { column, is_untyped, .. } => {
                let of_body = match is_untyped {
                    true => ", which is sent as application/json as no Content-Type was given,",
                    false => ",",
                };
                format!(
                    "column {column} is outside quotes in the body{of_body} and is not a JSON number, true or false"
                )
            }
            Self::TooLong { column, .. } => {
                format!("column {column} has more than {LONGEST_VALUE} bytes, and stands in the URL")
            }
            Self::Dots { column, .. } => format!("column {column} makes a path segment `.` or `..`"),
            Self::UrlTooLong { .. } => "the URL is longer than can be sent".into(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_refused_alike_have_one_reason() {
        let control =
            |value: &str| Rejection::Control { column: "`sku`".into(), control: '\t', value: value.into() };
        assert_eq!(control("`a`").reason(), control("`b`").reason());
        let fields = |found| Rejection::Damaged(Damage::FieldCount { found, expected: 3 });
        assert_eq!(fields(1).reason(), fields(7).reason());
        assert_ne!(fields(1).to_string(), fields(7).to_string());
        let empty = Rejection::EmptyKey { column: "`sku`".into() };
        assert_eq!(empty.reason(), empty.to_string());
    }
}
