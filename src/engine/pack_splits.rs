//! How a refused pack is cut: until the key stands alone that the server refuses, or until the size fits.
//!
//! A server that refuses a pack (400, 404, 410, 422) does so for a key in it, for the number of its keys or for the
//! request as a whole. Which of them shows when the pack is asked for in halves:
//!
//! - A half is refused again: a key in it. The search goes on in this half.
//! - Both halves are answered: the pack was too large. From now on packs are no larger than the halves.
//! - The first keys that are requested alone are all refused, and nothing was ever answered: the request is wrong.
//!
//! As long as nothing was answered one pack is searched at a time.
//!
//! 413, 414 and an answer over `--max-body` name the size as the cause themselves.
//!
//! The search for a key costs two requests a halving, `2·⌈log2 N⌉` for a pack of N keys with one that is refused. More
//! may be spent only up to a fifth of all requests, or for one pack.

use std::collections::HashMap;

use crate::model::PackSearch;

/// The run ends where so many keys were requested alone, all of them were refused, and nothing was answered.
const ALONE: u32 = 20;

/// What to do with a refused pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SplitRuling {
    /// It is asked for in halves, which belong to this search.
    Halve(PackSearch),
    /// It is asked for in packs of at most so many keys.
    Cut(usize),
    /// Its one key takes the refusal as its own.
    Fail,
    /// It takes the refusal, and the run ends: every one of so many keys that were requested alone was refused.
    Stop(u32),
    /// The search costs too much: its keys are left to a later run.
    Leave,
}

/// Why a pack was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusedFor {
    /// Its size: 413, or an answer over `--max-body`; 414 for its URL.
    Size,
    /// Any of the causes.
    Unknown,
}

/// Searches for keys that are refused, and the size of packs that fits.
#[derive(Debug)]
pub(super) struct PackSplits {
    /// The size that was asked for.
    most: usize,
    /// The size now.
    size: usize,
    searches: HashMap<PackSearch, HalvedPack>,
    next: u64,
    /// Requests of packs that ended, those of searches included.
    requests: u64,
    /// Of these, those of searches.
    spent: u64,
    /// Refused packs and keys that no other one contains: at least so many keys are refused.
    refused: u64,
    /// Something was answered.
    is_answered: bool,
    /// Keys that were requested alone and refused.
    alone: u32,
}

/// How a half ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HalfEnd {
    /// With an answer, or with a search of its own that is over.
    Answered,
    /// With the refusal of a key, or of keys that are not searched.
    Refused,
    /// With neither.
    Unclear,
}

/// A refused pack whose halves were sent.
#[derive(Debug)]
struct HalvedPack {
    parent: Option<PackSearch>,
    /// Halves that have not ended.
    open: u8,
    /// A key, or a half, was refused again.
    is_found: bool,
    /// A half ended without an answer and without a refusal.
    is_unclear: bool,
    /// Keys of the larger half.
    half: usize,
    /// Its refusal is one of those that no other contains.
    is_counted: bool,
}

