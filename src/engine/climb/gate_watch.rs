//! What happens at the gate during a climb: reports it, and searches for what the API accepts for long once it refused.

use std::num::NonZeroUsize;

use tokio::time::Instant;

use super::climb_sink::{JobEnd, RequestEnd};
use super::rung_measurements::RungMeasurements;
use super::sustained_rate::{SearchTimes, SustainedRate};
use crate::limit::climb::{ClimbEnd, Rung, best};
use crate::limit::{Gate, GateEvent, LearnedLimit};
use crate::model::{Event, LimitChangeReason, PauseReason, QuotaSize, Reporter};
use crate::report::{AcceptedAndRefused, EngineStatus, Report};

/// Draws progress, reports what changed at the gate, and searches.
pub(super) struct GateWatch<'a> {
    gate: &'a Gate,
    report: &'a Report,
    started: Instant,
    /// When the search has to end.
    search_until: Instant,
    search: Option<SustainedRate>,
    /// Called as the search begins.
    on_search: &'a dyn Fn(),
}

impl<'a> GateWatch<'a> {
    pub(super) fn new(
        gate: &'a Gate,
        report: &'a Report,
        SearchTimes { started, until }: SearchTimes,
        on_search: &'a dyn Fn(),
    ) -> Self {
        Self { gate, report, started, search_until: until, search: None, on_search }
    }

    /// When no more work may start; before a search, it is this instant.
    pub(super) fn deadline(&self, before: Instant) -> Instant {
        if self.is_searching() { self.search_until } else { before }
    }

    /// The rungs are over: the search goes on.
    pub(super) fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// Takes note of the gate. Says why the climb is over, if it is.
    pub(super) fn tick(
        &mut self,
        measurements: &mut RungMeasurements,
        (ended, quota): (AcceptedAndRefused, Option<QuotaSize>),
        on_rung: &mut dyn FnMut(&Rung),
    ) -> Option<ClimbEnd> {
        let (paused, now) = (self.report_gate(), Instant::now());
        if let Some(search) = &mut self.search {
            let over = search.sample(&self.gate.view(), (ended, quota), now)?;
            if let Some(rung) = search.unrefused_rung() {
                measurements.add(rung, on_rung);
            }
            return Some(over);
        }
        let reason = paused?;
        if ended.accepted == 0 {
            return Some(ClimbEnd::Paused(reason));
        }
        measurements.finish(ClimbEnd::Paused(reason), on_rung);
        self.begin_search(ClimbEnd::Paused(reason), measurements, ended);
        None
    }

    /// Takes note of a request that ended. Says why the climb is over, if it is. Errors that follow good answers may be
    /// those of a limit.
    pub(super) fn ended(
        &mut self,
        job_end: &JobEnd,
        measurements: &mut RungMeasurements,
        on_rung: &mut dyn FnMut(&Rung),
    ) -> Option<ClimbEnd> {
        if let Some(search) = &mut self.search {
            if let RequestEnd::Answer(latency) = job_end.ended_as {
                search.answered(latency);
            }
            return None;
        }
        let over = measurements.count(job_end, self.gate, on_rung)?;
        if over != ClimbEnd::Errors || job_end.so_far.accepted == 0 {
            return Some(over);
        }
        let end = match self.gate.view().pause_reason {
            Some(reason @ PauseReason::Refused { .. }) => ClimbEnd::Paused(reason),
            _ => ClimbEnd::Errors,
        };
        measurements.finish(end, on_rung);
        self.begin_search(end, measurements, job_end.so_far);
        None
    }

    /// The rungs are over, and what was measured counts.
    fn begin_search(&mut self, end: ClimbEnd, measurements: &RungMeasurements, ended: AcceptedAndRefused) {
        (self.on_search)();
        if end == ClimbEnd::Errors {
            // What was below may be a burst or a cap: if it is a cap, nothing is refused there.
            let below = best(&measurements.rungs).map_or(measurements.rung.workers / 2, |rung| rung.workers);
            let below = NonZeroUsize::new(below).unwrap_or(NonZeroUsize::MIN);
            self.gate.resize(below, LimitChangeReason::NextRung);
        }
        let now = Instant::now();
        self.search = Some(SustainedRate::new(
            end,
            ended,
            (SearchTimes { started: self.started, until: self.search_until }, now),
        ));
    }

    /// The limit that was found, and whether what was measured may be a burst, since the API refused and none was found.
    pub(super) fn found(&self, accepted: u64) -> (Option<LearnedLimit>, bool) {
        let sustained = self.search.as_ref().and_then(SustainedRate::limit);
        let is_unsettled = match &self.search {
            Some(search) => !search.is_unrefused(),
            None => matches!(self.gate.view().pause_reason, Some(PauseReason::Refused { .. })),
        };
        (sustained, sustained.is_none() && is_unsettled && accepted > 0)
    }

    /// Returns why the pool was paused, if it was.
    fn report_gate(&self) -> Option<PauseReason> {
        let (gate, report) = (self.gate, self.report);
        let mut paused = None;
        for change in gate.take_events() {
            match change {
                GateEvent::Paused { until, reason } => {
                    let wait = until.saturating_duration_since(Instant::now());
                    report.on(&Event::PoolPaused { wait, reason });
                    paused = Some(reason);
                }
                GateEvent::Resumed => report.on(&Event::PoolResumed),
                GateEvent::LimitChanged { limit, reason } => {
                    report.on(&Event::LimitChanged { limit, reason });
                }
            }
        }
        let view = gate.view();
        let (in_flight, limit) = (view.in_flight, view.limit);
        let elapsed = self.started.elapsed();
        report.tick(&EngineStatus { elapsed, in_flight, limit, paused: None, learned: view.learned });
        paused
    }
}
