//! The keys that wait to be packed, and what becomes of the packs.

use std::collections::VecDeque;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::open_jobs::{OpenJobs, Supply};
use super::pack_splits::{PackSplits, RefusedFor, SplitRuling};
use crate::fetch::{Fetcher, ItemEnd, PackEnd, Transport, UnpackedAnswer};
use crate::model::fault::AnswerMeaning;
use crate::model::option::{BULK, NEXT};
use crate::model::{
    Cause, Deferral, Entry, Fault, Job, Outcome, Pack, PackItem, PackSearch, StopReason, counted,
};
use crate::plan::Packer;

/// Answers of the same number of items that look like pages.
const FULL_PAGES: u32 = 2;
/// Ticks without a new row after which packs are sent as they are: a program that writes rows slowly is waiting.
const QUIET_TICKS: u32 = 2;

/// The keys that wait to be packed, and the packs to send next.
pub(super) struct PackQueue {
    packer: Packer,
    splits: PackSplits,
    ready: Vec<Pack>,
    /// Keys that wait before they are asked for again.
    waiting: Vec<(Instant, PackItem)>,
    /// Refused packs that wait for the search of another.
    refused: VecDeque<RefusedPack>,
    /// Ticks without a new row, one after the other.
    quiet: u32,
    foreign: u64,
    foreign_key: Option<String>,
    /// Keys of refused packs whose search was given up.
    left: u64,
    page: PageSize,
}

/// Whether answers seem to be pages: each that left keys out had the same number of items, as no answer with more had.
/// SKUs that the API does not have leave out any number of them.
#[derive(Default)]
struct PageSize {
    /// The most items of an answer.
    most: usize,
    /// Answers with so many items that left keys out.
    full: u32,
    /// All answers that left keys out.
    short: u32,
    /// So many items are usual for a page, or far fewer than keys that were asked for.
    is_likely: bool,
}

impl PageSize {
    /// Counts an answer of so many items to so many keys.
    fn count(&mut self, items: usize, keys: usize) {
        if items > self.most {
            *self = Self { most: items, full: 0, short: self.short, is_likely: false };
        }
        if items < keys {
            self.short += 1;
            self.full += u32::from(items == self.most && items > 0);
            self.is_likely |= items == self.most && (items.is_multiple_of(5) || items * 2 <= keys);
        }
    }

    /// The size of the pages, where answers seem to be some.
    fn found(&self) -> Option<usize> {
        (self.is_likely && self.full >= FULL_PAGES && self.full == self.short).then_some(self.most)
    }
}

/// What becomes of the keys of a pack that ended.
pub(super) enum PackSettled {
    /// Each has its own outcome; those that are not there are asked for again.
    Each(Vec<Entry>),
    /// One answer refused them all: they are in the order of the pack, and none is missing.
    Together(Vec<Entry>),
    /// The run ends.
    Stop(Vec<Entry>, StopReason),
}

impl PackQueue {
    /// Keys that this packs.
    pub(super) fn new(packer: Packer) -> Self {
        Self {
            splits: PackSplits::new(packer.size()),
            packer,
            ready: Vec::new(),
            waiting: Vec::new(),
            refused: VecDeque::new(),
            quiet: 0,
            foreign: 0,
            foreign_key: None,
            left: 0,
            page: PageSize::default(),
        }
    }

    /// Adds a key.
    pub(super) fn add(&mut self, job: Job) {
        self.quiet = 0;
        self.packer.add(job, &mut self.ready);
    }

    /// Adds a key that is asked for by itself, at once.
    pub(super) fn add_alone(&mut self, job: Job) {
        self.packer.cut(vec![job.into()], (1, None), &mut self.ready);
    }

    /// Adds a key that was in a pack before.
    pub(super) fn add_again(&mut self, item: PackItem) {
        self.packer.add_again(item, &mut self.ready);
    }

