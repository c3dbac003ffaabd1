//! The pool's part in a rate that is shared with other processes.

use tokio::time::Instant;

use super::super::pause::Admission;
use super::super::rate_source::RateSource;
use super::super::rate_store::{StoreAnswer, StoreCall};
use super::super::shared_rate::{RateStep, SharedRate};
use super::Pool;
use crate::model::PauseReason;

impl Pool {
    /// What the rate keeper does next; `waiting` attempts are in the queue, `holders` of them with a slot.
    pub(in crate::limit) fn rate_step(
        &mut self,
        now: Instant,
        (waiting, holders): (usize, usize),
    ) -> Option<RateStep> {
        let may_leave = self.may_leave(now, (waiting, holders));
        self.shared_rate().map(|shared| shared.next_step(now, may_leave))
    }

    /// Takes note of an answer of the store to a call that was sent and answered at these instants.
    pub(in crate::limit) fn rate_answered(
        &mut self,
        call: &StoreCall,
        answer: &StoreAnswer,
        (sent, now): (Instant, Instant),
    ) {
        let paused_until = self.shared_rate().and_then(|shared| shared.answered(call, answer, (sent, now)));
        if let Some(until) = paused_until {
            self.pause(now, until, PauseReason::Shared);
        }
    }

    /// The rate, if it is shared.
    pub(in crate::limit) fn shared_rate(&mut self) -> Option<&mut SharedRate> {
        self.rate.as_mut().and_then(RateSource::shared)
    }

    /// How many of the attempts that wait could leave now, but for the rate.
    fn may_leave(&self, now: Instant, (waiting, holders): (usize, usize)) -> usize {
        match self.pause.admission(now) {
            Admission::At(_) => 0,
            Admission::Probe | Admission::AfterProbe => 1,
            // By a learnt limit they leave one by one.
            Admission::Free if !self.learned.is_idle() => waiting.min(1),
            Admission::Free => {
                let room = self.slots.room().min(self.pause.room());
                holders + waiting.saturating_sub(holders).min(room)
            }
        }
    }
}
