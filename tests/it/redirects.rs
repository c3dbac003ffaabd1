//! Redirects by the contract: counted, few, never to where they may not lead.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Reply, ScriptedServer, Seen, WorkDir};

fn one_sku() -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus(["A"]);
    dir
}

/// Redirects what is under `/p/` to `/to/` with this status, and answers the rest.
fn redirecting(status: u16) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    move |seen| match seen.path().strip_prefix("/p/") {
        Some(sku) => Reply::redirect(status, &format!("/to/{sku}")),
        None => Reply::echo(seen),
    }
}

#[test]
fn a_redirect_inside_the_origin_is_followed_with_everything_the_user_gave() {
    for status in [301, 302, 303, 307, 308] {
        let (dir, server) = (one_sku(), ScriptedServer::start(redirecting(status)));
        let url = server.url("/p/{sku}?token=q").replace("http://", "http://us:pw@");
        let args = ["-H", "X-Key: k", "-H", "X-Row: {sku}", "--shape", "record"];
        run_with_url(&dir, &url, args).finish().expect_code(0);
        let requests = server.requests();
        assert_eq!(requests.len(), 2, "{status}");
        assert_eq!(requests[1].target, "/to/A", "the query is not taken along");
        assert_eq!((requests[1].header("x-key"), requests[1].header("x-row")), (Some("k"), Some("A")));
        assert!(requests[1].header("authorization").is_some());
        assert_eq!(requests[1].header("referer"), None);
        assert!(dir.read("out.json").contains("\"attempts\":2"), "{}", dir.read("out.json"));
    }
}

#[test]
fn a_redirect_that_would_lose_the_body_fails_its_sku_and_names_the_address_to_write() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        for status in [301, 302, 303] {
            let (dir, server) = (one_sku(), ScriptedServer::start(redirecting(status)));
            let url = server.url("/p/{sku}?key=canary-q").replace("http://", "http://us:canary-pw@");
            let args = ["-X", method, "--body", "\"{sku}!\"", "--min-success", "0"];
            let ended = run_with_url(&dir, &url, args).finish().expect_code(1);
            assert_eq!((dir.read("out.json").as_str(), server.count()), ("{\n}\n", 1), "{method} {status}");
            // In the failure file a comma would be a delimiter.
            let texts = ended.stderr.replace(',', " ") + &dir.read("out.failed.csv");
            let advice = format!("it leads to {}: write that address in --url", server.url("/to/A"));
            assert_eq!(texts.matches(&advice).count(), 2, "{texts}");
            assert!(!texts.contains("canary"), "{texts}");
        }
    }
}

