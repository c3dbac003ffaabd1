//! The pause of the pool: one instant for all, then one probe, then growth.
//!
//! A pause is an instant, and the later of two wins. What was already under way when it began can
//! make it longer but never ends it: only the probe that left after it can, and only if no newer
//! pause came meanwhile (compared by the epoch). Growth after it is like TCP's slow start: some more attempts in
//! flight for each answer, which makes four times as many every round; and what leaves keeps its distance
//! (see `spread`), so that no round is a burst.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::PauseReason;

/// The pause after a probe that was not answered well: one second, doubled each time (the fetcher's
/// back-off starts in the same range) …
const AGAIN: Duration = Duration::from_secs(1);
/// … up to the longest pause of the outage breaker in the contract.
const AGAIN_MAX: Duration = Duration::from_secs(20);
/// How many more may be in flight for each answer after a pause.
const GROWTH: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Paused,
    Probing,
}

/// Whether an attempt may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Free,
    /// It may, alone: all others wait for its answer.
    Probe,
    /// Not before this instant.
    At(Instant),
    /// Not before the probe's answer.
    AfterProbe,
}

/// The pause, its probe and the growth after it.
#[derive(Debug)]
pub(super) struct PoolPause {
    phase: Phase,
    until: Option<Instant>,
    reason: PauseReason,
    epoch: u32,
    probes_failed: u32,
    /// How many that left since the pause may be in flight, while growing.
    ramp: Option<usize>,
    /// How many that left since the pause are in flight.
    fresh: usize,
}

impl Default for PoolPause {
    fn default() -> Self {
        Self {
            phase: Phase::Open,
            until: None,
            reason: PauseReason::ProbeFailed,
            epoch: 0,
            probes_failed: 0,
            ramp: None,
            fresh: 0,
        }
    }
}

