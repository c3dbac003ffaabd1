//! Where a redirect may lead, and what the next request may carry: a pure function.

use std::fmt;
use std::str::FromStr;

use http::header::LOCATION;
use http::{HeaderMap, Method};
use url::Url;

use crate::model::option::{FOLLOW, URL};
use crate::model::request_url::redacted_url;
use crate::model::{Cause, Fault, Request};

/// Most redirects that one job follows.
pub(super) const MAX_REDIRECTS: u32 = 5;

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// None: a redirect is a fault.
    None,
    /// Those that stay at the same scheme, host and port.
    SameOrigin,
    /// All but those from https to http.
    Any,
}

impl FromStr for Follow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "same-origin" => Ok(Self::SameOrigin),
            "any" => Ok(Self::Any),
            _ => Err(format!("`{text}` is not a way to follow redirects: none, same-origin or any")),
        }
    }
}

impl fmt::Display for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::SameOrigin => "same-origin",
            Self::Any => "any",
        })
    }
}

/// Whether a status is a redirect that can be followed.
#[must_use]
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The request that follows a redirect.
///
/// Methods change as in RFC 9110, section 15.4: 303 changes all but HEAD to GET; 301 and 302 change POST to GET and
/// leave every other method; 307 and 308 change nothing. Where the request has a body, 301 to 303 are refused: without
/// its body it would be another request, perhaps the same one for every SKU.
///
/// # Errors
/// A redirect that may not be followed; it is final. Its text holds the address: mask and shorten it before it is shown,
/// since the server may repeat there what it was sent.
pub(super) fn follow(
    request: &Request,
    status: u16,
    headers: &HeaderMap,
    policy: Follow,
) -> Result<Request, Fault> {
    let refuse = |why: &str| {
        Fault::new(Cause::Redirect, format!("HTTP {status}: redirect refused: {why}")).with_status(status)
    };
    if policy == Follow::None {
        return Err(refuse(&format!("{FOLLOW} is none")));
    }
    let location = headers.get(LOCATION).ok_or_else(|| refuse("it has no Location"))?;
    let location = location.to_str().map_err(|_| refuse("its Location is not text"))?;
    let mut url = request.url.join(location).map_err(|_| refuse("its Location is not a URL"))?;
    url.set_fragment(None);
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refuse("it leads away from HTTP"));
    }
    if request.url.scheme() == "https" && url.scheme() == "http" {
        return Err(refuse("it leads from https to http"));
    }
    let same_origin = url.origin() == request.url.origin();
    let cross_origin = request.cross_origin || !same_origin;
    if request.body.is_some() {
        let method = &request.method;
        let leads = || {
            let hidden = if url.query().is_some() { " (query not shown)" } else { "" };
            let url = redacted_url(&url);
            format!(
                "it leads to {url}{hidden}: write that address in {URL}, with {{sku}} for the row's value"
            )
        };
        if matches!(status, 301..=303) {
            let why = if becomes_get(status, method) {
                format!("the {method} would go on as a GET without its body; {}", leads())
            } else {
                format!("a {status} does not say that the {method} keeps its body; {}", leads())
            };
            return Err(refuse(&why));
        }
        if cross_origin {
            return Err(refuse(&format!(
                "the body of the {method} may not reach another origin; {}",
                leads()
            )));
        }
    }
    if is_same_host_by_https(&request.url, &url) && policy == Follow::SameOrigin {
        let origin = url.origin().ascii_serialization();
        return Err(refuse(&format!("it leads to the same host by https: write {origin} in {URL}")));
    }
    if !same_origin && policy == Follow::SameOrigin {
        return Err(refuse(&format!("it leads to another origin ({FOLLOW} any would go there)")));
    }
    carry_user_info(request, &mut url, cross_origin);
    Ok(Request {
        method: if becomes_get(status, &request.method) { Method::GET } else { request.method.clone() },
        url: url.into(),
        headers: if cross_origin { HeaderMap::new() } else { request.headers.clone() },
        body: request.body.clone(),
        cross_origin,
    })
}

/// Whether a redirect changes nothing of the origin but http to https, and with it perhaps the port.
fn is_same_host_by_https(from: &Url, to: &Url) -> bool {
    from.scheme() == "http" && to.scheme() == "https" && from.host() == to.host()
}

/// Whether a redirect with this status is followed with GET in place of this method.
fn becomes_get(status: u16, method: &Method) -> bool {
    match status {
        301 | 302 => method == Method::POST,
        303 => method != Method::HEAD,
        _ => false,
    }
}