impl PackSplits {
    /// Nothing was sent yet; a pack has at most `most` keys.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            size: most,
            searches: HashMap::new(),
            next: 0,
            requests: 0,
            spent: 0,
            refused: 0,
            is_answered: false,
            alone: 0,
        }
    }

    /// The most keys of a pack.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether a refused pack waits for what the search under way finds: as long as nothing was answered, the request itself
    /// may be wrong, and one search shows it.
    pub(super) fn must_wait(&self, search: Option<PackSearch>, keys: usize, reason: RefusedFor) -> bool {
        let is_searched = keys > 1 && keys <= self.size && reason == RefusedFor::Unknown;
        is_searched && search.is_none() && !self.is_answered && !self.searches.is_empty()
    }

    /// A pack was answered.
    pub(super) fn answered(&mut self, search: Option<PackSearch>) {
        self.requests += 1;
        self.is_answered = true;
        self.end_half(search, HalfEnd::Answered);
    }

    /// A key that was requested alone was refused, and that is its answer: `null` is stored for it.
    pub(super) fn refused_alone(&mut self, search: Option<PackSearch>) {
        self.requests += 1;
        self.is_answered = true;
        self.count_refused(search);
        self.end_half(search, HalfEnd::Refused);
    }

    /// A pack ended in another way.
    pub(super) fn ended(&mut self, search: Option<PackSearch>) {
        self.requests += 1;
        self.end_half(search, HalfEnd::Unclear);
    }

    /// A pack of so many keys was refused.
    pub(super) fn refused(
        &mut self,
        search: Option<PackSearch>,
        keys: usize,
        reason: RefusedFor,
    ) -> SplitRuling {
        self.requests += 1;
        if keys > 1 && reason == RefusedFor::Size {
            // What the server says itself is no search.
            self.size = self.size.min(keys.div_ceil(2));
            self.end_half(search, HalfEnd::Unclear);
            return SplitRuling::Cut(self.size.min(keys.div_ceil(2)));
        }
        if keys > self.size {
            self.end_half(search, HalfEnd::Unclear);
            return SplitRuling::Cut(self.size);
        }
        let is_counted = self.count_refused(search);
        if keys == 1 {
            self.end_half(search, HalfEnd::Refused);
            self.alone += 1;
            return if self.alone >= ALONE && !self.is_answered {
                SplitRuling::Stop(self.alone)
            } else {
                SplitRuling::Fail
            };
        }
        if !self.may_spend() {
            self.end_half(search, HalfEnd::Refused);
            return SplitRuling::Leave;
        }
        self.spent += 2;
        let id = PackSearch(self.next);
        self.next += 1;
        if let Some(parent) = search.and_then(|search| self.searches.get_mut(&search)) {
            parent.is_found = true;
        }
        let half = keys.div_ceil(2);
        let found =
            HalvedPack { parent: search, open: 2, is_found: false, is_unclear: false, half, is_counted };
        self.searches.insert(id, found);
        SplitRuling::Halve(id)
    }

    /// The first half that is refused is what the refusal of the whole was for; the second is one more. Whether it counts.
    fn count_refused(&mut self, search: Option<PackSearch>) -> bool {
        let is_first = search.and_then(|search| self.searches.get(&search)).is_some_and(|it| !it.is_found);
        self.refused += u64::from(!is_first);
        !is_first
    }

    /// Whether two more requests may be spent.
    fn may_spend(&self) -> bool {
        let halvings = u64::from(self.most.next_power_of_two().trailing_zeros());
        // Where a pack is refused for its size and for a key at once, its halvings are counted as those of a search.
        let of_one_pack = 2 * self.most as u64;
        self.spent + 2 <= (self.requests / 5).max(2 * halvings * self.refused + of_one_pack)
    }

    /// A half has ended. Where it was the second, so has the search, and with it the half that it was.
    fn end_half(&mut self, search: Option<PackSearch>, end: HalfEnd) {
        let Some(id) = search else { return };
        let Some(search) = self.searches.get_mut(&id) else { return };
        search.is_found |= end == HalfEnd::Refused;
        search.is_unclear |= end == HalfEnd::Unclear;
        search.open -= 1;
        if search.open > 0 {
            return;
        }
        let Some(HalvedPack { parent, is_found, is_unclear, half, is_counted, .. }) =
            self.searches.remove(&id)
        else {
            return;
        };
        if !is_found && !is_unclear {
            // No key was refused: the pack was too large. What that cost was no search.
            self.size = self.size.min(half);
            self.spent = self.spent.saturating_sub(2);
            self.refused = self.refused.saturating_sub(u64::from(is_counted));
        }
        self.end_half(parent, HalfEnd::Answered);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// What asking for keys in packs came to.
    #[derive(Debug, Default)]
    struct Asked {
        requests: u64,
        answered: Vec<u32>,
        failed: Vec<u32>,
        left: Vec<u32>,
        stopped: Option<u32>,
        size: usize,
    }

    /// Asks a server for keys. It refuses a pack that has one of `refused`, or more than `most` keys.
    fn ask(keys: u32, pack: usize, refused: &[u32], most: usize) -> Asked {
        let mut splits = PackSplits::new(pack);
        let mut asked = Asked::default();
        let all: Vec<u32> = (0..keys).collect();
        let mut queue: VecDeque<(Option<PackSearch>, Vec<u32>)> =
            all.chunks(pack).map(|keys| (None, keys.to_vec())).collect();
        while let Some((search, keys)) = queue.pop_front() {
            asked.requests += 1;
            if keys.len() <= most && !keys.iter().any(|key| refused.contains(key)) {
                splits.answered(search);
                asked.answered.extend(keys);
                continue;
            }
            match splits.refused(search, keys.len(), RefusedFor::Unknown) {
                SplitRuling::Halve(id) => {
                    let (left, right) = keys.split_at(keys.len().div_ceil(2));
                    queue.extend([(Some(id), left.to_vec()), (Some(id), right.to_vec())]);
                }
                SplitRuling::Cut(size) => queue.extend(keys.chunks(size).map(|keys| (None, keys.to_vec()))),
                SplitRuling::Fail => asked.failed.extend(keys),
                SplitRuling::Leave => asked.left.extend(keys),
                SplitRuling::Stop(alone) => {
                    asked.stopped = Some(alone);
                    break;
                }
            }
        }
        asked.size = splits.size();
        asked
    }

    #[test]
    fn three_refused_keys_of_a_hundred_are_found_at_the_promised_cost() {
        for refused in [[0, 1, 2], [0, 50, 99], [13, 14, 77], [24, 49, 74]] {
            let asked = ask(100, 100, &refused, 100);
            assert!(asked.requests <= 1 + 2 * 3 * 7, "{} requests for {refused:?}", asked.requests);
            assert_eq!((asked.failed.len(), asked.answered.len()), (3, 97));
            assert_eq!(asked.size, 100, "the size was not at fault");
        }
    }

    #[test]
    fn a_pack_that_is_too_large_lowers_the_size_for_the_run() {
        let asked = ask(1_000, 100, &[], 30);
        assert_eq!((asked.size, asked.answered.len(), asked.failed.len()), (25, 1_000, 0));
        assert!(asked.requests <= 40 + 40, "{}", asked.requests);
        // One key a request, whatever is asked for.
        let asked = ask(300, 100, &[], 1);
        assert_eq!((asked.size, asked.answered.len(), asked.failed.len()), (1, 300, 0));
    }

    #[test]
    fn what_the_server_says_about_the_size_itself_is_believed_at_once() {
        let mut splits = PackSplits::new(100);
        assert_eq!(splits.refused(None, 100, RefusedFor::Size), SplitRuling::Cut(50));
        assert_eq!(splits.refused(None, 100, RefusedFor::Size), SplitRuling::Cut(50));
        assert_eq!(splits.refused(None, 50, RefusedFor::Size), SplitRuling::Cut(25));
        assert_eq!(splits.refused(None, 1, RefusedFor::Size), SplitRuling::Fail);
        assert_eq!(splits.size(), 25);
    }

    #[test]
    fn a_request_that_is_wrong_for_every_key_ends_the_run() {
        let all: Vec<u32> = (0..200).collect();
        let asked = ask(200, 100, &all, 100);
        assert_eq!((asked.stopped, asked.answered.len()), (Some(20), 0));
        // Refused keys beside others that come are just that.
        let asked = ask(200, 100, &all[..100], 100);
        assert_eq!((asked.stopped, asked.failed.len(), asked.answered.len()), (None, 100, 100));
        // And so are fewer than that.
        assert_eq!(ask(19, 100, &all, 100).failed.len(), 19);
    }

    #[test]
    fn a_search_without_an_end_is_given_up() {
        let mut splits = PackSplits::new(4);
        // A server that refuses halves and answers their keys, again and again, in packs of the same size.
        let Some(id) = (match splits.refused(None, 4, RefusedFor::Unknown) {
            SplitRuling::Halve(id) => Some(id),
            _ => None,
        }) else {
            panic!("not halved")
        };
        splits.spent = 1_000;
        assert_eq!(splits.refused(Some(id), 2, RefusedFor::Unknown), SplitRuling::Leave);
    }

    proptest! {
        #[test]
        fn each_key_ends_once_and_those_that_are_refused_fail(
            keys in 1..300_u32,
            pack in 1..120_usize,
            refused in prop::collection::hash_set(0..300_u32, 0..12),
            most in 1..120_usize,
        ) {
            let refused: Vec<u32> = refused.into_iter().filter(|key| *key < keys).collect();
            let mut asked = ask(keys, pack, &refused, most);
            prop_assume!(asked.stopped.is_none());
            prop_assert_eq!(&asked.left, &Vec::<u32>::new());
            asked.failed.sort_unstable();
            let mut expected = refused.clone();
            expected.sort_unstable();
            prop_assert_eq!(&asked.failed, &expected);
            let mut all = [asked.answered, asked.failed].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..keys).collect::<Vec<_>>());
            if pack <= most {
                let packs = u64::from(keys).div_ceil(pack as u64);
                let halvings = u64::from(pack.next_power_of_two().trailing_zeros());
                prop_assert!(asked.requests <= packs + 2 * halvings * refused.len() as u64);
            }
        }
    }
}
