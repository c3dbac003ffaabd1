//! The end of a cycle: what the attempts that were accepted and refused in it show of the limit.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::LearnedLimits;
use super::cycle::{Cycle, OutagePauses, Refusals};
use super::probes::{CLOCK_MARGIN, Closing, MINUTE_AFTER, since_minute};
use super::rate::LearnedRate;
use super::window::{Closed, LearnedWindow};

/// The server was closed for long: a bucket is seldom slower than an attempt in so long a time.
const CLOSED_LONG: Duration = Duration::from_secs(2);
/// So many probes that were refused show a ban, which may come again.
const BAN_PROBES: u32 = 3;
/// How often a window may turn out to be none before no window is expected any more.
const WINDOWS_DENIED: u32 = 2;
/// The lowest rate to begin with where the server may fail by itself.
const UNCLEAR: f64 = 4.0;
/// What was accepted in a cycle is no burst if it was so many …
const SUSTAINED_COUNT: u64 = 100;
/// … in so long a time.
const SUSTAINED: Duration = Duration::from_secs(2);

/// Fewer that were accepted show no window where the server may fail by itself.
const REPEATED_LEAST: u64 = 5;
/// Numbers that differ by less than this part are about the same.
const SAME_PART: u64 = 20;

/// Whether what was accepted in a cycle is no burst.
fn is_sustained(accepted: u64, cycle: Duration) -> bool {
    accepted >= SUSTAINED_COUNT && cycle >= SUSTAINED
}

/// Whether two numbers of accepted attempts are about the same: one or two may have been under way.
fn is_about(before: u64, accepted: u64) -> bool {
    before.abs_diff(accepted) <= (before / SAME_PART).max(2)
}

impl LearnedLimits {
    /// A probe that left at `left` was accepted at `now`: a new cycle begins with it. Returns whether a limit was
    /// learnt where none was known, so that what was taken for a cap is none.
    pub(in crate::limit) fn recovered(
        &mut self,
        left: Instant,
        departures: u64,
        (now, clock): (Instant, SystemTime),
    ) -> bool {
        if let Some(outage) = self.outage {
            self.strain.skip(left.saturating_duration_since(outage.began));
        }
        let was_idle = self.is_idle();
        self.begin_cycle((left, departures), (now, clock));
        was_idle && !self.is_idle()
    }

