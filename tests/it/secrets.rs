//! A canary in every place that may hold a secret: in no byte of any file or stream.

use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::{Ended, Reply, Run, ScriptedServer, Seen, WorkDir, closed_port};

/// Every secret of the tests holds it.
const CANARY: &str = "canary";

/// Fails the attempt in a way of its own for each SKU, and sends back all that it was sent.
pub fn fail(seen: &Seen) -> Reply {
    let echo = format!("{} {}", String::from_utf8_lossy(&seen.head), String::from_utf8_lossy(&seen.body));
    let place = format!("http://127.0.0.1:1{}", seen.target);
    match seen.sku.as_str() {
        "404" | "500" | "400" => Reply::bytes(echo).with_status(seen.sku.parse().unwrap()),
        "html" => Reply::bytes(echo),
        "gzip" => Reply::bytes(echo).gzip().with_status(409),
        "redirect" => Reply::redirect(302, &place),
        "loop" => Reply::redirect(302, &seen.target),
        "hang" => Reply::hang_up(),
        "cut" => Reply::json("{\"a\":1}").cut(3),
        "slow" => Reply::silence(),
        "raw" => Reply::raw(format!("{echo}\r\n\r\n")),
        "encoding" => Reply::json("1").header("Content-Encoding", echo.lines().next().unwrap()),
        "select" => Reply::json(serde_json::to_string(&echo).unwrap()),
        "reason" => Reply::raw(format!("HTTP/1.1 418 {}\r\nContent-Length: 0\r\n\r\n", seen.target)),
        // What makes the next request conditional is kept, too.
        _ => Reply::json("{\"ok\":1}")
            .header("ETag", format!("\"{}\"", one_line(&echo)))
            .wait(Duration::from_millis(2)),
    }
}

/// What may be in a header field.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ").chars().filter(char::is_ascii).collect()
}

pub const SKUS: [&str; 28] = [
    "404", "a", "500", "b", "400", "c", "html", "d", "gzip", "e", "redirect", "f", "loop", "g", "hang", "h",
    "cut", "i", "slow", "j", "raw", "k", "encoding", "l", "select", "m", "reason", "n",
];

#[track_caller]
fn nowhere(dir: &WorkDir, ended: &Ended) {
    let stdout = String::from_utf8_lossy(&ended.stdout_bytes);
    assert!(!ended.stderr.contains(CANARY) && !stdout.contains(CANARY), "{}{stdout}", ended.stderr);
    assert_eq!(dir.holding(CANARY), Vec::<String>::new());
}

fn run<'a>(dir: &'a WorkDir, url: &str, report: &str) -> Run<'a> {
    dir.write_skus(SKUS);
    let args = ["-v", "-v", "-c", "2", "--retries", "1", "--timeout", "300ms", "--min-success", "0"];
    run_with_url(dir, url, args)
        .args(["--report", report])
        .args(["--select", "if type == \"string\" then error(.) else . end"])
}

#[test]
fn secrets_from_variables_appear_nowhere_whatever_fails() {
    for (format, report) in [("text", "r.html"), ("json", "r.json"), ("text", "r.prom")] {
        let (dir, server) = (WorkDir::new(), ScriptedServer::start(fail));
        let url = server.url("/p-${PATH_SECRET}/{sku}?key=${QUERY}").replace("://", "://us:${PW}@");
        let ended = run(&dir, &url, report)
            .args(["-H", "Authorization: Bearer ${HEADER}", "-H", "X-Row: {sku} ${HEADER}"])
            .args([
                "--body",
                "{\"t\":\"${BODY}\"}",
                "-X",
                "POST",
                "--log-format",
                format,
                "--shape",
                "record",
            ])
            .env("PATH_SECRET", "canary/path")
            .env("QUERY", "canary query&")
            .env("PW", "canary:pw")
            .env("HEADER", "canary-header")
            .env("BODY", "canary\"body")
            .finish()
            .expect_code(1);
        assert!(server.count() > SKUS.len(), "{}", ended.stderr);
        assert!(server.requests()[0].target.contains("canary%2Fpath"));
        assert!(dir.has(report));
        nowhere(&dir, &ended);
    }
}

