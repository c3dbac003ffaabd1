//! What an answer to a pack means for each of its keys.

use http::HeaderMap;

use super::meaning::ConditionRuling;
use super::pages::{AskedPage, PageAnswer, PageFound, WholeBody, page_found};
use super::parsed_body::ParsedBody;
use super::select::{AnswerFacts, AskedKey, FilterInput};
use super::unpack::{FoundItem, Item, Unpacked, Unpacker};
use super::{AnsweredJob, Classification, Classifier, RawAnswer, answer_of, failed, null, refusal, ruled};
use crate::fetch::link::names_next;
use crate::model::fault::PackProblem;
use crate::model::option::NEXT;
use crate::model::{Answer, Cause, Content, Fault, Key, PackItem, Validators};

/// What the answer has for the keys of a pack.
#[derive(Debug)]
pub(in crate::fetch) struct PackAnswer {
    /// For each key, in the order of the pack.
    pub(in crate::fetch) items: Vec<ItemRuling>,
    /// Items of keys that were not asked for.
    pub(in crate::fetch) foreign: u64,
    /// The key of one of them.
    pub(in crate::fetch) foreign_key: Option<String>,
    /// Items of the answer that had a key.
    pub(in crate::fetch) received: usize,
}

/// What follows for one key.
#[derive(Debug)]
pub(in crate::fetch) enum ItemRuling {
    /// Keep it.
    Keep(Answer),
    /// It has failed.
    GiveUp(Fault),
    /// It is asked for again, at its own cost.
    Retry(Fault),
    /// It is asked for again: the server limits the client.
    Limited(Fault),
}

/// Classifies a complete answer to a pack that is not a redirect to be followed.
#[must_use]
pub(in crate::fetch) fn classify_pack(
    answer: &RawAnswer,
    classifier: &Classifier,
    items: &[PackItem],
) -> Classification<PackAnswer> {
    if let Some(ruled) = by_status(answer, (classifier, items)) {
        return ruled;
    }
    let was_empty = answer.body.is_empty();
    let whole = AnsweredJob { asked: None, is_conditional: false, is_page: false };
    let body = ParsedBody::of(answer.body.clone(), answer, (classifier, whole));
    match &body.json {
        Ok(json) => {
            let has_more = has_more_pages(&answer.headers);
            let unpacking = Unpacking { json, input: body.input(), has_more };
            unpacking.rule(answer, (classifier, items))
        }
        Err(fault) => super::bad_body(fault.clone(), answer, was_empty),
    }
}

/// Classifies a complete answer to a pack that is one page of several. The items of all pages are taken apart together,
/// with the last one.
#[must_use]
pub(in crate::fetch) fn classify_pack_page(
    answer: &RawAnswer,
    classifier: &Classifier,
    (items, page): (&[PackItem], AskedPage<'_>),
) -> Classification<PageAnswer<PackAnswer>> {
    if let Some(ruled) = by_status(answer, (classifier, items)) {
        return match ruled {
            // By its status: only the first page may say it of the keys.
            Classification::Keep(_) | Classification::KeepNull(_) if page.number > 1 => {
                Classification::GiveUp(refusal(answer, classifier))
            }
            ruled => ruled.map(PageAnswer::Whole),
        };
    }
    let was_empty = answer.body.is_empty();
    let job = AnsweredJob { asked: None, is_conditional: false, is_page: true };
    let mut body = ParsedBody::of(answer.body.clone(), answer, (classifier, job));
    let found = page_found(&mut body, answer, (classifier, page));
    let has_values = found.as_ref().is_ok_and(PageFound::has_values);
    if !has_values
        && let Some(ruled) = body.input().and_then(|input| ask_whole(input, answer, (classifier, items)))
    {
        return ruled.map(PageAnswer::Whole);
    }
    let found = match found {
        Ok(found) => found,
        Err(fault) => return super::bad_body(fault, answer, was_empty),
    };
    match found.or_whole(page) {
        Ok(values) => Classification::Keep(PageAnswer::Part(values)),
        Err(WholeBody { json, .. }) => {
            let facts = AnswerFacts { status: answer.status, headers: &answer.headers, asked: None };
            let filters = &classifier.filters;
            let is_read = filters.conditions.is_some() || filters.bulk.items.is_some();
            let input = if is_read { FilterInput::new(&json, &facts, &filters.used) } else { None };
            let unpacking = Unpacking { json: &json, input: input.as_ref(), has_more: false };
            unpacking.rule(answer, (classifier, items)).map(PageAnswer::Whole)
        }
    }
}

/// What follows from a status that is no plain success; none: the body decides.
fn by_status(
    answer: &RawAnswer,
    (classifier, items): (&Classifier, &[PackItem]),
) -> Option<Classification<PackAnswer>> {
    let Classifier { settings, filters, .. } = classifier;
    let status = answer.status;
    let is_success = (200..300).contains(&status);
    let is_null = settings.null_on.statuses.contains(status);
    if is_success && !is_null && !settings.retry_on.contains(status) {
        return None;
    }
    if let Some(conditions) = &filters.conditions {
        let whole = AnsweredJob { asked: None, is_conditional: false, is_page: false };
        let body = ParsedBody::of(answer.body.clone(), answer, (classifier, whole));
        if let Some(ruling) = body.input().and_then(|input| conditions.rule(input, false))
            && let Some(ruled) = ruled_whole(ruling, answer, (classifier, items))
        {
            return Some(ruled);
        }
    }
    Some(match () {
        // Which of several keys it is for shows when they are asked for apart.
        () if is_null && (is_success || items.len() == 1) => {
            let all = items.iter().map(|_| ItemRuling::Keep(null_for(answer, classifier))).collect();
            Classification::Keep(PackAnswer { items: all, foreign: 0, foreign_key: None, received: 0 })
        }
        () if is_null => Classification::GiveUp(refusal(answer, classifier)),
        () if settings.retry_on.contains(status) => Classification::Retry(refusal(answer, classifier)),
        () => Classification::GiveUp(refusal(answer, classifier)),
    })
}

/// A body that is taken apart.
struct Unpacking<'a> {
    json: &'a [u8],
    input: Option<&'a FilterInput>,
    /// It is the first page of several, and the others are not asked for.
    has_more: bool,
}

