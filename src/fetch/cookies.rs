//! The cookies of a run (RFC 6265), for `--cookies`.
//!
//! A cookie is sent to the origin that set it, and to no other: scheme, host and port count, whatever its `Domain` says.
//! So no list of public suffixes is needed, and nothing that one server sets reaches another one.

mod set_cookie;

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use url::Url;

use set_cookie::{Lifetime, SetCookie};

use crate::model::{ArrivingSecret, Mask, Request};

/// The most cookies that are kept of one origin; RFC 6265 asks for 50. Of more the oldest go.
const MOST_OF_ORIGIN: usize = 180;
/// The most origins whose cookies are kept. Of more the one that set none for the longest time goes.
const MOST_ORIGINS: usize = 50;

/// Shorter values are numbers of shops and the like. Masking them would garble messages.
const SHORTEST_MASKED: usize = 7;

/// The cookies of a run, which all its requests share.
#[derive(Debug)]
pub(super) struct CookieJar {
    /// The user's own, for the origin of the template.
    users: Vec<HeaderValue>,
    origins: Mutex<Vec<OriginCookies>>,
}

#[derive(Debug)]
struct OriginCookies {
    origin: String,
    /// The oldest first.
    cookies: Vec<StoredCookie>,
}

/// Has no value in its `Debug`: it may be a secret.
struct StoredCookie {
    name: Box<[u8]>,
    value: Box<[u8]>,
    path: Box<str>,
    is_secure: bool,
    /// None: the end of the run.
    expires: Option<SystemTime>,
}

impl std::fmt::Debug for StoredCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredCookie({})", String::from_utf8_lossy(&self.name))
    }
}

impl CookieJar {
    /// An empty jar. `constant` has the headers that the user gave for each request.
    pub(super) fn new(constant: &HeaderMap) -> Self {
        Self { users: constant.get_all(COOKIE).iter().cloned().collect(), origins: Mutex::default() }
    }

    /// Keeps what an answer from this address sets. The values join the mask: a server may repeat one in a message.
    pub(super) fn keep(&self, url: &Url, headers: &HeaderMap, (now, mask): (SystemTime, &Mask)) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let origin = url.origin().ascii_serialization();
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_origin = match origins.iter().position(|known| known.origin == origin) {
            Some(place) => origins.remove(place),
            None => OriginCookies { origin, cookies: Vec::new() },
        };
        for field in headers.get_all(SET_COOKIE) {
            if let Some(set) = SetCookie::parse(field.as_bytes(), url) {
                if let Ok(value) = std::str::from_utf8(&set.value)
                    && value.len() >= SHORTEST_MASKED
                {
                    mask.add(ArrivingSecret::Cookie, &value.into());
                }
                of_origin.set(set, now);
            }
        }
        if origins.len() >= MOST_ORIGINS {
            origins.remove(0);
        }
        origins.push(of_origin);
    }

    /// The request with the cookies for its address; none where there are none.
    pub(super) fn with_cookies(&self, request: &Request, now: SystemTime) -> Option<Box<Request>> {
        let field = self.field(&request.url, (&request.headers, !request.cross_origin), now)?;
        let mut with = Box::new(request.clone());
        with.headers.insert(COOKIE, field);
        Some(with)
    }

    /// The `Cookie` field of a request to this address, with the user's own first; none where there is nothing to add to
    /// those. `headers` are the request's own, and `is_template`: it goes to the origin of the template, and carries what
    /// the user gave.
    fn field(
        &self,
        url: &Url,
        (headers, is_template): (&HeaderMap, bool),
        now: SystemTime,
    ) -> Option<HeaderValue> {
        let origin = url.origin().ascii_serialization();
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let of_origin = origins.iter().find(|known| known.origin == origin)?;
        // A row's header replaces a constant one of the same name.
        let of_row: Vec<&HeaderValue> = headers.get_all(COOKIE).iter().collect();
        let users = match (of_row.is_empty(), is_template) {
            (false, _) => of_row,
            (true, true) => self.users.iter().collect(),
            (true, false) => Vec::new(),
        };
        let taken: Vec<&[u8]> =
            users.iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';')).map(name).collect();
        let mut sent: Vec<&StoredCookie> = of_origin
            .cookies
            .iter()
            .filter(|cookie| cookie.is_for(url, now) && !taken.contains(&&*cookie.name))
            .collect();
        if sent.is_empty() {
            return None;
        }
        // Longer paths first; those of one length by age.
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut all: Vec<Vec<u8>> =
            users.iter().map(|field| field.as_bytes().trim_ascii().to_vec()).collect();
        all.extend(sent.iter().map(|cookie| [&cookie.name, &b"="[..], &cookie.value].concat()));
        let mut field = HeaderValue::from_bytes(&all.join(&b"; "[..])).ok()?;
        field.set_sensitive(true);
        Some(field)
    }
}

/// The name of one cookie of a field.
fn name(pair: &[u8]) -> &[u8] {
    let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
    pair[..end].trim_ascii()
}

impl OriginCookies {
    fn set(&mut self, set: SetCookie, now: SystemTime) {
        let SetCookie { name, value, path, is_secure, lifetime } = set;
        self.cookies.retain(|old| (&old.name, &old.path) != (&name, &path) && !old.is_over(now));
        let expires = match lifetime {
            Lifetime::Run => None,
            Lifetime::Until(instant) if instant <= now => return,
            Lifetime::Until(instant) => Some(instant),
            Lifetime::For(time) if time.is_zero() => return,
            // Too long to be told.
            Lifetime::For(time) => now.checked_add(time),
        };
        if self.cookies.len() >= MOST_OF_ORIGIN {
            self.cookies.remove(0);
        }
        self.cookies.push(StoredCookie { name, value, path, is_secure, expires });
    }
}

