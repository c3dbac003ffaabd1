//! Bodies in the character encoding that their server declares or marks: what is kept is UTF-8, or nothing is.

use crate::requests::run_with_url;
use crate::support::{Ended, Reply, Script, ScriptedServer, WorkDir};

/// A `Content-Type` (none where empty), and a body.
type Answer = (&'static str, Vec<u8>);

/// Asks for as many SKUs as there are answers, numbered from 0.
fn answered(answers: &[Answer], args: &[&str]) -> (WorkDir, ScriptedServer, Ended) {
    let dir = WorkDir::new();
    dir.write_skus((0..answers.len()).map(|n| n.to_string()));
    let script = answers.iter().enumerate().fold(Script::new(), |script, (sku, (kind, body))| {
        let reply = Reply::bytes(body.clone());
        let reply = if kind.is_empty() { reply } else { reply.header("Content-Type", *kind) };
        script.for_sku(&sku.to_string(), [reply])
    });
    let server = ScriptedServer::script(script);
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).args(["--min-success", "0"]).finish();
    (dir, server, ended)
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

/// What is stored of these, in order.
fn stored(answers: &[Answer], args: &[&str]) -> Vec<String> {
    let (dir, _, ended) = answered(answers, args);
    ended.expect_code(0);
    let out = dir.read("out.json");
    let lines = out.lines().filter_map(|line| line.strip_prefix('"'));
    lines.map(|line| line.split_once("\":").unwrap().1.trim_end_matches(',').to_owned()).collect()
}

#[test]
fn json_is_decoded_from_what_content_type_declares_and_not_from_what_it_could_be() {
    let answers: Vec<Answer> = vec![
        // Both are valid UTF-8 for another text.
        ("application/json; charset=iso-8859-1", b"{\"n\":\"\xc3\xa9\"}".to_vec()),
        ("application/json;charset=GB2312", b"{\"n\":\"\xc4\xa3\xca\xbd\"}".to_vec()),
        ("application/vnd.api+json; v=\"1;2\"; CHARSET=\"Windows-1252\"", b"[\"\x80 1.10\", 1.10 ]".to_vec()),
        ("text/plain; charset=shift_jis", b"\"\x83\x5c\\n\"".to_vec()),
        ("application/json; charset=utf-16be", utf16("{\"é\": 1}", u16::to_be_bytes)),
        ("application/json; charset=utf-8", "\"é\"".into()),
        ("application/json; charset=UTF8", "\"é\"".into()),
        ("application/json; charset=\"\"", "\"é\"".into()),
        ("application/json; charset=us-ascii", b"\"e\"".to_vec()),
        ("", "\"é\"".into()),
        // Without a declaration JSON can be nothing else.
        ("application/json", utf16("[\"é\"]", u16::to_le_bytes)),
        ("", utf16("[\"é\"]", u16::to_be_bytes)),
    ];
    let expected = [
        "{\"n\":\"Ã©\"}",
        "{\"n\":\"模式\"}",
        "[\"€ 1.10\",1.10]",
        "\"ソ\\n\"",
        "{\"é\":1}",
        "\"é\"",
        "\"é\"",
        "\"é\"",
        "\"e\"",
        "\"é\"",
        "[\"é\"]",
        "[\"é\"]",
    ];
    assert_eq!(stored(&answers, &[]), expected);
    assert_eq!(stored(&answers[..2], &["--select", ".n"]), ["\"Ã©\"", "\"模式\""]);
}

#[test]
fn a_byte_order_mark_wins_over_the_declaration() {
    let answers: Vec<Answer> =
        ["", "application/json; charset=iso-8859-1", "application/json; charset=x-unheard-of"]
            .into_iter()
            .flat_map(|kind| {
                [
                    (kind, "\u{feff}\"é\"".as_bytes().to_vec()),
                    (kind, utf16("\u{feff}\"é\"", u16::to_le_bytes)),
                    (kind, utf16("\u{feff}\"é\"", u16::to_be_bytes)),
                ]
            })
            .collect();
    assert_eq!(stored(&answers, &[]), ["\"é\""; 9]);
    assert_eq!(stored(&answers, &["--body-as", "text"]), ["\"\\\"é\\\"\""; 9]);
}

#[test]
fn text_is_decoded_too() {
    let answers: Vec<Answer> = vec![
        ("text/csv; charset=iso-8859-15", b"\xa4 \"1\"\n".to_vec()),
        ("text/plain; charset=koi8-r", b"\xcd\xc9\xd2".to_vec()),
        ("text/plain; charset=iso-8859-1", b"\xc3\xa9".to_vec()),
        ("text/plain", "é".into()),
        ("text/plain; charset=gbk", Vec::new()),
    ];
    let expected = ["\"€ \\\"1\\\"\\n\"", "\"мир\"", "\"Ã©\"", "\"é\"", "\"\""];
    assert_eq!(stored(&answers, &["--body-as", "text"]), expected);
}

#[test]
fn what_cannot_be_decoded_fails_its_sku_alone_without_a_retry_and_says_why() {
    let answers: Vec<Answer> = vec![
        ("application/json; charset=klingon", b"\"a\"".to_vec()),
        ("application/json; charset=binary", b"\"a\"".to_vec()),
        ("application/json; charset=utf-32", b"\"a\"".to_vec()),
        ("application/json; charset=utf-8; charset=gbk", b"\"a\"".to_vec()),
        ("application/json; charset=us-ascii", b"\"\xc3\xa9\"".to_vec()),
        ("application/json; charset=euc-jp", b"\"\xff\" ".to_vec()),
        ("application/json; charset=utf-8", b"\"\xe9\"".to_vec()),
        ("application/json", b"\0\0\0\"".to_vec()),
        ("application/json", b"\"good\"".to_vec()),
    ];
    let (dir, server, ended) = answered(&answers, &[]);
    let ended = ended.expect_code(1);
    assert_eq!(server.count(), answers.len(), "{}", ended.stderr);
    assert_eq!(dir.read("out.json"), "{\n\"8\":\"good\"\n}\n");
    let failed = dir.read("out.failed.csv");
    let reasons = [
        "charset `klingon`",
        "charset `binary`",
        "charset `utf-32`",
        "charset `utf-8` and charset `gbk`",
        "not valid us-ascii",
        "not valid euc-jp",
        "invalid UTF-8",
        "UTF-32",
    ];
    for (row, why) in failed.lines().skip(1).zip(reasons) {
        assert!(row.contains(why), "{row} without {why}");
    }
    let (_, server, ended) = answered(&answers[4..7], &["--body-as", "text"]);
    ended.expect_code(1);
    assert_eq!(server.count(), 3);
}

#[test]
fn several_content_types_that_disagree_fail_and_one_without_a_charset_does_not() {
    for (second, expected) in [
        ("application/json; charset=gbk", None),
        ("application/json; charset=latin1", Some("{\n\"0\":\"é\"\n}\n")),
        ("application/json", Some("{\n\"0\":\"é\"\n}\n")),
    ] {
        let dir = WorkDir::new();
        dir.write_skus(["0"]);
        let server = ScriptedServer::start(move |_| {
            Reply::bytes(*b"\"\xe9\"")
                .header("Content-Type", "application/json; charset=iso-8859-1")
                .header("Content-Type", second)
        });
        let run = run_with_url(&dir, &server.url("/p/{sku}"), ["--min-success", "0"]);
        run.finish().expect_code(i32::from(expected.is_none()));
        assert_eq!(dir.read("out.json"), expected.unwrap_or("{\n}\n"), "{second}");
    }
}

#[test]
fn the_limit_is_of_the_decoded_body_and_content_codings_are_removed_first() {
    let dir = WorkDir::new();
    dir.write_skus(["0", "1"]);
    let text = |length: usize| {
        let body = [b"\"".to_vec(), vec![0x80; length], b"\"".to_vec()].concat();
        Reply::bytes(body).header("Content-Type", "application/json; charset=windows-1252").gzip()
    };
    let server = ScriptedServer::script(Script::new().for_sku("0", [text(300)]).for_sku("1", [text(400)]));
    let args = ["--max-body", "1KiB", "--min-success", "0"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert_eq!(dir.read("out.json"), format!("{{\n\"0\":\"{}\"\n}}\n", "€".repeat(300)));
    assert!(ended.stderr.contains("larger than --max-body 1KiB"), "{}", ended.stderr);
}

#[test]
fn what_a_failure_quotes_of_a_body_is_decoded() {
    let dir = WorkDir::new();
    dir.write_skus(["0", "1"]);
    let latin = |body: &[u8]| Reply::bytes(body).header("Content-Type", "text/html; charset=iso-8859-1");
    let server = ScriptedServer::script(
        Script::new()
            .for_sku("0", [latin(b"nicht verf\xfcgbar").with_status(404)])
            .for_sku("1", [latin(b"<p>Gr\xfc\xdfe</p>")]),
    );
    run_with_url(&dir, &server.url("/p/{sku}"), ["--min-success", "0"]).finish().expect_code(1);
    let failed = dir.read("out.failed.csv");
    assert!(failed.contains("nicht verfügbar") && failed.contains("an HTML page: Grüße"), "{failed}");
}
