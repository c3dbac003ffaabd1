//! Whether a new output is so much worse than the one that is there that it must not replace it.
//!
//! The number of SKUs may fall by at most `--guard` percent. The share of SKUs that are `null`, and the share of SKUs
//! with the most common value other than `null`, may rise by at most that many percentage points. A difference counts
//! only if it affects at least [`MIN_AFFECTED_SKUS`] SKUs.

use std::path::Path;

use crate::collect::error::CollectError;
use crate::collect::previous::baseline::Baseline;
use crate::collect::previous::profile::Profile;
use crate::collect::settings::OutputSettings;

/// A difference that affects fewer SKUs does not count.
pub(crate) const MIN_AFFECTED_SKUS: u64 = 10;

/// Something that got much worse. Counts are of SKUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degradation {
    /// There is no SKU at all, and there were some. Held back at any number and with `--guard off`, too.
    Empty,
    /// There are fewer SKUs.
    Fewer,
    /// More of them are `null`.
    Nulls,
    /// More of them share one body.
    SameBody,
    /// More of them shared one body before `--select`.
    SameRawBody,
}

/// What makes the new output much worse than the old one, in the order of weight. `percent` is `--guard`.
#[must_use]
pub(crate) fn degradations(old: Baseline, new: Profile, percent: f64) -> Vec<Degradation> {
    let mut degradations = Vec::new();
    if has_fallen(old.profile.skus, new.skus, percent) {
        degradations.push(Degradation::Fewer);
    }
    if old.shares_comparable {
        // The profile of what an output was selected from is only in its state file.
        let commonest_raw = new.commonest_raw.filter(|_| old.profile.commonest_raw.is_some());
        degradations.extend(shares(old.profile, Profile { commonest_raw, ..new }, percent));
    }
    degradations
}

/// The same for a first output, which has nothing to be compared with: shares are then taken for suspicious by
/// themselves.
#[must_use]
pub(crate) fn suspicious_shares(new: Profile, percent: f64) -> Vec<Degradation> {
    shares(Profile::default(), new, percent)
}

/// What of `new`, a part of an output, is much worse than the old output was. Its number of SKUs does not count.
#[must_use]
pub(crate) fn share_degradations(old: Profile, new: Profile, percent: f64) -> Vec<Degradation> {
    shares(old, new, percent)
}

/// Whether `new` SKUs in place of `old` are fewer by more than this many percent.
#[must_use]
pub(crate) fn has_fallen(old: u64, new: u64, percent: f64) -> bool {
    let lost = old.saturating_sub(new);
    lost >= MIN_AFFECTED_SKUS && lost as f64 * 100.0 > percent * old as f64
}

/// Ends a run before its first request whose output could only be much smaller than the one that is there, `old`.
/// `rows` are those of the input.
///
/// # Errors
/// [`CollectError::TooFewRows`] if the guard would hold the output back.
pub(crate) fn check_rows(
    settings: &OutputSettings,
    (path, old): (&Path, Option<Baseline>),
    rows: Option<u64>,
) -> Result<(), CollectError> {
    let (Some(percent), Some(old), Some(rows)) = (settings.guard, old, rows) else {
        return Ok(());
    };
    let keeps_all = settings.merge && !settings.prune;
    let old = old.profile.skus;
    if keeps_all || !has_fallen(old, rows, percent) {
        return Ok(());
    }
    Err(CollectError::TooFewRows { path: path.into(), old, rows })
}

fn shares(old: Profile, new: Profile, percent: f64) -> Vec<Degradation> {
    let has_risen = |before: u64, now: u64| {
        let rise = 100.0 * (share(now, new.skus) - share(before, old.skus));
        now >= MIN_AFFECTED_SKUS && rise > percent
    };
    let raw = |profile: Profile| profile.commonest_raw.unwrap_or(0);
    let rises = [
        (Degradation::Nulls, old.nulls, new.nulls),
        (Degradation::SameBody, old.commonest, new.commonest),
        (Degradation::SameRawBody, raw(old), raw(new)),
    ];
    rises
        .into_iter()
        .filter(|&(_, before, now)| has_risen(before, now))
        .map(|(degradation, ..)| degradation)
        .collect()
}

