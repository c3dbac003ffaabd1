//! After the first refusal of a climb: what the API accepts for long, as the gate learns it. What was measured before
//! may be a burst.

use std::time::Duration;

use tokio::time::Instant;

use super::super::limit_estimate::LimitEstimate;
use super::quota_cycle::QuotaCycle;
use super::rung_measurements::percentile;
use crate::limit::climb::{ClimbEnd, Rung};
use crate::limit::{GateView, LearnedLimit};
use crate::model::{PauseReason, QuotaSize};
use crate::report::AcceptedAndRefused;

/// A learnt rate is near the limit after this long, if it was refused …
const RATE_SETTLES: Duration = Duration::from_secs(15);
/// … so often since it was learnt, and in any case after this long.
const RATE_REFUSED: u64 = 2;
const RATE_SETTLES_UNREFUSED: Duration = Duration::from_secs(45);
/// If nothing is refused for this long with as many in flight, though no rate was learnt, the refusals were for the number
/// in flight …
const UNREFUSED: Duration = Duration::from_secs(3);
/// … which must be this many times the pause before, in which a bucket was filled …
const TIMES_PAUSE: u32 = 5;
/// … and so many answers came meanwhile. If more of them came than were accepted before, no burst and no quota can hide
/// behind them, and the time does not matter.
const UNREFUSED_ANSWERS: usize = 16;
/// Without pauses, this is long enough for any of these to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(25);

/// When a climb began, and when its search has to be over.
#[derive(Debug, Clone, Copy)]
pub(super) struct SearchTimes {
    pub(super) started: Instant,
    pub(super) until: Instant,
}

/// The search for what lasts.
pub(super) struct SustainedRate {
    end: ClimbEnd,
    estimate: LimitEstimate,
    quota: QuotaCycle,
    window: Option<LearnedLimit>,
    sampled_at: Instant,
    until: Instant,
    /// The time without a pause.
    open: Duration,
    learned_for: Duration,
    refused: u64,
    /// How many were refused before a rate was learnt.
    refused_before: u64,
    /// How many were accepted before the search.
    accepted_before: u64,
    unrefused: Unrefused,
    /// How long the newest pause is, or was.
    pause: Duration,
    was_paused: bool,
}

/// The time since the newest refusal, pause or change of the number in flight.
struct Unrefused {
    since: Instant,
    limit: usize,
    latencies: Vec<Duration>,
    /// The time that it took, once it is long enough.
    span: Option<Duration>,
}

impl Unrefused {
    fn from(now: Instant, limit: usize) -> Self {
        Self { since: now, limit, latencies: Vec::new(), span: None }
    }
}

impl SustainedRate {
    /// The climb ended so.
    pub(super) fn new(
        end: ClimbEnd,
        ended: AcceptedAndRefused,
        (SearchTimes { started, until }, now): (SearchTimes, Instant),
    ) -> Self {
        Self {
            end,
            estimate: LimitEstimate::default(),
            quota: QuotaCycle::new(started),
            window: None,
            sampled_at: now,
            until,
            open: Duration::ZERO,
            learned_for: Duration::ZERO,
            refused: ended.refused,
            refused_before: ended.refused,
            accepted_before: ended.accepted,
            unrefused: Unrefused::from(now, 0),
            pause: Duration::ZERO,
            was_paused: false,
        }
    }

    /// An answer that was no error.
    pub(super) fn answered(&mut self, latency: Duration) {
        self.unrefused.latencies.push(latency);
    }

    /// Takes note of the gate's state, of how requests ended so far, and of what the quota fields say. Says why the climb
    /// is over, once enough is known.
    pub(super) fn sample(
        &mut self,
        view: &GateView,
        (ended, quota): (AcceptedAndRefused, Option<QuotaSize>),
        now: Instant,
    ) -> Option<ClimbEnd> {
        let span = now.saturating_duration_since(self.sampled_at);
        self.sampled_at = now;
        self.estimate.sample(view, span, ended);
        let is_paused = view.paused_until.is_some();
        self.open += if is_paused { Duration::ZERO } else { span };
        let newly_refused = ended.refused > std::mem::replace(&mut self.refused, ended.refused);
        self.pause = match (is_paused, self.was_paused) {
            (true, false) => span,
            (true, true) => self.pause + span,
            (false, _) => self.pause,
        };
        self.was_paused = is_paused;
        if is_paused || newly_refused || view.limit != self.unrefused.limit {
            self.unrefused = Unrefused::from(now, view.limit);
        }
        let is_quota = view.pause_reason == Some(PauseReason::Quota);
        self.window = self.window.or(self.quota.sample(is_quota, (ended.accepted, quota), now));
        self.is_over(view, now).then_some(self.end)
    }

    fn is_over(&mut self, view: &GateView, now: Instant) -> bool {
        let ends_too_late = view.paused_until.is_some_and(|until| until >= self.until);
        if ends_too_late || self.window.is_some() {
            return true;
        }
        match view.learned {
            Some(LearnedLimit::Window { .. }) => return true,
            Some(LearnedLimit::Rate(_)) => {
                let span = if view.paused_until.is_some() { Duration::ZERO } else { super::super::TICK };
                self.learned_for += span;
                let is_refused = self.refused >= self.refused_before + RATE_REFUSED;
                let enough = if is_refused { RATE_SETTLES } else { RATE_SETTLES_UNREFUSED };
                return self.learned_for >= enough;
            }
            None => (self.learned_for, self.refused_before) = (Duration::ZERO, self.refused),
        }
        let span = now.saturating_duration_since(self.unrefused.since);
        let answers = self.unrefused.latencies.len();
        let is_more_than_before = answers as u64 > self.accepted_before;
        let least_span = if is_more_than_before { Duration::ZERO } else { UNREFUSED };
        if span >= least_span.max(self.pause * TIMES_PAUSE)
            && answers >= UNREFUSED_ANSWERS.max(2 * self.unrefused.limit)
        {
            self.unrefused.span = Some(span);
            return true;
        }
        self.open >= SHOWS_WITHIN
    }