#[test]
fn a_refused_redirect_says_that_its_query_is_not_shown_and_where_the_column_belongs() {
    for (query, shown) in [("?token=canary&v=2", " (query not shown)"), ("", "")] {
        let to = move |seen: &Seen| Reply::redirect(302, &format!("/to/{}{query}", seen.sku));
        let (dir, server) = (one_sku(), ScriptedServer::start(to));
        let args = ["--body", "{}", "--min-success", "0"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
        // In the failure file a comma would be a delimiter.
        let texts = ended.stderr.replace(',', " ") + &dir.read("out.failed.csv");
        let advice = format!(
            "it leads to {}{shown}: write that address in --url  with {{sku}} for the row's value",
            server.url("/to/A")
        );
        assert_eq!(texts.matches(&advice).count(), 2, "{texts}");
        assert!(!texts.contains("canary"), "{texts}");
    }
}

#[test]
fn after_307_and_308_method_and_body_stay() {
    for status in [307, 308] {
        for method in ["POST", "PUT", "DELETE"] {
            let (dir, server) = (one_sku(), ScriptedServer::start(redirecting(status)));
            let args = ["-X", method, "--body", "\"{sku}!\""];
            run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
            let second = server.requests().pop().unwrap();
            assert_eq!(
                (second.method.as_str(), second.body.as_slice()),
                (method, b"\"A!\"".as_slice()),
                "{status}"
            );
        }
    }
}

#[test]
fn without_a_body_a_303_becomes_a_get_and_301_and_302_make_one_of_a_post_alone() {
    for (method, status, becomes) in
        [("POST", 301, "GET"), ("POST", 303, "GET"), ("DELETE", 302, "DELETE"), ("DELETE", 303, "GET")]
    {
        let (dir, server) = (one_sku(), ScriptedServer::start(redirecting(status)));
        run_with_url(&dir, &server.url("/p/{sku}"), ["-X", method]).finish().expect_code(0);
        assert_eq!(server.requests().pop().unwrap().method, becomes, "{method} {status}");
    }
}

#[test]
fn a_body_that_another_origin_may_not_get_fails_its_sku() {
    for status in [302, 307, 308] {
        let (dir, there) = (one_sku(), ScriptedServer::echo());
        let to = there.url("/A");
        let server = ScriptedServer::start(move |_| Reply::redirect(status, &to));
        let args = ["--follow", "any", "--body", "canary", "--min-success", "0"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
        assert!(ended.stderr.contains(&format!("it leads to {}", there.url("/A"))), "{}", ended.stderr);
        assert_eq!((there.connections(), dir.read("out.json").as_str()), (0, "{\n}\n"), "{status}");
    }
}

#[test]
fn at_most_five_redirects_are_followed_and_a_loop_is_an_error_that_is_not_retried() {
    for (hops, code) in [(5, 0), (6, 1)] {
        let (dir, server) = (
            one_sku(),
            ScriptedServer::start(move |seen| match seen.number {
                n if n < hops => Reply::redirect(302, &format!("/hop/{n}")),
                _ => Reply::json("1"),
            }),
        );
        let ended =
            run_with_url(&dir, &server.url("/p/{sku}"), ["--min-success", "0"]).finish().expect_code(code);
        assert_eq!(server.count(), 6, "{}", ended.stderr);
    }
    let (dir, server) = (one_sku(), ScriptedServer::start(|seen| Reply::redirect(302, seen.target.as_str())));
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--min-success", "0"]).finish().expect_code(1);
    assert_eq!(server.count(), 6);
    assert!(ended.stderr.contains("redirect"), "{}", ended.stderr);
}

#[test]
fn a_redirect_that_leads_nowhere_or_away_from_http_is_an_error_and_never_a_value() {
    let places = [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "data:,1",
        "javascript:1",
        "http://",
        "http://[",
        "\u{ff}",
    ];
    for place in places {
        let (dir, server) = (
            one_sku(),
            ScriptedServer::start(move |_| {
                Reply::json("{\"a\":1}").with_status(302).header("Location", place)
            }),
        );
        let args = ["--follow", "any", "--min-success", "0"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
        assert_eq!((dir.read("out.json").as_str(), server.count()), ("{\n}\n", 1), "{place}");
    }
    let (dir, server) = (one_sku(), ScriptedServer::start(|_| Reply::json("{\"a\":1}").with_status(302)));
    run_with_url(&dir, &server.url("/p/{sku}"), ["--min-success", "0"]).finish().expect_code(1);
    assert_eq!((dir.read("out.json").as_str(), server.count()), ("{\n}\n", 1), "no Location");
}

#[test]
fn another_origin_gets_no_request_unless_any_is_followed() {
    let (dir, there) = (one_sku(), ScriptedServer::echo());
    let to = there.url("/A");
    let server = ScriptedServer::start(move |_| Reply::redirect(302, &to));
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--min-success", "0"]).finish().expect_code(1);
    assert_eq!((server.count(), there.connections()), (1, 0), "refused is final");
    assert!(ended.stderr.contains("--follow any"), "{}", ended.stderr);
    run_with_url(&dir, &server.url("/p/{sku}"), ["--follow", "any"]).finish().expect_code(0);
    assert_eq!(there.count(), 1);
    let (dir, here) = (one_sku(), ScriptedServer::start(redirecting(302)));
    run_with_url(&dir, &here.url("/p/{sku}"), ["--follow", "none", "--min-success", "0"])
        .finish()
        .expect_code(1);
    assert_eq!(here.count(), 1, "none follows none");
}

#[test]
fn nothing_that_the_user_gave_reaches_another_origin() {
    for status in [302, 307, 308] {
        let (dir, there) = (one_sku(), ScriptedServer::echo());
        let to = there.url("/A");
        let server = ScriptedServer::start(move |_| Reply::redirect(status, &to));
        let url = server.url("/p/{sku}?token=canary-q").replace("http://", "http://us:canary-pw@");
        let args = [
            "--follow",
            "any",
            "-H",
            "Authorization: Bearer canary-auth",
            "-H",
            "X-Api-Key: canary-key",
            "-H",
            "X-Row: canary-{sku}",
            "-H",
            "Cookie: canary=1",
            "-H",
            "User-Agent: canary-agent",
            "-H",
            "X-Two: canary-1",
            "-H",
            "X-Two: canary-2",
        ];
        run_with_url(&dir, &url, args).finish().expect_code(0);
        let seen = there.requests().pop().unwrap();
        let head = String::from_utf8_lossy(&seen.head).to_ascii_lowercase();
        assert!(!head.contains("canary") && seen.body.is_empty(), "{status}: {head}");
        for name in ["authorization", "cookie", "referer", "content-type"] {
            assert_eq!(seen.header(name), None, "{status} {name}");
        }
        assert!(seen.header("user-agent").unwrap().starts_with("skufetch/"));
        assert_eq!(there.connections(), 1);
        assert!(there.stray().is_empty());
    }
}

#[test]
fn what_crossed_origins_brings_nothing_back() {
    let elsewhere = Arc::new(OnceLock::<String>::new());
    let to = Arc::clone(&elsewhere);
    let origin = ScriptedServer::start(move |seen| match seen.number {
        0 => Reply::redirect(307, to.get().unwrap()),
        _ => Reply::echo(seen),
    });
    let back = origin.url("/back/A");
    let there = ScriptedServer::start(move |_| Reply::redirect(307, &back));
    elsewhere.set(there.url("/x")).unwrap();
    let dir = one_sku();
    let url = origin.url("/p/{sku}").replace("http://", "http://us:pw@");
    run_with_url(&dir, &url, ["--follow", "any", "-H", "X-Key: canary"]).finish().expect_code(0);
    let last = origin.requests().pop().unwrap();
    assert_eq!((last.target.as_str(), last.header("x-key")), ("/back/A", None));
    assert_eq!((last.header("authorization"), last.body.len()), (None, 0));
}

#[test]
fn https_never_leads_to_http() {
    let authority = Authority::new();
    let (dir, plain) = (one_sku(), ScriptedServer::echo());
    dir.write("ca.pem", authority.pem());
    let to = plain.url("/A");
    let server =
        ScriptedServer::start_tls(&authority.good(), Protocol::Http1, move |_| Reply::redirect(302, &to));
    let args = ["--follow", "any", "--ca-cert", "ca.pem", "--min-success", "0"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("https to http"), "{}", ended.stderr);
    assert_eq!((server.count(), plain.connections()), (1, 0));
}

#[test]
fn redirects_count_for_the_rate() {
    let dir = WorkDir::new();
    dir.write_skus((0..10).map(|n| n.to_string()));
    let server = ScriptedServer::start(redirecting(302));
    let ended =
        run_with_url(&dir, &server.url("/p/{sku}"), ["--rate", "40/s", "-c", "20"]).finish().expect_code(0);
    assert_eq!(server.count(), 20);
    let (first, last) = (server.requests()[0].at, server.requests()[19].at);
    // 19 intervals of 25 ms, less the 10 ms of the promise and as much for the way.
    assert!(last - first >= Duration::from_millis(19 * 25 - 30), "{:?} {}", last - first, ended.stderr);
}
