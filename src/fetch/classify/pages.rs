//! What an answer means that is one page of several, and how the pages become one body.
//!
//! A page is judged as any answer is: by the conditions, then by its status. What is joined of it are the values that
//! `--join` gives, each as the server wrote it wherever the filter only selects. The selection is for the whole.

use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use url::Url;

use super::error_look;
use super::parsed_body::ParsedBody;
use super::select::{
    AddressFilter, AddressValue, AnswerFacts, AskedKey, FilterInput, ItemFilter, SelectError,
};
use super::value_places::ValuePlaces;
use super::{AnsweredJob, Classification, Classifier, RawAnswer, bad_body, before_selection};
use crate::fetch::link::{NextLink, next_link};
use crate::fetch::next_address::next_address;
use crate::json::{self, MAX_DEPTH};
use crate::model::fault::PageProblem;
use crate::model::option::{JOIN, MAX_BODY, NEXT, NULL_IF};
use crate::model::{Answer, Cause, Content, Fault, Mask, Validators, display_safe, large_buffer};

/// Characters that are shown of what is no address.
const SHOWN: usize = 100;

/// The page that was asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::fetch) struct AskedPage<'a> {
    /// Its number, from 1.
    pub(in crate::fetch) number: u32,
    /// The address that was requested.
    pub(in crate::fetch) url: &'a Url,
    /// The address of the first page.
    pub(in crate::fetch) template: &'a Url,
    /// So many bytes are left of `--max-body`.
    pub(in crate::fetch) room: u64,
    /// The pages before it.
    pub(in crate::fetch) so_far: Option<&'a JoinedPages>,
}

/// What is kept of a page. `W` is what all pages are together.
#[derive(Debug)]
pub(in crate::fetch) enum PageAnswer<W> {
    /// There is a next one.
    Part(PageValues),
    /// It is the last.
    Whole(W),
}

/// The values of a page.
#[derive(Debug)]
pub(in crate::fetch) struct PageValues {
    /// The status of the response.
    pub(in crate::fetch) status: u16,
    /// The values, with a comma between two of them.
    pub(in crate::fetch) json: Vec<u8>,
    /// Bytes of the body, decoded.
    pub(in crate::fetch) length: u64,
    /// What the first page says, safe to show, if it looks like an error.
    pub(in crate::fetch) error: Option<Box<str>>,
    /// The next page.
    pub(in crate::fetch) next: Url,
}

/// What a page says.
pub(super) struct PageFound {
    pub(super) status: u16,
    /// The values, with a comma between two of them.
    json: Vec<u8>,
    length: u64,
    error: Option<Box<str>>,
    next: Option<Url>,
}

/// The pages of a key, or of a pack, so far.
#[derive(Debug, Clone)]
pub(in crate::fetch) struct JoinedPages {
    /// The status of the first one.
    status: u16,
    /// The array, not yet closed.
    json: Vec<u8>,
    /// Bytes of the bodies, decoded.
    length: u64,
    /// How many they are.
    count: u32,
    /// What the first page says, if it looks like an error.
    error: Option<Box<str>>,
}

impl JoinedPages {
    /// With one more; `so_far` is none before the first.
    pub(in crate::fetch) fn add(so_far: Option<Self>, page: PageValues) -> Self {
        let PageValues { status, json, length, error, next: _ } = page;
        Self::with(so_far, PageFound { status, json, length, error, next: None })
    }

    fn with(so_far: Option<Self>, page: PageFound) -> Self {
        let PageFound { status, json, length, error, next: _ } = page;
        let mut all = so_far.unwrap_or_else(|| Self { status, json: vec![b'['], length: 0, count: 0, error });
        if all.json.len() > 1 && !json.is_empty() {
            all.json.push(b',');
        }
        large_buffer::grow(&mut all.json, json.len() + 2);
        all.json.extend_from_slice(&json);
        all.length += length;
        all.count += 1;
        all
    }

    /// Bytes of the bodies so far, decoded.
    pub(in crate::fetch) fn length(&self) -> u64 {
        self.length
    }

    /// How many they are.
    pub(in crate::fetch) fn count(&self) -> u32 {
        self.count
    }

    /// Bytes that are held of them.
    pub(in crate::fetch) fn held(&self) -> usize {
        self.json.len()
    }
}

