//! Proxies and servers that send back what they were sent, in whatever spelling: no secret is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::requests::run_with_url;
use crate::secrets::{SKUS, fail};
use crate::support::{Ended, Reply, Run, ScriptedServer, Seen, WorkDir, closed_port};

/// The password, and what Basic authentication makes of it and the name `me`.
const PASSWORD: &str = "s3cr:et@%/x";
const BASIC: &str = "bWU6czNjcjpldEAlL3g=";

/// A password that needs no encoding, as people write it out.
const LITERAL: &str = "http://canary-me:canary-pw@";
const LITERAL_BASIC: &str = "Y2FuYXJ5LW1lOmNhbmFyeS1wdw";

/// Fails as the other servers do, but repeats first what it was sent as credentials, decoded too.
fn echo_credentials(seen: &Seen) -> Reply {
    let header = seen.header("proxy-authorization").or(seen.header("authorization")).unwrap();
    let encoded = header.strip_prefix("Basic ").unwrap();
    let decoded = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    let (_, password) = decoded.split_once(':').unwrap();
    let echo = format!("{encoded} {password} {decoded}");
    match seen.sku.as_str() {
        "404" | "500" | "400" => Reply::bytes(echo).with_status(seen.sku.parse().unwrap()),
        "html" => Reply::bytes(echo),
        "gzip" => Reply::bytes(echo).gzip().with_status(409),
        "redirect" => Reply::redirect(302, &format!("http://127.0.0.1:1/{encoded}/?k={encoded}")),
        "encoding" => Reply::json("1").header("Content-Encoding", echo),
        "select" => Reply::json(serde_json::to_string(&echo).unwrap()),
        "reason" => Reply::raw(format!("HTTP/1.1 418 {echo}\r\nContent-Length: 0\r\n\r\n")),
        "a" => Reply::json("1").header("ETag", format!("\"{encoded}\"")),
        "b" => Reply::json("1").header("Last-Modified", decoded),
        _ => fail(seen),
    }
}

#[track_caller]
fn shown_nowhere(dir: &WorkDir, ended: &Ended, secrets: &[&str]) {
    for secret in secrets {
        let stdout = String::from_utf8_lossy(&ended.stdout_bytes);
        assert!(!ended.stderr.contains(secret), "{secret}: {}", ended.stderr);
        assert!(!stdout.contains(secret), "{secret}: {stdout}");
        assert_eq!(dir.holding(secret), Vec::<String>::new(), "{secret}");
    }
}

fn through<'a>(dir: &'a WorkDir, args: &[&str]) -> Run<'a> {
    dir.write_skus(SKUS);
    run_with_url(dir, "http://shop.test/p/{sku}", ["-v", "-v", "-c2", "--retries", "1", "--timeout", "300ms"])
        .args(["--min-success", "0", "--select", "if type == \"string\" then error(.) else . end"])
        .args(args)
}

#[test]
fn a_proxy_that_echoes_what_it_was_sent_shows_no_secret_of_its_address() {
    for (format, report) in [("text", "r.html"), ("json", "r.json"), ("text", "r.prom")] {
        let (dir, proxy) = (WorkDir::new(), ScriptedServer::start(echo_credentials));
        let address = proxy.url("").replace("http://", "http://me:${PW}@");
        let args = ["--proxy", &address, "--report", report, "--log-format", format, "--shape", "record"];
        let ended = through(&dir, &args).env("PW", PASSWORD).finish().expect_code(1);
        assert!(proxy.count() > SKUS.len());
        assert_eq!(proxy.requests()[0].header_values("proxy-authorization"), [format!("Basic {BASIC}")]);
        assert!(dir.has(report));
        shown_nowhere(&dir, &ended, &[PASSWORD, BASIC, "s3cr%3Aet", "s3cr:et"]);
        assert!(ended.stderr.contains("(redacted)"), "it was echoed: {}", ended.stderr);
    }
}

