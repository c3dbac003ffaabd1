//! What an answer means for its job: a pure function of the answer and the settings.

mod charset;
mod columns;
pub(crate) mod decode;
mod error_look;
mod filter_spelling;
mod filters;
mod markup;
mod meaning;
mod null_on;
mod offload;
mod pack;
mod page_filters;
mod pages;
mod parsed_body;
mod select;
mod unpack;
mod value_places;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use bytes::Bytes;
use csv::ByteRecord;
use http::HeaderMap;
use http::header::{ETAG, LAST_MODIFIED};

use super::transport::RawAnswer;
use crate::json::{self, JsonErrorKind};
use crate::model::fault::AnswerMeaning;
use crate::model::{
    Answer, Cause, Content, Fault, Key, Mask, Size, StatusSet, Validators, display_safe, large_buffer,
};

use charset::TextSettings;
use decode::decode;
use meaning::{ConditionRuling, Failure};
use parsed_body::{ParsedBody, Selected};
use select::AskedKey;
use words::{SHOWN, Words, words};

pub(crate) use columns::{ColumnFault, ColumnFilters};
pub(super) use decode::ACCEPTED_CODINGS;
pub(crate) use error_look::SameErrors;
pub(crate) use filter_spelling::filter_meant;
pub(crate) use filters::{BulkFilters, FilterFault, Filters};
pub(crate) use meaning::MeaningSettings;
pub(crate) use null_on::NullOn;
pub(super) use offload::Offload;
pub(super) use pack::{ItemRuling, PackAnswer};
pub(crate) use page_filters::{NextPage, PageSettings};
pub(super) use pages::{AskedPage, JoinedPages, PageAnswer, PageValues};
pub(crate) use select::{RowCells, RowUse, SelectError};

/// How bodies are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyAs {
    /// A body is JSON, checked and compacted.
    Json,
    /// A body is text and becomes a JSON string.
    Text,
}

impl FromStr for BodyAs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(format!("`{text}` is not a way to store bodies: json or text")),
        }
    }
}

impl fmt::Display for BodyAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

/// What the user chose to keep of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseSettings {
    /// The jq filter on each body, not yet compiled; `.` keeps a body as it is.
    pub select: String,
    /// What an answer means beside its status.
    pub meaning: MeaningSettings,
    /// How bodies are stored.
    pub body_as: BodyAs,
    /// Answers that store `null` and count as fetched.
    pub null_on: NullOn,
    /// Statuses that are tried again.
    pub retry_on: StatusSet,
    /// How the answer to a pack of keys is taken apart.
    pub bulk: BulkFilters,
    /// How the pages of an answer are found and joined; none: each answer is whole.
    pub pages: Option<PageSettings>,
    /// Most bytes of a body, compressed or decoded; never 0.
    pub max_body: Size,
}

impl ResponseSettings {
    /// Whether `--select` filters bodies, that is, is not `.`.
    #[must_use]
    pub(crate) fn has_filter(&self) -> bool {
        !select::is_identity(&self.select)
    }
}

/// What answers are classified by.
pub(crate) struct Classifier {
    /// What the user chose.
    pub settings: ResponseSettings,
    /// The filters of the settings, compiled.
    pub filters: Filters,
    /// Takes secrets out of text that a server echoes.
    pub mask: Mask,
}

/// What an answer is an answer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnsweredJob<'a> {
    /// The key; none where it is a pack.
    asked: Option<AskedKey<'a>>,
    /// The request carried validators, so that 304 is an answer to it.
    pub(super) is_conditional: bool,
    /// It is one page of several: what is selected is selected from all of them.
    is_page: bool,
}

/// What follows from an answer. `K` is what is kept of it.
#[derive(Debug)]
pub(super) enum Classification<K = Answer> {
    /// Keep it.
    Keep(K),
    /// Keep `null` for it, because of what it says.
    KeepNull(K),
    /// Try again, after a wait.
    Retry(Fault),
    /// The server limits the client, as its body says; the fault has the wait, if one is told.
    Limited(Fault),
    /// The job has failed.
    GiveUp(Fault),
}

impl<'a> AnsweredJob<'a> {
    pub(super) fn new(key: &'a Key, record: &'a ByteRecord, is_conditional: bool) -> Self {
        Self { asked: Some(AskedKey { key, record }), is_conditional, is_page: false }
    }
}

