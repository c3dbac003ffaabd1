//! `Set-Cookie` fields: one cookie each (RFC 6265, section 5.2).

use std::time::{Duration, SystemTime};

use url::{Host, Url};

use crate::model::units::digits;

/// The longest name and value together; browsers have the same bound.
const LONGEST: usize = 4096;

/// A cookie that an answer sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetCookie {
    pub(super) name: Box<[u8]>,
    pub(super) value: Box<[u8]>,
    pub(super) path: Box<str>,
    pub(super) is_secure: bool,
    pub(super) lifetime: Lifetime,
}

/// How long a cookie is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// To the end of the run.
    Run,
    /// From now on; zero takes it away.
    For(Duration),
    Until(SystemTime),
}

impl SetCookie {
    /// The cookie that an answer from this address sets. None where the field is no cookie, or one that this server may
    /// not set.
    pub(super) fn parse(field: &[u8], url: &Url) -> Option<Self> {
        let mut parts = field.split(|byte| *byte == b';');
        let (name, value) = split(parts.next()?)?;
        if name.is_empty() || name.len() + value.len() > LONGEST {
            return None;
        }
        let (mut path, mut is_secure, mut has_domain) = (None, false, false);
        let (mut max_age, mut expires) = (None, None);
        for part in parts {
            let (attribute, value) = split(part).unwrap_or((part.trim_ascii(), b""));
            let value = String::from_utf8_lossy(value);
            match attribute.to_ascii_lowercase().as_slice() {
                b"path" => path = Some(value.into_owned()),
                b"secure" => is_secure = true,
                b"max-age" => max_age = seconds(&value).or(max_age),
                b"expires" => expires = date(&value).or(expires),
                b"domain" if !value.is_empty() => {
                    has_domain = true;
                    if !is_in_domain(&url.host()?, &value) {
                        return None;
                    }
                }
                _ => {}
            }
        }
        let has_default_path = !path.as_ref().is_some_and(|path| path.starts_with('/'));
        let path = path.filter(|path| path.starts_with('/')).unwrap_or_else(|| default_path(url));
        let is_https = url.scheme() == "https";
        if is_secure && !is_https {
            return None;
        }
        let begins =
            |prefix: &[u8]| name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
        let is_refused = begins(b"__Secure-") && !is_secure
            || begins(b"__Host-") && (!is_secure || has_domain || has_default_path || path != "/");
        if is_refused {
            return None;
        }
        let lifetime = match (max_age, expires) {
            (Some(time), _) => Lifetime::For(time),
            (None, Some(instant)) => Lifetime::Until(instant),
            (None, None) => Lifetime::Run,
        };
        Some(Self { name: name.into(), value: value.into(), path: path.into(), is_secure, lifetime })
    }
}

/// What is before and after the first `=`.
fn split(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = part.iter().position(|byte| *byte == b'=')?;
    Some((part[..at].trim_ascii(), part[at + 1..].trim_ascii()))
}

/// `Max-Age`: a number below one is none. One that is too long counts as long.
fn seconds(text: &str) -> Option<Duration> {
    if let Some(negative) = text.strip_prefix('-') {
        return negative.bytes().all(|byte| byte.is_ascii_digit()).then_some(Duration::ZERO);
    }
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(digits(text).unwrap_or(u64::MAX)))
}

/// Whether a host is this domain or below it. An address has no domains.
fn is_in_domain(host: &Host<&str>, domain: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let Host::Domain(name) = host else { return host.to_string() == domain };
    let below = name.strip_suffix(&*domain).map(|rest| rest.is_empty() || rest.ends_with('.'));
    !domain.is_empty() && below == Some(true)
}

/// The folder of the address.
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