impl Unpacking<'_> {
    fn rule(
        &self,
        answer: &RawAnswer,
        (classifier, items): (&Classifier, &[PackItem]),
    ) -> Classification<PackAnswer> {
        let Classifier { filters, mask, .. } = classifier;
        let of_item = |json: &[u8]| {
            let facts = AnswerFacts { status: answer.status, headers: &answer.headers, asked: None };
            FilterInput::new(json, &facts, &filters.used)
        };
        let keys: Vec<&Key> = items.iter().map(|item| &item.key).collect();
        let by_key = Unpacker { filters: &filters.bulk, mask, of_item: &of_item };
        let unpacked = by_key.unpack(self.json, self.input, &keys);
        // Without an item of any key it may be an error as a whole.
        if !unpacked.as_ref().is_ok_and(Unpacked::has_any)
            && let Some(ruled) = self.input.and_then(|input| ask_whole(input, answer, (classifier, items)))
        {
            return ruled;
        }
        match unpacked {
            Err(fault) => Classification::GiveUp(fault.with_status(answer.status)),
            Ok(Unpacked { found, foreign, foreign_key }) => {
                let rule = |(found, item): (FoundItem<'_>, &PackItem)| match found {
                    FoundItem::Missing if self.has_more => ItemRuling::GiveUp(on_a_later_page(answer.status)),
                    found => rule(found, item, answer, classifier),
                };
                let in_answer =
                    |found: &&FoundItem<'_>| matches!(found, FoundItem::Once(_) | FoundItem::Several);
                let received = found.iter().filter(in_answer).count() + usize::try_from(foreign).unwrap_or(0);
                let items = found.into_iter().zip(items).map(rule).collect();
                Classification::Keep(PackAnswer { items, foreign, foreign_key, received })
            }
        }
    }
}

/// What the conditions say of an answer, or a page, without an item of any key.
fn ask_whole(
    input: &FilterInput,
    answer: &RawAnswer,
    (classifier, items): (&Classifier, &[PackItem]),
) -> Option<Classification<PackAnswer>> {
    let conditions = classifier.filters.conditions.as_ref()?;
    let facts = AnswerFacts { status: 200, headers: &HeaderMap::new(), asked: None };
    let blank = FilterInput::new(b"{}", &facts, &classifier.filters.used)?;
    let ruling = conditions.rule_whole(input, &blank);
    if let Some(ruled) = ruling.and_then(|ruling| ruled_whole(ruling, answer, (classifier, items))) {
        return Some(ruled);
    }
    let failure = conditions.failure_whole(input, &blank)?;
    Some(Classification::GiveUp(failed(failure, answer, classifier)))
}

/// The fault of a key that may be on a page that is not asked for.
fn on_a_later_page(status: u16) -> Fault {
    let detail = format!(
        "the SKU is not on the first page of the answer to its pack, which has more: raise the size of a page, or ask for \
         all pages with {NEXT}"
    );
    Fault::new(Cause::Pack(PackProblem::Missing), detail).with_status(status)
}

