//! The failures that are expected of a server that fails by itself, while a rate is learnt besides. Pure.

/// Expected failures that did not come count for no more than this.
const MOST: f64 = 4.0;

/// As many failures as come by chance are no refusals. What comes beyond them is.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailureAllowance {
    /// The share of all outcomes that fails by chance.
    pub(super) share: f64,
    /// Failures that are expected and have not come.
    left: f64,
}

impl FailureAllowance {
    /// For a server of which this share fails at a rate that its limit does not refuse.
    pub(super) fn new(share: f64) -> Self {
        Self { share, left: 1.0 }
    }

    /// Takes note of an attempt that has ended.
    pub(super) fn ended(&mut self) {
        self.left = (self.left + self.share).min(MOST);
    }

    /// Whether a failure is one of those that are expected.
    pub(super) fn covers(&mut self) -> bool {
        let is_expected = self.left >= 1.0;
        if is_expected {
            self.left -= 1.0;
        }
        is_expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_failures_as_are_expected_are_covered_and_no_more() {
        for (one_in, most) in [(20, 0), (10, 1), (5, 105)] {
            let mut allowance = FailureAllowance::new(0.1);
            let failures = (1..=1_000).filter(|n| {
                allowance.ended();
                n % one_in == 0 && !allowance.covers()
            });
            let counted = failures.count();
            assert!((most * 9 / 10..=most).contains(&counted), "one in {one_in}: {counted}");
        }
    }

    #[test]
    fn failures_that_did_not_come_cover_few_that_come_at_once() {
        let mut allowance = FailureAllowance::new(0.1);
        (0..1_000).for_each(|_| allowance.ended());
        assert_eq!((0..20).filter(|_| allowance.covers()).count(), 4);
    }
}
