//! CSV outputs: the rows of the input with a cell for each column that was asked for.

use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::output_kit::{counts, fetch_to, messages, plain, skus};
use crate::support::{Ended, Reply, Run, Script, ScriptedServer, WorkDir};

const COLUMNS: &str = "name=.name, price=.price.amount";

/// `skufetch products.csv -o out.csv --columns LIST`, its messages as JSON lines.
fn table<'a>(dir: &'a WorkDir, server: &ScriptedServer, columns: &str) -> Run<'a> {
    fetch_to(dir, server, "out.csv").args(["--columns", columns])
}

/// The records of a table, as the csv crate reads them.
#[track_caller]
fn records(text: &str, delimiter: u8) -> Vec<Vec<String>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(text.as_bytes());
    let record = |record: Result<csv::StringRecord, csv::Error>| {
        record.unwrap_or_else(|error| panic!("{error}: {text}")).iter().map(String::from).collect()
    };
    reader.records().map(record).collect()
}

/// An API that has a name and a price for every SKU.
fn shop() -> ScriptedServer {
    ScriptedServer::start(|seen| {
        Reply::json(format!(
            "{{\"name\":\"{0}, new\",\"price\":{{\"amount\":1.10}},\"sku\":\"{0}\"}}",
            seen.sku
        ))
    })
}

#[test]
fn each_row_comes_back_with_its_cells_and_the_columns_that_were_asked_for() {
    let (dir, server) = (WorkDir::new(), shop());
    dir.write("products.csv", "sku,note\nb,\"x, \"\"y\"\"\"\na,\n0042, 7 \n");
    let ended = table(&dir, &server, COLUMNS).finish().expect_code(0);
    let expected = "sku,note,name,price\nb,\"x, \"\"y\"\"\",\"b, new\",1.10\na,,\"a, new\",1.10\n\
                    0042, 7 ,\"0042, new\",1.10\n";
    assert_eq!(dir.read("out.csv"), expected);
    assert_eq!(counts(&ended), [3, 3, 0, 0, 0, 0]);
    assert_eq!(dir.names(), ["out.csv", "out.csv.lock", "out.csv.state", "products.csv"]);
    // To standard output, and by --format, it is the same.
    for args in [["-o", "-"], ["-o", "out.txt"]] {
        let run = Run::new(&dir).args(["products.csv", "--format", "csv", "--url", &server.url("/p/{sku}")]);
        let ended = run.args(args).args(["--columns", COLUMNS]).finish().expect_code(0);
        let text = if args[1] == "-" { ended.stdout().to_owned() } else { dir.read(args[1]) };
        assert_eq!(text, expected);
    }
}

#[test]
fn delimiter_line_end_and_mark_are_those_of_the_input() {
    let server = shop();
    for (input, args, expected) in [
        ("sku;n\r\na;1,5\r\n", &[][..], "sku;n;name;price\r\na;1,5;a, new;1.10\r\n"),
        ("sku\tn\na\tx;y\n", &[], "sku\tn\tname\tprice\na\tx;y\ta, new\t1.10\n"),
        ("\u{feff}sku|n\r\na|x\r\n", &[], "\u{feff}sku|n|name|price\r\na|x|a, new|1.10\r\n"),
        ("sku,n\na,x\n", &["--csv-bom"], "\u{feff}sku,n,name,price\na,x,\"a, new\",1.10\n"),
        ("sku,n\na,x", &[], "sku,n,name,price\na,x,\"a, new\",1.10\n"),
        ("a,x\n", &["--no-headers", "-k", "1"], "1,2,name,price\na,x,\"a, new\",1.10\n"),
        ("sku,n,m\na,x\n", &["--short-rows", "pad"], "sku,n,m,name,price\na,x,,\"a, new\",1.10\n"),
    ] {
        let dir = WorkDir::new();
        dir.write("products.csv", input);
        table(&dir, &server, COLUMNS).args(args).finish().expect_code(0);
        assert_eq!(dir.read("out.csv"), expected, "{input:?}");
    }
}

#[test]
fn another_encoding_becomes_utf_8_with_a_mark() {
    let (dir, server) = (WorkDir::new(), shop());
    dir.write("products.csv", b"sku;Gr\xf6\xdfe\na;\xfc\n");
    table(&dir, &server, "name=.sku").args(["--encoding", "windows-1252"]).finish().expect_code(0);
    assert_eq!(dir.read("out.csv"), "\u{feff}sku;Größe;name\na;ü;a\n");
}

