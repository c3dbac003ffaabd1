//! The headers that all requests of a run share.

use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::TransportSettings;
use crate::fetch::classify::ACCEPTED_CODINGS;

/// The program's own headers. Requests to other origins carry no others.
pub(super) fn program_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let agent = concat!("skufetch/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED_CODINGS));
    headers
}

/// The program's headers, replaced by the user's of the same name. Headers with several values are left out:
/// reqwest's default headers hold one value a name. See [`repeated_headers`].
pub(super) fn same_origin_headers(settings: &TransportSettings) -> HeaderMap {
    let mut headers = program_headers();
    for name in settings.headers.keys() {
        headers.remove(name);
    }
    for name in settings.headers.keys() {
        let mut values = settings.headers.get_all(name).iter();
        if let (Some(value), None) = (values.next(), values.next()) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// The user's headers that have several values.
pub(super) fn repeated_headers(headers: &HeaderMap) -> HeaderMap {
    let is_repeated = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_some();
    let mut repeated = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| is_repeated(name)) {
        repeated.append(name, value.clone());
    }
    repeated
}
