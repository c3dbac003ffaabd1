//! What is left of the server's quota: the pool slows down before it is used up.
//!
//! Only the last round is slowed: as long as more is left than may be in flight, it is not known whether the run
//! needs it. Then what is left is spread evenly over the time up to the reset; when
//! nothing is left, the pool pauses (that is the caller's part). Answers may overtake each other, so
//! of two reports the slower one counts until its reset. None ever makes the pool faster.

use std::time::Duration;

use tokio::time::Instant;

/// The gap that is kept, and until when.
#[derive(Debug, Clone, Copy)]
struct Spacing {
    gap: Duration,
    until: Instant,
    next: Instant,
}

/// The quota as it was reported.
#[derive(Debug, Default)]
pub(super) struct QuotaSpacing {
    spacing: Option<Spacing>,
}

/// What a report leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuotaAdvice {
    /// Nothing, or a gap that is kept from now on.
    Go,
    /// A pause until the reset.
    Pause,
}

impl QuotaSpacing {
    /// Whether no gap is kept.
    pub(super) fn is_idle(&self) -> bool {
        self.spacing.is_none()
    }

    /// Takes note that `left` more attempts are allowed until `reset`, those in flight counted out.
    /// `round`: how many may be in flight.
    pub(super) fn report(&mut self, now: Instant, left: u64, reset: Instant, round: usize) -> QuotaAdvice {
        let span = reset.saturating_duration_since(now);
        if span.is_zero() {
            return QuotaAdvice::Go;
        }
        let Some(parts) = u32::try_from(left).ok().filter(|left| *left > 0) else {
            return if left == 0 { QuotaAdvice::Pause } else { QuotaAdvice::Go };
        };
        if left > round as u64 {
            return QuotaAdvice::Go;
        }
        let gap = span / parts;
        match &mut self.spacing {
            Some(slow) if now < slow.until => {
                if gap > slow.gap {
                    (slow.gap, slow.until) = (gap, slow.until.max(reset));
                }
            }
            slow => *slow = Some(Spacing { gap, until: reset, next: now + gap }),
        }
        QuotaAdvice::Go
    }

    /// Whether an attempt may depart at `now`.
    ///
    /// # Errors
    /// The instant to try again at.
    pub(super) fn may_depart(&mut self, now: Instant) -> Result<(), Instant> {
        match self.spacing {
            Some(slow) if now >= slow.until => self.spacing = None,
            Some(slow) if now < slow.next => return Err(slow.next.min(slow.until)),
            _ => {}
        }
        Ok(())
    }

    /// Takes note of a departure.
    pub(super) fn left(&mut self, now: Instant) {
        if let Some(slow) = &mut self.spacing {
            slow.next = now + slow.gap;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn plenty_left_slows_nobody_and_nothing_left_pauses() {
        let now = Instant::now();
        let mut quota = QuotaSpacing::default();
        assert_eq!(quota.report(now, 65, now + second(10), 64), QuotaAdvice::Go);
        assert_eq!(quota.report(now, u64::MAX, now + second(10), 64), QuotaAdvice::Go);
        assert_eq!(quota.report(now, 0, now, 64), QuotaAdvice::Go);
        assert!(quota.is_idle());
        assert_eq!(quota.report(now, 0, now + second(10), 64), QuotaAdvice::Pause);
    }

    #[test]
    fn the_last_round_is_spread_up_to_the_reset() {
        let now = Instant::now();
        let mut quota = QuotaSpacing::default();
        assert_eq!(quota.report(now, 5, now + second(10), 64), QuotaAdvice::Go);
        let (mut at, mut left) = (now, 0);
        while at < now + second(10) {
            match quota.may_depart(at) {
                Ok(()) => {
                    quota.left(at);
                    left += 1;
                }
                Err(until) => at = until,
            }
        }
        assert!((4..=5).contains(&left), "{left}");
        assert_eq!(quota.may_depart(at), Ok(()));
        assert!(quota.is_idle());
    }

    #[test]
    fn of_two_reports_the_slower_one_counts() {
        let now = Instant::now();
        let mut quota = QuotaSpacing::default();
        let _ = quota.report(now, 2, now + second(10), 64);
        let _ = quota.report(now, 10, now + second(10), 64);
        assert_eq!(quota.may_depart(now + second(1)), Err(now + second(5)));
    }
}
