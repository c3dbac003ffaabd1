//! One select loop: waits for the next thing to do, and does it.

mod rest;

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};

use super::breaker::{FIRST_ATTEMPTS, RowOf403};
use super::entry_sink::{EntrySink, SendAgain};
use super::input_thread::InputThread;
use super::monitor::Monitor;
use super::open_jobs::{NextStep, OpenJobs, Supply};
use super::pack_queue::{PackQueue, PackSettled};
use super::signals::Signals;
use super::store::EntryStore;
use super::{DRAIN, Engine, HAND_OVER_WITHIN, RunEnd, TICK, WINDOW_FACTOR, has_room, sleep_until};
use crate::fetch::{Fetcher, PackEnd, Shutdown, Transport};
use crate::limit::Gate;
use crate::model::option::NEXT;
use crate::model::{Entry, Event, Job, Reporter, StopReason, counted};
use crate::plan::Planned;
use crate::report::Report;

/// Steps that are taken in one go while there are any: polling signals and timers costs as much as a step.
const STEPS_AT_ONCE: usize = 64;

/// Whether a row of 403 may be a limit: then the fetcher waits, or sends what was refused again.
fn may_403_be_limit<T: Transport>(fetcher: &Fetcher<T>, row: RowOf403) -> bool {
    match row {
        RowOf403::First => fetcher.waits_for_first(FIRST_ATTEMPTS),
        RowOf403::AfterGoodAnswers => fetcher.takes_403_for_a_limit(),
    }
}

/// What the loop is woken for.
enum Wake {
    Signal(u8),
    /// `--max-time` is over.
    OutOfTime,
    /// What is in flight had its time.
    DrainOver,
    /// Answers were held for as long as they may be.
    HandOverDue,
    Tick,
    Step(NextStep),
}

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

/// A run under way. `open_job` takes a job to the future of its entry.
pub(super) struct RunLoop<'a, T, S, N, F> {
    fetcher: &'a Fetcher<T>,
    open_job: N,
    gate: &'a Gate,
    report: &'a Report,
    shutdown: &'a Shutdown,
    signals: &'a mut Signals,
    sink: EntrySink<'a, S>,
    monitor: Monitor<'a>,
    open: OpenJobs<'a, F>,
    packs: Option<PackQueue>,
    deadline: Option<Instant>,
    max_age: Option<Duration>,
    tick: Interval,
    /// Once the run stops: until when what is in flight may still take.
    drain_until: Option<Instant>,
    hand_over: Pin<Box<Sleep>>,
    is_hand_over_set: bool,
    /// A second signal came.
    at_once: bool,
}

