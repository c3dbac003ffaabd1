//! The error of a run that publishes nothing, and what to do about it.

use std::time::Duration;

use super::decide::{Obstacle, exit_of_stop};
use crate::collect::{PublishOutcome, Target};
use crate::commands::command_error::CommandError;
use crate::commands::unpublished;
use crate::config::Settings;
use crate::config::options::{
    BULK, CA_CERT, CLIENT_ID, CLIENT_SECRET, COLUMNS, DRY_RUN, FAIL_IF, FRESH, HEADER, HTTP, ITEM, KEY,
    MAX_RETRY_AFTER, MAX_TIME, MERGE, MIN_SUCCESS, NULL_ON, OUTPUT, PROXY, REFUSED_IF, RETRY_IF, RETRY_ON,
    SCOPE, TOKEN_COMMAND, TOKEN_FIELD, TOKEN_GRANT, TOKEN_ON, TOKEN_URL, URL, WAIT_FOR_API,
};
use crate::fetch::OUTAGE_PAUSES;
use crate::model::fault::CertificateProblem;
use crate::model::{
    Cause, Exit, Fault, Key, LoadClass, Mask, StopReason, TokenFailure, counted, display_safe, signal_name,
};
use crate::report::format::{listed, time_left};

/// Characters of a SKU in a message.
const KEY_CHARS: usize = 60;

/// What to check where the API cannot be reached.
pub(in crate::commands) fn check_address() -> String {
    format!("check the host and port in {URL}, the network, and {PROXY}")
}

/// What messages about the end of a run refer to.
pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    /// ` at http://api.example.com`; empty where it is not known.
    pub(super) origin: String,
    pub(super) mask: Mask,
    /// The proxy in use, and what named it.
    pub(super) proxy: Option<String>,
    /// SKUs that were fetched, by an interrupted run too.
    pub(super) fetched: u64,
}

impl Context<'_> {
    /// The error of a run that publishes nothing; `published` is the output that was written and not accepted.
    pub(super) fn error(&self, obstacle: Obstacle, published: Option<&PublishOutcome>) -> CommandError {
        let exit = obstacle.exit();
        let settings = self.settings;
        match obstacle {
            Obstacle::Files(error) => error.into(),
            Obstacle::Input(error) => error.into(),
            Obstacle::Stopped(StopReason::Unreachable(why)) => unreachable(&self.origin, &why, settings),
            Obstacle::Stopped(reason) => {
                let error = stopped(&reason, settings, self.proxy.as_deref());
                if self.may_be_tls(&reason) { error.with_hint(tls_port_hint(again(settings))) } else { error }
            }
            Obstacle::StoppedStream(reason) => {
                CommandError { exit, ..stopped(&reason, settings, self.proxy.as_deref()) }
            }
            Obstacle::NoRow => CommandError::new(exit, format!("{}: no data row", settings.input_path))
                .with_hint("there is a header, but no row below it"),
            Obstacle::NoSku { rows } => no_sku(rows, settings),
            Obstacle::TooFew { fetched, skus, not_found, without_cell } => {
                let limit = settings.run.min_success;
                let message =
                    format!("only {fetched} of {skus} SKUs were fetched, less than {MIN_SUCCESS} {limit}");
                let hint = if without_cell.saturating_mul(2) > skus {
                    format!("correct {COLUMNS}; the answers are in the journal, and are not requested again")
                } else {
                    too_few_hint(fetched, skus, not_found)
                };
                CommandError::new(exit, message).with_hint(hint)
            }
            Obstacle::Unfinished { deferred } => {
                let what = match deferred {
                    0 => "the input was not read to its end".to_owned(),
                    rows => format!("{} left", counted(rows, "row was", "rows were")),
                };
                let message =
                    if settings.output.stream { what } else { format!("nothing was published: {what}") };
                CommandError::new(exit, message).with_hint(again(settings))
            }
            Obstacle::InterruptedRun { answers } => interrupted_run(answers, settings),
            Obstacle::NothingButNulls | Obstacle::HeldBack => published
                .and_then(|published| unpublished::failure(published, settings, &self.mask))
                .unwrap_or_else(|| CommandError::new(exit, "the output was not published")),
        }
    }
}

