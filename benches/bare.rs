//! The yardstick: the least that a reqwest program can do with a list of URLs.
//!
//! `bare URL_PREFIX SKUS CONCURRENCY` asks for `URL_PREFIX` + each line of the file SKUS with one
//! client on a current-thread runtime, reads every body to its end, and throws it away.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("usage: bare URL_PREFIX SKUS CONCURRENCY");
    let (prefix, list, concurrency) = (next(), next(), next());
    let concurrency: usize = concurrency.parse().expect("CONCURRENCY is a number");
    let list = std::fs::read_to_string(list).expect("SKUS can be read");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bytes = runtime.block_on(async {
        let client = reqwest::Client::builder().build().expect("a client");
        let fetch = |sku: &str| {
            let request = client.get(format!("{prefix}{sku}"));
            async move { request.send().await.expect("an answer").bytes().await.expect("a body").len() }
        };
        let mut skus = list.lines();
        let mut open: FuturesUnordered<_> = skus.by_ref().take(concurrency).map(fetch).collect();
        let mut bytes = 0;
        while let Some(length) = open.next().await {
            bytes += length;
            open.extend(skus.next().map(fetch));
        }
        bytes
    });
    println!("{bytes} bytes");
}
