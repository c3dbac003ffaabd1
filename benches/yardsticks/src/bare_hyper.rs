//! The lower yardstick: no pool, no redirects, no URL types; so many hyper connections, each of which asks
//! for the next SKU as soon as it has read an answer.
//!
//! `bare-hyper HOST:PORT PATH_PREFIX SKUS CONCURRENCY`, plain HTTP/1.1 on a current-thread runtime.

use std::cell::RefCell;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("usage: bare-hyper HOST:PORT PATH_PREFIX SKUS CONCURRENCY");
    let (host, prefix, list, concurrency) = (next(), next(), next(), next());
    let concurrency: usize = concurrency.parse().expect("CONCURRENCY is a number");
    let list = std::fs::read_to_string(list).expect("SKUS can be read");
    let skus = RefCell::new(list.lines());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bytes = runtime.block_on(async {
        let workers = (0..concurrency).map(|_| worker(&host, &prefix, &skus));
        join_all(workers).await.iter().sum::<usize>()
    });
    println!("{bytes} bytes");
}

async fn worker(host: &str, prefix: &str, skus: &RefCell<std::str::Lines<'_>>) -> usize {
    let stream = tokio::net::TcpStream::connect(host).await.expect("a connection");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    let ask = async move {
        let mut bytes = 0;
        loop {
            let Some(sku) = skus.borrow_mut().next() else { break bytes };
            let request = Request::get(format!("{prefix}{sku}")).header(HOST, host);
            let request = request.body(Empty::<Bytes>::new()).expect("a request");
            let answer = sender.send_request(request).await.expect("an answer");
            assert!(answer.status().is_success(), "{}", answer.status());
            bytes += answer.into_body().collect().await.expect("a body").to_bytes().len();
        }
    };
    // The sender goes with `ask`, which ends the connection.
    join(ask, async { connection.await.expect("a connection to its end") }).await.0
}