/// What a condition says about an answer as a whole. Whether a value is stored as `null` is asked of each item only.
fn ruled_whole(
    ruling: ConditionRuling,
    answer: &RawAnswer,
    (classifier, items): (&Classifier, &[PackItem]),
) -> Option<Classification<PackAnswer>> {
    Some(match ruled(ruling, answer, classifier)? {
        Classification::Retry(fault) => Classification::Retry(fault),
        Classification::Limited(fault) => Classification::Limited(fault),
        Classification::GiveUp(fault) => Classification::GiveUp(fault),
        Classification::Keep(value) | Classification::KeepNull(value) => {
            let all = items.iter().map(|_| ItemRuling::Keep(value.clone())).collect();
            Classification::Keep(PackAnswer { items: all, foreign: 0, foreign_key: None, received: 0 })
        }
    })
}

/// What follows for one key.
fn rule(found: FoundItem<'_>, item: &PackItem, answer: &RawAnswer, classifier: &Classifier) -> ItemRuling {
    let fault = |problem, detail: &str| {
        ItemRuling::GiveUp(Fault::new(Cause::Pack(problem), detail).with_status(answer.status))
    };
    let Item { json, .. } = match found {
        FoundItem::OtherForm(other) => {
            return fault(
                PackProblem::OtherKeys,
                &format!("the answer to its pack has `{other}` in its place"),
            );
        }
        FoundItem::Missing if classifier.settings.null_on.missing => {
            return ItemRuling::Keep(null_for(answer, classifier));
        }
        FoundItem::Missing => return fault(PackProblem::Missing, "the SKU is not in the answer to its pack"),
        FoundItem::Several => {
            return fault(PackProblem::Twice, "the answer to its pack has the SKU more than once");
        }
        FoundItem::Once(item) => item,
    };
    let Classifier { filters, mask, .. } = classifier;
    let input = if filters.is_empty() {
        None
    } else {
        let asked = Some(AskedKey { key: &item.key, record: &item.record });
        let facts = AnswerFacts { status: answer.status, headers: &answer.headers, asked };
        FilterInput::new(&json, &facts, &filters.used)
    };
    // What messages quote is the item, not the whole answer.
    let own = || RawAnswer {
        status: answer.status,
        headers: HeaderMap::new(),
        body: json.to_vec().into(),
        may_be_cut: false,
        redirected_to: None,
    };
    if let (Some(conditions), Some(input)) = (&filters.conditions, &input) {
        if let Some(ruling) = conditions.rule(input, true) {
            let meaning = match ruling {
                ConditionRuling::Null => return ItemRuling::Keep(null_for(answer, classifier)),
                // The status of the whole answer is a success: it does not decide for one item.
                other => ruled(other, &own(), classifier),
            };
            match meaning {
                Some(Classification::Retry(fault)) => return ItemRuling::Retry(fault),
                Some(Classification::Limited(fault)) => return ItemRuling::Limited(fault),
                Some(Classification::GiveUp(fault)) => return ItemRuling::GiveUp(fault),
                _ => {}
            }
        }
        if let Some(failure) = conditions.failure(input) {
            return ItemRuling::GiveUp(failed(failure, &own(), classifier));
        }
    }
    let length = json.len();
    let body = ParsedBody { json: Ok(json.into_owned().into()), input, length };
    match body.selected(classifier) {
        Ok(selected) => {
            let content = Content::Json(selected.json);
            let kept =
                Answer { raw: selected.raw, error: selected.error, ..answer_of(answer, content, mask) };
            ItemRuling::Keep(Answer { validators: Validators::default(), ..kept })
        }
        Err(fault) => ItemRuling::GiveUp(fault.with_status(answer.status)),
    }
}

/// Whether the answer says that it is one page of several: by a `Link` to the next one (RFC 8288), or by their number, as
/// `WordPress` and others write it.
fn has_more_pages(headers: &HeaderMap) -> bool {
    let pages = ["x-wp-totalpages", "x-total-pages", "x-pagination-page-count"];
    let number = |name: &&str| headers.get(*name)?.to_str().ok()?.trim().parse::<u64>().ok();
    names_next(headers) || pages.iter().find_map(number).is_some_and(|pages| pages > 1)
}

/// `null`, without validators: those of the answer are for the whole pack.
fn null_for(answer: &RawAnswer, classifier: &Classifier) -> Answer {
    Answer { validators: Validators::default(), ..answer_of(answer, null(), &classifier.mask) }
}