#[test]
fn a_literal_user_info_of_a_proxy_is_a_secret_wherever_it_was_set() {
    let dir = WorkDir::new();
    let proxy = ScriptedServer::start(echo_credentials);
    let address = proxy.url("").replace("http://", LITERAL);
    let secrets = ["canary", LITERAL_BASIC];
    let by_option = ["--proxy", &address, "--report", "r.json"];
    let ended = through(&dir, &by_option).finish().expect_code(1);
    assert!(proxy.requests()[0].header("proxy-authorization").unwrap().contains(LITERAL_BASIC));
    shown_nowhere(&dir, &ended, &secrets);
    assert!(dir.read("r.json").contains(&format!("\"{}\"", proxy.url(""))), "{}", dir.read("r.json"));
    for name in ["HTTP_PROXY", "all_proxy", "SKUFETCH_PROXY"] {
        let (dir, before) = (WorkDir::new(), proxy.count());
        let ended = through(&dir, &["--report", "r.html"]).env(name, &address).finish().expect_code(1);
        assert!(proxy.count() > before + SKUS.len(), "{name}");
        shown_nowhere(&dir, &ended, &secrets);
    }
    let conf = WorkDir::new();
    let config = conf.write("my.toml", format!("[request]\nproxy = \"{address}\"\n"));
    let dir = WorkDir::new();
    let ended = through(&dir, &["--config", config.to_str().unwrap(), "--report", "r.html"]).finish();
    shown_nowhere(&dir, &ended.expect_code(1), &secrets);
}

#[test]
fn a_proxy_that_refuses_a_tunnel_with_an_echo_shows_no_secret() {
    let dir = WorkDir::new();
    let proxy = ScriptedServer::start(|seen| {
        let echo = String::from_utf8_lossy(&seen.head).replace("\r\n", " ");
        Reply::raw(format!("HTTP/1.1 407 {echo}\r\nX-Echo: {echo}\r\nContent-Length: 0\r\n\r\n"))
    });
    dir.write_skus((0..40).map(|n| n.to_string()));
    let address = proxy.url("").replace("http://", LITERAL);
    let args = ["-v", "-v", "--retries", "1", "--proxy", &address, "--report", "r.html"];
    let ended = run_with_url(&dir, "https://shop.test/p/{sku}", args).finish().expect_code(77);
    assert!(proxy.requests()[0].header("proxy-authorization").is_some());
    shown_nowhere(&dir, &ended, &["canary", LITERAL_BASIC]);
}

#[test]
fn the_plan_and_every_error_leave_out_the_user_info_of_a_proxy() {
    let server = ScriptedServer::echo();
    let closed = closed_port();
    for password in
        ["canary", "can/ary", "can?ary", "can#ary", "1/canary", "can@ary", "can ary", "canary${", "canary%"]
    {
        let dir = WorkDir::new();
        dir.write_skus(["1"]);
        for args in
            [&["--dry-run"][..], &["--report", "r.json", "--retries", "0"], &["-vv", "-r", "nonsense"]]
        {
            let proxy = format!("http://us:{password}@{closed}");
            let url = server.url("/{sku}");
            let ended = run_with_url(&dir, &url, args).args(["--proxy", &proxy]).finish();
            assert!(matches!(ended.code, Some(0 | 2 | 69)), "{password}: {}", ended.stderr);
            shown_nowhere(&dir, &ended, &["canary", "ary@", "us:can"]);
        }
    }
    assert_eq!(server.connections(), 0, "none went past the proxy");
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let ended = run_with_url(&dir, &server.url("/{sku}"), ["--proxy", "http://us:can/ary@h:1"]).finish();
    assert!(ended.expect_code(2).stderr.contains("%2F"), "says how to write it");
}

