//! What happens to a complete output: a pure function from what is known of it and of the old one.

use crate::collect::previous::baseline::Baseline;
use crate::collect::previous::profile::Profile;
use crate::collect::publish::guard::{
    Degradation, MIN_AFFECTED_SKUS, degradations, share_degradations, suspicious_shares,
};
use crate::collect::settings::OutputSettings;

/// What happens to a complete output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishDecision {
    /// It replaces the old one.
    Published,
    /// It is much worse than the old one, and is put beside it.
    HeldBack(Vec<Degradation>),
    /// It has nothing but nulls, and is not kept.
    NothingButNulls,
}

/// What a decision is based on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishFacts {
    /// `--guard` in percent, unless it is off.
    pub(crate) guard: Option<f64>,
    /// An output of nothing but nulls is wanted, too: `--min-success 0`.
    pub(crate) accepts_nulls: bool,
    /// The output has values of the old one, too: `--merge`.
    pub(crate) is_merged: bool,
    /// The old output, if there is one to compare with.
    pub(crate) old: Option<Baseline>,
    /// The old output has a SKU, whether or not it can be compared.
    pub(crate) old_has_skus: bool,
    /// The new output.
    pub(crate) new: Profile,
    /// With `--merge`: what this run fetched of it.
    pub(crate) fetched: Profile,
}

/// A decision, and what looks wrong though it does not prevent publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) decision: PublishDecision,
    /// Signs that a first output, which has nothing to be compared with, may be wrong.
    pub(crate) suspicious_shares: Vec<Degradation>,
    /// What of this run's answers is much worse than the old output was.
    pub(crate) fetched_degradations: Vec<Degradation>,
}

impl PublishFacts {
    /// The facts that stand before the output is measured.
    pub(crate) fn of(settings: &OutputSettings) -> Self {
        Self {
            guard: settings.guard,
            accepts_nulls: settings.accepts_nulls,
            is_merged: settings.merge,
            old: None,
            old_has_skus: false,
            new: Profile::default(),
            fetched: Profile::default(),
        }
    }

    /// What happens to the output.
    pub(crate) fn judge(&self) -> Judgement {
        let decision = self.decide();
        let is_measured_alone = decision == PublishDecision::Published && !self.shares_are_compared();
        let suspicious_shares = match self.guard {
            Some(percent) if is_measured_alone => suspicious_shares(self.new, percent),
            _ => Vec::new(),
        };
        Judgement { decision, suspicious_shares, fetched_degradations: self.fetched_degradations() }
    }

    fn decide(&self) -> PublishDecision {
        if self.is_nothing_but_nulls() {
            return PublishDecision::NothingButNulls;
        }
        // No output without a SKU replaces one that has some, whatever --guard says: most likely the input was empty.
        if self.new.skus == 0 && self.old_has_skus {
            return PublishDecision::HeldBack(vec![Degradation::Empty]);
        }
        let found = match (self.guard, self.old_with_skus()) {
            (Some(percent), Some(old)) => degradations(old, self.new, percent),
            _ => Vec::new(),
        };
        if found.is_empty() { PublishDecision::Published } else { PublishDecision::HeldBack(found) }
    }

    /// Whether no SKU has a value: then most likely the address is wrong.
    fn is_nothing_but_nulls(&self) -> bool {
        !self.accepts_nulls && self.new.skus >= MIN_AFFECTED_SKUS && self.new.nulls == self.new.skus
    }

    fn old_with_skus(&self) -> Option<Baseline> {
        self.old.filter(|old| old.profile.skus > 0)
    }

    /// Whether the old output tells what the shares of the new one should be.
    fn shares_are_compared(&self) -> bool {
        self.old_with_skus().is_some_and(|old| old.shares_comparable)
    }

    /// What of a merging run's own answers is much worse than the old output was. One run is no reason to hold back an
    /// output with many other values, but many small runs would replace all of them.
    fn fetched_degradations(&self) -> Vec<Degradation> {
        match (self.guard, self.old_with_skus().filter(|old| old.shares_comparable)) {
            (Some(percent), Some(old)) if self.is_merged => {
                share_degradations(old.profile, self.fetched, percent)
            }
            _ => Vec::new(),
        }
    }
}

impl Judgement {
    /// The degradation that an example is to show, if anything is wrong.
    pub(crate) fn shown(&self) -> Option<Degradation> {
        match &self.decision {
            PublishDecision::NothingButNulls => Some(Degradation::Nulls),
            PublishDecision::HeldBack(degradations) => degradations.first().copied(),
            PublishDecision::Published => self.suspicious_shares.first().copied(),
        }
    }
}

