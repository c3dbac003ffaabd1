//! `--select`: a jq filter that turns each body into the value that is kept.
//!
//! The filter is compiled once and applied to every body. `.`, the default, is no filter: the body's bytes stay as they
//! are. Any other filter must give exactly one value for each body.
//!
//! A filter can reach no environment (it holds secrets), no files, no other inputs, and no output of its own. Its time
//! and memory are not bounded: the user wrote it, and `[range(1e12)]` fills the memory.

use crate::model::{Mask, display_safe};

#[cfg(feature = "jq")]
mod jq;
#[cfg(feature = "jq")]
mod value;

/// Characters of a filter's message that are shown.
const MESSAGE_CHARS: usize = 160;

/// A compiled filter. `Send + Sync`: all threads can share one.
#[derive(Debug)]
pub(crate) struct Select(Option<Filter>);

/// Why a filter cannot be used, or what it made of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq gives the others"))]
pub(crate) enum SelectError {
    /// The program was built without jq.
    #[cfg(not(feature = "jq"))]
    #[error("this build has no jq: only `.` can be selected")]
    NoJq,
    /// The text is no jq filter: what is wrong, and where.
    #[error("the jq filter {0}")]
    Filter(String),
    /// The filter gave nothing for this body.
    #[error("the jq filter gave no value")]
    NoValue,
    /// The filter gave more than one value for this body.
    #[error("the jq filter gave several values; [ ] around it makes one array of them")]
    SeveralValues,
    /// The filter failed on this body. Its message may quote the body, and is shortened and escaped where it is shown.
    #[error("the jq filter failed: {}", display_safe(.0, MESSAGE_CHARS))]
    Failed(String),
    /// The filter gave a value that JSON cannot hold.
    #[error("the jq filter gave {0}, which JSON cannot hold")]
    NotJson(&'static str),
}

impl SelectError {
    /// Takes secrets out of the message.
    #[must_use]
    pub(crate) fn masked(self, mask: &Mask) -> Self {
        match self {
            Self::Failed(text) => Self::Failed(mask.apply(&text).into_owned()),
            other => other,
        }
    }
}

/// Whether a filter is `.`, which keeps every body as it is.
#[must_use]
pub(super) fn is_identity(text: &str) -> bool {
    text.trim() == "."
}

impl Select {
    /// Compiles a filter.
    ///
    /// # Errors
    /// Text that is no jq filter, or that uses what filters cannot reach; any filter but `.` where the program was built
    /// without jq.
    pub(crate) fn compile(text: &str) -> Result<Self, SelectError> {
        if is_identity(text) {
            return Ok(Self(None));
        }
        Filter::compile(text).map(|filter| Self(Some(filter)))
    }

    /// Whether this is `.`, which keeps every body as it is.
    #[must_use]
    pub(crate) fn is_identity(&self) -> bool {
        self.0.is_none()
    }

    /// Appends what the filter makes of `json` to `out`, as compact JSON. Numbers that the filter did not
    /// touch keep their digits, and objects the order of their names.
    ///
    /// `json` is what [`compact`](crate::json::compact) gave.
    ///
    /// # Errors
    /// The filter gave no value, several, one that JSON cannot hold, or failed; `out` is then as it was.
    pub(crate) fn apply(&self, json: &[u8], out: &mut Vec<u8>) -> Result<(), SelectError> {
        let began = out.len();
        let result = match &self.0 {
            None => {
                out.extend_from_slice(json);
                Ok(())
            }
            Some(filter) => filter.apply(json, out),
        };
        if result.is_err() {
            out.truncate(began);
        }
        result
    }
}

#[cfg(feature = "jq")]
use jq::JqFilter as Filter;

/// Replaces the filter where the program is built without jq. It has no value.
#[cfg(not(feature = "jq"))]
#[derive(Debug)]
enum NoFilter {}

#[cfg(not(feature = "jq"))]
use NoFilter as Filter;

#[cfg(not(feature = "jq"))]
impl NoFilter {
    fn compile(_: &str) -> Result<Self, SelectError> {
        Err(SelectError::NoJq)
    }

    fn apply(&self, _: &[u8], _: &mut Vec<u8>) -> Result<(), SelectError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_copies_bytes_without_parsing_them() {
        let select = Select::compile(" . ").unwrap();
        assert!(select.is_identity());
        let mut out = b"x".to_vec();
        select.apply(br#"{"a":1,"a":-0}"#, &mut out).unwrap();
        assert_eq!(out, br#"x{"a":1,"a":-0}"#);
    }

    #[test]
    fn a_filter_is_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Select>();
    }

    #[cfg(not(feature = "jq"))]
    #[test]
    fn without_jq_any_other_filter_is_refused() {
        assert_eq!(Select::compile(".a").unwrap_err(), SelectError::NoJq);
    }
}
