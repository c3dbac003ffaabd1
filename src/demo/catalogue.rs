//! A catalogue API: `GET /products/{sku}`, `GET /products?sku={sku},{sku}` and `GET /stats`.
//!
//! Latency, rate limit, failures and missing products are set by [`DemoSettings`]. A failure depends on the request,
//! not on the SKU alone, so that a retry can succeed. A missing product is missing from every answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_TYPE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER,
};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;

use crate::demo::limiter::Limiter;
use crate::demo::product::{Product, hash, mix};
use crate::demo::server::{Server, ServerRequest, ServerResponse};
use crate::demo::settings::DemoSettings;

/// Requests and answers so far, without `/stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DemoCounts {
    /// Requests that arrived.
    pub requests: u64,
    /// Answered 200.
    pub ok: u64,
    /// Answered 304.
    pub not_modified: u64,
    /// Answered 404.
    pub not_found: u64,
    /// Answered 400 or 405.
    pub refused: u64,
    /// Answered 429.
    pub limited: u64,
    /// Answered 500, 502 or 503.
    pub unavailable: u64,
}

/// The running API; it ends when dropped.
#[derive(Debug)]
pub struct Catalogue {
    server: Server,
    shop: Arc<Shop>,
}

impl Catalogue {
    /// Starts the API on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No port, no descriptor or no thread is available.
    pub fn start(settings: &DemoSettings) -> io::Result<Self> {
        let shop = Arc::new(Shop {
            latency: settings.latency,
            failures: settings.failures,
            missing: settings.missing,
            limiter: settings.rate.map(Limiter::new),
            tally: DemoCounters::default(),
        });
        let serving = Arc::clone(&shop);
        let server = Server::start(move |request| {
            let shop = Arc::clone(&serving);
            async move { shop.answer(&request).await }
        })?;
        Ok(Self { server, shop })
    }

    /// `http://127.0.0.1:PORT/products/{sku}`.
    pub fn url_template(&self) -> String {
        format!("{}/products/{{sku}}", self.server.url())
    }

    /// `http://127.0.0.1:PORT/products?sku={items}`: a list of products, without those that are missing.
    pub(crate) fn pack_template(&self) -> String {
        format!("{}/products?sku={{items}}", self.server.url())
    }

    /// Requests and answers so far.
    pub fn counts(&self) -> DemoCounts {
        self.shop.tally.read()
    }
}

#[derive(Debug)]
struct Shop {
    latency: Duration,
    failures: f64,
    missing: f64,
    limiter: Option<Limiter>,
    tally: DemoCounters,
}

impl Shop {
    async fn answer(&self, request: &ServerRequest) -> ServerResponse {
        if request.uri().path() == "/stats" {
            return json(StatusCode::OK, self.tally.read().to_json());
        }
        let number = self.tally.requests.fetch_add(1, Ordering::Relaxed);
        let refused = self.limiter.as_ref().and_then(|limiter| limiter.refuse(Instant::now()));
        let response = if let Some(wait) = refused {
            limited(wait)
        } else {
            if !self.latency.is_zero() {
                tokio::time::sleep(self.latency).await;
            }
            self.serve(request, number)
        };
        self.tally.note(response.status());
        response
    }

    fn serve(&self, request: &ServerRequest, number: u64) -> ServerResponse {
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered", path);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if let ("/products", Some(skus)) =
            (path, request.uri().query().and_then(|it| it.strip_prefix("sku=")))
        {
            return self.serve_pack(skus, number);
        }
        let Some(segment) = path.strip_prefix("/products/").filter(|rest| !rest.contains('/')) else {
            return problem(
                StatusCode::NOT_FOUND,
                "there is only /products/{sku}, /products?sku={sku},{sku} and /stats",
                path,
            );
        };
        let Some(sku) = decode(segment) else {
            return problem(StatusCode::BAD_REQUEST, "not a percent-encoded UTF-8 text", segment);
        };
        if let Some(status) = self.failure(&sku, number) {
            return problem(status, "please try again", &sku);
        }
        if self.is_missing(&sku) {
            return problem(StatusCode::NOT_FOUND, "no such product", &sku);
        }
        show(Product::of(&sku), request.headers())
    }