    /// Sends the packs that are ready; all of them where no row is left.
    pub(super) fn send<'a, T: Transport, F: Future<Output = Entry>>(
        &mut self,
        open: &mut OpenJobs<'a, F>,
        fetcher: &'a Fetcher<T>,
    ) {
        if open.has_no_rows_left() {
            self.flush();
        }
        open.packs.extend(self.ready.drain(..).map(|pack| fetcher.fetch_pack(pack).boxed_local()));
        open.holds_keys = self.holds_keys();
    }

    /// What is there is sent next.
    fn flush(&mut self) {
        self.packer.flush(&mut self.ready);
    }

    /// Whether keys wait, in a pack that is not full or for their next attempt.
    fn holds_keys(&self) -> bool {
        !(self.packer.is_empty()
            && self.waiting.is_empty()
            && self.ready.is_empty()
            && self.refused.is_empty())
    }

    /// Whether more packs may be sent: not while refused ones wait for a search to end.
    pub(super) fn may_open(&self) -> bool {
        self.refused.is_empty()
    }

    /// Packs the keys whose wait is over. Where no row comes, packs are sent as they are.
    pub(super) fn tick(&mut self, supply: Supply) {
        let now = Instant::now();
        for (_, item) in self.waiting.extract_if(.., |(due, _)| *due <= now) {
            self.packer.add_again(item, &mut self.ready);
        }
        match supply {
            Supply::Exhausted(_) => self.flush(),
            Supply::Starved => {
                self.quiet += 1;
                if self.quiet >= QUIET_TICKS {
                    self.flush();
                }
            }
            Supply::Rows => self.quiet = 0,
        }
    }

    /// The run stops: what was not sent is left to the next one.
    pub(super) fn clear(&mut self) {
        self.packer.clear();
        self.ready.clear();
        self.waiting.clear();
        self.refused.clear();
    }

    /// Warnings about items of keys that were not asked for, and about keys that are left to the next run.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(key) = &self.foreign_key {
            warnings.push(format!(
                "answers had {} of SKUs that were not requested, such as `{}`; they are not stored",
                counted(self.foreign, "item", "items"),
                key
            ));
        }
        if let Some(items) = self.page.found() {
            warnings.push(format!(
                "no answer to a pack had more than {}, though more SKUs were asked for: where the API gives pages, raise \
                 the size of a page in the request, ask for all pages with {NEXT}, or ask for fewer SKUs with {BULK} \
                 {items}",
                counted(items as u64, "item", "items"),
            ));
        }
        if self.left > 0 {
            warnings.push(format!(
                "the API refuses packs for no SKU and no size that was found: {} left to the next run; {BULK} 1 \
                 requests each SKU alone",
                counted(self.left, "SKU is", "SKUs are"),
            ));
        }
        warnings
    }

    /// What becomes of the keys of a pack, and of those that waited for it.
    pub(super) fn settle(&mut self, end: PackEnd) -> PackSettled {
        let mut settled = self.settle_one(end);
        loop {
            let splits = &self.splits;
            let may_go_on = |pack: &RefusedPack| !splits.must_wait(None, pack.items.len(), pack.reason);
            if !self.refused.front().is_some_and(may_go_on) {
                return settled;
            }
            let Some(pack) = self.refused.pop_front() else { return settled };
            let (PackSettled::Each(more) | PackSettled::Together(more) | PackSettled::Stop(more, _)) =
                self.refused(pack, None);
            match &mut settled {
                PackSettled::Each(entries)
                | PackSettled::Together(entries)
                | PackSettled::Stop(entries, _) => {
                    entries.extend(more);
                }
            }
        }
    }

    fn settle_one(&mut self, end: PackEnd) -> PackSettled {
        let reason = reason_of_refusal(&end);
        let PackEnd { items, search, attempts, sent, address, outcome, .. } = end;
        let made = Made { attempts, sent, address };
        match outcome {
            Outcome::Fetched(answer) => {
                if is_null_for_a_refusal(&answer) {
                    self.splits.refused_alone(search);
                } else {
                    self.splits.answered(search);
                }
                self.page.count(answer.received, items.len());
                self.foreign += answer.foreign;
                self.foreign_key = self.foreign_key.take().or(answer.foreign_key);
                PackSettled::Each(self.answered(items, answer.items, &made))
            }
            Outcome::Deferred(deferral) => {
                self.splits.ended(search);
                PackSettled::Each(made.entries(items, || Outcome::Deferred(deferral.clone())))
            }
            Outcome::Failed(fault) => {
                let Some(reason) = reason else {
                    self.splits.ended(search);
                    let outcome = || Outcome::Failed(fault.clone());
                    let refuses = outcome().refused().is_some();
                    let entries = made.entries(items, outcome);
                    return if refuses { PackSettled::Together(entries) } else { PackSettled::Each(entries) };
                };
                let must_wait = self.splits.must_wait(search, items.len(), reason);
                let pack = RefusedPack { items, fault, reason, made };
                if must_wait {
                    self.refused.push_back(pack);
                    return PackSettled::Each(Vec::new());
                }
                self.refused(pack, search)
            }
        }
    }

    fn answered(&mut self, items: Vec<PackItem>, ends: Vec<ItemEnd>, made: &Made) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(items.len());
        for (mut item, end) in items.into_iter().zip(ends) {
            match end {
                ItemEnd::Ended(outcome) => entries.push(made.entry(item, outcome, !entries.is_empty())),
                ItemEnd::Again { wait, is_charged } => {
                    item.attempts += if is_charged { made.attempts } else { 0 };
                    item.retries += u32::from(is_charged);
                    self.waiting.push((Instant::now() + wait, item));
                }
            }
        }
        entries
    }

    /// The server refused the pack: it is cut, or its keys take the refusal.
    fn refused(&mut self, pack: RefusedPack, search: Option<PackSearch>) -> PackSettled {
        let RefusedPack { mut items, fault, reason, made } = pack;
        let ruling = self.splits.refused(search, items.len(), reason);
        self.packer.set_size(self.splits.size());
        let (size, search) = match ruling {
            SplitRuling::Halve(search) => (items.len().div_ceil(2), Some(search)),
            SplitRuling::Cut(size) => (size, None),
            SplitRuling::Fail => {
                return PackSettled::Each(made.entries(items, || Outcome::Failed(fault.clone())));
            }
            SplitRuling::Leave => {
                self.left += items.len() as u64;
                return PackSettled::Each(made.entries(items, || Outcome::Deferred(Deferral::Stopped)));
            }
            SplitRuling::Stop(skus) => {
                let entries = made.entries(items, || Outcome::Failed(fault.clone()));
                return PackSettled::Stop(entries, StopReason::EveryKeyRefused { skus, fault });
            }
        };
        for item in &mut items {
            item.attempts += made.attempts;
        }
        self.packer.cut(items, (size, search), &mut self.ready);
        PackSettled::Each(Vec::new())
    }
}