impl Context<'_> {
    /// Whether the port of an `http://` address may expect TLS: many servers close such connections without a word.
    fn may_be_tls(&self, reason: &StopReason) -> bool {
        self.fetched == 0
            && matches!(reason, StopReason::Failing(Fault { cause: Cause::Lost, .. }))
            && self.settings.request.url.to_ascii_lowercase().starts_with("http://")
    }
}

fn tls_port_hint(again: &str) -> String {
    format!("if this port expects TLS, write https:// in {URL}; else {again}")
}

/// The error of an input in which no row has a SKU.
pub(in crate::commands) fn no_sku(rows: u64, settings: &Settings) -> CommandError {
    let rows = counted(rows, "row has", "rows have");
    CommandError::new(Exit::Data, format!("{}: {rows} no SKU: the key column is empty", settings.input_path))
        .with_hint(format!("does {KEY} name the right column?"))
}

/// What helps against a certificate that is refused or missing.
fn certificate_hint(problem: CertificateProblem) -> String {
    match problem {
        CertificateProblem::Untrusted => {
            format!("if the API has an authority of its own, name its certificate with {CA_CERT} FILE")
        }
        CertificateProblem::AuthorityAsServer => {
            "give the server a certificate with basicConstraints CA:FALSE (openssl req -x509 -addext \
             basicConstraints=critical,CA:FALSE), or one that this authority issues"
                .into()
        }
        CertificateProblem::WrongName => format!("check the host in {URL}: the certificate has to name it"),
        CertificateProblem::WrongTime => {
            "the API's certificate has to be renewed; if it was, check the clock of this machine".into()
        }
        CertificateProblem::ClientRequired => format!(
            "let a gateway that holds the certificate (nginx, stunnel) send on to the API, and name it in {URL}"
        ),
    }
}

/// What to check where the proxy is at fault: its address and what named it, where that is not shown already.
pub(in crate::commands) fn check_proxy(proxy: Option<&str>) -> String {
    match proxy {
        Some(proxy) => format!("check {PROXY}: the proxy in use is {proxy}"),
        None => format!("check {PROXY}"),
    }
}

