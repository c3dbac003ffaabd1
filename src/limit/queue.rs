//! Who stands in line at the gate, first come, first served.
//!
//! Only the head of the line looks at slots, pauses and the rate; everybody else is parked and costs
//! nothing until the one before has left. Those who already hold a slot (a resend) stand before those
//! who still want one: otherwise each could wait for the other.

use std::collections::VecDeque;
use std::task::Waker;

/// A place in the line.
#[derive(Debug)]
enum Place {
    /// Given up by somebody who does not wait any more.
    Gone,
    /// Its owner is running, is about to, or sleeps on a timer of its own.
    Awake,
    /// Its owner waits to be woken.
    Parked(Waker),
}

/// Which part of the line: holders of a slot first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Keeps a slot and waits to send again.
    Holders,
    /// Wants a slot.
    Newcomers,
}

/// Names one place in the line.
#[derive(Debug)]
pub(super) struct Ticket {
    lane: Lane,
    number: u64,
}

/// Places by number, so that giving one up in the middle moves nobody. The first and the last place
/// are never `Gone`.
#[derive(Debug, Default)]
struct Places {
    places: VecDeque<Place>,
    first: u64,
}

impl Places {
    fn get(&mut self, number: u64) -> Option<&mut Place> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.places.get_mut(index)
    }

    fn trim(&mut self) {
        while let Some(Place::Gone) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        while let Some(Place::Gone) = self.places.back() {
            self.places.pop_back();
        }
    }
}

/// The line.
#[derive(Debug, Default)]
pub(super) struct Queue {
    holders: Places,
    newcomers: Places,
    waiting: usize,
}

impl Queue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Takes a place at the end of the lane.
    pub(super) fn join(&mut self, lane: Lane) -> Ticket {
        let places = self.lane(lane);
        let number = places.first + places.places.len() as u64;
        places.places.push_back(Place::Awake);
        self.waiting += 1;
        Ticket { lane, number }
    }

    /// Whether this place is the first of the whole line.
    pub(super) fn is_head(&self, ticket: &Ticket) -> bool {
        match self.head() {
            Some(lane) if lane == ticket.lane => {
                let first = if lane == Lane::Holders { self.holders.first } else { self.newcomers.first };
                first == ticket.number
            }
            _ => false,
        }
    }

    /// The lane of the one whose turn it is.
    pub(super) fn head(&self) -> Option<Lane> {
        if !self.holders.places.is_empty() {
            Some(Lane::Holders)
        } else if !self.newcomers.places.is_empty() {
            Some(Lane::Newcomers)
        } else {
            None
        }
    }

    /// Waits at this place until woken. What is returned is to be dropped outside of any lock.
    pub(super) fn park(&mut self, ticket: &Ticket, waker: &Waker) -> Option<Waker> {
        let place = self.lane(ticket.lane).get(ticket.number)?;
        match place {
            Place::Parked(old) if old.will_wake(waker) => None,
            _ => match std::mem::replace(place, Place::Parked(waker.clone())) {
                Place::Parked(old) => Some(old),
                Place::Gone | Place::Awake => None,
            },
        }
    }

    /// Marks the owner as running, so that nobody wakes it in vain. Returned as by [`Self::park`].
    pub(super) fn unpark(&mut self, ticket: &Ticket) -> Option<Waker> {
        match std::mem::replace(self.lane(ticket.lane).get(ticket.number)?, Place::Awake) {
            Place::Parked(old) => Some(old),
            Place::Gone | Place::Awake => None,
        }
    }

    /// Gives the place up, from anywhere in the line. Returned as by [`Self::park`].
    pub(super) fn leave(&mut self, ticket: &Ticket) -> Option<Waker> {
        let places = self.lane(ticket.lane);
        let left = std::mem::replace(places.get(ticket.number)?, Place::Gone);
        places.trim();
        self.waiting -= 1;
        match left {
            Place::Parked(old) => Some(old),
            Place::Gone | Place::Awake => None,
        }
    }

    /// The waker of the head, if it is parked. The caller wakes it outside of any lock.
    pub(super) fn wake_head(&mut self) -> Option<Waker> {
        let lane = self.head()?;
        let place = self.lane(lane).places.front_mut()?;
        match std::mem::replace(place, Place::Awake) {
            Place::Parked(waker) => Some(waker),
            Place::Gone | Place::Awake => None,
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut Places {
        match lane {
            Lane::Holders => &mut self.holders,
            Lane::Newcomers => &mut self.newcomers,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holders_of_a_slot_stand_before_newcomers() {
        let mut queue = Queue::default();
        let newcomer = queue.join(Lane::Newcomers);
        assert!(queue.is_head(&newcomer));
        let holder = queue.join(Lane::Holders);
        assert!(queue.is_head(&holder) && !queue.is_head(&newcomer));
        queue.leave(&holder);
        assert!(queue.is_head(&newcomer));
    }

    #[test]
    fn only_a_parked_head_is_woken_and_only_once() {
        let mut queue = Queue::default();
        let head = queue.join(Lane::Newcomers);
        assert!(queue.wake_head().is_none());
        queue.park(&head, Waker::noop());
        assert!(queue.wake_head().is_some());
        assert!(queue.wake_head().is_none());
    }

    proptest! {
        #[test]
        fn giving_up_anywhere_keeps_the_order_of_the_rest(steps in prop::collection::vec(0_usize..6, 1..200)) {
            let mut queue = Queue::default();
            let mut model: Vec<(Ticket, usize)> = Vec::new();
            for (id, step) in steps.into_iter().enumerate() {
                match step {
                    0..=2 => model.push((queue.join(Lane::Newcomers), id)),
                    3 if !model.is_empty() => { let (ticket, _) = model.remove(0); queue.leave(&ticket); }
                    _ if !model.is_empty() => {
                        let (ticket, _) = model.remove(id % model.len());
                        queue.leave(&ticket);
                    }
                    _ => {}
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.head().is_none(), model.is_empty());
                for (index, (ticket, _)) in model.iter().enumerate() {
                    prop_assert_eq!(queue.is_head(ticket), index == 0);
                }
            }
        }
    }
}
