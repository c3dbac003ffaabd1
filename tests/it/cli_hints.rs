//! Mistakes that a first run makes, and the message that leads on in one step: what to type next.

use std::process::Command;

use crate::support::raw::RawServer;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Reply, Run, ScriptedServer, WorkDir, closed_port};

const URL: &str = "http://127.0.0.1:1/p/{sku}";

fn skus() -> WorkDir {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,name\nA,x\nB,y\n");
    dir
}

/// Each line of arguments, the exit code, and parts of what is said. No request is sent, and no file is made.
#[test]
fn a_mistake_is_answered_with_what_to_type() {
    let url = &["products.csv", "-o", "out.json", "-u", URL][..];
    let without_url = |address: &'static str| vec!["products.csv", "-o", "out.json", "-u", address];
    let to = |output: &'static str| vec!["products.csv", "-u", URL, "-o", output];
    let with = |more: [&'static str; 2]| [url, &more].concat();
    let cases: Vec<(Vec<&str>, i32, &[&str])> = vec![
        // The address without -u.
        (
            vec!["products.csv", URL, "-o", "out.json"],
            2,
            &["an address is given", "--url 'http://127.0.0.1:1/p/{sku}'"],
        ),
        (vec![URL, "products.csv", "-o", "out.json"], 2, &["an address is given", "write --url before it"]),
        (vec!["-o", "out.json", URL], 2, &["INPUT is an address", "skufetch products.csv --url 'http://127"]),
        // ${sku} and other notations of a column.
        (
            without_url("http://127.0.0.1:1/p/${sku}"),
            2,
            &["variable sku, which is not set", "for the column write {sku}"],
        ),
        (without_url("http://127.0.0.1:1/p/${PRODUCT}"), 2, &["set PRODUCT in the environment", "{PRODUCT}"]),
        (without_url("http://127.0.0.1:1/p/:sku"), 2, &["in place of `:sku` write {sku}, in single quotes"]),
        (without_url("http://127.0.0.1:1/p?q=$name"), 2, &["in place of `$name` write {name}"]),
        (without_url("http://127.0.0.1:1/<sku>"), 2, &["in place of `<sku>` write {sku}"]),
        (without_url("http://127.0.0.1:1/p/%s"), 2, &["in place of `%s` write {sku}"]),
        (
            without_url("http://127.0.0.1:1/p/{}"),
            65,
            &["the column with an empty name", "did you mean {sku}?"],
        ),
        // An unquoted &, as the shell leaves it: what follows it is gone.
        (
            vec!["products.csv", "-u", "http://127.0.0.1:1/p?lang=de"],
            2,
            &["--output is missing", "put the address in single quotes"],
        ),
        (
            without_url("http://127.0.0.1:1/p?lang=de"),
            2,
            &["the request uses no column", "put the address in single quotes"],
        ),
        // Names that promise another format.
        (
            to("my out.xls"),
            2,
            &["--output: my out.xls would hold JSON", "write --output 'my out.csv', a table"],
        ),
        (to("out.xlsx"), 2, &["out.xlsx would hold JSON", "out.json"]),
        (to("out.json.bz2"), 2, &["out.json.bz2 would not be compressed", "write --output out.json.gz"]),
        (to("out.xlsx.gz"), 2, &["out.xlsx.gz would hold JSON", "write --output out.csv.gz"]),
        (
            with(["--format", "xlsx"]),
            2,
            &["--format: `xlsx` is not known", "csv is a table that spreadsheets open"],
        ),
        (with(["--fields", "name,price"]), 2, &["there is no option --fields", "--select '{name, price}'?"]),
        (with(["--select", "name"]), 2, &["uses an unknown filter: `name`", "did you mean --select .name?"]),
        (with(["--select", "$.price"]), 2, &["did you mean --select .price?"]),
        (with(["--select", "$['a b']"]), 2, &["did you mean --select '.[\"a b\"]'?"]),
        (with(["--select", "{name, price"]), 2, &["did you mean --select '{name, price}'?"]),
        (with(["--select", "data/items"]), 2, &["did you mean --select .data.items?"]),
        (with(["--select", ".a |"]), 2, &["a field is written with a dot"]),
        // Credentials that the shell did not expand, or expanded to nothing.
        (with(["-H", "Authorization: Bearer $TOKEN"]), 2, &["is written without braces", "write ${TOKEN}"]),
        (
            with(["-H", "Authorization: Bearer "]),
            2,
            &["no credential follows Bearer", "Bearer ${API_TOKEN}'"],
        ),
        (with(["-H", "X-Api-Key: "]), 2, &["the header `X-Api-Key` has no value", "'X-Api-Key: ${API_KEY}'"]),
        // Values that begin with a dash.
        (with(["-r", "-5/s"]), 2, &["--rate: `-5/s` is not a rate: write 200/s"]),
        (with(["--timeout", "-1s"]), 2, &["--timeout: `-1s` is not a duration"]),
        (with(["-c", "-4"]), 2, &["--concurrency: `-4`"]),
    ];
    for (args, code, said) in cases {
        let dir = skus();
        let ended = Run::new(&dir).args(&args).finish().expect_code(code);
        for part in said {
            assert!(ended.stderr.contains(part), "{args:?}: {part}: {}", ended.stderr);
        }
        assert_eq!(dir.names(), ["products.csv"], "{args:?}");
    }
}

#[test]
fn a_name_of_lines_sets_the_format_and_an_asked_one_stands() {
    let server = ScriptedServer::echo();
    let url = server.url("/p/{sku}");
    for (args, output, begin) in [
        (&["-o", "out.jsonl"][..], "out.jsonl", "{\"key\":\"A\""),
        (&["-o", "out.NDJSON"], "out.NDJSON", "{\"key\":\"A\""),
        (&["-o", "out.jsonl", "--format", "json"], "out.jsonl", "{\n"),
        (&["-o", "out.csv", "--format", "jsonl"], "out.csv", "{\"key\":\"A\""),
    ] {
        let dir = skus();
        Run::new(&dir).args(["products.csv", "-u", &url]).args(args).finish().expect_code(0);
        assert!(dir.read(output).starts_with(begin), "{args:?}: {}", dir.read(output));
    }
}

#[test]
fn a_missing_folder_is_made_by_the_command_that_is_shown() {
    let server = ScriptedServer::echo();
    for output in ["a/b/out.json", "my dir/it's/out.json"] {
        let dir = skus();
        let run = || Run::new(&dir).args(["products.csv", "-u", &server.url("/p/{sku}"), "-o", output]);
        let ended = run().finish().expect_code(73);
        let (_, command) = ended.stderr.split_once("hint: make it: ").unwrap();
        assert!(
            Command::new("sh")
                .args(["-c", command.trim()])
                .current_dir(dir.path(""))
                .status()
                .unwrap()
                .success()
        );
        run().finish().expect_code(0);
    }
}

#[test]
fn https_to_a_plain_http_port_is_named() {
    let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (dir, server) = (
        skus(),
        RawServer::start(move |mut socket| {
            socket.say(answer)?;
            socket.half_close();
            socket.drain()
        }),
    );
    let url = server.url("/p/{sku}").replace("http://", "https://");
    let args = ["products.csv", "-o", "out.json", "--retries", "0", "-u", &url];
    let ended = Run::new(&dir).args(args).finish().expect_code(69);
    assert!(ended.stderr.contains("does not speak TLS on this port"), "{}", ended.stderr);
    assert!(ended.stderr.contains("write http:// in --url"), "{}", ended.stderr);
}

#[test]
fn a_port_that_closes_every_connection_may_expect_tls() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(|_| Reply::reset()));
    dir.write_skus((0..40).map(|n| format!("S{n}")));
    let args = ["products.csv", "-o", "out.json", "-u", &server.url("/p/{sku}"), "--wait-for-api", "1s"];
    let ended = Run::new(&dir).args(args).finish().expect_code(69);
    assert!(ended.stderr.contains("if this port expects TLS, write https:// in --url"), "{}", ended.stderr);
    let (dir, server) = (
        WorkDir::new(),
        ScriptedServer::start(|seen| match seen.number {
            0..5 => Reply::echo(seen),
            _ => Reply::reset(),
        }),
    );
    dir.write_skus((0..40).map(|n| format!("S{n}")));
    let args = ["products.csv", "-o", "out.json", "-u", &server.url("/p/{sku}"), "--wait-for-api", "1s"];
    let ended = Run::new(&dir).args(args).finish().expect_code(69);
    assert!(!ended.stderr.contains("expects TLS"), "{}", ended.stderr);
}