/// The error of a run that stopped early. `proxy` is the one in use, and what named it.
pub(in crate::commands) fn stopped(
    reason: &StopReason,
    settings: &Settings,
    proxy: Option<&str>,
) -> CommandError {
    let again = again(settings);
    let error = |message: String| CommandError::new(exit_of_stop(reason), message);
    match reason {
        StopReason::Signal(number) => error(format!("stopped by {}", signal_name(*number))).with_hint(again),
        StopReason::OutOfTime => error(format!("{MAX_TIME} was over before the input was")).with_hint(again),
        StopReason::Unreachable(why) => unreachable("", why, settings),
        StopReason::ProxyFailed(why) => {
            error(why.clone()).with_hint(format!("{}; then {again}", check_proxy(proxy)))
        }
        StopReason::NoHttp2 => error(format!("the server does not speak HTTP/2, and {HTTP} 2 requires it"))
            .with_hint(format!("with {HTTP} auto, HTTP/1.1 is used; then {again}")),
        StopReason::Certificate(problem, why) => error(why.clone()).with_hint(certificate_hint(*problem)),
        StopReason::Unreadable(why) => {
            error(why.clone()).with_hint(format!("check the port and the scheme in {URL}; then {again}"))
        }
        StopReason::Failing(fault) => {
            let waited = match settings.retry.wait_for_api {
                Duration::ZERO => format!("through pauses of {}", outage_pauses()),
                waited => format!("for {} ({WAIT_FOR_API})", humantime::format_duration(waited)),
            };
            if let Cause::Proxy(_) = fault.cause {
                return error(format!("no connection through the proxy {waited}: {fault}"))
                    .with_hint(format!("{}; then {again}", check_proxy(proxy)));
            }
            error(format!("the API kept failing {waited}: {fault}")).with_hint(after_outage(fault, again))
        }
        StopReason::Refused { status, answers, said } => {
            let said = after_colon(said);
            let times = match answers {
                1 => "the only answer was".to_owned(),
                _ => format!("{answers} answers in a row were"),
            };
            if *status == 407 {
                return error(format!("the proxy refuses the credentials: {times} 407{said}"))
                    .with_hint(format!("{}; then {again}", check_proxy(proxy)));
            }
            error(format!("the API refuses the credentials: {times} {}{said}", refusing(*status)))
                .with_hint(check_credentials(settings))
        }
        StopReason::RefusedAtEnd { status, skus, asked_again, said } => {
            let (all, sku) = (refused_at_end(*status, *skus), quoted(asked_again));
            error(format!(
                "the API refuses the credentials: {all}, and so was SKU {sku}, which had an answer before{}",
                after_colon(said)
            ))
            .with_hint(check_credentials(settings))
        }
        StopReason::RefusalsUnsettled { status, skus, asked_again, why } => {
            let (all, sku) = (refused_at_end(*status, *skus), quoted(asked_again));
            error(format!(
                "{all}; SKU {sku} was requested again to check the credentials, without a clear result: {why}"
            ))
            .with_hint(again)
        }
        StopReason::AskedToWait(wait) => {
            let wait = wait.map_or_else(|| "very long".to_owned(), time_left);
            let limit = humantime::format_duration(settings.pace.max_retry_after);
            error(format!("the server requires a wait of {wait}; {MAX_RETRY_AFTER} is {limit}"))
                .with_hint(again)
        }
        StopReason::RateStore { why, lasted } => {
            let lasted = time_left(*lasted);
            error(format!("the rate store did not answer for {lasted} ({MAX_RETRY_AFTER}): {why}"))
                .with_hint(again)
        }
        StopReason::OnlyRefused { status, lasted } => error(format!(
            "the API refused every request for {} ({}): its limit lets nothing through",
            time_left(*lasted),
            if LoadClass::may_refuse(*status) { status.to_string() } else { RETRY_IF.to_string() },
        ))
        .with_hint(again),
        StopReason::EveryKeyRefused { skus, fault } => every_key_refused(*skus, fault),
        StopReason::NoToken(failure) => error(failure.to_string()).with_hint(no_token(failure, again)),
        StopReason::Disk => error("the journal cannot be written".into()),
        StopReason::StdoutClosed => {
            error("no program reads standard output any more: the answers are lost".into())
                .with_hint(format!("name a file with {OUTPUT}, or keep the reader running to the end"))
        }
    }
}

fn no_token(failure: &TokenFailure, again: &str) -> String {
    match failure {
        TokenFailure::Command(_) => {
            format!("run the command of {TOKEN_COMMAND} by itself: it has to print a token")
        }
        TokenFailure::Refused(_) => {
            format!(
                "check {TOKEN_URL}, {CLIENT_ID}, {CLIENT_SECRET}, {TOKEN_GRANT}, {TOKEN_FIELD} and the variables in them"
            )
        }
        TokenFailure::Unavailable(_) => format!("{again}; {WAIT_FOR_API} waits longer"),
        TokenFailure::Unreachable(_) => {
            format!("check the host and port in {TOKEN_URL}, and the network; then {again}")
        }
        TokenFailure::Unfit(_) => format!("look at what {TOKEN_COMMAND} or {TOKEN_URL} gives"),
    }
}

fn every_key_refused(skus: u32, fault: &Fault) -> CommandError {
    let null = match fault.status {
        Some(status @ (404 | 410)) => {
            format!("; if none of these SKUs exists, {NULL_ON} {status} stores null")
        }
        _ => String::new(),
    };
    CommandError::new(
        Exit::Unavailable,
        format!(
            "the API refuses every SKU: {} requested alone, {skus} refused, the last with {fault}",
            counted(u64::from(skus), "SKU was", "SKUs were"),
        ),
    )
    .with_hint(format!(
        "check {URL}, {BULK} and {ITEM} against the API's documentation; {DRY_RUN} shows the requests{null}"
    ))
}

