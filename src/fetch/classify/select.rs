//! jq filters on answers: `--select`, which turns each body into the value that is kept, and conditions, which say
//! what an answer means ([`super::meaning`]).
//!
//! A filter is compiled once and applied to every body. `.`, the default of `--select`, is no filter: the body's bytes
//! stay as they are. Any other selection must give exactly one value for each body.
//!
//! A filter can reach no environment (it holds secrets), no files, no other inputs, and no output of its own. Its time
//! and memory are not bounded: the user wrote it, and `[range(1e12)]` fills the memory.

use csv::ByteRecord;
use http::HeaderMap;

use crate::model::{Key, Mask, display_safe};

#[cfg(feature = "jq")]
mod input;
#[cfg(feature = "jq")]
mod jq;
#[cfg(not(feature = "jq"))]
mod no_jq;
mod row_cells;
#[cfg(feature = "jq")]
mod value;
#[cfg(feature = "jq")]
mod variable_use;

#[cfg(feature = "jq")]
use jq::JqFilter as Filter;
#[cfg(not(feature = "jq"))]
use no_jq::NoFilter as Filter;

#[cfg(feature = "jq")]
pub(super) use input::FilterInput;
#[cfg(not(feature = "jq"))]
pub(super) use no_jq::NoFilterInput as FilterInput;
pub(crate) use row_cells::{RowCells, RowUse};

/// The status of the answer.
const STATUS: &str = "$status";
/// Its header fields.
const HEADERS: &str = "$headers";
/// The SKU.
const KEY: &str = "$key";
/// The cells of its row.
const ROW: &str = "$row";
/// The name of the member that an item was.
const NAME: &str = "$name";
/// The address of a page.
const PAGE_URL: &str = "$url";
/// Its number, from 1.
const PAGE_NUMBER: &str = "$page";
/// The variables of a filter that gives the address of the next page.
const OF_NEXT_PAGE: &[&str] = &[STATUS, HEADERS, KEY, ROW, PAGE_URL, PAGE_NUMBER];
/// The variables of a filter that gives the key of an item.
const OF_ITEM: &[&str] = &[NAME];
/// The variables of a selection.
const OF_SELECTION: &[&str] = &[KEY, ROW];
/// The variables of a condition.
const OF_CONDITION: &[&str] = &[STATUS, HEADERS, KEY, ROW];

/// Characters of a filter's message that are shown.
const MESSAGE_CHARS: usize = 160;

/// What the variables of filters are made of.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq reads them"))]
pub(super) struct AnswerFacts<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    /// None: the answer is to several keys.
    pub(super) asked: Option<AskedKey<'a>>,
}

/// The key that an answer, or its part, is for.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq reads it"))]
pub(super) struct AskedKey<'a> {
    pub(super) key: &'a Key,
    /// The row as in the input.
    pub(super) record: &'a ByteRecord,
}

/// Variables that cost something to make, as far as filters use them.
#[derive(Debug, Default, Clone)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq reads them"))]
pub(super) struct UsedVariables {
    /// `$headers`.
    pub(super) headers: bool,
    /// `$row`.
    pub(super) cells: RowCells,
}

/// What a filter uses of the variables, by its text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct VariableUse {
    /// `$headers`.
    pub(super) headers: bool,
    /// The columns of `$row`.
    pub(crate) row: RowUse,
    /// Columns of `row` that have to be there: those without a question mark behind them.
    pub(crate) essential: Vec<String>,
}

/// What a condition says about an answer.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq gives the others"))]
pub(super) enum FilterAnswer {
    /// No value but `false` and `null`, or an error.
    No,
    /// `true`.
    Yes,
    /// A number, which may be none at all or infinite.
    Number(f64),
    /// A text, or the JSON of an array or object.
    Text(String),
}

/// A compiled condition. `Send + Sync`: all threads can share one.
#[derive(Debug)]
pub(super) struct Condition(Filter);

/// A compiled selection. `Send + Sync`: all threads can share one.
#[derive(Debug)]
pub(crate) struct Select(Option<Filter>);

/// A compiled filter that takes an answer apart: it gives the items of a pack, the key of one, or what is joined of a
/// page. `Send + Sync`.
#[derive(Debug)]
pub(super) struct ItemFilter(Filter);

/// A compiled filter that gives the address of the next page. `Send + Sync`.
#[derive(Debug)]
pub(super) struct AddressFilter(Filter);

/// The one value of a filter that may give none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq gives any"))]
pub(super) enum AddressValue {
    /// No value, `null`, `false` or an empty text.
    None,
    /// A text.
    Text(String),
    /// Anything else, as JSON.
    Other(String),
}

/// A value that a filter gives: where it stands in the body, or, where it was computed, its JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq gives any"))]
pub(super) enum FoundValue {
    /// The names and indices that lead to it, from the outermost.
    At(Vec<PathStep>),
    /// It is no part of the body.
    Computed(Vec<u8>),
}

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq gives any"))]
pub(super) enum PathStep {
    /// An element; below zero it counts from the end.
    Index(isize),
    /// A member.
    Name(String),
}

