//! Bodies that are sent: the server reads each value as it is in the CSV, whatever the body's type.

use std::collections::BTreeSet;

use crate::requests::run_with_url;
use crate::support::log::percent_decode;
use crate::support::{Reply, ScriptedServer, Seen, WorkDir};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// What a reader of each type may trip over.
const ODD: [&str; 12] =
    ["A&B", "p+q", "p q", "a=b", "50%", "%41", "<x y='1'>", "\"q\\\"", "é😀", "a;b,c", "{sku}", "line\none"];

fn skus(skus: &[&str]) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus(skus);
    dir
}

/// Sends this body for these SKUs, and returns the bodies that arrived.
fn sent(skus_asked: &[&str], args: &[&str]) -> Vec<Vec<u8>> {
    let (dir, server) = (skus(skus_asked), ScriptedServer::start(|_| Reply::json("1")));
    run_with_url(&dir, &server.url("/p"), ["-c1"]).args(args).finish().expect_code(0);
    server.requests().iter().map(|seen| seen.body.clone()).collect()
}

fn one(args: &[&str]) -> String {
    let bodies = sent(&["A&B<\"é"], args);
    assert_eq!(bodies.len(), 1);
    String::from_utf8(bodies[0].clone()).unwrap()
}

/// The value of `isbns`, as servers decode a form.
fn form_value(seen: &Seen) -> String {
    let body = String::from_utf8(seen.body.clone()).unwrap();
    let value = body.split('&').find_map(|pair| pair.strip_prefix("isbns=")).unwrap().to_owned();
    String::from_utf8(percent_decode(&value.replace('+', " "))).unwrap()
}

#[test]
fn a_form_sends_the_value_of_the_csv_and_each_key_has_its_own_answer() {
    let dir = skus(&ODD);
    let server = ScriptedServer::start(|seen| Reply::json(serde_json::to_string(&form_value(seen)).unwrap()));
    run_with_url(&dir, &server.url("/p"), ["-H", FORM, "--body", "x=1&isbns={sku}&y=2"])
        .finish()
        .expect_code(0);
    let requested: BTreeSet<String> = server.requests().iter().map(|seen| form_value(seen)).collect();
    assert_eq!(requested, ODD.iter().map(ToString::to_string).collect());
    let out: serde_json::Value = serde_json::from_str(&dir.read("out.json")).unwrap();
    for sku in ODD {
        assert_eq!(out[sku], sku);
    }
}

#[test]
fn the_content_type_says_how_a_value_is_written() {
    const BODY: [&str; 2] = ["--body", "\"<{sku}>\""];
    for (header, expected) in [
        (&[][..], "<A&B<\\\"é>"),
        (&["-H", "Content-Type: application/json; charset=utf-8"], "<A&B<\\\"é>"),
        (&["-H", "content-type:application/problem+JSON"], "<A&B<\\\"é>"),
        (&["-H", "Content-Type:  Application/X-WWW-Form-URLEncoded ;charset=UTF-8"], "<A%26B%3C%22%C3%A9>"),
        (&["-H", "Content-Type: text/xml"], "<A&amp;B&lt;&quot;é>"),
        (&["-H", "Content-Type: application/xml;q=1"], "<A&amp;B&lt;&quot;é>"),
        (&["-H", "Content-Type: application/soap+xml"], "<A&amp;B&lt;&quot;é>"),
        (&["-H", "Content-Type: text/plain"], "<A&B<\"é>"),
        (&["-H", "Content-Type: text/csv", "--body-escape", "none"], "<A&B<\"é>"),
        (&["-H", "Content-Type: multipart/form-data; boundary=x", "--body-escape", "json"], "<A&B<\\\"é>"),
        // It beats the type, which stays as it is.
        (&["-H", "Content-Type: application/json", "--body-escape", "form"], "<A%26B%3C%22%C3%A9>"),
        (&["-H", FORM, "--body-escape", "xml"], "<A&amp;B&lt;&quot;é>"),
        (&["--body-escape", "none"], "<A&B<\"é>"),
    ] {
        assert_eq!(one(&[&BODY[..], header].concat()), format!("\"{expected}\""), "{header:?}");
    }
}

