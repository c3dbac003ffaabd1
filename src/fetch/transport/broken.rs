//! reqwest's errors, sorted by what they mean for the SKU.

use std::error::Error as _;
use std::io;

use super::{Broken, TransportSettings};
use crate::model::{Cause, Fault};

/// What was being read when the connection gave way.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Stage {
    Head,
    Body,
}

/// Sorts reqwest's errors by what they mean for the SKU. `is_decode` is how reqwest reports a body
/// that ended early, so the stage decides and not its word.
#[allow(clippy::needless_pass_by_value, reason = "it is the shape `map_err` wants")]
pub(super) fn broken(error: reqwest::Error, stage: Stage, settings: &TransportSettings) -> Broken {
    if let Some(reason) = certificate_fault(&error) {
        let detail = format!("the server's certificate was refused: {reason}");
        return Broken { fault: Fault::new(Cause::Certificate, detail), unanswered: false };
    }
    if causes(&error)
        .any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large))
    {
        let detail = "the answer's header fields are too large";
        return Broken { fault: Fault::new(Cause::TooLarge, detail), unanswered: false };
    }
    let unanswered = stage == Stage::Head && closed_unanswered(&error);
    let cause = match stage {
        Stage::Body => Cause::Cut,
        Stage::Head if error.is_connect() => Cause::Connect,
        Stage::Head => Cause::Lost,
    };
    let timed_out = error.is_timeout();
    let mut detail = text(error);
    if cause == Cause::Connect && timed_out {
        let limit = humantime::format_duration(settings.connect_timeout);
        detail = format!("no connection within --connect-timeout {limit}");
    }
    Broken { fault: Fault::new(cause, detail), unanswered }
}

/// The error and its causes in one line, without the URL (whose query may hold a secret).
pub(super) fn text(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut parts: Vec<String> = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if parts.last() != Some(&part) {
            parts.push(part);
        }
        source = cause.source();
    }
    // reqwest's own words ("error sending request") say less than their cause, and so do these two.
    let frame =
        |part: &str| part.starts_with("client error (") || matches!(part, "tcp connect error" | "dns error");
    let last = parts.len() - 1;
    let mut at = 0..;
    parts.retain(|part| at.next().is_none_or(|at| at == last || at > 0 && !frame(part)));
    crate::model::display_safe(&parts.join(": "), 300)
}

fn certificate_fault(error: &reqwest::Error) -> Option<String> {
    causes(error).find_map(|cause| match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidCertificate(why)) => Some(certificate_reason(why)),
        _ => None,
    })
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

/// hyper says so when a request was written and the connection ended before an answer began; on a
/// reused connection the system may report a reset or a broken pipe in its place.
fn closed_unanswered(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            return error.is_incomplete_message() || error.is_canceled();
        }
        cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        })
    }) && !error.is_connect()
}

/// Every error below this one; an `io::Error` hides what it carries from `source`.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let mut current = error.source();
    std::iter::from_fn(move || {
        let cause = current?;
        current = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
        Some(cause)
    })
}
