//! What is sent to the API: values that arrive as they are in the CSV, or no request at all.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use crate::support::reply::echo_body;
use crate::support::{Reply, Run, ScriptedServer, WorkDir};

/// A run over `products.csv` to `out.json`.
pub fn run_with_url<'a, S: AsRef<OsStr>>(
    dir: &'a WorkDir,
    url: &str,
    args: impl IntoIterator<Item = S>,
) -> Run<'a> {
    Run::new(dir).args(["products.csv", "-o", "out.json", "--url", url]).args(args)
}

/// Values that an encoder, a URL parser or a server may trip over, and that may all be requested.
const ODD: [&str; 27] = [
    "00123",
    "a b",
    "a/b",
    "..x/y..",
    "..%2f",
    "%2e%2e",
    "%",
    "%zz",
    "?q=1",
    "#top",
    "a+b",
    "a&b=c",
    "a;b,c",
    "\\...\\",
    "...",
    "a..",
    "'\"<>`",
    "{sku}",
    "[::1]",
    "@host:80",
    "http://evil/",
    "~-._",
    "éü",
    "日本語",
    "😀",
    "\u{a0}x\u{feff}",
    "e\u{301}",
];

#[test]
fn the_server_decodes_exactly_the_value_wherever_it_is_in_path_or_query() {
    let dir = WorkDir::new();
    dir.write_skus(ODD);
    let wanted: BTreeSet<Vec<u8>> = ODD.iter().map(|sku| sku.as_bytes().to_vec()).collect();
    for (template, segments) in
        [("/p/{sku}", 2), ("/p/{sku}/stock", 3), ("/p/p-{sku}.json", 2), ("/p?id={sku}&x=1", 1)]
    {
        let server = ScriptedServer::start(|_| Reply::json("1"));
        run_with_url(&dir, &server.url(template), [""; 0]).finish().expect_code(0);
        let decoded: BTreeSet<Vec<u8>> = server
            .requests()
            .iter()
            .map(|seen| {
                assert_eq!(seen.segments().len(), segments, "{}", seen.target);
                assert_eq!(seen.header("host"), Some(server.addr().to_string().as_str()));
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%?=&".contains(&byte);
                assert!(seen.target.bytes().all(plain), "{}", seen.target);
                if let Some(value) = seen.query_value("id") {
                    return value;
                }
                let segment = seen.segments().swap_remove(1);
                let inner = segment.strip_prefix(b"p-").and_then(|it| it.strip_suffix(b".json"));
                inner.map_or(segment.clone(), <[u8]>::to_vec)
            })
            .collect();
        assert_eq!(decoded, wanted, "{template}");
    }
}

#[test]
fn every_key_holds_the_answer_to_its_own_request() {
    let dir = WorkDir::new();
    dir.write_skus(ODD);
    let server = ScriptedServer::echo();
    run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "8"]).finish().expect_code(0);
    let lines: Vec<String> =
        ODD.iter().map(|sku| format!("{}:{}", serde_json::to_string(sku).unwrap(), echo_body(sku))).collect();
    assert_eq!(dir.read("out.json"), format!("{{\n{}\n}}\n", lines.join(",\n")));
}

#[test]
fn a_value_that_cannot_be_sent_as_it_is_fails_its_row_without_a_request() {
    let long = "x".repeat(257);
    let refused = [".", "..", "a\tb", "a\nb", "a\r\nb", "\u{1}", "\u{7f}", "a\u{85}b", &long];
    let dir = WorkDir::new();
    dir.write_skus(refused.iter().copied().chain(["good"]));
    let server = ScriptedServer::echo();
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--min-success", "0"]).finish().expect_code(1);
    let requested: Vec<_> = server.requests().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(requested, ["/p/good"], "{}", ended.stderr);
    assert!(server.stray().is_empty());
    assert!(ended.stderr.contains("1 fetched, 9 failed"), "{}", ended.stderr);
    let mut failed = csv::Reader::from_reader(dir.bytes("out.failed.csv").leak() as &[u8]);
    assert_eq!(failed.records().count(), refused.len());
}

#[test]
fn a_value_of_256_bytes_is_requested_and_bytes_are_counted_before_the_encoding() {
    let (most, over) = ("é".repeat(128), format!("{}x", "é".repeat(128)));
    let dir = WorkDir::new();
    dir.write_skus([&most, &over]);
    let server = ScriptedServer::echo();
    run_with_url(&dir, &server.url("/p?q={sku}"), [""; 0]).finish().expect_code(1);
    let requested: Vec<_> = server.requests().iter().map(|seen| seen.query_value("q").unwrap()).collect();
    assert_eq!(requested, [most.into_bytes()]);
}