#[test]
fn a_literal_secret_in_the_templates_query_or_user_info_appears_nowhere() {
    let (dir, server) = (
        WorkDir::new(),
        ScriptedServer::start(|seen| match seen.sku.as_str() {
            // Nothing shows what the value of `q` is.
            "404" | "500" | "400" => Reply::status(seen.sku.parse().unwrap()),
            "html" => Reply::bytes("<html>"),
            "gzip" | "raw" | "encoding" | "select" => Reply::status(409),
            _ => fail(seen),
        }),
    );
    let url = server.url("/p/{sku}?q=canary-literal&r={sku}").replace("://", "://us:canary-pw@");
    let ended = run(&dir, &url, "r.html").finish().expect_code(1);
    assert_eq!(server.requests()[0].query_value("q").unwrap(), b"canary-literal");
    nowhere(&dir, &ended);
}

#[test]
fn literal_credentials_are_shown_nowhere_also_when_they_are_sent_back() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(fail));
    let url = server.url("/p/{sku}?api_key=canary%2Bliteral&q={sku}&access_token=canary-2-{sku}");
    let headers = ["-H", "Authorization: Bearer canary-3 {sku}", "-H", "X-Signature: {sku}.canary-4"];
    let ended = run(&dir, &url, "r.html").args(headers).finish().expect_code(1);
    assert_eq!(server.requests()[0].query_value("api_key").unwrap(), b"canary+literal");
    nowhere(&dir, &ended);
}

#[test]
fn secrets_from_the_config_file_appear_nowhere_else() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(fail));
    let conf = WorkDir::new();
    let config = format!(
        "[request]\nurl = \"{}\"\nheader = [\"X-Key: ${{KEY}}\"]\n",
        server.url("/p/{sku}?key=${KEY}")
    );
    let path = conf.write("my.toml", config);
    dir.write_skus(SKUS);
    let ended = Run::new(&dir)
        .args(["products.csv", "-o", "out.json", "-vv", "--timeout", "300ms", "--retries", "1"])
        .args([
            "--min-success",
            "0",
            "--select",
            "if type == \"string\" then error(.) else . end",
            "--report",
            "r.json",
            "--config",
        ])
        .args([path])
        .env("KEY", "canary-key")
        .finish()
        .expect_code(1);
    nowhere(&dir, &ended);
}

#[test]
fn runs_that_stop_early_show_no_secret_either() {
    let refusing = ScriptedServer::start(|seen| {
        Reply::bytes(String::from_utf8_lossy(&seen.head).into_owned()).with_status(401)
    });
    let demanding_a_wait = ScriptedServer::start(|seen| {
        Reply::retry_after(429, "9999").header("X-Echo", seen.target.as_bytes())
    });
    let closed = format!("http://{}/{{sku}}", closed_port());
    let urls = [
        refusing.url("/{sku}"),
        demanding_a_wait.url("/{sku}"),
        closed,
        "http://no-host.invalid/{sku}".into(),
    ];
    for (url, code) in urls.into_iter().zip([77, 75, 69, 69]) {
        let dir = WorkDir::new();
        dir.write_skus((0..40).map(|n| n.to_string()));
        let url = format!("{}?key=${{KEY}}", url.replace("://", "://us:${KEY}@"));
        let args = ["-v", "-v", "-H", "X-Key: ${KEY}", "--body", "\"${KEY}\"", "--report", "r.html"];
        let ended = run_with_url(&dir, &url, args).env("KEY", "canary-key").finish().expect_code(code);
        assert!(dir.read("r.html").contains("Settings"));
        nowhere(&dir, &ended);
    }
}

#[test]
fn a_template_that_is_refused_is_not_shown_with_its_secrets() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    for url in [
        "http://us:canary@h/{skuu}?key=canary",
        "http://us:canary@h:x/{sku}",
        "ftp://us:canary@h/{sku}",
        "http://h/{sku}?key=${UNSET}&x=canary",
        "http://h/{sku?canary",
    ] {
        let ended = run_with_url(&dir, url, ["-v", "-v"]).finish();
        assert!(matches!(ended.code, Some(2 | 65)), "{url}: {}", ended.stderr);
        nowhere(&dir, &ended);
    }
    let ended = run_with_url(&dir, "http://h/{sku}", ["-H", "X-Key canary"]).finish().expect_code(2);
    nowhere(&dir, &ended);
}
