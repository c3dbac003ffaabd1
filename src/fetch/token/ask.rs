//! One request for a token, to whatever gives it.

use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};

use super::super::classify::decode::decode;
use super::super::retry_after::retry_after;
use super::super::transport::{RawAnswer, Reuse, Transport};
use super::command::{self, CommandOutput};
use super::endpoint::{ClientIn, EndpointAnswer};
use super::reply::IssuedToken;
use super::{TokenEndpoint, TokenGrant, TokenSource, endpoint};
use crate::model::fault::RetryAfter;
use crate::model::option::{TOKEN_COMMAND, TOKEN_FILE};
use crate::model::{ArrivingSecret, Cause, Event, Fault, Mask, Reporter, Size, TokenFailure};

/// How often, and how far apart, the file of refresh tokens is looked at for what another run writes.
const LOOKS: u32 = 8;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// Shorter words of a command's output are no tokens. Masking them would garble messages.
const SHORTEST_MASKED: usize = 12;
/// So many words of a command's output are masked.
const MOST_MASKED: usize = 16;
/// A token's answer is small.
const MAX_BODY: Size = Size(1 << 20);

/// What a request for a token needs of the run.
pub(in crate::fetch) struct TokenRun<'a, T> {
    pub(in crate::fetch) transport: &'a T,
    pub(in crate::fetch) reporter: &'a dyn Reporter,
    /// Learns each token.
    pub(in crate::fetch) mask: &'a Mask,
    /// How often a request for a token is made again.
    pub(in crate::fetch) retries: u32,
    /// How long an endpoint that is down is waited for, at least.
    pub(in crate::fetch) wait_for_api: Duration,
    /// The longest wait that an endpoint may ask for.
    pub(in crate::fetch) max_retry_after: Duration,
}

impl<T> Clone for TokenRun<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TokenRun<'_, T> {}

/// What was learnt of the endpoint.
#[derive(Default)]
pub(super) struct EndpointMemory {
    client: ClientIn,
    /// The newest refresh token that came.
    refresh: Option<SecretString>,
    /// It is nowhere else, which was said.
    is_unsaved: bool,
}

/// Why there is no token.
pub(super) enum TokenError {
    /// Another request for it would end in the same way.
    Final(TokenFailure),
    /// It may come later; the wait that was asked for.
    Passing(TokenFailure, Option<RetryAfter>),
    /// The endpoint limits the client; the wait that was asked for.
    Limited(TokenFailure, Option<RetryAfter>),
}

/// Asks for a token once.
///
/// # Errors
/// Why none came.
pub(super) async fn ask<T: Transport>(
    source: &TokenSource,
    run: TokenRun<'_, T>,
    memory: &mut EndpointMemory,
) -> Result<IssuedToken, TokenError> {
    match source {
        TokenSource::Command(text) => {
            let CommandOutput { issued, printed, lines } = command::run(text).await;
            // Before a line of it is shown: it may have the token, too.
            match &issued {
                Ok(issued) => run.mask.add(ArrivingSecret::Token, &issued.token),
                Err(_) => mask_words(run.mask, &printed),
            }
            for line in lines {
                let message = format!("{TOKEN_COMMAND}: {}", run.mask.apply(&line));
                run.reporter.on(&Event::Noted { message: &message });
            }
            issued.map_err(|why| TokenError::Final(TokenFailure::Command(run.mask.apply(&why).into())))
        }
        TokenSource::Endpoint(endpoint) => {
            let issued = ask_endpoint(run, endpoint, memory).await?;
            keep_refresh_token(run, endpoint, (&issued, memory));
            Ok(issued)
        }
    }
}