/// The fraction part/whole; 0 if whole is 0.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(skus: u64, nulls: u64, commonest: u64) -> Profile {
        Profile { skus, nulls, commonest, commonest_raw: None }
    }

    fn compare(old: Profile, new: Profile) -> Vec<Degradation> {
        degradations(Baseline { profile: old, shares_comparable: true }, new, 50.0)
    }

    #[test]
    fn a_sharp_degradation_is_found_and_nothing_else() {
        let good = profile(6000, 12, 40);
        let table: &[(Profile, &[Degradation])] = &[
            (good, &[]),
            (profile(3000, 12, 40), &[]),
            (profile(2999, 12, 40), &[Degradation::Fewer]),
            (profile(3, 0, 1), &[Degradation::Fewer]),
            (profile(0, 0, 0), &[Degradation::Fewer]),
            (profile(60_000, 12, 40), &[]),
            (profile(6000, 6000, 0), &[Degradation::Nulls]),
            (profile(6000, 3012, 40), &[]),
            (profile(6000, 3013, 40), &[Degradation::Nulls]),
            (profile(6000, 0, 6000), &[Degradation::SameBody]),
            (profile(2000, 1500, 500), &[Degradation::Fewer, Degradation::Nulls]),
        ];
        for (new, expected) in table {
            assert_eq!(compare(good, *new), *expected, "{new:?}");
        }
    }

    #[test]
    fn what_was_as_bad_before_is_no_degradation() {
        assert_eq!(compare(profile(100, 90, 5), profile(100, 95, 5)), []);
        assert_eq!(compare(profile(100, 0, 80), profile(120, 0, 120)), []);
    }

    #[test]
    fn fewer_than_ten_skus_prove_nothing() {
        assert_eq!(compare(profile(9, 0, 1), profile(0, 0, 0)), []);
        assert_eq!(compare(profile(9, 0, 1), profile(9, 9, 0)), []);
        assert_eq!(compare(profile(10, 0, 1), profile(0, 0, 0)), [Degradation::Fewer]);
        assert_eq!(compare(profile(10, 0, 1), profile(10, 0, 10)), [Degradation::SameBody]);
    }

    #[test]
    fn bodies_before_the_selection_count_too() {
        let old = Profile { commonest_raw: Some(3), ..profile(100, 0, 100) };
        let new = Profile { commonest_raw: Some(100), ..profile(100, 0, 100) };
        assert_eq!(compare(old, new), [Degradation::SameRawBody]);
    }

    #[test]
    fn an_old_output_without_the_profile_of_its_input_is_compared_without_it() {
        let old = profile(100, 0, 100);
        let new = Profile { commonest_raw: Some(100), ..profile(100, 0, 100) };
        assert_eq!(compare(old, new), []);
        assert_eq!(suspicious_shares(new, 50.0), [Degradation::SameBody, Degradation::SameRawBody]);
    }

    #[test]
    fn an_output_of_another_request_is_compared_by_its_number_alone() {
        let old = Baseline { profile: profile(100, 0, 1), shares_comparable: false };
        assert_eq!(degradations(old, profile(100, 100, 0), 50.0), []);
        assert_eq!(degradations(old, profile(40, 40, 0), 50.0), [Degradation::Fewer]);
    }

    #[test]
    fn a_first_output_is_measured_by_itself() {
        assert_eq!(suspicious_shares(profile(6000, 10, 3001), 50.0), [Degradation::SameBody]);
        assert_eq!(suspicious_shares(profile(6000, 10, 3000), 50.0), []);
        assert_eq!(suspicious_shares(profile(0, 0, 0), 50.0), []);
    }

    #[test]
    fn the_percentage_is_the_bound() {
        let (old, new) = (profile(100, 0, 1), profile(80, 0, 20));
        let at = |percent| degradations(Baseline { profile: old, shares_comparable: true }, new, percent);
        assert_eq!(at(0.0), [Degradation::Fewer, Degradation::SameBody]);
        assert_eq!(at(20.0), [Degradation::SameBody]);
        assert_eq!(at(24.0), []);
        assert_eq!(at(100.0), []);
    }

    proptest! {
        #[test]
        fn an_output_is_never_worse_than_itself(
            skus in 0u64..100_000, nulls in 0u64..100_000, commonest in 0u64..100_000, percent in 0.0f64..100.0,
        ) {
            let nulls = nulls.min(skus);
            let same = profile(skus, nulls, commonest.min(skus - nulls));
            prop_assert_eq!(degradations(Baseline { profile: same, shares_comparable: true }, same, percent), []);
        }
    }
}