/// A pack that was refused, and is not cut yet.
struct RefusedPack {
    items: Vec<PackItem>,
    fault: Fault,
    reason: RefusedFor,
    made: Made,
}

/// How the request was made, which its keys share.
struct Made {
    attempts: u32,
    sent: Option<std::time::Instant>,
    address: Box<str>,
}

impl Made {
    fn entries(&self, items: Vec<PackItem>, outcome: impl Fn() -> Outcome) -> Vec<Entry> {
        items.into_iter().enumerate().map(|(place, item)| self.entry(item, outcome(), place > 0)).collect()
    }

    /// `is_companion`: the request is counted with another key.
    fn entry(&self, item: PackItem, outcome: Outcome, is_companion: bool) -> Entry {
        let PackItem { seq, line, key, fingerprint, record, attempts, retries: _ } = item;
        let address = matches!(outcome, Outcome::Failed(_)).then(|| self.address.clone());
        Entry {
            seq,
            line,
            key,
            fingerprint,
            attempts: attempts + self.attempts,
            sent: self.sent,
            outcome,
            record,
            address,
            request: None,
            is_companion,
        }
    }
}

/// The entry of the first key of a pack, with this outcome.
pub(super) fn entry_of_first(end: &PackEnd, outcome: Outcome) -> Entry {
    let made = Made { attempts: end.attempts, sent: end.sent, address: end.address.clone() };
    made.entry(end.items[0].clone(), outcome, false)
}

/// Why a server may have refused a pack, where its keys are asked for in smaller ones; none where they are not.
fn reason_of_refusal(end: &PackEnd) -> Option<RefusedFor> {
    let Outcome::Failed(fault) = &end.outcome else { return None };
    match fault.cause {
        Cause::Status(413 | 414) | Cause::TooLarge => Some(RefusedFor::Size),
        // What is stored as null may be one key of the pack. One item may have spoilt the whole, too: by a character that
        // JSON cannot have, or by an error for all.
        Cause::Status(400 | 404 | 410 | 422) | Cause::Body | Cause::Meaning(AnswerMeaning::Failed) => {
            Some(RefusedFor::Unknown)
        }
        Cause::Status(_) if end.stores_null => Some(RefusedFor::Unknown),
        _ => None,
    }
}

/// Whether the request of a pack is made again in parts, so that its end is none of its keys'.
pub(super) fn is_cut(end: &PackEnd) -> bool {
    end.items.len() > 1 && reason_of_refusal(end).is_some()
}

/// Whether the answer for a key alone is the `null` of its status.
fn is_null_for_a_refusal(answer: &UnpackedAnswer) -> bool {
    let [ItemEnd::Ended(Outcome::Fetched(answer))] = &answer.items[..] else { return false };
    !(200..300).contains(&answer.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_one_size_look_like_pages_and_those_of_several_do_not() {
        let found = |answers: &[(usize, usize)]| {
            let mut page = PageSize::default();
            for &(items, keys) in answers {
                page.count(items, keys);
            }
            page.found()
        };
        assert_eq!(found(&[(10, 100), (10, 100), (4, 4)]), Some(10));
        assert_eq!(found(&[(3, 20), (3, 20)]), Some(3));
        // What the API does not have is missing here and there.
        assert_eq!(found(&[(97, 100), (98, 100), (98, 100), (95, 100)]), None);
        assert_eq!(found(&[(99, 100), (99, 100), (99, 100)]), None);
        assert_eq!(found(&[(10, 100), (10, 100), (11, 100)]), None);
        assert_eq!(found(&[(10, 100)]), None);
        assert_eq!(found(&[(0, 100), (0, 100), (100, 100)]), None);
    }
}
