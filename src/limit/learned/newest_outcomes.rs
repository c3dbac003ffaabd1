//! How the newest attempts ended, and with how many in flight. Pure.

use super::EndedAttempt;

/// How many are kept.
pub(super) const KEPT: usize = 64;
/// What is accepted at a number in flight, or a higher one, must be this many times what is refused there; otherwise the
/// number explains the refusal.
const TIMES_ACCEPTED: usize = 2;

#[derive(Debug, Clone, Copy, Default)]
struct NewestOutcome {
    number: u64,
    level: u32,
    is_strained: bool,
}

/// The newest outcomes.
#[derive(Debug)]
pub(super) struct NewestOutcomes {
    outcomes: [NewestOutcome; KEPT],
    next: usize,
}

impl Default for NewestOutcomes {
    fn default() -> Self {
        Self { outcomes: [NewestOutcome::default(); KEPT], next: 0 }
    }
}

impl NewestOutcomes {
    pub(super) fn keep(&mut self, ended: &EndedAttempt, is_strained: bool) {
        let level = u32::try_from(ended.level).unwrap_or(u32::MAX);
        self.outcomes[self.next] = NewestOutcome { number: ended.number, level, is_strained };
        self.next = (self.next + 1) % KEPT;
    }

    /// Whether all were accepted, with fewer in flight than this.
    pub(super) fn are_accepted_below(&self, level: usize) -> bool {
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        self.outcomes.iter().all(|it| !it.is_strained && it.level < level)
    }

    /// Whether the number in flight explains a refusal: of those that left since, hardly any were accepted at this number
    /// or a higher one.
    pub(super) fn explain(&self, level: usize, from: u64) -> bool {
        let level = u32::try_from(level).unwrap_or(u32::MAX);
        let since = self.outcomes.iter().filter(|it| it.number >= from && it.level >= level);
        let (strained, all) = since.fold((0, 0), |sum, it| (sum.0 + usize::from(it.is_strained), sum.1 + 1));
        all - strained < TIMES_ACCEPTED * strained.max(2)
    }

    /// The share that was strained; 1 where too few are known.
    pub(super) fn share(&self) -> f64 {
        let known = self.outcomes.iter().filter(|it| it.number > 0);
        let (strained, all) = known.fold((0, 0), |sum, it| (sum.0 + u32::from(it.is_strained), sum.1 + 1));
        if all < KEPT { 1.0 } else { f64::from(strained) / KEPT as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(ends: impl IntoIterator<Item = (usize, bool)>) -> NewestOutcomes {
        let mut newest = NewestOutcomes::default();
        for (number, (level, is_strained)) in (1..).zip(ends) {
            let ended = EndedAttempt {
                level,
                number,
                departures: number,
                was_paced: false,
                given_rate: None,
                is_probe: false,
                is_old: false,
                is_unclear: is_strained,
            };
            newest.keep(&ended, is_strained);
        }
        newest
    }

    #[test]
    fn the_share_is_that_of_the_newest_once_there_are_enough() {
        let share = |ends: Vec<(usize, bool)>| with(ends).share();
        assert!((share(vec![(1, false); 63]) - 1.0).abs() < 1e-9);
        let ends: Vec<_> = (0..200).map(|n| (1, n < 100 || n % 4 == 0)).collect();
        assert!((share(ends) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn one_that_was_strained_or_as_many_in_flight_is_not_below() {
        let ends = |odd: (usize, bool)| (0..64).map(move |n| if n == 9 { odd } else { (18, false) });
        assert!(with(ends((18, false))).are_accepted_below(19));
        assert!(!with(ends((18, true))).are_accepted_below(19));
        assert!(!with(ends((19, false))).are_accepted_below(19));
    }

    #[test]
    fn the_number_explains_what_is_hardly_accepted_there() {
        let newest = with((0..60).map(|n| if n % 10 == 0 { (20, true) } else { (19, false) }));
        assert!(newest.explain(20, 0) && !newest.explain(19, 0));
        assert!(newest.explain(19, 58), "few left since");
    }
}
