//! Why the pool paused, why the limit moved, why the run stops: values that decide, and the one place where each
//! becomes text.

use std::fmt;
use std::time::Duration;

use crate::model::fault::CertificateProblem;
use crate::model::option::{MAX_RETRY_AFTER, MAX_TIME, RETRY_IF};
use crate::model::{Cause, Fault, Key, LoadClass, TokenFailure};

/// Why the pool is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseReason {
    /// The server refused an attempt.
    Refused {
        /// Its status.
        status: u16,
        /// The pause is as long as the answer says; otherwise it is the pool's back-off.
        has_retry_after: bool,
    },
    /// What the server allows until the quota's reset is used up.
    Quota,
    /// As many were sent as the server accepted in an earlier window of this length.
    WindowUsed,
    /// An outage: the API keeps failing.
    Outage,
    /// The probe after a pause was not answered well.
    ProbeFailed,
    /// The API asked another process for it that shares the rate.
    Shared,
}

impl PauseReason {
    /// Whether the API asked for it, so that it holds for every process with the same rate.
    #[must_use]
    pub(crate) fn is_for_all(self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Quota)
    }
}

impl fmt::Display for PauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, .. } if !LoadClass::may_refuse(*status) => {
                write!(f, "the answer says so ({RETRY_IF})")
            }
            Self::Refused { status, has_retry_after: false } => write!(f, "{status}"),
            Self::Refused { status, has_retry_after: true } => write!(f, "{status} with Retry-After"),
            Self::Quota => f.write_str("the quota is used up"),
            Self::WindowUsed => f.write_str("the API accepts no more in this window"),
            Self::Outage => f.write_str("the API keeps failing"),
            Self::ProbeFailed => f.write_str("the probe after the pause failed"),
            Self::Shared => f.write_str("the API asked another process to wait"),
        }
    }
}

/// Why the number of attempts that may be in flight changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitChangeReason {
    /// A refusal paused the pool.
    RefusedAndPaused,
    /// Attempts were refused above the level that was proven.
    RefusedAbove,
    /// A large share was refused at a proven level.
    TooManyRefused,
    /// A small share was refused at a proven level: fewer in flight are tried.
    SomeRefused,
    /// Latency is higher than it was: fewer in flight are tried.
    LatencyRises,
    /// More in flight brought more answers a second.
    ThroughputGrows,
    /// More in flight brought no more answers a second.
    NoGain,
    /// Fewer in flight brought fewer answers a second.
    FewerWereSlower,
    /// What was refused was refused for a rate or a window, not for the number in flight.
    NotForNumber,
    /// An outage followed before many had come at this number.
    FewCame,
    /// `tune` goes on to the next number of workers.
    NextRung,
}

impl LimitChangeReason {
    /// The server refused attempts.
    #[must_use]
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, Self::RefusedAndPaused | Self::RefusedAbove | Self::TooManyRefused | Self::SomeRefused)
    }
}

impl fmt::Display for LimitChangeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RefusedAndPaused => "refused, and the pool paused",
            Self::RefusedAbove => "refused above this",
            Self::TooManyRefused => "too many refused",
            Self::SomeRefused => "some refused",
            Self::LatencyRises => "latency rises",
            Self::ThroughputGrows => "throughput grows",
            Self::NoGain => "more in flight brought nothing",
            Self::FewerWereSlower => "fewer in flight were slower",
            Self::NotForNumber => "the limit is not the number in flight",
            Self::FewCame => "few came before an outage",
            Self::NextRung => "the next rung",
        })
    }
}

