//! Proxies that hang, hang up, or answer in the forms of others: each is named, and no secret is shown.

use std::thread;

use crate::requests::run_with_url;
use crate::support::WorkDir;
use crate::support::raw::{RawServer, Socket};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

const PLAIN: &str = "http://shop.test/p/{sku}";
const OVER_TLS: &str = "https://shop.test/p/{sku}";

/// What such a proxy says to the first request of a connection, before it closes; nothing where it keeps it and hangs.
fn saying(text: Option<&'static str>) -> RawServer {
    RawServer::start(move |mut socket: Socket| {
        socket.head()?;
        match text {
            Some(text) => socket.say(text),
            None => socket.drain(),
        }
    })
}

#[test]
fn a_proxy_that_gives_no_tunnel_is_named_whatever_it_says() {
    let cases: [(Option<&str>, &str); 7] = [
        (None, "within --connect-timeout 300ms"),
        (Some(""), "ended the connection"),
        (Some("HTTP/1.0 503 Service Unavailable\r\nProxy-Connection: close\r\n\r\n<html>no</html>"), "503"),
        (Some("HTTP/1.1 502\r\n\r\n"), "502"),
        (Some("HTTP/1.1 100 Continue\r\n\r\n"), "ended the connection"),
        (Some("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 504 Late\r\n\r\n"), "504"),
        (Some("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "does not speak HTTP"),
    ];
    thread::scope(|scope| {
        for (text, word) in cases {
            scope.spawn(move || {
                let (dir, proxy) = (skus(20), saying(text));
                let address = proxy.url("").replace("://", "://me:canary@");
                let args = ["-c", "4", "--connect-timeout", "300ms", "--proxy", &address];
                let ended = run_with_url(&dir, OVER_TLS, args).finish().expect_code(69);
                let named = ended.stderr.contains(&proxy.url("")) && ended.stderr.contains(word);
                assert!(named && !ended.stderr.contains("canary"), "{text:?}: {}", ended.stderr);
            });
        }
    });
}

#[test]
fn credentials_are_refused_in_the_barest_form_too() {
    for url in [PLAIN, OVER_TLS] {
        let (dir, proxy) = (skus(100), saying(Some("HTTP/1.0 407 Auth\r\n\r\n")));
        let ended = run_with_url(&dir, url, ["-c", "4", "--proxy", &proxy.url("")]).finish().expect_code(77);
        assert!(ended.stderr.contains("the proxy refuses the credentials"), "{}", ended.stderr);
    }
}

#[test]
fn a_socks_proxy_that_breaks_off_is_named() {
    let cases: [&[u8]; 4] = [b"", b"\x05", b"\x05\x00\x05", b"HTTP/1.1 400 Bad\r\n\r\n"];
    thread::scope(|scope| {
        for text in cases {
            scope.spawn(move || {
                let proxy = RawServer::start(move |mut socket: Socket| socket.say(text));
                let address = proxy.url("").replace("http://", "socks5h://");
                let args = ["-c", "4", "--connect-timeout", "500ms", "--proxy", &address];
                let ended = run_with_url(&skus(20), PLAIN, args).finish().expect_code(69);
                assert!(ended.stderr.contains(&address), "{text:?}: {}", ended.stderr);
            });
        }
    });
}

#[test]
fn a_proxy_that_never_passed_anything_on_and_hangs_or_hangs_up_is_named_over_plain_http_too() {
    let cases: [(Option<&str>, &str); 3] = [
        (None, "no answer arrived through the proxy"),
        (Some(""), "gave no answer"),
        (Some("HTTP/1.1 20"), "gave no answer"),
    ];
    thread::scope(|scope| {
        for (text, word) in cases {
            for method in ["GET", "POST"] {
                scope.spawn(move || {
                    let (dir, proxy) = (skus(30), saying(text));
                    let address = proxy.url("").replace("://", "://me:canary@");
                    let args = ["-c", "16", "--timeout", "500ms", "-X", method, "--proxy", &address];
                    let ended = run_with_url(&dir, PLAIN, args).finish().expect_code(69);
                    let named = ended.stderr.contains(&proxy.url("")) && ended.stderr.contains(word);
                    assert!(named && !ended.stderr.contains("canary"), "{text:?}: {}", ended.stderr);
                    assert!(ended.stderr.contains("hint: check --proxy"), "{text:?}: {}", ended.stderr);
                    // No pauses of an outage: it ends with the first attempts.
                    assert!(!ended.stderr.contains("paused"), "{text:?}: {}", ended.stderr);
                });
            }
        }
    });
}

#[test]
fn each_variable_and_spelling_names_a_proxy_and_each_form_of_no_proxy_an_exception() {
    let proxy = RawServer::start(|mut socket: Socket| {
        let _asked = socket.head()?;
        socket.say("HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n")
    });
    let api = crate::support::ScriptedServer::echo();
    let port = api.addr().port();
    let run = |url: &str, variables: &[(&str, &str)]| {
        let dir = skus(1);
        let mut run = run_with_url(&dir, url, ["--retries", "0", "--connect-timeout", "2s"]);
        for (name, value) in variables {
            run = run.env(name, value);
        }
        run.finish()
    };
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        run(PLAIN, &[(name, &proxy.url(""))]).expect_code(77);
    }
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        run(OVER_TLS, &[(name, &proxy.url(""))]).expect_code(77);
    }
    let with_port = format!("localhost:{port}");
    for (host, list, is_direct) in [
        ("localhost", "localhost", true),
        ("localhost", ".localhost", true),
        ("localhost", "*.localhost", true),
        ("localhost", "LOCALHOST.", true),
        ("localhost", &with_port, true),
        ("localhost", "localhost:1", false),
        ("localhost", "host", false),
        ("localhost", "127.0.0.1", false),
        ("127.0.0.1", "127.0.0.0/8,::1", true),
        ("127.0.0.1", "128.0.0.0/8", false),
        ("[::1]", "::1/128", true),
        ("[::1]", "[::1]", true),
        ("[::1]", "127.0.0.1", false),
    ] {
        for name in ["NO_PROXY", "no_proxy"] {
            let before = proxy.count();
            let url = format!("http://{host}:{port}/{{sku}}");
            run(&url, &[("http_proxy", &proxy.url("")), (name, list)]);
            assert_eq!(proxy.count() == before, is_direct, "{host} {name}={list}");
        }
    }
}
