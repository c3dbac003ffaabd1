//! Where a redirect may lead, and what may travel along: a pure step.

use std::fmt;
use std::str::FromStr;

use http::header::LOCATION;
use http::{HeaderMap, Method};
use url::Url;

use crate::model::{Cause, Fault, Request};

/// Most redirects that one job follows.
pub const MAX_REDIRECTS: u32 = 5;

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

/// Whether a status asks to look elsewhere.
#[must_use]
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The request that a redirect asks for.
///
/// # Errors
/// A redirect that may not be followed; it is final.
pub fn follow(request: &Request, status: u16, headers: &HeaderMap, policy: Follow) -> Result<Request, Fault> {
    let refuse = |why: &str| {
        Fault::new(Cause::Redirect, format!("HTTP {status}: redirect refused: {why}")).with_status(status)
    };
    if policy == Follow::None {
        return Err(refuse("--follow is none"));
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
    if !same_origin && policy == Follow::SameOrigin {
        return Err(refuse("it leads to another origin (--follow any would go there)"));
    }
    let foreign = request.foreign || !same_origin;
    carry_user_info(request, &mut url, foreign);
    let to_get = matches!(status, 301..=303) && request.method != Method::HEAD;
    Ok(Request {
        method: if to_get { Method::GET } else { request.method.clone() },
        url,
        headers: if foreign { HeaderMap::new() } else { request.headers.clone() },
        body: if to_get || foreign { None } else { request.body.clone() },
        foreign,
    })
}

/// The template's user-info stays at its origin; what a server writes there is never used.
fn carry_user_info(request: &Request, url: &mut Url, foreign: bool) {
    let (name, password) =
        if foreign { ("", None) } else { (request.url.username(), request.url.password()) };
    // Both fail only for URLs without a host, which were refused above.
    let _ = url.set_username(name);
    let _ = url.set_password(password);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("x-row", "1".parse().unwrap());
        Request {
            method: Method::POST,
            url: url.parse().unwrap(),
            headers,
            body: Some("{}".into()),
            foreign: false,
        }
    }

    fn to(from: &str, status: u16, location: &str, policy: Follow) -> Result<Request, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        follow(&request(from), status, &headers, policy)
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
        assert!(follow(&request("http://a.test/1"), 302, &HeaderMap::new(), Follow::Any).is_err());
    }

    #[test]
    fn nothing_the_user_gave_reaches_another_origin() {
        let next = to("https://u:p@a.test/1", 307, "https://evil:x@b.test/2", Follow::Any).unwrap();
        assert!(next.foreign && next.headers.is_empty() && next.body.is_none());
        assert_eq!(next.url.as_str(), "https://b.test/2");
    }

    #[test]
    fn once_abroad_stays_abroad() {
        let mut abroad = request("https://b.test/1");
        abroad.foreign = true;
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, "https://b.test/2".parse().unwrap());
        let next = follow(&abroad, 307, &headers, Follow::Any).unwrap();
        assert!(next.foreign && next.headers.is_empty());
    }

    #[test]
    fn at_home_the_user_info_and_headers_stay_and_301_to_303_become_get() {
        let next = to("https://u:p@a.test/1", 308, "https://a.test/2", Follow::SameOrigin).unwrap();
        assert_eq!(next.url.as_str(), "https://u:p@a.test/2");
        assert_eq!((next.method, next.body.is_some(), next.headers.len()), (Method::POST, true, 1));
        for status in [301, 302, 303] {
            let next = to("https://a.test/1", status, "?q=2#frag", Follow::SameOrigin).unwrap();
            assert_eq!((next.method, next.body), (Method::GET, None));
            assert_eq!(next.url.as_str(), "https://a.test/1?q=2");
        }
    }
}