/// Why a run ends before its input does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// This signal asked for it.
    Signal(u8),
    /// `--max-time` is over.
    OutOfTime,
    /// None of the first attempts got a connection.
    Unreachable(String),
    /// The proxy passed none of the first attempts on, in words.
    ProxyFailed(String),
    /// A certificate is refused or missing, in words.
    Certificate(CertificateProblem, String),
    /// The server does not speak HTTP/2, which `--http` requires.
    NoHttp2,
    /// The header of none of the first answers could be read.
    Unreadable(String),
    /// The API kept failing through every pause of an outage; the fault of the last attempt.
    Failing(Fault),
    /// The API refuses the credentials.
    Refused {
        /// 401 or 403.
        status: u16,
        /// How many answers in a row said so.
        answers: usize,
        /// What the server said in the last of them that has a body, as a fault shows it; may be empty.
        said: Box<str>,
    },
    /// The credentials expired near the end: the last SKUs were all refused, and so was one that had an answer before
    /// and was requested again.
    RefusedAtEnd {
        /// 401 or 403.
        status: u16,
        /// How many SKUs were refused.
        skus: usize,
        /// The SKU that was requested again.
        asked_again: Key,
        /// What the server said, as in [`Self::Refused`].
        said: Box<str>,
    },
    /// The last SKUs were all refused, and the one that was requested again did not show whether that was for the
    /// credentials.
    RefusalsUnsettled {
        /// 401 or 403.
        status: u16,
        /// How many SKUs were refused.
        skus: usize,
        /// The SKU that was requested again.
        asked_again: Key,
        /// How that request ended.
        why: String,
    },
    /// The server asked for a longer wait than `--max-retry-after` allows; none: longer than can be counted.
    AskedToWait(Option<Duration>),
    /// The store that keeps the rate of many processes did not answer for longer than `--max-retry-after`.
    RateStore {
        /// Why, in words.
        why: String,
        /// For how long.
        lasted: Duration,
    },
    /// The API refused every attempt for a long time, as a limiter does.
    OnlyRefused {
        /// The status of the newest refusal.
        status: u16,
        /// Since the first refusal after the last good answer.
        lasted: Duration,
    },
    /// Every key that was requested alone was refused, and no pack was answered: the request is wrong.
    EveryKeyRefused {
        /// So many keys.
        skus: u32,
        /// The last refusal.
        fault: Fault,
    },
    /// There is no token for the requests.
    NoToken(TokenFailure),
    /// The disk failed.
    Disk,
    /// The program that read standard output has ended.
    StdoutClosed,
}

impl StopReason {
    /// What the server said about it, where it said something: safe to show.
    #[must_use]
    pub(crate) fn said(&self) -> Option<&str> {
        let said: &str = match self {
            Self::Refused { said, .. } | Self::RefusedAtEnd { said, .. } => said,
            Self::Failing(fault) if matches!(fault.cause, Cause::Status(_) | Cause::Meaning(_)) => {
                &fault.detail
            }
            _ => "",
        };
        (!said.is_empty()).then_some(said)
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfTime => return write!(f, "{MAX_TIME} is over"),
            Self::AskedToWait(_) => {
                return write!(f, "the server requires a longer wait than {MAX_RETRY_AFTER}");
            }
            Self::Signal(number) => signal_name(*number),
            Self::Unreachable(_) => "the API is unreachable",
            Self::ProxyFailed(_) => "the proxy passes no request on",
            Self::Certificate(CertificateProblem::ClientRequired, _) => {
                "the server requires a client certificate"
            }
            Self::Certificate(..) => "the server's certificate is refused",
            Self::NoHttp2 => "the server does not speak HTTP/2",
            Self::Unreadable(_) => "the server's answers cannot be read",
            Self::Failing(Fault { cause: Cause::Proxy(_), .. }) => "the proxy keeps failing",
            Self::Failing(_) => "the API keeps failing",
            Self::Refused { status: 407, .. } => "the proxy refuses the credentials",
            Self::Refused { .. } | Self::RefusedAtEnd { .. } => "the API refuses the credentials",
            Self::RefusalsUnsettled { .. } => "the API may refuse the credentials",
            Self::RateStore { .. } => "the rate store does not answer",
            Self::OnlyRefused { .. } => "the API's limit lets nothing through",
            Self::EveryKeyRefused { .. } => "the API refuses every SKU",
            Self::NoToken(_) => "there is no token for the API",
            Self::Disk => "the journal cannot be written",
            Self::StdoutClosed => "no program reads standard output any more",
        })
    }
}

/// The name of a signal that stops a run.
#[must_use]
pub(crate) fn signal_name(number: u8) -> &'static str {
    match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        15 => "SIGTERM",
        _ => "signal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_names_its_status_and_whether_retry_after_gave_its_length() {
        for (status, has_retry_after, text) in
            [(429, false, "429"), (429, true, "429 with Retry-After"), (503, true, "503 with Retry-After")]
        {
            assert_eq!(PauseReason::Refused { status, has_retry_after }.to_string(), text);
        }
    }

    #[test]
    fn a_pause_for_an_answer_whose_status_is_no_refusal_is_for_what_its_body_says() {
        for status in [200, 404] {
            let reason = PauseReason::Refused { status, has_retry_after: true };
            assert_eq!(reason.to_string(), format!("the answer says so ({RETRY_IF})"));
        }
    }

    #[test]
    fn a_stop_by_a_signal_is_named_after_it() {
        assert_eq!(StopReason::Signal(15).to_string(), "SIGTERM");
        assert_eq!(StopReason::Signal(9).to_string(), "signal");
    }
}
