//! Whether failures are explained by load: how the newest SKUs fared at their first attempt.
//!
//! A server that has too much to do fails many SKUs once and few of them often; a bad SKU fails alone, and every time.
//! The share of failures among first attempts is the chance that one attempt fails for the load. The product of these
//! shares, one for each failure of a SKU, is the chance that the load explains them all; where that is small, the SKU is
//! bad itself.

/// A SKU is sent so often at most, whatever the load is.
const SENT_AT_MOST: u32 = 30;
/// Failures of so many other SKUs are more than a coincidence.
const OTHERS: u32 = 3;
/// The chance of a failure where fewer of 64 others failed …
const FEW: f64 = 1.0 / 64.0;
/// … and where nothing is known yet.
const UNKNOWN: f64 = 0.5;
/// A row of failures that is less likely than this is not explained by load.
const UNLIKELY: f64 = 1e-3;

/// The newest 64 first attempts, one bit each: 1 is a failure.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FirstAttempts {
    failed: u64,
    count: u32,
}

/// What is known of a SKU that failed once more.
#[derive(Debug, Clone, Copy)]
pub(super) struct EarlierFailures {
    /// It has no retry left.
    pub(super) is_last: bool,
    /// The product of the shares at its earlier failures.
    pub(super) by_load: f64,
    /// Others had good answers a moment ago.
    pub(super) came_lately: bool,
}

impl FirstAttempts {
    /// Takes note of a first attempt.
    pub(super) fn record(&mut self, is_good: bool) {
        self.failed = self.failed << 1 | u64::from(!is_good);
        self.count = (self.count + 1).min(64);
    }

    /// The chance, from 0 to 1, that an attempt fails for the load now. The first attempt of its SKU is among these.
    #[must_use]
    pub(super) fn share_by_load(self) -> f64 {
        match self.others_failed() {
            failed if failed + 1 >= self.count && self.count <= OTHERS => UNKNOWN,
            ..OTHERS => FEW,
            failed => f64::from(failed) / f64::from(self.count - 1),
        }
    }

    /// Whether load explains the failures of one SKU, the newest of this number included. A SKU with retries left needs no
    /// more than that others fail, too, and that some come, or came a moment ago.
    pub(super) fn explain(self, failures: u32, so_far: EarlierFailures) -> bool {
        let some_come = so_far.came_lately || self.failed.count_ones() < self.count;
        some_come
            && failures < SENT_AT_MOST
            && self.others_failed() >= OTHERS
            && (!so_far.is_last || self.is_likely(so_far.by_load))
    }

    /// Whether load explains a failure of one SKU, though nothing may come any more.
    #[must_use]
    pub(super) fn are_by_load(self, before: f64) -> bool {
        self.others_failed() >= OTHERS && self.is_likely(before)
    }

    fn is_likely(self, before: f64) -> bool {
        before * self.share_by_load() >= UNLIKELY
    }

    fn others_failed(self) -> u32 {
        self.failed.count_ones().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn so_far((is_last, by_load): (bool, f64)) -> EarlierFailures {
        EarlierFailures { is_last, by_load, came_lately: false }
    }

    fn after(failed_of: (u32, u32)) -> FirstAttempts {
        let (failed, of) = failed_of;
        let mut firsts = FirstAttempts::default();
        (0..of).for_each(|n| firsts.record(n >= failed));
        firsts
    }

    #[test]
    fn one_sku_and_a_few_are_bad_themselves() {
        for failed_of in [(1, 1), (1, 64), (3, 64)] {
            assert!(!after(failed_of).explain(1, so_far((false, 1.0))), "{failed_of:?}");
            assert!(!after(failed_of).explain(5, so_far((true, FEW.powi(4)))), "{failed_of:?}");
        }
    }

    #[test]
    fn the_share_where_little_is_known_is_half_and_then_that_of_few() {
        for (failed_of, share) in [((1, 1), UNKNOWN), ((3, 3), UNKNOWN), ((2, 4), FEW), ((4, 4), 1.0)] {
            assert!((after(failed_of).share_by_load() - share).abs() < 1e-9, "{failed_of:?}");
        }
    }

    #[test]
    fn what_explained_earlier_failures_counts_for_the_last_one() {
        let (later, earlier) = (after((5, 64)), 0.9_f64.powi(4));
        assert!(
            later.explain(5, so_far((true, earlier))) && later.are_by_load(earlier),
            "it failed beside many others"
        );
        assert!(!later.explain(5, so_far((true, later.share_by_load().powi(4)))), "and beside few");
        assert!(!later.explain(SENT_AT_MOST, so_far((true, 1.0))));
        assert!(
            !after((3, 64)).explain(5, so_far((true, 1.0))) && !after((3, 64)).are_by_load(1.0),
            "others do not fail"
        );
    }

    #[test]
    fn where_none_comes_it_is_no_load() {
        assert!(!after((64, 64)).explain(1, so_far((false, 1.0))));
        let lately = EarlierFailures { came_lately: true, ..so_far((false, 1.0)) };
        assert!(after((64, 64)).explain(1, lately), "unless some came a moment ago");
        assert!(after((63, 64)).explain(1, so_far((false, 1.0))));
    }

    #[test]
    fn the_more_others_fail_the_oftener_a_sku_may() {
        for (failed_of, most) in [((5, 64), 2), ((8, 64), 3), ((20, 64), 5), ((33, 64), 9), ((55, 64), 29)] {
            let share = after(failed_of).share_by_load();
            let explains = |failures: &i32| {
                after(failed_of).explain(failures.unsigned_abs(), so_far((true, share.powi(failures - 1))))
            };
            let longest = (1..40).take_while(explains).count();
            assert!((most..=most + 1).contains(&longest), "{failed_of:?}: {longest}");
        }
        assert!(
            after((5, 64)).explain(29, so_far((false, 0.0)))
                && !after((60, 64)).explain(30, so_far((false, 1.0)))
        );
    }
}