impl PageFound {
    /// Whether the page has anything to join.
    pub(super) fn has_values(&self) -> bool {
        !self.json.is_empty()
    }

    /// The page, if there is a next one; else all of them, as one body.
    pub(super) fn or_whole(self, page: AskedPage<'_>) -> Result<PageValues, WholeBody> {
        match self {
            Self { status, json, length, error, next: Some(next) } => {
                Ok(PageValues { status, json, length, error, next })
            }
            last => {
                let all = JoinedPages::with(page.so_far.cloned(), last);
                let JoinedPages { status, mut json, error, .. } = all;
                json.push(b']');
                Err(WholeBody { status, json, error })
            }
        }
    }
}

/// All pages as one body.
pub(super) struct WholeBody {
    /// The status of the first one.
    pub(super) status: u16,
    pub(super) json: Vec<u8>,
    /// What the first page says, if it looks like an error.
    pub(super) error: Option<Box<str>>,
}

/// Classifies a complete answer that is one page, and not a redirect to be followed.
#[must_use]
pub(in crate::fetch) fn classify_page(
    answer: &mut RawAnswer,
    classifier: &Classifier,
    (asked, page): (AskedKey<'_>, AskedPage<'_>),
) -> Classification<PageAnswer<Answer>> {
    let job = AnsweredJob { asked: Some(asked), is_conditional: false, is_page: true };
    let was_empty = answer.body.is_empty();
    let mut body = match before_selection(answer, classifier, job) {
        Ok(body) => body,
        Err(Classification::Retry(fault)) => return Classification::Retry(fault),
        Err(Classification::Limited(fault)) => return Classification::Limited(fault),
        Err(Classification::GiveUp(fault)) => return Classification::GiveUp(fault),
        Err(Classification::Keep(null)) if page.number == 1 => {
            return Classification::Keep(PageAnswer::Whole(null));
        }
        Err(Classification::KeepNull(null)) if page.number == 1 => {
            return Classification::KeepNull(PageAnswer::Whole(null));
        }
        // By its status.
        Err(Classification::Keep(_)) => return Classification::GiveUp(super::refusal(answer, classifier)),
        Err(Classification::KeepNull(_)) => {
            let detail = format!("{NULL_IF} says that it is null, and the pages before have values");
            let fault = Fault::new(Cause::Pages(PageProblem::NullLater), detail);
            return Classification::GiveUp(fault.with_status(answer.status));
        }
    };
    let found = match page_found(&mut body, answer, (classifier, page)) {
        Ok(found) => found,
        Err(fault) => return bad_body(fault, answer, was_empty),
    };
    match found.or_whole(page) {
        Ok(values) => Classification::Keep(PageAnswer::Part(values)),
        Err(whole) => match answer_of_pages(whole, classifier, asked) {
            Ok(whole) => Classification::Keep(PageAnswer::Whole(whole)),
            Err(fault) => Classification::GiveUp(fault.with_status(answer.status)),
        },
    }
}

