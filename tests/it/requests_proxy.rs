//! Proxies, by option and by the standard variables.

use std::thread;
use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Reply, ScriptedServer, WorkDir, closed_port};

fn skus() -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus(["A", "B"]);
    dir
}

#[test]
fn plain_http_is_sent_to_the_proxy_with_the_whole_address() {
    let dir = skus();
    let proxy = ScriptedServer::echo();
    let args = ["-c1", "--proxy", &proxy.url("")];
    run_with_url(&dir, "http://shop.test/p/{sku}", args).finish().expect_code(0);
    let targets: Vec<_> = proxy.requests().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets, ["http://shop.test/p/A", "http://shop.test/p/B"]);
    assert_eq!(proxy.requests()[0].header("host"), Some("shop.test"));
    assert_eq!(proxy.requests()[0].header("proxy-authorization"), None);
}

#[test]
fn the_proxys_user_info_may_hold_variables_and_is_sent_to_the_proxy_only() {
    let dir = skus();
    let proxy = ScriptedServer::echo();
    let address = proxy.url("").replace("http://", "http://me:${PROXY_PW}@");
    let ended = run_with_url(&dir, "http://shop.test/p/{sku}", ["-v", "-v", "--proxy", &address])
        .env("PROXY_PW", "canary-pw")
        .finish()
        .expect_code(0);
    // base64 of `me:canary-pw`
    assert_eq!(proxy.requests()[0].header_values("proxy-authorization"), ["Basic bWU6Y2FuYXJ5LXB3"]);
    assert!(!ended.stderr.contains("canary") && dir.holding("canary").is_empty(), "{}", ended.stderr);
    let unset = run_with_url(&dir, "http://shop.test/p/{sku}", ["--proxy", &address]).finish().expect_code(2);
    assert!(unset.stderr.contains("PROXY_PW"), "{}", unset.stderr);
}

/// A proxy that lets through what carries `me:s3cr:et@%/x`, and answers 407 to all else. `CONNECT` leads to `api`.
fn strict_proxy(api: Option<std::net::SocketAddr>) -> ScriptedServer {
    ScriptedServer::start(move |seen| {
        // base64 of `me:s3cr:et@%/x`
        let is_let_through = seen.header("proxy-authorization") == Some("Basic bWU6czNjcjpldEAlL3g=");
        match (is_let_through, api) {
            (false, _) => Reply::status(407),
            (true, Some(api)) => Reply::tunnel(api),
            (true, None) => Reply::echo(seen),
        }
    })
}

#[test]
fn a_password_of_any_characters_authenticates_at_the_proxy() {
    let authority = Authority::new();
    let api = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, Reply::echo);
    let (plain, tunnel) = (strict_proxy(None), strict_proxy(Some(api.addr())));
    let at = |proxy: &ScriptedServer, user_info: &str| format!("http://{user_info}@{}", proxy.addr());
    let (shop, secure) = ("http://shop.test/p/{sku}".to_owned(), api.url("/p/{sku}"));
    for (url, proxy) in [(&shop, &plain), (&secure, &tunnel)] {
        for (user_info, variable, value) in [
            ("me:${PROXY_PW}", "PROXY_PW", "s3cr:et@%/x"),
            ("${PROXY_ME}", "PROXY_ME", "me:s3cr:et@%/x"),
            ("m${PROXY_E}:s3cr:et%40%25%2Fx", "PROXY_E", "e"),
        ] {
            for scheme in ["http://", ""] {
                let dir = skus();
                dir.write("ca.pem", authority.pem());
                let address = at(proxy, user_info).replace("http://", scheme);
                let ended = run_with_url(&dir, url, ["-v", "-v", "--ca-cert", "ca.pem", "--proxy", &address])
                    .env(variable, value)
                    .finish()
                    .expect_code(0);
                assert!(!ended.stderr.contains("s3cr") && dir.holding("s3cr").is_empty(), "{}", ended.stderr);
            }
        }
    }
    // A variable of the environment is an address as it stands: what it needs is encoded in it.
    let (dir, address) = (skus(), at(&plain, "me:s3cr%3Aet%40%25%2Fx"));
    run_with_url(&dir, &shop, [""; 0]).env("HTTP_PROXY", address).finish().expect_code(0);
    let (dir, address) = (skus(), at(&plain, "me:s3cr%253Aet%2540%2525%252Fx"));
    run_with_url(&dir, &shop, [""; 0]).env("HTTP_PROXY", address).finish().expect_code(77);
}

