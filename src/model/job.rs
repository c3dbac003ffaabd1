//! One key and its request.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::model::Key;
use crate::model::request_url::{RequestUrl, redacted_url};

/// The number of a data row in the input, from 0. It decides the position of its entry in the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u32);

/// Identifies a request of a key: a keyed 128-bit hash of the key and of every column value in the request.
/// It contains no secret.
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

/// A request to the API. The transport adds the headers that are the same for every job.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The URL, encoded.
    pub url: RequestUrl,
    /// Headers that differ by row, and validators of a conditional request.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
    /// True once a redirect left the origin of the template: then nothing that the user gave
    /// (headers, user-info, body) may travel along.
    pub cross_origin: bool,
}

/// Shows no query, user-info, header or body: each may contain a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, redacted_url(&self.url))
    }
}

/// One key and one request, with the row that it was made from.
#[derive(Debug, Clone)]
pub struct Job {
    /// The number of the row in the input.
    pub seq: Seq,
    /// The physical line (from 1) where the row begins.
    pub line: u64,
    /// The key.
    pub key: Key,
    /// Identifies this request of this key across runs.
    pub fingerprint: Fingerprint,
    /// The request.
    pub request: Request,
    /// The row as in the input, for the failure file.
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
