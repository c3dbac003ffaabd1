//! Keeps the token of a run: one request for it at a time, whoever needs it.

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
use crate::model::{ArrivingSecret, Event, Request, StatusSet, StopReason};

/// While an API is waited for, a token is asked for at least so often.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Keeps the token of a run.
pub(in crate::fetch) struct TokenKeeper {
    settings: TokenSettings,
    held: Mutex<HeldToken>,
    /// One request for a token at a time.
    asking: tokio::sync::Mutex<EndpointMemory>,
    /// Counts what those may wait for whose token was refused.
    news: watch::Sender<u64>,
}

/// A token for an attempt.
pub(in crate::fetch) struct ReadyToken {
    pub(in crate::fetch) token: Arc<UsedToken>,
    /// It was waited for: what was true before may not be any more.
    pub(in crate::fetch) has_waited: bool,
}

impl TokenKeeper {
    pub(in crate::fetch) fn new(settings: TokenSettings) -> Self {
        let (held, asking) = Default::default();
        Self { settings, held, asking, news: watch::Sender::new(0) }
    }

    /// Statuses by which the API refuses a token.
    pub(in crate::fetch) fn refused_on(&self) -> StatusSet {
        self.settings.refused_on.clone()
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
        RenewalWait { refused, from, since }: RenewalWait,
    ) -> Result<(), StopReason> {
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
        let mut memory = self.asking.lock().await;
        if is_over() { Ok(()) } else { self.get(run, &mut memory, true).await }
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
        match ask::ask(&self.settings.source, run, memory).await {
            Ok(issued) => self.replace(run, issued, (since, false)),
            Err(TokenError::Final(failure) | TokenError::Passing(failure, _)) => {
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
        for failures in 0_u32.. {
            let since = Instant::now();
            let (failure, asked) = match ask::ask(&self.settings.source, run, memory).await {
                Ok(issued) => {
                    self.replace(run, issued, (since, is_forced));
                    return Ok(());
                }
                // A command that worked before may work again.
                Err(TokenError::Final(failure)) if is_forced && failure.is_of_command() => (failure, None),
                Err(TokenError::Final(failure)) => return Err(StopReason::NoToken(failure)),
                Err(TokenError::Passing(failure, asked)) => (failure, asked),
            };
            let Some(wait) = self.wait_after(run, failures, begun).map(|wait| wait.max(least(asked))) else {
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
        Ok(())
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
