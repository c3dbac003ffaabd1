//! The errors of reqwest and of our own connections, classified by what they mean for the SKU.

use std::error::Error;
use std::io;
use std::io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
use std::time::Duration;

use super::connect::{NoHttp2, ProxyError};
use super::proxy::Proxy;
use super::resend::{Progress, Resend};
use super::{SendError, TransportError};
use crate::model::fault::{CertificateProblem, ProxyProblem};
use crate::model::option::{CONNECT_TIMEOUT, HTTP, URL};
use crate::model::{Cause, Fault, display_safe};

/// Characters of an error's text.
const MAX_TEXT: usize = 300;

/// What ring can check.
const SUPPORTED_KEYS: &str = "RSA with SHA-2, P-256, P-384 and Ed25519 are";
/// Follows what the TLS library reports.
const NO_TLS_IN_COMMON: &str =
    "the server has to support TLS 1.2 or 1.3, and a certificate with a key of RSA, P-256, P-384 or Ed25519";

const NO_CLIENT_CERTIFICATE: &str = "the server requires a client certificate, and skufetch presents none";

/// What was being read when the connection failed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum SendStage {
    /// The first head on it, of which nothing was read.
    NewHead,
    /// The first head on it.
    FirstHead,
    /// The first heads on a new connection to an HTTP/2 server that has answered before.
    NewStream,
    /// A later head, on a connection where something was read since the request, or that has other requests.
    Head,
    /// A later head, on a connection where nothing was read since the request and which may have been idle before.
    IdleHead,
    /// A body.
    Body,
}

/// Classifies reqwest's errors. It reports a body that ended early as `is_decode`, so the stage decides, and not the
/// kind that it names. `connect_timeout` is for the text of an error before the connection was opened.
#[allow(clippy::needless_pass_by_value, reason = "`map_err` passes it so")]
pub(super) fn reqwest_error(
    error: reqwest::Error,
    stage: SendStage,
    connect_timeout: Option<Duration>,
) -> SendError {
    let Some(source) = error.source() else { return lost(stage, text(error)) };
    match connect_timeout {
        Some(limit) if error.is_connect() => no_connection((!error.is_timeout()).then_some(source), limit),
        _ => connection_error(source, stage),
    }
}

/// Classifies the errors of an open connection.
pub(super) fn connection_error(error: &(dyn Error + 'static), stage: SendStage) -> SendError {
    if let Some(refused) = certificate_error(error) {
        return refused;
    }
    let is_hyper = |test: fn(&hyper::Error) -> bool| {
        causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(test))
    };
    if is_hyper(hyper::Error::is_parse_too_large) {
        let detail = "the answer's header fields are too large, or its Content-Length is";
        return SendError::counted(Fault::new(Cause::TooLarge, detail));
    }
    let resend = match stage {
        // The server promised it, but has never shown that it processes any request.
        SendStage::NewHead | SendStage::FirstHead if is_refused_unread(error) => Resend::Once,
        SendStage::FirstHead if is_unsent(error) => Resend::Once,
        // A new connection was not closed for being idle.
        SendStage::NewHead if is_unsent(error) => Resend::NewUnsent,
        SendStage::NewHead if is_closed_unanswered(error) => Resend::NewClosed,
        SendStage::Body | SendStage::NewHead | SendStage::FirstHead => Resend::Counted,
        _ if is_refused_unread(error) || is_unsent(error) => Resend::Unprocessed(Progress::default()),
        SendStage::IdleHead if is_closed_unanswered(error) => Resend::Once,
        SendStage::NewStream | SendStage::Head | SendStage::IdleHead => Resend::Counted,
    };
    let detail = chain(error);
    if is_hyper(hyper::Error::is_parse) {
        let detail = format!("the server's header cannot be read: malformed answer: {detail}");
        return SendError::counted(Fault::new(Cause::Unreadable, detail));
    }
    SendError { resend, ..lost(stage, detail) }
}

/// A server that speaks HTTP/2 and allows no stream: its connection is of no use.
pub(super) fn no_stream(limit: Duration) -> SendError {
    let limit = humantime::format_duration(limit);
    let detail = format!("the server allowed no HTTP/2 stream within {CONNECT_TIMEOUT} {limit}");
    SendError::counted(Fault::new(Cause::Connect, detail))
}