impl<K> Classification<K> {
    /// The same with what is kept as a part of something else.
    #[must_use]
    fn map<W>(self, keep: impl FnOnce(K) -> W) -> Classification<W> {
        match self {
            Self::Keep(kept) => Classification::Keep(keep(kept)),
            Self::KeepNull(kept) => Classification::KeepNull(keep(kept)),
            Self::Retry(fault) => Classification::Retry(fault),
            Self::Limited(fault) => Classification::Limited(fault),
            Self::GiveUp(fault) => Classification::GiveUp(fault),
        }
    }

    /// Takes secrets out of a fault's text, whoever wrote it: the server, a proxy or a library.
    #[must_use]
    pub(super) fn masked(self, mask: &Mask) -> Self {
        match self {
            Self::Keep(answer) => Self::Keep(answer),
            Self::KeepNull(answer) => Self::KeepNull(answer),
            Self::Retry(fault) => Self::Retry(fault.masked(mask)),
            Self::Limited(fault) => Self::Limited(fault.masked(mask)),
            Self::GiveUp(fault) => Self::GiveUp(fault.masked(mask)),
        }
    }
}

/// Bytes of the longest validator that is stored; a longer one saves too little for its size.
const MAX_VALIDATOR: usize = 1024;

/// Classifies a complete answer that is not a redirect to be followed.
///
/// What the body says comes before what the status means, but for `--fail-if`, which is about answers that would be
/// kept: a 404 of `--null-on` may say that the quota is used up.
#[must_use]
pub(super) fn classify(
    answer: &mut RawAnswer,
    classifier: &Classifier,
    job: AnsweredJob<'_>,
) -> Classification {
    let mask = &classifier.mask;
    // This run sent the validators, and 304 is the answer to them. The conditions, and the statuses that the user named,
    // are about plain requests.
    if answer.status == 304 && job.is_conditional {
        return Classification::Keep(answer_of(answer, Content::Unchanged, mask));
    }
    let was_empty = answer.body.is_empty();
    let body = match before_selection(answer, classifier, job) {
        Ok(body) => body,
        Err(ruled) => return ruled,
    };
    match body.selected(classifier) {
        Ok(Selected { json, raw, error }) => {
            let answer = answer_of(answer, Content::Json(json), mask);
            Classification::Keep(Answer { raw, error, ..answer })
        }
        Err(fault) => bad_body(fault, answer, was_empty),
    }
}

/// What conditions and status say; the body, if they leave it to be kept. It is taken out of the answer.
#[inline]
fn before_selection(
    answer: &mut RawAnswer,
    classifier: &Classifier,
    job: AnsweredJob<'_>,
) -> Result<ParsedBody, Classification> {
    let Classifier { settings, mask, filters } = classifier;
    let status = answer.status;
    let is_success = (200..300).contains(&status);
    let mut parsed = None;
    if let Some(conditions) = &filters.conditions {
        let body = ParsedBody::of(answer.body.clone(), answer, (classifier, job));
        if let Some(ruling) = body.input().and_then(|input| conditions.rule(input, is_success))
            && let Some(ruled) = ruled(ruling, answer, classifier)
        {
            return Err(ruled);
        }
        parsed = Some(body);
    }
    if settings.null_on.statuses.contains(status) {
        return Err(Classification::Keep(answer_of(answer, null(), mask)));
    }
    // A status that the user named takes precedence over what it means by itself, 2xx and 3xx included.
    if settings.retry_on.contains(status) {
        return Err(Classification::Retry(refusal(answer, classifier)));
    }
    if !is_success {
        return Err(Classification::GiveUp(refusal(answer, classifier)));
    }
    let body = parsed.unwrap_or_else(|| {
        let body = std::mem::take(&mut answer.body);
        ParsedBody::of(body, answer, (classifier, job))
    });
    if let Some(conditions) = &filters.conditions
        && let Some(failure) = body.input().and_then(|input| conditions.failure(input))
    {
        return Err(Classification::GiveUp(failed(failure, answer, classifier)));
    }
    Ok(body)
}

/// What follows from a body that cannot be stored.
fn bad_body<K>(fault: Fault, answer: &RawAnswer, was_empty: bool) -> Classification<K> {
    let fault = fault.with_status(answer.status);
    match fault.cause {
        // A decoder does not distinguish a coded body that was cut from one that is damaged.
        cause if answer.may_be_cut && (was_empty || cause == Cause::Encoding) => {
            Classification::Retry(Fault { cause: Cause::Cut, ..fault })
        }
        Cause::Cut => Classification::Retry(fault),
        _ => Classification::GiveUp(fault),
    }
}

