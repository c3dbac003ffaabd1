//! Keeps the token of a run: one request for it at a time, whoever needs it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::backoff::backoff;
use super::super::health::OUTAGE_PAUSES;
use super::super::transport::Transport;
use super::TokenSettings;
use super::ask::{self, EndpointMemory, TokenError, TokenRun};
use super::held::{HeldToken, RefusalsOfToken, RenewalWait, TokenLook, TokenRuling, UsedToken};
use super::reply::IssuedToken;
use crate::model::fault::RetryAfter;
use crate::model::{ArrivingSecret, Event, Request, StopReason};

/// While an API is waited for, a token is asked for at least so often.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A wait for a token that is worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(2);
/// An endpoint that lets no request through is waited for so long, as an API is.
const LIMITED_FOR_AT_MOST: Duration = Duration::from_mins(10);

/// Keeps the token of a run.
pub(in crate::fetch) struct TokenKeeper {
    settings: TokenSettings,
    held: Mutex<HeldToken>,
    /// One request for a token at a time.
    asking: tokio::sync::Mutex<EndpointMemory>,
    /// Counts what those may wait for whose token was refused.
    news: watch::Sender<u64>,
    /// The generation of the token for whose renewal it was said last that requests wait.
    said_wait_of: AtomicU64,
    /// A refresh token is being exchanged: its endpoint may have taken it, so that the answer must be kept.
    exchange: watch::Sender<bool>,
}

/// A token for an attempt.
pub(in crate::fetch) struct ReadyToken {
    pub(in crate::fetch) token: Arc<UsedToken>,
    /// It was waited for: what was true before may not be any more.
    pub(in crate::fetch) has_waited: bool,
}

impl TokenKeeper {
    pub(in crate::fetch) fn new(settings: TokenSettings) -> Self {
        let (held, asking, said_wait_of) = Default::default();
        let (news, exchange) = (watch::Sender::new(0), watch::Sender::new(false));
        Self { settings, held, asking, news, said_wait_of, exchange }
    }

    /// Whether the API refuses a token with this status.
    pub(in crate::fetch) fn is_refused_with(&self, status: u16) -> bool {
        self.settings.refused_on.contains(status)
    }

    /// The request with this token in it.
    ///
    /// # Errors
    /// It cannot stand there, for a message.
    pub(in crate::fetch) fn write(&self, request: &Request, token: &UsedToken) -> Result<Request, String> {
        (self.settings.writer)(request, &token.text)
    }

    /// The token for an attempt that is about to be sent, if there is one that need not be renewed.
    pub(in crate::fetch) fn usable(&self) -> Option<Arc<UsedToken>> {
        match self.held().look(Instant::now()) {
            TokenLook::Use(token) => Some(token),
            TokenLook::UseAndRenew(_) | TokenLook::Get | TokenLook::Refused(_) => None,
        }
    }

    /// The token for an attempt that is about to be sent. Where it is old, this attempt renews it; others use it
    /// meanwhile, as long as it is good.
    ///
    /// # Errors
    /// The run stops, or has to stop since there is no token.
    pub(in crate::fetch) async fn ready<T: Transport>(
        &self,
        run: TokenRun<'_, T>,
    ) -> Result<ReadyToken, StopReason> {
        let mut has_waited = false;
        loop {
            let look = self.held().look(Instant::now());
            match look {
                TokenLook::Use(token) => return Ok(ReadyToken { token, has_waited }),
                TokenLook::UseAndRenew(token) => {
                    let Ok(mut memory) = self.asking.try_lock() else {
                        return Ok(ReadyToken { token, has_waited });
                    };
                    self.renew_for_age(run, &mut memory).await;
                    has_waited = true;
                }
                TokenLook::Refused(wait) => {
                    has_waited = true;
                    if !self.is_news_before(wait.from).await {
                        self.renewed(run, wait).await?;
                    }
                }
                TokenLook::Get => {
                    let mut memory = self.asking.lock().await;
                    has_waited = true;
                    if !matches!(self.held().look(Instant::now()), TokenLook::Get) {
                        continue;
                    }
                    if self.held().generation() == 0 {
                        self.get(run, &mut memory, false).await?;
                    } else {
                        self.renew_for_age(run, &mut memory).await;
                    }
                }
            }
        }
    }