/// The template's user-info is sent to its origin only; user-info in a `Location` is never used.
fn carry_user_info(request: &Request, url: &mut Url, cross_origin: bool) {
    let (name, password) =
        if cross_origin { ("", None) } else { (request.url.username(), request.url.password()) };
    // Both fail only for URLs without a host, which were refused above.
    let _ = url.set_username(name);
    let _ = url.set_password(password);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, url: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("x-row", "1".parse().unwrap());
        Request { method, url: url.parse().unwrap(), headers, body: None, cross_origin: false }
    }

    fn with_body(method: Method, url: &str) -> Request {
        Request { body: Some("{}".into()), ..request(method, url) }
    }

    fn hop(request: &Request, status: u16, location: &str, policy: Follow) -> Result<Request, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        follow(request, status, &headers, policy)
    }

    fn to(from: &str, status: u16, location: &str, policy: Follow) -> Result<Request, Fault> {
        hop(&request(Method::GET, from), status, location, policy)
    }

    #[test]
    fn refused_redirects_are_final_and_never_a_value() {
        let table = [
            ("https://a.test/1", "http://a.test/1", Follow::Any),
            ("https://a.test/1", "http://a.test/1", Follow::SameOrigin),
            ("https://a.test/1", "https://b.test/1", Follow::SameOrigin),
            ("https://a.test/1", "https://a.test:444/1", Follow::SameOrigin),
            ("http://a.test/1", "file:///etc/passwd", Follow::Any),
            ("http://a.test/1", "ftp://a.test/", Follow::Any),
            ("http://a.test/1", "data:,x", Follow::Any),
            ("http://a.test/1", "http://[", Follow::Any),
            ("http://a.test/1", "/2", Follow::None),
        ];
        for (from, location, policy) in table {
            assert_eq!(to(from, 302, location, policy).unwrap_err().cause, Cause::Redirect, "{location}");
        }
        assert!(
            follow(&request(Method::GET, "http://a.test/1"), 302, &HeaderMap::new(), Follow::Any).is_err()
        );
    }

    #[test]
    fn nothing_the_user_gave_reaches_another_origin() {
        let next = to("https://u:p@a.test/1", 307, "https://evil:x@b.test/2", Follow::Any).unwrap();
        assert!(next.cross_origin && next.headers.is_empty());
        assert_eq!(next.url.as_str(), "https://b.test/2");
    }

    #[test]
    fn a_cross_origin_request_stays_cross_origin() {
        let other = Request { cross_origin: true, ..request(Method::GET, "https://b.test/1") };
        let next = hop(&other, 307, "https://b.test/2", Follow::Any).unwrap();
        assert!(next.cross_origin && next.headers.is_empty());
    }

    #[test]
    fn on_the_same_origin_the_user_info_the_headers_and_the_body_of_a_307_or_308_stay() {
        for status in [307, 308] {
            let from = with_body(Method::POST, "https://u:p@a.test/1");
            let next = hop(&from, status, "https://a.test/2", Follow::SameOrigin).unwrap();
            assert_eq!(next.url.as_str(), "https://u:p@a.test/2");
            assert_eq!((next.method, next.body.is_some(), next.headers.len()), (Method::POST, true, 1));
        }
        let next = to("https://a.test/1", 302, "?q=2#frag", Follow::SameOrigin).unwrap();
        assert_eq!(next.url.as_str(), "https://a.test/1?q=2");
    }

    #[test]
    fn without_a_body_a_303_is_a_get_and_301_and_302_change_a_post_alone() {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        for (method, after_301, after_303) in [
            (Method::GET, Method::GET, Method::GET),
            (Method::POST, Method::GET, Method::GET),
            (Method::HEAD, Method::HEAD, Method::HEAD),
            (Method::PUT, Method::PUT, Method::GET),
            (Method::DELETE, Method::DELETE, Method::GET),
            (purge.clone(), purge, Method::GET),
        ] {
            let next = |status| {
                let from = request(method.clone(), "https://a.test/1");
                hop(&from, status, "/2", Follow::SameOrigin).unwrap().method
            };
            assert_eq!((next(301), next(302), next(303)), (after_301.clone(), after_301, after_303));
            assert_eq!((next(307), next(308)), (method.clone(), method));
        }
    }

    #[test]
    fn a_redirect_that_loses_the_body_is_refused_and_names_the_address_without_its_secrets() {
        let lost = [
            (301, "https://a.test/2", Follow::SameOrigin),
            (302, "https://a.test/2", Follow::Any),
            (303, "https://a.test/2", Follow::SameOrigin),
            // Where another origin would refuse it too, the advice is the same.
            (301, "https://b.test/2", Follow::SameOrigin),
            (303, "https://b.test/2", Follow::Any),
            (307, "https://b.test/2", Follow::Any),
            (308, "https://b.test/2", Follow::SameOrigin),
        ];
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::GET] {
            for (status, location, policy) in lost {
                let from = with_body(method.clone(), "https://u:canary@a.test/1");
                let whole = location.replace("https://", "https://canary:canary@") + "?key=canary#canary";
                let fault = hop(&from, status, &whole, policy).unwrap_err();
                assert_eq!((fault.cause, fault.status), (Cause::Redirect, Some(status)));
                let advice = format!(
                    "it leads to {location} (query not shown): write that address in --url, with {{sku}} for the \
                     row's value"
                );
                assert!(fault.detail.contains(&advice), "{method} {status}: {fault}");
                let bare = hop(&from, status, location, policy).unwrap_err();
                assert!(bare.detail.contains(&format!("it leads to {location}: write")), "{bare}");
                let why = match (status, method.as_str()) {
                    (301 | 302, "POST") | (303, _) => "would go on as a GET without its body",
                    (301 | 302, _) => "does not say that the",
                    _ => "may not reach another origin",
                };
                assert!(fault.detail.contains(why), "{method} {status}: {fault}");
                assert!(
                    fault.detail.contains(method.as_str()) && !fault.detail.contains("canary"),
                    "{fault}"
                );
            }
        }
    }
}
