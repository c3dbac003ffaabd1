//! Every kind of proxy: how many connections go through it, and how its faults are named.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::requests::run_with_url;
use crate::support::socks::{SocksProxy, SocksReply};
use crate::support::tls::{Authority, Protocol};
use crate::support::{Reply, ScriptedServer, WorkDir, closed_port};

const API: &str = "http://shop.test/p/{sku}";
const TLS_API: &str = "https://shop.test/p/{sku}";

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

/// A scripted proxy that refuses everything in this way.
fn refusing(status: u16, header: (&'static str, &'static str)) -> ScriptedServer {
    ScriptedServer::start(move |_| Reply::status(status).header(header.0, header.1))
}

#[test]
fn a_socks_proxy_carries_everything_and_resolves_names_where_its_scheme_says_so() {
    let (authority, wait) = (Authority::new(), Duration::from_millis(5));
    let plain = ScriptedServer::start(move |seen| Reply::echo(seen).wait(wait));
    let tls = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, move |seen| {
        Reply::echo(seen).wait(wait)
    });
    let ip = |server: &ScriptedServer| server.addr().to_string();
    let name = |server: &ScriptedServer| format!("localhost:{}", server.addr().port());
    let run = |scheme: &str, host: &str, server: &ScriptedServer, target: String| {
        let dir = skus(300);
        dir.write("ca.pem", authority.pem());
        let proxy = SocksProxy::start(server.addr(), SocksReply::Connect);
        let url = server.url("/p/{sku}").replace("127.0.0.1", host);
        let args = ["-c", "32", "--ca-cert", "ca.pem", "--proxy", &proxy.url(scheme)];
        run_with_url(&dir, &url, args).finish().expect_code(0);
        assert!(proxy.connections() <= 32, "{scheme}: {} connections", proxy.connections());
        assert!(
            proxy.targets().iter().all(|asked| *asked == target),
            "{scheme} {host}: {:?}",
            proxy.targets()
        );
    };
    thread::scope(|scope| {
        for server in [&plain, &tls] {
            scope.spawn(|| run("socks5h", "localhost", server, name(server)));
            scope.spawn(|| run("socks4a", "localhost", server, name(server)));
            scope.spawn(|| run("socks4", "localhost", server, ip(server)));
            scope.spawn(|| run("socks5", "127.0.0.1", server, ip(server)));
            scope.spawn(|| run("socks5h", "127.0.0.1", server, ip(server)));
        }
    });
}

#[test]
fn a_socks_proxy_gets_its_user_and_password_and_ends_the_run_where_it_refuses_them() {
    let api = ScriptedServer::echo();
    let login = || SocksProxy::start(api.addr(), SocksReply::Login("me", "pass%word"));
    let (dir, proxy) = (skus(40), login());
    let address = proxy.url("socks5h").replace("://", "://me:${PROXY_PW}@");
    run_with_url(&dir, API, ["--proxy", &address]).env("PROXY_PW", "pass%word").finish().expect_code(0);
    for user_info in ["me:wrong-canary@", ""] {
        let (dir, proxy) = (skus(40), login());
        let address = proxy.url("socks5").replace("://", &format!("://{user_info}"));
        let url = api.url("/{sku}");
        let ended = run_with_url(&dir, &url, ["-v", "--proxy", &address]).finish().expect_code(77);
        let stderr = ended.stderr_after_header();
        assert!(stderr.contains("error: the proxy refuses the credentials"), "{stderr}");
        assert!(stderr.contains("hint: check --proxy"), "{stderr}");
        assert!(stderr.contains("40 deferred") && !stderr.contains("canary"), "{stderr}");
    }
}

#[test]
fn a_proxy_over_tls_carries_plain_requests_and_tunnels() {
    let (authority, wait) = (Authority::new(), Duration::from_millis(5));
    let run = |url: &str, proxy: &ScriptedServer| {
        let dir = skus(300);
        dir.write("ca.pem", authority.pem());
        let address = proxy.url("").replace("://", "://me:pw@");
        let args = ["-c", "32", "--ca-cert", "ca.pem", "--proxy", &address];
        run_with_url(&dir, url, args).finish().expect_code(0);
        assert!(proxy.connections() <= 32, "{} connections", proxy.connections());
        assert_eq!(proxy.requests()[0].header_values("proxy-authorization"), ["Basic bWU6cHc="]);
    };
    let forwarding =
        ScriptedServer::start_tls(&authority.good(), Protocol::Either { streams: 100 }, move |seen| {
            Reply::echo(seen).wait(wait)
        });
    run(API, &forwarding);
    assert!(forwarding.requests()[0].target.starts_with("http://shop.test/p/"));

    let api = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, move |seen| {
        Reply::echo(seen).wait(wait)
    });
    let addr = api.addr();
    let tunnels = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, move |_| Reply::tunnel(addr));
    run(&api.url("/p/{sku}"), &tunnels);
    assert!(tunnels.requests().iter().all(|seen| seen.method == "CONNECT"));

    // Its certificate is looked at, too.
    let (dir, proxy) = (skus(3), ScriptedServer::start_tls(&authority.good(), Protocol::Http1, Reply::echo));
    let ended = run_with_url(&dir, API, ["--proxy", &proxy.url("")]).finish().expect_code(69);
    assert!(ended.stderr.contains("error: the proxy's certificate was refused"), "{}", ended.stderr);
}