#[test]
fn https_uses_a_tunnel_that_the_proxy_cannot_read() {
    let dir = skus();
    let authority = Authority::new();
    dir.write("ca.pem", authority.pem());
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, Reply::echo);
    let addr = server.addr();
    let proxy = ScriptedServer::start(move |_| Reply::tunnel(addr));
    let address = proxy.url("").replace("http://", "http://me:pw@");
    let args = ["-c1", "--ca-cert", "ca.pem", "--proxy", &address, "-H", "X-Key: canary"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    let requests = proxy.requests();
    assert!(requests.iter().all(|seen| seen.method == "CONNECT" && seen.target == addr.to_string()));
    assert_eq!(requests[0].header_values("proxy-authorization"), ["Basic bWU6cHc="]);
    assert!(requests.iter().all(|seen| !String::from_utf8_lossy(&seen.head).contains("canary")));
    assert_eq!(server.requests()[0].header_values("x-key"), ["canary"]);
    assert_eq!(server.requests()[0].header("proxy-authorization"), None);
}

#[test]
fn the_standard_variables_are_honoured_and_no_proxy_too() {
    let proxy = ScriptedServer::echo();
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (dir, before) = (skus(), proxy.count());
        run_with_url(&dir, "http://shop.test/p/{sku}", [""; 0])
            .env(name, proxy.url(""))
            .finish()
            .expect_code(0);
        assert_eq!(proxy.count() - before, 2, "{name}");
    }
    let (dir, server, before) = (skus(), ScriptedServer::echo(), proxy.count());
    run_with_url(&dir, &server.url("/p/{sku}"), [""; 0])
        .env("HTTP_PROXY", proxy.url(""))
        .env("NO_PROXY", "127.0.0.1,other.test")
        .finish()
        .expect_code(0);
    assert_eq!((server.count(), proxy.count()), (2, before));
}

#[test]
fn the_option_overrides_the_variables_and_a_bad_one_is_refused_before_any_request() {
    let (dir, proxy) = (skus(), ScriptedServer::echo());
    run_with_url(&dir, "http://shop.test/p/{sku}", ["--proxy", &proxy.url("")])
        .env("HTTP_PROXY", format!("http://{}", closed_port()))
        .env("NO_PROXY", "shop.test")
        .finish()
        .expect_code(0);
    assert_eq!(proxy.count(), 2);
    let bad = run_with_url(&skus(), "http://shop.test/p/{sku}", ["--proxy", "http://us:canary@:x"]).finish();
    let bad = bad.expect_code(2);
    assert!(bad.stderr.contains("--proxy") && !bad.stderr.contains("canary"), "{}", bad.stderr);
}