#[test]
fn a_value_is_a_cell_as_a_person_would_write_it() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let body = r#"{"t":"a \"b\"\r\nc","big":9007199254740993,"p":1.10,"e":1e400,"n":null,"y":true,
                   "o":{"k":[1.0,"x"]},"f":"=1+1","neg":-5.50,"text":"-5.50","at":"@x","empty":""}"#;
    let server = ScriptedServer::start(move |_| Reply::json(body));
    let columns = "t=.t, big=.big, p=.p, e=.e, n=.n, none=empty, miss=.x.y, y=.y, o=.o, f=.f, neg=.neg, \
                   text=.text, at=.at, empty=.empty, joined=([.p, .big] | map(tostring) | join(\", \")), whole=.";
    table(&dir, &server, columns).finish().expect_code(0);
    let text = dir.read("out.csv");
    let found = &records(&text, b',')[1];
    let expected = [
        "1",
        "a \"b\"\r\nc",
        "9007199254740993",
        "1.10",
        "1e400",
        "",
        "",
        "",
        "true",
        "{\"k\":[1.0,\"x\"]}",
        "'=1+1",
        "-5.50",
        "-5.50",
        "'@x",
        "",
        "1.10, 9007199254740993",
    ];
    assert_eq!(found[..16], expected);
    assert_eq!(found[16], body.replace(",\n                   ", ","));
    assert!(text.contains("\"a \"\"b\"\"\r\nc\""), "{text}");
}

#[test]
fn names_may_hold_anything_but_what_ends_a_line() {
    let (dir, server) = (WorkDir::new(), shop());
    dir.write_skus(["a"]);
    table(&dir, &server, r#""price, net (\"€\")" = .price.amount, größe=.x"#).finish().expect_code(0);
    assert_eq!(records(&dir.read("out.csv"), b',')[0], ["sku", "price, net (\"€\")", "größe"]);
}

#[test]
fn without_columns_there_is_one_with_the_whole_body() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(|_| Reply::json("{ \"a\" : [1.10, \"x\"] }")));
    dir.write_skus(["1"]);
    fetch_to(&dir, &server, "out.csv").finish().expect_code(0);
    assert_eq!(records(&dir.read("out.csv"), b','), [["sku", "body"], ["1", "{\"a\":[1.10,\"x\"]}"]]);
}

#[test]
fn columns_are_made_of_what_select_gives() {
    let (dir, server) = (WorkDir::new(), shop());
    dir.write("products.csv", "sku,cost\na,0.60\n");
    let select = ["--select", ".price + {cost: ($row.cost | tonumber)}"];
    table(&dir, &server, "price=.amount, gain=.amount - .cost").args(select).finish().expect_code(0);
    assert_eq!(records(&dir.read("out.csv"), b',')[1], ["a", "0.60", "1.10", "0.5000000000000001"]);
}

#[test]
fn a_failed_sku_has_no_row_and_a_null_has_empty_cells() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\na,1\nb,2\nc,3\nd,4\ne\n");
    let script = Script::new().for_sku("a", [Reply::status(404)]).for_sku("b", [Reply::status(410)]);
    let server = ScriptedServer::script(script.otherwise(|_| Reply::json("{\"name\":\"x\"}")));
    let ended = table(&dir, &server, "name=.name, n2=(.name | length)");
    let ended = ended.args(["--null-on", "410"]).finish().expect_code(1);
    assert_eq!(counts(&ended), [5, 3, 0, 2, 0, 0]);
    assert_eq!(dir.read("out.csv"), "sku,n,name,n2\nb,2,,\nc,3,x,1\nd,4,x,1\n");
    let failed = dir.read("out.failed.csv");
    assert!(failed.starts_with("sku,n,_error,_status,_attempts\na,1,"), "{failed}");
    assert_eq!(failed.lines().count(), 3);
}

