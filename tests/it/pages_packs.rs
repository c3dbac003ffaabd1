//! Packs whose answers come in pages: `--bulk` together with `--next`. The output is the one of a request for each SKU.

use std::thread;

use crate::pages::{line, page_of, skus};
use crate::requests::run_with_url;
use crate::support::{Ended, Reply, ScriptedServer, Seen, WorkDir};

/// SKUs that a page of an answer has.
const PAGE: usize = 3;

/// What the API has of a SKU.
fn product(sku: &str) -> String {
    format!(r#"{{"sku":"{sku}","price":1.10,"note":"a\/b"}}"#)
}

/// The SKUs that are asked for.
fn asked(seen: &Seen) -> Vec<String> {
    let ids = String::from_utf8(seen.query_value("ids").unwrap()).unwrap();
    ids.split(',').map(str::to_owned).collect()
}

/// One page of these.
fn page_with(seen: &Seen, skus: &[String], item: impl Fn(&str) -> String) -> Reply {
    let page = page_of(seen);
    let pages = skus.len().div_ceil(PAGE);
    let items: Vec<String> = skus.iter().skip((page - 1) * PAGE).take(PAGE).map(|sku| item(sku)).collect();
    let ids = seen.query().unwrap().split('&').next().unwrap();
    let reply = Reply::json(format!("{{\"data\":[{}],\"of\":{page}}}", items.join(",")))
        .header("X-WP-TotalPages", pages.to_string());
    if page < pages { reply.header("Link", format!("<?{ids}&page={}>; rel=next", page + 1)) } else { reply }
}

fn pages(seen: &Seen) -> Reply {
    page_with(seen, &asked(seen), product)
}

fn fetch(dir: &WorkDir, server: &ScriptedServer, args: &[&str]) -> Ended {
    let always = ["--bulk", "10", "--bulk-key", ".sku", "--next", "link", "--join", ".data[]"];
    run_with_url(dir, &server.url("/p?ids={items}"), always.iter().chain(args)).finish()
}

fn alone(count: usize) -> String {
    let lines: Vec<String> =
        (0..count).map(|n| format!("A{n}")).map(|sku| format!("\"{sku}\":{}", product(&sku))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

#[test]
fn all_pages_of_a_pack_are_taken_apart_together() {
    let dir = skus(25);
    let server = ScriptedServer::start(pages);
    let ended = fetch(&dir, &server, &[]).expect_code(0);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
    assert_eq!(dir.read("out.json"), alone(25));
    // 10, 10 and 5 SKUs, three to a page.
    assert_eq!(server.count(), 4 + 4 + 2);
}

#[test]
fn pages_of_packs_at_every_size_give_the_same_bytes() {
    thread::scope(|scope| {
        for bulk in ["1", "2", "3", "7", "25", "100"] {
            scope.spawn(move || {
                let dir = skus(25);
                let server = ScriptedServer::start(|seen| {
                    if seen.attempt % 5 == 1 { Reply::status(503) } else { pages(seen).gzip() }
                });
                let url = server.url("/p?ids={items}");
                let args = [
                    "--bulk",
                    bulk,
                    "--bulk-key",
                    ".sku",
                    "--bulk-items",
                    ".[].data[]",
                    "--next",
                    "link",
                    "-c",
                    "4",
                ];
                run_with_url(&dir, &url, args).finish().expect_code(0);
                assert_eq!(dir.read("out.json"), alone(25), "{bulk}");
            });
        }
    });
}

#[test]
fn what_no_page_has_is_missing_and_a_poison_key_fails_alone() {
    let dir = skus(20);
    let server = ScriptedServer::start(|seen| {
        let asked = asked(seen);
        if asked.iter().any(|sku| sku == "A7") && page_of(seen) == asked.len().div_ceil(PAGE).min(2) {
            return Reply::json(r#"{"message":"no A7"}"#).with_status(400);
        }
        page_with(seen, &asked.into_iter().filter(|sku| sku != "A3").collect::<Vec<_>>(), product)
    });
    fetch(&dir, &server, &[]).expect_code(1);
    let failed = dir.read("out.failed.csv");
    assert_eq!(failed.lines().count(), 3, "{failed}");
    assert!(
        failed.contains("A3,the SKU is not in the answer to its pack") && failed.contains("A7,HTTP 400"),
        "{failed}"
    );
    assert_eq!(line(&dir, "A19"), Some(product("A19")));
    fetch(&dir, &server, &["--null-on", "missing", "--guard", "off"]).expect_code(1);
    assert_eq!(line(&dir, "A3").as_deref(), Some("null"));
}

#[test]
fn conditions_are_about_items_and_about_a_page_that_has_none() {
    let dir = skus(12);
    let server = ScriptedServer::start(|seen| {
        // The whole of a page says that it is busy, once.
        if seen.number == 1 {
            return Reply::json(r#"{"error":"busy"}"#);
        }
        page_with(seen, &asked(seen), |sku| match sku {
            "A2" => r#"{"sku":"A2","error":"gone"}"#.into(),
            "A5" => r#"{"sku":"A5","unknown":true}"#.into(),
            sku => product(sku),
        })
    });
    let args = [
        "-c",
        "1",
        "--retry-if",
        ".error == \"busy\"",
        "--fail-if",
        ".error",
        "--null-if",
        ".unknown",
        "--select",
        ".price",
    ];
    fetch(&dir, &server, &args).expect_code(1);
    let lines = ["A0", "A5", "A11"].map(|sku| line(&dir, sku).unwrap());
    assert_eq!(lines, ["1.10", "null", "1.10"]);
    let failed = dir.read("out.failed.csv");
    assert!(failed.lines().count() == 2 && failed.contains("A2,gone"), "{failed}");
    assert_eq!(server.count(), 4 + 1 + 1);
}

#[test]
fn trouble_with_a_page_fails_the_keys_of_its_pack() {
    for (args, link, said) in [
        (&["--pages", "2"][..], None, "there are more pages than --pages 2"),
        (&[], Some("<http://other.invalid/>; rel=next"), "the next page is at another origin"),
        (&[], Some("<?ids=A0>; rel=next"), ""),
    ] {
        let dir = skus(9);
        let server = ScriptedServer::start(move |seen| match link {
            None => pages(seen),
            Some(link) => Reply::json(format!("{{\"data\":[{}]}}", product("A0"))).header("Link", link),
        });
        let args: Vec<&str> = args.iter().copied().chain(["--min-success", "0", "-c", "1"]).collect();
        fetch(&dir, &server, &args).expect_code(1);
        let failed = dir.read("out.failed.csv");
        assert!(failed.lines().count() == 10 && failed.contains(said), "{failed}");
    }
}