/// What a page has, and where the next one is.
///
/// # Errors
/// The body is not to be had, or it does not tell the next page.
pub(super) fn page_found(
    body: &mut ParsedBody,
    answer: &RawAnswer,
    (classifier, page): (&Classifier, AskedPage<'_>),
) -> Result<PageFound, Fault> {
    let Classifier { settings, filters, mask } = classifier;
    let json = std::mem::replace(&mut body.json, Ok(Bytes::new()))?;
    let (input, length) = (body.input.as_mut(), body.length as u64);
    if length > page.room {
        let detail = format!("the pages so far are larger than {MAX_BODY} {}", settings.max_body);
        return Err(Fault::new(Cause::TooLarge, detail));
    }
    let error = if page.number == 1 { error_look::words_of_error(&json, mask) } else { None };
    let (next, join) =
        filters.pages.as_ref().map_or((None, None), |pages| (pages.next.as_ref(), pages.join.as_ref()));
    let unreadable = || SelectError::of_unreadable_input();
    let joined = match join {
        None => json.into(),
        Some(filter) => join_values(&json, filter, input.as_deref().ok_or_else(unreadable), mask)?,
    };
    if json::depth(&joined) >= MAX_DEPTH {
        let detail = format!(
            "a value of the page is nested {MAX_DEPTH} levels deep, and one more in the array of all pages"
        );
        return Err(Fault::new(Cause::Body, detail));
    }
    let url = answer.redirected_to.as_deref().unwrap_or(page.url);
    let named = match next {
        None => linked(&answer.headers, url, mask)?,
        Some(filter) => {
            let input = input.ok_or_else(unreadable).map(|input| {
                input.set_page(url, page.number);
                &*input
            });
            address(filter, input, mask)?
        }
    };
    let next = named.map(|text| next_address(&text, url, page.template)).transpose()?;
    Ok(PageFound { status: answer.status, json: joined, length, error, next })
}

/// The values that are joined of a page, with a comma between two of them.
fn join_values(
    json: &[u8],
    filter: &ItemFilter,
    input: Result<&FilterInput, SelectError>,
    mask: &Mask,
) -> Result<Vec<u8>, Fault> {
    let fault = |why: &str| Fault::new(Cause::Pages(PageProblem::NotJoined), format!("{JOIN}: {why}"));
    let found =
        input.and_then(|input| filter.all(input)).map_err(|error| fault(&error.masked(mask).to_string()))?;
    let mut places = ValuePlaces::of(json);
    let mut joined = Vec::new();
    let mut is_absent = !found.is_empty();
    for value in found {
        let value = places.value(value);
        is_absent &= value.is_none();
        let value = value.as_deref().unwrap_or(b"null");
        large_buffer::grow(&mut joined, value.len() + 1);
        push_value(&mut joined, value);
    }
    // A name that is misspelt would give an array of nulls.
    if is_absent {
        return Err(fault(
            "what it names is not on the page ('.items[]?' takes nothing where there are no items)",
        ));
    }
    Ok(joined)
}

/// Appends a value, or several with commas between them, to others.
fn push_value(joined: &mut Vec<u8>, value: &[u8]) {
    if !joined.is_empty() && !value.is_empty() {
        joined.push(b',');
    }
    joined.extend_from_slice(value);
}

/// The next page by `Link`.
fn linked(headers: &HeaderMap, url: &Url, mask: &Mask) -> Result<Option<String>, Fault> {
    let is_page = |anchor: &str| {
        url.join(anchor).is_ok_and(|mut anchor| {
            anchor.set_fragment(None);
            anchor == *url
        })
    };
    match next_link(headers, is_page) {
        NextLink::None => Ok(None),
        NextLink::Address(text) => Ok(Some(text)),
        NextLink::Unreadable(text) => {
            let shown = display_safe(&mask.apply(&text), SHOWN);
            Err(no_address(&format!("cannot be told: the page's Link cannot be read: {shown}")))
        }
    }
}

/// The next page by a filter.
fn address(
    filter: &AddressFilter,
    input: Result<&FilterInput, SelectError>,
    mask: &Mask,
) -> Result<Option<String>, Fault> {
    let value = input.and_then(|input| filter.address(input));
    match value.map_err(|error| no_address(&format!("cannot be told: {NEXT}: {}", error.masked(mask))))? {
        AddressValue::None => Ok(None),
        AddressValue::Text(text) => Ok(Some(text)),
        AddressValue::Other(json) => {
            let shown = display_safe(&mask.apply(&json), SHOWN);
            let what = "it has to be a text, or null at the end";
            Err(no_address(&format!("cannot be told: {NEXT} gave {shown}: {what}")))
        }
    }
}

fn no_address(detail: &str) -> Fault {
    Fault::new(Cause::Pages(PageProblem::NoAddress), format!("the next page {detail}"))
}

/// The answer that all pages of a key are together, after the selection.
///
/// # Errors
/// `--select` gives no one value of them.
fn answer_of_pages(whole: WholeBody, classifier: &Classifier, asked: AskedKey<'_>) -> Result<Answer, Fault> {
    let WholeBody { status, json, error } = whole;
    let input = if classifier.filters.select.is_identity() {
        None
    } else {
        let facts = AnswerFacts { status, headers: &HeaderMap::new(), asked: Some(asked) };
        FilterInput::new(&json, &facts, &classifier.filters.used)
    };
    let length = json.len();
    let body = ParsedBody { json: Ok(json.into()), input, length };
    let selected = body.selected(classifier)?;
    let (at, content) = (SystemTime::now(), Content::Json(selected.json));
    let (validators, raw) = (Validators::default(), selected.raw);
    Ok(Answer { status, at, content, validators, raw, error: selected.error.or(error) })
}
