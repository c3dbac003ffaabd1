//! The text of a failed row: its line, its SKU, and what went wrong.

use serde_json::{Value, json};

use crate::model::fault::reason_phrase;
use crate::model::{Cause, display_safe};
use crate::report::format;
use crate::report::key_characters::SharedCharacter;
use crate::report::run_stats::{CauseGroup, FailureExample};

/// Characters of a key, an address and a detail that a line shows.
const KEY_CHARS: usize = 64;
const URL_CHARS: usize = 160;
const DETAIL_CHARS: usize = 200;

/// `line 17, SKU 0042: 404 from http://…/products/0042: Not Found: no such product`
pub(crate) fn place_and_reason(example: &FailureExample) -> String {
    let sku = example.key.as_ref().map(|key| format!(", SKU {}", shown_key(key))).unwrap_or_default();
    format!("line {}{sku}: {}", example.line, reason(example))
}

/// `all 3 have a `/`, and no fetched SKU has one: it is sent as %2F …`
pub(crate) fn shared_character(group: &CauseGroup, shared: SharedCharacter) -> String {
    let who = match group.count {
        1 => "it has".to_owned(),
        count => format!("all {} have", format::count(count)),
    };
    format!("{who} {shared}, and no fetched SKU has one: {}", shared.advice(group.example.url.as_deref()))
}

/// Spaces would make it unclear where a key ends.
fn shown_key(key: &str) -> String {
    let safe = display_safe(key, KEY_CHARS);
    if safe.contains(char::is_whitespace) { format!("\"{safe}\"") } else { safe }
}

fn reason(example: &FailureExample) -> String {
    let fault = &example.fault;
    let url = example.url.as_ref().map(|url| display_safe(url, URL_CHARS));
    match (fault.cause, url) {
        (Cause::Status(status), Some(url)) => {
            let detail = display_safe(&fault.detail, DETAIL_CHARS);
            let more = [reason_phrase(status).unwrap_or_default(), &detail];
            let parts = more.into_iter().filter(|part| !part.is_empty());
            let page = fault.page.map_or_else(String::new, |page| format!("page {page}: "));
            parts.fold(format!("{page}{status} from {url}"), |text, part| text + ": " + part)
        }
        (_, url) => {
            let text = display_safe(&fault.to_string(), DETAIL_CHARS);
            url.map_or(text.clone(), |url| format!("{text} ({url})"))
        }
    }
}

/// An example for machines.
pub(crate) fn example_fields(example: &FailureExample) -> Value {
    json!({
        "cause": example.fault.cause.label(),
        "line": example.line,
        "key": example.key,
        "url": example.url,
        "status": example.fault.status,
        "detail": example.fault.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fault;

    fn example_of(fault: Fault, url: Option<&str>) -> FailureExample {
        FailureExample { line: 17, key: Some("0042".into()), url: url.map(String::from), fault }
    }

    #[test]
    fn a_failure_names_its_line_its_sku_and_the_address() {
        let url = Some("http://h/products/0042");
        let connect = |detail: &str| Fault::new(Cause::Connect, detail);
        for (fault, url, text) in [
            (Fault::of_status(404, ""), url, "404 from http://h/products/0042: Not Found"),
            (Fault::of_status(404, "4040"), url, "404 from http://h/products/0042: Not Found: 4040"),
            (Fault::of_status(599, ""), url, "599 from http://h/products/0042"),
            (Fault::of_status(599, "404: gone"), url, "599 from http://h/products/0042: 404: gone"),
            (Fault::of_status(404, ""), None, "HTTP 404 Not Found"),
            (connect("refused"), url, "refused (http://h/products/0042)"),
            (connect("HTTP 404"), url, "HTTP 404 (http://h/products/0042)"),
            (connect("refused"), None, "refused"),
        ] {
            assert_eq!(place_and_reason(&example_of(fault, url)), format!("line 17, SKU 0042: {text}"));
        }
    }

    #[test]
    fn a_key_with_spaces_is_quoted_and_a_missing_one_left_out() {
        let fault = |cause, detail: &str| example_of(Fault::new(cause, detail), None);
        let spaced = FailureExample { key: Some("a b".into()), ..fault(Cause::Timeout, "late") };
        assert_eq!(place_and_reason(&spaced), "line 17, SKU \"a b\": late");
        let none = FailureExample { key: None, ..fault(Cause::Row, "the key is empty") };
        assert_eq!(place_and_reason(&none), "line 17: the key is empty");
    }
}
