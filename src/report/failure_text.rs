//! A failed row in words: where it stands, its SKU, and what went wrong.

use serde_json::{Value, json};

use crate::model::{Cause, display_safe};
use crate::report::run_stats::FailureExample;

/// Characters of a key, an address and a detail that a line shows.
const KEY_CHARS: usize = 64;
const URL_CHARS: usize = 160;
const DETAIL_CHARS: usize = 200;

/// `line 17, SKU 0042: 404 from http://…/products/0042: no such product`
pub(crate) fn place_and_reason(example: &FailureExample, cause: Cause) -> String {
    let sku = example.key.as_ref().map(|key| format!(", SKU {}", shown_key(key))).unwrap_or_default();
    format!("line {}{sku}: {}", example.line, reason(example, cause))
}

/// Spaces would make it unclear where a key ends.
fn shown_key(key: &str) -> String {
    let safe = display_safe(key, KEY_CHARS);
    if safe.contains(char::is_whitespace) { format!("\"{safe}\"") } else { safe }
}

fn reason(example: &FailureExample, cause: Cause) -> String {
    let detail = display_safe(&example.detail, DETAIL_CHARS);
    let url = example.url.as_ref().map(|url| display_safe(url, URL_CHARS));
    match (cause, url) {
        (Cause::Status(status), Some(url)) => match beyond_status(&detail, status) {
            "" => format!("{status} from {url}"),
            more => format!("{status} from {url}: {more}"),
        },
        (_, Some(url)) if !detail.contains(&url) => format!("{detail} ({url})"),
        _ => detail,
    }
}

/// What a detail such as `HTTP 404: no such product` says beyond the status that is shown already.
fn beyond_status(detail: &str, status: u16) -> &str {
    let rest = detail.strip_prefix("HTTP ").unwrap_or(detail);
    match rest.strip_prefix(&status.to_string()) {
        Some(more) if !more.starts_with(|c: char| c.is_alphanumeric()) => {
            more.trim_start_matches([':', ',', ';', ' '])
        }
        _ => detail,
    }
}

/// An example for machines.
pub(crate) fn example_fields(example: &FailureExample, cause: Cause) -> Value {
    json!({
        "cause": cause.label(),
        "line": example.line,
        "key": example.key,
        "url": example.url,
        "status": example.status,
        "detail": example.detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example_of(detail: &str, url: Option<&str>) -> FailureExample {
        FailureExample {
            line: 17,
            key: Some("0042".into()),
            url: url.map(String::from),
            status: None,
            detail: detail.into(),
        }
    }

    #[test]
    fn a_failure_names_its_line_its_sku_and_the_address() {
        let url = Some("http://h/products/0042");
        for (detail, cause, url, text) in [
            ("HTTP 404", Cause::Status(404), url, "404 from http://h/products/0042"),
            ("404: gone fishing", Cause::Status(404), url, "404 from http://h/products/0042: gone fishing"),
            ("4040", Cause::Status(404), url, "404 from http://h/products/0042: 4040"),
            ("HTTP 404", Cause::Status(404), None, "HTTP 404"),
            ("refused", Cause::Connect, url, "refused (http://h/products/0042)"),
            ("refused by http://h/products/0042", Cause::Connect, url, "refused by http://h/products/0042"),
        ] {
            let shown = place_and_reason(&example_of(detail, url), cause);
            assert_eq!(shown, format!("line 17, SKU 0042: {text}"));
        }
    }

    #[test]
    fn a_key_with_spaces_is_quoted_and_a_missing_one_left_out() {
        let spaced = FailureExample { key: Some("a b".into()), ..example_of("late", None) };
        assert_eq!(place_and_reason(&spaced, Cause::Timeout), "line 17, SKU \"a b\": late");
        let none = FailureExample { key: None, ..example_of("the key is empty", None) };
        assert_eq!(place_and_reason(&none, Cause::Row), "line 17: the key is empty");
    }
}