    /// An attempt of a job with this token, sent at `sent`, was answered well.
    pub(in crate::fetch) fn accept(&self, token: &UsedToken, sent: Instant, job: &RefusalsOfToken) {
        let is_current = self.held().accept(token, sent, job);
        if is_current && self.news.receiver_count() > 0 {
            self.news.send_modify(|news| *news += 1);
        }
    }

    /// The API refused this token for an attempt of a job that was sent at `sent`. What is to be waited for before it is
    /// sent again, at no cost; none: the refusal counts.
    pub(in crate::fetch) fn refuse(
        &self,
        token: &UsedToken,
        sent: Instant,
        job: &mut RefusalsOfToken,
    ) -> Option<RenewalWait> {
        match self.held().refuse(token, (sent, Instant::now()), job) {
            TokenRuling::Counts => None,
            TokenRuling::Again(wait) => Some(wait),
        }
    }

    /// Waits for a newer token than the refused one, or until that one is accepted for another job; where neither comes
    /// by the time that a renewal may be forced, gets one.
    ///
    /// # Errors
    /// The run has to stop, since there is no token.
    pub(in crate::fetch) async fn renewed<T: Transport>(
        &self,
        run: TokenRun<'_, T>,
        RenewalWait { refused, from, since, renews }: RenewalWait,
    ) -> Result<(), StopReason> {
        self.say_wait(run, refused, from);
        let is_over = || self.held().is_better_than(refused, since);
        let mut news = self.news.subscribe();
        while !is_over() && Instant::now() < from {
            tokio::select! {
                () = tokio::time::sleep_until(from) => {}
                _ = news.changed() => {}
            }
        }
        drop(news);
        if is_over() {
            return Ok(());
        }
        if !renews {
            self.held().try_again();
            return Ok(());
        }
        let mut memory = self.asking.lock().await;
        if is_over() { Ok(()) } else { self.get(run, &mut memory, true).await }
    }

    /// Says once that requests wait, where they do so for long.
    fn say_wait<T>(&self, run: TokenRun<'_, T>, refused: u64, from: Instant) {
        let wait = from.saturating_duration_since(Instant::now());
        if wait > WORTH_A_LINE && self.said_wait_of.fetch_max(refused, Ordering::Relaxed) < refused {
            let seconds = wait.as_secs_f64().ceil();
            let message =
                format!("the API refuses the token: requests wait up to {seconds} s for the next one");
            run.reporter.on(&Event::Noted { message: &message });
        }
    }

    /// Waits for news of the token. Whether any came by then.
    async fn is_news_before(&self, until: Instant) -> bool {
        let mut news = self.news.subscribe();
        if !matches!(self.held().look(Instant::now()), TokenLook::Refused(_)) {
            return true;
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => false,
            _ = news.changed() => true,
        }
    }

    fn held(&self) -> MutexGuard<'_, HeldToken> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks once. The old token serves on if none comes.
    async fn renew_for_age<T: Transport>(&self, run: TokenRun<'_, T>, memory: &mut EndpointMemory) {
        let since = Instant::now();
        match self.ask(run, memory).await {
            Ok(issued) => self.replace(run, issued, (since, false)),
            Err(
                TokenError::Final(failure)
                | TokenError::Passing(failure, _)
                | TokenError::Limited(failure, _),
            ) => {
                self.held().renewal_failed(Instant::now());
                let message = format!("the token was not renewed, and the old one is used on: {failure}");
                run.reporter.on(&Event::Warned { message: &message });
            }
        }
    }

