//! One attempt on the wire: what costs no attempt is sent again, and redirects are followed. Each request passes the gate.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::SET_COOKIE;
use tokio::time::Instant;

use super::super::classify::Classifier;
use super::super::cookies::CookieJar;
use super::super::redirect;
use super::super::transport::{RawAnswer, Reuse, SendError, Transport};
use super::requested::Requested;
use super::{Fetcher, REFUSAL_CHARS, SendOutcome, Stopped, Tries};
use crate::limit::Permit;
use crate::model::option::COOKIES;
use crate::model::{Cause, Fault, Request, display_safe};

impl<T: Transport> Fetcher<T> {
    /// With the headers that the user gave for each request, where cookies are kept: those in them stay.
    #[must_use]
    pub(crate) fn with_users_cookies(self, constant: &HeaderMap) -> Self {
        let cookies = self.retry.keeps_cookies.then(|| CookieJar::new(constant));
        Self { cookies, ..self }
    }

    /// Sockets may have changed since the jobs were polled last, and will not while they are polled now.
    pub(crate) fn begin_turn(&self) {
        self.transport.begin_turn();
    }

    /// Sends, and follows redirects; every hop passes the gate. Gives nothing when the run stops between two hops.
    pub(super) async fn attempt<R: Requested>(
        &self,
        job: &R,
        (mut permit, started): (Permit, Instant),
        tries: &mut Tries,
    ) -> (Result<SendOutcome, Stopped>, Permit) {
        // Boxed, as what follows: they are seldom there, and each would make the future of every job longer.
        let mut redirected: Option<Box<Request>> = None;
        let (mut status, mut sets_cookie) = (0, false);
        for _ in 0..=redirect::MAX_REDIRECTS {
            if self.shutdown.is_triggered() {
                return (Err(Stopped), permit);
            }
            let with_token;
            let request = match &redirected {
                Some(redirected) => redirected,
                None if self.tokens.is_none() => job.request(),
                None => {
                    match Box::pin(self.with_token(job.request(), &mut permit, &mut tries.tokens)).await {
                        Err(Stopped) => return (Err(Stopped), permit),
                        Ok(written) => {
                            with_token = written;
                            with_token.as_deref().unwrap_or_else(|| job.request())
                        }
                    }
                }
            };
            tries.attempts += 1;
            // The first one leaves at once, unless it had to wait for a token.
            let is_at_once = redirected.is_none() && self.tokens.is_none();
            let sent = if is_at_once { started } else { Instant::now() };
            tries.left = Some(sent);
            let cookies = self.cookies.as_ref();
            let with_cookies = cookies.and_then(|jar| jar.with_cookies(request, SystemTime::now()));
            let outgoing = with_cookies.as_deref().unwrap_or(request);
            let mut answer = match self.send(outgoing, &mut permit, tries).await {
                Err(Stopped) => return (Err(Stopped), permit),
                Ok(Err(error)) => return (Ok(SendOutcome::Failed(error)), permit),
                Ok(Ok(answer)) => answer,
            };
            let Classifier { settings, mask, .. } = self.answers.classifier();
            if let Some(jar) = cookies {
                jar.keep(&request.url, &answer.headers, (SystemTime::now(), mask));
            }
            let is_named = || {
                settings.null_on.statuses.contains(answer.status) || settings.retry_on.contains(answer.status)
            };
            if !redirect::is_redirect(answer.status) || is_named() {
                answer.redirected_to = redirected.map(|request| Box::new((*request.url).clone()));
                return (Ok(SendOutcome::Answer(answer)), permit);
            }
            status = answer.status;
            sets_cookie |= answer.headers.contains_key(SET_COOKIE);
            self.report_answer(job, status, sent.elapsed(), 0);
            match redirect::follow(request, answer.status, &answer.headers, self.retry.follow) {
                Ok(next) => redirected = Some(Box::new(next)),
                Err(mut fault) => {
                    fault.detail = display_safe(&mask.apply(&fault.detail), REFUSAL_CHARS).into();
                    return (Ok(SendOutcome::RedirectRefused(fault)), permit);
                }
            }
            if self.readmit(&mut permit).await.is_err() {
                return (Err(Stopped), permit);
            }
        }
        let cookie = if sets_cookie && self.cookies.is_none() {
            format!("; one of them set a cookie, and {COOKIES} would send it back")
        } else {
            String::new()
        };
        let detail = format!("more than {} redirects{cookie}", redirect::MAX_REDIRECTS);
        let fault = Fault::new(Cause::Redirect, detail).with_status(status);
        (Ok(SendOutcome::RedirectRefused(fault)), permit)
    }

    /// Sends, and sends again what costs no attempt; each time through the gate.
    async fn send(
        &self,
        request: &Request,
        permit: &mut Permit,
        tries: &mut Tries,
    ) -> Result<Result<RawAnswer, SendError>, Stopped> {
        let mut reuse = Reuse::Allowed;
        loop {
            let error = match self.transport.send(request, reuse).await {
                Err(error) if !self.shutdown.is_triggered() => error,
                ended => return Ok(ended),
            };
            let again = tokio::select! {
                biased;
                () = self.shutdown.triggered() => return Err(Stopped),
                again = tries.resends.next(error) => again,
            };
            reuse = match again {
                Ok(reuse) => reuse,
                Err(error) => return Ok(Err(error)),
            };
            let mut readmitted = pin!(self.readmit(permit));
            match poll_fn(|cx| Poll::Ready(readmitted.as_mut().poll(cx))).await {
                Poll::Ready(ended) => ended?,
                Poll::Pending => {
                    // While the gate is closed no request holds a connection: where the server serves no more, the
                    // probe would get none.
                    reuse = reuse.released();
                    readmitted.await?;
                }
            }
            tries.left = Some(Instant::now());
        }
    }

    /// Passes the gate again. While it waits the job is not in flight: when the run stops it ends at once, and sends
    /// nothing more.
    pub(super) async fn readmit(&self, permit: &mut Permit) -> Result<(), Stopped> {
        tokio::select! {
            biased;
            () = self.shutdown.triggered() => Err(Stopped),
            () = permit.resend() => Ok(()),
        }
    }
}
