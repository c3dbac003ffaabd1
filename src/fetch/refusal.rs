//! Which answers are refusals: the server says "slow down". A pure function of one answer.
//!
//! 429 says it by itself. 403 is the usual answer to wrong credentials as well, so it counts only where something else
//! in the answer says so: a wait, a quota that is used up, or one of the codes that limiters are known to send. The
//! codes are compared as whole values of the members and elements that hold codes, so that the text of a product in
//! an ordinary 403 is not taken for one.

use http::HeaderMap;

/// What the header fields of an answer say, as far as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RefusalHints {
    /// `Retry-After` has a wait that is not zero.
    pub(super) asks_to_wait: bool,
    /// A quota field says that nothing is left.
    pub(super) is_quota_used_up: bool,
}

/// Bytes of a body in which a code is looked for.
pub(super) const BODY_READ: usize = 4096;

/// Whether an answer is a refusal. `body` gives the beginning of its body, decoded; it is called for statuses that
/// depend on it.
pub(super) fn is_refusal(
    status: u16,
    headers: &HeaderMap,
    hints: RefusalHints,
    body: impl FnOnce() -> Vec<u8>,
) -> bool {
    match status {
        420 | 429 | 508 | 509 | 529 => true,
        503 => hints.asks_to_wait,
        403 => {
            hints.asks_to_wait || hints.is_quota_used_up || names_throttle(headers) || tells_throttle(&body())
        }
        // What AWS answers in place of 429.
        400 => {
            has_aws_throttle(headers)
                || members(&body()).iter().any(|(name, value)| {
                    matches!(*name, b"__type" | b"Code" | b"code") && is_aws_throttle(value)
                })
        }
        _ => false,
    }
}

/// Codes that mean a limit and nothing else, in lower case and without `_`, `-` and spaces.
static CODES: &[&str] = &[
    "accountoverquerypersecondlimit",
    "accountoverqueriespersecondlimit",
    "accountoverratelimit",
    "bandwidthlimitexceeded",
    "concurrentlimitexceeded",
    "dailylimitexceeded",
    "developeroverqps",
    "developeroverrate",
    "overquerylimit",
    "provisionedthroughputexceeded",
    "provisionedthroughputexceededexception",
    "quotaexceeded",
    "quotaexceededexception",
    "ratelimited",
    "ratelimitexceeded",
    "ratelimitexceededexception",
    "requestlimitexceeded",
    "requestthrottled",
    "requestthrottledexception",
    "resourceexhausted",
    "slowdown",
    "throttled",
    "throttledexception",
    "toomanyrequests",
    "toomanyrequestsexception",
    "userratelimitexceeded",
];

/// Members of an error that hold its code or its sentence; in lower case and without `_` and `-`.
static ERROR_MEMBERS: &[&str] = &[
    "type",
    "code",
    "detail",
    "details",
    "error",
    "errorcode",
    "errordescription",
    "errormessage",
    "errors",
    "errortype",
    "faultcode",
    "faultstring",
    "message",
    "msg",
    "reason",
    "status",
    "title",
];

/// Whether a header field has a throttle code.
fn names_throttle(headers: &HeaderMap) -> bool {
    headers.iter().any(|(name, value)| {
        let name = name.as_str();
        let holds_code = name.starts_with("x-") && (name.contains("error") || name.contains("reason"));
        let is_flag = name == "x-envoy-ratelimited" && value == "true";
        is_flag || holds_code && is_code(value.as_bytes())
    })
}

fn has_aws_throttle(headers: &HeaderMap) -> bool {
    headers.get("x-amzn-errortype").is_some_and(|value| is_aws_throttle(value.as_bytes()))
}

/// Whether the beginning of a body has a throttle code, or a sentence that limiters are known to send.
fn tells_throttle(body: &[u8]) -> bool {
    let body = body.get(..BODY_READ).unwrap_or(body).trim_ascii_start();
    if matches!(body.first(), Some(b'{' | b'[')) {
        return members(body).iter().any(|(name, value)| is_error_member(name) && is_told(value));
    }
    // Text, XML or a page: what stands between tags or on a line of its own.
    body.split(|byte| matches!(byte, b'<' | b'>' | b'\n')).any(|text| is_told(text.trim_ascii()))
}

fn is_told(value: &[u8]) -> bool {
    is_code(value) || is_sentence(value)
}

/// A code by itself, or with what AWS puts around it: `com.amazonaws#ThrottlingException:http://…`.
fn is_code(value: &[u8]) -> bool {
    is_mashery_code(value) || is_aws_throttle(value) || CODES.contains(&plain(value).as_str())
}

