//! The quota that the server announces: as many attempts leave as remain, and then the pool pauses until the reset.
//!
//! Nothing is slowed before: whether the rows that are left need the whole quota is not known, and an even distance
//! would gain nothing. What left after the attempt that was answered is not in the server's count yet.
//! Answers may overtake each other, so the report for the newest departure counts. No report makes the pool faster.

use tokio::time::Instant;

/// What an answer says of the quota.
#[derive(Debug, Clone, Copy)]
struct Report {
    /// The departure that was answered.
    number: u64,
    remaining: u64,
    reset: Instant,
}

/// The quota as it was announced last.
#[derive(Debug, Default)]
pub(super) struct AnnouncedQuota {
    report: Option<Report>,
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
            self.report = Some(Report { number, remaining, reset });
        }
    }

    /// When the quota is full again, if it is used up. `departures`: how many there were so far.
    pub(super) fn used_until(&mut self, now: Instant, departures: u64) -> Option<Instant> {
        let report = self.report?;
        if now >= report.reset {
            self.report = None;
            return None;
        }
        let left = departures.saturating_sub(report.number + 1);
        (left >= report.remaining).then_some(report.reset)
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
        assert_eq!(quota.used_until(now, 13), None);
        assert_eq!(quota.used_until(now, 15), None);
        assert_eq!(quota.used_until(now, 16), Some(now + second(10)));
        assert_eq!(quota.used_until(now + second(10), 16), None);
        assert!(quota.is_idle());
    }

    #[test]
    fn the_report_for_the_newest_departure_counts_until_its_reset() {
        let now = Instant::now();
        let mut quota = AnnouncedQuota::default();
        quota.report(now, 10, 5, now + second(10));
        quota.report(now, 8, 7, now + second(10));
        assert_eq!(quota.used_until(now, 16), Some(now + second(10)));
        quota.report(now, 11, 100, now + second(10));
        assert_eq!(quota.used_until(now, 16), None);
        quota.report(now + second(11), 3, 0, now + second(20));
        assert_eq!(quota.used_until(now + second(11), 16), Some(now + second(20)));
    }

    #[test]
    fn a_reset_that_has_passed_says_nothing() {
        let now = Instant::now();
        let mut quota = AnnouncedQuota::default();
        quota.report(now, 0, 0, now);
        assert!(quota.is_idle());
    }
}