/// Asks the endpoint: with the newest refresh token, else with the one that the user gave, who may have got another one
/// meanwhile; and where it refuses the client as it was sent, in the other form.
async fn ask_endpoint<T: Transport>(
    run: TokenRun<'_, T>,
    endpoint: &TokenEndpoint,
    memory: &mut EndpointMemory,
) -> Result<IssuedToken, TokenError> {
    let mut refresh = newest_refresh_token(run, endpoint, memory);
    let mut is_other_client_tried = endpoint.client.is_none();
    loop {
        let request = endpoint::request(endpoint, memory.client, refresh.as_ref());
        let sent = run.transport.send(&request, Reuse::Allowed).await;
        let answer = sent.map_err(|error| not_reached(run, &error.fault))?;
        let asked = retry_after(&answer.headers, SystemTime::now());
        match read_answer(run, &answer) {
            EndpointAnswer::Issued(issued) => return Ok(issued),
            EndpointAnswer::ClientRefused(_) if !is_other_client_tried => {
                is_other_client_tried = true;
                memory.client = memory.client.other();
            }
            EndpointAnswer::Refused(said) => {
                let sent = refresh.as_ref().or_else(|| endpoint.given_refresh_token());
                if let Some(newer) = newer_refresh_token(endpoint, sent).await {
                    run.mask.add(ArrivingSecret::Token, &newer);
                    refresh = Some(newer);
                } else if refresh.is_some() && endpoint.given_refresh_token().is_some() {
                    refresh = None;
                } else {
                    return Err(TokenError::Final(TokenFailure::Refused(said.into())));
                }
            }
            EndpointAnswer::Unavailable(said) if answer.status == 429 => {
                return Err(TokenError::Limited(TokenFailure::Unavailable(said.into()), asked));
            }
            EndpointAnswer::Unavailable(said) => {
                return Err(TokenError::Passing(TokenFailure::Unavailable(said.into()), asked));
            }
            EndpointAnswer::ClientRefused(said) => {
                return Err(TokenError::Final(TokenFailure::Refused(said.into())));
            }
        }
    }
}

/// Another run may have had a newer one meanwhile: the file counts.
fn newest_refresh_token<T>(
    run: TokenRun<'_, T>,
    endpoint: &TokenEndpoint,
    memory: &EndpointMemory,
) -> Option<SecretString> {
    if endpoint.grant != TokenGrant::RefreshToken {
        return None;
    }
    let stored = || endpoint.refresh_tokens.as_ref().and_then(|store| store.read());
    let refresh = memory.refresh.clone().filter(|_| memory.is_unsaved).or_else(stored);
    let refresh = refresh.or_else(|| memory.refresh.clone());
    if let Some(refresh) = &refresh {
        run.mask.add(ArrivingSecret::Token, refresh);
    }
    refresh
}

/// The refresh token that another run has put into the file, in place of this one that was refused: it may have
/// exchanged it a moment ago, and be about to write.
async fn newer_refresh_token(
    endpoint: &TokenEndpoint,
    refused: Option<&SecretString>,
) -> Option<SecretString> {
    let (store, refused) = (endpoint.refresh_tokens.as_ref()?, refused?);
    for _ in 0..LOOKS {
        let stored = store.read().filter(|stored| stored.expose_secret() != refused.expose_secret());
        if stored.is_some() {
            return stored;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    None
}

fn not_reached<T>(run: TokenRun<'_, T>, fault: &Fault) -> TokenError {
    let failure = TokenFailure::Unreachable(run.mask.apply(&fault.to_string()).into());
    match fault.cause {
        Cause::Certificate(_) | Cause::NoHttp2 => TokenError::Final(failure),
        _ => TokenError::Passing(failure, None),
    }
}

/// What is no token may hold one.
fn mask_words(mask: &Mask, printed: &str) {
    let is_between =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ':' | '{' | '}' | '[' | ']' | '=');
    let words = printed.split(is_between).filter(|word| word.len() >= SHORTEST_MASKED);
    words.take(MOST_MASKED).for_each(|word| mask.add(ArrivingSecret::Token, &word.into()));
}

fn read_answer<T>(run: TokenRun<'_, T>, answer: &RawAnswer) -> EndpointAnswer {
    let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_text =
        content_type.is_some_and(|it| it.trim_start().to_ascii_lowercase().starts_with("text/plain"));
    match decode(&answer.headers, answer.body.clone(), MAX_BODY) {
        Ok(body) => endpoint::read(answer.status, (&body, is_text), run.mask),
        Err(fault) => EndpointAnswer::Unavailable(format!("its answer cannot be read: {fault}")),
    }
}

/// A refresh token that came with a token replaces the one before, which may not be good any more.
fn keep_refresh_token<T>(
    run: TokenRun<'_, T>,
    endpoint: &TokenEndpoint,
    (issued, memory): (&IssuedToken, &mut EndpointMemory),
) {
    if endpoint.grant != TokenGrant::RefreshToken {
        return;
    }
    let Some(refresh) = &issued.refresh else { return };
    run.mask.add(ArrivingSecret::Token, refresh);
    memory.refresh = Some(refresh.clone());
    let unsaved = match &endpoint.refresh_tokens {
        Some(store) => store.write(refresh).err(),
        None if endpoint.is_given(refresh) => None,
        None => Some(format!("{TOKEN_FILE} names a file for it")),
    };
    let was_said = std::mem::replace(&mut memory.is_unsaved, unsaved.is_some());
    if let Some(why) = unsaved.filter(|_| !was_said) {
        let message = format!("a new refresh token arrived, and only this run has it: {why}");
        run.reporter.on(&Event::Warned { message: &message });
    }
}