impl<'a, T, S, N, F> RunLoop<'a, T, S, N, F>
where
    T: Transport,
    S: EntryStore,
    N: Fn(Job) -> F,
    F: Future<Output = Entry>,
{
    pub(super) fn new(engine: Engine<'a, T, S>, input: InputThread, open_job: N) -> Self {
        let Engine { fetcher, gate, store, report, shutdown, signals, reader, started, deadline, max_age } =
            engine;
        let mut open = OpenJobs::new(input);
        let packs = open.take_packer().map(PackQueue::new);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            fetcher,
            open_job,
            gate,
            report,
            shutdown,
            signals,
            sink: EntrySink::new(store, report, shutdown, fetcher),
            monitor: Monitor::new(gate, report, reader, started),
            open,
            packs,
            deadline,
            max_age,
            tick,
            drain_until: None,
            hand_over: Box::pin(tokio::time::sleep(HAND_OVER_WITHIN)),
            is_hand_over_set: false,
            at_once: false,
        }
    }

    /// Runs to the end of the input or to an early stop, drained.
    pub(super) async fn run(mut self) -> RunEnd {
        loop {
            if self.shutdown.is_triggered() && self.drain_until.is_none() {
                self.drain_until = Some(Instant::now() + DRAIN);
                if self.accounts_for_the_rest() {
                    self.open.close();
                } else {
                    self.open.drop_unopened();
                }
                self.drop_unpacked();
            }
            if self.packs.is_some() {
                self.send_packs();
            }
            if !self.is_hand_over_set && self.sink.store.backlog() > 0 {
                self.is_hand_over_set = true;
                self.hand_over.as_mut().reset(Instant::now() + HAND_OVER_WITHIN);
            }
            let flow = match self.wake().await {
                Wake::Step(step) => self.take_steps(step).await,
                Wake::Signal(number) => self.on_signal(number),
                Wake::DrainOver => Flow::End,
                Wake::OutOfTime => {
                    self.stop(StopReason::OutOfTime, Some(DRAIN));
                    Flow::Continue
                }
                Wake::HandOverDue => {
                    self.is_hand_over_set = false;
                    self.sink.hand_over();
                    Flow::Continue
                }
                Wake::Tick => {
                    self.on_tick(self.open.supply());
                    Flow::Continue
                }
            };
            if flow == Flow::End {
                self.account_for_the_rest().await;
                return self.end();
            }
        }
    }

    /// Waits for the next thing to do; signals and timers come before entries and rows.
    async fn wake(&mut self) -> Wake {
        let window = self.window();
        let opens_more = self.opens_more();
        let Self { gate, signals, sink, open, deadline, tick, drain_until, hand_over, .. } = self;
        let fetcher = self.fetcher;
        let next = std::future::poll_fn(|cx| {
            fetcher.begin_turn();
            let step = open.poll(cx, || opens_more && has_room(gate), window);
            if step.is_pending() {
                sink.hand_over_if_due();
            }
            step
        });
        tokio::select! {
            biased;
            number = signals.next() => Wake::Signal(number),
            () = sleep_until(*deadline), if drain_until.is_none() => Wake::OutOfTime,
            () = sleep_until(*drain_until), if drain_until.is_some() => Wake::DrainOver,
            () = hand_over, if self.is_hand_over_set => Wake::HandOverDue,
            _ = tick.tick() => Wake::Tick,
            step = next => Wake::Step(step),
        }
    }

    /// Takes the next step, and others as long as there are any.
    async fn take_steps(&mut self, mut step: NextStep) -> Flow {
        let window = self.window();
        let mut taken = 0;
        loop {
            match step {
                NextStep::Done => {
                    let ended = &mut self.open.ended;
                    if ended.as_mut().is_some_and(|entry| self.sink.settles(entry)) {
                        *ended = None;
                    } else if let Some(entry) = ended.take() {
                        let may_be_limit = |row| may_403_be_limit(self.fetcher, row);
                        let again = self.sink.receive_pack(entry, Vec::new(), may_be_limit);
                        self.resend(again);
                    }
                    if let Some(record) = self.sink.spent.take() {
                        self.open.input.spend(record);
                    }
                }
                NextStep::PackDone(end) => self.receive_pack(*end),
                NextStep::RowDue => match self.open.take_row() {
                    Some(Planned::Job(mut job)) => {
                        if !self.sink.needs_request(&mut job, self.max_age) {
                            self.sink.keep_earlier(job);
                        } else if let Some(packs) = &mut self.packs {
                            packs.add(job);
                            self.send_packs();
                        } else {
                            self.open.jobs.open(|| (self.open_job)(job));
                        }
                    }
                    Some(row) => self.sink.pass(&row),
                    None => {}
                },
                NextStep::Over => match self.sink.recheck_job(self.fetcher.accepted()) {
                    Some(job) => self.resend(vec![SendAgain::Job(job)]),
                    None => return Flow::End,
                },
            }
            taken += 1;
            if taken == STEPS_AT_ONCE {
                // While there is always a row to open, sockets would never be polled.
                tokio::task::yield_now().await;
                return Flow::Continue;
            }
            if self.shutdown.is_triggered() {
                return Flow::Continue;
            }
            let opens_more = self.opens_more();
            let (open, gate) = (&mut self.open, self.gate);
            let room = || opens_more && has_room(gate);
            match std::future::poll_fn(|cx| Poll::Ready(open.poll(cx, room, window))).await {
                Poll::Ready(next) => step = next,
                Poll::Pending => return Flow::Continue,
            }
        }
    }

    /// Sends again what the sink says.
    fn resend(&mut self, again: Vec<SendAgain>) {
        for resend in again {
            match (resend, &mut self.packs) {
                (SendAgain::Job(job), None) => self.open.jobs.open(|| (self.open_job)(job)),
                (SendAgain::Job(job), Some(packs)) => packs.add_alone(job),
                (SendAgain::Item(item), Some(packs)) => packs.add_again(item),
                // Items come of packs.
                (SendAgain::Item(_), None) => {}
            }
        }
        self.send_packs();
    }

    /// A pack has ended: each of its keys has its outcome, or is asked for again.
    fn receive_pack(&mut self, end: PackEnd) {
        let Some(packs) = &mut self.packs else { return };
        let may_be_limit = |row| may_403_be_limit(self.fetcher, row);
        let mut again = Vec::new();
        match packs.settle(end) {
            PackSettled::Each(entries) => {
                for entry in entries {
                    again.extend(self.sink.receive(entry, may_be_limit));
                }
            }
            PackSettled::Together(entries) => {
                let mut entries = entries.into_iter();
                if let Some(first) = entries.next() {
                    again = self.sink.receive_pack(first, entries.collect(), may_be_limit);
                }
            }
            PackSettled::Stop(entries, reason) => {
                for entry in entries {
                    again.extend(self.sink.receive(entry, may_be_limit));
                }
                self.stop(reason, Some(DRAIN));
            }
        }
        self.resend(again);
    }

    /// Sends the packs that are ready; all of them where no row is left.
    fn send_packs(&mut self) {
        if let Some(packs) = &mut self.packs {
            packs.send(&mut self.open, self.fetcher);
        }
    }

    /// What was not sent is left to the next run.
    fn drop_unpacked(&mut self) {
        if let Some(packs) = &mut self.packs {
            packs.clear();
        }
        self.open.holds_keys = false;
    }

    /// The most jobs that may be open.
    fn window(&self) -> usize {
        self.gate.view().limit.saturating_mul(WINDOW_FACTOR)
    }

    /// Whether jobs may be opened at all.
    fn opens_more(&self) -> bool {
        let packs_may = self.packs.as_ref().is_none_or(PackQueue::may_open);
        self.sink.may_open() && packs_may && self.drain_until.is_none()
    }

    /// The first signal stops the run, the second one ends it at once.
    fn on_signal(&mut self, number: u8) -> Flow {
        if self.shutdown.is_triggered() {
            self.at_once = true;
            return Flow::End;
        }
        self.stop(StopReason::Signal(number), Some(DRAIN));
        Flow::Continue
    }

    fn on_tick(&mut self, supply: Supply) {
        self.sink.hand_over();
        if let Some(packs) = &mut self.packs {
            packs.tick(supply);
            self.send_packs();
        }
        self.monitor.tick(supply);
        if self.monitor.is_reader_gone() {
            // Answers that nobody will read are not requested.
            self.stop(StopReason::StdoutClosed, None);
        }
    }

    /// Stops the run early; attempts in flight may take as long as `drain` says.
    fn stop(&self, reason: StopReason, drain: Option<Duration>) {
        if !self.shutdown.is_triggered() {
            self.report.on(&Event::Stopping { reason: &reason, drain });
        }
        self.shutdown.trigger(reason);
    }

    fn end(mut self) -> RunEnd {
        for message in self.packs.iter().flat_map(PackQueue::warnings) {
            self.report.on(&Event::Warned { message: &message });
        }
        if let Some(message) = unfollowed_pages(self.fetcher.unfollowed_pages()) {
            self.report.on(&Event::Warned { message: &message });
        }
        self.open.drop_unopened();
        self.sink.release();
        self.on_tick(Supply::Rows);
        drop(self.open.jobs);
        drop(self.open.packs);
        let input_summary = self.open.input.finish(self.shutdown.is_triggered());
        RunEnd {
            rows: self.open.rows,
            keyless: self.sink.keyless,
            short_rows: self.sink.short_rows,
            input_summary,
            disk: self.sink.disk,
            at_once: self.at_once,
            waits: self.monitor.times,
        }
    }
}

/// What is said of answers that name a next page which was not requested.
fn unfollowed_pages(answers: u64) -> Option<String> {
    if answers == 0 {
        return None;
    }
    let answers = counted(answers, "answer is the first page", "answers are the first page");
    Some(format!(
        "{answers} of several, as Link: rel=\"next\" says, and only that page is stored: {NEXT} link requests the others"
    ))
}