/// The profile of a new output of which `kept` values were copied from the old one. What those were selected from is
/// not known any more: it counts as it did in the old output.
pub(crate) fn with_kept(new: Profile, kept: u64, old: Option<Baseline>) -> Profile {
    let old_raw = old.filter(|old| old.shares_comparable).and_then(|old| old.profile.commonest_raw);
    match old_raw {
        Some(raw) if kept > 0 => Profile { commonest_raw: new.commonest_raw.max(Some(raw.min(kept))), ..new },
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(skus: u64, nulls: u64, commonest: u64) -> Profile {
        Profile { skus, nulls, commonest, commonest_raw: None }
    }

    fn comparable(profile: Profile) -> Baseline {
        Baseline { profile, shares_comparable: true }
    }

    /// A first output with the default settings.
    fn first(new: Profile) -> PublishFacts {
        PublishFacts { new, ..PublishFacts::of(&OutputSettings::default()) }
    }

    /// An output that is to replace one with 100 good values.
    fn second(new: Profile) -> PublishFacts {
        PublishFacts { old: Some(comparable(profile(100, 0, 1))), old_has_skus: true, ..first(new) }
    }

    #[test]
    fn every_case_has_its_decision() {
        use Degradation::{Empty, Fewer, Nulls, SameBody};
        use PublishDecision::{HeldBack, NothingButNulls, Published};
        let foreign = Some(Baseline { profile: profile(100, 0, 1), shares_comparable: false });
        let (good, nulls, same) = (profile(100, 0, 1), profile(100, 100, 0), profile(100, 0, 100));
        let unreadable = |new| PublishFacts { old_has_skus: true, ..first(new) };
        let unguarded = |facts| PublishFacts { guard: None, ..facts };
        let nulls_wanted = |facts| PublishFacts { accepts_nulls: true, ..facts };
        let table = [
            ("a first output", first(good), Published, vec![]),
            ("a first output that is empty", first(profile(0, 0, 0)), Published, vec![]),
            ("a first output of nulls", first(nulls), NothingButNulls, vec![]),
            ("a few nulls, which prove nothing", first(profile(9, 9, 0)), Published, vec![]),
            ("nulls that are wanted", nulls_wanted(first(nulls)), Published, vec![Nulls]),
            ("nulls, without a guard", unguarded(first(nulls)), NothingButNulls, vec![]),
            ("a first output of one value", first(same), Published, vec![SameBody]),
            ("the same, without a guard", unguarded(first(same)), Published, vec![]),
            ("an output like the old one", second(good), Published, vec![]),
            ("nulls in place of values", second(nulls), NothingButNulls, vec![]),
            (
                "nulls that are wanted in place of values",
                nulls_wanted(second(nulls)),
                HeldBack(vec![Nulls]),
                vec![],
            ),
            ("most SKUs gone", second(profile(40, 0, 1)), HeldBack(vec![Fewer]), vec![]),
            ("most SKUs gone, without a guard", unguarded(second(profile(40, 0, 1))), Published, vec![]),
            ("one value for all", second(same), HeldBack(vec![SameBody]), vec![]),
            ("all SKUs gone", second(profile(0, 0, 0)), HeldBack(vec![Empty]), vec![]),
            (
                "all SKUs gone, without a guard",
                unguarded(second(profile(0, 0, 0))),
                HeldBack(vec![Empty]),
                vec![],
            ),
            (
                "all SKUs gone from a file that cannot be compared",
                unreadable(profile(0, 0, 0)),
                HeldBack(vec![Empty]),
                vec![],
            ),
            ("a file that cannot be compared", unreadable(same), Published, vec![SameBody]),
            (
                "an old output of another request",
                PublishFacts { old: foreign, ..second(same) },
                Published,
                vec![SameBody],
            ),
            (
                "an old output of another request, with more SKUs",
                PublishFacts { old: foreign, ..second(profile(40, 0, 40)) },
                HeldBack(vec![Fewer]),
                vec![],
            ),
            (
                "an old output without a SKU",
                PublishFacts { old: Some(comparable(profile(0, 0, 0))), ..first(same) },
                Published,
                vec![SameBody],
            ),
        ];
        for (name, facts, decision, suspicious_shares) in table {
            let expected = Judgement { decision, suspicious_shares, fetched_degradations: Vec::new() };
            assert_eq!(facts.judge(), expected, "{name}");
        }
    }

    #[test]
    fn what_a_merging_run_fetched_is_judged_though_the_output_is_published() {
        let merged =
            PublishFacts { is_merged: true, fetched: profile(20, 20, 0), ..second(profile(100, 20, 1)) };
        let judgement = merged.judge();
        assert_eq!(judgement.decision, PublishDecision::Published);
        assert_eq!(judgement.fetched_degradations, [Degradation::Nulls]);
        let alone = PublishFacts { is_merged: false, ..merged };
        assert_eq!(alone.judge().fetched_degradations, []);
        let unguarded = PublishFacts { guard: None, ..merged };
        assert_eq!(unguarded.judge().fetched_degradations, []);
    }

    #[test]
    fn an_example_shows_the_first_thing_that_is_wrong() {
        assert_eq!(first(profile(100, 0, 1)).judge().shown(), None);
        assert_eq!(first(profile(100, 100, 0)).judge().shown(), Some(Degradation::Nulls));
        assert_eq!(first(profile(100, 0, 100)).judge().shown(), Some(Degradation::SameBody));
        assert_eq!(second(profile(40, 39, 1)).judge().shown(), Some(Degradation::Fewer));
    }

    #[test]
    fn kept_values_count_as_they_did_before_the_selection() {
        let raw = |commonest_raw| Profile { commonest_raw, ..profile(100, 0, 1) };
        let cases = [
            (raw(Some(3)), 50, raw(Some(60)), Some(50)),
            (raw(Some(3)), 90, raw(Some(60)), Some(60)),
            (raw(Some(70)), 90, raw(Some(60)), Some(70)),
            (raw(None), 90, raw(Some(60)), Some(60)),
            (raw(Some(3)), 0, raw(Some(60)), Some(3)),
            (raw(Some(3)), 90, raw(None), Some(3)),
        ];
        for (new, kept, before, expected) in cases {
            assert_eq!(
                with_kept(new, kept, Some(comparable(before))).commonest_raw,
                expected,
                "{kept} of {before:?}"
            );
        }
        let foreign = Some(Baseline { profile: raw(Some(60)), shares_comparable: false });
        assert_eq!(with_kept(raw(None), 90, foreign).commonest_raw, None);
    }
}
