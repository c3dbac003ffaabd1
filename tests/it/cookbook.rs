//! Every command of docs/cookbook.md runs, against the built-in catalogue API.
//!
//! A section is a folder: its blocks are run in order in one, with a `products.csv` of sixty rows. A block
//! with `file=NAME` is written there; a block that follows one that was run, and is no command, is what that
//! one printed, unless it says `elsewhere`. What `https://api.example.com` answers comes from the catalogue,
//! by way of a server that adds what the catalogue has not: searches by POST, and a token that expires.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use skufetch::testing::demo::{Catalogue, DemoSettings};

use crate::cookbook_tokens;
use crate::support::log::percent_decode;
use crate::support::page::{self, Block, PageFolder};
use crate::support::{Ended, Reply, ScriptedServer, Seen, closed_port};

const COOKBOOK: &str = include_str!("../../docs/cookbook.md");

/// A SKU that the API does not have.
const LOST: &str = "1174";

/// So many answers are given to the first token.
const FIRST_TOKEN: usize = 25;

/// The API of the page.
struct Api {
    server: ScriptedServer,
}

impl Api {
    fn open() -> Self {
        let settings = DemoSettings { latency: Duration::ZERO, failures: 0.0, missing: 0.0, rate: None };
        let catalogue = Arc::new(Catalogue::start(&settings).unwrap());
        let given = AtomicUsize::new(0);
        let server = ScriptedServer::start(move |seen| {
            if seen.header("authorization") == Some("Bearer token-1")
                && given.fetch_add(1, Ordering::SeqCst) >= FIRST_TOKEN
            {
                return Reply::status(401);
            }
            answer(&catalogue, seen)
        });
        Self { server }
    }

    fn origin(&self) -> String {
        self.server.url("")
    }
}

fn answer(catalogue: &Catalogue, seen: &Seen) -> Reply {
    if seen.path() == "/search" {
        assert_eq!(seen.method, "POST", "{seen:?}");
        assert_eq!(seen.header("content-type"), Some("application/json"));
        let requested: Value = serde_json::from_slice(&seen.body).expect("a body of JSON");
        let sku = requested.pointer("/query/sku").or(requested.pointer("/query/bool/filter/0/term/sku"));
        let found = of_catalogue(catalogue, sku.and_then(Value::as_str).expect("a SKU"));
        return Reply::json(format!("{{\"hits\":[{}]}}", found.1)).with_status(found.0);
    }
    if seen.path() == "/lookup" {
        assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
        let body = String::from_utf8(seen.body.clone()).unwrap();
        let sku = body.split('&').find_map(|pair| pair.strip_prefix("sku=")).expect("a SKU");
        let found = of_catalogue(catalogue, std::str::from_utf8(&percent_decode(sku)).unwrap());
        return Reply::json(found.1).with_status(found.0);
    }
    if seen.path() == "/graphql" {
        let requested: Value = serde_json::from_slice(&seen.body).expect("a body of JSON");
        assert_eq!(requested["query"], "query($id:ID!){product(id:$id){sku}}");
        let found = of_catalogue(catalogue, requested["variables"]["id"].as_str().expect("a SKU"));
        return Reply::json(format!("{{\"data\":{{\"product\":{}}}}}", found.1)).with_status(found.0);
    }
    if let Some(reply) = cookbook_tokens::reply(seen, &|sku| of_catalogue(catalogue, sku).1) {
        return reply;
    }
    if let Some(reply) = pack_in_pages(catalogue, seen) {
        return reply;
    }
    if let Some(reply) = in_packs(catalogue, seen) {
        return reply;
    }
    if let Some(reply) = error_inside(catalogue, seen) {
        return reply;
    }
    if let Some(reply) = in_pages(catalogue, seen) {
        return reply;
    }
    if seen.path().starts_with("/guarded/") && seen.header("cookie") != Some("session=1") {
        return Reply::redirect(302, seen.path()).header("Set-Cookie", "session=1; Path=/; HttpOnly");
    }
    let (status, body) = of_catalogue(catalogue, &seen.sku);
    Reply::json(body).with_status(status)
}