#[test]
fn one_rule_holds_for_a_variable_in_the_url_a_header_the_body_and_the_proxy() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    let url = server.url("/{sku}");
    let places = |text: &str| {
        [
            ("the URL template", vec!["-u".to_owned(), format!("{url}?k={text}")]),
            ("the header x-a", vec!["-u".into(), url.clone(), "-H".into(), format!("X-A: {text}")]),
            ("the body template", vec!["-u".into(), url.clone(), "--body".into(), format!("\"{text}\"")]),
            (
                "the address of the proxy",
                vec!["-u".into(), url.clone(), "--proxy".into(), format!("http://u:{text}@h")],
            ),
        ]
    };
    for (text, what) in [
        ("${UNSET}", "UNSET, which is not set"),
        ("${EMPTY}", "EMPTY, which is empty"),
        ("${BLANK}", "BLANK, which holds nothing but white space"),
        ("${", "badly written"),
        ("${}", "badly written"),
        ("${A B}", "badly written"),
        ("${1X}", "badly written"),
        ("${SET", "badly written"),
        ("${SET-x}", "badly written"),
    ] {
        for (place, args) in places(text) {
            let run = Run::new(&dir).args(["products.csv", "-o", "out.json"]).args(&args);
            let run = run.env("EMPTY", "").env("BLANK", " ").env("SET", "value");
            let ended = run.finish().expect_code(2);
            assert!(ended.stderr.contains(place) && ended.stderr.contains(what), "{text}: {}", ended.stderr);
        }
    }
    assert_eq!(server.count(), 0);
    for (_, args) in &places("${{SET}} $ $x ${SET}")[..3] {
        let run = Run::new(&dir).args(["products.csv", "-o", "out.json", "--fresh"]).args(args);
        run.env("SET", "value").finish().expect_code(0);
    }
    let requests = server.requests();
    assert_eq!(requests[0].query_value("k").unwrap(), b"${SET} $ $x value");
    assert_eq!(requests[1].header("x-a"), Some("${SET} $ $x value"));
    assert_eq!(requests[2].body, b"\"${SET} $ $x value\"");
}

#[test]
fn a_variable_may_be_the_whole_address_of_the_proxy_or_hold_name_and_password() {
    let proxy = ScriptedServer::echo();
    let whole = proxy.url("").replace("http://", "http://me:s3cr%3Aet%40%25%2Fx@");
    let host = proxy.addr().to_string();
    for (address, name, value) in [
        ("${X}".to_owned(), "X", whole),
        (format!("http://me:${{X}}@{host}"), "X", PASSWORD.into()),
        (format!("http://${{X}}@{host}"), "X", format!("me:{PASSWORD}")),
        ("http://me:s3cr%3Aet%40%25%2Fx@${X}".into(), "X", host.clone()),
    ] {
        let (dir, before) = (WorkDir::new(), proxy.count());
        dir.write_skus(["1"]);
        let run = run_with_url(&dir, "http://shop.test/p/{sku}", ["--proxy", &address]).env(name, &value);
        run.finish().expect_code(0);
        let sent = proxy.requests()[before].header("proxy-authorization").map(str::to_owned);
        assert_eq!(sent, Some(format!("Basic {BASIC}")), "{address}");
    }
    // The same of `--url`.
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let url = proxy.url("/{sku}").replace("http://", "http://${X}@");
    run_with_url(&dir, &url, [""; 0]).env("X", format!("me:{PASSWORD}")).finish().expect_code(0);
    assert_eq!(
        proxy.requests().last().unwrap().header("authorization"),
        Some(format!("Basic {BASIC}").as_str())
    );
}