/// Classifies why no connection was opened; without an error it was the time limit.
pub(super) fn no_connection(error: Option<&(dyn Error + 'static)>, limit: Duration) -> SendError {
    if let Some(refused) = error.and_then(certificate_error) {
        return refused;
    }
    if error.is_some_and(is_without_http2) {
        return no_http2();
    }
    let timed_out = |error: &(dyn Error + 'static)| {
        causes(error)
            .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == TimedOut))
    };
    let in_time = format!("no connection within {CONNECT_TIMEOUT} {}", humantime::format_duration(limit));
    let of_proxy = error.and_then(|error| causes(error).find_map(|cause| cause.downcast_ref::<ProxyError>()));
    let (cause, detail) = match (of_proxy, error) {
        (Some(error), _) if timed_out(error) => (Cause::Proxy(error.problem), format!("{error}: {in_time}")),
        (Some(error), _) => (Cause::Proxy(error.problem), chain(error)),
        (None, Some(error)) if is_not_tls(error) => (
            Cause::Connect,
            format!(
                "the server does not speak TLS on this port; if it is plain HTTP, write http:// in {URL}"
            ),
        ),
        (None, Some(error)) if !timed_out(error) => (Cause::Connect, chain(error)),
        _ => (Cause::Connect, in_time),
    };
    let is_counted = cause == Cause::Proxy(ProxyProblem::Credentials);
    let resend = if is_counted { Resend::Counted } else { Resend::NewClosed };
    SendError { fault: Fault::new(cause, detail), resend }
}

/// A new connection was closed before anything was sent on it.
pub(super) fn closed_unsent() -> SendError {
    let fault = Fault::new(Cause::Connect, "the server closed the connection as soon as it was open");
    SendError { fault, resend: Resend::NewUnsent }
}

/// No connection was opened in time.
pub(super) fn connection_timeout(proxy: Option<&Proxy>, limit: Duration) -> SendError {
    let Some(proxy) = proxy else { return no_connection(None, limit) };
    let limit = humantime::format_duration(limit);
    let detail = format!("no connection through the proxy {proxy} within {CONNECT_TIMEOUT} {limit}");
    let fault = Fault::new(Cause::Proxy(ProxyProblem::NoConnection), detail);
    SendError { fault, resend: Resend::NewClosed }
}

/// A client cannot be set up: no certificate authorities, or the system has run out of something.
#[allow(clippy::needless_pass_by_value, reason = "`map_err` passes it so")]
pub(super) fn unusable(error: TransportError) -> SendError {
    SendError::counted(Fault::new(Cause::Connect, error.to_string()))
}

/// The server does not speak HTTP/2, which is required.
pub(super) fn no_http2() -> SendError {
    SendError::counted(Fault::new(
        Cause::NoHttp2,
        format!("the server does not speak HTTP/2, and {HTTP} 2 requires it"),
    ))
}

/// What came in place of a TLS handshake is none, such as the answer of a plain HTTP server.
fn is_not_tls(error: &(dyn Error + 'static)) -> bool {
    use rustls::{Error as TlsError, InvalidMessage};
    causes(error).any(|cause| {
        matches!(
            cause.downcast_ref::<TlsError>(),
            Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType))
        )
    })
}

/// A body that may have been whole or not.
pub(super) fn reset_before_end() -> SendError {
    let detail = "the connection was reset in a body without a Content-Length, which may not be whole";
    lost(SendStage::Body, detail.into())
}

fn lost(stage: SendStage, detail: String) -> SendError {
    let cause = match stage {
        SendStage::Body => Cause::Cut,
        _ => Cause::Lost,
    };
    SendError::counted(Fault::new(cause, detail))
}

/// reqwest's error in one line, without the URL, whose query may hold a secret. Its own text ("error sending request")
/// says less than its cause.
pub(super) fn text(error: reqwest::Error) -> String {
    let error = error.without_url();
    error.source().map_or_else(|| display_safe(&error.to_string(), MAX_TEXT), chain)
}

/// The error and its causes in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if parts.last() != Some(&part) {
            parts.push(part);
        }
        source = cause.source();
    }
    if causes(error).any(has_no_tls_in_common) {
        parts.push(NO_TLS_IN_COMMON.to_owned());
    }
    let is_wrapper =
        |part: &str| part.starts_with("client error (") || matches!(part, "tcp connect error" | "dns error");
    let last = parts.len() - 1;
    let mut at = 0..;
    parts.retain(|part| at.next().is_none_or(|at| at == last || !is_wrapper(part)));
    display_safe(&parts.join(": "), MAX_TEXT)
}

