//! The errors of reqwest and of our own connections, sorted by what they mean for the SKU.

use std::error::Error;
use std::io;
use std::io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
use std::time::Duration;

use super::{SendError, TransportSettings};
use crate::model::{Cause, Fault};

/// Characters of an error's words.
const LONGEST: usize = 300;

/// What was being read when the connection gave way.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum SendStage {
    /// The first head on it.
    FirstHead,
    /// A later head, on a connection with other requests on it, or that began to be there.
    Head,
    /// A later head, on a connection that was silent from the request on, and before it may have rested.
    IdleHead,
    Body,
}

/// Sorts reqwest's errors by what they mean for the SKU. `is_decode` is how reqwest reports a body
/// that ended early, so the stage decides and not its word.
#[allow(clippy::needless_pass_by_value, reason = "it is the shape `map_err` wants")]
pub(super) fn reqwest_error(
    error: reqwest::Error,
    stage: SendStage,
    settings: &TransportSettings,
) -> SendError {
    let Some(source) = error.source() else { return lost(stage, text(error)) };
    if stage != SendStage::Body && error.is_connect() {
        return no_connection((!error.is_timeout()).then_some(source), settings.connect_timeout);
    }
    connection_error(source, stage)
}

/// Sorts the errors of a connection that stood.
pub(super) fn connection_error(error: &(dyn Error + 'static), stage: SendStage) -> SendError {
    if let Some(refused) = certificate_fault(error) {
        return refused;
    }
    if causes(error)
        .any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large))
    {
        let detail = "the answer's header fields are too large, or the length that they tell";
        return SendError { fault: Fault::new(Cause::TooLarge, detail), safe_to_resend: false };
    }
    let safe_to_resend = match stage {
        SendStage::Body => false,
        // A new connection was not closed for having rested.
        SendStage::FirstHead => promised_unseen(error),
        SendStage::Head => promised_unseen(error) || unsent(error),
        SendStage::IdleHead => promised_unseen(error) || unsent(error) || closed_unanswered(error),
    };
    let is_malformed = |cause: &hyper::Error| cause.is_parse();
    let mut detail = words(error);
    if causes(error).any(|cause| cause.downcast_ref().is_some_and(is_malformed)) {
        detail.insert_str(0, "malformed answer: ");
    }
    SendError { safe_to_resend, ..lost(stage, detail) }
}

/// A server that speaks HTTP/2 and lets nobody ask: no connection that is of any use.
pub(super) fn no_stream(limit: Duration) -> SendError {
    let limit = humantime::format_duration(limit);
    let detail = format!("the server allowed no HTTP/2 stream within --connect-timeout {limit}");
    SendError { fault: Fault::new(Cause::Connect, detail), safe_to_resend: false }
}

/// Sorts what kept a connection from standing; without an error it was the time.
pub(super) fn no_connection(error: Option<&(dyn Error + 'static)>, limit: Duration) -> SendError {
    if let Some(refused) = error.and_then(certificate_fault) {
        return refused;
    }
    let timed_out = |error: &(dyn Error + 'static)| {
        causes(error)
            .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == TimedOut))
    };
    let detail = match error {
        Some(error) if !timed_out(error) => words(error),
        _ => format!("no connection within --connect-timeout {}", humantime::format_duration(limit)),
    };
    SendError { fault: Fault::new(Cause::Connect, detail), safe_to_resend: false }
}

/// A body of which it is not known whether it was whole.
pub(super) fn reset_before_end() -> SendError {
    lost(SendStage::Body, "the connection was reset before a body whose length was not told had ended".into())
}

fn lost(stage: SendStage, detail: String) -> SendError {
    let cause = match stage {
        SendStage::Body => Cause::Cut,
        _ => Cause::Lost,
    };
    SendError { fault: Fault::new(cause, detail), safe_to_resend: false }
}

/// reqwest's error in one line, without the URL (whose query may hold a secret). Its own words ("error
/// sending request") say less than their cause.
pub(super) fn text(error: reqwest::Error) -> String {
    let error = error.without_url();
    error.source().map_or_else(|| crate::model::display_safe(&error.to_string(), LONGEST), words)
}

/// The error and its causes in one line.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if parts.last() != Some(&part) {
            parts.push(part);
        }
        source = cause.source();
    }
    let frame =
        |part: &str| part.starts_with("client error (") || matches!(part, "tcp connect error" | "dns error");
    let last = parts.len() - 1;
    let mut at = 0..;
    parts.retain(|part| at.next().is_none_or(|at| at == last || !frame(part)));
    crate::model::display_safe(&parts.join(": "), LONGEST)
}

fn certificate_fault(error: &(dyn Error + 'static)) -> Option<SendError> {
    let reason = causes(error).find_map(|cause| match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(why)) => Some(certificate_reason(why)),
        _ => None,
    })?;
    let detail = format!("the server's certificate was refused: {reason}");
    Some(SendError { fault: Fault::new(Cause::Certificate, detail), safe_to_resend: false })
}

fn certificate_reason(why: &rustls::CertificateError) -> String {
    use rustls::CertificateError as E;
    match why {
        E::Expired | E::ExpiredContext { .. } => "it has expired".into(),
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet".into(),
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is for another host name".into(),
        E::UnknownIssuer => "its issuer is not trusted (self-signed, or an unknown authority)".into(),
        E::Revoked => "it was revoked".into(),
        other => crate::model::display_safe(&other.to_string(), 200),
    }
}

/// Over HTTP/2 a server that is about to close, or that has too much to do, says which requests it did not look at.
fn promised_unseen(error: &(dyn Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|error| {
        let closes = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (closes || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// The connection was over before the request was written.
fn unsent(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

/// hyper says so when a request was written and the connection ended before an answer began; on a
/// reused connection the system may report a reset or a broken pipe in its place, and TLS an end that was not
/// announced.
fn closed_unanswered(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message)
            || cause.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_io)
            || cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| matches!(error.kind(), ConnectionReset | BrokenPipe | UnexpectedEof))
    })
}

/// This error and every one below it; an `io::Error` hides what it carries from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut current = Some(error);
    std::iter::from_fn(move || {
        let cause = current?;
        current = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
        Some(cause)
    })
}
