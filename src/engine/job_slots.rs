//! The futures of open jobs, in slots that are used again.
//!
//! A job's future is large, because it holds all that an attempt needs, and to allocate memory of that size for each job is
//! slow. So a slot keeps its box when its job has ended, and its wakers too: to open a job takes no
//! allocation, and those that were woken are taken over together.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// So many jobs may wake themselves while they are polled before the task is given back: each of them wants others to
/// come first.
const YIELDS: usize = 2;

/// The futures of open jobs. As many slots stay as jobs were ever open at a time.
pub(super) struct JobSlots<F> {
    slots: Vec<JobSlot<F>>,
    /// Those without a job.
    free: Vec<usize>,
    /// Those to be polled next, in this order.
    due: VecDeque<Woken>,
    woken: Arc<WokenSlots>,
}

struct JobSlot<F> {
    /// None where it is free.
    job: Pin<Box<Option<F>>>,
    /// Jobs use them in turn: one leaves its waker in its connection, where the request of the next job wakes it. With
    /// one waker that would be the next job itself, polled once more for nothing.
    wakers: [SlotWaker; 2],
    /// Which of them its job has.
    turn: usize,
}

struct SlotWaker {
    state: Arc<WakerState>,
    /// Of this state.
    waker: Waker,
}

/// A slot, and which of its wakers woke it.
#[derive(Clone, Copy)]
struct Woken {
    slot: usize,
    turn: usize,
}

struct WakerState {
    wakes: Woken,
    /// It is among those that were woken, or due.
    is_woken: AtomicBool,
    woken: Arc<WokenSlots>,
}

/// The slots that were woken since they were taken over last, by whatever thread.
#[derive(Default)]
struct WokenSlots(Mutex<WokenState>);

#[derive(Default)]
struct WokenState {
    slots: VecDeque<Woken>,
    /// Of the task that polls the jobs.
    task: Option<Waker>,
    /// The task was woken since it took over the slots.
    is_task_due: bool,
}

impl WokenSlots {
    fn lock(&self) -> MutexGuard<'_, WokenState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges them for an empty queue. From now on the first one that is woken wakes this task.
    fn take(&self, empty: &mut VecDeque<Woken>, task: &Waker) {
        let mut state = self.lock();
        std::mem::swap(&mut state.slots, empty);
        if !state.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            state.task = Some(task.clone());
        }
        state.is_task_due = false;
    }
}

impl Wake for WakerState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.woken.lock();
        // Whoever came before has woken the task, which takes over all of them.
        let is_task_due = std::mem::replace(&mut state.is_task_due, true);
        let task = if is_task_due { None } else { state.task.clone() };
        state.slots.push_back(self.wakes);
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<F> Default for JobSlots<F> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), due: VecDeque::new(), woken: Arc::default() }
    }
}

impl<F> JobSlots<F> {
    /// Opens a job, to be polled after all that were woken before. Its future is made in the slot, since each move of it is
    /// a copy of all that it will ever hold.
    #[inline]
    pub(super) fn open(&mut self, make: impl FnOnce() -> F) {
        let number = self.free.pop().unwrap_or_else(|| self.add_slot());
        let slot = &mut self.slots[number];
        slot.job.set(Some(make()));
        slot.turn ^= 1;
        let state = &slot.wakers[slot.turn].state;
        // If it is woken already, by what a job before the last one has left, it is on its way.
        if !state.is_woken.swap(true, Ordering::AcqRel) {
            self.woken.lock().slots.push_back(state.wakes);
        }
    }

    #[cold]
    fn add_slot(&mut self) -> usize {
        let slot = self.slots.len();
        let wakers = [0, 1].map(|turn| {
            let (wakes, woken) = (Woken { slot, turn }, Arc::clone(&self.woken));
            let state = Arc::new(WakerState { wakes, is_woken: AtomicBool::new(false), woken });
            SlotWaker { waker: Waker::from(Arc::clone(&state)), state }
        });
        self.slots.push(JobSlot { job: Box::pin(None), wakers, turn: 0 });
        slot
    }

