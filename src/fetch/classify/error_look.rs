//! Whether a body looks like an error that came with a good status, and whether one comes again and again.
//!
//! A body looks like an error if it is an object, or an array of nothing but such objects, that
//!
//! - has a member of an error that is not empty: its name begins with `error`, `err`, `fault` or `exception`, or is
//!   `message`, `msg`, `reason`, `problem` or their like; or its name is `success` or `ok`, and its value is `false`; and
//! - has no member of a product that is not empty, such as `sku`, `name`, `price`, `items` or `data`.
//!
//! Case, `_` and `-` in names do not count. `null`, `false`, an empty text, and arrays and objects of nothing but these
//! are empty: many APIs send `"error": null` with each product, and `"data": null` with each error.

use serde_json::Value;

use super::words::words;
use crate::model::option::{FAIL_IF, REFUSED_IF, RETRY_IF};
use crate::model::{Answer, BodyHash, Content, Mask};

/// So many SKUs in a row with one body are no chance.
const SAME_IN_A_ROW: u32 = 20;
/// A longer body is no message.
const LONGEST: usize = 4096;

/// What names of error members begin with, in lower case.
static ERROR_BEGINNINGS: &[&str] = &["error", "fault", "exception", "errmsg", "errcode"];

/// Whole names of error members, in lower case and without `_` and `-`.
static ERROR_NAMES: &[&str] = &[
    "err",
    "message",
    "messages",
    "msg",
    "reason",
    "problem",
    "problems",
    "failure",
    "failures",
    "detail",
    "statusmessage",
    "statustext",
    "usermessage",
];

/// Names of members that say with `false` that something is wrong.
static SUCCESS_NAMES: &[&str] = &["success", "ok", "succeeded", "successful", "actionsucceed", "issuccess"];

/// Names of members that a product has, or an answer with products in it; in lower case and without `_` and `-`.
static PRODUCT_NAMES: &[&str] = &[
    "sku",
    "skus",
    "ean",
    "gtin",
    "upc",
    "isbn",
    "asin",
    "mpn",
    "barcode",
    "partnumber",
    "productid",
    "itemid",
    "variantid",
    "handle",
    "slug",
    "name",
    "productname",
    "brand",
    "manufacturer",
    "vendor",
    "model",
    "description",
    "shortdescription",
    "category",
    "categories",
    "tags",
    "price",
    "prices",
    "listprice",
    "saleprice",
    "amount",
    "currency",
    "cost",
    "stock",
    "quantity",
    "qty",
    "inventory",
    "available",
    "availability",
    "instock",
    "weight",
    "dimensions",
    "size",
    "color",
    "colour",
    "image",
    "images",
    "media",
    "attributes",
    "properties",
    "features",
    "product",
    "products",
    "item",
    "items",
    "variant",
    "variants",
    "offer",
    "offers",
    "article",
    "articles",
    "part",
    "parts",
    "listing",
    "listings",
    "result",
    "results",
    "data",
    "docs",
    "hits",
    "records",
    "rows",
    "entries",
    "edges",
    "nodes",
    "content",
    "contents",
    "values",
];

/// What a body says, if it looks like an error; safe to show.
pub(super) fn words_of_error(json: &[u8], mask: &Mask) -> Option<Box<str>> {
    looks_like_error(json).then(|| words(&http::HeaderMap::new(), json, mask).text.into())
}

/// Whether a checked, compact body looks like an error.
fn looks_like_error(json: &[u8]) -> bool {
    let is_short = json.len() <= LONGEST && matches!(json.first(), Some(b'{' | b'['));
    is_short && serde_json::from_slice(json).is_ok_and(|value: Value| is_error(&value))
}

fn is_error(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            let named = || members.iter().map(|(name, value)| (plain(name), value));
            named().any(|(name, value)| is_error_member(&name, value))
                && !named().any(|(name, value)| PRODUCT_NAMES.contains(&name.as_str()) && !is_empty(value))
        }
        Value::Array(elements) => {
            !elements.is_empty() && elements.iter().all(|element| element.is_object() && is_error(element))
        }
        _ => false,
    }
}