/// Why a filter cannot be used, or what it made of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(not(feature = "jq"), allow(dead_code, reason = "only jq gives the others"))]
pub(crate) enum SelectError {
    /// The program was built without jq.
    #[cfg(not(feature = "jq"))]
    #[error("this build has no jq: the only filter is `.`, which selects the whole body")]
    NoJq,
    /// The text is no jq filter: what is wrong, and where.
    #[error("the jq filter {0}")]
    Filter(String),
    /// The filter uses a variable that is not there: which one, where, and those that are there.
    #[error("the jq filter uses an unknown variable: {0}")]
    Variable(String),
    /// The filter gave nothing for this body.
    #[error("the jq filter gave no value")]
    NoValue,
    /// The filter gave more than one value for this body.
    #[error("the jq filter gave several values; [ ] around it makes one array of them")]
    SeveralValues,
    /// The filter failed on this body. Its message may quote the body, and is shortened and escaped where it is shown.
    #[error("the jq filter failed: {}", display_safe(.0, MESSAGE_CHARS))]
    Failed(String),
    /// The filter gave a value that JSON cannot hold.
    #[error("the jq filter gave {0}, which JSON cannot hold")]
    NotJson(&'static str),
}

impl SelectError {
    /// The library cannot read a body that is checked JSON.
    pub(super) fn of_unreadable_input() -> Self {
        Self::Failed("its input is not compact JSON".into())
    }

    /// Takes secrets out of the message.
    #[must_use]
    pub(crate) fn masked(self, mask: &Mask) -> Self {
        match self {
            Self::Failed(text) => Self::Failed(mask.apply(&text).into_owned()),
            other => other,
        }
    }
}

/// Whether a filter is `.`, which keeps every body as it is.
#[must_use]
pub(super) fn is_identity(text: &str) -> bool {
    text.trim() == "."
}

impl Condition {
    /// Compiles a condition.
    ///
    /// # Errors
    /// Text that is no jq filter, or that uses what filters cannot reach; every filter where the program was built
    /// without jq.
    pub(super) fn compile(text: &str) -> Result<Self, SelectError> {
        Filter::compile(text, OF_CONDITION).map(Self)
    }

    /// What it says about an answer: its first value that jq takes for true.
    pub(super) fn answer(&self, input: &FilterInput) -> FilterAnswer {
        self.0.answer(input)
    }
}

impl ItemFilter {
    /// Compiles a filter that gives the items of a body.
    ///
    /// # Errors
    /// Text that is no jq filter, or that uses what filters cannot reach; every filter where the program was built
    /// without jq.
    pub(super) fn of_items(text: &str) -> Result<Self, SelectError> {
        Filter::compile(text, &[]).map(Self)
    }

    /// Compiles a filter that gives what is joined of a page.
    ///
    /// # Errors
    /// See [`Self::of_items`].
    pub(super) fn of_page(text: &str) -> Result<Self, SelectError> {
        Filter::compile(text, OF_SELECTION).map(Self)
    }

    /// Compiles a filter that gives the key of an item.
    ///
    /// # Errors
    /// See [`Self::of_items`].
    pub(super) fn of_key(text: &str) -> Result<Self, SelectError> {
        Filter::compile(text, OF_ITEM).map(Self)
    }

    /// All values that it gives.
    ///
    /// # Errors
    /// It failed, or gave a value that JSON cannot hold.
    pub(super) fn all(&self, input: &FilterInput) -> Result<Vec<FoundValue>, SelectError> {
        self.0.all(input)
    }

    /// The text or number that it gives first; none where it gives anything else, or fails.
    pub(super) fn key(&self, input: &FilterInput) -> Option<String> {
        self.0.key(input)
    }
}

impl AddressFilter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// See [`Condition::compile`].
    pub(super) fn compile(text: &str) -> Result<Self, SelectError> {
        Filter::compile(text, OF_NEXT_PAGE).map(Self)
    }

    /// What it gives.
    ///
    /// # Errors
    /// It failed, or gave several values.
    pub(super) fn address(&self, input: &FilterInput) -> Result<AddressValue, SelectError> {
        self.0.address(input)
    }
}

impl Select {
    /// Compiles a filter.
    ///
    /// # Errors
    /// Text that is no jq filter, or that uses what filters cannot reach; any filter but `.` where the program was built
    /// without jq.
    pub(crate) fn compile(text: &str) -> Result<Self, SelectError> {
        if is_identity(text) {
            return Ok(Self(None));
        }
        Filter::compile(text, OF_SELECTION).map(|filter| Self(Some(filter)))
    }

    /// Compiles a filter that sees nothing but the body.
    ///
    /// # Errors
    /// See [`Self::compile`].
    pub(super) fn without_variables(text: &str) -> Result<Self, SelectError> {
        if is_identity(text) {
            return Ok(Self(None));
        }
        Filter::compile(text, &[]).map(|filter| Self(Some(filter)))
    }

    /// Whether this is `.`, which keeps every body as it is.
    #[must_use]
    pub(crate) fn is_identity(&self) -> bool {
        self.0.is_none()
    }

    /// Appends what the filter makes of the body to `out`, as compact JSON. Numbers that the filter did not
    /// touch keep their digits, and objects the order of their names. `.` appends nothing.
    ///
    /// # Errors
    /// The filter gave no value, several, one that JSON cannot hold, or failed; `out` is then as it was.
    pub(super) fn apply(&self, input: &FilterInput, out: &mut Vec<u8>) -> Result<(), SelectError> {
        let began = out.len();
        let result = self.0.as_ref().map_or(Ok(()), |filter| filter.select(input, out));
        if result.is_err() {
            out.truncate(began);
        }
        result
    }
}

/// What a filter uses of the variables. Text that is no filter uses nothing that matters: it is refused elsewhere.
#[must_use]
pub(crate) fn variable_use(text: &str) -> VariableUse {
    #[cfg(feature = "jq")]
    return variable_use::variable_use(text);
    #[cfg(not(feature = "jq"))]
    {
        let _ = text;
        VariableUse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Select>();
        shared::<Condition>();
    }

    #[cfg(not(feature = "jq"))]
    #[test]
    fn without_jq_any_other_filter_is_refused() {
        assert_eq!(Select::compile(".a").unwrap_err(), SelectError::NoJq);
    }
}
