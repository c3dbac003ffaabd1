//! Why there is no token for `${TOKEN}`.

use std::fmt;

use crate::model::Exit;
use crate::model::option::{TOKEN_COMMAND, TOKEN_URL};

/// Why there is no token. Each text is safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenFailure {
    /// The command gives none, and why.
    Command(Box<str>),
    /// The endpoint refuses to give one, in its words.
    Refused(Box<str>),
    /// The endpoint is down or busy, in its words.
    Unavailable(Box<str>),
    /// The endpoint is not reached, and why.
    Unreachable(Box<str>),
    /// The token cannot stand in the request, and why.
    Unfit(Box<str>),
}

impl TokenFailure {
    /// Whether a command failed, not an endpoint.
    #[must_use]
    pub(crate) fn is_of_command(&self) -> bool {
        matches!(self, Self::Command(_))
    }

    /// How a run ends for it.
    #[must_use]
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Command(_) | Self::Refused(_) | Self::Unfit(_) => Exit::NoPermission,
            Self::Unavailable(_) | Self::Unreachable(_) => Exit::Unavailable,
        }
    }
}

impl fmt::Display for TokenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(why) => write!(f, "{TOKEN_COMMAND} gives no token: {why}"),
            Self::Refused(said) => write!(f, "{TOKEN_URL} gives no token: {said}"),
            Self::Unavailable(said) => write!(f, "{TOKEN_URL} gives no token for now: {said}"),
            Self::Unreachable(why) => write!(f, "{TOKEN_URL} is not reached: {why}"),
            Self::Unfit(why) => write!(f, "the token cannot be written into the request: {why}"),
        }
    }
}
