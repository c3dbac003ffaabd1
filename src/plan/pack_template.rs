//! The place of a pack's keys in a template: `{items}`.
//!
//! A template with `{items}` is a template for one key in which `{items}` is the item alone, and the same item is
//! repeated for a pack, with the separator between. So the request of a pack of one is that of the key.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::plan::error::{BulkFault, PlanError};
use crate::plan::template::{ITEMS, ParsedPart, TemplatePart, TemplatePiece};

/// Marks the begin of the item, of the separator and the end in a template that is still being parsed. No header has
/// such a column: a header is text, and these are no names of it.
const MARKS: [&str; 3] = ["\u{0}item", "\u{0}separator", "\u{0}end"];

/// How keys are packed, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkSettings {
    /// The most keys of a pack.
    pub size: NonZeroU32,
    /// The template of one item.
    pub item: String,
    /// What stands between two items, as it is sent.
    pub separator: String,
}

/// Where the item stands among the parts of a template for one key, and what separates it from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ItemSpan {
    pub(super) item: Range<usize>,
    pub(super) separator: Box<str>,
}

impl ItemSpan {
    /// No item, behind so many parts.
    pub(super) fn nothing(parts: usize) -> Self {
        Self { item: parts..parts, separator: Box::default() }
    }

    /// The parts before the item and behind it, of so many.
    pub(super) fn beside(&self, parts: usize) -> [Range<usize>; 2] {
        [0..self.item.start, self.item.end..parts]
    }
}

/// Puts the item, once, and the separator in the place of `{items}`, each between marks. Without `{items}` the pieces are
/// as they were.
///
/// # Errors
/// `{items}` stands there twice, or the item is badly written.
pub(super) fn splice_items(
    pieces: Vec<TemplatePiece>,
    item: impl FnOnce() -> Result<Vec<TemplatePiece>, PlanError>,
    separator: &str,
) -> Result<Vec<TemplatePiece>, PlanError> {
    let is_items = |piece: &TemplatePiece| matches!(piece, TemplatePiece::Column(name) if name == ITEMS);
    let Some(at) = pieces.iter().position(is_items) else { return Ok(pieces) };
    if pieces[at + 1..].iter().any(is_items) {
        return Err(PlanError::Bulk(BulkFault::Twice));
    }
    let [begin, between, end] = MARKS.map(|mark| TemplatePiece::Column(mark.into()));
    let mut spliced = pieces;
    let after = spliced.split_off(at + 1);
    spliced.pop();
    spliced.push(begin);
    spliced.extend(item()?);
    spliced.push(between);
    spliced.push(TemplatePiece::Text(separator.into()));
    spliced.push(end);
    spliced.extend(after);
    Ok(spliced)
}

/// The parts of the template for one key, and where its item stands. What [`splice_items`] marked is taken apart.
pub(super) fn split_items(parts: Vec<ParsedPart>) -> (Vec<ParsedPart>, Option<ItemSpan>) {
    let mut kept = Vec::with_capacity(parts.len());
    let mut separator = None;
    let (mut start, mut end) = (0, 0);
    let mut is_separator = false;
    for part in parts {
        match part {
            TemplatePart::Column(name) if *name == *MARKS[0] => start = kept.len(),
            TemplatePart::Column(name) if *name == *MARKS[1] => {
                end = kept.len();
                separator = Some(String::new());
                is_separator = true;
            }
            TemplatePart::Column(name) if *name == *MARKS[2] => is_separator = false,
            TemplatePart::Text(text) if is_separator => {
                if let Some(separator) = &mut separator {
                    separator.push_str(&text);
                }
            }
            part => kept.push(part),
        }
    }
    let span = separator.map(|separator| ItemSpan { item: start..end, separator: separator.into() });
    (kept, span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> TemplatePiece {
        TemplatePiece::Text(text.into())
    }

    fn column(name: &str) -> TemplatePiece {
        TemplatePiece::Column(name.into())
    }

    fn parts(pieces: Vec<TemplatePiece>) -> Vec<ParsedPart> {
        crate::plan::template::insert_secrets(pieces, |_, _, _| Ok::<_, PlanError>(())).unwrap()
    }

    #[test]
    fn the_item_stands_once_and_its_place_is_known() {
        let pieces = vec![text("a="), column(ITEMS), text("&b="), column("region")];
        let spliced = splice_items(pieces, || Ok(vec![text("x:"), column("sku")]), "|").unwrap();
        let (parts, span) = split_items(parts(spliced));
        assert_eq!(format!("{parts:?}").matches("Column").count(), 2);
        assert_eq!(span, Some(ItemSpan { item: 1..3, separator: "|".into() }));
        assert_eq!(span.unwrap().beside(parts.len()), [0..1, 3..5]);
    }

    #[test]
    fn a_template_without_items_stays_as_it_is() {
        let spliced = splice_items(vec![text("a="), column("sku")], || unreachable!(), ",").unwrap();
        assert_eq!(split_items(parts(spliced)).1, None);
    }

    #[test]
    fn items_stand_in_one_place() {
        let twice = vec![column(ITEMS), text(" "), column(ITEMS)];
        assert_eq!(
            splice_items(twice, || Ok(Vec::new()), ",").unwrap_err(),
            PlanError::Bulk(BulkFault::Twice)
        );
    }
}
