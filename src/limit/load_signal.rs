//! What the end of an attempt says about the load.

use std::time::Duration;

/// How an attempt ended, as far as the pace is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadSignal {
    /// Answered, and the server worked for it.
    Good {
        /// From leaving to the last byte.
        latency: Duration,
    },
    /// Answered at little cost to the server (401, 404 and the like): says nothing about capacity, but the API
    /// answers.
    Cheap,
    /// 403 that nothing explains: says nothing about capacity. It may be a refusal that is not known for one yet.
    Forbidden,
    /// A timeout: too much for the server.
    Overload {
        /// From leaving to the end of the attempt.
        latency: Duration,
    },
    /// Refused: the server limits the rate, or the number of requests at a time. The pool pauses, or slows down.
    Refused {
        /// The status of the answer.
        status: u16,
        /// The wait that the answer asks for; none: it says nothing, or zero.
        asked: Option<Duration>,
        /// From leaving to the refusal.
        latency: Duration,
    },
    /// 500, 502, 503 or 504 without a wait, several SKUs between good answers: the load may be too much, or the server
    /// fails by itself.
    Strained {
        /// The status of the answer.
        status: u16,
        /// From leaving to the answer.
        latency: Duration,
    },
    /// 503 without a wait of one SKU between good answers: as a rule a fault of the server. A limiter without a burst answers
    /// so, too, to what comes a little too soon.
    Lone503,
    /// No answer for another reason, such as a lost connection: says nothing about capacity.
    Fault,
}

impl LoadSignal {
    /// Whether the server answered in a way that ends a pause.
    pub(super) fn is_accepted(self) -> bool {
        matches!(self, Self::Good { .. } | Self::Cheap | Self::Forbidden)
    }

    /// Whether the attempt may have come too soon after another one.
    pub(super) fn may_be_too_soon(self) -> bool {
        self.is_refusal() || self == Self::Lone503
    }

    /// Whether the server limits the client, or may do so.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Strained { .. })
    }
}
