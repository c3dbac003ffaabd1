//! Packs keys into requests, in the order of the rows.
//!
//! Rows whose cells differ in a column that the request uses beside its items cannot share a request: they are packed
//! apart. A pack is closed when it is full, when its URL would be too long, or when its first row is so far behind that
//! it must not wait any longer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::model::{Job, Pack, PackItem, PackSearch};
use crate::plan::request_template::BoundTemplate;

/// The longest path and query of a pack, in bytes: a common limit of servers and proxies is 8 KiB for the whole line.
const LONGEST_TARGET: usize = 8_000;
/// Keys that may come between the first key of a pack and the one that closes it unfilled.
const WINDOW: u64 = 1_000;

/// Packs that are not full yet.
pub(crate) struct Packer {
    template: Arc<BoundTemplate>,
    /// The columns whose cells the keys of a pack share.
    shared: Vec<usize>,
    size: usize,
    open: HashMap<Box<[u8]>, OpenPack>,
    /// The open packs by the number of their first key; some may be closed.
    begun: VecDeque<(u64, Box<[u8]>)>,
    /// Keys so far.
    keys: u64,
    scratch: String,
}

struct OpenPack {
    /// The number of its first key.
    begun: u64,
    items: Vec<PackItem>,
    /// The length of path and query.
    target: usize,
}

impl Packer {
    /// For the requests of this template, which packs keys: at most `size` together.
    fn new(template: Arc<BoundTemplate>, size: usize) -> Self {
        let shared = template.columns_beside_items();
        Self {
            template,
            shared,
            size: size.max(1),
            open: HashMap::new(),
            begun: VecDeque::new(),
            keys: 0,
            scratch: String::new(),
        }
    }

    /// For these requests, as large as the user says; none where they pack no keys.
    pub(crate) fn of(template: &Arc<BoundTemplate>) -> Option<Self> {
        let size = usize::try_from(template.bulk()?.size.get()).unwrap_or(usize::MAX);
        Some(Self::new(Arc::clone(template), size))
    }

    /// The most keys of a pack.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Whether no key waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// From now on a pack has at most so many keys.
    pub(crate) fn set_size(&mut self, size: usize) {
        self.size = size.max(1);
    }

    /// Adds a key; gives the packs that are closed for it.
    pub(crate) fn add(&mut self, job: Job, out: &mut Vec<Pack>) {
        let lengths = self.template.target_lengths((&job.record, &job.request), &mut self.scratch);
        self.add_item(job.into(), lengths, out);
    }

    /// Adds a key that was in a pack before; gives the packs that are closed for it.
    pub(crate) fn add_again(&mut self, item: PackItem, out: &mut Vec<Pack>) {
        // It fitted into a request before.
        let Some(alone) = self.request_of(std::slice::from_ref(&item)) else { return };
        let lengths = self.template.target_lengths((&item.record, &alone), &mut self.scratch);
        self.add_item(item, lengths, out);
    }

    fn add_item(&mut self, item: PackItem, (alone, more): (usize, usize), out: &mut Vec<Pack>) {
        self.keys += 1;
        let group = self.group(&item);
        if self.open.get(&group).is_some_and(|open| open.target + more > LONGEST_TARGET) {
            self.close(&group, out);
        }
        let number = self.keys;
        let open = self.open.entry(group.clone()).or_insert_with(|| {
            self.begun.push_back((number, group.clone()));
            OpenPack { begun: number, items: Vec::new(), target: 0 }
        });
        open.target = if open.items.is_empty() { alone } else { open.target + more };
        open.items.push(item);
        if open.items.len() >= self.size {
            self.close(&group, out);
        }
        let window = WINDOW.max(self.size as u64);
        while let Some((begun, group)) = self.begun.front().cloned() {
            let is_open = self.open.get(&group).is_some_and(|open| open.begun == begun);
            if is_open && self.keys - begun < window {
                break;
            }
            self.begun.pop_front();
            if is_open {
                self.close(&group, out);
            }
        }
    }

    /// Closes all packs, the first begun first.
    pub(crate) fn flush(&mut self, out: &mut Vec<Pack>) {
        for (begun, group) in std::mem::take(&mut self.begun) {
            if self.open.get(&group).is_some_and(|open| open.begun == begun) {
                self.close(&group, out);
            }
        }
    }

    /// Drops all keys that wait.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.begun.clear();
    }

    /// These keys, which were in one pack before, as packs of at most `size`, which belong to this search.
    pub(crate) fn cut(
        &mut self,
        items: Vec<PackItem>,
        (size, search): (usize, Option<PackSearch>),
        out: &mut Vec<Pack>,
    ) {
        let mut rest = items;
        while !rest.is_empty() {
            let after = rest.split_off(size.max(1).min(rest.len()));
            self.push(rest, search, out);
            rest = after;
        }
    }

    fn close(&mut self, group: &[u8], out: &mut Vec<Pack>) {
        if let Some(open) = self.open.remove(group) {
            self.push(open.items, None, out);
        }
    }

    /// Renders the request. Keys that cannot share one, which no template is known to give, have one each.
    fn push(&mut self, items: Vec<PackItem>, search: Option<PackSearch>, out: &mut Vec<Pack>) {
        if let Some(request) = self.request_of(&items) {
            out.push(Pack { items: Arc::new(items), request, search });
        } else if items.len() > 1 {
            for item in items {
                self.push(vec![item], search, out);
            }
        }
    }

    fn request_of(&mut self, items: &[PackItem]) -> Option<crate::model::Request> {
        self.template.render_pack(items, &mut self.scratch).ok()
    }

    /// The cells that the keys of a pack share, each with its length.
    fn group(&self, item: &PackItem) -> Box<[u8]> {
        let mut group = Vec::new();
        for &column in &self.shared {
            let cell = item.record.get(column).unwrap_or_default();
            group.extend((cell.len() as u64).to_le_bytes());
            group.extend(cell);
        }
        group.into()
    }
}
