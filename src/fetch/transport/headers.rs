//! The headers that all requests of a run share.

use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderValue};

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

/// The program's headers, replaced by the user's of the same name.
pub(super) fn same_origin_headers(users: &HeaderMap) -> HeaderMap {
    let mut headers = program_headers();
    for name in users.keys() {
        headers.remove(name);
    }
    for (name, value) in users {
        headers.append(name, value.clone());
    }
    headers
}