    fn begin_cycle(&mut self, (left, departures): (Instant, u64), (now, clock): (Instant, SystemTime)) {
        let outage = self.outage.take();
        let cycle = std::mem::replace(
            &mut self.cycle,
            Cycle { began: Some(left), first: departures, accepted: 1, accepted_level: 1, refusals: None },
        );
        self.recent = 0;
        self.accepted_level = self.accepted_level.max(cycle.accepted_level);
        let refused_probes = std::mem::take(&mut self.refused_probes);
        let had_refused_probes = refused_probes > 0;
        self.bucket.resume(cycle.refusals.filter(|it| !it.is_by_chance()).map(|it| it.at), left);
        let Some(began) = cycle.began else { return };
        let cycle = Cycle {
            // The probe is counted to the new cycle.
            accepted: cycle.accepted.saturating_sub(1),
            refusals: cycle.refusals.filter(|refusals| !refusals.is_by_chance()),
            ..cycle
        };
        let Cycle { accepted, refusals, .. } = cycle;
        if self.closes_again(&cycle, outage, left) {
            self.unrefused = None;
            self.resume(now);
            return;
        }
        // A quota that is announced, and for which the pool paused meanwhile, is another limit.
        let (began, accepted) =
            self.unrefused.take().map_or((began, accepted), |(began, before)| (began, before + accepted));
        let Some(refusals) = refusals else {
            // The window was used up without a refusal, or the pause had another reason than a limit.
            match &mut self.window {
                Some(window) => window.begin(left, None),
                None => self.unrefused = Some((began, accepted)),
            }
            self.resume(now);
            return;
        };
        self.note_ban(&refusals, refused_probes, left);
        let is_first = !std::mem::replace(&mut self.was_refused_before, true);
        if let Some(rate) = &mut self.rate {
            let pause = left.saturating_duration_since(refusals.at);
            rate.paused_for(pause, refusals.asked_until.is_some());
        }
        if let Some(window) = &mut self.window {
            if accepted * 2 >= window.capacity() {
                window.begin(left, Some(accepted));
                self.resume(now);
                return;
            }
            self.window = None;
            self.windows_denied += 1;
        } else if let Some(shortest) = self.closed_for(&refusals, began, left)
            && accepted >= 2
        {
            let longest = left.saturating_duration_since(began);
            // It may have opened with the minute of the clock, and have begun somewhere in the minute before.
            let is_minute = refused_probes >= MINUTE_AFTER
                && refusals.asked_until.is_none()
                && since_minute(clock) <= Some(CLOCK_MARGIN * 2);
            let (shortest, longest) = if is_minute {
                (Duration::from_mins(1), Duration::from_mins(1))
            } else {
                (shortest, longest)
            };
            let closed = Closed { shortest, longest, may_be_bucket: !had_refused_probes };
            let mut window = LearnedWindow::new(accepted, &closed, began);
            window.begin(left, Some(accepted));
            self.window = Some(window);
            self.resume(now);
            return;
        }
        // The first refusal of a run may be chance; the cycle before it begins with a burst, and shows no rate.
        if (refusals.may_be_cap || is_first) && !had_refused_probes {
            return;
        }
        let cycle = left.saturating_duration_since(began);
        self.learn_rate(&refusals, accepted, cycle, now);
        if refusals.is_unclear {
            self.try_learnt_rate(accepted, cycle, (departures, now));
            if let Some(trial) = self.strain.trial.as_mut().filter(|_| accepted == 0 && is_first) {
                trial.count_fewer_before();
            }
        }
    }

    /// Tries the rate that was learnt from a cycle, where the server may fail by itself.
    fn try_learnt_rate(&mut self, accepted: u64, cycle: Duration, (departures, now): (u64, Instant)) {
        let Some(rate) = self.rate.as_ref().map(LearnedRate::per_second) else { return };
        // What was accepted in a short time came from a burst in part.
        if rate * cycle.as_secs_f64() > accepted as f64 || !is_sustained(accepted, cycle) {
            self.strain.try_raised(rate, departures, now);
        } else {
            self.strain.try_rate(rate, departures, now);
        }
    }

    /// Takes note of a time in which everything failed, by answers that a server may give that fails by itself. Whether as
    /// many were accepted until then as before the last such time: then there is a window.
    fn closes_again(&mut self, cycle: &Cycle, outage: Option<OutagePauses>, left: Instant) -> bool {
        let Cycle { accepted, refusals, .. } = *cycle;
        let Some(began) = cycle.began else { return false };
        let failing_since = self.failing_since.take();
        if !self.is_idle() || refusals.is_some_and(|refusals| !refusals.is_unclear) {
            return false;
        }
        let closed_at = failing_since.or(outage.map(|outage| outage.began));
        let closed_until = refusals.and_then(|it| it.closed_until).max(outage.map(|outage| outage.newest));
        let Some((closed_at, closed_until)) = closed_at.zip(closed_until) else { return false };
        let closed = closed_until.saturating_duration_since(closed_at);
        if closed < CLOSED_LONG || accepted < REPEATED_LEAST {
            return false;
        }
        let before = self.accepted_until_closed.replace(accepted);
        if before.is_none_or(|before| !is_about(before, accepted)) {
            return false;
        }
        let shortest = closed_until.saturating_duration_since(began);
        let longest = left.saturating_duration_since(began);
        let mut window =
            LearnedWindow::new(accepted, &Closed { shortest, longest, may_be_bucket: false }, began);
        window.begin(left, Some(accepted));
        self.window = Some(window);
        self.strain.end_trial();
        true
    }