/// What follows from a condition; none: from the status, as it would without the condition.
fn ruled(ruling: ConditionRuling, answer: &RawAnswer, classifier: &Classifier) -> Option<Classification> {
    let fault = |meaning| {
        let fault = refusal(answer, classifier);
        Fault { cause: Cause::Meaning(meaning), ..fault }
    };
    Some(match ruling {
        ConditionRuling::Refused => Classification::GiveUp(fault(AnswerMeaning::CredentialsRefused)),
        ConditionRuling::Null => Classification::KeepNull(answer_of(answer, null(), &classifier.mask)),
        ConditionRuling::Limited(wait) => {
            Classification::Limited(Fault { retry_after: wait, ..fault(AnswerMeaning::Limited) })
        }
        ConditionRuling::Retry if classifier.settings.retry_on.contains(answer.status) => return None,
        ConditionRuling::Retry => Classification::Retry(fault(AnswerMeaning::ToBeRetried)),
    })
}

/// The fault of an answer that `--fail-if` names.
fn failed(failure: Failure, answer: &RawAnswer, classifier: &Classifier) -> Fault {
    let said = match failure {
        Failure::Unexplained => refusal(answer, classifier).detail,
        // The whole of it is masked before it is shortened: a part of a secret would not be found.
        Failure::Because(reason) => {
            display_safe(&markup::folded(&classifier.mask.apply(&reason)), SHOWN).into()
        }
    };
    Fault::new(Cause::Meaning(AnswerMeaning::Failed), said).with_status(answer.status)
}

fn null() -> Content {
    Content::Json(Bytes::from_static(b"null"))
}

fn answer_of(answer: &RawAnswer, content: Content, mask: &Mask) -> Answer {
    let validators = validators(&answer.headers, mask);
    Answer { status: answer.status, at: SystemTime::now(), content, validators, raw: None, error: None }
}

/// A decoded body as it is stored without a selection.
fn stored_form(
    headers: &HeaderMap,
    body: Bytes,
    Classifier { settings, mask, .. }: &Classifier,
) -> Result<Bytes, Fault> {
    let text = TextSettings { body_as: settings.body_as, cap: settings.max_body, mask };
    let decoded = charset::to_utf8(headers, &body, text).map_err(|fault| match fault.cause {
        Cause::Body => {
            Fault { detail: with_words(&fault.detail, &words(headers, &body, mask)).into(), ..fault }
        }
        _ => fault,
    })?;
    let body = decoded.unwrap_or(body);
    if settings.body_as == BodyAs::Text {
        let mut out = Vec::with_capacity(large_buffer::capacity(body.len() + 2));
        json::text_value(&body, &mut out).map_err(|error| {
            let why = format!(
                "the body is not valid UTF-8, at byte {}, and its Content-Type declares no other charset",
                error.offset
            );
            Fault::new(Cause::Body, with_words(&why, &words(headers, &body, mask)))
        })?;
        return Ok(out.into());
    }
    if body.is_empty() {
        return Err(Fault::new(Cause::Body, "the answer has no body"));
    }
    let compacted = json::compacted(&body).map_err(|error| {
        // Without an announced length only the grammar shows that a body was cut.
        if error.kind == JsonErrorKind::UnexpectedEnd {
            return Fault::new(Cause::Cut, error.to_string());
        }
        // They show whether it is, say, a login page. The body is UTF-8 by now, whatever its header says.
        Fault::new(Cause::Body, with_words(&error.to_string(), &words(&HeaderMap::new(), &body, mask)))
    })?;
    Ok(match compacted {
        // Most servers send it so: then it need not be copied.
        Cow::Borrowed(part) => body.slice_ref(part),
        Cow::Owned(made) => made.into(),
    })
}

/// The fault for a status that is no success, or is retried, with the beginning of the body.
fn refusal(answer: &RawAnswer, Classifier { settings, mask, .. }: &Classifier) -> Fault {
    let body = decode(&answer.headers, answer.body.clone(), settings.max_body);
    let said = body.map(|body| words(&answer.headers, &body, mask).text);
    Fault::of_status(answer.status, said.unwrap_or_default())
}

/// What is wrong with a body, and what it says.
fn with_words(why: &str, words: &Words) -> String {
    let what = words.document.map_or_else(String::new, |kind| format!(", {kind}"));
    if words.text.is_empty() { format!("{why}{what}") } else { format!("{why}{what}: {}", words.text) }
}

