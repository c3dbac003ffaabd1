//! Redirects to other origins: the same proxies and words as for the template's origin.

use std::thread;

use crate::requests::run_with_url;
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