/// The two sides found no version, cipher or signature that both support.
fn has_no_tls_in_common(cause: &(dyn Error + 'static)) -> bool {
    use rustls::{AlertDescription as Alert, Error as TlsError};
    matches!(
        cause.downcast_ref(),
        Some(
            TlsError::PeerIncompatible(_)
                | TlsError::AlertReceived(
                    Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity
                )
        )
    )
}

fn certificate_error(error: &(dyn Error + 'static)) -> Option<SendError> {
    use rustls::{AlertDescription, Error as TlsError};
    let of_proxy = causes(error).any(<dyn Error>::is::<ProxyError>);
    let (problem, detail) = causes(error).find_map(|cause| match cause.downcast_ref::<TlsError>()? {
        TlsError::InvalidCertificate(why) => {
            let (problem, reason) = certificate_problem(why);
            let whose = if of_proxy { "proxy" } else { "server" };
            Some((problem, format!("the {whose}'s certificate was refused: {reason}")))
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            Some((CertificateProblem::ClientRequired, NO_CLIENT_CERTIFICATE.to_owned()))
        }
        _ => None,
    })?;
    Some(SendError::counted(Fault::new(Cause::Certificate(problem), detail)))
}

/// The server asked for a client certificate, and ended the connection without one.
pub(super) fn no_client_certificate() -> SendError {
    let cause = Cause::Certificate(CertificateProblem::ClientRequired);
    SendError::counted(Fault::new(cause, NO_CLIENT_CERTIFICATE))
}

fn certificate_problem(why: &rustls::CertificateError) -> (CertificateProblem, String) {
    use CertificateProblem::{AuthorityAsServer, Untrusted, WrongName, WrongTime};
    use rustls::{CertificateError as E, OtherError};
    match why {
        E::Expired | E::ExpiredContext { .. } => (WrongTime, "it has expired".into()),
        E::NotValidYet | E::NotValidYetContext { .. } => (WrongTime, "it is not valid yet".into()),
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            (WrongName, "it is for another host name".into())
        }
        E::UnknownIssuer => {
            (Untrusted, "its issuer is not trusted (self-signed, or an unknown authority)".into())
        }
        E::Revoked => (Untrusted, "it was revoked".into()),
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            (Untrusted, format!("a key or signature in its chain is not supported: {SUPPORTED_KEYS}"))
        }
        E::Other(OtherError(why)) if why.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) => (
            AuthorityAsServer,
            "it is that of a certificate authority, which may not identify a server".into(),
        ),
        other => (Untrusted, display_safe(&other.to_string(), 200)),
    }
}

/// HTTP/2 was offered alone, and the server took something else, or nothing.
fn is_without_http2(error: &(dyn Error + 'static)) -> bool {
    use rustls::{AlertDescription, Error as TlsError};
    causes(error).any(|cause| {
        cause.is::<NoHttp2>()
            || matches!(
                cause.downcast_ref::<TlsError>(),
                Some(TlsError::AlertReceived(AlertDescription::NoApplicationProtocol))
            )
    })
}

/// An HTTP/2 server that is about to close, or is overloaded, reports which requests it did not process.
fn is_refused_unread(error: &(dyn Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|error| {
        let closes = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (closes || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// The connection ended before the request was written.
fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

/// The request was written, and the connection ended before an answer began. hyper has a kind for it; on a reused
/// connection the system may report a reset or a broken pipe instead, and TLS an end without `close_notify`.
fn is_closed_unanswered(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message)
            || cause.downcast_ref::<h2::Error>().is_some_and(h2::Error::is_io)
            || cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| matches!(error.kind(), ConnectionReset | BrokenPipe | UnexpectedEof))
    })
}

/// TLS ended without `close_notify`, which many servers leave out.
pub(super) fn is_tls_end(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == UnexpectedEof))
}

/// This error and every one below it. `io::Error::source` skips the error that it wraps, hence `get_ref`.
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

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn a_key_that_is_not_supported_is_named_with_those_that_are() {
        let (signature_algorithm_id, public_key_algorithm_id) = (vec![1], vec![2]);
        for why in [
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: signature_algorithm_id.clone(),
                public_key_algorithm_id,
            },
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id,
                supported_algorithms: Vec::new(),
            },
        ] {
            let (problem, text) = certificate_problem(&why);
            assert_eq!(problem, CertificateProblem::Untrusted);
            assert!(text.contains("P-384"), "{text}");
        }
    }
}
