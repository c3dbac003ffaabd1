//! The quota that the server announces: as many attempts leave as remain, and then the pool pauses until the reset.
//!
//! Nothing is slowed before: whether the rows that are left need the whole quota is not known, and an even distance
//! would gain nothing. What left after the attempt that was answered is not in the server's count yet.
//! Answers may overtake each other, so the report for the newest departure counts. No report makes the pool faster.
//!
//! Servers announce resets in whole seconds, so that a window of a second may be over a second before its reset. Where
//! resets are near, the pool takes the window to last a second from the first departure in it, until it is refused.

use std::time::Duration;

use tokio::time::Instant;

/// What an answer says of the quota.
#[derive(Debug, Clone, Copy)]
struct QuotaReport {
    /// The departure that was answered.
    number: u64,
    remaining: u64,
    reset: Instant,
}

/// Resets that are nearer than this may be waited for too long by a second, which counts.
const NEAR: Duration = Duration::from_millis(2_500);
/// How long a window whose reset is near is taken to last: a second, and a little for timers.
const SECOND: Duration = Duration::from_millis(1_050);

/// The quota as it was announced last.
#[derive(Debug, Default)]
pub(super) struct AnnouncedQuota {
    report: Option<QuotaReport>,
    /// When the pool went on after the newest wait for a near reset.
    resumed: Option<Instant>,
    /// It was refused when it came after a second.
    is_longer: bool,
    /// The pool waits, or waited last, for a second only.
    has_waited: bool,
}

impl AnnouncedQuota {
    /// Whether nothing is announced.
    pub(super) fn is_idle(&self) -> bool {
        self.report.is_none()
    }

    /// Takes note that `remaining` more attempts are accepted until `reset`, as the answer to this departure says.
    pub(super) fn report(&mut self, now: Instant, number: u64, remaining: u64, reset: Instant) {
        let is_newest = self.report.is_none_or(|old| now >= old.reset || number >= old.number);
        if is_newest && reset > now {
            self.report = Some(QuotaReport { number, remaining, reset });
        }
    }

    /// Whether the quota is used up, as far as the answers say that have come. `departures`: how many there were so far.
    pub(super) fn is_used_up(&mut self, now: Instant, departures: u64) -> bool {
        let Some(report) = self.report else { return false };
        if now >= report.reset {
            self.report = None;
            return false;
        }
        departures.saturating_sub(report.number + 1) >= report.remaining
    }

    /// Whether the reset is so near that a window of about a second may be over before it.
    pub(super) fn is_reset_near(&self, now: Instant) -> bool {
        self.report.is_some_and(|report| report.reset.saturating_duration_since(now) <= NEAR)
    }

    /// When the pool goes on, where the quota is used up.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Instant> {
        let report = self.report?;
        if !self.is_reset_near(now) {
            return Some(report.reset);
        }
        let second = self.resumed.filter(|_| !self.is_longer).map(|resumed| resumed + SECOND);
        let until = second.map_or(report.reset, |second| second.max(now).min(report.reset));
        self.has_waited = second.is_some();
        self.resumed = Some(until);
        self.report = None;
        Some(until)
    }

    /// What left after the pool had waited was refused: it came too early.
    pub(super) fn refused(&mut self) {
        self.is_longer |= std::mem::take(&mut self.has_waited);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn as_many_leave_as_remain_and_then_none_until_the_reset() {
        let now = Instant::now();
        let mut quota = AnnouncedQuota::default();
        // The eleventh departure is answered: 5 more, of which 2 have left already.
        quota.report(now, 10, 5, now + second(10));
        assert!(!quota.is_used_up(now, 13) && !quota.is_used_up(now, 15));
        assert!(quota.is_used_up(now, 16));
        assert_eq!(quota.wait(now), Some(now + second(10)));
        assert!(!quota.is_used_up(now + second(10), 16));
        assert!(quota.is_idle());
    }

    #[test]
    fn the_report_for_the_newest_departure_counts_until_its_reset() {
        let now = Instant::now();
        let mut quota = AnnouncedQuota::default();
        quota.report(now, 10, 5, now + second(10));
        quota.report(now, 8, 7, now + second(10));
        assert!(quota.is_used_up(now, 16));
        quota.report(now, 11, 100, now + second(10));
        assert!(!quota.is_used_up(now, 16));
        quota.report(now + second(11), 3, 0, now + second(20));
        assert!(quota.is_used_up(now + second(11), 16));
    }

    #[test]
    fn where_resets_are_near_the_pool_comes_after_a_second_until_it_is_refused() {
        let mut now = Instant::now();
        let mut quota = AnnouncedQuota::default();
        let mut waits = Vec::new();
        for round in 0..6 {
            quota.report(now, round, 9, now + second(2));
            quota.report(now, round + 1, 0, now + second(2));
            assert!(quota.is_used_up(now, round + 2));
            let until = quota.wait(now).unwrap();
            waits.push((until - now).as_millis());
            now = until;
            if round == 2 {
                quota.refused();
            }
        }
        assert_eq!(waits, [2_000, 1_050, 1_050, 2_000, 2_000, 2_000]);
    }

    #[test]
    fn a_reset_that_has_passed_says_nothing() {
        let now = Instant::now();
        let mut quota = AnnouncedQuota::default();
        quota.report(now, 0, 0, now);
        assert!(quota.is_idle());
    }
}