/// `ERR_403_DEVELOPER_OVER_QPS` and its like; `ERR_403_DEVELOPER_INACTIVE` is none.
fn is_mashery_code(value: &[u8]) -> bool {
    let Some(what) = value.strip_prefix(b"ERR_403_") else { return false };
    let is_name = what.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    is_name && [&b"_OVER_QPS"[..], b"_OVER_RATE", b"_OVER_QUOTA"].iter().any(|end| what.ends_with(end))
}

/// `Throttling`, `ThrottlingException`, `Throttling.User` and their like.
fn is_aws_throttle(value: &[u8]) -> bool {
    let value = value.split(|byte| *byte == b':').next().unwrap_or_default();
    let value = value.rsplit(|byte| *byte == b'#').next().unwrap_or_default();
    let is_word = value.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'.');
    let begins = value.strip_prefix(b"Throttling").or_else(|| value.strip_prefix(b"Throttled"));
    let is_whole = |rest: &[u8]| rest.first().is_none_or(|byte| *byte == b'.' || byte.is_ascii_uppercase());
    is_word
        && (begins.is_some_and(is_whole)
            || value == b"TooManyRequestsException"
            || value == b"RequestThrottled")
}

/// The sentences of GitHub and of gateways that have no code.
fn is_sentence(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let begins = ["api rate limit exceeded", "rate limit exceeded", "quota exceeded", "too many requests"];
    let whole = |start: &str| {
        let rest = text.strip_prefix(start);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
    };
    begins.iter().any(|start| whole(start))
        || text.starts_with("you have exceeded a secondary rate limit")
        || text.starts_with("secondary rate limit")
        || text.starts_with("you have triggered an abuse detection mechanism")
        || text.starts_with("abuse detection")
}

fn is_error_member(name: &[u8]) -> bool {
    ERROR_MEMBERS.contains(&plain(name).as_str())
}

/// In lower case, without `_`, `-`, spaces and a full stop at the end. Longer texts are no codes.
fn plain(value: &[u8]) -> String {
    let value = value.get(..64).unwrap_or(value).trim_ascii();
    let value = value.strip_suffix(b".").unwrap_or(value);
    let kept = value.iter().filter(|byte| !matches!(byte, b'_' | b'-' | b' '));
    kept.map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

/// The strings in the beginning of a JSON text, each with the name of its member, or of the member whose array it
/// stands in. The text may be cut anywhere. Escapes stay as they are.
fn members(text: &[u8]) -> Vec<(&[u8], &[u8])> {
    let (mut found, mut name, mut rest) = (Vec::new(), &b""[..], text);
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        rest = &rest[start + 1..];
        let Some(end) = string_end(rest) else { break };
        let (string, after) = (&rest[..end], &rest[end + 1..]);
        if after.trim_ascii_start().first() == Some(&b':') {
            name = string;
        } else {
            found.push((name, string));
        }
        rest = after;
    }
    found
}

