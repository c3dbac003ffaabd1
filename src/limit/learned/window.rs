//! A window that was learnt from refusals: so many attempts are accepted in a period, however fast they come.
//!
//! Within the window attempts leave as fast as they can; when as many have left as were accepted in an earlier one, the
//! pool waits for the end of the period. Now and then one more is sent, to find out whether the window holds more or its
//! period is shorter.

use std::time::Duration;

use tokio::time::Instant;

/// Periods that people choose, in seconds. A period is only known to lie between the last probe that was refused and
/// the first that was accepted; of these the first in between is tried.
const USUAL: [u64; 14] = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600];
/// A probe that was refused at up to this many times the period may have left late, or early in the server's eyes.
const LATE: f64 = 1.026;
/// If so many more than its capacity are accepted in a window, there is no such window.
const SURPLUS: u32 = 3;
/// Where a bucket with a ban may have been taken for a window, one more is tried after this part of the period. A bucket
/// that is worth more than the window has gained one by then. If it is a window with a ban, the ban is counted from the
/// try, so that a later one would cost more.
const TRIED_AFTER: u32 = 4;
/// Otherwise after this part: if the period is no longer than that, one more is accepted.
const TRIED_AT: u32 = 2;
/// One more is tried after so many windows without a refusal. After a try that was refused it is tried …
const FIRST_TRY: u32 = 2;
/// … after so many times as many, because some servers refuse everything for long after it …
const TRIED_LATER: u32 = 4;
/// … and at most after so many.
const TRIED_LATEST: u32 = 64;
/// The window is taken to end this much later, for timers and clocks.
const MARGIN: Duration = Duration::from_millis(50);

/// The shortest usual period in a range, or the end of the range.
fn usual_between(least: Duration, most: Duration) -> Duration {
    let usual = USUAL.into_iter().map(Duration::from_secs);
    usual.filter(|period| period.mul_f64(LATE) >= least && *period <= most).min().unwrap_or(most).max(least)
}

/// The usual period that is a little shorter than this one, or this one.
fn configured(period: Duration) -> Duration {
    let usual = USUAL.into_iter().map(Duration::from_secs);
    usual.into_iter().find(|usual| (*usual..=usual.mul_f64(LATE)).contains(&period)).unwrap_or(period)
}

/// For how long the server accepted nothing, counted from the beginning of the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closed {
    /// At least so long.
    pub(super) shortest: Duration,
    /// At most so long.
    pub(super) longest: Duration,
    /// No probe was refused meanwhile: the server said how long to wait.
    pub(super) may_be_bucket: bool,
}

/// One request more than the window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OneMore {
    /// Not in this window.
    No,
    /// Once the window is used up.
    Due,
    /// It left.
    Sent,
}

/// The window.
#[derive(Debug)]
pub(super) struct LearnedWindow {
    /// How many are accepted in a period.
    capacity: u64,
    /// The period that is tried …
    period: Duration,
    /// … and the one that is known to be long enough.
    longest: Duration,
    began: Instant,
    /// Its end is a period after this instant.
    counts_from: Instant,
    /// How many left since it began.
    sent: u64,
    /// How many windows ended without a refusal since the newest one.
    unrefused: u32,
    /// Whether one more than the capacity is sent in this window.
    one_more: OneMore,
    /// After how many windows without a refusal one more is tried.
    next_try: u32,
    /// The period after which this window began, if nothing was refused meanwhile.
    began_after: Option<Duration>,
    /// Whether no window has begun since it was learnt.
    is_new: bool,
    /// The server said how long to wait, so that a bucket may be taken for a window.
    may_be_bucket: bool,
    /// How many more than the capacity were accepted in this window.
    surplus: u32,
    /// How often the end of this window was found to be too early.
    lengthened: u32,
}

/// What the window allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WindowAdvice {
    /// An attempt may leave.
    Leave,
    /// An attempt may leave if no other one is in flight: it is one more than was ever accepted.
    LeaveAlone,
    /// At this instant one more may leave, alone.
    TryAt(Instant),
    /// The window is used up until this instant.
    UsedUntil(Instant),
}