#[test]
fn a_secret_is_masked_in_every_spelling_that_a_server_may_give_it() {
    const SECRET: &str = "ca/na\"ry&<é 1";
    let spellings = [
        SECRET.to_owned(),
        "ca%2Fna%22ry%26%3C%C3%A9%201".into(),
        "ca%2fna%22ry%26%3c%c3%a9+1".into(),
        r#"ca\/na\"ry\u0026\u003c\u00e9 1"#.into(),
        "ca/na&quot;ry&amp;&lt;é 1".into(),
        "ca&#47;na&#34;ry&#x26;&#60;&#233; 1".into(),
        r#"ca\\/na\\\"ry\\u0026<é 1"#.into(),
        "ca%252Fna%2522ry%2526%253C%25C3%25A9%2B1".into(),
        r"ca/na\&quot;ry\u0026amp;&lt;\u00e9 1".into(),
        r"ca&sol;na&quot;ry&amp;amp;\x3c\xc3\xa9&nbsp;1".into(),
    ];
    let (dir, all) = (WorkDir::new(), spellings.clone());
    dir.write_skus((0..spellings.len()).map(|n| n.to_string()));
    let server = ScriptedServer::start(move |seen| {
        Reply::bytes(format!("<p>you sent {} </p>", all[seen.sku.parse::<usize>().unwrap()])).with_status(404)
    });
    let args = ["-vv", "--min-success", "0", "-H", "X-Key: ${KEY}", "--report", "r.json"];
    let ended = run_with_url(&dir, &server.url("/{sku}"), args).env("KEY", SECRET).finish().expect_code(1);
    let masked = ended.stderr.matches("you sent (redacted)").count();
    assert!(masked >= spellings.len(), "{}", ended.stderr);
    shown_nowhere(&dir, &ended, &["ca/na", "ca%2", "ca\\/na", "ca\\\\", "ca&", "&quot;ry", "é 1"]);
}

#[test]
fn user_info_of_the_url_is_masked_as_it_is_written_and_as_basic_authentication_sends_it() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(echo_credentials));
    dir.write_skus(SKUS);
    let url = server.url("/p/{sku}").replace("://", "://me:canary-pw@");
    let args = ["-vv", "--retries", "1", "--timeout", "300ms", "--min-success", "0", "--report", "r.html"];
    let ended = run_with_url(&dir, &url, args)
        .args(["--select", "if type == \"string\" then error(.) else . end"])
        .finish()
        .expect_code(1);
    let basic = server.requests()[0].header("authorization").unwrap().to_owned();
    shown_nowhere(&dir, &ended, &["canary", basic.trim_start_matches("Basic ").trim_end_matches('=')]);
}

#[test]
fn a_short_secret_is_warned_about_once_and_garbles_nothing() {
    let dir = WorkDir::new();
    dir.write_skus(["1", "2"]);
    let server = ScriptedServer::start(|_| {
        Reply::bytes("a table of 7 data, PIN is a7, not a77 or xa7").with_status(404)
    });
    let url = server.url("/{sku}").replace("://", "://u:${PIN}@");
    let args = ["-v", "--min-success", "0", "-H", "X-A: ${PIN}", "-H", "X-B: ${LONG}", "--report", "r.json"];
    let run = || {
        run_with_url(&dir, &url, args)
            .env("PIN", "a7")
            .env("LONG", "long-enough")
            .env("HTTP_PROXY", "http://x:pw@p:1")
            .env("NO_PROXY", "127.0.0.1")
    };
    let ended = run().finish().expect_code(1);
    assert!(
        ended.stderr.contains("a table of 7 data, PIN is (redacted), not a77 or xa7"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        ended.stderr.matches("the value of PIN has fewer than 4 characters").count(),
        1,
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.matches("the password in HTTP_PROXY has fewer").count(), 1, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("has fewer than 4").count(), 2, "{}", ended.stderr);
    let plan = run().args(["--dry-run"]).finish();
    assert_eq!(plan.stderr.matches("the value of PIN has fewer").count(), 1, "{}", plan.stderr);
}

#[test]
fn a_secret_that_a_redirect_repeats_is_shown_nowhere() {
    let dir = WorkDir::new();
    dir.write_skus(["301", "302", "303", "307", "308"]);
    let server = ScriptedServer::start(|seen| {
        let key = seen.header("x-key").unwrap();
        Reply::redirect(seen.sku.parse().unwrap(), &format!("http://127.0.0.1:1/{key}/x?k={key}"))
    });
    for follow in ["none", "same-origin", "any"] {
        let args = [
            "-vv",
            "--follow",
            follow,
            "--retries",
            "0",
            "--body",
            "{\"a\":\"{sku}\"}",
            "--report",
            "r.json",
        ];
        let run = run_with_url(&dir, &server.url("/{sku}"), args).args([
            "-H",
            "X-Key: ${KEY}",
            "--min-success",
            "0",
        ]);
        let ended = run.env("KEY", "canary-key").finish();
        assert_ne!(ended.code, Some(0));
        shown_nowhere(&dir, &ended, &["canary"]);
    }
}

/// Refuses every SKU with this text, and runs with these arguments.
fn refused_with<'a>(dir: &'a WorkDir, echo: &'static str, args: &[&str]) -> (ScriptedServer, Run<'a>) {
    let server = ScriptedServer::start(move |_| Reply::bytes(echo).with_status(404));
    dir.write_skus(["1"]);
    let url = server.url("/{sku}?q=${T}");
    let run = run_with_url(dir, &url, ["-vv", "--min-success", "0", "--report", "r.json"]).args(args);
    (server, run)
}

