//! What a server says about a refusal is shown: without tags, secrets and control characters, in every place where a
//! reason stands.

use crate::requests::run_with_url;
use crate::support::{Reply, ScriptedServer, WorkDir};

/// An error page whose text begins after 20 KB of style.
fn page(text: &str) -> String {
    let style = "body > p { font-family: Tahoma; color: #525D76 }\n".repeat(400);
    format!(
        "<!doctype html>\n<html><head><title>Error</title>\n<style type=\"text/css\">{style}</style></head>\n{text}"
    )
}

fn html(status: u16, text: &str) -> Reply {
    Reply::bytes(page(text)).with_status(status).header("content-type", "text/html; charset=utf-8")
}

#[test]
fn a_run_that_ends_for_its_credentials_shows_what_the_server_said() {
    for status in [401, 403] {
        let dir = WorkDir::new();
        dir.write_skus((0..40).map(|n| n.to_string()));
        let server = ScriptedServer::start(move |seen| {
            let token = seen.header("x-api-key").unwrap_or_default().to_owned();
            html(
                status,
                &format!(
                    "<body><h1>The key <b>{token}</b>\x1b[2J was revoked &amp; is old</h1>\n\n<p>Write to ops"
                ),
            )
        });
        let said = "Error: The key (redacted)\\u{1b}[2J was revoked & is old Write to ops";
        let args = ["-c1", "-H", "X-Api-Key: ${API_KEY}", "--report", "report.json"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args)
            .env("API_KEY", "canary-77-key")
            .finish()
            .expect_code(77);
        let message = format!("the API refuses the credentials: 5 answers in a row were {status}: {said}");
        assert!(ended.stderr.contains(&format!("error: {message}")), "{}", ended.stderr);
        let report: serde_json::Value = serde_json::from_str(&dir.read("report.json")).unwrap();
        assert_eq!(report["error"], message);

        let args = ["-c1", "-H", "X-Api-Key: ${API_KEY}", "--log-format", "json", "--fresh"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args)
            .env("API_KEY", "canary-77-key")
            .finish()
            .expect_code(77);
        let failed = ended.stderr.lines().last().unwrap();
        let failed: serde_json::Value = serde_json::from_str(failed).unwrap();
        assert!(failed["message"].as_str().unwrap().contains(&message), "{failed}");
        assert!(dir.holding("canary").is_empty());
    }
}

#[test]
fn credentials_that_expire_at_the_end_show_what_the_server_said() {
    let dir = WorkDir::new();
    dir.write_skus(["a", "b", "c"]);
    let server = ScriptedServer::start({
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |seen| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::echo(seen),
            _ => Reply::json("{\n  \"error\": \"token expired\"\n}").with_status(401),
        }
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c1"]).finish().expect_code(77);
    assert!(
        ended.stderr.contains("which had an answer before: { \"error\": \"token expired\" }"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_error_page_shows_its_text_wherever_a_failure_is_shown() {
    let dir = WorkDir::new();
    dir.write_skus(["a", "b", "c", "d"]);
    let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "a" => html(
            400,
            "<body><h1>Bad request</h1><p><b>Message</b> Invalid URI: &#91;x&#93;</p><script>var a='<p>'</script>",
        ),
        "b" => html(200, "<body>Please sign in"),
        "c" => {
            Reply::bytes("{\"a\":\"caf\u{e9}\"}").header("content-type", "application/json; charset=klingon")
        }
        _ => Reply::echo(seen),
    });
    let args = ["-c1", "--min-success", "0", "--report", "report.json", "-v"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    let failed = dir.read("out.failed.csv");
    for words in [
        "Error: Bad request Message Invalid URI: [x]",
        "not JSON: expected a value at byte 0, an HTML page: Error: Please sign in",
        "declares charset `klingon`, which is not known: {",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        // A comma would be a delimiter.
        assert!(failed.contains(&words.replace(',', " ")), "{words}: {failed}");
    }
    let report = dir.read("report.json");
    assert!(report.contains("Error: Bad request Message Invalid URI: [x]"), "{report}");
    assert!(!failed.contains('<') && !failed.contains("color:"), "{failed}");
}

#[test]
fn a_character_that_all_failed_skus_have_and_no_other_is_named() {
    let server = ScriptedServer::start(|seen| match seen.target.as_str() {
        target if target.contains("%2F") => html(404, "<h1>Not Found</h1>"),
        target if target.contains("%2B") => Reply::status(400),
        _ => Reply::echo(seen),
    });
    let dir = WorkDir::new();
    dir.write_skus(["A/1", "1", "B/2", "c d", "e+f", "g+h", "2"]);
    let args = ["-c1", "--report", "report.json", "--min-success", "0"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    for note in [
        "all 2 have a `/`, and no fetched SKU has one: it is sent as %2F in the path: Apache refuses it with 404 unless \
         AllowEncodedSlashes is NoDecode, Tomcat",
        "all 2 have a `+`, and no fetched SKU has one: it is sent as %2B",
    ] {
        assert!(ended.stderr.contains(note), "{}", ended.stderr);
    }
    let report: serde_json::Value = serde_json::from_str(&dir.read("report.json")).unwrap();
    let shared: Vec<_> =
        report["causes"].as_array().unwrap().iter().map(|it| &it["shared_character"]).collect();
    assert!(shared.contains(&&"/".into()) && shared.contains(&&"+".into()), "{report}");

    // One that came has it too, or none came at all.
    for skus in [&["A/1", "B/2", "C%2F", "1"][..], &["A/1", "B/2"]] {
        let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
            "A/1" | "B/2" => Reply::status(404),
            _ => Reply::json("\"/\""),
        });
        let dir = WorkDir::new();
        dir.write_skus(skus.iter().map(|sku| sku.replace("C%2F", "C/3")));
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c1", "--min-success", "0"]).finish();
        assert!(!ended.stderr.contains("no SKU that came"), "{}", ended.stderr);
    }
}
