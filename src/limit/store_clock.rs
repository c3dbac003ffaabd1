//! What this process knows of the store's clock: between which two instants the store's time zero lies.
//!
//! A call says that its script ran between sending and arrival, and the tightest bounds of all calls hold on, widened by
//! what two clocks may drift apart. So one slow answer does no harm. Where the store is far away, the bounds of its
//! shortest round trip would leave no time to use a grant: what exceeds [`UNSURE`] of it is taken to be half the way there
//! and half the way back.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest round trip is that of this time and the time before it: a path that has become longer is noticed.
const PERIOD: Duration = Duration::from_secs(10);
/// A round trip this long is allowed to be the way in one direction alone.
const UNSURE: Duration = Duration::from_millis(4);
/// Two clocks may drift apart by this part of the time that passes.
const DRIFT: i64 = 5_000;

/// One call of the store: the instants here, and the store's time when its script ran.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreReading {
    pub(super) sent: Instant,
    pub(super) arrived: Instant,
    pub(super) store: Duration,
}

/// The store's clock, in nanoseconds since `start` of the one here.
#[derive(Debug)]
pub(super) struct StoreClock {
    start: Instant,
    /// Where the store's time zero lies, and when that was known.
    zero: Option<(i64, i64, Instant)>,
    newest: Duration,
    /// The shortest round trip of this period and of the one before.
    shortest: [Option<Duration>; 2],
    period_began: Instant,
}

impl StoreClock {
    /// Nothing is known of it.
    pub(super) fn new(start: Instant) -> Self {
        Self { start, zero: None, newest: Duration::ZERO, shortest: [None; 2], period_began: start }
    }

    /// Takes note of a call.
    pub(super) fn read(&mut self, StoreReading { sent, arrived, store }: StoreReading) {
        let was = self.way();
        self.add_round_trip(arrived.saturating_duration_since(sent), arrived);
        let way = self.way();
        if way < was {
            // The bounds so far rest on a longer way.
            self.zero = None;
        }
        let (sent, here) = (self.since_start(sent), self.since_start(arrived));
        let earliest = sent + way - nanos(store);
        let latest = (here - way - nanos(store)).max(earliest);
        self.zero = match self.zero {
            Some((low, high, at)) => {
                let drift = nanos(arrived.saturating_duration_since(at)) / DRIFT;
                let (low, high) = (earliest.max(low - drift), latest.min(high + drift));
                // One of the clocks was set.
                if low > high { Some((earliest, latest, arrived)) } else { Some((low, high, arrived)) }
            }
            None => Some((earliest, latest, arrived)),
        };
    }

    /// The store counts its time from another instant now.
    pub(super) fn forget(&mut self) {
        self.zero = None;
    }

    /// Between which two instants the store's clock shows this time.
    pub(super) fn instants(&self, store: Duration) -> (Instant, Instant) {
        let (low, high, _) = self.zero.unwrap_or((0, 0, self.start));
        let at = |zero: i64| {
            let since_start = u64::try_from(zero.saturating_add(nanos(store))).unwrap_or(0);
            self.start + Duration::from_nanos(since_start)
        };
        (at(low), at(high))
    }

    /// The time of the newest round trip.
    pub(super) fn newest(&self) -> Duration {
        self.newest
    }

    /// The shortest round trip of the last ten to twenty seconds.
    pub(super) fn shortest(&self) -> Duration {
        self.shortest.into_iter().flatten().min().unwrap_or_default()
    }

    fn add_round_trip(&mut self, took: Duration, now: Instant) {
        self.newest = took;
        if now.saturating_duration_since(self.period_began) >= PERIOD {
            self.shortest = [None, self.shortest[0]];
            self.period_began = now;
        }
        self.shortest[0] = Some(self.shortest[0].map_or(took, |known| known.min(took)));
    }

    /// What is certain of the way in each direction, in nanoseconds.
    fn way(&self) -> i64 {
        nanos(self.shortest().saturating_sub(UNSURE) / 2)
    }

    fn since_start(&self, instant: Instant) -> i64 {
        nanos(instant.saturating_duration_since(self.start))
    }
}

/// Saturates far below the end of the numbers, so that a few may be added.
fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).min(i64::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Reads a clock whose zero is 1 s after `start`.
    fn read(clock: &mut StoreClock, start: Instant, (sent, ran, arrived): (u64, u64, u64)) {
        let reading =
            StoreReading { sent: start + ms(sent), arrived: start + ms(arrived), store: ms(ran - 1_000) };
        clock.read(reading);
    }

    #[test]
    fn the_shortest_round_trip_is_kept_until_it_is_old() {
        let start = Instant::now();
        let mut clock = StoreClock::new(start);
        assert_eq!(clock.shortest(), Duration::ZERO);
        for (at, took, shortest) in
            [(1_000, 9, 9), (2_000, 3, 3), (9_000, 20, 3), (11_000, 20, 3), (19_000, 15, 3), (22_000, 17, 15)]
        {
            read(&mut clock, start, (at, at + 1, at + took));
            assert_eq!((clock.newest(), clock.shortest()), (ms(took), ms(shortest)), "at {at} ms");
        }
    }

    #[test]
    fn the_bounds_hold_the_true_instant_and_one_slow_answer_does_not_widen_them() {
        let start = Instant::now();
        let mut clock = StoreClock::new(start);
        let mut widest = Duration::MAX;
        for (sent, ran, arrived) in
            [(1_000, 1_025, 1_050), (1_100, 1_103, 1_103), (1_200, 1_390, 1_400), (1_500, 1_501, 1_502)]
        {
            read(&mut clock, start, (sent, ran, arrived));
            let (low, high) = clock.instants(ms(500));
            assert!(low <= start + ms(1_500) && start + ms(1_500) <= high, "{low:?} {high:?}");
            assert!(high - low <= widest, "{ran}");
            widest = high - low + ms(1);
        }
        assert!(widest <= ms(3), "{widest:?}");
    }

    #[test]
    fn a_clock_that_was_set_is_learnt_anew() {
        let start = Instant::now();
        let mut clock = StoreClock::new(start);
        read(&mut clock, start, (2_000, 2_001, 2_002));
        clock.read(StoreReading {
            sent: start + ms(2_100),
            arrived: start + ms(2_102),
            store: Duration::from_secs(77),
        });
        let (low, high) = clock.instants(Duration::from_secs(77));
        assert!(low <= start + ms(2_102) && high >= start + ms(2_100), "{low:?} {high:?}");
    }
}