#[test]
fn every_row_of_a_repeated_sku_comes_back_unless_it_asked_for_something_else() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,lang,shelf\na,de,1\nb,de,2\na,de,3\na,fr,4\nb,de,5\nc,de,6\nc,de,7\n");
    let script = Script::new().for_sku("c", [Reply::status(404)]);
    let server = ScriptedServer::script(script.otherwise(|seen| Reply::json(format!("\"{}\"", seen.sku))));
    let run = Run::new(&dir).args(["products.csv", "-o", "out.csv", "--columns", "v=.", "-c", "1"]);
    let run = run.args(["--url", &server.url("/p/{sku}?lang={lang}"), "--log-format", "json"]);
    let ended = run.finish().expect_code(1);
    assert_eq!(counts(&ended), [7, 2, 0, 1, 4, 0]);
    assert_eq!(server.count(), 3);
    assert_eq!(dir.read("out.csv"), "sku,lang,shelf,v\na,de,1,a\nb,de,2,b\na,de,3,a\nb,de,5,b\n");
}

#[test]
fn a_filter_that_fails_fails_its_sku_alone_and_is_named() {
    let dir = WorkDir::new();
    dir.write_skus(["a", "b", "c", "d"]);
    let script = Script::new()
        .for_sku("a", [Reply::json("{\"p\":\"x\"}")])
        .for_sku("b", [Reply::json("{\"p\":{\"q\":1},\"all\":[1,2]}")])
        .for_sku("c", [Reply::json("{\"p\":{\"q\":2},\"nul\":\"a\\u0000\"}")]);
    let server = ScriptedServer::script(script.otherwise(|_| Reply::json("{\"p\":{\"q\":3}}")));
    let ended = table(&dir, &server, "q=.p.q, all=.all[]?, nul=.nul").finish().expect_code(69);
    assert_eq!(counts(&ended), [4, 1, 0, 3, 0, 0]);
    let failed = dir.read("out.failed.csv");
    for (sku, why) in [
        ("a", "column `q`: the jq filter failed: cannot index"),
        ("b", "column `all`: the jq filter gave several values; [ ] around it"),
        ("c", "column `nul`: its text has a NUL"),
    ] {
        let line = failed.lines().find(|line| line.starts_with(&format!("{sku},"))).unwrap();
        assert!(line.contains(why) && line.ends_with(",200,1"), "{line}");
    }
    assert!(ended.stderr.contains("3 without a cell (--columns)"), "{}", ended.stderr);
}

#[test]
fn columns_can_be_changed_without_asking_again() {
    let (dir, server) = (WorkDir::new(), shop());
    dir.write_skus(skus(30));
    // Each fails, so nothing is published, and the journal is kept with every answer.
    table(&dir, &server, "n=.name.first").finish().expect_code(69);
    assert_eq!(server.count(), 30);
    let hint = "correct --columns; the answers are in the journal, and are not requested again";
    let ended = table(&dir, &server, "still=.name.x").finish().expect_code(69);
    assert_eq!((server.count(), counts(&ended)), (30, [30, 0, 0, 30, 0, 0]));
    assert!(messages(&ended).contains(hint), "{}", ended.stderr);
    assert!(!messages(&ended).contains("no row of this input needs"), "{}", ended.stderr);
    // As a table with other columns, and as JSON to the same journal.
    let ended = table(&dir, &server, "n=.name").finish().expect_code(0);
    assert_eq!((server.count(), counts(&ended)), (30, [30, 30, 0, 0, 0, 0]));
    assert_eq!(records(&dir.read("out.csv"), b',')[30], ["S0029", "S0029, new"]);
}

#[test]
fn the_cells_beside_a_resumed_answer_are_those_of_the_input_now() {
    let dir = WorkDir::new();
    let server = ScriptedServer::script(
        Script::new()
            .for_sku("b", [Reply::retry_after(429, "3600"), Reply::json("2")])
            .otherwise(|_| Reply::json("1")),
    );
    dir.write("products.csv", "sku,n\na,old\nb,x\n");
    table(&dir, &server, "v=.").args(["-c", "1"]).finish().expect_code(75);
    dir.write("products.csv", "sku,n,more\nb,x,\na,new,cell\n");
    let ended = table(&dir, &server, "v=.").finish().expect_code(0);
    assert_eq!(counts(&ended), [2, 2, 0, 0, 0, 0]);
    assert_eq!(server.requests_for("a").len(), 1);
    assert_eq!(dir.read("out.csv"), "sku,n,more,v\nb,x,,2\na,new,cell,1\n");
}

