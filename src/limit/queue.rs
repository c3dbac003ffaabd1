//! The attempts that wait at the gate, first come, first served.
//!
//! Only the head of the queue checks slots, pauses and the rate; all others are parked and cost nothing until the one
//! before has left. Those that already hold a slot (a resend) come before those that still need one: otherwise each
//! could wait for the other. Those that were refused come before those that were never sent: a SKU that waits for a
//! limit to lift is not overtaken by the rest of the input.

use std::collections::VecDeque;
use std::task::Waker;

/// A place in the queue.
#[derive(Debug)]
enum Waiter {
    /// It gave up its place.
    Gone,
    /// Its owner is running, is about to, or sleeps on a timer of its own.
    Awake,
    /// Its owner waits to be woken.
    Parked(Waker),
}

/// Which part of the queue it is in: holders of a slot come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaiterKind {
    /// Keeps a slot and waits to send again.
    SlotHolder,
    /// Was refused, or goes on with what was begun, and wants a slot.
    Refused,
    /// Wants a slot.
    Newcomer,
}

/// Identifies one place in the queue.
#[derive(Debug)]
pub(super) struct Ticket {
    kind: WaiterKind,
    number: u64,
}

/// Waiters by number, so that giving one up in the middle moves nobody. The first and the last place
/// are never `Gone`.
#[derive(Debug, Default)]
struct Waiters {
    places: VecDeque<Waiter>,
    first: u64,
}

impl Waiters {
    fn get(&mut self, number: u64) -> Option<&mut Waiter> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.places.get_mut(index)
    }

    fn trim(&mut self) {
        while let Some(Waiter::Gone) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        while let Some(Waiter::Gone) = self.places.back() {
            self.places.pop_back();
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    holders: Waiters,
    refused: Waiters,
    newcomers: Waiters,
    waiting: usize,
}

impl WaitQueue {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// How many of them hold a slot.
    pub(super) fn holders(&self) -> usize {
        self.holders.places.iter().filter(|place| !matches!(place, Waiter::Gone)).count()
    }

    /// Takes a place at the end of its kind.
    pub(super) fn join(&mut self, kind: WaiterKind) -> Ticket {
        let places = self.kind(kind);
        let number = places.first + places.places.len() as u64;
        places.places.push_back(Waiter::Awake);
        self.waiting += 1;
        Ticket { kind, number }
    }

    /// Whether this place is the first of the whole queue.
    pub(super) fn is_head(&self, ticket: &Ticket) -> bool {
        match self.head() {
            Some(kind) if kind == ticket.kind => self.of(kind).first == ticket.number,
            _ => false,
        }
    }

    /// The kind of the waiter whose turn it is.
    pub(super) fn head(&self) -> Option<WaiterKind> {
        let kinds = [WaiterKind::SlotHolder, WaiterKind::Refused, WaiterKind::Newcomer];
        kinds.into_iter().find(|kind| !self.of(*kind).places.is_empty())
    }

    /// Waits at this place until woken. What is returned is to be dropped outside of any lock.
    pub(super) fn park(&mut self, ticket: &Ticket, waker: &Waker) -> Option<Waker> {
        let place = self.kind(ticket.kind).get(ticket.number)?;
        match place {
            Waiter::Parked(old) if old.will_wake(waker) => None,
            _ => match std::mem::replace(place, Waiter::Parked(waker.clone())) {
                Waiter::Parked(old) => Some(old),
                Waiter::Gone | Waiter::Awake => None,
            },
        }
    }

    /// Marks the owner as running, so that it is not woken in vain. Returned as by [`Self::park`].
    pub(super) fn unpark(&mut self, ticket: &Ticket) -> Option<Waker> {
        match std::mem::replace(self.kind(ticket.kind).get(ticket.number)?, Waiter::Awake) {
            Waiter::Parked(old) => Some(old),
            Waiter::Gone | Waiter::Awake => None,
        }
    }

    /// Gives the place up, from anywhere in the queue. Returned as by [`Self::park`].
    pub(super) fn leave(&mut self, ticket: &Ticket) -> Option<Waker> {
        let places = self.kind(ticket.kind);
        let left = std::mem::replace(places.get(ticket.number)?, Waiter::Gone);
        places.trim();
        self.waiting -= 1;
        match left {
            Waiter::Parked(old) => Some(old),
            Waiter::Gone | Waiter::Awake => None,
        }
    }

    /// The waker of the head, if it is parked. The caller wakes it outside of any lock.
    pub(super) fn wake_head(&mut self) -> Option<Waker> {
        let kind = self.head()?;
        let place = self.kind(kind).places.front_mut()?;
        match std::mem::replace(place, Waiter::Awake) {
            Waiter::Parked(waker) => Some(waker),
            Waiter::Gone | Waiter::Awake => None,
        }
    }

    fn of(&self, kind: WaiterKind) -> &Waiters {
        match kind {
            WaiterKind::SlotHolder => &self.holders,
            WaiterKind::Refused => &self.refused,
            WaiterKind::Newcomer => &self.newcomers,
        }
    }

    fn kind(&mut self, kind: WaiterKind) -> &mut Waiters {
        match kind {
            WaiterKind::SlotHolder => &mut self.holders,
            WaiterKind::Refused => &mut self.refused,
            WaiterKind::Newcomer => &mut self.newcomers,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holders_of_a_slot_stand_before_newcomers() {
        let mut queue = WaitQueue::default();
        let newcomer = queue.join(WaiterKind::Newcomer);
        assert!(queue.is_head(&newcomer));
        let holder = queue.join(WaiterKind::SlotHolder);
        assert!(queue.is_head(&holder) && !queue.is_head(&newcomer));
        queue.leave(&holder);
        assert!(queue.is_head(&newcomer));
    }

    #[test]
    fn only_a_parked_head_is_woken_and_only_once() {
        let mut queue = WaitQueue::default();
        let head = queue.join(WaiterKind::Newcomer);
        assert!(queue.wake_head().is_none());
        queue.park(&head, Waker::noop());
        assert!(queue.wake_head().is_some());
        assert!(queue.wake_head().is_none());
    }

    proptest! {
        #[test]
        fn giving_up_anywhere_keeps_the_order_of_the_rest(steps in prop::collection::vec(0_usize..6, 1..200)) {
            let mut queue = WaitQueue::default();
            let mut model: Vec<(Ticket, usize)> = Vec::new();
            for (id, step) in steps.into_iter().enumerate() {
                match step {
                    0..=2 => model.push((queue.join(WaiterKind::Newcomer), id)),
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