    /// Takes note of how long everything was refused until a probe that left at `left`, if that was long.
    fn note_ban(&mut self, refusals: &Refusals, refused_probes: u32, left: Instant) {
        let closed_until = refusals.closed_until.filter(|_| refusals.asked_until.is_none());
        if let Some(closed_until) = closed_until.filter(|_| refused_probes >= BAN_PROBES) {
            let lasted = left.saturating_duration_since(refusals.at);
            self.ban = Some(Closing { lasted, gap: left.saturating_duration_since(closed_until) });
        }
    }

    /// Many more were accepted than the window holds: there is a rate instead. A server that refuses everything for long
    /// after that bans who exceeds its limit, so that no window is expected any more.
    pub(super) fn replace_window(&mut self, now: Instant) {
        self.window = None;
        self.windows_denied = WINDOWS_DENIED;
        let since = self.cycle.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let per_second = self.cycle.accepted as f64 / since.as_secs_f64().max(1e-3);
        self.rate.get_or_insert_with(|| LearnedRate::new(per_second, true, now));
    }

    /// Whether as many were accepted in this cycle as until everything failed for long, the last time.
    pub(super) fn is_as_before_closing(&self) -> bool {
        self.accepted_until_closed.is_some_and(|before| is_about(before, self.cycle.accepted))
    }

    /// The shortest that the period of a window can be, if the server was closed for so long that there may be one.
    fn closed_for(&self, refusals: &Refusals, began: Instant, left: Instant) -> Option<Duration> {
        // Where a rate is known and the server says how long to wait, nothing is gained by a window.
        let is_known = self.rate.is_some() && refusals.asked_until.is_some();
        // A server that fails for a while looks the same.
        if self.windows_denied >= WINDOWS_DENIED || is_known || refusals.is_unclear {
            return None;
        }
        let asked = refusals.asked_until.map(|until| until.min(left));
        let closed_until = refusals.closed_until.max(asked)?;
        let closed = closed_until.saturating_duration_since(refusals.at);
        // A window that took most of its time to fill is no different from a rate.
        let was_filled_fast = refusals.at.saturating_duration_since(began) <= closed;
        (closed >= CLOSED_LONG && was_filled_fast).then(|| closed_until.saturating_duration_since(began))
    }

    fn learn_rate(&mut self, refusals: &Refusals, accepted: u64, cycle: Duration, now: Instant) {
        let seconds = cycle.as_secs_f64().max(1e-3);
        let per_second = accepted as f64 / seconds;
        let gained = self.bucket.gained(refusals.at);
        match &mut self.rate {
            Some(rate) if refusals.is_corrected && rate.is_pause_small(cycle) => rate.resume(now),
            Some(rate) => match refusals.estimate {
                Some(estimate) => rate.set(estimate, now),
                None => rate.relearn(accepted, cycle, gained, now),
            },
            None if accepted == 0 && !refusals.is_unclear => self.rate = Some(LearnedRate::unknown(now)),
            None => {
                let paused = now.saturating_duration_since(refusals.at).as_secs_f64();
                let is_guess = refusals.is_unclear || paused > seconds / 2.0;
                let mut rate = match refusals.estimate.filter(|_| !refusals.is_unclear) {
                    Some(estimate) => LearnedRate::new(estimate, false, now),
                    // A server that fails by chance may have answered a few in a long time only because few were sent.
                    None if refusals.is_unclear => LearnedRate::new(per_second.max(UNCLEAR), is_guess, now),
                    None => LearnedRate::new(per_second, is_guess, now),
                };
                if refusals.is_unclear && is_sustained(accepted, cycle) {
                    rate.hold_above(per_second);
                }
                self.rate = Some(rate);
            }
        }
    }

    pub(super) fn resume(&mut self, now: Instant) {
        if let Some(rate) = &mut self.rate {
            rate.resume(now);
        }
    }
}