/// The error of a run over a part of an input whose own run was interrupted, with so many answers for other rows.
pub(in crate::commands) fn interrupted_run(answers: u64, settings: &Settings) -> CommandError {
    let answers = counted(answers, "answer", "answers");
    let input = &settings.input_path;
    let part = match settings.input.limit {
        Some(limit) => format!("the first {} of {input}", counted(limit, "row", "rows")),
        None => format!("{input}, a failure file,"),
    };
    let message =
        format!("the journal of an interrupted run has {answers} for rows that {part} does not have");
    CommandError::new(Exit::TryAgain, message).with_hint(format!(
        "finish that run first: the same command with its whole input takes up all answers and asks for the failed \
         rows again; or add {FRESH} to do without them"
    ))
}

/// The error of a signal that came before the first request.
pub(in crate::commands) fn before_any_request(number: u8) -> CommandError {
    let message = format!("stopped by {} before the first request", signal_name(number));
    CommandError::new(Exit::Signal(number), message)
}

fn unreachable(origin: &str, why: &str, settings: &Settings) -> CommandError {
    CommandError::new(Exit::Unavailable, format!("the API is unreachable{origin}: {why}")).with_hint(format!(
        "{}; then {}",
        check_address(),
        again(settings)
    ))
}

/// Standard output has no journal to go on from.
fn again(settings: &Settings) -> &'static str {
    match settings.output.target {
        Target::File(_) => "the same command resumes from the journal",
        Target::Stdout if settings.output.stream => {
            "give the rows whose lines have `deferred`, and those without a line, to another run"
        }
        Target::Stdout => "the same command starts over",
    }
}

/// `5, 10 and 20 s`
fn outage_pauses() -> String {
    let seconds = OUTAGE_PAUSES.map(|pause| pause.as_secs().to_string());
    format!("{} s", listed(&seconds))
}

/// SKUs that fail for good look like an outage once their retries are a fifth of all requests, and no later
/// run gets past them.
fn after_outage(fault: &Fault, again: &str) -> String {
    match fault.cause {
        Cause::Status(status) => format!(
            "{again}; if only some SKUs are always answered like this, leave {status} out of \
             {RETRY_ON}, so that only they fail"
        ),
        Cause::Meaning(_) => format!(
            "{again}; if only some SKUs are always answered like this, {FAIL_IF} in place of {RETRY_IF} fails only \
             them"
        ),
        _ => again.to_owned(),
    }
}

fn check_credentials(settings: &Settings) -> String {
    let again = again(settings);
    match &settings.token {
        None => format!("check {HEADER} and the variables in it; then {again}"),
        Some(token) if token.command.is_some() => {
            format!(
                "check what {TOKEN_COMMAND} prints, and {TOKEN_ON} where it was good for a while; then {again}"
            )
        }
        Some(_) => format!(
            "check what the client may do and {SCOPE}, and {TOKEN_ON} where the token was good for a while; then {again}"
        ),
    }
}

fn refused_at_end(status: u16, skus: usize) -> String {
    let refusing = refusing(status);
    match skus {
        1 => format!("the last SKU was refused ({refusing})"),
        _ => format!("the last {skus} SKUs were refused ({refusing})"),
    }
}

/// What says that credentials are refused: a status that means it, or what came with any other.
fn refusing(status: u16) -> String {
    match status {
        401 | 403 | 407 => status.to_string(),
        _ => format!("{status} with what {REFUSED_IF} names"),
    }
}

/// What the server said, at the end of a message.
fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

fn quoted(key: &Key) -> String {
    format!("`{}`", display_safe(key.as_str(), KEY_CHARS))
}

fn too_few_hint(fetched: u64, skus: u64, not_found: u64) -> String {
    if fetched == 0 && not_found.saturating_mul(2) > skus {
        format!(
            "most were answered with 404: is the path in {URL} right? if these SKUs do not exist, {NULL_ON} 404 stores \
             null for them"
        )
    } else if fetched == 0 {
        "nothing was fetched: fix what the failures above report, then run the same command again".into()
    } else {
        format!(
            "the failures are listed above; the same command requests them again; {MERGE} {MIN_SUCCESS} 0 publishes \
             what was fetched and keeps the old values of the others"
        )
    }
}