#[test]
fn a_variable_is_written_as_a_column_is() {
    let (dir, server) = (skus(&["1"]), ScriptedServer::echo());
    run_with_url(&dir, &server.url("/{sku}"), ["-H", FORM, "--body", "key=${KEY}&q={sku}"])
        .env("KEY", "a&b=c +")
        .finish()
        .expect_code(0);
    assert_eq!(server.requests()[0].body, b"key=a%26b%3Dc%20%2B&q=1");
}

#[test]
fn a_type_that_says_nothing_of_values_needs_the_option_before_any_request() {
    let server = ScriptedServer::echo();
    for (headers, shown) in [
        (&["text/csv"][..], "Content-Type `text/csv`"),
        (&["multipart/form-data; boundary=x"], "`multipart/form-data; boundary=x`"),
        (&["application/x-ndjson"], "`application/x-ndjson`"),
        (&["application/octet-stream"], "`application/octet-stream`"),
        (&["{sku}"], "placeholder or is there twice"),
        (&["${TYPE}"], "placeholder or is there twice"),
        (&["application/json; v={sku}"], "placeholder or is there twice"),
        (&["application/json", "text/xml"], "placeholder or is there twice"),
    ] {
        let types: Vec<String> =
            headers.iter().flat_map(|it| ["-H".into(), format!("Content-Type: {it}")]).collect();
        for body in ["a,{sku}", "a,${TYPE}"] {
            let (dir, args) = (skus(&["1"]), [&types[..], &["--body".into(), body.into()]].concat());
            let ended =
                run_with_url(&dir, &server.url("/{sku}"), &args).env("TYPE", "application/json").finish();
            let ended = ended.expect_code(2);
            assert!(ended.stderr.contains(shown), "{headers:?}: {}", ended.stderr);
            assert!(ended.stderr.contains("--body-escape json, form or xml"), "{}", ended.stderr);
        }
        // Without a placeholder, and with the option, nothing is ambiguous.
        for more in [&["--body", "a,{x} {{sku}}"][..], &["--body", "a,{sku}", "--body-escape", "none"]] {
            let args = types.iter().map(String::as_str).chain(more.iter().copied());
            let ended = run_with_url(&skus(&["1"]), &server.url("/{sku}"), args)
                .env("TYPE", "application/json")
                .finish();
            ended.expect_code(0);
        }
    }
    assert_eq!(server.count(), 16);
}

