//! One key and the one request that asks for it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use crate::model::Key;

/// A data row's place in the input, counted from 0; it decides where its entry stands in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u32);

/// Stands for "the same request of the same key": a keyed 128-bit hash of the key and of every
/// column value that the request uses. No secret goes into it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What leaves for the API. The headers that are the same for every job are the transport's.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The address, already encoded.
    pub url: Url,
    /// Headers whose value depends on the row, and validators of a conditional request.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
    /// True once a redirect left the origin of the template: then nothing that the user gave
    /// (headers, user-info, body) may travel along.
    pub cross_origin: bool,
}

/// Shows no query, no user-info, no header and no body: each may hold a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, redacted_url(&self.url))
    }
}

/// A URL as it may be shown to people: without its query, fragment and user-info.
#[must_use]
pub fn redacted_url(url: &Url) -> String {
    let mut clean = url.clone();
    clean.set_query(None);
    clean.set_fragment(None);
    // Both fail only for URLs without a host, which carry no user-info either.
    let _ = clean.set_username("");
    let _ = clean.set_password(None);
    clean.into()
}

/// One key and one request, with the row it came from.
#[derive(Debug, Clone)]
pub struct Job {
    /// The row's place in the input.
    pub seq: Seq,
    /// The physical line (from 1) where the row begins.
    pub line: u64,
    /// The key.
    pub key: Key,
    /// Identifies this request of this key across runs.
    pub fingerprint: Fingerprint,
    /// What to ask.
    pub request: Request,
    /// The row as it stood in the input, for the failure file.
    pub record: csv::ByteRecord,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_neither_query_nor_user_info_nor_header() {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", "canary".parse().unwrap());
        let request = Request {
            method: Method::GET,
            url: "https://canary:canary@api.example.com/p/1?token=canary#canary".parse().unwrap(),
            headers,
            body: Some("canary".into()),
            cross_origin: false,
        };
        assert_eq!(format!("{request:?}"), "GET https://api.example.com/p/1");
    }
}
