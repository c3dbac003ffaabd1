//! The values that a filter gives, as the bytes that they are in the body.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::select::{FoundValue, PathStep};
use crate::json::Parts;

/// Finds values in a body by their paths. What was taken apart for one is kept for the next.
pub(super) struct ValuePlaces<'a> {
    json: &'a [u8],
    parts: HashMap<usize, SplitValue>,
}

enum SplitValue {
    Elements(Vec<Range<usize>>),
    Members(HashMap<String, Range<usize>>),
}

impl<'a> ValuePlaces<'a> {
    /// Of this body, checked and compact.
    pub(super) fn of(json: &'a [u8]) -> Self {
        Self { json, parts: HashMap::new() }
    }

    /// None: the body does not have what the path names.
    pub(super) fn value(&mut self, value: FoundValue) -> Option<Cow<'a, [u8]>> {
        match value {
            FoundValue::Computed(json) => Some(json.into()),
            FoundValue::At(path) => self.find(&path).map(|place| self.json[place].into()),
        }
    }

    fn find(&mut self, path: &[PathStep]) -> Option<Range<usize>> {
        let mut place = 0..self.json.len();
        for step in path {
            if !self.parts.contains_key(&place.start) {
                let split = match Parts::of(self.json, &place)? {
                    Parts::Elements(places) => SplitValue::Elements(places),
                    // Of a repeated name the last value counts, as in jq.
                    Parts::Members(places) => SplitValue::Members(places.into_iter().collect()),
                };
                self.parts.insert(place.start, split);
            }
            place = match (self.parts.get(&place.start)?, step) {
                (SplitValue::Elements(places), PathStep::Index(index)) => {
                    let from_end = || places.len().checked_sub(index.unsigned_abs());
                    places.get(usize::try_from(*index).ok().or_else(from_end)?)?.clone()
                }
                (SplitValue::Members(places), PathStep::Name(name)) => places.get(name)?.clone(),
                _ => return None,
            };
        }
        Some(place)
    }
}