/// The validators for a later conditional request. They are stored beside the output, so none that holds a secret.
fn validators(headers: &HeaderMap, mask: &Mask) -> Validators {
    let field = |name| {
        let value = headers.get(name)?.to_str().ok()?;
        (value.len() <= MAX_VALIDATOR && !mask.finds(value)).then(|| value.into())
    };
    Validators { etag: field(ETAG), last_modified: field(LAST_MODIFIED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ResponseSettings {
        ResponseSettings {
            select: ".".into(),
            meaning: MeaningSettings::default(),
            body_as: BodyAs::Json,
            null_on: "410".parse::<StatusSet>().unwrap().into(),
            retry_on: "408,425,429,500,502-504,522,524".parse().unwrap(),
            bulk: BulkFilters::default(),
            pages: None,
            max_body: Size(1 << 20),
        }
    }

    fn classify(mut answer: RawAnswer, settings: &ResponseSettings, conditional: bool) -> Classification {
        let classifier = Classifier {
            settings: settings.clone(),
            filters: Filters::compile(settings).unwrap(),
            mask: Mask::new(vec!["canary-123".into()]),
        };
        let (key, record) = (Key::parse(b"A").unwrap(), ByteRecord::new());
        let job = AnsweredJob::new(&key, &record, conditional);
        super::classify(&mut answer, &classifier, job)
    }

    fn answer(status: u16, body: &str) -> RawAnswer {
        RawAnswer {
            status,
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
            may_be_cut: false,
            redirected_to: None,
        }
    }

    #[test]
    fn every_status_and_body_has_its_verdict() {
        let table: &[(u16, &str, &str)] = &[
            (200, r#"{"a": 1.10}"#, "keep"),
            (201, "null", "keep"),
            (200, "", "give up"),
            (204, "", "give up"),
            (200, "{", "retry"),
            (200, r#"{"a""#, "retry"),
            (200, "<html>", "give up"),
            (200, "1 2", "give up"),
            (304, "", "give up"),
            (400, "{}", "give up"),
            (401, "{}", "give up"),
            (404, "{}", "give up"),
            (410, "{}", "keep"),
            (408, "", "retry"),
            (429, "", "retry"),
            (500, "", "retry"),
            (501, "", "give up"),
            (503, "", "retry"),
            (505, "", "give up"),
            (599, "", "give up"),
        ];
        for &(status, body, expected) in table {
            let verdict = match classify(answer(status, body), &settings(), false) {
                Classification::Keep(_) => "keep",
                Classification::KeepNull(_) => "null",
                Classification::Retry(_) => "retry",
                Classification::Limited(_) => "limited",
                Classification::GiveUp(_) => "give up",
            };
            assert_eq!(verdict, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_body_that_is_empty_or_does_not_decode_counts_as_cut_where_only_the_connection_ended_it() {
        let ended = |body| RawAnswer { may_be_cut: true, ..answer(200, body) };
        let mut coded = ended("\x1f");
        coded.headers.insert("content-encoding", "gzip".parse().unwrap());
        for cut in [ended(""), coded] {
            let Classification::Retry(fault) = classify(cut, &settings(), false) else {
                panic!("not retried")
            };
            assert_eq!((fault.cause, fault.status), (Cause::Cut, Some(200)));
        }
        assert!(matches!(classify(ended("<html>"), &settings(), false), Classification::GiveUp(_)));
        let text = ResponseSettings { body_as: BodyAs::Text, ..settings() };
        assert!(matches!(classify(ended(""), &text, false), Classification::Keep(_)));
    }

    #[test]
    fn a_status_that_the_user_named_is_retried_whatever_it_means_by_itself() {
        let named = ResponseSettings {
            null_on: "206".parse::<StatusSet>().unwrap().into(),
            retry_on: "202,206,302-304,404".parse().unwrap(),
            ..settings()
        };
        for status in [202, 302, 303, 304, 404] {
            let Classification::Retry(fault) = classify(answer(status, "1"), &named, false) else {
                panic!("{status} is not retried")
            };
            assert_eq!((fault.cause, fault.status), (Cause::Status(status), Some(status)));
        }
        assert!(
            matches!(classify(answer(206, "1"), &named, false), Classification::Keep(_)),
            "null goes first"
        );
        assert!(matches!(classify(answer(200, "1"), &named, false), Classification::Keep(_)));
    }

    #[test]
    fn a_304_is_an_answer_only_to_a_conditional_request() {
        let Classification::Keep(kept) = classify(answer(304, ""), &settings(), true) else {
            panic!("not kept")
        };
        assert_eq!(kept.content, Content::Unchanged);
    }

    #[test]
    fn a_304_to_a_conditional_request_is_unchanged_whatever_statuses_are_named() {
        for (null_on, retry_on) in [("304", "500"), ("404", "300-399"), ("300-399", "500")] {
            let named = ResponseSettings {
                null_on: null_on.parse::<StatusSet>().unwrap().into(),
                retry_on: retry_on.parse().unwrap(),
                ..settings()
            };
            let Classification::Keep(kept) = classify(answer(304, ""), &named, true) else {
                panic!("not kept")
            };
            assert_eq!(kept.content, Content::Unchanged, "{null_on} {retry_on}");
            match classify(answer(304, ""), &named, false) {
                Classification::Keep(kept) => assert_eq!(kept.content, Content::Json(b"null"[..].into())),
                other => assert!(matches!(other, Classification::Retry(_)) && null_on == "404"),
            }
        }
    }

    #[test]
    fn a_body_is_stored_compact_with_its_digits() {
        let body = "\u{feff}{ \"b\" : 9007199254740993 , \"a\" : [ 1.10, 1e400 ], \"a\":1 }\r\n";
        let Classification::Keep(kept) = classify(answer(200, body), &settings(), false) else {
            panic!("not kept")
        };
        assert_eq!(
            kept.content,
            Content::Json(br#"{"b":9007199254740993,"a":[1.10,1e400],"a":1}"#[..].into())
        );
    }

    #[test]
    fn a_null_on_status_stores_null_whatever_the_body() {
        let Classification::Keep(kept) = classify(answer(410, "<gone>"), &settings(), false) else {
            panic!("not kept")
        };
        assert_eq!(kept.content, Content::Json(b"null"[..].into()));
        assert_eq!(kept.status, 410);
    }

    #[test]
    fn a_body_that_is_no_json_shows_how_it_begins() {
        let page = answer(200, "<html>\x1b[31m canary-123 please log in</html>");
        let Classification::GiveUp(fault) = classify(page, &settings(), false) else { panic!() };
        let detail =
            "not JSON: expected a value at byte 0, an HTML page: \\u{1b}[31m (redacted) please log in";
        assert_eq!(&*fault.detail, detail);
    }

    #[test]
    fn a_declared_charset_is_decoded_in_what_is_kept_and_in_what_is_shown() {
        let latin = |status, body: &[u8]| {
            let mut raw = answer(status, "");
            raw.body = Bytes::copy_from_slice(body);
            raw.headers.insert("content-type", "application/json; charset=iso-8859-1".parse().unwrap());
            raw
        };
        let body = b"{\"a\":\"\xc3\xa9\"}";
        let Classification::Keep(kept) = classify(latin(200, body), &settings(), false) else {
            panic!("not kept")
        };
        assert_eq!(kept.content, Content::Json("{\"a\":\"Ã©\"}".into()));
        let text = ResponseSettings { body_as: BodyAs::Text, ..settings() };
        let Classification::Keep(kept) = classify(latin(200, b"\xc3\xa9"), &text, false) else {
            panic!("not kept")
        };
        assert_eq!(kept.content, Content::Json("\"Ã©\"".into()));
        for (status, body) in [(400, &b"sch\xf6n"[..]), (200, b"<p>sch\xf6n")] {
            let Classification::GiveUp(fault) = classify(latin(status, body), &settings(), false) else {
                panic!()
            };
            assert!(fault.detail.ends_with("schön"), "{fault}");
        }
    }

    #[test]
    fn a_refusal_shows_the_body_without_secrets_and_control_characters() {
        let Classification::GiveUp(fault) =
            classify(answer(400, "bad token canary-123\x1b[2J"), &settings(), false)
        else {
            panic!("not given up")
        };
        assert_eq!(fault.to_string(), "HTTP 400 Bad Request: bad token (redacted)\\u{1b}[2J");
        assert_eq!(fault.status, Some(400));
    }

    #[test]
    fn text_bodies_become_json_strings_and_may_be_empty() {
        let text = ResponseSettings { body_as: BodyAs::Text, ..settings() };
        let Classification::Keep(kept) = classify(answer(200, "a \"b\"\n"), &text, false) else {
            panic!("not kept")
        };
        assert_eq!(kept.content, Content::Json(br#""a \"b\"\n""#[..].into()));
        assert!(matches!(classify(answer(200, ""), &text, false), Classification::Keep(_)));
    }

    #[test]
    fn validators_are_remembered_unless_absurd() {
        let mut raw = answer(200, "1");
        raw.headers.insert(ETAG, "\"v1\"".parse().unwrap());
        raw.headers.insert(LAST_MODIFIED, "x".repeat(5000).parse().unwrap());
        let Classification::Keep(kept) = classify(raw, &settings(), false) else { panic!("not kept") };
        assert_eq!(kept.validators, Validators { etag: Some("\"v1\"".into()), last_modified: None });
    }
}
