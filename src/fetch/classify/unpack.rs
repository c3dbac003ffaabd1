//! Takes the answer to a pack apart: which part of it is for which key. By their keys, never by their order.
//!
//! The items are the values that `--bulk-items` gives, or the whole answer. A single array or object is taken apart into
//! its elements or members. An item is a part of the body, byte for byte, wherever the filter only selects.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::filters::CompiledBulkFilters;
use super::select::FilterInput;
use super::value_places::ValuePlaces;
use crate::json::Parts;
use crate::model::fault::PackProblem;
use crate::model::option::{BULK_ITEMS, BULK_KEY};
use crate::model::{Cause, Fault, Key, Mask, counted, display_safe};

/// Keys that a message shows of those that were asked for, and of those that came.
const SHOWN_KEYS: usize = 3;
/// Characters that are shown of each.
const KEY_CHARS: usize = 40;
/// Members of an item that are looked at for one that has its key.
const MEMBERS: usize = 100;

/// An item of the answer.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// Its JSON, compact.
    pub(super) json: Cow<'a, [u8]>,
    /// The name of the member that it was.
    name: Option<String>,
}

/// Which item is for which key.
#[derive(Debug)]
pub(super) struct Unpacked<'a> {
    /// For each key of the pack, in its order.
    pub(super) found: Vec<FoundItem<'a>>,
    /// Items of other keys.
    pub(super) foreign: u64,
    /// The key of the first of them, safe to show.
    pub(super) foreign_key: Option<String>,
}

/// What the answer has for one key.
#[derive(Debug)]
pub(super) enum FoundItem<'a> {
    /// Nothing.
    Missing,
    /// One item.
    Once(Item<'a>),
    /// Several.
    Several,
    /// None, but one whose key is the same in another form: this one, safe to show.
    OtherForm(String),
}

impl Unpacked<'_> {
    /// Whether the answer has an item of a key that was asked for.
    pub(super) fn has_any(&self) -> bool {
        self.found.iter().any(|found| matches!(found, FoundItem::Once(_) | FoundItem::Several))
    }
}

/// Takes answers to packs apart.
pub(super) struct Unpacker<'f> {
    pub(super) filters: &'f CompiledBulkFilters,
    pub(super) mask: &'f Mask,
    /// An item as filters see it.
    pub(super) of_item: &'f dyn Fn(&[u8]) -> Option<FilterInput>,
}

