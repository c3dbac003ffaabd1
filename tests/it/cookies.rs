//! `--cookies`: what answers set is sent with later requests to the same origin.

use crate::requests::run_with_url;
use crate::support::{Ended, Reply, ScriptedServer, Seen, WorkDir};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

fn fetch(dir: &WorkDir, server: &ScriptedServer, args: &[&str]) -> Ended {
    run_with_url(dir, &server.url("/p/{sku}"), ["-c", "1"].iter().chain(args)).finish()
}

/// Answers those that have a session, and sends all others to the same address, with one.
fn guarded(seen: &Seen) -> Reply {
    if seen.header("cookie").is_some_and(|sent| sent.contains("sid=s3cret")) {
        return Reply::echo(seen);
    }
    Reply::redirect(302, seen.path()).header("Set-Cookie", "sid=s3cret; Path=/; HttpOnly")
}

#[test]
fn a_redirect_that_sets_a_cookie_and_comes_back_works_once_for_all() {
    let (dir, server) = (skus(5), ScriptedServer::start(guarded));
    let ended = fetch(&dir, &server, &["--cookies"]).expect_code(0);
    assert_eq!(server.count(), 6);
    assert!(ended.stderr.contains("5 fetched"), "{}", ended.stderr);
    let requests = server.requests();
    assert_eq!(requests[0].header("cookie"), None);
    assert!(requests[1..].iter().all(|seen| seen.header_values("cookie") == ["sid=s3cret"]));
    assert!(dir.holding("s3cret").is_empty(), "no file has it");
}

#[test]
fn without_the_option_nothing_is_kept_and_a_loop_names_it() {
    let (dir, server) = (skus(1), ScriptedServer::start(guarded));
    let ended = fetch(&dir, &server, &["--min-success", "0"]).expect_code(1);
    assert!(server.requests().iter().all(|seen| seen.header("cookie").is_none()));
    let said = "more than 5 redirects; one of them set a cookie, and --cookies would send it back";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    // Where no cookie is set, it would not help.
    let server = ScriptedServer::start(|seen| Reply::redirect(302, seen.path()));
    let ended = fetch(&dir, &server, &["--min-success", "0"]).expect_code(1);
    assert!(
        ended.stderr.contains("more than 5 redirects (") && !ended.stderr.contains("cookie"),
        "{}",
        ended.stderr
    );
    let server = ScriptedServer::start(|seen| Reply::redirect(302, seen.path()).header("Set-Cookie", "a=1"));
    let ended = fetch(&dir, &server, &["--cookies", "--min-success", "0"]).expect_code(1);
    assert!(!ended.stderr.contains("--cookies"), "{}", ended.stderr);
}

#[test]
fn the_users_cookie_stays_and_all_are_in_one_line() {
    for header in ["Cookie: lang=de; sid=mine", "Cookie: lang=de; sid=mine; row={sku}"] {
        let (dir, server) = (
            skus(2),
            ScriptedServer::start(|seen| {
                Reply::echo(seen).header("Set-Cookie", "sid=server").header("Set-Cookie", "cart=1; Path=/")
            }),
        );
        fetch(&dir, &server, &["--cookies", "-H", header]).expect_code(0);
        let own = |n: &str| header["Cookie: ".len()..].replace("{sku}", n);
        let sent: Vec<Vec<String>> = server
            .requests()
            .iter()
            .map(|seen| seen.header_values("cookie").iter().map(|&value| value.to_owned()).collect())
            .collect();
        assert_eq!(sent, [vec![own("0")], vec![format!("{}; cart=1", own("1"))]]);
    }
}

#[test]
fn no_cookie_reaches_an_origin_that_did_not_set_it() {
    let other = ScriptedServer::start(|seen| match seen.header("cookie") {
        None => Reply::redirect(307, seen.path()).header("Set-Cookie", "theirs=2; Path=/"),
        Some("theirs=2") => Reply::echo(seen),
        sent => panic!("{sent:?}"),
    });
    let elsewhere = other.url("");
    let server = ScriptedServer::start(move |seen| {
        let redirect = Reply::redirect(302, &format!("{elsewhere}/p/{}", seen.sku));
        assert!(!seen.header("cookie").unwrap_or_default().contains("theirs"));
        redirect.header("Set-Cookie", "ours=1; Domain=127.0.0.1; Path=/")
    });
    let dir = skus(3);
    fetch(&dir, &server, &["--cookies", "--follow", "any", "-H", "Cookie: user=1"]).expect_code(0);
    let sent: Vec<String> =
        server.requests().iter().map(|seen| seen.header("cookie").unwrap_or_default().to_owned()).collect();
    assert_eq!(sent, ["user=1", "user=1; ours=1", "user=1; ours=1"]);
    assert_eq!(other.count(), 4);
}

#[test]
fn a_session_that_an_error_ends_is_renewed_by_its_next_cookie() {
    // Answers, errors among them, change and remove cookies.
    let server = ScriptedServer::start(|seen| match seen.number {
        0 => Reply::echo(seen).header("Set-Cookie", "sid=1"),
        1 => Reply::status(503).header("Set-Cookie", "sid=2"),
        2 => Reply::echo(seen).header("Set-Cookie", "sid=; Max-Age=0"),
        _ => Reply::echo(seen),
    });
    let dir = skus(3);
    fetch(&dir, &server, &["--cookies"]).expect_code(0);
    let sent: Vec<Option<String>> =
        server.requests().iter().map(|seen| seen.header("cookie").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("sid=1".into()), Some("sid=2".into()), None]);
}

#[test]
fn a_cursor_in_a_cookie_is_sent_with_the_next_page() {
    let dir = skus(2);
    let server = ScriptedServer::start(|seen| match (seen.query(), seen.header("cookie")) {
        (None, _) => Reply::json("1")
            .header("Set-Cookie", format!("cursor={}", seen.sku))
            .header("Link", "<?page=2>; rel=next"),
        (Some(_), Some(cookie)) => Reply::json(format!("\"{cookie}\"")),
        other => panic!("{other:?}"),
    });
    fetch(&dir, &server, &["--cookies", "--next", "link"]).expect_code(0);
    assert_eq!(dir.read("out.json"), "{\n\"0\":[1,\"cursor=0\"],\n\"1\":[1,\"cursor=1\"]\n}\n");
}

#[test]
fn a_cookie_that_the_server_repeats_in_an_error_is_masked() {
    let (dir, server) = (
        skus(3),
        ScriptedServer::start(|seen| {
            let sent = seen.header("cookie").unwrap_or_default().to_owned();
            let reply = if seen.sku == "2" {
                Reply::bytes(format!("no session {sent}")).with_status(400)
            } else {
                Reply::echo(seen)
            };
            reply.header("Set-Cookie", "sid=canary-cookie; Path=/")
        }),
    );
    let ended = fetch(&dir, &server, &["--cookies", "-v", "-v", "--report", "r.json"]).expect_code(1);
    assert!(ended.stderr.contains("no session sid=(redacted)"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("canary") && dir.holding("canary").is_empty(), "{}", ended.stderr);
}