#[test]
fn no_request_bypasses_a_proxy_with_an_unsupported_scheme() {
    let (dir, server) = (skus(), ScriptedServer::echo());
    let proxy = format!("foo://us:canary@{}", closed_port());
    let ended = run_with_url(&dir, &server.url("/{sku}"), ["--proxy", &proxy]).finish().expect_code(2);
    assert_eq!(server.connections(), 0, "not around it either");
    assert!(
        ended.stderr_after_header().starts_with("error: --proxy: not a proxy address: its scheme"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    // Without a scheme it is http.
    let requested = ScriptedServer::echo();
    let address = requested.addr().to_string();
    run_with_url(&dir, "http://shop.test/p/{sku}", ["--proxy", &address]).finish().expect_code(0);
    assert_eq!(requested.count(), 2);
}

#[test]
fn a_proxy_that_is_not_there_makes_the_api_unreachable_and_shows_no_secret() {
    let dir = skus();
    dir.write_skus((0..40).map(|n| n.to_string()));
    let address = format!("http://me:canary@{}", closed_port());
    let ended = run_with_url(&dir, "http://shop.test/p/{sku}", ["-v", "-v", "--proxy", &address]).finish();
    let ended = ended.expect_code(69);
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    assert!(dir.holding("canary").is_empty());
}

#[test]
fn a_proxy_or_a_certificate_that_is_none_is_found_before_a_file_is_made() {
    let (dir, server) = (skus(), ScriptedServer::echo());
    dir.write("none.pem", "no certificate");
    let before = dir.names();
    for args in [["--proxy", "ftp://p:1"], ["--proxy", "http://${UNSET_X}@p:1"], ["--ca-cert", "none.pem"]] {
        run_with_url(&dir, "https://shop.test/p/{sku}", args).finish().expect_code(2);
        assert_eq!(dir.names(), before, "{args:?}");
    }
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c1"])
        .env("HTTP_PROXY", "htp://p:1")
        .finish()
        .expect_code(0);
    assert!(
        ended.stderr_after_header().starts_with("warning: HTTP_PROXY is not used, requests go past it: "),
        "{}",
        ended.stderr
    );
}

#[test]
fn requests_that_go_past_a_proxy_variable_are_warned_about() {
    for value in
        ["http://me:can ary@p:1", "http://me:can^ary@p:1", "http:p:1", "http://${CANARY}:1", " http://p:1"]
    {
        let (dir, server) = (skus(), ScriptedServer::echo());
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c1"]).env("http_proxy", value).finish();
        let ended = ended.expect_code(0);
        assert_eq!(server.count(), 2, "{value}");
        let stderr = ended.stderr_after_header();
        assert!(
            stderr.starts_with("warning: http_proxy is not used, requests go past it: "),
            "{value}: {stderr}"
        );
        assert!(!stderr.contains("ary") && !stderr.contains("CANARY"), "{value}: {stderr}");
    }
    let (dir, proxy) = (skus(), ScriptedServer::echo());
    let ended =
        run_with_url(&dir, "http://shop.test/p/{sku}", ["-c1"]).env("http_proxy", proxy.url("")).finish();
    assert!(!ended.expect_code(0).stderr.contains("is not used"));
}

#[test]
fn no_more_connections_go_to_a_proxy_than_requests_are_in_flight() {
    let (dir, authority) = (WorkDir::new(), Authority::new());
    dir.write("ca.pem", authority.pem());
    dir.write_skus((0..600).map(|n| n.to_string()));
    let wait = Duration::from_millis(10);
    let proxy = ScriptedServer::start(move |seen| Reply::echo(seen).wait(wait));
    run_with_url(&dir, "http://shop.test/p/{sku}", ["-c", "64", "--proxy", &proxy.url("")])
        .finish()
        .expect_code(0);
    assert!(proxy.connections() <= 64, "{} connections", proxy.connections());
    assert!(proxy.requests().iter().all(|seen| seen.target.starts_with("http://shop.test/p/")));

    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, move |seen| {
        Reply::echo(seen).wait(wait)
    });
    let addr = server.addr();
    let tunnels = ScriptedServer::start(move |_| Reply::tunnel(addr));
    let args = ["-c", "64", "--ca-cert", "ca.pem", "--proxy", &tunnels.url(""), "--fresh"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    assert!(tunnels.connections() <= 64, "{} tunnels", tunnels.connections());
}

#[test]
fn a_proxy_of_few_tunnels_and_one_that_drops_every_second_connection_are_reachable() {
    let authority = Authority::new();
    let wait = Duration::from_millis(10);
    let api = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, move |seen| {
        Reply::echo(seen).wait(wait)
    });
    let addr = api.addr();
    let few =
        ScriptedServer::start(
            move |seen| {
                if seen.in_flight > 5 { Reply::status(503) } else { Reply::tunnel(addr) }
            },
        );
    let dropping =
        ScriptedServer::start(
            move |seen| {
                if seen.connection % 2 == 1 { Reply::hang_up() } else { Reply::tunnel(addr) }
            },
        );
    thread::scope(|scope| {
        for proxy in [&few, &dropping] {
            for concurrency in ["auto", "64"] {
                let (authority, api) = (&authority, &api);
                scope.spawn(move || {
                    let dir = WorkDir::new();
                    dir.write_skus((0..300).map(|n| format!("S{n}")));
                    dir.write("ca.pem", authority.pem());
                    let args = ["-c", concurrency, "--ca-cert", "ca.pem", "--proxy", &proxy.url("")];
                    let ended = run_with_url(&dir, &api.url("/p/{sku}"), args).finish().expect_code(0);
                    assert!(ended.stderr.contains("300 fetched"), "{}", ended.stderr);
                });
            }
        }
    });
}