    /// Asks until a token comes, as patiently as for the API.
    ///
    /// # Errors
    /// The run has to stop: no token comes.
    async fn get<T: Transport>(
        &self,
        run: TokenRun<'_, T>,
        memory: &mut EndpointMemory,
        is_forced: bool,
    ) -> Result<(), StopReason> {
        let begun = Instant::now();
        let (mut failures, mut limits) = (0, 0);
        loop {
            let since = Instant::now();
            let (failure, asked, is_limit) = match self.ask(run, memory).await {
                Ok(issued) => {
                    self.replace(run, issued, (since, is_forced));
                    return Ok(());
                }
                // A command that worked before may work again.
                Err(TokenError::Final(failure)) if is_forced && failure.is_of_command() => {
                    (failure, None, false)
                }
                Err(TokenError::Final(failure)) => return Err(StopReason::NoToken(failure)),
                Err(TokenError::Passing(failure, asked)) => (failure, asked, false),
                Err(TokenError::Limited(failure, asked)) => (failure, asked, true),
            };
            let wait = if is_limit {
                limits += 1;
                let is_over = begun.elapsed() >= LIMITED_FOR_AT_MOST.max(2 * run.max_retry_after);
                (!is_over).then(|| Duration::from_millis(500) * 2_u32.pow(limits.min(7) - 1))
            } else {
                failures += 1;
                self.wait_after(run, failures - 1, begun)
            };
            let Some(wait) = wait.map(|wait| wait.max(least(asked))) else {
                return Err(StopReason::NoToken(failure));
            };
            match asked {
                Some(RetryAfter::TooLong) => return Err(StopReason::AskedToWait(None)),
                Some(RetryAfter::Wait(asked)) if asked > run.max_retry_after => {
                    return Err(StopReason::AskedToWait(Some(asked)));
                }
                _ => {}
            }
            let message = format!(
                "no token yet: {failure}; asking again in {}",
                humantime::format_duration(Duration::from_millis(
                    u64::try_from(wait.as_millis()).unwrap_or(0)
                ))
            );
            run.reporter.on(&Event::Warned { message: &message });
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks once.
    async fn ask<T: Transport>(
        &self,
        run: TokenRun<'_, T>,
        memory: &mut EndpointMemory,
    ) -> Result<IssuedToken, TokenError> {
        let is_exchange = self.settings.source.exchanges_refresh_tokens();
        self.exchange.send_replace(is_exchange);
        let asked = ask::ask(&self.settings.source, run, memory).await;
        self.exchange.send_replace(false);
        asked
    }

    /// Waits until no refresh token is being exchanged.
    pub(in crate::fetch) async fn exchanged(&self) {
        // The sender is this keeper's own.
        let _ = self.exchange.subscribe().wait_for(|is_under_way| !is_under_way).await;
    }

    /// The wait after so many failures before this one: those of a SKU's retries, then those of an outage of the API;
    /// none where neither is left.
    fn wait_after<T>(&self, run: TokenRun<'_, T>, failures: u32, begun: Instant) -> Option<Duration> {
        if failures < run.retries {
            return Some(backoff(failures, &mut fastrand::Rng::new()).max(Duration::from_millis(100)));
        }
        if !run.wait_for_api.is_zero() {
            return (begun.elapsed() < run.wait_for_api).then_some(LONGEST_WAIT);
        }
        let pause = usize::try_from(failures - run.retries).ok()?;
        // At the start a wrong address must show soon.
        if self.held().generation() == 0 { None } else { OUTAGE_PAUSES.get(pause).copied() }
    }

    fn replace<T>(&self, run: TokenRun<'_, T>, issued: IssuedToken, (since, is_forced): (Instant, bool)) {
        run.mask.add(ArrivingSecret::Token, &issued.token);
        run.reporter.on(&Event::TokenReceived { life: issued.life });
        self.held().replace(issued, since, is_forced);
        self.news.send_modify(|news| *news += 1);
    }
}

fn least(asked: Option<RetryAfter>) -> Duration {
    match asked {
        Some(RetryAfter::Wait(wait)) => wait,
        Some(RetryAfter::TooLong) | None => Duration::ZERO,
    }
}