#[test]
fn a_redirect_to_https_on_the_same_host_names_the_address_to_write() {
    let (dir, port) = (skus(), closed_port());
    let server = ScriptedServer::start(move |seen| {
        Reply::redirect(
            301,
            &format!("https://{}{}", port.to_string().replace("localhost", "127.0.0.1"), seen.target),
        )
    });
    let args =
        ["products.csv", "-o", "out.json", "-H", "Authorization: Bearer x", "-u", &server.url("/p/{sku}")];
    let ended = Run::new(&dir).args(args).finish().expect_code(69);
    let said = format!("it leads to the same host by https: write https://{port} in --url");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("nothing was fetched: fix what the failures above report"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_misspelt_header_is_warned_about_and_sent() {
    let (dir, server) = (skus(), ScriptedServer::echo());
    let args =
        ["products.csv", "-o", "out.json", "-H", "Authorizaton: Bearer x", "-u", &server.url("/p/{sku}")];
    let ended = Run::new(&dir).args(args).finish().expect_code(0);
    let said = "warning: the header authorizaton is sent under this name; did you mean Authorization?";
    assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.stderr);
    assert_eq!(server.requests()[0].header("authorizaton"), Some("Bearer x"));
}

#[test]
fn rows_that_failed_can_be_asked_for_again_where_nothing_came() {
    let dir = skus();
    let closed = ScriptedServer::start(|_| Reply::status(404));
    let run = |input: &'static str, server: &ScriptedServer, more: &'static [&'static str]| {
        Run::new(&dir).args([input, "-o", "out.json", "-u", &server.url("/p/{sku}")]).args(more)
    };
    run("products.csv", &closed, &[]).finish().expect_code(69);
    run("out.failed.csv", &closed, &["--merge"]).finish().expect_code(69);
    let server = ScriptedServer::echo();
    run("out.failed.csv", &server, &["--merge"]).finish().expect_code(0);
    assert_eq!(server.count(), 2);
    assert!(dir.has("out.json") && !dir.has("out.failed.csv"));
}

#[test]
fn what_a_login_page_says_is_shown() {
    let authority = Authority::new();
    let dir = skus();
    dir.write("ca.pem", authority.pem());
    let page = "<!doctype html><html><head><style>p { x: y }</style></head><body><p>Please sign in</p></body></html>";
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, move |_| Reply::bytes(page));
    let args = ["products.csv", "-o", "out.json", "--ca-cert", "ca.pem", "-u", &server.url("/p/{sku}")];
    let ended = Run::new(&dir).args(args).finish().expect_code(69);
    assert!(ended.stderr.contains("an HTML page: Please sign in"), "{}", ended.stderr);
}
