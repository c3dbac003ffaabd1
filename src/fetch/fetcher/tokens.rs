//! The token of each attempt: written into the request when it is sent, and renewed where the API refuses it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::token::{
    ReadyToken, RefusalsOfToken, RenewalWait, TokenKeeper, TokenRun, TokenSettings, UsedToken,
};
use super::super::transport::Transport;
use super::{Fetcher, Stopped, Tries};
use crate::limit::{LoadSignal, Permit};
use crate::model::fault::AnswerMeaning;
use crate::model::{Cause, Fault, Request, StopReason, TokenFailure};

/// The tokens of one job.
#[derive(Default)]
pub(super) struct TokensOfJob {
    /// That of its newest attempt, and when the attempt was sent.
    sent: Option<(Arc<UsedToken>, Instant)>,
    refusals: RefusalsOfToken,
    /// How long its newest attempt waited for a token: no part of the API's latency.
    pub(super) waited: Duration,
}

impl<T: Transport> Fetcher<T> {
    /// The same, which writes a token into each request.
    #[must_use]
    pub(crate) fn with_tokens(self, settings: TokenSettings) -> Self {
        Self { tokens: Some(TokenKeeper::new(settings)), ..self }
    }

    /// The request of a job with the token for it; none where no token is fetched. Where the token was waited for, the
    /// attempt passes the gate anew.
    ///
    /// # Errors
    /// The run stops, perhaps since there is no token.
    pub(super) async fn with_token(
        &self,
        request: &Request,
        permit: &mut Permit,
        tokens: &mut TokensOfJob,
    ) -> Result<Option<Box<Request>>, Stopped> {
        let Some(keeper) = &self.tokens else { return Ok(None) };
        let began = Instant::now();
        let token = loop {
            if let Some(token) = keeper.usable() {
                break token;
            }
            let ReadyToken { token, has_waited } =
                self.unless_stopped(keeper.ready(self.token_run())).await?;
            if !has_waited {
                break token;
            }
            self.readmit(permit).await?;
        };
        let written = keeper.write(request, &token).map_err(|why| {
            self.stop_for(StopReason::NoToken(TokenFailure::Unfit(why.into())));
            Stopped
        })?;
        tokens.waited = began.elapsed();
        tokens.sent = Some((token, Instant::now()));
        Ok(Some(Box::new(written)))
    }

    /// A good answer came to the newest attempt of a job.
    pub(super) fn accept_token(&self, tokens: &TokensOfJob, signal: LoadSignal) {
        if let (Some(keeper), Some((token, sent)), LoadSignal::Good { .. }) =
            (&self.tokens, &tokens.sent, signal)
        {
            keeper.accept(token, *sent, &tokens.refusals);
        }
    }

    /// Whether an answer that fails its job refuses the token, and not the job: what to wait for before it is sent again.
    pub(super) fn refused_token(&self, fault: &Fault, tries: &mut Tries) -> Option<RenewalWait> {
        let keeper = self.tokens.as_ref()?;
        let is_refusal = match fault.cause {
            Cause::Status(status) => keeper.is_refused_with(status),
            Cause::Meaning(AnswerMeaning::CredentialsRefused) => true,
            _ => false,
        };
        let TokensOfJob { sent, refusals, .. } = &mut tries.tokens;
        let (token, sent) = sent.as_ref().filter(|_| is_refusal)?;
        keeper.refuse(token, *sent, refusals)
    }

    /// Waits for a newer token.
    ///
    /// # Errors
    /// The run stops, perhaps since there is none.
    pub(super) async fn renew_token(&self, wait: RenewalWait) -> Result<(), Stopped> {
        let Some(keeper) = &self.tokens else { return Ok(()) };
        self.unless_stopped(keeper.renewed(self.token_run(), wait)).await
    }

    fn token_run(&self) -> TokenRun<'_, T> {
        TokenRun {
            transport: &self.transport,
            reporter: &*self.reporter,
            mask: &self.answers.classifier().mask,
            retries: self.retry.retries,
            wait_for_api: self.retry.wait_for_api,
            max_retry_after: self.gate.max_retry_after(),
        }
    }

    async fn unless_stopped<K>(
        &self,
        work: impl Future<Output = Result<K, StopReason>>,
    ) -> Result<K, Stopped> {
        // Boxed: otherwise the future of each attempt would be as large as this one.
        let mut work = Box::pin(work);
        let ended = tokio::select! {
            biased;
            () = self.shutdown.triggered() => {
                // An endpoint that has taken a refresh token may not take it again: its answer has to be kept. The run
                // waits for it as for what is in flight.
                if let Some(keeper) = &self.tokens {
                    tokio::select! {
                        _ = &mut work => {}
                        () = keeper.exchanged() => {}
                    }
                }
                return Err(Stopped);
            }
            ended = &mut work => ended,
        };
        ended.map_err(|reason| {
            self.stop_for(reason);
            Stopped
        })
    }

    fn stop_for(&self, reason: StopReason) {
        self.shutdown.trigger(reason);
    }
}
