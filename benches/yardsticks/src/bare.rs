//! The yardstick: the least that a reqwest program can do with a list of URLs.
//!
//! `bare [--ca FILE] [--gzip] URL_PREFIX SKUS CONCURRENCY` asks for `URL_PREFIX` + each line of the file
//! SKUS with one client on a current-thread runtime, reads every body to its end, decodes it where asked,
//! and throws it away. No check, no retry, no timeout, nothing is written.

use std::io::Read;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

const USAGE: &str = "usage: bare [--ca FILE] [--gzip] URL_PREFIX SKUS CONCURRENCY";

fn main() {
    let asked = Asked::read();
    let list = std::fs::read_to_string(&asked.list).expect("SKUS can be read");
    let client = asked.client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (asked, client) = (&asked, &client);
    let bytes = runtime.block_on(async {
        let fetch = |sku: &str| {
            let request = client.get(format!("{}{sku}", asked.prefix));
            async move {
                let answer = request.send().await.expect("an answer").error_for_status().expect("a 200");
                asked.length(&answer.bytes().await.expect("a body"))
            }
        };
        let mut skus = list.lines();
        let mut open: FuturesUnordered<_> = skus.by_ref().take(asked.concurrency).map(fetch).collect();
        let mut bytes = 0;
        while let Some(length) = open.next().await {
            bytes += length;
            open.extend(skus.next().map(fetch));
        }
        bytes
    });
    println!("{bytes} bytes");
}

struct Asked {
    authority: Option<String>,
    gzip: bool,
    prefix: String,
    list: String,
    concurrency: usize,
}

impl Asked {
    fn read() -> Self {
        let mut arguments = std::env::args().skip(1).peekable();
        let mut authority = None;
        let mut gzip = false;
        while let Some(option) = arguments.next_if(|argument| argument.starts_with("--")) {
            match option.as_str() {
                "--ca" => authority = Some(arguments.next().expect(USAGE)),
                "--gzip" => gzip = true,
                _ => panic!("{USAGE}"),
            }
        }
        let mut next = || arguments.next().expect(USAGE);
        let (prefix, list, concurrency) = (next(), next(), next());
        let concurrency = concurrency.parse().expect("CONCURRENCY is a number");
        Self { authority, gzip, prefix, list, concurrency }
    }

    fn client(&self) -> reqwest::Client {
        let mut builder = reqwest::Client::builder();
        if let Some(file) = &self.authority {
            let pem = std::fs::read(file).expect("the CA file can be read");
            let authority = reqwest::Certificate::from_pem(&pem).expect("a certificate");
            builder = builder.tls_certs_only([authority]);
        }
        if self.gzip {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
            builder = builder.default_headers(headers);
        }
        builder.build().expect("a client")
    }

    /// Bytes of the body, decoded. A whole body through flate2: less work than the streaming decoder that
    /// reqwest's own gzip feature brings.
    fn length(&self, body: &[u8]) -> usize {
        if !self.gzip {
            return body.len();
        }
        let mut decoded = Vec::with_capacity(body.len() * 4);
        flate2::bufread::MultiGzDecoder::new(body).read_to_end(&mut decoded).expect("gzip");
        decoded.len()
    }
}
