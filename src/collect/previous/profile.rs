//! What an output holds, in four numbers: how many SKUs, how many of them are `null`, and how many share the
//! commonest body. The guard compares the numbers of a new output with those of the one that it would replace.
//!
//! The commonest body is counted in bounded memory: each body is hashed into one of [`SLOTS`] counters. Different
//! bodies in one slot add up, so that a count may be a little too high (by one in 65,536 of all bodies on average)
//! and is never too low.

use serde::{Deserialize, Serialize};

use crate::collect::files::cursor::NULL;
use crate::model::BodyHash;

/// Counters of bodies: 256 KiB.
const SLOTS: usize = 1 << 16;

/// What an output holds. Failed SKUs are in none of the numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// SKUs with a body, `null` or not.
    pub skus: u64,
    /// Of these, how many have `null`.
    pub nulls: u64,
    /// How many share the commonest body, `null` apart.
    pub commonest: u64,
    /// How many had the commonest body before `--select`. `None` where nothing is selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commonest_raw: Option<u64>,
}

/// Where a body is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyCounter(u16);

impl BodyCounter {
    /// The slot of this body.
    pub(crate) fn of(body: &[u8]) -> Self {
        Self::at(BodyHash::of(body))
    }

    /// The slot of a body with this hash.
    #[allow(clippy::cast_possible_truncation, reason = "the low 16 bits are meant")]
    pub(crate) fn at(BodyHash(hash): BodyHash) -> Self {
        Self(hash as u16)
    }
}

/// Makes a profile of bodies as they pass.
#[derive(Debug, Default)]
pub(crate) struct Profiler {
    skus: u64,
    nulls: u64,
    refused_nulls: u64,
    bodies: Counters,
    raw: Counters,
}

impl Profiler {
    /// One more SKU, with this body as it is stored.
    pub(crate) fn body(&mut self, body: &[u8]) {
        self.skus += 1;
        if body == NULL {
            self.nulls += 1;
        } else {
            self.bodies.add(BodyCounter::of(body));
        }
    }

    /// The SKU that was added last had `null` because of its status.
    pub(crate) fn null_for_status(&mut self) {
        self.refused_nulls += 1;
    }

    /// The SKU that was added last had this body before `--select`.
    pub(crate) fn raw(&mut self, slot: BodyCounter) {
        self.raw.add(slot);
    }

    pub(crate) fn finish(&self) -> MeasuredOutput {
        let (body, commonest) = self.bodies.most();
        let raw = (!self.raw.0.is_empty()).then(|| self.raw.most());
        MeasuredOutput {
            profile: Profile {
                skus: self.skus,
                nulls: self.nulls,
                commonest,
                commonest_raw: raw.map(|(_, count)| count),
            },
            commonest: body,
            nulls_for_status: self.refused_nulls,
        }
    }
}

/// The profile of an output, and what examples of it are found by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MeasuredOutput {
    pub(crate) profile: Profile,
    /// Where the commonest body is counted.
    pub(crate) commonest: BodyCounter,
    /// Of the nulls, those that stand for a status of `--null-on`.
    pub(crate) nulls_for_status: u64,
}

#[derive(Debug, Default)]
struct Counters(Vec<u32>);

impl Counters {
    fn add(&mut self, BodyCounter(slot): BodyCounter) {
        if self.0.is_empty() {
            self.0 = vec![0; SLOTS];
        }
        self.0[usize::from(slot)] += 1;
    }

    /// The fullest slot, and how many are in it.
    fn most(&self) -> (BodyCounter, u64) {
        let fullest = self.0.iter().zip(0u16..=u16::MAX).max_by_key(|(count, _)| **count);
        fullest.map_or((BodyCounter(0), 0), |(count, slot)| (BodyCounter(slot), u64::from(*count)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nulls_and_the_commonest_body_are_counted_apart() {
        let mut profiler = Profiler::default();
        for body in ["1", "null", "{}", "null", "{}", "{}", "null", "null"] {
            profiler.body(body.as_bytes());
        }
        profiler.null_for_status();
        let measured = profiler.finish();
        let profile = Profile { skus: 8, nulls: 4, commonest: 3, commonest_raw: None };
        assert_eq!((measured.profile, measured.nulls_for_status), (profile, 1));
        assert_eq!(measured.commonest, BodyCounter::of(b"{}"));
        assert_eq!(Profiler::default().finish().profile, Profile::default());
    }

    #[test]
    fn bodies_before_the_selection_have_a_count_of_their_own() {
        let mut profiler = Profiler::default();
        for (raw, body) in [("{\"a\":1}", "1"), ("{\"a\":1}", "1"), ("{\"a\":1,\"b\":2}", "1")] {
            profiler.body(body.as_bytes());
            profiler.raw(BodyCounter::of(raw.as_bytes()));
        }
        let profile = profiler.finish().profile;
        assert_eq!((profile.commonest, profile.commonest_raw), (3, Some(2)));
    }

    #[test]
    fn a_profile_reads_back_as_it_was_written() {
        for raw in [None, Some(7)] {
            let profile = Profile { skus: 9, nulls: 1, commonest: 5, commonest_raw: raw };
            let text = serde_json::to_string(&profile).unwrap();
            assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
        }
    }

    proptest! {
        #[test]
        fn the_commonest_body_is_never_counted_too_low_and_hardly_too_high(
            bodies in proptest::collection::vec("[a-d]{0,2}", 0..200),
        ) {
            let mut profiler = Profiler::default();
            for body in &bodies {
                profiler.body(body.as_bytes());
            }
            let count = |of: &String| bodies.iter().filter(|body| *body == of).count() as u64;
            let most = bodies.iter().map(count).max().unwrap_or(0);
            let found = profiler.finish().profile.commonest;
            prop_assert!(most <= found && found <= most + 20);
        }
    }
}