/// Where the quote stands that closes a string.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    text.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const NOTHING: RefusalHints = RefusalHints { asks_to_wait: false, is_quota_used_up: false };

    fn told(status: u16, header: Option<(&str, &str)>, body: &str) -> bool {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        is_refusal(status, &headers, NOTHING, || body.as_bytes().to_vec())
    }

    #[test]
    fn a_status_with_or_without_a_wait_or_a_quota_at_zero_is_a_refusal_or_not() {
        let waits = RefusalHints { asks_to_wait: true, ..NOTHING };
        let used_up = RefusalHints { is_quota_used_up: true, ..NOTHING };
        let read = |status, hints| is_refusal(status, &HeaderMap::new(), hints, Vec::new);
        for status in [420, 429, 508, 509, 529] {
            assert!(read(status, NOTHING) && read(status, waits), "{status}");
        }
        assert!(read(503, waits) && !read(503, NOTHING) && !read(503, used_up));
        assert!(read(403, waits) && read(403, used_up) && !read(403, NOTHING));
        for status in [200, 202, 301, 400, 401, 404, 407, 408, 425, 500, 502, 504, 522, 599] {
            for hints in [NOTHING, waits, used_up] {
                assert!(!read(status, hints), "{status} {hints:?}");
            }
        }
    }

    #[test]
    fn a_403_with_a_code_of_a_limiter_is_a_refusal() {
        for body in [
            r#"{"error":{"errors":[{"domain":"usageLimits","reason":"rateLimitExceeded","message":"x"}],"code":403}}"#,
            r#"{"error":{"errors":[{"reason":"userRateLimitExceeded"}]}}"#,
            r#"{"error":{"errors":[{"reason":"quotaExceeded"}]}}"#,
            r#"{"error":{"errors":[{"reason":"dailyLimitExceeded"}]}}"#,
            r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"reason":"RATE_LIMIT_EXCEEDED"}]}}"#,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"x"}"#,
            r#"{"__type":"TooManyRequestsException"}"#,
            r#"{"errors":[{"code":"RequestThrottled","message":"x"}]}"#,
            r#"[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]"#,
            r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}"#,
            r#"{"message":"API rate limit exceeded for 127.0.0.1.","documentation_url":"https://docs"}"#,
            r#"{"message":"You have triggered an abuse detection mechanism. Please wait."}"#,
            r#"{"error":"Rate limit exceeded"}"#,
            r#"{"errors":["rate_limited"]}"#,
            "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>",
            "<ErrorResponse><Error>\n  <Code>RequestThrottled</Code>",
            "<h1>Developer Over Qps</h1>",
            "<h1>Developer Over Rate</h1>",
            "ERR_403_DEVELOPER_OVER_QPS\n",
            "Account Over Queries Per Second Limit",
            r#"  {"message" : "API rate limit exceeded", "cut": "off he"#,
        ] {
            assert!(told(403, None, body), "{body}");
            assert!(!told(401, None, body) && !told(404, None, body), "{body}");
        }
        for header in [
            ("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_QPS"),
            ("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_RATE"),
            ("X-Mashery-Error-Code", "ERR_403_SERVICE_OVER_QPS"),
            ("x-amzn-ErrorType", "ThrottlingException:http://internal.amazon.com/coral/"),
            ("X-Error-Code", "rate_limit_exceeded"),
            ("x-envoy-ratelimited", "true"),
        ] {
            assert!(told(403, Some(header), ""), "{header:?}");
        }
    }

    #[test]
    fn a_403_that_only_looks_like_it_is_none() {
        for body in [
            "",
            "{}",
            r#"{"status":403}"#,
            r#"{"message":"Forbidden"}"#,
            r#"{"message":"Missing Authentication Token"}"#,
            r#"{"error":{"errors":[{"reason":"forbidden"}],"message":"quota"}}"#,
            // The text of a product.
            r#"{"error":"not yours","description":"A novel: API rate limit exceeded"}"#,
            r#"{"error":"not yours","name":"Throttling","brand":"slowDown","sku":"rateLimitExceeded"}"#,
            r#"{"message":"not allowed: 'Throttling valve'","code":"E1"}"#,
            r#"{"message":"you may not see `API rate limit exceeded`"}"#,
            r#"{"title":"Too many requestsX"}"#,
            r#"{"code":"ThrottlingvalveException"}"#,
            r#"{"code":"Throttlingvalve"}"#,
            r#"{"message":"a \"rateLimitExceeded\" in quotes"}"#,
            "<p>Throttling valve</p>",
            "<title>Forbidden</title>Your access to this site has been limited",
            "our secondary rate limits are described elsewhere",
            "ERR_403_DEVELOPER_INACTIVE",
            "ERR_403_NOT_AUTHORIZED",
        ] {
            assert!(!told(403, None, body), "{body}");
        }
        let far = format!("{{\"pad\":\"{}\",\"code\":\"Throttling\"}}", "x".repeat(BODY_READ));
        assert!(!told(403, None, &far), "only the beginning is read");
        for header in [
            ("X-Mashery-Error-Code", "ERR_403_DEVELOPER_INACTIVE"),
            ("X-Product", "rateLimitExceeded"),
            ("Server", "slowdown"),
            ("x-envoy-ratelimited", "false"),
        ] {
            assert!(!told(403, Some(header), ""), "{header:?}");
        }
    }

    #[test]
    fn a_400_is_a_refusal_only_with_a_throttle_code_of_aws() {
        assert!(told(400, Some(("x-amzn-errortype", "ThrottlingException")), ""));
        assert!(told(400, None, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#));
        assert!(!told(400, None, r#"{"__type":"ValidationException","message":"Rate exceeded"}"#));
        assert!(!told(400, None, r#"{"message":"rate limit exceeded"}"#));
    }

    proptest! {
        #[test]
        fn no_body_and_no_header_can_do_harm(body in proptest::collection::vec(any::<u8>(), 0..200), value in "[ -~]{0,80}") {
            let text = String::from_utf8_lossy(&body).into_owned();
            told(403, Some(("x-error-code", &value)), &text);
            told(403, None, &format!("{{\"{text}"));
            told(400, None, &text);
        }
    }
}