#[test]
fn dots_are_refused_only_where_they_are_a_whole_segment() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,a,b\n1,.,.\n2,.,x\n3,,\n4,..,..\n");
    for (template, requested) in [
        ("/p/{a}{b}/{sku}", vec!["/p/.x/2", "/p/..../4"]),
        ("/p/.{a}/{sku}", vec!["/p/.../4"]),
        ("/p/v{a}/{sku}", vec!["/p/v./1", "/p/v./2", "/p/v../4"]),
        ("/p/{sku}?at={a}", vec!["/p/1?at=.", "/p/2?at=.", "/p/4?at=.."]),
    ] {
        let server = ScriptedServer::echo();
        run_with_url(&dir, &server.url(template), ["-c1", "--min-success", "0"]).finish().expect_code(1);
        let targets: Vec<_> = server.requests().iter().map(|seen| seen.target.clone()).collect();
        assert_eq!(targets, requested, "{template}");
    }
}

/// What climbs out of its place on a server that decodes before it resolves dots.
const CLIMBING: [&str; 8] =
    ["../../internal/metrics", "a/../1", "x/..", "a/./b", "./x", "a\\..\\b", "..\\x", "a/..\\b"];

#[test]
fn a_value_that_climbs_out_of_its_place_in_the_path_fails_its_row_without_a_request() {
    let dir = WorkDir::new();
    dir.write_skus(CLIMBING.into_iter().chain(["1"]));
    let server = ScriptedServer::echo();
    let ended =
        run_with_url(&dir, &server.url("/p/{sku}/info"), ["--min-success", "0"]).finish().expect_code(1);
    let requested: Vec<_> = server.requests().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(requested, ["/p/1/info"], "{}", ended.stderr);
    let failed = dir.read("out.failed.csv");
    for value in CLIMBING {
        assert!(failed.contains(&format!("`{}`", value.escape_debug())), "{value}: {failed}");
    }
    assert!(failed.contains("column `sku` makes a path segment `.` or `..`"), "{failed}");

    // In the query nothing resolves it.
    let server = ScriptedServer::echo();
    run_with_url(&dir, &server.url("/p?q={sku}"), ["--fresh"]).finish().expect_code(0);
    let mut asked: Vec<_> = server.requests().iter().map(|seen| seen.query_value("q").unwrap()).collect();
    asked.sort_unstable();
    let mut wanted: Vec<_> = CLIMBING.iter().chain(&["1"]).map(|value| value.as_bytes().to_vec()).collect();
    wanted.sort_unstable();
    assert_eq!(asked, wanted);
}

#[test]
fn values_that_climb_only_together_fail_their_row_as_well() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,a,b\n1,x/.,./y\n2,x/,..\n3,/x,x\n4,x\\,.\n5,a/b,c\n");
    for (template, requested) in [
        ("/p/{a}{b}/{sku}", vec!["/p/%2Fxx/3", "/p/a%2Fbc/5"]),
        ("/p/..{a}-{sku}", vec!["/p/..x%2F.-1", "/p/..x%2F-2", "/p/..x%5C-4", "/p/..a%2Fb-5"]),
        ("/p/{b}{a}{b}/{sku}", vec!["/p/x%2Fxx/3", "/p/ca%2Fbc/5"]),
    ] {
        let server = ScriptedServer::echo();
        let args = ["-c1", "--min-success", "0", "--fresh"];
        run_with_url(&dir, &server.url(template), args).finish().expect_code(1);
        let targets: Vec<_> = server.requests().iter().map(|seen| seen.target.clone()).collect();
        assert_eq!(targets, requested, "{template}");
    }
}

#[test]
fn slashes_in_a_row_are_sent_and_warned_about_once() {
    let dir = WorkDir::new();
    dir.write_skus(["/x", "1", "a//b", "a/b", "..;/x"]);
    let server = ScriptedServer::echo();
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c1"]).finish().expect_code(0);
    let targets: Vec<_> = server.requests().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(targets, ["/p/%2Fx", "/p/1", "/p/a%2F%2Fb", "/p/a%2Fb", "/p/..%3B%2Fx"]);
    let about = |what: &str| ended.stderr.lines().filter(|line| line.contains(what)).count();
    assert_eq!(about("2 SKUs put a second slash into the path of their URL, the first is `/x` (line 2)"), 1);
    assert_eq!(about("second slash"), 1, "{}", ended.stderr);
    assert_eq!(about("1 SKU hides a `.` or `..` in the path of its URL: `..;/x` (line 6)"), 1);
    let planned = run_with_url(&dir, &server.url("/p/{sku}"), ["--dry-run"]).finish().expect_code(0);
    assert!(planned.stdout().contains("second slash"), "{}", planned.stdout());
    let ended = run_with_url(&dir, &server.url("/p?q={sku}"), ["-c1"]).finish().expect_code(0);
    assert!(!ended.stderr.contains("second slash"), "{}", ended.stderr);
}

