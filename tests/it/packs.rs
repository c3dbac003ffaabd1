//! Packs of SKUs: how they are written into a request, and how the answer is taken apart. The output is the one that a
//! request for each SKU gives, byte for byte.

use std::thread;

use crate::requests::run_with_url;
use crate::support::log::percent_decode;
use crate::support::{Ended, Reply, ScriptedServer, Seen, WorkDir};

/// The number of the SKUs.
const SKUS: usize = 25;
/// Requests for that many in packs of ten.
const PACKS: usize = 3;

pub fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| format!("A{n}")));
    dir
}

/// What the API has of a SKU, as it writes it: with a number that a parser would round, and an escape that it would undo.
pub fn product(sku: &str) -> String {
    format!(r#"{{"sku":"{sku}","price":1.10,"big":12345678901234567890,"note":"a\/b \u00e9"}}"#)
}

/// The SKUs of a text, between what precedes and follows each.
pub fn between<'t>(text: &'t str, before: &str, separator: &str) -> Vec<&'t str> {
    text.split(separator).map(|item| item.strip_prefix(before).unwrap_or(item)).collect()
}

/// The values of one name in the query, decoded.
fn values(seen: &Seen, name: &str) -> Vec<String> {
    let pairs = seen.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let of_name = pairs.filter(|(given, _)| percent_decode(given) == name.as_bytes());
    of_name.map(|(_, value)| String::from_utf8(percent_decode(value)).unwrap()).collect()
}

fn list(skus: &[impl AsRef<str>]) -> String {
    let products: Vec<String> = skus.iter().map(|sku| product(sku.as_ref())).collect();
    format!("[{}]", products.join(","))
}

