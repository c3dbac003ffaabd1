//! The clock that governor reads.
//!
//! governor reads its clock itself, and its own clocks do not follow tokio's paused time. This one
//! shows what the pacer set it to: nanoseconds since the pacer's start, computed from tokio's clock
//! less what a late timer is owed (see [`super::pacer`]).

use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::{Clock, Reference};
use governor::nanos::Nanos;

/// An instant in the pacer's books: nanoseconds since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) u64);

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, wait: Nanos) -> Self {
        Self(self.0.saturating_add(wait.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::new(self.0.saturating_sub(earlier.0))
    }

    fn saturating_sub(&self, wait: Nanos) -> Self {
        self.0.checked_sub(wait.as_u64()).map_or(*self, Self)
    }
}

/// A clock that stands still until it is set. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub(super) struct SetClock(Arc<AtomicU64>);

impl SetClock {
    /// Shows this moment from now on.
    pub(super) fn set(&self, moment: Moment) {
        self.0.store(moment.0, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate_at_both_ends() {
        assert_eq!(Moment(3).duration_since(Moment(5)), Nanos::new(0));
        assert_eq!(Moment(3).saturating_sub(Nanos::new(5)), Moment(3));
        assert_eq!(Moment(u64::MAX) + Nanos::new(1), Moment(u64::MAX));
    }
}
