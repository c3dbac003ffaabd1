//! Whether failures are explained by load: how the newest SKUs fared at their first attempt.
//!
//! A server that has too much to do fails many SKUs once and few of them often; a bad SKU fails alone, and every time.
//! The share of failures among first attempts is the chance that one attempt fails for the load; a SKU that failed
//! so often that this chance is no explanation is bad itself.

/// A SKU is sent so often at most, whatever the load is.
const SENT_AT_MOST: u32 = 30;
/// Failures of so many other SKUs are more than a coincidence.
const OTHERS: u32 = 3;
/// A row of failures that is less likely than this is not explained by load.
const UNLIKELY: f64 = 1e-3;

/// The newest 64 first attempts, one bit each: 1 is a failure.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FirstAttempts {
    failed: u64,
    count: u32,
}

impl FirstAttempts {
    /// Takes note of a first attempt.
    pub(super) fn record(&mut self, is_good: bool) {
        self.failed = self.failed << 1 | u64::from(!is_good);
        self.count = (self.count + 1).min(64);
    }

    /// Whether load explains that one SKU, whose first attempt is among these, has failed so often. A SKU with retries
    /// left needs no more than that others fail, too, and that some come.
    pub(super) fn explain(self, failures: u32, is_last: bool) -> bool {
        let others_failed = self.failed.count_ones().saturating_sub(1);
        let some_come = self.failed.count_ones() < self.count;
        if others_failed < OTHERS || !some_come || failures >= SENT_AT_MOST {
            return false;
        }
        let share = f64::from(others_failed) / f64::from(self.count - 1);
        !is_last || share.powi(failures.cast_signed()) >= UNLIKELY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(failed_of: (u32, u32)) -> FirstAttempts {
        let (failed, of) = failed_of;
        let mut firsts = FirstAttempts::default();
        (0..of).for_each(|n| firsts.record(n >= failed));
        firsts
    }

    #[test]
    fn one_sku_and_a_few_are_bad_themselves() {
        for failed_of in [(1, 1), (1, 64), (3, 64)] {
            assert!(!after(failed_of).explain(1, false), "{failed_of:?}");
        }
    }

    #[test]
    fn where_none_comes_it_is_no_load() {
        assert!(!after((64, 64)).explain(1, false));
        assert!(after((63, 64)).explain(1, false));
    }

    #[test]
    fn the_more_others_fail_the_oftener_a_sku_may() {
        for (failed_of, most) in [((5, 64), 2), ((8, 64), 3), ((20, 64), 5), ((33, 64), 9), ((55, 64), 29)] {
            let longest = (1..40).take_while(|failures| after(failed_of).explain(*failures, true)).count();
            assert!((most..=most + 1).contains(&longest), "{failed_of:?}: {longest}");
        }
        assert!(after((5, 64)).explain(29, false) && !after((60, 64)).explain(30, false));
    }
}