#[test]
fn records_have_status_time_attempts_and_error_and_failed_skus_have_rows() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,n\na,1\nb,2\na,3\nc\n");
    let server = ScriptedServer::script(
        Script::new().for_sku("a", [Reply::status(404)]).otherwise(|_| Reply::json("{\"v\":\"=x\"}")),
    );
    let ended = table(&dir, &server, "v=.v")
        .args(["--shape", "record", "--min-success", "0"])
        .finish()
        .expect_code(1);
    assert_eq!(counts(&ended), [4, 1, 0, 2, 1, 0]);
    let found = records(&dir.read("out.csv"), b',');
    assert_eq!(found[0], ["sku", "n", "v", "_status", "_fetched_at", "_attempts", "_error"]);
    let without_time = |row: &[String]| {
        assert!(row[4].ends_with('Z') && row[4].len() == 24, "{row:?}");
        [&row[..4], &row[5..]].concat()
    };
    assert_eq!(without_time(&found[1]), ["a", "1", "", "404", "1", "HTTP 404 Not Found: {\"status\":404}"]);
    assert_eq!(without_time(&found[2]), ["b", "2", "'=x", "200", "1", ""]);
    assert_eq!(without_time(&found[3]), ["a", "3", "", "404", "1", "HTTP 404 Not Found: {\"status\":404}"]);
    assert_eq!(found.len(), 4, "a row without all its cells is in the failure file alone");
}

#[test]
fn what_cannot_be_a_table_is_refused_before_the_first_request() {
    let (dir, server) = (WorkDir::new(), shop());
    dir.write("products.csv", "sku,name\na,x\n");
    let refused = |args: &[&str]| {
        let url = server.url("/p/{sku}");
        let ended = Run::new(&dir).args(["products.csv", "--url", &url]).args(args).finish().expect_code(2);
        assert_eq!(server.count(), 0);
        ended.stderr
    };
    for (args, says) in [
        (
            &["-o", "out.csv", "--columns", "name=.name"][..],
            &["products.csv has a column `name` already", "--columns 'api_name=.name'"][..],
        ),
        (
            &["-o", "out.csv", "--columns", "\"name\"=.a.b | tostring"],
            &["--columns 'api_name=.a.b | tostring'"],
        ),
        (&["-o", "out.csv", "--columns", ".price"], &["`.price` has no name before it: write price=.price"]),
        (
            &["-o", "out.csv", "--columns", "p=price"],
            &["column `p`: the jq filter uses", "did you mean p=.price?"],
        ),
        (
            &["-o", "out.csv", "--columns", "p=$row.name"],
            &["column `p`", "a column sees the body alone", "--select"],
        ),
        (
            &["-o", "out.csv", "--columns", "p=[.a"],
            &["column `p`: the jq filter cannot be read", "did you mean p=[.a]?"],
        ),
        (&["-o", "out.csv", "--columns", "p=.a, p=.b"], &["there are two columns `p`"]),
        (
            &["-o", "out.csv", "--columns", "_error=.a"],
            &["`_error` is the name of a column of the program's own"],
        ),
        (
            &["-o", "out.json", "--columns", "p=.a"],
            &["it is for a table, and the output is json", "--format csv"],
        ),
        (&["-o", "out.jsonl", "--csv-bom"], &["it is for a table, and the output is jsonl"]),
        (&["-o", "out.xlsx"], &["out.xlsx would hold JSON", "write --output out.csv"]),
        (&["-o", "out.tsv.gz"], &["out.tsv.gz would hold JSON", "write --output out.csv.gz"]),
        (&["-o", "out.csv", "--merge", "--prune", "--limit", "1"], &["--prune"]),
    ] {
        let said = refused(args);
        assert!(says.iter().all(|text| said.contains(text)), "{args:?}: {said}");
        let dry = refused(&[args, &["--dry-run"]].concat());
        assert!(says.iter().all(|text| dry.contains(text)), "dry run {args:?}: {dry}");
    }
    assert_eq!(dir.names(), ["products.csv"]);
}

#[test]
fn a_config_file_may_hold_columns_for_other_runs() {
    let (dir, server) = (WorkDir::new(), shop());
    dir.write_skus(["a"]);
    dir.write(
        "config.toml",
        "[output]\ncolumns = '''\n  name = .name,  # the title\n  price=.price.amount,\n'''\n",
    );
    fetch_to(&dir, &server, "out.json").finish().expect_code(0);
    fetch_to(&dir, &server, "out.csv").finish().expect_code(0);
    assert_eq!(records(&dir.read("out.csv"), b','), [["sku", "name", "price"], ["a", "a, new", "1.10"]]);
}