/// A date in any of the forms that servers write (RFC 6265, section 5.1.1): the parts of it may stand in any order.
fn date(text: &str) -> Option<SystemTime> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let is_delimiter = |c: char| !(c.is_ascii_alphanumeric() || c == ':');
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        if time.is_none() && token.contains(':') {
            time = Some(time_of_day(token)?);
        } else if day.is_none() && token.len() <= 2 && token.bytes().all(|byte| byte.is_ascii_digit()) {
            day = Some(digits(token)?);
        } else if month.is_none()
            && let Some(place) = MONTHS.iter().position(|name| has_prefix(token, name))
        {
            month = Some(place + 1);
        } else if year.is_none() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            year = Some(match (token.len(), digits(token)?) {
                (2, year @ 70..) => 1900 + year,
                (2, year) => 2000 + year,
                (4, year) => year,
                _ => return None,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    if year < 1970 {
        return Some(SystemTime::UNIX_EPOCH);
    }
    humantime::parse_rfc3339(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
        .ok()
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn has_prefix(token: &str, name: &str) -> bool {
    token.get(..name.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(name))
}

fn time_of_day(token: &str) -> Option<(u64, u64, u64)> {
    let mut parts = token.split(':').map(|part| digits(part).filter(|_| part.len() <= 2));
    let time = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(field: &str) -> Option<SetCookie> {
        SetCookie::parse(field.as_bytes(), &"https://api.a.test/v1/p".parse().unwrap())
    }

    fn pair(field: &str) -> Option<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        parse(field).map(|cookie| (text(&cookie.name), text(&cookie.value)))
    }

    #[test]
    fn a_name_and_a_value() {
        for (field, name, value) in [
            ("a=1", "a", "1"),
            (" a = 1 2 ; Path=/", "a", "1 2"),
            ("a=b=c==", "a", "b=c=="),
            ("a=\"x y\"", "a", "\"x y\""),
            ("a=", "a", ""),
            ("a=1;;; ;Foo;Domain=;Path", "a", "1"),
        ] {
            assert_eq!(pair(field), Some((name.into(), value.into())), "{field}");
        }
        for field in ["", ";", "=1", "a", "; a=1", &format!("a={}", "x".repeat(5_000))] {
            assert_eq!(parse(field), None, "{field}");
        }
    }

    #[test]
    fn a_server_sets_cookies_for_its_own_domains() {
        for domain in ["api.a.test", ".API.a.test", "a.test", "test"] {
            assert!(parse(&format!("a=1; Domain={domain}")).is_some(), "{domain}");
        }
        for domain in ["b.test", "x.api.a.test", "i.a.test", "pi.a.test", ".", "a.test.b"] {
            assert!(parse(&format!("a=1; Domain={domain}")).is_none(), "{domain}");
        }
        let address = "https://127.0.0.1/".parse().unwrap();
        assert!(SetCookie::parse(b"a=1; Domain=0.0.1", &address).is_none());
        assert!(SetCookie::parse(b"a=1; Domain=127.0.0.1", &address).is_some());
    }

    #[test]
    fn the_prefixes_of_names_bind() {
        for (field, is_kept) in [
            ("__Secure-a=1", false),
            ("__Secure-a=1; Secure", true),
            ("__Host-a=1; Secure; Path=/", true),
            ("__host-a=1; Secure", false),
            ("__Host-a=1; Secure; Path=/; Domain=a.test", false),
            ("__Host-a=1; Secure; Path=/v1", false),
        ] {
            assert_eq!(parse(field).is_some(), is_kept, "{field}");
        }
    }

    #[test]
    fn a_lifetime_in_every_form() {
        let until = |seconds| Lifetime::Until(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (attributes, expected) in [
            ("", Lifetime::Run),
            ("Max-Age=60", Lifetime::For(Duration::from_mins(1))),
            ("Max-Age=-1; Expires=Sun, 06 Nov 1994 08:49:37 GMT", Lifetime::For(Duration::ZERO)),
            ("Max-Age=soon; Max-Age=1h", Lifetime::Run),
            ("Max-Age=99999999999999999999", Lifetime::For(Duration::from_secs(u64::MAX))),
            ("Expires=Sun, 06 Nov 1994 08:49:37 GMT", until(784_111_777)),
            ("Expires=Sunday, 06-Nov-94 08:49:37 GMT", until(784_111_777)),
            ("Expires=Sun, 06-Nov-1994 08:49:37 UTC", until(784_111_777)),
            ("Expires=Sun Nov  6 08:49:37 1994", until(784_111_777)),
            ("Expires=6 November 1994 8:49:37", until(784_111_777)),
            ("Expires=Wed, 31 Dec 1969 23:59:59 GMT", until(0)),
            ("Expires=1994", Lifetime::Run),
            ("Expires=Sun, 36 Nov 1994 08:49:37 GMT", Lifetime::Run),
            ("Expires=Sun, 06 Nov 1994 28:49:37 GMT", Lifetime::Run),
            ("Expires=never", Lifetime::Run),
        ] {
            assert_eq!(parse(&format!("a=1; {attributes}")).unwrap().lifetime, expected, "{attributes}");
        }
    }

    proptest! {
        #[test]
        fn no_field_makes_it_panic(
            field in prop::collection::vec(any::<u8>(), 0..80),
            dense in "a=[a-z0-9:;, =-]{0,30}(; Expires=[A-Za-z0-9:, -]{0,40})?(; Max-Age=[-0-9é]{0,25})?",
        ) {
            let url = "https://api.a.test/v1/p".parse().unwrap();
            let _ = SetCookie::parse(&field, &url);
            let _ = SetCookie::parse(dense.as_bytes(), &url);
        }
    }
}