/// The output of one request a SKU.
fn alone(count: usize) -> String {
    let lines: Vec<String> =
        (0..count).map(|n| format!("A{n}")).map(|sku| format!("\"{sku}\":{}", product(&sku))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

fn fetch(dir: &WorkDir, url: &str, args: &[&str]) -> Ended {
    run_with_url(dir, url, ["-c", "4", "--bulk", "10"].iter().chain(args)).finish()
}

/// A form of requests and answers: the target, the options, and what the server makes of a request.
type Form = (&'static str, &'static [&'static str], fn(&Seen) -> Reply);

fn body(seen: &Seen) -> serde_json::Value {
    serde_json::from_slice(&seen.body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&seen.body)))
}

fn strings(value: &serde_json::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// An object by key.
fn by_key(skus: &[String]) -> String {
    let members: Vec<String> = skus.iter().map(|sku| format!("\"{sku}\":{}", product(sku))).collect();
    format!("{{{}}}", members.join(","))
}

const FORMS: &[Form] = &[
    ("/p?ids={items}", &["--bulk-key", ".sku"], |seen| {
        Reply::json(list(&between(&values(seen, "ids")[0], "", ",")))
    }),
    ("/p?{items}", &["--item", "ids[]={sku}", "--separator", "&", "--bulk-key", ".sku"], |seen| {
        Reply::json(list(&values(seen, "ids[]")))
    }),
    ("/products/({items})", &["--bulk-key", ".sku"], |seen| {
        let inside = seen.sku.trim_start_matches('(').trim_end_matches(')').to_owned();
        Reply::json(list(&between(&inside, "", ",")))
    }),
    (
        "/p?where=sku in ({items})",
        &["--item", "\"{sku}\"", "--bulk-items", ".data.list", "--bulk-key", ".sku"],
        |seen| {
            let predicate = values(seen, "where").remove(0);
            let inside =
                predicate.strip_prefix("sku in (").unwrap().strip_suffix(')').unwrap().replace('"', "");
            Reply::json(format!("{{\"data\":{{\"n\":7,\"list\":{}}}}}", list(&between(&inside, "", ","))))
        },
    ),
    (
        "/p?filter[reference]=[{items}]",
        &["--separator", "|", "--bulk-items", ".products[]", "--bulk-key", ".sku"],
        |seen| {
            let inside = values(seen, "filter[reference]").remove(0);
            let inside = inside.trim_start_matches('[').trim_end_matches(']').to_owned();
            Reply::json(format!("{{\"products\":{}}}", list(&between(&inside, "", "|"))))
        },
    ),
    ("/p?q={items}", &["--item", "sku:{sku}", "--separator", "%20OR%20", "--bulk-key", ".sku"], |seen| {
        Reply::json(list(&between(&values(seen, "q")[0], "sku:", " OR ")))
    }),
    ("/p", &["--body", r#"{"ids":[{items}]}"#, "--item", "\"{sku}\""], |seen| {
        Reply::json(by_key(&strings(&body(seen)["ids"])))
    }),
    ("/p", &["--body", "[{items}]", "--item", r#"{"id":"{sku}"}"#, "--bulk-items", ".items"], |seen| {
        let body = body(seen);
        let ids: Vec<String> =
            body.as_array().unwrap().iter().map(|id| id["id"].as_str().unwrap().to_owned()).collect();
        Reply::json(format!("{{\"items\":{}}}", by_key(&ids)))
    }),
    (
        "/p",
        &[
            "-H",
            "Content-Type: application/x-www-form-urlencoded",
            "--body",
            "isbns={items}",
            "--bulk-key",
            ".sku",
        ],
        |seen| {
            let text = String::from_utf8(seen.body.clone()).unwrap();
            Reply::json(list(&between(text.strip_prefix("isbns=").unwrap(), "", ",")))
        },
    ),
    // A status for each item, inside: 207, or a code beside the body.
    (
        "/p?ids={items}",
        &["--bulk-key", ".body.sku", "--fail-if", ".code != 200", "--select", ".body"],
        |seen| {
            let ids = values(seen, "ids").remove(0);
            let items: Vec<String> =
                ids.split(',').map(|sku| format!("{{\"code\":200,\"body\":{}}}", product(sku))).collect();
            Reply::json(format!("[{}]", items.join(","))).with_status(207)
        },
    ),
    // Computed items and a key by the member's name.
    (
        "/p?ids={items}",
        &["--bulk-items", ".found | to_entries[]", "--bulk-key", ".key", "--select", ".value"],
        |seen| {
            let ids = values(seen, "ids").remove(0);
            let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
            Reply::json(format!("{{\"found\":{}}}", by_key(&ids)))
        },
    ),
];

#[test]
fn each_form_gives_the_output_of_one_request_for_each_sku() {
    thread::scope(|scope| {
        for (target, args, answer) in FORMS {
            scope.spawn(move || {
                let server = ScriptedServer::start(answer);
                let dir = skus(SKUS);
                fetch(&dir, &server.url(target), args).expect_code(0);
                let expected = alone(SKUS);
                // What a filter passes on is written anew: its values stay, its escapes do not.
                let expected = if args.contains(&"--select") {
                    expected.replace(r"a\/b \u00e9", "a/b é")
                } else {
                    expected
                };
                assert_eq!(dir.read("out.json"), expected, "{target} {args:?}");
                assert_eq!(server.count(), PACKS, "{target} {args:?}");
            });
        }
    });
}

/// Answers with what `products` makes of the SKUs of the query.
fn answering(products: impl Fn(&[&str]) -> String + Send + Sync + 'static) -> ScriptedServer {
    ScriptedServer::start(move |seen| {
        let ids = values(seen, "ids").remove(0);
        Reply::json(products(&ids.split(',').collect::<Vec<_>>()))
    })
}

#[test]
fn a_sku_that_the_answer_leaves_out_fails_or_is_null_and_a_foreign_one_is_counted_and_not_stored() {
    let some = |skus: &[&str]| {
        let kept: Vec<&str> = skus.iter().copied().filter(|sku| *sku != "A3").chain(["Z9"]).collect();
        list(&kept)
    };
    let (server, dir) = (answering(some), skus(5));
    let url = server.url("/p?ids={items}");
    let ended = fetch(&dir, &url, &["--bulk-key", ".sku"]).expect_code(1);
    assert!(ended.stderr.contains("SKU A3: the SKU is not in the answer to its pack"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("1 item of SKUs that were not requested, such as `Z9`"),
        "{}",
        ended.stderr
    );
    assert!(!dir.read("out.json").contains("Z9") && !dir.read("out.json").contains("A3"));
    assert_eq!(dir.read("out.failed.csv").lines().count(), 2);
    fetch(&dir, &url, &["--bulk-key", ".sku", "--null-on", "missing"]).expect_code(0);
    assert!(dir.read("out.json").contains("\"A3\":null"));
    assert!(!dir.has("out.failed.csv"));
}

#[test]
fn a_sku_that_comes_twice_fails_and_an_item_without_one_is_ignored() {
    let twice = |skus: &[&str]| {
        let products = list(&[skus, &["A1"]].concat());
        products.replacen('[', "[null,7,{\"note\":1},", 1)
    };
    let (server, dir) = (answering(twice), skus(3));
    let ended = fetch(&dir, &server.url("/p?ids={items}"), &["--bulk-key", ".sku?"]).expect_code(1);
    assert!(
        ended.stderr.contains("SKU A1: the answer to its pack has the SKU more than once"),
        "{}",
        ended.stderr
    );
    assert_eq!(dir.read("out.json").lines().count(), 4);
}

#[test]
fn an_answer_of_other_skus_fails_its_pack_with_both_side_by_side() {
    let lower = |skus: &[&str]| list(&skus.iter().map(|sku| sku.to_lowercase()).collect::<Vec<_>>());
    let (server, dir) = (answering(lower), skus(5));
    let ended = fetch(&dir, &server.url("/p?ids={items}"), &["--bulk-key", ".sku"]).expect_code(69);
    let said =
        "the answer has other SKUs than were requested: requested `A0`, `A1`, `A2`, …; got `a0`, `a1`, `a2`";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    assert_eq!(server.count(), 1, "it is not sent again");
}

#[test]
fn an_answer_that_cannot_be_taken_apart_names_the_option_and_the_filter_that_would() {
    let (server, dir) = (answering(|skus| list(skus)), skus(3));
    let url = server.url("/p?ids={items}");
    let ended = fetch(&dir, &url, &[]).expect_code(69);
    assert!(ended.stderr.contains("whose items have no names"), "{}", ended.stderr);
    assert!(ended.stderr.contains(r#"--bulk-key '.["sku"]'"#), "{}", ended.stderr);
    let ended = fetch(&dir, &url, &["--bulk-key", ".sku", "--bulk-items", ".data.list"]).expect_code(69);
    assert!(
        ended.stderr.contains("the answer has no items: --bulk-items: the jq filter failed"),
        "{}",
        ended.stderr
    );
    fetch(&dir, &url, &["--bulk-key", r#".["sku"]"#]).expect_code(0);
}

#[test]
fn the_conditions_are_asked_of_each_item_and_of_an_answer_without_any() {
    let odd = |skus: &[&str]| {
        let item = |sku: &&str| match *sku {
            "A1" => r#"{"sku":"A1","gone":true}"#.to_owned(),
            "A2" => r#"{"sku":"A2","error":"not for sale"}"#.to_owned(),
            _ => product(sku),
        };
        format!("[{}]", skus.iter().map(item).collect::<Vec<_>>().join(","))
    };
    let (server, dir) = (answering(odd), skus(4));
    let args = ["--bulk-key", ".sku", "--null-if", ".gone", "--fail-if", ".error", "--select", ".price"];
    let ended = fetch(&dir, &server.url("/p?ids={items}"), &args).expect_code(1);
    assert!(ended.stderr.contains("SKU A2: not for sale"), "{}", ended.stderr);
    assert_eq!(dir.read("out.json"), "{\n\"A0\":1.10,\n\"A1\":null,\n\"A3\":1.10\n}\n");

    // The whole says that it is an error: its items are not missing.
    let busy = ScriptedServer::start(|seen| {
        if seen.number == 0 {
            return Reply::json(r#"{"errors":[{"code":"THROTTLED"}],"wait":0.05}"#);
        }
        let ids = values(seen, "ids").remove(0);
        Reply::json(format!("{{\"data\":{}}}", list(&ids.split(',').collect::<Vec<_>>())))
    });
    let throttled = "if .errors[0].code? == \"THROTTLED\" then .wait else false end";
    let args =
        ["--bulk-items", ".data", "--bulk-key", ".sku", "--retry-if", throttled, "--null-on", "missing"];
    fetch(&skus(3), &busy.url("/p?ids={items}"), &args).expect_code(0);
    assert_eq!(busy.count(), 2);
}

#[test]
fn items_that_are_not_ready_are_packed_anew_and_the_others_are_kept() {
    let server = ScriptedServer::start(|seen| {
        let ids = values(seen, "ids").remove(0);
        let item = |sku: &str| match sku {
            "A1" | "A13" if seen.number < 4 => format!("{{\"sku\":\"{sku}\",\"code\":503}}"),
            "A7" => format!("{{\"sku\":\"{sku}\",\"code\":503}}"),
            _ => product(sku),
        };
        Reply::json(format!("[{}]", ids.split(',').map(item).collect::<Vec<_>>().join(",")))
    });
    let dir = skus(20);
    let args =
        ["-c", "1", "--bulk", "10", "--bulk-key", ".sku", "--retry-if", ".code == 503", "--retries", "3"];
    let ended = run_with_url(&dir, &server.url("/p?ids={items}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("SKU A7"), "{}", ended.stderr);
    assert_eq!(dir.read("out.json").lines().count(), 21);
    assert!(dir.read("out.failed.csv").contains(",200,4"), "{}", dir.read("out.failed.csv"));
    assert!(
        server.requests().iter().skip(2).all(|seen| seen.query().unwrap().len() < 30),
        "only those again"
    );
}

#[test]
fn rows_whose_other_cells_differ_are_packed_apart_and_a_long_address_ends_a_pack() {
    let server = ScriptedServer::start(|seen| {
        let ids = values(seen, "ids").remove(0);
        Reply::json(list(&ids.split(',').collect::<Vec<_>>()))
    });
    let dir = WorkDir::new();
    let rows = (0..40).map(|n| format!("A{n},{}\n", ["de", "fr"][n % 2]));
    dir.write("products.csv", format!("sku,lang\n{}", rows.collect::<String>()));
    let url = server.url("/{lang}/p?ids={items}");
    fetch(&dir, &url, &["--bulk-key", ".sku"]).expect_code(0);
    assert_eq!(server.count(), 4, "ten of each language");
    assert_eq!(dir.read("out.json"), alone(40), "in the order of the rows");

    let long = |n: usize| format!("{n:0>200}");
    dir.write_skus((0..60).map(long));
    let args = ["--bulk", "100", "--bulk-key", ".sku"];
    run_with_url(&dir, &server.url("/p?ids={items}"), args).finish().expect_code(0);
    let later = server.requests().split_off(4);
    assert_eq!(later.len(), 2, "forty of them are over 8,000 bytes");
    assert!(later.iter().all(|seen| seen.target.len() <= 8_000));
}

#[test]
fn a_dry_run_shows_the_requests_of_packs() {
    let dir = skus(SKUS);
    let url = "http://127.0.0.1:9/p?key=secret7&ids={items}";
    let ended = fetch(&dir, url, &["--bulk-key", ".sku", "--item", "id:{sku}", "--dry-run"]).expect_code(0);
    let plan = ended.stdout();
    assert!(plan.contains("3 for 25 SKUs with GET"), "{plan}");
    assert!(plan.contains("ids=id:A0,id:A1,id:A2 and 7 SKUs more"), "{plan}");
    assert!(plan.contains("--bulk-key .sku") && !plan.contains("secret7"), "{plan}");
}

#[test]
fn what_belongs_to_packs_needs_them_and_what_contradicts_them_is_refused() {
    let dir = skus(3);
    let url = "http://127.0.0.1:9/p?ids={items}";
    for (url, args, said) in [
        (url, &[][..], "the URL template has {items}, the place of a pack's SKUs, and --bulk is not given"),
        ("http://127.0.0.1:9/{sku}", &["--bulk", "5"], "neither the URL nor the body has {items}"),
        ("http://127.0.0.1:9/{sku}?i={items}", &["--bulk", "5"], "has the key column outside {items}"),
        ("http://127.0.0.1:9/{items}?i={items}", &["--bulk", "5"], "{items} may be used once"),
        (url, &["--bulk", "5", "--body", "{items}"], "{items} may be used once"),
        (url, &["--bulk", "5", "--item", "x"], "the item has no column"),
        (url, &["--bulk", "5", "-H", "X: {items}"], "which may be used in the URL or in the body only"),
        (url, &["--bulk", "0"], "is not a whole number from 1"),
        (url, &["--bulk", "5", "--body-as", "text"], "taken apart as JSON"),
        (url, &["--bulk", "5", "--bulk-key", ".["], "the jq filter"),
        ("http://127.0.0.1:9/{sku}", &["--item", "{sku}"], "nothing without --bulk"),
        ("http://127.0.0.1:9/{sku}", &["--bulk-items", ".a"], "nothing without --bulk"),
        ("http://127.0.0.1:9/{sku}", &["--null-on", "missing"], "nothing without --bulk"),
        ("http://127.0.0.1:9/{sku}", &["--separator", ";"], "it is --delimiter"),
    ] {
        let ended = run_with_url(&dir, url, args).finish().expect_code(2);
        assert!(ended.stderr.contains(said), "{url} {args:?}: {}", ended.stderr);
    }
    // An unknown column of the item is one of the input.
    run_with_url(&dir, url, ["--bulk", "5", "--item", "{nope}"]).finish().expect_code(65);
}

#[test]
fn an_answer_without_a_sku_is_no_answer_that_leaves_skus_out() {
    for answer in [
        r#"{"error":{"message":"overloaded"}}"#,
        r#"{"message":"maintenance","code":7}"#,
        r#"[{"error":"overloaded"}]"#,
        r#"["busy"]"#,
        "null",
        "7",
    ] {
        let (server, dir) = (ScriptedServer::start(move |_| Reply::json(answer)), skus(3));
        let args = ["--bulk-key", ".sku?", "--null-on", "missing"];
        let ended = fetch(&dir, &server.url("/p?ids={items}"), &args).expect_code(69);
        assert!(ended.stderr.contains("no items in the answer"), "{answer}: {}", ended.stderr);
        assert!(!dir.has("out.json"), "{answer}");
    }
    // With the option that names what would have been a key.
    let (server, dir) = (answering(|skus| list(skus)), skus(3));
    let ended = fetch(&dir, &server.url("/p?ids={items}"), &["--bulk-key", ".id"]).expect_code(69);
    let said = r#"the answer has 3 items, and --bulk-key gives no SKU for any; an item seems to have its SKU there: --bulk-key '.["sku"]'"#;
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn a_list_of_nothing_leaves_every_sku_out_whatever_the_conditions_on_items_say() {
    for (answer, items) in [
        (r#"{"products":[]}"#, ".products"),
        (r#"{"products":[]}"#, ".products[]"),
        (r#"{"products":null}"#, ".products"),
        (r#"{"products":{}}"#, ".products"),
        ("[]", ".products"),
    ] {
        let (server, dir) = (ScriptedServer::start(move |_| Reply::json(answer)), skus(3));
        let of_items = ["--retry-if", ".ready != true", "--refused-if", ".ready | not"];
        let args =
            ["--bulk-items", items, "--bulk-key", ".sku", "--null-on", "missing", "--min-success", "0"];
        fetch(&dir, &server.url("/p?ids={items}"), &[&args[..], &of_items].concat()).expect_code(0);
        assert_eq!(dir.read("out.json").matches(":null").count(), 3, "{answer} {items}");
    }
}

#[test]
fn a_sku_that_the_answer_has_in_another_form_is_not_left_out() {
    let other = |skus: &[&str]| {
        let written = |sku: &&str| sku.trim_start_matches('0').to_uppercase();
        list(&skus.iter().map(written).collect::<Vec<_>>())
    };
    let (server, dir) = (answering(other), WorkDir::new());
    dir.write_skus(["a1", "A2", "007"]);
    let args = ["--bulk-key", ".sku", "--null-on", "missing", "--min-success", "0"];
    let ended = fetch(&dir, &server.url("/p?ids={items}"), &args).expect_code(1);
    assert!(
        ended.stderr.contains("SKU a1: the answer to its pack has `A1` in its place"),
        "{}",
        ended.stderr
    );
    assert_eq!(dir.read("out.failed.csv").lines().count(), 3);
    assert!(!dir.read("out.json").contains("null"));
}

#[test]
fn an_object_for_one_sku_is_its_item_where_lists_are_those_of_several() {
    let (server, dir) =
        (answering(|skus| if let [only] = skus { product(only) } else { list(skus) }), skus(11));
    fetch(&dir, &server.url("/p?ids={items}"), &["--bulk-key", ".sku"]).expect_code(0);
    assert_eq!(dir.read("out.json"), alone(11));
}

#[test]
fn answers_that_look_like_pages_are_warned_of() {
    let (server, dir) = (answering(|skus| list(&skus[..skus.len().min(4)])), skus(30));
    let args = ["--bulk-key", ".sku", "--null-on", "missing"];
    let ended = fetch(&dir, &server.url("/p?ids={items}"), &args).expect_code(0);
    assert!(ended.stderr.contains("no answer to a pack had more than 4 items"), "{}", ended.stderr);
}

#[test]
fn what_a_further_page_may_have_is_not_left_out() {
    for (name, value) in [
        ("Link", "<https://a.test/p?page=1>; rel=\"prev\", <https://a.test/p?page=2>; rel=\"next\""),
        ("X-WP-TotalPages", "3"),
    ] {
        let server = ScriptedServer::start(move |seen| {
            let ids = values(seen, "ids").remove(0);
            let skus: Vec<&str> = ids.split(',').take(2).collect();
            Reply::json(list(&skus)).header(name, value)
        });
        let dir = skus(4);
        let args = ["--bulk-key", ".sku", "--null-on", "missing"];
        let ended = fetch(&dir, &server.url("/p?ids={items}"), &args).expect_code(1);
        assert!(ended.stderr.contains("not on the first page of the answer"), "{}", ended.stderr);
        assert!(!dir.read("out.json").contains("null"));
    }
    // The last page is none of several.
    let server = ScriptedServer::start(|seen| {
        let ids = values(seen, "ids").remove(0);
        let skus: Vec<&str> = ids.split(',').take(2).collect();
        Reply::json(list(&skus))
            .header("X-WP-TotalPages", "1")
            .header("Link", "<https://a.test/1>; rel=\"first\"")
    });
    let args = ["--bulk-key", ".sku", "--null-on", "missing"];
    fetch(&skus(4), &server.url("/p?ids={items}"), &args).expect_code(0);
}

#[test]
fn a_secret_among_foreign_skus_is_not_shown() {
    let (server, dir) = (answering(|skus| list(&[skus, &["tok=s3cr3tvalue"]].concat())), skus(3));
    let url = server.url("/p?t=${TOK}&ids={items}");
    let args = ["--bulk", "10", "--bulk-key", ".sku", "--report", "r.json"];
    let ended = run_with_url(&dir, &url, args).env("TOK", "s3cr3tvalue").finish().expect_code(0);
    assert!(ended.stderr.contains("not requested, such as `tok=(redacted)`"), "{}", ended.stderr);
    assert!(dir.holding("s3cr3tvalue").is_empty());
}