#[test]
fn a_column_is_refused_in_scheme_host_and_port() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let server = ScriptedServer::echo();
    let port = server.addr().port();
    for template in [
        "{sku}://127.0.0.1/p".to_owned(),
        "http://{sku}/p".into(),
        format!("http://{{sku}}.0.0.1:{port}/p"),
        "http://127.0.0.1:{sku}/p".into(),
        format!("http://127.0.0.1:{port}{{sku}}"),
        format!("http://{{sku}}@127.0.0.1:{port}/p"),
    ] {
        run_with_url(&dir, &template, [""; 0]).finish().expect_code(2);
    }
    assert_eq!((server.count(), server.connections()), (0, 0));
}

#[test]
fn a_sku_is_text_and_no_number() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku\n007\n1.23E+12\nAbC\n in  ner \n1e3\n");
    let server = ScriptedServer::echo();
    run_with_url(&dir, &server.url("/p/{sku}"), ["-c1"]).finish().expect_code(0);
    let requested: Vec<_> = server.requests().iter().map(|seen| seen.sku.clone()).collect();
    assert_eq!(requested, ["007", "1.23E+12", "AbC", " in  ner ", "1e3"]);
}

#[test]
fn a_sku_in_several_rows_is_requested_once_and_its_first_row_counts() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,shop\nA,1\nB,1\nA,2\nA,1\nB,1\n");
    let server = ScriptedServer::echo();
    let ended = run_with_url(&dir, &server.url("/p/{sku}?shop={shop}"), ["-c1"]).finish().expect_code(0);
    let requested: Vec<_> = server.requests().iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(requested, ["/p/A?shop=1", "/p/B?shop=1"]);
    assert!(ended.stderr.contains("3 repeats"), "{}", ended.stderr);
    assert!(ended.stderr.contains("line 4"), "the one that differs: {}", ended.stderr);
}

#[test]
fn requests_name_the_program_accept_json_and_compression_and_reuse_connections() {
    let dir = WorkDir::new();
    dir.write_skus((0..60).map(|n| n.to_string()));
    let server = ScriptedServer::echo();
    run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "3"]).finish().expect_code(0);
    for seen in server.requests() {
        assert_eq!(seen.method, "GET");
        assert_eq!(seen.header_values("user-agent"), [concat!("skufetch/", env!("CARGO_PKG_VERSION"))]);
        assert_eq!(seen.header_values("accept"), ["application/json"]);
        assert_eq!(seen.header_values("accept-encoding"), ["gzip, br, zstd, deflate"]);
        assert_eq!((seen.header("referer"), seen.header("content-type")), (None, None));
        assert_eq!(seen.header("authorization"), None);
    }
    // A connection that was begun and then not needed is kept beside the three.
    assert!(server.connections() <= 6, "{} connections", server.connections());
}

#[test]
fn compressed_answers_are_kept_as_the_plain_ones() {
    let dir = WorkDir::new();
    dir.write_skus(["gzip", "br", "zstd", "deflate", "identity", "members", "raw"]);
    let server = ScriptedServer::start(|seen| {
        let plain = Reply::echo(seen);
        match seen.sku.as_str() {
            "gzip" => plain.gzip(),
            "br" => plain.brotli(),
            "zstd" => plain.zstd().chunked(),
            "deflate" => plain.deflate(),
            "raw" => plain.encoded("deflate", crate::support::encode::raw_deflate),
            "members" => plain
                .encoded("gzip", |content| crate::support::encode::gzip_members(content, 3))
                .chunked()
                .drip(7, std::time::Duration::from_millis(1)),
            _ => plain.header("Content-Encoding", "identity"),
        }
    });
    run_with_url(&dir, &server.url("/p/{sku}"), ["--retries", "0"]).finish().expect_code(0);
    for line in ["gzip", "br", "zstd", "deflate", "identity", "members", "raw"] {
        assert!(dir.read("out.json").contains(&format!("\"{line}\":{}", echo_body(line))), "{line}");
    }
}

#[test]
fn user_info_in_the_template_becomes_basic_authorisation() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let server = ScriptedServer::echo();
    let url = server.url("/p/{sku}").replace("http://", "http://us%40er:${PW}@");
    run_with_url(&dir, &url, [""; 0]).env("PW", "p:a/s@s é").finish().expect_code(0);
    let requests = server.requests();
    // base64 of `us@er:p:a/s@s é`
    assert_eq!(requests[0].header_values("authorization"), ["Basic dXNAZXI6cDphL3NAcyDDqQ=="]);
    assert_eq!(requests[0].header("host"), Some(server.addr().to_string().as_str()));
}

#[test]
fn an_authorization_header_of_the_user_beats_the_user_info() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let server = ScriptedServer::echo();
    let url = server.url("/p/{sku}").replace("http://", "http://a:b@");
    run_with_url(&dir, &url, ["-H", "Authorization: Bearer t"]).finish().expect_code(0);
    assert_eq!(server.requests()[0].header_values("authorization"), ["Bearer t"]);
}