impl StoredCookie {
    fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it is sent to this address of its origin.
    fn is_for(&self, url: &Url, now: SystemTime) -> bool {
        !self.is_over(now)
            && (!self.is_secure || url.scheme() == "https")
            && is_within(url.path(), &self.path)
    }
}

/// Whether a path is the other one or below it (RFC 6265, section 5.1.4).
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || folder.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn jar(url: &str, fields: &[&str]) -> CookieJar {
        let jar = CookieJar::new(&HeaderMap::new());
        set(&jar, url, fields);
        jar
    }

    fn set(jar: &CookieJar, url: &str, fields: &[&str]) {
        let headers = fields.iter().map(|field| (SET_COOKIE, field.parse().unwrap())).collect();
        jar.keep(&url.parse().unwrap(), &headers, (NOW, &Mask::default()));
    }

    fn sent(jar: &CookieJar, url: &str) -> String {
        sent_at(jar, url, NOW)
    }

    fn sent_at(jar: &CookieJar, url: &str, now: SystemTime) -> String {
        let field = jar.field(&url.parse().unwrap(), (&HeaderMap::new(), true), now);
        field.map_or_else(String::new, |field| field.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_goes_back_to_the_origin_that_set_it_and_to_no_other() {
        let jar = jar("https://api.test/v1/p", &["sid=1; Domain=api.test; Path=/"]);
        assert_eq!(sent(&jar, "https://api.test/other"), "sid=1");
        for other in [
            "http://api.test/v1/p",
            "https://api.test:444/v1/p",
            "https://www.api.test/v1/p",
            "https://test/v1/p",
            "https://api.test.evil.test/v1/p",
        ] {
            assert_eq!(sent(&jar, other), "", "{other}");
        }
    }

    #[test]
    fn a_path_bounds_where_a_cookie_is_sent() {
        let jar = jar(
            "https://a.test/v1/p?x=/y",
            &["own=1", "deep=2; Path=/v1/p/", "all=3; Path=/", "odd=4; Path=x"],
        );
        assert_eq!(sent(&jar, "https://a.test/v1/p"), "own=1; odd=4; all=3");
        assert_eq!(sent(&jar, "https://a.test/v1/p/7"), "deep=2; own=1; odd=4; all=3");
        assert_eq!(sent(&jar, "https://a.test/v10"), "all=3");
    }

    #[test]
    fn a_secure_cookie_is_not_sent_without_tls_and_one_that_is_over_not_at_all() {
        assert_eq!(sent(&jar("http://a.test/", &["a=1; Secure"]), "http://a.test/"), "");
        assert_eq!(sent(&jar("https://a.test/", &["a=1; secure; HttpOnly"]), "https://a.test/"), "a=1");
        let jar =
            jar("https://a.test/", &["a=1; Max-Age=60", "b=2; Expires=Thu, 01 Jan 1970 00:02:00 GMT", "c=3"]);
        let at = |seconds| sent_at(&jar, "https://a.test/", NOW + Duration::from_secs(seconds));
        assert_eq!(
            (at(59).as_str(), at(60).as_str(), at(120).as_str()),
            ("a=1; b=2; c=3", "b=2; c=3", "c=3")
        );
        set(&jar, "https://a.test/", &["c=; Max-Age=0", "b=; Expires=Thu, 01-Jan-1970 00:00:00 GMT"]);
        assert_eq!(at(0), "a=1");
        set(&jar, "https://a.test/", &["a=9; Max-Age=99999999999999999999"]);
        assert_eq!(at(1_000_000_000), "a=9");
    }

    #[test]
    fn the_newest_value_of_a_name_counts_at_each_path() {
        let jar = jar("https://a.test/p/1", &["a=1", "a=2; Path=/", "a=3"]);
        assert_eq!(sent(&jar, "https://a.test/p/2"), "a=3; a=2");
    }

    #[test]
    fn the_users_own_stay_and_win_and_all_are_one_field() {
        let constant = [(COOKIE, "sid=user; theme=dark".parse().unwrap())].into_iter().collect();
        let jar = CookieJar::new(&constant);
        assert_eq!(sent(&jar, "https://a.test/"), "", "the transport sends it");
        set(&jar, "https://a.test/", &["sid=server", "cart=7"]);
        assert_eq!(sent(&jar, "https://a.test/"), "sid=user; theme=dark; cart=7");
        let of_row: HeaderMap = [(COOKIE, "row=1".parse().unwrap())].into_iter().collect();
        let url = "https://a.test/".parse().unwrap();
        assert_eq!(jar.field(&url, (&of_row, true), NOW).unwrap(), "row=1; sid=server; cart=7");
        // At another origin nothing of the user is sent.
        assert_eq!(jar.field(&url, (&HeaderMap::new(), false), NOW).unwrap(), "sid=server; cart=7");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let jar = jar("https://a.test/", &[]);
        for n in 0..1_000 {
            set(&jar, "https://a.test/", &[&format!("c{n}=1")]);
            set(&jar, &format!("https://{n}.test/"), &["a=1"]);
        }
        assert_eq!(sent(&jar, "https://a.test/").split("; ").count(), MOST_OF_ORIGIN);
        assert!(sent(&jar, "https://a.test/").ends_with("c999=1"));
        assert_eq!(jar.origins.lock().unwrap().len(), MOST_ORIGINS);
    }
}