    /// How many jobs are open.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl<F: Future> JobSlots<F> {
    /// What the next job that ends gives. The caller polls again until no more has ended. Each job is polled once at
    /// most, so that a task that always has a job to poll comes to its other business.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (mut polls, mut yields) = (self.len(), 0);
        loop {
            if self.due.is_empty() {
                self.woken.take(&mut self.due, cx.waker());
            }
            let Some(Woken { slot: number, turn }) = self.due.pop_front() else { return Poll::Pending };
            let slot = &mut self.slots[number];
            let SlotWaker { state, waker } = &slot.wakers[turn];
            state.is_woken.swap(false, Ordering::AcqRel);
            let job = slot.job.as_mut().as_pin_mut().filter(|_| turn == slot.turn);
            let Some(job) = job else { continue };
            if let Poll::Ready(ended) = job.poll(&mut Context::from_waker(waker)) {
                slot.job.set(None);
                self.free.push(number);
                return Poll::Ready(ended);
            }
            polls -= 1;
            yields += usize::from(state.is_woken.load(Ordering::Relaxed));
            if polls == 0 || yields == YIELDS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::LocalBoxFuture;
    use proptest::prelude::*;
    use tokio::sync::oneshot;

    use super::*;

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn taken(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    type Jobs<'a> = JobSlots<LocalBoxFuture<'a, usize>>;

    fn ended(jobs: &mut Jobs<'_>, task: &Arc<Wakes>) -> Vec<usize> {
        let waker = Waker::from(Arc::clone(task));
        let mut ended = Vec::new();
        while let Poll::Ready(number) = jobs.poll_next(&mut Context::from_waker(&waker)) {
            ended.push(number);
        }
        ended
    }

    #[test]
    fn a_waker_that_a_job_left_behind_does_not_poll_the_next_job_in_its_slot() {
        let (mut jobs, task, left, polls) =
            (Jobs::default(), Arc::default(), Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
        let behind = Rc::clone(&left);
        jobs.open(|| {
            Box::pin(poll_fn(move |cx| {
                *behind.borrow_mut() = Some(cx.waker().clone());
                Poll::Ready(1)
            }))
        });
        assert_eq!(ended(&mut jobs, &task), [1]);
        let counted = Rc::clone(&polls);
        jobs.open(|| {
            Box::pin(poll_fn(move |_| {
                counted.set(counted.get() + 1);
                Poll::Pending
            }))
        });
        assert!(ended(&mut jobs, &task).is_empty());
        left.take().expect("the job left its waker").wake();
        assert!(ended(&mut jobs, &task).is_empty());
        assert_eq!(polls.get(), 1);
    }

    #[test]
    fn a_slot_is_used_again_once_its_job_has_ended_and_what_the_job_held_is_dropped_by_then() {
        let (mut jobs, held, task) = (Jobs::default(), Rc::new(()), Arc::default());
        for _ in 0..5 {
            for number in 0..3 {
                let held = Rc::clone(&held);
                jobs.open(|| {
                    Box::pin(async move {
                        tokio::task::yield_now().await;
                        number + Rc::strong_count(&held)
                    })
                });
            }
            assert_eq!((jobs.len(), Rc::strong_count(&held)), (3, 4));
            while jobs.len() > 0 {
                ended(&mut jobs, &task);
            }
            assert_eq!(Rc::strong_count(&held), 1);
        }
        assert_eq!(jobs.slots.len(), 3);
    }

    #[test]
    fn a_job_is_not_woken_by_what_the_job_before_it_has_left() {
        let left = Mutex::new(None);
        let (mut jobs, task) = (Jobs::default(), Arc::<Wakes>::default());
        for number in 0..20 {
            let polls = AtomicUsize::new(0);
            let left = &left;
            jobs.open(|| {
                Box::pin(poll_fn(move |cx| {
                    if polls.fetch_add(1, Ordering::Relaxed) == 0 {
                        let old: Option<Waker> = left.lock().unwrap().replace(cx.waker().clone());
                        old.iter().for_each(Waker::wake_by_ref);
                        return Poll::Pending;
                    }
                    Poll::Ready(number)
                }))
            });
            assert!(ended(&mut jobs, &task).is_empty());
            left.lock().unwrap().as_ref().unwrap().wake_by_ref();
            assert_eq!(ended(&mut jobs, &task), [number]);
        }
    }

    #[test]
    fn only_jobs_that_were_woken_are_polled_and_the_first_of_them_wakes_the_task() {
        let polls = [const { AtomicUsize::new(0) }; 3];
        let (mut jobs, task) = (Jobs::default(), Arc::<Wakes>::default());
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        for (number, mut receiver) in receivers.into_iter().enumerate() {
            let polls = &polls[number];
            jobs.open(|| {
                Box::pin(poll_fn(move |cx| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    Pin::new(&mut receiver).poll(cx).map(|sent| sent.unwrap_or(usize::MAX))
                }))
            });
        }
        // Each was polled once: the task is given back before it is known that no more is due.
        assert_eq!((ended(&mut jobs, &task), task.taken()), (vec![], 1));
        assert_eq!((ended(&mut jobs, &task), task.taken()), (vec![], 0));
        let mut senders: Vec<_> = senders.into_iter().map(Some).collect();
        for number in [2, 0] {
            senders[number].take().unwrap().send(number).unwrap();
        }
        assert_eq!(task.taken(), 1);
        assert_eq!(ended(&mut jobs, &task), [2, 0]);
        let polls = polls.each_ref().map(|polls| polls.load(Ordering::Relaxed));
        assert_eq!((jobs.len(), polls), (1, [2, 1, 2]));
    }

    #[test]
    fn a_waker_that_a_job_left_behind_does_no_harm() {
        let left = Mutex::new(None);
        let (mut jobs, task) = (Jobs::default(), Arc::<Wakes>::default());
        jobs.open(|| {
            Box::pin(poll_fn(|cx| {
                *left.lock().unwrap() = Some(cx.waker().clone());
                Poll::Ready(1)
            }))
        });
        assert_eq!(ended(&mut jobs, &task), [1]);
        let old = left.lock().unwrap().take().unwrap();
        old.wake_by_ref();
        assert_eq!((task.taken(), ended(&mut jobs, &task)), (1, vec![]), "the slot is free");
        for number in 2..12 {
            old.wake_by_ref();
            jobs.open(|| Box::pin(std::future::ready(number)));
            assert_eq!(
                (ended(&mut jobs, &task), jobs.len()),
                (vec![number], 0),
                "also as the slot's next job"
            );
        }
    }

    #[test]
    fn jobs_that_always_have_more_to_do_give_the_task_back() {
        let (mut jobs, task) = (Jobs::default(), Arc::<Wakes>::default());
        for _ in 0..5 {
            jobs.open(|| {
                Box::pin(async {
                    loop {
                        tokio::task::yield_now().await;
                    }
                })
            });
        }
        for _ in 0..10 {
            assert!(ended(&mut jobs, &task).is_empty());
            assert!(task.taken() > 0);
        }
    }

    #[test]
    fn a_job_is_woken_from_another_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut jobs = Jobs::default();
        let mut numbers = Vec::new();
        for number in 0..64 {
            let (sender, receiver) = oneshot::channel();
            jobs.open(|| Box::pin(async { receiver.await.unwrap() }));
            std::thread::spawn(move || sender.send(number).unwrap());
        }
        runtime.block_on(async {
            while jobs.len() > 0 {
                numbers.push(poll_fn(|cx| jobs.poll_next(cx)).await);
            }
        });
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..64));
    }

    proptest! {
        /// Whatever is woken between polls and in them, each job ends once, and the task is woken for it.
        #[test]
        fn every_job_ends_once_and_no_wake_is_lost(steps in proptest::collection::vec((0_usize..4, 0_usize..8), 1..80)) {
            let (mut jobs, task) = (Jobs::default(), Arc::<Wakes>::default());
            let (mut open, mut opened, mut sent, mut seen) = (Vec::new(), 0, Vec::new(), Vec::new());
            for (kind, place) in steps {
                match kind {
                    0 | 1 => {
                        let (sender, receiver) = oneshot::channel();
                        open.push((opened, sender));
                        opened += 1;
                        jobs.open(|| Box::pin(async move {
                            if place % 2 == 0 {
                                tokio::task::yield_now().await;
                            }
                            receiver.await.unwrap_or(usize::MAX)
                        }));
                    }
                    2 if !open.is_empty() => {
                        let (number, sender) = open.swap_remove(place % open.len());
                        prop_assert!(sender.send(number).is_ok());
                        sent.push(number);
                    }
                    _ => {
                        seen.extend(ended(&mut jobs, &task));
                    }
                }
            }
            seen.extend(ended(&mut jobs, &task));
            while task.taken() > 0 {
                seen.extend(ended(&mut jobs, &task));
            }
            seen.sort_unstable();
            sent.sort_unstable();
            prop_assert_eq!(&seen, &sent);
            prop_assert_eq!(jobs.len(), open.len());
        }
    }
}
