//! Which requests may be sent again without counting an attempt, how often, and over which connection.
//!
//! Nothing here sends: the retry loop does, and each of these requests passes the gate again.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::SendError;

/// Free resends of one job that the server promises not to have processed, while it answers nothing else. Past them each
/// counts as an attempt: a server that refuses every stream must not keep a job for ever.
const UNPROCESSED_MOST: u32 = 30;
/// The first of them are sent at once; each later one waits this much longer than the one before.
const UNPROCESSED_AT_ONCE: u32 = 3;
const UNPROCESSED_STEP: Duration = Duration::from_millis(20);
/// Free resends of one job whose new connections were closed unanswered while others were answered. A request that
/// makes the server close its connection meets the same end.
const REFUSED_MOST: u32 = 2;
/// So many new connections of one job are given up for being silent. Its answer may be slow.
const SILENT_MOST: u32 = 3;

/// Whether a failed request may be sent again without counting an attempt.
#[derive(Debug)]
pub(crate) enum Resend {
    /// It counts: the server may have processed the request.
    Counted,
    /// Once a job, over a new connection: the connection had been used before, and ended before the first byte of an
    /// answer. The other kept-alive ones may be closed too.
    Once,
    /// Once a job at once, over a new connection, and then once others have shown that the server answers: it reported
    /// that it did not process the request, and has answered nothing yet.
    OnceThen(FreeConnection),
    /// However often while others are answered: the server reported that it did not process the request, or it was not
    /// sent.
    Unprocessed(Progress),
    /// A new connection ended before the request was sent. It counts, unless other connections are answered.
    NewUnsent,
    /// A new connection was not opened, or ended before the first byte of an answer. It counts, unless other
    /// connections to the server are answered.
    NewClosed,
    /// A few times a job, once one of the other connections is free: a new one was refused or closed.
    Refused(FreeConnection),
    /// However often, once a connection is free: all that the server serves are in use, or a new one stayed silent.
    Waiting(FreeConnection),
    /// At once, over another new connection: one stayed silent, and the server keeps none.
    Silent,
}

/// The number of answers that had come from the server when a request failed. 0: it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress(pub(super) usize);

/// Over which connection a request is sent.
#[derive(Debug)]
pub(crate) enum Reuse {
    /// A kept-alive connection, or a new one.
    Allowed,
    /// The same, but it is waited for even if it is silent.
    AllowedPatiently,
    /// A new one: the kept-alive ones may be closed at their other end.
    Never,
    /// This one.
    On(KeptConnection),
}

impl Reuse {
    /// Gives a reserved connection back to others.
    #[must_use]
    pub(crate) fn released(self) -> Self {
        match self {
            Self::On(_) => Self::Allowed,
            other => other,
        }
    }
}

/// A kept-alive connection that is reserved for one request. Dropped, it goes to the next one.
pub(crate) struct KeptConnection(pub(super) Box<dyn Any + Send>);

impl fmt::Debug for KeptConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptConnection")
    }
}

/// Gives the connection for a request that waits for one, or the error with which it ends when there is none left.
/// The wait counts against no timeout: nothing was sent.
pub(crate) struct FreeConnection(pub(super) BoxFuture<'static, Result<Reuse, SendError>>);

impl fmt::Debug for FreeConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreeConnection")
    }
}

/// The free resends that a job has used.
#[derive(Debug, Default)]
pub(crate) struct ResendBudget {
    was_resent: bool,
    unprocessed: u32,
    progress: Progress,
    refused: u32,
    moved: u32,
}

impl ResendBudget {
    /// Waits until the request may be sent again, and says over which connection.
    ///
    /// # Errors
    /// It counts as an attempt.
    pub(crate) async fn next(&mut self, error: SendError) -> Result<Reuse, SendError> {
        let SendError { fault, resend } = error;
        match resend {
            Resend::Once | Resend::OnceThen(_) if !self.was_resent => {
                self.was_resent = true;
                Ok(Reuse::Never)
            }
            Resend::Unprocessed(progress)
                if self.unprocessed < UNPROCESSED_MOST || progress != self.progress =>
            {
                if progress != self.progress {
                    self.progress = progress;
                    self.unprocessed = 0;
                }
                self.unprocessed += 1;
                let late = self.unprocessed.saturating_sub(UNPROCESSED_AT_ONCE);
                if late > 0 {
                    tokio::time::sleep(UNPROCESSED_STEP * late).await;
                }
                Ok(Reuse::Allowed)
            }
            Resend::Refused(free) if self.refused < REFUSED_MOST => {
                self.refused += 1;
                free.0.await
            }
            Resend::Waiting(free) | Resend::OnceThen(free) => free.0.await,
            Resend::Silent => {
                self.moved += 1;
                Ok(if self.moved < SILENT_MOST { Reuse::Allowed } else { Reuse::AllowedPatiently })
            }
            _ => Err(SendError::counted(fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, Fault};

    fn error(resend: Resend) -> SendError {
        SendError { fault: Fault::new(Cause::Lost, "boom"), resend }
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_resend_has_its_own_bound() {
        let free = || FreeConnection(Box::pin(async { Ok(Reuse::Allowed) }));
        let table: [(&str, &dyn Fn() -> Resend, usize); 9] = [
            ("counted", &|| Resend::Counted, 0),
            ("a new connection that was closed", &|| Resend::NewClosed, 0),
            ("a kept connection that was closed", &|| Resend::Once, 1),
            ("refused beside others", &|| Resend::Refused(free()), REFUSED_MOST as usize),
            ("not processed", &|| Resend::Unprocessed(Progress::default()), UNPROCESSED_MOST as usize),
            ("closed before it was sent", &|| Resend::NewUnsent, 0),
            ("waiting", &|| Resend::Waiting(free()), 1000),
            ("silent", &|| Resend::Silent, 1000),
            ("not processed, before the first answer", &|| Resend::OnceThen(free()), 1000),
        ];
        for (name, resend, most) in table {
            let mut budget = ResendBudget::default();
            let mut resent = 0;
            while resent < 1000 && budget.next(error(resend())).await.is_ok() {
                resent += 1;
            }
            assert_eq!(resent, most, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_did_not_process_is_free_however_often_while_it_answers_others() {
        let (mut budget, began) = (ResendBudget::default(), tokio::time::Instant::now());
        for answers in 1..500 {
            assert!(budget.next(error(Resend::Unprocessed(Progress(answers)))).await.is_ok(), "{answers}");
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_moved_from_silent_connections_is_waited_for_in_the_end() {
        let mut budget = ResendBudget::default();
        for moved in 1..6 {
            let next = budget.next(error(Resend::Silent)).await.unwrap();
            assert_eq!(matches!(next, Reuse::Allowed), moved < SILENT_MOST, "{moved}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_did_not_process_is_sent_at_once_at_first_and_later_ever_slower() {
        let mut budget = ResendBudget::default();
        let began = tokio::time::Instant::now();
        for _ in 0..UNPROCESSED_AT_ONCE {
            assert!(matches!(
                budget.next(error(Resend::Unprocessed(Progress::default()))).await,
                Ok(Reuse::Allowed)
            ));
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..3 {
            budget.next(error(Resend::Unprocessed(Progress::default()))).await.unwrap();
        }
        assert_eq!(began.elapsed(), UNPROCESSED_STEP * 6);
    }
}
