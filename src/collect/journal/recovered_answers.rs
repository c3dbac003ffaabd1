//! The answers that an interrupted run left in the journal: 32 bytes each. Bodies stay on disk.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::collect::files::packed_offset::PackedOffset;
use crate::model::Fingerprint;

/// The answers that an interrupted run left, by fingerprint.
#[derive(Debug, Default)]
pub(crate) struct RecoveredAnswers {
    /// Sorted by fingerprint once [`RecoveredAnswers::seal`] was called.
    found: Vec<JournalledAnswer>,
}

/// An answer in a journal, in 32 bytes.
#[derive(Debug, Clone, Copy)]
struct JournalledAnswer {
    fingerprint: [u32; 4],
    /// [`PackedOffset::ZERO`], where the header is, once the answer was taken.
    offset: PackedOffset,
    /// When the answer came, in seconds since 1970.
    at: u32,
    /// The status of the answer.
    status: u16,
}

impl JournalledAnswer {
    fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.at.into())
    }
}

impl RecoveredAnswers {
    /// An answer was found at `offset`, with its time and status.
    pub(crate) fn add(&mut self, fingerprint: Fingerprint, (at, status): (SystemTime, u16), offset: u64) {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let at = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.found.push(JournalledAnswer {
            fingerprint: words(fingerprint),
            offset: PackedOffset::new(offset),
            at,
            status,
        });
    }

    /// All are found: of several with one fingerprint, the last one in the journal counts.
    pub(crate) fn seal(&mut self) {
        self.found.sort_unstable_by_key(|found| (found.fingerprint, found.offset));
        self.found.dedup_by(|later, kept| {
            let same = later.fingerprint == kept.fingerprint;
            if same {
                *kept = *later;
            }
            same
        });
        self.found.shrink_to_fit();
    }

    /// Forgets the answers that came before `limit`, and returns how many they were.
    pub(crate) fn expire(&mut self, limit: SystemTime) -> u64 {
        let before = self.found.len();
        self.found.retain(|found| found.at() >= limit);
        (before - self.found.len()) as u64
    }

    /// Forgets the answers whose status is not kept, and returns how many they were.
    pub(crate) fn retain_statuses(&mut self, is_kept: impl Fn(u16) -> bool) -> u64 {
        let before = self.found.len();
        self.found.retain(|found| is_kept(found.status));
        (before - self.found.len()) as u64
    }

    /// When the oldest of the answers came.
    pub(crate) fn oldest(&self) -> Option<SystemTime> {
        self.found.iter().map(JournalledAnswer::at).min()
    }

    /// The same for those that were older than `max_age` when the run began.
    pub(crate) fn expire_by(&mut self, max_age: Option<Duration>, began: SystemTime) -> u64 {
        max_age.and_then(|age| began.checked_sub(age)).map_or(0, |limit| self.expire(limit))
    }

    /// How many there are, used up or not.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// The offset of the answer to this request and its time in whole seconds, the first time it is taken.
    pub(crate) fn take(&mut self, fingerprint: Fingerprint) -> Option<(u64, SystemTime)> {
        let at = self.found.binary_search_by_key(&words(fingerprint), |found| found.fingerprint).ok()?;
        let found = &mut self.found[at];
        let taken = (found.offset.get(), found.at());
        found.offset = PackedOffset::ZERO;
        (taken.0 != 0).then_some(taken)
    }
}

/// The fingerprint in pieces that pack, the most significant first.
#[allow(clippy::cast_possible_truncation, reason = "each takes its own 32 bits")]
fn words(Fingerprint(value): Fingerprint) -> [u32; 4] {
    [(value >> 96) as u32, (value >> 64) as u32, (value >> 32) as u32, value as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(number)
    }

    #[test]
    fn the_last_answer_of_a_request_counts_and_only_once() {
        let mut answers = RecoveredAnswers::default();
        let (a, b) = (Fingerprint(1 << 64 | 5), Fingerprint(5));
        for (fingerprint, offset) in [(a, 10), (b, 20), (a, 30), (a, 25)] {
            answers.add(fingerprint, (second(offset), 200), offset);
        }
        answers.seal();
        assert_eq!(answers.len(), 2);
        assert_eq!((answers.take(a), answers.take(a)), (Some((30, second(30))), None));
        assert_eq!((answers.take(b), answers.take(Fingerprint(9))), (Some((20, second(20))), None));
    }

    #[test]
    fn an_answer_that_is_too_old_is_forgotten_and_so_is_no_younger_one_of_its_request() {
        let mut answers = RecoveredAnswers::default();
        let (a, b) = (Fingerprint(1 << 100 | 5), Fingerprint(5));
        for (fingerprint, at, offset) in [(a, 1000, 10), (b, 1000, 1 << 40), (a, 3000, 30)] {
            answers.add(fingerprint, (second(at), 200), offset);
        }
        answers.seal();
        assert_eq!(answers.expire(second(2000)), 1);
        assert_eq!((answers.take(a), answers.take(b)), (Some((30, second(3000))), None));
    }

    #[test]
    fn the_index_costs_at_most_64_bytes_a_sku() {
        assert!(size_of::<u64>() + size_of::<JournalledAnswer>() <= 64);
    }
}