    /// The products of a list of SKUs, without those that are missing.
    fn serve_pack(&self, skus: &str, number: u64) -> ServerResponse {
        if let Some(status) = self.failure(skus, number) {
            return problem(status, "please try again", skus);
        }
        let mut body = b"[".to_vec();
        for sku in skus.split(',') {
            let Some(sku) = decode(sku) else {
                return problem(StatusCode::BAD_REQUEST, "not a percent-encoded UTF-8 text", sku);
            };
            if !self.is_missing(&sku) {
                body.extend((body.len() > 1).then_some(b','));
                body.extend(Product::of(&sku).body());
            }
        }
        body.push(b']');
        json(StatusCode::OK, body)
    }

    fn is_missing(&self, sku: &str) -> bool {
        sku.is_empty() || is_drawn(mix(hash(sku)), self.missing)
    }

    /// Depends on the number of the request and on its SKU: a retry of a SKU may have another result.
    fn failure(&self, sku: &str, number: u64) -> Option<StatusCode> {
        let drawn = mix(hash(sku) ^ mix(number + 1));
        is_drawn(drawn, self.failures).then_some(match drawn % 3 {
            0 => StatusCode::INTERNAL_SERVER_ERROR,
            1 => StatusCode::BAD_GATEWAY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        })
    }
}

/// Whether this uniform number is among the share, 0 to 1, of all numbers.
fn is_drawn(number: u64, share: f64) -> bool {
    // The upper 53 bits are as many as an f64 holds: uniform from 0 to 1, without the 1.
    ((number >> 11) as f64) < share * (1_u64 << 53) as f64
}

fn show(product: Product<'_>, asked: &HeaderMap) -> ServerResponse {
    let etag = product.etag();
    let last_modified = httpdate::fmt_http_date(product.updated_at());
    let mut response = if is_unchanged(product, &etag, asked) {
        let mut response = ServerResponse::default();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json(StatusCode::OK, product.body())
    };
    let headers = response.headers_mut();
    for (name, value) in [(ETAG, etag), (LAST_MODIFIED, last_modified)] {
        headers.insert(name, HeaderValue::try_from(value).expect("hexadecimal digits and a date"));
    }
    response
}

/// RFC 9110, 13.2.2: the date is ignored if there is an `If-None-Match`.
fn is_unchanged(product: Product<'_>, etag: &str, asked: &HeaderMap) -> bool {
    let mut tags = asked.get_all(IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        return tags.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
        });
    }
    asked
        .get(IF_MODIFIED_SINCE)
        .and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok())
        .is_some_and(|since| product.updated_at() <= since)
}

