//! Redirects to other origins: the same proxies and words as for the template's origin.

use std::thread;
use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Reply, ScriptedServer, Seen, WorkDir};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

/// A proxy that redirects what is for `shop.test` to another host, and answers for that itself.
fn redirecting(to: &'static str, there: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> ScriptedServer {
    ScriptedServer::start(move |seen| {
        if seen.target.starts_with("http://shop.test/") {
            return Reply::redirect(302, &format!("{to}/{}", seen.sku));
        }
        there(seen)
    })
}

const API: &str = "http://shop.test/p/{sku}";

#[test]
fn a_proxy_that_refuses_the_way_to_another_origin_is_named() {
    let squid = ("X-Squid-Error", "ERR_CONNECT_FAIL 111");
    thread::scope(|scope| {
        for to in ["http://other.test", "http://other.test:8080"] {
            scope.spawn(move || {
                let dir = skus(10);
                let proxy = redirecting(to, move |_| Reply::status(502).header(squid.0, squid.1));
                let args =
                    ["--follow", "any", "--proxy", &proxy.url(""), "--retries", "0", "--min-success", "0"];
                let ended = run_with_url(&dir, API, args).finish();
                let address = format!("http://{}", proxy.addr());
                let words = [&*address, "502", "ERR_CONNECT_FAIL"];
                assert!(words.iter().all(|word| ended.stderr.contains(word)), "{to}: {}", ended.stderr);
            });
        }
    });
}

#[test]
fn a_proxy_that_wants_other_credentials_for_another_origin_ends_the_run() {
    let authenticate = ("Proxy-Authenticate", "Basic realm=\"px\"");
    let dir = skus(200);
    let proxy =
        redirecting("http://other.test", move |_| Reply::status(407).header(authenticate.0, authenticate.1));
    let address = proxy.url("").replace("://", "://me:canary@");
    let args = ["--follow", "any", "-c", "8", "--proxy", &address];
    let ended = run_with_url(&dir, API, args).finish().expect_code(77);
    assert!(ended.stderr.contains("the proxy refuses the credentials"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
}

#[test]
fn another_origin_is_reached_as_no_proxy_says() {
    let there = ScriptedServer::echo();
    let to = there.url("");
    for (list, is_direct) in [("127.0.0.1", true), ("other.test", false)] {
        let to = to.clone();
        let proxy = ScriptedServer::start(move |seen| {
            if seen.target.starts_with("http://shop.test/") {
                return Reply::redirect(302, &format!("{to}/{}", seen.sku));
            }
            Reply::echo(seen)
        });
        let (dir, before) = (skus(5), there.count());
        let run = run_with_url(&dir, API, ["--follow", "any"]).env("HTTP_PROXY", proxy.url(""));
        run.env("NO_PROXY", list).finish().expect_code(0);
        assert_eq!(there.count() - before, if is_direct { 5 } else { 0 }, "{list}");
    }
}

/// Redirects what is for its address to its name, which is another origin, and answers there.
fn renaming(seen: &Seen) -> Reply {
    let host = seen.header("host").unwrap_or_default();
    let wait = Duration::from_millis(4);
    match host.strip_prefix("127.0.0.1:") {
        Some(port) => {
            let scheme = if seen.target.starts_with("/tls/") { "https" } else { "http" };
            Reply::redirect(302, &format!("{scheme}://localhost:{port}/p/{}", seen.sku)).wait(wait)
        }
        None => Reply::echo(seen).wait(wait),
    }
}

#[test]
fn no_more_connections_are_open_to_all_origins_together_than_requests_may_be_in_flight() {
    let authority = Authority::new();
    let run = |concurrency: usize, url: &str, proxy: &[&str]| {
        let dir = skus(if concurrency == 1 { 10 } else { 400 });
        dir.write("ca.pem", authority.pem());
        let concurrency = concurrency.to_string();
        let args = ["--follow", "any", "-c", &concurrency, "--retries", "0", "--ca-cert", "ca.pem"];
        run_with_url(&dir, url, args.iter().chain(proxy)).finish().expect_code(0);
    };
    thread::scope(|scope| {
        for concurrency in [1, 16] {
            let (run, authority) = (&run, &authority);
            scope.spawn(move || {
                let server = ScriptedServer::start(renaming);
                server.watch_connections();
                run(concurrency, &server.url("/plain/{sku}"), &[]);
                assert!(server.max_connections() <= concurrency, "{}", server.max_connections());
                // Both keep some: they are not opened anew for each request.
                assert!(concurrency == 1 || server.connections() <= 300, "{}", server.connections());
            });
            for protocol in
                [Protocol::Http1, Protocol::Http2 { streams: 2 }, Protocol::Http2 { streams: 100 }]
            {
                scope.spawn(move || {
                    let server = ScriptedServer::start_tls(&authority.good(), protocol, |seen| {
                        match seen.target.split('/').nth(1) {
                            Some("tls") => {
                                let port = seen.header("x-port").unwrap();
                                Reply::redirect(302, &format!("https://localhost:{port}/p/{}", seen.sku))
                            }
                            _ => Reply::echo(seen),
                        }
                    });
                    server.watch_connections();
                    let port = format!("X-Port: {}", server.addr().port());
                    run(concurrency, &server.url("/tls/{sku}"), &["-H", &port]);
                    assert!(
                        server.max_connections() <= concurrency,
                        "{protocol:?} {}",
                        server.max_connections()
                    );

                    let addr = server.addr();
                    let proxy = ScriptedServer::start(move |_| Reply::tunnel(addr));
                    proxy.watch_connections();
                    run(concurrency, &server.url("/tls/{sku}"), &["-H", &port, "--proxy", &proxy.url("")]);
                    assert!(
                        proxy.max_connections() <= concurrency,
                        "{protocol:?} {}",
                        proxy.max_connections()
                    );
                });
            }
            scope.spawn(move || {
                // More origins than have clients of their own.
                let proxy = ScriptedServer::start(|seen| {
                    let number = seen.sku.parse::<usize>().unwrap_or(0) % 20;
                    if seen.target.starts_with("http://shop.test/") {
                        return Reply::redirect(302, &format!("http://o{number}.test/{}", seen.sku));
                    }
                    Reply::echo(seen).wait(Duration::from_millis(2))
                });
                proxy.watch_connections();
                run(concurrency, API, &["--proxy", &proxy.url("")]);
                assert!(proxy.max_connections() <= concurrency, "{}", proxy.max_connections());
            });
        }
    });
}
