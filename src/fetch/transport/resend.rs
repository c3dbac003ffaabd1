//! Which requests may be sent again without counting an attempt, how often, and over which connection.
//!
//! Nothing here sends: the retry loop does, and each of these requests passes the gate again.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::SendError;

/// Free resends of one job that the server promises not to have processed. Past them each counts as an attempt: a
/// server that refuses every stream must not keep a job for ever.
const UNPROCESSED_MOST: u32 = 30;
/// The first of them are sent at once; each later one waits this much longer than the one before.
const UNPROCESSED_AT_ONCE: u32 = 3;
const UNPROCESSED_STEP: Duration = Duration::from_millis(20);
/// Free resends of one job whose new connections were closed unanswered while others were answered. A request that
/// makes the server close its connection meets the same end.
const REFUSED_MOST: u32 = 2;

/// Whether a failed request may be sent again without counting an attempt.
#[derive(Debug)]
pub(crate) enum Resend {
    /// It counts: the server may have processed the request.
    Counted,
    /// Once a job, over a new connection: the connection had been used before, and ended before the first byte of an
    /// answer. The other kept-alive ones may be closed too.
    Once,
    /// However often: the server reported that it did not process the request, or it was not sent.
    Unprocessed,
    /// A new connection was not opened, or ended before the first byte of an answer. It counts, unless other
    /// connections to the server are answered.
    NewClosed,
    /// A few times a job, once one of the other connections is free: a new one was refused or closed.
    Refused(FreeConnection),
    /// However often, once a connection is free: all that the server serves are in use, or a new one stayed silent.
    Waiting(FreeConnection),
}

/// Over which connection a request is sent.
#[derive(Debug)]
pub(crate) enum Reuse {
    /// A kept-alive connection, or a new one.
    Allowed,
    /// A new one: the kept-alive ones may be closed at their other end.
    Never,
    /// This one.
    On(KeptConnection),
}

/// A kept-alive connection that is reserved for one request. Dropped, it is closed.
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
    refused: u32,
}

impl ResendBudget {
    /// Waits until the request may be sent again, and says over which connection.
    ///
    /// # Errors
    /// It counts as an attempt.
    pub(crate) async fn next(&mut self, error: SendError) -> Result<Reuse, SendError> {
        let SendError { fault, resend } = error;
        match resend {
            Resend::Once if !self.was_resent => {
                self.was_resent = true;
                Ok(Reuse::Never)
            }
            Resend::Unprocessed if self.unprocessed < UNPROCESSED_MOST => {
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
            Resend::Waiting(free) => free.0.await,
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
        let table: [(&str, &dyn Fn() -> Resend, usize); 6] = [
            ("counted", &|| Resend::Counted, 0),
            ("a new connection that was closed", &|| Resend::NewClosed, 0),
            ("a kept connection that was closed", &|| Resend::Once, 1),
            ("refused beside others", &|| Resend::Refused(free()), REFUSED_MOST as usize),
            ("not processed", &|| Resend::Unprocessed, UNPROCESSED_MOST as usize),
            ("waiting", &|| Resend::Waiting(free()), 1000),
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
    async fn what_the_server_did_not_process_is_sent_at_once_at_first_and_later_ever_slower() {
        let mut budget = ResendBudget::default();
        let began = tokio::time::Instant::now();
        for _ in 0..UNPROCESSED_AT_ONCE {
            assert!(matches!(budget.next(error(Resend::Unprocessed)).await, Ok(Reuse::Allowed)));
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..3 {
            budget.next(error(Resend::Unprocessed)).await.unwrap();
        }
        assert_eq!(began.elapsed(), UNPROCESSED_STEP * 6);
    }
}
