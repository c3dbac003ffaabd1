//! What the server did not process before its first answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::observed_io::ConnectionIo;
use super::super::resend::{FreeConnection, Resend};
use super::super::{Reuse, SendError};
use super::pool::lock;
use super::{Http2Connection, Http2Pool};

/// How often a request looks whether the first answer of all has come.
const FIRST_ANSWER_LOOK: Duration = Duration::from_millis(10);

impl<S: ConnectionIo> Http2Pool<S> {
    /// A request that the server did not process, and that is sent again for free, may have been the first one of all.
    /// From then on it waits for what becomes of those that are open, and counts where none of them is answered: a
    /// server that closes a connection after so many requests does so before its first answer.
    pub(in super::super) fn before_the_first_answer(&self, error: SendError) -> SendError {
        if !matches!(error.resend, Resend::Once) || self.has_answered() {
            return error;
        }
        let (connections, answers) = (Arc::clone(&self.connections), Arc::clone(&self.answers));
        let fault = error.fault.clone();
        let first_answer = async move {
            loop {
                if answers.load(Ordering::Relaxed) > 0 {
                    return Ok(Reuse::Allowed);
                }
                if !lock(&connections).iter().any(Http2Connection::is_used) {
                    return Err(error);
                }
                tokio::time::sleep(FIRST_ANSWER_LOOK).await;
            }
        };
        SendError { fault, resend: Resend::OnceThen(FreeConnection(Box::pin(first_answer))) }
    }
}