impl LearnedWindow {
    /// So many were accepted from `began` on, until the server closed.
    pub(super) fn new(capacity: u64, closed: &Closed, began: Instant) -> Self {
        let Closed { shortest, longest, may_be_bucket } = *closed;
        let period = usual_between(shortest, longest);
        Self {
            capacity: capacity.max(1),
            period,
            longest: longest.max(period),
            began,
            counts_from: began,
            sent: 0,
            unrefused: 0,
            one_more: OneMore::No,
            next_try: FIRST_TRY,
            began_after: None,
            is_new: true,
            may_be_bucket,
            surplus: 0,
            lengthened: 0,
        }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The period, as it was probably configured: one that was measured is a little too long, because probes come late.
    pub(super) fn configured_period(&self) -> Duration {
        configured(self.period)
    }

    /// Whether half of what it holds was sent.
    pub(super) fn is_half_used(&self) -> bool {
        self.sent * 2 >= self.capacity
    }

    /// When the next window begins.
    pub(super) fn end(&self) -> Instant {
        self.counts_from + self.period + MARGIN
    }

    /// Something was refused in it. Some servers count the period from there, if that costs little.
    pub(super) fn refused(&mut self, now: Instant) {
        if now.saturating_duration_since(self.began) < self.period / 10 {
            self.counts_from = now;
        }
    }

    /// Whether one more may leave.
    pub(super) fn advice(&self, now: Instant) -> WindowAdvice {
        let try_at = self.began + self.period / if self.may_be_bucket { TRIED_AFTER } else { TRIED_AT };
        match (self.sent < self.capacity, self.one_more != OneMore::No) {
            (true, _) => WindowAdvice::Leave,
            (false, true) if now < try_at => WindowAdvice::TryAt(try_at),
            (false, true) => WindowAdvice::LeaveAlone,
            (false, false) => WindowAdvice::UsedUntil(self.end()),
        }
    }

    /// Takes note of a departure.
    pub(super) fn left(&mut self) {
        if self.one_more == OneMore::Due && self.sent >= self.capacity {
            self.one_more = OneMore::Sent;
        }
        self.sent += 1;
    }

    /// Takes note of an accepted attempt: `accepted` since the window began. Returns false where so many more than ever
    /// were accepted that there is no such window.
    #[must_use]
    pub(super) fn accepted(&mut self, accepted: u64) -> bool {
        if accepted > self.capacity {
            self.capacity = accepted;
            self.surplus += 1;
        }
        self.surplus == 0 || (self.surplus <= SURPLUS && !self.may_be_bucket)
    }

    /// A new window begins with the departure of a probe that was accepted. `refused`: how many were accepted in the
    /// window before, if something was refused in it.
    pub(super) fn begin(&mut self, began: Instant, refused: Option<u64>) {
        if let Some(accepted) = refused {
            let was_tried = self.one_more == OneMore::Sent && accepted >= self.capacity;
            self.may_be_bucket &= self.unrefused == 0 && self.one_more == OneMore::No;
            self.next_try =
                if was_tried { (self.next_try * TRIED_LATER).min(TRIED_LATEST) } else { FIRST_TRY };
            // After the try the server may have refused everything for longer than its period.
            if let Some(proven) = self.began_after.take().filter(|_| was_tried) {
                self.period = proven;
            }
            self.capacity = accepted.max(1);
            self.unrefused = 0;
        } else {
            self.unrefused += 1;
            self.began_after = Some(self.period);
        }
        // A bucket is to be told from a window at once: it loses what it gains while nothing is sent.
        let is_first = std::mem::take(&mut self.is_new) && self.may_be_bucket;
        let is_due = is_first || (self.unrefused > 0 && self.unrefused.is_multiple_of(self.next_try));
        self.one_more = if is_due { OneMore::Due } else { OneMore::No };
        (self.lengthened, self.surplus) = (0, 0);
        self.began = began;
        self.counts_from = began;
        self.sent = 1;
    }

    /// The probe at the end of the window was refused: the period is longer. Returns when the next one may leave.
    pub(super) fn lengthen(&mut self, now: Instant) -> Instant {
        let too_short = now.saturating_duration_since(self.counts_from);
        self.lengthened += 1;
        if self.lengthened == 1 && self.one_more == OneMore::Sent {
            // One more was tried, and the server refuses everything for longer, or counts the period from there.
            self.next_try = TRIED_LATEST;
            self.counts_from = now;
        } else if self.lengthened == 1 {
            // Timers and clocks differ by a little.
            self.period = too_short + too_short / 20;
            self.longest = self.longest.max(self.period);
        } else {
            // A server may count from the newest refusal, so that probes that come too often never find it open.
            self.period = usual_between(too_short + MARGIN, self.longest.max(too_short * 2));
            self.longest = self.longest.max(self.period);
            self.counts_from = now;
        }
        self.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn closed(shortest: u64, longest: u64) -> Closed {
        Closed { shortest: second(shortest), longest: second(longest), may_be_bucket: false }
    }

    #[test]
    fn of_the_periods_that_are_possible_the_shortest_usual_one_is_tried() {
        let millis = Duration::from_millis;
        for (least, most, period) in [
            (millis(5_000), millis(10_100), millis(5_000)),
            (millis(5_600), millis(10_100), second(10)),
            (millis(10_050), millis(20_100), millis(10_050)),
            (millis(3_100), millis(4_000), millis(4_000)),
            (second(31), second(62), second(60)),
        ] {
            assert_eq!(usual_between(least, most), period, "{least:?} to {most:?}");
        }
    }

    #[test]
    fn a_period_is_the_usual_one_that_was_measured_a_little_late() {
        for (measured, period) in
            [(60_700, 60_000), (10_050, 10_000), (10_000, 10_000), (5_600, 5_600), (990, 990)]
        {
            assert_eq!(
                configured(Duration::from_millis(measured)),
                Duration::from_millis(period),
                "{measured}"
            );
        }
    }

    #[test]
    fn what_was_accepted_once_leaves_at_once_and_the_rest_waits_for_the_end() {
        let now = Instant::now();
        let mut window = LearnedWindow::new(3, &closed(6, 12), now);
        window.begin(now, Some(3));
        (0..2).for_each(|_| {
            assert_eq!(window.advice(now), WindowAdvice::Leave);
            window.left();
        });
        assert_eq!(window.advice(now), WindowAdvice::UsedUntil(now + second(10) + MARGIN));
        assert_eq!(window.end(), now + second(10) + MARGIN);
        let later = window.lengthen(now + second(10) + MARGIN);
        assert!(later > now + second(10) + MARGIN && later <= now + second(11), "{:?}", later - now);
        assert!(window.lengthen(later) >= later + second(11), "a whole period from the newest refusal");
    }

    #[test]
    fn what_may_be_a_bucket_is_tried_in_the_first_window_and_is_none_if_that_is_refused() {
        let now = Instant::now();
        let mut window = LearnedWindow::new(1, &Closed { may_be_bucket: true, ..closed(10, 10) }, now);
        window.begin(now, Some(1));
        let quarter = now + Duration::from_millis(2_500);
        assert_eq!(window.advice(now), WindowAdvice::TryAt(quarter));
        assert_eq!(window.advice(quarter), WindowAdvice::LeaveAlone);
        window.begin(now, Some(1));
        assert_eq!(window.advice(quarter), WindowAdvice::UsedUntil(window.end()));
        (0..FIRST_TRY * TRIED_LATER).for_each(|_| window.begin(now, None));
        assert_eq!(window.advice(now + second(5)), WindowAdvice::LeaveAlone, "a window without a doubt");
    }

    #[test]
    fn one_more_is_tried_in_ever_fewer_windows_while_it_is_refused() {
        let now = Instant::now();
        let mut window = LearnedWindow::new(1, &closed(2, 2), now);
        window.begin(now, Some(1));
        let tries: Vec<u32> = (1..60)
            .filter(|_| {
                window.begin(now, None);
                let is_tried = window.advice(now) == WindowAdvice::TryAt(now + second(1));
                if is_tried {
                    assert_eq!(window.advice(now + second(1)), WindowAdvice::LeaveAlone);
                    window.left();
                    window.begin(now, Some(1));
                }
                is_tried
            })
            .collect();
        assert_eq!(tries, [2, 10, 42]);
    }

    #[test]
    fn a_ban_after_a_try_does_not_make_the_period_longer() {
        let now = Instant::now();
        let mut window = LearnedWindow::new(1, &closed(8, 12), now);
        window.begin(now, Some(1));
        (0..FIRST_TRY).for_each(|_| window.begin(now, None));
        assert_eq!(window.advice(now), WindowAdvice::TryAt(now + second(5)));
        window.left();
        let again = window.lengthen(now + second(11));
        assert_eq!(again, now + second(21) + MARGIN, "it may count from the newest refusal");
        window.lengthen(again);
        window.begin(now, Some(1));
        assert_eq!(window.end(), now + second(10) + MARGIN);
        let next_try = (1..100).find(|_| {
            window.begin(now, None);
            window.advice(now) != WindowAdvice::UsedUntil(window.end())
        });
        assert_eq!(next_try, Some(TRIED_LATEST));
    }
}
