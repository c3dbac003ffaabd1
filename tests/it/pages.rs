//! The pages of one SKU: `--next`, `--join` and `--pages`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;

use crate::requests::run_with_url;
use crate::support::{Ended, Reply, ScriptedServer, Seen, WorkDir};

/// Pages of each SKU.
const PAGES: usize = 3;

pub fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| format!("A{n}")));
    dir
}

/// The number of the page that is asked for.
pub fn page_of(seen: &Seen) -> usize {
    let page = seen.query_value("page").map(|value| String::from_utf8(value).unwrap());
    page.map_or(1, |page| page.parse().unwrap())
}

/// A list as a server writes it: with spaces, and numbers that a parser would round.
pub fn list(sku: &str, page: usize) -> String {
    format!(r#"[ {{"of":"{sku}", "page":{page}}}, 1.10, 12345678901234567890 ]"#)
}

/// The same, compact, without its brackets.
pub fn values(sku: &str, page: usize) -> String {
    format!(r#"{{"of":"{sku}","page":{page}}},1.10,12345678901234567890"#)
}

fn link(seen: &Seen, page: usize) -> String {
    format!("<{}?page={page}>; rel=\"next\"", seen.path())
}

/// A page of lists, the next one by `Link`.
pub fn linked(seen: &Seen) -> Reply {
    let page = page_of(seen);
    let reply = Reply::json(list(&seen.sku, page));
    if page < PAGES { reply.header("Link", link(seen, page + 1)) } else { reply }
}

/// The lines of the output, by SKU.
pub fn line(dir: &WorkDir, sku: &str) -> Option<String> {
    let out = dir.read("out.json");
    let found = out.lines().find_map(|line| line.strip_prefix(&format!("\"{sku}\":")));
    found.map(|body| body.trim_end_matches(',').to_owned())
}

pub fn fetch(dir: &WorkDir, server: &ScriptedServer, args: &[&str]) -> Ended {
    run_with_url(dir, &server.url("/p/{sku}"), args).finish()
}

/// What is joined of the pages of a SKU.
fn whole(sku: &str) -> String {
    let pages: Vec<String> = (1..=PAGES).map(|page| values(sku, page)).collect();
    format!("[{}]", pages.join(","))
}

#[test]
fn the_pages_of_each_sku_are_one_array_in_which_each_value_is_as_the_server_wrote_it() {
    let dir = skus(40);
    let server = ScriptedServer::start(linked);
    let args = ["--next", "link", "--join", ".[]", "-H", "X-Key: 7", "-c", "8"];
    let ended = fetch(&dir, &server, &args).expect_code(0);
    assert!(ended.stderr.contains("40 SKUs") && !ended.stderr.contains("warning"), "{}", ended.stderr);
    for n in 0..40 {
        assert_eq!(line(&dir, &format!("A{n}")), Some(whole(&format!("A{n}"))));
    }
    assert_eq!(server.count(), 40 * PAGES);
    assert!(server.max_in_flight() <= 8);
    assert!(server.requests().iter().all(|seen| seen.header("x-key") == Some("7") && seen.method == "GET"));
}

/// What the server answers for a page, and the options.
struct Form {
    args: &'static [&'static str],
    answer: fn(&Seen) -> Reply,
    expected: &'static str,
}

/// The next page, in every form in which APIs write it.
const FORMS: &[Form] = &[
    // Each page is an element.
    Form {
        args: &["--next", "link"],
        answer: |seen| match page_of(seen) {
            1 => Reply::json("{\"n\": 1}")
                .header("Link", "</p/A0?page=2>; rel=\"last next\", </p/A0>; rel=first"),
            2 => Reply::json("[2.0]")
                .header("Link", "</p/A0?page=1>; rel=prev")
                .header("Link", "<?page=3>;rel=NEXT"),
            _ => Reply::json("3").header("Link", "</p/A0?page=1>; rel=\"prev\""),
        },
        expected: r#"[{"n":1},[2.0],3]"#,
    },
    // A whole address in the body (Akeneo, HubSpot).
    Form {
        args: &["--next", "._links.next.href", "--join", "._embedded.items[]"],
        answer: |seen| match page_of(seen) {
            1 => {
                let host = seen.header("host").unwrap();
                Reply::json(format!(
                    r#"{{"_links":{{"next":{{"href":"http://{host}/p/A0?page=2&limit=2"}}}},"_embedded":{{"items":[1,2]}}}}"#
                ))
            }
            _ => Reply::json(r#"{"_links":{"self":{"href":"x"}},"_embedded":{"items":[3]}}"#),
        },
        expected: "[1,2,3]",
    },
    // Computed from the last item (Stripe).
    Form {
        args: &["--next", "if .has_more then \"?after=\\(.data[-1].id)\" else null end", "--join", ".data[]"],
        answer: |seen| match seen.query() {
            None => Reply::json(r#"{"has_more":true,"data":[{"id":"a 1&"}]}"#),
            Some("after=a%201&") => Reply::json(r#"{"has_more":false,"data":[{"id":"b"}]}"#),
            other => panic!("{other:?}"),
        },
        expected: r#"[{"id":"a 1&"},{"id":"b"}]"#,
    },
    // A cursor that goes into the address of the page (Airtable).
    Form {
        args: &[
            "--next",
            ".offset | if . then ($url | sub(\"[?]offset=.*\"; \"\")) + \"?offset=\" + @uri else empty end",
            "--join",
            ".records[]",
        ],
        answer: |seen| match seen.query() {
            None => Reply::json(r#"{"records":[1],"offset":"itr/1"}"#),
            Some("offset=itr%2F1") => Reply::json(r#"{"records":[2],"offset":"itr/2"}"#),
            Some("offset=itr%2F2") => Reply::json(r#"{"records":[3]}"#),
            other => panic!("{other:?}"),
        },
        expected: "[1,2,3]",
    },
    // Their number in a header (WordPress), or in the body.
    Form {
        args: &[
            "--next",
            "if $page < ($headers[\"x-wp-totalpages\"] | tonumber) then \"?page=\\($page + 1)&of=\\($key)\" else false end",
            "--join",
            ".[]",
        ],
        answer: |seen| {
            assert!(page_of(seen) == 1 || seen.query().unwrap().ends_with("&of=A0"));
            Reply::json(format!("[{}]", page_of(seen))).header("X-WP-TotalPages", "3")
        },
        expected: "[1,2,3]",
    },
    // An empty text is the end; a page without items adds nothing; a selection is for the whole.
    Form {
        args: &[
            "--next",
            ".next",
            "--join",
            ".items[]?",
            "--select",
            "{n: length, sum: add, first: .[0], $key}",
        ],
        answer: |seen| match page_of(seen) {
            1 => Reply::json(r#"{"next":"/p/A0?page=2#x","items":[1.50,2]}"#),
            2 => Reply::json(r#"{"next":"?page=3"}"#),
            _ => Reply::json(r#"{"next":"","items":[4]}"#),
        },
        expected: r#"{"n":3,"sum":7.5,"first":1.50,"key":"A0"}"#,
    },
    // Several values of a page, and none at all.
    Form {
        args: &["--next", ".next", "--join", ".a, .b"],
        answer: |seen| match page_of(seen) {
            1 => Reply::json(r#"{"next":"?page=2","a":1e400,"b":[1]}"#),
            _ => Reply::json(r#"{"a":null,"b":"\u00e9"}"#),
        },
        expected: r#"[1e400,[1],null,"\u00e9"]"#,
    },
    Form { args: &["--next", ".next?", "--join", "empty"], answer: |_| Reply::json("[1]"), expected: "[]" },
    Form {
        args: &["--next", "link", "--body-as", "text"],
        answer: |seen| match page_of(seen) {
            1 => Reply::bytes("a \"b\"").header("Link", "<?page=2>; rel=next"),
            _ => Reply::bytes(""),
        },
        expected: r#"["a \"b\"",""]"#,
    },
];

#[test]
fn every_form_of_pages_is_followed() {
    thread::scope(|scope| {
        for form in FORMS {
            scope.spawn(move || {
                let dir = skus(1);
                let server = ScriptedServer::start(form.answer);
                fetch(&dir, &server, form.args).expect_code(0);
                assert_eq!(line(&dir, "A0").as_deref(), Some(form.expected), "{:?}", form.args);
            });
        }
    });
}

#[test]
fn a_post_sends_its_body_to_each_page() {
    let dir = skus(2);
    let server = ScriptedServer::start(|seen| {
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        let next = if page_of(seen) == 1 { "\"?page=2\"" } else { "null" };
        Reply::json(format!(r#"{{"of":{},"next":{next}}}"#, body["id"]))
    });
    let args = ["--body", r#"{"id":"{sku}"}"#, "--next", ".next", "--join", ".of"];
    fetch(&dir, &server, &args).expect_code(0);
    assert_eq!(line(&dir, "A1").as_deref(), Some(r#"["A1","A1"]"#));
    let all_of =
        |seen: &Seen| seen.method == "POST" && seen.header("content-type") == Some("application/json");
    assert!(server.count() == 4 && server.requests().iter().all(|seen| all_of(seen)));
}

#[test]
fn a_record_has_the_attempts_of_all_pages() {
    let dir = skus(1);
    let first = Mutex::new(BTreeSet::new());
    let server = ScriptedServer::start(move |seen| {
        if page_of(seen) == 2 && first.lock().unwrap().insert(seen.target.clone()) {
            return Reply::status(500);
        }
        linked(seen)
    });
    fetch(&dir, &server, &["--next", "link", "--join", "length", "--shape", "record"]).expect_code(0);
    let line = line(&dir, "A0").unwrap();
    assert!(
        line.starts_with(r#"{"status":200,"#) && line.ends_with(r#""attempts":4,"body":[3,3,3]}"#),
        "{line}"
    );
}

/// What goes wrong, and what is said of it.
struct Trouble {
    args: &'static [&'static str],
    answer: fn(&Seen) -> Reply,
    /// `_error` of the failure file; none: it comes.
    error: Option<&'static str>,
    /// Requests.
    requests: usize,
}

const LINK: &[&str] = &["--next", "link"];
const NEXT: &[&str] = &["--next", ".next", "--join", ".a"];

fn two(seen: &Seen, second: Reply) -> Reply {
    if page_of(seen) == 1 { Reply::json("1").header("Link", "<?page=2>; rel=next") } else { second }
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        args: LINK,
        answer: |seen| two(seen, Reply::json("2").header("Link", "</p/A0>; rel=next")),
        error: Some("page 2 names a page as the next one that was had already: http://"),
        requests: 2,
    },
    Trouble {
        args: LINK,
        answer: |_| Reply::json("1").header("Link", "<>; rel=next"),
        error: Some("page 1 names a page as the next one that was had already"),
        requests: 1,
    },
    Trouble {
        args: LINK,
        answer: |seen| {
            let page = page_of(seen);
            Reply::json("1").header("Link", format!("<?page={}>; rel=next", page + 1))
        },
        error: Some("there are more pages than --pages 100"),
        requests: 100,
    },
    Trouble {
        args: &["--next", "link", "--pages", "2"],
        answer: linked,
        error: Some("there are more pages than --pages 2"),
        requests: 2,
    },
    Trouble { args: &["--next", "link", "--pages", "3"], answer: linked, error: None, requests: 3 },
    Trouble {
        args: LINK,
        answer: |_| Reply::json("1").header("Link", "<http://other.invalid/2?key=canary>; rel=next"),
        error: Some(
            "the next page is at another origin, http://other.invalid: pages are requested from the origin of --url only",
        ),
        requests: 1,
    },
    Trouble {
        args: LINK,
        answer: |seen| {
            let host = seen.header("host").unwrap();
            Reply::json("1").header("Link", format!("<https://{host}/2>; rel=next"))
        },
        error: Some("the next page is at the same host by https: write https://127.0.0.1:"),
        requests: 1,
    },
    Trouble {
        args: LINK,
        answer: |_| Reply::json("1").header("Link", "<javascript:alert(1)>; rel=next"),
        error: Some("the next page has no address"),
        requests: 1,
    },
    Trouble {
        args: LINK,
        answer: |_| Reply::json("1").header("Link", "</2; rel=\"next\""),
        error: Some("the next page cannot be told: the page's Link cannot be read"),
        requests: 1,
    },
    Trouble {
        args: NEXT,
        answer: |_| Reply::json(r#"{"next":2,"a":1}"#),
        error: Some("the next page cannot be told: --next gave 2: it has to be a text, or null at the end"),
        requests: 1,
    },
    Trouble {
        args: NEXT,
        answer: |_| Reply::json(r#"{"next":{"href":"/2"},"a":1}"#),
        error: Some("--next gave { href : /2 }"),
        requests: 1,
    },
    Trouble {
        args: &["--next", ".next.href", "--join", ".a"],
        answer: |_| Reply::json(r#"{"next":"/2","a":1}"#),
        error: Some("the next page cannot be told: --next: the jq filter failed"),
        requests: 1,
    },
    Trouble {
        args: &["--next", ".links[]", "--join", ".a"],
        answer: |_| Reply::json(r#"{"links":["/2","/3"],"a":1}"#),
        error: Some("--next: the jq filter gave several values"),
        requests: 1,
    },
    Trouble {
        args: &["--next", ".next", "--join", ".elements[]"],
        answer: |_| Reply::json(r#"{"next":"/2","items":[1]}"#),
        error: Some("--join: the jq filter failed"),
        requests: 1,
    },
    Trouble {
        args: &["--next", ".next", "--join", ".elements"],
        answer: |_| Reply::json(r#"{"next":"/2","items":[1]}"#),
        error: Some("--join: what it names is not on the page"),
        requests: 1,
    },
    Trouble {
        args: LINK,
        answer: |seen| two(seen, Reply::json(r#"{"no":"such page"}"#).with_status(404)),
        error: Some("page 2: HTTP 404 Not Found: { no : such page }"),
        requests: 2,
    },
    Trouble {
        args: LINK,
        answer: |seen| two(seen, Reply::json("<html>")),
        error: Some("page 2: not JSON"),
        requests: 2,
    },
    Trouble {
        args: &["--next", "link", "--retries", "2"],
        answer: |seen| two(seen, Reply::json("[1").chunked()),
        error: Some("page 2: "),
        requests: 4,
    },
    Trouble {
        args: &["--next", "link", "--retries", "0"],
        answer: |seen| two(seen, Reply::json("[1,2,3]").cut(3)),
        error: Some("page 2: "),
        requests: 2,
    },
    Trouble {
        args: &["--next", "link", "--max-body", "1kB"],
        answer: |seen| {
            let body = format!("\"{}\"", "x".repeat(400));
            Reply::json(body).header("Link", format!("<?page={}>; rel=next", page_of(seen) + 1))
        },
        error: Some("page 3: the pages so far are larger than --max-body 1000"),
        requests: 3,
    },
    Trouble {
        args: &["--next", "link", "--max-body", "1kB"],
        answer: |seen| two(seen, Reply::json(format!("\"{}\"", "x".repeat(2000)))),
        error: Some("page 2: the body is larger than --max-body 1000"),
        requests: 2,
    },
    Trouble {
        args: LINK,
        answer: |_| Reply::json(format!("{}{}", "[".repeat(100), "]".repeat(100))),
        error: Some("nested 100 levels deep"),
        requests: 1,
    },
    // A null is one on the first page, and a fault on a later one.
    Trouble {
        args: &["--next", "link", "--null-on", "404"],
        answer: |seen| two(seen, Reply::status(404)),
        error: Some("page 2: HTTP 404 Not Found"),
        requests: 2,
    },
    Trouble {
        args: &["--next", "link", "--null-if", ". == 2"],
        answer: |seen| two(seen, Reply::json("2")),
        error: Some("page 2: --null-if says that it is null, and the pages before have values"),
        requests: 2,
    },
    Trouble {
        args: &["--next", "link", "--fail-if", "if . == 2 then \"gone\" else false end"],
        answer: |seen| two(seen, Reply::json("2")),
        error: Some("page 2: gone"),
        requests: 2,
    },
    Trouble {
        args: &["--next", "link", "--retry-if", ". == 2", "--retries", "1"],
        answer: |seen| two(seen, Reply::json("2")),
        error: Some("page 2: not ready (--retry-if): 2"),
        requests: 3,
    },
    Trouble {
        args: &["--next", "link", "--select", ".a"],
        answer: |seen| two(seen, Reply::json("2")),
        error: Some("the jq filter failed"),
        requests: 2,
    },
    Trouble {
        args: &["--next", "link", "--follow", "none"],
        answer: |seen| two(seen, Reply::redirect(302, "/p/A0?page=3")),
        error: Some("page 2: HTTP 302: redirect refused: --follow is none"),
        requests: 2,
    },
    // A redirect on a page leads where the page is: what it names is relative to that.
    Trouble {
        args: LINK,
        answer: |seen| match (seen.path(), page_of(seen)) {
            ("/p/A0", 1) => Reply::json("1").header("Link", "<?page=2>; rel=next"),
            ("/p/A0", 2) => Reply::redirect(307, "/deep/er/A0?page=2"),
            ("/deep/er/A0", 2) => Reply::json("2").header("Link", "<A0?page=3>; rel=next"),
            ("/deep/er/A0", 3) => Reply::json("3").gzip(),
            other => panic!("{other:?}"),
        },
        error: None,
        requests: 4,
    },
];

#[test]
fn every_trouble_with_a_page_fails_its_sku_and_says_so() {
    thread::scope(|scope| {
        for trouble in TROUBLES {
            scope.spawn(move || {
                let dir = skus(1);
                let server = ScriptedServer::start(trouble.answer);
                let args: Vec<_> = trouble.args.iter().copied().chain(["--min-success", "0"]).collect();
                let ended = fetch(&dir, &server, &args);
                let what = format!("{args:?} {}", ended.stderr);
                assert_eq!(server.count(), trouble.requests, "{what}");
                match trouble.error {
                    None => {
                        ended.expect_code(0);
                    }
                    Some(error) => {
                        ended.expect_code(1);
                        let failed = dir.read("out.failed.csv");
                        // In the failure file a comma would be a delimiter.
                        assert!(failed.contains(&error.replace(',', " ")), "{what}\n{failed}");
                        assert!(!failed.contains("canary"), "{failed}");
                        // An answer came, whatever was wrong with it.
                        assert!(!failed.contains(",,"), "{failed}");
                    }
                }
            });
        }
    });
}

#[test]
fn null_on_the_first_page_is_null_for_the_sku() {
    let dir = skus(3);
    let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "A0" => Reply::status(404),
        "A1" => Reply::json(r#"{"status":"NOT_FOUND"}"#).header("Link", "<?page=2>; rel=next"),
        _ => linked(seen),
    });
    let args = ["--next", "link", "--join", ".[]", "--null-on", "404", "--null-if", ".status?"];
    fetch(&dir, &server, &args).expect_code(0);
    let lines = ["A0", "A1", "A2"].map(|sku| line(&dir, sku).unwrap());
    assert_eq!(lines, ["null".to_owned(), "null".to_owned(), whole("A2")]);
    assert_eq!(server.count(), 2 + PAGES);
}

#[test]
fn each_page_has_its_own_retries() {
    let dir = skus(3);
    let sent: Mutex<BTreeMap<String, usize>> = Mutex::default();
    // Each page of each SKU fails twice.
    let server = ScriptedServer::start(move |seen| {
        let mut sent = sent.lock().unwrap();
        let count = sent.entry(seen.target.clone()).or_default();
        *count += 1;
        match *count {
            1 => Reply::status(500),
            2 => Reply::hang_up(),
            _ => linked(seen).gzip(),
        }
    });
    fetch(&dir, &server, &["--next", "link", "--join", ".[]", "--retries", "2"]).expect_code(0);
    for sku in ["A0", "A1", "A2"] {
        assert_eq!(line(&dir, sku), Some(whole(sku)));
    }
    assert_eq!(server.count(), 3 * PAGES * 3);
}

#[test]
fn a_page_that_is_refused_pauses_all_and_costs_no_retry() {
    let dir = skus(4);
    let refused = Mutex::new(false);
    let server = ScriptedServer::start(move |seen| {
        let mut refused = refused.lock().unwrap();
        if page_of(seen) == 2 && !*refused {
            *refused = true;
            return Reply::retry_after(429, "1");
        }
        linked(seen)
    });
    fetch(&dir, &server, &["--next", "link", "--join", ".[]", "--retries", "0", "-c", "2"]).expect_code(0);
    assert_eq!(line(&dir, "A0"), Some(whole("A0")));
    assert_eq!(server.count(), 4 * PAGES + 1);
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let dir = skus(1);
    for (args, said) in [
        (&["--join", ".[]"][..], "--join: it means nothing without --next"),
        (&["--pages", "3"], "--pages: it means nothing without --next"),
        (&["--next", ".a", "--body-as", "text"], "--next: a jq filter reads JSON, and --body-as is text"),
        (&["--next", "link", "--join", ".a", "--body-as", "text"], "--join: a jq filter reads JSON"),
        (&["--next", ".a["], "--next"),
        (&["--next", "link", "--join", "$nope"], "--join"),
        (&["--next", "$nope"], "there are $status, $headers, $key, $row, $url, $page"),
        (&["--next", "$row.colour"], "colour"),
        (&["--pages", "0", "--next", "link"], "--pages"),
    ] {
        let url = "http://127.0.0.1:9/{sku}";
        let ended = run_with_url(&dir, url, args).finish();
        let code = if args.contains(&"$row.colour") { 65 } else { 2 };
        let ended = ended.expect_code(code);
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn answers_that_are_the_first_of_several_pages_are_warned_of_once() {
    let dir = skus(5);
    let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "A1" => Reply::json("[1]").header("Link", "</p/A1>; rel=\"prev\""),
        "A2" => Reply::status(404).header("Link", "</p/A1>; rel=next"),
        _ => linked(seen),
    });
    let ended = fetch(&dir, &server, &[]).expect_code(1);
    assert_eq!(server.count(), 5);
    let said = "3 answers are the first page of several, as Link: rel=\"next\" says, and only that page is stored: --next link \
                requests the others";
    assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.stderr);
}
