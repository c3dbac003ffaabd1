//! Why an attempt, or a row, gave no body. Data about one attempt, which never travels by `?`.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Mask;
use crate::model::option::{COLUMNS, FAIL_IF, REFUSED_IF, RETRY_IF};

/// The class of a [`Fault`], by which the summary groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The row is damaged or rejected; no request was sent.
    Row,
    /// The status is no success.
    Status(u16),
    /// No connection: refused, unreachable, name not found, connect timeout, failed handshake.
    Connect,
    /// No connection through the proxy, which is not reached, or refuses.
    Proxy(ProxyProblem),
    /// TLS came to nothing for a certificate's sake.
    Certificate(CertificateProblem),
    /// The server does not speak HTTP/2, which `--http` requires.
    NoHttp2,
    /// The attempt took longer than the timeout.
    Timeout,
    /// The connection was lost before the head of the response was complete.
    Lost,
    /// The head of the response breaks the rules of HTTP.
    Unreadable,
    /// The body ended before its announced or syntactic end.
    Cut,
    /// The body is larger than the limit.
    TooLarge,
    /// The body is not valid: not JSON, nested too deep, not UTF-8, empty.
    Body,
    /// A content coding that was not requested, or that cannot be decoded.
    Encoding,
    /// A redirect that may not be followed, or too many of them.
    Redirect,
    /// The `--select` filter gave no value, several values, or an error.
    Select,
    /// A filter of `--columns` gave several values, one that is no cell, or an error.
    Column,
    /// A filter of the user says so, whatever the status is.
    Meaning(AnswerMeaning),
    /// The answer to a pack of keys does not tell the value of this one.
    Pack(PackProblem),
    /// The pages of the answer are not to be had as one.
    Pages(PageProblem),
}

impl Cause {
    /// A short name for grouping, such as `not found` or `timed out`.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Row => "bad row".into(),
            Self::Status(401) => "not authorised (401)".into(),
            Self::Status(403) => "forbidden".into(),
            Self::Status(404) => "not found".into(),
            Self::Status(407) => "refused by the proxy (407)".into(),
            Self::Status(410) => "gone".into(),
            Self::Status(429) => "rate limited (429)".into(),
            Self::Status(code) => format!("HTTP {code}"),
            Self::Connect => "no connection".into(),
            Self::Proxy(ProxyProblem::NoConnection) => "no connection through the proxy".into(),
            Self::Proxy(ProxyProblem::Credentials) => Self::Status(407).label(),
            Self::Proxy(ProxyProblem::Answered(code)) => format!("refused by the proxy ({code})"),
            Self::Certificate(_) => "certificate refused".into(),
            Self::NoHttp2 => "no HTTP/2".into(),
            Self::Timeout => "timed out".into(),
            Self::Lost => "connection lost".into(),
            Self::Unreadable => "header unreadable".into(),
            Self::Cut => "body cut short".into(),
            Self::TooLarge => "body too large".into(),
            Self::Body => "bad body".into(),
            Self::Encoding => "bad encoding".into(),
            Self::Redirect => "redirect refused".into(),
            Self::Select => "nothing selected".into(),
            Self::Column => format!("without a cell ({COLUMNS})"),
            Self::Meaning(AnswerMeaning::CredentialsRefused) => format!("refused ({REFUSED_IF})"),
            Self::Meaning(AnswerMeaning::ToBeRetried) => format!("not ready ({RETRY_IF})"),
            Self::Meaning(AnswerMeaning::Limited) => format!("rate limited ({RETRY_IF})"),
            Self::Meaning(AnswerMeaning::Failed) => format!("an error in the body ({FAIL_IF})"),
            Self::Pack(PackProblem::Missing) => "not in the answer".into(),
            Self::Pack(PackProblem::Twice) => "twice in the answer".into(),
            Self::Pack(PackProblem::OtherKeys) => "other SKUs in the answer".into(),
            Self::Pack(PackProblem::NoItems) => "no items in the answer".into(),
            Self::Pages(PageProblem::NoAddress) => "no address of the next page".into(),
            Self::Pages(PageProblem::OtherOrigin) => "the next page at another origin".into(),
            Self::Pages(PageProblem::Repeated) => "pages in a circle".into(),
            Self::Pages(PageProblem::TooMany) => "too many pages".into(),
            Self::Pages(PageProblem::NullLater) => "null on a later page".into(),
            Self::Pages(PageProblem::NotJoined) => "pages not joined".into(),
        }
    }

    /// The label after a number: `2 bad rows`.
    #[must_use]
    pub fn label_for(self, count: u64) -> String {
        match self {
            Self::Row if count != 1 => "bad rows".into(),
            Self::Body if count != 1 => "bad bodies".into(),
            Self::Certificate(_) if count != 1 => "certificates refused".into(),
            Self::Lost if count != 1 => "connections lost".into(),
            Self::Unreadable if count != 1 => "headers unreadable".into(),
            Self::Cut if count != 1 => "bodies cut short".into(),
            Self::TooLarge if count != 1 => "bodies too large".into(),
            Self::Redirect if count != 1 => "redirects refused".into(),
            Self::Meaning(AnswerMeaning::Failed) if count != 1 => format!("errors in the body ({FAIL_IF})"),
            _ => self.label(),
        }
    }
}