impl Unpacker<'_> {
    /// Takes a body apart. `input` is the body as filters see it.
    ///
    /// # Errors
    /// The fault of the whole pack: the body has no items, or their keys cannot be told.
    pub(super) fn unpack<'a>(
        &self,
        json: &'a [u8],
        input: Option<&FilterInput>,
        keys: &[&Key],
    ) -> Result<Unpacked<'a>, Fault> {
        let asked: HashMap<&str, usize> =
            keys.iter().enumerate().map(|(place, key)| (key.as_str(), place)).collect();
        let items = self.items(json, input, &asked)?;
        let mut found: Vec<FoundItem<'_>> = keys.iter().map(|_| FoundItem::Missing).collect();
        if self.filters.key.is_none() && !items.is_empty() && items.iter().all(|item| item.name.is_none()) {
            return Err(no_key(
                &items,
                &asked,
                "the answer is a list, whose items have no names to tell their SKUs by",
            ));
        }
        let mut others = Vec::new();
        let mut keyless = Vec::new();
        for item in items {
            let Some(key) = self.key(&item) else {
                keyless.extend((*item.json != *b"null").then_some(item));
                continue;
            };
            let Some(&place) = asked.get(key.as_str()) else {
                others.push(key);
                continue;
            };
            let found = &mut found[place];
            *found = match found {
                FoundItem::Missing => FoundItem::Once(item),
                FoundItem::Once(_) | FoundItem::Several | FoundItem::OtherForm(_) => FoundItem::Several,
            };
        }
        let has_any = found.iter().any(|found| !matches!(found, FoundItem::Missing));
        if !has_any && !others.is_empty() {
            let asked = self.shown(keys.iter().map(|key| key.as_str()));
            let got = self.shown(others.iter().map(String::as_str));
            let detail =
                format!("the answer has other SKUs than were requested: requested {asked}; got {got}");
            return Err(Fault::new(Cause::Pack(PackProblem::OtherKeys), detail));
        }
        if !has_any && !keyless.is_empty() {
            let what =
                format!("the answer has {}, and {BULK_KEY} gives no SKU for any", items_text(keyless.len()));
            return Err(no_key(&keyless, &asked, &what));
        }
        if !others.is_empty() {
            self.find_other_forms(keys, &others, &mut found);
        }
        let foreign_key = others.first().map(|key| display_safe(&self.mask.apply(key), KEY_CHARS));
        Ok(Unpacked { found, foreign: others.len() as u64, foreign_key })
    }

    /// SKUs that are not in the answer, where it has them in another form: in other case, or without leading zeros.
    fn find_other_forms(&self, keys: &[&Key], others: &[String], found: &mut [FoundItem<'_>]) {
        let by_form: HashMap<String, &String> = others.iter().map(|key| (form(key), key)).collect();
        for (found, key) in found.iter_mut().zip(keys) {
            if let (FoundItem::Missing, Some(other)) = (&found, by_form.get(&form(key.as_str()))) {
                *found = FoundItem::OtherForm(display_safe(&self.mask.apply(other), KEY_CHARS));
            }
        }
    }

    /// The first keys, as a message shows them.
    fn shown<'k>(&self, keys: impl Iterator<Item = &'k str>) -> String {
        let mut keys = keys.peekable();
        let mut shown = Vec::new();
        for key in keys.by_ref().take(SHOWN_KEYS) {
            shown.push(format!("`{}`", display_safe(&self.mask.apply(key), KEY_CHARS)));
        }
        if keys.peek().is_some() {
            shown.push("…".into());
        }
        shown.join(", ")
    }

    /// The key of an item; none where it has none.
    fn key(&self, item: &Item<'_>) -> Option<String> {
        match &self.filters.key {
            None => item.name.clone(),
            Some(filter) => filter.key(&(self.of_item)(&item.json)?.named(item.name.as_deref())),
        }
    }

    /// The items, with what names them.
    fn items<'a>(
        &self,
        json: &'a [u8],
        input: Option<&FilterInput>,
        asked: &HashMap<&str, usize>,
    ) -> Result<Vec<Item<'a>>, Fault> {
        let no_items = |why: &str| {
            Fault::new(Cause::Pack(PackProblem::NoItems), format!("the answer has no items: {why}"))
        };
        let mut values = self.values(json, input)?;
        let alone = |json: Cow<'a, [u8]>| Item { json, name: None };
        if values.len() > 1 {
            return Ok(values.into_iter().map(alone).collect());
        }
        let Some(value) = values.pop() else { return Ok(Vec::new()) };
        match Parts::of(&value, &(0..value.len())) {
            Some(Parts::Elements(places)) => {
                Ok(places.into_iter().map(|place| alone(part(&value, place))).collect())
            }
            Some(Parts::Members(places)) => {
                // It may be the one item itself: its own key says so.
                let item = alone(value);
                let is_asked = |key: String| asked.contains_key(key.as_str());
                if self.filters.key.is_some() && self.key(&item).is_some_and(is_asked) {
                    return Ok(vec![item]);
                }
                let member = |(name, place)| Item { json: part(&item.json, place), name: Some(name) };
                Ok(places.into_iter().map(member).collect())
            }
            None if *value == *b"null" && self.filters.items.is_some() => Ok(Vec::new()),
            None => Err(no_items("it is neither an array nor an object")),
        }
    }

    /// The values that the items are made of. An empty list has none; what is not there at all is an error.
    fn values<'a>(&self, json: &'a [u8], input: Option<&FilterInput>) -> Result<Vec<Cow<'a, [u8]>>, Fault> {
        let Some(filter) = &self.filters.items else { return Ok(vec![json.into()]) };
        let fault = |why: &str| {
            Fault::new(
                Cause::Pack(PackProblem::NoItems),
                format!("the answer has no items: {BULK_ITEMS}: {why}"),
            )
        };
        // As some servers write that nothing was found, whatever they write else.
        if matches!(json, b"[]" | b"{}") {
            return Ok(Vec::new());
        }
        let input = input.ok_or_else(|| fault("it is not JSON that filters can read"))?;
        let found = filter.all(input).map_err(|error| fault(&error.masked(self.mask).to_string()))?;
        let mut places = ValuePlaces::of(json);
        let mut values = Vec::with_capacity(found.len());
        let mut is_absent = !found.is_empty();
        for value in found {
            let value = places.value(value);
            is_absent &= value.is_none();
            values.extend(value);
        }
        if is_absent { Err(fault("what it names is not there")) } else { Ok(values) }
    }
}

/// The same for SKUs that differ in case, in leading zeros or in white space around them.
fn form(key: &str) -> String {
    key.trim().trim_start_matches('0').to_lowercase()
}

fn items_text(items: usize) -> String {
    counted(items as u64, "item", "items")
}

/// A part of a value; borrowed where the value is.
fn part<'a>(value: &Cow<'a, [u8]>, place: Range<usize>) -> Cow<'a, [u8]> {
    match value {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[place]),
        Cow::Owned(bytes) => Cow::Owned(bytes[place].to_vec()),
    }
}

/// The fault of items whose keys cannot be told; with the filter that would, where a member of one has one.
fn no_key(items: &[Item<'_>], asked: &HashMap<&str, usize>, what: &str) -> Fault {
    let filter = items.iter().take(MEMBERS).find_map(|item| member_with_key(&item.json, asked));
    let hint = filter.map_or_else(
        || format!("say where an item has its SKU: {BULK_KEY} .sku"),
        |name| {
            let name = serde_json::Value::from(name).to_string();
            format!("an item seems to have its SKU there: {BULK_KEY} '.[{}]'", display_safe(&name, KEY_CHARS))
        },
    );
    Fault::new(Cause::Pack(PackProblem::NoItems), format!("{what}; {hint}"))
}

fn member_with_key(json: &[u8], asked: &HashMap<&str, usize>) -> Option<String> {
    let Some(Parts::Members(members)) = Parts::of(json, &(0..json.len())) else { return None };
    let is_key = |place: &Range<usize>| {
        let text = &json[place.clone()];
        let string = serde_json::from_slice::<String>(text).ok();
        let key =
            string.or_else(|| serde_json::from_slice::<serde_json::Number>(text).ok().map(|n| n.to_string()));
        key.is_some_and(|key| asked.contains_key(key.as_str()))
    };
    members.into_iter().take(MEMBERS).find(|(_, place)| is_key(place)).map(|(name, _)| name)
}