#[test]
fn the_parts_of_a_secret_are_masked_too() {
    let dir = WorkDir::new();
    let echo = "invalid session CanaryTok99x, neither AbCanary12 nor Canary/Key=s";
    let conf = dir.write(
        "my.toml",
        r#"[request]
header = ["Cookie: ${C}", "Authorization: Token token=\"AbCanary12\"", "X-Key: Key id=abc,secret=Canary/Key"]
"#,
    );
    let (server, run) = refused_with(&dir, echo, &["--config", conf.to_str().unwrap()]);
    let run = run.env("C", "sid=CanaryTok99x; csrf=abcdefgh").env("T", "tok");
    let ended = run.finish().expect_code(1);
    assert_eq!(server.requests()[0].header("cookie"), Some("sid=CanaryTok99x; csrf=abcdefgh"));
    let message = "invalid session (redacted), neither (redacted) nor (redacted)=s";
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
    for secret in ["CanaryTok99x", "AbCanary12"] {
        assert!(!ended.stderr.contains(secret) && !dir.read("r.json").contains(secret), "{}", ended.stderr);
    }
}

#[test]
fn a_secret_is_masked_without_the_white_space_around_it_too() {
    for (value, echo) in [("CanaryTok99x ", "got CanaryTok99x."), (" can", "got <can>, not scan")] {
        let dir = WorkDir::new();
        let (server, run) = refused_with(&dir, echo, &["--body", "\"${T}\""]);
        let ended = run.env("T", value).finish().expect_code(1);
        assert_eq!(server.requests()[0].query_value("q").unwrap(), value.as_bytes());
        let shown = echo.replace("<can>", "<(redacted)>").replace("CanaryTok99x", "(redacted)");
        assert!(ended.stderr.contains(&shown), "{}", ended.stderr);
    }
    // In a body a line end at the end of a secret is sent.
    let dir = WorkDir::new();
    let server = ScriptedServer::start(|_| Reply::bytes("got CanaryTok99x.").with_status(404));
    dir.write_skus(["1"]);
    let args = ["-vv", "--min-success", "0", "--body", "\"${T}\""];
    let ended =
        run_with_url(&dir, &server.url("/{sku}"), args).env("T", "CanaryTok99x\n").finish().expect_code(1);
    assert_eq!(server.requests()[0].body, b"\"CanaryTok99x\\n\"");
    shown_nowhere(&dir, &ended, &["CanaryTok99x"]);
}

#[test]
fn what_is_written_out_in_a_body_field_of_a_credentials_name_is_masked() {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
    for args in [
        &["--body", r#"{"sku":"{sku}","api_key":"LiteralBodyKey99"}"#][..],
        &["--body", r#"{"app_id":["x","LiteralBodyKey99-{sku}"]}"#],
        &["--body", "sku={sku}&client_secret=LiteralBodyKey99", "-H", FORM],
        &["--body", "pwd=LiteralBodyKey99&sku={sku}", "--body-escape", "none"],
    ] {
        let dir = WorkDir::new();
        let (server, run) = refused_with(&dir, "key LiteralBodyKey99 is not valid", args);
        let ended = run.env("T", "token").finish().expect_code(1);
        assert_eq!(server.count(), 1);
        assert!(ended.stderr.contains("key (redacted) is not valid"), "{args:?}: {}", ended.stderr);
        shown_nowhere(&dir, &ended, &["LiteralBodyKey99"]);
    }
}