#[test]
fn http2_through_a_proxy_opens_as_many_tunnels_as_it_keeps() {
    let (authority, dir) = (Authority::new(), skus(300));
    dir.write("ca.pem", authority.pem());
    let wait = Duration::from_millis(20);
    let api = ScriptedServer::start_tls(&authority.good(), Protocol::Http2 { streams: 100 }, move |seen| {
        Reply::echo(seen).wait(wait)
    });
    let addr = api.addr();
    let tunnels = ScriptedServer::start(move |_| Reply::tunnel(addr).wait(wait));
    let args = ["-c", "64", "--ca-cert", "ca.pem", "--proxy", &tunnels.url("")];
    run_with_url(&dir, &api.url("/p/{sku}"), args).finish().expect_code(0);
    assert_eq!((tunnels.connections(), api.connections()), (1, 1));
}

#[test]
fn insecure_and_user_info_go_through_no_more_connections_than_are_in_flight() {
    let (authority, dir) = (Authority::new(), skus(300));
    let wait = Duration::from_millis(5);
    let api = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, move |seen| {
        Reply::echo(seen).wait(wait)
    });
    let addr = api.addr();
    let tunnels = ScriptedServer::start(move |_| Reply::tunnel(addr));
    let url = api.url("/p/{sku}").replace("://", "://u%20s:p%40w@");
    run_with_url(&dir, &url, ["-c", "32", "--insecure", "--proxy", &tunnels.url("")]).finish().expect_code(0);
    assert!(tunnels.connections() <= 32, "{} connections", tunnels.connections());
    // base64 of `u s:p@w`
    assert_eq!(api.requests()[0].header_values("authorization"), ["Basic dSBzOnBAdw=="]);
}

/// Runs against a proxy that passes nothing on: the error is its own, and quick.
fn expect_named(url: &str, proxy: &str, words: &[&str]) {
    let (dir, began) = (skus(200), Instant::now());
    let address = proxy.replace("://", "://me:canary-pw@");
    let ended = run_with_url(&dir, url, ["-v", "--proxy", &address]).finish().expect_code(69);
    let stderr = ended.stderr_after_header();
    let error = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    for word in words {
        assert!(error.contains(word), "{word}: {stderr}");
    }
    assert!(!stderr.contains("the API is unreachable") && !stderr.contains("canary"), "{stderr}");
    assert!(
        stderr.contains(&format!("hint: check --proxy: the proxy in use is {proxy} (--proxy)")),
        "{stderr}"
    );
    assert!(stderr.contains(&format!("proxy: {proxy} (--proxy)")), "{stderr}");
    assert!(began.elapsed() < Duration::from_secs(20), "no pauses of an outage");
}

#[test]
fn a_proxy_that_passes_nothing_on_is_named_with_its_address_and_status() {
    let squid = ("X-Squid-Error", "ERR_CONNECT_FAIL 111");
    thread::scope(|scope| {
        for status in [403, 502, 503, 504] {
            for url in [API, TLS_API] {
                scope.spawn(move || {
                    let proxy = refusing(status, squid);
                    let address = format!("http://{}", proxy.addr());
                    expect_named(url, &address, &[&address, &status.to_string(), "ERR_CONNECT_FAIL"]);
                });
            }
        }
        scope.spawn(|| {
            let proxy = refusing(502, ("Server", "tinyproxy/1.11"));
            let address = format!("http://{}", proxy.addr());
            expect_named(API, &address, &[&address, "502 Bad Gateway"]);
        });
        for url in [API, TLS_API] {
            for scheme in ["http", "https", "socks5h", "socks4a"] {
                scope.spawn(move || {
                    let address = format!("{scheme}://{}", closed_port());
                    expect_named(url, &address, &[&address, "cannot be reached", "refused"]);
                });
            }
            scope.spawn(move || {
                expect_named(url, "http://proxy.invalid:3128", &["proxy.invalid:3128 cannot be reached"]);
            });
        }
        for (scheme, code, word) in [("socks5h", 4, "unreachable (4)"), ("socks4a", 91, "rejected or failed")]
        {
            scope.spawn(move || {
                let proxy = SocksProxy::start(closed_port(), SocksReply::Refuse(code));
                let address = proxy.url(scheme);
                expect_named(API, &address, &[&address, "does not connect to shop.test:80", word]);
            });
        }
    });
}