/// What a filter of the user says about an answer that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerMeaning {
    /// The credentials are refused (`--refused-if`).
    CredentialsRefused,
    /// Another attempt may bring the value (`--retry-if`).
    ToBeRetried,
    /// The server limits the client (`--retry-if` with a number).
    Limited,
    /// It fails its SKU (`--fail-if`).
    Failed,
}

/// What is wrong with the answer to a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackProblem {
    /// The key is not in it.
    Missing,
    /// The key is there more than once.
    Twice,
    /// It has items, and none of a key that was asked for.
    OtherKeys,
    /// It cannot be taken apart.
    NoItems,
}

/// What is wrong with the pages of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageProblem {
    /// A page does not tell where the next one is, nor that it is the last.
    NoAddress,
    /// The next page is at another origin.
    OtherOrigin,
    /// The next page is one that was had already.
    Repeated,
    /// There are more than `--pages`.
    TooMany,
    /// A page after the first is one that stores `null`.
    NullLater,
    /// `--join` gives no value that can be stored.
    NotJoined,
}

/// Why a proxy passed no request on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProblem {
    /// It is not reached, or it reports without a status that it did not connect to the server.
    NoConnection,
    /// It answered with this status itself, in place of the server.
    Answered(u16),
    /// It refuses the credentials: 407, or the refusal of a SOCKS proxy.
    Credentials,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateProblem {
    /// That of the server has an issuer that is not trusted, or another fault.
    Untrusted,
    /// That of the server is a certificate authority's own.
    AuthorityAsServer,
    /// That of the server is for another host name.
    WrongName,
    /// That of the server is not valid now.
    WrongTime,
    /// The server requires one of the client.
    ClientRequired,
}

/// Why one attempt gave no body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The class.
    pub cause: Cause,
    /// The status, if and only if the server sent one.
    pub status: Option<u16>,
    /// What is known beyond the cause: one sentence for messages, without secrets and control characters. Of a status
    /// ([`Cause::Status`]) the beginning of the body, which may be empty: the status itself is in the cause. Of a
    /// meaning ([`Cause::Meaning`]) the reason, or the beginning of the body.
    pub detail: Box<str>,
    /// How long the server asked to wait, if it did.
    #[serde(skip)]
    pub retry_after: Option<RetryAfter>,
    /// The page, from 2, if it is a later one of several.
    pub page: Option<NonZeroU32>,
}