fn is_error_member(name: &str, value: &Value) -> bool {
    let is_error =
        ERROR_NAMES.contains(&name) || ERROR_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
    is_error && !is_empty(value) || SUCCESS_NAMES.contains(&name) && *value == Value::Bool(false)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(elements) => elements.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Watches for one body that looks like an error, for one SKU after the other.
pub(crate) struct SameErrors {
    mask: Mask,
    /// The newest body, if it is no selection and not longer than a message. A buffer for reuse.
    newest: Vec<u8>,
    /// The newest body before the selection.
    newest_raw: Option<BodyHash>,
    in_a_row: u32,
    is_over: bool,
}

impl SameErrors {
    /// The mask takes secrets out of what is shown.
    pub(crate) fn new(mask: Mask) -> Self {
        Self { mask, newest: Vec::new(), newest_raw: None, in_a_row: 0, is_over: false }
    }

    /// The next SKU has this answer, or failed. Gives the warning, once a run.
    pub(crate) fn note(&mut self, answer: Option<&Answer>) -> Option<String> {
        if self.is_over {
            return None;
        }
        let is_same = match answer.map(|answer| (answer, &answer.content)) {
            Some((Answer { raw: Some(raw), .. }, _)) => self.newest_raw.replace(*raw) == Some(*raw),
            Some((_, Content::Json(body))) => self.is_same_body(body),
            Some((_, Content::Unchanged)) | None => {
                self.newest.clear();
                self.newest_raw = None;
                self.in_a_row = 0;
                return None;
            }
        };
        self.in_a_row = if is_same { self.in_a_row + 1 } else { 1 };
        if self.in_a_row != SAME_IN_A_ROW {
            return None;
        }
        let said = answer?.error.clone().or_else(|| words_of_error(&self.newest, &self.mask))?;
        self.is_over = true;
        Some(format!(
            "{SAME_IN_A_ROW} SKUs in a row have the same answer, which looks like an error: {said}; if it is one, a \
             filter says so: {FAIL_IF}, {RETRY_IF} or {REFUSED_IF} (for example {FAIL_IF} .error)"
        ))
    }

    fn is_same_body(&mut self, body: &[u8]) -> bool {
        self.newest_raw = None;
        if self.newest == body {
            return !body.is_empty();
        }
        self.newest.clear();
        if body.len() <= LONGEST {
            self.newest.extend_from_slice(body);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::Validators;

    #[test]
    fn an_error_has_a_member_of_an_error_and_none_of_a_product() {
        for (body, expected) in [
            (r#"{"error":"invalid token"}"#, true),
            (r#"{"errors":[{"message":"Throttled"}],"extensions":{"cost":{}}}"#, true),
            (r#"{"errors":[{"message":"x"}],"data":null}"#, true),
            (r#"{"errors":[{"message":"x"}],"data":{"product":null}}"#, true),
            (r#"{"message":"The product is unknown","code":17}"#, true),
            (r#"{"Message":"No HTTP resource was found"}"#, true),
            (r#"{"fault":{"faultstring":"Invalid ApiKey"}}"#, true),
            (r#"{"Fault":{"Error":[{"Message":"x"}]},"time":"t"}"#, true),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":100}}"#, true),
            (r#"{"actionSucceed":false,"errorWrappers":[{"error":"BUSY"}]}"#, true),
            (r#"{"success":false}"#, true),
            (r#"{"type":"about:blank","title":"Bad","status":400,"detail":"no key"}"#, true),
            (r#"[{"errorCode":"INVALID_SESSION_ID","message":"expired"}]"#, true),
            (r#"{"ErrorCode":0,"exception_class":"X"}"#, true),
            (r#"{"error":null,"sku":"A"}"#, false),
            (r#"{"errors":[],"data":{"product":{"id":1}}}"#, false),
            (r#"{"errors":[{"message":"partly"}],"data":{"product":{"id":1}}}"#, false),
            (r#"{"message":"in stock","name":"Hammer"}"#, false),
            (r#"{"message":"found","items":[{"id":1}]}"#, false),
            (r#"{"success":true,"code":1}"#, false),
            (r#"{"message":""}"#, false),
            (r#"{"id":1}"#, false),
            ("{}", false),
            ("[]", false),
            ("[1]", false),
            ("\"error\"", false),
            ("null", false),
        ] {
            assert_eq!(looks_like_error(body.as_bytes()), expected, "{body}");
        }
        let long = format!("{{\"error\":\"{}\"}}", "x".repeat(LONGEST));
        assert!(!looks_like_error(long.as_bytes()));
    }

    fn answer(body: &str, raw: Option<u32>, error: Option<&str>) -> Answer {
        Answer {
            status: 200,
            at: SystemTime::UNIX_EPOCH,
            content: Content::Json(body.to_owned().into()),
            validators: Validators::default(),
            raw: raw.map(BodyHash),
            error: error.map(Into::into),
        }
    }

    const NONE: [usize; 0] = [];
    const ERROR: &str = r#"{"error":"no canary-123"}"#;

    /// At which of these answers a warning comes, from 1.
    fn warned(answers: impl IntoIterator<Item = Option<Answer>>) -> Vec<usize> {
        let mut watched = SameErrors::new(Mask::new(vec!["canary-123".into()]));
        let warned = |(n, answer): (usize, Option<Answer>)| {
            let warning = watched.note(answer.as_ref())?;
            assert!(warning.contains("no (redacted)"), "{warning}");
            Some(n + 1)
        };
        answers.into_iter().enumerate().filter_map(warned).collect()
    }

    #[test]
    fn twenty_of_one_error_in_a_row_are_a_warning_once() {
        let same = |n| std::iter::repeat_with(|| Some(answer(ERROR, None, None))).take(n);
        assert_eq!(warned(same(100)), [20]);
        assert_eq!(warned(same(19)), NONE);
        for other in [None, Some(answer("{\"error\":2}", None, None))] {
            assert_eq!(warned(same(19).chain([other]).chain(same(20))), [40]);
        }
        let product = r#"{"sku":"A","message":"canary-123"}"#;
        assert_eq!(warned((0..50).map(|_| Some(answer(product, None, None)))), NONE);
        let long = format!("{{\"error\":\"{}\"}}", "x".repeat(LONGEST));
        assert_eq!(warned((0..50).map(|_| Some(answer(&long, None, None)))), NONE);
    }

    #[test]
    fn of_a_selection_the_bodies_before_it_are_compared() {
        let selected = |raw| Some(answer("null", Some(raw), Some("no (redacted)")));
        assert_eq!(warned((0..30).map(|_| selected(7))), [20]);
        assert_eq!(warned((0..60).map(|n| selected(n % 2))), NONE);
        assert_eq!(warned((0..30).map(|_| Some(answer("null", Some(7), None)))), NONE, "no error");
    }
}
