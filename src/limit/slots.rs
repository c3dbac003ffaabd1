//! How many attempts are in flight, and how many may be: a number that may change while they are.
//!
//! A limit that shrinks takes no slot back: no attempt leaves until enough have ended.

/// The slots.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    in_flight: usize,
    #[cfg(test)]
    peak: usize,
    departures: u64,
    /// How many had left when (nearly) all slots were last taken.
    full_until: u64,
    /// Which of the first departures have ended, a bit each.
    ended: u32,
}

impl Slots {
    /// All free.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            in_flight: 0,
            #[cfg(test)]
            peak: 0,
            departures: 0,
            full_until: 0,
            ended: 0,
        }
    }

    /// Whether one more may be in flight.
    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many more may be in flight.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.in_flight)
    }

    /// How many may be in flight.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Changes how many may be in flight.
    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// How many are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether at least seven eighths of the slots were taken when this departure, or one after it,
    /// left: then the limit is what holds the pool back. (Those that leave together, first and last,
    /// find very different numbers before them.)
    pub(super) fn was_full_since(&self, number: u64) -> bool {
        number < self.full_until
    }

    /// The most that ever were in flight.
    #[cfg(test)]
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// Slots taken so far.
    pub(super) fn departures(&self) -> u64 {
        self.departures
    }

    /// Takes a slot; the caller has checked that one is free.
    pub(super) fn take(&mut self) {
        self.in_flight += 1;
        self.departures += 1;
        #[cfg(test)]
        {
            self.peak = self.peak.max(self.in_flight);
        }
        if self.in_flight.saturating_mul(8) >= self.limit.saturating_mul(7) {
            self.full_until = self.departures;
        }
    }

    /// Gives the slot of this departure back.
    pub(super) fn release(&mut self, number: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if number < u64::from(u32::BITS) {
            self.ended |= 1 << number;
        }
    }

    /// Whether one of the first `count` departures has not ended, of which there are at most 32.
    pub(super) fn is_one_in_flight_of_first(&self, count: u32) -> bool {
        self.ended.trailing_ones() < count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_shrinks_lets_nobody_leave_until_enough_have_ended() {
        let mut slots = Slots::new(3);
        (0..3).for_each(|_| slots.take());
        slots.resize(1);
        for in_flight in [3, 2, 1] {
            assert_eq!((slots.in_flight(), slots.has_room()), (in_flight, false));
            slots.release(0);
        }
        assert!(slots.has_room());
        assert_eq!((slots.peak(), slots.departures()), (3, 3));
    }

    #[test]
    fn of_the_first_departures_the_order_of_the_answers_does_not_count() {
        let mut slots = Slots::new(8);
        (0..8).for_each(|_| slots.take());
        for number in [3, 4, 5, 6, 7, 1] {
            slots.release(number);
        }
        assert!(slots.is_one_in_flight_of_first(1) && slots.is_one_in_flight_of_first(5));
        slots.release(0);
        assert!(!slots.is_one_in_flight_of_first(2) && slots.is_one_in_flight_of_first(5));
        slots.release(2);
        slots.release(1_000_000);
        assert!(!slots.is_one_in_flight_of_first(5));
    }

    #[test]
    fn all_that_leave_together_find_the_slots_full_if_the_last_one_does() {
        let mut slots = Slots::new(8);
        (0..6).for_each(|_| slots.take());
        assert!(!slots.was_full_since(0));
        slots.take();
        assert!((0..7).all(|number| slots.was_full_since(number)));
        (0..7).for_each(|number| slots.release(number));
        slots.take();
        assert!(!slots.was_full_since(7));
    }
}