#[test]
fn outside_of_quotes_in_json_only_numbers_and_booleans_are_sent_and_other_rows_fail_without_a_request() {
    let wrong = ["1,2", "null", "007", "1e400", "+1", "0x1F", "[1]", "7}"];
    let dir = skus(&[&wrong[..], &["7", "-1.50", "true"]].concat());
    let server = ScriptedServer::start(|seen| Reply::bytes(seen.body.clone()));
    let args = ["-c1", "--min-success", "0", "--body", r#"{"n":[{sku}],"s":"{sku}"}"#];
    let ended = run_with_url(&dir, &server.url("/p"), args).finish().expect_code(1);
    let out = [
        "{\n",
        r#""7":{"n":[7],"s":"7"},"#,
        "\n",
        r#""-1.50":{"n":[-1.50],"s":"-1.50"},"#,
        "\n",
        r#""true":{"n":[true],"s":"true"}"#,
        "\n}\n",
    ];
    assert_eq!((dir.read("out.json"), server.count()), (out.concat(), 3), "{}", ended.stderr);
    let failed = dir.read("out.failed.csv");
    // A comma would be a delimiter.
    let why = "column `sku` is outside quotes in the body  and is not a JSON number  true or false";
    assert_eq!(failed.matches(why).count(), wrong.len(), "{failed}");

    let body = r#"{"shop":${SHOP},"s":"{sku}"}"#;
    let run = |shop, code| {
        let run = run_with_url(&dir, &server.url("/p"), ["--body", body, "--fresh"]);
        run.env("SHOP", shop).finish().expect_code(code)
    };
    run("12", 0);
    let ended = run("a1", 2);
    for message in ["variable SHOP, which is outside quotes", "\"${SHOP}\""] {
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
    }
    assert_eq!(server.count(), 14);
    let ended =
        run_with_url(&dir, &server.url("/p"), ["--body", r#"{"s":"\{sku}"}"#]).finish().expect_code(2);
    assert!(ended.stderr.contains("a literal \\ is written \\\\"), "{}", ended.stderr);
}

#[test]
fn another_charset_than_utf8_is_refused_before_any_request_where_a_value_goes_into_the_body() {
    let server = ScriptedServer::echo();
    let dir = skus(&["é"]);
    let run = |kind: &str, body: &str, code| {
        let args = ["-H", &format!("Content-Type: {kind}"), "--body", body, "--fresh"];
        run_with_url(&dir, &server.url("/{sku}"), args)
            .env("TYPE", "text/xml; charset=utf-16")
            .finish()
            .expect_code(code)
    };
    let form = "application/x-www-form-urlencoded; charset=";
    for (kind, body, shown) in [
        (&*format!("{form}iso-8859-1"), "q={sku}", "the Content-Type declares the charset `iso-8859-1`"),
        (&*format!("{form}\"Windows-1252\""), "q=${TYPE}", "the charset `Windows-1252`"),
        ("text/xml;charset=utf-16", "<a>{sku}</a>", "the charset `utf-16`"),
        ("text/plain; charset='shift_jis'", "{sku}", "the charset `shift_jis`"),
        ("application/json; charset=latin1", "\"{sku}\"", "the charset `latin1`"),
        (
            "text/xml",
            "<?xml version='1.0' encoding='ISO-8859-1'?><a>{sku}</a>",
            "XML declaration declares the charset",
        ),
    ] {
        let ended = run(kind, body, 2);
        assert!(ended.stderr.contains(shown), "{kind}: {}", ended.stderr);
        let hint = if body.starts_with("<?") { "write encoding=\"UTF-8\"" } else { "write charset=utf-8" };
        assert!(ended.stderr.contains(hint), "{kind}: {}", ended.stderr);
    }
    for kind in ["${TYPE}", "text/xml; charset={sku}"] {
        let args = ["-H", &format!("Content-Type: {kind}"), "--body", "{sku}", "--body-escape", "none"];
        let run = run_with_url(&dir, &server.url("/{sku}"), args).env("TYPE", "text/xml; charset=utf-16");
        let ended = run.finish().expect_code(2);
        assert!(
            ended.stderr.contains("write charset=utf-8") && !ended.stderr.contains("utf-16"),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(server.connections(), 0);
    run("text/plain; charset=UTF8", "{sku}", 0);
    run("text/plain; charset=us-ascii", "{sku}", 0);
    run(&format!("{form}iso-8859-1"), "q=1", 0);
    run("text/xml", "<?xml version='1.0' encoding='latin1'?><a/>", 0);
}

#[test]
fn the_body_escape_may_be_set_in_the_environment_or_the_file_and_a_wrong_one_is_named() {
    let server = ScriptedServer::echo();
    let dir = skus(&["a b"]);
    dir.write(
        "config.toml",
        "[request]\nbody-escape = 'form'\nbody = 'q={sku}'\nheader = ['Content-Type: x/y']\n",
    );
    run_with_url(&dir, &server.url("/p"), [""; 0]).finish().expect_code(0);
    run_with_url(&dir, &server.url("/p"), ["--fresh"])
        .env("SKUFETCH_BODY_ESCAPE", "none")
        .finish()
        .expect_code(0);
    let bodies: Vec<_> = server.requests().iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(bodies, [&b"q=a%20b"[..], b"q=a b"]);
    let wrong = run_with_url(&dir, &server.url("/p"), ["--body-escape", "html"]).finish().expect_code(2);
    assert!(wrong.stderr.contains("json, form, xml or none"), "{}", wrong.stderr);
    dir.write("config.toml", "[request]\nbody = 'q={sku}'\nheader = ['Content-Type: x/y']\n");
    run_with_url(&dir, &server.url("/p"), [""; 0]).finish().expect_code(78);
    run_with_url(&skus(&["1"]), &server.url("/{sku}"), ["--body-escape", "form"]).finish().expect_code(2);
}

#[test]
fn a_character_that_xml_cannot_carry_fails_its_row_and_no_request_is_sent_for_it() {
    let (dir, server) =
        (skus(&["good", "a\u{1}b", "tab\tand\r\nline"]), ScriptedServer::start(|_| Reply::json("1")));
    let args = ["-H", "Content-Type: text/xml", "--body", "<a b='{sku}'>{sku}</a>", "-c1"];
    let ended = run_with_url(&dir, &server.url("/p"), args).finish().expect_code(1);
    let bodies: Vec<_> =
        server.requests().iter().map(|seen| String::from_utf8(seen.body.clone()).unwrap()).collect();
    let escaped = "tab&#9;and&#13;&#10;line";
    assert_eq!(bodies, ["<a b='good'>good</a>".to_owned(), format!("<a b='{escaped}'>{escaped}</a>")]);
    assert!(ended.stderr.contains("U+0001") || ended.stderr.contains("XML cannot carry"), "{}", ended.stderr);
    assert!(dir.read("out.failed.csv").contains("a\u{1}b"));
}

#[test]
fn no_placeholder_is_accepted_in_cdata_where_nothing_is_escaped() {
    let (dir, server) = (skus(&["1"]), ScriptedServer::echo());
    let args = ["-H", "Content-Type: text/xml", "--body", "<a><![CDATA[{sku}]]></a>"];
    let ended = run_with_url(&dir, &server.url("/p"), args).finish().expect_code(2);
    assert!(ended.stderr.contains("CDATA"), "{}", ended.stderr);
    run_with_url(&dir, &server.url("/p"), args).args(["--body-escape", "none"]).finish().expect_code(0);
    assert_eq!(server.requests()[0].body, b"<a><![CDATA[1]]></a>");
}

#[test]
fn braces_are_literal_except_for_a_column_and_a_doubled_column() {
    for (body, expected) in [
        (r#"{"a":{"b":"{sku}"}}"#, r#"{"a":{"b":"7"}}"#),
        (r#"{"a":{"b":{sku}}}"#, r#"{"a":{"b":7}}"#),
        (r#"{"q":"{p(id:{sku}){nodes{{sku}}}}"}"#, r#"{"q":"{p(id:7){nodes{sku}}}"}"#),
        (r#"{"q":"{{p(id:{sku}){x}}}"}"#, r#"{"q":"{{p(id:7){x}}}"}"#),
        ("{{{sku}}} {sku}", "{{sku}} 7"),
        ("{{sku} {sku}} {{ sku }} {}", "{7 7} {{ sku }} {}"),
        ("${{sku}} $ {sku}", "${sku} $ 7"),
    ] {
        let args = ["--body", body, "-X", "POST"];
        assert_eq!(sent(&["7"], &args), [expected.as_bytes()], "{body}");
    }
    let (dir, server) = (skus(&["7"]), ScriptedServer::echo());
    let ended = run_with_url(&dir, &server.url("/p"), ["--body", "{{sku}}"]).finish().expect_code(2);
    assert!(ended.stderr.contains("the value of the column is {sku}"), "{}", ended.stderr);
    // In URL and headers every brace must mean something, and doubled ones mean one.
    run_with_url(&dir, &server.url("/{{sku}}/{sku}"), ["-H", "X-A: {{sku}} {{{sku}}}"])
        .finish()
        .expect_code(0);
    assert_eq!(server.requests()[0].target, "/%7Bsku%7D/7");
    assert_eq!(server.requests()[0].header("x-a"), Some("{sku} {7}"));
}

#[test]
fn the_line_end_of_a_files_last_line_is_no_part_of_a_forms_value() {
    let dir = skus(&["7"]);
    dir.write("query", "a=1&q={sku}\r\n");
    let server = ScriptedServer::echo();
    for (kind, expected) in [(FORM, &b"a=1&q=7"[..]), ("Content-Type: text/plain", b"a=1&q=7\r\n")] {
        run_with_url(&dir, &server.url("/p"), ["--body", "@query", "--fresh", "-H", kind])
            .finish()
            .expect_code(0);
        assert_eq!(server.requests().last().unwrap().body, expected);
    }
}

#[test]
fn answers_to_requests_with_another_escape_are_not_used() {
    let dir = skus(&["a b", "fail"]);
    let server = ScriptedServer::start(|seen| {
        let fails = String::from_utf8_lossy(&seen.body).contains("fail");
        if fails { Reply::status(404) } else { Reply::json("1") }
    });
    let run = |args: &[&str], code| {
        let before = server.count();
        let args = [&["-c1", "--min-success", "90", "--body", "q={sku}"], args].concat();
        run_with_url(&dir, &server.url("/p"), args).finish().expect_code(code);
        server.count() - before
    };
    assert_eq!(run(&["-H", FORM], 69), 2);
    assert_eq!(run(&["-H", FORM], 69), 1, "the answer counts");
    assert_eq!(run(&["-H", "Content-Type: text/plain"], 69), 2, "and not for another body");
    let plain = ["-H", "Content-Type: text/plain", "--body-escape", "none"];
    assert_eq!(run(&plain, 69), 1, "the same body by another word");
    assert_eq!(run(&["--body-escape", "none"], 69), 2, "another type");
    assert_eq!(run(&["-H", "content-type:application/json", "--body-escape", "none"], 69), 1, "the default");
    assert_eq!(run(&["--body-escape", "xml"], 69), 2);
}

#[test]
fn a_body_without_a_type_that_is_not_json_is_warned_about_once_and_its_rows_name_the_content_type() {
    const WARNING: &str = "warning: the body is not JSON, but is sent as application/json: ";
    for (args, warns) in [
        (&["--body", "isbns={sku}"][..], true),
        (&["--body", "isbns={sku}", "--dry-run"], true),
        (&["--body", "isbns={sku}", "-H", FORM], false),
        (&["--body", "isbns={sku}", "--body-escape", "form"], false),
        (&["--body", "isbns={sku}", "-H", "Content-Type: application/json"], false),
        (&["--body", "{\"isbns\":[{sku}]}\n{}"], false),
    ] {
        let (dir, server) = (skus(&["1", "2"]), ScriptedServer::start(|_| Reply::json("1")));
        let ended = run_with_url(&dir, &server.url("/p"), args).finish().expect_code(0);
        assert_eq!(ended.stderr.matches(WARNING).count(), usize::from(warns), "{args:?}: {}", ended.stderr);
        if warns {
            assert!(
                ended.stderr.contains(FORM) && ended.stderr.contains("--body-escape"),
                "{}",
                ended.stderr
            );
        }
    }
    let (dir, server) = (skus(&["A"]), ScriptedServer::echo());
    let args = ["--body", "isbns={sku}", "--min-success", "0"];
    let ended = run_with_url(&dir, &server.url("/p"), args).finish().expect_code(1);
    assert_eq!(server.count(), 0);
    let message = "in the body, which is sent as application/json as no Content-Type was given, and is not a JSON number";
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
    let args = ["--body", "key=${KEY}&isbns={sku}"];
    let ended = run_with_url(&dir, &server.url("/p"), args).env("KEY", "canary").finish().expect_code(2);
    assert!(ended.stderr.contains(FORM) && !ended.stderr.contains("canary"), "{}", ended.stderr);
}

#[test]
fn the_byte_order_mark_of_a_file_is_no_part_of_the_body() {
    let (dir, server) = (skus(&["A"]), ScriptedServer::start(|_| Reply::json("1")));
    dir.write("query.json", "\u{feff}{\"sku\":\"{sku}\"}");
    let ended = run_with_url(&dir, &server.url("/p"), ["--body", "@query.json"]).finish().expect_code(0);
    assert_eq!(server.requests()[0].body, b"{\"sku\":\"A\"}");
    assert!(!ended.stderr.contains("not JSON"), "{}", ended.stderr);
}