/// The `Retry-After` of a response, relative to its own `Date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Wait this long.
    Wait(Duration),
    /// A number too large to wait for: the run is deferred.
    TooLong,
}

impl Fault {
    /// The fault of an answer whose status is no success.
    #[must_use]
    pub fn of_status(status: u16, detail: impl Into<Box<str>>) -> Self {
        Self::new(Cause::Status(status), detail).with_status(status)
    }

    /// A fault without a status.
    #[must_use]
    pub fn new(cause: Cause, detail: impl Into<Box<str>>) -> Self {
        Self { cause, status: None, detail: detail.into(), retry_after: None, page: None }
    }

    /// The same fault, of a response with this status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The same fault, of this page of several. That of the first one is as of an answer that has no other.
    #[must_use]
    pub fn on_page(mut self, number: u32) -> Self {
        self.page = NonZeroU32::new(number).filter(|number| number.get() > 1);
        self
    }

    /// The same fault, without secrets in its detail. A shortened detail may end in a part of a secret, which
    /// is masked too.
    #[must_use]
    pub fn masked(mut self, mask: &Mask) -> Self {
        let masked = match self.detail.strip_suffix('…') {
            None => mask.apply(&self.detail),
            Some(beginning) => match mask.apply_to_beginning(beginning) {
                Cow::Owned(masked) => Cow::Owned(masked + "…"),
                Cow::Borrowed(_) => Cow::Borrowed(""),
            },
        };
        if let Cow::Owned(masked) = masked {
            self.detail = masked.into();
        }
        self
    }
}

/// The whole sentence: `HTTP 404 Not Found: no such product`, `page 2: no answer within 30 s`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(page) = self.page {
            write!(f, "page {page}: ")?;
        }
        match self.cause {
            Cause::Status(status) => {
                write!(f, "HTTP {status}")?;
                if let Some(phrase) = reason_phrase(status) {
                    write!(f, " {phrase}")?;
                }
            }
            Cause::Meaning(AnswerMeaning::Failed) if !self.detail.is_empty() => {
                return f.write_str(&self.detail);
            }
            Cause::Meaning(_) => f.write_str(&self.cause.label())?,
            _ => return f.write_str(&self.detail),
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// The reason phrase that is registered for a status, such as `Not Found`.
#[must_use]
pub(crate) fn reason_phrase(status: u16) -> Option<&'static str> {
    http::StatusCode::from_u16(status).ok()?.canonical_reason()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_a_status_names_the_status_its_phrase_and_the_body() {
        for (fault, text) in [
            (Fault::of_status(404, ""), "HTTP 404 Not Found"),
            (Fault::of_status(404, "no such product"), "HTTP 404 Not Found: no such product"),
            (Fault::of_status(599, "no such product"), "HTTP 599: no such product"),
            (Fault::of_status(599, ""), "HTTP 599"),
            (Fault::new(Cause::Cut, "8 of 9 bytes").with_status(200), "8 of 9 bytes"),
            (Fault::new(Cause::Meaning(AnswerMeaning::Failed), "discontinued"), "discontinued"),
            (Fault::new(Cause::Meaning(AnswerMeaning::Failed), ""), "an error in the body (--fail-if)"),
            (Fault::new(Cause::Meaning(AnswerMeaning::ToBeRetried), "busy"), "not ready (--retry-if): busy"),
        ] {
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn no_secret_and_no_half_of_one_stays_in_the_detail() {
        let mask = Mask::new(vec!["canary-1234".into()]);
        for (detail, expected) in [
            ("sent canary-1234, gone", "sent (redacted), gone"),
            ("sent canary-12…", "sent (redacted)…"),
            ("sent canary-1234 and more…", "sent (redacted) and more…"),
            ("sent nothing…", "sent nothing…"),
            ("sent nothing", "sent nothing"),
        ] {
            assert_eq!(&*Fault::new(Cause::Lost, detail).masked(&mask).detail, expected);
        }
    }
}
