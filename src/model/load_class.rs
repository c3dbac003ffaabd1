//! What an answer or a fault says about the server's load: the only place that classifies them.

use super::Cause;
use super::fault::AnswerMeaning;

/// What one attempt says about how much the server can bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadClass {
    /// The server did the work of the request: a status below 400.
    Served,
    /// It answered at little cost: 401, 404 and every other 4xx but 420 and 429. Says nothing about its capacity.
    Cheap,
    /// It limits this client, in rate or in number: 429, and 420, 508, 509 and 529, which have no other meaning.
    Limited,
    /// It has too much to do: 503, or no complete answer within the timeout.
    Overloaded,
    /// The attempt failed for another reason: every other 5xx, no connection, or one that was lost. Says nothing about
    /// its capacity.
    Broken,
}

impl LoadClass {
    /// The class of a status, whether it is stored, retried or neither.
    #[must_use]
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            420 | 429 | 508 | 509 | 529 => Self::Limited,
            503 => Self::Overloaded,
            ..400 => Self::Served,
            400..500 => Self::Cheap,
            500.. => Self::Broken,
        }
    }

    /// Whether a status may mean by itself, or with what stands beside it, that the server limits the client. Any other
    /// refusal is one that a filter of the user names.
    #[must_use]
    pub(crate) const fn may_refuse(status: u16) -> bool {
        matches!(status, 400 | 403 | 500 | 502..=504) || matches!(Self::of_status(status), Self::Limited)
    }

    /// The class of the fault that an attempt ended with. What is wrong with a complete answer (its body, its coding,
    /// where it redirects to) is no word about the load: the server did its work.
    #[must_use]
    pub(crate) const fn of_cause(cause: Cause) -> Self {
        match cause {
            Cause::Status(status) => Self::of_status(status),
            // As 401 and 404, wherever the server finds out.
            Cause::Meaning(AnswerMeaning::CredentialsRefused | AnswerMeaning::Failed) => Self::Cheap,
            Cause::Meaning(AnswerMeaning::Limited) => Self::Limited,
            Cause::Timeout => Self::Overloaded,
            Cause::Connect
            | Cause::Proxy(_)
            | Cause::Certificate(_)
            | Cause::NoHttp2
            | Cause::Lost
            | Cause::Cut
            | Cause::Unreadable
            | Cause::Meaning(AnswerMeaning::ToBeRetried) => Self::Broken,
            Cause::Row
            | Cause::TooLarge
            | Cause::Body
            | Cause::Encoding
            | Cause::Redirect
            | Cause::Pack(_)
            | Cause::Pages(_)
            | Cause::Select
            | Cause::Column => Self::Served,
        }
    }

    /// Whether the load was too much: the client has to send less.
    #[must_use]
    pub(crate) const fn is_too_much(self) -> bool {
        matches!(self, Self::Limited | Self::Overloaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fault::CertificateProblem;

    #[test]
    fn every_status_has_one_class() {
        for (status, class) in [
            (100, LoadClass::Served),
            (200, LoadClass::Served),
            (304, LoadClass::Served),
            (399, LoadClass::Served),
            (400, LoadClass::Cheap),
            (404, LoadClass::Cheap),
            (408, LoadClass::Cheap),
            (420, LoadClass::Limited),
            (425, LoadClass::Cheap),
            (429, LoadClass::Limited),
            (499, LoadClass::Cheap),
            (500, LoadClass::Broken),
            (502, LoadClass::Broken),
            (503, LoadClass::Overloaded),
            (504, LoadClass::Broken),
            (507, LoadClass::Broken),
            (508, LoadClass::Limited),
            (509, LoadClass::Limited),
            (529, LoadClass::Limited),
            (599, LoadClass::Broken),
        ] {
            assert_eq!(LoadClass::of_status(status), class, "{status}");
            assert_eq!(LoadClass::of_cause(Cause::Status(status)), class, "{status}");
            assert_eq!(class.is_too_much(), matches!(status, 420 | 429 | 503 | 508 | 509 | 529), "{status}");
        }
    }

    #[test]
    fn of_the_faults_without_a_status_a_timeout_alone_means_too_much() {
        assert!(LoadClass::of_cause(Cause::Timeout).is_too_much());
        for cause in
            [Cause::Connect, Cause::Certificate(CertificateProblem::Untrusted), Cause::Lost, Cause::Cut]
        {
            assert_eq!(LoadClass::of_cause(cause), LoadClass::Broken, "{cause:?}");
        }
        for cause in
            [Cause::Body, Cause::Encoding, Cause::TooLarge, Cause::Redirect, Cause::Select, Cause::Column]
        {
            assert_eq!(LoadClass::of_cause(cause), LoadClass::Served, "{cause:?}");
        }
    }
}
