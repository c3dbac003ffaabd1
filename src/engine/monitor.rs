//! What is done at each tick: the gate's state is sampled and reported.

use tokio::time::Instant;

use super::limit_estimate::LimitEstimate;
use super::open_jobs::Supply;
use super::stdout_peer::StdoutPeer;
use super::wait_times::WaitTimes;
use crate::limit::{Gate, GateEvent};
use crate::model::{Event, Reporter};
use crate::report::{EngineStatus, Report};

/// Samples and reports the gate's state.
pub(super) struct Monitor<'a> {
    gate: &'a Gate,
    report: &'a Report,
    reader: StdoutPeer,
    started: Instant,
    sampled_at: Instant,
    limit: usize,
    estimate: LimitEstimate,
    pub(super) times: WaitTimes,
}

impl<'a> Monitor<'a> {
    /// For a run that began at `started`.
    pub(super) fn new(gate: &'a Gate, report: &'a Report, reader: StdoutPeer, started: Instant) -> Self {
        let limit = gate.view().limit;
        Self {
            gate,
            report,
            reader,
            started,
            sampled_at: started,
            limit,
            estimate: LimitEstimate::default(),
            times: WaitTimes::default(),
        }
    }

    /// Adds the time since the last tick to what held the next attempt back, and reports what changed.
    pub(super) fn tick(&mut self, supply: Supply) {
        for event in self.gate.take_events() {
            self.report_gate_event(event);
        }
        let view = self.gate.view();
        let now = Instant::now();
        let span = now.saturating_duration_since(self.sampled_at);
        self.times.sample(&view, span, supply);
        self.estimate.sample(&view, span, self.report.accepted_and_refused());
        self.times.learned = self.estimate.limit();
        self.times.cap = self.estimate.in_flight();
        self.sampled_at = now;
        let left = |until: Instant| until.saturating_duration_since(now);
        let paused = view.paused_until.map(left).zip(view.pause_reason);
        let (in_flight, limit) = (view.in_flight, view.limit);
        let learned = self.times.learned.filter(|_| view.waiting > 0);
        self.report.tick(&EngineStatus {
            elapsed: self.started.elapsed(),
            in_flight,
            limit,
            paused,
            learned,
        });
    }

    fn report_gate_event(&mut self, event: GateEvent) {
        match event {
            GateEvent::Paused { until, reason } => {
                let wait = until.saturating_duration_since(Instant::now());
                self.report.on(&Event::PoolPaused { wait, reason });
            }
            GateEvent::Resumed => self.report.on(&Event::PoolResumed),
            GateEvent::LimitChanged { limit, reason } => {
                if limit < self.limit {
                    self.times.stepped_back = Some(reason);
                }
                self.estimate.limit_changed(limit, reason);
                self.limit = limit;
                self.report.on(&Event::LimitChanged { limit, reason });
            }
        }
    }

    /// No program reads standard output any more.
    pub(super) fn is_reader_gone(&self) -> bool {
        self.reader.is_gone()
    }
}
