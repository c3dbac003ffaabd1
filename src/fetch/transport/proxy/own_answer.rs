//! Whether an answer to a request with a whole address is the proxy's own, and not the server's.
//!
//! HTTP has no rule for it. Proxies that answer themselves show it by a field of theirs, or name the same product in
//! `Server` as in `Via`, which on a passed answer names the server's product.

use http::header::{HeaderName, SERVER, VIA};
use http::{HeaderMap, StatusCode};

use super::Proxy;
use crate::model::display_safe;
use crate::model::fault::{ProxyProblem, reason_phrase};

const X_SQUID_ERROR: HeaderName = HeaderName::from_static("x-squid-error");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// Products that are forward proxies, as `Server` names them, in lower case.
const PRODUCTS: [&str; 8] =
    ["squid", "tinyproxy", "privoxy", "mitmproxy", "polipo", "wwwoffle", "zscaler", "cntlm"];
/// Characters of a reason.
const REASON: usize = 120;

/// What is wrong, if the answer is the proxy's own. Only answers that tell that it got nothing from the server are meant.
pub(in super::super) fn own_answer(status: StatusCode, headers: &HeaderMap) -> Option<ProxyProblem> {
    match status {
        // Only a proxy may send it.
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some(ProxyProblem::Credentials),
        StatusCode::FORBIDDEN
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT
            if is_marked(headers) =>
        {
            Some(ProxyProblem::Answered(status.as_u16()))
        }
        _ => None,
    }
}

fn is_marked(headers: &HeaderMap) -> bool {
    let product = headers.get(SERVER).and_then(|server| product(server.to_str().ok()?));
    headers.contains_key(X_SQUID_ERROR)
        || proxy_error(headers).is_some()
        || product
            .is_some_and(|product| PRODUCTS.contains(&product.as_str()) || is_last_hop(headers, &product))
}

/// A proxy's own answer in one sentence: `asked` is what was asked of it.
pub(in super::super) fn answer_text(
    proxy: &Proxy,
    asked: &str,
    (status, headers): (u16, &HeaderMap),
) -> String {
    let phrase = reason_phrase(status).map(|phrase| format!(" {phrase}")).unwrap_or_default();
    let reason = reason(headers).map(|reason| format!(" ({reason})")).unwrap_or_default();
    if status == 407 {
        return format!(
            "the proxy {proxy} refuses the credentials: it answered {asked} with 407{phrase}{reason}"
        );
    }
    format!("the proxy {proxy} answered {asked} itself, with {status}{phrase}{reason}")
}

/// What a proxy says about its answer: of squid the name of the error, else the `error` of `Proxy-Status` (RFC 9209).
fn reason(headers: &HeaderMap) -> Option<String> {
    let text = match headers.get(X_SQUID_ERROR).and_then(|value| value.to_str().ok()) {
        Some(error) => error,
        None => proxy_error(headers)?,
    };
    Some(display_safe(text, REASON))
}

/// The `error` of the member of `Proxy-Status` that is nearest to this program.
fn proxy_error(headers: &HeaderMap) -> Option<&str> {
    let members = headers.get_all(PROXY_STATUS).into_iter().next_back()?.to_str().ok()?;
    let nearest = members.rsplit(',').next()?;
    nearest.split(';').find_map(|parameter| parameter.trim().strip_prefix("error="))
}

/// Whether the proxy that is nearest to this program names this product.
fn is_last_hop(headers: &HeaderMap, server: &str) -> bool {
    let Some(hops) = headers.get_all(VIA).into_iter().next_back().and_then(|via| via.to_str().ok()) else {
        return false;
    };
    let last = hops.rsplit(',').next().unwrap_or_default();
    let comment = last.split_once('(').and_then(|(_, comment)| product(comment));
    comment.is_some_and(|comment| comment == server)
}

/// `squid` of `Squid/5.7 (Debian)`.
fn product(text: &str) -> Option<String> {
    let word = text.trim().split(['/', ' ', ')', ';']).next().filter(|word| !word.is_empty())?;
    Some(word.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(status: u16, headers: &[(&str, &str)]) -> Option<(ProxyProblem, String)> {
        let mut answer = http::Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let head = answer.body(()).unwrap();
        Some((own_answer(head.status(), head.headers())?, reason(head.headers()).unwrap_or_default()))
    }

    #[test]
    fn a_proxy_that_answers_itself_shows_it() {
        let squid = ("x-squid-error", "ERR_CONNECT_FAIL 111");
        assert_eq!(own(407, &[]), Some((ProxyProblem::Credentials, String::new())));
        assert_eq!(own(503, &[squid]), Some((ProxyProblem::Answered(503), "ERR_CONNECT_FAIL 111".into())));
        assert_eq!(
            own(403, &[("x-squid-error", "ERR_ACCESS_DENIED 0")]).unwrap().0,
            ProxyProblem::Answered(403)
        );
        let status = ("proxy-status", "cdn.test, proxy.test; error=connection_refused; details=\"x\"");
        assert_eq!(own(502, &[status]), Some((ProxyProblem::Answered(502), "connection_refused".into())));
        for headers in [
            &[("server", "tinyproxy/1.11.0")][..],
            &[("server", "mitmproxy 10.1.1")],
            &[("server", "ATS/9.2"), ("via", "http/1.1 px.test (ATS/9.2)")],
            &[("server", "Apache/2.4"), ("via", "1.1 first.test, 1.1 px.test (Apache/2.4.57)")],
        ] {
            assert_eq!(own(502, headers), Some((ProxyProblem::Answered(502), String::new())), "{headers:?}");
        }
    }

    #[test]
    fn an_answer_that_was_passed_on_is_the_servers() {
        let via = ("via", "1.1 px.test (squid/5.7)");
        for headers in [
            &[][..],
            &[via],
            &[("server", "nginx"), via],
            &[("server", "nginx"), ("proxy-status", "px.test; received-status=503")],
            &[("proxy-status", "cdn.test; error=http_request_error, px.test; received-status=503")],
            &[("server", "Apache"), ("via", "1.1 px.test (Apache/2.4), 1.1 nearer.test (squid/5.7)")],
        ] {
            for status in [403, 500, 502, 503, 504] {
                assert_eq!(own(status, headers), None, "{headers:?}");
            }
        }
        for status in [200, 301, 400, 401, 404, 429, 501] {
            assert_eq!(own(status, &[("x-squid-error", "ERR_X 0")]), None, "{status}");
        }
    }
}
