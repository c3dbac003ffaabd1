//! `--http`: which versions of HTTP are spoken.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use skufetch::testing::demo::Server;

use crate::requests::run_with_url;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Ended, Reply, ScriptedServer, WorkDir};

const SKUS: usize = 60;

fn run(authority: &Authority, url: &str, args: &[&str]) -> Ended {
    let dir = WorkDir::new();
    dir.write_skus((0..SKUS).map(|n| n.to_string()));
    dir.write("ca.pem", authority.pem());
    run_with_url(&dir, url, [&["-c", "8", "--ca-cert", "ca.pem"], args].concat()).finish()
}

#[test]
fn over_tls_the_versions_that_are_allowed_are_offered_and_no_others() {
    let authority = Authority::new();
    let wait = std::time::Duration::from_millis(5);
    for (protocol, http, expected) in [
        // 8 connections of HTTP/1.1, or one of HTTP/2.
        (Protocol::Either { streams: 100 }, "auto", Some(1)),
        (Protocol::Either { streams: 100 }, "1.1", Some(8)),
        (Protocol::Either { streams: 100 }, "2", Some(1)),
        (Protocol::Http1, "auto", Some(8)),
        (Protocol::Http1, "1.1", Some(8)),
        (Protocol::Http1, "2", None),
        (Protocol::Http2 { streams: 100 }, "2", Some(1)),
    ] {
        let server =
            ScriptedServer::start_tls(&authority.good(), protocol, move |seen| Reply::echo(seen).wait(wait));
        let ended = run(&authority, &server.url("/{sku}"), &["--http", http]);
        if let Some(connections) = expected {
            ended.expect_code(0);
            assert_eq!(server.connections(), connections, "{protocol:?} {http}");
        } else {
            expect_no_http2(&ended.expect_code(69));
            assert_eq!(server.count(), 0);
        }
    }
}

#[track_caller]
fn expect_no_http2(ended: &Ended) {
    let stderr = ended.stderr_after_header();
    assert!(stderr.contains("error: the server does not speak HTTP/2, and --http 2 requires it"), "{stderr}");
    assert!(stderr.contains("--http auto") && !stderr.contains("pauses"), "{stderr}");
}

#[test]
fn without_tls_http2_is_spoken_by_prior_knowledge() {
    async fn answer(request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
        let version = format!("{{\"version\":\"{:?}\"}}", request.version());
        Ok(http::Response::new(Full::new(version.into())))
    }
    let server = Server::listen(|stream| async {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
    })
    .unwrap();
    let url = format!("http://{}/{{sku}}", server.addr());
    let (authority, dir) = (Authority::new(), WorkDir::new());
    dir.write_skus(["A", "B"]);
    run_with_url(&dir, &url, ["--http", "2"]).finish().expect_code(0);
    assert_eq!(dir.read("out.json").matches("HTTP/2.0").count(), 2);

    let old = ScriptedServer::echo();
    expect_no_http2(&run(&authority, &old.url("/{sku}"), &["--http", "2"]).expect_code(69));
    run(&authority, &old.url("/{sku}"), &[]).expect_code(0);
}