#[test]
fn python_reads_every_cell_back() {
    let script = "import csv,gzip,json,sys\n\
                  print(json.dumps(list(csv.reader(gzip.open('out.csv.gz','rt',newline='',encoding='utf-8-sig')))))";
    let (dir, server) =
        (WorkDir::new(), ScriptedServer::start(|_| Reply::json("\"a\\r\\n\\\"b\\\",;\\u00e9\\n\"")));
    dir.write("products.csv", "\u{feff}sku,n\r\na,\"x\ny\"\r\n\"b\"\"\",\"\"\r\n");
    fetch_to(&dir, &server, "out.csv.gz").args(["--columns", "v=."]).finish().expect_code(0);
    let Ok(python) = Command::new("python3").args(["-c", script]).current_dir(dir.root()).output() else {
        println!("skipped: there is no python3");
        return;
    };
    let found: Value = serde_json::from_slice(&python.stdout).unwrap();
    let value = "a\r\n\"b\",;é\n";
    assert_eq!(found, json!([["sku", "n", "v"], ["a", "x\ny", value], ["b\"", "", value]]));
}

/// A text of a cell that is hostile to programs which read CSV.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof!["[\",;\t|'=+@\\-\r\n a\u{e9}\u{feff}]{0,8}", "\\PC{0,8}", Just("\u{2028}".to_owned())]
}

#[test]
fn a_reader_gives_back_every_cell_of_any_rows_and_bodies() {
    let mut runner = TestRunner::new(Config::with_cases(24));
    let rows = proptest::collection::vec((hostile(), hostile(), hostile()), 1..12);
    let form = (prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|')], any::<bool>(), any::<bool>());
    runner
        .run(&(rows, form), |(rows, (delimiter, crlf, zipped))| {
            let dir = WorkDir::new();
            let mut input = csv::WriterBuilder::new()
                .delimiter(delimiter)
                .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
                .quote_style(csv::QuoteStyle::Always)
                .from_writer(Vec::new());
            input.write_record(["sku", "first", "second"]).unwrap();
            for (index, (first, second, _)) in rows.iter().enumerate() {
                input.write_record([&format!("S{index}"), first, second]).unwrap();
            }
            dir.write("products.csv", input.into_inner().unwrap());
            let bodies: Vec<String> = rows.iter().map(|(.., body)| body.clone()).collect();
            let answers = bodies.clone();
            let server = ScriptedServer::start(move |seen| {
                let body = &answers[seen.sku[1..].parse::<usize>().unwrap()];
                Reply::json(json!({ "v": body, "n": -1.5 }).to_string())
            });
            let name = if zipped { "out.csv.zst" } else { "out.csv" };
            let given = char::from(delimiter).to_string();
            let run = fetch_to(&dir, &server, name).args([
                "--columns",
                "v=.v, n=.n",
                "-d",
                &given,
                "--quote",
                "\"",
                // A backslash before a quote would be a doubt.
                "--escape",
                "none",
            ]);
            run.finish().expect_code(0);
            let bytes = dir.bytes(name);
            let bytes = if zipped { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
            let text = String::from_utf8(bytes).unwrap();
            let found = records(&text, delimiter);
            prop_assert_eq!(&found[0], &["sku", "first", "second", "v", "n"]);
            prop_assert_eq!(found.len(), rows.len() + 1);
            for ((index, (first, second, value)), row) in rows.iter().enumerate().zip(&found[1..]) {
                let key = format!("S{index}");
                prop_assert_eq!(&row[..3], &[key.as_str(), first, second]);
                prop_assert!(row[3] == *value || row[3] == format!("'{value}"), "{:?} {:?}", row, value);
                prop_assert_eq!(row[4].as_str(), "-1.5");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_dry_run_shows_the_columns() {
    let (dir, server) = (WorkDir::new(), shop());
    dir.write_skus(["a"]);
    let ended: Ended =
        plain(&dir, &server, "out.csv").args(["--columns", COLUMNS, "--dry-run"]).finish().expect_code(0);
    assert!(ended.stdout().contains("--columns name=.name, price=.price.amount"), "{}", ended.stdout());
    assert_eq!(dir.names(), ["products.csv"]);
}
