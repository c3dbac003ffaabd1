//! Calls the store of a shared rate, beside the loop: one call at a time, and growing waits while the store is gone.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::fetch::Shutdown;
use crate::limit::{Gate, RateStep, RateStore, StoreCall, StoreFault, StoreFaultKind};
use crate::model::option::{BURST, MAX_RETRY_AFTER, RATE};
use crate::model::{Event, Reporter, StopReason};

/// The wait before the second try to reach a store that is gone, …
const WAIT: Duration = Duration::from_millis(50);
/// … doubled each time, up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A store, and what messages call it.
pub(crate) struct NamedStore<S> {
    pub(crate) store: S,
    pub(crate) name: String,
}

/// The run whose rate is kept.
#[derive(Clone, Copy)]
pub(crate) struct RatedRun<'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) shutdown: &'a Shutdown,
}

/// Keeps the gate's part of a shared rate.
pub(crate) struct RateKeeper<'a, S> {
    store: S,
    /// The store as messages name it.
    name: String,
    run: RatedRun<'a>,
    outage: Option<StoreOutage>,
    has_warned_of_rates: bool,
}

/// The store does not answer.
struct StoreOutage {
    began: Instant,
    tries: u32,
    is_reported: bool,
}

impl<'a, S: RateStore> RateKeeper<'a, S> {
    /// No call is made yet.
    pub(crate) fn new(NamedStore { store, name }: NamedStore<S>, run: RatedRun<'a>) -> Self {
        Self { store, name, run, outage: None, has_warned_of_rates: false }
    }

    /// Does the work, and keeps its rate meanwhile.
    pub(crate) async fn beside<T>(mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            never = self.keep() => match never {},
            done = work => done,
        }
    }

    async fn keep(&mut self) -> Infallible {
        loop {
            match self.run.gate.rate_step() {
                Some(RateStep::Call(call)) => self.call(call).await,
                Some(RateStep::Wait(until)) => tokio::select! {
                    () = self.run.gate.rate_wanted() => {}
                    () = sleep_until(until) => {}
                },
                None => std::future::pending().await,
            }
        }
    }

    async fn call(&mut self, call: StoreCall) {
        let sent = Instant::now();
        let answer = match self.store.call(&call).await {
            Ok(answer) => answer,
            Err(fault) => return self.is_gone(&fault).await,
        };
        self.run.gate.rate_answered(&call, &answer, sent);
        if self.outage.take().is_some_and(|outage| outage.is_reported) {
            let message = format!("the rate store {} answers again", self.name);
            self.run.reporter.on(&Event::Noted { message: &message });
        }
        if !self.run.gate.accepts_pause(answer.pause) {
            self.run.shutdown.trigger(StopReason::AskedToWait(Some(answer.pause)));
        }
        if answer.differs && !self.has_warned_of_rates {
            self.has_warned_of_rates = true;
            let message = format!(
                "another process at the rate store {} names another {RATE} or {BURST}: the lower holds for all",
                self.name
            );
            self.run.reporter.on(&Event::Warned { message: &message });
        }
    }

    /// No attempt leaves from now on. A connection that was closed is opened again at once, without a word: servers
    /// close idle ones.
    async fn is_gone(&mut self, fault: &StoreFault) {
        self.run.gate.rate_lost();
        let began = Instant::now();
        let outage = self.outage.get_or_insert(StoreOutage { began, tries: 0, is_reported: false });
        let lasted = outage.began.elapsed();
        outage.tries += 1;
        if outage.tries == 1 && fault.kind == StoreFaultKind::Closed {
            return;
        }
        if !outage.is_reported {
            outage.is_reported = true;
            let most = humantime::format_duration(self.run.gate.max_retry_after());
            let message = format!(
                "the rate store {} is gone: {fault}; no request is sent until it answers, for {MAX_RETRY_AFTER} {most} \
                 at most",
                self.name
            );
            self.run.reporter.on(&Event::Warned { message: &message });
        }
        if lasted >= self.run.gate.max_retry_after() {
            self.run.shutdown.trigger(StopReason::RateStore { why: fault.text.clone(), lasted });
            std::future::pending::<()>().await;
        }
        let wait = WAIT.saturating_mul(1 << outage.tries.min(10)).min(LONGEST_WAIT);
        let left = self.run.gate.max_retry_after().saturating_sub(lasted).max(WAIT);
        sleep((wait / 2 + wait.mul_f64(fastrand::f64() / 2.0)).min(left)).await;
    }
}

#[cfg(test)]
mod tests;
