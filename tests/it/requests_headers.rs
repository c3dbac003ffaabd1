//! Headers and bodies that the user gives.

use crate::requests::run_with_url;
use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir};

#[test]
fn a_header_value_holds_columns_and_variables() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,shop\nA,7\nB,é\n");
    let server = ScriptedServer::echo();
    let headers = ["-c1", "-H", "X-Shop: no. {shop} of {sku}", "-H", "Authorization: Bearer ${TOKEN}"];
    run_with_url(&dir, &server.url("/p/{sku}"), headers).env("TOKEN", "t-1").finish().expect_code(0);
    let requests = server.requests();
    let shops: Vec<_> = requests.iter().map(|seen| seen.header_values("x-shop")).collect();
    assert_eq!(shops, [["no. 7 of A"], ["no. é of B"]]);
    assert!(requests.iter().all(|seen| seen.header_values("authorization") == ["Bearer t-1"]));
}

#[test]
fn a_header_of_the_user_replaces_the_programs_own_of_that_name() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,agent\nA,row\n");
    let server = ScriptedServer::echo();
    let headers = ["-H", "user-agent: {agent}-agent", "-H", "ACCEPT: text/plain"];
    run_with_url(&dir, &server.url("/p/{sku}"), headers).finish().expect_code(0);
    let requests = server.requests();
    assert_eq!(requests[0].header_values("user-agent"), ["row-agent"]);
    assert_eq!(requests[0].header_values("accept"), ["text/plain"]);
}

#[test]
fn accept_encoding_can_be_replaced_by_what_is_then_undone() {
    let dir = WorkDir::new();
    dir.write_skus(["A"]);
    let server = ScriptedServer::start(|seen| Reply::echo(seen).gzip());
    let url = server.url("/p/{sku}");
    for value in ["identity", "gzip;q=0.5, br"] {
        let header = format!("Accept-Encoding: {value}");
        run_with_url(&dir, &url, ["-H", &header, "--fresh"]).finish().expect_code(0);
        assert_eq!(server.requests().last().unwrap().header_values("accept-encoding"), [value]);
        assert!(dir.read("out.json").contains("\"A\":{"), "undone: {}", dir.read("out.json"));
    }
    let ended = run_with_url(&dir, &url, ["-H", "Accept-Encoding: compress"]).finish().expect_code(2);
    assert!(ended.stderr.contains("gzip, br, zstd, deflate and identity"), "{}", ended.stderr);
}

#[test]
fn two_values_of_one_header_name_both_arrive_in_order() {
    let dir = WorkDir::new();
    dir.write_skus(["A"]);
    let server = ScriptedServer::echo();
    for (headers, expected) in [
        (["-H", "X-Tag: one", "-H", "x-tag: two"], ["one", "two"]),
        (["-H", "X-Tag: one", "-H", "X-Tag: {sku}"], ["one", "A"]),
        (["-H", "X-Tag: {sku}", "-H", "X-Tag: two"], ["A", "two"]),
        (["-H", "Accept: a/b", "-H", "Accept: c/d"], ["a/b", "c/d"]),
        (["-H", "Accept: a/b", "-H", "Accept: x/{sku}"], ["a/b", "x/A"]),
    ] {
        run_with_url(&dir, &server.url("/p/{sku}"), headers).finish().expect_code(0);
        let seen = server.requests().pop().unwrap();
        let name = headers[1].split(':').next().unwrap();
        assert_eq!(seen.header_values(name), expected, "{headers:?}");
    }
}

#[test]
fn a_control_character_in_a_header_column_fails_its_row_without_a_request() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,shop\nA,\"x\r\nX-Evil: 1\"\nB,\"a\tb\"\nC,\u{1}\nD,ok\n");
    let server = ScriptedServer::echo();
    run_with_url(&dir, &server.url("/p/{sku}"), ["-H", "X-Shop: {shop}", "--min-success", "0"])
        .finish()
        .expect_code(1);
    assert_eq!(server.requests().iter().map(|seen| seen.sku.clone()).collect::<Vec<_>>(), ["D"]);
    assert!(server.stray().is_empty());
}

#[test]
fn a_body_makes_it_a_post_with_its_columns_escaped_and_a_content_type() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,name\nA,\"say \"\"hi\"\"\\ \té\nnext\"\nB,{sku}\n");
    let server = ScriptedServer::echo();
    let body = r#"{"id":"{sku}","name":"{name}","other":{"x":"{unknown}"},"key":"${KEY}"}"#;
    run_with_url(&dir, &server.url("/p/{sku}"), ["-c1", "--body", body])
        .env("KEY", "k\"1")
        .finish()
        .expect_code(0);
    let requests = server.requests();
    for seen in &requests {
        assert_eq!(seen.method, "POST");
        assert_eq!(seen.header_values("content-type"), ["application/json"]);
        assert_eq!(seen.header_values("content-length"), [seen.body.len().to_string()]);
    }
    let bodies: Vec<serde_json::Value> =
        requests.iter().map(|seen| serde_json::from_slice(&seen.body).unwrap()).collect();
    assert_eq!(bodies[0]["name"], "say \"hi\"\\ \té\nnext");
    assert_eq!(bodies[1]["name"], "{sku}", "a value is inserted once and not looked at again");
    assert_eq!(bodies[0]["other"]["x"], "{unknown}", "other braces stand");
    assert_eq!((&bodies[0]["id"], &bodies[0]["key"]), (&"A".into(), &"k\"1".into()));
}

#[test]
fn a_body_is_read_from_a_file_and_method_and_content_type_may_be_chosen() {
    let dir = WorkDir::new();
    dir.write_skus(["A", "<\t"]);
    dir.write("body.xml", "<sku>{sku}</sku>");
    let server = ScriptedServer::echo();
    let args =
        ["-c1", "--body", "@body.xml", "-X", "PUT", "-H", "Content-Type: text/xml", "--min-success", "0"];
    run_with_url(&dir, &server.url("/ask"), args).finish().expect_code(0);
    let requests = server.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].body.as_slice()), ("PUT", &b"<sku>A</sku>"[..]));
    assert_eq!(requests[0].header_values("content-type"), ["text/xml"]);
    assert_eq!(requests[1].body, b"<sku>&lt;&#9;</sku>");
}

#[test]
fn a_method_without_a_body_is_sent_as_it_is() {
    let dir = WorkDir::new();
    dir.write_skus(["A"]);
    let server = ScriptedServer::echo();
    run_with_url(&dir, &server.url("/p/{sku}"), ["-X", "REPORT"]).finish().expect_code(0);
    let seen = server.requests().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.body.len(), seen.header("content-type")), ("REPORT", 0, None));
}

#[test]
fn a_post_is_retried_with_the_same_body_and_the_help_says_that_it_may_act_twice() {
    let dir = WorkDir::new();
    dir.write_skus(["A"]);
    let server = ScriptedServer::script(Script::new().first([Reply::status(500)]));
    run_with_url(&dir, &server.url("/p/{sku}"), ["--body", "\"b-{sku}\""]).finish().expect_code(0);
    let bodies: Vec<_> = server.requests().iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(bodies, [b"\"b-A\"", b"\"b-A\""]);
    let help = Run::new(&dir).args(["--help"]).finish().expect_code(0);
    assert!(help.stdout().contains("retried POST may act twice"), "{}", help.stdout());
}