/// What APIs answer that report errors in their bodies.
fn error_inside(catalogue: &Catalogue, seen: &Seen) -> Option<Reply> {
    // Every seventh SKU at its first attempt.
    let is_limited = || seen.attempt == 1 && crc32fast::hash(seen.sku.as_bytes()).is_multiple_of(7);
    let product = |sku: &str| of_catalogue(catalogue, sku).1;
    let requested = || serde_json::from_slice::<Value>(&seen.body).expect("a body of JSON");
    let reply = match seen.path().split('/').nth(1).unwrap_or_default() {
        "catalogue" => match requested()["variables"]["id"].as_str().expect("a SKU") {
            LOST => Reply::json(format!(r#"{{"data":null,"errors":[{{"message":"no product {LOST}"}}]}}"#)),
            sku => Reply::json(format!(r#"{{"data":{{"product":{}}}}}"#, product(sku))),
        },
        "items" if seen.sku == LOST => Reply::json(r#"{"status":"NOT_FOUND"}"#),
        "session" => Reply::json(r#"{"error":"invalid token"}"#),
        "busy" if is_limited() => {
            Reply::json(r#"{"actionSucceed":false,"errorWrappers":[{"error":"MS_MAX_CONCURRENT_REQ"}]}"#)
        }
        "vies" if seen.number % 4 == 3 => {
            Reply::json(r#"{"actionSucceed":false,"errorWrappers":[{"error":"MS_MAX_CONCURRENT_REQ"}]}"#)
        }
        "vies" => {
            let number = requested()["vatNumber"].as_str().expect("a number").to_owned();
            Reply::json(format!(r#"{{"countryCode":"DE","vatNumber":"{number}","valid":true}}"#))
        }
        "admin" => {
            let requested = requested();
            let sku =
                requested["variables"]["q"].as_str().and_then(|q| q.strip_prefix("sku:")).expect("a SKU");
            let cost = |available: u32| {
                format!(
                    r#""extensions":{{"cost":{{"requestedQueryCost":12,"throttleStatus":{{"maximumAvailable":1000.0,"currentlyAvailable":{available},"restoreRate":50.0}}}}}}"#
                )
            };
            if seen.number % 20 == 5 {
                let error = r#"{"message":"Throttled","extensions":{"code":"THROTTLED"}}"#;
                Reply::json(format!(r#"{{"errors":[{error}],{}}}"#, cost(7)))
            } else {
                let node = product(sku);
                Reply::json(format!(r#"{{"data":{{"productVariants":{{"nodes":[{node}]}}}},{}}}"#, cost(900)))
            }
        }
        "keepa" => {
            let sku = seen.query_value("asin").expect("a SKU");
            if seen.number % 20 == 5 {
                Reply::json(r#"{"tokensLeft":-3,"refillIn":150,"error":null}"#).with_status(429)
            } else {
                let product = product(std::str::from_utf8(&sku).unwrap());
                Reply::json(format!(r#"{{"tokensLeft":7,"products":[{product}]}}"#))
            }
        }
        _ => return None,
    };
    Some(reply)
}

/// The answer to a pack in pages of twenty.
fn pack_in_pages(catalogue: &Catalogue, seen: &Seen) -> Option<Reply> {
    const PAGE: usize = 20;
    if seen.path() != "/wp-json/wc/v3/products" || query_text(seen, "per_page")? != PAGE.to_string() {
        return None;
    }
    let page: usize = query_text(seen, "page").map_or(1, |page| page.parse().expect("a number"));
    let skus = listed(&query_text(seen, "sku").expect("SKUs"), ",");
    let known: Vec<String> = skus.into_iter().filter(|sku| sku != LOST).collect();
    let on_page: Vec<String> = known.iter().skip((page - 1) * PAGE).take(PAGE).cloned().collect();
    let reply = Reply::json(items(&on_page, &|sku| of_catalogue(catalogue, sku).1));
    let rest = seen.target.split("&page=").next().unwrap();
    let is_last = page * PAGE >= known.len();
    Some(if is_last {
        reply
    } else {
        reply.header("Link", format!("<{rest}&page={}>; rel=\"next\"", page + 1))
    })
}

/// What APIs answer that are asked for many SKUs at once.
fn in_packs(catalogue: &Catalogue, seen: &Seen) -> Option<Reply> {
    let query = |name: &str| String::from_utf8(seen.query_value(name).expect(name)).unwrap();
    let product = |sku: &str| of_catalogue(catalogue, sku).1;
    let named = |name: &str, sku: &str| product(sku).replacen("\"sku\"", &format!("\"{name}\""), 1);
    let reply = match seen.path() {
        "/wp-json/wc/v3/products" => items(&listed(&query("sku"), ","), &product),
        "/v1/products" => {
            let pairs = seen.query().unwrap().split('&').filter_map(|pair| pair.strip_prefix("ids[]="));
            let skus: Vec<String> =
                pairs.map(|sku| String::from_utf8(percent_decode(sku)).unwrap()).collect();
            format!(r#"{{"data":{}}}"#, items(&skus, &|sku| named("id", sku)))
        }
        "/product-projections" => {
            let predicate = query("where");
            let inside = predicate.strip_prefix("sku in (").and_then(|rest| rest.strip_suffix(')')).unwrap();
            format!(r#"{{"results":{}}}"#, items(&listed(&inside.replace('"', ""), ","), &product))
        }
        "/api/products" => {
            let filter = query("filter[reference]");
            let skus = listed(filter.trim_matches(['[', ']']), "|");
            format!(r#"{{"products":{}}}"#, items(&skus, &|sku| named("reference", sku)))
        }
        "/catalog/2022-04-01/items" => {
            let item = |sku: &str| {
                let ids = format!(r#"[{{"identifiers":[{{"identifierType":"SKU","identifier":"{sku}"}}]}}]"#);
                format!(r#"{{"asin":"B0","identifiers":{ids}}}"#)
            };
            format!(r#"{{"items":{}}}"#, items(&listed(&query("identifiers"), ","), &item))
        }
        path if path.starts_with("/products/(") => {
            let skus = listed(seen.sku.trim_matches(['(', ')']), ",");
            format!(r#"{{"data":{}}}"#, items(&skus, &|sku| named("id", sku)))
        }
        _ => return in_bodies_or_with_errors(catalogue, seen),
    };
    Some(Reply::json(reply))
}

/// So many pages a list has.
const LAST_PAGE: usize = 3;

/// Two items of a list of a SKU.
fn items_of_page(catalogue: &Catalogue, sku: &str, page: usize) -> String {
    let item = |n: usize| {
        let product = of_catalogue(catalogue, sku).1;
        let price = format!("{page}{n}.{:02}", crc32fast::hash(sku.as_bytes()) % 100);
        format!(r#"{{"id":"{sku}-{page}{n}","Price":{price},"fields":{{"Price":{price}}},"of":{product}}}"#)
    };
    format!("[{},{}]", item(0), item(1))
}

/// A value of the query.
fn query_text(seen: &Seen, name: &str) -> Option<String> {
    seen.query_value(name).map(|value| String::from_utf8(value).unwrap())
}

/// What APIs answer whose lists come in pages, each of which names the next one.
fn in_pages(catalogue: &Catalogue, seen: &Seen) -> Option<Reply> {
    const LAST: usize = LAST_PAGE;
    let number = |name: &str| query_text(seen, name).map_or(1, |value| value.parse().expect("a number"));
    let decoded = |segment: &str| String::from_utf8(percent_decode(segment)).unwrap();
    let of_path = &decoded(seen.path().split('/').rev().nth(1).unwrap_or_default());
    let items = |sku: &str, page: usize| items_of_page(catalogue, sku, page);
    let absolute = |rest: &str| format!("http://{}{}{rest}", seen.header("host").unwrap(), seen.path());
    let reply = match seen.path() {
        path if path.ends_with("/variations") => {
            let page = number("page");
            let reply = Reply::json(items(of_path, page));
            let link = |page: usize, rel: &str| {
                format!("<{}>; rel=\"{rel}\"", absolute(&format!("?per_page=100&page={page}")))
            };
            match page {
                LAST => reply.header("Link", link(page - 1, "prev")),
                _ => reply.header("Link", format!("{}, {}", link(1, "first"), link(page + 1, "next"))),
            }
        }
        path if path.starts_with("/api/rest/v1/families/") => {
            let page = number("page");
            let next = if page < LAST {
                format!(r#","next":{{"href":"{}"}}"#, absolute(&format!("?page={}&limit=100", page + 1)))
            } else {
                String::new()
            };
            Reply::json(format!(
                r#"{{"_links":{{"self":{{"href":"x"}}{next}}},"current_page":{page},"_embedded":{{"items":{}}}}}"#,
                items(of_path, page)
            ))
        }
        path if path.starts_with("/crm/v4/objects/products/") => {
            let page = number("after");
            let sku = &decoded(seen.path().split('/').nth(5).unwrap());
            let paging = if page < LAST {
                let link = absolute(&format!("?limit=500&after={}", page + 1));
                format!(r#","paging":{{"next":{{"after":"{}","link":"{link}"}}}}"#, page + 1)
            } else {
                String::new()
            };
            Reply::json(format!(r#"{{"results":{}{paging}}}"#, items(sku, page)))
        }
        path if path.starts_with("/v3/catalog/products/") => {
            let page = number("page");
            let next = if page < LAST {
                format!(r#","next":"?page={}&limit=250""#, page + 1)
            } else {
                String::new()
            };
            Reply::json(format!(
                r#"{{"data":{},"meta":{{"pagination":{{"links":{{"current":"?page={page}"{next}}}}}}}}}"#,
                items(of_path, page)
            ))
        }
        _ => return in_computed_pages(catalogue, seen),
    };
    Some(reply)
}

/// The same where the next page has to be computed.
fn in_computed_pages(catalogue: &Catalogue, seen: &Seen) -> Option<Reply> {
    const LAST: usize = LAST_PAGE;
    let query = |name: &str| query_text(seen, name);
    let number =
        |name: &str, first: usize| query(name).map_or(first, |value| value.parse().expect("a number"));
    let items = |sku: &str, page: usize| items_of_page(catalogue, sku, page);
    let reply = match seen.path() {
        "/v1/prices" => {
            let sku = query("product").expect("a product");
            let page = match query("starting_after") {
                None => 1,
                Some(last) => {
                    assert!(last.starts_with(&format!("{sku}-")) && last.ends_with('1'), "{last}");
                    last[last.len() - 2..last.len() - 1].parse::<usize>().unwrap() + 1
                }
            };
            Reply::json(format!(
                r#"{{"object":"list","data":{},"has_more":{}}}"#,
                items(&sku, page),
                page < LAST
            ))
        }
        "/v0/app1/Prices" => {
            let formula = query("filterByFormula").expect("a formula");
            let sku = formula.strip_prefix("SKU=\"").and_then(|rest| rest.strip_suffix('"')).expect("a SKU");
            let page =
                query("offset").map_or(1, |offset| offset.strip_prefix("itr/").unwrap().parse().unwrap());
            let offset = if page < LAST { format!(r#","offset":"itr/{}""#, page + 1) } else { String::new() };
            Reply::json(format!(r#"{{"records":{}{offset}}}"#, items(sku, page)))
        }
        "/occ/v2/shop/products/search" => {
            let page = number("currentPage", 0);
            let sku = query("query").expect("a query");
            Reply::json(format!(
                r#"{{"pagination":{{"currentPage":{page},"totalPages":{LAST}}},"products":{}}}"#,
                items(&sku, page + 1)
            ))
        }
        "/wp-json/wc/v3/products/reviews" => {
            let (page, sku) = (number("page", 1), query("product").expect("a product"));
            Reply::json(items(&sku, page)).header("X-WP-TotalPages", LAST.to_string())
        }
        _ => return None,
    };
    Some(reply)
}

/// The SKUs of a text.
pub fn listed(text: &str, separator: &str) -> Vec<String> {
    text.split(separator).map(str::to_owned).collect()
}

pub fn items(skus: &[String], item: &dyn Fn(&str) -> String) -> String {
    format!("[{}]", skus.iter().map(|sku| item(sku)).collect::<Vec<_>>().join(","))
}

/// The same for requests with a body, and for answers that say of each SKU whether it is there.
fn in_bodies_or_with_errors(catalogue: &Catalogue, seen: &Seen) -> Option<Reply> {
    let query = |name: &str| String::from_utf8(seen.query_value(name).expect(name)).unwrap();
    let body = || serde_json::from_slice::<Value>(&seen.body).expect("a body of JSON");
    let known = |skus: &[String]| skus.iter().filter(|sku| *sku != LOST).cloned().collect::<Vec<_>>();
    let product = |sku: &str| of_catalogue(catalogue, sku).1;
    let named = |name: &str, sku: &str| product(sku).replacen("\"sku\"", &format!("\"{name}\""), 1);
    let reply = match seen.path() {
        "/admin/api/bulk.json" => {
            let requested = body();
            let skus =
                listed(&requested["variables"]["q"].as_str().expect("a query").replace("sku:", ""), " OR ");
            format!(r#"{{"data":{{"productVariants":{{"nodes":{}}}}}}}"#, items(&skus, &product))
        }
        "/idx/_mget" => {
            let item = |sku: &str| match sku {
                LOST => format!(r#"{{"_id":"{sku}","found":false}}"#),
                _ => format!(r#"{{"_id":"{sku}","found":true,"_source":{}}}"#, product(sku)),
            };
            let ids: Vec<String> = serde_json::from_value(body()["ids"].clone()).expect("ids");
            format!(r#"{{"docs":{}}}"#, items(&ids, &item))
        }
        "/crm/v3/objects/products/batch/read" => {
            let inputs = body()["inputs"].as_array().expect("inputs").clone();
            let skus: Vec<String> =
                inputs.iter().map(|id| id["id"].as_str().expect("an id").to_owned()).collect();
            let results = items(&known(&skus), &|sku| format!(r#"{{"properties":{{"hs_sku":"{sku}"}}}}"#));
            let lost: Vec<String> = skus.into_iter().filter(|sku| sku == LOST).collect();
            let errors = items(&lost, &|sku| {
                format!(r#"{{"message":"no such object","context":{{"ids":["{sku}"]}}}}"#)
            });
            return Some(
                Reply::json(format!(r#"{{"results":{results},"errors":{errors}}}"#)).with_status(207),
            );
        }
        "/books" => {
            assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
            let text = std::str::from_utf8(&seen.body).unwrap().strip_prefix("isbns=").expect("a form");
            let skus = listed(std::str::from_utf8(&percent_decode(text)).unwrap(), ",");
            format!(r#"{{"data":{}}}"#, items(&skus, &|sku| format!(r#"{{"isbn13":"{sku}"}}"#)))
        }
        "/api/v2/search/partnumber" => {
            assert_eq!(query("apiKey"), "s3cret-mouser");
            let wanted = body()["SearchByPartRequest"]["mouserPartNumber"].as_str().expect("SKUs").to_owned();
            let parts = items(&known(&listed(&wanted, "|")), &|sku| named("MouserPartNumber", sku));
            format!(r#"{{"Errors":[],"SearchResults":{{"Parts":{parts}}}}}"#)
        }
        "/items" => {
            let item = |sku: &str| match sku {
                LOST => format!(r#"{{"code":404,"body":{{"id":"{sku}","message":"not found"}}}}"#),
                _ => format!(r#"{{"code":200,"body":{}}}"#, named("id", sku)),
            };
            items(&listed(&query("ids"), ","), &item)
        }
        "/api/v2/search" => {
            let skus = known(&listed(&query("code"), ","));
            format!(r#"{{"products":{}}}"#, items(&skus, &|sku| named("code", sku)))
        }
        _ => return None,
    };
    Some(Reply::json(reply))
}

/// What the catalogue itself answers, which has every SKU, except for [`LOST`].
fn of_catalogue(catalogue: &Catalogue, sku: &str) -> (u16, String) {
    if sku == LOST {
        return (404, r#"{"error":"no such product"}"#.to_owned());
    }
    let url = catalogue.url_template();
    let host = url.strip_prefix("http://").and_then(|url| url.split('/').next()).unwrap();
    let mut encoded = String::new();
    for byte in sku.bytes() {
        write!(encoded, "%{byte:02X}").unwrap();
    }
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /products/{encoded} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head["HTTP/1.1 ".len()..][..3].parse().unwrap(), body.to_owned())
}

/// A folder for a section, and its API.
fn set_up(lost: bool) -> (PageFolder, Api) {
    let api = Api::open();
    let host = api.server.addr().to_string();
    let folder = PageFolder::new(&[
        ("https://api.example.com", &api.origin()),
        ("proxy.example.com:3128", &host),
        ("http://gateway.example.com:8080", &api.origin()),
        ("cd /srv/catalogue", "cd ."),
        ("/usr/local/bin/skufetch", "skufetch"),
    ]);
    let all = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/products.csv")).unwrap();
    let mut rows: String = all.split_inclusive('\n').take(61).collect();
    if lost {
        writeln!(rows, "{LOST},Gone,Isla,Outdoor,1.00,EUR,0").unwrap();
    }
    folder.dir.write("products.csv", rows);
    folder.write("get-token", "#!/bin/sh\necho x >>asked; echo token-$(grep -c x asked)");
    (folder, api)
}

/// Whether all that a block needs is here. What is not is said, and not run; in CI it has to be here.
fn can_be_run(block: &Block) -> bool {
    let there = |need: &&str| match *need {
        "requests" => {
            Command::new("python3").args(["-c", "import requests"]).output().is_ok_and(|o| o.status.success())
        }
        program => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        }
    };
    let missing = block.value("needs").unwrap_or("").split(',').filter(|need| !need.is_empty());
    let missing: Vec<_> = missing.filter(|need| !there(need)).collect();
    if !missing.is_empty() {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!in_ci, "{missing:?} not there: {}", block.text);
        println!("skipped: there is no {missing:?} for\n{}", block.text);
    }
    missing.is_empty()
}

/// Runs a block and gives what it printed.
fn run(folder: &PageFolder, block: &Block) -> Ended {
    let ended = folder.run(block.text, &[]);
    let code = block.value("exit").map_or(0, |code| code.parse().unwrap());
    assert_eq!(ended.code, Some(code), "{}\n{ended:?}", block.text);
    assert!(!ended.stderr.contains("warning"), "{}\n{ended:?}", block.text);
    let words: Vec<&str> = block.text.split_whitespace().collect();
    let outputs = words.windows(2).filter(|pair| pair[0] == "-o" && block.text.contains("skufetch "));
    for name in outputs.map(|pair| pair[1]).filter(|name| *name != "-" && code < 2) {
        page::expect_whole_output(&folder.dir, name);
    }
    ended
}

/// A section's blocks, one after the other.
fn cook(blocks: &[Block]) -> Ran {
    let (folder, api) = set_up(blocks.iter().any(|block| block.has("lost")));
    let mut printed: Option<String> = None;
    let mut count = 0;
    for block in blocks {
        match (block.language, block.value("file")) {
            (_, Some(name)) => {
                folder.write(name, block.text);
                printed = None;
            }
            ("sh", None) => {
                printed = can_be_run(block).then(|| run(&folder, block).stdout().to_owned());
                count += 1;
            }
            ("json" | "text", None) if !block.has("elsewhere") => {
                if let Some(printed) = printed.take() {
                    assert_eq!(printed.trim_end(), block.text, "in {}", block.section);
                }
            }
            _ => printed = None,
        }
    }
    Ran { folder, api, count }
}

struct Ran {
    folder: PageFolder,
    api: Api,
    count: usize,
}

fn sections() -> Vec<Vec<Block>> {
    let all = page::blocks(COOKBOOK);
    all.chunk_by(|a, b| a.section == b.section).map(<[Block]>::to_vec).collect()
}

fn section(name: &str) -> Vec<Block> {
    sections().into_iter().find(|blocks| blocks[0].section == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn every_command_of_the_cookbook_runs_and_prints_what_is_shown_there() {
    let mut count = 0;
    // Two at a time, as each wants a processor.
    for pair in sections().chunks(2) {
        let running: Vec<_> =
            pair.iter().cloned().map(|blocks| thread::spawn(move || cook(&blocks).count)).collect();
        count += running.into_iter().map(|one| one.join().unwrap()).sum::<usize>();
    }
    assert!(count >= 30, "{count} only");
}

#[test]
fn an_expired_token_costs_no_answer_that_was_had() {
    let ran = cook(&section("A token that expires"));
    assert_eq!(ran.folder.dir.read("asked").lines().count(), 2, "two tokens");
    let requests = ran.api.server.requests();
    let with =
        |token: &str| requests.iter().filter(|seen| seen.header("authorization") == Some(token)).count();
    let is_of_command =
        |seen: &&Arc<Seen>| seen.header("authorization").is_some_and(|it| it.starts_with("Bearer token-"));
    let skus: BTreeSet<_> = requests.iter().filter(is_of_command).map(|seen| seen.sku.clone()).collect();
    assert_eq!(skus.len(), 60);
    assert_eq!(with("Bearer token-2"), 60 - FIRST_TOKEN, "what was answered is not requested again");
}

#[test]
fn every_recipe_for_pages_has_all_items_of_each_sku() {
    let ran = cook(&section("Answers in pages"));
    // Of 61 SKUs a pack has 50, in three pages, and one the rest.
    assert_eq!(ran.api.server.count(), 8 * 61 * 3 + 3 + 1);
    for name in ["variations", "akeneo", "hubspot", "big", "prices", "sap", "reviews"] {
        let out: Value = serde_json::from_str(&ran.folder.dir.read(&format!("{name}.json"))).unwrap();
        let skus = out.as_object().unwrap();
        assert_eq!(skus.len(), 61, "{name}");
        for (sku, items) in skus {
            let ids: Vec<&str> =
                items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
            let expected: Vec<String> =
                ["10", "11", "20", "21", "30", "31"].map(|n| format!("{sku}-{n}")).into();
            assert_eq!(ids, expected, "{name}");
        }
    }
    let lowest = ran.folder.dir.read("airtable.json");
    assert!(lowest.lines().nth(1).unwrap().contains("\":10."), "{lowest}");
}

#[test]
fn the_session_of_the_cookbook_is_begun_once_by_each_that_is_in_flight() {
    let ran = cook(&section("A session cookie"));
    let without = ran.api.server.requests().iter().filter(|seen| seen.header("cookie").is_none()).count();
    assert!(ran.api.server.count() == 60 + without && without <= 20, "{without}");
}

#[test]
fn the_proxy_and_the_headers_of_the_cookbook_arrive() {
    let ran = cook(&section("A proxy"));
    let requests = ran.api.server.requests();
    assert!(requests.len() == 60 && requests.iter().all(|seen| seen.target.starts_with("http://")));
    assert!(requests.iter().all(|seen| seen.header("proxy-authorization").is_some()));
    let ran = cook(&section("Headers and secrets"));
    let requests = ran.api.server.requests();
    assert!(requests.iter().all(|seen| seen.header("authorization") == Some("Bearer s3cret")));
    assert!(ran.folder.dir.holding("s3cret").is_empty());
}

#[test]
fn every_line_for_cron_prints_nothing_for_a_complete_run_and_otherwise_its_errors() {
    let blocks = section("Cron");
    let table = blocks.iter().find(|block| block.language == "cron").unwrap();
    let config = blocks.iter().find(|block| block.value("file").is_some()).unwrap();
    let jobs: Vec<&str> =
        table.text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    assert_eq!(jobs.len(), 3);
    let (folder, _api) = set_up(false);
    folder.write("config.toml", config.text);
    for job in jobs {
        let (time, command) = job.split_once("  ").unwrap();
        assert_eq!(time.split(' ').count(), 5, "{job}");
        assert!(!command.contains('%'), "cron reads it as a line end: {job}");
        let ended = folder.run(command, &[]);
        assert_eq!((ended.code, ended.stdout(), ended.stderr.as_str()), (Some(0), "", ""), "{job}");
        let closed = format!("http://{}/{{sku}}", closed_port());
        let ended = folder.run(command, &[("SKUFETCH_URL", &closed)]);
        assert!(!(ended.stdout().is_empty() && ended.stderr.is_empty()), "{job}");
    }
}

/// The value of a line of a unit.
fn of_unit<'a>(unit: &'a str, name: &str) -> Option<&'a str> {
    unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn what_the_units_start_runs() {
    let in_cookbook = section("Systemd");
    let unit = |name| in_cookbook.iter().find(|block| block.value("unit") == Some(name)).unwrap().text;
    let cron = section("Cron");
    let config = cron.iter().find(|block| block.value("file").is_some()).unwrap().text;
    let (folder, _api) = set_up(false);
    folder.write("config.toml", config);
    let command = of_unit(unit("catalogue.service"), "ExecStart").unwrap();
    assert_eq!(folder.run(command, &[]).code, Some(0));

    let template = include_str!("../../packaging/systemd/skufetch@.service");
    fs::create_dir(folder.dir.path("etc")).unwrap();
    folder.write("etc/prices.toml", config);
    let command = of_unit(template, "ExecStart").unwrap();
    let command = command.replace("/usr/bin/", "").replace("/etc/skufetch/%i", "etc/prices");
    let (name, input) = of_unit(template, "Environment").unwrap().split_once('=').unwrap();
    assert_eq!(folder.run(&command, &[(name, input)]).code, Some(0), "{command}");
    for unit in [template, unit("catalogue.service")] {
        assert_eq!(of_unit(unit, "RestartPreventExitStatus"), Some("2 65 66 73 76 77 78"));
        assert_eq!(of_unit(unit, "SuccessExitStatus"), Some("1"));
        // systemd refuses such a unit.
        assert!(of_unit(unit, "RestartForceExitStatus").is_none());
    }
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: there is no systemd-analyze here");
        return;
    }
    let folder = PageFolder::new(&[]);
    let program = env!("CARGO_BIN_EXE_skufetch");
    let mut names = Vec::new();
    // Those without a name are parts of a unit: `packaging/check-systemd` runs them.
    for block in section("Systemd").iter().filter(|block| block.language == "ini") {
        let Some(name) = block.value("unit") else { continue };
        folder.dir.write(name, block.text.replace("/usr/local/bin/skufetch", program));
        names.push(folder.dir.path(name));
    }
    for (name, text) in [
        ("skufetch@x.service", include_str!("../../packaging/systemd/skufetch@.service")),
        ("skufetch@x.timer", include_str!("../../packaging/systemd/skufetch@.timer")),
    ] {
        names.push(folder.dir.write(name, text.replace("/usr/bin/skufetch", program)));
    }
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(names).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn every_link_of_the_cookbook_leads_somewhere() {
    let slug = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let headings = |page: &str| -> BTreeSet<String> {
        page.lines().filter_map(|line| line.strip_prefix("## ")).map(slug).collect()
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut linked = BTreeSet::new();
    for link in COOKBOOK.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        let Some((file, anchor)) = link.split_once('#') else {
            assert!(link.contains("://") || here.join(link).exists(), "{link}");
            continue;
        };
        let page =
            if file.is_empty() { COOKBOOK.to_owned() } else { fs::read_to_string(here.join(file)).unwrap() };
        assert!(headings(&page).contains(anchor), "{link}");
        linked.extend(file.is_empty().then(|| anchor.to_owned()));
    }
    assert_eq!(linked, headings(COOKBOOK), "the list at the head has every recipe");
    let index = fs::read_to_string(here.join("README.md")).unwrap();
    for page in fs::read_dir(&here).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || !name.ends_with("md") || index.contains(&format!("({name})")),
            "{name}"
        );
    }
}

#[test]
fn the_waits_inside_bodies_of_the_cookbook_are_waited_and_cost_no_retry() {
    let ran = cook(&section("A wait inside the body"));
    let throttled = |path: &str| ran.api.server.requests().iter().filter(|seen| seen.path() == path).count();
    assert!(throttled("/admin/api/graphql.json") > 60, "some were throttled, and asked for again");
    assert!(throttled("/keepa/product") > 60);
}
