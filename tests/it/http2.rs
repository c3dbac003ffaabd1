//! HTTP/2 where TLS agrees on it, with as many requests in flight as `--concurrency` says.

use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Reply, ScriptedServer, WorkDir};

/// A server under a good certificate, and a folder that trusts it and holds so many SKUs.
fn setting(
    protocol: Protocol,
    skus: usize,
    handler: impl Fn(&crate::support::Seen) -> Reply + Send + Sync + 'static,
) -> (WorkDir, ScriptedServer) {
    let (dir, authority) = (WorkDir::new(), Authority::new());
    dir.write("ca.pem", authority.pem());
    dir.write_skus((0..skus).map(|n| n.to_string()));
    (dir, ScriptedServer::start_tls(&authority.good(), protocol, handler))
}

#[test]
fn http2_is_spoken_where_tls_agrees_on_it_and_http1_where_it_does_not() {
    for (protocol, is_http2) in [
        (Protocol::Either { streams: 100 }, true),
        (Protocol::Http2 { streams: 100 }, true),
        (Protocol::Http1, false),
    ] {
        let (dir, server) = setting(protocol, 30, Reply::echo);
        let args = ["--ca-cert", "ca.pem", "-c", "4", "-H", "X-Tag: a", "-H", "X-Tag: {sku}"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        assert_eq!(server.count(), 30);
        // Only HTTP/1.1 has a head in bytes.
        assert!(server.requests().iter().all(|seen| seen.head.is_empty() == is_http2), "{protocol:?}");
        let seen = server.requests_for("7").pop().unwrap();
        assert_eq!(seen.header_values("x-tag"), ["a", "7"]);
        assert_eq!(seen.header_values("accept"), ["application/json"]);
        // A connection that was begun and then not needed is kept beside the four.
        assert!(server.connections() <= 8, "{} connections", server.connections());
    }
}

#[test]
fn over_http2_a_host_of_the_users_is_the_authority() {
    let (dir, server) = setting(Protocol::Http2 { streams: 100 }, 3, Reply::echo);
    let own = server.addr().to_string();
    for (args, authority) in [(&[][..], own.as_str()), (&["-H", "Host: shop.test:8443"], "shop.test:8443")] {
        let args = [&["--ca-cert", "ca.pem", "-H", "X-Tag: {sku}"], args].concat();
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        let seen = server.requests().pop().unwrap();
        assert_eq!((seen.header(":authority"), seen.header("host")), (Some(authority), None));
        assert_eq!(seen.header("x-tag"), Some(seen.sku.as_str()));
    }
    assert_eq!(server.count(), 6);
}

#[test]
fn few_streams_a_connection_do_not_cap_what_is_in_flight() {
    for streams in [16, 10] {
        let wait = Duration::from_millis(300);
        let (dir, server) =
            setting(Protocol::Http2 { streams }, 300, move |seen| Reply::echo(seen).wait(wait));
        run_with_url(&dir, &server.url("/p/{sku}"), ["--ca-cert", "ca.pem", "-c", "100"])
            .finish()
            .expect_code(0);
        assert_eq!((server.count(), server.max_in_flight()), (300, 100), "{streams} streams");
    }
}

#[test]
fn a_stream_that_is_reset_is_retried_and_the_others_continue() {
    let (dir, server) = setting(Protocol::Http2 { streams: 100 }, 40, |seen| match seen.sku.as_str() {
        "7" | "8" if seen.attempt <= 2 => Reply::hang_up(),
        _ => Reply::echo(seen),
    });
    run_with_url(&dir, &server.url("/p/{sku}"), ["--ca-cert", "ca.pem", "-c", "8"]).finish().expect_code(0);
    assert_eq!(server.count(), 44);
}

#[test]
fn compressed_answers_and_errors_read_the_same_over_http2() {
    let (dir, server) = setting(Protocol::Http2 { streams: 100 }, 3, |seen| match seen.sku.as_str() {
        "0" => Reply::echo(seen).gzip(),
        "1" => Reply::status(404),
        _ => Reply::echo(seen).brotli(),
    });
    run_with_url(&dir, &server.url("/p/{sku}"), ["--ca-cert", "ca.pem"]).finish().expect_code(1);
    let out = dir.read("out.json");
    assert!(
        out.contains("\"0\":{\"sku\":\"0\"")
            && !out.contains("\"1\":")
            && out.contains("\"2\":{\"sku\":\"2\"")
    );
}