    /// What is known of it.
    pub(super) fn limit(&self) -> Option<LearnedLimit> {
        self.window.or_else(|| self.estimate.limit())
    }

    /// Whether nothing was refused for long enough, so that what was measured below is no burst.
    pub(super) fn is_unrefused(&self) -> bool {
        self.unrefused.span.is_some()
    }

    /// What was measured meanwhile.
    pub(super) fn unrefused_rung(&self) -> Option<Rung> {
        let Unrefused { limit, latencies, span, .. } = &self.unrefused;
        let mut latencies = latencies.clone();
        latencies.sort_unstable();
        Some(Rung {
            workers: *limit,
            requests: latencies.len() as u64,
            answers: latencies.len() as u64,
            span: (*span)?,
            p50: percentile(&latencies, 50),
            p95: percentile(&latencies, 95),
            ..Rung::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: PauseReason = PauseReason::Refused { status: 429, has_retry_after: false };
    const END: ClimbEnd = ClimbEnd::Paused(REASON);

    fn view(learned: Option<LearnedLimit>) -> GateView {
        GateView {
            in_flight: 1,
            limit: 8,
            waiting: 5,
            paused_until: None,
            pause_reason: None,
            slowed: true,
            learned,
            lowest_rate: None,
        }
    }

    /// More than a search of this many ticks can have answered.
    const MANY: u64 = 10_000;

    /// When the search is over, in ticks of 50 ms, and what it found. `refuses`: one is refused every five seconds.
    fn over_after(refuses: bool, view: impl Fn(u32) -> GateView) -> Option<(u32, SustainedRate)> {
        search_after(MANY, refuses, view)
    }

    /// The same, where so many were accepted before.
    fn search_after(
        accepted: u64,
        refuses: bool,
        view: impl Fn(u32) -> GateView,
    ) -> Option<(u32, SustainedRate)> {
        let start = Instant::now();
        let ended = AcceptedAndRefused { accepted, refused: 1 };
        let times = SearchTimes { started: start, until: start + Duration::from_mins(1) };
        let mut search = SustainedRate::new(END, ended, (times, start));
        let over = (1..1_200).find(|tick| {
            let now = start + super::super::super::TICK * *tick;
            search.answered(Duration::from_millis(30));
            let count = 1 + if refuses { u64::from(*tick) / 100 } else { 0 };
            let ended = AcceptedAndRefused { accepted: accepted + u64::from(*tick), refused: count };
            search.sample(&view(*tick), (ended, None), now) == Some(END)
        });
        over.map(|tick| (tick, search))
    }

    #[test]
    fn a_window_is_known_at_once_a_rate_after_a_while_and_a_pause_is_waited_out() {
        let period = Duration::from_secs(10);
        let window = LearnedLimit::Window { capacity: 50, period };
        assert_eq!(over_after(false, |_| view(Some(window))).unwrap().0, 1);
        let rate = |_| view(Some(LearnedLimit::Rate(20.0)));
        assert_eq!(over_after(true, rate).unwrap().0, 300);
        assert_eq!(over_after(false, rate).unwrap().0, 900, "it may still be too low");
        let paused = GateView { paused_until: Some(Instant::now()), ..view(None) };
        assert!(over_after(false, |_| paused).is_none());
    }

    #[test]
    fn what_is_not_refused_any_more_is_measured_and_a_change_of_the_number_begins_anew() {
        let (ticks, search) =
            over_after(false, |n| GateView { limit: if n < 20 { 16 } else { 9 }, ..view(None) }).unwrap();
        assert_eq!(ticks, 80);
        let rung = search.unrefused_rung().unwrap();
        assert_eq!((rung.workers, rung.answers, rung.span), (9, 60, UNREFUSED));
        assert!(search.is_unrefused() && search.limit().is_none());
    }

    #[test]
    fn more_answers_than_were_accepted_before_show_it_sooner() {
        assert_eq!(search_after(40, false, |_| view(None)).unwrap().0, 42);
        assert!(search_after(40, false, |_| view(None)).unwrap().1.is_unrefused());
        let paused = GateView { paused_until: Some(Instant::now()), ..view(None) };
        let (ticks, _) = search_after(40, false, |n| if n <= 20 { paused } else { view(None) }).unwrap();
        assert_eq!(ticks, 20 + 100, "after a pause no sooner");
    }

    #[test]
    fn after_a_pause_it_takes_longer_because_a_bucket_was_filled() {
        let paused = GateView { paused_until: Some(Instant::now()), ..view(None) };
        let (ticks, _) = over_after(false, |n| if n <= 20 { paused } else { view(None) }).unwrap();
        assert_eq!(ticks, 20 + 100, "a second of pause, five without a refusal");
    }

    #[test]
    fn a_pause_beyond_its_time_is_not_waited_out() {
        let beyond = Instant::now() + Duration::from_hours(1);
        let paused = GateView { paused_until: Some(beyond), ..view(None) };
        let (ticks, search) = over_after(false, |_| paused).unwrap();
        assert_eq!(ticks, 1);
        assert!(!search.is_unrefused());
    }
}