impl PoolPause {
    /// No pause, no probe, no growth.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Open && self.ramp.is_none()
    }

    /// Whether the pool is paused, or its probe under way.
    pub(super) fn is_paused(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether all others wait for the probe's answer.
    pub(super) fn is_probing(&self) -> bool {
        self.phase == Phase::Probing
    }

    /// The instant and the reason, while the pool is paused or its probe is under way.
    pub(super) fn paused(&self) -> Option<(Instant, PauseReason)> {
        self.until.filter(|_| self.phase != Phase::Open).map(|until| (until, self.reason))
    }

    /// The number of the pause: an attempt that left in an older epoch says nothing about this one.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// No attempt leaves before `until`. Returns whether that moved the instant later.
    pub(super) fn pause(&mut self, now: Instant, until: Instant, reason: PauseReason) -> bool {
        if until <= now || (self.phase != Phase::Open && self.until.is_some_and(|old| until <= old)) {
            return false;
        }
        if self.phase != Phase::Paused {
            self.phase = Phase::Paused;
            self.epoch = self.epoch.wrapping_add(1);
            self.ramp = None;
            self.fresh = 0;
        }
        self.until = Some(until);
        self.reason = reason;
        true
    }

    /// Whether an attempt may leave now.
    pub(super) fn admission(&self, now: Instant) -> Admission {
        match (self.phase, self.until) {
            (Phase::Probing, _) => Admission::AfterProbe,
            (Phase::Paused, Some(until)) if now < until => Admission::At(until),
            (Phase::Paused, _) => Admission::Probe,
            (Phase::Open, _) => Admission::Free,
        }
    }

    /// Whether growth after a pause allows one more in flight.
    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many more growth after a pause allows in flight.
    pub(super) fn room(&self) -> usize {
        self.ramp.map_or(usize::MAX, |ramp| ramp.saturating_sub(self.fresh))
    }

    /// How many may be in flight while growing.
    pub(super) fn ramp(&self) -> Option<usize> {
        self.ramp
    }

    /// Takes note of a departure.
    pub(super) fn left(&mut self, probe: bool) {
        if probe {
            self.phase = Phase::Probing;
        }
        self.fresh += 1;
    }

    /// Takes note that one which left in `epoch`, and is still in flight, was sent again.
    pub(super) fn left_again(&mut self, epoch: u32, probe: bool) {
        if probe {
            self.phase = Phase::Probing;
        }
        self.fresh += usize::from(epoch != self.epoch);
    }

    /// Takes note of the end of an attempt of this epoch, outside of a pause; `good` is `None` if it
    /// was given up without a verdict. `limit` is what growth leads back to.
    pub(super) fn ended(&mut self, epoch: u32, good: Option<bool>, limit: usize) {
        if epoch != self.epoch {
            return;
        }
        self.fresh = self.fresh.saturating_sub(1);
        if good == Some(true) {
            self.ramp = self.ramp.map(|ramp| ramp + GROWTH).filter(|ramp| *ramp < limit);
        }
    }

    /// Takes note of the end of a probe. Returns whether it opened the pool.
    pub(super) fn probed(&mut self, epoch: u32, good: Option<bool>, now: Instant) -> bool {
        if epoch != self.epoch || self.phase != Phase::Probing {
            return false;
        }
        match good {
            Some(true) => {
                self.phase = Phase::Open;
                self.probes_failed = 0;
                self.ramp = Some(1);
                return true;
            }
            Some(false) => {
                let wait = AGAIN.saturating_mul(1 << self.probes_failed.min(8)).min(AGAIN_MAX);
                self.probes_failed += 1;
                self.pause(now, now + wait, PauseReason::ProbeFailed);
            }
            // Its instant is over: the next in line becomes the probe.
            None => self.phase = Phase::Paused,
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: PauseReason = PauseReason::Refused { status: 429, has_retry_after: false };

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_later_of_two_instants_wins_and_the_past_is_none() {
        let now = Instant::now();
        let mut pause = PoolPause::default();
        assert!(!pause.pause(now, now, REFUSED));
        assert!(pause.is_over());
        assert!(pause.pause(now, now + second(2), REFUSED));
        assert!(!pause.pause(now, now + second(1), REFUSED));
        assert!(!pause.pause(now, now + second(2), REFUSED));
        assert_eq!(pause.paused(), Some((now + second(2), REFUSED)));
        assert!(pause.pause(now, now + second(3), REFUSED));
        assert_eq!(pause.admission(now + second(2)), Admission::At(now + second(3)));
        assert_eq!(pause.admission(now + second(3)), Admission::Probe);
    }

    #[test]
    fn only_the_probe_of_the_newest_pause_opens_the_pool() {
        let now = Instant::now();
        let mut pause = PoolPause::default();
        let before = pause.epoch();
        pause.pause(now, now + second(1), REFUSED);
        assert!(!pause.probed(before, Some(true), now));
        let first = pause.epoch();
        pause.left(true);
        pause.pause(now + second(1), now + second(2), REFUSED);
        assert!(!pause.probed(first, Some(true), now + second(1)));
        assert_eq!(pause.admission(now + second(1)), Admission::At(now + second(2)));
        pause.left(true);
        assert_eq!(pause.admission(now + second(9)), Admission::AfterProbe);
        assert!(pause.probed(pause.epoch(), Some(true), now + second(9)));
        assert_eq!(pause.admission(now + second(9)), Admission::Free);
    }

    #[test]
    fn after_the_probe_each_round_may_be_four_times_as_large() {
        let now = Instant::now();
        let mut pause = PoolPause::default();
        pause.pause(now, now + second(1), REFUSED);
        let epoch = pause.epoch();
        pause.left(true);
        pause.probed(epoch, Some(true), now + second(1));
        pause.ended(epoch, Some(true), 80);
        let mut rounds = Vec::new();
        while !pause.is_over() {
            let mut left = 0;
            while pause.has_room() && left < 100 {
                pause.left(false);
                left += 1;
            }
            rounds.push(left);
            for _ in 0..left {
                pause.ended(epoch, Some(true), 80);
            }
        }
        assert_eq!(rounds, [4, 16, 64]);
    }

    #[test]
    fn what_left_before_the_pause_makes_it_grow_no_faster() {
        let now = Instant::now();
        let mut pause = PoolPause::default();
        let before = pause.epoch();
        pause.pause(now, now + second(1), REFUSED);
        pause.left(true);
        pause.probed(pause.epoch(), Some(true), now);
        pause.ended(pause.epoch(), Some(true), 32);
        let ramp = pause.ramp();
        pause.ended(before, Some(true), 32);
        assert_eq!(pause.ramp(), ramp);
    }

    #[test]
    fn probes_that_fail_are_followed_by_longer_and_longer_pauses() {
        let mut now = Instant::now();
        let mut pause = PoolPause::default();
        pause.pause(now, now + second(1), REFUSED);
        let mut waits = Vec::new();
        for _ in 0..7 {
            now = pause.paused().unwrap().0;
            assert_eq!(pause.admission(now), Admission::Probe);
            pause.left(true);
            assert!(!pause.probed(pause.epoch(), Some(false), now));
            waits.push((pause.paused().unwrap().0 - now).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 20, 20]);
    }

    #[test]
    fn a_probe_that_is_given_up_makes_the_next_one_the_probe() {
        let now = Instant::now();
        let mut pause = PoolPause::default();
        pause.pause(now, now + second(1), REFUSED);
        pause.left(true);
        assert!(!pause.probed(pause.epoch(), None, now + second(1)));
        assert_eq!(pause.admission(now + second(1)), Admission::Probe);
    }
}
