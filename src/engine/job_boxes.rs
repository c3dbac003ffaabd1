//! The futures of open jobs, in boxes that are used again.
//!
//! A job's future is large, because it holds all that an attempt needs. The set of open jobs moves what it is given three
//! times, so that it is given a box; and to allocate memory of that size for each job is slow.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A box, empty or with the future of a job.
type JobBox<F> = Pin<Box<Option<F>>>;

/// Boxes without a job.
pub(super) struct JobBoxes<F>(RefCell<Vec<JobBox<F>>>);

impl<F> Default for JobBoxes<F> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<F> JobBoxes<F> {
    /// The future in a box, which comes back once it has ended. It is made here, since each move of it is a copy of all
    /// that it will ever hold.
    #[inline]
    pub(super) fn hold(&self, make: impl FnOnce() -> F) -> BoxedJob<'_, F> {
        let spare = self.0.borrow_mut().pop();
        let mut job = spare.unwrap_or_else(|| Box::pin(None));
        job.as_mut().set(Some(make()));
        BoxedJob { job: Some(job), boxes: self }
    }
}

/// The future of a job, in a box.
pub(super) struct BoxedJob<'a, F> {
    /// None once it has ended.
    job: Option<JobBox<F>>,
    boxes: &'a JobBoxes<F>,
}

impl<F: Future> Future for BoxedJob<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.job.as_mut().and_then(|job| job.as_mut().as_pin_mut());
        let Some(Poll::Ready(ended)) = future.map(|future| future.poll(cx)) else { return Poll::Pending };
        if let Some(mut job) = self.job.take() {
            job.as_mut().set(None);
            self.boxes.0.borrow_mut().push(job);
        }
        Poll::Ready(ended)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn a_box_is_used_again_once_its_job_has_ended_and_what_the_job_held_is_dropped_by_then() {
        let (boxes, held) = (JobBoxes::default(), Rc::new(()));
        let job = |held: &Rc<()>| {
            let held = Rc::clone(held);
            async move {
                tokio::task::yield_now().await;
                Rc::strong_count(&held)
            }
        };
        let (first, second) = (boxes.hold(|| job(&held)), boxes.hold(|| job(&held)));
        assert_eq!((first.await, Rc::strong_count(&held)), (3, 2));
        assert_eq!(boxes.0.borrow().len(), 1);
        let third = boxes.hold(|| job(&held));
        assert_eq!(boxes.0.borrow().len(), 0);
        assert_eq!((third.await, boxes.0.borrow().len()), (3, 1));
        drop(second);
        assert_eq!((boxes.0.borrow().len(), Rc::strong_count(&held)), (1, 1), "a job that is given up");
    }
}