#[test]
fn a_tunnel_that_needs_other_credentials_ends_the_run_with_the_same_words_as_plain_http() {
    for url in [API, TLS_API] {
        let dir = skus(200);
        let proxy = refusing(407, ("Proxy-Authenticate", "Basic realm=\"px\""));
        let address = proxy.url("").replace("://", "://me:canary@");
        let ended = run_with_url(&dir, url, ["-c", "8", "--proxy", &address]).finish().expect_code(77);
        let stderr = ended.stderr_after_header();
        assert!(
            stderr.contains("error: the proxy refuses the credentials: 5 answers in a row were 407"),
            "{stderr}"
        );
        assert!(stderr.contains("hint: check --proxy"), "{stderr}");
        assert!(stderr.contains("200 deferred") && !stderr.contains("canary"), "{stderr}");
        assert!(proxy.count() <= 16, "{} requests", proxy.count());
    }
}

#[test]
fn what_the_server_answers_through_the_proxy_is_the_servers() {
    let dir = skus(10);
    let proxy = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "3" => Reply::status(403).header("Server", "nginx").header("Via", "1.1 px (squid/5.7)"),
        _ => Reply::echo(seen),
    });
    let ended = run_with_url(&dir, API, ["--proxy", &proxy.url("")]).finish().expect_code(1);
    assert!(ended.stderr.contains("1 forbidden") && !ended.stderr.contains("the proxy"), "{}", ended.stderr);
}

#[test]
fn a_run_and_a_dry_run_name_the_proxy_and_what_named_it() {
    let proxy = ScriptedServer::echo();
    let address = proxy.url("").replace("://", "://me:canary@");
    let shown = format!("http://{}", proxy.addr());
    let config = format!("[request]\nproxy = \"{address}\"\n");
    for (variable, source) in [
        (Some(("HTTP_PROXY", &*address)), "HTTP_PROXY"),
        (Some(("all_proxy", &address)), "all_proxy"),
        (Some(("SKUFETCH_PROXY", &address)), "SKUFETCH_PROXY"),
        (None, "config.toml:2:9: proxy"),
    ] {
        for args in [&["--dry-run"][..], &["-v"], &["-v", "--log-format", "json"], &["-v", "tune"]] {
            let dir = skus(2);
            if variable.is_none() {
                dir.write("config.toml", &config);
            }
            let run = match args {
                [first, "tune"] => {
                    crate::support::Run::new(&dir).args(["tune", first, "products.csv", "-u", API])
                }
                _ => run_with_url(&dir, API, args),
            };
            let ended = match variable {
                Some((name, value)) => run.env(name, value).finish(),
                None => run.finish(),
            };
            let said = format!("{}{}", ended.stdout(), ended.stderr);
            assert!(said.contains(&format!("{shown} ({source})")), "{args:?} {said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }
    let direct = run_with_url(&skus(2), API, ["--dry-run"]).finish().expect_code(0);
    assert!(!direct.stdout().contains("\nproxy"));
}

#[test]
fn no_proxy_holds_for_addresses_and_networks_and_ports() {
    let (api, proxy) = (ScriptedServer::echo(), ScriptedServer::echo());
    let SocketAddr::V4(addr) = api.addr() else { panic!() };
    let with_port = format!("127.0.0.1:{}", addr.port());
    for (list, is_direct) in [
        ("*", true),
        ("127.0.0.1", true),
        ("a.test 127.0.0.0/8", true),
        (&with_port, true),
        ("127.0.0.1:1", false),
        ("10.0.0.0/8, localhost", false),
    ] {
        let (dir, before) = (skus(2), proxy.count());
        let run = run_with_url(&dir, &api.url("/p/{sku}"), [""; 0]);
        run.env("HTTP_PROXY", proxy.url("")).env("NO_PROXY", list).finish().expect_code(0);
        assert_eq!(proxy.count() == before, is_direct, "{list}");
    }
}