fn json(status: StatusCode, body: Vec<u8>) -> ServerResponse {
    let mut response = ServerResponse::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn problem(status: StatusCode, error: &str, about: &str) -> ServerResponse {
    let body = serde_json::json!({ "error": error, "about": about, "status": status.as_u16() });
    json(status, body.to_string().into_bytes())
}

fn limited(wait: Duration) -> ServerResponse {
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "over the rate", "");
    // Whole seconds, rounded up, and never 0, which would ignore the limit.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// Decodes a percent-encoded path segment; `None` if it is invalid.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut nibble = || char::from(rest.next()?).to_digit(16);
                u8::try_from(nibble()? * 16 + nibble()?).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The counters behind [`DemoCounts`].
#[derive(Debug, Default)]
struct DemoCounters {
    requests: AtomicU64,
    ok: AtomicU64,
    not_modified: AtomicU64,
    not_found: AtomicU64,
    refused: AtomicU64,
    limited: AtomicU64,
    unavailable: AtomicU64,
}

impl DemoCounters {
    fn note(&self, status: StatusCode) {
        let count = match status.as_u16() {
            200 => &self.ok,
            304 => &self.not_modified,
            404 => &self.not_found,
            429 => &self.limited,
            500..=599 => &self.unavailable,
            _ => &self.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> DemoCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DemoCounts {
            requests: of(&self.requests),
            ok: of(&self.ok),
            not_modified: of(&self.not_modified),
            not_found: of(&self.not_found),
            refused: of(&self.refused),
            limited: of(&self.limited),
            unavailable: of(&self.unavailable),
        }
    }
}

impl DemoCounts {
    fn to_json(self) -> Vec<u8> {
        serde_json::json!({
            "requests": self.requests,
            "ok": self.ok,
            "not_modified": self.not_modified,
            "not_found": self.not_found,
            "refused": self.refused,
            "limited": self.limited,
            "unavailable": self.unavailable,
        })
        .to_string()
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use proptest::prelude::*;

    use super::*;

    const WELL: DemoSettings =
        DemoSettings { latency: Duration::ZERO, failures: 0.0, missing: 0.0, rate: None };

    const HELD: &str = "0004711";

    fn open(settings: DemoSettings) -> Catalogue {
        Catalogue::start(&settings).unwrap()
    }

    /// Sends one request, with further head lines, and gives the head and the body of the answer.
    fn get(shop: &Catalogue, line: &str, more: &str) -> (String, String) {
        let mut stream = TcpStream::connect(shop.server.addr()).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn status(shop: &Catalogue, line: &str) -> String {
        get(shop, line, "").0["HTTP/1.1 ".len()..][..3].to_owned()
    }

    fn field<'a>(head: &'a str, name: &str) -> &'a str {
        let line = head.lines().find(|line| line.starts_with(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).split_once(": ").unwrap().1
    }

    #[test]
    fn a_product_is_answered_under_its_decoded_sku() {
        let shop = open(WELL);
        assert_eq!(shop.url_template(), format!("http://{}/products/{{sku}}", shop.server.addr()));
        let (head, body) = get(&shop, "GET /products/27%22%2FA%20%C3%A9%2B%25", "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(field(&head, "content-type"), "application/json");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["sku"], "27\"/A é+%");
    }

    #[test]
    fn an_unchanged_product_is_not_sent_again() {
        let shop = open(WELL);
        let (head, _) = get(&shop, &format!("GET /products/{HELD}"), "");
        let (etag, date) = (field(&head, "etag").to_owned(), field(&head, "last-modified").to_owned());
        for (asked, status) in [
            (format!("if-none-match: {etag}\r\n"), 304),
            (format!("if-none-match: \"x\", W/{etag}\r\n"), 304),
            ("if-none-match: *\r\n".to_owned(), 304),
            (format!("if-modified-since: {date}\r\n"), 304),
            ("if-modified-since: Thu, 01 Jan 1970 00:00:00 GMT\r\n".to_owned(), 200),
            (format!("if-none-match: \"x\"\r\nif-modified-since: {date}\r\n"), 200),
            ("if-modified-since: yesterday\r\n".to_owned(), 200),
        ] {
            let (head, body) = get(&shop, &format!("GET /products/{HELD}"), &asked);
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{asked}{head}");
            assert_eq!(body.is_empty(), status == 304, "{asked}{body}");
            assert_eq!(field(&head, "etag"), etag);
        }
        assert_eq!(
            shop.counts(),
            DemoCounts { requests: 8, ok: 4, not_modified: 4, ..DemoCounts::default() }
        );
    }

    #[test]
    fn what_is_no_product_is_refused_with_a_json_error() {
        let shop = open(WELL);
        for (line, expected) in [
            ("GET /products/", "404"),
            ("GET /products/a/b", "404"),
            ("GET /", "404"),
            ("GET /products/%f", "400"),
            ("GET /products/%+1", "400"),
            ("GET /products/%FF", "400"),
            ("DELETE /products/1", "405"),
        ] {
            let (head, body) = get(&shop, line, "");
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{line}: {head}");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["status"].to_string(), expected);
        }
        assert_eq!(
            shop.counts(),
            DemoCounts { requests: 7, not_found: 3, refused: 4, ..DemoCounts::default() }
        );
    }

    #[test]
    fn a_failure_is_drawn_by_the_request_so_that_a_retry_can_succeed() {
        let shop = open(DemoSettings { failures: 0.5, ..WELL });
        let answers: Vec<_> = (0..64).map(|_| status(&shop, &format!("GET /products/{HELD}"))).collect();
        let kinds: HashSet<_> = answers.iter().map(String::as_str).collect();
        assert_eq!(kinds, ["200", "500", "502", "503"].into());
        let again = open(DemoSettings { failures: 0.5, ..WELL });
        let repeated: Vec<_> = (0..64).map(|_| status(&again, &format!("GET /products/{HELD}"))).collect();
        assert_eq!(answers, repeated, "the same requests in the same order fail alike");
        let counts = shop.counts();
        assert_eq!(counts.ok + counts.unavailable, 64);
        let down = open(DemoSettings { failures: 1.0, ..WELL });
        assert!((0..20).all(|_| status(&down, &format!("GET /products/{HELD}")).starts_with('5')));
    }

    #[test]
    fn the_missing_products_are_a_share_of_all_and_the_same_in_every_run() {
        let missing = |share| {
            let shop = open(DemoSettings { missing: share, ..WELL });
            (0..100)
                .filter(|sku| status(&shop, &format!("GET /products/{sku}")) == "404")
                .collect::<Vec<u32>>()
        };
        assert_eq!((missing(0.0).len(), missing(1.0).len()), (0, 100));
        let some = missing(0.2);
        assert!((10..=30).contains(&some.len()), "{some:?}");
        assert_eq!(missing(0.2), some);
    }

    #[test]
    fn over_the_rate_is_refused_with_a_wait() {
        let shop = open(DemoSettings { rate: Some("2/h".parse().unwrap()), ..WELL });
        for _ in 0..5 {
            assert_eq!(status(&shop, &format!("GET /products/{HELD}")), "200");
        }
        let (head, _) = get(&shop, &format!("GET /products/{HELD}"), "");
        assert!(head.starts_with("HTTP/1.1 429"), "{head}");
        assert!((1..=1800).contains(&field(&head, "retry-after").parse::<u64>().unwrap()), "{head}");
        assert_eq!(shop.counts(), DemoCounts { requests: 6, ok: 5, limited: 1, ..DemoCounts::default() });
    }

    #[test]
    fn the_statistics_are_served_and_do_not_count_themselves() {
        let shop = open(WELL);
        status(&shop, &format!("GET /products/{HELD}"));
        let (_, body) = get(&shop, "GET /stats", "");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["requests"], &body["ok"]), (&1.into(), &1.into()));
        assert_eq!(shop.counts().requests, 1);
    }

    #[test]
    fn the_fixture_is_a_clean_catalogue_of_6000_rows_of_products_that_the_api_has() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/products.csv");
        let mut rows = csv::Reader::from_path(file).unwrap();
        assert_eq!(
            rows.headers().unwrap(),
            ["sku", "name", "brand", "category", "price", "currency", "stock"].as_slice()
        );
        let (mut seen, mut repeats, mut renamed) = (std::collections::HashMap::new(), 0, 0);
        for row in rows.records() {
            let row = row.unwrap();
            let (sku, name) = (row[0].to_owned(), row[1].to_owned());
            assert!(!sku.is_empty() && sku.trim() == sku && sku.len() <= 256 && sku != "." && sku != "..");
            assert!(!sku.starts_with(['=', '+', '-', '@']) && !sku.chars().any(char::is_control));
            assert!(row[4].parse::<f64>().unwrap() > 0.0 && row[6].parse::<u32>().is_ok(), "{row:?}");
            if let Some(first) = seen.insert(sku.clone(), name.clone()) {
                repeats += 1;
                renamed += u32::from(first != name);
            } else {
                let product = Product::of(&sku);
                assert_eq!(
                    (&*product.name(), product.brand(), product.category()),
                    (&*name, &row[2], &row[3])
                );
            }
        }
        assert_eq!((seen.len(), repeats, renamed), (5994, 6, 1));
        let holding = |mark: char| seen.keys().filter(|sku| sku.contains(mark)).count();
        for mark in [' ', '/', '+', '&', '%', '#', '?', '"', ',', 'Ü', '茶', '☕'] {
            assert!((1..=30).contains(&holding(mark)), "{mark}: {}", holding(mark));
        }
        assert!(seen.keys().filter(|sku| sku.starts_with('0')).count() > 1000, "leading zeros");
        assert!(seen.contains_key("kb_us_104") && seen.contains_key("KB_US_104"), "case tells them apart");
    }

    proptest! {
        #[test]
        fn decoding_undoes_percent_encoding(text in "\\PC{0,20}") {
            let encoded = text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}"));
            prop_assert_eq!(decode(&encoded).unwrap(), text);
        }

        #[test]
        fn any_segment_is_decoded_or_refused(segment in "[%+0-9a-fA-Fé]{0,12}") {
            let _ = decode(&segment);
        }
    }
}
